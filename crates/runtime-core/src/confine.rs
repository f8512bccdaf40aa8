//! What a container sees of the host and of others, and how much it may use: parts of a [`ContainerSpec`](crate::ContainerSpec).

use std::{collections::BTreeMap, fmt, io};

use compose_file::{
    BlkioConfig, Cgroup, CredentialSpec, Decimal, Device, DeviceRequest, Hidden, Limit, Logging, Namespace,
    Ulimit,
};

use crate::{Action, BuildSpec, ContainerSpec, Engine, Error, NetworkSpec, Result, VolumeSpec};

/// How names are looked up inside.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resolver {
    /// Servers, by address.
    pub servers: Vec<String>,
    /// Options, as in `resolv.conf`.
    pub options: Vec<String>,
    /// Domains that names are searched in.
    pub search: Vec<String>,
}

/// Whose namespaces it has; `None` is the engine's default. [`Namespace::Service`] does not occur: core names the container.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Namespaces {
    /// Shared memory.
    pub ipc: Option<Namespace>,
    /// Processes.
    pub pid: Option<Namespace>,
    /// The hostname.
    pub uts: Option<Namespace>,
    /// User ids, as written.
    pub user: Option<String>,
    /// Control groups.
    pub cgroup: Option<Cgroup>,
    /// The control group that its own is under.
    pub cgroup_parent: Option<String>,
}

/// Devices of the host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Devices {
    /// Those that are there inside too.
    pub mapped: Vec<Device>,
    /// What its control group may do with devices, like `c 1:3 mr`.
    pub cgroup_rules: Vec<String>,
    /// Those that the engine chooses.
    pub requests: Vec<DeviceRequest>,
}

/// How much it may use. Sizes are bytes, times microseconds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resources {
    /// At most so many CPUs.
    pub cpus: Option<Decimal>,
    /// CPUs, counted for Windows.
    pub cpu_count: Option<u32>,
    /// The share of all CPUs, in hundredths, for Windows.
    pub cpu_percent: Option<u32>,
    /// The scheduler's period.
    pub cpu_period: Option<u64>,
    /// How much of a period it may run.
    pub cpu_quota: Option<i64>,
    /// The real-time scheduler's period.
    pub cpu_rt_period: Option<u64>,
    /// How much of such a period it may run.
    pub cpu_rt_runtime: Option<u64>,
    /// Its weight when CPUs are busy.
    pub cpu_shares: Option<u64>,
    /// The CPUs that it may run on.
    pub cpuset: Option<String>,
    /// At most so much memory.
    pub memory: Option<u64>,
    /// So much it is left where memory is short.
    pub memory_reservation: Option<u64>,
    /// At most so much memory and swap together.
    pub memory_swap: Option<Limit>,
    /// How readily its memory is swapped, 0 to 100.
    pub swappiness: Option<u32>,
    /// Whether it is not killed where memory is out.
    pub oom_kill_disable: bool,
    /// How readily it is killed where memory is out; 0 is usual.
    pub oom_score_adj: i64,
    /// At most so many processes.
    pub pids: Option<Limit>,
    /// Limits of each of its processes, by name.
    pub ulimits: BTreeMap<String, Ulimit>,
    /// The size of `/dev/shm`.
    pub shm_size: Option<u64>,
    /// Limits of devices that hold files.
    pub blkio: BlkioConfig,
}

/// What the engine is told besides: how it runs, keeps and shows the container.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Keeping {
    /// The program that runs it.
    pub runtime: Option<String>,
    /// Where what it writes goes.
    pub logging: Logging,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// Options of where its files are kept.
    pub storage_opt: BTreeMap<String, String>,
    /// How it is isolated, on Windows.
    pub isolation: Option<String>,
    /// A managed account, on Windows.
    pub credential_spec: Option<CredentialSpec>,
}

/// A container whose mounts another one has too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountsFrom {
    /// Its id or name.
    pub container: String,
    /// Whether writing is allowed or refused; `None` is as it has them.
    pub writable: Option<bool>,
}

/// A container of somebody else that is found by another name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalLink {
    /// Its name.
    pub container: String,
    /// The name by which it is found; its own if nothing is said.
    pub alias: String,
}

/// A file that is written into the container before it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSpec {
    /// The absolute path inside.
    pub target: String,
    /// What is in it: in no error, event or log.
    pub content: Hidden,
    /// Whose it is.
    pub uid: u64,
    /// Which group's it is.
    pub gid: u64,
    /// Permission bits.
    pub mode: u32,
}

/// Files as a tar archive, to be unpacked in the root folder.
///
/// # Errors
/// When a path cannot stand in an archive.
pub fn archive(files: &[FileSpec]) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for file in files {
        let content = file.content.0.as_bytes();
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(file.mode);
        header.set_uid(file.uid);
        header.set_gid(file.gid);
        archive.append_data(&mut header, file.target.trim_start_matches('/'), content)?;
    }
    archive.into_inner()
}

/// What an engine is asked for, as [`Engine::lacks`](crate::Engine::lacks) looks at it.
#[derive(Debug, Clone, Copy)]
pub enum Wish<'a> {
    /// A container.
    Container(&'a ContainerSpec),
    /// A network.
    Network(&'a NetworkSpec),
    /// A volume.
    Volume(&'a VolumeSpec),
    /// An image that is built.
    Build(&'a BuildSpec),
}

/// Something of a wish that an engine cannot do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    /// The attribute of the specification.
    pub attribute: &'static str,
    /// Why it cannot be done.
    pub why: String,
    /// What comes of it.
    pub outcome: Lacking,
}

/// What comes of what an engine cannot do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lacking {
    /// Nothing is made: what is asked for would not be what was meant.
    Refused,
    /// It is done without, and told.
    Warned,
}

impl Lack {
    /// What is not done without.
    pub fn refused(attribute: &'static str, why: impl Into<String>) -> Self {
        Self { attribute, why: why.into(), outcome: Lacking::Refused }
    }

    /// What is done without.
    pub fn warned(attribute: &'static str, why: impl Into<String>) -> Self {
        Self { attribute, why: why.into(), outcome: Lacking::Warned }
    }
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.attribute, self.why)
    }
}

/// What an engine does an action without, in words that name whose it is.
///
/// # Errors
/// [`Error::Unsupported`] with what it does not do without.
pub(crate) fn without(engine: &dyn Engine, action: &Action) -> Result<Vec<String>> {
    let (wish, whose) = match action {
        Action::CreateContainer(creation) => {
            (Wish::Container(&creation.spec), format!("service {:?}", creation.service))
        }
        Action::BuildImage(spec) => (Wish::Build(spec), format!("service {:?}", spec.service)),
        Action::CreateNetwork(spec) => (Wish::Network(spec), format!("network {:?}", spec.name.as_str())),
        Action::CreateVolume(spec) => (Wish::Volume(spec), format!("volume {:?}", spec.name.as_str())),
        _ => return Ok(Vec::new()),
    };
    let lacks = engine.lacks(wish).into_iter().map(|lack| {
        let what = format!("{whose}: {lack}");
        match lack.outcome {
            Lacking::Refused => Err(Error::Unsupported { engine: engine.kind(), what }),
            Lacking::Warned => Ok(what),
        }
    });
    lacks.collect()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn an_archive_has_files_as_they_are_to_be() {
        let deep = format!("/run/{}/secret", "long/".repeat(40).trim_end_matches('/'));
        let file = |target: &str| FileSpec {
            target: target.to_owned(),
            content: Hidden("text".into()),
            uid: 7,
            gid: 8,
            mode: 0o440,
        };
        let bytes = archive(&[file("/a"), file(&deep)]).unwrap();
        let mut found = Vec::new();
        for entry in tar::Archive::new(&bytes[..]).entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            let header = entry.header();
            assert_eq!(
                (text.as_str(), header.uid().unwrap(), header.gid().unwrap(), header.mode().unwrap()),
                ("text", 7, 8, 0o440)
            );
            found.push(format!("/{}", entry.path().unwrap().display()));
        }
        assert_eq!(found, ["/a".to_owned(), deep]);
        assert!(!format!("{:?}", file("/a")).contains("text"), "rule 9");
    }
}
