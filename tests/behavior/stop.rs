//! Stopping and starting what is there.

use std::time::Duration;

use compose_file::Project;
use longshore_tests::{Case, Failed, Outcome, Recorder, Suite, behaviours, refused};
use runtime_core::{ContainerState, Error, StopOptions, Target, Work};

pub(crate) fn tests(suite: &mut Suite) {
    behaviours!(suite;
        dependents_are_stopped_first,
        without_the_file_the_labels_tell_the_order,
        the_grace_period_ends_in_a_kill,
        the_callers_grace_period_counts,
        the_stop_signal_is_the_files,
        stopping_what_is_stopped_is_fine,
        starting_starts_the_same_containers,
        starting_keeps_the_order,
        dependents_of_a_stopped_service_run_on,
        starting_what_is_not_there_is_an_error,
        a_service_that_is_unknown_is_an_error,
    );
}

fn chain(case: &Case) -> Result<Project, Failed> {
    case.project(
        "
services:
  app:
    image: localhost/longshore-fixture:1
    command: [sleep]
    depends_on: [mid]
  mid:
    image: localhost/longshore-fixture:1
    command: [sleep]
    scale: 2
    depends_on: [zoo]
  zoo:
    image: localhost/longshore-fixture:1
    command: [sleep]
",
    )
}

fn assert_order(case: &Case, recorder: &Recorder) {
    let name = |rest: &str| format!("{}-{rest}", case.name());
    for mid in ["mid-1", "mid-2"] {
        let app = recorder.done(Work::Stop, &name("app-1"));
        assert!(app < recorder.began(Work::Stop, &name(mid)), "app ends before {mid}");
        let zoo = recorder.began(Work::Stop, &name("zoo-1"));
        assert!(recorder.done(Work::Stop, &name(mid)) < zoo, "{mid} ends before zoo");
    }
}

async fn dependents_are_stopped_first(case: Case) -> Outcome {
    let project = chain(&case)?;
    case.up(&project).await?;
    let recorder = Recorder::new();
    case.runtime().stop(&Target::from(&project), &StopOptions::default(), &recorder.call()).await?;
    assert_order(&case, &recorder);
    assert!(case.ps(&project).await?.iter().all(|container| container.state == ContainerState::Exited));
    Ok(())
}

async fn without_the_file_the_labels_tell_the_order(case: Case) -> Outcome {
    let project = chain(&case)?;
    case.up(&project).await?;
    let recorder = Recorder::new();
    let target = Target::name(project.name.clone());
    case.runtime().stop(&target, &StopOptions::default(), &recorder.call()).await?;
    assert_order(&case, &recorder);
    Ok(())
}

async fn the_grace_period_ends_in_a_kill(case: Case) -> Outcome {
    let project = case.project(
        "
services:
  deaf:
    image: localhost/longshore-fixture:1
    command: [sleep, --ignore-term]
    stop_grace_period: 1s
  kind:
    image: localhost/longshore-fixture:1
    command: [sleep]
    stop_grace_period: 1m
",
    )?;
    case.up(&project).await?;
    for service in ["deaf", "kind"] {
        case.says(&project, service, "sleeping").await?;
    }
    case.stop(&project).await?;
    assert_eq!(case.container(&project, "deaf").await?.exit_code, Some(137));
    assert_ne!(case.container(&project, "kind").await?.exit_code, Some(137));
    Ok(())
}

async fn the_callers_grace_period_counts(case: Case) -> Outcome {
    let project = case.project(
        "
services:
  deaf:
    image: localhost/longshore-fixture:1
    command: [sleep, --ignore-term]
    stop_grace_period: 1h
",
    )?;
    case.up(&project).await?;
    case.says(&project, "deaf", "sleeping").await?;
    let options = StopOptions { timeout: Some(Duration::from_secs(1)) };
    case.runtime().stop(&(&project).into(), &options, &Default::default()).await?;
    assert_eq!(case.container(&project, "deaf").await?.exit_code, Some(137));
    Ok(())
}

async fn the_stop_signal_is_the_files(case: Case) -> Outcome {
    let project = case.project(
        "
services:
  web:
    image: localhost/longshore-fixture:1
    command: [sleep, --signal, USR1]
    stop_signal: SIGUSR1
    stop_grace_period: 1m
",
    )?;
    case.up(&project).await?;
    case.says(&project, "web", "sleeping").await?;
    case.stop(&project).await?;
    let web = case.container(&project, "web").await?;
    assert_eq!((web.state, web.exit_code), (ContainerState::Exited, Some(0)));
    Ok(())
}

async fn stopping_what_is_stopped_is_fine(case: Case) -> Outcome {
    let project = chain(&case)?;
    case.up(&project).await?;
    case.stop(&project).await?;
    let recorder = Recorder::new();
    case.runtime().stop(&Target::from(&project), &StopOptions::default(), &recorder.call()).await?;
    assert!(recorder.all_done(Work::Stop).is_empty());
    Ok(())
}

async fn starting_starts_the_same_containers(case: Case) -> Outcome {
    let project = chain(&case)?;
    case.up(&project).await?;
    let before = case.ids(&project).await?;
    case.stop(&project).await?;
    case.start(&project).await?;
    assert_eq!(case.ids(&project).await?, before);
    assert!(case.ps(&project).await?.iter().all(|container| container.state == ContainerState::Running));
    case.start(&project).await?;
    Ok(())
}

async fn starting_keeps_the_order(case: Case) -> Outcome {
    let project = chain(&case)?;
    case.up(&project).await?;
    case.stop(&project).await?;
    let recorder = Recorder::new();
    case.runtime().start(&Target::name(project.name.clone()), &recorder.call()).await?;
    let order = recorder.all_done(Work::Start);
    assert_eq!(order.first(), Some(&format!("{}-zoo-1", case.name())));
    assert_eq!(order.last(), Some(&format!("{}-app-1", case.name())));
    Ok(())
}

async fn dependents_of_a_stopped_service_run_on(case: Case) -> Outcome {
    let project = chain(&case)?;
    case.up(&project).await?;
    case.stop(Target::from(&project).services(["zoo"])).await?;
    assert_eq!(case.container(&project, "zoo").await?.state, ContainerState::Exited);
    for service in ["mid", "app"] {
        assert_eq!(case.container(&project, service).await?.state, ContainerState::Running, "{service}");
    }
    Ok(())
}

async fn starting_what_is_not_there_is_an_error(case: Case) -> Outcome {
    let project = chain(&case)?;
    let error = refused(case.start(&project).await)?;
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
    Ok(())
}

async fn a_service_that_is_unknown_is_an_error(case: Case) -> Outcome {
    let project = chain(&case)?;
    case.up(&project).await?;
    let error = refused(case.stop(Target::from(&project).services(["nobody"])).await)?;
    assert!(error.to_string().contains("nobody"), "{error}");
    assert!(case.ps(&project).await?.iter().all(|container| container.state == ContainerState::Running));
    Ok(())
}
