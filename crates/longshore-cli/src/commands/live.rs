//! `events` and `stats`: what goes on until Ctrl-C.

use std::time::SystemTime;

use futures_util::StreamExt;
use longshore::{Container, ProjectEvent, StatsOptions, Usage};
use serde_json::json;
use time::{OffsetDateTime, format_description::well_known::Rfc3339, macros::format_description};

use crate::{
    args::{Events, Format, Stats},
    context::Context,
    exit::{ExitCode, Failure},
    table::table,
    terminal,
};

/// Shows what happens to containers, as docker compose does but that times are of UTC.
pub(crate) async fn events(args: &Events, context: &Context) -> Result<ExitCode, Failure> {
    let target = context.target(&args.services).await?;
    let runtime = context.runtime().await?;
    let shown = context.reading(async {
        let mut events = runtime.events(&target).await?;
        while let Some(event) = events.next().await {
            let event = event?;
            if args.json || context.output.format == Format::Json {
                context.output.json_line(&object(&event))?;
            } else {
                context.output.line(&line(&event))?;
            }
        }
        Ok(ExitCode::Ok)
    });
    ended_by_a_signal(shown.await)
}

/// Shows what containers use. On a terminal each table takes the place of the one before.
pub(crate) async fn stats(args: &Stats, context: &Context) -> Result<ExitCode, Failure> {
    let target = context.target(&args.services).await?;
    let runtime = context.runtime().await?;
    let options = StatsOptions { follow: !args.no_stream, all: args.all };
    let redrawn = options.follow && context.output.format == Format::Text && terminal::is_shown(&context.env);
    let shown = context.reading(async {
        let mut stats = runtime.stats(&target, &options).await?;
        if redrawn {
            context.output.piece(CLEAR)?;
        }
        while let Some(containers) = stats.next().await {
            let containers = containers?;
            let rows: Vec<[String; 8]> =
                containers.iter().map(|(container, usage)| row(container, *usage, args.no_trunc)).collect();
            match context.output.format {
                Format::Json => {
                    for ((container, _), row) in containers.iter().zip(rows) {
                        context.output.json_line(&as_docker_has_it(container, row))?;
                    }
                }
                Format::Text if redrawn => context.output.piece(&over_the_last(&table(HEAD, &rows)))?,
                Format::Text => context.output.line(&table(HEAD, &rows))?,
            }
        }
        Ok(ExitCode::Ok)
    });
    ended_by_a_signal(shown.await)
}

const HEAD: [&str; 8] =
    ["CONTAINER ID", "NAME", "CPU %", "MEM USAGE / LIMIT", "MEM %", "NET I/O", "BLOCK I/O", "PIDS"];

/// Goes home and clears all that is shown.
const CLEAR: &str = "\u{1b}[H\u{1b}[2J";

/// A text that is written over the one before: from home, each line to its end, and nothing below.
fn over_the_last(text: &str) -> String {
    format!("\u{1b}[H{}\u{1b}[K\n\u{1b}[J", text.replace('\n', "\u{1b}[K\n"))
}

/// What a container uses in docker's words; one that does not run uses nothing.
fn row(container: &Container, usage: Option<Usage>, whole: bool) -> [String; 8] {
    let id = if whole { container.id.0.as_str() } else { container.id.short() }.to_owned();
    let Some(usage) = usage else {
        let none = || "--".to_owned();
        let both = || "-- / --".to_owned();
        return [id, container.name.clone(), none(), both(), none(), both(), both(), none()];
    };
    let part = match usage.memory_limit {
        0 => 0.0,
        limit => usage.memory as f64 / limit as f64 * 100.0,
    };
    [
        id,
        container.name.clone(),
        format!("{:.2}%", usage.cpu_percent),
        format!("{} / {}", binary(usage.memory), binary(usage.memory_limit)),
        format!("{part:.2}%"),
        format!("{} / {}", decimal(usage.net_in), decimal(usage.net_out)),
        format!("{} / {}", decimal(usage.block_in), decimal(usage.block_out)),
        usage.pids.to_string(),
    ]
}

fn as_docker_has_it(container: &Container, row: [String; 8]) -> serde_json::Value {
    let [id, name, cpu, memory, part, net, block, pids] = row;
    json!({
        "BlockIO": block, "CPUPerc": cpu, "Container": container.id.short(), "ID": id, "MemPerc": part,
        "MemUsage": memory, "Name": name, "NetIO": net, "PIDs": pids,
    })
}

/// `636KiB`: four digits, in units of 1024.
fn binary(bytes: u64) -> String {
    scaled(bytes, 1024.0, ["B", "KiB", "MiB", "GiB", "TiB", "PiB"], 4)
}

/// `1.42kB`: three digits, in units of 1000.
fn decimal(bytes: u64) -> String {
    scaled(bytes, 1000.0, ["B", "kB", "MB", "GB", "TB", "PB"], 3)
}

/// A number in its unit with so many digits that mean something, and no zeros at its end.
fn scaled(bytes: u64, step: f64, units: [&str; 6], digits: usize) -> String {
    let mut number = bytes as f64;
    let mut units = units.into_iter();
    let mut unit = units.next().unwrap_or_default();
    for larger in units {
        if number < step {
            break;
        }
        number /= step;
        unit = larger;
    }
    let whole = format!("{number:.0}").len();
    let text = format!("{number:.0$}", digits.saturating_sub(whole));
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{unit}")
}

/// What has no other end: a signal is no failure to speak of.
fn ended_by_a_signal(shown: Result<ExitCode, Failure>) -> Result<ExitCode, Failure> {
    shown.map_err(|failure| match failure {
        Failure::Signal(..) => Failure::Silent(failure.exit_code()),
        other => other,
    })
}

fn time(event: &ProjectEvent) -> OffsetDateTime {
    event.time.unwrap_or_else(SystemTime::now).into()
}

/// `2026-11-25 15:59:10.868842 container die ID (exitCode=0, name=shop-web-1)`.
fn line(event: &ProjectEvent) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second].[subsecond digits:6]");
    let time = time(event).format(format).unwrap_or_default();
    let attributes = event.attributes.iter().map(|(name, value)| format!("{name}={value}"));
    let attributes = attributes.collect::<Vec<_>>().join(", ");
    format!("{time} container {} {} ({attributes})", event.action, event.container)
}

fn object(event: &ProjectEvent) -> serde_json::Value {
    json!({
        "time": time(event).format(&Rfc3339).unwrap_or_default(),
        "type": "container",
        "id": event.container,
        "service": event.service,
        "action": event.action,
        "attributes": event.attributes,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use longshore::ContainerId;

    use super::*;

    #[test]
    fn sizes_are_in_dockers_words() {
        // As docker stats was seen to show them.
        assert_eq!((binary(651_264), binary(25_276_510_208)), ("636KiB".to_owned(), "23.54GiB".to_owned()));
        assert_eq!((decimal(1_416), decimal(0)), ("1.42kB".to_owned(), "0B".to_owned()));
        assert_eq!(
            (binary(1023), binary(1024), decimal(1_500_000)),
            ("1023B".into(), "1KiB".into(), "1.5MB".into())
        );
    }

    #[test]
    fn what_does_not_run_uses_nothing() {
        let state = longshore::ContainerState::Exited;
        let off = Container::new(ContainerId("4f".repeat(32)), "shop-off-1", "off", state);
        let words = row(&off, None, false);
        assert_eq!(words, ["4f4f4f4f4f4f", "shop-off-1", "--", "-- / --", "--", "-- / --", "-- / --", "--"]);
        assert_eq!(row(&off, None, true)[0], off.id.0);
        let usage =
            Usage { cpu_percent: 1.005, memory: 1 << 20, memory_limit: 1 << 30, pids: 2, ..Usage::default() };
        let words = row(&off, Some(usage), false);
        assert_eq!(words[2..], ["1.00%", "1MiB / 1GiB", "0.10%", "0B / 0B", "0B / 0B", "2"]);
    }

    #[test]
    fn a_table_is_written_over_the_one_before() {
        assert_eq!(over_the_last("a\nb"), "\u{1b}[Ha\u{1b}[K\nb\u{1b}[K\n\u{1b}[J");
    }

    #[test]
    fn an_event_reads_as_docker_composes() {
        let attributes = [("name", "shop-web-1"), ("exitCode", "3")];
        let event = ProjectEvent {
            time: Some(SystemTime::UNIX_EPOCH + Duration::from_nanos(1_795_622_350_868_842_498)),
            service: "web".to_owned(),
            container: ContainerId("4f".to_owned()),
            action: "die".to_owned(),
            attributes: attributes.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        };
        assert_eq!(line(&event), "2026-11-25 15:59:10.868842 container die 4f (exitCode=3, name=shop-web-1)");
        assert_eq!(
            object(&event),
            json!({"time": "2026-11-25T15:59:10.868842498Z", "type": "container", "id": "4f", "service": "web",
                "action": "die", "attributes": {"exitCode": "3", "name": "shop-web-1"}})
        );
    }
}
