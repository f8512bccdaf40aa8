//! What can go wrong, by what a caller can do about it.

use std::{fmt, path::PathBuf, time::Duration};

use compose_file::Condition;
use serde::Serialize;

use crate::{BuildStep, RuntimeKind};

/// The result of every call of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that a runtime can answer instead of what was asked for.
///
/// Errors are values without sources that are gone with a thread: they are cloned to everybody who waited for
/// the same outcome. None of them holds the value of an environment variable, a token or a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The engine's program is not on this computer.
    #[error("{}", not_installed(.program, .reason))]
    NotInstalled {
        /// The program that was looked for.
        program: String,
        /// Where it was looked for, or what it answered instead.
        reason: String,
    },
    /// The engine is there and older than what is supported.
    #[error("{what} {found} is too old; {needed} or later is needed")]
    TooOld {
        /// The program or interface.
        what: String,
        /// The version that was found.
        found: String,
        /// The oldest supported one.
        needed: String,
    },
    /// Nobody answers where the engine should be.
    #[error("{engine} does not answer at {endpoint}: {reason}")]
    NotReachable {
        /// The engine.
        engine: RuntimeKind,
        /// The socket or connection.
        endpoint: String,
        /// What the system said.
        reason: String,
    },
    /// The engine is there and this user may not use it.
    #[error("no permission for {what}: {reason}")]
    NotPermitted {
        /// The socket, file or operation.
        what: String,
        /// What the system said.
        reason: String,
    },
    /// `auto` found no engine that works.
    #[error("no container engine is usable here{}", list_attempts(.0))]
    NoEngine(
        /// What was tried, in order, and why each failed.
        Vec<(RuntimeKind, String)>,
    ),
    /// The virtual machine that the engine needs.
    #[error("machine {name:?}: {problem}")]
    Machine {
        /// Its name.
        name: String,
        /// What is the matter with it.
        problem: MachineProblem,
    },
    /// An image cannot be had.
    #[error("image {image}: {reason}")]
    Image {
        /// The reference, as written.
        image: String,
        /// What the engine or the registry said.
        reason: String,
    },
    /// An image cannot be built.
    #[error("image {image}: {problem}")]
    Build {
        /// The reference, as written.
        image: String,
        /// What is the matter with it.
        problem: BuildProblem,
    },
    /// A name is taken by something that is not ours to remove.
    #[error("the name {name:?} is already in use{}", .by.as_deref().map(|by| format!(" by {by}")).unwrap_or_default())]
    NameInUse {
        /// The name.
        name: String,
        /// Who has it, if the engine said so.
        by: Option<String>,
    },
    /// A port of the host is taken.
    #[error("a port of {container} is already in use: {reason}")]
    PortInUse {
        /// The container that wanted it.
        container: String,
        /// What the engine said; it names the port.
        reason: String,
    },
    /// Something that was named is not there.
    #[error("no such {kind}: {name}")]
    NotFound {
        /// What it is.
        kind: ResourceKind,
        /// Its name or id.
        name: String,
    },
    /// Something cannot be removed while others use it.
    #[error("{kind} {name} is still in use: {reason}")]
    InUse {
        /// What it is.
        kind: ResourceKind,
        /// Its name or id.
        name: String,
        /// What the engine said.
        reason: String,
    },
    /// A container did not become what others wait for.
    #[error("{}", dependency_sentence(.waiting, .container, .failure))]
    Dependency {
        /// The services that wait; empty when the user does (`up --wait`).
        waiting: Vec<String>,
        /// The container that failed.
        container: String,
        /// How it failed.
        failure: DependencyFailure,
        /// The last lines of its log, the newest last.
        log: Vec<String>,
    },
    /// Something took longer than it may.
    #[error("{what} took longer than {}", seconds(.after))]
    TimedOut {
        /// What was being done.
        what: String,
        /// The time it had.
        after: Duration,
    },
    /// No container of a service runs, or not the one that was asked for.
    #[error("service {service:?} is not running{}", .index.map(|index| format!(" container #{index}")).unwrap_or_default())]
    NotRunning {
        /// The service.
        service: String,
        /// Which replica.
        index: Option<u32>,
    },
    /// A file or folder cannot be copied or watched, of this computer or of a container.
    #[error("{path}: {reason}")]
    File {
        /// Its path.
        path: String,
        /// What the system said, or what is in the way.
        reason: String,
    },
    /// The caller cancelled.
    #[error("cancelled")]
    Cancelled,
    /// The runtime is shutting down and takes no new work.
    #[error("shutting down")]
    ShuttingDown,
    /// A text that cannot be a name on an engine.
    #[error("{name:?} cannot be the name of a {kind}: {reason}")]
    InvalidName {
        /// Of what.
        kind: ResourceKind,
        /// The text.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The project cannot be brought up as it is.
    #[error("{0}")]
    InvalidProject(String),
    /// The engine cannot do this.
    #[error("{engine} cannot do this: {what}")]
    Unsupported {
        /// The engine.
        engine: RuntimeKind,
        /// What was asked for.
        what: String,
    },
    /// A command of the engine failed in a way that has no error of its own.
    #[error("{0}")]
    Command(CommandFailure),
    /// The engine's API refused in a way that has no error of its own.
    #[error("{engine} refused to {operation}: {message}{}", .status.map(|s| format!(" (status {s})")).unwrap_or_default())]
    Api {
        /// The engine.
        engine: RuntimeKind,
        /// What was asked for, like `create container web-1`.
        operation: String,
        /// The HTTP status, if there was one.
        status: Option<u16>,
        /// What the engine said.
        message: String,
    },
    /// The engine answered something that is not an answer.
    #[error("{engine} answered {operation} with something unexpected: {quote}")]
    Unexpected {
        /// The engine.
        engine: RuntimeKind,
        /// What was asked for.
        operation: String,
        /// What is wrong with the answer, quoting it.
        quote: String,
    },
}

impl Error {
    /// The same error about a container by its name, where it names or quotes an id that nobody has seen before.
    pub(crate) fn with_name_for(mut self, id: &str, name: &str) -> Self {
        let replace = |text: &mut String| {
            if text.contains(id) {
                *text = text.replace(id, name);
            }
        };
        match &mut self {
            Self::Command(CommandFailure { command, stderr, .. }) => {
                replace(command);
                stderr.iter_mut().for_each(replace);
            }
            Self::Api { operation, message, .. } => {
                replace(operation);
                replace(message);
            }
            Self::PortInUse { container, reason } => {
                replace(container);
                replace(reason);
            }
            Self::InUse { name: subject, reason, .. } => {
                replace(subject);
                replace(reason);
            }
            Self::NotFound { name: subject, .. } => replace(subject),
            Self::TimedOut { what, .. } => replace(what),
            _ => {}
        }
        self
    }

    /// A word for programs, stable over versions.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotInstalled { .. } => "not_installed",
            Self::TooOld { .. } => "too_old",
            Self::NotReachable { .. } => "not_reachable",
            Self::NotPermitted { .. } => "not_permitted",
            Self::NoEngine(_) => "no_engine",
            Self::Machine { .. } => "machine",
            Self::Image { .. } => "image",
            Self::Build { .. } => "build",
            Self::NameInUse { .. } => "name_in_use",
            Self::PortInUse { .. } => "port_in_use",
            Self::NotFound { .. } => "not_found",
            Self::InUse { .. } => "in_use",
            Self::Dependency { .. } => "dependency",
            Self::TimedOut { .. } => "timed_out",
            Self::NotRunning { .. } => "not_running",
            Self::File { .. } => "file",
            Self::Cancelled => "cancelled",
            Self::ShuttingDown => "shutting_down",
            Self::InvalidName { .. } => "invalid_name",
            Self::InvalidProject(_) => "invalid_project",
            Self::Unsupported { .. } => "unsupported",
            Self::Command(_) => "command",
            Self::Api { .. } => "api",
            Self::Unexpected { .. } => "unexpected",
        }
    }

    /// What to do about it, when that can be known.
    pub fn help(&self) -> Option<String> {
        let text = match self {
            Self::NotInstalled { program, reason } => program_help(program, reason),
            Self::NotReachable { engine, reason, .. } => start_help(*engine, reason)?,
            Self::NotPermitted { what, .. } => permission_help(what)?,
            Self::NoEngine(attempts) => attempts
                .iter()
                .filter_map(|(kind, why)| attempt_help(*kind, why))
                .collect::<Vec<_>>()
                .join("\n"),
            Self::Build { problem, .. } => build_help(problem).into(),
            Self::Image { reason, .. } if reason.contains("--no-build") => "`longshore build` builds it".into(),
            Self::Image { reason, .. } if reason.contains("pull_policy never") => {
                "build or load it, or take `pull_policy: never` away".into()
            }
            Self::Image { .. } => "check the reference and that the registry can be reached; `longshore pull` tries again".into(),
            Self::PortInUse { .. } => "stop what uses the port, or publish another one; the container was created and the next `up` starts it".into(),
            Self::NameInUse { .. } => "remove or rename what has the name, or use another project name (-p)".into(),
            Self::NotFound { kind: ResourceKind::Container, .. } => {
                "if somebody removed it just now, the same command again goes on with what there is".into()
            }
            Self::NotRunning { index: Some(_), .. } => "`longshore ps` shows the containers that run".into(),
            Self::NotRunning { service, .. } => format!("`longshore up --detach {service}` starts it"),
            Self::Dependency { failure: DependencyFailure::Gone, .. } => "the next `longshore up` makes it anew".into(),
            Self::Dependency { .. } => "the container is still there: `longshore logs` shows all that it said".into(),
            Self::Unexpected { engine: RuntimeKind::Podman, .. } => {
                "see whether the program is Podman, 4.3 or later: `podman --version`".into()
            }
            Self::Unexpected { engine: RuntimeKind::Docker, .. } => {
                "see whether Docker, 20.10 or later, is what answers there: `docker version`".into()
            }
            Self::Machine { name, problem } => machine_help(name, problem)?,
            Self::InUse { kind: ResourceKind::Network, .. } => {
                "a container of somebody else is attached to it; disconnect or remove that first".into()
            }
            Self::InUse { kind: ResourceKind::Container, .. } => {
                "another container uses its network; remove that first (with --remove-orphans, if its service is no longer in the file)".into()
            }
            Self::Command(failure) => refusal_help(&failure.stderr.join("\n"))?.into(),
            Self::Api { message, .. } => refusal_help(message)?.into(),
            _ => return None,
        };
        Some(text)
    }
}

/// A program that is only a name is one that nobody chose.
fn is_default(program: &str) -> bool {
    matches!(program, "podman" | "docker")
}

fn not_installed(program: &str, reason: &str) -> String {
    if is_default(program) && reason.starts_with(NOWHERE) {
        format!("{program} is not installed: {reason}")
    } else {
        format!("{program} cannot be used as {}: {reason}", title(program))
    }
}

/// How the reason begins when there is nothing at all.
const NOWHERE: &str = "there is no";

fn title(program: &str) -> &'static str {
    if program == "docker" { "Docker" } else { "Podman" }
}

/// Help for a program that is not there, or is another one.
fn program_help(program: &str, reason: &str) -> String {
    if is_default(program) {
        return install_help(program);
    }
    if reason.starts_with(NOWHERE) || reason == "it is a folder" {
        return "name the program itself; without a name, `podman` is looked for on the PATH".into();
    }
    format!("see whether it is Podman 4.3 or later: `{program} --version`")
}

fn permission_help(what: &str) -> Option<String> {
    if let Some(program) = what.strip_prefix("running ") {
        return Some(format!("make it executable (`chmod +x {program}`), or name another program"));
    }
    let is_socket = what.contains("docker");
    is_socket.then(|| {
        "add yourself to the group of the socket (`sudo usermod -aG docker $USER`, then log in again), or use Podman, which needs no group".into()
    })
}

fn start_help(engine: RuntimeKind, reason: &str) -> Option<String> {
    let text = match engine {
        RuntimeKind::Docker if reason.contains("is not Docker's API") => {
            "name the address of a Docker, 20.10 or later, with --host"
        }
        RuntimeKind::Docker => {
            "start the Docker daemon (`systemctl start docker`, or open Docker Desktop), or name another engine with --runtime or --host"
        }
        RuntimeKind::Podman => {
            "`podman info` shows what Podman says of itself; with a machine, `podman machine start`"
        }
        RuntimeKind::Mock => return None,
    };
    Some(text.to_owned())
}

/// Help for what `auto` tried, of which there is only the sentence.
fn attempt_help(kind: RuntimeKind, why: &str) -> Option<String> {
    let named = why.split_once(" cannot be used as Podman: ");
    if why.starts_with(&format!("{kind} is not installed")) {
        Some(install_help(kind.as_str()))
    } else if let Some((program, reason)) = named {
        Some(program_help(program, reason))
    } else if let Some(what) = why.strip_prefix("no permission for ") {
        permission_help(what.split_once(": ").map_or(what, |(what, _)| what))
    } else {
        start_help(kind, why)
    }
}

/// Help for what engines say of a container that they cannot create or start.
fn refusal_help(said: &str) -> Option<&'static str> {
    let is_exec = said.contains("exec: ") || said.contains("executable file");
    if is_exec && (said.contains("executable file") || said.contains("no such file")) {
        Some("the image has no such program; check `command` and `entrypoint`")
    } else if is_exec && said.contains("permission denied") {
        Some("the image has it, and it is no program; check `command` and `entrypoint`")
    } else if said.contains("unable to find user") {
        Some("the image has no such user; check `user`, or give its number")
    } else if said.contains("workdir") && said.contains("does not exist") {
        Some("the image has no such folder; check `working_dir`")
    } else if said.contains("getting graph driver info") {
        Some(
            "the container was damaged, as by the end of a machine that was killed; remove it (`podman rm --force`), and the \
             next `longshore up` makes it anew",
        )
    } else if said.contains("container-init binary not found") || said.contains("catatonit") {
        Some("install catatonit, or drop `init: true`")
    } else {
        None
    }
}

fn machine_help(name: &str, problem: &MachineProblem) -> Option<String> {
    Some(match problem {
        MachineProblem::Missing => {
            "`longshore machine init` makes it, and `longshore machine ensure` starts it too".into()
        }
        MachineProblem::Stopped => "`longshore machine ensure` starts it".into(),
        MachineProblem::StuckStarting | MachineProblem::NotAnswering(_) | MachineProblem::StuckStopping => {
            format!(
                "nobody can see what runs in it, so it was left alone; `podman machine stop {name}` ends it with all that \
                 runs in it, and after that `longshore machine ensure` starts it anew"
            )
        }
        MachineProblem::AnotherRuns(other) => {
            format!("stop it (`podman machine stop {other}`), or use it: LONGSHORE_MACHINE_NAME={other}")
        }
        MachineProblem::HelperMissing(helper) => {
            format!("install {helper}, or name its folder as `helpers` under [machine] in the configuration")
        }
        MachineProblem::InUse(_) => {
            "stop them where they were started, or end them with the machine: `longshore machine stop --force`".into()
        }
        MachineProblem::NoImage { reason, .. } if reason.contains("no space left") => {
            "make room on the disk; `longshore machine init` tries again".into()
        }
        MachineProblem::NoImage { .. } => {
            "check the image and that where it comes from can be reached; `longshore machine init` tries again".into()
        }
        MachineProblem::Other(_) => return None,
    })
}

fn build_help(problem: &BuildProblem) -> &'static str {
    match problem {
        BuildProblem::NoContext(_) => "check `build.context` and `build.additional_contexts`",
        BuildProblem::NoDockerfile(_) => "check `build.dockerfile`, which is looked for in `build.context`",
        BuildProblem::NoSecret { .. } => "check the secret's `file`",
        BuildProblem::Failed { .. } => {
            "once the Dockerfile is mended, the same command again goes on from the steps that are in the cache"
        }
    }
}

fn install_help(program: &str) -> String {
    let title = title(program);
    let page = if program == "docker" {
        "https://docs.docker.com/engine/install/"
    } else {
        "https://podman.io/docs/installation"
    };
    let command = match (std::env::consts::OS, program) {
        ("macos", "docker") => "brew install --cask docker",
        ("macos", _) => "brew install podman",
        ("windows", "docker") => "winget install Docker.DockerDesktop",
        ("windows", _) => "winget install RedHat.Podman",
        (_, "docker") => "sudo apt install docker.io (Debian, Ubuntu), sudo dnf install moby-engine (Fedora)",
        _ => "sudo apt install podman (Debian, Ubuntu), sudo dnf install podman (Fedora)",
    };
    format!("to install {title}: {command}; or see {page}")
}

fn list_attempts(attempts: &[(RuntimeKind, String)]) -> String {
    attempts.iter().map(|(kind, why)| format!("\n  {kind}: {why}")).collect()
}

fn seconds(duration: &Duration) -> String {
    let text = format!("{:.3}", duration.as_secs_f64());
    format!("{} s", text.trim_end_matches('0').trim_end_matches('.'))
}

fn dependency_sentence(waiting: &[String], container: &str, failure: &DependencyFailure) -> String {
    match waiting {
        [] => format!("container {container} {failure}"),
        waiting => format!("{} cannot start: container {container} {failure}", waiting.join(", ")),
    }
}

/// What is the matter with a machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MachineProblem {
    /// There is none of that name.
    #[error("it does not exist")]
    Missing,
    /// It exists and is off.
    #[error("it is stopped")]
    Stopped,
    /// It is being started and does not get there.
    #[error("it has been starting for too long")]
    StuckStarting,
    /// It is being stopped and does not get there.
    #[error("it has been stopping for too long")]
    StuckStopping,
    /// It runs, and the engine in it does not answer.
    #[error("it runs and its engine does not answer: {0}")]
    NotAnswering(String),
    /// Another one runs where only one may.
    #[error("the machine {0:?} is running, and this provider runs one at a time")]
    AnotherRuns(String),
    /// It is not stopped, because containers that are not ours run in it: their names.
    #[error("it stays up, because what runs in it is not ours: {}", .0.join(", "))]
    InUse(Vec<String>),
    /// A program that it needs is not there.
    #[error("the helper {0} is missing")]
    HelperMissing(String),
    /// The image of its disk cannot be had.
    #[error("its image{} cannot be had: {reason}", .image.as_deref().map(|image| format!(" {image}")).unwrap_or_default())]
    NoImage {
        /// The image, if it is not its provider's own choice.
        image: Option<String>,
        /// What its provider said.
        reason: String,
    },
    /// Something else.
    #[error("{0}")]
    Other(String),
}

/// What is the matter with a build.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildProblem {
    /// There is no such folder to build from.
    NoContext(PathBuf),
    /// There is no such Dockerfile.
    NoDockerfile(PathBuf),
    /// There is no such file for a secret.
    NoSecret {
        /// The secret's name in the Dockerfile.
        id: String,
        /// The file.
        path: PathBuf,
    },
    /// The engine ended it.
    Failed {
        /// The step that failed; `None` when none had begun.
        step: Option<BuildStep>,
        /// What the engine said.
        reason: String,
        /// The last lines that the step printed, the newest last, at most [`BuildProblem::MOST_LINES`]. Values of arguments and secrets are
        /// replaced by `***`.
        output: Vec<String>,
    },
}

impl BuildProblem {
    /// So many lines are kept of what a step printed.
    pub const MOST_LINES: usize = 20;
}

impl fmt::Display for BuildProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoContext(path) => write!(f, "there is no folder {} to build it from", path.display()),
            Self::NoDockerfile(path) => write!(f, "there is no Dockerfile {}", path.display()),
            Self::NoSecret { id, path } => {
                write!(f, "there is no file {} for the secret {id:?}", path.display())
            }
            Self::Failed { step, reason, output } => {
                match step {
                    Some(step) => write!(f, "{step} failed: {reason}")?,
                    None => write!(f, "it cannot be built: {reason}")?,
                }
                output.iter().try_for_each(|line| write!(f, "\n  {line}"))
            }
        }
    }
}

/// How a dependency failed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DependencyFailure {
    /// Its healthcheck failed as often as it may.
    Unhealthy,
    /// It ended while it should run.
    Exited(i64),
    /// It is to be healthy, and nothing says how to find out.
    NoHealthcheck,
    /// It should have completed with exit code 0.
    DidNotComplete(i64),
    /// It was removed while it was waited for.
    Gone,
    /// It did not get there in the time that the caller gave.
    TimedOut(Condition, Duration),
}

impl fmt::Display for DependencyFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unhealthy => f.write_str("is unhealthy"),
            Self::Exited(code) => write!(f, "exited ({code})"),
            Self::NoHealthcheck => f.write_str("has no healthcheck configured"),
            Self::DidNotComplete(code) => write!(f, "didn't complete successfully: exit {code}"),
            Self::Gone => f.write_str("was removed while it was waited for"),
            Self::TimedOut(Condition::ServiceHealthy, after) => {
                write!(f, "is not healthy after {}", seconds(after))
            }
            Self::TimedOut(_, after) => write!(f, "is not there after {}", seconds(after)),
        }
    }
}

/// A kind of thing on an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ResourceKind {
    /// A container.
    Container,
    /// A network.
    Network,
    /// A volume.
    Volume,
    /// An image.
    Image,
    /// A virtual machine.
    Machine,
    /// A compose project.
    Project,
    /// A service of a project.
    Service,
    /// A signal.
    Signal,
    /// A port of a container.
    Port,
    /// A file or folder of a container.
    File,
}

impl fmt::Display for ResourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Container => "container",
            Self::Network => "network",
            Self::Volume => "volume",
            Self::Image => "image",
            Self::Machine => "machine",
            Self::Project => "project",
            Self::Service => "service",
            Self::Signal => "signal",
            Self::Port => "port",
            Self::File => "file",
        })
    }
}

/// The shortest value that is looked for: a shorter one is found in any sentence, and hides nothing.
const SHORTEST_VALUE: usize = 4;

/// What an engine or a command said, without the values of environment variables, which it may repeat.
pub fn hide_values<'a>(said: &str, values: impl Iterator<Item = &'a String>) -> String {
    let mut values: Vec<&str> =
        values.map(String::as_str).filter(|value| value.len() >= SHORTEST_VALUE).collect();
    // A value that holds another one goes first, or its rest would stay.
    values.sort_by_key(|value| std::cmp::Reverse(value.len()));
    let mut said = said.to_owned();
    for value in values {
        if said.contains(value) {
            said = said.replace(value, "***");
        }
    }
    said
}

/// A command that ran and failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandFailure {
    /// The program and its arguments, values of secrets replaced by `***`.
    pub command: String,
    /// Its exit code; `None` when a signal ended it.
    pub exit_code: Option<i32>,
    /// The last lines of its stderr, the newest last, at most 20.
    pub stderr: Vec<String>,
}

impl fmt::Display for CommandFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ", self.command)?;
        match self.exit_code {
            Some(code) => write!(f, "ended with exit code {code}")?,
            None => f.write_str("was ended by a signal")?,
        }
        for line in &self.stderr {
            write!(f, "\n  {line}")?;
        }
        Ok(())
    }
}
