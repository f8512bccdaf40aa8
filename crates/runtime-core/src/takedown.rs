//! The planners of `stop`, `start`, `restart`, `kill`, `pause`, `rm` and `down`: containers that are there, in, a plan out. No I/O, no clock.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use compose_file::{Condition, Hook, Service};

use crate::{
    Action, AnonymousVolumes, Awaiting, Cause, Container, ContainerState, Dependents, Detail, DownOptions,
    KillOptions, Observed, OnFailure, Orphans, Pause, Plan, RemoveImages, RemoveOptions, RemoveVolumes,
    ResourceName, RestartOptions, Result, Running, Scope, Sought, StepId, StopOptions, Target, labels,
    reconcile::{by_service, existing, is_oneoff},
};

/// What each service depends on: by the file where there is one, else by its containers' labels.
fn dependencies(target: &Target, containers: &[Container]) -> BTreeMap<String, BTreeMap<String, Condition>> {
    let mut all: BTreeMap<String, BTreeMap<String, Condition>> = BTreeMap::new();
    for container in containers {
        let Some(service) = container.service() else { continue };
        let entry = all.entry(service.to_owned()).or_default();
        let needed = labels::depends_on(container.label(labels::DEPENDS_ON).unwrap_or_default());
        entry.extend(needed.map(|needed| (needed.service.to_owned(), needed.condition)));
    }
    if let Some(project) = &target.project {
        for service in project.services.values().chain(project.disabled_services.values()) {
            let needs =
                service.depends_on.iter().map(|(name, needs)| (name.clone(), needs.condition)).collect();
            all.insert(service.name.clone(), needs);
        }
    }
    all
}

/// A service as the file has it, where there is one.
fn in_file<'t>(target: &'t Target, service: &str) -> Option<&'t Service> {
    let project = target.project.as_ref()?;
    project.services.get(service).or_else(|| project.disabled_services.get(service))
}

/// What the file has run in a container before it stops.
fn pre_stop<'t>(target: &'t Target, container: &Container) -> (&'static str, &'t [Hook]) {
    ("pre_stop", hooked(target, container).map_or(&[], |service| &service.pre_stop))
}

/// What the file has run in a container after it starts.
fn post_start<'t>(target: &'t Target, container: &Container) -> (&'static str, &'t [Hook]) {
    ("post_start", hooked(target, container).map_or(&[], |service| &service.post_start))
}

/// The service whose hooks are a container's. A one-off has none: it may run anything else.
fn hooked<'t>(target: &'t Target, container: &Container) -> Option<&'t Service> {
    let service = container.service().filter(|_| !is_oneoff(container))?;
    in_file(target, service)
}

/// Services in waves: each after the services it depends on. Labels of strangers may hold a cycle; it ends in one wave.
fn waves(dependencies: &BTreeMap<String, BTreeMap<String, Condition>>) -> Vec<BTreeSet<&str>> {
    let dependents = dependents(dependencies);
    // How many of those that it needs are in no wave yet.
    let mut left: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, needs) in dependencies {
        let others = needs.keys().filter(|needed| *needed != name && dependencies.contains_key(*needed));
        left.insert(name, others.count());
    }
    let mut wave: BTreeSet<&str> =
        left.iter().filter(|(_, count)| **count == 0).map(|(name, _)| *name).collect();
    let mut waves = Vec::new();
    while !left.is_empty() {
        if wave.is_empty() {
            wave = left.keys().copied().collect();
        }
        for name in &wave {
            left.remove(name);
        }
        let mut next = BTreeSet::new();
        for dependent in wave.iter().flat_map(|name| dependents.get(name)).flatten() {
            if let Some(count) = left.get_mut(dependent) {
                *count -= 1;
                if *count == 0 {
                    next.insert(*dependent);
                }
            }
        }
        waves.push(std::mem::replace(&mut wave, next));
    }
    waves
}

/// What depends on each service.
fn dependents(dependencies: &BTreeMap<String, BTreeMap<String, Condition>>) -> BTreeMap<&str, Vec<&str>> {
    let mut dependents: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (service, needs) in dependencies {
        for needed in needs.keys() {
            dependents.entry(needed).or_default().push(service);
        }
    }
    dependents
}

/// These services and all that depend on them, directly or through others.
fn with_dependents(
    mut named: BTreeSet<String>,
    dependencies: &BTreeMap<String, BTreeMap<String, Condition>>,
) -> BTreeSet<String> {
    let dependents = dependents(dependencies);
    let mut open: Vec<String> = named.iter().cloned().collect();
    while let Some(service) = open.pop() {
        for dependent in dependents.get(service.as_str()).into_iter().flatten() {
            if named.insert((*dependent).to_owned()) {
                open.push((*dependent).to_owned());
            }
        }
    }
    named
}

/// The containers of each wave of services; first those of no service, which nothing is known of.
fn in_waves<'c>(containers: &[&'c Container], waves: &[BTreeSet<&str>]) -> Vec<Vec<&'c Container>> {
    let numbers: BTreeMap<&str, usize> = waves
        .iter()
        .zip(1..)
        .flat_map(|(wave, number)| wave.iter().map(move |name| (*name, number)))
        .collect();
    let mut all = vec![Vec::new(); waves.len() + 1];
    for container in containers {
        let number = container.service().and_then(|service| numbers.get(service)).copied();
        all[number.unwrap_or_default()].push(*container);
    }
    all
}

/// The steps that stop and, if told so, remove containers, dependents before what they depend on.
struct TakeDown<'a> {
    plan: Plan,
    target: &'a Target,
    grace: Option<Duration>,
}

impl TakeDown<'_> {
    /// Returns the last step of each container.
    fn containers(
        &mut self,
        containers: &[&Container],
        all: &[Container],
        removal: Option<AnonymousVolumes>,
    ) -> Vec<StepId> {
        let dependencies = dependencies(self.target, all);
        let needing = dependents(&dependencies);
        let mut last = Vec::new();
        // Each service's stops, and the steps after which its containers are gone.
        let mut stops: BTreeMap<&str, Vec<StepId>> = BTreeMap::new();
        let mut ends: BTreeMap<&str, Vec<StepId>> = BTreeMap::new();
        for wave in in_waves(containers, &waves(&dependencies)).into_iter().rev() {
            let mut stopped: Vec<(&str, StepId)> = Vec::new();
            let mut ended: Vec<(&str, StepId)> = Vec::new();
            for container in wave {
                let service = container.service().unwrap_or_default();
                let dependents = || needing.get(service).into_iter().flatten();
                let stops = dependents().filter_map(|name| stops.get(name)).flatten();
                let after: Vec<_> = stops.map(|step| step.ended()).collect();
                let replica = existing(container);
                let mut done = None;
                if container.state.is_running() {
                    let mut after = after;
                    if container.state == ContainerState::Paused {
                        // What is frozen does not hear that it is to stop.
                        let go_on = Action::UnpauseContainer(replica.clone());
                        after = vec![self.plan.push(go_on, Cause::Requested, after).ended()];
                    }
                    let hooks = pre_stop(self.target, container);
                    if let Some(last) = self.plan.push_hooks(hooks, &replica, &Cause::Requested, &after) {
                        // It is stopped all the same; the hook's failure is the call's.
                        after = vec![last.ended()];
                    }
                    let stop = Action::StopContainer { replica: replica.clone(), grace: self.grace };
                    let step = self.plan.push(stop, Cause::Requested, after);
                    stopped.push((service, step));
                    done = Some(step);
                }
                if let Some(anonymous_volumes) = removal {
                    let remove = Action::RemoveContainer { replica, anonymous_volumes };
                    // Podman does not let go of a container whose network another one uses.
                    let ends = dependents().filter_map(|name| ends.get(name)).flatten();
                    let after: Vec<_> = done.iter().chain(ends).map(|step| step.ended()).collect();
                    done = Some(self.plan.push(remove, Cause::Requested, after));
                }
                ended.extend(done.map(|step| (service, step)));
                last.extend(done);
            }
            for (service, step) in ended {
                ends.entry(service).or_default().push(step);
            }
            for (service, step) in stopped {
                stops.entry(service).or_default().push(step);
            }
        }
        last
    }
}

/// Decides what `stop` does: the running containers of the target's services, in reverse order of dependency.
pub fn plan_stop(target: &Target, options: &StopOptions, observed: &Observed) -> Plan {
    let mut down = TakeDown {
        plan: Plan::new(target.name.clone(), OnFailure::Continue),
        target,
        grace: options.timeout,
    };
    down.containers(&named(target, observed), &observed.containers, None);
    down.plan
}

/// The containers of the target's services, one-offs left out.
fn named<'o>(target: &Target, observed: &'o Observed) -> Vec<&'o Container> {
    let is_named = |container: &&Container| {
        !is_oneoff(container) && target.means(container.service().unwrap_or_default())
    };
    observed.containers.iter().filter(is_named).collect()
}

/// Decides what `restart` does: the containers of the target's services and of those that are to be restarted with them, each
/// service after those that it is to be restarted with. What does not run is started.
pub fn plan_restart(target: &Target, options: &RestartOptions, observed: &Observed) -> Plan {
    let mut plan = Plan::new(target.name.clone(), OnFailure::Halt);
    let mut dependencies = dependencies(target, &observed.containers);
    let containers = by_service(&observed.containers);
    for (service, needs) in &mut dependencies {
        let of_service = containers.get(service.as_str()).map(Vec::as_slice).unwrap_or_default();
        needs.retain(|needed, _| restarts_with(target, of_service, service, needed));
    }
    let services = match options.dependents {
        Dependents::Include => with_dependents(target.services.clone(), &dependencies),
        Dependents::Ignore => target.services.clone(),
    };
    let mut started: BTreeMap<&str, Vec<StepId>> = BTreeMap::new();
    for service in waves(&dependencies).into_iter().flatten() {
        if !services.is_empty() && !services.contains(service) {
            continue;
        }
        for &container in containers.get(service).into_iter().flatten() {
            let needed = dependencies[service].keys().filter_map(|name| started.get(name.as_str())).flatten();
            let mut after: Vec<_> = needed.map(|step| step.succeeded()).collect();
            let replica = existing(container);
            if container.state == ContainerState::Paused {
                let go_on = Action::UnpauseContainer(replica.clone());
                after = vec![plan.push(go_on, Cause::Requested, after).succeeded()];
            }
            let cause = Cause::Requested;
            if container.state.is_running() {
                let hooks = pre_stop(target, container);
                if let Some(last) = plan.push_hooks(hooks, &replica, &cause, &after) {
                    after = vec![last.succeeded()];
                }
                let stop = Action::StopContainer { replica: replica.clone(), grace: options.timeout };
                after = vec![plan.push(stop, cause.clone(), after).succeeded()];
            }
            let start = plan.push(Action::StartContainer(replica.clone()), cause.clone(), after);
            let hooks = post_start(target, container);
            let last = plan.push_hooks(hooks, &replica, &cause, &[start.succeeded()]);
            started.entry(service).or_default().push(last.unwrap_or(start));
        }
    }
    plan
}

/// Whether a service, or by its label one of its containers, says of one that it depends on that they are restarted together.
fn restarts_with(target: &Target, containers: &[&Container], service: &str, needed: &str) -> bool {
    if let Some(service) = in_file(target, service) {
        return service.depends_on.get(needed).is_some_and(|needs| needs.restart);
    }
    containers
        .iter()
        .filter_map(|container| container.label(labels::DEPENDS_ON))
        .flat_map(labels::depends_on)
        .any(|one| one.service == needed && one.restart)
}

/// Decides what `kill` does: the running containers of the target's services get the signal, one-offs too.
pub fn plan_kill(target: &Target, options: &KillOptions, observed: &Observed) -> Plan {
    let mut plan = Plan::new(target.name.clone(), OnFailure::Continue);
    for container in observed.containers.iter().filter(|container| container.state.is_running()) {
        let service = container.service().unwrap_or_default();
        let is_orphan =
            target.project.as_ref().is_some_and(|project| !project.services.contains_key(service));
        if target.means(service) && (!is_orphan || options.orphans == Orphans::Remove) {
            let kill = Action::KillContainer { replica: existing(container), signal: options.signal.clone() };
            plan.push(kill, Cause::Requested, []);
        }
    }
    plan
}

/// Decides what `pause` does: the containers of the target's services that run are frozen. Or, if they are to go on, what
/// `unpause` does.
pub fn plan_pause(target: &Target, pause: Pause, observed: &Observed) -> Plan {
    let mut plan = Plan::new(target.name.clone(), OnFailure::Continue);
    for container in named(target, observed) {
        let replica = existing(container);
        let action = match (pause, container.state) {
            (Pause::Freeze, ContainerState::Running) => Action::PauseContainer(replica),
            (Pause::GoOn, ContainerState::Paused) => Action::UnpauseContainer(replica),
            _ => continue,
        };
        plan.push(action, Cause::Requested, []);
    }
    plan
}

/// Decides what `rm` does: the containers of the target's services that do not run are removed; the others too, if they are to
/// be stopped first.
pub fn plan_remove(target: &Target, options: &RemoveOptions, observed: &Observed) -> Plan {
    let mut down =
        TakeDown { plan: Plan::new(target.name.clone(), OnFailure::Continue), target, grace: None };
    let mut containers = named(target, observed);
    containers.retain(|container| {
        let service = container.service().unwrap_or_default();
        let in_file = target.project.as_ref().is_none_or(|project| project.services.contains_key(service));
        let goes = options.running == Running::Stop || !container.state.is_running();
        in_file && goes && options.only.as_ref().is_none_or(|only| only.contains(&container.id))
    });
    down.containers(&containers, &observed.containers, Some(options.anonymous_volumes));
    down.plan
}

/// The images that go with those containers: the services' of the file, as far as they are here, else the containers' own.
fn images_that_go(
    target: &Target,
    which: RemoveImages,
    containers: &[&Container],
    observed: &Observed,
) -> BTreeSet<String> {
    let goes = |is_local: bool| match which {
        RemoveImages::No => false,
        RemoveImages::Local => is_local,
        RemoveImages::All => true,
    };
    let Some(project) = &target.project else {
        let local = |container: &Container| {
            let made = format!("{}-{}", target.name, container.service().unwrap_or_default());
            let name = container.image.trim_start_matches("localhost/");
            name.strip_suffix(":latest").unwrap_or(name) == made
        };
        let images = containers.iter().filter(|container| goes(local(container)));
        return images.map(|container| container.image.clone()).collect();
    };
    let services = project.services.values().filter(|service| target.means(&service.name));
    let images = services.filter(|service| goes(service.is_only_built())).map(|service| &service.image);
    images.filter(|image| observed.images.contains_key(*image)).cloned().collect()
}

/// What must be observed before [`plan_down`] can decide.
pub(crate) fn scope_of_down(target: &Target, options: &DownOptions) -> Scope {
    let services = target.project.iter().flat_map(|project| project.services.values());
    let volumes = target.project.iter().flat_map(|project| project.volumes.values());
    let with_volumes = options.volumes == RemoveVolumes::Yes;
    let with_images = options.images != RemoveImages::No;
    // Volumes and images that no file names are those of the containers.
    let detail = if with_volumes || with_images { Detail::Whole } else { Detail::Listed };
    Scope {
        detail,
        networks: Sought { of_project: target.services.is_empty(), ..Sought::default() },
        volumes: match with_volumes {
            true => Sought { names: volumes.map(|volume| volume.name.clone()).collect(), of_project: true },
            false => Sought::default(),
        },
        // A provider makes its service without one.
        images: services
            .filter(|service| with_images && !service.image.is_empty())
            .map(|service| service.image.clone())
            .collect(),
        ..Scope::new(target.name.clone())
    }
}

/// Decides what `down` does: containers in reverse order of dependency, then networks, then, if told so, volumes and images.
///
/// Only networks and volumes that carry the project's label are removed: what was there before is somebody else's. With services named, these and what depends
/// on them are removed, and no network or volume.
///
/// # Errors
/// When the engine listed a network or volume by a name that is none.
pub fn plan_down(target: &Target, options: &DownOptions, observed: &Observed) -> Result<Plan> {
    let mut down = TakeDown {
        plan: Plan::new(target.name.clone(), OnFailure::Continue),
        target,
        grace: options.timeout,
    };
    let dependencies = dependencies(target, &observed.containers);
    let named = with_dependents(target.services.clone(), &dependencies);
    let in_file = |container: &Container| {
        target.project.as_ref().is_none_or(|project| {
            let service = container.service().unwrap_or_default();
            project.services.contains_key(service) || project.disabled_services.contains_key(service)
        })
    };
    let (mut containers, mut orphans) = (Vec::new(), Vec::new());
    for container in &observed.containers {
        if !named.is_empty() {
            if container.service().is_some_and(|service| named.contains(service)) {
                containers.push(container);
            }
        } else if in_file(container) || options.orphans == Orphans::Remove {
            containers.push(container);
        } else {
            orphans.push(container.name.as_str());
        }
    }
    if !orphans.is_empty() && options.orphans == Orphans::Warn {
        down.plan.warnings.push(format!(
            "containers of this project whose service is not in the file stay: {}; remove them with --remove-orphans",
            orphans.join(", ")
        ));
    }
    let with_volumes = options.volumes == RemoveVolumes::Yes;
    let anonymous = if with_volumes { AnonymousVolumes::Remove } else { AnonymousVolumes::Keep };
    let gone = down.containers(&containers, &observed.containers, Some(anonymous));
    if with_volumes {
        // Those that a recreated container has from the one before do not go with it.
        let carried: BTreeSet<&str> =
            containers.iter().flat_map(|one| one.anonymous_volumes()).map(|(_, name)| name).collect();
        for name in carried {
            let remove = Action::RemoveAnonymousVolume(ResourceName::volume(name)?);
            down.plan.push(remove, Cause::Requested, gone.iter().map(|step| step.ended()));
        }
    }
    // One after the other: of two names of one image that go at once, Podman 4.3 keeps one and says nothing, and Docker 20.10
    // fails for the other.
    let mut before = None;
    for image in images_that_go(target, options.images, &containers, observed) {
        // What the one before waited for is over.
        let after: &[StepId] = before.as_ref().map_or(&gone, std::slice::from_ref);
        let after = after.iter().map(|step| step.ended());
        before = Some(down.plan.push(Action::RemoveImage(image), Cause::Requested, after));
    }
    if !named.is_empty() {
        return Ok(down.plan);
    }
    let ours = |resource: &crate::Resource| {
        resource.labels.get(labels::PROJECT).map(String::as_str) == Some(target.name.as_str())
    };
    let after = || gone.iter().map(|step| step.ended());
    // What stays needs what it is attached to.
    let going: BTreeSet<&str> = containers.iter().map(|container| container.id.0.as_str()).collect();
    let stays = |container: &&Container| !going.contains(container.id.0.as_str());
    let staying: Vec<&Container> = observed.containers.iter().filter(stays).collect();
    let needs_network = |name: &str| staying.iter().any(|one| one.networks.contains(name));
    let needs_volume = |name: &str| {
        staying.iter().any(|one| one.volumes.iter().flatten().any(|(_, mounted)| mounted == name))
    };
    let networks = observed.networks.values().filter(|one| ours(one) && !needs_network(&one.name));
    for network in networks {
        let remove = Action::RemoveNetwork(ResourceName::network(network.name.clone())?);
        down.plan.push(remove, Cause::Requested, after());
    }
    if with_volumes {
        let volumes = observed.volumes.values().filter(|one| ours(one) && !needs_volume(&one.name));
        for volume in volumes {
            let remove = Action::RemoveVolume(ResourceName::volume(volume.name.clone())?);
            down.plan.push(remove, Cause::Requested, after());
        }
    }
    Ok(down.plan)
}

/// Decides what `start` does: the containers of the target's services that do not run, in order of dependency.
pub fn plan_start(target: &Target, observed: &Observed) -> Plan {
    let mut plan = Plan::new(target.name.clone(), OnFailure::Halt);
    let dependencies = dependencies(target, &observed.containers);
    let all = by_service(&observed.containers);
    // Those that others wait for to complete.
    let one_shots: BTreeSet<&str> = dependencies
        .values()
        .flatten()
        .filter(|(_, condition)| **condition == Condition::ServiceCompletedSuccessfully)
        .map(|(needed, _)| needed.as_str())
        .collect();
    let mut started: BTreeMap<&str, Vec<(&Container, Option<StepId>)>> = BTreeMap::new();
    for wave in waves(&dependencies) {
        for service in wave {
            let mut after = Vec::new();
            let named = target.means(service);
            let containers = all.get(service).map(Vec::as_slice).unwrap_or_default();
            if named && containers.iter().any(|container| !container.state.is_running()) {
                for (needed, condition) in &dependencies[service] {
                    for (container, step) in started.get(needed.as_str()).into_iter().flatten() {
                        match (condition, step) {
                            (Condition::ServiceStarted, step) => after.extend(step.map(StepId::succeeded)),
                            (condition, Some(step)) => {
                                let awaiting = Awaiting {
                                    replica: existing(container),
                                    condition: *condition,
                                    waiting: vec![service.to_owned()],
                                    optional: false,
                                    may_complete: false,
                                    interval: Duration::from_secs(1),
                                };
                                let cause = Cause::NeededBy(vec![service.to_owned()]);
                                after.push(
                                    plan.push(Action::Await(awaiting), cause, [step.succeeded()]).succeeded(),
                                );
                            }
                            (_, None) => {}
                        }
                    }
                }
            }
            for &container in containers {
                let completed = container.state == ContainerState::Exited
                    && container.exit_code == Some(0)
                    && one_shots.contains(service);
                let step = (named && !container.state.is_running() && !completed).then(|| {
                    let replica = existing(container);
                    let cause = Cause::NotRunning(container.state.as_str());
                    let start = Action::StartContainer(replica.clone());
                    let start = plan.push(start, cause.clone(), after.iter().copied());
                    let hooks = post_start(target, container);
                    plan.push_hooks(hooks, &replica, &cause, &[start.succeeded()]).unwrap_or(start)
                });
                started.entry(service).or_default().push((container, step));
            }
        }
    }
    plan
}
