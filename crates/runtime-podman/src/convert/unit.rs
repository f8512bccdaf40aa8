//! The text of a unit: sections of keys, as systemd and Quadlet read them (systemd.syntax(7), systemd.service(5)).

use std::fmt::Write as _;

/// A unit file that is being written.
#[derive(Debug, Default)]
pub(super) struct Unit {
    sections: Vec<(&'static str, Vec<String>)>,
}

impl Unit {
    /// A line `KEY=VALUE` of a key that takes the rest of the line. Returns `false`, and writes nothing, where no line can say it.
    pub(super) fn line(&mut self, section: &'static str, key: &str, value: &str) -> bool {
        let is_line = !value.is_empty()
            && value.trim() == value
            && !value.ends_with('\\')
            && !value.chars().any(char::is_control);
        if is_line {
            self.push(section, format!("{key}={}", literal(value)));
        }
        is_line
    }

    /// A line of a key that takes words.
    pub(super) fn words<S: AsRef<str>>(
        &mut self,
        section: &'static str,
        key: &str,
        words: impl IntoIterator<Item = S>,
    ) {
        let words: Vec<String> = words.into_iter().map(|word| quoted(word.as_ref())).collect();
        self.push(section, format!("{key}={}", words.join(" ")));
    }

    fn push(&mut self, section: &'static str, line: String) {
        match self.sections.iter_mut().find(|(name, _)| *name == section) {
            Some((_, lines)) => lines.push(line),
            None => self.sections.push((section, vec![line])),
        }
    }

    /// The file.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for (name, lines) in &self.sections {
            let gap = if text.is_empty() { "" } else { "\n" };
            let _ = write!(text, "{gap}[{name}]\n{}\n", lines.join("\n"));
        }
        text
    }
}

/// A text in which systemd finds neither specifiers nor variables.
fn literal(text: &str) -> String {
    text.replace('%', "%%").replace('$', "$$")
}

/// A word, in quotes where it needs them.
pub(super) fn quoted(word: &str) -> String {
    let is_plain = !word.is_empty()
        && word != ";"
        && !word.chars().any(|c| c.is_whitespace() || c.is_control() || matches!(c, '"' | '\'' | '\\'));
    if is_plain {
        return literal(word);
    }
    let mut text = String::from("\"");
    for c in literal(word).chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            '\r' => text.push_str("\\r"),
            c if c.is_ascii_control() => {
                let _ = write!(text, "\\x{:02x}", u32::from(c));
            }
            c => text.push(c),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_as_systemd_reads_them() {
        for (word, text) in [
            ("plain", "plain"),
            ("", "\"\""),
            ("A=x y", "\"A=x y\""),
            ("100%", "100%%"),
            ("$HOME", "$$HOME"),
            ("a \"b\" \\", "\"a \\\"b\\\" \\\\\""),
            ("it's", "\"it's\""),
            ("l1\nl2\t\u{1b}", "\"l1\\nl2\\t\\x1b\""),
            ("ü", "ü"),
        ] {
            assert_eq!(quoted(word), text, "{word:?}");
        }
    }

    #[test]
    fn what_no_line_can_say_is_not_written() {
        let mut unit = Unit::default();
        for value in ["", " x", "x\\", "a\nb"] {
            assert!(!unit.line("Container", "HealthCmd", value), "{value:?}");
        }
        assert!(unit.line("Container", "HealthCmd", "curl \"$URL\" 100%"));
        assert_eq!(unit.text(), "[Container]\nHealthCmd=curl \"$$URL\" 100%%\n");
    }
}
