//! Images that are made here: from a service's `build` to what an engine is given. Pure, but for the look at the files.

mod context;
mod log;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::{Component, Path, PathBuf},
};

use compose_file::{Build, BuildContext, FileSource, Hidden, Project, Service, SshKey, Ulimit};
use serde::Serialize;

pub use self::{
    context::Ignored,
    log::{BuildLog, is_disturbed},
};

use crate::{BuildProblem, Error, Result, labels};

/// How an image is made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BuildSpec {
    /// The service whose image it is.
    pub service: String,
    /// Its reference, as containers ask for it.
    pub image: String,
    /// References besides.
    pub tags: Vec<String>,
    /// The files that it is made from.
    pub context: BuildContext,
    /// What is done with them.
    pub dockerfile: Dockerfile,
    /// Values of `ARG`s: in no argument, error, event or log, as far as the engine lets them.
    pub args: BTreeMap<String, Hidden>,
    /// The stage that is the image; `None` is the last.
    pub target: Option<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Images and caches to take layers from.
    pub cache_from: Vec<String>,
    /// Caches to give layers to.
    pub cache_to: Vec<String>,
    /// Whether no layer is taken from a cache.
    pub no_cache: bool,
    /// Whether base images are pulled though they are here.
    pub pull: bool,
    /// The network of its `RUN`s.
    pub network: Option<String>,
    /// The size of `/dev/shm`.
    pub shm_size: Option<u64>,
    /// Lines for `/etc/hosts`.
    pub extra_hosts: Vec<(String, String)>,
    /// How it is isolated, on Windows.
    pub isolation: Option<String>,
    /// The platforms that it is made for; none is the engine's own.
    pub platforms: Vec<String>,
    /// Whether its `RUN`s have all privileges.
    pub privileged: bool,
    /// What its `RUN`s may see while they run.
    pub secrets: Vec<BuildSecret>,
    /// SSH agents and keys that its `RUN`s may use.
    pub ssh: Vec<SshKey>,
    /// Limits of its processes.
    pub ulimits: BTreeMap<String, Ulimit>,
    /// Further contexts, by the name that the Dockerfile has for them. [Other services'](BuildContext::Elsewhere) images do not
    /// occur: core names the image.
    pub contexts: BTreeMap<String, BuildContext>,
    /// What the builder may do besides.
    pub entitlements: Vec<String>,
    /// What is recorded of how it was made.
    pub provenance: Option<String>,
    /// Whether, and how, it is recorded what is in it.
    pub sbom: Option<String>,
}

/// What is done to make an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dockerfile {
    /// A file of the context, by its path there.
    InContext(String),
    /// A file elsewhere on this computer.
    Outside(PathBuf),
    /// The text itself.
    Inline(String),
}

/// A secret of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildSecret {
    /// Its name in the Dockerfile.
    pub id: String,
    /// Where it is.
    pub source: BuildSecretSource,
}

/// Where a secret of a build is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildSecretSource {
    /// A file of this computer.
    File(PathBuf),
    /// The text itself.
    Value(Hidden),
}

/// One step of a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BuildStep {
    /// Its number, from 1; in a build of several stages that of its stage.
    pub number: u32,
    /// How many there are.
    pub of: u32,
    /// The instruction, as the engine shows it.
    pub instruction: String,
}

impl fmt::Display for BuildStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step {}/{}: {}", self.number, self.of, self.instruction)
    }
}

/// How `build` goes about it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct BuildOptions {
    /// Only these services; empty is all.
    pub services: BTreeSet<String>,
    /// Whether what the named services depend on is built too (`--with-dependencies`).
    pub with_dependencies: bool,
    /// Values of `ARG`s over those of the file.
    pub args: BTreeMap<String, Hidden>,
    /// Whether no layer is taken from a cache.
    pub no_cache: bool,
    /// Whether base images are pulled though they are here.
    pub pull: bool,
}

/// How `push` goes about it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct PushOptions {
    /// Only these services; empty is all.
    pub services: BTreeSet<String>,
    /// Whether what the named services depend on is pushed too (`--include-deps`).
    pub with_dependencies: bool,
    /// Whether an image that cannot be pushed is only told.
    pub ignore_failures: bool,
}

/// Which images `up`, `create` and `run` build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Building {
    /// Those that are not here, or whose policy is to build.
    #[default]
    Missing,
    /// All that can be (`--build`).
    Always,
    /// None (`--no-build`).
    Never,
}

/// The services whose images a service's image is made from (`additional_contexts: {name: service:other}`).
pub(crate) fn made_from(service: &Service) -> impl Iterator<Item = &str> {
    let contexts = service.build.iter().flat_map(|build| build.additional_contexts.values());
    contexts.filter_map(|context| match context {
        BuildContext::Elsewhere(text) => text.strip_prefix("service:"),
        BuildContext::Folder(_) | _ => None,
    })
}

/// A build, and what is done without.
pub(crate) struct Made {
    pub(crate) spec: BuildSpec,
    pub(crate) warnings: Vec<String>,
}

/// What an engine is given to make a service's image.
pub(crate) fn spec(project: &Project, service: &Service, build: &Build) -> Result<Made> {
    let mut warnings = Vec::new();
    let mut secrets = Vec::new();
    for grant in &build.secrets {
        let id = grant.target.clone().unwrap_or_else(|| grant.source.clone());
        let object = project.secrets.get(&grant.source).map(|object| &object.source);
        let source = match object {
            Some(FileSource::File(path)) => BuildSecretSource::File(path.clone()),
            Some(FileSource::Environment(name)) => match project.variables.get(name) {
                Some(value) => BuildSecretSource::Value(value.clone()),
                None => {
                    return Err(Error::InvalidProject(format!(
                        "secret {:?} is the variable {name}, which is not set",
                        grant.source
                    )));
                }
            },
            Some(_) => {
                return Err(Error::InvalidProject(format!(
                    "service {:?}: secret {:?} of its build is external: that is Swarm's",
                    service.name, grant.source
                )));
            }
            None => {
                return Err(Error::InvalidProject(format!(
                    "service {:?} refers to undefined secret {:?}",
                    service.name, grant.source
                )));
            }
        };
        if grant.uid.is_some() || grant.gid.is_some() || grant.mode.is_some() {
            // As docker compose, which tells it of BuildKit.
            warnings.push(format!(
                "service {:?}: uid, gid and mode of build secret {:?} are ignored",
                service.name, grant.source
            ));
        }
        secrets.push(BuildSecret { id, source });
    }
    let mut contexts = build.additional_contexts.clone();
    for context in contexts.values_mut() {
        if let BuildContext::Elsewhere(text) = context
            && let Some(other) = text.strip_prefix("service:").and_then(|name| project.services.get(name))
        {
            *text = format!("docker-image://{}", other.image);
        }
    }
    let mut all_labels = build.labels.clone();
    all_labels.extend(
        [
            (labels::PROJECT, project.name.to_string()),
            (labels::SERVICE, service.name.clone()),
            (labels::VERSION, env!("CARGO_PKG_VERSION").to_owned()),
        ]
        .map(|(key, value)| (key.to_owned(), value)),
    );
    let spec = BuildSpec {
        service: service.name.clone(),
        image: service.image.clone(),
        tags: build.tags.clone(),
        context: build.context.clone(),
        dockerfile: dockerfile(build),
        args: build.args.iter().map(|(name, value)| (name.clone(), Hidden(value.clone()))).collect(),
        target: build.target.clone(),
        labels: all_labels,
        cache_from: build.cache_from.clone(),
        cache_to: build.cache_to.clone(),
        no_cache: build.no_cache,
        pull: build.pull,
        network: build.network.clone(),
        shm_size: build.shm_size.map(|size| size.0),
        extra_hosts: build.extra_hosts.clone(),
        isolation: build.isolation.clone(),
        // A service of one platform has an image of it.
        platforms: match &service.platform {
            Some(platform) if build.platforms.is_empty() => vec![platform.clone()],
            _ => build.platforms.clone(),
        },
        privileged: build.privileged,
        secrets,
        ssh: build.ssh.clone(),
        ulimits: build.ulimits.clone(),
        contexts,
        entitlements: build.entitlements.clone(),
        provenance: build.provenance.clone(),
        sbom: build.sbom.clone(),
    };
    Ok(Made { spec, warnings })
}

/// The folder that an image is made from, and what its `.dockerignore` leaves out of it. Blocks.
///
/// # Errors
/// [`Error::File`] when that file cannot be read.
pub(crate) fn left_out(build: &Build) -> Result<Option<(PathBuf, Ignored)>> {
    let BuildContext::Folder(folder) = &build.context else { return Ok(None) };
    let dockerfile = dockerfile_path(&dockerfile(build), &build.context);
    let Some(path) = context::dockerignore(folder, dockerfile) else { return Ok(None) };
    let text = std::fs::read_to_string(&path)
        .map_err(|error| Error::File { path: path.display().to_string(), reason: error.to_string() })?;
    Ok(Some((folder.clone(), Ignored::read(&text))))
}

fn dockerfile_path(dockerfile: &Dockerfile, context: &BuildContext) -> Option<PathBuf> {
    match (dockerfile, context) {
        (Dockerfile::InContext(path), BuildContext::Folder(folder)) => Some(folder.join(path)),
        (Dockerfile::Outside(path), _) => Some(path.clone()),
        _ => None,
    }
}

fn dockerfile(build: &Build) -> Dockerfile {
    if let Some(text) = &build.dockerfile_inline {
        return Dockerfile::Inline(text.clone());
    }
    let written = build.dockerfile.as_deref().unwrap_or("Dockerfile");
    let BuildContext::Folder(folder) = &build.context else {
        return Dockerfile::InContext(written.to_owned());
    };
    let path = plain(&folder.join(written));
    match path.strip_prefix(plain(folder)).ok().and_then(Path::to_str) {
        Some(inside) => Dockerfile::InContext(inside.to_owned()),
        None => Dockerfile::Outside(path),
    }
}

/// The path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}

impl BuildSpec {
    /// The Dockerfile's path on this computer, if it is a file of it.
    pub fn dockerfile_path(&self) -> Option<PathBuf> {
        dockerfile_path(&self.dockerfile, &self.context)
    }

    /// What must not be told: the values of its arguments and secrets, as far as they are known here.
    pub fn hidden(&self) -> impl Iterator<Item = &String> {
        let secrets = self.secrets.iter().filter_map(|secret| match &secret.source {
            BuildSecretSource::Value(Hidden(value)) => Some(value),
            BuildSecretSource::File(_) => None,
        });
        self.args.values().map(|Hidden(value)| value).chain(secrets)
    }

    /// Looks whether the files that it names are here.
    ///
    /// # Errors
    /// [`Error::Build`] with what is missing.
    pub(crate) async fn has_its_files(&self) -> Result<()> {
        let is = async |path: &Path, is: fn(&std::fs::Metadata) -> bool| {
            tokio::fs::metadata(path).await.is_ok_and(|found| is(&found))
        };
        let missing = |problem| Err(Error::Build { image: self.image.clone(), problem });
        let folders = [&self.context].into_iter().chain(self.contexts.values());
        for folder in folders {
            if let BuildContext::Folder(path) = folder
                && !is(path, std::fs::Metadata::is_dir).await
            {
                return missing(BuildProblem::NoContext(path.clone()));
            }
        }
        if let Some(path) = self.dockerfile_path()
            && !is(&path, std::fs::Metadata::is_file).await
        {
            return missing(BuildProblem::NoDockerfile(path));
        }
        for secret in &self.secrets {
            if let BuildSecretSource::File(path) = &secret.source
                && !is(path, std::fs::Metadata::is_file).await
            {
                return missing(BuildProblem::NoSecret { id: secret.id.clone(), path: path.clone() });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(context: &str, dockerfile: &str) -> Dockerfile {
        let mut build = Build::default();
        build.context = BuildContext::Folder(context.into());
        build.dockerfile = Some(dockerfile.to_owned());
        super::dockerfile(&build)
    }

    #[test]
    fn a_dockerfile_is_in_its_context_or_outside() {
        assert_eq!(of("/a/b", "Dockerfile"), Dockerfile::InContext("Dockerfile".into()));
        assert_eq!(of("/a/./b", "docker/../x/File"), Dockerfile::InContext("x/File".into()));
        assert_eq!(of("/a/b", "../Dockerfile"), Dockerfile::Outside("/a/Dockerfile".into()));
        assert_eq!(of("/a/b", "/a/b/c/Dockerfile"), Dockerfile::InContext("c/Dockerfile".into()));
        assert_eq!(of("/a/b", "/a/bb/Dockerfile"), Dockerfile::Outside("/a/bb/Dockerfile".into()));
    }

    #[test]
    fn what_a_build_is_given_hides_its_values() {
        let mut project = Project::new(compose_file::ProjectName::new("p").unwrap(), "/p");
        let mut service = Service::new("web", "p-web");
        let mut build = Build::default();
        build.args.insert("TOKEN".into(), "hunter2".into());
        build.additional_contexts.insert("base".into(), BuildContext::Elsewhere("service:db".into()));
        service.build = Some(build.clone());
        project.services.insert("db".into(), Service::new("db", "p-db"));
        let Made { spec, .. } = super::spec(&project, &service, &build).unwrap();
        assert!(!format!("{spec:?}").contains("hunter2"), "rule 9");
        assert_eq!(spec.contexts["base"], BuildContext::Elsewhere("docker-image://p-db".into()));
        assert_eq!(made_from(&service).collect::<Vec<_>>(), ["db"]);
        assert_eq!(spec.labels[labels::SERVICE], "web");
        assert_eq!(spec.hidden().collect::<Vec<_>>(), ["hunter2"]);
    }
}
