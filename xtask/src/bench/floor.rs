//! What a project costs at least: the bare calls of the engine, all at once, with nothing between them that decides.

use bollard::{
    API_DEFAULT_VERSION, Docker,
    models::{ContainerCreateBody, HostConfig, NetworkCreateRequest},
    query_parameters::{
        CreateContainerOptionsBuilder, ListContainersOptionsBuilder, RemoveContainerOptionsBuilder,
        StartContainerOptions, StopContainerOptionsBuilder,
    },
};
use futures_util::future::try_join_all;

use super::{Outcome, command, finished, life::Step};

/// The name of what the floor makes.
const NAME: &str = "bench-floor";
/// What the containers do until they are told to end.
const SCRIPT: &str = "trap 'exit 0' TERM; sleep 100000 & wait";

/// Requests of the API.
#[derive(Debug)]
pub(crate) struct Requests {
    pub(crate) docker: Docker,
    pub(crate) services: u32,
    pub(crate) image: String,
}

fn names(services: u32) -> Vec<String> {
    (0..services).map(|index| format!("{NAME}-{index}")).collect()
}

impl Requests {
    pub(crate) fn to(socket: &str, services: u32, image: &str) -> Outcome<Self> {
        let docker = Docker::connect_with_unix(socket, 120, API_DEFAULT_VERSION)?;
        Ok(Self { docker, services, image: image.to_owned() })
    }

    pub(crate) async fn run(&self, step: Step) -> Outcome {
        let docker = &self.docker;
        let names = names(self.services);
        match step {
            Step::Up => {
                docker
                    .create_network(NetworkCreateRequest { name: NAME.to_owned(), ..Default::default() })
                    .await?;
                try_join_all(names.iter().map(|name| self.start(name))).await?;
            }
            Step::Again => {
                self.list().await?;
            }
            Step::Stop => {
                let options = || StopContainerOptionsBuilder::new().t(10).build();
                try_join_all(names.iter().map(|name| docker.stop_container(name, Some(options())))).await?;
            }
            Step::Down => {
                let options = || RemoveContainerOptionsBuilder::new().force(true).v(true).build();
                try_join_all(names.iter().map(|name| docker.remove_container(name, Some(options())))).await?;
                docker.remove_network(NAME).await?;
            }
        }
        Ok(())
    }

    async fn start(&self, name: &str) -> Result<(), bollard::errors::Error> {
        let body = ContainerCreateBody {
            image: Some(self.image.clone()),
            cmd: Some(["sh", "-c", SCRIPT].map(str::to_owned).into()),
            host_config: Some(HostConfig { network_mode: Some(NAME.to_owned()), ..Default::default() }),
            ..Default::default()
        };
        let options = CreateContainerOptionsBuilder::new().name(name).build();
        self.docker.create_container(Some(options), body).await?;
        self.docker.start_container(name, None::<StartContainerOptions>).await
    }

    async fn list(&self) -> Outcome {
        let filters = [("name".to_owned(), vec![NAME.to_owned()])].into_iter().collect();
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        self.docker.list_containers(Some(options)).await?;
        Ok(())
    }

    /// One list of what runs of a project.
    pub(crate) async fn list_project(&self, name: &str) -> Outcome {
        let filters =
            [("label".to_owned(), vec![format!("com.docker.compose.project={name}")])].into_iter().collect();
        let options = ListContainersOptionsBuilder::new().filters(&filters).build();
        self.docker.list_containers(Some(options)).await?;
        Ok(())
    }
}

/// Takes away what a floor that failed has left.
pub(crate) async fn sweep(engine: &[&str], services: u32) {
    let names = names(services);
    let Some((program, before)) = engine.split_first() else { return };
    // Mostly there is nothing.
    let remove = [before, &words(&["rm", "--force"], &names)].concat();
    let _ = finished(command(program.as_ref(), &remove)).await;
    let _ = finished(command(program.as_ref(), &[before, &["network", "rm", NAME]].concat())).await;
}

/// Podman's commands.
#[derive(Debug)]
pub(crate) struct Commands {
    /// The words before each, which say where.
    pub(crate) before: &'static [&'static str],
    pub(crate) services: u32,
    pub(crate) image: String,
}

impl Commands {
    pub(crate) async fn run(&self, step: Step) -> Outcome {
        let names = names(self.services);
        match step {
            Step::Up => {
                self.podman(&["network", "create", NAME]).await?;
                try_join_all(names.iter().map(|name| async move {
                    self.podman(&[
                        "run",
                        "-d",
                        "--name",
                        name,
                        "--network",
                        NAME,
                        &self.image,
                        "sh",
                        "-c",
                        SCRIPT,
                    ])
                    .await
                }))
                .await?;
            }
            Step::Again => {
                self.podman(&["ps", "--all", "--filter", &format!("name={NAME}"), "--format", "json"]).await?
            }
            Step::Stop => self.podman(&words(&["stop", "--time", "10"], &names)).await?,
            Step::Down => {
                self.podman(&words(&["rm", "--force", "--volumes"], &names)).await?;
                self.podman(&["network", "rm", NAME]).await?;
            }
        }
        Ok(())
    }

    async fn podman(&self, words: &[&str]) -> Outcome {
        finished(command("podman".as_ref(), &[self.before, words].concat())).await.map(drop)
    }
}

fn words<'a>(first: &[&'a str], names: &'a [String]) -> Vec<&'a str> {
    first.iter().copied().chain(names.iter().map(String::as_str)).collect()
}
