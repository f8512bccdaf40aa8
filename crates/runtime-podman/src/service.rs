//! A service of our own: a `podman system service` on a private socket, which is there for as long as somebody has it.

use std::{
    collections::VecDeque,
    fs::{self, Permissions},
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;
use runtime_core::{Error, ResourceKind, Result};
use tempfile::TempDir;
use tokio::{
    net::UnixStream,
    time::{sleep, timeout},
};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    command::{Finished, Group, Invocation, Podman, last_lines, read_bounded},
    failure::{Subject, explain},
};

/// How the folders of sockets are called.
const PREFIX: &str = "longshore-podman-";
/// Without a connection the service ends by itself after so long: that of a process that was killed.
const ALONE: &str = "--time=5";
/// How often is asked whether it answers.
const PAUSE: Duration = Duration::from_millis(2);
/// How long its pipes may stay open when it has ended.
const LINGER: Duration = Duration::from_secs(1);
/// A request that it answers for as long as it is there: no event is called so.
const HOLDING: &str = "/v1.41/events?filters=%7B%22event%22%3A%5B%22none%22%5D%7D";
/// The time between two of them; podman ends what it tells of events when it begins a new file of them.
const HOLD_AGAIN: Duration = Duration::from_secs(1);
/// An answer that is read whole is not longer: a list of more containers than a computer has.
const MOST_OF_AN_ANSWER: usize = 256 << 20;
/// An empty folder of that age is nobody's who is at it still.
const LEFT: Duration = Duration::from_secs(600);

/// The service. Dropped, it is killed and its socket is gone.
#[derive(Debug)]
pub(crate) struct Service {
    socket: PathBuf,
    _holding: AbortOnDropHandle<()>,
    _reading: AbortOnDropHandle<VecDeque<String>>,
    /// Before the folder, so that it goes first.
    group: Mutex<Group>,
    _folder: TempDir,
}

impl Service {
    /// Starts one and waits until it answers, for so long. Dropped before, nothing is left.
    ///
    /// # Errors
    /// [`Error::NotInstalled`] without podman, [`Error::NotPermitted`] without a place for the socket,
    /// [`Error::TimedOut`], and what podman says when it does not stay.
    pub(crate) async fn start(podman: &Podman, patience: Duration) -> Result<Self> {
        let base = base();
        remove_left(&base);
        let folder = tempfile::Builder::new()
            .prefix(PREFIX)
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(&base)
            .map_err(|error| Error::NotPermitted {
                what: format!("making a folder in {}", base.display()),
                reason: error.to_string(),
            })?;
        let socket = folder.path().join("api.sock");
        let command = Invocation::new(["system", "service", ALONE]);
        let mut group = podman.spawn(&command.args([format!("unix://{}", socket.display())]))?;
        let (out, err) = (group.child.stdout.take(), group.child.stderr.take());
        let reading = tokio::spawn(async move {
            let (mut kept, mut lines) = (Vec::new(), VecDeque::new());
            let (Some(out), Some(err)) = (out, err) else { return lines };
            tokio::join!(read_bounded(out, 0, &mut kept), last_lines(err, &mut lines));
            lines
        });
        let mut reading = AbortOnDropHandle::new(reading);
        let answering = async {
            // It tells nobody when it listens.
            while ping(&socket).await.is_err() {
                sleep(PAUSE).await;
            }
        };
        tokio::select! {
            answered = timeout(patience, answering) => answered.map_err(|_| {
                Error::TimedOut { what: format!("`{}`", group.command), after: patience }
            })?,
            status = group.child.wait() => {
                let lines = timeout(LINGER, &mut reading).await;
                let finished = Finished {
                    exit_code: status.ok().and_then(|status| status.code()),
                    stdout: Vec::new(),
                    stderr: lines.ok().and_then(|lines| lines.ok()).unwrap_or_default().into(),
                    command: group.command.clone(),
                };
                let name = "podman's service";
                return Err(explain(&finished, Subject { kind: ResourceKind::Machine, name }));
            }
        }
        let holding = AbortOnDropHandle::new(tokio::spawn(hold(socket.clone())));
        Ok(Self { socket, _holding: holding, _reading: reading, group: Mutex::new(group), _folder: folder })
    }

    /// Where it answers.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Whether it is gone.
    pub(crate) fn has_ended(&self) -> bool {
        let mut group = self.group.lock().unwrap_or_else(PoisonError::into_inner);
        !matches!(group.child.try_wait(), Ok(None))
    }

    /// Ends it. Afterwards there is no process and no socket.
    pub(crate) async fn end(self) {
        let mut group = self.group.into_inner().unwrap_or_else(PoisonError::into_inner);
        // A service that is asked to end waits for those who ask it.
        group.kill();
        let _ = group.child.wait().await;
    }
}

/// Where folders of sockets are made: where the system keeps those of the user, else where things are for a while.
fn base() -> PathBuf {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    runtime.filter(|folder| folder.is_absolute() && folder.is_dir()).unwrap_or_else(std::env::temp_dir)
}

/// Removes the folders of processes that were killed, whose services have ended and taken their sockets away.
fn remove_left(base: &Path) {
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        let is_ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        let age = || entry.metadata().ok()?.modified().ok()?.elapsed().ok();
        if is_ours && age().is_some_and(|age| age > LEFT) {
            // One that is not empty stays.
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// Who answers at a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pong {
    /// Podman's version.
    pub(crate) podman: String,
    /// The version of Docker's API.
    pub(crate) api: String,
}

/// Asks for a sign of life.
///
/// # Errors
/// When nobody answers, or who does is not Podman.
pub(crate) async fn ping(socket: &Path) -> io::Result<Pong> {
    let (answer, _connection) = get(socket, "/_ping").await?;
    let header = |name: &str| Some(answer.headers().get(name)?.to_str().ok()?.to_owned());
    match header("libpod-api-version") {
        Some(podman) => Ok(Pong { podman, api: header("api-version").unwrap_or_default() }),
        None => Err(io::Error::other("what answers there is not Podman")),
    }
}

/// Keeps the service from ending by itself, until nobody is there to be asked.
async fn hold(socket: PathBuf) {
    while let Ok((mut answer, _connection)) = get(&socket, HOLDING).await {
        while let Some(Ok(_)) = answer.frame().await {}
        sleep(HOLD_AGAIN).await;
    }
}

/// Asks one question over a connection of its own, which ends when it is dropped.
async fn get(socket: &Path, path: &str) -> io::Result<(Response<Incoming>, AbortOnDropHandle<()>)> {
    let request = Request::get(path).header("Host", "podman").body(Full::default());
    ask(socket, request.map_err(io::Error::other)?).await
}

/// Asks for something, or tells it, over a connection of its own, and gives the status and the whole of the answer.
pub(crate) async fn whole(socket: &Path, path: &str, told: Option<Vec<u8>>) -> io::Result<(u16, Bytes)> {
    let (answer, _connection) = match told {
        None => get(socket, path).await?,
        Some(body) => {
            let request =
                Request::post(path).header("Host", "podman").header("Content-Type", "application/json");
            ask(socket, request.body(Full::from(body)).map_err(io::Error::other)?).await?
        }
    };
    let status = answer.status().as_u16();
    let body = Limited::new(answer.into_body(), MOST_OF_AN_ANSWER).collect().await;
    Ok((status, body.map_err(io::Error::other)?.to_bytes()))
}

async fn ask(
    socket: &Path,
    request: Request<Full<Bytes>>,
) -> io::Result<(Response<Incoming>, AbortOnDropHandle<()>)> {
    let stream = UnixStream::connect(socket).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let connection = AbortOnDropHandle::new(tokio::spawn(async move {
        // What becomes of it, who reads from it hears.
        let _ = connection.await;
    }));
    let answer = sender.send_request(request).await.map_err(io::Error::other)?;
    Ok((answer, connection))
}
