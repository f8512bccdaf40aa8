//! The command line again, as advice.

/// What the user typed, to be typed again.
#[derive(Debug, Clone, Default)]
pub(crate) struct Again {
    /// All arguments, as they were.
    pub(crate) arguments: Vec<String>,
    /// Those that say which project on which engine, for another command about the same.
    pub(crate) flags: Vec<String>,
}

/// The beginnings of words that give a variable.
const VARIABLES: [&str; 3] = ["--build-arg=", "--env=", "-e"];

impl Again {
    /// The same command, with `…` in the place of the values of variables, which may be secret.
    pub(crate) fn same(&self) -> String {
        let mut words = Vec::new();
        let mut gives_variable = false;
        for word in &self.arguments {
            // `-e NAME=value`, `--env=NAME=value`, `-eNAME=value`.
            let flag = if gives_variable {
                Some("")
            } else {
                VARIABLES.into_iter().find(|flag| word.starts_with(flag))
            };
            let hidden = flag.and_then(|flag| {
                let (name, _) = word[flag.len()..].split_once('=')?;
                Some(format!("{flag}{name}=…"))
            });
            words.push(hidden.unwrap_or_else(|| word.clone()));
            gives_variable = ["-e", "--env", "--build-arg"].contains(&word.as_str());
        }
        line(&words)
    }

    /// Another command about the same project.
    pub(crate) fn other(&self, verb: &str) -> String {
        let words: Vec<String> = self.flags.iter().cloned().chain([verb.to_owned()]).collect();
        line(&words)
    }
}

/// A command line of ours.
pub(crate) fn line(words: &[String]) -> String {
    let quoted: Vec<String> =
        ["longshore".to_owned()].into_iter().chain(words.iter().map(|word| quote(word))).collect();
    format!("`{}`", quoted.join(" "))
}

/// A word as a shell takes it.
fn quote(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,@+%…".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_a_shell() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let again = Again {
            arguments: words(&["down", "-f", "it's.yaml", "-p", "shop", "-v"]),
            flags: words(&["-f", "it's.yaml", "-p", "shop"]),
        };
        assert_eq!(again.same(), r"`longshore down -f 'it'\''s.yaml' -p shop -v`");
        assert_eq!(again.other("up"), r"`longshore -f 'it'\''s.yaml' -p shop up`");
        let again = Again {
            arguments: words(&[
                "--env-file=a=b",
                "run",
                "-e",
                "KEY=hunter2",
                "--env=KEY=hunter2",
                "-eKEY=hunter2",
                "-e",
                "KEY",
            ]),
            flags: Vec::new(),
        };
        let without = "`longshore --env-file=a=b run -e KEY=… --env=KEY=… -eKEY=… -e KEY`";
        assert_eq!(again.same(), without, "rule 9");
        assert_eq!((quote(""), quote("$HOME")), ("''".to_owned(), "'$HOME'".to_owned()));
    }
}
