//! Waiting until a container is what others need: woken by the engine's events, decided by looking at it.

use std::time::Duration;

use compose_file::Condition;
use futures_util::StreamExt;
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::{Instant, sleep_until, timeout, timeout_at},
};

use crate::{
    Awaiting, Container, ContainerId, ContainerState, DependencyFailure, Engine, EngineEvent, Error,
    HealthStatus, LogOptions, Result,
};

/// With the engine's events this only catches what a lost event would have told.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// Without events this is all there is.
const LOOK_WITHOUT_EVENTS: Duration = Duration::from_millis(250);
/// So many lines of a failed container's log are in its error.
const LOG_TAIL: u64 = 10;

/// What one look at a container says.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    Ready,
    NotYet,
    Failed(DependencyFailure),
}

/// Decides whether a container is what is waited for.
fn judge(container: &Container, awaiting: &Awaiting) -> Verdict {
    use ContainerState::{Created, Dead, Exited, Removing};
    let code = container.exit_code.unwrap_or(-1);
    let ended = matches!(container.state, Exited | Dead | Removing);
    match awaiting.condition {
        Condition::ServiceCompletedSuccessfully => match (ended, code) {
            (true, 0) => Verdict::Ready,
            (true, code) => Verdict::Failed(DependencyFailure::DidNotComplete(code)),
            (false, _) => Verdict::NotYet,
        },
        _ if ended && code == 0 && awaiting.may_complete => Verdict::Ready,
        _ if ended => Verdict::Failed(DependencyFailure::Exited(code)),
        Condition::ServiceStarted if container.state == Created => Verdict::NotYet,
        Condition::ServiceStarted => Verdict::Ready,
        Condition::ServiceHealthy => match container.health_status() {
            Some(HealthStatus::Healthy) if container.state == ContainerState::Running => Verdict::Ready,
            Some(HealthStatus::Unhealthy) => Verdict::Failed(DependencyFailure::Unhealthy),
            None if container.state == ContainerState::Running => {
                Verdict::Failed(DependencyFailure::NoHealthcheck)
            }
            _ => Verdict::NotYet,
        },
    }
}

/// Waits. `deadline` is the time in all and when it is over.
pub(crate) async fn wait(
    engine: &dyn Engine,
    id: &ContainerId,
    awaiting: &Awaiting,
    deadline: Option<(Duration, Instant)>,
    events: Option<Receiver<EngineEvent>>,
) -> Result<()> {
    let waiting = poll(engine, id, awaiting, events);
    let failure = match deadline {
        None => waiting.await?,
        Some((allowed, at)) => match timeout_at(at, waiting).await {
            Ok(verdict) => verdict?,
            Err(_) => Some(DependencyFailure::TimedOut(awaiting.condition, allowed)),
        },
    };
    let Some(failure) = failure else { return Ok(()) };
    Err(Error::Dependency {
        waiting: awaiting.waiting.clone(),
        container: awaiting.replica.name.clone(),
        log: last_lines(engine, id).await,
        failure,
    })
}

/// Returns how it failed, or nothing when it is ready.
async fn poll(
    engine: &dyn Engine,
    id: &ContainerId,
    awaiting: &Awaiting,
    mut events: Option<Receiver<EngineEvent>>,
) -> Result<Option<DependencyFailure>> {
    // Docker runs the first check one interval after the start; where we run them we keep to that.
    let checks = awaiting.condition == Condition::ServiceHealthy && !engine.runs_healthchecks();
    let mut next_check = checks.then(|| Instant::now() + awaiting.interval);
    loop {
        let container = match engine.inspect(&id.0).await {
            Ok(container) => container,
            Err(Error::NotFound { .. }) => return Ok(Some(DependencyFailure::Gone)),
            Err(error) => return Err(error),
        };
        match judge(&container, awaiting) {
            Verdict::Ready => return Ok(None),
            Verdict::Failed(failure) => return Ok(Some(failure)),
            Verdict::NotYet => {}
        }
        let look = if events.is_some() { LOOK_AGAIN } else { LOOK_WITHOUT_EVENTS };
        let look_again = Instant::now() + look;
        if let Some(check) = next_check
            && check <= Instant::now()
        {
            // The next one is counted from this one's end. Its failure is for the next look to judge.
            match engine.check_health(id).await {
                Ok(_) | Err(Error::TimedOut { .. }) => {}
                Err(Error::NotFound { .. }) => return Ok(Some(DependencyFailure::Gone)),
                Err(error) if engine.inspect(&id.0).await.is_ok_and(|now| now.state.is_running()) => {
                    return Err(error);
                }
                Err(_) => {}
            }
            next_check = Some(Instant::now() + awaiting.interval);
            continue;
        }
        let until = next_check.map_or(look_again, |check| check.min(look_again));
        tokio::select! {
            () = sleep_until(until) => {}
            over = about(&mut events, id) => if over { events = None },
        }
    }
}

/// Returns when something happened to the container; `true` when there will be no more events.
async fn about(events: &mut Option<Receiver<EngineEvent>>, id: &ContainerId) -> bool {
    let Some(receiver) = events else { return std::future::pending().await };
    loop {
        match receiver.recv().await {
            Ok(event) if event.id == *id => return false,
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => return false,
            Err(RecvError::Closed) => return true,
        }
    }
}

/// The last lines of a container's log, as far as they can be had.
async fn last_lines(engine: &dyn Engine, id: &ContainerId) -> Vec<String> {
    let options = LogOptions { tail: Some(LOG_TAIL), ..LogOptions::default() };
    let read = async {
        let lines = engine.logs(id, &options).await.ok()?;
        Some(
            lines.filter_map(|line| async move { line.ok().map(|line| line.text) }).collect::<Vec<_>>().await,
        )
    };
    timeout(Duration::from_secs(10), read).await.ok().flatten().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ContainerRef, Health, Replica};

    fn awaiting(condition: Condition, may_complete: bool) -> Awaiting {
        let container = ContainerRef::Existing(ContainerId("c".into()));
        let replica = Replica { service: "a".into(), name: "p-a-1".into(), container };
        Awaiting {
            replica,
            condition,
            waiting: vec![],
            optional: false,
            may_complete,
            interval: Duration::ZERO,
        }
    }

    fn container(state: ContainerState, code: Option<i64>, health: Option<HealthStatus>) -> Container {
        let mut container = Container::new(ContainerId("c".into()), "p-a-1", "i", state);
        container.exit_code = code;
        container.health = health.map(|status| Health { status, log: vec![] });
        container
    }

    #[test]
    fn a_condition_is_judged_by_state_code_and_health() {
        use Condition::*;
        use ContainerState::*;
        use DependencyFailure as F;
        let cases = [
            (ServiceStarted, false, Created, None, None, Verdict::NotYet),
            (ServiceStarted, false, Running, None, None, Verdict::Ready),
            (ServiceStarted, false, Exited, Some(0), None, Verdict::Failed(F::Exited(0))),
            (ServiceStarted, true, Exited, Some(0), None, Verdict::Ready),
            (ServiceStarted, true, Exited, Some(2), None, Verdict::Failed(F::Exited(2))),
            (ServiceHealthy, false, Running, None, None, Verdict::Failed(F::NoHealthcheck)),
            (ServiceHealthy, false, Created, None, None, Verdict::NotYet),
            (ServiceHealthy, false, Running, None, Some(HealthStatus::Starting), Verdict::NotYet),
            (ServiceHealthy, false, Running, None, Some(HealthStatus::Healthy), Verdict::Ready),
            (
                ServiceHealthy,
                false,
                Running,
                None,
                Some(HealthStatus::Unhealthy),
                Verdict::Failed(F::Unhealthy),
            ),
            (ServiceHealthy, false, Restarting, None, Some(HealthStatus::Starting), Verdict::NotYet),
            (
                ServiceHealthy,
                false,
                Exited,
                Some(1),
                Some(HealthStatus::Starting),
                Verdict::Failed(F::Exited(1)),
            ),
            (ServiceCompletedSuccessfully, false, Running, None, None, Verdict::NotYet),
            (ServiceCompletedSuccessfully, false, Exited, Some(0), None, Verdict::Ready),
            (
                ServiceCompletedSuccessfully,
                false,
                Exited,
                Some(3),
                None,
                Verdict::Failed(F::DidNotComplete(3)),
            ),
        ];
        for (condition, may_complete, state, code, health, expected) in cases {
            let verdict = judge(&container(state, code, health), &awaiting(condition, may_complete));
            assert_eq!(verdict, expected, "{condition:?} {state:?} {code:?} {health:?}");
        }
    }
}
