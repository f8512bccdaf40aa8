//! `exec`, `run` and `attach`: talking with a process.

use std::{collections::BTreeMap, path::Path};

use futures_util::StreamExt;
use longshore::{
    Afterwards, ContainerId, ContainerName, ContainerRuntime, Dependencies, ExecSpec, Member, Orphans,
    RunAliases, RunOptions, RunPorts, RunTalk, Session, SessionEvent, SignalName, TalkOptions, Target,
    compose_file,
};
use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::{
    args::{Attach, Exec, Format, Run, Talking},
    context::{Context, Leaves},
    exit::{ExitCode, Failure},
    services,
    signals::Signal,
    terminal,
};

/// Runs a command in a running container.
pub(crate) async fn exec(args: &Exec, context: &Context) -> Result<ExitCode, Failure> {
    let Some((service, command)) = args.words.split_first() else {
        return Err(Failure::Usage("name a service and a command".to_owned(), None));
    };
    let target = target_of(service, context).await?;
    let runtime = context.runtime().await?;
    let mut spec = ExecSpec::new(command);
    spec.user = args.talking.user.clone();
    spec.working_dir = args.talking.workdir.clone();
    spec.environment = variables(&args.talking.env, context);
    spec.privileged = args.privileged;
    spec.detach_keys = args.talking.detach_keys.clone();
    (spec.tty, spec.stdin) = (wants_terminal(&args.talking), args.talking.interactive);
    let member = Member { service: service.clone(), index: args.index };
    context.would(&format!("Container of {service}  Executing"));
    if args.talking.detach {
        spec.stdin = false;
        context.reading(async { Ok(runtime.exec_detached(&target.name, &member, &spec).await?) }).await?;
        return Ok(ExitCode::Ok);
    }
    let session = context.reading(async { Ok(runtime.exec(&target.name, &member, &spec).await?) }).await?;
    talk(session, spec.tty, OnSignal::End, context).await
}

/// Runs a service once, beside what runs of it.
pub(crate) async fn run(args: &Run, context: &Context) -> Result<ExitCode, Failure> {
    let Some((service, command)) = args.words.split_first() else {
        return Err(Failure::Usage("name a service".to_owned(), None));
    };
    let project = context.project(std::slice::from_ref(service)).await?;
    services::check([service], |name| project.services.contains_key(name))?;
    let talking = &args.talking;
    let mut options = RunOptions::new(service);
    options.command = command.to_vec();
    options.entrypoint = args.entrypoint.as_deref().map(words).transpose()?;
    options.environment = variables(&talking.env, context);
    options.labels = args.label.iter().map(|label| pair(label)).collect();
    options.mounts = mounts(&args.volume, &project.working_dir, context)?;
    options.ports = ports(args)?;
    options.name = args.name.as_deref().map(ContainerName::new).transpose()?;
    (options.user, options.working_dir) = (talking.user.clone(), talking.workdir.clone());
    (options.cap_add, options.cap_drop) = (args.cap_add.clone(), args.cap_drop.clone());
    options.detach_keys = talking.detach_keys.clone();
    options.tty = !talking.detach && wants_terminal(talking);
    options.stdin = !talking.detach && talking.interactive;
    if args.use_aliases {
        options.aliases = RunAliases::Service;
    }
    if args.rm {
        options.afterwards = Afterwards::Remove;
    }
    if talking.detach {
        options.talk = RunTalk::Detached;
    }
    if args.no_deps {
        options.dependencies = Dependencies::Ignore;
    }
    if args.remove_orphans {
        options.orphans = Orphans::Remove;
    }
    options.build = args.images.building();
    let runtime = context.runtime().await?;
    let call = context.call_that(args.images.tells());
    let work = runtime.run(&project, &options, &call);
    let once = context.changing(&*runtime, &project.name, Leaves::More, &call, work).await?;
    match once.session {
        Some(session) => {
            let on_signal = OnSignal::GiveOn(&*runtime, &once.id);
            talk(session, options.tty, on_signal, context).await
        }
        // Of what is not there nobody is told an id.
        None if context.output.dry_run => Ok(ExitCode::Ok),
        None => {
            match context.output.format {
                Format::Json => context.output.json(&json!({ "id": once.id, "name": once.name }))?,
                Format::Text => context.output.line(&once.id.0)?,
            }
            Ok(ExitCode::Ok)
        }
    }
}

/// Talks with the own process of a running container.
pub(crate) async fn attach(args: &Attach, context: &Context) -> Result<ExitCode, Failure> {
    let target = target_of(&args.service, context).await?;
    let runtime = context.runtime().await?;
    let member = Member { service: args.service.clone(), index: args.index };
    let mut options = TalkOptions::default();
    (options.stdin, options.detach_keys) = (!args.no_stdin, args.detach_keys.clone());
    let asking = async { Ok(runtime.talk(&target.name, &member, &options).await?) };
    let (container, session) = context.reading(asking).await?;
    context.would(&format!("Container {}  Attaching", container.name));
    let on_signal = if args.sig_proxy { OnSignal::GiveOn(&*runtime, &container.id) } else { OnSignal::End };
    talk(session, container.tty && terminal::is_there(), on_signal, context).await
}

/// The project of a service; where there is a file, it has that service.
pub(super) async fn target_of(service: &String, context: &Context) -> Result<Target, Failure> {
    let target = context.target(std::slice::from_ref(service)).await?;
    if let Some(project) = &target.project {
        services::check([service], |name| project.services.contains_key(name))?;
    }
    Ok(target)
}

/// What Ctrl-C does while a process is talked with that has no terminal.
#[derive(Clone, Copy)]
enum OnSignal<'a> {
    /// It ends the conversation.
    End,
    /// The container gets it.
    GiveOn(&'a dyn ContainerRuntime, &'a ContainerId),
}

/// Gives on what is typed and what is said, until the process has ended.
async fn talk(
    session: Session,
    tty: bool,
    on_signal: OnSignal<'_>,
    context: &Context,
) -> Result<ExitCode, Failure> {
    let Session { mut output, input, size } = session;
    let _raw = if tty { Some(terminal::Raw::begin()?) } else { None };
    // Both end with this command at the latest, whatever they wait for.
    let typing = input.map(|mut input| {
        tokio::spawn(async move {
            // A process that reads no more has heard enough.
            let _ = tokio::io::copy(&mut tokio::io::stdin(), &mut input).await;
            let _ = input.shutdown().await;
        })
    });
    // Without a terminal its size is kept, so that who listens for it goes on.
    let sizing = tokio::spawn(async move {
        if tty { terminal::follow_size(size).await } else { std::future::pending().await }
    });
    let mut signals = 0;
    let ended = loop {
        let event = tokio::select! {
            event = output.next() => event,
            signal = context.signals.nth(signals + 1) => match on_signal {
                OnSignal::GiveOn(runtime, id) => {
                    signals += 1;
                    let name = match signal {
                        Signal::Interrupt => "SIGINT",
                        Signal::Terminate => "SIGTERM",
                    };
                    // Who does not listen to the first two is not asked again.
                    let name = if signals > 2 { SignalName::kill() } else { SignalName::new(name)? };
                    runtime.signal(id, &name).await?;
                    continue;
                }
                OnSignal::End => break Err(Failure::Silent(Failure::Signal(signal, None).exit_code())),
            },
        };
        match event {
            Some(Ok(SessionEvent::Wrote { source, bytes })) => {
                if let Err(error) = context.output.bytes(source, &bytes) {
                    break Err(error.into());
                }
            }
            Some(Ok(SessionEvent::Ended { exit_code })) => break Ok(ExitCode::passed(exit_code)),
            Some(Ok(_)) => {}
            Some(Err(error)) => break Err(error.into()),
            // It was let go.
            None => break Ok(ExitCode::Ok),
        }
    };
    sizing.abort();
    if let Some(typing) = typing {
        typing.abort();
    }
    ended
}

fn wants_terminal(talking: &Talking) -> bool {
    !talking.no_tty && !talking.detach && terminal::is_there()
}

/// `NAME=VALUE`, or `NAME` as it is here; what is not set here is left out.
fn variables(given: &[String], context: &Context) -> BTreeMap<String, String> {
    let variable = |text: &String| match text.split_once('=') {
        Some((name, value)) => Some((name.to_owned(), value.to_owned())),
        None => Some((text.clone(), context.env.get(text)?.clone())),
    };
    given.iter().filter_map(variable).collect()
}

fn pair(text: &str) -> (String, String) {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    (name.to_owned(), value.to_owned())
}

fn words(text: &str) -> Result<Vec<String>, Failure> {
    compose_file::split_words(text)
        .ok_or_else(|| Failure::Usage(format!("--entrypoint {text:?}: a quote is not closed"), None))
}

fn ports(args: &Run) -> Result<RunPorts, Failure> {
    if args.service_ports {
        return Ok(RunPorts::Service);
    }
    let mut ports = Vec::new();
    for text in &args.publish {
        let read = compose_file::short_port(text);
        ports.extend(read.map_err(|why| Failure::Usage(format!("--publish {text:?}: {why}"), None))?);
    }
    Ok(if ports.is_empty() { RunPorts::None } else { RunPorts::These(ports) })
}

fn mounts(given: &[String], folder: &Path, context: &Context) -> Result<Vec<compose_file::Mount>, Failure> {
    let home = context.env.get("HOME").map(String::as_str);
    let read = |text: &String| {
        compose_file::short_mount(text, folder, home)
            .map_err(|why| Failure::Usage(format!("--volume {text:?}: {why}"), None))
    };
    given.iter().map(read).collect()
}
