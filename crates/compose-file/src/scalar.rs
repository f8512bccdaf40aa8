//! Plain scalars as docker compose reads them where it makes a text of them: YAML 1.1's numbers in Go's notation.

use serde_json::Value;

use crate::yaml::{self, Node};

/// The text that docker compose makes of a plain scalar: `420` of `0644`, `3.1` of `3.10`. What is no number, no date and
/// not true or false stays as it is.
pub(crate) fn canonical(text: &str) -> String {
    match text {
        "true" | "True" | "TRUE" => return "true".into(),
        "false" | "False" | "FALSE" => return "false".into(),
        _ => {}
    }
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return text.to_owned();
    }
    date(text).or_else(|| number(text)).unwrap_or_else(|| text.to_owned())
}

/// A node as data, which nobody here knows the meaning of.
pub(crate) fn value(node: &Node) -> Value {
    match &node.value {
        _ if node.is_null() => Value::Null,
        yaml::Value::List(items) => items.iter().map(value).collect(),
        yaml::Value::Map(entries) => {
            Value::Object(entries.iter().map(|(key, node)| (key.text.clone(), value(node))).collect())
        }
        yaml::Value::Scalar { text, plain: true } => match text.as_str() {
            "true" | "True" | "TRUE" => Value::Bool(true),
            "false" | "False" | "FALSE" => Value::Bool(false),
            _ => {
                let number = canonical(text).parse().ok().filter(|number| matches!(number, Value::Number(_)));
                number.unwrap_or_else(|| Value::String(text.clone()))
            }
        },
        yaml::Value::Scalar { text, .. } => Value::String(text.clone()),
    }
}

fn number(text: &str) -> Option<String> {
    // An underscore parts digits, and is nothing else.
    if text.starts_with('.') && text.contains('_') {
        return None;
    }
    let text = text.replace('_', "");
    let (sign, digits) = match text.strip_prefix(['+', '-']) {
        Some(rest) => (if text.starts_with('-') { "-" } else { "" }, rest),
        None => ("", text.as_str()),
    };
    if let Some(magnitude) = integer(digits) {
        let sign = if magnitude == 0 { "" } else { sign };
        let fits = sign.is_empty() || magnitude <= i64::MIN.unsigned_abs();
        if fits {
            return Some(format!("{sign}{magnitude}"));
        }
    }
    is_float(digits).then(|| digits.parse::<f64>().ok()).flatten().filter(|value| value.is_finite()).map(
        |value| {
            let sign = if value == 0.0 && sign.is_empty() { "" } else { sign };
            format!("{sign}{}", float(value))
        },
    )
}

fn integer(digits: &str) -> Option<u64> {
    let lower = digits.to_ascii_lowercase();
    let (digits, radix) = match lower.as_bytes() {
        [b'0', b'x', ..] => (&lower[2..], 16),
        [b'0', b'o', ..] => (&lower[2..], 8),
        [b'0', b'b', ..] => (&lower[2..], 2),
        [b'0', _, ..] => (&lower[1..], 8),
        _ => (lower.as_str(), 10),
    };
    // The parser would take a second sign.
    digits
        .chars()
        .all(|c| c.is_ascii_alphanumeric())
        .then(|| u64::from_str_radix(digits, radix).ok())
        .flatten()
}

/// Digits with a point among or around them, and an exponent.
fn is_float(text: &str) -> bool {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent = exponent.is_none_or(|text| {
        let text = text.strip_prefix(['+', '-']).unwrap_or(text);
        !text.is_empty() && digits(text)
    });
    digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty()) && exponent
}

/// The shortest digits, as Go's `%v`: with an exponent below -4, and from 6 on.
fn float(value: f64) -> String {
    let text = format!("{value:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    match exponent.parse::<i32>() {
        Ok(power) if !(-4..6).contains(&power) => {
            let sign = if power < 0 { '-' } else { '+' };
            format!("{mantissa}e{sign}{:02}", power.unsigned_abs())
        }
        _ => value.to_string(),
    }
}

/// A day, which Go prints with its time.
fn date(text: &str) -> Option<String> {
    let parts: Vec<&str> = text.split('-').collect();
    let [year, month, day] = parts.as_slice() else { return None };
    let digits = |text: &str, lengths: std::ops::RangeInclusive<usize>| {
        lengths.contains(&text.len()) && text.chars().all(|c| c.is_ascii_digit())
    };
    if !digits(year, 4..=4) || !digits(month, 1..=2) || !digits(day, 1..=2) {
        return None;
    }
    let (year, month, day): (u32, u32, u32) = (year.parse().ok()?, month.parse().ok()?, day.parse().ok()?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    (1..=days).contains(&day).then(|| format!("{year:04}-{month:02}-{day:02} 00:00:00 +0000 UTC"))
}

#[cfg(test)]
mod tests {
    use super::canonical;

    /// Each as docker compose 2.26.1 prints it.
    #[test]
    fn as_docker_compose_has_them() {
        let cases = [
            ("1", "1"),
            ("0644", "420"),
            ("-0644", "-420"),
            ("+0644", "420"),
            ("08", "8"),
            ("0o17", "15"),
            ("0O17", "15"),
            ("0o9", "0o9"),
            ("0x1F", "31"),
            ("-0x1F", "-31"),
            ("0x", "0x"),
            ("0b11", "3"),
            ("0b12", "0b12"),
            ("1_000", "1000"),
            ("1_", "1"),
            ("-0", "0"),
            ("-0.0", "-0"),
            ("3.10", "3.1"),
            ("1.0", "1"),
            ("1.", "1"),
            (".5", "0.5"),
            ("-.5e3", "-500"),
            ("._5", "._5"),
            ("1e3", "1000"),
            ("1e", "1e"),
            ("1.e3", "1000"),
            ("123456.5", "123456.5"),
            ("1000000.0", "1e+06"),
            ("1234567.5", "1.2345675e+06"),
            ("0.0001", "0.0001"),
            ("1e-7", "1e-07"),
            ("1e30", "1e+30"),
            ("1e400", "1e400"),
            ("12345678901234567890", "12345678901234567890"),
            ("123456789012345678901234567890", "1.2345678901234568e+29"),
            ("0xFFFFFFFFFFFFFFFF", "18446744073709551615"),
            ("-9223372036854775809", "-9.223372036854776e+18"),
            ("2020-1-2", "2020-01-02 00:00:00 +0000 UTC"),
            ("2020-13-01", "2020-13-01"),
            ("2020-02-30", "2020-02-30"),
            ("020-01-01", "020-01-01"),
            ("1:30", "1:30"),
            ("TRUE", "true"),
            ("yes", "yes"),
            ("on", "on"),
            ("-", "-"),
            ("1.2.3", "1.2.3"),
            ("1-2", "1-2"),
        ];
        for (text, expected) in cases {
            assert_eq!(canonical(text), expected, "{text}");
        }
    }
}
