//! Theirs is theirs: nothing of anyone else is stopped, removed or renamed, whatever its name begins with.

use std::collections::BTreeMap;

use longshore_tests::{Case, Failed, IMAGE, Outcome, Recorder, Suite, behaviours, refused};
use runtime_core::{
    Attachment, ContainerId, ContainerName, ContainerSpec, DownOptions, Error, NetworkSpec, Orphans,
    RemoveVolumes, ResourceName, Sought, Target, UpOptions, VolumeSpec,
};

pub(crate) fn tests(suite: &mut Suite) {
    behaviours!(suite;
        projects_with_similar_names_are_left_alone,
        things_with_our_names_and_no_labels_are_left_alone,
        a_network_that_was_there_is_used_and_stays,
        a_stranger_on_our_network_keeps_it,
        a_taken_container_name_is_an_error,
    );
}

const ONE: &str = "
services:
  web:
    image: localhost/longshore-fixture:1
    command: [sleep]
    volumes: ['data:/data']
volumes:
  data:
";

fn everything() -> DownOptions {
    let mut options = DownOptions::default();
    options.volumes = RemoveVolumes::Yes;
    options.orphans = Orphans::Remove;
    options
}

fn network(name: &str) -> Result<NetworkSpec, Error> {
    Ok(NetworkSpec::new(ResourceName::network(name)?))
}

/// A running container of somebody else.
async fn stranger(case: &Case, name: &str, networks: &[&str]) -> Result<ContainerId, Failed> {
    let mut spec = ContainerSpec::new(ContainerName::new(name)?, IMAGE);
    spec.command = Some(vec!["sleep".to_owned()]);
    for name in networks {
        let network = ResourceName::network(*name)?;
        spec.networks.push(Attachment::new(network));
    }
    Ok(case.foreign_container(&spec).await?)
}

async fn runs(case: &Case, id: &ContainerId) -> Result<bool, Failed> {
    Ok(case.engine().inspect(&id.0).await?.state.is_running())
}

async fn projects_with_similar_names_are_left_alone(case: Case) -> Outcome {
    let mut others = Vec::new();
    for suffix in ["-2", "2", "_web", "-web"] {
        let other = case.project_named(suffix, ONE)?;
        case.up(&other).await?;
        others.push((case.ids(&other).await?, other));
    }
    let project = case.project(ONE)?;
    case.up(&project).await?;
    case.stop(&project).await?;
    case.runtime().down(&Target::name(project.name.clone()), &everything(), &Default::default()).await?;
    for (ids, other) in others {
        assert_eq!(case.ids(&other).await?, ids, "{}", other.name);
        assert!(
            case.ps(&other).await?.iter().all(|container| container.state.is_running()),
            "{}",
            other.name
        );
        assert_eq!(case.things_of(&other.name).await?.len(), 3, "{}", other.name);
    }
    Ok(())
}

async fn things_with_our_names_and_no_labels_are_left_alone(case: Case) -> Outcome {
    let name = case.name().to_owned();
    let container = stranger(&case, &format!("{name}-other-1"), &[]).await?;
    case.foreign_network(&network(&format!("{name}_other"))?).await?;
    let volume = VolumeSpec {
        name: ResourceName::volume(format!("{name}_other"))?,
        driver: None,
        driver_opts: BTreeMap::new(),
        labels: BTreeMap::new(),
    };
    case.foreign_volume(&volume).await?;
    let project = case.project(ONE)?;
    case.up(&project).await?;
    case.wipe(&project.name).await?;
    assert!(runs(&case, &container).await?);
    let mut scope = runtime_core::scope_of_up(&project);
    scope.images.clear();
    scope.networks = Sought::named([format!("{name}_other")]);
    scope.volumes = scope.networks.clone();
    let there = case.engine().observe(&scope).await?;
    assert_eq!((there.networks.len(), there.volumes.len()), (1, 1), "{there:#?}");
    Ok(())
}

async fn a_network_that_was_there_is_used_and_stays(case: Case) -> Outcome {
    let name = format!("{}_default", case.name());
    case.foreign_network(&network(&name)?).await?;
    let project = case.project(ONE)?;
    let recorder = Recorder::new();
    case.runtime().up(&project, &UpOptions::default(), &recorder.call()).await?;
    assert!(recorder.warnings().iter().any(|text| text.contains(&name)), "{:?}", recorder.warnings());
    case.wipe(&project.name).await?;
    let mut scope = runtime_core::scope_of_up(&project);
    scope.images.clear();
    assert!(case.engine().observe(&scope).await?.networks.contains_key(&name));
    Ok(())
}

async fn a_stranger_on_our_network_keeps_it(case: Case) -> Outcome {
    let project = case.project(ONE)?;
    case.up(&project).await?;
    let network = format!("{}_default", case.name());
    let id = stranger(&case, &format!("{}-guest", case.name()), &[&network]).await?;
    let error = refused(case.down(&project).await)?;
    assert!(matches!(&error, Error::InUse { name, .. } if *name == network), "{error:?}");
    assert!(runs(&case, &id).await?);
    let left = [format!("network {network}"), format!("volume {}_data", case.name())];
    assert_eq!(case.things_of(&project.name).await?, left, "everything else is gone");
    Ok(())
}

async fn a_taken_container_name_is_an_error(case: Case) -> Outcome {
    let name = format!("{}-web-1", case.name());
    let id = stranger(&case, &name, &[]).await?;
    let project = case.project(ONE)?;
    let error = refused(case.up(&project).await)?;
    assert!(matches!(&error, Error::NameInUse { name: taken, .. } if *taken == name), "{error:?}");
    case.wipe(&project.name).await?;
    assert!(runs(&case, &id).await?);
    assert_eq!(case.engine().inspect(&id.0).await?.name, name);
    Ok(())
}
