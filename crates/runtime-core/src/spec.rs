//! A service of the model as things of the engine: names, labels, networks and volumes resolved.

use std::{
    collections::{BTreeMap, BTreeSet, hash_map::DefaultHasher},
    fmt::{self, Debug, Write as _},
    hash::Hasher,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use compose_file::{
    Bytes, DeviceRequest, FileObject, FileSource, Hidden, Mount, MountSource, MountsOwner, Namespace,
    Network, NetworkMode, Project, ProjectName, RestartPolicy, Service, Volume,
};

use crate::{
    Attachment, ContainerName, ContainerSpec, Devices, Error, ExternalLink, FileSpec, Keeping,
    MountSourceSpec, MountSpec, MountsFrom, Namespaces, NetworkSpec, Resolver, ResourceKind, ResourceName,
    Resources, Result, Share, VolumeSpec, labels,
};

/// The name of a service's container.
pub(crate) fn container_name(project: &ProjectName, service: &Service, number: u32) -> String {
    match &service.container_name {
        Some(name) => name.clone(),
        None => format!("{project}-{}-{number}", service.name),
    }
}

/// Everything of a container that the project decides.
#[derive(Debug)]
pub(crate) struct Made {
    /// What it is made from. The image's label is set when the image is known, other containers when they are there.
    pub(crate) spec: ContainerSpec,
    /// Folders of the host to make if they are missing.
    pub(crate) host_paths: Vec<PathBuf>,
    /// What is done without.
    pub(crate) warnings: Vec<String>,
}

/// `linked` are the names by which other services call it (`links`).
pub(crate) fn container_spec(
    project: &Project,
    service: &Service,
    number: u32,
    (owner, linked): (&str, &[&str]),
) -> Result<Made> {
    startable(service)?;
    let name = container_name(&project.name, service, number);
    let mut spec = ContainerSpec::new(ContainerName::new(name.clone())?, service.image.clone());
    spec.entrypoint = service.entrypoint.clone();
    spec.command = service.command.clone();
    spec.environment = set(&service.environment).collect();
    spec.labels = container_labels(project, service, number, owner);
    spec.ports = service.ports.clone();
    spec.expose = service.expose.clone();
    spec.network_mode = service.network_mode.clone().filter(|mode| !matches!(mode, NetworkMode::Service(_)));
    attach(project, service, linked, &mut spec)?;
    let mut host_paths = Vec::new();
    for mount in &service.volumes {
        spec.mounts.push(mount_spec(project, service, mount, &mut host_paths)?);
    }
    let mut warnings = Vec::new();
    for (kind, grants, objects, folder) in [
        ("secret", &service.secrets, &project.secrets, "/run/secrets/"),
        ("config", &service.configs, &project.configs, "/"),
    ] {
        for grant in grants {
            let object = objects.get(&grant.source).ok_or_else(|| {
                Error::InvalidProject(format!(
                    "service {:?} refers to undefined {kind} {:?}",
                    service.name, grant.source
                ))
            })?;
            let target = grant.target.as_deref().unwrap_or(&grant.source);
            let target =
                if target.starts_with('/') { target.to_owned() } else { format!("{folder}{target}") };
            let content = match &object.source {
                FileSource::File(path) => {
                    if grant.uid.is_some() || grant.gid.is_some() || grant.mode.is_some() {
                        warnings.push(format!(
                            "service {:?}: uid, gid and mode of {kind} {:?} are ignored: it is a file of the host, mounted as it is",
                            service.name, grant.source
                        ));
                    }
                    let source = MountSourceSpec::Bind {
                        path: path.clone(),
                        propagation: None,
                        selinux: None,
                        recursive: None,
                    };
                    spec.mounts.push(MountSpec { source, target, read_only: true });
                    continue;
                }
                FileSource::Content(text) => Hidden(text.clone()),
                FileSource::Environment(name) => project.variables.get(name).cloned().ok_or_else(|| {
                    Error::InvalidProject(format!(
                        "{kind} {:?} is the variable {name}, which is not set",
                        grant.source
                    ))
                })?,
                _ => {
                    return Err(Error::InvalidProject(format!(
                        "service {:?} has {kind} {:?}, which is external: that is Swarm's",
                        service.name, grant.source
                    )));
                }
            };
            let id = |id: &Option<String>| match id.as_deref().unwrap_or("0").parse() {
                Ok(number) => Ok(number),
                Err(_) => Err(Error::InvalidProject(format!(
                    "service {:?}: uid and gid of {kind} {:?} must be numbers",
                    service.name, grant.source
                ))),
            };
            let (uid, gid) = (id(&grant.uid)?, id(&grant.gid)?);
            spec.files.push(FileSpec { target, content, uid, gid, mode: grant.mode.unwrap_or(0o444) });
        }
    }
    spec.healthcheck = service.healthcheck.clone();
    spec.restart = restart(service);
    spec.stop_signal = service.stop_signal.clone();
    spec.stop_grace_period = service.stop_grace_period;
    spec.hostname = service.hostname.clone();
    spec.domainname = service.domainname.clone();
    spec.working_dir = service.working_dir.clone();
    spec.user = service.user.clone();
    spec.init = service.init;
    spec.read_only = service.read_only;
    spec.tty = service.tty;
    spec.stdin_open = service.stdin_open;
    spec.privileged = service.privileged;
    spec.cap_add = service.cap_add.clone();
    spec.cap_drop = service.cap_drop.clone();
    spec.extra_hosts = service.extra_hosts.clone();
    spec.platform = service.platform.clone();
    spec.group_add = service.group_add.clone();
    spec.security_opt =
        service.security_opt.iter().map(|option| security_option(option, &project.working_dir)).collect();
    spec.sysctls = service.sysctls.clone();
    spec.resolver = Resolver {
        servers: service.dns.clone(),
        options: service.dns_opt.clone(),
        search: service.dns_search.clone(),
    };
    let own = |namespace: &Option<Namespace>| {
        namespace.clone().filter(|namespace| !matches!(namespace, Namespace::Service(_)))
    };
    spec.namespaces = Namespaces {
        ipc: own(&service.ipc),
        pid: own(&service.pid),
        uts: own(&service.uts),
        user: service.userns_mode.clone(),
        cgroup: service.cgroup,
        cgroup_parent: service.cgroup_parent.clone(),
    };
    spec.volumes_from = service
        .volumes_from
        .iter()
        .filter_map(|from| match &from.owner {
            MountsOwner::Container(name) => {
                Some(MountsFrom { container: name.clone(), writable: from.writable })
            }
            _ => None,
        })
        .collect();
    spec.resources = resources(service);
    spec.devices = Devices {
        mapped: service.devices.clone(),
        cgroup_rules: service.device_cgroup_rules.clone(),
        requests: service.gpus.iter().map(graphic_cards).chain(reserved_devices(service)).collect(),
    };
    spec.keeping = Keeping {
        runtime: service.runtime.clone(),
        logging: service.logging.clone().unwrap_or_default(),
        annotations: service.annotations.clone(),
        storage_opt: service.storage_opt.clone(),
        isolation: service.isolation.clone(),
        credential_spec: service.credential_spec.clone(),
    };
    Ok(Made { spec, host_paths, warnings })
}

/// Whether files are written into a service's containers after they are created.
pub(crate) fn has_written_files(project: &Project, service: &Service) -> bool {
    let is_written = |object: Option<&FileObject>| {
        object.is_some_and(|object| !matches!(object.source, FileSource::File(_)))
    };
    service.secrets.iter().any(|grant| is_written(project.secrets.get(&grant.source)))
        || service.configs.iter().any(|grant| is_written(project.configs.get(&grant.source)))
}

/// The variables that have a value.
pub(crate) fn set(
    environment: &BTreeMap<String, Option<String>>,
) -> impl Iterator<Item = (String, String)> + '_ {
    environment.iter().filter_map(|(key, value)| Some((key.clone(), value.clone()?)))
}

/// Puts a container on its networks, that of the highest priority first, as docker compose does.
fn attach(project: &Project, service: &Service, linked: &[&str], spec: &mut ContainerSpec) -> Result<()> {
    let mut networks: Vec<_> = service.networks.iter().collect();
    networks.sort_by_key(|(_, settings)| std::cmp::Reverse(settings.priority));
    for (key, settings) in networks {
        let network =
            project.networks.get(key).ok_or_else(|| undefined(service, ResourceKind::Network, key))?;
        // The container's own name is an alias too: an engine's DNS need not follow a rename.
        let own = [service.name.as_str(), spec.name.as_str()];
        let given = settings.aliases.iter().map(String::as_str);
        // Docker keeps the names of links to one container; here they are names on the network, which Podman has too.
        let mut aliases: Vec<String> = Vec::new();
        for alias in own.into_iter().chain(given).chain(linked.iter().copied()) {
            if !aliases.iter().any(|known| known == alias) {
                aliases.push(alias.to_owned());
            }
        }
        spec.networks.push(Attachment {
            aliases,
            ipv4_address: settings.ipv4_address,
            ipv6_address: settings.ipv6_address,
            link_local_ips: settings.link_local_ips.clone(),
            mac_address: settings.mac_address.clone(),
            interface_name: settings.interface_name.clone(),
            gw_priority: settings.gw_priority,
            driver_opts: settings.driver_opts.clone(),
            ..Attachment::new(ResourceName::network(network.name.clone())?)
        });
    }
    match spec.networks.first_mut() {
        Some(first) => first.mac_address = first.mac_address.take().or(service.mac_address.clone()),
        None => spec.mac_address = service.mac_address.clone(),
    }
    spec.external_links = service
        .external_links
        .iter()
        .map(|link| ExternalLink {
            container: link.name.clone(),
            alias: link.alias.clone().unwrap_or_else(|| link.name.clone()),
        })
        .collect();
    Ok(())
}

fn mount_spec(
    project: &Project,
    service: &Service,
    mount: &Mount,
    host_paths: &mut Vec<PathBuf>,
) -> Result<MountSpec> {
    let source = match &mount.source {
        MountSource::Volume { key, nocopy, subpath, labels } => {
            let volume =
                project.volumes.get(key).ok_or_else(|| undefined(service, ResourceKind::Volume, key))?;
            MountSourceSpec::Volume {
                name: ResourceName::volume(volume.name.clone())?,
                nocopy: *nocopy,
                subpath: subpath.clone(),
                labels: labels.clone(),
            }
        }
        MountSource::Anonymous => MountSourceSpec::Anonymous,
        MountSource::Bind { path, create_host_path, propagation, selinux, recursive } => {
            if *create_host_path {
                host_paths.push(path.clone());
            }
            MountSourceSpec::Bind {
                path: path.clone(),
                propagation: propagation.clone(),
                selinux: *selinux,
                recursive: *recursive,
            }
        }
        MountSource::Tmpfs { size, mode } => MountSourceSpec::Tmpfs { size: *size, mode: *mode },
        MountSource::Image { image, subpath } => {
            MountSourceSpec::Image { image: image.clone(), subpath: subpath.clone() }
        }
        MountSource::NamedPipe { path } => MountSourceSpec::NamedPipe { path: path.clone() },
        _ => {
            return Err(Error::InvalidProject(format!(
                "service {:?} mounts a cluster volume at {}: that is Swarm's",
                service.name, mount.target
            )));
        }
    };
    Ok(MountSpec { source, target: mount.target.clone(), read_only: mount.read_only })
}

/// When it is started again: `deploy.restart_policy` wins over `restart`, as in docker compose.
pub(crate) fn restart(service: &Service) -> RestartPolicy {
    let policy = service.deploy.as_ref().and_then(|deploy| deploy.restart_policy.as_ref());
    let Some(policy) = policy else { return service.restart };
    let times = policy.max_attempts.and_then(|times| u32::try_from(times).ok()).filter(|times| *times > 0);
    match policy.condition.as_deref() {
        Some("none") => RestartPolicy::No,
        Some("on-failure") => RestartPolicy::OnFailure(times),
        Some("any") => RestartPolicy::Always,
        _ => service.restart,
    }
}

/// A security option as `name=value`, which both engines take; docker compose reads a seccomp profile from the project's folder.
fn security_option(option: &str, folder: &Path) -> String {
    let (name, value) = match option.split_once(['=', ':']) {
        Some(parts) => parts,
        None => return option.to_owned(),
    };
    if name == "seccomp" && value != "unconfined" {
        return format!("seccomp={}", folder.join(value).display());
    }
    format!("{name}={value}")
}

/// The limits of `deploy.resources` win over the older attributes, as in docker compose.
fn resources(service: &Service) -> Resources {
    let deploy = service.deploy.as_ref().map(|deploy| &deploy.resources);
    let limits = deploy.and_then(|resources| resources.limits.as_ref());
    let reservations = deploy.and_then(|resources| resources.reservations.as_ref());
    let bytes = |bytes: Option<Bytes>| bytes.map(|bytes| bytes.0);
    Resources {
        cpus: limits.and_then(|limits| limits.cpus).or(service.cpus),
        cpu_count: service.cpu_count,
        cpu_percent: service.cpu_percent,
        cpu_period: service.cpu_period,
        cpu_quota: service.cpu_quota,
        cpu_rt_period: service.cpu_rt_period,
        cpu_rt_runtime: service.cpu_rt_runtime,
        cpu_shares: service.cpu_shares,
        cpuset: service.cpuset.clone(),
        memory: bytes(limits.and_then(|limits| limits.memory).or(service.mem_limit)),
        memory_reservation: bytes(
            reservations.and_then(|reserved| reserved.memory).or(service.mem_reservation),
        ),
        memory_swap: service.memswap_limit,
        swappiness: service.mem_swappiness,
        oom_kill_disable: service.oom_kill_disable,
        oom_score_adj: service.oom_score_adj,
        pids: limits.and_then(|limits| limits.pids).or(service.pids_limit),
        ulimits: service.ulimits.clone(),
        shm_size: bytes(service.shm_size),
        blkio: service.blkio_config.clone().unwrap_or_default(),
    }
}

/// A graphic card is able to be one without saying it, as docker compose has it.
fn graphic_cards(request: &DeviceRequest) -> DeviceRequest {
    let mut request = request.clone();
    if !request.capabilities.iter().any(|one| one == "gpu") {
        request.capabilities.push("gpu".to_owned());
    }
    request
}

fn reserved_devices(service: &Service) -> impl Iterator<Item = DeviceRequest> + '_ {
    let reservations = service.deploy.as_ref().and_then(|deploy| deploy.resources.reservations.as_ref());
    reservations.into_iter().flat_map(|reserved| reserved.devices.iter().cloned())
}

/// What a service says to Swarm, which docker compose ignores too.
pub(crate) fn ignored(service: &Service) -> Vec<String> {
    let Some(deploy) = &service.deploy else { return Vec::new() };
    let restart = deploy.restart_policy.as_ref();
    let reserved = deploy.resources.reservations.as_ref();
    let said = [
        ("mode", deploy.mode.as_deref().is_some_and(|mode| mode != "replicated")),
        ("labels", !deploy.labels.is_empty()),
        ("update_config", deploy.update_config.is_some()),
        ("rollback_config", deploy.rollback_config.is_some()),
        ("placement", deploy.placement != Default::default()),
        ("endpoint_mode", deploy.endpoint_mode.is_some()),
        ("restart_policy.delay", restart.is_some_and(|policy| policy.delay.is_some())),
        ("restart_policy.window", restart.is_some_and(|policy| policy.window.is_some())),
        ("resources.reservations.cpus", reserved.is_some_and(|reserved| reserved.cpus.is_some())),
        (
            "resources.reservations.generic_resources",
            reserved.is_some_and(|reserved| !reserved.generic_resources.is_empty()),
        ),
    ];
    let said = said.into_iter().filter(|(_, is)| *is);
    said.map(|(what, _)| format!("service {:?}: deploy.{what} is Swarm's, and is ignored", service.name))
        .collect()
}

/// Something of another service's container that a container has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shared<'s> {
    pub(crate) service: &'s str,
    pub(crate) share: Share,
}

/// What a service's containers share with those of other services.
pub(crate) fn shared(service: &Service) -> Vec<Shared<'_>> {
    let mut all = Vec::new();
    if let Some(NetworkMode::Service(name)) = &service.network_mode {
        all.push(Shared { service: name, share: Share::Network });
    }
    for (share, namespace) in
        [(Share::Ipc, &service.ipc), (Share::Pid, &service.pid), (Share::Uts, &service.uts)]
    {
        if let Some(Namespace::Service(name)) = namespace {
            all.push(Shared { service: name, share });
        }
    }
    for from in &service.volumes_from {
        if let MountsOwner::Service(name) = &from.owner {
            all.push(Shared { service: name, share: Share::Mounts { writable: from.writable } });
        }
    }
    all
}

/// Whether an engine is given all that a service would not do without what its file says.
fn startable(service: &Service) -> Result<()> {
    let missing = [
        ("models", !service.models.is_empty()),
        ("a provider", service.provider.is_some()),
        ("use_api_socket", service.use_api_socket),
    ];
    match missing.into_iter().find(|(_, is)| *is) {
        Some((what, _)) => Err(Error::InvalidProject(format!(
            "service {:?} has {what}, which is not supported yet, and does not start without it",
            service.name
        ))),
        None => Ok(()),
    }
}

fn undefined(service: &Service, kind: ResourceKind, key: &str) -> Error {
    Error::InvalidProject(format!("service {:?} refers to undefined {kind} {key:?}", service.name))
}

/// The label text of what a service depends on, as docker compose writes it.
fn depends_on_label(service: &Service) -> String {
    let entry = |(name, dependency): (&String, &compose_file::Dependency)| {
        format!("{name}:{}:{}", dependency.condition.as_str(), dependency.restart)
    };
    service.depends_on.iter().map(entry).collect::<Vec<_>>().join(",")
}

fn container_labels(
    project: &Project,
    service: &Service,
    number: u32,
    owner: &str,
) -> BTreeMap<String, String> {
    let files = match project.config_files.as_slice() {
        [file] => file.display().to_string(),
        files => files.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(","),
    };
    let own = [
        (labels::PROJECT, project.name.to_string()),
        (labels::SERVICE, service.name.clone()),
        (labels::VERSION, env!("CARGO_PKG_VERSION").to_owned()),
        (labels::NUMBER, number.to_string()),
        (labels::ONEOFF, "False".to_owned()),
        (labels::CONFIG_HASH, config_hash(service)),
        (labels::DEPENDS_ON, depends_on_label(service)),
        (labels::WORKING_DIR, project.working_dir.display().to_string()),
        (labels::CONFIG_FILES, files),
        (labels::OWNER, owner.to_owned()),
        (labels::PARTS, parts(service)),
    ];
    let own = own.map(|(key, value)| (key.to_owned(), value));
    // Of two of one name the later one stays.
    service.labels.clone().into_iter().chain(own).collect()
}

/// The hash that the loader computed, or that of a service made in code.
pub(crate) fn config_hash(service: &Service) -> String {
    if service.config_hash.is_empty() {
        compose_file::config_hash(service)
    } else {
        service.config_hash.clone()
    }
}

/// What a service is that says nothing.
static USUAL: LazyLock<Service> = LazyLock::new(|| Service::new("", ""));

/// Hashes of four digits, one for each attribute that a plan may name and that the service says something of; too short to guess a value
/// from.
fn parts(service: &Service) -> String {
    let (s, usual) = (service, &*USUAL);
    let mut parts = Parts(String::new());
    parts.add("command", &s.command, &usual.command);
    parts.add("entrypoint", &s.entrypoint, &usual.entrypoint);
    parts.add("environment", &s.environment, &usual.environment);
    parts.add("ports", &s.ports, &usual.ports);
    parts.add("volumes", &s.volumes, &usual.volumes);
    parts.add("networks", &(&s.networks, &s.network_mode), &(&usual.networks, &usual.network_mode));
    parts.add("healthcheck", &s.healthcheck, &usual.healthcheck);
    parts.add("labels", &s.labels, &usual.labels);
    parts.add("restart", &s.restart, &usual.restart);
    parts.add("stop_signal", &s.stop_signal, &usual.stop_signal);
    parts.add("stop_grace_period", &s.stop_grace_period, &usual.stop_grace_period);
    parts.add("container_name", &s.container_name, &usual.container_name);
    parts.add("hostname", &s.hostname, &usual.hostname);
    parts.add("working_dir", &s.working_dir, &usual.working_dir);
    parts.add("user", &s.user, &usual.user);
    parts.add("init", &s.init, &usual.init);
    parts.add("read_only", &s.read_only, &usual.read_only);
    parts.add("tty", &(s.tty, s.stdin_open), &(usual.tty, usual.stdin_open));
    let usual_privileges = (usual.privileged, &usual.cap_add, &usual.cap_drop);
    parts.add("privileges", &(s.privileged, &s.cap_add, &s.cap_drop), &usual_privileges);
    parts.add("extra_hosts", &s.extra_hosts, &usual.extra_hosts);
    parts.add("secrets", &(&s.secrets, &s.configs), &(&usual.secrets, &usual.configs));
    parts.add("resources", &resources(s), &Resources::default());
    parts.add("deploy", &s.deploy, &usual.deploy);
    parts.0
}

/// The text of a label [`labels::PARTS`].
struct Parts(String);

impl Parts {
    fn add<T: Debug + PartialEq>(&mut self, name: &str, value: &T, usual: &T) {
        if value == usual {
            return;
        }
        let mut hashed = Hashed(DefaultHasher::new());
        let separator = if self.0.is_empty() { "" } else { "," };
        // Neither a hash nor a text refuses what is written to it.
        let _ = write!(hashed, "{value:?}");
        let _ = write!(self.0, "{separator}{name}={:04x}", hashed.0.finish() & 0xffff);
    }
}

/// Hashes what is written.
struct Hashed(DefaultHasher);

impl fmt::Write for Hashed {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

/// The attributes in which a container's label differs from what the service would write now.
pub(crate) fn changed_parts(label: Option<&str>, service: &Service) -> Vec<String> {
    let Some(label) = label else { return Vec::new() };
    let now = parts(service);
    let read =
        |text| -> BTreeMap<_, _> { str::split(text, ',').filter_map(|part| part.split_once('=')).collect() };
    let (old, new): (BTreeMap<&str, &str>, BTreeMap<&str, &str>) = (read(label), read(&now));
    let names: BTreeSet<&str> = old.keys().chain(new.keys()).copied().collect();
    names.into_iter().filter(|name| old.get(name) != new.get(name)).map(str::to_owned).collect()
}

fn resource_labels(
    given: &BTreeMap<String, String>,
    project: &ProjectName,
    (label, key): (&str, &str),
    owner: &str,
) -> BTreeMap<String, String> {
    let mut all = given.clone();
    all.insert(label.to_owned(), key.to_owned());
    all.insert(labels::PROJECT.to_owned(), project.to_string());
    all.insert(labels::VERSION.to_owned(), env!("CARGO_PKG_VERSION").to_owned());
    all.insert(labels::OWNER.to_owned(), owner.to_owned());
    all
}

pub(crate) fn network_spec(
    project: &ProjectName,
    key: &str,
    network: &Network,
    owner: &str,
) -> Result<NetworkSpec> {
    Ok(NetworkSpec {
        name: ResourceName::network(network.name.clone())?,
        driver: network.driver.clone(),
        driver_opts: network.driver_opts.clone(),
        internal: network.internal,
        attachable: network.attachable,
        enable_ipv4: network.enable_ipv4,
        enable_ipv6: network.enable_ipv6.unwrap_or_default(),
        ipam_driver: network.ipam_driver.clone(),
        ipam_options: network.ipam_options.clone(),
        ipam: network.ipam.clone(),
        labels: resource_labels(&network.labels, project, (labels::NETWORK, key), owner),
    })
}

pub(crate) fn volume_spec(
    project: &ProjectName,
    key: &str,
    volume: &Volume,
    owner: &str,
) -> Result<VolumeSpec> {
    Ok(VolumeSpec {
        name: ResourceName::volume(volume.name.clone())?,
        driver: volume.driver.clone(),
        driver_opts: volume.driver_opts.clone(),
        labels: resource_labels(&volume.labels, project, (labels::VOLUME, key), owner),
    })
}
