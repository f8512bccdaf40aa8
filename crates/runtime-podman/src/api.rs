//! Podman by an API service: whose it is, and who has it. Most of what is said over it is Docker's API, so it is that crate's client;
//! Podman's own takes whole specifications, and lists sooner.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream::BoxStream};
use runtime_core::{
    Container, ContainerId, ContainerSpec, Engine, EngineInfo, Error, MachineName, Observed, ResourceKind,
    Result, RuntimeKind, Scope, Wish,
};
use runtime_docker::{Behind, DockerConfig, DockerEngine};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::{sync::Mutex, time::timeout};

use crate::{
    cli::{self, PodmanCli},
    command::{Finished, Invocation, Podman},
    failure::{Subject, unexpected},
    parse::{self, ListedContainer},
    podman::Via,
    service::{Service, ping, whole},
    specgen,
};

/// How long the start of a service may take, at most, and where commands do as well.
const START: Duration = Duration::from_secs(10);
const SOON: Duration = Duration::from_secs(3);
/// Who answers at a socket does it within this time.
const GREETING: Duration = Duration::from_secs(5);
/// A service of our own that did not start is tried again after this time, and what somebody else starts after that.
const AGAIN: Duration = Duration::from_secs(60);
const AGAIN_ELSEWHERE: Duration = Duration::from_secs(1);

/// Where the service is.
#[derive(Debug)]
pub(crate) enum Place {
    /// Nowhere yet: one of our own is started.
    Own,
    /// At a socket of somebody's.
    Socket(PathBuf),
    /// Behind the socket that a machine forwards.
    Machine {
        /// Podman on this computer.
        here: Arc<Podman>,
        name: MachineName,
        rootful: bool,
    },
    /// Nowhere, and why.
    Nowhere(&'static str),
}

impl Place {
    /// When it is worth another look whether there is a service.
    fn again(&self) -> Duration {
        match self {
            Self::Own | Self::Nowhere(_) => AGAIN,
            Self::Socket(_) | Self::Machine { .. } => AGAIN_ELSEWHERE,
        }
    }

    /// The service at that URL.
    pub(crate) fn of_url(url: &str) -> Self {
        match url.strip_prefix("unix://") {
            Some(path) => Self::Socket(path.into()),
            None => Self::Nowhere("its URL is no socket of this computer"),
        }
    }
}

/// The service, once somebody wants it.
#[derive(Debug)]
pub(crate) struct Api {
    podman: Arc<Podman>,
    parallel: usize,
    via: Via,
    place: Place,
    /// Locked while a service starts, so that there is one.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Closed,
    Open(Arc<Open>),
    Failed(Instant),
}

/// A service that answers, and its client.
#[derive(Debug)]
struct Open {
    engine: DockerEngine,
    socket: PathBuf,
    /// If it is our own.
    service: Option<Service>,
    /// Whether somebody had no answer, so that the next one looks whether it is there.
    doubted: AtomicBool,
}

impl Open {
    /// Whether nobody answers there any more. Who had no answer may have asked for too much, so that others are served all the same.
    async fn is_over(&self) -> bool {
        if self.service.as_ref().is_some_and(Service::has_ended) {
            return true;
        }
        if !self.doubted.load(Ordering::Relaxed) {
            return false;
        }
        let answers = self.version().await.is_ok();
        self.doubted.store(!answers, Ordering::Relaxed);
        !answers
    }

    fn unreachable(&self, reason: String) -> Error {
        Error::NotReachable { engine: RuntimeKind::Podman, endpoint: self.engine.endpoint(), reason }
    }

    fn note<T>(&self, outcome: &Result<T>) {
        if let Err(Error::NotReachable { .. } | Error::TimedOut { .. }) = outcome {
            self.doubted.store(true, Ordering::Relaxed);
        }
    }
}

/// A service that somebody asks. It is there for as long as this is, unless it dies.
#[derive(Debug, Clone)]
pub(crate) struct Line(Arc<Open>);

impl Api {
    pub(crate) fn new(podman: Arc<Podman>, parallel: usize, via: Via, place: Place) -> Self {
        Self { podman, parallel, via, place, state: Mutex::default() }
    }

    /// Whether all is done by commands, as far as is known.
    pub(crate) fn is_never_asked(&self) -> bool {
        let is_missing = || {
            matches!(self.place, Place::Nowhere(_))
                || self.state.try_lock().is_ok_and(|state| matches!(*state, State::Failed(_)))
        };
        self.via == Via::Cli || (self.via == Via::Auto && is_missing())
    }

    /// The service, started if it is not there; `None` where commands are to be used.
    ///
    /// # Errors
    /// Why there is none, where nothing else is to be used.
    pub(crate) async fn line(&self) -> Result<Option<Line>> {
        if self.via == Via::Cli {
            return Ok(None);
        }
        let mut state = self.state.lock().await;
        match &*state {
            State::Open(open) if !open.is_over().await => return Ok(Some(Line(open.clone()))),
            State::Failed(at) if self.via == Via::Auto && at.elapsed() < self.place.again() => {
                return Ok(None);
            }
            _ => *state = State::Closed,
        }
        match self.open().await {
            Ok(open) => {
                let open = Arc::new(open);
                *state = State::Open(open.clone());
                Ok(Some(Line(open)))
            }
            Err(error) if self.via == Via::Auto => {
                tracing::debug!(reason = %error, "podman is called by commands");
                *state = State::Failed(Instant::now());
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether a service answers now. `false` too where commands alone are used.
    pub(crate) async fn answers(&self) -> bool {
        match self.line().await {
            Ok(Some(line)) => line.heard(line.0.version().await).is_ok(),
            Ok(None) | Err(_) => false,
        }
    }

    /// Ends a service of our own, or leaves that to who still reads from it. The next one who asks starts another.
    pub(crate) async fn close(&self) {
        let state = std::mem::take(&mut *self.state.lock().await);
        if let State::Open(open) = state
            && let Some(Open { service: Some(service), .. }) = Arc::into_inner(open)
        {
            service.end().await;
        }
    }

    async fn open(&self) -> Result<Open> {
        let (socket, service) = match &self.place {
            Place::Own => {
                let patience = if self.via == Via::Auto { SOON } else { START };
                let service = Service::start(&self.podman, patience.min(self.podman.deadline)).await?;
                (service.socket().to_owned(), Some(service))
            }
            Place::Socket(socket) => (socket.clone(), None),
            Place::Machine { here, name, rootful } => (forwarded(here, name, *rootful).await?, None),
            Place::Nowhere(why) => return Err(no_service(why)),
        };
        let mut config = DockerConfig::default();
        config.host = Some(format!("unix://{}", socket.display()));
        config.deadline = self.podman.deadline;
        config.parallel = config.parallel.max(self.parallel);
        config.behind = match self.place {
            Place::Own => Behind::PodmanHere,
            // A socket that somebody named may lead to a machine, whose clock is another.
            _ => Behind::PodmanElsewhere,
        };
        let open =
            Open { engine: DockerEngine::new(config), socket, service, doubted: AtomicBool::new(false) };
        // It may be that nobody listens at a socket, or somebody else.
        open.version().await?;
        open.engine.connect().await?;
        tracing::debug!(endpoint = open.engine.endpoint(), "podman is called by its API");
        Ok(open)
    }
}

impl Open {
    /// Asks who answers: Podman's version, and that of Docker's API that it speaks.
    async fn version(&self) -> Result<(String, String)> {
        match timeout(GREETING, ping(&self.socket)).await {
            Ok(Ok(answer)) => {
                cli::check_version(&answer.podman)?;
                Ok((answer.podman, answer.api))
            }
            Ok(Err(error)) => Err(self.unreachable(error.to_string())),
            Err(_) => Err(self.unreachable(format!("no answer within {GREETING:?}"))),
        }
    }
}

impl Line {
    pub(crate) fn engine(&self) -> &DockerEngine {
        &self.0.engine
    }

    /// Whether the service can do it as well as a command.
    pub(crate) fn can(&self, wish: Wish<'_>) -> bool {
        self.engine().lacks(wish).is_empty()
    }

    /// Takes an answer of the service; none means that the next one asks another.
    pub(crate) fn heard<T>(&self, answer: Result<T>) -> Result<T> {
        self.0.note(&answer);
        answer
    }

    /// A stream that keeps the service for as long as it is read.
    pub(crate) fn keeping<T: 'static>(
        self,
        stream: BoxStream<'static, Result<T>>,
    ) -> BoxStream<'static, Result<T>> {
        stream.inspect(move |item| self.0.note(item)).boxed()
    }

    /// Makes a container by the service; `None` where a command has to.
    ///
    /// # Errors
    /// As [`Engine::create_container`].
    pub(crate) async fn create_container(
        &self,
        spec: &ContainerSpec,
        cli: &PodmanCli,
    ) -> Option<Result<ContainerId>> {
        let body = specgen::container(spec)?;
        let deadline = cli.podman().deadline;
        let create = |image| self.created(body.clone(), image, deadline);
        Some(self.heard(cli.create_by(spec, create).await))
    }

    /// Asks for a container of that image.
    async fn created(
        &self,
        mut body: Map<String, Value>,
        image: String,
        deadline: Duration,
    ) -> Result<Finished> {
        body.insert("image".to_owned(), image.into());
        let body = serde_json::to_vec(&body).map_err(|error| unexpected("create", error))?;
        let mut finished = self.asked("/v4.0.0/libpod/containers/create", Some(body), deadline).await?;
        if finished.succeeded() {
            let created: Created = parse::json("create", &finished.stdout)?;
            finished.stdout = created.id.into_bytes();
        }
        Ok(finished)
    }

    /// Lists containers as the command does. Podman's own API has the same, and tells it sooner than Docker's, for which it looks at
    /// each of them.
    ///
    /// # Errors
    /// As [`Engine::list`].
    pub(crate) async fn containers(
        &self,
        labels: &[String],
        all: bool,
        cli: &PodmanCli,
    ) -> Result<Vec<Container>> {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("all", if all { "true" } else { "false" })
            .append_pair("filters", &json!({ "label": labels }).to_string())
            .finish();
        let (path, deadline) = (format!("/v4.0.0/libpod/containers/json?{query}"), cli.podman().deadline);
        let subject = Subject { kind: ResourceKind::Container, name: "" };
        let listed = self.heard(cli::undisturbed(|| self.asked(&path, None, deadline), subject).await)?;
        let listed: Vec<ListedContainer> = parse::json("ps", &listed.stdout)?;
        listed.into_iter().map(ListedContainer::into_container).collect()
    }

    /// Looks over what is there besides containers.
    pub(crate) async fn besides(&self, scope: &Scope) -> Result<Observed> {
        self.heard(self.engine().observe_besides(scope).await)
    }

    /// Asks for something, or tells it, as a command does: what is refused is the same text.
    async fn asked(&self, path: &str, told: Option<Vec<u8>>, deadline: Duration) -> Result<Finished> {
        let command = format!("{} {path}", if told.is_some() { "POST" } else { "GET" });
        let asked = timeout(deadline, whole(&self.0.socket, path, told));
        let (status, answer) = asked
            .await
            .map_err(|_| Error::TimedOut { what: format!("`{command}`"), after: deadline })?
            .map_err(|error| self.0.unreachable(error.to_string()))?;
        let mut finished = Finished { exit_code: Some(0), stdout: Vec::new(), stderr: Vec::new(), command };
        if (200..300).contains(&status) {
            finished.stdout = answer.into();
        } else {
            let refused: Refused = parse::json(&finished.command, &answer)?;
            finished.exit_code = Some(125);
            finished.stderr = vec![format!("Error: {}", refused.message)];
        }
        Ok(finished)
    }

    /// Asks who answers.
    pub(crate) async fn info(&self, endpoint: String) -> Result<EngineInfo> {
        let (version, api) = self.0.version().await?;
        let mut info =
            EngineInfo::new(RuntimeKind::Podman, "Podman", version, format!("{endpoint}, by its API"));
        info.api_version = Some(api);
        Ok(info)
    }
}

/// What a container that was made is told by.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Created {
    id: String,
}

/// Why something is refused.
#[derive(Debug, Deserialize)]
struct Refused {
    message: String,
}

/// A machine of `podman machine inspect`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InspectedMachine {
    connection_info: ConnectionInfo,
    /// Podman 4.3 does not tell.
    rootful: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ConnectionInfo {
    podman_socket: Option<ForwardedSocket>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ForwardedSocket {
    path: PathBuf,
}

fn no_service(reason: &str) -> Error {
    Error::Unsupported { engine: RuntimeKind::Podman, what: format!("its API cannot be used: {reason}") }
}

/// The socket at which a machine's service answers on this computer.
async fn forwarded(here: &Podman, name: &MachineName, rootful: bool) -> Result<PathBuf> {
    let command = Invocation::new(["machine", "inspect"]).args([name.as_str()]);
    let finished = here.run(&command).await?;
    if !finished.succeeded() {
        return Err(Error::Command(finished.failure()));
    }
    forwarded_to(&finished.stdout, rootful)
}

/// The socket in what `podman machine inspect` prints.
fn forwarded_to(printed: &[u8], rootful: bool) -> Result<PathBuf> {
    let machines: Vec<InspectedMachine> = parse::json("machine inspect", printed)?;
    let machine = machines.into_iter().next();
    let machine = machine.ok_or_else(|| unexpected("machine inspect", "an empty list"))?;
    if machine.rootful != Some(rootful) {
        // One socket is forwarded: that of the user whom the machine was made for.
        return Err(no_service("the machine forwards another user's service, or does not tell whose"));
    }
    let socket = machine.connection_info.podman_socket;
    socket.map(|socket| socket.path).ok_or_else(|| no_service("the machine forwards no socket"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What podman 5.4 was seen to print, without what is not read.
    fn printed(socket: &str, rootful: &str) -> Vec<u8> {
        let info = format!(r#"{{"PodmanSocket": {socket}, "PodmanPipe": null}}"#);
        format!(r#"[{{"ConnectionInfo": {info}, "Name": "m1", "State": "running"{rootful}}}]"#).into_bytes()
    }

    #[test]
    fn a_machine_forwards_one_users_service() {
        const SOCKET: &str = r#"{"Path": "/run/user/1000/podman/m1-api.sock"}"#;
        let rootless = printed(SOCKET, r#", "Rootful": false"#);
        assert_eq!(forwarded_to(&rootless, false), Ok("/run/user/1000/podman/m1-api.sock".into()));
        for (printed, rootful) in [
            (rootless, true),
            (printed(SOCKET, ""), false),
            (printed("null", r#", "Rootful": false"#), false),
            (b"[]".to_vec(), false),
        ] {
            assert!(forwarded_to(&printed, rootful).is_err(), "{}", String::from_utf8_lossy(&printed));
        }
    }

    #[test]
    fn where_there_can_be_no_service_commands_are_all_there_is() {
        let podman = PodmanCli::new(crate::PodmanConfig::default()).shared_podman();
        let is_never_asked = |via, place| Api::new(podman.clone(), 1, via, place).is_never_asked();
        assert!(is_never_asked(Via::Auto, Place::Nowhere("")));
        assert!(is_never_asked(Via::Cli, Place::Own));
        assert!(!is_never_asked(Via::Auto, Place::Own));
        assert!(!is_never_asked(Via::Api, Place::Nowhere("")), "it says why instead");
    }

    #[test]
    fn only_a_socket_of_this_computer_is_asked() {
        assert!(
            matches!(Place::of_url("unix:///run/p.sock"), Place::Socket(path) if path.ends_with("p.sock"))
        );
        for url in ["ssh://core@localhost:22/run/p.sock", "tcp://127.0.0.1:8080", "p.sock"] {
            assert!(matches!(Place::of_url(url), Place::Nowhere(_)), "{url}");
        }
    }
}
