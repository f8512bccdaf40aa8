//! Ctrl-C and SIGTERM, as values that can be awaited.

use std::{fmt, io};

use tokio::sync::watch;

/// A signal that asks the program to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Ctrl-C.
    Interrupt,
    /// SIGTERM.
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

#[cfg(not(unix))]
struct Source;

#[cfg(not(unix))]
impl Source {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> Option<Signal> {
        tokio::signal::ctrl_c().await.ok().map(|()| Signal::Interrupt)
    }
}
