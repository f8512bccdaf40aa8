//! `ps` and `ls`.

use std::{collections::BTreeSet, time::SystemTime};

use longshore::{Container, ProjectSummary, Target};

use crate::{
    args::{Format, Ls, Ps},
    context::Context,
    exit::{ExitCode, Failure},
    services,
    table::{Row, table},
};

/// Lists the project's containers.
pub(crate) async fn ps(args: &Ps, context: &Context) -> Result<ExitCode, Failure> {
    let target = context.target(&args.only).await?;
    let runtime = context.runtime().await?;
    let mut containers = context.reading(async { Ok(runtime.ps(&target.name).await?) }).await?;
    check_named(&target, &containers)?;
    let named = |container: &Container| {
        target.services.is_empty()
            || container.service().is_some_and(|service| target.services.contains(service))
    };
    containers.retain(|container| (args.all || container.state.is_running()) && named(container));
    let output = &context.output;
    if args.quiet || args.services {
        let words: Vec<&str> = if args.quiet {
            containers.iter().map(|container| container.id.0.as_str()).collect()
        } else {
            containers.iter().filter_map(Container::service).collect::<BTreeSet<_>>().into_iter().collect()
        };
        return print_words(&words, context);
    }
    let now = SystemTime::now();
    let rows: Vec<Row> = containers.iter().map(|container| Row::of(container, now)).collect();
    match output.format {
        Format::Json => output.json(&rows)?,
        Format::Text => {
            let cells: Vec<_> = rows.iter().map(Row::cells).collect();
            output.line(&table(Row::HEAD, &cells))?;
        }
    }
    Ok(ExitCode::Ok)
}

/// Refuses a service that is neither in the file nor on the engine.
pub(super) fn check_named(target: &Target, containers: &[Container]) -> Result<(), Failure> {
    services::check(&target.services, |name| {
        target.project.as_ref().is_some_and(|project| project.services.contains_key(name))
            || containers.iter().any(|container| container.service() == Some(name))
    })
}

/// Lists the projects on the engine.
pub(crate) async fn ls(args: &Ls, context: &Context) -> Result<ExitCode, Failure> {
    let runtime = context.runtime().await?;
    let mut projects = context.reading(async { Ok(runtime.projects().await?) }).await?;
    projects.retain(|project| args.all || project.states.contains_key("running"));
    let output = &context.output;
    if args.quiet {
        let names: Vec<&str> = projects.iter().map(|project| project.name.as_str()).collect();
        return print_words(&names, context);
    }
    match output.format {
        Format::Json => output.json(&projects)?,
        Format::Text => {
            let cells: Vec<_> = projects
                .iter()
                .map(|project| {
                    [project.name.clone(), states(project), project.config_files.clone().unwrap_or_default()]
                })
                .collect();
            output.line(&table(["NAME", "STATUS", "CONFIG FILES"], &cells))?;
        }
    }
    Ok(ExitCode::Ok)
}

/// `running(2), exited(1)`.
fn states(project: &ProjectSummary) -> String {
    let mut states: Vec<(&String, &usize)> = project.states.iter().collect();
    states.sort_by_key(|(state, _)| (*state != "running", *state));
    states.iter().map(|(state, count)| format!("{state}({count})")).collect::<Vec<_>>().join(", ")
}

/// A word a line, or a list.
pub(crate) fn print_words(words: &[&str], context: &Context) -> Result<ExitCode, Failure> {
    match context.output.format {
        Format::Json => context.output.json(&words)?,
        Format::Text => {
            for word in words {
                context.output.line(word)?;
            }
        }
    }
    Ok(ExitCode::Ok)
}
