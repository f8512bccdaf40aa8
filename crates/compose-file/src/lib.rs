//! The compose specification: text to a checked model, with errors that point at a line.
//!
//! [`load`] takes files through stages, each a module: read, parse (a tree that remembers places, tags and what was
//! written), interpolate, extend, include, merge, normalize, check. What another file says that
//! is extended or included begins its relative paths in that file's folder. What is left is a [`Project`] whose types cannot hold nonsense, or all that is
//! wrong at once:
//!
//! ```
//! use compose_file::{LoadError, LoadOptions, load_str};
//!
//! let options = LoadOptions::new("/srv/shop");
//! let project = load_str("compose.yaml", "services: {web: {image: nginx, ports: ['127.0.0.1:8080:80']}}", &options)?;
//! assert_eq!(project.name.as_str(), "shop");
//! assert_eq!(project.services["web"].ports[0].target, 80);
//!
//! let Err(LoadError::Invalid(found)) = load_str("compose.yaml", "services:\n  web:\n    imag: nginx\n", &options) else {
//!     panic!("it has no image");
//! };
//! assert!(found.to_string().contains("did you mean \"image\"?"));
//! # Ok::<(), LoadError>(())
//! ```
//!
//! An error is data (a [`Diagnostic`] with file, line, column, what is wrong, what to do), and a text for people:
//!
//! ```text
//! error: services.web: "imag" is not known here
//!  --> compose.yaml:3:5
//! 3 |     imag: nginx
//!   |     ^^^^
//!   help: did you mean "image"?
//! ```
//!
//! A file from anywhere may be loaded: what it takes is bounded by its size, whatever it repeats or refers to. The files that it names are
//! read.
//!
//! The library has no engine, does nothing asynchronous, and reads no environment: what the process has is given to it
//! in [`LoadOptions::env`]. All of the specification is in the model; nothing is
//! dropped in silence. What an engine cannot do is said by who tells it the model.
//!
//! What the specification adds to is `#[non_exhaustive]`. A few enums are closed all the same, among them [`Condition`], [`RestartPolicy`],
//! [`Protocol`] and [`HealthTest`]: who runs a project has to decide what each of their words means, and a new one is to be met by a compiler
//! rather than by a wildcard.

mod attribute;
mod build;
mod check;
mod context;
mod deploy;
mod develop;
mod devices;
mod diagnostic;
mod discover;
mod dotenv;
mod extends;
mod files;
mod findings;
mod grammar;
mod grant;
mod include;
mod interpolate;
mod load;
mod merge;
mod model;
mod mount;
mod normalize;
mod outside;
mod port;
mod quantity;
mod read;
mod render;
mod resource;
mod scalar;
mod service;
mod words;
mod written;
mod yaml;

pub use build::{Build, BuildContext, SshKey};
pub use deploy::*;
pub use develop::*;
pub use devices::{BlkioConfig, BlkioRate, BlkioWeight, Device, DeviceRequest, Ulimit};
pub use diagnostic::*;
pub use discover::DEFAULT_FILES;
pub use findings::Diagnostics;
pub use grant::{FileObject, FileSource, Grant, Hidden, Model, ModelUse};
pub use load::{LoadError, LoadOptions, load, load_str, variables, variables_str};
pub use model::*;
pub use mount::short_mount;
pub use outside::{
    Cgroup, CredentialSpec, Link, Logging, MountsOwner, Namespace, Provider, ProviderOption, VolumesFrom,
};
pub use port::short_port;
pub use quantity::{Bytes, Count, Decimal, Limit};
pub use render::{config_hash, to_json, to_yaml, yaml};
pub use words::split_words;

/// The examples of the README hold.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
