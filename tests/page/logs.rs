//! Logs.

use longshore_tests::{
    Failed, Outcome,
    browser::Page,
    house::{Engine, House, Trials, explained},
    house_trials,
};
use thirtyfour::Key;

use crate::wire::Wire;

pub(crate) fn tests(trials: &mut Trials) {
    house_trials!(trials, Engine::ALL;
        lines_come_and_can_be_paused,
        a_pause_holds_while_lines_come,
        a_hundred_thousand_lines_are_all_there,
        colours_are_shown_and_markup_is_not,
    );
    house_trials!(trials, [Engine::Mock];
        a_reconnect_loses_and_repeats_nothing,
        it_is_searched_and_downloaded,
        it_goes_on_when_the_agent_is_started_again,
    );
}

/// What the log shows, when all of it is drawn.
const LINES: &str = "[...document.querySelectorAll('.log .line')].map((one) => one.textContent)";

async fn log_of_scout(page: &Page) -> Outcome {
    page.view("#/agents/scout/log").await?;
    page.until("document.querySelector('.log .line')").await?;
    Ok(())
}

async fn lines_come_and_can_be_paused(house: &mut House) -> Outcome {
    house.start().await?;
    house.agent("scout").await?;
    let page = Page::open(house).await?;
    log_of_scout(&page).await?;
    house.says("scout", "!flood 200").await?;
    page.says(".log .line:last-child", "flood 0000000200").await?;
    // The newest is in sight.
    page.until("(() => { const view = document.querySelector('.log'); return view.scrollTop + view.clientHeight >= view.scrollHeight - 20; })()").await?;
    page.press("Pause").await?;
    let seen = page.run("return document.querySelector('.log').scrollTop").await?;
    house.says("scout", "!flood 300").await?;
    page.until("document.querySelector('.log-space').offsetHeight > 20 * 500").await?;
    assert_eq!(page.run("return document.querySelector('.log').scrollTop").await?, seen);
    page.press("Go on").await?;
    page.says(".log .line:last-child", "flood 0000000300").await?;
    // Scrolling up is pausing.
    page.run("document.querySelector('.log').scrollTop = 100").await?;
    page.says(".tools button", "Go on").await?;
    page.picture(&format!("log-{}", house.engine.name())).await?;
    page.close().await
}

async fn a_hundred_thousand_lines_are_all_there(house: &mut House) -> Outcome {
    house.start().await?;
    house.agent("scout").await?;
    house.says("scout", "!flood 50000").await?;
    let page = Page::open(house).await?;
    log_of_scout(&page).await?;
    page.says(".amount", "50,002 lines").await?;
    // Each chat is a line too. Faster than a browser reads them, and more than the server keeps of it.
    house.says("scout", "!flood 50000").await?;
    page.says(".amount", "100,003 lines").await?;
    assert_eq!(page.texts(".log .missed").await?, Vec::<String>::new());
    // Whatever there is, a few are drawn.
    let drawn = page.texts(".log .line").await?.len();
    assert!(drawn < 200, "{drawn}");
    for place in [0, 1_000_000, 50_000] {
        page.run(&format!("document.querySelector('.log').scrollTop = {place}")).await?;
        page.until(&format!("(() => {{ const view = document.querySelector('.log').getBoundingClientRect(); return [...document.querySelectorAll('.log .line')].some((one) => {{ const box = one.getBoundingClientRect(); return box.top >= view.top && box.bottom <= view.bottom && one.textContent && {place} >= 0; }}); }})()")).await?;
    }
    page.close().await
}

/// A second service of the agent that says something hostile, and something coloured.
async fn colours_are_shown_and_markup_is_not(house: &mut House) -> Outcome {
    let lines = r#"\x1b[31mred\x1b[0m and \x1b[1;32mbold green\x1b[0m\nWARN it is <b>odd</b>\n<img src=x onerror=wrong.push(1)>\n{\"level\":\"error\",\"msg\":\"broken\"}\n\x1b]0;title\x07plain\x1b[2J end"#;
    let noise = format!(
        "services:\n  noise:\n    image: localhost/longshore-fixture:1\n    command: [env, LINES]\n    environment:\n      LINES: \"{lines}\"\n"
    );
    let folder = house.template_with("services:\n", &noise)?;
    house.config.serve.templates.insert("test".to_owned(), folder);
    if let Ok(engine) = house.mock() {
        engine.fixture_image(longshore_tests::IMAGE);
    }
    house.start().await?;
    house.client()?.create(&house.wish("scout", "echo"), true).await.map_err(explained)?;
    let page = Page::open(house).await?;
    log_of_scout(&page).await?;
    page.says(".log .line", "red and bold green").await?;
    page.until("document.querySelector('.log .ansi-1')?.textContent === 'red' && document.querySelector('.log .ansi-2.ansi-bold')?.textContent === 'bold green'").await?;
    page.says(".log .line.warn", "WARN it is <b>odd</b>").await?;
    page.says(".log .line.error", "broken").await?;
    page.says(".log .line", "<img src=x onerror=wrong.push(1)>").await?;
    page.until("[...document.querySelectorAll('.log .line')].some((one) => one.textContent === 'plain end')")
        .await?;
    assert_eq!(page.run("return document.querySelectorAll('.log img, .log b').length").await?, 0);
    page.picture(&format!("log-colours-{}", house.engine.name())).await?;
    page.close().await
}

async fn a_pause_holds_while_lines_come(house: &mut House) -> Outcome {
    house.start().await?;
    house.agent("scout").await?;
    let page = Page::open(house).await?;
    log_of_scout(&page).await?;
    // Some in every frame, for longer than this takes.
    house.says("scout", "!flood-rate 200000 20").await?;
    page.until("document.querySelector('.log-space').offsetHeight > 20 * 200").await?;
    // Pressed when the newest was just drawn: that it was scrolled to is told to the page afterwards.
    page.run(
        "new MutationObserver((_, observer) => {
             observer.disconnect();
             [...document.querySelectorAll('button')].find((one) => one.textContent === 'Pause').click();
         }).observe(document.querySelector('.log-space'), { attributes: true })",
    )
    .await?;
    page.says("button", "Go on").await?;
    let seen = page.run("return document.querySelector('.log').scrollTop").await?;
    let lines = page.run("return document.querySelector('.log-space').offsetHeight / 20").await?;
    page.until(&format!("document.querySelector('.log-space').offsetHeight > 20 * ({lines} + 1000)")).await?;
    assert_eq!(page.run("return document.querySelector('.log').scrollTop").await?, seen);
    page.press("Go on").await?;
    page.close().await
}

async fn a_reconnect_loses_and_repeats_nothing(house: &mut House) -> Outcome {
    house.start().await?;
    house.agent("scout").await?;
    let wire = Wire::to(house.url()?).await?;
    let page = Page::at(&wire.by(house.link()?)?).await?;
    page.connected().await?;
    log_of_scout(&page).await?;
    house.says("scout", "!flood 5").await?;
    page.says(".log .line:last-child", "flood 0000000005").await?;
    for _ in 0..3 {
        wire.cut();
        page.says(".tools", "The connection is lost").await?;
        house.says("scout", "!flood 5").await?;
        wire.mend();
        page.says_not(".tools", "The connection is lost").await?;
    }
    // With the lines of its start and of the four chats.
    page.until("document.querySelector('.log-space').offsetHeight >= 20 * 25").await?;
    let seen = page.run(&format!("return {LINES}")).await?;
    let numbers: Vec<u64> = numbers(&seen)?;
    let expected: Vec<u64> = (0..4).flat_map(|_| 1..=5).collect();
    assert_eq!(numbers, expected);
    page.close().await
}

/// The numbers of the lines of a flood, in order.
fn numbers(lines: &serde_json::Value) -> Result<Vec<u64>, Failed> {
    let lines: Vec<String> = serde_json::from_value(lines.clone())?;
    let number = |line: &String| line.strip_prefix("flood ")?.split_whitespace().next()?.parse().ok();
    Ok(lines.iter().filter_map(number).collect())
}

async fn it_is_searched_and_downloaded(house: &mut House) -> Outcome {
    house.start().await?;
    house.agent("scout").await?;
    let page = Page::open(house).await?;
    log_of_scout(&page).await?;
    house.says("scout", "!flood 2000").await?;
    page.says(".log .line:last-child", "flood 0000002000").await?;
    page.fill(".tools input", "FLOOD 00000019").await?;
    page.says(".tools", "100 of 100").await?;
    page.until("document.querySelector('.log .line.current mark')").await?;
    page.keys(&[Key::Enter]).await?;
    page.says(".tools", "1 of 100").await?;
    page.says(".log .line.current", "flood 0000001900").await?;
    page.fill(".tools input", "no such thing").await?;
    page.says(".tools", "nothing found").await?;
    page.run("window.saved = null; URL.createObjectURL = (blob) => { blob.text().then((text) => { window.saved = text; document.body.dataset.saved = '1'; }); return location.href + '#'; }").await?;
    page.run("HTMLAnchorElement.prototype.click = function () { window.file = this.download; }").await?;
    page.press("Download").await?;
    page.until("window.saved").await?;
    let saved = page.run("return [window.file, window.saved.split('\\n').filter((line) => line.includes('flood ')).length, /^\\d{4}-\\d\\d-\\d\\dT/.test(window.saved)]").await?;
    assert_eq!(saved, serde_json::json!(["scout.log", 2000, true]));
    page.close().await
}

async fn it_goes_on_when_the_agent_is_started_again(house: &mut House) -> Outcome {
    house.start().await?;
    house.agent("scout").await?;
    let page = Page::open(house).await?;
    log_of_scout(&page).await?;
    house.client()?.stop("scout", true).await.map_err(explained)?;
    page.says(".tools", "does not run").await?;
    house.client()?.start("scout", true).await.map_err(explained)?;
    page.says_not(".tools", "does not run").await?;
    house.says("scout", "!flood 5").await?;
    page.says(".log .line:last-child", "flood 0000000005").await?;
    page.close().await
}
