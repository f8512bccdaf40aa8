//! The engine: each call a request, its answer read.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use bollard::{
    Docker,
    models::{HealthConfig, NetworkConnectRequest},
    query_parameters::{
        AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, DownloadFromContainerOptionsBuilder,
        EventsOptionsBuilder, InspectContainerOptions, KillContainerOptionsBuilder,
        ListContainersOptionsBuilder, ListNetworksOptions, ListVolumesOptions, PruneImagesOptionsBuilder,
        RemoveContainerOptionsBuilder, RemoveImageOptions, RemoveVolumeOptions,
        RenameContainerOptionsBuilder, ResizeContainerTTYOptionsBuilder, StartContainerOptions,
        StopContainerOptionsBuilder, TopOptionsBuilder, UploadToContainerOptionsBuilder,
        WaitContainerOptionsBuilder,
    },
};
use compose_file::ProjectName;
use futures_util::{StreamExt, stream};
use runtime_core::{
    AnonymousVolumes, Archive, AttachSpec, BuildSpec, Container, ContainerFilter, ContainerId, ContainerName,
    ContainerSpec, CopiedOwner, Detail, Engine, EngineEvents, EngineInfo, Error, ExecOutput, ExecSpec,
    HealthStatus, Image, ImageId, Lack, LogOptions, LogStream, NetworkSpec, Observed, ProcessTable, Progress,
    Resource, ResourceKind, ResourceName, Result, RuntimeKind, Scope, Session, Sought, TerminalSize, Usages,
    VolumeSpec, Wish, archive, is_disturbed, labels, resubscribing,
};
use tokio::{
    sync::{Mutex, Semaphore, oneshot},
    time::{sleep, timeout},
};

use crate::{
    build,
    checks::{Check, Checks},
    confine,
    connect::{ALWAYS, Behind, Connection, DockerConfig},
    convert, exec,
    failure::{Asked, Peer, explain, has_gone_meanwhile, is_left_by_a_start, said, without_values},
    logs, pull, stats,
};

/// What a container has to stop in when neither it nor the caller says.
const GRACE: Duration = Duration::from_secs(GRACE_SECONDS as u64);
const GRACE_SECONDS: i64 = 10;
/// How often a network that is there twice is looked at again, and the time between two looks.
const TWIN_LOOKS: u32 = 50;
const TWIN_PAUSE: Duration = Duration::from_millis(100);
/// How often a container is started again whose `podman start` was killed. Once is enough, if nobody kills another.
const KILLED_STARTS: u32 = 2;
/// How often a request is made again that other things' going disturbed.
const DISTURBED: usize = 10;
/// The columns of processes that Podman knows by itself.
const PODMANS_TOP: &str = "user,pid,ppid,pcpu,etime,tty,time,args";
/// What an error says of commands in containers.
const EXEC: &str = "run a command in container";

/// Docker as an engine. Cheap to clone; clones share one client.
#[derive(Debug, Clone)]
pub struct DockerEngine {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    connection: Connection,
    checks: Checks,
    choosing_ports: Mutex<()>,
    /// How many builds run at once; they take nobody else's place.
    builds: Semaphore,
}

impl DockerEngine {
    /// An engine at the configured place. Connects at the first call.
    pub fn new(config: DockerConfig) -> Self {
        let builds = Semaphore::new(config.parallel_builds.max(1));
        Self {
            shared: Arc::new(Shared {
                builds,
                connection: Connection::new(config),
                checks: Checks::default(),
                choosing_ports: Mutex::default(),
            }),
        }
    }

    /// Connects, if that was not done. Afterwards it is known what the engine lacks.
    ///
    /// # Errors
    /// [`Error::NotReachable`], [`Error::NotInstalled`] or [`Error::NotPermitted`] when nobody can be asked,
    /// [`Error::TooOld`] for an API that is not spoken.
    pub async fn connect(&self) -> Result<()> {
        self.connection().client().await.map(|_| ())
    }

    fn connection(&self) -> &Connection {
        &self.shared.connection
    }

    fn peer(&self) -> Peer {
        self.connection().peer()
    }

    fn parallel(&self) -> usize {
        self.connection().config.parallel.max(1)
    }

    async fn ask<'c, T, F>(
        &'c self,
        operation: &str,
        kind: ResourceKind,
        name: &str,
        request: impl FnOnce(&'c Docker) -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T, bollard::errors::Error>>,
    {
        self.connection().ask(operation, kind, name, request).await
    }

    /// As [`DockerEngine::ask`], for what looks at everybody's things: Podman's service reads their names and then each, and
    /// gives up when one has gone in between. Then it is asked again.
    async fn ask_undisturbed<'c, T, F>(
        &'c self,
        operation: &str,
        kind: ResourceKind,
        name: &str,
        request: impl Fn(&'c Docker) -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T, bollard::errors::Error>>,
    {
        let mut disturbed = 0;
        loop {
            match self.ask(operation, kind, name, &request).await {
                Err(error) if disturbed < DISTURBED && has_gone_meanwhile(&error, name) => disturbed += 1,
                outcome => return outcome,
            }
        }
    }

    async fn look(&self, container: &str) -> Result<(Container, Option<HealthConfig>)> {
        let found = self
            .ask("inspect container", ResourceKind::Container, container, |docker| async move {
                let found = docker.inspect_container(container, None::<InspectContainerOptions>).await;
                convert::as_docker_says(found)
            })
            .await?;
        let check = found.config.as_ref().and_then(|config| config.healthcheck.clone());
        let mut container = convert::inspected(found)
            .map_err(|quote| self.peer().unexpected("inspect container", container, &quote))?;
        if !self.runs_healthchecks() {
            self.shared.checks.overlay(&mut container);
        }
        Ok((container, check))
    }

    /// As [`Engine::observe`], but for containers.
    ///
    /// # Errors
    /// As there.
    pub async fn observe_besides(&self, scope: &Scope) -> Result<Observed> {
        let (networks, volumes, images) =
            tokio::try_join!(self.networks(scope), self.volumes(scope), self.images(&scope.images))?;
        Ok(Observed { networks, volumes, images, ..Observed::default() })
    }

    /// Lists containers and, if told so, looks at each: a list has no exit code and no health but in a sentence.
    async fn containers(
        &self,
        filters: HashMap<String, Vec<String>>,
        all: bool,
        detail: Detail,
    ) -> Result<Vec<Container>> {
        let query = ListContainersOptionsBuilder::new().all(all).filters(&filters).build();
        let listed = self
            .ask_undisturbed("list containers", ResourceKind::Container, "", |docker| {
                let query = query.clone();
                async move { convert::as_docker_says(docker.list_containers(Some(query)).await) }
            })
            .await?;
        if detail == Detail::Listed {
            let odd = |quote: String| self.peer().unexpected("list containers", "", &quote);
            return listed.into_iter().map(|summary| convert::listed(summary).map_err(odd)).collect();
        }
        let looks =
            listed.into_iter().filter_map(|summary| summary.id).map(|id| async move { self.look(&id).await });
        let mut looks = stream::iter(looks).buffer_unordered(self.parallel());
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

    async fn create(&self, spec: &ContainerSpec) -> Result<ContainerId> {
        let name = spec.name.as_str();
        // Known after the first request.
        self.connection().client().await?;
        // Podman reads a seccomp profile itself.
        let security_opt = if self.connection().is_podman() {
            spec.security_opt.clone()
        } else {
            security_options(&spec.security_opt).await?
        };
        let mut body = convert::body(spec, &security_opt);
        if self.connection().is_podman() {
            // What is not told means no grace at all, over Podman's socket.
            body.stop_timeout = body.stop_timeout.or(Some(GRACE_SECONDS));
        }
        let mut query = CreateContainerOptionsBuilder::new().name(name);
        if let Some(platform) = &spec.platform {
            query = query.platform(platform);
        }
        let query = query.build();
        let created = self
            .ask("create container", ResourceKind::Container, name, |docker| {
                docker.create_container(Some(query), body)
            })
            .await
            .map_err(|error| match error {
                Error::Image { reason, .. } => Error::Image { image: spec.image.clone(), reason },
                other => without_values(other, spec.environment.values()),
            })?;
        for warning in created.warnings {
            tracing::warn!(container = name, warning, "created");
        }
        let id = ContainerId(created.id);
        if let Err(error) = self.complete(&id, spec).await {
            // Half a container is worse than none: the next attempt would find its name taken.
            let _ = self.remove_container(&id, AnonymousVolumes::Remove).await;
            return Err(error);
        }
        Ok(id)
    }

    /// Gives a container that was created what its creation does not take.
    async fn complete(&self, id: &ContainerId, spec: &ContainerSpec) -> Result<()> {
        if !spec.files.is_empty() {
            let bytes = archive(&spec.files)
                .map_err(|error| Error::InvalidProject(format!("{}: {error}", spec.name)))?;
            // Files stay whose they are in the archive; else they would become the container's user's.
            let query = UploadToContainerOptionsBuilder::new().path("/").copy_uidgid("false").build();
            self.ask("write files into container", ResourceKind::Container, &id.0, |docker| {
                docker.upload_to_container(&id.0, Some(query), bollard::body_full(bytes.into()))
            })
            .await?;
        }
        for attachment in spec.networks.iter().skip(1) {
            let request = NetworkConnectRequest {
                container: id.0.clone(),
                endpoint_config: Some(convert::endpoint(attachment)),
            };
            let network = attachment.network.as_str();
            self.ask("connect to network", ResourceKind::Network, network, |docker| {
                docker.connect_network(network, request)
            })
            .await?;
        }
        Ok(())
    }

    async fn networks(&self, scope: &Scope) -> Result<BTreeMap<String, Resource>> {
        if scope.networks.is_nothing() {
            return Ok(BTreeMap::new());
        }
        let listed = self
            .ask_undisturbed("list networks", ResourceKind::Network, "", |docker| {
                docker.list_networks(None::<ListNetworksOptions>)
            })
            .await?;
        let resources = listed.into_iter().filter_map(|network| {
            let driver = network.driver.unwrap_or_default();
            Some(Resource { name: network.name?, driver, labels: convert::labels(network.labels) })
        });
        Ok(wanted(resources, &scope.project, &scope.networks))
    }

    async fn volumes(&self, scope: &Scope) -> Result<BTreeMap<String, Resource>> {
        if scope.volumes.is_nothing() {
            return Ok(BTreeMap::new());
        }
        let listed = self
            .ask_undisturbed("list volumes", ResourceKind::Volume, "", |docker| {
                docker.list_volumes(None::<ListVolumesOptions>)
            })
            .await?;
        let resources = listed.volumes.unwrap_or_default().into_iter().map(|volume| Resource {
            name: volume.name,
            driver: volume.driver,
            labels: volume.labels.into_iter().collect(),
        });
        Ok(wanted(resources, &scope.project, &scope.volumes))
    }

    /// The networks of exactly that name, with when they were made, the oldest first.
    async fn networks_named(&self, name: &str) -> Result<Vec<(String, String)>> {
        let listed = self
            .ask_undisturbed("list networks", ResourceKind::Network, "", |docker| {
                docker.list_networks(None::<ListNetworksOptions>)
            })
            .await?;
        let mut named: Vec<_> = listed
            .into_iter()
            .filter(|network| network.name.as_deref() == Some(name))
            .map(|network| (network.created.unwrap_or_default(), network.id.unwrap_or_default()))
            .collect();
        named.sort();
        Ok(named)
    }

    /// Reads the errors of what goes on after a request.
    fn explaining(&self, operation: &'static str, name: &str) -> exec::Explain {
        let (peer, name) = (self.peer(), name.to_owned());
        Box::new(move |error| {
            explain(error, Asked { operation, kind: ResourceKind::Container, name: &name }, &peer)
        })
    }

    /// The grace period that a container was created with.
    async fn own_grace(&self, id: &ContainerId) -> Result<Duration> {
        let found = self
            .ask("inspect container", ResourceKind::Container, &id.0, |docker| {
                docker.inspect_container(&id.0, None::<InspectContainerOptions>)
            })
            .await?;
        let seconds = found.config.and_then(|config| config.stop_timeout);
        Ok(seconds.and_then(|seconds| u64::try_from(seconds).ok()).map_or(GRACE, Duration::from_secs))
    }

    /// Returns when a container that is being removed is gone.
    async fn removed(&self, id: &ContainerId) -> Result<()> {
        let query = WaitContainerOptionsBuilder::new().condition("removed").build();
        let gone = self
            .ask("wait for the removal of", ResourceKind::Container, &id.0, |docker| async {
                // An exit code that is not 0 comes as an error; either way it is an answer.
                match docker.wait_container(&id.0, Some(query)).next().await {
                    Some(Err(error @ bollard::errors::Error::DockerResponseServerError { .. })) => Err(error),
                    _ => Ok(()),
                }
            })
            .await;
        match gone {
            Err(Error::NotFound { .. }) => Ok(()),
            other => other,
        }
    }

    async fn image_id(&self, reference: &str) -> Result<Option<ImageId>> {
        let look = async |docker: &Docker| match docker.inspect_image(reference).await {
            Ok(image) => Ok(image.id),
            Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        };
        let id = self.ask_undisturbed("inspect image", ResourceKind::Image, reference, look).await?;
        Ok(id.as_deref().map(ImageId::new))
    }

    async fn images(&self, references: &BTreeSet<String>) -> Result<BTreeMap<String, ImageId>> {
        // Owned, because a stream of futures that borrow from an iterator is not `Send` enough for the trait.
        let references: Vec<String> = references.iter().cloned().collect();
        let looks = references.into_iter().map(|reference| async move {
            let id = self.image_id(&reference).await?;
            Ok::<_, Error>((reference, id))
        });
        let mut looks = stream::iter(looks).buffer_unordered(self.parallel());
        let mut ids = BTreeMap::new();
        while let Some(look) = looks.next().await {
            if let (reference, Some(id)) = look? {
                ids.insert(reference, id);
            }
        }
        Ok(ids)
    }
}

/// The options with a seccomp profile's file read, as Docker takes it.
async fn security_options(options: &[String]) -> Result<Vec<String>> {
    let mut read = Vec::with_capacity(options.len());
    for option in options {
        let Some(path) = option.strip_prefix("seccomp=").filter(|path| *path != "unconfined") else {
            read.push(option.clone());
            continue;
        };
        let wrong = |reason: String| {
            Error::InvalidProject(format!(
                "security_opt: the seccomp profile {path} cannot be used: {reason}"
            ))
        };
        let text = tokio::fs::read_to_string(path).await.map_err(|error| wrong(error.to_string()))?;
        let profile: serde_json::Value =
            serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        read.push(format!("seccomp={profile}"));
    }
    Ok(read)
}

fn wanted(
    resources: impl Iterator<Item = Resource>,
    project: &ProjectName,
    sought: &Sought,
) -> BTreeMap<String, Resource> {
    resources
        .filter(|resource| sought.means(project, &resource.name, &resource.labels))
        .map(|resource| (resource.name.clone(), resource))
        .collect()
}

#[async_trait]
impl Engine for DockerEngine {
    fn kind(&self) -> RuntimeKind {
        self.connection().config.behind.kind()
    }

    fn endpoint(&self) -> String {
        self.connection().endpoint()
    }

    fn runs_healthchecks(&self) -> bool {
        !self.connection().checks_are_ours()
    }

    fn lacks(&self, wish: Wish<'_>) -> Vec<Lack> {
        self.connection().answering().map_or_else(Vec::new, |by| confine::lacks(wish, by))
    }

    async fn info(&self) -> Result<EngineInfo> {
        let version =
            self.ask("ask the version of", ResourceKind::Machine, "the engine", Docker::version).await?;
        let part = version.components.unwrap_or_default().into_iter().next();
        let name = part.map_or("Docker Engine".to_owned(), |part| part.name);
        let name = if name == "Engine" { "Docker Engine".to_owned() } else { name };
        let number = version.version.unwrap_or_default();
        let mut info = EngineInfo::new(self.kind(), name, number, self.endpoint());
        info.api_version = version.api_version;
        Ok(info)
    }

    async fn observe(&self, scope: &Scope) -> Result<Observed> {
        let filters = HashMap::from([("label".to_owned(), vec![labels::of_project(&scope.project)])]);
        let containers = self.containers(filters, true, scope.detail);
        let (containers, observed) = tokio::try_join!(containers, self.observe_besides(scope))?;
        Ok(Observed { containers, ..observed })
    }

    async fn list(&self, filter: &ContainerFilter) -> Result<Vec<Container>> {
        let filters = HashMap::from([("label".to_owned(), filter.label_words())]);
        self.containers(filters, !filter.running, filter.detail).await
    }

    async fn inspect(&self, container: &str) -> Result<Container> {
        self.look(container).await.map(|(container, _)| container)
    }

    async fn create_container(&self, spec: &ContainerSpec) -> Result<ContainerId> {
        if !spec.has_port_ranges() {
            return self.create(spec).await;
        }
        self.connection().client().await?;
        if !self.connection().is_podman() {
            return self.create(spec).await;
        }
        // Podman takes no range, over this API either. One at a time, so that the next one sees what is taken.
        let _choosing = self.shared.choosing_ports.lock().await;
        let mut spec = spec.clone();
        spec.choose_ports(&self.containers(HashMap::new(), true, Detail::Whole).await?, |_, _| true)?;
        self.create(&spec).await
    }

    async fn start_container(&self, id: &ContainerId) -> Result<()> {
        self.shared.checks.forget(&id.0);
        let (mut looks, mut finds) = (0, 0);
        loop {
            let started = self
                .ask("start container", ResourceKind::Container, &id.0, |docker| {
                    docker.start_container(&id.0, None::<StartContainerOptions>)
                })
                .await;
            match started {
                // Somebody makes the same network at this moment, and takes it away when they see ours: nothing tells.
                Err(Error::Api { message, .. }) if message.contains("is ambiguous") && looks < TWIN_LOOKS => {
                    looks += 1;
                    tokio::time::sleep(TWIN_PAUSE).await;
                }
                // Podman takes away what one of its starts that was killed has left when it finds it, and fails.
                Err(error)
                    if is_left_by_a_start(&error)
                        && self.connection().is_podman()
                        && finds < KILLED_STARTS =>
                {
                    finds += 1
                }
                outcome => return outcome,
            }
        }
    }

    async fn stop_container(&self, id: &ContainerId, grace: Option<Duration>) -> Result<()> {
        let mut query = StopContainerOptionsBuilder::new();
        if let Some(grace) = grace {
            query = query.t(convert::whole_seconds(grace));
        }
        let asked = Asked { operation: "stop container", kind: ResourceKind::Container, name: &id.0 };
        let query = query.build();
        let stop = async |docker: Docker| docker.stop_container(&id.0, Some(query)).await;
        let longer = async {
            match grace {
                Some(grace) => Ok(grace),
                None => self.own_grace(id).await,
            }
        };
        self.connection().ask_longer(asked, stop, longer).await
    }

    async fn kill_container(&self, id: &ContainerId, signal: &str) -> Result<()> {
        let query = KillContainerOptionsBuilder::new().signal(signal).build();
        self.ask("kill container", ResourceKind::Container, &id.0, |docker| {
            docker.kill_container(&id.0, Some(query))
        })
        .await
        .or_else(|error| match error {
            // What does not run has no process that a signal could reach.
            Error::Api { status: Some(409), .. } => Ok(()),
            other => Err(other),
        })
    }

    async fn pause_container(&self, id: &ContainerId) -> Result<()> {
        self.ask("pause container", ResourceKind::Container, &id.0, |docker| docker.pause_container(&id.0))
            .await
    }

    async fn unpause_container(&self, id: &ContainerId) -> Result<()> {
        self.ask("unpause container", ResourceKind::Container, &id.0, |docker| {
            docker.unpause_container(&id.0)
        })
        .await
    }

    async fn wait_container(&self, id: &ContainerId) -> Result<i64> {
        let patient = self.connection().patient_client(ALWAYS).await?;
        let explain = self.explaining("wait for container", &id.0);
        exec::ended(&patient, &id.0).await.map_err(|error| explain(&error))
    }

    async fn remove_container(&self, id: &ContainerId, anonymous_volumes: AnonymousVolumes) -> Result<()> {
        self.shared.checks.forget(&id.0);
        let volumes = anonymous_volumes == AnonymousVolumes::Remove;
        let remove = async |force| {
            let query = RemoveContainerOptionsBuilder::new().force(force).v(volumes).build();
            self.ask("remove container", ResourceKind::Container, &id.0, |docker| {
                docker.remove_container(&id.0, Some(query))
            })
            .await
        };
        // Over this API Podman's removal of what runs waits for the container's own grace period first, so that is killed before.
        // What is the matter with the container is the removal's to say.
        if self.connection().is_podman() {
            match remove(false).await {
                Err(Error::Api { .. }) => drop(self.kill_container(id, "SIGKILL").await),
                outcome => return outcome,
            }
        }
        match remove(true).await {
            // Somebody else removes it already; it is gone when that is done.
            Err(Error::Api { status: Some(409), message, .. }) if message.contains("already in progress") => {
                self.removed(id).await
            }
            other => other,
        }
    }

    async fn rename_container(&self, id: &ContainerId, name: &ContainerName) -> Result<()> {
        let query = RenameContainerOptionsBuilder::new().name(name.as_str()).build();
        self.ask("rename container", ResourceKind::Container, name.as_str(), |docker| {
            docker.rename_container(&id.0, query)
        })
        .await
    }

    /// Docker before 25 takes a second network of the same name without a word, so it is looked for before; and
    /// after, because somebody else may have looked at the same moment. Then the older one stays.
    async fn create_network(&self, spec: &NetworkSpec) -> Result<()> {
        let name = spec.name.as_str();
        let in_use = |by: &str| Error::NameInUse { name: name.to_owned(), by: Some(format!("network {by}")) };
        if let Some((_, id)) = self.networks_named(name).await?.first() {
            return Err(in_use(id));
        }
        let request = convert::network(spec);
        let created = self
            .ask_undisturbed("create network", ResourceKind::Network, name, |docker| {
                // It looks at all interfaces of the computer for a subnet that is free.
                docker.create_network(request.clone())
            })
            .await?;
        match self.networks_named(name).await?.first() {
            Some((_, oldest)) if *oldest != created.id => {
                self.ask("remove network", ResourceKind::Network, name, |docker| {
                    docker.remove_network(&created.id)
                })
                .await?;
                Err(in_use(oldest))
            }
            _ => Ok(()),
        }
    }

    async fn remove_network(&self, name: &ResourceName) -> Result<()> {
        self.ask("remove network", ResourceKind::Network, name.as_str(), |docker| {
            docker.remove_network(name.as_str())
        })
        .await
    }

    /// Docker takes a volume of that name that is there already as success.
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
        pull::pull(self.connection(), image, progress).await?;
        self.image_id(image).await?.ok_or_else(|| Error::Image {
            image: image.to_owned(),
            reason: "it was pulled and is not here".into(),
        })
    }

    async fn build(&self, spec: &BuildSpec, progress: &Progress) -> Result<ImageId> {
        let client = self.connection().patient_client(ALWAYS).await?;
        let _permit = self.shared.builds.acquire().await.map_err(|_| Error::ShuttingDown)?;
        let mut disturbed = 0;
        loop {
            match build::build(self.connection(), &client, spec, progress).await {
                Err(error) if disturbed < DISTURBED && is_disturbed(&error) => disturbed += 1,
                outcome => break outcome?,
            }
        }
        self.image_id(&spec.image).await?.ok_or_else(|| Error::Image {
            image: spec.image.clone(),
            reason: "it was built and is not here".into(),
        })
    }

    async fn push(&self, image: &str, _progress: &Progress) -> Result<()> {
        pull::push(self.connection(), image).await
    }

    async fn remove_image(&self, image: &str) -> Result<()> {
        use bollard::errors::Error::DockerResponseServerError as Refused;
        let (kind, name) = (ResourceKind::Image, image.to_owned());
        let remove = async |docker: &Docker| match docker
            .remove_image(image, None::<RemoveImageOptions>, None)
            .await
        {
            Ok(_) => Ok(Ok(())),
            Err(Refused { status_code: 404, .. }) => Ok(Err(Error::NotFound { kind, name })),
            Err(Refused { status_code: 409, message }) => {
                Ok(Err(Error::InUse { kind, name, reason: said(&message) }))
            }
            Err(error) => Err(error),
        };
        self.ask("remove image", kind, image, remove).await?
    }

    async fn remove_replaced_images(&self, project: &ProjectName) -> Result<()> {
        let filters = HashMap::from([
            ("dangling", vec!["true".to_owned()]),
            ("label", vec![labels::of_project(project)]),
        ]);
        let query = PruneImagesOptionsBuilder::new().filters(&filters).build();
        self.ask_undisturbed("remove images of", ResourceKind::Project, project.as_str(), |docker| {
            docker.prune_images(Some(query.clone()))
        })
        .await
        .map(|_| ())
    }

    async fn logs(&self, id: &ContainerId, options: &LogOptions) -> Result<LogStream> {
        let client = self.connection().patient_client(ALWAYS).await?;
        logs::open(&client, self.peer(), &id.0, options, self.connection().is_podman()).await
    }

    async fn events(&self, project: Option<&ProjectName>) -> Result<EngineEvents> {
        let client = self.connection().patient_client(ALWAYS).await?;
        let mut filters = HashMap::from([("type", vec!["container".to_owned()])]);
        if let Some(project) = project {
            filters.insert("label", vec![labels::of_project(project)]);
        }
        let peer = self.peer();
        let subscribe = move |from: Option<SystemTime>| {
            let since =
                from.and_then(|from| from.duration_since(SystemTime::UNIX_EPOCH).ok()).unwrap_or_default();
            let since = format!("{}.{:09}", since.as_secs(), since.subsec_nanos());
            let query = EventsOptionsBuilder::new().filters(&filters).since(&since).build();
            let peer = peer.clone();
            let events = client.events(Some(query)).map(move |event| {
                let asked = Asked {
                    operation: "follow the events of",
                    kind: ResourceKind::Container,
                    name: "the engine",
                };
                let event = event.map_err(|error| explain(&error, asked, &peer))?;
                Ok(convert::event(event))
            });
            std::future::ready(Ok(events.boxed()))
        };
        // The request leaves when the stream is first read; what happens until then is not lost, by the clock of the engine.
        let now = if self.connection().config.behind == Behind::PodmanHere {
            SystemTime::now()
        } else {
            let info = self.ask("ask the time of", ResourceKind::Machine, "the engine", Docker::info).await?;
            info.system_time.as_deref().and_then(convert::time).unwrap_or_else(SystemTime::now)
        };
        resubscribing(subscribe, Some(now)).await
    }

    async fn exec(&self, id: &ContainerId, spec: &ExecSpec) -> Result<ExecOutput> {
        self.ask(EXEC, ResourceKind::Container, &id.0, |docker| exec::run(docker, &id.0, spec))
            .await
            .map_err(|error| without_values(error, spec.environment.values()))
    }

    async fn exec_session(&self, id: &ContainerId, spec: &ExecSpec) -> Result<Session> {
        let patient = self.connection().patient_client(ALWAYS).await?;
        let explain = self.explaining(EXEC, &id.0);
        self.ask(EXEC, ResourceKind::Container, &id.0, |_| exec::talk(patient, &id.0, spec, explain))
            .await
            .map_err(|error| without_values(error, spec.environment.values()))
    }

    async fn exec_detached(&self, id: &ContainerId, spec: &ExecSpec) -> Result<()> {
        self.ask(EXEC, ResourceKind::Container, &id.0, |docker| exec::start(docker, &id.0, spec))
            .await
            .map_err(|error| without_values(error, spec.environment.values()))
    }

    async fn attach(&self, id: &ContainerId, spec: &AttachSpec) -> Result<Session> {
        const ATTACH: &str = "attach to container";
        let patient = self.connection().patient_client(ALWAYS).await?;
        let query =
            AttachContainerOptionsBuilder::new().stream(true).stdout(true).stderr(true).stdin(spec.stdin);
        let keys = exec::keys(&spec.detach_keys);
        let query = if spec.tty { query.detach_keys(&keys) } else { query };
        let query = query.build();
        let attached = self
            .ask(ATTACH, ResourceKind::Container, &id.0, |_| patient.attach_container(&id.0, Some(query)))
            .await?;
        if spec.start {
            self.start_container(id).await?;
        }
        let resized = (patient.clone(), id.0.clone());
        let resize = move |size: TerminalSize| {
            let (docker, id) = resized.clone();
            async move {
                let query =
                    ResizeContainerTTYOptionsBuilder::new().h(size.rows.into()).w(size.columns.into());
                // A terminal of another size is no reason to end.
                let _ = docker.resize_container_tty(&id, query.build()).await;
            }
        };
        let waited = id.0.clone();
        let ended = async move { exec::ended(&patient, &waited).await };
        let input = spec.stdin.then_some(attached.input);
        Ok(exec::session(attached.output, input, ended, resize, self.explaining(ATTACH, &id.0)))
    }

    async fn copy_from(&self, id: &ContainerId, path: &str) -> Result<Archive> {
        const COPY: &str = "copy from container";
        let client = self.connection().patient_client(ALWAYS).await?;
        let query = DownloadFromContainerOptionsBuilder::new().path(path).build();
        let mut pieces = client.download_from_container(&id.0, Some(query)).boxed();
        let is_missing = |error: &bollard::errors::Error| {
            matches!(error, bollard::errors::Error::DockerResponseServerError { status_code: 404, message }
                if !message.to_lowercase().contains("no such container"))
        };
        let begin = async |_: &Docker| match pieces.next().await {
            Some(Ok(piece)) => Ok(Some(piece)),
            Some(Err(error)) if !is_missing(&error) => Err(error),
            _ => Ok(None),
        };
        let Some(first) = self.ask(COPY, ResourceKind::Container, &id.0, begin).await? else {
            return Err(Error::NotFound { kind: ResourceKind::File, name: path.to_owned() });
        };
        let explain = self.explaining(COPY, &id.0);
        let rest = pieces.map(move |piece| piece.map(Vec::from).map_err(|error| explain(&error)));
        Ok(stream::once(std::future::ready(Ok(Vec::from(first)))).chain(rest).boxed())
    }

    async fn copy_to(
        &self,
        id: &ContainerId,
        folder: &str,
        archive: Archive,
        owner: CopiedOwner,
    ) -> Result<()> {
        let client = self.connection().patient_client(ALWAYS).await?;
        // Docker's own: to be the container's user's, or whose they are in the archive.
        let owner = if owner == CopiedOwner::Containers { "true" } else { "false" };
        let query = UploadToContainerOptionsBuilder::new().path(folder).copy_uidgid(owner);
        let query = query.no_overwrite_dir_non_dir("true").build();
        // Gone when the last of it is.
        let (whole, sent) = oneshot::channel::<()>();
        let pieces = archive.map(move |piece| {
            let _ = &whole;
            piece.map(Into::into).map_err(std::io::Error::other)
        });
        const COPY: &str = "copy into container";
        let asked = Asked { operation: COPY, kind: ResourceKind::Container, name: &id.0 };
        let deadline = self.connection().config.deadline;
        let silence = async {
            let _ = sent.await;
            sleep(deadline).await;
        };
        tokio::select! {
            copied = client.upload_to_container(&id.0, Some(query), bollard::body_try_stream(pieces)) => {
                copied.map_err(|error| explain(&error, asked, &self.peer()))
            }
            () = silence => Err(asked.late(deadline)),
        }
    }

    async fn top(&self, id: &ContainerId) -> Result<ProcessTable> {
        self.connection().client().await?;
        // Podman would run a `ps` in the container, which need not be there, for what Docker shows.
        let query =
            self.connection().is_podman().then(|| TopOptionsBuilder::new().ps_args(PODMANS_TOP).build());
        let top = self
            .ask("list the processes of container", ResourceKind::Container, &id.0, |docker| {
                docker.top_processes(&id.0, query)
            })
            .await?;
        Ok(ProcessTable {
            titles: top.titles.unwrap_or_default(),
            processes: top.processes.unwrap_or_default(),
        })
    }

    async fn stats(&self, ids: &[ContainerId]) -> Result<Usages> {
        let client = self.connection().patient_client(ALWAYS).await?;
        Ok(stats::follow(&client, self.peer(), ids))
    }

    async fn image(&self, image: &str) -> Result<Image> {
        let found = self
            .ask("inspect image", ResourceKind::Image, image, |docker| docker.inspect_image(image))
            .await?;
        let size = found.size.and_then(|size| u64::try_from(size).ok()).unwrap_or_default();
        let id = ImageId::new(&found.id.unwrap_or_default());
        Ok(Image::new(id, found.repo_tags.unwrap_or_default(), size))
    }

    async fn check_health(&self, id: &ContainerId) -> Result<HealthStatus> {
        let (container, config) = self.look(&id.0).await?;
        let Some(check) = config.and_then(Check::read) else {
            return Err(self.peer().unexpected(
                "check the health of",
                &id.0,
                "a container without a healthcheck",
            ));
        };
        let outcome = match timeout(check.timeout, self.exec(id, &ExecSpec::new(check.command.iter()))).await
        {
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
