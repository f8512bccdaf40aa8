//! A container engine in memory, for programs that want to test what they do with containers.
//!
//! It behaves as Podman and Docker do: names and ports clash, volumes in use stay, a container that ignores SIGTERM is killed after its
//! grace period and exits with 137. It runs on tokio's clock, so a test with a paused one takes no time, however long
//! its containers run; and with a [seed](MockEngine::seeded) its calls take turns in an order that the seed decides.
//!
//! What a container does is a [`Program`]. Those of images that were not given one do what their labels say: nothing of a compose file has to
//! be changed to try it out but these:
//!
//! | label | what it does |
//! |---|---|
//! | `io.longshore.mock.run-for: 2s` | ends after that time; else it runs until it is stopped |
//! | `io.longshore.mock.exit: "3"` | the exit code when it ends by itself (at once without `run-for`) |
//! | `io.longshore.mock.healthy-after: 1s` | its healthcheck fails until then |
//! | `io.longshore.mock.unhealthy: "true"` | its healthcheck never passes |
//! | `io.longshore.mock.log: text` | a line to log at the start |
//! | `io.longshore.mock.log-every: 500ms` | logs a line again and again |
//!
//! ```
//! use compose_file::{LoadOptions, load_str};
//! use runtime_core::{Call, Compose, ContainerRuntime, UpOptions};
//! use runtime_mock::MockEngine;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let engine = MockEngine::new();
//! let runtime = Compose::new(engine.clone());
//! let file = "services: {db: {image: postgres}, web: {image: nginx, depends_on: [db]}}";
//! let project = load_str("compose.yaml", file, &LoadOptions::new("/srv/shop"))?;
//! runtime.up(&project, &UpOptions::default(), &Call::default()).await?;
//! assert!(engine.happened_before("start_container shop-db-1", "start_container shop-web-1"));
//! # Ok(())
//! # }
//! ```
//!
//! Images are built from the Dockerfile that the file names, as far as it needs no shell: `FROM` an image that is here, `COPY`, `ENV`, `ARG`, and
//! `RUN` of the image's own program.
//!
//! Files of bind mounts are the computer's own; everything else is in memory and gone with the last handle.
//!
//! # Time
//!
//! Nothing sleeps but on tokio's clock. With `start_paused = true` a boot of twenty seconds and a grace period of an hour take no
//! time, and happen in their order all the same.
//!
//! # Seeds
//!
//! [`MockEngine::seeded`] decides at every await who gets on: a race that shows itself in one order of a hundred is found by
//! trying a hundred seeds, and found again by the seed that found it. Equal seeds give equal runs on a current-thread runtime.
//! `cargo run -p longshore --example find_the_race` finds one so.
//!
//! # Faults
//!
//! [`MockEngine::script`] says which call goes wrong and how: "the second `machine_init` fails", "`list` fails once",
//! "`machine_start` hangs", "`start_container` finds its port taken". [`MockEngine::free_names_after`] lets a removed container's
//! name linger. What happens behind one's back is a method of [`MockMachine`]: it is [killed](MockMachine::kill),
//! [cut off](MockMachine::cut_off), [removed](MockMachine::remove), or somebody else [has it running](MockMachine::runs).
//!
//! ```
//! use std::sync::Arc;
//! use runtime_core::{Call, Compose, ContainerRuntime, Error};
//! use runtime_mock::{Fault, MockEngine};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! let engine = MockEngine::seeded(1);
//! let machine = engine.in_machine("m1");
//! let runtime = Compose::new(engine.clone()).with_machine(Arc::new(machine.clone()));
//! engine.script("machine_init", 1, Fault::Hang);
//! let outcome = runtime.ensure_ready(&Call::default()).await;
//! assert!(matches!(outcome, Err(Error::TimedOut { .. })));
//! // A failure is not kept, and the machine may stop at any moment.
//! assert!(runtime.ensure_ready(&Call::default()).await.is_ok());
//! machine.kill();
//! assert!(runtime.ensure_ready(&Call::default()).await.is_ok());
//! assert_eq!(machine.boots(), 2);
//! # }
//! ```
//!
//! # The journal
//!
//! [`MockEngine::journal`] is every call that changed something, in order; [`MockEngine::happened_before`] and
//! [`MockEngine::count`] ask it.

mod build;
mod engine;
mod fault;
mod fixture;
mod machine;
mod program;
mod world;

pub use engine::MockEngine;
pub use fault::Fault;
pub use machine::MockMachine;
pub use program::{Process, Program};
