//! The labels of docker compose, by which others see our projects.

use longshore_tests::{Case, Outcome, Suite, behaviours};
use runtime_core::labels;

pub(crate) fn tests(suite: &mut Suite) {
    behaviours!(suite;
        containers_carry_them_all,
        networks_and_volumes_carry_them,
        labels_of_the_file_are_there_too,
        every_owner_is_named,
    );
}

const TEXT: &str = "
services:
  app:
    image: localhost/longshore-fixture:1
    command: [sleep]
    scale: 2
    depends_on:
      db:
        condition: service_healthy
        restart: true
      cache: {condition: service_started}
    labels:
      quote: 'a \"b\" = c, d'
      empty: ''
  db:
    image: localhost/longshore-fixture:1
    command: [serve]
    healthcheck: {test: [CMD, /fixture, health], interval: 200ms, timeout: 5s, retries: 50}
    volumes: ['data:/data']
  cache:
    image: localhost/longshore-fixture:1
    command: [sleep]
volumes:
  data:
    labels: {tier: slow}
networks:
  default:
    labels: {zone: inner}
";

async fn containers_carry_them_all(case: Case) -> Outcome {
    let project = case.project(TEXT)?;
    case.up(&project).await?;
    for container in case.ps(&project).await? {
        let service = &project.services[container.service().ok_or("no service")?];
        let files: Vec<String> = project.config_files.iter().map(|path| path.display().to_string()).collect();
        let number = container.name.rsplit('-').next().map(str::to_owned);
        let image = container.image_id.as_ref().map(|id| id.as_str().to_owned());
        for (label, value) in [
            (labels::PROJECT, Some(project.name.to_string())),
            (labels::SERVICE, Some(service.name.clone())),
            (labels::NUMBER, number),
            (labels::ONEOFF, Some("False".to_owned())),
            (labels::CONFIG_HASH, Some(service.config_hash.clone())),
            (labels::WORKING_DIR, Some(project.working_dir.display().to_string())),
            (labels::CONFIG_FILES, Some(files.join(","))),
            (labels::IMAGE, image),
        ] {
            assert_eq!(container.label(label).map(str::to_owned), value, "{label} of {}", container.name);
        }
        assert!(container.label(labels::VERSION).is_some_and(|version| !version.is_empty()));
        assert_eq!(container.label(labels::REPLACE), None);
        assert_eq!(service.config_hash.len(), 64, "{}", service.config_hash);
    }
    let app = case.container(&project, "app").await?;
    let needs =
        app.label(labels::DEPENDS_ON).map(|text| text.split(',').collect::<std::collections::BTreeSet<_>>());
    assert_eq!(needs, Some(["cache:service_started:false", "db:service_healthy:true"].into()));
    assert_eq!(case.container(&project, "db").await?.label(labels::DEPENDS_ON), Some(""));
    Ok(())
}

async fn networks_and_volumes_carry_them(case: Case) -> Outcome {
    let project = case.project(TEXT)?;
    case.up(&project).await?;
    let mut scope = runtime_core::scope_of_up(&project);
    scope.images.clear();
    let there = case.engine().observe(&scope).await?;
    let network = &there.networks[&format!("{}_default", case.name())].labels;
    let volume = &there.volumes[&format!("{}_data", case.name())].labels;
    for (key, value) in [(labels::PROJECT, case.name()), (labels::NETWORK, "default"), ("zone", "inner")] {
        assert_eq!(network.get(key).map(String::as_str), Some(value), "{key}");
    }
    for (key, value) in [(labels::PROJECT, case.name()), (labels::VOLUME, "data"), ("tier", "slow")] {
        assert_eq!(volume.get(key).map(String::as_str), Some(value), "{key}");
    }
    assert!(network.contains_key(labels::OWNER) && volume.contains_key(labels::OWNER));
    Ok(())
}

async fn labels_of_the_file_are_there_too(case: Case) -> Outcome {
    let project = case.project(TEXT)?;
    case.up(&project).await?;
    let app = case.container(&project, "app").await?;
    assert_eq!(app.label("quote"), Some("a \"b\" = c, d"));
    assert_eq!(app.label("empty"), Some(""));
    let inspected = case.engine().inspect(&app.id.0).await?;
    assert_eq!(inspected.labels, app.labels, "a list and a look tell the same");
    Ok(())
}

async fn every_owner_is_named(case: Case) -> Outcome {
    let project = case.project(TEXT)?;
    case.up(&project).await?;
    assert!(
        case.ps(&project)
            .await?
            .iter()
            .all(|container| container.label(labels::OWNER) == Some("longshore-tests"))
    );
    Ok(())
}
