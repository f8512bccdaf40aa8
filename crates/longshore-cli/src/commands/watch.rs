//! `watch`, and the same beside `up`.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use longshore::{
    Call, DevelopOptions, Event, Phase, Project, ReplacedImages, RuntimeKind, Subject, UpOptions, Work,
    watched_services,
};

use crate::{
    args::Watch,
    context::{Context, Leaves, Tells},
    exit::{ExitCode, Failure},
    report::{Report, Reporter},
    services,
};

/// Brings services up, and does what their file says when files change; a signal ends it and leaves them running.
pub(crate) async fn watch(args: &Watch, context: &Context) -> Result<ExitCode, Failure> {
    let project = context.project(&args.services).await?;
    services::check_selected(&project)?;
    let mut options = DevelopOptions::default();
    options.services = args.services.iter().cloned().collect();
    if !args.no_up {
        let mut up = UpOptions::default();
        up.services = options.services.clone();
        options.up = Some(up);
    }
    if args.prune {
        options.replaced = ReplacedImages::Remove;
    }
    // Before an engine is asked for.
    watched_services(&project, &options)?;
    let runtime = context.runtime().await?;
    if runtime.kind() == RuntimeKind::Mock {
        context.reporter.note("the mock engine ends with this command: nothing remains of it");
    }
    let tells = if args.quiet { Tells::AllButImages } else { Tells::All };
    let before = context.call_that(tells);
    let telling = Telling::new(context, tells);
    let (reporter, told) = (context.reporter.clone(), telling.clone());
    let call = Call::reporting(move |event| {
        if is_watching(&event) {
            reporter.finish();
        }
        if is_watching(&event) || told.watches() {
            told.tell(&event);
        } else {
            before.progress.report(event.subject, event.phase);
        }
    });
    let outcome = context.cancelling(&call, runtime.develop(&project, &options, &call)).await;
    context.reporter.finish();
    match outcome {
        Ok(Err(error)) => Err(error.into()),
        Err(signal) if telling.watches() => Err(Failure::Silent(Failure::Signal(signal, None).exit_code())),
        Err(signal) => {
            let left = context.left(&*runtime, &project.name, Leaves::More).await;
            Err(Failure::Signal(signal, Some(left)))
        }
    }
}

/// How it is told what is done while files are watched: lines that stay, because it goes on for long.
#[derive(Debug, Clone)]
pub(crate) struct Telling {
    reporter: Arc<Reporter>,
    tells: Tells,
    watches: Arc<AtomicBool>,
    changed: Arc<tokio::sync::Notify>,
}

impl Telling {
    pub(crate) fn new(context: &Context, tells: Tells) -> Self {
        Self {
            reporter: Arc::new(Reporter::unchanging(context.output)),
            tells,
            watches: Arc::default(),
            changed: Arc::default(),
        }
    }

    /// Whether files are watched by now.
    fn watches(&self) -> bool {
        self.watches.load(Ordering::Relaxed)
    }

    /// Waits until something was done to a service, from now on or since this was asked for the last time.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    pub(crate) fn tell(&self, event: &Event) {
        if is_watching(event) {
            self.watches.store(true, Ordering::Relaxed);
        }
        if self.tells.tells(event) {
            self.reporter.event(event);
        }
        let is_over = matches!(event.phase, Phase::Done { .. } | Phase::Failed { .. });
        if is_over && matches!(event.subject, Subject::Service(_)) {
            self.changed.notify_one();
        }
    }
}

fn is_watching(event: &Event) -> bool {
    event.phase == Phase::Began(Work::Watch)
}

/// How files are watched beside an `up`, which has brought the services up.
///
/// # Errors
/// When there is nothing to watch.
pub(crate) fn beside_up(project: &Project, up: &UpOptions) -> Result<DevelopOptions, Failure> {
    let mut options = DevelopOptions::default();
    options.services = up.services.clone();
    options.dependencies = up.dependencies;
    options.building = up.build;
    watched_services(project, &options)?;
    Ok(options)
}
