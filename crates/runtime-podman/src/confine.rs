//! What a container sees and may use, as podman's arguments; and what podman cannot do. Pure.

use compose_file::{Count, DeviceRequest, Limit, Namespace, Recursive, Ulimit};
use runtime_core::{
    Attachment, ContainerSpec, ExternalLink, Lack, MountSourceSpec, NetworkSpec, Resources, Wish,
};

use crate::command::Invocation;

/// The drivers that podman has for logs.
const LOG_DRIVERS: [&str; 5] = ["json-file", "k8s-file", "journald", "none", "passthrough"];

/// What Docker calls the largest packet of a network.
pub(crate) const DOCKERS_MTU: &str = "com.docker.network.driver.mtu";

/// The words for all of it but mounts, networks and what stands in the process's own environment.
pub(crate) fn words(spec: &ContainerSpec, mut command: Invocation) -> Invocation {
    let lists = [
        ("--expose", &spec.expose),
        ("--dns", &spec.resolver.servers),
        ("--dns-option", &spec.resolver.options),
        ("--dns-search", &spec.resolver.search),
        ("--group-add", &spec.group_add),
        ("--device-cgroup-rule", &spec.devices.cgroup_rules),
    ];
    for (flag, values) in lists {
        command = command.args(values.iter().map(|value| format!("{flag}={value}")));
    }
    command = command.args(spec.security_opt.iter().map(|option| match option.as_str() {
        // Docker's words for it.
        "systempaths=unconfined" => "--security-opt=unmask=ALL".to_owned(),
        option => format!("--security-opt={option}"),
    }));
    for (flag, pairs) in [
        ("--sysctl", &spec.sysctls),
        ("--annotation", &spec.keeping.annotations),
        ("--storage-opt", &spec.keeping.storage_opt),
        ("--log-opt", &spec.keeping.logging.options),
    ] {
        command = command.args(pairs.iter().map(|(key, value)| format!("{flag}={key}={value}")));
    }
    let namespaces = &spec.namespaces;
    for (flag, value) in [
        ("--platform", spec.platform.clone()),
        ("--mac-address", spec.mac_address.clone()),
        ("--ipc", namespaces.ipc.as_ref().map(namespace)),
        ("--pid", namespaces.pid.as_ref().map(namespace)),
        ("--uts", namespaces.uts.as_ref().map(namespace)),
        ("--userns", namespaces.user.clone()),
        ("--cgroupns", namespaces.cgroup.map(|cgroup| cgroup.as_str().to_owned())),
        ("--cgroup-parent", namespaces.cgroup_parent.clone()),
        ("--log-driver", spec.keeping.logging.driver.clone()),
    ] {
        command = command.args(value.map(|value| format!("{flag}={value}")));
    }
    for device in &spec.devices.mapped {
        let permissions =
            device.permissions.as_ref().map(|letters| format!(":{letters}")).unwrap_or_default();
        let is_named = !device.source.starts_with('/');
        command = command.args([if is_named {
            format!("--device={}", device.source)
        } else {
            format!("--device={}:{}{permissions}", device.source, device.target)
        }]);
    }
    for request in &spec.devices.requests {
        command = command.args(cards(request).into_iter().map(|name| format!("--device={name}")));
    }
    for from in &spec.volumes_from {
        let mode = match from.writable {
            None => "",
            Some(true) => ":rw",
            Some(false) => ":ro",
        };
        command = command.args([format!("--volumes-from={}{mode}", from.container)]);
    }
    resources(&spec.resources, command)
}

fn namespace(namespace: &Namespace) -> String {
    match namespace {
        Namespace::Host => "host".to_owned(),
        Namespace::Private => "private".to_owned(),
        Namespace::Shareable => "shareable".to_owned(),
        Namespace::None => "none".to_owned(),
        Namespace::Container(id) => format!("container:{id}"),
        Namespace::Path(path) => format!("ns:{path}"),
        Namespace::Service(name) => format!("service:{name}"),
        _ => "private".to_owned(),
    }
}

/// Graphic cards by the names that NVIDIA's toolkit gives them, which is how Podman knows them.
fn cards(request: &DeviceRequest) -> Vec<String> {
    match request.count {
        _ if !request.device_ids.is_empty() => {
            request.device_ids.iter().map(|id| format!("nvidia.com/gpu={id}")).collect()
        }
        Some(Count::Of(number)) => (0..number).map(|index| format!("nvidia.com/gpu={index}")).collect(),
        _ => vec!["nvidia.com/gpu=all".to_owned()],
    }
}

fn limit(limit: Limit) -> String {
    match limit {
        Limit::At(number) => number.to_string(),
        Limit::Unlimited => "-1".to_owned(),
    }
}

fn resources(from: &Resources, mut command: Invocation) -> Invocation {
    let bytes = |bytes: Option<u64>| bytes.map(|bytes| format!("{bytes}b"));
    let text = |number: Option<u64>| number.map(|number| number.to_string());
    for (flag, value) in [
        ("--cpus", from.cpus.map(|cpus| cpus.to_string())),
        ("--cpu-period", text(from.cpu_period)),
        ("--cpu-quota", from.cpu_quota.map(|quota| quota.to_string())),
        ("--cpu-rt-period", text(from.cpu_rt_period)),
        ("--cpu-rt-runtime", text(from.cpu_rt_runtime)),
        ("--cpu-shares", text(from.cpu_shares)),
        ("--cpuset-cpus", from.cpuset.clone()),
        ("--memory", bytes(from.memory)),
        ("--memory-reservation", bytes(from.memory_reservation)),
        ("--memory-swap", from.memory_swap.map(limit)),
        ("--memory-swappiness", from.swappiness.map(|level| level.to_string())),
        ("--oom-score-adj", (from.oom_score_adj != 0).then(|| from.oom_score_adj.to_string())),
        ("--oom-kill-disable", from.oom_kill_disable.then(|| "true".to_owned())),
        ("--pids-limit", from.pids.map(limit)),
        ("--shm-size", bytes(from.shm_size)),
        ("--blkio-weight", from.blkio.weight.map(|weight| weight.to_string())),
    ] {
        command = command.args(value.map(|value| format!("{flag}={value}")));
    }
    for (name, ulimit) in &from.ulimits {
        let (soft, hard) = match ulimit {
            Ulimit::Both(both) => (*both, *both),
            Ulimit::Apart { soft, hard } => (*soft, *hard),
            _ => continue,
        };
        command = command.args([format!("--ulimit={name}={}:{}", limit(soft), limit(hard))]);
    }
    for device in &from.blkio.weight_device {
        command = command.args([format!("--blkio-weight-device={}:{}", device.path, device.weight)]);
    }
    for (flag, rates) in [
        ("--device-read-bps", &from.blkio.device_read_bps),
        ("--device-read-iops", &from.blkio.device_read_iops),
        ("--device-write-bps", &from.blkio.device_write_bps),
        ("--device-write-iops", &from.blkio.device_write_iops),
    ] {
        command = command.args(rates.iter().map(|rate| format!("{flag}={}:{}", rate.path, rate.rate.0)));
    }
    command
}

/// What podman cannot do of a wish. `is_remote` is that containers run on another computer.
pub(crate) fn lacks(wish: Wish<'_>, is_remote: bool) -> Vec<Lack> {
    match wish {
        Wish::Container(spec) => of_container(spec, is_remote),
        Wish::Network(spec) => of_network(spec),
        Wish::Build(spec) => crate::build::lacks(spec),
        _ => Vec::new(),
    }
}

fn of_container(spec: &ContainerSpec, is_remote: bool) -> Vec<Lack> {
    let mut lacks = Vec::new();
    let mut refuse = |is: bool, attribute, why: &str| {
        if is {
            lacks.push(Lack::refused(attribute, why));
        }
    };
    let keeping = &spec.keeping;
    refuse(spec.domainname.is_some(), "domainname", "Podman has none; `hostname` may have dots");
    refuse(
        keeping.isolation.as_deref().is_some_and(|isolation| isolation != "default"),
        "isolation",
        "only Windows has it",
    );
    refuse(keeping.credential_spec.is_some(), "credential_spec", "only Windows has it");
    refuse(
        keeping.runtime.is_some() && is_remote,
        "runtime",
        "Podman takes it only on the computer where it runs containers",
    );
    let driver = keeping.logging.driver.as_deref();
    refuse(
        driver.is_some_and(|driver| !LOG_DRIVERS.contains(&driver)),
        "logging.driver",
        "Podman has json-file, k8s-file, journald, none and passthrough",
    );
    refuse(
        spec.external_links.iter().any(|ExternalLink { container, alias }| container != alias),
        "external_links",
        "Podman gives a container of somebody else no other name",
    );
    let is_card = |request: &DeviceRequest| {
        request.driver.as_deref().is_none_or(|driver| driver == "nvidia")
            && request.capabilities.iter().any(|one| one == "gpu")
            && request.options.is_empty()
    };
    refuse(
        !spec.devices.requests.iter().all(is_card),
        "deploy.resources.reservations.devices",
        "Podman finds graphic cards of NVIDIA alone; name others in `devices`, like vendor.com/class=name",
    );
    let networks = |has: fn(&Attachment) -> bool| spec.networks.iter().any(has);
    refuse(networks(|one| !one.link_local_ips.is_empty()), "networks.link_local_ips", "Podman has none");
    refuse(networks(|one| !one.driver_opts.is_empty()), "networks.driver_opts", "Podman has none");
    refuse(
        networks(|one| one.gw_priority != 0),
        "networks.gw_priority",
        "Podman does not choose among gateways",
    );
    for mount in &spec.mounts {
        let (subpath, recursive) = match &mount.source {
            MountSourceSpec::Volume { subpath, .. } | MountSourceSpec::Image { subpath, .. } => {
                (subpath.is_some(), None)
            }
            MountSourceSpec::Bind { recursive, .. } => (false, *recursive),
            _ => (false, None),
        };
        refuse(subpath, "volumes.subpath", "Podman mounts a whole volume or image");
        refuse(
            recursive == Some(Recursive::Readonly),
            "volumes.bind.recursive",
            "Podman does not make what is mounted beneath read-only",
        );
        refuse(
            matches!(mount.source, MountSourceSpec::NamedPipe { .. }),
            "volumes.type",
            "only Windows has named pipes",
        );
    }
    let resources = &spec.resources;
    let has_labels = |mount: &runtime_core::MountSpec| matches!(&mount.source, MountSourceSpec::Volume { labels, .. } if !labels.is_empty());
    for (is, attribute, why) in [
        (resources.cpu_count.is_some(), "cpu_count", "only Windows has it"),
        (resources.cpu_percent.is_some(), "cpu_percent", "only Windows has it"),
        (
            spec.healthcheck.as_ref().is_some_and(|check| check.start_interval.is_some()),
            "healthcheck.start_interval",
            "Podman checks at `interval` alone; `up` looks at it while it waits",
        ),
        (spec.mounts.iter().any(has_labels), "volumes.volume.labels", "Podman has none of mounts"),
    ] {
        if is {
            lacks.push(Lack::warned(attribute, why));
        }
    }
    lacks
}

fn of_network(spec: &NetworkSpec) -> Vec<Lack> {
    let mut lacks = Vec::new();
    let dockers = spec.driver_opts.keys().any(|key| key.starts_with("com.docker.") && key != DOCKERS_MTU);
    let aux = spec.ipam.iter().any(|pool| !pool.aux_addresses.is_empty());
    for (is, attribute, why) in [
        (dockers, "driver_opts", "of Docker's own options Podman knows com.docker.network.driver.mtu alone"),
        (aux, "ipam.config.aux_addresses", "Podman keeps no address; narrow `ip_range`"),
        (!spec.ipam_options.is_empty(), "ipam.options", "Podman has none"),
        (spec.enable_ipv4 == Some(false), "enable_ipv4", "every network of Podman has IPv4"),
    ] {
        if is {
            lacks.push(Lack::refused(attribute, why));
        }
    }
    lacks
}
