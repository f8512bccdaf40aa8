//! Copying: commands that print or read an archive.

use std::{collections::VecDeque, time::Duration};

use futures_util::{StreamExt, stream};
use runtime_core::{Archive, ContainerId, CopiedOwner, Error, ResourceKind, Result};
use tokio::{io::AsyncWriteExt, task::JoinHandle, time::timeout};
use tokio_util::io::ReaderStream;

use crate::{
    command::{Finished, Group, Invocation, Podman, last_lines},
    failure::{Subject, explain},
};

/// What podman says of a path at which nothing is.
const MISSING: &str = "could not be found on container";

/// A command that runs, and what it complains of.
struct Copying {
    group: Group,
    complaints: JoinHandle<VecDeque<String>>,
    id: String,
    deadline: Duration,
}

impl Copying {
    fn begin(podman: &Podman, command: &Invocation, id: &ContainerId) -> Result<Self> {
        let mut group = podman.spawn(command)?;
        let stderr = group.child.stderr.take();
        // It must not fill its pipe and hang.
        let complaints = tokio::spawn(async move {
            let mut lines = VecDeque::new();
            if let Some(stderr) = stderr {
                last_lines(stderr, &mut lines).await;
            }
            lines
        });
        Ok(Self { group, complaints, id: id.0.clone(), deadline: podman.deadline })
    }

    fn late(&self) -> Error {
        Error::TimedOut { what: format!("`{}`", self.group.command), after: self.deadline }
    }

    /// How it ended, which it does when its pipes are closed.
    async fn end(mut self) -> Result<()> {
        let late = self.late();
        let Ok(status) = timeout(self.deadline, self.group.child.wait()).await else { return Err(late) };
        let exit_code = status.ok().and_then(|status| status.code());
        let stderr: Vec<String> = self.complaints.await.unwrap_or_default().into();
        if exit_code == Some(0) {
            return Ok(());
        }
        let command = self.group.command.clone();
        let finished = Finished { exit_code, stdout: Vec::new(), stderr, command };
        Err(explain(&finished, Subject { kind: ResourceKind::Container, name: &self.id }))
    }
}

/// What is at a path of a container.
pub(crate) async fn from(podman: &Podman, id: &ContainerId, path: &str) -> Result<Archive> {
    let command = Invocation::new(["cp", "--"]).args([format!("{id}:{path}"), "-".to_owned()]);
    let mut copying = Copying::begin(podman, &command, id)?;
    let Some(stdout) = copying.group.child.stdout.take() else {
        return Err(Error::InvalidProject("podman was started without its pipes".into()));
    };
    let mut pieces = ReaderStream::with_capacity(stdout, 64 << 10);
    let Ok(first) = timeout(podman.deadline, pieces.next()).await else {
        return Err(copying.late());
    };
    let Some(Ok(first)) = first else {
        let missing = Error::NotFound { kind: ResourceKind::File, name: path.to_owned() };
        return Err(match copying.end().await {
            Err(Error::Command(failure)) if failure.stderr.iter().any(|line| line.contains(MISSING)) => {
                missing
            }
            Err(error) => error,
            Ok(()) => missing,
        });
    };
    let rest = stream::unfold(Some((pieces, copying)), |reading| async move {
        let (mut pieces, copying) = reading?;
        match pieces.next().await {
            Some(Ok(piece)) => Some((Ok(piece.to_vec()), Some((pieces, copying)))),
            // It says why by how it ends.
            _ => copying.end().await.err().map(|error| (Err(error), None)),
        }
    });
    Ok(stream::once(std::future::ready(Ok(first.to_vec()))).chain(rest).boxed())
}

/// Unpacks an archive in a folder of a container.
pub(crate) async fn to(
    podman: &Podman,
    id: &ContainerId,
    folder: &str,
    mut archive: Archive,
    owner: CopiedOwner,
) -> Result<()> {
    // Podman's default is the container's user.
    let owner = if owner == CopiedOwner::Containers { "--archive=true" } else { "--archive=false" };
    let command = Invocation::new(["cp", owner, "--", "-"]).args([format!("{id}:{folder}")]).reading_stdin();
    let mut copying = Copying::begin(podman, &command, id)?;
    if let Some(mut stdin) = copying.group.child.stdin.take() {
        while let Some(piece) = archive.next().await {
            // Dropped, podman goes with it, and does not take half an archive for a whole one.
            let piece = piece?;
            match timeout(podman.deadline, stdin.write_all(&piece)).await {
                Ok(Ok(())) => {}
                // One that has ended reads no more; what it says of that counts.
                Ok(Err(_)) => break,
                Err(_) => return Err(copying.late()),
            }
        }
    }
    copying.end().await
}
