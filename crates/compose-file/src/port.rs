//! Published ports, short and long.

use std::net::IpAddr;

use crate::{
    HostPort, Port, Protocol,
    findings::Spot,
    read::Reader,
    written::PortWords,
    yaml::{Node, Value},
};

/// So many ports are more than the services of any project have: a range is each of its ports.
const MAX_PORTS: usize = 100_000;

/// An entry of `ports`, or a part of one that is a range.
pub(crate) struct Entry {
    pub(crate) port: Port,
    pub(crate) words: PortWords,
    pub(crate) spot: Spot,
}

pub(crate) fn read(reader: &mut Reader<'_>, node: &Node) -> Vec<Entry> {
    let Value::List(items) = &node.value else {
        if !node.is_null() {
            reader.no_list::<()>(node);
        }
        return Vec::new();
    };
    let mut ports = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let mut reader = reader.item(index);
        let spot = reader.spot(item);
        if reader.findings.ports > MAX_PORTS {
            reader
                .error(item.place, format!("the services of this project have more than {MAX_PORTS} ports"));
            break;
        }
        match &item.value {
            Value::Map(_) => {
                reader.findings.ports += 1;
                ports.extend(long(&mut reader, item).map(|(port, words)| Entry { port, words, spot }));
            }
            Value::Scalar { text, .. } if !item.is_null() => {
                match short(text) {
                    Ok(more) => {
                        reader.findings.ports += more.len();
                        let words = PortWords { zero: is_zero(text), ..PortWords::default() };
                        let entry = |port| Entry { port, words: words.clone(), spot: spot.clone() };
                        ports.extend(more.into_iter().map(entry));
                    }
                    Err(why) => {
                        let message = format!("{text:?} is not a port: {why}");
                        reader.error_with(item.place, message, "write [address:][host port:]container port[/protocol], like \"127.0.0.1:8080:80\"");
                    }
                }
            }
            _ => {
                reader.wrong::<()>(item, "a port, like \"8080:80\", or a mapping");
            }
        }
    }
    ports
}

fn range(text: &str) -> Result<(u16, u16), String> {
    let number = |text: &str| match text.parse::<u32>() {
        Ok(port @ 1..=65535) => Ok(port as u16),
        Ok(port) => Err(format!("{port} is not between 1 and 65535")),
        Err(_) => Err(format!("{text:?} is not a number")),
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    if first > last { Err(format!("the range {first}-{last} goes backwards")) } else { Ok((first, last)) }
}

/// An entry of `expose`: a port or a range, with or without a protocol.
pub(crate) fn is_exposable(text: &str) -> bool {
    let (ports, word) = text.split_once('/').unwrap_or((text, "tcp"));
    range(ports).is_ok() && protocol(word).is_ok()
}

/// What two entries that are one port have in common: no address is the same as all of them.
pub(crate) fn identity(port: &Port) -> Port {
    let all = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
    Port { host_ip: port.host_ip.filter(|address| *address != all), ..port.clone() }
}

/// Whether the host's port of a short form is 0, that is, the engine's choice.
fn is_zero(text: &str) -> bool {
    text.rsplit(':').nth(1) == Some("0")
}

/// Reads the short form of a port, `[ADDRESS:][HOST:]CONTAINER[/PROTOCOL]`, each port a number or a range.
///
/// # Errors
/// Why it is none, as a part of a sentence.
pub fn short_port(text: &str) -> Result<Vec<Port>, String> {
    short(text)
}

/// `[ADDRESS:][HOST:]CONTAINER[/PROTOCOL]`, each port a number or a range.
pub(crate) fn short(text: &str) -> Result<Vec<Port>, String> {
    let (rest, protocol) = match text.rsplit_once('/') {
        Some((rest, word)) => (rest, protocol(word)?),
        None => (text, Protocol::Tcp),
    };
    let (rest, target) = rest.rsplit_once(':').map_or(("", rest), |(rest, target)| (rest, target));
    let (address, published) = if let Some(inner) = rest.strip_prefix('[') {
        let (address, published) = inner.split_once(']').ok_or("the bracket of the address is not closed")?;
        (address, published.strip_prefix(':').unwrap_or(published))
    } else {
        rest.rsplit_once(':').unwrap_or(("", rest))
    };
    let host_ip = match address {
        "" => None,
        text => Some(text.parse::<IpAddr>().map_err(|_| format!("{text:?} is not an IP address"))?),
    };
    let (first, last) = range(target)?;
    let published = match published {
        // As in docker compose, 0 leaves the choice to the engine.
        "" => None,
        "0" if first == last => None,
        text => Some(range(text)?),
    };
    let count = last - first + 1;
    let host = |offset: u16| -> Result<Option<HostPort>, String> {
        Ok(match published {
            None => None,
            Some((from, to)) if to - from + 1 == count => HostPort::new(from + offset, from + offset),
            Some((first, last)) if count == 1 => HostPort::new(first, last),
            Some((from, to)) => {
                return Err(format!("{} ports of the host for {count} of the container", to - from + 1));
            }
        })
    };
    (0..count)
        .map(|offset| Ok(Port { target: first + offset, published: host(offset)?, host_ip, protocol }))
        .collect()
}

fn protocol(word: &str) -> Result<Protocol, String> {
    match word.to_ascii_lowercase().as_str() {
        "tcp" => Ok(Protocol::Tcp),
        "udp" => Ok(Protocol::Udp),
        "sctp" => Ok(Protocol::Sctp),
        _ => Err(format!("{word:?} is not a protocol: tcp, udp or sctp")),
    }
}

const KNOWN: &[&str] = &["target", "published", "host_ip", "protocol", "mode", "name", "app_protocol"];

fn long(reader: &mut Reader<'_>, node: &Node) -> Option<(Port, PortWords)> {
    let mut words = PortWords::default();
    let (mut target, mut published, mut host_ip, mut proto) = (None, None, None, Protocol::Tcp);
    for (key, value) in reader.entries(node) {
        let mut reader = reader.at(&key.text);
        match key.text.as_str() {
            "target" => {
                target = reader.number::<u16>(value, "a port between 1 and 65535").filter(|port| *port > 0)
            }
            "published" => {
                let text = reader.string(value)?;
                match range(&text) {
                    Ok((first, last)) => published = HostPort::new(first, last),
                    Err(_) if text.is_empty() => {}
                    Err(_) if text == "0" => words.zero = true,
                    Err(why) => reader.error(value.place, why),
                }
            }
            "host_ip" => match reader.string(value)?.parse::<IpAddr>() {
                Ok(address) => host_ip = Some(address),
                Err(_) => {
                    reader.wrong::<()>(value, "an IP address");
                }
            },
            "protocol" => match protocol(&reader.string(value)?) {
                Ok(word) => proto = word,
                Err(why) => reader.error(value.place, why),
            },
            "mode" => {
                let text = reader.string(value)?;
                words.host_mode = text == "host";
                if !matches!(text.as_str(), "ingress" | "host") {
                    reader.wrong::<()>(value, "ingress or host");
                }
            }
            "name" => words.name = reader.filled(value),
            "app_protocol" => words.app_protocol = reader.filled(value),
            _ => reader.unknown(key, KNOWN),
        }
    }
    let Some(target) = target else {
        if node.get("target").is_none() {
            reader.error(node.place, "a port needs its target, the port inside");
        }
        return None;
    };
    Some((Port { target, published, host_ip, protocol: proto }, words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(port: &Port) -> String {
        let host = port.published.map_or("?".into(), |host| host.to_string());
        let address = port.host_ip.map_or("*".into(), |ip| ip.to_string());
        format!("{address}:{host}>{}/{}", port.target, port.protocol.as_str())
    }

    #[test]
    fn short_forms() {
        let cases = [
            ("80", "*:?>80/tcp"),
            ("8080:80", "*:8080>80/tcp"),
            ("0:80", "*:?>80/tcp"),
            ("127.0.0.1:0:80", "127.0.0.1:?>80/tcp"),
            ("127.0.0.1:8080:80/udp", "127.0.0.1:8080>80/udp"),
            ("127.0.0.1::80", "127.0.0.1:?>80/tcp"),
            ("[::1]:8080:80", "::1:8080>80/tcp"),
            ("::1:8080:80", "::1:8080>80/tcp"),
            ("3000-3001", "*:?>3000/tcp *:?>3001/tcp"),
            ("9000-9001:80-81", "*:9000>80/tcp *:9001>81/tcp"),
            ("9000-9005:80", "*:9000-9005>80/tcp"),
            ("53:53/UDP", "*:53>53/udp"),
        ];
        for (input, expected) in cases {
            let ports = short(input).unwrap();
            assert_eq!(ports.iter().map(text).collect::<Vec<_>>().join(" "), expected, "{input}");
        }
        for bad in [
            "",
            "0:80-81",
            "0-1:80",
            "70000",
            "a:80",
            "80:",
            "9000-9001:80-82",
            "81-80",
            "1.2.3:80:80",
            "80/icmp",
            "[::1:80:80",
            "x:1:2:3",
        ] {
            assert!(short(bad).is_err(), "{bad}");
        }
    }
}
