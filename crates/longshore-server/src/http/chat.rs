//! Talking to an agent.

use std::io;

use axum::{
    Json,
    body::{Body, Bytes},
    extract::{Path, State, rejection::JsonRejection},
    response::Response,
};
use futures_util::StreamExt;
use http::header;

use super::App;
use crate::{
    agent::Cell,
    api::{AgentState, ChatRequest, ErrorAnswer, Problem},
    fleet::Counts,
    gateway,
};

/// How much of an agent's refusal is passed on.
const LONGEST_REFUSAL: usize = 2000;

/// Passes a message to the agent, and its answer back as it comes: `chat.completion.chunk` objects of OpenAI's API as server-sent
/// events, or one object if `stream` is false. When the client goes the agent is told to stop.
#[utoipa::path(post, path = "/agents/{name}/chat", tag = "agents", params(("name" = String, Path)),
    request_body = ChatRequest,
    responses((status = 200, description = "The agent's answer.",
        content((serde_json::Value = "text/event-stream"), (serde_json::Value = "application/json"))),
        (status = 400, body = ErrorAnswer), (status = 401, body = ErrorAnswer), (status = 404, body = ErrorAnswer),
        (status = 409, body = ErrorAnswer), (status = 502, body = ErrorAnswer)),
    security(("token" = [])))]
pub(super) async fn chat(
    State(app): State<App>,
    Path(name): Path<String>,
    message: Result<Json<ChatRequest>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(mut message) = message?;
    let cell = app.fleet.find(&name)?;
    let (port, template) = {
        let known = cell.known();
        let state = known.state();
        if !matches!(state, AgentState::Running | AgentState::Unhealthy) {
            return Err(not_running(&cell, state));
        }
        // Whoever else answers at its port is not told its token.
        if !known.has_proved() {
            let message = format!("the agent {name:?} has not proved that it is the one that answers");
            return Err(Problem::new("not_proved", message).with_help("see its error, and start it again"));
        }
        (known.record.port, known.record.template.clone())
    };
    let template = app.fleet.inner.settings.templates.get(&template);
    let (Some(port), Some(template)) = (port, template) else {
        return Err(not_running(&cell, AgentState::Stopped));
    };
    let about = &template.about;
    message.stream.get_or_insert(true);
    if message.model.is_none() {
        message.model = Some(about.chat_model.clone().unwrap_or_else(|| cell.known().record.model.clone()));
    }
    let message = serde_json::to_vec(&message)
        .map_err(|error| Problem::new("bad_request", format!("the body cannot be passed on: {error}")))?;
    Counts::count(&app.fleet.inner.counts.chats);
    let answer = app.fleet.inner.gateway.chat(port, about, &cell.secrets.token, message).await;
    let answer = answer.map_err(|error| {
        let why = gateway::cause(&error.without_url());
        Problem::new("agent_unreachable", format!("the agent {name:?} does not answer: {why}"))
            .with_help("see its state and its log")
    })?;
    let status = answer.status();
    let kind = answer.headers().get(header::CONTENT_TYPE).cloned();
    if !status.is_success() {
        return Err(cell.discreet(refused(&name, answer).await));
    }
    let is_stream = kind.as_ref().is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    let mut response = Response::builder().status(status);
    if let Some(kind) = kind {
        response = response.header(header::CONTENT_TYPE, kind);
    }
    // Dropped with the answer when the client goes, which closes the connection to the agent.
    let pieces = answer.bytes_stream();
    let body = if is_stream {
        // One that breaks off must not look like one that is complete.
        Body::from_stream(pieces.map(|piece| Ok::<_, io::Error>(piece.unwrap_or_else(|_| broke_off()))))
    } else {
        Body::from_stream(
            pieces.map(|piece| piece.map_err(|_| io::Error::from(io::ErrorKind::UnexpectedEof))),
        )
    };
    response.body(body).map_err(|error| Problem::new("agent_unreachable", error.to_string()))
}

/// How a stream ends that the agent did not end.
fn broke_off() -> Bytes {
    let problem = Problem::new("agent_unreachable", "the agent broke off in the middle of its answer");
    let error = serde_json::to_string(&ErrorAnswer { error: problem }).unwrap_or_default();
    Bytes::from(format!("\n\ndata: {error}\n\n"))
}

fn not_running(cell: &Cell, state: AgentState) -> Problem {
    let message = format!("the agent {:?} is {}", cell.name.as_str(), state.as_str());
    Problem::new("not_running", message).with_help("start it, or wait until it runs")
}

async fn refused(name: &str, answer: reqwest::Response) -> Problem {
    let status = answer.status();
    let mut said = Vec::new();
    let mut pieces = answer.bytes_stream();
    while let Some(Ok(piece)) = pieces.next().await {
        said.extend_from_slice(&piece);
        if said.len() > LONGEST_REFUSAL {
            break;
        }
    }
    said.truncate(LONGEST_REFUSAL);
    let said = String::from_utf8_lossy(&said).trim().to_owned();
    Problem::new("agent_refused", format!("the agent {name:?} answers {status}: {said}"))
}
