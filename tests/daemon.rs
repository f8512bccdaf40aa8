//! Rule 7 with a daemon that dies in the middle: a Docker and a Podman service of these tests' own, on sockets of their own.
//!
//! | variable | meaning |
//! |---|---|
//! | `LONGSHORE_TEST_DOCKERD` | Docker's daemon; root runs it |
//! | `LONGSHORE_TEST_ROOT` | an archive with the test program, for an image in that daemon |

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use compose_file::{Condition, LoadOptions, Project, load_str};
use futures_util::StreamExt;
use libtest_mimic::{Arguments, Trial};
use longshore_tests::{Failed, IMAGE, Outcome, completed, refused, said, variable};
use runtime_core::{
    Call, Compose, ContainerRuntime, DownOptions, Error, Phase, RemoveVolumes, Scope, Sought, Target,
    UpOptions, UpOutcome, Work,
};
use runtime_docker::{DockerConfig, DockerEngine};
use tempfile::TempDir;

/// How long a daemon may take to answer.
const GREETING: Duration = Duration::from_secs(60);
/// How long it may take to end.
const FAREWELL: Duration = Duration::from_secs(30);
/// How long a test may take.
const PATIENCE: Duration = Duration::from_secs(240);

static COUNTER: AtomicUsize = AtomicUsize::new(0);

/// What listens at the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Program {
    /// In a network namespace of its own, because this computer's is another one's.
    Docker,
    /// Only its service is the test's own: what it makes is with everything else of Podman's.
    Podman,
}

#[derive(Debug)]
struct Daemon {
    program: Program,
    name: String,
    folder: TempDir,
    process: Mutex<Option<Child>>,
}

impl Daemon {
    fn new(program: Program) -> Result<Self, Failed> {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("lst{}d{number}", std::process::id());
        Ok(Self { program, name, folder: tempfile::tempdir()?, process: Mutex::default() })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn host(&self) -> String {
        format!("unix://{}", self.path("socket").display())
    }

    fn command(&self) -> Result<Command, Failed> {
        if self.program == Program::Podman {
            let mut command = Command::new("podman");
            command.args(["system", "service", "--time", "0", &self.host()]);
            return Ok(command);
        }
        // A daemon without a bridge removes the one that it finds, so this one sees no network of this computer's.
        let mut command = Command::new("unshare");
        command.args(["--net", "--"]).arg(variable("LONGSHORE_TEST_DOCKERD")?);
        fs::write(self.path("daemon.json"), "{}")?;
        for (flag, name) in [
            ("--config-file", "daemon.json"),
            ("--data-root", "data"),
            ("--exec-root", "exec"),
            ("--pidfile", "pid"),
        ] {
            command.arg(flag).arg(self.path(name));
        }
        command.args(["--host", &self.host(), "--bridge", "none", "--iptables=false", "--ip-forward=false"]);
        // Where the system has a containerd, the daemons share it.
        command.args(["--containerd-namespace", &self.name, "--containerd-plugins-namespace"]);
        command.arg(format!("{}-plugins", self.name));
        Ok(command)
    }

    /// Starts it and waits until it answers.
    async fn start(&self) -> Outcome {
        // Those of a daemon that was killed. Its containerd ended with it, and where nobody reaps, the next daemon would wait
        // for what is left of that one.
        for left in ["pid", "exec/containerd/containerd.pid", "socket"] {
            let _ = fs::remove_file(self.path(left));
        }
        let mut command = self.command()?;
        let log = fs::File::options().create(true).append(true).open(self.path("log"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().map_err(|error| Failed::NotHere(format!("{command:?}: {error}")))?;
        *self.lock() = Some(child);
        let answers = async {
            while self.runtime().ensure_ready(&Call::default()).await.is_err() {
                if let Some(child) = &mut *self.lock()
                    && let Some(status) = child.try_wait()?
                {
                    return Err(format!("it ended with {status}").into());
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Ok(())
        };
        let outcome = tokio::time::timeout(GREETING, answers).await;
        outcome.unwrap_or_else(|_| Err("it does not answer".into())).map_err(|failed: Failed| {
            let log = fs::read_to_string(self.path("log")).unwrap_or_default();
            let last: Vec<&str> = log.lines().rev().take(10).collect();
            format!("{}: {last:#?}", failed.message()).into()
        })
    }

    fn lock(&self) -> MutexGuard<'_, Option<Child>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends it without a word; what runs its containers lives on.
    fn kill(&self) {
        if let Some(mut child) = self.lock().take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn runtime(&self) -> Compose {
        let mut config = DockerConfig::default();
        config.host = Some(self.host());
        Compose::new(DockerEngine::new(config)).with_owner("longshore-tests")
    }

    /// Gives it the image, which a Podman has already.
    fn import(&self) -> Outcome {
        if self.program == Program::Podman {
            return match said(&Command::new("podman").args(["image", "exists", IMAGE]).output()?) {
                Ok(_) => Ok(()),
                Err(_) => Err(Failed::NotHere(format!("podman has no image {IMAGE}"))),
            };
        }
        let root = variable("LONGSHORE_TEST_ROOT")?;
        let mut docker = Command::new("docker");
        docker.args(["--host", &self.host(), "import", "-c", "ENTRYPOINT [\"/fixture\"]", &root, IMAGE]);
        said(&docker.stdin(Stdio::null()).output()?).map(|_| ())
    }

    /// Four services, one after the other, and what they can leave behind.
    fn project(&self) -> Result<Project, Failed> {
        let text = format!(
            "
x-all: &all
  image: {IMAGE}
  command: [sleep]
  network_mode: none
  volumes: ['data:/data']
  stop_grace_period: 1s
services:
  a: *all
  b: {{<<: *all, depends_on: [a]}}
  c:
    <<: *all
    command: [serve]
    depends_on: [b]
    healthcheck: {{test: [CMD, /fixture, health], interval: 500ms, timeout: 30s, retries: 100}}
  d: {{<<: *all, depends_on: {{c: {{condition: service_healthy}}}}}}
volumes:
  data:
"
        );
        let mut options = LoadOptions::new(self.folder.path());
        options.project_name = Some(self.name.clone());
        Ok(load_str("compose.yaml", &text, &options)?)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let Some(mut child) = self.lock().take() else { return };
        // Asked to, it ends its containers and its containerd too.
        let _ = Command::new("kill").arg(child.id().to_string()).status();
        let begin = Instant::now();
        while begin.elapsed() < FAREWELL && matches!(child.try_wait(), Ok(None)) {
            thread::sleep(Duration::from_millis(20));
        }
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// When the daemon is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    /// Before it is asked for what has begun.
    Before,
    /// About when it does it. It may be through with everything before the signal comes.
    Meanwhile,
}

/// Where a call is cut.
#[derive(Debug, Clone, Copy)]
struct Place {
    work: Work,
    service: &'static str,
    when: When,
}

/// A call whose daemon is killed at that place.
fn cut(daemon: &Arc<Daemon>, Place { work, service, when }: Place) -> Call {
    let (daemon, name) = (daemon.clone(), format!("{}-{service}-1", daemon.name));
    Call::reporting(move |event| {
        if event.phase != Phase::Began(work) || event.subject.name() != name {
            return;
        }
        match when {
            When::Before => daemon.kill(),
            When::Meanwhile => {
                let daemon = daemon.clone();
                thread::spawn(move || daemon.kill());
            }
        }
    })
}

/// What a call came to whose daemon died: one error, which says that nobody answers and what to do.
fn is_cut<T>(outcome: Result<T, Error>, place: Place) -> Outcome {
    match outcome {
        Err(error @ Error::NotReachable { .. }) if error.help().is_some() => Ok(()),
        Ok(_) if place.when == When::Meanwhile => Ok(()),
        Ok(_) => Err(format!("{place:?}: it succeeded").into()),
        Err(error) => Err(format!("{place:?}: {error:?}").into()),
    }
}

fn with_volumes() -> DownOptions {
    let mut options = DownOptions::default();
    options.volumes = RemoveVolumes::Yes;
    options
}

async fn up(runtime: &Compose, project: &Project) -> Result<UpOutcome, Error> {
    runtime.up(project, &UpOptions::default(), &Call::default()).await
}

async fn is_completed(runtime: &Compose, project: &Project) -> Outcome {
    up(runtime, project).await?;
    let containers = runtime.ps(&project.name).await?;
    assert_eq!(containers.len(), project.services.len(), "{containers:#?}");
    assert!(containers.iter().all(|one| one.state.is_running()), "{containers:#?}");
    assert_eq!(up(runtime, project).await?.steps, 0);
    Ok(())
}

async fn is_gone(runtime: &Compose, project: &Project) -> Outcome {
    runtime.down(&Target::from(project), &with_volumes(), &Call::default()).await?;
    let scope = Scope {
        networks: Sought::of_project(),
        volumes: Sought::of_project(),
        ..Scope::new(project.name.clone())
    };
    let left = runtime.engine().observe(&scope).await?;
    assert!(left.containers.is_empty() && left.networks.is_empty() && left.volumes.is_empty(), "{left:#?}");
    Ok(())
}

async fn rule_7_a_daemon_that_dies_in_the_middle_of_up_is_no_end(daemon: Arc<Daemon>) -> Outcome {
    use When::{Before, Meanwhile};
    let project = daemon.project()?;
    // One runtime for all: nothing of a connection that died is kept.
    let runtime = daemon.runtime();
    for place in [
        Place { work: Work::Create, service: "b", when: Meanwhile },
        Place { work: Work::Start, service: "b", when: Before },
        Place { work: Work::Wait(Condition::ServiceHealthy), service: "c", when: Meanwhile },
    ] {
        is_cut(runtime.up(&project, &UpOptions::default(), &cut(&daemon, place)).await, place)?;
        daemon.kill();
        let list = refused(runtime.list_running(&daemon.name).await)?;
        assert!(matches!(list, Error::NotReachable { .. }), "what cannot be read is not empty: {list:?}");
        daemon.start().await?;
        is_completed(&runtime, &project).await?;
        is_gone(&runtime, &project).await?;
    }
    Ok(())
}

async fn rule_7_a_daemon_that_dies_in_the_middle_of_down_is_no_end(daemon: Arc<Daemon>) -> Outcome {
    use When::{Before, Meanwhile};
    let project = daemon.project()?;
    let runtime = daemon.runtime();
    for place in [
        Place { work: Work::Stop, service: "c", when: Before },
        Place { work: Work::Remove, service: "d", when: Meanwhile },
    ] {
        up(&runtime, &project).await?;
        let target = Target::from(&project);
        is_cut(runtime.down(&target, &with_volumes(), &cut(&daemon, place)).await, place)?;
        daemon.kill();
        daemon.start().await?;
        is_gone(&runtime, &project).await?;
    }
    Ok(())
}

/// Reads to its end what is told to callers; nothing was done meanwhile.
async fn a_daemon_that_dies_is_the_end_of_a_watch(daemon: Arc<Daemon>) -> Outcome {
    let runtime = daemon.runtime();
    let changes = runtime.watch(&daemon.name).await?;
    daemon.kill();
    let told: Vec<_> = changes.collect().await;
    if !matches!(&told[..], [Err(Error::NotReachable { .. })]) {
        return Err(format!("{told:?}").into());
    }
    let error = refused(runtime.watch(&daemon.name).await.map(|_| ()))?;
    assert!(matches!(error, Error::NotReachable { .. }), "{error:?}");
    daemon.start().await?;
    drop(runtime.watch(&daemon.name).await?);
    Ok(())
}

async fn run<F: Future<Output = Outcome> + Send + 'static>(
    program: Program,
    test: impl FnOnce(Arc<Daemon>) -> F,
) -> Outcome {
    let daemon = Arc::new(Daemon::new(program)?);
    daemon.start().await?;
    daemon.import()?;
    let outcome = match tokio::spawn(tokio::time::timeout(PATIENCE, test(daemon.clone()))).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => Err(format!("it took longer than {PATIENCE:?}").into()),
        Err(panicked) => Err(panicked.into()),
    };
    if outcome.is_err() {
        // What it made goes in any case.
        daemon.kill();
        if daemon.start().await.is_ok() {
            let target = Target::from(daemon.project()?);
            let _ = daemon.runtime().down(&target, &with_volumes(), &Call::default()).await;
        }
    }
    outcome
}

fn trial<F: Future<Output = Outcome> + Send + 'static>(
    backend: &'static str,
    program: Program,
    name: &str,
    test: impl FnOnce(Arc<Daemon>) -> F + Send + 'static,
) -> Trial {
    Trial::ignorable_test(format!("{backend}::{name}"), move || {
        let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        completed(tokio.block_on(run(program, test)), backend)
    })
}

fn main() {
    let mut trials = Vec::new();
    for (backend, program) in [("docker", Program::Docker), ("docker-over-podman", Program::Podman)] {
        macro_rules! trials {
            ($($name:ident),+ $(,)?) => {
                $(trials.push(trial(backend, program, stringify!($name), $name));)+
            };
        }
        trials![
            rule_7_a_daemon_that_dies_in_the_middle_of_up_is_no_end,
            rule_7_a_daemon_that_dies_in_the_middle_of_down_is_no_end,
            a_daemon_that_dies_is_the_end_of_a_watch,
        ];
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit()
}
