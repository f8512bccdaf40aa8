//! Whether containers can be run here, and what is done about it.

use std::{
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use longshore::{AnyRuntime, Availability, Config, ContainerRuntime, Error, MachineStatus};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{
    api::{AgentProgress, Doing, MachinePlan, Problem, RuntimeStatus},
    clock,
    fleet::not_asked,
    progress,
};

/// How long an engine may take to say that it is there.
const ANSWER: Duration = Duration::from_secs(20);

/// The engine, and what is known of it.
#[derive(Debug)]
pub(crate) struct Status {
    runtime: RwLock<AnyRuntime>,
    /// What says which engines to look for, as long as none was found.
    sought: tokio::sync::Mutex<Option<Config>>,
    /// Told when one was.
    found: Notify,
    plan: Option<MachinePlan>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What it answered last.
    seen: Option<Availability>,
    machine: Option<MachineStatus>,
    /// How many wait for a set-up.
    waiting: usize,
    since: Option<SystemTime>,
    step: Option<AgentProgress>,
    shutting_down: Option<SystemTime>,
    /// Cancels the set-up that was asked for by itself.
    own: Option<CancellationToken>,
    /// Why that failed last.
    failed: Option<Error>,
}

/// Somebody waits for a set-up.
#[derive(Debug)]
pub(crate) struct Waiting<'a>(&'a Status);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.state().waiting -= 1;
    }
}

impl Status {
    /// With `sought`, `runtime` only stands for an engine that is still to be found, as that configuration says.
    pub(crate) fn new(runtime: AnyRuntime, sought: Option<Config>, plan: Option<MachinePlan>) -> Self {
        Self {
            runtime: RwLock::new(runtime),
            sought: tokio::sync::Mutex::new(sought),
            found: Notify::new(),
            plan,
            state: Mutex::default(),
        }
    }

    pub(crate) fn runtime(&self) -> AnyRuntime {
        self.runtime.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends when an engine is found where there was none.
    pub(crate) async fn found(&self) {
        self.found.notified().await;
    }

    /// Looks for an engine if there is none.
    async fn seek(&self) {
        let mut sought = self.sought.lock().await;
        let Some(config) = &*sought else { return };
        if let Ok(runtime) = AnyRuntime::connect(config).await {
            tracing::info!("found {}", runtime.kind());
            *self.runtime.write().unwrap_or_else(PoisonError::into_inner) = runtime;
            *sought = None;
            self.found.notify_one();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the engine. One that does not answer in time is not available.
    pub(crate) async fn look(&self) -> Availability {
        let asking = async {
            self.seek().await;
            let runtime = self.runtime();
            tokio::join!(runtime.availability(), runtime.machine_status())
        };
        let (seen, machine) = tokio::time::timeout(ANSWER, asking).await.unwrap_or_else(|_| {
            let what = format!("an answer of {}", self.runtime().kind());
            let error = Error::TimedOut { what, after: ANSWER };
            (Availability::Unavailable(error.clone()), Err(error))
        });
        let machine = machine.unwrap_or_else(|error| MachineStatus::Unknown(error.to_string()));
        let mut state = self.state();
        state.seen = Some(seen.clone());
        state.machine = Some(machine);
        seen
    }

    /// Whether it was ready when it was asked last.
    pub(crate) fn was_ready(&self) -> bool {
        matches!(self.state().seen, Some(Availability::Ready(_)))
    }

    /// Somebody begins to wait for a set-up.
    pub(crate) fn begin(&self) -> Waiting<'_> {
        let mut state = self.state();
        state.waiting += 1;
        if state.waiting == 1 {
            state.since = Some(SystemTime::now());
            state.step = None;
        }
        Waiting(self)
    }

    /// A set-up is asked for by itself: what cancels it. One that goes on is not begun twice.
    pub(crate) fn own_set_up(&self, cancel: CancellationToken) -> CancellationToken {
        let mut state = self.state();
        state.failed = None;
        state.own.get_or_insert(cancel).clone()
    }

    /// It is over.
    pub(crate) fn set_up_ended(&self, error: Option<Error>) {
        let mut state = self.state();
        state.own = None;
        state.failed = error.filter(|error| *error != Error::Cancelled);
    }

    pub(crate) fn cancel_set_up(&self) {
        if let Some(cancel) = &self.state().own {
            cancel.cancel();
        }
    }

    /// A step of a set-up; whether it is worth telling.
    pub(crate) fn step(&self, step: AgentProgress) -> bool {
        let mut state = self.state();
        let is_news = progress::is_news(state.step.as_ref(), &step);
        if is_news {
            state.step = Some(step);
        }
        is_news
    }

    /// Whether a set-up that was told is over.
    pub(crate) fn ended(&self) -> bool {
        let mut state = self.state();
        state.waiting == 0 && state.step.take().is_some()
    }

    pub(crate) fn shuts_down(&self) {
        self.state().shutting_down.get_or_insert_with(SystemTime::now);
    }

    /// What is done that is of no agent.
    pub(crate) fn doing(&self) -> Vec<Doing> {
        let state = self.state();
        let setup = state.since.filter(|_| state.waiting > 0 && state.step.is_some());
        let of = |what: &str, since| Doing { agent: None, what: what.to_owned(), since: clock::text(since) };
        setup
            .map(|since| of("setup", since))
            .into_iter()
            .chain(state.shutting_down.map(|since| of("shutdown", since)))
            .collect()
    }

    /// All of it, as it was seen last.
    pub(crate) fn view(&self, doing: Vec<Doing>, shutting_down: bool) -> RuntimeStatus {
        let state = self.state();
        let version = match &state.seen {
            Some(Availability::Ready(info)) => Some(info.version.clone()),
            _ => None,
        };
        let problem = match &state.seen {
            Some(Availability::Unavailable(error)) => Some(Problem::from(error)),
            Some(Availability::NeedsMachine(_)) => state.failed.as_ref().map(Problem::from),
            Some(_) => None,
            None => Some(not_asked()),
        };
        RuntimeStatus {
            backend: self.runtime().kind().as_str().to_owned(),
            available: version.is_some(),
            version,
            problem,
            machine: state.machine.as_ref().map_or("unknown", machine).to_owned(),
            needs_setup: matches!(state.seen, Some(Availability::NeedsMachine(_))),
            plan: self.plan.clone().filter(|_| matches!(state.machine, Some(MachineStatus::Absent))),
            setup: state.step.clone().filter(|_| state.waiting > 0),
            doing,
            shutting_down,
        }
    }
}

fn machine(status: &MachineStatus) -> &'static str {
    match status {
        MachineStatus::NotNeeded => "not_needed",
        MachineStatus::Absent => "absent",
        MachineStatus::Stopped => "stopped",
        MachineStatus::Starting => "starting",
        MachineStatus::NotAnswering(_) => "not_answering",
        MachineStatus::Running => "running",
        MachineStatus::Stopping => "stopping",
        MachineStatus::Unknown(_) => "unknown",
    }
}

/// What a machine would be, as Podman makes it: `podman machine init` says that its defaults are 100 GiB of disk and 2 GiB of memory, and
/// `podman machine info` that images and disks are in this folder.
pub(crate) fn plan(config: &Config, home: Option<PathBuf>) -> Option<MachinePlan> {
    let section = &config.machine;
    if !section.when.unwrap_or_default().applies() {
        return None;
    }
    let folder = home?.join(".local/share/containers/podman/machine");
    Some(MachinePlan {
        folder: folder.display().to_string(),
        disk_gib: section.disk.unwrap_or(100),
        memory_mib: section.memory.unwrap_or(2048),
        cpus: section.cpus,
    })
}
