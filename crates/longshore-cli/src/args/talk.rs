//! What is run in containers, or as one.

use clap::{ArgAction, Args};
use longshore::DetachKeys;

use super::{Files, FilesWithoutLetter};

fn keys(text: &str) -> Result<DetachKeys, String> {
    text.parse()
}

/// How a process is talked with; the same for `exec` and `run`.
#[derive(Debug, Args)]
pub(crate) struct Talking {
    /// No terminal, even if this is one.
    #[arg(short = 'T', long = "no-TTY", alias = "no-tty")]
    pub(crate) no_tty: bool,
    /// Keep stdin open, as is the default.
    #[arg(short, long, overrides_with = "interactive", num_args = 0..=1, require_equals = true,
          default_value_t = true, default_missing_value = "true", action = ArgAction::Set, hide_default_value = true,
          hide_possible_values = true)]
    pub(crate) interactive: bool,
    /// A terminal, as is the default on one.
    #[arg(short, long, conflicts_with = "no_tty")]
    pub(crate) tty: bool,
    /// Start it and return.
    #[arg(short, long)]
    pub(crate) detach: bool,
    /// A variable, `NAME` alone as it is here.
    #[arg(short, long = "env", value_name = "NAME[=VALUE]")]
    pub(crate) env: Vec<String>,
    /// The user.
    #[arg(short, long, value_name = "USER")]
    pub(crate) user: Option<String>,
    /// The working folder.
    #[arg(short, long, value_name = "PATH")]
    pub(crate) workdir: Option<String>,
    /// The keys that let go of a terminal, in place of ctrl-p,ctrl-q; none if empty.
    #[arg(long, value_name = "KEYS", value_parser = keys, default_value = "ctrl-p,ctrl-q", hide_default_value = true)]
    pub(crate) detach_keys: DetachKeys,
}

#[derive(Debug, Args)]
pub(crate) struct Exec {
    #[command(flatten)]
    pub(crate) talking: Talking,
    /// Which container of the service, from 1.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) index: Option<u32>,
    /// All that the engine may do.
    #[arg(long)]
    pub(crate) privileged: bool,
    #[command(flatten)]
    pub(crate) files: Files,
    /// The service, then the command and its arguments.
    #[arg(value_name = "SERVICE COMMAND", required = true, num_args = 2.., trailing_var_arg = true)]
    pub(crate) words: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) talking: Talking,
    #[command(flatten)]
    pub(crate) images: super::BuildFlags,
    /// Remove it when it has ended.
    #[arg(long)]
    pub(crate) rm: bool,
    /// The container's name.
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Another program than the image's.
    #[arg(long, value_name = "COMMAND")]
    pub(crate) entrypoint: Option<String>,
    /// Publish a port: PORT, HOST:PORT or ADDRESS:HOST:PORT.
    #[arg(short, long, value_name = "PORT", conflicts_with = "service_ports")]
    pub(crate) publish: Vec<String>,
    /// Publish the ports of the service.
    #[arg(short = 'P', long)]
    pub(crate) service_ports: bool,
    /// Mount a volume or a path of the host: SOURCE:PATH, or SOURCE:PATH:ro.
    #[arg(short, long = "volume", value_name = "MOUNT")]
    pub(crate) volume: Vec<String>,
    /// A label.
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    pub(crate) label: Vec<String>,
    /// A capability more.
    #[arg(long, value_name = "CAPABILITY")]
    pub(crate) cap_add: Vec<String>,
    /// A capability less.
    #[arg(long, value_name = "CAPABILITY")]
    pub(crate) cap_drop: Vec<String>,
    /// Leave out what the service depends on.
    #[arg(long)]
    pub(crate) no_deps: bool,
    /// Be found by the service's names on its networks.
    #[arg(long)]
    pub(crate) use_aliases: bool,
    /// Remove containers of services that are not in the file.
    #[arg(long)]
    pub(crate) remove_orphans: bool,
    #[command(flatten)]
    pub(crate) files: FilesWithoutLetter,
    /// The service, then a command in place of its own, and its arguments.
    #[arg(value_name = "SERVICE [COMMAND]", required = true, trailing_var_arg = true)]
    pub(crate) words: Vec<String>,
    /// The project's name, in place of the one in the file or of its folder (`-p` before the command).
    #[arg(id = "project_name", long, value_name = "NAME", global = true, help_heading = "Global options")]
    _project_name: Option<String>,
    /// More about what is being done, on stderr; twice for all of it (`-v` before the command).
    #[arg(id = "verbose", long, action = ArgAction::Count, global = true, help_heading = "Global options")]
    _verbose: u8,
}

#[derive(Debug, Args)]
pub(crate) struct Cp {
    /// Give the files to the container's user; else they stay whose they are, by number.
    #[arg(short, long)]
    pub(crate) archive: bool,
    /// Copy what a link leads to that is named, and not the link.
    #[arg(short = 'L', long)]
    pub(crate) follow_link: bool,
    /// Which container of the service, from 1; else into all of them, or out of the first.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) index: Option<u32>,
    /// What is copied: SERVICE:PATH, a path of this computer, or `-` for a tar archive on stdin.
    #[arg(value_name = "SOURCE", value_hint = clap::ValueHint::AnyPath)]
    pub(crate) source: String,
    /// Where to: a path of this computer, `-` for a tar archive on stdout, or SERVICE:PATH.
    #[arg(value_name = "DESTINATION", value_hint = clap::ValueHint::AnyPath)]
    pub(crate) destination: String,
    #[command(flatten)]
    pub(crate) files: Files,
}

#[derive(Debug, Args)]
pub(crate) struct Attach {
    /// Which container of the service, from 1.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) index: Option<u32>,
    /// The keys that let go of a terminal, in place of ctrl-p,ctrl-q; none if empty.
    #[arg(long, value_name = "KEYS", value_parser = keys, default_value = "ctrl-p,ctrl-q", hide_default_value = true)]
    pub(crate) detach_keys: DetachKeys,
    /// Only listen.
    #[arg(long)]
    pub(crate) no_stdin: bool,
    /// Give signals on to the container, as is the default.
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true",
          action = ArgAction::Set, hide_default_value = true, hide_possible_values = true)]
    pub(crate) sig_proxy: bool,
    /// The service.
    #[arg(value_name = "SERVICE")]
    pub(crate) service: String,
    #[command(flatten)]
    pub(crate) files: Files,
}
