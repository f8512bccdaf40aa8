//! `restart`, `kill`, `pause`, `unpause`, `rm` and `wait`: what is said to containers that are there.

use std::{collections::BTreeSet, io, time::Duration};

use futures_util::StreamExt;
use longshore::{
    AnonymousVolumes, Container, Dependents, DownOptions, Error, KillOptions, Orphans, Pause, RemoveOptions,
    RestartOptions, Running, Target,
};

use super::list::check_named;
use crate::{
    args::{Format, Kill, Named, Restart, Rm, Wait},
    context::{Context, Leaves},
    exit::{ExitCode, Failure},
    report::Report,
};

/// Stops containers and starts them again.
pub(crate) async fn restart(args: &Restart, context: &Context) -> Result<ExitCode, Failure> {
    let target = context.target(&args.services).await?;
    let runtime = context.runtime().await?;
    let mut options = RestartOptions::default();
    options.timeout = args.timeout.map(Duration::from_secs);
    if args.no_deps {
        options.dependents = Dependents::Ignore;
    }
    let call = context.call();
    let work = runtime.restart(&target, &options, &call);
    context.changing(&*runtime, &target.name, Leaves::Less, &call, work).await?;
    Ok(ExitCode::Ok)
}

/// Sends running containers a signal.
pub(crate) async fn kill(args: &Kill, context: &Context) -> Result<ExitCode, Failure> {
    let target = context.target(&args.services).await?;
    let runtime = context.runtime().await?;
    let mut options = KillOptions::new(args.signal.clone());
    if args.remove_orphans {
        options.orphans = Orphans::Remove;
    }
    let call = context.call();
    let work = runtime.kill(&target, &options, &call);
    if context.changing(&*runtime, &target.name, Leaves::Less, &call, work).await? == 0 {
        context.reporter.note("no container to kill");
    }
    Ok(ExitCode::Ok)
}

/// Freezes running containers, or lets frozen ones go on.
pub(crate) async fn pause(args: &Named, pause: Pause, context: &Context) -> Result<ExitCode, Failure> {
    let target = context.target(&args.services).await?;
    let runtime = context.runtime().await?;
    let call = context.call();
    let work = runtime.pause(&target, pause, &call);
    context.changing(&*runtime, &target.name, Leaves::Less, &call, work).await?;
    Ok(ExitCode::Ok)
}

/// Removes containers that do not run, once the user has agreed. Before that nothing is stopped either.
pub(crate) async fn rm(args: &Rm, context: &Context) -> Result<ExitCode, Failure> {
    let target = context.target(&args.services).await?;
    let runtime = context.runtime().await?;
    let mut containers = context.reading(async { Ok(runtime.ps(&target.name).await?) }).await?;
    check_named(&target, &containers)?;
    containers
        .retain(|container| is_meant(&target, container) && (args.stop || !container.state.is_running()));
    if containers.is_empty() {
        context.reporter.note("No stopped containers");
        return Ok(ExitCode::Ok);
    }
    let names: Vec<&str> = containers.iter().map(|container| container.name.as_str()).collect();
    context.reporter.note(&format!("Going to remove {}", names.join(", ")));
    if !args.force && !context.output.dry_run && !agrees(context).await? {
        return Ok(ExitCode::Ok);
    }
    let mut options = RemoveOptions::default();
    options.only = Some(containers.into_iter().map(|container| container.id).collect());
    if args.stop {
        options.running = Running::Stop;
    }
    if args.volumes {
        options.anonymous_volumes = AnonymousVolumes::Remove;
    }
    let call = context.call();
    let work = runtime.remove(&target, &options, &call);
    context.changing(&*runtime, &target.name, Leaves::Less, &call, work).await?;
    Ok(ExitCode::Ok)
}

fn is_meant(target: &Target, container: &Container) -> bool {
    let service = container.service().unwrap_or_default();
    let in_file = target.project.as_ref().is_none_or(|project| project.services.contains_key(service));
    in_file && target.means(service)
}

/// Asks, and reads a line of stdin. No answer is none.
async fn agrees(context: &Context) -> Result<bool, Failure> {
    context.reporter.note("Are you sure? [y/N]");
    let read = || {
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        Ok(answer)
    };
    let answer = context.reading_files(read).await?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// Waits until containers have ended, and ends with the exit code of the last of them.
pub(crate) async fn wait(args: &Wait, context: &Context) -> Result<ExitCode, Failure> {
    let target = context.target(&args.services).await?;
    let runtime = context.runtime().await?;
    let waited = context.reading(async {
        let mut last = 0;
        let mut endings = runtime.wait(&target).await?;
        while let Some(ending) = endings.next().await {
            let ending = match ending {
                // It was removed, and its exit code with it.
                Err(Error::NotFound { .. }) => continue,
                ending => ending?,
            };
            last = ending.exit_code;
            match context.output.format {
                Format::Json => context.output.json_line(&ending)?,
                Format::Text => context
                    .output
                    .line(&format!("container {:?} exited with status code {last}", ending.id.0))?,
            }
        }
        Ok(last)
    });
    let code = ExitCode::passed(waited.await?);
    if args.down_project {
        let whole = Target { services: BTreeSet::new(), ..target };
        let call = context.call();
        let options = DownOptions::default();
        let work = runtime.down(&whole, &options, &call);
        context.changing(&*runtime, &whole.name, Leaves::Less, &call, work).await?;
    }
    Ok(code)
}
