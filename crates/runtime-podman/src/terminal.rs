//! A terminal for a child, because podman draws its bars, and so tells its bytes, on nothing else.
//!
//! It is the child's controlling terminal: when our end closes, the system hangs up on the child and on what the child
//! started. A process of ours that is killed closes its end too, so no download outlives it. One that did would keep podman's
//! lock on the machine, and the next init would wait for that without a word.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    process::Stdio,
};

use pty_process::{Command, OwnedReadPty, OwnedWritePty, Pts, Pty, Size};
use tokio::{
    io::AsyncReadExt,
    process::{Child, Command as Plain},
};

/// The end of a terminal at which a program reads what a child draws.
pub(crate) struct Screen(Pty);

/// The end of a terminal that a child has.
pub(crate) struct Terminal(Pts);

/// Opens a terminal: our end, and the child's.
pub(crate) fn open() -> io::Result<(Screen, Terminal)> {
    let (ours, childs) = pty_process::open().map_err(plain)?;
    // Podman leaves its bars out where the terminal has no width.
    ours.resize(Size::new(50, 120)).map_err(plain)?;
    Ok((Screen(ours), Terminal(childs)))
}

/// Opens a terminal that gives on every byte as it is, for a child that is talked with: our end, and the child's.
pub(crate) fn open_plain() -> io::Result<(Screen, Terminal)> {
    let (ours, childs) = pty_process::open().map_err(plain)?;
    // Podman does so too, but later: until then it would echo what is written.
    let mut modes = rustix::termios::tcgetattr(&childs)?;
    modes.make_raw();
    rustix::termios::tcsetattr(&childs, rustix::termios::OptionalActions::Now, &modes)?;
    Ok((Screen(ours), Terminal(childs)))
}

impl Terminal {
    /// Starts a command that reads and writes here, in a session of its own.
    pub(crate) fn spawn_reading(self, command: Plain) -> io::Result<Child> {
        Command::from(command).spawn(self.0).map_err(plain)
    }

    /// Starts a command whose outputs go here, in a session and so in a process group of its own.
    pub(crate) fn spawn(self, command: Plain) -> io::Result<Child> {
        // What has a terminal to read from may ask questions of it.
        Command::from(command).stdin(Stdio::null()).spawn(self.0).map_err(plain)
    }
}

impl Screen {
    /// Parts it into what reads, what writes, and what says how large it is.
    pub(crate) fn split(self) -> io::Result<(OwnedReadPty, OwnedWritePty, OwnedFd)> {
        let size = self.0.as_fd().try_clone_to_owned()?;
        let (reader, writer) = self.0.into_split();
        Ok((reader, writer, size))
    }

    /// Reads what was drawn; 0 when the last one who could draw has gone. Safe to drop.
    pub(crate) async fn read(&mut self, buffer: &mut [u8]) -> usize {
        // Linux says EIO where others say that it is the end.
        self.0.read(buffer).await.unwrap_or(0)
    }
}

/// Says how large a terminal is. One that is gone has no size.
pub(crate) fn resize(terminal: &OwnedFd, rows: u16, columns: u16) {
    let size = rustix::termios::Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let _ = rustix::termios::tcsetwinsize(terminal, size);
}

fn plain(error: pty_process::Error) -> io::Error {
    match error {
        pty_process::Error::Io(error) => error,
        pty_process::Error::Rustix(error) => error.into(),
        error => io::Error::other(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::process::ExitStatusExt, time::Duration};

    use super::*;

    #[tokio::test]
    async fn who_closes_the_terminal_ends_what_runs_on_it() {
        let (mut screen, terminal) = open().unwrap();
        let mut command = Plain::new("sh");
        command.args(["-c", "echo here; exec sleep 60"]);
        let mut child = terminal.spawn(command).unwrap();
        assert!(screen.read(&mut [0; 64]).await > 0);
        drop(screen);
        let ended = tokio::time::timeout(Duration::from_secs(10), child.wait()).await;
        assert_eq!(ended.unwrap().unwrap().signal(), Some(rustix::process::Signal::HUP.as_raw()));
    }
}
