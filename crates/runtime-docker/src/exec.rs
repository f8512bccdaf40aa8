//! Commands in running containers, and talking with them.

use std::time::Duration;

use bollard::{
    Docker,
    container::LogOutput,
    errors::Error as Bollard,
    exec::{CreateExecOptions, ResizeExecOptions, StartExecOptions, StartExecResults},
    query_parameters::WaitContainerOptionsBuilder,
};
use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use runtime_core::{
    DetachKeys, ExecOutput, ExecSpec, LogSource, Result, Session, SessionEvent, SessionInput, TerminalSize,
};
use tokio::sync::watch;

/// The most that is kept of each output.
const MAX_OUTPUT: usize = 1 << 20;
/// An engine closes the outputs a moment before it knows the exit code, and tells nobody when it does.
const ASK_AGAIN: Duration = Duration::from_millis(20);

pub(crate) type Explain = Box<dyn Fn(&Bollard) -> runtime_core::Error + Send + Sync>;

/// The command as the API takes it; `attached` is whether somebody reads what it writes.
fn options(spec: &ExecSpec, attached: bool) -> CreateExecOptions<String> {
    CreateExecOptions {
        attach_stdin: Some(attached && spec.stdin),
        attach_stdout: Some(attached),
        attach_stderr: Some(attached),
        tty: Some(spec.tty),
        detach_keys: (attached && spec.tty).then(|| keys(&spec.detach_keys)),
        env: Some(spec.environment.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        cmd: Some(spec.command.clone()),
        privileged: Some(spec.privileged),
        user: spec.user.clone(),
        working_dir: spec.working_dir.clone(),
    }
}

/// At which keys the engine itself lets go. Core does it before the engine sees them. It cannot be told to let go at none, only at
/// keys that nobody types.
pub(crate) fn keys(keys: &DetachKeys) -> String {
    if keys.is_off() { ["ctrl-@"; 32].join(",") } else { keys.as_str().to_owned() }
}

/// Runs a command and waits for its end. Both outputs are read to their ends, whatever is kept of them.
pub(crate) async fn run(docker: &Docker, container: &str, spec: &ExecSpec) -> Result<ExecOutput, Bollard> {
    let mut listening = options(spec, true);
    (listening.tty, listening.attach_stdin) = (Some(false), Some(false));
    let exec = docker.create_exec(container, listening).await?;
    let started = docker.start_exec(&exec.id, None::<StartExecOptions>).await?;
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    if let StartExecResults::Attached { mut output, .. } = started {
        while let Some(piece) = output.next().await {
            let piece = piece?;
            match &piece {
                LogOutput::StdErr { message } => keep(&mut stderr, message),
                other => keep(&mut stdout, other.as_ref()),
            }
        }
    }
    Ok(ExecOutput { exit_code: exit_code(docker, &exec.id).await?, stdout, stderr })
}

/// Starts a command that nobody talks with.
pub(crate) async fn start(docker: &Docker, container: &str, spec: &ExecSpec) -> Result<(), Bollard> {
    let exec = docker.create_exec(container, options(spec, false)).await?;
    let detached = StartExecOptions { detach: true, tty: spec.tty, output_capacity: None };
    docker.start_exec(&exec.id, Some(detached)).await.map(|_| ())
}

/// Starts a command that is talked with over `docker`, which waits for as long as it is silent.
pub(crate) async fn talk(
    docker: Docker,
    container: &str,
    spec: &ExecSpec,
    explain: Explain,
) -> Result<Session, Bollard> {
    let exec = docker.create_exec(container, options(spec, true)).await?;
    let attached = StartExecOptions { detach: false, tty: spec.tty, output_capacity: None };
    let StartExecResults::Attached { output, input } = docker.start_exec(&exec.id, Some(attached)).await?
    else {
        return Err(Bollard::RequestTimeoutError);
    };
    let (asked, resized) = ((docker.clone(), exec.id.clone()), (docker, exec.id));
    let resize = move |size: TerminalSize| {
        let (docker, id) = resized.clone();
        async move {
            let size = ResizeExecOptions { height: size.rows, width: size.columns };
            // A terminal of another size is no reason to end.
            let _ = docker.resize_exec(&id, size).await;
        }
    };
    let ended = async move { exit_code(&asked.0, &asked.1).await };
    Ok(session(output, spec.stdin.then_some(input), ended, resize, explain))
}

/// What was said to and fro as a session; `ended` asks for the exit code when nothing more comes.
pub(crate) fn session<R>(
    output: impl futures_util::Stream<Item = Result<LogOutput, Bollard>> + Send + 'static,
    input: Option<SessionInput>,
    ended: impl Future<Output = Result<i64, Bollard>> + Send + 'static,
    resize: impl Fn(TerminalSize) -> R + Send + 'static,
    explain: Explain,
) -> Session
where
    R: Future<Output = ()> + Send,
{
    let (size, mut sizes) = watch::channel(TerminalSize::default());
    // It ends with the session, which has the sender.
    tokio::spawn(async move {
        while sizes.changed().await.is_ok() {
            let size = *sizes.borrow_and_update();
            resize(size).await;
        }
    });
    let output: BoxStream<'static, Result<LogOutput, Bollard>> = output.boxed();
    let talk = stream::unfold(Some((output, ended, explain)), |talk| async move {
        let (mut output, ended, explain) = talk?;
        Some(match output.next().await {
            Some(Ok(piece)) => {
                let source = if matches!(piece, LogOutput::StdErr { .. }) {
                    LogSource::Stderr
                } else {
                    LogSource::Stdout
                };
                let wrote = SessionEvent::Wrote { source, bytes: piece.into_bytes().to_vec() };
                (Ok(wrote), Some((output, ended, explain)))
            }
            Some(Err(error)) => (Err(explain(&error)), None),
            None => match ended.await {
                Ok(exit_code) => (Ok(SessionEvent::Ended { exit_code }), None),
                Err(error) => (Err(explain(&error)), None),
            },
        })
    });
    Session { output: talk.boxed(), input, size }
}

/// Waits until a container does not run, and returns its exit code.
pub(crate) async fn ended(docker: &Docker, container: &str) -> Result<i64, Bollard> {
    let query = WaitContainerOptionsBuilder::new().condition("not-running").build();
    match docker.wait_container(container, Some(query)).next().await {
        Some(Ok(ended)) => Ok(ended.status_code),
        // An exit code that is not 0 comes as an error.
        Some(Err(Bollard::DockerContainerWaitError { code, .. })) => Ok(code),
        Some(Err(error)) => Err(error),
        None => Err(Bollard::RequestTimeoutError),
    }
}

async fn exit_code(docker: &Docker, exec: &str) -> Result<i64, Bollard> {
    loop {
        let state = docker.inspect_exec(exec).await?;
        match state.exit_code {
            Some(exit_code) if state.running != Some(true) => return Ok(exit_code),
            _ => tokio::time::sleep(ASK_AGAIN).await,
        }
    }
}

fn keep(kept: &mut Vec<u8>, piece: &[u8]) {
    let room = MAX_OUTPUT - kept.len();
    kept.extend_from_slice(&piece[..piece.len().min(room)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_8_an_output_is_kept_to_its_bound() {
        let mut kept = Vec::new();
        for _ in 0..3 {
            keep(&mut kept, &vec![b'x'; MAX_OUTPUT / 2 + 1]);
        }
        assert_eq!(kept.len(), MAX_OUTPUT);
    }
}
