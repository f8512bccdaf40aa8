//! Lines of logs on stdout, each after its container.

use std::{
    collections::HashMap,
    future::poll_fn,
    io,
    task::Poll,
    time::{Duration, SystemTime},
};

use futures_util::{Stream, StreamExt};
use longshore::{ProjectName, ServiceLine};
use serde_json::json;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    args::Format,
    output::{Output, Paint},
};

/// What a line begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Prefix {
    /// Its container.
    Container,
    /// Nothing.
    None,
}

/// Writes lines. Prefixes are aligned; one that is longer than all before moves the bar from then on.
#[derive(Debug)]
pub(crate) struct Printer {
    output: Output,
    prefix: Prefix,
    project: String,
    width: usize,
    colors: HashMap<String, &'static str>,
    /// Lines that are not written yet.
    written: String,
}

/// So much is written at once, at most.
const AT_ONCE: usize = 64 << 10;

impl Printer {
    /// For a project of which no container is known yet.
    pub(crate) fn new(output: Output, prefix: Prefix, project: &ProjectName) -> Self {
        let project = format!("{project}-");
        Self { output, prefix, project, width: 0, colors: HashMap::new(), written: String::new() }
    }

    /// These containers are known from now on.
    pub(crate) fn expect<'a>(&mut self, containers: impl IntoIterator<Item = &'a str>) {
        for container in containers {
            self.color(container);
        }
    }

    /// A container's color, given in the order in which containers are met.
    fn color(&mut self, container: &str) -> &'static str {
        const COLORS: [&str; 10] = ["36", "33", "32", "35", "34", "36;1", "33;1", "32;1", "35;1", "34;1"];
        if let Some(color) = self.colors.get(container) {
            return color;
        }
        let color = COLORS[self.colors.len() % COLORS.len()];
        self.width = self.width.max(short(&self.project, container).chars().count());
        self.colors.insert(container.to_owned(), color);
        color
    }

    /// Writes a line, once [`Printer::flush`] is called or there is enough to write.
    ///
    /// # Errors
    /// When nobody reads stdout any more.
    pub(crate) fn print(&mut self, line: &ServiceLine) -> io::Result<()> {
        if self.output.format == Format::Json {
            self.written.push_str(&serde_json::to_string(line).map_err(io::Error::other)?);
        } else {
            if self.prefix == Prefix::Container {
                let color = self.color(&line.container);
                let prefix = format!("{:1$}  |", short(&self.project, &line.container), self.width);
                self.written.push_str(&Paint(self.output.stdout_colors).with(color, &prefix));
                self.written.push(' ');
            }
            if let Some(time) = &line.line.time {
                self.written.push_str(time);
                self.written.push(' ');
            }
            self.written.push_str(&line.line.text);
        }
        self.written.push('\n');
        if self.written.len() >= AT_ONCE { self.flush() } else { Ok(()) }
    }

    /// Writes what is not written yet.
    ///
    /// # Errors
    /// As [`Printer::print`].
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if self.written.is_empty() {
            return Ok(());
        }
        let written = self.output.piece(&self.written);
        self.written.clear();
        written
    }

    /// The next of them. What was printed before is written when this has to wait for it. Safe to cancel.
    ///
    /// # Errors
    /// As [`Printer::print`].
    pub(crate) async fn next_of<S: Stream + Unpin>(&mut self, lines: &mut S) -> io::Result<Option<S::Item>> {
        if let Some(next) = soon(lines).await {
            return Ok(next);
        }
        self.flush()?;
        Ok(lines.next().await)
    }

    /// Says that a container has ended. For programs it is an event, because stdout has lines of logs only.
    ///
    /// # Errors
    /// When nobody reads stdout any more.
    pub(crate) fn exited(&mut self, service: &str, container: &str, code: i64) -> io::Result<()> {
        self.flush()?;
        if self.output.format == Format::Json {
            let event = json!({ "event": "exited", "kind": "container", "name": container,
                "service": service, "exit_code": code });
            self.output.note(&event.to_string());
            return Ok(());
        }
        self.output.line(&format!("{} exited with code {code}", short(&self.project, container)))
    }
}

/// How often the others have their turn before a line counts as not there. Between an engine's connection and a line there are
/// as many tasks.
const TURNS: usize = 3;

/// The next line, or `None` if there is none before this has to wait for the engine: lines that come together are written
/// together, and none waits for another. Safe to cancel.
async fn soon<S: Stream + Unpin>(lines: &mut S) -> Option<Option<S::Item>> {
    let mut turns = 0..TURNS;
    poll_fn(|context| match lines.poll_next_unpin(context) {
        Poll::Ready(next) => Poll::Ready(Some(next)),
        Poll::Pending if turns.next().is_some() => {
            // Behind all that can go on now, without the trip to the system that tokio's own `yield_now` takes.
            context.waker().wake_by_ref();
            Poll::Pending
        }
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// A container's name without its project.
fn short<'a>(project: &str, container: &'a str) -> &'a str {
    container.strip_prefix(project).unwrap_or(container)
}

/// Reads `--since`: a time (RFC 3339, or seconds since 1970) or how long ago (`90s`, `1h30m`).
///
/// # Errors
/// A sentence, when it is none of them.
pub(crate) fn since(text: &str) -> Result<SystemTime, String> {
    if let Ok(time) = OffsetDateTime::parse(text, &Rfc3339) {
        return Ok(time.into());
    }
    if let Ok(seconds) = text.parse() {
        return SystemTime::UNIX_EPOCH
            .checked_add(Duration::from_secs(seconds))
            .ok_or_else(|| "that is too late".to_owned());
    }
    duration(text).and_then(|ago| SystemTime::now().checked_sub(ago)).ok_or_else(|| {
        "expected a time like 2026-01-02T15:04:05Z, or how long ago, like 90s or 1h30m".to_owned()
    })
}

/// `1h30m` as a duration.
fn duration(text: &str) -> Option<Duration> {
    let mut seconds = 0_u64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).filter(|digits| *digits > 0)?;
        let (number, tail) = rest.split_at(digits);
        let unit = match tail.as_bytes()[0] {
            b's' => 1,
            b'm' => 60,
            b'h' => 3600,
            b'd' => 86400,
            _ => return None,
        };
        seconds = seconds.checked_add(number.parse::<u64>().ok()?.checked_mul(unit)?)?;
        rest = &tail[1..];
    }
    (!text.is_empty()).then(|| Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_takes_times_and_durations() {
        assert_eq!(duration("1h30m"), Some(Duration::from_secs(5400)));
        assert_eq!(duration("90s"), Some(Duration::from_secs(90)));
        for wrong in ["", "m", "10", "5x", "1h30", "99999999999999999999d", "1é"] {
            assert_eq!(duration(wrong), None, "{wrong:?}");
        }
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(10);
        assert_eq!(since("10"), Ok(start));
        assert_eq!(since("1970-01-01T00:00:10Z"), Ok(start));
        assert!(since("yesterday").is_err());
    }

    #[test]
    fn a_prefix_is_the_name_without_the_project() {
        assert_eq!(short("shop-", "shop-web-1"), "web-1");
        assert_eq!(short("shop-", "mine"), "mine");
    }
}
