//! What a service shares with, or is given by, what is outside of its containers.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    attribute::{Attribute, record, words},
    read::Reader,
    yaml::{self, Node},
};

/// Whose processes, hostname or shared memory a container sees (`pid`, `uts`, `ipc`).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Namespace {
    /// The host's.
    Host,
    /// Its own, which nobody shares.
    Private,
    /// Its own, which others may share.
    Shareable,
    /// None.
    None,
    /// Those of another service's container.
    Service(String),
    /// Those of a container by name or id.
    Container(String),
    /// One by its path on the host, which Podman takes.
    Path(String),
}

impl Attribute for Namespace {
    fn read(reader: &mut Reader<'_>, node: &Node) -> Option<Self> {
        let text = reader.string(node)?;
        Some(match (text.as_str(), text.split_once(':')) {
            ("host", _) => Self::Host,
            ("private", _) => Self::Private,
            ("shareable", _) => Self::Shareable,
            ("none", _) => Self::None,
            (_, Some(("service", name))) => Self::Service(name.to_owned()),
            (_, Some(("container", name))) => Self::Container(name.to_owned()),
            (_, Some(("ns", path))) => Self::Path(path.to_owned()),
            _ => {
                return reader
                    .wrong(node, "host, private, shareable, none, service:NAME, container:NAME or ns:PATH");
            }
        })
    }

    fn show(&self) -> Value {
        match self {
            Self::Host => json!("host"),
            Self::Private => json!("private"),
            Self::Shareable => json!("shareable"),
            Self::None => json!("none"),
            Self::Service(name) => json!(format!("service:{name}")),
            Self::Container(name) => json!(format!("container:{name}")),
            Self::Path(path) => json!(format!("ns:{path}")),
        }
    }
}

/// A namespace; an empty text is none.
pub(crate) fn namespace(reader: &mut Reader<'_>, node: &Node) -> Option<Namespace> {
    if node.is_null() || node.text() == Some("") { None } else { Namespace::read(reader, node) }
}

words! {
    /// Whose control groups a container sees.
    pub Cgroup {
        /// The host's.
        Host = "host",
        /// Its own.
        Private = "private",
    }
}

/// A name by which another container is found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Link {
    /// The service, or for `external_links` the container.
    pub name: String,
    /// The name by which it is found, where that is another.
    pub alias: Option<String>,
}

impl Attribute for Link {
    fn read(reader: &mut Reader<'_>, node: &Node) -> Option<Self> {
        let text = reader.string(node)?;
        let (name, alias) =
            text.split_once(':').map_or((text.as_str(), None), |(name, alias)| (name, Some(alias)));
        if name.is_empty() || alias.is_some_and(str::is_empty) {
            return reader.wrong(node, "NAME or NAME:ALIAS");
        }
        Some(Self { name: name.to_owned(), alias: alias.map(str::to_owned) })
    }

    fn show(&self) -> Value {
        match &self.alias {
            Some(alias) => json!(format!("{}:{alias}", self.name)),
            None => json!(self.name),
        }
    }
}

/// Somebody whose mounts a container has too.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct VolumesFrom {
    /// Whose they are.
    pub owner: MountsOwner,
    /// Whether writing is allowed (`rw`) or refused (`ro`); `None` is as the owner has them.
    pub writable: Option<bool>,
}

/// Whose mounts they are.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MountsOwner {
    /// Another service's.
    Service(String),
    /// A container's, by name or id.
    Container(String),
}

impl Attribute for VolumesFrom {
    fn read(reader: &mut Reader<'_>, node: &Node) -> Option<Self> {
        let text = reader.string(node)?;
        let (rest, is_container) = match text.strip_prefix("container:") {
            Some(rest) => (rest, true),
            None => (text.as_str(), false),
        };
        let (name, writable) = match rest.split_once(':') {
            None => (rest, None),
            Some((name, "ro")) => (name, Some(false)),
            Some((name, "rw")) => (name, Some(true)),
            Some(_) => return reader.wrong(node, "SERVICE, SERVICE:ro or container:NAME"),
        };
        let owner = if is_container { MountsOwner::Container } else { MountsOwner::Service }(name.to_owned());
        Some(Self { owner, writable })
    }

    fn show(&self) -> Value {
        let owner = match &self.owner {
            MountsOwner::Service(name) => name.clone(),
            MountsOwner::Container(name) => format!("container:{name}"),
        };
        match self.writable {
            None => json!(owner),
            Some(true) => json!(owner + ":rw"),
            Some(false) => json!(owner + ":ro"),
        }
    }
}

record! {
    /// Where what a container writes goes.
    pub Logging {
        /// The driver; `None` is the engine's own.
        "driver" pub driver: Option<String>,
        /// Options of the driver.
        "options" pub options: BTreeMap<String, String>,
    }
}

record! {
    /// A managed account, on Windows.
    pub CredentialSpec {
        /// The config that has it.
        "config" pub config: Option<String>,
        /// The file that has it.
        "file" pub file: Option<String>,
        /// The registry's entry that has it.
        "registry" pub registry: Option<String>,
    }
}

record! {
    /// A program that makes a service in place of a container.
    pub Provider needs ["type"] {
        /// The program.
        "type" pub kind: String,
        /// What it is told.
        "options" pub options: BTreeMap<String, ProviderOption>,
    }
}

/// What a provider is told of one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProviderOption {
    /// Once.
    One(String),
    /// Several times.
    Many(Vec<String>),
}

impl Attribute for ProviderOption {
    fn read(reader: &mut Reader<'_>, node: &Node) -> Option<Self> {
        match &node.value {
            yaml::Value::List(_) => Some(Self::Many(reader.strings(node))),
            _ => reader.string(node).map(Self::One),
        }
    }

    fn show(&self) -> Value {
        match self {
            Self::One(text) => json!(text),
            Self::Many(texts) => json!(texts),
        }
    }
}
