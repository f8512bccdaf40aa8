//! `serve` and `agents`.

use std::{io, net::SocketAddr, path::PathBuf};

use clap::{Args, Subcommand};
use longshore::Config;

use super::{Tail, tail};

/// How agents are served.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Where it listens; port 0 lets the system choose [env: LONGSHORE_LISTEN] [default: 127.0.0.1:9105].
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    listen: Option<SocketAddr>,
    /// The folder of what must not be lost, the token among it [env: LONGSHORE_STATE].
    #[arg(long, value_name = "FOLDER", value_hint = clap::ValueHint::DirPath)]
    state: Option<PathBuf>,
    /// What the names of the agents' projects begin with [default: browseros-claw-].
    #[arg(long)]
    prefix: Option<String>,
    /// Let other computers reach it; every call needs the token then.
    #[arg(long)]
    remote: bool,
}

impl Serve {
    /// Adds what was said here.
    ///
    /// # Errors
    /// When the folder where this runs is gone, and a path starts from there.
    pub(crate) fn add_to(&self, config: &mut Config) -> io::Result<()> {
        let serve = &mut config.serve;
        serve.listen = self.listen;
        serve.state = self.state.as_ref().map(std::path::absolute).transpose()?;
        serve.prefix = self.prefix.clone();
        serve.remote = self.remote.then_some(true);
        Ok(())
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "expected an address with a port, like 127.0.0.1:9105".to_owned())
}

/// What is done with agents, and where.
#[derive(Debug, Args)]
pub(crate) struct Agents {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// Which server is asked.
#[derive(Debug, Args)]
#[command(next_help_heading = "Server")]
pub(crate) struct Place {
    /// Its URL; if not told, that of the server of this computer [env: LONGSHORE_SERVER].
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) server: Option<String>,
    /// The folder of its state, where its token is unless LONGSHORE_TOKEN is that [env: LONGSHORE_STATE].
    #[arg(long, global = true, value_name = "FOLDER", value_hint = clap::ValueHint::DirPath)]
    pub(crate) state: Option<PathBuf>,
}

impl Place {
    /// The flags, as they are typed.
    pub(crate) fn words(&self) -> Vec<String> {
        let state = self.state.as_ref().map(|path| path.to_string_lossy().into_owned());
        let said = [("--server", self.server.clone()), ("--state", state)];
        said.into_iter().filter_map(|(flag, value)| Some([flag.to_owned(), value?])).flatten().collect()
    }
}

/// What is done with agents.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List them.
    List,
    /// Show all that is known of one.
    Show(Of),
    /// Create one, and return when it runs.
    ///
    /// The key of its provider is in a file or in LONGSHORE_API_KEY, because others can read the arguments of a program.
    Create(Create),
    /// Start one, and return when it runs.
    Start(Asked),
    /// Stop one, and return when nothing of it runs.
    Stop(Asked),
    /// Delete one with its volumes and secrets, and return when it is gone.
    Delete(Asked),
    /// Show what one has written.
    Logs(Lines),
    /// Say something to one, and show its answer as it comes.
    Chat(Chat),
    /// Show whether the server can run containers, and what is being done.
    Status,
}

/// One agent.
#[derive(Debug, Args)]
pub(crate) struct Of {
    /// Its name.
    #[arg(value_name = "NAME", value_parser = name)]
    pub(crate) name: String,
}

/// Whether a command returns at once.
#[derive(Debug, Args)]
pub(crate) struct Waiting {
    /// Return when the server has taken the order, which it then carries out.
    #[arg(long, overrides_with = "wait")]
    pub(crate) no_wait: bool,
    /// Return when it is done; so it is if nothing is told.
    #[arg(long, overrides_with = "no_wait")]
    wait: bool,
}

/// An order to one agent.
#[derive(Debug, Args)]
pub(crate) struct Asked {
    #[command(flatten)]
    pub(crate) of: Of,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}

/// What an agent is created from.
#[derive(Debug, Args)]
pub(crate) struct Create {
    #[command(flatten)]
    pub(crate) of: Of,
    /// Who its model is asked from, like anthropic or openai.
    #[arg(long)]
    pub(crate) provider: String,
    /// Its model.
    #[arg(long)]
    pub(crate) model: String,
    /// Where the provider is asked, in place of its usual address.
    #[arg(long, value_name = "URL")]
    pub(crate) base_url: Option<String>,
    /// What it is made from, in place of the server's usual template.
    #[arg(long)]
    pub(crate) template: Option<String>,
    /// The file with the key of the provider, `-` is stdin; the key itself may be in LONGSHORE_API_KEY.
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) api_key_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}

/// Which lines of a log.
#[derive(Debug, Args)]
pub(crate) struct Lines {
    #[command(flatten)]
    pub(crate) of: Of,
    /// Go on until the agent ends.
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Only so many of its last lines.
    #[arg(short = 'n', long, value_name = "NUMBER|all", value_parser = tail, default_value = "1000")]
    pub(crate) tail: Tail,
}

/// What is said to an agent.
#[derive(Debug, Args)]
pub(crate) struct Chat {
    #[command(flatten)]
    pub(crate) of: Of,
    /// The message; several words need no quotes, and one that begins with a hyphen comes after `--`.
    #[arg(required = true)]
    pub(crate) message: Vec<String>,
}

/// What can be a part of a URL's path. The server says what else is wrong with it.
fn name(text: &str) -> Result<String, String> {
    match text {
        "" | "." | ".." => Err("expected the name of an agent".to_owned()),
        name => Ok(name.to_owned()),
    }
}
