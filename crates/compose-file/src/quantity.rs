//! Sizes, times, shares and limits.

use std::{fmt, time::Duration};

use serde_json::{Value, json};

use crate::{
    attribute::Attribute,
    read::Reader,
    yaml::{self, Node},
};

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Bytes(pub u64);

impl Attribute for Bytes {
    fn read(reader: &mut Reader<'_>, node: &Node) -> Option<Self> {
        reader.bytes(node).map(Self)
    }

    fn show(&self) -> Value {
        json!(self.0.to_string())
    }
}

/// A size of which 0 says that there is no limit.
pub(crate) fn size(reader: &mut Reader<'_>, node: &Node) -> Option<Option<Bytes>> {
    let found: Option<Bytes> = Attribute::read(reader, node)?;
    Some(found.filter(|size| size.0 > 0))
}

/// A number that is not below 0, with at most nine digits after its point: CPUs, or a part of a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Decimal {
    /// How many billionths.
    pub nanos: u64,
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (self.nanos as f64 / 1e9).fmt(f)
    }
}

impl Attribute for Decimal {
    fn read(reader: &mut Reader<'_>, node: &Node) -> Option<Self> {
        let expected = "a number that is not below 0, like 0.5";
        let number: f64 = reader.number(node, expected)?;
        let nanos = (number * 1e9).round();
        if (0.0..9e18).contains(&nanos) {
            Some(Self { nanos: nanos as u64 })
        } else {
            reader.wrong(node, expected)
        }
    }

    fn show(&self) -> Value {
        match self.nanos % 1_000_000_000 {
            0 => json!(self.nanos / 1_000_000_000),
            _ => json!(self.nanos as f64 / 1e9),
        }
    }
}

/// A number of which 0 says nothing.
pub(crate) fn decimal(reader: &mut Reader<'_>, node: &Node) -> Option<Option<Decimal>> {
    let found: Option<Decimal> = Attribute::read(reader, node)?;
    Some(found.filter(|number| number.nanos > 0))
}

/// At most so many, or no limit at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Limit {
    /// At most that many.
    At(u64),
    /// As many as there are (`-1`).
    Unlimited,
}

impl Attribute for Limit {
    fn read(reader: &mut Reader<'_>, node: &Node) -> Option<Self> {
        if node.text() == Some("-1") {
            return Some(Self::Unlimited);
        }
        reader.number(node, "a number, or -1 for no limit").map(Self::At)
    }

    fn show(&self) -> Value {
        match self {
            Self::At(number) => json!(number),
            Self::Unlimited => json!(-1),
        }
    }
}

/// A limit of which 0 says nothing.
pub(crate) fn limit(reader: &mut Reader<'_>, node: &Node) -> Option<Option<Limit>> {
    let found: Option<Limit> = Attribute::read(reader, node)?;
    Some(found.filter(|limit| *limit != Limit::At(0)))
}

/// As [`limit`], in bytes.
pub(crate) fn limit_of_bytes(reader: &mut Reader<'_>, node: &Node) -> Option<Option<Limit>> {
    match node.text().map(|text| (text, parse_bytes(text))) {
        Some((_, Some(bytes))) => Some(Some(Limit::At(bytes)).filter(|limit| *limit != Limit::At(0))),
        Some(("-1", _)) => Some(Some(Limit::Unlimited)),
        _ if node.is_null() => Some(None),
        _ => reader.wrong(node, "a size like 64m or 1gb, or -1 for no limit"),
    }
}

/// Devices by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Count {
    /// That many.
    Of(u32),
    /// All that there are (`all`).
    All,
}

impl Attribute for Count {
    fn read(reader: &mut Reader<'_>, node: &Node) -> Option<Self> {
        match node.text() {
            Some("all" | "-1") => Some(Self::All),
            _ => reader.number(node, "a number, or all").map(Self::Of),
        }
    }

    fn show(&self) -> Value {
        match self {
            Self::Of(number) => json!(number),
            Self::All => json!(-1),
        }
    }
}

/// Microseconds: a number of them, or a duration.
pub(crate) fn micros(reader: &mut Reader<'_>, node: &Node) -> Option<Option<u64>> {
    let micros = match &node.value {
        _ if node.is_null() => return Some(None),
        yaml::Value::Scalar { text, .. } => text.parse::<u64>().ok().or_else(|| {
            let duration = parse_duration(text)?;
            u64::try_from(duration.as_micros()).ok()
        }),
        _ => None,
    };
    match micros {
        Some(micros) => Some(Some(micros).filter(|micros| *micros > 0)),
        None => reader.wrong(node, "microseconds, or a duration like 400ms"),
    }
}

/// `1h2m3.5s`, `500ms`, `10us`, `7ns`; a number alone is refused, as compose does, but for 0.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    let mut nanos: f64 = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        rest = &rest[end..];
        let end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            "d" => 86_400e9,
            "w" => 604_800e9,
            _ => return None,
        };
        nanos += number * unit;
        rest = &rest[end..];
    }
    (nanos < 9.2e18).then(|| Duration::from_nanos(nanos.round() as u64))
}

/// `10`, `10b`, `10k`, `10kb`, `1.5g`…: powers of 1024, in any case.
pub(crate) fn parse_bytes(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..end].parse().ok()?;
    let power = match text[end..].trim() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        _ => return None,
    };
    let bytes = number * 1024f64.powi(power);
    (bytes < 9.2e18).then_some(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes() {
        for (text, millis) in
            [("1s", 1000), ("1m30s", 90_000), ("500ms", 500), ("1.5s", 1500), ("1h", 3_600_000), ("0", 0)]
        {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "5", "s", "1x", "-1s", "1s 2", "99999999999999h"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
        for (text, bytes) in
            [("10", 10), ("1k", 1024), ("64MB", 64 << 20), ("1.5g", 3 << 29), ("2 mib", 2 << 20)]
        {
            assert_eq!(parse_bytes(text), Some(bytes), "{text}");
        }
        assert_eq!(parse_bytes("x"), None);
    }
}
