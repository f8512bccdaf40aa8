//! Podman's machine: the virtual machine that its engine lives in where there is no Linux.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use async_trait::async_trait;
use runtime_core::{
    BootId, Error, FileLock, MachineHost, MachineLock, MachineName, MachineProblem, MachineStatus, Patience,
    Progress, ResourceKind, Result, Started, Subject,
};
use tokio::sync::Semaphore;

use crate::{
    PodmanConfig, PodmanEngine,
    api::{Api, Place},
    command::{Finished, Invocation, Podman},
    failure::{self, explain},
    parse::{self, ListedMachine},
    progress::Watch,
};

/// Podman's own name for a machine that nobody named.
pub const DEFAULT_MACHINE: &str = "podman-machine-default";

/// How long a machine may take to say whether its engine answers.
const PROBE: Duration = Duration::from_secs(15);
/// A clock that is less behind is not worth a word.
const BEHIND: Duration = Duration::from_secs(2);
/// A clock is compared again after so long, for computers whose own clocks do not tell that they slept.
const COMPARE_AGAIN: Duration = Duration::from_secs(15 * 60);

/// Which machine, and how one is made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MachineConfig {
    /// Its name.
    pub name: MachineName,
    /// How many processors; `None` here and below is podman's own choice.
    pub cpus: Option<u32>,
    /// How much memory, in MiB.
    pub memory: Option<u64>,
    /// How large its disk is, in GiB.
    pub disk: Option<u64>,
    /// The image of its disk: a path, a URL, or a reference in a registry.
    pub image: Option<String>,
    /// Whether its engine runs as root.
    pub rootful: bool,
    /// The absolute folder where what our processes remember of it, and their lock, is.
    pub state: PathBuf,
    /// How long is waited for it.
    pub patience: Patience,
}

impl MachineConfig {
    /// The machine of that name, made as podman makes it.
    pub fn new(name: MachineName, state: impl Into<PathBuf>) -> Self {
        Self {
            name,
            cpus: None,
            memory: None,
            disk: None,
            image: None,
            rootful: false,
            state: state.into(),
            patience: Patience::default(),
        }
    }

    /// The name of podman's connection to it.
    fn connection(&self) -> String {
        if self.rootful { format!("{}-root", self.name) } else { self.name.to_string() }
    }
}

/// A machine of podman's, found by its name. Cheap to make; does nothing until it is asked.
#[derive(Debug)]
pub struct PodmanMachine {
    /// Without a connection: `podman machine` is about this computer.
    here: Arc<Podman>,
    /// Podman in the machine.
    inside: Arc<Podman>,
    /// Its service, where that is asked.
    api: Arc<Api>,
    config: MachineConfig,
    /// When the clocks were compared last, by one that stands still while the computer sleeps and by one that does not.
    compared: Mutex<Option<(Instant, SystemTime)>>,
}

impl PodmanEngine {
    /// An engine in a machine, and that machine. Every command goes to the machine's connection, whatever podman's default
    /// is. Starts nothing.
    pub fn in_machine(mut config: PodmanConfig, machine: MachineConfig) -> (Self, PodmanMachine) {
        config.connection = Some(machine.connection());
        config.url = None;
        let here = Arc::new(Podman {
            program: config.program.clone().unwrap_or_else(|| PathBuf::from("podman")),
            global: Vec::new(),
            deadline: config.deadline,
            permits: Arc::new(Semaphore::new(config.parallel.max(1))),
            env: config.env.clone(),
        });
        let (name, rootful) = (machine.name.clone(), machine.rootful);
        let engine = Self::at(config, Place::Machine { here: here.clone(), name, rootful });
        let host = PodmanMachine {
            here,
            inside: engine.shared_podman(),
            api: engine.shared_api(),
            config: machine,
            compared: Mutex::default(),
        };
        (engine, host)
    }
}

impl PodmanMachine {
    fn problem(&self, problem: MachineProblem) -> Error {
        Error::Machine { name: self.config.name.to_string(), problem }
    }

    fn name_words(&self) -> &str {
        self.config.name.as_str()
    }

    async fn list(&self) -> Result<Vec<ListedMachine>> {
        let finished = self.here.run(&Invocation::new(["machine", "list", "--format", "json"])).await?;
        if !finished.succeeded() {
            return Err(self.explain(&finished));
        }
        if finished.text().is_empty() {
            return Ok(Vec::new());
        }
        parse::json("machine list", &finished.stdout)
    }

    async fn find(&self) -> Result<Option<ListedMachine>> {
        let listed = self.list().await?;
        Ok(listed.into_iter().find(|machine| machine.name() == self.name_words()))
    }

    fn explain(&self, finished: &Finished) -> Error {
        let text = finished.stderr.join("\n");
        if text.contains("VM does not exist") {
            return self.problem(MachineProblem::Missing);
        }
        if let Some(helper) = missing_helper(&text) {
            return self.problem(MachineProblem::HelperMissing(helper));
        }
        match explain(finished, failure::Subject { kind: ResourceKind::Machine, name: self.name_words() }) {
            // A machine's command is about no name that could be in use, and no container.
            Error::NameInUse { .. } | Error::NotFound { .. } | Error::InUse { .. } => {
                Error::Command(finished.failure())
            }
            error => error,
        }
    }

    fn explain_init(&self, finished: &Finished, is_at_image: bool) -> Error {
        let image = self.config.image.clone();
        let reason = last_error(&finished.stderr);
        // An image that is a file is not announced before it is opened.
        let is_about_image = is_at_image || image.as_ref().is_some_and(|image| reason.contains(image));
        match self.explain(finished) {
            error @ Error::Machine { .. } => error,
            _ if is_about_image => self.problem(MachineProblem::NoImage { image, reason }),
            error => error,
        }
    }

    /// The arguments of `podman machine init`.
    fn init_words(&self) -> Invocation {
        let MachineConfig { cpus, memory, disk, image, rootful, .. } = &self.config;
        let mut command = Invocation::new(["machine", "init"]);
        for (flag, number) in [("--cpus", cpus.map(u64::from)), ("--memory", *memory), ("--disk-size", *disk)]
        {
            command = command.args(number.map(|number| format!("{flag}={number}")));
        }
        // 5.x calls it --image and knows the older name.
        command = command.args(image.as_ref().map(|image| format!("--image-path={image}")));
        if *rootful {
            command = command.args(["--rootful"]);
        }
        command.args(["--", self.name_words()])
    }

    /// Runs `init` to its end and tells what it draws.
    async fn run_init(&self, watch: &mut Watch) -> Result<Finished> {
        let deadline = self.config.patience.init;
        let command = self.init_words();
        let _permit = self.here.permits.acquire().await.map_err(|_| Error::ShuttingDown)?;
        #[cfg(unix)]
        {
            let (mut group, mut screen) = self.here.spawn_on_terminal(&command)?;
            let work = async {
                let mut buffer = vec![0; 16 << 10];
                loop {
                    match screen.read(&mut buffer).await {
                        0 => break,
                        read => watch.take(&buffer[..read]),
                    }
                }
                group.child.wait().await
            };
            match tokio::time::timeout(deadline, work).await {
                Ok(status) => Ok(Finished {
                    exit_code: status.ok().and_then(|status| status.code()),
                    stdout: Vec::new(),
                    stderr: std::mem::take(&mut watch.said).into(),
                    command: group.command.clone(),
                }),
                Err(_) => Err(Error::TimedOut { what: format!("`{}`", group.command), after: deadline }),
            }
        }
        #[cfg(not(unix))]
        {
            // There is no terminal to give it, so it tells no bytes.
            drop(_permit);
            watch.take(b"Looking up Podman Machine image\n");
            self.here.run_within(&command, deadline).await
        }
    }

    /// Runs a command in the running machine.
    async fn ssh(&self, words: &str) -> Result<String> {
        let command = Invocation::new(["machine", "ssh"]).args([self.name_words(), words]);
        let finished = self.here.run_within(&command, PROBE.max(Duration::from_secs(60))).await?;
        if finished.succeeded() { Ok(finished.text()) } else { Err(self.explain(&finished)) }
    }

    /// Whether the clocks are worth comparing; remembers that they are.
    fn compares_clocks(&self) -> bool {
        let mut compared = self.compared.lock().unwrap_or_else(PoisonError::into_inner);
        let (now, today) = (Instant::now(), SystemTime::now());
        let due = compared.is_none_or(|(then, day)| {
            let awake = now.duration_since(then);
            let passed = today.duration_since(day).unwrap_or_default();
            passed.saturating_sub(awake) > BEHIND || awake > COMPARE_AGAIN
        });
        if due {
            *compared = Some((now, today));
        }
        due
    }
}

/// The helper that podman could not find, as it says it.
fn missing_helper(text: &str) -> Option<String> {
    let quoted = |after: &str| {
        let rest = text.split_once(after)?.1.trim_start_matches([' ', ':']);
        Some(rest.strip_prefix('"')?.split('"').next()?.to_owned())
    };
    if text.contains("executable file not found") {
        return quoted("exec:");
    }
    quoted("could not find")
}

/// The machine that is in the way of another one's start, as podman says it.
fn in_the_way(text: &str) -> Option<&str> {
    let before = [" already starting or running", " is currently running or starting"];
    let before = before.iter().find_map(|words| Some(text.split_once(words)?.0))?;
    before.rsplit(' ').next().filter(|name| !name.is_empty())
}

#[async_trait]
impl MachineHost for PodmanMachine {
    fn name(&self) -> &str {
        self.name_words()
    }

    fn patience(&self) -> Patience {
        self.config.patience
    }

    async fn status(&self) -> Result<MachineStatus> {
        let Some(machine) = self.find().await? else { return Ok(MachineStatus::Absent) };
        if !machine.running {
            // A start that was killed leaves `Starting` for ever; one that is under way says `Running` a moment later.
            return Ok(MachineStatus::Stopped);
        }
        // A command costs a session of ssh, which takes many times as long.
        if self.api.answers().await {
            return Ok(MachineStatus::Running);
        }
        let probe = Invocation::new(["ps", "--quiet", "--last", "1"]);
        let why = match self.inside.run_within(&probe, PROBE).await {
            Ok(finished) if finished.succeeded() => return Ok(MachineStatus::Running),
            Ok(finished) => finished.stderr.last().cloned().unwrap_or_default(),
            Err(error @ Error::TimedOut { .. }) => error.to_string(),
            Err(error) => return Err(error),
        };
        Ok(if machine.starting { MachineStatus::Starting } else { MachineStatus::NotAnswering(why) })
    }

    async fn init(&self, progress: &Progress) -> Result<()> {
        let mut watch = Watch::new(progress, Subject::Machine(self.name_words().to_owned()));
        let outcome = match self.run_init(&mut watch).await {
            Ok(finished) if finished.succeeded() => Ok(()),
            // Somebody was faster.
            Ok(finished) if finished.stderr.iter().any(|line| line.contains("already exists")) => Ok(()),
            Ok(finished) => Err(self.explain_init(&finished, watch.is_at_image())),
            Err(error) => Err(error),
        };
        watch.end(&outcome);
        outcome
    }

    async fn start(&self, _progress: &Progress) -> Result<Started> {
        let command = Invocation::new(["machine", "start"]).args([self.name_words()]).leaving_a_machine();
        let finished = self.here.run_within(&command, self.config.patience.start).await?;
        if finished.succeeded() {
            return Ok(Started::ByUs);
        }
        // Its words are the same for a machine that runs, one that starts, and another one that is in the way.
        let machines = self.list().await?;
        if machines.iter().any(|machine| machine.name() == self.name_words() && machine.running) {
            return Ok(Started::Already);
        }
        let said = finished.stderr.join("\n");
        let is_in_the_way = said.contains("only one") || said.contains("already running");
        let running = machines.iter().find(|machine| machine.running).map(ListedMachine::name);
        // One of another provider is in the way too, and is not in the list.
        match running.or_else(|| in_the_way(&said)).filter(|_| is_in_the_way) {
            Some(other) => Err(self.problem(MachineProblem::AnotherRuns(other.to_owned()))),
            None => Err(self.explain(&finished)),
        }
    }

    async fn stop(&self) -> Result<()> {
        let command = Invocation::new(["machine", "stop"]).args([self.name_words()]);
        let finished = self.here.run_within(&command, self.config.patience.stop).await?;
        if finished.succeeded() { Ok(()) } else { Err(self.explain(&finished)) }
    }

    async fn boot(&self) -> Result<BootId> {
        let id = self.ssh("cat /proc/sys/kernel/random/boot_id").await?;
        let id = id.lines().last().unwrap_or_default().trim();
        let is_one = id.len() == 36 && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        if is_one {
            Ok(BootId(id.to_owned()))
        } else {
            Err(failure::unexpected("machine ssh", format!("{id:?} where the id of its boot should be")))
        }
    }

    async fn set_clock(&self) -> Result<Option<Duration>> {
        if !self.compares_clocks() {
            return Ok(None);
        }
        let before = SystemTime::now();
        let there = self.ssh("date +%s").await?;
        let Ok(seconds) = there.lines().last().unwrap_or_default().trim().parse::<u64>() else {
            return Err(failure::unexpected("machine ssh", format!("{there:?} where a time should be")));
        };
        // What it says is as old as the moment it was asked, at most.
        let there = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds + 1);
        let Some(behind) = before.duration_since(there).ok().filter(|behind| *behind > BEHIND) else {
            return Ok(None);
        };
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        self.ssh(&format!("sudo date -s @{now}")).await?;
        Ok(Some(behind))
    }

    async fn lock(&self) -> Result<Box<dyn MachineLock>> {
        let file = format!("podman-machine-{}.json", self.config.name);
        Ok(Box::new(FileLock::take(&self.config.state.join(file)).await?))
    }
}

/// The last line that says what is wrong.
fn last_error(lines: &[String]) -> String {
    let error = lines.iter().rev().find(|line| line.starts_with("Error:")).or(lines.last());
    error.map_or("no reason given".to_owned(), |line| line.trim_start_matches("Error: ").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_helper_is_named() {
        let gvproxy = "Error: could not find \"gvproxy\" in one of [/usr/libexec/podman]. To resolve this error, set the helper_binaries_dir key";
        assert_eq!(missing_helper(gvproxy).as_deref(), Some("gvproxy"));
        let qemu = "Error: exec: \"qemu-img\": executable file not found in $PATH";
        assert_eq!(missing_helper(qemu).as_deref(), Some("qemu-img"));
        assert_eq!(missing_helper("Error: m1: VM already exists"), None);
    }

    #[test]
    fn a_machine_that_is_in_the_way_is_named() {
        let here = "Error: unable to start \"m2\": m1 already starting or running: only one VM can be active at a time";
        let of_another_provider = "Error: unable to start: m1 already starting or running on the applehv provider: only one VM can be active at a time";
        let of_podman_4 = "Error: cannot start VM m2. VM m1 is currently running or starting: only one VM can be active at a time";
        for said in [here, of_another_provider, of_podman_4] {
            assert_eq!(in_the_way(said), Some("m1"), "{said}");
        }
        assert_eq!(in_the_way("Error: unable to start \"m2\": already running"), None);
    }

    #[test]
    fn an_init_that_fails_says_whether_it_is_for_want_of_the_image() {
        let mut config = MachineConfig::new(MachineName::new("m1").unwrap(), "/state");
        config.image = Some("/opt/nosuch.qcow2".to_owned());
        let (_, machine) = PodmanEngine::in_machine(PodmanConfig::default(), config);
        let explained = |said: &str, is_at_image| {
            let stderr = vec!["Looking up Podman Machine image".to_owned(), said.to_owned()];
            let command = "podman machine init".to_owned();
            let finished = Finished { exit_code: Some(125), stdout: Vec::new(), stderr, command };
            machine.explain_init(&finished, is_at_image)
        };
        let error = explained("Error: faccessat /opt/nosuch.qcow2: no such file or directory", false);
        assert_eq!(
            error.to_string(),
            "machine \"m1\": its image /opt/nosuch.qcow2 cannot be had: faccessat /opt/nosuch.qcow2: no such file or directory"
        );
        let cut = explained("Error: failed to pull localhost:5000/machine-os: unexpected EOF", true);
        assert!(
            cut.help().is_some_and(|help| help.contains("`longshore machine init` tries again")),
            "{cut:?}"
        );
        let full = explained("Error: write /x: no space left on device", true);
        assert!(full.help().is_some_and(|help| help.contains("make room")), "{full:?}");
        let helper = explained("Error: exec: \"qemu-img\": executable file not found in $PATH", true);
        assert_eq!(helper, machine.problem(MachineProblem::HelperMissing("qemu-img".to_owned())));
        assert!(matches!(explained("Error: cpus must be at least 1", false), Error::Command(_)));
    }

    #[test]
    fn a_machine_is_made_as_configured() {
        let mut config = MachineConfig::new(MachineName::new("m1").unwrap(), "/state");
        config.cpus = Some(2);
        config.memory = Some(1536);
        config.disk = Some(6);
        config.image = Some("/opt/guest.qcow2".to_owned());
        config.rootful = true;
        assert_eq!(config.connection(), "m1-root");
        let (_, machine) = PodmanEngine::in_machine(PodmanConfig::default(), config);
        let words = machine.init_words();
        let expected =
            "machine init --cpus=2 --memory=1536 --disk-size=6 --image-path=/opt/guest.qcow2 --rootful -- m1";
        assert_eq!(words.words().join(" "), expected);
    }
}
