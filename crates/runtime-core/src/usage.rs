//! What the containers of a project use, for as long as somebody looks.

use std::{collections::BTreeMap, sync::Arc};

use futures_util::{StreamExt, future::pending, stream};

use crate::{
    Container, ContainerFilter, ContainerId, Detail, Engine, EngineAction, EngineEvent, EngineEvents, Error,
    ProjectStats, Result, StatsOptions, Target, Usage, Usages, labels, reconcile,
};

type Table = Vec<(Container, Option<Usage>)>;

/// Looks until it is dropped or, if it is not to go on, until there is something to tell.
pub(crate) async fn open(
    engine: Arc<dyn Engine>,
    target: Target,
    options: StatsOptions,
) -> Result<ProjectStats> {
    // Listened to before the first look, so that nothing is missed between the two.
    let events = if options.follow { Some(engine.events(Some(&target.name)).await?) } else { None };
    let looking = Looking {
        engine,
        target,
        options,
        events,
        containers: Vec::new(),
        running: None,
        is_stale: true,
        is_over: false,
    };
    let tables = stream::unfold(looking, |mut looking| async move {
        if looking.is_over {
            return None;
        }
        let table = looking.next().await?;
        looking.is_over = table.is_err() || !looking.options.follow;
        Some((table, looking))
    });
    Ok(tables.boxed())
}

struct Looking {
    engine: Arc<dyn Engine>,
    target: Target,
    options: StatsOptions,
    /// `None` when nothing more is told.
    events: Option<EngineEvents>,
    /// Those that are meant, sorted, whether they run or not.
    containers: Vec<Container>,
    /// Those that run, and what is told of them.
    running: Option<Running>,
    /// Whether it has changed which containers there are, or which of them run.
    is_stale: bool,
    is_over: bool,
}

struct Running {
    ids: Vec<ContainerId>,
    usages: Usages,
    /// Whether anything was told.
    told: bool,
}

async fn used(running: &mut Option<Running>) -> Option<Result<BTreeMap<ContainerId, Usage>>> {
    match running {
        Some(running) => running.usages.next().await,
        None => pending().await,
    }
}

async fn happened(events: &mut Option<EngineEvents>) -> Option<Result<EngineEvent>> {
    match events {
        Some(events) => events.next().await,
        None => pending().await,
    }
}

impl Looking {
    async fn next(&mut self) -> Option<Result<Table>> {
        loop {
            if std::mem::take(&mut self.is_stale) {
                match self.look().await {
                    // That nobody runs is told at once.
                    Ok(()) if self.running.is_none() => return Some(Ok(self.table(&BTreeMap::new()))),
                    Ok(()) => {}
                    Err(error) => return Some(Err(error)),
                }
            }
            if self.running.is_none() && self.events.is_none() {
                return None;
            }
            tokio::select! {
                usages = used(&mut self.running) => match usages {
                    Some(Ok(usages)) => {
                        self.running.iter_mut().for_each(|running| running.told = true);
                        return Some(Ok(self.table(&usages)));
                    }
                    ended => {
                        let told = self.running.take().is_some_and(|running| running.told);
                        match ended {
                            // It went before it could be looked at.
                            Some(Err(Error::NotFound { .. })) => self.is_stale = true,
                            Some(Err(error)) => return Some(Err(error)),
                            _ if told => self.is_stale = true,
                            // All of them ended at once, which is told by events too.
                            _ if self.events.is_some() => {}
                            _ => return Some(Ok(self.table(&BTreeMap::new()))),
                        }
                    }
                },
                event = happened(&mut self.events) => match event {
                    Some(Ok(event)) => self.is_stale = !matches!(event.action, EngineAction::Health | EngineAction::Other),
                    Some(Err(error)) => return Some(Err(error)),
                    None => self.events = None,
                },
            }
        }
    }

    /// Looks which containers there are, and has others looked at if others run.
    async fn look(&mut self) -> Result<()> {
        let project = (labels::PROJECT.to_owned(), Some(self.target.name.to_string()));
        let filter = ContainerFilter { running: false, labels: vec![project], detail: Detail::Whole };
        let mut containers = self.engine.list(&filter).await?;
        containers.retain(|one| !reconcile::is_oneoff(one) && self.is_meant(one));
        containers
            .sort_by(|a, b| (a.service(), a.number(), &a.name).cmp(&(b.service(), b.number(), &b.name)));
        let running = containers.iter().filter(|one| one.state.is_running());
        let ids: Vec<ContainerId> = running.map(|one| one.id.clone()).collect();
        self.containers = containers;
        if self.running.as_ref().is_some_and(|running| running.ids == ids) {
            return Ok(());
        }
        self.running = None;
        if !ids.is_empty() {
            let usages = self.engine.stats(&ids).await?;
            self.running = Some(Running { ids, usages, told: false });
        }
        Ok(())
    }

    fn is_meant(&self, container: &Container) -> bool {
        let services = &self.target.services;
        services.is_empty() || container.service().is_some_and(|service| services.contains(service))
    }

    fn table(&self, usages: &BTreeMap<ContainerId, Usage>) -> Table {
        let all = self.containers.iter().map(|one| (one.clone(), usages.get(&one.id).copied()));
        all.filter(|(_, usage)| self.options.all || usage.is_some()).collect()
    }
}
