//! Logs and events: commands that print lines for as long as somebody reads.

use std::collections::VecDeque;

use futures_util::{StreamExt, stream};
use runtime_core::{EngineEvents, Error, LogLine, LogOptions, LogSource, LogStream, Result};
use tokio::{
    io::BufReader,
    process::{ChildStderr, ChildStdout},
};

use crate::{
    command::{Group, Invocation, Podman, last_lines, read_line},
    failure::{Subject, explain},
    parse,
};

/// A longer line comes in pieces.
const MAX_LINE: usize = 64 << 10;
/// So many lines of one output wait for an earlier one of the other, at most.
const REORDER: usize = 10_000;

struct Pipes {
    group: Group,
    stdout: Option<BufReader<ChildStdout>>,
    stderr: Option<BufReader<ChildStderr>>,
    /// Lines that were read and not given, each output's in its order.
    out: VecDeque<LogLine>,
    err: VecDeque<LogLine>,
    follow: bool,
    timestamps: bool,
    half_out: Vec<u8>,
    half_err: Vec<u8>,
}

/// Podman writes a container's two outputs to its own two, so their common order is lost; the times that it writes
/// bring it back.
pub(crate) fn open(podman: &Podman, id: &str, options: &LogOptions) -> Result<LogStream> {
    let mut command = Invocation::new(["logs", "--timestamps"]);
    if options.follow {
        command = command.args(["--follow"]);
    }
    if let Some(tail) = options.tail {
        command = command.args([format!("--tail={tail}")]);
    }
    if let Some(since) = options.since {
        command = command.args([format!("--since={}", parse::seconds(since))]);
    }
    let mut group = podman.spawn(&command.args(["--", id]))?;
    let pipes = Pipes {
        stdout: group.child.stdout.take().map(|pipe| BufReader::with_capacity(MAX_LINE, pipe)),
        stderr: group.child.stderr.take().map(|pipe| BufReader::with_capacity(MAX_LINE, pipe)),
        group,
        out: VecDeque::new(),
        err: VecDeque::new(),
        follow: options.follow,
        timestamps: options.timestamps,
        half_out: Vec::new(),
        half_err: Vec::new(),
    };
    let id = id.to_owned();
    let lines = stream::unfold(Some(pipes), move |pipes| {
        let id = id.clone();
        async move {
            let mut pipes = pipes?;
            match pipes.next().await {
                Some(mut line) => {
                    if !pipes.timestamps {
                        line.time = None;
                    }
                    Some((Ok(line), Some(pipes)))
                }
                None => {
                    let status = pipes.group.child.wait().await.ok()?;
                    if status.success() {
                        return None;
                    }
                    let finished = crate::command::Finished {
                        exit_code: status.code(),
                        stdout: Vec::new(),
                        stderr: pipes.err.iter().map(|line| line.text.clone()).collect(),
                        command: pipes.group.command.clone(),
                    };
                    let subject = Subject { kind: runtime_core::ResourceKind::Container, name: &id };
                    Some((Err(explain(&finished, subject)), None))
                }
            }
        }
    });
    Ok(lines.boxed())
}

impl Pipes {
    async fn next(&mut self) -> Option<LogLine> {
        loop {
            let (out, err) = (self.out.front(), self.err.front());
            let open = (self.stdout.is_some(), self.stderr.is_some());
            match (out, err) {
                (Some(a), Some(b)) => {
                    return if a.time <= b.time { self.out.pop_front() } else { self.err.pop_front() };
                }
                (Some(_), None) if !open.1 || self.follow || self.out.len() >= REORDER => {
                    return self.out.pop_front();
                }
                (None, Some(_)) if !open.0 || self.follow || self.err.len() >= REORDER => {
                    return self.err.pop_front();
                }
                (None, None) if open == (false, false) => return None,
                _ => self.read().await,
            }
        }
    }

    /// Reads at least one line from whichever output has one, and the other's if it has one too.
    async fn read(&mut self) {
        tokio::select! {
            more = line_of(&mut self.stdout, &mut self.half_out, LogSource::Stdout) => match more {
                Some(line) => self.out.push_back(line),
                None => self.stdout = None,
            },
            more = line_of(&mut self.stderr, &mut self.half_err, LogSource::Stderr) => match more {
                Some(line) => self.err.push_back(line),
                None => self.stderr = None,
            },
        }
    }
}

/// Reads one line. Safe to drop: what was read of a line stays in `half`.
async fn line_of(
    pipe: &mut Option<BufReader<impl tokio::io::AsyncRead + Unpin>>,
    half: &mut Vec<u8>,
    source: LogSource,
) -> Option<LogLine> {
    let Some(reader) = pipe else { return std::future::pending().await };
    if !complete_line(reader, half).await {
        return None;
    }
    let line = std::mem::take(half);
    let text = String::from_utf8_lossy(&line);
    let (time, text) = match text.split_once(' ') {
        Some((time, text)) if time.len() >= 20 && time.as_bytes()[4] == b'-' && time.contains('T') => {
            (Some(time.to_owned()), text.to_owned())
        }
        _ if text.len() >= 20
            && text.as_bytes()[4] == b'-'
            && text.contains('T')
            && !text.contains(char::is_whitespace) =>
        {
            (Some(text.into_owned()), String::new())
        }
        _ => (None, text.into_owned()),
    };
    Some(LogLine { stream: source, time, text: text.trim_end_matches('\r').to_owned() })
}

/// Reads until a line is whole or as long as it may be; each await leaves `half` as far as it is.
async fn complete_line(reader: &mut (impl tokio::io::AsyncBufRead + Unpin), half: &mut Vec<u8>) -> bool {
    use tokio::io::AsyncBufReadExt;
    loop {
        let Ok(buffer) = reader.fill_buf().await else { return !half.is_empty() };
        if buffer.is_empty() {
            return !half.is_empty();
        }
        let window = &buffer[..buffer.len().min(MAX_LINE - half.len())];
        let end = window.iter().position(|byte| *byte == b'\n');
        half.extend_from_slice(&window[..end.unwrap_or(window.len())]);
        let used = end.map_or(window.len(), |end| end + 1);
        reader.consume(used);
        if end.is_some() || half.len() >= MAX_LINE {
            return true;
        }
    }
}

/// What happens to containers from now on.
pub(crate) fn events(podman: &Podman, project: Option<&str>) -> Result<EngineEvents> {
    let mut command =
        Invocation::new(["events", "--stream", "--format", "json", "--filter", "type=container"]);
    if let Some(project) = project {
        command = command
            .args(["--filter".to_owned(), format!("label={}={project}", runtime_core::labels::PROJECT)]);
    }
    let mut group = podman.spawn(&command)?;
    let (Some(stdout), Some(stderr)) = (group.child.stdout.take(), group.child.stderr.take()) else {
        return Err(Error::InvalidProject("podman was started without its pipes".into()));
    };
    // Nobody reads what it complains of, but it must not fill its pipe and hang.
    let drain = tokio::spawn(async move {
        let mut lines = VecDeque::new();
        last_lines(stderr, &mut lines).await;
    });
    let reader = BufReader::new(stdout);
    let lines = stream::unfold((group, drain, reader), |(group, drain, mut reader)| async move {
        let mut line = Vec::new();
        loop {
            if !read_line(&mut reader, &mut line, 1 << 20).await {
                return None;
            }
            match parse::event(&line) {
                Ok(Some(event)) => return Some((Ok(event), (group, drain, reader))),
                Ok(None) => {}
                Err(error) => return Some((Err(error), (group, drain, reader))),
            }
        }
    });
    Ok(lines.boxed())
}
