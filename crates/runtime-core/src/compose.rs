//! Compose over any engine.

mod develop;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap},
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use async_trait::async_trait;
use compose_file::{Project, ProjectName, PullPolicy, Service};
use futures_util::{
    StreamExt,
    future::ready,
    stream::{BoxStream, FuturesUnordered},
};
use tokio_util::sync::CancellationToken;

use crate::{
    Action, Afterwards, AnonymousVolumes, Archive, AttachSpec, Attached, Availability, BuildOptions,
    Building, Call, Changes, Container, ContainerFilter, ContainerId, ContainerRuntime, CopyOptions,
    CopySource, Dependencies, Desired, Detail, DevelopOptions, DownOptions, Ending, Endings, Engine,
    EngineInfo, Error, ExecSpec, Foreground, Image, ImageId, Kept, KillOptions, LogOptions, MachineAtEnd,
    MachineEnd, MachineHost, MachineProblem, MachineStatus, MachineStop, Member, Observed, OneOff, Pause,
    Phase, Plan, ProcessTable, Progress, ProjectEvents, ProjectLogs, ProjectStats, ProjectSummary, Projects,
    PullOptions, PushOptions, RemoveOptions, Resource, ResourceKind, RestartOptions, Result, RunOptions,
    RunTalk, RuntimeKind, Scope, Session, SessionEvent, ShutdownOptions, ShutdownOutcome, SignalName, Sought,
    StatsOptions, StopOptions, Subject, TalkOptions, Target, UpOptions, UpOutcome, Wait, Work, confine, copy,
    execute::{Execution, execute},
    flight::Flight,
    foresee::{Foreseen, ForeseenMachine},
    labels,
    lifecycle::{Lifecycle, Ours},
    oneoff, plan_down, plan_kill, plan_pause, plan_remove, plan_restart, plan_start, plan_stop, plan_up,
    project_logs::{self, What},
    reconcile, scope_of_up,
    shutdown::Gate,
    spec,
    takedown::scope_of_down,
    usage, watch,
};

/// A [`ContainerRuntime`] made of an [`Engine`], and of a [`MachineHost`] where the engine needs one.
///
/// Cheap to clone; clones are the same runtime.
#[derive(Debug, Clone)]
pub struct Compose {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    engine: Arc<dyn Engine>,
    machine: Option<Lifecycle>,
    owner: String,
    /// One lock for each project that is being changed.
    writers: Mutex<HashMap<ProjectName, Weak<tokio::sync::Mutex<()>>>>,
    gate: Gate,
    ending: Flight<ShutdownOutcome>,
    /// Cancelled by who will not wait for the end in peace.
    hurried: CancellationToken,
}

/// What a runtime is made of, before anything is done with it.
impl Compose {
    /// A runtime over that engine. Does no I/O.
    pub fn new(engine: impl Engine) -> Self {
        Self::assemble(Arc::new(engine), None, "longshore".to_owned())
    }

    fn assemble(engine: Arc<dyn Engine>, machine: Option<Lifecycle>, owner: String) -> Self {
        let shared = Shared {
            engine,
            machine,
            owner,
            writers: Mutex::default(),
            gate: Gate::default(),
            ending: Flight::default(),
            hurried: CancellationToken::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The same with a machine that the engine lives in.
    #[must_use]
    pub fn with_machine(self, machine: Arc<dyn MachineHost>) -> Self {
        let engine = self.shared.engine.clone();
        Self::assemble(engine.clone(), Some(Lifecycle::new(machine, engine)), self.shared.owner.clone())
    }

    /// The same with another name for whose the containers are: the value of [`labels::OWNER`], `longshore` if not told.
    #[must_use]
    pub fn with_owner(self, owner: impl Into<String>) -> Self {
        let machine = self.shared.machine.as_ref().map(Lifecycle::again);
        Self::assemble(self.shared.engine.clone(), machine, owner.into())
    }

    /// The engine.
    pub fn engine(&self) -> &Arc<dyn Engine> {
        &self.shared.engine
    }
}

impl Compose {
    /// Makes the machine ready, where there is one.
    async fn ready(&self, call: &Call) -> Result<()> {
        match &self.shared.machine {
            Some(machine) => machine.ensure(call).await.map(|_| ()),
            None => Ok(()),
        }
    }

    /// Awaits an answer of the engine. That it cannot be had because the machine is off is told so.
    async fn asking<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let error = match work.await {
            Err(error @ (Error::NotReachable { .. } | Error::TimedOut { .. } | Error::Command(_))) => error,
            outcome => return outcome,
        };
        let Some(machine) = &self.shared.machine else { return Err(error) };
        let problem = match machine.host().status().await {
            Ok(MachineStatus::Absent) => MachineProblem::Missing,
            Ok(MachineStatus::Stopped | MachineStatus::Stopping) => MachineProblem::Stopped,
            Ok(MachineStatus::NotAnswering(why)) => MachineProblem::NotAnswering(why),
            _ => return Err(error),
        };
        Err(Error::Machine { name: machine.host().name().to_owned(), problem })
    }

    /// Whether there is a machine, and it is certainly off: nothing runs there.
    async fn is_off(&self) -> Result<bool> {
        let Some(machine) = &self.shared.machine else { return Ok(false) };
        Ok(matches!(machine.host().status().await?, MachineStatus::Absent | MachineStatus::Stopped))
    }

    /// Waits until nobody else changes the project; callers come in their order.
    async fn write(&self, project: &ProjectName, call: &Call) -> Result<tokio::sync::OwnedMutexGuard<()>> {
        let lock = {
            let mut writers = self.shared.writers.lock().unwrap_or_else(PoisonError::into_inner);
            writers.retain(|_, lock| lock.strong_count() > 0);
            match writers.get(project).and_then(Weak::upgrade) {
                Some(lock) => lock,
                None => {
                    let lock = Arc::new(tokio::sync::Mutex::new(()));
                    writers.insert(project.clone(), Arc::downgrade(&lock));
                    lock
                }
            }
        };
        call.cancel.run_until_cancelled(lock.lock_owned()).await.ok_or(Error::Cancelled)
    }

    /// Awaits an engine's answer unless the caller cancels.
    async fn unless_cancelled<T>(&self, call: &Call, work: impl Future<Output = Result<T>>) -> Result<T> {
        call.cancel.run_until_cancelled(work).await.unwrap_or(Err(Error::Cancelled))
    }

    fn plan_up(&self, project: &Project, options: &UpOptions, observed: &Observed) -> Result<Plan> {
        self.possible(plan_up(Desired { project, options, owner: &self.shared.owner }, observed)?)
    }

    /// The plan with what the engine does without; one that has what it cannot do is refused before anything is made.
    fn possible(&self, mut plan: Plan) -> Result<Plan> {
        let mut warnings = BTreeSet::new();
        for step in &plan.steps {
            match confine::without(&*self.shared.engine, &step.action) {
                // It may never be done.
                Err(_) if step.is_fallback() => {}
                without => warnings.extend(without?),
            }
        }
        plan.warnings.extend(warnings);
        Ok(plan)
    }

    /// A project's containers alone.
    async fn observe(&self, target: &Target, detail: Detail) -> Result<Observed> {
        self.shared.engine.observe(&Scope { detail, ..Scope::new(target.name.clone()) }).await
    }

    /// Pulls images side by side; all of them are tried. Of what can be done without, because it can be built for one, a failure is
    /// only told: returns these.
    async fn pull_images(
        &self,
        images: BTreeSet<String>,
        dispensable: &BTreeSet<String>,
        call: &Call,
    ) -> Result<BTreeSet<String>> {
        let mut pulls: FuturesUnordered<_> = images
            .iter()
            .map(|image| async move {
                let subject = Subject::Image(image.clone());
                let ongoing = call.progress.begin(subject.clone(), Work::Pull);
                match self.shared.engine.pull(image, &call.progress).await {
                    Err(error) if dispensable.contains(image) => {
                        call.progress.report(subject, Phase::Warning(error.to_string()));
                        Ok(Some(image.clone()))
                    }
                    outcome => {
                        ongoing.ended(&outcome);
                        outcome.map(|_| None)
                    }
                }
            })
            .collect();
        let all = async {
            let mut all = Ok(BTreeSet::new());
            while let Some(outcome) = pulls.next().await {
                match (&mut all, outcome) {
                    (Ok(failed), Ok(image)) => failed.extend(image),
                    (Ok(_), Err(error)) => all = Err(error),
                    (Err(_), _) => {}
                }
            }
            all
        };
        self.unless_cancelled(call, all).await
    }

    fn checked_target(target: &Target, observed: &Observed) -> Result<()> {
        let there: BTreeSet<&str> = observed.containers.iter().filter_map(Container::service).collect();
        let in_file = |name: &String| {
            target.project.as_ref().is_some_and(|project| project.services.contains_key(name))
        };
        match target.services.iter().find(|name| !there.contains(name.as_str()) && !in_file(name)) {
            Some(unknown) => Err(Error::NotFound { kind: ResourceKind::Service, name: unknown.clone() }),
            None => Ok(()),
        }
    }
}

/// Whether a service's image is one that somebody else has.
fn is_pulled(service: &Service) -> bool {
    !service.is_only_built() && service.provider.is_none()
}

/// Twelve hexadecimal digits that nobody else has.
fn slug() -> String {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let number = RandomState::new().build_hasher().finish();
    format!("{:012x}", number & 0xffff_ffff_ffff)
}

/// What a container says, which is removed before its end is told. That it cannot be removed is told in place of that.
fn removing(
    output: BoxStream<'static, Result<SessionEvent>>,
    engine: Arc<dyn Engine>,
    id: ContainerId,
) -> BoxStream<'static, Result<SessionEvent>> {
    let removed = output.then(move |event| {
        let (engine, id) = (engine.clone(), id.clone());
        async move {
            if let Ok(SessionEvent::Ended { .. }) = event {
                match engine.remove_container(&id, AnonymousVolumes::Remove).await {
                    Ok(()) | Err(Error::NotFound { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            event
        }
    });
    removed.boxed()
}

/// The calls as they are once they are let in.
impl Compose {
    /// Does a plan that only builds. Returns how many images were built.
    async fn build_inside(&self, project: &Project, options: &BuildOptions, call: &Call) -> Result<usize> {
        let plan = reconcile::plan_build(project, options)?;
        if plan.is_empty() {
            return Ok(0);
        }
        // What it lacks an engine knows once it has answered.
        self.unless_cancelled(call, self.shared.engine.info()).await?;
        let plan = self.possible(plan)?;
        self.has_what_it_builds_from(&plan).await?;
        execute(&*self.shared.engine, &plan, call, Execution::default()).await
    }

    /// Looks for the files of all builds, so that what is missing is told before anything is made.
    async fn has_what_it_builds_from(&self, plan: &Plan) -> Result<()> {
        for step in &plan.steps {
            if let Action::BuildImage(spec) = &step.action
                && !step.is_fallback()
            {
                spec.has_its_files().await?;
            }
        }
        Ok(())
    }

    /// Builds what is to be built though it is here, which decides whether its containers are recreated: it comes first.
    /// Returns how many were built, and the project in which nothing has to be built again.
    async fn built_always<'p>(
        &self,
        project: Cow<'p, Project>,
        selected: &BTreeSet<String>,
        building: &mut Building,
        call: &Call,
    ) -> Result<(usize, Cow<'p, Project>)> {
        let is_meant = |service: &&Service| {
            selected.contains(&service.name) && reconcile::is_always_built(service, *building)
        };
        let services: BTreeSet<String> =
            project.services.values().filter(is_meant).map(|service| service.name.clone()).collect();
        if services.is_empty() {
            return Ok((0, project));
        }
        let options = BuildOptions { services, ..BuildOptions::default() };
        let count = self.build_inside(&project, &options, call).await?;
        *building = Building::Missing;
        let mut project = project;
        for name in &options.services {
            if let Some(service) = project.to_mut().services.get_mut(name) {
                service.pull_policy = PullPolicy::Missing;
            }
        }
        Ok((count, project))
    }

    /// Pulls what is to be pulled though it is here, which decides whether its containers are recreated: it comes first. What cannot
    /// be had, and can be built, is built if it is not here, as in docker compose. Returns the project in which nothing has to be pulled again.
    async fn pulled_always<'p>(
        &self,
        mut project: Cow<'p, Project>,
        selected: &BTreeSet<String>,
        scale: &BTreeMap<String, u32>,
        call: &Call,
    ) -> Result<Cow<'p, Project>> {
        let is_meant = |service: &&Service| {
            let wanted = scale.get(&service.name).copied().unwrap_or(service.scale);
            selected.contains(&service.name) && wanted > 0
        };
        let services = || project.services.values().filter(is_meant);
        let is_due = |service: &&Service| service.pull_policy == PullPolicy::Always && is_pulled(service);
        let image = |service: &Service| service.image.clone();
        let always: BTreeSet<String> = services().filter(is_due).map(image).collect();
        if always.is_empty() {
            return Ok(project);
        }
        let buildable = services().filter(|service| service.build.is_some()).map(image).collect();
        let failed = self.pull_images(always, &buildable, call).await?;
        for service in project.to_mut().services.values_mut() {
            if service.pull_policy == PullPolicy::Always {
                service.pull_policy = match failed.contains(&service.image) {
                    true => PullPolicy::Never,
                    false => PullPolicy::Missing,
                };
            }
        }
        Ok(project)
    }

    async fn push_inside(&self, project: &Project, options: &PushOptions, call: &Call) -> Result<usize> {
        let dependencies = match options.with_dependencies {
            true => Dependencies::Include,
            false => Dependencies::Ignore,
        };
        let selected = reconcile::selected_services(project, &options.services, dependencies)?;
        self.ready(call).await?;
        let services = selected.iter().filter_map(|name| project.services.get(name));
        // As docker compose: what is not named has no registry, and what is not built here is somebody else's.
        let images: BTreeSet<&str> = services
            .filter(|service| !service.is_only_built())
            .filter_map(|service| Some((service, service.build.as_ref()?)))
            .flat_map(|(service, build)| [&service.image].into_iter().chain(&build.tags))
            .map(String::as_str)
            .collect();
        let pushes: FuturesUnordered<_> = images
            .iter()
            .map(|image| async move {
                let subject = Subject::Image((*image).to_owned());
                let ongoing = call.progress.begin(subject.clone(), Work::Push);
                let outcome = self.shared.engine.push(image, &call.progress).await;
                match outcome {
                    Err(error) if options.ignore_failures => {
                        call.progress.report(subject, Phase::Warning(error.to_string()));
                        Ok(())
                    }
                    outcome => {
                        ongoing.ended(&outcome);
                        outcome
                    }
                }
            })
            .collect();
        let all = pushes.fold(Ok(()), |first: Result<()>, outcome| ready(first.and(outcome)));
        self.unless_cancelled(call, all).await?;
        Ok(images.len())
    }

    async fn pull_inside(&self, project: &Project, options: PullOptions, call: &Call) -> Result<()> {
        self.ready(call).await?;
        let services = project.services.values();
        let due = services.filter(|service| service.pull_policy != PullPolicy::Never && is_pulled(service));
        let mut images: BTreeSet<String> = due.map(|service| service.image.clone()).collect();
        if options.only_missing {
            let only = Scope::new(project.name.clone());
            let scope = Scope { images: images.clone(), detail: Detail::Listed, ..only };
            let observed = self.unless_cancelled(call, self.shared.engine.observe(&scope)).await?;
            images.retain(|image| !observed.images.contains_key(image));
        }
        let told = if options.ignore_failures { images.clone() } else { BTreeSet::new() };
        self.pull_images(images, &told, call).await.map(|_| ())
    }

    async fn up_inside(&self, project: &Project, options: &UpOptions, call: &Call) -> Result<UpOutcome> {
        self.ready(call).await?;
        let _writer = self.write(&project.name, call).await?;
        let selected = reconcile::selected_services(project, &options.services, options.dependencies)?;
        let mut options = options.clone();
        let (built, planned) =
            self.built_always(Cow::Borrowed(project), &selected, &mut options.build, call).await?;
        let planned = self.pulled_always(planned, &selected, &options.scale, call).await?;
        let (observed, plan) = self.plan_closely(&planned, &options, call).await?;
        self.has_what_it_builds_from(&plan).await?;
        let wait = match options.wait {
            Wait::Healthy { timeout } => timeout,
            Wait::Started => None,
        };
        let steps =
            execute(&*self.shared.engine, &plan, call, Execution { images: observed.images, wait }).await?;
        Ok(UpOutcome { steps: built + steps, started: plan.started() })
    }

    /// Plans an `up` over what a list tells, which is enough if nothing is there or nothing is to be done; else over a closer look.
    async fn plan_closely(
        &self,
        project: &Project,
        options: &UpOptions,
        call: &Call,
    ) -> Result<(Observed, Plan)> {
        let whole = scope_of_up(project);
        let listed = Scope { detail: Detail::Listed, ..whole.clone() };
        let observed = self.unless_cancelled(call, self.shared.engine.observe(&listed)).await?;
        match self.plan_up(project, options, &observed) {
            Ok(plan) if plan.is_empty() || observed.containers.is_empty() => return Ok((observed, plan)),
            Err(error) if observed.containers.is_empty() => return Err(error),
            _ => {}
        }
        let rest = Scope { images: BTreeSet::new(), ..whole };
        let closer = self.unless_cancelled(call, self.shared.engine.observe(&rest)).await?;
        let observed = Observed { images: observed.images, ..closer };
        let plan = self.plan_up(project, options, &observed)?;
        Ok((observed, plan))
    }

    async fn start_inside(&self, target: &Target, call: &Call) -> Result<()> {
        self.ready(call).await?;
        let _writer = self.write(&target.name, call).await?;
        let observed = self.unless_cancelled(call, self.observe(target, Detail::Whole)).await?;
        if observed.containers.is_empty() {
            return Err(Error::NotFound { kind: ResourceKind::Project, name: target.name.to_string() });
        }
        Self::checked_target(target, &observed)?;
        let plan = plan_start(target, &observed);
        execute(&*self.shared.engine, &plan, call, Execution::default()).await.map(|_| ())
    }

    async fn stop_inside(&self, target: &Target, options: &StopOptions, call: &Call) -> Result<()> {
        let _writer = self.write(&target.name, call).await?;
        let observed = self.unless_cancelled(call, self.observe(target, Detail::Listed)).await?;
        Self::checked_target(target, &observed)?;
        let plan = plan_stop(target, options, &observed);
        execute(&*self.shared.engine, &plan, call, Execution::default()).await.map(|_| ())
    }

    /// Plans over what is there and does it. Nothing of it there is nothing to do.
    async fn change_inside(
        &self,
        target: &Target,
        call: &Call,
        plan: impl FnOnce(&Observed) -> Plan + Send,
    ) -> Result<usize> {
        // Nothing runs in a machine that is off, and what is stopped there can wait.
        if self.is_off().await? {
            return Ok(0);
        }
        let _writer = self.write(&target.name, call).await?;
        let observed = self.unless_cancelled(call, self.observe(target, Detail::Listed)).await?;
        Self::checked_target(target, &observed)?;
        execute(&*self.shared.engine, &plan(&observed), call, Execution::default()).await
    }

    async fn down_inside(&self, target: &Target, options: &DownOptions, call: &Call) -> Result<()> {
        let _writer = self.write(&target.name, call).await?;
        let scope = scope_of_down(target, options);
        let observe = || self.shared.engine.observe(&scope);
        let mut observed = self.unless_cancelled(call, observe()).await?;
        Self::checked_target(target, &observed)?;
        loop {
            let plan = plan_down(target, options, &observed)?;
            let in_use = match execute(&*self.shared.engine, &plan, call, Execution::default()).await {
                Err(error @ Error::InUse { .. }) => error,
                outcome => return outcome.map(|_| ()),
            };
            // An engine may end a call whose caller is gone, and make a container when we have looked.
            let seen: BTreeSet<ContainerId> = observed.containers.into_iter().map(|one| one.id).collect();
            observed = self.unless_cancelled(call, observe()).await?;
            if observed.containers.iter().all(|one| seen.contains(&one.id)) {
                return Err(in_use);
            }
        }
    }

    /// The containers of a target's services, one-offs left out, sorted.
    async fn containers_of(&self, target: &Target) -> Result<Vec<Container>> {
        let mut containers = self.ps(&target.name).await?;
        let there = Observed { containers: containers.clone(), ..Observed::default() };
        Self::checked_target(target, &there)?;
        containers.retain(|container| target.means(container.service().unwrap_or_default()));
        Ok(containers)
    }

    /// The running container that is meant.
    async fn member(&self, project: &ProjectName, member: &Member) -> Result<Container> {
        let containers = self.ps(project).await?;
        member.running(&containers).cloned()
    }

    async fn run_inside(&self, project: &Project, run: &RunOptions, call: &Call) -> Result<OneOff> {
        self.ready(call).await?;
        let _writer = self.write(&project.name, call).await?;
        let slug = slug();
        let project = oneoff::project_of_run(project, run, &slug)?;
        let mut options = UpOptions {
            services: [run.service.clone()].into(),
            dependencies: run.dependencies,
            build: run.build,
            orphans: run.orphans,
            ..UpOptions::default()
        };
        let selected = reconcile::selected_services(&project, &options.services, options.dependencies)?;
        let (_, project) =
            self.built_always(Cow::Owned(project), &selected, &mut options.build, call).await?;
        let project = self.pulled_always(project, &selected, &options.scale, call).await?;
        let engine = &self.shared.engine;
        let observed = self.unless_cancelled(call, engine.observe(&scope_of_up(&project))).await?;
        let desired = Desired { project: &project, options: &options, owner: &self.shared.owner };
        let plan = self.possible(reconcile::plan_run(desired, run, &slug, &observed)?)?;
        self.has_what_it_builds_from(&plan).await?;
        let execution = Execution { images: observed.images, wait: None };
        execute(&**engine, &plan, call, execution).await?;
        // Its name is its own, as its slug is, or was free when it was created.
        let name = spec::container_name(&project.name, &project.services[&run.service], 1);
        let container = self.unless_cancelled(call, engine.inspect(&name)).await?;
        let id = container.id;
        if run.talk == RunTalk::Detached {
            self.unless_cancelled(call, engine.start_container(&id)).await?;
            return Ok(OneOff::new(id, name, None));
        }
        let detach_keys = run.detach_keys.clone();
        let spec = AttachSpec { stdin: run.stdin, tty: run.tty, start: true, detach_keys };
        let mut session = self.unless_cancelled(call, engine.attach(&id, &spec)).await?;
        if run.afterwards == Afterwards::Remove {
            session.output = removing(session.output, engine.clone(), id.clone());
        }
        let session = session.letting_go_at(&run.detach_keys, run.tty);
        Ok(OneOff::new(id, name, Some(session)))
    }

    async fn copy_inside(
        &self,
        containers: &[Container],
        path: &str,
        source: CopySource,
        options: CopyOptions,
        call: &Call,
    ) -> Result<()> {
        let engine = &*self.shared.engine;
        let begun = containers.iter().map(|container| {
            let service = container.service().unwrap_or_default().to_owned();
            let subject = Subject::Container { service, name: container.name.clone() };
            call.progress.begin(subject, Work::Copy)
        });
        let begun: Vec<_> = begun.collect();
        let ids: Vec<ContainerId> = containers.iter().map(|container| container.id.clone()).collect();
        let outcome = match source {
            CopySource::Archive(archive) => {
                copy::copy_archive_to(engine, &ids, path, archive, options.owner).await
            }
            CopySource::Path(from) => {
                let copies = ids.iter().map(|id| copy::copy_path_to(engine, id, path, &from, options));
                futures_util::future::try_join_all(copies).await.map(|_| ())
            }
        };
        begun.into_iter().for_each(|one| one.ended(&outcome));
        outcome
    }

    /// What a shutdown does, once.
    async fn end(&self, options: &ShutdownOptions, progress: &Progress) -> Result<ShutdownOutcome> {
        self.shared.gate.empty(options.drain, &self.shared.hurried).await;
        let outcome = self.end_projects(options, progress).await;
        self.shared.engine.close().await;
        outcome
    }

    /// Ends the containers, and then the machine.
    async fn end_projects(&self, options: &ShutdownOptions, progress: &Progress) -> Result<ShutdownOutcome> {
        let Shared { engine, machine, owner, .. } = &*self.shared;
        let may_end = Ours { owner, projects: &options.projects };
        let mut outcome =
            ShutdownOutcome { stopped: BTreeSet::new(), failed: Vec::new(), machine: MachineEnd::NotNeeded };
        let goes_off = [MachineStatus::Absent, MachineStatus::Stopped, MachineStatus::Stopping];
        if let Some(machine) = machine
            && goes_off.contains(&machine.host().status().await?)
        {
            // What ran in it has ended.
            outcome.machine = machine.stop_if_safe(may_end, progress).await;
            return Ok(outcome);
        }
        let ours = ContainerFilter {
            running: true,
            labels: vec![(labels::OWNER.to_owned(), Some(owner.clone()))],
            detail: Detail::Listed,
        };
        let running = self.asking(engine.list(&ours)).await?;
        let mut projects: BTreeSet<ProjectName> = running
            .iter()
            .filter_map(|container| ProjectName::new(container.label(labels::PROJECT)?).ok())
            .collect();
        if let Projects::Only(only) = &options.projects {
            projects.retain(|name| only.contains(name));
        }
        let mut stops: FuturesUnordered<_> = projects
            .into_iter()
            .map(|name| async move {
                let stop = self.stop_at_end(&name, options, progress);
                let stopped = tokio::time::timeout(options.budget, stop).await;
                let late =
                    || Error::TimedOut { what: format!("stopping project {name}"), after: options.budget };
                (stopped.unwrap_or_else(|_| Err(late())), name)
            })
            .collect();
        while let Some((stopped, name)) = stops.next().await {
            match stopped {
                Ok(()) => {
                    outcome.stopped.insert(name);
                }
                Err(error) => outcome.failed.push((name, error)),
            }
        }
        outcome.machine = match (machine, options.machine) {
            (None, _) => MachineEnd::NotNeeded,
            (Some(_), MachineAtEnd::Leave) => MachineEnd::Kept(Kept::Told),
            (Some(machine), MachineAtEnd::StopIfSafe) => machine.stop_if_safe(may_end, progress).await,
        };
        Ok(outcome)
    }

    /// Stops a project in peace, or, once the end is hurried, at once.
    async fn stop_at_end(
        &self,
        name: &ProjectName,
        options: &ShutdownOptions,
        progress: &Progress,
    ) -> Result<()> {
        let target = Target::name(name.clone());
        let hurried = &self.shared.hurried;
        let gently = Call { progress: progress.clone(), cancel: hurried.clone() };
        let in_peace = StopOptions { timeout: options.grace };
        match self.stop_inside(&target, &in_peace, &gently).await {
            Err(Error::Cancelled) if hurried.is_cancelled() => {}
            outcome => return outcome,
        }
        let call = Call { progress: progress.clone(), cancel: CancellationToken::new() };
        self.stop_inside(&target, &StopOptions { timeout: Some(Duration::ZERO) }, &call).await
    }
}

#[async_trait]
impl ContainerRuntime for Compose {
    fn kind(&self) -> RuntimeKind {
        self.shared.engine.kind()
    }

    fn foresee(&self) -> Arc<dyn ContainerRuntime> {
        let foreseen = Arc::new(Foreseen::new(self.shared.engine.clone()));
        let machine = self.shared.machine.as_ref().map(|machine| {
            let host = Arc::new(ForeseenMachine::new(machine.host().clone()));
            Lifecycle::new(host, foreseen.clone())
        });
        Arc::new(Compose::assemble(foreseen, machine, self.shared.owner.clone()))
    }

    async fn availability(&self) -> Availability {
        if let Some(machine) = &self.shared.machine {
            match machine.host().status().await {
                Ok(MachineStatus::Running | MachineStatus::NotNeeded) => {}
                Ok(status) => return Availability::NeedsMachine(status),
                Err(error) => return Availability::Unavailable(error),
            }
        }
        match self.shared.engine.info().await {
            Ok(info) => Availability::Ready(info),
            Err(error) => Availability::Unavailable(error),
        }
    }

    async fn machine_status(&self) -> Result<MachineStatus> {
        match &self.shared.machine {
            Some(machine) => machine.host().status().await,
            None => Ok(MachineStatus::NotNeeded),
        }
    }

    async fn machine_init(&self, call: &Call) -> Result<()> {
        let Some(machine) = &self.shared.machine else { return Ok(()) };
        self.shared.gate.within(call, |call| async move { machine.init(&call).await }).await
    }

    async fn machine_start(&self, call: &Call) -> Result<()> {
        let Some(machine) = &self.shared.machine else { return Ok(()) };
        self.shared.gate.within(call, |call| async move { machine.start(&call).await }).await
    }

    async fn machine_stop(&self, how: MachineStop, call: &Call) -> Result<()> {
        let Some(machine) = &self.shared.machine else { return Ok(()) };
        let owner = &self.shared.owner;
        self.shared.gate.within(call, |call| async move { machine.stop(owner, how, &call).await }).await
    }

    async fn ensure_ready(&self, call: &Call) -> Result<EngineInfo> {
        let work = |call: Call| async move {
            match &self.shared.machine {
                Some(machine) => machine.ensure(&call).await,
                None => self.unless_cancelled(&call, self.shared.engine.info()).await,
            }
        };
        self.shared.gate.within(call, work).await
    }

    async fn pull(&self, project: &Project, options: &PullOptions, call: &Call) -> Result<()> {
        let options = *options;
        self.shared
            .gate
            .within(call, |call| async move { self.pull_inside(project, options, &call).await })
            .await
    }

    async fn build(&self, project: &Project, options: &BuildOptions, call: &Call) -> Result<usize> {
        let work = |call: Call| async move {
            self.ready(&call).await?;
            self.build_inside(project, options, &call).await
        };
        self.shared.gate.within(call, work).await
    }

    async fn push(&self, project: &Project, options: &PushOptions, call: &Call) -> Result<usize> {
        let work = |call: Call| async move { self.push_inside(project, options, &call).await };
        self.shared.gate.within(call, work).await
    }

    async fn plan(&self, project: &Project, options: &UpOptions) -> Result<Plan> {
        let observed = self.asking(self.shared.engine.observe(&scope_of_up(project))).await?;
        self.plan_up(project, options, &observed)
    }

    async fn up(&self, project: &Project, options: &UpOptions, call: &Call) -> Result<UpOutcome> {
        self.shared
            .gate
            .within(call, |call| async move { self.up_inside(project, options, &call).await })
            .await
    }

    async fn start(&self, target: &Target, call: &Call) -> Result<()> {
        self.shared.gate.within(call, |call| async move { self.start_inside(target, &call).await }).await
    }

    async fn stop(&self, target: &Target, options: &StopOptions, call: &Call) -> Result<()> {
        let work = |call: Call| async move {
            // Nothing runs in a machine that is off.
            if self.is_off().await? {
                return Ok(());
            }
            self.stop_inside(target, options, &call).await
        };
        self.shared.gate.within(call, work).await
    }

    async fn restart(&self, target: &Target, options: &RestartOptions, call: &Call) -> Result<()> {
        let plan = |observed: &Observed| plan_restart(target, options, observed);
        let work = |call: Call| async move { self.change_inside(target, &call, plan).await };
        self.shared.gate.within(call, work).await.map(|_| ())
    }

    async fn kill(&self, target: &Target, options: &KillOptions, call: &Call) -> Result<usize> {
        let plan = |observed: &Observed| plan_kill(target, options, observed);
        let work = |call: Call| async move { self.change_inside(target, &call, plan).await };
        self.shared.gate.within(call, work).await
    }

    async fn pause(&self, target: &Target, pause: Pause, call: &Call) -> Result<()> {
        let plan = |observed: &Observed| plan_pause(target, pause, observed);
        let work = |call: Call| async move { self.change_inside(target, &call, plan).await };
        self.shared.gate.within(call, work).await.map(|_| ())
    }

    async fn remove(&self, target: &Target, options: &RemoveOptions, call: &Call) -> Result<()> {
        let plan = |observed: &Observed| plan_remove(target, options, observed);
        let work = |call: Call| async move { self.change_inside(target, &call, plan).await };
        self.shared.gate.within(call, work).await.map(|_| ())
    }

    async fn wait(&self, target: &Target) -> Result<Endings> {
        let observed = self.asking(self.observe(target, Detail::Listed)).await?;
        Self::checked_target(target, &observed)?;
        let is_meant = |container: &Container| {
            let service = container.service().unwrap_or_default();
            container.state.is_running() && target.means(service)
        };
        let waits: FuturesUnordered<_> = observed
            .containers
            .into_iter()
            .filter(is_meant)
            .map(|container| {
                let engine = self.shared.engine.clone();
                async move {
                    let exit_code = engine.wait_container(&container.id).await?;
                    let service = container.service().unwrap_or_default().to_owned();
                    Ok(Ending { service, container: container.name, id: container.id, exit_code })
                }
            })
            .collect();
        if waits.is_empty() {
            return Err(Error::NotFound { kind: ResourceKind::Project, name: target.name.to_string() });
        }
        Ok(waits.boxed())
    }

    async fn exec(&self, project: &ProjectName, member: &Member, spec: &ExecSpec) -> Result<Session> {
        let container = self.member(project, member).await?;
        let session = self.asking(self.shared.engine.exec_session(&container.id, spec)).await?;
        Ok(session.letting_go_at(&spec.detach_keys, spec.tty))
    }

    async fn exec_detached(&self, project: &ProjectName, member: &Member, spec: &ExecSpec) -> Result<()> {
        let container = self.member(project, member).await?;
        self.asking(self.shared.engine.exec_detached(&container.id, spec)).await
    }

    async fn talk(
        &self,
        project: &ProjectName,
        member: &Member,
        options: &TalkOptions,
    ) -> Result<(Container, Session)> {
        let container = self.member(project, member).await?;
        let TalkOptions { stdin, detach_keys } = options.clone();
        let spec = AttachSpec { stdin, tty: container.tty, start: false, detach_keys };
        let session = self.asking(self.shared.engine.attach(&container.id, &spec)).await?;
        Ok((container, session.letting_go_at(&spec.detach_keys, spec.tty)))
    }

    async fn copy_from(
        &self,
        project: &ProjectName,
        member: &Member,
        path: &str,
        options: &CopyOptions,
    ) -> Result<Archive> {
        let containers = member.all(self.ps(project).await?)?;
        let engine = &*self.shared.engine;
        self.asking(copy::copy_from(engine, &containers[0].id, path, options.links)).await
    }

    async fn copy_to(
        &self,
        project: &ProjectName,
        member: &Member,
        path: &str,
        source: CopySource,
        options: &CopyOptions,
        call: &Call,
    ) -> Result<Vec<Container>> {
        let containers = member.all(self.ps(project).await?)?;
        let there = &containers;
        let work = |call: Call| async move {
            let copying = self.copy_inside(there, path, source, *options, &call);
            self.unless_cancelled(&call, self.asking(copying)).await
        };
        self.shared.gate.within(call, work).await?;
        Ok(containers)
    }

    async fn run(&self, project: &Project, options: &RunOptions, call: &Call) -> Result<OneOff> {
        let work = |call: Call| async move { self.run_inside(project, options, &call).await };
        self.shared.gate.within(call, work).await
    }

    async fn signal(&self, id: &ContainerId, signal: &SignalName) -> Result<()> {
        self.asking(self.shared.engine.kill_container(id, signal.as_str())).await
    }

    async fn down(&self, target: &Target, options: &DownOptions, call: &Call) -> Result<()> {
        let work = |call: Call| async move {
            if self.machine_status().await? == MachineStatus::Absent {
                return Ok(());
            }
            self.ready(&call).await?;
            self.down_inside(target, options, &call).await
        };
        self.shared.gate.within(call, work).await
    }

    async fn ps(&self, project: &ProjectName) -> Result<Vec<Container>> {
        let filter = ContainerFilter {
            running: false,
            labels: vec![(labels::PROJECT.to_owned(), Some(project.to_string()))],
            detail: Detail::Whole,
        };
        let mut containers = self.asking(self.shared.engine.list(&filter)).await?;
        containers.retain(|container| !reconcile::is_oneoff(container));
        containers
            .sort_by(|a, b| (a.service(), a.number(), &a.name).cmp(&(b.service(), b.number(), &b.name)));
        Ok(containers)
    }

    async fn projects(&self) -> Result<Vec<ProjectSummary>> {
        let filter = ContainerFilter {
            running: false,
            labels: vec![(labels::PROJECT.to_owned(), None), (labels::CONFIG_HASH.to_owned(), None)],
            detail: Detail::Listed,
        };
        let mut projects: BTreeMap<String, ProjectSummary> = BTreeMap::new();
        for container in self.asking(self.shared.engine.list(&filter)).await? {
            let Some(name) = container.label(labels::PROJECT) else { continue };
            let summary = projects.entry(name.to_owned()).or_insert_with(|| ProjectSummary {
                name: name.to_owned(),
                states: BTreeMap::new(),
                config_files: None,
            });
            *summary.states.entry(container.state.as_str().to_owned()).or_default() += 1;
            let files = container.label(labels::CONFIG_FILES).filter(|files| !files.is_empty());
            summary.config_files = summary.config_files.take().or(files.map(str::to_owned));
        }
        Ok(projects.into_values().collect())
    }

    async fn top(&self, target: &Target) -> Result<Vec<(Container, ProcessTable)>> {
        let mut tables = Vec::new();
        for container in self.containers_of(target).await? {
            if !container.state.is_running() {
                continue;
            }
            match self.asking(self.shared.engine.top(&container.id)).await {
                Ok(table) => tables.push((container, table)),
                Err(error) => match self.shared.engine.inspect(&container.id.0).await {
                    Ok(now) if !now.state.is_running() => {}
                    Err(Error::NotFound { .. }) => {}
                    _ => return Err(error),
                },
            }
        }
        Ok(tables)
    }

    async fn images(&self, target: &Target) -> Result<Vec<(Container, Option<Image>)>> {
        let mut images: BTreeMap<String, Option<Image>> = BTreeMap::new();
        let mut all = Vec::new();
        for container in self.containers_of(target).await? {
            let key =
                container.image_id.as_ref().map_or(container.image.as_str(), ImageId::as_str).to_owned();
            if !images.contains_key(&key) {
                let image = match self.asking(self.shared.engine.image(&key)).await {
                    Ok(image) => Some(image),
                    Err(Error::Image { .. } | Error::NotFound { .. }) => None,
                    Err(error) => return Err(error),
                };
                images.insert(key.clone(), image);
            }
            all.push((container, images[&key].clone()));
        }
        Ok(all)
    }

    async fn stats(&self, target: &Target, options: &StatsOptions) -> Result<ProjectStats> {
        self.containers_of(target).await?;
        let stats = usage::open(self.shared.engine.clone(), target.clone(), *options);
        let (stats, this) = (self.asking(stats).await?, self.clone());
        let explained = stats.then(move |table| {
            let this = this.clone();
            async move { this.asking(ready(table)).await }
        });
        Ok(explained.boxed())
    }

    async fn volumes(&self, target: &Target) -> Result<Vec<Resource>> {
        let scope = Scope { volumes: Sought::of_project(), ..Scope::new(target.name.clone()) };
        let observed = self.asking(self.shared.engine.observe(&scope)).await?;
        Self::checked_target(target, &observed)?;
        let meant = observed
            .containers
            .iter()
            .filter(|container| container.service().is_some_and(|service| target.services.contains(service)));
        let mounted: BTreeSet<&String> =
            meant.flat_map(|one| one.volumes.iter().flatten()).map(|(_, name)| name).collect();
        let volumes =
            observed.volumes.iter().filter(|(name, _)| target.services.is_empty() || mounted.contains(name));
        Ok(volumes.map(|(_, volume)| volume.clone()).collect())
    }

    async fn logs(&self, target: &Target, options: &LogOptions) -> Result<ProjectLogs> {
        let what = What::Asked(options.clone());
        let all = project_logs::open(self.shared.engine.clone(), target.clone(), what);
        let lines = self.asking(all).await?.filter_map(|one| async {
            match one {
                Ok(Attached::Line(line)) => Some(Ok(line)),
                Ok(Attached::Ended { .. }) => None,
                Err(error) => Some(Err(error)),
            }
        });
        Ok(lines.boxed())
    }

    async fn attach(&self, target: &Target, started: &BTreeSet<String>) -> Result<Foreground> {
        let what = What::FromNow { started: started.clone() };
        self.asking(project_logs::open(self.shared.engine.clone(), target.clone(), what)).await
    }

    async fn list_running(&self, prefix: &str) -> Result<Vec<Container>> {
        let filter = ContainerFilter {
            running: true,
            labels: vec![(labels::OWNER.to_owned(), Some(self.shared.owner.clone()))],
            detail: Detail::Listed,
        };
        let mut containers = self.asking(self.shared.engine.list(&filter)).await?;
        containers.retain(|container| {
            container.label(labels::PROJECT).is_some_and(|name| name.starts_with(prefix))
        });
        containers.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(containers)
    }

    async fn watch(&self, prefix: &str) -> Result<Changes> {
        let events = self.asking(self.shared.engine.events(None)).await?;
        let this = self.clone();
        let changes = watch::changes(events, self.shared.owner.clone(), prefix.to_owned());
        let explained = changes.then(move |change| {
            let this = this.clone();
            async move { this.asking(ready(change)).await }
        });
        let changes = watch::ahead(explained.boxed());
        // An engine that is not there may say so only when it is listened to.
        self.asking(self.shared.engine.info()).await?;
        Ok(changes)
    }

    async fn events(&self, target: &Target) -> Result<ProjectEvents> {
        let events = self.asking(self.shared.engine.events(Some(&target.name))).await?;
        let there = Observed { containers: self.ps(&target.name).await?, ..Observed::default() };
        // Without a file nobody knows which services there will be.
        if target.project.is_some() {
            Self::checked_target(target, &there)?;
        }
        let (this, services) = (self.clone(), target.services.clone());
        let told = events.filter_map(move |event| {
            let told = event.map(|event| watch::told(event, &services)).transpose();
            let this = this.clone();
            async move { Some(this.asking(ready(told?)).await) }
        });
        Ok(watch::ahead(told.boxed()))
    }

    async fn develop(&self, project: &Project, options: &DevelopOptions, call: &Call) -> Result<Infallible> {
        self.develop_outside(project, options, call).await
    }

    async fn shutdown(&self, options: &ShutdownOptions, call: &Call) -> Result<ShutdownOutcome> {
        self.shared.gate.close();
        let (this, options) = (self.clone(), options.clone());
        let waiting = Call { progress: call.progress.clone(), cancel: CancellationToken::new() };
        let end =
            self.shared.ending.join(&waiting, |progress| async move { this.end(&options, &progress).await });
        let mut end = std::pin::pin!(end);
        tokio::select! {
            biased;
            outcome = &mut end => return outcome,
            () = call.cancel.cancelled() => self.shared.hurried.cancel(),
        }
        end.await
    }
}
