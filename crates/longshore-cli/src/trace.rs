//! What `-v` tells besides: the debugging lines of all our crates, on stderr. What serves tells what happens to it without it.

use std::fmt;

use serde_json::{Map, Value, json};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    EnvFilter,
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

use crate::{args::Format, output::Output};

const OURS: [&str; 8] = [
    "longshore",
    "longshore_server",
    "mock_agent",
    "compose_file",
    "runtime_core",
    "runtime_podman",
    "runtime_docker",
    "runtime_mock",
];

/// What is told without being asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Usually {
    Nothing,
    /// For who finds the lines in a file later.
    WhatHappens,
}

/// Begins to tell it; the more often it was asked for, the more.
pub(crate) fn begin(verbose: u8, usually: Usually, output: Output) {
    let level = match (verbose, usually) {
        (0, Usually::Nothing) => return,
        (0, Usually::WhatHappens) => "info",
        (1, _) => "debug",
        _ => "trace",
    };
    let filter = OURS.map(|name| format!("{name}={level}")).join(",");
    let lines = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_ansi(output.stderr_colors)
        .with_writer(std::io::stderr);
    match output.format {
        Format::Json => lines.event_format(Object).init(),
        Format::Text => lines.init(),
    }
}

/// An object a line, like all else that programs read on stderr.
struct Object;

impl<S, N> FormatEvent<S, N> for Object
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields(Map::new());
        event.record(&mut fields);
        let level = event.metadata().level().as_str().to_lowercase();
        let object = json!({ "trace": level, "target": event.metadata().target(), "fields": fields.0 });
        writeln!(writer, "{object}")
    }
}

struct Fields(Map<String, Value>);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), json!(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), json!(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), json!(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), json!(format!("{value:?}")));
    }
}
