//! `build`: how a service's image is made.

use std::{collections::BTreeMap, path::PathBuf};

use serde_json::{Value, json};

use crate::{
    attribute::{Attribute, record},
    devices::Ulimit,
    grant::{Grant, build_secrets},
    quantity::{Bytes, size},
    read::Reader,
    service::extra_hosts,
    yaml::{self, Node},
};

record! {
    /// How a service's image is made.
    pub Build {
        /// The files that it is made from.
        "context" pub context: BuildContext,
        /// The Dockerfile's path in the context; `None` where it is inline.
        "dockerfile" pub dockerfile: Option<String>,
        /// The Dockerfile itself.
        "dockerfile_inline" pub dockerfile_inline: Option<String>,
        /// What the builder may do besides, like `network.host`.
        "entitlements" pub entitlements: Vec<String>,
        /// Values of `ARG`s; what is to be inherited and is not set is not there.
        "args" pub args: BTreeMap<String, String> = args,
        /// SSH agents and keys that the build may use.
        "ssh" pub ssh: Vec<SshKey> = ssh,
        /// Labels of the image.
        "labels" pub labels: BTreeMap<String, String>,
        /// Images and caches to take layers from.
        "cache_from" pub cache_from: Vec<String>,
        /// Caches to give layers to.
        "cache_to" pub cache_to: Vec<String>,
        /// Whether no layer is taken from a cache.
        "no_cache" pub no_cache: bool,
        /// Further contexts, by the name that the Dockerfile has for them.
        "additional_contexts" pub additional_contexts: BTreeMap<String, BuildContext> = contexts,
        /// The network of its `RUN`s.
        "network" pub network: Option<String>,
        /// What is recorded of how it was made.
        "provenance" pub provenance: Option<String>,
        /// Whether, and how, it is recorded what is in it.
        "sbom" pub sbom: Option<String>,
        /// Whether base images are pulled though they are here.
        "pull" pub pull: bool,
        /// The stage that is the image.
        "target" pub target: Option<String>,
        /// The size of `/dev/shm`.
        "shm_size" pub shm_size: Option<Bytes> = size,
        /// Lines for `/etc/hosts`, as `host=address`.
        "extra_hosts" pub extra_hosts: Vec<(String, String)> = hosts,
        /// How it is isolated, on Windows.
        "isolation" pub isolation: Option<String>,
        /// Whether its `RUN`s have all privileges.
        "privileged" pub privileged: bool,
        /// Secrets that its `RUN`s may see.
        "secrets" pub secrets: Vec<Grant> = build_secrets,
        /// Names of the image, besides the service's.
        "tags" pub tags: Vec<String>,
        /// Limits of its processes.
        "ulimits" pub ulimits: BTreeMap<String, Ulimit>,
        /// The platforms that it is made for.
        "platforms" pub platforms: Vec<String>,
    }
}

/// `build: folder`, or a mapping.
pub(crate) fn build(reader: &mut Reader<'_>, node: &Node) -> Option<Build> {
    let mut build = match &node.value {
        yaml::Value::Scalar { .. } => {
            Build { context: BuildContext::read(reader, node)?, ..Build::default() }
        }
        _ => {
            let build = Build::read(reader, node)?;
            let both = node.key("dockerfile_inline").filter(|_| build.dockerfile.is_some());
            if let Some(key) = both.filter(|_| build.dockerfile_inline.is_some()) {
                reader.error(key.place, "there cannot be both a dockerfile and an inline one");
            }
            build
        }
    };
    if build.context == BuildContext::default() {
        build.context = BuildContext::Folder(reader.findings.context(node.place).base().resolve("."));
    }
    if build.dockerfile.is_none() && build.dockerfile_inline.is_none() {
        build.dockerfile = Some("Dockerfile".to_owned());
    }
    Some(build)
}

/// Files that an image is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildContext {
    /// An absolute folder.
    Folder(PathBuf),
    /// A repository, an archive, an image (`docker-image://`) or another service's image (`service:`), as written.
    Elsewhere(String),
}

impl Default for BuildContext {
    fn default() -> Self {
        Self::Folder(PathBuf::new())
    }
}

impl Attribute for BuildContext {
    fn read(reader: &mut Reader<'_>, node: &Node) -> Option<Self> {
        let text = reader.string(node)?;
        let elsewhere = text.contains("://")
            || ["git@", "github.com/", "service:"].iter().any(|word| text.starts_with(word));
        Some(if elsewhere {
            Self::Elsewhere(text)
        } else {
            Self::Folder(reader.findings.context(node.place).base().source(&text))
        })
    }

    fn show(&self) -> Value {
        match self {
            Self::Folder(path) => json!(path),
            Self::Elsewhere(text) => json!(text),
        }
    }
}

fn args(reader: &mut Reader<'_>, node: &Node) -> Option<BTreeMap<String, String>> {
    let context = reader.findings.context(node.place);
    let pairs = reader.pairs(node).into_iter();
    Some(
        pairs
            .filter_map(|(key, value)| {
                value.or_else(|| context.env.get(&key).cloned()).map(|value| (key, value))
            })
            .collect(),
    )
}

fn contexts(reader: &mut Reader<'_>, node: &Node) -> Option<BTreeMap<String, BuildContext>> {
    let yaml::Value::List(items) = &node.value else { return Attribute::read(reader, node) };
    let mut found = BTreeMap::new();
    for (index, item) in items.iter().enumerate() {
        let mut reader = reader.item(index);
        let Some((name, text)) =
            reader.string(item)?.split_once('=').map(|(a, b)| (a.to_owned(), b.to_owned()))
        else {
            return reader.wrong(item, "name=context");
        };
        let inner = Node { value: yaml::Value::Scalar { text, plain: false }, ..item.clone() };
        found.extend(BuildContext::read(&mut reader, &inner).map(|context| (name, context)));
    }
    Some(found)
}

fn hosts(reader: &mut Reader<'_>, node: &Node) -> Option<Vec<(String, String)>> {
    Some(extra_hosts(reader, node))
}

/// An SSH agent or a key that a build may use.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SshKey {
    /// Its name in the Dockerfile; `default` is the agent's.
    pub id: String,
    /// The key's file or the agent's socket; `None` is the one of the environment.
    pub path: Option<String>,
}

impl SshKey {
    /// Reads `ID` or `ID=PATH`, as the short form and `--ssh` have it.
    pub fn parse(text: &str) -> Self {
        let (id, path) = text.split_once('=').map_or((text, None), |(id, path)| (id, Some(path)));
        Self { id: id.to_owned(), path: path.map(str::to_owned) }
    }
}

impl Attribute for SshKey {
    fn read(reader: &mut Reader<'_>, node: &Node) -> Option<Self> {
        Some(Self::parse(&reader.string(node)?))
    }

    fn show(&self) -> Value {
        match &self.path {
            Some(path) => json!(format!("{}={path}", self.id)),
            None => json!(self.id),
        }
    }
}

fn ssh(reader: &mut Reader<'_>, node: &Node) -> Option<Vec<SshKey>> {
    if !matches!(node.value, yaml::Value::Map(_)) {
        return Attribute::read(reader, node);
    }
    let pairs = reader.pairs(node).into_iter();
    Some(pairs.map(|(id, path)| SshKey { id, path: path.filter(|path| !path.is_empty()) }).collect())
}
