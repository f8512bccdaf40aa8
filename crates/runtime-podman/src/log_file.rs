//! A container's log in the file that conmon writes (the drivers `k8s-file` and `json-file`), read without podman, which is several times as
//! fast.
//!
//! A record is a line of `TIME stdout|stderr F|P TEXT`, `P` for a piece that does not end its line. `podman container inspect` tells where the
//! file is.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom},
    path::Path,
    time::SystemTime,
};

use futures_util::{StreamExt, stream};
use runtime_core::{Error, LogLine, LogLines, LogOptions, LogSource, LogStream, Result};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Lines are handed over together: at most so many, or so many bytes of them and a line more.
const BATCH: usize = 512;
const BATCH_BYTES: usize = 64 << 10;
/// So much of the file is looked at first for where the last lines begin.
const WINDOW: u64 = 64 << 10;
/// From so much on, an output of which there is one piece is taken to begin a line with it.
const LARGE_WINDOW: u64 = 16 << 20;
/// Conmon's records are shorter; what is longer is none.
const LONGEST_RECORD: u64 = 1 << 20;
/// After so many records it is looked whether anybody reads still.
const RECORDS_UNASKED: u32 = 4096;

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

/// Reads what is there now, in the order in which lines began. `None` when there is no such file that can be read here: nothing was
/// written yet, or it is another computer's or another user's. One batch is read ahead; dropped, the stream reads no more.
pub(crate) async fn read(path: &Path, wanted: Wanted) -> Option<LogStream> {
    let path = path.to_owned();
    let file = spawn_blocking(move || File::open(path)).await.ok()?.ok()?;
    let unread = CancellationToken::new();
    let guard = unread.clone().drop_guard();
    let first = spawn_blocking(move || Reading::new(file, wanted, unread)?.batch());
    let batches = stream::unfold(Some((first, guard)), |ahead| async move {
        let (ahead, guard) = ahead?;
        Some(next(ahead, guard).await)
    });
    Some(batches.flat_map(stream::iter).boxed())
}

/// Lines, and who reads on, unless those were the last ones.
type Batch = io::Result<(Vec<LogLine>, Option<Reading>)>;
/// A batch that is read ahead, and what ends that when nobody wants it.
type Ahead = (JoinHandle<Batch>, DropGuard);

/// The batch that was read ahead, while the next one is read.
async fn next(ahead: JoinHandle<Batch>, guard: DropGuard) -> (Vec<Result<LogLine>>, Option<Ahead>) {
    match ahead.await.map_err(io::Error::other).and_then(|batch| batch) {
        Ok((lines, rest)) => {
            let ahead = rest.map(|reading| (spawn_blocking(move || reading.batch()), guard));
            (lines.into_iter().map(Ok).collect(), ahead)
        }
        Err(error) => {
            let what = "reading the log of a container".to_owned();
            (vec![Err(Error::NotPermitted { what, reason: error.to_string() })], None)
        }
    }
}

/// A log that is being read.
struct Reading {
    records: Records,
    wanted: Wanted,
    /// Of each output for itself, so that what began first is told first.
    lines: [LogLines; 2],
    /// The last lines, when those are wanted.
    kept: VecDeque<LogLine>,
    frame: Vec<u8>,
    is_over: bool,
}

impl Reading {
    fn new(file: File, wanted: Wanted, unread: CancellationToken) -> io::Result<Self> {
        let mut records = Records::of(file, unread)?;
        let at = beginning(&mut records, wanted)?;
        records.go_to(at)?;
        let options = LogOptions { since: wanted.since, ..LogOptions::default() };
        Ok(Self {
            records,
            wanted,
            lines: [LogLines::new(&options), LogLines::new(&options)],
            kept: VecDeque::new(),
            frame: Vec::new(),
            is_over: false,
        })
    }

    fn batch(mut self) -> Batch {
        let (mut lines, mut bytes) = (Vec::new(), 0);
        while lines.len() < BATCH && bytes < BATCH_BYTES {
            let Some(line) = self.next_wanted()? else { return Ok((lines, None)) };
            bytes += line.text.len();
            lines.push(line);
        }
        Ok((lines, Some(self)))
    }

    fn next_wanted(&mut self) -> io::Result<Option<LogLine>> {
        let Some(tail) = self.wanted.tail else { return self.next() };
        while let Some(line) = self.next()? {
            self.kept.push_back(line);
            if self.kept.len() as u64 > tail {
                self.kept.pop_front();
            }
        }
        Ok(self.kept.pop_front())
    }

    fn next(&mut self) -> io::Result<Option<LogLine>> {
        loop {
            if let Some(line) = self.ready() {
                return Ok(Some(LogLine { time: line.time.filter(|_| self.wanted.times), ..line }));
            }
            if self.is_over {
                return Ok(None);
            }
            self.is_over = !self.records.advance()?;
            if let Some(record) = self.records.record() {
                record.write(&mut self.frame);
                self.lines[record.source.index()].take(record.source, &self.frame);
            }
            if self.is_over && self.wanted.to_the_end {
                self.lines[0].end(LogSource::Stdout);
                self.lines[1].end(LogSource::Stderr);
            }
        }
    }

    /// The next line, if it is known to be the next.
    fn ready(&mut self) -> Option<LogLine> {
        let [out, err] = &self.lines;
        let may_precede = |other: LogSource, line: &LogLine| {
            let open = self.lines[other.index()].open(other);
            !self.is_over && open.is_some_and(|began| Some(began) < line.time.as_deref())
        };
        let source = LogLines::first_of(out, err, may_precede)?;
        self.lines[source.index()].pop()
    }
}

/// Where to begin reading, so that all that is wanted is read as whole lines: at the file's start, or before its last lines.
fn beginning(records: &mut Records, wanted: Wanted) -> io::Result<u64> {
    let newest = wanted.since.filter(|_| wanted.in_order);
    if wanted.tail.is_none() && newest.is_none() {
        return Ok(0);
    }
    let mut window = WINDOW;
    while window < records.length {
        let from = records.length - window;
        records.go_to(from)?;
        let is_early = match wanted.tail {
            Some(tail) => Ending::of(records)?.has(tail, window),
            None => {
                records.advance()?;
                let time = records.record().and_then(|first| first.time());
                time.is_some() && time < newest
            }
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
    fn of(records: &mut Records) -> io::Result<Self> {
        let mut ending = Self::default();
        while records.advance()? {
            let Some(record) = records.record() else { continue };
            let index = record.source.index();
            ending.is_there[index] = true;
            if record.ends {
                ending.all += 1;
                ending.whole = if ending.is_known[index] { ending.whole + 1 } else { 0 };
                ending.is_known[index] = true;
            }
        }
        Ok(ending)
    }

    /// Whether so many last lines are all there, and so many more as can have begun before what is.
    fn has(&self, tail: u64, window: u64) -> bool {
        let needed = tail.saturating_add(2);
        self.is_there == self.is_known && self.whole >= needed || window >= LARGE_WINDOW && self.all >= needed
    }
}

/// The records of a file, as long as it was when it was opened.
struct Records {
    reader: BufReader<File>,
    length: u64,
    /// How much there is still to read.
    left: u64,
    line: Vec<u8>,
    count: u32,
    /// Cancelled when nobody reads any more.
    unread: CancellationToken,
}

impl Records {
    fn of(file: File, unread: CancellationToken) -> io::Result<Self> {
        let length = file.metadata()?.len();
        let reader = BufReader::with_capacity(128 << 10, file);
        Ok(Self { reader, length, left: length, line: Vec::new(), count: 0, unread })
    }

    /// To the first line that begins after that place, or there if it is the start.
    fn go_to(&mut self, at: u64) -> io::Result<()> {
        self.reader.seek(SeekFrom::Start(at))?;
        self.left = self.length.saturating_sub(at);
        if at > 0 {
            self.advance()?;
        }
        Ok(())
    }

    /// Reads a line, or a piece of one that is too long. Returns whether there was one; a record that is half written is not there yet.
    fn advance(&mut self) -> io::Result<bool> {
        self.count = (self.count + 1) % RECORDS_UNASKED;
        if self.count == 0 && self.unread.is_cancelled() {
            return Err(ErrorKind::Interrupted.into());
        }
        self.line.clear();
        let most = self.left.min(LONGEST_RECORD);
        let read = self.reader.by_ref().take(most).read_until(b'\n', &mut self.line)? as u64;
        self.left -= read;
        Ok(self.line.ends_with(b"\n") || read == LONGEST_RECORD)
    }

    /// The record that was read, if it is one.
    fn record(&self) -> Option<Record<'_>> {
        Record::of(&self.line)
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
        let mut reading = Reading::new(file(text), wanted, CancellationToken::new()).unwrap();
        let mut texts = Vec::new();
        loop {
            let (lines, rest) = reading.batch().unwrap();
            assert!(lines.len() <= BATCH);
            texts.extend(lines.into_iter().map(|line| line.text));
            match rest {
                Some(rest) => reading = rest,
                None => return texts,
            }
        }
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
    fn pieces_are_put_together_and_what_began_first_is_first() {
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
        assert_eq!(read(&text, all), ["one line", "other", "", "open"]);
        assert_eq!(read(&text, Wanted::default()), ["one line", "other", ""], "what is open is not wanted");
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
        // A line of stderr ends long after it began, and there are pieces at every window's beginning.
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
        assert_eq!((whole.len(), whole.last().map(String::as_str)), (6_668, Some("19999 last")));
        assert_eq!(read(&text, tail(10_000)), whole);
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

    #[test]
    fn a_line_that_has_no_end_keeps_others_waiting_for_so_long_only() {
        let mut text = record(0, "stderr", "P", "open");
        text.extend((1..10_010).map(|number| record(number, "stdout", "F", &number.to_string())));
        let told = read(&text, Wanted { to_the_end: true, ..Wanted::default() });
        assert_eq!(told.iter().position(|text| text == "open"), Some(10));
        assert_eq!(read(&text, Wanted::default()).len(), 10_009);
    }

    #[test]
    fn who_reads_no_more_ends_the_reading() {
        let text: String = (0..10_000).map(|number| record(number, "stdout", "F", "x")).collect();
        let unread = CancellationToken::new();
        let reading = Reading::new(file(&text), tail(10_000), unread.clone()).unwrap();
        unread.cancel();
        assert_eq!(reading.batch().err().map(|error| error.kind()), Some(ErrorKind::Interrupted));
    }
}
