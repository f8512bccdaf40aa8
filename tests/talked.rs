//! What was said in a session.

use futures_util::StreamExt;
use runtime_core::{LogSource, Session, SessionEvent};
use tokio::io::AsyncWriteExt;

use crate::Failed;

/// All that a process said, and its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Talked {
    /// What it wrote to its stdout.
    pub stdout: String,
    /// What it wrote to its stderr.
    pub stderr: String,
    /// Its exit code.
    pub exit_code: i64,
}

impl Talked {
    /// Tells a process something, which is all that it is told, and listens until it has ended.
    ///
    /// # Errors
    /// Those of the session, and when it ends without an end.
    pub async fn with(session: Session, said: &[u8]) -> Result<Self, Failed> {
        let Session { mut output, input, size: _size } = session;
        let telling = async {
            if let Some(mut input) = input {
                // What has ended hears nothing more.
                let _ = input.write_all(said).await;
                let _ = input.shutdown().await;
            }
        };
        let listening = async {
            let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
            while let Some(event) = output.next().await {
                match event? {
                    SessionEvent::Wrote { source: LogSource::Stdout, bytes } => stdout.extend(bytes),
                    SessionEvent::Wrote { source: LogSource::Stderr, bytes } => stderr.extend(bytes),
                    SessionEvent::Ended { exit_code } => {
                        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
                        return Ok(Self { stdout: text(&stdout), stderr: text(&stderr), exit_code });
                    }
                    _ => {}
                }
            }
            Err("it ended without telling how".into())
        };
        tokio::join!(telling, listening).1
    }
}
