//! A process in a container that somebody talks with.

use std::{
    fmt,
    future::pending,
    io,
    pin::Pin,
    str::FromStr,
    task::{Context, Poll, ready},
};

use futures_util::{StreamExt, stream::BoxStream};
use tokio::{
    io::AsyncWrite,
    sync::{oneshot, watch},
};

use crate::{LogSource, Result};

/// A process that is talked with. Dropped, the conversation is over.
///
/// A reader that is slow slows the process: nothing is kept for it.
pub struct Session {
    /// What the process says. The last item is how it ended, or an error; without one it was let go of by [`DetachKeys`], and
    /// runs on.
    pub output: BoxStream<'static, Result<SessionEvent>>,
    /// Its stdin, if it has one that can be written to. Shut down and dropped, it is at its end.
    pub input: Option<SessionInput>,
    /// How large the terminal is, if it has one: what is sent here becomes so.
    pub size: watch::Sender<TerminalSize>,
}

impl Session {
    /// The same, whose output ends without an end of the process once these keys were typed on its terminal. The process gets none
    /// of them.
    pub(crate) fn letting_go_at(self, keys: &DetachKeys, is_terminal: bool) -> Self {
        let Self { output, input: Some(input), size } = self else { return self };
        if keys.is_off() || !is_terminal {
            return Self { output, input: Some(input), size };
        }
        let (typed, gone) = oneshot::channel();
        let watched = Watched {
            input,
            keys: keys.bytes.clone(),
            held: Vec::new(),
            passed: Vec::new(),
            typed: Some(typed),
        };
        let gone = async {
            // A stdin that is at its end lets nothing go.
            if gone.await.is_err() {
                pending().await
            }
        };
        Self { output: output.take_until(Box::pin(gone)).boxed(), input: Some(Box::pin(watched)), size }
    }
}

/// The keys after which a terminal lets go of a process, which runs on: docker's `ctrl-p,ctrl-q`, if nothing is said.
///
/// They are written as `docker attach --detach-keys` has them, joined by commas: a character, `ctrl-` and one of `a` to `z` and
/// `@[\]^_`, or `DEL`. An empty text is none at all, as podman has it; docker takes that for its own keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetachKeys {
    text: String,
    bytes: Vec<u8>,
}

impl DetachKeys {
    /// As engines take them.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether no keys let go.
    pub fn is_off(&self) -> bool {
        self.bytes.is_empty()
    }
}

impl Default for DetachKeys {
    fn default() -> Self {
        Self { text: "ctrl-p,ctrl-q".to_owned(), bytes: vec![0x10, 0x11] }
    }
}

impl FromStr for DetachKeys {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let keys = text.split(',').filter(|_| !text.is_empty());
        let bytes = keys.map(|key| {
            byte(key).ok_or_else(|| {
                format!(
                    "{key:?} is no key: give a character, ctrl- and one of a-z @ [ \\ ] ^ _, or DEL, joined by commas"
                )
            })
        });
        Ok(Self { text: text.to_owned(), bytes: bytes.collect::<Result<_, _>>()? })
    }
}

/// What a terminal sends for a key.
fn byte(key: &str) -> Option<u8> {
    match (key.strip_prefix("ctrl-").unwrap_or_default().as_bytes(), key.as_bytes()) {
        (_, b"DEL") => Some(0x7f),
        (_, [only]) if only.is_ascii() => Some(*only),
        ([letter @ b'a'..=b'z'], _) => Some(letter - b'a' + 1),
        ([sign @ (b'@' | b'['..=b'_')], _) => Some(sign - b'@'),
        _ => None,
    }
}

/// A stdin that is looked through for keys. What may be their beginning waits for what follows.
struct Watched {
    input: SessionInput,
    keys: Vec<u8>,
    held: Vec<u8>,
    /// What is on its way.
    passed: Vec<u8>,
    /// Told once.
    typed: Option<oneshot::Sender<()>>,
}

impl Watched {
    /// Lets go on what is no longer the beginning of the keys.
    fn release(&mut self) {
        loop {
            self.passed.push(self.held.remove(0));
            if self.keys.starts_with(&self.held) {
                return;
            }
        }
    }

    fn poll_pass(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.passed.is_empty() {
            let written = ready!(self.input.as_mut().poll_write(cx, &self.passed))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.passed.drain(..written);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, typed: &[u8]) -> Poll<io::Result<usize>> {
        let Some(&first) = typed.first().filter(|_| self.typed.is_some()) else {
            // Nobody hears what is typed after the keys.
            return Poll::Ready(Ok(typed.len()));
        };
        loop {
            // Nothing is taken before all that was held is gone, so that who has to wait may type something else.
            ready!(self.poll_pass(cx))?;
            if self.keys.get(self.held.len()) == Some(&first) {
                self.held.push(first);
                if self.held == self.keys
                    && let Some(gone) = self.typed.take()
                {
                    self.held.clear();
                    // Who no longer listens has let go already.
                    let _ = gone.send(());
                }
                return Poll::Ready(Ok(1));
            }
            if self.held.is_empty() {
                let plain = typed.iter().position(|byte| self.keys.first() == Some(byte));
                return self.input.as_mut().poll_write(cx, &typed[..plain.unwrap_or(typed.len())]);
            }
            self.release();
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_pass(cx))?;
        self.input.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Nothing follows, so it was no beginning.
        let held = std::mem::take(&mut self.held);
        self.passed.extend(held);
        ready!(self.poll_pass(cx))?;
        self.input.as_mut().poll_shutdown(cx)
    }
}

/// The stdin of a process.
pub type SessionInput = Pin<Box<dyn AsyncWrite + Send>>;

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("input", &self.input.is_some()).finish_non_exhaustive()
    }
}

/// What a process does.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionEvent {
    /// It wrote; on a terminal everything is of its stdout.
    Wrote {
        /// To which of its outputs.
        source: LogSource,
        /// These bytes, as they are.
        bytes: Vec<u8>,
    },
    /// It ended.
    Ended {
        /// Its exit code.
        exit_code: i64,
    },
}

/// How large a terminal is, in characters. Nothing by nothing is as the engine has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TerminalSize {
    /// Lines.
    pub rows: u16,
    /// Characters of a line.
    pub columns: u16,
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, stream};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[test]
    fn keys_are_written_as_docker_has_them() {
        for (text, bytes) in [
            ("", &b""[..]),
            ("ctrl-p,ctrl-q", b"\x10\x11"),
            ("ctrl-@,ctrl-a,ctrl-z,ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_", b"\x00\x01\x1a\x1b\x1c\x1d\x1e\x1f"),
            ("a,Z,~,DEL", b"aZ~\x7f"),
        ] {
            let keys: DetachKeys = text.parse().unwrap();
            assert_eq!((keys.bytes.as_slice(), keys.as_str()), (bytes, text));
        }
        assert_eq!("ctrl-p,ctrl-q".parse(), Ok(DetachKeys::default()));
        for bad in
            [",", "a,", "ab", "ctrl-", "ctrl-A", "ctrl-1", "ctrl-pq", "é", "Ctrl-p", "del", "ctrl-p, q"]
        {
            assert!(bad.parse::<DetachKeys>().is_err(), "{bad:?}");
        }
    }

    async fn typed(keys: &str, pieces: &[&[u8]]) -> (Vec<u8>, bool) {
        let (input, mut process) = tokio::io::duplex(64);
        let session = Session {
            output: stream::pending().boxed(),
            input: Some(Box::pin(input)),
            size: watch::Sender::new(TerminalSize::default()),
        };
        let mut session = session.letting_go_at(&keys.parse().unwrap(), true);
        let mut input = session.input.take().unwrap();
        for piece in pieces {
            input.write_all(piece).await.unwrap();
        }
        let is_gone = matches!(session.output.next().now_or_never(), Some(None));
        input.shutdown().await.unwrap();
        drop(input);
        let mut heard = Vec::new();
        process.read_to_end(&mut heard).await.unwrap();
        (heard, is_gone)
    }

    #[tokio::test]
    async fn a_process_gets_all_but_the_keys() {
        for (keys, pieces, heard, is_gone) in [
            ("a,b", &[&b"xab"[..]][..], &b"x"[..], true),
            ("a,b", &[b"xa", b"b", b"more"], b"x", true),
            ("a,b", &[b"a", b"c", b"a"], b"aca", false),
            ("a,a,b", &[b"aaab"], b"a", true),
            ("", &[b"\x10\x11"], b"\x10\x11", false),
            ("ctrl-p,ctrl-q", &[b"hello \x10", b"\x10\x11"], b"hello \x10", true),
        ] {
            let outcome = typed(keys, pieces).await;
            assert_eq!((outcome.0.as_slice(), outcome.1), (heard, is_gone), "{keys:?} {pieces:?}");
        }
    }
}
