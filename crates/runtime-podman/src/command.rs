//! Running podman: a child in a process group of its own, drained always, ended at its deadline or when it is no longer wanted.

use std::{collections::VecDeque, io::ErrorKind, path::PathBuf, process::Stdio, sync::Arc, time::Duration};

use runtime_core::{CommandFailure, Error, Result};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader},
    process::{Child, Command},
    sync::Semaphore,
    time::timeout,
};

/// An answer of podman is never so large; what is beyond is read and thrown away.
const MAX_STDOUT: usize = 64 << 20;
/// How long the pipes of a command that has ended may stay open: what it left behind has them then.
const LINGER: Duration = Duration::from_secs(1);
/// The last lines of stderr that an error keeps.
pub(crate) const MAX_STDERR_LINES: usize = 20;
/// A line of stderr is kept to this length.
const MAX_LINE: usize = 2048;

/// The variables of ours that podman may need: where things are, who we are, how registries are reached.
const INHERITED: [&str; 8] =
    ["PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "LANG", "REGISTRY_AUTH_FILE", "DOCKER_CONFIG"];
const INHERITED_PREFIXES: [&str; 3] = ["XDG_", "CONTAINER", "DBUS_SESSION"];
const INHERITED_ELSEWHERE: [&str; 9] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "SSH_AUTH_SOCK",
];
const INHERITED_ON_WINDOWS: [&str; 7] =
    ["SYSTEMROOT", "APPDATA", "LOCALAPPDATA", "USERPROFILE", "PROGRAMDATA", "TEMP", "PATHEXT"];

/// Whether a variable means something to podman itself, so that a container's must not be set in podman's environment.
pub(crate) fn is_podmans_own(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    INHERITED.contains(&upper.as_str())
        || INHERITED_ELSEWHERE.iter().chain(&INHERITED_ON_WINDOWS).any(|own| own.eq_ignore_ascii_case(name))
        || [
            "XDG_",
            "CONTAINER",
            "DBUS_",
            "LD_",
            "GO",
            "SSL_",
            "LC_",
            "STORAGE_",
            "REGISTRY_",
            "BUILDAH_",
            "PODMAN_",
            "LISTEN_",
            "NOTIFY_",
            "_",
        ]
        .iter()
        .any(|prefix| upper.starts_with(prefix))
}

/// One command for podman.
#[derive(Debug, Clone, Default)]
pub(crate) struct Invocation {
    args: Vec<String>,
    /// Arguments as errors show them, where they differ.
    shown: Vec<String>,
    env: Vec<(String, String)>,
    input: Input,
    leaves: Leaves,
}

/// What a command reads from stdin.
#[derive(Debug, Clone, Default)]
enum Input {
    /// It is at its end.
    #[default]
    Nothing,
    /// These bytes.
    Given(Vec<u8>),
    /// What somebody writes to it while it runs.
    Written,
}

/// What a command leaves behind when it has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Leaves {
    /// Nothing that has its pipes. What does all the same is no part of podman, and is killed.
    #[default]
    Nothing,
    /// A machine: its processes run on.
    Machine,
}

impl Invocation {
    pub(crate) fn new<const N: usize>(words: [&str; N]) -> Self {
        Self::default().args(words)
    }

    pub(crate) fn args<S: Into<String>>(mut self, words: impl IntoIterator<Item = S>) -> Self {
        for word in words {
            let word = word.into();
            self.shown.push(word.clone());
            self.args.push(word);
        }
        self
    }

    /// An argument whose value errors must not show.
    pub(crate) fn secret(mut self, name: &str, value: &str) -> Self {
        self.args.push(format!("{name}={value}"));
        self.shown.push(format!("{name}=***"));
        self
    }

    /// A variable of the child.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The command starts a machine, whose processes outlive it.
    pub(crate) fn leaving_a_machine(mut self) -> Self {
        self.leaves = Leaves::Machine;
        self
    }

    /// The command reads these bytes.
    pub(crate) fn reading(mut self, bytes: Vec<u8>) -> Self {
        self.input = Input::Given(bytes);
        self
    }

    /// The command reads what is written to it.
    pub(crate) fn reading_stdin(mut self) -> Self {
        self.input = Input::Written;
        self
    }

    /// The arguments.
    pub(crate) fn into_words(self) -> Vec<String> {
        self.args
    }

    #[cfg(test)]
    pub(crate) fn words(&self) -> &[String] {
        &self.args
    }
}

/// What a command that ended left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finished {
    pub(crate) exit_code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<String>,
    pub(crate) command: String,
}

impl Finished {
    pub(crate) fn succeeded(&self) -> bool {
        self.exit_code == Some(0)
    }

    pub(crate) fn failure(&self) -> CommandFailure {
        CommandFailure {
            command: self.command.clone(),
            exit_code: self.exit_code,
            stderr: self.stderr.clone(),
        }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim().to_owned()
    }
}

/// Podman, and how it is called.
#[derive(Debug)]
pub(crate) struct Podman {
    pub(crate) program: PathBuf,
    /// Words before every command: the connection.
    pub(crate) global: Vec<String>,
    pub(crate) deadline: Duration,
    pub(crate) permits: Arc<Semaphore>,
    /// Variables for every command, the folder of a bundled podman's helpers for one.
    pub(crate) env: Vec<(String, String)>,
}

/// A child that takes its process group with it when it is dropped.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) child: Child,
    pub(crate) command: String,
    /// The child's id, which is its group's too.
    #[cfg(unix)]
    id: Option<u32>,
}

impl Group {
    /// Kills the whole group. The child is to be reaped still.
    pub(crate) fn kill(&self) {
        #[cfg(unix)]
        if let Some(pid) = self.id.and_then(|id| rustix::process::Pid::from_raw(id.cast_signed())) {
            let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Only a child that is not reaped yet has an id, so the group is certainly still its own.
        if self.child.id().is_some() {
            self.kill();
        }
        let _ = self.child.start_kill();
    }
}

/// Where a child's output goes.
enum Outputs {
    Pipes,
    /// One terminal for both.
    #[cfg(unix)]
    Terminal(crate::terminal::Terminal),
    /// One terminal for both, and for what it reads.
    #[cfg(unix)]
    Talking(crate::terminal::Terminal),
}

impl Podman {
    /// Starts podman. The child is reaped by tokio when it is dropped early.
    pub(crate) fn spawn(&self, invocation: &Invocation) -> Result<Group> {
        self.spawn_with(invocation, Outputs::Pipes)
    }

    /// Starts podman on a terminal of its own, on which it draws its bars, and gives the other end of that.
    #[cfg(unix)]
    pub(crate) fn spawn_on_terminal(
        &self,
        invocation: &Invocation,
    ) -> Result<(Group, crate::terminal::Screen)> {
        let (screen, terminal) = crate::terminal::open().map_err(|error| no_terminal(&error))?;
        Ok((self.spawn_with(invocation, Outputs::Terminal(terminal))?, screen))
    }

    /// Starts podman on a terminal at whose other end somebody talks with what podman runs.
    #[cfg(unix)]
    pub(crate) fn spawn_talking(&self, invocation: &Invocation) -> Result<(Group, crate::terminal::Screen)> {
        let (screen, terminal) = crate::terminal::open_plain().map_err(|error| no_terminal(&error))?;
        Ok((self.spawn_with(invocation, Outputs::Talking(terminal))?, screen))
    }

    fn spawn_with(&self, invocation: &Invocation, outputs: Outputs) -> Result<Group> {
        let mut command = Command::new(&self.program);
        command.args(&self.global).args(&invocation.args).env_clear();
        let inherited = std::env::vars_os().filter(|(name, _)| {
            let name = name.to_string_lossy();
            INHERITED
                .iter()
                .chain(&INHERITED_ELSEWHERE)
                .chain(&INHERITED_ON_WINDOWS)
                .any(|kept| *kept == name)
                || INHERITED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        });
        command.envs(inherited).env("LC_ALL", "C.UTF-8");
        command.envs(self.env.iter().chain(&invocation.env).map(|(name, value)| (name, value)));
        let stdin = match invocation.input {
            Input::Nothing => Stdio::null(),
            Input::Given(_) | Input::Written => Stdio::piped(),
        };
        command.stdin(stdin).kill_on_drop(true);
        let program = self.program.display().to_string();
        let cannot_start = |error: &std::io::Error| match error.kind() {
            ErrorKind::NotFound => {
                Error::NotInstalled { program: program.clone(), reason: "there is no such program".into() }
            }
            ErrorKind::PermissionDenied if self.program.is_dir() => {
                Error::NotInstalled { program: program.clone(), reason: "it is a folder".into() }
            }
            ErrorKind::PermissionDenied => {
                Error::NotPermitted { what: format!("running {program}"), reason: error.to_string() }
            }
            _ => Error::NotInstalled { program: program.clone(), reason: error.to_string() },
        };
        let spawned = match outputs {
            Outputs::Pipes => {
                command.stdout(Stdio::piped()).stderr(Stdio::piped());
                #[cfg(unix)]
                command.process_group(0);
                command.spawn()
            }
            #[cfg(unix)]
            Outputs::Terminal(terminal) => {
                command.env("TERM", "xterm");
                terminal.spawn(command)
            }
            #[cfg(unix)]
            Outputs::Talking(terminal) => terminal.spawn_reading(command),
        };
        let child = spawned.map_err(|error| cannot_start(&error))?;
        let words = self.global.iter().chain(&invocation.shown).map(|word| quote(word)).collect::<Vec<_>>();
        let name =
            self.program.file_name().map_or("podman".into(), |name| name.to_string_lossy().into_owned());
        Ok(Group {
            #[cfg(unix)]
            id: child.id(),
            child,
            command: format!("{name} {}", words.join(" ")),
        })
    }

    /// Runs a command to its end within the usual deadline.
    pub(crate) async fn run(&self, invocation: &Invocation) -> Result<Finished> {
        self.run_within(invocation, self.deadline).await
    }

    /// Runs a command to its end. At the deadline the whole process group is killed.
    pub(crate) async fn run_within(&self, invocation: &Invocation, deadline: Duration) -> Result<Finished> {
        let _permit = self.permits.acquire().await.map_err(|_| Error::ShuttingDown)?;
        self.run_besides(invocation, deadline).await
    }

    /// As [`Podman::run_within`], besides the commands that are bounded in number.
    pub(crate) async fn run_besides(&self, invocation: &Invocation, deadline: Duration) -> Result<Finished> {
        let mut group = self.spawn(invocation)?;
        let (Some(out), Some(err)) = (group.child.stdout.take(), group.child.stderr.take()) else {
            return Err(Error::InvalidProject("podman was started without its pipes".into()));
        };
        let stdin = group.child.stdin.take();
        let (mut stdout, mut stderr) = (Vec::new(), VecDeque::new());
        let work = async {
            let feeding = async move {
                if let (Some(mut stdin), Input::Given(bytes)) = (stdin, &invocation.input) {
                    // One that has ended reads no more; what it says of that counts.
                    let _ = stdin.write_all(bytes).await;
                }
            };
            let mut reading = std::pin::pin!(async {
                tokio::join!(
                    feeding,
                    read_bounded(out, MAX_STDOUT, &mut stdout),
                    last_lines(err, &mut stderr)
                )
            });
            let status = tokio::select! {
                biased;
                _ = &mut reading => return group.child.wait().await,
                status = group.child.wait() => status,
            };
            // It has ended, and somebody that it left behind has its pipes: nothing more of it comes by them.
            if timeout(LINGER, &mut reading).await.is_err() && invocation.leaves == Leaves::Nothing {
                group.kill();
            }
            status
        };
        let Ok(status) = timeout(deadline, work).await else {
            return Err(Error::TimedOut { what: format!("`{}`", group.command), after: deadline });
        };
        let exit_code = status.ok().and_then(|status| status.code());
        Ok(Finished { exit_code, stdout, stderr: stderr.into(), command: group.command.clone() })
    }
}

#[cfg(unix)]
fn no_terminal(error: &std::io::Error) -> Error {
    Error::NotPermitted { what: "opening a terminal for podman".to_owned(), reason: error.to_string() }
}

/// A word as a person would type it, kept short.
fn quote(word: &str) -> String {
    let short: String = word.chars().take(200).collect();
    let plain =
        !short.is_empty() && short.chars().all(|c| c.is_ascii_alphanumeric() || "-_=./:,@+{}%".contains(c));
    if plain { short } else { format!("{short:?}") }
}

/// Reads to the end, keeping so many bytes.
pub(crate) async fn read_bounded(mut pipe: impl AsyncRead + Unpin, most: usize, kept: &mut Vec<u8>) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = pipe.read(&mut buffer).await {
        let room = most.saturating_sub(kept.len()).min(read);
        kept.extend_from_slice(&buffer[..room]);
    }
}

/// Reads to the end, keeping the last lines.
pub(crate) async fn last_lines(pipe: impl AsyncRead + Unpin, lines: &mut VecDeque<String>) {
    let mut reader = BufReader::new(pipe);
    let mut line = Vec::new();
    while read_line(&mut reader, &mut line, MAX_LINE).await {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        keep_line(lines, text);
    }
}

/// Keeps a line that says something, among the last ones.
pub(crate) fn keep_line(lines: &mut VecDeque<String>, text: String) {
    if text.is_empty() {
        return;
    }
    if lines.len() == MAX_STDERR_LINES {
        lines.pop_front();
    }
    lines.push_back(text);
}

/// Reads one line, or a piece of one that is too long, without its end. `false` when there is nothing more.
pub(crate) async fn read_line(
    reader: &mut (impl AsyncBufReadExt + Unpin),
    line: &mut Vec<u8>,
    most: usize,
) -> bool {
    line.clear();
    loop {
        let Ok(buffer) = reader.fill_buf().await else { return !line.is_empty() };
        if buffer.is_empty() {
            return !line.is_empty();
        }
        let room = most - line.len();
        let window = &buffer[..buffer.len().min(room)];
        match window.iter().position(|byte| *byte == b'\n') {
            Some(end) => {
                line.extend_from_slice(&window[..end]);
                reader.consume(end + 1);
                return true;
            }
            None => {
                line.extend_from_slice(window);
                let used = window.len();
                reader.consume(used);
                if line.len() >= most {
                    return true;
                }
            }
        }
    }
}
