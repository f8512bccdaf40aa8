//! How many containers a service has.

use compose_file::Project;
use longshore_tests::{Case, Failed, Outcome, Suite, behaviours, options, refused};
use runtime_core::{AnonymousVolumes, ContainerState};

pub(crate) fn tests(suite: &mut Suite) {
    behaviours!(suite;
        more_keeps_what_is_there,
        fewer_removes_the_highest_numbers,
        none_removes_all_of_the_service,
        gaps_are_filled,
        the_option_beats_the_file,
        replicas_of_deploy_count,
    );
}

fn web(case: &Case, scale: u32) -> Result<Project, Failed> {
    case.project(&format!(
        "
services:
  web:
    image: localhost/longshore-fixture:1
    command: [sleep]
    scale: {scale}
"
    ))
}

async fn numbers(case: &Case, project: &Project) -> Result<Vec<u32>, Failed> {
    let containers = case.ps(project).await?;
    assert!(containers.iter().all(|container| container.state == ContainerState::Running), "{containers:#?}");
    let mut numbers: Vec<u32> = containers.iter().filter_map(|container| container.number()).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

async fn more_keeps_what_is_there(case: Case) -> Outcome {
    case.up(&web(&case, 1)?).await?;
    let project = web(&case, 3)?;
    let before = case.ids(&project).await?;
    case.up(&project).await?;
    let after = case.ids(&project).await?;
    assert_eq!(numbers(&case, &project).await?, [1, 2, 3]);
    assert!(before.iter().all(|(name, id)| after.get(name) == Some(id)));
    let names: Vec<&String> = after.keys().collect();
    let name = case.name();
    assert_eq!(names, [&format!("{name}-web-1"), &format!("{name}-web-2"), &format!("{name}-web-3")]);
    Ok(())
}

async fn fewer_removes_the_highest_numbers(case: Case) -> Outcome {
    case.up(&web(&case, 4)?).await?;
    let project = web(&case, 2)?;
    let before = case.ids(&project).await?;
    case.up(&project).await?;
    assert_eq!(numbers(&case, &project).await?, [1, 2]);
    assert!(case.ids(&project).await?.iter().all(|(name, id)| before.get(name) == Some(id)));
    Ok(())
}

async fn none_removes_all_of_the_service(case: Case) -> Outcome {
    case.up(&web(&case, 2)?).await?;
    let project = web(&case, 0)?;
    case.up(&project).await?;
    assert!(case.ps(&project).await?.is_empty());
    assert_eq!(case.up(&project).await?.steps, 0);
    Ok(())
}

async fn gaps_are_filled(case: Case) -> Outcome {
    let project = web(&case, 3)?;
    case.up(&project).await?;
    let second = case.ps(&project).await?.into_iter().find(|container| container.number() == Some(2));
    let second = second.ok_or("there is no second one")?;
    case.engine().remove_container(&second.id, AnonymousVolumes::Remove).await?;
    case.up(&project).await?;
    assert_eq!(numbers(&case, &project).await?, [1, 2, 3]);
    Ok(())
}

async fn the_option_beats_the_file(case: Case) -> Outcome {
    let project = web(&case, 1)?;
    case.up_with(&project, &options(|o| o.scale = [("web".to_owned(), 3)].into())).await?;
    assert_eq!(numbers(&case, &project).await?, [1, 2, 3]);
    let unknown = options(|o| o.scale = [("nobody".to_owned(), 3)].into());
    assert_eq!(refused(case.up_with(&project, &unknown).await)?.code(), "not_found");
    Ok(())
}

async fn replicas_of_deploy_count(case: Case) -> Outcome {
    let project = case.project(
        "
services:
  web:
    image: localhost/longshore-fixture:1
    command: [sleep]
    deploy: {replicas: 2}
",
    )?;
    case.up(&project).await?;
    assert_eq!(numbers(&case, &project).await?, [1, 2]);
    Ok(())
}
