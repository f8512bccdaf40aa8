//! Names of agents.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest name. With the prefix of projects it is still a container's and a host's name.
const LONGEST: usize = 40;

/// What stands in the place of a name in a URL.
const RESERVED: [&str; 2] = ["create", "runtime-status"];

/// A name of an agent: a slug, which is a part of a project's name, of a folder's and of a URL as it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct AgentName(String);

impl AgentName {
    /// # Errors
    /// What is wrong with it, as a sentence without its subject.
    pub(crate) fn new(text: impl Into<String>) -> Result<Self, String> {
        let text = text.into();
        let ok = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if text.is_empty() {
            return Err("is empty".to_owned());
        }
        if let Some(bad) = text.chars().find(|c| !ok(*c)) {
            return Err(format!(
                "holds {bad:?}; a name is of lower-case letters, digits and hyphens, like {:?}",
                slug(&text)
            ));
        }
        if !text.starts_with(|c: char| c.is_ascii_lowercase()) {
            return Err("does not begin with a letter".to_owned());
        }
        if text.ends_with('-') || text.contains("--") {
            return Err("has a hyphen that joins nothing".to_owned());
        }
        if RESERVED.contains(&text.as_str()) {
            return Err("is a word of the server's own".to_owned());
        }
        if text.len() > LONGEST {
            return Err(format!("is longer than {LONGEST} letters"));
        }
        Ok(Self(text))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A name that is like `text` and could be one.
fn slug(text: &str) -> String {
    let mut slug = String::new();
    for c in text.chars().flat_map(char::to_lowercase) {
        match c {
            'a'..='z' | '0'..='9' => slug.push(c),
            _ if !slug.is_empty() && !slug.ends_with('-') => slug.push('-'),
            _ => {}
        }
    }
    let slug: String =
        slug.trim_start_matches(|c: char| !c.is_ascii_lowercase()).chars().take(LONGEST).collect();
    match slug.trim_end_matches('-') {
        "" => "my-agent".to_owned(),
        slug => slug.to_owned(),
    }
}

impl fmt::Display for AgentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for AgentName {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Self::new(text)
    }
}

impl From<AgentName> for String {
    fn from(name: AgentName) -> Self {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_slug() {
        for good in ["a", "scout", "scout-2", "a1-b2-c3", &"a".repeat(40)] {
            assert_eq!(AgentName::new(good).map(String::from), Ok(good.to_owned()));
        }
        for bad in [
            "",
            "-a",
            "a-",
            "a--b",
            "2a",
            "A",
            "a b",
            "a/b",
            "../a",
            "ä",
            "a\n",
            "a_b",
            "a.b",
            &"a".repeat(41),
        ] {
            assert!(AgentName::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_is_none_is_told_with_one() {
        for (text, like) in [
            ("My Scout", "my-scout"),
            ("../../etc", "etc"),
            ("2 Ärzte", "rzte"),
            ("///", "my-agent"),
            ("x_y", "x-y"),
        ] {
            let told = AgentName::new(text).err().unwrap_or_default();
            assert!(told.ends_with(&format!("like {like:?}")), "{text:?}: {told}");
            assert!(AgentName::new(like).is_ok());
        }
    }
}
