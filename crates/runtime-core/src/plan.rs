//! What is to be done, and why: a value that can be printed, tested and then executed.

use std::{
    collections::{BTreeSet, HashSet},
    fmt,
    path::PathBuf,
    time::Duration,
};

use compose_file::{Condition, Hook, ProjectName};
use serde::{Serialize, Serializer, ser::SerializeStruct};

use crate::{
    AnonymousVolumes, BuildSpec, ContainerId, ContainerName, ContainerSpec, ExecSpec, NetworkSpec,
    ResourceName, SignalName, Subject, VolumeSpec, Work, spec,
};

/// Steps that make the engine's state the wanted one. Nothing in it looks at the engine again: executing it is doing
/// the steps, each after those it names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The project.
    pub project: ProjectName,
    /// What is to be done. A step's [`Step::after`] names only steps before it in this list.
    pub steps: Vec<Step>,
    /// What the user should know, and that is no step.
    pub warnings: Vec<String>,
    /// Containers that are as they should be.
    #[serde(skip)]
    pub unchanged: Vec<Subject>,
    /// What happens to the other steps when one fails.
    #[serde(skip)]
    pub on_failure: OnFailure,
}

/// What happens to the other steps when one fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnFailure {
    /// Calls in flight end, nothing new begins.
    #[default]
    Halt,
    /// All other steps are done.
    Continue,
}

impl Plan {
    /// A plan without steps.
    pub fn new(project: ProjectName, on_failure: OnFailure) -> Self {
        Self { project, steps: Vec::new(), warnings: Vec::new(), unchanged: Vec::new(), on_failure }
    }

    /// Whether nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Whether each step that uses a container which another one makes comes after that one's success.
    pub(crate) fn is_sound(&self) -> bool {
        let comes_after = |index: usize, maker: StepId| {
            let mut open = vec![StepId(index)];
            let mut seen = BTreeSet::new();
            while let Some(step) = open.pop() {
                if step == maker {
                    return true;
                }
                // What is before the maker cannot come after it.
                if step > maker && seen.insert(step) {
                    let needed = self.steps[step.0].after.iter().filter(|after| after.need == Need::Success);
                    open.extend(needed.map(|after| after.step));
                }
            }
            false
        };
        self.steps.iter().enumerate().all(|(index, step)| {
            let in_order = step.after.iter().all(|after| after.step.0 < index);
            let made_before = step.action.uses().all(|used| match used {
                ContainerRef::Created(maker) => comes_after(index, *maker),
                ContainerRef::Existing(_) => true,
            });
            in_order && made_before
        })
    }

    /// The names of the containers that it starts.
    pub(crate) fn started(&self) -> BTreeSet<String> {
        let started = self.steps.iter().filter_map(|step| match &step.action {
            Action::StartContainer(replica) => Some(replica.name.clone()),
            _ => None,
        });
        started.collect()
    }

    /// The hooks of a container, one after the other. Returns the last step.
    pub(crate) fn push_hooks(
        &mut self,
        (attribute, hooks): (&'static str, &[Hook]),
        replica: &Replica,
        cause: &Cause,
        after: &[After],
    ) -> Option<StepId> {
        let mut last = None;
        for (number, hook) in hooks.iter().enumerate() {
            let after = last.map_or_else(|| after.to_vec(), |step: StepId| vec![step.succeeded()]);
            last = Some(self.push_hook((attribute, number, hook), replica, cause.clone(), after));
        }
        last
    }

    /// A hook of a container, by its attribute and place there.
    pub(crate) fn push_hook(
        &mut self,
        (attribute, number, hook): (&'static str, usize, &Hook),
        replica: &Replica,
        cause: Cause,
        after: impl IntoIterator<Item = After>,
    ) -> StepId {
        let exec = ExecSpec {
            user: hook.user.clone(),
            working_dir: hook.working_dir.clone(),
            environment: spec::set(&hook.environment).collect(),
            privileged: hook.privileged,
            ..ExecSpec::new(hook.command.iter().flatten())
        };
        let run = HookRun { replica: replica.clone(), attribute, number, exec };
        self.push(Action::RunHook(Box::new(run)), cause, after)
    }

    pub(crate) fn push(
        &mut self,
        action: Action,
        cause: Cause,
        after: impl IntoIterator<Item = After>,
    ) -> StepId {
        let mut after: Vec<After> = after.into_iter().collect();
        if after.len() > 1 {
            let mut seen = HashSet::with_capacity(after.len());
            after.retain(|after| seen.insert(after.step));
        }
        self.steps.push(Step { action, cause, after });
        StepId(self.steps.len() - 1)
    }
}

/// A step's place in its plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct StepId(pub usize);

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What to do.
    pub action: Action,
    /// Why.
    pub cause: Cause,
    /// What must be done before.
    pub after: Vec<After>,
}

/// A step that must be done before another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct After {
    /// The step.
    pub step: StepId,
    /// What its failure means.
    pub need: Need,
}

/// What the failure of an earlier step means for a later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// The later one cannot be done.
    Success,
    /// The later one is done all the same.
    End,
    /// The later one is done only because of it, and then it is no failure of the plan. A step whose earlier ones have all done
    /// without it counts as done.
    Failure,
}

impl StepId {
    pub(crate) fn succeeded(self) -> After {
        After { step: self, need: Need::Success }
    }

    pub(crate) fn ended(self) -> After {
        After { step: self, need: Need::End }
    }

    pub(crate) fn failed(self) -> After {
        After { step: self, need: Need::Failure }
    }
}

/// A container that is there, or that a step of the plan creates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContainerRef {
    /// It is there.
    Existing(ContainerId),
    /// That step creates it.
    Created(StepId),
}

/// A container in a step: which, and how it is called before people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// The service.
    pub service: String,
    /// The name it has when all is done.
    pub name: String,
    /// Which container.
    pub container: ContainerRef,
}

impl Replica {
    /// What events about it say.
    pub fn subject(&self) -> Subject {
        Subject::Container { service: self.service.clone(), name: self.name.clone() }
    }
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Creates a network.
    CreateNetwork(NetworkSpec),
    /// Removes a network.
    RemoveNetwork(ResourceName),
    /// Creates a volume.
    CreateVolume(VolumeSpec),
    /// Removes a volume with its data.
    RemoveVolume(ResourceName),
    /// Removes a volume that nobody named, unless it went with its container or somebody else uses it.
    RemoveAnonymousVolume(ResourceName),
    /// Pulls an image.
    PullImage(String),
    /// Removes an image, unless somebody else uses it.
    RemoveImage(String),
    /// Builds an image.
    BuildImage(Box<BuildSpec>),
    /// Creates a container.
    CreateContainer(Box<Creation>),
    /// Starts a container.
    StartContainer(Replica),
    /// Runs a command in a container.
    RunHook(Box<HookRun>),
    /// Stops a container.
    StopContainer {
        /// Which.
        replica: Replica,
        /// Its grace period, if not its own.
        grace: Option<Duration>,
    },
    /// Sends a container a signal.
    KillContainer {
        /// Which.
        replica: Replica,
        /// The signal.
        signal: SignalName,
    },
    /// Freezes a container.
    PauseContainer(Replica),
    /// Lets a frozen container go on.
    UnpauseContainer(Replica),
    /// Removes a container.
    RemoveContainer {
        /// Which.
        replica: Replica,
        /// What happens to its volumes without a name.
        anonymous_volumes: AnonymousVolumes,
    },
    /// Gives a container its final name.
    RenameContainer {
        /// Which.
        replica: Replica,
        /// The name.
        to: ContainerName,
    },
    /// Waits until a container is as others need it.
    Await(Awaiting),
}

/// How a container is created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Creation {
    /// The service.
    pub service: String,
    /// The name it has when all is done; while it replaces another it is created under a temporary one.
    pub final_name: String,
    /// What it is made from.
    pub spec: ContainerSpec,
    /// The containers that it shares something with.
    pub shares: Vec<(Share, ContainerRef)>,
    /// Folders of the host to make if they are missing.
    pub host_paths: Vec<PathBuf>,
}

/// What a container has of another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Share {
    /// Its network.
    Network,
    /// Its shared memory.
    Ipc,
    /// Its processes.
    Pid,
    /// Its hostname.
    Uts,
    /// Its mounts.
    Mounts {
        /// Whether writing is allowed or refused; `None` is as the other has them.
        writable: Option<bool>,
    },
}

impl Share {
    /// Whether the engine does not let go of the other container while this one is there.
    pub(crate) fn is_namespace(self) -> bool {
        !matches!(self, Self::Mounts { .. })
    }
}

/// A command in a container at a moment of its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookRun {
    /// In which container.
    pub replica: Replica,
    /// The attribute that has it, `post_start`, `pre_stop` or `develop.watch`.
    pub attribute: &'static str,
    /// Its place there, from 0.
    pub number: usize,
    /// The command.
    pub exec: ExecSpec,
}

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Awaiting {
    /// The container.
    pub replica: Replica,
    /// What it must be.
    pub condition: Condition,
    /// The services that wait; empty when only the user does.
    pub waiting: Vec<String>,
    /// Whether its failure is only a warning.
    pub optional: bool,
    /// Whether it may have ended with exit code 0 instead of running.
    pub may_complete: bool,
    /// From one check to the next, where the engine runs none by itself.
    pub interval: Duration,
}

impl Action {
    /// The containers that it needs to be there.
    pub(crate) fn uses(&self) -> impl Iterator<Item = &ContainerRef> {
        let (one, shares): (Option<&ContainerRef>, &[_]) = match self {
            Self::CreateContainer(creation) => (None, &creation.shares),
            Self::RunHook(run) => (Some(&run.replica.container), &[]),
            Self::StartContainer(replica)
            | Self::StopContainer { replica, .. }
            | Self::KillContainer { replica, .. }
            | Self::PauseContainer(replica)
            | Self::UnpauseContainer(replica)
            | Self::RemoveContainer { replica, .. }
            | Self::RenameContainer { replica, .. }
            | Self::Await(Awaiting { replica, .. }) => (Some(&replica.container), &[]),
            Self::CreateNetwork(_)
            | Self::RemoveNetwork(_)
            | Self::CreateVolume(_)
            | Self::RemoveVolume(_)
            | Self::RemoveAnonymousVolume(_)
            | Self::PullImage(_)
            | Self::RemoveImage(_)
            | Self::BuildImage(_) => (None, &[]),
        };
        one.into_iter().chain(shares.iter().map(|(_, container)| container))
    }

    /// Whether the engine does it at once, not when somebody else is ready: a registry, or a program.
    pub(crate) fn is_brief(&self) -> bool {
        !matches!(
            self,
            Self::PullImage(_)
                | Self::BuildImage(_)
                | Self::StopContainer { .. }
                | Self::RunHook(_)
                | Self::Await(_)
        )
    }

    /// What the step is about.
    pub fn subject(&self) -> Subject {
        match self {
            Self::CreateNetwork(spec) => Subject::Network(spec.name.to_string()),
            Self::RemoveNetwork(name) => Subject::Network(name.to_string()),
            Self::CreateVolume(spec) => Subject::Volume(spec.name.to_string()),
            Self::RemoveVolume(name) | Self::RemoveAnonymousVolume(name) => Subject::Volume(name.to_string()),
            Self::PullImage(image) | Self::RemoveImage(image) => Subject::Image(image.clone()),
            Self::BuildImage(spec) => Subject::Image(spec.image.clone()),
            Self::CreateContainer(creation) => {
                Subject::Container { service: creation.service.clone(), name: creation.final_name.clone() }
            }
            Self::RunHook(run) => run.replica.subject(),
            Self::StartContainer(replica)
            | Self::StopContainer { replica, .. }
            | Self::KillContainer { replica, .. }
            | Self::PauseContainer(replica)
            | Self::UnpauseContainer(replica)
            | Self::RemoveContainer { replica, .. }
            | Self::RenameContainer { replica, .. }
            | Self::Await(Awaiting { replica, .. }) => replica.subject(),
        }
    }

    /// What is done to it.
    pub fn work(&self) -> Work {
        match self {
            Self::CreateNetwork(_) | Self::CreateVolume(_) | Self::CreateContainer(_) => Work::Create,
            Self::RemoveNetwork(_)
            | Self::RemoveVolume(_)
            | Self::RemoveAnonymousVolume(_)
            | Self::RemoveImage(_)
            | Self::RemoveContainer { .. } => Work::Remove,
            Self::PullImage(_) => Work::Pull,
            Self::BuildImage(_) => Work::Build,
            Self::StartContainer(_) => Work::Start,
            Self::RunHook(_) => Work::RunHook,
            Self::StopContainer { .. } => Work::Stop,
            Self::KillContainer { .. } => Work::Kill,
            Self::PauseContainer(_) => Work::Pause,
            Self::UnpauseContainer(_) => Work::Unpause,
            Self::RenameContainer { .. } => Work::Rename,
            Self::Await(awaiting) => Work::Wait(awaiting.condition),
        }
    }
}

/// Why a step is there.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// There is none.
    Absent,
    /// The file says to pull it always.
    PullAlways,
    /// The file says to build it always.
    BuildAlways,
    /// It is not there, and is done only if it cannot be pulled.
    NotPulled,
    /// The user asked for it.
    Requested,
    /// The reference of the image differs.
    ImageChanged {
        /// What the container was made from.
        from: String,
        /// What the file says.
        to: String,
    },
    /// The reference means another image now.
    ImageUpdated(String),
    /// The file says something else than the container was made from; the attributes, if they can be told.
    Changed(Vec<String>),
    /// A network that it should be on is not attached.
    NetworkMissing(String),
    /// A volume that it should mount is not mounted.
    VolumeMissing(String),
    /// It shares the network of a service that is recreated, or is to be restarted with it.
    Recreated(String),
    /// It takes the place of another.
    Replaces,
    /// Another takes its place.
    Replaced,
    /// It does not run.
    NotRunning(&'static str),
    /// Fewer containers of the service are wanted.
    ScaledDown {
        /// So many.
        to: u32,
    },
    /// Its service is not in the file.
    Orphan,
    /// An interrupted recreation left it.
    LeftOver,
    /// These services need it.
    NeededBy(Vec<String>),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("not there"),
            Self::PullAlways => f.write_str("pull policy is always"),
            Self::BuildAlways => f.write_str("pull policy is build"),
            Self::NotPulled => f.write_str("if it cannot be pulled"),
            Self::Requested => f.write_str("requested"),
            Self::ImageChanged { from, to } => write!(f, "image changed from {from} to {to}"),
            Self::ImageUpdated(image) => write!(f, "{image} is a newer image now"),
            Self::Changed(parts) if parts.is_empty() => f.write_str("its definition changed"),
            Self::Changed(parts) => write!(f, "{} changed", parts.join(", ")),
            Self::NetworkMissing(name) => write!(f, "not on network {name}"),
            Self::VolumeMissing(name) => write!(f, "does not mount volume {name}"),
            Self::Recreated(service) => write!(f, "{service} is recreated"),
            Self::Replaces => f.write_str("takes the old one's place"),
            Self::Replaced => f.write_str("replaced by a new one"),
            Self::NotRunning(state) => write!(f, "it is {state}"),
            Self::ScaledDown { to } => write!(f, "scaled to {to}"),
            Self::Orphan => f.write_str("its service is not in the file"),
            Self::LeftOver => f.write_str("left by an interrupted recreation"),
            Self::NeededBy(services) if services.is_empty() => f.write_str("requested"),
            Self::NeededBy(services) => write!(f, "needed by {}", services.join(", ")),
        }
    }
}

impl Step {
    /// Whether it is done only if another one fails.
    pub(crate) fn is_fallback(&self) -> bool {
        self.after.iter().any(|after| after.need == Need::Failure)
    }

    /// What is done, as a verb.
    pub fn verb(&self) -> &'static str {
        match &self.action {
            Action::CreateContainer(creation) if creation.spec.name.as_str() != creation.final_name => {
                "recreate"
            }
            action => match action.work() {
                Work::Pull => "pull",
                Work::Build => "build",
                Work::Create => "create",
                Work::Start => "start",
                Work::RunHook => "run a hook in",
                Work::Stop => "stop",
                Work::Kill => "kill",
                Work::Pause => "pause",
                Work::Unpause => "unpause",
                Work::Remove => "remove",
                Work::Rename => "rename",
                Work::Wait(Condition::ServiceHealthy) => "wait until healthy:",
                Work::Wait(Condition::ServiceCompletedSuccessfully) => "wait until completed:",
                _ => "wait until started:",
            },
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subject = self.action.subject();
        write!(f, "{} {} {} ({})", self.verb(), subject.kind(), subject.name(), self.cause)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for warning in &self.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        for step in &self.steps {
            writeln!(f, "{step}")?;
        }
        Ok(())
    }
}

impl Serialize for Step {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let subject = self.action.subject();
        let mut fields = serializer.serialize_struct("Step", 5)?;
        fields.serialize_field("action", self.verb().trim_end_matches(':'))?;
        fields.serialize_field("kind", subject.kind())?;
        fields.serialize_field("name", subject.name())?;
        fields.serialize_field("cause", &self.cause.to_string())?;
        fields.serialize_field("after", &self.after.iter().map(|after| after.step).collect::<Vec<_>>())?;
        fields.end()
    }
}
