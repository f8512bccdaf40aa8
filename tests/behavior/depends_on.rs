//! What a service waits for before it starts.

use compose_file::Condition;
use longshore_tests::{Case, Outcome, Recorder, Suite, behaviours, refused};
use runtime_core::{ContainerState, DependencyFailure, Error, HealthStatus, UpOptions, Work};

pub(crate) fn tests(suite: &mut Suite) {
    behaviours!(suite;
        a_dependency_is_started_first,
        a_dependency_is_healthy_first,
        a_dependency_has_completed_first,
        a_chain_starts_link_by_link,
        a_diamond_starts_from_the_bottom,
        all_replicas_are_waited_for,
        an_unhealthy_dependency_stops_its_dependents,
        a_dependency_that_ends_stops_its_dependents,
        a_failed_one_shot_tells_its_exit_code,
        a_completed_one_shot_is_not_run_again,
        a_failed_one_shot_is_run_again,
        a_dependency_without_a_healthcheck_is_an_error,
        an_optional_dependency_may_fail,
        a_dependent_restarts_with_its_dependency,
    );
}

async fn a_dependency_is_started_first(case: Case) -> Outcome {
    let project = case.project(
        "
services:
  a:
    image: localhost/longshore-fixture:1
    command: [sleep]
    depends_on: [z]
  z:
    image: localhost/longshore-fixture:1
    command: [sleep]
",
    )?;
    let recorder = Recorder::new();
    case.runtime().up(&project, &UpOptions::default(), &recorder.call()).await?;
    let name = case.name();
    assert!(
        recorder.done(Work::Start, &format!("{name}-z-1"))
            < recorder.began(Work::Start, &format!("{name}-a-1"))
    );
    Ok(())
}

async fn a_dependency_is_healthy_first(case: Case) -> Outcome {
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
    command: [serve]
    healthcheck: {test: [CMD, /fixture, health], interval: 200ms, timeout: 5s, retries: 50}
",
    )?;
    let recorder = Recorder::new();
    case.runtime().up(&project, &UpOptions::default(), &recorder.call()).await?;
    let name = case.name();
    let healthy = recorder.done(Work::Wait(Condition::ServiceHealthy), &format!("{name}-db-1"));
    assert!(healthy < recorder.began(Work::Start, &format!("{name}-web-1")));
    assert_eq!(case.container(&project, "db").await?.health_status(), Some(HealthStatus::Healthy));
    Ok(())
}

async fn a_dependency_has_completed_first(case: Case) -> Outcome {
    let project = case.project(
        "
services:
  web:
    image: localhost/longshore-fixture:1
    command: [read, /data/word]
    volumes: ['data:/data']
    depends_on:
      setup: {condition: service_completed_successfully}
  setup:
    image: localhost/longshore-fixture:1
    command: [write, /data/word, prepared]
    volumes: ['data:/data']
volumes:
  data:
",
    )?;
    assert_eq!(case.run(&project, "web").await?, ["prepared"]);
    assert_eq!(case.container(&project, "setup").await?.exit_code, Some(0));
    Ok(())
}

async fn a_chain_starts_link_by_link(case: Case) -> Outcome {
    let service = |n: u32| {
        let needs = if n == 5 { String::new() } else { format!("    depends_on: [s{}]\n", n + 1) };
        format!("  s{n}:\n    image: localhost/longshore-fixture:1\n    command: [sleep]\n{needs}")
    };
    let text: String = (1..=5).map(service).collect();
    let project = case.project(&format!("services:\n{text}"))?;
    let recorder = Recorder::new();
    case.runtime().up(&project, &UpOptions::default(), &recorder.call()).await?;
    let expected: Vec<String> = (1..=5).rev().map(|n| format!("{}-s{n}-1", case.name())).collect();
    assert_eq!(recorder.all_done(Work::Start), expected);
    Ok(())
}

async fn a_diamond_starts_from_the_bottom(case: Case) -> Outcome {
    let project = case.project(
        "
services:
  top:
    image: localhost/longshore-fixture:1
    command: [sleep]
    depends_on: [left, right]
  left:
    image: localhost/longshore-fixture:1
    command: [sleep]
    depends_on:
      bottom: {condition: service_healthy}
  right:
    image: localhost/longshore-fixture:1
    command: [sleep]
    depends_on: [bottom]
  bottom:
    image: localhost/longshore-fixture:1
    command: [serve]
    healthcheck: {test: [CMD, /fixture, health], interval: 200ms, timeout: 5s, retries: 50}
",
    )?;
    let recorder = Recorder::new();
    case.runtime().up(&project, &UpOptions::default(), &recorder.call()).await?;
    let name = |service: &str| format!("{}-{service}-1", case.name());
    let bottom = recorder.done(Work::Start, &name("bottom"));
    for side in ["left", "right"] {
        assert!(bottom < recorder.began(Work::Start, &name(side)), "{side}");
        assert!(
            recorder.done(Work::Start, &name(side)) < recorder.began(Work::Start, &name("top")),
            "{side}"
        );
    }
    let healthy = recorder.done(Work::Wait(Condition::ServiceHealthy), &name("bottom"));
    assert!(healthy < recorder.began(Work::Start, &name("left")));
    Ok(())
}

async fn all_replicas_are_waited_for(case: Case) -> Outcome {
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
    command: [serve]
    scale: 3
    healthcheck: {test: [CMD, /fixture, health], interval: 200ms, timeout: 5s, retries: 50}
",
    )?;
    let recorder = Recorder::new();
    case.runtime().up(&project, &UpOptions::default(), &recorder.call()).await?;
    let name = case.name();
    let web = recorder.began(Work::Start, &format!("{name}-web-1"));
    for number in 1..=3 {
        let healthy = recorder.done(Work::Wait(Condition::ServiceHealthy), &format!("{name}-db-{number}"));
        assert!(healthy < web, "replica {number}");
    }
    Ok(())
}

async fn an_unhealthy_dependency_stops_its_dependents(case: Case) -> Outcome {
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
    command: [log, '3', --then-sleep]
    healthcheck: {test: [CMD, /fixture, exit, '1'], interval: 200ms, timeout: 5s, retries: 2}
",
    )?;
    let recorder = Recorder::new();
    let error = refused(case.runtime().up(&project, &UpOptions::default(), &recorder.call()).await)?;
    let Error::Dependency { waiting, container, failure, log } = &error else { return Err(error.into()) };
    assert_eq!(waiting, &["web"]);
    assert_eq!(container, &format!("{}-db-1", case.name()));
    assert_eq!(failure, &DependencyFailure::Unhealthy);
    assert_eq!(log, &["line 1", "line 2", "line 3", "sleeping"]);
    assert!(error.to_string().contains("is unhealthy"), "{error}");
    assert_eq!(case.container(&project, "web").await?.state, ContainerState::Created);
    assert!(!recorder.has_begun(Work::Start, &format!("{}-web-1", case.name())));
    assert!(case.container(&project, "db").await?.state.is_running(), "it is left for the user to look at");
    case.wipe(&project.name).await
}

async fn a_dependency_that_ends_stops_its_dependents(case: Case) -> Outcome {
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
    command: [exit, '7']
    healthcheck: {test: [CMD, /fixture, exit, '1'], interval: 1s, timeout: 5s, retries: 100}
",
    )?;
    let error = refused(case.up(&project).await)?;
    let Error::Dependency { failure, .. } = &error else { return Err(error.into()) };
    assert_eq!(failure, &DependencyFailure::Exited(7));
    assert_eq!(case.container(&project, "web").await?.state, ContainerState::Created);
    Ok(())
}

const ONE_SHOT: &str = "
services:
  web:
    image: localhost/longshore-fixture:1
    command: [sleep]
    depends_on:
      setup: {condition: service_completed_successfully}
  setup:
    image: localhost/longshore-fixture:1
    command: [exit, 'CODE']
";

async fn a_failed_one_shot_tells_its_exit_code(case: Case) -> Outcome {
    let project = case.project(&ONE_SHOT.replace("CODE", "3"))?;
    let error = refused(case.up(&project).await)?;
    let Error::Dependency { waiting, container, failure, .. } = &error else { return Err(error.into()) };
    assert_eq!(waiting, &["web"]);
    assert_eq!(container, &format!("{}-setup-1", case.name()));
    assert_eq!(failure, &DependencyFailure::DidNotComplete(3));
    assert!(error.to_string().contains("exit 3"), "{error}");
    assert_eq!(case.container(&project, "web").await?.state, ContainerState::Created);
    assert_eq!(case.container(&project, "setup").await?.exit_code, Some(3));
    Ok(())
}

async fn a_completed_one_shot_is_not_run_again(case: Case) -> Outcome {
    let project = case.project(&ONE_SHOT.replace("CODE", "0"))?;
    case.up(&project).await?;
    let before = case.container(&project, "setup").await?;
    assert_eq!((before.state, before.exit_code), (ContainerState::Exited, Some(0)));
    assert_eq!(case.up(&project).await?.steps, 0);
    let after = case.container(&project, "setup").await?;
    assert_eq!((after.id, after.started), (before.id, before.started));
    Ok(())
}

async fn a_failed_one_shot_is_run_again(case: Case) -> Outcome {
    let project = case.project(&ONE_SHOT.replace("CODE", "3"))?;
    refused(case.up(&project).await)?;
    let recorder = Recorder::new();
    let error = refused(case.runtime().up(&project, &UpOptions::default(), &recorder.call()).await)?;
    assert_eq!(error.code(), "dependency");
    assert!(recorder.has_begun(Work::Start, &format!("{}-setup-1", case.name())), "{:#?}", recorder.events());
    let mended = case.project(&ONE_SHOT.replace("CODE", "0"))?;
    case.up(&mended).await?;
    assert_eq!(case.container(&mended, "web").await?.state, ContainerState::Running);
    Ok(())
}

async fn a_dependency_without_a_healthcheck_is_an_error(case: Case) -> Outcome {
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
    command: [sleep]
",
    )?;
    let error = refused(case.up(&project).await)?;
    let Error::Dependency { container, failure, .. } = &error else { return Err(error.into()) };
    assert_eq!(container, &format!("{}-db-1", case.name()));
    assert_eq!(failure, &DependencyFailure::NoHealthcheck);
    Ok(())
}

async fn an_optional_dependency_may_fail(case: Case) -> Outcome {
    let project = case.project(
        "
services:
  web:
    image: localhost/longshore-fixture:1
    command: [sleep]
    depends_on:
      cache: {condition: service_healthy, required: false}
  cache:
    image: localhost/longshore-fixture:1
    command: [sleep]
    healthcheck: {test: [CMD, /fixture, exit, '1'], interval: 200ms, timeout: 5s, retries: 1}
",
    )?;
    let recorder = Recorder::new();
    case.runtime().up(&project, &UpOptions::default(), &recorder.call()).await?;
    assert_eq!(case.container(&project, "web").await?.state, ContainerState::Running);
    let warnings = recorder.warnings();
    assert!(warnings.iter().any(|text| text.contains("cache")), "{warnings:?}");
    Ok(())
}

async fn a_dependent_restarts_with_its_dependency(case: Case) -> Outcome {
    let text = |word: &str| {
        format!(
            "
services:
  web:
    image: localhost/longshore-fixture:1
    command: [sleep]
    depends_on:
      db:
        condition: service_started
        restart: true
  db:
    image: localhost/longshore-fixture:1
    command: [sleep]
    environment:
      WORD: {word}
"
        )
    };
    case.up(&case.project(&text("one"))?).await?;
    let project = case.project(&text("two"))?;
    let before = case.container(&project, "web").await?;
    let recorder = Recorder::new();
    case.runtime().up(&project, &UpOptions::default(), &recorder.call()).await?;
    let after = case.container(&project, "web").await?;
    assert_eq!(after.id, before.id, "it is restarted, not made anew");
    let db = recorder.done(Work::Start, &format!("{}-db-1", case.name()));
    assert!(db < recorder.began(Work::Start, &after.name));
    Ok(())
}
