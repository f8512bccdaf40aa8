//! Short forms as the long ones that they stand for, so that both merge alike.

use super::scalar;
use crate::yaml::{Key, Node, Value};

/// `build: folder` as a mapping.
pub(super) fn build(node: &Node) -> Node {
    if !matches!(node.value, Value::Scalar { .. }) || node.is_null() {
        return node.clone();
    }
    let key = Key { text: "context".into(), place: node.place };
    Node { value: Value::Map(vec![(key, node.clone())]), place: node.place, tag: None }
}

/// `all` as a list; what is neither stays for the reader to complain of.
pub(super) fn gpus(node: &Node) -> Vec<Node> {
    match &node.value {
        Value::List(items) => items.clone(),
        _ if node.is_null() => Vec::new(),
        _ => {
            let key = Key { text: "count".into(), place: node.place };
            vec![Node { value: Value::Map(vec![(key, node.clone())]), ..node.clone() }]
        }
    }
}

/// A list of `KEY=value` as a mapping; what is neither stays for the reader to complain of.
pub(super) fn pairs(node: &Node) -> Vec<(Key, Node)> {
    match &node.value {
        Value::Map(entries) => entries.clone(),
        Value::List(items) => items
            .iter()
            .filter_map(|item| {
                let text = scalar(item)?;
                let (key, value) = match text.split_once('=') {
                    Some((key, value)) => {
                        (key.to_owned(), Value::Scalar { text: value.to_owned(), plain: false })
                    }
                    None => (text, Value::Scalar { text: String::new(), plain: true }),
                };
                Some((Key { text: key, place: item.place }, Node { value, place: item.place, tag: None }))
            })
            .collect(),
        Value::Scalar { .. } => Vec::new(),
    }
}

/// A mapping of hosts to addresses as a list; what is neither stays for the reader to complain of.
pub(super) fn hosts(node: &Node) -> Vec<Node> {
    let Value::Map(entries) = &node.value else {
        return match &node.value {
            Value::List(items) => items.clone(),
            _ => vec![node.clone()],
        };
    };
    let mut out = Vec::new();
    for (key, value) in entries {
        let addresses = match &value.value {
            Value::List(addresses) => addresses.as_slice(),
            _ => std::slice::from_ref(value),
        };
        out.extend(addresses.iter().map(|address| match scalar(address) {
            Some(text) => {
                let text = format!("{}={text}", key.text);
                Node { value: Value::Scalar { text, plain: false }, ..address.clone() }
            }
            None => address.clone(),
        }));
    }
    out
}

/// A list of names as a mapping to nothing.
pub(super) fn names(node: &Node, path: &[String]) -> Vec<(Key, Node)> {
    let dependencies = path.last().is_some_and(|last| last == "depends_on");
    match &node.value {
        Value::List(items) => items
            .iter()
            .filter_map(|item| {
                let key = Key { text: scalar(item)?, place: item.place };
                let text = |text: &str, plain| Value::Scalar { text: text.to_owned(), plain };
                let node = |value| Node { value, place: item.place, tag: None };
                let value = if dependencies {
                    let condition = Key { text: "condition".into(), place: item.place };
                    let required = Key { text: "required".into(), place: item.place };
                    let started = node(text("service_started", false));
                    Value::Map(vec![(condition, started), (required, node(text("true", true)))])
                } else {
                    text("", true)
                };
                Some((key, node(value)))
            })
            .collect(),
        Value::Map(entries) => entries.clone(),
        Value::Scalar { .. } => Vec::new(),
    }
}
