//! Building an image by the API's own builder: the context goes there as an archive, what it says comes back as lines.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read, Write},
    path::Path,
};

use bollard::{
    Docker,
    errors::Error as Bollard,
    query_parameters::{BuildImageOptions, BuildImageOptionsBuilder, TagImageOptionsBuilder},
};
use compose_file::{BuildContext, Hidden};
use futures_util::{StreamExt, stream};
use runtime_core::{
    BuildLog, BuildSpec, Dockerfile, Error, Lack, Phase, Progress, ResourceKind, Result, Subject, Work,
    hide_values,
};
use tokio::sync::mpsc;

use crate::{
    confine::Answering,
    connect::Connection,
    failure::{Asked, explain},
};

/// The Dockerfile in the archive, where it is none of the context's. It is named in the archive's `.dockerignore`, so that no `COPY`
/// takes it.
const OWN_DOCKERFILE: &str = ".longshore.dockerfile";
const DOCKERIGNORE: &str = ".dockerignore";

/// So many pieces of the archive wait for who sends them, and how large one is: what memory a context takes.
const PIECES: usize = 8;
const PIECE: usize = 64 << 10;

/// What of a build the API's builder cannot do.
pub(crate) fn lacks(spec: &BuildSpec, by: Answering) -> Vec<Lack> {
    const BUILDKITS: &str = "only BuildKit has it, which this API does not reach";
    let mut lacks = Vec::new();
    let isolation = spec.isolation.as_deref().is_some_and(|isolation| isolation != "default");
    let is_elsewhere = matches!(spec.context, BuildContext::Elsewhere(_));
    let is_place = |text: &String| {
        ["docker-image://", "oci-layout://", "service:"].iter().any(|kind| text.starts_with(kind))
    };
    let is_no_context = matches!(&spec.context, BuildContext::Elsewhere(text) if is_place(text));
    for (is, attribute, why) in [
        (!spec.secrets.is_empty(), "build.secrets", BUILDKITS),
        (!spec.ssh.is_empty(), "build.ssh", BUILDKITS),
        (!spec.contexts.is_empty(), "build.additional_contexts", BUILDKITS),
        (spec.privileged, "build.privileged", BUILDKITS),
        (!spec.entitlements.is_empty(), "build.entitlements", BUILDKITS),
        (isolation && !by.is_windows, "build.isolation", "only Windows has it"),
        (isolation && by.is_windows, "build.isolation", "it is not given by this API"),
        (
            !spec.ulimits.is_empty(),
            "build.ulimits",
            "they are not given by this API; the daemon's defaults count",
        ),
        (spec.platforms.len() > 1, "build.platforms", "an image is of one platform here; name one"),
        (
            spec.extra_hosts.len() > 1 && !by.is_podman,
            "build.extra_hosts",
            "one is given by this API, not several",
        ),
        (is_no_context, "build.context", "the API's builder knows folders, repositories and archives"),
        (
            is_elsewhere && !matches!(spec.dockerfile, Dockerfile::InContext(_)),
            "build.dockerfile_inline",
            "a context that is elsewhere has its Dockerfile there",
        ),
        (
            spec.shm_size.is_some_and(|bytes| i32::try_from(bytes).is_err()),
            "build.shm_size",
            "less than 2 GiB are given by this API",
        ),
    ] {
        if is {
            lacks.push(Lack::refused(attribute, why));
        }
    }
    let is_wanted = |what: &Option<String>| what.as_deref().is_some_and(|value| value != "false");
    for (is, attribute) in [
        (!spec.cache_to.is_empty(), "build.cache_to"),
        (spec.cache_from.iter().any(|cache| repository(cache).is_none()), "build.cache_from"),
        (is_wanted(&spec.provenance), "build.provenance"),
        (is_wanted(&spec.sbom), "build.sbom"),
    ] {
        if is {
            lacks.push(Lack::warned(attribute, BUILDKITS));
        }
    }
    lacks
}

/// The image of a cache: `name`, or `type=registry,ref=name`.
fn repository(cache: &str) -> Option<&str> {
    if !cache.contains('=') {
        return Some(cache);
    }
    let fields = || cache.split(',').filter_map(|field| field.split_once('='));
    let field = |name: &str| fields().find(|(key, _)| *key == name).map(|(_, value)| value);
    field("ref").filter(|_| field("type") == Some("registry"))
}

/// The Dockerfile's path in the archive.
fn dockerfile(spec: &BuildSpec) -> &str {
    match &spec.dockerfile {
        Dockerfile::InContext(path) => path,
        Dockerfile::Outside(_) | Dockerfile::Inline(_) => OWN_DOCKERFILE,
    }
}

fn query(spec: &BuildSpec, is_podman: bool) -> BuildImageOptions {
    let args: HashMap<&str, &str> =
        spec.args.iter().map(|(name, Hidden(value))| (name.as_str(), value.as_str())).collect();
    let labels: HashMap<&str, &str> =
        spec.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let caches: Vec<&str> = spec.cache_from.iter().filter_map(|cache| repository(cache)).collect();
    // What a step leaves when it fails is nobody's.
    let mut query = BuildImageOptionsBuilder::new()
        .dockerfile(dockerfile(spec))
        .t(&spec.image)
        .buildargs(&args)
        .labels(&labels)
        .nocache(spec.no_cache)
        .rm(true)
        .forcerm(true);
    if let BuildContext::Elsewhere(place) = &spec.context {
        query = query.remote(place);
    }
    if !caches.is_empty() {
        query = query.cachefrom(&caches);
    }
    if spec.pull {
        query = query.pull("1");
    }
    if let Some(target) = &spec.target {
        query = query.target(target);
    }
    if let Some(network) = &spec.network {
        query = query.networkmode(network);
    }
    if let Some(size) = spec.shm_size.and_then(|bytes| i32::try_from(bytes).ok()) {
        query = query.shmsize(size);
    }
    let hosts: Vec<String> =
        spec.extra_hosts.iter().map(|(host, address)| format!("{host}:{address}")).collect();
    match hosts.first() {
        // Podman reads a list there.
        Some(_) if is_podman => query = query.extrahosts(&serde_json::json!(hosts).to_string()),
        Some(first) => query = query.extrahosts(first),
        None => {}
    }
    if let Some(platform) = spec.platforms.first() {
        query = query.platform(platform);
    }
    query.build()
}

/// Writes the archive of a context. Blocks.
fn archive(spec: &BuildSpec, to: impl Write) -> io::Result<()> {
    let mut archive = tar::Builder::new(to);
    let is_own = dockerfile(spec) == OWN_DOCKERFILE;
    let ignore = spec.dockerignore();
    spec.visit_context(|name, path, found| {
        // It is written as it counts.
        if name == DOCKERIGNORE && (is_own || ignore.is_some()) {
            return Ok(());
        }
        let mut header = tar::Header::new_gnu();
        header.set_metadata(found);
        // As docker's own command line, so that who builds makes no difference.
        header.set_uid(0);
        header.set_gid(0);
        if found.is_dir() {
            header.set_size(0);
            archive.append_data(&mut header, format!("{name}/"), io::empty())
        } else if found.is_symlink() {
            header.set_size(0);
            archive.append_link(&mut header, name, std::fs::read_link(path)?)
        } else if found.is_file() {
            let file = File::open(path).map_err(|error| of(path, &error))?;
            header.set_size(found.len());
            archive.append_data(&mut header, name, Exactly { file, left: found.len() })
        } else {
            // A socket or a device is no part of an image.
            Ok(())
        }
        .map_err(|error| of(path, &error))
    })?;
    let mut add = |name: &str, text: &str| {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        archive.append_data(&mut header, name, text.as_bytes())
    };
    let text = match &ignore {
        Some(path) => Some(std::fs::read_to_string(path).map_err(|error| of(path, &error))?),
        None => None,
    };
    if is_own {
        let said = text.unwrap_or_else(|| DOCKERIGNORE.to_owned());
        add(DOCKERIGNORE, &format!("{said}\n{OWN_DOCKERFILE}\n"))?;
    } else if let Some(text) = text {
        add(DOCKERIGNORE, &text)?;
    }
    match &spec.dockerfile {
        Dockerfile::Inline(text) => add(OWN_DOCKERFILE, text)?,
        Dockerfile::Outside(path) => {
            add(OWN_DOCKERFILE, &std::fs::read_to_string(path).map_err(|error| of(path, &error))?)?;
        }
        Dockerfile::InContext(_) => {}
    }
    archive.into_inner()?.flush()
}

fn of(path: &Path, error: &io::Error) -> io::Error {
    let text = error.to_string();
    let shown = path.display().to_string();
    if text.contains(&shown) {
        return io::Error::new(error.kind(), text);
    }
    io::Error::new(error.kind(), format!("{shown}: {text}"))
}

/// As much of a file as its size was said to be: more would be another file in the archive.
struct Exactly {
    file: File,
    left: u64,
}

impl Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.file.read(&mut buffer[..most])?;
        if read == 0 && most > 0 {
            return Err(io::Error::other("it became shorter while it was read"));
        }
        self.left -= read as u64;
        Ok(read)
    }
}

/// Pieces of what is written, for who takes them in his own time. That nobody does ends the writing.
struct Pieces {
    piece: Vec<u8>,
    to: mpsc::Sender<io::Result<Vec<u8>>>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let piece = std::mem::take(&mut self.piece);
        let sent = piece.is_empty() || self.to.blocking_send(Ok(piece)).is_ok();
        if sent { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
    }
}

/// Builds an image and gives it its names. However long a step is silent, it goes on as long as somebody wants it: the engine ends what nobody
/// listens to.
pub(crate) async fn build(
    connection: &Connection,
    client: &Docker,
    spec: &BuildSpec,
    progress: &Progress,
) -> Result<()> {
    let (to, pieces) = mpsc::channel(PIECES);
    let (owned, failing) = (spec.clone(), to.clone());
    let writing = tokio::task::spawn_blocking(move || {
        let written = archive(&owned, Pieces { piece: Vec::new(), to });
        // An archive that is not whole is no archive: the request is not, either.
        if let Err(error) = &written {
            let _ = failing.blocking_send(Err(io::Error::new(error.kind(), error.to_string())));
        }
        written
    });
    let pieces = stream::unfold(pieces, |mut pieces| async {
        let piece: io::Result<Vec<u8>> = pieces.recv().await?;
        Some((piece.map(Into::into), pieces))
    });
    let mut messages = client
        .build_image(query(spec, connection.is_podman()), None, Some(bollard::body_try_stream(pieces)))
        .boxed();
    let mut log = BuildLog::new(spec);
    let mut line = String::new();
    let report = |log: &mut BuildLog<'_>, line: &str| {
        if let Some(step) = log.line(line) {
            let phase = Phase::Step { work: Work::Build, step };
            progress.report(Subject::Image(spec.image.clone()), phase);
        }
    };
    while let Some(message) = messages.next().await {
        let message = match message {
            Ok(message) => message,
            Err(error) => {
                drop(messages);
                report(&mut log, &line);
                // Of a request that broke off, what broke it is known here.
                if let (false, Ok(Err(reason))) = (is_answer(&error), writing.await)
                    && reason.kind() != io::ErrorKind::BrokenPipe
                {
                    return Err(log.failed(&reason.to_string()));
                }
                return Err(failed(&error, log, connection, spec));
            }
        };
        // Lines may come in pieces.
        line.push_str(message.stream.as_deref().unwrap_or_default());
        while let Some((whole, rest)) = line.split_once('\n') {
            report(&mut log, whole);
            line = rest.to_owned();
        }
    }
    tag(connection, spec).await
}

fn is_answer(error: &Bollard) -> bool {
    matches!(error, Bollard::DockerStreamError { .. } | Bollard::DockerResponseServerError { .. })
}

fn failed(error: &Bollard, log: BuildLog<'_>, connection: &Connection, spec: &BuildSpec) -> Error {
    match error {
        Bollard::DockerStreamError { error } => log.failed(error),
        Bollard::DockerResponseServerError { message, .. } => log.failed(message),
        error => {
            let asked = Asked { operation: "build image", kind: ResourceKind::Image, name: &spec.image };
            match explain(error, asked, &connection.peer()) {
                Error::Image { reason, .. } => log.failed(&reason),
                Error::NotReachable { engine, endpoint, reason } => {
                    Error::NotReachable { engine, endpoint, reason: hide_values(&reason, spec.hidden()) }
                }
                other => crate::failure::without_values(other, spec.hidden()),
            }
        }
    }
}

/// Gives the image its other names.
async fn tag(connection: &Connection, spec: &BuildSpec) -> Result<()> {
    for name in &spec.tags {
        let (repository, tag) = split(name);
        let query = TagImageOptionsBuilder::new().repo(repository).tag(tag).build();
        connection
            .ask("tag image", ResourceKind::Image, name, |docker| docker.tag_image(&spec.image, Some(query)))
            .await?;
    }
    Ok(())
}

/// Repository and tag of a reference.
pub(crate) fn split(reference: &str) -> (&str, &str) {
    match reference.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ => (reference, "latest"),
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::{
        collections::BTreeMap,
        os::unix::fs::{PermissionsExt, symlink},
    };

    use compose_file::{Build, Service};
    use runtime_core::{Action, Building, Desired, Observed, UpOptions, plan_up};

    use super::*;

    /// What an engine is given to build from that folder.
    fn spec(folder: &Path, change: impl FnOnce(&mut Build)) -> BuildSpec {
        let name = compose_file::ProjectName::new("p").unwrap();
        let mut project = compose_file::Project::new(name, folder);
        let mut build = Build::default();
        build.context = BuildContext::Folder(folder.to_owned());
        change(&mut build);
        let mut service = Service::new("web", "p-web");
        service.build = Some(build);
        project.services.insert("web".into(), service);
        let mut options = UpOptions::default();
        options.build = Building::Always;
        let desired = Desired { project: &project, options: &options, owner: "test" };
        let plan = plan_up(desired, &Observed::default()).unwrap();
        let spec = plan.steps.into_iter().find_map(|step| match step.action {
            Action::BuildImage(spec) => Some(*spec),
            _ => None,
        });
        spec.unwrap()
    }

    /// The entries of the archive: mode, and text or target.
    fn written(spec: &BuildSpec) -> BTreeMap<String, (u32, String)> {
        let mut bytes = Vec::new();
        archive(spec, &mut bytes).unwrap();
        let mut all = BTreeMap::new();
        for entry in tar::Archive::new(&bytes[..]).entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            if let Some(target) = entry.link_name().unwrap() {
                text = format!("-> {}", target.display());
            }
            let name = entry.path().unwrap().display().to_string();
            assert_eq!((entry.header().uid().unwrap(), entry.header().gid().unwrap()), (0, 0));
            all.insert(name, (entry.header().mode().unwrap() & 0o7777, text));
        }
        all
    }

    #[test]
    fn a_context_is_sent_as_it_is_but_for_what_is_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(at("src/deep")).unwrap();
        for (name, text) in [
            ("Dockerfile", "FROM scratch"),
            (".dockerignore", "*\n!src\n**/*.tmp\n"),
            ("secret", "x"),
            ("src/run", "#!"),
            ("src/deep/a.tmp", "x"),
        ] {
            std::fs::write(at(name), text).unwrap();
        }
        std::fs::set_permissions(at("src/run"), PermissionsExt::from_mode(0o751)).unwrap();
        symlink("../nowhere", at("src/link")).unwrap();
        let spec = spec(folder.path(), |_| {});
        let sent = written(&spec);
        let names: Vec<&str> = sent.keys().map(String::as_str).collect();
        assert_eq!(names, [".dockerignore", "Dockerfile", "src/", "src/deep/", "src/link", "src/run"]);
        assert_eq!(sent["src/run"], (0o751, "#!".to_owned()));
        assert_eq!(sent["src/link"].1, "-> ../nowhere");
    }

    #[test]
    fn a_dockerfile_of_another_place_is_sent_and_not_copied() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), "a").unwrap();
        let spec = spec(folder.path(), |build| build.dockerfile_inline = Some("FROM scratch\n".into()));
        let sent = written(&spec);
        assert_eq!(sent[OWN_DOCKERFILE].1, "FROM scratch\n");
        assert_eq!(sent[DOCKERIGNORE].1, ".dockerignore\n.longshore.dockerfile\n");
        assert_eq!(sent.len(), 3);
    }

    #[test]
    fn the_ignore_file_of_a_dockerfile_is_preferred() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in
            [("F", "FROM scratch"), ("F.dockerignore", "b"), (".dockerignore", "a"), ("a", "a"), ("b", "b")]
        {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let sent = written(&spec(folder.path(), |build| build.dockerfile = Some("F".into())));
        let names: Vec<&str> = sent.keys().map(String::as_str).collect();
        assert_eq!(names, [".dockerignore", "F", "F.dockerignore", "a"]);
        assert_eq!(sent[DOCKERIGNORE].1, "b");
    }

    #[test]
    fn a_reference_is_a_repository_and_a_tag() {
        assert_eq!(split("host:5000/a/b"), ("host:5000/a/b", "latest"));
        assert_eq!(split("host:5000/a/b:1"), ("host:5000/a/b", "1"));
        assert_eq!(split("a"), ("a", "latest"));
    }
}
