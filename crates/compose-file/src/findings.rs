//! Collects what is wrong while a project is loaded.

use std::{
    cell::OnceCell,
    collections::HashSet,
    fmt::{self, Write as _},
    path::{Path, PathBuf},
    rc::Rc,
};

use serde::Serialize;

use crate::{Diagnostic, Location, Severity, context::Context, scalar, yaml::Node};

/// A place in one of the sources: where a node's text begins, and how long it is on its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) source: usize,
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) length: usize,
}

/// In more lines than that the place of a dollar is not searched for.
const MAX_SCANNED: usize = 100;
/// So many errors, and so many warnings, are told of one load. Each holds its line, and nobody reads more of them.
const MAX_TOLD: usize = 500;
/// So many characters of a line, and so many of a message, are kept.
const MAX_LINE: usize = 400;
const MAX_MESSAGE: usize = 4000;
/// Among so many words it is searched for the one that was meant.
const MAX_KNOWN: usize = 1000;

/// A place, and what stands there in the model.
#[derive(Debug, Clone)]
pub(crate) struct Spot {
    pub(crate) place: Place,
    pub(crate) path: String,
}

/// The keys that lead to something in the model, and what is written there.
pub(crate) type Kept = (Vec<String>, serde_json::Value);

#[derive(Debug)]
struct Source {
    path: PathBuf,
    text: String,
    /// Where its lines begin, which is asked only when there is something to say.
    starts: OnceCell<Vec<usize>>,
    context: Rc<Context>,
}

impl Source {
    /// A line, from 1, as far as it is shown.
    fn line(&self, number: usize) -> Option<&str> {
        let starts = self.starts.get_or_init(|| {
            let ends = self.text.match_indices('\n').map(|(end, _)| end + 1);
            std::iter::once(0).chain(ends).filter(|start| *start < self.text.len()).collect()
        });
        let rest = &self.text[*starts.get(number.checked_sub(1)?)?..];
        let line = rest.lines().next().unwrap_or_default();
        Some(line.char_indices().nth(MAX_LINE).map_or(line, |(end, _)| &line[..end]))
    }
}

/// How many findings of a severity are told, and whether there are more.
#[derive(Debug, Default)]
struct Told {
    count: usize,
    more: bool,
}

/// The sources that were read, and what was found in them.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    sources: Vec<Source>,
    pub(crate) list: Vec<Diagnostic>,
    errors: Told,
    warnings: Told,
    /// Whether variables are not replaced: a text that holds one may be anything.
    pub(crate) variables_stay: bool,
    /// Whether a file is missing that the project refers to: what is not there may be in it.
    pub(crate) partial: bool,
    /// How much text has come of variables.
    pub(crate) replaced: usize,
    /// How much was read of files with variables and labels.
    pub(crate) assigned: usize,
    /// How many ports the services have.
    pub(crate) ports: usize,
    /// What is written as it stands, by its place in the model: a variable that is not replaced hides what it is.
    pub(crate) kept: Vec<Kept>,
    /// The places of errors.
    wrong: HashSet<Location>,
    said: HashSet<(Option<Location>, String)>,
    /// The variables, by source, of which it was said that they are not set.
    unset: HashSet<(usize, String)>,
}

impl Findings {
    /// A text that refers to nothing.
    pub(crate) fn add_source(&mut self, path: &Path, text: &str) -> usize {
        self.add_source_in(path, text, &Rc::default())
    }

    pub(crate) fn add_source_in(&mut self, path: &Path, text: &str, context: &Rc<Context>) -> usize {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).to_owned();
        let (path, starts) = (path.to_owned(), OnceCell::new());
        self.sources.push(Source { path, text, starts, context: Rc::clone(context) });
        self.sources.len() - 1
    }

    /// What the text at a place depends on.
    pub(crate) fn context(&self, place: Place) -> Rc<Context> {
        self.sources.get(place.source).map(|source| Rc::clone(&source.context)).unwrap_or_default()
    }

    fn push(
        &mut self,
        severity: Severity,
        place: Option<Place>,
        path: &str,
        message: String,
        help: Option<String>,
    ) {
        if self.is_full(severity) {
            self.told(severity).more = true;
            return;
        }
        let source = place.and_then(|place| Some((place, self.sources.get(place.source)?)));
        let location = source.map(|(place, source)| Location {
            file: source.path.clone(),
            line: place.line,
            column: place.column,
        });
        let line_text = source.and_then(|(place, source)| source.line(place.line)).map(str::to_owned);
        let length = place.map_or(1, |place| place.length.max(1));
        let message = shortened(message);
        let help = help.map(shortened);
        let finding =
            Diagnostic { severity, location, path: path.to_owned(), message, help, line_text, length };
        // One place, one error: what follows from it would only hide it. And one place says one thing once, however many
        // aliases lead there.
        let wrong = finding.location.as_ref().is_some_and(|location| self.wrong.contains(location));
        if wrong || !self.said.insert((finding.location.clone(), finding.message.clone())) {
            return;
        }
        if severity == Severity::Error {
            self.wrong.extend(finding.location.clone());
        }
        self.told(severity).count += 1;
        self.list.push(finding);
    }

    fn told(&mut self, severity: Severity) -> &mut Told {
        match severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
        }
    }

    /// Whether no more findings of a severity are told, so that none needs to be looked into.
    pub(crate) fn is_full(&self, severity: Severity) -> bool {
        let told = match severity {
            Severity::Error => &self.errors,
            Severity::Warning => &self.warnings,
        };
        told.count >= MAX_TOLD
    }

    /// The known word that was probably meant, where that would be told.
    pub(crate) fn meant<'a>(&self, word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
        if self.is_full(Severity::Error) { None } else { closest(word, known) }
    }

    /// All that is told.
    pub(crate) fn into_list(mut self) -> Vec<Diagnostic> {
        for (more, severity, what) in [
            (self.errors.more, Severity::Error, "errors"),
            (self.warnings.more, Severity::Warning, "warnings"),
        ] {
            if more {
                let message = format!("there are more than these {MAX_TOLD} {what}");
                self.list.push(Diagnostic {
                    severity,
                    location: None,
                    path: String::new(),
                    message,
                    help: None,
                    line_text: None,
                    length: 1,
                });
            }
        }
        self.list
    }

    pub(crate) fn error(&mut self, place: Place, path: &str, message: impl Into<String>) {
        self.push(Severity::Error, Some(place), path, message.into(), None);
    }

    pub(crate) fn error_with(
        &mut self,
        place: Place,
        path: &str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(Severity::Error, Some(place), path, message.into(), Some(help.into()));
    }

    pub(crate) fn error_anywhere(&mut self, message: impl Into<String>, help: Option<String>) {
        self.push(Severity::Error, None, "", message.into(), help);
    }

    pub(crate) fn warning_anywhere(&mut self, message: impl Into<String>, help: Option<String>) {
        self.push(Severity::Warning, None, "", message.into(), help);
    }

    pub(crate) fn warning(&mut self, place: Place, path: &str, message: impl Into<String>) {
        self.push(Severity::Warning, Some(place), path, message.into(), None);
    }

    pub(crate) fn warning_with(
        &mut self,
        place: Place,
        path: &str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(Severity::Warning, Some(place), path, message.into(), Some(help.into()));
    }

    /// A place in words, for a sentence about another one.
    pub(crate) fn locate(&self, place: Place) -> String {
        let file =
            self.sources.get(place.source).map_or(String::new(), |source| source.path.display().to_string());
        format!("{file}:{}:{}", place.line, place.column)
    }

    /// Whether this is the first use in a source of a variable that is not set.
    pub(crate) fn is_first_unset(&mut self, source: usize, variable: &str) -> bool {
        self.unset.insert((source, variable.to_owned()))
    }

    /// The place of the first dollar, of a text that begins at `text`, whose following characters `matches` takes; it
    /// says how long the mark is. The text's own place where there is none: an escape may hide it.
    pub(crate) fn find_dollar(&self, text: Place, matches: impl Fn(&str) -> Option<usize>) -> Place {
        let Some(source) = self.sources.get(text.source) else { return text };
        let mut skip = text.column - 1;
        let lines = (text.line..).map_while(|number| Some((number, source.line(number)?)));
        for (number, line) in lines.take(MAX_SCANNED) {
            let mut chars = line.char_indices().enumerate().skip(std::mem::take(&mut skip));
            while let Some((column, (at, c))) = chars.next() {
                let rest = &line[at + c.len_utf8()..];
                match c {
                    '$' if rest.starts_with('$') => {
                        chars.next();
                    }
                    '$' => {
                        if let Some(length) = matches(rest) {
                            return Place { line: number, column: column + 1, length, ..text };
                        }
                    }
                    _ => {}
                }
            }
        }
        text
    }

    /// Reads what stands at a place of the model. What cannot be read there because of a variable that is not replaced is no error:
    /// it is kept as it is written.
    pub(crate) fn or_keep(&mut self, path: &[&str], node: &Node, read: impl FnOnce(&mut Self)) {
        if !(self.variables_stay && node.has_variable()) {
            return read(self);
        }
        let before = self.list.len();
        read(self);
        if self.has_errors_since(before) {
            for finding in self.list.split_off(before) {
                self.told(finding.severity).count -= 1;
                if let (Severity::Error, Some(location)) = (finding.severity, &finding.location) {
                    self.wrong.remove(location);
                }
                self.said.remove(&(finding.location, finding.message));
            }
            self.kept.push((path.iter().map(|key| (*key).to_owned()).collect(), scalar::value(node)));
        }
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.errors.count > 0
    }

    /// Whether there are errors among those after so many findings.
    pub(crate) fn has_errors_since(&self, before: usize) -> bool {
        self.list[before..].iter().any(|finding| finding.severity == Severity::Error)
    }
}

/// All findings of a load that failed, errors and warnings, in the order of the files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Diagnostics {
    /// The errors among them.
    pub fn errors(&self) -> impl Iterator<Item = &Diagnostic> {
        self.0.iter().filter(|finding| finding.severity == Severity::Error)
    }

    /// Each finding as a person reads it: what, where, the line with a mark under the place, and what to do. With
    /// `color`, ANSI colours.
    pub fn render(&self, color: bool) -> String {
        self.0.iter().map(|finding| finding.render(color)).collect::<Vec<_>>().join("\n")
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl Diagnostic {
    /// The finding as a person reads it, with a line's end.
    pub fn render(&self, color: bool) -> String {
        let paint = |code: &str, text: &str| {
            if color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
        };
        let (word, code) = match self.severity {
            Severity::Warning => ("warning", "1;33"),
            Severity::Error => ("error", "1;31"),
        };
        let subject = if self.path.is_empty() { String::new() } else { format!("{}: ", self.path) };
        let mut out = format!("{}: {subject}{}\n", paint(code, word), self.message);
        if let Some(location) = &self.location {
            let width = location.line.to_string().len();
            let _ = writeln!(out, "{:width$}{} {location}", "", paint("34", "-->"));
            if let Some(text) = &self.line_text {
                let bar = paint("34", "|");
                let text = text.replace('\t', " ");
                let mark = "^"
                    .repeat(self.length.min(text.chars().count().saturating_sub(location.column - 1)).max(1));
                let _ = writeln!(out, "{} {bar} {text}", location.line);
                let _ = writeln!(
                    out,
                    "{:width$} {bar} {:2$}{3}",
                    "",
                    "",
                    location.column - 1,
                    paint(code, &mark)
                );
            }
        }
        if let Some(help) = &self.help {
            let _ = writeln!(out, "  {} {help}", paint("36", "help:"));
        }
        out
    }
}

/// A sentence without the rest of a text that it quotes.
fn shortened(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(MAX_MESSAGE) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// The known word that was probably meant.
pub(crate) fn closest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .take(MAX_KNOWN)
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Edits between two short words; one that is far too long is not compared.
fn distance(a: &str, b: &str) -> usize {
    if a.len().max(b.len()) > 128 {
        return usize::MAX;
    }
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
