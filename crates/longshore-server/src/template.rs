//! What an agent is made from: a compose file, files that are written beside it, and what it is asked at.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Component, Path, PathBuf},
};

use serde::Deserialize;

/// A kind of agent.
///
/// It is a folder with a `template.toml`, a `compose.yaml`, and the files that the first one names. The compose file may use the
/// variables `NAME`, `IMAGE`, `PORT`, `PROVIDER`, `PROVIDER_API`, `BASE_URL` and `MODEL`, and the secrets `TOKEN` and `API_KEY`; the
/// files the former alone, because they lie on the disk. In a file `$${X}` stands for `${X}`; in one that is JSON values are
/// escaped as JSON has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    pub(crate) about: About,
    pub(crate) compose: String,
    /// Paths in the agent's folder, and what is in them.
    pub(crate) files: BTreeMap<PathBuf, String>,
}

/// `template.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct About {
    /// What people call it.
    pub(crate) title: String,
    pub(crate) image: String,
    /// The service that answers.
    pub(crate) service: String,
    /// Where it answers 200 when it is well.
    pub(crate) health: String,
    /// Where it answers 200 with its token and 401 or 403 with another.
    pub(crate) proof: String,
    /// Where it is talked to, as OpenAI's API has it.
    pub(crate) chat: String,
    /// What its model is called there; the agent's own model if not told.
    pub(crate) chat_model: Option<String>,
    /// How many seconds it may take from its start until it is well.
    #[serde(default = "usual_start_timeout")]
    pub(crate) start_timeout: u64,
    #[serde(default)]
    pub(crate) files: Vec<PathBuf>,
    pub(crate) providers: BTreeMap<String, Provider>,
}

fn usual_start_timeout() -> u64 {
    120
}

/// Who a model is asked from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Provider {
    /// What the agent calls the way of talking to it.
    pub(crate) api: String,
    /// Where it is; who creates an agent must tell if this does not.
    pub(crate) base_url: Option<String>,
    #[serde(default = "yes")]
    pub(crate) needs_key: bool,
}

fn yes() -> bool {
    true
}

/// Why there is no template.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// A file of it cannot be read.
    #[error("cannot read {}: {source}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file of it is not what it should be.
    #[error("{}: {reason}", .path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

const ABOUT: &str = "template.toml";
const COMPOSE: &str = "compose.yaml";

impl Template {
    /// The one that is built in.
    ///
    /// # Errors
    /// None that a test would not have found.
    pub(crate) fn openclaw() -> Result<Self, TemplateError> {
        Self::made_of(Path::new("openclaw"), |path| match path.to_str() {
            Some(ABOUT) => Ok(include_str!("../templates/openclaw/template.toml").to_owned()),
            Some(COMPOSE) => Ok(include_str!("../templates/openclaw/compose.yaml").to_owned()),
            Some("config/openclaw.json") => {
                Ok(include_str!("../templates/openclaw/config/openclaw.json").to_owned())
            }
            _ => Err(io::ErrorKind::NotFound.into()),
        })
    }

    /// The one in a folder.
    ///
    /// # Errors
    /// When a file of it is missing or wrong.
    pub(crate) fn read(folder: &Path) -> Result<Self, TemplateError> {
        Self::made_of(folder, |path| fs::read_to_string(folder.join(path)))
    }

    fn made_of(folder: &Path, read: impl Fn(&Path) -> io::Result<String>) -> Result<Self, TemplateError> {
        let text = |path: &Path| {
            read(path).map_err(|source| TemplateError::Unreadable { path: folder.join(path), source })
        };
        let invalid =
            |path: &Path, reason: String| TemplateError::Invalid { path: folder.join(path), reason };
        let path = Path::new(ABOUT);
        let about: About = toml::from_str(&text(path)?)
            .map_err(|error| invalid(path, error.to_string().trim().to_owned()))?;
        about.check().map_err(|reason| invalid(path, reason))?;
        let mut files = BTreeMap::new();
        for file in &about.files {
            let content = text(file)?;
            fill(&content, file, &|name| NAMES.contains(&name).then(String::new))
                .map_err(|reason| invalid(file, reason))?;
            files.insert(file.clone(), content);
        }
        Ok(Self { compose: text(Path::new(COMPOSE))?, files, about })
    }

    /// The files of an agent, with its values in them.
    pub(crate) fn written(&self, values: &BTreeMap<&'static str, String>) -> BTreeMap<PathBuf, String> {
        let value = |name: &str| values.get(name).cloned();
        let fill = |(path, content): (&PathBuf, &String)| {
            // That every variable is known was seen when it was read.
            let filled = fill(content, path, &value).unwrap_or_else(|_| content.clone());
            (path.clone(), filled)
        };
        self.files.iter().map(fill).collect()
    }
}

/// The variables of files: nothing secret.
const NAMES: [&str; 7] = ["NAME", "IMAGE", "PORT", "PROVIDER", "PROVIDER_API", "BASE_URL", "MODEL"];

impl About {
    fn check(&self) -> Result<(), String> {
        for (name, path) in [("health", &self.health), ("proof", &self.proof), ("chat", &self.chat)] {
            if !path.starts_with('/') {
                return Err(format!("{name} = {path:?} does not begin with a slash"));
            }
        }
        let inside = |path: &PathBuf| path.components().all(|part| matches!(part, Component::Normal(_)));
        if let Some(path) = self.files.iter().find(|path| !inside(path)) {
            return Err(format!("{} is not in the folder", path.display()));
        }
        if self.providers.is_empty() {
            return Err("it has no provider".to_owned());
        }
        Ok(())
    }
}

/// Puts values in the place of `${NAME}`.
fn fill(text: &str, path: &Path, value: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let is_json = path.extension().is_some_and(|extension| extension == "json" || extension == "json5");
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        filled.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            filled.push('$');
            rest = after;
            continue;
        }
        let inside = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
        let Some((name, after)) = inside else {
            filled.push('$');
            continue;
        };
        let value = value(name).ok_or_else(|| {
            format!(
                "there is no ${{{name}}} for a file; there are {}, and $${{{name}}} stands for the text",
                NAMES.join(", ")
            )
        })?;
        if is_json {
            let quoted = serde_json::Value::String(value).to_string();
            filled.push_str(quoted.get(1..quoted.len() - 1).unwrap_or_default());
        } else {
            filled.push_str(&value);
        }
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(name: &str) -> Option<String> {
        match name {
            "MODEL" => Some("a\"b\\c\n".to_owned()),
            "NAME" => Some("scout".to_owned()),
            _ => None,
        }
    }

    #[test]
    fn values_are_put_in_place() {
        let filled = |text: &str, path: &str| fill(text, Path::new(path), &values);
        assert_eq!(
            filled("a ${NAME} $ $${NAME} $$ ${NAME", "x.txt").as_deref(),
            Ok("a scout $ ${NAME} $ ${NAME")
        );
        assert_eq!(filled(r#"{"m": "${MODEL}"}"#, "x.json").as_deref(), Ok(r#"{"m": "a\"b\\c\n"}"#));
        assert!(filled("${TOKEN}", "x").is_err(), "a secret is for no file");
    }

    #[test]
    fn the_one_that_is_built_in_is_whole() {
        let template = Template::openclaw().expect("it is whole");
        let value = |name: &'static str| (name, format!("the \"{name}\""));
        let written = template.written(&NAMES.map(value).into());
        let config = &written[Path::new("config/openclaw.json")];
        let config: serde_json::Value = serde_json::from_str(config).expect("it is JSON");
        assert_eq!(config["gateway"]["auth"]["token"], "${OPENCLAW_GATEWAY_TOKEN}");
        assert_eq!(config["models"]["providers"]["agent"]["baseUrl"], "the \"BASE_URL\"");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let told = || Template::read(folder.path()).expect_err("it is none").to_string();
        let put = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("it is written");
        assert!(told().contains("template.toml"));
        let about = "title='x'\nimage='x'\nservice='x'\nhealth='/h'\nproof='/p'\nchat='/c'\n";
        put(ABOUT, &format!("{about}files=['../x']\n[providers.a]\n"));
        assert!(told().contains("../x is not in the folder"), "{}", told());
        put(ABOUT, &format!("{about}fils=[]\n[providers.a]\n"));
        assert!(told().contains("unknown field `fils`"), "{}", told());
        put(ABOUT, &format!("{about}files=['a']\n[providers.a]\n"));
        put("a", "${API_KEY}");
        assert!(told().contains("there is no ${API_KEY}"), "{}", told());
        put("a", "fine");
        assert!(told().contains("compose.yaml"), "{}", told());
        put(COMPOSE, "services: {}");
        assert!(Template::read(folder.path()).is_ok());
    }
}
