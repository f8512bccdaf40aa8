//! A client of the server, for Rust programs and for the `longshore` command.
//!
//! ```no_run
//! use longshore_server::{api::CreateAgent, client::Client};
//!
//! # async fn example(url: &str, token: String) -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::new(url, Some(token))?;
//! let mut wish = CreateAgent::default();
//! wish.name = "scout".to_owned();
//! wish.provider = "anthropic".to_owned();
//! wish.model = "claude-sonnet-4-5".to_owned();
//! wish.api_key = std::env::var("ANTHROPIC_API_KEY").ok();
//! let agent = client.create(&wish, true).await?;
//! assert!(agent.port.is_some());
//! # Ok(())
//! # }
//! ```

use std::{collections::VecDeque, fmt, time::Duration};

use futures_util::{Stream, StreamExt, stream};
use reqwest::{Method, RequestBuilder, Response, Url, header};
use serde::de::DeserializeOwned;

use crate::{
    api::{
        Agent, AgentLine, AgentList, ChangedProject, ChatRequest, CreateAgent, DeletedAgent, End,
        ErrorAnswer, Healthz, LogQuery, Missed, Problem, RuntimeStatus, ShutdownReport, Snapshot, WaitQuery,
    },
    gateway::cause,
};

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);

/// A client of one server. Cheap to clone. Every call may be dropped; the server goes on with what it has answered.
#[derive(Clone)]
pub struct Client {
    client: reqwest::Client,
    url: Url,
    token: Option<String>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("url", &self.url.as_str()).finish_non_exhaustive()
    }
}

/// Why there is no answer, or another one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The URL is none.
    #[error("{url:?} is no URL of a server: {reason}")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Nobody answers there.
    #[error("no server answers at {url}: {reason}")]
    Unreachable {
        /// Where.
        url: String,
        /// What the system said.
        reason: String,
    },
    /// The server refused.
    #[error("{}", .problem.message)]
    Refused {
        /// The status of the answer.
        status: u16,
        /// What went wrong.
        problem: Box<Problem>,
    },
    /// The answer is none of this server's.
    #[error("{url} answered something unexpected: {reason}")]
    Unexpected {
        /// Where.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// The result of a call.
pub type Result<T, E = ClientError> = std::result::Result<T, E>;

/// An event of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogEvent {
    /// A line, and its id.
    Line(AgentLine, String),
    /// Lines were lost.
    Missed(Missed),
    /// The last one.
    End(End),
}

/// An event of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerEvent {
    /// All that there is.
    Snapshot(Box<Snapshot>),
    /// An agent, as it is now.
    Agent(Box<Agent>),
    /// An agent is gone.
    Deleted(DeletedAgent),
    /// How the engine is now.
    Runtime(Box<RuntimeStatus>),
    /// A compose project of ours has changed.
    Project(ChangedProject),
    /// Events were lost; a snapshot follows.
    Missed(Missed),
    /// The last one.
    End(End),
}

/// A server-sent event as it came.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Sent {
    kind: String,
    id: String,
    data: String,
}

impl Client {
    /// A client of the server at that URL. Does no I/O.
    ///
    /// # Errors
    /// [`ClientError::Url`].
    pub fn new(url: &str, token: Option<String>) -> Result<Self> {
        let wrong = |reason: String| ClientError::Url { url: url.to_owned(), reason };
        let parsed = Url::parse(url).map_err(|error| wrong(error.to_string()))?;
        if parsed.scheme() != "http" || parsed.host_str().is_none() {
            return Err(wrong("it is like http://127.0.0.1:9105".to_owned()));
        }
        let client = reqwest::Client::builder()
            .no_proxy()
            .connect_timeout(CONNECT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| wrong(cause(&error)))?;
        Ok(Self { client, url: parsed, token })
    }

    fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        let request = self.client.request(method, url);
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response> {
        let answer = request.send().await.map_err(|error| ClientError::Unreachable {
            url: self.url.to_string(),
            reason: cause(&error.without_url()),
        })?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        match answer.json::<ErrorAnswer>().await {
            Ok(ErrorAnswer { error }) => {
                Err(ClientError::Refused { status: status.as_u16(), problem: Box::new(error) })
            }
            Err(_) => Err(self.unexpected(format!("status {status}"))),
        }
    }

    fn unexpected(&self, reason: String) -> ClientError {
        ClientError::Unexpected { url: self.url.to_string(), reason }
    }

    async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T> {
        let answer = self.send(request).await?;
        answer.json().await.map_err(|error| self.unexpected(cause(&error.without_url())))
    }

    /// Whether the server is there.
    ///
    /// # Errors
    /// When it is not.
    pub async fn healthz(&self) -> Result<Healthz> {
        self.json(self.request(Method::GET, &["healthz"])).await
    }

    /// All agents.
    ///
    /// # Errors
    /// Those of the server.
    pub async fn agents(&self) -> Result<Vec<Agent>> {
        let list: AgentList = self.json(self.request(Method::GET, &["agents"])).await?;
        Ok(list.agents)
    }

    /// One agent.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn agent(&self, name: &str) -> Result<Agent> {
        self.json(self.request(Method::GET, &["agents", name])).await
    }

    /// Whether containers can be run.
    ///
    /// # Errors
    /// Those of the server.
    pub async fn runtime_status(&self) -> Result<RuntimeStatus> {
        self.json(self.request(Method::GET, &["agents", "runtime-status"])).await
    }

    /// Creates an agent; told to wait, it returns when that runs or has failed.
    ///
    /// # Errors
    /// `invalid`, `name_taken`, and why it cannot be brought up if it is waited for.
    pub async fn create(&self, wish: &CreateAgent, wait: bool) -> Result<Agent> {
        let request = self.request(Method::POST, &["agents", "create"]);
        self.json(request.query(&WaitQuery { wait }).json(wish)).await
    }

    /// Starts an agent.
    ///
    /// # Errors
    /// `not_found`, `being_deleted`, and why it cannot be brought up if it is waited for.
    pub async fn start(&self, name: &str, wait: bool) -> Result<Agent> {
        let request = self.request(Method::POST, &["agents", name, "start"]);
        self.json(request.query(&WaitQuery { wait })).await
    }

    /// Stops an agent.
    ///
    /// # Errors
    /// `not_found`, `being_deleted`, and why it cannot be stopped if it is waited for.
    pub async fn stop(&self, name: &str, wait: bool) -> Result<Agent> {
        let request = self.request(Method::POST, &["agents", name, "stop"]);
        self.json(request.query(&WaitQuery { wait })).await
    }

    /// Starts an agent anew: one that runs, or is being started, is stopped first.
    ///
    /// # Errors
    /// `not_found`, `being_deleted`, and why it cannot be brought up if it is waited for.
    pub async fn restart(&self, name: &str, wait: bool) -> Result<Agent> {
        let request = self.request(Method::POST, &["agents", name, "restart"]);
        self.json(request.query(&WaitQuery { wait })).await
    }

    /// Deletes an agent with its volumes.
    ///
    /// # Errors
    /// `not_found`, and why it cannot be removed if it is waited for.
    pub async fn delete(&self, name: &str, wait: bool) -> Result<Agent> {
        self.json(self.request(Method::DELETE, &["agents", name]).query(&WaitQuery { wait })).await
    }

    /// Ends the server; returns when all is stopped.
    ///
    /// # Errors
    /// Those of the server.
    pub async fn shutdown(&self) -> Result<ShutdownReport> {
        self.json(self.request(Method::POST, &["shutdown"])).await
    }

    /// An agent's log, behind the line of that id if there is one. A stream that ends without [`LogEvent::End`] broke off.
    ///
    /// # Errors
    /// `not_found`; later ones come in the stream.
    pub async fn logs(
        &self,
        name: &str,
        query: &LogQuery,
        after: Option<&str>,
    ) -> Result<impl Stream<Item = Result<LogEvent>> + Send + Unpin + use<>> {
        let request = self.request(Method::GET, &["agents", name, "logs"]).query(query);
        let events = self.events_of(request, after).await?;
        let url = self.url.to_string();
        let read = move |sent: Sent| {
            let Sent { kind, id, data } = sent;
            let event = match kind.as_str() {
                "line" => LogEvent::Line(parse(&url, &data)?, id),
                "missed" => LogEvent::Missed(parse(&url, &data)?),
                "end" => LogEvent::End(parse(&url, &data)?),
                _ => return Ok(None),
            };
            Ok(Some(event))
        };
        Ok(Box::pin(known(events, read)))
    }

    /// What happens, behind the event of that id if there is one.
    ///
    /// # Errors
    /// Those of the server; later ones come in the stream.
    pub async fn events(
        &self,
        after: Option<&str>,
    ) -> Result<impl Stream<Item = Result<(ServerEvent, String)>> + Send + Unpin + use<>> {
        let events = self.events_of(self.request(Method::GET, &["events"]), after).await?;
        let url = self.url.to_string();
        let read = move |sent: Sent| {
            let Sent { kind, id, data } = sent;
            let event = match kind.as_str() {
                "snapshot" => ServerEvent::Snapshot(parse(&url, &data)?),
                "agent" => ServerEvent::Agent(parse(&url, &data)?),
                "deleted" => ServerEvent::Deleted(parse(&url, &data)?),
                "runtime" => ServerEvent::Runtime(parse(&url, &data)?),
                "project" => ServerEvent::Project(parse(&url, &data)?),
                "missed" => ServerEvent::Missed(parse(&url, &data)?),
                "end" => ServerEvent::End(parse(&url, &data)?),
                _ => return Ok(None),
            };
            Ok(Some((event, id)))
        };
        Ok(Box::pin(known(events, read)))
    }

    /// Says something to an agent; the words of its answer, as they come. Dropping the stream tells the agent to stop.
    ///
    /// # Errors
    /// `not_found`, `not_running`, `agent_unreachable`; later ones come in the stream.
    pub async fn chat(
        &self,
        name: &str,
        message: &ChatRequest,
    ) -> Result<impl Stream<Item = Result<String>> + Send + Unpin + use<>> {
        let message = ChatRequest { stream: Some(true), ..message.clone() };
        let request = self.request(Method::POST, &["agents", name, "chat"]).json(&message);
        let events = self.events_of(request, None).await?;
        let url = self.url.to_string();
        let read = move |sent: Sent| {
            if sent.data.trim() == "[DONE]" {
                return Ok(None);
            }
            let chunk: serde_json::Value = parse(&url, &sent.data)?;
            if let Some(error) = chunk.get("error") {
                let problem = serde_json::from_value(error.clone())
                    .unwrap_or_else(|_| Problem::new("agent_refused", error.to_string()));
                return Err(ClientError::Refused { status: 502, problem: Box::new(problem) });
            }
            let text = chunk.pointer("/choices/0/delta/content").and_then(serde_json::Value::as_str);
            // The first chunk says only who speaks.
            Ok(text.filter(|text| !text.is_empty()).map(str::to_owned))
        };
        Ok(Box::pin(known(events, read)))
    }

    async fn events_of(
        &self,
        request: RequestBuilder,
        after: Option<&str>,
    ) -> Result<impl Stream<Item = Result<Sent>> + Send + use<>> {
        let request = match after {
            Some(id) => request.header("last-event-id", id),
            None => request,
        };
        let answer = self.send(request.header(header::ACCEPT, "text/event-stream")).await?;
        let url = self.url.to_string();
        let pieces = answer.bytes_stream().map(move |piece| {
            piece.map_err(|error| ClientError::Unreachable {
                url: url.clone(),
                reason: cause(&error.without_url()),
            })
        });
        Ok(stream::unfold((Box::pin(pieces), Parser::default()), |(mut pieces, mut parser)| async {
            loop {
                if let Some(event) = parser.ready.pop_front() {
                    return Some((Ok(event), (pieces, parser)));
                }
                match pieces.next().await? {
                    Ok(piece) => parser.feed(&piece),
                    Err(error) => return Some((Err(error), (pieces, parser))),
                }
            }
        }))
    }
}

fn parse<T: DeserializeOwned>(url: &str, data: &str) -> Result<T> {
    serde_json::from_str(data)
        .map_err(|error| ClientError::Unexpected { url: url.to_owned(), reason: error.to_string() })
}

/// Those events that are known.
fn known<T: Send>(
    events: impl Stream<Item = Result<Sent>> + Send,
    read: impl Fn(Sent) -> Result<Option<T>> + Send,
) -> impl Stream<Item = Result<T>> + Send {
    events.filter_map(move |sent| std::future::ready(sent.and_then(&read).transpose()))
}

/// Server-sent events out of pieces: <https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream>.
#[derive(Debug, Default)]
struct Parser {
    rest: Vec<u8>,
    event: Sent,
    has_data: bool,
    ready: VecDeque<Sent>,
}

impl Parser {
    fn feed(&mut self, piece: &[u8]) {
        self.rest.extend_from_slice(piece);
        let mut from = 0;
        while let Some(length) = self.rest[from..].iter().position(|byte| *byte == b'\n') {
            let line = String::from_utf8_lossy(&self.rest[from..from + length]).into_owned();
            from += length + 1;
            self.line(line.strip_suffix('\r').unwrap_or(&line));
        }
        self.rest.drain(..from);
    }

    fn line(&mut self, line: &str) {
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            if std::mem::take(&mut self.has_data) {
                self.ready.push_back(event);
            }
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event.kind),
            "id" => value.clone_into(&mut self.event.id),
            "data" => {
                if self.has_data {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
                self.has_data = true;
            }
            _ => {}
        }
    }
}

/// The server's own, or one of like shape: `invalid_url`, `server_unreachable` or `unexpected`.
impl From<ClientError> for Problem {
    fn from(error: ClientError) -> Self {
        let code = match error {
            ClientError::Refused { problem, .. } => return *problem,
            ClientError::Url { .. } => "invalid_url",
            ClientError::Unreachable { .. } => "server_unreachable",
            ClientError::Unexpected { .. } => "unexpected",
        };
        Self::new(code, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_found_however_they_are_cut() {
        let text = ": alive\n\nevent: line\nid: 1-0\ndata: {\"a\":\ndata: 1}\r\n\r\ndata:x\n\nevent: end\n\ndata\n\nid: 5";
        let event = |kind: &str, id: &str, data: &str| Sent {
            kind: kind.to_owned(),
            id: id.to_owned(),
            data: data.to_owned(),
        };
        let expected = [event("line", "1-0", "{\"a\":\n1}"), event("", "", "x"), event("", "", "")];
        for size in 1..text.len() {
            let mut parser = Parser::default();
            text.as_bytes().chunks(size).for_each(|piece| parser.feed(piece));
            assert_eq!(parser.ready, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn a_name_stays_in_its_place_of_the_path() {
        let client = Client::new("http://127.0.0.1:1/", None).expect("a URL");
        let request = client.request(Method::GET, &["agents", "../shutdown?x#y"]).build().expect("a request");
        assert_eq!(request.url().as_str(), "http://127.0.0.1:1/agents/..%2Fshutdown%3Fx%23y");
        for url in ["", "x", "https://127.0.0.1", "unix:///x"] {
            assert!(Client::new(url, None).is_err(), "{url:?}");
        }
    }
}
