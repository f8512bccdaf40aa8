//! A machine in memory: what `podman machine` was seen to do, on tokio's clock.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use async_trait::async_trait;
use runtime_core::{
    BootId, CommandFailure, Error, MachineHost, MachineLock, MachineProblem, MachineStatus, Patience,
    Progress, Result, Started, Subject, Work,
};
use tokio::{
    sync::{Notify, OwnedMutexGuard},
    time::sleep,
};

use crate::{MockEngine, world::Inner};

const DOWNLOAD: Duration = Duration::from_secs(30);
const IMAGE_BYTES: u64 = 800 << 20;
const BOOT: Duration = Duration::from_secs(20);
const SHUT_DOWN: Duration = Duration::from_secs(3);

/// A virtual machine in memory, in which a [`MockEngine`] lives: the engine answers only while it is up, and its containers
/// end with it.
///
/// It has the traps of the real one: a machine that is starting says that it runs; a start of one that starts already is
/// refused in the same words as of one that is up; a start that is dropped in the middle leaves it starting for ever,
/// until the next start; a stop may fail and have stopped it. Handles are cheap to clone; each runtime that is given one is
/// like a process of its own: they meet at the machine and at its lock.
///
/// ```
/// use std::sync::Arc;
/// use runtime_core::{Call, Compose, ContainerRuntime, MachineStatus};
/// use runtime_mock::MockEngine;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), runtime_core::Error> {
/// let engine = MockEngine::seeded(7);
/// let machine = engine.in_machine("m1");
/// let runtime = Compose::new(engine.clone()).with_machine(Arc::new(machine.clone()));
/// let call = Call::default();
/// let (one, two) = tokio::join!(runtime.ensure_ready(&call), runtime.ensure_ready(&call));
/// assert!(one.is_ok() && two.is_ok());
/// assert_eq!(engine.count("machine_init m1"), 1);
/// assert_eq!(engine.count("machine_start m1"), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct MockMachine {
    vm: Arc<Vm>,
}

impl fmt::Debug for MockMachine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MockMachine").field("name", &self.vm.name).field("state", &*self.vm.state()).finish()
    }
}

/// What all handles share.
pub(crate) struct Vm {
    name: String,
    engine: Weak<Inner>,
    state: Mutex<State>,
    changed: Notify,
    lock: Arc<tokio::sync::Mutex<Option<BootId>>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    power: Power,
    /// What the provider's own record says, which outlives who wrote it.
    starting: bool,
    /// Whether what connects it with this computer runs.
    forwards: bool,
    boots: u64,
    /// Counts what the power was told, so that the end of something earlier changes nothing.
    turns: u64,
    clock_behind: Option<Duration>,
    /// Whether the next boots do not get to an end.
    wedged: bool,
    /// How many times faster everything is.
    pace: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Power {
    Absent,
    Off,
    Booting,
    Up,
    ShuttingDown,
}

impl Vm {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_waiters();
        if self.refusal().is_some()
            && let Some(inner) = self.engine.upgrade()
        {
            let _ = inner.events.send(None);
        }
    }

    /// Why its engine does not answer, if it does not.
    pub(crate) fn refusal(&self) -> Option<String> {
        let state = self.state();
        match state.power {
            Power::Up if state.forwards => None,
            _ => Some("connection refused".to_owned()),
        }
    }

    fn takes(&self, time: Duration) -> Duration {
        time / self.state().pace
    }

    fn switch_off(&self) {
        self.change(|state| {
            state.power = if state.power == Power::Absent { Power::Absent } else { Power::Off };
            state.forwards = false;
            state.turns += 1;
        });
        if let Some(inner) = self.engine.upgrade() {
            MockEngine::of(inner).kill_everything();
        }
    }
}

impl MockMachine {
    pub(crate) fn new(name: &str, engine: &Arc<Inner>) -> Self {
        let state = State {
            power: Power::Absent,
            starting: false,
            forwards: false,
            boots: 0,
            turns: 0,
            clock_behind: None,
            wedged: false,
            pace: 1,
        };
        let vm = Vm {
            name: name.to_owned(),
            engine: Arc::downgrade(engine),
            state: Mutex::new(state),
            changed: Notify::new(),
            lock: Arc::default(),
        };
        Self { vm: Arc::new(vm) }
    }

    pub(crate) fn vm(&self) -> Arc<Vm> {
        self.vm.clone()
    }

    fn engine(&self) -> Result<MockEngine> {
        let gone = || Error::NotInstalled { program: "mock".into(), reason: "its engine was dropped".into() };
        self.vm.engine.upgrade().map(MockEngine::of).ok_or_else(gone)
    }

    fn command_failed(&self, verb: &str, words: &str) -> Error {
        Error::Command(CommandFailure {
            command: format!("podman machine {verb} {}", self.vm.name),
            exit_code: Some(125),
            stderr: vec![format!("Error: {words}")],
        })
    }

    fn problem(&self, problem: MachineProblem) -> Error {
        Error::Machine { name: self.vm.name.clone(), problem }
    }

    /// From now on a download, a boot and a stop take so many times less than a real machine's, for tests by the clock on the wall.
    /// 0 is 1.
    pub fn hasten(&self, times: u32) {
        self.vm.change(|state| state.pace = times.max(1));
    }

    /// `podman machine init`, as it is: of a machine that is there it ends with 125.
    ///
    /// # Errors
    /// [`Error::Command`] when it is there.
    pub async fn podman_init(&self, progress: &Progress) -> Result<()> {
        let engine = self.engine()?;
        let fails = engine.begin("machine_init", &self.vm.name).await?;
        let exists = || self.command_failed("init", &format!("{}: VM already exists", self.vm.name));
        if self.vm.state().power != Power::Absent {
            return Err(exists());
        }
        let subject = || Subject::Machine(self.vm.name.clone());
        progress.begin(subject(), Work::LookUp).done();
        let download = progress.begin(subject(), Work::Download);
        for tenth in 0..=10 {
            download.bytes(IMAGE_BYTES / 10 * tenth, Some(IMAGE_BYTES));
            sleep(self.vm.takes(DOWNLOAD / 10)).await;
        }
        download.done();
        engine.turn().await;
        let mut raced = false;
        self.vm.change(|state| match state.power {
            Power::Absent => state.power = Power::Off,
            _ => raced = true,
        });
        if raced {
            return Err(exists());
        }
        progress.begin(subject(), Work::Init).done();
        fails.map_or(Ok(()), Err)
    }

    /// `podman machine start`, as it is: of a machine that starts or runs it ends with 125.
    ///
    /// # Errors
    /// [`Error::Command`] when it starts or runs already, or is not there.
    pub async fn podman_start(&self) -> Result<()> {
        let engine = self.engine()?;
        let fails = engine.begin("machine_start", &self.vm.name).await?;
        let name = &self.vm.name;
        let refused = {
            let mut state = self.vm.state();
            match state.power {
                Power::Absent => Some(format!("{name}: VM does not exist")),
                Power::Off => {
                    state.power = Power::Booting;
                    state.starting = true;
                    state.turns += 1;
                    None
                }
                _ => Some(format!("unable to start {name:?}: already running")),
            }
        };
        if let Some(words) = refused {
            return Err(self.command_failed("start", &words));
        }
        self.vm.changed.notify_waiters();
        // The machine boots whether or not the command lives to see it.
        let (vm, turn) = (self.vm.clone(), self.vm.state().turns);
        tokio::spawn(async move {
            sleep(vm.takes(BOOT)).await;
            let mut state = vm.state();
            if state.turns == turn && state.power == Power::Booting && !state.wedged {
                state.power = Power::Up;
                state.forwards = true;
                state.boots += 1;
            }
            drop(state);
            vm.changed.notify_waiters();
        });
        loop {
            let changed = self.vm.changed.notified();
            let power = self.vm.state().power;
            match power {
                Power::Booting => changed.await,
                Power::Up => break,
                _ => return Err(self.command_failed("start", "the machine ended while it booted")),
            }
        }
        self.vm.change(|state| state.starting = false);
        fails.map_or(Ok(()), Err)
    }

    /// `podman machine stop`, as it is.
    ///
    /// # Errors
    /// [`Error::Command`] when it is not there; and when what connects it has died, though it is off then.
    pub async fn podman_stop(&self) -> Result<()> {
        let engine = self.engine()?;
        let fails = engine.begin("machine_stop", &self.vm.name).await?;
        let (power, forwards) = {
            let state = self.vm.state();
            (state.power, state.forwards)
        };
        match power {
            Power::ShuttingDown => return fails.map_or(Ok(()), Err),
            Power::Absent => {
                return Err(self.command_failed("stop", &format!("{}: VM does not exist", self.vm.name)));
            }
            Power::Off => return fails.map_or(Ok(()), Err),
            _ => {}
        }
        self.vm.change(|state| {
            state.power = Power::ShuttingDown;
            state.turns += 1;
        });
        // It shuts down whether or not the command lives to see it.
        let (vm, turn) = (self.vm.clone(), self.vm.state().turns);
        tokio::spawn(async move {
            sleep(vm.takes(SHUT_DOWN)).await;
            let ends = {
                let state = vm.state();
                state.turns == turn && state.power == Power::ShuttingDown
            };
            if ends {
                vm.switch_off();
            }
        });
        loop {
            let changed = self.vm.changed.notified();
            if self.vm.state().power != Power::ShuttingDown {
                break;
            }
            changed.await;
        }
        if power == Power::Up && !forwards {
            return Err(self.command_failed("stop", "unable to clean up gvproxy: process does not exist"));
        }
        fails.map_or(Ok(()), Err)
    }

    /// Somebody else, a user for one, has made it before we came.
    pub fn exists(&self) {
        self.vm.change(|state| {
            if state.power == Power::Absent {
                state.power = Power::Off;
            }
        });
    }

    /// Somebody else has it running.
    pub fn runs(&self) {
        self.vm.change(|state| {
            state.power = Power::Up;
            state.forwards = true;
            state.starting = false;
            state.boots += 1;
            state.turns += 1;
        });
    }

    /// Its process dies: it is off at once, and its provider says so.
    pub fn kill(&self) {
        self.vm.switch_off();
    }

    /// What connects it with this computer dies: it says that it runs, and nothing answers.
    pub fn cut_off(&self) {
        self.vm.change(|state| state.forwards = false);
    }

    /// Somebody removes it.
    pub fn remove(&self) {
        self.vm.switch_off();
        self.vm.change(|state| {
            state.power = Power::Absent;
            state.starting = false;
        });
    }

    /// From now on it boots and boots; or does no longer.
    pub fn wedge(&self, wedged: bool) {
        self.vm.change(|state| state.wedged = wedged);
    }

    /// This computer has slept for so long, and its clock has not.
    pub fn oversleep(&self, time: Duration) {
        self.vm.change(|state| state.clock_behind = Some(time));
    }

    /// Whether it is up.
    pub fn is_up(&self) -> bool {
        self.vm.state().power == Power::Up
    }

    /// How often it has come up.
    pub fn boots(&self) -> u64 {
        self.vm.state().boots
    }
}

#[async_trait]
impl MachineHost for MockMachine {
    fn name(&self) -> &str {
        &self.vm.name
    }

    fn patience(&self) -> Patience {
        Patience::default()
    }

    async fn status(&self) -> Result<MachineStatus> {
        let fails = self.engine()?.begin_quietly("machine_status").await?;
        let state = self.vm.state().clone();
        let status = match state.power {
            Power::Absent => MachineStatus::Absent,
            Power::Off => MachineStatus::Stopped,
            Power::Booting => MachineStatus::Starting,
            Power::Up if state.forwards => MachineStatus::Running,
            Power::Up => MachineStatus::NotAnswering("connection refused".to_owned()),
            Power::ShuttingDown => MachineStatus::Stopping,
        };
        fails.map_or(Ok(status), Err)
    }

    async fn init(&self, progress: &Progress) -> Result<()> {
        match self.podman_init(progress).await {
            Err(Error::Command(failure)) if says(&failure, "VM already exists") => Ok(()),
            outcome => outcome,
        }
    }

    async fn start(&self, _progress: &Progress) -> Result<Started> {
        match self.podman_start().await {
            Ok(()) => Ok(Started::ByUs),
            Err(Error::Command(failure)) if says(&failure, "already running") => Ok(Started::Already),
            Err(Error::Command(failure)) if says(&failure, "does not exist") => {
                Err(self.problem(MachineProblem::Missing))
            }
            Err(error) => Err(error),
        }
    }

    async fn stop(&self) -> Result<()> {
        match self.podman_stop().await {
            Err(Error::Command(failure)) if says(&failure, "does not exist") => {
                Err(self.problem(MachineProblem::Missing))
            }
            outcome => outcome,
        }
    }

    async fn boot(&self) -> Result<BootId> {
        let fails = self.engine()?.begin_quietly("machine_boot").await?;
        let boots = match self.vm.refusal() {
            None => self.vm.state().boots,
            Some(reason) => return Err(self.problem(MachineProblem::NotAnswering(reason))),
        };
        fails.map_or(Ok(BootId(boots.to_string())), Err)
    }

    async fn set_clock(&self) -> Result<Option<Duration>> {
        let fails = self.engine()?.begin_quietly("machine_set_clock").await?;
        let behind = self.vm.state().clock_behind.take();
        fails.map_or(Ok(behind), Err)
    }

    async fn lock(&self) -> Result<Box<dyn MachineLock>> {
        self.engine()?.turn().await;
        Ok(Box::new(Lock(self.vm.lock.clone().lock_owned().await)))
    }
}

fn says(failure: &CommandFailure, words: &str) -> bool {
    failure.stderr.iter().any(|line| line.contains(words))
}

#[derive(Debug)]
struct Lock(OwnedMutexGuard<Option<BootId>>);

impl MachineLock for Lock {
    fn started(&self) -> Option<BootId> {
        self.0.clone()
    }

    fn remember(&mut self, boot: Option<BootId>) -> Result<()> {
        *self.0 = boot;
        Ok(())
    }
}
