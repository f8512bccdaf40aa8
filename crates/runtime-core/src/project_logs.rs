//! The logs of a project's containers as one stream.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::{
    StreamExt,
    stream::{BoxStream, SelectAll, select_all},
};

use crate::{
    Attached, Container, ContainerFilter, ContainerId, ContainerState, Engine, EngineAction, EngineEvents,
    Error, Foreground, LogOptions, ResourceKind, Result, ServiceLine, Target, labels, reconcile::is_oneoff,
};

/// How much later than its first line the start of a run that is over may be written down.
const LATE_START: Duration = Duration::from_secs(1);

/// What one container's log gives: its lines, then its end.
enum Item {
    Line(Result<ServiceLine>),
    End(ContainerId),
}

/// What is read of the containers that are there.
pub(crate) enum What {
    /// What the options say, of all.
    Asked(LogOptions),
    /// What comes from now on; of the containers of these names all of their last run.
    FromNow { started: BTreeSet<String> },
}

struct Following<E> {
    engine: Arc<E>,
    target: Target,
    timestamps: bool,
    tells_ends: bool,
    lines: SelectAll<BoxStream<'static, Item>>,
    events: Option<EngineEvents>,
    open: BTreeSet<ContainerId>,
    /// Started again before the log of the run before has ended.
    again: BTreeSet<ContainerId>,
    /// When the run began that was read last. An engine may tell of a start when its whole run has been read.
    runs: BTreeMap<ContainerId, SystemTime>,
}

/// Opens the logs of all containers that are there; followed, of those that come later too.
pub(crate) async fn open<E: Engine>(engine: Arc<E>, target: Target, what: What) -> Result<Foreground> {
    let (follow, timestamps) = match &what {
        What::Asked(options) => (options.follow, options.timestamps),
        What::FromNow { .. } => (true, false),
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
        again: BTreeSet::new(),
        runs: BTreeMap::new(),
    };
    for container in containers {
        match &what {
            What::Asked(options) => following.read(&container, options.clone()).await?,
            What::FromNow { started } if started.contains(&container.name) => {
                following.join(&container.id).await?;
            }
            // That it is over was known before.
            What::FromNow { .. } if !container.state.is_running() => {}
            What::FromNow { .. } => {
                let options = LogOptions { tail: Some(0), ..following.whole_run() };
                following.read(&container, options).await?;
            }
        }
    }
    let stream = futures_util::stream::unfold(following, |mut following| async move {
        following.next().await.map(|line| (line, following))
    });
    Ok(stream.boxed())
}

async fn containers<E: Engine>(engine: &E, target: &Target) -> Result<Vec<Container>> {
    let filter = ContainerFilter {
        running: false,
        labels: vec![(labels::PROJECT.to_owned(), Some(target.name.to_string()))],
    };
    let mut containers = engine.list(&filter).await?;
    containers.retain(|container| {
        !is_oneoff(container)
            && (target.services.is_empty()
                || container.service().is_some_and(|service| target.services.contains(service)))
    });
    containers.sort_by(|a, b| (a.service(), a.number()).cmp(&(b.service(), b.number())));
    Ok(containers)
}

/// How a container ended, if it has and has not begun again.
async fn ended<E: Engine>(engine: &E, id: &ContainerId) -> Option<Attached> {
    let container = engine.inspect(&id.0).await.ok()?;
    let exit_code = container.exit_code.filter(|_| !container.state.is_running())?;
    let service = container.service().unwrap_or_default().to_owned();
    Some(Attached::Ended { service, container: container.name, exit_code })
}

/// Whether a container of the target still runs, or is about to take another's place, so that more lines may come.
async fn anything_runs<E: Engine>(engine: &Arc<E>, target: &Target) -> bool {
    match containers(&**engine, target).await {
        Ok(containers) => containers.iter().any(|container| {
            let succeeds =
                container.state == ContainerState::Created && container.label(labels::REPLACE).is_some();
            container.state.is_running() || succeeds
        }),
        Err(_) => false,
    }
}

impl<E: Engine> Following<E> {
    async fn add(&mut self, container: &Container, options: LogOptions) -> Result<()> {
        let stream = self.engine.logs(&container.id, &options).await?;
        let service = container.service().unwrap_or_default().to_owned();
        let (name, id) = (container.name.clone(), container.id.clone());
        let end = id.clone();
        let lines = stream.map(move |line| {
            Item::Line(line.map(|line| ServiceLine {
                service: service.clone(),
                container: name.clone(),
                line,
            }))
        });
        self.lines.push(lines.chain(futures_util::stream::once(async move { Item::End(end) })).boxed());
        if let Some(started) = container.started {
            self.runs.insert(id.clone(), started);
        }
        self.open.insert(id);
        Ok(())
    }

    /// As [`Following::add`]; what has been removed meanwhile has no log.
    async fn read(&mut self, container: &Container, options: LogOptions) -> Result<()> {
        match self.add(container, options).await {
            Err(Error::NotFound { .. }) => Ok(()),
            other => other,
        }
    }

    async fn next(&mut self) -> Option<Result<Attached>> {
        loop {
            if self.events.is_some()
                && self.open.is_empty()
                && !anything_runs(&self.engine, &self.target).await
            {
                return None;
            }
            let Some(events) = &mut self.events else {
                match self.lines.next().await? {
                    // One that was removed while it was read: this is the end of its log.
                    Item::Line(Err(Error::NotFound { .. })) | Item::End(_) => continue,
                    Item::Line(line) => return Some(line.map(Attached::Line)),
                }
            };
            tokio::select! {
                biased;
                Some(item) = self.lines.next(), if !self.lines.is_empty() => match item {
                    Item::Line(Err(Error::NotFound { .. })) => {}
                    Item::Line(line) => return Some(line.map(Attached::Line)),
                    Item::End(id) => {
                        self.open.remove(&id);
                        if self.again.remove(&id) && let Err(error) = self.join(&id).await {
                            return Some(Err(error));
                        }
                            if self.tells_ends && let Some(ended) = ended(&*self.engine, &id).await {
                            return Some(Ok(ended));
                        }
                    }
                },
                event = events.next() => match event {
                    Some(Ok(event)) if event.action == EngineAction::Started => {
                        if self.open.contains(&event.id) {
                            self.again.insert(event.id);
                        } else if let Err(error) = self.join(&event.id).await {
                            return Some(Err(error));
                        }
                    }
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => self.events = None,
                },
            }
        }
    }

    fn whole_run(&self) -> LogOptions {
        LogOptions { follow: true, timestamps: self.timestamps, ..LogOptions::default() }
    }

    /// Follows a container's last run from its beginning.
    async fn join(&mut self, id: &ContainerId) -> Result<()> {
        let container = match self.engine.inspect(&id.0).await {
            Ok(container) => container,
            Err(Error::NotFound { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        let ours = self.target.services.is_empty()
            || container.service().is_some_and(|service| self.target.services.contains(service));
        let is_read = container.started.is_some() && self.runs.get(id) == container.started.as_ref();
        if !ours || is_oneoff(&container) || is_read {
            return Ok(());
        }
        // A run's first lines can be older than its start, as engines write it down, but not than the end of the run
        // before; that one was read already, or was not asked for.
        let since = if container.state.is_running() {
            container.finished
        } else {
            container.started.and_then(|started| started.checked_sub(LATE_START))
        };
        let options = LogOptions { since, ..self.whole_run() };
        self.read(&container, options).await
    }
}
