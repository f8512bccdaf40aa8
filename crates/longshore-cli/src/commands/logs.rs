//! `logs`.

use longshore::{Error, LogOptions, ResourceKind};

use super::list::check_named;
use crate::{
    args::Logs,
    context::Context,
    exit::{ExitCode, Failure},
    logs::{Prefix, Printer},
};

/// Shows what containers have written.
pub(crate) async fn logs(args: &Logs, context: &Context) -> Result<ExitCode, Failure> {
    let target = context.target(&args.services).await?;
    let runtime = context.runtime().await?;
    let options =
        LogOptions { follow: args.follow, tail: args.tail.0, since: args.since, timestamps: args.timestamps };
    let mut output = context.output;
    output.stdout_colors &= !args.no_color;
    let prefix = if args.no_log_prefix { Prefix::None } else { Prefix::Container };
    let mut printer = Printer::new(output, prefix, &target.name);
    let shown = context
        .reading(async {
            let mut containers = runtime.ps(&target.name).await?;
            check_named(&target, &containers)?;
            containers.retain(|container| {
                let has_number = args.index.is_none_or(|index| container.number() == Some(index));
                has_number && target.means(container.service().unwrap_or_default())
            });
            if let (Some(number), true) = (args.index, containers.is_empty()) {
                let name = format!("number {number} of {}", target.name);
                return Err(Error::NotFound { kind: ResourceKind::Container, name }.into());
            }
            let is_shown = |name: &str| args.index.is_none() || containers.iter().any(|one| one.name == name);
            printer.expect(containers.iter().map(|container| container.name.as_str()));
            let mut lines = runtime.logs(&target, &options).await?;
            while let Some(line) = printer.next_of(&mut lines).await? {
                match line {
                    Ok(line) if !is_shown(&line.container) => printer.flush()?,
                    Ok(line) => printer.print(&line)?,
                    // It was removed, and its log with it.
                    Err(Error::NotFound { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Ok(ExitCode::Ok)
        })
        .await;
    printer.flush()?;
    // There is no other way to end it.
    shown.map_err(|failure| match failure {
        Failure::Signal(..) => Failure::Silent(failure.exit_code()),
        other => other,
    })
}
