//! Kubernetes' YAML, as far as `podman kube play` runs it (podman-kube-play(1)): a pod for each container, by whose name it is found.
//!
//! Of a container's specification all that YAML can say is taken out; what podman would have been told of the rest is unsaid.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use compose_file::{
    Condition, HealthTest, Healthcheck, Hidden, Namespace, NetworkMode, Project, PullPolicy, Recursive,
    RestartPolicy, yaml,
};
use runtime_core::{ContainerSpec, MountSourceSpec, MountSpec, Result, Share, VolumeSpec};
use serde_json::{Map, Value, json};

use super::{Converted, ConvertedFile, Gaps, Outline, Piece, of_service, quadlet::image, unit::quoted};
use crate::create;

/// What compose and podman take where nothing is said; Kubernetes has other numbers.
const CHECKED_EVERY: u64 = 30;
const FAILURES: u32 = 3;
/// Where secrets are files beside each other, and nothing else is.
const SECRETS: &str = "/run/secrets";

/// The attributes of podman's flags, where they are not called alike.
const ATTRIBUTES: &[(&str, &str)] = &[
    ("add-host", "extra_hosts"),
    ("annotation", "annotations"),
    ("cap-add", "cap_add"),
    ("cgroupns", "cgroup"),
    ("cpuset-cpus", "cpuset"),
    ("device", "devices"),
    ("device-cgroup-rule", "device_cgroup_rules"),
    ("device-read-bps", "blkio_config.device_read_bps"),
    ("device-read-iops", "blkio_config.device_read_iops"),
    ("device-write-bps", "blkio_config.device_write_bps"),
    ("device-write-iops", "blkio_config.device_write_iops"),
    ("blkio-weight", "blkio_config.weight"),
    ("blkio-weight-device", "blkio_config.weight_device"),
    ("dns-option", "dns_opt"),
    ("env", "environment"),
    ("interactive", "stdin_open"),
    ("log-driver", "logging.driver"),
    ("log-opt", "logging.options"),
    ("memory", "mem_limit"),
    ("memory-reservation", "mem_reservation"),
    ("memory-swap", "memswap_limit"),
    ("memory-swappiness", "mem_swappiness"),
    ("mount", "volumes"),
    ("network", "networks"),
    ("pids-limit", "pids_limit"),
    ("publish", "ports"),
    ("stop-timeout", "stop_grace_period"),
    ("sysctl", "sysctls"),
    ("ulimit", "ulimits"),
    ("userns", "userns_mode"),
    ("volume", "volumes"),
    ("workdir", "working_dir"),
];

/// The project as one file of Kubernetes' YAML that `podman kube play` runs: the services that are named and those that they depend on,
/// all if none is. The file begins with the commands that play it.
///
/// # Errors
/// As of [`runtime_core::plan_up`].
pub fn kube(project: &Project, services: &BTreeSet<String>) -> Result<Converted> {
    let mut outline = Outline::of(project, services)?;
    let mut gaps = std::mem::take(&mut outline.gaps);
    let name = format!("{}.yaml", project.name);
    let mut documents: Vec<Value> = outline.volumes.iter().map(|(_, spec)| claim(spec, &mut gaps)).collect();
    let mut names = BTreeSet::new();
    let mut bodies = Vec::new();
    for group in groups(&outline) {
        let Some(main) = outline.pieces.get(group.main) else { continue };
        let mut pod = Pod::new(project, pod_name(main, &mut names, &mut gaps));
        for (role, place) in group.members() {
            let Some(piece) = outline.pieces.get(place) else { continue };
            pod.add(role, piece, &group, &mut gaps);
        }
        documents.append(&mut pod.objects);
        bodies.push(pod.finish());
    }
    documents.append(&mut bodies);
    for piece in &outline.pieces {
        order(piece, &outline, &mut gaps);
    }
    let mut text = heading(project, &outline, &name, &mut gaps);
    for document in &documents {
        text.push_str("---\n");
        text.push_str(&yaml(document));
    }
    outline.gaps = gaps;
    Ok(outline.into_converted(vec![ConvertedFile { name, text: Hidden(text) }]))
}

/// How the file is played, which it cannot say itself: pods are on the networks that podman is told.
fn heading(project: &Project, outline: &Outline<'_>, name: &str, gaps: &mut Gaps) -> String {
    let mut text = String::new();
    for (_, spec) in &outline.networks {
        let mut spec = spec.clone();
        spec.labels.retain(|key, _| !key.starts_with("com.docker.compose."));
        let words = create::network(&spec).into_words();
        let words: Vec<String> = words.iter().filter(|word| *word != "--").map(|word| quoted(word)).collect();
        text.push_str(&format!("# podman {}\n", words.join(" ")));
    }
    let used: BTreeSet<&str> = outline
        .pieces
        .iter()
        .flat_map(|piece| &piece.creation.spec.networks)
        .map(|attachment| attachment.network.as_str())
        .collect();
    if used.len() > 1 {
        let why = "every pod is on all networks that `podman kube play` is told";
        gaps.tell(&format!("project {:?}", project.name.as_str()), "networks", why);
    }
    let flags: String = used.iter().map(|network| format!("--network {network} ")).collect();
    text.push_str(&format!("# podman kube play {flags}{name}\n"));
    text
}

/// The containers of one pod, by their place among the pieces.
#[derive(Debug)]
struct Group {
    main: usize,
    /// Those that end before the others start.
    first: Vec<usize>,
    /// Those that are on the network of the main one.
    joined: Vec<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Main,
    First,
    Joined,
}

impl Group {
    /// The main one first: what it says of the pod counts.
    fn members(&self) -> impl Iterator<Item = (Role, usize)> + '_ {
        let first = self.first.iter().map(|place| (Role::First, *place));
        let joined = self.joined.iter().map(|place| (Role::Joined, *place));
        [(Role::Main, self.main)].into_iter().chain(first).chain(joined)
    }

    fn has(&self, place: usize) -> bool {
        self.members().any(|(_, member)| member == place)
    }
}

/// The pods, in the order in which podman is to start them. What is waited for until it ends is the first in the pod of the first that
/// waits, because podman starts pods one after the other and waits for nothing else.
fn groups(outline: &Outline<'_>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut pod_of: BTreeMap<usize, usize> = BTreeMap::new();
    let mut jobs: BTreeMap<usize, &Piece<'_>> = BTreeMap::new();
    for (place, piece) in outline.pieces.iter().enumerate() {
        if outline.is_awaited(&piece.service.name, Condition::ServiceCompletedSuccessfully) {
            jobs.insert(place, piece);
            continue;
        }
        let network = piece.shares.iter().find(|(share, _)| *share == Share::Network);
        let pod = match network.and_then(|(_, owner)| pod_of.get(owner)) {
            Some(pod) => {
                groups[*pod].joined.push(place);
                *pod
            }
            None => {
                groups.push(Group { main: place, first: Vec::new(), joined: Vec::new() });
                groups.len() - 1
            }
        };
        pod_of.insert(place, pod);
        let mut open: Vec<&Piece<'_>> = vec![piece];
        let mut taken = Vec::new();
        while let Some(waiting) = open.pop() {
            let awaited = |job: &&Piece<'_>| waiting.service.depends_on.contains_key(&job.service.name);
            let found: Vec<usize> =
                jobs.iter().filter(|(_, job)| awaited(job)).map(|(place, _)| *place).collect();
            for job in found {
                open.extend(jobs.remove(&job));
                taken.push(job);
            }
        }
        // Pieces stand after what they depend on.
        taken.sort_unstable();
        groups[pod].first.extend(taken);
    }
    groups.extend(jobs.into_keys().map(|main| Group { main, first: Vec::new(), joined: Vec::new() }));
    groups
}

/// What the order of pods does not say of a dependency.
fn order(piece: &Piece<'_>, outline: &Outline<'_>, gaps: &mut Gaps) {
    let of = of_service(&piece.service.name);
    for (name, dependency) in &piece.service.depends_on {
        if outline.of_name(name).next().is_none() {
            continue;
        }
        gaps.tell_each(
            &of,
            [
                (
                    dependency.condition == Condition::ServiceHealthy,
                    "depends_on.condition",
                    "podman starts pods one after the other, and waits for none to become healthy",
                ),
                (dependency.restart, "depends_on.restart", "pods are not restarted together"),
                (!dependency.required, "depends_on.required", "a pod that does not start is a failure"),
            ],
        );
    }
}

/// A name as Kubernetes has them: small letters, digits and dashes, not more than 63.
fn dns(text: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = text.chars().map(allowed).take(63).collect();
    let name = name.trim_matches('-');
    if name.is_empty() { "x".to_owned() } else { name.to_owned() }
}

fn pod_name(piece: &Piece<'_>, names: &mut BTreeSet<String>, gaps: &mut Gaps) -> String {
    let service = piece.service;
    let of = of_service(&service.name);
    let mut name = dns(&service.name);
    if service.scale > 1 {
        name = format!("{name}-{}", piece.number);
        gaps.tell(&of, "scale", format!("each pod is found by its own name, like {name}"));
    } else if name != service.name {
        gaps.tell(&of, "name", format!("Kubernetes has no such name: it is found as {name}"));
    }
    while !names.insert(name.clone()) {
        name.push_str("-x");
    }
    name
}

/// A volume, by the name of Kubernetes'.
fn claim(spec: &VolumeSpec, gaps: &mut Gaps) -> Value {
    let of = format!("volume {:?}", spec.name.as_str());
    let mut notes = Map::new();
    notes.extend(spec.driver.iter().map(|driver| ("volume.podman.io/driver".to_owned(), json!(driver))));
    for (key, value) in &spec.driver_opts {
        let note = match key.as_str() {
            "type" => "volume.podman.io/type",
            "device" => "volume.podman.io/device",
            "o" => "volume.podman.io/mount-options",
            _ => {
                gaps.tell(&of, format!("driver_opts.{key}"), "podman knows type, device and o of a claim");
                continue;
            }
        };
        notes.insert(note.to_owned(), json!(value));
    }
    let mut given = spec.labels.clone();
    given.retain(|key, _| !key.starts_with("com.docker.compose."));
    let mut meta = Map::new();
    meta.insert("name".to_owned(), json!(dns(spec.name.as_str())));
    label(&of, &given, &mut meta, &mut notes, gaps);
    put(&mut meta, "annotations", Value::Object(notes));
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": meta,
        // Kubernetes asks for a size; podman has none.
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
    })
}

/// Sets what has something in it.
fn put(map: &mut Map<String, Value>, key: &str, value: Value) {
    let is_empty = match &value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
        _ => false,
    };
    if !is_empty {
        map.insert(key.to_owned(), value);
    }
}

/// Labels as Kubernetes takes them; the others are annotations.
fn label(
    of: &str,
    given: &BTreeMap<String, String>,
    meta: &mut Map<String, Value>,
    notes: &mut Map<String, Value>,
    gaps: &mut Gaps,
) {
    let is_word = |text: &str| {
        let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        text.len() <= 63
            && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
            && (text.is_empty() || (ends(text.chars().next()) && ends(text.chars().last())))
    };
    let is_key = |key: &str| {
        let (prefix, name) = key.split_once('/').unwrap_or(("x", key));
        !name.is_empty() && is_word(name) && is_word(prefix)
    };
    let mut labels = match meta.remove("labels") {
        Some(Value::Object(labels)) => labels,
        _ => Map::new(),
    };
    for (key, value) in given {
        match (is_key(key), is_word(value)) {
            (true, true) => _ = labels.insert(key.clone(), json!(value)),
            (true, false) => {
                notes.insert(key.clone(), json!(value));
                gaps.tell(
                    of,
                    format!("labels.{key}"),
                    "it is an annotation: Kubernetes has no such value of a label",
                );
            }
            (false, _) => gaps.tell(of, format!("labels.{key}"), "Kubernetes has no label of that name"),
        }
    }
    put(meta, "labels", Value::Object(labels));
}

/// A pod that is being written.
struct Pod {
    project: String,
    name: String,
    meta: Map<String, Value>,
    notes: Map<String, Value>,
    spec: Map<String, Value>,
    security: Map<String, Value>,
    volumes: Vec<Value>,
    containers: Vec<Value>,
    first: Vec<Value>,
    /// Secrets and configs, which must be there before it.
    objects: Vec<Value>,
}

impl Pod {
    fn new(project: &Project, name: String) -> Self {
        let mut meta = Map::new();
        meta.insert("name".to_owned(), json!(name));
        Self {
            project: project.name.to_string(),
            name,
            meta,
            notes: Map::new(),
            spec: Map::new(),
            security: Map::new(),
            volumes: Vec::new(),
            containers: Vec::new(),
            first: Vec::new(),
            objects: Vec::new(),
        }
    }

    /// Puts a container into it.
    fn add(&mut self, role: Role, piece: &Piece<'_>, group: &Group, gaps: &mut Gaps) {
        let service = piece.service;
        let of = of_service(&service.name);
        let mut rest = piece.creation.spec.clone();
        rest.labels.clear();
        if role == Role::Main {
            self.of_pod(piece, &mut rest, gaps);
        } else {
            let why = "it is in the pod of another service, whose labels the pod has";
            gaps.tell_each(&of, [(!service.labels.is_empty(), "labels", why)]);
            rest.networks.clear();
            let own = std::mem::take(&mut rest.restart);
            let is_podmans = match role {
                Role::First => own == RestartPolicy::No,
                _ => self.spec.get("restartPolicy") == Some(&json!(restart_policy(own))),
            };
            let why = "it is in the pod of another service, whose policy counts";
            gaps.tell_each(&of, [(!is_podmans, "restart", why)]);
        }
        for (share, place) in &piece.shares {
            match share {
                Share::Network | Share::Ipc | Share::Uts if group.has(*place) => {}
                Share::Pid if group.has(*place) => {
                    self.spec.insert("shareProcessNamespace".to_owned(), json!(true));
                }
                Share::Network => gaps.tell(&of, "network_mode", "it is the network of another pod"),
                Share::Ipc => gaps.tell(&of, "ipc", "it is that of another pod"),
                Share::Uts => gaps.tell(&of, "uts", "it is that of another pod"),
                Share::Pid => gaps.tell(&of, "pid", "it is that of another pod"),
                _ => gaps.tell(&of, "volumes_from", "name the volumes in each service"),
            }
        }
        let container = self.container(role, piece, rest, gaps);
        match role {
            Role::First => self.first.push(container),
            _ => self.containers.push(container),
        }
    }

    /// What a pod has once, from its main container.
    fn of_pod(&mut self, piece: &Piece<'_>, rest: &mut ContainerSpec, gaps: &mut Gaps) {
        let service = piece.service;
        let of = of_service(&service.name);
        self.meta.insert(
            "labels".to_owned(),
            json!({ "app.kubernetes.io/name": dns(&service.name), "app.kubernetes.io/part-of": self.project }),
        );
        label(&of, &service.labels, &mut self.meta, &mut self.notes, gaps);
        let notes = std::mem::take(&mut rest.keeping.annotations);
        self.notes.extend(notes.into_iter().map(|(key, value)| (key, json!(value))));

        let restart = std::mem::take(&mut rest.restart);
        if let RestartPolicy::OnFailure(Some(_)) = restart {
            gaps.tell(&of, "restart", "it is restarted as often as it fails");
        }
        let spec = &mut self.spec;
        put(spec, "restartPolicy", json!(restart_policy(restart)));
        put(spec, "hostname", json!(rest.hostname.take()));
        let grace = rest.stop_grace_period.take().map(|grace| grace.as_millis().div_ceil(1000) as u64);
        put(spec, "terminationGracePeriodSeconds", json!(grace));
        if let Some(NetworkMode::Host) = rest.network_mode {
            rest.network_mode = None;
            put(spec, "hostNetwork", json!(true));
        }
        for (namespace, key) in [(&mut rest.namespaces.pid, "hostPID"), (&mut rest.namespaces.ipc, "hostIPC")]
        {
            if *namespace == Some(Namespace::Host) {
                *namespace = None;
                put(spec, key, json!(true));
            }
        }
        if rest
            .network_mode
            .take_if(|mode| {
                matches!(
                    mode,
                    NetworkMode::None
                        | NetworkMode::Container(_)
                        | NetworkMode::Other(_)
                        | NetworkMode::Bridge
                )
            })
            .is_some()
        {
            gaps.tell(&of, "network_mode", "a pod is on the networks that `podman kube play` is told");
        }
        if service.networks.values().any(|settings| settings.priority != 0) {
            gaps.tell(&of, "networks.priority", "podman orders the networks that it is told");
        }
        for attachment in std::mem::take(&mut rest.networks) {
            let own = [service.name.as_str(), rest.name.as_str()];
            let others = attachment.aliases.iter().any(|alias| !own.contains(&alias.as_str()));
            let why = "a pod has its name alone, and an address and an interface that podman chooses";
            gaps.tell_each(
                &of,
                [
                    (others, "networks.aliases", why),
                    (attachment.ipv4_address.is_some(), "networks.ipv4_address", why),
                    (attachment.ipv6_address.is_some(), "networks.ipv6_address", why),
                    (attachment.mac_address.is_some(), "networks.mac_address", why),
                    (attachment.interface_name.is_some(), "networks.interface_name", why),
                ],
            );
        }
        let mut hosts: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (host, address) in std::mem::take(&mut rest.extra_hosts) {
            match address.parse::<std::net::IpAddr>() {
                Ok(_) => hosts.entry(address).or_default().push(host),
                Err(_) => rest.extra_hosts.push((host, address)),
            }
        }
        let hosts = hosts.into_iter().map(|(ip, names)| json!({ "ip": ip, "hostnames": names }));
        put(spec, "hostAliases", hosts.collect());
        let resolver = std::mem::take(&mut rest.resolver);
        let options = resolver.options.iter().map(|option| match option.split_once(':') {
            Some((name, value)) => json!({ "name": name, "value": value }),
            None => json!({ "name": option }),
        });
        let mut dns = Map::new();
        put(&mut dns, "nameservers", json!(resolver.servers));
        put(&mut dns, "searches", json!(resolver.search));
        put(&mut dns, "options", options.collect());
        put(spec, "dnsConfig", Value::Object(dns));

        let (groups, names): (Vec<String>, Vec<String>) =
            std::mem::take(&mut rest.group_add).into_iter().partition(|group| group.parse::<u32>().is_ok());
        rest.group_add = names;
        let numbers = groups.iter().filter_map(|group| group.parse::<u32>().ok());
        put(&mut self.security, "supplementalGroups", numbers.collect());
        let sysctls = std::mem::take(&mut rest.sysctls);
        let sysctls = sysctls.iter().map(|(name, value)| json!({ "name": name, "value": value }));
        put(&mut self.security, "sysctls", sysctls.collect());
    }

    fn container(
        &mut self,
        role: Role,
        piece: &Piece<'_>,
        mut rest: ContainerSpec,
        gaps: &mut Gaps,
    ) -> Value {
        let service = piece.service;
        let of = of_service(&service.name);
        gaps.tell_each(
            &of,
            [
                (
                    service.build.is_some() && !service.is_only_built(),
                    "build",
                    "the image that it names is pulled",
                ),
                (
                    service.container_name.is_some(),
                    "container_name",
                    "podman puts the name of the pod before it",
                ),
                (!service.post_start.is_empty(), "post_start", "podman runs none of Kubernetes' lifecycle"),
                (!service.pre_stop.is_empty(), "pre_stop", "podman runs none of Kubernetes' lifecycle"),
                (
                    !piece.creation.host_paths.is_empty(),
                    "volumes.bind.create_host_path",
                    "make folders that are missing by hand",
                ),
                (
                    !rest.devices.requests.is_empty(),
                    "deploy.resources.reservations.devices",
                    "podman plays none",
                ),
            ],
        );
        rest.devices.requests.clear();
        let reference = reference(&rest.image, service.is_only_built());
        if service.is_only_built() {
            gaps.tell(&of, "build", format!("build it before, as {reference}"));
        }
        let mut out = Map::new();
        out.insert("name".to_owned(), json!(dns(service.container_name.as_ref().unwrap_or(&service.name))));
        out.insert("image".to_owned(), json!(reference));
        let pull = match service.pull_policy {
            PullPolicy::Always => Some("Always"),
            PullPolicy::Never => Some("Never"),
            _ if service.is_only_built() => Some("Never"),
            _ => None,
        };
        put(&mut out, "imagePullPolicy", json!(pull));
        let (entrypoint, command) = (rest.entrypoint.take(), rest.command.take());
        let expands = |text: &String| text.contains("$(");
        let words = entrypoint.iter().flatten().chain(command.iter().flatten());
        let why = "Kubernetes takes $(NAME) for a variable of the container";
        gaps.tell_each(
            &of,
            [
                (words.clone().any(expands), "command", why),
                (rest.environment.values().any(expands), "environment", why),
            ],
        );
        match entrypoint {
            Some(words) if !words.is_empty() => {
                put(&mut out, "command", json!(words));
                put(&mut out, "args", json!(command));
            }
            // No entrypoint: what is run is the command.
            Some(_) => put(&mut out, "command", json!(command)),
            None => put(&mut out, "args", json!(command)),
        }
        put(&mut out, "workingDir", json!(rest.working_dir.take()));
        let environment = std::mem::take(&mut rest.environment);
        let environment = environment.iter().map(|(name, value)| json!({ "name": name, "value": value }));
        put(&mut out, "env", environment.collect());
        put(&mut out, "ports", ports(&of, role, &mut rest, gaps));
        put(&mut out, "resources", resources(&mut rest));
        put(&mut out, "securityContext", security(&mut rest));
        match rest.healthcheck.take() {
            Some(check) if role != Role::First => put(&mut out, "livenessProbe", probe(&of, &check, gaps)),
            Some(_) => gaps.tell(&of, "healthcheck", "it is waited for until it ends"),
            None => {}
        }
        for (key, flag) in [("tty", &mut rest.tty), ("stdin", &mut rest.stdin_open)] {
            if std::mem::take(flag) {
                put(&mut out, key, json!(true));
            }
        }
        let mounts = self.mounts(piece, &mut rest, gaps);
        put(&mut out, "volumeMounts", Value::Array(mounts));
        leftover(&of, &rest, gaps);
        Value::Object(out)
    }

    /// What a container mounts, and the volumes of the pod that it is.
    fn mounts(&mut self, piece: &Piece<'_>, rest: &mut ContainerSpec, gaps: &mut Gaps) -> Vec<Value> {
        let mut mounts = Vec::new();
        for mount in std::mem::take(&mut rest.mounts) {
            match self.volume(&of_service(&piece.service.name), &mount, gaps) {
                Some(value) => mounts.push(value),
                None => rest.mounts.push(mount),
            }
        }
        let (devices, others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut rest.devices.mapped).into_iter().partition(|device| {
                device.source.starts_with('/') && device.permissions.as_deref().is_none_or(|all| all == "rwm")
            });
        rest.devices.mapped = others;
        for device in devices {
            let name = self.next_volume();
            self.volumes
                .push(json!({ "name": name, "hostPath": { "path": device.source, "type": "CharDevice" } }));
            mounts.push(json!({ "name": name, "mountPath": device.target }));
        }
        mounts.extend(self.files(piece, gaps));
        mounts
    }

    /// A name that no other pod has for a volume: podman 4.3 keeps an `emptyDir` as a volume of that name.
    fn next_volume(&self) -> String {
        let project = dns(&self.project);
        format!("{project}-{}-{}", self.name, self.volumes.len())
    }

    /// What is mounted, where YAML can say it.
    fn volume(&mut self, of: &str, mount: &MountSpec, gaps: &mut Gaps) -> Option<Value> {
        let mut name = self.next_volume();
        let mut more = Map::new();
        let source = match &mount.source {
            MountSourceSpec::Volume { name: volume, nocopy, subpath, labels: _ } => {
                gaps.tell_each(
                    of,
                    [(*nocopy, "volumes.volume.nocopy", "podman copies what the image has there")],
                );
                put(&mut more, "subPath", json!(subpath));
                name = dns(volume.as_str());
                json!({ "persistentVolumeClaim": { "claimName": name } })
            }
            MountSourceSpec::Anonymous => json!({ "emptyDir": {} }),
            MountSourceSpec::Bind { path, propagation, selinux, recursive } => {
                let propagation = match propagation.as_deref() {
                    Some("rshared") => Some("Bidirectional"),
                    Some("rslave") => Some("HostToContainer"),
                    Some("rprivate") | None => None,
                    Some(_) => {
                        gaps.tell(
                            of,
                            "volumes.bind.propagation",
                            "Kubernetes has rprivate, rslave and rshared",
                        );
                        None
                    }
                };
                put(&mut more, "mountPropagation", json!(propagation));
                gaps.tell_each(
                    of,
                    [
                        (selinux.is_some(), "volumes.bind.selinux", "label what is mounted by hand"),
                        (
                            recursive.is_some_and(|how| how != Recursive::Enabled),
                            "volumes.bind.recursive",
                            "mounts beneath come too",
                        ),
                    ],
                );
                json!({ "hostPath": { "path": path } })
            }
            MountSourceSpec::Tmpfs { size, mode } => {
                gaps.tell_each(of, [(mode.is_some(), "tmpfs.mode", "Kubernetes does not say it")]);
                let mut empty = Map::from_iter([("medium".to_owned(), json!("Memory"))]);
                put(&mut empty, "sizeLimit", json!(size.map(|size| size.to_string())));
                json!({ "emptyDir": empty })
            }
            _ => return None,
        };
        if !self.volumes.iter().any(|volume| volume["name"] == name.as_str()) {
            let mut volume = Map::from_iter([("name".to_owned(), json!(name))]);
            volume.extend(source.as_object().cloned().unwrap_or_default());
            self.volumes.push(Value::Object(volume));
        }
        let mut out =
            Map::from_iter([("name".to_owned(), json!(name)), ("mountPath".to_owned(), json!(mount.target))]);
        out.extend(more);
        if mount.read_only {
            put(&mut out, "readOnly", json!(true));
        }
        Some(Value::Object(out))
    }

    /// Secrets and configs that are written into the container, as objects of Kubernetes: one for all that are beside each other, which is a
    /// folder, and else one each.
    fn files(&mut self, piece: &Piece<'_>, gaps: &mut Gaps) -> Vec<Value> {
        let of = of_service(&piece.service.name);
        let mut mounts = Vec::new();
        let mut beside: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
        for given in &piece.files {
            let file = &given.file;
            let (folder, name) = file.target.rsplit_once('/').unwrap_or(("", &file.target));
            let is_secret = given.kind == "secrets";
            let content = file.content.0.as_str();
            let data = if is_secret { BASE64_STANDARD.encode(content) } else { content.to_owned() };
            gaps.tell_each(
                &of,
                [
                    (file.uid != 0, given.kind, "its owner is root: Kubernetes has no uid of a file"),
                    (file.gid != 0, given.kind, "its group is root: Kubernetes has no gid of a file"),
                    (is_secret, given.kind, "Podman before 4.4 gives it in Base64"),
                ],
            );
            if is_secret && folder == SECRETS && file.mode == 0o444 {
                beside.entry(folder).or_default().insert(name.to_owned(), json!(data));
                continue;
            }
            gaps.tell(&of, given.kind, "Podman 4.3 mounts a folder where one file is meant");
            let object = dns(&format!("{}-{}-{}", self.project, self.name, given.key));
            let volume = self.object(
                &object,
                is_secret,
                &Map::from_iter([(name.to_owned(), json!(data))]),
                Some(file.mode),
            );
            mounts
                .push(json!({ "name": volume, "mountPath": file.target, "subPath": name, "readOnly": true }));
        }
        for (folder, data) in beside {
            let object = dns(&format!("{}-{}-{}", self.project, self.name, piece.service.name));
            let volume = self.object(&format!("{object}-secrets"), true, &data, None);
            mounts.push(json!({ "name": volume, "mountPath": folder }));
        }
        mounts
    }

    /// An object with files, and the volume of it.
    fn object(
        &mut self,
        name: &str,
        is_secret: bool,
        data: &Map<String, Value>,
        mode: Option<u32>,
    ) -> String {
        let kind = if is_secret { "Secret" } else { "ConfigMap" };
        // A secret and a config may have one key, and one of them may be given twice.
        let mut name = name.to_owned();
        while self.volumes.iter().any(|volume| volume["name"] == name.as_str()) {
            name.push_str("-x");
        }
        self.objects.push(json!({
            "apiVersion": "v1",
            "kind": kind,
            "metadata": { "name": name },
            "data": data,
        }));
        // Podman 4.3 ends in a panic where it is not said whether it is optional.
        let mut source = match is_secret {
            true => json!({ "secretName": name, "optional": false }),
            false => json!({ "name": name, "optional": false }),
        };
        if let Some(mode) = mode {
            source["defaultMode"] = json!(mode);
        }
        self.volumes.push(match is_secret {
            true => json!({ "name": name, "secret": source }),
            false => json!({ "name": name, "configMap": source }),
        });
        name
    }

    fn finish(mut self) -> Value {
        put(&mut self.meta, "annotations", Value::Object(self.notes));
        put(&mut self.spec, "securityContext", Value::Object(self.security));
        put(&mut self.spec, "initContainers", Value::Array(self.first));
        put(&mut self.spec, "containers", Value::Array(self.containers));
        put(&mut self.spec, "volumes", Value::Array(self.volumes));
        json!({ "apiVersion": "v1", "kind": "Pod", "metadata": self.meta, "spec": self.spec })
    }
}

/// The image by the name that it has here or that it is pulled by.
fn reference(name: &str, is_built: bool) -> String {
    if is_built && !name.contains('/') { image(&format!("localhost/{name}")) } else { image(name) }
}

fn restart_policy(restart: RestartPolicy) -> &'static str {
    match restart {
        RestartPolicy::No => "Never",
        RestartPolicy::Always | RestartPolicy::UnlessStopped => "Always",
        RestartPolicy::OnFailure(_) => "OnFailure",
    }
}

fn ports(of: &str, role: Role, rest: &mut ContainerSpec, gaps: &mut Gaps) -> Value {
    let mut ports = Vec::new();
    for port in std::mem::take(&mut rest.ports) {
        let protocol = port.protocol.as_str().to_uppercase();
        let mut out = Map::from_iter([("containerPort".to_owned(), json!(port.target))]);
        match port.published {
            Some(host) if host.only().is_none() => {
                gaps.tell(of, "ports", format!("podman does not choose one of {host}: the first is taken"));
                put(&mut out, "hostPort", json!(host.first()));
            }
            Some(host) => put(&mut out, "hostPort", json!(host.first())),
            None => gaps.tell(of, "ports", format!("podman chooses no port of the host for {}", port.target)),
        }
        put(&mut out, "hostIP", json!(port.host_ip.map(|address| address.to_string())));
        put(&mut out, "protocol", json!(protocol));
        ports.push(Value::Object(out));
    }
    for exposed in std::mem::take(&mut rest.expose) {
        let (number, protocol) = exposed.split_once('/').unwrap_or((&exposed, "tcp"));
        match number.parse::<u16>() {
            Ok(number) => ports.push(json!({ "containerPort": number, "protocol": protocol.to_uppercase() })),
            Err(_) => rest.expose.push(exposed),
        }
    }
    if role == Role::First && !ports.is_empty() {
        gaps.tell(of, "ports", "it is waited for until it ends");
        return Value::Null;
    }
    Value::Array(ports)
}

fn resources(rest: &mut ContainerSpec) -> Value {
    let (mut limits, mut requests) = (Map::new(), Map::new());
    let from = &mut rest.resources;
    put(&mut limits, "cpu", json!(from.cpus.take().map(|cpus| cpus.to_string())));
    put(&mut limits, "memory", json!(from.memory.take().map(|bytes| bytes.to_string())));
    put(&mut requests, "memory", json!(from.memory_reservation.take().map(|bytes| bytes.to_string())));
    let mut out = Map::new();
    put(&mut out, "limits", Value::Object(limits));
    put(&mut out, "requests", Value::Object(requests));
    Value::Object(out)
}

fn security(rest: &mut ContainerSpec) -> Value {
    let mut out = Map::new();
    if std::mem::take(&mut rest.privileged) {
        put(&mut out, "privileged", json!(true));
    }
    if std::mem::take(&mut rest.read_only) {
        put(&mut out, "readOnlyRootFilesystem", json!(true));
    }
    let user = rest
        .user
        .as_deref()
        .map(|user| user.split_once(':').map_or((user, None), |(user, group)| (user, Some(group))));
    if let Some((user, group)) = user
        && let Ok(user) = user.parse::<u32>()
        && let Ok(group) = group.map(str::parse::<u32>).transpose()
    {
        rest.user = None;
        put(&mut out, "runAsUser", json!(user));
        put(&mut out, "runAsGroup", json!(group));
    }
    let names = |caps: Vec<String>| {
        let name = |cap: &String| cap.strip_prefix("CAP_").unwrap_or(cap).to_owned();
        json!(caps.iter().map(name).collect::<Vec<_>>())
    };
    let mut caps = Map::new();
    put(&mut caps, "add", names(std::mem::take(&mut rest.cap_add)));
    put(&mut caps, "drop", names(std::mem::take(&mut rest.cap_drop)));
    put(&mut out, "capabilities", Value::Object(caps));
    rest.security_opt.retain(|option| match option.as_str() {
        "no-new-privileges" | "no-new-privileges=true" => {
            put(&mut out, "allowPrivilegeEscalation", json!(false));
            false
        }
        _ => true,
    });
    Value::Object(out)
}

fn probe(of: &str, check: &Healthcheck, gaps: &mut Gaps) -> Value {
    let command = match &check.test {
        Some(HealthTest::Exec(words)) => {
            if words.iter().any(|word| word.is_empty() || word.contains(is_shells)) {
                gaps.tell(of, "healthcheck.test", "Podman 4.3 gives the words to a shell");
            }
            words.clone()
        }
        Some(HealthTest::Shell(line)) => plain_words(line).unwrap_or_else(|| {
            gaps.tell(
                of,
                "healthcheck.test",
                "Podman 4.3 reads the first word of the line alone, Podman 5 all of it",
            );
            vec!["/bin/sh".to_owned(), "-c".to_owned(), line.clone()]
        }),
        Some(HealthTest::None) => {
            gaps.tell(of, "healthcheck.disable", "a check of the image is not switched off");
            return Value::Null;
        }
        None => {
            gaps.tell(of, "healthcheck", "the test is the image's: name it");
            return Value::Null;
        }
    };
    let seconds = |time: Option<std::time::Duration>, or: u64| {
        time.map_or(or, |time| u64::try_from(time.as_millis().div_ceil(1000)).unwrap_or(u64::MAX).max(1))
    };
    let mut out = Map::from_iter([("exec".to_owned(), json!({ "command": command }))]);
    put(&mut out, "initialDelaySeconds", json!(check.start_period.map(|time| time.as_secs())));
    put(&mut out, "periodSeconds", json!(seconds(check.interval, CHECKED_EVERY)));
    put(&mut out, "timeoutSeconds", json!(seconds(check.timeout, CHECKED_EVERY)));
    put(&mut out, "failureThreshold", json!(check.retries.unwrap_or(FAILURES)));
    Value::Object(out)
}

/// What a shell does not take as it is.
fn is_shells(c: char) -> bool {
    c.is_whitespace() || c.is_control() || "|&;<>()$`\\\"'*?[]#~=%!{}".contains(c)
}

/// The words of a line in which a shell has nothing to do but to say whether it failed.
fn plain_words(line: &str) -> Option<Vec<String>> {
    let line = line.trim();
    let line =
        line.strip_suffix("exit 1").and_then(|line| line.trim_end().strip_suffix("||")).unwrap_or(line);
    let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    let is_plain = !words.is_empty() && !words.iter().any(|word| word.contains(is_shells));
    is_plain.then_some(words)
}

/// What podman would have been told besides.
fn leftover(of: &str, rest: &ContainerSpec, gaps: &mut Gaps) {
    let words = create::container(rest, "IMAGE", create::Then::Nothing).into_words();
    let told = words.iter().take_while(|word| *word != "--").filter_map(|word| word.strip_prefix("--"));
    for word in told {
        let flag = word.split_once('=').map_or(word, |(flag, _)| flag);
        if matches!(flag, "name" | "pull") {
            continue;
        }
        let attribute = ATTRIBUTES.iter().find(|(name, _)| *name == flag).map(|(_, attribute)| *attribute);
        let attribute = attribute.map_or_else(|| flag.replace('-', "_"), str::to_owned);
        gaps.tell(of, attribute, "`podman kube play` has none");
    }
}
