//! What `up` would do, before it does it.

use longshore_tests::{Case, Outcome, Suite, behaviours, options};
use runtime_core::{AnonymousVolumes, Recreate, UpOptions};

pub(crate) fn tests(suite: &mut Suite) {
    behaviours!(suite;
        a_plan_changes_nothing,
        a_plan_tells_what_and_why,
        nothing_to_do_is_an_empty_plan,
        a_plan_names_what_changed,
        up_does_as_many_steps_as_were_planned,
    );
}

fn text(word: &str) -> String {
    format!(
        "
services:
  db:
    image: localhost/longshore-fixture:1
    command: [sleep]
    volumes: ['data:/data']
  web:
    image: localhost/longshore-fixture:1
    command: [sleep]
    environment: [WORD={word}]
    depends_on: [db]
volumes:
  data:
"
    )
}

async fn a_plan_changes_nothing(case: Case) -> Outcome {
    let project = case.project(&text("one"))?;
    let plan = case.runtime().plan(&project, &UpOptions::default()).await?;
    assert!(!plan.is_empty());
    assert!(case.things_of(&project.name).await?.is_empty());
    Ok(())
}

async fn a_plan_tells_what_and_why(case: Case) -> Outcome {
    let project = case.project(&text("one"))?;
    let plan = case.runtime().plan(&project, &UpOptions::default()).await?.to_string();
    let name = case.name();
    for line in [
        format!("create network {name}_default (not there)"),
        format!("create volume {name}_data (not there)"),
        format!("create container {name}-db-1 (not there)"),
        format!("start container {name}-web-1 (not there)"),
    ] {
        assert!(plan.lines().any(|found| found == line), "{line:?} is not in\n{plan}");
    }
    Ok(())
}

async fn nothing_to_do_is_an_empty_plan(case: Case) -> Outcome {
    let project = case.project(&text("one"))?;
    case.up(&project).await?;
    let plan = case.runtime().plan(&project, &UpOptions::default()).await?;
    assert!(plan.is_empty(), "{plan}");
    assert_eq!(plan.unchanged.len(), 2);
    let forced = case.runtime().plan(&project, &options(|o| o.recreate = Recreate::Always)).await?;
    assert!(!forced.is_empty());
    Ok(())
}

async fn a_plan_names_what_changed(case: Case) -> Outcome {
    case.up(&case.project(&text("one"))?).await?;
    let project = case.project(&text("two"))?;
    let plan = case.runtime().plan(&project, &UpOptions::default()).await?.to_string();
    assert!(plan.contains("environment changed"), "{plan}");
    assert!(!plan.contains("-db-1"), "{plan}");
    let db = case.container(&project, "db").await?;
    case.engine().remove_container(&db.id, AnonymousVolumes::Keep).await?;
    let plan = case.runtime().plan(&project, &UpOptions::default()).await?.to_string();
    assert!(plan.contains(&format!("create container {} (not there)", db.name)), "{plan}");
    Ok(())
}

async fn up_does_as_many_steps_as_were_planned(case: Case) -> Outcome {
    let project = case.project(&text("one"))?;
    let planned = case.runtime().plan(&project, &UpOptions::default()).await?;
    assert_eq!(case.up(&project).await?.steps, planned.steps.len(), "{planned}");
    Ok(())
}
