//! Docker by its API, and any socket that speaks it (Podman's), as a [`runtime_core::Engine`].
//!
//! One client for all calls, connected at the first; the version of the API is negotiated, 1.41 (Docker 20.10) is the oldest. A
//! container's state, health and exit code are read from data: Docker's list has the latter two only in a sentence, so each
//! container is looked at besides, side by side.

mod build;
mod checks;
mod confine;
mod connect;
mod convert;
mod docker;
mod exec;
mod failure;
mod logs;
mod pull;
mod stats;

pub use connect::{Behind, DockerConfig};
pub use docker::DockerEngine;
