//! Logs as lines.

use std::time::SystemTime;

use bollard::{
    Docker,
    container::LogOutput,
    errors::Error as Bollard,
    query_parameters::{InspectContainerOptions, LogsOptionsBuilder},
};
use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use runtime_core::{LogLine, LogLines, LogOptions, LogSource, LogStream, ResourceKind, Result};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::failure::{Asked, explain};

type Chunks = BoxStream<'static, Result<LogOutput, Bollard>>;

/// What is being read of a log.
struct Reading {
    docker: Docker,
    endpoint: String,
    id: String,
    options: LogOptions,
    lines: LogLines,
    chunks: Chunks,
    /// Whether what a followed log may have lost at its end is still to be read.
    rest: bool,
}

impl Reading {
    fn open(&self, follow: bool) -> Chunks {
        let (since, tail) = match self.lines.last() {
            Some(last) => (Some(last), None),
            None => (self.options.since, self.options.tail),
        };
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

    /// Opens what is left when a followed log has ended. Docker 20.10 and Podman's service end it with the container,
    /// and now and then before its last lines.
    async fn open_rest(&mut self) -> bool {
        if !std::mem::take(&mut self.rest) {
            return false;
        }
        let found = self.docker.inspect_container(&self.id, None::<InspectContainerOptions>).await;
        // One that is gone has no log any more.
        let Ok(container) = crate::convert::as_docker_says(found) else { return false };
        let state = container.state.unwrap_or_default();
        // One that runs again is somebody's to follow from its start.
        let started = state.started_at.filter(|_| state.running == Some(true));
        let started = started.and_then(|at| OffsetDateTime::parse(&at, &Rfc3339).ok());
        self.lines.only_newer(started.map(SystemTime::from));
        self.chunks = self.open(false);
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
                    self.rest = false;
                    let asked =
                        Asked { operation: "read the log of", kind: ResourceKind::Container, name: &self.id };
                    return Some(Err(explain(&error, asked, &self.endpoint)));
                }
                None => {
                    self.lines.end(LogSource::Stdout);
                    self.lines.end(LogSource::Stderr);
                    if self.lines.ready() == 0 && !self.open_rest().await {
                        return None;
                    }
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
        rest: options.follow,
    };
    reading.chunks = reading.open(options.follow);
    stream::unfold(reading, |mut reading| async move { reading.next().await.map(|line| (line, reading)) })
        .boxed()
}
