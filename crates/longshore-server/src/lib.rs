//! AI agents over HTTP, each a compose project on the local engine: what `longshore serve` is.
//!
//! A desktop app or a page creates an agent with one call, sees how far it is, talks to it and deletes it; which engine runs it,
//! Podman, Docker or one in memory, is a matter of the configuration ([`longshore::Config`], its section `[serve]`).
//!
//! ```no_run
//! use longshore::Config;
//! use longshore_server::Server;
//! use tokio_util::sync::CancellationToken;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let config = Config::load(Config::default(), &std::env::vars().collect(), None)?;
//! let server = Server::start(&config).await?;
//! println!("{}", server.url());
//! let (end, hurry) = (CancellationToken::new(), CancellationToken::new());
//! server.run(&end, &hurry).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What it promises
//!
//! - An answer that an agent is created, started, stopped or deleted is given when that is on the disk. A server that is killed does
//!   the rest when it is started again; what happened to containers meanwhile is seen.
//! - An agent is `running` only when it has proved, by its own token, that it is the one that answers at its port.
//! - No secret is in an answer, an error, a log of the server or an argument of a process.
//! - Only this computer reaches it, unless it is told otherwise, and of pages in a browser only its own.
//! - Ending it stops the agents, then the engine's machine if that harms nobody, and waits for both.

mod agent;
pub mod api;
mod backlog;
pub mod client;
mod clock;
mod fleet;
mod gateway;
mod http;
mod mock;
mod name;
mod ports;
mod progress;
mod projects;
mod server;
mod settings;
mod status;
mod store;
mod tail;
mod template;
mod wish;
mod worker;

pub use http::document;
pub use server::{Server, ServerError};
pub use settings::{DEFAULT_ADDRESS, SettingsError};
pub use store::StoreError;
pub use template::TemplateError;
