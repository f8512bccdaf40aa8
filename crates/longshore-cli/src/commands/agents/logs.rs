//! What an agent has written.

use std::time::Duration;

use futures_util::StreamExt;
use longshore_server::{
    api::{EndReason, LogQuery},
    client::{ClientError, LogEvent},
};
use serde_json::json;

use super::{broke_off, by_hand, place::Server};
use crate::{
    args::{Format, Lines},
    context::Context,
    exit::{ExitCode, Failure},
    report::Report,
};

/// How long a server that went away is left alone before it is asked again, each time. A restart fits in.
const PAUSES: [Duration; 7] = [
    Duration::from_millis(100),
    Duration::from_millis(400),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(5),
    Duration::from_secs(5),
];
/// All lines, in a number that every engine takes.
const ALL: u64 = i32::MAX as u64;

pub(super) async fn logs(args: &Lines, server: &Server, context: &Context) -> Result<ExitCode, Failure> {
    let shown = context.reading(Reading { args, server, context, after: None }.read()).await;
    shown.map(|()| ExitCode::Ok).map_err(by_hand)
}

/// A log as far as it was read.
struct Reading<'a> {
    args: &'a Lines,
    server: &'a Server,
    context: &'a Context,
    /// The id of the last line.
    after: Option<String>,
}

impl Reading<'_> {
    /// Shows lines until they end. One that is followed goes on behind its last line when the connection breaks.
    async fn read(mut self) -> Result<(), Failure> {
        let mut pauses = PAUSES.iter();
        let mut was_there = false;
        loop {
            let place = self.after.clone();
            let Err(failure) = self.read_once(&mut was_there).await else { return Ok(()) };
            if self.after != place {
                pauses = PAUSES.iter();
            }
            let is_gone = matches!(&failure, Failure::Agents(_, ExitCode::NoEngine));
            if !(is_gone && was_there && self.args.follow) {
                return Err(if was_there { broke_off(failure) } else { failure });
            }
            let Some(pause) = pauses.next() else { return Err(failure) };
            tokio::time::sleep(*pause).await;
        }
    }

    /// Shows lines until they end or the connection breaks.
    async fn read_once(&mut self, was_there: &mut bool) -> Result<(), Failure> {
        let query = LogQuery {
            tail: self.args.tail.0.unwrap_or(ALL).min(ALL),
            follow: self.args.follow,
            after: None,
        };
        let client = &self.server.client;
        let mut events = client.logs(&self.args.of.name, &query, self.after.as_deref()).await?;
        *was_there = true;
        while let Some(event) = events.next().await {
            if self.show(event?)? {
                return Ok(());
            }
        }
        let reason = "it broke off".to_owned();
        Err(ClientError::Unreachable { url: self.server.url.clone(), reason }.into())
    }

    /// Shows an event; whether it was the last one.
    fn show(&mut self, event: LogEvent) -> Result<bool, Failure> {
        let output = &self.context.output;
        match event {
            LogEvent::Line(line, id) => {
                match output.format {
                    Format::Json => output.json_line(&line)?,
                    Format::Text => output.line(&line.text)?,
                }
                if !id.is_empty() {
                    self.after = Some(id);
                }
            }
            LogEvent::Missed(missed) if output.format == Format::Json => {
                output.note(&json!({ "missed": missed.count }).to_string());
            }
            LogEvent::Missed(missed) => self.context.reporter.note(&match missed.count {
                Some(1) => "a line was missed".to_owned(),
                Some(count) => format!("{count} lines were missed"),
                None => "lines were missed".to_owned(),
            }),
            LogEvent::End(end) => {
                if let Some(problem) = end.error {
                    return Err(Failure::Agents(Box::new(problem), ExitCode::Failed));
                }
                let name = &self.args.of.name;
                let why = match end.reason {
                    EndReason::NotRunning => format!("{name} does not run"),
                    EndReason::Deleted => format!("{name} is deleted"),
                    EndReason::ShuttingDown => "the server shuts down".to_owned(),
                    EndReason::Complete | EndReason::Failed => return Ok(true),
                };
                if output.format == Format::Json {
                    output.note(&json!({ "end": end.reason }).to_string());
                } else {
                    self.context.reporter.note(&why);
                }
                return Ok(true);
            }
            _ => {}
        }
        Ok(false)
    }
}
