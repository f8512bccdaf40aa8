//! Lists: of a project's containers, of projects, of what is ours.

use std::collections::BTreeSet;

use longshore_tests::{Case, Failed, IMAGE, Outcome, Suite, behaviours};
use runtime_core::{ContainerFilter, ContainerName, ContainerSpec, ContainerState, Detail, Target, labels};

pub(crate) fn tests(suite: &mut Suite) {
    behaviours!(suite;
        ps_is_sorted_and_tells_states_and_codes,
        ps_of_nothing_is_empty,
        running_ones_are_found_by_prefix,
        a_container_that_only_has_such_a_name_is_not_listed,
        a_project_of_docker_compose_is_not_ours,
        projects_are_summed_up,
        a_list_tells_the_same_as_a_look,
    );
}

async fn running(case: &Case, suffix: &str) -> Result<Vec<String>, Failed> {
    let containers = case.runtime().list_running(&format!("{}{suffix}", case.name())).await?;
    assert!(containers.iter().all(|container| container.state.is_running()));
    Ok(containers.into_iter().map(|container| container.name).collect())
}

/// A container with labels of its own, whose name begins like the case's.
fn stranger(case: &Case, name: &str, given: &[(&str, &str)]) -> Result<ContainerSpec, Failed> {
    let mut spec = ContainerSpec::new(ContainerName::new(format!("{}{name}", case.name()))?, IMAGE);
    spec.command = Some(vec!["sleep".to_owned()]);
    spec.labels = given.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Ok(spec)
}

async fn ps_is_sorted_and_tells_states_and_codes(case: Case) -> Outcome {
    let project = case.project(
        "
services:
  web:
    image: localhost/longshore-fixture:1
    command: [sleep]
    scale: 11
  app:
    image: localhost/longshore-fixture:1
    command: [exit, '5']
",
    )?;
    case.up(&project).await?;
    case.output(&project, "app").await?;
    let containers = case.ps(&project).await?;
    assert_eq!((containers[0].service(), containers[0].state), (Some("app"), ContainerState::Exited));
    assert_eq!(containers[0].exit_code, Some(5));
    let numbers: Vec<_> = containers[1..].iter().filter_map(|container| container.number()).collect();
    assert_eq!(numbers, (1..=11).collect::<Vec<_>>(), "by number, not by text");
    assert!(containers.iter().all(|container| container.image.ends_with("longshore-fixture:1")));
    assert!(containers.iter().all(|container| container.created.is_some() && container.image_id.is_some()));
    Ok(())
}

async fn a_list_tells_the_same_as_a_look(case: Case) -> Outcome {
    let project = case.project(
        "
services:
  web: {image: 'localhost/longshore-fixture:1', command: [sleep], labels: {zone: inner}, networks: [one, two]}
  done: {image: 'localhost/longshore-fixture:1', command: [exit, '0']}
networks: {one: {}, two: {}}
",
    )?;
    case.up(&project).await?;
    case.output(&project, "done").await?;
    let label = (labels::PROJECT.to_owned(), Some(project.name.to_string()));
    let list = async |detail| -> Result<Vec<_>, Failed> {
        let filter = ContainerFilter { labels: vec![label.clone()], detail, ..ContainerFilter::default() };
        let containers = case.engine().list(&filter).await?;
        let told = containers
            .into_iter()
            .map(|one| (one.name, one.id, one.state, one.image, one.image_id, one.labels, one.networks));
        Ok(told.collect::<BTreeSet<_>>().into_iter().collect())
    };
    let (listed, looked_at) = (list(Detail::Listed).await?, list(Detail::Whole).await?);
    assert_eq!(listed.len(), 2);
    assert_eq!(listed, looked_at);
    Ok(())
}

async fn ps_of_nothing_is_empty(case: Case) -> Outcome {
    let project = case.sleeper("")?;
    assert!(case.ps(&project).await?.is_empty());
    Ok(())
}

async fn running_ones_are_found_by_prefix(case: Case) -> Outcome {
    let (one, two) = (case.sleeper("-agent-1")?, case.sleeper("-agent-2")?);
    case.up(&one).await?;
    case.up(&two).await?;
    let name = case.name();
    let both = [format!("{name}-agent-1-web-1"), format!("{name}-agent-2-web-1")];
    assert_eq!(running(&case, "-agent").await?, both);
    assert_eq!(running(&case, "-agent-2").await?, both[1..]);
    assert!(running(&case, "-other").await?.is_empty());
    case.stop(&one).await?;
    assert_eq!(running(&case, "").await?, both[1..], "a stopped one does not run");
    Ok(())
}

async fn a_container_that_only_has_such_a_name_is_not_listed(case: Case) -> Outcome {
    case.foreign_container(&stranger(&case, "-agent-web-1", &[])?).await?;
    case.up(&case.sleeper("-agent-x")?).await?;
    assert_eq!(running(&case, "-agent").await?, [format!("{}-agent-x-web-1", case.name())]);
    Ok(())
}

async fn a_project_of_docker_compose_is_not_ours(case: Case) -> Outcome {
    let project = format!("{}-theirs", case.name());
    let given = [
        (labels::PROJECT, project.as_str()),
        (labels::SERVICE, "web"),
        (labels::NUMBER, "1"),
        (labels::ONEOFF, "False"),
        (labels::CONFIG_HASH, "0123"),
    ];
    case.foreign_container(&stranger(&case, "-theirs-web-1", &given)?).await?;
    assert!(running(&case, "").await?.is_empty());
    let projects = case.runtime().projects().await?;
    assert!(projects.iter().any(|summary| summary.name == project), "but it is a project");
    Ok(())
}

async fn projects_are_summed_up(case: Case) -> Outcome {
    let (one, two) = (case.sleeper("-b")?, case.sleeper("-a")?);
    case.up(&one).await?;
    case.up_with(&two, &longshore_tests::options(|o| o.scale = [("web".to_owned(), 2)].into())).await?;
    case.stop(&two).await?;
    let projects = case.runtime().projects().await?;
    let ours: Vec<_> = projects.into_iter().filter(|summary| summary.name.starts_with(case.name())).collect();
    let name = case.name();
    assert_eq!(
        ours.iter().map(|summary| &summary.name).collect::<Vec<_>>(),
        [&format!("{name}-a"), &format!("{name}-b")]
    );
    assert_eq!(ours[0].states, [("exited".to_owned(), 2)].into());
    assert_eq!(ours[1].states, [("running".to_owned(), 1)].into());
    case.down(Target::name(one.name.clone())).await?;
    assert!(case.runtime().projects().await?.iter().all(|summary| summary.name != one.name.as_str()));
    Ok(())
}
