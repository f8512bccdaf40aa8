//! `stop`, `start` and `down`.

use std::time::Duration;

use longshore::{DownOptions, Orphans, RemoveImages, RemoveVolumes, StopOptions};

use crate::{
    args::{Down, Rmi, Start, Stop},
    context::{Context, Leaves},
    exit::{ExitCode, Failure},
};

/// Stops containers.
pub(crate) async fn stop(args: &Stop, context: &Context) -> Result<ExitCode, Failure> {
    let target = context.target(&args.services).await?;
    let runtime = context.runtime().await?;
    let options = StopOptions { timeout: args.timeout.map(Duration::from_secs) };
    let call = context.call();
    context
        .changing(&*runtime, &target.name, Leaves::Less, &call, runtime.stop(&target, &options, &call))
        .await?;
    Ok(ExitCode::Ok)
}

/// Starts containers that were stopped.
pub(crate) async fn start(args: &Start, context: &Context) -> Result<ExitCode, Failure> {
    let target = context.target(&args.services).await?;
    let runtime = context.runtime().await?;
    let call = context.call();
    context.changing(&*runtime, &target.name, Leaves::More, &call, runtime.start(&target, &call)).await?;
    Ok(ExitCode::Ok)
}

/// Stops and removes containers and networks, and volumes if told so.
pub(crate) async fn down(args: &Down, context: &Context) -> Result<ExitCode, Failure> {
    let target = context.target(&args.services).await?;
    let runtime = context.runtime().await?;
    let mut options = DownOptions::default();
    options.timeout = args.timeout.map(Duration::from_secs);
    if args.volumes {
        options.volumes = RemoveVolumes::Yes;
    }
    if args.remove_orphans {
        options.orphans = Orphans::Remove;
    }
    options.images = match args.rmi {
        None => RemoveImages::No,
        Some(Rmi::Local) => RemoveImages::Local,
        Some(Rmi::All) => RemoveImages::All,
    };
    let call = context.call();
    context
        .changing(&*runtime, &target.name, Leaves::Less, &call, runtime.down(&target, &options, &call))
        .await?;
    Ok(ExitCode::Ok)
}
