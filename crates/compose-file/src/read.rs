//! Reads typed values from nodes; what has the wrong type becomes a finding that quotes it.

use std::{collections::BTreeMap, fmt::Display, time::Duration};

use crate::{
    Severity,
    findings::{Findings, Place, Spot},
    quantity::{parse_bytes, parse_duration},
    scalar,
    words::split_words,
    yaml::{Key, Node, Value},
};

/// A cursor: a node with its path in the model, and where findings go.
pub(crate) struct Reader<'f> {
    pub(crate) findings: &'f mut Findings,
    pub(crate) path: String,
}

impl<'f> Reader<'f> {
    pub(crate) fn new(findings: &'f mut Findings, path: impl Into<String>) -> Self {
        Self { findings, path: path.into() }
    }

    /// The reader of something inside.
    pub(crate) fn at(&mut self, inner: impl Display) -> Reader<'_> {
        let dot = if self.path.is_empty() { "" } else { "." };
        Reader { path: format!("{}{dot}{inner}", self.path), findings: self.findings }
    }

    pub(crate) fn item(&mut self, index: usize) -> Reader<'_> {
        Reader { path: format!("{}[{index}]", self.path), findings: self.findings }
    }

    pub(crate) fn error(&mut self, place: Place, message: impl Into<String>) {
        self.findings.error(place, &self.path, message);
    }

    pub(crate) fn error_with(&mut self, place: Place, message: impl Into<String>, help: impl Into<String>) {
        self.findings.error_with(place, &self.path, message, help);
    }

    pub(crate) fn warning(&mut self, place: Place, message: impl Into<String>) {
        self.findings.warning(place, &self.path, message);
    }

    /// Whether a text is whole, so that it can be judged: no variable in it waits to be replaced.
    pub(crate) fn is_whole(&self, text: &str) -> bool {
        !(self.findings.variables_stay && text.contains('$'))
    }

    pub(crate) fn spot(&self, node: &Node) -> Spot {
        Spot { place: node.place, path: self.path.clone() }
    }

    pub(crate) fn wrong<T>(&mut self, node: &Node, expected: &str) -> Option<T> {
        self.error(node.place, format!("expected {expected}, found {}", node.describe()));
        None
    }

    /// As [`Reader::wrong`], where a list is expected.
    pub(crate) fn no_list<T>(&mut self, node: &Node) -> Option<T> {
        let Some(text) = node.text().filter(|_| !node.is_null()) else { return self.wrong(node, "a list") };
        let help = format!("write it as a list: [{:?}]", text.chars().take(60).collect::<String>());
        self.error_with(node.place, format!("expected a list, found {}", node.describe()), help);
        None
    }

    /// As [`Reader::wrong`], where a mapping is expected.
    pub(crate) fn no_mapping(&mut self, node: &Node) {
        match node.text().and_then(|text| text.split_once(':')) {
            Some((key, _)) if !key.is_empty() && !key.contains(' ') => {
                let message = format!("expected a mapping, found {}", node.describe());
                self.error_with(node.place, message, "put a space after the colon");
            }
            _ => {
                self.wrong::<()>(node, "a mapping");
            }
        }
    }

    pub(crate) fn entries<'n>(&mut self, node: &'n Node) -> &'n [(Key, Node)] {
        match &node.value {
            Value::Map(entries) => entries,
            _ if node.is_null() => &[],
            _ => {
                self.no_mapping(node);
                &[]
            }
        }
    }

    /// Any scalar as the text that was written.
    pub(crate) fn string(&mut self, node: &Node) -> Option<String> {
        match &node.value {
            Value::Scalar { text, .. } if !node.is_null() => Some(text.clone()),
            _ => self.wrong(node, "a text"),
        }
    }

    /// A scalar, where nothing is an empty text.
    pub(crate) fn string_or_empty(&mut self, node: &Node) -> Option<String> {
        if node.is_null() { Some(String::new()) } else { self.string(node) }
    }

    pub(crate) fn bool(&mut self, node: &Node) -> Option<bool> {
        if let Value::Scalar { text, .. } = &node.value {
            match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "y" => return Some(true),
                "false" | "no" | "off" | "n" => return Some(false),
                _ => {}
            }
        }
        self.wrong(node, "true or false")
    }

    pub(crate) fn number<T: std::str::FromStr>(&mut self, node: &Node, expected: &str) -> Option<T> {
        match &node.value {
            Value::Scalar { text, .. } => match text.parse() {
                Ok(number) => Some(number),
                Err(_) => self.wrong(node, expected),
            },
            _ => self.wrong(node, expected),
        }
    }

    pub(crate) fn duration(&mut self, node: &Node) -> Option<Duration> {
        let parsed = match &node.value {
            Value::Scalar { text, .. } => parse_duration(text),
            _ => None,
        };
        if let (None, Some(number)) = (parsed, node.text().and_then(|text| text.parse::<u32>().ok())) {
            let message = format!("a duration needs a unit, found {}", node.describe());
            self.error_with(node.place, message, format!("write {number}s for seconds"));
            return None;
        }
        parsed.or_else(|| self.wrong(node, "a duration like 1m30s or 500ms"))
    }

    pub(crate) fn bytes(&mut self, node: &Node) -> Option<u64> {
        let parsed = match &node.value {
            Value::Scalar { text, .. } => parse_bytes(text),
            _ => None,
        };
        parsed.or_else(|| self.wrong(node, "a size like 64m or 1gb"))
    }

    /// A list of scalars.
    pub(crate) fn strings(&mut self, node: &Node) -> Vec<String> {
        self.spotted(node).into_iter().map(|(text, _)| text).collect()
    }

    /// A list of scalars, each with where it stands.
    pub(crate) fn spotted(&mut self, node: &Node) -> Vec<(String, Spot)> {
        match &node.value {
            Value::List(items) => items
                .iter()
                .enumerate()
                .filter_map(|(index, item)| {
                    let mut reader = self.item(index);
                    Some((reader.string_or_empty(item)?, reader.spot(item)))
                })
                .collect(),
            _ if node.is_null() => Vec::new(),
            _ => {
                self.no_list::<()>(node);
                Vec::new()
            }
        }
    }

    /// One scalar or a list of them.
    pub(crate) fn one_or_spotted(&mut self, node: &Node) -> Vec<(String, Spot)> {
        match &node.value {
            Value::Scalar { text, .. } if !node.is_null() => vec![(text.clone(), self.spot(node))],
            _ => self.spotted(node),
        }
    }

    /// A text of which an empty one means that there is none.
    pub(crate) fn filled(&mut self, node: &Node) -> Option<String> {
        self.string(node).filter(|text| !text.is_empty())
    }

    /// As [`Reader::filled`], where not every text will do.
    pub(crate) fn filled_if(
        &mut self,
        node: &Node,
        good: impl Fn(&str) -> bool,
        what: &str,
        rule: &str,
    ) -> Option<String> {
        let text = self.filled(node)?;
        if !good(&text) && self.is_whole(&text) {
            self.error_with(node.place, format!("{text:?} {what}"), rule);
        }
        Some(text)
    }

    /// A list of scalars, each of which must be good.
    pub(crate) fn strings_if(
        &mut self,
        node: &Node,
        good: impl Fn(&str) -> bool,
        what: &str,
        rule: &str,
    ) -> Vec<String> {
        let found = self.spotted(node);
        self.all_are(found, good, what, rule)
    }

    /// As [`Reader::strings_if`], for one scalar or a list of them.
    pub(crate) fn one_or_strings_if(
        &mut self,
        node: &Node,
        good: impl Fn(&str) -> bool,
        what: &str,
        rule: &str,
    ) -> Vec<String> {
        let found = self.one_or_spotted(node);
        self.all_are(found, good, what, rule)
    }

    fn all_are(
        &mut self,
        found: Vec<(String, Spot)>,
        good: impl Fn(&str) -> bool,
        what: &str,
        rule: &str,
    ) -> Vec<String> {
        for (text, spot) in found.iter().filter(|(text, _)| !good(text)) {
            if self.is_whole(text) {
                self.findings.error_with(spot.place, &spot.path, format!("{text:?} {what}"), rule);
            }
        }
        found.into_iter().map(|(text, _)| text).collect()
    }

    /// Words: a list, or a text that is split as a shell splits it, without expanding anything.
    pub(crate) fn words(&mut self, node: &Node) -> Option<Vec<String>> {
        match &node.value {
            _ if node.is_null() => None,
            Value::Scalar { text, .. } => match split_words(text) {
                Some(words) => Some(words),
                None => {
                    self.error(node.place, format!("a quote is not closed in {}", node.describe()));
                    None
                }
            },
            _ => Some(self.strings(node)),
        }
    }

    /// A mapping, or a list of `KEY=value`. `None` is a key without a value.
    pub(crate) fn pairs(&mut self, node: &Node) -> BTreeMap<String, Option<String>> {
        let mut out = BTreeMap::new();
        match &node.value {
            Value::Map(entries) => {
                for (key, value) in entries {
                    let text = match &value.value {
                        Value::Scalar { .. } if value.is_null() => None,
                        Value::Scalar { text, plain } => {
                            Some(self.at(&key.text).as_written(value, text, *plain))
                        }
                        _ => {
                            self.at(&key.text).wrong::<()>(value, "a text, a number, true, false or nothing");
                            continue;
                        }
                    };
                    out.insert(key.text.clone(), text);
                }
            }
            Value::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    if let Value::Map(_) = &item.value {
                        let message = "expected KEY=value, found a mapping";
                        let help = "write KEY=value, or leave out each \"-\"";
                        self.item(index).error_with(item.place, message, help);
                        continue;
                    }
                    let Some(text) = self.item(index).string(item) else { continue };
                    let (key, value) = match text.split_once('=') {
                        Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
                        None => (text, None),
                    };
                    if key.is_empty() {
                        self.item(index).error(item.place, "a name is missing before \"=\"");
                    } else {
                        out.insert(key, value);
                    }
                }
            }
            _ if node.is_null() => {}
            Value::Scalar { .. } => {
                self.wrong::<()>(node, "a mapping or a list of KEY=value");
            }
        }
        out
    }

    /// A scalar as it is written, with a word about one of which docker compose makes another text.
    fn as_written(&mut self, node: &Node, text: &str, plain: bool) -> String {
        if plain && !self.findings.variables_stay {
            let other = scalar::canonical(text);
            if other != text {
                let message =
                    format!("{text} is kept as it is written, and docker compose makes {other:?} of it");
                self.findings.warning_with(
                    node.place,
                    &self.path,
                    message,
                    "put it in quotes to have the same in both",
                );
            }
        }
        text.to_owned()
    }

    /// A node that is none of some words.
    pub(crate) fn none_of<T>(&mut self, node: &Node, words: &[&str]) -> Option<T> {
        let expected = match words {
            [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
            _ => words.concat(),
        };
        // The end of a word, as `healthy` is of `service_healthy`, is one that was meant.
        let end = |text: &str| words.iter().copied().find(|word| text.len() > 3 && word.ends_with(text));
        let meant = |text| self.findings.meant(text, words.iter().copied()).or_else(|| end(text));
        match node.text().and_then(meant) {
            Some(meant) => {
                let message = format!("expected {expected}, found {}", node.describe());
                self.error_with(node.place, message, format!("did you mean {meant:?}?"));
                None
            }
            None => self.wrong(node, &expected),
        }
    }

    /// A key that nothing here reads.
    pub(crate) fn unknown(&mut self, key: &Key, known: &[&str]) {
        if key.text.starts_with("x-") {
            return;
        }
        if self.findings.is_full(Severity::Error) {
            return self.error(key.place, "it is not known here");
        }
        let message = format!("{:?} is not known here", key.text);
        let all = || known.iter().copied();
        // A part of a key, or more than it, is one that was meant: `env`, `restart_policy`.
        let part = |word: &&str| {
            key.text.len() > 2 && word.starts_with(&key.text) || word.len() > 3 && key.text.starts_with(word)
        };
        match self.findings.meant(&key.text, all()).or_else(|| all().find(part)) {
            Some(meant) => self.error_with(key.place, message, format!("did you mean {meant:?}?")),
            None => self.error(key.place, message),
        }
    }
}

/// Labels: what has no value has an empty one.
pub(crate) fn labels(reader: &mut Reader<'_>, node: &Node) -> BTreeMap<String, String> {
    reader.pairs(node).into_iter().map(|(key, value)| (key, value.unwrap_or_default())).collect()
}
