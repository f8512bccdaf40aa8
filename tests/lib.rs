//! One behaviour suite for every backend, and what it stands on.
//!
//! A behaviour is an async function that is given a [`Case`]: a runtime of one backend, project names that nobody else has,
//! and the promise that everything made under them is taken away afterwards. [`Suite`] makes a test of each behaviour for
//! each [`Backend`]; one whose engine is not here is shown as ignored, with the reason, unless `LONGSHORE_REQUIRE` names it.
//!
//! | variable | meaning |
//! |---|---|
//! | `LONGSHORE_REQUIRE` | backends that must be there, joined by commas |
//! | `LONGSHORE_TEST_PODMAN_API` | set, if Podman is to be asked over its API too |
//! | `LONGSHORE_TEST_OVER_PODMAN` | set, if Podman is to be asked by the Docker backend too |
//! | `LONGSHORE_TEST_PODMAN_SOCKET` | the socket of a service of Podman's |
//! | `LONGSHORE_TEST_AXE` | axe-core's script, for the tests of the page |
//! | `LONGSHORE_TEST_SHOTS` | a folder for pictures of the page |
//! | `LONGSHORE_TEST_REGISTRY` | a registry, as `host:port`, with the image `longshore-fixture:pull` |

mod backend;
pub mod browser;
mod case;
pub mod house;
mod outcome;
mod probe;
mod recorder;
mod suite;
mod talked;

pub use backend::{Backend, Connection};
pub use case::{Case, Seen, options};
pub use outcome::{Failed, Outcome, completed, is_required, refused, said, variable};
pub use probe::{free_port, http_get};
pub use recorder::Recorder;
pub use suite::{Behaviour, Suite, sentence};
pub use talked::Talked;

/// The images that every backend has: the same program, in two versions that differ in one label.
pub const IMAGE: &str = "localhost/longshore-fixture:1";
/// The other one.
pub const IMAGE_2: &str = "localhost/longshore-fixture:2";
