//! Nothing half done is lost: an `up` that ends anywhere is found by `down` and completed by `up`.

use std::process::{Command, Stdio};

use compose_file::Project;
use futures_util::FutureExt;
use longshore_tests::{Case, Failed, Outcome, Recorder, Suite, behaviours, said};
use runtime_core::{Call, DownOptions, Error, StopOptions, Target, UpOptions};
use tokio_util::sync::CancellationToken;

pub(crate) fn tests(suite: &mut Suite) {
    behaviours!(suite;
        a_call_that_is_cancelled_before_does_nothing,
        up_cancelled_anywhere_is_found_by_down,
        up_cancelled_anywhere_is_completed_by_up,
        a_recreation_cancelled_anywhere_is_completed,
        a_dropped_up_is_completed_by_up,
        waiting_for_health_is_cancelled,
        down_cancelled_anywhere_is_completed_by_down,
        stop_is_cancelled_within_the_grace_period,
    );
    behaviours!(suite, if |backend| matches!(backend.name, "podman" | "podman-api");
        a_start_that_was_killed_is_completed,
    );
}

fn project(case: &Case, word: &str) -> Result<Project, Failed> {
    case.project(&format!(
        "
services:
  db:
    image: localhost/longshore-fixture:1
    command: [sleep]
    volumes: ['data:/data']
    environment: [WORD={word}]
    stop_grace_period: 2s
  web:
    image: localhost/longshore-fixture:1
    command: [sleep]
    environment: [WORD={word}]
    depends_on: [db]
    stop_grace_period: 2s
volumes:
  data:
"
    ))
}

/// `up` that is cancelled when its event number `count` arrives. Returns whether it was cancelled in time.
async fn up_until(case: &Case, project: &Project, count: usize) -> Result<bool, Failed> {
    let recorder = Recorder::cancelling_at(count);
    match case.runtime().up(project, &UpOptions::default(), &recorder.call()).await {
        Ok(_) => Ok(false),
        Err(Error::Cancelled) => Ok(true),
        Err(other) => Err(format!("cancelled at event {count} it came to {other:?}").into()),
    }
}

/// The events at which calls are cancelled: every one in memory, some where each takes its time.
fn places(case: &Case) -> impl Iterator<Item = usize> + use<> {
    (1..400).step_by(if case.mock().is_some() { 1 } else { 4 })
}

async fn is_complete(case: &Case, project: &Project) -> Outcome {
    case.up(project).await?;
    let containers = case.ps(project).await?;
    let name = case.name();
    let names: Vec<&str> = containers.iter().map(|container| container.name.as_str()).collect();
    assert_eq!(names, [format!("{name}-db-1"), format!("{name}-web-1")]);
    assert!(containers.iter().all(|container| container.state.is_running()), "{containers:#?}");
    assert_eq!(case.up(project).await?.steps, 0);
    Ok(())
}

async fn a_call_that_is_cancelled_before_does_nothing(case: Case) -> Outcome {
    let project = project(&case, "one")?;
    assert!(up_until(&case, &project, 0).await?);
    assert!(case.things_of(&project.name).await?.is_empty());
    Ok(())
}

async fn up_cancelled_anywhere_is_found_by_down(case: Case) -> Outcome {
    let project = project(&case, "one")?;
    for count in places(&case) {
        let cancelled = up_until(&case, &project, count).await?;
        case.wipe(&project.name).await?;
        if !cancelled {
            assert!(count > 3, "there are more events than {count}");
            return Ok(());
        }
    }
    Err("it was cancelled at every event, and there is no end of them".into())
}

async fn up_cancelled_anywhere_is_completed_by_up(case: Case) -> Outcome {
    let project = project(&case, "one")?;
    for count in places(&case) {
        let cancelled = up_until(&case, &project, count).await?;
        is_complete(&case, &project).await?;
        case.wipe(&project.name).await?;
        if !cancelled {
            return Ok(());
        }
    }
    Err("it was cancelled at every event, and there is no end of them".into())
}

async fn a_recreation_cancelled_anywhere_is_completed(case: Case) -> Outcome {
    is_complete(&case, &project(&case, "start")?).await?;
    for count in places(&case) {
        let project = project(&case, &format!("word-{count}"))?;
        let cancelled = up_until(&case, &project, count).await?;
        is_complete(&case, &project).await?;
        if !cancelled {
            assert!(count > 3, "there are more events than {count}");
            return Ok(());
        }
    }
    Err("it was cancelled at every event, and there is no end of them".into())
}

async fn a_dropped_up_is_completed_by_up(case: Case) -> Outcome {
    let project = project(&case, "one")?;
    for count in [1, 3, 5, 7] {
        // The listener ends the race that the call is in, and the call is dropped where it is.
        let reached = CancellationToken::new();
        let recorder = Recorder::cancelling_at(count);
        let call = recorder.call();
        let watched = Call { progress: call.progress, cancel: reached };
        let options = UpOptions::default();
        tokio::select! {
            outcome = case.runtime().up(&project, &options, &watched) => { outcome?; }
            () = call.cancel.cancelled() => {}
        }
        is_complete(&case, &project).await?;
        case.wipe(&project.name).await?;
    }
    // Polled once and dropped.
    assert!(case.up(&project).now_or_never().is_none_or(|outcome| outcome.is_ok()));
    is_complete(&case, &project).await
}

async fn waiting_for_health_is_cancelled(case: Case) -> Outcome {
    let project = case.project(
        "
services:
  web:
    image: localhost/longshore-fixture:1
    command: [sleep]
    depends_on:
      db: {condition: service_healthy}
  db:
    image: localhost/longshore-fixture:1
    command: [serve, --unhealthy]
    healthcheck: {test: [CMD, /fixture, health], interval: 200ms, timeout: 5s, retries: 100000}
",
    )?;
    let call = Call::default();
    let options = UpOptions::default();
    let cancel = async {
        case.until_running(&project, "db").await?;
        call.cancel.cancel();
        Ok::<(), Failed>(())
    };
    let (outcome, cancelled) = tokio::join!(case.runtime().up(&project, &options, &call), cancel);
    cancelled?;
    assert_eq!(outcome, Err(Error::Cancelled));
    case.wipe(&project.name).await
}

async fn down_cancelled_anywhere_is_completed_by_down(case: Case) -> Outcome {
    let project = project(&case, "one")?;
    for count in places(&case) {
        case.up(&project).await?;
        let recorder = Recorder::cancelling_at(count);
        let target = Target::name(project.name.clone());
        let outcome = case.runtime().down(&target, &DownOptions::default(), &recorder.call()).await;
        assert!(matches!(outcome, Ok(()) | Err(Error::Cancelled)), "at event {count}: {outcome:?}");
        case.wipe(&project.name).await?;
        if outcome.is_ok() {
            return Ok(());
        }
    }
    Err("it was cancelled at every event, and there is no end of them".into())
}

async fn stop_is_cancelled_within_the_grace_period(case: Case) -> Outcome {
    let project = case.project(
        "
services:
  web:
    image: localhost/longshore-fixture:1
    command: [sleep, --ignore-term]
    stop_grace_period: 1h
",
    )?;
    case.up(&project).await?;
    case.says(&project, "web", "sleeping").await?;
    let recorder = Recorder::cancelling_at(1);
    let outcome =
        case.runtime().stop(&Target::from(&project), &StopOptions::default(), &recorder.call()).await;
    assert_eq!(outcome, Err(Error::Cancelled));
    let quickly = {
        let mut options = DownOptions::default();
        options.timeout = Some(std::time::Duration::ZERO);
        options
    };
    case.runtime().down(&Target::from(&project), &quickly, &Call::default()).await?;
    assert!(case.things_of(&project.name).await?.is_empty());
    Ok(())
}

async fn a_start_that_was_killed_is_completed(case: Case) -> Outcome {
    let project = case.sleeper("")?;
    case.up(&project).await?;
    let id = case.container(&project, "web").await?.id.to_string();
    let run = |program: &str, words: &[&str]| said(&Command::new(program).args(words).output()?);
    let oci = run("podman", &["container", "inspect", "--format", "{{.OCIRuntime}}", &id])?;
    let oci = oci.trim();
    // When the runtime has made the container, which podman has not written down yet.
    for _ in 0..5 {
        case.stop(&project).await?;
        let mut start = Command::new("podman")
            .args(["start", &id])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        while run(oci, &["state", &id]).is_err() && start.try_wait()?.is_none() {}
        start.kill()?;
        start.wait()?;
        case.up(&project).await?;
        assert!(case.container(&project, "web").await?.state.is_running());
    }
    // When its process runs, which podman has not written down yet.
    case.stop(&project).await?;
    run("podman", &["init", &id])?;
    run(oci, &["start", &id])?;
    case.up(&project).await?;
    assert!(case.container(&project, "web").await?.state.is_running());
    assert_eq!(case.container(&project, "web").await?.id.to_string(), id);
    Ok(())
}
