//! Names that engines take, checked before a process starts or a request leaves.

use std::fmt;

use serde::Serialize;

use crate::{Error, ResourceKind, Result};

/// The name of a container: letters, digits, `_`, `.` and `-`, the first a letter or a digit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct ContainerName(String);

/// The name of a network or a volume, by the same rule.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct ResourceName(String);

/// The name of a machine, by the same rule.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct MachineName(String);

impl MachineName {
    /// Checks a name.
    ///
    /// # Errors
    /// [`Error::InvalidName`] saying what is wrong with it.
    pub fn new(name: impl Into<String>) -> Result<Self> {
        let name = name.into();
        check(ResourceKind::Machine, &name).map(|()| Self(name))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MachineName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a signal, like `SIGTERM`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct SignalName(String);

impl SignalName {
    /// Reads a name with or without its `SIG`, in any case, or a number. Whether there is such a signal is for the engine to
    /// say.
    ///
    /// # Errors
    /// [`Error::InvalidName`] for what is no word.
    pub fn new(text: &str) -> Result<Self> {
        let upper = text.to_ascii_uppercase();
        let word = upper.strip_prefix("SIG").unwrap_or(&upper);
        let invalid = |reason: &str| Error::InvalidName {
            kind: ResourceKind::Signal,
            name: text.to_owned(),
            reason: reason.to_owned(),
        };
        match word.chars().next() {
            None => return Err(invalid("it is empty")),
            Some(first) if !first.is_ascii_alphanumeric() => return Err(invalid("it begins with no letter")),
            Some(_) => {}
        }
        if !word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-')) || word.len() > 20 {
            return Err(invalid("a signal is a word like SIGTERM, or a number"));
        }
        // The numbers that are the same everywhere.
        let word = match word {
            "1" => "HUP",
            "2" => "INT",
            "3" => "QUIT",
            "6" => "ABRT",
            "9" => "KILL",
            "14" => "ALRM",
            "15" => "TERM",
            number if number.bytes().all(|b| b.is_ascii_digit()) => return Ok(Self(number.to_owned())),
            word => word,
        };
        Ok(Self(format!("SIG{word}")))
    }

    /// `SIGKILL`.
    pub fn kill() -> Self {
        Self("SIGKILL".to_owned())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SignalName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Docker and Podman agree on this rule (`[a-zA-Z0-9][a-zA-Z0-9_.-]*`); 255 is what their file systems take.
fn check(kind: ResourceKind, name: &str) -> Result<()> {
    let reason = match name.chars().next() {
        None => "it is empty".to_owned(),
        Some(first) if !first.is_ascii_alphanumeric() => format!("it begins with {first:?}"),
        Some(_) if name.len() > 255 => "it is longer than 255 characters".to_owned(),
        Some(_) => {
            match name.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))) {
                Some(bad) => format!("it holds {bad:?}"),
                None => return Ok(()),
            }
        }
    };
    Err(Error::InvalidName { kind, name: name.to_owned(), reason })
}

impl ContainerName {
    /// Checks a name.
    ///
    /// # Errors
    /// [`Error::InvalidName`] saying what is wrong with it.
    pub fn new(name: impl Into<String>) -> Result<Self> {
        let name = name.into();
        check(ResourceKind::Container, &name).map(|()| Self(name))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ResourceName {
    /// Checks the name of a network.
    ///
    /// # Errors
    /// [`Error::InvalidName`] saying what is wrong with it.
    pub fn network(name: impl Into<String>) -> Result<Self> {
        let name = name.into();
        check(ResourceKind::Network, &name).map(|()| Self(name))
    }

    /// Checks the name of a volume.
    ///
    /// # Errors
    /// [`Error::InvalidName`] saying what is wrong with it.
    pub fn volume(name: impl Into<String>) -> Result<Self> {
        let name = name.into();
        check(ResourceKind::Volume, &name).map(|()| Self(name))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ContainerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ResourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_10_no_surprise_signals() {
        for (text, name) in [
            ("term", "SIGTERM"),
            ("SIGUSR1", "SIGUSR1"),
            ("9", "SIGKILL"),
            ("RTMIN+3", "SIGRTMIN+3"),
            ("34", "34"),
        ] {
            assert_eq!(SignalName::new(text).map(|signal| signal.to_string()), Ok(name.to_owned()));
        }
        for bad in ["", "-9", "SIG", "a b", "a=b"] {
            assert!(SignalName::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn rule_10_no_surprise_names() {
        for good in ["a", "web-1", "0a_b.c", "A"] {
            assert!(ContainerName::new(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "--help", "a/b", "a\nb", "a b", ".a", "é", "a\0"] {
            assert!(ContainerName::new(bad).is_err(), "{bad:?}");
            assert!(ResourceName::volume(bad).is_err(), "{bad:?}");
            assert!(MachineName::new(bad).is_err(), "{bad:?}");
        }
    }
}
