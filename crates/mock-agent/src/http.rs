//! What an agent answers at which path.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, FromRequestParts, State},
    http::{HeaderMap, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::json;

use crate::{agent::Agent, chat};

/// Long histories are sent again with every message.
const BODY_AT_MOST: usize = 32 << 20;

pub(crate) fn router(agent: Arc<Agent>) -> Router {
    Router::new()
        .route("/healthz", get(health))
        .route("/v1/models", get(models))
        .route("/v1/chat/completions", post(chat::complete))
        .fallback(async || Refusal::new(StatusCode::NOT_FOUND, "there is nothing at this path"))
        .method_not_allowed_fallback(async || {
            Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "this path does not take this method")
        })
        .layer(DefaultBodyLimit::max(BODY_AT_MOST))
        .with_state(agent)
}

async fn health(State(agent): State<Arc<Agent>>) -> Response {
    if agent.healthy() {
        Json(json!({"ok": true})).into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"ok": false}))).into_response()
    }
}

async fn models(_: Authorized, State(agent): State<Arc<Agent>>) -> Response {
    let model = json!({"id": agent.options.model, "object": "model", "created": 0, "owned_by": "mock-agent"});
    Json(json!({"object": "list", "data": [model]})).into_response()
}

/// The request brought the token.
pub(crate) struct Authorized;

impl FromRequestParts<Arc<Agent>> for Authorized {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, agent: &Arc<Agent>) -> Result<Self, Refusal> {
        match bearer(&parts.headers) {
            Some(token) if token == agent.options.token => Ok(Self),
            Some(_) => Err(Refusal::new(StatusCode::UNAUTHORIZED, "the token is not the agent's")),
            None => Err(Refusal::new(
                StatusCode::UNAUTHORIZED,
                "there is no token; send it as \"Authorization: Bearer TOKEN\"",
            )),
        }
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

/// An error in the shape of OpenAI's.
pub(crate) struct Refusal {
    status: StatusCode,
    message: String,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let denied = self.status == StatusCode::UNAUTHORIZED;
        let code = denied.then_some("invalid_api_key");
        let error =
            json!({"message": self.message, "type": "invalid_request_error", "param": null, "code": code});
        let mut response = (self.status, Json(json!({ "error": error }))).into_response();
        if denied {
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
        }
        response
    }
}
