//! Which containers are made anew, and what stays.

use std::collections::BTreeMap;

use compose_file::Project;
use longshore_tests::{Case, Failed, Outcome, Recorder, Suite, behaviours, free_port, options};
use runtime_core::{
    AnonymousVolumes, ContainerId, ContainerName, ContainerSpec, ContainerState, Error, Recreate,
    ResourceName, Work, labels,
};

pub(crate) fn tests(suite: &mut Suite) {
    behaviours!(suite;
        another_environment_recreates_that_service_only,
        another_image_recreates_that_service_only,
        another_label_recreates_that_service_only,
        another_port_recreates_that_service_only,
        another_command_recreates_every_replica,
        another_scale_recreates_nothing,
        the_data_of_a_volume_survives,
        force_makes_all_anew,
        force_makes_named_services_anew,
        never_keeps_what_differs,
        a_fixed_name_and_port_are_taken_over,
        what_an_interrupted_recreation_left_is_cleaned_up,
        a_replacement_without_its_old_one_is_completed,
        a_network_that_was_removed_comes_back,
    );
}

fn project(case: &Case, extra: &str) -> Result<Project, Failed> {
    project_with_image(case, "1", extra)
}

fn project_with_image(case: &Case, version: &str, extra: &str) -> Result<Project, Failed> {
    case.project(&format!(
        "
services:
  db:
    image: localhost/longshore-fixture:1
    command: [sleep]
  web:
    image: localhost/longshore-fixture:{version}
    command: [sleep]
    depends_on: [db]
{extra}
  zed:
    image: localhost/longshore-fixture:1
    command: [sleep]
    depends_on: [web]
"
    ))
}

async fn ids(case: &Case, project: &Project) -> Result<BTreeMap<String, ContainerId>, Failed> {
    Ok(case.ids(project).await?)
}

/// Brings up `first`, then `second`, and expects that only the container of `web` is another one.
async fn only_web_is_new(case: &Case, first: &Project, second: &Project) -> Outcome {
    case.up(first).await?;
    let mut before = ids(case, first).await?;
    let plan = case.runtime().plan(second, &options(|_| ())).await?;
    assert!(!plan.is_empty());
    case.up(second).await?;
    let mut after = ids(case, second).await?;
    let web = format!("{}-web-1", case.name());
    assert_ne!(
        after.remove(&web).expect("it has its name again"),
        before.remove(&web).expect("it was there")
    );
    assert_eq!(after, before, "its neighbours are the same");
    let container = case.container(second, "web").await?;
    assert_eq!((container.state, container.number()), (ContainerState::Running, Some(1)));
    assert_eq!(case.up(second).await?.steps, 0, "then all is as it should be");
    Ok(())
}

async fn another_environment_recreates_that_service_only(case: Case) -> Outcome {
    let first = project(&case, "    environment: {WORD: one}")?;
    let second = project(&case, "    environment: {WORD: two}")?;
    only_web_is_new(&case, &first, &second).await
}

async fn another_image_recreates_that_service_only(case: Case) -> Outcome {
    let second = project_with_image(&case, "2", "")?;
    only_web_is_new(&case, &project(&case, "")?, &second).await?;
    assert!(case.container(&second, "web").await?.image.ends_with("longshore-fixture:2"));
    Ok(())
}

async fn another_label_recreates_that_service_only(case: Case) -> Outcome {
    let second = project(&case, "    labels: {colour: green}")?;
    only_web_is_new(&case, &project(&case, "")?, &second).await?;
    assert_eq!(case.container(&second, "web").await?.label("colour"), Some("green"));
    Ok(())
}

async fn another_port_recreates_that_service_only(case: Case) -> Outcome {
    let second = project(&case, "    ports: ['127.0.0.1::8080']")?;
    only_web_is_new(&case, &project(&case, "")?, &second).await?;
    case.published(&case.container(&second, "web").await?, 8080)?;
    Ok(())
}

async fn another_command_recreates_every_replica(case: Case) -> Outcome {
    let text = |word: &str| {
        format!(
            "
services:
  web:
    image: localhost/longshore-fixture:1
    command: [sleep]
    scale: 3
    environment: [WORD={word}]
"
        )
    };
    let project = case.project(&text("one"))?;
    case.up(&project).await?;
    let before = ids(&case, &project).await?;
    let project = case.project(&text("two"))?;
    case.up(&project).await?;
    let after = ids(&case, &project).await?;
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    assert!(before.iter().all(|(name, id)| after[name] != *id), "{before:?} {after:?}");
    Ok(())
}

async fn another_scale_recreates_nothing(case: Case) -> Outcome {
    let first = project(&case, "")?;
    case.up(&first).await?;
    let before = ids(&case, &first).await?;
    let second = project(&case, "    scale: 2")?;
    case.up(&second).await?;
    let mut after = ids(&case, &second).await?;
    assert!(after.remove(&format!("{}-web-2", case.name())).is_some());
    assert_eq!(after, before);
    Ok(())
}

async fn the_data_of_a_volume_survives(case: Case) -> Outcome {
    let text = |command: &str| {
        format!(
            "
services:
  web:
    image: localhost/longshore-fixture:1
    command: {command}
    volumes: ['data:/data']
volumes:
  data:
"
        )
    };
    case.run(&case.project(&text("[write, /data/word, kept]"))?, "web").await?;
    let project = case.project(&text("[read, /data/word]"))?;
    assert_eq!(case.run(&project, "web").await?, ["kept"]);
    Ok(())
}

async fn force_makes_all_anew(case: Case) -> Outcome {
    let project = project(&case, "")?;
    case.up(&project).await?;
    let before = ids(&case, &project).await?;
    case.up_anew(&project).await?;
    let after = ids(&case, &project).await?;
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    assert!(before.iter().all(|(name, id)| after[name] != *id));
    Ok(())
}

async fn force_makes_named_services_anew(case: Case) -> Outcome {
    let project = project(&case, "")?;
    case.up(&project).await?;
    let mut before = ids(&case, &project).await?;
    let force = options(|o| {
        o.services = ["web".to_owned()].into();
        o.recreate = Recreate::Always;
    });
    case.up_with(&project, &force).await?;
    let mut after = ids(&case, &project).await?;
    let web = format!("{}-web-1", case.name());
    assert_ne!(after.remove(&web), before.remove(&web));
    assert_eq!(after, before);
    Ok(())
}

async fn never_keeps_what_differs(case: Case) -> Outcome {
    case.up(&project(&case, "    environment: {WORD: one}")?).await?;
    let second = project(&case, "    environment: {WORD: two}")?;
    let before = ids(&case, &second).await?;
    let outcome = case.up_with(&second, &options(|o| o.recreate = Recreate::Never)).await?;
    assert_eq!(outcome.steps, 0);
    assert_eq!(ids(&case, &second).await?, before);
    Ok(())
}

async fn a_fixed_name_and_port_are_taken_over(case: Case) -> Outcome {
    let port = free_port()?;
    let name = format!("{}-fixed", case.name());
    let text = |word: &str| {
        format!(
            "
services:
  web:
    image: localhost/longshore-fixture:1
    command: [serve]
    container_name: {name}
    ports: ['127.0.0.1:{port}:8080']
    environment: [WORD={word}]
    healthcheck:
      test: [CMD, /fixture, health]
      interval: 200ms
"
        )
    };
    case.up_wait(&case.project(&text("one"))?).await?;
    let project = case.project(&text("two"))?;
    let before = case.container(&project, "web").await?;
    case.up_wait(&project).await?;
    let after = case.container(&project, "web").await?;
    assert_eq!((&before.name, &after.name), (&name, &name));
    assert_ne!(before.id, after.id);
    assert_eq!(case.published(&after, 8080)?, port);
    case.get(port, "/").await?;
    Ok(())
}

/// What a recreation of `web` that was interrupted after its first step leaves: the old one, and the new one beside it.
async fn leave_a_replacement(case: &Case, project: &Project) -> Result<(ContainerId, ContainerId), Failed> {
    case.up(project).await?;
    let old = case.container(project, "web").await?;
    let name = ContainerName::new(format!("{}_{}", old.id.short(), old.name))?;
    let mut spec = ContainerSpec::new(name, "localhost/longshore-fixture:1");
    spec.command = Some(vec!["sleep".to_owned()]);
    spec.labels = old.labels.clone();
    spec.labels.insert(labels::REPLACE.to_owned(), old.id.to_string());
    for network in &old.networks {
        spec.networks.push(runtime_core::Attachment {
            aliases: vec!["web".to_owned()],
            ..runtime_core::Attachment::new(ResourceName::network(network.clone())?)
        });
    }
    let new = case.engine().create_container(&spec).await?;
    Ok((old.id, new))
}

async fn what_an_interrupted_recreation_left_is_cleaned_up(case: Case) -> Outcome {
    let project = project(&case, "")?;
    let (old, new) = leave_a_replacement(&case, &project).await?;
    assert_eq!(ids(&case, &project).await?.len(), 4);
    case.up(&project).await?;
    let after = ids(&case, &project).await?;
    assert_eq!(after.len(), 3, "{after:?}");
    assert_eq!(after[&format!("{}-web-1", case.name())], old);
    assert!(case.engine().inspect(&new.0).await.is_err());
    assert_eq!(case.up(&project).await?.steps, 0);
    Ok(())
}

async fn a_replacement_without_its_old_one_is_completed(case: Case) -> Outcome {
    let project = project(&case, "")?;
    let (old, _) = leave_a_replacement(&case, &project).await?;
    case.engine().remove_container(&old, AnonymousVolumes::Keep).await?;
    let recorder = Recorder::new();
    case.runtime().up(&project, &options(|_| ()), &recorder.call()).await?;
    let web = case.container(&project, "web").await?;
    assert_eq!((web.name.as_str(), web.state), (&*format!("{}-web-1", case.name()), ContainerState::Running));
    assert_eq!(ids(&case, &project).await?.len(), 3);
    assert!(recorder.has_begun(Work::Rename, &web.name), "{:#?}", recorder.events());
    case.up(&project).await?;
    Ok(())
}

async fn a_network_that_was_removed_comes_back(case: Case) -> Outcome {
    let project = project(&case, "")?;
    case.up(&project).await?;
    let network = ResourceName::network(format!("{}_default", case.name()))?;
    case.stop(&project).await?;
    match case.engine().remove_network(&network).await {
        // Some engines keep a network that a stopped container is to come back to.
        Err(Error::InUse { .. }) => {
            for container in case.ps(&project).await? {
                case.engine().remove_container(&container.id, AnonymousVolumes::Keep).await?;
            }
            case.engine().remove_network(&network).await?;
        }
        outcome => outcome?,
    }
    case.up(&project).await?;
    assert!(case.things_of(&project.name).await?.contains(&format!("network {network}")));
    assert!(case.ps(&project).await?.iter().all(|container| container.networks.contains(network.as_str())));
    Ok(())
}
