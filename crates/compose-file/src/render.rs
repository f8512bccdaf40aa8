//! The model as text: what `config` prints, and what the config hash is made of.

use std::time::Duration;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::{
    HealthTest, Healthcheck, Mount, MountSource, Network, NetworkMode, Port, Project, PullPolicy,
    RestartPolicy, Service, Volume,
    written::{Deploy, PortWords, Written, has_block},
};

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

fn port(port: &Port, words: Option<&PortWords>) -> Value {
    let zero = words.is_some_and(|words| words.zero).then(|| "0".to_owned());
    object([
        ("name", some(words.and_then(|words| words.name.clone()))),
        ("mode", json!(if words.is_some_and(|words| words.host_mode) { "host" } else { "ingress" })),
        ("host_ip", some(port.host_ip.map(|ip| ip.to_string()))),
        ("target", json!(port.target)),
        (
            "published",
            some(
                port.published
                    .map(|host| {
                        if host.first == host.last {
                            host.first.to_string()
                        } else {
                            format!("{}-{}", host.first, host.last)
                        }
                    })
                    .or(zero),
            ),
        ),
        ("protocol", json!(port.protocol.as_str())),
        ("app_protocol", some(words.and_then(|words| words.app_protocol.clone()))),
    ])
}

fn mount(mount: &Mount, written: &Written) -> Value {
    let (kind, source, (name, block)) = match &mount.source {
        MountSource::Volume { key, nocopy } => {
            ("volume", json!(key), ("volume", object([("nocopy", flag(*nocopy))])))
        }
        MountSource::Anonymous => ("volume", Value::Null, ("volume", json!({}))),
        MountSource::Bind { path, create_host_path, propagation, selinux } => (
            "bind",
            json!(path),
            (
                "bind",
                object([
                    ("selinux", some(selinux.map(String::from))),
                    ("propagation", some(propagation.clone())),
                    ("create_host_path", flag(*create_host_path)),
                ]),
            ),
        ),
        MountSource::Tmpfs { size, mode } => (
            "tmpfs",
            Value::Null,
            ("tmpfs", object([("size", some(size.map(|size| size.to_string()))), ("mode", some(*mode))])),
        ),
    };
    // A block that says something is not left out, whatever the file had: code may have changed the mount.
    let shown = block != json!({}) || has_block(&mount.source) != written.unusual.contains(&mount.target);
    object([
        ("type", json!(kind)),
        ("source", source),
        ("target", json!(mount.target)),
        ("read_only", flag(mount.read_only)),
        (name, if shown { block } else { Value::Null }),
    ])
}

fn healthcheck(check: &Healthcheck, written: &Written) -> Value {
    let time = |value: Option<Duration>| some(value.map(duration));
    if check.test == Some(HealthTest::None) && !written.test_none {
        return json!({ "disable": true });
    }
    let test = match &check.test {
        None => Value::Null,
        Some(HealthTest::None) => json!(["NONE"]),
        Some(HealthTest::Exec(words)) => list(std::iter::once("CMD".to_owned()).chain(words.iter().cloned())),
        Some(HealthTest::Shell(line)) => json!(["CMD-SHELL", line]),
    };
    object([
        ("test", test),
        ("timeout", time(check.timeout)),
        ("interval", time(check.interval)),
        ("retries", some(check.retries)),
        ("start_period", time(check.start_period)),
        ("start_interval", time(check.start_interval)),
    ])
}

fn network_mode(mode: &NetworkMode) -> String {
    match mode {
        NetworkMode::Host => "host".into(),
        NetworkMode::None => "none".into(),
        NetworkMode::Bridge => "bridge".into(),
        NetworkMode::Service(name) => format!("service:{name}"),
        NetworkMode::Container(name) => format!("container:{name}"),
    }
}

fn restart(policy: RestartPolicy, written: &Written) -> Value {
    match policy {
        RestartPolicy::No if written.restart_no => json!("no"),
        RestartPolicy::No => Value::Null,
        RestartPolicy::Always => json!("always"),
        RestartPolicy::UnlessStopped => json!("unless-stopped"),
        RestartPolicy::OnFailure(None) => json!("on-failure"),
        RestartPolicy::OnFailure(Some(times)) => json!(format!("on-failure:{times}")),
    }
}

/// A service in the form that docker compose prints; keys in its order.
fn service(service: &Service) -> Value {
    let networks = service.networks.iter().map(|(key, network)| {
        let settings = object([
            ("aliases", list(network.aliases.iter().cloned())),
            ("ipv4_address", some(network.ipv4_address.map(|address| address.to_string()))),
            ("ipv6_address", some(network.ipv6_address.map(|address| address.to_string()))),
        ]);
        (key.clone(), if settings == json!({}) { Value::Null } else { settings })
    });
    let depends_on = service.depends_on.iter().map(|(name, needs)| {
        let value = object([
            ("condition", json!(needs.condition.as_str())),
            ("restart", flag(needs.restart)),
            ("required", json!(needs.required)),
        ]);
        (name.clone(), value)
    });
    let written = &service.written;
    let entry_of_tmpfs = |mount: &Mount| match mount.source {
        MountSource::Tmpfs { .. } => written.tmpfs.get(&mount.target),
        _ => None,
    };
    let words = |words: &Option<Vec<String>>| words.as_ref().map_or(Value::Null, |words| json!(words));
    object([
        ("profiles", list(service.profiles.iter().cloned())),
        ("cap_add", list(service.cap_add.iter().cloned())),
        ("cap_drop", list(service.cap_drop.iter().cloned())),
        ("command", words(&service.command)),
        ("container_name", some(service.container_name.clone())),
        ("depends_on", map(depends_on)),
        (
            "deploy",
            match written.deploy {
                Deploy::Absent => Value::Null,
                Deploy::WithoutCount => json!({ "resources": {}, "placement": {} }),
                Deploy::WithCount => json!({ "replicas": service.scale, "resources": {}, "placement": {} }),
            },
        ),
        ("entrypoint", words(&service.entrypoint)),
        (
            "environment",
            map(service.environment.iter().map(|(key, value)| (key.clone(), some(value.clone())))),
        ),
        ("expose", list(service.expose.iter().cloned())),
        ("extra_hosts", list(service.extra_hosts.iter().map(|(host, address)| format!("{host}={address}")))),
        ("hostname", some(service.hostname.clone())),
        (
            "healthcheck",
            service.healthcheck.as_ref().map_or(Value::Null, |check| healthcheck(check, written)),
        ),
        ("image", json!(service.image)),
        ("init", some(service.init)),
        ("labels", texts(&service.labels)),
        ("network_mode", some(service.network_mode.as_ref().map(network_mode))),
        ("networks", map(networks)),
        ("ports", list(service.ports.iter().map(|of| port(of, written.ports.get(of))))),
        ("privileged", flag(service.privileged)),
        (
            "pull_policy",
            match service.pull_policy {
                PullPolicy::Missing => Value::Null,
                PullPolicy::Always => json!("always"),
                PullPolicy::Never => json!("never"),
            },
        ),
        ("read_only", flag(service.read_only)),
        ("restart", restart(service.restart, written)),
        (
            "scale",
            if service.scale == 1 || written.deploy == Deploy::WithCount {
                Value::Null
            } else {
                json!(service.scale)
            },
        ),
        ("stdin_open", flag(service.stdin_open)),
        ("stop_grace_period", some(service.stop_grace_period.map(duration))),
        ("stop_signal", some(service.stop_signal.clone())),
        ("tmpfs", list(service.volumes.iter().filter_map(entry_of_tmpfs).cloned())),
        ("tty", flag(service.tty)),
        ("user", some(service.user.clone())),
        (
            "volumes",
            list(
                service.volumes.iter().filter(|of| entry_of_tmpfs(of).is_none()).map(|of| mount(of, written)),
            ),
        ),
        ("working_dir", some(service.working_dir.clone())),
    ])
}

fn network(network: &Network) -> Value {
    let pools = network.ipam.iter().map(|pool| {
        object([
            ("subnet", some(pool.subnet.clone())),
            ("gateway", some(pool.gateway.clone())),
            ("ip_range", some(pool.ip_range.clone())),
        ])
    });
    object([
        ("name", json!(network.name)),
        ("driver", some(network.driver.clone())),
        ("driver_opts", texts(&network.driver_opts)),
        (
            "ipam",
            if network.ipam.is_empty() {
                Value::Null
            } else {
                json!({ "config": pools.collect::<Vec<_>>() })
            },
        ),
        ("external", flag(network.external)),
        ("internal", flag(network.internal)),
        ("labels", texts(&network.labels)),
        ("enable_ipv6", flag(network.enable_ipv6)),
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
        ("services", map(project.services.iter().map(|(name, value)| (name.clone(), service(value))))),
        ("networks", map(project.networks.iter().map(|(key, value)| (key.clone(), network(value))))),
        ("volumes", map(project.volumes.iter().map(|(key, value)| (key.clone(), volume(value))))),
    ]);
    if !project.variables_stay {
        double_dollars(&mut value);
    }
    value
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
    let mut out = String::new();
    write_yaml(&to_json(project), 0, &mut out);
    out
}

fn write_yaml(value: &Value, indent: usize, out: &mut String) {
    let pad = "  ".repeat(indent);
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                out.push_str(&format!("{pad}{}:", yaml_text(key)));
                write_inner(value, indent, out);
            }
        }
        Value::Array(items) => {
            for item in items {
                match item {
                    Value::Object(map) if !map.is_empty() => {
                        let mut inner = String::new();
                        write_yaml(item, indent + 1, &mut inner);
                        out.push_str(&format!("{pad}- {}", inner.trim_start_matches(' ')));
                    }
                    item => {
                        out.push_str(&format!("{pad}-"));
                        write_inner(item, indent, out);
                    }
                }
            }
        }
        _ => {}
    }
}

fn write_inner(value: &Value, indent: usize, out: &mut String) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            out.push('\n');
            write_yaml(value, indent + 1, out);
        }
        Value::Array(items) if !items.is_empty() => {
            out.push('\n');
            write_yaml(value, indent + 1, out);
        }
        Value::String(text) => out.push_str(&format!(" {}\n", yaml_text(text))),
        other => out.push_str(&format!(" {other}\n")),
    }
}

/// A text as YAML: plain where nothing can be misread, else in double quotes, which take JSON's escapes.
fn yaml_text(text: &str) -> String {
    let plain = text.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '/')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-'))
        && !matches!(
            text.to_ascii_lowercase().as_str(),
            "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n" | "null"
        );
    if plain { text.to_owned() } else { Value::String(text.to_owned()).to_string() }
}

/// The hexadecimal SHA-256 of what a service's containers are made from, by docker compose's recipe: the compact JSON of
/// the service, HTML characters escaped as Go does, without the number of containers and the pull policy. It equals that
/// of version 2.26.1; later ones leave out profiles and dependencies too.
pub fn config_hash(of: &Service) -> String {
    let mut value = service(of);
    if let Value::Object(map) = &mut value {
        for key in ["scale", "pull_policy"] {
            map.shift_remove(key);
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
