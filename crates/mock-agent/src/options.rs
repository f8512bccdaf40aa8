//! How an agent fares.

use std::{collections::BTreeMap, fmt, str::FromStr, time::Duration};

/// What an agent is started with.
#[derive(Clone)]
pub struct Options {
    pub(crate) token: String,
    pub(crate) model: String,
    pub(crate) name: String,
    pub(crate) start_after: Duration,
    pub(crate) healthy_after: Duration,
    pub(crate) unhealthy: bool,
    pub(crate) crash_after: Option<Duration>,
    pub(crate) flood: u32,
    pub(crate) flood_rate: Option<u32>,
    pub(crate) ignore_term: bool,
    pub(crate) stop_after: Duration,
    pub(crate) delay: Duration,
    /// What `!env` answers from. Empty at first.
    pub environment: BTreeMap<String, String>,
}

/// Why an agent cannot be started so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OptionsError {
    /// Anybody could talk to it.
    #[error("the token is empty")]
    NoToken,
    /// Its logs would not say who it is.
    #[error("the model {model:?} has no name before its flags, or one with control characters")]
    BadName {
        /// The model as it was written.
        model: String,
    },
    /// No such behaviour.
    #[error(
        "the model's flag {flag:?} is not known; there are start-after-ms, healthy-after-ms, unhealthy, crash-after-ms, \
         flood, flood-bytes-per-s, ignore-term, stop-after-ms and delay-ms"
    )]
    UnknownFlag {
        /// The flag's name.
        flag: String,
    },
    /// A flag that takes a number has none, or one that does not fit.
    #[error("the model's flag {flag} takes a whole number up to {}, not {value:?}", u32::MAX)]
    BadNumber {
        /// The flag's name.
        flag: String,
        /// What was written behind `=`.
        value: String,
    },
    /// A flag that is there or not has a value.
    #[error("the model's flag {flag} takes no value; leave out \"={value}\"")]
    NoValue {
        /// The flag's name.
        flag: String,
        /// What was written behind `=`.
        value: String,
    },
}

impl Options {
    /// Reads the behaviours from the model, as `echo?healthy-after-ms=1000&delay-ms=20`. The crate's documentation lists them.
    ///
    /// # Errors
    /// When the token or the model's name is empty, or a flag is not known or not well written.
    pub fn parse(token: &str, model: &str) -> Result<Self, OptionsError> {
        if token.is_empty() {
            return Err(OptionsError::NoToken);
        }
        let (name, flags) = model.split_once('?').unwrap_or((model, ""));
        if name.trim().is_empty() || name.contains(char::is_control) {
            return Err(OptionsError::BadName { model: model.to_owned() });
        }
        let mut options = Self {
            token: token.to_owned(),
            model: model.to_owned(),
            name: name.to_owned(),
            start_after: Duration::ZERO,
            healthy_after: Duration::ZERO,
            unhealthy: false,
            crash_after: None,
            flood: 0,
            flood_rate: None,
            ignore_term: false,
            stop_after: Duration::ZERO,
            delay: Duration::ZERO,
            environment: BTreeMap::new(),
        };
        if !flags.is_empty() {
            flags.split('&').try_for_each(|flag| options.set(flag))?;
        }
        Ok(options)
    }

    fn set(&mut self, text: &str) -> Result<(), OptionsError> {
        let (flag, value) = match text.split_once('=') {
            Some((flag, value)) => (flag, Some(value)),
            None => (text, None),
        };
        match flag {
            "start-after-ms" => self.start_after = millis(flag, value)?,
            "healthy-after-ms" => self.healthy_after = millis(flag, value)?,
            "unhealthy" => self.unhealthy = switch(flag, value)?,
            "crash-after-ms" => self.crash_after = Some(millis(flag, value)?),
            "flood" => self.flood = number(flag, value)?,
            "flood-bytes-per-s" => self.flood_rate = Some(number(flag, value)?),
            "ignore-term" => self.ignore_term = switch(flag, value)?,
            "stop-after-ms" => self.stop_after = millis(flag, value)?,
            "delay-ms" => self.delay = millis(flag, value)?,
            _ => return Err(OptionsError::UnknownFlag { flag: flag.to_owned() }),
        }
        Ok(())
    }
}

fn number<N: FromStr>(flag: &str, value: Option<&str>) -> Result<N, OptionsError> {
    let value = value.unwrap_or_default();
    value.parse().map_err(|_| OptionsError::BadNumber { flag: flag.to_owned(), value: value.to_owned() })
}

fn millis(flag: &str, value: Option<&str>) -> Result<Duration, OptionsError> {
    number::<u32>(flag, value).map(|millis| Duration::from_millis(millis.into()))
}

fn switch(flag: &str, value: Option<&str>) -> Result<bool, OptionsError> {
    match value {
        None => Ok(true),
        Some(value) => Err(OptionsError::NoValue { flag: flag.to_owned(), value: value.to_owned() }),
    }
}

/// Without the token, and without the values of variables.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("model", &self.model)
            .field("environment", &self.environment.keys())
            .finish_non_exhaustive()
    }
}
