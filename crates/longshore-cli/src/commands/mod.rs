//! The commands, one function each.

mod agents;
mod attached;
mod config;
mod containers;
mod convert;
mod copy;
mod engine;
mod images;
mod list;
mod live;
mod logs;
mod machine;
mod serve;
mod takedown;
mod talk;
mod up;
mod watch;

use longshore::Pause;

use crate::{
    args::{Command, Files, Format},
    context::Context,
    exit::{ExitCode, Failure},
};

/// Does what the user asked for.
///
/// # Errors
/// Why it was not done.
pub(crate) async fn run(command: Command, mut context: Context) -> Result<ExitCode, Failure> {
    let files: Files = match &command {
        Command::Up(args) => args.files.clone(),
        Command::Plan(args) => args.files.clone(),
        Command::Stop(args) => args.files.clone(),
        Command::Start(args) => args.files.clone(),
        Command::Restart(args) => args.files.clone(),
        Command::Kill(args) => args.files.clone(),
        Command::Pause(args) | Command::Unpause(args) => args.files.clone(),
        Command::Rm(args) => args.files.clone().into(),
        Command::Down(args) => args.files.clone(),
        Command::Create(args) => args.files.clone(),
        Command::Scale(args) => args.files.clone(),
        Command::Exec(args) => args.files.clone(),
        Command::Run(args) => args.files.clone().into(),
        Command::Attach(args) => args.files.clone(),
        Command::Cp(args) => args.files.clone(),
        Command::Wait(args) => args.files.clone(),
        Command::Ps(args) => args.files.clone(),
        Command::Top(args) => args.files.clone(),
        Command::Port(args) => args.files.clone(),
        Command::Images(args) => args.files.clone(),
        Command::Events(args) => args.files.clone(),
        Command::Stats(args) => args.files.clone(),
        Command::Watch(args) => args.files.clone(),
        Command::Volumes(args) => args.files.clone(),
        Command::Logs(args) => args.files.clone().into(),
        Command::Build(args) => args.files.clone(),
        Command::Push(args) => args.files.clone(),
        Command::Pull(args) => args.files.clone(),
        Command::Config(args) => args.files.clone(),
        Command::Convert(args) => args.files.clone(),
        Command::Ls(_)
        | Command::Status
        | Command::Doctor
        | Command::Machine(_)
        | Command::Serve(_)
        | Command::Agents(_)
        | Command::Version { .. }
        | Command::Completions { .. } => Files::default(),
    };
    if let Some(name) = command.is_never_dry().filter(|_| context.output.dry_run) {
        return Err(Failure::Usage(format!("--dry-run does not go with `{name}`"), None));
    }
    context.files = context.files.followed_by(files);
    context.again.flags = context.files.words();
    context.again.flags.extend(context.global.words());
    match perform(command, &context).await {
        Err(failure) => Err(context.explained(failure).await),
        done => done,
    }
}

async fn perform(command: Command, context: &Context) -> Result<ExitCode, Failure> {
    match command {
        Command::Up(args) => up::up(&args, context).await,
        Command::Plan(args) => up::plan(&args, context).await,
        Command::Stop(args) => takedown::stop(&args, context).await,
        Command::Start(args) => takedown::start(&args, context).await,
        Command::Restart(args) => containers::restart(&args, context).await,
        Command::Kill(args) => containers::kill(&args, context).await,
        Command::Pause(args) => containers::pause(&args, Pause::Freeze, context).await,
        Command::Unpause(args) => containers::pause(&args, Pause::GoOn, context).await,
        Command::Rm(args) => containers::rm(&args, context).await,
        Command::Create(args) => up::create(&args, context).await,
        Command::Scale(args) => up::scale(&args, context).await,
        Command::Exec(args) => talk::exec(&args, context).await,
        Command::Run(args) => talk::run(&args, context).await,
        Command::Attach(args) => talk::attach(&args, context).await,
        Command::Cp(args) => copy::cp(&args, context).await,
        Command::Wait(args) => containers::wait(&args, context).await,
        Command::Down(args) => takedown::down(&args, context).await,
        Command::Ps(args) => list::ps(&args, context).await,
        Command::Top(args) => list::top(&args, context).await,
        Command::Port(args) => list::port(&args, context).await,
        Command::Images(args) => list::images(&args, context).await,
        Command::Volumes(args) => list::volumes(&args, context).await,
        Command::Ls(args) => list::ls(&args, context).await,
        Command::Events(args) => live::events(&args, context).await,
        Command::Stats(args) => live::stats(&args, context).await,
        Command::Watch(args) => watch::watch(&args, context).await,
        Command::Logs(args) => logs::logs(&args, context).await,
        Command::Build(args) => images::build(&args, context).await,
        Command::Push(args) => images::push(&args, context).await,
        Command::Pull(args) => images::pull(&args, context).await,
        Command::Config(args) => config::config(&args, context).await,
        Command::Convert(args) => convert::convert(&args, context).await,
        Command::Status => engine::status(context).await,
        Command::Doctor => engine::doctor(context).await,
        Command::Machine(verb) => machine::machine(&verb, context).await,
        Command::Serve(args) => serve::serve(&args, context).await,
        Command::Agents(args) => agents::agents(args, context).await,
        Command::Version { short } => {
            let version = env!("CARGO_PKG_VERSION");
            match context.output.format {
                Format::Json => context.output.json(&serde_json::json!({ "version": version }))?,
                Format::Text if short => context.output.line(version)?,
                Format::Text => context.output.line(&format!("longshore {version}"))?,
            }
            Ok(ExitCode::Ok)
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut crate::command(), "longshore", &mut script);
            context.output.line(String::from_utf8_lossy(&script).trim_end())?;
            Ok(ExitCode::Ok)
        }
    }
}
