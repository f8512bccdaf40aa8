//! What happens to a project, told in the engine's words.

use std::collections::BTreeSet;

use futures_util::TryStreamExt;
use longshore_tests::{Case, Failed, Outcome, Suite, behaviours, refused};
use runtime_core::{Call, Error, ProjectEvent, ProjectEvents, ResourceKind, RunOptions, RunTalk, Target};

pub(crate) fn tests(suite: &mut Suite) {
    behaviours!(suite;
        a_life_is_told_from_its_beginning_to_its_end,
        only_services_that_are_named_are_told,
        one_offs_are_not_told,
        an_unknown_service_has_no_events,
    );
}

const TEXT: &str = "
services:
  db: {image: 'localhost/longshore-fixture:1', command: [sleep]}
  web: {image: 'localhost/longshore-fixture:1', command: [exit, '3'], labels: {colour: red}}
";

/// Reads until that was done to a service, and gives all that was told.
async fn until(events: &mut ProjectEvents, service: &str, action: &str) -> Result<Vec<ProjectEvent>, Failed> {
    let mut told = Vec::new();
    loop {
        told.push(events.try_next().await?.ok_or("it ended")?);
        if told.last().is_some_and(|last| last.service == service && last.action == action) {
            return Ok(told);
        }
    }
}

async fn a_life_is_told_from_its_beginning_to_its_end(case: Case) -> Outcome {
    let project = case.project(TEXT)?;
    let mut events = case.runtime().events(&Target::from(&project)).await?;
    case.up(&project).await?;
    let mut told = until(&mut events, "web", "die").await?;
    let web = case.container(&project, "web").await?;
    case.down(&project).await?;
    told.extend(until(&mut events, "web", "destroy").await?);
    told.retain(|event| event.service == "web");
    let at = |action: &str| told.iter().position(|event| event.action == action);
    let places = ["create", "start", "die", "destroy"].map(at);
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{told:#?}");
    let times: Vec<_> = told.iter().map(|event| event.time).collect();
    assert!(times.iter().all(Option::is_some), "{told:#?}");
    for event in &told {
        assert_eq!(event.container, web.id, "{event:?}");
        let attribute = |name: &str| event.attributes.get(name).map(String::as_str);
        assert_eq!(attribute("name"), Some(web.name.as_str()), "{event:?}");
        assert_eq!(attribute("image"), Some("localhost/longshore-fixture:1"), "{event:?}");
        assert_eq!(attribute("colour"), Some("red"), "{event:?}");
        assert_eq!(attribute("exitCode"), (event.action == "die").then_some("3"), "{event:?}");
        let own =
            |name: &String| name.starts_with("com.docker.compose.") || name.starts_with("io.longshore.");
        assert!(!event.attributes.keys().any(own), "{event:?}");
    }
    Ok(())
}

async fn only_services_that_are_named_are_told(case: Case) -> Outcome {
    let project = case.project(TEXT)?;
    let mut events = case.runtime().events(&Target::from(&project).services(["db"])).await?;
    // By its name alone nobody knows what there will be.
    let by_name = Target::name(project.name.clone()).services(["db"]);
    let mut others = case.runtime().events(&by_name).await?;
    case.up(&project).await?;
    case.down(&project).await?;
    for events in [&mut events, &mut others] {
        let told = until(events, "db", "destroy").await?;
        let services: BTreeSet<&str> = told.iter().map(|event| event.service.as_str()).collect();
        assert_eq!(services, ["db"].into(), "{told:#?}");
    }
    Ok(())
}

async fn one_offs_are_not_told(case: Case) -> Outcome {
    let project = case.project(TEXT)?;
    let mut events = case.runtime().events(&Target::from(&project)).await?;
    let mut options = RunOptions::new("db");
    options.talk = RunTalk::Detached;
    let once = case.runtime().run(&project, &options, &Call::default()).await?;
    case.up(&project).await?;
    let told = until(&mut events, "db", "start").await?;
    assert!(told.iter().all(|event| event.container != once.id), "{told:#?}");
    Ok(())
}

async fn an_unknown_service_has_no_events(case: Case) -> Outcome {
    let project = case.project(TEXT)?;
    let nobody = Target::from(&project).services(["nobody"]);
    let error = refused(case.runtime().events(&nobody).await.map(drop))?;
    assert_eq!(error, Error::NotFound { kind: ResourceKind::Service, name: "nobody".to_owned() });
    Ok(())
}
