//! One container of a service beside those of `up`: what `run` makes, and which one `exec` and `attach` mean.

use std::collections::BTreeMap;

use compose_file::{Mount, MountSource, Port, Project, RestartPolicy, Service, Volume};

use crate::{Container, ContainerName, Error, ResourceKind, Result, reconcile::is_oneoff};

/// Which container of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The service.
    pub service: String,
    /// Its number; `None` is the first.
    pub index: Option<u32>,
}

impl Member {
    /// The first container of a service.
    pub fn first(service: impl Into<String>) -> Self {
        Self { service: service.into(), index: None }
    }

    /// All that are meant, whether they run or not: without a number every one.
    pub(crate) fn all(&self, mut containers: Vec<Container>) -> Result<Vec<Container>> {
        containers.retain(|container| {
            container.service() == Some(&self.service)
                && !is_oneoff(container)
                && self.index.is_none_or(|index| container.number() == Some(index))
        });
        if containers.is_empty() {
            return Err(Error::NotRunning { service: self.service.clone(), index: self.index });
        }
        Ok(containers)
    }

    /// The running one that is meant.
    pub(crate) fn running<'c>(&self, containers: &'c [Container]) -> Result<&'c Container> {
        let is_meant = |container: &&Container| {
            container.service() == Some(&self.service)
                && !is_oneoff(container)
                && container.state.is_running()
                && self.index.is_none_or(|index| container.number() == Some(index))
        };
        let first = containers.iter().filter(is_meant).min_by_key(|container| container.number());
        first.ok_or_else(|| Error::NotRunning { service: self.service.clone(), index: self.index })
    }
}

/// What `run` is to run: a service, and what is different from it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunOptions {
    /// The service.
    pub service: String,
    /// The command in place of the service's; empty is the service's.
    pub command: Vec<String>,
    /// The entrypoint in place of the service's; without a command of one's own, the service's is left out then.
    pub entrypoint: Option<Vec<String>>,
    /// Variables over the service's. Values are secrets.
    pub environment: BTreeMap<String, String>,
    /// Labels over the service's.
    pub labels: BTreeMap<String, String>,
    /// Mounts besides the service's; one of the same path takes its place.
    pub mounts: Vec<Mount>,
    /// Which ports are published.
    pub ports: RunPorts,
    /// The container's name; `None` is `PROJECT-SERVICE-run-HASH`.
    pub name: Option<ContainerName>,
    /// The user in place of the service's.
    pub user: Option<String>,
    /// The working folder in place of the service's.
    pub working_dir: Option<String>,
    /// Capabilities besides the service's.
    pub cap_add: Vec<String>,
    /// Capabilities that it has not, besides the service's.
    pub cap_drop: Vec<String>,
    /// Whether it is found by the service's names on its networks.
    pub aliases: RunAliases,
    /// Whether it has a terminal.
    pub tty: bool,
    /// Whether its stdin is open.
    pub stdin: bool,
    /// The keys that let go of it on a terminal. What is let go of runs on, and is not removed at its end.
    pub detach_keys: crate::DetachKeys,
    /// What becomes of it when it has ended.
    pub afterwards: Afterwards,
    /// Whether somebody talks with it.
    pub talk: RunTalk,
    /// Whether what the service depends on is brought up before.
    pub dependencies: crate::Dependencies,
    /// Which images are built.
    pub build: crate::Building,
    /// What happens to containers of services that are not in the file.
    pub orphans: crate::Orphans,
}

impl RunOptions {
    /// The service as it is, without its ports, to be talked with.
    pub fn new(service: impl Into<String>) -> Self {
        Self {
            service: service.into(),
            command: Vec::new(),
            entrypoint: None,
            environment: BTreeMap::new(),
            labels: BTreeMap::new(),
            mounts: Vec::new(),
            ports: RunPorts::default(),
            name: None,
            user: None,
            working_dir: None,
            cap_add: Vec::new(),
            cap_drop: Vec::new(),
            aliases: RunAliases::default(),
            tty: false,
            stdin: false,
            detach_keys: crate::DetachKeys::default(),
            afterwards: Afterwards::default(),
            talk: RunTalk::default(),
            dependencies: crate::Dependencies::default(),
            build: crate::Building::default(),
            orphans: crate::Orphans::default(),
        }
    }
}

/// Which ports a one-off publishes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum RunPorts {
    /// None, so that it can be beside the service.
    #[default]
    None,
    /// Those of the service.
    Service,
    /// These.
    These(Vec<Port>),
}

/// By which names a one-off is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RunAliases {
    /// Its own.
    #[default]
    Own,
    /// The service's too.
    Service,
}

/// What becomes of a one-off that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Afterwards {
    /// It stays, until `down`.
    #[default]
    Keep,
    /// It is removed, with its volumes that have no name (`--rm`).
    Remove,
}

/// Whether somebody talks with a one-off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RunTalk {
    /// From its first byte to its end.
    #[default]
    Attached,
    /// Nobody does (`--detach`).
    Detached,
}

/// The project with the service as it is to run once. `slug` is what makes the container's name its own.
pub(crate) fn project_of_run(project: &Project, options: &RunOptions, slug: &str) -> Result<Project> {
    let mut project = project.clone();
    let name = project.name.clone();
    // A volume that the file does not know is one of the engine's by its own name.
    for mount in &options.mounts {
        if let MountSource::Volume { key, .. } = &mount.source {
            let unknown = || {
                let mut volume = Volume::default();
                volume.name.clone_from(key);
                volume
            };
            project.volumes.entry(key.clone()).or_insert_with(unknown);
        }
    }
    // The hash stays that of the file: what is different once is no change of the service.
    let Some(service) = project.services.get_mut(&options.service) else {
        return Err(Error::NotFound { kind: ResourceKind::Service, name: options.service.clone() });
    };
    service.config_hash = crate::spec::config_hash(service);
    service.container_name = Some(match &options.name {
        Some(name) => name.to_string(),
        None => format!("{name}-{}-run-{slug}", options.service),
    });
    apply(service, options);
    Ok(project)
}

fn apply(service: &mut Service, options: &RunOptions) {
    service.restart = RestartPolicy::No;
    if let Some(deploy) = &mut service.deploy {
        // It would win over that; docker compose leaves it out too.
        deploy.restart_policy = None;
    }
    service.scale = 1;
    service.tty = options.tty;
    service.stdin_open = options.stdin;
    if let Some(entrypoint) = &options.entrypoint {
        service.entrypoint = Some(entrypoint.clone());
        service.command = None;
    }
    if !options.command.is_empty() {
        service.command = Some(options.command.clone());
    }
    let variables = options.environment.iter().map(|(name, value)| (name.clone(), Some(value.clone())));
    service.environment.extend(variables);
    service.labels.extend(options.labels.clone());
    service.volumes.retain(|mount| !options.mounts.iter().any(|other| other.target == mount.target));
    service.volumes.extend(options.mounts.iter().cloned());
    match &options.ports {
        RunPorts::None => service.ports.clear(),
        RunPorts::Service => {}
        RunPorts::These(ports) => service.ports = ports.clone(),
    }
    service.user = options.user.clone().or(service.user.take());
    service.working_dir = options.working_dir.clone().or(service.working_dir.take());
    service.cap_drop.retain(|cap| !options.cap_add.contains(cap));
    service.cap_add.extend(options.cap_add.iter().cloned());
    service.cap_add.retain(|cap| !options.cap_drop.contains(cap));
    service.cap_drop.extend(options.cap_drop.iter().cloned());
}

#[cfg(test)]
mod tests {
    use compose_file::{Deploy, DeployRestart};

    use super::*;

    #[test]
    fn a_one_off_is_not_restarted_whoever_says_so() {
        let mut service = Service::new("a", "x");
        service.restart = RestartPolicy::Always;
        let mut policy = DeployRestart::default();
        policy.condition = Some("any".to_owned());
        let mut deploy = Deploy::default();
        deploy.restart_policy = Some(policy);
        service.deploy = Some(deploy);
        apply(&mut service, &RunOptions::new("a"));
        assert_eq!(crate::spec::restart(&service), RestartPolicy::No);
    }
}
