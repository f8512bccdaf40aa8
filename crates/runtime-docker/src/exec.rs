//! Commands in running containers.

use std::time::Duration;

use bollard::{
    Docker,
    container::LogOutput,
    errors::Error as Bollard,
    exec::{CreateExecOptions, StartExecOptions, StartExecResults},
};
use futures_util::StreamExt;
use runtime_core::ExecOutput;

/// The most that is kept of each output.
const MAX_OUTPUT: usize = 1 << 20;
/// An engine closes the outputs a moment before it knows the exit code, and tells nobody when it does.
const ASK_AGAIN: Duration = Duration::from_millis(20);

/// Runs a command and waits for its end. Both outputs are read to their ends, whatever is kept of them.
pub(crate) async fn run(docker: &Docker, container: &str, command: &[String]) -> Result<ExecOutput, Bollard> {
    let options = CreateExecOptions {
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        cmd: Some(command.to_vec()),
        ..CreateExecOptions::default()
    };
    let exec = docker.create_exec(container, options).await?;
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
    loop {
        let state = docker.inspect_exec(&exec.id).await?;
        match state.exit_code {
            Some(exit_code) if state.running != Some(true) => {
                return Ok(ExecOutput { exit_code, stdout, stderr });
            }
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
