//! The machine's life: making it ready for who needs its engine, and stopping it where that harms nobody.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, timeout};

use crate::{
    BootId, Call, Container, ContainerFilter, Detail, Engine, EngineInfo, Error, Kept, MachineEnd,
    MachineHost, MachineLock, MachineProblem, MachineStatus, MachineStop, Patience, Phase, Progress,
    Projects, Result, Started, Subject, Work, flight::Flight, labels,
};

/// Others may stop or remove the machine as often as they like; so often is it tried again.
const MOST_INITS: u32 = 2;
const MOST_STARTS: u32 = 3;
/// A shorter wait for another process is not told.
const WORTH_A_WORD: Duration = Duration::from_millis(300);

/// A machine, the engine in it, and the one flight of making it ready.
#[derive(Debug)]
pub(crate) struct Lifecycle {
    inner: Arc<Inner>,
    ready: Flight<EngineInfo>,
}

#[derive(Debug)]
struct Inner {
    host: Arc<dyn MachineHost>,
    engine: Arc<dyn Engine>,
}

/// What is to be done next to have an engine that answers.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Next {
    /// Ask the engine.
    Ask,
    /// Make the machine.
    Init,
    /// Start it.
    Start,
    /// Stop it, because nothing else helps it up.
    Restart,
    /// Look again later.
    Look,
    /// Give up.
    Fail(MachineProblem),
}

/// What one flight has seen and done until now.
#[derive(Debug, Clone, Default)]
struct History {
    inits: u32,
    starts: u32,
    /// Whether a start was tried on a machine that said it was starting.
    nudged: bool,
    restarts: u32,
    /// Whether this flight began the boot. What is remembered of an earlier one proves nothing of a machine that cannot be
    /// asked.
    ours: bool,
}

/// Decides from what the machine is doing, and for how long it has been doing that. Pure.
fn decide(status: &MachineStatus, lasting: Duration, history: &History, patience: &Patience) -> Next {
    use MachineStatus::{Absent, NotAnswering, NotNeeded, Running, Starting, Stopped, Stopping, Unknown};
    // Whose containers run in a machine that does not answer cannot be read, so only a boot that we began just now is
    // ended for that.
    let restart_or = |problem| {
        if history.ours && history.restarts == 0 { Next::Restart } else { Next::Fail(problem) }
    };
    match status {
        NotNeeded | Running => Next::Ask,
        Absent if history.inits < MOST_INITS => Next::Init,
        Absent => Next::Fail(MachineProblem::Missing),
        Stopped if history.starts < MOST_STARTS => Next::Start,
        Stopped => Next::Fail(MachineProblem::Stopped),
        // A start that was killed leaves a mark that only another start takes away; to one that is under way it does
        // nothing.
        Starting if lasting >= patience.answer && !history.nudged => Next::Start,
        Starting if lasting < patience.start => Next::Look,
        Starting => restart_or(MachineProblem::StuckStarting),
        NotAnswering(_) if lasting < patience.answer => Next::Look,
        NotAnswering(why) => restart_or(MachineProblem::NotAnswering(why.clone())),
        Stopping if lasting < patience.stop => Next::Look,
        Stopping => Next::Fail(MachineProblem::StuckStopping),
        Unknown(_) if lasting < patience.answer => Next::Look,
        Unknown(why) => Next::Fail(MachineProblem::Other(why.clone())),
    }
}

impl Lifecycle {
    pub(crate) fn new(host: Arc<dyn MachineHost>, engine: Arc<dyn Engine>) -> Self {
        Self { inner: Arc::new(Inner { host, engine }), ready: Flight::default() }
    }

    /// The same machine for another runtime.
    pub(crate) fn again(&self) -> Self {
        Self { inner: self.inner.clone(), ready: Flight::default() }
    }

    pub(crate) fn host(&self) -> &Arc<dyn MachineHost> {
        &self.inner.host
    }

    /// Returns when the engine has answered: one flight for all callers.
    pub(crate) async fn ensure(&self, call: &Call) -> Result<EngineInfo> {
        let inner = self.inner.clone();
        if inner.engine.is_foreseen() {
            let look = call.cancel.run_until_cancelled(inner.is_up());
            return look.await.unwrap_or(Err(Error::Cancelled));
        }
        self.ready.join(call, |progress| async move { inner.bring_up(&progress).await }).await
    }

    /// Makes the machine if there is none.
    pub(crate) async fn init(&self, call: &Call) -> Result<()> {
        let work = async {
            let _lock = self.inner.lock(&call.progress).await?;
            match self.inner.host.status().await? {
                MachineStatus::Absent => self.inner.init(&call.progress).await,
                _ => Ok(()),
            }
        };
        call.cancel.run_until_cancelled(work).await.unwrap_or(Err(Error::Cancelled))
    }

    /// As [`Lifecycle::ensure`], of a machine that is there.
    pub(crate) async fn start(&self, call: &Call) -> Result<()> {
        let look = call.cancel.run_until_cancelled(self.inner.host.status());
        match look.await.unwrap_or(Err(Error::Cancelled))? {
            MachineStatus::Absent => Err(self.inner.problem(MachineProblem::Missing)),
            _ => self.ensure(call).await.map(|_| ()),
        }
    }

    /// Stops the machine, whoever started it.
    pub(crate) async fn stop(&self, owner: &str, how: MachineStop, call: &Call) -> Result<()> {
        let inner = &self.inner;
        if how == MachineStop::IfStartedByUs {
            let ours = Ours { owner, projects: &Projects::Only(BTreeSet::new()) };
            let work = async {
                match inner.stop_if_safe(ours, &call.progress).await? {
                    MachineEnd::Kept(Kept::Unreadable(error)) => Err(error),
                    _ => Ok(()),
                }
            };
            return call.cancel.run_until_cancelled(work).await.unwrap_or(Err(Error::Cancelled));
        }
        let work = async {
            let mut lock = inner.lock(&call.progress).await?;
            let off = [MachineStatus::Absent, MachineStatus::Stopped];
            if how == MachineStop::Considerately && !off.contains(&inner.host.status().await?) {
                let theirs = inner.what_others_run(Ours { owner, projects: &Projects::Ours }).await?;
                if !theirs.is_empty() {
                    return Err(inner.problem(MachineProblem::InUse(theirs)));
                }
            }
            inner.stop(&mut *lock, &call.progress).await
        };
        call.cancel.run_until_cancelled(work).await.unwrap_or(Err(Error::Cancelled))
    }

    /// Stops the machine if one of our processes began this very boot and nothing of anybody else runs in it, as read
    /// under the lock right before. What cannot be read is somebody's.
    pub(crate) async fn stop_if_safe(&self, ours: Ours<'_>, progress: &Progress) -> MachineEnd {
        match self.inner.stop_if_safe(ours, progress).await {
            Ok(end) => end,
            Err(error) => MachineEnd::Kept(Kept::Unreadable(error)),
        }
    }
}

/// Whose containers may end with the machine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ours<'a> {
    pub(crate) owner: &'a str,
    pub(crate) projects: &'a Projects,
}

impl Ours<'_> {
    fn has(self, container: &Container) -> bool {
        let is_meant = match self.projects {
            Projects::Ours => true,
            Projects::Only(only) => {
                let project = container.label(labels::PROJECT);
                project.is_some_and(|project| only.iter().any(|one| one.as_str() == project))
            }
        };
        is_meant && container.label(labels::OWNER) == Some(self.owner)
    }
}

impl Inner {
    fn subject(&self) -> Subject {
        Subject::Machine(self.host.name().to_owned())
    }

    fn problem(&self, problem: MachineProblem) -> Error {
        Error::Machine { name: self.host.name().to_owned(), problem }
    }

    /// Comes after the others of ours.
    async fn lock(&self, progress: &Progress) -> Result<Box<dyn MachineLock>> {
        let mut locking = self.host.lock();
        if let Ok(lock) = timeout(WORTH_A_WORD, &mut locking).await {
            return lock;
        }
        let waiting = progress.begin(self.subject(), Work::Queue);
        let lock = locking.await;
        waiting.ended(&lock);
        lock
    }

    async fn init(&self, progress: &Progress) -> Result<()> {
        let patience = self.host.patience().init;
        match timeout(patience, self.host.init(progress)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(self.late("init", patience)),
        }
    }

    fn late(&self, what: &str, after: Duration) -> Error {
        Error::TimedOut { what: format!("{what} of machine {:?}", self.host.name()), after }
    }

    /// Asks the engine of a machine that nobody may start.
    async fn is_up(&self) -> Result<EngineInfo> {
        match self.host.status().await? {
            MachineStatus::Absent => Err(self.problem(MachineProblem::Missing)),
            MachineStatus::Stopped | MachineStatus::Stopping => Err(self.problem(MachineProblem::Stopped)),
            MachineStatus::NotAnswering(why) => Err(self.problem(MachineProblem::NotAnswering(why))),
            _ => self.engine.info().await,
        }
    }

    async fn bring_up(&self, progress: &Progress) -> Result<EngineInfo> {
        // What answers needs nobody's lock.
        if self.host.status().await? == MachineStatus::Running
            && let Ok(info) = self.engine.info().await
        {
            self.set_clock(progress).await;
            return Ok(info);
        }
        let mut lock = self.lock(progress).await?;
        let patience = self.host.patience();
        let mut history = History::default();
        let mut since = (None, Instant::now());
        let mut answering = None;
        // Why the last attempt failed, if it did: better than what is seen afterwards.
        let mut last_error: Option<Error> = None;
        loop {
            let status = self.host.status().await?;
            if matches!(status, MachineStatus::Absent | MachineStatus::Stopped) {
                // Whoever began the boot before, it is over.
                lock.remember(None)?;
                history.ours = false;
            }
            let kind = std::mem::discriminant(&status);
            if since.0 != Some(kind) {
                since = (Some(kind), Instant::now());
            }
            if matches!(status, MachineStatus::Starting | MachineStatus::NotAnswering(_))
                && answering.is_none()
            {
                answering = Some(progress.begin(self.subject(), Work::Answer));
            }
            match decide(&status, since.1.elapsed(), &history, &patience) {
                Next::Ask => match self.engine.info().await {
                    Ok(info) => {
                        if let Some(answering) = answering.take() {
                            answering.done();
                        }
                        if history.ours {
                            self.remember(&mut *lock, progress).await;
                        }
                        self.set_clock(progress).await;
                        return Ok(info);
                    }
                    Err(error) if since.1.elapsed() >= patience.answer => return Err(error),
                    Err(error) => {
                        last_error = Some(error);
                        sleep(patience.look).await;
                    }
                },
                Next::Init => {
                    history.inits += 1;
                    self.init(progress).await?;
                }
                Next::Start => {
                    history.nudged = status == MachineStatus::Starting;
                    history.starts += u32::from(!history.nudged);
                    match self.start(progress).await {
                        Ok(Started::ByUs) => {
                            history.ours = true;
                            since = (None, Instant::now());
                        }
                        Ok(Started::Already) => sleep(patience.look).await,
                        // Somebody may have removed it, or started it, or it hangs: what it does now tells.
                        Err(error) => {
                            history.ours |= matches!(error, Error::TimedOut { .. });
                            if history.starts >= MOST_STARTS || self.is_final(&error) {
                                return Err(error);
                            }
                            last_error = Some(error);
                            sleep(patience.look).await;
                        }
                    }
                }
                Next::Restart => {
                    history.restarts += 1;
                    self.stop(&mut *lock, progress).await?;
                }
                Next::Look => sleep(patience.look).await,
                Next::Fail(problem) => {
                    let failed = Err(match (problem, last_error) {
                        (MachineProblem::Stopped | MachineProblem::Missing, Some(error)) => error,
                        (problem, _) => self.problem(problem),
                    });
                    if let Some(answering) = answering {
                        answering.ended(&failed);
                    }
                    return failed;
                }
            }
        }
    }

    /// Whether another try cannot come to anything else.
    fn is_final(&self, error: &Error) -> bool {
        match error {
            Error::NotInstalled { .. } | Error::NotPermitted { .. } | Error::TooOld { .. } => true,
            Error::Machine { problem, .. } => {
                matches!(problem, MachineProblem::AnotherRuns(_) | MachineProblem::HelperMissing(_))
            }
            _ => false,
        }
    }

    async fn start(&self, progress: &Progress) -> Result<Started> {
        let patience = self.host.patience().start;
        let booting = progress.begin(self.subject(), Work::Boot);
        let outcome = match timeout(patience, self.host.start(progress)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(self.late("start", patience)),
        };
        booting.ended(&outcome);
        outcome
    }

    /// Writes down that this boot is ours. Without that it is nobody's, and stays.
    async fn remember(&self, lock: &mut dyn MachineLock, progress: &Progress) {
        let remembered = match self.host.boot().await {
            Ok(boot) => lock.remember(Some(boot)),
            Err(error) => Err(error),
        };
        if let Err(error) = remembered {
            let text =
                format!("the machine will stay up: that we started it could not be written down: {error}");
            progress.report(self.subject(), Phase::Warning(text));
        }
    }

    async fn set_clock(&self, progress: &Progress) {
        let text = match self.host.set_clock().await {
            Ok(None) => return,
            Ok(Some(behind)) => format!("its clock was {} s behind and was set right", behind.as_secs()),
            Err(error) => format!("its clock could not be compared with this computer's: {error}"),
        };
        progress.report(self.subject(), Phase::Warning(text));
    }

    /// Stops it, and returns when it is off.
    async fn stop(&self, lock: &mut dyn MachineLock, progress: &Progress) -> Result<()> {
        let stopping = progress.begin(self.subject(), Work::Stop);
        let outcome = self.stop_and_look(lock).await;
        stopping.ended(&outcome);
        outcome
    }

    async fn stop_and_look(&self, lock: &mut dyn MachineLock) -> Result<()> {
        if self.engine.is_foreseen() {
            return Ok(());
        }
        let patience = self.host.patience();
        let stopped = match timeout(patience.stop, self.host.stop()).await {
            Ok(outcome) => outcome,
            Err(_) => Err(self.late("stop", patience.stop)),
        };
        let begin = Instant::now();
        loop {
            match self.host.status().await? {
                MachineStatus::Stopped | MachineStatus::Absent | MachineStatus::NotNeeded => {
                    return lock.remember(None);
                }
                _ if stopped.is_err() && begin.elapsed() >= patience.answer => return stopped,
                _ if begin.elapsed() >= patience.stop => {
                    return Err(self.problem(MachineProblem::StuckStopping));
                }
                _ => sleep(patience.look).await,
            }
        }
    }

    async fn stop_if_safe(&self, ours: Ours<'_>, progress: &Progress) -> Result<MachineEnd> {
        let mut lock = self.lock(progress).await?;
        match self.host.status().await? {
            MachineStatus::NotNeeded => return Ok(MachineEnd::NotNeeded),
            MachineStatus::Absent | MachineStatus::Stopped => {
                lock.remember(None)?;
                return Ok(MachineEnd::AlreadyOff);
            }
            MachineStatus::Running => {}
            MachineStatus::Stopping => {
                self.stop(&mut *lock, progress).await?;
                return Ok(MachineEnd::AlreadyOff);
            }
            other => {
                let problem = MachineProblem::Other(format!("it is not running: {other:?}"));
                return Ok(MachineEnd::Kept(Kept::Unreadable(self.problem(problem))));
            }
        }
        if !self.is_ours(lock.started()).await? {
            return Ok(MachineEnd::Kept(Kept::NotStartedByUs));
        }
        let theirs = self.what_others_run(ours).await?;
        if !theirs.is_empty() {
            return Ok(MachineEnd::Kept(Kept::InUse(theirs)));
        }
        self.stop(&mut *lock, progress).await?;
        Ok(MachineEnd::Stopped)
    }

    /// The names of the running containers that are not ours to end.
    async fn what_others_run(&self, ours: Ours<'_>) -> Result<Vec<String>> {
        let all = ContainerFilter { running: true, labels: Vec::new(), detail: Detail::Listed };
        let running = self.engine.list(&all).await?;
        let theirs = running.into_iter().filter(|one| !ours.has(one));
        Ok(theirs.map(|container| container.name).collect())
    }

    /// Whether the boot that goes on is the one that one of our processes began.
    async fn is_ours(&self, started: Option<BootId>) -> Result<bool> {
        match started {
            Some(started) => Ok(self.host.boot().await? == started),
            None => Ok(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_next_follows_from_what_is_seen() {
        use MachineStatus as S;
        let patience = Patience::default();
        let fresh = History::default();
        let ours = History { ours: true, ..fresh.clone() };
        let nudged = History { nudged: true, ..fresh.clone() };
        let given_up =
            History { inits: MOST_INITS, starts: MOST_STARTS, restarts: 1, nudged: true, ours: true };
        let dead = || S::NotAnswering("refused".to_owned());
        let failed = |problem| Next::Fail(problem);
        let not_answering = || failed(MachineProblem::NotAnswering("refused".to_owned()));
        let (soon, late, at_last) = (Duration::ZERO, patience.answer, patience.start);
        let cases = [
            (S::Running, soon, &fresh, Next::Ask),
            (S::Absent, soon, &fresh, Next::Init),
            (S::Absent, soon, &given_up, failed(MachineProblem::Missing)),
            (S::Stopped, soon, &fresh, Next::Start),
            (S::Stopped, soon, &given_up, failed(MachineProblem::Stopped)),
            (S::Starting, soon, &fresh, Next::Look),
            (S::Starting, late, &fresh, Next::Start),
            (S::Starting, late, &nudged, Next::Look),
            (S::Starting, at_last, &nudged, failed(MachineProblem::StuckStarting)),
            (S::Starting, at_last, &History { ours: true, ..nudged.clone() }, Next::Restart),
            (S::Starting, at_last, &given_up, failed(MachineProblem::StuckStarting)),
            (dead(), soon, &ours, Next::Look),
            (dead(), late, &ours, Next::Restart),
            // Rule 5: whose containers run there cannot be read.
            (dead(), late, &fresh, not_answering()),
            (dead(), late, &given_up, not_answering()),
            (S::Stopping, soon, &fresh, Next::Look),
            (S::Stopping, patience.stop, &ours, failed(MachineProblem::StuckStopping)),
            (S::Unknown("odd".to_owned()), late, &ours, failed(MachineProblem::Other("odd".to_owned()))),
        ];
        for (status, lasting, history, expected) in cases {
            assert_eq!(
                decide(&status, lasting, history, &patience),
                expected,
                "{status:?} {lasting:?} {history:?}"
            );
        }
    }
}
