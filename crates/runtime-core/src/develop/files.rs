//! Listens to the files that rules are about, with one watcher for all. Time is this computer's own: no engine's clock says when files
//! change.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use compose_file::Project;
use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{ModifyKind, RenameMode},
};

use super::{Batch, Now, Rule};
use crate::{Error, Result, build};

/// A batch is over when nothing has changed for so long, as docker compose has it.
const QUIET: Duration = Duration::from_millis(500);
/// It is over after so long though something changes all the time: somebody may write a log there.
const LONGEST: Duration = Duration::from_secs(5);
/// Of more paths than that nobody knows which have changed.
const MOST_PATHS: usize = 100_000;

/// Who listens. Dropped, nobody does.
#[derive(Debug)]
pub(crate) struct Listening {
    heard: Arc<Heard>,
    ears: Arc<Mutex<Ears>>,
}

/// Where it is listened.
#[derive(Debug)]
struct Ears {
    watcher: RecommendedWatcher,
    open: BTreeMap<PathBuf, RecursiveMode>,
}

impl Ears {
    /// Listens wherever rules ask for it and nobody listens yet, which is so of a folder that was made again too. Returns whether
    /// there was such a place, and what went wrong.
    fn open(&mut self, rules: &[Rule], batch: &Batch) -> (bool, Vec<Error>) {
        self.open.retain(|path, _| path.is_dir() && batch.get(path) != Some(&Now::Folder));
        let (mut is_new, mut problems) = (false, Vec::new());
        for (place, mode) in places(rules) {
            for (path, mode) in parts(rules, place.clone(), mode) {
                if self.open.get(&path) == Some(&mode) {
                    continue;
                }
                is_new = true;
                match self.watcher.watch(&path, mode) {
                    // What nobody may read nobody copies, and what has gone meanwhile is told by its folder.
                    Err(error) if path != place && is_out_of_reach(&error) => {}
                    Err(error) => problems.push(refused(&path, &error)),
                    Ok(()) => {}
                }
                self.open.insert(path, mode);
            }
        }
        (is_new, problems)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.heard.pending().is_over = true;
        self.heard.changed.notify_all();
    }
}

/// What was heard and not told yet.
#[derive(Debug)]
struct Heard {
    rules: Vec<Rule>,
    pending: Mutex<Pending>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Pending {
    /// The paths, and whether something has come there as a whole.
    paths: BTreeMap<PathBuf, bool>,
    /// Whether more may have changed than was told.
    is_all: bool,
    /// What went wrong.
    problems: BTreeSet<String>,
    /// How often something was heard.
    count: u64,
    is_over: bool,
}

impl Pending {
    fn is_empty(&self) -> bool {
        self.paths.is_empty() && !self.is_all && self.problems.is_empty()
    }

    fn note(&mut self, path: PathBuf, came: bool) {
        if self.paths.len() < MOST_PATHS {
            *self.paths.entry(path).or_default() |= came;
        } else {
            self.is_all = true;
        }
    }
}

impl Heard {
    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what a watcher tells, on its thread.
    fn hear(&self, told: notify::Result<Event>) {
        let event = match told {
            Ok(event) => event,
            Err(error) => {
                self.note(|pending| pending.problems.extend([error.to_string()]));
                return;
            }
        };
        if event.need_rescan() {
            self.note(|pending| pending.is_all = true);
            return;
        }
        // What only changes in a folder is told of what is in it.
        let came = match event.kind {
            EventKind::Access(_) => return,
            EventKind::Modify(ModifyKind::Name(RenameMode::From)) | EventKind::Remove(_) => false,
            EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Metadata(_)) => false,
            _ => true,
        };
        // Of a folder what is in it may be meant.
        let is_meant = |path: &PathBuf| {
            self.rules.iter().any(|rule| rule.matches(path).is_some())
                || (path.is_dir() && self.rules.iter().any(|rule| rule.may_concern_in(path)))
        };
        let paths: Vec<PathBuf> = event.paths.into_iter().filter(is_meant).collect();
        if !paths.is_empty() {
            self.note(|pending| paths.into_iter().for_each(|path| pending.note(path, came)));
        }
    }

    fn note(&self, change: impl FnOnce(&mut Pending)) {
        let mut pending = self.pending();
        change(&mut pending);
        pending.count += 1;
        drop(pending);
        self.changed.notify_all();
    }

    /// Waits until something has changed and it is quiet again. `None` is when nobody listens any more. Blocks.
    fn wait(&self) -> Option<Pending> {
        let pending = self.pending();
        let mut pending = self
            .changed
            .wait_while(pending, |pending| pending.is_empty() && !pending.is_over)
            .unwrap_or_else(PoisonError::into_inner);
        let end = Instant::now() + LONGEST;
        loop {
            let seen = pending.count;
            let goes_on = |pending: &mut Pending| pending.count == seen && !pending.is_over;
            let (guard, waited) = self
                .changed
                .wait_timeout_while(pending, QUIET, goes_on)
                .unwrap_or_else(PoisonError::into_inner);
            pending = guard;
            if pending.is_over {
                return None;
            }
            if waited.timed_out() || Instant::now() >= end {
                let count = pending.count;
                return Some(std::mem::replace(&mut *pending, Pending { count, ..Pending::default() }));
            }
        }
    }

    /// What is there now. Blocks.
    fn look(&self, pending: &Pending) -> Batch {
        let mut batch = Batch::new();
        if pending.is_all {
            batch = self.all(self.rules.iter());
        }
        for (path, came) in &pending.paths {
            match fs::symlink_metadata(path) {
                Ok(found) if !found.is_dir() => drop(batch.insert(path.clone(), Now::File)),
                Ok(_) if *came => self.walk(path.clone(), &mut batch),
                Ok(_) => {}
                Err(error) if is_gone(&error) => drop(batch.insert(path.clone(), Now::Nothing)),
                // Who copies it tells why that cannot be.
                Err(_) => drop(batch.insert(path.clone(), Now::File)),
            }
        }
        batch
    }

    /// All files of rules, as if each had changed.
    fn all<'r>(&self, rules: impl Iterator<Item = &'r Rule>) -> Batch {
        let mut batch = Batch::new();
        for rule in rules {
            match fs::symlink_metadata(&rule.path) {
                Ok(found) if found.is_dir() => self.walk(rule.path.clone(), &mut batch),
                Ok(_) => drop(batch.insert(rule.path.clone(), Now::File)),
                Err(_) => {}
            }
        }
        batch
    }

    /// Adds a folder and what is in it, as far as a rule may be about it. What cannot be read is left out.
    fn walk(&self, folder: PathBuf, batch: &mut Batch) {
        let mut open = vec![folder];
        while let Some(folder) = open.pop() {
            if !self.rules.iter().any(|rule| rule.may_concern_in(&folder)) {
                continue;
            }
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => open.push(entry.path()),
                    _ => drop(batch.insert(entry.path(), Now::File)),
                }
            }
            batch.insert(folder, Now::Folder);
        }
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// The path as the system knows it, without links; of what is not there, as far as it is.
fn settled(path: &Path) -> PathBuf {
    for (folder, rest) in path.ancestors().map(|folder| (folder, path.strip_prefix(folder))) {
        if let (Ok(folder), Ok(rest)) = (fs::canonicalize(folder), rest) {
            return if rest.as_os_str().is_empty() { folder } else { folder.join(rest) };
        }
    }
    path.to_owned()
}

/// What is to be listened to: folders with all that is in them, and folders alone.
fn places(rules: &[Rule]) -> BTreeMap<PathBuf, RecursiveMode> {
    let mut whole = BTreeSet::new();
    let mut alone = BTreeSet::new();
    for rule in rules {
        // A file is listened to in its folder, because editors put another one in its place; a folder there too, so that it is
        // heard of when it is made again. What is not there yet is heard of from where there is something.
        let folders = rule.path.ancestors().skip(1);
        alone.extend(folders.filter(|folder| folder.is_dir()).take(1).map(Path::to_owned));
        if rule.path.is_dir() {
            whole.insert(rule.path.clone());
        }
    }
    let is_covered = |path: &PathBuf| path.ancestors().skip(1).any(|folder| whole.contains(folder));
    let mut places = BTreeMap::new();
    places.extend(alone.iter().map(|path| (path.clone(), RecursiveMode::NonRecursive)));
    places.extend(whole.iter().map(|path| (path.clone(), RecursiveMode::Recursive)));
    places.retain(|path, _| !is_covered(path));
    places
}

/// What is listened to for a place. Linux hears of one folder at a time; so a folder is left out there in which nothing is meant, which
/// may be large and nobody's to read.
fn parts(rules: &[Rule], place: PathBuf, mode: RecursiveMode) -> Vec<(PathBuf, RecursiveMode)> {
    if mode == RecursiveMode::NonRecursive || !cfg!(target_os = "linux") {
        return vec![(place, mode)];
    }
    let mut parts = Vec::new();
    let mut open = vec![place];
    while let Some(folder) = open.pop() {
        if !rules.iter().any(|rule| rule.may_concern_in(&folder)) {
            continue;
        }
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        open.extend(
            entries
                .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
                .map(|entry| entry.path()),
        );
        parts.push((folder, RecursiveMode::NonRecursive));
    }
    parts
}

fn is_out_of_reach(error: &notify::Error) -> bool {
    match &error.kind {
        notify::ErrorKind::PathNotFound => true,
        notify::ErrorKind::Io(error) => is_gone(error) || error.kind() == io::ErrorKind::PermissionDenied,
        _ => false,
    }
}

fn refused(path: &Path, error: &notify::Error) -> Error {
    let reason = match error.kind {
        notify::ErrorKind::MaxFilesWatch => {
            "the system watches no more files for this user (fs.inotify.max_user_watches)".to_owned()
        }
        _ => error.to_string(),
    };
    Error::File { path: path.display().to_string(), reason }
}

/// That the system lets nobody listen at all.
fn deaf(error: &notify::Error) -> Error {
    // EMFILE: editors and their servers listen too.
    let has_enough = matches!(&error.kind, notify::ErrorKind::Io(error) if error.raw_os_error() == Some(24));
    let limit = if has_enough { " (fs.inotify.max_user_instances)" } else { "" };
    Error::File { path: "the files that are watched".to_owned(), reason: format!("{error}{limit}") }
}

impl Listening {
    /// Begins to listen to what rules are about: what changes after it has returned is told.
    ///
    /// # Errors
    /// [`Error::File`] when the system does not let it, or a `.dockerignore` cannot be read.
    pub(crate) async fn begin(project: &Project, mut rules: Vec<Rule>) -> Result<Self> {
        let mut builds = BTreeMap::new();
        for rule in &rules {
            let build = project.services.get(&rule.service).and_then(|service| service.build.clone());
            builds.extend(build.map(|build| (rule.service.clone(), build)));
        }
        let work = move || {
            let mut contexts = BTreeMap::new();
            for (service, build) in &builds {
                let left_out = build::left_out(build)?;
                let left_out = left_out.map(|(folder, ignored)| (settled(&folder), ignored));
                contexts.extend(left_out.map(|left_out| (service.as_str(), left_out)));
            }
            for rule in &mut rules {
                rule.path = settled(&rule.path);
                rule.is_file = fs::metadata(&rule.path).is_ok_and(|found| !found.is_dir());
                rule.name_in_folder();
                rule.context = contexts.get(rule.service.as_str()).cloned();
            }
            Self::listen(rules)
        };
        blocking(work).await?
    }

    fn listen(rules: Vec<Rule>) -> Result<Self> {
        let heard = Arc::new(Heard { rules, pending: Mutex::default(), changed: Condvar::new() });
        let hearing = heard.clone();
        // A link is copied as a link, and what it leads to is not what is watched.
        let config = notify::Config::default().with_follow_symlinks(false);
        let watcher = RecommendedWatcher::new(move |told| hearing.hear(told), config);
        let watcher = watcher.map_err(|error| deaf(&error))?;
        let mut ears = Ears { watcher, open: BTreeMap::new() };
        let (_, problems) = ears.open(&heard.rules, &Batch::new());
        match problems.into_iter().next() {
            Some(error) => Err(error),
            None => Ok(Self { heard, ears: Arc::new(Mutex::new(ears)) }),
        }
    }

    /// The rules, with paths as the system knows them.
    pub(crate) fn rules(&self) -> &[Rule] {
        &self.heard.rules
    }

    /// All files of the rules that copy them before the first change.
    pub(crate) async fn initial(&self) -> Result<Batch> {
        if !self.rules().iter().any(|rule| rule.initial) {
            return Ok(Batch::new());
        }
        let heard = self.heard.clone();
        blocking(move || heard.all(heard.rules.iter().filter(|rule| rule.initial))).await
    }

    /// Waits for the next changes, and tells what went wrong with listening. Dropped, what it would have told is lost.
    pub(crate) async fn batch(&self) -> Result<(Batch, BTreeSet<String>)> {
        let (heard, ears) = (self.heard.clone(), self.ears.clone());
        let waiting = move || {
            let mut pending = heard.wait()?;
            let mut problems = std::mem::take(&mut pending.problems);
            let mut batch = heard.look(&pending);
            // Files alone come where somebody listens.
            if batch.values().all(|now| *now == Now::File) {
                return Some((batch, problems));
            }
            let mut ears = ears.lock().unwrap_or_else(PoisonError::into_inner);
            let mut came = batch.clone();
            loop {
                let (is_new, wrong) = ears.open(&heard.rules, &came);
                problems.extend(wrong.iter().map(Error::to_string));
                if !is_new {
                    return Some((batch, problems));
                }
                // What came where nobody listened yet.
                batch.extend(heard.look(&pending));
                came.clear();
            }
        };
        blocking(waiting).await?.ok_or(Error::Cancelled)
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Error::Cancelled)
}

#[cfg(test)]
mod tests {
    use compose_file::{LoadOptions, load_str};

    use super::*;
    use crate::{DevelopOptions, develop::rules};

    /// Listens to what is told in a folder, which has a service with these rules.
    async fn listen(folder: &Path, watch: &str) -> Listening {
        let text = format!("services: {{web: {{image: web, build: ., develop: {{watch: [{watch}]}}}}}}");
        let project = load_str("compose.yaml", &text, &LoadOptions::new(folder)).unwrap();
        let rules = rules(&project, &DevelopOptions::default()).unwrap().rules;
        Listening::begin(&project, rules).await.unwrap()
    }

    /// What has changed at last, once this is among it.
    async fn until(listening: &Listening, folder: &Path, path: &str, now: Now) -> Batch {
        let wanted = folder.join(path);
        let mut all = Batch::new();
        while all.get(&wanted) != Some(&now) {
            let (batch, problems) = listening.batch().await.unwrap();
            assert_eq!(problems, BTreeSet::new());
            all.extend(batch);
        }
        all
    }

    #[tokio::test]
    async fn what_changes_is_heard_of() {
        let dir = tempfile::tempdir().unwrap();
        let folder = fs::canonicalize(dir.path()).unwrap();
        fs::create_dir_all(folder.join("src/old")).unwrap();
        fs::write(folder.join("one"), "").unwrap();
        fs::write(folder.join(".dockerignore"), "src/out").unwrap();
        let src = "{path: src, action: sync, target: /src, ignore: [left]}";
        let one = "{path: one, action: restart}";
        let listening = listen(&folder, &format!("{src}, {one}")).await;
        // Each of these is another way of a file to change; what is left out is heard of by nobody.
        for name in ["src/left", "src/out/x", "beside"] {
            fs::create_dir_all(folder.join(name).parent().unwrap()).unwrap();
            fs::write(folder.join(name), "").unwrap();
        }
        fs::write(folder.join("src/a"), "a").unwrap();
        let mut all = until(&listening, &folder, "src/a", Now::File).await;
        fs::rename(folder.join("src/a"), folder.join("src/b")).unwrap();
        let batch = until(&listening, &folder, "src/b", Now::File).await;
        assert_eq!(batch[&folder.join("src/a")], Now::Nothing);
        all.extend(batch);
        fs::write(folder.join("one~"), "new").unwrap();
        fs::rename(folder.join("one~"), folder.join("one")).unwrap();
        all.extend(until(&listening, &folder, "one", Now::File).await);
        let paths: Vec<_> = all.keys().map(|path| path.strip_prefix(&folder).unwrap()).collect();
        assert_eq!(paths, ["one", "src/a", "src/b"].map(Path::new));
        let ears = listening.ears.lock().unwrap();
        assert!(!ears.open.contains_key(&folder.join("src/out")), "{:?}", ears.open);
    }

    #[tokio::test]
    async fn what_is_in_a_folder_that_comes_is_heard_of() {
        let dir = tempfile::tempdir().unwrap();
        let folder = fs::canonicalize(dir.path()).unwrap();
        fs::create_dir(folder.join("src")).unwrap();
        let listening = listen(&folder, "{path: src, action: sync, target: /src}").await;
        fs::create_dir_all(folder.join("away/deep")).unwrap();
        fs::write(folder.join("away/deep/x"), "").unwrap();
        fs::rename(folder.join("away"), folder.join("src/here")).unwrap();
        let batch = until(&listening, &folder, "src/here/deep/x", Now::File).await;
        assert_eq!(batch[&folder.join("src/here/deep")], Now::Folder);
        fs::write(folder.join("src/here/deep/y"), "").unwrap();
        until(&listening, &folder, "src/here/deep/y", Now::File).await;
        // One that is made again is another one.
        fs::remove_dir_all(folder.join("src")).unwrap();
        until(&listening, &folder, "src", Now::Nothing).await;
        fs::create_dir(folder.join("src")).unwrap();
        until(&listening, &folder, "src", Now::Folder).await;
        fs::write(folder.join("src/z"), "").unwrap();
        until(&listening, &folder, "src/z", Now::File).await;
    }

    #[tokio::test]
    async fn what_is_not_there_yet_is_heard_of() {
        let dir = tempfile::tempdir().unwrap();
        let folder = fs::canonicalize(dir.path()).unwrap();
        let listening =
            listen(&folder, "{path: later/src, action: sync, target: /src, initial_sync: true}").await;
        assert_eq!(listening.initial().await.unwrap(), Batch::new());
        fs::create_dir(folder.join("later")).unwrap();
        until(&listening, &folder, "later", Now::Folder).await;
        fs::create_dir(folder.join("later/src")).unwrap();
        fs::write(folder.join("later/src/x"), "").unwrap();
        until(&listening, &folder, "later/src/x", Now::File).await;
        let first = listening.initial().await.unwrap();
        assert_eq!(first[&folder.join("later/src/x")], Now::File);
    }

    #[test]
    fn of_too_much_nobody_knows_what() {
        let mut pending = Pending::default();
        for number in 0..=MOST_PATHS {
            pending.note(PathBuf::from(number.to_string()), false);
        }
        assert!(pending.is_all && pending.paths.len() <= MOST_PATHS);
    }
}
