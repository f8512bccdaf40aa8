//! A service of the model as things of the engine: names, labels, networks and volumes resolved.

use std::{
    collections::{BTreeMap, BTreeSet, hash_map::DefaultHasher},
    fmt::Debug,
    hash::{Hash, Hasher},
    path::PathBuf,
};

use compose_file::{MountSource, Network, NetworkMode, Project, ProjectName, Service, Volume};

use crate::{
    Attachment, ContainerName, ContainerSpec, Error, MountSourceSpec, MountSpec, NetworkSpec, ResourceKind,
    ResourceName, Result, VolumeSpec, labels,
};

/// The name of a service's container.
pub(crate) fn container_name(project: &ProjectName, service: &Service, number: u32) -> String {
    match &service.container_name {
        Some(name) => name.clone(),
        None => format!("{project}-{}-{number}", service.name),
    }
}

/// Everything of a container that the project decides. The image's label is set when the image is known.
pub(crate) fn container_spec(
    project: &Project,
    service: &Service,
    number: u32,
    owner: &str,
) -> Result<(ContainerSpec, Vec<PathBuf>)> {
    startable(service)?;
    let name = container_name(&project.name, service, number);
    let mut spec = ContainerSpec::new(ContainerName::new(name.clone())?, service.image.clone());
    spec.entrypoint = service.entrypoint.clone();
    spec.command = service.command.clone();
    spec.environment =
        service.environment.iter().filter_map(|(key, value)| Some((key.clone(), value.clone()?))).collect();
    spec.labels = container_labels(project, service, number, owner);
    spec.ports = service.ports.clone();
    spec.network_mode = service.network_mode.clone().filter(|mode| !matches!(mode, NetworkMode::Service(_)));
    for (key, settings) in &service.networks {
        let network =
            project.networks.get(key).ok_or_else(|| undefined(service, ResourceKind::Network, key))?;
        // The container's own name is an alias too: an engine's DNS need not follow a rename.
        let mut aliases = vec![service.name.clone(), name.clone()];
        aliases.extend(settings.aliases.iter().cloned());
        let mut seen = BTreeSet::new();
        aliases.retain(|alias| seen.insert(alias.clone()));
        spec.networks.push(Attachment {
            network: ResourceName::network(network.name.clone())?,
            aliases,
            ipv4_address: settings.ipv4_address,
            ipv6_address: settings.ipv6_address,
        });
    }
    let mut host_paths = Vec::new();
    for mount in &service.volumes {
        let source = match &mount.source {
            MountSource::Volume { key, nocopy, .. } => {
                let volume =
                    project.volumes.get(key).ok_or_else(|| undefined(service, ResourceKind::Volume, key))?;
                MountSourceSpec::Volume { name: ResourceName::volume(volume.name.clone())?, nocopy: *nocopy }
            }
            MountSource::Anonymous => MountSourceSpec::Anonymous,
            MountSource::Bind { path, create_host_path, propagation, selinux, .. } => {
                if *create_host_path {
                    host_paths.push(path.clone());
                }
                MountSourceSpec::Bind {
                    path: path.clone(),
                    propagation: propagation.clone(),
                    selinux: *selinux,
                }
            }
            MountSource::Tmpfs { size, mode } => MountSourceSpec::Tmpfs { size: *size, mode: *mode },
            other => {
                return Err(Error::InvalidProject(format!(
                    "service {:?} mounts {other:?}, which no engine knows",
                    service.name
                )));
            }
        };
        spec.mounts.push(MountSpec { source, target: mount.target.clone(), read_only: mount.read_only });
    }
    spec.healthcheck = service.healthcheck.clone();
    spec.restart = service.restart;
    spec.stop_signal = service.stop_signal.clone();
    spec.stop_grace_period = service.stop_grace_period;
    spec.hostname = service.hostname.clone();
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
    Ok((spec, host_paths))
}

/// Whether an engine is given all that a service would not do without what its file says.
fn startable(service: &Service) -> Result<()> {
    let network = matches!(service.network_mode, Some(NetworkMode::Other(_)));
    let missing = [
        ("secrets", !service.secrets.is_empty()),
        ("configs", !service.configs.is_empty()),
        ("volumes_from", !service.volumes_from.is_empty()),
        ("models", !service.models.is_empty()),
        ("a provider", service.provider.is_some()),
        ("an image that is built", service.is_only_built()),
        ("a network_mode of its engine's own", network),
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
    let mut all = service.labels.clone();
    let files =
        project.config_files.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(",");
    let hash = config_hash(service);
    all.extend(
        [
            (labels::PROJECT, project.name.to_string()),
            (labels::SERVICE, service.name.clone()),
            (labels::VERSION, env!("CARGO_PKG_VERSION").to_owned()),
            (labels::NUMBER, number.to_string()),
            (labels::ONEOFF, "False".to_owned()),
            (labels::CONFIG_HASH, hash),
            (labels::DEPENDS_ON, depends_on_label(service)),
            (labels::WORKING_DIR, project.working_dir.display().to_string()),
            (labels::CONFIG_FILES, files),
            (labels::OWNER, owner.to_owned()),
            (labels::PARTS, parts(service)),
        ]
        .map(|(key, value)| (key.to_owned(), value)),
    );
    all
}

/// The hash that the loader computed, or that of a service made in code.
pub(crate) fn config_hash(service: &Service) -> String {
    if service.config_hash.is_empty() {
        compose_file::config_hash(service)
    } else {
        service.config_hash.clone()
    }
}

/// Hashes of four digits, one for each attribute that a plan may name; too short to guess a value from.
fn parts(service: &Service) -> String {
    fn short(value: &impl Debug) -> String {
        let mut hasher = DefaultHasher::new();
        format!("{value:?}").hash(&mut hasher);
        format!("{:04x}", hasher.finish() & 0xffff)
    }
    let s = service;
    [
        ("command", short(&s.command)),
        ("entrypoint", short(&s.entrypoint)),
        ("environment", short(&s.environment)),
        ("ports", short(&s.ports)),
        ("volumes", short(&s.volumes)),
        ("networks", short(&(&s.networks, &s.network_mode))),
        ("healthcheck", short(&s.healthcheck)),
        ("labels", short(&s.labels)),
        ("restart", short(&s.restart)),
        ("stop_signal", short(&s.stop_signal)),
        ("stop_grace_period", short(&s.stop_grace_period)),
        ("container_name", short(&s.container_name)),
        ("hostname", short(&s.hostname)),
        ("working_dir", short(&s.working_dir)),
        ("user", short(&s.user)),
        ("init", short(&s.init)),
        ("read_only", short(&s.read_only)),
        ("tty", short(&(s.tty, s.stdin_open))),
        ("privileges", short(&(s.privileged, &s.cap_add, &s.cap_drop))),
        ("extra_hosts", short(&s.extra_hosts)),
    ]
    .map(|(name, hash)| format!("{name}={hash}"))
    .join(",")
}

/// The attributes in which a container's label differs from what the service would write now.
pub(crate) fn changed_parts(label: Option<&str>, service: &Service) -> Vec<String> {
    let Some(label) = label else { return Vec::new() };
    let old: BTreeMap<&str, &str> = label.split(',').filter_map(|part| part.split_once('=')).collect();
    parts(service)
        .split(',')
        .filter_map(|part| part.split_once('='))
        .filter(|(name, hash)| old.get(name).is_some_and(|before| before != hash))
        .map(|(name, _)| name.to_owned())
        .collect()
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
        enable_ipv6: network.enable_ipv6.unwrap_or_default(),
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
