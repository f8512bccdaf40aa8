//! Who does it: Longshore and others as programs, and the floor.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use super::{
    Bench, Outcome, command, finished,
    floor::{Commands, Requests},
    life::Step,
};

/// A tool that brings a project up and down.
#[derive(Debug)]
pub(crate) struct Tool {
    pub(crate) by: &'static str,
    how: How,
}

#[derive(Debug)]
enum How {
    Requests(Requests),
    Commands(Commands),
    Program { program: PathBuf, words: Vec<String>, env: Vec<(&'static str, String)> },
}

impl Tool {
    pub(crate) fn requests(by: &'static str, socket: &str, bench: &Bench) -> Outcome<Self> {
        Ok(Self { by, how: How::Requests(Requests::to(socket, bench.services, &bench.image)?) })
    }

    pub(crate) fn commands(by: &'static str, before: &'static [&'static str], bench: &Bench) -> Self {
        let (services, image) = (bench.services, bench.image.clone());
        Self { by, how: How::Commands(Commands { before, services, image }) }
    }

    /// The program of this checkout, on that engine.
    pub(crate) fn longshore(
        by: &'static str,
        runtime: &str,
        env: Vec<(&'static str, String)>,
        bench: &Bench,
    ) -> Self {
        let file = bench.file().display().to_string();
        let words = ["--runtime", runtime, "--file", &file].map(str::to_owned).into();
        Self { by, how: How::Program { program: bench.longshore.clone(), words, env } }
    }

    /// Another program that takes `-f FILE` and then a command; `None`, with a word to the user, where it is not installed.
    pub(crate) async fn other(
        by: &'static str,
        first: &[&str],
        env: Vec<(&'static str, String)>,
        bench: &Bench,
    ) -> Option<Self> {
        let (program, rest) = first.split_first()?;
        let mut version = command(Path::new(program), rest);
        version.arg("version").envs(env.iter().cloned());
        if let Err(error) = finished(version).await {
            eprintln!("{by} is not here: {error}");
            return None;
        }
        let mut words: Vec<String> = rest.iter().map(|&word| word.to_owned()).collect();
        words.extend(["-f".to_owned(), bench.file().display().to_string()]);
        Some(Self { by, how: How::Program { program: program.into(), words, env } })
    }

    pub(crate) async fn run(&self, step: Step) -> Outcome {
        match &self.how {
            How::Requests(requests) => requests.run(step).await,
            How::Commands(commands) => commands.run(step).await,
            How::Program { .. } => match self.process(step) {
                Some(process) => finished(process).await.map(drop),
                None => Ok(()),
            },
        }
    }

    /// The process of a step, where it is one.
    pub(crate) fn process(&self, step: Step) -> Option<tokio::process::Command> {
        let How::Program { program, words, env } = &self.how else { return None };
        let mut process = command(program, &[]);
        process.args(words).args(step.words()).envs(env.iter().cloned());
        process.stdout(Stdio::null());
        Some(process)
    }

    /// What is run for it, as one would type it.
    pub(crate) fn shown(&self, step: Step) -> String {
        match &self.how {
            How::Requests(_) => match step {
                Step::Up => "requests: create the network; then create and start each, all at once",
                Step::Again => "request: list containers",
                Step::Stop => "requests: stop each, all at once",
                Step::Down => "requests: remove each, all at once; then the network",
            }
            .to_owned(),
            How::Commands(_) => match step {
                Step::Up => "podman network create …; podman run -d … each, all at once",
                Step::Again => "podman ps --all --format json",
                Step::Stop => "podman stop … all",
                Step::Down => "podman rm --force … all; podman network rm …",
            }
            .to_owned(),
            How::Program { program, words, env } => {
                let program = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let env = env.iter().filter(|(_, value)| !value.contains('/'));
                let env: String = env.map(|(name, value)| format!("{name}={value} ")).collect();
                let words = words
                    .iter()
                    .map(|word| if word.ends_with("compose.yaml") { "compose.yaml" } else { word });
                let words: Vec<&str> = words.chain(step.words().iter().copied()).collect();
                format!("{env}{program} {}", words.join(" "))
            }
        }
    }
}
