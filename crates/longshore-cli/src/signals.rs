//! Ctrl-C and SIGTERM, as values that can be awaited.

use std::{fmt, io};

use tokio::sync::watch;

/// A signal that asks the program to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Ctrl-C.
    Interrupt,
    /// SIGTERM; on Windows a console that is closed, or the end of the session.
    Terminate,
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Interrupt => "Ctrl-C",
            Self::Terminate => "SIGTERM",
        })
    }
}

/// The signals received until now: how many, and the first.
#[derive(Debug, Clone)]
pub(crate) struct Signals(watch::Receiver<(u32, Signal)>);

impl Signals {
    /// Takes the signals over from the system; from now on they do not end the process.
    pub(crate) fn listen() -> io::Result<Self> {
        let (sender, receiver) = watch::channel((0, Signal::Interrupt));
        let mut source = Source::new()?;
        tokio::spawn(async move {
            while let Some(signal) = source.next().await {
                sender.send_modify(|(count, first)| {
                    if *count == 0 {
                        *first = signal;
                    }
                    *count += 1;
                });
            }
            // Without a source no signal comes; those who wait for one wait on.
            std::future::pending::<()>().await;
        });
        Ok(Self(receiver))
    }

    /// Waits for one more than have been received.
    pub(crate) async fn another(&self) -> Signal {
        let received = self.0.borrow().0;
        self.nth(received + 1).await
    }

    /// Waits until so many have been received in all; tells the first.
    pub(crate) async fn nth(&self, number: u32) -> Signal {
        let mut receiver = self.0.clone();
        let seen = receiver.wait_for(|(count, _)| *count >= number).await.map(|seen| seen.1);
        match seen {
            Ok(signal) => signal,
            Err(_) => std::future::pending().await,
        }
    }
}

#[cfg(unix)]
struct Source {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Source {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) -> Option<Signal> {
        tokio::select! {
            received = self.interrupt.recv() => received.map(|()| Signal::Interrupt),
            received = self.terminate.recv() => received.map(|()| Signal::Terminate),
        }
    }
}

#[cfg(windows)]
struct Source {
    interrupt: tokio::signal::windows::CtrlC,
    /// Ctrl-Break, which is also how one program interrupts another.
    interrupt_by_break: tokio::signal::windows::CtrlBreak,
    close: tokio::signal::windows::CtrlClose,
    logoff: tokio::signal::windows::CtrlLogoff,
    shutdown: tokio::signal::windows::CtrlShutdown,
}

#[cfg(windows)]
impl Source {
    fn new() -> io::Result<Self> {
        use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close, ctrl_logoff, ctrl_shutdown};
        Ok(Self {
            interrupt: ctrl_c()?,
            interrupt_by_break: ctrl_break()?,
            close: ctrl_close()?,
            logoff: ctrl_logoff()?,
            shutdown: ctrl_shutdown()?,
        })
    }

    /// What ends a session leaves a process a few seconds, and then ends it.
    async fn next(&mut self) -> Option<Signal> {
        tokio::select! {
            received = self.interrupt.recv() => received.map(|()| Signal::Interrupt),
            received = self.interrupt_by_break.recv() => received.map(|()| Signal::Interrupt),
            received = self.close.recv() => received.map(|()| Signal::Terminate),
            received = self.logoff.recv() => received.map(|()| Signal::Terminate),
            received = self.shutdown.recv() => received.map(|()| Signal::Terminate),
        }
    }
}
