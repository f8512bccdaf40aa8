//! `events`: what goes on until Ctrl-C.

use std::time::SystemTime;

use futures_util::StreamExt;
use longshore::ProjectEvent;
use serde_json::json;
use time::{OffsetDateTime, format_description::well_known::Rfc3339, macros::format_description};

use crate::{
    args::{Events, Format},
    context::Context,
    exit::{ExitCode, Failure},
};

/// Shows what happens to containers, as docker compose does but that times are of UTC.
pub(crate) async fn events(args: &Events, context: &Context) -> Result<ExitCode, Failure> {
    let target = context.target(&args.services).await?;
    let runtime = context.runtime().await?;
    let shown = context.reading(async {
        let mut events = runtime.events(&target).await?;
        while let Some(event) = events.next().await {
            let event = event?;
            if args.json || context.output.format == Format::Json {
                context.output.json_line(&object(&event))?;
            } else {
                context.output.line(&line(&event))?;
            }
        }
        Ok(ExitCode::Ok)
    });
    ended_by_a_signal(shown.await)
}

/// What has no other end: a signal is no failure to speak of.
fn ended_by_a_signal(shown: Result<ExitCode, Failure>) -> Result<ExitCode, Failure> {
    shown.map_err(|failure| match failure {
        Failure::Signal(..) => Failure::Silent(failure.exit_code()),
        other => other,
    })
}

fn time(event: &ProjectEvent) -> OffsetDateTime {
    event.time.unwrap_or_else(SystemTime::now).into()
}

/// `2026-11-25 15:59:10.868842 container die ID (exitCode=0, name=shop-web-1)`.
fn line(event: &ProjectEvent) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second].[subsecond digits:6]");
    let time = time(event).format(format).unwrap_or_default();
    let attributes = event.attributes.iter().map(|(name, value)| format!("{name}={value}"));
    let attributes = attributes.collect::<Vec<_>>().join(", ");
    format!("{time} container {} {} ({attributes})", event.action, event.container)
}

fn object(event: &ProjectEvent) -> serde_json::Value {
    json!({
        "time": time(event).format(&Rfc3339).unwrap_or_default(),
        "type": "container",
        "id": event.container,
        "service": event.service,
        "action": event.action,
        "attributes": event.attributes,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use longshore::ContainerId;

    use super::*;

    #[test]
    fn an_event_reads_as_docker_composes() {
        let attributes = [("name", "shop-web-1"), ("exitCode", "3")];
        let event = ProjectEvent {
            time: Some(SystemTime::UNIX_EPOCH + Duration::from_nanos(1_795_622_350_868_842_498)),
            service: "web".to_owned(),
            container: ContainerId("4f".to_owned()),
            action: "die".to_owned(),
            attributes: attributes.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        };
        assert_eq!(line(&event), "2026-11-25 15:59:10.868842 container die 4f (exitCode=3, name=shop-web-1)");
        assert_eq!(
            object(&event),
            json!({"time": "2026-11-25T15:59:10.868842498Z", "type": "container", "id": "4f", "service": "web",
                "action": "die", "attributes": {"exitCode": "3", "name": "shop-web-1"}})
        );
    }
}
