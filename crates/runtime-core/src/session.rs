//! A process in a container that somebody talks with.

use std::{fmt, pin::Pin};

use futures_util::stream::BoxStream;
use tokio::{io::AsyncWrite, sync::watch};

use crate::{LogSource, Result};

/// A process that is talked with. Dropped, the conversation is over.
///
/// A reader that is slow slows the process: nothing is kept for it.
pub struct Session {
    /// What the process says. The last item is how it ended, or an error.
    pub output: BoxStream<'static, Result<SessionEvent>>,
    /// Its stdin, if it has one that can be written to. Shut down and dropped, it is at its end.
    pub input: Option<SessionInput>,
    /// How large the terminal is, if it has one: what is sent here becomes so.
    pub size: watch::Sender<TerminalSize>,
}

/// The stdin of a process.
pub type SessionInput = Pin<Box<dyn AsyncWrite + Send>>;

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("input", &self.input.is_some()).finish_non_exhaustive()
    }
}

/// What a process does.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionEvent {
    /// It wrote; on a terminal everything is of its stdout.
    Wrote {
        /// To which of its outputs.
        source: LogSource,
        /// These bytes, as they are.
        bytes: Vec<u8>,
    },
    /// It ended.
    Ended {
        /// Its exit code.
        exit_code: i64,
    },
}

/// How large a terminal is, in characters. Nothing by nothing is as the engine has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TerminalSize {
    /// Lines.
    pub rows: u16,
    /// Characters of a line.
    pub columns: u16,
}
