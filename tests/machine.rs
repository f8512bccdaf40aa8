//! The rules on a real `podman machine`: slow, one at a time, and only where a rig is.
//!
//! | variable | meaning |
//! |---|---|
//! | `LONGSHORE_TEST_RIG` | a program that runs podman where it can have a machine |
//! | `LONGSHORE_TEST_RIG_IMAGE` | the disk of the machine, as that podman finds it |
//! | `LONGSHORE_TEST_RIG_ROOT` | an archive with the test program, for an image in the machine |
//!
//! The tests start copies of this program, as processes of ours that know nothing of each other.

use std::{
    env, fs,
    future::Future,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Output, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use compose_file::{LoadOptions, Project, load_str};
use futures_util::future::join_all;
use libtest_mimic::{Arguments, Completion, Trial};
use longshore_tests::{Failed, Outcome, http_get, refused};
use runtime_core::{
    Call, Compose, ContainerRuntime, Error, Kept, MachineEnd, MachineName, MachineProblem, MachineStatus,
    MachineStop, Phase, ShutdownOptions, UpOptions, Work,
};
use runtime_podman::{MachineConfig, PodmanConfig, PodmanEngine};
use tempfile::TempDir;
use tokio::process::Command as AsyncCommand;

const NAME: &str = "lst";
const IMAGE: &str = "localhost/longshore-fixture:1";
const ROLE: &str = "LONGSHORE_TEST_ROLE";
const FOLDER: &str = "LONGSHORE_TEST_RIG_FOLDER";

/// Podman with a machine, and what was asked of it.
#[derive(Debug)]
struct Rig {
    folder: PathBuf,
}

impl Rig {
    /// The one that the environment names.
    fn new(folder: &Path) -> Result<Self, Failed> {
        let variable = |name: &str| env::var(name).map_err(|_| Failed::NotHere(format!("{name} is not set")));
        let program = variable("LONGSHORE_TEST_RIG")?;
        variable("LONGSHORE_TEST_RIG_IMAGE")?;
        variable("LONGSHORE_TEST_RIG_ROOT")?;
        let rig = Self { folder: folder.to_owned() };
        let wrapper = rig.program();
        if !wrapper.exists() {
            let text =
                format!("#!/bin/sh\necho \"$*\" >>{}\nexec {program} \"$@\"\n", rig.journal().display());
            let mut file = fs::File::create(&wrapper)?;
            file.write_all(text.as_bytes())?;
            make_executable(&file)?;
        }
        Ok(rig)
    }

    fn program(&self) -> PathBuf {
        self.folder.join("podman")
    }

    fn journal(&self) -> PathBuf {
        self.folder.join("journal")
    }

    /// How often podman was asked for that.
    fn count(&self, words: &str) -> usize {
        let journal = fs::read_to_string(self.journal()).unwrap_or_default();
        journal.lines().filter(|line| line.starts_with(words)).count()
    }

    fn forget(&self) {
        let _ = fs::remove_file(self.journal());
    }

    /// A program of ours: each is like a process of its own, and all share a state.
    fn process(&self) -> Result<Compose<PodmanEngine>, Failed> {
        let mut machine = MachineConfig::new(MachineName::new(NAME)?, self.folder.join("state"));
        machine.image = env::var("LONGSHORE_TEST_RIG_IMAGE").ok();
        machine.cpus = Some(2);
        machine.memory = Some(1536);
        machine.disk = Some(6);
        machine.patience.answer = Duration::from_secs(25);
        let mut podman = PodmanConfig::default();
        podman.program = Some(self.program());
        let (engine, host) = PodmanEngine::in_machine(podman, machine);
        Ok(Compose::new(engine).with_owner("longshore-tests").with_machine(Arc::new(host)))
    }

    /// Podman as a user runs it.
    fn by_hand(&self, words: &[&str]) -> Result<String, Failed> {
        let output = Command::new(self.program()).args(words).stdin(Stdio::null()).output()?;
        said(&output)
    }

    /// No machine, whatever was before.
    fn clear(&self) -> Outcome {
        let _ = self.by_hand(&["machine", "stop", NAME]);
        let _ = self.by_hand(&["machine", "rm", "--force", NAME]);
        let listed = self.by_hand(&["machine", "list", "--format", "{{.Name}}"])?;
        self.forget();
        if listed.contains(NAME) { Err(format!("it is still there: {listed}").into()) } else { Ok(()) }
    }

    /// A machine that is up, with the test program in an image.
    async fn up(&self) -> Result<Compose<PodmanEngine>, Failed> {
        let runtime = self.process()?;
        runtime.ensure_ready(&Call::default()).await?;
        let connection = format!("--connection={NAME}");
        if self.by_hand(&[&connection, "image", "exists", IMAGE]).is_err() {
            let root = fs::File::open(env::var("LONGSHORE_TEST_RIG_ROOT")?)?;
            let mut import = Command::new(self.program());
            import.args([&connection, "import", "-c", "ENTRYPOINT [\"/fixture\"]", "-", IMAGE]);
            said(&import.stdin(root).output()?)?;
        }
        Ok(runtime)
    }

    /// Kills the machine's process of that program.
    fn kill(&self, program: &str) -> Outcome {
        let output =
            Command::new("pgrep").args(["-f", &format!("^([^ ]*/)?{program}[^ ]* .*{NAME}")]).output()?;
        let pids = String::from_utf8_lossy(&output.stdout).into_owned();
        let own = std::process::id().to_string();
        let pids: Vec<&str> = pids.lines().filter(|pid| **pid != *own).collect();
        if pids.is_empty() {
            return Err(format!("no {program} runs").into());
        }
        said(&Command::new("kill").arg("-KILL").args(&pids).output()?).map(|_| ())
    }
}

#[cfg(unix)]
fn make_executable(file: &fs::File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
fn make_executable(_: &fs::File) -> std::io::Result<()> {
    Ok(())
}

fn said(output: &Output) -> Result<String, Failed> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr)).into())
}

/// Another process of ours, in that role.
async fn another(rig: &Rig, role: &str) -> Outcome {
    let output = AsyncCommand::new(env::current_exe()?)
        .env(ROLE, role)
        .env(FOLDER, &rig.folder)
        .kill_on_drop(true)
        .output()
        .await?;
    said(&output).map(|_| ())
}

/// What a copy of this program does.
async fn play(role: &str) -> Outcome {
    let rig = Rig::new(Path::new(&env::var(FOLDER)?))?;
    let runtime = rig.process()?;
    let call = Call::default();
    match role {
        "init" => Ok(runtime.machine_init(&call).await?),
        "ensure" => {
            let all = join_all((0..8).map(|_| runtime.ensure_ready(&call))).await;
            Ok(all.into_iter().try_for_each(|one| one.map(|_| ()))?)
        }
        other => Err(format!("no role {other:?}").into()),
    }
}

fn project(rig: &Rig) -> Result<Project, Failed> {
    let text = "
services:
  web:
    image: localhost/longshore-fixture:1
    command: [serve, --body, hello]
    ports: ['127.0.0.1:18391:8080']
    healthcheck: {test: [CMD, /fixture, health], interval: 1s, timeout: 30s}
  worker:
    image: localhost/longshore-fixture:1
    command: [sleep]
    depends_on: {web: {condition: service_healthy}}
";
    let mut options = LoadOptions::new(&rig.folder);
    options.project_name = Some("lst".to_owned());
    Ok(load_str("compose.yaml", text, &options)?)
}

async fn rule_1_one_init_of_two_processes(rig: Arc<Rig>) -> Outcome {
    rig.clear()?;
    let (one, two) = tokio::join!(another(&rig, "init"), another(&rig, "init"));
    one?;
    two?;
    assert_eq!(rig.count("machine init"), 1);
    assert_eq!(rig.process()?.machine_status().await?, MachineStatus::Stopped);
    // One that somebody made is success too.
    let refused = rig.by_hand(&["machine", "init", NAME]).err().ok_or("podman made it again")?;
    assert!(refused.message().contains("already exists"), "{}", refused.message());
    rig.process()?.machine_init(&Call::default()).await?;
    Ok(())
}

async fn rule_1_one_start_for_16_callers_of_two_processes(rig: Arc<Rig>) -> Outcome {
    rig.clear()?;
    let (one, two) = tokio::join!(another(&rig, "ensure"), another(&rig, "ensure"));
    one?;
    two?;
    assert_eq!((rig.count("machine init"), rig.count("machine start")), (1, 1));
    assert_eq!(rig.process()?.machine_status().await?, MachineStatus::Running);
    Ok(())
}

async fn rule_3_stopped_behind_our_back_then_up(rig: Arc<Rig>) -> Outcome {
    let runtime = rig.up().await?;
    rig.by_hand(&["machine", "stop", NAME])?;
    assert_eq!(runtime.machine_status().await?, MachineStatus::Stopped);
    let told = Arc::new(Mutex::new(Vec::new()));
    let kept = told.clone();
    let call = Call::reporting(move |event| {
        if let Phase::Began(work) = event.phase {
            kept.lock().unwrap_or_else(PoisonError::into_inner).push(work);
        }
    });
    runtime.up(&project(&rig)?, &UpOptions::default(), &call).await?;
    assert_eq!(http_get(18391, "/").await?, "hello");
    let told = told.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(told.starts_with(&[Work::Boot]) && told.contains(&Work::Create), "{told:?}");
    Ok(())
}

async fn rule_3_killed_qemu_then_ensure_ready(rig: Arc<Rig>) -> Outcome {
    let runtime = rig.up().await?;
    rig.kill("qemu-system")?;
    assert_eq!(runtime.machine_status().await?, MachineStatus::Stopped);
    runtime.ensure_ready(&Call::default()).await?;
    assert_eq!(runtime.machine_status().await?, MachineStatus::Running);
    Ok(())
}

async fn rule_5_killed_gvproxy_is_told_and_nothing_is_ended_unasked(rig: Arc<Rig>) -> Outcome {
    let runtime = rig.up().await?;
    rig.kill("gvproxy")?;
    assert!(matches!(runtime.machine_status().await?, MachineStatus::NotAnswering(_)));
    rig.forget();
    let error = refused(runtime.ensure_ready(&Call::default()).await)?;
    let is_told = |problem: &MachineProblem| matches!(problem, MachineProblem::NotAnswering(_));
    assert!(matches!(&error, Error::Machine { problem, .. } if is_told(problem)), "{error:?}");
    assert!(error.help().is_some_and(|help| help.contains("machine stop")), "{error:?}");
    assert_eq!(rig.count("machine stop"), 0);
    let kept = refused(runtime.machine_stop(MachineStop::Considerately, &Call::default()).await)?;
    assert_eq!(rig.count("machine stop"), 0, "what runs in it cannot be read: {kept:?}");
    // Podman says 125 to this, and has stopped it.
    runtime.machine_stop(MachineStop::Always, &Call::default()).await?;
    assert_eq!(runtime.machine_status().await?, MachineStatus::Stopped);
    Ok(())
}

async fn rule_4_a_shutdown_during_ensure_ready_leaves_no_process(rig: Arc<Rig>) -> Outcome {
    let _ = rig.by_hand(&["machine", "stop", NAME]);
    let runtime = rig.process()?;
    let (booting, mut boots) = tokio::sync::mpsc::unbounded_channel();
    let call = Call::reporting(move |event| {
        if event.phase == Phase::Began(Work::Boot) {
            let _ = booting.send(());
        }
    });
    let mut options = ShutdownOptions::default();
    options.drain = Duration::ZERO;
    let (ready, ended) = tokio::join!(runtime.ensure_ready(&call), async {
        let _ = boots.recv().await;
        runtime.shutdown(&options, &Call::default()).await
    });
    assert_eq!(ready, Err(Error::ShuttingDown));
    // Nobody can ask a machine whose start was cancelled; or it is off with it.
    let fine = matches!(
        &ended,
        Ok(outcome) if matches!(outcome.machine, MachineEnd::AlreadyOff | MachineEnd::Kept(_))
    );
    assert!(fine || matches!(ended, Err(Error::Machine { .. } | Error::NotReachable { .. })), "{ended:?}");
    let left = Command::new("pgrep").args(["-f", &format!("podman machine start {NAME}")]).output()?;
    assert!(left.stdout.is_empty(), "left: {}", String::from_utf8_lossy(&left.stdout));
    Ok(())
}

async fn rule_5_a_foreign_container_keeps_the_machine_up(rig: Arc<Rig>) -> Outcome {
    let _ = rig.by_hand(&["machine", "stop", NAME]);
    let runtime = rig.up().await?;
    runtime.up(&project(&rig)?, &UpOptions::default(), &Call::default()).await?;
    let connection = format!("--connection={NAME}");
    rig.by_hand(&[&connection, "run", "--detach", "--name", "lst-foreign", IMAGE, "sleep"])?;
    let outcome = runtime.shutdown(&ShutdownOptions::default(), &Call::default()).await?;
    assert_eq!(outcome.machine, MachineEnd::Kept(Kept::InUse(vec!["lst-foreign".to_owned()])));
    assert_eq!(outcome.stopped.len(), 1);
    let names = rig.by_hand(&[&connection, "ps", "--format", "{{.Names}}"])?;
    assert_eq!(names.trim(), "lst-foreign");
    // The next process knows that the boot is ours, and nobody is in the way any more.
    rig.by_hand(&[&connection, "rm", "--force", "--time", "0", "lst-foreign"])?;
    let outcome = rig.process()?.shutdown(&ShutdownOptions::default(), &Call::default()).await?;
    assert_eq!(outcome.machine, MachineEnd::Stopped);
    assert_eq!(rig.process()?.machine_status().await?, MachineStatus::Stopped);
    Ok(())
}

async fn rule_5_a_machine_that_the_user_started_stays(rig: Arc<Rig>) -> Outcome {
    let _ = rig.by_hand(&["machine", "stop", NAME]);
    rig.by_hand(&["machine", "start", NAME])?;
    let runtime = rig.up().await?;
    let outcome = runtime.shutdown(&ShutdownOptions::default(), &Call::default()).await?;
    assert_eq!(outcome.machine, MachineEnd::Kept(Kept::NotStartedByUs));
    assert_eq!(rig.process()?.machine_status().await?, MachineStatus::Running);
    rig.clear()
}

fn trial<F: Future<Output = Outcome>>(
    name: &str,
    folder: &Arc<TempDir>,
    test: impl FnOnce(Arc<Rig>) -> F + Send + 'static,
) -> Trial {
    let folder = folder.clone();
    Trial::ignorable_test(format!("machine::{name}"), move || {
        let run = || {
            let rig = Arc::new(Rig::new(folder.path())?);
            let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            let patience = Duration::from_secs(400);
            tokio.block_on(async {
                match tokio::time::timeout(patience, test(rig)).await {
                    Ok(outcome) => outcome,
                    Err(_) => Err(format!("it took longer than {patience:?}").into()),
                }
            })
        };
        let is_required =
            env::var("LONGSHORE_REQUIRE").is_ok_and(|names| names.split(',').any(|one| one == "machine"));
        match run() {
            Ok(()) => Ok(Completion::Completed),
            Err(Failed::NotHere(reason)) if !is_required => Ok(Completion::ignored_with(reason)),
            Err(failed) => Err(failed.message().to_owned().into()),
        }
    })
}

fn main() -> ExitCode {
    if let Ok(role) = env::var(ROLE) {
        let tokio = tokio::runtime::Runtime::new().expect("a runtime can be made");
        return match tokio.block_on(play(&role)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failed) => {
                eprintln!("{}", failed.message());
                ExitCode::FAILURE
            }
        };
    }
    let mut arguments = Arguments::from_args();
    // There is one machine, and it is slow.
    arguments.test_threads = Some(1);
    let folder = Arc::new(tempfile::tempdir().expect("a folder can be made"));
    macro_rules! trials {
        ($($name:ident),+ $(,)?) => { vec![$(trial(stringify!($name), &folder, $name)),+] };
    }
    let trials = trials![
        rule_1_one_init_of_two_processes,
        rule_1_one_start_for_16_callers_of_two_processes,
        rule_3_stopped_behind_our_back_then_up,
        rule_3_killed_qemu_then_ensure_ready,
        rule_5_killed_gvproxy_is_told_and_nothing_is_ended_unasked,
        rule_4_a_shutdown_during_ensure_ready_leaves_no_process,
        rule_5_a_foreign_container_keeps_the_machine_up,
        rule_5_a_machine_that_the_user_started_stays,
    ];
    libtest_mimic::run(&arguments, trials).exit_code()
}
