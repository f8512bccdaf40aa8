//! `longshore serve` and `longshore agents` as processes, on the engine in memory.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

const KEY: &str = "sk-very-secret-0123456789";
/// How long anything may take that a test waits for.
const PATIENCE: Duration = Duration::from_secs(60);
/// Ports of agents: a few for each house, so that tests at the same time do not take each other's.
static PORTS: AtomicU16 = AtomicU16::new(0);
const PORTS_OF_EACH: u16 = 8;

/// A folder for a server and its clients, and all that they have ever said.
struct House {
    provider: &'static str,
    folder: TempDir,
    said: Mutex<String>,
}

struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl House {
    /// One whose agents are well soon.
    fn new() -> Self {
        let template = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/server/template");
        let text = format!("template = \"quick\"\ntemplates.quick = {template:?}\n");
        Self::with("keyed", &text)
    }

    /// One whose agents are as users have them.
    fn usual() -> Self {
        Self::with("openai", "")
    }

    fn with(provider: &'static str, settings: &str) -> Self {
        let house = Self { provider, folder: tempfile::tempdir().unwrap(), said: Mutex::default() };
        let number = PORTS.fetch_add(1, Ordering::Relaxed);
        // Processes of tests at the same time begin elsewhere.
        let first = 43_000 + (std::process::id() % 100) as u16 * 100 + number * PORTS_OF_EACH;
        let text = format!("[serve]\nports = \"{first}-{}\"\n{settings}", first + PORTS_OF_EACH - 1);
        fs::write(house.path("config.toml"), text).unwrap();
        house
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program, with nothing of this computer's environment.
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_longshore"));
        command.args(["--runtime", "mock", "--config", "config.toml"]).args(words);
        command.current_dir(self.folder.path()).env_clear().stdin(Stdio::null());
        command
    }

    fn serve_command(&self) -> Command {
        let words = ["--format", "json", "serve", "--listen", "127.0.0.1:0", "--state", "state"];
        let mut command = self.command(&words);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn serve(&self) -> Serving<'_> {
        let mut child = self.serve_command().spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, noise) = mpsc::channel();
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let mut stdout = BufReader::new(stdout);
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let told: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        self.hear(&line);
        Serving { house: self, child, stdout, noise, heard: String::new(), told }
    }

    fn agents(&self, words: &[&str]) -> Ran {
        self.ran(self.agents_command(words).output().unwrap())
    }

    fn agents_command(&self, words: &[&str]) -> Command {
        let mut command = self.command(&["agents", "--state", "state"]);
        command.args(words).env("LONGSHORE_API_KEY", KEY);
        command
    }

    fn ran(&self, output: Output) -> Ran {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let ran =
            Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) };
        self.hear(&ran.stdout);
        self.hear(&ran.stderr);
        ran
    }

    /// What it printed, if it ended well.
    fn ok(&self, words: &[&str]) -> String {
        let ran = self.agents(words);
        assert_eq!(ran.code, Some(0), "{words:?}: {}", ran.stderr);
        ran.stdout
    }

    fn create(&self, name: &str, model: &str) -> Ran {
        self.agents(&["create", name, "--provider", self.provider, "--model", model])
    }

    fn state(&self, name: &str) -> String {
        let agent: Value = serde_json::from_str(&self.ok(&["show", name, "--format", "json"])).unwrap();
        agent["state"].as_str().unwrap().to_owned()
    }

    fn becomes(&self, name: &str, state: &str) {
        let begin = Instant::now();
        while self.state(name) != state {
            assert!(begin.elapsed() < PATIENCE, "{name} is {} and not {state}", self.state(name));
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn hear(&self, text: &str) {
        self.said.lock().unwrap().push_str(text);
    }

    /// Nothing that anybody said holds a secret.
    fn keeps_its_secrets(&self) {
        let said = self.said.lock().unwrap();
        let token = fs::read_to_string(self.path("state/token")).unwrap();
        for secret in [KEY, token.trim()] {
            assert!(!said.contains(secret), "{said}");
        }
    }
}

/// A server that listens.
struct Serving<'a> {
    house: &'a House,
    child: Child,
    stdout: BufReader<std::process::ChildStdout>,
    noise: mpsc::Receiver<String>,
    heard: String,
    told: Value,
}

impl Serving<'_> {
    fn url(&self) -> &str {
        self.told["url"].as_str().unwrap()
    }

    fn send(&self, signal: &str) {
        signal_to(&self.child, signal);
    }

    /// Hears the next line of stderr; `false` at the end of them.
    fn listen(&mut self) -> bool {
        let Ok(line) = self.noise.recv_timeout(PATIENCE) else { return false };
        self.heard.push_str(&line);
        self.heard.push('\n');
        true
    }

    /// Waits until it has said that.
    fn says(&mut self, what: &str) {
        while !self.heard.contains(what) {
            assert!(self.listen(), "it never said {what:?}, but {}", self.heard);
        }
    }

    /// Waits for its end: the exit code, and what it said on stderr.
    fn end(mut self) -> (Option<i32>, String) {
        let begin = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(begin.elapsed() < PATIENCE, "it does not end");
            thread::sleep(Duration::from_millis(10));
        };
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "", "one object, and nothing else");
        while self.listen() {}
        self.house.hear(&self.heard);
        (status.code(), std::mem::take(&mut self.heard))
    }
}

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn signal_to(child: &Child, signal: &str) {
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
}

/// The whole answer of a server to a request.
fn asked(url: &str, path: &str) -> String {
    let address = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// What its last word says of the shutdown.
fn report(noise: &str) -> Value {
    let last = noise.lines().last().unwrap_or_default();
    let object: Value = serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {noise}"));
    object["shutdown"].clone()
}

#[test]
fn an_agent_is_created_talked_to_and_deleted() {
    let house = House::usual();
    let server = house.serve();
    assert_eq!(server.told["engine"]["backend"], "mock");
    assert_eq!(server.told["token_file"], house.path("state/token").to_str().unwrap());

    // The link that it prints opens the page, signed in, once.
    let link = server.told["link"].as_str().unwrap();
    let path = link.strip_prefix(server.url()).unwrap();
    for signs_in in [true, false] {
        let answer = asked(server.url(), path);
        assert!(answer.starts_with("HTTP/1.1 303") && answer.contains("location: /\r\n"), "{answer}");
        assert_eq!(answer.contains("set-cookie: longshore-"), signs_in, "{answer}");
    }
    assert!(asked(server.url(), "/").contains("<title>Longshore</title>"));

    let ran = house.create("scout", "echo?healthy-after-ms=200");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "scout  running\n"), "{}", ran.stderr);
    assert!(ran.stderr.contains("scout  creating browseros-claw-scout-gateway-1\n"), "{}", ran.stderr);
    assert!(ran.stderr.contains("scout  waiting until it is well\n"), "{}", ran.stderr);

    let list = house.ok(&["list"]);
    let rows: Vec<Vec<&str>> = list.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["NAME", "STATE", "MODEL", "PORT", "IMAGE"]);
    assert_eq!(rows[1][..3], ["scout", "running", "echo?healthy-after-ms=200"]);
    let list: Value = serde_json::from_str(&house.ok(&["list", "--format", "json"])).unwrap();
    assert_eq!(list["agents"][0]["name"], "scout");

    assert_eq!(house.ok(&["chat", "scout", "hello", "there"]), "echo: hello there\n");
    let answer: Value =
        serde_json::from_str(&house.ok(&["chat", "scout", "hi", "--format", "json"])).unwrap();
    assert_eq!(answer["answer"], "echo: hi");
    assert!(house.ok(&["logs", "scout"]).starts_with("agent echo"), "{}", house.ok(&["logs", "scout"]));
    assert_eq!(house.ok(&["logs", "scout", "-n", "1"]), "chat 1 messages\n");

    assert_eq!(house.ok(&["delete", "scout"]), "scout  deleted\n");
    assert_eq!(house.ok(&["list"]).lines().count(), 1);
    assert!(house.ok(&["status"]).contains("engine    mock "));
    house.keeps_its_secrets();
}

#[test]
fn an_agent_is_stopped_and_started() {
    let house = House::new();
    let _server = house.serve();
    assert_eq!(house.create("scout", "echo").code, Some(0));
    assert_eq!(house.ok(&["stop", "scout"]), "scout  stopped\n");
    let ran = house.agents(&["chat", "scout", "hello"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{}", ran.stderr);
    assert_eq!(house.ok(&["start", "scout"]), "scout  running\n");
    // The answer that breaks off is a failure, with what came of it.
    let ran = house.agents(&["chat", "scout", "!crash"]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains("broke off"), "{}", ran.stderr);
}

#[test]
fn what_is_wrong_is_one_block_with_help() {
    let house = House::usual();
    let ran = house.agents(&["list", "--server", "http://127.0.0.1:1"]);
    assert_eq!(ran.code, Some(69), "{}", ran.stderr);
    insta::assert_snapshot!(ran.stderr.replace(" (os error 61)", " (os error 111)"), @r"
    error: no server answers at http://127.0.0.1:1/: Connection refused (os error 111)
    help: `longshore serve` starts one; --server names another
    ");
    let server = house.serve();
    let ran = house.ran(
        house
            .agents_command(&["create", "My Agent", "--provider", "openai", "--model", ""])
            .env_remove("LONGSHORE_API_KEY")
            .output()
            .unwrap(),
    );
    assert_eq!(ran.code, Some(64), "{}", ran.stderr);
    insta::assert_snapshot!(ran.stderr, @r#"
    error: the agent cannot be created so: see name, api_key, model
      name: holds 'M'; a name is of lower-case letters, digits and hyphens, like "my-agent"
      api_key: is missing; openai needs one
      model: is empty
    help: the key is in the file that --api-key-file names (`-` is stdin), or in LONGSHORE_API_KEY
    "#);
    let ran = house.agents(&["show", "nobody"]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    insta::assert_snapshot!(ran.stderr, @r#"
    error: there is no agent "nobody"
    help: `longshore agents --state state list` shows those that there are
    "#);
    let ran = house.agents(&["show", "nobody", "--format", "json"]);
    let error: Value = serde_json::from_str(&ran.stderr).unwrap();
    assert_eq!(error["error"]["code"], "not_found");
    // Another state has another token.
    let url = server.url().to_owned();
    let ran = house.agents(&["stop", "nobody", "--server", &url, "--state", "other"]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    insta::assert_snapshot!(ran.stderr, @r#"
    error: this needs the server's token
    help: the token is in the file `token` of the server's state: name that folder with --state, or give the token in LONGSHORE_TOKEN
    "#);
    let ran = house.agents(&["list", "--server", "nonsense"]);
    assert_eq!(ran.code, Some(64), "{}", ran.stderr);
    let ran = house.ran(house.command(&["serve", "--listen", "0.0.0.0:0", "--state", "x"]).output().unwrap());
    assert_eq!(ran.code, Some(64), "{}", ran.stderr);
    assert!(ran.stderr.contains("help: --remote"), "{}", ran.stderr);
    let address = url.trim_start_matches("http://");
    let ran = house.ran(house.command(&["serve", "--listen", address, "--state", "x"]).output().unwrap());
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains("help: stop what listens there"), "{}", ran.stderr);
    assert_eq!(ran.stderr.matches("error: ").count(), 1, "{}", ran.stderr);
}

#[test]
fn a_signal_ends_it_in_order_and_what_ran_runs_again() {
    let house = House::new();
    for signal in ["-TERM", "-INT"] {
        let server = house.serve();
        if signal == "-TERM" {
            assert_eq!(house.create("scout", "echo").code, Some(0));
        }
        house.becomes("scout", "running");
        let agent: Value = serde_json::from_str(&house.ok(&["show", "scout", "--format", "json"])).unwrap();
        let port = agent["port"].as_u64().unwrap();
        server.send(signal);
        let (code, noise) = server.end();
        assert_eq!(code, Some(0), "{noise}");
        assert_eq!(report(&noise)["stopped"], serde_json::json!(["scout"]), "{noise}");
        assert_eq!(report(&noise)["machine"], "not_needed");
        let connected = TcpStream::connect(("127.0.0.1", u16::try_from(port).unwrap()));
        assert!(connected.is_err(), "nothing of it is left");
        assert!(!house.path("state/address").exists());
    }
    house.keeps_its_secrets();
}

#[test]
fn a_second_signal_does_not_wait() {
    let house = House::new();
    let mut server = house.serve();
    assert_eq!(house.create("stubborn", "echo?ignore-term").code, Some(0));
    server.send("-TERM");
    server.says("Stopping");
    server.send("-INT");
    let (code, noise) = server.end();
    assert_eq!(code, Some(0), "{noise}");
    assert_eq!(report(&noise)["stopped"], serde_json::json!(["stubborn"]), "{noise}");
}

#[test]
fn a_clients_shutdown_ends_it_too() {
    let house = House::new();
    let server = house.serve();
    let token = fs::read_to_string(house.path("state/token")).unwrap();
    let address = server.url().trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(&address).unwrap();
    write!(
        stream,
        "POST /shutdown HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ncontent-length: 0\r\n\r\n",
        token.trim()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let (code, noise) = server.end();
    assert_eq!(code, Some(0), "{noise}");
}

#[test]
fn a_second_server_on_the_same_state_is_told_where_the_first_is() {
    let house = House::new();
    let server = house.serve();
    let second = house.ran(house.serve_command().output().unwrap());
    assert_eq!((second.code, second.stdout.as_str()), (Some(1), ""), "{}", second.stderr);
    let error: Value = serde_json::from_str(&second.stderr).unwrap();
    assert_eq!(error["error"]["code"], "state_in_use");
    assert!(error["error"]["message"].as_str().unwrap().contains(server.url()), "{}", second.stderr);
    // The first is none the worse.
    house.ok(&["list"]);
}

#[test]
fn what_a_killed_server_was_creating_is_created_by_the_next() {
    let house = House::new();
    let server = house.serve();
    let words =
        ["create", "scout", "--provider", "keyed", "--model", "echo?healthy-after-ms=1000", "--no-wait"];
    assert_eq!(house.ok(&words), "scout  creating\n");
    server.send("-KILL");
    assert_eq!(server.end().0, None);
    let server = house.serve();
    house.becomes("scout", "running");
    assert_eq!(house.ok(&["chat", "scout", "hi"]), "echo: hi\n");
    server.send("-TERM");
    assert_eq!(server.end().0, Some(0));
    house.keeps_its_secrets();
}

#[test]
fn a_wait_that_is_ended_leaves_the_order_to_the_server() {
    let house = House::new();
    let server = house.serve();
    let mut create = house
        .agents_command(&["create", "scout", "--provider", "keyed", "--api-key-file", "-"])
        .args(["--model", "echo?healthy-after-ms=3000"])
        .env_remove("LONGSHORE_API_KEY")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    writeln!(create.stdin.take().unwrap(), "{KEY}").unwrap();
    let mut lines = BufReader::new(create.stderr.take().unwrap()).lines();
    let waits = |line: &str| line.ends_with("waiting until it is well");
    assert!(lines.any(|line| waits(&line.unwrap())));
    for child in [&create, &server.child] {
        let path = format!("/proc/{}/cmdline", child.id());
        // Where there is none, others cannot read it so.
        if let Ok(line) = fs::read_to_string(path) {
            assert!(line.contains("mock"), "{line:?}");
            house.hear(&line);
        }
    }
    signal_to(&create, "-INT");
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    assert_eq!(create.wait().unwrap().code(), Some(130));
    assert!(rest.iter().any(|line| line.contains("goes on in the server")), "{rest:?}");
    house.becomes("scout", "running");
    house.keeps_its_secrets();
}

/// What lets a connection through until it is told to cut it.
struct Wire {
    url: String,
    connections: Arc<Mutex<Vec<TcpStream>>>,
}

impl Wire {
    fn to(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let wire =
            Self { url: format!("http://{}", listener.local_addr().unwrap()), connections: Arc::default() };
        let (there, connections) = (url.trim_start_matches("http://").to_owned(), wire.connections.clone());
        thread::spawn(move || {
            while let Ok((near, _)) = listener.accept() {
                let far = TcpStream::connect(&there).unwrap();
                for (mut from, mut to) in [
                    (near.try_clone().unwrap(), far.try_clone().unwrap()),
                    (far.try_clone().unwrap(), near.try_clone().unwrap()),
                ] {
                    thread::spawn(move || std::io::copy(&mut from, &mut to));
                }
                connections.lock().unwrap().extend([near, far]);
            }
        });
        wire
    }

    fn cut(&self) {
        for connection in self.connections.lock().unwrap().drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

#[test]
fn a_followed_log_goes_on_where_its_connection_broke() {
    let house = House::new();
    let server = house.serve();
    assert_eq!(house.create("scout", "echo").code, Some(0));
    let wire = Wire::to(server.url());
    let mut follow = house
        .agents_command(&["logs", "scout", "-f", "--server", &wire.url])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.next().unwrap().starts_with("agent echo"));
    for number in 2..5 {
        wire.cut();
        house.ok(&["chat", "scout", &format!("!flood {number}")]);
        for _ in 0..number {
            let line = lines.next().unwrap();
            assert!(!line.starts_with("agent echo"), "nothing is told twice: {line}");
        }
        let last = lines.next().unwrap();
        assert!(last.starts_with("chat") || last.starts_with("flood"), "{last}");
    }
    house.ok(&["delete", "scout"]);
    assert_eq!(follow.wait().unwrap().code(), Some(0));
}

#[test]
fn a_log_is_followed_to_its_end() {
    let house = House::new();
    let _server = house.serve();
    assert_eq!(house.create("scout", "echo").code, Some(0));
    let mut follow = house
        .agents_command(&["logs", "scout", "-f"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.next().unwrap().starts_with("agent echo"));
    house.ok(&["chat", "scout", "hi"]);
    assert_eq!(lines.next().as_deref(), Some("chat 1 messages"));
    house.ok(&["delete", "scout"]);
    assert!(lines.all(|line| line == "stopping"));
    assert_eq!(follow.wait().unwrap().code(), Some(0));
}
