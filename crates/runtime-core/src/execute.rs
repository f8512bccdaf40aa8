//! Does the steps of a plan, side by side as far as they allow. No opinion: what to do and why was decided before.

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::pin,
    time::Duration,
};

use compose_file::{Namespace, NetworkMode};
use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use tokio::{sync::broadcast, time::Instant};

use crate::{
    Action, AnonymousVolumes, Awaiting, Call, CommandFailure, Container, ContainerId, ContainerName,
    ContainerRef, ContainerSpec, ContainerState, Creation, Engine, EngineEvent, Error, HookRun, ImageId,
    MountsFrom, Need, OnFailure, Phase, Plan, Result, Share, StepId, Subject, Work, confine, hide_values,
    labels, readiness,
};

/// How often a container is looked for that the engine is still making, and the time between two looks.
const UNFINISHED_LOOKS: u32 = 50;
const UNFINISHED_PAUSE: Duration = Duration::from_millis(200);
/// How long brief calls in flight may take to end when the call is cancelled.
const SETTLING: Duration = Duration::from_secs(10);

/// The last lines of a hook's output that an error keeps, and how much of each.
const HOOK_LINES: usize = 20;
const HOOK_LINE: usize = 2048;

/// What is known besides the plan.
#[derive(Debug, Clone, Default)]
pub(crate) struct Execution {
    /// The ids of the images that are there.
    pub(crate) images: BTreeMap<String, ImageId>,
    /// How long waiting may last in all.
    pub(crate) wait: Option<Duration>,
}

/// What a step gave.
#[derive(Debug)]
enum Given {
    Nothing,
    Container(ContainerId),
    /// One that was started in the same call.
    Running(ContainerId),
    Image(String, ImageId),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// So many of its prerequisites are not over.
    Waiting(usize),
    Running,
    Done,
    Failed,
}

/// Executes a plan. Returns how many steps were done.
///
/// Safe to drop at any await: what is in flight then ends as the engine ends it, perhaps after somebody looked. Cancelled by
/// the call's token, which begins nothing more, drops what can take long (pulling, stopping, waiting) and lets brief calls end
/// for [`SETTLING`], so that what the engine has is what the next call sees.
///
/// # Errors
/// The first failure; see [`OnFailure`] for what happens to the rest.
pub(crate) async fn execute(engine: &dyn Engine, plan: &Plan, call: &Call, with: Execution) -> Result<usize> {
    for warning in &plan.warnings {
        call.progress
            .report(crate::Subject::Project(plan.project.to_string()), Phase::Warning(warning.clone()));
    }
    for subject in &plan.unchanged {
        call.progress.report(subject.clone(), Phase::Unchanged);
    }
    if plan.is_empty() {
        return Ok(0);
    }
    debug_assert!(plan.is_sound(), "a step uses a container before it is made: {plan:#?}");
    run(engine, plan, call, with).await
}

async fn run(engine: &dyn Engine, plan: &Plan, call: &Call, with: Execution) -> Result<usize> {
    let steps = &plan.steps;
    let dependents = dependents(plan);
    let mut states: Vec<State> = steps.iter().map(|step| State::Waiting(step.after.len())).collect();
    let mut wanted: Vec<bool> = steps.iter().map(|step| !step.is_fallback()).collect();
    let deadline = with.wait.map(|wait| (wait, Instant::now() + wait));
    let mut images = with.images;
    let mut created: BTreeMap<StepId, ContainerId> = BTreeMap::new();
    let mut done = 0;
    let mut failure: Option<Error> = None;
    // Containers' events reach everybody who waits through one subscription, made before the first start.
    let (events, _) = broadcast::channel::<EngineEvent>(1024);
    let waits = steps.iter().any(|step| matches!(step.action, Action::Await(_)));
    let mut pump = pin!(pump(engine, plan, &events, waits).fuse());
    // Calls that can take long, and those that are let end.
    let (mut long, mut brief) = (FuturesUnordered::new(), FuturesUnordered::new());
    let mut ready: Vec<usize> =
        (0..steps.len()).filter(|&index| steps[index].after.is_empty()).rev().collect();
    loop {
        let mut due = Vec::new();
        while let Some(index) = ready.pop() {
            if failure.is_none() || plan.on_failure == OnFailure::Continue {
                states[index] = State::Running;
                due.push(index);
            }
        }
        for indices in together(engine.takes_several(), plan, due, &dependents) {
            let &[index] = indices.as_slice() else {
                let used = indices.iter().flat_map(|&index| created.clone_for(&steps[index].action));
                let containers = Containers { created: used.collect() };
                let is_brief = indices.iter().all(|&index| steps[index].action.is_brief());
                let several = Several { engine, call, containers };
                let step = several.perform(plan, indices).boxed();
                if is_brief {
                    brief.push(step)
                } else {
                    long.push(step)
                }
                continue;
            };
            let containers = Containers { created: created.clone_for(&steps[index].action) };
            let image = match &steps[index].action {
                Action::CreateContainer(creation) => images.get(&creation.spec.image).cloned(),
                _ => None,
            };
            let receiver = matches!(steps[index].action, Action::Await(_)).then(|| events.subscribe());
            let starts = engine.runs_in_one_call() && start_of(plan, index, &dependents, &states).is_some();
            let has_fallback = dependents[index].iter().any(|(_, need)| *need == Need::Failure);
            let step = Running { engine, call, containers, image, deadline, receiver, has_fallback, starts };
            let step = step.perform(&steps[index].action).map(move |outcome| vec![(index, outcome)]).boxed();
            if steps[index].action.is_brief() { brief.push(step) } else { long.push(step) }
        }
        let waits_only = || {
            (0..steps.len())
                .filter(|&index| states[index] == State::Running)
                .all(|index| matches!(steps[index].action, Action::Await(_)))
        };
        // After a failure calls are let end; nobody waits for a condition that no longer matters.
        if (brief.is_empty() && long.is_empty())
            || (failure.is_some() && plan.on_failure == OnFailure::Halt && waits_only())
        {
            break;
        }
        let outcomes = tokio::select! {
            biased;
            () = call.cancel.cancelled() => {
                drop(long);
                // A call that takes longer than that is the engine's to end.
                let settled = async { tokio::join!(brief.collect::<Vec<_>>(), engine.settle()) };
                let _ = tokio::time::timeout(SETTLING, settled).await;
                return Err(Error::Cancelled);
            }
            () = &mut pump => continue,
            Some(outcomes) = brief.next() => outcomes,
            Some(outcomes) = long.next() => outcomes,
        };
        for (index, outcome) in outcomes {
            let mut started = None;
            let failed = match outcome {
                Ok(given) => {
                    done += 1;
                    match given {
                        Given::Nothing => {}
                        Given::Container(id) => {
                            created.insert(StepId(index), id);
                        }
                        Given::Running(id) => {
                            created.insert(StepId(index), id);
                            started = start_of(plan, index, &dependents, &states);
                        }
                        Given::Image(reference, id) => {
                            images.insert(reference, id);
                        }
                    }
                    false
                }
                Err(error) => {
                    let optional =
                        matches!(&steps[index].action, Action::Await(Awaiting { optional: true, .. }));
                    let subject = steps[index].action.subject();
                    if dependents[index].iter().any(|(_, need)| *need == Need::Failure) {
                        tracing::debug!(%error, "another step is done in its place");
                    } else if optional {
                        let warning = format!("optional dependency failed to start: {error}");
                        call.progress.report(subject, Phase::Warning(warning));
                    } else {
                        failure.get_or_insert(error);
                    }
                    true
                }
            };
            if let Some(start) = started {
                // So that nobody begins it when what it needs is over.
                states[start] = State::Running;
                done += 1;
            }
            for over in [Some(index), started].into_iter().flatten() {
                finish(over, failed, &mut states, &mut wanted, &dependents, &mut ready);
            }
        }
    }
    match failure {
        Some(error) => Err(error),
        None => Ok(done),
    }
}

/// What waits for each step, and for what of it.
fn dependents(plan: &Plan) -> Vec<Vec<(usize, Need)>> {
    let mut dependents = vec![Vec::new(); plan.steps.len()];
    for (index, step) in plan.steps.iter().enumerate() {
        for after in &step.after {
            dependents[after.step.0].push((index, after.need));
        }
    }
    dependents
}

/// The step that starts what that one creates, if that needs nothing else any more: both may be one call of the engine.
fn start_of(plan: &Plan, index: usize, dependents: &[Vec<(usize, Need)>], states: &[State]) -> Option<usize> {
    let Action::CreateContainer(creation) = &plan.steps[index].action else { return None };
    let is_start = |step: &usize| {
        let Action::StartContainer(replica) = &plan.steps[*step].action else { return false };
        replica.container == ContainerRef::Created(StepId(index)) && states[*step] == State::Waiting(1)
    };
    let start = dependents[index].iter().map(|(step, _)| *step).find(is_start);
    start.filter(|_| creation.spec.files.is_empty())
}

/// Splits what can begin into what begins as one: containers that are stopped or removed alike, if that is quicker, and if nothing
/// could begin sooner without the others.
fn together(
    is_quicker: bool,
    plan: &Plan,
    due: Vec<usize>,
    dependents: &[Vec<(usize, Need)>],
) -> Vec<Vec<usize>> {
    if !is_quicker {
        return due.into_iter().map(|index| vec![index]).collect();
    }
    let (mut begin, mut stops, mut removals) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
    for index in due {
        let waiting = || waiting_for(plan, index, dependents);
        let alike: &mut Vec<usize> = match &plan.steps[index].action {
            Action::StopContainer { grace, .. } => stops.entry((*grace, waiting())).or_default(),
            Action::RemoveContainer { anonymous_volumes, .. } => {
                removals.entry((*anonymous_volumes == AnonymousVolumes::Remove, waiting())).or_default()
            }
            _ => {
                begin.push(vec![index]);
                continue;
            }
        };
        alike.push(index);
    }
    begin.extend(stops.into_values());
    begin.extend(removals.into_values());
    begin
}

/// What waits for that step, and for the removal of the container that it stops; that removal itself is left out.
fn waiting_for(plan: &Plan, index: usize, dependents: &[Vec<(usize, Need)>]) -> BTreeSet<usize> {
    let of = |index: usize| dependents[index].iter().map(|(step, _)| *step);
    let container = plan.steps[index].action.uses().next();
    let is_its_removal = |step: &usize| {
        let action = &plan.steps[*step].action;
        matches!(action, Action::RemoveContainer { .. }) && action.uses().next() == container
    };
    let (removals, others): (Vec<usize>, Vec<usize>) = of(index).partition(is_its_removal);
    removals.into_iter().flat_map(of).chain(others).collect()
}

/// Marks a step and all that cannot be done without it, and finds what can be done now.
fn finish(
    index: usize,
    failed: bool,
    states: &mut [State],
    wanted: &mut [bool],
    dependents: &[Vec<(usize, Need)>],
    ready: &mut Vec<usize>,
) {
    let mut over = vec![(index, failed)];
    while let Some((index, failed)) = over.pop() {
        states[index] = if failed { State::Failed } else { State::Done };
        for &(dependent, need) in &dependents[index] {
            let State::Waiting(left) = states[dependent] else { continue };
            if failed && need == Need::Success {
                over.push((dependent, true));
                continue;
            }
            wanted[dependent] |= failed && need == Need::Failure;
            if left > 1 {
                states[dependent] = State::Waiting(left - 1);
            } else if wanted[dependent] {
                states[dependent] = State::Waiting(0);
                ready.push(dependent);
            } else {
                over.push((dependent, false));
            }
        }
    }
}

trait CloneFor {
    fn clone_for(&self, action: &Action) -> BTreeMap<StepId, ContainerId>;
}

impl CloneFor for BTreeMap<StepId, ContainerId> {
    /// The ids that an action refers to, so that a step owns what it needs and later results do not move under it.
    fn clone_for(&self, action: &Action) -> Self {
        let made = action.uses().filter_map(|used| match used {
            ContainerRef::Created(step) => Some((*step, self.get(step)?.clone())),
            ContainerRef::Existing(_) => None,
        });
        made.collect()
    }
}

/// Forwards the engine's events to everybody who waits; ends when the engine does, and then waiting looks by itself.
async fn pump(engine: &dyn Engine, plan: &Plan, events: &broadcast::Sender<EngineEvent>, wanted: bool) {
    if !wanted {
        return;
    }
    let Ok(mut stream) = engine.events(Some(&plan.project)).await else { return };
    while let Some(Ok(event)) = stream.next().await {
        // Nobody waiting is no reason to stop: somebody may later.
        let _ = events.send(event);
    }
}

#[derive(Debug)]
struct Containers {
    created: BTreeMap<StepId, ContainerId>,
}

impl Containers {
    fn id(&self, reference: &ContainerRef) -> Result<ContainerId> {
        match reference {
            ContainerRef::Existing(id) => Ok(id.clone()),
            ContainerRef::Created(step) => self.created.get(step).cloned().ok_or_else(|| {
                Error::InvalidProject(format!(
                    "step {} of the plan needs a container that no step before it made",
                    step.0
                ))
            }),
        }
    }

    /// The same error with the container's name where the engine was given, and repeats, its id.
    fn by_name(&self, error: Error, action: &Action) -> Error {
        let id = action.uses().next().and_then(|container| self.id(container).ok());
        match (id, action.subject()) {
            (Some(id), Subject::Container { name, .. }) => error.with_name_for(&id.0, &name),
            _ => error,
        }
    }
}

struct Running<'a> {
    engine: &'a dyn Engine,
    call: &'a Call,
    containers: Containers,
    image: Option<ImageId>,
    deadline: Option<(Duration, Instant)>,
    receiver: Option<broadcast::Receiver<EngineEvent>>,
    /// Whether another step is done if this one fails.
    has_fallback: bool,
    /// Whether what is created is started in the same call.
    starts: bool,
}

impl Running<'_> {
    async fn perform(mut self, action: &Action) -> Result<Given> {
        // What was not begun when the call was cancelled is not begun while others end.
        if self.call.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let ongoing = self.call.progress.begin(action.subject(), action.work());
        let receiver = self.receiver.take();
        let outcome =
            self.act(action, receiver).await.map_err(|error| self.containers.by_name(error, action));
        match &outcome {
            Err(Error::InUse { reason, .. }) if matches!(action, Action::RemoveImage(_)) => {
                let warning = format!("it stays, because it is in use: {reason}");
                self.call.progress.report(action.subject(), Phase::Warning(warning));
                return Ok(Given::Nothing);
            }
            Err(error) if self.has_fallback => {
                let warning = format!("{error}; it is built instead");
                self.call.progress.report(action.subject(), Phase::Warning(warning));
            }
            outcome => ongoing.ended(outcome),
        }
        if let Ok(Given::Running(_)) = outcome {
            self.call.progress.begin(action.subject(), Work::Start).ended(&outcome);
        }
        outcome
    }

    async fn act(
        &self,
        action: &Action,
        receiver: Option<broadcast::Receiver<EngineEvent>>,
    ) -> Result<Given> {
        let engine = self.engine;
        match action {
            Action::CreateNetwork(spec) => match engine.create_network(spec).await {
                // Somebody else made it since we looked; the name is what counts.
                Err(Error::NameInUse { .. }) => {}
                other => other?,
            },
            Action::RemoveNetwork(name) => gone_is_fine(engine.remove_network(name).await)?,
            Action::CreateVolume(spec) => match engine.create_volume(spec).await {
                Err(Error::NameInUse { .. }) => {}
                other => other?,
            },
            Action::RemoveVolume(name) => gone_is_fine(engine.remove_volume(name).await)?,
            Action::RemoveAnonymousVolume(name) => match engine.remove_volume(name).await {
                Err(Error::InUse { .. }) => {}
                other => gone_is_fine(other)?,
            },
            Action::RemoveImage(image) => gone_is_fine(engine.remove_image(image).await)?,
            Action::PullImage(image) => {
                let id = engine.pull(image, &self.call.progress).await?;
                return Ok(Given::Image(image.clone(), id));
            }
            Action::BuildImage(spec) => {
                // Of what is built only if something else fails nobody has asked before.
                confine::without(engine, action)?;
                spec.has_its_files().await?;
                let id = engine.build(spec, &self.call.progress).await?;
                return Ok(Given::Image(spec.image.clone(), id));
            }
            Action::CreateContainer(creation) => return self.create(creation).await,
            Action::StartContainer(replica) => {
                let id = self.containers.id(&replica.container)?;
                engine.start_container(&id).await?;
            }
            Action::RunHook(run) => self.run_hook(run).await?,
            Action::StopContainer { replica, grace } => {
                gone_is_fine(engine.stop_container(&self.containers.id(&replica.container)?, *grace).await)?;
            }
            Action::KillContainer { replica, signal } => {
                let id = self.containers.id(&replica.container)?;
                gone_is_fine(engine.kill_container(&id, signal.as_str()).await)?;
            }
            Action::PauseContainer(replica) => {
                engine.pause_container(&self.containers.id(&replica.container)?).await?;
            }
            Action::UnpauseContainer(replica) => {
                engine.unpause_container(&self.containers.id(&replica.container)?).await?;
            }
            Action::RemoveContainer { replica, anonymous_volumes } => {
                let id = self.containers.id(&replica.container)?;
                gone_is_fine(engine.remove_container(&id, *anonymous_volumes).await)?;
            }
            Action::RenameContainer { replica, to } => {
                let id = self.containers.id(&replica.container)?;
                if let Err(refused) = self.name(Naming::Rename(&id, to)).await {
                    // Another process may have given it that name, which Docker does not give twice.
                    let named = self.engine.inspect(to.as_str()).await;
                    if !named.is_ok_and(|there| there.id == id) {
                        return Err(refused.error);
                    }
                }
            }
            // What nobody has started becomes nothing.
            Action::Await(_) if engine.is_foreseen() => {}
            Action::Await(awaiting) => {
                let id = self.containers.id(&awaiting.replica.container)?;
                readiness::wait(engine, &id, awaiting, self.deadline, receiver).await?;
            }
        }
        Ok(Given::Nothing)
    }

    /// Runs a hook to its end; one that fails says so with the end of what it said.
    async fn run_hook(&self, run: &HookRun) -> Result<()> {
        let id = self.containers.id(&run.replica.container)?;
        let output = match self.engine.exec(&id, &run.exec).await {
            // What stops anyway has stopped, or is gone.
            Err(Error::NotFound { .. }) if run.attribute == "pre_stop" => return Ok(()),
            output => output?,
        };
        if output.exit_code == 0 {
            return Ok(());
        }
        let said = [output.stdout, output.stderr].concat();
        let said = hide_values(&String::from_utf8_lossy(&said), run.exec.environment.values());
        let command = format!("{}[{}] of service {}", run.attribute, run.number, run.replica.service);
        Err(failed_inside(command, output.exit_code, &said))
    }

    async fn create(&self, creation: &Creation) -> Result<Given> {
        let missing = creation.host_paths.iter().filter(|_| !self.engine.is_foreseen());
        for path in missing {
            if let Err(error) = tokio::fs::create_dir_all(path).await
                && error.kind() != std::io::ErrorKind::AlreadyExists
            {
                return Err(Error::NotPermitted {
                    what: format!("creating {}", path.display()),
                    reason: error.to_string(),
                });
            }
        }
        let mut spec = creation.spec.clone();
        if let Some(image) = &self.image {
            spec.labels.insert(labels::IMAGE.to_owned(), image.as_str().to_owned());
        }
        for (share, provider) in &creation.shares {
            let id = self.containers.id(provider)?.0;
            match share {
                Share::Network => spec.network_mode = Some(NetworkMode::Container(id)),
                Share::Ipc => spec.namespaces.ipc = Some(Namespace::Container(id)),
                Share::Pid => spec.namespaces.pid = Some(Namespace::Container(id)),
                Share::Uts => spec.namespaces.uts = Some(Namespace::Container(id)),
                Share::Mounts { writable } => {
                    spec.volumes_from.push(MountsFrom { container: id, writable: *writable });
                }
            }
        }
        let (naming, given): (_, fn(ContainerId) -> Given) = match self.starts {
            true => (Naming::Run(&spec), Given::Running),
            false => (Naming::Create(&spec), Given::Container),
        };
        self.name(naming).await.map(given).or_else(|Refused { error, by }| match by {
            // A call that was cancelled may be carried out by the engine after the next one has looked, and another process
            // may bring the same project up: then the very container that is wanted is there already. The image's labels
            // are the container's too.
            Some(there)
                if matches!(there.state, ContainerState::Created | ContainerState::Running)
                    && spec.labels.iter().all(|(key, value)| there.labels.get(key) == Some(value)) =>
            {
                Ok(Given::Container(there.id))
            }
            _ => Err(error),
        })
    }

    /// Gives a container a name. Of a container that has it and is not to be seen, the engine is still making it or has not
    /// quite removed it, and tells nobody when it is done: then it is tried again.
    async fn name(&self, naming: Naming<'_>) -> Result<ContainerId, Refused> {
        let mut looks = 0;
        loop {
            let (name, outcome) = match naming {
                Naming::Create(spec) => (&spec.name, self.engine.create_container(spec).await),
                Naming::Run(spec) => (&spec.name, self.engine.run_container(spec).await),
                Naming::Rename(id, to) => {
                    (to, self.engine.rename_container(id, to).await.map(|()| id.clone()))
                }
            };
            let error = match outcome {
                Err(error @ Error::NameInUse { .. }) => error,
                outcome => return outcome.map_err(|error| Refused { error, by: None }),
            };
            match self.engine.inspect(name.as_str()).await {
                Err(Error::NotFound { .. })
                    if looks < UNFINISHED_LOOKS && !self.call.cancel.is_cancelled() =>
                {
                    looks += 1;
                    tokio::time::sleep(UNFINISHED_PAUSE).await;
                }
                by => return Err(Refused { error, by: by.ok() }),
            }
        }
    }
}

/// Steps that are one call of the engine.
struct Several<'a> {
    engine: &'a dyn Engine,
    call: &'a Call,
    containers: Containers,
}

impl Several<'_> {
    /// Stops or removes containers, alike. What came of each step.
    async fn perform(self, plan: &Plan, indices: Vec<usize>) -> Vec<(usize, Result<Given>)> {
        if self.call.cancel.is_cancelled() {
            return indices.into_iter().map(|index| (index, Err(Error::Cancelled))).collect();
        }
        let actions = indices.iter().map(|&index| &plan.steps[index].action);
        let ids = actions.clone().flat_map(Action::uses).map(|container| self.containers.id(container));
        let ids: Vec<ContainerId> = match ids.collect() {
            Ok(ids) => ids,
            Err(error) => return indices.into_iter().map(|index| (index, Err(error.clone()))).collect(),
        };
        let begun = actions.clone().map(|action| self.call.progress.begin(action.subject(), action.work()));
        let begun: Vec<_> = begun.collect();
        let outcomes = match actions.clone().next() {
            Some(Action::StopContainer { grace, .. }) => self.engine.stop_containers(&ids, *grace).await,
            Some(Action::RemoveContainer { anonymous_volumes, .. }) => {
                self.engine.remove_containers(&ids, *anonymous_volumes).await
            }
            _ => Vec::new(),
        };
        debug_assert_eq!(outcomes.len(), indices.len(), "the engine says what came of each");
        let ended = outcomes.into_iter().zip(actions).zip(begun).map(|((outcome, action), begun)| {
            let outcome = gone_is_fine(outcome).map_err(|error| self.containers.by_name(error, action));
            begun.ended(&outcome);
            outcome.map(|()| Given::Nothing)
        });
        let ended: Vec<_> = ended.collect();
        indices.into_iter().zip(ended).collect()
    }
}

/// What gives a container a name.
#[derive(Clone, Copy)]
enum Naming<'a> {
    Create(&'a ContainerSpec),
    Run(&'a ContainerSpec),
    Rename(&'a ContainerId, &'a ContainerName),
}

/// A name that could not be given, and the container that has it.
struct Refused {
    error: Error,
    by: Option<Container>,
}

/// That a command in a container failed, with the end of what it said.
pub(crate) fn failed_inside(command: String, exit_code: i64, said: &str) -> Error {
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    let tail = &lines[lines.len().saturating_sub(HOOK_LINES)..];
    Error::Command(CommandFailure {
        command,
        exit_code: i32::try_from(exit_code).ok(),
        stderr: tail.iter().map(|line| line.chars().take(HOOK_LINE).collect()).collect(),
    })
}

/// What was to go and is gone has gone.
fn gone_is_fine(outcome: Result<()>) -> Result<()> {
    match outcome {
        Err(Error::NotFound { .. }) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use compose_file::ProjectName;

    use super::*;
    use crate::{Cause, ContainerId, Replica, ResourceName};

    fn replica(name: &str) -> Replica {
        let container = ContainerRef::Existing(ContainerId(name.to_owned()));
        Replica { service: name.to_owned(), name: name.to_owned(), container }
    }

    fn plan() -> Plan {
        Plan::new(ProjectName::new("p").expect("a name"), OnFailure::Continue)
    }

    fn stop(plan: &mut Plan, name: &str, grace: Option<Duration>, after: &[StepId]) -> StepId {
        let stop = Action::StopContainer { replica: replica(name), grace };
        plan.push(stop, Cause::Requested, after.iter().map(|step| step.ended()))
    }

    fn remove(plan: &mut Plan, name: &str, after: &[StepId]) -> StepId {
        let anonymous_volumes = AnonymousVolumes::Keep;
        let remove = Action::RemoveContainer { replica: replica(name), anonymous_volumes };
        plan.push(remove, Cause::Requested, after.iter().map(|step| step.ended()))
    }

    fn begun(plan: &Plan, due: &[StepId]) -> Vec<Vec<usize>> {
        together(true, plan, due.iter().map(|step| step.0).collect(), &dependents(plan))
    }

    #[test]
    fn containers_that_nothing_else_waits_for_go_together() {
        let mut plan = plan();
        let stops = ["a", "b", "c"].map(|name| stop(&mut plan, name, None, &[]));
        let removals =
            ["a", "b", "c"].iter().zip(stops).map(|(name, stop)| remove(&mut plan, name, &[stop])).collect();
        let removals: Vec<StepId> = removals;
        let network = Action::RemoveNetwork(ResourceName::network("n").expect("a name"));
        plan.push(network, Cause::Requested, removals.iter().map(|step| step.ended()));
        assert_eq!(begun(&plan, &stops), [[0, 1, 2]]);
        assert_eq!(begun(&plan, &removals), [[3, 4, 5]]);
        let one_by_one = together(false, &plan, vec![0, 1, 2], &dependents(&plan));
        assert_eq!(one_by_one, [[0], [1], [2]]);
    }

    #[test]
    fn nothing_waits_for_a_stranger() {
        let mut plan = plan();
        let (web, slow) = (stop(&mut plan, "web", None, &[]), stop(&mut plan, "slow", None, &[]));
        let database = stop(&mut plan, "database", None, &[web]);
        for (name, stop) in [("web", web), ("slow", slow), ("database", database)] {
            remove(&mut plan, name, &[stop]);
        }
        let mut begun_at_first = begun(&plan, &[web, slow]);
        begun_at_first.sort();
        assert_eq!(begun_at_first, [[0], [1]], "the database would wait for what it has nothing to do with");
    }

    #[test]
    fn replicas_that_the_same_waits_for_go_together() {
        let mut plan = plan();
        let replicas = ["web-1", "web-2"].map(|name| stop(&mut plan, name, None, &[]));
        stop(&mut plan, "database", None, &replicas);
        assert_eq!(begun(&plan, &replicas), [[0, 1]]);
    }

    #[test]
    fn a_container_that_is_replaced_waits_for_no_other_one() {
        let mut plan = plan();
        let stops = ["a", "b"].map(|name| stop(&mut plan, name, None, &[]));
        let mut removals = Vec::new();
        for (name, stop) in ["a", "b"].iter().zip(stops) {
            let removal = remove(&mut plan, name, &[stop]);
            plan.push(Action::StartContainer(replica("new")), Cause::Requested, [removal.succeeded()]);
            removals.push(removal);
        }
        assert_eq!(begun(&plan, &stops).len(), 2);
        assert_eq!(begun(&plan, &removals).len(), 2);
    }

    #[test]
    fn what_is_stopped_in_another_way_goes_by_itself() {
        let mut plan = plan();
        let stops = [stop(&mut plan, "a", None, &[]), stop(&mut plan, "b", Some(SETTLING), &[])];
        assert_eq!(begun(&plan, &stops).len(), 2);
    }
}
