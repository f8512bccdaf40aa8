//! `config`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
};

use longshore::{
    Project,
    compose_file::{self, Service},
};

use super::{convert::named, list::print_words};
use crate::{
    args::{ConfigCommand, Format},
    context::{Context, Interpolate},
    exit::{ExitCode, Failure},
    services,
};

/// Checks the file and shows what it means.
pub(crate) async fn config(args: &ConfigCommand, context: &Context) -> Result<ExitCode, Failure> {
    // What is named is to be there, needed or not.
    if context.global.config.is_some() {
        context.config().await?;
    }
    if args.view.environment {
        return environment(context).await;
    }
    let interpolate = if args.no_interpolate { Interpolate::No } else { Interpolate::Yes };
    let project = context.project_as_written(interpolate).await?;
    let view = &args.view;
    if view.quiet {
        return Ok(ExitCode::Ok);
    }
    if view.services {
        return print_words(&words(project.services.keys()), context);
    }
    if view.volumes {
        return print_words(&words(project.volumes.keys()), context);
    }
    if view.images {
        let images: BTreeSet<&String> = project.services.values().map(|service| &service.image).collect();
        return print_words(&words(images), context);
    }
    if view.profiles {
        let services = project.services.values().chain(project.disabled_services.values());
        let profiles: BTreeSet<&String> = services.flat_map(|service| &service.profiles).collect();
        return print_words(&words(profiles), context);
    }
    if let Some(name) = &view.hash {
        return hashes(&project, name, context);
    }
    let text = match context.output.format {
        Format::Json => {
            serde_json::to_string_pretty(&compose_file::to_json(&project)).map_err(io::Error::other)?
        }
        Format::Text => compose_file::to_yaml(&project),
    };
    let text = text.trim_end();
    match &args.output {
        None => context.output.line(text)?,
        Some(path) => fs::write(path, format!("{text}\n")).map_err(|error| named(path, &error))?,
    }
    Ok(ExitCode::Ok)
}

fn words<'a>(names: impl IntoIterator<Item = &'a String>) -> Vec<&'a str> {
    names.into_iter().map(String::as_str).collect()
}

/// `KEY=value`, sorted, as docker compose prints them from version 2.28 on.
async fn environment(context: &Context) -> Result<ExitCode, Failure> {
    let variables = context.variables().await?;
    match context.output.format {
        Format::Json => context.output.json(&variables)?,
        Format::Text => {
            let mut lines: Vec<String> =
                variables.iter().map(|(key, value)| format!("{key}={value}")).collect();
            lines.sort();
            for line in lines {
                context.output.line(&line)?;
            }
        }
    }
    Ok(ExitCode::Ok)
}

/// `web 5f1c…`, as docker compose prints them.
fn hashes(project: &Project, name: &str, context: &Context) -> Result<ExitCode, Failure> {
    let wanted = |service: &&Service| name == "*" || service.name == name;
    if name != "*" {
        services::check([&name.to_owned()], |name| project.services.contains_key(name))?;
    }
    let hashes: BTreeMap<&str, &str> = project
        .services
        .values()
        .filter(wanted)
        .map(|service| (service.name.as_str(), service.config_hash.as_str()))
        .collect();
    match context.output.format {
        Format::Json => context.output.json(&hashes)?,
        Format::Text => {
            for (name, hash) in hashes {
                context.output.line(&format!("{name} {hash}"))?;
            }
        }
    }
    Ok(ExitCode::Ok)
}
