//! YAML text to a tree that remembers where everything stood and what the user wrote.
//!
//! The parser's events are used and not its values: a value has lost its place, its tag, and whether `0644` was
//! written or 420.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};

use crate::findings::{Findings, Place, closest};

/// Deeper nesting than any compose file has.
const MAX_DEPTH: usize = 100;
/// So many nodes, aliases included, are more than a file of 16 MiB has without an alias bomb.
const MAX_NODES: usize = 4_000_000;
/// So many of them may come from aliases.
const MAX_ALIASED: usize = 200_000;
/// So many of them may be kept for aliases, which are nodes within others too.
const MAX_ANCHORED: usize = 1_000_000;
/// A longer key than anybody writes. It is a part of the path of all that is in it.
const MAX_KEY: usize = 1024;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) place: Place,
    pub(crate) tag: Option<MergeTag>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Scalar { text: String, plain: bool },
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Key {
    pub(crate) text: String,
    pub(crate) place: Place,
}

/// What compose's own tags ask of merging.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MergeTag {
    Reset,
    Override,
}

impl Node {
    /// How many nodes a tree has, where a long text counts as several: what a copy of it takes.
    pub(crate) fn size(&self) -> usize {
        1 + match &self.value {
            Value::Scalar { text, .. } => weight(text),
            Value::List(items) => items.iter().map(Self::size).sum(),
            Value::Map(entries) => entries.iter().map(|(key, value)| weight(&key.text) + value.size()).sum(),
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        match &self.value {
            Value::Scalar { text, plain } => {
                *plain && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL")
            }
            _ => false,
        }
    }

    /// Whether it stands here only to undo what it overrides.
    pub(crate) fn is_reset(&self) -> bool {
        self.tag == Some(MergeTag::Reset)
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|(k, _)| k.text == key).map(|(_, node)| node),
            _ => None,
        }
    }

    /// A scalar's text.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        match &mut self.value {
            Value::Map(entries) => entries.iter_mut().find(|(k, _)| k.text == key).map(|(_, node)| node),
            _ => None,
        }
    }

    /// Takes an entry out of a mapping.
    pub(crate) fn remove(&mut self, key: &str) {
        if let Value::Map(entries) = &mut self.value {
            entries.retain(|(k, _)| k.text != key);
        }
    }

    pub(crate) fn key(&self, name: &str) -> Option<&Key> {
        match &self.value {
            Value::Map(entries) => entries.iter().map(|(key, _)| key).find(|key| key.text == name),
            _ => None,
        }
    }

    /// Whether a text in it may hold a variable.
    pub(crate) fn has_variable(&self) -> bool {
        match &self.value {
            Value::Scalar { text, .. } => text.contains('$'),
            Value::List(items) => items.iter().any(Self::has_variable),
            Value::Map(entries) => entries.iter().any(|(_, node)| node.has_variable()),
        }
    }

    /// What it is, for an error's sentence.
    pub(crate) fn describe(&self) -> String {
        match &self.value {
            _ if self.is_null() => "nothing".to_owned(),
            Value::Scalar { text, .. } => format!("{:?}", text.chars().take(60).collect::<String>()),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a mapping".to_owned(),
        }
    }
}

/// As how many nodes a text counts besides its own.
fn weight(text: &str) -> usize {
    text.len() / 256
}

struct Builder<'a, 'f> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    findings: &'f mut Findings,
    source: usize,
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
    aliased: usize,
    anchored: usize,
}

/// Why there is no tree; the finding is made.
#[derive(Debug)]
pub(crate) struct Stopped;

/// Parses one document. `None` is an empty one.
pub(crate) fn parse(text: &str, source: usize, findings: &mut Findings) -> Result<Option<Node>, Stopped> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let parser = Parser::new_from_str(text);
    let anchors = HashMap::new();
    let mut builder = Builder { parser, findings, source, anchors, nodes: 0, aliased: 0, anchored: 0 };
    builder.document()
}

impl Builder<'_, '_> {
    fn place(&self, span: Span) -> Place {
        let (start, end) = (span.start, span.end);
        let length = if start.line() == end.line() { end.col().saturating_sub(start.col()) } else { 1 };
        Place { source: self.source, line: start.line(), column: start.col() + 1, length: length.max(1) }
    }

    fn next(&mut self) -> Result<(Event<'static>, Place), Stopped> {
        match self.parser.next() {
            Some(Ok((event, span))) => {
                let place = self.place(span);
                Ok((owned(event), place))
            }
            Some(Err(error)) => {
                let mark = *error.marker();
                let place = Place {
                    source: self.source,
                    line: mark.line().max(1),
                    column: mark.col() + 1,
                    length: 1,
                };
                self.findings.error(place, "", format!("not YAML: {}", error.info()));
                Err(Stopped)
            }
            None => Ok((Event::StreamEnd, Place { source: self.source, line: 1, column: 1, length: 1 })),
        }
    }

    fn document(&mut self) -> Result<Option<Node>, Stopped> {
        let mut root = None;
        loop {
            let (event, place) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(root),
                Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
                event if root.is_none() => root = Some(self.node(event, place, 0)?),
                _ => {
                    self.findings.error(place, "", "a second document; a compose file is one");
                    return Err(Stopped);
                }
            }
        }
    }

    fn node(&mut self, event: Event<'static>, place: Place, depth: usize) -> Result<Node, Stopped> {
        self.nodes += 1;
        if depth > MAX_DEPTH || self.nodes > MAX_NODES {
            let what = if depth > MAX_DEPTH { "nested too deeply" } else { "too many nodes" };
            self.findings.error(place, "", what);
            return Err(Stopped);
        }
        let before = self.nodes;
        let (value, anchor, tag) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let quoted =
                    tag.as_deref().is_some_and(|tag| tag.suffix == "str" || tag.suffix.ends_with(":str"));
                let plain = style == ScalarStyle::Plain && !quoted;
                self.nodes += weight(&text);
                (Value::Scalar { text: text.into_owned(), plain }, anchor, tag)
            }
            Event::SequenceStart(anchor, tag) => {
                let mut items = Vec::new();
                loop {
                    let (event, place) = self.next()?;
                    match event {
                        Event::SequenceEnd => break,
                        Event::StreamEnd => return self.cut_off(place),
                        event => items.push(self.node(event, place, depth + 1)?),
                    }
                }
                (Value::List(items), anchor, tag)
            }
            Event::MappingStart(anchor, tag) => (self.mapping(depth)?, anchor, tag),
            Event::Alias(anchor) => {
                let Some((node, size)) = self.anchors.get(&anchor) else {
                    self.findings.error(place, "", "an alias of something that is not finished or not there");
                    return Err(Stopped);
                };
                self.nodes += size;
                self.aliased += size;
                if self.aliased > MAX_ALIASED {
                    self.findings.error(place, "", "the aliases of this file make it too large");
                    return Err(Stopped);
                }
                return Ok(node.clone());
            }
            _ => return self.cut_off(place),
        };
        let tag = match tag.as_deref() {
            Some(Tag { handle, suffix }) if handle == "!" && suffix == "reset" => Some(MergeTag::Reset),
            Some(Tag { handle, suffix }) if handle == "!" && suffix == "override" => Some(MergeTag::Override),
            Some(Tag { handle, suffix }) if handle == "!" && !suffix.is_empty() => {
                let message = format!("the tag \"!{suffix}\" is not known and does nothing");
                let help = match closest(suffix, ["reset", "override"]) {
                    Some(meant) => format!("did you mean \"!{meant}\"?"),
                    None => "compose has !reset and !override".to_owned(),
                };
                self.findings.warning_with(place, "", message, help);
                None
            }
            _ => None,
        };
        let node = Node { value, place, tag };
        if anchor > 0 {
            let size = self.nodes - before + 1;
            self.anchored += size;
            if self.anchored > MAX_ANCHORED {
                self.findings.error(place, "", "the anchors of this file make it too large");
                return Err(Stopped);
            }
            self.anchors.insert(anchor, (node.clone(), size));
        }
        Ok(node)
    }

    fn cut_off<T>(&mut self, place: Place) -> Result<T, Stopped> {
        self.findings.error(place, "", "not YAML: the text ends in the middle");
        Err(Stopped)
    }

    fn mapping(&mut self, depth: usize) -> Result<Value, Stopped> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        let mut seen: HashMap<String, usize> = HashMap::new();
        let mut merged: Vec<Node> = Vec::new();
        loop {
            let (event, place) = self.next()?;
            let key = match event {
                Event::MappingEnd => break,
                Event::Scalar(text, ..) => Key { text: text.into_owned(), place },
                Event::StreamEnd => return self.cut_off(place),
                event => {
                    let node = self.node(event, place, depth + 1)?;
                    let message = format!("{} cannot be a key; a key is a text", node.describe());
                    self.findings.error(place, "", message);
                    let (event, place) = self.next()?;
                    self.node(event, place, depth + 1)?;
                    continue;
                }
            };
            if key.text.len() > MAX_KEY {
                let message = format!("a key of more than {MAX_KEY} characters");
                self.findings.error(key.place, "", message);
                return Err(Stopped);
            }
            self.nodes += weight(&key.text);
            let (event, place) = self.next()?;
            let value = self.node(event, place, depth + 1)?;
            if key.text == "<<" {
                match value.value {
                    Value::List(items) => merged.extend(items),
                    _ => merged.push(value),
                }
                continue;
            }
            if let Some(first) = seen.insert(key.text.clone(), key.place.line) {
                let message = format!("{:?} is here twice; the first is on line {first}", key.text);
                self.findings.error(key.place, "", message);
                continue;
            }
            entries.push((key, value));
        }
        // A merge key gives what the mapping does not say itself; the first of several wins.
        for node in merged {
            match node.value {
                Value::Map(more) => {
                    for (key, value) in more {
                        if !seen.contains_key(&key.text) {
                            seen.insert(key.text.clone(), key.place.line);
                            entries.push((key, value));
                        }
                    }
                }
                _ => {
                    let message =
                        format!("\"<<\" takes a mapping or a list of mappings, not {}", node.describe());
                    self.findings.error(node.place, "", message);
                }
            }
        }
        Ok(Value::Map(entries))
    }
}

/// The event without its borrow of the text.
fn owned(event: Event<'_>) -> Event<'static> {
    use std::borrow::Cow;
    fn tag(tag: Option<Cow<'_, Tag>>) -> Option<Cow<'static, Tag>> {
        tag.map(|tag| Cow::Owned(tag.into_owned()))
    }
    match event {
        Event::Nothing => Event::Nothing,
        Event::StreamStart => Event::StreamStart,
        Event::StreamEnd => Event::StreamEnd,
        Event::DocumentStart(explicit) => Event::DocumentStart(explicit),
        Event::DocumentEnd => Event::DocumentEnd,
        Event::Alias(anchor) => Event::Alias(anchor),
        Event::Scalar(text, style, anchor, t) => {
            Event::Scalar(Cow::Owned(text.into_owned()), style, anchor, tag(t))
        }
        Event::SequenceStart(anchor, t) => Event::SequenceStart(anchor, tag(t)),
        Event::SequenceEnd => Event::SequenceEnd,
        Event::MappingStart(anchor, t) => Event::MappingStart(anchor, tag(t)),
        Event::MappingEnd => Event::MappingEnd,
    }
}
