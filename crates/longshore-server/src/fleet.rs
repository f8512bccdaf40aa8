//! All agents: who gives orders to them, and what is told of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use futures_util::{StreamExt, future::join_all};
use longshore::{Availability, Call, ContainerRuntime, Error, ProjectName, Projects, ShutdownOptions};
use tokio::sync::{OnceCell, Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    agent::{Cell, Order},
    api::{
        Agent, AgentState, ChangedProject, CreateAgent, DeletedAgent, Doing, Fault, Problem, ProviderInfo,
        RuntimeStatus, ShutdownReport, Snapshot, TemplateInfo, TemplateList, Wanted,
    },
    backlog::{Backlog, Limits},
    clock,
    gateway::Gateway,
    name::AgentName,
    ports::Ports,
    progress,
    settings::Settings,
    status::Status,
    store::{Found, Record, Secrets, Store, StoreError, random_token},
    tail::Tails,
    template::{Provider, Template},
    wish::Plan,
    worker,
};

/// How much of what happened is kept for who was away.
const KEPT: Limits = Limits { items: 1024, bytes: 4 << 20 };
/// How long an engine that cannot be listened to is left alone: at first, and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// How long an engine may take for an answer when the server is to end in a hurry.
const LAST_ANSWER: Duration = Duration::from_secs(5);

/// Something that happened; what `/events` tells.
#[derive(Debug, Clone)]
pub(crate) enum News {
    Agent(Arc<Agent>),
    Deleted(DeletedAgent),
    Runtime(Arc<RuntimeStatus>),
    Project(ChangedProject),
}

/// The agents of a server. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Fleet {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    /// Whose the containers are.
    pub(crate) owner: String,
    pub(crate) store: Store,
    pub(crate) settings: Settings,
    pub(crate) gateway: Gateway,
    pub(crate) ports: Ports,
    pub(crate) status: Status,
    pub(crate) tails: Tails,
    /// How many are brought up at once.
    pub(crate) turns: Semaphore,
    pub(crate) news: Backlog<News>,
    /// Held from when a state is read until it is told, so that nobody is told of an earlier one after a later one. How the engine was,
    /// as it was told last; what is being done is left out. Before `agents`, which come before what is known of one.
    telling: Mutex<Option<RuntimeStatus>>,
    /// Cancelled when the server takes no more orders.
    pub(crate) closing: CancellationToken,
    agents: Mutex<BTreeMap<AgentName, Arc<Cell>>>,
    tasks: TaskTracker,
    /// What a shutdown came to.
    report: OnceCell<Result<ShutdownReport, Problem>>,
    pub(crate) counts: Counts,
}

/// What `/metrics` counts.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) created: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) deleted: AtomicU64,
    pub(crate) chats: AtomicU64,
}

impl Counts {
    pub(crate) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Whether something is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Telling {
    Always,
    /// Unless the same was told last.
    News,
}

/// An order that was given, and that can be waited for.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(crate) cell: Arc<Cell>,
    number: u64,
}

impl Ticket {
    /// Waits until the order is over; it is over too when another one came after it.
    pub(crate) async fn done(&self) -> Result<(), Problem> {
        let mut done = self.cell.done.subscribe();
        // The sender lives in the cell.
        let Ok(done) = done.wait_for(|done| done.number >= self.number).await else { return Ok(()) };
        if done.number > self.number {
            return Err(superseded());
        }
        done.outcome.clone()
    }
}

impl Fleet {
    /// The agents of that store: what was pending when the server ended is done now.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) fn open(
        status: Status,
        owner: String,
        store: Store,
        settings: Settings,
        gateway: Gateway,
    ) -> Result<Self, StoreError> {
        let found = store.agents()?;
        let inner = Arc::new(Inner {
            status,
            tails: Tails::default(),
            turns: Semaphore::new(settings.parallel),
            ports: Ports::new(settings.ports),
            news: Backlog::new(KEPT),
            telling: Mutex::default(),
            closing: CancellationToken::new(),
            agents: Mutex::default(),
            tasks: TaskTracker::new(),
            report: OnceCell::new(),
            counts: Counts::default(),
            owner,
            store,
            settings,
            gateway,
        });
        let fleet = Self { inner };
        let ran = found.iter().any(|agent| agent.record.wanted == Wanted::Running);
        for Found { record, secrets, damage } in found {
            fleet.adopt(record, secrets, damage);
        }
        let inner = &fleet.inner;
        if ran {
            // Ahead of need: who opens the page finds it running.
            inner.tasks.spawn(fleet.clone().set_up_quietly());
        }
        inner.tasks.spawn(fleet.clone().watch());
        Ok(fleet)
    }

    fn adopt(&self, record: Record, secrets: Secrets, damage: Option<String>) {
        let name = record.name.clone();
        let project = match self.project(&name) {
            Ok(project) => project,
            Err(problem) => {
                tracing::error!(agent = %name, "{}", problem.message);
                return;
            }
        };
        if let Some(port) = record.port {
            self.inner.ports.keep(port);
        }
        let again = record.pending || (record.resume && self.inner.settings.resume);
        let wanted = record.wanted;
        let cell = Arc::new(Cell::new(project, record, secrets, wanted));
        cell.known().unseen = Some(not_asked());
        if let Some(damage) = damage {
            tracing::warn!(agent = %name, "{damage}");
            cell.known().notice = Some(damage);
        }
        self.agents().insert(name, cell.clone());
        if again {
            cell.known().begin(wanted);
            cell.orders.send_modify(|order| order.number += 1);
        }
        self.employ(cell);
    }

    fn employ(&self, cell: Arc<Cell>) {
        self.inner.tasks.spawn(worker::work(self.clone(), cell));
    }

    pub(crate) fn agents(&self) -> MutexGuard<'_, BTreeMap<AgentName, Arc<Cell>>> {
        self.inner.agents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn telling(&self) -> MutexGuard<'_, Option<RuntimeStatus>> {
        self.inner.telling.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cells(&self) -> Vec<Arc<Cell>> {
        self.agents().values().cloned().collect()
    }

    fn project(&self, name: &AgentName) -> Result<ProjectName, Problem> {
        let text = format!("{}{name}", self.inner.settings.prefix);
        ProjectName::new(text).map_err(|error| Problem::new("invalid_name", error.to_string()))
    }

    /// The name of the agent whose project that is.
    fn agent_of<'a>(&self, project: &'a ProjectName) -> &'a str {
        project.as_str().strip_prefix(&self.inner.settings.prefix).unwrap_or_default()
    }

    /// All agents that are on the disk, by name.
    pub(crate) fn list(&self) -> Vec<Agent> {
        let view = |cell: Arc<Cell>| {
            let known = cell.known();
            known.stored.then(|| known.view(&cell.project))
        };
        self.cells().into_iter().filter_map(view).collect()
    }

    /// One agent.
    ///
    /// # Errors
    /// `not_found`.
    pub(crate) fn find(&self, name: &str) -> Result<Arc<Cell>, Problem> {
        let cell = AgentName::new(name).ok().and_then(|name| self.agents().get(&name).cloned());
        cell.ok_or_else(|| not_found(name))
    }

    /// Refuses what would be work when the server shuts down.
    ///
    /// # Errors
    /// `shutting_down`.
    pub(crate) fn open_for_work(&self) -> Result<(), Problem> {
        match self.inner.closing.is_cancelled() {
            true => Err((&Error::ShuttingDown).into()),
            false => Ok(()),
        }
    }

    /// Creates an agent, and begins to bring it up. When this returns it is on the disk. `faults` are those of the wish that were found
    /// when it was read.
    ///
    /// # Errors
    /// `invalid` with every fault, `name_taken`, `shutting_down`, why there is no engine, and why it cannot be written.
    pub(crate) async fn create(&self, wish: CreateAgent, faults: Vec<Fault>) -> Result<Ticket, Problem> {
        let this = self.clone();
        to_the_end(async move { this.create_now(wish, faults).await }).await
    }

    async fn create_now(&self, wish: CreateAgent, faults: Vec<Fault>) -> Result<Ticket, Problem> {
        self.open_for_work()?;
        let plan = Plan::new(wish, faults, &self.inner.settings)?;
        if let Availability::Unavailable(error) = self.look().await {
            return Err((&error).into());
        }
        let name = plan.record.name.clone();
        let project = self.project(&name)?;
        let token = random_token().map_err(|error| Problem::new("storage", error.to_string()))?;
        let secrets = Secrets { token, api_key: plan.api_key };
        let cell = Arc::new(Cell::new(project, plan.record, secrets, Wanted::Running));
        cell.known().stored = false;
        let ordering = cell.ordering.lock().await;
        {
            let mut agents = self.agents();
            // A shutdown that has begun takes the list as it is.
            self.open_for_work()?;
            if agents.contains_key(&name) {
                let message = format!("there is an agent {name:?} already", name = name.as_str());
                return Err(
                    Problem::new("name_taken", message).with_help("take another name, or delete that one")
                );
            }
            agents.insert(name.clone(), cell.clone());
        }
        let outcome = self.store_new(&cell).await;
        if let Err(problem) = outcome {
            self.agents().remove(&name);
            cell.known().record.port.into_iter().for_each(|port| self.inner.ports.give_back(port));
            return Err(problem);
        }
        {
            let mut known = cell.known();
            known.stored = true;
            known.busy = Some((Wanted::Running, SystemTime::now()));
        }
        cell.orders.send_modify(|order| order.number += 1);
        Counts::count(&self.inner.counts.created);
        self.employ(cell.clone());
        // Who shuts down waits for it, and then for the worker.
        drop(ordering);
        self.tell(&cell);
        Ok(Ticket { cell, number: 1 })
    }

    async fn store_new(&self, cell: &Cell) -> Result<(), Problem> {
        let port = self.inner.ports.take().ok_or_else(|| no_port(&self.inner.settings))?;
        let record = {
            let mut known = cell.known();
            known.record.port = Some(port);
            known.record.clone()
        };
        self.inner.store.create(record, cell.secrets.clone()).await.map_err(|error| storage(&error))
    }

    /// Says what an agent is to become. When this returns it is on the disk. One that is told the same again while it is at it goes
    /// on, and both wait for the same end; only one that is to be started anew begins anew.
    ///
    /// # Errors
    /// `not_found`, `being_deleted`, `shutting_down`, and why it cannot be written.
    pub(crate) async fn order(&self, name: &str, wanted: Wanted) -> Result<Ticket, Problem> {
        let (this, name) = (self.clone(), name.to_owned());
        to_the_end(async move { this.order_now(&name, wanted, false).await }).await
    }

    /// Says that an agent is to run, and to be stopped first if it does.
    ///
    /// # Errors
    /// As [`Fleet::order`].
    pub(crate) async fn restart(&self, name: &str) -> Result<Ticket, Problem> {
        let (this, name) = (self.clone(), name.to_owned());
        to_the_end(async move { this.order_now(&name, Wanted::Running, true).await }).await
    }

    async fn order_now(&self, name: &str, wanted: Wanted, anew: bool) -> Result<Ticket, Problem> {
        self.open_for_work()?;
        let cell = self.find(name)?;
        let _ordering = cell.ordering.lock().await;
        self.open_for_work()?;
        let Order { number, wanted: before, anew: began_anew } = *cell.orders.borrow();
        // Read before it is known whether it was deleted: its last order ends after that.
        let busy = cell.done.borrow().number < number;
        {
            let known = cell.known();
            if !known.stored || (known.forgotten && !busy) {
                return Err(not_found(name));
            }
        }
        if before == wanted && busy && (began_anew || !anew) {
            return Ok(Ticket { cell: cell.clone(), number });
        }
        if before == Wanted::Deleted && wanted != Wanted::Deleted && busy {
            let message = format!("the agent {name:?} is being deleted");
            return Err(Problem::new("being_deleted", message));
        }
        let record = {
            let known = cell.known();
            Record { wanted, pending: true, resume: false, ..known.record.clone() }
        };
        self.inner.store.save(record.clone()).await.map_err(|error| storage(&error))?;
        {
            let mut known = cell.known();
            // The worker may have given it another port meanwhile.
            known.record = Record { port: known.record.port, was_well: known.record.was_well, ..record };
            known.busy = Some((wanted, SystemTime::now()));
            known.progress = None;
            known.notice = None;
            // Given while what is known is held, or a worker that ends the order before takes this one's for its own.
            cell.orders.send_replace(Order { number: number + 1, wanted, anew });
        }
        self.tell(&cell);
        Ok(Ticket { cell: cell.clone(), number: number + 1 })
    }

    /// Takes an agent that is deleted from the list. Nothing is told of it any more.
    pub(crate) fn forget(&self, cell: &Cell) {
        let port = {
            // Until it is told: who creates one of that name after it is told of after it.
            let _telling = self.telling();
            let mut agents = self.agents();
            let mut known = cell.known();
            known.forgotten = true;
            agents.remove(&cell.name);
            let news = DeletedAgent { name: cell.name.to_string() };
            self.inner.news.tell(News::Deleted(news), 64);
            known.record.port
        };
        port.into_iter().for_each(|port| self.inner.ports.give_back(port));
        Counts::count(&self.inner.counts.deleted);
    }

    /// Whether there are no agents.
    pub(crate) fn is_empty(&self) -> bool {
        self.agents().is_empty()
    }

    /// Tells everybody how an agent is now.
    pub(crate) fn tell(&self, cell: &Cell) {
        let _telling = self.telling();
        let agent = {
            let known = cell.known();
            if known.forgotten {
                return;
            }
            known.view(&cell.project)
        };
        let size = 512 + agent.error.as_ref().map_or(0, |error| error.log.iter().map(String::len).sum());
        self.inner.news.tell(News::Agent(Arc::new(agent)), size);
    }

    /// Makes the engine ready; what it takes is told.
    ///
    /// # Errors
    /// Why it cannot be had.
    pub(crate) async fn set_up(
        &self,
        call: &Call,
        note: impl Fn(&longshore::Event) + Send + Sync + 'static,
    ) -> Result<(), Error> {
        let this = self.clone();
        let inner = Call {
            progress: longshore::Progress::new(move |event| {
                if progress::is_of_machine(&event)
                    && let Some(step) = progress::of(&event)
                    && this.inner.status.step(step)
                {
                    this.tell_status(Telling::Always);
                }
                note(&event);
            }),
            cancel: call.cancel.clone(),
        };
        let begun = self.inner.status.begin();
        let outcome = self.inner.status.runtime().ensure_ready(&inner).await;
        drop(begun);
        let was_told = self.inner.status.ended();
        if was_told || (outcome.is_ok() && !self.inner.status.was_ready()) {
            call.cancel.run_until_cancelled(self.inner.status.look()).await;
        }
        self.tell_status(if was_told { Telling::Always } else { Telling::News });
        outcome.map(|_| ())
    }

    /// Begins to make the engine ready, if nobody does; what it comes to is told.
    ///
    /// # Errors
    /// `shutting_down`.
    pub(crate) fn begin_set_up(&self) -> Result<(), Problem> {
        self.open_for_work()?;
        let cancel = self.inner.status.own_set_up(self.inner.closing.child_token());
        let this = self.clone();
        self.inner.tasks.spawn(async move {
            let call = Call { cancel, ..Call::default() };
            let outcome = this.set_up(&call, |_| {}).await;
            if outcome.is_err() {
                // What has become ready was looked at by the set-up.
                this.inner.status.look().await;
            }
            this.inner.status.set_up_ended(outcome.err());
            this.tell_status(Telling::Always);
        });
        Ok(())
    }

    /// Gives up what [`Fleet::begin_set_up`] began. Agents that wait for the engine wait on.
    pub(crate) fn cancel_set_up(&self) {
        self.inner.status.cancel_set_up();
    }

    /// What agents can be made from.
    pub(crate) fn templates(&self) -> TemplateList {
        let settings = &self.inner.settings;
        let provider = |(name, provider): (&String, &Provider)| ProviderInfo {
            name: name.clone(),
            needs_key: provider.needs_key,
            base_url: provider.base_url.clone(),
        };
        let info = |(name, template): (&String, &Template)| TemplateInfo {
            name: name.clone(),
            title: template.about.title.clone(),
            usual: *name == settings.template,
            providers: template.about.providers.iter().map(provider).collect(),
        };
        TemplateList { templates: settings.templates.iter().map(info).collect() }
    }

    async fn set_up_quietly(self) {
        let call = Call { cancel: self.inner.closing.child_token(), ..Call::default() };
        if let Err(error) = self.set_up(&call, |_| {}).await {
            tracing::warn!("the engine is not ready: {error}");
        }
    }

    fn tell_status(&self, telling: Telling) {
        let mut told = self.telling();
        let status = self.status();
        let lasting = RuntimeStatus { doing: Vec::new(), ..status.clone() };
        if telling == Telling::News && told.as_ref() == Some(&lasting) {
            return;
        }
        *told = Some(lasting);
        self.inner.news.tell(News::Runtime(Arc::new(status)), 512);
    }

    /// How the engine was when it was asked last.
    fn status(&self) -> RuntimeStatus {
        self.inner.status.view(self.doing(), self.inner.closing.is_cancelled())
    }

    /// Asks the engine, and tells everybody what is new.
    async fn look(&self) -> Availability {
        let seen = self.inner.status.look().await;
        self.tell_status(Telling::News);
        seen
    }

    /// The engine, asked now.
    pub(crate) async fn runtime_status(&self) -> RuntimeStatus {
        self.look().await;
        self.status()
    }

    /// All that `/events` tells changes of, and the number of the first change after it.
    pub(crate) fn snapshot(&self) -> (Snapshot, u64) {
        let _telling = self.telling();
        (Snapshot { agents: self.list(), runtime: self.status() }, self.inner.news.next())
    }

    fn doing(&self) -> Vec<Doing> {
        let of = |cell: &Arc<Cell>| {
            let (wanted, since) = cell.known().busy?;
            let what = match (wanted, cell.view().state) {
                (_, AgentState::Creating) => "create",
                (Wanted::Running, _) => "start",
                (Wanted::Stopped, _) => "stop",
                (Wanted::Deleted, _) => "delete",
            };
            Some(Doing {
                agent: Some(cell.name.to_string()),
                what: what.to_owned(),
                since: clock::text(since),
            })
        };
        self.cells().iter().filter_map(of).chain(self.inner.status.doing()).collect()
    }

    /// Listens to the engine for as long as the server lives: what happens to agents behind its back is seen at once.
    async fn watch(self) {
        let closing = self.inner.closing.clone();
        closing.run_until_cancelled(self.listen()).await;
    }

    async fn listen(&self) {
        let mut pause = PAUSE.0;
        loop {
            // All that is ours, agents or not.
            match self.inner.status.runtime().watch("").await {
                Ok(mut changes) => {
                    pause = PAUSE.0;
                    // What happened before it listened.
                    self.cells().iter().for_each(|cell| cell.hint());
                    self.look().await;
                    while let Some(Ok(change)) = changes.next().await {
                        if let Ok(cell) = self.find(self.agent_of(&change.project)) {
                            cell.hint();
                        }
                        let project = ChangedProject { name: change.project.to_string() };
                        self.inner.news.tell(News::Project(project), 64);
                    }
                }
                Err(error) => tracing::debug!("the engine cannot be listened to: {error}"),
            }
            self.cells().iter().for_each(|cell| cell.hint());
            self.look().await;
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(PAUSE.1),
                () = self.inner.status.found() => pause = PAUSE.0,
            }
        }
    }

    /// Ends everything: no more orders, then the agents, then the machine. Every caller gets the same report.
    pub(crate) async fn shutdown(&self, hurry: &CancellationToken) -> Result<ShutdownReport, Problem> {
        // Who is dropped in the middle of it leaves it to the next.
        self.inner.report.get_or_init(|| self.end_all(hurry)).await.clone()
    }

    async fn end_all(&self, hurry: &CancellationToken) -> Result<ShutdownReport, Problem> {
        self.inner.closing.cancel();
        self.inner.status.shuts_down();
        self.tell_status(Telling::Always);
        let cells = self.cells();
        // Who had begun to give an order has given it then, and nobody gives another.
        join_all(cells.iter().map(|cell| cell.ordering.lock())).await;
        let ending = async {
            // Workers end by themselves once their work is cancelled.
            self.inner.tasks.close();
            self.inner.tasks.wait().await;
            join_all(cells.iter().map(|cell| self.remember_what_ran(cell))).await;
        };
        unless_it_hangs(hurry, ending).await;
        for cell in &cells {
            let Order { number, .. } = *cell.orders.borrow();
            // One that no worker took is on the disk, for the next server.
            cell.end(number, Err((&Error::ShuttingDown).into()));
        }
        let names: BTreeSet<ProjectName> = cells.iter().map(|cell| cell.project.clone()).collect();
        let mut options = ShutdownOptions::default();
        options.projects = Projects::Only(names);
        options.budget = self.inner.settings.budget;
        let call = Call { cancel: hurry.clone(), ..Call::default() };
        let outcome = self.inner.status.runtime().shutdown(&options, &call).await;
        unless_it_hangs(hurry, join_all(cells.iter().map(|cell| worker::look(self, cell)))).await;
        self.inner.tails.end();
        self.inner.news.end();
        let outcome = match outcome {
            Ok(outcome) => outcome,
            // Without an engine there never was anything to stop.
            Err(error) if cells.is_empty() => {
                tracing::info!("the engine was not asked to stop anything: {error}");
                return Ok(ShutdownReport {
                    stopped: Vec::new(),
                    failed: BTreeMap::new(),
                    machine: "kept_unreadable".to_owned(),
                });
            }
            Err(error) => return Err((&error).into()),
        };
        let agent = |project: &ProjectName| self.agent_of(project).to_owned();
        Ok(ShutdownReport {
            stopped: outcome.stopped.iter().map(agent).collect(),
            failed: outcome.failed.iter().map(|(project, error)| (agent(project), error.into())).collect(),
            machine: outcome.machine.as_str().to_owned(),
        })
    }

    async fn remember_what_ran(&self, cell: &Cell) {
        worker::look(self, cell).await;
        let record = {
            let mut known = cell.known();
            let runs =
                !matches!(known.state(), AgentState::Stopped | AgentState::Failed | AgentState::Unknown);
            if !(known.stored && runs && known.record.wanted == Wanted::Running) {
                return;
            }
            known.record.resume = true;
            known.record.clone()
        };
        if let Err(error) = self.inner.store.save(record).await {
            tracing::warn!(agent = %cell.name, "it will not be started by itself: {error}");
        }
    }
}

/// Waits for the engine; not for one that hangs once nobody wants to wait.
async fn unless_it_hangs(hurry: &CancellationToken, work: impl Future) {
    let patience = async {
        hurry.cancelled().await;
        tokio::time::sleep(LAST_ANSWER).await;
    };
    tokio::select! {
        _ = work => {}
        () = patience => {}
    }
}

/// Does something that must not be left half done by a client that goes: its connection's end drops what it waits for.
async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Result<T, Problem> {
    tokio::spawn(work).await.unwrap_or_else(|error| Err(Problem::new("internal", error.to_string())))
}

pub(crate) fn superseded() -> Problem {
    Problem::new("superseded", "something else was asked of the agent meanwhile")
}

/// Nothing is known yet.
pub(crate) fn not_asked() -> Problem {
    Problem::new("not_asked", "the engine has not been asked yet")
}

fn not_found(name: &str) -> Problem {
    Problem::new("not_found", format!("there is no agent {name:?}"))
}

pub(crate) fn no_port(settings: &Settings) -> Problem {
    Problem::new("no_port", format!("none of the ports {} is free", settings.ports))
        .with_help("delete agents, or give the server more ports (serve.ports)")
}

pub(crate) fn storage(error: &StoreError) -> Problem {
    let problem = Problem::new("storage", error.to_string());
    match error {
        StoreError::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
            problem.with_help("make room on the disk of the server's state, then try again")
        }
        _ => problem,
    }
}
