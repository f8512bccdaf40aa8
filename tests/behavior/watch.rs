//! What happens to our containers, told to those who show them.

use std::{fs, process::Command, sync::Arc, time::Duration};

use compose_file::{Project, ProjectName};
use futures_util::{StreamExt, TryStreamExt};
use longshore_tests::{
    Backend, Case, Connection, Failed, IMAGE, Outcome, Suite, behaviours, refused, variable,
};
use runtime_core::{
    AnonymousVolumes, Call, Change, Changes, Compose, ContainerName, ContainerRuntime, ContainerSpec,
    EngineAction, Error, HealthStatus, MachineProblem, Projects, ShutdownOptions, labels,
};
use runtime_mock::MockEngine;
use runtime_podman::{PodmanConfig, PodmanEngine, Via};

use crate::processes::{is_gone, podman_that};

pub(crate) fn tests(suite: &mut Suite) {
    behaviours!(suite;
        what_happens_to_a_project_is_told_and_then_seen,
        what_happens_before_it_is_read_is_told,
        what_others_do_to_ours_is_told,
        what_is_not_ours_is_not_told,
        it_goes_on_after_a_shutdown,
    );
    // Podman 4.3 tells of no health.
    behaviours!(suite, if |backend| matches!(backend.name, "mock" | "docker");
        a_change_of_health_is_told,
    );
    behaviours!(suite, if |backend| !backend.is_real();
        a_machine_that_ends_is_its_end_and_none_is_started,
    );
    behaviours!(suite, if Backend::runs_a_program;
        dropped_it_leaves_no_process,
        a_program_that_is_killed_is_its_end,
        it_is_told_over_a_connection,
    );
}

/// Reads until that is told, and gives all that was.
async fn until(changes: &mut Changes, action: EngineAction) -> Result<Vec<Change>, Failed> {
    let mut told = Vec::new();
    loop {
        let change = changes.try_next().await?.ok_or("it ended")?;
        told.push(change);
        if told.last().is_some_and(|last| last.action == action) {
            return Ok(told);
        }
    }
}

async fn states(case: &Case, project: &Project) -> Result<Vec<bool>, Error> {
    Ok(case.ps(project).await?.into_iter().map(|one| one.state.is_running()).collect())
}

async fn what_happens_to_a_project_is_told_and_then_seen(case: Case) -> Outcome {
    let project = case.sleeper("-agent-1")?;
    let mut changes = case.runtime().watch(&format!("{}-agent", case.name())).await?;
    let mut told = Vec::new();
    case.up(&project).await?;
    told.extend(until(&mut changes, EngineAction::Started).await?);
    let id = case.container(&project, "web").await?.id;
    assert_eq!(states(&case, &project).await?, [true]);
    let stop = async {
        let stopped = until(&mut changes, EngineAction::Died).await?;
        Ok::<_, Failed>((stopped, states(&case, &project).await?))
    };
    let (stopped, seen) = tokio::join!(case.stop(&project), stop);
    stopped?;
    let (stopped, seen) = seen?;
    assert_eq!(seen, [false], "what was told is seen at once");
    told.extend(stopped);
    case.start(&project).await?;
    told.extend(until(&mut changes, EngineAction::Started).await?);
    case.down(&project).await?;
    told.extend(until(&mut changes, EngineAction::Removed).await?);
    assert!(states(&case, &project).await?.is_empty());
    assert!(told.iter().all(|change| change.project == project.name && change.container == id), "{told:#?}");
    let died = told.iter().filter(|change| change.action == EngineAction::Died).count();
    assert_eq!(died, 2, "{told:#?}");
    Ok(())
}

async fn what_happens_before_it_is_read_is_told(case: Case) -> Outcome {
    let changes = case.runtime().watch(case.name()).await?;
    let projects = [case.sleeper("-a")?, case.sleeper("-b")?];
    for project in &projects {
        case.up(project).await?;
        case.up_anew(project).await?;
        case.down(project).await?;
    }
    // Each container was removed, the one that was replaced too.
    let removed = changes
        .try_filter(|change| std::future::ready(change.action == EngineAction::Removed))
        .map_ok(|change| change.project);
    let removed: Vec<ProjectName> = removed.take(4).try_collect().await?;
    let [a, b] = projects.map(|project| project.name);
    assert_eq!(removed, [a.clone(), a, b.clone(), b]);
    Ok(())
}

async fn what_others_do_to_ours_is_told(case: Case) -> Outcome {
    let project = case.sleeper("")?;
    case.up(&project).await?;
    let id = case.container(&project, "web").await?.id;
    let mut changes = case.runtime().watch(case.name()).await?;
    let name = ContainerName::new(format!("{}-renamed", case.name()))?;
    case.engine().rename_container(&id, &name).await?;
    until(&mut changes, EngineAction::Changed).await?;
    case.engine().kill_container(&id, "SIGKILL").await?;
    until(&mut changes, EngineAction::Died).await?;
    case.engine().remove_container(&id, AnonymousVolumes::Remove).await?;
    let told = until(&mut changes, EngineAction::Removed).await?;
    assert!(told.iter().all(|change| change.project == project.name && change.container == id), "{told:#?}");
    Ok(())
}

async fn what_is_not_ours_is_not_told(case: Case) -> Outcome {
    let mut changes = case.runtime().watch(&format!("{}-agent", case.name())).await?;
    case.up(&case.sleeper("-other")?).await?;
    let theirs = format!("{}-agent-theirs", case.name());
    for (number, owner) in [None, Some("somebody-else")].into_iter().enumerate() {
        let mut spec = ContainerSpec::new(ContainerName::new(format!("{theirs}-web-{number}"))?, IMAGE);
        spec.command = Some(vec!["sleep".to_owned()]);
        let given = [(labels::PROJECT, Some(theirs.as_str())), (labels::OWNER, owner)];
        spec.labels =
            given.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.to_owned()))).collect();
        let id = case.foreign_container(&spec).await?;
        case.engine().kill_container(&id, "SIGKILL").await?;
    }
    let project = case.sleeper("-agent-1")?;
    case.up(&project).await?;
    let told = until(&mut changes, EngineAction::Started).await?;
    assert!(told.iter().all(|change| change.project == project.name), "{told:#?}");
    Ok(())
}

/// A runtime over the same engine, because one that was shut down cannot clean up.
fn another(case: &Case) -> Arc<dyn ContainerRuntime> {
    match case.mock() {
        Some(mock) => Arc::new(Compose::new(mock.clone()).with_owner("longshore-tests")),
        None => {
            let Connection { runtime, .. } = case.backend().connect();
            runtime
        }
    }
}

async fn it_goes_on_after_a_shutdown(case: Case) -> Outcome {
    let project = case.sleeper("")?;
    case.up(&project).await?;
    let runtime = another(&case);
    let mut changes = runtime.watch(case.name()).await?;
    let mut options = ShutdownOptions::default();
    options.projects = Projects::Only([project.name.clone()].into());
    let outcome = runtime.shutdown(&options, &Call::default()).await?;
    assert!(outcome.stopped.contains(&project.name), "{outcome:?}");
    until(&mut changes, EngineAction::Died).await?;
    case.start(&project).await?;
    until(&mut changes, EngineAction::Started).await?;
    drop(runtime.watch(case.name()).await?);
    Ok(())
}

async fn a_change_of_health_is_told(case: Case) -> Outcome {
    let project = case.project(
        "
services:
  web:
    image: localhost/longshore-fixture:1
    command: [serve]
    healthcheck: {test: [CMD, /fixture, health], interval: 1s, timeout: 5s, retries: 1000}
",
    )?;
    let mut changes = case.runtime().watch(case.name()).await?;
    case.up(&project).await?;
    while case.container(&project, "web").await?.health_status() != Some(HealthStatus::Healthy) {
        until(&mut changes, EngineAction::Health).await?;
    }
    Ok(())
}

async fn a_machine_that_ends_is_its_end_and_none_is_started(case: Case) -> Outcome {
    let engine = MockEngine::new();
    engine.fixture_image(IMAGE);
    let machine = engine.in_machine("m1");
    let runtime = Compose::new(engine.clone()).with_machine(Arc::new(machine.clone()));
    let is_off = |error: &Error| matches!(error, Error::Machine { problem: MachineProblem::Stopped, .. });
    machine.exists();
    let error = refused(runtime.watch(case.name()).await.map(|_| ()))?;
    assert!(is_off(&error), "{error:?}");
    assert_eq!(engine.count("machine_start m1"), 0);
    runtime.ensure_ready(&Call::default()).await?;
    let changes = runtime.watch(case.name()).await?;
    machine.kill();
    let told: Vec<_> = changes.collect().await;
    assert!(matches!(&told[..], [Err(error)] if is_off(error)), "{told:?}");
    assert_eq!(engine.count("machine_start m1"), 1);
    Ok(())
}

/// A stream that has told something, and the id of the process that it comes of.
async fn listening(case: &Case) -> Result<(Changes, String), Failed> {
    let id = case.dir().join("id");
    let program = podman_that(case, "events", &format!("echo $$ >{}", id.display()))?;
    let runtime = case.backend().with_program(&program, Duration::from_secs(60))?;
    let mut changes = runtime.watch(case.name()).await?;
    case.up(&case.sleeper("")?).await?;
    until(&mut changes, EngineAction::Started).await?;
    Ok((changes, fs::read_to_string(id)?.trim().to_owned()))
}

async fn dropped_it_leaves_no_process(case: Case) -> Outcome {
    let (changes, id) = listening(&case).await?;
    drop(changes);
    is_gone(&id).await
}

async fn a_program_that_is_killed_is_its_end(case: Case) -> Outcome {
    let (mut changes, id) = listening(&case).await?;
    assert!(Command::new("kill").args(["-KILL", &id]).status()?.success());
    let error = loop {
        match changes.next().await {
            Some(Ok(_)) => {}
            Some(Err(error)) => break error,
            None => return Err("it ended without an error".into()),
        }
    };
    assert!(matches!(&error, Error::Command(failure) if failure.exit_code.is_none()), "{error:?}");
    assert!(changes.next().await.is_none());
    Ok(())
}

/// Podman by its commands, as where it runs elsewhere.
pub(crate) fn over_a_connection() -> Result<impl ContainerRuntime, Failed> {
    let mut config = PodmanConfig::default();
    config.via = Via::Cli;
    config.url = Some(format!("unix://{}", variable("LONGSHORE_TEST_PODMAN_SOCKET")?));
    Ok(Compose::new(PodmanEngine::new(config)).with_owner("longshore-tests"))
}

async fn it_is_told_over_a_connection(case: Case) -> Outcome {
    let runtime = over_a_connection()?;
    let mut changes = runtime.watch(case.name()).await?;
    let project = case.sleeper("")?;
    case.up(&project).await?;
    let id = case.container(&project, "web").await?.id;
    let told = until(&mut changes, EngineAction::Started).await?;
    assert!(told.iter().all(|change| change.project == project.name && change.container == id), "{told:#?}");
    Ok(())
}
