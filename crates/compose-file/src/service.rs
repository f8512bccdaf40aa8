//! One service's node as a [`Service`].

use std::collections::BTreeMap;

use crate::{
    Condition, Dependency, HealthTest, Healthcheck, Mount, NetworkMode, PullPolicy, RestartPolicy, Service,
    ServiceNetwork,
    findings::Spot,
    grammar, mount, port,
    read::Reader,
    written::{Deploy, PortWords},
    yaml::{Node, Value},
};

const KNOWN: &[&str] = &[
    "image",
    "build",
    "command",
    "entrypoint",
    "environment",
    "env_file",
    "ports",
    "expose",
    "volumes",
    "tmpfs",
    "networks",
    "network_mode",
    "depends_on",
    "healthcheck",
    "labels",
    "restart",
    "stop_signal",
    "stop_grace_period",
    "container_name",
    "hostname",
    "working_dir",
    "user",
    "init",
    "read_only",
    "tty",
    "stdin_open",
    "privileged",
    "cap_add",
    "cap_drop",
    "extra_hosts",
    "profiles",
    "scale",
    "deploy",
    "pull_policy",
    "extends",
];

/// Attributes of the specification whose absence changes nothing that would break a project silently.
const LATER: &[&str] = &[
    "annotations",
    "attach",
    "blkio_config",
    "cgroup",
    "cgroup_parent",
    "configs",
    "cpu_count",
    "cpu_percent",
    "cpu_period",
    "cpu_quota",
    "cpu_rt_period",
    "cpu_rt_runtime",
    "cpu_shares",
    "cpus",
    "cpuset",
    "credential_spec",
    "develop",
    "device_cgroup_rules",
    "devices",
    "dns",
    "dns_opt",
    "dns_search",
    "domainname",
    "external_links",
    "gpus",
    "group_add",
    "ipc",
    "isolation",
    "label_file",
    "links",
    "logging",
    "mac_address",
    "mem_limit",
    "mem_reservation",
    "mem_swappiness",
    "memswap_limit",
    "models",
    "oom_kill_disable",
    "oom_score_adj",
    "pid",
    "pids_limit",
    "platform",
    "post_start",
    "pre_stop",
    "provider",
    "runtime",
    "secrets",
    "security_opt",
    "shm_size",
    "storage_opt",
    "sysctls",
    "ulimits",
    "use_api_socket",
    "userns_mode",
    "uts",
    "volumes_from",
];

/// Without these a service does not do what its file says.
const NEEDED: &[&str] = &["secrets", "configs", "volumes_from", "provider", "models"];

/// What a service's own reader finds besides the service.
#[derive(Debug, Default)]
pub(crate) struct ServiceFile {
    pub(crate) service: Service,
    /// `env_file` entries: path, whether it must be there, whether it is read without variables.
    pub(crate) env_files: Vec<EnvFile>,
    /// The environment as written.
    pub(crate) environment: BTreeMap<String, Option<String>>,
    pub(crate) has_image: bool,
    pub(crate) has_build: bool,
    pub(crate) entries: Entries,
}

/// Where the entries of lists stand, in their order in the service.
#[derive(Debug, Default)]
pub(crate) struct Entries {
    pub(crate) ports: Vec<Spot>,
    pub(crate) volumes: Vec<Spot>,
}

/// More containers of one service than anybody means; planning them would take all memory.
const MAX_SCALE: u32 = 10_000;

#[derive(Debug, Clone)]
pub(crate) struct EnvFile {
    pub(crate) path: String,
    pub(crate) required: bool,
    pub(crate) raw: bool,
    pub(crate) place: crate::findings::Place,
}

pub(crate) fn read(reader: &mut Reader<'_>, name: &str, node: &Node) -> ServiceFile {
    let mut file = ServiceFile { service: Service::new(name, ""), ..ServiceFile::default() };
    let mut tmpfs: Vec<(Mount, String, Spot)> = Vec::new();
    let (mut count, mut replicas) = (None, None);
    if !matches!(node.value, Value::Map(_)) {
        reader.wrong::<()>(node, "a mapping");
        file.has_build = true;
        return file;
    }
    for (key, value) in reader.entries(node) {
        let mut reader = reader.at(&key.text);
        let service = &mut file.service;
        match key.text.as_str() {
            "image" => {
                file.has_image = true;
                if let Some(image) = reader.string(value) {
                    if let Err(why) = grammar::image(&image)
                        && reader.is_whole(&image)
                    {
                        reader.error(value.place, format!("{image:?} is not the name of an image: {why}"));
                    }
                    service.image = image;
                }
            }
            "build" => {
                file.has_build = true;
                reader.warning(key.place, "images are not built yet: this is ignored");
            }
            "command" => service.command = reader.words(value),
            "entrypoint" => service.entrypoint = reader.words(value),
            "environment" => file.environment = reader.pairs(value),
            "env_file" => file.env_files = env_files(&mut reader, value),
            "ports" => {
                for port::Entry { port, words, spot } in port::read(&mut reader, value) {
                    // One that is there already, perhaps from an earlier file, is said again and not another one.
                    match service.ports.iter().position(|other| port::same(other, &port)) {
                        Some(index) => {
                            service.written.ports.remove(&service.ports[index]);
                            service.ports[index] = port.clone();
                            file.entries.ports[index] = spot;
                        }
                        None => {
                            service.ports.push(port.clone());
                            file.entries.ports.push(spot);
                        }
                    }
                    if words != PortWords::default() {
                        service.written.ports.insert(port, words);
                    }
                }
            }
            "expose" => {
                let rule = "write port[-port][/protocol], like \"80\" or \"53/udp\"";
                service.expose = reader.strings_if(value, port::is_exposable, "is not a port", rule);
            }
            "volumes" => {
                for mount::Entry { mount, unusual, spot } in mount::read(&mut reader, value) {
                    if unusual {
                        service.written.unusual.insert(mount.target.clone());
                    }
                    service.volumes.push(mount);
                    file.entries.volumes.push(spot);
                }
            }
            "tmpfs" => tmpfs = mount::read_tmpfs(&mut reader, value),
            "networks" => service.networks = networks(&mut reader, value),
            "network_mode" => service.network_mode = network_mode(&mut reader, value),
            "depends_on" => service.depends_on = depends_on(&mut reader, value),
            "healthcheck" => {
                service.healthcheck = healthcheck(&mut reader, value);
                let off =
                    service.healthcheck.as_ref().is_some_and(|check| check.test == Some(HealthTest::None));
                service.written.test_none = off && value.get("disable").is_none();
            }
            "labels" => service.labels = labels(&mut reader, value),
            "restart" => {
                service.restart = restart(&mut reader, value);
                service.written.restart_no =
                    service.restart == RestartPolicy::No && value.text().is_some_and(|text| !text.is_empty());
            }
            "stop_signal" => {
                let rule = "give a name like SIGTERM, or a number from 1 to 64";
                service.stop_signal = reader.filled_if(value, grammar::signal, "is not a signal", rule);
            }
            "stop_grace_period" => service.stop_grace_period = reader.duration(value),
            "container_name" => {
                let (good, what) = (grammar::container_or_volume, "cannot be the name of a container");
                service.container_name = reader.filled_if(value, good, what, grammar::NAME_RULE);
            }
            "hostname" => {
                let rule = "use letters, digits, '-' and '_', with '.' between";
                service.hostname = reader.filled_if(value, grammar::hostname, "cannot be a hostname", rule);
            }
            "working_dir" => service.working_dir = reader.filled(value),
            "user" => service.user = reader.filled(value),
            "init" => service.init = reader.bool(value),
            "read_only" => service.read_only = reader.bool(value).unwrap_or_default(),
            "tty" => service.tty = reader.bool(value).unwrap_or_default(),
            "stdin_open" => service.stdin_open = reader.bool(value).unwrap_or_default(),
            "privileged" => service.privileged = reader.bool(value).unwrap_or_default(),
            "cap_add" => service.cap_add = reader.strings(value),
            "cap_drop" => service.cap_drop = reader.strings(value),
            "extra_hosts" => service.extra_hosts = extra_hosts(&mut reader, value),
            "profiles" => service.profiles = reader.strings(value),
            "scale" => count = scale(&mut reader, value).map(|count| (count, value.place)),
            "deploy" => {
                replicas = deploy(&mut reader, value);
                service.written.deploy = match replicas {
                    Some(_) => Deploy::WithCount,
                    None if value.is_null() => Deploy::Absent,
                    None => Deploy::WithoutCount,
                };
            }
            // It is still here because of what is wrong with it, which is told.
            "extends" => file.has_image = true,
            "pull_policy" => service.pull_policy = pull_policy(&mut reader, value),
            other if NEEDED.contains(&other) => {
                reader.error(
                    key.place,
                    format!("{other:?} is not supported yet, and the service would not work without it"),
                );
            }
            _ => reader.unknown(key, KNOWN, LATER),
        }
    }
    if let (Some((count, place)), Some(replicas)) = (count, replicas)
        && count != replicas
    {
        let message =
            format!("can't set distinct values on scale ({count}) and deploy.replicas ({replicas})");
        reader.at("scale").error(place, message);
    }
    file.service.scale = count.map(|(count, _)| count).or(replicas).unwrap_or(1);
    for (mount, text, spot) in tmpfs {
        file.service.written.tmpfs.insert(mount.target.clone(), text);
        file.service.volumes.push(mount);
        file.entries.volumes.push(spot);
    }
    if let (Some(_), Some(key)) = (&file.service.network_mode, node.get("networks")) {
        reader.error(key.place, "networks cannot be given together with network_mode");
    }
    unpublished(reader, &file.service, node);
    if file.has_build && !file.has_image {
        let place = node.get("build").map_or(node.place, |node| node.place);
        reader.error_with(
            place,
            "a service with only a build cannot be run yet: images are not built",
            "build the image and name it with `image:`",
        );
    } else if !file.has_image {
        reader.error_with(node.place, "a service needs an image", "add `image: name:tag`");
    }
    file
}

/// Ports belong to whom the network belongs.
fn unpublished(reader: &mut Reader<'_>, service: &Service, node: &Node) {
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

fn scale(reader: &mut Reader<'_>, node: &Node) -> Option<u32> {
    let expected = format!("a number of containers from 0 to {MAX_SCALE}");
    let count: u32 = reader.number(node, &expected)?;
    if count > MAX_SCALE { reader.wrong(node, &expected) } else { Some(count) }
}

fn env_files(reader: &mut Reader<'_>, node: &Node) -> Vec<EnvFile> {
    let items: Vec<&Node> = match &node.value {
        Value::List(items) => items.iter().collect(),
        _ if node.is_null() => return Vec::new(),
        _ => vec![node],
    };
    let mut files = Vec::new();
    for (index, item) in items.into_iter().enumerate() {
        let mut reader = reader.item(index);
        let mut file = EnvFile { path: String::new(), required: true, raw: false, place: item.place };
        // Of an entry that is wrong itself, it is not asked whether the file is there.
        let mut whole = true;
        match &item.value {
            Value::Map(entries) => {
                for (key, value) in entries {
                    let mut reader = reader.at(&key.text);
                    match key.text.as_str() {
                        "path" => file.path = reader.string(value).unwrap_or_default(),
                        "required" => match reader.bool(value) {
                            Some(required) => file.required = required,
                            None => whole = false,
                        },
                        "format" => match reader.filled(value).as_deref() {
                            Some("raw") => file.raw = true,
                            Some(_) => whole = reader.wrong::<()>(value, "raw, or no format").is_some(),
                            None => {}
                        },
                        _ => reader.unknown(key, &["path", "required", "format"], &[]),
                    }
                }
            }
            _ => file.path = reader.string(item).unwrap_or_default(),
        }
        if whole && !file.path.is_empty() {
            files.push(file);
        }
    }
    files
}

fn networks(reader: &mut Reader<'_>, node: &Node) -> BTreeMap<String, ServiceNetwork> {
    let mut out = BTreeMap::new();
    match &node.value {
        Value::Map(entries) => {
            for (key, value) in entries {
                let mut network = ServiceNetwork::default();
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
                        _ => reader.unknown(
                            inner,
                            &["aliases", "ipv4_address", "ipv6_address"],
                            &[
                                "link_local_ips",
                                "mac_address",
                                "driver_opts",
                                "priority",
                                "gw_priority",
                                "interface_name",
                            ],
                        ),
                    }
                }
                out.insert(key.text.clone(), network);
            }
        }
        _ => out.extend(reader.strings(node).into_iter().map(|name| (name, ServiceNetwork::default()))),
    }
    out
}

fn network_mode(reader: &mut Reader<'_>, node: &Node) -> Option<NetworkMode> {
    let text = reader.string(node)?;
    Some(match text.as_str() {
        "host" => NetworkMode::Host,
        "none" => NetworkMode::None,
        "bridge" | "default" => NetworkMode::Bridge,
        other => match other.split_once(':') {
            Some(("service", name)) => NetworkMode::Service(name.to_owned()),
            Some(("container", name)) => NetworkMode::Container(name.to_owned()),
            _ => return reader.wrong(node, "host, none, bridge, service:NAME or container:NAME"),
        },
    })
}

fn depends_on(reader: &mut Reader<'_>, node: &Node) -> BTreeMap<String, Dependency> {
    let plain = Dependency { condition: Condition::ServiceStarted, restart: false, required: true };
    let mut out = BTreeMap::new();
    let Value::Map(entries) = &node.value else {
        out.extend(reader.strings(node).into_iter().map(|name| (name, plain.clone())));
        return out;
    };
    for (key, value) in entries {
        let mut dependency = plain.clone();
        let mut reader = reader.at(&key.text);
        for (inner, value) in reader.entries(value) {
            let mut reader = reader.at(&inner.text);
            match inner.text.as_str() {
                "condition" => match reader.string(value).as_deref() {
                    Some("service_started") => dependency.condition = Condition::ServiceStarted,
                    Some("service_healthy") => dependency.condition = Condition::ServiceHealthy,
                    Some("service_completed_successfully") => {
                        dependency.condition = Condition::ServiceCompletedSuccessfully
                    }
                    _ => {
                        reader.wrong::<()>(
                            value,
                            "service_started, service_healthy or service_completed_successfully",
                        );
                    }
                },
                "restart" => dependency.restart = reader.bool(value).unwrap_or_default(),
                "required" => dependency.required = reader.bool(value).unwrap_or(true),
                _ => reader.unknown(inner, &["condition", "restart", "required"], &[]),
            }
        }
        out.insert(key.text.clone(), dependency);
    }
    out
}

fn healthcheck(reader: &mut Reader<'_>, node: &Node) -> Option<Healthcheck> {
    let mut check = Healthcheck::default();
    let mut disabled = false;
    for (key, value) in reader.entries(node) {
        let mut reader = reader.at(&key.text);
        match key.text.as_str() {
            "test" => check.test = health_test(&mut reader, value),
            "interval" => check.interval = reader.duration(value),
            "timeout" => check.timeout = reader.duration(value),
            "start_period" => check.start_period = reader.duration(value),
            "start_interval" => check.start_interval = reader.duration(value),
            "retries" => check.retries = reader.number(value, "a number of tries"),
            "disable" => disabled = reader.bool(value).unwrap_or_default(),
            _ => reader.unknown(
                key,
                &["test", "interval", "timeout", "start_period", "start_interval", "retries", "disable"],
                &[],
            ),
        }
    }
    if disabled {
        return Some(Healthcheck { test: Some(HealthTest::None), ..Healthcheck::default() });
    }
    (check != Healthcheck::default()).then_some(check)
}

fn health_test(reader: &mut Reader<'_>, node: &Node) -> Option<HealthTest> {
    if let Value::Scalar { text, .. } = &node.value {
        return if node.is_null() { None } else { Some(HealthTest::Shell(text.clone())) };
    }
    let words = reader.strings(node);
    match words.split_first() {
        Some((word, [])) if word == "NONE" => Some(HealthTest::None),
        Some((word, rest)) if word == "CMD" && !rest.is_empty() => Some(HealthTest::Exec(rest.to_vec())),
        Some((word, rest)) if word == "CMD-SHELL" && rest.len() == 1 => {
            Some(HealthTest::Shell(rest[0].clone()))
        }
        _ => reader.wrong(node, "a text, or a list that begins with CMD, CMD-SHELL or NONE"),
    }
}

pub(crate) fn labels(reader: &mut Reader<'_>, node: &Node) -> BTreeMap<String, String> {
    reader.pairs(node).into_iter().map(|(key, value)| (key, value.unwrap_or_default())).collect()
}

fn restart(reader: &mut Reader<'_>, node: &Node) -> RestartPolicy {
    let Some(text) = reader.string(node) else { return RestartPolicy::No };
    match text.as_str() {
        "no" | "false" | "" => RestartPolicy::No,
        "always" => RestartPolicy::Always,
        "unless-stopped" => RestartPolicy::UnlessStopped,
        "on-failure" => RestartPolicy::OnFailure(None),
        other => match other.strip_prefix("on-failure:").and_then(|times| times.parse().ok()) {
            Some(times) => RestartPolicy::OnFailure(Some(times)),
            None => reader
                .wrong(node, "no, always, unless-stopped, on-failure or on-failure:TIMES")
                .unwrap_or_default(),
        },
    }
}

fn extra_hosts(reader: &mut Reader<'_>, node: &Node) -> Vec<(String, String)> {
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

fn deploy(reader: &mut Reader<'_>, node: &Node) -> Option<u32> {
    let mut replicas = None;
    for (key, value) in reader.entries(node) {
        let mut reader = reader.at(&key.text);
        match key.text.as_str() {
            "replicas" => replicas = scale(&mut reader, value),
            // Docker compose prints these two even where there is nothing.
            "resources" | "placement" if value.is_empty_map() => {}
            _ => reader.unknown(
                key,
                &["replicas"],
                &[
                    "mode",
                    "endpoint_mode",
                    "labels",
                    "placement",
                    "resources",
                    "restart_policy",
                    "rollback_config",
                    "update_config",
                ],
            ),
        }
    }
    replicas
}

fn pull_policy(reader: &mut Reader<'_>, node: &Node) -> PullPolicy {
    match reader.string(node).as_deref() {
        Some("missing" | "if_not_present") => PullPolicy::Missing,
        Some("always") => PullPolicy::Always,
        Some("never") => PullPolicy::Never,
        Some("build" | "daily" | "weekly") => {
            reader.warning(node.place, "this pull policy is not supported yet; taken as missing");
            PullPolicy::Missing
        }
        Some(other) if other.starts_with("every_") => {
            reader.warning(node.place, "this pull policy is not supported yet; taken as missing");
            PullPolicy::Missing
        }
        _ => reader.wrong(node, "missing, always or never").unwrap_or_default(),
    }
}
