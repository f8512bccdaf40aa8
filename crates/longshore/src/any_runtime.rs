//! One type for every backend that is compiled in.

use std::{collections::BTreeSet, convert::Infallible, sync::Arc};

use async_trait::async_trait;
use compose_file::{Project, ProjectName};
use runtime_core::{
    Archive, Availability, BuildOptions, Call, Changes, Container, ContainerId, ContainerRuntime,
    CopyOptions, CopySource, DevelopOptions, DownOptions, Endings, EngineInfo, Error, ExecSpec, Foreground,
    Image, KillOptions, LogOptions, MachineStatus, MachineStop, Member, OneOff, Pause, Plan, ProcessTable,
    ProjectEvents, ProjectLogs, ProjectStats, ProjectSummary, PullOptions, PushOptions, RemoveOptions,
    Resource, RestartOptions, Result, RunOptions, RuntimeKind, Session, ShutdownOptions, ShutdownOutcome,
    SignalName, StatsOptions, StopOptions, TalkOptions, Target, UpOptions, UpOutcome,
};

use crate::Config;

/// A runtime of any backend. Cheap to clone; clones are the same runtime.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum AnyRuntime {
    /// Podman.
    #[cfg(feature = "podman")]
    Podman(runtime_core::Compose),
    /// Docker.
    #[cfg(feature = "docker")]
    Docker(runtime_core::Compose),
    /// The engine in memory, and what tests and servers tell it besides.
    #[cfg(feature = "mock")]
    Mock(runtime_core::Compose, runtime_mock::MockEngine),
    /// One that was made elsewhere.
    Other(Arc<dyn ContainerRuntime>),
}

impl AnyRuntime {
    /// The runtime that the configuration asks for. One that is named is made without any I/O, whether or not its engine
    /// is there. For `auto` Podman is asked, then Docker; the first that answers is taken, and if none does, the
    /// first whose machine only has to be started.
    ///
    /// # Errors
    /// [`Error::NoEngine`] with the reason of each that `auto` tried; [`Error::Unsupported`] for a backend that is not
    /// compiled in.
    pub async fn connect(config: &Config) -> Result<Self> {
        if let Some(kind) = config.runtime.unwrap_or_default().kind() {
            return Self::construct(kind, config);
        }
        let mut asleep = None;
        let mut attempts = Vec::new();
        for &kind in Self::tried_by_auto(config) {
            let runtime = match Self::construct(kind, config) {
                Ok(runtime) => runtime,
                Err(error) => {
                    attempts.push((kind, error.to_string()));
                    continue;
                }
            };
            match runtime.availability().await {
                Availability::Ready(info) => {
                    tracing::debug!(engine = %info.kind, version = info.version, "chosen");
                    return Ok(runtime);
                }
                Availability::NeedsMachine(_) => asleep = asleep.or(Some(runtime)),
                Availability::Unavailable(error) => attempts.push((kind, error.to_string())),
            }
        }
        asleep.ok_or(Error::NoEngine(attempts))
    }

    /// The engine that is asked for or, with `auto`, that is tried first.
    pub fn preferred(config: &Config) -> RuntimeKind {
        let named = config.runtime.unwrap_or_default().kind();
        named.or_else(|| Self::tried_by_auto(config).first().copied()).unwrap_or(RuntimeKind::Podman)
    }

    fn tried_by_auto(config: &Config) -> &'static [RuntimeKind] {
        match config.host {
            Some(_) => &[RuntimeKind::Docker],
            None => &[RuntimeKind::Podman, RuntimeKind::Docker],
        }
    }

    /// A runtime over that engine. Does no I/O.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when the backend is not compiled in; [`Error::InvalidName`] for a machine's name that is none.
    pub fn construct(kind: RuntimeKind, config: &Config) -> Result<Self> {
        match kind {
            #[cfg(feature = "podman")]
            RuntimeKind::Podman => Ok(Self::Podman(podman(config)?)),
            #[cfg(feature = "docker")]
            RuntimeKind::Docker => Ok(Self::Docker(own(docker(config), config))),
            #[cfg(feature = "mock")]
            RuntimeKind::Mock => {
                let engine = runtime_mock::MockEngine::new().with_built_images();
                let engine = engine.at(std::time::SystemTime::now());
                Ok(Self::Mock(own(engine.clone(), config), engine))
            }
            other => Err(Error::Unsupported { engine: other, what: "it is not compiled in".to_owned() }),
        }
    }
}

#[cfg(any(feature = "podman", feature = "docker", feature = "mock"))]
fn own(engine: impl runtime_core::Engine, config: &Config) -> runtime_core::Compose {
    let compose = runtime_core::Compose::new(engine);
    match &config.owner {
        Some(owner) => compose.with_owner(owner.clone()),
        None => compose,
    }
}

/// Podman, with its machine where the configuration has one. A connection, a URL or a host that is named is somebody's
/// engine elsewhere, and no machine of ours.
#[cfg(feature = "podman")]
fn podman(config: &Config) -> Result<runtime_core::Compose> {
    let mut podman = runtime_podman::PodmanConfig::default();
    if let Some(program) = &config.podman.program {
        podman.program = Some(program.clone());
    }
    podman.via = match config.podman.via.unwrap_or_default() {
        crate::PodmanVia::Auto => runtime_podman::Via::Auto,
        crate::PodmanVia::Cli => runtime_podman::Via::Cli,
        crate::PodmanVia::Api => runtime_podman::Via::Api,
    };
    // With `auto`, a host is Docker's.
    let named = config.runtime == Some(crate::RuntimeChoice::Podman);
    match config.host.as_ref().filter(|_| named) {
        Some(host) => podman.url = Some(host.clone()),
        None => {
            podman.url = config.podman.url.clone();
            podman.connection = config.podman.connection.clone();
        }
    }
    let section = &config.machine;
    if let Some(helpers) = &section.helpers {
        let folder = helpers.display().to_string();
        podman.env.push(("CONTAINERS_HELPER_BINARY_DIR".to_owned(), folder));
    }
    let elsewhere = podman.url.is_some() || podman.connection.is_some();
    if elsewhere || !section.when.unwrap_or_default().applies() {
        return Ok(own(runtime_podman::PodmanEngine::new(podman), config));
    }
    let name = section.name.as_deref().unwrap_or(runtime_podman::DEFAULT_MACHINE);
    let name = runtime_core::MachineName::new(name)?;
    let state = section.state.clone().unwrap_or_else(|| std::env::temp_dir().join("longshore"));
    let mut machine = runtime_podman::MachineConfig::new(name, state);
    machine.cpus = section.cpus;
    machine.memory = section.memory;
    machine.disk = section.disk;
    machine.image = section.image.clone();
    machine.rootful = section.rootful.unwrap_or_default();
    let patience = &mut machine.patience;
    for (time, seconds) in [
        (&mut patience.init, section.init_timeout),
        (&mut patience.start, section.start_timeout),
        (&mut patience.answer, section.answer_timeout),
        (&mut patience.stop, section.stop_timeout),
    ] {
        *time = seconds.map_or(*time, std::time::Duration::from_secs);
    }
    let (engine, host) = runtime_podman::PodmanEngine::in_machine(podman, machine);
    Ok(own(engine, config).with_machine(Arc::new(host)))
}

#[cfg(feature = "docker")]
fn docker(config: &Config) -> runtime_docker::DockerEngine {
    let mut docker = runtime_docker::DockerConfig::default();
    // With `podman`, a host is Podman's.
    let named = config.runtime != Some(crate::RuntimeChoice::Podman);
    let host = config.host.as_ref().filter(|_| named).or(config.docker.host.as_ref());
    if let Some(host) = host {
        docker.host = Some(host.clone());
    }
    runtime_docker::DockerEngine::new(docker)
}

impl From<Arc<dyn ContainerRuntime>> for AnyRuntime {
    fn from(runtime: Arc<dyn ContainerRuntime>) -> Self {
        Self::Other(runtime)
    }
}

impl From<AnyRuntime> for Arc<dyn ContainerRuntime> {
    fn from(runtime: AnyRuntime) -> Self {
        match runtime {
            #[cfg(feature = "podman")]
            AnyRuntime::Podman(runtime) => Arc::new(runtime),
            #[cfg(feature = "docker")]
            AnyRuntime::Docker(runtime) => Arc::new(runtime),
            #[cfg(feature = "mock")]
            AnyRuntime::Mock(runtime, _) => Arc::new(runtime),
            AnyRuntime::Other(runtime) => runtime,
        }
    }
}

/// Gives a call to the backend. `enum_dispatch` would write this, but it cannot see a trait that another crate defines.
macro_rules! each {
    ($of:expr, $runtime:ident => $call:expr) => {
        match $of {
            #[cfg(feature = "podman")]
            AnyRuntime::Podman($runtime) => $call,
            #[cfg(feature = "docker")]
            AnyRuntime::Docker($runtime) => $call,
            #[cfg(feature = "mock")]
            AnyRuntime::Mock($runtime, _) => $call,
            AnyRuntime::Other($runtime) => $call,
        }
    };
}

#[async_trait]
impl ContainerRuntime for AnyRuntime {
    fn kind(&self) -> RuntimeKind {
        each!(self, runtime => runtime.kind())
    }

    fn foresee(&self) -> Arc<dyn ContainerRuntime> {
        each!(self, runtime => runtime.foresee())
    }

    async fn availability(&self) -> Availability {
        each!(self, runtime => runtime.availability().await)
    }

    async fn machine_status(&self) -> Result<MachineStatus> {
        each!(self, runtime => runtime.machine_status().await)
    }

    async fn machine_init(&self, call: &Call) -> Result<()> {
        each!(self, runtime => runtime.machine_init(call).await)
    }

    async fn machine_start(&self, call: &Call) -> Result<()> {
        each!(self, runtime => runtime.machine_start(call).await)
    }

    async fn machine_stop(&self, how: MachineStop, call: &Call) -> Result<()> {
        each!(self, runtime => runtime.machine_stop(how, call).await)
    }

    async fn ensure_ready(&self, call: &Call) -> Result<EngineInfo> {
        each!(self, runtime => runtime.ensure_ready(call).await)
    }

    async fn pull(&self, project: &Project, options: &PullOptions, call: &Call) -> Result<()> {
        each!(self, runtime => runtime.pull(project, options, call).await)
    }

    async fn build(&self, project: &Project, options: &BuildOptions, call: &Call) -> Result<usize> {
        each!(self, runtime => runtime.build(project, options, call).await)
    }

    async fn push(&self, project: &Project, options: &PushOptions, call: &Call) -> Result<usize> {
        each!(self, runtime => runtime.push(project, options, call).await)
    }

    async fn plan(&self, project: &Project, options: &UpOptions) -> Result<Plan> {
        each!(self, runtime => runtime.plan(project, options).await)
    }

    async fn up(&self, project: &Project, options: &UpOptions, call: &Call) -> Result<UpOutcome> {
        each!(self, runtime => runtime.up(project, options, call).await)
    }

    async fn start(&self, target: &Target, call: &Call) -> Result<()> {
        each!(self, runtime => runtime.start(target, call).await)
    }

    async fn stop(&self, target: &Target, options: &StopOptions, call: &Call) -> Result<()> {
        each!(self, runtime => runtime.stop(target, options, call).await)
    }

    async fn restart(&self, target: &Target, options: &RestartOptions, call: &Call) -> Result<()> {
        each!(self, runtime => runtime.restart(target, options, call).await)
    }

    async fn kill(&self, target: &Target, options: &KillOptions, call: &Call) -> Result<usize> {
        each!(self, runtime => runtime.kill(target, options, call).await)
    }

    async fn pause(&self, target: &Target, pause: Pause, call: &Call) -> Result<()> {
        each!(self, runtime => runtime.pause(target, pause, call).await)
    }

    async fn remove(&self, target: &Target, options: &RemoveOptions, call: &Call) -> Result<()> {
        each!(self, runtime => runtime.remove(target, options, call).await)
    }

    async fn wait(&self, target: &Target) -> Result<Endings> {
        each!(self, runtime => runtime.wait(target).await)
    }

    async fn exec(&self, project: &ProjectName, member: &Member, spec: &ExecSpec) -> Result<Session> {
        each!(self, runtime => runtime.exec(project, member, spec).await)
    }

    async fn exec_detached(&self, project: &ProjectName, member: &Member, spec: &ExecSpec) -> Result<()> {
        each!(self, runtime => runtime.exec_detached(project, member, spec).await)
    }

    async fn talk(
        &self,
        project: &ProjectName,
        member: &Member,
        options: &TalkOptions,
    ) -> Result<(Container, Session)> {
        each!(self, runtime => runtime.talk(project, member, options).await)
    }

    async fn copy_from(
        &self,
        project: &ProjectName,
        member: &Member,
        path: &str,
        options: &CopyOptions,
    ) -> Result<Archive> {
        each!(self, runtime => runtime.copy_from(project, member, path, options).await)
    }

    async fn copy_to(
        &self,
        project: &ProjectName,
        member: &Member,
        path: &str,
        source: CopySource,
        options: &CopyOptions,
        call: &Call,
    ) -> Result<Vec<Container>> {
        each!(self, runtime => runtime.copy_to(project, member, path, source, options, call).await)
    }

    async fn run(&self, project: &Project, options: &RunOptions, call: &Call) -> Result<OneOff> {
        each!(self, runtime => runtime.run(project, options, call).await)
    }

    async fn signal(&self, id: &ContainerId, signal: &SignalName) -> Result<()> {
        each!(self, runtime => runtime.signal(id, signal).await)
    }

    async fn down(&self, target: &Target, options: &DownOptions, call: &Call) -> Result<()> {
        each!(self, runtime => runtime.down(target, options, call).await)
    }

    async fn ps(&self, project: &ProjectName) -> Result<Vec<Container>> {
        each!(self, runtime => runtime.ps(project).await)
    }

    async fn projects(&self) -> Result<Vec<ProjectSummary>> {
        each!(self, runtime => runtime.projects().await)
    }

    async fn top(&self, target: &Target) -> Result<Vec<(Container, ProcessTable)>> {
        each!(self, runtime => runtime.top(target).await)
    }

    async fn images(&self, target: &Target) -> Result<Vec<(Container, Option<Image>)>> {
        each!(self, runtime => runtime.images(target).await)
    }

    async fn stats(&self, target: &Target, options: &StatsOptions) -> Result<ProjectStats> {
        each!(self, runtime => runtime.stats(target, options).await)
    }

    async fn volumes(&self, target: &Target) -> Result<Vec<Resource>> {
        each!(self, runtime => runtime.volumes(target).await)
    }

    async fn logs(&self, target: &Target, options: &LogOptions) -> Result<ProjectLogs> {
        each!(self, runtime => runtime.logs(target, options).await)
    }

    async fn attach(&self, target: &Target, started: &BTreeSet<String>) -> Result<Foreground> {
        each!(self, runtime => runtime.attach(target, started).await)
    }

    async fn list_running(&self, prefix: &str) -> Result<Vec<Container>> {
        each!(self, runtime => runtime.list_running(prefix).await)
    }

    async fn watch(&self, prefix: &str) -> Result<Changes> {
        each!(self, runtime => runtime.watch(prefix).await)
    }

    async fn events(&self, target: &Target) -> Result<ProjectEvents> {
        each!(self, runtime => runtime.events(target).await)
    }

    async fn develop(&self, project: &Project, options: &DevelopOptions, call: &Call) -> Result<Infallible> {
        each!(self, runtime => runtime.develop(project, options, call).await)
    }

    async fn shutdown(&self, options: &ShutdownOptions, call: &Call) -> Result<ShutdownOutcome> {
        each!(self, runtime => runtime.shutdown(options, call).await)
    }
}
