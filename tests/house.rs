//! A server of one test's own, on one engine, and what is behind its back.

use std::{
    collections::BTreeSet,
    fs,
    panic::AssertUnwindSafe,
    path::{Path, PathBuf},
    process::{self, Command},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use compose_file::ProjectName;
use futures_util::{FutureExt, StreamExt, future::BoxFuture};
use libtest_mimic::Trial;
use longshore::{
    AnyRuntime, Availability, Call, Compose, Config, ContainerRuntime, DownOptions, MachineChoice,
    MachineStatus, PortRange, ProjectSummary, RemoveVolumes, RuntimeChoice, Target,
    mock::{MockEngine, MockMachine},
};
use longshore_server::{
    Server,
    api::{Agent, AgentState, ChatRequest, CreateAgent, LogQuery, Problem, ShutdownReport},
    client::{Client, ClientError, LogEvent, ServerEvent},
};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{Failed, Outcome, completed, sentence};

static COUNTER: AtomicUsize = AtomicUsize::new(0);
/// Each house has as many ports of its own.
const PORTS: u16 = 60;

/// A server, and its state.
#[derive(Debug)]
pub struct House {
    /// What it is built on.
    pub engine: Engine,
    /// The same engine, for looking behind the server's back.
    pub runtime: AnyRuntime,
    /// The server's configuration, from its next start on.
    pub config: Config,
    /// The folder of all its files.
    pub dir: Arc<TempDir>,
    /// What its projects' names begin with.
    pub prefix: String,
    /// The machine that the engine in memory lives in.
    pub machine: Option<MockMachine>,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    client: Client,
    url: String,
    token: String,
    link: String,
    end: CancellationToken,
    task: JoinHandle<Result<ShutdownReport, Problem>>,
}

/// The engines that it is tried on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// The one in memory.
    Mock,
    /// Podman.
    Podman,
    /// Docker.
    Docker,
}

impl Engine {
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::Mock, Self::Podman, Self::Docker];

    /// What `LONGSHORE_REQUIRE` calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mock => "mock",
            Self::Podman => "podman",
            Self::Docker => "docker",
        }
    }

    fn choice(self) -> RuntimeChoice {
        match self {
            Self::Mock => RuntimeChoice::Mock,
            Self::Podman => RuntimeChoice::Podman,
            Self::Docker => RuntimeChoice::Docker,
        }
    }
}

impl House {
    /// A house whose server is not started yet.
    pub async fn build(engine: Engine) -> Result<Self, Failed> {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let dir = Arc::new(tempfile::tempdir()?);
        let prefix = format!("lss{}x{number}-", process::id());
        let mut config = Config::default();
        config.runtime = Some(engine.choice());
        config.owner = Some("longshore-tests".to_owned());
        config.serve.listen = Some("127.0.0.1:0".parse()?);
        config.serve.state = Some(dir.path().join("state"));
        config.serve.prefix = Some(prefix.clone());
        config.serve.ports = Some(ports(number)?);
        config.serve.template = Some("test".to_owned());
        let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("server/template");
        config.serve.templates.insert("test".to_owned(), template);
        let runtime = AnyRuntime::connect(&config).await?;
        Ok(Self { engine, runtime, config, dir, prefix, machine: None, running: None })
    }

    /// Starts the server, on the same engine and the same state as before. A runtime that was shut down is made anew; the
    /// engine in memory is the same.
    pub async fn start(&mut self) -> Outcome {
        self.runtime = match &self.runtime {
            AnyRuntime::Mock(_, engine) => {
                let again = Compose::new(engine.clone()).with_owner("longshore-tests");
                let again = match &self.machine {
                    Some(machine) => again.with_machine(Arc::new(machine.clone())),
                    None => again,
                };
                AnyRuntime::Mock(again, engine.clone())
            }
            _ => AnyRuntime::connect(&self.config).await?,
        };
        let server = Server::start_on(self.runtime.clone(), &self.config).await?;
        self.run(server)
    }

    /// Starts the server as the command line does: it looks for the engine by itself.
    pub async fn start_looking(&mut self) -> Outcome {
        let server = Server::start(&self.config).await?;
        self.run(server)
    }

    fn run(&mut self, server: Server) -> Outcome {
        let (url, token, link) = (server.url(), server.token().to_owned(), server.link());
        let client = Client::new(&url, Some(token.clone()))?;
        let end = CancellationToken::new();
        let ended = end.clone();
        let task = tokio::spawn(async move { server.run(&ended, &CancellationToken::new()).await });
        self.running = Some(Running { client, url, token, link, end, task });
        Ok(())
    }

    /// The engine in memory.
    ///
    /// # Errors
    /// When the house is built on another.
    pub fn mock(&self) -> Result<MockEngine, Failed> {
        match &self.runtime {
            AnyRuntime::Mock(_, engine) => Ok(engine.clone()),
            _ => Err("it is another engine".into()),
        }
    }

    /// Puts the engine in memory into a machine that is not there yet, so many times as fast as a real one.
    ///
    /// # Errors
    /// As [`House::mock`].
    pub fn in_machine(&mut self, times: u32) -> Result<MockMachine, Failed> {
        let machine = self.mock()?.in_machine("m1");
        machine.hasten(times);
        self.machine = Some(machine.clone());
        self.config.machine.when = Some(MachineChoice::Always);
        Ok(machine)
    }

    /// Takes the engine away: from the next start on it is a Podman that is not installed. Gives the one that it had.
    ///
    /// # Errors
    /// None that a test would not have found.
    pub async fn without_engine(&mut self) -> Result<AnyRuntime, Failed> {
        let mut config = Config::default();
        config.runtime = Some(RuntimeChoice::Podman);
        config.podman.program = Some(self.dir.path().join("no-such-program"));
        config.serve = self.config.serve.clone();
        self.config = config;
        let other = AnyRuntime::connect(&self.config).await?;
        Ok(std::mem::replace(&mut self.runtime, other))
    }

    /// The same engine, for somebody else.
    ///
    /// # Errors
    /// None for an engine that the house is built on.
    pub async fn with_owner(&self, owner: &str) -> Result<AnyRuntime, Failed> {
        if let AnyRuntime::Mock(_, engine) = &self.runtime {
            let theirs = Compose::new(engine.clone()).with_owner(owner);
            return Ok(AnyRuntime::Mock(theirs, engine.clone()));
        }
        let mut config = self.config.clone();
        config.owner = Some(owner.to_owned());
        Ok(AnyRuntime::connect(&config).await?)
    }

    fn running(&self) -> Result<&Running, Failed> {
        self.running.as_ref().ok_or_else(|| "the server does not run".into())
    }

    /// A client of the server that may do everything.
    pub fn client(&self) -> Result<&Client, Failed> {
        Ok(&self.running()?.client)
    }

    /// Where the server is.
    pub fn url(&self) -> Result<&str, Failed> {
        Ok(&self.running()?.url)
    }

    /// What changing calls must know.
    pub fn token(&self) -> Result<&str, Failed> {
        Ok(&self.running()?.token)
    }

    /// The link that signs in to the page.
    pub fn link(&self) -> Result<&str, Failed> {
        Ok(&self.running()?.link)
    }

    /// Where the server keeps its state.
    pub fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// Ends the server in order.
    pub async fn stop(&mut self) -> Result<ShutdownReport, Failed> {
        let running = self.running.take().ok_or("the server does not run")?;
        running.end.cancel();
        running.task.await?.map_err(|problem| problem.message.into())
    }

    /// Waits until the server has ended by itself.
    pub async fn ended(&mut self) -> Result<ShutdownReport, Failed> {
        let running = self.running.take().ok_or("the server does not run")?;
        running.task.await?.map_err(|problem| problem.message.into())
    }

    /// A template like the usual one, with something else in the place of a text of its files.
    pub fn template_with(&self, text: &str, other: &str) -> Result<PathBuf, Failed> {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("server/template");
        let folder = self.dir.path().join(format!("template-{}", other.len()));
        fs::create_dir_all(folder.join("config"))?;
        for file in ["template.toml", "compose.yaml", "config/about.json"] {
            let content = fs::read_to_string(from.join(file))?.replace(text, other);
            fs::write(folder.join(file), content)?;
        }
        Ok(folder)
    }

    /// What an agent is created from.
    pub fn wish(&self, name: &str, model: &str) -> CreateAgent {
        CreateAgent {
            name: name.to_owned(),
            provider: "none".to_owned(),
            model: model.to_owned(),
            ..CreateAgent::default()
        }
    }

    /// An agent that runs.
    pub async fn agent(&self, name: &str) -> Result<Agent, Failed> {
        self.agent_with(name, "echo").await
    }

    /// One that does what its model's name says.
    pub async fn agent_with(&self, name: &str, model: &str) -> Result<Agent, Failed> {
        let agent = self.client()?.create(&self.wish(name, model), true).await.map_err(explained)?;
        assert_eq!(agent.state, AgentState::Running, "{agent:?}");
        Ok(agent)
    }

    /// Waits until the agent is like that.
    pub async fn until(&self, name: &str, is: impl Fn(&Agent) -> bool) -> Result<Agent, Failed> {
        let mut events = self.client()?.events(None).await?;
        while let Some(event) = events.next().await {
            let agents = match event?.0 {
                ServerEvent::Snapshot(snapshot) => snapshot.agents,
                ServerEvent::Agent(agent) => vec![*agent],
                _ => continue,
            };
            if let Some(agent) = agents.into_iter().find(|agent| agent.name == name && is(agent)) {
                return Ok(agent);
            }
        }
        Err(format!("{name} did not become so before the events ended").into())
    }

    /// Waits until the machine is so.
    pub async fn until_machine(&self, wanted: MachineStatus) -> Outcome {
        // Nothing tells of a machine but an answer of it.
        while self.runtime.machine_status().await? != wanted {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Waits until the agent is in that state.
    pub async fn until_state(&self, name: &str, state: AgentState) -> Result<Agent, Failed> {
        self.until(name, |agent| agent.state == state).await
    }

    /// Waits until the agent has logged that.
    pub async fn until_logged(&self, name: &str, text: &str) -> Outcome {
        let mut lines = self.client()?.logs(name, &LogQuery::default(), None).await?;
        while let Some(event) = lines.next().await {
            match event? {
                LogEvent::Line(line, _) if line.text.contains(text) => return Ok(()),
                LogEvent::End(end) => return Err(format!("the log ended: {end:?}").into()),
                _ => {}
            }
        }
        Err("the log broke off".into())
    }

    /// What the agent answers.
    pub async fn says(&self, name: &str, text: &str) -> Result<String, Failed> {
        let mut words = self.client()?.chat(name, &message(text)).await?;
        let mut answer = String::new();
        while let Some(word) = words.next().await {
            answer.push_str(&word?);
        }
        Ok(answer)
    }

    /// The agent's project on the engine.
    pub fn project(&self, name: &str) -> Result<ProjectName, Failed> {
        Ok(ProjectName::new(format!("{}{name}", self.prefix))?)
    }

    /// The names of the agent's containers that the engine has.
    pub async fn containers(&self, name: &str) -> Result<Vec<String>, Failed> {
        let containers = self.runtime.ps(&self.project(name)?).await?;
        Ok(containers.into_iter().map(|container| container.name).collect())
    }

    /// Ends the server, and takes away all that it made.
    pub async fn tear_down(&mut self) -> Outcome {
        if let Some(running) = self.running.take() {
            running.end.cancel();
            let ended = tokio::time::timeout(Duration::from_secs(90), running.task).await;
            assert!(ended.is_ok(), "the server did not end");
        }
        let runtime = match &self.runtime {
            AnyRuntime::Mock(..) => return Ok(()),
            _ => AnyRuntime::connect(&self.config).await?,
        };
        let ours = |summary: &ProjectSummary| summary.name.starts_with(&self.prefix);
        let there = runtime.projects().await?.into_iter().filter(ours).map(|summary| summary.name);
        // Of one that did not come as far as a container there may be a network.
        let agents = fs::read_dir(self.state().join("agents")).into_iter().flatten().flatten();
        let agents = agents.map(|folder| format!("{}{}", self.prefix, folder.file_name().to_string_lossy()));
        for name in there.chain(agents).collect::<BTreeSet<String>>() {
            let mut options = DownOptions::default();
            options.volumes = RemoveVolumes::Yes;
            options.timeout = Some(Duration::from_secs(1));
            runtime.down(&Target::name(ProjectName::new(name)?), &options, &Call::default()).await?;
        }
        Ok(())
    }
}

/// Ports that no other house of any process of these tests has, as far as the number of houses goes.
fn ports(number: usize) -> Result<PortRange, Failed> {
    let houses = (60_000 - 42_000) / usize::from(PORTS);
    let at = (process::id() as usize * 7 + number) % houses;
    let first = 42_000 + u16::try_from(at)? * PORTS;
    // Below those that the system gives to who does not choose, where it has fewer.
    let first = 10_000 + (first - 42_000);
    PortRange::new(first, first + PORTS - 1).ok_or_else(|| "no ports".into())
}

/// A conversation of one message.
pub fn message(text: &str) -> ChatRequest {
    ChatRequest {
        messages: vec![serde_json::json!({ "role": "user", "content": text })],
        stream: None,
        model: None,
        rest: Default::default(),
    }
}

/// The error with all that it says.
pub fn explained(error: ClientError) -> Failed {
    match error {
        ClientError::Refused { status, problem } => format!("{status}: {problem:?}").into(),
        error => error.into(),
    }
}

/// The code that the server refused with.
pub fn code<T>(outcome: Result<T, ClientError>) -> Result<String, Failed> {
    match outcome {
        Err(ClientError::Refused { problem, .. }) => Ok(problem.code),
        Err(error) => Err(error.into()),
        Ok(_) => Err("it was not refused".into()),
    }
}

/// The agent of the templates.
const AGENT: &str = "localhost/longshore-agent:1";
/// How long one behaviour may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is tried in a house whose server is not started yet.
pub type Behaviour = for<'a> fn(&'a mut House) -> BoxFuture<'a, Outcome>;

/// The behaviours, for each engine.
#[derive(Debug, Default)]
pub struct Trials(Vec<Trial>);

impl Trials {
    /// Adds a behaviour for each of the engines. `module` is the `module_path!()` of its file.
    pub fn add(&mut self, module: &str, name: &str, engines: &[Engine], behaviour: Behaviour) {
        let file = module.rsplit("::").next().unwrap_or(module);
        for engine in engines.iter().copied() {
            let full = format!("{}::{file}::{name}", engine.name());
            self.0.push(Trial::ignorable_test(full, move || {
                completed(attempt(engine, behaviour), engine.name())
            }));
        }
    }

    /// All of them.
    pub fn into_inner(self) -> Vec<Trial> {
        self.0
    }
}

fn attempt(engine: Engine, behaviour: Behaviour) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let outcome = runtime.block_on(async {
        let mut house = House::build(engine).await?;
        match house.runtime.availability().await {
            Availability::Ready(_) => {}
            Availability::Unavailable(error) => return Err(Failed::NotHere(error.to_string())),
            Availability::NeedsMachine(_) => return Err(Failed::NotHere("its machine is off".to_owned())),
        }
        if engine != Engine::Mock {
            // An engine of somebody's who has not run `.ci/engines`.
            let inspected = Command::new(engine.name()).args(["image", "inspect", AGENT]).output()?;
            if !inspected.status.success() {
                return Err(Failed::NotHere(format!("it has no image {AGENT}")));
            }
        }
        let work = AssertUnwindSafe(behaviour(&mut house)).catch_unwind();
        let outcome = match tokio::time::timeout(PATIENCE, work).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(panic)) => Err(sentence(&*panic).into()),
            Err(_) => Err(format!("it took longer than {PATIENCE:?}").into()),
        };
        let torn = AssertUnwindSafe(house.tear_down()).catch_unwind().await;
        outcome.and(torn.unwrap_or_else(|panic| Err(sentence(&*panic).into())))
    });
    runtime.shutdown_timeout(Duration::from_secs(5));
    outcome
}

/// Adds behaviours of the file that it is used in, for some engines.
#[macro_export]
macro_rules! house_trials {
    ($trials:expr, $engines:expr; $($name:ident),+ $(,)?) => {
        $($trials.add(module_path!(), stringify!($name), &$engines, |house| Box::pin($name(house)));)+
    };
}
