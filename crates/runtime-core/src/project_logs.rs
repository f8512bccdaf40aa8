//! The logs of a project's containers as one stream.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::{
    StreamExt,
    future::try_join_all,
    stream::{BoxStream, SelectAll, select_all},
};

use crate::{
    Attached, Container, ContainerFilter, ContainerId, ContainerState, Detail, Engine, EngineAction,
    EngineEvents, Error, Foreground, LogOptions, LogStream, ResourceKind, Result, ServiceLine, Target,
    labels, reconcile::is_oneoff, reread::Told,
};

/// How much later than its first line the start of a run that is over may be written down.
const LATE_START: Duration = Duration::from_secs(1);

/// What one container's log gives: its lines, then its end.
enum Item {
    Line(ContainerId, Result<ServiceLine>),
    End(ContainerId),
}

/// What is read of the containers that are there.
pub(crate) enum What {
    /// What the options say, of all.
    Asked(LogOptions),
    /// What comes from now on; of the containers of these names all of their last run.
    FromNow { started: BTreeSet<String> },
}

struct Following {
    engine: Arc<dyn Engine>,
    target: Target,
    timestamps: bool,
    tells_ends: bool,
    lines: SelectAll<BoxStream<'static, Item>>,
    events: Option<EngineEvents>,
    open: BTreeSet<ContainerId>,
    /// What was told of each container's log. Logs only grow, so what is newer was not.
    read: BTreeMap<ContainerId, Told>,
    /// When the run began that was read last. An engine may tell of a start when its whole run has been read.
    runs: BTreeMap<ContainerId, SystemTime>,
}

/// Opens the logs of all containers that are there; followed, of those that come later too.
pub(crate) async fn open(engine: Arc<dyn Engine>, target: Target, what: What) -> Result<Foreground> {
    let (follow, timestamps) = match &what {
        What::Asked(options) => (options.follow, options.timestamps),
        What::FromNow { .. } => (true, true),
    };
    // Events first: what starts between the two calls is then seen by one of them.
    let events = if follow { Some(engine.events(Some(&target.name)).await?) } else { None };
    let containers = containers(&*engine, &target).await?;
    if containers.is_empty() {
        return Err(Error::NotFound { kind: ResourceKind::Project, name: target.name.to_string() });
    }
    let mut following = Following {
        engine,
        target,
        timestamps,
        tells_ends: matches!(what, What::FromNow { .. }),
        lines: select_all(Vec::new()),
        events,
        open: BTreeSet::new(),
        read: BTreeMap::new(),
        runs: BTreeMap::new(),
    };
    let (engine, of) = (&*following.engine, &following.target);
    let begun = containers.into_iter().map(|container| begin(engine, of, &what, container));
    for (container, log) in try_join_all(begun).await?.into_iter().flatten() {
        match log {
            Some(log) => following.add(&container, log),
            // That it is over was known before.
            None => {
                following.runs.extend(container.started.map(|started| (container.id, started)));
            }
        }
    }
    let stream = futures_util::stream::unfold(following, |mut following| async move {
        following.next().await.map(|line| (line, following))
    });
    Ok(stream.boxed())
}

/// A log that is read, and what was told of it before.
struct Opened {
    lines: LogStream,
    told: Told,
}

/// Opens what is read of a container that is there when all begins: its log, or nothing of one that has ended. `None` is one that
/// is gone, or not meant.
async fn begin(
    engine: &dyn Engine,
    target: &Target,
    what: &What,
    container: Container,
) -> Result<Option<(Container, Option<Opened>)>> {
    let (container, options, told) = match what {
        What::Asked(options) => {
            // One that has ended says nothing more. If it begins again, its start is told.
            let follow = options.follow && container.state.is_running();
            // Times say what is new, so they are read of what is followed; whether they are shown is decided at the end.
            let timestamps = options.timestamps || options.follow;
            (container, LogOptions { follow, timestamps, ..options.clone() }, Told::default())
        }
        What::FromNow { started } if started.contains(&container.name) => {
            match last_run(engine, target, &container.id, Known::default()).await? {
                Some((container, options)) => (container, options, Told::default()),
                None => return Ok(None),
            }
        }
        What::FromNow { .. } if !container.state.is_running() => return Ok(Some((container, None))),
        What::FromNow { .. } => {
            let (options, told) = after_the_last(engine, &container.id).await;
            (container, options, told)
        }
    };
    let lines = open_log(engine, &container.id, options).await?;
    Ok(lines.map(|lines| (container, Some(Opened { lines, told }))))
}

/// A container's log, unless it has been removed meanwhile.
async fn open_log(engine: &dyn Engine, id: &ContainerId, options: LogOptions) -> Result<Option<LogStream>> {
    match engine.logs(id, &options).await {
        Ok(lines) => Ok(Some(lines)),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn whole_run() -> LogOptions {
    LogOptions { follow: true, timestamps: true, ..LogOptions::default() }
}

/// What follows the last line that a container has printed. That line is read first: an engine may begin to follow only when
/// somebody reads from it, and what was printed until then would be missed.
async fn after_the_last(engine: &dyn Engine, id: &ContainerId) -> (LogOptions, Told) {
    let last = LogOptions { tail: Some(1), timestamps: true, ..LogOptions::default() };
    let mut told = Told::default();
    let read = async {
        let mut lines = engine.logs(id, &last).await?;
        while let Some(line) = lines.next().await {
            told.add(&line?);
        }
        Ok::<_, Error>(())
    };
    if read.await.is_err() {
        // What is wrong with the log is told by following it.
        return (LogOptions { tail: Some(0), ..whole_run() }, Told::default());
    }
    (LogOptions { since: told.since(), ..whole_run() }, told)
}

/// What is known of a container's log before its last run is looked at.
#[derive(Default)]
struct Known {
    /// From what moment on there may be something new.
    since: Option<SystemTime>,
    /// When the run began that was read last.
    run: Option<SystemTime>,
}

/// A container as it is now, and how its last run is followed from its beginning; `None` if it is gone, not meant or read.
async fn last_run(
    engine: &dyn Engine,
    target: &Target,
    id: &ContainerId,
    known: Known,
) -> Result<Option<(Container, LogOptions)>> {
    let container = match engine.inspect(&id.0).await {
        Ok(container) => container,
        Err(Error::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let ours = target.means(container.service().unwrap_or_default());
    let is_read = container.started.is_some() && known.run == container.started;
    if !ours || is_oneoff(&container) || is_read {
        return Ok(None);
    }
    // What was read before says where to go on. If nothing was: a run's first lines can be older than its start, as engines write it
    // down, but not than the end of the run before, which was not asked for.
    let since = match known.since {
        Some(read) => Some(read),
        None if container.state.is_running() => container.finished,
        None => container.started.and_then(|started| started.checked_sub(LATE_START)),
    };
    Ok(Some((container, LogOptions { since, ..whole_run() })))
}

async fn containers(engine: &dyn Engine, target: &Target) -> Result<Vec<Container>> {
    let filter = ContainerFilter {
        running: false,
        labels: vec![(labels::PROJECT.to_owned(), Some(target.name.to_string()))],
        detail: Detail::Whole,
    };
    let mut containers = engine.list(&filter).await?;
    containers
        .retain(|container| !is_oneoff(container) && target.means(container.service().unwrap_or_default()));
    containers.sort_by(|a, b| (a.service(), a.number()).cmp(&(b.service(), b.number())));
    Ok(containers)
}

/// How a container ended, if it has and has not begun again.
async fn ended(engine: &dyn Engine, id: &ContainerId) -> Option<Attached> {
    let container = engine.inspect(&id.0).await.ok()?;
    let exit_code = container.exit_code.filter(|_| !container.state.is_running())?;
    let service = container.service().unwrap_or_default().to_owned();
    Some(Attached::Ended { service, container: container.name, exit_code })
}

/// What there is besides the logs that have ended.
enum Rest {
    /// Runs that nobody was told of: an engine may tell of a start when its container has ended.
    Unread(Vec<(ContainerId, SystemTime)>),
    /// A container of the target still runs, or is about to take another's place.
    MoreMayCome,
    Nothing,
}

async fn rest(
    engine: &dyn Engine,
    target: &Target,
    runs: &BTreeMap<ContainerId, SystemTime>,
) -> Result<Rest> {
    let containers = containers(engine, target).await?;
    let run = |container: &Container| Some((container.id.clone(), container.started?));
    let is_unread = |(id, started): &(ContainerId, SystemTime)| runs.get(id) != Some(started);
    let unread: Vec<_> = containers.iter().filter_map(run).filter(is_unread).collect();
    let may_print = |container: &Container| {
        let succeeds =
            container.state == ContainerState::Created && container.label(labels::REPLACE).is_some();
        container.state.is_running() || succeeds
    };
    Ok(match unread.is_empty() {
        false => Rest::Unread(unread),
        true if containers.iter().any(may_print) => Rest::MoreMayCome,
        true => Rest::Nothing,
    })
}

impl Following {
    fn add(&mut self, container: &Container, log: Opened) {
        let service = container.service().unwrap_or_default().to_owned();
        let (name, id) = (container.name.clone(), container.id.clone());
        let (of, end) = (id.clone(), id.clone());
        let lines = log.lines.map(move |line| {
            let line =
                line.map(|line| ServiceLine { service: service.clone(), container: name.clone(), line });
            Item::Line(of.clone(), line)
        });
        self.lines.push(lines.chain(futures_util::stream::once(async move { Item::End(end) })).boxed());
        if let Some(started) = container.started {
            self.runs.insert(id.clone(), started);
        }
        let told = self.read.entry(id.clone()).or_insert(log.told);
        told.read_again();
        self.open.insert(id);
    }

    /// The line as it is told, if it was not told before.
    fn is_new(&mut self, id: &ContainerId, mut line: ServiceLine) -> Option<Result<Attached>> {
        let told = self.read.entry(id.clone()).or_default();
        let is_new = told.is_new(&line.line);
        if is_new {
            told.add(&line.line);
        }
        line.line.time = line.line.time.filter(|_| self.timestamps);
        is_new.then_some(Ok(Attached::Line(line)))
    }

    async fn next(&mut self) -> Option<Result<Attached>> {
        loop {
            if self.events.is_some() && self.open.is_empty() {
                match rest(&*self.engine, &self.target, &self.runs).await {
                    Err(error) => return Some(Err(error)),
                    Ok(Rest::Nothing) => return None,
                    Ok(Rest::MoreMayCome) => {}
                    Ok(Rest::Unread(unread)) => {
                        for (id, started) in unread {
                            if let Err(error) = self.join(&id).await {
                                return Some(Err(error));
                            }
                            // One that has gone meanwhile is read too.
                            self.runs.insert(id, started);
                        }
                        continue;
                    }
                }
            }
            let Some(events) = &mut self.events else {
                match self.lines.next().await? {
                    // One that was removed while it was read: this is the end of its log.
                    Item::Line(_, Err(Error::NotFound { .. })) | Item::End(_) => continue,
                    Item::Line(_, Err(error)) => return Some(Err(error)),
                    Item::Line(id, Ok(line)) => match self.is_new(&id, line) {
                        Some(line) => return Some(line),
                        None => continue,
                    },
                }
            };
            tokio::select! {
                biased;
                Some(item) = self.lines.next(), if !self.lines.is_empty() => match item {
                    Item::Line(_, Err(Error::NotFound { .. })) => {}
                    Item::Line(_, Err(error)) => return Some(Err(error)),
                    Item::Line(id, Ok(line)) => {
                        if let Some(line) = self.is_new(&id, line) {
                            return Some(line);
                        }
                    }
                    Item::End(id) => {
                        self.open.remove(&id);
                        // It may have begun again before this one's end was heard of.
                        if let Err(error) = self.join(&id).await {
                            return Some(Err(error));
                        }
                        if self.tells_ends
                            && !self.open.contains(&id)
                            && let Some(ended) = ended(&*self.engine, &id).await
                        {
                            return Some(Ok(ended));
                        }
                    }
                },
                event = events.next() => match event {
                    Some(Ok(event)) if event.action == EngineAction::Started => {
                        if !self.open.contains(&event.id)
                            && let Err(error) = self.join(&event.id).await
                        {
                            return Some(Err(error));
                        }
                    }
                    Some(Ok(_)) => {}
                    None => self.events = None,
                    Some(Err(error)) => {
                        self.events = None;
                        return Some(Err(error));
                    }
                },
            }
        }
    }

    /// Follows a container's last run from its beginning.
    async fn join(&mut self, id: &ContainerId) -> Result<()> {
        let known = Known { since: self.read.get(id).and_then(Told::since), run: self.runs.get(id).copied() };
        let Some((container, options)) = last_run(&*self.engine, &self.target, id, known).await? else {
            return Ok(());
        };
        if let Some(lines) = open_log(&*self.engine, id, options).await? {
            self.add(&container, Opened { lines, told: Told::default() });
        }
        Ok(())
    }
}
