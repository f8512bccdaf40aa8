//! The program as a process among others, on real engines: signals, a sudden end, and two of it at once.
//!
//! An engine that is not here is shown as ignored; with `LONGSHORE_REQUIRE` naming it, its absence is a failure.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod engine;

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader, Read},
    net::{Ipv4Addr, TcpListener},
    process::{Child, Command, Stdio},
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use libtest_mimic::{Arguments, Completion, Trial};
use serde_json::Value;
use tempfile::TempDir;

static COUNTER: AtomicUsize = AtomicUsize::new(0);

const IMAGE: &str = "localhost/longshore-fixture:1";
/// How long anything may take that a test waits for.
const PATIENCE: Duration = Duration::from_secs(60);
/// A variable that podman is given too, so that its processes are known by it, whoever their parent is.
const MARK: &str = "XDG_LONGSHORE_TEST";

/// Three services, one after the other. The last one waits until there is a file `state/ready`.
const TEXT: &str = "
services:
  db:
    image: localhost/longshore-fixture:1
    command: [sleep]
    volumes: ['data:/data']
    stop_grace_period: 5s
  web:
    image: localhost/longshore-fixture:1
    command: [sleep]
    depends_on: [db]
    volumes: ['./state:/state']
    healthcheck: {test: [CMD, /fixture, read, /state/ready], interval: 200ms, timeout: 30s, retries: 100000}
    stop_grace_period: 5s
  worker:
    image: localhost/longshore-fixture:1
    command: [sleep]
    depends_on: {web: {condition: service_healthy}}
    stop_grace_period: 5s
volumes:
  data:
";

type Outcome = Result<(), String>;

/// A project of one test on one engine.
struct Case {
    engine: &'static str,
    project: String,
    folder: TempDir,
}

impl Case {
    fn new(engine: &'static str, text: &str) -> Self {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let folder = tempfile::tempdir().unwrap();
        let case = Self { engine, project: format!("lsp{}x{number}", std::process::id()), folder };
        fs::create_dir(case.folder.path().join("state")).unwrap();
        case.write("compose.yaml", text);
        case
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).unwrap();
    }

    /// Lets `web` become healthy.
    fn make_ready(&self) {
        self.write("state/ready", "");
    }

    /// A program that is podman, but does something else first.
    fn podman_that(&self, does: &str) -> String {
        let path = self.folder.path().join("podman").display().to_string();
        // Written by another process, so that no child of this one has it open while it is run.
        let write = "printf '#!/bin/sh\\n%s\\nexec podman \"$@\"\\n' \"$2\" >\"$1\" && chmod +x \"$1\"";
        assert!(Command::new("sh").args(["-c", write, "sh", &path, does]).status().unwrap().success());
        path
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_longshore"));
        command.args(["--runtime", self.engine, "-p", &self.project, "-f", "compose.yaml"]).args(words);
        command.current_dir(self.folder.path()).env(MARK, &self.project).stdin(Stdio::null());
        command
    }

    fn begin(&self, words: &[&str]) -> Run {
        Run::new(self.command(words))
    }

    /// What it printed on stdout, if it ended with that code.
    fn ends(&self, code: i32, words: &[&str]) -> Result<String, String> {
        let ended = self.begin(words).ends_with(code).map_err(|error| format!("{words:?}: {error}"))?;
        Ok(ended.stdout.join("\n"))
    }

    /// The states of the project's containers, by name.
    fn states(&self) -> Result<Vec<(String, String)>, String> {
        let list: Value = serde_json::from_str(&self.ends(0, &["--format", "json", "ps", "--all"])?).unwrap();
        let text = |one: &Value, key: &str| one[key].as_str().unwrap_or_default().to_owned();
        let mut states: Vec<_> = list
            .as_array()
            .unwrap()
            .iter()
            .map(|one| (text(one, "name").replace(&self.project, ""), text(one, "state")))
            .collect();
        states.sort();
        Ok(states)
    }

    fn are(&self, services: &[&str], state: &str) -> Outcome {
        let expected: Vec<_> = services.iter().map(|name| (format!("-{name}-1"), state.to_owned())).collect();
        let states = self.states()?;
        if states == expected { Ok(()) } else { Err(format!("expected {expected:?}, found {states:?}")) }
    }

    /// One container for each service runs, and there is nothing more to do.
    fn is_complete(&self) -> Outcome {
        self.are(&["db", "web", "worker"], "running")?;
        self.ends(0, &["plan"]).map(|_| ())
    }

    /// The next `up` completes it, and `down` leaves nothing of it.
    fn is_completed_and_gone(&self) -> Outcome {
        self.make_ready();
        self.ends(0, &["up", "-d"])?;
        self.is_complete()?;
        self.is_gone()?;
        fs::remove_file(self.folder.path().join("state/ready")).map_err(|error| error.to_string())
    }

    fn is_gone(&self) -> Outcome {
        self.ends(0, &["down", "--volumes", "--timeout", "5"])?;
        let left = engine::things_of(self.engine, &self.project);
        if left.is_empty() { Ok(()) } else { Err(format!("left: {left:?}")) }
    }

    /// Waits until no process of the project's commands is left: what was killed may take a moment to be gone.
    fn no_process_is_left(&self) -> Outcome {
        let begin = Instant::now();
        loop {
            let left = self.processes();
            if left.is_empty() {
                return Ok(());
            }
            if begin.elapsed() > PATIENCE {
                return Err(format!("left: {left:?}"));
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The processes that carry the mark. One that has ended and that nobody has reaped has no environment any more.
    fn processes(&self) -> Vec<String> {
        let mark = format!("{MARK}={}", self.project);
        let marked = |path: &std::path::Path| {
            let environment = fs::read(path.join("environ")).ok()?;
            environment.split(|byte| *byte == 0).any(|word| word == mark.as_bytes()).then_some(())?;
            let command = fs::read_to_string(path.join("cmdline")).ok()?.replace('\0', " ");
            // Podman's resolver for all containers is started by who needs it first, and stays.
            (!command.contains("aardvark-dns")).then(|| format!("{} {command}", path.display()))
        };
        fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| marked(&entry.path())).collect()
    }
}

impl Drop for Case {
    fn drop(&mut self) {
        let _ = self.command(&["down", "--volumes", "--timeout", "1"]).output();
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pipe {
    Stdout,
    Stderr,
}

/// The program while it runs. What it prints is read as it comes.
struct Run {
    child: Child,
    lines: Receiver<(Pipe, String)>,
    said: Said,
}

/// What the program has printed.
#[derive(Debug, Default, Clone)]
struct Said {
    stdout: Vec<String>,
    /// On both, in the order in which it came.
    all: Vec<String>,
}

impl Run {
    fn new(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = mpsc::channel();
        let pipes: [(Pipe, Box<dyn Read + Send>); 2] = [
            (Pipe::Stdout, Box::new(child.stdout.take().unwrap())),
            (Pipe::Stderr, Box::new(child.stderr.take().unwrap())),
        ];
        for (name, pipe) in pipes {
            let sender = sender.clone();
            thread::spawn(move || {
                for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                    let _ = sender.send((name, line));
                }
            });
        }
        Self { child, lines, said: Said::default() }
    }

    /// Reads the next line; `false` at the end of them.
    fn read(&mut self) -> Result<bool, String> {
        let (pipe, line) = match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(RecvTimeoutError::Disconnected) => return Ok(false),
            Err(RecvTimeoutError::Timeout) => return Err(format!("it hangs; it said {:#?}", self.said.all)),
        };
        if pipe == Pipe::Stdout {
            self.said.stdout.push(line.clone());
        }
        self.said.all.push(line);
        Ok(true)
    }

    /// Waits until it has said something that ends like that, so many times.
    fn says(&mut self, what: &str, times: usize) -> Outcome {
        while self.said.all.iter().filter(|line| line.ends_with(what)).count() < times {
            if !self.read()? {
                return Err(format!("it never said {what:?}, but {:#?}", self.said.all));
            }
        }
        Ok(())
    }

    fn send(&self, signal: &str) {
        assert!(
            Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap().success()
        );
    }

    /// Waits for its end: the exit code, and all that it said.
    fn end(mut self) -> Result<(Option<i32>, Said), String> {
        while self.read()? {}
        let code = self.child.wait().unwrap().code();
        Ok((code, std::mem::take(&mut self.said)))
    }

    /// Waits for its end with that code.
    fn ends_with(self, expected: i32) -> Result<Said, String> {
        match self.end()? {
            (Some(code), said) if code == expected => Ok(said),
            (code, said) => Err(format!("it ended with {code:?} and not with {expected}: {:#?}", said.all)),
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const SIGNALS: [(&str, i32, &str); 2] = [("-TERM", 143, "SIGTERM"), ("-INT", 130, "Ctrl-C")];

fn a_signal_during_up_ends_it_and_the_next_completes_it(engine: &'static str) -> Outcome {
    let case = Case::new(engine, TEXT);
    let places = ["db-1  Creating", "web-1  Starting", "web-1  Waiting"];
    for (place, (signal, code, name)) in places.into_iter().zip(SIGNALS.into_iter().cycle()) {
        let mut run = case.begin(&["up", "-d"]);
        run.says(place, 1)?;
        run.send(signal);
        let said = run.ends_with(code)?.all.join("\n");
        for part in [&format!("error: cancelled by {name}"), "up -d` completes it", "down` removes it"] {
            assert!(said.contains(part) && said.matches("error: ").count() == 1, "{place}: {said}");
        }
        case.no_process_is_left()?;
        case.is_completed_and_gone()?;
    }
    Ok(())
}

/// A registry that takes connections and never says a word.
fn a_signal_during_a_pull_ends_it(engine: &'static str) -> Outcome {
    for (signal, code, _) in SIGNALS {
        let registry = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = registry.local_addr().unwrap();
        let image = format!("{address}/longshore/nothing:1");
        let case = Case::new(engine, &TEXT.replace(IMAGE, &image));
        let run = case.begin(&["up", "-d"]);
        let (sender, connections) = mpsc::channel();
        thread::spawn(move || sender.send(registry.accept()));
        let connection = connections.recv_timeout(PATIENCE).map_err(|_| "it never asked the registry")?;
        run.send(signal);
        let said = run.ends_with(code)?.all.join("\n");
        assert!(said.contains("no container of the project is left"), "{said}");
        case.no_process_is_left()?;
        drop(connection);
        case.is_gone()?;
    }
    Ok(())
}

/// When the command has ended, podman has taken away what it built in.
fn a_signal_during_a_build_leaves_nothing(engine: &'static str) -> Outcome {
    let working = || {
        let words = ["ps", "--all", "--external", "--format", "{{.ID}} {{.Names}}"];
        let listed = Command::new("podman").args(words).output().unwrap();
        let lines = String::from_utf8_lossy(&listed.stdout).into_owned();
        let is_its = |line: &&str| line.contains("-working-container");
        lines.lines().filter(is_its).map(str::to_owned).collect::<BTreeSet<String>>()
    };
    let case = Case::new(engine, "services:\n  web: {build: ., command: [sleep]}\n");
    case.write(
        "Dockerfile",
        &format!("FROM {IMAGE}\nRUN [\"/fixture\", \"sleep\", \"--name\", \"{}\"]\n", case.project),
    );
    let before = working();
    for words in [&["build"][..], &["up", "-d"]] {
        let mut run = case.begin(words);
        run.says(&format!("{}\"]", case.project), 1)?;
        run.send("-INT");
        run.ends_with(130)?;
        let left: Vec<String> = working().difference(&before).cloned().collect();
        assert!(left.is_empty(), "{words:?}: {left:?}");
        case.no_process_is_left()?;
    }
    Ok(())
}

fn a_signal_stops_an_attached_project_in_order(engine: &'static str) -> Outcome {
    let case = Case::new(engine, TEXT);
    case.make_ready();
    for (signal, code, _) in SIGNALS {
        let mut run = case.begin(&["up"]);
        run.says(" | sleeping", 3)?;
        run.send(signal);
        let said = run.ends_with(code)?.all;
        let at = |name: &str, word: &str| {
            let line = format!("Container {}-{name}-1  {word}", case.project);
            said.iter().position(|other| *other == line).ok_or(format!("{line:?} is not in {said:#?}"))
        };
        for (first, second) in [("worker", "web"), ("web", "db")] {
            assert!(at(first, "Stopped")? < at(second, "Stopping")?, "{said:#?}");
        }
        assert_eq!(said.iter().filter(|line| line.ends_with(" | stopping")).count(), 3, "{said:#?}");
        case.no_process_is_left()?;
        case.are(&["db", "web", "worker"], "exited")?;
        case.ends(0, &["up", "-d"])?;
        case.is_complete()?;
        case.is_gone()?;
    }
    Ok(())
}

fn a_signal_before_an_attached_project_is_up_stops_what_there_is(engine: &'static str) -> Outcome {
    let case = Case::new(engine, TEXT);
    for (place, (signal, code, _)) in ["db-1  Starting", "web-1  Waiting"].into_iter().zip(SIGNALS) {
        let mut run = case.begin(&["up"]);
        run.says(place, 1)?;
        run.send(signal);
        run.ends_with(code)?;
        case.no_process_is_left()?;
        let states = case.states()?;
        assert!(!states.iter().any(|(_, state)| state == "running"), "{place}: {states:?}");
        case.is_completed_and_gone()?;
    }
    Ok(())
}

fn a_second_signal_does_not_wait_for_containers(engine: &'static str) -> Outcome {
    let text = TEXT.replace("[sleep]", "[sleep, --ignore-term]").replace("5s", "1h");
    let case = Case::new(engine, &text);
    case.make_ready();
    for (signal, code, _) in SIGNALS {
        let mut run = case.begin(&["up"]);
        run.says(" | sleeping", 3)?;
        run.send(signal);
        run.says("worker-1  Stopping", 1)?;
        run.send(signal);
        run.ends_with(code)?;
        case.no_process_is_left()?;
        case.are(&["db", "web", "worker"], "exited")?;
    }
    Ok(())
}

fn the_next_up_completes_what_a_killed_one_left(engine: &'static str) -> Outcome {
    let case = Case::new(engine, TEXT);
    for place in ["db-1  Creating", "web-1  Starting"] {
        let mut run = case.begin(&["up", "-d"]);
        run.says(place, 1)?;
        run.send("-KILL");
        let (code, said) = run.end()?;
        assert_eq!(code, None, "{:#?}", said.all);
        // What it had begun may still be under way.
        case.is_completed_and_gone()?;
        case.no_process_is_left()?;
    }
    Ok(())
}

fn two_at_once_make_one_project(engine: &'static str) -> Outcome {
    let case = Case::new(engine, TEXT);
    case.make_ready();
    for _ in 0..2 {
        let runs = [case.begin(&["up", "-d"]), case.begin(&["up", "-d"])];
        for run in runs {
            run.ends_with(0)?;
        }
        case.is_complete()?;
        case.no_process_is_left()?;
        case.is_gone()?;
    }
    Ok(())
}

/// Two that replace the same containers get in each other's way: who is second is told what to do.
fn two_at_once_replace_one_project(engine: &'static str) -> Outcome {
    let case = Case::new(engine, TEXT);
    case.make_ready();
    case.ends(0, &["up", "-d"])?;
    for word in ["one", "two"] {
        case.write(
            "compose.yaml",
            &TEXT.replace("command:", &format!("environment: [WORD={word}]\n    command:")),
        );
        let runs = [case.begin(&["up", "-d"]), case.begin(&["up", "-d"])];
        for run in runs {
            let (code, said) = run.end()?;
            let said = said.all.join("\n");
            let is_told = || said.matches("error: ").count() == 1 && said.contains("help: ");
            assert!(code == Some(0) || (code == Some(1) && is_told()), "{code:?} {said}");
        }
        case.ends(0, &["up", "-d"])?;
        case.is_complete()?;
        case.no_process_is_left()?;
    }
    case.is_gone()
}

/// Signals end an `up` of a podman that hangs once it has said that, `hang` having seen to it; nothing is left of it.
fn signals_end_it(
    engine: &'static str,
    program: impl Fn(&Case) -> String,
    via: &str,
    said: &str,
    hang: impl Fn(&Case) -> Outcome,
) -> Outcome {
    let case = Case::new(engine, TEXT);
    let program = program(&case);
    // Two of a kind may arrive as one.
    for signals in [&["-TERM"][..], &["-TERM", "-INT"]] {
        let mut command = case.command(&["--podman", &program, "up", "-d"]);
        command.env("LONGSHORE_PODMAN_VIA", via);
        let mut run = Run::new(command);
        run.says(said, 1)?;
        hang(&case)?;
        for signal in signals {
            run.send(signal);
        }
        let (code, said) = run.end()?;
        assert!(code == Some(143) || (code == Some(130) && signals.len() == 2), "{code:?} {:#?}", said.all);
        case.no_process_is_left()?;
    }
    case.is_completed_and_gone()
}

/// A podman that is stopped, as one that waits for something for ever.
fn signals_end_a_podman_that_hangs(engine: &'static str) -> Outcome {
    let stops = |case: &Case| case.podman_that("case \"$1\" in create|run) kill -STOP $$ ;; esac");
    signals_end_it(engine, stops, "cli", "db-1  Creating", |_| Ok(()))
}

/// A service of podman's that is stopped in the middle.
fn signals_end_a_service_that_hangs(engine: &'static str) -> Outcome {
    let id = |case: &Case| case.folder.path().join("id");
    let notes =
        |case: &Case| case.podman_that(&format!("[ \"$1\" != system ] || echo $$ >{}", id(case).display()));
    // `web` is not healthy yet, and `worker` waits for it.
    signals_end_it(engine, notes, "api", "web-1  Waiting", |case| {
        let id = fs::read_to_string(id(case)).map_err(|error| error.to_string())?;
        assert!(Command::new("kill").args(["-STOP", id.trim()]).status().unwrap().success());
        Ok(())
    })
}

fn what_goes_on_is_ended_by_a_signal(engine: &'static str) -> Outcome {
    let case = Case::new(engine, TEXT);
    case.ends(0, &["up", "-d", "db"])?;
    let mut stats = case.begin(&["stats"]);
    stats.says("PIDS", 2)?;
    let mut events = case.begin(&["events", "--json"]);
    // Nothing tells that it listens, but what it hears.
    while events.said.all.is_empty() {
        case.ends(0, &["restart", "--timeout", "1", "db"])?;
        while let Ok((_, line)) = events.lines.try_recv() {
            events.said.all.push(line);
        }
    }
    let told: Value = serde_json::from_str(&events.said.all[0]).map_err(|error| error.to_string())?;
    if told["service"] != "db" || told["type"] != "container" {
        return Err(format!("{told}"));
    }
    for (run, (signal, code, _)) in [stats, events].into_iter().zip(SIGNALS) {
        run.send(signal);
        let said = run.ends_with(code)?.all;
        if said.iter().any(|line| line.contains("error")) {
            return Err(format!("{said:#?}"));
        }
    }
    case.no_process_is_left()?;
    case.is_gone()
}

fn files_are_watched_until_a_signal(engine: &'static str) -> Outcome {
    let case = Case::new(
        engine,
        "
services:
  db:
    image: localhost/longshore-fixture:1
    command: [sleep]
    develop: {watch: [{path: state, action: sync+restart, target: /tmp/state}]}
",
    );
    let read = || case.ends(0, &["exec", "-T", "db", "/fixture", "read", "/tmp/state/word"]);
    let mut run = case.begin(&["watch"]);
    run.says("  Watching", 1)?;
    case.write("state/word", "one");
    run.says("  Restarted", 1)?;
    assert_eq!(read()?, "one");
    run.send("-TERM");
    run.ends_with(143)?;
    case.no_process_is_left()?;
    case.are(&["db"], "running")?;
    let mut run = case.begin(&["up", "--watch"]);
    run.says("  Watching", 1)?;
    case.write("state/word", "two");
    run.says("  Restarted", 1)?;
    // What is shown goes on with what was started.
    run.says(" | sleeping", 1)?;
    assert_eq!(read()?, "two");
    run.send("-INT");
    run.ends_with(130)?;
    case.no_process_is_left()?;
    case.are(&["db"], "exited")?;
    case.is_gone()
}

fn what_is_copied_comes_back(engine: &'static str) -> Outcome {
    let case = Case::new(engine, TEXT);
    case.write("state/word", "copied");
    case.ends(0, &["up", "-d", "db"])?;
    case.ends(0, &["cp", "state", "db:/there"])?;
    case.ends(0, &["cp", "--index", "1", "db:there/word", "back"])?;
    let pipe = case.folder.path().join("pipe.tar");
    let mut out = case.command(&["cp", "db:/there", "-"]);
    assert!(out.stdout(fs::File::create(&pipe).unwrap()).status().unwrap().success());
    let mut into = case.command(&["cp", "-", "db:/data"]);
    assert!(into.stdin(fs::File::open(&pipe).unwrap()).status().unwrap().success());
    case.ends(0, &["stop", "db"])?;
    case.ends(0, &["cp", "db:/data/there/.", "piped"])?;
    for path in ["back", "piped/word"] {
        let text =
            fs::read_to_string(case.folder.path().join(path)).map_err(|error| format!("{path}: {error}"))?;
        assert_eq!(text, "copied", "{path}");
    }
    case.ends(1, &["cp", "db:/missing", "."])?;
    case.no_process_is_left()?;
    case.is_gone()
}

fn trial(engine: &'static str, name: &str, test: fn(&'static str) -> Outcome) -> Trial {
    Trial::ignorable_test(format!("{engine}::{name}"), move || {
        match engine::presence(engine, IMAGE) {
            Err(reason) if !engine::is_required(engine) => return Ok(Completion::ignored_with(reason)),
            presence => presence?,
        }
        Ok(test(engine).map(|()| Completion::Completed)?)
    })
}

fn main() {
    macro_rules! trials {
        ($engine:expr; $($name:ident),+ $(,)?) => { [$(trial($engine, stringify!($name), $name)),+] };
    }
    let mut trials = Vec::new();
    for engine in ["podman", "docker"] {
        trials.extend(trials![engine;
            a_signal_during_up_ends_it_and_the_next_completes_it,
            a_signal_during_a_pull_ends_it,
            a_signal_stops_an_attached_project_in_order,
            a_signal_before_an_attached_project_is_up_stops_what_there_is,
            a_second_signal_does_not_wait_for_containers,
            the_next_up_completes_what_a_killed_one_left,
            two_at_once_make_one_project,
            two_at_once_replace_one_project,
            what_goes_on_is_ended_by_a_signal,
            what_is_copied_comes_back,
            files_are_watched_until_a_signal,
        ]);
    }
    trials.extend(trials!["podman";
        a_signal_during_a_build_leaves_nothing,
        signals_end_a_podman_that_hangs,
        signals_end_a_service_that_hangs,
    ]);
    libtest_mimic::run(&Arguments::from_args(), trials).exit()
}
