//! What the user wants: flags over environment over file over defaults.

use std::{
    collections::BTreeMap,
    fmt, io,
    path::{Path, PathBuf},
    str::FromStr,
};

use runtime_core::RuntimeKind;
use serde::Deserialize;

use crate::ServeSection;

/// Which engine to use, and where it is. What is `None` is left to the next source, and at last to the default.
///
/// As a file:
///
/// ```
/// let config = longshore::Config::from_toml(r#"
///     runtime = "podman"        # auto, podman, docker or mock
///     owner = "build-agent"     # whose the containers are
///
///     [podman]
///     program = "/usr/bin/podman"
///     connection = "build"      # of `podman system connection list`
///     via = "cli"               # auto, cli or api
///
///     [docker]
///     host = "unix:///run/user/1000/docker.sock"
///
///     [machine]                 # the virtual machine that Podman needs where there is no Linux
///     when = "auto"             # auto, always or never
///     name = "build"            # podman-machine-default if not told
///     cpus = 4
///     memory = 4096             # MiB
///     disk = 50                 # GiB
/// "#)?;
/// assert_eq!(config.podman.connection.as_deref(), Some("build"));
/// # Ok::<(), longshore::ConfigError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// Which engine; the default is [`RuntimeChoice::Auto`].
    pub runtime: Option<RuntimeChoice>,
    /// The engine's address. Podman takes it as the URL of its service. With `docker` and `auto` it is a socket that
    /// speaks Docker's API, and then `auto` tries nothing else.
    pub host: Option<String>,
    /// The value of the label by which our containers are known; the default is `longshore`.
    pub owner: Option<String>,
    /// What only concerns Podman.
    pub podman: PodmanSection,
    /// What only concerns Docker.
    pub docker: DockerSection,
    /// The virtual machine that Podman needs on some systems.
    pub machine: MachineSection,
    /// What only concerns `longshore serve`.
    pub serve: ServeSection,
}

/// The virtual machine that Podman needs on some systems: whether there is one, which, and how it is made. What is `None`
/// is left to Podman.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct MachineSection {
    /// Whether Podman's engine lives in one; the default is [`MachineChoice::Auto`].
    pub when: Option<MachineChoice>,
    /// Its name; the default is `podman-machine-default`.
    pub name: Option<String>,
    /// How many processors.
    pub cpus: Option<u32>,
    /// How much memory, in MiB.
    pub memory: Option<u64>,
    /// How large its disk is, in GiB.
    pub disk: Option<u64>,
    /// The image of its disk: a path, a URL, or a reference in a registry.
    pub image: Option<String>,
    /// Whether its engine runs as root.
    pub rootful: Option<bool>,
    /// The absolute folder of podman's helpers (gvproxy, vfkit, qemu), for one that is bundled with a program.
    pub helpers: Option<PathBuf>,
    /// The absolute folder for what our processes remember of it; the default is the platform's for a program's state.
    pub state: Option<PathBuf>,
    /// How many seconds making it may take, its download included; the default is an hour.
    pub init_timeout: Option<u64>,
    /// How many seconds its start may take, until its engine answers; the default is five minutes.
    pub start_timeout: Option<u64>,
    /// How many seconds an engine may be silent in a machine that runs; the default is half a minute.
    pub answer_timeout: Option<u64>,
    /// How many seconds its end may take; the default is two minutes.
    pub stop_timeout: Option<u64>,
}

/// Whether Podman's engine lives in a virtual machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MachineChoice {
    /// Where there is no Linux.
    #[default]
    Auto,
    /// On Linux too.
    Always,
    /// Nowhere.
    Never,
}

impl MachineChoice {
    /// Whether there is one on this system.
    pub fn applies(self) -> bool {
        match self {
            Self::Auto => cfg!(not(target_os = "linux")),
            Self::Always => true,
            Self::Never => false,
        }
    }
}

impl FromStr for MachineChoice {
    type Err = String;
    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "auto" => Ok(Self::Auto),
            "always" => Ok(Self::Always),
            "never" => Ok(Self::Never),
            other => Err(format!("{other:?} is not when there is a machine; use auto, always or never")),
        }
    }
}

/// What only concerns Podman.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PodmanSection {
    /// The program; the default is `podman` on the `PATH`.
    pub program: Option<PathBuf>,
    /// A connection that Podman knows by name.
    pub connection: Option<String>,
    /// The URL of a service.
    pub url: Option<String>,
    /// How it is called; the default is [`PodmanVia::Auto`].
    pub via: Option<PodmanVia>,
}

/// How Podman is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PodmanVia {
    /// By its API where a service can be had, else by its command line. It is one of our own that ends with us, the one that its
    /// machine forwards, or the one of a `unix://` URL.
    #[default]
    Auto,
    /// By its command line alone.
    Cli,
    /// By its API; that there is no service is an error. What a service cannot do the command line does all the same.
    Api,
}

impl FromStr for PodmanVia {
    type Err = String;
    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "auto" => Ok(Self::Auto),
            "cli" => Ok(Self::Cli),
            "api" => Ok(Self::Api),
            other => Err(format!("{other:?} is no way to call Podman; use auto, cli or api")),
        }
    }
}

/// What only concerns Docker.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct DockerSection {
    /// Where the daemon listens; the default is the system's socket.
    pub host: Option<String>,
}

/// Which engine is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RuntimeChoice {
    /// Podman if it answers, else Docker.
    #[default]
    Auto,
    /// Podman.
    Podman,
    /// Docker.
    Docker,
    /// The engine in memory.
    Mock,
}

impl RuntimeChoice {
    /// All of them, `auto` first.
    pub const ALL: [Self; 4] = [Self::Auto, Self::Podman, Self::Docker, Self::Mock];

    /// `auto`, `podman`, `docker` or `mock`.
    pub fn as_str(self) -> &'static str {
        self.kind().map_or("auto", RuntimeKind::as_str)
    }

    /// The engine that is named; `None` for `auto`.
    pub fn kind(self) -> Option<RuntimeKind> {
        match self {
            Self::Auto => None,
            Self::Podman => Some(RuntimeKind::Podman),
            Self::Docker => Some(RuntimeKind::Docker),
            Self::Mock => Some(RuntimeKind::Mock),
        }
    }
}

impl fmt::Display for RuntimeChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for RuntimeChoice {
    type Err = String;
    fn from_str(word: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|choice| choice.as_str() == word)
            .ok_or_else(|| format!("{word:?} is not a runtime; use auto, podman, docker or mock"))
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}: {source}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not what it should be.
    #[error("{}: {reason}", .path.as_deref().unwrap_or(Path::new("the configuration")).display())]
    Invalid {
        /// The file; `None` if it was given as text.
        path: Option<PathBuf>,
        /// What is wrong with it, with the line.
        reason: String,
    },
    /// A variable has a value that it cannot have.
    #[error("{variable}: {reason}")]
    Variable {
        /// The variable.
        variable: &'static str,
        /// What is wrong with its value.
        reason: String,
    },
    /// A setting has a value that it cannot have, wherever it was said.
    #[error("{setting}: {reason}")]
    Setting {
        /// The setting, as the file has it.
        setting: &'static str,
        /// What is wrong with its value.
        reason: String,
    },
}

impl Config {
    /// Reads a configuration from the text of a file.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] for what is no TOML, and for a key that is not known: a misspelt setting that does
    /// nothing would be found much later.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        toml::from_str(text)
            .map_err(|error| ConfigError::Invalid { path: None, reason: error.to_string().trim().to_owned() })
    }

    /// Reads a configuration from a file.
    ///
    /// # Errors
    /// When it cannot be read, or as [`Config::from_toml`].
    pub fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        Self::from_toml(&text).map_err(|error| match error {
            ConfigError::Invalid { reason, .. } => {
                ConfigError::Invalid { path: Some(path.to_owned()), reason }
            }
            other => other,
        })
    }

    /// What the environment says: `LONGSHORE_RUNTIME`, `LONGSHORE_HOST`, `LONGSHORE_OWNER`, `LONGSHORE_PODMAN` (the program),
    /// `LONGSHORE_PODMAN_VIA` (auto, cli, api), `LONGSHORE_MACHINE` (auto, always, never), `LONGSHORE_MACHINE_NAME`, `_IMAGE`, `_CPUS`, `_MEMORY` in MiB, `_DISK` in
    /// GiB, `LONGSHORE_LISTEN` and `LONGSHORE_STATE` for the server, `DOCKER_HOST` for Docker and `CONTAINER_HOST`, `CONTAINER_CONNECTION` for Podman. An empty value is none.
    ///
    /// # Errors
    /// [`ConfigError::Variable`] when one has a value that it cannot have.
    pub fn from_env(env: &BTreeMap<String, String>) -> Result<Self, ConfigError> {
        let get = |name: &str| env.get(name).filter(|value| !value.is_empty()).cloned();
        Ok(Self {
            runtime: parsed(env, "LONGSHORE_RUNTIME")?,
            host: get("LONGSHORE_HOST"),
            owner: get("LONGSHORE_OWNER"),
            podman: PodmanSection {
                program: get("LONGSHORE_PODMAN").map(PathBuf::from),
                connection: get("CONTAINER_CONNECTION"),
                url: get("CONTAINER_HOST"),
                via: parsed(env, "LONGSHORE_PODMAN_VIA")?,
            },
            docker: DockerSection { host: get("DOCKER_HOST") },
            machine: MachineSection {
                when: parsed(env, "LONGSHORE_MACHINE")?,
                name: get("LONGSHORE_MACHINE_NAME"),
                cpus: parsed(env, "LONGSHORE_MACHINE_CPUS")?,
                memory: parsed(env, "LONGSHORE_MACHINE_MEMORY")?,
                disk: parsed(env, "LONGSHORE_MACHINE_DISK")?,
                image: get("LONGSHORE_MACHINE_IMAGE"),
                ..MachineSection::default()
            },
            serve: ServeSection {
                listen: parsed(env, "LONGSHORE_LISTEN")?,
                state: get("LONGSHORE_STATE").map(PathBuf::from),
                ..ServeSection::default()
            },
        })
    }

    /// This configuration, and `below` where it says nothing.
    #[must_use]
    pub fn merge(self, below: Self) -> Self {
        Self {
            runtime: self.runtime.or(below.runtime),
            host: self.host.or(below.host),
            owner: self.owner.or(below.owner),
            podman: self.podman.merge(below.podman),
            docker: DockerSection { host: self.docker.host.or(below.docker.host) },
            machine: self.machine.merge(below.machine),
            serve: self.serve.merge(below.serve),
        }
    }

    /// Where our processes remember what they did, as `machine.state` says or else the platform has it:
    /// `longshore` in `$XDG_STATE_HOME`, else in the platform's folder for a program's state. `None` when the environment names
    /// no such folder.
    pub fn state_folder(&self, env: &BTreeMap<String, String>) -> Option<PathBuf> {
        let folder = |name: &str| env.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
        self.machine.state.clone().or_else(|| {
            let base = folder("XDG_STATE_HOME").or_else(|| match std::env::consts::OS {
                "windows" => folder("LOCALAPPDATA"),
                "macos" => Some(folder("HOME")?.join("Library/Application Support")),
                _ => Some(folder("HOME")?.join(".local/state")),
            })?;
            Some(base.join("longshore"))
        })
    }

    /// The whole of it: `flags`, then the environment, then the file. The file is `file` if that is given, else what
    /// `LONGSHORE_CONFIG` names, else [`Config::default_path`]; only the last may be missing.
    ///
    /// # Errors
    /// As [`Config::from_file`] and [`Config::from_env`].
    pub fn load(
        flags: Self,
        env: &BTreeMap<String, String>,
        file: Option<&Path>,
    ) -> Result<Self, ConfigError> {
        let named = env.get("LONGSHORE_CONFIG").filter(|path| !path.is_empty()).map(Path::new);
        let from_file = match file.or(named) {
            Some(path) => Self::from_file(path)?,
            None => match Self::default_path(env).map(|path| Self::from_file(&path)) {
                Some(Err(ConfigError::Unreadable { source, .. }))
                    if matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
                {
                    Self::default()
                }
                Some(found) => found?,
                None => Self::default(),
            },
        };
        let mut config = flags.merge(Self::from_env(env)?).merge(from_file);
        config.machine.state = config.state_folder(env);
        config.check()?;
        Ok(config)
    }

    /// Where the file is by default: `longshore/config.toml` in `$XDG_CONFIG_HOME`, else in the platform's folder for
    /// settings. `None` when the environment names no such folder.
    pub fn default_path(env: &BTreeMap<String, String>) -> Option<PathBuf> {
        let folder = |name: &str| env.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let base = folder("XDG_CONFIG_HOME").or_else(|| match std::env::consts::OS {
            "windows" => folder("APPDATA"),
            "macos" => Some(folder("HOME")?.join("Library/Application Support")),
            _ => Some(folder("HOME")?.join(".config")),
        })?;
        Some(base.join("longshore").join("config.toml"))
    }
}

/// The value of a variable, if it has one.
fn parsed<T: FromStr<Err: fmt::Display>>(
    env: &BTreeMap<String, String>,
    variable: &'static str,
) -> Result<Option<T>, ConfigError> {
    let Some(value) = env.get(variable).filter(|value| !value.is_empty()) else { return Ok(None) };
    value
        .parse()
        .map(Some)
        .map_err(|error: T::Err| ConfigError::Variable { variable, reason: format!("{value:?}: {error}") })
}

/// Less than podman's own image needs.
const SMALLEST_DISK: u64 = 5;
/// Less than it boots with.
const SMALLEST_MEMORY: u64 = 512;

impl Config {
    /// Refuses what cannot be meant, before anything is started. Whether a program is there is told by the first call.
    ///
    /// # Errors
    /// [`ConfigError::Setting`] for the first setting that is wrong.
    pub fn check(&self) -> Result<(), ConfigError> {
        let wrong = |setting: &'static str, reason: String| Err(ConfigError::Setting { setting, reason });
        if let Some(program) = &self.podman.program
            && program.components().count() > 1
            && !program.is_absolute()
        {
            let reason =
                format!("{}: a path must be absolute, or a bare name that is on the PATH", program.display());
            return wrong("podman.program", reason);
        }
        self.serve.check()?;
        let machine = &self.machine;
        if let Some(name) = &machine.name
            && let Err(error) = runtime_core::MachineName::new(name.as_str())
        {
            return wrong("machine.name", error.to_string());
        }
        if let Some(helpers) =
            machine.helpers.as_ref().filter(|folder| !folder.is_absolute() || !folder.is_dir())
        {
            return wrong(
                "machine.helpers",
                format!("{} is not an absolute path of a folder", helpers.display()),
            );
        }
        if let Some(state) = machine.state.as_ref().filter(|folder| !folder.is_absolute()) {
            return wrong("machine.state", format!("{} is not absolute", state.display()));
        }
        let cores = std::thread::available_parallelism().map_or(u32::MAX, |cores| cores.get() as u32);
        match machine.cpus {
            Some(0) => return wrong("machine.cpus", "a machine needs at least one".to_owned()),
            Some(cpus) if cpus > cores => {
                return wrong("machine.cpus", format!("{cpus} are more than the {cores} of this computer"));
            }
            _ => {}
        }
        if let Some(memory) = machine.memory {
            if memory < SMALLEST_MEMORY {
                return wrong(
                    "machine.memory",
                    format!("{memory} MiB is less than the {SMALLEST_MEMORY} that it boots with"),
                );
            }
            if let Some(all) = host_memory().filter(|all| memory > *all) {
                return wrong(
                    "machine.memory",
                    format!("{memory} MiB is more than the {all} of this computer"),
                );
            }
        }
        if let Some(disk) = machine.disk.filter(|disk| *disk < SMALLEST_DISK) {
            return wrong(
                "machine.disk",
                format!("{disk} GiB is less than the {SMALLEST_DISK} that its image needs"),
            );
        }
        if let Some(image) = machine
            .image
            .as_ref()
            .filter(|image| image.starts_with('-') || image.contains(char::is_whitespace))
        {
            return wrong("machine.image", format!("{image:?} is neither a path, a URL nor a reference"));
        }
        Ok(())
    }
}

/// This computer's memory in MiB, where it can be read without asking a program.
fn host_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? / 1024)
}

impl MachineSection {
    fn merge(self, below: Self) -> Self {
        Self {
            when: self.when.or(below.when),
            name: self.name.or(below.name),
            cpus: self.cpus.or(below.cpus),
            memory: self.memory.or(below.memory),
            disk: self.disk.or(below.disk),
            image: self.image.or(below.image),
            rootful: self.rootful.or(below.rootful),
            helpers: self.helpers.or(below.helpers),
            state: self.state.or(below.state),
            init_timeout: self.init_timeout.or(below.init_timeout),
            start_timeout: self.start_timeout.or(below.start_timeout),
            answer_timeout: self.answer_timeout.or(below.answer_timeout),
            stop_timeout: self.stop_timeout.or(below.stop_timeout),
        }
    }
}

impl PodmanSection {
    /// A connection and a URL both say where the engine is, so the higher source's one hides the lower's other.
    fn merge(self, below: Self) -> Self {
        let (connection, url) = match (self.connection, self.url) {
            (None, None) => (below.connection, below.url),
            place => place,
        };
        Self { program: self.program.or(below.program), connection, url, via: self.via.or(below.via) }
    }
}
