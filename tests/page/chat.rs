//! Talking to agents.

use longshore_tests::{
    Outcome,
    browser::Page,
    house::{Engine, House, Trials},
    house_trials,
};
use thirtyfour::Key;

use crate::wire::Wire;

pub(crate) fn tests(trials: &mut Trials) {
    house_trials!(trials, Engine::ALL;
        an_answer_comes_word_by_word_and_is_stopped,
    );
    house_trials!(trials, [Engine::Mock];
        markdown_is_shown_and_harmless,
        what_fails_is_told_and_tried_again,
        an_answer_goes_on_while_something_else_is_looked_at,
    );
}

const LAST: &str = ".message.assistant:last-child .text";

async fn say(page: &Page, text: &str) -> Outcome {
    page.fill("#message", text).await?;
    page.press("Send").await
}

async fn an_answer_comes_word_by_word_and_is_stopped(house: &mut House) -> Outcome {
    house.start().await?;
    house.agent_with("scout", "echo?delay-ms=20").await?;
    let page = Page::open(house).await?;
    page.click("[data-agent=scout] h3 a").await?;
    say(&page, "good morning").await?;
    page.says(LAST, "echo: good morning").await?;
    page.until("document.querySelector('form.say button').textContent === 'Send'").await?;
    page.says(".message.user", "good morning").await?;
    // It is shown before it has ended, and what came before the stop stays.
    say(&page, "!count 1000000").await?;
    page.says(LAST, "1 2 3").await?;
    page.press("Stop").await?;
    page.until("document.querySelector('form.say button').textContent === 'Send'").await?;
    let said = page.texts(LAST).await?;
    assert!(said.first().is_some_and(|said| said.starts_with("1 2 3")), "{said:?}");
    // The agent was told to stop.
    house.until_logged("scout", "chat cancelled").await?;
    say(&page, "!clients").await?;
    page.until(&format!("document.querySelector('{LAST}').textContent === '0'")).await?;
    // Enter sends, and with Shift begins a line.
    page.fill("#message", "one").await?;
    page.run("document.querySelector('#message').focus()").await?;
    page.shift(Key::Enter).await?;
    page.type_text("two").await?;
    page.keys(&[Key::Enter]).await?;
    page.says(LAST, "echo: one").await?;
    page.says(LAST, "two").await?;
    page.picture(&format!("chat-{}", house.engine.name())).await?;
    page.close().await
}

async fn markdown_is_shown_and_harmless(house: &mut House) -> Outcome {
    house.start().await?;
    house.agent("scout").await?;
    let page = Page::open(house).await?;
    page.view("#/agents/scout/chat").await?;
    let text = concat!(
        "Look:\n\n# A heading\n\nSome **strong** and *soft* words, `code < 1`, [a link](https://example.invalid/x?a=1&b=2) and ",
        "[a bad one](javascript:wrong.push(1)) and [another](data:text/html,x) <img src=x onerror=wrong.push(2)> ",
        "<script>wrong.push(3)</script> https://example.invalid/plain.\n\n- one\n- two\n  more\n\n1. first\n\n> said\n\n```rust\nfn main() { \"</code>\" }\n```\n\n---\n",
    );
    page.until("document.querySelector('#message')?.disabled === false").await?;
    // As pasted: keys would send it at its first line.
    page.run(&format!("document.querySelector('#message').value = {}", serde_json::json!(text))).await?;
    page.press("Send").await?;
    page.says(LAST, "fn main()").await?;
    page.until("document.querySelector('form.say button').textContent === 'Send'").await?;
    let found = page.run(&format!(
        "const text = document.querySelector('{LAST}'); const all = (css) => [...text.querySelectorAll(css)].map((one) => one.textContent);
         return {{ h3: all('h3'), strong: all('strong'), em: all('em'), li: all('li').length, quote: all('blockquote'), code: all('code'), links: [...text.querySelectorAll('a')].map((one) => one.href), others: all('img, script, iframe, style, [onerror]').length, rule: all('hr').length }}"
    )).await?;
    assert_eq!(
        found,
        serde_json::json!({
            "h3": ["A heading"], "strong": ["strong"], "em": ["soft"], "li": 3, "quote": ["said"],
            "code": ["code < 1", "fn main() { \"</code>\" }"],
            "links": ["https://example.invalid/x?a=1&b=2", "https://example.invalid/plain"], "others": 0, "rule": 1,
        })
    );
    page.says(LAST, "<script>wrong.push(3)</script>").await?;
    page.picture("markdown").await?;
    page.close().await
}

async fn what_fails_is_told_and_tried_again(house: &mut House) -> Outcome {
    house.start().await?;
    house.agent_with("scout", "echo?delay-ms=20").await?;
    let wire = Wire::to(house.url()?).await?;
    let page = Page::at(&wire.by(house.link()?)?).await?;
    page.connected().await?;
    page.view("#/agents/scout/chat").await?;
    say(&page, "!count 1000000").await?;
    page.says(LAST, "1 2 3").await?;
    wire.cut();
    page.until("document.querySelector('[role=alert] .panel.error')").await?;
    page.says("#connection", "does not answer").await?;
    page.picture("chat-error").await?;
    wire.mend();
    page.until("document.querySelector('#connection').textContent === ''").await?;
    page.press("Try again").await?;
    page.until("!document.querySelector('[role=alert] .panel.error')").await?;
    page.says(LAST, "1 2 3").await?;
    assert_eq!(page.texts(".message").await?.len(), 2);
    page.press("Stop").await?;
    // An agent that ends while it answers.
    say(&page, "!crash 9").await?;
    page.until("document.querySelector('[role=alert] .panel.error')").await?;
    page.until("document.querySelector('#message').placeholder === 'The agent does not run'").await?;
    page.close().await
}

async fn an_answer_goes_on_while_something_else_is_looked_at(house: &mut House) -> Outcome {
    house.start().await?;
    house.agent_with("scout", "echo?delay-ms=5").await?;
    let page = Page::open(house).await?;
    page.view("#/agents/scout/chat").await?;
    say(&page, "!count 60").await?;
    page.says(LAST, "1 2").await?;
    page.click(".tabs a[href$=log]").await?;
    page.until("document.querySelector('.log .line')").await?;
    page.click(".tabs a[href$=chat]").await?;
    page.says(LAST, "59 60").await?;
    assert_eq!(page.texts(".message").await?.len(), 2);
    page.close().await
}
