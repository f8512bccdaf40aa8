//! What is done with images.

use std::{str::FromStr, string::ToString};

use clap::{Args, ValueEnum};

use super::Files;
use crate::context::Tells;

#[derive(Debug, Args)]
pub(crate) struct Build {
    /// The value of an `ARG`, `NAME` alone as it is here; over that of the file.
    #[arg(long = "build-arg", value_name = "NAME[=VALUE]")]
    pub(crate) build_args: Vec<Argument>,
    /// Take no layer from a cache.
    #[arg(long)]
    pub(crate) no_cache: bool,
    /// Pull the images that they are made from, though they are here.
    #[arg(long)]
    pub(crate) pull: bool,
    /// Give the images to their registries afterwards.
    #[arg(long)]
    pub(crate) push: bool,
    /// Do not tell how far it is.
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// An SSH agent or key that the build may use, beside those of the file.
    #[arg(long, value_name = "ID[=PATH]")]
    pub(crate) ssh: Vec<String>,
    /// A builder of BuildKit's. Refused: the engine builds images itself.
    #[arg(long, value_name = "NAME")]
    pub(crate) builder: Option<String>,
    /// How much memory a build may take. Refused: neither engine's builder is told so here.
    #[arg(short, long, value_name = "BYTES")]
    pub(crate) memory: Option<String>,
    /// Build what the named services depend on, too.
    #[arg(long)]
    pub(crate) with_dependencies: bool,
    /// How it is told how far it is; as docker compose has it, `quiet` tells nothing.
    #[arg(long, value_name = "HOW", value_enum, default_value_t)]
    pub(crate) progress: Telling,
    /// Only these services.
    #[arg(value_name = "SERVICE")]
    pub(crate) services: Vec<String>,
    #[command(flatten)]
    pub(crate) files: Files,
}

/// A name, and a value if one is given. It prints no value.
#[derive(Clone)]
pub(crate) struct Argument(String);

impl Argument {
    /// The name, and the value that is given or is in the environment.
    pub(crate) fn value(
        &self,
        environment: &std::collections::BTreeMap<String, String>,
    ) -> Option<(String, String)> {
        match self.0.split_once('=') {
            Some((name, value)) => Some((name.to_owned(), value.to_owned())),
            None => environment.get(&self.0).map(|value| (self.0.clone(), value.clone())),
        }
    }
}

impl std::fmt::Debug for Argument {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Argument").field(&self.0.split('=').next().map(ToString::to_string)).finish()
    }
}

impl FromStr for Argument {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text.split('=').next() {
            Some("") | None => Err("expected NAME or NAME=VALUE".to_owned()),
            Some(_) => Ok(Self(text.to_owned())),
        }
    }
}

/// How it is told how far a build is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Telling {
    /// As suits the output.
    #[default]
    Auto,
    /// On a terminal.
    Tty,
    /// A line for each thing.
    Plain,
    /// Not at all.
    Quiet,
}

#[derive(Debug, Args)]
pub(crate) struct Push {
    /// Go on with the others when an image cannot be pushed, and only tell it.
    #[arg(long)]
    pub(crate) ignore_push_failures: bool,
    /// Push what the named services depend on, too.
    #[arg(long)]
    pub(crate) include_deps: bool,
    /// Do not tell how far it is.
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Only these services.
    #[arg(value_name = "SERVICE")]
    pub(crate) services: Vec<String>,
    #[command(flatten)]
    pub(crate) files: Files,
}

/// Which images are built, and what is told of it; the same for all that bring services up.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(crate) struct BuildFlags {
    /// Build images before containers are made, though they are here.
    #[arg(long, conflicts_with = "no_build")]
    pub(crate) build: bool,
    /// Build no image; one that is not here is an error then.
    #[arg(long)]
    pub(crate) no_build: bool,
    /// Do not tell how far a pull is.
    #[arg(long)]
    pub(crate) quiet_pull: bool,
}

impl BuildFlags {
    pub(crate) fn tells(self) -> Tells {
        if self.quiet_pull { Tells::AllButPulls } else { Tells::All }
    }

    pub(crate) fn building(self) -> longshore::Building {
        match self {
            Self { build: true, .. } => longshore::Building::Always,
            Self { no_build: true, .. } => longshore::Building::Never,
            _ => longshore::Building::Missing,
        }
    }
}
