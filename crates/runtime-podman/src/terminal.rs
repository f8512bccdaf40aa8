//! A terminal for a child, because podman draws its bars, and so tells its bytes, on nothing else.

use std::{fs::File, io};

use rustix::{
    fs::{Mode, OFlags, fcntl_getfl, fcntl_setfl, open as open_file},
    io::{FdFlags, fcntl_setfd},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};
use tokio::{io::AsyncReadExt, net::unix::pipe::Receiver};

/// Podman leaves its bars out where the terminal has no width.
const SIZE: Winsize = Winsize { ws_row: 50, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 };

/// The end of a terminal at which a program reads what a child draws.
#[derive(Debug)]
pub(crate) struct Screen(Receiver);

/// Opens a terminal: our end, and the child's.
pub(crate) fn open() -> io::Result<(Screen, File)> {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
    fcntl_setfd(&ours, FdFlags::CLOEXEC)?;
    grantpt(&ours)?;
    unlockpt(&ours)?;
    let name = ptsname(&ours, Vec::new())?;
    let childs = open_file(&*name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
    tcsetwinsize(&childs, SIZE)?;
    fcntl_setfl(&ours, fcntl_getfl(&ours)? | OFlags::NONBLOCK)?;
    // It is no pipe, and is read like one.
    Ok((Screen(Receiver::from_owned_fd_unchecked(ours)?), File::from(childs)))
}

impl Screen {
    /// Reads what was drawn; 0 when the last one who could draw has gone. Safe to drop.
    pub(crate) async fn read(&mut self, buffer: &mut [u8]) -> usize {
        // Linux says EIO where others say that it is the end.
        self.0.read(buffer).await.unwrap_or(0)
    }
}
