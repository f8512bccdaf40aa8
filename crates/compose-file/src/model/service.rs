//! One service.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    BlkioConfig, Build, Bytes, Cgroup, CredentialSpec, Decimal, Deploy, Develop, Device, DeviceRequest,
    Grant, Hook, Limit, Link, Logging, ModelUse, Mount, Namespace, NetworkMode, Port, Provider,
    ServiceNetwork, Ulimit, VolumesFrom, written::Written,
};

/// One service: what each of its containers is made from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Service {
    /// Its name in the file.
    pub name: String,
    /// The image, as written; for a service that only has a [`build`](Self::build), what the image is called then. Empty with a
    /// [`provider`](Self::provider).
    pub image: String,
    /// How the image is made.
    pub build: Option<Build>,
    /// The image's platform, like `linux/amd64`.
    pub platform: Option<String>,
    /// When to pull the image.
    pub pull_policy: PullPolicy,
    /// With [`PullPolicy::Refresh`], the age at which it is pulled again.
    pub pull_refresh_after: Option<Duration>,
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
    /// Options of the engine's security modules, like `seccomp=unconfined`.
    pub security_opt: Vec<String>,
    /// Capabilities added.
    pub cap_add: Vec<String>,
    /// Capabilities taken away.
    pub cap_drop: Vec<String>,
    /// Lines for `/etc/hosts`, as `host=address`.
    pub extra_hosts: Vec<(String, String)>,
    /// The domain's name inside.
    pub domainname: Option<String>,
    /// Servers that are asked for names, by address.
    pub dns: Vec<String>,
    /// Options of the resolver.
    pub dns_opt: Vec<String>,
    /// Domains that names are searched in.
    pub dns_search: Vec<String>,
    /// Services that are found by another name.
    pub links: Vec<Link>,
    /// Containers of others that are found.
    pub external_links: Vec<Link>,
    /// A hardware address.
    pub mac_address: Option<String>,
    /// Whose shared memory it has.
    pub ipc: Option<Namespace>,
    /// Whose processes it sees.
    pub pid: Option<Namespace>,
    /// Whose hostname it has.
    pub uts: Option<Namespace>,
    /// Whose user ids it has, as written.
    pub userns_mode: Option<String>,
    /// Whose control groups it sees.
    pub cgroup: Option<Cgroup>,
    /// The control group that its own is under.
    pub cgroup_parent: Option<String>,
    /// Groups that its user is in besides.
    pub group_add: Vec<String>,
    /// Whose mounts it has too.
    pub volumes_from: Vec<VolumesFrom>,
    /// Secrets that it has as files.
    pub secrets: Vec<Grant>,
    /// Configs that it has as files.
    pub configs: Vec<Grant>,
    /// Models that it uses, by key.
    pub models: BTreeMap<String, ModelUse>,
    /// Devices of the host that are there inside too.
    pub devices: Vec<Device>,
    /// What its control group may do with devices, like `c 1:3 mr`.
    pub device_cgroup_rules: Vec<String>,
    /// Graphic cards.
    pub gpus: Vec<DeviceRequest>,
    /// CPUs, counted for Windows.
    pub cpu_count: Option<u32>,
    /// The share of all CPUs, in hundredths, for Windows.
    pub cpu_percent: Option<u32>,
    /// The scheduler's period, in microseconds.
    pub cpu_period: Option<u64>,
    /// How much of a period it may run, in microseconds; below 0 is all of it.
    pub cpu_quota: Option<i64>,
    /// The real-time scheduler's period, in microseconds.
    pub cpu_rt_period: Option<u64>,
    /// How much of such a period it may run, in microseconds.
    pub cpu_rt_runtime: Option<u64>,
    /// Its weight when CPUs are busy; 1024 is usual.
    pub cpu_shares: Option<u64>,
    /// At most so many CPUs.
    pub cpus: Option<Decimal>,
    /// The CPUs that it may run on, like `0-3,5`.
    pub cpuset: Option<String>,
    /// At most so much memory.
    pub mem_limit: Option<Bytes>,
    /// So much memory it is left where memory is short.
    pub mem_reservation: Option<Bytes>,
    /// How readily its memory is swapped, 0 to 100.
    pub mem_swappiness: Option<u32>,
    /// At most so much memory and swap together, in bytes.
    pub memswap_limit: Option<Limit>,
    /// Whether it is not killed where memory is out.
    pub oom_kill_disable: bool,
    /// How readily it is killed where memory is out, -1000 to 1000.
    pub oom_score_adj: i64,
    /// At most so many processes.
    pub pids_limit: Option<Limit>,
    /// Limits of each of its processes, by name.
    pub ulimits: BTreeMap<String, Ulimit>,
    /// The size of `/dev/shm`.
    pub shm_size: Option<Bytes>,
    /// Limits of devices that hold files.
    pub blkio_config: Option<BlkioConfig>,
    /// Options of where the engine keeps its files.
    pub storage_opt: BTreeMap<String, String>,
    /// Settings of the kernel.
    pub sysctls: BTreeMap<String, String>,
    /// The program that runs containers.
    pub runtime: Option<String>,
    /// How it is isolated, on Windows.
    pub isolation: Option<String>,
    /// A managed account, on Windows.
    pub credential_spec: Option<CredentialSpec>,
    /// Annotations of the containers.
    pub annotations: BTreeMap<String, String>,
    /// Where what it writes goes.
    pub logging: Option<Logging>,
    /// Whether `up` shows what it writes; `None` is yes.
    pub attach: Option<bool>,
    /// What is run in each container after it started.
    pub post_start: Vec<Hook>,
    /// What is run in each container before it is stopped.
    pub pre_stop: Vec<Hook>,
    /// Whether it may talk to the engine.
    pub use_api_socket: bool,
    /// A program that makes it in place of a container.
    pub provider: Option<Provider>,
    /// What is done while somebody works on it.
    pub develop: Option<Develop>,
    /// What is said of its deployment besides the count.
    pub deploy: Option<Deploy>,
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

    /// Whether its image is not named, only made, so that nobody can pull it.
    pub fn is_only_built(&self) -> bool {
        self.build.is_some() && self.written.image_implied
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
    /// It is not pulled but built, always.
    Build,
    /// When it is older than [`Service::pull_refresh_after`].
    Refresh,
    /// When it is older than a day.
    Daily,
    /// When it is older than a week.
    Weekly,
    /// When it is older than that (`every_12h`).
    Every(Duration),
}

/// How a service depends on another.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dependency {
    /// What it waits for.
    pub condition: Condition,
    /// Whether it is restarted when the other is recreated.
    pub restart: bool,
    /// Whether the other's absence or failure is an error (else a warning).
    pub required: bool,
}

impl Dependency {
    /// That it waits for that, is not restarted with the other, and cannot do without it, as the short form of `depends_on` says.
    pub fn on(condition: Condition) -> Self {
        Self { condition, restart: false, required: true }
    }
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
#[non_exhaustive]
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
