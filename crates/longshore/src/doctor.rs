//! What is there of each engine, what is the matter with it, and what mends it.

use std::{
    env,
    path::{Path, PathBuf},
};

use runtime_core::{Availability, ContainerRuntime, Error, MachineStatus, RuntimeKind};
use serde::Serialize;

use crate::{AnyRuntime, Config};

/// One engine, examined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Examination {
    /// Which engine.
    pub runtime: RuntimeKind,
    /// Whether it can be used: now, or once its machine is started.
    pub usable: bool,
    /// What was found, in the order in which one depends on the other.
    pub findings: Vec<Finding>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// What it is: `program`, `socket`, `engine`, `machine`, `healthchecks` or the name of a helper.
    pub subject: String,
    /// How it is.
    pub verdict: Verdict,
    /// What was seen.
    pub detail: String,
    /// What mends it, if something is to be mended and it is known how.
    pub mend: Option<String>,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Good,
    /// Something does not work with it that is not always needed.
    Note,
    /// The engine cannot be used so.
    Bad,
}

impl Finding {
    fn new(subject: &str, verdict: Verdict, detail: impl Into<String>, mend: Option<String>) -> Self {
        Self { subject: subject.to_owned(), verdict, detail: detail.into(), mend }
    }
}

/// Looks at Podman and Docker as configured: programs, sockets, the machine and what it needs. Changes nothing.
///
/// Reads the `PATH` of the process, because that is where programs will be looked for.
pub async fn examine(config: &Config) -> Vec<Examination> {
    let podman = examine_one(RuntimeKind::Podman, config, podman_things(config)).await;
    let docker = examine_one(RuntimeKind::Docker, config, docker_things(config)).await;
    vec![podman, docker]
}

async fn examine_one(runtime: RuntimeKind, config: &Config, mut findings: Vec<Finding>) -> Examination {
    let availability = match AnyRuntime::construct(runtime, config) {
        Ok(any) => any.availability().await,
        Err(error) => Availability::Unavailable(error),
    };
    let usable = !matches!(availability, Availability::Unavailable(_));
    findings.push(match availability {
        Availability::Ready(info) => {
            let api = info.api_version.map(|api| format!(" (API {api})")).unwrap_or_default();
            let detail = format!("{} {}{api} at {}", info.name, info.version, info.endpoint);
            Finding::new("engine", Verdict::Good, detail, None)
        }
        Availability::NeedsMachine(status) => asleep(&status),
        Availability::Unavailable(error) => {
            let detail = match &error {
                // What it was asked with says nothing to who wants it mended.
                Error::Command(failure) => {
                    failure.stderr.last().cloned().unwrap_or_else(|| error.to_string())
                }
                other => other.to_string(),
            };
            Finding::new("engine", Verdict::Bad, detail, error.help())
        }
    });
    Examination { runtime, usable, findings }
}

fn asleep(status: &MachineStatus) -> Finding {
    let mend = Some("longshore machine ensure".to_owned());
    let (verdict, detail) = match status {
        MachineStatus::Absent => {
            (Verdict::Note, "there is none yet; it is made when it is needed".to_owned())
        }
        MachineStatus::Stopped => (Verdict::Note, "it is off; it is started when it is needed".to_owned()),
        MachineStatus::Starting => (Verdict::Note, "it is starting".to_owned()),
        MachineStatus::Stopping => (Verdict::Note, "it is stopping".to_owned()),
        MachineStatus::NotAnswering(why) => {
            (Verdict::Bad, format!("it runs, and its engine does not answer: {why}"))
        }
        MachineStatus::Unknown(why) => (Verdict::Bad, why.clone()),
        MachineStatus::Running | MachineStatus::NotNeeded => (Verdict::Good, "it runs".to_owned()),
    };
    Finding::new("machine", verdict, detail, mend.filter(|_| verdict != Verdict::Good))
}

fn podman_things(config: &Config) -> Vec<Finding> {
    let wanted = config.podman.program.clone().unwrap_or_else(|| PathBuf::from("podman"));
    let mut findings = vec![program(&wanted)];
    let elsewhere = config.podman.connection.is_some() || config.podman.url.is_some();
    if !elsewhere && config.machine.when.unwrap_or_default().applies() {
        let folders = helper_folders(config);
        findings.extend(machine_helpers().iter().map(|name| helper(name, &folders)));
    } else if cfg!(target_os = "linux") && !elsewhere {
        if !Path::new("/run/systemd/system").exists() {
            let detail = "there is no systemd to run them; longshore does while it waits for a container";
            findings.push(Finding::new("healthchecks", Verdict::Note, detail, None));
        }
        let catatonit = helper("catatonit", &helper_folders(config));
        if catatonit.verdict != Verdict::Good {
            let detail = "it is not there, and services with `init: true` need it";
            let mend = Some("sudo apt install catatonit (Debian, Ubuntu)".to_owned());
            findings.push(Finding::new("catatonit", Verdict::Note, detail, mend));
        }
    }
    findings
}

fn docker_things(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    let host = config.docker.host.as_deref().unwrap_or("unix:///var/run/docker.sock");
    let Some(socket) = host.strip_prefix("unix://") else { return findings };
    findings.push(socket_at(Path::new(socket)));
    findings
}

#[cfg(unix)]
fn socket_at(path: &Path) -> Finding {
    use std::{io::ErrorKind, os::unix::net::UnixStream};
    match UnixStream::connect(path) {
        Ok(_) => Finding::new("socket", Verdict::Good, path.display().to_string(), None),
        Err(error) => {
            let mend = match error.kind() {
                ErrorKind::PermissionDenied => "sudo usermod -aG docker $USER, then log in again",
                ErrorKind::ConnectionRefused => "sudo systemctl restart docker",
                _ => "install Docker, or start it: sudo systemctl start docker",
            };
            let detail = format!("{}: {error}", path.display());
            Finding::new("socket", Verdict::Bad, detail, Some(mend.to_owned()))
        }
    }
}

#[cfg(not(unix))]
fn socket_at(path: &Path) -> Finding {
    Finding::new("socket", Verdict::Bad, format!("{}: this system has none", path.display()), None)
}

fn on_path(name: &Path) -> Option<PathBuf> {
    if name.components().count() > 1 {
        return name.is_file().then(|| name.to_owned());
    }
    let folders: Vec<PathBuf> = env::split_paths(&env::var_os("PATH")?).collect();
    in_folders(name, &folders)
}

fn in_folders(name: &Path, folders: &[PathBuf]) -> Option<PathBuf> {
    let with = |folder: &PathBuf| {
        let plain = folder.join(name);
        let exe = plain.with_extension("exe");
        [plain, exe].into_iter().find(|path| path.is_file())
    };
    folders.iter().find_map(with)
}

fn program(name: &Path) -> Finding {
    match on_path(name) {
        Some(path) => Finding::new("program", Verdict::Good, path.display().to_string(), None),
        None => {
            let detail = format!("{} is not there", name.display());
            Finding::new("program", Verdict::Bad, detail, None)
        }
    }
}

/// Where podman looks for its helpers, as its packages have them.
fn helper_folders(config: &Config) -> Vec<PathBuf> {
    let usual = [
        "/usr/local/libexec/podman",
        "/usr/libexec/podman",
        "/usr/local/lib/podman",
        "/usr/lib/podman",
        "/opt/podman/bin",
        "/opt/homebrew/opt/podman/libexec/podman",
        "/opt/homebrew/bin",
    ];
    let path = env::var_os("PATH").unwrap_or_default();
    let usual = usual.iter().map(PathBuf::from);
    config.machine.helpers.iter().cloned().chain(usual).chain(env::split_paths(&path)).collect()
}

/// The programs that podman's machine needs on this system.
fn machine_helpers() -> &'static [&'static str] {
    match env::consts::OS {
        "macos" => &["gvproxy", "vfkit"],
        "windows" => &["gvproxy", "win-sshproxy"],
        _ if cfg!(target_arch = "aarch64") => &["gvproxy", "qemu-system-aarch64", "qemu-img"],
        _ => &["gvproxy", "qemu-system-x86_64", "qemu-img"],
    }
}

fn helper(name: &str, folders: &[PathBuf]) -> Finding {
    match in_folders(Path::new(name), folders) {
        Some(path) => Finding::new(name, Verdict::Good, path.display().to_string(), None),
        None => {
            let mend = match env::consts::OS {
                "macos" => "brew reinstall podman".to_owned(),
                "windows" => "winget install RedHat.Podman".to_owned(),
                _ => {
                    let package = match name {
                        "qemu-img" => "qemu-utils",
                        "qemu-system-x86_64" => "qemu-system-x86",
                        "qemu-system-aarch64" => "qemu-system-arm",
                        other => other,
                    };
                    format!(
                        "sudo apt install {package} (Debian, Ubuntu), or name its folder as machine.helpers"
                    )
                }
            };
            Finding::new(name, Verdict::Bad, "it is in no folder where podman looks", Some(mend))
        }
    }
}
