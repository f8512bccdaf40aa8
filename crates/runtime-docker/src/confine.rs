//! What a container sees and may use, as Docker's API has it; and what the API that answers cannot do. Pure.

use std::collections::{BTreeMap, HashMap};

use bollard::models::{
    DeviceMapping, DeviceRequest as DockerRequest, HostConfig, HostConfigCgroupnsModeEnum,
    HostConfigLogConfig, ResourcesBlkioWeightDevice, ResourcesUlimits, ThrottleDevice,
};
use compose_file::{BlkioRate, Cgroup, Count, DeviceRequest, Limit, Namespace, Recursive, Ulimit};
use runtime_core::{
    Attachment, ContainerSpec, Lack, MountSourceSpec, MountSpec, NetworkSpec, Resources, Wish,
};

/// The option by which Docker's networks name an interface.
pub(crate) const INTERFACE_NAME: &str = "com.docker.network.endpoint.ifname";

/// The drivers that Podman has for logs.
const PODMANS_LOG_DRIVERS: [&str; 5] = ["json-file", "k8s-file", "journald", "none", "passthrough"];

/// All of it in its place. `security_opt` is as Docker takes it, a seccomp profile read.
pub(crate) fn fill(spec: &ContainerSpec, security_opt: &[String], host: &mut HostConfig) {
    let some = |list: &[String]| (!list.is_empty()).then(|| list.to_vec());
    let map = |pairs: &BTreeMap<String, String>| {
        (!pairs.is_empty()).then(|| pairs.clone().into_iter().collect::<HashMap<_, _>>())
    };
    host.dns = some(&spec.resolver.servers);
    host.dns_options = some(&spec.resolver.options);
    host.dns_search = some(&spec.resolver.search);
    host.group_add = some(&spec.group_add);
    // Not one of the security modules': docker compose shows all of /proc and /sys for it.
    let (unmasked, options): (Vec<&String>, Vec<&String>) =
        security_opt.iter().partition(|option| *option == "systempaths=unconfined");
    host.security_opt = (!options.is_empty()).then(|| options.into_iter().cloned().collect());
    if !unmasked.is_empty() {
        host.masked_paths = Some(Vec::new());
        host.readonly_paths = Some(Vec::new());
    }
    host.sysctls = map(&spec.sysctls);
    host.annotations = map(&spec.keeping.annotations);
    host.storage_opt = map(&spec.keeping.storage_opt);
    host.runtime = spec.keeping.runtime.clone();
    host.isolation = spec.keeping.isolation.as_deref().and_then(|word| word.parse().ok());
    let logging = &spec.keeping.logging;
    host.log_config = (logging.driver.is_some() || !logging.options.is_empty())
        .then(|| HostConfigLogConfig { typ: logging.driver.clone(), config: map(&logging.options) });
    let namespaces = &spec.namespaces;
    host.ipc_mode = namespaces.ipc.as_ref().map(namespace);
    host.pid_mode = namespaces.pid.as_ref().map(namespace);
    host.uts_mode = namespaces.uts.as_ref().map(namespace);
    host.userns_mode = namespaces.user.clone();
    host.cgroupns_mode = namespaces.cgroup.map(|cgroup| match cgroup {
        Cgroup::Host => HostConfigCgroupnsModeEnum::HOST,
        _ => HostConfigCgroupnsModeEnum::PRIVATE,
    });
    host.cgroup_parent = namespaces.cgroup_parent.clone();
    host.volumes_from = (!spec.volumes_from.is_empty()).then(|| {
        let from = spec.volumes_from.iter().map(|from| match from.writable {
            None => from.container.clone(),
            Some(true) => format!("{}:rw", from.container),
            Some(false) => format!("{}:ro", from.container),
        });
        from.collect()
    });
    let mapped = spec.devices.mapped.iter().map(|device| DeviceMapping {
        path_on_host: Some(device.source.clone()),
        path_in_container: Some(device.target.clone()),
        cgroup_permissions: Some(device.permissions.clone().unwrap_or_else(|| "rwm".into())),
    });
    host.devices = (!spec.devices.mapped.is_empty()).then(|| mapped.collect());
    host.device_cgroup_rules = some(&spec.devices.cgroup_rules);
    host.device_requests =
        (!spec.devices.requests.is_empty()).then(|| spec.devices.requests.iter().map(request).collect());
    resources(&spec.resources, host);
}

fn namespace(namespace: &Namespace) -> String {
    match namespace {
        Namespace::Host => "host".to_owned(),
        Namespace::Shareable => "shareable".to_owned(),
        Namespace::None => "none".to_owned(),
        Namespace::Container(id) => format!("container:{id}"),
        Namespace::Path(path) => format!("ns:{path}"),
        Namespace::Service(name) => format!("service:{name}"),
        _ => "private".to_owned(),
    }
}

fn request(from: &DeviceRequest) -> DockerRequest {
    DockerRequest {
        driver: from.driver.clone(),
        count: Some(match from.count {
            _ if !from.device_ids.is_empty() => 0,
            Some(Count::Of(number)) => i64::from(number),
            _ => -1,
        }),
        device_ids: (!from.device_ids.is_empty()).then(|| from.device_ids.clone()),
        capabilities: Some(vec![from.capabilities.clone()]),
        options: Some(from.options.clone().into_iter().collect()),
    }
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn limit(limit: Limit) -> i64 {
    match limit {
        Limit::At(number) => whole(number),
        Limit::Unlimited => -1,
    }
}

fn rates(from: &[BlkioRate]) -> Option<Vec<ThrottleDevice>> {
    let rate =
        |one: &BlkioRate| ThrottleDevice { path: Some(one.path.clone()), rate: Some(whole(one.rate.0)) };
    (!from.is_empty()).then(|| from.iter().map(rate).collect())
}

fn resources(from: &Resources, host: &mut HostConfig) {
    host.nano_cpus = from.cpus.map(|cpus| whole(cpus.nanos));
    host.cpu_count = from.cpu_count.map(i64::from);
    // Hundredths of a hundredth, as docker compose has it.
    host.cpu_percent = from.cpu_percent.map(|percent| i64::from(percent) * 100);
    host.cpu_period = from.cpu_period.map(whole);
    host.cpu_quota = from.cpu_quota;
    host.cpu_realtime_period = from.cpu_rt_period.map(whole);
    host.cpu_realtime_runtime = from.cpu_rt_runtime.map(whole);
    host.cpu_shares = from.cpu_shares.map(whole);
    host.cpuset_cpus = from.cpuset.clone();
    host.memory = from.memory.map(whole);
    host.memory_reservation = from.memory_reservation.map(whole);
    host.memory_swap = from.memory_swap.map(limit);
    host.memory_swappiness = from.swappiness.map(i64::from);
    host.oom_kill_disable = from.oom_kill_disable.then_some(true);
    host.oom_score_adj = (from.oom_score_adj != 0).then_some(from.oom_score_adj);
    host.pids_limit = from.pids.map(limit);
    host.shm_size = from.shm_size.map(whole);
    let ulimits = from.ulimits.iter().filter_map(|(name, ulimit)| {
        let (soft, hard) = match ulimit {
            Ulimit::Both(both) => (*both, *both),
            Ulimit::Apart { soft, hard } => (*soft, *hard),
            _ => return None,
        };
        Some(ResourcesUlimits { name: Some(name.clone()), soft: Some(limit(soft)), hard: Some(limit(hard)) })
    });
    host.ulimits = (!from.ulimits.is_empty()).then(|| ulimits.collect());
    host.blkio_weight = from.blkio.weight.and_then(|weight| u16::try_from(weight).ok());
    let weights = from.blkio.weight_device.iter().map(|one| ResourcesBlkioWeightDevice {
        path: Some(one.path.clone()),
        weight: usize::try_from(one.weight).ok(),
    });
    host.blkio_weight_device = (!from.blkio.weight_device.is_empty()).then(|| weights.collect());
    host.blkio_device_read_bps = rates(&from.blkio.device_read_bps);
    host.blkio_device_read_iops = rates(&from.blkio.device_read_iops);
    host.blkio_device_write_bps = rates(&from.blkio.device_write_bps);
    host.blkio_device_write_iops = rates(&from.blkio.device_write_iops);
}

/// Who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answering {
    /// The version of the API that is spoken.
    pub(crate) api: (usize, usize),
    /// Whether it is Podman.
    pub(crate) is_podman: bool,
    /// Whether its containers are Windows'.
    pub(crate) is_windows: bool,
}

/// What who answers cannot do of a wish. What an older API does not know it ignores in silence, so it is asked here.
pub(crate) fn lacks(wish: Wish<'_>, by: Answering) -> Vec<Lack> {
    match wish {
        Wish::Container(spec) => of_container(spec, by),
        Wish::Network(spec) => of_network(spec, by),
        Wish::Build(spec) => crate::build::lacks(spec, by),
        _ => Vec::new(),
    }
}

/// An attribute that is used, the API that knows it first, and the release that brought that.
type Since = (bool, &'static str, (usize, usize), &'static str);

fn too_new(since: &[Since], by: Answering) -> impl Iterator<Item = Lack> {
    let lacking = move |(is, attribute, api, release): &Since| {
        let why = if by.is_podman {
            "Podman does not take it over Docker's API".to_owned()
        } else {
            format!("it needs Docker {release} or later (API {}.{})", api.0, api.1)
        };
        (*is && (by.is_podman || by.api < *api)).then(|| Lack::refused(attribute, why))
    };
    since.iter().filter_map(lacking).collect::<Vec<_>>().into_iter()
}

fn of_container(spec: &ContainerSpec, by: Answering) -> Vec<Lack> {
    let networks = |has: fn(&Attachment) -> bool| spec.networks.iter().any(has);
    let mounts = |has: fn(&MountSpec) -> bool| spec.mounts.iter().any(has);
    let is_image = |mount: &MountSpec| matches!(mount.source, MountSourceSpec::Image { .. });
    let has_subpath =
        |mount: &MountSpec| matches!(mount.source, MountSourceSpec::Volume { subpath: Some(_), .. });
    let has_labels = |mount: &MountSpec| matches!(&mount.source, MountSourceSpec::Volume { labels, .. } if !labels.is_empty());
    let is_pipe = |mount: &MountSpec| matches!(mount.source, MountSourceSpec::NamedPipe { .. });
    let is_recursive = |mount: &MountSpec| {
        let words = [Some(Recursive::Readonly), Some(Recursive::Writable)];
        matches!(&mount.source, MountSourceSpec::Bind { recursive, .. } if words.contains(recursive))
    };
    let start_interval = spec.healthcheck.as_ref().is_some_and(|check| check.start_interval.is_some());
    let has_mac = spec.mac_address.is_some() || networks(|one| one.mac_address.is_some());
    let keeping = &spec.keeping;
    let mut lacks: Vec<Lack> = too_new(
        &[
            (has_mac && !by.is_podman, "mac_address", (1, 44), "25"),
            (start_interval && !by.is_podman, "healthcheck.start_interval", (1, 44), "25"),
            (mounts(is_recursive), "volumes.bind.recursive", (1, 44), "25"),
            (mounts(has_subpath), "volumes.volume.subpath", (1, 45), "26"),
            (mounts(is_image) && !by.is_podman, "volumes.type", (1, 48), "28"),
            (networks(|one| one.gw_priority != 0), "networks.gw_priority", (1, 48), "28"),
            (networks(|one| one.interface_name.is_some()), "networks.interface_name", (1, 49), "28.1"),
        ],
        by,
    )
    .collect();
    let mut refuse = |is: bool, attribute, why: &str| {
        if is {
            lacks.push(Lack::refused(attribute, why));
        }
    };
    let windows = [
        (keeping.isolation.as_deref().is_some_and(|isolation| isolation != "default"), "isolation"),
        (keeping.credential_spec.is_some(), "credential_spec"),
        (mounts(is_pipe), "volumes.type"),
    ];
    for (is, attribute) in windows {
        refuse(is && !by.is_windows, attribute, "only Windows has it");
    }
    refuse(
        spec.read_only && !spec.files.is_empty(),
        "read_only",
        "nothing can be written into a container whose root is read-only, and its secrets or configs are not files of the host",
    );
    if by.is_podman {
        let podmans = "Podman does not take it over Docker's API";
        refuse(spec.domainname.is_some(), "domainname", podmans);
        refuse(!spec.devices.cgroup_rules.is_empty(), "device_cgroup_rules", podmans);
        refuse(!spec.devices.requests.is_empty(), "deploy.resources.reservations.devices", podmans);
        refuse(keeping.runtime.is_some(), "runtime", podmans);
        let driver = keeping.logging.driver.as_deref();
        refuse(
            driver.is_some_and(|driver| !PODMANS_LOG_DRIVERS.contains(&driver)),
            "logging.driver",
            "Podman has json-file, k8s-file, journald, none and passthrough",
        );
        refuse(!spec.external_links.is_empty(), "external_links", podmans);
        refuse(networks(|one| !one.link_local_ips.is_empty()), "networks.link_local_ips", podmans);
        refuse(networks(|one| !one.driver_opts.is_empty()), "networks.driver_opts", podmans);
    }
    let resources = &spec.resources;
    for (is, attribute) in
        [(resources.cpu_count.is_some(), "cpu_count"), (resources.cpu_percent.is_some(), "cpu_percent")]
    {
        if is && !by.is_windows {
            lacks.push(Lack::warned(attribute, "only Windows has it"));
        }
    }
    if !keeping.annotations.is_empty() && (by.is_podman || by.api < (1, 43)) {
        lacks.push(Lack::warned("annotations", "they need Docker 24 or later (API 1.43)"));
    }
    if by.is_podman && mounts(has_labels) {
        lacks.push(Lack::warned("volumes.volume.labels", "Podman has none of mounts"));
    }
    if start_interval && by.is_podman {
        lacks.push(Lack::warned("healthcheck.start_interval", "Podman checks at `interval` alone"));
    }
    lacks
}

fn of_network(spec: &NetworkSpec, by: Answering) -> Vec<Lack> {
    let mut lacks: Vec<Lack> =
        too_new(&[(spec.enable_ipv4 == Some(false), "enable_ipv4", (1, 48), "28")], by).collect();
    if by.is_podman {
        let aux = spec.ipam.iter().any(|pool| !pool.aux_addresses.is_empty());
        for (is, attribute) in
            [(aux, "ipam.config.aux_addresses"), (!spec.ipam_options.is_empty(), "ipam.options")]
        {
            if is {
                lacks.push(Lack::refused(attribute, "Podman does not take it over Docker's API"));
            }
        }
    }
    lacks
}
