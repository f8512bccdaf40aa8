//! Who does what an agent's orders say: one task for each agent, so that nothing is done to one twice at once.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::StreamExt;
use longshore::{
    Call, ContainerRuntime, DownOptions, Error, Event, LoadOptions, LogOptions, MachineProblem, MachineStop,
    Orphans, Progress, Project, RemoveVolumes, StopOptions, Target, UpOptions, compose_file::RestartPolicy,
};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    agent::{Cell, Known, Order, Run},
    api::{AgentProgress, Problem, ProgressPhase, Wanted},
    fleet::{Counts, Fleet, no_port, storage, superseded},
    gateway::Unproved,
    ports, progress,
    store::{Record, StoreError},
    template::{Provider, Template},
};

/// So many ports are tried when those that were chosen turn out to be taken.
const MOST_PORTS: usize = 8;
/// How long one waits before an agent is asked again whether it is there: at first, and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// An engine that starts it again so often does so for ever.
const MOST_RUNS: usize = 3;
/// How many lines of its log say why an agent failed.
const LAST_LINES: u64 = 20;
/// How long its log may take for that.
const LAST_LINES_WITHIN: Duration = Duration::from_secs(5);

/// Carries out orders until the agent is deleted or the server closes.
pub(crate) async fn work(fleet: Fleet, cell: Arc<Cell>) {
    let mut orders = cell.orders.subscribe();
    let mut hints = cell.hints.subscribe();
    let closing = fleet.inner.closing.clone();
    let mut waiting = None;
    while !closing.is_cancelled() {
        let order = *orders.borrow_and_update();
        hints.borrow_and_update();
        if order.number > cell.done.borrow().number {
            if carry_out(&fleet, &cell, order).await {
                return;
            }
            waiting = None;
            continue;
        }
        look_unless(&closing, &fleet, &cell).await;
        fleet.tell(&cell);
        tokio::select! {
            () = closing.cancelled() => {}
            _ = orders.changed() => {}
            _ = hints.changed() => {}
            () = notice(&fleet, &cell, &mut waiting) => {}
        }
    }
}

/// Asks one that runs, and has not proved it, whether it is there: somebody started it, or the server was away. What is dropped because
/// something happened goes on with the same `waiting`.
async fn notice(fleet: &Fleet, cell: &Cell, waiting: &mut Option<(Run, Waiting)>) {
    let template = template(fleet, cell);
    let (run, port) = {
        let known = cell.known();
        let run = template.as_ref().ok().and_then(|template| known.run(&template.about.service));
        (run.filter(|run| known.asked.as_ref() != Some(run)), known.record.port)
    };
    let (Some(run), Some(port), Ok(template)) = (run, port, template) else {
        return std::future::pending().await;
    };
    let outcome = {
        // One that is started again and again is waited for once; one that is started much later anew.
        if waiting.as_ref().is_some_and(|(was, waiting)| *was != run && waiting.is_over()) {
            *waiting = None;
        }
        // Whether the engine starts it again is not known here.
        let new = || (run.clone(), Waiting::new(template, Restarts::Perhaps));
        let (_, waiting) = waiting.get_or_insert_with(new);
        prove(fleet, cell, template, port, waiting).await
    };
    *waiting = None;
    {
        let mut known = cell.known();
        // Not asked again and again: what changes it is an event of the engine's.
        known.asked = Some(run.clone());
        known.proved = outcome.is_ok().then_some(run);
        known.error = outcome.err().map(|problem| cell.discreet(problem));
    }
    fleet.tell(cell);
}

/// Does what the order says. Whether the agent is no more.
async fn carry_out(fleet: &Fleet, cell: &Arc<Cell>, order: Order) -> bool {
    cell.known().begin(order.wanted);
    fleet.tell(cell);
    let cancel = CancellationToken::new();
    let call = Call { progress: listener(fleet, cell, order), cancel: cancel.clone() };
    let work = async {
        match order.wanted {
            Wanted::Running => {
                // One that is about to end is not one that runs.
                if order.anew || cell.known().ending {
                    stop(fleet, cell, &call).await?;
                }
                bring_up(fleet, cell, &call).await
            }
            Wanted::Stopped => stop(fleet, cell, &call).await,
            Wanted::Deleted => delete(fleet, cell, &call).await,
        }
    };
    let mut orders = cell.orders.subscribe();
    let another = async {
        // The sender lives in the cell.
        let _ = orders.wait_for(|another| another.number > order.number).await;
    };
    let outcome = {
        let mut work = std::pin::pin!(work);
        tokio::select! {
            outcome = &mut work => outcome,
            () = another => { cancel.cancel(); work.await }
            () = fleet.inner.closing.cancelled() => { cancel.cancel(); work.await }
        }
    };
    let is_cancelled = cancel.is_cancelled() && outcome.is_err();
    let outcome = outcome.map_err(|problem| match is_cancelled {
        true if fleet.inner.closing.is_cancelled() => told(&Error::ShuttingDown),
        true => superseded(),
        false => cell.discreet(problem),
    });
    if order.wanted == Wanted::Deleted && outcome.is_ok() {
        fleet.forget(cell);
        cell.end(order.number, outcome);
        release_machine(fleet).await;
        return true;
    }
    look_unless(&fleet.inner.closing, fleet, cell).await;
    let record = {
        let mut known = cell.known();
        if cell.orders.borrow().number > order.number {
            // The next order begins at once, and what is known is its own.
            None
        } else {
            known.busy = None;
            known.progress = None;
            known.error = outcome.as_ref().err().filter(|_| !is_cancelled).cloned();
            // What was cut off by the server's end is done when it is there again.
            (!is_cancelled).then(|| {
                known.record.pending = false;
                known.record.clone()
            })
        }
    };
    if let Some(record) = record {
        if outcome.is_err() {
            Counts::count(&fleet.inner.counts.failed);
        }
        let ordering = cell.ordering.lock().await;
        // An order that came meanwhile has written its own.
        if cell.orders.borrow().number == order.number
            && let Err(error) = fleet.inner.store.save(record).await
        {
            tracing::warn!(agent = %cell.name, "{error}");
        }
        drop(ordering);
    }
    cell.end(order.number, outcome);
    fleet.tell(cell);
    false
}

/// Where nothing of ours is left, the machine that was started for it may stop. Who creates an agent meanwhile waits for that.
async fn release_machine(fleet: &Fleet) {
    let all = u32::try_from(fleet.inner.settings.parallel).unwrap_or(u32::MAX);
    let Ok(_turns) = fleet.inner.turns.try_acquire_many(all) else { return };
    if !fleet.is_empty() {
        return;
    }
    let call = Call { cancel: fleet.inner.closing.child_token(), ..Call::default() };
    if let Err(error) = fleet.inner.status.runtime().machine_stop(MachineStop::IfStartedByUs, &call).await {
        tracing::info!("the machine stays up: {error}");
    }
}

/// Tells the steps of an order.
fn listener(fleet: &Fleet, cell: &Arc<Cell>, order: Order) -> Progress {
    let (fleet, cell) = (fleet.clone(), cell.clone());
    Progress::new(move |event: Event| {
        if let Some(step) = progress::of(&event)
            && cell.orders.borrow().number == order.number
        {
            tell_step(&fleet, &cell, step);
        }
    })
}

fn tell_step(fleet: &Fleet, cell: &Cell, step: AgentProgress) {
    let mut known = cell.known();
    if progress::is_news(known.progress.as_ref(), &step) {
        known.progress = Some(step);
        drop(known);
        fleet.tell(cell);
    }
}

fn step(phase: ProgressPhase, subject: impl Into<String>) -> AgentProgress {
    AgentProgress { phase, subject: subject.into(), bytes: None, total_bytes: None }
}

fn template<'a>(fleet: &'a Fleet, cell: &Cell) -> Result<&'a Template, Problem> {
    let name = cell.known().record.template.clone();
    fleet.inner.settings.templates.get(&name).ok_or_else(|| {
        Problem::new("no_template", format!("there is no template {name:?}"))
            .with_help("give it to the server again (serve.templates), or delete the agent")
    })
}

fn told(error: &Error) -> Problem {
    let problem = Problem::from(error);
    match error {
        // What core advises is for its own command line.
        Error::Dependency { .. } => problem.with_help("its log says why; start it again"),
        _ => problem,
    }
}

/// Makes it run: the engine, its files, its containers, and the proof that it is the one that answers.
async fn bring_up(fleet: &Fleet, cell: &Cell, call: &Call) -> Result<(), Problem> {
    let template = template(fleet, cell)?;
    tell_step(fleet, cell, step(ProgressPhase::Queued, cell.name.as_str()));
    let turn = call.cancel.run_until_cancelled(fleet.inner.turns.acquire()).await;
    let _turn = turn.ok_or_else(|| told(&Error::Cancelled))?;
    let progress = call.progress.clone();
    fleet
        .set_up(call, move |event| progress.report(event.subject.clone(), event.phase.clone()))
        .await
        .map_err(|error| told(&error))?;
    look_unless(&call.cancel, fleet, cell).await;
    let mut port = port(fleet, cell).await?;
    for _ in 0..MOST_PORTS {
        let project = project(fleet, cell, template, port).await?;
        let mut options = UpOptions::default();
        options.orphans = Orphans::Remove;
        match fleet.inner.status.runtime().up(&project, &options, call).await {
            Ok(_) => {
                let waiting = Waiting::new(template, Restarts::of(&project, template));
                return prove_new(fleet, cell, template, port, waiting, call).await;
            }
            Err(error @ Error::PortInUse { .. }) => {
                tracing::info!(agent = %cell.name, port, "taken by somebody else: {error}");
                port = another_port(fleet, cell, Some(port)).await?;
            }
            Err(error) => return Err(with_log(fleet, cell, told(&error)).await),
        }
    }
    Err(no_port(&fleet.inner.settings))
}

async fn prove_new(
    fleet: &Fleet,
    cell: &Cell,
    template: &Template,
    port: u16,
    mut waiting: Waiting,
    call: &Call,
) -> Result<(), Problem> {
    look_unless(&call.cancel, fleet, cell).await;
    tell_step(fleet, cell, step(ProgressPhase::Health, cell.name.as_str()));
    let proof = call.cancel.run_until_cancelled(prove(fleet, cell, template, port, &mut waiting));
    proof.await.unwrap_or_else(|| Err(told(&Error::Cancelled)))?;
    let mut known = cell.known();
    known.record.was_well = true;
    known.proved = known.run(&template.about.service);
    known.asked = known.proved.clone();
    Ok(())
}

/// The port that it has, unless somebody else took it while nothing of the agent ran; else a new one.
async fn port(fleet: &Fleet, cell: &Cell) -> Result<u16, Problem> {
    let (old, runs) = {
        let known = cell.known();
        (known.record.port, known.unseen.is_some() || known.runs())
    };
    if let Some(port) = old
        && (runs || ports::is_free(port))
    {
        return Ok(port);
    }
    another_port(fleet, cell, old).await
}

/// A new port, in the place of one that cannot be had.
async fn another_port(fleet: &Fleet, cell: &Cell, old: Option<u16>) -> Result<u16, Problem> {
    // The old one stays taken until there is another.
    let port = fleet.inner.ports.take().ok_or_else(|| no_port(&fleet.inner.settings))?;
    let given = give_port(fleet, cell, port).await;
    let back = if given.is_ok() { old } else { Some(port) };
    back.into_iter().for_each(|port| fleet.inner.ports.give_back(port));
    given.map(|()| port)
}

async fn give_port(fleet: &Fleet, cell: &Cell, port: u16) -> Result<(), Problem> {
    let _ordering = cell.ordering.lock().await;
    let record = Record { port: Some(port), ..cell.known().record.clone() };
    fleet.inner.store.save(record).await.map_err(|error| storage(&error))?;
    cell.known().record.port = Some(port);
    Ok(())
}

/// Writes what lies beside its compose file, and loads that.
async fn project(fleet: &Fleet, cell: &Cell, template: &Template, port: u16) -> Result<Project, Problem> {
    let record = cell.known().record.clone();
    let nobody = Provider::default();
    let provider = template.about.providers.get(&record.provider).unwrap_or(&nobody);
    let base_url = record.base_url.clone().or_else(|| provider.base_url.clone());
    let values: BTreeMap<&'static str, String> = BTreeMap::from([
        ("NAME", cell.name.to_string()),
        ("IMAGE", record.image.clone()),
        ("PORT", port.to_string()),
        ("PROVIDER", record.provider.clone()),
        ("PROVIDER_API", provider.api.clone()),
        ("BASE_URL", base_url.unwrap_or_default()),
        ("MODEL", record.model.clone()),
    ]);
    let store = &fleet.inner.store;
    let mut files = template.written(&values);
    files.insert("compose.yaml".into(), template.compose.clone());
    store.write_project(&cell.name, files).await.map_err(|error: StoreError| storage(&error))?;
    let mut options = LoadOptions::new(store.project(&cell.name));
    options.project_name = Some(cell.project.to_string());
    options.env = values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    // Only in memory: the file on the disk says `${TOKEN}`.
    options.env.insert("TOKEN".to_owned(), cell.secrets.token.clone());
    let key = cell.secrets.api_key.clone().unwrap_or_else(|| "none".to_owned());
    options.env.insert("API_KEY".to_owned(), key);
    options.files = vec!["compose.yaml".into()];
    longshore::load(&options)
        .map_err(|error| Problem::new("template", format!("its compose file cannot be used: {error}")))
}

/// Asks it until it has proved that it is there, or its container ended, or it took too long.
async fn prove(
    fleet: &Fleet,
    cell: &Cell,
    template: &Template,
    port: u16,
    waiting: &mut Waiting,
) -> Result<(), Problem> {
    let about = &template.about;
    let mut hints = cell.hints.subscribe();
    let (mut pause, mut unsure) = (PAUSE.0, true);
    loop {
        let why = match fleet.inner.gateway.prove(port, about, &cell.secrets.token).await {
            Ok(()) => return Ok(()),
            Err(why) => why,
        };
        let late = waiting.is_over();
        // It may have ended before anybody listened, or when nobody was told.
        if std::mem::take(&mut unsure) || late {
            look(fleet, cell).await;
            let ended = waiting.have_ended(&cell.known(), &about.service);
            if let Some(ended) = ended {
                return Err(with_log(fleet, cell, ended).await);
            }
        }
        if late {
            let problem = match why {
                Unproved::NotYet(reason) => {
                    let is = cell.known().doing(&about.service);
                    let is = is.map(|is| format!(" (its container is {is})")).unwrap_or_default();
                    let within = about.start_timeout;
                    let message = format!("it did not answer as it should within {within} s: {reason}{is}");
                    Problem::new("not_ready", message)
                }
                Unproved::SomebodyElse(reason) => Problem::new(
                    "somebody_else",
                    format!("somebody else answers at its port {port}: {reason}"),
                )
                .with_help("stop what listens there, then start the agent again"),
            };
            return Err(with_log(fleet, cell, problem).await);
        }
        tokio::select! {
            () = sleep(pause) => {
                pause = (pause * 2).min(PAUSE.1);
                unsure = waiting.ends > 0;
            }
            _ = hints.changed() => unsure = true,
        }
    }
}

/// Whether the engine starts a service again that ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Restarts {
    No,
    Perhaps,
}

impl Restarts {
    fn of(project: &Project, template: &Template) -> Self {
        match project.services.get(&template.about.service).map(|service| service.restart) {
            Some(RestartPolicy::No) => Self::No,
            _ => Self::Perhaps,
        }
    }
}

/// How long a service is waited for, and what was seen of it.
struct Waiting {
    until: Instant,
    restarts: Restarts,
    runs: Vec<Run>,
    /// How often it did not run.
    ends: usize,
}

impl Waiting {
    fn new(template: &Template, restarts: Restarts) -> Self {
        let until = Instant::now() + Duration::from_secs(template.about.start_timeout);
        Self { until, restarts, runs: Vec::new(), ends: 0 }
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }

    /// That it will not be there, as far as that can be told now.
    fn have_ended(&mut self, known: &Known, service: &str) -> Option<Problem> {
        if known.unseen.is_some() {
            return None;
        }
        match known.run(service) {
            None if self.restarts == Restarts::No => {
                let code = known.exit_code(service).map(|code| format!(", with exit code {code}"));
                let message = format!("it ended before it was there{}", code.unwrap_or_default());
                return Some(Problem::new("exited", message));
            }
            None => self.ends += 1,
            Some(run) if !self.runs.contains(&run) => self.runs.push(run),
            Some(_) => {}
        }
        let too_often = self.runs.len() > MOST_RUNS || self.ends > MOST_RUNS;
        too_often.then(|| Problem::new("exited", "it ends again and again before it is there"))
    }
}

/// The problem with the last lines of the agent's log, where it has none yet.
async fn with_log(fleet: &Fleet, cell: &Cell, problem: Problem) -> Problem {
    if !problem.log.is_empty() || matches!(problem.code.as_str(), "cancelled" | "shutting_down" | "image") {
        return problem;
    }
    let reading = async {
        let options = LogOptions { tail: Some(LAST_LINES), ..LogOptions::default() };
        let target = Target::name(cell.project.clone());
        let lines = fleet.inner.status.runtime().logs(&target, &options).await.ok()?;
        Some(lines.filter_map(async |line| Some(line.ok()?.line.text)).collect::<Vec<_>>().await)
    };
    let mut log = timeout(LAST_LINES_WITHIN, reading).await.ok().flatten().unwrap_or_default();
    let surplus = log.len().saturating_sub(usize::try_from(LAST_LINES).unwrap_or(usize::MAX));
    log.drain(..surplus);
    Problem { log, ..problem }
}

async fn stop(fleet: &Fleet, cell: &Cell, call: &Call) -> Result<(), Problem> {
    let target = Target::name(cell.project.clone());
    cell.known().ending = true;
    let outcome = match fleet.inner.status.runtime().stop(&target, &StopOptions::default(), call).await {
        // Nothing of it there is stopped too.
        Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
        Err(error) if is_off(&error) => Ok(()),
        Err(error) => Err(told(&error)),
    };
    cell.known().ending = outcome.is_err();
    outcome
}

async fn delete(fleet: &Fleet, cell: &Cell, call: &Call) -> Result<(), Problem> {
    // What is in a machine that is off can only be removed when it is on.
    fleet.set_up(call, |_| {}).await.map_err(|error| told(&error))?;
    let mut options = DownOptions::default();
    options.volumes = RemoveVolumes::Yes;
    options.orphans = Orphans::Remove;
    let target = Target::name(cell.project.clone());
    cell.known().ending = true;
    fleet.inner.status.runtime().down(&target, &options, call).await.map_err(|error| told(&error))?;
    fleet.inner.tails.forget(&cell.name);
    fleet.inner.store.remove(&cell.name).await.map_err(|error| storage(&error))
}

/// A machine that is off has nothing running.
fn is_off(error: &Error) -> bool {
    matches!(error, Error::Machine { problem: MachineProblem::Missing | MachineProblem::Stopped, .. })
}

/// The same, unless nobody waits for it any more.
async fn look_unless(cancelled: &CancellationToken, fleet: &Fleet, cell: &Cell) {
    cancelled.run_until_cancelled(look(fleet, cell)).await;
}

/// Looks at what the engine has of it.
pub(crate) async fn look(fleet: &Fleet, cell: &Cell) {
    let seen = fleet.inner.status.runtime().ps(&cell.project).await;
    let mut known = cell.known();
    match seen {
        Ok(containers) => {
            (known.containers, known.unseen) = (containers, None);
            known.seen = true;
        }
        Err(error) if is_off(&error) => {
            known.unseen = None;
            // They are there, and do not run.
            for container in &mut known.containers {
                container.state = longshore::ContainerState::Exited;
                container.exit_code = None;
            }
        }
        Err(error) => known.unseen = Some(told(&error)),
    }
}
