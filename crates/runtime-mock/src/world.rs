//! The state of the engine in memory.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use compose_file::{NetworkMode, Protocol};
use runtime_core::{
    Container, ContainerId, ContainerSpec, ContainerState, Detail, EngineEvent, Health, HealthStatus,
    ImageId, LogSource, MountSourceSpec, MountSpec, NetworkSpec, PublishedPort, Resource, Usage, VolumeSpec,
};
use tokio::{
    sync::{Notify, broadcast},
    task::AbortHandle,
    time::Instant,
};

use crate::{
    engine::image_id,
    fault::Script,
    machine::Vm,
    program::{Program, Stdin},
};

/// A longer line comes in pieces.
const MAX_LINE: usize = 64 << 10;

pub(crate) type Answer = Arc<dyn Fn(&str) -> (u16, String) + Send + Sync>;

/// One line that a container printed.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) source: LogSource,
    pub(crate) text: String,
    pub(crate) at: SystemTime,
}

pub(crate) struct Record {
    pub(crate) id: String,
    pub(crate) spec: ContainerSpec,
    pub(crate) state: ContainerState,
    pub(crate) exit_code: Option<i64>,
    pub(crate) health: Option<Health>,
    pub(crate) failures: u32,
    pub(crate) log: Vec<Entry>,
    pub(crate) signals: VecDeque<String>,
    /// Woken at every signal, line and change of state.
    pub(crate) changed: Arc<Notify>,
    pub(crate) task: Option<AbortHandle>,
    pub(crate) checks: Option<AbortHandle>,
    pub(crate) started: Option<Instant>,
    pub(crate) created_at: SystemTime,
    pub(crate) started_at: Option<SystemTime>,
    pub(crate) finished_at: Option<SystemTime>,
    pub(crate) ports: Vec<PublishedPort>,
    pub(crate) listening: BTreeMap<u16, Answer>,
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// Folders that were made, whether or not something is in them.
    pub(crate) folders: BTreeSet<String>,
    pub(crate) stdin: Stdin,
    pub(crate) anonymous: Vec<(String, String)>,
    pub(crate) image_id: ImageId,
    /// Counts runs, so that what belongs to an earlier one changes nothing.
    pub(crate) run: u64,
    pub(crate) stopped_by_us: bool,
    pub(crate) restarts: u32,
}

impl Record {
    /// A container that was just created.
    pub(crate) fn new(id: &str, spec: ContainerSpec, image_id: ImageId, created_at: SystemTime) -> Self {
        Self {
            id: id.to_owned(),
            spec,
            state: ContainerState::Created,
            exit_code: None,
            health: None,
            failures: 0,
            log: Vec::new(),
            signals: VecDeque::new(),
            changed: Arc::default(),
            task: None,
            checks: None,
            started: None,
            created_at,
            started_at: None,
            finished_at: None,
            ports: Vec::new(),
            listening: BTreeMap::new(),
            files: BTreeMap::new(),
            folders: BTreeSet::new(),
            stdin: Stdin::default(),
            anonymous: Vec::new(),
            image_id,
            run: 0,
            stopped_by_us: false,
            restarts: 0,
        }
    }

    /// As closely as it is looked at: what a list of no real engine tells is not in one of this.
    pub(crate) fn seen(&self, detail: Detail) -> Container {
        let name = self.spec.name.as_str();
        let mut container = Container::new(ContainerId(self.id.clone()), name, &self.spec.image, self.state);
        container.image_id = Some(self.image_id.clone());
        container.labels = self.spec.labels.clone();
        container.networks =
            self.spec.networks.iter().map(|attachment| attachment.network.to_string()).collect();
        container.created = Some(self.created_at);
        if detail == Detail::Listed {
            return container;
        }
        container.tty = self.spec.tty;
        container.exit_code = self.exit_code.filter(|_| self.state == ContainerState::Exited);
        container.health = self.health.clone();
        container.ports = self.ports.clone();
        container.volumes = Some(self.volumes().collect());
        container.started = self.started_at;
        container.finished = self.finished_at;
        container
    }

    /// The volumes that it mounts: path and name.
    pub(crate) fn volumes(&self) -> impl Iterator<Item = (String, String)> + '_ {
        let named = self.spec.mounts.iter().filter_map(|mount| match &mount.source {
            MountSourceSpec::Volume { name, .. } => Some((mount.target.clone(), name.to_string())),
            _ => None,
        });
        named.chain(self.anonymous.iter().cloned())
    }
}

#[derive(Debug, Default)]
pub(crate) struct StoredVolume {
    /// What it was made from, unless a container that named it made it.
    pub(crate) spec: Option<VolumeSpec>,
    pub(crate) files: BTreeMap<String, Vec<u8>>,
}

impl StoredVolume {
    pub(crate) fn labels(&self) -> BTreeMap<String, String> {
        self.spec.as_ref().map(|spec| spec.labels.clone()).unwrap_or_default()
    }

    pub(crate) fn view(&self, name: &str) -> Resource {
        let driver = self.spec.as_ref().and_then(|spec| spec.driver.clone());
        let driver = driver.unwrap_or_else(|| "local".to_owned());
        Resource { name: name.to_owned(), driver, labels: self.labels() }
    }
}

/// What a build put into an image.
#[derive(Debug, Clone, Default)]
pub(crate) struct Layer {
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) entrypoint: Option<Vec<String>>,
    pub(crate) command: Option<Vec<String>>,
}

#[derive(Default)]
pub(crate) struct World {
    pub(crate) containers: BTreeMap<String, Record>,
    pub(crate) names: HashMap<String, String>,
    /// The ports of the host that containers have.
    pub(crate) bound: BTreeSet<(Protocol, u16)>,
    pub(crate) networks: BTreeMap<String, NetworkSpec>,
    pub(crate) volumes: BTreeMap<String, StoredVolume>,
    pub(crate) images: BTreeMap<String, ImageId>,
    pub(crate) programs: BTreeMap<String, Arc<dyn Program>>,
    /// What was said of containers, by name.
    pub(crate) usages: BTreeMap<String, Usage>,
    /// What was built into images, by their ids.
    pub(crate) layers: BTreeMap<String, Layer>,
    pub(crate) journal: Vec<String>,
    pub(crate) mutations: usize,
    pub(crate) serial: u64,
    pub(crate) random: u64,
    pub(crate) interleaves: bool,
    /// Whether every image of `localhost` is taken for one that was built here.
    pub(crate) builds_everything: bool,
    pub(crate) machine: Option<Arc<Vm>>,
    pub(crate) script: Script,
    pub(crate) names_freed_after: Duration,
}

/// When engines in memory begin, if not told: the first morning of 2026, so that what a test prints is the same each time.
const MORNING: Duration = Duration::from_secs(1_767_225_600);

/// What all handles share.
pub(crate) struct Inner {
    world: Mutex<World>,
    /// `None` is that the connections to it are cut.
    pub(crate) events: broadcast::Sender<Option<EngineEvent>>,
    /// The time of day at some moment of tokio's clock.
    epoch: Mutex<Option<(Instant, SystemTime)>>,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MockEngine")
            .field("containers", &self.world().containers.len())
            .finish_non_exhaustive()
    }
}

impl Inner {
    pub(crate) fn new() -> Self {
        Self { world: Mutex::default(), events: broadcast::channel(4096).0, epoch: Mutex::default() }
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time of day there: that of its beginning, and what has passed since on tokio's clock.
    pub(crate) fn now(&self) -> SystemTime {
        let now = Instant::now();
        let (moment, time) = *self
            .epoch
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert((now, SystemTime::UNIX_EPOCH + MORNING));
        time + now.duration_since(moment)
    }

    /// Makes it that time now.
    pub(crate) fn begin_at(&self, time: SystemTime) {
        *self.epoch.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), time));
    }

    /// Tells everybody who listens what happened to a container, in Docker's word.
    pub(crate) fn tell(&self, record: &Record, word: &str) {
        record.changed.notify_waiters();
        if self.events.receiver_count() == 0 {
            return;
        }
        let mut event = EngineEvent::new(ContainerId(record.id.clone()), word);
        event.at = Some(self.now());
        event.attributes = record.spec.labels.clone();
        let known = [("name", record.spec.name.to_string()), ("image", record.spec.image.clone())];
        let exit_code = record.exit_code.filter(|_| word == "die");
        let exit_code = exit_code.map(|code| ("exitCode", code.to_string()));
        event
            .attributes
            .extend(known.into_iter().chain(exit_code).map(|(name, value)| (name.to_owned(), value)));
        // Nobody listening is fine.
        let _ = self.events.send(Some(event));
    }

    pub(crate) fn spec(&self, id: &str) -> ContainerSpec {
        let world = self.world();
        let gone = || {
            ContainerSpec::new(
                runtime_core::ContainerName::new("gone").unwrap_or_else(|_| unreachable!()),
                "",
            )
        };
        world.containers.get(id).map_or_else(gone, |record| record.spec.clone())
    }

    pub(crate) fn started(&self, id: &str) -> Option<Instant> {
        self.world().containers.get(id).and_then(|record| record.started)
    }

    pub(crate) fn log(&self, id: &str, source: LogSource, text: String) {
        let at = self.now();
        if let Some(record) = self.world().containers.get_mut(id) {
            let mut rest = text;
            while rest.len() > MAX_LINE {
                let at_most = (0..=MAX_LINE).rev().find(|at| rest.is_char_boundary(*at)).unwrap_or(MAX_LINE);
                let more = rest.split_off(at_most);
                record.log.push(Entry { source, text: rest, at });
                rest = more;
            }
            record.log.push(Entry { source, text: rest, at });
            record.changed.notify_waiters();
        }
    }

    pub(crate) async fn signal(&self, id: &str) -> String {
        loop {
            let changed = match self.world().containers.get_mut(id) {
                Some(record) => match record.signals.pop_front() {
                    Some(signal) => return signal,
                    None => record.changed.clone().notified_owned(),
                },
                None => return "SIGKILL".to_owned(),
            };
            changed.await;
        }
    }

    pub(crate) fn listen(&self, id: &str, port: u16, answer: Answer) {
        if let Some(record) = self.world().containers.get_mut(id) {
            record.listening.insert(port, answer);
        }
    }

    /// Answers a request that one container makes of another.
    pub(crate) fn fetch_inside(
        &self,
        from: &str,
        host: &str,
        port: u16,
        path: &str,
    ) -> Result<(u16, String), String> {
        let answer = {
            let world = self.world();
            let own = world.containers.get(from).ok_or("the container is gone")?;
            let host = own
                .spec
                .extra_hosts
                .iter()
                .find(|(name, _)| name == host)
                .map_or(host, |(_, address)| address);
            let target = if matches!(host, "127.0.0.1" | "localhost" | "::1") {
                world.namespace_of(own)
            } else {
                world
                    .resolve(world.namespace_of(own), host)
                    .ok_or_else(|| format!("{host}: name not known"))?
            };
            world.listener(target, port).ok_or_else(|| format!("{host}:{port}: connection refused"))?
        };
        Ok(answer(path))
    }

    /// Where a file of a container is: in a volume, on the host, or in the container.
    fn place(world: &World, id: &str, path: &str) -> Result<(Place, bool), String> {
        let record = world.containers.get(id).ok_or("the container is gone")?;
        let inside =
            |target: &str| path.strip_prefix(target).filter(|rest| rest.is_empty() || rest.starts_with('/'));
        let holds = |mount: &&MountSpec| inside(&mount.target).is_some();
        let own = record.spec.mounts.iter().filter(holds).max_by_key(|mount| mount.target.len());
        let Some(mount) = own else {
            // The mounts of others, as they have them.
            for from in &record.spec.volumes_from {
                let other = world.find(&from.container);
                let has =
                    |other: &String| world.containers[other].spec.mounts.iter().any(|mount| holds(&mount));
                if let Some(other) = other.filter(has) {
                    let (place, read_only) = Self::place(world, &other, path)?;
                    return Ok((place, from.writable.map_or(read_only, |writable| !writable)));
                }
            }
            return Ok((Place::Container, record.spec.read_only));
        };
        let rest = inside(&mount.target).unwrap_or_default().to_owned();
        let place = match &mount.source {
            MountSourceSpec::Volume { name, .. } => Place::Volume(name.to_string(), rest),
            MountSourceSpec::Bind { path, .. } if rest.is_empty() => Place::Host(path.clone()),
            MountSourceSpec::Bind { path, .. } => Place::Host(path.join(rest.trim_start_matches('/'))),
            MountSourceSpec::Anonymous => {
                match record.anonymous.iter().find(|(target, _)| *target == mount.target) {
                    Some((_, name)) => Place::Volume(name.clone(), rest),
                    None => Place::Container,
                }
            }
            _ => Place::Container,
        };
        Ok((place, mount.read_only))
    }

    pub(crate) fn read(&self, id: &str, path: &str) -> Result<Vec<u8>, String> {
        let world = self.world();
        let missing = || format!("{path}: no such file");
        match Self::place(&world, id, path)?.0 {
            Place::Container => world.containers[id].files.get(path).cloned().ok_or_else(missing),
            Place::Volume(name, rest) => world
                .volumes
                .get(&name)
                .and_then(|volume| volume.files.get(&rest))
                .cloned()
                .ok_or_else(missing),
            Place::Host(path) => std::fs::read(path).map_err(|error| error.to_string()),
        }
    }

    /// What is at a path and beneath it: the rest of each path, and what a file holds. Empty if nothing is there.
    pub(crate) fn tree(&self, id: &str, path: &str) -> BTreeMap<String, Option<Vec<u8>>> {
        let mut tree = BTreeMap::new();
        if let Ok(bytes) = self.read(id, path) {
            tree.insert(String::new(), Some(bytes));
            return tree;
        }
        let world = self.world();
        let Some(record) = world.containers.get(id) else { return tree };
        let own = record.files.iter().map(|(path, bytes)| (path.clone(), Some(bytes.clone())));
        let folders = record.folders.iter().map(|path| (path.clone(), None));
        let mounted = record.volumes().flat_map(|(target, name)| {
            let files = world.volumes.get(&name).map(|volume| volume.files.clone()).unwrap_or_default();
            let inside =
                files.into_iter().map(|(rest, bytes)| (format!("{}{rest}", target.clone()), Some(bytes)));
            inside.chain([(target.clone(), None)]).collect::<Vec<_>>()
        });
        let prefix = if path == "/" { "" } else { path };
        for (at, bytes) in folders.chain(own).chain(mounted) {
            match at.strip_prefix(prefix) {
                Some("") => drop(tree.insert(String::new(), None)),
                Some(rest) if rest.starts_with('/') => {
                    tree.insert(String::new(), None);
                    // What is in a folder makes it one.
                    for (end, _) in rest.match_indices('/').skip(1) {
                        tree.entry(rest[1..end].to_owned()).or_insert(None);
                    }
                    tree.insert(rest[1..].to_owned(), bytes);
                }
                _ => {}
            }
        }
        tree
    }

    /// Where a path leads that is to be changed.
    fn place_to_write(world: &World, id: &str, path: &str) -> Result<Place, String> {
        match Self::place(world, id, path)? {
            (_, true) => Err(format!("{path}: read-only file system")),
            (place, false) => Ok(place),
        }
    }

    pub(crate) fn write(&self, id: &str, path: &str, bytes: &[u8]) -> Result<(), String> {
        let mut world = self.world();
        match Self::place_to_write(&world, id, path)? {
            Place::Container => {
                if let Some(record) = world.containers.get_mut(id) {
                    record.files.insert(path.to_owned(), bytes.to_vec());
                }
            }
            Place::Volume(name, rest) => {
                world.volumes.entry(name).or_default().files.insert(rest, bytes.to_vec());
            }
            Place::Host(path) => std::fs::write(path, bytes).map_err(|error| error.to_string())?,
        }
        Ok(())
    }

    /// Removes what is at a path and beneath it. Nothing there is success.
    pub(crate) fn remove(&self, id: &str, path: &str) -> Result<(), String> {
        let mut world = self.world();
        match Self::place_to_write(&world, id, path)? {
            Place::Container => {
                if let Some(record) = world.containers.get_mut(id) {
                    record.files.retain(|file, _| !is_at(file, path));
                    record.folders.retain(|folder| !is_at(folder, path));
                }
            }
            Place::Volume(name, rest) => {
                world.volumes.entry(name).or_default().files.retain(|file, _| !is_at(file, &rest));
            }
            Place::Host(path) => {
                let removed = match path.is_dir() {
                    true => std::fs::remove_dir_all(path),
                    false => std::fs::remove_file(path),
                };
                match removed {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                        return Err(error.to_string());
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

/// Whether a path is that one, or beneath it.
fn is_at(path: &str, at: &str) -> bool {
    path.strip_prefix(at).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

enum Place {
    Container,
    Volume(String, String),
    Host(std::path::PathBuf),
}

impl World {
    /// The record of a container by id, by the beginning of an id, or by name.
    pub(crate) fn find(&self, key: &str) -> Option<String> {
        if self.containers.contains_key(key) {
            return Some(key.to_owned());
        }
        let by_name = self.names.get(key).filter(|id| self.containers.contains_key(*id)).cloned();
        let by_beginning = || {
            let (id, _) = self.containers.range(key.to_owned()..).next()?;
            (key.len() >= 12 && id.starts_with(key)).then(|| id.clone())
        };
        by_name.or_else(by_beginning)
    }

    /// The id of an image that is here.
    pub(crate) fn image(&self, reference: &str) -> Option<ImageId> {
        let is_built = || self.builds_everything && reference.starts_with("localhost/");
        self.images.get(reference).cloned().or_else(|| is_built().then(|| image_id(reference)))
    }

    /// The container whose network a container uses.
    fn namespace_of<'w>(&'w self, record: &'w Record) -> &'w Record {
        match &record.spec.network_mode {
            Some(NetworkMode::Container(other)) => {
                self.find(other).and_then(|id| self.containers.get(&id)).unwrap_or(record)
            }
            _ => record,
        }
    }

    fn resolve(&self, from: &Record, host: &str) -> Option<&Record> {
        let shared: BTreeSet<_> = from.spec.networks.iter().map(|attachment| &attachment.network).collect();
        self.containers.values().find(|other| {
            other.state == ContainerState::Running
                && other.spec.networks.iter().any(|attachment| {
                    shared.contains(&attachment.network)
                        && (attachment.aliases.iter().any(|alias| alias == host)
                            || other.spec.name.as_str() == host
                            || other.id.starts_with(host))
                })
        })
    }

    /// Who listens at a port in a container's network.
    pub(crate) fn listener(&self, target: &Record, port: u16) -> Option<Answer> {
        let on_host = |record: &Record| record.spec.network_mode == Some(NetworkMode::Host);
        let sharing = |record: &&Record| {
            record.id == target.id
                || (on_host(record) && on_host(target))
                || matches!(&record.spec.network_mode, Some(NetworkMode::Container(other)) if self.find(other).as_ref() == Some(&target.id))
        };
        let running = |record: &&Record| record.state == ContainerState::Running;
        self.containers
            .values()
            .filter(running)
            .filter(sharing)
            .find_map(|record| record.listening.get(&port).cloned())
    }

    /// A number that the seed decides.
    pub(crate) fn roll(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn set_health(record: &mut Record, status: HealthStatus, line: String) {
        let health = record.health.get_or_insert(Health { status, log: Vec::new() });
        health.status = status;
        health.log.push(line);
        if health.log.len() > 5 {
            health.log.remove(0);
        }
    }
}
