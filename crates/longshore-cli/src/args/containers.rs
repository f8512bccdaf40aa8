//! What is said to containers that are there.

use clap::{ArgAction, Args};
use longshore::SignalName;

use super::{Files, FilesWithoutLetter, scale, seconds};

#[derive(Debug, Args)]
pub(crate) struct Restart {
    /// How many seconds a container has to stop before it is killed.
    #[arg(short, long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    pub(crate) timeout: Option<u64>,
    /// Leave out the services that are to be restarted with the named ones.
    #[arg(long)]
    pub(crate) no_deps: bool,
    /// Only these services.
    #[arg(value_name = "SERVICE")]
    pub(crate) services: Vec<String>,
    #[command(flatten)]
    pub(crate) files: Files,
}

#[derive(Debug, Args)]
pub(crate) struct Kill {
    /// The signal.
    #[arg(short, long, value_name = "SIGNAL", value_parser = signal, default_value = "SIGKILL", allow_hyphen_values = true)]
    pub(crate) signal: SignalName,
    /// Containers of services that are not in the file, too.
    #[arg(long)]
    pub(crate) remove_orphans: bool,
    /// Only these services.
    #[arg(value_name = "SERVICE")]
    pub(crate) services: Vec<String>,
    #[command(flatten)]
    pub(crate) files: Files,
}

fn signal(text: &str) -> Result<SignalName, String> {
    SignalName::new(text).map_err(|error| error.to_string())
}

#[derive(Debug, Args)]
pub(crate) struct Rm {
    /// Do not ask.
    #[arg(short = 'f', long)]
    pub(crate) force: bool,
    /// Stop those that run, and remove them too.
    #[arg(short, long)]
    pub(crate) stop: bool,
    /// Remove their volumes that have no name, too.
    #[arg(short = 'v', long)]
    pub(crate) volumes: bool,
    /// Only these services.
    #[arg(value_name = "SERVICE")]
    pub(crate) services: Vec<String>,
    #[command(flatten)]
    pub(crate) files: FilesWithoutLetter,
    /// More about what is being done, on stderr; twice for all of it (`-v` before the command).
    #[arg(id = "verbose", long, action = ArgAction::Count, global = true, help_heading = "Global options")]
    _verbose: u8,
}

#[derive(Debug, Args)]
pub(crate) struct Named {
    /// Only these services.
    #[arg(value_name = "SERVICE")]
    pub(crate) services: Vec<String>,
    #[command(flatten)]
    pub(crate) files: Files,
}

#[derive(Debug, Args)]
pub(crate) struct Wait {
    /// Take the project down when they have ended.
    #[arg(long)]
    pub(crate) down_project: bool,
    /// The services whose containers are waited for.
    #[arg(value_name = "SERVICE", required = true)]
    pub(crate) services: Vec<String>,
    #[command(flatten)]
    pub(crate) files: Files,
}

#[derive(Debug, Args)]
pub(crate) struct Scale {
    /// Leave out what the services depend on.
    #[arg(long)]
    pub(crate) no_deps: bool,
    /// How many containers of which service.
    #[arg(value_name = "SERVICE=NUMBER", value_parser = scale, required = true)]
    pub(crate) scale: Vec<(String, u32)>,
    #[command(flatten)]
    pub(crate) files: Files,
}

#[derive(Debug, Args)]
pub(crate) struct Port {
    /// Which container of the service, from 1.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) index: Option<u32>,
    /// The protocol.
    #[arg(long, value_name = "PROTOCOL", default_value = "tcp", value_parser = ["tcp", "udp", "sctp"])]
    pub(crate) protocol: String,
    /// The service.
    #[arg(value_name = "SERVICE")]
    pub(crate) service: String,
    /// The port inside.
    #[arg(value_name = "PORT", value_parser = super::number::<u16>)]
    pub(crate) port: u16,
    #[command(flatten)]
    pub(crate) files: Files,
}

#[derive(Debug, Args)]
pub(crate) struct Volumes {
    /// Only names.
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Only what containers of these services mount.
    #[arg(value_name = "SERVICE")]
    pub(crate) services: Vec<String>,
    #[command(flatten)]
    pub(crate) files: Files,
}

#[derive(Debug, Args)]
pub(crate) struct Events {
    /// An object a line.
    #[arg(long)]
    pub(crate) json: bool,
    /// Only these services.
    #[arg(value_name = "SERVICE")]
    pub(crate) services: Vec<String>,
    #[command(flatten)]
    pub(crate) files: Files,
}

#[derive(Debug, Args)]
pub(crate) struct Stats {
    /// Containers that do not run, too.
    #[arg(short, long)]
    pub(crate) all: bool,
    /// Once, and not until Ctrl-C.
    #[arg(long)]
    pub(crate) no_stream: bool,
    /// Whole ids.
    #[arg(long)]
    pub(crate) no_trunc: bool,
    /// Only these services.
    #[arg(value_name = "SERVICE")]
    pub(crate) services: Vec<String>,
    #[command(flatten)]
    pub(crate) files: Files,
}

#[derive(Debug, Args)]
pub(crate) struct Images {
    /// Only ids.
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Only these services.
    #[arg(value_name = "SERVICE")]
    pub(crate) services: Vec<String>,
    #[command(flatten)]
    pub(crate) files: Files,
}

#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// Do not build and start services before.
    #[arg(long)]
    pub(crate) no_up: bool,
    /// Whether images that a build has replaced are removed.
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, default_value_t = true, default_missing_value = "true",
        num_args = 0..=1, require_equals = true)]
    pub(crate) prune: bool,
    /// Do not tell how far builds are.
    #[arg(long)]
    pub(crate) quiet: bool,
    /// Only these services and what they depend on.
    #[arg(value_name = "SERVICE")]
    pub(crate) services: Vec<String>,
    #[command(flatten)]
    pub(crate) files: Files,
}
