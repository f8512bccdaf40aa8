//! `pull`.

use crate::{
    args::Pull,
    context::{Context, Leaves},
    exit::{ExitCode, Failure},
    services,
};

/// Fetches the images of the named services, or of all.
pub(crate) async fn pull(args: &Pull, context: &Context) -> Result<ExitCode, Failure> {
    let mut project = context.project(&args.services).await?;
    services::check_selected(&project)?;
    services::check(&args.services, |name| project.services.contains_key(name))?;
    if !args.services.is_empty() {
        project.services.retain(|name, _| args.services.contains(name));
    }
    let runtime = context.runtime().await?;
    let call = context.call();
    context.changing(&*runtime, &project.name, Leaves::Images, &call, runtime.pull(&project, &call)).await?;
    Ok(ExitCode::Ok)
}
