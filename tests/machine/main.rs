//! The rules on a real `podman machine`: slow, one at a time, and only where a rig is.
//!
//! | variable | meaning |
//! |---|---|
//! | `LONGSHORE_TEST_RIG` | a program that runs podman where it can have a machine |
//! | `LONGSHORE_TEST_RIG_IMAGE` | the disk of the machine, as that podman finds it |
//! | `LONGSHORE_TEST_CLI` | the `longshore` command |
//! | `LONGSHORE_TEST_RIG_ROOT` | an archive with the test program, for an image in the machine |
//! | `LONGSHORE_TEST_RIG_DOWNLOAD` | the disk in a registry, as podman takes it from there |
//! | `LONGSHORE_TEST_RIG_SERVE` | a program that serves that registry again, with so many bytes a second as its argument says, and prints the disk in it |

mod cli;
mod download;
mod rig;
mod role;

use std::{
    env,
    future::Future,
    process::{Command, ExitCode},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use compose_file::{LoadOptions, Project, load_str};
use libtest_mimic::{Arguments, Trial};
use longshore_tests::{Failed, Outcome, Recorder, completed, http_get, refused};
use runtime_core::{
    Call, ContainerRuntime, Error, Kept, MachineEnd, MachineProblem, MachineStatus, MachineStop, Phase,
    ShutdownOptions, UpOptions, Work,
};
use tempfile::TempDir;

use crate::{
    cli::{
        rule_4_a_foreground_up_ends_the_machine_that_it_booted, the_command_line_goes_from_nothing_to_nothing,
    },
    download::{
        a_download_is_told_and_ends_in_a_machine, a_download_that_is_cut_is_told_and_done_again,
        rule_7_a_download_that_is_cancelled_leaves_no_process_and_is_done_again,
        rule_7_a_download_whose_process_is_killed_leaves_no_process_and_is_done_again,
    },
    rig::{IMAGE, NAME, Rig, SECOND, download},
    role::{ROLE, another, play},
};

const COMPOSE_FILE: &str = "
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

fn project(rig: &Rig) -> Result<Project, Failed> {
    let mut options = LoadOptions::new(&rig.folder);
    options.project_name = Some("lst".to_owned());
    Ok(load_str("compose.yaml", COMPOSE_FILE, &options)?)
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
    // What the guest has not written by then is lost, and containers that lose a part of themselves are another matter.
    rig.by_hand(&["machine", "ssh", NAME, "sync"])?;
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
    Ok(())
}

async fn a_clock_that_is_behind_is_set_right(rig: Arc<Rig>) -> Outcome {
    const HOUR: u64 = 3600;
    let here = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map(|since| since.as_secs());
    rig.up().await?;
    rig.by_hand(&["machine", "ssh", NAME, &format!("sudo date -s @{}", here()? - HOUR)])?;
    let recorder = Recorder::new();
    // Another process of ours, because this one compared the clocks a moment ago.
    rig.process()?.ensure_ready(&recorder.call()).await?;
    let warnings = recorder.warnings();
    let behind = warnings.iter().find_map(|warning| {
        warning.strip_prefix("its clock was ")?.strip_suffix(" s behind and was set right")?.parse().ok()
    });
    let behind: u64 = behind.ok_or_else(|| format!("it was not told: {warnings:?}"))?;
    assert!(behind.abs_diff(HOUR) < 60, "{behind}");
    let there: u64 = rig.by_hand(&["machine", "ssh", NAME, "date +%s"])?.trim().parse()?;
    assert!(there.abs_diff(here()?) < 60, "{there}");
    Ok(())
}

async fn rule_5_another_machine_in_the_way_is_told_and_left_alone(rig: Arc<Rig>) -> Outcome {
    let theirs = rig.up().await?;
    // It is there, and was downloaded, if the tests of downloads have run.
    let runtime = rig.process_with(SECOND, download()?)?;
    rig.forget();
    let error = refused(runtime.ensure_ready(&Call::default()).await)?;
    let expected =
        Error::Machine { name: SECOND.to_owned(), problem: MachineProblem::AnotherRuns(NAME.to_owned()) };
    assert_eq!(error, expected);
    let help = error.help().ok_or("it does not say what to do")?;
    assert!(help.contains(&format!("`podman machine stop {NAME}`")), "{help}");
    assert_eq!((rig.count("machine start"), rig.count("machine stop")), (1, 0));
    assert_eq!(theirs.machine_status().await?, MachineStatus::Running);
    assert_eq!(runtime.machine_status().await?, MachineStatus::Stopped);
    rig.by_hand(&["machine", "stop", NAME])?;
    runtime.ensure_ready(&Call::default()).await?;
    assert_eq!(runtime.machine_status().await?, MachineStatus::Running);
    rig.clear_of(SECOND)
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
        completed(run(), "machine")
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
    // There is one machine, and it is slow: the order is one in which a test finds it as the one before left it.
    arguments.test_threads = Some(1);
    let folder = Arc::new(tempfile::tempdir().expect("a folder can be made"));
    macro_rules! trials {
        ($($name:ident),+ $(,)?) => { vec![$(trial(stringify!($name), &folder, $name)),+] };
    }
    let trials = trials![
        rule_1_one_init_of_two_processes,
        a_download_that_is_cut_is_told_and_done_again,
        rule_7_a_download_that_is_cancelled_leaves_no_process_and_is_done_again,
        rule_7_a_download_whose_process_is_killed_leaves_no_process_and_is_done_again,
        a_download_is_told_and_ends_in_a_machine,
        the_command_line_goes_from_nothing_to_nothing,
        rule_4_a_foreground_up_ends_the_machine_that_it_booted,
        rule_1_one_start_for_16_callers_of_two_processes,
        a_clock_that_is_behind_is_set_right,
        rule_3_stopped_behind_our_back_then_up,
        rule_3_killed_qemu_then_ensure_ready,
        rule_5_killed_gvproxy_is_told_and_nothing_is_ended_unasked,
        rule_4_a_shutdown_during_ensure_ready_leaves_no_process,
        rule_5_a_foreign_container_keeps_the_machine_up,
        rule_5_a_machine_that_the_user_started_stays,
        rule_5_another_machine_in_the_way_is_told_and_left_alone,
    ];
    let conclusion = libtest_mimic::run(&arguments, trials);
    if conclusion.num_passed + conclusion.num_failed > 0
        && let Ok(rig) = Rig::new(folder.path())
    {
        for name in [NAME, SECOND] {
            if let Err(failed) = rig.clear_of(name) {
                eprintln!("the machine {name} stays: {}", failed.message());
            }
        }
    }
    conclusion.exit_code()
}
