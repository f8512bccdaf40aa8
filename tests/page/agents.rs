//! Agents: created, watched, started, stopped, deleted.

use longshore::{Call, ContainerRuntime, StopOptions, Target, mock::Fault};
use longshore_server::api::AgentState;
use longshore_tests::{
    Outcome,
    browser::Page,
    house::{Engine, House, Trials, explained},
    house_trials,
};
use thirtyfour::Key;

use crate::wire::Wire;

pub(crate) fn tests(trials: &mut Trials) {
    house_trials!(trials, Engine::ALL;
        one_is_created_used_and_deleted,
        what_is_stopped_by_hand_is_seen,
        one_that_ends_says_why,
    );
    house_trials!(trials, [Engine::Mock];
        what_is_wrong_is_marked,
        everything_is_done_from_the_keyboard,
        two_tabs_show_the_same,
        a_broken_connection_is_told_and_mended,
        what_the_browser_breaks_off_is_asked_again,
        the_page_outlives_the_server,
        what_is_pulled_is_told,
        an_image_that_cannot_be_had_is_told,
        names_are_no_markup,
    );
}

const STATE: &str = "[data-agent=scout] .state";

/// Fills the form in, and sends it.
async fn create(page: &Page, name: &str, model: &str) -> Outcome {
    page.click("a[href='#/create']").await?;
    page.until("document.querySelector('#field-provider').options.length > 0").await?;
    page.fill("#field-name", name).await?;
    page.choose("#field-template", "test").await?;
    page.choose("#field-provider", "none").await?;
    page.fill("#field-model", model).await?;
    page.press("Create").await
}

async fn one_is_created_used_and_deleted(house: &mut House) -> Outcome {
    house.start().await?;
    let page = Page::open(house).await?;
    page.says("main", "There is no agent yet.").await?;
    create(&page, "scout", "echo").await?;
    page.says("#notices", "scout is being created").await?;
    page.says(STATE, "running").await?;
    let agent = house.client()?.agent("scout").await?;
    let port = agent.port.ok_or("it has no port")?;
    for text in [format!("port {port}"), "localhost/longshore-agent:1".to_owned(), "none, echo".to_owned()] {
        page.says("[data-agent=scout]", &text).await?;
    }
    page.until("/^\\d+ s$/.test(document.querySelector('[data-agent=scout] .uptime').textContent)").await?;
    page.picture(&format!("agents-{}", house.engine.name())).await?;

    page.press("Stop scout").await?;
    page.says(STATE, "stopped").await?;
    page.press("Start scout").await?;
    page.says(STATE, "running").await?;
    let begun = house.client()?.agent("scout").await?.started_at;
    page.press("Restart scout").await?;
    house.until("scout", |agent| agent.state == AgentState::Running && agent.started_at != begun).await?;
    page.says(STATE, "running").await?;

    // Keeping it is what Escape, the other button, and Enter on what has the focus do.
    page.press("Delete scout").await?;
    page.says("dialog[open]", "cannot be undone").await?;
    page.picture(&format!("delete-{}", house.engine.name())).await?;
    page.press("Keep it").await?;
    page.press("Delete scout").await?;
    page.keys(&[Key::Escape]).await?;
    page.until("!document.querySelector('dialog')").await?;
    assert_eq!(house.client()?.agent("scout").await?.state, AgentState::Running);
    page.press("Delete scout").await?;
    page.press("Delete").await?;
    page.says("main", "There is no agent yet.").await?;
    assert_eq!(house.containers("scout").await?, Vec::<String>::new());
    page.close().await
}

async fn what_is_stopped_by_hand_is_seen(house: &mut House) -> Outcome {
    house.start().await?;
    house.agent("scout").await?;
    let page = Page::open(house).await?;
    page.says(STATE, "running").await?;
    let target = Target::name(house.project("scout")?);
    house.runtime.stop(&target, &StopOptions::default(), &Call::default()).await?;
    page.until(&format!("document.querySelector('{STATE}').classList.contains('stopped') || document.querySelector('{STATE}').classList.contains('failed')")).await?;
    page.press("Start scout").await?;
    page.says(STATE, "running").await?;
    page.close().await
}

async fn one_that_ends_says_why(house: &mut House) -> Outcome {
    house.start().await?;
    let page = Page::open(house).await?;
    create(&page, "scout", "echo?crash-after-ms=100&unhealthy").await?;
    page.says(STATE, "failed").await?;
    page.says("[data-agent=scout] .panel.error p", "exit code 3").await?;
    page.until("document.querySelector('[data-agent=scout] pre.tail').textContent.length > 10").await?;
    page.picture(&format!("failed-{}", house.engine.name())).await?;
    page.press("Delete scout").await?;
    page.press("Delete").await?;
    page.says("main", "There is no agent yet.").await?;
    page.close().await
}

async fn what_is_wrong_is_marked(house: &mut House) -> Outcome {
    house.start().await?;
    house.agent("scout").await?;
    let page = Page::open(house).await?;
    create(&page, "Not a name", "").await?;
    page.says("#field-name-fault", "name").await?;
    page.until("document.querySelector('#field-model-fault').textContent").await?;
    let focus = page.run("return [document.activeElement.id, document.querySelector('#field-name').getAttribute('aria-invalid'), document.querySelector('#field-provider').getAttribute('aria-invalid')]").await?;
    assert_eq!(focus, serde_json::json!(["field-name", "true", "false"]));
    page.picture("create-faults").await?;
    page.fill("#field-name", "scout").await?;
    page.fill("#field-model", "echo").await?;
    page.press("Create").await?;
    page.says("#field-name-fault", "already").await?;
    page.until("!document.querySelector('#field-model-fault').textContent").await?;
    // A provider that needs a key, and one that is asked elsewhere.
    page.choose("#field-provider", "keyed").await?;
    page.fill("#field-name", "keyed").await?;
    page.press("Create").await?;
    page.until("document.querySelector('#field-api_key-fault').textContent").await?;
    page.fill("#field-api_key", "k3y-that-nobody-sees").await?;
    page.press("Create").await?;
    page.says("[data-agent=keyed] .state", "running").await?;
    let html = page.run("return document.documentElement.outerHTML").await?;
    assert!(!html.to_string().contains("k3y-that"));
    page.close().await
}

async fn everything_is_done_from_the_keyboard(house: &mut House) -> Outcome {
    house.start().await?;
    let page = Page::open(house).await?;
    // The first stop is the way past the head of the page.
    page.keys(&[Key::Tab]).await?;
    page.until("document.activeElement.className === 'skip'").await?;
    page.keys(&[Key::Enter, Key::Tab, Key::Enter]).await?;
    page.until("document.activeElement.id === 'field-name' && document.querySelector('#field-provider').options.length > 0").await?;
    page.type_text("scout").await?;
    page.keys(&[Key::Tab]).await?;
    page.type_text("Test").await?;
    page.keys(&[Key::Tab]).await?;
    page.type_text("none").await?;
    page.keys(&[Key::Tab]).await?;
    page.type_text("echo").await?;
    page.keys(&[Key::Enter]).await?;
    page.says(STATE, "running").await?;
    // From the view's head: create, the name, stop, restart, delete.
    page.until("document.activeElement.id === 'main'").await?;
    page.keys(&[Key::Tab, Key::Tab, Key::Tab]).await?;
    page.until("document.activeElement.getAttribute('aria-label') === 'Stop scout'").await?;
    page.keys(&[Key::Enter]).await?;
    page.says(STATE, "stopped").await?;
    // The focus is not lost when what had it goes.
    page.until("document.querySelector('[data-agent=scout]').contains(document.activeElement)").await?;
    page.run("document.querySelector('[aria-label=\"Delete scout\"]').focus()").await?;
    page.keys(&[Key::Enter]).await?;
    page.until("document.activeElement.textContent === 'Keep it'").await?;
    page.keys(&[Key::Enter]).await?;
    page.until("document.activeElement.getAttribute('aria-label') === 'Delete scout'").await?;
    page.close().await
}

async fn two_tabs_show_the_same(house: &mut House) -> Outcome {
    house.start().await?;
    let page = Page::open(house).await?;
    page.tab(house.url()?).await?;
    page.connected().await?;
    create(&page, "scout", "echo").await?;
    page.says(STATE, "running").await?;
    page.look_at(0).await?;
    page.says(STATE, "running").await?;
    page.press("Stop scout").await?;
    page.says(STATE, "stopped").await?;
    page.look_at(1).await?;
    page.says(STATE, "stopped").await?;
    page.close().await
}

/// As when the computer's network changes, which no test can have at the moment that it wants.
async fn what_the_browser_breaks_off_is_asked_again(house: &mut House) -> Outcome {
    house.start().await?;
    let page = Page::open(house).await?;
    page.run(
        "const fetched = fetch;
         const broken = new Set();
         window.fetch = (path, options) => {
             const request = `${options?.method} ${path}`;
             if (broken.has(request)) return fetched(path, options);
             broken.add(request);
             return Promise.reject(new TypeError('network changed'));
         }",
    )
    .await?;
    create(&page, "scout", "echo").await?;
    page.says(STATE, "running").await?;
    page.press("Stop scout").await?;
    page.says(STATE, "stopped").await?;
    page.press("Delete scout").await?;
    page.press("Delete").await?;
    page.says("main", "There is no agent yet.").await?;
    assert_eq!(page.texts("#notices .error").await?, Vec::<String>::new());
    page.close().await
}

async fn a_broken_connection_is_told_and_mended(house: &mut House) -> Outcome {
    house.start().await?;
    house.agent("scout").await?;
    let wire = Wire::to(house.url()?).await?;
    let page = Page::at(&wire.by(house.link()?)?).await?;
    page.says(STATE, "running").await?;
    wire.cut();
    page.says("#connection", "does not answer").await?;
    page.press("Stop scout").await?;
    page.says("#notices .error", "the server does not answer").await?;
    page.picture("no-connection").await?;
    house.client()?.stop("scout", true).await.map_err(explained)?;
    wire.mend();
    page.says(STATE, "stopped").await?;
    page.until("document.querySelector('#connection').textContent === ''").await?;
    page.close().await
}

async fn the_page_outlives_the_server(house: &mut House) -> Outcome {
    house.start().await?;
    house.agent("scout").await?;
    let page = Page::open(house).await?;
    page.says(STATE, "running").await?;
    house.config.serve.listen = Some(house.url()?.trim_start_matches("http://").parse()?);
    house.stop().await?;
    page.says("#connection", "Trying again").await?;
    house.start().await?;
    page.says(STATE, "running").await?;
    page.until("document.querySelector('#connection').textContent === ''").await?;
    // It is still signed in.
    page.press("Stop scout").await?;
    page.says(STATE, "stopped").await?;
    page.close().await
}

async fn what_is_pulled_is_told(house: &mut House) -> Outcome {
    let folder = house.template_with("localhost/longshore-agent:1", "example.invalid/agent:1")?;
    house.config.serve.templates.insert("test".to_owned(), folder);
    house.start().await?;
    let page = Page::open(house).await?;
    create(&page, "scout", "echo").await?;
    // At once: it takes no longer than half a second.
    page.until("/pulling the image, \\d.* of 8.4 MB/.test(document.querySelector('[data-agent=scout] .progress').textContent) && document.querySelector('[data-agent=scout] progress').value > 0")
        .await?;
    page.picture("pulling").await?;
    page.says(STATE, "running").await?;
    page.until("!document.querySelector('[data-agent=scout] .progress')").await?;
    page.close().await
}

async fn an_image_that_cannot_be_had_is_told(house: &mut House) -> Outcome {
    let folder = house.template_with("localhost/longshore-agent:1", "example.invalid/agent:1")?;
    house.config.serve.templates.insert("test".to_owned(), folder);
    house.start().await?;
    let error = longshore::Error::Image {
        image: "example.invalid/agent:1".to_owned(),
        reason: "<b>manifest</b> unknown".to_owned(),
    };
    house.mock()?.script("pull", 1, Fault::Fail(error));
    let page = Page::open(house).await?;
    create(&page, "scout", "echo").await?;
    page.says(STATE, "failed").await?;
    page.says("[data-agent=scout] .panel.error", "<b>manifest</b> unknown").await?;
    page.press("Start scout").await?;
    page.says(STATE, "running").await?;
    page.until("!document.querySelector('[data-agent=scout] .panel.error')").await?;
    page.close().await
}

async fn names_are_no_markup(house: &mut House) -> Outcome {
    house.start().await?;
    let page = Page::open(house).await?;
    create(&page, "scout", "<img src=x onerror=wrong.push(1)>\"'&amp;").await?;
    page.says("[data-agent=scout]", "<img src=x onerror=wrong.push(1)>\"'&amp;").await?;
    for hash in [
        "#/agents/%3Cimg%20src%3Dx%20onerror%3Dwrong.push(2)%3E",
        "#/agents/__proto__/log",
        "#/agents/%E0%A4%A/log",
        "#/agents/a%2F..%2F..%2Fshutdown/log",
    ] {
        page.view(hash).await?;
        page.until("document.querySelector('main').textContent").await?;
    }
    assert_eq!(page.run("return document.querySelectorAll('main img').length").await?, 0);
    page.close().await
}
