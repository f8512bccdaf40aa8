//! Several files into one tree, by compose's rules for overriding.

use crate::{
    findings::Findings,
    mount::clean,
    yaml::{Key, MergeTag, Node, Value},
};

/// How two values of one attribute become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// The later one replaces the earlier.
    Replace,
    /// Mappings are merged by key, lists appended, anything else is replaced.
    Deep,
    /// A mapping or a list of `KEY=value`: merged by key.
    Pairs,
    /// A list or a mapping of names.
    Names,
    /// A list whose entries are the same when they mount at one place.
    Mounts,
    /// A list without repetitions.
    Set,
    /// A list of `host=address` without repetitions, or a mapping that stands for one: a host may have several addresses.
    Hosts,
}

/// The rule of an attribute of a service.
fn service_rule(attribute: &str) -> Rule {
    match attribute {
        "command" | "entrypoint" => Rule::Replace,
        "environment" | "labels" | "annotations" | "sysctls" => Rule::Pairs,
        "extra_hosts" => Rule::Hosts,
        "depends_on" | "networks" => Rule::Names,
        "volumes" | "devices" => Rule::Mounts,
        "ports" | "expose" | "dns" | "dns_search" | "tmpfs" | "cap_add" | "cap_drop" | "env_file"
        | "profiles" => Rule::Set,
        _ => Rule::Deep,
    }
}

/// Merges a later file over an earlier one.
pub(crate) fn merge(base: &mut Node, over: Node, findings: &mut Findings) {
    merge_at(base, over, &mut Vec::new(), findings);
}

fn merge_at(base: &mut Node, over: Node, path: &mut Vec<String>, findings: &mut Findings) {
    if over.tag == Some(MergeTag::Override) {
        *base = over;
        return;
    }
    let rule = match path.as_slice() {
        [top, _, attribute] if top == "services" => service_rule(attribute),
        [top, _, attribute, inner] if top == "services" && attribute == "healthcheck" && inner == "test" => {
            Rule::Replace
        }
        [.., last] if last == "labels" || last == "driver_opts" => Rule::Pairs,
        _ => Rule::Deep,
    };
    match rule {
        Rule::Replace => *base = over,
        Rule::Pairs => {
            base.value = Value::Map(pairs(base));
            let over = Node { value: Value::Map(pairs(&over)), ..over };
            merge_maps(base, over, path, findings);
        }
        Rule::Names => {
            if matches!((&base.value, &over.value), (Value::List(_), Value::List(_))) {
                append(base, over, scalar);
            } else {
                base.value = Value::Map(names(base, path));
                let over = Node { value: Value::Map(names(&over, path)), ..over };
                merge_maps(base, over, path, findings);
            }
        }
        Rule::Mounts => append(base, over, mount_target),
        Rule::Set => append(base, over, |node| Some(format!("{:?}", shape(node)))),
        Rule::Hosts => {
            base.value = Value::List(hosts(base));
            let over = Node { value: Value::List(hosts(&over)), ..over };
            append(base, over, |node| scalar(node).map(|text| text.replacen([':', '='], "=", 1)));
        }
        Rule::Deep => match (&mut base.value, over.value) {
            (Value::Map(_), value @ Value::Map(_)) => {
                merge_maps(base, Node { value, ..over }, path, findings)
            }
            (Value::List(items), Value::List(more)) => items.extend(more),
            (_, value) => *base = Node { value, ..over },
        },
    }
}

fn merge_maps(base: &mut Node, over: Node, path: &mut Vec<String>, findings: &mut Findings) {
    let (Value::Map(entries), Value::Map(more)) = (&mut base.value, over.value) else { return };
    for (key, value) in more {
        if value.tag == Some(MergeTag::Reset) {
            entries.retain(|(k, _)| k.text != key.text);
            continue;
        }
        path.push(key.text.clone());
        match entries.iter_mut().find(|(k, _)| k.text == key.text) {
            Some((_, existing)) if value.is_null() && !matches!(existing.value, Value::Scalar { .. }) => {}
            Some((_, existing)) => merge_at(existing, value, path, findings),
            None => entries.push((key, value)),
        }
        path.pop();
    }
}

/// Removes what only a later file could have reset: `!reset` in a single file drops the attribute.
pub(crate) fn drop_resets(node: &mut Node) {
    match &mut node.value {
        Value::Map(entries) => {
            entries.retain(|(_, value)| value.tag != Some(MergeTag::Reset));
            entries.iter_mut().for_each(|(_, value)| drop_resets(value));
        }
        Value::List(items) => {
            items.retain(|item| item.tag != Some(MergeTag::Reset));
            items.iter_mut().for_each(drop_resets);
        }
        Value::Scalar { .. } => {}
    }
}

fn scalar(node: &Node) -> Option<String> {
    match &node.value {
        Value::Scalar { text, .. } => Some(text.clone()),
        _ => None,
    }
}

/// Appends a list to a list; an entry that means the same as an earlier one replaces it.
fn append(base: &mut Node, over: Node, identity: impl Fn(&Node) -> Option<String>) {
    let as_list = |value: Value, place| match value {
        Value::List(items) => items,
        value => vec![Node { value, place, tag: None }],
    };
    let over_items = as_list(over.value, over.place);
    let mut items = as_list(std::mem::replace(&mut base.value, Value::List(Vec::new())), base.place);
    for item in over_items {
        let id = identity(&item);
        match items.iter_mut().find(|other| id.is_some() && identity(other) == id) {
            Some(same) => *same = item,
            None => items.push(item),
        }
    }
    base.value = Value::List(items);
}

/// A node without its places, to compare.
fn shape(node: &Node) -> String {
    match &node.value {
        Value::Scalar { text, .. } => text.clone(),
        Value::List(items) => format!("[{}]", items.iter().map(shape).collect::<Vec<_>>().join(",")),
        Value::Map(entries) => {
            let mut parts: Vec<String> =
                entries.iter().map(|(key, value)| format!("{}={}", key.text, shape(value))).collect();
            parts.sort();
            format!("{{{}}}", parts.join(","))
        }
    }
}

fn mount_target(node: &Node) -> Option<String> {
    let target = match &node.value {
        Value::Scalar { text, .. } => {
            let mut parts = text.split(':');
            let first = parts.next()?;
            parts.next().unwrap_or(first).to_owned()
        }
        _ => node.get("target").and_then(scalar)?,
    };
    Some(if target.starts_with('/') { clean(&target) } else { target })
}

/// A list of `KEY=value` as a mapping; what is neither stays for the reader to complain of.
fn pairs(node: &Node) -> Vec<(Key, Node)> {
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
fn hosts(node: &Node) -> Vec<Node> {
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
fn names(node: &Node, path: &[String]) -> Vec<(Key, Node)> {
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
                    Value::Map(vec![(condition, node(text("service_started", false)))])
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
