//! How a value of the model is read from a node and written back, said once: a [`record!`](crate::attribute::record) names each
//! attribute with its key and its type, and what is no attribute of it is told with what was probably meant.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde_json::{Map, Value, json};

use crate::{
    read::{Reader, labels},
    render,
    yaml::{self, Node},
};

/// A value that stands at an attribute.
pub(crate) trait Attribute: Sized {
    /// Whether an empty one is none.
    const FILLED: bool = false;

    /// The value; `None`, with an error, where the node is none.
    fn read(reader: &mut Reader<'_>, node: &Node) -> Option<Self>;

    /// The value as docker compose writes it.
    fn show(&self) -> Value;

    /// Whether nothing is written of it.
    fn is_unsaid(&self) -> bool {
        false
    }

    /// A mapping to such values.
    fn read_map(reader: &mut Reader<'_>, node: &Node) -> BTreeMap<String, Self> {
        let entries = reader.entries(node);
        let read = |(key, value): &(yaml::Key, Node)| {
            Some((key.text.clone(), Self::read(&mut reader.at(&key.text), value)?))
        };
        entries.iter().filter_map(read).collect()
    }
}

impl Attribute for String {
    const FILLED: bool = true;

    fn read(reader: &mut Reader<'_>, node: &Node) -> Option<Self> {
        reader.string_or_empty(node)
    }

    fn show(&self) -> Value {
        json!(self)
    }

    fn is_unsaid(&self) -> bool {
        self.is_empty()
    }

    fn read_map(reader: &mut Reader<'_>, node: &Node) -> BTreeMap<String, Self> {
        labels(reader, node)
    }
}

impl Attribute for bool {
    fn read(reader: &mut Reader<'_>, node: &Node) -> Option<Self> {
        reader.bool(node)
    }

    fn show(&self) -> Value {
        json!(self)
    }

    fn is_unsaid(&self) -> bool {
        !self
    }
}

macro_rules! numbers {
    ($($type:ty: $what:literal),*) => {
        $(impl Attribute for $type {
            fn read(reader: &mut Reader<'_>, node: &Node) -> Option<Self> {
                reader.number(node, $what)
            }

            fn show(&self) -> Value {
                json!(self)
            }
        })*
    };
}

numbers!(u32: "a number", u64: "a number", i64: "a number, which may be below 0");

impl Attribute for Duration {
    fn read(reader: &mut Reader<'_>, node: &Node) -> Option<Self> {
        reader.duration(node)
    }

    fn show(&self) -> Value {
        json!(render::duration(*self))
    }
}

/// A path of the host, which begins where the file's relative paths do.
impl Attribute for PathBuf {
    fn read(reader: &mut Reader<'_>, node: &Node) -> Option<Self> {
        let text = reader.string(node)?;
        Some(reader.findings.context(node.place).base().resolve(&text))
    }

    fn show(&self) -> Value {
        json!(self)
    }

    fn is_unsaid(&self) -> bool {
        self.as_os_str().is_empty()
    }
}

/// `host=address`.
impl Attribute for (String, String) {
    fn read(reader: &mut Reader<'_>, node: &Node) -> Option<Self> {
        let text = reader.string(node)?;
        let pair = text.split_once('=').map(|(host, address)| (host.to_owned(), address.to_owned()));
        pair.or_else(|| reader.wrong(node, "host=address"))
    }

    fn show(&self) -> Value {
        json!(format!("{}={}", self.0, self.1))
    }
}

impl<T: Attribute> Attribute for Option<T> {
    fn read(reader: &mut Reader<'_>, node: &Node) -> Option<Self> {
        if node.is_null() {
            return Some(None);
        }
        T::read(reader, node).map(|value| Some(value).filter(|value| !T::FILLED || !value.is_unsaid()))
    }

    fn show(&self) -> Value {
        self.as_ref().map_or(Value::Null, T::show)
    }

    fn is_unsaid(&self) -> bool {
        self.is_none()
    }
}

impl<T: Attribute> Attribute for Vec<T> {
    fn read(reader: &mut Reader<'_>, node: &Node) -> Option<Self> {
        match &node.value {
            yaml::Value::List(items) => {
                let read = |(index, item)| T::read(&mut reader.item(index), item);
                Some(items.iter().enumerate().filter_map(read).collect())
            }
            _ if node.is_null() => Some(Vec::new()),
            _ => reader.no_list(node),
        }
    }

    fn show(&self) -> Value {
        self.iter().map(T::show).collect()
    }

    fn is_unsaid(&self) -> bool {
        self.is_empty()
    }
}

impl<T: Attribute> Attribute for BTreeMap<String, T> {
    fn read(reader: &mut Reader<'_>, node: &Node) -> Option<Self> {
        Some(T::read_map(reader, node))
    }

    fn show(&self) -> Value {
        Value::Object(self.iter().map(|(key, value)| (key.clone(), value.show())).collect())
    }

    fn is_unsaid(&self) -> bool {
        self.is_empty()
    }
}

/// The entries that say something.
pub(crate) fn shown(entries: impl IntoIterator<Item = (&'static str, bool, Value)>) -> Value {
    // Docker compose writes these two even where there is nothing, and hashes them so.
    let stays = |key| matches!(key, "command" | "entrypoint");
    let said = entries.into_iter().filter(|(key, unsaid, _)| !unsaid || stays(*key));
    Value::Object(said.map(|(key, _, value)| (key.to_owned(), value)).collect::<Map<_, _>>())
}

/// One text or a list of them.
pub(crate) fn one_or_more(reader: &mut Reader<'_>, node: &Node) -> Option<Vec<String>> {
    Some(reader.one_or_spotted(node).into_iter().map(|(text, _)| text).collect())
}

/// A number of which 0 says nothing.
pub(crate) fn nonzero<T: Attribute + PartialEq + From<u8>>(
    reader: &mut Reader<'_>,
    node: &Node,
) -> Option<Option<T>> {
    let found: Option<T> = Attribute::read(reader, node)?;
    Some(found.filter(|number| *number != T::from(0)))
}

/// Declares a structure whose fields stand at keys of a mapping. `needs` are those without which it is none; `= how` reads a
/// field in a way of its own.
macro_rules! record {
    ($(#[$about:meta])* $outer:vis $name:ident $(needs [$($needed:literal),*])? {
        $($(#[$doc:meta])* $key:literal $visible:vis $field:ident: $type:ty $(= $how:expr)?,)*
    }) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, Eq, Default)]
        #[non_exhaustive]
        $outer struct $name {
            $($(#[$doc])* $visible $field: $type,)*
        }

        impl crate::attribute::Attribute for $name {
            fn read(reader: &mut crate::read::Reader<'_>, node: &crate::yaml::Node) -> Option<Self> {
                let mut record = Self::default();
                let before = reader.findings.list.len();
                for (key, value) in reader.entries(node) {
                    let mut reader = reader.at(&key.text);
                    match key.text.as_str() {
                        $($key => {
                            if let Some(read) = crate::attribute::record!(@read $type, &mut reader, value $(, $how)?) {
                                record.$field = read;
                            }
                        })*
                        _ => reader.unknown(key, &[$($key),*]),
                    }
                }
                let needs: &[&str] = &[$($($needed),*)?];
                // What is misspelt is told already.
                if !reader.findings.has_errors_since(before) {
                    for needed in needs.iter().filter(|needed| node.get(needed).is_none()) {
                        reader.error(node.place, format!("{needed:?} is missing"));
                    }
                }
                Some(record)
            }

            fn show(&self) -> serde_json::Value {
                crate::attribute::shown([$(($key, self.$field.is_unsaid(), self.$field.show())),*])
            }
        }
    };
    (@read $type:ty, $reader:expr, $node:expr) => {
        <$type as crate::attribute::Attribute>::read($reader, $node)
    };
    (@read $type:ty, $reader:expr, $node:expr, $how:expr) => {
        $how($reader, $node)
    };
}

/// Declares an enumeration of words.
macro_rules! words {
    ($(#[$about:meta])* $outer:vis $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        $outer enum $name {
            $($(#[$doc])* $variant,)*
        }

        impl $name {
            /// The specification's word for it.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }

        impl crate::attribute::Attribute for $name {
            fn read(reader: &mut crate::read::Reader<'_>, node: &crate::yaml::Node) -> Option<Self> {
                match node.text() {
                    $(Some($word) => Some(Self::$variant),)*
                    _ => reader.none_of(node, &[$($word),*]),
                }
            }

            fn show(&self) -> serde_json::Value {
                serde_json::json!(self.as_str())
            }
        }
    };
}

pub(crate) use {record, words};
