//! Events that go on when an engine ends their stream: for the backends.

use std::{
    collections::VecDeque,
    time::{Duration, SystemTime},
};

use futures_util::{StreamExt, stream, stream::BoxStream};

use crate::{ContainerId, EngineEvent, EngineEvents, Result};

/// So much of what was told already is asked for again: engines do not write their events in the order of their times.
const OVERLAP: Duration = Duration::from_secs(1);
/// How long an engine is left alone that ended its stream without having told anything.
const PAUSE: Duration = Duration::from_secs(1);

/// Events as one subscription tells them. It ends when the engine ends it.
pub type Subscription = BoxStream<'static, Result<EngineEvent>>;

/// What was told of late, so that it is known when it comes again.
#[derive(Default)]
struct Told {
    events: VecDeque<Key>,
    /// Those of them that this subscription may tell again.
    again: VecDeque<Key>,
}

/// The same happens to a container once at one time; where an engine tells whole seconds, as often as it was told.
type Key = (ContainerId, String, SystemTime);

impl Told {
    /// Whether it is news.
    fn is_news(&mut self, event: &EngineEvent) -> bool {
        let Some(at) = event.at else { return true };
        let key = (event.id.clone(), event.word.clone(), at);
        if let Some(place) = self.again.iter().position(|told| *told == key) {
            self.again.swap_remove_back(place);
            return false;
        }
        // Some engines take whole seconds, and tell from the one that had begun.
        let oldest = at.checked_sub(2 * OVERLAP);
        while self.events.front().is_some_and(|(_, _, at)| Some(*at) < oldest) {
            self.events.pop_front();
        }
        self.events.push_back(key);
        true
    }

    /// Another subscription begins.
    fn begins(&mut self) {
        self.again.clone_from(&self.events);
    }
}

struct Subscribed<S> {
    subscribe: S,
    /// `None` after an error.
    subscription: Option<Subscription>,
    from: Option<SystemTime>,
    /// Whether this subscription told anything.
    spoke: bool,
    told: Told,
}

/// Makes one stream of as many subscriptions as it takes: a new one begins where one ends that did not fail. Podman ends
/// them when it rotates the file that its events are in (4.3.1, by the command with `--since` and by the API).
///
/// `subscribe` is given the moment from which on events are wanted, by the engine's clock; first it is `from`. What one tells that
/// the one before has told is not told again.
///
/// # Errors
/// Those of `subscribe`: at once the first time, later as the stream's last item.
pub async fn resubscribing<S, F>(subscribe: S, from: Option<SystemTime>) -> Result<EngineEvents>
where
    S: Fn(Option<SystemTime>) -> F + Send + 'static,
    F: Future<Output = Result<Subscription>> + Send + 'static,
{
    let subscription = Some(subscribe(from).await?);
    let subscribed = Subscribed { subscribe, subscription, from, spoke: false, told: Told::default() };
    let events = stream::unfold(subscribed, |mut all| async move {
        loop {
            let item = match all.subscription.as_mut()?.next().await {
                Some(Ok(event)) if !all.told.is_news(&event) => continue,
                Some(Ok(event)) => {
                    all.from = all.from.max(event.at.and_then(|at| at.checked_sub(OVERLAP)));
                    all.spoke = true;
                    Ok(event)
                }
                Some(Err(error)) => Err(error),
                None => {
                    if !std::mem::take(&mut all.spoke) {
                        tokio::time::sleep(PAUSE).await;
                    }
                    all.told.begins();
                    match (all.subscribe)(all.from).await {
                        Ok(subscription) => {
                            all.subscription = Some(subscription);
                            continue;
                        }
                        Err(error) => Err(error),
                    }
                }
            };
            if item.is_err() {
                all.subscription = None;
            }
            return Some((item, all));
        }
    });
    Ok(events.boxed())
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::{ContainerId, Error};

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn event(id: &str, at: Option<SystemTime>) -> EngineEvent {
        EngineEvent { at, ..EngineEvent::new(ContainerId(id.to_owned()), "start") }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_ends_is_subscribed_again_from_where_it_was() {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        let subscribe = move |from| {
            log.lock().unwrap().push(from);
            let part: Vec<Result<_>> = match log.lock().unwrap().len() {
                1 => vec![Ok(event("a", Some(at(20)))), Ok(event("b", Some(at(19))))],
                2 => vec![],
                // Both come again, and one of them happened twice in that second.
                3 => vec![
                    Ok(event("b", Some(at(19)))),
                    Ok(event("a", Some(at(20)))),
                    Ok(event("a", Some(at(20)))),
                ],
                4 => vec![Ok(event("a", Some(at(20)))), Ok(event("c", None)), Err(Error::ShuttingDown)],
                _ => panic!("an error is the end"),
            };
            std::future::ready(Ok(stream::iter(part).boxed()))
        };
        let events: Vec<_> = resubscribing(subscribe, Some(at(10))).await.unwrap().collect().await;
        let told = events.iter().map(|event| event.as_ref().map(|event| event.id.0.as_str()));
        assert_eq!(told.collect::<Vec<_>>(), [Ok("a"), Ok("b"), Ok("a"), Ok("c"), Err(&Error::ShuttingDown)]);
        assert_eq!(*asked.lock().unwrap(), [Some(at(10)), Some(at(19)), Some(at(19)), Some(at(19))]);
    }
}
