//! One agent: what is known of it, and what that makes it.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use longshore::{Container, ContainerState, HealthStatus, ProjectName};
use tokio::sync::watch;

use crate::{
    api::{Agent, AgentContainer, AgentProgress, AgentState, Problem, Wanted},
    clock,
    name::AgentName,
    store::{Record, Secrets},
};

/// An agent of the server. What is done with it is done by its worker alone; everybody else gives orders.
#[derive(Debug)]
pub(crate) struct Cell {
    pub(crate) name: AgentName,
    pub(crate) project: ProjectName,
    pub(crate) secrets: Secrets,
    pub(crate) known: Mutex<Known>,
    /// Held by who gives an order until it is on the disk.
    pub(crate) ordering: tokio::sync::Mutex<()>,
    pub(crate) orders: watch::Sender<Order>,
    pub(crate) done: watch::Sender<Done>,
    /// Counts the reasons to look at the engine.
    pub(crate) hints: watch::Sender<u64>,
}

/// What an agent is to become. Each has a greater number than the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) number: u64,
    pub(crate) wanted: Wanted,
    /// Whether one that runs is stopped first.
    pub(crate) anew: bool,
}

/// How the last order that is over ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) number: u64,
    pub(crate) outcome: Result<(), Problem>,
}

/// What is known of an agent.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) record: Record,
    /// Whether its record is on the disk.
    pub(crate) stored: bool,
    /// Whether it was deleted.
    pub(crate) forgotten: bool,
    /// Since when an order is carried out.
    pub(crate) busy: Option<(Wanted, SystemTime)>,
    pub(crate) progress: Option<AgentProgress>,
    pub(crate) error: Option<Problem>,
    /// What was wrong with its files.
    pub(crate) notice: Option<String>,
    pub(crate) containers: Vec<Container>,
    /// Why they are not known.
    pub(crate) unseen: Option<Problem>,
    /// Whether the engine ever said what there is of it.
    pub(crate) seen: bool,
    /// Whether it was told to end and was not seen to: what runs of it may be about to end.
    pub(crate) ending: bool,
    /// The run of its service that has proved that it is the one that is meant.
    pub(crate) proved: Option<Run>,
    /// The run that was asked for its proof last, and is not asked again.
    pub(crate) asked: Option<Run>,
}

/// A run of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    id: String,
    started: Option<SystemTime>,
}

impl Run {
    fn of(container: &Container) -> Self {
        Self { id: container.id.0.clone(), started: container.started }
    }
}

impl Cell {
    pub(crate) fn new(project: ProjectName, record: Record, secrets: Secrets, wanted: Wanted) -> Self {
        let order = Order { number: 0, wanted, anew: false };
        Self {
            name: record.name.clone(),
            project,
            secrets,
            known: Mutex::new(Known::new(record)),
            ordering: tokio::sync::Mutex::default(),
            orders: watch::Sender::new(order),
            done: watch::Sender::new(Done { number: 0, outcome: Ok(()) }),
            hints: watch::Sender::new(0),
        }
    }

    pub(crate) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn view(&self) -> Agent {
        self.known().view(&self.project)
    }

    /// Asks for a look at the engine.
    pub(crate) fn hint(&self) {
        self.hints.send_modify(|count| *count += 1);
    }

    /// Says how an order ended, unless that was said already.
    pub(crate) fn end(&self, number: u64, outcome: Result<(), Problem>) {
        self.done.send_if_modified(|done| {
            let is_open = done.number < number;
            if is_open {
                *done = Done { number, outcome };
            }
            is_open
        });
    }

    /// The text without the agent's secrets.
    pub(crate) fn without_secrets(&self, text: &str) -> String {
        let key = self.secrets.api_key.as_deref();
        [Some(self.secrets.token.as_str()), key]
            .into_iter()
            .flatten()
            // A key that short hides nothing, and would make holes in every word.
            .filter(|secret| secret.len() >= 4)
            .fold(text.to_owned(), |text, secret| text.replace(secret, "***"))
    }

    /// The problem without the agent's secrets.
    pub(crate) fn discreet(&self, problem: Problem) -> Problem {
        let clean = |text: String| self.without_secrets(&text);
        Problem {
            message: clean(problem.message),
            help: problem.help.map(clean),
            log: problem.log.into_iter().map(clean).collect(),
            ..problem
        }
    }
}

impl Known {
    pub(crate) fn new(record: Record) -> Self {
        Self {
            record,
            stored: true,
            forgotten: false,
            busy: None,
            progress: None,
            error: None,
            notice: None,
            containers: Vec::new(),
            unseen: None,
            seen: false,
            ending: false,
            proved: None,
            asked: None,
        }
    }

    /// An order is begun: it has no error until it has one again, and is pending until it is over.
    pub(crate) fn begin(&mut self, wanted: Wanted) {
        self.record.pending = true;
        self.record.resume = false;
        self.busy = Some((wanted, SystemTime::now()));
        self.progress = None;
        self.error = None;
    }

    /// Whether what runs of it has proved that it is the one that is meant: only that one is told its token.
    pub(crate) fn has_proved(&self) -> bool {
        let is_it = |container: &Container| runs(container) && Some(Run::of(container)) == self.proved;
        self.containers.iter().any(is_it)
    }

    /// Whether anything of it runs.
    pub(crate) fn runs(&self) -> bool {
        self.containers.iter().any(runs)
    }

    /// The run of its service, if it runs.
    pub(crate) fn run(&self, service: &str) -> Option<Run> {
        self.of(service).find(|container| runs(container)).map(Run::of)
    }

    /// With what its service has ended, if it has.
    pub(crate) fn exit_code(&self, service: &str) -> Option<i64> {
        self.of(service).find_map(|container| container.exit_code)
    }

    /// What its service's container is doing, in the engine's words, and how its check finds it.
    pub(crate) fn doing(&self, service: &str) -> Option<String> {
        let container = self.of(service).next()?;
        let health = container.health_status().map(|health| format!(", {}", health.as_str()));
        Some(format!("{}{}", container.state.as_str(), health.unwrap_or_default()))
    }

    fn of(&self, service: &str) -> impl Iterator<Item = &Container> {
        self.containers.iter().filter(move |container| container.service() == Some(service))
    }

    /// What it is doing.
    pub(crate) fn state(&self) -> AgentState {
        match self.busy {
            Some((Wanted::Deleted, _)) => return AgentState::Deleting,
            Some((Wanted::Stopped, _)) => return AgentState::Stopping,
            Some((Wanted::Running, _)) if self.record.was_well => return AgentState::Starting,
            Some((Wanted::Running, _)) => return AgentState::Creating,
            None => {}
        }
        if self.unseen.is_some() {
            return AgentState::Unknown;
        }
        if !self.runs() {
            let failed = self.error.is_some() || self.fell().is_some();
            return if failed { AgentState::Failed } else { AgentState::Stopped };
        }
        let unwell = |container: &Container| {
            let unhealthy = |health: &longshore::Health| health.status == HealthStatus::Unhealthy;
            // What has done its work is over.
            let is_over = container.state == ContainerState::Exited && container.exit_code == Some(0);
            container.health.as_ref().is_some_and(unhealthy) || !(runs(container) || is_over)
        };
        if self.containers.iter().any(unwell) {
            return AgentState::Unhealthy;
        }
        match self.error {
            Some(_) => AgentState::Unhealthy,
            None if self.has_proved() => AgentState::Running,
            None => AgentState::Starting,
        }
    }

    /// A container that fell although it was to run.
    fn fell(&self) -> Option<&Container> {
        self.containers.iter().find(|one| fell(one)).filter(|_| self.record.wanted == Wanted::Running)
    }

    /// What is the matter with it.
    fn problem(&self) -> Option<Problem> {
        if self.busy.is_some() {
            return None;
        }
        if let Some(problem) = self.unseen.clone().or_else(|| self.error.clone()) {
            return Some(problem);
        }
        if let Some(container) = self.fell() {
            let code = container.exit_code.unwrap_or_default();
            let message = format!("{} ended with exit code {code}", container.name);
            return Some(Problem::new("exited", message).with_help("its log says why; start it again"));
        }
        let gone = self.seen
            && self.containers.is_empty()
            && self.record.was_well
            && self.record.wanted == Wanted::Running;
        gone.then(|| {
            Problem::new("gone", "somebody removed its containers").with_help(
                "start it: its containers are made anew, over its volumes if those are still there",
            )
        })
    }

    pub(crate) fn view(&self, project: &ProjectName) -> Agent {
        let record = &self.record;
        let started = self.containers.iter().filter(|one| runs(one)).filter_map(|one| one.started).max();
        Agent {
            name: record.name.to_string(),
            template: record.template.clone(),
            provider: record.provider.clone(),
            model: record.model.clone(),
            base_url: record.base_url.clone(),
            state: self.state(),
            wanted: record.wanted,
            progress: self.progress.clone().filter(|_| self.busy.is_some()),
            error: self.problem(),
            notice: self.notice.clone(),
            port: record.port,
            image: record.image.clone(),
            project: project.to_string(),
            created_at: record.created_at.clone(),
            started_at: started.map(clock::text),
            containers: self.containers.iter().map(container).collect(),
        }
    }
}

/// Whether it ended by itself with an error. By a signal it was ended by somebody.
pub(crate) fn fell(container: &Container) -> bool {
    const ENDED_BY_SOMEBODY: [i64; 4] = [0, 130, 137, 143];
    container.state == ContainerState::Exited
        && container.exit_code.is_some_and(|code| !ENDED_BY_SOMEBODY.contains(&code))
}

/// A container that the engine starts again by itself is taken for one that runs.
fn runs(container: &Container) -> bool {
    use ContainerState::{Paused, Restarting, Running, Stopping};
    matches!(container.state, Running | Paused | Restarting | Stopping)
}

fn container(container: &Container) -> AgentContainer {
    AgentContainer {
        name: container.name.clone(),
        service: container.service().unwrap_or_default().to_owned(),
        state: container.state.as_str().to_owned(),
        health: container.health.as_ref().map(|health| health.status.as_str().to_owned()),
        exit_code: container.exit_code,
    }
}

#[cfg(test)]
mod tests {
    use longshore::{ContainerId, Health};

    use super::*;

    fn one(state: ContainerState) -> Container {
        Container::new(ContainerId("1".to_owned()), "p-gateway-1", "i", state)
    }

    fn known(containers: Vec<Container>) -> Known {
        let name = AgentName::new("scout").expect("a name");
        let record = Record { wanted: Wanted::Running, was_well: true, ..Record::new(name) };
        Known { containers, seen: true, ..Known::new(record) }
    }

    #[test]
    fn what_is_done_with_it_comes_before_what_is_seen() {
        let now = SystemTime::now();
        let mut agent = known(vec![one(ContainerState::Running)]);
        for (wanted, state) in [
            (Wanted::Running, AgentState::Starting),
            (Wanted::Stopped, AgentState::Stopping),
            (Wanted::Deleted, AgentState::Deleting),
        ] {
            agent.busy = Some((wanted, now));
            assert_eq!(agent.state(), state);
        }
        agent.busy = Some((Wanted::Running, now));
        agent.record.was_well = false;
        assert_eq!(agent.state(), AgentState::Creating);
    }

    #[test]
    fn it_runs_only_when_this_run_has_proved_it() {
        let container = one(ContainerState::Running);
        let mut agent = known(vec![container.clone()]);
        assert_eq!(agent.state(), AgentState::Starting);
        agent.proved = Some(Run::of(&container));
        assert_eq!(agent.state(), AgentState::Running);
        agent.containers[0].started = Some(SystemTime::now());
        assert_eq!(agent.state(), AgentState::Starting, "somebody started it again");
    }

    #[test]
    fn one_that_is_not_well_is_told() {
        let mut container = one(ContainerState::Running);
        container.health = Some(Health { status: HealthStatus::Unhealthy, log: Vec::new() });
        let mut agent = known(vec![container]);
        agent.proved = agent.containers.first().map(Run::of);
        assert_eq!(agent.state(), AgentState::Unhealthy);
        let mut agent = known(vec![one(ContainerState::Running), one(ContainerState::Exited)]);
        agent.proved = agent.containers.first().map(Run::of);
        assert_eq!(agent.state(), AgentState::Unhealthy, "a part of it does not run");
    }

    #[test]
    fn ended_by_somebody_is_stopped_and_ended_by_itself_has_failed() {
        for (code, state) in [
            (0, AgentState::Stopped),
            (137, AgentState::Stopped),
            (143, AgentState::Stopped),
            (3, AgentState::Failed),
        ] {
            let mut container = one(ContainerState::Exited);
            container.exit_code = Some(code);
            let agent = known(vec![container]);
            assert_eq!(agent.state(), state, "{code}");
            assert_eq!(agent.problem().is_some(), state == AgentState::Failed);
        }
    }

    #[test]
    fn what_is_not_known_is_not_guessed() {
        let mut agent = known(vec![one(ContainerState::Running)]);
        agent.unseen = Some(Problem::new("not_reachable", "no"));
        assert_eq!(agent.state(), AgentState::Unknown);
    }

    #[test]
    fn containers_that_vanished_are_told() {
        let agent = known(Vec::new());
        assert_eq!(agent.state(), AgentState::Stopped);
        assert_eq!(agent.problem().map(|problem| problem.code), Some("gone".to_owned()));
        let unseen = Known { seen: false, ..agent };
        assert_eq!(unseen.problem(), None, "the machine is off: they may be in it");
    }
}
