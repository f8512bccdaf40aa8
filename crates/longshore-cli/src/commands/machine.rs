//! `machine`.

use longshore::{AnyRuntime, ContainerRuntime, MachineStatus, MachineStop, RuntimeChoice};
use serde_json::json;

use super::engine::machine_words;
use crate::{
    args::{Format, Machine},
    context::Context,
    exit::{ExitCode, Failure},
    report::Report,
};

/// Makes, starts, stops or looks at the machine. It is Podman's, unless another engine is named.
pub(crate) async fn machine(verb: &Machine, context: &Context) -> Result<ExitCode, Failure> {
    let mut flags = context.global.flags();
    if let Machine::Init(size) | Machine::Ensure(size) = verb {
        size.add_to(&mut flags);
    }
    let config = context.config_with(flags).await?;
    let kind = config.runtime.and_then(RuntimeChoice::kind).unwrap_or(longshore::RuntimeKind::Podman);
    let runtime = AnyRuntime::construct(kind, &config)?;
    if let Machine::Status = verb {
        return status(&runtime, context).await;
    }
    let call = context.call();
    let work = async {
        match verb {
            Machine::Init(_) => runtime.machine_init(&call).await,
            Machine::Start => runtime.machine_start(&call).await,
            Machine::Stop { force } => {
                let how = if *force { MachineStop::Always } else { MachineStop::Considerately };
                runtime.machine_stop(how, &call).await
            }
            Machine::Ensure(_) | Machine::Status => runtime.ensure_ready(&call).await.map(|_| ()),
        }
    };
    let outcome = context.cancelling(&call, work).await;
    context.reporter.finish();
    match outcome {
        Ok(outcome) => outcome?,
        Err(signal) => {
            return Err(Failure::Signal(signal, Some(format!("{} completes it", context.again.same()))));
        }
    }
    status(&runtime, context).await.map(|_| ExitCode::Ok)
}

async fn status(runtime: &AnyRuntime, context: &Context) -> Result<ExitCode, Failure> {
    let status = context.reading(async { Ok(runtime.machine_status().await?) }).await?;
    match context.output.format {
        Format::Json => context.output.json(&json!({ "machine": status }))?,
        Format::Text => context.output.line(&format!("machine   {}", machine_words(&status)))?,
    }
    if status == MachineStatus::NotNeeded {
        context.reporter.note("there is no machine here; --machine always makes one on Linux too");
    }
    let up = matches!(status, MachineStatus::Running | MachineStatus::NotNeeded);
    Ok(if up { ExitCode::Ok } else { ExitCode::NoEngine })
}
