//! `ps`, `ls`, `top`, `port`, `images` and `volumes`.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::SystemTime,
};

use longshore::{
    Container, Error, Image, ProcessTable, ProjectSummary, PublishedPort, Resource, ResourceKind, Target,
};
use serde_json::json;

use crate::{
    args::{Format, Images, Ls, Named, Port, Ps, Volumes},
    context::Context,
    exit::{ExitCode, Failure},
    refusal::Refusal,
    report::bytes,
    services,
    table::{Row, lines, ports, table},
};

/// Lists the project's containers.
pub(crate) async fn ps(args: &Ps, context: &Context) -> Result<ExitCode, Failure> {
    let target = context.target(&args.only).await?;
    let runtime = context.runtime().await?;
    let mut containers = context.reading(async { Ok(runtime.ps(&target.name).await?) }).await?;
    check_named(&target, &containers)?;
    let named = |container: &Container| target.means(container.service().unwrap_or_default());
    let states: Vec<_> = args.status.iter().chain(&args.filter).copied().collect();
    let is_shown = |container: &Container| match states.is_empty() {
        true => args.all || container.state.is_running(),
        false => states.contains(&container.state),
    };
    let is_orphan = |container: &Container| {
        let project = target.project.as_ref();
        project.zip(container.service()).is_some_and(|(project, name)| !project.services.contains_key(name))
    };
    containers.retain(|container| {
        is_shown(container) && named(container) && (args.orphans || !is_orphan(container))
    });
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

/// Shows the processes of running containers, a table for each.
pub(crate) async fn top(args: &Named, context: &Context) -> Result<ExitCode, Failure> {
    let target = context.target(&args.services).await?;
    let runtime = context.runtime().await?;
    let tables = context.reading(async { Ok(runtime.top(&target).await?) }).await?;
    if context.output.format == Format::Json {
        let object = |(container, table): &(Container, ProcessTable)| {
            json!({ "name": container.name, "service": container.service(), "titles": table.titles,
                "processes": table.processes })
        };
        context.output.json(&tables.iter().map(object).collect::<Vec<_>>())?;
        return Ok(ExitCode::Ok);
    }
    for (container, ProcessTable { titles, processes }) in &tables {
        context.output.line(&format!("{}\n{}\n", container.name, lines(titles, processes)))?;
    }
    Ok(ExitCode::Ok)
}

/// Shows where a port of a container is published: `ADDRESS:PORT`.
pub(crate) async fn port(args: &Port, context: &Context) -> Result<ExitCode, Failure> {
    let target = context.target(std::slice::from_ref(&args.service)).await?;
    let runtime = context.runtime().await?;
    let containers = context.reading(async { Ok(runtime.ps(&target.name).await?) }).await?;
    check_named(&target, &containers)?;
    let is_meant = |container: &&Container| {
        container.service() == Some(&args.service)
            && container.state.is_running()
            && args.index.is_none_or(|index| container.number() == Some(index))
    };
    let Some(container) = containers.iter().find(is_meant) else {
        return Err(Error::NotRunning { service: args.service.clone(), index: args.index }.into());
    };
    let is_it = |port: &&PublishedPort| {
        port.target == args.port && port.protocol.as_str() == args.protocol && port.published != 0
    };
    let Some(port) = container.ports.iter().find(is_it) else {
        let name = format!("{}/{} of container {}", args.port, args.protocol, container.name);
        let error = Error::NotFound { kind: ResourceKind::Port, name };
        let help = match ports(&container.ports) {
            none if none.is_empty() => "it publishes none".to_owned(),
            some => format!("it publishes {some}"),
        };
        return Err(Failure::Runtime(Box::new(Refusal { error, about: None, help: Some(help) })));
    };
    let address = port.host_ip.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let place = SocketAddr::new(address, port.published);
    match context.output.format {
        Format::Json => context.output.json(port)?,
        Format::Text => context.output.line(&place.to_string())?,
    }
    Ok(ExitCode::Ok)
}

/// Shows the images that containers were made from.
pub(crate) async fn images(args: &Images, context: &Context) -> Result<ExitCode, Failure> {
    let target = context.target(&args.services).await?;
    let runtime = context.runtime().await?;
    let images = context.reading(async { Ok(runtime.images(&target).await?) }).await?;
    let id = |image: &Option<Image>| {
        image.as_ref().map_or("", |image| image.id.as_str().trim_start_matches("sha256:")).to_owned()
    };
    if args.quiet {
        let ids: BTreeSet<String> = images.iter().map(|(_, image)| id(image)).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).filter(|id| !id.is_empty()).collect();
        return print_words(&ids, context);
    }
    let rows: Vec<(&str, String, String, String, u64)> = images
        .iter()
        .map(|(container, image)| {
            let reference = image.as_ref().and_then(|image| image.tags.first());
            let (repository, tag) = repository_and_tag(reference.unwrap_or(&container.image));
            let size = image.as_ref().map_or(0, |image| image.size);
            (container.name.as_str(), repository, tag, id(image), size)
        })
        .collect();
    match context.output.format {
        Format::Json => {
            let object = |(name, repository, tag, id, size): &(&str, String, String, String, u64)| {
                json!({ "ID": format!("sha256:{id}"), "ContainerName": name, "Repository": repository,
                    "Tag": tag, "Size": size })
            };
            context.output.json(&rows.iter().map(object).collect::<Vec<_>>())?;
        }
        Format::Text => {
            let cells: Vec<[String; 5]> = rows
                .into_iter()
                .map(|(name, repository, tag, id, size)| {
                    let short = id.get(..12).unwrap_or(&id).to_owned();
                    [name.to_owned(), repository, tag, short, bytes(size)]
                })
                .collect();
            let head = ["CONTAINER", "REPOSITORY", "TAG", "IMAGE ID", "SIZE"];
            context.output.line(&table(head, &cells))?;
        }
    }
    Ok(ExitCode::Ok)
}

/// `localhost:5000/web:1` is `localhost:5000/web` and `1`.
fn repository_and_tag(reference: &str) -> (String, String) {
    match reference.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository.to_owned(), tag.to_owned()),
        _ => (reference.to_owned(), "<none>".to_owned()),
    }
}

/// Lists the project's volumes, as a newer docker compose does (2.37).
pub(crate) async fn volumes(args: &Volumes, context: &Context) -> Result<ExitCode, Failure> {
    let target = context.target(&args.services).await?;
    let runtime = context.runtime().await?;
    let volumes = context.reading(async { Ok(runtime.volumes(&target).await?) }).await?;
    if args.quiet {
        let names: Vec<&str> = volumes.iter().map(|volume| volume.name.as_str()).collect();
        return print_words(&names, context);
    }
    match context.output.format {
        Format::Json => {
            let object = |volume: &Resource| {
                let labels = volume.labels.iter().map(|(name, value)| format!("{name}={value}"));
                let labels = labels.collect::<Vec<_>>().join(",");
                json!({ "Name": volume.name, "Driver": volume.driver, "Labels": labels })
            };
            context.output.json(&volumes.iter().map(object).collect::<Vec<_>>())?;
        }
        Format::Text => {
            let cells: Vec<[String; 2]> =
                volumes.into_iter().map(|volume| [volume.driver, volume.name]).collect();
            context.output.line(&table(["DRIVER", "VOLUME NAME"], &cells))?;
        }
    }
    Ok(ExitCode::Ok)
}

/// Lists the projects on the engine.
pub(crate) async fn ls(args: &Ls, context: &Context) -> Result<ExitCode, Failure> {
    let runtime = context.runtime().await?;
    let mut projects = context.reading(async { Ok(runtime.projects().await?) }).await?;
    projects.retain(|project| args.all || project.states.contains_key("running"));
    if let Some(part) = &args.filter {
        projects.retain(|project| project.name.contains(part.as_str()));
    }
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
