//! The planner of `up`: a project and what was observed, in; a plan, out. No I/O, no clock.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    time::Duration,
};

use compose_file::{Condition, Dependency, HostPort, Project, Protocol, PullPolicy, RestartPolicy, Service};

use crate::{
    Action, After, Afterwards, AnonymousVolumes, Awaiting, BuildOptions, Building, Cause, Container,
    ContainerName, ContainerRef, ContainerSpec, ContainerState, Creation, Dependencies, Error, HealthStatus,
    MountSourceSpec, MountSpec, Observed, OnFailure, Orphans, Plan, Recreate, Replica, Resource,
    ResourceKind, ResourceName, Result, RunAliases, RunOptions, RunTalk, Scope, Share, Sought, Start, StepId,
    UpOptions, Wait, build, labels, spec,
};

/// What the planner of `up` is given.
#[derive(Debug, Clone, Copy)]
pub struct Desired<'a> {
    /// The project.
    pub project: &'a Project,
    /// How to go about it.
    pub options: &'a UpOptions,
    /// Whose containers they become; the value of [`labels::OWNER`].
    pub owner: &'a str,
}

/// What must be observed before [`plan_up`] can decide.
pub fn scope_of_up(project: &Project) -> Scope {
    Scope {
        networks: Sought::named(project.networks.values().map(|network| network.name.clone())),
        volumes: Sought::named(project.volumes.values().map(|volume| volume.name.clone())),
        // A provider makes its service without one.
        images: project
            .services
            .values()
            .map(|service| service.image.clone())
            .filter(|image| !image.is_empty())
            .collect(),
        ..Scope::new(project.name.clone())
    }
}

/// The containers of each service, one-offs left out.
pub(crate) fn by_service(containers: &[Container]) -> BTreeMap<&str, Vec<&Container>> {
    let mut services: BTreeMap<&str, Vec<&Container>> = BTreeMap::new();
    for container in containers.iter().filter(|container| !is_oneoff(container)) {
        if let Some(service) = container.service() {
            services.entry(service).or_default().push(container);
        }
    }
    services
}

/// Decides what makes the observed state the project's. Equal input gives an equal plan, and a state that is as it
/// should be gives one without steps.
///
/// # Errors
/// [`Error::InvalidProject`] for an unknown service in the options or an external network or volume that is not
/// there; [`Error::InvalidName`] for a name that no engine takes.
pub fn plan_up(desired: Desired<'_>, observed: &Observed) -> Result<Plan> {
    let mut planner = Planner::new(desired, observed)?;
    let order = planner.in_order()?;
    for service in &order {
        planner.converge(service)?;
    }
    for service in order {
        planner.start(service);
    }
    planner.wait_for_all();
    Ok(planner.plan)
}

/// Decides what is done until a one-off of a service can be started: what the service depends on is brought up and waited for as
/// in [`plan_up`], and the one-off is created, and not started. `desired` is about that service alone, as it is to run once.
pub(crate) fn plan_run(
    desired: Desired<'_>,
    run: &RunOptions,
    slug: &str,
    observed: &Observed,
) -> Result<Plan> {
    let mut planner = Planner::new(desired, observed)?;
    let order = planner.in_order()?;
    let (others, this): (Vec<&Service>, Vec<&Service>) =
        order.into_iter().partition(|service| service.name != run.service);
    for service in &others {
        planner.converge(service)?;
    }
    for service in others {
        planner.start(service);
    }
    for service in this {
        let after = planner.dependencies_of(service);
        let step = planner.create(service, 1, None, Cause::Requested, &after)?;
        if let Action::CreateContainer(creation) = &mut planner.plan.steps[step.0].action {
            let spec = &mut creation.spec;
            spec.labels.insert(labels::ONEOFF.to_owned(), "True".to_owned());
            spec.labels.insert(labels::SLUG.to_owned(), slug.to_owned());
            spec.stdin_once = run.stdin && run.talk == RunTalk::Attached;
            // Somebody who talks with it removes it once he knows its exit code.
            spec.auto_remove = (run.afterwards, run.talk) == (Afterwards::Remove, RunTalk::Detached);
            if run.aliases == RunAliases::Own {
                let name = spec.name.to_string();
                for network in &mut spec.networks {
                    network.aliases = vec![name.clone()];
                }
            }
        }
    }
    Ok(planner.plan)
}

/// The enabled services that are named, with what they depend on unless told otherwise.
fn select(project: &Project, options: &UpOptions) -> Result<BTreeSet<String>> {
    match options.scale.keys().find(|name| !project.services.contains_key(*name)) {
        Some(unknown) => Err(Error::NotFound { kind: ResourceKind::Service, name: unknown.clone() }),
        None => selected_services(project, &options.services, options.dependencies),
    }
}

/// Those services of a project, or all if none is named, with what they depend on unless told otherwise.
///
/// # Errors
/// [`Error::NotFound`] for an unknown service.
pub fn selected_services(
    project: &Project,
    named: &BTreeSet<String>,
    dependencies: Dependencies,
) -> Result<BTreeSet<String>> {
    let named = if named.is_empty() { &project.services.keys().cloned().collect() } else { named };
    if let Some(unknown) = named.iter().find(|name| !project.services.contains_key(*name)) {
        return Err(Error::NotFound { kind: ResourceKind::Service, name: unknown.clone() });
    }
    let mut todo: Vec<&str> = named.iter().map(String::as_str).collect();
    let mut selected = BTreeSet::new();
    while let Some(name) = todo.pop() {
        let Some(service) = project.services.get(name) else { continue };
        if selected.insert(name.to_owned()) && dependencies == Dependencies::Include {
            todo.extend(service.depends_on.keys().map(String::as_str));
        }
    }
    Ok(selected)
}

/// Decides how the images of those services are built, whether they are here or not.
pub(crate) fn plan_build(project: &Project, options: &BuildOptions) -> Result<Plan> {
    let dependencies = match options.with_dependencies {
        true => Dependencies::Include,
        false => Dependencies::Ignore,
    };
    let names = selected_services(project, &options.services, dependencies)?;
    let services = names.iter().filter_map(|name| project.services.get(name));
    let wanted = services.filter(|service| service.build.is_some()).map(|one| (one, Cause::Requested));
    let mut plan = Plan::new(project.name.clone(), OnFailure::Halt);
    push_builds(&mut plan, project, wanted.collect(), &BTreeMap::new(), |_| true)?;
    for step in &mut plan.steps {
        if let Action::BuildImage(spec) = &mut step.action {
            spec.args.extend(options.args.clone());
            spec.no_cache |= options.no_cache;
            spec.pull |= options.pull;
        }
    }
    Ok(plan)
}

/// Whether `up` and `run` build a service's image though it is here.
pub(crate) fn is_always_built(service: &Service, building: Building) -> bool {
    let asked = building == Building::Always || service.pull_policy == PullPolicy::Build;
    service.build.is_some() && asked && building != Building::Never
}

/// Adds the builds of services, and of those whose images theirs are made from and that `is_due` says of: each image once, each after
/// those that it is made from. An image that a step pulls is built only if that fails, and with it what only its build needs.
/// Returns the steps by image.
fn push_builds(
    plan: &mut Plan,
    project: &Project,
    wanted: Vec<(&Service, Cause)>,
    pulls: &BTreeMap<String, StepId>,
    is_due: impl Fn(&Service) -> bool,
) -> Result<BTreeMap<String, StepId>> {
    let mut causes: BTreeMap<String, Cause> = BTreeMap::new();
    let mut todo = wanted;
    while let Some((service, cause)) = todo.pop() {
        if causes.contains_key(&service.name) {
            continue;
        }
        causes.insert(service.name.clone(), cause);
        for name in build::made_from(service) {
            let other = project.services.get(name).filter(|other| other.build.is_some());
            let Some(other) = other else {
                return Err(Error::InvalidProject(format!(
                    "service {:?} is made from the image of service {name:?}, which has no build",
                    service.name
                )));
            };
            if is_due(other) {
                todo.push((other, Cause::NeededBy(vec![service.name.clone()])));
            }
        }
    }
    let names = causes.keys().cloned().collect();
    let order = in_order(project, &names, |service| build::made_from(service).collect())?;
    // The pulls of which one must have failed; nothing at all is no condition.
    let mut only_if: BTreeMap<&str, Option<BTreeSet<StepId>>> = BTreeMap::new();
    for service in order.iter().rev() {
        let condition = match (pulls.get(&service.image), causes.get(&service.name)) {
            (Some(pull), _) => Some([*pull].into()),
            (None, Some(Cause::NeededBy(_))) => only_if.remove(service.name.as_str()).flatten(),
            (None, _) => None,
        };
        for name in build::made_from(service) {
            let of_other = only_if.entry(name).or_insert_with(|| Some(BTreeSet::new()));
            match (of_other.as_mut(), &condition) {
                (Some(pulls), Some(more)) => pulls.extend(more),
                _ => *of_other = None,
            }
        }
        only_if.insert(&service.name, condition);
    }
    let mut steps: BTreeMap<String, StepId> = BTreeMap::new();
    for service in order {
        let (Some(build), Some(cause)) = (&service.build, causes.remove(&service.name)) else { continue };
        if steps.contains_key(&service.image) {
            continue;
        }
        let build::Made { spec, warnings } = build::spec(project, service, build)?;
        plan.warnings.extend(warnings);
        let others = build::made_from(service).filter_map(|name| project.services.get(name));
        let mut after: Vec<After> =
            others.filter_map(|other| steps.get(&other.image)).map(|step| step.succeeded()).collect();
        let failing = only_if.get(service.name.as_str()).into_iter().flatten().flatten();
        after.extend(failing.map(|pull| pull.failed()));
        let step = plan.push(Action::BuildImage(Box::new(spec)), cause, after);
        steps.insert(service.image.clone(), step);
    }
    Ok(steps)
}

/// The services of that name, each after its prerequisites among them.
fn in_order<'a>(
    project: &'a Project,
    names: &BTreeSet<String>,
    prerequisites: impl Fn(&'a Service) -> Vec<&'a str>,
) -> Result<Vec<&'a Service>> {
    let mut order = Vec::new();
    let mut state: BTreeMap<&str, bool> = BTreeMap::new();
    // An explicit stack: a chain of ten thousand services must not overflow ours.
    for root in names {
        let mut stack = vec![(root.as_str(), false)];
        while let Some((name, expanded)) = stack.pop() {
            let Some((name, service)) = project.services.get_key_value(name) else { continue };
            if expanded {
                state.insert(name, true);
                order.push(service);
                continue;
            }
            match state.get(name.as_str()) {
                Some(true) => continue,
                Some(false) => {
                    return Err(Error::InvalidProject(format!(
                        "service {name:?} depends on itself, directly or through others"
                    )));
                }
                None => {}
            }
            state.insert(name, false);
            stack.push((name, true));
            for dependency in prerequisites(service) {
                if names.contains(dependency) && state.get(dependency) != Some(&true) {
                    if state.get(dependency) == Some(&false) {
                        return Err(Error::InvalidProject(format!(
                            "services {name:?} and {dependency:?} depend on each other, directly or through others"
                        )));
                    }
                    stack.push((dependency, false));
                }
            }
        }
    }
    Ok(order)
}

/// What becomes of one container of a service.
#[derive(Debug, Clone)]
struct Slot<'a> {
    replica: Replica,
    /// After these it can be started.
    ready: Vec<StepId>,
    /// The container that it replaces.
    replaces: Option<Replica>,
    /// What it is now, if it stays.
    now: Option<&'a Container>,
    /// The step that removes what it replaces, where that had to be decided early.
    removed: Option<StepId>,
    /// The step that starts it.
    started: Option<StepId>,
}

#[derive(Debug, Clone, Default)]
struct Converged<'a> {
    slots: Vec<Slot<'a>>,
    recreated: bool,
}

/// The address a port was bound to, and the step that frees it.
type FreedPort = (Option<IpAddr>, StepId);

struct Planner<'a> {
    desired: Desired<'a>,
    observed: &'a Observed,
    /// The containers of each service, one-offs left out.
    containers: BTreeMap<&'a str, Vec<&'a Container>>,
    selected: BTreeSet<String>,
    plan: Plan,
    networks: BTreeMap<String, StepId>,
    volumes: BTreeMap<String, StepId>,
    images: BTreeMap<String, StepId>,
    services: BTreeMap<&'a str, Converged<'a>>,
    /// The names by which services are called by others, by service.
    links: BTreeMap<&'a str, Vec<&'a str>>,
    /// The services that have a namespace of another one's containers, by that.
    users: BTreeMap<&'a str, Vec<&'a str>>,
    /// The services that depend on another one, by that.
    dependents: BTreeMap<&'a str, Vec<&'a Service>>,
    /// The steps that remove orphans.
    orphans: Vec<StepId>,
    /// The steps that free a port of the host.
    freed_ports: HashMap<(Protocol, u16), Vec<FreedPort>>,
    waits: BTreeMap<(String, Condition), Vec<StepId>>,
}

impl<'a> Planner<'a> {
    /// A plan that has what comes before any container.
    fn new(desired: Desired<'a>, observed: &'a Observed) -> Result<Self> {
        let mut planner = Self {
            desired,
            observed,
            containers: by_service(&observed.containers),
            selected: select(desired.project, desired.options)?,
            plan: Plan::new(desired.project.name.clone(), OnFailure::Halt),
            networks: BTreeMap::new(),
            volumes: BTreeMap::new(),
            images: BTreeMap::new(),
            services: BTreeMap::new(),
            links: BTreeMap::new(),
            users: BTreeMap::new(),
            dependents: BTreeMap::new(),
            orphans: Vec::new(),
            freed_ports: HashMap::new(),
            waits: BTreeMap::new(),
        };
        for service in desired.project.services.values() {
            for link in &service.links {
                planner.links.entry(&link.name).or_default().extend(link.alias.as_deref());
            }
            for shared in spec::shared(service).into_iter().filter(|shared| shared.share.is_namespace()) {
                let users = planner.users.entry(shared.service).or_default();
                if users.last() != Some(&service.name.as_str()) {
                    users.push(&service.name);
                }
            }
            for needed in service.depends_on.keys() {
                planner.dependents.entry(needed).or_default().push(service);
            }
        }
        planner.orphans();
        planner.resources()?;
        Ok(planner)
    }

    fn project(&self) -> &'a Project {
        self.desired.project
    }

    /// The selected services, each after what it depends on.
    fn in_order(&self) -> Result<Vec<&'a Service>> {
        in_order(self.project(), &self.selected, |service| prerequisites(service).collect())
    }

    fn orphans(&mut self) {
        let project = self.project();
        let known = |container: &Container| {
            let service = container.service().unwrap_or_default();
            project.services.contains_key(service) || project.disabled_services.contains_key(service)
        };
        let orphans: Vec<&Container> = self
            .observed
            .containers
            .iter()
            .filter(|container| {
                let oneoff = is_oneoff(container);
                (!oneoff && !known(container)) || (oneoff && !container.state.is_running())
            })
            .collect();
        match self.desired.options.orphans {
            Orphans::Ignore => {}
            Orphans::Warn if orphans.is_empty() => {}
            Orphans::Warn => {
                let names: Vec<&str> = orphans.iter().map(|container| container.name.as_str()).collect();
                self.plan.warnings.push(format!(
                    "containers of this project whose service is not in the file: {}; remove them with --remove-orphans",
                    names.join(", ")
                ));
            }
            Orphans::Remove => {
                for container in orphans {
                    let removed = self.remove(existing(container), container, Cause::Orphan, &[]);
                    self.orphans.push(removed);
                }
            }
        }
    }

    fn resources(&mut self) -> Result<()> {
        let project = self.project();
        let services: Vec<&Service> =
            self.selected.iter().filter_map(|name| project.services.get(name)).collect();
        let used_networks: BTreeSet<&String> =
            services.iter().flat_map(|service| service.networks.keys()).collect();
        for (key, network) in project.networks.iter().filter(|(key, _)| used_networks.contains(key)) {
            match self.observed.networks.get(&network.name) {
                Some(found) => self.notice_foreign(found, network.external, ResourceKind::Network),
                None if network.external => {
                    return Err(missing_external(ResourceKind::Network, &network.name));
                }
                None => {
                    let spec = spec::network_spec(&project.name, key, network, self.desired.owner)?;
                    let step = self.plan.push(Action::CreateNetwork(spec), Cause::Absent, []);
                    self.networks.insert(network.name.clone(), step);
                }
            }
        }
        let used_volumes: BTreeSet<&String> = services
            .iter()
            .flat_map(|service| &service.volumes)
            .filter_map(|mount| match &mount.source {
                compose_file::MountSource::Volume { key, .. } => Some(key),
                _ => None,
            })
            .collect();
        for (key, volume) in project.volumes.iter().filter(|(key, _)| used_volumes.contains(key)) {
            match self.observed.volumes.get(&volume.name) {
                Some(found) => self.notice_foreign(found, volume.external, ResourceKind::Volume),
                None if volume.external => return Err(missing_external(ResourceKind::Volume, &volume.name)),
                None => {
                    let spec = spec::volume_spec(&project.name, key, volume, self.desired.owner)?;
                    let step = self.plan.push(Action::CreateVolume(spec), Cause::Absent, []);
                    self.volumes.insert(volume.name.clone(), step);
                }
            }
        }
        for service in &services {
            self.plan.warnings.extend(spec::ignored(service));
        }
        self.builds(&services)?;
        for service in services {
            if self.wanted(service) == 0 || self.images.contains_key(&service.image) {
                continue;
            }
            let here = self.observed.images.contains_key(&service.image);
            if here && service.is_only_built() {
                continue;
            }
            let is_not_built = service.is_only_built()
                || (service.build.is_some() && service.pull_policy == PullPolicy::Never);
            if !here && is_not_built {
                return Err(Error::Image {
                    image: service.image.clone(),
                    reason: format!(
                        "it is not here, and service {:?} is not to be built (--no-build)",
                        service.name
                    ),
                });
            }
            let cause = match service.pull_policy {
                PullPolicy::Always => Cause::PullAlways,
                PullPolicy::Never if !here => {
                    return Err(Error::Image {
                        image: service.image.clone(),
                        reason: format!(
                            "it is not here, and service {:?} has pull_policy never",
                            service.name
                        ),
                    });
                }
                // A policy that depends on an image's age is taken as missing.
                _ if !here => Cause::Absent,
                _ => continue,
            };
            let step = self.plan.push(Action::PullImage(service.image.clone()), cause, []);
            self.images.insert(service.image.clone(), step);
        }
        Ok(())
    }

    /// Builds what is asked for, and what is not here and can be. What has a name of its own is pulled first, and built if that
    /// fails, as docker compose does where `pull_policy` does not say otherwise.
    fn builds(&mut self, services: &[&'a Service]) -> Result<()> {
        let building = self.desired.options.build;
        if building == Building::Never {
            return Ok(());
        }
        let is_here = |service: &Service| self.observed.images.contains_key(&service.image);
        let cause = |service: &Service| match (service.pull_policy, is_here(service)) {
            _ if building == Building::Always => Some(Cause::Requested),
            (PullPolicy::Build, _) => Some(Cause::BuildAlways),
            (_, true) => None,
            (PullPolicy::Never, false) => Some(Cause::Absent),
            (_, false) if service.is_only_built() => Some(Cause::Absent),
            (_, false) => Some(Cause::NotPulled),
        };
        let due = services.iter().filter(|one| one.build.is_some() && self.wanted(one) > 0);
        let due: Vec<_> = due.filter_map(|service| Some((*service, cause(service)?))).collect();
        let mut pulls = BTreeMap::new();
        for (service, _) in due.iter().filter(|(_, cause)| *cause == Cause::NotPulled) {
            let is_built = |(other, cause): &(&Service, Cause)| {
                other.image == service.image && matches!(cause, Cause::Requested | Cause::BuildAlways)
            };
            if pulls.contains_key(&service.image) || due.iter().any(is_built) {
                continue;
            }
            let cause = match service.pull_policy {
                PullPolicy::Always => Cause::PullAlways,
                _ => Cause::Absent,
            };
            let step = self.plan.push(Action::PullImage(service.image.clone()), cause, []);
            pulls.insert(service.image.clone(), step);
        }
        let is_due = |other: &Service| cause(other).is_some();
        self.images = push_builds(&mut self.plan, self.desired.project, due, &pulls, is_due)?;
        Ok(())
    }

    fn notice_foreign(&mut self, found: &Resource, external: bool, kind: ResourceKind) {
        if !external
            && found.labels.get(labels::PROJECT).map(String::as_str) != Some(self.project().name.as_str())
        {
            self.plan.warnings.push(format!(
                "{kind} {:?} is there and was not made for this project; it is used, and never removed. Declare it as external to say so",
                found.name
            ));
        }
    }

    fn wanted(&self, service: &Service) -> u32 {
        self.desired.options.scale.get(&service.name).copied().unwrap_or(service.scale)
    }

    /// Creates, recreates, renames and removes containers of a service until there are the right ones.
    fn converge(&mut self, service: &'a Service) -> Result<()> {
        let wanted = self.wanted(service);
        let mut by_number: BTreeMap<u32, Vec<&'a Container>> = BTreeMap::new();
        for container in self.containers.get(service.name.as_str()).into_iter().flatten() {
            by_number.entry(container.number().unwrap_or(1)).or_default().push(container);
        }
        let mut converged = Converged::default();
        let kept: Vec<u32> = by_number.keys().copied().take(wanted as usize).collect();
        for (number, containers) in by_number {
            let final_name = spec::container_name(&self.project().name, service, number);
            // Two of one number are what an interrupted recreation leaves: the old one has the name.
            let current = containers
                .iter()
                .position(|container| {
                    container.label(labels::REPLACE).is_none() || container.name == final_name
                })
                .unwrap_or(0);
            let mut removed = Vec::new();
            for (index, container) in containers.iter().enumerate() {
                if !kept.contains(&number) {
                    self.remove(existing(container), container, Cause::ScaledDown { to: wanted }, &[]);
                } else if index != current {
                    removed
                        .push(self.remove(existing(container), container, Cause::LeftOver, &[]).succeeded());
                }
            }
            if kept.contains(&number) {
                // A successor may want the very name that the leftover has.
                let slot = self.keep_or_replace(
                    service,
                    containers[current],
                    (number, &final_name),
                    &removed,
                    &mut converged.recreated,
                )?;
                converged.slots.push(slot);
            }
        }
        let missing = (wanted as usize).saturating_sub(kept.len());
        let free: Vec<u32> = (1..).filter(|number| !kept.contains(number)).take(missing).collect();
        for number in free {
            let name = spec::container_name(&self.project().name, service, number);
            let step = self.create(service, number, None, Cause::Absent, &[])?;
            let replica =
                Replica { service: service.name.clone(), name, container: ContainerRef::Created(step) };
            converged.slots.push(Slot {
                replica,
                ready: vec![step],
                replaces: None,
                now: None,
                removed: None,
                started: None,
            });
        }
        converged.slots.sort_by(|a, b| {
            a.replica.name.len().cmp(&b.replica.name.len()).then(a.replica.name.cmp(&b.replica.name))
        });
        self.services.insert(&service.name, converged);
        Ok(())
    }

    fn keep_or_replace(
        &mut self,
        service: &'a Service,
        container: &'a Container,
        (number, final_name): (u32, &str),
        removed: &[After],
        recreated: &mut bool,
    ) -> Result<Slot<'a>> {
        let mut replica = existing(container);
        let Some(cause) = self.reason_to_recreate(service, container) else {
            let mut ready = Vec::new();
            if container.label(labels::REPLACE).is_some() && container.name != final_name {
                replica.name = final_name.to_owned();
                let to = ContainerName::new(final_name)?;
                let rename = Action::RenameContainer { replica: replica.clone(), to };
                ready.push(self.plan.push(rename, Cause::LeftOver, []));
            }
            return Ok(Slot {
                replica,
                ready,
                replaces: None,
                now: Some(container),
                removed: None,
                started: None,
            });
        };
        *recreated = true;
        let step = self.create(service, number, Some(container), cause, removed)?;
        let new = Replica {
            service: service.name.clone(),
            name: final_name.to_owned(),
            container: ContainerRef::Created(step),
        };
        Ok(Slot {
            replica: new,
            ready: vec![step],
            replaces: Some(replica),
            now: Some(container),
            removed: None,
            started: None,
        })
    }

    fn reason_to_recreate(&self, service: &Service, container: &Container) -> Option<Cause> {
        let options = self.desired.options;
        let named = options.services.is_empty() || options.services.contains(&service.name);
        let recreate = match options.recreate {
            Recreate::Changed | Recreate::Always if !named => options.recreate_dependencies,
            recreate => recreate,
        };
        match recreate {
            Recreate::Never => return None,
            Recreate::Always => return Some(Cause::Requested),
            Recreate::Changed => {}
        }
        if container.label(labels::CONFIG_HASH) != Some(&spec::config_hash(service)) {
            if container.image != service.image
                && !container.image.ends_with(&format!("/{}", service.image))
                && !is_id(&container.image)
            {
                return Some(Cause::ImageChanged {
                    from: container.image.clone(),
                    to: service.image.clone(),
                });
            }
            return Some(Cause::Changed(spec::changed_parts(container.label(labels::PARTS), service)));
        }
        // What comes of an image that is here and is pulled or built again is not known before.
        if self.images.contains_key(&service.image) && !self.observed.images.contains_key(&service.image) {
            return Some(Cause::ImageUpdated(service.image.clone()));
        }
        if let (Some(now), Some(then)) = (self.observed.images.get(&service.image), &container.image_id)
            && now != then
        {
            return Some(Cause::ImageUpdated(service.image.clone()));
        }
        for key in service.networks.keys() {
            let name = self.project().networks.get(key).map_or(key, |network| &network.name);
            if !container.networks.contains(name) || self.networks.contains_key(name) {
                return Some(Cause::NetworkMissing(name.clone()));
            }
        }
        if let Some(mounted) = &container.volumes {
            for mount in &service.volumes {
                if let compose_file::MountSource::Volume { key, .. } = &mount.source
                    && let Some(volume) = self.project().volumes.get(key)
                    && !mounted.values().any(|name| *name == volume.name)
                {
                    return Some(Cause::VolumeMissing(volume.name.clone()));
                }
            }
        }
        let is_recreated =
            |shared: &spec::Shared<'_>| self.services.get(shared.service).is_some_and(|one| one.recreated);
        if let Some(shared) = spec::shared(service).into_iter().find(is_recreated) {
            return Some(Cause::Recreated(shared.service.to_owned()));
        }
        // Who made it may have been interrupted before its files were written; nothing of it has run.
        if container.state == ContainerState::Created
            && options.start == Start::Yes
            && spec::has_written_files(self.project(), service)
        {
            return Some(Cause::NotRunning("created"));
        }
        if container.state == ContainerState::Dead {
            return Some(Cause::NotRunning("dead"));
        }
        None
    }

    fn create(
        &mut self,
        service: &'a Service,
        number: u32,
        old: Option<&Container>,
        cause: Cause,
        after: &[After],
    ) -> Result<StepId> {
        let linked = self.links.get(service.name.as_str()).map_or(&[][..], Vec::as_slice);
        let spec::Made { spec: mut container, host_paths, warnings } =
            spec::container_spec(self.project(), service, number, (self.desired.owner, linked))?;
        for warning in warnings {
            if !self.plan.warnings.contains(&warning) {
                self.plan.warnings.push(warning);
            }
        }
        let final_name = container.name.to_string();
        if let Some(old) = old {
            container.name = ContainerName::new(format!("{}_{final_name}", old.id.short()))?;
            container.labels.insert(labels::REPLACE.to_owned(), old.id.to_string());
            if !self.desired.options.renew_anonymous_volumes {
                carry_over(&mut container, old)?;
            }
        }
        let mut shares = Vec::new();
        for spec::Shared { service: provider, share } in spec::shared(service) {
            let provided = self.services.get(provider).and_then(|converged| converged.slots.first());
            let container = provided.map(|slot| slot.replica.container.clone()).ok_or_else(|| {
                let what = match share {
                    Share::Mounts { .. } => "mounts",
                    Share::Network => "network",
                    _ => "namespace",
                };
                Error::InvalidProject(format!(
                    "service {:?} shares the {what} of {provider:?}, which has no container",
                    service.name
                ))
            })?;
            shares.push((share, container));
        }
        let mut after = after.to_vec();
        after.extend(
            container
                .networks
                .iter()
                .filter_map(|a| self.networks.get(a.network.as_str()))
                .map(|s| s.succeeded()),
        );
        after.extend(
            container
                .mounts
                .iter()
                .filter_map(|mount| match &mount.source {
                    MountSourceSpec::Volume { name, .. } => self.volumes.get(name.as_str()),
                    _ => None,
                })
                .map(|step| step.succeeded()),
        );
        after.extend(self.images.get(&service.image).map(|step| step.succeeded()));
        after.extend(shares.iter().filter_map(|(_, container)| match container {
            ContainerRef::Created(step) => Some(step.succeeded()),
            ContainerRef::Existing(_) => None,
        }));
        let creation =
            Creation { service: service.name.clone(), final_name, spec: container, shares, host_paths };
        Ok(self.plan.push(Action::CreateContainer(Box::new(creation)), cause, after))
    }

    /// Stops, if it runs, and removes a container. Returns the removing step.
    fn remove(&mut self, replica: Replica, container: &Container, cause: Cause, after: &[After]) -> StepId {
        let mut after = after.to_vec();
        if container.state.is_running() {
            let hooks = container.service().and_then(|name| self.project().services.get(name));
            let hooks = ("pre_stop", hooks.map_or(&[][..], |service| &service.pre_stop));
            if let Some(last) = self.plan.push_hooks(hooks, &replica, &cause, &after) {
                after = vec![last.succeeded()];
            }
            let grace = self.desired.options.timeout;
            let stop = Action::StopContainer { replica: replica.clone(), grace };
            let stop = self.plan.push(stop, cause.clone(), after);
            for port in &container.ports {
                self.freed_ports
                    .entry((port.protocol, port.published))
                    .or_default()
                    .push((port.host_ip, stop));
            }
            after = vec![stop.succeeded()];
        }
        let remove = Action::RemoveContainer { replica, anonymous_volumes: AnonymousVolumes::Keep };
        self.plan.push(remove, cause, after)
    }

    /// Removes the old containers that use the network of a service's old ones, which Podman does not let go before them.
    fn remove_users_of(&mut self, provider: &str, after: &[After]) -> Vec<After> {
        let users = self.users.get(provider).cloned().unwrap_or_default();
        let mut removed = Vec::new();
        for user in users {
            let Some(mut converged) = self.services.remove(user) else { continue };
            for slot in &mut converged.slots {
                if let (Some(old), Some(now), None) = (&slot.replaces, &slot.now, slot.removed) {
                    let cause = Cause::Recreated(provider.to_owned());
                    // Only once its own successor is there too.
                    let mut after = after.to_vec();
                    after.extend(slot.ready.iter().map(|step| step.succeeded()));
                    let step = self.remove(old.clone(), now, cause, &after);
                    slot.removed = Some(step);
                }
                removed.extend(slot.removed.map(StepId::succeeded));
            }
            self.services.insert(user, converged);
        }
        removed
    }

    /// Starts what does not run, each container after its dependencies are as it needs them.
    fn start(&mut self, service: &'a Service) {
        let Some(mut converged) = self.services.remove(service.name.as_str()) else { return };
        let starts = self.desired.options.start == Start::Yes;
        let restarted_with: Option<String> = service
            .depends_on
            .iter()
            .find(|(name, dependency)| {
                dependency.restart
                    && self.services.get(name.as_str()).is_some_and(|converged| converged.recreated)
            })
            .map(|(name, _)| name.clone());
        let mut needs: Option<Vec<After>> = None;
        for slot in &mut converged.slots {
            let cause = match (&slot.now, &slot.replaces) {
                (Some(now), None) if now.state.is_running() && restarted_with.is_none() => None,
                (Some(now), None) if self.is_completed(service, now) => None,
                (Some(_), None) if restarted_with.is_some() => restarted_with.clone().map(Cause::Recreated),
                (Some(now), None) => Some(Cause::NotRunning(now.state.as_str())),
                (Some(_), Some(_)) => Some(Cause::Replaces),
                (None, _) => Some(Cause::Absent),
            };
            let Some(cause) = cause else {
                if slot.ready.is_empty() {
                    self.plan.unchanged.push(slot.replica.subject());
                }
                continue;
            };
            let needs = match (&needs, starts) {
                (_, false) => Vec::new(),
                (Some(needs), true) => needs.clone(),
                (None, true) => needs.insert(self.dependencies_of(service)).clone(),
            };
            let mut after: Vec<After> = slot.ready.iter().map(|step| step.succeeded()).collect();
            if let (Some(old), Some(now)) = (&slot.replaces, &slot.now) {
                // The old one runs on until its successor can be started.
                let mut gone: Vec<After> = after.iter().chain(&needs).copied().collect();
                let removed = match slot.removed {
                    Some(removed) => removed,
                    None => {
                        gone.extend(self.remove_users_of(&service.name, &gone));
                        gone.extend(self.orphans.iter().map(|step| step.ended()));
                        self.remove(old.clone(), now, Cause::Replaced, &gone)
                    }
                };
                if let Ok(to) = ContainerName::new(slot.replica.name.clone()) {
                    let rename = Action::RenameContainer { replica: slot.replica.clone(), to };
                    after = vec![self.plan.push(rename, Cause::Replaces, [removed.succeeded()]).succeeded()];
                }
            } else if let (Some(now), true, true) = (&slot.now, starts, restarted_with.is_some())
                && now.state.is_running()
            {
                let hooks = ("pre_stop", &service.pre_stop[..]);
                let last = self.plan.push_hooks(hooks, &slot.replica, &cause, &[]);
                let stop = Action::StopContainer {
                    replica: slot.replica.clone(),
                    grace: self.desired.options.timeout,
                };
                let stopped = self.plan.push(stop, cause.clone(), last.map(StepId::succeeded));
                after.push(stopped.succeeded());
            }
            if !starts {
                continue;
            }
            after.extend(needs);
            for port in &service.ports {
                let Some(wanted) = port.published.and_then(HostPort::only) else { continue };
                for (address, step) in self.freed_ports.get(&(port.protocol, wanted)).into_iter().flatten() {
                    if address.is_none() || port.host_ip.is_none() || *address == port.host_ip {
                        after.push(step.ended());
                    }
                }
            }
            let start = self.plan.push(Action::StartContainer(slot.replica.clone()), cause.clone(), after);
            // Dependents see it started when its hooks are over, as in docker compose.
            let hooks = ("post_start", &service.post_start[..]);
            let last = self.plan.push_hooks(hooks, &slot.replica, &cause, &[start.succeeded()]);
            slot.started = Some(last.unwrap_or(start));
        }
        self.services.insert(&service.name, converged);
    }

    /// A one-shot that others wait for and that has completed is not run again.
    fn is_completed(&self, service: &Service, now: &Container) -> bool {
        now.state == ContainerState::Exited && now.exit_code == Some(0) && self.is_one_shot(service)
    }

    fn is_one_shot(&self, service: &Service) -> bool {
        spec::restart(service) == RestartPolicy::No
            && self
                .dependents_of(&service.name)
                .any(|(_, needs)| needs.condition == Condition::ServiceCompletedSuccessfully)
    }

    /// The services that depend on one, and how.
    fn dependents_of(&self, name: &str) -> impl Iterator<Item = (&'a Service, &'a Dependency)> {
        let dependents = self.dependents.get(name).into_iter().flatten();
        dependents.filter_map(move |service| Some((*service, service.depends_on.get(name)?)))
    }

    /// The steps after which a service's containers can be started.
    fn dependencies_of(&mut self, service: &'a Service) -> Vec<After> {
        let mut after = Vec::new();
        for shared in spec::shared(service) {
            let provider = self.services.get(shared.service);
            let started = provider.into_iter().flat_map(|converged| &converged.slots);
            after.extend(started.filter_map(|slot| slot.started).map(StepId::succeeded));
        }
        for (name, dependency) in &service.depends_on {
            let steps = match dependency.condition {
                Condition::ServiceStarted => self
                    .services
                    .get(name.as_str())
                    .into_iter()
                    .flat_map(|converged| &converged.slots)
                    .filter_map(|slot| slot.started)
                    .collect(),
                condition => self.waits_for(name, condition),
            };
            after.extend(
                steps
                    .into_iter()
                    .map(|step| if dependency.required { step.succeeded() } else { step.ended() }),
            );
        }
        after
    }

    /// The steps that wait until a service is as its dependents need it, made once for all of them.
    fn waits_for(&mut self, name: &str, condition: Condition) -> Vec<StepId> {
        let key = (name.to_owned(), condition);
        if let Some(steps) = self.waits.get(&key) {
            return steps.clone();
        }
        let project = self.project();
        let (Some(service), Some(converged)) = (project.services.get(name), self.services.get(name).cloned())
        else {
            return Vec::new();
        };
        let mut waiting = Vec::new();
        let mut optional = true;
        for (dependent, needs) in self.dependents_of(name) {
            if needs.condition == condition && self.selected.contains(&dependent.name) {
                waiting.push(dependent.name.clone());
                optional &= !needs.required;
            }
        }
        let mut steps = Vec::new();
        for slot in &converged.slots {
            if slot.started.is_none() && slot.now.is_some_and(|now| satisfies(now, condition)) {
                continue;
            }
            let awaiting = Awaiting {
                replica: slot.replica.clone(),
                condition,
                waiting: waiting.clone(),
                optional,
                may_complete: false,
                interval: check_interval(service),
            };
            let after = slot.started.map(StepId::succeeded);
            steps.push(self.plan.push(Action::Await(awaiting), Cause::NeededBy(waiting.clone()), after));
        }
        self.waits.insert(key, steps.clone());
        steps
    }

    /// The last steps of `up --wait`.
    fn wait_for_all(&mut self) {
        if !matches!(self.desired.options.wait, Wait::Healthy { .. })
            || self.desired.options.start == Start::No
        {
            return;
        }
        let project = self.project();
        for (name, converged) in self.services.clone() {
            let Some(service) = project.services.get(name) else { continue };
            let checked = service
                .healthcheck
                .as_ref()
                .is_some_and(|check| check.test != Some(compose_file::HealthTest::None));
            let condition = if self.is_one_shot(service) {
                Condition::ServiceCompletedSuccessfully
            } else if checked {
                Condition::ServiceHealthy
            } else {
                Condition::ServiceStarted
            };
            if self.waits.contains_key(&(name.to_owned(), condition)) {
                continue;
            }
            for slot in &converged.slots {
                if slot.started.is_none() && slot.now.is_some_and(|now| satisfies(now, condition)) {
                    continue;
                }
                let awaiting = Awaiting {
                    replica: slot.replica.clone(),
                    condition,
                    waiting: Vec::new(),
                    optional: false,
                    may_complete: spec::restart(service) == RestartPolicy::No,
                    interval: check_interval(service),
                };
                let after = slot.started.map(StepId::succeeded);
                self.plan.push(Action::Await(awaiting), Cause::Requested, after);
            }
        }
    }
}

/// Mounts the volumes that nobody named in the successor of the container that they were made for, as docker compose does:
/// their data is nobody's to lose because something else has changed.
fn carry_over(spec: &mut ContainerSpec, old: &Container) -> Result<()> {
    for (path, name) in old.anonymous_volumes() {
        let volume = MountSourceSpec::Volume {
            name: ResourceName::volume(name)?,
            nocopy: false,
            subpath: None,
            labels: BTreeMap::new(),
        };
        match spec.mounts.iter_mut().find(|mount| mount.target == path) {
            Some(mount) if mount.source == MountSourceSpec::Anonymous => mount.source = volume,
            Some(_) => {}
            // One that the image asks for.
            None => {
                spec.mounts.push(MountSpec { source: volume, target: path.to_owned(), read_only: false });
            }
        }
    }
    Ok(())
}

fn check_interval(service: &Service) -> Duration {
    let check = service.healthcheck.as_ref();
    check
        .and_then(|check| check.start_interval.filter(|_| check.start_period.is_some()).or(check.interval))
        .unwrap_or(Duration::from_secs(30))
}

/// Whether a container that is not touched is already what a condition asks for.
fn satisfies(container: &Container, condition: Condition) -> bool {
    match condition {
        Condition::ServiceStarted => container.state.is_running(),
        Condition::ServiceHealthy => {
            container.state == ContainerState::Running
                && container.health_status() == Some(HealthStatus::Healthy)
        }
        Condition::ServiceCompletedSuccessfully => {
            container.state == ContainerState::Exited && container.exit_code == Some(0)
        }
    }
}

fn prerequisites(service: &Service) -> impl Iterator<Item = &str> {
    let shared = spec::shared(service).into_iter().map(|shared| shared.service);
    service.depends_on.keys().map(String::as_str).chain(shared)
}

pub(crate) fn is_oneoff(container: &Container) -> bool {
    container.label(labels::ONEOFF) == Some("True")
}

fn is_id(image: &str) -> bool {
    let digits = image.strip_prefix("sha256:").unwrap_or(image);
    digits.len() >= 12 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

pub(crate) fn existing(container: &Container) -> Replica {
    Replica {
        service: container.service().unwrap_or_default().to_owned(),
        name: container.name.clone(),
        container: ContainerRef::Existing(container.id.clone()),
    }
}

fn missing_external(kind: ResourceKind, name: &str) -> Error {
    Error::InvalidProject(format!(
        "{kind} {name:?} is declared as external and is not there; create it first"
    ))
}
