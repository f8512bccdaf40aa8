//! What happens to containers, for those who show them.

use std::collections::BTreeSet;

use compose_file::ProjectName;
use futures_util::{
    StreamExt,
    future::ready,
    stream::{self, BoxStream},
};
use tokio::{sync::mpsc, task::JoinSet};

use crate::{Change, Changes, EngineAction, EngineEvent, EngineEvents, ProjectEvent, Result, labels};

/// How many of them wait for who reads them.
const WAITING: usize = 1024;

/// Of all events those that change a container of this owner, in a project whose name begins so.
pub(crate) fn changes(events: EngineEvents, owner: String, prefix: String) -> Changes {
    let changes = events.filter_map(move |event| {
        let change = match event {
            Err(error) => Some(Err(error)),
            Ok(event) if event.action == EngineAction::Other => None,
            Ok(event) if event.attribute(labels::OWNER) != Some(&owner) => None,
            Ok(event) => event
                .project()
                .filter(|project| project.starts_with(&prefix))
                .and_then(|project| ProjectName::new(project).ok())
                .map(|project| Ok(Change { project, container: event.id, action: event.action })),
        };
        ready(change)
    });
    changes.boxed()
}

/// What is told of an event of a project: nothing of one-offs, of other services than those that are named, if some are, and of
/// labels that only say which project it is, as `docker compose events` has it.
pub(crate) fn told(event: EngineEvent, services: &BTreeSet<String>) -> Option<ProjectEvent> {
    let service = event.attribute(labels::SERVICE).unwrap_or_default().to_owned();
    let is_oneoff = event.attribute(labels::ONEOFF) == Some("True");
    if is_oneoff || !(services.is_empty() || services.contains(&service)) {
        return None;
    }
    let mut attributes = event.attributes;
    attributes.retain(|name, _| !labels::is_own(name));
    Some(ProjectEvent { time: event.at, service, container: event.id, action: event.word, attributes })
}

/// Reads without being asked, until `WAITING` items wait: an engine may not listen before it is read, and may throw away what
/// nobody takes from it. Ends with the stream that it gives.
pub(crate) fn ahead<T: Send + 'static>(
    mut changes: BoxStream<'static, Result<T>>,
) -> BoxStream<'static, Result<T>> {
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
    use crate::ContainerId;

    fn event(id: usize, project: &str, owner: &str) -> EngineEvent {
        let given = [(labels::PROJECT, project), (labels::OWNER, owner)];
        let given = given.into_iter().filter(|(_, value)| !value.is_empty());
        EngineEvent {
            attributes: given.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            ..EngineEvent::new(ContainerId(id.to_string()), "start")
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
            event(6, "agent-1", ""),
            event(7, "", "us"),
            event(8, "agent-2", "us"),
        ];
        let told = of_agents(stream::iter(events)).map(|change| change.unwrap());
        let told: Vec<_> =
            told.map(|change| (change.container.0, change.project.to_string())).collect().await;
        assert_eq!(told, [("1".to_owned(), "agent-1".to_owned()), ("8".to_owned(), "agent-2".to_owned())]);
    }

    #[test]
    fn of_a_project_what_says_something_is_told() {
        let happened = |service: &str, oneoff: &str| {
            let mut event = EngineEvent::new(ContainerId("1".to_owned()), "died");
            let all = [
                (labels::SERVICE, service),
                (labels::ONEOFF, oneoff),
                (labels::OWNER, "us"),
                ("exitCode", "3"),
            ];
            event.attributes = all.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
            event
        };
        let none = BTreeSet::new();
        let event = told(happened("web", "False"), &none).unwrap();
        assert_eq!((event.service.as_str(), event.action.as_str()), ("web", "die"));
        assert_eq!(event.attributes, [("exitCode".to_owned(), "3".to_owned())].into());
        assert_eq!(told(happened("web", "True"), &none), None);
        let db = BTreeSet::from(["db".to_owned()]);
        assert_eq!(told(happened("web", "False"), &db), None);
        assert!(told(happened("db", "False"), &db).is_some());
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
