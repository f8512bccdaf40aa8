//! Compose over any engine.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError, Weak},
};

use async_trait::async_trait;
use compose_file::{Project, ProjectName, PullPolicy};
use futures_util::{StreamExt, stream::FuturesUnordered};

use crate::{
    Availability, Call, Container, ContainerFilter, ContainerRuntime, Desired, DownOptions, Engine,
    EngineInfo, Error, LogOptions, MachineHost, MachineProblem, MachineStatus, Observed, Phase, Plan,
    ProjectLogs, ProjectSummary, RemoveVolumes, ResourceKind, Result, RuntimeKind, Scope, StopOptions,
    Subject, Target, UpOptions, UpOutcome, Wait, Work,
    execute::{Execution, execute},
    labels, plan_down, plan_start, plan_stop, plan_up,
    project_logs::{self, What},
    reconcile, scope_of_up,
};

/// A [`ContainerRuntime`] made of an [`Engine`], and of a [`MachineHost`] where the engine needs one.
///
/// Cheap to clone; clones are the same runtime.
#[derive(Debug)]
pub struct Compose<E> {
    shared: Arc<Shared<E>>,
}

impl<E> Clone for Compose<E> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

#[derive(Debug)]
struct Shared<E> {
    engine: Arc<E>,
    machine: Option<Arc<dyn MachineHost>>,
    owner: String,
    /// One lock for each project that is being changed.
    writers: Mutex<HashMap<ProjectName, Weak<tokio::sync::Mutex<()>>>>,
    /// Held while the machine is made or started.
    machine_lock: tokio::sync::Mutex<()>,
}

impl<E: Engine> Compose<E> {
    /// A runtime over that engine. Does no I/O.
    pub fn new(engine: E) -> Self {
        Self::build(Arc::new(engine), None, "longshore".to_owned())
    }

    fn build(engine: Arc<E>, machine: Option<Arc<dyn MachineHost>>, owner: String) -> Self {
        let shared = Shared {
            engine,
            machine,
            owner,
            writers: Mutex::default(),
            machine_lock: tokio::sync::Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The same with a machine that the engine lives in.
    #[must_use]
    pub fn with_machine(self, machine: Arc<dyn MachineHost>) -> Self {
        Self::build(self.shared.engine.clone(), Some(machine), self.shared.owner.clone())
    }

    /// The same with another name for whose the containers are: the value of [`labels::OWNER`], `longshore` if not told.
    #[must_use]
    pub fn with_owner(self, owner: impl Into<String>) -> Self {
        Self::build(self.shared.engine.clone(), self.shared.machine.clone(), owner.into())
    }

    /// The engine.
    pub fn engine(&self) -> &Arc<E> {
        &self.shared.engine
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

    async fn observe(&self, target: &Target, volumes: RemoveVolumes) -> Result<Observed> {
        let mut scope = Scope {
            project: target.name.clone(),
            networks: BTreeSet::new(),
            volumes: BTreeSet::new(),
            images: BTreeSet::new(),
        };
        if let (Some(project), RemoveVolumes::Yes) = (&target.project, volumes) {
            scope.volumes = project.volumes.values().map(|volume| volume.name.clone()).collect();
        }
        self.shared.engine.observe(&scope).await
    }

    /// Pulls images side by side; all of them are tried.
    async fn pull_images(&self, images: BTreeSet<String>, call: &Call) -> Result<()> {
        let mut pulls: FuturesUnordered<_> = images
            .iter()
            .map(|image| async move {
                let subject = Subject::Image(image.clone());
                let begin = tokio::time::Instant::now();
                call.progress.report(subject.clone(), Phase::Began(Work::Pull));
                let outcome = self.shared.engine.pull(image, &call.progress).await;
                let phase = match &outcome {
                    Ok(_) => Phase::Done { work: Work::Pull, took: begin.elapsed() },
                    Err(error) => Phase::Failed { work: Work::Pull, reason: error.to_string() },
                };
                call.progress.report(subject, phase);
                outcome.map(|_| ())
            })
            .collect();
        let all = async {
            let mut first = Ok(());
            while let Some(outcome) = pulls.next().await {
                first = first.and(outcome);
            }
            first
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

#[async_trait]
impl<E: Engine> ContainerRuntime for Compose<E> {
    fn kind(&self) -> RuntimeKind {
        self.shared.engine.kind()
    }

    async fn availability(&self) -> Availability {
        if let Some(machine) = &self.shared.machine {
            match machine.status().await {
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
            Some(machine) => machine.status().await,
            None => Ok(MachineStatus::NotNeeded),
        }
    }

    async fn machine_init(&self, call: &Call) -> Result<()> {
        let Some(machine) = &self.shared.machine else { return Ok(()) };
        self.unless_cancelled(call, async {
            let _one = self.shared.machine_lock.lock().await;
            match machine.status().await? {
                MachineStatus::Absent => machine.init(&call.progress).await,
                _ => Ok(()),
            }
        })
        .await
    }

    async fn machine_start(&self, call: &Call) -> Result<()> {
        let Some(machine) = &self.shared.machine else { return Ok(()) };
        self.unless_cancelled(call, async {
            let _one = self.shared.machine_lock.lock().await;
            match machine.status().await? {
                MachineStatus::Running => Ok(()),
                MachineStatus::Absent => {
                    Err(Error::Machine { name: machine.name().to_owned(), problem: MachineProblem::Missing })
                }
                _ => {
                    machine.start(&call.progress).await?;
                    self.shared.engine.info().await.map(|_| ())
                }
            }
        })
        .await
    }

    async fn machine_stop(&self, call: &Call) -> Result<()> {
        let Some(machine) = &self.shared.machine else { return Ok(()) };
        self.unless_cancelled(call, async {
            let _one = self.shared.machine_lock.lock().await;
            machine.stop().await
        })
        .await
    }

    async fn ensure_ready(&self, call: &Call) -> Result<EngineInfo> {
        if self.shared.machine.is_some() {
            self.machine_init(call).await?;
            self.machine_start(call).await?;
        }
        self.unless_cancelled(call, self.shared.engine.info()).await
    }

    async fn pull(&self, project: &Project, call: &Call) -> Result<()> {
        let images = project
            .services
            .values()
            .filter(|service| service.pull_policy != PullPolicy::Never)
            .map(|service| service.image.clone())
            .collect();
        self.pull_images(images, call).await
    }

    async fn plan(&self, project: &Project, options: &UpOptions) -> Result<Plan> {
        let observed = self.shared.engine.observe(&scope_of_up(project)).await?;
        plan_up(Desired { project, options, owner: &self.shared.owner }, &observed)
    }

    async fn up(&self, project: &Project, options: &UpOptions, call: &Call) -> Result<UpOutcome> {
        let _writer = self.write(&project.name, call).await?;
        // An image that is to be pulled always decides whether its containers are recreated: it comes first.
        let always: BTreeSet<String> = project
            .services
            .values()
            .filter(|service| service.pull_policy == PullPolicy::Always)
            .map(|service| service.image.clone())
            .collect();
        let mut planned = std::borrow::Cow::Borrowed(project);
        if !always.is_empty() {
            self.pull_images(always, call).await?;
            for service in planned.to_mut().services.values_mut() {
                if service.pull_policy == PullPolicy::Always {
                    service.pull_policy = PullPolicy::Missing;
                }
            }
        }
        let observed =
            self.unless_cancelled(call, self.shared.engine.observe(&scope_of_up(&planned))).await?;
        let plan = plan_up(Desired { project: &planned, options, owner: &self.shared.owner }, &observed)?;
        let wait = match options.wait {
            Wait::Healthy { timeout } => timeout,
            Wait::Started => None,
        };
        let steps =
            execute(&*self.shared.engine, &plan, call, Execution { images: observed.images, wait }).await?;
        Ok(UpOutcome { steps, started: plan.started() })
    }

    async fn start(&self, target: &Target, call: &Call) -> Result<()> {
        let _writer = self.write(&target.name, call).await?;
        let observed = self.unless_cancelled(call, self.observe(target, RemoveVolumes::No)).await?;
        if observed.containers.is_empty() {
            return Err(Error::NotFound { kind: ResourceKind::Project, name: target.name.to_string() });
        }
        Self::checked_target(target, &observed)?;
        let plan = plan_start(target, &observed);
        execute(&*self.shared.engine, &plan, call, Execution::default()).await.map(|_| ())
    }

    async fn stop(&self, target: &Target, options: &StopOptions, call: &Call) -> Result<()> {
        let _writer = self.write(&target.name, call).await?;
        let observed = self.unless_cancelled(call, self.observe(target, RemoveVolumes::No)).await?;
        Self::checked_target(target, &observed)?;
        let plan = plan_stop(target, options, &observed);
        execute(&*self.shared.engine, &plan, call, Execution::default()).await.map(|_| ())
    }

    async fn down(&self, target: &Target, options: &DownOptions, call: &Call) -> Result<()> {
        let _writer = self.write(&target.name, call).await?;
        let observed = self.unless_cancelled(call, self.observe(target, options.volumes)).await?;
        Self::checked_target(target, &observed)?;
        let plan = plan_down(target, options, &observed)?;
        execute(&*self.shared.engine, &plan, call, Execution::default()).await.map(|_| ())
    }

    async fn ps(&self, project: &ProjectName) -> Result<Vec<Container>> {
        let filter = ContainerFilter {
            running: false,
            labels: vec![(labels::PROJECT.to_owned(), Some(project.to_string()))],
        };
        let mut containers = self.shared.engine.list(&filter).await?;
        containers.retain(|container| !reconcile::is_oneoff(container));
        containers
            .sort_by(|a, b| (a.service(), a.number(), &a.name).cmp(&(b.service(), b.number(), &b.name)));
        Ok(containers)
    }

    async fn projects(&self) -> Result<Vec<ProjectSummary>> {
        let filter = ContainerFilter {
            running: false,
            labels: vec![(labels::PROJECT.to_owned(), None), (labels::CONFIG_HASH.to_owned(), None)],
        };
        let mut projects: BTreeMap<String, ProjectSummary> = BTreeMap::new();
        for container in self.shared.engine.list(&filter).await? {
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

    async fn logs(&self, target: &Target, options: &LogOptions) -> Result<ProjectLogs> {
        project_logs::open(self.shared.engine.clone(), target.clone(), What::Asked(options.clone())).await
    }

    async fn attach(&self, target: &Target, started: &BTreeSet<String>) -> Result<ProjectLogs> {
        let what = What::FromNow { started: started.clone() };
        project_logs::open(self.shared.engine.clone(), target.clone(), what).await
    }

    async fn list_running(&self, prefix: &str) -> Result<Vec<Container>> {
        let filter = ContainerFilter { running: true, labels: vec![(labels::OWNER.to_owned(), None)] };
        let mut containers = self.shared.engine.list(&filter).await?;
        containers.retain(|container| {
            container.label(labels::PROJECT).is_some_and(|name| name.starts_with(prefix))
        });
        containers.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(containers)
    }
}
