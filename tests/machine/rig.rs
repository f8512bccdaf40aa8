//! Podman with a machine, as the environment names it.

use std::{
    env, fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use longshore_tests::{Failed, Outcome, said, variable};
use runtime_core::{Call, Compose, ContainerRuntime, MachineName};
use runtime_podman::{MachineConfig, PodmanConfig, PodmanEngine, Via};

pub(crate) const NAME: &str = "lst";
/// A machine beside it, which is downloaded.
pub(crate) const SECOND: &str = "second";
pub(crate) const IMAGE: &str = "localhost/longshore-fixture:1";

/// The disk in the registry itself, as fast as it can be had.
pub(crate) fn download() -> Result<String, Failed> {
    variable("LONGSHORE_TEST_RIG_DOWNLOAD")
}

/// Podman with a machine, and what was asked of it.
#[derive(Debug)]
pub(crate) struct Rig {
    pub(crate) folder: PathBuf,
}

impl Rig {
    /// The one that the environment names.
    pub(crate) fn new(folder: &Path) -> Result<Self, Failed> {
        let program = variable("LONGSHORE_TEST_RIG")?;
        variable("LONGSHORE_TEST_RIG_IMAGE")?;
        variable("LONGSHORE_TEST_RIG_ROOT")?;
        let rig = Self { folder: folder.to_owned() };
        let wrapper = rig.program();
        if !wrapper.exists() {
            let text =
                format!("#!/bin/sh\necho \"$*\" >>{}\nexec {program} \"$@\"\n", rig.journal().display());
            let mut file = fs::File::create(&wrapper)?;
            file.write_all(text.as_bytes())?;
            make_executable(&file)?;
        }
        Ok(rig)
    }

    pub(crate) fn program(&self) -> PathBuf {
        self.folder.join("podman")
    }

    fn journal(&self) -> PathBuf {
        self.folder.join("journal")
    }

    /// How often podman was asked for that.
    pub(crate) fn count(&self, words: &str) -> usize {
        let journal = fs::read_to_string(self.journal()).unwrap_or_default();
        journal.lines().filter(|line| line.starts_with(words)).count()
    }

    pub(crate) fn forget(&self) {
        let _ = fs::remove_file(self.journal());
    }

    /// A program of ours: each is like a process of its own, and all share a state.
    pub(crate) fn process(&self) -> Result<Compose, Failed> {
        self.process_with(NAME, variable("LONGSHORE_TEST_RIG_IMAGE")?)
    }

    /// The same with a machine of that name, made from that image.
    pub(crate) fn process_with(&self, name: &str, image: String) -> Result<Compose, Failed> {
        let mut machine = MachineConfig::new(MachineName::new(name)?, self.folder.join("state"));
        machine.image = Some(image);
        machine.cpus = Some(2);
        machine.memory = Some(1536);
        machine.disk = Some(6);
        machine.patience.answer = Duration::from_secs(25);
        let mut podman = PodmanConfig::default();
        podman.program = Some(self.program());
        // The socket that the machine forwards is inside the rig.
        podman.via = Via::Cli;
        let (engine, host) = PodmanEngine::in_machine(podman, machine);
        Ok(Compose::new(engine).with_owner("longshore-tests").with_machine(Arc::new(host)))
    }

    /// Podman as a user runs it.
    pub(crate) fn by_hand(&self, words: &[&str]) -> Result<String, Failed> {
        let output = Command::new(self.program()).args(words).stdin(Stdio::null()).output()?;
        said(&output)
    }

    /// No machine, whatever was before.
    pub(crate) fn clear(&self) -> Outcome {
        self.clear_of(NAME)
    }

    pub(crate) fn clear_of(&self, name: &str) -> Outcome {
        let _ = self.by_hand(&["machine", "stop", name]);
        let _ = self.by_hand(&["machine", "rm", "--force", name]);
        let listed = self.by_hand(&["machine", "list", "--format", "{{.Name}}"])?;
        self.forget();
        let is_there = listed.lines().any(|line| line.trim_end_matches('*') == name);
        if is_there { Err(format!("it is still there: {listed}").into()) } else { Ok(()) }
    }

    /// A machine that is up, with the test program in an image.
    pub(crate) async fn up(&self) -> Result<Compose, Failed> {
        let runtime = self.process()?;
        runtime.ensure_ready(&Call::default()).await?;
        self.import()?;
        Ok(runtime)
    }

    /// The test program in an image of the machine.
    pub(crate) fn import(&self) -> Outcome {
        let connection = format!("--connection={NAME}");
        if self.by_hand(&[&connection, "image", "exists", IMAGE]).is_err() {
            let root = fs::File::open(env::var("LONGSHORE_TEST_RIG_ROOT")?)?;
            let mut import = Command::new(self.program());
            import.args([&connection, "import", "-c", "ENTRYPOINT [\"/fixture\"]", "-", IMAGE]);
            said(&import.stdin(root).output()?)?;
        }
        Ok(())
    }

    /// Kills the machine's process of that program.
    pub(crate) fn kill(&self, program: &str) -> Outcome {
        let output =
            Command::new("pgrep").args(["-f", &format!("^([^ ]*/)?{program}[^ ]* .*{NAME}")]).output()?;
        let pids = String::from_utf8_lossy(&output.stdout).into_owned();
        let own = std::process::id().to_string();
        let pids: Vec<&str> = pids.lines().filter(|pid| **pid != *own).collect();
        if pids.is_empty() {
            return Err(format!("no {program} runs").into());
        }
        said(&Command::new("kill").arg("-KILL").args(&pids).output()?).map(|_| ())
    }

    /// Waits until no podman makes the second machine: what was killed may take a moment to be gone.
    pub(crate) async fn no_init_is_left(&self) -> Outcome {
        let left = || Command::new("pgrep").args(["-f", &format!("podman machine init .*{SECOND}")]).output();
        let gone = async {
            while !left()?.stdout.is_empty() {
                tokio::task::yield_now().await;
            }
            Ok(())
        };
        match tokio::time::timeout(Duration::from_secs(5), gone).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let ids =
                    String::from_utf8_lossy(&left()?.stdout).split_whitespace().collect::<Vec<_>>().join(",");
                let columns = "pid,ppid,sid,stat,wchan,tty,ignored,etime,args";
                let told = Command::new("ps").args(["-o", columns, "-p", &ids]).output()?;
                Err(format!("left: {}", String::from_utf8_lossy(&told.stdout)).into())
            }
        }
    }
}

#[cfg(unix)]
fn make_executable(file: &fs::File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
fn make_executable(_: &fs::File) -> std::io::Result<()> {
    Ok(())
}
