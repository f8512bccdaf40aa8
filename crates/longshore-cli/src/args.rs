//! The command line, as docker compose has it.

mod agents;
mod containers;
mod images;
mod talk;

use std::{collections::BTreeMap, path::PathBuf, str::FromStr};

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use longshore::{Config, ContainerState, MachineChoice, RuntimeChoice, compose_file::PullPolicy};

pub(crate) use self::agents::{Agents, Asked, Chat, Create, Lines, Of, Place, Serve, Verb};
pub(crate) use self::containers::{
    Events, Images, Kill, Named, Port, Restart, Rm, Scale, Stats, Volumes, Wait, Watch,
};
pub(crate) use self::images::{Build, BuildFlags, Push, Telling};
pub(crate) use self::talk::{Attach, Cp, Exec, Run, Talking};
use crate::exit::ExitCode;

/// Compose projects on whatever engine this computer has.
#[derive(Debug, Parser)]
#[command(name = "longshore", version, max_term_width = 100, after_long_help = ExitCode::table())]
pub(crate) struct Cli {
    /// More about what is being done, on stderr; twice for all of it.
    // `down -v` means the volumes, so `down` has an argument of the same id without the letter.
    #[arg(id = "verbose", short, long, global = true, action = ArgAction::Count, help_heading = "Global options")]
    pub(crate) verbose: u8,
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(flatten)]
    pub(crate) files: Files,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes, before or after its name.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// The project's name, in place of the one in the file or of its folder.
    #[arg(short, long, global = true, value_name = "NAME")]
    pub(crate) project_name: Option<String>,
    /// The folder that relative paths start from, in place of the first file's.
    #[arg(long, global = true, value_name = "FOLDER", value_hint = clap::ValueHint::DirPath)]
    pub(crate) project_directory: Option<PathBuf>,
    /// The engine [env: LONGSHORE_RUNTIME] [default: auto].
    #[arg(long, global = true, value_name = "ENGINE", value_enum)]
    runtime: Option<Runtime>,
    /// The engine's address, like unix:///run/docker.sock [env: LONGSHORE_HOST].
    #[arg(long, global = true, value_name = "URL")]
    host: Option<String>,
    /// The podman program [env: LONGSHORE_PODMAN].
    #[arg(long, global = true, value_name = "PATH", value_hint = clap::ValueHint::ExecutablePath)]
    podman: Option<PathBuf>,
    /// Whether Podman's engine lives in a virtual machine [env: LONGSHORE_MACHINE] [default: auto].
    #[arg(long, global = true, value_name = "WHEN", value_enum)]
    machine: Option<When>,
    /// The machine's name [env: LONGSHORE_MACHINE_NAME].
    #[arg(long, global = true, value_name = "NAME")]
    machine_name: Option<String>,
    /// The configuration file [env: LONGSHORE_CONFIG].
    #[arg(long, global = true, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,
    /// Say what would be done, and do nothing.
    #[arg(long, global = true)]
    pub(crate) dry_run: bool,
    /// How results, events and errors are written.
    #[arg(long, global = true, value_enum, default_value_t)]
    pub(crate) format: Format,
    /// Whether to use colours; NO_COLOR is honoured.
    #[arg(long, global = true, value_enum, default_value_t)]
    pub(crate) color: Color,
}

impl Global {
    /// What of the configuration was said by flags.
    pub(crate) fn flags(&self) -> Config {
        let mut config = Config::default();
        config.runtime = self.runtime.map(Runtime::choice);
        config.host = self.host.clone();
        config.podman.program = self.podman.clone();
        config.machine.when = self.machine.map(When::choice);
        config.machine.name = self.machine_name.clone();
        config
    }

    /// What of it says which project on which engine, as it is typed.
    pub(crate) fn words(&self) -> Vec<String> {
        let path = |path: &PathBuf| path.to_string_lossy().into_owned();
        let word = |value: Option<clap::builder::PossibleValue>| value.map(|v| v.get_name().to_owned());
        let said = [
            ("-p", self.project_name.clone()),
            ("--project-directory", self.project_directory.as_ref().map(path)),
            ("--runtime", self.runtime.and_then(|runtime| word(runtime.to_possible_value()))),
            ("--host", self.host.clone()),
            ("--podman", self.podman.as_ref().map(path)),
            ("--machine", self.machine.and_then(|when| word(when.to_possible_value()))),
            ("--machine-name", self.machine_name.clone()),
            ("--config", self.config.as_ref().map(path)),
        ];
        said.into_iter().filter_map(|(flag, value)| Some([flag.to_owned(), value?])).flatten().collect()
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Runtime {
    /// Podman if it answers, else Docker.
    Auto,
    /// Podman.
    Podman,
    /// Docker, or what speaks its API.
    Docker,
    /// An engine in memory, which ends with the command.
    Mock,
}

impl Runtime {
    fn choice(self) -> RuntimeChoice {
        match self {
            Self::Auto => RuntimeChoice::Auto,
            Self::Podman => RuntimeChoice::Podman,
            Self::Docker => RuntimeChoice::Docker,
            Self::Mock => RuntimeChoice::Mock,
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum When {
    /// Where there is no Linux.
    Auto,
    /// On Linux too.
    Always,
    /// Nowhere.
    Never,
}

impl When {
    fn choice(self) -> MachineChoice {
        match self {
            Self::Auto => MachineChoice::Auto,
            Self::Always => MachineChoice::Always,
            Self::Never => MachineChoice::Never,
        }
    }
}

/// How things are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    #[value(alias = "table", alias = "yaml")]
    Text,
    /// For programs: one document on stdout; events and errors one object a line on stderr.
    Json,
}

/// Whether to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Where the project comes from. What is given before the command's name comes first.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Project")]
pub(crate) struct Files {
    /// A compose file; later ones are merged over earlier ones, `-` is stdin.
    #[arg(short = 'f', long = "file", value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) with: Circumstances,
}

/// The same for `logs` and `rm`, where `-f` means to follow and not to ask.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Project")]
pub(crate) struct FilesWithoutLetter {
    /// A compose file; later ones are merged over earlier ones, `-` is stdin (`-f` before the command).
    #[arg(long = "file", value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    with: Circumstances,
}

/// What else decides how a file is read.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Project")]
pub(crate) struct Circumstances {
    /// A file of variables, in place of `.env`.
    #[arg(long = "env-file", value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) env_files: Vec<PathBuf>,
    /// A profile to enable.
    #[arg(long = "profile", value_name = "NAME")]
    pub(crate) profiles: Vec<String>,
}

impl Files {
    /// These, then those.
    pub(crate) fn followed_by(mut self, other: Self) -> Self {
        self.files.extend(other.files);
        self.with.env_files.extend(other.with.env_files);
        self.with.profiles.extend(other.with.profiles);
        self
    }

    /// The flags, as they are typed.
    pub(crate) fn words(&self) -> Vec<String> {
        let files = |flag: &'static str, paths: &[PathBuf]| -> Vec<String> {
            paths.iter().flat_map(|path| [flag.to_owned(), path.to_string_lossy().into_owned()]).collect()
        };
        let profiles = self.with.profiles.iter().flat_map(|name| ["--profile".to_owned(), name.clone()]);
        let mut words = files("-f", &self.files);
        words.extend(files("--env-file", &self.with.env_files));
        words.extend(profiles);
        words
    }
}

impl From<FilesWithoutLetter> for Files {
    fn from(FilesWithoutLetter { files, with }: FilesWithoutLetter) -> Self {
        Self { files, with }
    }
}

/// A command.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create and start what the file says, and change what differs from it.
    ///
    /// Without --detach it shows what the containers print. Ctrl-C then stops them, and the machine too if it was booted for
    /// this command and nothing else runs in it; a second Ctrl-C does not wait.
    Up(Up),
    /// Show what `up` would do, and why; exit code 2 if it would do anything.
    Plan(Plan),
    /// Stop containers.
    Stop(Stop),
    /// Start containers that were stopped.
    Start(Start),
    /// Stop containers and start them again.
    ///
    /// Services that depend on a named one with `restart: true` are restarted after it.
    Restart(Restart),
    /// Send the running containers a signal.
    Kill(Kill),
    /// Freeze running containers.
    Pause(Named),
    /// Let containers go on that are frozen.
    Unpause(Named),
    /// Remove containers that do not run.
    Rm(Rm),
    /// Stop and remove containers and networks.
    Down(Down),
    /// Create containers without starting them.
    Create(CreateContainers),
    /// Change how many containers of a service run.
    Scale(Scale),
    /// Run a command in a container of a service; its exit code.
    Exec(Exec),
    /// Run a service once, with a command of one's own; its exit code.
    ///
    /// What the service depends on is brought up before. It is a container beside those of `up`, which publishes no port unless
    /// it is told so.
    Run(Run),
    /// Talk with the process of a service's container; its exit code.
    Attach(Attach),
    /// Copy files between a service's containers, running or not, and this computer.
    ///
    /// A folder is copied into a folder that is there; with `/.` at the end of its path only what is in it. Into a container files are
    /// copied with their numbers of user and group, out of it they become yours.
    Cp(Cp),
    /// Wait until containers have ended; exit code of the last of them.
    Wait(Wait),
    /// List the project's containers.
    Ps(Ps),
    /// Show the processes of running containers.
    Top(Named),
    /// Show where a port of a container is published.
    Port(Port),
    /// Show the images that containers were made from.
    Images(Images),
    /// List the project's volumes.
    Volumes(Volumes),
    /// Show what happens to containers, from now on until Ctrl-C.
    Events(Events),
    /// Show what containers use of processors, memory, networks and disks, until Ctrl-C.
    Stats(Stats),
    /// Do what the file says when files change: copy them, restart or build (`develop.watch`), until Ctrl-C.
    ///
    /// Services are built and started before, and left running afterwards.
    Watch(Watch),
    /// List the projects on the engine.
    Ls(Ls),
    /// Show what containers have written.
    Logs(Logs),
    /// Build the images of services.
    Build(Build),
    /// Give the images of services that are built to their registries.
    Push(Push),
    /// Fetch the images of services.
    Pull(Pull),
    /// Check the file and show what it means.
    Config(ConfigCommand),
    /// Write the project for Podman alone: as units of Quadlet, or as YAML that `podman kube play` runs.
    ///
    /// What the files cannot say is told, by service and attribute. They hold the values of variables, secrets among them. `config` is what
    /// docker compose calls `convert`.
    Convert(Convert),
    /// Show which engine is used.
    Status,
    /// Try every engine and say what is the matter with each.
    Doctor,
    /// Make, start, stop or look at the virtual machine that Podman needs on some systems.
    #[command(subcommand)]
    Machine(Machine),
    /// Serve AI agents over HTTP: create them, talk to them, follow their logs and delete them.
    ///
    /// It runs until Ctrl-C, SIGTERM or a client's shutdown, and then stops the agents, and the machine too if it was booted for
    /// them and nothing else runs in it; a second Ctrl-C does not wait. Agents that ran run again when it is started again.
    Serve(Serve),
    /// Work with the agents of a server that `serve` started.
    Agents(Agents),
    /// Show the version of this program.
    Version {
        /// The number alone.
        #[arg(long)]
        short: bool,
    },
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

impl Command {
    /// The name of a command that changes something by other ways than a runtime, so that a dry run would not be one.
    pub(crate) fn is_never_dry(&self) -> Option<&'static str> {
        match self {
            Self::Serve(_) => Some("serve"),
            Self::Agents(_) => Some("agents"),
            Self::Machine(verb) => (!matches!(verb, Machine::Status)).then_some("machine"),
            Self::Convert(args) => args.output.is_some().then_some("convert --output"),
            Self::Config(args) => args.output.is_some().then_some("config --output"),
            Self::Up(_)
            | Self::Plan(_)
            | Self::Stop(_)
            | Self::Start(_)
            | Self::Restart(_)
            | Self::Kill(_)
            | Self::Pause(_)
            | Self::Unpause(_)
            | Self::Rm(_)
            | Self::Down(_)
            | Self::Create(_)
            | Self::Scale(_)
            | Self::Exec(_)
            | Self::Run(_)
            | Self::Attach(_)
            | Self::Cp(_)
            | Self::Wait(_)
            | Self::Watch(_)
            | Self::Ps(_)
            | Self::Top(_)
            | Self::Port(_)
            | Self::Images(_)
            | Self::Volumes(_)
            | Self::Events(_)
            | Self::Stats(_)
            | Self::Ls(_)
            | Self::Logs(_)
            | Self::Build(_)
            | Self::Push(_)
            | Self::Pull(_)
            | Self::Status
            | Self::Doctor
            | Self::Version { .. }
            | Self::Completions { .. } => None,
        }
    }
}

/// What is done with the machine.
#[derive(Debug, Subcommand)]
pub(crate) enum Machine {
    /// Make it; one that is there is left as it is.
    Init(MachineSize),
    /// Start it, and return when its engine answers.
    Start,
    /// Stop it, unless containers of somebody else run in it.
    Stop {
        /// Whatever runs in it.
        #[arg(long)]
        force: bool,
    },
    /// Show what it is doing.
    Status,
    /// Make it if there is none, start it if it is off, and return when its engine answers.
    Ensure(MachineSize),
}

/// How a machine is made; what is not said is podman's own choice.
#[derive(Debug, Clone, Args)]
pub(crate) struct MachineSize {
    /// How many processors [env: LONGSHORE_MACHINE_CPUS].
    #[arg(long, value_name = "NUMBER", value_parser = number::<u32>)]
    cpus: Option<u32>,
    /// How much memory, in MiB [env: LONGSHORE_MACHINE_MEMORY].
    #[arg(long, value_name = "MIB", value_parser = number::<u64>)]
    memory: Option<u64>,
    /// How large its disk is, in GiB [env: LONGSHORE_MACHINE_DISK].
    #[arg(long, value_name = "GIB", value_parser = number::<u64>)]
    disk: Option<u64>,
    /// The image of its disk: a path, a URL, or docker://REFERENCE [env: LONGSHORE_MACHINE_IMAGE].
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// Its engine runs as root.
    #[arg(long)]
    rootful: bool,
}

impl MachineSize {
    /// Adds what was said here.
    pub(crate) fn add_to(&self, config: &mut Config) {
        let machine = &mut config.machine;
        machine.cpus = self.cpus;
        machine.memory = self.memory;
        machine.disk = self.disk;
        machine.image = self.image.clone();
        machine.rootful = self.rootful.then_some(true);
    }
}

/// How services are brought up; the same for `up` and `plan`.
#[derive(Debug, Args)]
pub(crate) struct UpFlags {
    /// Make all containers anew, changed or not.
    #[arg(long, conflicts_with = "no_recreate")]
    pub(crate) force_recreate: bool,
    /// Leave containers that exist as they are.
    #[arg(long)]
    pub(crate) no_recreate: bool,
    /// Make the containers anew that the named services depend on, changed or not.
    #[arg(long, conflicts_with = "no_recreate")]
    pub(crate) always_recreate_deps: bool,
    /// Give containers that are made anew empty volumes where these have no name, and not those of the containers before.
    #[arg(short = 'V', long)]
    pub(crate) renew_anon_volumes: bool,
    #[command(flatten)]
    pub(crate) images: BuildFlags,
    /// Whether images are fetched, in place of what the file says.
    #[arg(long, value_name = "WHEN", value_enum)]
    pub(crate) pull: Option<Pulling>,
    /// Create containers without starting them.
    #[arg(long, conflicts_with = "wait")]
    pub(crate) no_start: bool,
    /// Remove containers of services that are not in the file.
    #[arg(long)]
    pub(crate) remove_orphans: bool,
    /// Leave out what the named services depend on.
    #[arg(long)]
    pub(crate) no_deps: bool,
    /// Run so many containers of a service.
    #[arg(long, value_name = "SERVICE=NUMBER", value_parser = scale)]
    scale: Vec<(String, u32)>,
    /// Return when all containers are running or healthy; implies --detach.
    #[arg(long)]
    pub(crate) wait: bool,
    /// How many seconds to wait at most.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true, requires = "wait")]
    pub(crate) wait_timeout: Option<u64>,
    /// How many seconds a container has to stop when it is replaced.
    #[arg(short, long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    pub(crate) timeout: Option<u64>,
    /// Return when the containers are started, and leave them running.
    #[arg(short, long)]
    pub(crate) detach: bool,
    /// Only these services and what they depend on.
    #[arg(value_name = "SERVICE")]
    pub(crate) services: Vec<String>,
}

impl UpFlags {
    /// How many containers of which service.
    pub(crate) fn scale(&self) -> BTreeMap<String, u32> {
        self.scale.iter().cloned().collect()
    }
}

fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| "expected a number".to_owned())
}

/// More is no time that anybody waits, and what an engine counts in 32 bits.
const MOST_SECONDS: u64 = i32::MAX as u64;

fn seconds(text: &str) -> Result<u64, String> {
    let number = text.parse().ok().filter(|seconds| *seconds <= MOST_SECONDS);
    number.ok_or_else(|| format!("expected a number of seconds, from 0 to {MOST_SECONDS}"))
}

fn scale(text: &str) -> Result<(String, u32), String> {
    let (service, number) = text.split_once('=').ok_or("expected SERVICE=NUMBER")?;
    let number = number.parse().map_err(|_| format!("{number:?} is not a number of containers"))?;
    Ok((service.to_owned(), number))
}

#[derive(Debug, Args)]
pub(crate) struct Up {
    #[command(flatten)]
    pub(crate) flags: UpFlags,
    #[command(flatten)]
    pub(crate) foreground: InForeground,
    #[command(flatten)]
    pub(crate) files: Files,
}

/// With these an `up` shows nothing of its containers.
const BACKGROUND: [&str; 3] = ["detach", "wait", "no_start"];

/// What an `up` without --detach shows, and when it ends.
#[derive(Debug, Args)]
pub(crate) struct InForeground {
    /// Do what the file says when files change (`develop.watch`), too.
    #[arg(short, long, conflicts_with_all = BACKGROUND, conflicts_with_all = ["abort_on_container_exit", "exit_code_from"])]
    pub(crate) watch: bool,
    /// Show only what these services print; it ends when they have ended.
    #[arg(long, value_name = "SERVICE", conflicts_with_all = BACKGROUND)]
    pub(crate) attach: Vec<String>,
    /// Do not show what these services print.
    #[arg(long, value_name = "SERVICE", conflicts_with = "attach", conflicts_with_all = BACKGROUND)]
    pub(crate) no_attach: Vec<String>,
    /// Show what the services print that the named ones depend on, too.
    #[arg(long, conflicts_with = "attach", conflicts_with_all = BACKGROUND)]
    pub(crate) attach_dependencies: bool,
    /// Stop all containers when one has ended; its exit code.
    #[arg(long, conflicts_with_all = BACKGROUND)]
    pub(crate) abort_on_container_exit: bool,
    /// The exit code of this service's container; implies --abort-on-container-exit.
    #[arg(long, value_name = "SERVICE", conflicts_with_all = BACKGROUND)]
    pub(crate) exit_code_from: Option<String>,
    /// Do not begin the lines of a log with their container.
    #[arg(long)]
    pub(crate) no_log_prefix: bool,
    /// No colours in what containers print.
    #[arg(long)]
    pub(crate) no_color: bool,
    /// Show when each line was written.
    #[arg(long)]
    pub(crate) timestamps: bool,
}

impl InForeground {
    /// The services that are named in it.
    pub(crate) fn services(&self) -> impl Iterator<Item = &String> {
        self.attach.iter().chain(&self.no_attach).chain(&self.exit_code_from)
    }
}

#[derive(Debug, Args)]
pub(crate) struct CreateContainers {
    /// Make all containers anew, changed or not.
    #[arg(long, conflicts_with = "no_recreate")]
    pub(crate) force_recreate: bool,
    /// Leave containers that exist as they are.
    #[arg(long)]
    pub(crate) no_recreate: bool,
    /// Remove containers of services that are not in the file.
    #[arg(long)]
    pub(crate) remove_orphans: bool,
    #[command(flatten)]
    pub(crate) images: BuildFlags,
    /// Whether images are fetched, in place of what the file says.
    #[arg(long, value_name = "WHEN", value_enum)]
    pub(crate) pull: Option<Pulling>,
    /// Create so many containers of a service.
    #[arg(long, value_name = "SERVICE=NUMBER", value_parser = scale)]
    pub(crate) scale: Vec<(String, u32)>,
    /// Only these services and what they depend on.
    #[arg(value_name = "SERVICE")]
    pub(crate) services: Vec<String>,
    #[command(flatten)]
    pub(crate) files: Files,
}

/// Whether images are fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Pulling {
    /// Whether they are here or not.
    Always,
    /// Those that are not here.
    Missing,
    /// Not at all.
    Never,
}

impl Pulling {
    /// The same, as a file says it.
    pub(crate) fn policy(self) -> PullPolicy {
        match self {
            Self::Always => PullPolicy::Always,
            Self::Missing => PullPolicy::Missing,
            Self::Never => PullPolicy::Never,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Plan {
    #[command(flatten)]
    pub(crate) flags: UpFlags,
    #[command(flatten)]
    pub(crate) files: Files,
}

#[derive(Debug, Args)]
pub(crate) struct Stop {
    /// How many seconds a container has to stop before it is killed.
    #[arg(short, long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    pub(crate) timeout: Option<u64>,
    /// Only these services.
    #[arg(value_name = "SERVICE")]
    pub(crate) services: Vec<String>,
    #[command(flatten)]
    pub(crate) files: Files,
}

#[derive(Debug, Args)]
pub(crate) struct Start {
    /// Only these services.
    #[arg(value_name = "SERVICE")]
    pub(crate) services: Vec<String>,
    #[command(flatten)]
    pub(crate) files: Files,
}

#[derive(Debug, Args)]
pub(crate) struct Down {
    /// Remove the project's volumes too, with their data.
    #[arg(short = 'v', long)]
    pub(crate) volumes: bool,
    /// Remove the images of services too, unless something else uses them.
    #[arg(long, value_name = "WHICH", value_enum)]
    pub(crate) rmi: Option<Rmi>,
    /// Remove containers of services that are not in the file.
    #[arg(long)]
    pub(crate) remove_orphans: bool,
    /// How many seconds a container has to stop before it is killed.
    #[arg(short, long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    pub(crate) timeout: Option<u64>,
    /// Only these services.
    #[arg(value_name = "SERVICE")]
    pub(crate) services: Vec<String>,
    #[command(flatten)]
    pub(crate) files: Files,
    /// More about what is being done, on stderr; twice for all of it (`-v` before the command).
    #[arg(id = "verbose", long, action = ArgAction::Count, global = true, help_heading = "Global options")]
    _verbose: u8,
}

/// Which images are removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Rmi {
    /// Those of all services.
    All,
    /// Those that are built and have no name in the file.
    Local,
}

#[derive(Debug, Args)]
pub(crate) struct Ps {
    /// Containers that do not run, too.
    #[arg(short, long)]
    pub(crate) all: bool,
    /// Only ids.
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Only the names of services.
    #[arg(long, conflicts_with = "quiet")]
    pub(crate) services: bool,
    /// Only containers in this state, running or not.
    #[arg(long, value_name = "STATE", value_parser = state)]
    pub(crate) status: Vec<ContainerState>,
    /// The same in other words: `status=running`.
    #[arg(long, value_name = "status=STATE", value_parser = status)]
    pub(crate) filter: Option<ContainerState>,
    /// Containers of services that are not in the file; `false` leaves them out.
    #[arg(long, value_name = "true|false", default_value_t = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set)]
    pub(crate) orphans: bool,
    /// Nothing is shortened, as is always so here.
    #[arg(long)]
    no_trunc: bool,
    /// Only these services.
    #[arg(value_name = "SERVICE", id = "service")]
    pub(crate) only: Vec<String>,
    #[command(flatten)]
    pub(crate) files: Files,
}

fn state(text: &str) -> Result<ContainerState, String> {
    let words = "expected created, running, paused, restarting, removing, exited or dead";
    ContainerState::parse(text).ok_or_else(|| words.to_owned())
}

fn status(text: &str) -> Result<ContainerState, String> {
    state(text.strip_prefix("status=").ok_or("expected `status=` and a state")?)
}

#[derive(Debug, Args)]
pub(crate) struct Ls {
    /// Projects of which nothing runs, too.
    #[arg(short, long)]
    pub(crate) all: bool,
    /// Only names.
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Only projects that have this in their name: `name=shop`.
    #[arg(long, value_name = "name=PART", value_parser = part_of_name)]
    pub(crate) filter: Option<String>,
}

fn part_of_name(text: &str) -> Result<String, String> {
    Ok(text.strip_prefix("name=").ok_or("expected `name=` and a part of a name")?.to_owned())
}

#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// Go on until the containers end.
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Only so many of each container's last lines.
    #[arg(short = 'n', long, value_name = "NUMBER|all", value_parser = tail, default_value = "all")]
    pub(crate) tail: Tail,
    /// Only what was written since then: 2026-01-02T15:04:05Z, or 10m for ten minutes ago.
    #[arg(long, value_name = "TIME", value_parser = crate::logs::since)]
    pub(crate) since: Option<std::time::SystemTime>,
    /// Show when each line was written.
    #[arg(short, long)]
    pub(crate) timestamps: bool,
    /// Only of the container of that number, of each service.
    #[arg(long, value_name = "NUMBER", value_parser = number::<u32>)]
    pub(crate) index: Option<u32>,
    /// Do not begin lines with their container.
    #[arg(long)]
    pub(crate) no_log_prefix: bool,
    /// No colours.
    #[arg(long)]
    pub(crate) no_color: bool,
    /// Only these services.
    #[arg(value_name = "SERVICE")]
    pub(crate) services: Vec<String>,
    #[command(flatten)]
    pub(crate) files: FilesWithoutLetter,
}

/// How many of the last lines; `None` is all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tail(pub(crate) Option<u64>);

pub(crate) fn tail(text: &str) -> Result<Tail, String> {
    match text {
        "all" => Ok(Tail(None)),
        number => number.parse().map(|n| Tail(Some(n))).map_err(|_| "expected a number or `all`".to_owned()),
    }
}

#[derive(Debug, Args)]
pub(crate) struct Pull {
    /// Fetch what the named services depend on, too.
    #[arg(long)]
    pub(crate) include_deps: bool,
    /// Leave out what can be built.
    #[arg(long)]
    pub(crate) ignore_buildable: bool,
    /// Go on with the others when an image cannot be fetched, and only tell it.
    #[arg(long)]
    pub(crate) ignore_pull_failures: bool,
    /// Which images are fetched: those that are not here, or all, which is so if it is not said.
    #[arg(long, value_name = "WHEN", value_enum)]
    pub(crate) policy: Option<PullingNow>,
    /// Do not tell how far it is.
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Only these services.
    #[arg(value_name = "SERVICE")]
    pub(crate) services: Vec<String>,
    #[command(flatten)]
    pub(crate) files: Files,
}

/// Which images a `pull` fetches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PullingNow {
    /// All.
    Always,
    /// Those that are not here.
    Missing,
}

/// What a project is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// Units of Quadlet, which systemd runs (Podman 5).
    Quadlet,
    /// YAML of Kubernetes, which `podman kube play` runs (Podman 4.3).
    Kube,
}

#[derive(Debug, Args)]
pub(crate) struct Convert {
    /// Only these services and what they depend on.
    #[arg(value_name = "SERVICE")]
    pub(crate) services: Vec<String>,
    /// The form.
    #[arg(long, value_name = "FORM", value_enum)]
    pub(crate) to: Option<Form>,
    /// Into that folder, or that file where there is one file, in place of stdout.
    #[arg(short, long, value_name = "PATH", value_hint = clap::ValueHint::AnyPath)]
    pub(crate) output: Option<PathBuf>,
    /// Over files that are there.
    #[arg(long, requires = "output")]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) files: Files,
}

#[derive(Debug, Args)]
pub(crate) struct ConfigCommand {
    #[command(flatten)]
    pub(crate) view: ConfigView,
    /// Leave variables as they are written.
    #[arg(long)]
    pub(crate) no_interpolate: bool,
    /// Into that file, in place of stdout.
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::FilePath, conflicts_with = "ConfigView")]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) files: Files,
}

/// What of the file is shown; nothing named is all of it.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(crate) struct ConfigView {
    /// Nothing: only check.
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// The names of the services.
    #[arg(long)]
    pub(crate) services: bool,
    /// The names of the volumes.
    #[arg(long)]
    pub(crate) volumes: bool,
    /// The images.
    #[arg(long)]
    pub(crate) images: bool,
    /// The names of the profiles.
    // `--profile` has this argument's name as its id.
    #[arg(id = "names of profiles", long = "profiles")]
    pub(crate) profiles: bool,
    /// The variables that the files may hold, with their values.
    #[arg(long)]
    pub(crate) environment: bool,
    /// The hash by which a change of a service is seen; `*` for all of them.
    #[arg(long, value_name = "SERVICE", num_args = 0..=1, default_missing_value = "*")]
    pub(crate) hash: Option<String>,
}
