//! One service's node as a [`Service`].

use std::collections::{BTreeMap, BTreeSet, HashMap, hash_map};

use crate::{
    Mount, Port, PullPolicy, RestartPolicy, Service, Severity,
    attribute::{Attribute, nonzero, one_or_more},
    build,
    context::Context,
    devices::{self, DeviceRequest},
    findings::Spot,
    grammar, grant, mount,
    outside::namespace,
    port, quantity,
    read::{Reader, labels},
    written::PortWords,
    yaml::{Key, Node, Value},
};

mod lifecycle;
mod network;
mod variables;

pub(crate) use lifecycle::scale;
pub(crate) use network::extra_hosts;

/// The attributes of a service.
const KNOWN: &str = "image build command entrypoint environment env_file ports expose volumes tmpfs networks network_mode \
    depends_on healthcheck labels label_file restart stop_signal stop_grace_period container_name \
    hostname working_dir user init read_only tty stdin_open privileged cap_add cap_drop extra_hosts \
    profiles scale deploy develop pull_policy extends annotations attach blkio_config cgroup \
    cgroup_parent cpu_count cpu_percent cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpu_shares \
    cpus cpuset credential_spec device_cgroup_rules devices dns dns_opt dns_search domainname \
    external_links gpus group_add ipc isolation links logging mac_address mem_limit mem_reservation \
    mem_swappiness memswap_limit oom_kill_disable oom_score_adj pid pids_limit platform post_start \
    pre_stop pull_refresh_after runtime security_opt shm_size storage_opt sysctls ulimits use_api_socket \
    userns_mode uts secrets configs volumes_from provider models";

/// A service, and where the entries of its lists stand.
pub(crate) struct ServiceFile {
    pub(crate) service: Service,
    pub(crate) entries: Entries,
}

/// Where the entries of lists stand, in their order in the service.
#[derive(Debug, Default)]
pub(crate) struct Entries {
    pub(crate) ports: Vec<Spot>,
    pub(crate) volumes: Vec<Spot>,
}

/// What is put together when all attributes are read.
#[derive(Default)]
struct Parts {
    tmpfs: Vec<(Mount, String, Spot)>,
    count: Option<(u32, crate::findings::Place)>,
    env_files: Vec<variables::EnvFile>,
    environment: BTreeMap<String, Option<String>>,
    labels_of_files: BTreeMap<String, String>,
    entries: Entries,
}

/// Reads a service of a project; its variables are those of `context`.
pub(crate) fn read(
    reader: &mut Reader<'_>,
    project: &str,
    name: &str,
    node: &Node,
    context: &Context,
) -> ServiceFile {
    let mut service = Service::new(name, "");
    let mut parts = Parts::default();
    if !matches!(node.value, Value::Map(_)) {
        reader.no_mapping(node);
        return ServiceFile { service, entries: parts.entries };
    }
    for (key, value) in reader.entries(node) {
        let reader = reader.at(&key.text);
        let place = reader.path.clone();
        reader.findings.or_keep(&["services", name, &key.text], value, |findings| {
            attribute(&mut Reader::new(findings, place), &mut service, &mut parts, key, value, context);
        });
    }
    let replicas = service.deploy.as_ref().and_then(|deploy| deploy.replicas);
    if let (Some((count, place)), Some(replicas)) = (parts.count, replicas)
        && count != replicas
    {
        let message =
            format!("can't set distinct values on scale ({count}) and deploy.replicas ({replicas})");
        reader.at("scale").error(place, message);
    }
    service.written.scale = parts.count.is_some_and(|(count, _)| count == 1 || service.deploy.is_some());
    service.scale = parts.count.map(|(count, _)| count).or(replicas).unwrap_or(1);
    if let (Some((count, _)), Some(deploy)) = (parts.count, &mut service.deploy) {
        deploy.replicas = Some(count);
    }
    for (mount, text, spot) in parts.tmpfs {
        service.written.tmpfs.insert(mount.target.clone(), text);
        service.volumes.push(mount);
        parts.entries.volumes.push(spot);
    }
    service.environment = variables::environment(reader, &parts.env_files, parts.environment, context);
    for (key, value) in parts.labels_of_files {
        service.labels.entry(key).or_insert(value);
    }
    if let (Some(_), Some(key)) = (&service.network_mode, node.get("networks")) {
        reader.error(key.place, "networks cannot be given together with network_mode");
    }
    network::unpublished(reader, &service, node);
    image(reader, &mut service, project, node);
    ServiceFile { service, entries: parts.entries }
}

/// What the image is, where it is not named.
fn image(reader: &mut Reader<'_>, service: &mut Service, project: &str, node: &Node) {
    let is_named = node.get("image").is_some_and(|image| image.text() != Some(""));
    if is_named || service.provider.is_some() {
        return;
    }
    if service.build.is_some() {
        service.image = format!("{project}-{}", service.name);
        service.written.image_implied = true;
    } else if !["build", "provider", "extends"].iter().any(|key| node.get(key).is_some()) {
        reader.error_with(node.place, "a service needs an image", "add `image: name:tag`");
    }
}

/// Reads one attribute.
fn attribute(
    reader: &mut Reader<'_>,
    service: &mut Service,
    parts: &mut Parts,
    key: &Key,
    value: &Node,
    context: &Context,
) {
    /// Puts what was read where something was read.
    macro_rules! take {
        ($field:ident) => {
            if let Some(read) = Attribute::read(reader, value) {
                service.$field = read;
            }
        };
        ($field:ident, $how:expr) => {
            if let Some(read) = $how(reader, value) {
                service.$field = read;
            }
        };
    }
    match key.text.as_str() {
        "image" => {
            if let Some(image) = reader.filled(value) {
                if let Err(why) = grammar::image(&image)
                    && reader.is_whole(&image)
                {
                    reader.error(value.place, format!("{image:?} is not the name of an image: {why}"));
                }
                service.image = image;
            }
        }
        "build" => service.build = build::build(reader, value),
        "command" => service.command = reader.words(value),
        "entrypoint" => service.entrypoint = reader.words(value),
        "environment" => parts.environment = reader.pairs(value),
        "env_file" => parts.env_files = variables::env_files(reader, value),
        "ports" => ports(reader, service, parts, value),
        "expose" => {
            let rule = "write port[-port][/protocol], like \"80\" or \"53/udp\"";
            service.expose = reader.strings_if(value, port::is_exposable, "is not a port", rule);
            only_once(&mut service.expose);
        }
        "volumes" => {
            for mount::Entry { mount, unusual, consistency, spot } in mount::read(reader, value) {
                if unusual {
                    service.written.unusual.insert(mount.target.clone());
                }
                service.written.consistency.extend(consistency.map(|word| (mount.target.clone(), word)));
                service.volumes.push(mount);
                parts.entries.volumes.push(spot);
            }
        }
        "tmpfs" => parts.tmpfs = mount::read_tmpfs(reader, value),
        "networks" => service.networks = network::networks(reader, value),
        "network_mode" => service.network_mode = network::network_mode(reader, value),
        "depends_on" => service.depends_on = lifecycle::depends_on(reader, value),
        "healthcheck" => {
            service.healthcheck = lifecycle::healthcheck(reader, &mut service.written, value);
        }
        "labels" => service.labels = labels(reader, value),
        "label_file" => parts.labels_of_files = variables::label_files(reader, value, context),
        "restart" => {
            service.restart = lifecycle::restart(reader, value);
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
        "extra_hosts" => service.extra_hosts = extra_hosts(reader, value),
        "scale" => parts.count = scale(reader, value).map(|count| (count, value.place)),
        "pull_policy" => {
            service.pull_policy = lifecycle::pull_policy(reader, value);
            service.written.pull_missing = service.pull_policy == PullPolicy::Missing;
        }
        "dns" => {
            let rule = "write an IP address, like 8.8.8.8";
            let good = |text: &str| text.parse::<std::net::IpAddr>().is_ok();
            service.dns = match value.text() {
                Some("") => Vec::new(),
                _ => reader.one_or_strings_if(value, good, "is not an IP address", rule),
            };
            only_once(&mut service.dns);
        }
        "gpus" => {
            take!(gpus, devices::gpus);
            service.gpus.iter_mut().for_each(DeviceRequest::normalize);
        }
        "deploy" => {
            take!(deploy);
            let wanted = service.deploy.as_mut().and_then(|deploy| deploy.resources.reservations.as_mut());
            wanted.into_iter().flat_map(|wanted| &mut wanted.devices).for_each(DeviceRequest::normalize);
        }
        "mac_address" => service.mac_address = network::mac_address(reader, value),
        "ipc" => service.ipc = namespace(reader, value),
        "pid" => service.pid = namespace(reader, value),
        "uts" => service.uts = namespace(reader, value),
        "secrets" => service.secrets = grant::secrets(reader, value),
        "configs" => service.configs = grant::configs(reader, value),
        "models" => service.models = grant::models(reader, value),
        "mem_swappiness" => {
            take!(mem_swappiness);
            if service.mem_swappiness.take_if(|level| *level > 100).is_some() {
                reader.wrong::<()>(value, "a number from 0 to 100");
            }
        }
        "cpu_percent" => {
            take!(cpu_percent, nonzero);
            if service.cpu_percent.take_if(|percent| *percent > 100).is_some() {
                reader.wrong::<()>(value, "a number from 0 to 100");
            }
        }
        "oom_score_adj" => {
            take!(oom_score_adj);
            if !(-1000..=1000).contains(&service.oom_score_adj) {
                reader.wrong::<()>(value, "a number from -1000 to 1000");
            }
        }
        "dns_opt" => take!(dns_opt),
        "dns_search" => {
            take!(dns_search, one_or_more);
            only_once(&mut service.dns_search);
        }
        "working_dir" => take!(working_dir),
        "user" => take!(user),
        "init" => take!(init),
        "read_only" => take!(read_only),
        "tty" => take!(tty),
        "stdin_open" => take!(stdin_open),
        "privileged" => take!(privileged),
        "cap_add" => take!(cap_add),
        "cap_drop" => take!(cap_drop),
        "profiles" => take!(profiles),
        "annotations" => take!(annotations),
        "attach" => take!(attach),
        "blkio_config" => take!(blkio_config),
        "cgroup" => take!(cgroup),
        "cgroup_parent" => take!(cgroup_parent),
        "cpu_count" => take!(cpu_count, nonzero),
        "cpu_period" => take!(cpu_period, nonzero),
        "cpu_quota" => take!(cpu_quota, nonzero),
        "cpu_rt_period" => take!(cpu_rt_period, quantity::micros),
        "cpu_rt_runtime" => take!(cpu_rt_runtime, quantity::micros),
        "cpu_shares" => take!(cpu_shares, nonzero),
        "cpus" => take!(cpus, quantity::decimal),
        "cpuset" => take!(cpuset),
        "credential_spec" => take!(credential_spec),
        "develop" => take!(develop),
        "device_cgroup_rules" => take!(device_cgroup_rules),
        "devices" => take!(devices),
        "domainname" => take!(domainname),
        "external_links" => take!(external_links),
        "group_add" => take!(group_add),
        "isolation" => take!(isolation),
        "links" => take!(links),
        "logging" => take!(logging),
        "mem_limit" => take!(mem_limit, quantity::size),
        "mem_reservation" => take!(mem_reservation, quantity::size),
        "memswap_limit" => take!(memswap_limit, quantity::limit_of_bytes),
        "oom_kill_disable" => take!(oom_kill_disable),
        "pids_limit" => take!(pids_limit, quantity::limit),
        "platform" => take!(platform),
        "post_start" => take!(post_start),
        "pre_stop" => take!(pre_stop),
        "provider" => take!(provider),
        "pull_refresh_after" => take!(pull_refresh_after),
        "runtime" => take!(runtime),
        "security_opt" => take!(security_opt),
        "shm_size" => take!(shm_size, quantity::size),
        "storage_opt" => take!(storage_opt),
        "sysctls" => take!(sysctls),
        "ulimits" => take!(ulimits),
        "use_api_socket" => take!(use_api_socket),
        "userns_mode" => take!(userns_mode),
        "volumes_from" => take!(volumes_from),
        // It is still here because of what is wrong with it, which is told.
        "extends" => {}
        _ => {
            let known: Vec<&str> = match reader.findings.is_full(Severity::Error) {
                true => Vec::new(),
                false => KNOWN.split(' ').collect(),
            };
            reader.unknown(key, &known);
        }
    }
}

/// Leaves out what was there already.
fn only_once(texts: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    texts.retain(|text| seen.insert(text.clone()));
}

fn ports(reader: &mut Reader<'_>, service: &mut Service, parts: &mut Parts, node: &Node) {
    let mut known: HashMap<Port, usize> = HashMap::new();
    for port::Entry { port, words, spot } in port::read(reader, node) {
        // One that is there already, perhaps from an earlier file, is said again and not another one.
        match known.entry(port::identity(&port)) {
            hash_map::Entry::Occupied(known) => {
                let index = *known.get();
                service.written.ports.remove(&service.ports[index]);
                service.ports[index] = port.clone();
                parts.entries.ports[index] = spot;
            }
            hash_map::Entry::Vacant(free) => {
                free.insert(service.ports.len());
                service.ports.push(port.clone());
                parts.entries.ports.push(spot);
            }
        }
        if words != PortWords::default() {
            service.written.ports.insert(port, words);
        }
    }
}
