//! The engine: each call a request, its answer read.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bollard::{
    API_DEFAULT_VERSION, Docker,
    exec::{CreateExecOptions, StartExecOptions, StartExecResults},
    models::{HealthConfig, NetworkConnectRequest},
    query_parameters::{
        CreateContainerOptionsBuilder, CreateImageOptionsBuilder, EventsOptionsBuilder,
        InspectContainerOptions, KillContainerOptionsBuilder, ListContainersOptionsBuilder,
        ListNetworksOptions, ListVolumesOptions, RemoveContainerOptionsBuilder, RemoveVolumeOptions,
        RenameContainerOptionsBuilder, StartContainerOptions, StopContainerOptionsBuilder,
    },
};
use compose_file::ProjectName;
use futures_util::{StreamExt, stream};
use runtime_core::{
    AnonymousVolumes, Container, ContainerFilter, ContainerId, ContainerName, ContainerSpec, Engine,
    EngineAction, EngineEvent, EngineEvents, EngineInfo, Error, ExecOutput, HealthStatus, ImageId,
    LogOptions, LogStream, NetworkSpec, Observed, Phase, Progress, Resource, ResourceKind, ResourceName,
    Result, RuntimeKind, Scope, Subject, VolumeSpec, Work, labels,
};
use tokio::{
    sync::{OnceCell, Semaphore},
    time::timeout,
};

use crate::{
    checks::{Check, Checks},
    convert,
    failure::{Asked, explain, unexpected},
    logs,
};

/// The oldest API that is supported: Docker 20.10's.
const OLDEST_API: (usize, usize) = (1, 41);
/// The most that is kept of each output of a command in a container.
const MAX_EXEC_OUTPUT: usize = 1 << 20;

/// How to reach Docker.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DockerConfig {
    /// `unix://PATH`, `npipe://PATH`, `tcp://ADDRESS:PORT` or `http://…`; `None` is the system's own socket, or Docker Desktop's under `home`.
    pub host: Option<String>,
    /// The user's home folder, where Docker Desktop has its socket.
    pub home: Option<PathBuf>,
    /// How long an ordinary request may take, and how long a pull may be silent.
    pub deadline: Duration,
    /// How many requests run at once.
    pub parallel: usize,
}

impl Default for DockerConfig {
    fn default() -> Self {
        Self { host: None, home: None, deadline: Duration::from_secs(120), parallel: 16 }
    }
}

impl DockerConfig {
    fn endpoint(&self) -> String {
        if let Some(host) = &self.host {
            return host.clone();
        }
        if cfg!(windows) {
            return "npipe:////./pipe/docker_engine".into();
        }
        let system = PathBuf::from("/var/run/docker.sock");
        let desktop = self.home.as_ref().map(|home| home.join(".docker/run/docker.sock"));
        let chosen = desktop.filter(|desktop| !system.exists() && desktop.exists()).unwrap_or(system);
        format!("unix://{}", chosen.display())
    }
}

/// Docker as an engine. Cheap to clone; clones share one client.
#[derive(Debug, Clone)]
pub struct DockerEngine {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: DockerConfig,
    client: OnceCell<Docker>,
    permits: Semaphore,
    /// Whether what answers is Podman on a computer without systemd, which runs no healthchecks.
    checks_are_ours: AtomicBool,
    checks: Checks,
}

impl DockerEngine {
    /// An engine at the configured place. Connects at the first call.
    pub fn new(config: DockerConfig) -> Self {
        let permits = Semaphore::new(config.parallel.max(1));
        let shared = Shared {
            config,
            client: OnceCell::new(),
            permits,
            checks_are_ours: AtomicBool::new(false),
            checks: Checks::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The client, connected once; a failure is not kept.
    async fn client(&self) -> Result<&Docker> {
        self.shared.client.get_or_try_init(|| self.connect()).await
    }

    async fn connect(&self) -> Result<Docker> {
        let endpoint = self.endpoint();
        let asked = Asked { operation: "connect", kind: ResourceKind::Machine, name: "" };
        let seconds = self.shared.config.deadline.as_secs().max(1);
        let docker = match endpoint.split_once("://") {
            #[cfg(unix)]
            Some(("unix", path)) => Docker::connect_with_unix(path, seconds, API_DEFAULT_VERSION),
            #[cfg(windows)]
            Some(("npipe", path)) => Docker::connect_with_named_pipe(path, seconds, API_DEFAULT_VERSION),
            Some(("tcp" | "http", _)) => Docker::connect_with_http(&endpoint, seconds, API_DEFAULT_VERSION),
            _ => {
                let reason = "an address begins with unix://, npipe://, tcp:// or http://".to_owned();
                return Err(Error::NotReachable { engine: RuntimeKind::Docker, endpoint, reason });
            }
        };
        let docker = docker.map_err(|error| self.no_socket(explain(&error, asked, &endpoint)))?;
        let work = async {
            let docker = docker.negotiate_version().await?;
            let version = docker.version().await?;
            Ok::<_, bollard::errors::Error>((docker, version))
        };
        let (docker, version) = self.within(self.shared.config.deadline, asked, work).await?;
        let spoken = docker.client_version();
        if (spoken.major_version, spoken.minor_version) < OLDEST_API {
            let needed = format!("{}.{} (Docker 20.10)", OLDEST_API.0, OLDEST_API.1);
            return Err(Error::TooOld { what: "Docker's API".into(), found: spoken.to_string(), needed });
        }
        let podman = version.components.unwrap_or_default().iter().any(|part| part.name.contains("Podman"));
        let systemd = std::path::Path::new("/run/systemd/system").exists();
        self.shared.checks_are_ours.store(podman && !systemd, Ordering::Relaxed);
        Ok(docker)
    }

    /// A socket that is missing where no Docker is installed says so.
    fn no_socket(&self, error: Error) -> Error {
        let installed = std::env::var_os("PATH").is_some_and(|path| {
            std::env::split_paths(&path)
                .any(|folder| folder.join("docker").exists() || folder.join("docker.exe").exists())
        });
        match error {
            Error::NotReachable { reason, .. } if !installed && self.shared.config.host.is_none() => {
                Error::NotInstalled { program: "docker".into(), reason }
            }
            other => other,
        }
    }

    async fn within<T>(
        &self,
        deadline: Duration,
        asked: Asked<'_>,
        work: impl Future<Output = std::result::Result<T, bollard::errors::Error>>,
    ) -> Result<T> {
        let late = || Error::TimedOut {
            what: format!("{} {}", asked.operation, asked.name).trim().to_owned(),
            after: deadline,
        };
        match timeout(deadline, work).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(bollard::errors::Error::RequestTimeoutError)) | Err(_) => Err(late()),
            Ok(Err(error)) => Err(explain(&error, asked, &self.endpoint())),
        }
    }

    /// Makes one request with the usual deadline.
    async fn ask<'c, T, F>(
        &'c self,
        operation: &str,
        kind: ResourceKind,
        name: &str,
        request: impl FnOnce(&'c Docker) -> F,
    ) -> Result<T>
    where
        F: Future<Output = std::result::Result<T, bollard::errors::Error>>,
    {
        let client = self.client().await?;
        let _permit = self.shared.permits.acquire().await.map_err(|_| Error::ShuttingDown)?;
        self.within(self.shared.config.deadline, Asked { operation, kind, name }, request(client)).await
    }

    async fn look(&self, container: &str) -> Result<(Container, Option<HealthConfig>)> {
        let found = self
            .ask("inspect container", ResourceKind::Container, container, |docker| {
                docker.inspect_container(container, None::<InspectContainerOptions>)
            })
            .await?;
        let check = found.config.as_ref().and_then(|config| config.healthcheck.clone());
        let mut container =
            convert::inspected(found).map_err(|quote| unexpected("inspect container", container, &quote))?;
        if !self.runs_healthchecks() {
            self.shared.checks.overlay(&mut container);
        }
        Ok((container, check))
    }

    /// Lists containers and looks at each: a list has no exit code and no health but in a sentence.
    async fn containers(&self, filters: HashMap<String, Vec<String>>, all: bool) -> Result<Vec<Container>> {
        let query = ListContainersOptionsBuilder::new().all(all).filters(&filters).build();
        let listed = self
            .ask("list containers", ResourceKind::Container, "", |docker| docker.list_containers(Some(query)))
            .await?;
        let looks =
            listed.into_iter().filter_map(|summary| summary.id).map(|id| async move { self.look(&id).await });
        let mut looks = stream::iter(looks).buffer_unordered(self.shared.config.parallel.max(1));
        let mut containers = Vec::new();
        while let Some(look) = looks.next().await {
            match look {
                Ok((container, _)) => containers.push(container),
                // It has gone since.
                Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(containers)
    }

    async fn networks(&self, scope: &Scope) -> Result<BTreeMap<String, Resource>> {
        let listed = self
            .ask("list networks", ResourceKind::Network, "", |docker| {
                docker.list_networks(None::<ListNetworksOptions>)
            })
            .await?;
        let resources = listed.into_iter().filter_map(|network| {
            Some(Resource { name: network.name?, labels: convert::labels(network.labels) })
        });
        Ok(wanted(resources, scope, &scope.networks))
    }

    async fn volumes(&self, scope: &Scope) -> Result<BTreeMap<String, Resource>> {
        let listed = self
            .ask("list volumes", ResourceKind::Volume, "", |docker| {
                docker.list_volumes(None::<ListVolumesOptions>)
            })
            .await?;
        let resources = listed
            .volumes
            .unwrap_or_default()
            .into_iter()
            .map(|volume| Resource { name: volume.name, labels: volume.labels.into_iter().collect() });
        Ok(wanted(resources, scope, &scope.volumes))
    }

    async fn image(&self, reference: &str) -> Result<Option<ImageId>> {
        let found = self
            .ask("inspect image", ResourceKind::Image, reference, |docker| docker.inspect_image(reference))
            .await;
        match found {
            Ok(image) => Ok(image.id.as_deref().map(ImageId::new)),
            Err(Error::Image { .. } | Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn images(&self, references: &BTreeSet<String>) -> Result<BTreeMap<String, ImageId>> {
        // Owned, because a stream of futures that borrow from an iterator is not `Send` enough for the trait.
        let references: Vec<String> = references.iter().cloned().collect();
        let looks = references.into_iter().map(|reference| async move {
            let id = self.image(&reference).await?;
            Ok::<_, Error>((reference, id))
        });
        let mut looks = stream::iter(looks).buffer_unordered(self.shared.config.parallel.max(1));
        let mut ids = BTreeMap::new();
        while let Some(look) = looks.next().await {
            if let (reference, Some(id)) = look? {
                ids.insert(reference, id);
            }
        }
        Ok(ids)
    }
}

fn wanted(
    resources: impl Iterator<Item = Resource>,
    scope: &Scope,
    names: &BTreeSet<String>,
) -> BTreeMap<String, Resource> {
    resources
        .filter(|resource| {
            names.contains(&resource.name)
                || resource.labels.get(labels::PROJECT).map(String::as_str) == Some(scope.project.as_str())
        })
        .map(|resource| (resource.name.clone(), resource))
        .collect()
}

#[async_trait]
impl Engine for DockerEngine {
    fn kind(&self) -> RuntimeKind {
        RuntimeKind::Docker
    }

    fn endpoint(&self) -> String {
        self.shared.config.endpoint()
    }

    fn runs_healthchecks(&self) -> bool {
        !self.shared.checks_are_ours.load(Ordering::Relaxed)
    }

    async fn info(&self) -> Result<EngineInfo> {
        let version =
            self.ask("ask the version of", ResourceKind::Machine, "the engine", Docker::version).await?;
        let part = version.components.unwrap_or_default().into_iter().next();
        let name = part.map_or("Docker Engine".to_owned(), |part| part.name);
        let name = if name == "Engine" { "Docker Engine".to_owned() } else { name };
        let number = version.version.unwrap_or_default();
        let mut info = EngineInfo::new(RuntimeKind::Docker, name, number, self.endpoint());
        info.api_version = version.api_version;
        Ok(info)
    }

    async fn observe(&self, scope: &Scope) -> Result<Observed> {
        let filters =
            HashMap::from([("label".to_owned(), vec![format!("{}={}", labels::PROJECT, scope.project)])]);
        let (containers, networks, volumes, images) = tokio::try_join!(
            self.containers(filters, true),
            self.networks(scope),
            self.volumes(scope),
            self.images(&scope.images),
        )?;
        Ok(Observed { containers, networks, volumes, images })
    }

    async fn list(&self, filter: &ContainerFilter) -> Result<Vec<Container>> {
        let labels = filter.labels.iter().map(|(name, value)| match value {
            Some(value) => format!("{name}={value}"),
            None => name.clone(),
        });
        self.containers(HashMap::from([("label".to_owned(), labels.collect())]), !filter.running).await
    }

    async fn inspect(&self, container: &str) -> Result<Container> {
        self.look(container).await.map(|(container, _)| container)
    }

    async fn create_container(&self, spec: &ContainerSpec) -> Result<ContainerId> {
        let name = spec.name.as_str();
        let query = CreateContainerOptionsBuilder::new().name(name).build();
        let created = self
            .ask("create container", ResourceKind::Container, name, |docker| {
                docker.create_container(Some(query), convert::body(spec))
            })
            .await
            .map_err(|error| match error {
                Error::Image { reason, .. } => Error::Image { image: spec.image.clone(), reason },
                other => other,
            })?;
        let id = ContainerId(created.id);
        for attachment in spec.networks.iter().skip(1) {
            let request = NetworkConnectRequest {
                container: id.0.clone(),
                endpoint_config: Some(convert::endpoint(attachment)),
            };
            let network = attachment.network.as_str();
            let connected = self
                .ask("connect to network", ResourceKind::Network, network, |docker| {
                    docker.connect_network(network, request)
                })
                .await;
            if let Err(error) = connected {
                // Half a container is worse than none: the next attempt would find its name taken.
                let _ = self.remove_container(&id, AnonymousVolumes::Remove).await;
                return Err(error);
            }
        }
        Ok(id)
    }

    async fn start_container(&self, id: &ContainerId) -> Result<()> {
        self.shared.checks.forget(&id.0);
        self.ask("start container", ResourceKind::Container, &id.0, |docker| {
            docker.start_container(&id.0, None::<StartContainerOptions>)
        })
        .await
    }

    async fn stop_container(&self, id: &ContainerId, grace: Option<Duration>) -> Result<()> {
        let mut query = StopContainerOptionsBuilder::new();
        if let Some(grace) = grace {
            query = query.t(convert::whole_seconds(grace));
        }
        let client = self.client().await?;
        let _permit = self.shared.permits.acquire().await.map_err(|_| Error::ShuttingDown)?;
        // A container's own grace is not known here; a day is longer than any.
        let deadline = self.shared.config.deadline + grace.unwrap_or(Duration::from_secs(24 * 3600));
        let asked = Asked { operation: "stop container", kind: ResourceKind::Container, name: &id.0 };
        let patient = client.clone().with_timeout(deadline);
        self.within(deadline, asked, patient.stop_container(&id.0, Some(query.build()))).await
    }

    async fn kill_container(&self, id: &ContainerId, signal: &str) -> Result<()> {
        let query = KillContainerOptionsBuilder::new().signal(signal).build();
        self.ask("kill container", ResourceKind::Container, &id.0, |docker| {
            docker.kill_container(&id.0, Some(query))
        })
        .await
    }

    async fn remove_container(&self, id: &ContainerId, anonymous_volumes: AnonymousVolumes) -> Result<()> {
        self.shared.checks.forget(&id.0);
        let volumes = anonymous_volumes == AnonymousVolumes::Remove;
        let query = RemoveContainerOptionsBuilder::new().force(true).v(volumes).build();
        self.ask("remove container", ResourceKind::Container, &id.0, |docker| {
            docker.remove_container(&id.0, Some(query))
        })
        .await
    }

    async fn rename_container(&self, id: &ContainerId, name: &ContainerName) -> Result<()> {
        let query = RenameContainerOptionsBuilder::new().name(name.as_str()).build();
        self.ask("rename container", ResourceKind::Container, name.as_str(), |docker| {
            docker.rename_container(&id.0, query)
        })
        .await
    }

    async fn create_network(&self, spec: &NetworkSpec) -> Result<()> {
        let request = convert::network(spec);
        self.ask("create network", ResourceKind::Network, spec.name.as_str(), |docker| {
            docker.create_network(request)
        })
        .await
        .map(|_| ())
    }

    async fn remove_network(&self, name: &ResourceName) -> Result<()> {
        self.ask("remove network", ResourceKind::Network, name.as_str(), |docker| {
            docker.remove_network(name.as_str())
        })
        .await
    }

    async fn create_volume(&self, spec: &VolumeSpec) -> Result<()> {
        let request = convert::volume(spec);
        self.ask("create volume", ResourceKind::Volume, spec.name.as_str(), |docker| {
            docker.create_volume(request)
        })
        .await
        .map(|_| ())
    }

    async fn remove_volume(&self, name: &ResourceName) -> Result<()> {
        self.ask("remove volume", ResourceKind::Volume, name.as_str(), |docker| {
            docker.remove_volume(name.as_str(), None::<RemoveVolumeOptions>)
        })
        .await
    }

    async fn pull(&self, image: &str, progress: &Progress) -> Result<ImageId> {
        let client = self.client().await?;
        let tagged = image.rsplit('/').next().is_some_and(|last| last.contains([':', '@']));
        let reference = if tagged { image.to_owned() } else { format!("{image}:latest") };
        let query = CreateImageOptionsBuilder::new().from_image(&reference).build();
        let mut messages = client.create_image(Some(query), None, None).boxed();
        let asked = Asked { operation: "pull image", kind: ResourceKind::Image, name: image };
        let mut layers: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        let mut most = 0;
        let silence = self.shared.config.deadline;
        while let Some(message) = timeout(silence, messages.next())
            .await
            .map_err(|_| Error::TimedOut { what: format!("pulling {image}"), after: silence })?
        {
            let message = message.map_err(|error| explain(&error, asked, &self.endpoint()))?;
            if let Some(reason) = message.error_detail.and_then(|detail| detail.message) {
                return Err(Error::Image { image: image.to_owned(), reason });
            }
            let (Some(layer), Some(detail)) = (message.id, message.progress_detail) else { continue };
            let (Some(current), Some(total)) = (detail.current, detail.total) else { continue };
            // Extracting counts the same bytes again; what is downloaded is what takes the time.
            if message.status.as_deref() != Some("Downloading") {
                continue;
            }
            let bytes = |number: i64| u64::try_from(number).unwrap_or(0);
            layers.insert(layer, (bytes(current), bytes(total)));
            let done: u64 = layers.values().map(|(current, _)| current).sum();
            let total: u64 = layers.values().map(|(_, total)| total).sum();
            most = done.max(most);
            let phase = Phase::Bytes { work: Work::Pull, done: most, total: Some(total.max(most)) };
            progress.report(Subject::Image(image.to_owned()), phase);
        }
        self.image(image).await?.ok_or_else(|| Error::Image {
            image: image.to_owned(),
            reason: "it was pulled and is not here".into(),
        })
    }

    async fn logs(&self, id: &ContainerId, options: &LogOptions) -> Result<LogStream> {
        Ok(logs::open(self.client().await?, self.endpoint(), &id.0, options))
    }

    async fn events(&self, project: Option<&ProjectName>) -> Result<EngineEvents> {
        let client = self.client().await?;
        let mut filters = HashMap::from([("type", vec!["container".to_owned()])]);
        if let Some(project) = project {
            filters.insert("label", vec![format!("{}={project}", labels::PROJECT)]);
        }
        let query = EventsOptionsBuilder::new().filters(&filters).build();
        let endpoint = self.endpoint();
        let events = client.events(Some(query)).map(move |event| {
            let asked = Asked {
                operation: "follow the events of",
                kind: ResourceKind::Container,
                name: "the engine",
            };
            let event = event.map_err(|error| explain(&error, asked, &endpoint))?;
            let action = match event.action.as_deref().unwrap_or_default() {
                "start" => EngineAction::Started,
                "die" | "died" => EngineAction::Died,
                "destroy" | "remove" => EngineAction::Removed,
                other if other.starts_with("health_status") => EngineAction::Health,
                _ => EngineAction::Other,
            };
            let id = event.actor.and_then(|actor| actor.id).unwrap_or_default();
            Ok(EngineEvent { id: ContainerId(id), action })
        });
        Ok(events.boxed())
    }

    async fn exec(&self, id: &ContainerId, command: &[String]) -> Result<ExecOutput> {
        let options = CreateExecOptions {
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(command.to_vec()),
            ..CreateExecOptions::default()
        };
        let operation = "run a command in container";
        self.ask(operation, ResourceKind::Container, &id.0, |docker| async move {
            let exec = docker.create_exec(&id.0, options).await?;
            let started = docker.start_exec(&exec.id, None::<StartExecOptions>).await?;
            let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
            if let StartExecResults::Attached { mut output, .. } = started {
                while let Some(piece) = output.next().await {
                    let piece = piece?;
                    let kept = match &piece {
                        bollard::container::LogOutput::StdErr { .. } => &mut stderr,
                        _ => &mut stdout,
                    };
                    let room = MAX_EXEC_OUTPUT - kept.len();
                    kept.extend(piece.as_ref().iter().take(room));
                }
            }
            let exit_code = docker.inspect_exec(&exec.id).await?.exit_code.unwrap_or(-1);
            Ok(ExecOutput { exit_code, stdout, stderr })
        })
        .await
    }

    async fn check_health(&self, id: &ContainerId) -> Result<HealthStatus> {
        let (container, config) = self.look(&id.0).await?;
        let Some(check) = config.and_then(Check::read) else {
            return Err(unexpected("check the health of", &id.0, "a container without a healthcheck"));
        };
        let outcome = match timeout(check.timeout, self.exec(id, &check.command)).await {
            Ok(Ok(output)) => Some(output),
            // The command itself may be missing, which is a check that fails.
            Ok(Err(Error::Api { message, .. })) => {
                Some(ExecOutput { exit_code: 126, stdout: Vec::new(), stderr: message.into_bytes() })
            }
            Ok(Err(error)) => return Err(error),
            Err(_) => None,
        };
        Ok(self.shared.checks.count(&container, &check, outcome.as_ref()))
    }
}
