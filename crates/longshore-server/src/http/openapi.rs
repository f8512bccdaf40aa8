//! The routes, and the document that describes them: both are of the same list.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    response::{IntoResponse, Response},
};
use http::header;
use utoipa::{
    Modify, OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{App, agents, chat, logs, metrics, news};
use crate::api::{ErrorAnswer, Problem, ShutdownReport};

#[derive(OpenApi)]
#[openapi(
    info(title = "longshore serve", description = "AI agents, each a compose project on the local engine."),
    modifiers(&Token),
    tags((name = "agents"), (name = "events"), (name = "runtime"), (name = "server"))
)]
struct Document;

struct Token;

impl Modify for Token {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("The content of the file `token` in the folder of the server's state."));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(scheme.build()));
    }
}

fn router() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(agents::list))
        .routes(routes!(agents::runtime_status))
        .routes(routes!(agents::create))
        .routes(routes!(agents::show, agents::delete))
        .routes(routes!(agents::start))
        .routes(routes!(agents::restart))
        .routes(routes!(agents::stop))
        .routes(routes!(agents::templates))
        .routes(routes!(agents::projects))
        .routes(routes!(agents::set_up, agents::cancel_set_up))
        .routes(routes!(logs::logs))
        .routes(routes!(chat::chat))
        .routes(routes!(news::events))
        .routes(routes!(metrics::healthz))
        .routes(routes!(metrics::metrics))
        .routes(routes!(shutdown))
}

/// The routes, and the document as JSON.
pub(super) fn routes() -> (Router<App>, String) {
    let (routes, document) = router().split_for_parts();
    (routes, document.to_json().unwrap_or_default())
}

/// The OpenAPI document of the server, as JSON.
pub fn document() -> String {
    routes().1
}

pub(super) async fn answer(document: Arc<str>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], document.to_string()).into_response()
}

/// Stops all agents, and then the engine's machine if that harms nobody. The answer comes when all is stopped; then the server ends.
#[utoipa::path(post, path = "/shutdown", tag = "server",
    responses((status = 200, body = ShutdownReport), (status = 401, body = ErrorAnswer), (status = 500, body = ErrorAnswer)),
    security(("token" = [])))]
async fn shutdown(State(app): State<App>) -> Result<Json<ShutdownReport>, Problem> {
    // It goes on when the client does not wait.
    let work = tokio::spawn(async move {
        let report = app.fleet.shutdown(&app.hurry).await;
        app.ending.cancel();
        report
    });
    let report = work.await.map_err(|error| Problem::new("shutdown", error.to_string()))?;
    report.map(Json)
}
