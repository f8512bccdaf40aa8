//! Whether containers can be run here, and what is done about it.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use longshore::{Availability, ContainerRuntime, Error, MachineStatus, RuntimeKind};

use tokio_util::sync::CancellationToken;

use crate::{
    api::{AgentProgress, Doing, Problem, RuntimeStatus},
    clock, progress,
};

/// How long an engine may take to say that it is there.
const ANSWER: Duration = Duration::from_secs(20);

/// What is known of the engine.
#[derive(Debug)]
pub(crate) struct Status {
    kind: RuntimeKind,
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
    pub(crate) fn new(kind: RuntimeKind) -> Self {
        Self { kind, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the engine. One that does not answer in time is not available.
    pub(crate) async fn look(&self, runtime: &dyn ContainerRuntime) -> Availability {
        let asking = async { tokio::join!(runtime.availability(), runtime.machine_status()) };
        let (seen, machine) = tokio::time::timeout(ANSWER, asking).await.unwrap_or_else(|_| {
            let error = Error::TimedOut { what: format!("an answer of {}", self.kind), after: ANSWER };
            (Availability::Unavailable(error.clone()), Err(error))
        });
        let machine = machine.unwrap_or_else(|error| MachineStatus::Unknown(error.to_string()));
        let mut state = self.state();
        state.seen = Some(seen.clone());
        state.machine = Some(machine);
        seen
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
            None => Some(Problem::new("not_asked", "the engine has not been asked yet")),
        };
        RuntimeStatus {
            backend: self.kind.as_str().to_owned(),
            available: version.is_some(),
            version,
            problem,
            machine: state.machine.as_ref().map_or("unknown", machine).to_owned(),
            needs_setup: matches!(state.seen, Some(Availability::NeedsMachine(_))),
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
