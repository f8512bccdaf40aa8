//! Messages that are not echoed but done.

use std::{str::FromStr, time::Duration};

/// The exit code of who was not told another.
pub(crate) const CRASHED: u8 = 3;

/// An answer is built in memory where no stream is asked for.
const COUNT_AT_MOST: u32 = 1_000_000;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Echo,
    Crash(u8),
    Flood(u32),
    FloodRate(u32, Duration),
    Count(u32),
    Healthy(bool),
    Hang,
    Env(String),
    Clients,
}

impl Command {
    pub(crate) fn parse(message: &str) -> Result<Self, String> {
        if !message.starts_with('!') {
            return Ok(Self::Echo);
        }
        let words: Vec<&str> = message.split_whitespace().collect();
        Ok(match words.as_slice() {
            ["!crash"] => Self::Crash(CRASHED),
            ["!crash", code] => Self::Crash(number(code, u8::MAX)?),
            ["!flood", count] => Self::Flood(number(count, u32::MAX)?),
            ["!flood-rate", rate, seconds] => Self::FloodRate(
                number(rate, u32::MAX)?,
                Duration::from_secs(number::<u32>(seconds, u32::MAX)?.into()),
            ),
            ["!count", count] => Self::Count(number(count, COUNT_AT_MOST)?),
            ["!unhealthy"] => Self::Healthy(false),
            ["!healthy"] => Self::Healthy(true),
            ["!hang"] => Self::Hang,
            ["!env", name] => Self::Env((*name).to_owned()),
            ["!clients"] => Self::Clients,
            ["!crash", ..] => return Err("it is written !crash [CODE]".to_owned()),
            ["!flood", ..] => return Err("it is written !flood N".to_owned()),
            ["!flood-rate", ..] => return Err("it is written !flood-rate BYTES_PER_S SECONDS".to_owned()),
            ["!count", ..] => return Err("it is written !count N".to_owned()),
            ["!env", ..] => return Err("it is written !env NAME".to_owned()),
            _ => Self::Echo,
        })
    }
}

fn number<N: FromStr + Copy + PartialOrd + std::fmt::Display>(text: &str, most: N) -> Result<N, String> {
    match text.parse() {
        Ok(number) if number <= most => Ok(number),
        _ => Err(format!("{text:?} is not a whole number up to {most}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read() {
        assert_eq!(Command::parse("!crash"), Ok(Command::Crash(3)));
        assert_eq!(Command::parse("!crash 255"), Ok(Command::Crash(255)));
        assert_eq!(Command::parse("!crash 256"), Err("\"256\" is not a whole number up to 255".to_owned()));
        assert_eq!(Command::parse("!flood-rate 100 2"), Ok(Command::FloodRate(100, Duration::from_secs(2))));
        assert_eq!(
            Command::parse("!flood-rate 100"),
            Err("it is written !flood-rate BYTES_PER_S SECONDS".into())
        );
        assert_eq!(Command::parse("!count 1000000"), Ok(Command::Count(1_000_000)));
        assert_eq!(
            Command::parse("!count 1000001"),
            Err("\"1000001\" is not a whole number up to 1000000".into())
        );
    }

    #[test]
    fn other_messages_are_echoed() {
        for message in ["", "hello", "!", "!token", "a !crash", "!hang on", "!clients all"] {
            assert_eq!(Command::parse(message), Ok(Command::Echo), "{message}");
        }
    }
}
