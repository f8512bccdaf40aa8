//! The virtual machine that an engine needs on some systems.

use std::fmt::Debug;

use async_trait::async_trait;
use serde::Serialize;

use crate::{Progress, Result};

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

/// What a backend writes if its engine lives in a virtual machine.
///
/// The methods do one thing each and decide nothing: no retry, no waiting for another process. Who calls them in
/// which order is [`crate::ContainerRuntime::ensure_ready`].
#[async_trait]
pub trait MachineHost: Debug + Send + Sync + 'static {
    /// The machine's name, as its provider knows it.
    fn name(&self) -> &str;

    /// What it is doing now, read afresh at every call. Safe to cancel.
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
    /// machine starting.
    ///
    /// # Errors
    /// When the machine is not there or the provider refuses.
    async fn start(&self, progress: &Progress) -> Result<()>;

    /// Stops the machine, with everything in it. One that is off already is success.
    ///
    /// # Errors
    /// When the machine is not there or runs on.
    async fn stop(&self) -> Result<()>;
}
