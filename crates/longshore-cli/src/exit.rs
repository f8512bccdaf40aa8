//! How the program ends: exit codes, and the one block of text about what went wrong.

use std::{fmt::Write as _, io};

use longshore::{ConfigError, Error, LoadError, compose_file::Diagnostics};
use longshore_server::{api::Problem, client::ClientError};
use serde_json::json;

use crate::{
    args::Format,
    output::{Output, Paint},
    refusal::Refusal,
    signals::Signal,
};

/// The exit codes, all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExitCode {
    Ok,
    Failed,
    PlanHasSteps,
    Usage,
    InvalidFile,
    NoEngine,
    Interrupted,
    Terminated,
    /// What a command in a container, or a container, ended with.
    Passed(u8),
}

impl ExitCode {
    const ALL: [Self; 8] = [
        Self::Ok,
        Self::Failed,
        Self::PlanHasSteps,
        Self::Usage,
        Self::InvalidFile,
        Self::NoEngine,
        Self::Interrupted,
        Self::Terminated,
    ];

    /// The number that the system is given.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failed => 1,
            Self::PlanHasSteps => 2,
            Self::Usage => 64,
            Self::InvalidFile => 65,
            Self::NoEngine => 69,
            Self::Interrupted => 130,
            Self::Terminated => 143,
            Self::Passed(code) => code,
        }
    }

    /// The exit code of something else, as a system can have it.
    pub(crate) fn passed(code: i64) -> Self {
        match code {
            0 => Self::Ok,
            code => Self::Passed(u8::try_from(code).unwrap_or(u8::MAX)),
        }
    }

    fn meaning(self) -> &'static str {
        match self {
            Self::Ok => "done",
            Self::Failed => "the engine refused, or a container or an agent did not become what it should",
            Self::PlanHasSteps => "`plan`: `up` would do something",
            Self::Usage => "the command line or the configuration is wrong",
            Self::InvalidFile => "the compose file is missing or wrong",
            Self::NoEngine => "no container engine answers, or no server of agents",
            Self::Interrupted => "ended by Ctrl-C",
            Self::Terminated => "ended by SIGTERM",
            Self::Passed(_) => "what a container, or a command in it, ended with",
        }
    }

    /// The codes with their meanings, for the help.
    pub(crate) fn table() -> String {
        let mut out = String::from("Exit codes:\n");
        for code in Self::ALL {
            let _ = writeln!(out, "  {:>3}  {}", code.number(), code.meaning());
        }
        let _ = writeln!(
            out,
            "    N  `exec`, `run`, `attach`, `wait` and an `up` that ends with a container: {}",
            Self::Passed(0).meaning()
        );
        out
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        code.number().into()
    }
}

/// Why a command did not do what it should.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The runtime's answer.
    Runtime(Box<Refusal>),
    /// The compose file.
    Load(LoadError),
    /// The configuration.
    Config(ConfigError),
    /// The command line, where clap cannot tell; and what to do about it.
    Usage(String, Option<String>),
    /// What a server of agents answers, or why there is none; and what that ends with.
    Agents(Box<Problem>, ExitCode),
    /// A file or stream.
    Io(io::Error),
    /// A signal; and what is left.
    Signal(Signal, Option<String>),
    /// All was said already.
    Silent(ExitCode),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Runtime(Box::new(error.into()))
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        Self::Load(error)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let problem = Problem::from(error);
        let code = match problem.code.as_str() {
            "invalid" | "invalid_name" | "bad_request" | "invalid_url" => ExitCode::Usage,
            "server_unreachable" => ExitCode::NoEngine,
            _ => ExitCode::Failed,
        };
        Self::Agents(Box::new(problem), code)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // Who read our output has seen enough: nothing went wrong.
            io::ErrorKind::BrokenPipe => Self::Silent(ExitCode::Ok),
            _ => Self::Io(error),
        }
    }
}

/// The first error of a file on one line, and how many there are besides.
fn summary(found: &Diagnostics) -> String {
    let mut errors = found.errors();
    let Some(first) = errors.next() else { return "the compose file is invalid".to_owned() };
    let place = first.location.as_ref().map(|location| format!("{location}: ")).unwrap_or_default();
    let path = if first.path.is_empty() { String::new() } else { format!("{}: ", first.path) };
    let more = match errors.count() {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    format!("{place}{path}{}{more}", first.message)
}

impl Failure {
    /// What the process ends with.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Runtime(refusal) => match &refusal.error {
                Error::NotInstalled { .. }
                | Error::TooOld { .. }
                | Error::NotReachable { .. }
                | Error::NotPermitted { .. }
                | Error::NoEngine(_)
                | Error::Machine { .. } => ExitCode::NoEngine,
                Error::InvalidProject(_) | Error::InvalidName { .. } => ExitCode::InvalidFile,
                _ => ExitCode::Failed,
            },
            Self::Load(_) => ExitCode::InvalidFile,
            Self::Config(_) | Self::Usage(..) => ExitCode::Usage,
            Self::Agents(_, code) => *code,
            Self::Io(_) => ExitCode::Failed,
            Self::Signal(Signal::Interrupt, _) => ExitCode::Interrupted,
            Self::Signal(Signal::Terminate, _) => ExitCode::Terminated,
            Self::Silent(code) => *code,
        }
    }

    fn code(&self) -> &str {
        match self {
            Self::Runtime(refusal) => refusal.error.code(),
            Self::Load(_) => "invalid_file",
            Self::Config(_) => "config",
            Self::Usage(..) => "usage",
            Self::Agents(problem, _) => &problem.code,
            Self::Io(_) => "io",
            Self::Signal(..) | Self::Silent(_) => "cancelled",
        }
    }

    fn message(&self) -> String {
        match self {
            Self::Runtime(refusal) => refusal.message(),
            Self::Load(LoadError::Invalid(found)) => summary(found),
            Self::Load(error) => error.to_string(),
            Self::Config(error) => error.to_string(),
            Self::Usage(text, _) => text.clone(),
            Self::Agents(problem, _) => problem.message.trim_end().to_owned(),
            Self::Io(error) => error.to_string(),
            Self::Signal(signal, _) => format!("cancelled by {signal}"),
            Self::Silent(_) => String::new(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Runtime(refusal) => refusal.help(),
            Self::Load(LoadError::NotFound { .. }) => {
                Some("name the file with -f, or a project that is there with -p".to_owned())
            }
            Self::Load(LoadError::Unreadable { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Some("check the path; a relative one starts from the folder where longshore runs".to_owned())
            }
            Self::Usage(_, help) => help.clone(),
            Self::Agents(problem, _) => problem.help.clone(),
            Self::Signal(_, left) => left.clone(),
            _ => None,
        }
    }

    /// Says it on stderr.
    pub(crate) fn tell(&self, output: &Output) {
        if matches!(self, Self::Silent(_)) {
            return;
        }
        if output.format == Format::Json {
            let mut error = json!({ "code": self.code(), "message": self.message(), "help": self.help() });
            match self {
                Self::Runtime(refusal) => {
                    if let Error::Dependency { log, .. } = &refusal.error {
                        error["log"] = json!(log);
                    }
                    if let Some(command) = refusal.object() {
                        error["command"] = command;
                    }
                }
                Self::Load(LoadError::Invalid(found)) => error["diagnostics"] = json!(found),
                Self::Agents(problem, _) => {
                    error["faults"] = json!(problem.faults);
                    error["log"] = json!(problem.log);
                }
                _ => {}
            }
            output.note(&json!({ "error": error }).to_string());
            return;
        }
        let paint = Paint(output.stderr_colors);
        // Diagnostics begin with their own `error:`, each with its line.
        if let Self::Load(LoadError::Invalid(found)) = self {
            output.note(found.render(output.stderr_colors).trim_end());
            return;
        }
        let mut block = format!("{} {}", paint.bold_red("error:"), self.message());
        if let Self::Runtime(refusal) = self {
            let details = refusal.details().filter(|_| output.verbose);
            let log: Vec<&str> = match &refusal.error {
                Error::Dependency { log, .. } => log.iter().map(String::as_str).collect(),
                _ => details.iter().flat_map(|details| details.lines()).collect(),
            };
            for line in log {
                let _ = write!(block, "\n  {} {line}", paint.dim("|"));
            }
        }
        if let Self::Agents(problem, _) = self {
            for fault in &problem.faults {
                let _ = write!(block, "\n  {}: {}", fault.field, fault.message);
            }
            for line in &problem.log {
                let _ = write!(block, "\n  {} {line}", paint.dim("|"));
            }
        }
        if let Some(help) = self.help() {
            let _ = write!(block, "\n{} {}", paint.cyan("help:"), help.replace('\n', "\n      "));
        }
        output.note(&block);
    }
}
