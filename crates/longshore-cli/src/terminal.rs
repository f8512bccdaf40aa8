//! The user's own terminal, while a process has it.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal},
};

use longshore::TerminalSize;

/// Whether the user has a terminal to type at and to read from.
pub(crate) fn is_there() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Whether what is shown is on a terminal that can be written over.
pub(crate) fn is_shown(env: &BTreeMap<String, String>) -> bool {
    io::stdout().is_terminal() && env.get("TERM").is_none_or(|term| term != "dumb")
}

/// A terminal that gives on every key as it is, until this is dropped.
#[cfg(unix)]
pub(crate) struct Raw(rustix::termios::Termios);

#[cfg(unix)]
impl Raw {
    pub(crate) fn begin() -> io::Result<Self> {
        use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Drain, &raw)?;
        Ok(Self(before))
    }
}

#[cfg(unix)]
impl Drop for Raw {
    fn drop(&mut self) {
        // One that is gone cannot be given back.
        let _ = rustix::termios::tcsetattr(io::stdin(), rustix::termios::OptionalActions::Drain, &self.0);
    }
}

#[cfg(not(unix))]
pub(crate) struct Raw;

#[cfg(not(unix))]
impl Raw {
    pub(crate) fn begin() -> io::Result<Self> {
        Ok(Self)
    }
}

/// How large it is.
#[cfg(unix)]
pub(crate) fn size() -> Option<TerminalSize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    Some(TerminalSize { rows: size.ws_row, columns: size.ws_col })
}

#[cfg(not(unix))]
pub(crate) fn size() -> Option<TerminalSize> {
    None
}

/// Tells each new size, beginning with the one that it has.
pub(crate) async fn follow_size(told: tokio::sync::watch::Sender<TerminalSize>) {
    let tell = || {
        if let Some(size) = size() {
            // Who no longer listens has ended.
            let _ = told.send(size);
        }
    };
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let changes = signal(SignalKind::window_change());
        tell();
        if let Ok(mut changes) = changes {
            while changes.recv().await.is_some() {
                tell();
            }
        }
    }
    #[cfg(not(unix))]
    tell();
    // The one who has the sender is the one who is listened to.
    std::future::pending::<()>().await;
}
