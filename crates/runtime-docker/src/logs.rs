//! Logs as lines.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bollard::{
    Docker,
    container::LogOutput,
    errors::Error as Bollard,
    query_parameters::{InspectContainerOptions, LogsOptionsBuilder, WaitContainerOptionsBuilder},
};
use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use runtime_core::{
    Error, LogLine, LogLines, LogOptions, LogSource, LogStream, Rereadable, ResourceKind, Result, Run,
    reread, reread_last,
};

use crate::{
    convert,
    failure::{Asked, Peer, explain},
};

type Chunks = BoxStream<'static, Result<LogOutput, Bollard>>;

/// Whose log it is, and what is wanted of it.
#[derive(Clone)]
struct Log {
    docker: Docker,
    peer: Peer,
    id: String,
    options: LogOptions,
}

impl Log {
    /// Whether it is read once, all of it, and without its times.
    fn is_plain(&self) -> bool {
        !self.options.follow && !self.options.timestamps && self.options.since.is_none()
    }

    fn request(&self, follow: bool, since: Option<SystemTime>, tail: Option<u64>) -> Chunks {
        let since = since.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
        let query = LogsOptionsBuilder::new()
            .follow(follow)
            .stdout(true)
            .stderr(true)
            .timestamps(!self.is_plain())
            .since(since.map_or(0, |since| i32::try_from(since.as_secs()).unwrap_or(i32::MAX)))
            .tail(&tail.map_or_else(|| "all".to_owned(), |tail| tail.to_string()))
            .build();
        self.docker.logs(&self.id, Some(query)).boxed()
    }

    /// Opens it where it was read to.
    fn open(&self, lines: &LogLines, follow: bool) -> Chunks {
        match lines.last() {
            Some(last) => self.request(follow, Some(last), None),
            None => self.request(follow, self.options.since, self.options.tail),
        }
    }

    fn explain(&self, error: &Bollard) -> Error {
        let asked = Asked { operation: "read the log of", kind: ResourceKind::Container, name: &self.id };
        explain(error, asked, &self.peer)
    }

    fn shown(&self, mut line: LogLine) -> LogLine {
        line.time = line.time.filter(|_| self.options.timestamps);
        line
    }
}

/// A log as the engine tells it.
struct Reading {
    log: Log,
    lines: LogLines,
    chunks: Chunks,
    follows: bool,
    /// Whether what has no end yet is a line too.
    to_the_end: bool,
    /// The newest line when the log ended last.
    ended_at: Option<SystemTime>,
}

impl Reading {
    fn new(log: Log, to_the_end: bool) -> Self {
        let lines = if log.is_plain() { LogLines::without_times() } else { LogLines::new(&log.options) };
        let follows = log.options.follow;
        let chunks = log.open(&lines, follows);
        Self { log, lines, chunks, follows, to_the_end, ended_at: None }
    }

    fn into_stream(self) -> LogStream {
        stream::unfold(self, |mut reading| async move { reading.next().await.map(|line| (line, reading)) })
            .boxed()
    }

    /// Goes on when a followed log has ended. Docker 20.10 ends it with the container, now and then before its last lines
    /// and now and then too early. Returns whether there may be more.
    async fn go_on(&mut self) -> Result<bool> {
        if !self.follows {
            return Ok(false);
        }
        let last = self.lines.last();
        match self.log.run(last).await? {
            Run::Gone => return Ok(false),
            Run::Going => {
                if self.ended_at == last {
                    self.log.wait().await;
                }
                self.lines.only_newer(None);
            }
            Run::Over { next } => {
                self.follows = false;
                self.lines.only_newer(next);
            }
        }
        self.ended_at = last;
        self.chunks = self.log.open(&self.lines, self.follows);
        Ok(true)
    }

    /// Ends it with that error.
    fn fail(&mut self, error: Error) -> Option<Result<LogLine>> {
        self.chunks = stream::empty().boxed();
        self.follows = false;
        Some(Err(error))
    }

    async fn next(&mut self) -> Option<Result<LogLine>> {
        loop {
            if let Some(line) = self.lines.pop() {
                return Some(Ok(self.log.shown(line)));
            }
            match self.chunks.next().await {
                Some(Ok(LogOutput::StdErr { message })) => self.lines.take(LogSource::Stderr, &message),
                Some(Ok(output)) => self.lines.take(LogSource::Stdout, output.as_ref()),
                Some(Err(error)) => return self.fail(self.log.explain(&error)),
                None => match self.go_on().await {
                    Err(error) => return self.fail(error),
                    Ok(true) => {}
                    Ok(false) => {
                        if self.to_the_end {
                            self.lines.end(LogSource::Stdout);
                            self.lines.end(LogSource::Stderr);
                        }
                        if self.lines.ready() == 0 {
                            return None;
                        }
                        self.chunks = stream::empty().boxed();
                    }
                },
            }
        }
    }
}

/// Podman's service (4.3.1) loses lines of a log in a file that it follows: at one that is half written it goes to the file's
/// end, over what was written meanwhile. So its following is no more than a bell.
#[async_trait]
impl Rereadable for Log {
    const REST: Duration = Duration::ZERO;

    async fn read(
        &self,
        since: Option<SystemTime>,
        tail: Option<u64>,
        to_the_end: bool,
    ) -> Result<LogStream> {
        let options = LogOptions { since, tail, follow: false, timestamps: true };
        Ok(Reading::new(Self { options, ..self.clone() }, to_the_end).into_stream())
    }

    async fn bell(&self) -> Result<BoxStream<'static, ()>> {
        let rings = self.request(true, None, Some(0));
        Ok(rings.take_while(|ring| std::future::ready(ring.is_ok())).map(|_| ()).boxed())
    }

    async fn run(&self, newest: Option<SystemTime>) -> Result<Run> {
        let inspect = || self.docker.inspect_container(&self.id, None::<InspectContainerOptions>);
        let container = match convert::as_docker_says(inspect().await).map_err(|error| self.explain(&error)) {
            Ok(container) => container,
            // One that is gone has no log any more.
            Err(Error::NotFound { .. }) => return Ok(Run::Gone),
            Err(error) => return Err(error),
        };
        let state = container.state.unwrap_or_default();
        let finished = state.finished_at.as_deref().and_then(convert::time);
        Ok(Run::of(state.running == Some(true), finished, newest))
    }

    async fn wait(&self) {
        let query = WaitContainerOptionsBuilder::new().condition("not-running").build();
        // An exit code that is not 0 comes as an error. Either way it has ended.
        let _ = self.docker.wait_container(&self.id, Some(query)).next().await;
    }
}

/// Opens a container's log; `is_podman` says whose service answers.
pub(crate) async fn open(
    docker: &Docker,
    peer: Peer,
    id: &str,
    options: &LogOptions,
    is_podman: bool,
) -> Result<LogStream> {
    let log = Log { docker: docker.clone(), peer, id: id.to_owned(), options: options.clone() };
    match options.tail {
        _ if !is_podman => Ok(Reading::new(log, true).into_stream()),
        Some(tail) if !options.follow => reread_last(&log, tail, options).await,
        None if !options.follow => Ok(Reading::new(log, true).into_stream()),
        _ => Ok(reread(log, options.clone())),
    }
}
