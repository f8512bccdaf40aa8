//! What happens, as it happens.

use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Extension,
    extract::{Query, State, rejection::QueryRejection},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::stream;
use http::HeaderMap;
use serde::Serialize;

use super::{App, agents::told, guard::Trusted};
use crate::{
    api::{
        AfterQuery, Agent, ChangedProject, DeletedAgent, End, EndReason, ErrorAnswer, Missed, Problem,
        RuntimeStatus, Snapshot,
    },
    backlog::{Cursor, Read},
    fleet::{Fleet, News},
};

/// How often a stream with nothing to tell says that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(15);

pub(super) fn heartbeat() -> KeepAlive {
    KeepAlive::new().interval(HEARTBEAT).text("alive")
}

/// An event of a kind, with its data.
pub(super) fn event(kind: &str, data: &impl Serialize) -> Event {
    // Nothing of ours is no JSON.
    Event::default().event(kind).json_data(data).unwrap_or_default()
}

/// The id that the client had last.
pub(super) fn last_event_id(headers: &HeaderMap) -> Option<&str> {
    headers.get("last-event-id").and_then(|id| id.to_str().ok()).map(str::trim).filter(|id| !id.is_empty())
}

/// What happens to agents and to the engine, as server-sent events. First comes `snapshot`, with all that there is, unless
/// `Last-Event-ID` names an event since which everything is still known; then `agent` for each that changed, as it is then, `deleted`,
/// `runtime`, and `project` for each compose project of ours of which a container changed. Who reads too slowly, or was away too long, is told `missed` and a `snapshot`. `end` is the last event.
#[utoipa::path(get, path = "/events", tag = "events",
    params(AfterQuery, ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that was read.")),
    responses((status = 200, description = "Events `snapshot`, `agent`, `deleted`, `runtime`, `project`, `missed` and `end`.",
        content((Snapshot = "text/event-stream"), (Agent = "text/event-stream"), (DeletedAgent = "text/event-stream"),
            (RuntimeStatus = "text/event-stream"), (ChangedProject = "text/event-stream"), (Missed = "text/event-stream"), (End = "text/event-stream"))),
        (status = 400, body = ErrorAnswer), (status = 401, body = ErrorAnswer)))]
pub(super) async fn events(
    State(app): State<App>,
    Extension(trusted): Extension<Trusted>,
    query: Result<Query<AfterQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Query(query) = query?;
    // So that the first snapshot says how the engine is.
    app.fleet.runtime_status().await;
    let resumed = last_event_id(&headers).or(query.after.as_deref()).and_then(|id| {
        let (epoch, number) = id.rsplit_once('-')?;
        let next = number.parse::<u64>().ok()?.checked_add(1)?;
        (*epoch == *app.epoch && next <= app.fleet.inner.news.next()).then_some(next)
    });
    let mut reader =
        Reader { fleet: app.fleet, epoch: app.epoch, trusted, cursor: Cursor::at(0), queue: VecDeque::new() };
    match resumed {
        Some(place) => reader.cursor = Cursor::at(place),
        None => reader.begin(),
    }
    let events = stream::unfold(reader, |mut reader| async {
        let event = reader.next().await?;
        Some((Ok::<_, Infallible>(event), reader))
    });
    Ok(Sse::new(events).keep_alive(heartbeat()).into_response())
}

struct Reader {
    fleet: Fleet,
    epoch: Arc<str>,
    trusted: Trusted,
    cursor: Cursor,
    queue: VecDeque<Event>,
}

impl Reader {
    /// Tells all that there is, and goes on from there.
    fn begin(&mut self) {
        let (snapshot, next) = self.fleet.snapshot();
        let agents = snapshot.agents.into_iter().map(|agent| told(agent, self.trusted)).collect();
        let snapshot = Snapshot { agents, ..snapshot };
        let id = match next.checked_sub(1) {
            Some(last) => format!("{}-{last}", self.epoch),
            // Nothing has happened yet, and who comes back is told all again.
            None => String::new(),
        };
        self.queue.push_back(event("snapshot", &snapshot).id(id));
        self.cursor = Cursor::at(next);
    }

    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.queue.pop_front() {
                return Some(event);
            }
            match self.cursor.read(&self.fleet.inner.news).await? {
                Read::Item(number, news) => {
                    let event = match news {
                        News::Agent(agent) => event("agent", &told((*agent).clone(), self.trusted)),
                        News::Deleted(deleted) => event("deleted", &deleted),
                        News::Runtime(status) => event("runtime", &*status),
                        News::Project(project) => event("project", &project),
                    };
                    return Some(event.id(format!("{}-{number}", self.epoch)));
                }
                Read::Missed(count) => {
                    self.queue.push_back(event("missed", &Missed { count: Some(count) }));
                    self.begin();
                }
                Read::Over => {
                    return Some(event("end", &End { reason: EndReason::ShuttingDown, error: None }));
                }
            }
        }
    }
}
