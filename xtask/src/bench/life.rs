//! A project's life: up, up again with nothing changed, stop, down.

use std::{process::Stdio, time::Duration};

use tokio::process::Child;

use super::{
    Bench, Outcome, alone::status_of, command, finished, floor, peer::Tool, report::Scenario, timed,
};

/// What is done to a project, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Up,
    Again,
    Stop,
    Down,
}

impl Step {
    const ALL: [Self; 4] = [Self::Up, Self::Again, Self::Stop, Self::Down];

    /// The words for it that all compose programs share.
    pub(crate) fn words(self) -> &'static [&'static str] {
        match self {
            Self::Up | Self::Again => &["up", "-d"],
            Self::Stop => &["stop"],
            Self::Down => &["down"],
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Again => "up again, no change",
            Self::Stop => "stop",
            Self::Down => "down of what is stopped",
        }
    }
}

const FLOOR: &str = "bare calls";
pub(crate) const OURS: &str = "longshore";
const COMPOSE: &str = "docker compose";
const PODMAN_COMPOSE: &str = "podman-compose";
const PODUP: &str = "podup";
const BY_COMMANDS: &str = "longshore by commands";
/// How often a process is looked at.
const LOOK: Duration = Duration::from_millis(1);
/// Kilobytes of a MB.
const KILOBYTES: f64 = 1000.0;

pub(crate) async fn docker(bench: &Bench) -> Outcome<Vec<Scenario>> {
    let mut tools = vec![
        Tool::requests(FLOOR, DOCKER_SOCKET, bench)?,
        Tool::longshore(OURS, "docker", Vec::new(), bench),
    ];
    tools.extend(Tool::other(COMPOSE, &["docker", "compose"], Vec::new(), bench).await);
    let engine = engine(&["docker", "version", "--format", "{{.Server.Version}}"], "Docker").await?;
    measure(&["docker"], &engine, bench, &tools, |step, scenario| match step {
        Step::Again => scenario.wants(OURS, COMPOSE, 0.3),
        _ => scenario.wants(OURS, FLOOR, 1.05),
    })
    .await
}

pub(crate) const DOCKER_SOCKET: &str = "/var/run/docker.sock";

pub(crate) async fn podman_cli(bench: &Bench) -> Outcome<Vec<Scenario>> {
    let via = vec![("LONGSHORE_PODMAN_VIA", "cli".to_owned())];
    let mut tools = vec![Tool::commands(FLOOR, &[], bench), Tool::longshore(OURS, "podman", via, bench)];
    tools.extend(Tool::other(PODMAN_COMPOSE, &["podman-compose"], Vec::new(), bench).await);
    let engine = format!("{} by its commands", podman().await?);
    measure(&["podman"], &engine, bench, &tools, |step, scenario| match step {
        Step::Up => scenario.wants(OURS, FLOOR, 1.1).wants(OURS, PODMAN_COMPOSE, 0.5),
        Step::Again => scenario.wants(OURS, FLOOR, 2.2),
        _ => scenario.wants(OURS, FLOOR, 1.1),
    })
    .await
}

pub(crate) async fn podman_api(bench: &Bench) -> Outcome<Vec<Scenario>> {
    let service = PodmanService::start(bench).await?;
    let via = vec![("LONGSHORE_PODMAN_VIA", "api".to_owned())];
    let over = vec![("DOCKER_HOST", format!("unix://{}", service.socket))];
    let mut tools =
        vec![Tool::requests(FLOOR, &service.socket, bench)?, Tool::longshore(OURS, "podman", via, bench)];
    tools.extend(Tool::other(COMPOSE, &["docker", "compose"], over, bench).await);
    let over = vec![("PODMAN_SOCKET", service.socket.clone())];
    let podup = bench.podup.display().to_string();
    tools.extend(Tool::other(PODUP, &[&podup], over, bench).await);
    let has_podup = tools.iter().any(|tool| tool.by == PODUP);
    let engine = format!("{} by its API", podman().await?);
    measure(&["podman"], &engine, bench, &tools, |step, scenario| {
        let scenario = match step {
            Step::Again => scenario.wants(OURS, None, 0.05),
            _ => scenario.wants(OURS, FLOOR, 1.05),
        };
        if has_podup { scenario.wants(OURS, PODUP, 1.0) } else { scenario }
    })
    .await
}

/// The machine of [`MACHINE`], which is up.
pub(crate) async fn machine(bench: &Bench) -> Outcome<Vec<Scenario>> {
    let via = |via: &str| {
        let machine = [("LONGSHORE_MACHINE", "always"), ("LONGSHORE_MACHINE_NAME", MACHINE)];
        machine
            .into_iter()
            .chain([("LONGSHORE_PODMAN_VIA", via)])
            .map(|(name, value)| (name, value.to_owned()))
            .collect()
    };
    let tools = vec![
        Tool::commands(FLOOR, &["--connection", MACHINE], bench),
        Tool::longshore(OURS, "podman", via("api"), bench),
        Tool::longshore(BY_COMMANDS, "podman", via("cli"), bench),
    ];
    let version = ["podman", "--connection", MACHINE, "version", "--format", "{{.Server.Version}}"];
    let engine = format!("a machine of {}", engine(&version, "Podman").await?);
    measure(&["podman", "--connection", MACHINE], &engine, bench, &tools, |step, scenario| match step {
        Step::Up => scenario.wants(OURS, BY_COMMANDS, 0.2).wants(OURS, FLOOR, 0.2),
        _ => scenario,
    })
    .await
}

/// The machine that is measured.
pub(crate) const MACHINE: &str = "bench";

async fn podman() -> Outcome<String> {
    engine(&["podman", "version", "--format", "{{.Client.Version}}"], "Podman").await
}

/// An engine, and its version as it tells it.
async fn engine(version: &[&str], name: &str) -> Outcome<String> {
    let Some((program, words)) = version.split_first() else { return Ok(name.to_owned()) };
    let told = String::from_utf8(finished(command(program.as_ref(), words)).await?)?;
    // Docker's version names its distributor too.
    let number = told.trim().split(['+', '-']).next().unwrap_or_default();
    Ok(format!("{name} {number}"))
}

/// A service of Podman's API for those that do not start their own; it ends with this.
#[derive(Debug)]
pub(crate) struct PodmanService {
    pub(crate) socket: String,
    _child: Child,
}

impl PodmanService {
    pub(crate) async fn start(bench: &Bench) -> Outcome<Self> {
        let socket = bench.folder.path().join("podman.sock").display().to_string();
        let url = format!("unix://{socket}");
        let mut service = command("podman".as_ref(), &["system", "service", "--time", "0", &url]);
        let child = service.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        for _ in 0..200 {
            if tokio::net::UnixStream::connect(&socket).await.is_ok() {
                return Ok(Self { socket, _child: child });
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        Err("podman's service does not answer".into())
    }
}

/// Every tool takes its turn in every round, each round beginning with another one.
async fn measure(
    program: &[&str],
    engine: &str,
    bench: &Bench,
    tools: &[Tool],
    goals: impl Fn(Step, Scenario) -> Scenario,
) -> Outcome<Vec<Scenario>> {
    let mut scenarios: Vec<Scenario> = Step::ALL
        .into_iter()
        .map(|step| {
            let title = format!("{engine}, {} services: {}", bench.services, step.name());
            goals(step, Scenario::new(title, "s"))
        })
        .collect();
    floor::sweep(program, bench.services).await;
    // Once for what is only so the first time, unless it is done a single time, which is because it takes long.
    for tool in tools.iter().filter(|_| bench.rounds > 1) {
        for step in Step::ALL {
            tool.run(step).await?;
        }
    }
    for round in 0..bench.rounds as usize {
        let (before, after) = tools.split_at(round % tools.len());
        // The floor stays the first of the rows.
        for tool in after.iter().chain(before) {
            for (step, scenario) in Step::ALL.into_iter().zip(&mut scenarios) {
                let took = timed(tool.run(step)).await?;
                scenario.add(tool.by, &tool.shown(step), took.as_secs_f64());
            }
        }
    }
    let mut memory = Scenario::new(format!("{engine}, {} services: peak memory of up", bench.services), "MB")
        .wants(OURS, None, 12.0);
    for tool in tools {
        if let Some(mut up) = tool.process(Step::Up) {
            for _ in 0..bench.rounds.min(3) {
                memory.add(tool.by, &tool.shown(Step::Up), peak(&mut up).await?);
                tool.run(Step::Down).await?;
            }
        }
    }
    if !memory.entries.is_empty() {
        scenarios.push(memory);
    }
    let floor = |scenario: &Scenario| scenario.entries.iter().position(|entry| entry.by == FLOOR);
    for scenario in &mut scenarios {
        if let Some(at) = floor(scenario) {
            let entry = scenario.entries.remove(at);
            scenario.entries.insert(0, entry);
        }
    }
    Ok(scenarios)
}

/// The most memory that a process had, in MB, without those that it started: the kernel's own account, read until the process has ended.
pub(crate) async fn peak(process: &mut tokio::process::Command) -> Outcome<f64> {
    let mut child = process.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let id = child.id().ok_or("it has ended already")?;
    let mut most: f64 = 0.0;
    let status = loop {
        // A process that has ended has no account of its memory any more.
        most = most.max(status_of(id, "VmHWM:").unwrap_or_default());
        if let Some(status) = child.try_wait()? {
            break status;
        }
        tokio::time::sleep(LOOK).await;
    };
    if status.success() {
        Ok(most / KILOBYTES)
    } else {
        Err(format!("{:?}: {status}", process.as_std()).into())
    }
}
