//! Numbers for Prometheus, and whether the server is there at all.

use std::sync::atomic::Ordering;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::header;
use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::ConstCounter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::App;
use crate::api::{Healthz, Problem};

/// That the server is there; nothing is asked of the engine.
#[utoipa::path(get, path = "/healthz", tag = "server", responses((status = 200, body = Healthz)))]
pub(super) async fn healthz() -> Json<Healthz> {
    Json(Healthz { ok: true, version: env!("CARGO_PKG_VERSION").to_owned() })
}

/// Numbers for Prometheus, in the OpenMetrics text format.
#[utoipa::path(get, path = "/metrics", tag = "server",
    responses((status = 200, body = String, content_type = "application/openmetrics-text")))]
pub(super) async fn metrics(State(app): State<App>) -> Result<Response, Problem> {
    let counts = &app.fleet.inner.counts;
    let mut registry = Registry::with_prefix("longshore");
    let agents = Family::<Vec<(String, String)>, Gauge>::default();
    for agent in app.fleet.list() {
        agents.get_or_create(&vec![("state".to_owned(), agent.state.as_str().to_owned())]).inc();
    }
    registry.register("agents", "Agents by state", agents);
    for (name, help, counter) in [
        ("agents_created", "Agents created since the server began", &counts.created),
        ("agents_deleted", "Agents deleted since the server began", &counts.deleted),
        ("agent_failures", "Orders to agents that failed since the server began", &counts.failed),
        ("chats", "Messages passed to agents since the server began", &counts.chats),
    ] {
        registry.register(name, help, ConstCounter::new(counter.load(Ordering::Relaxed)));
    }
    let mut text = String::new();
    encode(&mut text, &registry).map_err(|error| Problem::new("metrics", error.to_string()))?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}
