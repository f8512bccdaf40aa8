//! The model as text: what `config` prints, and what the config hash is made of.

use std::time::Duration;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::{Network, Project, Service, Volume, attribute::Attribute};

mod service;
mod yaml_text;

/// Sorts keys as docker compose prints them, and leaves out what is not there.
fn object(entries: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    let mut map = Map::new();
    for (key, value) in entries {
        // Docker compose writes these two even where there is nothing, and hashes them so.
        if !value.is_null() || matches!(key, "command" | "entrypoint") {
            map.insert(key.to_owned(), value);
        }
    }
    Value::Object(map)
}

fn some<T: Into<Value>>(value: Option<T>) -> Value {
    value.map_or(Value::Null, Into::into)
}

fn flag(value: bool) -> Value {
    if value { json!(true) } else { Value::Null }
}

fn list<T: Into<Value>>(items: impl IntoIterator<Item = T>) -> Value {
    let items: Vec<Value> = items.into_iter().map(Into::into).collect();
    if items.is_empty() { Value::Null } else { Value::Array(items) }
}

fn map<K: Into<String>>(entries: impl IntoIterator<Item = (K, Value)>) -> Value {
    let map: Map<String, Value> = entries.into_iter().map(|(key, value)| (key.into(), value)).collect();
    if map.is_empty() { Value::Null } else { Value::Object(map) }
}

fn texts<'a>(entries: impl IntoIterator<Item = (&'a String, &'a String)>) -> Value {
    map(entries.into_iter().map(|(key, value)| (key.clone(), json!(value))))
}

/// Go's way to write a duration, `1m30s`.
pub(crate) fn duration(value: Duration) -> String {
    let nanos = value.as_nanos();
    if nanos == 0 {
        return "0s".into();
    }
    let (hours, minutes) = (nanos / 3_600_000_000_000, nanos / 60_000_000_000 % 60);
    let fraction = |nanos: u128, unit: u128, name: &str| {
        let text = format!("{}.{:0>9}", nanos / unit, nanos % unit * 1_000_000_000 / unit);
        format!("{}{name}", text.trim_end_matches('0').trim_end_matches('.'))
    };
    match nanos {
        0..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => fraction(nanos, 1_000, "us"),
        1_000_000..1_000_000_000 => fraction(nanos, 1_000_000, "ms"),
        _ => {
            let seconds = fraction(nanos % 60_000_000_000, 1_000_000_000, "s");
            match (hours, minutes) {
                (0, 0) => seconds,
                (0, minutes) => format!("{minutes}m{seconds}"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
            }
        }
    }
}

fn network(network: &Network) -> Value {
    let pools = network.ipam.iter().map(|pool| {
        object([
            ("subnet", some(pool.subnet.clone())),
            ("gateway", some(pool.gateway.clone())),
            ("ip_range", some(pool.ip_range.clone())),
            ("aux_addresses", texts(&pool.aux_addresses)),
        ])
    });
    let ipam = object([
        ("driver", some(network.ipam_driver.clone())),
        ("config", list(pools)),
        ("options", texts(&network.ipam_options)),
    ]);
    object([
        ("name", json!(network.name)),
        ("driver", some(network.driver.clone())),
        ("driver_opts", texts(&network.driver_opts)),
        ("ipam", ipam),
        ("external", flag(network.external)),
        ("internal", flag(network.internal)),
        ("attachable", flag(network.attachable)),
        ("labels", texts(&network.labels)),
        ("enable_ipv4", some(network.enable_ipv4)),
        ("enable_ipv6", some(network.enable_ipv6)),
    ])
}

fn volume(volume: &Volume) -> Value {
    object([
        ("name", json!(volume.name)),
        ("driver", some(volume.driver.clone())),
        ("driver_opts", texts(&volume.driver_opts)),
        ("external", flag(volume.external)),
        ("labels", texts(&volume.labels)),
    ])
}

/// The project in its canonical form, dollars doubled: the text loads to the same model. What was loaded without replacing
/// variables keeps its dollars as they were written.
pub fn to_json(project: &Project) -> Value {
    let mut value = object([
        ("name", json!(project.name)),
        ("services", map(project.services.iter().map(|(name, value)| (name, service::service(value))))),
        ("networks", map(project.networks.iter().map(|(key, value)| (key, network(value))))),
        ("volumes", map(project.volumes.iter().map(|(key, value)| (key, volume(value))))),
        ("configs", map(project.configs.iter().map(|(key, value)| (key, value.show())))),
        ("secrets", map(project.secrets.iter().map(|(key, value)| (key, value.show())))),
        ("models", map(project.models.iter().map(|(key, value)| (key, value.show())))),
    ]);
    if let Value::Object(entries) = &mut value {
        entries.extend(project.extensions.clone());
    }
    for (path, written) in &project.kept {
        keep(&mut value, path, written);
    }
    if !project.variables_stay {
        double_dollars(&mut value);
    }
    value
}

/// Puts what is written in place of what is there; what has no service, or was left out, has no place.
fn keep(value: &mut Value, path: &[String], written: &Value) {
    let [kind, key, rest @ ..] = path else { return };
    let Some(place) = value.get_mut(kind).and_then(|all| all.get_mut(key)) else { return };
    match rest {
        [] => *place = written.clone(),
        [attribute, ..] => place[attribute] = written.clone(),
    }
}

/// Keys are left alone: no variable is replaced in them.
fn double_dollars(value: &mut Value) {
    match value {
        Value::String(text) if text.contains('$') => *text = text.replace('$', "$$"),
        Value::Array(items) => items.iter_mut().for_each(double_dollars),
        Value::Object(entries) => entries.values_mut().for_each(double_dollars),
        _ => {}
    }
}

/// The project in its canonical form as YAML, with dollars as [`to_json`] has them.
pub fn to_yaml(project: &Project) -> String {
    yaml(&to_json(project))
}

/// A mapping or a list as YAML, its keys in their order.
pub fn yaml(value: &Value) -> String {
    let mut out = String::new();
    yaml_text::write_yaml(value, 0, &mut out);
    out
}

/// The hexadecimal SHA-256 of what a service's containers are made from, by docker compose's recipe: the compact JSON of
/// the service, HTML characters escaped as Go does, without the number of containers and the pull policy. It equals that
/// of version 2.26.1; later ones leave out profiles and dependencies too.
pub fn config_hash(of: &Service) -> String {
    let mut value = service::service(of);
    if let Value::Object(map) = &mut value {
        for key in ["build", "pull_policy", "scale"] {
            map.shift_remove(key);
        }
        // What is said in vain is not there for it.
        if of.mem_swappiness == Some(0) {
            map.shift_remove("mem_swappiness");
        }
        // In JSON its keys begin with capital letters, which no file may have.
        if let Some(Value::Object(limits)) = map.get_mut("blkio_config") {
            let devices = limits.values_mut().filter_map(Value::as_array_mut).flatten();
            devices.filter_map(Value::as_object_mut).for_each(capitalize);
        }
        if let Some(Value::Object(deploy)) = map.get_mut("deploy") {
            deploy.shift_remove("replicas");
        }
    }
    let mut text = value.to_string();
    let escapes = [
        ('&', "\\u0026"),
        ('<', "\\u003c"),
        ('>', "\\u003e"),
        ('\u{2028}', "\\u2028"),
        ('\u{2029}', "\\u2029"),
    ];
    for (c, escape) in escapes {
        text = text.replace(c, escape);
    }
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn capitalize(entries: &mut Map<String, Value>) {
    let capital = |key: String| key[..1].to_ascii_uppercase() + &key[1..];
    *entries = std::mem::take(entries).into_iter().map(|(key, value)| (capital(key), value)).collect();
}
