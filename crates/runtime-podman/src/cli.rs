//! The engine by its command line: each call a command, its answer read.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use compose_file::{Port, ProjectName, Protocol};
use futures_util::{
    FutureExt,
    future::{BoxFuture, join_all, ready},
};
use runtime_core::{
    AnonymousVolumes, Archive, AttachSpec, BuildSpec, Container, ContainerFilter, ContainerId, ContainerName,
    ContainerSpec, CopiedOwner, Detail, Engine, EngineEvents, EngineInfo, Error, ExecOutput, ExecSpec,
    HealthStatus, Image, ImageId, Lack, LogOptions, LogStream, NetworkSpec, Observed, ProcessTable, Progress,
    Resource, ResourceKind, ResourceName, Result, RuntimeKind, Scope, Session, Sought, Usages, VolumeSpec,
    Wish, archive, is_disturbed, labels,
};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::{
    PodmanConfig, build,
    command::{Finished, Invocation, Podman},
    confine, copy,
    create::{self, Then},
    failure::{Subject, explain, is_gone, is_left_by_a_start, is_passing, unexpected},
    logs,
    parse::{self, Inspected, InspectedImage, ListedContainer, ListedNetwork, ListedVolume, Version},
    session::{self, Talk},
};

/// The oldest podman that is supported.
const OLDEST: (u32, u32) = (4, 3);
/// The most that is kept of each output of a command in a container.
const MAX_EXEC_OUTPUT: usize = 1 << 20;

/// How many images are asked for in one command, so that its arguments are not too long.
const IMAGES_AT_ONCE: usize = 500;
/// How often a list is asked for again that somebody's removal made fail.
const GONE_MEANWHILE: usize = 10;
/// How often is looked again at what could not be read for a moment.
const PASSING: usize = 5;

/// How often a container is started again whose start was killed. Once is enough, if nobody kills another.
const LEFT_BY_A_START: usize = 2;

/// Creating a container takes podman less, and how often it is looked whether it is done: nothing tells.
const UNFINISHED_AGE: Duration = Duration::from_secs(10);
const UNFINISHED_PAUSE: Duration = Duration::from_millis(200);

/// Podman by its command line. Cheap to clone; clones share the bound on commands at once.
#[derive(Debug, Clone)]
pub(crate) struct PodmanCli {
    podman: Arc<Podman>,
    pull_deadline: Duration,
    /// How many builds run at once; they take nobody else's place.
    builds: Arc<Semaphore>,
    /// What clears away after builds that were dropped. Closed, so that it can be waited for.
    tidying: TaskTracker,
    runs_healthchecks: bool,
}

impl PodmanCli {
    /// An engine that calls podman as configured. Starts nothing; a podman that is not there is told by the first call.
    pub(crate) fn new(config: PodmanConfig) -> Self {
        let mut global = Vec::new();
        if let Some(connection) = &config.connection {
            global.push(format!("--connection={connection}"));
        }
        if let Some(url) = &config.url {
            global.push(format!("--url={url}"));
        }
        // Podman leaves healthchecks to systemd's timers. A machine has systemd; here it may be missing.
        let runs_healthchecks = !global.is_empty() || Path::new("/run/systemd/system").exists();
        let podman = Podman {
            program: config.program.unwrap_or_else(|| PathBuf::from("podman")),
            global,
            deadline: config.deadline,
            permits: Arc::new(Semaphore::new(config.parallel.max(1))),
            env: config.env,
        };
        let tidying = TaskTracker::new();
        tidying.close();
        Self {
            podman: Arc::new(podman),
            tidying,
            pull_deadline: config.pull_deadline,
            builds: Arc::new(Semaphore::new(config.parallel_builds.max(1))),
            runs_healthchecks,
        }
    }

    /// Whether containers run on another computer, a machine for one.
    pub(crate) fn is_remote(&self) -> bool {
        !self.podman.global.is_empty()
    }

    /// Whether a port can be bound just now where containers run, as far as that can be tried here.
    pub(crate) fn may_be_free(&self, port: &Port, number: u16) -> bool {
        let address = (port.host_ip.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), number);
        match port.protocol {
            _ if self.is_remote() => true,
            Protocol::Udp => UdpSocket::bind(address).is_ok(),
            _ => TcpListener::bind(address).is_ok(),
        }
    }

    async fn waited(&self, id: &str) -> Result<Finished> {
        let command = Invocation::new(["wait", "--", id]);
        // It takes nobody's place: what it waits for may need another command.
        self.podman.run_besides(&command, Duration::from_secs(365 * 24 * 3600)).await
    }

    /// Returns when a container has ended, or is gone.
    pub(crate) async fn wait(&self, id: &str) -> Result<()> {
        let finished = self.waited(id).await?;
        match explain(&finished, Subject { kind: ResourceKind::Container, name: id }) {
            _ if finished.succeeded() => Ok(()),
            Error::NotFound { .. } => Ok(()),
            error => Err(error),
        }
    }

    /// The file in which podman keeps a container's log, where its engine runs. `None` when that is the journal or nothing.
    pub(crate) async fn log_file(&self, id: &str) -> Result<Option<PathBuf>> {
        let format = "{{.HostConfig.LogConfig.Type}} {{.HostConfig.LogConfig.Path}}";
        let command = Invocation::new(["container", "inspect", "--format", format, "--", id]);
        let finished = self.see(&command, ResourceKind::Container, id).await?;
        let told = finished.text();
        Ok(match told.split_once(' ') {
            Some(("k8s-file" | "json-file", path)) => Some(PathBuf::from(path)),
            _ => None,
        })
    }

    pub(crate) fn shared_podman(&self) -> Arc<Podman> {
        self.podman.clone()
    }

    pub(crate) fn podman(&self) -> &Podman {
        &self.podman
    }

    async fn succeed(&self, command: &Invocation, kind: ResourceKind, name: &str) -> Result<Finished> {
        let finished = self.podman.run(command).await?;
        if finished.succeeded() { Ok(finished) } else { Err(explain(&finished, Subject { kind, name })) }
    }

    /// Lists containers: one command for who they are and, if they are looked at, one for how they are.
    async fn containers(&self, labels: &[String], all: bool, detail: Detail) -> Result<Vec<Container>> {
        let mut command = Invocation::new(["ps", "--no-trunc"]);
        command = match detail {
            Detail::Listed => command.args(["--format", "json"]),
            Detail::Whole => command.args(["--quiet"]),
        };
        if all {
            command = command.args(["--all"]);
        }
        for label in labels {
            command = command.args(["--filter".to_owned(), format!("label={label}")]);
        }
        let listed = self.enumerate(&command, ResourceKind::Container).await?;
        if detail == Detail::Listed {
            let listed: Vec<ListedContainer> = parse::json("ps", &listed.stdout)?;
            return listed.into_iter().map(ListedContainer::into_container).collect();
        }
        let text = listed.text();
        let ids: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        if let Some(odd) =
            ids.iter().find(|id| id.len() != 64 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()))
        {
            return Err(unexpected("ps", format!("{odd:?} where a container's id should be")));
        }
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut containers = Vec::with_capacity(ids.len());
        // The length of a command line is bounded; a thousand ids are 65 kB.
        for ids in ids.chunks(1000) {
            let finished =
                self.look(&Invocation::new(["container", "inspect"]).args(ids.iter().copied())).await?;
            // One that has gone since makes the command fail, and it prints the others all the same.
            let gone = is_gone(&finished);
            if !finished.succeeded() && !gone {
                return Err(explain(&finished, Subject { kind: ResourceKind::Container, name: "" }));
            }
            let inspected: Vec<Inspected> = match parse::json("container inspect", &finished.stdout) {
                Ok(inspected) => inspected,
                Err(_) if gone => self.one_by_one(ids).await?,
                Err(error) => return Err(error),
            };
            for inspected in inspected {
                containers.push(inspected.into_container()?);
            }
        }
        Ok(containers)
    }

    async fn one_by_one(&self, ids: &[&str]) -> Result<Vec<Inspected>> {
        let mut all = Vec::new();
        for id in ids {
            let finished = self.look(&Invocation::new(["container", "inspect"]).args([*id])).await?;
            if finished.succeeded() {
                all.extend(parse::json::<Vec<Inspected>>("container inspect", &finished.stdout)?);
            } else if !is_gone(&finished) {
                return Err(explain(&finished, Subject { kind: ResourceKind::Container, name: id }));
            }
        }
        Ok(all)
    }

    /// Runs a command that only looks, and so may look again where it failed for the moment in which it looked.
    async fn look(&self, command: &Invocation) -> Result<Finished> {
        again(|| self.podman.run(command), PASSING, is_passing).await
    }

    /// As [`PodmanCli::look`]; that it failed is an error.
    async fn see(&self, command: &Invocation, kind: ResourceKind, name: &str) -> Result<Finished> {
        let finished = self.look(command).await?;
        if finished.succeeded() { Ok(finished) } else { Err(explain(&finished, Subject { kind, name })) }
    }

    /// Runs a command that lists. Podman reads the names and then each thing, and gives up when one has been removed in
    /// between: then it is asked again.
    async fn enumerate(&self, command: &Invocation, kind: ResourceKind) -> Result<Finished> {
        self.undisturbed(command, Subject { kind, name: "" }).await
    }

    /// As [`undisturbed`], of a command.
    async fn undisturbed(&self, command: &Invocation, subject: Subject<'_>) -> Result<Finished> {
        undisturbed(|| self.podman.run(command), subject).await
    }

    async fn resources<T: serde::de::DeserializeOwned + Into<Resource>>(
        &self,
        what: [&str; 2],
        project: &ProjectName,
        sought: &Sought,
    ) -> Result<BTreeMap<String, Resource>> {
        if sought.is_nothing() {
            return Ok(BTreeMap::new());
        }
        let command = Invocation::new(what).args(["--format", "json"]);
        let finished = self.enumerate(&command, ResourceKind::Network).await?;
        let listed: Vec<T> = if finished.text().is_empty() {
            Vec::new()
        } else {
            parse::json(&what.join(" "), &finished.stdout)?
        };
        let wanted = |resource: &Resource| sought.means(project, &resource.name, &resource.labels);
        let resources = listed.into_iter().map(Into::into).filter(wanted);
        Ok(resources.map(|resource: Resource| (resource.name.clone(), resource)).collect())
    }

    /// Creates a container with all that is written into it: half a container is worse than none.
    async fn create(&self, spec: &ContainerSpec) -> Result<ContainerId> {
        let id = self.create_empty(spec, Then::Nothing).await?;
        if spec.files.is_empty() {
            return Ok(id);
        }
        let written = match archive(&spec.files) {
            Ok(bytes) => {
                // Not podman's default: files would become the container's user's.
                let command = Invocation::new(["cp", "--archive=false", "-"]).args([format!("{id}:/")]);
                let subject = ResourceKind::Container;
                self.succeed(&command.reading(bytes), subject, spec.name.as_str()).await.map(|_| ())
            }
            Err(error) => Err(Error::InvalidProject(format!("{}: {error}", spec.name))),
        };
        if let Err(error) = written {
            let _ = self.remove_container(&id, AnonymousVolumes::Remove).await;
            return Err(error);
        }
        Ok(id)
    }

    async fn create_empty(&self, spec: &ContainerSpec, then: Then) -> Result<ContainerId> {
        let create = |image: String| {
            let command = create::container(spec, &image, then);
            async move { self.podman.run(&command).await }
        };
        self.create_by(spec, create).await
    }

    /// Makes a container by what makes it of an image of that name.
    ///
    /// # Errors
    /// As [`Engine::create_container`].
    pub(crate) async fn create_by<F: Future<Output = Result<Finished>> + Send>(
        &self,
        spec: &ContainerSpec,
        create: impl Fn(String) -> F + Send + Sync,
    ) -> Result<ContainerId> {
        let mut outcome = Err(Error::Image { image: spec.image.clone(), reason: "it is not here".into() });
        for image in create::image_names(&spec.image) {
            let finished = create(image.clone()).await?;
            if finished.succeeded() {
                return Ok(ContainerId(finished.text().lines().last().unwrap_or_default().to_owned()));
            }
            let subject = Subject { kind: ResourceKind::Container, name: spec.name.as_str() };
            let mut error = explain(&finished, subject);
            if matches!(error, Error::NameInUse { .. }) && self.clear_unfinished(spec.name.as_str()).await? {
                let again = create(image.clone()).await?;
                if again.succeeded() {
                    return Ok(ContainerId(again.text().lines().last().unwrap_or_default().to_owned()));
                }
                error = explain(&again, subject);
            }
            outcome = Err(match error {
                Error::Image { reason, .. } => Error::Image { image: spec.image.clone(), reason },
                other => return Err(other),
            });
        }
        outcome
    }

    async fn stop(&self, ids: &[ContainerId], grace: Option<Duration>) -> Result<Finished> {
        let mut command = Invocation::default();
        if ids.len() > 1 {
            // Else those that take their time would keep others waiting.
            command = command.args([format!("--max-workers={}", ids.len())]);
        }
        command = command.args(["stop"]);
        if let Some(grace) = grace {
            command = command.args(["--time".to_owned(), whole_seconds(grace)]);
        }
        // A container's own grace is not known here; a day is longer than any.
        let deadline = self.podman.deadline.saturating_add(grace.unwrap_or(Duration::from_secs(24 * 3600)));
        let command = command.args(["--"]).args(ids.iter().map(|id| &id.0));
        self.podman.run_within(&command, deadline).await
    }

    async fn remove(&self, ids: &[ContainerId], anonymous_volumes: AnonymousVolumes) -> Result<Finished> {
        let mut command = Invocation::new(["rm", "--force", "--time", "0"]);
        if anonymous_volumes == AnonymousVolumes::Remove {
            command = command.args(["--volumes"]);
        }
        self.podman.run(&command.args(["--"]).args(ids.iter().map(|id| &id.0))).await
    }

    /// Ends the process of a container whose `podman start` was killed after the process began and before podman wrote that down.
    /// Such a container is not running for podman, and cannot be started. Returns whether it was one, or may have been.
    pub(crate) async fn end_unwritten(&self, id: &ContainerId) -> bool {
        let command = Invocation::new(["container", "inspect", "--format", "{{.State.Status}}", "--", &id.0]);
        let is_unwritten = |seen: &Finished| seen.succeeded() && seen.text() == "initialized";
        if !self.podman.run(&command).await.is_ok_and(|seen| is_unwritten(&seen)) {
            return false;
        }
        tracing::debug!(container = %id, "ending what a start that was killed has begun");
        let stopped = self.stop(std::slice::from_ref(id), Some(Duration::ZERO)).await;
        stopped.is_ok_and(|stopped| stopped.succeeded())
    }

    /// Removes what a killed `podman create` has left of a container: a name and layers, but no container. Returns
    /// whether there was such a thing. One that is young may be somebody's who is still at it.
    async fn clear_unfinished(&self, name: &str) -> Result<bool> {
        loop {
            let command = Invocation::new(["ps", "--all", "--external", "--format", "json"]);
            let finished = self.enumerate(&command, ResourceKind::Container).await?;
            let listed: Vec<ListedContainer> = parse::json("ps", &finished.stdout)?;
            let unfinished =
                listed.iter().find(|one| one.state == "storage" && one.names.iter().any(|n| n == name));
            let Some(unfinished) = unfinished else { return Ok(false) };
            if SystemTime::now().duration_since(unfinished.created()).is_ok_and(|age| age < UNFINISHED_AGE) {
                tokio::time::sleep(UNFINISHED_PAUSE).await;
                continue;
            }
            let command = Invocation::new(["rm", "--force", "--time", "0", "--", &unfinished.id]);
            self.succeed(&command, ResourceKind::Container, name).await?;
            return Ok(true);
        }
    }

    /// The images that are here. Each is asked for: what a list of all takes podman (4.3) grows with the square of their number.
    async fn images(&self, references: &BTreeSet<String>) -> Result<BTreeMap<String, ImageId>> {
        let names: Vec<String> =
            references.iter().flat_map(|reference| create::image_names(reference)).map(bare).collect();
        let mut ids: BTreeMap<String, String> = BTreeMap::new();
        for names in names.chunks(IMAGES_AT_ONCE) {
            let command = Invocation::new(["image", "inspect", "--"]).args(names.iter().cloned());
            let is_read = |finished: &Finished| finished.succeeded() || are_not_here(&finished.stderr);
            // One that goes while it is looked at.
            let is_disturbed = |finished: &Finished| {
                let words = ["layer not known", "locating item named"];
                let says = |line: &String| words.iter().any(|one| line.contains(one));
                !is_read(finished) && finished.stderr.iter().any(says)
            };
            let finished = again(|| self.podman.run(&command), GONE_MEANWHILE, is_disturbed).await?;
            if !is_read(&finished) {
                return Err(explain(&finished, Subject { kind: ResourceKind::Image, name: "" }));
            }
            let found: Vec<InspectedImage> = parse::json("image inspect", &finished.stdout)?;
            ids.extend(found.into_iter().flat_map(InspectedImage::names));
        }
        let find = |reference: &String| {
            let id = create::image_names(reference).into_iter().find_map(|name| ids.get(&bare(name)))?;
            Some((reference.clone(), ImageId::new(id)))
        };
        Ok(references.iter().filter_map(find).collect())
    }
}

/// Asks, and again, so many times at most, as long as it comes to that.
async fn again<F: Future<Output = Result<Finished>>>(
    ask: impl Fn() -> F,
    most: usize,
    is_to_be_repeated: impl Fn(&Finished) -> bool,
) -> Result<Finished> {
    let mut finished = ask().await?;
    for _ in 0..most {
        if !is_to_be_repeated(&finished) {
            break;
        }
        finished = ask().await?;
    }
    Ok(finished)
}

/// Looks at what is anybody's, again and again as long as that fails because something of it has gone meanwhile.
pub(crate) async fn undisturbed<F: Future<Output = Result<Finished>>>(
    ask: impl Fn() -> F,
    subject: Subject<'_>,
) -> Result<Finished> {
    const GONE: [&str; 7] = [
        "no such volume",
        "network not found",
        "container not known",
        "no such container",
        "image not known",
        // Of an image that goes while it is looked which are dangling.
        "locating item named",
        "no such network interface",
    ];
    let gone = |line: &String| GONE.iter().any(|words| line.contains(words));
    let is_disturbed = |finished: &Finished| !finished.succeeded() && finished.stderr.iter().any(gone);
    let finished = again(ask, GONE_MEANWHILE, is_disturbed).await?;
    if finished.succeeded() { Ok(finished) } else { Err(explain(&finished, subject)) }
}

/// Networks of those names, if containers are on all of them: then they are there.
pub(crate) fn known(
    containers: &[Container],
    names: &BTreeSet<String>,
    project: &ProjectName,
) -> Option<BTreeMap<String, Resource>> {
    let labels = BTreeMap::from([(labels::PROJECT.to_owned(), project.to_string())]);
    let known = |name: &String| {
        let resource = Resource { name: name.clone(), labels: labels.clone(), ..Resource::default() };
        containers.iter().any(|one| one.networks.contains(name)).then(|| (name.clone(), resource))
    };
    names.iter().map(known).collect()
}

/// What came of each container of a command for several, which prints those that it has done. It may not have come to the others, so
/// each of them is done alone.
async fn each<'a>(
    ids: &'a [ContainerId],
    together: Result<Finished>,
    alone: impl Fn(&'a ContainerId) -> BoxFuture<'a, Result<()>>,
) -> Vec<Result<()>> {
    let printed = match together {
        Ok(finished) => finished.text(),
        Err(error) => return vec![Err(error); ids.len()],
    };
    let done: BTreeSet<&str> = printed.lines().map(str::trim).collect();
    let outcome = |id: &'a ContainerId| match done.contains(id.0.as_str()) {
        true => ready(Ok(())).boxed(),
        false => alone(id),
    };
    join_all(ids.iter().map(outcome)).await
}

/// The name of an image, or its id without the word before it, which podman does not know.
fn bare(name: String) -> String {
    name.strip_prefix("sha256:").map(str::to_owned).unwrap_or(name)
}

/// Whether all that `image inspect` complains of is that images are not here, or cannot be. It tells of the others all the same.
fn are_not_here(complaints: &[String]) -> bool {
    let is_error = |line: &&String| line.starts_with("Error") || line.starts_with("error");
    let mut errors = complaints.iter().filter(is_error).peekable();
    errors.peek().is_some()
        && errors.all(|line| line.contains("image not known") || line.contains("both a tag and digest"))
}

/// Refuses a podman that is older than the oldest.
pub(crate) fn check_version(version: &str) -> Result<()> {
    let mut numbers = version.split(['.', '-']).map(|part| part.parse::<u32>().ok());
    let (Some(Some(major)), Some(Some(minor))) = (numbers.next(), numbers.next()) else {
        return Err(unexpected("version", format!("the version {version:?}")));
    };
    if (major, minor) < OLDEST {
        let needed = format!("{}.{}", OLDEST.0, OLDEST.1);
        return Err(Error::TooOld { what: "podman".into(), found: version.to_owned(), needed });
    }
    Ok(())
}

/// So many seconds, rounded up: podman takes no less.
fn whole_seconds(grace: Duration) -> String {
    grace.as_millis().div_ceil(1000).to_string()
}

#[async_trait]
impl Engine for PodmanCli {
    fn kind(&self) -> RuntimeKind {
        RuntimeKind::Podman
    }

    fn endpoint(&self) -> String {
        let mut words = vec![self.podman.program.display().to_string()];
        words.extend(self.podman.global.iter().cloned());
        words.join(" ")
    }

    fn runs_healthchecks(&self) -> bool {
        self.runs_healthchecks
    }

    fn lacks(&self, wish: Wish<'_>) -> Vec<Lack> {
        confine::lacks(wish, self.is_remote())
    }

    async fn info(&self) -> Result<EngineInfo> {
        let program = self.podman.program.display().to_string();
        let finished = self.podman.run(&Invocation::new(["version", "--format", "json"])).await?;
        if !finished.succeeded() {
            return Err(explain(&finished, Subject { kind: ResourceKind::Machine, name: &program }));
        }
        let not_podman = |_| Error::NotInstalled {
            program: program.clone(),
            reason: "what it prints for `version` is not podman's".to_owned(),
        };
        let version: Version = parse::json("version", &finished.stdout).map_err(not_podman)?;
        let version = version.server.unwrap_or(version.client);
        check_version(&version.version)?;
        // The version is the client's own; that containers can be listed shows that the engine works.
        self.succeed(&Invocation::new(["ps", "--quiet", "--last", "1"]), ResourceKind::Machine, &program)
            .await?;
        let mut info = EngineInfo::new(RuntimeKind::Podman, "Podman", version.version, self.endpoint());
        info.api_version = Some(version.api_version);
        Ok(info)
    }

    async fn observe(&self, scope: &Scope) -> Result<Observed> {
        let project = &scope.project;
        let labels = [labels::of_project(project)];
        let networks = || self.resources::<ListedNetwork>(["network", "ls"], project, &scope.networks);
        let with_networks = async {
            let containers = self.containers(&labels, true, scope.detail);
            if scope.detail == Detail::Whole || scope.networks.of_project {
                return tokio::try_join!(containers, networks());
            }
            let containers = containers.await?;
            let networks = match known(&containers, &scope.networks.names, project) {
                Some(known) => known,
                None => networks().await?,
            };
            Ok((containers, networks))
        };
        let ((containers, networks), volumes, images) = tokio::try_join!(
            with_networks,
            self.resources::<ListedVolume>(["volume", "ls"], project, &scope.volumes),
            self.images(&scope.images),
        )?;
        Ok(Observed { containers, networks, volumes, images })
    }

    async fn list(&self, filter: &ContainerFilter) -> Result<Vec<Container>> {
        self.containers(&filter.label_words(), !filter.running, filter.detail).await
    }

    async fn inspect(&self, container: &str) -> Result<Container> {
        let command = Invocation::new(["container", "inspect", "--", container]);
        let finished = self.see(&command, ResourceKind::Container, container).await?;
        let inspected: Vec<Inspected> = parse::json("container inspect", &finished.stdout)?;
        let first =
            inspected.into_iter().next().ok_or_else(|| unexpected("container inspect", "an empty list"))?;
        first.into_container()
    }

    /// Ports are chosen already: podman takes no range for one port of a container.
    async fn create_container(&self, spec: &ContainerSpec) -> Result<ContainerId> {
        self.create(spec).await
    }

    fn runs_in_one_call(&self) -> bool {
        true
    }

    async fn run_container(&self, spec: &ContainerSpec) -> Result<ContainerId> {
        self.create_empty(spec, Then::Start).await
    }

    async fn start_container(&self, id: &ContainerId) -> Result<()> {
        let command = Invocation::new(["start", "--", &id.0]);
        // Podman takes away what a start that was killed has left when it finds it, and fails.
        let finished = again(|| self.podman.run(&command), LEFT_BY_A_START, is_left_by_a_start).await?;
        if finished.succeeded() {
            return Ok(());
        }
        Err(explain(&finished, Subject { kind: ResourceKind::Container, name: &id.0 }))
    }

    async fn stop_container(&self, id: &ContainerId, grace: Option<Duration>) -> Result<()> {
        let finished = self.stop(std::slice::from_ref(id), grace).await?;
        if finished.succeeded() {
            return Ok(());
        }
        let error = explain(&finished, Subject { kind: ResourceKind::Container, name: &id.0 });
        // Podman refuses to stop what was never started, or ended in between; what counts is that it does not run.
        match self.inspect(&id.0).await {
            Ok(now) if !now.state.is_running() => Ok(()),
            _ => Err(error),
        }
    }

    /// A client of a service asks it for one after the other.
    fn takes_several(&self) -> bool {
        !self.is_remote()
    }

    async fn stop_containers(&self, ids: &[ContainerId], grace: Option<Duration>) -> Vec<Result<()>> {
        let together = self.stop(ids, grace).await;
        each(ids, together, |id| self.stop_container(id, grace)).await
    }

    async fn kill_container(&self, id: &ContainerId, signal: &str) -> Result<()> {
        let command = Invocation::new(["kill"]).args([format!("--signal={signal}")]).args(["--", &id.0]);
        let error = match self.succeed(&command, ResourceKind::Container, &id.0).await {
            Ok(_) => return Ok(()),
            Err(error) => error,
        };
        // What does not run has no process that a signal could reach.
        match self.inspect(&id.0).await {
            Ok(now) if !now.state.is_running() => Ok(()),
            _ => Err(error),
        }
    }

    async fn pause_container(&self, id: &ContainerId) -> Result<()> {
        let command = Invocation::new(["pause", "--", &id.0]);
        self.succeed(&command, ResourceKind::Container, &id.0).await.map(|_| ())
    }

    async fn unpause_container(&self, id: &ContainerId) -> Result<()> {
        let command = Invocation::new(["unpause", "--", &id.0]);
        self.succeed(&command, ResourceKind::Container, &id.0).await.map(|_| ())
    }

    async fn wait_container(&self, id: &ContainerId) -> Result<i64> {
        let finished = self.waited(&id.0).await?;
        if !finished.succeeded() {
            return Err(explain(&finished, Subject { kind: ResourceKind::Container, name: &id.0 }));
        }
        let text = finished.text();
        text.parse().map_err(|_| unexpected("wait", format!("{text:?} where an exit code should be")))
    }

    async fn remove_container(&self, id: &ContainerId, anonymous_volumes: AnonymousVolumes) -> Result<()> {
        let finished = self.remove(std::slice::from_ref(id), anonymous_volumes).await?;
        if !finished.succeeded() {
            return Err(explain(&finished, Subject { kind: ResourceKind::Container, name: &id.0 }));
        }
        // Forced, the removal of what is not there succeeds, and names nothing.
        if finished.text().is_empty() {
            return Err(Error::NotFound { kind: ResourceKind::Container, name: id.0.clone() });
        }
        Ok(())
    }

    async fn remove_containers(
        &self,
        ids: &[ContainerId],
        anonymous_volumes: AnonymousVolumes,
    ) -> Vec<Result<()>> {
        let together = self.remove(ids, anonymous_volumes).await;
        each(ids, together, |id| self.remove_container(id, anonymous_volumes)).await
    }

    async fn rename_container(&self, id: &ContainerId, name: &ContainerName) -> Result<()> {
        let command = Invocation::new(["rename", "--", &id.0, name.as_str()]);
        self.succeed(&command, ResourceKind::Container, name.as_str()).await.map(|_| ())
    }

    async fn create_network(&self, spec: &NetworkSpec) -> Result<()> {
        // It looks at all interfaces of the computer for a subnet that is free.
        let subject = Subject { kind: ResourceKind::Network, name: spec.name.as_str() };
        self.undisturbed(&create::network(spec), subject).await.map(|_| ())
    }

    async fn remove_network(&self, name: &ResourceName) -> Result<()> {
        let command = Invocation::new(["network", "rm", "--", name.as_str()]);
        self.succeed(&command, ResourceKind::Network, name.as_str()).await.map(|_| ())
    }

    async fn create_volume(&self, spec: &VolumeSpec) -> Result<()> {
        self.succeed(&create::volume(spec), ResourceKind::Volume, spec.name.as_str()).await.map(|_| ())
    }

    async fn remove_volume(&self, name: &ResourceName) -> Result<()> {
        let command = Invocation::new(["volume", "rm", "--", name.as_str()]);
        self.succeed(&command, ResourceKind::Volume, name.as_str()).await.map(|_| ())
    }

    async fn pull(&self, image: &str, _progress: &Progress) -> Result<ImageId> {
        // On a pipe podman says nothing of bytes; what is not known is not reported.
        let name = create::image_names(image).swap_remove(0);
        let command = Invocation::new(["pull", "--quiet", "--", &name]);
        let finished = self.podman.run_within(&command, self.pull_deadline).await?;
        if !finished.succeeded() {
            return Err(explain(&finished, Subject { kind: ResourceKind::Image, name: image }));
        }
        let text = finished.text();
        match text.lines().last() {
            Some(id) if id.len() >= 64 => Ok(ImageId::new(id)),
            _ => Err(unexpected("pull", format!("{text:?} where the image's id should be"))),
        }
    }

    async fn build(&self, spec: &BuildSpec, progress: &Progress) -> Result<ImageId> {
        let _permit = self.builds.acquire().await.map_err(|_| Error::ShuttingDown)?;
        let mut outcome = build::build(&self.podman, &self.tidying, spec, progress).await;
        for _ in 0..GONE_MEANWHILE {
            match &outcome {
                Err(error) if is_disturbed(error) => {}
                _ => break,
            }
            outcome = build::build(&self.podman, &self.tidying, spec, progress).await;
        }
        outcome
    }

    async fn settle(&self) {
        self.tidying.wait().await;
    }

    async fn push(&self, image: &str, _progress: &Progress) -> Result<()> {
        let mut outcome = Err(Error::Image { image: image.to_owned(), reason: "it is not here".into() });
        for name in create::image_names(image) {
            let finished = self
                .podman
                .run_within(&Invocation::new(["push", "--quiet", "--", &name]), self.pull_deadline)
                .await?;
            if finished.succeeded() {
                return Ok(());
            }
            outcome = Err(explain(&finished, Subject { kind: ResourceKind::Image, name: image }));
            if !finished.stderr.iter().any(|line| line.contains("image not known")) {
                break;
            }
        }
        outcome
    }

    async fn remove_image(&self, image: &str) -> Result<()> {
        for name in create::image_names(image) {
            let finished = self.podman.run(&Invocation::new(["image", "rm", "--", &name])).await?;
            if finished.succeeded() {
                return Ok(());
            }
            let error = explain(&finished, Subject { kind: ResourceKind::Image, name: image });
            match error {
                Error::Image { reason, .. } if reason.contains("image not known") => {}
                error => return Err(error),
            }
        }
        Err(Error::NotFound { kind: ResourceKind::Image, name: image.to_owned() })
    }

    async fn remove_replaced_images(&self, project: &ProjectName) -> Result<()> {
        let label = format!("label={}", labels::of_project(project));
        let command = Invocation::new(["image", "prune", "--force", "--filter", &label]);
        self.see(&command, ResourceKind::Project, project.as_str()).await.map(|_| ())
    }

    async fn logs(&self, id: &ContainerId, options: &LogOptions) -> Result<LogStream> {
        logs::open(self.clone(), &id.0, options).await
    }

    async fn events(&self, project: Option<&ProjectName>) -> Result<EngineEvents> {
        logs::events(self, project).await
    }

    async fn exec(&self, id: &ContainerId, spec: &ExecSpec) -> Result<ExecOutput> {
        let finished = self.podman.run(&session::exec(id, spec, Talk::Listen)).await?;
        // 125 is podman's own failure; anything else is the command's.
        if finished.exit_code == Some(125) || finished.exit_code.is_none() {
            return Err(explain(&finished, Subject { kind: ResourceKind::Container, name: &id.0 }));
        }
        let mut stdout = finished.stdout;
        stdout.truncate(MAX_EXEC_OUTPUT);
        let stderr = finished.stderr.join("\n").into_bytes();
        Ok(ExecOutput { exit_code: finished.exit_code.map_or(-1, i64::from), stdout, stderr })
    }

    async fn exec_session(&self, id: &ContainerId, spec: &ExecSpec) -> Result<Session> {
        let talk = if spec.tty { Talk::OnTerminal } else { Talk::ToAndFro };
        session::open(&self.podman, &session::exec(id, spec, talk), id, talk, spec.stdin)
    }

    async fn exec_detached(&self, id: &ContainerId, spec: &ExecSpec) -> Result<()> {
        let command = session::exec(id, spec, Talk::Never);
        self.succeed(&command, ResourceKind::Container, &id.0).await.map(|_| ())
    }

    async fn attach(&self, id: &ContainerId, spec: &AttachSpec) -> Result<Session> {
        let talk = if spec.tty { Talk::OnTerminal } else { Talk::ToAndFro };
        session::open(&self.podman, &session::attach(id, spec), id, talk, spec.stdin)
    }

    async fn copy_from(&self, id: &ContainerId, path: &str) -> Result<Archive> {
        copy::from(&self.podman, id, path).await
    }

    async fn copy_to(
        &self,
        id: &ContainerId,
        folder: &str,
        archive: Archive,
        owner: CopiedOwner,
    ) -> Result<()> {
        copy::to(&self.podman, id, folder, archive, owner).await
    }

    async fn top(&self, id: &ContainerId) -> Result<ProcessTable> {
        let command = Invocation::new(["top", &id.0]).args(parse::TOP_COLUMNS);
        let finished = self.see(&command, ResourceKind::Container, &id.0).await?;
        Ok(parse::processes(&finished.text()))
    }

    async fn stats(&self, ids: &[ContainerId]) -> Result<Usages> {
        logs::stats(&self.podman, ids)
    }

    async fn image(&self, image: &str) -> Result<Image> {
        let name = image.strip_prefix("sha256:").unwrap_or(image);
        let command = Invocation::new(["image", "inspect", "--", name]);
        let finished = self.see(&command, ResourceKind::Image, image).await?;
        let inspected: Vec<InspectedImage> = parse::json("image inspect", &finished.stdout)?;
        let first =
            inspected.into_iter().next().ok_or_else(|| unexpected("image inspect", "an empty list"))?;
        Ok(first.into())
    }

    async fn check_health(&self, id: &ContainerId) -> Result<HealthStatus> {
        let finished = self.podman.run(&Invocation::new(["healthcheck", "run", &id.0])).await?;
        // 1 is a check that failed; what that means for the container's health is for podman to count.
        if !matches!(finished.exit_code, Some(0 | 1)) {
            return Err(explain(&finished, Subject { kind: ResourceKind::Container, name: &id.0 }));
        }
        let health = self.inspect(&id.0).await?.health;
        health
            .map(|health| health.status)
            .ok_or_else(|| unexpected("healthcheck run", "a container without a healthcheck"))
    }
}

#[cfg(test)]
mod tests {
    use super::are_not_here;

    #[test]
    fn images_that_are_not_here_are_told_from_what_cannot_be_read() {
        let are_not_here =
            |lines: &[&str]| are_not_here(&lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>());
        // What podman 4.3 was seen to say of two.
        let two = [
            "error inspecting object: localhost/b:1: image not known",
            "Error: inspecting object: localhost/a:1: image not known",
        ];
        assert!(are_not_here(&two));
        assert!(are_not_here(&["time=\"2026-01-02T15:04:05Z\" level=warning msg=\"x\"", two[1]]));
        assert!(!are_not_here(&[two[0], "Error: inspecting object: localhost/a:1: layer not known"]));
        assert!(!are_not_here(&["Error: unable to connect to Podman socket: refused"]));
        assert!(!are_not_here(&[]));
    }
}
