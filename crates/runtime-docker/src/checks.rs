//! Healthchecks for an engine that runs none: Podman behind its socket on a computer without systemd.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use bollard::models::HealthConfig;
use runtime_core::{Container, ExecOutput, Health, HealthStatus};

/// So many outputs of checks are remembered.
const LOG: usize = 5;

/// What the checks that we ran said, by container id.
#[derive(Debug, Default)]
pub(crate) struct Checks(Mutex<HashMap<String, Streak>>);

#[derive(Debug, Clone)]
struct Streak {
    failures: i64,
    health: Health,
}

/// A container's own check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Check {
    pub(crate) command: Vec<String>,
    pub(crate) timeout: Duration,
    retries: i64,
    start_period: Duration,
}

impl Check {
    /// Reads the engine's words; `None` when there is nothing to run. The defaults are Docker's.
    pub(crate) fn read(config: HealthConfig) -> Option<Self> {
        let test = config.test?;
        let command = match test.split_first()? {
            (word, rest) if word == "CMD" && !rest.is_empty() => rest.to_vec(),
            (word, [line]) if word == "CMD-SHELL" => ["/bin/sh", "-c", line].map(str::to_owned).to_vec(),
            _ => return None,
        };
        let duration =
            |nanos: Option<i64>, default: u64| match nanos.and_then(|nanos| u64::try_from(nanos).ok()) {
                None | Some(0) => Duration::from_secs(default),
                Some(nanos) => Duration::from_nanos(nanos),
            };
        Some(Self {
            command,
            timeout: duration(config.timeout, 30),
            retries: config.retries.filter(|retries| *retries > 0).unwrap_or(3),
            start_period: duration(config.start_period, 0),
        })
    }
}

impl Checks {
    /// Counts the outcome of one check; `None` is one that took too long.
    pub(crate) fn count(
        &self,
        container: &Container,
        check: &Check,
        outcome: Option<&ExecOutput>,
    ) -> HealthStatus {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh =
            Streak { failures: 0, health: Health { status: HealthStatus::Starting, log: Vec::new() } };
        let streak = all.entry(container.id.0.clone()).or_insert(fresh);
        let text = match outcome {
            Some(output) => {
                let both = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
                String::from_utf8_lossy(&both).trim_end().to_owned()
            }
            None => format!("the check took longer than {:?}", check.timeout),
        };
        streak.health.log.push(text);
        if streak.health.log.len() > LOG {
            streak.health.log.remove(0);
        }
        let age = container.started.and_then(|started| SystemTime::now().duration_since(started).ok());
        let begun =
            streak.health.status != HealthStatus::Starting || age.is_none_or(|age| age >= check.start_period);
        if outcome.is_some_and(|output| output.exit_code == 0) {
            streak.failures = 0;
            streak.health.status = HealthStatus::Healthy;
        } else if begun {
            streak.failures += 1;
            if streak.failures >= check.retries {
                streak.health.status = HealthStatus::Unhealthy;
            }
        }
        streak.health.status
    }

    /// Puts what our checks said in place of what the engine, which ran none, says.
    pub(crate) fn overlay(&self, container: &mut Container) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !container.state.is_running() {
            all.remove(&container.id.0);
        } else if let (Some(health), Some(streak)) = (&mut container.health, all.get(&container.id.0)) {
            *health = streak.health.clone();
        }
    }

    pub(crate) fn forget(&self, id: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }
}
