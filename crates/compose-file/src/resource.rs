//! Networks and volumes of the top level.

use std::collections::BTreeMap;

use crate::{
    IpamPool, Network, Volume,
    read::Reader,
    service::labels,
    yaml::{Node, Value},
};

/// The name on the engine: given, or made of the project's and the key.
fn name(given: Option<String>, external: bool, project: &str, key: &str) -> String {
    given.unwrap_or_else(|| if external { key.to_owned() } else { format!("{project}_{key}") })
}

/// Reads `external: true`, or the old form with a name inside.
fn external(reader: &mut Reader<'_>, node: &Node, name: &mut Option<String>) -> bool {
    match &node.value {
        Value::Map(_) => {
            if let Some(inner) = node.get("name") {
                *name = name.take().or_else(|| reader.at("name").string(inner));
            }
            true
        }
        _ => reader.bool(node).unwrap_or_default(),
    }
}

fn options(reader: &mut Reader<'_>, node: &Node) -> BTreeMap<String, String> {
    labels(reader, node)
}

pub(crate) fn network(reader: &mut Reader<'_>, project: &str, key: &str, node: &Node) -> Network {
    let mut network = Network::default();
    let mut given = None;
    for (key, value) in reader.entries(node) {
        let mut reader = reader.at(&key.text);
        match key.text.as_str() {
            "name" => given = reader.string(value).or(given),
            "external" => network.external = external(&mut reader, value, &mut given),
            "driver" => network.driver = reader.string(value),
            "driver_opts" => network.driver_opts = options(&mut reader, value),
            "internal" => network.internal = reader.bool(value).unwrap_or_default(),
            "enable_ipv6" => network.enable_ipv6 = reader.bool(value).unwrap_or_default(),
            "labels" => network.labels = labels(&mut reader, value),
            "ipam" => network.ipam = ipam(&mut reader, value),
            _ => reader.unknown(
                key,
                &["name", "external", "driver", "driver_opts", "internal", "enable_ipv6", "labels", "ipam"],
                &["attachable", "enable_ipv4"],
            ),
        }
    }
    network.name = name(given, network.external, project, key);
    network
}

fn ipam(reader: &mut Reader<'_>, node: &Node) -> Vec<IpamPool> {
    let mut pools = Vec::new();
    for (key, value) in reader.entries(node) {
        let mut reader = reader.at(&key.text);
        match (key.text.as_str(), &value.value) {
            ("config", Value::List(items)) => {
                for (index, item) in items.iter().enumerate() {
                    let mut reader = reader.item(index);
                    let mut pool = IpamPool::default();
                    for (key, value) in reader.entries(item) {
                        let mut reader = reader.at(&key.text);
                        match key.text.as_str() {
                            "subnet" => pool.subnet = reader.string(value),
                            "gateway" => pool.gateway = reader.string(value),
                            "ip_range" => pool.ip_range = reader.string(value),
                            _ => reader.unknown(key, &["subnet", "gateway", "ip_range"], &["aux_addresses"]),
                        }
                    }
                    pools.push(pool);
                }
            }
            ("config", _) => {
                reader.wrong::<()>(value, "a list");
            }
            ("driver", _) if matches!(reader.string(value).as_deref(), Some("default")) => {}
            _ => reader.unknown(key, &["config"], &["driver", "options"]),
        }
    }
    pools
}

pub(crate) fn volume(reader: &mut Reader<'_>, project: &str, key: &str, node: &Node) -> Volume {
    let mut volume = Volume::default();
    let mut given = None;
    for (key, value) in reader.entries(node) {
        let mut reader = reader.at(&key.text);
        match key.text.as_str() {
            "name" => given = reader.string(value).or(given),
            "external" => volume.external = external(&mut reader, value, &mut given),
            "driver" => volume.driver = reader.string(value),
            "driver_opts" => volume.driver_opts = options(&mut reader, value),
            "labels" => volume.labels = labels(&mut reader, value),
            _ => reader.unknown(key, &["name", "external", "driver", "driver_opts", "labels"], &[]),
        }
    }
    volume.name = name(given, volume.external, project, key);
    volume
}
