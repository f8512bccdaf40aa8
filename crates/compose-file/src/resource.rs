//! Networks and volumes of the top level.

use crate::{
    IpamPool, Network, Volume,
    read::{Reader, labels},
    yaml::{Node, Value},
};

/// The name on the engine: given, or made of the project's and the key.
pub(crate) fn name(given: Option<String>, external: bool, project: &str, key: &str) -> String {
    given.unwrap_or_else(|| if external { key.to_owned() } else { format!("{project}_{key}") })
}

/// Reads `external: true`, or the old form with a name inside.
pub(crate) fn external(reader: &mut Reader<'_>, node: &Node, name: &mut Option<String>) -> bool {
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

pub(crate) fn network(reader: &mut Reader<'_>, project: &str, key: &str, node: &Node) -> Network {
    let mut network = Network::default();
    let mut given = None;
    for (key, value) in reader.entries(node) {
        let mut reader = reader.at(&key.text);
        match key.text.as_str() {
            "name" => given = reader.filled(value).or(given),
            "external" => network.external = external(&mut reader, value, &mut given),
            "driver" => network.driver = reader.filled(value),
            "driver_opts" => network.driver_opts = labels(&mut reader, value),
            "internal" => network.internal = reader.bool(value).unwrap_or_default(),
            "attachable" => {
                network.attachable = reader.bool(value).unwrap_or_default();
            }
            "enable_ipv4" => {
                network.enable_ipv4 = reader.bool(value);
            }
            "enable_ipv6" => network.enable_ipv6 = reader.bool(value),
            "labels" => network.labels = labels(&mut reader, value),
            "ipam" => ipam(&mut reader, &mut network, value),
            _ => reader.unknown(
                key,
                &[
                    "name",
                    "external",
                    "driver",
                    "driver_opts",
                    "internal",
                    "attachable",
                    "enable_ipv4",
                    "enable_ipv6",
                    "labels",
                    "ipam",
                ],
            ),
        }
    }
    network.name = name(given, network.external, project, key);
    network
}

fn ipam(reader: &mut Reader<'_>, network: &mut Network, node: &Node) {
    for (key, value) in reader.entries(node) {
        let mut reader = reader.at(&key.text);
        match (key.text.as_str(), &value.value) {
            ("config", Value::List(items)) => {
                for (index, item) in items.iter().enumerate() {
                    network.ipam.push(pool(&mut reader.item(index), item));
                }
            }
            ("config", _) if value.is_null() => {}
            ("config", _) => {
                reader.no_list::<()>(value);
            }
            ("driver", _) => {
                network.ipam_driver = reader.filled(value);
                if network.ipam_driver.as_deref().is_some_and(|driver| driver != "default") {}
            }
            ("options", _) => {
                network.ipam_options = labels(&mut reader, value);
            }
            _ => reader.unknown(key, &["config", "driver", "options"]),
        }
    }
}

fn pool(reader: &mut Reader<'_>, node: &Node) -> IpamPool {
    let mut pool = IpamPool::default();
    for (key, value) in reader.entries(node) {
        let mut reader = reader.at(&key.text);
        match key.text.as_str() {
            "subnet" => pool.subnet = reader.string(value),
            "gateway" => pool.gateway = reader.string(value),
            "ip_range" => pool.ip_range = reader.string(value),
            "aux_addresses" => {
                pool.aux_addresses = labels(&mut reader, value);
            }
            _ => reader.unknown(key, &["subnet", "gateway", "ip_range", "aux_addresses"]),
        }
    }
    pool
}

/// What makes a volume says nothing of one that somebody else makes.
fn made_elsewhere(reader: &mut Reader<'_>, node: &Node) {
    for key in ["driver", "driver_opts", "labels"].iter().filter_map(|key| node.key(key)) {
        let message = "somebody else makes what is external: this cannot be said of it";
        reader.at(&key.text).error(key.place, message);
    }
}

pub(crate) fn volume(reader: &mut Reader<'_>, project: &str, key: &str, node: &Node) -> Volume {
    let mut volume = Volume::default();
    let mut given = None;
    for (key, value) in reader.entries(node) {
        let mut reader = reader.at(&key.text);
        match key.text.as_str() {
            "name" => given = reader.filled(value).or(given),
            "external" => volume.external = external(&mut reader, value, &mut given),
            "driver" => volume.driver = reader.filled(value),
            "driver_opts" => volume.driver_opts = labels(&mut reader, value),
            "labels" => volume.labels = labels(&mut reader, value),
            _ => reader.unknown(key, &["name", "external", "driver", "driver_opts", "labels"]),
        }
    }
    // A path of the host, where the local driver mounts one.
    let is_bind = volume.driver.as_deref() == Some("local")
        && volume.driver_opts.get("o").is_some_and(|options| options.split(',').any(|word| word == "bind"));
    if let (true, Some(device)) = (is_bind, volume.driver_opts.get_mut("device")) {
        let context = reader.findings.context(node.place);
        *device = context.base().resolve(device).to_string_lossy().into_owned();
    }
    if volume.external {
        made_elsewhere(reader, node);
    }
    volume.name = name(given, volume.external, project, key);
    volume
}
