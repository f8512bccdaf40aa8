//! What needs no engine: plans, the engine in memory, the program itself and its build.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use longshore::{
    Call, ContainerRuntime, DownOptions, LoadOptions, Observed, Project, Target, UpOptions, load_str,
    mock::MockEngine,
    runtime_core::{Compose, Desired, plan_up},
};

use super::{Bench, Outcome, command, finished, life::OURS, report::Scenario, timed};

/// How often what takes little is done.
const TIMES: u32 = 7;
const VERSIONS: u32 = 50;
const IMAGE: &str = "localhost/fixture:1";
const MEGABYTE: f64 = 1_000_000.0;

/// A chain of services, each of which waits for the one before it.
fn project(services: usize) -> Outcome<Project> {
    let service = |index: usize| {
        let needs =
            if index.is_multiple_of(10) { String::new() } else { format!(", depends_on: [s{}]", index - 1) };
        format!("  s{index}: {{image: '{IMAGE}'{needs}}}\n")
    };
    let services: String = (0..services).map(service).collect();
    Ok(load_str("compose.yaml", &format!("name: bench\nservices:\n{services}"), &LoadOptions::new("/bench"))?)
}

pub(crate) async fn pure() -> Outcome<Vec<Scenario>> {
    let mut plans = Scenario::new("a plan from nothing", "ms").wants(LARGE, None, 50.0);
    let mut lives = Scenario::new("up and down in memory", "s").wants(LARGE, None, 2.0);
    for (name, count) in [(SMALL, SMALL_COUNT), (LARGE, LARGE_COUNT)] {
        let project = project(count)?;
        let options = UpOptions::default();
        for _ in 0..TIMES {
            let desired = Desired { project: &project, options: &options, owner: "longshore" };
            let begin = Instant::now();
            let plan = plan_up(desired, &Observed::default())?;
            plans.add(name, "plan_up", begin.elapsed().as_secs_f64() * 1000.0);
            drop(plan);
        }
        for _ in 0..LIVES {
            let took = live(&project).await?;
            lives.add(name, "Compose::up, Compose::down on MockEngine", took.as_secs_f64());
        }
    }
    Ok(vec![plans, lives, memory().await?])
}

/// Brings a project up and down in memory, and says how long that took.
async fn live(project: &Project) -> Outcome<Duration> {
    let project = project.clone();
    // The clock of the engine in memory stands still where nothing is to be done, which is a matter of a runtime of one thread.
    let lived = tokio::task::spawn_blocking(move || -> Result<Duration, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        let engine = MockEngine::new();
        engine.fixture_image(IMAGE);
        let compose = Compose::new(engine);
        let life = timed(async {
            compose.up(&project, &UpOptions::default(), &Call::default()).await?;
            compose.down(&Target::from(&project), &DownOptions::default(), &Call::default()).await?;
            Ok(())
        });
        runtime.block_on(life).map_err(|error| error.to_string())
    });
    Ok(lived.await??)
}

/// What a service takes, in processes that bring so many up and down: of those up to the smaller number, and of those beyond it.
async fn memory() -> Outcome<Scenario> {
    let mut memory =
        Scenario::new("memory of a service that is up and down in memory", "kB").wants(LATER, FIRST, 1.2);
    let own = std::env::current_exe()?;
    let peak = async |count: usize| -> Outcome<f64> {
        let printed = finished(command(&own, &["in-memory", &count.to_string()])).await?;
        Ok(String::from_utf8(printed)?.trim().parse()?)
    };
    for _ in 0..LIVES {
        let (none, small, large) = (peak(1).await?, peak(SMALL_COUNT).await?, peak(LARGE_COUNT).await?);
        memory.add(FIRST, "Compose::up, Compose::down on MockEngine", (small - none) / SMALL_COUNT as f64);
        let more = LARGE_COUNT - SMALL_COUNT;
        memory.add(LATER, "Compose::up, Compose::down on MockEngine", (large - small) / more as f64);
    }
    Ok(memory)
}

/// Brings so many services up and down in memory, and says how many kilobytes this process had at most.
pub(crate) async fn print_peak(services: usize) -> Outcome {
    live(&project(services)?).await?;
    println!("{}", status_of(std::process::id(), "VmHWM:")?);
    Ok(())
}

/// How often a project is brought up and down.
const LIVES: u32 = 3;
const SMALL: &str = "1,000 services";
const SMALL_COUNT: usize = 1_000;
const LARGE: &str = "10,000 services";
const LARGE_COUNT: usize = 10_000;
const FIRST: &str = "each of the first 1,000";
const LATER: &str = "each of 9,000 more";

/// A number of a process's own account.
pub(crate) fn status_of(process: u32, key: &str) -> Outcome<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let number = line.and_then(|rest| rest.split_whitespace().next()).ok_or("no such line of the status")?;
    Ok(number.parse()?)
}

/// How often the threads of a process have been woken.
fn wakes(process: u32) -> Outcome<f64> {
    let mut sum = 0.0;
    for thread in std::fs::read_dir(format!("/proc/{process}/task"))? {
        let status = std::fs::read_to_string(thread?.path().join("status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        sum += line.ok_or("no count of switches")?.trim().parse::<f64>()?;
    }
    Ok(sum)
}

pub(crate) async fn program(bench: &Bench) -> Outcome<Vec<Scenario>> {
    let mut size = Scenario::new("size of the program", "MB").wants(OURS, None, 10.0);
    size.add(OURS, "cargo build --release", std::fs::metadata(&bench.longshore)?.len() as f64 / MEGABYTE);
    let mut start = Scenario::new("cold start", "ms").wants(OURS, None, 5.0);
    for _ in 0..VERSIONS {
        let took = timed(finished(command("true".as_ref(), &[]))).await?;
        start.add("a program that does nothing", "true", took.as_secs_f64() * 1000.0);
        let took = timed(finished(bench.of_longshore(&["--version"]))).await?;
        start.add(OURS, "longshore --version", took.as_secs_f64() * 1000.0);
    }
    let mut scenarios = vec![size, start];
    scenarios.extend(idle(bench).await?);
    Ok(scenarios)
}

/// A server that nobody asks anything.
async fn idle(bench: &Bench) -> Outcome<Vec<Scenario>> {
    let mut memory = Scenario::new("longshore serve, idle: memory", "MB");
    let mut woken = Scenario::new("longshore serve, idle: wake-ups in ten seconds", "times");
    for (by, engine) in [("longshore on Docker", "docker"), ("longshore on Podman", "podman")] {
        memory = memory.wants(by, None, 15.0);
        woken = woken.wants(by, None, 0.0);
        let state = bench.folder.path().join(format!("serve-{engine}"));
        let state = state.display().to_string();
        let words = [
            "--runtime",
            engine,
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--state",
            &state,
            "--prefix",
            "bench-",
        ];
        let mut server = bench.of_longshore(&words);
        let mut child =
            server.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn()?;
        let id = child.id().ok_or("the server has ended")?;
        // Until it has begun, and the threads have gone that its beginning took.
        tokio::time::sleep(Duration::from_secs(20)).await;
        let shown = format!("longshore --runtime {engine} serve");
        let before = wakes(id)?;
        tokio::time::sleep(Duration::from_secs(10)).await;
        woken.add(by, &shown, wakes(id)? - before);
        memory.add(by, &shown, status_of(id, "VmRSS:")? / 1000.0);
        finished(command("kill".as_ref(), &[&id.to_string()])).await?;
        child.wait().await?;
    }
    Ok(vec![memory, woken])
}

pub(crate) async fn compile() -> Outcome<Vec<Scenario>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let cargo = |words: &[&str]| {
        let mut cargo = command("cargo".as_ref(), words);
        cargo.current_dir(&root);
        cargo
    };
    let mut crates = Scenario::new("crates of the facade with one backend", "crates");
    let mut hyper = Scenario::new("HTTP clients among them", "crates").wants("podman", None, 0.0);
    for backend in ["podman", "docker", "mock"] {
        let words = [
            "tree",
            "-p",
            "longshore",
            "--no-default-features",
            "--features",
            backend,
            "-e",
            "normal",
            "--prefix",
            "none",
        ];
        let listed = String::from_utf8(finished(cargo(&words)).await?)?;
        let names: std::collections::BTreeSet<&str> =
            listed.lines().filter_map(|line| line.split_whitespace().next()).collect();
        let shown = format!("cargo tree -p longshore --no-default-features --features {backend} -e normal");
        crates.add(backend, &shown, names.len() as f64);
        let clients = names.iter().filter(|name| name.starts_with("hyper") || **name == "bollard");
        hyper.add(backend, &shown, clients.count() as f64);
    }
    let mut build = Scenario::new("a clean release build of the program", "s");
    let target = tempfile::tempdir()?;
    let mut clean = cargo(&["build", "--release", "--quiet", "-p", "longshore-cli"]);
    clean.env("CARGO_TARGET_DIR", target.path());
    let took = timed(finished(clean)).await?;
    build.add(OURS, "cargo build --release -p longshore-cli", took.as_secs_f64());
    Ok(vec![crates, hyper, build])
}
