//! `config`.

use std::collections::BTreeSet;

use longshore::{
    Error, Project, ResourceKind,
    compose_file::{self, Service},
};

use super::list::print_words;
use crate::{
    args::{ConfigCommand, Format},
    context::{Context, Interpolate},
    exit::{ExitCode, Failure},
};

/// Checks the file and shows what it means.
pub(crate) async fn config(args: &ConfigCommand, context: &Context) -> Result<ExitCode, Failure> {
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
    if let Some(name) = &view.hash {
        let hashes = hashes(&project, name)?;
        return print_words(&words(&hashes), context);
    }
    match context.output.format {
        Format::Json => context.output.json(&compose_file::to_json(&project))?,
        Format::Text => context.output.line(compose_file::to_yaml(&project).trim_end())?,
    }
    Ok(ExitCode::Ok)
}

fn words<'a>(names: impl IntoIterator<Item = &'a String>) -> Vec<&'a str> {
    names.into_iter().map(String::as_str).collect()
}

/// `web 5f1c…`, as docker compose prints them.
fn hashes(project: &Project, name: &str) -> Result<Vec<String>, Failure> {
    let line = |service: &Service| format!("{} {}", service.name, service.config_hash);
    if name == "*" {
        return Ok(project.services.values().map(line).collect());
    }
    match project.services.get(name) {
        Some(service) => Ok(vec![line(service)]),
        None => Err(Error::NotFound { kind: ResourceKind::Service, name: name.to_owned() }.into()),
    }
}
