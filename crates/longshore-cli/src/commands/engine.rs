//! `status` and `doctor`.

use longshore::{
    AnyRuntime, Availability, Config, ContainerRuntime, EngineInfo, Error, MachineStatus, RuntimeKind,
};
use serde_json::{Value, json};

use crate::{
    args::Format,
    context::Context,
    exit::{ExitCode, Failure},
    output::Paint,
    refusal::Refusal,
};

/// Shows which engine is used.
pub(crate) async fn status(context: &Context) -> Result<ExitCode, Failure> {
    let runtime = context.runtime().await?;
    let machine = context.reading(async { Ok(runtime.machine_status().await?) }).await?;
    let availability = context.reading(async { Ok(runtime.availability().await) }).await?;
    let info = match availability {
        Availability::Ready(info) => Some(info),
        Availability::NeedsMachine(_) => None,
        Availability::Unavailable(error) => return Err(error.into()),
    };
    match context.output.format {
        Format::Json => context.output.json(&json!({
            "runtime": runtime.kind(),
            "engine": info,
            "machine": machine,
        }))?,
        Format::Text => {
            context.output.line(&format!("runtime   {}", runtime.kind()))?;
            if let Some(info) = &info {
                context.output.line(&format!("engine    {}", engine(info)))?;
                context.output.line(&format!("endpoint  {}", info.endpoint))?;
            }
            context.output.line(&format!("machine   {}", machine_words(&machine)))?;
        }
    }
    Ok(if info.is_some() { ExitCode::Ok } else { ExitCode::NoEngine })
}

fn engine(info: &EngineInfo) -> String {
    match &info.api_version {
        Some(api) => format!("{} {} (API {api})", info.name, info.version),
        None => format!("{} {}", info.name, info.version),
    }
}

pub(super) fn machine_words(status: &MachineStatus) -> String {
    match status {
        MachineStatus::NotNeeded => "not needed".to_owned(),
        MachineStatus::Absent => "there is none; it is made when it is needed".to_owned(),
        MachineStatus::Stopped => "stopped; it is started when it is needed".to_owned(),
        MachineStatus::Starting => "starting".to_owned(),
        MachineStatus::NotAnswering(why) => format!("running, and its engine does not answer: {why}"),
        MachineStatus::Running => "running".to_owned(),
        MachineStatus::Stopping => "stopping".to_owned(),
        MachineStatus::Unknown(why) => format!("unknown: {why}"),
    }
}

/// Tries Podman and Docker and says what is the matter with each.
pub(crate) async fn doctor(context: &Context) -> Result<ExitCode, Failure> {
    let config = context.config().await?;
    let mut found = Vec::new();
    for kind in [RuntimeKind::Podman, RuntimeKind::Docker] {
        let availability = context.reading(async { Ok(look(kind, &config).await) }).await?;
        found.push((kind, availability));
    }
    let usable = found.iter().any(|(_, availability)| !matches!(availability, Availability::Unavailable(_)));
    match context.output.format {
        Format::Json => {
            let all: Vec<Value> =
                found.iter().map(|(kind, availability)| object(*kind, availability)).collect();
            context.output.json(&all)?;
        }
        Format::Text => {
            for (kind, availability) in &found {
                context.output.line(&words(*kind, availability, Paint(context.output.stdout_colors)))?;
            }
        }
    }
    Ok(if usable { ExitCode::Ok } else { ExitCode::NoEngine })
}

/// Asks one engine, at the address that was given for it.
async fn look(kind: RuntimeKind, config: &Config) -> Availability {
    match AnyRuntime::construct(kind, config) {
        Ok(runtime) => runtime.availability().await,
        Err(error) => Availability::Unavailable(error),
    }
}

fn words(kind: RuntimeKind, availability: &Availability, paint: Paint) -> String {
    match availability {
        Availability::Ready(info) => {
            format!("{} {kind}: {} at {}", paint.green("✔"), engine(info), info.endpoint)
        }
        Availability::NeedsMachine(status) => {
            format!("{} {kind}: machine {}", paint.yellow("!"), machine_words(status))
        }
        Availability::Unavailable(error) => {
            let message = Refusal::from(error.clone()).message();
            let mut text = format!("{} {kind}: {message}", paint.bold_red("✘"));
            for line in error.help().iter().flat_map(|help| help.lines()) {
                text.push_str(&format!("\n    {line}"));
            }
            text
        }
    }
}

fn object(kind: RuntimeKind, availability: &Availability) -> Value {
    let problem = |error: &Error| json!({ "code": error.code(), "message": Refusal::from(error.clone()).message(), "help": error.help() });
    match availability {
        Availability::Ready(info) => json!({ "runtime": kind, "available": true, "engine": info }),
        Availability::NeedsMachine(status) => {
            json!({ "runtime": kind, "available": true, "machine": status })
        }
        Availability::Unavailable(error) => {
            json!({ "runtime": kind, "available": false, "error": problem(error) })
        }
    }
}
