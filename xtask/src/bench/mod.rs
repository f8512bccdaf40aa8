//! `cargo xtask bench`: every tool does the same thing in turns, several times, on this computer. Only the ratios mean anything.
//!
//! A [`Scenario`] is one thing that is measured; what does it is an entry, with its samples. The bare calls of the engine, all
//! at once, are the floor. Goals are ratios of medians within one scenario, or bounds of what is no time.

mod alone;
mod floor;
mod life;
mod peer;
mod reading;
mod report;
mod rig;

use std::{
    error::Error,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

pub(crate) use alone::print_peak;
use clap::ValueEnum as _;
use report::Scenario;

pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Group {
    /// up, stop and down of many services on Docker
    Docker,
    /// The same on Podman, by its commands
    PodmanCli,
    /// The same on Podman, by its API
    PodmanApi,
    /// Both on the Podman 5 of a rig
    Podman5,
    /// The same on a machine of a rig
    Machine,
    /// The same on a machine that is here
    #[value(hide = true)]
    MachineHere,
    /// Lists and logs
    Reading,
    // After all that needs Docker: now and then it keeps an endpoint of one container of so many, and then its network.
    /// A hundred services, on Docker and on Podman
    Many,
    /// Plans, and the engine in memory
    Pure,
    /// The program: its size, its memory, how soon it is there
    Program,
    /// What a clean build takes
    Compile,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// What is measured; everything when nothing is named
    #[arg(value_enum)]
    groups: Vec<Group>,
    /// How many services a project has, where nothing else is said
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    services: u32,
    /// How often each tool does it
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// A small image that all engines have, with a shell
    #[arg(long, env = "LONGSHORE_EXAMPLE_IMAGE", default_value = "localhost/longshore-busybox:1")]
    image: String,
    /// Write the tables and their plots into this folder too
    #[arg(long, value_name = "FOLDER")]
    write: Option<PathBuf>,
    /// The program that is measured, instead of one that is built
    #[arg(long, value_name = "PROGRAM")]
    longshore: Option<PathBuf>,
    /// Where `podup` is, which the rig's Podman is beside
    #[arg(long, value_name = "PROGRAM", default_value = "podup")]
    podup: PathBuf,
    /// A folder with an `enter` that runs a command where there is a Podman 5, and machines
    #[arg(long, value_name = "FOLDER", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/machine-rig"))]
    rig: PathBuf,
    /// Print what was measured as JSON, for another one of this that asks for it
    #[arg(long, hide = true)]
    samples: bool,
}

/// What all that is measured has in common.
#[derive(Debug)]
pub(crate) struct Bench {
    services: u32,
    rounds: u32,
    image: String,
    /// The program, optimised as it is published.
    longshore: PathBuf,
    podup: PathBuf,
    rig: PathBuf,
    /// A folder of this run's own, in which a project is.
    folder: tempfile::TempDir,
}

pub(crate) async fn run(options: &Options) -> Outcome {
    let all: Vec<Group> =
        Group::value_variants().iter().copied().filter(|group| *group != Group::MachineHere).collect();
    let groups = if options.groups.is_empty() { &all } else { &options.groups };
    let bench = Bench {
        services: options.services,
        rounds: options.rounds,
        image: options.image.clone(),
        longshore: match &options.longshore {
            Some(program) => program.clone(),
            None => build().await?,
        },
        podup: options.podup.clone(),
        rig: options.rig.clone(),
        folder: tempfile::Builder::new().prefix("longshore-bench").tempdir()?,
    };
    bench.lay_out()?;
    let mut scenarios: Vec<Scenario> = Vec::new();
    for group in groups {
        eprintln!("measuring {group:?}");
        let found = match group {
            Group::Docker => life::docker(&bench).await,
            Group::PodmanCli => life::podman_cli(&bench).await,
            Group::PodmanApi => life::podman_api(&bench).await,
            Group::Podman5 => rig::podman(&bench).await,
            Group::Machine => rig::machine(&bench).await,
            Group::MachineHere => life::machine(&bench).await,
            Group::Many => many(&bench).await,
            Group::Reading => reading::all(&bench).await,
            Group::Pure => alone::pure().await,
            Group::Program => alone::program(&bench).await,
            Group::Compile => alone::compile().await,
        };
        match found {
            Ok(found) => scenarios.extend(found),
            Err(error) if options.samples => return Err(error),
            // What is not here is not measured; the others are.
            Err(error) => eprintln!("{group:?} is not measured: {error}"),
        }
    }
    if options.samples {
        println!("{}", serde_json::to_string(&scenarios)?);
    } else {
        println!("{}", report::markdown(&scenarios));
    }
    if let Some(folder) = &options.write {
        report::write(folder, &scenarios)?;
    }
    Ok(())
}

/// As many services as a project hardly has, and each thing once.
async fn many(bench: &Bench) -> Outcome<Vec<Scenario>> {
    let many = Bench {
        services: MANY,
        rounds: 1,
        image: bench.image.clone(),
        longshore: bench.longshore.clone(),
        podup: bench.podup.clone(),
        rig: bench.rig.clone(),
        folder: tempfile::Builder::new().prefix("longshore-bench").tempdir()?,
    };
    many.lay_out()?;
    let mut scenarios = Vec::new();
    for found in [life::docker(&many).await, life::podman_cli(&many).await, life::podman_api(&many).await] {
        match found {
            Ok(found) => scenarios.extend(found),
            Err(error) => eprintln!("of many services this is not measured: {error}"),
        }
    }
    Ok(scenarios)
}

/// How many services are many.
const MANY: u32 = 100;

impl Bench {
    /// A project whose containers end at once when they are told to.
    fn lay_out(&self) -> Outcome {
        let service = |index: u32| {
            format!(
                "  s{index}:\n    image: {}\n    command: [sh, -c, \"trap 'exit 0' TERM; sleep 100000 & wait\"]\n",
                self.image
            )
        };
        let services: String = (0..self.services).map(service).collect();
        std::fs::write(self.file(), format!("name: bench\nservices:\n{services}"))?;
        Ok(())
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("compose.yaml")
    }

    fn of_longshore(&self, words: &[&str]) -> tokio::process::Command {
        command(&self.longshore, words)
    }
}

/// The program as it is published.
async fn build() -> Outcome<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = command(
        Path::new(&cargo),
        &["build", "--release", "--quiet", "-p", "longshore-cli", "--message-format=json"],
    );
    let output = build.stderr(Stdio::inherit()).output().await?;
    if !output.status.success() {
        return Err("longshore does not build".into());
    }
    // Each line is a message; the one of the program says where it is.
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .find_map(|message| {
            let name = message.pointer("/target/name")?.as_str()? == "longshore";
            name.then(|| message.get("executable")?.as_str().map(PathBuf::from)).flatten()
        })
        .ok_or_else(|| "cargo does not say where longshore is".into())
}

fn command(program: &Path, words: &[&str]) -> tokio::process::Command {
    let mut command = tokio::process::Command::new(program);
    command.args(words).stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Runs it to its end, and gives what it wrote.
///
/// # Errors
/// That it failed, with the end of what it complained of.
async fn finished(mut command: tokio::process::Command) -> Outcome<Vec<u8>> {
    let output = command.output().await.map_err(|error| format!("{:?}: {error}", command.as_std()))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last: Vec<&str> = said.lines().rev().take(3).collect();
    Err(format!("{:?}: {}: {}", command.as_std(), output.status, last.join(" / ")).into())
}

async fn timed<T>(work: impl Future<Output = Outcome<T>>) -> Outcome<Duration> {
    let begin = Instant::now();
    work.await?;
    Ok(begin.elapsed())
}
