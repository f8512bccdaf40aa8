//! The model: a compose project as types that cannot hold nonsense.
//!
//! A [`Project`] is what is left after every stage of loading: interpolated, merged, normalized and checked.
//! Maps are sorted, so two equal projects print and hash alike.

use std::{collections::BTreeMap, fmt, path::PathBuf, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{Diagnostic, FileObject, Hidden, Model, findings::Kept};

mod attach;
mod service;

pub use attach::*;
pub use service::*;

/// A compose project: services, networks and volumes under one name.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Project {
    /// The project's name; the first part of the names of all its resources.
    pub name: ProjectName,
    /// The absolute folder that relative paths of the files start from.
    pub working_dir: PathBuf,
    /// The absolute paths of the files it was loaded from, in order.
    pub config_files: Vec<PathBuf>,
    /// The services that are enabled, by name.
    pub services: BTreeMap<String, Service>,
    /// The services that a profile leaves out, by name.
    pub disabled_services: BTreeMap<String, Service>,
    /// The networks that an enabled service uses, by key.
    pub networks: BTreeMap<String, Network>,
    /// The named volumes that an enabled service uses, by key.
    pub volumes: BTreeMap<String, Volume>,
    /// The configs that an enabled service uses, by key.
    pub configs: BTreeMap<String, FileObject>,
    /// The secrets that an enabled service uses, by key.
    pub secrets: BTreeMap<String, FileObject>,
    /// The variables that configs and secrets have their content from, as far as they are set.
    pub variables: BTreeMap<String, Hidden>,
    /// The models of the file, by key.
    pub models: BTreeMap<String, Model>,
    /// What the file has for others (`x-…`), as it is.
    pub extensions: BTreeMap<String, serde_json::Value>,
    /// What was noticed and is no error.
    pub warnings: Vec<Diagnostic>,
    /// Whether its texts still hold variables as written: a dollar is then printed as it is.
    pub(crate) variables_stay: bool,
    /// What is printed as it is written, because such a variable hides what it is.
    pub(crate) kept: Vec<Kept>,
}

impl Project {
    /// An empty project of that name, for building one in code.
    pub fn new(name: ProjectName, working_dir: impl Into<PathBuf>) -> Self {
        Self {
            name,
            working_dir: working_dir.into(),
            config_files: Vec::new(),
            services: BTreeMap::new(),
            disabled_services: BTreeMap::new(),
            networks: BTreeMap::new(),
            volumes: BTreeMap::new(),
            configs: BTreeMap::new(),
            secrets: BTreeMap::new(),
            variables: BTreeMap::new(),
            models: BTreeMap::new(),
            extensions: BTreeMap::new(),
            warnings: Vec::new(),
            variables_stay: false,
            kept: Vec::new(),
        }
    }
}

/// A project's name: lowercase letters, digits, `_` and `-`, the first a letter or a digit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProjectName(String);

impl ProjectName {
    /// Checks a name that somebody gave (`-p`, `name:`, `COMPOSE_PROJECT_NAME`).
    ///
    /// # Errors
    /// When the name is not one; the error says what is allowed.
    pub fn new(name: impl Into<String>) -> Result<Self, InvalidName> {
        let name = name.into();
        let mut chars = name.chars();
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let good = chars.next().is_some_and(allowed) && chars.all(|c| allowed(c) || c == '_' || c == '-');
        if good && name.len() <= 200 { Ok(Self(name)) } else { Err(InvalidName { name }) }
    }

    /// Makes a name of any text as compose does of a folder's name: lowercased, what is not allowed cut out,
    /// leading `_` and `-` cut. `None` when nothing is left.
    pub fn normalize(text: &str) -> Option<Self> {
        let kept: String = text
            .to_lowercase()
            .chars()
            .filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '_' || *c == '-')
            .collect();
        Self::new(kept.trim_start_matches(['_', '-'])).ok()
    }

    /// Stands in for a name that was refused, until the load fails for it.
    pub(crate) fn placeholder() -> Self {
        Self("project".to_owned())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ProjectName {
    type Err = InvalidName;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Self::new(s)
    }
}

impl TryFrom<String> for ProjectName {
    type Error = InvalidName;
    fn try_from(s: String) -> Result<Self, Self::Error> {
        Self::new(s)
    }
}

impl From<ProjectName> for String {
    fn from(name: ProjectName) -> Self {
        name.0
    }
}

/// A text that cannot be a project's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{name:?} is not a project name: use lowercase letters, digits, '-' and '_', and begin with a letter or a digit"
)]
#[non_exhaustive]
pub struct InvalidName {
    /// The text that was given.
    pub name: String,
}

/// A network of the project.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Network {
    /// Its name on the engine.
    pub name: String,
    /// Whether it is made by somebody else and only used here.
    pub external: bool,
    /// The driver; `None` is the engine's own.
    pub driver: Option<String>,
    /// Options of the driver.
    pub driver_opts: BTreeMap<String, String>,
    /// Whether it leads nowhere else.
    pub internal: bool,
    /// Whether other containers than compose's may be attached, on Swarm.
    pub attachable: bool,
    /// Whether it has IPv4; `None` is the engine's own choice.
    pub enable_ipv4: Option<bool>,
    /// Whether it has IPv6; `None` is the engine's own choice.
    pub enable_ipv6: Option<bool>,
    /// Who gives addresses; `None` is the engine's own.
    pub ipam_driver: Option<String>,
    /// Options of who gives addresses.
    pub ipam_options: BTreeMap<String, String>,
    /// Subnets.
    pub ipam: Vec<IpamPool>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// One subnet of a network.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct IpamPool {
    /// The subnet, like `172.28.0.0/16`.
    pub subnet: Option<String>,
    /// The gateway's address.
    pub gateway: Option<String>,
    /// The part from which addresses are given.
    pub ip_range: Option<String>,
    /// Addresses that the driver uses itself, by the name of what has them.
    pub aux_addresses: BTreeMap<String, String>,
}

/// A volume of the project.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Volume {
    /// Its name on the engine.
    pub name: String,
    /// Whether it is made by somebody else and only used here.
    pub external: bool,
    /// The driver; `None` is the engine's own.
    pub driver: Option<String>,
    /// Options of the driver.
    pub driver_opts: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}
