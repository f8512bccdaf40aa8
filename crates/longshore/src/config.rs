//! What the user wants: flags over environment over file over defaults.

use std::{
    collections::BTreeMap,
    fmt, io,
    path::{Path, PathBuf},
    str::FromStr,
};

use runtime_core::RuntimeKind;
use serde::Deserialize;

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
///
///     [docker]
///     host = "unix:///run/user/1000/docker.sock"
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
    /// `DOCKER_HOST` for Docker and `CONTAINER_HOST`, `CONTAINER_CONNECTION` for Podman. An empty value is none.
    ///
    /// # Errors
    /// [`ConfigError::Variable`] when `LONGSHORE_RUNTIME` names no runtime.
    pub fn from_env(env: &BTreeMap<String, String>) -> Result<Self, ConfigError> {
        let get = |name: &str| env.get(name).filter(|value| !value.is_empty()).cloned();
        let runtime = get("LONGSHORE_RUNTIME")
            .map(|word| word.parse())
            .transpose()
            .map_err(|reason| ConfigError::Variable { variable: "LONGSHORE_RUNTIME", reason })?;
        Ok(Self {
            runtime,
            host: get("LONGSHORE_HOST"),
            owner: get("LONGSHORE_OWNER"),
            podman: PodmanSection {
                program: get("LONGSHORE_PODMAN").map(PathBuf::from),
                connection: get("CONTAINER_CONNECTION"),
                url: get("CONTAINER_HOST"),
            },
            docker: DockerSection { host: get("DOCKER_HOST") },
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
        }
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
        Ok(flags.merge(Self::from_env(env)?).merge(from_file))
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

impl PodmanSection {
    /// A connection and a URL both say where the engine is, so the higher source's one hides the lower's other.
    fn merge(self, below: Self) -> Self {
        let (connection, url) = match (self.connection, self.url) {
            (None, None) => (below.connection, below.url),
            place => place,
        };
        Self { program: self.program.or(below.program), connection, url }
    }
}
