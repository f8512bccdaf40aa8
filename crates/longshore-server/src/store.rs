//! What must not be lost: the agents and their secrets, in one folder that is this server's alone.
//!
//! ```text
//! DIR/lock                      held by the server that uses it
//! DIR/token                     what changing calls must know
//! DIR/address                   where the server listens
//! DIR/agents/NAME/agent.json    what the agent is, and agent.json.copy the same once more
//! DIR/agents/NAME/secrets.json  its token and its key
//! DIR/agents/NAME/project/      its compose file and what is mounted
//! ```
//!
//! Files are replaced as a whole and reach the disk before a call returns, so that after a kill at any moment there is the old one
//! or the new one. Only its user may read them.

use std::{
    collections::BTreeMap,
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{api::Wanted, name::AgentName};

/// The version of the files that this program writes.
const VERSION: u32 = 1;

/// What an agent is, as far as the engine does not know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) version: u32,
    pub(crate) name: AgentName,
    pub(crate) template: String,
    pub(crate) image: String,
    pub(crate) provider: String,
    pub(crate) model: String,
    pub(crate) base_url: Option<String>,
    pub(crate) port: Option<u16>,
    /// RFC 3339.
    pub(crate) created_at: String,
    pub(crate) wanted: Wanted,
    /// Whether that was still to be done; a server that was killed does it when it is started again.
    pub(crate) pending: bool,
    /// Whether it has been well once.
    pub(crate) was_well: bool,
    /// Whether it ran when the server ended in order, and was stopped with it.
    #[serde(default)]
    pub(crate) resume: bool,
}

impl Record {
    /// An agent of that name of which nothing else is known.
    pub(crate) fn new(name: AgentName) -> Self {
        Self {
            version: VERSION,
            name,
            template: String::new(),
            image: String::new(),
            provider: String::new(),
            model: String::new(),
            base_url: None,
            port: None,
            created_at: crate::clock::now(),
            wanted: Wanted::Stopped,
            pending: false,
            was_well: false,
            resume: false,
        }
    }
}

/// An agent's secrets. They are in no record, no answer and no log.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Secrets {
    /// What the agent asks of who talks to it.
    pub(crate) token: String,
    /// The key of its provider.
    pub(crate) api_key: Option<String>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets")
    }
}

/// Why the state cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another server uses it.
    #[error("another server uses {}{}", .folder.display(), .address.as_deref().map(|at| format!("; it is at {at}")).unwrap_or_default())]
    Locked {
        /// The folder.
        folder: PathBuf,
        /// Where that one listens, if it says so.
        address: Option<String>,
    },
    /// It was written by a later version.
    #[error("{} was written by a later version of this program ({version})", .path.display())]
    TooNew {
        /// The file.
        path: PathBuf,
        /// The version of the file.
        version: u32,
    },
    /// A file cannot be read or written.
    #[error("cannot {what} {}: {source}", .path.display())]
    Io {
        /// `read`, `write` or the like.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Io { what, path, source }
}

/// An agent that was found.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) record: Record,
    pub(crate) secrets: Secrets,
    /// What was wrong with its files, as a sentence.
    pub(crate) damage: Option<String>,
}

/// The folder. Cheap to clone; the last clone lets others use it.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    folder: Arc<PathBuf>,
    _lock: Arc<File>,
}

const RECORD: &str = "agent.json";
const COPY: &str = "agent.json.copy";
const SECRETS: &str = "secrets.json";

impl Store {
    /// Takes the folder, and makes it if it is not there.
    pub(crate) fn open(folder: &Path) -> Result<Self, StoreError> {
        make_private(folder)?;
        make_private(&folder.join("agents"))?;
        let path = folder.join("lock");
        let lock = private(OpenOptions::new().write(true).create(true).truncate(false))
            .open(&path)
            .map_err(failed("open", &path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                let address = fs::read_to_string(folder.join("address")).ok();
                let address = address.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
                return Err(StoreError::Locked { folder: folder.to_owned(), address });
            }
            Err(fs::TryLockError::Error(source)) => {
                return Err(StoreError::Io { what: "lock", path, source });
            }
        }
        Ok(Self { folder: Arc::new(folder.to_owned()), _lock: Arc::new(lock) })
    }

    #[cfg(test)]
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The server's token; it is made at the first start.
    pub(crate) fn token(&self) -> Result<String, StoreError> {
        let path = self.folder.join("token");
        match fs::read_to_string(&path) {
            Ok(text) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
            Ok(_) => self.make_token(&path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.make_token(&path),
            Err(source) => Err(StoreError::Io { what: "read", path, source }),
        }
    }

    fn make_token(&self, path: &Path) -> Result<String, StoreError> {
        let token = random_token().map_err(failed("make", path))?;
        write(path, format!("{token}\n").as_bytes())?;
        Ok(token)
    }

    /// Says where the server listens, for clients of this computer.
    pub(crate) fn tell_address(&self, url: &str) -> Result<(), StoreError> {
        write(&self.folder.join("address"), format!("{url}\n").as_bytes())
    }

    /// Takes it back.
    pub(crate) fn forget_address(&self) {
        // One that stays is only one where nobody answers.
        let _ = fs::remove_file(self.folder.join("address"));
    }

    fn agent(&self, name: &AgentName) -> PathBuf {
        self.folder.join("agents").join(name.as_str())
    }

    /// The folder of an agent's compose file.
    pub(crate) fn project(&self, name: &AgentName) -> PathBuf {
        self.agent(name).join("project")
    }

    /// All agents that are there. What is damaged is kept aside and told; what was never finished is taken away.
    pub(crate) fn agents(&self) -> Result<Vec<Found>, StoreError> {
        let path = self.folder.join("agents");
        let mut found = Vec::new();
        for entry in fs::read_dir(&path).map_err(failed("read", &path))? {
            let entry = entry.map_err(failed("read", &path))?;
            let name = entry.file_name().into_string().ok().and_then(|name| AgentName::new(name).ok());
            let Some(name) = name else {
                tracing::warn!(path = %entry.path().display(), "this is no agent's folder; it is left alone");
                continue;
            };
            match self.find(&name)? {
                Some(agent) => found.push(agent),
                None => {
                    tracing::info!(agent = %name, "its creation had not begun; it is taken away");
                    self.remove_now(&name)?;
                }
            }
        }
        found.sort_by(|a, b| a.record.name.cmp(&b.record.name));
        Ok(found)
    }

    fn find(&self, name: &AgentName) -> Result<Option<Found>, StoreError> {
        let folder = self.agent(name);
        let mut damage = Vec::new();
        let record = read_checked::<Record>(&folder.join(RECORD), &mut damage)?;
        let record = match record {
            Some(record) => record,
            None => match read_checked::<Record>(&folder.join(COPY), &mut damage)? {
                Some(record) => record,
                None if damage.is_empty() => return Ok(None),
                None => Record { was_well: true, ..Record::new(name.clone()) },
            },
        };
        if record.version > VERSION {
            return Err(StoreError::TooNew { path: folder.join(RECORD), version: record.version });
        }
        if record.name != *name {
            damage.push(format!("{} is of another agent, {}", folder.join(RECORD).display(), record.name));
        }
        let record = Record { name: name.clone(), ..record };
        let secrets = match read_checked::<Secrets>(&folder.join(SECRETS), &mut damage)? {
            Some(secrets) => secrets,
            None => {
                damage.push("its secrets are gone: create it anew to give it its key".to_owned());
                let path = folder.join(SECRETS);
                Secrets { token: random_token().map_err(failed("make", &path))?, api_key: None }
            }
        };
        let damage = (!damage.is_empty()).then(|| damage.join("; "));
        if damage.is_some() {
            put(&folder, &record, &secrets)?;
        }
        Ok(Some(Found { record, secrets, damage }))
    }

    /// Writes a new agent.
    pub(crate) async fn create(&self, record: Record, secrets: Secrets) -> Result<(), StoreError> {
        let folder = self.agent(&record.name);
        blocking(move || {
            make_private(&folder)?;
            put(&folder, &record, &secrets).inspect_err(|_| {
                // What could not be written must not be found as half an agent.
                let _ = fs::remove_dir_all(&folder);
            })
        })
        .await
    }

    /// Writes an agent's record.
    pub(crate) async fn save(&self, record: Record) -> Result<(), StoreError> {
        let folder = self.agent(&record.name);
        blocking(move || put_record(&folder, &record)).await
    }

    /// Writes the files of an agent's project: paths in its folder, and what is in them. They hold no secret, and a container's
    /// user must be able to read them, so that they are not private; the folder above is.
    pub(crate) async fn write_project(
        &self,
        name: &AgentName,
        files: BTreeMap<PathBuf, String>,
    ) -> Result<(), StoreError> {
        let folder = self.project(name);
        blocking(move || {
            make_open(&folder)?;
            for (path, text) in files {
                let path = folder.join(path);
                if fs::read(&path).is_ok_and(|there| there == text.as_bytes()) {
                    continue;
                }
                if let Some(parent) = path.parent() {
                    make_open(parent)?;
                }
                write(&path, text.as_bytes())?;
                readable(&path).map_err(failed("write", &path))?;
            }
            Ok(())
        })
        .await
    }

    /// Forgets an agent with its secrets.
    pub(crate) async fn remove(&self, name: &AgentName) -> Result<(), StoreError> {
        let (this, name) = (self.clone(), name.clone());
        blocking(move || this.remove_now(&name)).await
    }

    fn remove_now(&self, name: &AgentName) -> Result<(), StoreError> {
        let folder = self.agent(name);
        // Records first: a folder without one is taken away at the next start.
        for file in [RECORD, COPY, SECRETS] {
            match fs::remove_file(folder.join(file)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(failed("remove", &folder.join(file))(error));
                }
                _ => {}
            }
        }
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", &folder)(error)),
            _ => Ok(()),
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => Err(failed("write", Path::new("the state"))(io::Error::other(error))),
    }
}

fn put(folder: &Path, record: &Record, secrets: &Secrets) -> Result<(), StoreError> {
    let path = folder.join(SECRETS);
    write(&path, &json(&path, secrets)?)?;
    put_record(folder, record)
}

fn put_record(folder: &Path, record: &Record) -> Result<(), StoreError> {
    let path = folder.join(RECORD);
    let bytes = json(&path, record)?;
    write(&path, &bytes)?;
    write(&folder.join(COPY), &bytes)
}

fn json<T: Serialize>(path: &Path, value: &T) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec_pretty(value).map_err(|error| failed("write", path)(error.into()))
}

/// A file's value; `None` when there is no file, or when it is none and was kept aside.
fn read_checked<T: DeserializeOwned>(path: &Path, damage: &mut Vec<String>) -> Result<Option<T>, StoreError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(StoreError::Io { what: "read", path: path.to_owned(), source }),
    };
    // A later version may have written it in another way.
    #[derive(Deserialize)]
    struct Versioned {
        version: Option<u32>,
    }
    if let Ok(Versioned { version: Some(version) }) = serde_json::from_slice(&bytes)
        && version > VERSION
    {
        return Err(StoreError::TooNew { path: path.to_owned(), version });
    }
    match serde_json::from_slice(&bytes) {
        Ok(value) => Ok(Some(value)),
        Err(error) => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
            let mut aside = path.as_os_str().to_owned();
            aside.push(format!(".damaged-{now}"));
            fs::rename(path, &aside).map_err(failed("rename", path))?;
            // The error's own words could quote a secret.
            let place = format!("line {}, column {}", error.line(), error.column());
            damage.push(format!(
                "{} was damaged ({place}) and is kept as {}",
                path.display(),
                Path::new(&aside).display()
            ));
            Ok(None)
        }
    }
}

/// Replaces a file as a whole, readable by its user alone, and returns when it is on the disk.
fn write(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let replace = || -> io::Result<()> {
        let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        sync_folder(folder)
    };
    replace().map_err(failed("write", path))
}

/// A file is in its folder only when the folder is on the disk.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

fn make_private(folder: &Path) -> Result<(), StoreError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
        builder.mode(0o700);
        builder.create(folder).map_err(failed("make", folder))?;
        // One that was there may be open to others.
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(failed("close", folder))
    }
    #[cfg(not(unix))]
    builder.create(folder).map_err(failed("make", folder))
}

/// A folder that every user may go through, whatever this process's umask is; below one that nobody else may.
fn make_open(folder: &Path) -> Result<(), StoreError> {
    fs::create_dir_all(folder).map_err(failed("make", folder))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).map_err(failed("open", folder))?;
    }
    Ok(())
}

#[cfg(unix)]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    options.mode(0o600)
}

#[cfg(not(unix))]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

#[cfg(unix)]
fn readable(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable(_: &Path) -> io::Result<()> {
    Ok(())
}

/// A secret that nobody guesses: 32 random bytes in hexadecimal.
pub(crate) fn random_token() -> io::Result<String> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &str) -> Record {
        let name = AgentName::new(name).expect("a name");
        Record {
            model: "m".to_owned(),
            port: Some(42000),
            wanted: Wanted::Running,
            created_at: String::new(),
            ..Record::new(name)
        }
    }

    fn secrets() -> Secrets {
        Secrets { token: "t0ken".to_owned(), api_key: Some("k3y".to_owned()) }
    }

    async fn stored() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&folder.path().join("state")).expect("it opens");
        store.create(record("one"), secrets()).await.expect("it is written");
        (folder, store)
    }

    #[tokio::test]
    async fn what_was_written_is_found() {
        let (_folder, store) = stored().await;
        let changed = Record { wanted: Wanted::Stopped, ..record("one") };
        store.save(changed.clone()).await.expect("it is written");
        let found = store.agents().expect("they are read");
        assert_eq!((found.len(), &found[0].record, &found[0].secrets), (1, &changed, &secrets()));
        assert_eq!(found[0].damage, None);
        store.remove(&changed.name).await.expect("it is removed");
        assert!(store.agents().expect("they are read").is_empty());
    }

    #[tokio::test]
    async fn a_second_server_is_refused() {
        let (_folder, store) = stored().await;
        store.tell_address("http://127.0.0.1:1").expect("it is written");
        let told = Store::open(store.folder()).expect_err("it is used").to_string();
        assert!(told.ends_with("it is at http://127.0.0.1:1"), "{told}");
        let folder = store.folder().to_owned();
        drop(store);
        assert!(Store::open(&folder).is_ok());
    }

    #[tokio::test]
    async fn a_file_cut_in_half_is_kept_aside_and_nothing_is_lost() {
        for length in [0, 1, 40, 100] {
            let (_folder, store) = stored().await;
            let path = store.agent(&record("one").name).join(RECORD);
            let whole = fs::read(&path).expect("it is there");
            fs::write(&path, &whole[..length]).expect("it is cut");
            let found = store.agents().expect("they are read");
            assert_eq!(found[0].record, record("one"));
            assert_eq!(found[0].secrets, secrets());
            let damage = found[0].damage.clone().expect("it is told");
            let aside = damage.split("kept as ").nth(1).expect("where");
            assert_eq!(fs::read(aside).expect("it is kept"), &whole[..length]);
            // Told once.
            assert_eq!(store.agents().expect("they are read")[0].damage, None);
        }
    }

    #[tokio::test]
    async fn without_both_copies_the_agent_is_still_there() {
        let (_folder, store) = stored().await;
        for file in [RECORD, COPY] {
            fs::write(store.agent(&record("one").name).join(file), "{\"na").expect("it is cut");
        }
        let found = store.agents().expect("they are read");
        assert_eq!(found[0].record.name.as_str(), "one");
        assert_eq!(found[0].secrets, secrets());
        assert!(found[0].damage.is_some());
    }

    #[tokio::test]
    async fn damaged_secrets_are_told_without_them() {
        let (_folder, store) = stored().await;
        fs::write(store.agent(&record("one").name).join(SECRETS), "{\"token\": \"t0ken\", k3y").expect("cut");
        let found = store.agents().expect("they are read");
        let damage = found[0].damage.clone().expect("it is told");
        assert!(!damage.contains("t0ken") && !damage.contains("k3y"), "{damage}");
        assert!(damage.contains("secrets are gone"));
    }

    #[tokio::test]
    async fn what_a_later_version_wrote_is_left_alone() {
        let (_folder, store) = stored().await;
        let path = store.agent(&record("one").name).join(RECORD);
        fs::write(&path, r#"{"version": 2, "something": "else"}"#).expect("it is written");
        assert!(matches!(store.agents(), Err(StoreError::TooNew { version: 2, .. })));
        assert!(path.exists());
    }

    #[tokio::test]
    async fn half_an_agent_is_taken_away() {
        let (_folder, store) = stored().await;
        let half = store.agent(&AgentName::new("half").expect("a name"));
        fs::create_dir(&half).expect("it is made");
        fs::write(half.join(SECRETS), serde_json::to_vec(&secrets()).expect("JSON")).expect("it is written");
        assert_eq!(store.agents().expect("they are read").len(), 1);
        assert!(!half.exists());
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn only_its_user_may_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let (_folder, store) = stored().await;
        store.token().expect("it is made");
        let agent = store.agent(&record("one").name);
        let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
        for file in [agent.join(RECORD), agent.join(COPY), agent.join(SECRETS), store.folder().join("token")]
        {
            assert_eq!(mode(&file), 0o600, "{}", file.display());
        }
        for folder in [store.folder(), &agent, &store.folder().join("agents")] {
            assert_eq!(mode(folder), 0o700, "{}", folder.display());
        }
    }

    #[test]
    fn the_token_is_made_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("it opens");
        let token = store.token().expect("it is made");
        assert_eq!((token.len(), store.token().ok()), (64, Some(token.clone())));
        fs::write(folder.path().join("token"), "\n").expect("it is emptied");
        assert_ne!(store.token().ok(), Some(token));
    }
}
