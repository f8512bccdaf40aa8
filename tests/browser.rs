//! A real browser, and what is done and seen in it.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use thirtyfour::{
    By, ChromiumLikeCapabilities, DesiredCapabilities, Key, WebDriver,
    error::{WebDriverError, WebDriverErrorInner},
};

use crate::{Failed, Outcome, house::House, is_required, variable};

/// How long the page may take to become so, on a machine that has much else to do. Less than a whole test may: what is there instead is told.
const PATIENCE: Duration = Duration::from_secs(90);

/// How often a document may go away under a question: the page loads itself again when a file did not come.
const RELOADS: u32 = 8;

/// Whether nothing of the page came, nor the file that would have loaded it again: there is a link then.
const CAME_IN_PART: &str =
    "document.querySelector('.late') && wrong.some((words) => words.endsWith('/page/boot.js does not load'))
        && wrong.some((words) => words.endsWith('/page/main.js does not load'))";

/// The driver of browsers: one for all tests of this program.
#[derive(Debug)]
struct Driver {
    url: String,
    child: Child,
}

static DRIVER: Mutex<Option<Driver>> = Mutex::new(None);

/// Where the driver listens; it is started for the first who asks.
fn driver() -> Result<String, Failed> {
    let mut known = DRIVER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(driver) = &*known {
        return Ok(driver.url.clone());
    }
    let mut child = Command::new("chromedriver")
        .args(["--port=0"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| Failed::NotHere(format!("chromedriver: {error}")))?;
    let mut lines = BufReader::new(child.stdout.take().ok_or("no stdout")?).lines();
    let port = loop {
        let line = lines.next().ok_or("chromedriver ended")??;
        if let Some((_, rest)) = line.split_once("started successfully on port ") {
            break rest.trim_end_matches('.').to_owned();
        }
    };
    // What nobody reads would stop it.
    thread::spawn(move || lines.for_each(drop));
    let url = format!("http://127.0.0.1:{port}");
    *known = Some(Driver { url: url.clone(), child });
    Ok(url)
}

/// Ends the driver, and with it the browsers that it started.
pub fn end() {
    if let Some(mut driver) = DRIVER.lock().unwrap_or_else(PoisonError::into_inner).take() {
        let _ = Command::new("kill").arg(driver.child.id().to_string()).status();
        let _ = driver.child.wait();
    }
}

/// What every document of a browser has before its own scripts: what goes wrong in it is kept.
const WATCHER: &str = r#"
    window.wrong = [];
    addEventListener("error", (event) => wrong.push(event.message || `${event.target?.src || event.target?.href} does not load`), true);
    addEventListener("unhandledrejection", (event) => wrong.push(`unhandled: ${event.reason}`));
    addEventListener("securitypolicyviolation", (event) => wrong.push(`${event.violatedDirective}: ${event.blockedURI}`));
"#;

const IN_PART: &str = "the page came in part";

fn is_of_a_document_that_went(error: &WebDriverError) -> bool {
    let said = error.to_string();
    ["document unloaded", "aborted by navigation"].iter().any(|words| said.contains(words))
}

/// A browser of a test's own, that looks at the page.
#[derive(Debug)]
pub struct Page {
    driver: WebDriver,
}

impl Page {
    /// A browser that opens the link of the house's server, and waits until the page knows all.
    pub async fn open(house: &House) -> Result<Self, Failed> {
        let page = Self::at(house.link()?).await?;
        page.connected().await?;
        Ok(page)
    }

    /// A browser that opens that.
    pub async fn at(url: &str) -> Result<Self, Failed> {
        let driver = match driver() {
            Err(Failed::NotHere(reason)) if is_required("browser") => return Err(reason.into()),
            driver => driver?,
        };
        let mut wanted = DesiredCapabilities::chrome();
        // The last two are for a root user and for small /dev/shm, as in containers.
        for flag in [
            "--headless=new",
            "--window-size=1100,800",
            "--hide-scrollbars",
            "--no-sandbox",
            "--disable-dev-shm-usage",
        ] {
            wanted.add_arg(flag)?;
        }
        let driver = WebDriver::new(driver, wanted).await?;
        driver.set_script_timeout(PATIENCE).await?;
        let page = Self { driver };
        page.tell("Page.addScriptToEvaluateOnNewDocument", json!({ "source": WATCHER })).await?;
        page.goto(url).await?;
        Ok(page)
    }

    /// Opens another place in the same tab.
    pub async fn goto(&self, url: &str) -> Outcome {
        let mut tries = 0;
        loop {
            match self.driver.goto(url).await {
                // Containers of other tests come and go; see the page's `boot.js`.
                Err(error) if tries < 5 && error.to_string().contains("ERR_NETWORK_CHANGED") => tries += 1,
                outcome => return Ok(outcome?),
            }
        }
    }

    /// Shows a view of the page.
    pub async fn view(&self, hash: &str) -> Outcome {
        self.run(&format!("location.hash = {}", json!(hash))).await?;
        Ok(())
    }

    /// Waits until the page hears from the server.
    pub async fn connected(&self) -> Outcome {
        self.until(
            "document.body.dataset.connection === 'open' && document.querySelector('#runtime p:not(.quiet)')",
        )
        .await?;
        Ok(())
    }

    /// Ends the browser. What went wrong in the page by then is a failure.
    pub async fn close(self) -> Outcome {
        let wrong = self.run("return window.wrong").await?;
        self.driver.quit().await?;
        assert_eq!(wrong, json!([]), "errors in the page");
        Ok(())
    }

    /// Runs a script, and gives what it returns.
    pub async fn run(&self, script: &str) -> Result<Value, Failed> {
        Ok(self.driver.execute(script, Vec::new()).await?.json().clone())
    }

    /// Waits until an expression is true in the page, looking again at each of its changes; gives its value. A page that came in part is
    /// loaded again as a user would.
    pub async fn until(&self, expression: &str) -> Result<Value, Failed> {
        let script = format!(
            "const done = arguments[arguments.length - 1];
             const holds = () => {{ try {{ return ({CAME_IN_PART}) ? '{IN_PART}' : ({expression}); }} catch {{ return false; }} }};
             const first = holds();
             if (first) {{ done(first); return; }}
             const observer = new MutationObserver(() => {{ const now = holds(); if (now) {{ observer.disconnect(); done(now); }} }});
             observer.observe(document, {{ subtree: true, childList: true, characterData: true, attributes: true }});"
        );
        let mut reloads = 0;
        let answer = loop {
            match self.driver.execute_async(script.as_str(), Vec::new()).await {
                Err(error) if reloads < RELOADS && is_of_a_document_that_went(&error) => reloads += 1,
                Ok(value) if reloads < RELOADS && *value.json() == IN_PART => {
                    reloads += 1;
                    self.driver.find(By::Css(".late a")).await?.click().await?;
                }
                answer => break answer,
            }
        };
        match answer {
            Ok(value) => Ok(value.json().clone()),
            Err(error) => {
                let seen = self.run("return `${document.readyState} ${JSON.stringify(window.wrong)}\\n${document.body?.innerText}`").await.unwrap_or_default();
                let first = error.to_string();
                let first = first.lines().next().unwrap_or_default();
                Err(format!(
                    "it did not come to be that {expression}: {first}\n{}",
                    seen.as_str().unwrap_or_default()
                )
                .into())
            }
        }
    }

    /// Waits until an element has a text in it.
    pub async fn says(&self, css: &str, text: &str) -> Outcome {
        let (css, text) = (json!(css), json!(text));
        self.until(&format!(
            "[...document.querySelectorAll({css})].some((one) => one.textContent.includes({text}))"
        ))
        .await?;
        Ok(())
    }

    /// Waits until there is no such element, or none with that text.
    pub async fn says_not(&self, css: &str, text: &str) -> Outcome {
        let (css, text) = (json!(css), json!(text));
        self.until(&format!(
            "![...document.querySelectorAll({css})].some((one) => one.textContent.includes({text}))"
        ))
        .await?;
        Ok(())
    }

    /// The texts of all such elements.
    pub async fn texts(&self, css: &str) -> Result<Vec<String>, Failed> {
        let texts = self
            .run(&format!(
                "return [...document.querySelectorAll({})].map((one) => one.textContent)",
                json!(css)
            ))
            .await?;
        Ok(serde_json::from_value(texts)?)
    }

    /// Waits for an element, and clicks it as a user does.
    pub async fn click(&self, css: &str) -> Outcome {
        self.until(&format!(
            "document.querySelector({})?.disabled === false || document.querySelector({0})?.href",
            json!(css)
        ))
        .await?;
        Ok(self.driver.find(By::Css(css)).await?.click().await?)
    }

    /// The same for a button by its words.
    pub async fn press(&self, words: &str) -> Outcome {
        let found = format!(
            "[...document.querySelectorAll('dialog[open] button, dialog[open] a.button')].concat([...document.querySelectorAll('button, a.button')]).find((one) => (one.getAttribute('aria-label') ?? one.textContent).trim() === {} && !one.disabled)",
            json!(words)
        );
        loop {
            self.until(&format!("Boolean({found})")).await?;
            let button = self.driver.execute(format!("return {found}"), Vec::new()).await?.element()?;
            match button.click().await {
                // It has just become another one.
                Err(error) if matches!(*error, WebDriverErrorInner::StaleElementReference(_)) => {}
                outcome => return Ok(outcome?),
            }
        }
    }

    /// Types into a field, in the place of what is in it.
    pub async fn fill(&self, css: &str, text: &str) -> Outcome {
        self.until(&format!("document.querySelector({})?.disabled === false", json!(css))).await?;
        let field = self.driver.find(By::Css(css)).await?;
        field.clear().await?;
        Ok(field.send_keys(text).await?)
    }

    /// Chooses one of a list, by its value.
    pub async fn choose(&self, css: &str, value: &str) -> Outcome {
        let (css, value) = (json!(css), json!(value));
        let choose = format!(
            "const list = document.querySelector({css}); list.value = {value}; list.dispatchEvent(new Event('change')); return list.value"
        );
        assert_eq!(self.run(&choose).await?, value, "{css} has no {value}");
        Ok(())
    }

    /// Presses keys where the focus is.
    pub async fn keys(&self, keys: &[Key]) -> Outcome {
        for key in keys {
            self.driver.action_chain().send_keys(key.clone()).perform().await?;
        }
        Ok(())
    }

    /// Presses a key together with Shift.
    pub async fn shift(&self, key: Key) -> Outcome {
        Ok(self
            .driver
            .action_chain()
            .key_down(Key::Shift)
            .send_keys(key)
            .key_up(Key::Shift)
            .perform()
            .await?)
    }

    /// Types where the focus is.
    pub async fn type_text(&self, text: &str) -> Outcome {
        Ok(self.driver.action_chain().send_keys(text).perform().await?)
    }

    /// Opens a second tab, and looks at it from now on.
    pub async fn tab(&self, url: &str) -> Outcome {
        let tab = self.driver.new_tab().await?;
        self.driver.switch_to_window(tab).await?;
        self.tell("Page.addScriptToEvaluateOnNewDocument", json!({ "source": WATCHER })).await?;
        self.goto(url).await
    }

    /// Looks at the tab of that number again.
    pub async fn look_at(&self, number: usize) -> Outcome {
        let tabs = self.driver.windows().await?;
        let tab = tabs.get(number).ok_or("there is no such tab")?;
        Ok(self.driver.switch_to_window(tab.clone()).await?)
    }

    /// Shows it as a system does that prefers dark colours.
    pub async fn dark(&self, dark: bool) -> Outcome {
        let value = if dark { "dark" } else { "light" };
        self.tell(
            "Emulation.setEmulatedMedia",
            json!({ "features": [{ "name": "prefers-color-scheme", "value": value }] }),
        )
        .await
    }

    /// Gives it the size of a phone, or its own again.
    pub async fn phone(&self, phone: bool) -> Outcome {
        if phone {
            let size = json!({ "width": 375, "height": 740, "deviceScaleFactor": 1, "mobile": true });
            return self.tell("Emulation.setDeviceMetricsOverride", size).await;
        }
        self.tell("Emulation.clearDeviceMetricsOverride", json!({})).await
    }

    /// Keeps files away from it, by patterns of their URLs.
    pub async fn keep_away(&self, urls: &[&str]) -> Outcome {
        self.tell("Network.enable", json!({})).await?;
        self.tell("Network.setBlockedURLs", json!({ "urls": urls })).await
    }

    async fn tell(&self, command: &str, parameters: Value) -> Outcome {
        self.driver.cdp().send_raw(command, parameters).await?;
        Ok(())
    }

    /// Keeps a picture of what is seen, for people to look at, in the folder that `LONGSHORE_TEST_SHOTS` names, if it does.
    pub async fn picture(&self, name: &str) -> Outcome {
        let Some(folder) = env::var_os("LONGSHORE_TEST_SHOTS").map(PathBuf::from) else { return Ok(()) };
        fs::create_dir_all(&folder)?;
        Ok(fs::write(folder.join(format!("{name}.png")), self.driver.screenshot_as_png().await?)?)
    }

    /// Has axe-core look at what is shown; what it finds is a failure. And nothing is wider than the window.
    pub async fn is_accessible(&self, what: &str) -> Outcome {
        let axe = fs::read_to_string(variable("LONGSHORE_TEST_AXE")?)?;
        self.driver.execute(axe, Vec::new()).await?;
        let script = "const done = arguments[arguments.length - 1];
            axe.run(document, { resultTypes: ['violations'] }).then((all) => done(all.violations.map((one) =>
                `${one.id}: ${one.help}: ${one.nodes.map((node) => `${node.html} (${node.any.map((why) => why.message).join('; ')})`).join(' | ')}`)), (error) => done([String(error)]));";
        let found = self.driver.execute_async(script, Vec::new()).await?.json().clone();
        assert_eq!(found, json!([]), "{what}");
        let wide = self.run("return document.documentElement.scrollWidth - innerWidth").await?;
        assert!(wide.as_i64().is_some_and(|wide| wide <= 0), "{what} is {wide} pixels wider than the window");
        Ok(())
    }
}
