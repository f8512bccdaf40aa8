//! Calls at the same time: one writer a project, different projects side by side.

use compose_file::Project;
use futures_util::future::{join_all, try_join_all};
use longshore_tests::{Case, Failed, Outcome, Suite, behaviours};
use runtime_core::{ContainerState, UpOptions};

pub(crate) fn tests(suite: &mut Suite) {
    behaviours!(suite;
        two_ups_of_one_project_are_one_after_the_other,
        an_up_and_a_down_end_in_one_of_both,
        five_projects_come_up_side_by_side,
        five_projects_go_down_side_by_side,
        a_list_is_read_while_others_write,
        an_up_that_waits_does_not_hold_up_other_projects,
    );
}

const TEXT: &str = "
services:
  db:
    image: localhost/longshore-fixture:1
    command: [sleep]
    volumes: ['data:/data']
  web:
    image: localhost/longshore-fixture:1
    command: [sleep]
    depends_on: [db]
volumes:
  data:
";

fn five(case: &Case) -> Result<Vec<Project>, Failed> {
    (1..=5).map(|number| case.project_named(&format!("-{number}"), TEXT)).collect()
}

async fn two_ups_of_one_project_are_one_after_the_other(case: Case) -> Outcome {
    let project = case.project(TEXT)?;
    let (first, second) = tokio::join!(case.up(&project), case.up(&project));
    let mut steps = [first?.steps, second?.steps];
    steps.sort_unstable();
    assert_eq!(steps[0], 0, "the second had nothing to do");
    assert!(steps[1] > 0);
    assert_eq!(case.ids(&project).await?.len(), 2);
    Ok(())
}

async fn an_up_and_a_down_end_in_one_of_both(case: Case) -> Outcome {
    let project = case.project(TEXT)?;
    let (up, down) = tokio::join!(case.up(&project), case.down(&project));
    up?;
    down?;
    let states: Vec<ContainerState> =
        case.ps(&project).await?.iter().map(|container| container.state).collect();
    assert!(states.is_empty() || states == [ContainerState::Running; 2], "{states:?}");
    case.up(&project).await?;
    let (down, up) = tokio::join!(case.down(&project), case.up(&project));
    down?;
    up?;
    let states: Vec<ContainerState> =
        case.ps(&project).await?.iter().map(|container| container.state).collect();
    assert!(states.is_empty() || states == [ContainerState::Running; 2], "{states:?}");
    case.wipe(&project.name).await
}

async fn five_projects_come_up_side_by_side(case: Case) -> Outcome {
    let projects = five(&case)?;
    try_join_all(projects.iter().map(|project| case.up(project))).await?;
    for project in &projects {
        let containers = case.ps(project).await?;
        assert_eq!(containers.len(), 2);
        assert!(containers.iter().all(|container| container.state == ContainerState::Running));
    }
    Ok(())
}

async fn five_projects_go_down_side_by_side(case: Case) -> Outcome {
    let projects = five(&case)?;
    try_join_all(projects.iter().map(|project| case.up(project))).await?;
    for outcome in join_all(projects.iter().map(|project| case.wipe(&project.name))).await {
        outcome?;
    }
    Ok(())
}

async fn a_list_is_read_while_others_write(case: Case) -> Outcome {
    let project = case.project(TEXT)?;
    let write = async {
        case.up(&project).await?;
        case.down(&project).await
    };
    let read = async {
        for _ in 0..20 {
            case.runtime().list_running(case.name()).await?;
            case.runtime().projects().await?;
            case.ps(&project).await?;
        }
        Ok(())
    };
    let (write, read) = tokio::join!(write, read);
    write?;
    read.map_err(|error: runtime_core::Error| Failed::from(error))
}

async fn an_up_that_waits_does_not_hold_up_other_projects(case: Case) -> Outcome {
    let slow = case.project_named(
        "-slow",
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
    let quick = case.project(TEXT)?;
    let options = UpOptions::default();
    let call = runtime_core::Call::default();
    let others = async {
        case.until_running(&slow, "db").await?;
        case.up(&quick).await?;
        case.down(&quick).await?;
        call.cancel.cancel();
        Ok::<(), Failed>(())
    };
    let (slow, others) = tokio::join!(case.runtime().up(&slow, &options, &call), others);
    others?;
    assert_eq!(slow, Err(runtime_core::Error::Cancelled));
    Ok(())
}
