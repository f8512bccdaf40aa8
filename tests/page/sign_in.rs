//! Signing in, and who cannot.

use longshore_tests::{
    Failed, Outcome,
    browser::Page,
    house::{Engine, House, Trials},
    house_trials,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

pub(crate) fn tests(trials: &mut Trials) {
    house_trials!(trials, [Engine::Mock];
        the_link_works_once,
        the_token_signs_in,
        another_site_cannot_use_it,
        nothing_comes_from_elsewhere,
    );
}

async fn the_link_works_once(house: &mut House) -> Outcome {
    house.start().await?;
    house.agent("scout").await?;
    let page = Page::open(house).await?;
    // The code is not left in the address.
    assert_eq!(page.run("return location.href").await?, format!("{}/", house.url()?));
    assert_eq!(page.run("return document.cookie").await?, "");
    page.press("Stop scout").await?;
    page.says("[data-agent=scout] .state", "stopped").await?;
    page.close().await?;
    let other = Page::at(house.link()?).await?;
    other.connected().await?;
    other.press("Start scout").await?;
    other.says("dialog[open]", "Sign in").await?;
    other.picture("sign-in").await?;
    // Looking is allowed.
    other.press("Only look").await?;
    other.says("[data-agent=scout] .state", "stopped").await?;
    // A log is not.
    other.view("#/agents/scout/log").await?;
    other.says("dialog[open]", "Sign in").await?;
    other.close().await
}

async fn the_token_signs_in(house: &mut House) -> Outcome {
    house.start().await?;
    house.agent("scout").await?;
    let page = Page::at(house.url()?).await?;
    page.connected().await?;
    page.press("Stop scout").await?;
    page.fill("#token", "a wrong one").await?;
    page.press("Sign in").await?;
    page.says("dialog[open] .error", "token").await?;
    page.fill("#token", house.token()?).await?;
    page.press("Sign in").await?;
    page.until("!document.querySelector('dialog')").await?;
    page.connected().await?;
    page.press("Stop scout").await?;
    page.says("[data-agent=scout] .state", "stopped").await?;
    page.close().await
}

/// A page of another server of this computer: to a browser it is the same site, and is sent the same cookies.
async fn elsewhere(html: String) -> Result<String, Failed> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/", listener.local_addr()?);
    tokio::spawn(async move {
        while let Ok((mut browser, _)) = listener.accept().await {
            let _ = browser.read(&mut [0; 4096]).await;
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\ncontent-length";
            let _ = browser.write_all(format!("{head}: {}\r\n\r\n{html}", html.len()).as_bytes()).await;
        }
    });
    Ok(url)
}

async fn another_site_cannot_use_it(house: &mut House) -> Outcome {
    house.start().await?;
    house.agent("scout").await?;
    let page = Page::open(house).await?;
    let own = house.url()?;
    let html = format!(
        "<title>elsewhere</title><script>
        window.outcomes = [];
        const tell = (outcome) => {{ outcomes.push(outcome); document.documentElement.dataset.outcomes = outcomes.length; }};
        const attempt = (name, work) => work().then((answer) => tell(`${{name}}: ${{answer.type}} ${{answer.status}}`), () => tell(`${{name}}: refused`));
        attempt('stop', () => fetch('{own}/agents/scout/stop', {{ method: 'POST', credentials: 'include' }}));
        attempt('blind', () => fetch('{own}/agents/scout/stop', {{ method: 'POST', credentials: 'include', mode: 'no-cors' }}));
        attempt('delete', () => fetch('{own}/agents/scout', {{ method: 'DELETE', credentials: 'include' }}));
        attempt('read', () => fetch('{own}/agents', {{ credentials: 'include' }}));
        const events = new EventSource('{own}/events', {{ withCredentials: true }});
        events.onerror = () => {{ tell('events: refused'); events.close(); }};
        events.addEventListener('snapshot', () => tell('events: told'));
        addEventListener('load', () => {{
            const frame = document.createElement('iframe');
            frame.name = 'frame';
            frame.onload = () => {{ try {{ tell(`frame: ${{frame.contentDocument ? 'readable' : 'closed'}}`); }} catch {{ tell('frame: closed'); }} }};
            document.body.append(frame);
            const form = document.createElement('form');
            Object.assign(form, {{ method: 'POST', action: '{own}/agents/scout/stop', target: 'frame' }});
            document.body.append(form);
            form.submit();
        }});
        </script><body>"
    );
    page.goto(&elsewhere(html).await?).await?;
    page.until("document.title === 'elsewhere'").await?;
    page.until("['stop', 'blind', 'delete', 'read', 'events'].every((name) => outcomes.some((one) => one.startsWith(`${name}:`)))")
        .await?;
    let outcomes = page.run("return outcomes").await?.to_string();
    for refused in ["stop: refused", "delete: refused", "read: refused", "events: refused", "blind: opaque 0"]
    {
        assert!(outcomes.contains(refused), "{refused}: {outcomes}");
    }
    assert_eq!(house.client()?.agent("scout").await?.state, longshore_server::api::AgentState::Running);
    // Nor can it be put into a frame, where clicks are stolen.
    let framed = elsewhere(format!("<title>framed</title><iframe src='{own}/'></iframe>")).await?;
    page.goto(&framed).await?;
    page.until("document.title === 'framed'").await?;
    assert_eq!(page.run("return frames.length && (() => { try { return frames[0].document.body.textContent } catch { return 'closed' } })()").await?, "closed");
    Ok(())
}

async fn nothing_comes_from_elsewhere(house: &mut House) -> Outcome {
    house.start().await?;
    let page = Page::open(house).await?;
    let all = page.run("return performance.getEntriesByType('resource').map((one) => one.name).filter((one) => !one.startsWith(location.origin))").await?;
    assert_eq!(all, serde_json::json!([]));
    let response = reqwest::get(format!("{}/", house.url()?)).await?;
    let policy = response.headers()["content-security-policy"].to_str()?.to_owned();
    assert!(
        policy.starts_with("default-src 'none'") && !policy.contains("unsafe") && !policy.contains('*'),
        "{policy}"
    );
    let html = response.text().await?;
    assert!(!html.contains("style=") && !html.contains("<style") && !html.contains("onclick"), "{html}");
    assert_eq!(html.matches("<script").count(), html.matches(" src=\"/page/").count(), "{html}");
    // The policy holds in the browser too.
    page.run("const inline = document.createElement('script'); inline.textContent = 'window.ran = true'; document.body.append(inline)").await?;
    page.until("window.wrong.length === 1").await?;
    assert_eq!(page.run("return window.ran ?? false").await?, false);
    page.run("window.wrong.length = 0").await?;
    page.close().await
}
