//! Taking a project down.

use std::collections::BTreeMap;

use compose_file::Project;
use longshore_tests::{Case, Failed, Outcome, Recorder, Suite, behaviours, options};
use runtime_core::{
    BuildOptions, Building, DownOptions, Event, NetworkSpec, Phase, RemoveImages, RemoveVolumes,
    ResourceName, Target, VolumeSpec, Work,
};

pub(crate) fn tests(suite: &mut Suite) {
    behaviours!(suite;
        containers_and_networks_go_and_volumes_stay,
        volumes_go_if_told_so,
        external_things_stay,
        a_second_time_is_fine,
        an_unknown_project_is_fine,
        by_name_alone_the_order_is_reversed,
        services_take_their_dependents_along,
        what_was_only_created_goes_too,
        a_stopped_project_goes_too,
        images_go_if_told_so,
        all_names_of_an_image_go,
        an_image_that_somebody_uses_stays,
    );
}

fn project(case: &Case) -> Result<Project, Failed> {
    case.project(
        "
services:
  app:
    image: localhost/longshore-fixture:1
    command: [sleep]
    depends_on: [db]
  db:
    image: localhost/longshore-fixture:1
    command: [sleep]
    volumes: ['data:/data', /scratch]
volumes:
  data:
",
    )
}

fn with_volumes() -> DownOptions {
    let mut options = DownOptions::default();
    options.volumes = RemoveVolumes::Yes;
    options
}

async fn containers_and_networks_go_and_volumes_stay(case: Case) -> Outcome {
    let project = project(&case)?;
    case.up(&project).await?;
    case.down(&project).await?;
    assert_eq!(case.things_of(&project.name).await?, [format!("volume {}_data", case.name())]);
    Ok(())
}

async fn volumes_go_if_told_so(case: Case) -> Outcome {
    let project = project(&case)?;
    case.up(&project).await?;
    case.runtime().down(&(&project).into(), &with_volumes(), &Default::default()).await?;
    assert!(case.things_of(&project.name).await?.is_empty());
    Ok(())
}

async fn external_things_stay(case: Case) -> Outcome {
    let (network, volume) = (format!("{}-theirs-net", case.name()), format!("{}-theirs-vol", case.name()));
    case.foreign_network(&NetworkSpec::new(ResourceName::network(network.clone())?)).await?;
    case.foreign_volume(&VolumeSpec {
        name: ResourceName::volume(volume.clone())?,
        driver: None,
        driver_opts: BTreeMap::new(),
        labels: BTreeMap::new(),
    })
    .await?;
    let project = case.project(&format!(
        "
services:
  web:
    image: localhost/longshore-fixture:1
    command: [write, /data/word, kept]
    networks: [theirs]
    volumes: ['data:/data']
networks:
  theirs:
    external: true
    name: {network}
volumes:
  data:
    external: true
    name: {volume}
"
    ))?;
    case.run(&project, "web").await?;
    case.runtime().down(&(&project).into(), &with_volumes(), &Default::default()).await?;
    let mut scope = runtime_core::scope_of_up(&project);
    scope.images.clear();
    let there = case.engine().observe(&scope).await?;
    assert!(there.networks.contains_key(&network) && there.volumes.contains_key(&volume), "{there:#?}");
    assert!(there.containers.is_empty());
    Ok(())
}

async fn a_second_time_is_fine(case: Case) -> Outcome {
    let project = project(&case)?;
    case.up(&project).await?;
    case.down(&project).await?;
    case.down(&project).await?;
    case.down(Target::name(project.name.clone())).await?;
    Ok(())
}

async fn an_unknown_project_is_fine(case: Case) -> Outcome {
    let project = project(&case)?;
    case.down(&project).await?;
    case.down(Target::name(project.name.clone())).await?;
    Ok(())
}

async fn by_name_alone_the_order_is_reversed(case: Case) -> Outcome {
    let project = project(&case)?;
    case.up(&project).await?;
    let recorder = Recorder::new();
    let target = Target::name(project.name.clone());
    case.runtime().down(&target, &with_volumes(), &recorder.call()).await?;
    let name = case.name();
    assert!(
        recorder.done(Work::Stop, &format!("{name}-app-1"))
            < recorder.began(Work::Stop, &format!("{name}-db-1"))
    );
    for container in ["app", "db"] {
        let gone = recorder.done(Work::Remove, &format!("{name}-{container}-1"));
        assert!(gone < recorder.began(Work::Remove, &format!("{name}_default")), "{container}");
    }
    assert!(case.things_of(&project.name).await?.is_empty());
    Ok(())
}

async fn services_take_their_dependents_along(case: Case) -> Outcome {
    let project = case.project(
        "
services:
  app:
    image: localhost/longshore-fixture:1
    command: [sleep]
    depends_on: [db]
  db:
    image: localhost/longshore-fixture:1
    command: [sleep]
  other:
    image: localhost/longshore-fixture:1
    command: [sleep]
",
    )?;
    case.up(&project).await?;
    case.down(Target::from(&project).services(["db"])).await?;
    let name = case.name();
    let left = [format!("container {name}-other-1"), format!("network {name}_default")];
    assert_eq!(case.things_of(&project.name).await?, left);
    Ok(())
}

async fn what_was_only_created_goes_too(case: Case) -> Outcome {
    let project = project(&case)?;
    let only_created = longshore_tests::options(|o| o.start = runtime_core::Start::No);
    case.up_with(&project, &only_created).await?;
    case.wipe(&project.name).await
}

async fn a_stopped_project_goes_too(case: Case) -> Outcome {
    let project = project(&case)?;
    case.up(&project).await?;
    case.stop(&project).await?;
    case.wipe(&project.name).await
}

fn with_images(images: RemoveImages) -> DownOptions {
    let mut options = DownOptions::default();
    options.images = images;
    options
}

/// A project whose service `built` has an image of its own, and `named` one that the file names.
/// What an image of this case's own is built from.
fn lay_out_a_build(case: &Case) -> Outcome {
    std::fs::write(case.dir().join("Dockerfile"), "FROM localhost/longshore-fixture:1\nCOPY word /word\n")?;
    std::fs::write(case.dir().join("word"), case.name())?;
    Ok(())
}

fn with_builds(case: &Case) -> Result<Project, Failed> {
    lay_out_a_build(case)?;
    case.project(&format!(
        "
services:
  built: {{build: ., command: [sleep]}}
  named: {{build: ., image: 'localhost/{}-named:1', command: [sleep]}}
",
        case.name()
    ))
}

async fn is_here(case: &Case, image: &str) -> Result<bool, Failed> {
    let project = case.project(&format!("services: {{web: {{image: '{image}'}}}}"))?;
    let observed = case.engine().observe(&runtime_core::scope_of_up(&project)).await?;
    Ok(observed.images.contains_key(image))
}

async fn images_go_if_told_so(case: Case) -> Outcome {
    let project = with_builds(&case)?;
    let (built, named) = (format!("{}-built", case.name()), format!("localhost/{}-named:1", case.name()));
    let target = Target::from(&project);
    for (images, stays) in [
        (RemoveImages::No, [true, true]),
        (RemoveImages::Local, [false, true]),
        (RemoveImages::All, [false, false]),
    ] {
        case.up_with(&project, &options(|o| o.build = Building::Always)).await?;
        case.runtime().down(&target, &with_images(images), &Default::default()).await?;
        assert_eq!([is_here(&case, &built).await?, is_here(&case, &named).await?], stays, "{images:?}");
    }
    // What is not here is no failure.
    case.runtime().down(&target, &with_images(RemoveImages::All), &Default::default()).await?;
    Ok(())
}

async fn all_names_of_an_image_go(case: Case) -> Outcome {
    lay_out_a_build(&case)?;
    let services: Vec<String> = (0..6).map(|number| format!("s{number}")).collect();
    let mut text = "services:\n".to_owned();
    for service in &services {
        text += &format!("  {service}: {{build: ., command: [sleep]}}\n");
    }
    let project = case.project(&text)?;
    let build = BuildOptions::default();
    case.runtime().build(&project, &build, &Default::default()).await?;
    let target = Target::from(&project);
    case.runtime().down(&target, &with_images(RemoveImages::Local), &Default::default()).await?;
    for service in &services {
        assert!(!is_here(&case, &format!("{}-{service}", case.name())).await?, "{service}");
    }
    Ok(())
}

async fn an_image_that_somebody_uses_stays(case: Case) -> Outcome {
    let project = with_builds(&case)?;
    let image = format!("localhost/{}-named:1", case.name());
    let text = format!("services: {{web: {{image: '{image}', pull_policy: never, command: [sleep]}}}}");
    let user = case.project_named("-user", &text)?;
    case.up_with(&project, &options(|o| o.build = Building::Always)).await?;
    case.up(&user).await?;
    let recorder = Recorder::new();
    let target = Target::from(&project).services(["named"]);
    case.runtime().down(&target, &with_images(RemoveImages::All), &recorder.call()).await?;
    assert!(is_here(&case, &image).await?);
    let warned = |event: &Event| event.subject.name() == image && matches!(event.phase, Phase::Warning(_));
    assert_eq!(recorder.events().iter().filter(|event| warned(event)).count(), 1);
    case.down(&user).await?;
    case.runtime()
        .down(&Target::from(&project), &with_images(RemoveImages::All), &Default::default())
        .await?;
    assert!(!is_here(&case, &image).await?);
    Ok(())
}
