//! Podman by its command line and its API, as a [`runtime_core::Engine`].
//!
//! [`Via`] says how it is called. By its command line every call is one `podman` command, without a shell, whose JSON is read strictly.
//! By its API (the feature `api`, on Unix) most calls are requests to a service, which are quicker; what a service cannot
//! do is a command all the same, and each knows what the other made. Oldest supported is podman 4.3.
//!
//! The service is one of our own: `podman system service` on a socket in a folder that only its user may enter, started by the first
//! call, shared by the engine's clones and ended with the last of them, with the last stream that is read from it, or by a
//! shutdown. It ends by itself some seconds after a process that was killed. Where a machine is, it is the machine's that it forwards to this
//! computer; for a `unix://` URL, the one that answers there.
//!
//! A command runs in a process group of its own. Both its pipes are drained always; at its deadline, and when its future is dropped, the
//! whole group is killed and reaped. How many run at once is bounded. Variables of a container are handed over in
//! podman's environment and not in its arguments, which every user of the computer can read.

#[cfg(all(feature = "api", unix))]
mod api;
#[cfg(not(all(feature = "api", unix)))]
#[path = "no_api.rs"]
mod api;
mod build;
mod cli;
mod command;
mod confine;
pub mod convert;
mod copy;
mod create;
mod failure;
mod log_file;
mod logs;
mod machine;
mod parse;
mod podman;
mod progress;
#[cfg(all(feature = "api", unix))]
mod service;
mod session;
#[cfg(all(feature = "api", unix))]
mod specgen;
#[cfg(unix)]
mod terminal;

pub use machine::{DEFAULT_MACHINE, MachineConfig, PodmanMachine};
pub use podman::{PodmanConfig, PodmanEngine, Via};
