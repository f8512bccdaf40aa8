//! What a behaviour comes to.

use std::{env, fmt::Display, process::Output};

use libtest_mimic::Completion;

/// What a behaviour comes to. Everything that can be shown becomes a failure by `?`.
pub type Outcome = Result<(), Failed>;

/// Why a behaviour was not shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failed {
    /// It is not so.
    Because(String),
    /// Something that the test needs is not on this computer.
    NotHere(String),
    /// A program is not on this computer that is required by a name of its own, whatever it is tested on.
    NoProgram(&'static str, String),
}

impl Failed {
    /// The reason, as a sentence.
    pub fn message(&self) -> &str {
        match self {
            Self::Because(text) | Self::NotHere(text) | Self::NoProgram(_, text) => text,
        }
    }
}

impl<M: Display> From<M> for Failed {
    fn from(message: M) -> Self {
        Self::Because(message.to_string())
    }
}

/// Whether `LONGSHORE_REQUIRE` names it, so that its absence is a failure.
pub fn is_required(name: &str) -> bool {
    env::var("LONGSHORE_REQUIRE").is_ok_and(|names| names.split(',').any(|one| one.trim() == name))
}

/// What a test on something of that name comes to: without it, it is ignored, unless it is required.
///
/// # Errors
/// What was not so, or is required and not here.
pub fn completed(outcome: Outcome, name: &str) -> Result<Completion, libtest_mimic::Failed> {
    let (outcome, name) = match outcome {
        Err(Failed::NoProgram(program, reason)) => (Err(Failed::NotHere(reason)), program),
        outcome => (outcome, name),
    };
    match outcome {
        Ok(()) => Ok(Completion::Completed),
        Err(Failed::NotHere(reason)) if is_required(name) => {
            Err(format!("required, and not here: {reason}").into())
        }
        Err(Failed::NotHere(reason)) => Ok(Completion::ignored_with(reason)),
        Err(Failed::Because(reason) | Failed::NoProgram(_, reason)) => Err(reason.into()),
    }
}

/// A variable that says where something is.
///
/// # Errors
/// That this is not here.
pub fn variable(name: &str) -> Result<String, Failed> {
    env::var(name).map_err(|_| Failed::NotHere(format!("{name} is not set")))
}

/// What a program printed on stdout.
///
/// # Errors
/// When it failed: how, and what it complained of.
pub fn said(output: &Output) -> Result<String, Failed> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr)).into())
}

/// The error of a call that should have failed.
///
/// # Errors
/// When it did not.
pub fn refused<T, E>(outcome: Result<T, E>) -> Result<E, Failed> {
    match outcome {
        Ok(_) => Err(Failed::Because("it succeeded where an error was expected".to_owned())),
        Err(error) => Ok(error),
    }
}
