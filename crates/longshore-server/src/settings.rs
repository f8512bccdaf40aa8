//! The server's configuration, with its defaults.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use longshore::{Config, PortRange};

use crate::template::{Template, TemplateError};

/// Where it listens if not told.
pub const DEFAULT_ADDRESS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9105);

/// [`longshore::ServeSection`] with nothing left open.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) listen: SocketAddr,
    /// Whether every call needs the token.
    pub(crate) remote: bool,
    pub(crate) state: PathBuf,
    pub(crate) prefix: String,
    pub(crate) ports: PortRange,
    pub(crate) template: String,
    pub(crate) templates: BTreeMap<String, Template>,
    pub(crate) hosts: Vec<String>,
    pub(crate) origins: Vec<String>,
    pub(crate) resume: bool,
    pub(crate) parallel: usize,
    pub(crate) budget: Duration,
}

/// Why there are none.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// There is no folder for the state.
    #[error("there is no folder for the server's state: name one (serve.state)")]
    NoState,
    /// A template cannot be used.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The usual template is none of those that there are.
    #[error("there is no template {name:?}; there are {}", .there.join(", "))]
    NoTemplate {
        /// What was named.
        name: String,
        /// Those that there are.
        there: Vec<String>,
    },
}

impl Settings {
    pub(crate) fn new(config: &Config) -> Result<Self, SettingsError> {
        let section = &config.serve;
        let below = config.machine.state.as_ref().map(|folder| folder.join("serve"));
        let mut templates = BTreeMap::from([("openclaw".to_owned(), Template::openclaw()?)]);
        for (name, folder) in &section.templates {
            templates.insert(name.clone(), Template::read(folder)?);
        }
        let template = section.template.clone().unwrap_or_else(|| "openclaw".to_owned());
        if !templates.contains_key(&template) {
            return Err(SettingsError::NoTemplate { name: template, there: templates.into_keys().collect() });
        }
        Ok(Self {
            listen: section.listen.unwrap_or(DEFAULT_ADDRESS),
            remote: section.remote.unwrap_or_default(),
            state: section.state.clone().or(below).ok_or(SettingsError::NoState)?,
            prefix: section.prefix.clone().unwrap_or_else(|| "browseros-claw-".to_owned()),
            ports: section.ports.unwrap_or_default(),
            template,
            templates,
            hosts: section.hosts.clone().unwrap_or_default(),
            origins: section.origins.clone().unwrap_or_default(),
            resume: section.resume.unwrap_or(true),
            parallel: section.parallel.unwrap_or(8),
            budget: Duration::from_secs(section.shutdown_timeout.unwrap_or(60)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_told_has_a_default() {
        let mut config = Config::default();
        assert!(matches!(Settings::new(&config), Err(SettingsError::NoState)));
        config.machine.state = Some("/state".into());
        let settings = Settings::new(&config).expect("it is enough");
        assert_eq!(settings.listen.to_string(), "127.0.0.1:9105");
        assert_eq!(settings.state, PathBuf::from("/state/serve"));
        assert_eq!((settings.prefix.as_str(), settings.template.as_str()), ("browseros-claw-", "openclaw"));
        assert_eq!((settings.remote, settings.resume), (false, true));
        assert_eq!(settings.ports.to_string(), "42000-42999");
        config.serve.template = Some("none".to_owned());
        let told = Settings::new(&config).expect_err("there is none").to_string();
        assert_eq!(told, "there is no template \"none\"; there are openclaw");
    }
}
