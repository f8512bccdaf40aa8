//! Stopping and starting again.

use std::{collections::BTreeMap, time::SystemTime};

use compose_file::Project;
use longshore_tests::{Case, Failed, Outcome, Recorder, Suite, behaviours, refused};
use runtime_core::{Call, ContainerState, Dependents, Error, Pause, RestartOptions, Target, Work};

pub(crate) fn tests(suite: &mut Suite) {
    behaviours!(suite;
        the_same_containers_run_again,
        what_is_to_be_restarted_with_it_is_restarted_after_it,
        without_the_file_the_labels_tell_who_is_restarted_with_it,
        what_is_stopped_is_started,
        what_is_paused_is_restarted,
        nothing_there_is_nothing_to_restart,
        an_unknown_service_is_not_restarted,
    );
}

const TEXT: &str = "
services:
  db: {image: 'localhost/longshore-fixture:1', command: [sleep]}
  web:
    image: localhost/longshore-fixture:1
    command: [sleep]
    depends_on: {db: {condition: service_started, restart: true}}
  job:
    image: localhost/longshore-fixture:1
    command: [sleep]
    depends_on: [db]
";

/// The project, brought up and ready to be stopped.
async fn up(case: &Case) -> Result<Project, Failed> {
    let project = case.project(TEXT)?;
    case.up(&project).await?;
    for service in ["db", "web", "job"] {
        case.says(&project, service, "sleeping").await?;
    }
    Ok(project)
}

async fn starts(case: &Case, project: &Project) -> Result<BTreeMap<String, Option<SystemTime>>, Failed> {
    let containers = case.ps(project).await?;
    assert!(containers.iter().all(|one| one.state == ContainerState::Running), "{containers:#?}");
    Ok(containers
        .into_iter()
        .map(|one| (one.service().unwrap_or_default().to_owned(), one.started))
        .collect())
}

async fn restart(case: &Case, target: impl Into<Target>) -> runtime_core::Result<Vec<String>> {
    let recorder = Recorder::new();
    case.runtime().restart(&target.into(), &RestartOptions::default(), &recorder.call()).await?;
    Ok(recorder.all_done(Work::Start))
}

async fn the_same_containers_run_again(case: Case) -> Outcome {
    let project = up(&case).await?;
    let (before, ids) = (starts(&case, &project).await?, case.ids(&project).await?);
    let recorder = Recorder::new();
    case.runtime().restart(&(&project).into(), &RestartOptions::default(), &recorder.call()).await?;
    assert_eq!(recorder.all_done(Work::Stop).len(), 3);
    assert_eq!(case.ids(&project).await?, ids);
    // In memory no time passes meanwhile.
    let after = starts(&case, &project).await?;
    let is_later = |service: &String, at| after[service] > at || case.mock().is_some();
    assert!(before.iter().all(|(service, at)| is_later(service, *at)), "{before:?} {after:?}");
    Ok(())
}

async fn what_is_to_be_restarted_with_it_is_restarted_after_it(case: Case) -> Outcome {
    let project = up(&case).await?;
    let name = case.name();
    let started = restart(&case, Target::from(&project).services(["db"])).await?;
    assert_eq!(started, [format!("{name}-db-1"), format!("{name}-web-1")]);
    let mut alone = RestartOptions::default();
    alone.dependents = Dependents::Ignore;
    let recorder = Recorder::new();
    let target = Target::from(&project).services(["db"]);
    case.runtime().restart(&target, &alone, &recorder.call()).await?;
    assert_eq!(recorder.all_done(Work::Start), [format!("{name}-db-1")]);
    Ok(())
}

async fn without_the_file_the_labels_tell_who_is_restarted_with_it(case: Case) -> Outcome {
    let project = up(&case).await?;
    let started = restart(&case, Target::name(project.name.clone()).services(["db"])).await?;
    assert_eq!(started, [format!("{}-db-1", case.name()), format!("{}-web-1", case.name())]);
    Ok(())
}

async fn what_is_stopped_is_started(case: Case) -> Outcome {
    let project = up(&case).await?;
    case.stop(&project).await?;
    restart(&case, &project).await?;
    starts(&case, &project).await?;
    Ok(())
}

async fn what_is_paused_is_restarted(case: Case) -> Outcome {
    let project = up(&case).await?;
    case.runtime().pause(&(&project).into(), Pause::Freeze, &Call::default()).await?;
    restart(&case, &project).await?;
    starts(&case, &project).await?;
    Ok(())
}

async fn nothing_there_is_nothing_to_restart(case: Case) -> Outcome {
    let project = case.project(TEXT)?;
    assert!(restart(&case, &project).await?.is_empty());
    Ok(())
}

async fn an_unknown_service_is_not_restarted(case: Case) -> Outcome {
    let project = up(&case).await?;
    let error = refused(restart(&case, Target::from(&project).services(["nobody"])).await)?;
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
    Ok(())
}
