//! Healthchecks, and `up` that waits for them.

use std::time::Duration;

use compose_file::Project;
use longshore_tests::{Case, Failed, Outcome, Suite, behaviours, options, refused};
use runtime_core::{ContainerState, DependencyFailure, Error, HealthStatus, Wait};

pub(crate) fn tests(suite: &mut Suite) {
    behaviours!(suite;
        waiting_ends_when_all_are_healthy,
        waiting_ends_in_the_time_that_it_has,
        waiting_fails_when_a_container_ends,
        waiting_fails_when_a_container_is_unhealthy,
        waiting_accepts_what_completed,
        waiting_is_over_at_once_when_all_is_well,
        a_check_that_is_switched_off_is_none,
        a_check_may_fail_before_it_passes,
    );
}

fn one(case: &Case, command: &str, check: &str) -> Result<Project, Failed> {
    case.project(&format!(
        "
services:
  web:
    image: localhost/longshore-fixture:1
    command: {command}
    healthcheck:
      test: {check}
      interval: 200ms
      timeout: 5s
      retries: 2
"
    ))
}

async fn failure_of_wait(case: &Case, project: &Project) -> Result<DependencyFailure, Failed> {
    let error = refused(case.up_wait(project).await)?;
    let Error::Dependency { waiting, container, failure, .. } = error else { return Err(error.into()) };
    assert!(waiting.is_empty(), "only the user waits: {waiting:?}");
    assert_eq!(container, format!("{}-web-1", case.name()));
    Ok(failure)
}

async fn waiting_ends_when_all_are_healthy(case: Case) -> Outcome {
    let project = one(&case, "[serve]", "[CMD, /fixture, health]")?;
    case.up_wait(&project).await?;
    let web = case.container(&project, "web").await?;
    assert_eq!((web.state, web.health_status()), (ContainerState::Running, Some(HealthStatus::Healthy)));
    Ok(())
}

async fn waiting_ends_in_the_time_that_it_has(case: Case) -> Outcome {
    let project = case.project(
        "
services:
  web:
    image: localhost/longshore-fixture:1
    command: [sleep]
    healthcheck: {test: [CMD, /fixture, health], interval: 1h, start_period: 1h}
",
    )?;
    let timeout = Duration::from_secs(2);
    let wait = options(|o| o.wait = Wait::Healthy { timeout: Some(timeout) });
    let error = refused(case.up_with(&project, &wait).await)?;
    let Error::Dependency { container, failure, .. } = &error else { return Err(error.into()) };
    assert_eq!(container, &format!("{}-web-1", case.name()));
    assert!(matches!(failure, DependencyFailure::TimedOut(_, after) if *after == timeout), "{failure:?}");
    assert!(case.container(&project, "web").await?.state.is_running());
    Ok(())
}

async fn waiting_fails_when_a_container_ends(case: Case) -> Outcome {
    let project = one(&case, "[exit, '3']", "[CMD, /fixture, health]")?;
    assert_eq!(failure_of_wait(&case, &project).await?, DependencyFailure::Exited(3));
    Ok(())
}

async fn waiting_fails_when_a_container_is_unhealthy(case: Case) -> Outcome {
    let project = one(&case, "[sleep]", "[CMD, /fixture, exit, '1']")?;
    assert_eq!(failure_of_wait(&case, &project).await?, DependencyFailure::Unhealthy);
    assert!(case.container(&project, "web").await?.state.is_running(), "it is left for the user to look at");
    Ok(())
}

async fn waiting_accepts_what_completed(case: Case) -> Outcome {
    let project = case.project(
        "
services:
  setup:
    image: localhost/longshore-fixture:1
    command: [exit, '0']
  web:
    image: localhost/longshore-fixture:1
    command: [sleep]
    depends_on:
      setup: {condition: service_completed_successfully}
",
    )?;
    case.up_wait(&project).await?;
    assert_eq!(case.container(&project, "setup").await?.exit_code, Some(0));
    assert_eq!(case.container(&project, "web").await?.state, ContainerState::Running);
    Ok(())
}

async fn waiting_is_over_at_once_when_all_is_well(case: Case) -> Outcome {
    let project = one(&case, "[serve]", "[CMD, /fixture, health]")?;
    case.up_wait(&project).await?;
    assert_eq!(case.up_wait(&project).await?.steps, 0);
    Ok(())
}

async fn a_check_that_is_switched_off_is_none(case: Case) -> Outcome {
    let project = case.project(
        "
services:
  web:
    image: localhost/longshore-fixture:1
    command: [sleep]
    healthcheck: {disable: true}
",
    )?;
    case.up_wait(&project).await?;
    let web = case.container(&project, "web").await?;
    assert_eq!((web.state, web.health_status()), (ContainerState::Running, None));
    Ok(())
}

async fn a_check_may_fail_before_it_passes(case: Case) -> Outcome {
    let project = case.project(
        "
services:
  web:
    image: localhost/longshore-fixture:1
    command: [sleep]
    volumes: ['state:/state']
    healthcheck: {test: [CMD, /fixture, read, /state/ready], interval: 200ms, timeout: 5s, retries: 1000}
  later:
    image: localhost/longshore-fixture:1
    command: [write, /state/ready, 'yes']
    volumes: ['state:/state']
    depends_on: [web]
volumes:
  state:
",
    )?;
    case.up_wait(&project).await?;
    assert_eq!(case.container(&project, "web").await?.health_status(), Some(HealthStatus::Healthy));
    Ok(())
}
