//! What `longshore serve` is told: the section `[serve]` of the configuration.

use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    str::FromStr,
};

use serde::Deserialize;

use crate::ConfigError;

/// How the server of agents runs. What is `None` is left to the next source, and at last to the default.
///
/// ```
/// let config = longshore::Config::from_toml(r#"
///     [serve]
///     listen = "127.0.0.1:9105"           # an address that is not loopback needs `remote = true`
///     state = "/home/me/agents"           # where it keeps what must not be lost
///     prefix = "browseros-claw-"          # what its projects' names begin with
///     ports = "42000-42999"               # the ports of the host that agents are given
///     template = "openclaw"               # what an agent is made from if not told
///     origins = ["http://localhost:5173"] # web pages that may call it, besides its own
///     resume = true                       # agents that ran when it ended run again when it begins
///
///     [serve.templates]
///     mine = "/home/me/templates/mine"    # a folder with a template.toml
/// "#)?;
/// assert_eq!(config.serve.listen.map(|address| address.port()), Some(9105));
/// # Ok::<(), longshore::ConfigError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ServeSection {
    /// Where it listens; the default is `127.0.0.1:9105`. Port 0 lets the system choose.
    pub listen: Option<SocketAddr>,
    /// Whether it may listen where other computers reach it; then every call needs the token.
    pub remote: Option<bool>,
    /// The absolute folder of its state; the default is `serve` in the folder of [`crate::Config::state_folder`].
    pub state: Option<PathBuf>,
    /// What the names of its projects begin with; the default is `browseros-claw-`.
    pub prefix: Option<String>,
    /// The ports of the host that agents are given; the default is that of [`PortRange`].
    pub ports: Option<PortRange>,
    /// The template of an agent that names none; the default is `openclaw`.
    pub template: Option<String>,
    /// Templates by name: absolute folders with a `template.toml`.
    pub templates: BTreeMap<String, PathBuf>,
    /// Names besides `localhost` and loopback addresses by which clients may call it (`Host`).
    pub hosts: Option<Vec<String>>,
    /// Web pages besides its own that may call it (`Origin`).
    pub origins: Option<Vec<String>>,
    /// Whether agents that a shutdown stopped are started again at the next start; they are by default.
    pub resume: Option<bool>,
    /// How many agents are brought up at once; the default is 8.
    pub parallel: Option<usize>,
    /// How many seconds a shutdown may take for each agent; the default is 60.
    pub shutdown_timeout: Option<u64>,
}

impl ServeSection {
    pub(crate) fn merge(self, below: Self) -> Self {
        let mut templates = below.templates;
        templates.extend(self.templates);
        Self {
            listen: self.listen.or(below.listen),
            remote: self.remote.or(below.remote),
            state: self.state.or(below.state),
            prefix: self.prefix.or(below.prefix),
            ports: self.ports.or(below.ports),
            template: self.template.or(below.template),
            templates,
            hosts: self.hosts.or(below.hosts),
            origins: self.origins.or(below.origins),
            resume: self.resume.or(below.resume),
            parallel: self.parallel.or(below.parallel),
            shutdown_timeout: self.shutdown_timeout.or(below.shutdown_timeout),
        }
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let wrong = |setting: &'static str, reason: String| Err(ConfigError::Setting { setting, reason });
        if let Some(listen) = self.listen
            && !listen.ip().is_loopback()
            && !self.remote.unwrap_or_default()
        {
            let reason = format!("{listen} can be reached from other computers; that needs `serve.remote`");
            return wrong("serve.listen", reason);
        }
        let absolute = |path: &Path| path.is_absolute();
        if let Some(state) = self.state.as_deref().filter(|path| !absolute(path)) {
            return wrong("serve.state", format!("{} is not absolute", state.display()));
        }
        if let Some((name, folder)) = self.templates.iter().find(|(_, folder)| !absolute(folder)) {
            return wrong("serve.templates", format!("{name}: {} is not absolute", folder.display()));
        }
        if let Some(prefix) = &self.prefix
            && let Err(error) = compose_file::ProjectName::new(format!("{prefix}a"))
        {
            return wrong("serve.prefix", format!("no project's name can begin with {prefix:?}: {error}"));
        }
        if self.parallel == Some(0) {
            return wrong("serve.parallel", "at least one must be brought up at once".to_owned());
        }
        Ok(())
    }
}

/// Ports from one to another, both included, in order and none of them 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// From `first` to `last`, both included. `None` when there are none, and for 0.
    pub fn new(first: u16, last: u16) -> Option<Self> {
        (first > 0 && first <= last).then_some(Self { first, last })
    }

    /// Each of them, in order.
    pub fn iter(self) -> impl Iterator<Item = u16> {
        self.first..=self.last
    }
}

/// 42000 to 42999: below those that macOS and Windows give to who does not choose, and not among those that are anybody's by name.
impl Default for PortRange {
    fn default() -> Self {
        Self { first: 42_000, last: 42_999 }
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl FromStr for PortRange {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let port = |text: &str| text.trim().parse::<u16>().ok();
        port(first)
            .zip(port(last))
            .and_then(|(first, last)| Self::new(first, last))
            .ok_or_else(|| format!("{text:?} is no range of ports like 42000-42999"))
    }
}

impl TryFrom<String> for PortRange {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use crate::Config;

    fn told(text: &str) -> String {
        let config = Config::from_toml(text).map_err(|error| error.to_string());
        config.and_then(|config| config.check().map_err(|error| error.to_string())).err().unwrap_or_default()
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (text, why) in [
            ("listen = '0.0.0.0:9105'", "needs `serve.remote`"),
            ("listen = '192.168.1.2:9105'", "needs `serve.remote`"),
            ("state = 'here'", "is not absolute"),
            ("prefix = '-x'", "no project's name"),
            ("ports = '5-4'", "no range of ports"),
            ("parallel = 0", "at least one"),
            ("templates = { mine = 'here' }", "is not absolute"),
            ("lisen = '127.0.0.1:1'", "unknown field `lisen`"),
        ] {
            let told = told(&format!("[serve]\n{text}\n"));
            assert!(told.contains(why), "{text}: {told:?}");
        }
        for text in ["listen = '[::1]:9105'", "listen = '0.0.0.0:9105'\nremote = true", "ports = '42000'"] {
            assert_eq!(told(&format!("[serve]\n{text}\n")), "", "{text}");
        }
    }
}
