//! How soon the page is there, and how large it is: `cargo bench -p longshore-tests --bench page`.
//!
//! A browser opens it a number of times, without a cache, on the engine in memory with ten agents. Its own clock says when the first of
//! it was painted, and when the agents were.

#![allow(clippy::print_stdout, reason = "it is what it is for")]

use longshore_tests::{
    Failed, Outcome,
    browser::{self, Page},
    house::{Engine, House},
};

/// How often it is opened.
const TIMES: usize = 15;
/// What the first paint may take, in milliseconds.
const SOON: f64 = 200.0;
/// How large all files may be, in bytes.
const SMALL: u64 = 150_000;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome = runtime.map_err(Failed::from).and_then(|runtime| runtime.block_on(measure()));
    browser::end();
    if let Err(failed) = outcome {
        println!("{}", failed.message());
        std::process::exit(1);
    }
}

async fn measure() -> Outcome {
    let mut house = House::build(Engine::Mock).await?;
    house.start().await?;
    for number in 0..10 {
        house.agent(&format!("agent{number}")).await?;
    }
    let page = Page::open(&house).await?;
    let size = page
        .run("return performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation')).filter((one) => one.initiatorType !== 'other' && !one.name.endsWith('/events')).reduce((sum, one) => sum + one.decodedBodySize, 0)")
        .await?;
    let size = size.as_u64().ok_or("no size")?;
    let (mut first, mut all) = (Vec::new(), Vec::new());
    for _ in 0..TIMES {
        page.goto(house.url()?).await?;
        let shown = page
            .until("document.querySelectorAll('[data-agent]').length === 10 && performance.now()")
            .await?;
        let painted =
            page.until("performance.getEntriesByName('first-contentful-paint')[0]?.startTime").await?;
        first.push(painted.as_f64().ok_or("no time")?);
        all.push(shown.as_f64().ok_or("no time")?);
    }
    page.close().await?;
    house.stop().await?;
    println!("| | median | lowest | highest | goal | of it |");
    println!("|---|---|---|---|---|---|");
    row("first paint, ms", first, SOON);
    row("ten agents shown, ms", all, SOON);
    println!("| all files, bytes | {size} | | | {SMALL} | {:.2} |", size as f64 / SMALL as f64);
    Ok(())
}

fn row(what: &str, mut times: Vec<f64>, goal: f64) {
    times.sort_by(f64::total_cmp);
    let (low, median, high) = (times[0], times[times.len() / 2], times[times.len() - 1]);
    println!("| {what} | {median:.0} | {low:.0} | {high:.0} | {goal:.0} | {:.2} |", median / goal);
}
