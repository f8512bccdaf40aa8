//! What happens to our containers, for those who show them.

use compose_file::ProjectName;
use futures_util::{StreamExt, future::ready, stream};
use tokio::{sync::mpsc, task::JoinSet};

use crate::{Change, Changes, EngineAction, EngineEvents};

/// How many changes wait for who reads them.
const WAITING: usize = 1024;

/// Of all events those that change a container of this owner, in a project whose name begins so.
pub(crate) fn changes(events: EngineEvents, owner: String, prefix: String) -> Changes {
    let changes = events.filter_map(move |event| {
        let change = match event {
            Err(error) => Some(Err(error)),
            Ok(event) if event.action == EngineAction::Other => None,
            Ok(event) if event.owner.as_ref() != Some(&owner) => None,
            Ok(event) => event
                .project
                .filter(|project| project.starts_with(&prefix))
                .and_then(|project| ProjectName::new(project).ok())
                .map(|project| Ok(Change { project, container: event.id, action: event.action })),
        };
        ready(change)
    });
    changes.boxed()
}

/// Reads without being asked, until `WAITING` items wait: an engine may not listen before it is read, and may throw away what
/// nobody takes from it. Ends with the stream that it gives.
pub(crate) fn ahead(mut changes: Changes) -> Changes {
    let (sender, receiver) = mpsc::channel(WAITING);
    let mut reading = JoinSet::new();
    reading.spawn(async move {
        while let Some(change) = changes.next().await {
            if sender.send(change).await.is_err() {
                return;
            }
        }
    });
    let read = stream::unfold((receiver, reading), |(mut receiver, reading)| async move {
        receiver.recv().await.map(|change| (change, (receiver, reading)))
    });
    read.boxed()
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use super::*;
    use crate::{ContainerId, EngineEvent};

    fn event(id: usize, project: &str, owner: &str) -> EngineEvent {
        EngineEvent {
            id: ContainerId(id.to_string()),
            action: EngineAction::Started,
            project: Some(project.to_owned()),
            owner: Some(owner.to_owned()),
        }
    }

    fn of_agents(events: impl stream::Stream<Item = EngineEvent> + Send + 'static) -> Changes {
        changes(events.map(Ok).boxed(), "us".to_owned(), "agent-".to_owned())
    }

    #[tokio::test]
    async fn only_ours_are_told() {
        let events = [
            event(1, "agent-1", "us"),
            event(2, "agent-1", "them"),
            event(3, "other", "us"),
            event(4, "agent-No Name", "us"),
            EngineEvent { action: EngineAction::Other, ..event(5, "agent-1", "us") },
            EngineEvent { owner: None, ..event(6, "agent-1", "") },
            EngineEvent { project: None, ..event(7, "", "us") },
            event(8, "agent-2", "us"),
        ];
        let told = of_agents(stream::iter(events)).map(|change| change.unwrap());
        let told: Vec<_> =
            told.map(|change| (change.container.0, change.project.to_string())).collect().await;
        assert_eq!(told, [("1".to_owned(), "agent-1".to_owned()), ("8".to_owned(), "agent-2".to_owned())]);
    }

    #[tokio::test]
    async fn it_is_read_before_it_is_asked_for_and_not_without_bound() {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = count.clone();
        let events =
            stream::repeat_with(move || event(counted.fetch_add(1, Ordering::Relaxed), "agent-1", "us"));
        let mut told = ahead(of_agents(events));
        while count.load(Ordering::Relaxed) <= WAITING {
            tokio::task::yield_now().await;
        }
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(count.load(Ordering::Relaxed), WAITING + 1);
        let first = told.next().await.unwrap().unwrap();
        assert_eq!(first.container.0, "0");
    }
}
