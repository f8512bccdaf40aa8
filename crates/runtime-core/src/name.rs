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
