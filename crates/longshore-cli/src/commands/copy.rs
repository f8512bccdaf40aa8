//! `cp`.

use std::path::{Path, PathBuf};

use futures_util::{StreamExt, stream};
use longshore::{
    Archive, CopiedLinks, CopiedOwner, CopyOptions, CopySource, Error, LogSource, Member, unpack,
};
use tokio::io::AsyncReadExt;

use super::talk::target_of;
use crate::{
    args::Cp,
    context::{Context, Leaves},
    exit::{ExitCode, Failure},
};

/// One end of a copy.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// A path in a service's containers.
    Service(String, String),
    /// A path of this computer.
    Here(PathBuf),
    /// An archive on stdin or stdout.
    Piped,
}

impl End {
    /// As docker has it: a path that is absolute, or begins with a dot, is one of this computer, whatever follows.
    fn read(text: &str) -> Self {
        if text == "-" {
            return Self::Piped;
        }
        match text.split_once(':') {
            Some((service, path)) if !Path::new(text).is_absolute() && !service.starts_with('.') => {
                Self::Service(service.to_owned(), path.to_owned())
            }
            _ => Self::Here(PathBuf::from(text)),
        }
    }
}

/// Copies between a service's containers and this computer.
pub(crate) async fn cp(args: &Cp, context: &Context) -> Result<ExitCode, Failure> {
    let mut options = CopyOptions::default();
    if args.follow_link {
        options.links = CopiedLinks::Follow;
    }
    if args.archive {
        options.owner = CopiedOwner::Containers;
    }
    let member = |service: String| Member { service, index: args.index };
    match (End::read(&args.source), End::read(&args.destination)) {
        (End::Service(service, path), to @ (End::Here(_) | End::Piped)) => {
            out(member(service), &path, to, options, context).await
        }
        (from @ (End::Here(_) | End::Piped), End::Service(service, path)) => {
            let source = match from {
                End::Here(from) => CopySource::Path(from),
                _ => CopySource::Archive(stdin()),
            };
            into(source, member(service), &path, options, context).await
        }
        (End::Service(..), End::Service(..)) => {
            Err(Failure::Usage("copying between services is not supported".to_owned(), None))
        }
        _ => {
            let help = "write SERVICE:PATH for a path in a container".to_owned();
            Err(Failure::Usage("one of the two must be of a service".to_owned(), Some(help)))
        }
    }
}

async fn out(
    member: Member,
    path: &str,
    to: End,
    options: CopyOptions,
    context: &Context,
) -> Result<ExitCode, Failure> {
    let target = target_of(&member.service, context).await?;
    let runtime = context.runtime().await?;
    let copied = context.reading(async {
        let mut archive = runtime.copy_from(&target.name, &member, path, &options).await?;
        context.would(&format!("Container of {}  Copying {path}", member.service));
        match to {
            _ if context.output.dry_run => {}
            End::Here(to) => unpack(archive, path, &to).await?,
            _ => {
                while let Some(piece) = archive.next().await {
                    context.output.bytes(LogSource::Stdout, &piece?)?;
                }
            }
        }
        Ok(ExitCode::Ok)
    });
    copied.await
}

async fn into(
    source: CopySource,
    member: Member,
    path: &str,
    options: CopyOptions,
    context: &Context,
) -> Result<ExitCode, Failure> {
    let target = target_of(&member.service, context).await?;
    let runtime = context.runtime().await?;
    let call = context.call();
    let work = runtime.copy_to(&target.name, &member, path, source, &options, &call);
    context.changing(&*runtime, &target.name, Leaves::Less, &call, work).await?;
    Ok(ExitCode::Ok)
}

/// What is piped into this command.
fn stdin() -> Archive {
    let pieces = stream::unfold(Some(tokio::io::stdin()), |stdin| async move {
        let mut stdin = stdin?;
        let mut piece = vec![0; 64 << 10];
        match stdin.read(&mut piece).await {
            Ok(0) => None,
            Ok(read) => {
                piece.truncate(read);
                Some((Ok(piece), Some(stdin)))
            }
            Err(error) => {
                let error = Error::File { path: "-".to_owned(), reason: error.to_string() };
                Some((Err(error), None))
            }
        }
    });
    pieces.boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_of_a_service_or_of_this_computer() {
        let service = |name: &str, path: &str| End::Service(name.to_owned(), path.to_owned());
        assert_eq!(End::read("web:/data"), service("web", "/data"));
        assert_eq!(End::read("web:data:x"), service("web", "data:x"));
        for here in ["data", "./a:b", "../a:b", "/a:b", "."] {
            assert_eq!(End::read(here), End::Here(PathBuf::from(here)));
        }
        assert_eq!(End::read("-"), End::Piped);
    }
}
