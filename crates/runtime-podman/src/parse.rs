//! Podman's JSON, of 4.3 to 5.x, as types. A field that is missing or of another type is an error that quotes it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use compose_file::Protocol;
use runtime_core::{
    Container, ContainerId, ContainerState, EngineAction, EngineEvent, Health, HealthStatus, Image, ImageId,
    ProcessTable, PublishedPort, Resource, Result, Usage,
};
use serde::{Deserialize, de::DeserializeOwned};

use crate::failure::unexpected;

pub(crate) fn json<T: DeserializeOwned>(operation: &str, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| {
        let text = String::from_utf8_lossy(bytes);
        let line = text.lines().nth(error.line().saturating_sub(1)).unwrap_or_default();
        let from = error.column().saturating_sub(60);
        let near: String = line.chars().skip(from).take(100).collect();
        unexpected(operation, format!("{error}: {:?}", near.trim()))
    })
}

/// Go writes an empty map or list as null.
fn or_default<'de, D: serde::Deserializer<'de>, T: Default + Deserialize<'de>>(
    d: D,
) -> std::result::Result<T, D::Error> {
    Ok(Option::<T>::deserialize(d)?.unwrap_or_default())
}

/// A machine of `podman machine list`. Only these two fields tell what it does, and neither alone.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListedMachine {
    name: String,
    pub(crate) running: bool,
    pub(crate) starting: bool,
}

impl ListedMachine {
    /// Its name, without the star by which some versions mark the default one.
    pub(crate) fn name(&self) -> &str {
        self.name.trim_end_matches('*')
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Inspected {
    id: String,
    name: String,
    image: String,
    image_name: String,
    created: String,
    state: State,
    config: Config,
    network_settings: NetworkSettings,
    #[serde(default, deserialize_with = "or_default")]
    mounts: Vec<Mounted>,
}

/// An image as `image inspect` has it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct InspectedImage {
    id: String,
    #[serde(default, deserialize_with = "or_default")]
    repo_tags: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    repo_digests: Vec<String>,
    #[serde(default)]
    size: u64,
}

impl InspectedImage {
    /// All that it is called by, each with its id.
    pub(crate) fn names(self) -> impl Iterator<Item = (String, String)> {
        let id = self.id;
        let names = self.repo_tags.into_iter().chain(self.repo_digests).chain([id.clone()]);
        names.map(move |name| (name, id.clone()))
    }
}

impl From<InspectedImage> for Image {
    fn from(image: InspectedImage) -> Self {
        Self::new(ImageId::new(&image.id), image.repo_tags, image.size)
    }
}

/// The columns of `top`, the one whose cells may have spaces at last.
pub(crate) const TOP_COLUMNS: [&str; 8] = ["user", "pid", "ppid", "pcpu", "etime", "tty", "time", "args"];

/// Reads what `top` prints: a line of titles, a line for each process.
pub(crate) fn processes(text: &str) -> ProcessTable {
    let cells = |line: &str| {
        let mut cells = Vec::new();
        let mut rest = line.trim();
        while cells.len() + 1 < TOP_COLUMNS.len() {
            let Some((cell, more)) = rest.split_once(char::is_whitespace) else { break };
            cells.push(cell.to_owned());
            rest = more.trim_start();
        }
        cells.push(rest.to_owned());
        cells
    };
    let mut lines = text.lines();
    let titles = lines.next().map(cells).unwrap_or_default();
    ProcessTable { titles, processes: lines.filter(|line| !line.trim().is_empty()).map(cells).collect() }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct State {
    status: String,
    exit_code: i64,
    started_at: String,
    finished_at: String,
    #[serde(default)]
    health: Option<Checked>,
    // podman 4.x before 4.4 calls it so in some builds.
    #[serde(default)]
    healthcheck: Option<Checked>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Checked {
    status: String,
    #[serde(default, deserialize_with = "or_default")]
    log: Vec<CheckLog>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CheckLog {
    #[serde(default)]
    output: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    #[serde(default)]
    tty: bool,
    #[serde(default, deserialize_with = "or_default")]
    labels: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NetworkSettings {
    #[serde(default, deserialize_with = "or_default")]
    ports: BTreeMap<String, Option<Vec<Binding>>>,
    #[serde(default, deserialize_with = "or_default")]
    networks: BTreeMap<String, serde::de::IgnoredAny>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Binding {
    #[serde(default)]
    host_ip: String,
    #[serde(default)]
    host_port: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Mounted {
    r#type: String,
    #[serde(default)]
    name: String,
    destination: String,
}

/// `2026-11-24T03:49:46.715750831Z` or with an offset; the year 1 is Go's "never".
fn time(text: &str) -> Option<SystemTime> {
    let parsed = time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).ok()?;
    (parsed.year() > 1970).then(|| parsed.into())
}

pub(crate) fn seconds(at: SystemTime) -> String {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let at = time::OffsetDateTime::from(SystemTime::UNIX_EPOCH + since);
    at.format(&time::format_description::well_known::Rfc3339).unwrap_or_else(|_| since.as_secs().to_string())
}

/// A container as `podman ps --format json` lists it, and the service's own API. With `--external` those of storage alone are
/// listed too.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListedContainer {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) names: Vec<String>,
    #[serde(default)]
    image: String,
    #[serde(default, rename = "ImageID")]
    image_id: String,
    /// Null where there are none.
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    networks: Option<BTreeSet<String>>,
    pub(crate) state: String,
    created: Moment,
}

/// When something was.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Moment {
    /// Seconds since 1970, by the command.
    Seconds(u64),
    /// RFC 3339, by the API.
    Text(String),
}

impl ListedContainer {
    pub(crate) fn created(&self) -> SystemTime {
        match &self.created {
            Moment::Seconds(seconds) => UNIX_EPOCH + Duration::from_secs(*seconds),
            Moment::Text(text) => time(text).unwrap_or(UNIX_EPOCH),
        }
    }

    pub(crate) fn into_container(self) -> Result<Container> {
        let state = ContainerState::parse(&self.state)
            .ok_or_else(|| unexpected("ps", format!("the state {:?}", self.state)))?;
        let created = self.created();
        let name =
            self.names.into_iter().next().ok_or_else(|| unexpected("ps", "a container without a name"))?;
        let mut container = Container::new(ContainerId(self.id), name, self.image, state);
        container.image_id = (!self.image_id.is_empty()).then(|| ImageId::new(&self.image_id));
        container.labels = self.labels.unwrap_or_default();
        container.networks = self.networks.unwrap_or_default();
        container.created = Some(created);
        Ok(container)
    }
}

impl Inspected {
    pub(crate) fn into_container(self) -> Result<Container> {
        let state = ContainerState::parse(&self.state.status)
            .ok_or_else(|| unexpected("container inspect", format!("the state {:?}", self.state.status)))?;
        let mut container = Container::new(ContainerId(self.id), self.name, self.image_name, state);
        container.image_id = Some(ImageId::new(&self.image));
        container.tty = self.config.tty;
        container.labels = self.config.labels;
        container.exit_code =
            matches!(state, ContainerState::Exited | ContainerState::Dead).then_some(self.state.exit_code);
        // Podman 4.3 has an empty status where there is no check.
        container.health = self.state.health.or(self.state.healthcheck).and_then(|checked| {
            let status = HealthStatus::parse(&checked.status)?;
            Some(Health {
                status,
                log: checked.log.into_iter().map(|entry| entry.output.trim_end().to_owned()).collect(),
            })
        });
        for (key, bindings) in self.network_settings.ports {
            let (port, protocol) = key.split_once('/').unwrap_or((&key, "tcp"));
            let target: u16 =
                port.parse().map_err(|_| unexpected("container inspect", format!("the port {key:?}")))?;
            let protocol = match protocol {
                "udp" => Protocol::Udp,
                "sctp" => Protocol::Sctp,
                _ => Protocol::Tcp,
            };
            for binding in bindings.into_iter().flatten() {
                let published = binding.host_port.parse().unwrap_or(0);
                let host_ip = binding.host_ip.parse().ok();
                container.ports.push(PublishedPort { target, published, host_ip, protocol });
            }
        }
        container.networks = self.network_settings.networks.into_keys().collect();
        let volumes = self.mounts.into_iter().filter(|mount| mount.r#type == "volume");
        let named = volumes.map(|mount| (mount.destination, mount.name));
        container.volumes = Some(named.collect::<BTreeMap<_, _>>());
        container.created = time(&self.created);
        container.started = time(&self.state.started_at);
        container.finished = time(&self.state.finished_at);
        Ok(container)
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct ListedNetwork {
    name: String,
    #[serde(default)]
    driver: String,
    #[serde(default, deserialize_with = "or_default")]
    labels: BTreeMap<String, String>,
}

impl From<ListedNetwork> for Resource {
    fn from(listed: ListedNetwork) -> Self {
        Self { name: listed.name, driver: listed.driver, labels: listed.labels }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListedVolume {
    name: String,
    #[serde(default)]
    driver: String,
    #[serde(default, deserialize_with = "or_default")]
    labels: BTreeMap<String, String>,
}

impl From<ListedVolume> for Resource {
    fn from(listed: ListedVolume) -> Self {
        Self { name: listed.name, driver: listed.driver, labels: listed.labels }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Version {
    pub(crate) client: VersionOf,
    #[serde(default)]
    pub(crate) server: Option<VersionOf>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct VersionOf {
    #[serde(rename = "Version")]
    pub(crate) version: String,
    #[serde(rename = "APIVersion")]
    pub(crate) api_version: String,
}

#[derive(Debug, Deserialize)]
struct Event {
    #[serde(rename = "ID", alias = "Id", default)]
    id: String,
    #[serde(rename = "Name", default)]
    name: String,
    #[serde(rename = "Image", default)]
    image: String,
    #[serde(rename = "Status", default)]
    status: String,
    /// Left out where it is 0, and there is none.
    #[serde(rename = "ContainerExitCode", default)]
    exit_code: Option<i64>,
    /// Podman 4.
    #[serde(rename = "Time", default)]
    time: Option<String>,
    /// Podman 5.
    #[serde(rename = "timeNano", default)]
    nanoseconds: Option<u64>,
    /// The container's labels.
    #[serde(rename = "Attributes", default, deserialize_with = "or_default")]
    labels: BTreeMap<String, String>,
}

/// One line of `podman events --format json`. `None` for what is not about a container.
pub(crate) fn event(line: &[u8]) -> Result<Option<EngineEvent>> {
    let Event { id, name, image, status, exit_code, time: written, nanoseconds, labels } =
        json("events", line)?;
    if id.is_empty() {
        return Ok(None);
    }
    let mut event = EngineEvent::new(ContainerId(id), &status);
    let counted = nanoseconds.and_then(|at| SystemTime::UNIX_EPOCH.checked_add(Duration::from_nanos(at)));
    event.at = counted.or_else(|| time(written.as_deref()?));
    event.attributes = labels;
    event.attributes.extend([("name".to_owned(), name), ("image".to_owned(), image)]);
    if event.action == EngineAction::Died {
        event.attributes.insert("exitCode".to_owned(), exit_code.unwrap_or_default().to_string());
    }
    Ok(Some(event))
}

#[derive(Debug, Deserialize)]
struct Stat {
    /// Twelve digits of it.
    id: String,
    cpu_percent: String,
    mem_usage: String,
    net_io: String,
    block_io: String,
    pids: String,
}

/// One table of `podman stats --format json`, where numbers are for people (4.3.1: `"466.9kB / 25.28GB"`). What uses nothing at all has
/// ended, and is left out.
pub(crate) fn usages(text: &[u8], ids: &[ContainerId]) -> Result<BTreeMap<ContainerId, Usage>> {
    let stats: Vec<Stat> = json("stats", text)?;
    let of = |stat: Stat| {
        let id = ids.iter().find(|id| !stat.id.is_empty() && id.0.starts_with(&stat.id))?;
        let both = |text: &str| text.split_once('/').map(|(one, other)| (size(one), size(other)));
        let (memory, memory_limit) = both(&stat.mem_usage).unwrap_or_default();
        let (net_in, net_out) = both(&stat.net_io).unwrap_or_default();
        let (block_in, block_out) = both(&stat.block_io).unwrap_or_default();
        let cpu_percent = stat.cpu_percent.trim_end_matches('%').parse().unwrap_or_default();
        let pids = stat.pids.parse().unwrap_or_default();
        let usage = Usage { cpu_percent, memory, memory_limit, net_in, net_out, block_in, block_out, pids };
        (usage != Usage::default()).then(|| (id.clone(), usage))
    };
    Ok(stats.into_iter().filter_map(of).collect())
}

/// `466.9kB` in bytes. What is no size, `--` for one, is none.
fn size(text: &str) -> u64 {
    let text = text.trim();
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let number: f64 = text.trim_end_matches(unit).parse().unwrap_or_default();
    let (prefix, step) = match unit.trim_end_matches('B') {
        binary if binary.ends_with('i') => (binary.trim_end_matches('i'), 1024.0),
        decimal => (decimal, 1000.0),
    };
    let power = ["", "k", "M", "G", "T", "P"].iter().position(|known| known.eq_ignore_ascii_case(prefix));
    // Rounded already by who printed it.
    power
        .and_then(|power| i32::try_from(power).ok())
        .map_or(0, |power| (number * f64::powi(step, power)) as u64)
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        path::{Path, PathBuf},
    };

    use runtime_core::labels;

    use super::*;

    #[test]
    fn a_processs_words_may_have_spaces() {
        let table = processes(
            "USER  PID  PPID  %CPU   ELAPSED  TTY  TIME  COMMAND\nroot  1    0     0.000  1.5s     ?    0s    /fixture sleep  --now\n",
        );
        assert_eq!(table.titles.last().map(String::as_str), Some("COMMAND"));
        assert_eq!(
            table.processes,
            [["root", "1", "0", "0.000", "1.5s", "?", "0s", "/fixture sleep  --now"]]
        );
    }

    #[test]
    fn the_api_tells_times_as_text() {
        let listed = |created: &str| {
            let text = format!(r#"{{"Id": "1", "Names": ["a"], "State": "running", "Created": {created}}}"#);
            json::<ListedContainer>("ps", text.as_bytes()).unwrap().into_container().unwrap().created
        };
        assert_eq!(listed(r#""2026-01-01T00:00:00Z""#), listed("1767225600"));
    }

    fn folder() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/podman-output")
    }

    /// Whether what podman was seen to print does not stand beside this checkout, and need not.
    fn is_elsewhere() -> bool {
        let is_elsewhere = !folder().is_dir() && std::env::var_os("LONGSHORE_REQUIRE").is_none();
        if is_elsewhere {
            eprintln!("what podman was seen to print does not stand beside this checkout");
        }
        is_elsewhere
    }

    fn recorded(version: &str, file: &str) -> Vec<u8> {
        std::fs::read(folder().join(format!("containers-{version}/{file}.json"))).unwrap()
    }

    #[test]
    fn what_both_versions_print_is_read_alike() {
        if is_elsewhere() {
            return;
        }
        for version in ["4.3.1", "5.4.2"] {
            let inspected: Vec<Inspected> = json("inspect", &recorded(version, "inspect")).unwrap();
            let container = inspected.into_iter().next().unwrap().into_container().unwrap();
            assert_eq!(
                (container.name.as_str(), container.state),
                ("pj", ContainerState::Running),
                "{version}"
            );
            assert_eq!(container.health, None, "{version}");
            assert_eq!(container.ports.len(), 1);
            assert_eq!(container.volumes, Some(BTreeMap::from([("/v".to_owned(), "vv".to_owned())])));
            assert_eq!(container.networks, BTreeSet::from(["nn".to_owned()]));
            assert!(container.started.is_some() && container.exit_code.is_none());
            let networks: Vec<ListedNetwork> = json("network ls", &recorded(version, "network-ls")).unwrap();
            assert!(networks.iter().any(|network| network.name == "nn"));
            let volumes: Vec<ListedVolume> =
                json("volume inspect", &recorded(version, "volume-inspect")).unwrap();
            assert_eq!(volumes[0].name, "vv");
            let found: Version = json("version", &recorded(version, "version")).unwrap();
            assert_eq!(found.client.version, version);
        }
    }

    #[test]
    fn an_event_tells_whose_container_it_is() {
        // 4.3.1's, and 5's, which has another time and says nothing of a container without labels.
        let old = br#"{"ID":"69","Name":"wtw2","Status":"remove","Time":"2026-11-25T08:25:55.941983279Z","Type":"container","Attributes":{"com.docker.compose.project":"p","io.longshore.owner":"o"}}"#;
        let new =
            br#"{"ID":"69","Name":"x","Status":"rename","timeNano":1795595155941983279,"Type":"container"}"#;
        let at = SystemTime::UNIX_EPOCH + Duration::from_nanos(1_795_595_155_941_983_279);
        let [old, new] = [old.as_slice(), new].map(|line| event(line).unwrap().unwrap());
        assert_eq!((old.id.0.as_str(), old.at, old.action), ("69", Some(at), EngineAction::Removed));
        assert_eq!(
            (old.word.as_str(), old.project(), old.attribute(labels::OWNER)),
            ("destroy", Some("p"), Some("o"))
        );
        assert_eq!((new.at, new.action, new.project()), (Some(at), EngineAction::Changed, None));
        assert_eq!(new.attribute("name"), Some("x"));
        let died =
            br#"{"ID":"69","Image":"i","Name":"x","Status":"died","ContainerExitCode":3,"Type":"container"}"#;
        let died = event(died).unwrap().unwrap();
        assert_eq!((died.word.as_str(), died.attribute("exitCode")), ("die", Some("3")));
    }

    #[test]
    fn what_containers_use_is_read_as_numbers() {
        // 4.3.1's: one that runs, and one that has ended.
        let text = br#"[
 {"id": "7d507139c76b", "name": "a", "cpu_time": "54.377207ms", "cpu_percent": "2.33%", "avg_cpu": "4.71%",
  "mem_usage": "466.9kB / 25.28GB", "mem_percent": "0.00%", "net_io": "516B / 1.5kB", "block_io": "-- / --", "pids": "1"},
 {"id": "8d507139c76b", "name": "b", "cpu_time": "0s", "cpu_percent": "0.00%", "avg_cpu": "0.00%",
  "mem_usage": "0B / 0B", "mem_percent": "0.00%", "net_io": "0B / 0B", "block_io": "0B / 0B", "pids": "0"}
]
"#;
        let ids = ["7d507139c76b7aa4", "8d507139c76b7aa4"].map(|id| ContainerId(id.to_owned()));
        let usages = usages(text, &ids).unwrap();
        let usage = Usage {
            cpu_percent: 2.33,
            memory: 466_900,
            memory_limit: 25_280_000_000,
            net_in: 516,
            net_out: 1_500,
            block_in: 0,
            block_out: 0,
            pids: 1,
        };
        assert_eq!(usages, [(ids[0].clone(), usage)].into());
        assert_eq!((size("1.5MiB"), size("--"), size(""), size("7")), (1_572_864, 0, 0, 7));
    }

    #[test]
    fn half_an_answer_is_quoted() {
        let half = br#"[{"Id": "09c1", "Created": "2026-11-24T03:4"#;
        let error = json::<Vec<Inspected>>("container inspect", half).unwrap_err().to_string();
        assert!(error.contains("EOF"), "{error}");
        let error = json::<Vec<Inspected>>("container inspect", b"[{\"Id\": 5}]").unwrap_err().to_string();
        assert!(error.contains("Id") && error.contains("string"), "{error}");
    }
}
