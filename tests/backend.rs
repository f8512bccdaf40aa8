//! The backends that the suite knows, and how each is reached.

use std::{
    env, io,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use compose_file::ProjectName;
use runtime_core::{Compose, ContainerRuntime, Engine, Scope};
use runtime_docker::{DockerConfig, DockerEngine};
use runtime_mock::MockEngine;
use runtime_podman::{PodmanConfig, PodmanEngine, Via};
use serde_json::Value;
use tokio::{
    process::Command,
    runtime::{Builder, Runtime},
};

use crate::{
    Failed, IMAGE, IMAGE_2, Outcome,
    probe::{socket_delete, socket_get},
};

/// How long an engine may take to say that it is there.
const GREETING: Duration = Duration::from_secs(20);
/// How long one behaviour may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// One of the backends under test.
#[derive(Debug)]
pub struct Backend {
    /// The first part of its tests' names.
    pub name: &'static str,
    kind: Kind,
    /// Projects that images may have been built for.
    built: Mutex<Vec<String>>,
}

#[derive(Debug)]
enum Kind {
    Mock,
    Podman(Via),
    Docker {
        /// `None` is where Docker is by default.
        host: Option<String>,
    },
    /// What would have to be set for it to be there.
    Unset(&'static str),
}

/// A runtime of a backend, and its engine for what happens behind the runtime's back.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The runtime.
    pub runtime: Arc<dyn ContainerRuntime>,
    /// Its engine.
    pub engine: Arc<dyn Engine>,
    /// The engine again, if it is the one in memory.
    pub mock: Option<MockEngine>,
}

fn connection(engine: impl Engine) -> Connection {
    let compose = Compose::new(engine).with_owner("longshore-tests");
    let engine = compose.engine().clone();
    Connection { runtime: Arc::new(compose), engine, mock: None }
}

impl Backend {
    /// All of them.
    pub fn all() -> Vec<Self> {
        let socket = env::var("LONGSHORE_TEST_PODMAN_SOCKET").ok().filter(|socket| !socket.is_empty());
        let over_podman = match (env::var_os("LONGSHORE_TEST_OVER_PODMAN"), socket) {
            (None, _) => Kind::Unset("LONGSHORE_TEST_OVER_PODMAN"),
            (_, None) => Kind::Unset("LONGSHORE_TEST_PODMAN_SOCKET"),
            (_, Some(path)) if path.contains("://") => Kind::Docker { host: Some(path) },
            (_, Some(path)) => Kind::Docker { host: Some(format!("unix://{path}")) },
        };
        let by_api = match env::var_os("LONGSHORE_TEST_PODMAN_API") {
            Some(_) => Kind::Podman(Via::Api),
            None => Kind::Unset("LONGSHORE_TEST_PODMAN_API"),
        };
        vec![
            Self::new("mock", Kind::Mock),
            Self::new("podman", Kind::Podman(Via::Cli)),
            Self::new("podman-api", by_api),
            Self::docker(),
            Self::new("docker-over-podman", over_podman),
        ]
    }

    fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, built: Mutex::default() }
    }

    /// Docker alone, for what only it can be asked.
    pub fn docker() -> Self {
        Self::new("docker", Kind::Docker { host: None })
    }

    /// Whether it has processes, ports of the host, and a place where it may be missing.
    pub fn is_real(&self) -> bool {
        !matches!(self.kind, Kind::Mock)
    }

    /// Whether each call runs a program.
    pub fn runs_a_program(&self) -> bool {
        matches!(self.kind, Kind::Podman(Via::Cli))
    }

    /// A connection of its own for one test.
    pub fn connect(&self) -> Connection {
        match &self.kind {
            Kind::Mock => {
                let mock = MockEngine::new();
                mock.fixture_image(IMAGE);
                mock.fixture_image(IMAGE_2);
                Connection { mock: Some(mock.clone()), ..connection(mock) }
            }
            Kind::Podman(via) => connection(PodmanEngine::new(podman(*via))),
            Kind::Docker { host } => docker(host.clone()),
            Kind::Unset(_) => docker(Some("unix:///nonexistent".to_owned())),
        }
    }

    /// A runtime of the same kind whose engine would be at `path`, where nothing is.
    ///
    /// # Errors
    /// When the backend cannot be elsewhere.
    pub fn somewhere_else(&self, path: &Path) -> Result<Arc<dyn ContainerRuntime>, Failed> {
        match &self.kind {
            Kind::Mock => Err("an engine in memory is always there".into()),
            Kind::Podman(_) => self.with_program(path, GREETING),
            Kind::Docker { .. } | Kind::Unset(_) => {
                Ok(docker(Some(format!("unix://{}", path.display()))).runtime)
            }
        }
    }

    /// A runtime of the same kind that uses another program, whose commands may take so long.
    ///
    /// # Errors
    /// When the backend uses none.
    pub fn with_program(
        &self,
        program: &Path,
        deadline: Duration,
    ) -> Result<Arc<dyn ContainerRuntime>, Failed> {
        match &self.kind {
            Kind::Podman(via) => {
                let mut config = podman(*via);
                config.deadline = deadline;
                config.program = Some(program.to_owned());
                Ok(connection(PodmanEngine::new(config)).runtime)
            }
            _ => Err("it runs no program".into()),
        }
    }

    /// Asks whether the engine answers and has the images.
    ///
    /// # Errors
    /// Why the backend cannot be tested here.
    pub fn presence(&self) -> Result<(), String> {
        if let Kind::Unset(variable) = &self.kind {
            return Err(format!("{variable} is not set"));
        }
        let asking = async {
            let engine = self.connect().engine;
            engine.info().await.map_err(|error| error.to_string())?;
            let nobodys = ProjectName::new("longshore-tests").map_err(|error| error.to_string())?;
            let images = [IMAGE.to_owned(), IMAGE_2.to_owned()].into();
            let scope = Scope { images, ..Scope::new(nobodys) };
            let observed = engine.observe(&scope).await.map_err(|error| error.to_string())?;
            match scope.images.iter().find(|image| !observed.images.contains_key(*image)) {
                Some(missing) => Err(format!("it has no image {missing}")),
                None => Ok(()),
            }
        };
        let runtime = self.tokio().map_err(|error| error.to_string())?;
        let greeting = async { tokio::time::timeout(GREETING, asking).await };
        let outcome =
            runtime.block_on(greeting).unwrap_or_else(|_| Err(format!("no answer within {GREETING:?}")));
        runtime.shutdown_background();
        outcome
    }

    /// A thing of the engine as the engine shows it, asked behind the runtime's back.
    ///
    /// # Errors
    /// When there is none, or the engine is in memory.
    pub(crate) async fn inspected(&self, kind: &str, name: &str) -> Result<Value, Failed> {
        match &self.kind {
            Kind::Podman(_) => {
                let output = Command::new("podman").args([kind, "inspect", name]).output().await?;
                let listed: Value = serde_json::from_slice(&output.stdout)?;
                listed.get(0).cloned().ok_or_else(|| format!("there is no {kind} {name}").into())
            }
            Kind::Docker { host } => {
                let socket = self.socket(host.clone());
                let path = match kind {
                    "container" => format!("/containers/{name}/json"),
                    "image" => format!("/images/{name}/json"),
                    kind => format!("/{kind}s/{name}"),
                };
                let text = socket_get(Path::new(&socket), &path).await?;
                Ok(serde_json::from_str(&text)?)
            }
            Kind::Mock | Kind::Unset(_) => Err("nobody can be asked".into()),
        }
    }

    /// Notes that images may have been built for these projects.
    pub(crate) fn has_built(&self, projects: impl Iterator<Item = String>) {
        self.built.lock().unwrap_or_else(PoisonError::into_inner).extend(projects);
    }

    /// Removes all images that were built. No other test may run: Podman's lists of images, and what is built from layers that go,
    /// fail meanwhile.
    ///
    /// # Errors
    /// When the engine cannot be asked.
    pub(crate) fn remove_built(&self) -> Outcome {
        let built = std::mem::take(&mut *self.built.lock().unwrap_or_else(PoisonError::into_inner));
        self.tokio()?.block_on(async {
            for project in built {
                self.remove_images(&project).await?;
            }
            Ok(())
        })
    }

    /// Removes the images that were built for a project.
    ///
    /// # Errors
    /// When the engine cannot be asked.
    async fn remove_images(&self, project: &str) -> Result<(), Failed> {
        match &self.kind {
            Kind::Podman(_) => {
                let label = format!("label=com.docker.compose.project={project}");
                let listed =
                    Command::new("podman").args(["images", "--quiet", "--filter", &label]).output().await?;
                let ids = String::from_utf8(listed.stdout)?;
                let ids: std::collections::BTreeSet<&str> = ids.split_whitespace().collect();
                if !ids.is_empty() {
                    Command::new("podman").args(["rmi", "--force"]).args(ids).output().await?;
                }
            }
            Kind::Docker { host } => {
                let socket = self.socket(host.clone());
                // `{"label": ["…"]}`, as an address has it.
                let filter =
                    format!("%7B%22label%22%3A%5B%22com.docker.compose.project%3D{project}%22%5D%7D");
                let path = format!("/images/json?filters={filter}");
                let text = socket_get(Path::new(&socket), &path).await?;
                let listed: Value = serde_json::from_str(&text)?;
                for id in listed.as_array().into_iter().flatten().filter_map(|image| image["Id"].as_str()) {
                    // One that another is made from goes with that.
                    let _ = socket_delete(Path::new(&socket), &format!("/images/{id}?force=true")).await;
                }
            }
            Kind::Mock | Kind::Unset(_) => {}
        }
        Ok(())
    }

    fn socket(&self, host: Option<String>) -> String {
        let host = host.or_else(|| env::var("DOCKER_HOST").ok());
        let socket = host.as_deref().and_then(|host| host.strip_prefix("unix://"));
        socket.unwrap_or("/var/run/docker.sock").to_owned()
    }

    /// A runtime for one test: with virtual time for the engine in memory.
    pub(crate) fn tokio(&self) -> io::Result<Runtime> {
        match self.kind {
            Kind::Mock => Builder::new_current_thread().enable_all().start_paused(true).build(),
            _ => Builder::new_multi_thread().worker_threads(2).enable_all().build(),
        }
    }

    /// How long one behaviour may take, by its own clock.
    pub(crate) fn patience(&self) -> Duration {
        match self.kind {
            // Days pass in a moment there; what never ends still ends.
            Kind::Mock => 1000 * PATIENCE,
            _ => PATIENCE,
        }
    }

    /// How long one behaviour may take, by ours.
    pub(crate) fn real_patience(&self) -> Duration {
        PATIENCE
    }
}

fn podman(via: Via) -> PodmanConfig {
    let mut config = PodmanConfig::default();
    config.via = via;
    config
}

fn docker(host: Option<String>) -> Connection {
    let mut config = DockerConfig::default();
    config.host = host;
    connection(DockerEngine::new(config))
}
