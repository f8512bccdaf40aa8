//! Talking with a process in a container: a command whose stdin and outputs are the process's.

use std::{collections::VecDeque, io, process::ExitStatus, time::Duration};

use futures_util::{
    StreamExt,
    future::ready,
    stream::{self, BoxStream, SelectAll},
};
use runtime_core::{
    AttachSpec, ContainerId, DetachKeys, Error, ExecSpec, LogSource, ResourceKind, Result, Session,
    SessionEvent, SessionInput, TerminalSize,
};
use tokio::{
    io::AsyncRead,
    sync::watch,
    time::{Instant, sleep_until},
};
use tokio_util::io::ReaderStream;

use crate::{
    command::{Finished, Group, Invocation, MAX_STDERR_LINES, Podman},
    create,
    failure::{Subject, explain},
};

/// How long the pipes of a podman that has ended may stay open: what it left behind has them then.
const LINGER: Duration = Duration::from_secs(1);
/// Podman's own last word begins so, and not what a process says.
const PODMANS: &[u8] = b"Error: ";

/// Who talks with a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Talk {
    /// Nobody, and nobody waits for it.
    Never,
    /// Somebody hears what it says.
    Listen,
    /// Somebody hears it and may answer.
    ToAndFro,
    /// Somebody has a terminal with it.
    OnTerminal,
}

/// A command in a running container.
pub(crate) fn exec(id: &ContainerId, spec: &ExecSpec, talk: Talk) -> Invocation {
    let mut command = create::environment(Invocation::new(["exec"]), &spec.environment);
    for (flag, on) in [
        ("--detach", talk == Talk::Never),
        ("--interactive", spec.stdin && matches!(talk, Talk::ToAndFro | Talk::OnTerminal)),
        ("--tty", spec.tty && matches!(talk, Talk::Never | Talk::OnTerminal)),
        ("--privileged", spec.privileged),
    ] {
        if on {
            command = command.args([flag]);
        }
    }
    for (flag, value) in [("--user", &spec.user), ("--workdir", &spec.working_dir)] {
        command = command.args(value.iter().map(|value| format!("{flag}={value}")));
    }
    if talk == Talk::OnTerminal {
        command = command.args([keys(&spec.detach_keys)]);
    }
    command.args(["--", &id.0]).args(spec.command.iter().cloned())
}

/// A container's own process.
pub(crate) fn attach(id: &ContainerId, spec: &AttachSpec) -> Invocation {
    let command = match (spec.start, spec.stdin) {
        (true, true) => Invocation::new(["start", "--attach", "--interactive"]),
        (true, false) => Invocation::new(["start", "--attach"]),
        (false, true) => Invocation::new(["attach"]),
        (false, false) => Invocation::new(["attach", "--no-stdin"]),
    };
    let keys = spec.tty.then(|| keys(&spec.detach_keys));
    command.args(keys).args(["--sig-proxy=false", "--", &id.0])
}

/// At which keys podman itself lets go. Core does it before podman sees them.
fn keys(keys: &DetachKeys) -> String {
    format!("--detach-keys={}", keys.as_str())
}

type Pieces = SelectAll<BoxStream<'static, (LogSource, Vec<u8>)>>;

/// What is being said.
struct Talking {
    group: Group,
    pieces: Pieces,
    /// Whether everything comes by one output.
    on_terminal: bool,
    /// How podman ended, and until when its pipes may be open.
    ended: Option<(io::Result<ExitStatus>, Instant)>,
    /// What may be podman's own last word.
    held: Option<(LogSource, Vec<u8>)>,
    said: VecDeque<SessionEvent>,
    over: bool,
    id: String,
}

fn pieces(
    source: LogSource,
    pipe: impl AsyncRead + Send + 'static,
) -> BoxStream<'static, (LogSource, Vec<u8>)> {
    // A terminal whose other end has closed is an error to read, and no more than its end.
    let read = ReaderStream::new(pipe).take_while(|piece| ready(piece.is_ok()));
    read.filter_map(move |piece| ready(piece.ok().map(|piece| (source, piece.to_vec())))).boxed()
}

/// Starts a command that is talked with.
pub(crate) fn open(
    podman: &Podman,
    command: &Invocation,
    id: &ContainerId,
    talk: Talk,
    stdin: bool,
) -> Result<Session> {
    let (size, sizes) = watch::channel(TerminalSize::default());
    let mut all = SelectAll::new();
    let on_terminal = cfg!(unix) && talk == Talk::OnTerminal;
    let (group, input): (Group, Option<SessionInput>) = if on_terminal {
        on_a_terminal(podman, command, &mut all, sizes)?
    } else {
        let command = if stdin { command.clone().reading_stdin() } else { command.clone() };
        let mut group = podman.spawn(&command)?;
        all.extend(group.child.stdout.take().map(|pipe| pieces(LogSource::Stdout, pipe)));
        all.extend(group.child.stderr.take().map(|pipe| pieces(LogSource::Stderr, pipe)));
        let input = group.child.stdin.take().map(|pipe| Box::pin(pipe) as SessionInput);
        (group, input)
    };
    let talking = Talking {
        group,
        pieces: all,
        on_terminal,
        ended: None,
        held: None,
        said: VecDeque::new(),
        over: false,
        id: id.0.clone(),
    };
    let output =
        stream::unfold(
            talking,
            |mut talking| async move { talking.next().await.map(|event| (event, talking)) },
        );
    Ok(Session { output: output.boxed(), input: input.filter(|_| stdin), size })
}

#[cfg(unix)]
fn on_a_terminal(
    podman: &Podman,
    command: &Invocation,
    all: &mut Pieces,
    mut sizes: watch::Receiver<TerminalSize>,
) -> Result<(Group, Option<SessionInput>)> {
    let (group, screen) = podman.spawn_talking(command)?;
    let (reader, writer, terminal) = screen.split().map_err(|error| Error::NotPermitted {
        what: "opening a terminal for podman".to_owned(),
        reason: error.to_string(),
    })?;
    all.push(pieces(LogSource::Stdout, reader));
    // It ends with the session, which has the sender. Podman is told by the system.
    tokio::spawn(async move {
        while sizes.changed().await.is_ok() {
            let TerminalSize { rows, columns } = *sizes.borrow_and_update();
            crate::terminal::resize(&terminal, rows, columns);
        }
    });
    Ok((group, Some(Box::pin(writer))))
}

#[cfg(not(unix))]
fn on_a_terminal(
    podman: &Podman,
    command: &Invocation,
    _: &mut Pieces,
    _: watch::Receiver<TerminalSize>,
) -> Result<(Group, Option<SessionInput>)> {
    Ok((podman.spawn(command)?, None))
}

impl Talking {
    async fn next(&mut self) -> Option<Result<SessionEvent>> {
        loop {
            if let Some(event) = self.said.pop_front() {
                return Some(Ok(event));
            }
            if self.over {
                return None;
            }
            let lingering = self.ended.as_ref().map(|(_, until)| *until);
            tokio::select! {
                biased;
                piece = self.pieces.next() => match piece {
                    Some((source, bytes)) => self.take(source, bytes),
                    None => return Some(self.end().await),
                },
                status = self.group.child.wait(), if lingering.is_none() => {
                    self.ended = Some((status, Instant::now() + LINGER));
                }
                () = sleep_until(lingering.unwrap_or_else(Instant::now)), if lingering.is_some() => {
                    return Some(self.end().await);
                }
            }
        }
    }

    fn take(&mut self, source: LogSource, bytes: Vec<u8>) {
        self.release();
        if bytes.starts_with(PODMANS) && (source == LogSource::Stderr || self.on_terminal) {
            self.held = Some((source, bytes));
        } else {
            self.said.push_back(SessionEvent::Wrote { source, bytes });
        }
    }

    fn release(&mut self) {
        let held = self.held.take().map(|(source, bytes)| SessionEvent::Wrote { source, bytes });
        self.said.extend(held);
    }

    /// What follows when podman has written everything.
    async fn end(&mut self) -> Result<SessionEvent> {
        self.over = true;
        let status = match self.ended.take() {
            Some((status, _)) => status,
            None => self.group.child.wait().await,
        };
        let exit_code = status.ok().and_then(|status| status.code());
        match (exit_code, &self.held) {
            (Some(exit_code), held) if exit_code != 125 || held.is_none() => {
                self.release();
                self.said.push_back(SessionEvent::Ended { exit_code: i64::from(exit_code) });
            }
            (exit_code, held) => {
                let said = held.as_ref().map(|(_, bytes)| String::from_utf8_lossy(bytes)).unwrap_or_default();
                let stderr = said.lines().take(MAX_STDERR_LINES).map(str::to_owned).collect();
                let command = self.group.command.clone();
                let finished = Finished { exit_code, stdout: Vec::new(), stderr, command };
                return Err(explain(&finished, Subject { kind: ResourceKind::Container, name: &self.id }));
            }
        }
        // There is one at least, that of the end.
        self.said.pop_front().ok_or(Error::Cancelled)
    }
}
