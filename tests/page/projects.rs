//! Compose projects that are ours.

use compose_file::{Project, ProjectName};
use longshore::{Call, ContainerRuntime, DownOptions, StopOptions, Target, UpOptions};
use longshore_tests::{
    Failed, IMAGE, Outcome,
    browser::Page,
    house::{Engine, House, Trials},
    house_trials,
};

pub(crate) fn tests(trials: &mut Trials) {
    house_trials!(trials, Engine::ALL; those_of_ours_are_drawn_as_they_come_up);
}

/// Three that wait for each other, one of which is not well for a while.
fn project(house: &House, name: &str) -> Result<Project, Failed> {
    let text = format!(
        "services:
  db:
    image: {IMAGE}
    command: [serve, --port, '8080', --healthy-after-ms, '4000']
    healthcheck: {{ test: [CMD, /fixture, health], interval: 200ms, retries: 100 }}
  api:
    image: {IMAGE}
    command: [sleep]
    depends_on: {{ db: {{ condition: service_healthy }} }}
  web:
    image: {IMAGE}
    command: [sleep]
    depends_on: [api]
"
    );
    let mut options = compose_file::LoadOptions::new(house.dir.path());
    options.project_name = Some(name.to_owned());
    Ok(compose_file::load_str("compose.yaml", &text, &options)?)
}

async fn those_of_ours_are_drawn_as_they_come_up(house: &mut House) -> Outcome {
    if let Ok(engine) = house.mock() {
        engine.fixture_image(IMAGE);
    }
    house.start().await?;
    house.agent("scout").await?;
    let page = Page::open(house).await?;
    page.view("#/projects").await?;
    let own = format!("{}shop", house.prefix);
    let project = project(house, &own)?;
    let card = format!("[aria-labelledby=project-{own}]");
    let (options, call) = (UpOptions::default(), Call::default());
    let (up, seen) = tokio::join!(house.runtime.up(&project, &options, &call), async {
        // While it comes up: what is waited for is not well yet, and what waits is not there.
        page.until(&format!("document.querySelector('{card} .node.starting')")).await?;
        Ok::<_, Failed>(())
    });
    up?;
    seen?;
    page.until(&format!("document.querySelectorAll('{card} .node.running').length === 3")).await?;
    page.says(&card, "3 of 3 run").await?;
    page.says(&card, "healthy").await?;
    assert_eq!(page.run(&format!("return document.querySelectorAll('{card} .edge').length")).await?, 2);
    let order = page.run(&format!("return [...document.querySelectorAll('{card} .node')].sort((a, b) => a.getBoundingClientRect().x - b.getBoundingClientRect().x).map((one) => one.textContent)")).await?;
    assert_eq!(order, serde_json::json!(["db", "api", "web"]));
    // An agent is one too.
    page.says("main h3", &format!("{}scout", house.prefix)).await?;
    page.picture(&format!("projects-{}", house.engine.name())).await?;
    // What others have is not shown as ours.
    let others = house.with_owner("somebody-else").await?;
    let theirs = format!("{}theirs", house.prefix);
    others.up(&self::project(house, &theirs)?, &options, &call).await?;
    // A change behind the server's back is seen, and what is drawn then has nothing of theirs.
    let target = Target::name(project.name.clone());
    house.runtime.stop(&target, &StopOptions::default(), &call).await?;
    page.says(&card, "0 of 3 run").await?;
    let mut shown = page.texts("main h3").await?;
    // Other tests have projects of the same owner.
    shown.retain(|name| name.starts_with(&house.prefix));
    assert_eq!(shown, [format!("{}scout", house.prefix), own]);
    house.runtime.down(&target, &DownOptions::default(), &call).await?;
    page.until(&format!("!document.querySelector('{card}')")).await?;
    others.down(&Target::name(ProjectName::new(theirs)?), &DownOptions::default(), &call).await?;
    page.close().await
}
