//! What runs in containers, and what they were made from.

use longshore_tests::{Case, Outcome, Suite, behaviours, refused};
use runtime_core::{Error, Target};

pub(crate) fn tests(suite: &mut Suite) {
    behaviours!(suite;
        processes_are_those_of_what_runs,
        images_are_those_of_the_containers,
        volumes_are_those_of_the_project,
        an_unknown_service_has_none,
    );
}

const TEXT: &str = "
services:
  db: {image: 'localhost/longshore-fixture:2', command: [sleep]}
  web: {image: 'localhost/longshore-fixture:1', command: [sleep], scale: 2}
";

async fn processes_are_those_of_what_runs(case: Case) -> Outcome {
    let project = case.project(TEXT)?;
    case.up(&project).await?;
    case.stop(Target::from(&project).services(["db"])).await?;
    let tables = case.runtime().top(&Target::from(&project)).await?;
    let names: Vec<&str> = tables.iter().map(|(container, _)| container.name.as_str()).collect();
    assert_eq!(names, [format!("{}-web-1", case.name()), format!("{}-web-2", case.name())]);
    for (_, table) in &tables {
        assert!(table.titles.iter().any(|title| title == "PID"), "{table:?}");
        assert_eq!(table.processes.len(), 1, "{table:?}");
        assert_eq!(table.processes[0].len(), table.titles.len(), "{table:?}");
        assert_eq!(table.processes[0].last().map(String::as_str), Some("/fixture sleep"), "{table:?}");
    }
    Ok(())
}

async fn images_are_those_of_the_containers(case: Case) -> Outcome {
    let project = case.project(TEXT)?;
    case.up(&project).await?;
    case.stop(&project).await?;
    let images = case.runtime().images(&Target::from(&project)).await?;
    assert_eq!(images.len(), 3);
    for (container, image) in images {
        let image = image.ok_or("it is not here")?;
        let number = if container.service() == Some("db") { 2 } else { 1 };
        assert!(image.tags.contains(&format!("localhost/longshore-fixture:{number}")), "{image:?}");
        assert_eq!(Some(&image.id), container.image_id.as_ref());
        assert!(image.size > 0);
    }
    Ok(())
}

async fn volumes_are_those_of_the_project(case: Case) -> Outcome {
    let project = case.project(
        "
services:
  db: {image: 'localhost/longshore-fixture:1', command: [sleep], volumes: ['data:/data', 'logs:/logs', '/scratch']}
  web: {image: 'localhost/longshore-fixture:1', command: [sleep], volumes: ['logs:/logs']}
  off: {image: 'localhost/longshore-fixture:1', command: [sleep]}
volumes:
  data: {labels: {colour: red}}
  logs:
",
    )?;
    let names = async |target: Target| {
        let volumes = case.runtime().volumes(&target).await?;
        Ok::<_, Error>(volumes.into_iter().map(|volume| volume.name).collect::<Vec<_>>())
    };
    assert!(names(Target::from(&project)).await?.is_empty());
    case.up(&project).await?;
    // What is stopped has its volumes still.
    case.stop(Target::from(&project).services(["web"])).await?;
    let (data, logs) = (format!("{}_data", case.name()), format!("{}_logs", case.name()));
    assert_eq!(names(Target::from(&project)).await?, [data.clone(), logs.clone()]);
    assert_eq!(names(Target::name(project.name.clone())).await?, [data.clone(), logs.clone()]);
    assert_eq!(names(Target::from(&project).services(["web"])).await?, [logs.as_str()]);
    assert!(names(Target::from(&project).services(["off"])).await?.is_empty());
    let volumes = case.runtime().volumes(&Target::from(&project)).await?;
    assert_eq!(volumes[0].driver, "local");
    assert_eq!(volumes[0].labels.get("colour").map(String::as_str), Some("red"));
    Ok(())
}

async fn an_unknown_service_has_none(case: Case) -> Outcome {
    let project = case.project(TEXT)?;
    case.up(&project).await?;
    let nobody = Target::from(&project).services(["nobody"]);
    for error in [
        refused(case.runtime().top(&nobody).await.map(drop))?,
        refused(case.runtime().images(&nobody).await.map(drop))?,
        refused(case.runtime().volumes(&nobody).await.map(drop))?,
    ] {
        assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
    }
    Ok(())
}
