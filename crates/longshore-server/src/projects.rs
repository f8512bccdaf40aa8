//! Compose projects on the engine that are ours.

use std::collections::BTreeMap;

use longshore::{Container, ContainerRuntime, ContainerState, HealthStatus, ProjectName, labels};

use crate::{
    api::{Problem, ProjectInfo, ProjectList, ServiceInfo},
    fleet::Fleet,
};

impl Fleet {
    /// Asks the engine for them.
    ///
    /// # Errors
    /// When it does not answer.
    pub(crate) async fn projects(&self) -> Result<ProjectList, Problem> {
        let runtime = &self.inner.runtime;
        let mut projects = Vec::new();
        for summary in runtime.projects().await.map_err(|error| Problem::from(&error))? {
            let Ok(name) = ProjectName::new(summary.name) else { continue };
            let mut containers = runtime.ps(&name).await.map_err(|error| Problem::from(&error))?;
            containers.retain(|container| container.label(labels::OWNER) == Some(self.inner.owner.as_str()));
            if !containers.is_empty() {
                projects.push(ProjectInfo { name: name.to_string(), services: services(&containers) });
            }
        }
        Ok(ProjectList { projects })
    }
}

fn services(containers: &[Container]) -> Vec<ServiceInfo> {
    let mut services: BTreeMap<&str, Vec<&Container>> = BTreeMap::new();
    for container in containers {
        services.entry(container.service().unwrap_or_default()).or_default().push(container);
    }
    let info = |(name, containers): (&str, Vec<&Container>)| {
        let worst = containers.iter().map(|container| state(container)).max().unwrap_or(State::Stopped);
        let health = containers
            .iter()
            .filter_map(|one| one.health.as_ref())
            .map(|health| health.status)
            .max_by_key(|health| badness(*health));
        let depends_on = containers.first().and_then(|one| one.label(labels::DEPENDS_ON)).unwrap_or_default();
        ServiceInfo {
            name: name.to_owned(),
            state: worst.word().to_owned(),
            health: health.map(|health| health.as_str().to_owned()),
            containers: containers.len(),
            depends_on: dependencies(depends_on),
        }
    };
    services.into_iter().map(info).collect()
}

/// The services of a label like `db:service_healthy:false,cache:service_started:true`.
fn dependencies(label: &str) -> Vec<String> {
    let name =
        |part: &str| part.split(':').next().map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned);
    let mut names: Vec<String> = label.split(',').filter_map(name).collect();
    names.sort();
    names.dedup();
    names
}

/// From good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Running,
    Starting,
    Stopped,
    Failed,
    Unhealthy,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Starting => "starting",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
            Self::Unhealthy => "unhealthy",
        }
    }
}

fn badness(health: HealthStatus) -> u8 {
    match health {
        HealthStatus::Healthy => 0,
        HealthStatus::Starting => 1,
        _ => 2,
    }
}

fn state(container: &Container) -> State {
    match (container.state, container.health.as_ref().map(|health| health.status)) {
        (ContainerState::Running, Some(HealthStatus::Unhealthy)) => State::Unhealthy,
        (ContainerState::Running, Some(HealthStatus::Starting)) => State::Starting,
        (ContainerState::Running, _) => State::Running,
        (ContainerState::Restarting | ContainerState::Created, _) => State::Starting,
        (ContainerState::Exited, _)
            if container.exit_code.is_some_and(|code| ![0, 130, 137, 143].contains(&code)) =>
        {
            State::Failed
        }
        (ContainerState::Dead, _) => State::Failed,
        _ => State::Stopped,
    }
}

#[cfg(test)]
mod tests {
    use longshore::ContainerId;

    use super::*;

    #[test]
    fn a_service_is_as_the_worst_of_its_containers() {
        let container = |service: &str, state, code| {
            let mut one = Container::new(ContainerId("1".to_owned()), "n", "i", state);
            one.labels.insert(labels::SERVICE.to_owned(), service.to_owned());
            one.labels.insert(
                labels::DEPENDS_ON.to_owned(),
                "db:service_healthy:false,a:service_started:true".to_owned(),
            );
            one.exit_code = code;
            one
        };
        let told = services(&[
            container("web", ContainerState::Running, None),
            container("web", ContainerState::Exited, Some(3)),
            container("db", ContainerState::Exited, Some(137)),
        ]);
        let told: Vec<_> =
            told.iter().map(|one| (one.name.as_str(), one.state.as_str(), one.containers)).collect();
        assert_eq!(told, [("db", "stopped", 1), ("web", "failed", 2)]);
        assert_eq!(dependencies("db:service_healthy:false,a:service_started:true"), ["a", "db"]);
        assert_eq!(dependencies(""), Vec::<String>::new());
    }
}
