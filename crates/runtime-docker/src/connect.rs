//! Where Docker is, and requests with a deadline over one client.

use std::{
    future::ready,
    path::{Path, PathBuf},
    pin::pin,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use bollard::{API_DEFAULT_VERSION, ClientVersion, Docker, errors::Error as Bollard};
use runtime_core::{Error, ResourceKind, Result, RuntimeKind};
use tokio::{
    sync::{OnceCell, Semaphore},
    time::timeout,
};

use crate::confine::Answering;
use crate::failure::{Asked, Peer, explain};

/// For what has no deadline here: a stream is silent for as long as nothing happens, or somebody else counts the time.
pub(crate) const ALWAYS: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// The oldest API that is supported: Docker 20.10's.
const OLDEST_API: (usize, usize) = (1, 41);

/// What every Podman that is supported speaks.
const PODMANS_API: ClientVersion = ClientVersion { major_version: OLDEST_API.0, minor_version: OLDEST_API.1 };

/// Who is behind a socket, as far as its owner knows. One that is known is not asked: Podman takes half a second to say
/// who it is, because it asks its helpers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Behind {
    /// Docker, or another one that says so when it is asked. Errors call it Docker.
    #[default]
    Asked,
    /// Podman on this computer, whose clock is ours. Errors call it Podman.
    PodmanHere,
    /// Podman on another computer, a machine for one.
    PodmanElsewhere,
}

impl Behind {
    pub(crate) fn kind(self) -> RuntimeKind {
        if self == Self::Asked { RuntimeKind::Docker } else { RuntimeKind::Podman }
    }
}

/// How to reach Docker.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DockerConfig {
    /// `unix://PATH`, `npipe://PATH`, `tcp://ADDRESS:PORT` or `http://…`; `None` is the system's own socket, or
    /// Docker Desktop's under `home`. No variable of the environment is read: `DOCKER_HOST` is the caller's to pass.
    pub host: Option<String>,
    /// The user's home folder, where Docker Desktop has its socket.
    pub home: Option<PathBuf>,
    /// How long an ordinary request may take. A stop has its grace period besides; a pull may be silent for
    /// [`DockerConfig::SILENT_PULL`] times as long, because Podman says nothing while it fetches a layer.
    pub deadline: Duration,
    /// How many requests run at once.
    pub parallel: usize,
    /// How many images are built at once.
    pub parallel_builds: usize,
    /// Who is known to answer there.
    pub behind: Behind,
}

impl Default for DockerConfig {
    fn default() -> Self {
        Self {
            host: None,
            home: None,
            deadline: Duration::from_secs(120),
            parallel: 16,
            parallel_builds: 2,
            behind: Behind::Asked,
        }
    }
}

impl DockerConfig {
    /// So many deadlines a pull may go without a word: half an hour by default.
    pub const SILENT_PULL: u32 = 15;

    fn endpoint(&self) -> String {
        if let Some(host) = &self.host {
            return host.clone();
        }
        if cfg!(windows) {
            return "npipe:////./pipe/docker_engine".into();
        }
        let system = PathBuf::from("/var/run/docker.sock");
        let desktop = self.home.as_ref().map(|home| home.join(".docker/run/docker.sock"));
        let chosen = desktop.filter(|desktop| !system.exists() && desktop.exists()).unwrap_or(system);
        format!("unix://{}", chosen.display())
    }
}

/// One client for all calls, connected at the first.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) config: DockerConfig,
    client: OnceCell<Docker>,
    permits: Semaphore,
    /// Whether what answers is Podman.
    podman: AtomicBool,
    /// Whether its containers are Windows'.
    windows: AtomicBool,
}

impl Connection {
    pub(crate) fn new(config: DockerConfig) -> Self {
        let permits = Semaphore::new(config.parallel.max(1));
        Self {
            podman: AtomicBool::new(config.behind != Behind::Asked),
            config,
            client: OnceCell::new(),
            permits,
            windows: AtomicBool::new(false),
        }
    }

    pub(crate) fn endpoint(&self) -> String {
        self.config.endpoint()
    }

    /// Who is asked, as errors name it.
    pub(crate) fn peer(&self) -> Peer {
        Peer { engine: self.config.behind.kind(), endpoint: self.endpoint() }
    }

    /// Whether what answers is Podman. Known after the first call.
    pub(crate) fn is_podman(&self) -> bool {
        self.podman.load(Ordering::Relaxed)
    }

    /// Who answers; `None` before the first call.
    pub(crate) fn answering(&self) -> Option<Answering> {
        let spoken = self.client.get()?.client_version();
        Some(Answering {
            api: (spoken.major_version, spoken.minor_version),
            is_podman: self.is_podman(),
            is_windows: self.windows.load(Ordering::Relaxed),
        })
    }

    /// Whether the engine runs no healthchecks: Podman has systemd's timers do it. Known after the first call.
    pub(crate) fn checks_are_ours(&self) -> bool {
        self.is_podman() && !Path::new("/run/systemd/system").exists()
    }

    /// The client, connected once; a failure is not kept.
    pub(crate) async fn client(&self) -> Result<&Docker> {
        self.client.get_or_try_init(|| self.connect()).await
    }

    /// A client for answers that begin or go on late.
    pub(crate) async fn patient_client(&self, patience: Duration) -> Result<Docker> {
        Ok(self.client().await?.clone().with_timeout(patience))
    }

    async fn connect(&self) -> Result<Docker> {
        if self.config.behind != Behind::Asked {
            return self.open(if self.is_podman() { &PODMANS_API } else { API_DEFAULT_VERSION });
        }
        // The question for its version is in none. Docker asks its helpers for the answer, which takes as long as most that is done
        // then: it is asked once.
        let first = self.open(API_DEFAULT_VERSION)?;
        let asked = Asked { operation: "connect", kind: ResourceKind::Machine, name: "" };
        let endpoint = self.endpoint();
        let version = self.within(self.config.deadline, asked, first.version()).await;
        let version = version.map_err(|error| no_docker(error, &endpoint))?;
        let theirs = version.api_version.as_deref().and_then(api);
        let theirs = theirs.ok_or_else(|| {
            no_docker(self.peer().unexpected("connect", "", "no version of an API"), &endpoint)
        })?;
        let ours = (API_DEFAULT_VERSION.major_version, API_DEFAULT_VERSION.minor_version);
        let (major_version, minor_version) = theirs.min(ours);
        let docker = self.open(&ClientVersion { major_version, minor_version })?;
        let spoken = docker.client_version();
        if (spoken.major_version, spoken.minor_version) < OLDEST_API {
            let needed = format!("{}.{} (Docker 20.10)", OLDEST_API.0, OLDEST_API.1);
            return Err(Error::TooOld { what: "Docker's API".into(), found: spoken.to_string(), needed });
        }
        self.windows.store(version.os.as_deref() == Some("windows"), Ordering::Relaxed);
        let podman = version.components.unwrap_or_default().iter().any(|part| part.name.contains("Podman"));
        self.podman.store(podman, Ordering::Relaxed);
        tracing::debug!(endpoint, api = %spoken, podman, "connected");
        Ok(docker)
    }

    /// A client that speaks that version. Asks nobody.
    fn open(&self, version: &ClientVersion) -> Result<Docker> {
        let peer = self.peer();
        let endpoint = peer.endpoint.as_str();
        let asked = Asked { operation: "connect", kind: ResourceKind::Machine, name: "" };
        // Bollard counts whole seconds; ours is the finer deadline.
        let seconds = self.config.deadline.as_secs().saturating_add(1);
        let docker = match endpoint.split_once("://") {
            #[cfg(unix)]
            Some(("unix", path)) => Docker::connect_with_unix(path, seconds, version),
            #[cfg(windows)]
            Some(("npipe", path)) => Docker::connect_with_named_pipe(path, seconds, version),
            Some(("tcp" | "http", _)) => Docker::connect_with_http(endpoint, seconds, version),
            _ => {
                let reason = "an address begins with unix://, npipe://, tcp:// or http://".to_owned();
                return Err(peer.unreachable(reason));
            }
        };
        docker.map_err(|error| self.no_socket(explain(&error, asked, &peer)))
    }

    /// A socket that is missing where no Docker is installed says so.
    fn no_socket(&self, error: Error) -> Error {
        let installed = std::env::var_os("PATH").is_some_and(|path| {
            std::env::split_paths(&path)
                .any(|folder| folder.join("docker").exists() || folder.join("docker.exe").exists())
        });
        match error {
            Error::NotReachable { reason, .. } if !installed && self.config.host.is_none() => {
                Error::NotInstalled { program: "docker".into(), reason }
            }
            other => other,
        }
    }

    async fn within<T>(
        &self,
        deadline: Duration,
        asked: Asked<'_>,
        work: impl Future<Output = Result<T, Bollard>>,
    ) -> Result<T> {
        let Asked { operation, name, .. } = asked;
        tracing::trace!(operation, name, "asking");
        let error = match timeout(deadline, work).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(Bollard::RequestTimeoutError)) | Err(_) => asked.late(deadline),
            Ok(Err(error)) => explain(&error, asked, &self.peer()),
        };
        // What it says may repeat what it was asked with, so only the kind is told here.
        tracing::debug!(operation, name, error = error.code(), "refused");
        Err(error)
    }

    /// Makes one request with the usual deadline.
    pub(crate) async fn ask<'c, T, F>(
        &'c self,
        operation: &str,
        kind: ResourceKind,
        name: &str,
        request: impl FnOnce(&'c Docker) -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T, Bollard>>,
    {
        let client = self.client().await?;
        let _permit = self.permits.acquire().await.map_err(|_| Error::ShuttingDown)?;
        self.within(self.config.deadline, Asked { operation, kind, name }, request(client)).await
    }

    /// Makes one request with a deadline that is so much longer; how much is asked when it has taken longer than most do.
    pub(crate) async fn ask_longer<T, F>(
        &self,
        asked: Asked<'_>,
        request: impl FnOnce(Docker) -> F,
        longer: impl Future<Output = Result<Duration>>,
    ) -> Result<T>
    where
        F: Future<Output = Result<T, Bollard>>,
    {
        let most = self.config.deadline;
        let client = self.patient_client(ALWAYS).await?;
        let permit = self.permits.acquire().await.map_err(|_| Error::ShuttingDown)?;
        let mut answer = pin!(request(client));
        let outcome = match timeout(most, &mut answer).await {
            Ok(outcome) => outcome,
            Err(_) => {
                drop(permit);
                let longer = longer.await?;
                let late = |_| asked.late(most.saturating_add(longer));
                timeout(longer, answer).await.map_err(late)?
            }
        };
        self.within(most, asked, ready(outcome)).await
    }
}

/// A version of the API as a daemon writes it.
fn api(text: &str) -> Option<(usize, usize)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// What does not know the question for the version, or answers it with something else, is another server.
fn no_docker(error: Error, endpoint: &str) -> Error {
    let answered = match &error {
        Error::NotFound { .. } => "404 Not Found".to_owned(),
        Error::Api { status: Some(status @ 300..500), .. } => format!("status {status}"),
        Error::Unexpected { quote, .. } => quote.clone(),
        _ => return error,
    };
    let reason =
        format!("what answers there is not Docker's API ({answered} to the question for its version)");
    Error::NotReachable { engine: RuntimeKind::Docker, endpoint: endpoint.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, BufRead, BufReader, Write},
        net::TcpListener,
        sync::mpsc,
    };

    use super::*;

    /// A daemon that speaks those versions of the API, and what it is asked.
    fn daemon(
        oldest: (usize, usize),
        newest: (usize, usize),
    ) -> io::Result<(DockerConfig, mpsc::Receiver<String>)> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let host = format!("tcp://{}", listener.local_addr()?);
        let (asked, questions) = mpsc::channel();
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let (mut reader, mut writer) = (BufReader::new(&stream), &stream);
                let mut line = String::new();
                while reader.read_line(&mut line).is_ok_and(|read| read > 0) {
                    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
                    while line.trim_end() != "" {
                        line.clear();
                        if reader.read_line(&mut line).is_err() {
                            return;
                        }
                    }
                    let version = path.strip_prefix("/v").and_then(|path| api(path.split('/').next()?));
                    let is_spoken = version.is_none_or(|version| (oldest..=newest).contains(&version));
                    let (status, body) = if is_spoken {
                        let version = format!("{}.{}", newest.0, newest.1);
                        ("200 OK", format!(r#"{{"ApiVersion": "{version}", "Os": "linux"}}"#))
                    } else {
                        ("400 Bad Request", r#"{"message": "client version is not supported"}"#.to_owned())
                    };
                    let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json");
                    let answer = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                    if asked.send(path).is_err() || writer.write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                    line.clear();
                }
            }
        });
        Ok((DockerConfig { host: Some(host), ..DockerConfig::default() }, questions))
    }

    /// In which version a daemon is spoken with.
    async fn spoken(config: DockerConfig) -> Result<String> {
        Ok(Connection::new(config).client().await?.client_version().to_string())
    }

    #[tokio::test]
    async fn a_daemon_is_asked_once_who_it_is() {
        let (config, questions) = daemon((1, 12), (1, 43)).expect("a daemon");
        assert_eq!(spoken(config).await.as_deref(), Ok("1.43"));
        assert_eq!(questions.try_iter().collect::<Vec<_>>(), ["/version"]);
    }

    #[tokio::test]
    async fn a_daemon_that_speaks_no_old_version_is_spoken_with_in_a_new_one() {
        let (config, _questions) = daemon((1, 44), (1, 52)).expect("a daemon");
        assert_eq!(spoken(config).await.as_deref(), Ok("1.52"));
    }

    #[tokio::test]
    async fn a_daemon_that_speaks_old_versions_alone_is_too_old() {
        let (config, _questions) = daemon((1, 12), (1, 40)).expect("a daemon");
        let error = spoken(config).await.expect_err("it is too old");
        assert!(matches!(&error, Error::TooOld { found, .. } if found == "1.40"), "{error:?}");
    }

    #[test]
    fn another_server_is_told_from_docker() {
        let not_found = Error::NotFound { kind: ResourceKind::Machine, name: String::new() };
        let told = no_docker(not_found, "tcp://127.0.0.1:80");
        assert_eq!(
            told.to_string(),
            "docker does not answer at tcp://127.0.0.1:80: what answers there is not Docker's API (404 Not Found to the question for its version)"
        );
        assert_eq!(no_docker(Error::ShuttingDown, ""), Error::ShuttingDown);
    }

    #[test]
    fn where_docker_is() {
        let mut config = DockerConfig { home: Some("/nonexistent".into()), ..DockerConfig::default() };
        if cfg!(unix) {
            assert_eq!(config.endpoint(), "unix:///var/run/docker.sock");
        }
        config.host = Some("tcp://127.0.0.1:2375".into());
        assert_eq!(config.endpoint(), "tcp://127.0.0.1:2375");
    }
}
