//! Logs as lines.

use std::time::SystemTime;

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
use runtime_core::{LogLine, LogLines, LogOptions, LogSource, LogStream, ResourceKind, Result};

use crate::{
    convert,
    failure::{Asked, explain},
};

type Chunks = BoxStream<'static, Result<LogOutput, Bollard>>;

/// What is being read of a log.
struct Reading {
    docker: Docker,
    endpoint: String,
    id: String,
    options: LogOptions,
    lines: LogLines,
    chunks: Chunks,
    follows: bool,
    /// The newest line when the log ended last.
    ended_at: Option<SystemTime>,
}

impl Reading {
    fn open(&self) -> Chunks {
        let (since, tail) = match self.lines.last() {
            Some(last) => (Some(last), None),
            None => (self.options.since, self.options.tail),
        };
        let since = since.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
        let query = LogsOptionsBuilder::new()
            .follow(self.follows)
            .stdout(true)
            .stderr(true)
            .timestamps(true)
            .since(since.map_or(0, |since| i32::try_from(since.as_secs()).unwrap_or(i32::MAX)))
            .tail(&tail.map_or_else(|| "all".to_owned(), |tail| tail.to_string()))
            .build();
        self.docker.logs(&self.id, Some(query)).boxed()
    }

    /// Goes on when a followed log has ended. Docker 20.10 and Podman's service end it with the container, now and then
    /// before its last lines and now and then too early. Returns whether there may be more.
    async fn go_on(&mut self) -> bool {
        if !self.follows {
            return false;
        }
        let inspect = || self.docker.inspect_container(&self.id, None::<InspectContainerOptions>);
        // One that is gone has no log any more.
        let Ok(container) = convert::as_docker_says(inspect().await) else { return false };
        let state = container.state.unwrap_or_default();
        let runs = state.running == Some(true);
        let before = state.finished_at.as_deref().filter(|_| runs).and_then(convert::time);
        let last = self.lines.last();
        if runs && before.is_none_or(|before| last.is_some_and(|last| before < last)) {
            if self.ended_at == last {
                let query = WaitContainerOptionsBuilder::new().condition("not-running").build();
                // An exit code that is not 0 comes as an error. Either way it has ended.
                let _ = self.docker.wait_container(&self.id, Some(query)).next().await;
            }
            self.lines.only_newer(None);
        } else {
            // One that runs again is somebody's to follow from the end of the run before.
            self.follows = false;
            self.lines.only_newer(before);
        }
        self.ended_at = last;
        self.chunks = self.open();
        true
    }

    async fn next(&mut self) -> Option<Result<LogLine>> {
        loop {
            if let Some(mut line) = self.lines.pop() {
                line.time = line.time.filter(|_| self.options.timestamps);
                return Some(Ok(line));
            }
            match self.chunks.next().await {
                Some(Ok(LogOutput::StdErr { message })) => self.lines.take(LogSource::Stderr, &message),
                Some(Ok(output)) => self.lines.take(LogSource::Stdout, output.as_ref()),
                Some(Err(error)) => {
                    self.chunks = stream::empty().boxed();
                    self.follows = false;
                    let asked =
                        Asked { operation: "read the log of", kind: ResourceKind::Container, name: &self.id };
                    return Some(Err(explain(&error, asked, &self.endpoint)));
                }
                None => {
                    if self.go_on().await {
                        continue;
                    }
                    self.lines.end(LogSource::Stdout);
                    self.lines.end(LogSource::Stderr);
                    if self.lines.ready() == 0 {
                        return None;
                    }
                    self.chunks = stream::empty().boxed();
                }
            }
        }
    }
}

pub(crate) fn open(docker: &Docker, endpoint: String, id: &str, options: &LogOptions) -> LogStream {
    let mut reading = Reading {
        docker: docker.clone(),
        endpoint,
        id: id.to_owned(),
        options: options.clone(),
        lines: LogLines::new(options),
        chunks: stream::empty().boxed(),
        follows: options.follow,
        ended_at: None,
    };
    reading.chunks = reading.open();
    stream::unfold(reading, |mut reading| async move { reading.next().await.map(|line| (line, reading)) })
        .boxed()
}
