//! What would be done, without doing it: an engine whose reads are another's and whose changes are kept in memory, so that
//! all of compose over it goes as it would.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use compose_file::ProjectName;
use futures_util::{StreamExt, stream};
use tokio::sync::watch;

use crate::{
    AnonymousVolumes, Archive, AttachSpec, BootId, BuildSpec, Container, ContainerFilter, ContainerId,
    ContainerName, ContainerSpec, ContainerState, CopiedOwner, Engine, EngineEvents, EngineInfo, Error,
    ExecOutput, ExecSpec, HealthStatus, Image, ImageId, Lack, LogOptions, LogStream, MachineHost,
    MachineLock, MachineProblem, MachineStatus, MountSourceSpec, NetworkSpec, Observed, Patience,
    ProcessTable, Progress, Resource, ResourceKind, ResourceName, Result, RuntimeKind, Scope, Session,
    SessionEvent, Sought, Started, TerminalSize, Usages, VolumeSpec, Wish, labels,
};

/// An engine that is only asked, never told. What it would be told is remembered, and is in all later answers.
#[derive(Debug)]
pub(crate) struct Foreseen {
    engine: Arc<dyn Engine>,
    changed: Mutex<Changed>,
}

/// What is no longer as the engine has it; `None` is gone.
#[derive(Debug, Default)]
struct Changed {
    /// By id.
    containers: BTreeMap<String, Option<Container>>,
    networks: BTreeMap<String, Option<Resource>>,
    volumes: BTreeMap<String, Option<Resource>>,
    /// What was pulled or built, by reference.
    images: BTreeMap<String, ImageId>,
    /// So many things have been made.
    made: u64,
}

impl Changed {
    /// An id that no engine gives.
    fn id(&mut self) -> String {
        self.made += 1;
        format!("{:064x}", self.made)
    }

    fn find(&self, container: &str) -> Option<&Container> {
        let by_id = self.containers.get(container).and_then(Option::as_ref);
        by_id.or_else(|| self.containers.values().flatten().find(|one| one.name == container))
    }
}

impl Foreseen {
    pub(crate) fn new(engine: Arc<dyn Engine>) -> Self {
        Self { engine, changed: Mutex::default() }
    }

    fn changed(&self) -> MutexGuard<'_, Changed> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The engine's containers as they would be, and those that would be there besides.
    fn with_changes(&self, found: Vec<Container>, is_meant: impl Fn(&Container) -> bool) -> Vec<Container> {
        let changed = self.changed();
        let unchanged = found.into_iter().filter(|one| !changed.containers.contains_key(&one.id.0));
        let now = changed.containers.values().flatten().filter(|one| is_meant(one)).cloned();
        unchanged.chain(now).collect()
    }

    /// Changes a container in memory.
    async fn change(&self, id: &ContainerId, change: impl FnOnce(&mut Container) + Send) -> Result<()> {
        let mut container = self.inspect(&id.0).await?;
        change(&mut container);
        self.changed().containers.insert(container.id.0.clone(), Some(container));
        Ok(())
    }

    /// The image that would be there. What comes of one that is here already is not known: it is taken for the same.
    async fn obtain(&self, image: &str) -> ImageId {
        let id = match self.image(image).await {
            Ok(found) => found.id,
            Err(_) => ImageId::new(&self.changed().id()),
        };
        self.changed().images.insert(image.to_owned(), id.clone());
        id
    }

    /// Whether it is not on the engine.
    fn is_only_foreseen(&self, id: &ContainerId) -> bool {
        let made =
            |digits: &str| u64::from_str_radix(digits, 16).is_ok_and(|made| made <= self.changed().made);
        id.0.len() == 64 && made(&id.0)
    }
}

fn merge(
    found: &mut BTreeMap<String, Resource>,
    changed: &BTreeMap<String, Option<Resource>>,
    project: &ProjectName,
    sought: &Sought,
) {
    for (name, now) in changed {
        let is_meant = |now: &&Resource| sought.means(project, name, &now.labels);
        match now.as_ref().filter(is_meant) {
            Some(now) => found.insert(name.clone(), now.clone()),
            None => found.remove(name),
        };
    }
}

fn not_found(kind: ResourceKind, name: &str) -> Error {
    Error::NotFound { kind, name: name.to_owned() }
}

/// A process that says nothing and ends well.
fn ended() -> Session {
    let end = stream::iter([Ok(SessionEvent::Ended { exit_code: 0 })]);
    Session { output: end.boxed(), input: None, size: watch::Sender::new(TerminalSize::default()) }
}

#[async_trait]
impl Engine for Foreseen {
    fn kind(&self) -> RuntimeKind {
        self.engine.kind()
    }

    fn endpoint(&self) -> String {
        self.engine.endpoint()
    }

    fn runs_healthchecks(&self) -> bool {
        self.engine.runs_healthchecks()
    }

    fn is_foreseen(&self) -> bool {
        true
    }

    fn lacks(&self, wish: Wish<'_>) -> Vec<Lack> {
        self.engine.lacks(wish)
    }

    async fn info(&self) -> Result<EngineInfo> {
        self.engine.info().await
    }

    async fn observe(&self, scope: &Scope) -> Result<Observed> {
        let mut observed = self.engine.observe(scope).await?;
        let of_project = |one: &Container| one.label(labels::PROJECT) == Some(scope.project.as_str());
        observed.containers = self.with_changes(observed.containers, of_project);
        let changed = self.changed();
        merge(&mut observed.networks, &changed.networks, &scope.project, &scope.networks);
        merge(&mut observed.volumes, &changed.volumes, &scope.project, &scope.volumes);
        let images = changed.images.iter().filter(|(image, _)| scope.images.contains(*image));
        observed.images.extend(images.map(|(image, id)| (image.clone(), id.clone())));
        drop(changed);
        Ok(observed)
    }

    async fn list(&self, filter: &ContainerFilter) -> Result<Vec<Container>> {
        let is_meant = |one: &Container| {
            let mut labels = filter.labels.iter();
            let has = |(name, value): &(String, Option<String>)| match (one.label(name), value) {
                (Some(found), Some(value)) => found == value,
                (found, None) => found.is_some(),
                (None, Some(_)) => false,
            };
            (!filter.running || one.state.is_running()) && labels.all(has)
        };
        Ok(self.with_changes(self.engine.list(filter).await?, is_meant))
    }

    async fn inspect(&self, container: &str) -> Result<Container> {
        if let Some(found) = self.changed().find(container) {
            return Ok(found.clone());
        }
        let gone = || not_found(ResourceKind::Container, container);
        if self.changed().containers.contains_key(container) {
            return Err(gone());
        }
        let found = self.engine.inspect(container).await?;
        // One that has another name now, or is gone.
        if self.changed().containers.contains_key(&found.id.0) { Err(gone()) } else { Ok(found) }
    }

    async fn create_container(&self, spec: &ContainerSpec) -> Result<ContainerId> {
        if self.inspect(spec.name.as_str()).await.is_ok() {
            return Err(Error::NameInUse { name: spec.name.to_string(), by: None });
        }
        let image_id = self.obtain(&spec.image).await;
        let mut changed = self.changed();
        let id = ContainerId(changed.id());
        let state = ContainerState::Created;
        let mut container = Container::new(id.clone(), spec.name.as_str(), &spec.image, state);
        container.image_id = Some(image_id);
        container.labels = spec.labels.clone();
        container.tty = spec.tty;
        container.networks = spec.networks.iter().map(|one| one.network.to_string()).collect();
        let named = spec.mounts.iter().filter_map(|mount| match &mount.source {
            MountSourceSpec::Volume { name, .. } => Some((mount.target.clone(), name.to_string())),
            _ => None,
        });
        container.volumes = Some(named.collect());
        changed.containers.insert(id.0.clone(), Some(container));
        Ok(id)
    }

    async fn start_container(&self, id: &ContainerId) -> Result<()> {
        self.change(id, |container| container.state = ContainerState::Running).await
    }

    async fn stop_container(&self, id: &ContainerId, _grace: Option<Duration>) -> Result<()> {
        self.change(id, |container| container.state = ContainerState::Exited).await
    }

    async fn kill_container(&self, id: &ContainerId, signal: &str) -> Result<()> {
        // What comes of another signal is the container's own business.
        let ends = signal == "SIGKILL";
        self.change(id, |container| {
            if ends {
                container.state = ContainerState::Exited
            }
        })
        .await
    }

    async fn pause_container(&self, id: &ContainerId) -> Result<()> {
        self.change(id, |container| container.state = ContainerState::Paused).await
    }

    async fn unpause_container(&self, id: &ContainerId) -> Result<()> {
        self.change(id, |container| container.state = ContainerState::Running).await
    }

    async fn wait_container(&self, id: &ContainerId) -> Result<i64> {
        let known = self.changed().containers.contains_key(&id.0);
        if known { Ok(0) } else { self.engine.wait_container(id).await }
    }

    async fn remove_container(&self, id: &ContainerId, _volumes: AnonymousVolumes) -> Result<()> {
        let container = self.inspect(&id.0).await?;
        self.changed().containers.insert(container.id.0, None);
        Ok(())
    }

    async fn rename_container(&self, id: &ContainerId, name: &ContainerName) -> Result<()> {
        self.change(id, |container| container.name = name.to_string()).await
    }

    async fn create_network(&self, spec: &NetworkSpec) -> Result<()> {
        let name = spec.name.to_string();
        let network = Resource { name: name.clone(), labels: spec.labels.clone(), ..Resource::default() };
        self.changed().networks.insert(name, Some(network));
        Ok(())
    }

    async fn remove_network(&self, name: &ResourceName) -> Result<()> {
        self.changed().networks.insert(name.to_string(), None);
        Ok(())
    }

    async fn create_volume(&self, spec: &VolumeSpec) -> Result<()> {
        let name = spec.name.to_string();
        let volume = Resource { name: name.clone(), labels: spec.labels.clone(), ..Resource::default() };
        self.changed().volumes.insert(name, Some(volume));
        Ok(())
    }

    async fn remove_volume(&self, name: &ResourceName) -> Result<()> {
        self.changed().volumes.insert(name.to_string(), None);
        Ok(())
    }

    async fn pull(&self, image: &str, _progress: &Progress) -> Result<ImageId> {
        Ok(self.obtain(image).await)
    }

    async fn remove_image(&self, image: &str) -> Result<()> {
        self.image(image).await.map(|_| ())
    }

    async fn remove_replaced_images(&self, _project: &ProjectName) -> Result<()> {
        Ok(())
    }

    async fn build(&self, spec: &BuildSpec, _progress: &Progress) -> Result<ImageId> {
        let id = self.obtain(&spec.image).await;
        let tags: BTreeSet<String> = spec.tags.iter().cloned().collect();
        self.changed().images.extend(tags.into_iter().map(|tag| (tag, id.clone())));
        Ok(id)
    }

    async fn push(&self, image: &str, _progress: &Progress) -> Result<()> {
        self.image(image).await.map(|_| ())
    }

    async fn logs(&self, id: &ContainerId, options: &LogOptions) -> Result<LogStream> {
        match self.is_only_foreseen(id) {
            true => Ok(stream::empty().boxed()),
            false => self.engine.logs(id, options).await,
        }
    }

    async fn events(&self, project: Option<&ProjectName>) -> Result<EngineEvents> {
        self.engine.events(project).await
    }

    async fn exec(&self, id: &ContainerId, _spec: &ExecSpec) -> Result<ExecOutput> {
        self.inspect(&id.0).await?;
        Ok(ExecOutput { exit_code: 0, stdout: Vec::new(), stderr: Vec::new() })
    }

    async fn exec_session(&self, id: &ContainerId, _spec: &ExecSpec) -> Result<Session> {
        self.inspect(&id.0).await.map(|_| ended())
    }

    async fn exec_detached(&self, id: &ContainerId, _spec: &ExecSpec) -> Result<()> {
        self.inspect(&id.0).await.map(|_| ())
    }

    async fn attach(&self, id: &ContainerId, _spec: &AttachSpec) -> Result<Session> {
        self.inspect(&id.0).await.map(|_| ended())
    }

    async fn copy_from(&self, id: &ContainerId, path: &str) -> Result<Archive> {
        self.engine.copy_from(id, path).await
    }

    async fn copy_to(
        &self,
        id: &ContainerId,
        _folder: &str,
        _archive: Archive,
        _owner: CopiedOwner,
    ) -> Result<()> {
        self.inspect(&id.0).await.map(|_| ())
    }

    async fn top(&self, id: &ContainerId) -> Result<ProcessTable> {
        self.engine.top(id).await
    }

    async fn stats(&self, ids: &[ContainerId]) -> Result<Usages> {
        self.engine.stats(ids).await
    }

    async fn image(&self, image: &str) -> Result<Image> {
        let found = self.engine.image(image).await;
        match (found, self.changed().images.get(image)) {
            (Err(Error::NotFound { .. } | Error::Image { .. }), Some(id)) => {
                Ok(Image::new(id.clone(), vec![image.to_owned()], 0))
            }
            (found, _) => found,
        }
    }

    async fn check_health(&self, _id: &ContainerId) -> Result<HealthStatus> {
        // A check is a program, which may change anything.
        Ok(HealthStatus::Healthy)
    }
}

/// A machine that is only looked at. One that is off stays off, which is told to who needs it.
#[derive(Debug)]
pub(crate) struct ForeseenMachine {
    host: Arc<dyn MachineHost>,
}

impl ForeseenMachine {
    pub(crate) fn new(host: Arc<dyn MachineHost>) -> Self {
        Self { host }
    }

    fn refused(&self, problem: MachineProblem) -> Error {
        Error::Machine { name: self.host.name().to_owned(), problem }
    }
}

#[async_trait]
impl MachineHost for ForeseenMachine {
    fn name(&self) -> &str {
        self.host.name()
    }

    fn patience(&self) -> Patience {
        self.host.patience()
    }

    async fn status(&self) -> Result<MachineStatus> {
        self.host.status().await
    }

    async fn init(&self, _progress: &Progress) -> Result<()> {
        Err(self.refused(MachineProblem::Missing))
    }

    async fn start(&self, _progress: &Progress) -> Result<Started> {
        Err(self.refused(MachineProblem::Stopped))
    }

    async fn stop(&self) -> Result<()> {
        Ok(())
    }

    async fn boot(&self) -> Result<BootId> {
        self.host.boot().await
    }

    async fn set_clock(&self) -> Result<Option<Duration>> {
        Ok(None)
    }

    async fn lock(&self) -> Result<Box<dyn MachineLock>> {
        Ok(Box::new(Nothing))
    }
}

/// Who changes nothing keeps nobody out.
#[derive(Debug)]
struct Nothing;

impl MachineLock for Nothing {
    fn started(&self) -> Option<BootId> {
        None
    }

    fn remember(&mut self, _boot: Option<BootId>) -> Result<()> {
        Ok(())
    }
}
