//! Events that go on when an engine ends their stream: for the backends.

use std::time::{Duration, SystemTime};

use futures_util::{StreamExt, stream, stream::BoxStream};

use crate::{EngineEvent, EngineEvents, Result};

/// So much of what was told already is asked for again: engines do not write their events in the order of their times.
const OVERLAP: Duration = Duration::from_secs(1);
/// How long an engine is left alone that ended its stream without having told anything.
const PAUSE: Duration = Duration::from_secs(1);

/// Events as one subscription tells them. It ends when the engine ends it.
pub type Subscription = BoxStream<'static, Result<EngineEvent>>;

struct Subscribed<S> {
    subscribe: S,
    /// `None` after an error.
    subscription: Option<Subscription>,
    from: Option<SystemTime>,
    /// Whether this subscription told anything.
    told: bool,
}

/// Makes one stream of as many subscriptions as it takes: a new one begins where one ends that did not fail. Podman ends
/// them when it rotates the file that its events are in (4.3.1, by the command with `--since` and by the API).
///
/// `subscribe` is given the moment from which on events are wanted, by the engine's clock; first it is `from`. An event may
/// come twice.
///
/// # Errors
/// Those of `subscribe`: at once the first time, later as the stream's last item.
pub async fn resubscribing<S, F>(subscribe: S, from: Option<SystemTime>) -> Result<EngineEvents>
where
    S: Fn(Option<SystemTime>) -> F + Send + 'static,
    F: Future<Output = Result<Subscription>> + Send + 'static,
{
    let subscription = Some(subscribe(from).await?);
    let subscribed = Subscribed { subscribe, subscription, from, told: false };
    let events = stream::unfold(subscribed, |mut all| async move {
        loop {
            let item = match all.subscription.as_mut()?.next().await {
                Some(Ok(event)) => {
                    all.from = all.from.max(event.at.and_then(|at| at.checked_sub(OVERLAP)));
                    all.told = true;
                    Ok(event)
                }
                Some(Err(error)) => Err(error),
                None => {
                    if !std::mem::take(&mut all.told) {
                        tokio::time::sleep(PAUSE).await;
                    }
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
                3 => vec![Ok(event("c", None)), Err(Error::ShuttingDown)],
                _ => panic!("an error is the end"),
            };
            std::future::ready(Ok(stream::iter(part).boxed()))
        };
        let events: Vec<_> = resubscribing(subscribe, Some(at(10))).await.unwrap().collect().await;
        let told = events.iter().map(|event| event.as_ref().map(|event| event.id.0.as_str()));
        assert_eq!(told.collect::<Vec<_>>(), [Ok("a"), Ok("b"), Ok("c"), Err(&Error::ShuttingDown)]);
        assert_eq!(*asked.lock().unwrap(), [Some(at(10)), Some(at(19)), Some(at(19))]);
    }
}
