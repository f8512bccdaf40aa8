//! The contract of a container runtime, and all of compose that is the same for every engine.
//!
//! A caller holds a [`ContainerRuntime`]. A backend writes an [`Engine`], the single resources, and a [`MachineHost`] if its
//! engine lives in a virtual machine; [`Compose`] makes a runtime of them, so that backends cannot differ in order,
//! waiting, names or errors.
//!
//! Data flows one way: a [`compose_file::Project`] and what was [`Observed`] become a [`Plan`]; the plan becomes calls on the
//! engine; what happens comes back as [`Event`]s and [`Error`]s. Deciding is pure: the planner has no I/O and no
//! clock. Doing is dumb: the executor has no opinion.

mod build;
mod compose;
mod confine;
mod copy;
mod develop;
mod engine;
mod error;
mod event;
mod execute;
mod flight;
mod foresee;
pub mod labels;
mod lifecycle;
mod log_lines;
mod machine;
mod name;
mod oneoff;
mod plan;
mod project_logs;
mod readiness;
mod reconcile;
mod reread;
mod resubscribe;
mod runtime;
mod session;
mod shutdown;
mod spec;
mod takedown;
mod usage;
mod watch;

pub use build::{
    BuildLog, BuildOptions, BuildSecret, BuildSecretSource, BuildSpec, BuildStep, Building, Dockerfile,
    Ignored, PushOptions, is_disturbed,
};
pub use compose::Compose;
pub use confine::*;
pub use copy::{Archive, CopiedLinks, CopiedOwner, CopyOptions, CopySource, unpack};
pub use develop::{DevelopOptions, ReplacedImages, watched_services};
pub use engine::*;
pub use error::*;
pub use event::*;
pub use log_lines::LogLines;
pub use machine::*;
pub use name::*;
pub use oneoff::{Afterwards, Member, RunAliases, RunOptions, RunPorts, RunTalk};
pub use plan::*;
pub use reconcile::{Desired, plan_up, scope_of_up, selected_services};
pub use reread::{Rereadable, Run, reread, reread_last};
pub use resubscribe::{Subscription, resubscribing};
pub use runtime::*;
pub use session::*;
pub use shutdown::{Kept, MachineAtEnd, MachineEnd, Projects, ShutdownOptions, ShutdownOutcome};
pub use takedown::{plan_down, plan_kill, plan_pause, plan_remove, plan_restart, plan_start, plan_stop};
