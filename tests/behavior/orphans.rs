//! Containers whose service is not in the file any more.

use compose_file::Project;
use longshore_tests::{Case, Failed, Outcome, Recorder, Suite, behaviours, options};
use runtime_core::{DownOptions, Orphans, Target};

pub(crate) fn tests(suite: &mut Suite) {
    behaviours!(suite;
        they_are_warned_of_and_stay,
        they_go_if_told_so,
        they_are_ignored_if_told_so,
        down_leaves_them_what_they_are_attached_to,
        down_takes_them_if_told_so,
        down_by_name_leaves_nothing,
        a_service_that_a_profile_leaves_out_is_none,
    );
}

const BOTH: &str = "
services:
  old:
    image: localhost/longshore-fixture:1
    command: [sleep]
  web:
    image: localhost/longshore-fixture:1
    command: [sleep]
";

const ONE: &str = "
services:
  web:
    image: localhost/longshore-fixture:1
    command: [sleep]
";

/// Brings up two services and returns the project in which there is only one of them.
async fn with_an_orphan(case: &Case) -> Result<Project, Failed> {
    case.up(&case.project(BOTH)?).await?;
    case.project(ONE)
}

async fn they_are_warned_of_and_stay(case: Case) -> Outcome {
    let project = with_an_orphan(&case).await?;
    let recorder = Recorder::new();
    case.runtime().up(&project, &options(|_| ()), &recorder.call()).await?;
    let old = case.container(&project, "old").await?;
    assert!(old.state.is_running());
    assert!(recorder.warnings().iter().any(|text| text.contains(&old.name)), "{:?}", recorder.warnings());
    Ok(())
}

async fn they_go_if_told_so(case: Case) -> Outcome {
    let project = with_an_orphan(&case).await?;
    let web = case.container(&project, "web").await?;
    let recorder = Recorder::new();
    case.runtime().up(&project, &options(|o| o.orphans = Orphans::Remove), &recorder.call()).await?;
    let left = case.ps(&project).await?;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].id, web.id);
    assert!(recorder.warnings().is_empty());
    Ok(())
}

async fn they_are_ignored_if_told_so(case: Case) -> Outcome {
    let project = with_an_orphan(&case).await?;
    let recorder = Recorder::new();
    case.runtime().up(&project, &options(|o| o.orphans = Orphans::Ignore), &recorder.call()).await?;
    assert!(recorder.warnings().is_empty());
    assert!(case.container(&project, "old").await?.state.is_running());
    Ok(())
}

async fn down_leaves_them_what_they_are_attached_to(case: Case) -> Outcome {
    let project = with_an_orphan(&case).await?;
    let recorder = Recorder::new();
    let target = Target::from(&project);
    case.runtime().down(&target, &DownOptions::default(), &recorder.call()).await?;
    let old = case.container(&project, "old").await?;
    assert!(old.state.is_running());
    let left = case.things_of(&project.name).await?;
    assert_eq!(left, [format!("container {}", old.name), format!("network {}_default", case.name())]);
    assert!(recorder.warnings().iter().any(|text| text.contains(&old.name)), "{:?}", recorder.warnings());
    Ok(())
}

async fn down_takes_them_if_told_so(case: Case) -> Outcome {
    let project = with_an_orphan(&case).await?;
    let mut remove = DownOptions::default();
    remove.orphans = Orphans::Remove;
    case.runtime().down(&(&project).into(), &remove, &Default::default()).await?;
    assert!(case.things_of(&project.name).await?.is_empty());
    Ok(())
}

async fn down_by_name_leaves_nothing(case: Case) -> Outcome {
    let project = with_an_orphan(&case).await?;
    case.down(runtime_core::Target::name(project.name.clone())).await?;
    assert!(case.things_of(&project.name).await?.is_empty());
    Ok(())
}

async fn a_service_that_a_profile_leaves_out_is_none(case: Case) -> Outcome {
    case.up(&case.project(BOTH)?).await?;
    let project = case.project(&BOTH.replace("  old:\n", "  old:\n    profiles: [rare]\n"))?;
    let recorder = Recorder::new();
    case.runtime().up(&project, &options(|o| o.orphans = Orphans::Remove), &recorder.call()).await?;
    assert_eq!(case.ps(&project).await?.len(), 2);
    assert!(recorder.warnings().is_empty());
    Ok(())
}
