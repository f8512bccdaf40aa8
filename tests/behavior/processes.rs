//! Rules 2, 7 and 8 with real processes: a podman that dies or hangs in the middle, and another process of ours.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use compose_file::Project;
use longshore_tests::{Backend, Case, Failed, IMAGE, Outcome, Suite, behaviours, refused};
use runtime_core::{Call, Compose, ContainerRuntime, Error, UpOptions};
use runtime_mock::MockEngine;

pub(crate) fn tests(suite: &mut Suite) {
    behaviours!(suite; two_processes_bring_one_project_up_at_once);
    behaviours!(suite, if |backend| !backend.is_real();
        two_processes_at_once_succeed_in_every_order,
        two_processes_that_replace_at_once_leave_one_of_each_in_every_order,
    );
    behaviours!(suite, if Backend::runs_a_program;
        a_program_that_is_killed_in_the_middle_is_no_end,
        a_program_that_hangs_ends_at_its_deadline,
    );
}

const TEXT: &str = "
services:
  db:
    image: localhost/longshore-fixture:1
    command: [sleep]
    volumes: ['data:/data']
    stop_grace_period: 2s
  web:
    image: localhost/longshore-fixture:1
    command: [sleep]
    depends_on: [db]
    stop_grace_period: 2s
volumes:
  data:
";

fn project(case: &Case) -> Result<Project, Failed> {
    case.project(TEXT)
}

async fn is_completed(case: &Case, project: &Project) -> Outcome {
    case.up(project).await?;
    let containers = case.ps(project).await?;
    assert_eq!(containers.len(), 2, "{containers:#?}");
    assert!(containers.iter().all(|one| one.state.is_running()), "{containers:#?}");
    assert_eq!(case.up(project).await?.steps, 0);
    Ok(())
}

async fn two_processes_bring_one_project_up_at_once(case: Case) -> Outcome {
    let project = project(&case)?;
    // Each connection is like a process of its own: they meet at the engine. In memory there is one engine for all.
    let other = match case.mock() {
        Some(mock) => std::sync::Arc::new(Compose::new(mock.clone())),
        None => case.backend().connect().runtime,
    };
    let (options, call) = (UpOptions::default(), Call::default());
    let (one, two) = tokio::join!(case.up(&project), other.up(&project, &options, &call));
    for outcome in [one, two] {
        // Who comes second to a name or to a container that is being made says so, and has broken nothing.
        if !matches!(&outcome, Ok(_) | Err(Error::NameInUse { .. } | Error::NotFound { .. })) {
            return Err(format!("{outcome:?}").into());
        }
    }
    is_completed(&case, &project).await
}

/// Processes of ours that meet at one engine, in an order that the seed decides.
fn processes(seed: u64) -> impl Fn() -> Compose {
    let engine = MockEngine::seeded(seed);
    engine.fixture_image(IMAGE);
    move || Compose::new(engine.clone())
}

async fn two_processes_at_once_succeed_in_every_order(case: Case) -> Outcome {
    let project = project(&case)?;
    let (options, call) = (UpOptions::default(), Call::default());
    for seed in 0..500 {
        let process = processes(seed);
        let (one, two) = (process(), process());
        let both = tokio::join!(one.up(&project, &options, &call), two.up(&project, &options, &call));
        assert!(matches!(both, (Ok(_), Ok(_))), "seed {seed}: {both:?}");
        let containers = one.ps(&project.name).await?;
        assert_eq!(containers.len(), 2, "seed {seed}: {containers:#?}");
        assert_eq!(process().up(&project, &options, &call).await?.steps, 0, "seed {seed}");
    }
    Ok(())
}

async fn two_processes_that_replace_at_once_leave_one_of_each_in_every_order(case: Case) -> Outcome {
    let old = project(&case)?;
    let new = case.project(&TEXT.replace("[sleep]", "[sleep, --term-after-ms, '100']"))?;
    let (options, call) = (UpOptions::default(), Call::default());
    for seed in 0..500 {
        let process = processes(seed);
        let (one, two) = (process(), process());
        one.up(&old, &options, &call).await?;
        let (first, second) = tokio::join!(one.up(&new, &options, &call), two.up(&new, &options, &call));
        for outcome in [first, second] {
            // Who is second may find what it was to replace gone, and is told what to do.
            let is_told = match &outcome {
                Ok(_) => true,
                Err(error @ (Error::NameInUse { .. } | Error::NotFound { .. })) => error.help().is_some(),
                Err(_) => false,
            };
            assert!(is_told, "seed {seed}: {outcome:?}");
        }
        process().up(&new, &options, &call).await?;
        let containers = one.ps(&new.name).await?;
        assert_eq!(containers.len(), 2, "seed {seed}: {containers:#?}");
        assert_eq!(process().up(&new, &options, &call).await?.steps, 0, "seed {seed}");
    }
    Ok(())
}

/// Podman, but at its first call of a command it does something to itself, and leaves a mark.
pub(crate) fn podman_that(case: &Case, command: &str, does: &str) -> Result<PathBuf, Failed> {
    let mark = case.dir().join("mark");
    podman_but(
        case,
        &format!("if [ \"$1\" = {command} ] && mkdir {} 2>/dev/null; then {does}; fi", mark.display()),
    )
}

/// Podman, but it does something before.
pub(crate) fn podman_but(case: &Case, does: &str) -> Result<PathBuf, Failed> {
    let path = case.dir().join("podman");
    fs::write(&path, format!("#!/bin/sh\n{does}\nexec podman \"$@\"\n"))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Ok(path)
}

async fn a_program_that_is_killed_in_the_middle_is_no_end(case: Case) -> Outcome {
    let project = project(&case)?;
    for command in ["create", "start", "network", "volume"] {
        let program = podman_that(&case, command, "kill -KILL $$")?;
        let runtime = case.backend().with_program(&program, Duration::from_secs(60))?;
        let error = refused(runtime.up(&project, &UpOptions::default(), &Call::default()).await)?;
        assert!(
            matches!(&error, Error::Command(failure) if failure.exit_code.is_none()),
            "{command}: {error:?}"
        );
        is_completed(&case, &project).await?;
        case.wipe(&project.name).await?;
        fs::remove_dir(case.dir().join("mark"))?;
    }
    Ok(())
}

async fn a_program_that_hangs_ends_at_its_deadline(case: Case) -> Outcome {
    let project = project(&case)?;
    let id = case.dir().join("id");
    // Podman itself is stopped, and who started it waits for it.
    let hangs = format!("podman \"$@\" & echo $! >{}; kill -STOP $!; wait", id.display());
    for command in ["create", "start"] {
        let program = podman_that(&case, command, &hangs)?;
        let runtime = case.backend().with_program(&program, Duration::from_secs(8))?;
        let error = refused(runtime.up(&project, &UpOptions::default(), &Call::default()).await)?;
        let is_that = |what: &str| what.starts_with(&format!("`podman {command} "));
        assert!(matches!(&error, Error::TimedOut { what, .. } if is_that(what)), "{command}: {error:?}");
        is_gone(fs::read_to_string(&id)?.trim()).await?;
        is_completed(&case, &project).await?;
        case.wipe(&project.name).await?;
        fs::remove_dir(case.dir().join("mark"))?;
    }
    Ok(())
}

/// Waits until a process has ended, though perhaps nobody has reaped it: what was killed may take a moment.
pub(crate) async fn is_gone(id: &str) -> Outcome {
    let command = Path::new("/proc").join(id).join("cmdline");
    while fs::read(&command).is_ok_and(|words| !words.is_empty()) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
