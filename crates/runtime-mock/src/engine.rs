//! The engine: what each call does to the world.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read,
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use compose_file::{HealthTest, Namespace, NetworkMode, ProjectName, Protocol, RestartPolicy};
use futures_util::{StreamExt, future::BoxFuture, stream};
use runtime_core::{
    AnonymousVolumes, Archive, AttachSpec, BuildSpec, Container, ContainerFilter, ContainerId, ContainerName,
    ContainerSpec, ContainerState, CopiedOwner, Detail, Engine, EngineEvents, EngineInfo, Error, ExecOutput,
    ExecSpec, Health, HealthStatus, Image, ImageId, LogLine, LogOptions, LogSource, LogStream,
    MountSourceSpec, NetworkSpec, Observed, Phase, ProcessTable, Progress, PublishedPort, Resource,
    ResourceKind, ResourceName, Result, RuntimeKind, Scope, Session, SessionEvent, SessionInput, Subject,
    Usage, Usages, VolumeSpec, Work, labels,
};
use tokio::{
    io::DuplexStream,
    sync::{broadcast::error::RecvError, mpsc},
    task::yield_now,
    time::sleep,
};

use crate::{
    fault::{self, Fault},
    fixture::Fixture,
    machine::MockMachine,
    program::{Inside, Process, Program, Scripted},
    world::{Inner, Layer, Record, StoredVolume, World},
};

/// The first port that is given where the engine may choose.
const FIRST_PORT: u16 = 49_152;
/// How many bytes every image takes.
const IMAGE_SIZE: u64 = 8 << 20;
/// So many bytes wait for a process that does not read them.
const PIPE: usize = 64 << 10;
/// The grace period of a container that has none of its own.
const GRACE: Duration = Duration::from_secs(10);

/// The time between two looks at what containers use.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);
/// What a container uses of which nothing else was said.
const USUAL: Usage = Usage {
    cpu_percent: 0.5,
    memory: 4 << 20,
    memory_limit: 1 << 30,
    net_in: 1_000,
    net_out: 2_000,
    block_in: 0,
    block_out: 0,
    pids: 1,
};

/// An engine in memory. Cheap to clone; clones are the same engine.
#[derive(Debug, Clone)]
pub struct MockEngine {
    inner: Arc<Inner>,
}

impl Default for MockEngine {
    fn default() -> Self {
        Self::new()
    }
}

impl MockEngine {
    /// An engine with nothing on it, whose calls take no time. Every image can be pulled, but those of `localhost`.
    pub fn new() -> Self {
        Self { inner: Arc::new(Inner::new()) }
    }

    /// The same, whose calls give way to others as often as the seed says: equal seeds give equal orders on a current-thread runtime.
    pub fn seeded(seed: u64) -> Self {
        let engine = Self::new();
        let mut world = engine.inner.world();
        world.random = seed;
        world.interleaves = true;
        drop(world);
        engine
    }

    /// Takes every image of `localhost` for one that was built here, as a user expects who tries a file out. Without this
    /// only those are here that were [put here](Self::image).
    #[must_use]
    pub fn with_built_images(self) -> Self {
        self.inner.world().builds_everything = true;
        self
    }

    /// Makes it this time of day on the engine now; its clock goes on with tokio's. Without this it begins at the first morning
    /// of 2026. Needs a tokio runtime if its clock is paused.
    #[must_use]
    pub fn at(self, time: SystemTime) -> Self {
        self.inner.begin_at(time);
        self
    }

    /// Puts an image on the engine whose containers do what the program does.
    pub fn image(&self, reference: &str, program: impl Program) {
        let mut world = self.inner.world();
        world.images.insert(reference.to_owned(), image_id(reference));
        world.programs.insert(reference.to_owned(), Arc::new(program));
    }

    /// Says what containers of an image do that is not here, and has to be pulled first.
    pub fn image_to_pull(&self, reference: &str, program: impl Program) {
        self.inner.world().programs.insert(reference.to_owned(), Arc::new(program));
    }

    /// Puts an image on the engine whose containers are those of the test fixture: `/fixture serve`, `sleep`, `exit`…
    pub fn fixture_image(&self, reference: &str) {
        self.image(reference, Fixture);
    }

    /// Asks a published port, as a program of the host would.
    ///
    /// # Errors
    /// When nobody answers there, or not with 200.
    pub fn fetch(&self, port: u16, path: &str) -> Result<String, String> {
        let answer = {
            let world = self.inner.world();
            let publishes = |record: &&Record| {
                record.state == ContainerState::Running
                    && record.ports.iter().any(|bound| bound.published == port)
            };
            let record = world.containers.values().find(publishes).ok_or("connection refused")?;
            let target =
                record.ports.iter().find(|bound| bound.published == port).map_or(port, |bound| bound.target);
            world.listener(record, target).ok_or("connection reset")?
        };
        match answer(path) {
            (200, body) => Ok(body),
            (status, body) => Err(format!("{status} {body}")),
        }
    }

    /// What a container of that name or id was made from.
    pub fn container_spec(&self, container: &str) -> Option<ContainerSpec> {
        let world = self.inner.world();
        Some(world.containers[&world.find(container)?].spec.clone())
    }

    /// What a network was made from.
    pub fn network_spec(&self, name: &str) -> Option<NetworkSpec> {
        self.inner.world().networks.get(name).cloned()
    }

    /// What a volume was made from; `None` too for one that was made for a container that named it.
    pub fn volume_spec(&self, name: &str) -> Option<VolumeSpec> {
        self.inner.world().volumes.get(name)?.spec.clone()
    }

    /// How many calls have changed something, or tried to.
    pub fn mutations(&self) -> usize {
        self.inner.world().mutations
    }

    /// How often each method was called, by the names that [`MockEngine::script`] knows.
    pub fn calls(&self) -> BTreeMap<String, usize> {
        self.inner.world().script.calls.clone()
    }

    /// Every changing call in the order of their effects: the method's name and what it was about.
    pub fn journal(&self) -> Vec<String> {
        self.inner.world().journal.clone()
    }

    /// Whether both are in the [journal](Self::journal), the first before the second.
    pub fn happened_before(&self, first: &str, second: &str) -> bool {
        let journal = self.journal();
        let at = |line: &str| journal.iter().position(|other| other == line);
        matches!((at(first), at(second)), (Some(first), Some(second)) if first < second)
    }

    /// Puts the engine into a machine of that name, which does not exist yet. From now on the engine answers only while the
    /// machine is up, and its containers end with it.
    pub fn in_machine(&self, name: &str) -> MockMachine {
        let machine = MockMachine::new(name, &self.inner);
        self.inner.world().machine = Some(machine.vm());
        machine
    }

    /// Says what the container of that name uses from now on, while it runs: what [`Engine::stats`] tells each second.
    pub fn uses(&self, container: &str, usage: Usage) {
        self.inner.world().usages.insert(container.to_owned(), usage);
    }

    /// Scripts what the `nth` call (from 1) of a method does from now on. The methods are those of [`Engine`], like
    /// `start_container`, and of the machine: `machine_status`, `machine_init`, `machine_start`, `machine_stop`,
    /// `machine_boot` and `machine_set_clock`.
    pub fn script(&self, method: &str, nth: usize, fault: Fault) {
        self.inner.world().script.add(method, nth, fault);
    }

    /// Forgets what was scripted and has not happened.
    pub fn forget_script(&self) {
        self.inner.world().script.forget();
    }

    /// From now on the name of a container that was removed is free only after so long.
    pub fn free_names_after(&self, time: Duration) {
        self.inner.world().names_freed_after = time;
    }

    pub(crate) fn of(inner: Arc<Inner>) -> Self {
        Self { inner }
    }

    /// Gives way to others, as often as the seed says.
    pub(crate) async fn turn(&self) {
        let times = {
            let mut world = self.inner.world();
            if world.interleaves { world.roll() % 4 } else { 1 }
        };
        for _ in 0..times {
            yield_now().await;
        }
    }

    /// A call that changes nothing: its turn, and what the script says of it. The error in the answer is for its end.
    pub(crate) async fn begin_quietly(&self, method: &str) -> Result<Option<Error>> {
        self.turn().await;
        let fault = self.inner.world().script.next(method);
        fault::before(method, fault).await
    }

    /// As [`MockEngine::begin_quietly`], of a call that changes something: it stands in the journal.
    pub(crate) async fn begin(&self, method: &str, name: &str) -> Result<Option<Error>> {
        let fails = self.begin_quietly(method).await?;
        let mut world = self.inner.world();
        world.mutations += 1;
        world.journal.push(format!("{method} {name}"));
        Ok(fails)
    }

    /// A call of the engine that changes nothing.
    async fn look(&self, method: &str) -> Result<()> {
        let fails = self.begin_quietly(method).await?;
        fails.map_or(Ok(()), Err)?;
        self.is_reachable()
    }

    /// A call of the engine that changes something.
    async fn change(&self, method: &str, name: &str) -> Result<Option<Error>> {
        let fails = self.begin(method, name).await?;
        self.is_reachable()?;
        Ok(fails)
    }

    fn is_reachable(&self) -> Result<()> {
        let machine = self.inner.world().machine.clone();
        match machine.and_then(|machine| machine.refusal()) {
            None => Ok(()),
            Some(reason) => Err(self.unreachable(reason)),
        }
    }

    fn unreachable(&self, reason: String) -> Error {
        Error::NotReachable { engine: RuntimeKind::Mock, endpoint: self.endpoint(), reason }
    }

    /// Ends all containers at once: the machine under them is gone.
    pub(crate) fn kill_everything(&self) {
        let ids: Vec<String> = self.inner.world().containers.keys().cloned().collect();
        for id in ids {
            self.kill_now(&id);
        }
    }

    /// How often a line is in the [journal](Self::journal).
    pub fn count(&self, line: &str) -> usize {
        self.inner.world().journal.iter().filter(|other| *other == line).count()
    }

    fn name_of(&self, id: &ContainerId) -> String {
        let world = self.inner.world();
        world.containers.get(&id.0).map_or_else(|| id.0.clone(), |record| record.spec.name.to_string())
    }

    fn program(world: &World, image: &str) -> Arc<dyn Program> {
        world.programs.get(image).cloned().unwrap_or_else(|| Arc::new(Scripted))
    }
}

/// An id made of a text, the same at every time.
pub(crate) fn digest(text: &str) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut out = String::new();
    for round in 0..4_u8 {
        for byte in text.bytes().chain([round]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        out.push_str(&format!("{hash:016x}"));
    }
    out
}

pub(crate) fn image_id(reference: &str) -> ImageId {
    ImageId::new(&digest(reference))
}

/// Whether an image is in no registry.
fn is_local(reference: &str) -> bool {
    let host = reference.split('/').next().unwrap_or_default();
    host == "localhost" || host.starts_with("localhost:")
}

fn not_found(kind: ResourceKind, name: &str) -> Error {
    Error::NotFound { kind, name: name.to_owned() }
}

/// The containers that a container cannot be without.
fn others(spec: &ContainerSpec) -> impl Iterator<Item = &str> {
    let network = match &spec.network_mode {
        Some(NetworkMode::Container(other)) => Some(other.as_str()),
        _ => None,
    };
    let namespaces = [&spec.namespaces.ipc, &spec.namespaces.pid, &spec.namespaces.uts];
    let namespaces = namespaces.into_iter().filter_map(|namespace| match namespace {
        Some(Namespace::Container(other)) => Some(other.as_str()),
        _ => None,
    });
    network.into_iter().chain(namespaces).chain(spec.volumes_from.iter().map(|from| from.container.as_str()))
}

/// The words that a container runs, or a command in it.
fn argv(spec: &ContainerSpec) -> Vec<String> {
    let entrypoint = spec.entrypoint.clone().unwrap_or_else(|| vec!["/fixture".to_owned()]);
    // An entrypoint of one's own drops the image's command, and this one's images have none.
    entrypoint
        .into_iter()
        .filter(|word| !word.is_empty())
        .chain(spec.command.iter().flatten().cloned())
        .collect()
}

/// Binds a container's ports, all or none.
fn bind(bound: &mut BTreeSet<(Protocol, u16)>, spec: &ContainerSpec) -> Result<Vec<PublishedPort>> {
    let mut own: Vec<PublishedPort> = Vec::new();
    for port in &spec.ports {
        let (first, last) = port.published.map_or((FIRST_PORT, u16::MAX), |host| (host.first(), host.last()));
        let Some(published) = (first..=last).find(|candidate| !bound.contains(&(port.protocol, *candidate)))
        else {
            release(bound, &mut own);
            let reason = format!("bind {first}/{}: address already in use", port.protocol.as_str());
            return Err(Error::PortInUse { container: spec.name.to_string(), reason });
        };
        bound.insert((port.protocol, published));
        own.push(PublishedPort {
            target: port.target,
            published,
            host_ip: port.host_ip,
            protocol: port.protocol,
        });
    }
    Ok(own)
}

/// Gives ports back.
fn release(bound: &mut BTreeSet<(Protocol, u16)>, ports: &mut Vec<PublishedPort>) {
    for port in ports.drain(..) {
        bound.remove(&(port.protocol, port.published));
    }
}

impl MockEngine {
    /// Runs the container's program until it ends, and again as its policy says.
    fn launch(&self, id: &str, restarted: bool) -> Result<()> {
        let mut world = self.inner.world();
        let record = world.containers.get(id).ok_or_else(|| not_found(ResourceKind::Container, id))?;
        let program = Self::program(&world, &record.spec.image);
        if let Some(missing) = argv(&record.spec).first().filter(|word| !program.has(word)) {
            return Err(Error::Api {
                engine: RuntimeKind::Mock,
                operation: format!("start container {}", record.spec.name),
                status: None,
                message: format!("exec {missing:?}: no such file or directory"),
            });
        }
        let at = self.inner.now();
        let World { containers, bound, .. } = &mut *world;
        let record = containers.get_mut(id).ok_or_else(|| not_found(ResourceKind::Container, id))?;
        record.ports = bind(bound, &record.spec)?;
        record.state = ContainerState::Running;
        record.exit_code = None;
        record.failures = 0;
        record.signals.clear();
        record.listening.clear();
        record.started = Some(tokio::time::Instant::now());
        record.started_at = Some(at);
        record.run += 1;
        record.stopped_by_us = false;
        record.restarts = if restarted { record.restarts + 1 } else { 0 };
        let checked = record.spec.has_healthcheck()
            && record.spec.healthcheck.as_ref().is_some_and(|check| check.test.is_some());
        record.health = checked.then(|| Health { status: HealthStatus::Starting, log: Vec::new() });
        let run = record.run;
        let process = Process {
            inner: self.inner.clone(),
            id: id.to_owned(),
            argv: argv(&record.spec),
            inside: None,
            stdin: record.stdin.clone(),
        };
        let engine = self.clone();
        let id = id.to_owned();
        let ending = id.clone();
        let checking =
            checked.then(|| tokio::spawn(self.clone().check_always(id.clone(), run)).abort_handle());
        let task = tokio::spawn(async move {
            let code = program.run(process).await;
            engine.ended(&ending, run, code).await;
        });
        record.task = Some(task.abort_handle());
        record.checks = checking;
        self.inner.tell(record, "start");
        Ok(())
    }

    /// What follows from a process's end. Boxed, because a restart launches what may end again.
    fn ended(&self, id: &str, run: u64, code: i64) -> BoxFuture<'static, ()> {
        let (engine, id) = (self.clone(), id.to_owned());
        Box::pin(async move {
            let wait = {
                let at = engine.inner.now();
                let mut world = engine.inner.world();
                let World { containers, bound, .. } = &mut *world;
                let Some(record) = containers.get_mut(&id).filter(|record| record.run == run) else {
                    return;
                };
                let again = !record.stopped_by_us
                    && match record.spec.restart {
                        RestartPolicy::No => false,
                        RestartPolicy::Always | RestartPolicy::UnlessStopped => true,
                        RestartPolicy::OnFailure(times) => {
                            code != 0 && times.is_none_or(|times| record.restarts < times)
                        }
                    };
                record.exit_code = Some(code);
                record.finished_at = Some(at);
                record.state = if again { ContainerState::Restarting } else { ContainerState::Exited };
                release(bound, &mut record.ports);
                record.listening.clear();
                if let Some(checks) = record.checks.take() {
                    checks.abort();
                }
                let wait = Duration::from_millis(100 << record.restarts.min(9));
                engine.inner.tell(record, "die");
                match (again, record.spec.auto_remove) {
                    (true, _) => Some(wait),
                    (false, true) => None,
                    (false, false) => return,
                }
            };
            let Some(wait) = wait else {
                // It may have gone meanwhile.
                let _ = engine.do_remove_container(&ContainerId(id), AnonymousVolumes::Remove).await;
                return;
            };
            sleep(wait).await;
            let still = engine.inner.world().containers.get(&id).is_some_and(|record| {
                record.run == run && record.state == ContainerState::Restarting && !record.stopped_by_us
            });
            if still
                && engine.launch(&id, true).is_err()
                && let Some(record) = engine.inner.world().containers.get_mut(&id)
            {
                record.state = ContainerState::Exited;
                engine.inner.tell(record, "die");
            }
        })
    }

    /// Runs the healthcheck at its interval for as long as the container runs.
    async fn check_always(self, id: String, run: u64) {
        loop {
            let interval = {
                let world = self.inner.world();
                let Some(record) = world.containers.get(&id).filter(|record| record.run == run) else {
                    return;
                };
                record
                    .spec
                    .healthcheck
                    .as_ref()
                    .and_then(|check| check.interval)
                    .unwrap_or(Duration::from_secs(30))
            };
            sleep(interval).await;
            let current =
                self.inner.world().containers.get(&id).is_some_and(|r| r.run == run && r.state.is_running());
            if !current || self.check_once(&id).await.is_err() {
                return;
            }
        }
    }

    async fn check_once(&self, id: &str) -> Result<HealthStatus> {
        let (check, words, started) = {
            let world = self.inner.world();
            let record = world.containers.get(id).ok_or_else(|| not_found(ResourceKind::Container, id))?;
            let check = record.spec.healthcheck.clone().unwrap_or_default();
            let words = match &check.test {
                Some(HealthTest::Exec(words)) => words.clone(),
                Some(HealthTest::Shell(line)) => ["/bin/sh", "-c", line].map(str::to_owned).to_vec(),
                _ => Vec::new(),
            };
            (check, words, record.started)
        };
        let limit = check.timeout.unwrap_or(Duration::from_secs(30));
        let (code, text) = match tokio::time::timeout(limit, self.run_inside(id, ExecSpec::new(words))).await
        {
            Ok(output) => {
                let both = [output.stdout, output.stderr].concat();
                (output.exit_code, String::from_utf8_lossy(&both).trim_end().to_owned())
            }
            Err(_) => (1, format!("the check took longer than {limit:?}")),
        };
        let mut world = self.inner.world();
        let record = world.containers.get_mut(id).ok_or_else(|| not_found(ResourceKind::Container, id))?;
        let old = record.health.as_ref().map_or(HealthStatus::Starting, |health| health.status);
        let grace = check.start_period.is_some_and(|period| {
            old == HealthStatus::Starting && started.is_some_and(|started| started.elapsed() < period)
        });
        let mut status = old;
        if code == 0 {
            record.failures = 0;
            status = HealthStatus::Healthy;
        } else if !grace {
            record.failures += 1;
            if record.failures >= check.retries.unwrap_or(3).max(1) {
                status = HealthStatus::Unhealthy;
            }
        }
        World::set_health(record, status, text);
        self.inner.tell(record, &format!("health_status: {}", status.as_str()));
        Ok(status)
    }

    /// Starts a command in a container: what it prints, and its end.
    fn begin_inside(
        &self,
        id: &str,
        spec: ExecSpec,
        stdin: Option<DuplexStream>,
    ) -> (mpsc::UnboundedReceiver<(LogSource, String)>, BoxFuture<'static, i64>) {
        let (printed, lines) = mpsc::unbounded_channel();
        let program = {
            let world = self.inner.world();
            let image = world.containers.get(id).map(|record| record.spec.image.clone()).unwrap_or_default();
            Self::program(&world, &image)
        };
        let process = Process {
            inner: self.inner.clone(),
            id: id.to_owned(),
            argv: spec.command.clone(),
            inside: Some(Inside { spec, printed }),
            stdin: Arc::new(tokio::sync::Mutex::new(stdin)),
        };
        (lines, program.exec(process))
    }

    /// Runs a command in a container.
    async fn run_inside(&self, id: &str, spec: ExecSpec) -> ExecOutput {
        let (mut lines, end) = self.begin_inside(id, spec, None);
        let mut output = ExecOutput { exit_code: end.await, stdout: Vec::new(), stderr: Vec::new() };
        while let Ok((source, line)) = lines.try_recv() {
            let kept = if source == LogSource::Stdout { &mut output.stdout } else { &mut output.stderr };
            kept.extend_from_slice(line.as_bytes());
            kept.push(b'\n');
        }
        output
    }

    /// Freezes a container, or lets it go on.
    fn switch(&self, id: &ContainerId, from: ContainerState, to: ContainerState) -> Result<()> {
        let mut world = self.inner.world();
        let record =
            world.containers.get_mut(&id.0).ok_or_else(|| not_found(ResourceKind::Container, &id.0))?;
        if record.state != from {
            return Err(Error::Api {
                engine: RuntimeKind::Mock,
                operation: format!("make container {} {}", record.spec.name, to.as_str()),
                status: Some(409),
                message: format!("it is {}", record.state.as_str()),
            });
        }
        record.state = to;
        self.inner.tell(record, if to == ContainerState::Paused { "pause" } else { "unpause" });
        Ok(())
    }

    /// The lines of a log from one of them on.
    fn lines(&self, id: &str, first: usize, options: &LogOptions) -> LogStream {
        let (engine, id, options) = (self.clone(), id.to_owned(), options.clone());
        let lines = stream::unfold(first, move |next| {
            let (engine, id, options) = (engine.clone(), id.clone(), options.clone());
            async move {
                loop {
                    let changed = {
                        let world = engine.inner.world();
                        let record = world.containers.get(&id)?;
                        if let Some(entry) = record.log.get(next) {
                            let time = options.timestamps.then(|| rfc3339(entry.at));
                            let line = LogLine { stream: entry.source, time, text: entry.text.clone() };
                            return Some((Ok(line), next + 1));
                        }
                        if !options.follow || !record.state.is_running() {
                            return None;
                        }
                        record.changed.clone().notified_owned()
                    };
                    changed.await;
                }
            }
        });
        lines.boxed()
    }

    fn refusal(&self, id: &ContainerId, what: &str, error: &std::io::Error) -> Error {
        Error::Api {
            engine: RuntimeKind::Mock,
            operation: format!("{what} container {}", self.name_of(id)),
            status: None,
            message: error.to_string(),
        }
    }

    /// Writes files and folders of an archive; it has nothing else here.
    fn unpack(&self, id: &ContainerId, folder: &str, bytes: &[u8]) -> std::io::Result<()> {
        let mut archive = tar::Archive::new(bytes);
        for entry in archive.entries()? {
            let mut entry = entry?;
            let name = entry.path()?.to_string_lossy().trim_end_matches('/').to_owned();
            let path = format!("{}/{name}", folder.trim_end_matches('/'));
            if entry.header().entry_type().is_dir() {
                let mut world = self.inner.world();
                let record = world.containers.get_mut(&id.0);
                record.map(|record| record.folders.insert(path));
            } else if entry.header().entry_type().is_file() {
                let mut content = Vec::new();
                entry.read_to_end(&mut content)?;
                self.inner.write(&id.0, &path, &content).map_err(std::io::Error::other)?;
            }
        }
        Ok(())
    }

    fn check_runs(&self, id: &ContainerId) -> Result<()> {
        let state = self.inner.world().containers.get(&id.0).map(|record| record.state);
        match state {
            Some(state) if state.is_running() => Ok(()),
            _ => Err(not_found(ResourceKind::Container, &id.0)),
        }
    }

    /// Ends a container's process at once.
    fn kill_now(&self, id: &str) {
        let mut world = self.inner.world();
        let World { containers, bound, .. } = &mut *world;
        let Some(record) = containers.get_mut(id).filter(|record| record.state.is_running()) else {
            return;
        };
        for task in [record.task.take(), record.checks.take()].into_iter().flatten() {
            task.abort();
        }
        record.state = ContainerState::Exited;
        record.exit_code = Some(137);
        release(bound, &mut record.ports);
        record.listening.clear();
        record.run += 1;
        self.inner.tell(record, "die");
    }
}

/// What the changing calls do once it is their turn.
impl MockEngine {
    /// What a build can begin with: an image that is here, what its containers do, and what was built into it.
    pub(crate) fn image_to_build_on(&self, reference: &str) -> Option<(ImageId, Arc<dyn Program>, Layer)> {
        let mut world = self.inner.world();
        if world.image(reference).is_none() && !is_local(reference) {
            // As builders do, it is pulled.
            world.images.insert(reference.to_owned(), image_id(reference));
        }
        let id = world.image(reference)?;
        let layer = world.layers.get(id.as_str()).cloned().unwrap_or_default();
        Some((id, Self::program(&world, reference), layer))
    }

    /// Gives what was built its names. What is made of the same is the same image.
    pub(crate) fn keep_image(
        &self,
        spec: &BuildSpec,
        program: Option<&Arc<dyn Program>>,
        mut layer: Layer,
        history: &str,
    ) -> ImageId {
        let mut world = self.inner.world();
        world.serial += u64::from(spec.no_cache);
        let again = if spec.no_cache { world.serial } else { 0 };
        let id = ImageId::new(&digest(&format!("{again} {:?} {history}", spec.labels)));
        layer.labels = spec.labels.clone();
        world.layers.insert(id.as_str().to_owned(), layer);
        for name in [&spec.image].into_iter().chain(&spec.tags) {
            world.images.insert(name.clone(), id.clone());
            match program {
                Some(program) => world.programs.insert(name.clone(), program.clone()),
                None => world.programs.remove(name),
            };
        }
        id
    }

    /// The labels of an image that was built here.
    pub fn image_labels(&self, reference: &str) -> Option<BTreeMap<String, String>> {
        let world = self.inner.world();
        Some(world.layers.get(world.images.get(reference)?.as_str())?.labels.clone())
    }

    /// How many images there are that were built here for a project, with a name or without.
    pub fn built_images(&self, project: &str) -> usize {
        let world = self.inner.world();
        let is_its = |layer: &&Layer| layer.labels.get(labels::PROJECT).map(String::as_str) == Some(project);
        world.layers.values().filter(is_its).count()
    }

    /// A container in which a build runs something.
    pub(crate) fn working_container(
        &self,
        spec: ContainerSpec,
        files: BTreeMap<String, Vec<u8>>,
    ) -> ContainerId {
        let created_at = self.inner.now();
        let mut world = self.inner.world();
        world.serial += 1;
        let id = digest(&format!("build {}", world.serial));
        let image_id = world.image(&spec.image).unwrap_or_else(|| image_id(&spec.image));
        let mut record = Record::new(&id, spec, image_id, created_at);
        record.files = files;
        world.containers.insert(id.clone(), record);
        ContainerId(id)
    }

    pub(crate) fn files_of(&self, id: &ContainerId) -> BTreeMap<String, Vec<u8>> {
        self.inner.world().containers.get(&id.0).map(|record| record.files.clone()).unwrap_or_default()
    }

    pub(crate) fn forget_container(&self, id: &ContainerId) {
        self.inner.world().containers.remove(&id.0);
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    async fn do_push(&self, image: &str, progress: &Progress) -> Result<()> {
        if self.inner.world().image(image).is_none() {
            return Err(Error::Image { image: image.to_owned(), reason: "no such image".into() });
        }
        if is_local(image) {
            return Err(Error::Image { image: image.to_owned(), reason: "no registry answers there".into() });
        }
        self.transfer(image, Work::Push, progress).await;
        Ok(())
    }

    /// Bytes that go over a network, in quarters.
    async fn transfer(&self, image: &str, work: Work, progress: &Progress) {
        for quarter in 0..=4 {
            let phase = Phase::Bytes { work, done: IMAGE_SIZE / 4 * quarter, total: Some(IMAGE_SIZE) };
            progress.report(Subject::Image(image.to_owned()), phase);
            sleep(Duration::from_millis(100)).await;
        }
    }

    async fn do_create_container(&self, spec: &ContainerSpec) -> Result<ContainerId> {
        let created_at = self.inner.now();
        let mut world = self.inner.world();
        if let Some(by) = world.names.get(spec.name.as_str()) {
            return Err(Error::NameInUse { name: spec.name.to_string(), by: Some(by.clone()) });
        }
        let Some(image_id) = world.image(&spec.image) else {
            return Err(Error::Image { image: spec.image.clone(), reason: "no such image".into() });
        };
        if let Some(missing) = spec.networks.iter().find(|a| !world.networks.contains_key(a.network.as_str()))
        {
            return Err(not_found(ResourceKind::Network, missing.network.as_str()));
        }
        if let Some(missing) = others(spec).find(|other| world.find(other).is_none()) {
            return Err(not_found(ResourceKind::Container, missing));
        }
        world.serial += 1;
        let id = digest(&format!("container {}", world.serial));
        let mut anonymous = Vec::new();
        for (index, mount) in spec.mounts.iter().enumerate() {
            match &mount.source {
                MountSourceSpec::Volume { name, .. } => {
                    world.volumes.entry(name.to_string()).or_default();
                }
                MountSourceSpec::Anonymous => {
                    let name = digest(&format!("volume {id} {index}"));
                    world.volumes.insert(name.clone(), StoredVolume::default());
                    anonymous.push((mount.target.clone(), name));
                }
                MountSourceSpec::Bind { path, .. } if !path.exists() => {
                    world.volumes.retain(|name, _| !anonymous.iter().any(|(_, made)| made == name));
                    return Err(Error::Api {
                        engine: RuntimeKind::Mock,
                        operation: format!("create container {}", spec.name),
                        status: None,
                        message: format!("bind source path does not exist: {}", path.display()),
                    });
                }
                _ => {}
            }
        }
        let layer = world.layers.get(image_id.as_str()).cloned().unwrap_or_default();
        let files = spec.files.iter().map(|file| (file.target.clone(), file.content.0.clone().into_bytes()));
        let mut record = Record::new(&id, spec.clone(), image_id, created_at);
        record.files = layer.files.into_iter().chain(files).collect();
        record.anonymous = anonymous;
        let own = &mut record.spec;
        own.environment = layer.environment.into_iter().chain(spec.environment.clone()).collect();
        own.labels = layer.labels.into_iter().chain(spec.labels.clone()).collect();
        if own.entrypoint.is_none() {
            own.entrypoint = layer.entrypoint;
            own.command = own.command.take().or(layer.command);
        }
        self.inner.tell(&record, "create");
        world.names.insert(spec.name.to_string(), id.clone());
        world.containers.insert(id.clone(), record);
        Ok(ContainerId(id))
    }

    async fn do_start_container(&self, id: &ContainerId) -> Result<()> {
        let state = self.inner.world().containers.get(&id.0).map(|record| record.state);
        match state {
            None => Err(not_found(ResourceKind::Container, &id.0)),
            Some(state) if state.is_running() => Ok(()),
            Some(_) => self.launch(&id.0, false),
        }
    }

    async fn do_stop_container(&self, id: &ContainerId, grace: Option<Duration>) -> Result<()> {
        let (grace, changed) = {
            let mut world = self.inner.world();
            let record =
                world.containers.get_mut(&id.0).ok_or_else(|| not_found(ResourceKind::Container, &id.0))?;
            if !record.state.is_running() {
                return Ok(());
            }
            record.stopped_by_us = true;
            if record.state == ContainerState::Restarting {
                record.state = ContainerState::Exited;
                self.inner.tell(record, "die");
                return Ok(());
            }
            let signal = record.spec.stop_signal.clone().unwrap_or_else(|| "SIGTERM".to_owned());
            let signal = if signal.starts_with("SIG") { signal } else { format!("SIG{signal}") };
            record.signals.push_back(signal);
            record.changed.notify_waiters();
            (grace.or(record.spec.stop_grace_period).unwrap_or(GRACE), record.changed.clone())
        };
        let over = async {
            loop {
                let next = changed.notified();
                let running =
                    self.inner.world().containers.get(&id.0).is_some_and(|record| record.state.is_running());
                if !running {
                    return;
                }
                next.await;
            }
        };
        if tokio::time::timeout(grace, over).await.is_err() {
            self.kill_now(&id.0);
        }
        Ok(())
    }

    async fn do_kill_container(&self, id: &ContainerId, signal: &str) -> Result<()> {
        if signal == "SIGKILL" {
            self.kill_now(&id.0);
            return Ok(());
        }
        let mut world = self.inner.world();
        let record =
            world.containers.get_mut(&id.0).ok_or_else(|| not_found(ResourceKind::Container, &id.0))?;
        if !record.state.is_running() {
            return Ok(());
        }
        record.signals.push_back(signal.to_owned());
        record.changed.notify_waiters();
        Ok(())
    }

    async fn do_remove_container(&self, id: &ContainerId, anonymous_volumes: AnonymousVolumes) -> Result<()> {
        if !self.inner.world().containers.contains_key(&id.0) {
            return Err(not_found(ResourceKind::Container, &id.0));
        }
        self.kill_now(&id.0);
        let mut world = self.inner.world();
        let Some(record) = world.containers.remove(&id.0) else { return Ok(()) };
        if world.names_freed_after.is_zero() {
            world.names.remove(record.spec.name.as_str());
        } else {
            let (inner, name, wait) =
                (self.inner.clone(), record.spec.name.to_string(), world.names_freed_after);
            tokio::spawn(async move {
                sleep(wait).await;
                inner.world().names.remove(&name);
            });
        }
        if anonymous_volumes == AnonymousVolumes::Remove {
            for (_, name) in &record.anonymous {
                world.volumes.remove(name);
            }
        }
        self.inner.tell(&record, "destroy");
        Ok(())
    }

    async fn do_rename_container(&self, id: &ContainerId, name: &ContainerName) -> Result<()> {
        let mut world = self.inner.world();
        match world.names.get(name.as_str()) {
            None => {}
            Some(by) if *by == id.0 => {
                return Err(Error::Api {
                    engine: RuntimeKind::Mock,
                    operation: format!("rename container {name}"),
                    status: Some(400),
                    message: "renaming a container with the same name as its current name".to_owned(),
                });
            }
            Some(by) => return Err(Error::NameInUse { name: name.to_string(), by: Some(by.clone()) }),
        }
        let record =
            world.containers.get_mut(&id.0).ok_or_else(|| not_found(ResourceKind::Container, &id.0))?;
        let old = std::mem::replace(&mut record.spec.name, name.clone());
        self.inner.tell(record, "rename");
        world.names.remove(old.as_str());
        world.names.insert(name.to_string(), id.0.clone());
        Ok(())
    }

    async fn do_create_network(&self, spec: &NetworkSpec) -> Result<()> {
        let mut world = self.inner.world();
        let name = spec.name.to_string();
        if world.networks.contains_key(&name) {
            return Err(Error::NameInUse { name, by: None });
        }
        world.networks.insert(name, spec.clone());
        Ok(())
    }

    async fn do_remove_network(&self, name: &ResourceName) -> Result<()> {
        let mut world = self.inner.world();
        let user =
            world.containers.values().find(|record| record.spec.networks.iter().any(|a| a.network == *name));
        if let Some(user) = user {
            let reason = format!("{} is on it", user.spec.name);
            return Err(Error::InUse { kind: ResourceKind::Network, name: name.to_string(), reason });
        }
        match world.networks.remove(name.as_str()) {
            Some(_) => Ok(()),
            None => Err(not_found(ResourceKind::Network, name.as_str())),
        }
    }

    async fn do_create_volume(&self, spec: &VolumeSpec) -> Result<()> {
        let mut world = self.inner.world();
        if world.volumes.contains_key(spec.name.as_str()) {
            return Err(Error::NameInUse { name: spec.name.to_string(), by: None });
        }
        let volume = StoredVolume { spec: Some(spec.clone()), ..StoredVolume::default() };
        world.volumes.insert(spec.name.to_string(), volume);
        Ok(())
    }

    async fn do_remove_volume(&self, name: &ResourceName) -> Result<()> {
        let mut world = self.inner.world();
        if let Some(user) =
            world.containers.values().find(|record| record.volumes().any(|(_, used)| used == name.as_str()))
        {
            let reason = format!("{} mounts it", user.spec.name);
            return Err(Error::InUse { kind: ResourceKind::Volume, name: name.to_string(), reason });
        }
        match world.volumes.remove(name.as_str()) {
            Some(_) => Ok(()),
            None => Err(not_found(ResourceKind::Volume, name.as_str())),
        }
    }

    async fn do_pull(&self, image: &str, progress: &Progress) -> Result<ImageId> {
        if is_local(image) {
            return Err(Error::Image { image: image.to_owned(), reason: "no registry answers there".into() });
        }
        self.transfer(image, Work::Pull, progress).await;
        let mut world = self.inner.world();
        if image.contains("longshore-fixture") {
            world.programs.insert(image.to_owned(), Arc::new(Fixture));
        }
        let id = image_id(image);
        world.images.insert(image.to_owned(), id.clone());
        Ok(id)
    }
}

#[async_trait]
impl Engine for MockEngine {
    fn kind(&self) -> RuntimeKind {
        RuntimeKind::Mock
    }

    fn endpoint(&self) -> String {
        "memory".to_owned()
    }

    async fn info(&self) -> Result<EngineInfo> {
        self.look("info").await?;
        Ok(EngineInfo::new(RuntimeKind::Mock, "Engine in memory", env!("CARGO_PKG_VERSION"), self.endpoint()))
    }

    async fn observe(&self, scope: &Scope) -> Result<Observed> {
        self.look("observe").await?;
        let world = self.inner.world();
        let ours = |labels: &BTreeMap<String, String>| {
            labels.get(labels::PROJECT).map(String::as_str) == Some(scope.project.as_str())
        };
        let containers = world
            .containers
            .values()
            .filter(|record| ours(&record.spec.labels))
            .map(|record| record.seen(scope.detail))
            .collect();
        let networks = world
            .networks
            .iter()
            .filter(|(name, network)| scope.networks.means(&scope.project, name, &network.labels));
        let volumes = world
            .volumes
            .iter()
            .filter(|(name, volume)| scope.volumes.means(&scope.project, name, &volume.labels()))
            .map(|(name, volume)| (name.clone(), volume.view(name)));
        let images = scope.images.iter().filter_map(|image| Some((image.clone(), world.image(image)?)));
        Ok(Observed {
            containers,
            networks: networks
                .map(|(name, network)| {
                    let driver = network.driver.clone().unwrap_or_else(|| "bridge".to_owned());
                    (name.clone(), Resource { name: name.clone(), driver, labels: network.labels.clone() })
                })
                .collect(),
            volumes: volumes.collect(),
            images: images.collect(),
        })
    }

    async fn list(&self, filter: &ContainerFilter) -> Result<Vec<Container>> {
        self.look("list").await?;
        let world = self.inner.world();
        let matches = |record: &&Record| {
            (!filter.running || record.state.is_running())
                && filter.labels.iter().all(|(name, wanted)| {
                    record
                        .spec
                        .labels
                        .get(name)
                        .is_some_and(|value| wanted.as_ref().is_none_or(|wanted| wanted == value))
                })
        };
        Ok(world.containers.values().filter(matches).map(|record| record.seen(filter.detail)).collect())
    }

    async fn inspect(&self, container: &str) -> Result<Container> {
        self.look("inspect").await?;
        let world = self.inner.world();
        let id = world.find(container).ok_or_else(|| not_found(ResourceKind::Container, container))?;
        Ok(world.containers[&id].seen(Detail::Whole))
    }

    async fn create_container(&self, spec: &ContainerSpec) -> Result<ContainerId> {
        let fails = self.change("create_container", spec.name.as_str()).await?;
        let outcome = self.do_create_container(spec).await?;
        fails.map_or(Ok(outcome), Err)
    }

    async fn start_container(&self, id: &ContainerId) -> Result<()> {
        let fails = self.change("start_container", &self.name_of(id)).await?;
        let outcome = self.do_start_container(id).await?;
        fails.map_or(Ok(outcome), Err)
    }

    async fn stop_container(&self, id: &ContainerId, grace: Option<Duration>) -> Result<()> {
        let fails = self.change("stop_container", &self.name_of(id)).await?;
        let outcome = self.do_stop_container(id, grace).await?;
        fails.map_or(Ok(outcome), Err)
    }

    async fn kill_container(&self, id: &ContainerId, signal: &str) -> Result<()> {
        let fails = self.change("kill_container", &self.name_of(id)).await?;
        let outcome = self.do_kill_container(id, signal).await?;
        fails.map_or(Ok(outcome), Err)
    }

    async fn pause_container(&self, id: &ContainerId) -> Result<()> {
        let fails = self.change("pause_container", &self.name_of(id)).await?;
        self.switch(id, ContainerState::Running, ContainerState::Paused)?;
        fails.map_or(Ok(()), Err)
    }

    async fn unpause_container(&self, id: &ContainerId) -> Result<()> {
        let fails = self.change("unpause_container", &self.name_of(id)).await?;
        self.switch(id, ContainerState::Paused, ContainerState::Running)?;
        fails.map_or(Ok(()), Err)
    }

    async fn wait_container(&self, id: &ContainerId) -> Result<i64> {
        self.look("wait_container").await?;
        loop {
            let changed = {
                let world = self.inner.world();
                let record =
                    world.containers.get(&id.0).ok_or_else(|| not_found(ResourceKind::Container, &id.0))?;
                if !record.state.is_running() {
                    return Ok(record.exit_code.unwrap_or_default());
                }
                record.changed.clone().notified_owned()
            };
            changed.await;
        }
    }

    async fn remove_container(&self, id: &ContainerId, anonymous_volumes: AnonymousVolumes) -> Result<()> {
        let fails = self.change("remove_container", &self.name_of(id)).await?;
        let outcome = self.do_remove_container(id, anonymous_volumes).await?;
        fails.map_or(Ok(outcome), Err)
    }

    async fn rename_container(&self, id: &ContainerId, name: &ContainerName) -> Result<()> {
        let fails = self.change("rename_container", name.as_str()).await?;
        let outcome = self.do_rename_container(id, name).await?;
        fails.map_or(Ok(outcome), Err)
    }

    async fn create_network(&self, spec: &NetworkSpec) -> Result<()> {
        let fails = self.change("create_network", spec.name.as_str()).await?;
        let outcome = self.do_create_network(spec).await?;
        fails.map_or(Ok(outcome), Err)
    }

    async fn remove_network(&self, name: &ResourceName) -> Result<()> {
        let fails = self.change("remove_network", name.as_str()).await?;
        let outcome = self.do_remove_network(name).await?;
        fails.map_or(Ok(outcome), Err)
    }

    async fn create_volume(&self, spec: &VolumeSpec) -> Result<()> {
        let fails = self.change("create_volume", spec.name.as_str()).await?;
        let outcome = self.do_create_volume(spec).await?;
        fails.map_or(Ok(outcome), Err)
    }

    async fn remove_volume(&self, name: &ResourceName) -> Result<()> {
        let fails = self.change("remove_volume", name.as_str()).await?;
        let outcome = self.do_remove_volume(name).await?;
        fails.map_or(Ok(outcome), Err)
    }

    async fn pull(&self, image: &str, progress: &Progress) -> Result<ImageId> {
        let fails = self.change("pull", image).await?;
        let outcome = self.do_pull(image, progress).await?;
        fails.map_or(Ok(outcome), Err)
    }

    async fn build(&self, spec: &BuildSpec, progress: &Progress) -> Result<ImageId> {
        let fails = self.change("build", &spec.image).await?;
        let outcome = self.do_build(spec, progress).await?;
        fails.map_or(Ok(outcome), Err)
    }

    async fn push(&self, image: &str, progress: &Progress) -> Result<()> {
        let fails = self.change("push", image).await?;
        self.do_push(image, progress).await?;
        fails.map_or(Ok(()), Err)
    }

    async fn remove_image(&self, image: &str) -> Result<()> {
        let fails = self.change("remove_image", image).await?;
        let mut world = self.inner.world();
        let missing = || Error::NotFound { kind: ResourceKind::Image, name: image.to_owned() };
        let id = world.images.get(image).cloned().ok_or_else(missing)?;
        let is_last = !world.images.iter().any(|(name, named)| name != image && *named == id);
        let user = world.containers.values().find(|record| record.image_id == id);
        if let Some(user) = user.filter(|_| is_last) {
            let reason = format!("container {} is made of it", user.spec.name);
            return Err(Error::InUse { kind: ResourceKind::Image, name: image.to_owned(), reason });
        }
        world.images.remove(image);
        if is_last {
            world.layers.remove(id.as_str());
        }
        fails.map_or(Ok(()), Err)
    }

    async fn remove_replaced_images(&self, project: &ProjectName) -> Result<()> {
        let fails = self.change("remove_replaced_images", project.as_str()).await?;
        let mut world = self.inner.world();
        let World { layers, images, containers, .. } = &mut *world;
        let is_needed = |id: &str| {
            images.values().any(|named| named.as_str() == id)
                || containers.values().any(|record| record.image_id.as_str() == id)
        };
        layers.retain(|id, layer| {
            layer.labels.get(labels::PROJECT).map(String::as_str) != Some(project.as_str()) || is_needed(id)
        });
        fails.map_or(Ok(()), Err)
    }

    async fn logs(&self, id: &ContainerId, options: &LogOptions) -> Result<LogStream> {
        self.look("logs").await?;
        let first = {
            let world = self.inner.world();
            let record =
                world.containers.get(&id.0).ok_or_else(|| not_found(ResourceKind::Container, &id.0))?;
            let skipped = record
                .log
                .iter()
                .take_while(|entry| options.since.is_some_and(|since| entry.at < since))
                .count();
            let tail = options.tail.and_then(|tail| usize::try_from(tail).ok()).unwrap_or(usize::MAX);
            skipped.max(record.log.len().saturating_sub(tail))
        };
        Ok(self.lines(&id.0, first, options))
    }

    async fn events(&self, project: Option<&ProjectName>) -> Result<EngineEvents> {
        self.is_reachable()?;
        let receiver = self.inner.events.subscribe();
        let project = project.map(ToString::to_string);
        let cut = self.unreachable("its events have ended".to_owned());
        let listening = Some((receiver, project, cut));
        let events = stream::unfold(listening, |listening| async move {
            let (mut receiver, project, cut) = listening?;
            loop {
                match receiver.recv().await {
                    Ok(Some(event))
                        if project.as_deref().is_none_or(|project| event.project() == Some(project)) =>
                    {
                        return Some((Ok(event), Some((receiver, project, cut))));
                    }
                    Ok(Some(_)) => {}
                    // What was thrown away because nobody read it cannot be told any more.
                    Ok(None) | Err(RecvError::Lagged(_) | RecvError::Closed) => {
                        return Some((Err(cut), None));
                    }
                }
            }
        });
        Ok(events.boxed())
    }

    async fn exec(&self, id: &ContainerId, spec: &ExecSpec) -> Result<ExecOutput> {
        self.look("exec").await?;
        self.check_runs(id)?;
        Ok(self.run_inside(&id.0, spec.clone()).await)
    }

    async fn exec_session(&self, id: &ContainerId, spec: &ExecSpec) -> Result<Session> {
        self.look("exec").await?;
        self.check_runs(id)?;
        let (input, stdin) = tokio::io::duplex(PIPE);
        let (lines, end) = self.begin_inside(&id.0, spec.clone(), spec.stdin.then_some(stdin));
        Ok(talk(lines, end, spec.stdin.then_some(input)))
    }

    async fn exec_detached(&self, id: &ContainerId, spec: &ExecSpec) -> Result<()> {
        self.look("exec").await?;
        self.check_runs(id)?;
        let (_, end) = self.begin_inside(&id.0, spec.clone(), None);
        tokio::spawn(end);
        Ok(())
    }

    async fn attach(&self, id: &ContainerId, spec: &AttachSpec) -> Result<Session> {
        self.look("attach").await?;
        let (input, stdin) = tokio::io::duplex(PIPE);
        let (from, slot) = {
            let world = self.inner.world();
            let record =
                world.containers.get(&id.0).ok_or_else(|| not_found(ResourceKind::Container, &id.0))?;
            (record.log.len(), record.stdin.clone())
        };
        if spec.start {
            if spec.stdin {
                *slot.lock().await = Some(stdin);
            }
            self.start_container(id).await?;
        } else {
            self.check_runs(id)?;
        }
        let lines = self.lines(&id.0, from, &LogOptions { follow: true, ..LogOptions::default() });
        let said = lines.map(|line| {
            let LogLine { stream: source, text, .. } = line?;
            Ok(SessionEvent::Wrote { source, bytes: format!("{text}\n").into_bytes() })
        });
        let (engine, ended) = (self.clone(), id.clone());
        let end = stream::once(async move {
            engine.wait_container(&ended).await.map(|exit_code| SessionEvent::Ended { exit_code })
        });
        let input = spec.stdin.then(|| Box::pin(input) as SessionInput);
        Ok(Session { output: said.chain(end).boxed(), input, size: Default::default() })
    }

    async fn copy_from(&self, id: &ContainerId, path: &str) -> Result<Archive> {
        self.look("copy_from").await?;
        if !self.inner.world().containers.contains_key(&id.0) {
            return Err(not_found(ResourceKind::Container, &id.0));
        }
        let tree = self.inner.tree(&id.0, path);
        if tree.is_empty() {
            return Err(not_found(ResourceKind::File, path));
        }
        let name = path.rsplit('/').next().unwrap_or_default();
        let packed = pack(name, &tree).map_err(|error| self.refusal(id, "copy from", &error));
        Ok(stream::once(std::future::ready(packed)).boxed())
    }

    async fn copy_to(
        &self,
        id: &ContainerId,
        folder: &str,
        mut archive: Archive,
        _owner: CopiedOwner,
    ) -> Result<()> {
        let fails = self.change("copy_to", &self.name_of(id)).await?;
        let mut bytes = Vec::new();
        while let Some(piece) = archive.next().await {
            bytes.extend(piece?);
        }
        if !self.inner.world().containers.contains_key(&id.0) {
            return Err(not_found(ResourceKind::Container, &id.0));
        }
        let unpacked = self.unpack(id, folder, &bytes);
        unpacked.map_err(|error| self.refusal(id, "copy into", &error))?;
        fails.map_or(Ok(()), Err)
    }

    async fn top(&self, id: &ContainerId) -> Result<ProcessTable> {
        self.look("top").await?;
        self.check_runs(id)?;
        let command = argv(&self.inner.spec(&id.0)).join(" ");
        Ok(ProcessTable {
            titles: ["UID", "PID", "CMD"].map(str::to_owned).to_vec(),
            processes: vec![vec!["root".to_owned(), "1".to_owned(), command]],
        })
    }

    async fn stats(&self, ids: &[ContainerId]) -> Result<Usages> {
        self.look("stats").await?;
        let (engine, ids) = (self.clone(), ids.to_vec());
        let usages = stream::unfold((engine, ids), |(engine, mut ids)| async move {
            sleep(BETWEEN_LOOKS).await;
            let usages = {
                let world = engine.inner.world();
                let of = |id: &ContainerId| {
                    let record = world.containers.get(&id.0).filter(|record| record.state.is_running())?;
                    let usage = world.usages.get(record.spec.name.as_str()).copied();
                    Some((id.clone(), usage.unwrap_or(USUAL)))
                };
                ids.iter().filter_map(of).collect::<BTreeMap<_, _>>()
            };
            ids.retain(|id| usages.contains_key(id));
            (!usages.is_empty()).then_some((Ok(usages), (engine, ids)))
        });
        Ok(usages.boxed())
    }

    async fn image(&self, image: &str) -> Result<Image> {
        self.look("image").await?;
        let world = self.inner.world();
        let mut references = world.images.iter().filter(|(name, id)| *name == image || id.as_str() == image);
        match references.next() {
            Some((name, id)) => Ok(Image::new(id.clone(), vec![name.clone()], IMAGE_SIZE)),
            None => Err(Error::Image { image: image.to_owned(), reason: "no such image".into() }),
        }
    }

    async fn check_health(&self, id: &ContainerId) -> Result<HealthStatus> {
        self.look("check_health").await?;
        self.check_once(&id.0).await
    }
}

/// What a process prints, and its end, as a session. It runs as it is listened to.
fn talk(
    lines: mpsc::UnboundedReceiver<(LogSource, String)>,
    end: BoxFuture<'static, i64>,
    input: Option<DuplexStream>,
) -> Session {
    let talk = stream::unfold((lines, Some(end), None), |(mut lines, mut end, mut code)| async move {
        loop {
            let line = match &mut end {
                Some(running) => tokio::select! {
                    biased;
                    line = lines.recv() => line,
                    exit_code = running => {
                        (end, code) = (None, Some(exit_code));
                        continue;
                    }
                },
                // The process is over and has no more to say than what waits.
                None => lines.try_recv().ok(),
            };
            let event = match line {
                Some((source, line)) => {
                    SessionEvent::Wrote { source, bytes: format!("{line}\n").into_bytes() }
                }
                None if end.is_some() => {
                    // It said all it had to say before it ended.
                    code = Some(end.take()?.await);
                    continue;
                }
                None => SessionEvent::Ended { exit_code: code.take()? },
            };
            return Some((Ok(event), (lines, end, code)));
        }
    });
    let input = input.map(|input| Box::pin(input) as SessionInput);
    Session { output: talk.boxed(), input, size: Default::default() }
}

/// An archive of a file or folder by that name; without one only of what is in it.
fn pack(name: &str, tree: &BTreeMap<String, Option<Vec<u8>>>) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for (rest, bytes) in tree {
        let path =
            [name, rest.as_str()].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/");
        if path.is_empty() {
            continue;
        }
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(if bytes.is_some() {
            tar::EntryType::Regular
        } else {
            tar::EntryType::Directory
        });
        header.set_mode(if bytes.is_some() { 0o644 } else { 0o755 });
        let bytes = bytes.as_deref().unwrap_or_default();
        header.set_size(bytes.len() as u64);
        archive.append_data(&mut header, path, bytes)?;
    }
    archive.into_inner()
}

fn rfc3339(at: SystemTime) -> String {
    let format = &time::format_description::well_known::Rfc3339;
    time::OffsetDateTime::from(at).format(format).unwrap_or_default()
}
