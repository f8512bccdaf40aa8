//! Chats: what is asked, and the answer whole or word by word.

use std::{
    convert::Infallible,
    future::pending,
    iter::once,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    Json,
    body::{Body, Bytes},
    extract::{State, rejection::BytesRejection},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::{Stream, stream};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    agent::{Agent, OpenChat},
    command::Command,
    flood,
    http::{Authorized, Refusal},
};

/// What is read of a request; the rest may be there.
#[derive(Deserialize)]
struct Request {
    messages: Vec<Message>,
    #[serde(default)]
    stream: bool,
}

#[derive(Deserialize)]
struct Message {
    role: String,
    content: Option<Content>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

/// An image for one has no text.
#[derive(Deserialize)]
struct Part {
    text: Option<String>,
}

impl Request {
    fn last_of_user(&self) -> Option<String> {
        let message = self.messages.iter().rev().find(|message| message.role == "user")?;
        match message.content.as_ref()? {
            Content::Text(text) => Some(text.clone()),
            Content::Parts(parts) => Some(parts.iter().filter_map(|part| part.text.as_deref()).collect()),
        }
    }
}

/// An answer word by word; together they are the answer, spaces and all.
type Words = Box<dyn Iterator<Item = String> + Send>;

fn words(text: &str) -> Words {
    let mut words: Vec<String> = Vec::new();
    for piece in text.split_inclusive(char::is_whitespace) {
        match words.last_mut() {
            // More space behind the word before.
            Some(word) if piece.trim().is_empty() => word.push_str(piece),
            _ => words.push(piece.to_owned()),
        }
    }
    Box::new(words.into_iter())
}

fn count(most: u32) -> Words {
    Box::new(
        (1..=most).map(move |number| if number < most { format!("{number} ") } else { number.to_string() }),
    )
}

/// `POST /v1/chat/completions`.
pub(crate) async fn complete(
    _: Authorized,
    State(agent): State<Arc<Agent>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let body = body.map_err(|rejection| Refusal::new(rejection.status(), rejection.body_text()))?;
    let wrong = |message: String| Refusal::new(StatusCode::BAD_REQUEST, message);
    let request: Request =
        serde_json::from_slice(&body).map_err(|error| wrong(format!("this is no chat: {error}")))?;
    agent.log(format!("chat {} messages", request.messages.len()));
    let message =
        request.last_of_user().ok_or_else(|| wrong("there is no message of the user".to_owned()))?;
    let command = Command::parse(&message).map_err(wrong)?;

    let others = agent.open_chats();
    let mut open = OpenChat::new(agent.clone());
    let words = match command {
        Command::Crash(code) => return Ok(crash(request.stream, open, agent, code)),
        Command::Hang => return pending().await,
        Command::Echo => words(&format!("echo: {message}")),
        Command::Count(most) => count(most),
        Command::Clients => words(&others.to_string()),
        Command::Env(name) => words(environment(&agent, &name)),
        Command::Flood(lines) => {
            flood::lines(&agent, lines).await;
            words("flooded")
        }
        Command::FloodRate(rate, time) => {
            agent.flood(rate, time);
            words("flooding")
        }
        Command::Healthy(healthy) => {
            agent.tell_health(healthy);
            words(if healthy { "healthy" } else { "unhealthy" })
        }
    };
    let id = Id::new(&agent);
    Ok(if request.stream {
        events(Body::from_stream(word_by_word(id, words, agent.options.delay, open)))
    } else {
        open.answered();
        Json(id.whole(words)).into_response()
    })
}

/// The agent's token is in its environment too.
fn environment<'a>(agent: &'a Agent, name: &str) -> &'a str {
    match agent.options.environment.get(name) {
        Some(value) if value.contains(&agent.options.token) => "",
        Some(value) => value,
        None => "",
    }
}

fn events(body: Body) -> Response {
    ([(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")], body).into_response()
}

/// Sends the head of an answer, and no more.
fn crash(streaming: bool, open: OpenChat, agent: Arc<Agent>, code: u8) -> Response {
    let body = Body::from_stream(stream::once(async move {
        let _open = open;
        // The head is sent when the body makes it wait.
        tokio::task::yield_now().await;
        agent.exit(code);
        pending::<Result<String, Infallible>>().await
    }));
    if streaming {
        events(body)
    } else {
        ([(header::CONTENT_TYPE, "application/json")], body).into_response()
    }
}

/// What all parts of one answer say alike.
struct Id {
    id: String,
    created: u64,
    model: String,
}

impl Id {
    fn new(agent: &Agent) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            id: format!("chatcmpl-{}", agent.next_chat()),
            created: now.as_secs(),
            model: agent.options.model.clone(),
        }
    }

    fn object(&self, kind: &str, choice: &Value) -> Value {
        json!({"id": self.id, "object": kind, "created": self.created, "model": self.model, "choices": [choice]})
    }

    fn chunk(&self, delta: &Value, finish_reason: Option<&str>) -> String {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": finish_reason});
        self.object("chat.completion.chunk", &choice).to_string()
    }

    fn whole(&self, words: Words) -> Value {
        let mut tokens = 0;
        let content: String = words.inspect(|_| tokens += 1).collect();
        let message = json!({"role": "assistant", "content": content});
        let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
        let mut object = self.object("chat.completion", &choice);
        object["usage"] = json!({"prompt_tokens": 0, "completion_tokens": tokens, "total_tokens": tokens});
        object
    }
}

/// As OpenAI does: who speaks, each word, why it ends, and that it ended.
fn word_by_word(
    id: Id,
    words: Words,
    delay: Duration,
    open: OpenChat,
) -> impl Stream<Item = Result<String, Infallible>> + Send {
    let id = Arc::new(id);
    let first = id.chunk(&json!({"role": "assistant", "content": ""}), None);
    let last = [id.chunk(&json!({}), Some("stop")), "[DONE]".to_owned()];
    let words = words.enumerate().map(move |(at, word)| (at > 0, id.chunk(&json!({"content": word}), None)));
    let events = once((false, first)).chain(words).chain(last.map(|event| (false, event)));
    stream::unfold((events.peekable(), open), move |(mut events, mut open)| async move {
        let (late, data) = events.next()?;
        if late && !delay.is_zero() {
            sleep(delay).await;
        }
        if events.peek().is_none() {
            open.answered();
        }
        Some((Ok(format!("data: {data}\n\n")), (events, open)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_together_are_the_text() {
        let split = |text| words(text).collect::<Vec<_>>();
        assert_eq!(split("echo: a  b\n\nc "), ["echo: ", "a  ", "b\n\n", "c "]);
        assert_eq!(split("  a"), ["  ", "a"]);
        assert_eq!(split(""), Vec::<String>::new());
        assert_eq!(count(3).collect::<Vec<_>>(), ["1 ", "2 ", "3"]);
    }

    #[test]
    fn parts_without_text_are_passed_over() {
        let text = r#"{"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": "a"},
            {"type": "image_url", "image_url": {"url": "u"}}, {"type": "text", "text": "b"}]},
            {"role": "assistant", "content": null}]}"#;
        let request: Request = serde_json::from_str(text).unwrap();
        assert_eq!(request.last_of_user().as_deref(), Some("ab"));
        assert!(!request.stream);
    }
}
