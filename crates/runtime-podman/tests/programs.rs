//! Programs that are not podman, or not at their best: each is an error of its kind within its deadline, memory stays
//! flat, and no process is left.
#![cfg(target_os = "linux")]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use runtime_core::{
    AnonymousVolumes, ContainerFilter, ContainerId, Engine, EngineInfo, Error, MachineHost, MachineName,
    MachineStatus, Result,
};
use runtime_podman::{MachineConfig, PodmanConfig, PodmanEngine, Via};
use tempfile::TempDir;

static MARKS: AtomicU32 = AtomicU32::new(0);

/// A program of a test, and a number by which what it leaves is found.
struct Program {
    folder: TempDir,
    mark: String,
}

impl Program {
    /// A shell script; `MARK` in it becomes a number of seconds that no other process sleeps.
    fn new(script: &str) -> Self {
        let number = MARKS.fetch_add(1, Ordering::Relaxed);
        let mark = format!("{}.{number:03}", 40_000 + std::process::id());
        let folder = tempfile::tempdir().expect("a folder can be made");
        let program = Self { folder, mark };
        let text = format!("#!/bin/sh\n{}\n", script.replace("MARK", &program.mark));
        fs::write(program.path(), text).expect("it is written");
        fs::set_permissions(program.path(), fs::Permissions::from_mode(0o755))
            .expect("it is made executable");
        program
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("podman")
    }

    fn engine(&self, deadline: Duration) -> PodmanEngine {
        engine(&self.path(), deadline)
    }

    /// Whether anything of it still runs.
    fn is_left(&self) -> bool {
        let found = Command::new("pgrep").args(["-f", &format!("sleep {}", self.mark)]).output();
        !found.expect("pgrep runs").stdout.is_empty()
    }

    /// Waits until nothing of it runs: what was killed may take a moment to be gone.
    async fn is_gone(&self) {
        let gone = async {
            while self.is_left() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), gone).await.expect("nothing is left");
    }
}

fn engine(program: &Path, deadline: Duration) -> PodmanEngine {
    let mut config = PodmanConfig::default();
    config.program = Some(program.to_owned());
    config.deadline = deadline;
    config.via = Via::Cli;
    PodmanEngine::new(config)
}

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(500);

async fn info_of(script: &str, deadline: Duration) -> Result<EngineInfo> {
    let program = Program::new(script);
    let outcome = program.engine(deadline).info().await;
    program.is_gone().await;
    outcome
}

#[tokio::test]
async fn what_cannot_be_run_is_told() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let plain = folder.path().join("plain");
    fs::write(&plain, "text").expect("it is written");
    let of = async |path: &Path| engine(path, LONG).info().await.expect_err("it is no podman");
    assert!(
        matches!(of(folder.path()).await, Error::NotInstalled { reason, .. } if reason == "it is a folder")
    );
    assert!(matches!(of(&plain).await, Error::NotPermitted { .. }));
    assert!(matches!(of(&folder.path().join("none")).await, Error::NotInstalled { .. }));
}

#[tokio::test]
async fn garbage_is_not_podman() {
    for script in ["echo 'GNU ls 9.1'", "printf '\\377\\376{'", "echo '{}'", "echo '[1,'", "true"] {
        let error = info_of(script, LONG).await.expect_err("it is no podman");
        assert!(matches!(error, Error::NotInstalled { .. }), "{script}: {error:?}");
    }
}

#[tokio::test]
async fn half_an_answer_is_an_error_that_quotes_it() {
    let program = Program::new("printf '[{\"Name\": \"m1\", \"Running\": true, \"Star'");
    let mut config = PodmanConfig::default();
    config.program = Some(program.path());
    let machine = MachineConfig::new(MachineName::new("m1").expect("a name"), program.folder.path());
    let (_, host) = PodmanEngine::in_machine(config, machine);
    let error = host.status().await.expect_err("it is cut in half");
    assert!(matches!(&error, Error::Unexpected { quote, .. } if quote.contains("Star")), "{error:?}");
}

#[tokio::test]
async fn an_inspection_that_failed_for_a_moment_is_done_again() {
    let listing = |inspect: &str| {
        Program::new(&format!("case $1 in ps) printf '%064d\\n' 0;; container) {inspect};; esac"))
    };
    let of = async |program: &Program| program.engine(LONG).list(&ContainerFilter::default()).await;
    let once = listing("if mkdir $0.seen 2>/dev/null; then exit 125; fi; echo '[]'");
    assert_eq!(of(&once).await, Ok(Vec::new()));
    let always = listing("echo x >>$0.seen; exit 125");
    let error = of(&always).await.expect_err("it never answers");
    assert!(matches!(error, Error::Command(_)), "{error:?}");
    let tries = fs::read_to_string(always.folder.path().join("podman.seen")).expect("it was asked");
    assert_eq!(tries.lines().count(), 6);
}

#[tokio::test]
async fn what_a_command_for_several_has_not_done_is_done_by_itself() {
    // Of several it does the first and says so, as podman does when another one is in its way.
    let script = "echo \"$*\" >>$0.seen; while [ $1 != -- ]; do shift; done; echo $2; [ $# = 2 ]";
    let ids = ["a", "b", "c"].map(|id| ContainerId(id.to_owned()));
    let program = Program::new(script);
    let engine = program.engine(LONG);
    let asked = || {
        let seen = fs::read_to_string(program.folder.path().join("podman.seen")).expect("it was asked");
        let mut lines: Vec<String> = seen.lines().map(str::to_owned).collect();
        lines[1..].sort();
        fs::remove_file(program.folder.path().join("podman.seen")).expect("it can be removed");
        lines
    };
    let stopped = engine.stop_containers(&ids, Some(Duration::from_secs(3))).await;
    assert_eq!(stopped, vec![Ok(()); 3]);
    assert_eq!(
        asked(),
        ["--max-workers=3 stop --time 3 -- a b c", "stop --time 3 -- b", "stop --time 3 -- c"]
    );
    let removed = engine.remove_containers(&ids, AnonymousVolumes::Keep).await;
    assert_eq!(removed, vec![Ok(()); 3]);
    assert_eq!(
        asked(),
        ["rm --force --time 0 -- a b c", "rm --force --time 0 -- b", "rm --force --time 0 -- c"]
    );
}

#[tokio::test]
async fn a_field_that_is_missing_or_of_another_type_is_no_guess() {
    for (list, quoted) in [
        (r#"[{"Name": "m1", "Running": "yes", "Starting": false}]"#, "invalid type"),
        (r#"[{"Name": "m1", "Running": true}]"#, "Starting"),
        (r#"{"Name": "m1"}"#, "m1"),
    ] {
        let program = Program::new(&format!("printf '%s' '{list}'"));
        let mut config = PodmanConfig::default();
        config.program = Some(program.path());
        let machine = MachineConfig::new(MachineName::new("m1").expect("a name"), program.folder.path());
        let error = PodmanEngine::in_machine(config, machine).1.status().await.expect_err("it is no answer");
        assert!(matches!(&error, Error::Unexpected { quote, .. } if quote.contains(quoted)), "{error:?}");
    }
}

#[tokio::test]
async fn a_machines_state_is_read_from_what_podman_was_seen_to_print() {
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/podman-output/machine-5.4.2");
    if !recorded.is_dir() && std::env::var_os("LONGSHORE_REQUIRE").is_none() {
        eprintln!("what podman was seen to print does not stand beside this checkout");
        return;
    }
    let recorded = recorded.canonicalize().expect("it was recorded");
    // What the list says, and what the engine says to a question.
    for (list, question, expected) in [
        ("list-none", "ps-stopped", MachineStatus::Absent),
        ("list-stopped", "ps-stopped", MachineStatus::Stopped),
        ("list-after-stop", "ps-stopped", MachineStatus::Stopped),
        ("list-starting", "ps-stopped", MachineStatus::Starting),
        ("list-running", "ps-running", MachineStatus::Running),
        ("list-running", "ps-stopped", MachineStatus::NotAnswering("unable to connect".to_owned())),
    ] {
        let program = Program::new(&format!(
            r#"case "$*" in
            *"machine list"*) cat {0}/{list}.stdout ;;
            *) [ {question} = ps-running ] || {{ cat {0}/ps-stopped.stderr >&2; exit 125; }} ;;
            esac"#,
            recorded.display()
        ));
        let mut config = PodmanConfig::default();
        config.program = Some(program.path());
        let machine = MachineConfig::new(MachineName::new("m1").expect("a name"), program.folder.path());
        let (_, host) = PodmanEngine::in_machine(config, machine);
        let status = host.status().await.expect("it is read");
        match (&status, &expected) {
            (MachineStatus::NotAnswering(why), MachineStatus::NotAnswering(part)) => {
                assert!(why.contains(part), "{why}");
            }
            _ => assert_eq!(status, expected, "{list}, {question}"),
        }
    }
}

#[tokio::test]
async fn a_machine_is_found_by_its_name_and_not_as_the_first_of_a_list() {
    let list = r#"[{"Name": "other", "Running": true, "Starting": false}, {"Name": "m1*", "Running": false, "Starting": true}]"#;
    let program = Program::new(&format!("printf '%s' '{list}'"));
    let host = |name: &str| {
        let mut config = PodmanConfig::default();
        config.program = Some(program.path());
        let machine = MachineConfig::new(MachineName::new(name).expect("a name"), program.folder.path());
        PodmanEngine::in_machine(config, machine).1
    };
    // A start that was killed leaves a machine that is off and says for ever that it starts.
    assert_eq!(host("m1").status().await, Ok(MachineStatus::Stopped));
    assert_eq!(host("m").status().await, Ok(MachineStatus::Absent));
}

#[tokio::test]
async fn rule_8_a_flood_is_drained_and_not_kept() {
    let before = peak_memory();
    let flood =
        "head -c 1073741824 /dev/zero | tr '\\0' 'x' >&2; echo >&2; echo 'Error: at last' >&2; exit 125";
    match info_of(flood, LONG).await {
        Err(Error::Command(failure)) => {
            assert_eq!(failure.stderr.last().map(String::as_str), Some("Error: at last"));
            assert!(failure.stderr.len() <= 20 && failure.stderr.iter().all(|line| line.len() <= 2048));
        }
        other => panic!("{other:?}"),
    }
    let grown = peak_memory().saturating_sub(before);
    assert!(grown < 64 << 10, "it grew by {grown} KiB");
}

fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux says it");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux says it");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[tokio::test]
async fn rule_8_what_hangs_is_killed_at_its_deadline_with_its_children() {
    for script in
        ["exec sleep MARK", "sleep MARK", "sleep MARK & kill -STOP $$", "trap '' TERM INT; sleep MARK"]
    {
        let error = info_of(script, SHORT).await.expect_err("it never answers");
        assert!(matches!(error, Error::TimedOut { .. }), "{script}: {error:?}");
    }
}

#[tokio::test]
async fn rule_8_what_forks_and_leaves_does_not_keep_the_caller() {
    let error = info_of("sleep MARK & echo gone", LONG).await.expect_err("it is no podman");
    assert!(matches!(error, Error::NotInstalled { .. }), "{error:?}");
}

#[tokio::test]
async fn rule_7_a_call_that_is_dropped_leaves_no_process() {
    let program = Program::new("sleep MARK");
    let engine = program.engine(LONG);
    let filter = ContainerFilter::default();
    let dropped = tokio::time::timeout(SHORT, engine.list(&filter)).await;
    assert!(dropped.is_err());
    program.is_gone().await;
}

#[tokio::test]
async fn rule_7_an_init_on_its_terminal_that_is_dropped_leaves_no_process() {
    let program = Program::new("echo 'Looking up Podman Machine image at x'; sleep MARK & sleep MARK");
    let mut config = PodmanConfig::default();
    config.program = Some(program.path());
    let machine = MachineConfig::new(MachineName::new("m1").expect("a name"), program.folder.path());
    let (_, host) = PodmanEngine::in_machine(config, machine);
    let quiet = runtime_core::Progress::default();
    let dropped = tokio::time::timeout(SHORT, host.init(&quiet)).await;
    assert!(dropped.is_err());
    program.is_gone().await;
}

/// An engine that starts a service, whatever the program makes of it.
fn by_service(program: &Program, via: Via, deadline: Duration) -> PodmanEngine {
    let mut config = PodmanConfig::default();
    config.program = Some(program.path());
    config.deadline = deadline;
    config.via = via;
    PodmanEngine::new(config)
}

#[cfg(feature = "api")]
#[tokio::test]
async fn a_service_that_does_not_stay_says_why() {
    let program = Program::new("echo 'Error: no space left' >&2; exit 125");
    let error = by_service(&program, Via::Api, LONG).info().await.expect_err("there is none");
    let Error::Command(failure) = &error else { panic!("{error:?}") };
    assert_eq!(
        (failure.exit_code, failure.stderr.as_slice()),
        (Some(125), &["Error: no space left".to_owned()][..])
    );
}

#[cfg(feature = "api")]
#[tokio::test]
async fn rule_8_a_service_that_hangs_is_killed_at_its_deadline_with_its_children() {
    for script in ["exec sleep MARK", "sleep MARK", "sleep MARK & kill -STOP $$"] {
        let program = Program::new(script);
        let error = by_service(&program, Via::Api, SHORT).info().await.expect_err("it never answers");
        assert!(matches!(error, Error::TimedOut { .. }), "{script}: {error:?}");
        program.is_gone().await;
    }
}

#[cfg(feature = "api")]
#[tokio::test]
async fn rule_7_a_start_of_a_service_that_is_dropped_leaves_no_process() {
    let program = Program::new("sleep MARK");
    let engine = by_service(&program, Via::Auto, LONG);
    assert!(tokio::time::timeout(SHORT, engine.info()).await.is_err());
    program.is_gone().await;
}

#[cfg(not(feature = "api"))]
#[tokio::test]
async fn what_is_not_compiled_in_is_told() {
    let program = Program::new("true");
    let error = by_service(&program, Via::Api, LONG).info().await.expect_err("there is none");
    assert!(matches!(error, Error::Unsupported { .. }), "{error:?}");
}
