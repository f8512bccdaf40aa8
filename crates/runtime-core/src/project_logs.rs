//! The logs of a project's containers as one stream.

use std::{collections::BTreeSet, sync::Arc, time::SystemTime};

use futures_util::{
    StreamExt,
    stream::{BoxStream, SelectAll, select_all},
};

use crate::{
    Container, ContainerFilter, ContainerId, Engine, EngineAction, EngineEvents, Error, LogOptions,
    ProjectLogs, ResourceKind, Result, ServiceLine, Target, labels, reconcile::is_oneoff,
};

/// What one container's log gives: its lines, then its end.
enum Item {
    Line(Result<ServiceLine>),
    End(ContainerId),
}

struct Following<E> {
    engine: Arc<E>,
    target: Target,
    options: LogOptions,
    lines: SelectAll<BoxStream<'static, Item>>,
    events: Option<EngineEvents>,
    open: BTreeSet<ContainerId>,
}

/// Opens the logs of all containers that are there; followed, of those that come later too.
pub(crate) async fn open<E: Engine>(
    engine: Arc<E>,
    target: Target,
    options: LogOptions,
) -> Result<ProjectLogs> {
    // Events first: what starts between the two calls is then seen by one of them.
    let events = if options.follow { Some(engine.events(Some(&target.name)).await?) } else { None };
    let containers = containers(&*engine, &target).await?;
    if containers.is_empty() {
        return Err(Error::NotFound { kind: ResourceKind::Project, name: target.name.to_string() });
    }
    let mut following =
        Following { engine, target, options, lines: select_all(Vec::new()), events, open: BTreeSet::new() };
    for container in &containers {
        following.add(container, following.options.clone()).await?;
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

/// Whether a container of the target still runs, so that more lines may come.
async fn anything_runs<E: Engine>(engine: &Arc<E>, target: &Target) -> bool {
    match containers(&**engine, target).await {
        Ok(containers) => containers.iter().any(|container| container.state.is_running()),
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
        self.open.insert(id);
        Ok(())
    }

    async fn next(&mut self) -> Option<Result<ServiceLine>> {
        loop {
            if self.events.is_some()
                && self.open.is_empty()
                && !anything_runs(&self.engine, &self.target).await
            {
                return None;
            }
            let Some(events) = &mut self.events else {
                match self.lines.next().await? {
                    Item::Line(line) => return Some(line),
                    Item::End(_) => continue,
                }
            };
            tokio::select! {
                biased;
                Some(item) = self.lines.next(), if !self.lines.is_empty() => match item {
                    Item::Line(line) => return Some(line),
                    Item::End(id) => { self.open.remove(&id); }
                },
                event = events.next() => match event {
                    Some(Ok(event)) if event.action == EngineAction::Started && !self.open.contains(&event.id) => {
                        if let Err(error) = self.join(&event.id).await {
                            return Some(Err(error));
                        }
                    }
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => self.events = None,
                },
            }
        }
    }

    /// Follows a container that was started after we began.
    async fn join(&mut self, id: &ContainerId) -> Result<()> {
        let container = match self.engine.inspect(&id.0).await {
            Ok(container) => container,
            Err(Error::NotFound { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        let ours = self.target.services.is_empty()
            || container.service().is_some_and(|service| self.target.services.contains(service));
        if !ours || is_oneoff(&container) {
            return Ok(());
        }
        // What it said before its last start was read already, or was not asked for.
        let since = container.started.or_else(|| Some(SystemTime::now()));
        let options = LogOptions { since, tail: None, ..self.options.clone() };
        match self.add(&container, options).await {
            Err(Error::NotFound { .. }) => Ok(()),
            other => other,
        }
    }
}
