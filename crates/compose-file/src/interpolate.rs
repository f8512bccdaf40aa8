//! `$VAR` and `${VAR…}` in values, as compose has them: `:-` `-` `:?` `?` `:+` `+`, nested, and `$$`.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    findings::Findings,
    yaml::{Node, Value},
};

/// Why a text cannot be interpolated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The text is not well-formed; what is wrong.
    Syntax(String),
    /// A required variable is not set; its name and the file's own words.
    Required(String, String),
}

/// Replaces variables in one text. Names that are used and not set are added to `unset`.
pub(crate) fn interpolate(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
    unset: &mut BTreeSet<String>,
) -> Result<String, Fault> {
    let chars: Vec<char> = text.chars().collect();
    let mut scanner = Scanner { chars: &chars, at: 0, lookup, unset, depth: 0 };
    scanner.run(false, true)
}

struct Scanner<'a> {
    chars: &'a [char],
    at: usize,
    lookup: &'a dyn Fn(&str) -> Option<String>,
    unset: &'a mut BTreeSet<String>,
    depth: usize,
}

impl Scanner<'_> {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    /// Reads until the end or, inside braces, until the brace that closes them. Without `wanted` the text is only passed over: its variables are
    /// not looked up.
    fn run(&mut self, inside: bool, wanted: bool) -> Result<String, Fault> {
        let mut out = String::new();
        self.depth += 1;
        if self.depth > 50 {
            return Err(Fault::Syntax("nested too deeply".into()));
        }
        while let Some(c) = self.peek() {
            match c {
                '}' if inside => break,
                '$' => {
                    self.at += 1;
                    match self.peek() {
                        Some('$') => {
                            self.at += 1;
                            out.push('$');
                        }
                        Some('{') => {
                            self.at += 1;
                            out.push_str(&self.braced(wanted)?);
                        }
                        Some(c) if is_name_start(c) => {
                            let name = self.name();
                            out.push_str(&self.value(&name, wanted));
                        }
                        // Docker compose refuses a lone dollar.
                        _ => {
                            return Err(Fault::Syntax(
                                "a \"$\" that begins no variable; write \"$$\" for a dollar sign".into(),
                            ));
                        }
                    }
                }
                c => {
                    out.push(c);
                    self.at += 1;
                }
            }
        }
        self.depth -= 1;
        Ok(out)
    }

    fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(c) = self.peek().filter(|c| is_name_start(*c) || c.is_ascii_digit()) {
            name.push(c);
            self.at += 1;
        }
        name
    }

    fn value(&mut self, name: &str, wanted: bool) -> String {
        if !wanted {
            return String::new();
        }
        (self.lookup)(name).unwrap_or_else(|| {
            self.unset.insert(name.to_owned());
            String::new()
        })
    }

    fn braced(&mut self, wanted: bool) -> Result<String, Fault> {
        let name = match self.peek() {
            Some(c) if is_name_start(c) => self.name(),
            _ => return Err(Fault::Syntax("\"${\" must be followed by a variable's name".into())),
        };
        let mut colon = false;
        if self.peek() == Some(':') {
            colon = true;
            self.at += 1;
        }
        let operator = match self.peek() {
            Some('}') if !colon => {
                self.at += 1;
                return Ok(self.value(&name, wanted));
            }
            Some(operator @ ('-' | '?' | '+')) => operator,
            Some(other) => {
                return Err(Fault::Syntax(format!(
                    "{other:?} after the name {name:?}; a default is written ${{{name}:-default}}"
                )));
            }
            None => return Err(unclosed(&name)),
        };
        self.at += 1;
        let current = (self.lookup)(&name).filter(|value| !(colon && value.is_empty()));
        let use_word = match operator {
            '-' | '?' => current.is_none(),
            _ => current.is_some(),
        };
        let word = self.run(true, wanted && use_word)?;
        if self.peek() != Some('}') {
            return Err(unclosed(&name));
        }
        self.at += 1;
        match (operator, current) {
            ('-', Some(value)) => Ok(value),
            ('-', None) => Ok(word),
            ('?', Some(value)) => Ok(value),
            ('?', None) if wanted => Err(Fault::Required(name, word)),
            ('+', Some(_)) => Ok(word),
            _ => Ok(String::new()),
        }
    }
}

fn unclosed(name: &str) -> Fault {
    Fault::Syntax(format!("\"${{{name}\" is not closed with \"}}\""))
}

fn is_name_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

/// Interpolates every value of a tree, not its keys.
pub(crate) fn tree(node: &mut Node, path: &str, env: &BTreeMap<String, String>, findings: &mut Findings) {
    let mut unset = BTreeSet::new();
    walk(node, path, env, findings, &mut unset);
    for name in unset {
        findings.warning_anywhere(format!("the {name:?} variable is not set; it is taken as an empty text"));
    }
}

fn walk(
    node: &mut Node,
    path: &str,
    env: &BTreeMap<String, String>,
    findings: &mut Findings,
    unset: &mut BTreeSet<String>,
) {
    match &mut node.value {
        Value::Scalar { text, .. } => {
            if !text.contains('$') {
                return;
            }
            match interpolate(text, &|name| env.get(name).cloned(), unset) {
                Ok(replaced) => *text = replaced,
                Err(Fault::Syntax(what)) => {
                    findings.error(node.place, path, format!("cannot interpolate: {what}"))
                }
                Err(Fault::Required(name, words)) => {
                    let words = if words.is_empty() { String::new() } else { format!(": {words}") };
                    findings.error_with(
                        node.place,
                        path,
                        format!("required variable {name} is not set{words}"),
                        format!("set it in the environment or in the .env file: {name}=…"),
                    );
                }
            }
        }
        Value::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                walk(item, &format!("{path}[{index}]"), env, findings, unset);
            }
        }
        Value::Map(entries) => {
            for (key, value) in entries {
                let path = if path.is_empty() { key.text.clone() } else { format!("{path}.{}", key.text) };
                walk(value, &path, env, findings, unset);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str) -> Result<String, Fault> {
        let lookup = |name: &str| match name {
            "A" => Some("a".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        interpolate(text, &lookup, &mut BTreeSet::new())
    }

    #[test]
    fn the_cases_of_compose() {
        let cases = [
            ("$A", "a"),
            ("${A}", "a"),
            ("x${A}y", "xay"),
            ("$$A", "$A"),
            ("$${A}", "${A}"),
            ("$NO", ""),
            ("${NO:-d}", "d"),
            ("${NO-d}", "d"),
            ("${EMPTY:-d}", "d"),
            ("${EMPTY-d}", ""),
            ("${A:-d}", "a"),
            ("${A:+x}", "x"),
            ("${EMPTY:+x}", ""),
            ("${EMPTY+x}", "x"),
            ("${NO+x}", ""),
            ("${A:?m}", "a"),
            ("${EMPTY?m}", ""),
            ("${NO:-${A}}", "a"),
            ("${NO:-${NO2:-${A}b}}", "ab"),
            ("${NO:-$$}", "$"),
            ("${NO:-a b:c}", "a b:c"),
            ("$A$A", "aa"),
            ("$A-b", "a-b"),
            ("${A:+${NO:-y}}", "y"),
            ("{A}", "{A}"),
            ("}", "}"),
            ("${NO:-}", ""),
            ("${A:-${NO:?never}}", "a"),
            ("a$$b", "a$b"),
        ];
        for (text, expected) in cases {
            assert_eq!(run(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn faults() {
        assert_eq!(run("${NO:?say so}"), Err(Fault::Required("NO".into(), "say so".into())));
        assert_eq!(run("${EMPTY:?}"), Err(Fault::Required("EMPTY".into(), String::new())));
        for text in ["$", "a $ b", "${", "${}", "${1}", "${A", "${A:-", "${A!}", "${A:}", "$1"] {
            assert!(matches!(run(text), Err(Fault::Syntax(_))), "{text}: {:?}", run(text));
        }
        let deep = "${A:-".repeat(60) + &"}".repeat(60);
        assert!(run(&deep).is_err());
    }
}
