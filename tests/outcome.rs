//! What a behaviour comes to.

use std::fmt::Display;

/// What a behaviour comes to. Everything that can be shown becomes a failure by `?`.
pub type Outcome = Result<(), Failed>;

/// Why a behaviour was not shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failed {
    /// It is not so.
    Because(String),
    /// Something that the test needs is not on this computer.
    NotHere(String),
}

impl Failed {
    /// The reason, as a sentence.
    pub fn message(&self) -> &str {
        match self {
            Self::Because(text) | Self::NotHere(text) => text,
        }
    }
}

impl<M: Display> From<M> for Failed {
    fn from(message: M) -> Self {
        Self::Because(message.to_string())
    }
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
