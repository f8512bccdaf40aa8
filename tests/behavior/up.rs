//! Bringing a project up.

use longshore_tests::{Case, Outcome, Recorder, Suite, behaviours, options};
use runtime_core::{AnonymousVolumes, ContainerState, Dependencies, Phase, Start, UpOptions};

pub(crate) fn tests(suite: &mut Suite) {
    behaviours!(suite;
        everything_of_the_file_runs_afterwards,
        an_unchanged_project_is_not_touched,
        what_was_stopped_by_hand_is_started,
        what_was_removed_by_hand_is_created_again,
        named_services_bring_their_dependencies,
        named_services_come_alone_if_told_so,
        without_start_everything_is_only_created,
        a_service_of_a_profile_stays_away,
        twelve_services_come_up_side_by_side,
    );
}

const TWO: &str = "
services:
  db:
    image: localhost/longshore-fixture:1
    command: [sleep]
  web:
    image: localhost/longshore-fixture:1
    command: [sleep]
    depends_on: [db]
  other:
    image: localhost/longshore-fixture:1
    command: [sleep]
";

async fn everything_of_the_file_runs_afterwards(case: Case) -> Outcome {
    let project = case.project(TWO)?;
    let outcome = case.up(&project).await?;
    assert!(outcome.steps > 0);
    let containers = case.ps(&project).await?;
    let names: Vec<&str> = containers.iter().map(|container| container.name.as_str()).collect();
    let name = case.name();
    assert_eq!(names, [format!("{name}-db-1"), format!("{name}-other-1"), format!("{name}-web-1")]);
    for container in &containers {
        assert_eq!(container.state, ContainerState::Running, "{}", container.name);
        assert!(container.networks.contains(&format!("{name}_default")), "{:?}", container.networks);
        assert_eq!(container.number(), Some(1));
    }
    case.wipe(&project.name).await
}

async fn an_unchanged_project_is_not_touched(case: Case) -> Outcome {
    let project = case.project(TWO)?;
    case.up_wait(&project).await?;
    let before = case.ids(&project).await?;
    let changes = case.mock().map(|mock| mock.mutations());
    let recorder = Recorder::new();
    let again = case.runtime().up(&project, &UpOptions::default(), &recorder.call()).await?;
    assert_eq!(again.steps, 0, "{:#?}", recorder.events());
    assert_eq!(case.up_wait(&project).await?.steps, 0);
    assert_eq!(case.ids(&project).await?, before);
    assert_eq!(case.mock().map(|mock| mock.mutations()), changes);
    assert!(
        recorder.events().iter().all(|event| event.phase == Phase::Unchanged),
        "{:#?}",
        recorder.events()
    );
    Ok(())
}

async fn what_was_stopped_by_hand_is_started(case: Case) -> Outcome {
    let project = case.project(TWO)?;
    case.up(&project).await?;
    let before = case.ids(&project).await?;
    let web = case.container(&project, "web").await?;
    case.engine().kill_container(&web.id, "SIGKILL").await?;
    case.engine().stop_container(&web.id, None).await?;
    assert!(!case.container(&project, "web").await?.state.is_running());
    case.up(&project).await?;
    assert_eq!(case.container(&project, "web").await?.state, ContainerState::Running);
    assert_eq!(case.ids(&project).await?, before, "nothing is made anew");
    Ok(())
}

async fn what_was_removed_by_hand_is_created_again(case: Case) -> Outcome {
    let project = case.project(TWO)?;
    case.up(&project).await?;
    let mut before = case.ids(&project).await?;
    let db = case.container(&project, "db").await?;
    case.engine().remove_container(&db.id, AnonymousVolumes::Remove).await?;
    case.up(&project).await?;
    let mut after = case.ids(&project).await?;
    assert_ne!(after.remove(&db.name), before.remove(&db.name));
    assert_eq!(after, before, "the others are the same");
    assert_eq!(case.container(&project, "db").await?.state, ContainerState::Running);
    Ok(())
}

async fn named_services_bring_their_dependencies(case: Case) -> Outcome {
    let project = case.project(TWO)?;
    case.up_with(&project, &options(|o| o.services = ["web".to_owned()].into())).await?;
    let services: Vec<_> = case.ps(&project).await?.iter().map(|c| c.service().map(str::to_owned)).collect();
    assert_eq!(services, [Some("db".to_owned()), Some("web".to_owned())]);
    Ok(())
}

async fn named_services_come_alone_if_told_so(case: Case) -> Outcome {
    let project = case.project(TWO)?;
    let alone = options(|o| {
        o.services = ["web".to_owned()].into();
        o.dependencies = Dependencies::Ignore;
    });
    case.up_with(&project, &alone).await?;
    let containers = case.ps(&project).await?;
    assert_eq!(containers.len(), 1);
    assert_eq!(containers[0].service(), Some("web"));
    Ok(())
}

async fn without_start_everything_is_only_created(case: Case) -> Outcome {
    let project = case.project(TWO)?;
    case.up_with(&project, &options(|o| o.start = Start::No)).await?;
    let containers = case.ps(&project).await?;
    assert_eq!(containers.len(), 3);
    assert!(containers.iter().all(|container| container.state == ContainerState::Created), "{containers:#?}");
    let before = case.ids(&project).await?;
    case.up(&project).await?;
    assert_eq!(case.ids(&project).await?, before);
    assert!(case.ps(&project).await?.iter().all(|container| container.state == ContainerState::Running));
    Ok(())
}

async fn a_service_of_a_profile_stays_away(case: Case) -> Outcome {
    let project = case.project(
        "
services:
  web:
    image: localhost/longshore-fixture:1
    command: [sleep]
  debug:
    image: localhost/longshore-fixture:1
    command: [sleep]
    profiles: [debug]
",
    )?;
    case.up(&project).await?;
    assert_eq!(case.ids(&project).await?.len(), 1);
    Ok(())
}

async fn twelve_services_come_up_side_by_side(case: Case) -> Outcome {
    let service = |n| format!("  s{n}:\n    image: localhost/longshore-fixture:1\n    command: [sleep]\n");
    let text: String = (0..12).map(service).collect();
    let project = case.project(&format!("services:\n{text}"))?;
    case.up_wait(&project).await?;
    let containers = case.ps(&project).await?;
    assert_eq!(containers.iter().filter(|container| container.state == ContainerState::Running).count(), 12);
    case.wipe(&project.name).await
}
