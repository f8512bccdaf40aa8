//! Several files into one tree, and a base under what extends it, by compose's rules for overriding.

use std::collections::HashMap;

use crate::{
    findings::Findings,
    mount,
    yaml::{MergeTag, Node, Value},
};

mod forms;

use forms::{build, gpus, hosts, names, pairs};

/// How two values of one attribute become one.
#[derive(Debug, Clone, Copy)]
enum Rule {
    /// The later one replaces the earlier.
    Replace,
    /// Mappings are merged by key, lists appended, scalars replaced; a value of another kind is an error.
    Deep,
    /// As [`Rule::Deep`], where a value of another kind replaces the earlier: the attribute has a short form.
    Loose,
    /// A mapping or a list of `KEY=value`: merged by key.
    Pairs,
    /// A list or a mapping of names.
    Names,
    /// A list, or one text for a list of one, whose entries are the same when this says the same of them.
    Entries(fn(&Node) -> Option<String>),
    /// A list of subnets: one that is there already is merged.
    Pools,
    /// A list of `host=address` without repetitions, or a mapping that stands for one: a host may have several addresses.
    Hosts,
    /// A folder, or a mapping with it.
    Build,
    /// Options are those of a driver, and go with it.
    Logging,
    /// A list, or the word `all` for one.
    Gpus,
}

/// The rule of what stands at a path.
fn rule(path: &[String]) -> Rule {
    let parts: Vec<&str> = path.iter().map(String::as_str).collect();
    match parts.as_slice() {
        ["services", _, attribute] => service_rule(attribute),
        ["services", _, "healthcheck", "test"] => Rule::Replace,
        ["services", _, "networks", _, "aliases" | "link_local_ips"] => Rule::Entries(whole),
        ["services", _, "ulimits", _] | ["services", _, "build", "ulimits", _] => Rule::Loose,
        ["services", _, "deploy", "labels"] => Rule::Pairs,
        ["services", _, "build", "args" | "labels" | "additional_contexts" | "ssh"] => Rule::Pairs,
        ["services", _, "build", "extra_hosts"] => Rule::Hosts,
        ["services", _, "build", "cache_from" | "cache_to" | "tags" | "platforms"] => Rule::Entries(whole),
        ["networks", _, "ipam", "config"] => Rule::Pools,
        ["networks" | "volumes" | "configs" | "secrets", _, "labels" | "driver_opts"] => Rule::Pairs,
        // A service may have a name like that.
        ["services", _] => Rule::Deep,
        [.., last] if last.starts_with("x-") => Rule::Replace,
        _ => Rule::Deep,
    }
}

fn service_rule(attribute: &str) -> Rule {
    match attribute {
        "command" | "entrypoint" => Rule::Replace,
        "environment" | "labels" | "annotations" | "sysctls" => Rule::Pairs,
        "extra_hosts" => Rule::Hosts,
        "depends_on" | "networks" | "models" => Rule::Names,
        "volumes" => Rule::Entries(mount_target),
        "devices" => Rule::Entries(device_target),
        "tmpfs" => Rule::Entries(tmpfs_target),
        "secrets" | "configs" => Rule::Entries(granted),
        "env_file" => Rule::Entries(env_file),
        "ports"
        | "expose"
        | "dns"
        | "dns_opt"
        | "dns_search"
        | "cap_add"
        | "cap_drop"
        | "profiles"
        | "links"
        | "external_links"
        | "security_opt"
        | "group_add"
        | "device_cgroup_rules"
        | "label_file"
        | "volumes_from" => Rule::Entries(whole),
        "build" => Rule::Build,
        "logging" => Rule::Logging,
        "gpus" => Rule::Gpus,
        name if name.starts_with("x-") => Rule::Replace,
        _ => Rule::Deep,
    }
}

/// Merges a later file over an earlier one.
pub(crate) fn merge(base: &mut Node, over: Node, findings: &mut Findings) {
    merge_at(base, over, &mut Vec::new(), findings);
}

/// Merges a service over the one that it extends.
pub(crate) fn extend(name: &str, base: &mut Node, over: Node, findings: &mut Findings) {
    merge_at(base, over, &mut vec!["services".to_owned(), name.to_owned()], findings);
}

fn merge_at(base: &mut Node, over: Node, path: &mut Vec<String>, findings: &mut Findings) {
    // What an earlier file has reset is not there, and a tag of its own goes on to what is before it.
    if over.tag.is_some() || base.tag == Some(MergeTag::Reset) {
        *base = over;
        return;
    }
    let rule = rule(path);
    if !may_override(rule, base, &over) {
        let message = format!("{} cannot override {}", over.describe(), base.describe());
        let help = format!("what it overrides is at {}", findings.locate(base.place));
        findings.error_with(over.place, &path.join("."), message, help);
        return;
    }
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
        Rule::Entries(identity) => append(base, over, identity),
        Rule::Pools => pools(base, over, path, findings),
        Rule::Hosts => {
            base.value = Value::List(hosts(base));
            let over = Node { value: Value::List(hosts(&over)), ..over };
            append(base, over, |node| scalar(node).map(|text| text.replacen([':', '='], "=", 1)));
        }
        Rule::Build => {
            *base = build(base);
            merge_maps(base, build(&over), path, findings);
        }
        Rule::Gpus => {
            let items = [gpus(base), gpus(&over)].concat();
            base.value = Value::List(items);
        }
        Rule::Logging if drivers_differ(base, &over) => *base = over,
        Rule::Logging | Rule::Deep | Rule::Loose => match (&mut base.value, over.value) {
            (Value::Map(_), value @ Value::Map(_)) => {
                merge_maps(base, Node { value, ..over }, path, findings)
            }
            (Value::List(items), Value::List(more)) => items.extend(more),
            (_, value) => *base = Node { value, ..over },
        },
    }
}

/// Whether two values are of kinds that can be one.
fn may_override(rule: Rule, base: &Node, over: &Node) -> bool {
    if base.is_null() {
        return true;
    }
    let kinds = (kind(base), kind(over));
    match rule {
        Rule::Replace | Rule::Loose | Rule::Gpus => true,
        Rule::Deep | Rule::Logging => kinds.0 == kinds.1,
        Rule::Entries(_) | Rule::Pools => kinds.0 != Kind::Map && kinds.1 != Kind::Map,
        Rule::Build => kinds.0 != Kind::List && kinds.1 != Kind::List,
        Rule::Pairs | Rule::Names | Rule::Hosts => kinds.0 != Kind::Scalar && kinds.1 != Kind::Scalar,
    }
}

#[derive(PartialEq, Eq)]
enum Kind {
    Scalar,
    List,
    Map,
}

fn kind(node: &Node) -> Kind {
    match node.value {
        Value::Scalar { .. } => Kind::Scalar,
        Value::List(_) => Kind::List,
        Value::Map(_) => Kind::Map,
    }
}

fn merge_maps(base: &mut Node, over: Node, path: &mut Vec<String>, findings: &mut Findings) {
    let pairs = matches!(rule(path), Rule::Pairs);
    let (Value::Map(entries), Value::Map(more)) = (&mut base.value, over.value) else { return };
    // A list may have said a key twice: the last one is what counts.
    let mut known: HashMap<String, usize> =
        entries.iter().enumerate().map(|(index, (key, _))| (key.text.clone(), index)).collect();
    for (key, value) in more {
        path.push(key.text.clone());
        match known.get(&key.text).and_then(|index| entries.get_mut(*index)) {
            // Nothing says nothing, but for a variable: there it is a value, the environment's.
            Some((_, existing))
                if value.is_null()
                    && value.tag.is_none()
                    && !pairs
                    && !existing.is_reset()
                    && !may_be_nothing(path) => {}
            Some((_, existing)) if pairs => *existing = value,
            Some((k, existing)) => {
                // Who resets or replaces an attribute is who has it now.
                if value.tag.is_some() {
                    *k = key;
                }
                merge_at(existing, value, path, findings);
            }
            None => {
                known.insert(key.text.clone(), entries.len());
                entries.push((key, value));
            }
        }
        path.pop();
    }
}

/// Whether nothing is a value of its own there: the image's own command.
fn may_be_nothing(path: &[String]) -> bool {
    matches!(path, [services, _, attribute] if services == "services" && matches!(attribute.as_str(), "command" | "entrypoint"))
}

/// Removes what is reset. It has stood until now, so that it took effect on every file before.
pub(crate) fn drop_resets(node: &mut Node) {
    match &mut node.value {
        Value::Map(entries) => {
            entries.retain(|(_, value)| !value.is_reset());
            entries.iter_mut().for_each(|(_, value)| drop_resets(value));
        }
        Value::List(items) => {
            items.retain(|item| !item.is_reset());
            items.iter_mut().for_each(drop_resets);
        }
        Value::Scalar { .. } => {}
    }
}

fn scalar(node: &Node) -> Option<String> {
    node.text().map(str::to_owned)
}

/// Appends a list to a list; an entry that means the same as an earlier one replaces it.
fn append(base: &mut Node, over: Node, identity: impl Fn(&Node) -> Option<String>) {
    let as_list = |value: Value, place| match value {
        Value::List(items) => items,
        value => {
            let item = Node { value, place, tag: None };
            if item.is_null() { Vec::new() } else { vec![item] }
        }
    };
    let over_items = as_list(over.value, over.place);
    let base_items = as_list(std::mem::replace(&mut base.value, Value::List(Vec::new())), base.place);
    let mut items: Vec<Node> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    for item in base_items.into_iter().chain(over_items) {
        let id = identity(&item);
        match id.as_ref().and_then(|id| known.get(id)) {
            Some(index) => items[*index] = item,
            None => {
                known.extend(id.map(|id| (id, items.len())));
                items.push(item);
            }
        }
    }
    base.value = Value::List(items);
}

/// A node without its places, to compare.
fn shape(node: &Node) -> String {
    match &node.value {
        _ if node.is_null() => "null".to_owned(),
        Value::Scalar { text, .. } => format!("{text:?}"),
        Value::List(items) => format!("[{}]", items.iter().map(shape).collect::<Vec<_>>().join(",")),
        Value::Map(entries) => {
            let mut parts: Vec<String> =
                entries.iter().map(|(key, value)| format!("{:?}={}", key.text, shape(value))).collect();
            parts.sort();
            format!("{{{}}}", parts.join(","))
        }
    }
}

/// Whether two nodes say the same, wherever they stand.
pub(crate) fn same(a: &Node, b: &Node) -> bool {
    shape(a) == shape(b)
}

/// An entry that is the same only when all of it is.
fn whole(node: &Node) -> Option<String> {
    Some(shape(node))
}

fn mount_target(node: &Node) -> Option<String> {
    match &node.value {
        Value::Scalar { text, .. } => mount::target(text),
        _ => node.get("target").and_then(Node::text).map(mount::clean),
    }
}

fn device_target(node: &Node) -> Option<String> {
    match &node.value {
        Value::Scalar { text, .. } => text.split(':').nth(1).or(Some(text)).map(str::to_owned),
        _ => node.get("target").or_else(|| node.get("source"))?.text().map(str::to_owned),
    }
}

fn tmpfs_target(node: &Node) -> Option<String> {
    node.text().map(|text| mount::clean(text.split(':').next().unwrap_or_default()))
}

/// The file that a secret or a config is inside.
fn granted(node: &Node) -> Option<String> {
    let path = node.text().or_else(|| node.get("target")?.text()).or_else(|| node.get("source")?.text())?;
    Some(path.strip_prefix("/run/secrets/").unwrap_or(path).to_owned())
}

fn env_file(node: &Node) -> Option<String> {
    node.text().or_else(|| node.get("path")?.text()).map(str::to_owned)
}

/// Merges subnets: those that say the same subnet are one.
fn pools(base: &mut Node, over: Node, path: &mut Vec<String>, findings: &mut Findings) {
    let (Value::List(pools), Value::List(more)) = (&mut base.value, over.value) else { return };
    let mut all: HashMap<String, usize> = HashMap::new();
    for (index, pool) in pools.iter().enumerate() {
        if let Some(subnet) = subnet(pool) {
            all.entry(subnet).or_insert(index);
        }
    }
    for pool in more {
        let of = subnet(&pool);
        match of.as_ref().and_then(|of| all.get(of)).and_then(|index| pools.get_mut(*index)) {
            Some(known) => {
                path.push(String::new());
                merge_at(known, pool, path, findings);
                path.pop();
            }
            None => {
                all.extend(of.map(|of| (of, pools.len())));
                pools.push(pool);
            }
        }
    }
}

fn subnet(node: &Node) -> Option<String> {
    node.get("subnet").and_then(scalar)
}

fn drivers_differ(base: &Node, over: &Node) -> bool {
    match (base.get("driver").and_then(Node::text), over.get("driver").and_then(Node::text)) {
        (Some(a), Some(b)) => a != b,
        _ => false,
    }
}
