//! What `-v` tells besides: the debugging lines of all our crates, on stderr.

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

const OURS: [&str; 6] =
    ["longshore", "compose_file", "runtime_core", "runtime_podman", "runtime_docker", "runtime_mock"];

/// Begins to tell it; the more often it was asked for, the more.
pub(crate) fn begin(verbose: u8, output: Output) {
    let level = match verbose {
        0 => return,
        1 => "debug",
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
