//! The single resources of an engine: what a backend writes. Core makes compose of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Debug},
    net::IpAddr,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use compose_file::{
    HealthTest, Healthcheck, IpamPool, NetworkMode, Port, ProjectName, Protocol, Recursive, RestartPolicy,
};
use futures_util::{future::join_all, stream::BoxStream};
use serde::Serialize;

use crate::{
    Archive, BuildSpec, ContainerName, CopiedOwner, DetachKeys, Devices, ExternalLink, FileSpec, Keeping,
    Lack, MountsFrom, Namespaces, Progress, Resolver, ResourceName, Resources, Result, RuntimeKind, Session,
    Wish,
};

/// An engine, resource by resource.
///
/// Invariants for every implementation:
///
/// - A method does one thing and decides nothing: no retry, no waiting beyond the engine's answer.
/// - Every method may be dropped at any await. Afterwards no child process runs and no lock is held; what was
///   asked of the engine has happened or has not, and [`Engine::observe`] tells which.
/// - Every method ends: a call that the engine does not answer fails with [`crate::Error::TimedOut`] (streams end
///   with the container or when they are dropped).
/// - What is not there is [`crate::Error::NotFound`], with the name that was asked for.
/// - Calls for different resources may run side by side; a backend bounds how many itself.
#[async_trait]
pub trait Engine: Debug + Send + Sync + 'static {
    /// Which engine this is.
    fn kind(&self) -> RuntimeKind;

    /// Where it is: a socket, a connection or a program, for people to read.
    fn endpoint(&self) -> String;

    /// Whether the engine runs healthchecks by itself. If not, core calls [`Engine::check_health`] at the check's
    /// interval for as long as it waits for the container.
    fn runs_healthchecks(&self) -> bool {
        true
    }

    /// Whether to create a container and to start it takes less as one call, [`Engine::run_container`].
    fn runs_in_one_call(&self) -> bool {
        false
    }

    /// Whether to stop several containers, or to remove them, takes less as one call: [`Engine::stop_containers`] and
    /// [`Engine::remove_containers`].
    fn takes_several(&self) -> bool {
        false
    }

    /// Whether what it is told is only remembered ([`crate::ContainerRuntime::foresee`]): then core waits for no container and
    /// makes nothing on this computer. No backend's own engine is so.
    fn is_foreseen(&self) -> bool {
        false
    }

    /// What of a wish it cannot do. Asked after something was observed and before anything is made. Makes no call.
    fn lacks(&self, _wish: Wish<'_>) -> Vec<Lack> {
        Vec::new()
    }

    /// Asks the engine who it is: the proof that it answers.
    async fn info(&self) -> Result<EngineInfo>;

    /// Looks at all that the scope names, in as few calls as the engine allows, and as closely as it says. The parts may be of slightly
    /// different moments.
    async fn observe(&self, scope: &Scope) -> Result<Observed>;

    /// Lists containers. In no particular order.
    async fn list(&self, filter: &ContainerFilter) -> Result<Vec<Container>>;

    /// Looks at one container, by id or name: as in a list, with its health's log.
    async fn inspect(&self, container: &str) -> Result<Container>;

    /// Creates a container without files, and starts it. One that cannot be started is there afterwards.
    ///
    /// # Errors
    /// Those of [`Engine::create_container`] and of [`Engine::start_container`].
    async fn run_container(&self, spec: &ContainerSpec) -> Result<ContainerId> {
        let id = self.create_container(spec).await?;
        self.start_container(&id).await?;
        Ok(id)
    }

    /// Creates a container on all its networks; it does not run yet. The image must be there.
    ///
    /// # Errors
    /// [`crate::Error::NameInUse`], [`crate::Error::Image`] when the image is missing, or what the engine refused.
    async fn create_container(&self, spec: &ContainerSpec) -> Result<ContainerId>;

    /// Starts a container; one that runs already is success.
    ///
    /// # Errors
    /// [`crate::Error::PortInUse`]; the container stays created.
    async fn start_container(&self, id: &ContainerId) -> Result<()>;

    /// Asks a container to stop with its own stop signal and kills it after `grace`; `None` is the container's
    /// own, else ten seconds. Returns when it has ended; one that does not run is success.
    async fn stop_container(&self, id: &ContainerId, grace: Option<Duration>) -> Result<()>;

    /// Stops containers, each as [`Engine::stop_container`] does. Returns when all have ended: what came of each, in their order.
    async fn stop_containers(&self, ids: &[ContainerId], grace: Option<Duration>) -> Vec<Result<()>> {
        join_all(ids.iter().map(|id| self.stop_container(id, grace))).await
    }

    /// Sends a signal (`SIGKILL`) to a running container; one that does not run is success.
    async fn kill_container(&self, id: &ContainerId, signal: &str) -> Result<()>;

    /// Freezes a running container.
    async fn pause_container(&self, id: &ContainerId) -> Result<()>;

    /// Lets a container go on that was frozen.
    async fn unpause_container(&self, id: &ContainerId) -> Result<()>;

    /// Returns the exit code of a container when it does not run; that may take any time.
    async fn wait_container(&self, id: &ContainerId) -> Result<i64>;

    /// Removes a container, killing it if it runs. `anonymous_volumes` are removed with it or kept.
    async fn remove_container(&self, id: &ContainerId, anonymous_volumes: AnonymousVolumes) -> Result<()>;

    /// Removes containers, each as [`Engine::remove_container`] does: what came of each, in their order.
    async fn remove_containers(
        &self,
        ids: &[ContainerId],
        anonymous_volumes: AnonymousVolumes,
    ) -> Vec<Result<()>> {
        join_all(ids.iter().map(|id| self.remove_container(id, anonymous_volumes))).await
    }

    /// Gives a container another name.
    async fn rename_container(&self, id: &ContainerId, name: &ContainerName) -> Result<()>;

    /// Creates a network.
    ///
    /// # Errors
    /// [`crate::Error::NameInUse`] when there is one of that name.
    async fn create_network(&self, spec: &NetworkSpec) -> Result<()>;

    /// Removes a network.
    ///
    /// # Errors
    /// [`crate::Error::InUse`] while containers are attached to it.
    async fn remove_network(&self, name: &ResourceName) -> Result<()>;

    /// Creates a volume.
    ///
    /// # Errors
    /// [`crate::Error::NameInUse`] when there is one of that name, for engines that notice.
    async fn create_volume(&self, spec: &VolumeSpec) -> Result<()>;

    /// Removes a volume with its data.
    ///
    /// # Errors
    /// [`crate::Error::InUse`] while containers, running or not, mount it.
    async fn remove_volume(&self, name: &ResourceName) -> Result<()>;

    /// Fetches an image from its registry even if one is there, reporting [`crate::Phase::Bytes`] of
    /// [`crate::Subject::Image`] as far as the engine tells.
    ///
    /// # Errors
    /// [`crate::Error::Image`] with what the registry said.
    async fn pull(&self, image: &str, progress: &Progress) -> Result<ImageId>;

    /// Builds an image and gives it all its names, reporting [`crate::Phase::Step`] of [`crate::Subject::Image`] for each step
    /// that begins. As long as a step runs it may be silent for any time. Dropped, what runs of it ends soon, and nothing of it
    /// has a name. A backend bounds how many run at once.
    ///
    /// # Errors
    /// [`crate::Error::Build`] with the step that failed and what it said.
    async fn build(&self, spec: &BuildSpec, progress: &Progress) -> Result<ImageId>;

    /// Gives an image that is here to its registry, reporting as [`Engine::pull`] does.
    ///
    /// # Errors
    /// [`crate::Error::Image`] when it is not here, or with what the registry said.
    async fn push(&self, image: &str, progress: &Progress) -> Result<()>;

    /// Takes a name away from an image, and removes the image with its last one.
    ///
    /// # Errors
    /// [`crate::Error::InUse`] while containers, running or not, are made of it; [`crate::Error::NotFound`] without it.
    async fn remove_image(&self, image: &str) -> Result<()>;

    /// Removes the images that carry the project's label, have no name any more, and are needed by no container or other image.
    async fn remove_replaced_images(&self, project: &ProjectName) -> Result<()>;

    /// Reads a container's log. The stream ends where the log ends or, followed, when the container has ended and
    /// all is read. A slow reader slows the stream, never the container.
    async fn logs(&self, id: &ContainerId, options: &LogOptions) -> Result<LogStream>;

    /// Follows what happens to the containers of a project (`None`: to all) from now on: what happens after this has returned is
    /// told, even if the engine listens later or the stream is read later. Ends with an error, when the engine
    /// no longer answers; an engine that only ends its stream is [subscribed to again](crate::resubscribing). An event may
    /// be of just before.
    async fn events(&self, project: Option<&ProjectName>) -> Result<EngineEvents>;

    /// Runs a command in a running container and waits for its end; it has no stdin and no terminal, whatever the spec says.
    async fn exec(&self, id: &ContainerId, spec: &ExecSpec) -> Result<ExecOutput>;

    /// Runs a command in a running container, to talk with it. What is dropped is no longer talked with; the command may
    /// run on.
    async fn exec_session(&self, id: &ContainerId, spec: &ExecSpec) -> Result<Session>;

    /// Starts a command in a running container, and returns when it runs.
    async fn exec_detached(&self, id: &ContainerId, spec: &ExecSpec) -> Result<()>;

    /// Talks with a container's own process: with one that runs, or, if it is to be started, from its first byte on. The session
    /// ends with the container.
    async fn attach(&self, id: &ContainerId, spec: &AttachSpec) -> Result<Session>;

    /// What a container has at an absolute path, whether it runs or not: a tar archive, in which the thing itself comes first and
    /// has one name, that all else begins with; of the root folder only what is in it. A link is not followed, if the engine can help it.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] of a [`crate::ResourceKind::File`] when nothing is there.
    async fn copy_from(&self, id: &ContainerId, path: &str) -> Result<Archive>;

    /// Unpacks an archive into a folder that is there in a container, whether it runs or not. An archive that ends with an
    /// error may leave a part of it.
    async fn copy_to(
        &self,
        id: &ContainerId,
        folder: &str,
        archive: Archive,
        owner: CopiedOwner,
    ) -> Result<()>;

    /// The processes of a running container, in the engine's own columns.
    async fn top(&self, id: &ContainerId) -> Result<ProcessTable>;

    /// What running containers use, all of them at once, again and again: about every second, or as often as the engine
    /// looks. The first time comes when it was seen for a while what they use of processors. One that has ended is left out;
    /// the stream ends when none is left, or with an error when one is gone.
    async fn stats(&self, ids: &[ContainerId]) -> Result<Usages>;

    /// Looks at an image that is here, by id or reference.
    async fn image(&self, image: &str) -> Result<Image>;

    /// Runs a container's healthcheck once and returns its health after that.
    async fn check_health(&self, id: &ContainerId) -> Result<HealthStatus>;

    /// Returns when what calls that were dropped have left is cleared away, as far as the engine does that itself: what a build
    /// was at, for one.
    async fn settle(&self) {}

    /// Ends what the engine itself runs besides containers: a service that it asks, for one, unless a stream is still read from
    /// it. Called at the end of a shutdown; a later call may start it again.
    async fn close(&self) {}
}

/// Whether volumes without a name go with their container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnonymousVolumes {
    /// They stay.
    Keep,
    /// They are removed.
    Remove,
}

/// Who an engine is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct EngineInfo {
    /// Which engine.
    pub kind: RuntimeKind,
    /// What it calls itself, `Podman Engine` for one.
    pub name: String,
    /// Its version, `5.4.2` for one.
    pub version: String,
    /// The version of the interface that is spoken, if it has one of its own.
    pub api_version: Option<String>,
    /// Where it is.
    pub endpoint: String,
}

impl EngineInfo {
    /// What an engine said of itself.
    pub fn new(
        kind: RuntimeKind,
        name: impl Into<String>,
        version: impl Into<String>,
        endpoint: String,
    ) -> Self {
        Self { kind, name: name.into(), version: version.into(), api_version: None, endpoint }
    }
}

/// What [`Engine::observe`] looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The project. All containers that carry its label are looked at.
    pub project: ProjectName,
    /// How closely they are.
    pub detail: Detail,
    /// Which networks are looked for.
    pub networks: Sought,
    /// Which volumes are looked for.
    pub volumes: Sought,
    /// Images by reference.
    pub images: BTreeSet<String>,
}

impl Scope {
    /// A project's containers, and nothing else.
    pub fn new(project: ProjectName) -> Self {
        Self {
            project,
            detail: Detail::Whole,
            networks: Sought::default(),
            volumes: Sought::default(),
            images: BTreeSet::new(),
        }
    }
}

/// How closely containers are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Detail {
    /// As one list of the engine tells of all: who they are, what they are doing, their image, labels and networks. What
    /// [`Container`] says to be looked at is left out. A network of [`Scope`] that such a container is on may be told as the
    /// project's own without a look at it.
    Listed,
    /// Each by itself.
    #[default]
    Whole,
}

/// Which networks, or volumes, are looked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sought {
    /// Those of exactly these names, whoever made them.
    pub names: BTreeSet<String>,
    /// Besides: those that carry the project's label.
    pub of_project: bool,
}

impl Sought {
    /// Those of exactly these names.
    pub fn named(names: impl IntoIterator<Item = String>) -> Self {
        Self { names: names.into_iter().collect(), of_project: false }
    }

    /// Those that carry the project's label.
    pub fn of_project() -> Self {
        Self { names: BTreeSet::new(), of_project: true }
    }

    /// Whether none is.
    pub fn is_nothing(&self) -> bool {
        self.names.is_empty() && !self.of_project
    }

    /// Whether it is one of those.
    pub fn means(&self, project: &ProjectName, name: &str, labels: &BTreeMap<String, String>) -> bool {
        let of_project = || labels.get(crate::labels::PROJECT).map(String::as_str) == Some(project.as_str());
        self.names.contains(name) || (self.of_project && of_project())
    }
}

/// What is there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observed {
    /// The project's containers, running or not, one-offs too.
    pub containers: Vec<Container>,
    /// Networks, by name.
    pub networks: BTreeMap<String, Resource>,
    /// Volumes, by name.
    pub volumes: BTreeMap<String, Resource>,
    /// The ids of the images that are there, by the reference that was asked for.
    pub images: BTreeMap<String, ImageId>,
}

/// A network or a volume that is there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Resource {
    /// Its name.
    pub name: String,
    /// Who makes it what it is, `local` or `bridge` for one.
    pub driver: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// Which containers to list: those that match everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ContainerFilter {
    /// Only running ones (paused and restarting ones too).
    pub running: bool,
    /// Labels that must be there, with this value or with any.
    pub labels: Vec<(String, Option<String>)>,
    /// How closely they are looked at.
    pub detail: Detail,
}

impl ContainerFilter {
    /// The labels as engines' filters name them: `name=value`, or `name` with any value.
    pub fn label_words(&self) -> Vec<String> {
        let word = |(name, value): &(String, Option<String>)| match value {
            Some(value) => format!("{name}={value}"),
            None => name.clone(),
        };
        self.labels.iter().map(word).collect()
    }
}

/// The id that an engine gave to a container.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct ContainerId(pub String);

impl ContainerId {
    /// The first twelve characters, as people know it.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The id of an image, `sha256:` and 64 hexadecimal digits whatever the engine prints.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct ImageId(String);

impl ImageId {
    /// Takes an id with or without its `sha256:`.
    pub fn new(id: &str) -> Self {
        Self(if id.contains(':') { id.to_owned() } else { format!("sha256:{id}") })
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A container as it is. What is said to be looked at is known only of one that was ([`Detail::Whole`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Container {
    /// Its id.
    pub id: ContainerId,
    /// Its name, without a slash.
    pub name: String,
    /// The image's reference it was made from.
    pub image: String,
    /// The image's id.
    pub image_id: Option<ImageId>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// What it is doing.
    pub state: ContainerState,
    /// Whether its process has a terminal. Looked at.
    pub tty: bool,
    /// The exit code of its last run, if it ended. Looked at.
    pub exit_code: Option<i64>,
    /// Its health, if it has a check. Looked at.
    pub health: Option<Health>,
    /// Its published ports, as far as they are bound now. Looked at.
    pub ports: Vec<PublishedPort>,
    /// The names of the networks it is on.
    pub networks: BTreeSet<String>,
    /// The names of the volumes that it mounts, by the paths inside; `None` where the engine does not tell. Looked at.
    pub volumes: Option<BTreeMap<String, String>>,
    /// When it was created.
    pub created: Option<SystemTime>,
    /// When it was last started. Looked at.
    pub started: Option<SystemTime>,
    /// When its last run ended; while it runs, the run before. Looked at.
    pub finished: Option<SystemTime>,
}

impl Container {
    /// A container of which only this is known.
    pub fn new(
        id: ContainerId,
        name: impl Into<String>,
        image: impl Into<String>,
        state: ContainerState,
    ) -> Self {
        Self {
            id,
            name: name.into(),
            image: image.into(),
            image_id: None,
            labels: BTreeMap::new(),
            state,
            tty: false,
            exit_code: None,
            health: None,
            ports: Vec::new(),
            networks: BTreeSet::new(),
            volumes: None,
            created: None,
            started: None,
            finished: None,
        }
    }

    /// The value of a label.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.get(name).map(String::as_str)
    }

    /// The service that its label names.
    pub fn service(&self) -> Option<&str> {
        self.label(crate::labels::SERVICE)
    }

    /// Which replica it is.
    pub fn number(&self) -> Option<u32> {
        self.label(crate::labels::NUMBER)?.parse().ok()
    }

    /// The volumes that nobody named, by the paths inside. Both engines name them with 64 hexadecimal digits.
    pub fn anonymous_volumes(&self) -> impl Iterator<Item = (&str, &str)> {
        let is_anonymous = |name: &str| name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        let mounted = self.volumes.iter().flatten();
        mounted.map(|(path, name)| (path.as_str(), name.as_str())).filter(move |(_, name)| is_anonymous(name))
    }

    /// Its health, without the log.
    pub fn health_status(&self) -> Option<HealthStatus> {
        self.health.as_ref().map(|health| health.status)
    }
}

/// What a container is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ContainerState {
    /// It was never started.
    Created,
    /// It runs.
    Running,
    /// It is frozen.
    Paused,
    /// It ended, and the engine starts it again.
    Restarting,
    /// It was asked to stop.
    Stopping,
    /// It ended.
    Exited,
    /// It is being removed.
    Removing,
    /// The engine could not remove it, or cannot tell.
    Dead,
}

impl ContainerState {
    /// Reads the word that an engine's data has for it, in any case. `None` for a word that no engine was seen to
    /// use.
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word.to_ascii_lowercase().as_str() {
            "created" | "configured" | "initialized" => Self::Created,
            "running" => Self::Running,
            "paused" => Self::Paused,
            "restarting" => Self::Restarting,
            "stopping" => Self::Stopping,
            "exited" | "stopped" => Self::Exited,
            "removing" => Self::Removing,
            "dead" | "unknown" => Self::Dead,
            _ => return None,
        })
    }

    /// Whether its process is there.
    pub fn is_running(self) -> bool {
        matches!(self, Self::Running | Self::Paused | Self::Restarting | Self::Stopping)
    }

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Stopping => "stopping",
            Self::Exited => "exited",
            Self::Removing => "removing",
            Self::Dead => "dead",
        }
    }
}

/// A container's health.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Health {
    /// What the checks say.
    pub status: HealthStatus,
    /// What the last checks printed, the newest last; empty in lists.
    pub log: Vec<String>,
}

/// What the checks say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    /// None has passed yet, and not too many have failed.
    Starting,
    /// The last one passed.
    Healthy,
    /// As many as allowed failed in a row.
    Unhealthy,
}

impl HealthStatus {
    /// Reads an engine's word. `None` for `none`, an empty text and anything else.
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "starting" => Self::Starting,
            "healthy" => Self::Healthy,
            "unhealthy" => Self::Unhealthy,
            _ => return None,
        })
    }

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// A port of a container that the host answers on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct PublishedPort {
    /// The port inside.
    pub target: u16,
    /// The port on the host; 0 when it is not published.
    pub published: u16,
    /// The host's address; `None` is every one.
    pub host_ip: Option<IpAddr>,
    /// The protocol.
    pub protocol: Protocol,
}

/// What a container is made from. Everything is final: names checked, paths absolute, nothing left to look up.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ContainerSpec {
    /// Its name.
    pub name: ContainerName,
    /// The image's reference.
    pub image: String,
    /// The entrypoint; `None` is the image's, an empty list clears it.
    pub entrypoint: Option<Vec<String>>,
    /// The command; `None` is the image's.
    pub command: Option<Vec<String>>,
    /// The environment. Values are secrets: they go into no error, event or log.
    pub environment: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Published ports.
    pub ports: Vec<Port>,
    /// Mounts.
    pub mounts: Vec<MountSpec>,
    /// Networks, the one that gives the default route first; empty with a mode.
    pub networks: Vec<Attachment>,
    /// A mode that stands in for networks. [`NetworkMode::Service`] does not occur: core names the container.
    pub network_mode: Option<NetworkMode>,
    /// The healthcheck; `None` is the image's.
    pub healthcheck: Option<Healthcheck>,
    /// When the engine starts it again.
    pub restart: RestartPolicy,
    /// The signal that asks it to stop.
    pub stop_signal: Option<String>,
    /// Its grace period.
    pub stop_grace_period: Option<Duration>,
    /// The hostname.
    pub hostname: Option<String>,
    /// The working folder.
    pub working_dir: Option<String>,
    /// The user.
    pub user: Option<String>,
    /// Whether an init process is pid 1; `None` is the engine's default.
    pub init: Option<bool>,
    /// Whether the root file system is read-only.
    pub read_only: bool,
    /// Whether it has a terminal.
    pub tty: bool,
    /// Whether stdin stays open.
    pub stdin_open: bool,
    /// Whether it is privileged.
    pub privileged: bool,
    /// Capabilities added.
    pub cap_add: Vec<String>,
    /// Capabilities taken away.
    pub cap_drop: Vec<String>,
    /// Lines for `/etc/hosts`.
    pub extra_hosts: Vec<(String, String)>,
    /// The image's platform, like `linux/amd64`; `None` is the engine's own.
    pub platform: Option<String>,
    /// Ports that it is said to have, like `80/tcp`, and that are not published.
    pub expose: Vec<String>,
    /// The domain's name.
    pub domainname: Option<String>,
    /// A hardware address, where there are no networks that have it.
    pub mac_address: Option<String>,
    /// Containers of others that are found by another name.
    pub external_links: Vec<ExternalLink>,
    /// How names are looked up.
    pub resolver: Resolver,
    /// Groups that its user is in besides.
    pub group_add: Vec<String>,
    /// Options of the security modules, as `name=value`; a path of a seccomp profile is absolute.
    pub security_opt: Vec<String>,
    /// Settings of the kernel.
    pub sysctls: BTreeMap<String, String>,
    /// Whose namespaces it has.
    pub namespaces: Namespaces,
    /// Devices of the host.
    pub devices: Devices,
    /// How much it may use.
    pub resources: Resources,
    /// Containers whose mounts it has too.
    pub volumes_from: Vec<MountsFrom>,
    /// Files that are written into it before it starts.
    pub files: Vec<FileSpec>,
    /// What the engine is told besides.
    pub keeping: Keeping,
    /// Whether its stdin is at its end when the first who talked with it has no more to say.
    pub stdin_once: bool,
    /// Whether the engine removes it, with its volumes that have no name, when it has ended.
    pub auto_remove: bool,
}

impl ContainerSpec {
    /// Whether the engine has a choice among ports of the host.
    pub fn has_port_ranges(&self) -> bool {
        self.ports.iter().any(|port| port.published.is_some_and(|host| host.only().is_none()))
    }

    /// Takes one port out of each range of the host's, for engines that do not choose: the first that no container of
    /// `there` has and that `is_free`. What the container has that this one replaces is its last choice, because that one
    /// still runs while this one is created.
    ///
    /// # Errors
    /// [`crate::Error::PortInUse`] when a range has none left.
    pub fn choose_ports(
        &mut self,
        there: &[Container],
        is_free: impl Fn(&Port, u16) -> bool,
    ) -> crate::Result<()> {
        let replaced = self.labels.get(crate::labels::REPLACE);
        let (old, others): (Vec<&Container>, Vec<&Container>) =
            there.iter().partition(|container| Some(&container.id.0) == replaced);
        let has = |containers: &[&Container], protocol: Protocol, number: u16| {
            let mut ports = containers.iter().flat_map(|container| &container.ports);
            ports.any(|port| port.protocol == protocol && port.published == number)
        };
        let mut chosen: Vec<(Protocol, u16)> = Vec::new();
        for index in 0..self.ports.len() {
            let port = &self.ports[index];
            let Some(range) = port.published.filter(|host| host.only().is_none()) else { continue };
            let (protocol, all) = (port.protocol, range.first()..=range.last());
            let possible =
                |number: &u16| !chosen.contains(&(protocol, *number)) && !has(&others, protocol, *number);
            let best =
                |number: &u16| possible(number) && !has(&old, protocol, *number) && is_free(port, *number);
            let mut second = all.clone().filter(|number| possible(number) && has(&old, protocol, *number));
            let Some(number) = all.clone().find(best).or_else(|| second.next()) else {
                return Err(crate::Error::PortInUse {
                    container: self.name.to_string(),
                    reason: format!("no port of {range} is free"),
                });
            };
            chosen.push((protocol, number));
            self.ports[index].published = compose_file::HostPort::new(number, number);
        }
        Ok(())
    }

    /// A container of that name and image, everything else as the image has it.
    pub fn new(name: ContainerName, image: impl Into<String>) -> Self {
        Self {
            name,
            image: image.into(),
            entrypoint: None,
            command: None,
            environment: BTreeMap::new(),
            labels: BTreeMap::new(),
            ports: Vec::new(),
            mounts: Vec::new(),
            networks: Vec::new(),
            network_mode: None,
            healthcheck: None,
            restart: RestartPolicy::No,
            stop_signal: None,
            stop_grace_period: None,
            hostname: None,
            working_dir: None,
            user: None,
            init: None,
            read_only: false,
            tty: false,
            stdin_open: false,
            privileged: false,
            cap_add: Vec::new(),
            cap_drop: Vec::new(),
            extra_hosts: Vec::new(),
            platform: None,
            expose: Vec::new(),
            domainname: None,
            mac_address: None,
            external_links: Vec::new(),
            resolver: Resolver::default(),
            group_add: Vec::new(),
            security_opt: Vec::new(),
            sysctls: BTreeMap::new(),
            namespaces: Namespaces::default(),
            devices: Devices::default(),
            resources: Resources::default(),
            volumes_from: Vec::new(),
            files: Vec::new(),
            keeping: Keeping::default(),
            stdin_once: false,
            auto_remove: false,
        }
    }

    /// Whether it has a healthcheck of its own that runs something.
    pub fn has_healthcheck(&self) -> bool {
        self.healthcheck.as_ref().is_some_and(|check| check.test != Some(HealthTest::None))
    }
}

/// A command to run in a running container.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ExecSpec {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// The user; `None` is the container's.
    pub user: Option<String>,
    /// The working folder; `None` is the container's.
    pub working_dir: Option<String>,
    /// Variables besides the container's. Values are secrets: they go into no error, event or log.
    pub environment: BTreeMap<String, String>,
    /// Whether it may do all that the engine may.
    pub privileged: bool,
    /// Whether it has a terminal.
    pub tty: bool,
    /// Whether it has a stdin that can be written to.
    pub stdin: bool,
    /// The keys that let go of it on a terminal. That they do is core's work, wherever the engine looks for keys; it is told of them
    /// so that it lets go at no others.
    pub detach_keys: DetachKeys,
}

impl ExecSpec {
    /// A command, everything else as the container has it.
    pub fn new<S: Into<String>>(command: impl IntoIterator<Item = S>) -> Self {
        Self { command: command.into_iter().map(Into::into).collect(), ..Self::default() }
    }
}

/// How a container's own process is talked with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AttachSpec {
    /// Whether its stdin is written to.
    pub stdin: bool,
    /// Whether the process has a terminal.
    pub tty: bool,
    /// Whether it is started once somebody listens.
    pub start: bool,
    /// As in [`ExecSpec::detach_keys`].
    pub detach_keys: DetachKeys,
}

/// How a container is on a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// The network's name.
    pub network: ResourceName,
    /// The names by which it is found there.
    pub aliases: Vec<String>,
    /// A fixed address.
    pub ipv4_address: Option<std::net::Ipv4Addr>,
    /// A fixed address.
    pub ipv6_address: Option<std::net::Ipv6Addr>,
    /// Addresses that are good on the link alone.
    pub link_local_ips: Vec<String>,
    /// A fixed hardware address.
    pub mac_address: Option<String>,
    /// The interface's name inside.
    pub interface_name: Option<String>,
    /// The network with the highest has the default gateway; 0 is usual.
    pub gw_priority: i64,
    /// Options of the network's driver.
    pub driver_opts: BTreeMap<String, String>,
}

impl Attachment {
    /// Being on a network, without a name or an address of its own.
    pub fn new(network: ResourceName) -> Self {
        Self {
            network,
            aliases: Vec::new(),
            ipv4_address: None,
            ipv6_address: None,
            link_local_ips: Vec::new(),
            mac_address: None,
            interface_name: None,
            gw_priority: 0,
            driver_opts: BTreeMap::new(),
        }
    }
}

/// One mount of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountSpec {
    /// What is mounted.
    pub source: MountSourceSpec,
    /// The absolute path inside.
    pub target: String,
    /// Whether writing is refused.
    pub read_only: bool,
}

/// What a mount shows.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MountSourceSpec {
    /// A volume by its name on the engine.
    Volume {
        /// The name.
        name: ResourceName,
        /// Whether the image's files are not copied into a new volume.
        nocopy: bool,
        /// The folder of it that is shown, in place of all of it.
        subpath: Option<String>,
        /// Labels of a volume that is made for it.
        labels: BTreeMap<String, String>,
    },
    /// A volume without a name.
    Anonymous,
    /// The files of an image.
    Image {
        /// The image.
        image: String,
        /// The folder of it that is shown, in place of all of it.
        subpath: Option<String>,
    },
    /// A named pipe, on Windows.
    NamedPipe {
        /// Its path.
        path: String,
    },
    /// A file or folder of the host. Where a missing one is to be made, core has made it.
    Bind {
        /// Its absolute path.
        path: std::path::PathBuf,
        /// How mounts beneath propagate.
        propagation: Option<String>,
        /// The SELinux relabelling, `z` or `Z`.
        selinux: Option<char>,
        /// Whether mounts beneath come too; `None` is the engine's default.
        recursive: Option<Recursive>,
    },
    /// Memory.
    Tmpfs {
        /// At most that many bytes.
        size: Option<u64>,
        /// Permission bits.
        mode: Option<u32>,
    },
}

/// What a network is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NetworkSpec {
    /// Its name.
    pub name: ResourceName,
    /// The driver; `None` is the engine's own, a bridge.
    pub driver: Option<String>,
    /// Options of the driver.
    pub driver_opts: BTreeMap<String, String>,
    /// Whether it leads nowhere else.
    pub internal: bool,
    /// Whether other containers than compose's may be attached, on Swarm.
    pub attachable: bool,
    /// Whether it has IPv4; `None` is the engine's own choice.
    pub enable_ipv4: Option<bool>,
    /// Whether it has IPv6.
    pub enable_ipv6: bool,
    /// Who gives addresses; `None` is the engine's own.
    pub ipam_driver: Option<String>,
    /// Options of who gives addresses.
    pub ipam_options: BTreeMap<String, String>,
    /// Subnets.
    pub ipam: Vec<IpamPool>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

impl NetworkSpec {
    /// A network of that name, everything else as the engine has it.
    pub fn new(name: ResourceName) -> Self {
        Self {
            name,
            driver: None,
            driver_opts: BTreeMap::new(),
            internal: false,
            attachable: false,
            enable_ipv4: None,
            enable_ipv6: false,
            ipam_driver: None,
            ipam_options: BTreeMap::new(),
            ipam: Vec::new(),
            labels: BTreeMap::new(),
        }
    }
}

/// What a volume is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeSpec {
    /// Its name.
    pub name: ResourceName,
    /// The driver; `None` is the engine's own.
    pub driver: Option<String>,
    /// Options of the driver.
    pub driver_opts: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// Which part of a log to read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogOptions {
    /// Whether to go on until the container ends.
    pub follow: bool,
    /// Only so many of the last lines; `None` is all.
    pub tail: Option<u64>,
    /// Only what was logged after this.
    pub since: Option<SystemTime>,
    /// Whether lines carry their time.
    pub timestamps: bool,
}

/// The lines of one container's log.
pub type LogStream = BoxStream<'static, Result<LogLine>>;

/// One line of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogLine {
    /// Which of its outputs.
    pub stream: LogSource,
    /// Its time as the engine wrote it (RFC 3339), if times were asked for.
    pub time: Option<String>,
    /// The text, without the line's end. What is not UTF-8 is replaced. A line longer than 64 KiB comes in pieces.
    pub text: String,
}

/// One of a process's outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogSource {
    /// Its stdout.
    Stdout,
    /// Its stderr.
    Stderr,
}

impl LogSource {
    /// Its place among the two: 0 is stdout's, 1 stderr's.
    pub fn index(self) -> usize {
        usize::from(self == Self::Stderr)
    }
}

/// What happens to containers.
pub type EngineEvents = BoxStream<'static, Result<EngineEvent>>;

/// Something happened to a container.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EngineEvent {
    /// To which.
    pub id: ContainerId,
    /// What.
    pub action: EngineAction,
    /// The engine's word for it, with what belongs to it (`exec_create: /bin/true`); Docker's where both have one.
    pub word: String,
    /// When, by the engine's clock.
    pub at: Option<SystemTime>,
    /// The container's labels, and what else is told, by the names that Docker has for it: `name`, `image`, `exitCode`. Of one
    /// that was removed nothing else tells it.
    pub attributes: BTreeMap<String, String>,
}

impl EngineEvent {
    /// An event of which only this is known; `word` is either engine's.
    pub fn new(id: ContainerId, word: &str) -> Self {
        let action = EngineAction::parse(word);
        let word = match word {
            "died" => "die",
            "remove" => "destroy",
            "exec_died" => "exec_die",
            word => word,
        };
        Self { id, action, word: word.to_owned(), at: None, attributes: BTreeMap::new() }
    }

    /// A label of the container, or what else is told of it.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(String::as_str)
    }

    /// The project that its label names.
    pub fn project(&self) -> Option<&str> {
        self.attribute(crate::labels::PROJECT)
    }
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EngineAction {
    /// It was started.
    Started,
    /// It ended.
    Died,
    /// Its health was looked at, and may have changed.
    Health,
    /// It was removed.
    Removed,
    /// Something else of it changed that a list shows: it was created, renamed, paused or went on.
    Changed,
    /// Anything else, such as a command in it.
    Other,
}

impl EngineAction {
    /// What an engine's word means. Docker says `die` and `destroy`; Podman says `died` and `remove`, over the same API too.
    pub fn parse(word: &str) -> Self {
        match word {
            "start" | "restart" => Self::Started,
            "die" | "died" => Self::Died,
            "destroy" | "remove" => Self::Removed,
            "create" | "rename" | "pause" | "unpause" => Self::Changed,
            _ if word.starts_with("health_status") => Self::Health,
            _ => Self::Other,
        }
    }
}

/// Processes, as an engine lists them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ProcessTable {
    /// The columns, `PID` for one.
    pub titles: Vec<String>,
    /// A process a row, a cell a column.
    pub processes: Vec<Vec<String>>,
}

/// What containers use, by their ids.
pub type Usages = BoxStream<'static, Result<BTreeMap<ContainerId, Usage>>>;

/// What a container uses.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Usage {
    /// Of processors' time, since it was looked last; two that are busy with it are 200.
    pub cpu_percent: f64,
    /// Bytes of memory, without what is only a cache of files.
    pub memory: u64,
    /// How much memory it may use, or the computer has.
    pub memory_limit: u64,
    /// Bytes that came to it by its networks.
    pub net_in: u64,
    /// Bytes that it sent.
    pub net_out: u64,
    /// Bytes that it read from disks.
    pub block_in: u64,
    /// Bytes that it wrote.
    pub block_out: u64,
    /// Processes and threads.
    pub pids: u64,
}

/// An image that is here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Image {
    /// Its id.
    pub id: ImageId,
    /// Its references with tags; none when another image has them now.
    pub tags: Vec<String>,
    /// How many bytes it takes.
    pub size: u64,
}

impl Image {
    /// An image.
    pub fn new(id: ImageId, tags: Vec<String>, size: u64) -> Self {
        Self { id, tags, size }
    }
}

/// What a command in a container gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecOutput {
    /// Its exit code.
    pub exit_code: i64,
    /// Its stdout, at most 1 MiB.
    pub stdout: Vec<u8>,
    /// Its stderr, at most 1 MiB.
    pub stderr: Vec<u8>,
}
