//! The virtual machine that an engine needs on some systems.

use std::{
    fmt::Debug,
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{Error, Progress, Result};

/// What a machine is doing: a closed set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "state", content = "why")]
pub enum MachineStatus {
    /// This engine needs no machine here.
    NotNeeded,
    /// There is none of that name.
    Absent,
    /// It exists and is off.
    Stopped,
    /// It is booting; its engine does not answer yet.
    Starting,
    /// It says that it runs, and its engine does not answer.
    NotAnswering(String),
    /// It runs and its engine has just answered.
    Running,
    /// It is being shut down.
    Stopping,
    /// It cannot be told, and why.
    Unknown(String),
}

/// Who started a machine that was told to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Started {
    /// This call did.
    ByUs,
    /// Its provider says that it runs or starts already, which is no proof that its engine answers.
    Already,
}

/// Whether a machine is stopped with what runs in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MachineStop {
    /// Only if nothing of anybody else runs in it, and that can be read.
    #[default]
    Considerately,
    /// Only if nothing at all runs in it, and one of our processes began this very boot. That it stays up is no error.
    IfStartedByUs,
    /// Whatever runs in it.
    Always,
}

/// One boot of a machine: no other has the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BootId(pub String);

/// How long is waited for what a machine does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Patience {
    /// For making it, download included.
    pub init: Duration,
    /// From its start until its engine answers, whoever started it.
    pub start: Duration,
    /// For an engine that does not answer though the machine says that it runs.
    pub answer: Duration,
    /// For its end.
    pub stop: Duration,
    /// From one look at it to the next: a provider tells nobody when something changes.
    pub look: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            init: Duration::from_secs(60 * 60),
            start: Duration::from_secs(5 * 60),
            answer: Duration::from_secs(30),
            stop: Duration::from_secs(2 * 60),
            look: Duration::from_millis(500),
        }
    }
}

/// What a backend writes if its engine lives in a virtual machine.
///
/// The methods do one thing each and decide nothing: no retry, no waiting for another process. Who calls them in
/// which order is [`crate::ContainerRuntime::ensure_ready`]. All may be dropped at any await; no child process is left.
#[async_trait]
pub trait MachineHost: Debug + Send + Sync + 'static {
    /// The machine's name, as its provider knows it.
    fn name(&self) -> &str;

    /// How long is waited for it.
    fn patience(&self) -> Patience {
        Patience::default()
    }

    /// What it is doing now, read afresh at every call: a machine that says it runs is asked whether its engine
    /// answers.
    ///
    /// # Errors
    /// When the provider's program is missing or prints what cannot be read.
    async fn status(&self) -> Result<MachineStatus>;

    /// Makes the machine; it is off afterwards. A machine that is there already is success. Cancelling it leaves
    /// no machine, or a whole one.
    ///
    /// # Errors
    /// When the image cannot be had or the provider refuses.
    async fn init(&self, progress: &Progress) -> Result<()>;

    /// Starts the machine. That it returns is no proof that the engine answers. Cancelling it may leave the
    /// machine starting, even for ever.
    ///
    /// # Errors
    /// When the machine is not there or the provider refuses.
    async fn start(&self, progress: &Progress) -> Result<Started>;

    /// Stops the machine, with everything in it. One that is off already is success. That it fails is no proof that it
    /// runs on: [`MachineHost::status`] tells.
    ///
    /// # Errors
    /// When the machine is not there or the provider refuses.
    async fn stop(&self) -> Result<()>;

    /// Asks the running machine which boot of it this is.
    ///
    /// # Errors
    /// When it does not answer.
    async fn boot(&self) -> Result<BootId>;

    /// Sets the running machine's clock right if this computer may have slept since it was last looked at, and tells by
    /// how much it was behind.
    ///
    /// # Errors
    /// When it does not answer, or refuses.
    async fn set_clock(&self) -> Result<Option<Duration>>;

    /// Waits until no other process of ours changes the machine, and keeps the others out until the lock is dropped. A
    /// process that is killed keeps nothing.
    ///
    /// # Errors
    /// When the lock cannot be had for another reason than somebody who has it.
    async fn lock(&self) -> Result<Box<dyn MachineLock>>;
}

/// The lock on a machine, and what our processes remember of it.
pub trait MachineLock: Debug + Send + Sync {
    /// The boot that one of our processes began, if that is what is remembered.
    fn started(&self) -> Option<BootId>;

    /// Remembers it, or that none is ours.
    ///
    /// # Errors
    /// When it cannot be written down.
    fn remember(&mut self, boot: Option<BootId>) -> Result<()>;
}

/// A [`MachineLock`] on a file, which the system gives up when the process ends, however it ends.
#[derive(Debug)]
pub struct FileLock {
    file: File,
    path: PathBuf,
    started: Option<BootId>,
}

/// What stands in the file.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Memory {
    started: Option<BootId>,
}

/// From one try to the next: another process's lock wakes nobody.
const TRY_AGAIN: Duration = Duration::from_millis(50);

impl FileLock {
    /// Takes the lock at that path, making the file and its folders, as soon as nobody has it. Safe to drop.
    ///
    /// # Errors
    /// [`Error::NotPermitted`] when the file cannot be made, read or locked.
    pub async fn take(path: &Path) -> Result<Self> {
        let refused = |error: io::Error| not_permitted(path, &error);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(refused)?;
        }
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).to_owned();
        let mut file = options.open(path).map_err(refused)?;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => tokio::time::sleep(TRY_AGAIN).await,
                Err(TryLockError::Error(error)) => return Err(refused(error)),
            }
        }
        let mut text = String::new();
        // What a process that was killed while it wrote has left is nothing to go by: then no boot is ours.
        let memory = file.read_to_string(&mut text).ok().and_then(|_| serde_json::from_str(&text).ok());
        let Memory { started } = memory.unwrap_or_default();
        Ok(Self { file, path: path.to_owned(), started })
    }
}

fn not_permitted(path: &Path, error: &io::Error) -> Error {
    Error::NotPermitted { what: format!("locking {}", path.display()), reason: error.to_string() }
}

impl MachineLock for FileLock {
    fn started(&self) -> Option<BootId> {
        self.started.clone()
    }

    fn remember(&mut self, boot: Option<BootId>) -> Result<()> {
        if self.started == boot {
            return Ok(());
        }
        let text = serde_json::json!(Memory { started: boot.clone() }).to_string();
        let mut write = || {
            self.file.set_len(0)?;
            self.file.seek(SeekFrom::Start(0))?;
            self.file.write_all(text.as_bytes())?;
            self.file.sync_data()
        };
        write().map_err(|error| not_permitted(&self.path, &error))?;
        self.started = boot;
        Ok(())
    }
}
