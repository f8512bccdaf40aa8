//! Progress as data. Only who shows it to a person turns it into words.

use std::{fmt, sync::Arc, time::Duration};

use compose_file::Condition;
use serde::Serialize;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{BuildStep, Result};

/// What a lasting call is given: where to report, and when to give up.
///
/// `Call::default()` reports to nobody and is never cancelled.
#[derive(Debug, Clone, Default)]
pub struct Call {
    /// Where events go.
    pub progress: Progress,
    /// Cancels the call. What was done until then stays, and the next call completes or removes it.
    pub cancel: CancellationToken,
}

impl Call {
    /// A call that reports to `listener`.
    pub fn reporting(listener: impl Fn(Event) + Send + Sync + 'static) -> Self {
        Self { progress: Progress::new(listener), cancel: CancellationToken::new() }
    }
}

/// Where events go. A listener is called in order for one subject, from any thread, and must not block; it is
/// never called after the call that it was given to has returned.
#[derive(Clone, Default)]
pub struct Progress(Option<Arc<dyn Fn(Event) + Send + Sync>>);

impl Progress {
    /// Reports to `listener`.
    pub fn new(listener: impl Fn(Event) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(listener)))
    }

    /// Reports that work begins.
    pub fn begin(&self, subject: Subject, work: Work) -> Ongoing {
        self.report(subject.clone(), Phase::Began(work));
        Ongoing { progress: self.clone(), subject, work, begin: Instant::now() }
    }

    /// Reports one event.
    pub fn report(&self, subject: Subject, phase: Phase) {
        if let Some(listener) = &self.0 {
            listener(Event { subject, phase });
        }
    }
}

/// Work that has begun and is not over. What becomes of it is reported once; dropped, it is simply not heard of again.
#[derive(Debug)]
pub struct Ongoing {
    progress: Progress,
    subject: Subject,
    work: Work,
    begin: Instant,
}

impl Ongoing {
    /// So many bytes are done, of so many as far as that is known.
    pub fn bytes(&self, done: u64, total: Option<u64>) {
        self.progress.report(self.subject.clone(), Phase::Bytes { work: self.work, done, total });
    }

    /// It is done.
    pub fn done(self) {
        let phase = Phase::Done { work: self.work, took: self.begin.elapsed() };
        self.progress.report(self.subject, phase);
    }

    /// It is done, or failed.
    pub fn ended<T>(self, outcome: &Result<T>) {
        match outcome {
            Ok(_) => self.done(),
            Err(error) => {
                let phase = Phase::Failed { work: self.work, reason: error.to_string() };
                self.progress.report(self.subject, phase);
            }
        }
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Progress").field(&self.0.is_some()).finish()
    }
}

/// Something happened to something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    /// To what.
    pub subject: Subject,
    /// What.
    pub phase: Phase,
}

/// What an event is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Subject {
    /// An image, by its reference.
    Image(String),
    /// A network, by its name on the engine.
    Network(String),
    /// A volume, by its name on the engine.
    Volume(String),
    /// A container.
    Container {
        /// The service it belongs to.
        service: String,
        /// Its final name.
        name: String,
    },
    /// A machine, by its name.
    Machine(String),
    /// A project, by its name.
    Project(String),
    /// A service of a project, of which something is done to all containers. That it failed is told by
    /// [`Phase::Failed`] alone: what was asked for goes on.
    Service(String),
}

impl Subject {
    /// The kind, as a word.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Image(_) => "image",
            Self::Network(_) => "network",
            Self::Volume(_) => "volume",
            Self::Container { .. } => "container",
            Self::Machine(_) => "machine",
            Self::Project(_) => "project",
            Self::Service(_) => "service",
        }
    }

    /// The name.
    pub fn name(&self) -> &str {
        match self {
            Self::Image(name)
            | Self::Network(name)
            | Self::Volume(name)
            | Self::Container { name, .. }
            | Self::Machine(name)
            | Self::Project(name)
            | Self::Service(name) => name,
        }
    }
}

/// Something that is done to a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Work {
    /// An image is fetched.
    Pull,
    /// An image is made.
    Build,
    /// An image is given to its registry.
    Push,
    /// It is created.
    Create,
    /// A container is replaced by a new one.
    Recreate,
    /// It is started.
    Start,
    /// A command is run in it because of that.
    RunHook,
    /// It is stopped.
    Stop,
    /// It is sent a signal.
    Kill,
    /// It is frozen.
    Pause,
    /// It goes on.
    Unpause,
    /// It is removed.
    Remove,
    /// It gets its final name.
    Rename,
    /// Files are copied into it.
    Copy,
    /// A condition is waited for.
    Wait(Condition),
    /// Its files are watched, until the call ends.
    Watch,
    /// Its image is made again, and its containers from that, because files have changed.
    Rebuild,
    /// So many files that have changed are copied into its containers, or removed there.
    Sync(usize),
    /// Its containers are restarted.
    Restart,
    /// A machine waits for another process of ours that is busy with it.
    Queue,
    /// A machine's image is looked up.
    LookUp,
    /// A machine's image is fetched.
    Download,
    /// A machine's image is unpacked.
    Extract,
    /// A machine is made.
    Init,
    /// A machine boots.
    Boot,
    /// A machine's engine is waited for.
    Answer,
}

/// How far it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Phase {
    /// It has begun.
    Began(Work),
    /// So many bytes are done.
    Bytes {
        /// What is being done.
        work: Work,
        /// Bytes until now.
        done: u64,
        /// Bytes in all, as far as they are known.
        total: Option<u64>,
    },
    /// A step of it begins.
    Step {
        /// What is being done.
        work: Work,
        /// The step.
        step: BuildStep,
    },
    /// It is done.
    Done {
        /// What was done.
        work: Work,
        /// How long it took.
        took: Duration,
    },
    /// It is as it should be, and nothing is done.
    Unchanged,
    /// It failed; the call's error says more.
    Failed {
        /// What was being done.
        work: Work,
        /// The error, as a sentence.
        reason: String,
    },
    /// Something that the user should know, and that is no error.
    Warning(String),
}
