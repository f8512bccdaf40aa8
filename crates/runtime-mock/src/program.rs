//! What containers do.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use runtime_core::{ContainerSpec, ExecSpec, LogSource};
use tokio::{
    io::{AsyncReadExt, DuplexStream},
    sync::mpsc,
    time::{Instant, sleep},
};

use crate::world::Inner;

/// What the containers of an image do. Ordinary asynchronous code, on tokio's clock.
pub trait Program: Send + Sync + 'static {
    /// Whether the image has a program of that name; a container that wants another does not start.
    fn has(&self, program: &str) -> bool {
        let _ = program;
        true
    }

    /// Runs the container's own process and returns its exit code. Dropped when the container is killed.
    fn run(&self, process: Process) -> BoxFuture<'static, i64>;

    /// Runs a command in the container, a healthcheck for one, and returns its exit code; what it prints goes to [`Process::out`].
    fn exec(&self, process: Process) -> BoxFuture<'static, i64>;
}

/// A command that is run in a container, and not the container's own process.
#[derive(Debug, Clone)]
pub(crate) struct Inside {
    pub(crate) spec: ExecSpec,
    /// Where its lines go, which are not the container's log.
    pub(crate) printed: mpsc::UnboundedSender<(LogSource, String)>,
}

/// What can be read of a process's stdin.
pub(crate) type Stdin = Arc<tokio::sync::Mutex<Option<DuplexStream>>>;

/// A process in a container, and what it can do.
#[derive(Debug, Clone)]
pub struct Process {
    pub(crate) inner: Arc<Inner>,
    pub(crate) id: String,
    pub(crate) argv: Vec<String>,
    pub(crate) inside: Option<Inside>,
    pub(crate) stdin: Stdin,
}

impl Process {
    /// Its words: entrypoint and command, or those of the command that is run in the container.
    pub fn argv(&self) -> &[String] {
        &self.argv
    }

    /// What the container is made from; of a command in it, with its own user, folder and variables.
    pub fn spec(&self) -> ContainerSpec {
        let mut spec = self.inner.spec(&self.id);
        if let Some(Inside { spec: own, .. }) = &self.inside {
            spec.user = own.user.clone().or(spec.user);
            spec.working_dir = own.working_dir.clone().or(spec.working_dir);
            spec.privileged |= own.privileged;
            spec.environment.extend(own.environment.clone());
        }
        spec
    }

    /// Reads its stdin to the end.
    pub async fn stdin(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if let Some(stdin) = &mut *self.stdin.lock().await {
            // What was written until somebody went away is all there is.
            let _ = stdin.read_to_end(&mut bytes).await;
        }
        bytes
    }

    /// The environment.
    pub fn environment(&self) -> BTreeMap<String, String> {
        self.spec().environment
    }

    /// The container's hostname.
    pub fn hostname(&self) -> String {
        self.spec().hostname.unwrap_or_else(|| self.id.chars().take(12).collect())
    }

    /// Prints a line to stdout.
    pub fn out(&self, line: impl Into<String>) {
        self.print(LogSource::Stdout, line.into());
    }

    /// Prints a line to stderr.
    pub fn err(&self, line: impl Into<String>) {
        self.print(LogSource::Stderr, line.into());
    }

    fn print(&self, source: LogSource, line: String) {
        match &self.inside {
            // Who no longer listens is not told.
            Some(inside) => drop(inside.printed.send((source, line))),
            None => self.inner.log(&self.id, source, line),
        }
    }

    /// Lets time pass.
    pub async fn sleep(&self, time: Duration) {
        sleep(time).await;
    }

    /// How long the container has been running.
    pub fn uptime(&self) -> Duration {
        self.inner.started(&self.id).map_or(Duration::ZERO, |at| Instant::now().duration_since(at))
    }

    /// Waits for the next signal, and returns its name (`SIGTERM`).
    pub async fn signal(&self) -> String {
        self.inner.signal(&self.id).await
    }

    /// Answers requests at a port: the status and the body for a path. Until the container ends.
    pub fn listen(&self, port: u16, answer: impl Fn(&str) -> (u16, String) + Send + Sync + 'static) {
        self.inner.listen(&self.id, port, Arc::new(answer));
    }

    /// Asks another container, by a name that this one can resolve.
    ///
    /// # Errors
    /// When the name is not known on its networks, or nobody listens there.
    pub fn fetch(&self, host: &str, port: u16, path: &str) -> Result<(u16, String), String> {
        self.inner.fetch_inside(&self.id, host, port, path)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// When there is none.
    pub fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        self.inner.read(&self.id, path)
    }

    /// Writes a file.
    ///
    /// # Errors
    /// When its place is read-only.
    pub fn write(&self, path: &str, bytes: &[u8]) -> Result<(), String> {
        self.inner.write(&self.id, path, bytes)
    }

    /// Removes what is at a path and beneath it; nothing there is success.
    ///
    /// # Errors
    /// When its place is read-only.
    pub fn remove(&self, path: &str) -> Result<(), String> {
        self.inner.remove(&self.id, path)
    }
}

/// Does what a container's labels say.
#[derive(Debug)]
pub(crate) struct Scripted;

fn label(spec: &ContainerSpec, name: &str) -> Option<String> {
    spec.labels.get(&format!("io.longshore.mock.{name}")).cloned()
}

/// `500ms`, `2s` or `1m`.
fn duration(text: &str) -> Option<Duration> {
    let at = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let number: f64 = text[..at].parse().ok()?;
    let unit = match &text[at..] {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number * unit).ok()
}

impl Program for Scripted {
    fn run(&self, process: Process) -> BoxFuture<'static, i64> {
        Box::pin(async move {
            let spec = process.spec();
            process.out(label(&spec, "log").unwrap_or_else(|| "started".to_owned()));
            let run_for = label(&spec, "run-for").and_then(|text| duration(&text));
            let exit = label(&spec, "exit").and_then(|text| text.parse().ok());
            let end = run_for.or(exit.map(|_| Duration::ZERO)).map(|time| Instant::now() + time);
            let every =
                label(&spec, "log-every").and_then(|text| duration(&text)).filter(|every| !every.is_zero());
            let mut tick = 0_u64;
            loop {
                let next = every.map(|every| Instant::now() + every);
                tokio::select! {
                    _ = process.signal() => {
                        process.out("stopping");
                        return 0;
                    }
                    () = until(end) => return exit.unwrap_or(0),
                    () = until(next) => {
                        tick += 1;
                        process.out(format!("tick {tick}"));
                    }
                }
            }
        })
    }

    fn exec(&self, process: Process) -> BoxFuture<'static, i64> {
        Box::pin(async move {
            let spec = process.spec();
            let after = label(&spec, "healthy-after").and_then(|text| duration(&text)).unwrap_or_default();
            let unhealthy = label(&spec, "unhealthy").as_deref() == Some("true");
            i64::from(unhealthy || process.uptime() < after)
        })
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
