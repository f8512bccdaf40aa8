//! Compose projects on whatever engine a computer has.
//!
//! A program loads a [`Project`], connects to a runtime, and calls it. Which engine that is, Podman, Docker or one in
//! memory for tests, is a matter of [`Config`]; the calls are those of [`ContainerRuntime`] for all of them.
//!
//! ```no_run
//! use longshore::{AnyRuntime, Call, Config, ContainerRuntime, LoadOptions, UpOptions, load};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let project = load(&LoadOptions::new(std::env::current_dir()?))?;
//! let runtime = AnyRuntime::connect(&Config::default()).await?;
//! runtime.up(&project, &UpOptions::default(), &Call::default()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Which engine
//!
//! [`Config::load`] reads what the user wants, from flags over environment variables over a file. With nothing said,
//! [`AnyRuntime::connect`] asks Podman, then Docker, and takes the first that answers; if none does, the error lists why
//! each does not.
//!
//! # Progress and cancelling
//!
//! A call that lasts takes a [`Call`]: a listener that is given [`Event`]s, and a token that cancels. Events are data; the
//! words are the program's own.
//!
//! # Tests without an engine
//!
//! With the feature `mock`, `RuntimeChoice::Mock` is an engine in memory that keeps the same promises. `examples/mock_test.rs`
//! shows a test that uses it.
//!
//! # Features
//!
//! `podman`, `docker` and `mock`, all on by default; a backend that is off is not compiled.

mod any_runtime;
mod config;
pub mod doctor;
mod serve;

pub use any_runtime::AnyRuntime;
pub use compose_file::{self, Condition, LoadError, LoadOptions, Project, ProjectName, load, load_str};
pub use config::{
    Config, ConfigError, DockerSection, MachineChoice, MachineSection, PodmanSection, PodmanVia,
    RuntimeChoice,
};
pub use runtime_core::{self, *};
#[cfg(feature = "docker")]
pub use runtime_docker as docker;
#[cfg(feature = "mock")]
pub use runtime_mock as mock;
#[cfg(feature = "podman")]
pub use runtime_podman as podman;
pub use serve::{PortRange, ServeSection};
