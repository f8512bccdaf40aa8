//! Copying into containers and out of them: archives to and fro, and where what is in them goes, by the rules of `docker
//! container cp`.

use std::{
    collections::BTreeMap,
    fmt, fs,
    io::{self, BufWriter, Read, Write},
    path::{Component, Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use tar::EntryType;
use tokio::sync::mpsc;

use crate::{ContainerId, Engine, Error, ResourceKind, Result};

/// A tar archive, piece by piece.
pub type Archive = BoxStream<'static, Result<Vec<u8>>>;

/// What is copied into containers.
pub enum CopySource {
    /// A file or folder of this computer, of which as many archives are made as there are containers.
    Path(PathBuf),
    /// What is in an archive, into a folder.
    Archive(Archive),
}

impl fmt::Debug for CopySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => f.debug_tuple("Path").field(path).finish(),
            Self::Archive(_) => f.debug_tuple("Archive").finish_non_exhaustive(),
        }
    }
}

/// How something is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CopyOptions {
    /// What becomes of a link that is copied.
    pub links: CopiedLinks,
    /// Whose the files are in the container.
    pub owner: CopiedOwner,
}

/// What becomes of a link that is named as what is copied. Links in folders are copied as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CopiedLinks {
    /// It is copied; but Podman's command copies what a container's leads to.
    #[default]
    Copy,
    /// What it leads to is copied (`--follow-link`).
    Follow,
}

/// Whose files are that are copied into a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CopiedOwner {
    /// Whose they are in the archive, by number.
    #[default]
    Kept,
    /// The container's user's (`--archive`).
    Containers,
}

/// So many pieces of an archive wait for who takes them, and each is so large.
const WAITING: usize = 4;
const PIECE: usize = 64 << 10;
/// The first entry of an archive is not further away.
const LONGEST_HEAD: usize = 1 << 20;
/// As many links are followed as Linux follows.
const MOST_LINKS: usize = 40;

/// An absolute path in a container, and what its end asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Inside {
    /// Without `.`, `..` and a slash at its end.
    path: String,
    /// Whether it is to be a folder: it ends with a slash.
    is_folder: bool,
    /// Whether not it but what is in it is meant: it ends with `/.`.
    is_contents: bool,
}

impl Inside {
    /// Paths are of the root folder, whether or not they begin with a slash.
    pub(crate) fn new(text: &str) -> Self {
        let mut names: Vec<&str> = Vec::new();
        for name in text.split('/') {
            match name {
                "" | "." => {}
                ".." => drop(names.pop()),
                name => names.push(name),
            }
        }
        let is_contents = ends_with_dot(text) || names.is_empty();
        Self {
            path: format!("/{}", names.join("/")),
            is_folder: text.ends_with('/') || is_contents,
            is_contents,
        }
    }

    /// The same beneath a folder.
    fn from(folder: &str, text: &str) -> Self {
        if text.starts_with('/') { Self::new(text) } else { Self::new(&format!("{folder}/{text}")) }
    }

    fn split(&self) -> (&str, &str) {
        let (folder, name) = self.path.rsplit_once('/').unwrap_or(("", &self.path));
        (if folder.is_empty() { "/" } else { folder }, name)
    }

    fn is_root(&self) -> bool {
        self.path == "/"
    }
}

fn ends_with_dot(text: &str) -> bool {
    text == "." || text.ends_with("/.")
}

/// What is somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Folder,
    Link(String),
    File,
}

/// Where what is copied goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It becomes what is there.
    There,
    /// Into the folder that is there, by its own name.
    Inside,
    /// What is in it goes into the folder that is there.
    Contents,
}

/// A thing that is copied.
#[derive(Debug, Clone, Copy)]
struct Thing {
    is_folder: bool,
    is_contents: bool,
}

/// The rules of `docker container cp`. `there` is whether there is a folder, or something else, or nothing.
fn place(thing: Thing, there: Option<bool>, is_to_be_folder: bool) -> Result<Place, &'static str> {
    match (there, thing.is_folder) {
        (None, false) if is_to_be_folder => Err("there is no such folder"),
        (Some(false), false) if is_to_be_folder => Err("it is no folder"),
        (Some(false), true) => Err("a folder cannot take the place of a file"),
        (None, _) | (Some(false), false) => Ok(Place::There),
        (Some(true), true) if thing.is_contents => Ok(Place::Contents),
        (Some(true), _) => Ok(Place::Inside),
    }
}

fn refused(path: impl fmt::Display, reason: impl fmt::Display) -> Error {
    Error::File { path: path.to_string(), reason: reason.to_string() }
}

/// What a container has at a path, as an archive.
pub(crate) async fn copy_from(
    engine: &dyn Engine,
    id: &ContainerId,
    path: &str,
    links: CopiedLinks,
) -> Result<Archive> {
    let mut path = Inside::new(path);
    if links == CopiedLinks::Follow || path.is_folder {
        let kind;
        (path, kind) = followed(engine, id, path).await?;
        if path.is_folder && kind == Some(Kind::File) {
            return Err(refused(path.path, "it is no folder"));
        }
    }
    engine.copy_from(id, &path.path).await
}

/// Where a path leads to, and what is there.
async fn followed(engine: &dyn Engine, id: &ContainerId, path: Inside) -> Result<(Inside, Option<Kind>)> {
    let mut at = path.clone();
    for _ in 0..MOST_LINKS {
        match kind_of(engine, id, &at).await? {
            Some(Kind::Link(to)) => {
                let next = Inside::from(at.split().0, &to);
                at = Inside { path: next.path, ..at };
            }
            kind => return Ok((at, kind)),
        }
    }
    Err(refused(path.path, "too many links lead from one to the other"))
}

/// What is at a path, as the first entry of an archive of it tells.
async fn kind_of(engine: &dyn Engine, id: &ContainerId, path: &Inside) -> Result<Option<Kind>> {
    if path.is_root() {
        return Ok(Some(Kind::Folder));
    }
    let mut archive = match engine.copy_from(id, &path.path).await {
        Err(Error::NotFound { kind: ResourceKind::File, .. }) => return Ok(None),
        archive => archive?,
    };
    let mut head = Vec::new();
    while let Some(piece) = archive.next().await {
        head.extend(piece?);
        if let Some(kind) = first_kind(&head) {
            return Ok(Some(kind));
        }
        if head.len() > LONGEST_HEAD {
            break;
        }
    }
    let operation = format!("copy {} from container", path.path);
    Err(Error::Unexpected { engine: engine.kind(), operation, quote: "what is no archive".to_owned() })
}

fn first_kind(head: &[u8]) -> Option<Kind> {
    let mut archive = tar::Archive::new(head);
    let entry = archive.entries().ok()?.next()?.ok()?;
    Some(match entry.header().entry_type() {
        EntryType::Directory => Kind::Folder,
        EntryType::Symlink => Kind::Link(entry.link_name().ok()??.to_string_lossy().into_owned()),
        _ => Kind::File,
    })
}

/// Something of this computer that is copied: where it is, and by which name it goes.
#[derive(Debug, Clone)]
struct Local {
    path: PathBuf,
    name: String,
    thing: Thing,
}

impl Local {
    /// Blocks.
    fn look(path: &Path, links: CopiedLinks) -> Result<Self> {
        let text = path.to_string_lossy();
        let failed = |error: io::Error| refused(path.display(), error);
        let is_contents = ends_with_dot(&text);
        let is_to_be_folder = is_contents || text.ends_with('/');
        let follows = links == CopiedLinks::Follow || is_to_be_folder;
        let whole = fs::canonicalize(if follows { path } else { path.parent().unwrap_or(path) });
        let name = match path.file_name() {
            Some(name) if !is_contents => name.to_owned(),
            // `..` has a name only where it leads to.
            _ => fs::canonicalize(path).map_err(failed)?.file_name().unwrap_or_default().to_owned(),
        };
        let found = if follows { fs::metadata(path) } else { fs::symlink_metadata(path) };
        let is_folder = found.map_err(failed)?.is_dir();
        if is_to_be_folder && !is_folder {
            return Err(refused(path.display(), "it is no folder"));
        }
        let path = if follows { whole.map_err(failed)? } else { path.to_owned() };
        let name = name.to_string_lossy().into_owned();
        Ok(Self { path, name, thing: Thing { is_folder, is_contents } })
    }
}

/// Copies something of this computer into a container.
pub(crate) async fn copy_path_to(
    engine: &dyn Engine,
    id: &ContainerId,
    to: &str,
    from: &Path,
    options: CopyOptions,
) -> Result<()> {
    let (path, links) = (from.to_owned(), options.links);
    let local = blocking(move || Local::look(&path, links)).await?;
    let (at, kind) = followed(engine, id, Inside::new(to)).await?;
    let there = kind.map(|kind| kind == Kind::Folder);
    let place = place(local.thing, there, at.is_folder).map_err(|reason| refused(&at.path, reason))?;
    let (folder, root) = match place {
        Place::There => {
            let (folder, name) = at.split();
            (folder, Some(name.to_owned()))
        }
        Place::Inside => (at.path.as_str(), Some(local.name.clone())),
        Place::Contents => (at.path.as_str(), None),
    };
    // What is there now says where it goes; Podman's service would make a folder that is not there.
    if place == Place::There && kind_of(engine, id, &Inside::new(folder)).await?.is_none() {
        return Err(Error::NotFound { kind: ResourceKind::File, name: folder.to_owned() });
    }
    let archive = packed(move |archive| pack(archive, &local.path, root.as_deref()), from.to_owned());
    upload(engine, id, folder, archive, options.owner).await
}

/// Copies what is in archives into a folder of containers, an archive for each.
pub(crate) async fn copy_archive_to(
    engine: &dyn Engine,
    ids: &[ContainerId],
    to: &str,
    archive: Archive,
    owner: CopiedOwner,
) -> Result<()> {
    let mut folders = Vec::new();
    for id in ids {
        let (at, kind) = followed(engine, id, Inside::new(to)).await?;
        match kind {
            Some(Kind::Folder) => folders.push(at.path),
            Some(_) => return Err(refused(at.path, "it is no folder")),
            None => return Err(Error::NotFound { kind: ResourceKind::File, name: at.path }),
        }
    }
    let copies = shared(archive, ids.len());
    let uploads = ids.iter().zip(&folders).zip(copies);
    let uploads = uploads.map(|((id, folder), copy)| upload(engine, id, folder, copy, owner));
    futures_util::future::try_join_all(uploads).await.map(|_| ())
}

/// Copies files and empty folders of this computer to absolute paths in containers, as the container's user's. Folders on the way are
/// made. What is gone meanwhile is left out.
pub(crate) async fn copy_files_to(
    engine: &dyn Engine,
    ids: &[ContainerId],
    files: BTreeMap<String, PathBuf>,
) -> Result<()> {
    let Some(first) = files.values().next().cloned() else { return Ok(()) };
    let copies = shared(packed(move |archive| pack_files(archive, &files), first), ids.len());
    let uploads =
        ids.iter().zip(copies).map(|(id, copy)| upload(engine, id, "/", copy, CopiedOwner::Containers));
    futures_util::future::try_join_all(uploads).await.map(|_| ())
}

/// Gives an archive to an engine. That it came to an end before its end is told, and not what the engine makes of that.
async fn upload(
    engine: &dyn Engine,
    id: &ContainerId,
    folder: &str,
    archive: Archive,
    owner: CopiedOwner,
) -> Result<()> {
    let failure = Arc::new(Mutex::new(None));
    let noted = failure.clone();
    let archive = archive.inspect(move |piece| {
        if let Err(error) = piece {
            *noted.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
        }
    });
    let outcome = engine.copy_to(id, folder, archive.boxed(), owner).await;
    let failure = failure.lock().unwrap_or_else(PoisonError::into_inner).take();
    failure.map_or(outcome, Err)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Error::Cancelled)?
}

/// The same archive so many times. The slowest reader slows it; who goes away no longer does.
fn shared(mut archive: Archive, times: usize) -> Vec<Archive> {
    if times == 1 {
        return vec![archive];
    }
    let (mut senders, receivers): (Vec<_>, Vec<_>) = (0..times).map(|_| mpsc::channel(WAITING)).unzip();
    tokio::spawn(async move {
        while let Some(piece) = archive.next().await {
            let mut left = Vec::new();
            for sender in senders {
                if sender.send(piece.clone()).await.is_ok() {
                    left.push(sender);
                }
            }
            if left.is_empty() || piece.is_err() {
                return;
            }
            senders = left;
        }
    });
    receivers.into_iter().map(received).collect()
}

/// What is sent, until it fails.
fn received(receiver: mpsc::Receiver<Result<Vec<u8>>>) -> Archive {
    let pieces = stream::unfold(Some(receiver), |receiver| async move {
        let mut receiver = receiver?;
        let piece = receiver.recv().await?;
        let rest = piece.is_ok().then_some(receiver);
        Some((piece, rest))
    });
    pieces.boxed()
}

/// Writes pieces for who takes them.
struct Pieces(mpsc::Sender<Result<Vec<u8>>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Who no longer takes them has seen enough.
        self.0.blocking_send(Ok(bytes.to_vec())).map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

type Packing = tar::Builder<BufWriter<Pieces>>;

/// An archive that is written on a thread of its own, as fast as it is read.
fn packed(write: impl FnOnce(&mut Packing) -> io::Result<()> + Send + 'static, from: PathBuf) -> Archive {
    let (sender, receiver) = mpsc::channel(WAITING);
    tokio::task::spawn_blocking(move || {
        let mut archive = tar::Builder::new(BufWriter::with_capacity(PIECE, Pieces(sender.clone())));
        archive.follow_symlinks(false);
        let written = write(&mut archive).and_then(|()| archive.finish());
        if let Err(error) = written.and_then(|()| archive.get_mut().flush()) {
            // Told before the archive is dropped, which writes its end.
            let _ = sender.blocking_send(Err(refused(from.display(), error)));
        }
    });
    received(receiver)
}

/// Writes something under that name, or what is in it.
fn pack(archive: &mut Packing, from: &Path, root: Option<&str>) -> io::Result<()> {
    let mut append = |path: &Path, name: &Path| match fs::symlink_metadata(path)?.is_dir() {
        true => archive.append_dir_all(name, path),
        false => archive.append_path_with_name(path, name),
    };
    let Some(name) = root else {
        return fs::read_dir(from)?.try_for_each(|entry| {
            let entry = entry?;
            append(&entry.path(), Path::new(&entry.file_name()))
        });
    };
    append(from, Path::new(name))
}

/// Writes files by their paths from the root folder, and leaves out what is gone.
fn pack_files(archive: &mut Packing, files: &BTreeMap<String, PathBuf>) -> io::Result<()> {
    files.iter().try_for_each(|(inside, path)| match pack_one(archive, path, inside) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(wrong(path, &error.to_string())),
        Ok(()) => Ok(()),
    })
}

/// Writes one file, link or folder without what is in it, to a path from the root folder. Its numbers of user and group are
/// nobody's in a container.
fn pack_one(archive: &mut Packing, from: &Path, inside: &str) -> io::Result<()> {
    let name = inside.trim_start_matches('/');
    let found = fs::symlink_metadata(from)?;
    let mut header = tar::Header::new_gnu();
    header.set_metadata(&found);
    header.set_uid(0);
    header.set_gid(0);
    if found.is_symlink() {
        header.set_size(0);
        return archive.append_link(&mut header, name, fs::read_link(from)?);
    }
    if found.is_dir() {
        header.set_size(0);
        return archive.append_data(&mut header, name, io::empty());
    }
    if !found.is_file() {
        return Ok(());
    }
    // Somebody may write to it: then it is copied again, but until then the archive has to be one.
    let file = fs::File::open(from)?;
    let size = file.metadata()?.len();
    header.set_size(size);
    archive.append_data(&mut header, name, file.take(size).chain(io::repeat(0)).take(size))
}

/// Reads pieces as they come. A stream that fails is an end; why is kept.
struct Reader {
    receiver: mpsc::Receiver<Result<Vec<u8>>>,
    piece: io::Cursor<Vec<u8>>,
    failure: Option<Error>,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.piece.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            match self.receiver.blocking_recv() {
                Some(Ok(piece)) => self.piece = io::Cursor::new(piece),
                Some(Err(error)) => {
                    self.failure = Some(error);
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                None => return Ok(0),
            }
        }
    }
}

/// Writes what was [copied](crate::ContainerRuntime::copy_from) from `source`, a path in a container, to a path of this computer, by
/// the rules of `docker container cp`: into a folder that is there, in the place of a file, or under a name that is not there
/// yet in a folder that is. Files become this user's. Whatever the archive says, nothing is written beside that: what leads out of it, by `..` or by a
/// link, is an error. Devices are left out.
///
/// # Errors
/// [`Error::File`] when it cannot be written, or the archive is none; what the stream ends with.
pub async fn unpack(mut archive: Archive, source: &str, to: &Path) -> Result<()> {
    let (sender, receiver) = mpsc::channel(WAITING);
    let (source, path) = (Inside::new(source), to.to_owned());
    let writing = tokio::task::spawn_blocking(move || {
        let mut reader = Reader { receiver, piece: io::Cursor::default(), failure: None };
        let written = write_out(&mut reader, &source, &path);
        match reader.failure {
            Some(failure) => Err(failure),
            None => written.map_err(|error| refused(path.display(), error)),
        }
    });
    while let Some(piece) = archive.next().await {
        // Who reads no more has failed.
        if sender.send(piece).await.is_err() {
            break;
        }
    }
    drop(sender);
    writing.await.map_err(|_| Error::Cancelled)?
}

fn write_out(reader: &mut Reader, source: &Inside, to: &Path) -> io::Result<()> {
    let mut archive = tar::Archive::new(reader);
    let mut root: Option<PathBuf> = None;
    // A folder that forbids it to its owner still gets what is in it.
    let mut closed: Vec<(PathBuf, u32)> = Vec::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let kind = entry.header().entry_type();
        let beneath = beneath(&entry.path()?, source.is_root())?;
        let root = match &root {
            Some(root) => root,
            None => {
                let is_folder = kind.is_dir() || source.is_root() || beneath.components().next().is_some();
                root.insert(root_of(is_folder, source, to)?)
            }
        };
        let path = root.join(&beneath);
        let path = if beneath.as_os_str().is_empty() { root.clone() } else { path };
        check_folders(root, &beneath)?;
        let there = fs::symlink_metadata(&path).ok();
        let is_folder = there.as_ref().is_some_and(fs::Metadata::is_dir);
        match kind {
            EntryType::Directory => {
                if there.is_none() {
                    fs::create_dir(&path)?;
                    let mode = entry.header().mode()? & 0o777;
                    if mode & 0o700 == 0o700 { set_mode(&path, mode)? } else { closed.push((path, mode)) }
                } else if !is_folder {
                    return Err(wrong(&path, "there is something else where a folder goes"));
                }
            }
            _ if is_folder => return Err(wrong(&path, "there is a folder where a file goes")),
            EntryType::Link => {
                let link = entry.link_name()?.ok_or_else(|| wrong(&path, "a link to nothing"))?;
                let linked = self::beneath(&link, source.is_root())?;
                check_folders(root, &linked)?;
                if there.is_some() {
                    fs::remove_file(&path)?;
                }
                fs::hard_link(root.join(linked), &path)?;
            }
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse | EntryType::Symlink => {
                entry.unpack(&path)?;
            }
            other => tracing::warn!(path = %path.display(), kind = ?other, "not copied"),
        }
    }
    if root.is_none() {
        return Err(io::Error::other("the archive is empty"));
    }
    closed.into_iter().rev().try_for_each(|(path, mode)| set_mode(&path, mode))
}

/// Where the thing itself goes.
fn root_of(is_folder: bool, source: &Inside, to: &Path) -> io::Result<PathBuf> {
    let text = to.to_string_lossy();
    let is_to_be_folder = text.ends_with('/') || ends_with_dot(&text);
    let there = match fs::metadata(to) {
        Ok(found) => Some(found.is_dir()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let thing = Thing { is_folder, is_contents: source.is_contents };
    match place(thing, there, is_to_be_folder).map_err(io::Error::other)? {
        // A link of the user's own leads where the user wants.
        Place::There if there.is_some() => fs::canonicalize(to),
        Place::There => {
            let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = fs::canonicalize(folder.unwrap_or(Path::new(".")))?;
            let name = to.file_name().ok_or_else(|| io::Error::other("it has no name"))?;
            Ok(folder.join(name))
        }
        Place::Inside => Ok(fs::canonicalize(to)?.join(source.split().1)),
        Place::Contents => fs::canonicalize(to),
    }
}

/// A path of an archive without its first name, which is that of the thing itself; in an archive of the root folder it has none.
fn beneath(path: &Path, is_root: bool) -> io::Result<PathBuf> {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => names.push(name),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => {
                return Err(wrong(path, "it leads out of the archive"));
            }
        }
    }
    Ok(names.into_iter().skip(usize::from(!is_root)).collect())
}

/// Makes the folders on the way to a path. One of them that is a link leads elsewhere.
fn check_folders(root: &Path, beneath: &Path) -> io::Result<()> {
    let Some(parents) = beneath.parent() else { return Ok(()) };
    let mut folder = root.to_owned();
    for name in std::iter::once(None).chain(parents.components().map(Some)) {
        folder.extend(name);
        match fs::symlink_metadata(&folder) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => return Err(wrong(&folder, "it is no folder, and something would be written beyond it")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => fs::create_dir(&folder)?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn wrong(path: &Path, why: &str) -> io::Error {
    io::Error::other(format!("{}: {why}", path.display()))
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn set_mode(_: &Path, _: u32) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_of_the_root_folder_and_its_end_says_what_is_meant() {
        let read = |text: &str| {
            let Inside { path, is_folder, is_contents } = Inside::new(text);
            (path, is_folder, is_contents)
        };
        assert_eq!(read("a//b/../c"), ("/a/c".to_owned(), false, false));
        assert_eq!(read("/a/"), ("/a".to_owned(), true, false));
        assert_eq!(read("/a/."), ("/a".to_owned(), true, true));
        assert_eq!(read("../.."), ("/".to_owned(), true, true));
        assert_eq!(Inside::from("/a/b", "../c").path, "/a/c");
        assert_eq!(Inside::from("/a/b", "/c").path, "/c");
        assert_eq!(Inside::new("/a").split(), ("/", "a"));
    }

    #[test]
    fn the_rules_are_dockers() {
        let [file, folder, contents] = [(false, false), (true, false), (true, true)]
            .map(|(is_folder, is_contents)| Thing { is_folder, is_contents });
        let (nothing, other, there) = (None, Some(false), Some(true));
        assert_eq!(place(file, nothing, false), Ok(Place::There));
        assert!(place(file, nothing, true).is_err());
        assert_eq!(place(file, other, false), Ok(Place::There));
        assert!(place(file, other, true).is_err());
        assert_eq!(place(file, there, true), Ok(Place::Inside));
        for is_to_be_folder in [false, true] {
            assert_eq!(place(folder, nothing, is_to_be_folder), Ok(Place::There));
            assert!(place(folder, other, is_to_be_folder).is_err());
            assert_eq!(place(folder, there, is_to_be_folder), Ok(Place::Inside));
            assert_eq!(place(contents, there, is_to_be_folder), Ok(Place::Contents));
            assert_eq!(place(contents, nothing, is_to_be_folder), Ok(Place::There));
        }
    }

    /// An entry by its type, path and what it leads to or holds, whatever is wrong with the path.
    fn entry(archive: &mut tar::Builder<Vec<u8>>, kind: EntryType, path: &str, more: &str) {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o755);
        let is_file = kind == EntryType::Regular;
        header.set_size(if is_file { more.len() as u64 } else { 0 });
        let fields = header.as_gnu_mut().unwrap();
        fields.name[..path.len()].copy_from_slice(path.as_bytes());
        if !is_file {
            fields.linkname[..more.len()].copy_from_slice(more.as_bytes());
        }
        header.set_cksum();
        archive.append(&header, if is_file { more.as_bytes() } else { b"" }).unwrap();
    }

    /// An archive of these entries, in pieces that end anywhere.
    fn archive(entries: &[(EntryType, &str, &str)]) -> Archive {
        let mut archive = tar::Builder::new(Vec::new());
        for (kind, path, more) in entries {
            entry(&mut archive, *kind, path, more);
        }
        let bytes = archive.into_inner().unwrap();
        let pieces: Vec<_> = bytes.chunks(100).map(|piece| Ok(piece.to_vec())).collect();
        stream::iter(pieces).boxed()
    }

    use EntryType::{Directory as Dir, Link as Hard, Regular as File, Symlink as Soft};

    #[tokio::test]
    async fn what_was_copied_is_written_by_the_rules() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        let folder = || {
            archive(&[
                (Dir, "d/", ""),
                (File, "d/a", "one"),
                (Dir, "d/sub", ""),
                (Soft, "d/sub/l", "../a"),
                (Hard, "d/h", "d/a"),
            ])
        };
        unpack(folder(), "/d", &at("new")).await.unwrap();
        assert_eq!(fs::read_to_string(at("new/a")).unwrap(), "one");
        assert_eq!(fs::read_to_string(at("new/sub/l")).unwrap(), "one");
        assert_eq!(fs::read_to_string(at("new/h")).unwrap(), "one");
        unpack(folder(), "/x/d", &at("new")).await.unwrap();
        assert_eq!(fs::read_to_string(at("new/d/a")).unwrap(), "one");
        fs::create_dir(at("there")).unwrap();
        unpack(folder(), "/d/.", &at("there")).await.unwrap();
        assert_eq!(fs::read_to_string(at("there/a")).unwrap(), "one");
        let file = || archive(&[(File, "a", "two")]);
        unpack(file(), "/d/a", &at("there")).await.unwrap();
        unpack(file(), "/d/a", &at("b")).await.unwrap();
        assert_eq!(
            fs::read_to_string(at("there/a")).unwrap() + &fs::read_to_string(at("b")).unwrap(),
            "twotwo"
        );
        for (archive, source, to) in [
            (file(), "/a", "none/"),
            (file(), "/a", "none/a"),
            (file(), "/a", "b/"),
            (folder(), "/d", "b"),
            (stream::empty().boxed(), "/a", "c"),
            (stream::iter([Ok(b"no archive".repeat(100))]).boxed(), "/a", "c"),
        ] {
            let error = unpack(archive, source, &at("").join(to)).await.unwrap_err();
            assert!(matches!(error, Error::File { .. }), "{to}: {error:?}");
        }
        // What the stream ends with is what is told.
        let cut = folder().take(3).chain(stream::iter([Err(Error::ShuttingDown)]));
        assert_eq!(unpack(cut.boxed(), "/d", &at("cut")).await, Err(Error::ShuttingDown));
    }

    #[tokio::test]
    async fn nothing_is_written_beside_where_it_goes() {
        let dir = tempfile::tempdir().unwrap();
        let outside = dir.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("kept"), "kept").unwrap();
        let away = outside.to_string_lossy().into_owned();
        let hostile: [&[(EntryType, &str, &str)]; 8] = [
            &[(Dir, "d", ""), (File, "d/../../outside/new", "x")],
            &[(Dir, "d", ""), (File, "../outside/new", "x")],
            &[(Dir, "d", ""), (Soft, "d/out", &away), (File, "d/out/new", "x")],
            &[(Dir, "d", ""), (Soft, "d/out", "../outside"), (File, "d/out/new", "x")],
            &[(Dir, "d", ""), (Soft, "d/out", &away), (Dir, "d/out", ""), (File, "d/out/new", "x")],
            &[(Soft, "d", &away), (File, "d/new", "x")],
            &[(Dir, "d", ""), (Hard, "d/h", "../outside/kept"), (File, "d/h", "x")],
            &[(Dir, "d", ""), (Soft, "d/out", &away), (Hard, "d/h", "d/out/kept")],
        ];
        for (number, entries) in hostile.into_iter().enumerate() {
            let to = dir.path().join(format!("to{number}"));
            let error = unpack(archive(entries), "/d", &to).await.unwrap_err();
            assert!(matches!(error, Error::File { .. }), "{entries:?}: {error:?}");
        }
        // An absolute path is one beneath, and a file takes the place of a link.
        let to = dir.path().join("to");
        let link = away.clone() + "/kept";
        let entries =
            [(Dir, "d", ""), (File, "/d/etc/new", "x"), (Soft, "d/l", link.as_str()), (File, "d/l", "y")];
        unpack(archive(&entries), "/d", &to).await.unwrap();
        assert_eq!(fs::read_to_string(to.join("etc/new")).unwrap(), "x");
        assert_eq!(fs::read_to_string(to.join("l")).unwrap(), "y");
        let left: Vec<_> = fs::read_dir(&outside).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["kept"]);
        assert_eq!(fs::read_to_string(outside.join("kept")).unwrap(), "kept");
    }

    #[tokio::test]
    async fn what_is_packed_is_what_is_unpacked() {
        let dir = tempfile::tempdir().unwrap();
        let from = dir.path().join("from");
        fs::create_dir_all(from.join("sub")).unwrap();
        let long = "x".repeat(120);
        fs::write(from.join("sub").join(&long), vec![b'y'; 3 * PIECE]).unwrap();
        let pack_to = |root: Option<&'static str>| {
            let from = from.clone();
            packed(move |archive| pack(archive, &from, root), PathBuf::new())
        };
        unpack(pack_to(Some("named")), "/named", &dir.path().join("to")).await.unwrap();
        assert_eq!(fs::read(dir.path().join("to/sub").join(&long)).unwrap().len(), 3 * PIECE);
        unpack(pack_to(None), "/", &dir.path().join("to")).await.unwrap();
        let copies = shared(pack_to(Some("named")), 3);
        let all = futures_util::future::join_all(copies.into_iter().map(|copy| copy.count())).await;
        assert!(all.iter().all(|count| *count > 1 && *count == all[0]), "{all:?}");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn files_are_packed_one_by_one_and_what_is_gone_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        fs::create_dir(at("folder")).unwrap();
        fs::write(at("folder/beside"), "").unwrap();
        fs::write(at("file"), "one").unwrap();
        std::os::unix::fs::symlink("file", at("link")).unwrap();
        std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        let names = ["file", "folder", "gone", "link", "socket"];
        let files: BTreeMap<_, _> = names.map(|name| (format!("/to/{name}"), at(name))).into();
        let archive = packed(move |archive| pack_files(archive, &files), PathBuf::new());
        unpack(archive, "/to", &at("to")).await.unwrap();
        let mut found: Vec<_> =
            fs::read_dir(at("to")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        found.sort();
        assert_eq!(found, ["file", "folder", "link"]);
        assert_eq!(fs::read_to_string(at("to/link")).unwrap(), "one");
        assert_eq!(fs::read_dir(at("to/folder")).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("missing");
        let error = Local::look(&missing, CopiedLinks::Copy).unwrap_err();
        assert!(matches!(&error, Error::File { path, .. } if path.ends_with("missing")), "{error:?}");
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(Local::look(&file.join(""), CopiedLinks::Copy).is_err());
        let local = Local::look(&dir.path().join("."), CopiedLinks::Copy).unwrap();
        assert!(local.thing.is_folder && local.thing.is_contents);
        let pieces: Vec<_> =
            packed(move |archive| pack(archive, &missing, Some("x")), PathBuf::from("m")).collect().await;
        assert!(matches!(pieces.last(), Some(Err(Error::File { path, .. })) if path == "m"), "{pieces:?}");
    }
}
