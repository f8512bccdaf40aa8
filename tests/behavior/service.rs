//! Podman's API service that is ours: who has it, what its death is, and that nothing is left of it.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use compose_file::Project;
use futures_util::StreamExt;
use longshore_tests::{Backend, Case, Failed, Outcome, Suite, behaviours, options, refused, variable};
use runtime_core::{
    Call, Compose, ContainerFilter, ContainerRuntime, Engine, Error, Projects, RuntimeKind, ShutdownOptions,
    UpOptions, labels,
};
use runtime_podman::{PodmanConfig, PodmanEngine, Via};
use tokio::process::Command;

use crate::processes::{is_gone, podman_but, podman_that};

pub(crate) fn tests(suite: &mut Suite) {
    fn is_over_the_service(backend: &Backend) -> bool {
        backend.name == "podman-api"
    }
    behaviours!(suite, if is_over_the_service;
        a_service_that_is_killed_is_told_and_the_next_call_starts_another,
        a_shutdown_leaves_no_service_and_no_socket,
        a_service_that_is_dropped_is_gone,
        its_socket_is_nobody_elses,
        one_service_is_for_all_who_share_an_engine,
        what_is_made_either_way_is_the_same_the_other_way,
        without_a_service_commands_do_it,
        a_service_of_somebodys_is_asked_and_stays,
    );
}

const TEXT: &str = "
services:
  web:
    image: localhost/longshore-fixture:1
    command: [serve]
    environment: {A: b}
    ports: ['127.0.0.1::8080']
    volumes: ['data:/data', '/anonymous']
    healthcheck: {test: [CMD, /fixture, health], interval: 1s}
    stop_grace_period: 2s
  job: {image: 'localhost/longshore-fixture:1', command: [exit, '3']}
volumes:
  data:
";

/// A runtime whose service writes down who it is, and where.
struct Noted {
    runtime: std::sync::Arc<dyn ContainerRuntime>,
    id: PathBuf,
    words: PathBuf,
}

impl Noted {
    fn new(case: &Case) -> Result<Self, Failed> {
        let (id, words) = (case.dir().join("id"), case.dir().join("words"));
        let note = format!("echo $$ >{}; echo \"$@\" >{}", id.display(), words.display());
        let program = podman_that(case, "system", &note)?;
        Ok(Self { runtime: case.backend().with_program(&program, Duration::from_secs(60))?, id, words })
    }

    async fn up(&self, project: &Project) -> Outcome {
        self.runtime.up(project, &UpOptions::default(), &Call::default()).await?;
        Ok(())
    }

    fn id(&self) -> Result<String, Failed> {
        Ok(fs::read_to_string(&self.id)?.trim().to_owned())
    }

    fn socket(&self) -> Result<PathBuf, Failed> {
        let words = fs::read_to_string(&self.words)?;
        let socket = words.split_once("unix://").ok_or("it has no socket")?.1.trim();
        Ok(socket.into())
    }

    /// Its folder, while there is one.
    fn folder(&self) -> Result<PathBuf, Failed> {
        let socket = self.socket()?;
        assert!(socket.exists(), "{socket:?}");
        Ok(socket.parent().ok_or("it is nowhere")?.to_owned())
    }
}

async fn a_service_that_is_killed_is_told_and_the_next_call_starts_another(case: Case) -> Outcome {
    let project = case.sleeper("")?;
    let noted = Noted::new(&case)?;
    noted.up(&project).await?;
    let id = noted.id()?;
    let mut changes = noted.runtime.watch(case.name()).await?;
    let (sent, killed) = (Command::new("kill").args(["-KILL", &id]).status().await?, is_gone(&id));
    assert!(sent.success());
    killed.await?;
    let error = loop {
        match changes.next().await {
            Some(Ok(_)) => {}
            Some(Err(error)) => break error,
            None => return Err("it ended without an error".into()),
        }
    };
    let is_told = matches!(&error, Error::NotReachable { engine: RuntimeKind::Podman, endpoint, .. }
        if endpoint.contains("api.sock"));
    assert!(is_told, "{error:?}");
    assert!(error.help().is_some());
    assert_eq!(noted.runtime.ps(&project.name).await?.len(), 1);
    assert_eq!(noted.runtime.up(&project, &UpOptions::default(), &Call::default()).await?.steps, 0);
    assert!(!noted.socket()?.exists(), "what was killed leaves nothing");
    Ok(())
}

async fn a_shutdown_leaves_no_service_and_no_socket(case: Case) -> Outcome {
    let project = case.sleeper("")?;
    let noted = Noted::new(&case)?;
    noted.up(&project).await?;
    let folder = noted.folder()?;
    let mut options = ShutdownOptions::default();
    options.projects = Projects::Only([project.name.clone()].into());
    let outcome = noted.runtime.shutdown(&options, &Call::default()).await?;
    assert!(outcome.stopped.contains(&project.name), "{outcome:?}");
    assert!(!Path::new("/proc").join(noted.id()?).exists(), "not even as one that nobody has reaped");
    assert!(!folder.exists());
    Ok(())
}

async fn a_service_that_is_dropped_is_gone(case: Case) -> Outcome {
    let project = case.sleeper("")?;
    let noted = Noted::new(&case)?;
    noted.up(&project).await?;
    let (id, folder) = (noted.id()?, noted.folder()?);
    let mut changes = noted.runtime.watch(case.name()).await?;
    drop(noted);
    assert!(folder.exists(), "somebody still listens");
    case.stop(&project).await?;
    changes.next().await.ok_or("it ended")??;
    drop(changes);
    is_gone(&id).await?;
    // The task that listened has it last.
    while folder.exists() {
        tokio::task::yield_now().await;
    }
    Ok(())
}

async fn its_socket_is_nobody_elses(case: Case) -> Outcome {
    use std::os::unix::fs::PermissionsExt;
    let noted = Noted::new(&case)?;
    noted.runtime.ensure_ready(&Call::default()).await?;
    assert_eq!(fs::metadata(noted.folder()?)?.permissions().mode() & 0o777, 0o700);
    Ok(())
}

async fn one_service_is_for_all_who_share_an_engine(case: Case) -> Outcome {
    let starts = case.dir().join("starts");
    let program = podman_but(&case, &format!("[ \"$1\" != system ] || echo x >>{}", starts.display()))?;
    let runtime = case.backend().with_program(&program, Duration::from_secs(60))?;
    let asks = (0..8).map(|_| runtime.list_running(case.name()));
    for listed in futures_util::future::join_all(asks).await {
        listed?;
    }
    assert_eq!(fs::read_to_string(&starts)?, "x\n");
    Ok(())
}

fn podman(via: Via) -> PodmanConfig {
    let mut config = PodmanConfig::default();
    config.via = via;
    config
}

async fn what_is_made_either_way_is_the_same_the_other_way(case: Case) -> Outcome {
    let by_commands = PodmanEngine::new(podman(Via::Cli));
    let ours = Compose::new(by_commands.clone()).with_owner("longshore-tests");
    for (suffix, by_api) in [("a", true), ("c", false)] {
        let project = case.project_named(suffix, TEXT)?;
        // A job that has ended would be run again.
        let web = options(|o| o.services = ["web".to_owned()].into());
        let (all, call) = (UpOptions::default(), Call::default());
        if by_api {
            case.up(&project).await?;
            assert_eq!(ours.up(&project, &web, &call).await?.steps, 0, "commands find it as it should be");
        } else {
            ours.up(&project, &all, &call).await?;
            assert_eq!(case.up_with(&project, &web).await?.steps, 0, "the service finds it as it should be");
        }
        case.output(&project, "job").await?;
        let label = (labels::PROJECT.to_owned(), Some(project.name.to_string()));
        let filter = ContainerFilter { labels: vec![label], ..ContainerFilter::default() };
        let mut lists = [case.engine().list(&filter).await?, by_commands.list(&filter).await?];
        for list in &mut lists {
            list.sort_by(|one, other| one.name.cmp(&other.name));
            // What a check said just now is not the same a moment later.
            list.iter_mut().for_each(|one| one.health = None);
        }
        let [service, commands] = lists;
        assert_eq!(service, commands);
        assert_eq!(service.len(), 2);
    }
    Ok(())
}

async fn without_a_service_commands_do_it(case: Case) -> Outcome {
    let program = podman_but(&case, "[ \"$1\" != system ] || exit 125")?;
    let mut config = podman(Via::Auto);
    config.program = Some(program.clone());
    let runtime = Compose::new(PodmanEngine::new(config)).with_owner("longshore-tests");
    let project = case.sleeper("")?;
    runtime.up(&project, &UpOptions::default(), &Call::default()).await?;
    assert_eq!(case.ps(&project).await?.len(), 1);
    let mut config = podman(Via::Api);
    config.program = Some(program);
    let error = refused(PodmanEngine::new(config).info().await)?;
    assert!(matches!(&error, Error::Command(failure) if failure.exit_code == Some(125)), "{error:?}");
    Ok(())
}

async fn a_service_of_somebodys_is_asked_and_stays(case: Case) -> Outcome {
    let socket = variable("LONGSHORE_TEST_PODMAN_SOCKET")?;
    let mut config = podman(Via::Api);
    config.url = Some(format!("unix://{socket}"));
    let runtime = Compose::new(PodmanEngine::new(config)).with_owner("longshore-tests");
    let project = case.sleeper("")?;
    runtime.up(&project, &UpOptions::default(), &Call::default()).await?;
    assert_eq!(case.ps(&project).await?.len(), 1);
    let mut options = ShutdownOptions::default();
    options.projects = Projects::Only([project.name.clone()].into());
    runtime.shutdown(&options, &Call::default()).await?;
    assert!(tokio::net::UnixStream::connect(&socket).await.is_ok());
    Ok(())
}
