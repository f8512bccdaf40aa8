//! Killing, pausing, and waiting for the end.

use compose_file::Project;
use futures_util::{StreamExt, TryStreamExt};
use longshore_tests::{Case, Failed, Outcome, Recorder, Suite, behaviours, refused};
use runtime_core::{Call, ContainerState, Error, KillOptions, Orphans, Pause, SignalName, Target, Work};

pub(crate) fn tests(suite: &mut Suite) {
    behaviours!(suite;
        what_runs_is_killed,
        a_signal_is_the_callers,
        a_signal_that_is_no_signal_is_refused,
        orphans_are_killed_if_told_so,
        what_runs_is_paused_and_goes_on,
        what_is_paused_can_be_stopped_and_taken_down,
        waiting_tells_each_end_with_its_code,
        a_wait_that_is_dropped_leaves_nothing,
        nothing_that_runs_is_nothing_to_wait_for,
    );
}

const TEXT: &str = "
services:
  db: {image: 'localhost/longshore-fixture:1', command: [sleep], stop_grace_period: 2s}
  web: {image: 'localhost/longshore-fixture:1', command: [sleep, --ignore-term], stop_grace_period: 1s}
";

async fn up(case: &Case) -> Result<Project, Failed> {
    let project = case.project(TEXT)?;
    case.up(&project).await?;
    for service in ["db", "web"] {
        case.says(&project, service, "sleeping").await?;
    }
    Ok(project)
}

async fn kill(case: &Case, target: impl Into<Target>, options: &KillOptions) -> runtime_core::Result<usize> {
    case.runtime().kill(&target.into(), options, &Call::default()).await
}

async fn states(case: &Case, project: &Project) -> Result<Vec<ContainerState>, Failed> {
    Ok(case.ps(project).await?.into_iter().map(|container| container.state).collect())
}

async fn what_runs_is_killed(case: Case) -> Outcome {
    let project = up(&case).await?;
    let options = KillOptions::default();
    assert_eq!(kill(&case, Target::from(&project).services(["web"]), &options).await?, 1);
    case.runtime().wait(&(&project).into()).await.map(drop)?;
    let web = case.container(&project, "web").await?;
    assert_eq!((web.state, web.exit_code), (ContainerState::Exited, Some(137)));
    assert_eq!(kill(&case, &project, &options).await?, 1, "db alone still runs");
    assert_eq!(kill(&case, &project, &options).await?, 0);
    Ok(())
}

async fn a_signal_is_the_callers(case: Case) -> Outcome {
    let project = up(&case).await?;
    let waiting = case.runtime().wait(&Target::from(&project).services(["db"])).await?;
    let term = KillOptions::new(SignalName::new("term")?);
    assert_eq!(kill(&case, &project, &term).await?, 2);
    let endings: Vec<_> = waiting.try_collect().await?;
    assert_eq!(endings.len(), 1);
    assert_eq!(endings[0].exit_code, 0);
    case.says(&project, "web", "ignored SIGTERM").await?;
    assert_eq!(case.container(&project, "web").await?.state, ContainerState::Running);
    Ok(())
}

async fn a_signal_that_is_no_signal_is_refused(case: Case) -> Outcome {
    let project = up(&case).await?;
    assert!(SignalName::new("--help").is_err());
    if case.mock().is_none() {
        let nonsense = KillOptions::new(SignalName::new("nonsense")?);
        refused(kill(&case, &project, &nonsense).await)?;
    }
    assert_eq!(states(&case, &project).await?, [ContainerState::Running; 2]);
    Ok(())
}

async fn orphans_are_killed_if_told_so(case: Case) -> Outcome {
    let project = up(&case).await?;
    let mut smaller = project.clone();
    smaller.services.retain(|name, _| name == "db");
    let mut options = KillOptions::default();
    assert_eq!(kill(&case, &smaller, &options).await?, 1);
    options.orphans = Orphans::Remove;
    assert_eq!(kill(&case, &smaller, &options).await?, 1);
    Ok(())
}

async fn what_runs_is_paused_and_goes_on(case: Case) -> Outcome {
    let project = up(&case).await?;
    case.stop(Target::from(&project).services(["db"])).await?;
    let recorder = Recorder::new();
    let target = Target::from(&project);
    for _ in 0..2 {
        case.runtime().pause(&target, Pause::Freeze, &recorder.call()).await?;
        assert_eq!(states(&case, &project).await?, [ContainerState::Exited, ContainerState::Paused]);
    }
    assert_eq!(recorder.all_done(Work::Pause), [format!("{}-web-1", case.name())]);
    for _ in 0..2 {
        case.runtime().pause(&target, Pause::GoOn, &recorder.call()).await?;
        assert_eq!(states(&case, &project).await?, [ContainerState::Exited, ContainerState::Running]);
    }
    assert_eq!(recorder.all_done(Work::Unpause).len(), 1);
    Ok(())
}

async fn what_is_paused_can_be_stopped_and_taken_down(case: Case) -> Outcome {
    let project = up(&case).await?;
    let target = Target::from(&project);
    case.runtime().pause(&target, Pause::Freeze, &Call::default()).await?;
    case.stop(Target::from(&project).services(["db"])).await?;
    let db = case.container(&project, "db").await?;
    assert_eq!((db.state, db.exit_code), (ContainerState::Exited, Some(0)), "it was asked, and heard it");
    case.down(&project).await?;
    assert!(case.things_of(&project.name).await?.is_empty());
    Ok(())
}

async fn waiting_tells_each_end_with_its_code(case: Case) -> Outcome {
    let project = up(&case).await?;
    let mut endings = case.runtime().wait(&(&project).into()).await?;
    case.stop(Target::from(&project).services(["db"])).await?;
    let first = endings.next().await.ok_or("it ended early")??;
    assert_eq!((first.service.as_str(), first.exit_code), ("db", 0));
    kill(&case, &project, &KillOptions::default()).await?;
    let second = endings.next().await.ok_or("it ended early")??;
    assert_eq!((second.container, second.exit_code), (format!("{}-web-1", case.name()), 137));
    assert!(endings.next().await.is_none());
    Ok(())
}

async fn a_wait_that_is_dropped_leaves_nothing(case: Case) -> Outcome {
    let project = up(&case).await?;
    let mut endings = case.runtime().wait(&(&project).into()).await?;
    assert!(futures_util::poll!(endings.next()).is_pending());
    drop(endings);
    case.stop(&project).await?;
    assert_eq!(states(&case, &project).await?, [ContainerState::Exited; 2]);
    Ok(())
}

async fn nothing_that_runs_is_nothing_to_wait_for(case: Case) -> Outcome {
    let project = up(&case).await?;
    case.stop(&project).await?;
    let error = refused(case.runtime().wait(&(&project).into()).await.map(drop))?;
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
    Ok(())
}
