//! What goes over the wire, both ways: the server makes it, the client reads it, and the OpenAPI document is of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Agents, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgentList {
    /// In order of their names.
    pub agents: Vec<Agent>,
}

/// An agent, as it is now. It never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Agent {
    /// Its name, which is also its id.
    #[schema(example = "scout")]
    pub name: String,
    /// What it is made from.
    #[schema(example = "openclaw")]
    pub template: String,
    /// Who its model is asked from.
    #[schema(example = "anthropic")]
    pub provider: String,
    /// Its model.
    pub model: String,
    /// Where its model is asked.
    pub base_url: Option<String>,
    /// What it is doing.
    pub state: AgentState,
    /// What it is meant to do.
    pub wanted: Wanted,
    /// How far what is being done with it is.
    pub progress: Option<AgentProgress>,
    /// What went wrong last, and has not been mended.
    pub error: Option<Problem>,
    /// What its user should know besides, until the agent is told to do something.
    pub notice: Option<String>,
    /// The port of this computer at which it answers; `null` before it has one.
    pub port: Option<u16>,
    /// Its image.
    pub image: String,
    /// Its compose project.
    pub project: String,
    /// When it was created (RFC 3339).
    pub created_at: String,
    /// When its container was last started (RFC 3339), if it runs.
    pub started_at: Option<String>,
    /// Its containers, as the engine has them.
    pub containers: Vec<AgentContainer>,
}

/// What an agent is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AgentState {
    /// It has never run yet, and is being brought up.
    Creating,
    /// It is being brought up again.
    Starting,
    /// It has proved that it is there.
    Running,
    /// Its container runs, and says that it is not well.
    Unhealthy,
    /// It is being stopped.
    Stopping,
    /// Nothing of it runs.
    Stopped,
    /// It could not be brought up, or ended by itself with an error.
    Failed,
    /// It is being removed.
    Deleting,
    /// The engine does not say.
    Unknown,
}

impl AgentState {
    /// The word that it is on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Unhealthy => "unhealthy",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
            Self::Deleting => "deleting",
            Self::Unknown => "unknown",
        }
    }
}

/// What an agent is meant to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Wanted {
    /// To run.
    Running,
    /// Not to run.
    Stopped,
    /// Not to be there.
    Deleted,
}

/// How far something is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgentProgress {
    /// What is being done.
    pub phase: ProgressPhase,
    /// With what: an image, a container.
    pub subject: String,
    /// Bytes until now, where it is about bytes.
    pub bytes: Option<u64>,
    /// Bytes in all, as far as that is known.
    pub total_bytes: Option<u64>,
}

/// What is being done on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProgressPhase {
    /// It waits for its turn.
    Queued,
    /// Another process is busy with the machine.
    MachineBusy,
    /// The machine's image is fetched.
    MachineDownload,
    /// The machine is made.
    MachineInit,
    /// The machine boots.
    MachineBoot,
    /// The engine is waited for.
    Engine,
    /// An image is fetched.
    Pull,
    /// Containers, networks or volumes are made.
    Create,
    /// Containers are started.
    Start,
    /// It is waited for until it says that it is well, and proves that it is the one that is meant.
    Health,
    /// Containers are stopped.
    Stop,
    /// Containers, networks or volumes are removed.
    Remove,
}

/// A container of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgentContainer {
    /// Its name.
    pub name: String,
    /// Its service in the template.
    pub service: String,
    /// What it is doing: `running`, `exited` and so on.
    pub state: String,
    /// What its healthcheck says, if it has one: `starting`, `healthy` or `unhealthy`.
    pub health: Option<String>,
    /// The exit code of its last run, if it ended.
    pub exit_code: Option<i64>,
}

/// What an agent is created from. Unknown fields are refused: a misspelt one that does nothing would be found much later.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateAgent {
    /// A slug: lower-case letters, digits and single hyphens, beginning with a letter, at most 40.
    #[schema(example = "scout")]
    pub name: String,
    /// Who its model is asked from: one of the template's providers.
    #[schema(example = "anthropic")]
    pub provider: String,
    /// The key for the provider, unless that needs none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(write_only)]
    pub api_key: Option<String>,
    /// Where the provider is asked, instead of its usual place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// Its model.
    pub model: String,
    /// What it is made from; the server's usual template if not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
}

impl std::fmt::Debug for CreateAgent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CreateAgent")
            .field("name", &self.name)
            .field("provider", &self.provider)
            .field("base_url", &self.base_url)
            .field("model", &self.model)
            .field("template", &self.template)
            .finish_non_exhaustive()
    }
}

/// Whether a call waits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct WaitQuery {
    /// Answer when it is done instead of at once.
    #[serde(default)]
    pub wait: bool,
}

/// Where a stream goes on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AfterQuery {
    /// The id of the last event that was read, for clients that cannot send `Last-Event-ID`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// Which lines of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LogQuery {
    /// So many of the last lines; 1,000 if not told.
    #[serde(default = "LogQuery::usual_tail")]
    pub tail: u64,
    /// Whether to go on with what is logged from then on.
    #[serde(default = "LogQuery::usual_follow")]
    pub follow: bool,
    /// The id of the last line that was read, for clients that cannot send `Last-Event-ID`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

impl LogQuery {
    fn usual_tail() -> u64 {
        1000
    }
    fn usual_follow() -> bool {
        true
    }
}

impl Default for LogQuery {
    fn default() -> Self {
        Self { tail: Self::usual_tail(), follow: Self::usual_follow(), after: None }
    }
}

/// A line of an agent's log; the event `line` of `/agents/{name}/logs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgentLine {
    /// The service in the template.
    pub service: String,
    /// The container.
    pub container: String,
    /// `stdout` or `stderr`.
    pub stream: String,
    /// Its time, as the engine wrote it (RFC 3339).
    pub time: Option<String>,
    /// The text.
    pub text: String,
}

/// How much a slow reader, or one that was away for too long, has missed; the event `missed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Missed {
    /// How many lines or events; `null` when that cannot be known.
    pub count: Option<u64>,
}

/// Why a stream ends; the event `end`, which is its last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct End {
    /// Why.
    pub reason: EndReason,
    /// What failed, if something did.
    pub error: Option<Problem>,
}

/// Why a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// All that was asked for has been told.
    Complete,
    /// The agent does not run.
    NotRunning,
    /// The agent is gone.
    Deleted,
    /// The server shuts down.
    ShuttingDown,
    /// It failed.
    Failed,
}

/// All that `/events` tells changes of; its event `snapshot`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Snapshot {
    /// The agents.
    pub agents: Vec<Agent>,
    /// The engine and what is being done.
    pub runtime: RuntimeStatus,
}

/// An agent that is gone; the event `deleted` of `/events`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeletedAgent {
    /// Its name.
    pub name: String,
}

/// Whether containers can be run here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RuntimeStatus {
    /// Which engine: `podman`, `docker` or `mock`.
    pub backend: String,
    /// Its version, once it has answered.
    pub version: Option<String>,
    /// Whether it has just answered.
    pub available: bool,
    /// Why not.
    pub problem: Option<Problem>,
    /// What the engine's virtual machine is doing: `not_needed`, `absent`, `stopped`, `starting`, `not_answering`, `running`,
    /// `stopping` or `unknown`.
    pub machine: String,
    /// Whether a machine has to be made or started first.
    pub needs_setup: bool,
    /// What the machine will be, where there is none yet and that is known.
    #[serde(default)]
    pub plan: Option<MachinePlan>,
    /// A set-up in flight.
    pub setup: Option<AgentProgress>,
    /// What is being done, by whom.
    pub doing: Vec<Doing>,
    /// Whether the server shuts down.
    pub shutting_down: bool,
}

/// What a set-up makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MachinePlan {
    /// Where its image and its disk are kept.
    pub folder: String,
    /// How large its disk can become, in GiB.
    pub disk_gib: u64,
    /// How much memory it takes, in MiB.
    pub memory_mib: u64,
    /// How many processors; `null` is as many as Podman finds right.
    pub cpus: Option<u32>,
}

/// A project of ours that changed on the engine; the event `project` of `/events`. How it is now is at `/projects`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChangedProject {
    /// Its name.
    pub name: String,
}

/// Something that is being done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Doing {
    /// For which agent; `null` for the server itself.
    pub agent: Option<String>,
    /// What: `create`, `start`, `stop`, `delete`, `setup` or `shutdown`.
    pub what: String,
    /// Since when (RFC 3339).
    pub since: String,
}

/// A message to an agent, as OpenAI's API has it. All that is not named here is passed through as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ChatRequest {
    /// The conversation.
    pub messages: Vec<serde_json::Value>,
    /// Whether the answer comes in pieces, as server-sent events; it does if not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<bool>,
    /// What the agent's model is called in the request; the template's if not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The rest.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub rest: BTreeMap<String, serde_json::Value>,
}

/// What agents can be made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TemplateList {
    /// In order of their names.
    pub templates: Vec<TemplateInfo>,
}

/// What an agent can be made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TemplateInfo {
    /// Its name.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// Whether it is taken when none is named.
    pub usual: bool,
    /// Who its model can be asked from, in order of their names.
    pub providers: Vec<ProviderInfo>,
}

/// Who a model can be asked from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProviderInfo {
    /// Its name.
    pub name: String,
    /// Whether it needs a key.
    pub needs_key: bool,
    /// Where it is asked if that is not told; without it, it must be told.
    pub base_url: Option<String>,
}

/// The compose projects on the engine that are ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProjectList {
    /// In order of their names.
    pub projects: Vec<ProjectInfo>,
}

/// A compose project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProjectInfo {
    /// Its name.
    pub name: String,
    /// Its services that have containers, and those that they depend on, in order of their names.
    pub services: Vec<ServiceInfo>,
}

/// A service of a project, as its containers are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServiceInfo {
    /// Its name.
    pub name: String,
    /// The worst of its containers.
    pub state: ServiceState,
    /// What its healthchecks say, if it has one: the worst of its containers.
    pub health: Option<String>,
    /// How many containers it has.
    pub containers: usize,
    /// The services that it depends on.
    pub depends_on: Vec<String>,
}

/// How a service is: from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ServiceState {
    /// It runs.
    Running,
    /// It runs, and is not healthy yet.
    Starting,
    /// It has ended, as it should or as it was told.
    Stopped,
    /// It has no container.
    Absent,
    /// It has ended with an error.
    Failed,
    /// It runs, and is not healthy.
    Unhealthy,
}

/// What a shutdown came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShutdownReport {
    /// The agents of which nothing runs any more.
    pub stopped: Vec<String>,
    /// Those of which something may, and why.
    pub failed: BTreeMap<String, Problem>,
    /// What became of the engine's virtual machine.
    pub machine: String,
}

/// That the server is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Healthz {
    /// Always true.
    pub ok: bool,
    /// The server's version.
    pub version: String,
}

/// Every answer that is not a success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorAnswer {
    /// What went wrong.
    pub error: Problem,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// A word for programs, stable over versions.
    #[schema(example = "name_taken")]
    pub code: String,
    /// A sentence.
    pub message: String,
    /// What to do about it, when that can be known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// What is wrong with the request, each field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
    /// The last lines of the agent's log, where they say why. Only for who has the token.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<String>,
}

impl Problem {
    /// A problem that is told by a code and a sentence.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            message: message.into(),
            help: None,
            faults: Vec::new(),
            log: Vec::new(),
        }
    }

    /// The same with what to do about it.
    #[must_use]
    pub fn with_help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

impl From<&longshore::Error> for Problem {
    fn from(error: &longshore::Error) -> Self {
        let log = match error {
            longshore::Error::Dependency { log, .. } => log.clone(),
            _ => Vec::new(),
        };
        Self { help: error.help(), log, ..Self::new(error.code(), error.to_string()) }
    }
}

/// What is wrong with a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Fault {
    /// Which.
    pub field: String,
    /// What.
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_has_one_word() {
        use AgentState::{
            Creating, Deleting, Failed, Running, Starting, Stopped, Stopping, Unhealthy, Unknown,
        };
        for state in [Creating, Starting, Running, Unhealthy, Stopping, Stopped, Failed, Deleting, Unknown] {
            assert_eq!(serde_json::to_value(state).ok(), Some(state.as_str().into()));
        }
    }
}
