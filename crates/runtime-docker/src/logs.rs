//! Logs as lines.

use std::{collections::VecDeque, time::SystemTime};

use bollard::{Docker, container::LogOutput, query_parameters::LogsOptionsBuilder};
use futures_util::{StreamExt, stream};
use runtime_core::{LogLine, LogOptions, LogSource, LogStream, ResourceKind};

use crate::failure::{Asked, explain};

/// A longer line comes in pieces.
const MAX_LINE: usize = 64 << 10;

#[derive(Default)]
struct Lines {
    half: [Vec<u8>; 2],
    ready: VecDeque<LogLine>,
    timestamps: bool,
    since: Option<SystemTime>,
}

impl Lines {
    fn take(&mut self, source: LogSource, bytes: &[u8]) {
        let index = usize::from(source == LogSource::Stderr);
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let ended = piece.ends_with(b"\n");
            self.half[index].extend_from_slice(piece);
            while self.half[index].len() > MAX_LINE {
                let rest = self.half[index].split_off(MAX_LINE);
                let full = std::mem::replace(&mut self.half[index], rest);
                self.finish(source, &full);
            }
            if ended {
                let line = std::mem::take(&mut self.half[index]);
                self.finish(source, &line);
            }
        }
    }

    fn end(&mut self) {
        for (index, source) in [LogSource::Stdout, LogSource::Stderr].into_iter().enumerate() {
            let line = std::mem::take(&mut self.half[index]);
            if !line.is_empty() {
                self.finish(source, &line);
            }
        }
    }

    fn finish(&mut self, source: LogSource, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        let text = text.trim_end_matches(['\n', '\r']);
        let (mut time, mut rest) = (None, text);
        if let Some((stamp, after)) = text.split_once(' ').or(Some((text, "")))
            && stamp.len() >= 20
            && stamp.as_bytes()[4] == b'-'
            && stamp.as_bytes()[10] == b'T'
        {
            (time, rest) = (Some(stamp.to_owned()), after);
        }
        // The engine takes whole seconds; what is finer is decided here, where the engine's own times are finer.
        if let (Some(since), Some(stamp)) = (self.since, &time)
            && stamp.contains('.')
            && let Ok(at) = time::OffsetDateTime::parse(stamp, &time::format_description::well_known::Rfc3339)
            && SystemTime::from(at) < since
        {
            return;
        }
        let time = time.filter(|_| self.timestamps);
        self.ready.push_back(LogLine { stream: source, time, text: rest.to_owned() });
    }
}

pub(crate) fn open(docker: &Docker, endpoint: String, id: &str, options: &LogOptions) -> LogStream {
    let since = options.since.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
    let query = LogsOptionsBuilder::new()
        .follow(options.follow)
        .stdout(true)
        .stderr(true)
        .timestamps(true)
        .since(since.map_or(0, |since| i32::try_from(since.as_secs()).unwrap_or(i32::MAX)))
        .tail(&options.tail.map_or_else(|| "all".to_owned(), |tail| tail.to_string()))
        .build();
    let chunks = docker.logs(id, Some(query)).boxed();
    let lines = Lines { timestamps: options.timestamps, since: options.since, ..Lines::default() };
    let id = id.to_owned();
    stream::unfold(Some((chunks, lines)), move |state| {
        let (id, endpoint) = (id.clone(), endpoint.clone());
        async move {
            let (mut chunks, mut lines) = state?;
            loop {
                if let Some(line) = lines.ready.pop_front() {
                    return Some((Ok(line), Some((chunks, lines))));
                }
                match chunks.next().await {
                    Some(Ok(LogOutput::StdErr { message })) => lines.take(LogSource::Stderr, &message),
                    Some(Ok(output)) => lines.take(LogSource::Stdout, output.as_ref()),
                    Some(Err(error)) => {
                        let asked =
                            Asked { operation: "read the log of", kind: ResourceKind::Container, name: &id };
                        return Some((Err(explain(&error, asked, &endpoint)), None));
                    }
                    None => {
                        lines.end();
                        if lines.ready.is_empty() {
                            return None;
                        }
                        chunks = stream::empty().boxed();
                    }
                }
            }
        }
    })
    .boxed()
}
