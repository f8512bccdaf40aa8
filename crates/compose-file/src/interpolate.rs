//! `$VAR` and `${VAR…}` in values, as compose has them: `:-` `-` `:?` `?` `:+` `+`, nested, and `$$`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use crate::{
    Severity,
    findings::{Findings, Place},
    yaml::{Node, Value},
};

/// A longer text than any file has is one that variables make of themselves.
const MAX_TEXT: usize = 16 << 20;
/// So much text comes of the variables of one load.
const MAX_REPLACED: usize = 64 << 20;

/// Why a text cannot be interpolated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The text is not well-formed; what is wrong.
    Syntax(String),
    /// A required variable is not there.
    Required(Required),
}

/// A variable that a text requires in vain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Required {
    pub(crate) name: String,
    /// Whether it is set, but to an empty text.
    pub(crate) empty: bool,
    /// The file's own words.
    words: String,
}

impl fmt::Display for Required {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.empty { "set to an empty text" } else { "not set" };
        let colon = if self.words.is_empty() { "" } else { ": " };
        write!(f, "required variable {} is {state}{colon}{}", self.name, self.words)
    }
}

/// What a text has that is no fault, but worth a word.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Notes {
    /// Names that are used and not set.
    pub(crate) unset: BTreeSet<String>,
    /// Whether something stands after a closed quote, which is dropped, as docker compose does; of a file with variables.
    pub(crate) dropped: bool,
    /// Whether there is a dollar that begins no variable. It is kept, as docker compose does.
    pub(crate) lone_dollar: bool,
}

impl Notes {
    /// Warns of each, at the first place in a text that begins at `place`.
    pub(crate) fn report(self, findings: &mut Findings, place: Place, path: &str) {
        if findings.is_full(Severity::Warning) {
            return;
        }
        for name in self.unset {
            if !findings.is_first_unset(place.source, &name) {
                continue;
            }
            // Forms with an operator say themselves what an unset variable is.
            let place = findings.find_dollar(place, |rest| match rest.strip_prefix('{') {
                Some(inner) => inner.strip_prefix(name.as_str())?.starts_with('}').then_some(name.len() + 3),
                None => {
                    let more = |c: char| is_name_start(c) || c.is_ascii_digit();
                    (!rest.strip_prefix(name.as_str())?.starts_with(more)).then_some(name.len() + 1)
                }
            });
            let message = format!("the {name:?} variable is not set; it is taken as an empty text");
            findings.warning(place, path, message);
        }
        if self.dropped {
            let message = "what stands after the closing quote is dropped";
            findings.warning_with(place, path, message, "put all of the value in the quotes");
        }
        if self.lone_dollar {
            let lone = |rest: &str| (!rest.starts_with(|c: char| is_name_start(c) || c == '{')).then_some(1);
            let place = findings.find_dollar(place, lone);
            findings.warning_with(
                place,
                path,
                "this \"$\" begins no variable and is kept",
                "write \"$$\" for a dollar sign",
            );
        }
    }
}

/// Replaces variables in one text.
pub(crate) fn interpolate(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
    notes: &mut Notes,
) -> Result<String, Fault> {
    let chars: Vec<char> = text.chars().collect();
    let mut scanner = Scanner { chars: &chars, at: 0, lookup, notes, depth: 0 };
    scanner.run(false, true)
}

struct Scanner<'a> {
    chars: &'a [char],
    at: usize,
    lookup: &'a dyn Fn(&str) -> Option<String>,
    notes: &'a mut Notes,
    depth: usize,
}

impl Scanner<'_> {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    /// Reads until the end or, inside braces, until the brace that closes them. Without `wanted` the text is only passed over: its variables are
    /// not looked up.
    fn run(&mut self, inside: bool, wanted: bool) -> Result<String, Fault> {
        let mut out = String::new();
        self.depth += 1;
        if self.depth > 50 {
            return Err(Fault::Syntax("nested too deeply".into()));
        }
        while let Some(c) = self.peek() {
            if out.len() > MAX_TEXT {
                return Err(Fault::Syntax("its variables make it too large".into()));
            }
            match c {
                '}' if inside => break,
                '$' => {
                    self.at += 1;
                    match self.peek() {
                        Some('$') => {
                            self.at += 1;
                            out.push('$');
                        }
                        Some('{') => {
                            self.at += 1;
                            out.push_str(&self.braced(wanted)?);
                        }
                        Some(c) if is_name_start(c) => {
                            let name = self.name();
                            out.push_str(&self.value(&name, wanted));
                        }
                        _ => {
                            self.notes.lone_dollar = true;
                            out.push('$');
                        }
                    }
                }
                c => {
                    out.push(c);
                    self.at += 1;
                }
            }
        }
        self.depth -= 1;
        Ok(out)
    }

    fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(c) = self.peek().filter(|c| is_name_start(*c) || c.is_ascii_digit()) {
            name.push(c);
            self.at += 1;
        }
        name
    }

    fn value(&mut self, name: &str, wanted: bool) -> String {
        if !wanted {
            return String::new();
        }
        (self.lookup)(name).unwrap_or_else(|| {
            self.notes.unset.insert(name.to_owned());
            String::new()
        })
    }

    fn braced(&mut self, wanted: bool) -> Result<String, Fault> {
        let name = match self.peek() {
            Some(c) if is_name_start(c) => self.name(),
            _ => return Err(Fault::Syntax("\"${\" must be followed by a variable's name".into())),
        };
        let mut colon = false;
        if self.peek() == Some(':') {
            colon = true;
            self.at += 1;
        }
        let operator = match self.peek() {
            Some('}') if !colon => {
                self.at += 1;
                return Ok(self.value(&name, wanted));
            }
            Some(operator @ ('-' | '?' | '+')) => operator,
            Some(other) => {
                return Err(Fault::Syntax(format!(
                    "{other:?} after the name {name:?}; a default is written ${{{name}:-default}}"
                )));
            }
            None => return Err(unclosed(&name)),
        };
        self.at += 1;
        let set = (self.lookup)(&name);
        let empty = set.is_some();
        let current = set.filter(|value| !(colon && value.is_empty()));
        let use_word = match operator {
            '-' | '?' => current.is_none(),
            _ => current.is_some(),
        };
        let word = self.run(true, wanted && use_word)?;
        if self.peek() != Some('}') {
            return Err(unclosed(&name));
        }
        self.at += 1;
        match (operator, current) {
            ('-', Some(value)) => Ok(value),
            ('-', None) => Ok(word),
            ('?', Some(value)) => Ok(value),
            ('?', None) if wanted => Err(Fault::Required(Required { name, empty, words: word })),
            ('+', Some(_)) => Ok(word),
            _ => Ok(String::new()),
        }
    }
}

fn unclosed(name: &str) -> Fault {
    Fault::Syntax(format!("\"${{{name}\" is not closed with \"}}\""))
}

fn is_name_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

/// Where a value of a tree is. It is put into words only when there is something to say.
enum Trail<'a> {
    Root(&'a str),
    Key(&'a Trail<'a>, &'a str),
    Item(&'a Trail<'a>, usize),
}

impl fmt::Display for Trail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root(path) => f.write_str(path),
            Self::Key(Self::Root(""), key) => f.write_str(key),
            Self::Key(outer, key) => write!(f, "{outer}.{key}"),
            Self::Item(outer, index) => write!(f, "{outer}[{index}]"),
        }
    }
}

/// Interpolates every value of a tree at a path, not its keys.
pub(crate) fn tree(node: &mut Node, path: &str, env: &BTreeMap<String, String>, findings: &mut Findings) {
    values(node, &Trail::Root(path), env, findings);
}

fn values(node: &mut Node, trail: &Trail<'_>, env: &BTreeMap<String, String>, findings: &mut Findings) {
    match &mut node.value {
        Value::Scalar { text, plain } => {
            // What is too large already is told, and is no project.
            if !text.contains('$') || findings.replaced > MAX_REPLACED {
                return;
            }
            let mut notes = Notes::default();
            match interpolate(text, &|name| env.get(name).cloned(), &mut notes) {
                // What a variable holds is text, even where it is empty or looks like a number.
                Ok(replaced) => {
                    findings.replaced += replaced.len();
                    if findings.replaced > MAX_REPLACED {
                        let message = "the variables of these files make them too large";
                        findings.error(node.place, &trail.to_string(), message);
                        return;
                    }
                    (*text, *plain) = (replaced, false);
                }
                Err(Fault::Syntax(what)) => {
                    findings.error(node.place, &trail.to_string(), format!("cannot interpolate: {what}"));
                }
                Err(Fault::Required(missing)) => {
                    let help = format!("set it in the environment or in the .env file: {}=…", missing.name);
                    findings.error_with(node.place, &trail.to_string(), missing.to_string(), help);
                }
            }
            if notes != Notes::default() {
                notes.report(findings, node.place, &trail.to_string());
            }
        }
        Value::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                values(item, &Trail::Item(trail, index), env, findings);
            }
        }
        Value::Map(entries) => {
            for (key, value) in entries {
                values(value, &Trail::Key(trail, &key.text), env, findings);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str) -> Result<String, Fault> {
        let lookup = |name: &str| match name {
            "A" => Some("a".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        interpolate(text, &lookup, &mut Notes::default())
    }

    #[test]
    fn the_cases_of_compose() {
        let cases = [
            ("$A", "a"),
            ("${A}", "a"),
            ("x${A}y", "xay"),
            ("$$A", "$A"),
            ("$${A}", "${A}"),
            ("$NO", ""),
            ("${NO:-d}", "d"),
            ("${NO-d}", "d"),
            ("${EMPTY:-d}", "d"),
            ("${EMPTY-d}", ""),
            ("${A:-d}", "a"),
            ("${A:+x}", "x"),
            ("${EMPTY:+x}", ""),
            ("${EMPTY+x}", "x"),
            ("${NO+x}", ""),
            ("${A:?m}", "a"),
            ("${EMPTY?m}", ""),
            ("${NO:-${A}}", "a"),
            ("${NO:-${NO2:-${A}b}}", "ab"),
            ("${NO:-$$}", "$"),
            ("${NO:-a b:c}", "a b:c"),
            ("$A$A", "aa"),
            ("$A-b", "a-b"),
            ("${A:+${NO:-y}}", "y"),
            ("{A}", "{A}"),
            ("}", "}"),
            ("${NO:-}", ""),
            ("${A:-${NO:?never}}", "a"),
            ("a$$b", "a$b"),
            ("$", "$"),
            ("a $ b", "a $ b"),
            ("$1", "$1"),
            ("$ {A}", "$ {A}"),
            ("x$-y", "x$-y"),
            ("$$$", "$$"),
            ("${NO:-a$}", "a$"),
            ("${NO:-$1}", "$1"),
            ("$A$", "a$"),
        ];
        for (text, expected) in cases {
            assert_eq!(run(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn faults() {
        let required = |name: &str, empty, words: &str| {
            Err(Fault::Required(Required { name: name.into(), empty, words: words.into() }))
        };
        assert_eq!(run("${NO:?say so}"), required("NO", false, "say so"));
        assert_eq!(run("${NO?}"), required("NO", false, ""));
        assert_eq!(run("${EMPTY:?}"), required("EMPTY", true, ""));
        for text in ["${", "${}", "${1}", "${A", "${A:-", "${A!}", "${A:}"] {
            assert!(matches!(run(text), Err(Fault::Syntax(_))), "{text}: {:?}", run(text));
        }
        let deep = "${A:-".repeat(60) + &"}".repeat(60);
        assert!(run(&deep).is_err());
    }
}
