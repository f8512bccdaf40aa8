//! What callers hold.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    fmt,
    str::FromStr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use compose_file::{Project, ProjectName};
use futures_util::stream::BoxStream;
use serde::{Deserialize, Serialize};

use crate::{
    AnonymousVolumes, Archive, BuildOptions, Building, Call, Container, ContainerId, CopyOptions, CopySource,
    DetachKeys, DevelopOptions, EngineAction, EngineInfo, Error, ExecSpec, Image, LogLine, LogOptions,
    MachineStatus, MachineStop, Member, Plan, ProcessTable, PushOptions, Resource, Result, RunOptions,
    Session, ShutdownOptions, ShutdownOutcome, SignalName, Usage,
};

/// Which engine a runtime uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum RuntimeKind {
    /// Podman, with its machine where it needs one.
    Podman,
    /// Docker, or what speaks its API.
    Docker,
    /// An engine in memory.
    Mock,
}

impl RuntimeKind {
    /// `podman`, `docker` or `mock`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Podman => "podman",
            Self::Docker => "docker",
            Self::Mock => "mock",
        }
    }
}

impl fmt::Display for RuntimeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for RuntimeKind {
    type Err = String;
    fn from_str(word: &str) -> Result<Self, String> {
        [Self::Podman, Self::Docker, Self::Mock]
            .into_iter()
            .find(|kind| kind.as_str() == word)
            .ok_or_else(|| format!("{word:?} is not a runtime"))
    }
}

/// Whether a runtime can be used now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Availability {
    /// Its engine has just answered.
    Ready(EngineInfo),
    /// There is a machine that must be made or started first; `ensure_ready` does it.
    NeedsMachine(MachineStatus),
    /// It cannot be used, and why.
    Unavailable(Error),
}

/// A container runtime: compose projects in, containers out.
///
/// Callers hold it as `Arc<dyn ContainerRuntime>`, or as the facade's `AnyRuntime`. All methods take `&self` and may
/// be called from any number of tasks at once; calls that change one project are done one after the other, in
/// the order in which they came, and different projects side by side.
///
/// Every future may be dropped at any time. Cancelling by [`Call::cancel`] ends it with [`Error::Cancelled`]. Either
/// way nothing of the project is lost: what was done until then is found by [`ContainerRuntime::down`] and completed by the next
/// [`ContainerRuntime::up`].
#[async_trait]
pub trait ContainerRuntime: fmt::Debug + Send + Sync + 'static {
    /// Which engine it uses.
    fn kind(&self) -> RuntimeKind;

    /// The same runtime, whose calls do nothing: the engine is asked and never told, and what was changed is remembered, so that
    /// each later call sees what the earlier ones would have done. It reports what would happen, as it would; what is run in
    /// containers says nothing and ends well, images can be had, and nobody waits for what containers become. No machine is
    /// made, started or stopped: one that is off is [`Error::Machine`] for all that needs it. Does no I/O.
    fn foresee(&self) -> Arc<dyn ContainerRuntime>;

    /// Whether it can be used now. Asks the engine; changes nothing; never fails but says why not.
    async fn availability(&self) -> Availability;

    /// What the machine is doing; [`MachineStatus::NotNeeded`] where there is none.
    ///
    /// # Errors
    /// When the machine's provider cannot be asked.
    async fn machine_status(&self) -> Result<MachineStatus>;

    /// Makes the machine if there is none; does nothing where none is needed.
    ///
    /// # Errors
    /// When the provider refuses or the image cannot be had.
    async fn machine_init(&self, call: &Call) -> Result<()>;

    /// Starts the machine and returns when its engine answers; does nothing where none is needed.
    ///
    /// # Errors
    /// When there is no machine, or it does not come up.
    async fn machine_start(&self, call: &Call) -> Result<()>;

    /// Stops the machine, whoever started it; does nothing where none is needed. What runs in it ends with it.
    ///
    /// # Errors
    /// [`crate::MachineProblem::InUse`] when containers of somebody else run in it, and why it cannot be read what runs, unless
    /// it is stopped [always](MachineStop::Always); when the provider refuses.
    async fn machine_stop(&self, how: MachineStop, call: &Call) -> Result<()>;

    /// Returns when the engine has answered, making and starting its machine first if it needs one.
    ///
    /// # Errors
    /// Why the engine does not answer.
    async fn ensure_ready(&self, call: &Call) -> Result<EngineInfo>;

    /// Pulls the images of the project's services, each once, side by side.
    ///
    /// # Errors
    /// The first image that cannot be had, unless that is only told; the others are pulled all the same.
    async fn pull(&self, project: &Project, options: &PullOptions, call: &Call) -> Result<()>;

    /// Builds the images of the project's services that have a `build`, each once, side by side as far as none is made from
    /// another. Returns how many.
    ///
    /// # Errors
    /// [`Error::Build`] with what is missing, before anything is begun, or with the step that failed; [`Error::NotFound`] for an
    /// unknown service in the options.
    async fn build(&self, project: &Project, options: &BuildOptions, call: &Call) -> Result<usize>;

    /// Gives the images of the project's services that have a `build` and an `image`, under all their names, to their registries,
    /// side by side. Returns how many.
    ///
    /// # Errors
    /// The first image that a registry did not take; the others are given all the same.
    async fn push(&self, project: &Project, options: &PushOptions, call: &Call) -> Result<usize>;

    /// What [`ContainerRuntime::up`] would do now. Changes nothing.
    ///
    /// # Errors
    /// When the engine does not answer or the project cannot be brought up.
    async fn plan(&self, project: &Project, options: &UpOptions) -> Result<Plan>;

    /// Makes the engine's state the project's: networks and volumes, then images, then containers, each service
    /// after what it depends on is as it must be, everything else side by side. What is right already is not touched.
    /// With [`UpOptions::wait`] it returns when every container runs, is healthy if it has a check, or has
    /// completed if it is a one-shot that somebody waits for.
    ///
    /// # Errors
    /// The first thing that failed. What does not depend on it was completed or left as it was.
    async fn up(&self, project: &Project, options: &UpOptions, call: &Call) -> Result<UpOutcome>;

    /// Starts the containers of a project that are there and do not run, in order of their dependencies.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there are none; else the first that failed.
    async fn start(&self, target: &Target, call: &Call) -> Result<()>;

    /// Stops a project's containers in reverse order of their dependencies, replicas side by side. Dependents of
    /// a stopped service that is named in the target are left running.
    ///
    /// # Errors
    /// The first that failed; the others are stopped all the same.
    async fn stop(&self, target: &Target, options: &StopOptions, call: &Call) -> Result<()>;

    /// Stops and starts a project's containers; those that do not run are started. Services that are to be restarted with a
    /// named one (`depends_on.restart`) are restarted after it.
    ///
    /// # Errors
    /// The first that failed; nothing new is begun after it.
    async fn restart(&self, target: &Target, options: &RestartOptions, call: &Call) -> Result<()>;

    /// Sends a signal to the running containers of a project, one-offs too, side by side. Returns to how many.
    ///
    /// # Errors
    /// The first that failed; the others are sent it all the same.
    async fn kill(&self, target: &Target, options: &KillOptions, call: &Call) -> Result<usize>;

    /// Freezes the running containers of a project, or lets those go on that are frozen. The others stay as they are.
    ///
    /// # Errors
    /// The first that failed; the others are done all the same.
    async fn pause(&self, target: &Target, pause: Pause, call: &Call) -> Result<()>;

    /// Removes the containers of a project that do not run. Networks and named volumes stay.
    ///
    /// # Errors
    /// The first that failed; the others are removed all the same.
    async fn remove(&self, target: &Target, options: &RemoveOptions, call: &Call) -> Result<()>;

    /// Tells of each running container of a project when it has ended, in the order in which they end; it ends with the last
    /// of them.
    ///
    /// # Errors
    /// [`Error::NotFound`] when none runs; later errors come in the stream.
    async fn wait(&self, target: &Target) -> Result<Endings>;

    /// Runs a command in a running container of a service, to talk with it. Dropped, the session is over; the command may
    /// run on.
    ///
    /// # Errors
    /// [`Error::NotRunning`] when that container does not run.
    async fn exec(&self, project: &ProjectName, member: &Member, spec: &ExecSpec) -> Result<Session>;

    /// Starts a command in a running container of a service, and returns when it runs.
    ///
    /// # Errors
    /// As [`ContainerRuntime::exec`].
    async fn exec_detached(&self, project: &ProjectName, member: &Member, spec: &ExecSpec) -> Result<()>;

    /// Talks with the own process of a running container of a service from now on; the session ends with the container. Returns
    /// the container too.
    ///
    /// # Errors
    /// As [`ContainerRuntime::exec`].
    async fn talk(
        &self,
        project: &ProjectName,
        member: &Member,
        options: &TalkOptions,
    ) -> Result<(Container, Session)>;

    /// What the first container of a service, or the one that is meant, has at a path, whether it runs or not: a tar archive of
    /// the file or folder by its own name, which [`crate::unpack`] writes to this computer. Paths are of the root folder, with
    /// a slash before them or without.
    ///
    /// # Errors
    /// [`Error::NotFound`] of a [`crate::ResourceKind::File`] when nothing is there, [`Error::NotRunning`] when there is no such
    /// container; later errors come in the archive.
    async fn copy_from(
        &self,
        project: &ProjectName,
        member: &Member,
        path: &str,
        options: &CopyOptions,
    ) -> Result<Archive>;

    /// Copies to a path in all containers of a service, or the one that is meant, whether they run or not, by the rules of `docker
    /// container cp`: into a folder that is there, in the place of a file, or under a name that is not there yet in a folder that
    /// is. What is in an archive goes into a folder that is there. Returns the containers.
    ///
    /// # Errors
    /// [`Error::File`] when it does not fit what is there or cannot be read, [`Error::NotFound`] of a
    /// [`crate::ResourceKind::File`] when there is no folder for it, [`Error::NotRunning`] when there is no such container. A part of
    /// it may be there then.
    async fn copy_to(
        &self,
        project: &ProjectName,
        member: &Member,
        path: &str,
        source: CopySource,
        options: &CopyOptions,
        call: &Call,
    ) -> Result<Vec<Container>>;

    /// Brings up what a service depends on, and runs the service once besides, as the options say. The project is changed by nobody
    /// else until the container is started.
    ///
    /// # Errors
    /// The first thing that failed; what was created until then stays for `down`.
    async fn run(&self, project: &Project, options: &RunOptions, call: &Call) -> Result<OneOff>;

    /// Sends a signal to a container; one that does not run is success.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it is gone.
    async fn signal(&self, id: &ContainerId, signal: &SignalName) -> Result<()>;

    /// Stops and removes a project's containers, then its networks and, if told so, its volumes. Nothing of it
    /// there is success.
    ///
    /// # Errors
    /// The first that failed; everything else is removed all the same.
    async fn down(&self, target: &Target, options: &DownOptions, call: &Call) -> Result<()>;

    /// The containers of a project, one-offs left out, sorted by service and number.
    ///
    /// # Errors
    /// When the engine does not answer.
    async fn ps(&self, project: &ProjectName) -> Result<Vec<Container>>;

    /// All compose projects on the engine, whoever made them, sorted by name.
    ///
    /// # Errors
    /// When the engine does not answer.
    async fn projects(&self) -> Result<Vec<ProjectSummary>>;

    /// The processes of a project's running containers, sorted as in [`ContainerRuntime::ps`].
    ///
    /// # Errors
    /// When the engine does not answer. One that ends meanwhile is left out.
    async fn top(&self, target: &Target) -> Result<Vec<(Container, ProcessTable)>>;

    /// The images that a project's containers were made from, sorted as in [`ContainerRuntime::ps`].
    ///
    /// # Errors
    /// When the engine does not answer. `None` is an image that is no longer here.
    async fn images(&self, target: &Target) -> Result<Vec<(Container, Option<Image>)>>;

    /// What a project's containers use, again and again or, unless it is to go on, once: each time of all of them, sorted as in
    /// [`ContainerRuntime::ps`]. Containers that are started later join. Ends with an error, or when it is dropped.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a service that is neither in the file nor on the engine; when the engine does not answer.
    async fn stats(&self, target: &Target, options: &StatsOptions) -> Result<ProjectStats>;

    /// The volumes of a project, by name: of services that are named those that their containers mount, one-offs' too.
    /// Volumes that nobody named and external ones carry no label of the project, and are none of it.
    ///
    /// # Errors
    /// When the engine does not answer.
    async fn volumes(&self, target: &Target) -> Result<Vec<Resource>>;

    /// The logs of a project's containers, as one stream: each container's lines in their order. Followed,
    /// containers that are started later join, and it ends when none is left running.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there are no containers; later errors come in the stream.
    async fn logs(&self, target: &Target, options: &LogOptions) -> Result<ProjectLogs>;

    /// What a project's containers print from now on, each line with its time, as an `up` in the foreground shows it: of the containers named in
    /// `started` ([`UpOutcome::started`]) all of their last run, even if it is over. No clock is compared with the
    /// engine's. Tells how each container ended, after its last line. Ends as [`ContainerRuntime::logs`] does when it
    /// follows.
    ///
    /// # Errors
    /// As [`ContainerRuntime::logs`].
    async fn attach(&self, target: &Target, started: &BTreeSet<String>) -> Result<Foreground>;

    /// The running containers of the projects whose names begin with `prefix`, as far as they are ours: they carry
    /// [`crate::labels::OWNER`] with our owner's name. What only has a name of that beginning is not listed.
    ///
    /// # Errors
    /// When the engine does not answer: a list that cannot be read is never an empty list.
    async fn list_running(&self, prefix: &str) -> Result<Vec<Container>>;

    /// What happens from now on to the containers that [`ContainerRuntime::list_running`] could list for `prefix`: ours,
    /// whether it is we who do it or anybody else. It is a hint: who is told of a project asks [`ContainerRuntime::ps`] how it is
    /// now.
    ///
    /// Once the call has returned, nothing is missed for as long as the stream is read: who calls `watch`, then `ps`,
    /// and then reads knows all. A change may come twice, or have been just before the call. A thousand changes wait for who
    /// does not read; of more an engine may throw some away. Health is told as far as the engine tells it, which Podman 4.3 does
    /// not.
    ///
    /// The stream goes on during and after a [shutdown](ContainerRuntime::shutdown). Its last item is an error, when the engine can
    /// no longer be listened to; what happens then is missed, and who goes on calls again and looks anew. Safe to drop,
    /// and so is the call; it ends with what it started. Makes no machine start.
    ///
    /// # Errors
    /// When the engine does not answer.
    async fn watch(&self, prefix: &str) -> Result<Changes>;

    /// What happens from now on to the containers of a project, whoever does it: those of services that are named, if some are;
    /// one-offs are left out. Reads, ends and can be dropped as [`ContainerRuntime::watch`], but that everything is told that
    /// the engine tells.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a service that is neither in the file nor on the engine; when the engine does not answer.
    async fn events(&self, target: &Target) -> Result<ProjectEvents>;

    /// Watches the files of a project's services (`develop.watch`), and does what their rules say when some change, until it is
    /// cancelled: it never returns but with an error. The project is brought up before, if the options say so; what changes
    /// meanwhile is not missed.
    ///
    /// [`crate::Phase::Began`] of [`crate::Work::Watch`] on the project tells that all is up, what is copied first has been
    /// copied, and files are watched. Changes are gathered until it is quiet for half a second, as docker compose does. What is
    /// done then is told of each [`crate::Subject::Service`]: [`crate::Work::Rebuild`], [`crate::Work::Sync`],
    /// [`crate::Work::Restart`] and [`crate::Work::RunHook`], in this order. When one of them fails, that is told
    /// ([`crate::Phase::Failed`]), the others of this service are left out, and watching goes on.
    ///
    /// Files are copied into all containers of a service, whether they run or not, as their user's. What was removed is removed by
    /// the container's own `rm`, where it runs. A folder that is watched and is removed itself removes nothing there.
    ///
    /// Safe to drop: containers are left as they are.
    ///
    /// # Errors
    /// [`Error::InvalidProject`] when nothing is to be watched or a rule cannot be followed, before anything is done; [`Error::File`]
    /// when files cannot be watched; those of [`ContainerRuntime::up`]; why what is copied first cannot be;
    /// [`Error::Cancelled`], and [`Error::ShuttingDown`] at the first change after the beginning of a shutdown.
    async fn develop(&self, project: &Project, options: &DevelopOptions, call: &Call) -> Result<Infallible>;

    /// Ends all that this runtime does: refuses new work from now on ([`Error::ShuttingDown`]), lets what is under way end
    /// for a while and then cancels it, stops our projects side by side in reverse order of dependency, each within its
    /// budget, and only then looks at the machine, which is stopped if that harms nobody. A second call waits for the
    /// first and gets its outcome. Safe to drop; the next call goes on with what is left.
    ///
    /// Cancelling the call does not end it but hurries it: nothing is waited for any more, and containers are killed.
    ///
    /// # Errors
    /// When it cannot be read what of ours runs; then nothing was stopped. What fails later is in the outcome.
    async fn shutdown(&self, options: &ShutdownOptions, call: &Call) -> Result<ShutdownOutcome>;
}

/// A project on the engine: by its file, or by its name alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its name.
    pub name: ProjectName,
    /// Its file, if there is one. Without it the dependencies are read from labels.
    pub project: Option<Project>,
    /// Only these services; empty is all.
    pub services: BTreeSet<String>,
}

impl Target {
    /// A project of which only the name is known.
    pub fn name(name: ProjectName) -> Self {
        Self { name, project: None, services: BTreeSet::new() }
    }

    /// Whether a service is among those that are meant: all, where none is named.
    pub fn means(&self, service: &str) -> bool {
        self.services.is_empty() || self.services.contains(service)
    }

    /// Only these services of it.
    #[must_use]
    pub fn services<S: Into<String>>(mut self, services: impl IntoIterator<Item = S>) -> Self {
        self.services = services.into_iter().map(Into::into).collect();
        self
    }
}

impl From<Project> for Target {
    fn from(project: Project) -> Self {
        Self { name: project.name.clone(), project: Some(project), services: BTreeSet::new() }
    }
}

impl From<&Project> for Target {
    fn from(project: &Project) -> Self {
        project.clone().into()
    }
}

/// How `up` goes about it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct UpOptions {
    /// Only these services and what they depend on; empty is all.
    pub services: BTreeSet<String>,
    /// Whether the dependencies of the named services are taken along.
    pub dependencies: Dependencies,
    /// Which images are built.
    pub build: Building,
    /// Which containers are made anew.
    pub recreate: Recreate,
    /// The same for services that are only taken along because a named one depends on them. [`Recreate::Never`] of the named ones
    /// is theirs too.
    pub recreate_dependencies: Recreate,
    /// Whether a container that is made anew begins with empty volumes where nobody named them (`-V`); those of the one before
    /// stay behind, as in docker compose. Else it has these.
    pub renew_anonymous_volumes: bool,
    /// What happens to containers of services that are not in the file.
    pub orphans: Orphans,
    /// How many containers of a service, instead of what the file says.
    pub scale: BTreeMap<String, u32>,
    /// Whether to return only when everything is there, and how long that may take.
    pub wait: Wait,
    /// The grace period for containers that are replaced; `None` is their own.
    pub timeout: Option<Duration>,
    /// Whether containers are started, or only created.
    pub start: Start,
}

/// Whether `up` starts what it creates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// It does.
    #[default]
    Yes,
    /// It only creates (`--no-start`).
    No,
}

/// Whether dependencies are taken along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dependencies {
    /// They are.
    #[default]
    Include,
    /// They are not (`--no-deps`).
    Ignore,
}

/// Which containers are made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Recreate {
    /// Those that differ from the file.
    #[default]
    Changed,
    /// All of the named services (`--force-recreate`), or all that these depend on (`--always-recreate-deps`).
    Always,
    /// None (`--no-recreate`).
    Never,
}

/// What happens to containers of services that are not in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Orphans {
    /// They are warned of.
    #[default]
    Warn,
    /// They are removed.
    Remove,
    /// Nothing.
    Ignore,
}

/// Whether `up` waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wait {
    /// Only for what dependents need.
    #[default]
    Started,
    /// Until all are running or healthy, at most so long.
    Healthy {
        /// `None` is without an end.
        timeout: Option<Duration>,
    },
}

/// What an `up` came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UpOutcome {
    /// How many steps were done; 0 when everything was as it should be.
    pub steps: usize,
    /// The names of the containers that were started, new ones among them.
    pub started: BTreeSet<String>,
}

/// How `pull` goes about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct PullOptions {
    /// Whether what is here is left as it is (`--policy missing`).
    pub only_missing: bool,
    /// Whether an image that cannot be had is only told.
    pub ignore_failures: bool,
}

/// How `stop` goes about it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StopOptions {
    /// The grace period; `None` is each container's own, else ten seconds.
    pub timeout: Option<Duration>,
}

/// How `restart` goes about it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RestartOptions {
    /// The grace period; `None` is each container's own, else ten seconds.
    pub timeout: Option<Duration>,
    /// Whether services are taken along that are to be restarted with a named one.
    pub dependents: Dependents,
}

/// Whether what depends on a service is taken along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dependents {
    /// It is, as far as it says so.
    #[default]
    Include,
    /// It is not (`--no-deps`).
    Ignore,
}

/// How `kill` goes about it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KillOptions {
    /// The signal.
    pub signal: SignalName,
    /// Whether containers of services that are not in the file get it too ([`Orphans::Remove`]).
    pub orphans: Orphans,
}

impl KillOptions {
    /// That signal, to services of the file.
    pub fn new(signal: SignalName) -> Self {
        Self { signal, orphans: Orphans::default() }
    }
}

impl Default for KillOptions {
    fn default() -> Self {
        Self::new(SignalName::kill())
    }
}

/// Whether containers are frozen or go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// They are frozen.
    Freeze,
    /// They go on.
    GoOn,
}

/// How `rm` goes about it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RemoveOptions {
    /// What happens to those that run.
    pub running: Running,
    /// What happens to volumes that nobody named.
    pub anonymous_volumes: AnonymousVolumes,
    /// Only these, which somebody has agreed to; `None` is all.
    pub only: Option<BTreeSet<ContainerId>>,
}

impl Default for RemoveOptions {
    fn default() -> Self {
        Self { running: Running::default(), anonymous_volumes: AnonymousVolumes::Keep, only: None }
    }
}

/// What `rm` does with containers that run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Running {
    /// It leaves them.
    #[default]
    Leave,
    /// It stops them first (`--stop`).
    Stop,
}

/// A container that runs once.
#[derive(Debug)]
#[non_exhaustive]
pub struct OneOff {
    /// Its id.
    pub id: ContainerId,
    /// Its name.
    pub name: String,
    /// Talking with it, unless nobody does. To be removed afterwards, it is removed before its end is told.
    pub session: Option<Session>,
}

impl OneOff {
    pub(crate) fn new(id: ContainerId, name: String, session: Option<Session>) -> Self {
        Self { id, name, session }
    }
}

/// The containers that end, as they end.
pub type Endings = BoxStream<'static, Result<Ending>>;

/// A container has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ending {
    /// The service.
    pub service: String,
    /// The container's name.
    pub container: String,
    /// Its id.
    pub id: ContainerId,
    /// Its exit code.
    pub exit_code: i64,
}

/// How `attach` goes about it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct TalkOptions {
    /// Whether what the session is told reaches the process.
    pub stdin: bool,
    /// The keys that let go of it, if it has a terminal.
    pub detach_keys: DetachKeys,
}

/// How `stats` goes about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StatsOptions {
    /// Whether to go on.
    pub follow: bool,
    /// Whether containers that do not run are told too.
    pub all: bool,
}

/// What the containers of a project use; `None` is one that does not run.
pub type ProjectStats = BoxStream<'static, Result<Vec<(Container, Option<Usage>)>>>;

/// How `down` goes about it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct DownOptions {
    /// The grace period; `None` is each container's own, else ten seconds.
    pub timeout: Option<Duration>,
    /// Whether the project's volumes go too, with their data.
    pub volumes: RemoveVolumes,
    /// What happens to containers of services that are not in the file.
    pub orphans: Orphans,
    /// Whether images go too.
    pub images: RemoveImages,
}

/// Whether `down` removes the images of services. One that other containers use stays, and that is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RemoveImages {
    /// They stay.
    #[default]
    No,
    /// Those go that have no name in the file, so that they can only have been built for it (`--rmi local`).
    Local,
    /// All go (`--rmi all`).
    All,
}

/// Whether `down` removes volumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RemoveVolumes {
    /// Named and anonymous ones stay.
    #[default]
    No,
    /// Named ones that are not external and anonymous ones go (`-v`).
    Yes,
}

/// A project as the engine has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProjectSummary {
    /// Its name.
    pub name: String,
    /// How many containers are in each state.
    pub states: BTreeMap<String, usize>,
    /// The files it was made from, joined by commas, if a label says so.
    pub config_files: Option<String>,
}

/// The lines of a project's logs.
pub type ProjectLogs = BoxStream<'static, Result<ServiceLine>>;

/// What the containers of a project do in the foreground.
pub type Foreground = BoxStream<'static, Result<Attached>>;

/// One thing that a container does in the foreground.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Attached {
    /// It prints a line.
    Line(ServiceLine),
    /// It has ended, and nothing more of this run comes.
    Ended {
        /// The service.
        service: String,
        /// The container's name.
        container: String,
        /// Its exit code.
        exit_code: i64,
    },
}

/// What happens to our containers.
pub type Changes = BoxStream<'static, Result<Change>>;

/// Something happened to a container of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// The project that it belongs to, or belonged to.
    pub project: ProjectName,
    /// The container, which may be gone.
    pub container: ContainerId,
    /// What. [`EngineAction::Other`] changes nothing, and is not told.
    pub action: EngineAction,
}

/// What happens to the containers of a project.
pub type ProjectEvents = BoxStream<'static, Result<ProjectEvent>>;

/// Something happened to a container of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectEvent {
    /// When, by the engine's clock.
    pub time: Option<SystemTime>,
    /// The service.
    pub service: String,
    /// The container, which may be gone.
    pub container: ContainerId,
    /// What, in the engine's word ([`crate::EngineEvent::word`]).
    pub action: String,
    /// The container's labels that are the user's, and what else is told: `name`, `image`, `exitCode`.
    pub attributes: BTreeMap<String, String>,
}

/// One line of a container of a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServiceLine {
    /// The service.
    pub service: String,
    /// The container's name.
    pub container: String,
    /// The line.
    #[serde(flatten)]
    pub line: LogLine,
}
