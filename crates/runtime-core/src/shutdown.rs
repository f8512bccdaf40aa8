//! The end: no new work, then the containers, then the machine.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use compose_file::ProjectName;
use serde::Serialize;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{Call, Error, Result};

/// How [`crate::ContainerRuntime::shutdown`] goes about it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownOptions {
    /// Which projects are stopped.
    pub projects: Projects,
    /// How long calls that are under way may go on before they are cancelled.
    pub drain: Duration,
    /// The grace period of containers; `None` is each container's own, else ten seconds.
    pub grace: Option<Duration>,
    /// How long each project may take in all. What is not over then is told, and left.
    pub budget: Duration,
    /// What happens to the machine.
    pub machine: MachineAtEnd,
}

impl Default for ShutdownOptions {
    fn default() -> Self {
        Self {
            projects: Projects::Ours,
            drain: Duration::from_secs(5),
            grace: None,
            budget: Duration::from_secs(60),
            machine: MachineAtEnd::default(),
        }
    }
}

/// Which projects a shutdown stops.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Projects {
    /// All whose containers carry our owner's label.
    #[default]
    Ours,
    /// Of ours only these.
    Only(BTreeSet<ProjectName>),
}

/// What a shutdown does with the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MachineAtEnd {
    /// It is stopped if one of our processes started it and nothing runs in it but what this shutdown was to stop.
    #[default]
    StopIfSafe,
    /// It stays as it is.
    Leave,
}

/// What a shutdown came to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownOutcome {
    /// The projects of which nothing runs any more.
    pub stopped: BTreeSet<ProjectName>,
    /// Those of which something may, and why.
    pub failed: Vec<(ProjectName, Error)>,
    /// What became of the machine.
    pub machine: MachineEnd,
}

/// What became of the machine at a shutdown.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MachineEnd {
    /// There is none.
    NotNeeded,
    /// It was off already.
    AlreadyOff,
    /// It was stopped.
    Stopped,
    /// It stays up.
    Kept(Kept),
}

/// Why a machine stays up.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kept {
    /// The options say so.
    Told,
    /// None of our processes began this boot of it.
    NotStartedByUs,
    /// Containers that are not ours, or not of the projects that were to be stopped, run in it: their names.
    InUse(Vec<String>),
    /// What runs in it could not be read, or it did not stop.
    Unreadable(Error),
}

impl MachineEnd {
    /// A word for programs, stable over versions.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::NotNeeded => "not_needed",
            Self::AlreadyOff => "already_off",
            Self::Stopped => "stopped",
            Self::Kept(Kept::Told) => "kept_as_told",
            Self::Kept(Kept::NotStartedByUs) => "kept_not_started_by_us",
            Self::Kept(Kept::InUse(_)) => "kept_in_use",
            Self::Kept(Kept::Unreadable(_)) => "kept_unreadable",
        }
    }
}

impl Serialize for MachineEnd {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// The door that all work goes through, and that a shutdown closes.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    state: Mutex<State>,
    changed: Notify,
    /// Cancelled when what is inside has to come out.
    cancel: CancellationToken,
}

#[derive(Debug, Default)]
struct State {
    closed: bool,
    inside: usize,
}

/// One piece of work that is inside.
#[derive(Debug)]
pub(crate) struct Pass<'a> {
    gate: &'a Gate,
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.gate.state().inside -= 1;
        self.gate.changed.notify_waiters();
    }
}

impl Gate {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets work in.
    ///
    /// # Errors
    /// [`Error::ShuttingDown`] once it is closed.
    pub(crate) fn enter(&self) -> Result<Pass<'_>> {
        let mut state = self.state();
        if state.closed {
            return Err(Error::ShuttingDown);
        }
        state.inside += 1;
        Ok(Pass { gate: self })
    }

    /// Does work inside: it is given a call that the caller and a shutdown cancel.
    ///
    /// # Errors
    /// [`Error::ShuttingDown`] when the gate is closed, or when the shutdown did not let the work end; those of the work.
    pub(crate) async fn within<T, F>(&self, call: &Call, work: impl FnOnce(Call) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let _pass = self.enter()?;
        let inner = Call { progress: call.progress.clone(), cancel: call.cancel.child_token() };
        let cancel = inner.cancel.clone();
        let mut work = std::pin::pin!(work(inner));
        tokio::select! {
            biased;
            outcome = &mut work => return outcome,
            () = self.cancel.cancelled() => cancel.cancel(),
        }
        match work.await {
            Err(Error::Cancelled) if !call.cancel.is_cancelled() => Err(Error::ShuttingDown),
            outcome => outcome,
        }
    }

    /// Refuses new work from now on.
    pub(crate) fn close(&self) {
        self.state().closed = true;
    }

    /// Waits until nothing is inside; after `drain`, or when it is hurried, what is there is cancelled.
    pub(crate) async fn empty(&self, drain: Duration, hurried: &CancellationToken) {
        let in_peace = hurried.run_until_cancelled(self.is_empty());
        if tokio::time::timeout(drain, in_peace).await.ok().flatten().is_none() {
            self.cancel.cancel();
            self.is_empty().await;
        }
    }

    async fn is_empty(&self) {
        loop {
            let changed = self.changed.notified();
            if self.state().inside == 0 {
                return;
            }
            changed.await;
        }
    }
}
