//! `up` in the foreground: logs until the containers end by themselves or are stopped by a signal.

use std::{
    collections::BTreeSet,
    pin::pin,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use longshore::{
    Attached, Call, Container, ContainerRuntime, DevelopOptions, Error, Foreground, Kept, MachineEnd,
    Projects, ShutdownOptions, StopOptions, Target,
};

use super::watch::Telling;
use crate::{
    args::InForeground,
    context::{Context, Tells},
    exit::{ExitCode, Failure},
    logs::{Prefix, Printer},
    report::{Report, Reporter},
    signals::Signal,
};

/// How long the last lines of containers that have ended may take to arrive.
const LAST_LINES: Duration = Duration::from_secs(2);

/// What is told of a stop that a signal asks for.
const STOPPING: &str = "Stopping… (press Ctrl-C again to force)";

/// The end of a command that was ended; without a signal nobody reads it any more.
fn because_of(signal: Option<Signal>) -> Failure {
    Failure::Silent(match signal {
        Some(Signal::Interrupt) => ExitCode::Interrupted,
        Some(Signal::Terminate) => ExitCode::Terminated,
        None => ExitCode::Ok,
    })
}

/// The containers that this command is attached to.
#[derive(Debug)]
pub(crate) struct Command<'a> {
    pub(crate) runtime: &'a dyn ContainerRuntime,
    /// What is stopped at the end; it names its services.
    pub(crate) target: Target,
    /// The services of it that are shown.
    pub(crate) shown: BTreeSet<String>,
    pub(crate) context: &'a Context,
    pub(crate) args: &'a InForeground,
    /// The grace period; `None` is each container's own.
    pub(crate) timeout: Option<Duration>,
}

/// Logs, and where they are written.
struct Following {
    lines: Option<Foreground>,
    /// Whether lines are written; of nothing that is to be shown the end alone matters.
    shows: bool,
    /// Whether each line has its time before it.
    timestamps: bool,
    printer: Printer,
    /// The services of which a container has ended, the first first, and with what.
    ended: Vec<(String, i64)>,
}

impl Following {
    /// Writes the next line, or how a container ended; `false` at the end of it all. A line may wait to be written until the
    /// next step finds no other.
    async fn step(&mut self) -> Result<bool, Failure> {
        let Some(lines) = &mut self.lines else { return Ok(false) };
        let next = self.printer.next_of(lines).await?;
        if !matches!(next, Some(Ok(_))) {
            self.printer.flush()?;
        }
        match next.transpose()? {
            Some(Attached::Line(mut line)) if self.shows => {
                line.line.time = line.line.time.filter(|_| self.timestamps);
                self.printer.print(&line)?;
            }
            Some(Attached::Ended { service, container, exit_code }) => {
                if self.shows {
                    self.printer.exited(&service, &container, exit_code)?;
                }
                self.ended.push((service, exit_code));
            }
            Some(_) => {}
            None => {
                self.lines = None;
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Awaits something while lines are written. What is wrong with the lines does not disturb it.
    async fn beside<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                outcome = &mut work => {
                    let _ = self.printer.flush();
                    return outcome;
                }
                step = self.step(), if self.lines.is_some() => {
                    if !step.unwrap_or(false) {
                        self.lines = None;
                    }
                }
            }
        }
    }
}

impl Command<'_> {
    /// Shows logs until nothing runs any more; a signal stops the containers, and so does a reader of stdout that goes away. While
    /// files are watched it does not end by itself: a change may start what has ended.
    pub(crate) async fn follow(
        &self,
        started: &BTreeSet<String>,
        watch: Option<&DevelopOptions>,
    ) -> Result<ExitCode, Failure> {
        let shows = !self.shown.is_empty();
        let mut told = self.target.clone();
        if shows {
            told.services = self.shown.clone();
        }
        let attached = async {
            Ok::<_, Error>((self.runtime.ps(&told.name).await?, self.runtime.attach(&told, started).await?))
        };
        let (containers, lines) = tokio::select! {
            biased;
            signal = self.context.signals.nth(1) => return self.stop(Some(signal)).await,
            attached = attached => attached?,
        };
        let is_shown =
            |container: &&Container| container.service().is_some_and(|name| self.shown.contains(name));
        let mut printer = self.printer();
        printer.expect(containers.iter().filter(is_shown).map(|container| container.name.as_str()));
        let mut following = self.following(Some(lines), shows, printer);
        let aborts = self.args.abort_on_container_exit || self.args.exit_code_from.is_some();
        let telling = Telling::new(self.context, Tells::All);
        let teller = telling.clone();
        let call = Call::reporting(move |event| teller.tell(&event));
        let mut watching = pin!(self.watching(watch, &call));
        let ended = async {
            loop {
                while following.step().await? {
                    if aborts && !following.ended.is_empty() {
                        return Ok(true);
                    }
                }
                if watch.is_none() {
                    return Ok(aborts);
                }
                telling.changed().await;
                // Nothing ran before, so of what runs now all was started since.
                let now = self.runtime.ps(&self.target.name).await?;
                let started = now.into_iter().filter(|container| container.state.is_running());
                let started = started.map(|container| container.name).collect();
                following.lines = Some(self.runtime.attach(&told, &started).await?);
            }
        };
        let signal = tokio::select! {
            biased;
            signal = self.context.signals.nth(1) => Some(signal),
            error = &mut watching => {
                self.stop_beside(STOPPING, &mut following).await?;
                return Err(error.into());
            }
            ended = ended => match ended {
                // Nobody reads what the containers say, so nobody can want them attached.
                Err(Failure::Silent(_)) => None,
                Ok(true) => {
                    self.stop_beside("A container has ended: stopping the others…", &mut following).await?;
                    return self.passed(&following.ended).await;
                }
                ended => {
                    ended?;
                    self.end_machine().await;
                    return Ok(ExitCode::Ok);
                }
            },
        };
        if watch.is_some() {
            // What a change has begun is let end, as far as it is brief.
            call.cancel.cancel();
            following.beside(watching).await;
        }
        self.stop_beside(STOPPING, &mut following).await?;
        Err(because_of(signal))
    }

    /// The exit code that is wanted, once all containers have ended: that of the service that was named, or of the first that ended.
    async fn passed(&self, ended: &[(String, i64)]) -> Result<ExitCode, Failure> {
        let is_wanted = |service: &str| match &self.args.exit_code_from {
            Some(wanted) => wanted == service,
            None => self.target.services.contains(service),
        };
        let heard = ended.iter().find(|(service, _)| is_wanted(service)).map(|(_, code)| *code);
        if let Some(code) = heard {
            return Ok(ExitCode::passed(code));
        }
        // Nobody was told of its end.
        let containers = self.runtime.ps(&self.target.name).await?;
        let mut ended = containers
            .iter()
            .filter(|container| container.service().is_some_and(is_wanted) && !container.state.is_running());
        Ok(ended.find_map(|container| container.exit_code).map_or(ExitCode::Failed, ExitCode::passed))
    }

    fn following(&self, lines: Option<Foreground>, shows: bool, printer: Printer) -> Following {
        Following { lines, shows, timestamps: self.args.timestamps, printer, ended: Vec::new() }
    }

    fn printer(&self) -> Printer {
        let prefix = if self.args.no_log_prefix { Prefix::None } else { Prefix::Container };
        let mut output = self.context.output;
        output.stdout_colors &= !self.args.no_color;
        Printer::new(output, prefix, &self.target.name)
    }

    /// Watches files, if that is wanted, until it cannot go on.
    async fn watching(&self, watch: Option<&DevelopOptions>, call: &Call) -> Error {
        match (watch, &self.target.project) {
            (Some(options), Some(project)) => match self.runtime.develop(project, options, call).await {
                Err(error) => error,
            },
            _ => std::future::pending().await,
        }
    }

    /// Stops the containers in reverse order of dependency; after a second signal, at once.
    pub(crate) async fn stop(&self, signal: Option<Signal>) -> Result<ExitCode, Failure> {
        let mut following = self.following(None, true, self.printer());
        self.stop_beside(STOPPING, &mut following).await?;
        Err(because_of(signal))
    }

    /// Stops the containers while their lines are written, and then the machine.
    async fn stop_beside(&self, told: &str, following: &mut Following) -> Result<(), Failure> {
        let _ = following.printer.flush();
        // Logs go on between the events, so no line may change.
        let reporter = Arc::new(Reporter::unchanging(self.context.output));
        reporter.note(told);
        let call = || {
            let reporter = reporter.clone();
            Call::reporting(move |event| reporter.event(&event))
        };
        let stopped = following.beside(self.stop_or_kill(call)).await;
        // Containers that have ended still have lines on their way.
        let rest = async { while following.step().await.unwrap_or(false) {} };
        let _ = tokio::time::timeout(LAST_LINES, rest).await;
        let _ = following.printer.flush();
        stopped?;
        self.end_machine().await;
        Ok(())
    }

    /// Stops the machine if it was booted for this command and nothing runs in it any more. A signal ends the wait for it.
    async fn end_machine(&self) {
        if !self.context.booted.load(Ordering::Relaxed) {
            return;
        }
        let mut options = ShutdownOptions::default();
        options.projects = Projects::Only(BTreeSet::new());
        let reporter = Arc::new(Reporter::unchanging(self.context.output));
        let told = reporter.clone();
        let call = Call::reporting(move |event| told.event(&event));
        let ended = tokio::select! {
            ended = self.runtime.shutdown(&options, &call) => ended,
            _ = self.context.signals.another() => return,
        };
        match ended.map(|ended| ended.machine) {
            Ok(MachineEnd::Kept(Kept::InUse(names))) => {
                reporter.note(&format!("the machine stays up, because of {}", names.join(", ")));
            }
            Ok(MachineEnd::Kept(Kept::Unreadable(error))) | Err(error) => {
                reporter.warn(&format!("the machine stays up: {error}"));
            }
            Ok(_) => {}
        }
    }

    async fn stop_or_kill(&self, new_call: impl Fn() -> Call) -> longshore::Result<()> {
        let call = new_call();
        let options = StopOptions { timeout: self.timeout };
        let mut gently = pin!(self.runtime.stop(&self.target, &options, &call));
        tokio::select! {
            stopped = &mut gently => return stopped,
            _ = self.context.signals.nth(2) => call.cancel.cancel(),
        }
        // The one before has to let go of the project first; that it was cancelled is no news.
        let _ = gently.await;
        let options = StopOptions { timeout: Some(Duration::ZERO) };
        self.runtime.stop(&self.target, &options, &new_call()).await
    }
}
