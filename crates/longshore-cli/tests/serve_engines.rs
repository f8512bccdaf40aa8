//! `longshore serve` as a process on real engines: killed in the middle of everything, flooded, and looked through for secrets.
//!
//! An engine that is not here is shown as ignored; with `LONGSHORE_REQUIRE` naming it, its absence is a failure.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod engine;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use futures_util::StreamExt;
use libtest_mimic::{Arguments, Completion, Trial};
use longshore_server::{
    api::{Agent, AgentState, ChatRequest, CreateAgent, LogQuery},
    client::{Client, LogEvent, ServerEvent},
};
use tempfile::TempDir;

static COUNTER: AtomicUsize = AtomicUsize::new(0);

/// How long anything may take that a test waits for.
const PATIENCE: Duration = Duration::from_secs(90);
/// The agent of the template.
const IMAGE: &str = "localhost/longshore-agent:1";
const API_KEY: &str = "s3cret-key-of-a-provider";

type Outcome = Result<(), String>;

/// The state of one test's servers, and its part of an engine.
struct House {
    engine: &'static str,
    folder: TempDir,
    prefix: String,
}

/// A server of it that runs.
struct Server {
    child: Child,
    client: Client,
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that has ended already cannot be killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl House {
    fn new(engine: &'static str) -> Self {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let folder = tempfile::tempdir().unwrap();
        let prefix = format!("lsk{}x{number}-", std::process::id());
        let first = 20_000 + (std::process::id() % 300) * 20 + u32::try_from(number).unwrap() * 4;
        let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/server/template");
        let config = format!(
            "runtime = '{engine}'\nowner = 'longshore-tests'\n[serve]\nlisten = '127.0.0.1:0'\nprefix = '{prefix}'\n\
             state = '{}'\nports = '{first}-{}'\ntemplate = 'test'\n[serve.templates]\ntest = '{}'\n",
            folder.path().join("state").display(),
            first + 3,
            template.canonicalize().unwrap().display(),
        );
        fs::write(folder.path().join("config.toml"), config).unwrap();
        Self { engine, folder, prefix }
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// Starts a server, and returns when it answers.
    async fn start(&self) -> Server {
        let _ = fs::remove_file(self.state().join("address"));
        let stderr =
            fs::File::options().create(true).append(true).open(self.folder.path().join("stderr")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_longshore"))
            .arg("--config")
            .arg(self.folder.path().join("config.toml"))
            .arg("serve")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .unwrap();
        let url = until("the server listens", || fs::read_to_string(self.state().join("address")).ok()).await;
        let token = fs::read_to_string(self.state().join("token")).unwrap();
        let client = Client::new(url.trim(), Some(token.trim().to_owned())).unwrap();
        client.healthz().await.unwrap();
        Server { child, client }
    }

    fn wish(&self, name: &str, model: &str) -> CreateAgent {
        CreateAgent {
            name: name.to_owned(),
            provider: "keyed".to_owned(),
            api_key: Some(API_KEY.to_owned()),
            model: model.to_owned(),
            ..CreateAgent::default()
        }
    }

    fn things(&self) -> Vec<String> {
        engine::things_of(self.engine, &self.prefix)
    }
}

impl Server {
    /// SIGKILL: nothing of it gets to know.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    async fn wait_for(
        &self,
        name: &str,
        what: &str,
        mut is: impl FnMut(Option<&Agent>) -> bool,
    ) -> Result<(), String> {
        let seen = async {
            let mut events = self.client.events(None).await.map_err(|error| error.to_string())?;
            let mut last = None;
            while let Some(event) = events.next().await {
                match event.map_err(|error| error.to_string())?.0 {
                    ServerEvent::Snapshot(all) => {
                        last = all.agents.into_iter().find(|agent| agent.name == name)
                    }
                    ServerEvent::Agent(agent) if agent.name == name => last = Some(*agent),
                    ServerEvent::Deleted(deleted) if deleted.name == name => last = None,
                    _ => continue,
                }
                if is(last.as_ref()) {
                    return Ok(());
                }
            }
            Err(format!("the events ended; {last:?}"))
        };
        tokio::time::timeout(PATIENCE, seen)
            .await
            .unwrap_or_else(|_| Err("it took too long".to_owned()))
            .map_err(|error| format!("{name} {what}: {error}"))
    }

    async fn wait_for_state(&self, name: &str, state: AgentState) -> Outcome {
        self.wait_for(name, &format!("is {state:?}"), |agent| agent.is_some_and(|agent| agent.state == state))
            .await
    }

    async fn says(&self, name: &str, text: &str) -> Result<String, String> {
        let message = ChatRequest {
            messages: vec![serde_json::json!({ "role": "user", "content": text })],
            stream: None,
            model: None,
            rest: Default::default(),
        };
        let mut words = self.client.chat(name, &message).await.map_err(|error| error.to_string())?;
        let mut answer = String::new();
        while let Some(word) = words.next().await {
            answer.push_str(&word.map_err(|error| error.to_string())?);
        }
        Ok(answer)
    }
}

async fn until<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    let waiting = async {
        loop {
            if let Some(seen) = look() {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("never: {what}"))
}

/// Kills the server at every state of an agent. The next one does the rest, or shows what is so.
async fn a_server_that_is_killed_goes_on_where_it_was(house: &House) -> Outcome {
    let server = house.start().await;
    for (name, model) in [
        ("running", "echo"),
        ("stopped", "echo"),
        ("stopping", "echo?ignore-term"),
        ("deleting", "echo?ignore-term"),
    ] {
        server
            .client
            .create(&house.wish(name, model), true)
            .await
            .map_err(|error| format!("{name}: {error:?}"))?;
    }
    server.client.stop("stopped", true).await.map_err(|error| error.to_string())?;
    // In the middle of each: a grace period is ten seconds, and this one is never well.
    server.client.stop("stopping", false).await.map_err(|error| error.to_string())?;
    server.client.delete("deleting", false).await.map_err(|error| error.to_string())?;
    let port = server.client.agent("running").await.map_err(|error| error.to_string())?.port;
    server.wait_for_state("stopping", AgentState::Stopping).await?;
    server.wait_for_state("deleting", AgentState::Deleting).await?;
    server.kill();
    let server = house.start().await;
    server.wait_for_state("running", AgentState::Running).await?;
    server.wait_for_state("stopped", AgentState::Stopped).await?;
    server.wait_for_state("stopping", AgentState::Stopped).await?;
    server.wait_for("deleting", "is gone", |agent| agent.is_none()).await?;
    assert_eq!(server.says("running", "there").await?, "echo: there");
    assert_eq!(server.client.agent("running").await.map_err(|error| error.to_string())?.port, port);
    for name in ["running", "stopped", "stopping"] {
        server.client.delete(name, true).await.map_err(|error| format!("{name}: {error:?}"))?;
    }
    assert_eq!(house.things(), Vec::<String>::new());
    Ok(())
}

/// Kills the server again and again while it creates an agent, after one more of its news each time.
async fn a_creation_is_finished_however_often_the_server_is_killed(house: &House) -> Outcome {
    let server = house.start().await;
    server
        .client
        .create(&house.wish("scout", "echo?healthy-after-ms=1500"), false)
        .await
        .map_err(|e| format!("{e:?}"))?;
    server.kill();
    for round in 0..6 {
        let server = house.start().await;
        let mut news = 0;
        let seen = |agent: Option<&Agent>| {
            news += 1;
            news > round || agent.is_some_and(|agent| agent.state == AgentState::Running)
        };
        server.wait_for("scout", "has news", seen).await?;
        server.kill();
    }
    let server = house.start().await;
    server.wait_for_state("scout", AgentState::Running).await?;
    assert_eq!(server.says("scout", "there").await?, "echo: there");
    let containers = house.things().into_iter().filter(|name| name.ends_with("-agent-1")).count();
    assert_eq!(containers, 1);
    // And one that is deleted then leaves nothing.
    server
        .client
        .create(&house.wish("other", "echo?unhealthy"), false)
        .await
        .map_err(|e| format!("{e:?}"))?;
    server
        .wait_for("other", "has begun", |agent| agent.is_some_and(|agent| agent.progress.is_some()))
        .await?;
    server.kill();
    let server = house.start().await;
    for name in ["other", "scout"] {
        server.client.delete(name, true).await.map_err(|error| format!("{name}: {error:?}"))?;
    }
    assert_eq!(house.things(), Vec::<String>::new());
    Ok(())
}

/// The most memory that a process has had, in MiB.
fn peak(id: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() / 1024
}

/// 100 MB/s for three seconds, with readers that do not read and one that does.
async fn memory_stays_flat_while_an_agent_floods(house: &House) -> Outcome {
    let server = house.start().await;
    server.client.create(&house.wish("scout", "echo"), true).await.map_err(|error| format!("{error:?}"))?;
    let query = LogQuery { tail: 0, follow: true, ..LogQuery::default() };
    let mut slow = Vec::new();
    for _ in 0..10 {
        slow.push(server.client.logs("scout", &query, None).await.map_err(|error| error.to_string())?);
    }
    let mut quick = server.client.logs("scout", &query, None).await.map_err(|error| error.to_string())?;
    let before = peak(server.child.id());
    let (flood, read) = tokio::join!(server.says("scout", "!flood-rate 100000000 3"), async {
        let mut count = 0_u64;
        while let Some(Ok(event)) = quick.next().await {
            match event {
                LogEvent::Line(..) => count += 1,
                LogEvent::Missed(missed) => count += missed.count.unwrap_or_default(),
                _ => break,
            }
            if count > 300_000 {
                break;
            }
        }
        count
    });
    flood?;
    assert!(read > 300_000, "{read} lines");
    let grown = peak(server.child.id()).saturating_sub(before);
    assert!(grown < 64, "it grew by {grown} MiB");
    drop((slow, quick));
    server.client.delete("scout", true).await.map_err(|error| format!("{error:?}"))?;
    Ok(())
}

/// Looks at every process of this computer while an agent is made.
async fn no_secret_is_in_the_arguments_of_any_process(house: &House) -> Outcome {
    let server = house.start().await;
    let (looking, found) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
    let look = {
        let (looking, found) = (looking.clone(), found.clone());
        move || {
            let mut looked = 0_usize;
            while looking.load(Ordering::Relaxed) {
                for entry in fs::read_dir("/proc").unwrap().flatten() {
                    let arguments = fs::read(entry.path().join("cmdline")).unwrap_or_default();
                    looked += 1;
                    if String::from_utf8_lossy(&arguments).contains(API_KEY) {
                        found.store(true, Ordering::Relaxed);
                    }
                }
            }
            looked
        }
    };
    let looker = thread::spawn(look);
    server.client.create(&house.wish("scout", "echo"), true).await.map_err(|error| format!("{error:?}"))?;
    server.client.delete("scout", true).await.map_err(|error| format!("{error:?}"))?;
    looking.store(false, Ordering::Relaxed);
    assert!(looker.join().unwrap() > 100);
    assert!(!found.load(Ordering::Relaxed), "the key was in the arguments of a process");
    let told = fs::read_to_string(house.folder.path().join("stderr")).unwrap();
    assert!(!told.contains(API_KEY), "{told}");
    Ok(())
}

/// The lines of the README, word for word, in a home of their own.
fn the_readmes_lines_do_what_they_say() -> Result<Completion, libtest_mimic::Failed> {
    if Command::new("curl").arg("--version").output().is_err() {
        return Ok(Completion::ignored_with("there is no curl here"));
    }
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md"))?;
    let mut blocks = readme.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let serve = blocks.next().and_then(|block| block.trim().strip_prefix("cargo run -- ")).unwrap();
    let lines: Vec<&str> = blocks.next().unwrap().lines().collect();
    let home = tempfile::tempdir()?;
    let child = Command::new(env!("CARGO_BIN_EXE_longshore"))
        .args(serve.split(' '))
        .env("HOME", home.path())
        .env_remove("XDG_STATE_HOME")
        .env_remove("XDG_CONFIG_HOME")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let client = Client::new("http://127.0.0.1:1", None).unwrap();
    let server = Server { child, client };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let address = home.path().join(".local/state/longshore/serve/address");
    runtime.block_on(until("the server listens", || fs::read_to_string(&address).ok()));
    let mut answers = Vec::new();
    for line in &lines[1..] {
        // A log is followed until somebody ends it.
        let line = if line.contains("/logs") { format!("timeout 2 {line}") } else { (*line).to_owned() };
        let script = format!("{}\n{line}", lines[0]);
        let output = Command::new("sh").args(["-c", &script]).env("HOME", home.path()).output()?;
        answers.push(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    drop(server);
    for (answer, expected) in answers.iter().zip([
        "\"state\":\"running\"",
        "\"content\":\"hello\"",
        "event: line",
        "\"state\":\"deleting\"",
    ]) {
        assert!(answer.contains(expected), "{expected}: {answers:#?}");
    }
    assert_eq!(answers.len(), 4);
    Ok(Completion::Completed)
}

fn trial<F: Future<Output = Outcome>>(
    engine: &'static str,
    name: &str,
    behaviour: impl Fn(&'static House) -> F + Send + 'static,
) -> Trial {
    Trial::ignorable_test(format!("{engine}::{name}"), move || {
        match engine::presence(engine, IMAGE) {
            Err(reason) if !engine::is_required(engine) => return Ok(Completion::ignored_with(reason)),
            presence => presence?,
        }
        // A house is as long as the process, so that what is left of it can be looked at after a panic.
        let house: &'static House = Box::leak(Box::new(House::new(engine)));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let outcome =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runtime.block_on(behaviour(house))));
        clean(house);
        let outcome = outcome.unwrap_or_else(|_| Err("it panicked".to_owned()));
        let told = || fs::read_to_string(house.folder.path().join("stderr")).unwrap_or_default();
        let outcome = outcome.map_err(|error| format!("{error}\n{}", told()).into());
        let _ = fs::remove_dir_all(house.folder.path());
        outcome.map(|()| Completion::Completed)
    })
}

/// Takes away what a test that failed has left.
fn clean(house: &House) {
    let things = house.things();
    for (kind, name) in [("container", "-agent-1"), ("volume", "_home"), ("network", "_default")] {
        for thing in things.iter().filter(|thing| thing.ends_with(name)) {
            let force: &[&str] = if kind == "network" { &[] } else { &["--force"] };
            let _ = Command::new(house.engine).args([kind, "rm"]).args(force).arg(thing).output();
        }
    }
}

fn main() {
    let mut trials =
        vec![Trial::ignorable_test("readme::its_lines_do_what_they_say", the_readmes_lines_do_what_they_say)];
    for engine in ["podman", "docker"] {
        macro_rules! trials {
            ($($name:ident),+ $(,)?) => { $(trials.push(trial(engine, stringify!($name), $name));)+ };
        }
        trials![
            a_server_that_is_killed_goes_on_where_it_was,
            a_creation_is_finished_however_often_the_server_is_killed,
            memory_stays_flat_while_an_agent_floods,
            no_secret_is_in_the_arguments_of_any_process,
        ];
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit()
}
