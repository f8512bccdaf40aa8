//! Removing containers, and nothing else.

use compose_file::Project;
use longshore_tests::{Case, Failed, Outcome, Suite, behaviours};
use runtime_core::{AnonymousVolumes, Call, RemoveOptions, Running, Sought, Target};

pub(crate) fn tests(suite: &mut Suite) {
    behaviours!(suite;
        only_what_is_stopped_is_removed,
        what_runs_is_stopped_first_if_told_so,
        only_what_was_agreed_to_is_removed,
        anonymous_volumes_go_if_told_so,
    );
}

const TEXT: &str = "
services:
  db: {image: 'localhost/longshore-fixture:1', command: [sleep], volumes: [/data], stop_grace_period: 2s}
  web: {image: 'localhost/longshore-fixture:1', command: [sleep], depends_on: [db], stop_grace_period: 2s}
";

async fn up(case: &Case) -> Result<Project, Failed> {
    let project = case.project(TEXT)?;
    case.up(&project).await?;
    Ok(project)
}

async fn remove(case: &Case, target: impl Into<Target>, options: &RemoveOptions) -> runtime_core::Result<()> {
    case.runtime().remove(&target.into(), options, &Call::default()).await
}

async fn names(case: &Case, project: &Project) -> Result<Vec<String>, Failed> {
    Ok(case.ps(project).await?.iter().filter_map(|one| one.service().map(str::to_owned)).collect())
}

async fn only_what_is_stopped_is_removed(case: Case) -> Outcome {
    let project = up(&case).await?;
    case.stop(Target::from(&project).services(["web"])).await?;
    remove(&case, &project, &RemoveOptions::default()).await?;
    assert_eq!(names(&case, &project).await?, ["db"]);
    let network = format!("network {}_default", case.name());
    assert!(case.things_of(&project.name).await?.contains(&network));
    Ok(())
}

async fn what_runs_is_stopped_first_if_told_so(case: Case) -> Outcome {
    let project = up(&case).await?;
    let mut options = RemoveOptions::default();
    options.running = Running::Stop;
    remove(&case, Target::from(&project).services(["web"]), &options).await?;
    assert_eq!(names(&case, &project).await?, ["db"]);
    remove(&case, &project, &options).await?;
    assert!(names(&case, &project).await?.is_empty());
    Ok(())
}

async fn only_what_was_agreed_to_is_removed(case: Case) -> Outcome {
    let project = up(&case).await?;
    let agreed = case.container(&project, "db").await?.id;
    case.stop(&project).await?;
    let mut options = RemoveOptions::default();
    options.only = Some([agreed].into());
    remove(&case, &project, &options).await?;
    assert_eq!(names(&case, &project).await?, ["web"]);
    Ok(())
}

async fn anonymous_volumes_go_if_told_so(case: Case) -> Outcome {
    let project = up(&case).await?;
    for (anonymous_volumes, stays) in [(AnonymousVolumes::Keep, true), (AnonymousVolumes::Remove, false)] {
        case.up(&project).await?;
        let db = case.container(&project, "db").await?;
        let volumes: Vec<String> = db.anonymous_volumes().map(|(_, name)| name.to_owned()).collect();
        assert_eq!(volumes.len(), 1, "{db:#?}");
        let mut options = RemoveOptions::default();
        (options.running, options.anonymous_volumes) = (Running::Stop, anonymous_volumes);
        remove(&case, &project, &options).await?;
        let mut scope = runtime_core::scope_of_up(&project);
        scope.images.clear();
        scope.volumes = Sought::named(volumes.iter().cloned());
        let there = case.engine().observe(&scope).await?.volumes;
        assert_eq!(there.contains_key(&volumes[0]), stays);
        if stays {
            case.engine().remove_volume(&runtime_core::ResourceName::volume(&*volumes[0])?).await?;
        }
    }
    Ok(())
}
