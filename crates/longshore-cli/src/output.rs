//! Where words go: results to stdout, everything else to stderr.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal, Write},
};

use longshore::LogSource;
use serde::Serialize;

use crate::args::{Color, Format};

/// How results and words are written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    pub(crate) format: Format,
    pub(crate) stdout_colors: bool,
    pub(crate) stderr_colors: bool,
    /// Whether stderr can show lines that change.
    pub(crate) live: bool,
    /// Whether the user wants to know more.
    pub(crate) verbose: bool,
    /// Whether nothing of what is told is done.
    pub(crate) dry_run: bool,
}

impl Output {
    pub(crate) fn new(format: Format, color: Color, env: &BTreeMap<String, String>) -> Self {
        let dumb = env.get("TERM").is_some_and(|term| term == "dumb");
        let refused = env.get("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colors = |terminal: bool| match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && !refused && !dumb,
        };
        let stderr = io::stderr().is_terminal();
        Self {
            format,
            stdout_colors: colors(io::stdout().is_terminal()),
            stderr_colors: colors(stderr),
            live: stderr && !dumb && format == Format::Text,
            verbose: false,
            dry_run: false,
        }
    }

    /// What stands before all that is said to happen: in a dry run docker compose's words.
    pub(crate) fn mode(&self) -> &'static str {
        if self.dry_run { "DRY-RUN MODE - " } else { "" }
    }

    /// A line of the result.
    ///
    /// # Errors
    /// When nobody reads stdout any more.
    pub(crate) fn line(&self, text: &str) -> io::Result<()> {
        writeln!(io::stdout().lock(), "{text}")
    }

    /// A part of a line of the result, shown at once.
    ///
    /// # Errors
    /// As [`Output::line`].
    pub(crate) fn piece(&self, text: &str) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()
    }

    /// A part of the result as JSON, on one line.
    ///
    /// # Errors
    /// As [`Output::line`].
    pub(crate) fn json_line(&self, value: &impl Serialize) -> io::Result<()> {
        self.line(&serde_json::to_string(value).map_err(io::Error::other)?)
    }

    /// The result as JSON.
    ///
    /// # Errors
    /// As [`Output::line`].
    pub(crate) fn json(&self, value: &impl Serialize) -> io::Result<()> {
        let text = serde_json::to_string_pretty(value).map_err(io::Error::other)?;
        self.line(&text)
    }

    /// What a process wrote, as it is, to the same of ours.
    ///
    /// # Errors
    /// When nobody reads it any more.
    pub(crate) fn bytes(&self, source: LogSource, bytes: &[u8]) -> io::Result<()> {
        let write = |to: &mut dyn Write| to.write_all(bytes).and_then(|()| to.flush());
        match source {
            LogSource::Stdout => write(&mut io::stdout().lock()),
            LogSource::Stderr => write(&mut io::stderr().lock()),
        }
    }

    /// A line for the user. That nobody reads stderr is no reason to stop.
    pub(crate) fn note(&self, text: &str) {
        let _ = writeln!(io::stderr().lock(), "{text}");
    }
}

/// Colours, or none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint(pub(crate) bool);

impl Paint {
    /// With a code of ANSI's `SGR`.
    pub(crate) fn with(self, code: &str, text: &str) -> String {
        if self.0 { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    pub(crate) fn bold_red(self, text: &str) -> String {
        self.with("1;31", text)
    }

    pub(crate) fn green(self, text: &str) -> String {
        self.with("32", text)
    }

    pub(crate) fn yellow(self, text: &str) -> String {
        self.with("33", text)
    }

    pub(crate) fn cyan(self, text: &str) -> String {
        self.with("36", text)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.with("2", text)
    }
}
