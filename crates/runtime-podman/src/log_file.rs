//! A container's log in the file that conmon writes (the drivers `k8s-file` and `json-file`), read without podman: several times as fast,
//! and in the order in which it was written, which podman's two outputs lose.
//!
//! A record is a line of `TIME stdout|stderr F|P TEXT`, `P` for a piece that does not end its line. `podman container inspect` tells where the
//! file is.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Take},
    path::Path,
    time::SystemTime,
};

use futures_util::{StreamExt, stream};
use runtime_core::{Error, LogLine, LogLines, LogOptions, LogSource, LogStream, Result};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::{sync::mpsc, task::spawn_blocking};

/// So many lines are handed over together, and so many times are read ahead.
const BATCH: usize = 512;
const AHEAD: usize = 4;
/// So much of the file is looked at first for where the last lines begin.
const WINDOW: u64 = 64 << 10;
/// From so much on, an output of which there is one piece is taken to begin a line with it.
const LARGE_WINDOW: u64 = 16 << 20;
/// Conmon's records are shorter; what is longer is none.
const LONGEST_RECORD: u64 = 1 << 20;

/// What is read of a log.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wanted {
    pub(crate) since: Option<SystemTime>,
    /// Whether times only grow, so that nothing before the last record that is too old is looked at.
    pub(crate) in_order: bool,
    pub(crate) tail: Option<u64>,
    /// Whether lines keep their times.
    pub(crate) times: bool,
    /// Whether what has no end yet is a line too.
    pub(crate) to_the_end: bool,
}

/// Reads what is there now. `None` when there is no such file that can be read here: nothing was written yet, or it is another
/// computer's or another user's.
pub(crate) async fn read(path: &Path, wanted: Wanted) -> Option<LogStream> {
    let path = path.to_owned();
    let file = spawn_blocking(move || File::open(path)).await.ok()?.ok()?;
    let (to, mut batches) = mpsc::channel(AHEAD);
    // It ends when nobody reads any more, for then it cannot hand over.
    spawn_blocking(move || {
        let hand_over = |lines: Vec<LogLine>| to.blocking_send(lines.into_iter().map(Ok).collect()).is_ok();
        if let Err(error) = tell(&file, wanted, hand_over) {
            let what = "reading the log of a container".to_owned();
            let _ = to.blocking_send(vec![Err(Error::NotPermitted { what, reason: error.to_string() })]);
        }
    });
    let batches = stream::poll_fn(move |context| batches.poll_recv(context));
    Some(batches.flat_map(|lines: Vec<Result<LogLine>>| stream::iter(lines)).boxed())
}

/// Reads what is wanted, and hands it over until that is refused.
fn tell(file: &File, wanted: Wanted, mut hand_over: impl FnMut(Vec<LogLine>) -> bool) -> io::Result<()> {
    let length = file.metadata()?.len();
    let mut records = Records::from(file, beginning(file, length, wanted)?, length)?;
    let mut lines = LogLines::new(&LogOptions { since: wanted.since, ..LogOptions::default() });
    let most = wanted.tail.map(|tail| usize::try_from(tail).unwrap_or(usize::MAX));
    let mut kept = VecDeque::new();
    let mut frame = Vec::new();
    let mut is_over = false;
    while !is_over {
        match records.next()? {
            Some(record) => {
                record.write(&mut frame);
                lines.take(record.source, &frame);
            }
            None => is_over = true,
        }
        if is_over && wanted.to_the_end {
            lines.end(LogSource::Stdout);
            lines.end(LogSource::Stderr);
        }
        while let Some(line) = lines.pop() {
            kept.push_back(LogLine { time: line.time.filter(|_| wanted.times), ..line });
        }
        if let Some(most) = most {
            kept.drain(..kept.len().saturating_sub(most));
        }
        while is_over && !kept.is_empty() || most.is_none() && kept.len() >= BATCH {
            if !hand_over(kept.drain(..kept.len().min(BATCH)).collect()) {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Where to begin reading, so that all that is wanted is read as whole lines: at the file's start, or before its last lines.
fn beginning(file: &File, length: u64, wanted: Wanted) -> io::Result<u64> {
    let mut window = WINDOW;
    while window < length {
        let from = length - window;
        let mut records = Records::from(file, from, length)?;
        let is_early = match (wanted.tail, wanted.since) {
            (Some(tail), _) => Ending::of(&mut records)?.has(tail, window),
            (None, Some(since)) if wanted.in_order => {
                records.next()?.and_then(|first| first.time()).is_some_and(|time| time < since)
            }
            _ => return Ok(0),
        };
        if is_early {
            return Ok(from);
        }
        window = window.saturating_mul(2);
    }
    Ok(0)
}

/// What the end of a log has.
#[derive(Debug, Default)]
struct Ending {
    /// Of each output, whether a line of it has ended: what is before that may be the rest of one.
    is_known: [bool; 2],
    /// Of each output, whether there was anything of it.
    is_there: [bool; 2],
    /// Lines that are certainly whole, after which there are none but such.
    whole: u64,
    all: u64,
}

impl Ending {
    fn of(records: &mut Records<'_>) -> io::Result<Self> {
        let mut ending = Self::default();
        while let Some(record) = records.next()? {
            let index = usize::from(record.source == LogSource::Stderr);
            ending.is_there[index] = true;
            if record.ends {
                ending.all += 1;
                ending.whole = if ending.is_known[index] { ending.whole + 1 } else { 0 };
                ending.is_known[index] = true;
            }
        }
        Ok(ending)
    }

    /// Whether so many last lines are all there.
    fn has(&self, tail: u64, window: u64) -> bool {
        self.is_there == self.is_known && self.whole >= tail || window >= LARGE_WINDOW && self.all >= tail
    }
}

/// The records of a file from a place on.
struct Records<'a> {
    reader: BufReader<Take<&'a File>>,
    line: Vec<u8>,
}

impl<'a> Records<'a> {
    /// Those that begin after that place, or there if it is the start.
    fn from(mut file: &'a File, at: u64, length: u64) -> io::Result<Self> {
        file.seek(SeekFrom::Start(at))?;
        let reader = BufReader::with_capacity(128 << 10, file.take(length.saturating_sub(at)));
        let mut records = Self { reader, line: Vec::new() };
        if at > 0 {
            records.line()?;
        }
        Ok(records)
    }

    /// Reads a line, and says whether there was a whole one, or a piece of one that is too long.
    fn line(&mut self) -> io::Result<bool> {
        self.line.clear();
        let read = self.reader.by_ref().take(LONGEST_RECORD).read_until(b'\n', &mut self.line)?;
        Ok(self.line.ends_with(b"\n") || read as u64 == LONGEST_RECORD)
    }

    /// The next one. One that is half written is not there yet.
    fn next(&mut self) -> io::Result<Option<Record<'_>>> {
        while self.line()? {
            if Record::of(&self.line).is_some() {
                break;
            }
        }
        Ok(Record::of(&self.line))
    }
}

/// What was written at once.
#[derive(Debug, PartialEq, Eq)]
struct Record<'a> {
    time: &'a [u8],
    source: LogSource,
    /// Whether its line ends with it.
    ends: bool,
    text: &'a [u8],
}

impl<'a> Record<'a> {
    fn of(line: &'a [u8]) -> Option<Self> {
        let mut words = line.strip_suffix(b"\n")?.splitn(4, |byte| *byte == b' ');
        let (time, output, tag) = (words.next()?, words.next()?, words.next()?);
        let source = match output {
            b"stdout" => LogSource::Stdout,
            b"stderr" => LogSource::Stderr,
            _ => return None,
        };
        let ends = match tag {
            b"F" => true,
            b"P" => false,
            _ => return None,
        };
        Some(Self { time, source, ends, text: words.next().unwrap_or_default() })
    }

    fn time(&self) -> Option<SystemTime> {
        let word = std::str::from_utf8(self.time).ok()?;
        OffsetDateTime::parse(word, &Rfc3339).ok().map(SystemTime::from)
    }

    /// Writes it as a frame of [`LogLines::take`].
    fn write(&self, frame: &mut Vec<u8>) {
        frame.clear();
        for part in [self.time, b" ", self.text, if self.ends { b"\n" } else { b"" }] {
            frame.extend_from_slice(part);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(text: &str) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    fn read(text: &str, wanted: Wanted) -> Vec<String> {
        let mut texts = Vec::new();
        let hand_over = |lines: Vec<LogLine>| {
            texts.extend(lines.into_iter().map(|line| line.text));
            true
        };
        tell(&file(text), wanted, hand_over).unwrap();
        texts
    }

    fn record(number: usize, output: &str, tag: &str, text: &str) -> String {
        let (minute, second) = (number / 60 % 60, number % 60);
        let hour = number / 3600;
        format!("2026-01-01T{hour:02}:{minute:02}:{second:02}.000000001+00:00 {output} {tag} {text}\n")
    }

    fn tail(tail: u64) -> Wanted {
        Wanted { tail: Some(tail), to_the_end: true, ..Wanted::default() }
    }

    #[test]
    fn pieces_are_put_together_and_outputs_keep_their_order() {
        let text = [
            record(1, "stdout", "P", "one "),
            record(2, "stderr", "F", "other"),
            record(3, "stdout", "F", "line"),
            record(4, "stderr", "F", ""),
            record(5, "stdout", "P", "open"),
            "2026-01-01T00:00:06.000000001+00:00 stdout F half".to_owned(),
        ]
        .concat();
        let all = Wanted { to_the_end: true, ..Wanted::default() };
        assert_eq!(read(&text, all), ["other", "one line", "", "open"]);
        assert_eq!(read(&text, Wanted::default()), ["other", "one line", ""], "what is open is not wanted");
        assert_eq!(read(&text, tail(2)), ["", "open"]);
        assert_eq!(read(&text, tail(0)), Vec::<String>::new());
    }

    #[test]
    fn what_is_no_record_is_left_out() {
        let long = "x".repeat(2 * usize::try_from(LONGEST_RECORD).unwrap());
        let text = format!("{long}\nnothing\n{}", record(1, "stdout", "F", "a line of a log"));
        assert_eq!(read(&text, Wanted::default()), ["a line of a log"]);
    }

    #[test]
    fn the_last_lines_of_a_long_log_are_those_of_the_whole() {
        // The only line of stderr began long before it ends, and there are pieces at every window's beginning.
        let mut text = record(0, "stderr", "P", "begun ");
        for number in 1..20_000 {
            text += &record(number, "stdout", if number % 3 == 0 { "F" } else { "P" }, &format!("{number} "));
        }
        text += &record(20_000, "stderr", "F", "ended");
        text += &record(20_001, "stdout", "F", "last");
        let whole = read(&text, Wanted::default());
        for wanted in [1, 2, 3, 500, 10_000] {
            let last = &whole[whole.len().saturating_sub(wanted)..];
            assert_eq!(read(&text, tail(wanted as u64)), last, "{wanted}");
        }
        assert_eq!(whole[whole.len() - 2..], ["begun ended", "19999 last"]);
    }

    #[test]
    fn the_newest_lines_of_a_long_log_are_those_of_the_whole() {
        let text: String =
            (0..20_000).map(|number| record(number, "stdout", "F", &number.to_string())).collect();
        let time =
            |number| Record::of(record(number, "stdout", "F", "").as_bytes()).and_then(|one| one.time());
        for first in [0, 10_000, 19_990, 19_999] {
            let wanted = Wanted { since: time(first), in_order: true, ..Wanted::default() };
            let read = read(&text, wanted);
            assert_eq!(read.first(), Some(&first.to_string()));
            assert_eq!(read.len(), 20_000 - first);
        }
    }
}
