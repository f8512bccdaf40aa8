//! An object for each thing that happens, one a line on stderr.

use longshore::{Event, Phase, Subject, Work};
use serde_json::{Value, json};

use super::Report;
use crate::output::Output;

#[derive(Debug)]
pub(crate) struct Json {
    output: Output,
}

impl Json {
    pub(crate) fn new(output: Output) -> Self {
        Self { output }
    }
}

/// An event as a flat object. Times are milliseconds.
fn object(event: &Event) -> Value {
    let (phase, work, rest) = match &event.phase {
        Phase::Began(work) => ("began", Some(work), json!({})),
        Phase::Bytes { work, done, total } => ("bytes", Some(work), json!({ "done": done, "total": total })),
        Phase::Step { work, step } => ("step", Some(work), json!({ "step": step })),
        Phase::Done { work, took } => ("done", Some(work), json!({ "took_ms": took.as_millis() as u64 })),
        Phase::Unchanged => ("unchanged", None, json!({})),
        Phase::Failed { work, reason } => ("failed", Some(work), json!({ "reason": reason })),
        Phase::Warning(text) => ("warning", None, json!({ "message": text })),
        _ => ("other", None, json!({})),
    };
    let mut out = json!({ "event": phase, "kind": event.subject.kind(), "name": event.subject.name() });
    if let Subject::Container { service, .. } = &event.subject {
        out["service"] = json!(service);
    }
    match work {
        Some(Work::Wait(condition)) => {
            out["work"] = json!("wait");
            out["condition"] = json!(condition.as_str());
        }
        Some(Work::Sync(changes)) => {
            out["work"] = json!("sync");
            out["changes"] = json!(changes);
        }
        Some(work) => out["work"] = json!(work),
        None => {}
    }
    if let (Value::Object(out), Value::Object(rest)) = (&mut out, rest) {
        out.extend(rest);
    }
    out
}

impl Report for Json {
    fn event(&self, event: &Event) {
        let mut event = object(event);
        if self.output.dry_run {
            event["dry_run"] = json!(true);
        }
        self.output.note(&event.to_string());
    }

    fn note(&self, text: &str) {
        self.output.note(&json!({ "note": text }).to_string());
    }

    fn warn(&self, text: &str) {
        self.output.note(&json!({ "warning": { "message": text } }).to_string());
    }

    fn finish(&self) {}
}

#[cfg(test)]
mod tests {
    use longshore::Condition;

    use super::*;

    #[test]
    fn an_event_is_a_flat_object() {
        let subject = Subject::Container { service: "web".to_owned(), name: "shop-web-1".to_owned() };
        let event = Event { subject, phase: Phase::Began(Work::Wait(Condition::ServiceHealthy)) };
        assert_eq!(
            object(&event),
            json!({ "event": "began", "kind": "container", "name": "shop-web-1", "service": "web",
                "work": "wait", "condition": "service_healthy" })
        );
    }
}
