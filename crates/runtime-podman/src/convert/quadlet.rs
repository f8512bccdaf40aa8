//! Units of Quadlet, which systemd runs by podman: the keys of podman-systemd.unit(5) as Podman 5 has them.

use std::collections::{BTreeMap, BTreeSet};

use compose_file::{
    Build, BuildContext, Condition, Hidden, Limit, Namespace, NetworkMode, Project, PullPolicy,
    RestartPolicy, Service, Ulimit,
};
use runtime_core::{
    ContainerSpec, MountSourceSpec, MountsFrom, NetworkSpec, ResourceName, Result, Share, VolumeSpec,
};

use super::{Converted, ConvertedFile, Gaps, Outline, Piece, exec_words, of_service, unit::Unit};
use crate::create;

const CONTAINER: &str = "Container";
const UNIT: &str = "Unit";
const SERVICE: &str = "Service";

/// How long an image may take to be pulled before its container starts, and a container to become healthy, in seconds.
const START: &str = "900";
/// What systemd waits beyond a grace period, so that podman is not ended while it ends the container.
const BEYOND_GRACE: u128 = 10;

/// The keys of flags whose value is the rest of the line.
const LINES: &[(&str, &str)] = &[
    ("--name", "ContainerName"),
    ("--publish", "PublishPort"),
    ("--volume", "Volume"),
    ("--tmpfs", "Tmpfs"),
    ("--network", "Network"),
    ("--expose", "ExposeHostPort"),
    ("--dns", "DNS"),
    ("--dns-option", "DNSOption"),
    ("--dns-search", "DNSSearch"),
    ("--group-add", "GroupAdd"),
    ("--add-host", "AddHost"),
    ("--ulimit", "Ulimit"),
    ("--log-driver", "LogDriver"),
    ("--userns", "UserNS"),
    ("--shm-size", "ShmSize"),
    ("--pids-limit", "PidsLimit"),
    ("--health-cmd", "HealthCmd"),
    ("--health-interval", "HealthInterval"),
    ("--health-timeout", "HealthTimeout"),
    ("--health-retries", "HealthRetries"),
    ("--health-start-period", "HealthStartPeriod"),
    ("--stop-signal", "StopSignal"),
    ("--stop-timeout", "StopTimeout"),
    ("--hostname", "HostName"),
    ("--workdir", "WorkingDir"),
    ("--user", "User"),
    ("--entrypoint", "Entrypoint"),
];

/// The keys of flags whose value is read as words.
const WORDS: &[(&str, &str)] = &[
    ("--label", "Label"),
    ("--annotation", "Annotation"),
    ("--sysctl", "Sysctl"),
    ("--mount", "Mount"),
    ("--log-opt", "LogOpt"),
    ("--device", "AddDevice"),
    ("--cap-add", "AddCapability"),
    ("--cap-drop", "DropCapability"),
];

/// What a flag without a value is.
const SWITCHES: &[(&str, &str, &str)] = &[
    ("--init", "RunInit", "true"),
    ("--read-only", "ReadOnly", "true"),
    ("--no-healthcheck", "HealthCmd", "none"),
];

/// The flags whose value is the next word.
const APART: [&str; 6] = ["--name", "--label", "--publish", "--volume", "--tmpfs", "--mount"];

/// The project as units of Quadlet (Podman 5): a `.container` for each container of the services that are named and of those that they
/// depend on, all if none is, and the networks, volumes and builds that they need.
///
/// # Errors
/// As of [`runtime_core::plan_up`].
pub fn quadlet(project: &Project, services: &BTreeSet<String>) -> Result<Converted> {
    let mut outline = Outline::of(project, services)?;
    let mut gaps = std::mem::take(&mut outline.gaps);
    let mut files = Vec::new();
    let mut units = Units::default();
    for (key, spec) in &outline.networks {
        let name = format!("{}-{key}.network", project.name);
        files.push(file(&name, &network(spec)));
        units.networks.insert(spec.name.as_str().to_owned(), name);
    }
    for (key, spec) in &outline.volumes {
        let name = format!("{}-{key}.volume", project.name);
        files.push(file(&name, &volume(spec)));
        units.volumes.insert(spec.name.as_str().to_owned(), name);
    }
    let mut built = BTreeSet::new();
    for piece in &outline.pieces {
        let service = piece.service;
        let Some(recipe) = &service.build else { continue };
        if !service.is_only_built() {
            gaps.tell(&of_service(&service.name), "build", "the image that it names is pulled");
        } else if built.insert(&service.name) {
            let stem = format!("{}-{}", project.name, service.name);
            files.push(file(&format!("{stem}.build"), &build(service, recipe, &mut gaps)));
        }
    }
    for piece in &outline.pieces {
        let unit = container(project, &outline, piece, &units, &mut gaps)?;
        files.push(file(&format!("{}.container", stem(project, piece)), &unit));
    }
    outline.gaps = gaps;
    Ok(outline.into_converted(files))
}

/// The files of networks and volumes, by their names on the engine.
#[derive(Debug, Default)]
struct Units {
    networks: BTreeMap<String, String>,
    volumes: BTreeMap<String, String>,
}

impl Units {
    /// What a container is on and mounts, by the names of the files that make it.
    fn refer(&self, spec: &mut ContainerSpec) -> Result<()> {
        for attachment in &mut spec.networks {
            if let Some(file) = self.networks.get(attachment.network.as_str()) {
                attachment.network = ResourceName::network(file.clone())?;
            }
        }
        for mount in &mut spec.mounts {
            if let MountSourceSpec::Volume { name, .. } = &mut mount.source
                && let Some(file) = self.volumes.get(name.as_str())
            {
                *name = ResourceName::volume(file.clone())?;
            }
        }
        Ok(())
    }
}

fn file(name: &str, unit: &Unit) -> ConvertedFile {
    ConvertedFile { name: name.to_owned(), text: Hidden(unit.text()) }
}

/// The name of a container's unit, without what follows the dot.
fn stem(project: &Project, piece: &Piece<'_>) -> String {
    let name = format!("{}-{}", project.name, piece.service.name);
    if piece.service.scale > 1 { format!("{name}-{}", piece.number) } else { name }
}

/// Podman's words, as keys of a section where there are some.
struct Keys<'u> {
    unit: &'u mut Unit,
    section: &'static str,
}

impl Keys<'_> {
    fn flag(&mut self, flag: &str, value: Option<&str>) {
        let key = |all: &[(&'static str, &'static str)]| {
            all.iter().find(|(name, _)| *name == flag).map(|(_, key)| *key)
        };
        // Quadlet 5.4 ends in a panic where a mount has no source.
        let is_anonymous = flag == "--mount" && value.is_some_and(|value| !value.contains(",source="));
        match (key(LINES), key(WORDS).filter(|_| !is_anonymous), value) {
            (Some(key), _, Some(value)) if self.unit.line(self.section, key, value) => {}
            (_, Some(key), Some(value)) => self.unit.words(self.section, key, [value]),
            (_, _, Some(value)) => self.unit.words(self.section, "PodmanArgs", [format!("{flag}={value}")]),
            (_, _, None) => match SWITCHES.iter().find(|(name, ..)| *name == flag) {
                Some((_, key, value)) => {
                    self.unit.line(self.section, key, value);
                }
                None => self.unit.words(self.section, "PodmanArgs", [flag]),
            },
        }
    }
}

fn container(
    project: &Project,
    outline: &Outline<'_>,
    piece: &Piece<'_>,
    units: &Units,
    gaps: &mut Gaps,
) -> Result<Unit> {
    let service = piece.service;
    let of = of_service(&service.name);
    let mut unit = Unit::default();
    unit.line(UNIT, "Description", &format!("{} of {}", service.name, project.name));
    depend(project, outline, piece, &mut unit);
    let is_job = outline.is_awaited(&service.name, Condition::ServiceCompletedSuccessfully);

    let mut spec = piece.creation.spec.clone();
    units.refer(&mut spec)?;
    let environment = std::mem::take(&mut spec.environment);
    let restart = std::mem::take(&mut spec.restart);
    for (share, place) in &piece.shares {
        let Some(other) = outline.pieces.get(*place) else { continue };
        let name = other.creation.final_name.clone();
        match share {
            Share::Network => {
                spec.network_mode = Some(NetworkMode::Other(format!("{}.container", stem(project, other))));
            }
            Share::Ipc => spec.namespaces.ipc = Some(Namespace::Container(name)),
            Share::Pid => spec.namespaces.pid = Some(Namespace::Container(name)),
            Share::Uts => spec.namespaces.uts = Some(Namespace::Container(name)),
            Share::Mounts { writable } => {
                spec.volumes_from.push(MountsFrom { container: name, writable: *writable });
            }
            _ => gaps.tell(&of, "shares", "Podman does not share it"),
        }
    }

    if service.is_only_built() {
        unit.line(CONTAINER, "Image", &format!("{}-{}.build", project.name, service.name));
    } else {
        unit.line(CONTAINER, "Image", &image(&spec.image));
    }
    match service.pull_policy {
        PullPolicy::Always => unit.line(CONTAINER, "Pull", "always"),
        PullPolicy::Never => unit.line(CONTAINER, "Pull", "never"),
        _ => true,
    };
    let words = create::container(&spec, "IMAGE", create::Then::Nothing).into_words();
    let mut words = words.iter().map(String::as_str);
    // What is before podman's verb is for podman itself.
    for word in words.by_ref().take_while(|word| *word != "create") {
        unit.words(CONTAINER, "GlobalArgs", [word]);
    }
    while let Some(word) = words.next() {
        let mut keys = Keys { unit: &mut unit, section: CONTAINER };
        match word {
            // Quadlet's own.
            "--pull=never" => {}
            "--" => break,
            flag if APART.contains(&flag) => keys.flag(flag, words.next()),
            word => match word.split_once('=') {
                Some((flag, value)) => keys.flag(flag, Some(value)),
                None => keys.flag(word, None),
            },
        }
    }
    for (key, value) in &environment {
        unit.words(CONTAINER, "Environment", [format!("{key}={value}")]);
    }
    for given in &piece.files {
        let name = format!("{}_{}", project.name, given.key);
        let file = &given.file;
        let options =
            format!("{name},target={},uid={},gid={},mode={:04o}", file.target, file.uid, file.gid, file.mode);
        if file.target.contains(',') {
            gaps.tell(
                &of,
                given.kind,
                format!("podman takes no path with a comma, like that of {:?}", given.key),
            );
            continue;
        }
        unit.words(CONTAINER, "Secret", [options]);
        let why = format!("{:?} is not written: make it by `podman secret create {name} -`", given.key);
        gaps.tell(&of, given.kind, why);
    }
    // After the image, which the generator puts there itself.
    let command: Vec<&str> = words.skip(1).collect();
    if !command.is_empty() {
        unit.words(CONTAINER, "Exec", command);
    }
    if outline.is_awaited(&service.name, Condition::ServiceHealthy) && !is_job {
        unit.line(CONTAINER, "Notify", "healthy");
    }
    serve(piece, restart, is_job, &mut unit, gaps);
    Ok(unit)
}

/// What systemd does with the container's unit.
fn serve(piece: &Piece<'_>, restart: RestartPolicy, is_job: bool, unit: &mut Unit, gaps: &mut Gaps) {
    let service = piece.service;
    let of = of_service(&service.name);
    let creation = &piece.creation;
    for path in &creation.host_paths {
        // It may be a file that is there.
        unit.words(SERVICE, "ExecStartPre", ["-mkdir", "-p", &path.to_string_lossy()]);
    }
    if is_job {
        unit.line(SERVICE, "Type", "oneshot");
        unit.line(SERVICE, "RemainAfterExit", "yes");
    } else {
        unit.line(SERVICE, "TimeoutStartSec", START);
    }
    let hooks = [
        ("post_start", "ExecStartPost", "podman", &service.post_start),
        ("pre_stop", "ExecStop", "-podman", &service.pre_stop),
    ];
    for (attribute, key, podman, hooks) in hooks {
        if is_job && !hooks.is_empty() {
            gaps.tell(&of, attribute, "what waits for its end finds no container any more");
            continue;
        }
        for hook in hooks {
            let words = exec_words(hook, &creation.final_name);
            unit.words(SERVICE, key, [podman.to_owned()].into_iter().chain(words));
        }
    }
    if let Some(grace) = creation.spec.stop_grace_period {
        let seconds = grace.as_millis().div_ceil(1000) + BEYOND_GRACE;
        unit.line(SERVICE, "TimeoutStopSec", &seconds.to_string());
    }
    let policy = match restart {
        RestartPolicy::No => return,
        RestartPolicy::Always | RestartPolicy::UnlessStopped if is_job => {
            gaps.tell(&of, "restart", "systemd does not start what is waited for until it ends again");
            return;
        }
        RestartPolicy::Always | RestartPolicy::UnlessStopped => "always",
        RestartPolicy::OnFailure(_) => "on-failure",
    };
    unit.line(SERVICE, "Restart", policy);
    match restart {
        RestartPolicy::OnFailure(Some(times)) => {
            unit.line(UNIT, "StartLimitIntervalSec", "infinity");
            unit.line(UNIT, "StartLimitBurst", &(u64::from(times) + 1).to_string());
        }
        _ => {
            // systemd gives up after five starts in ten seconds unless it is told otherwise.
            unit.line(UNIT, "StartLimitIntervalSec", "0");
            unit.line(SERVICE, "RestartSec", "1");
        }
    }
    if policy == "always" {
        unit.line("Install", "WantedBy", "default.target");
    }
}

/// What is started before. That it has started is enough, unless it says itself when it has: then it is healthy, or has ended.
fn depend(project: &Project, outline: &Outline<'_>, piece: &Piece<'_>, unit: &mut Unit) {
    let named = piece.service.depends_on.iter().map(|(name, dependency)| (name.as_str(), Some(dependency)));
    let shared = piece.shares.iter().filter_map(|(_, place)| outline.pieces.get(*place));
    let shared = shared.map(|other| (other.service.name.as_str(), None));
    let mut seen = BTreeSet::new();
    for (name, dependency) in named.chain(shared) {
        if !seen.insert(name) {
            continue;
        }
        for other in outline.of_name(name) {
            let other = format!("{}.service", stem(project, other));
            let is_required = dependency.is_none_or(|dependency| dependency.required);
            unit.words(UNIT, if is_required { "Requires" } else { "Wants" }, [&other]);
            unit.words(UNIT, "After", [&other]);
            if dependency.is_some_and(|dependency| dependency.restart) && !is_required {
                unit.words(UNIT, "PartOf", [&other]);
            }
        }
    }
}

/// The name by which podman pulls it without asking which registry is meant.
pub(super) fn image(reference: &str) -> String {
    create::image_names(reference).into_iter().next().unwrap_or_else(|| reference.to_owned())
}

fn labels(unit: &mut Unit, section: &'static str, labels: &BTreeMap<String, String>) {
    for (key, value) in labels {
        unit.words(section, "Label", [format!("{key}={value}")]);
    }
}

fn network(spec: &NetworkSpec) -> Unit {
    const SECTION: &str = "Network";
    let mut unit = Unit::default();
    unit.line(SECTION, "NetworkName", spec.name.as_str());
    let words = create::network(spec).into_words();
    let mut words = words.iter().map(String::as_str);
    while let Some(word) = words.next() {
        match word {
            "network" | "create" => {}
            "--" => break,
            "--internal" => _ = unit.line(SECTION, "Internal", "true"),
            "--ipv6" => _ = unit.line(SECTION, "IPv6", "true"),
            "--label" => unit.words(SECTION, "Label", words.next()),
            "--opt" => unit.words(SECTION, "Options", words.next()),
            word => {
                let key = word.split_once('=').and_then(|(flag, value)| {
                    let keys = [
                        ("--driver", "Driver"),
                        ("--ipam-driver", "IPAMDriver"),
                        ("--subnet", "Subnet"),
                        ("--gateway", "Gateway"),
                        ("--ip-range", "IPRange"),
                    ];
                    keys.into_iter().find(|(name, _)| *name == flag).map(|(_, key)| (key, value))
                });
                if !key.is_some_and(|(key, value)| unit.line(SECTION, key, value)) {
                    unit.words(SECTION, "PodmanArgs", [word]);
                }
            }
        }
    }
    unit
}

fn volume(spec: &VolumeSpec) -> Unit {
    const SECTION: &str = "Volume";
    let mut unit = Unit::default();
    unit.line(SECTION, "VolumeName", spec.name.as_str());
    let words = create::volume(spec).into_words();
    let mut words = words.iter().map(String::as_str);
    while let Some(word) = words.next() {
        match word {
            "volume" | "create" => {}
            "--" => break,
            "--label" => unit.words(SECTION, "Label", words.next()),
            "--opt" => {
                unit.words(SECTION, "PodmanArgs", words.next().map(|option| format!("--opt={option}")))
            }
            word => {
                let driver = word.strip_prefix("--driver=");
                if !driver.is_some_and(|driver| unit.line(SECTION, "Driver", driver)) {
                    unit.words(SECTION, "PodmanArgs", [word]);
                }
            }
        }
    }
    unit
}

fn build(service: &Service, recipe: &Build, gaps: &mut Gaps) -> Unit {
    const SECTION: &str = "Build";
    let of = of_service(&service.name);
    let mut unit = Unit::default();
    for tag in std::iter::once(&service.image).chain(&recipe.tags) {
        // What is built here is nobody else's.
        let tag = if tag.contains('/') { image(tag) } else { image(&format!("localhost/{tag}")) };
        unit.line(SECTION, "ImageTag", &tag);
    }
    let dockerfile = recipe.dockerfile.as_deref();
    let line = match &recipe.context {
        BuildContext::Folder(folder) => {
            let path = |path: &std::path::Path| path.to_string_lossy().into_owned();
            let file = dockerfile.is_none_or(|name| unit.line(SECTION, "File", &path(&folder.join(name))));
            unit.line(SECTION, "SetWorkingDirectory", &path(folder)) && file
        }
        BuildContext::Elsewhere(url) if !url.starts_with("docker-image:") && !url.starts_with("service:") => {
            let file = dockerfile
                .filter(|name| *name != "Dockerfile")
                .is_none_or(|name| unit.line(SECTION, "File", name));
            unit.line(SECTION, "SetWorkingDirectory", url) && file
        }
        _ => false,
    };
    if !line {
        gaps.tell(&of, "build.context", "Podman builds from folders, repositories and archives");
    }
    labels(&mut unit, SECTION, &recipe.labels);
    for (key, value) in [("Target", &recipe.target), ("Network", &recipe.network)] {
        if let Some(value) = value {
            unit.line(SECTION, key, value);
        }
    }
    if recipe.pull {
        unit.line(SECTION, "Pull", "always");
    }
    let limit = |limit: &Limit| match limit {
        Limit::At(number) => number.to_string(),
        Limit::Unlimited => "-1".to_owned(),
    };
    let mut more: Vec<String> = Vec::new();
    more.extend(recipe.args.iter().map(|(key, value)| format!("--build-arg={key}={value}")));
    more.extend(recipe.cache_from.iter().map(|from| format!("--cache-from={from}")));
    more.extend(recipe.cache_to.iter().map(|to| format!("--cache-to={to}")));
    more.extend(recipe.extra_hosts.iter().map(|(host, address)| format!("--add-host={host}:{address}")));
    more.extend(recipe.shm_size.map(|size| format!("--shm-size={}b", size.0)));
    more.extend(recipe.no_cache.then(|| "--no-cache".to_owned()));
    more.extend(recipe.ssh.iter().map(|key| match &key.path {
        Some(path) => format!("--ssh={}={path}", key.id),
        None => format!("--ssh={}", key.id),
    }));
    more.extend(recipe.ulimits.iter().filter_map(|(name, ulimit)| match ulimit {
        Ulimit::Both(both) => Some(format!("--ulimit={name}={}", limit(both))),
        Ulimit::Apart { soft, hard } => Some(format!("--ulimit={name}={}:{}", limit(soft), limit(hard))),
        _ => None,
    }));
    for (name, context) in &recipe.additional_contexts {
        match context {
            BuildContext::Folder(folder) => more.push(format!("--build-context={name}={}", folder.display())),
            BuildContext::Elsewhere(url) if url.starts_with("service:") => {
                gaps.tell(&of, "build.additional_contexts", "Podman builds from no other service's image");
            }
            BuildContext::Elsewhere(url) => more.push(format!("--build-context={name}={url}")),
            _ => {}
        }
    }
    if !recipe.platforms.is_empty() {
        more.push(format!("--platform={}", recipe.platforms.join(",")));
    }
    for word in more {
        unit.words(SECTION, "PodmanArgs", [word]);
    }
    gaps.tell_each(
        &of,
        [
            (recipe.dockerfile_inline.is_some(), "build.dockerfile_inline", "put it into a file"),
            (!recipe.entitlements.is_empty(), "build.entitlements", "Podman has none"),
            (recipe.provenance.is_some(), "build.provenance", "Podman records none"),
            (
                recipe.sbom.is_some(),
                "build.sbom",
                "Podman scans in another way: see `--sbom` of podman build",
            ),
            (recipe.isolation.is_some(), "build.isolation", "it is for Windows"),
            (recipe.privileged, "build.privileged", "Podman's builds have no such privileges"),
            (!recipe.secrets.is_empty(), "build.secrets", "name each in `Secret=` of the unit, by its file"),
        ],
    );
    unit
}
