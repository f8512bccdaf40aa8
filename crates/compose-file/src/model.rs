//! The model: a compose project as types that cannot hold nonsense.
//!
//! A [`Project`] is what is left after every stage of loading: interpolated, merged, normalized and checked.
//! Maps are sorted, so two equal projects print and hash alike.

use std::{collections::BTreeMap, fmt, path::PathBuf, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{Diagnostic, written::Written};

/// A compose project: services, networks and volumes under one name.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Project {
    /// The project's name; the first part of the names of all its resources.
    pub name: ProjectName,
    /// The absolute folder that relative paths of the files start from.
    pub working_dir: PathBuf,
    /// The absolute paths of the files it was loaded from, in order.
    pub config_files: Vec<PathBuf>,
    /// The services that are enabled, by name.
    pub services: BTreeMap<String, Service>,
    /// The services that a profile leaves out, by name.
    pub disabled_services: BTreeMap<String, Service>,
    /// The networks that an enabled service uses, by key.
    pub networks: BTreeMap<String, Network>,
    /// The named volumes of the file, by key.
    pub volumes: BTreeMap<String, Volume>,
    /// What was noticed and is no error.
    pub warnings: Vec<Diagnostic>,
    /// Whether its texts still hold variables as written: a dollar is then printed as it is.
    pub(crate) variables_stay: bool,
}

impl Project {
    /// An empty project of that name, for building one in code.
    pub fn new(name: ProjectName, working_dir: impl Into<PathBuf>) -> Self {
        Self {
            name,
            working_dir: working_dir.into(),
            config_files: Vec::new(),
            services: BTreeMap::new(),
            disabled_services: BTreeMap::new(),
            networks: BTreeMap::new(),
            volumes: BTreeMap::new(),
            warnings: Vec::new(),
            variables_stay: false,
        }
    }
}

/// A project's name: lowercase letters, digits, `_` and `-`, the first a letter or a digit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProjectName(String);

impl ProjectName {
    /// Checks a name that somebody gave (`-p`, `name:`, `COMPOSE_PROJECT_NAME`).
    ///
    /// # Errors
    /// When the name is not one; the error says what is allowed.
    pub fn new(name: impl Into<String>) -> Result<Self, InvalidName> {
        let name = name.into();
        let mut chars = name.chars();
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let good = chars.next().is_some_and(allowed) && chars.all(|c| allowed(c) || c == '_' || c == '-');
        if good && name.len() <= 200 { Ok(Self(name)) } else { Err(InvalidName { name }) }
    }

    /// Makes a name of any text as compose does of a folder's name: lowercased, what is not allowed cut out,
    /// leading `_` and `-` cut. `None` when nothing is left.
    pub fn normalize(text: &str) -> Option<Self> {
        let kept: String = text
            .to_lowercase()
            .chars()
            .filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '_' || *c == '-')
            .collect();
        Self::new(kept.trim_start_matches(['_', '-'])).ok()
    }

    /// Stands in for a name that was refused, until the load fails for it.
    pub(crate) fn placeholder() -> Self {
        Self("project".to_owned())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ProjectName {
    type Err = InvalidName;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Self::new(s)
    }
}

impl TryFrom<String> for ProjectName {
    type Error = InvalidName;
    fn try_from(s: String) -> Result<Self, Self::Error> {
        Self::new(s)
    }
}

impl From<ProjectName> for String {
    fn from(name: ProjectName) -> Self {
        name.0
    }
}

/// A text that cannot be a project's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{name:?} is not a project name: use lowercase letters, digits, '-' and '_', and begin with a letter or a digit"
)]
pub struct InvalidName {
    /// The text that was given.
    pub name: String,
}

/// One service: what each of its containers is made from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Service {
    /// Its name in the file.
    pub name: String,
    /// The image, as written.
    pub image: String,
    /// When to pull the image.
    pub pull_policy: PullPolicy,
    /// The command, as words; `None` is the image's own.
    pub command: Option<Vec<String>>,
    /// The entrypoint, as words; `None` is the image's own, an empty list clears it.
    pub entrypoint: Option<Vec<String>>,
    /// The environment, `env_file` included. `None` is a name that was to be inherited and is not set.
    pub environment: BTreeMap<String, Option<String>>,
    /// Published ports, ranges already taken apart, in file order.
    pub ports: Vec<Port>,
    /// Ports that other containers may reach, for information only (`expose`).
    pub expose: Vec<String>,
    /// What is mounted, in file order.
    pub volumes: Vec<Mount>,
    /// The networks it is on, by key; empty with `network_mode`.
    pub networks: BTreeMap<String, ServiceNetwork>,
    /// A network mode that stands in for networks.
    pub network_mode: Option<NetworkMode>,
    /// What must be there before it starts, by service name.
    pub depends_on: BTreeMap<String, Dependency>,
    /// How its health is checked.
    pub healthcheck: Option<Healthcheck>,
    /// Labels of the containers.
    pub labels: BTreeMap<String, String>,
    /// When the engine starts it again.
    pub restart: RestartPolicy,
    /// The signal that asks it to stop, as written (`SIGUSR1`); `None` is the image's own.
    pub stop_signal: Option<String>,
    /// How long it may take to stop before it is killed; `None` is ten seconds.
    pub stop_grace_period: Option<Duration>,
    /// A name that replaces `PROJECT-SERVICE-N`.
    pub container_name: Option<String>,
    /// The hostname inside.
    pub hostname: Option<String>,
    /// The working folder inside.
    pub working_dir: Option<String>,
    /// The user inside, `name`, `uid` or `uid:gid`.
    pub user: Option<String>,
    /// Whether the engine runs an init process as pid 1.
    pub init: Option<bool>,
    /// Whether the root file system is read-only.
    pub read_only: bool,
    /// Whether a terminal is given (`tty`).
    pub tty: bool,
    /// Whether stdin stays open (`stdin_open`).
    pub stdin_open: bool,
    /// Whether it has all privileges of the host (`privileged`).
    pub privileged: bool,
    /// Capabilities added.
    pub cap_add: Vec<String>,
    /// Capabilities taken away.
    pub cap_drop: Vec<String>,
    /// Lines for `/etc/hosts`, as `host=address`.
    pub extra_hosts: Vec<(String, String)>,
    /// The profiles that enable it; empty is always.
    pub profiles: Vec<String>,
    /// How many containers (`scale`, `deploy.replicas`).
    pub scale: u32,
    /// How it was written, where that matters to its text and its hash alone.
    pub(crate) written: Written,
    /// The hash of all of the above that makes a container what it is; see [`crate::config_hash`].
    pub config_hash: String,
}

impl Service {
    /// A service of that name and image, for building one in code. The config hash is empty until
    /// [`crate::config_hash`] is asked for it.
    pub fn new(name: impl Into<String>, image: impl Into<String>) -> Self {
        Self { name: name.into(), image: image.into(), scale: 1, ..Self::default() }
    }
}

/// When an image is pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PullPolicy {
    /// When it is not there (`missing`, `if_not_present`).
    #[default]
    Missing,
    /// At every `up`.
    Always,
    /// Never; an image that is not there is an error.
    Never,
}

/// One published port.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Port {
    /// The port inside, 1 to 65535.
    pub target: u16,
    /// The port on the host; `None` lets the engine choose.
    pub published: Option<HostPort>,
    /// The host's address; `None` is every one.
    pub host_ip: Option<std::net::IpAddr>,
    /// The protocol.
    pub protocol: Protocol,
}

/// A port, or a range of which the engine takes one that is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostPort {
    /// The first port that may be taken.
    pub first: u16,
    /// The last one; equal to `first` when there is no choice.
    pub last: u16,
}

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// `tcp`, `udp` or `sctp`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

/// One mount of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// What is mounted.
    pub source: MountSource,
    /// The absolute path inside.
    pub target: String,
    /// Whether writing is refused.
    pub read_only: bool,
}

/// What a mount shows.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MountSource {
    /// A volume of the project, by its key in [`Project::volumes`].
    Volume {
        /// The key.
        key: String,
        /// Whether the image's files are not copied into a new volume.
        nocopy: bool,
    },
    /// A volume without a name, which goes with its container.
    Anonymous,
    /// A file or folder of the host.
    Bind {
        /// Its absolute path.
        path: PathBuf,
        /// Whether a missing folder is made, as the short form does.
        create_host_path: bool,
        /// How mounts beneath propagate (`rprivate`, `rshared`, …), as written.
        propagation: Option<String>,
        /// The SELinux relabelling, `z` or `Z`.
        selinux: Option<char>,
    },
    /// Memory.
    Tmpfs {
        /// At most that many bytes.
        size: Option<u64>,
        /// Permission bits, like `0o1777`.
        mode: Option<u32>,
    },
}

/// How a service is on a network.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ServiceNetwork {
    /// Names by which it is found there, besides its service name.
    pub aliases: Vec<String>,
    /// A fixed address.
    pub ipv4_address: Option<std::net::Ipv4Addr>,
    /// A fixed address.
    pub ipv6_address: Option<std::net::Ipv6Addr>,
}

/// What stands in for networks.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NetworkMode {
    /// The host's own network.
    Host,
    /// No network.
    None,
    /// The engine's default bridge.
    Bridge,
    /// The network of another service's container.
    Service(String),
    /// The network of a container by name or id.
    Container(String),
}

/// How a service depends on another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// What it waits for.
    pub condition: Condition,
    /// Whether it is restarted when the other is recreated.
    pub restart: bool,
    /// Whether the other's absence or failure is an error (else a warning).
    pub required: bool,
}

/// What a dependent waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// The container was started.
    ServiceStarted,
    /// Its healthcheck passes.
    ServiceHealthy,
    /// It ended with exit code 0.
    ServiceCompletedSuccessfully,
}

impl Condition {
    /// The specification's word, `service_healthy` for one.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ServiceStarted => "service_started",
            Self::ServiceHealthy => "service_healthy",
            Self::ServiceCompletedSuccessfully => "service_completed_successfully",
        }
    }
}

/// How health is checked. What is `None` is the image's, and then the engine's (30 s, 30 s, 3, 0 s).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Healthcheck {
    /// What is run; `None` is the image's own.
    pub test: Option<HealthTest>,
    /// From one check's end to the next's start.
    pub interval: Option<Duration>,
    /// After this a check has failed.
    pub timeout: Option<Duration>,
    /// So many failures in a row make it unhealthy.
    pub retries: Option<u32>,
    /// For so long failures do not count.
    pub start_period: Option<Duration>,
    /// The interval during the start period (Docker 25 and later).
    pub start_interval: Option<Duration>,
}

/// What a healthcheck runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HealthTest {
    /// Nothing: a check of the image is switched off.
    None,
    /// A program with its arguments.
    Exec(Vec<String>),
    /// A line for the image's shell.
    Shell(String),
}

/// When the engine starts a container again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum RestartPolicy {
    /// Never.
    #[default]
    No,
    /// Whenever it ends.
    Always,
    /// Whenever it ends, unless it was stopped.
    UnlessStopped,
    /// When its exit code is not 0, that many times at most.
    OnFailure(Option<u32>),
}

/// A network of the project.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Network {
    /// Its name on the engine.
    pub name: String,
    /// Whether it is made by somebody else and only used here.
    pub external: bool,
    /// The driver; `None` is the engine's own.
    pub driver: Option<String>,
    /// Options of the driver.
    pub driver_opts: BTreeMap<String, String>,
    /// Whether it leads nowhere else.
    pub internal: bool,
    /// Whether it has IPv6.
    pub enable_ipv6: bool,
    /// Subnets.
    pub ipam: Vec<IpamPool>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// One subnet of a network.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IpamPool {
    /// The subnet, like `172.28.0.0/16`.
    pub subnet: Option<String>,
    /// The gateway's address.
    pub gateway: Option<String>,
    /// The part from which addresses are given.
    pub ip_range: Option<String>,
}

/// A volume of the project.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Volume {
    /// Its name on the engine.
    pub name: String,
    /// Whether it is made by somebody else and only used here.
    pub external: bool,
    /// The driver; `None` is the engine's own.
    pub driver: Option<String>,
    /// Options of the driver.
    pub driver_opts: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}
