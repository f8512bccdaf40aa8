//! Podman by its command line, as a [`runtime_core::Engine`].
//!
//! No shell and no socket: every call is one `podman` command, whose JSON is read strictly. Oldest supported is podman 4.3.
//!
//! A command runs in a process group of its own. Both its pipes are drained always; at its deadline, and when its future is dropped, the
//! whole group is killed and reaped. How many run at once is bounded. Variables of a container are handed over in
//! podman's environment and not in its arguments, which every user of the computer can read.

mod build;
mod command;
mod confine;
pub mod convert;
mod copy;
mod create;
mod failure;
mod logs;
mod machine;
mod parse;
mod podman;
mod progress;
mod session;
#[cfg(unix)]
mod terminal;

pub use machine::{DEFAULT_MACHINE, MachineConfig, PodmanMachine};
pub use podman::{PodmanConfig, PodmanEngine};
