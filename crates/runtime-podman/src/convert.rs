//! A project as files that Podman runs without us: units of Quadlet, or YAML of Kubernetes. Pure.
//!
//! What is written is made of the plan that `up` has where nothing is there yet, and of the very words that podman would be given, so
//! that an attribute means one thing. What the files cannot say is named.

mod kube;
mod quadlet;
mod unit;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use compose_file::{
    Condition, FileSource, Hidden, Hook, MountSource, Network, Project, PullPolicy, Service, Volume,
};
use runtime_core::{
    Action, ContainerRef, Creation, Desired, FileSpec, Lack, NetworkSpec, Observed, Orphans, Resource,
    Result, UpOptions, VolumeSpec, Wish, labels, plan_up,
};

use crate::confine;

pub use kube::kube;
pub use quadlet::quadlet;

/// A project in another form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Converted {
    /// The files, in the order in which they are used.
    pub files: Vec<ConvertedFile>,
    /// What the files do not say of the project.
    pub unsaid: Vec<Unsaid>,
    /// What `up` would warn of too.
    pub warnings: Vec<String>,
}

/// A file of a project in another form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConvertedFile {
    /// Its name, which other files may have for it.
    pub name: String,
    /// What is in it: values of variables too.
    pub text: Hidden,
}

/// What no file says of something.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unsaid {
    /// Of what, like `service "web"`.
    pub of: String,
    /// Its attribute.
    pub attribute: String,
    /// Why not, or what to do about it.
    pub why: String,
}

impl fmt::Display for Unsaid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.of, self.attribute, self.why)
    }
}

/// What is unsaid, each thing once and in order.
#[derive(Debug, Default)]
struct Gaps(BTreeSet<Unsaid>);

impl Gaps {
    fn tell(&mut self, of: &str, attribute: impl Into<String>, why: impl Into<String>) {
        self.0.insert(Unsaid { of: of.to_owned(), attribute: attribute.into(), why: why.into() });
    }

    /// Each attribute that is there.
    fn tell_each<'a>(&mut self, of: &str, all: impl IntoIterator<Item = (bool, &'a str, &'a str)>) {
        for (is, attribute, why) in all {
            if is {
                self.tell(of, attribute, why);
            }
        }
    }

    fn lacks(&mut self, of: &str, lacks: Vec<Lack>) {
        for Lack { attribute, why, .. } in lacks {
            self.tell(of, attribute, why);
        }
    }
}

fn of_service(name: &str) -> String {
    format!("service {name:?}")
}

/// A container that is to be written.
struct Piece<'p> {
    service: &'p Service,
    number: u32,
    creation: Creation,
    /// The containers that it shares something with, by their place among the pieces.
    shares: Vec<(runtime_core::Share, usize)>,
    /// Files that are written into it: secrets first, then configs.
    files: Vec<Given<'p>>,
}

/// A secret or a config that is written into a container.
struct Given<'p> {
    kind: &'static str,
    key: &'p str,
    file: FileSpec,
}

/// All that is to be written, what others need first.
struct Outline<'p> {
    networks: Vec<(&'p str, NetworkSpec)>,
    volumes: Vec<(&'p str, VolumeSpec)>,
    pieces: Vec<Piece<'p>>,
    gaps: Gaps,
    warnings: Vec<String>,
}

/// What is taken out of a project before it is planned, because no engine is given it.
fn plannable(project: &Project) -> Project {
    let mut plain = project.clone();
    plain.services.retain(|_, service| service.provider.is_none());
    for service in plain.services.values_mut() {
        service.build = None;
        service.models.clear();
        service.use_api_socket = false;
        // Whether an image is here is not known, and is the written file's business.
        service.pull_policy = PullPolicy::Missing;
    }
    plain
}

/// What is there already: what others make.
fn external(project: &Project) -> Observed {
    let there = |name: &String| (name.clone(), Resource { name: name.clone(), ..Resource::default() });
    let networks = project.networks.values().filter(|network: &&Network| network.external);
    let volumes = project.volumes.values().filter(|volume: &&Volume| volume.external);
    Observed {
        networks: networks.map(|network| there(&network.name)).collect(),
        volumes: volumes.map(|volume| there(&volume.name)).collect(),
        ..Observed::default()
    }
}

impl<'p> Outline<'p> {
    /// The named services with what they depend on; none named is all.
    fn of(project: &'p Project, services: &BTreeSet<String>) -> Result<Self> {
        let plain = plannable(project);
        let mut options = UpOptions::default();
        options.services = services.clone();
        options.orphans = Orphans::Ignore;
        let desired = Desired { project: &plain, options: &options, owner: "" };
        let plan = plan_up(desired, &external(&plain))?;
        let mut outline = Self {
            networks: Vec::new(),
            volumes: Vec::new(),
            pieces: Vec::new(),
            gaps: Gaps::default(),
            warnings: plan.warnings,
        };
        let mut places = BTreeMap::new();
        for (step, action) in plan.steps.into_iter().map(|step| step.action).enumerate() {
            match action {
                Action::CreateNetwork(mut spec) => {
                    let of = format!("network {:?}", spec.name.as_str());
                    outline.gaps.lacks(&of, confine::lacks(Wish::Network(&spec), false));
                    outline.gaps.tell_each(&of, [(spec.attachable, "attachable", "it is Swarm's")]);
                    forget_us(&mut spec.labels);
                    let key = spec.labels.get(labels::NETWORK);
                    let found = key.and_then(|key| project.networks.get_key_value(key));
                    outline.networks.extend(found.map(|(key, _)| (key.as_str(), spec)));
                }
                Action::CreateVolume(mut spec) => {
                    forget_us(&mut spec.labels);
                    let key = spec.labels.get(labels::VOLUME);
                    let found = key.and_then(|key| project.volumes.get_key_value(key));
                    outline.volumes.extend(found.map(|(key, _)| (key.as_str(), spec)));
                }
                Action::CreateContainer(creation) => {
                    let Some(service) = project.services.get(&creation.service) else { continue };
                    places.insert(step, outline.pieces.len());
                    outline.piece(project, service, *creation, &places);
                }
                _ => {}
            }
        }
        for service in project.services.values() {
            outline.of_service(service, services);
        }
        for (kind, objects) in [("secret", &project.secrets), ("config", &project.configs)] {
            for (key, object) in objects {
                let swarm = "it is Swarm's";
                outline.gaps.tell_each(
                    &format!("{kind} {key:?}"),
                    [
                        (!object.labels.is_empty(), "labels", swarm),
                        (object.driver.is_some() || !object.driver_opts.is_empty(), "driver", swarm),
                        (object.template_driver.is_some(), "template_driver", swarm),
                    ],
                );
            }
        }
        Ok(outline)
    }

    fn piece(
        &mut self,
        project: &'p Project,
        service: &'p Service,
        mut creation: Creation,
        places: &BTreeMap<usize, usize>,
    ) {
        let of = of_service(&service.name);
        self.gaps.lacks(&of, confine::lacks(Wish::Container(&creation.spec), false));
        let number = creation.spec.labels.get(labels::NUMBER).and_then(|number| number.parse().ok());
        forget_us(&mut creation.spec.labels);
        let place = |(share, of): &(_, ContainerRef)| match of {
            ContainerRef::Created(step) => Some((*share, *places.get(&step.0)?)),
            ContainerRef::Existing(_) => None,
        };
        let shares = creation.shares.iter().filter_map(place).collect();
        // In the order in which the specification of the container has them.
        let granted = [
            ("secrets", &service.secrets, &project.secrets),
            ("configs", &service.configs, &project.configs),
        ]
        .into_iter()
        .flat_map(|(kind, grants, objects)| {
            grants.iter().map(move |grant| (kind, grant, objects.get(&grant.source)))
        })
        .filter(|(_, _, object)| object.is_some_and(|object| !matches!(object.source, FileSource::File(_))));
        let files = std::mem::take(&mut creation.spec.files);
        let files = granted
            .zip(files)
            .map(|((kind, grant, _), file)| Given { kind, key: &grant.source, file })
            .collect();
        self.pieces.push(Piece { service, number: number.unwrap_or(1), creation, shares, files });
    }

    /// What no form has of a service.
    fn of_service(&mut self, service: &Service, named: &BTreeSet<String>) {
        let is_written = self.pieces.iter().any(|piece| piece.service.name == service.name);
        let of = of_service(&service.name);
        if !is_written {
            // Another service may be all that was asked for.
            let is_wanted = named.is_empty() || named.contains(&service.name);
            let provider = (
                service.provider.is_some(),
                "provider",
                "it has no container: bring up by hand what it provides",
            );
            let none = (service.scale == 0, "scale", "it has no container");
            self.gaps.tell_each(&of, [provider, none].into_iter().filter(|_| is_wanted));
            return;
        }
        self.gaps.tell_each(
            &of,
            [
                (!service.models.is_empty(), "models", "nothing runs models"),
                (service.use_api_socket, "use_api_socket", "mount the engine's socket by `volumes`"),
                (service.develop.is_some(), "develop", "it is for who works on the service, with `watch`"),
                (service.attach.is_some(), "attach", "it is what `up` shows"),
                (!service.external_links.is_empty(), "external_links", "put both on one network"),
                (
                    service.volumes.iter().any(|mount| mount.source == MountSource::Anonymous),
                    "volumes",
                    "a volume without a name goes with its container",
                ),
            ],
        );
        if matches!(
            service.pull_policy,
            PullPolicy::Build
                | PullPolicy::Refresh
                | PullPolicy::Daily
                | PullPolicy::Weekly
                | PullPolicy::Every(_)
        ) {
            self.gaps.tell(&of, "pull_policy", "images are pulled always, never, or when they are missing");
        }
    }

    /// The pieces of a service.
    fn of_name<'a>(&'a self, service: &'a str) -> impl Iterator<Item = &'a Piece<'p>> {
        self.pieces.iter().filter(move |piece| piece.service.name == service)
    }

    /// Whether a service waits for another to be so.
    fn is_awaited(&self, service: &str, condition: Condition) -> bool {
        let waits = |piece: &Piece<'_>| {
            piece.service.depends_on.get(service).is_some_and(|dependency| dependency.condition == condition)
        };
        self.pieces.iter().any(waits)
    }

    fn into_converted(self, files: Vec<ConvertedFile>) -> Converted {
        Converted { files, unsaid: self.gaps.0.into_iter().collect(), warnings: self.warnings }
    }
}

/// They are not ours: who runs the files owns what they make.
fn forget_us(found: &mut BTreeMap<String, String>) {
    found.remove(labels::OWNER);
    found.remove(labels::PARTS);
}

/// A hook as the words after `podman exec`.
fn exec_words(hook: &Hook, container: &str) -> Vec<String> {
    let mut words = vec!["exec".to_owned()];
    words.extend(hook.user.iter().map(|user| format!("--user={user}")));
    words.extend(hook.working_dir.iter().map(|folder| format!("--workdir={folder}")));
    if hook.privileged {
        words.push("--privileged".to_owned());
    }
    let set =
        hook.environment.iter().filter_map(|(key, value)| Some(format!("--env={key}={}", value.as_ref()?)));
    words.extend(set);
    words.push(container.to_owned());
    words.extend(hook.command.iter().flatten().cloned());
    words
}
