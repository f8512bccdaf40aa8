//! The words for events: docker compose's.

use longshore::{Condition, Event, Phase, Subject, Work};

use crate::output::{Output, Paint};

/// How an event is told.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Told {
    /// It has begun.
    Going(&'static str),
    /// It has begun, and so many bytes are done.
    Bytes(&'static str, u64, Option<u64>),
    /// A step of it begins.
    Step(String),
    /// It is done, after so many seconds.
    Done(&'static str, Option<f64>),
    /// It failed.
    Failed(String),
    /// Something to know.
    Warning(String),
}

/// So much of a step's instruction is told.
const MOST_OF_INSTRUCTION: usize = 200;

/// How an event is told; `None` is what nobody wants to know.
pub(crate) fn told(event: &Event) -> Option<Told> {
    Some(match &event.phase {
        // A container gets its final name while it is replaced; that is no news.
        Phase::Began(Work::Rename) | Phase::Done { work: Work::Rename | Work::Queue, .. } => return None,
        Phase::Began(Work::Sync(1)) => Told::Step("Syncing after 1 change".to_owned()),
        Phase::Began(Work::Sync(changes)) => Told::Step(format!("Syncing after {changes} changes")),
        Phase::Began(work) => Told::Going(doing(*work)),
        Phase::Bytes { work, done, total } => Told::Bytes(doing(*work), *done, *total),
        Phase::Step { step, .. } => {
            let instruction: String = step.instruction.chars().take(MOST_OF_INSTRUCTION).collect();
            Told::Step(format!("Step {}/{} : {instruction}", step.number, step.of))
        }
        Phase::Done { work, took } => Told::Done(done(*work), Some(took.as_secs_f64())),
        Phase::Unchanged => match event.subject {
            Subject::Container { .. } => Told::Done("Running", None),
            _ => return None,
        },
        // What goes on afterwards has no end at which it could be told why.
        Phase::Failed { reason, .. } if matches!(event.subject, Subject::Service(_)) => {
            Told::Warning(format!("service {}: {reason}", event.subject.name()))
        }
        Phase::Failed { reason, .. } => Told::Failed(reason.clone()),
        Phase::Warning(text) => Told::Warning(text.clone()),
        _ => return None,
    })
}

/// What an event is about: `Container shop-web-1`.
pub(crate) fn subject(subject: &Subject) -> String {
    let noun = match subject {
        Subject::Image(_) => "Image",
        Subject::Network(_) => "Network",
        Subject::Volume(_) => "Volume",
        Subject::Container { .. } => "Container",
        Subject::Machine(_) => "Machine",
        Subject::Project(_) => "Project",
        Subject::Service(_) => "Service",
        other => other.kind(),
    };
    format!("{noun} {}", subject.name())
}

/// Something to know.
pub(crate) fn warning(text: &str, output: Output) -> String {
    format!("{} {text}", Paint(output.stderr_colors).yellow("warning:"))
}

fn doing(work: Work) -> &'static str {
    match work {
        Work::Pull => "Pulling",
        Work::Build => "Building",
        Work::Push => "Pushing",
        Work::Create => "Creating",
        Work::Recreate => "Recreating",
        Work::Start => "Starting",
        Work::RunHook => "Running a hook",
        Work::Stop => "Stopping",
        Work::Kill => "Killing",
        Work::Pause => "Pausing",
        Work::Unpause => "Unpausing",
        Work::Remove => "Removing",
        Work::Copy => "Copying",
        Work::Wait(_) => "Waiting",
        Work::Queue => "Waiting for another longshore",
        Work::LookUp => "Looking up its image",
        Work::Download => "Downloading its image",
        Work::Extract => "Extracting its image",
        Work::Init => "Creating",
        Work::Boot => "Booting",
        Work::Answer => "Waiting for its engine",
        Work::Rename => "Renaming",
        Work::Watch => "Watching",
        Work::Rebuild => "Rebuilding",
        Work::Restart => "Restarting",
        _ => "Working",
    }
}

fn done(work: Work) -> &'static str {
    match work {
        Work::Pull => "Pulled",
        Work::Build => "Built",
        Work::Push => "Pushed",
        Work::Create => "Created",
        Work::Recreate => "Recreated",
        Work::Start => "Started",
        Work::RunHook => "Hook done",
        Work::Stop => "Stopped",
        Work::Kill => "Killed",
        Work::Pause => "Paused",
        Work::Unpause => "Unpaused",
        Work::Remove => "Removed",
        Work::Copy => "Copied",
        Work::Wait(Condition::ServiceHealthy) => "Healthy",
        Work::Wait(Condition::ServiceCompletedSuccessfully) => "Exited",
        Work::Wait(Condition::ServiceStarted) => "Started",
        Work::Init => "Created",
        Work::Queue => "At the machine",
        Work::LookUp => "Image found",
        Work::Download => "Image downloaded",
        Work::Extract => "Image extracted",
        Work::Boot => "Booted",
        Work::Answer => "Ready",
        Work::Rebuild => "Rebuilt",
        Work::Sync(_) => "Synced",
        Work::Restart => "Restarted",
        _ => "Done",
    }
}

/// Bytes for people: `12.3 MB`.
pub(crate) fn bytes(number: u64) -> String {
    let mut size = number as f64;
    let mut units = ["B", "kB", "MB", "GB", "TB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    for larger in units {
        if size < 1000.0 {
            break;
        }
        size /= 1000.0;
        unit = larger;
    }
    if unit == "B" { format!("{number} B") } else { format!("{size:.1} {unit}") }
}

/// How far it is: a bar if the whole is known, and the numbers.
pub(crate) fn progress(done: u64, total: Option<u64>) -> String {
    const WIDTH: u64 = 20;
    match total.filter(|total| *total > 0) {
        Some(total) => {
            let filled = (done.min(total) as u128 * u128::from(WIDTH) / u128::from(total)) as usize;
            let bar = format!("{}{}", "━".repeat(filled), "─".repeat(WIDTH as usize - filled));
            format!("{bar} {} / {}", bytes(done), bytes(total))
        }
        None => bytes(done),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_told_in_their_unit() {
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_500_000), "1.5 MB");
        assert_eq!(progress(50, Some(100)), "━━━━━━━━━━────────── 50 B / 100 B");
        assert_eq!(progress(200, Some(100)).matches('━').count(), 20, "more than all is all");
        assert_eq!(progress(5, None), "5 B");
    }

    #[test]
    fn events_have_docker_composes_words() {
        let container = Subject::Container { service: "web".to_owned(), name: "shop-web-1".to_owned() };
        assert_eq!(subject(&container), "Container shop-web-1");
        let told = |phase| told(&Event { subject: container.clone(), phase });
        assert_eq!(told(Phase::Began(Work::Start)), Some(Told::Going("Starting")));
        assert_eq!(told(Phase::Unchanged), Some(Told::Done("Running", None)));
        assert_eq!(told(Phase::Began(Work::Rename)), None);
    }

    #[test]
    fn what_is_done_to_a_service_says_why_it_failed() {
        let told = |phase| told(&Event { subject: Subject::Service("web".to_owned()), phase });
        let reason = "there is no rm".to_owned();
        assert_eq!(
            told(Phase::Failed { work: Work::Sync(1), reason }),
            Some(Told::Warning("service web: there is no rm".to_owned()))
        );
        assert_eq!(told(Phase::Began(Work::Sync(2))), Some(Told::Step("Syncing after 2 changes".to_owned())));
    }
}
