//! What an agent logs.

use std::{
    collections::{BTreeMap, VecDeque},
    convert::Infallible,
};

use axum::{
    extract::{Path, Query, State, rejection::QueryRejection},
    response::{
        IntoResponse, Response,
        sse::{Event, Sse},
    },
};
use futures_util::{Stream, StreamExt, stream};
use http::HeaderMap;

use super::{
    App,
    news::{event, heartbeat, last_event_id},
};
use crate::{
    api::{AgentLine, End, EndReason, ErrorAnswer, LogQuery, Missed, Problem},
    backlog::{Cursor, Read},
    tail::{self, Line, Place, Reader},
};

/// An agent's log, as server-sent events: `line` for each line, `missed` where the reader was too slow, `end` at last, with the reason.
/// With `Last-Event-ID` it goes on behind that line. A reader never slows the agent, nor another reader.
#[utoipa::path(get, path = "/agents/{name}/logs", tag = "agents",
    params(("name" = String, Path), LogQuery,
        ("Last-Event-ID" = Option<String>, Header, description = "The id of the last line that was read.")),
    responses((status = 200, description = "Events `line`, `missed` and `end`.",
        content((AgentLine = "text/event-stream"), (Missed = "text/event-stream"), (End = "text/event-stream"))),
        (status = 400, body = ErrorAnswer), (status = 401, body = ErrorAnswer), (status = 404, body = ErrorAnswer)),
    security(("token" = [])))]
pub(super) async fn logs(
    State(app): State<App>,
    Path(name): Path<String>,
    query: Result<Query<LogQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Query(query) = query?;
    let cell = app.fleet.find(&name)?;
    let after = last_event_id(&headers).or(query.after.as_deref()).and_then(Place::parse);
    let runtime = app.fleet.inner.status.runtime();
    if !query.follow {
        let tail = after.is_none().then_some(query.tail);
        let events = match tail::lines(&runtime, &cell.project, tail, after).await {
            Ok(lines) => once(lines.map(|line| line.map_err(|error| Problem::from(&error)))).boxed(),
            Err(longshore::Error::NotFound { .. }) => once(stream::empty()).boxed(),
            Err(error) => return Err((&error).into()),
        };
        return Ok(Sse::new(events).keep_alive(heartbeat()).into_response());
    }
    let reader = app.fleet.inner.tails.read(&cell.name, &cell.project, &runtime);
    reader.ready().await;
    let mut follower = Follower::new(reader);
    if follower.needs_more(query.tail, after) {
        // The engine's log once more, for what is not kept.
        let place = follower.reader.tail.backlog.next();
        let _turn = app.readings.acquire().await;
        let tail = after.is_none().then_some(query.tail);
        if let Ok((lines, missed)) = tail::read(&runtime, &cell.project, tail, after).await {
            follower.begin_with(lines, if after.is_some() { missed } else { 0 }, place);
        }
    }
    let events = stream::unfold(follower, |mut follower| async {
        let event = follower.next().await?;
        Some((Ok::<_, Infallible>(event), follower))
    });
    Ok(Sse::new(events).keep_alive(heartbeat()).into_response())
}

fn line(line: &Line) -> Event {
    event("line", &*line.line).id(line.place.id())
}

/// The lines that there are, and the end.
fn once(
    lines: impl Stream<Item = Result<Line, Problem>> + Send + 'static,
) -> impl Stream<Item = Result<Event, Infallible>> + Send {
    let end = |reason, error| event("end", &End { reason, error });
    // What failed is the last that is told.
    let lines = lines.scan(false, move |failed, item| {
        let event = match item {
            _ if *failed => None,
            Ok(item) => Some(line(&item)),
            Err(problem) => {
                *failed = true;
                Some(end(EndReason::Failed, Some(problem)))
            }
        };
        std::future::ready(event.map(|event| (event, *failed)))
    });
    let ended = stream::once(std::future::ready((end(EndReason::Complete, None), false)));
    // After a failure there is no other end.
    lines
        .chain(ended)
        .scan(false, |over, (event, failed)| {
            let event = (!*over).then_some(event);
            *over |= failed;
            std::future::ready(event)
        })
        .map(Ok)
}

/// One reader of a log that goes on.
struct Follower {
    reader: Reader,
    cursor: Cursor,
    queue: VecDeque<Event>,
    /// What each container has told already.
    seen: BTreeMap<String, Place>,
}

impl Follower {
    fn new(reader: Reader) -> Self {
        Self { reader, cursor: Cursor::at(0), queue: VecDeque::new(), seen: BTreeMap::new() }
    }

    /// Takes its place in what is kept, if that holds what is asked for.
    fn needs_more(&mut self, tail: u64, after: Option<Place>) -> bool {
        let backlog = &self.reader.tail.backlog;
        let (first, next) = (backlog.first(), backlog.next());
        if let Some(after) = after {
            let found = backlog.find(|line| line.place == after);
            self.cursor = Cursor::at(found.map_or(first, |number| number + 1));
            return found.is_none();
        }
        self.cursor = Cursor::at(first.max(next.saturating_sub(tail)));
        tail > next - first && !self.reader.is_whole()
    }

    /// Tells these first, and of what comes after that place only what is not among them.
    fn begin_with(&mut self, lines: Vec<Line>, missed: u64, place: u64) {
        if missed > 0 {
            self.queue.push_back(event("missed", &Missed { count: Some(missed) }));
        }
        for one in lines {
            self.queue.push_back(line(&one));
            self.seen.insert(one.line.container.clone(), one.place);
        }
        self.cursor = Cursor::at(place);
    }

    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.queue.pop_front() {
                return Some(event);
            }
            match self.cursor.read(&self.reader.tail.backlog).await? {
                Read::Item(_, one) => {
                    if self.seen.get(&one.line.container).is_none_or(|seen| one.place > *seen) {
                        return Some(line(&one));
                    }
                }
                Read::Missed(count) => return Some(event("missed", &Missed { count: Some(count) })),
                Read::Over => return Some(event("end", &self.reader.end())),
            }
        }
    }
}
