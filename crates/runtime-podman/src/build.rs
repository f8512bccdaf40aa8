//! Building an image: a command whose output tells how far it is, and whose end takes what it runs with it.

use std::{process::ExitStatus, time::Duration};

use compose_file::{BuildContext, Hidden, Limit, Ulimit};
use futures_util::{Stream, StreamExt, stream, stream::BoxStream};
use runtime_core::{
    BuildLog, BuildSecretSource, BuildSpec, Dockerfile, Error, ImageId, Lack, Phase, Progress, ResourceKind,
    Result, Subject, Work,
};
use tokio::{
    io::{AsyncRead, AsyncWriteExt, BufReader},
    time::timeout,
};
use tokio_util::task::TaskTracker;

use crate::{
    command::{Finished, Group, Invocation, Podman, is_podmans_own, read_line},
    create::image_names,
    failure::{self, explain, unexpected},
};

/// A line of its output is kept to this length.
const MAX_LINE: usize = 4096;
/// How long a build that is no longer wanted has to tidy up, and how often is looked meanwhile what it runs: nothing tells.
const TIDYING: Duration = Duration::from_secs(10);
const TIDYING_PAUSE: Duration = Duration::from_millis(100);

/// The command; `ignore_file` says what of the context is left out, where podman would not find it.
fn command(spec: &BuildSpec, ignore_file: Option<&str>) -> Invocation {
    // Docker's format, because the other one has no healthcheck.
    let mut command = Invocation::new(["build", "--format=docker"]);
    for name in [&spec.image].into_iter().chain(&spec.tags) {
        command = command.args([format!("--tag={}", image_names(name).swap_remove(0))]);
    }
    command = match (&spec.dockerfile, spec.dockerfile_path()) {
        (Dockerfile::Inline(text), _) => command.args(["--file=-"]).reading(text.clone().into_bytes()),
        (_, Some(path)) => command.args([format!("--file={}", path.display())]),
        (Dockerfile::InContext(path), None) => command.args([format!("--file={path}")]),
        (Dockerfile::Outside(path), None) => command.args([format!("--file={}", path.display())]),
    };
    for (name, Hidden(value)) in &spec.args {
        // A name alone takes its value from podman's own environment: nothing stands in the process list.
        command = if is_podmans_own(name) {
            command.secret(&format!("--build-arg={name}"), value)
        } else {
            command.args([format!("--build-arg={name}")]).env(name, value)
        };
    }
    for (number, secret) in spec.secrets.iter().enumerate() {
        let id = &secret.id;
        command = match &secret.source {
            BuildSecretSource::File(path) => {
                command.args([format!("--secret=id={id},src={}", path.display())])
            }
            BuildSecretSource::Value(Hidden(value)) => {
                let variable = format!("LONGSHORE_SECRET_{number}");
                command.args([format!("--secret=id={id},env={variable}")]).env(&variable, value)
            }
        };
    }
    command = command.args(spec.labels.iter().map(|(name, value)| format!("--label={name}={value}")));
    command = command.args(spec.extra_hosts.iter().map(|(host, to)| format!("--add-host={host}:{to}")));
    command = command.args(
        spec.cache_from
            .iter()
            .filter_map(|cache| repository(cache))
            .map(|name| format!("--cache-from={name}")),
    );
    command = command.args(
        spec.cache_to.iter().filter_map(|cache| repository(cache)).map(|name| format!("--cache-to={name}")),
    );
    command = command.args(spec.ssh.iter().map(|key| match &key.path {
        Some(path) => format!("--ssh={}={path}", key.id),
        None => format!("--ssh={}", key.id),
    }));
    command = command.args(
        spec.contexts.iter().map(|(name, context)| format!("--build-context={name}={}", place(context))),
    );
    let limit = |limit: &Limit| match limit {
        Limit::At(number) => number.to_string(),
        Limit::Unlimited => "-1".to_owned(),
    };
    command = command.args(spec.ulimits.iter().filter_map(|(name, ulimit)| {
        let (soft, hard) = match ulimit {
            Ulimit::Both(both) => (both, both),
            Ulimit::Apart { soft, hard } => (soft, hard),
            _ => return None,
        };
        Some(format!("--ulimit={name}={}:{}", limit(soft), limit(hard)))
    }));
    for (flag, value) in [
        ("--target", spec.target.clone()),
        ("--network", spec.network.clone()),
        ("--shm-size", spec.shm_size.map(|bytes| format!("{bytes}b"))),
        ("--platform", spec.platforms.first().cloned()),
        ("--isolation", spec.isolation.clone().filter(|isolation| isolation != "default")),
        ("--ignorefile", ignore_file.map(str::to_owned)),
        ("--pull", Some(if spec.pull { "always" } else { "missing" }.to_owned())),
        ("--no-cache", spec.no_cache.then(|| "true".to_owned())),
    ] {
        command = command.args(value.map(|value| format!("{flag}={value}")));
    }
    command.args(["--".to_owned(), place(&spec.context)])
}

fn place(context: &BuildContext) -> String {
    match context {
        BuildContext::Folder(path) => path.display().to_string(),
        BuildContext::Elsewhere(place) => match place.strip_prefix("docker-image://") {
            Some(image) => format!("docker-image://{}", image_names(image).swap_remove(0)),
            None => place.clone(),
        },
        _ => String::new(),
    }
}

/// The repository of a cache (`name`, or `type=registry,ref=name`), which podman takes without a tag.
fn repository(cache: &str) -> Option<String> {
    let name = if cache.contains('=') {
        let fields = || cache.split(',').filter_map(|field| field.split_once('='));
        let field = |name: &str| fields().find(|(key, _)| *key == name).map(|(_, value)| value);
        field("ref").filter(|_| field("type") == Some("registry"))?
    } else {
        cache
    };
    let tag = name.rfind(':').filter(|at| !name[*at..].contains('/'));
    Some(name[..tag.unwrap_or(name.len())].to_owned())
}

/// What podman cannot do of a build.
pub(crate) fn lacks(spec: &BuildSpec) -> Vec<Lack> {
    let mut lacks = Vec::new();
    let isolations = ["default", "oci", "chroot", "rootless"];
    let isolation = spec.isolation.as_deref();
    for (is, attribute, why) in [
        (
            spec.privileged,
            "build.privileged",
            "Podman builds with no privileges but those of its own settings",
        ),
        (
            isolation.is_some_and(|isolation| !isolations.contains(&isolation)),
            "build.isolation",
            "only Windows has it; Podman has oci, chroot and rootless",
        ),
        (spec.platforms.len() > 1, "build.platforms", "an image is of one platform here; name one"),
        (
            spec.entitlements.iter().any(|one| one != "network.host"),
            "build.entitlements",
            "Podman knows none",
        ),
    ] {
        if is {
            lacks.push(Lack::refused(attribute, why));
        }
    }
    let other_caches = |caches: &[String]| caches.iter().any(|cache| repository(cache).is_none());
    let is_wanted = |what: &Option<String>| what.as_deref().is_some_and(|value| value != "false");
    for (is, attribute, why) in [
        (other_caches(&spec.cache_from), "build.cache_from", "Podman has caches in registries alone"),
        (other_caches(&spec.cache_to), "build.cache_to", "Podman has caches in registries alone"),
        (is_wanted(&spec.provenance), "build.provenance", "Podman records none"),
        (is_wanted(&spec.sbom), "build.sbom", "Podman records none"),
    ] {
        if is {
            lacks.push(Lack::warned(attribute, why));
        }
    }
    lacks
}

/// One line that podman prints.
enum Line {
    Out(String),
    Err(String),
}

/// A build that runs. Dropped before its end, it is ended.
struct Running {
    /// Until it has ended.
    group: Option<Group>,
    lines: BoxStream<'static, Line>,
    /// Whoever tidies up after builds that were dropped.
    tidying: TaskTracker,
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(group) = self.group.take() else { return };
        // Podman does not end what a `RUN` runs when it is killed, and leaves the container that it builds in. So that is
        // ended, and podman left to tidy up and end for it.
        if let (true, Ok(runtime)) = (end_what_it_runs(&group), tokio::runtime::Handle::try_current()) {
            let lines = std::mem::replace(&mut self.lines, stream::empty().boxed());
            self.tidying.spawn_on(tidy(group, lines), &runtime);
        }
    }
}

/// Waits until podman has ended for what it ran was, and kills it if it does not.
async fn tidy(mut group: Group, lines: BoxStream<'static, Line>) {
    let drained = lines.for_each(|_| async {});
    let ended = async {
        loop {
            if timeout(TIDYING_PAUSE, group.child.wait()).await.is_ok() {
                return;
            }
            end_what_it_runs(&group);
        }
    };
    let _ = timeout(TIDYING, async { tokio::join!(drained, ended) }).await;
    end_what_it_runs(&group);
}

/// Kills the processes that podman runs in containers: those that come from it and are not of its group. Whether there may be any on this
/// computer.
fn end_what_it_runs(group: &Group) -> bool {
    #[cfg(target_os = "linux")]
    if let Some(podman) = group.child.id().and_then(|id| i32::try_from(id).ok()) {
        for process in processes::of(podman) {
            if let Some(pid) = rustix::process::Pid::from_raw(process) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
        return true;
    }
    let _ = group;
    false
}

#[cfg(target_os = "linux")]
mod processes {
    use std::fs;

    /// A process, its parent and its group.
    pub(super) fn read(stat: &str) -> Option<(i32, i32, i32)> {
        let (pid, _) = stat.split_once(' ')?;
        // The name may have anything in it.
        let mut rest = stat.rsplit_once(") ")?.1.split(' ').skip(1).map(str::parse);
        Some((pid.parse().ok()?, rest.next()?.ok()?, rest.next()?.ok()?))
    }

    /// The processes that come from that one, which leads a group, and are not of the group.
    pub(super) fn of(leader: i32) -> Vec<i32> {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let stats = entries.filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok());
        let all: Vec<(i32, i32, i32)> = stats.filter_map(|stat| read(&stat)).collect();
        let mut family = vec![leader];
        let mut next = 0;
        while let Some(parent) = family.get(next).copied() {
            family.extend(all.iter().filter(|(_, of, _)| *of == parent).map(|(pid, ..)| *pid));
            next += 1;
        }
        let is_apart = |pid: &i32| all.iter().any(|(one, _, group)| one == pid && *group != leader);
        family.into_iter().filter(is_apart).collect()
    }
}

fn lines(pipe: impl AsyncRead + Send + Unpin + 'static) -> impl Stream<Item = String> + Send {
    stream::unfold(BufReader::new(pipe), |mut pipe| async {
        let mut line = Vec::new();
        let more = read_line(&mut pipe, &mut line, MAX_LINE).await;
        more.then(|| (String::from_utf8_lossy(&line).trim_end().to_owned(), pipe))
    })
}

/// Builds an image. However long a step is silent, it is not ended before somebody no longer wants it. Dropped, what it was at is
/// cleared away by a task of `tidying`.
pub(crate) async fn build(
    podman: &Podman,
    tidying: &TaskTracker,
    spec: &BuildSpec,
    progress: &Progress,
) -> Result<ImageId> {
    let ignore_file = spec.dockerignore().filter(|path| !path.ends_with(".dockerignore"));
    let ignore_file = ignore_file.map(|path| path.display().to_string());
    let mut group = podman.spawn(&command(spec, ignore_file.as_deref()))?;
    let (Some(out), Some(err)) = (group.child.stdout.take(), group.child.stderr.take()) else {
        return Err(Error::InvalidProject("podman was started without its pipes".into()));
    };
    let stdin = group.child.stdin.take();
    let lines = stream::select(lines(out).map(Line::Out), lines(err).map(Line::Err)).boxed();
    let mut running = Running { group: Some(group), lines, tidying: tidying.clone() };
    let feed = async move {
        if let (Some(mut stdin), Dockerfile::Inline(text)) = (stdin, &spec.dockerfile) {
            // One that has ended reads no more; what it says of that counts.
            let _ = stdin.write_all(text.as_bytes()).await;
        }
    };
    let mut log = BuildLog::new(spec);
    // The last line of stdout is the image's id, when all went well; podman's own error is a line of stderr.
    let (mut last, mut error) = (String::new(), None);
    let read = async {
        while let Some(line) = running.lines.next().await {
            match line {
                Line::Out(line) => {
                    if let Some(step) = log.line(&line) {
                        let phase = Phase::Step { work: Work::Build, step };
                        progress.report(Subject::Image(spec.image.clone()), phase);
                    }
                    if !line.is_empty() {
                        last = line;
                    }
                }
                Line::Err(line) => match line.strip_prefix("Error: ") {
                    Some(own) => error = Some(own.to_owned()),
                    None => drop(log.line(&line)),
                },
            }
        }
    };
    tokio::join!(feed, read);
    let status = match &mut running.group {
        Some(group) => group.child.wait().await.map_err(|error| unexpected("build", error))?,
        None => return Err(unexpected("build", "an end before its beginning")),
    };
    running.group = None;
    if !status.success() {
        return Err(failed(log, error, status));
    }
    match last.as_str() {
        id if id.len() >= 64 => Ok(ImageId::new(id)),
        other => Err(unexpected("build", format!("{other:?} where the image's id should be"))),
    }
}

fn failed(log: BuildLog<'_>, error: Option<String>, status: ExitStatus) -> Error {
    match (error, status.code()) {
        (Some(error), code) if error.contains("unable to connect to Podman") => {
            let (stderr, command) = (vec![format!("Error: {error}")], "podman build".into());
            let finished = Finished { exit_code: code, stdout: Vec::new(), stderr, command };
            explain(&finished, failure::Subject { kind: ResourceKind::Image, name: "" })
        }
        (Some(error), _) => log.failed(&error),
        (None, Some(code)) => log.failed(&format!("podman ended with exit code {code}")),
        (None, None) => log.failed("podman was ended by a signal"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caches_are_repositories() {
        assert_eq!(repository("host:5000/a/b:tag").as_deref(), Some("host:5000/a/b"));
        assert_eq!(repository("type=registry,ref=a/b").as_deref(), Some("a/b"));
        assert_eq!(repository("type=local,src=x"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_is_read_whatever_its_name() {
        assert_eq!(processes::read("12 (a) b) (c) S 3 4 5 0"), Some((12, 3, 4)));
        assert_eq!(processes::read("12"), None);
    }
}
