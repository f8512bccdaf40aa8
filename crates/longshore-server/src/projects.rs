//! Compose projects on the engine that are ours.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, TryStreamExt, stream};
use longshore::{Container, ContainerRuntime, ContainerState, HealthStatus, ProjectName, labels};

use crate::{
    agent::fell,
    api::{Problem, ProjectInfo, ProjectList, ServiceInfo, ServiceState},
    fleet::Fleet,
};

/// How many projects the engine is asked of at once.
const AT_ONCE: usize = 8;

impl Fleet {
    /// Asks the engine for them.
    ///
    /// # Errors
    /// When it does not answer.
    pub(crate) async fn projects(&self) -> Result<ProjectList, Problem> {
        let runtime = self.inner.status.runtime();
        let summaries = runtime.projects().await.map_err(|error| Problem::from(&error))?;
        let names = summaries.into_iter().filter_map(|summary| ProjectName::new(summary.name).ok());
        let asked = names.map(|name| {
            let runtime = &runtime;
            async move {
                let mut containers = runtime.ps(&name).await.map_err(|error| Problem::from(&error))?;
                containers.retain(|one| one.label(labels::OWNER) == Some(self.inner.owner.as_str()));
                let info = || ProjectInfo { name: name.to_string(), services: services(&containers) };
                Ok::<_, Problem>((!containers.is_empty()).then(info))
            }
        });
        let projects: Vec<Option<ProjectInfo>> = stream::iter(asked).buffered(AT_ONCE).try_collect().await?;
        Ok(ProjectList { projects: projects.into_iter().flatten().collect() })
    }
}

fn services(containers: &[Container]) -> Vec<ServiceInfo> {
    let mut services: BTreeMap<&str, Vec<&Container>> = BTreeMap::new();
    for container in containers {
        // During `up` what others depend on may have no container yet, or none any more.
        for needed in dependencies(container) {
            services.entry(needed).or_default();
        }
        services.entry(container.service().unwrap_or_default()).or_default().push(container);
    }
    let info = |(name, containers): (&str, Vec<&Container>)| {
        let worst = containers.iter().map(|container| state(container)).max().unwrap_or(ServiceState::Absent);
        let health = containers
            .iter()
            // What one was when it ended is of no use.
            .filter(|one| one.state == ContainerState::Running)
            .filter_map(|one| one.health.as_ref())
            .map(|health| health.status)
            .max_by_key(|health| badness(*health));
        ServiceInfo {
            name: name.to_owned(),
            state: worst,
            health: health.map(|health| health.as_str().to_owned()),
            containers: containers.len(),
            depends_on: containers
                .first()
                .map_or_else(Vec::new, |one| dependencies(one).into_iter().map(str::to_owned).collect()),
        }
    };
    services.into_iter().map(info).collect()
}

/// The services that its label names.
fn dependencies(container: &Container) -> BTreeSet<&str> {
    let label = container.label(labels::DEPENDS_ON).unwrap_or_default();
    labels::depends_on(label).map(|needed| needed.service).collect()
}

fn badness(health: HealthStatus) -> u8 {
    match health {
        HealthStatus::Healthy => 0,
        HealthStatus::Starting => 1,
        _ => 2,
    }
}

fn state(container: &Container) -> ServiceState {
    match (container.state, container.health.as_ref().map(|health| health.status)) {
        (ContainerState::Running, Some(HealthStatus::Unhealthy)) => ServiceState::Unhealthy,
        (ContainerState::Running, Some(HealthStatus::Starting)) => ServiceState::Starting,
        (ContainerState::Running, _) => ServiceState::Running,
        (ContainerState::Restarting | ContainerState::Created, _) => ServiceState::Starting,
        (ContainerState::Exited, _) if fell(container) => ServiceState::Failed,
        (ContainerState::Dead, _) => ServiceState::Failed,
        _ => ServiceState::Stopped,
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
        let told: Vec<_> = told
            .iter()
            .map(|one| (one.name.as_str(), one.state, one.containers, one.depends_on.len()))
            .collect();
        assert_eq!(
            told,
            [
                ("a", ServiceState::Absent, 0, 0),
                ("db", ServiceState::Stopped, 1, 2),
                ("web", ServiceState::Failed, 2, 2)
            ]
        );
    }
}
