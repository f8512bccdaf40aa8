//! The agent over real sockets. Time, where it matters, is tokio's and paused.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{io::Read, time::Duration};

use futures_util::future::pending;
use mock_agent::{Line, Options, serve};
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::Instant,
};

const TOKEN: &str = "s3cret";

struct Running {
    address: String,
    client: Client,
    lines: mpsc::UnboundedReceiver<Line>,
    stop: oneshot::Sender<()>,
    life: JoinHandle<u8>,
}

async fn start(model: &str) -> Running {
    start_with(Options::parse(TOKEN, model).unwrap()).await
}

async fn start_with(options: Options) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (sender, lines) = mpsc::unbounded_channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let io = move |line| drop(sender.send(line));
    let life = tokio::spawn(serve(listener, options, io, async move {
        if stopped.await.is_err() {
            pending::<()>().await;
        }
    }));
    // Without a pool there is no timer of its, which a paused clock would run to.
    let client = Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap();
    Running { address, client, lines, stop, life }
}

fn says(stream: bool, message: &str) -> Value {
    json!({"model": "any", "stream": stream, "messages": [
        {"role": "system", "content": "be brief"}, {"role": "user", "content": message}]})
}

impl Running {
    async fn get(&self, path: &str, token: Option<&str>) -> Response {
        let request = self.client.get(format!("http://{}{path}", self.address));
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        request.send().await.unwrap()
    }

    async fn health(&self) -> StatusCode {
        self.get("/healthz", None).await.status()
    }

    fn post(&self, body: &Value) -> reqwest::RequestBuilder {
        self.client.post(format!("http://{}/v1/chat/completions", self.address)).bearer_auth(TOKEN).json(body)
    }

    async fn ask(&self, message: &str) -> String {
        let answer: Value = self.post(&says(false, message)).send().await.unwrap().json().await.unwrap();
        answer["choices"][0]["message"]["content"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    async fn stream(&self, message: &str) -> Response {
        self.post(&says(true, message)).send().await.unwrap()
    }

    /// Waits for a line, past others.
    async fn logs(&mut self, wanted: &str) {
        loop {
            match self.lines.recv().await.expect(wanted) {
                Line::Out(line) | Line::Err(line) if line == wanted => return,
                _ => {}
            }
        }
    }

    /// Stops it, and returns its exit code and what it logged.
    fn tell_to_stop(&mut self) {
        let (unused, _) = oneshot::channel();
        std::mem::replace(&mut self.stop, unused).send(()).unwrap();
    }

    async fn stop(mut self) -> (u8, Vec<String>) {
        self.tell_to_stop();
        let code = self.life.await.unwrap();
        let mut lines = Vec::new();
        while let Some(Line::Out(line) | Line::Err(line)) = self.lines.recv().await {
            lines.push(line);
        }
        (code, lines)
    }
}

/// The data of a stream's events.
async fn events(response: Response) -> Vec<String> {
    let text = response.text().await.unwrap();
    text.split_terminator("\n\n").map(|event| event.strip_prefix("data: ").unwrap().to_owned()).collect()
}

#[tokio::test]
async fn nothing_but_health_is_answered_without_the_token() {
    let agent = start("echo").await;
    assert_eq!(agent.health().await, StatusCode::OK);
    for token in [None, Some("wrong"), Some("")] {
        let response = agent.get("/v1/models", token).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        let error: Value = response.json().await.unwrap();
        assert_eq!(error["error"]["type"], "invalid_request_error");
        assert_eq!(error["error"]["code"], "invalid_api_key");
        assert!(!error.to_string().contains(TOKEN));
    }
    let url = format!("http://{}/v1/chat/completions", agent.address);
    // Not even that the body is none.
    let response = agent.client.post(url).body("{").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    let (code, lines) = agent.stop().await;
    assert_eq!((code, lines.len(), lines[1].as_str()), (0, 2, "stopping"));
}

#[tokio::test]
async fn models_lists_the_model() {
    let agent = start("acme/echo?delay-ms=1").await;
    let list: Value = agent.get("/v1/models", Some(TOKEN)).await.json().await.unwrap();
    assert_eq!(list["object"], "list");
    assert_eq!(list["data"][0]["id"], "acme/echo?delay-ms=1");
    assert_eq!(list["data"][0]["object"], "model");
}

#[tokio::test]
async fn a_whole_answer_is_a_chat_completion() {
    let agent = start("echo").await;
    let answer: Value = agent.post(&says(false, "a  b\nc")).send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["object"], "chat.completion");
    assert_eq!(answer["model"], "echo");
    assert_eq!(answer["choices"][0]["message"], json!({"role": "assistant", "content": "echo: a  b\nc"}));
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
}

#[tokio::test]
async fn the_last_message_of_the_user_is_answered() {
    let agent = start("echo").await;
    let body = json!({"messages": [
        {"role": "user", "content": "first"},
        {"role": "user", "content": [{"type": "text", "text": "in "}, {"type": "text", "text": "parts"}]},
        {"role": "assistant", "content": null},
    ]});
    let answer: Value = agent.post(&body).send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["choices"][0]["message"]["content"], "echo: in parts");
}

#[tokio::test(start_paused = true)]
async fn a_stream_has_a_chunk_for_each_word() {
    let agent = start("echo?delay-ms=1000").await;
    let begin = Instant::now();
    let response = agent.stream("hello  world").await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let events = events(response).await;
    assert!(begin.elapsed() >= Duration::from_secs(2));
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
    let chunks: Vec<Value> =
        events[..events.len() - 1].iter().map(|event| serde_json::from_str(event).unwrap()).collect();
    assert!(
        chunks
            .iter()
            .all(|chunk| chunk["object"] == "chat.completion.chunk" && chunk["id"] == chunks[0]["id"])
    );
    let said: Vec<&Value> = chunks.iter().map(|chunk| &chunk["choices"][0]["delta"]).collect();
    assert_eq!(
        json!(said),
        json!([{"role": "assistant", "content": ""}, {"content": "echo: "}, {"content": "hello  "},
        {"content": "world"}, {}])
    );
    assert_eq!(chunks[3]["choices"][0]["finish_reason"], Value::Null);
    assert_eq!(chunks[4]["choices"][0]["finish_reason"], "stop");
    let (_, lines) = agent.stop().await;
    assert!(!lines.contains(&"chat cancelled".to_owned()));
}

#[tokio::test]
async fn what_is_no_chat_is_refused_in_openais_shape() {
    let agent = start("echo").await;
    let cases = [
        (json!({"messages": "hello"}), "this is no chat: "),
        (json!({"messages": []}), "there is no message of the user"),
        (says(false, "!flood many"), "\"many\" is not a whole number"),
        (says(true, "!env"), "it is written !env NAME"),
    ];
    for (body, message) in cases {
        let response = agent.post(&body).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        let error: Value = response.json().await.unwrap();
        assert!(error["error"]["message"].as_str().unwrap().starts_with(message), "{error}");
    }
    let response = agent.get("/v1/nothing", Some(TOKEN)).await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    assert!(response.json::<Value>().await.unwrap()["error"]["message"].is_string());
}

#[tokio::test]
async fn a_client_that_goes_away_in_the_middle_is_logged() {
    let mut agent = start("echo").await;
    // More than any buffer holds.
    let mut stream = agent.stream("!count 1000000").await;
    assert!(stream.chunk().await.unwrap().is_some());
    assert_eq!(agent.ask("!clients").await, "1");
    drop(stream);
    agent.logs("chat cancelled").await;
    assert_eq!(agent.ask("!clients").await, "0");
}

#[tokio::test]
async fn a_client_that_goes_away_before_an_answer_is_logged() {
    let mut agent = start("echo").await;
    let request = agent.post(&says(false, "!hang")).send();
    tokio::select! {
        _ = request => panic!("answered"),
        () = agent.logs("chat 2 messages") => {}
    }
    agent.logs("chat cancelled").await;
}

#[tokio::test]
async fn a_crash_ends_it_once_the_head_is_sent() {
    for (message, code) in [("!crash", 3), ("!crash 7", 7)] {
        for stream in [true, false] {
            let agent = start("echo").await;
            let response = agent.post(&says(stream, message)).send().await.unwrap();
            assert_eq!(response.status(), StatusCode::OK);
            assert!(response.bytes().await.is_err());
            assert_eq!(agent.life.await.unwrap(), code);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn it_crashes_after_its_time() {
    let begin = Instant::now();
    let mut agent = start("echo?crash-after-ms=2000").await;
    assert_eq!(agent.life.await.unwrap(), 3);
    assert!(begin.elapsed() >= Duration::from_secs(2));
    assert!(matches!(agent.lines.recv().await, Some(Line::Out(_))));
    assert_eq!(agent.lines.recv().await, Some(Line::Err("crashed with 3".to_owned())));
    assert_eq!(agent.lines.recv().await, None);
}

fn floods(lines: &[String]) -> usize {
    lines.iter().filter(|line| line.starts_with("flood ") && line.len() == 99).count()
}

#[tokio::test]
async fn a_flood_has_as_many_lines_as_was_asked_for() {
    let agent = start("echo?flood=10").await;
    assert_eq!(agent.ask("!flood 2500").await, "flooded");
    assert_eq!(floods(&agent.stop().await.1), 2510);
}

#[tokio::test(start_paused = true)]
async fn a_steady_flood_keeps_its_rate() {
    let agent = start("echo").await;
    assert_eq!(agent.ask("!flood-rate 1000 2").await, "flooding");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(floods(&agent.stop().await.1), 20);

    let mut agent = start("echo?flood-bytes-per-s=1000").await;
    let begin = Instant::now();
    agent.logs(&format!("flood {:010} {}", 100, "x".repeat(82))).await;
    let past = begin.elapsed();
    assert!((10_000..10_200).contains(&past.as_millis()), "{past:?}");
}

#[tokio::test(start_paused = true)]
async fn it_is_healthy_when_its_time_has_come() {
    let agent = start("echo?healthy-after-ms=1000").await;
    assert_eq!(agent.health().await, StatusCode::SERVICE_UNAVAILABLE);
    tokio::time::advance(Duration::from_millis(1000)).await;
    let response = agent.get("/healthz", None).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.text().await.unwrap(), r#"{"ok":true}"#);
}

#[tokio::test]
async fn its_health_can_be_told() {
    let agent = start("echo?unhealthy").await;
    assert_eq!(agent.health().await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(agent.ask("!healthy").await, "healthy");
    assert_eq!(agent.health().await, StatusCode::OK);
    assert_eq!(agent.ask("!unhealthy").await, "unhealthy");
    assert_eq!(agent.health().await, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test(start_paused = true)]
async fn it_listens_when_its_time_has_come() {
    let begin = Instant::now();
    let mut agent = start("late?start-after-ms=500").await;
    agent.logs(&format!("agent late listening on {}", agent.address)).await;
    assert!(begin.elapsed() >= Duration::from_millis(500));
    assert_eq!(agent.health().await, StatusCode::OK);
}

#[tokio::test]
async fn who_comes_before_that_is_turned_away() {
    let agent = start("echo?start-after-ms=4294967295").await;
    let address = agent.address.clone();
    let read = tokio::task::spawn_blocking(move || {
        let mut stream = std::net::TcpStream::connect(address)?;
        stream.read(&mut [0])
    });
    assert_eq!(read.await.unwrap().unwrap(), 0);
    assert_eq!(agent.stop().await, (0, vec!["stopping".to_owned()]));
}

#[tokio::test]
async fn it_may_ignore_that_it_should_stop() {
    let mut agent = start("echo?ignore-term").await;
    agent.tell_to_stop();
    agent.logs("ignored SIGTERM").await;
    assert_eq!(agent.ask("still there?").await, "echo: still there?");
}

#[tokio::test]
async fn it_may_answer_until_it_has_stopped() {
    let mut agent = start("echo?stop-after-ms=60000").await;
    agent.tell_to_stop();
    agent.logs("stopping").await;
    assert_eq!(agent.ask("still there?").await, "echo: still there?");
    tokio::time::pause();
    assert_eq!((&mut agent.life).await.unwrap(), 0);
}

#[tokio::test]
async fn nothing_is_left_when_it_is_dropped() {
    let mut agent = start("echo?flood-bytes-per-s=1").await;
    let mut stream = agent.stream("!count 1000000").await;
    assert!(stream.chunk().await.unwrap().is_some());
    agent.logs("chat 2 messages").await;
    agent.life.abort();
    assert!(agent.life.await.unwrap_err().is_cancelled());
    assert_eq!(agent.lines.recv().await, None);
    assert!(TcpStream::connect(&agent.address).await.is_err());
    while stream.chunk().await.is_ok_and(|chunk| chunk.is_some()) {}
}

#[tokio::test]
async fn what_is_secret_is_not_told() {
    let mut options = Options::parse(TOKEN, "echo").unwrap();
    options.environment.insert("COLOR".to_owned(), "blue".to_owned());
    options.environment.insert("HEADER".to_owned(), format!("Bearer {TOKEN}"));
    assert_eq!(format!("{options:?}"), r#"Options { model: "echo", environment: ["COLOR", "HEADER"], .. }"#);
    let agent = start_with(options).await;
    assert_eq!(agent.ask("!env COLOR").await, "blue");
    assert_eq!(agent.ask("!env HEADER").await, "");
    assert_eq!(agent.ask("!env NOTHING").await, "");
    assert_eq!(agent.ask("!token").await, "echo: !token");
    let address = agent.address.clone();
    let (_, lines) = agent.stop().await;
    let mut expected = vec![format!("agent echo listening on {address}")];
    expected.extend(vec!["chat 2 messages".to_owned(); 4]);
    expected.push("stopping".to_owned());
    assert_eq!(lines, expected);
}
