//! Secrets, configs and models: what they are, and which service has them.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use serde_json::Value;

use crate::{
    attribute::{Attribute, record, shown},
    mount::octal,
    read::Reader,
    resource,
    yaml::{self, Node},
};

record! {
    /// A secret or a config that a service has as a file.
    pub Grant needs ["source"] {
        /// Its key in the project.
        "source" pub source: String,
        /// The file inside; `None` is a config's own name in the root folder.
        "target" pub target: Option<String>,
        /// Whose the file is.
        "uid" pub uid: Option<String>,
        /// Which group's it is.
        "gid" pub gid: Option<String>,
        /// Permission bits, like `0o440`.
        "mode" pub mode: Option<u32> = mode,
    }
}

fn mode(reader: &mut Reader<'_>, node: &Node) -> Option<Option<u32>> {
    if node.is_null() { Some(None) } else { octal(reader, node).map(Some) }
}

/// Short and long forms.
fn grants(reader: &mut Reader<'_>, node: &Node) -> Option<Vec<Grant>> {
    let yaml::Value::List(items) = &node.value else { return Attribute::read(reader, node) };
    let read = |(index, item): (usize, &Node)| {
        let mut reader = reader.item(index);
        match &item.value {
            yaml::Value::Scalar { .. } => Some(Grant { source: reader.string(item)?, ..Grant::default() }),
            _ => Grant::read(&mut reader, item),
        }
    };
    Some(items.iter().enumerate().filter_map(read).collect())
}

/// A service's, of which each has a place inside: one that is said again is not another one.
fn inside(reader: &mut Reader<'_>, node: &Node) -> Vec<Grant> {
    let target = |grant: &Grant| grant.target.clone().unwrap_or_else(|| grant.source.clone());
    let mut found: Vec<Grant> = Vec::new();
    for grant in grants(reader, node).unwrap_or_default() {
        match found.iter_mut().find(|other| target(other) == target(&grant)) {
            Some(other) => *other = grant,
            None => found.push(grant),
        }
    }
    found
}

pub(crate) fn configs(reader: &mut Reader<'_>, node: &Node) -> Vec<Grant> {
    inside(reader, node)
}

/// A service's secrets, each in `/run/secrets` where nothing else is said.
pub(crate) fn secrets(reader: &mut Reader<'_>, node: &Node) -> Vec<Grant> {
    let mut found = inside(reader, node);
    for grant in &mut found {
        grant.target.get_or_insert_with(|| format!("/run/secrets/{}", grant.source));
    }
    found
}

pub(crate) fn build_secrets(reader: &mut Reader<'_>, node: &Node) -> Option<Vec<Grant>> {
    grants(reader, node)
}

/// A secret or a config of the project.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct FileObject {
    /// Its name on the engine.
    pub name: String,
    /// Where its content is from.
    pub source: FileSource,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// The driver that keeps it, on Swarm.
    pub driver: Option<String>,
    /// Options of the driver.
    pub driver_opts: BTreeMap<String, String>,
    /// What fills variables in its content, on Swarm.
    pub template_driver: Option<String>,
}

/// Where the content of a secret or a config is from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum FileSource {
    /// It is made by somebody else and only used here.
    #[default]
    External,
    /// A file.
    File(PathBuf),
    /// A variable of the environment, by its name.
    Environment(String),
    /// The text itself, which only a config may have.
    Content(String),
}

/// A text that nobody is shown: what prints it to find a mistake says nothing of it.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Hidden(pub String);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden")
    }
}

/// Reads a secret, or a config, which may have its content in the file.
pub(crate) fn object(
    reader: &mut Reader<'_>,
    is_config: bool,
    project: &str,
    key: &str,
    node: &Node,
) -> FileObject {
    let mut object = FileObject::default();
    let mut given = None;
    let mut sources: Vec<(&yaml::Key, FileSource)> = Vec::new();
    let mut external = false;
    let before = reader.findings.list.len();
    for (key, value) in reader.entries(node) {
        let mut reader = reader.at(&key.text);
        match key.text.as_str() {
            "name" => given = reader.filled(value).or(given),
            "external" => external = resource::external(&mut reader, value, &mut given),
            "file" => {
                sources.extend(PathBuf::read(&mut reader, value).map(|path| (key, FileSource::File(path))));
            }
            "environment" => {
                sources.extend(reader.filled(value).map(|name| (key, FileSource::Environment(name))));
            }
            "content" if is_config => {
                sources.extend(reader.string(value).map(|text| (key, FileSource::Content(text))));
            }
            "labels" => object.labels = crate::read::labels(&mut reader, value),
            "driver" if !is_config => object.driver = reader.filled(value),
            "driver_opts" if !is_config => object.driver_opts = crate::read::labels(&mut reader, value),
            "template_driver" => object.template_driver = reader.filled(value),
            _ if is_config => reader.unknown(
                key,
                &["name", "external", "file", "environment", "content", "labels", "template_driver"],
            ),
            _ => reader.unknown(
                key,
                &[
                    "name",
                    "external",
                    "file",
                    "environment",
                    "labels",
                    "driver",
                    "driver_opts",
                    "template_driver",
                ],
            ),
        }
    }
    let words = if is_config { "file, environment or content" } else { "file or environment" };
    match sources.as_slice() {
        // What is misspelt is told already.
        [] if external || reader.findings.has_errors_since(before) => {}
        [] => reader.error(node.place, format!("it needs its content: give one of {words}")),
        [_, (second, _), ..] => {
            reader.at(&second.text).error(second.place, format!("only one of {words} can be given"));
        }
        [(one, _)] if external => {
            reader
                .at(&one.text)
                .error(one.place, "somebody else makes what is external: it has no content here");
        }
        _ => {}
    }
    if let Some((_, source)) = sources.into_iter().next() {
        object.source = source;
    }
    object.name = resource::name(given, external, project, key);
    object
}

impl FileObject {
    pub(crate) fn show(&self) -> Value {
        let (mut file, mut environment, mut content) = (None, None, None);
        match &self.source {
            FileSource::External => {}
            FileSource::File(path) => file = Some(path.clone()),
            FileSource::Environment(name) => environment = Some(name.clone()),
            FileSource::Content(text) => content = Some(text.clone()),
        }
        let external = self.source == FileSource::External;
        shown([
            ("name", false, self.name.show()),
            ("file", file.is_unsaid(), file.show()),
            ("environment", environment.is_unsaid(), environment.show()),
            ("content", content.is_unsaid(), content.show()),
            ("external", external.is_unsaid(), external.show()),
            ("labels", self.labels.is_unsaid(), self.labels.show()),
            ("driver", self.driver.is_unsaid(), self.driver.show()),
            ("driver_opts", self.driver_opts.is_unsaid(), self.driver_opts.show()),
            ("template_driver", self.template_driver.is_unsaid(), self.template_driver.show()),
        ])
    }
}

record! {
    /// A language model of the project.
    pub Model needs ["model"] {
        /// Its name.
        "name" pub name: Option<String>,
        /// Which one it is, like `ai/smollm2`.
        "model" pub model: String,
        /// How many tokens it looks back.
        "context_size" pub context_size: Option<u64>,
        /// Words for the program that runs it.
        "runtime_flags" pub runtime_flags: Vec<String>,
    }
}

record! {
    /// How a service is told of a model.
    pub ModelUse {
        /// The variable that has its address.
        "endpoint_var" pub endpoint_var: Option<String>,
        /// The variable that has its name.
        "model_var" pub model_var: Option<String>,
    }
}

/// A list of names, or a mapping.
pub(crate) fn models(reader: &mut Reader<'_>, node: &Node) -> BTreeMap<String, ModelUse> {
    match &node.value {
        yaml::Value::List(_) => {
            reader.strings(node).into_iter().map(|name| (name, ModelUse::default())).collect()
        }
        _ => Attribute::read(reader, node).unwrap_or_default(),
    }
}
