//! Logs as lines.

use std::time::{Duration, SystemTime};

use bollard::{
    Docker,
    container::LogOutput,
    errors::Error as Bollard,
    query_parameters::{InspectContainerOptions, LogsOptionsBuilder, WaitContainerOptionsBuilder},
};
use futures_util::{
    FutureExt, StreamExt,
    stream::{self, BoxStream},
};
use runtime_core::{LogLine, LogLines, LogOptions, LogSource, LogStream, ResourceKind, Result};
use tokio::time::timeout;

use crate::{
    convert,
    failure::{Asked, explain},
};

/// How long after it was asked for a bell is certainly heard, and how long a container that runs is left alone whose bell
/// ended without a sound.
const SETTLING: Duration = Duration::from_secs(1);

type Chunks = BoxStream<'static, Result<LogOutput, Bollard>>;

/// Whose log it is, and what is wanted of it.
struct Log {
    docker: Docker,
    endpoint: String,
    id: String,
    options: LogOptions,
}

/// How a container is when its log has ended.
enum Now {
    /// It is gone, and its log is too.
    Gone,
    /// It still is in the run that was read.
    Running,
    /// That run has ended; another one may have begun then.
    Ended { before: Option<SystemTime> },
}

impl Log {
    fn request(&self, follow: bool, since: Option<SystemTime>, tail: Option<u64>) -> Chunks {
        let since = since.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
        let query = LogsOptionsBuilder::new()
            .follow(follow)
            .stdout(true)
            .stderr(true)
            .timestamps(true)
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

    async fn now(&self, lines: &LogLines) -> Now {
        let inspect = || self.docker.inspect_container(&self.id, None::<InspectContainerOptions>);
        let Ok(container) = convert::as_docker_says(inspect().await) else { return Now::Gone };
        let state = container.state.unwrap_or_default();
        let runs = state.running == Some(true);
        let before = state.finished_at.as_deref().filter(|_| runs).and_then(convert::time);
        if runs && before.is_none_or(|before| lines.last().is_some_and(|last| before < last)) {
            Now::Running
        } else {
            // One that runs again is somebody's to follow from the end of the run before.
            Now::Ended { before }
        }
    }

    /// Waits until the container does not run.
    async fn wait(&self) {
        let query = WaitContainerOptionsBuilder::new().condition("not-running").build();
        // An exit code that is not 0 comes as an error. Either way it has ended.
        let _ = self.docker.wait_container(&self.id, Some(query)).next().await;
    }

    fn explain(&self, error: &Bollard) -> runtime_core::Error {
        let asked = Asked { operation: "read the log of", kind: ResourceKind::Container, name: &self.id };
        explain(error, asked, &self.endpoint)
    }

    fn shown(&self, mut line: LogLine) -> LogLine {
        line.time = line.time.filter(|_| self.options.timestamps);
        line
    }
}

fn take(lines: &mut LogLines, output: &LogOutput) {
    match output {
        LogOutput::StdErr { message } => lines.take(LogSource::Stderr, message),
        output => lines.take(LogSource::Stdout, output.as_ref()),
    }
}

fn end(lines: &mut LogLines) {
    lines.end(LogSource::Stdout);
    lines.end(LogSource::Stderr);
}

/// A log as the engine tells it.
struct Reading {
    log: Log,
    lines: LogLines,
    chunks: Chunks,
    follows: bool,
    /// The newest line when the log ended last.
    ended_at: Option<SystemTime>,
}

impl Reading {
    /// Goes on when a followed log has ended. Docker 20.10 ends it with the container, now and then before its last lines
    /// and now and then too early. Returns whether there may be more.
    async fn go_on(&mut self) -> bool {
        if !self.follows {
            return false;
        }
        let last = self.lines.last();
        match self.log.now(&self.lines).await {
            Now::Gone => return false,
            Now::Running => {
                if self.ended_at == last {
                    self.log.wait().await;
                }
                self.lines.only_newer(None);
            }
            Now::Ended { before } => {
                self.follows = false;
                self.lines.only_newer(before);
            }
        }
        self.ended_at = last;
        self.chunks = self.log.open(&self.lines, self.follows);
        true
    }

    async fn next(&mut self) -> Option<Result<LogLine>> {
        loop {
            if let Some(line) = self.lines.pop() {
                return Some(Ok(self.log.shown(line)));
            }
            match self.chunks.next().await {
                Some(Ok(output)) => take(&mut self.lines, &output),
                Some(Err(error)) => {
                    self.chunks = stream::empty().boxed();
                    self.follows = false;
                    return Some(Err(self.log.explain(&error)));
                }
                None => {
                    if self.go_on().await {
                        continue;
                    }
                    end(&mut self.lines);
                    if self.lines.ready() == 0 {
                        return None;
                    }
                    self.chunks = stream::empty().boxed();
                }
            }
        }
    }
}

/// A log that is followed by reading it again and again. Podman's service (4.3.1) loses lines of a log in a file that it
/// follows: at one that is half written it goes to the file's end, over what was written meanwhile. So its following is no
/// more than a bell that says when to read.
struct Rereading {
    log: Log,
    lines: LogLines,
    /// What is being read.
    chunks: Option<Chunks>,
    /// Whether what is being read is all that there will be.
    is_last: bool,
    /// The line that ended the last reading. It may have been half written.
    held: Option<LogLine>,
    bell: Option<Chunks>,
    /// Whether the bell rang since this reading began, and since it was hung.
    rang: bool,
    works: bool,
    /// Whether it was read when the bell was certainly heard.
    checked: bool,
}

impl Rereading {
    fn new(log: Log) -> Self {
        let lines = LogLines::new(&log.options);
        let mut reading = Self {
            log,
            lines,
            chunks: None,
            is_last: false,
            held: None,
            bell: None,
            rang: false,
            works: false,
            checked: false,
        };
        reading.hang_bell();
        reading.read(None);
        reading
    }

    fn hang_bell(&mut self) {
        self.bell = Some(self.log.request(true, None, Some(0)));
        (self.works, self.checked) = (false, false);
    }

    fn read(&mut self, until: Option<SystemTime>) {
        self.lines.only_newer(until);
        self.rang = false;
        self.chunks = Some(match self.lines.last() {
            // Of a log whose lines are not wanted it must be known where they end.
            None if self.log.options.tail == Some(0) => self.log.request(false, None, Some(1)),
            _ => self.log.open(&self.lines, false),
        });
    }

    async fn next(&mut self) -> Option<Result<LogLine>> {
        loop {
            let skips = self.log.options.tail == Some(0);
            if !skips && self.lines.ready() > usize::from(!self.is_last) {
                return self.lines.pop().map(|line| Ok(self.log.shown(line)));
            }
            match (&mut self.chunks, &mut self.bell) {
                (Some(chunks), Some(bell)) => tokio::select! {
                    biased;
                    ring = bell.next() => self.hear(ring.is_some_and(|ring| ring.is_ok())),
                    chunk = chunks.next() => if let Err(error) = self.add(chunk) {
                        return Some(Err(error));
                    },
                },
                (Some(chunks), None) => {
                    let chunk = chunks.next().await;
                    if let Err(error) = self.add(chunk) {
                        return Some(Err(error));
                    }
                }
                _ if self.is_last => return None,
                // The last line may be a part of one, unless it is the same when it is read again.
                _ if self.lines.ready() > 0 => {
                    let is_whole = self.held.is_some() && self.lines.front() == self.held.as_ref();
                    self.held = if is_whole { None } else { self.lines.take_back() };
                    match self.held {
                        Some(_) => self.read(None),
                        None => return self.lines.pop().map(|line| Ok(self.log.shown(line))),
                    }
                }
                _ if self.rang => self.read(None),
                (None, Some(bell)) if self.checked => {
                    let ring = bell.next().await;
                    self.hear(ring.is_some_and(|ring| ring.is_ok()));
                }
                (None, Some(bell)) => {
                    let ring = timeout(SETTLING, bell.next()).await;
                    self.checked = true;
                    match ring {
                        Ok(ring) => self.hear(ring.is_some_and(|ring| ring.is_ok())),
                        Err(_) => self.rang = true,
                    }
                }
                (None, None) => match self.log.now(&self.lines).await {
                    Now::Gone => return None,
                    Now::Running => {
                        if !self.works {
                            let _ = timeout(SETTLING, self.log.wait()).await;
                        }
                        self.hang_bell();
                        self.read(None);
                    }
                    Now::Ended { before } => {
                        self.is_last = true;
                        self.read(before);
                    }
                },
            }
        }
    }

    /// Hears the bell: a ring, or that it has gone.
    fn hear(&mut self, ring: bool) {
        if !ring {
            self.bell = None;
            return;
        }
        (self.rang, self.works) = (true, true);
        // One ring is as good as many.
        let more = |bell: &mut Chunks| matches!(bell.next().now_or_never(), Some(Some(Ok(_))));
        while self.bell.as_mut().is_some_and(more) {}
    }

    /// Takes what was read, or the end of it.
    fn add(&mut self, chunk: Option<Result<LogOutput, Bollard>>) -> Result<()> {
        match chunk {
            Some(Ok(output)) => take(&mut self.lines, &output),
            Some(Err(error)) => {
                (self.chunks, self.bell, self.is_last) = (None, None, true);
                return Err(self.log.explain(&error));
            }
            None => {
                self.chunks = None;
                if self.is_last {
                    end(&mut self.lines);
                }
                if self.log.options.tail == Some(0) {
                    while self.lines.pop().is_some() {}
                }
                if self.lines.last().is_none() || self.log.options.tail == Some(0) {
                    // All that comes is wanted.
                    self.log.options.tail = None;
                }
            }
        }
        Ok(())
    }
}

/// Opens a container's log; `is_podman` says whose service answers.
pub(crate) fn open(
    docker: &Docker,
    endpoint: String,
    id: &str,
    options: &LogOptions,
    is_podman: bool,
) -> LogStream {
    let log = Log { docker: docker.clone(), endpoint, id: id.to_owned(), options: options.clone() };
    if options.follow && is_podman {
        let reading = Rereading::new(log);
        return stream::unfold(reading, |mut reading| async move {
            reading.next().await.map(|line| (line, reading))
        })
        .boxed();
    }
    let lines = LogLines::new(options);
    let chunks = log.open(&lines, options.follow);
    let reading = Reading { log, lines, chunks, follows: options.follow, ended_at: None };
    stream::unfold(reading, |mut reading| async move { reading.next().await.map(|line| (line, reading)) })
        .boxed()
}
