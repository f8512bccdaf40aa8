//! The runtime's errors in words: one sentence about something that has a name.

use longshore::{CommandFailure, Error, Subject};
use serde_json::{Value, json};

/// An error of the runtime, and what is known of it besides.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) error: Error,
    /// What was being worked on. The engine may know it by its id alone.
    pub(crate) about: Option<Subject>,
    /// What to do about it, where the command line knows better.
    pub(crate) help: Option<String>,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self { error, about: None, help: None }
    }
}

impl Refusal {
    /// What went wrong, without ids and without command lines.
    pub(crate) fn message(&self) -> String {
        let container = match &self.about {
            Some(Subject::Container { name, .. }) => Some(name.as_str()),
            _ => None,
        };
        let sentence = match &self.error {
            Error::Command(failure) => {
                let asked = Asked::read(&failure.command);
                let name = self.about.as_ref().map(Subject::name).or(asked.name.as_deref());
                let said = last_word(failure);
                match (cause(said), name) {
                    (Some(cause), Some(name)) => format!("container {name} cannot start: {cause}"),
                    (Some(cause), None) => format!("a container cannot start: {cause}"),
                    (None, _) => asked.failed(name, said, failure.exit_code),
                }
            }
            Error::Api { message, operation, .. } => match (cause(message), container) {
                (Some(cause), Some(name)) => format!("container {name} cannot start: {cause}"),
                (Some(cause), None) => format!("cannot {operation}: {cause}"),
                (None, _) => self.error.to_string(),
            },
            Error::TimedOut { what, after } if what.starts_with('`') => {
                let asked = Asked::read(what.trim_matches('`'));
                let what = asked.told(self.about.as_ref().map(Subject::name));
                Error::TimedOut { what, after: *after }.to_string()
            }
            other => other.to_string(),
        };
        without_ids(&sentence, container)
    }

    /// What to do about it, if that is known.
    pub(crate) fn help(&self) -> Option<String> {
        self.help.clone().or_else(|| self.error.help())
    }

    /// The whole of a command that failed, for who asks for more.
    pub(crate) fn details(&self) -> Option<String> {
        let Error::Command(failure) = &self.error else { return None };
        Some(failure.to_string())
    }

    /// The same for programs.
    pub(crate) fn object(&self) -> Option<Value> {
        let Error::Command(CommandFailure { command, exit_code, stderr }) = &self.error else { return None };
        Some(json!({ "line": command, "exit_code": exit_code, "stderr": stderr }))
    }
}

/// What a command of podman was to do.
struct Asked {
    /// `podman network create`.
    verb: String,
    name: Option<String>,
}

impl Asked {
    fn read(command: &str) -> Self {
        const GROUPS: [&str; 5] = ["container", "network", "volume", "machine", "healthcheck"];
        let words = split(command);
        let mut rest = words.iter().skip(1).skip_while(|word| word.starts_with('-'));
        let mut verb = vec!["podman"];
        if let Some(first) = rest.next() {
            verb.push(first);
            if GROUPS.contains(&first.as_str()) {
                verb.extend(rest.next().map(String::as_str));
            }
        }
        let after = |flag: &str| words.iter().skip_while(|word| *word != flag).nth(1);
        let name = if verb == ["podman", "create"] {
            after("--name")
        } else {
            after("--").or(words.last().filter(|word| verb.len() == 3 && !word.starts_with('-')))
        };
        let name = name.filter(|name| !verb.contains(&name.as_str())).cloned();
        Self { verb: verb.join(" "), name }
    }

    /// `podman create shop-web-1`.
    fn told(&self, name: Option<&str>) -> String {
        match name.or(self.name.as_deref()) {
            Some(name) => format!("{} {name}", self.verb),
            None => self.verb.clone(),
        }
    }

    fn failed(&self, name: Option<&str>, said: &str, exit_code: Option<i32>) -> String {
        let told = self.told(name);
        match exit_code {
            _ if !said.is_empty() => format!("{told} failed: {said}"),
            Some(code) => format!("{told} ended with exit code {code}"),
            None => format!("{told} was ended by a signal"),
        }
    }
}

/// Words as they are quoted in a command that is told.
fn split(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let (mut quoted, mut escaped) = (false, false);
    for c in command.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => {
                escaped = true;
                continue;
            }
            '"' => {
                quoted = !quoted;
                continue;
            }
            ' ' if !quoted => {
                words.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(word) = words.last_mut() {
            word.push(c);
        }
    }
    words
}

/// What podman says at last, after its warnings and before its hints.
fn last_word(failure: &CommandFailure) -> &str {
    let lines = &failure.stderr;
    let line = lines.iter().rev().find(|line| line.starts_with("Error:")).or(lines.last());
    line.map_or("", |line| line.trim_start_matches("Error:").trim())
}

/// Why a container cannot start, where engines say it with the words of what they are made of.
fn cause(said: &str) -> Option<String> {
    let quoted = |before: &str| {
        let rest = said.split_once(before)?.1;
        let mark = rest.chars().next().filter(|mark| matches!(mark, '"' | '`'))?;
        let word = rest[1..].split(mark).next()?;
        (!word.is_empty()).then(|| word.to_owned())
    };
    let exec = quoted("exec: ").or_else(|| quoted("executable file "));
    if let Some(program) = exec {
        if said.contains("executable file") || said.contains("no such file or directory") {
            return Some(format!("there is no program {program:?} in its image"));
        }
        return said.contains("permission denied").then(|| format!("{program:?} cannot be executed"));
    }
    if let Some((_, rest)) = said.split_once("unable to find user ") {
        let user = rest.split(':').next()?.trim();
        return Some(format!("there is no user {user:?} in its image"));
    }
    if said.contains("does not exist")
        && let Some(folder) = quoted("workdir ")
    {
        return Some(format!("there is no folder {folder:?} in its image"));
    }
    said.contains("container-init binary not found")
        .then(|| "catatonit, podman's init, is not on this computer".to_owned())
}

/// A text in which ids are the name of what they are of, or short.
fn without_ids(text: &str, name: Option<&str>) -> String {
    const LENGTH: usize = 64;
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_ascii_hexdigit()) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let end = from.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(from.len());
        let (run, after) = from.split_at(end);
        match name {
            Some(name) if run.len() == LENGTH => out.push_str(name),
            None if run.len() == LENGTH => out.push_str(&run[..12]),
            _ => out.push_str(run),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use longshore::RuntimeKind;

    use super::*;

    const ID: &str = "bc368f4593a7acf19b91c07f66ded242e2412a49a44f1b75febd02380478d680";

    fn web() -> Option<Subject> {
        Some(Subject::Container { service: "web".to_owned(), name: "shop-web-1".to_owned() })
    }

    fn command(command: &str, said: &str, about: Option<Subject>) -> String {
        let stderr = vec![said.replace("ID", ID)];
        let failure = CommandFailure { command: command.replace("ID", ID), exit_code: Some(125), stderr };
        Refusal { about, ..Error::Command(failure).into() }.message()
    }

    #[test]
    fn a_command_is_told_by_its_verb_and_name() {
        let create =
            "podman --url=x create --pull=never --name shop-web-1 --label \"a=b c\" -- x sh -c \"x y\"";
        assert_eq!(
            command(create, "Error: no space left", None),
            "podman create shop-web-1 failed: no space left"
        );
        let network = "podman network create --label a=b -- shop_default";
        assert_eq!(
            command(network, "Error: unsupported driver nope", None),
            "podman network create shop_default failed: unsupported driver nope"
        );
        let start = "podman start -- ID";
        let said = "Error: unable to start container \"ID\": no space";
        assert_eq!(
            command(start, said, web()),
            "podman start shop-web-1 failed: unable to start container \"shop-web-1\": no space"
        );
        assert_eq!(
            command(start, said, None),
            "podman start bc368f4593a7 failed: unable to start container \"bc368f4593a7\": no space"
        );
        assert_eq!(command("podman ps --quiet", "", None), "podman ps ended with exit code 125");
        let late = Error::TimedOut {
            what: format!("`podman start -- {ID}`"),
            after: std::time::Duration::from_secs(2),
        };
        let told = Refusal { about: web(), ..late.into() }.message();
        assert_eq!(told, "podman start shop-web-1 took longer than 2 s");
    }

    #[test]
    fn why_a_container_cannot_start_is_told_without_the_engines_layers() {
        let cases = [
            (
                "Error: unable to start container \"ID\": runc: runc create failed: unable to start container process: exec: \"nosuchcmd\": executable file not found in $PATH: OCI runtime attempted to invoke a command that was not found",
                "there is no program \"nosuchcmd\" in its image",
            ),
            (
                "Error: OCI runtime error: unable to start container \"ID\": crun: executable file `nosuchcmd` not found in $PATH: No such file or directory",
                "there is no program \"nosuchcmd\" in its image",
            ),
            (
                "Error: runc: exec: \"/bin/nope\": stat /bin/nope: no such file or directory: unknown",
                "there is no program \"/bin/nope\" in its image",
            ),
            (
                "Error: exec: \"/etc/passwd\": permission denied: OCI permission denied",
                "\"/etc/passwd\" cannot be executed",
            ),
            (
                "Error: unable to find user nobody2: no matching entries in passwd file",
                "there is no user \"nobody2\" in its image",
            ),
            (
                "Error: workdir \"/nope\" does not exist on container ID",
                "there is no folder \"/nope\" in its image",
            ),
            (
                "Error: container-init binary not found on the host: stat /usr/libexec/podman/catatonit: no such file or directory",
                "catatonit, podman's init, is not on this computer",
            ),
        ];
        for (said, cause) in cases {
            let told = command("podman start -- ID", said, web());
            assert_eq!(told, format!("container shop-web-1 cannot start: {cause}"));
            let error = Error::Api {
                engine: RuntimeKind::Docker,
                operation: format!("start container {ID}"),
                status: Some(400),
                message: said.to_owned(),
            };
            assert!(error.help().is_some(), "{said}");
            assert_eq!(Refusal { about: web(), ..error.into() }.message(), told);
        }
    }
}
