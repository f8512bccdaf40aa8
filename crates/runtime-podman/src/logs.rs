//! Logs, events and what containers use: commands that print lines for as long as somebody reads.

use std::{
    collections::VecDeque,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use compose_file::ProjectName;
use futures_util::{
    StreamExt,
    stream::{self, BoxStream, SelectAll},
};
use runtime_core::{
    ContainerId, Engine, EngineEvents, Error, LogLine, LogLines, LogOptions, LogSource, LogStream,
    Rereadable, ResourceKind, Result, Run, Subscription, Usages, labels, reread, reread_last, resubscribing,
};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio_util::io::ReaderStream;

use crate::{
    cli::PodmanCli,
    command::{Finished, Group, Invocation, MAX_STDERR_LINES, Podman, last_lines, read_line},
    failure::{Subject, explain},
    log_file::{self, Wanted},
    parse,
};

/// So much is read at once; of a longer line so much is read before it is given in pieces.
const CHUNK: usize = 64 << 10;
/// A time that podman writes is not longer.
const LONGEST_TIME: usize = 40;

/// One of podman's two outputs.
struct Pipe {
    source: LogSource,
    reader: Option<BufReader<Box<dyn AsyncRead + Send + Unpin>>>,
    /// What was read and does not end a line.
    half: Vec<u8>,
    lines: LogLines,
}

/// What is being read of a log. Podman writes a container's two outputs to its own two, so their common order is lost; the
/// times that it writes bring it back.
struct Reading {
    engine: PodmanCli,
    id: String,
    options: LogOptions,
    group: Group,
    out: Pipe,
    err: Pipe,
    /// What podman itself said: lines without a time.
    complaints: VecDeque<String>,
    follows: bool,
    /// The newest line when the log ended last.
    ended_at: Option<SystemTime>,
    /// Whether what has no end yet is a line too.
    to_the_end: bool,
    over: bool,
}

/// A container's log in a file.
struct Log {
    engine: PodmanCli,
    id: String,
    file: PathBuf,
}

impl Log {
    /// Reads the file itself. `None` where podman has to be asked.
    async fn read_file(&self, wanted: Wanted) -> Option<LogStream> {
        // Elsewhere its path may be another file here.
        if self.engine.is_remote() { None } else { log_file::read(&self.file, wanted).await }
    }
}

/// Podman (4.3.1) loses lines of a log in a file that it follows: at one that is half written it goes to the file's end, over
/// what was written meanwhile. So its following is no more than a bell.
#[async_trait]
impl Rereadable for Log {
    /// A process a reading, where it is not the file that is read: many lines are read together.
    const REST: Duration = Duration::from_millis(100);

    async fn read(
        &self,
        since: Option<SystemTime>,
        tail: Option<u64>,
        to_the_end: bool,
    ) -> Result<LogStream> {
        let wanted = Wanted { since, in_order: true, tail, times: true, to_the_end };
        if let Some(lines) = self.read_file(wanted).await {
            return Ok(lines);
        }
        let options = LogOptions { since, tail, follow: false, timestamps: true };
        read(self.engine.clone(), &self.id, &options, to_the_end)
    }

    async fn bell(&self) -> Result<BoxStream<'static, ()>> {
        let options = LogOptions { tail: Some(0), ..LogOptions::default() };
        let mut group = spawn(self.engine.podman(), &self.id, &options, true)?;
        let mut pipes: SelectAll<ReaderStream<Box<dyn AsyncRead + Send + Unpin>>> = SelectAll::new();
        pipes.extend(group.child.stdout.take().map(|pipe| ReaderStream::new(Box::new(pipe) as Box<_>)));
        pipes.extend(group.child.stderr.take().map(|pipe| ReaderStream::new(Box::new(pipe) as Box<_>)));
        let rings = stream::unfold((group, pipes), |(group, mut pipes)| async move {
            pipes.next().await.map(|_| ((), (group, pipes)))
        });
        Ok(rings.boxed())
    }

    async fn run(&self, newest: Option<SystemTime>) -> Result<Run> {
        run(&self.engine, &self.id, newest).await
    }

    async fn wait(&self) {
        // Where it cannot be waited for, asking again says why.
        let _ = self.engine.wait(&self.id).await;
    }
}

/// How the container is now that a log has ended whose newest line is so old.
async fn run(engine: &PodmanCli, id: &str, newest: Option<SystemTime>) -> Result<Run> {
    let container = match engine.inspect(id).await {
        Ok(container) => container,
        // One that is gone has no log any more.
        Err(Error::NotFound { .. }) => return Ok(Run::Gone),
        Err(error) => return Err(error),
    };
    Ok(Run::of(container.state.is_running(), container.finished, newest))
}

pub(crate) async fn open(engine: PodmanCli, id: &str, options: &LogOptions) -> Result<LogStream> {
    // Elsewhere a file cannot be read, and each command is dear.
    let is_by_file = options.follow || options.tail.is_some() || !engine.is_remote();
    let file = if is_by_file { engine.log_file(id).await? } else { None };
    let Some(file) = file else { return read(engine, id, options, true) };
    let log = Log { engine, id: id.to_owned(), file };
    if options.follow {
        return Ok(reread(log, options.clone()));
    }
    let (since, tail, times) = (options.since, options.tail, options.timestamps);
    let wanted = Wanted { since, in_order: false, tail, times, to_the_end: true };
    match (log.read_file(wanted).await, tail) {
        (Some(lines), _) => Ok(lines),
        (None, Some(tail)) => reread_last(&log, tail, options).await,
        (None, None) => read(log.engine, id, options, true),
    }
}

fn read(engine: PodmanCli, id: &str, options: &LogOptions, to_the_end: bool) -> Result<LogStream> {
    let group = spawn(engine.podman(), id, options, options.follow)?;
    let pipe = |source| Pipe { source, reader: None, half: Vec::new(), lines: LogLines::new(options) };
    let mut reading = Reading {
        engine,
        id: id.to_owned(),
        options: options.clone(),
        group,
        out: pipe(LogSource::Stdout),
        err: pipe(LogSource::Stderr),
        complaints: VecDeque::new(),
        follows: options.follow,
        ended_at: None,
        to_the_end,
        over: false,
    };
    reading.connect();
    let lines =
        stream::unfold(
            reading,
            |mut reading| async move { reading.next().await.map(|line| (line, reading)) },
        );
    Ok(lines.boxed())
}

fn spawn(podman: &Podman, id: &str, options: &LogOptions, follow: bool) -> Result<Group> {
    let mut command = Invocation::new(["logs", "--timestamps"]);
    if follow {
        command = command.args(["--follow"]);
    }
    if let Some(tail) = options.tail {
        command = command.args([format!("--tail={tail}")]);
    }
    // Podman may take the very moment to be over. What is too early is not told.
    if let Some(since) = options.since.and_then(|since| since.checked_sub(Duration::from_millis(1))) {
        command = command.args([format!("--since={}", parse::seconds(since))]);
    }
    podman.spawn(&command.args(["--", id]))
}

impl Reading {
    fn connect(&mut self) {
        let (out, err) = (self.group.child.stdout.take(), self.group.child.stderr.take());
        self.out.reader = out.map(|pipe| BufReader::with_capacity(CHUNK, Box::new(pipe) as Box<_>));
        self.err.reader = err.map(|pipe| BufReader::with_capacity(CHUNK, Box::new(pipe) as Box<_>));
    }

    async fn next(&mut self) -> Option<Result<LogLine>> {
        loop {
            if self.over {
                return None;
            }
            if let Some(mut line) = self.ready() {
                if line.time.is_none() && line.stream == LogSource::Stderr {
                    if self.complaints.len() == MAX_STDERR_LINES {
                        self.complaints.pop_front();
                    }
                    self.complaints.push_back(line.text);
                    continue;
                }
                line.time = line.time.filter(|_| self.options.timestamps);
                return Some(Ok(line));
            }
            if self.out.reader.is_some() || self.err.reader.is_some() {
                tokio::select! {
                    () = self.out.read() => {},
                    () = self.err.read() => {},
                }
                continue;
            }
            match self.ended().await {
                Ok(true) => {}
                Ok(false) => {
                    if self.to_the_end {
                        self.out.lines.end(LogSource::Stdout);
                        self.err.lines.end(LogSource::Stderr);
                    }
                    self.over = self.out.lines.ready() == 0 && self.err.lines.ready() == 0;
                }
                Err(error) => {
                    self.over = true;
                    return Some(Err(error));
                }
            }
        }
    }

    /// The next line, if it is known to be the next.
    fn ready(&mut self) -> Option<LogLine> {
        // While a log is followed, an output that is silent must not hold up the other.
        let may_precede = |source, _: &LogLine| !self.follows && self.pipe(source).reader.is_some();
        match LogLines::first_of(&self.out.lines, &self.err.lines, may_precede)? {
            LogSource::Stdout => self.out.lines.pop(),
            LogSource::Stderr => self.err.lines.pop(),
        }
    }

    fn pipe(&self, source: LogSource) -> &Pipe {
        match source {
            LogSource::Stdout => &self.out,
            LogSource::Stderr => &self.err,
        }
    }

    /// What follows when podman has written everything. Podman 4.3 ends a followed log with the container, now and then
    /// before its last lines and now and then too early; so it is read again from its newest line. Returns whether there
    /// may be more.
    async fn ended(&mut self) -> Result<bool> {
        let status = self.group.child.wait().await;
        if !status.as_ref().is_ok_and(std::process::ExitStatus::success) {
            let finished = Finished {
                exit_code: status.ok().and_then(|status| status.code()),
                stdout: Vec::new(),
                stderr: std::mem::take(&mut self.complaints).into(),
                command: self.group.command.clone(),
            };
            let subject = Subject { kind: ResourceKind::Container, name: &self.id };
            return Err(explain(&finished, subject));
        }
        if !self.follows {
            return Ok(false);
        }
        let last = [&self.out, &self.err].map(|pipe| pipe.lines.last());
        let newest = last.iter().flatten().max().copied();
        let until = match run(&self.engine, &self.id, newest).await? {
            Run::Gone => return Ok(false),
            Run::Going => {
                if self.ended_at == newest {
                    self.engine.wait(&self.id).await?;
                }
                None
            }
            Run::Over { next } => {
                self.follows = false;
                next
            }
        };
        self.ended_at = newest;
        let mut options = self.options.clone();
        if let Some(last) = last.into_iter().flatten().min() {
            options.since = Some(last);
            options.tail = None;
        }
        self.out.lines.only_newer(until);
        self.err.lines.only_newer(until);
        self.group = spawn(self.engine.podman(), &self.id, &options, self.follows)?;
        self.connect();
        Ok(true)
    }
}

impl Pipe {
    /// Reads what is there, or waits for it. Safe to drop.
    async fn read(&mut self) {
        let Some(reader) = &mut self.reader else { return std::future::pending().await };
        let read = match reader.fill_buf().await {
            Ok(buffer) => {
                self.half.extend_from_slice(buffer);
                buffer.len()
            }
            Err(_) => 0,
        };
        reader.consume(read);
        let whole = match self.half.iter().rposition(|byte| *byte == b'\n') {
            _ if read == 0 => self.half.len(),
            Some(end) => end + 1,
            // A time that is cut in two would not be known as one.
            None if self.half.len() > CHUNK => self.half.len() - LONGEST_TIME,
            None => 0,
        };
        let rest = self.half.split_off(whole);
        self.lines.take_with_inner_times(self.source, &self.half);
        self.half = rest;
        if read == 0 {
            self.reader = None;
        }
    }
}

/// How long a connection may take until it is listened over. Elsewhere the clock is another one, and podman counts this back
/// from that one; what was just before is told too.
const CONNECTING: &str = "30s";

/// What happens to containers from now on.
pub(crate) async fn events(engine: &PodmanCli, project: Option<&ProjectName>) -> Result<EngineEvents> {
    // Podman takes a while until it listens; what happens until then is not lost.
    let from = engine.podman().global.is_empty().then(SystemTime::now);
    let (engine, project) = (engine.clone(), project.cloned());
    resubscribing(move |from| std::future::ready(subscribe(engine.podman(), project.as_ref(), from)), from)
        .await
}

fn subscribe(
    podman: &Podman,
    project: Option<&ProjectName>,
    from: Option<SystemTime>,
) -> Result<Subscription> {
    let mut command =
        Invocation::new(["events", "--stream", "--format", "json", "--filter", "type=container"]);
    if let Some(project) = project {
        command = command.args(["--filter".to_owned(), format!("label={}", labels::of_project(project))]);
    }
    let since = from.map_or_else(|| CONNECTING.to_owned(), parse::seconds);
    command = command.args([format!("--since={since}")]);
    let events = lines(podman, &command)?
        .filter_map(|line| std::future::ready(line.and_then(|line| parse::event(&line)).transpose()));
    Ok(events.boxed())
}

/// What running containers use, each second.
pub(crate) fn stats(podman: &Podman, ids: &[ContainerId]) -> Result<Usages> {
    let command = Invocation::new(["stats", "--format", "json", "--interval", "1", "--"]);
    let lines = lines(podman, &command.args(ids.iter().map(|id| id.0.clone())))?;
    let reading = (lines, ids.to_vec(), Vec::new(), true);
    let usages = stream::unfold(Some(reading), |reading| async move {
        let (mut lines, ids, mut text, mut is_first) = reading?;
        loop {
            let line = match lines.next().await? {
                Ok(line) => line,
                Err(error) => return Some((Err(error), None)),
            };
            text.extend_from_slice(&line);
            text.push(b'\n');
            if line != b"]" {
                continue;
            }
            let usages = match parse::usages(&std::mem::take(&mut text), &ids) {
                Ok(usages) => usages,
                Err(error) => return Some((Err(error), None)),
            };
            // First it is told what they have used of processors since they were started.
            if std::mem::take(&mut is_first) {
                continue;
            }
            return match usages.is_empty() {
                true => None,
                false => Some((Ok(usages), Some((lines, ids, text, is_first)))),
            };
        }
    });
    Ok(usages.boxed())
}

/// What a command prints, line by line, for as long as it runs. That it fails is the end.
fn lines(podman: &Podman, command: &Invocation) -> Result<BoxStream<'static, Result<Vec<u8>>>> {
    let mut group = podman.spawn(command)?;
    let (Some(stdout), Some(stderr)) = (group.child.stdout.take(), group.child.stderr.take()) else {
        return Err(Error::InvalidProject("podman was started without its pipes".into()));
    };
    // What it complains of must not fill its pipe and hang it.
    let complaints = tokio::spawn(async move {
        let mut lines = VecDeque::new();
        last_lines(stderr, &mut lines).await;
        lines
    });
    let lines = stream::unfold(Some((group, complaints, BufReader::new(stdout))), |reading| async move {
        let (mut group, complaints, mut reader) = reading?;
        let mut line = Vec::new();
        if read_line(&mut reader, &mut line, 1 << 20).await {
            return Some((Ok(line), Some((group, complaints, reader))));
        }
        let exit_code = group.child.wait().await.ok().and_then(|status| status.code());
        if exit_code == Some(0) {
            return None;
        }
        let stderr = complaints.await.unwrap_or_default().into();
        let command = group.command.clone();
        let finished = Finished { exit_code, stdout: Vec::new(), stderr, command };
        let subject = Subject { kind: ResourceKind::Container, name: "the engine" };
        Some((Err(explain(&finished, subject)), None))
    });
    Ok(lines.boxed())
}
