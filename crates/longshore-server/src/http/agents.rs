//! Agents: listed, made, started, stopped, deleted.

use axum::{
    Extension, Json,
    body::Bytes,
    extract::rejection::{BytesRejection, QueryRejection},
    extract::{Path, Query, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, header};

use super::{App, guard::Trusted, problem::not_said_to_be_json};
use crate::{
    api::{
        Agent, AgentList, CreateAgent, ErrorAnswer, Problem, ProjectList, RuntimeStatus, TemplateList,
        WaitQuery, Wanted,
    },
    fleet::Ticket,
    wish,
};

/// What may be told to who asks: what an agent logged only to who has the token.
pub(super) fn told(agent: Agent, trusted: Trusted) -> Agent {
    if trusted.0 {
        return agent;
    }
    let error = agent.error.map(|error| Problem { log: Vec::new(), ..error });
    Agent { error, ..agent }
}

/// All agents, in order of their names.
#[utoipa::path(get, path = "/agents", tag = "agents", responses((status = 200, body = AgentList)))]
pub(super) async fn list(State(app): State<App>, Extension(trusted): Extension<Trusted>) -> Json<AgentList> {
    let agents = app.fleet.list().into_iter().map(|agent| told(agent, trusted)).collect();
    Json(AgentList { agents })
}

/// One agent.
#[utoipa::path(get, path = "/agents/{name}", tag = "agents", params(("name" = String, Path)),
    responses((status = 200, body = Agent), (status = 404, body = ErrorAnswer)))]
pub(super) async fn show(
    State(app): State<App>,
    Extension(trusted): Extension<Trusted>,
    Path(name): Path<String>,
) -> Result<Json<Agent>, Problem> {
    Ok(Json(told(app.fleet.find(&name)?.view(), trusted)))
}

/// Whether containers can be run here, and what is being done. The engine is asked.
#[utoipa::path(get, path = "/agents/runtime-status", tag = "runtime", responses((status = 200, body = RuntimeStatus)))]
pub(super) async fn runtime_status(State(app): State<App>) -> Json<RuntimeStatus> {
    Json(app.fleet.runtime_status().await)
}

/// Begins to make the engine ready, its virtual machine first where it needs one. `/events` and `/agents/runtime-status` tell how far it
/// is, and why it failed.
#[utoipa::path(post, path = "/runtime/setup", tag = "runtime",
    responses((status = 202, body = RuntimeStatus), (status = 401, body = ErrorAnswer), (status = 503, body = ErrorAnswer)),
    security(("token" = [])))]
pub(super) async fn set_up(State(app): State<App>) -> Result<Response, Problem> {
    app.fleet.begin_set_up()?;
    Ok((StatusCode::ACCEPTED, Json(app.fleet.runtime_status().await)).into_response())
}

/// Gives up a set-up that was asked for by itself. Agents that wait for the engine wait on.
#[utoipa::path(delete, path = "/runtime/setup", tag = "runtime",
    responses((status = 202, body = RuntimeStatus), (status = 401, body = ErrorAnswer)), security(("token" = [])))]
pub(super) async fn cancel_set_up(State(app): State<App>) -> Response {
    app.fleet.cancel_set_up();
    (StatusCode::ACCEPTED, Json(app.fleet.runtime_status().await)).into_response()
}

/// What agents can be made from.
#[utoipa::path(get, path = "/templates", tag = "agents", responses((status = 200, body = TemplateList)))]
pub(super) async fn templates(State(app): State<App>) -> Json<TemplateList> {
    Json(app.fleet.templates())
}

/// The compose projects on the engine that are ours, agents or not.
#[utoipa::path(get, path = "/projects", tag = "runtime",
    responses((status = 200, body = ProjectList), (status = 503, body = ErrorAnswer)))]
pub(super) async fn projects(State(app): State<App>) -> Result<Json<ProjectList>, Problem> {
    Ok(Json(app.fleet.projects().await?))
}

/// Creates an agent. The answer comes at once, with the agent in the state `creating`; it goes on by itself: the engine is made
/// ready, the image pulled, the containers started, until the agent has proved that it answers. `/events` tells how far it is.
#[utoipa::path(post, path = "/agents/create", tag = "agents", request_body = CreateAgent, params(WaitQuery),
    responses((status = 201, body = Agent), (status = 400, body = ErrorAnswer), (status = 401, body = ErrorAnswer),
        (status = 409, body = ErrorAnswer), (status = 503, body = ErrorAnswer), (status = 507, body = ErrorAnswer)),
    security(("token" = [])))]
pub(super) async fn create(
    State(app): State<App>,
    Extension(trusted): Extension<Trusted>,
    query: Result<Query<WaitQuery>, QueryRejection>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query?;
    json_is_said(&headers)?;
    let (wish, faults) = wish::read(&body?)?;
    let ticket = app.fleet.create(wish, faults).await?;
    let location = format!("/agents/{}", ticket.cell.name);
    let agent = answer(&ticket, query, trusted).await?;
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(agent)).into_response())
}

async fn answer(ticket: &Ticket, query: WaitQuery, trusted: Trusted) -> Result<Agent, Problem> {
    if query.wait {
        ticket.done().await?;
    }
    Ok(told(ticket.cell.view(), trusted))
}

/// A page elsewhere can send a form without being asked for permission, but no JSON.
fn json_is_said(headers: &HeaderMap) -> Result<(), Problem> {
    let said = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = said.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(not_said_to_be_json())
}

/// Starts an agent; one that runs is left as it is. The answer comes at once unless it is to wait.
#[utoipa::path(post, path = "/agents/{name}/start", tag = "agents", params(("name" = String, Path), WaitQuery),
    responses((status = 202, body = Agent), (status = 401, body = ErrorAnswer), (status = 404, body = ErrorAnswer),
        (status = 409, body = ErrorAnswer), (status = 503, body = ErrorAnswer)),
    security(("token" = [])))]
pub(super) async fn start(
    State(app): State<App>,
    Extension(trusted): Extension<Trusted>,
    Path(name): Path<String>,
    query: Result<Query<WaitQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    order(&app, &name, Wanted::Running, query, trusted).await
}

/// Starts an agent, and stops it first if it runs. The answer comes at once unless it is to wait.
#[utoipa::path(post, path = "/agents/{name}/restart", tag = "agents", params(("name" = String, Path), WaitQuery),
    responses((status = 202, body = Agent), (status = 401, body = ErrorAnswer), (status = 404, body = ErrorAnswer),
        (status = 409, body = ErrorAnswer), (status = 503, body = ErrorAnswer)),
    security(("token" = [])))]
pub(super) async fn restart(
    State(app): State<App>,
    Extension(trusted): Extension<Trusted>,
    Path(name): Path<String>,
    query: Result<Query<WaitQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query?;
    let ticket = app.fleet.restart(&name).await?;
    let agent = answer(&ticket, query, trusted).await?;
    Ok((StatusCode::ACCEPTED, Json(agent)).into_response())
}

/// Stops an agent; one that is being created is not created further. The answer comes at once unless it is to wait.
#[utoipa::path(post, path = "/agents/{name}/stop", tag = "agents", params(("name" = String, Path), WaitQuery),
    responses((status = 202, body = Agent), (status = 401, body = ErrorAnswer), (status = 404, body = ErrorAnswer),
        (status = 409, body = ErrorAnswer), (status = 503, body = ErrorAnswer)),
    security(("token" = [])))]
pub(super) async fn stop(
    State(app): State<App>,
    Extension(trusted): Extension<Trusted>,
    Path(name): Path<String>,
    query: Result<Query<WaitQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    order(&app, &name, Wanted::Stopped, query, trusted).await
}

/// Deletes an agent with its containers, volumes and secrets, whatever it is doing. The answer comes at once unless it is to wait.
#[utoipa::path(delete, path = "/agents/{name}", tag = "agents", params(("name" = String, Path), WaitQuery),
    responses((status = 202, body = Agent), (status = 401, body = ErrorAnswer), (status = 404, body = ErrorAnswer),
        (status = 503, body = ErrorAnswer)),
    security(("token" = [])))]
pub(super) async fn delete(
    State(app): State<App>,
    Extension(trusted): Extension<Trusted>,
    Path(name): Path<String>,
    query: Result<Query<WaitQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    order(&app, &name, Wanted::Deleted, query, trusted).await
}

async fn order(
    app: &App,
    name: &str,
    wanted: Wanted,
    query: Result<Query<WaitQuery>, QueryRejection>,
    trusted: Trusted,
) -> Result<Response, Problem> {
    let Query(query) = query?;
    let ticket = app.fleet.order(name, wanted).await?;
    let agent = answer(&ticket, query, trusted).await?;
    Ok((StatusCode::ACCEPTED, Json(agent)).into_response())
}
