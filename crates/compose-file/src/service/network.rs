//! How a service is reached: networks, ports, hosts.

use std::collections::BTreeMap;

use crate::{
    NetworkMode, Service, ServiceNetwork,
    findings::Spot,
    grammar,
    read::{Reader, labels},
    yaml::{Node, Value},
};

/// What a service says of a network that it is on.
const KNOWN: &[&str] = &[
    "aliases",
    "ipv4_address",
    "ipv6_address",
    "link_local_ips",
    "mac_address",
    "driver_opts",
    "priority",
    "gw_priority",
    "interface_name",
];

pub(super) fn networks(reader: &mut Reader<'_>, node: &Node) -> BTreeMap<String, ServiceNetwork> {
    let mut out = BTreeMap::new();
    match &node.value {
        Value::Map(entries) => {
            for (key, value) in entries {
                let mut network = ServiceNetwork { block: !value.is_null(), ..ServiceNetwork::default() };
                let mut reader = reader.at(&key.text);
                for (inner, value) in reader.entries(value) {
                    let mut reader = reader.at(&inner.text);
                    match inner.text.as_str() {
                        "aliases" => {
                            let rule = "leave out ',', '=', ':' and spaces";
                            network.aliases =
                                reader.strings_if(value, grammar::alias, "cannot be an alias", rule);
                        }
                        "ipv4_address" => network.ipv4_address = reader.number(value, "an IPv4 address"),
                        "ipv6_address" => network.ipv6_address = reader.number(value, "an IPv6 address"),
                        "link_local_ips" => network.link_local_ips = reader.strings(value),
                        "mac_address" => network.mac_address = mac_address(&mut reader, value),
                        "driver_opts" => network.driver_opts = labels(&mut reader, value),
                        "priority" => network.priority = reader.number(value, "a number").unwrap_or_default(),
                        "gw_priority" => {
                            network.gw_priority = reader.number(value, "a number").unwrap_or_default();
                        }
                        "interface_name" => network.interface_name = reader.filled(value),
                        _ => reader.unknown(inner, KNOWN),
                    }
                }
                out.insert(key.text.clone(), network);
            }
        }
        _ => out.extend(reader.strings(node).into_iter().map(|name| (name, ServiceNetwork::default()))),
    }
    out
}

pub(super) fn network_mode(reader: &mut Reader<'_>, node: &Node) -> Option<NetworkMode> {
    let text = reader.filled(node)?;
    Some(match text.as_str() {
        "host" => NetworkMode::Host,
        "none" => NetworkMode::None,
        "bridge" | "default" => NetworkMode::Bridge,
        other => match other.split_once(':') {
            Some(("service", name)) => NetworkMode::Service(name.to_owned()),
            Some(("container", name)) => NetworkMode::Container(name.to_owned()),
            // A network of the engine, as docker compose takes it.
            _ => NetworkMode::Other(text),
        },
    })
}

/// A hardware address.
pub(super) fn mac_address(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    let rule = "write six bytes, like 02:42:ac:11:65:43";
    reader.filled_if(node, grammar::mac_address, "is not a hardware address", rule)
}

/// Ports belong to whom the network belongs.
pub(super) fn unpublished(reader: &mut Reader<'_>, service: &Service, node: &Node) {
    let Some(key) = node.key("ports").filter(|_| !service.ports.is_empty()) else { return };
    let mut reader = reader.at("ports");
    match &service.network_mode {
        Some(NetworkMode::Service(owner)) => reader.error_with(
            key.place,
            format!("the network is service {owner:?}'s, and so are its ports"),
            format!("publish them at service {owner:?}"),
        ),
        Some(NetworkMode::Container(owner)) => {
            reader.error(key.place, format!("the network is container {owner:?}'s, and so are its ports"));
        }
        Some(NetworkMode::Host) => {
            reader.warning(
                key.place,
                "ports are not published with network_mode host: they are the host's own",
            );
        }
        Some(NetworkMode::None) => {
            reader.warning(key.place, "ports are not published with network_mode none");
        }
        _ => {}
    }
}

pub(crate) fn extra_hosts(reader: &mut Reader<'_>, node: &Node) -> Vec<(String, String)> {
    let mut found: Vec<(String, String, Spot)> = Vec::new();
    match &node.value {
        Value::Map(entries) => {
            for (key, value) in entries {
                let mut reader = reader.at(&key.text);
                if value.is_null() {
                    reader.wrong::<()>(value, "an IP address or host-gateway");
                }
                let addresses = reader.one_or_spotted(value);
                found.extend(addresses.into_iter().map(|(address, spot)| (key.text.clone(), address, spot)));
            }
        }
        _ => {
            for (text, spot) in reader.spotted(node) {
                match text.split_once('=').or_else(|| text.split_once(':')) {
                    Some((host, address)) => found.push((host.to_owned(), address.to_owned(), spot)),
                    None if !reader.is_whole(&text) => {}
                    None => {
                        reader.findings.error(spot.place, &spot.path, format!("{text:?} is not host=address"))
                    }
                }
            }
        }
    }
    let mut out = Vec::new();
    for (host, address, spot) in found {
        let address = match address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(inner) => inner.to_owned(),
            None => address,
        };
        if !grammar::host(&host) && reader.is_whole(&host) {
            reader.findings.error(spot.place, &spot.path, format!("{host:?} cannot be a host"));
        } else if !grammar::host_address(&address) && reader.is_whole(&address) {
            let message = format!("{address:?} is neither an IP address nor host-gateway");
            reader.findings.error(spot.place, &spot.path, message);
        }
        out.push((host, address));
    }
    // Docker compose sorts them too, as texts.
    out.sort_by_cached_key(|(host, address)| format!("{host}={address}"));
    out
}
