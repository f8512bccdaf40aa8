//! The engine: each call over an API service where there is one and it can do it, else a command.

use std::{borrow::Cow, collections::BTreeSet, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use compose_file::ProjectName;
use runtime_core::{
    AnonymousVolumes, Archive, AttachSpec, BuildSpec, Container, ContainerFilter, ContainerId, ContainerName,
    ContainerSpec, CopiedOwner, Detail, Engine, EngineEvents, EngineInfo, Error, ExecOutput, ExecSpec,
    HealthStatus, Image, ImageId, Lack, LogOptions, LogStream, NetworkSpec, Observed, ProcessTable, Progress,
    ResourceName, Result, RuntimeKind, Scope, Session, Usages, VolumeSpec, Wish, labels,
};
use tokio::sync::{Mutex, MutexGuard};

use crate::{
    api::{Api, Line, Place},
    cli::{self, PodmanCli},
    command::Podman,
    create,
};

/// How to reach podman.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PodmanConfig {
    /// The program; `None` looks for `podman` on the path.
    pub program: Option<PathBuf>,
    /// A connection by its name (`podman --connection`).
    pub connection: Option<String>,
    /// A service by its URL (`podman --url`).
    pub url: Option<String>,
    /// How long an ordinary command may take.
    pub deadline: Duration,
    /// How long a pull may take.
    pub pull_deadline: Duration,
    /// How many commands run at once.
    pub parallel: usize,
    /// How many images are built at once.
    pub parallel_builds: usize,
    /// Variables for podman itself, besides what it inherits.
    pub env: Vec<(String, String)>,
    /// How it is called.
    pub via: Via,
}

impl Default for PodmanConfig {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            program: None,
            connection: None,
            url: None,
            deadline: Duration::from_secs(120),
            pull_deadline: Duration::from_secs(30 * 60),
            parallel: (2 * cores).max(4),
            parallel_builds: cores.max(2),
            env: Vec::new(),
            via: Via::default(),
        }
    }
}

/// How podman is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Via {
    /// By an API service where one can be had, else by commands.
    #[default]
    Auto,
    /// By commands alone.
    Cli,
    /// By an API service; that there is none is an error. What the service cannot do is done by commands all the same.
    Api,
}

/// Podman as an engine. Cheap to clone; clones share the bound on commands at once, and the service.
///
/// Containers that were made one way are known the other way: both make the same of a specification.
#[derive(Debug, Clone)]
pub struct PodmanEngine {
    cli: PodmanCli,
    api: Arc<Api>,
    choosing_ports: Arc<Mutex<()>>,
}

/// Gives a call to the service if there is one, else to the command line.
macro_rules! either {
    ($of:expr, $engine:ident => $call:expr) => {
        match $of.api.line().await? {
            Some(line) => {
                let $engine = line.engine();
                line.heard($call)
            }
            None => {
                let $engine = &$of.cli;
                $call
            }
        }
    };
}

impl PodmanEngine {
    /// An engine that calls podman as configured. Starts nothing; a podman that is not there is told by the first call.
    pub fn new(config: PodmanConfig) -> Self {
        let place = match (&config.url, &config.connection) {
            (None, None) => Place::Own,
            (Some(url), None) => Place::of_url(url),
            _ => Place::Nowhere("podman alone knows where its connections lead"),
        };
        Self::at(config, place)
    }

    /// An engine whose service is there.
    pub(crate) fn at(config: PodmanConfig, place: Place) -> Self {
        let (via, parallel) = (config.via, config.parallel);
        let cli = PodmanCli::new(config);
        let api = Api::new(cli.shared_podman(), parallel, via, place);
        Self { cli, api: Arc::new(api), choosing_ports: Arc::default() }
    }

    /// The podman that is called.
    pub(crate) fn shared_podman(&self) -> Arc<Podman> {
        self.cli.shared_podman()
    }

    /// The service that is asked.
    pub(crate) fn shared_api(&self) -> Arc<Api> {
        self.api.clone()
    }

    /// The specification with a port for each range of them, since Podman takes no range for one port of a container. One at a
    /// time: the next one sees what is taken.
    async fn with_ports<'s>(
        &self,
        spec: &'s ContainerSpec,
    ) -> Result<(Cow<'s, ContainerSpec>, Option<MutexGuard<'_, ()>>)> {
        if !spec.has_port_ranges() {
            return Ok((Cow::Borrowed(spec), None));
        }
        let choosing = self.choosing_ports.lock().await;
        let mut spec = spec.clone();
        spec.choose_ports(&self.list(&ContainerFilter::default()).await?, |port, number| {
            self.cli.may_be_free(port, number)
        })?;
        Ok((Cow::Owned(spec), Some(choosing)))
    }

    /// Looks over the service. It knows images by whole names alone.
    async fn observe_by(&self, line: &Line, scope: &Scope) -> Result<Observed> {
        let names: BTreeSet<String> =
            scope.images.iter().flat_map(|image| create::image_names(image)).collect();
        let mut wider = Scope { images: names, ..scope.clone() };
        let mut observed = if scope.detail == Detail::Whole {
            line.heard(line.engine().observe(&wider).await)?
        } else {
            // Networks that a container is on need no look.
            let mut later = Scope::new(scope.project.clone());
            if !scope.networks.of_project {
                later.networks = std::mem::take(&mut wider.networks);
            }
            let labels = [labels::of_project(&scope.project)];
            let containers = line.containers(&labels, true, &self.cli);
            let (containers, mut observed) = tokio::try_join!(containers, line.besides(&wider))?;
            let networks = match cli::known(&containers, &later.networks.names, &scope.project) {
                Some(known) => known,
                None => line.besides(&later).await?.networks,
            };
            observed.networks.extend(networks);
            Observed { containers, ..observed }
        };
        let found = std::mem::take(&mut observed.images);
        let find = |image: &String| {
            let id = create::image_names(image).iter().find_map(|name| found.get(name).cloned())?;
            Some((image.clone(), id))
        };
        observed.images = scope.images.iter().filter_map(find).collect();
        Ok(observed)
    }
}

#[async_trait]
impl Engine for PodmanEngine {
    fn kind(&self) -> RuntimeKind {
        RuntimeKind::Podman
    }

    fn endpoint(&self) -> String {
        self.cli.endpoint()
    }

    fn runs_healthchecks(&self) -> bool {
        self.cli.runs_healthchecks()
    }

    /// What commands cannot do either: what only the service cannot is given to them.
    fn lacks(&self, wish: Wish<'_>) -> Vec<Lack> {
        self.cli.lacks(wish)
    }

    async fn info(&self) -> Result<EngineInfo> {
        match self.api.line().await? {
            Some(line) => line.heard(line.info(self.endpoint()).await),
            None => self.cli.info().await,
        }
    }

    async fn observe(&self, scope: &Scope) -> Result<Observed> {
        match self.api.line().await? {
            Some(line) => self.observe_by(&line, scope).await,
            None => self.cli.observe(scope).await,
        }
    }

    async fn list(&self, filter: &ContainerFilter) -> Result<Vec<Container>> {
        match self.api.line().await? {
            Some(line) if filter.detail == Detail::Listed => {
                line.containers(&filter.label_words(), !filter.running, &self.cli).await
            }
            Some(line) => line.heard(line.engine().list(filter).await),
            None => self.cli.list(filter).await,
        }
    }

    async fn inspect(&self, container: &str) -> Result<Container> {
        either!(self, engine => engine.inspect(container).await)
    }

    async fn create_container(&self, spec: &ContainerSpec) -> Result<ContainerId> {
        let (spec, _choosing) = self.with_ports(spec).await?;
        if let Some(line) = self.api.line().await?
            && let Some(created) = line.create_container(&spec, &self.cli).await
        {
            return created;
        }
        self.cli.create_container(&spec).await
    }

    /// By commands alone: each is a process.
    fn runs_in_one_call(&self) -> bool {
        self.api.is_never_asked()
    }

    async fn run_container(&self, spec: &ContainerSpec) -> Result<ContainerId> {
        let (spec, _choosing) = self.with_ports(spec).await?;
        self.cli.run_container(&spec).await
    }

    async fn start_container(&self, id: &ContainerId) -> Result<()> {
        let started = either!(self, engine => engine.start_container(id).await);
        match started {
            Err(Error::Command(_) | Error::Api { .. }) if self.cli.end_unwritten(id).await => {
                either!(self, engine => engine.start_container(id).await)
            }
            outcome => outcome,
        }
    }

    async fn stop_container(&self, id: &ContainerId, grace: Option<Duration>) -> Result<()> {
        either!(self, engine => engine.stop_container(id, grace).await)
    }

    /// By commands alone: each is a process.
    fn takes_several(&self) -> bool {
        self.api.is_never_asked() && self.cli.takes_several()
    }

    async fn stop_containers(&self, ids: &[ContainerId], grace: Option<Duration>) -> Vec<Result<()>> {
        self.cli.stop_containers(ids, grace).await
    }

    async fn remove_containers(
        &self,
        ids: &[ContainerId],
        anonymous_volumes: AnonymousVolumes,
    ) -> Vec<Result<()>> {
        self.cli.remove_containers(ids, anonymous_volumes).await
    }

    async fn kill_container(&self, id: &ContainerId, signal: &str) -> Result<()> {
        either!(self, engine => engine.kill_container(id, signal).await)
    }

    async fn pause_container(&self, id: &ContainerId) -> Result<()> {
        either!(self, engine => engine.pause_container(id).await)
    }

    async fn unpause_container(&self, id: &ContainerId) -> Result<()> {
        either!(self, engine => engine.unpause_container(id).await)
    }

    async fn wait_container(&self, id: &ContainerId) -> Result<i64> {
        either!(self, engine => engine.wait_container(id).await)
    }

    async fn remove_container(&self, id: &ContainerId, anonymous_volumes: AnonymousVolumes) -> Result<()> {
        either!(self, engine => engine.remove_container(id, anonymous_volumes).await)
    }

    async fn rename_container(&self, id: &ContainerId, name: &ContainerName) -> Result<()> {
        either!(self, engine => engine.rename_container(id, name).await)
    }

    async fn create_network(&self, spec: &NetworkSpec) -> Result<()> {
        match self.api.line().await?.filter(|line| line.can(Wish::Network(spec))) {
            Some(line) => line.heard(line.engine().create_network(spec).await),
            None => self.cli.create_network(spec).await,
        }
    }

    async fn remove_network(&self, name: &ResourceName) -> Result<()> {
        either!(self, engine => engine.remove_network(name).await)
    }

    async fn create_volume(&self, spec: &VolumeSpec) -> Result<()> {
        either!(self, engine => engine.create_volume(spec).await)
    }

    async fn remove_volume(&self, name: &ResourceName) -> Result<()> {
        either!(self, engine => engine.remove_volume(name).await)
    }

    /// By a command, which knows the user's credentials.
    async fn pull(&self, image: &str, progress: &Progress) -> Result<ImageId> {
        self.cli.pull(image, progress).await
    }

    /// By a command: the service knows no secrets of a build, and gives names to images as Docker does.
    async fn build(&self, spec: &BuildSpec, progress: &Progress) -> Result<ImageId> {
        self.cli.build(spec, progress).await
    }

    /// By a command, which knows the user's credentials.
    async fn push(&self, image: &str, progress: &Progress) -> Result<()> {
        self.cli.push(image, progress).await
    }

    /// By a command: the service knows images by whole names alone.
    async fn remove_image(&self, image: &str) -> Result<()> {
        self.cli.remove_image(image).await
    }

    async fn remove_replaced_images(&self, project: &ProjectName) -> Result<()> {
        self.cli.remove_replaced_images(project).await
    }

    /// By a command: of a container that has ended while somebody followed it, the service of Podman 4.3 and 5.4 tells a part only,
    /// and each line is a piece of its own, which takes it several times as long.
    async fn logs(&self, id: &ContainerId, options: &LogOptions) -> Result<LogStream> {
        self.cli.logs(id, options).await
    }

    async fn events(&self, project: Option<&ProjectName>) -> Result<EngineEvents> {
        match self.api.line().await? {
            Some(line) => line.heard(line.engine().events(project).await).map(|told| line.keeping(told)),
            None => self.cli.events(project).await,
        }
    }

    async fn exec(&self, id: &ContainerId, spec: &ExecSpec) -> Result<ExecOutput> {
        either!(self, engine => engine.exec(id, spec).await)
    }

    /// By a command, whose terminal is a process's too.
    async fn exec_session(&self, id: &ContainerId, spec: &ExecSpec) -> Result<Session> {
        self.cli.exec_session(id, spec).await
    }

    async fn exec_detached(&self, id: &ContainerId, spec: &ExecSpec) -> Result<()> {
        self.cli.exec_detached(id, spec).await
    }

    /// By a command, as [`Engine::exec_session`].
    async fn attach(&self, id: &ContainerId, spec: &AttachSpec) -> Result<Session> {
        self.cli.attach(id, spec).await
    }

    async fn copy_from(&self, id: &ContainerId, path: &str) -> Result<Archive> {
        match self.api.line().await? {
            Some(line) => line.heard(line.engine().copy_from(id, path).await).map(|all| line.keeping(all)),
            None => self.cli.copy_from(id, path).await,
        }
    }

    async fn copy_to(
        &self,
        id: &ContainerId,
        folder: &str,
        archive: Archive,
        owner: CopiedOwner,
    ) -> Result<()> {
        either!(self, engine => engine.copy_to(id, folder, archive, owner).await)
    }

    /// By a command: the service has other columns.
    async fn top(&self, id: &ContainerId) -> Result<ProcessTable> {
        self.cli.top(id).await
    }

    async fn stats(&self, ids: &[ContainerId]) -> Result<Usages> {
        match self.api.line().await? {
            Some(line) => line.heard(line.engine().stats(ids).await).map(|told| line.keeping(told)),
            None => self.cli.stats(ids).await,
        }
    }

    async fn image(&self, image: &str) -> Result<Image> {
        self.cli.image(image).await
    }

    /// By a command: podman counts what a check says, and Docker's API has no word for running one.
    async fn check_health(&self, id: &ContainerId) -> Result<HealthStatus> {
        self.cli.check_health(id).await
    }

    async fn settle(&self) {
        self.cli.settle().await;
    }

    async fn close(&self) {
        self.api.close().await;
    }
}
