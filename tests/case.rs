//! One test's part of an engine.

use std::{
    path::Path,
    process,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use compose_file::{LoadOptions, Project, ProjectName};
use futures_util::{StreamExt, TryStreamExt};
use runtime_core::{
    AnonymousVolumes, Call, Container, ContainerId, ContainerRuntime, ContainerSpec, DownOptions, Engine,
    Error, LogOptions, NetworkSpec, Orphans, Recreate, RemoveVolumes, ResourceName, Result, Scope,
    ServiceLine, Sought, Target, UpOptions, UpOutcome, VolumeSpec, Wait,
};
use runtime_mock::MockEngine;
use tempfile::TempDir;

use crate::{Backend, Connection, Failed, Outcome, http_get};

static COUNTER: AtomicUsize = AtomicUsize::new(0);

/// What a behaviour is given. Clones are the same case.
#[derive(Debug, Clone)]
pub struct Case {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    backend: Arc<Backend>,
    connection: Connection,
    name: String,
    number: u8,
    dir: TempDir,
    made: Mutex<Made>,
    built: AtomicBool,
}

/// What is to be taken away.
#[derive(Debug, Default)]
struct Made {
    projects: Vec<ProjectName>,
    containers: Vec<ContainerId>,
    networks: Vec<ResourceName>,
    volumes: Vec<ResourceName>,
}

/// What an engine shows of one of its things.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    /// An engine of processes: its JSON.
    Json(serde_json::Value),
    /// The engine in memory: what it keeps, as Rust prints it.
    Debug(String),
}

/// Options of `up` that differ from the usual ones.
pub fn options(change: impl FnOnce(&mut UpOptions)) -> UpOptions {
    let mut options = UpOptions::default();
    change(&mut options);
    options
}

fn all_of_it() -> DownOptions {
    let mut options = DownOptions::default();
    options.volumes = RemoveVolumes::Yes;
    options.orphans = Orphans::Remove;
    // What was cancelled right after a start may not listen to signals yet.
    options.timeout = Some(Duration::from_secs(1));
    options
}

impl Case {
    pub(crate) fn new(backend: &Arc<Backend>) -> Result<Self, Failed> {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        Ok(Self {
            shared: Arc::new(Shared {
                backend: backend.clone(),
                connection: backend.connect(),
                name: format!("lst{}x{number}", process::id()),
                number: (number % 256) as u8,
                dir: tempfile::tempdir()?,
                made: Mutex::default(),
                built: AtomicBool::new(false),
            }),
        })
    }

    fn made(&self) -> MutexGuard<'_, Made> {
        self.shared.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The runtime under test.
    pub fn runtime(&self) -> &Arc<dyn ContainerRuntime> {
        &self.shared.connection.runtime
    }

    /// Its engine, for what happens behind its back.
    pub fn engine(&self) -> &Arc<dyn Engine> {
        &self.shared.connection.engine
    }

    /// The engine in memory, if it is that one.
    pub fn mock(&self) -> Option<&MockEngine> {
        self.shared.connection.mock.as_ref()
    }

    /// The backend.
    pub fn backend(&self) -> &Backend {
        &self.shared.backend
    }

    /// The beginning of all names of this case.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// A number that no other case has that runs now, for an address that an engine gives only once.
    pub fn number(&self) -> u8 {
        self.shared.number
    }

    /// A folder that goes with the case; relative paths of its projects start here.
    pub fn dir(&self) -> &Path {
        self.shared.dir.path()
    }

    /// Whether images may have been built.
    fn has_built(&self) -> bool {
        self.shared.built.load(Ordering::Relaxed)
    }

    /// The project of this text, under the case's name.
    ///
    /// # Errors
    /// When it does not load.
    pub fn project(&self, text: &str) -> Result<Project, Failed> {
        self.project_named("", text)
    }

    /// Another project of the case, its name followed by `suffix`.
    ///
    /// # Errors
    /// When it does not load.
    pub fn project_named(&self, suffix: &str, text: &str) -> Result<Project, Failed> {
        let name = ProjectName::new(format!("{}{suffix}", self.name()))?;
        let mut made = self.made();
        if !made.projects.contains(&name) {
            made.projects.push(name.clone());
        }
        drop(made);
        let mut options = LoadOptions::new(self.dir());
        options.project_name = Some(name.to_string());
        let file = self.dir().join("compose.yaml");
        let project = compose_file::load_str(&file.display().to_string(), text, &options)?;
        if project.services.values().any(|service| service.build.is_some()) {
            self.shared.built.store(true, Ordering::Relaxed);
        }
        Ok(project)
    }

    /// Another project of the case, of one service `web` that sleeps until it is stopped.
    ///
    /// # Errors
    /// None that a test would not have found.
    pub fn sleeper(&self, suffix: &str) -> Result<Project, Failed> {
        self.project_named(
            suffix,
            "services: {web: {image: 'localhost/longshore-fixture:1', command: [sleep]}}",
        )
    }

    /// Brings it up as usual.
    ///
    /// # Errors
    /// Those of the runtime.
    pub async fn up(&self, project: &Project) -> Result<UpOutcome> {
        self.runtime().up(project, &UpOptions::default(), &Call::default()).await
    }

    /// Brings it up and waits until all is healthy.
    ///
    /// # Errors
    /// Those of the runtime.
    pub async fn up_wait(&self, project: &Project) -> Result<UpOutcome> {
        self.up_with(project, &options(|o| o.wait = Wait::Healthy { timeout: None })).await
    }

    /// Brings it up with options.
    ///
    /// # Errors
    /// Those of the runtime.
    pub async fn up_with(&self, project: &Project, options: &UpOptions) -> Result<UpOutcome> {
        self.runtime().up(project, options, &Call::default()).await
    }

    /// Brings it up, every container anew.
    ///
    /// # Errors
    /// Those of the runtime.
    pub async fn up_anew(&self, project: &Project) -> Result<UpOutcome> {
        self.up_with(project, &options(|o| o.recreate = Recreate::Always)).await
    }

    /// Stops the target's containers as usual.
    ///
    /// # Errors
    /// Those of the runtime.
    pub async fn stop(&self, target: impl Into<Target>) -> Result<()> {
        self.runtime().stop(&target.into(), &Default::default(), &Call::default()).await
    }

    /// Starts the target's containers.
    ///
    /// # Errors
    /// Those of the runtime.
    pub async fn start(&self, target: impl Into<Target>) -> Result<()> {
        self.runtime().start(&target.into(), &Call::default()).await
    }

    /// Takes it down as usual: volumes and orphans stay.
    ///
    /// # Errors
    /// Those of the runtime.
    pub async fn down(&self, target: impl Into<Target>) -> Result<()> {
        self.runtime().down(&target.into(), &DownOptions::default(), &Call::default()).await
    }

    /// Takes everything of it down, and fails when something is left.
    ///
    /// # Errors
    /// Those of the runtime, and what is left.
    pub async fn wipe(&self, project: &ProjectName) -> Outcome {
        self.runtime().down(&Target::name(project.clone()), &all_of_it(), &Call::default()).await?;
        let left = self.things_of(project).await?;
        if left.is_empty() { Ok(()) } else { Err(format!("left of {project}: {}", left.join(", ")).into()) }
    }

    /// Everything on the engine that carries the project's label, as `kind name`.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn things_of(&self, project: &ProjectName) -> Result<Vec<String>> {
        let scope = Scope {
            networks: Sought::of_project(),
            volumes: Sought::of_project(),
            ..Scope::new(project.clone())
        };
        let observed = self.engine().observe(&scope).await?;
        let containers = observed.containers.iter().map(|container| format!("container {}", container.name));
        let networks = observed.networks.keys().map(|name| format!("network {name}"));
        let volumes = observed.volumes.keys().map(|name| format!("volume {name}"));
        let mut all: Vec<String> = containers.chain(networks).chain(volumes).collect();
        all.sort();
        Ok(all)
    }

    /// The project's containers.
    ///
    /// # Errors
    /// Those of the runtime.
    pub async fn ps(&self, project: &Project) -> Result<Vec<Container>> {
        self.runtime().ps(&project.name).await
    }

    /// A service's first container.
    ///
    /// # Errors
    /// When there is none.
    pub async fn container(&self, project: &Project, service: &str) -> Result<Container, Failed> {
        let containers = self.ps(project).await?;
        let found = containers.into_iter().find(|container| container.service() == Some(service));
        found.ok_or_else(|| format!("{service} has no container").into())
    }

    /// The ids of a project's containers, by name.
    ///
    /// # Errors
    /// Those of the runtime.
    pub async fn ids(&self, project: &Project) -> Result<std::collections::BTreeMap<String, ContainerId>> {
        let containers = self.ps(project).await?;
        Ok(containers.into_iter().map(|container| (container.name, container.id)).collect())
    }

    /// The lines of a service's log, read until its containers have ended.
    ///
    /// # Errors
    /// Those of the runtime.
    pub async fn output(&self, project: &Project, service: &str) -> Result<Vec<String>> {
        let options = LogOptions { follow: true, ..LogOptions::default() };
        let lines = self.lines(Target::from(project).services([service]), &options).await?;
        Ok(lines.into_iter().map(|line| line.line.text).collect())
    }

    /// All lines of a target's logs.
    ///
    /// # Errors
    /// Those of the runtime.
    pub async fn lines(&self, target: impl Into<Target>, options: &LogOptions) -> Result<Vec<ServiceLine>> {
        self.runtime().logs(&target.into(), options).await?.try_collect().await
    }

    /// Brings it up and returns what the service printed until its end.
    ///
    /// # Errors
    /// Those of the runtime.
    pub async fn run(&self, project: &Project, service: &str) -> Result<Vec<String>> {
        self.up(project).await?;
        self.output(project, service).await
    }

    /// Waits until a service has printed this line.
    ///
    /// # Errors
    /// When its log ends without it.
    pub async fn says(&self, project: &Project, service: &str, line: &str) -> Outcome {
        let options = LogOptions { follow: true, ..LogOptions::default() };
        let mut lines = self.runtime().logs(&Target::from(project).services([service]), &options).await?;
        while let Some(next) = lines.try_next().await? {
            if next.line.text == line {
                return Ok(());
            }
        }
        Err(format!("{service} never said {line:?}").into())
    }

    /// Waits until a container of a service runs.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn until_running(&self, project: &Project, service: &str) -> Outcome {
        // Events first: what starts between the two calls is then seen by one of them.
        let mut events = self.engine().events(Some(&project.name)).await?;
        loop {
            let containers = self.ps(project).await?;
            if containers.iter().any(|one| one.service() == Some(service) && one.state.is_running()) {
                return Ok(());
            }
            events.next().await.ok_or("the engine ended its events")??;
        }
    }

    /// An image that is in a registry, and may be here already.
    ///
    /// # Errors
    /// When no registry is given.
    pub fn remote_image(&self) -> Result<String, Failed> {
        if self.mock().is_some() {
            return Ok("registry.test/longshore-fixture:pull".to_owned());
        }
        let registry = std::env::var("LONGSHORE_TEST_REGISTRY")
            .map_err(|_| Failed::NotHere("LONGSHORE_TEST_REGISTRY is not set".to_owned()))?;
        Ok(format!("{registry}/longshore-fixture:pull"))
    }

    /// A container, network or volume as its engine itself shows it.
    ///
    /// # Errors
    /// When there is none.
    pub async fn inspected(&self, kind: &str, name: &str) -> Result<Seen, Failed> {
        if let Some(mock) = self.mock() {
            let text = match kind {
                "network" => mock.network_spec(name).map(|spec| format!("{spec:?}")),
                "volume" => mock.volume_spec(name).map(|spec| format!("{spec:?}")),
                _ => mock.container_spec(name).map(|spec| format!("{spec:?}")),
            };
            return text.map(Seen::Debug).ok_or_else(|| format!("there is no {kind} {name}").into());
        }
        self.backend().inspected(kind, name).await.map(Seen::Json)
    }

    /// The port of this computer at which a container's port answers.
    ///
    /// # Errors
    /// When it is not published.
    pub fn published(&self, container: &Container, target: u16) -> Result<u16, Failed> {
        let port = container.ports.iter().find(|port| port.target == target && port.published != 0);
        port.map(|port| port.published).ok_or_else(|| {
            format!("{} does not publish {target}: {:?}", container.name, container.ports).into()
        })
    }

    /// Asks the server at a published port.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn get(&self, port: u16, path: &str) -> Result<String, Failed> {
        match self.mock() {
            Some(mock) => Ok(mock.fetch(port, path)?),
            None => Ok(http_get(port, path).await?),
        }
    }

    /// Creates and starts a container that is not of any project of ours.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn foreign_container(&self, spec: &ContainerSpec) -> Result<ContainerId> {
        let id = self.engine().create_container(spec).await?;
        self.made().containers.push(id.clone());
        self.engine().start_container(&id).await?;
        Ok(id)
    }

    /// Creates a network that is not of any project of ours.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn foreign_network(&self, spec: &NetworkSpec) -> Result<()> {
        self.engine().create_network(spec).await?;
        self.made().networks.push(spec.name.clone());
        Ok(())
    }

    /// Creates a volume that is not of any project of ours.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn foreign_volume(&self, spec: &VolumeSpec) -> Result<()> {
        self.engine().create_volume(spec).await?;
        self.made().volumes.push(spec.name.clone());
        Ok(())
    }

    /// Takes everything away that the case made. Things that are gone already are fine; things that stay are not.
    pub(crate) async fn clean(&self) -> Outcome {
        let made = std::mem::take(&mut *self.made());
        let mut problems = Vec::new();
        let mut note = |outcome: Result<()>| match outcome {
            Ok(()) | Err(Error::NotFound { .. }) => {}
            Err(error) => problems.push(error.to_string()),
        };
        for id in &made.containers {
            note(self.engine().remove_container(id, AnonymousVolumes::Remove).await);
        }
        let mut left = Vec::new();
        for project in &made.projects {
            if let Err(failed) = self.wipe(project).await {
                left.push(failed.message().to_owned());
            }
        }
        if self.has_built() {
            // Taken away when no other test runs.
            self.backend().has_built(made.projects.iter().map(ProjectName::to_string));
        }
        for network in &made.networks {
            note(self.engine().remove_network(network).await);
        }
        for volume in &made.volumes {
            note(self.engine().remove_volume(volume).await);
        }
        problems.extend(left);
        if problems.is_empty() { Ok(()) } else { Err(problems.join("\n").into()) }
    }
}
