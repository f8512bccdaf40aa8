//! What only reads: lists and logs.

use std::process::Stdio;

use futures_util::future::try_join_all;
use longshore::{AnyRuntime, Config, ContainerRuntime, RuntimeChoice};

use super::{
    Bench, Outcome, command, finished,
    floor::Requests,
    life::{DOCKER_SOCKET, OURS, Step, peak},
    report::Scenario,
    timed,
};

/// How often a list is asked for; it takes little.
const LISTS: u32 = 50;
/// How many lines a log has.
const LINES: u32 = 300_000;
/// How many containers are followed at once, and how many lines each of them writes.
const FOLLOWED: u32 = 50;
const LINES_EACH: u32 = 5_000;

pub(crate) async fn all(bench: &Bench) -> Outcome<Vec<Scenario>> {
    let mut scenarios = Vec::new();
    for engine in ["docker", "podman"] {
        match on(bench, engine).await {
            Ok(found) => scenarios.extend(found),
            Err(error) => eprintln!("nothing is read on {engine}: {error}"),
        }
    }
    Ok(scenarios)
}

async fn on(bench: &Bench, engine: &'static str) -> Outcome<Vec<Scenario>> {
    let mut scenarios = vec![lists(bench, engine).await?];
    scenarios.extend(logs(bench, engine).await?);
    scenarios.push(followed(bench, engine).await?);
    Ok(scenarios)
}

/// `list_running` through the trait, on a runtime that is kept, beside the one call that it needs.
async fn lists(bench: &Bench, engine: &'static str) -> Outcome<Scenario> {
    let title = format!("{engine}, {} services: list_running", bench.services);
    let mut scenario = Scenario::new(title, "ms").wants(OURS, BARE, 1.1);
    let file = bench.file().display().to_string();
    let run = |step: Step| {
        let words: Vec<&str> =
            ["--runtime", engine, "--file", &file].into_iter().chain(step.words().iter().copied()).collect();
        finished(bench.of_longshore(&words))
    };
    run(Step::Up).await?;
    let mut config = Config::default();
    config.runtime = Some(if engine == "docker" { RuntimeChoice::Docker } else { RuntimeChoice::Podman });
    let runtime = AnyRuntime::connect(&config).await?;
    let requests = Requests::to(DOCKER_SOCKET, bench.services, &bench.image)?;
    let bare = || async {
        if engine == "docker" {
            return requests.list_project("bench").await;
        }
        let words = ["ps", "--filter", "label=com.docker.compose.project=bench", "--format", "json"];
        finished(command("podman".as_ref(), &words)).await.map(drop)
    };
    let shown = if engine == "docker" {
        "request: list containers"
    } else {
        "podman ps --filter label=… --format json"
    };
    for _ in 0..LISTS {
        scenario.add(BARE, shown, timed(bare()).await?.as_secs_f64() * 1000.0);
        let own = timed(async { Ok(runtime.list_running("bench").await?) }).await?;
        scenario.add(OURS, "ContainerRuntime::list_running(\"bench\")", own.as_secs_f64() * 1000.0);
    }
    run(Step::Down).await?;
    Ok(scenario)
}

const BARE: &str = "bare call";

/// A project that writes so many lines in each of its services, and ends.
async fn written(bench: &Bench, engine: &str, services: u32, lines: u32) -> Outcome<String> {
    let service = |index: u32| {
        format!(
            "  w{index}:\n    image: {}\n    container_name: bench-w{index}\n    command: [seq, \"1\", \"{lines}\"]\n",
            bench.image
        )
    };
    let text: String = (0..services).map(service).collect();
    let file = bench.folder.path().join("logs.yaml");
    std::fs::write(&file, format!("name: bench-logs\nservices:\n{text}"))?;
    let file = file.display().to_string();
    finished(bench.of_longshore(&["--runtime", engine, "--file", &file, "up", "--detach"])).await?;
    let names: Vec<String> = (0..services).map(|index| format!("w{index}")).collect();
    let wait = ["--runtime", engine, "--file", &file, "wait"];
    let wait: Vec<&str> = wait.into_iter().chain(names.iter().map(String::as_str)).collect();
    // That none runs any more is an error to it, and as good.
    let _ = finished(bench.of_longshore(&wait)).await;
    Ok(file)
}

async fn logs(bench: &Bench, engine: &'static str) -> Outcome<Vec<Scenario>> {
    let file = written(bench, engine, 1, LINES).await?;
    let title = format!("{engine}: a log of {LINES} lines");
    let mut rate = Scenario::new(title.clone(), "s").wants(OURS, THEIRS, 1.0);
    let mut memory = Scenario::new(format!("{title}: peak memory"), "MB").wants(OURS, None, 12.0);
    let theirs = || command(engine.as_ref(), &["logs", "bench-w0"]);
    let words = ["--runtime", engine, "--file", &file, "logs", "--no-log-prefix"];
    let shown =
        [format!("{engine} logs bench-w0"), format!("longshore --runtime {engine} logs --no-log-prefix")];
    for _ in 0..bench.rounds {
        rate.add(THEIRS, &shown[0], timed(unread(theirs())).await?.as_secs_f64());
        rate.add(OURS, &shown[1], timed(unread(bench.of_longshore(&words))).await?.as_secs_f64());
    }
    memory.add(THEIRS, &shown[0], peak(&mut theirs()).await?);
    memory.add(OURS, &shown[1], peak(&mut bench.of_longshore(&words)).await?);
    finished(bench.of_longshore(&["--runtime", engine, "--file", &file, "down"])).await?;
    Ok(vec![rate, memory])
}

const THEIRS: &str = "the engine's own";

async fn followed(bench: &Bench, engine: &'static str) -> Outcome<Scenario> {
    let file = written(bench, engine, FOLLOWED, LINES_EACH).await?;
    let title = format!("{engine}: {FOLLOWED} containers followed at once, {LINES_EACH} lines each");
    let mut scenario = Scenario::new(title, "s").wants(OURS, THEIRS, 1.0);
    let names: Vec<String> = (0..FOLLOWED).map(|index| format!("bench-w{index}")).collect();
    let words = ["--runtime", engine, "--file", &file, "logs", "--follow"];
    for _ in 0..bench.rounds {
        let theirs = try_join_all(
            names.iter().map(|name| unread(command(engine.as_ref(), &["logs", "--follow", name]))),
        );
        let took = timed(async { theirs.await.map(drop) }).await?;
        scenario.add(THEIRS, &format!("{engine} logs --follow … each, all at once"), took.as_secs_f64());
        let took = timed(unread(bench.of_longshore(&words))).await?;
        scenario.add(OURS, &format!("longshore --runtime {engine} logs --follow"), took.as_secs_f64());
    }
    finished(bench.of_longshore(&["--runtime", engine, "--file", &file, "down"])).await?;
    Ok(scenario)
}

/// Runs it to its end; what it prints goes nowhere.
async fn unread(mut process: tokio::process::Command) -> Outcome {
    let status = process.stdout(Stdio::null()).stderr(Stdio::null()).status().await?;
    if status.success() { Ok(()) } else { Err(format!("{:?}: {status}", process.as_std()).into()) }
}
