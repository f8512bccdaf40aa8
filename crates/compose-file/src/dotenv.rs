//! `.env` and `env_file` in compose's grammar: comments, `export`, quotes, several lines in quotes, `KEY: value`,
//! inherited names, and variables in values that are not in single quotes.

use std::collections::BTreeMap;

use crate::interpolate::{Fault, Notes, interpolate};

/// So much text is more than any such file says; values may hold the values before them.
const MAX_VALUES: usize = 16 << 20;

/// One assignment: `None` is a name alone, which is inherited.
pub(crate) type Assignment = (String, Option<String>);

/// What is wrong with such a file, and on which line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EnvFault {
    pub(crate) line: usize,
    pub(crate) message: String,
}

/// Reads the assignments of a file, in order. Variables are looked up in `env` and in what the file said before; what is to be
/// said of a value is added to `notes` with its line.
pub(crate) fn parse(
    text: &str,
    env: &BTreeMap<String, String>,
    notes: &mut Vec<(usize, Notes)>,
) -> Result<Vec<Assignment>, EnvFault> {
    let mut out: Vec<Assignment> = Vec::new();
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
    let mut rest = text.as_str();
    let (mut line, mut size) = (0, 0);
    while !rest.is_empty() {
        line += 1;
        let (current, after) = rest.split_once('\n').unwrap_or((rest, ""));
        let trimmed = current.trim_start();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            rest = after;
            continue;
        }
        let first = line;
        let fault = |message: String| EnvFault { line: first, message };
        let body = trimmed.strip_prefix("export ").map_or(trimmed, str::trim_start);
        let end = body.find(['=', ':']).unwrap_or(body.len());
        let name = body[..end].trim_end();
        if name.is_empty() || name.contains(char::is_whitespace) || name.contains(['"', '\'', '#']) {
            if end == body.len()
                && !name.is_empty()
                && body.split('#').next().is_some_and(|n| !n.trim().contains(char::is_whitespace))
            {
                out.push((body.split('#').next().unwrap_or_default().trim().to_owned(), None));
                rest = after;
                continue;
            }
            return Err(fault(format!(
                "{:?} is not a variable's name",
                name.chars().take(40).collect::<String>()
            )));
        }
        if end == body.len() {
            out.push((name.to_owned(), None));
            rest = after;
            continue;
        }
        // The value may go on over several lines, so it is read from the rest and not from this line.
        let value_text = &rest[current.len() - body.len() + end + 1..];
        let value_text = value_text.trim_start_matches([' ', '\t']);
        let lookup = |name: &str| env.get(name).or_else(|| known.get(name)).cloned();
        let begun = line;
        let mut expand = |text: &str| {
            let mut found = Notes::default();
            let expanded = interpolate(text, &lookup, &mut found).map_err(|fault| match fault {
                Fault::Syntax(what) => EnvFault { line: begun, message: what },
                Fault::Required(missing) => EnvFault { line: begun, message: missing.to_string() },
            });
            if found != Notes::default() {
                notes.push((begun, found));
            }
            expanded
        };
        let (value, next) = match value_text.chars().next() {
            Some(quote @ ('"' | '\'')) => {
                let (raw, next) = quoted(&value_text[1..], quote)
                    .ok_or_else(|| fault(format!("the {quote} of {name} is not closed")))?;
                line += raw.matches('\n').count();
                let value = match quote {
                    '"' => expand(&unescape(raw))?,
                    _ => raw.replace("\\'", "'"),
                };
                let (more, next) = next.split_once('\n').unwrap_or((next, ""));
                if more.trim_start().starts_with(['"', '\'']) {
                    let message = format!("the value of {name} goes on after its {quote} is closed");
                    return Err(EnvFault { line, message });
                }
                let more = more.trim();
                if !more.is_empty() && !more.starts_with('#') {
                    notes.push((line, Notes { dropped: true, ..Notes::default() }));
                }
                (value, next)
            }
            _ => {
                let (raw, next) = value_text.split_once('\n').unwrap_or((value_text, ""));
                let raw = raw.find(" #").map_or(raw, |comment| &raw[..comment]);
                (expand(raw.trim())?, next)
            }
        };
        size += value.len();
        if size > MAX_VALUES {
            return Err(EnvFault { line, message: "the values of this file become too large".into() });
        }
        known.insert(name.to_owned(), value.clone());
        out.push((name.to_owned(), Some(value)));
        rest = next;
    }
    Ok(out)
}

/// The text until the closing quote, and what follows it.
fn quoted(text: &str, quote: char) -> Option<(&str, &str)> {
    let mut escaped = false;
    for (index, c) in text.char_indices() {
        if escaped {
            escaped = false;
        } else if c == '\\' && (quote == '"' || text[index + 1..].starts_with(quote)) {
            escaped = true;
        } else if c == quote {
            return Some((&text[..index], &text[index + 1..]));
        }
    }
    None
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('$') => out.push_str("$$"),
            Some(other @ ('"' | '\\' | '\'')) => out.push(other),
            Some(other) => {
                out.push('\\');
                out.push(other);
            }
            None => out.push('\\'),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar() {
        let text = "\u{feff}# c\nA=1\nexport B = two words # c\nC='$A #x'\nD=\"x ${A}\\n$$y\\$z\"\nE: yes\n\nF\nG=\nH=\"l1\nl2\" # c\nI=a#b\nJ=${A}${OUT}\r\nK=\"\"\nL=#x #y\nM= # z\nN=#\nO=$1$\n";
        let env = BTreeMap::from([("OUT".to_owned(), "o".to_owned())]);
        let pairs = parse(text, &env, &mut Vec::new()).unwrap();
        let expected = [
            ("A", Some("1")),
            ("B", Some("two words")),
            ("C", Some("$A #x")),
            ("D", Some("x 1\n$y$z")),
            ("E", Some("yes")),
            ("F", None),
            ("G", Some("")),
            ("H", Some("l1\nl2")),
            ("I", Some("a#b")),
            ("J", Some("1o")),
            ("K", Some("")),
            ("L", Some("#x")),
            ("M", Some("# z")),
            ("N", Some("#")),
            ("O", Some("$1$")),
        ];
        let expected: Vec<Assignment> =
            expected.iter().map(|(k, v)| ((*k).to_owned(), v.map(str::to_owned))).collect();
        assert_eq!(pairs, expected);
    }

    #[test]
    fn faults_have_their_line() {
        let line = |text: &str| parse(text, &BTreeMap::new(), &mut Vec::new()).unwrap_err().line;
        assert_eq!(line("A=1\nB C=2"), 2);
        assert_eq!(line("A=1\n\nB=\"open"), 3);
        assert_eq!(line("=x"), 1);
    }
}
