//! `status` and `doctor`.

use longshore::{
    Availability, EngineInfo, MachineStatus,
    doctor::{Examination, Finding, Verdict, examine},
};
use serde_json::json;

use crate::{
    args::Format,
    context::Context,
    exit::{ExitCode, Failure},
    output::Paint,
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

/// Examines Podman and Docker and says what is the matter with each.
pub(crate) async fn doctor(context: &Context) -> Result<ExitCode, Failure> {
    let config = context.config().await?;
    let found = context.reading(async { Ok(examine(&config).await) }).await?;
    match context.output.format {
        Format::Json => context.output.json(&found)?,
        Format::Text => {
            for examination in &found {
                context.output.line(&words(examination, Paint(context.output.stdout_colors)))?;
            }
        }
    }
    let usable = found.iter().any(|examination| examination.usable);
    Ok(if usable { ExitCode::Ok } else { ExitCode::NoEngine })
}

fn words(examination: &Examination, paint: Paint) -> String {
    let mark = if examination.usable { paint.green("✔") } else { paint.bold_red("✘") };
    let mut text = format!("{mark} {}", examination.runtime);
    for Finding { subject, verdict, detail, mend, .. } in &examination.findings {
        let mark = match verdict {
            Verdict::Good => paint.green("✔"),
            Verdict::Note => paint.yellow("!"),
            Verdict::Bad => paint.bold_red("✘"),
        };
        text.push_str(&format!("\n  {mark} {subject:<12} {}", detail.replace('\n', "\n      ")));
        for line in mend.iter().flat_map(|mend| mend.lines()) {
            text.push_str(&format!("\n      {} {line}", paint.cyan("→")));
        }
    }
    text
}
