//! A service as docker compose writes it, keys in its order: the config hash is of that text.

use std::time::Duration;

use serde_json::{Value, json};

use super::{duration, flag, list, map, object, some, texts};
use crate::{
    HealthTest, Healthcheck, Mount, MountSource, NetworkMode, Port, PullPolicy, RestartPolicy, Service,
    ServiceNetwork,
    attribute::{Attribute, shown},
    written::{PortWords, Written, has_block},
};

fn port(port: &Port, words: Option<&PortWords>) -> Value {
    let zero = words.is_some_and(|words| words.zero).then(|| "0".to_owned());
    object([
        ("name", some(words.and_then(|words| words.name.clone()))),
        ("mode", json!(if words.is_some_and(|words| words.host_mode) { "host" } else { "ingress" })),
        ("host_ip", some(port.host_ip.map(|ip| ip.to_string()))),
        ("target", json!(port.target)),
        ("published", some(port.published.map(|host| host.to_string()).or(zero))),
        ("protocol", json!(port.protocol.as_str())),
        ("app_protocol", some(words.and_then(|words| words.app_protocol.clone()))),
    ])
}

fn mount(mount: &Mount, written: &Written) -> Value {
    let (kind, source, (name, block)) = match &mount.source {
        MountSource::Volume { key, nocopy, subpath, labels } => {
            let block = object([
                ("labels", texts(labels)),
                ("nocopy", flag(*nocopy)),
                ("subpath", some(subpath.clone())),
            ]);
            ("volume", json!(key), ("volume", block))
        }
        MountSource::Anonymous => ("volume", Value::Null, ("volume", json!({}))),
        MountSource::Bind { path, create_host_path, propagation, selinux, recursive } => {
            let block = object([
                ("selinux", some(selinux.map(String::from))),
                ("propagation", some(propagation.clone())),
                ("create_host_path", flag(*create_host_path)),
                ("recursive", recursive.show()),
            ]);
            ("bind", json!(path), ("bind", block))
        }
        MountSource::Tmpfs { size, mode } => {
            let block = object([("size", some(size.map(|size| size.to_string()))), ("mode", some(*mode))]);
            ("tmpfs", Value::Null, ("tmpfs", block))
        }
        MountSource::Image { image, subpath } => {
            ("image", json!(image), ("image", object([("subpath", some(subpath.clone()))])))
        }
        MountSource::NamedPipe { path } => ("npipe", json!(path), ("npipe", json!({}))),
        MountSource::Cluster { key } => ("cluster", json!(key), ("cluster", json!({}))),
    };
    // A block that says something is not left out, whatever the file had: code may have changed the mount.
    let shown = block != json!({}) || has_block(&mount.source) != written.unusual.contains(&mount.target);
    object([
        ("type", json!(kind)),
        ("source", source),
        ("target", json!(mount.target)),
        ("read_only", flag(mount.read_only)),
        ("consistency", some(written.consistency.get(&mount.target).cloned())),
        (name, if shown { block } else { Value::Null }),
    ])
}

fn healthcheck(check: &Healthcheck, written: &Written) -> Value {
    let time = |value: Option<Duration>| some(value.map(duration));
    let disabled = check.test == Some(HealthTest::None) && !written.test_none;
    let check = match &written.disabled {
        Some(said) if disabled => said,
        _ => check,
    };
    let test = match &check.test {
        None => Value::Null,
        Some(HealthTest::None) if disabled && written.disabled.is_none() => Value::Null,
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
        ("disable", flag(disabled)),
    ])
}

fn network_mode(mode: &NetworkMode) -> String {
    match mode {
        NetworkMode::Host => "host".into(),
        NetworkMode::None => "none".into(),
        NetworkMode::Bridge => "bridge".into(),
        NetworkMode::Service(name) => format!("service:{name}"),
        NetworkMode::Container(name) => format!("container:{name}"),
        NetworkMode::Other(name) => name.clone(),
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

fn pull_policy(service: &Service) -> Value {
    match service.pull_policy {
        PullPolicy::Missing if service.written.pull_missing => json!("missing"),
        PullPolicy::Missing => Value::Null,
        PullPolicy::Always => json!("always"),
        PullPolicy::Never => json!("never"),
        PullPolicy::Build => json!("build"),
        PullPolicy::Refresh => json!("refresh"),
        PullPolicy::Daily => json!("daily"),
        PullPolicy::Weekly => json!("weekly"),
        PullPolicy::Every(age) => {
            let age = duration(age);
            // `12h` and not `12h0m0s`.
            let age = age.strip_suffix("m0s").map_or(age.clone(), |rest| format!("{rest}m"));
            let age = age.strip_suffix("h0m").map_or(age.clone(), |rest| format!("{rest}h"));
            json!(format!("every_{age}"))
        }
    }
}

fn network(network: &ServiceNetwork) -> Value {
    let number = |number: i64| (number == 0, json!(number));
    let (no_priority, priority) = number(network.priority);
    let (no_gateway, gateway) = number(network.gw_priority);
    let text = |text: Option<String>| (text.is_none(), some(text));
    let (no_v4, v4) = text(network.ipv4_address.map(|address| address.to_string()));
    let (no_v6, v6) = text(network.ipv6_address.map(|address| address.to_string()));
    let settings = shown([
        ("priority", no_priority, priority),
        ("gw_priority", no_gateway, gateway),
        ("aliases", network.aliases.is_unsaid(), network.aliases.show()),
        ("interface_name", network.interface_name.is_unsaid(), network.interface_name.show()),
        ("ipv4_address", no_v4, v4),
        ("ipv6_address", no_v6, v6),
        ("link_local_ips", network.link_local_ips.is_unsaid(), network.link_local_ips.show()),
        ("mac_address", network.mac_address.is_unsaid(), network.mac_address.show()),
        ("driver_opts", network.driver_opts.is_unsaid(), network.driver_opts.show()),
    ]);
    if settings == json!({}) && !network.block { Value::Null } else { settings }
}

/// A number as docker compose writes those that may be sizes: in quotes.
fn text_of(value: Value) -> Value {
    if value.is_null() { value } else { Value::String(value.to_string()) }
}

/// `deploy`, whose count is the service's.
fn deploy(service: &Service) -> Value {
    let Some(deploy) = &service.deploy else { return Value::Null };
    let mut value = deploy.show();
    if deploy.replicas.is_some() {
        value["replicas"] = json!(service.scale);
    }
    value
}

/// A service in the form that docker compose prints.
pub(super) fn service(service: &Service) -> Value {
    let networks = service.networks.iter().map(|(key, settings)| (key.clone(), network(settings)));
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
    /// An attribute that is written as it is.
    macro_rules! plain {
        ($field:ident) => {
            (stringify!($field), if service.$field.is_unsaid() { Value::Null } else { service.$field.show() })
        };
    }
    let healthcheck = match &service.healthcheck {
        Some(check) => healthcheck(check, written),
        None if written.empty_healthcheck => json!({}),
        None => Value::Null,
    };
    let counted = service.deploy.as_ref().is_some_and(|deploy| deploy.replicas.is_some());
    let image =
        if written.image_implied || service.image.is_empty() { Value::Null } else { json!(service.image) };
    object([
        plain!(profiles),
        plain!(annotations),
        plain!(attach),
        plain!(build),
        plain!(develop),
        plain!(blkio_config),
        plain!(cap_add),
        plain!(cap_drop),
        plain!(cgroup_parent),
        plain!(cgroup),
        plain!(cpu_count),
        plain!(cpu_percent),
        plain!(cpu_period),
        plain!(cpu_quota),
        plain!(cpu_rt_period),
        plain!(cpu_rt_runtime),
        plain!(cpus),
        plain!(cpuset),
        plain!(cpu_shares),
        ("command", words(&service.command)),
        plain!(configs),
        plain!(container_name),
        plain!(credential_spec),
        ("depends_on", map(depends_on)),
        ("deploy", deploy(service)),
        plain!(device_cgroup_rules),
        plain!(devices),
        plain!(dns),
        plain!(dns_opt),
        plain!(dns_search),
        plain!(domainname),
        ("entrypoint", words(&service.entrypoint)),
        plain!(provider),
        plain!(environment),
        plain!(expose),
        plain!(external_links),
        plain!(extra_hosts),
        plain!(group_add),
        plain!(gpus),
        plain!(hostname),
        ("healthcheck", healthcheck),
        ("image", image),
        plain!(init),
        plain!(ipc),
        plain!(isolation),
        plain!(labels),
        plain!(links),
        plain!(logging),
        plain!(mem_limit),
        plain!(mem_reservation),
        ("memswap_limit", text_of(service.memswap_limit.show())),
        ("mem_swappiness", text_of(service.mem_swappiness.show())),
        plain!(mac_address),
        plain!(models),
        ("network_mode", some(service.network_mode.as_ref().map(network_mode))),
        ("networks", map(networks)),
        plain!(oom_kill_disable),
        (
            "oom_score_adj",
            if service.oom_score_adj == 0 { Value::Null } else { json!(service.oom_score_adj) },
        ),
        plain!(pid),
        plain!(pids_limit),
        plain!(platform),
        ("ports", list(service.ports.iter().map(|of| port(of, written.ports.get(of))))),
        plain!(privileged),
        ("pull_policy", pull_policy(service)),
        plain!(pull_refresh_after),
        plain!(read_only),
        ("restart", restart(service.restart, written)),
        plain!(runtime),
        (
            "scale",
            if written.scale || service.scale != 1 && !counted { json!(service.scale) } else { Value::Null },
        ),
        plain!(secrets),
        plain!(security_opt),
        plain!(shm_size),
        plain!(stdin_open),
        plain!(stop_grace_period),
        plain!(stop_signal),
        plain!(storage_opt),
        plain!(sysctls),
        ("tmpfs", list(service.volumes.iter().filter_map(entry_of_tmpfs).cloned())),
        plain!(tty),
        plain!(ulimits),
        plain!(use_api_socket),
        plain!(user),
        plain!(userns_mode),
        plain!(uts),
        (
            "volumes",
            list(
                service.volumes.iter().filter(|of| entry_of_tmpfs(of).is_none()).map(|of| mount(of, written)),
            ),
        ),
        plain!(volumes_from),
        plain!(working_dir),
        plain!(post_start),
        plain!(pre_stop),
    ])
}
