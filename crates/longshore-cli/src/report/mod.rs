//! Turns events into words.

mod json;
mod plain;
mod terminal;
mod words;

pub(crate) use self::words::bytes;
use enum_dispatch::enum_dispatch;
use longshore::Event;

use self::{json::Json, plain::Plain, terminal::Terminal};
use crate::{args::Format, output::Output};

/// Who tells the user what happens.
#[enum_dispatch]
pub(crate) trait Report {
    /// Something happened. Called from any thread; does not wait.
    fn event(&self, event: &Event);

    /// A line beside the events.
    fn note(&self, text: &str);

    /// Something to know, beside the events.
    fn warn(&self, text: &str);

    /// Nothing more will happen for now: what is shown stays as it is.
    fn finish(&self);
}

/// The ways to tell it.
#[enum_dispatch(Report)]
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a program has one, and it is not moved about")]
pub(crate) enum Reporter {
    /// Lines that change, on a terminal.
    Terminal,
    /// A line for each thing that happens.
    Plain,
    /// An object for each thing that happens.
    Json,
}

impl Reporter {
    /// The one that suits the output. Who wants to know more has other lines on the terminal too, so none may change.
    pub(crate) fn new(output: Output) -> Self {
        match output.format {
            Format::Json => Json::new(output).into(),
            Format::Text if output.live && !output.verbose => Terminal::new(output).into(),
            Format::Text => Plain::new(output).into(),
        }
    }

    /// One whose lines stay as they are, for use beside other output.
    pub(crate) fn unchanging(output: Output) -> Self {
        Self::new(Output { live: false, ..output })
    }
}
