//! How it looks: in light and dark, on a phone, to a screen reader.

use longshore::mock::Fault;
use longshore_tests::{
    Outcome,
    browser::Page,
    house::{Engine, House, Trials, explained},
    house_trials,
};

pub(crate) fn tests(trials: &mut Trials) {
    house_trials!(trials, [Engine::Mock];
        every_state_is_accessible,
        a_set_up_is_accessible,
        one_that_came_in_part_is_loaded_again,
    );
}

/// Looks at what is shown in light and dark, wide and narrow, and keeps pictures of it.
async fn look(page: &Page, name: &str) -> Outcome {
    for dark in [false, true] {
        page.dark(dark).await?;
        for phone in [false, true] {
            page.phone(phone).await?;
            let theme = if dark { "dark" } else { "light" };
            let size = if phone { "-phone" } else { "" };
            let full = format!("{name}-{theme}{size}");
            page.picture(&full).await?;
            page.is_accessible(&full).await?;
        }
    }
    page.phone(false).await?;
    page.dark(false).await
}

async fn every_state_is_accessible(house: &mut House) -> Outcome {
    house.start().await?;
    let page = Page::open(house).await?;
    look(&page, "look-empty").await?;
    house.agent("librarian").await?;
    house.agent_with("scout", "echo?delay-ms=1").await?;
    house.client()?.stop("librarian", true).await.map_err(explained)?;
    let broken = house.wish("broken", "echo?crash-after-ms=100&unhealthy");
    let _ = house.client()?.create(&broken, true).await;
    page.says("[data-agent=broken] .state", "failed").await?;
    look(&page, "look-agents").await?;
    page.press("Delete scout").await?;
    look(&page, "look-delete").await?;
    page.press("Keep it").await?;
    page.view("#/create").await?;
    page.until("document.querySelector('#field-provider').options.length > 0").await?;
    page.press("Create").await?;
    page.until("document.querySelector('#field-name-fault').textContent").await?;
    look(&page, "look-create").await?;
    page.view("#/agents/scout/chat").await?;
    page.fill("#message", "**Good morning.** Is there a `table`?").await?;
    page.press("Send").await?;
    page.says(".message.assistant", "table").await?;
    page.until("document.querySelector('form.say button').textContent === 'Send'").await?;
    look(&page, "look-chat").await?;
    page.view("#/agents/scout/log").await?;
    page.until("document.querySelector('.log .line')").await?;
    house.says("scout", "!flood 100").await?;
    page.says(".log .line:last-child", "flood 0000000100").await?;
    page.fill(".tools input", "00042").await?;
    look(&page, "look-log").await?;
    page.view("#/projects").await?;
    page.until("document.querySelectorAll('main .node').length >= 3").await?;
    look(&page, "look-projects").await?;
    page.close().await?;
    let visitor = Page::at(house.url()?).await?;
    visitor.connected().await?;
    visitor.press("Stop scout").await?;
    visitor.says("dialog[open]", "Sign in").await?;
    look(&visitor, "look-sign-in").await?;
    visitor.close().await
}

async fn a_set_up_is_accessible(house: &mut House) -> Outcome {
    let machine = house.in_machine(1)?;
    let full = longshore::Error::NotPermitted { what: "the disk".into(), reason: "it is full".into() };
    house.mock()?.script("machine_init", 1, Fault::Fail(full));
    house.start().await?;
    let page = Page::open(house).await?;
    look(&page, "look-set-up-needed").await?;
    page.press("Set it up").await?;
    page.says("#runtime .error", "it is full").await?;
    look(&page, "look-set-up-failed").await?;
    machine.hasten(2);
    page.press("Try again").await?;
    page.until("document.querySelector('#runtime progress')?.value > 0").await?;
    page.picture("look-set-up").await?;
    page.is_accessible("a set-up").await?;
    page.press("Cancel").await?;
    page.until("!document.querySelector('#runtime progress')").await?;
    page.close().await
}

async fn one_that_came_in_part_is_loaded_again(house: &mut House) -> Outcome {
    house.start().await?;
    let page = Page::open(house).await?;
    page.keep_away(&["*/page/boot.js", "*/page/dom.js"]).await?;
    page.goto(house.url()?).await?;
    // It is not said to who has it before long.
    let shown = "getComputedStyle(document.querySelector('.late')).visibility";
    assert_eq!(page.run(&format!("return {shown}")).await?, "hidden");
    page.run("document.getAnimations().forEach((one) => one.finish())").await?;
    assert_eq!(page.run(&format!("return {shown}")).await?, "visible");
    look(&page, "look-in-part").await?;
    page.keep_away(&[]).await?;
    page.connected().await?;
    page.close().await
}
