//! Lines out of what an engine writes of a container's log: for the backends.

use std::{collections::VecDeque, time::SystemTime};

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{LogLine, LogOptions, LogSource};

/// A longer line comes in pieces of this many bytes.
const MAX_LINE: usize = 64 << 10;

/// So many lines of one output wait for an earlier one of the other, at most.
const REORDER: usize = 10_000;

/// A line of one of the two streams, as far as it has come.
#[derive(Debug, Default)]
struct Half {
    open: bool,
    time: Option<String>,
    at: Option<OffsetDateTime>,
    /// Whether it is not wanted.
    dropped: bool,
    text: Vec<u8>,
    /// Whether a part of it was told already.
    is_begun: bool,
    /// The newest piece before it.
    before: Option<Mark>,
}

/// A moment, and how many lines or pieces of that very moment there were.
type Mark = (OffsetDateTime, usize);

/// How far a log was read: for each output its newest moment, and how much there was of that very moment. Some engines write
/// whole seconds, so a time alone does not tell. Each output for itself: of one moment, engines tell the two in any order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Position([Option<Mark>; 2]);

impl Position {
    /// When the newest line was printed.
    fn newest(&self) -> Option<SystemTime> {
        self.0.iter().flatten().map(|(at, _)| SystemTime::from(*at)).max()
    }

    /// Whether what was printed then was read before; counts it off if it was.
    fn has(&mut self, output: usize, at: OffsetDateTime) -> bool {
        match &mut self.0[output] {
            Some((time, _)) if at < *time => true,
            Some((time, count)) if at == *time && *count > 0 => {
                *count -= 1;
                true
            }
            _ => false,
        }
    }

    fn add(&mut self, output: usize, at: OffsetDateTime) {
        match &mut self.0[output] {
            Some((time, count)) if *time == at => *count += 1,
            newest => *newest = Some((at, 1)),
        }
    }
}

/// Makes lines of frames that begin with the engine's time, as `docker logs --timestamps` and its API write them.
///
/// The engine is asked for the times where they are not shown, too: they say which lines are newer than
/// [`LogOptions::since`], whose fraction of a second engines ignore, and which were read before when a log is
/// [read again](LogLines::only_newer). Where none of that is wanted, frames [without times](LogLines::without_times) cost
/// the engine less.
#[derive(Debug, Default)]
pub struct LogLines {
    halves: [Half; 2],
    ready: VecDeque<LogLine>,
    since: Option<SystemTime>,
    /// Whether frames begin with no time: what looks like one is the program's.
    is_untimed: bool,
    /// What was read, in pieces.
    last: Position,
    /// Lines up to there have been read before.
    known: Position,
    /// Lines from then on are somebody else's to read.
    until: Option<SystemTime>,
}

/// A time as written and as a value, and how many bytes it takes with the space after it.
type Stamped<'a> = (&'a str, OffsetDateTime, usize);

/// The time that a text begins with.
fn stamp(text: &[u8]) -> Option<Stamped<'_>> {
    let most = text.len().min(40);
    let end = text[..most].iter().position(|byte| matches!(byte, b' ' | b'\n' | b'\r')).unwrap_or(most);
    let word = std::str::from_utf8(&text[..end]).ok().filter(|word| word.len() >= 20)?;
    let at = OffsetDateTime::parse(word, &Rfc3339).ok()?;
    Some((word, at, end + usize::from(text.get(end) == Some(&b' '))))
}

impl LogLines {
    /// For the lines that the options ask for.
    pub fn new(options: &LogOptions) -> Self {
        Self { since: options.since, ..Self::default() }
    }

    /// For all lines, of frames that come without times. Such a log cannot be read again.
    pub fn without_times() -> Self {
        Self { is_untimed: true, ..Self::default() }
    }

    /// Takes a frame: lines, or a piece of one, each with its time before it. Lines keep their times, as
    /// [`LogLine::time`].
    pub fn take(&mut self, source: LogSource, frame: &[u8]) {
        for piece in frame.split_inclusive(|byte| *byte == b'\n') {
            self.add(source, piece, if self.is_untimed { None } else { stamp(piece) });
        }
    }

    /// As [`LogLines::take`], for a program that writes the pieces of a cut line one after the other, each with its time
    /// before it and nothing between them, as Podman does: such times are found within the line and taken out. They are not
    /// earlier than the line's own and have nine digits of fraction, which no time that a program put into its own line
    /// before it was logged can have both. A frame may end anywhere but within a time.
    pub fn take_with_inner_times(&mut self, source: LogSource, frame: &[u8]) {
        for line in frame.split_inclusive(|byte| *byte == b'\n') {
            let half = &self.halves[source.index()];
            let mut begin = if half.open { None } else { stamp(line) };
            let earliest = if half.open { half.at } else { begin.map(|(_, at, _)| at) };
            let (mut start, mut from) = (0, usize::from(!half.open));
            while let Some(at) = inner_time(line, from) {
                match stamp(&line[at..]) {
                    inner @ Some((_, time, _)) if earliest.is_some_and(|earliest| time >= earliest) => {
                        if at > start {
                            self.add(source, &line[start..at], begin);
                        }
                        (start, begin) = (at, inner);
                    }
                    _ => {}
                }
                from = at + 1;
            }
            self.add(source, &line[start..], begin);
        }
    }

    /// Takes a line or a piece of one, whose time was found or not.
    fn add(&mut self, source: LogSource, piece: &[u8], stamped: Option<Stamped<'_>>) {
        let index = source.index();
        let text = stamped.map_or(piece, |(_, _, length)| &piece[length.min(piece.len())..]);
        // A piece of a line has a time of its own, and is wanted or not for itself.
        let before = self.last.0[index];
        let dropped = match stamped {
            Some((word, at, _)) => !self.wants(index, word, at),
            None => self.halves[index].open && self.halves[index].dropped,
        };
        let half = &mut self.halves[index];
        if half.open && !half.dropped && dropped {
            // Read again, while the end of a newer line is still awaited.
            return;
        }
        if !half.open || (half.dropped && !dropped) {
            let time = stamped.map(|(word, ..)| word.to_owned());
            let at = stamped.map(|(_, at, _)| at);
            *half = Half { open: true, time, at, dropped, text: Vec::new(), is_begun: false, before };
        }
        if !dropped {
            half.text.extend_from_slice(text.strip_suffix(b"\n").unwrap_or(text));
        }
        while half.text.len() > MAX_LINE {
            let rest = half.text.split_off(MAX_LINE);
            let full = std::mem::replace(&mut half.text, rest);
            half.is_begun = true;
            Self::push(&mut self.ready, source, half, &full);
        }
        if piece.ends_with(b"\n") {
            self.finish(source);
        }
    }

    /// Whether a line of that time is to be told; remembers that it was seen.
    fn wants(&mut self, index: usize, word: &str, at: OffsetDateTime) -> bool {
        if self.known.has(index, at) {
            return false;
        }
        if self.until.is_some_and(|until| SystemTime::from(at) >= until) {
            return false;
        }
        self.last.add(index, at);
        !(word.contains('.') && self.since.is_some_and(|since| SystemTime::from(at) < since))
    }

    fn push(ready: &mut VecDeque<LogLine>, source: LogSource, half: &Half, bytes: &[u8]) {
        if !half.dropped {
            let text = String::from_utf8_lossy(bytes).into_owned();
            ready.push_back(LogLine { stream: source, time: half.time.clone(), text });
        }
    }

    fn finish(&mut self, source: LogSource) {
        let half = std::mem::take(&mut self.halves[source.index()]);
        let line = half.text.strip_suffix(b"\r").unwrap_or(&half.text);
        Self::push(&mut self.ready, source, &half, line);
    }

    /// Nothing more comes of a stream: what is there of a line is a line.
    pub fn end(&mut self, source: LogSource) {
        if self.halves[source.index()].open {
            self.finish(source);
        }
    }

    /// Which output's next line is the next of both, where each has its own [`LogLines`]; `None` if that is not known yet.
    /// `may_precede` says whether an output that has no whole line may still bring one that belongs before that of the
    /// other. A line waits for no more than 10,000 of its own output.
    pub fn first_of(
        out: &Self,
        err: &Self,
        may_precede: impl Fn(LogSource, &LogLine) -> bool,
    ) -> Option<LogSource> {
        match (out.front(), err.front()) {
            (Some(printed), Some(complained)) if printed.time <= complained.time => Some(LogSource::Stdout),
            (Some(_), Some(_)) => Some(LogSource::Stderr),
            (Some(line), None) if out.ready() >= REORDER || !may_precede(LogSource::Stderr, line) => {
                Some(LogSource::Stdout)
            }
            (None, Some(line)) if err.ready() >= REORDER || !may_precede(LogSource::Stdout, line) => {
                Some(LogSource::Stderr)
            }
            _ => None,
        }
    }

    /// Takes out the next line that is whole.
    pub fn pop(&mut self) -> Option<LogLine> {
        self.ready.pop_front()
    }

    /// The next line that is whole.
    pub fn front(&self) -> Option<&LogLine> {
        self.ready.front()
    }

    /// How many lines wait to be taken out.
    pub fn ready(&self) -> usize {
        self.ready.len()
    }

    /// When the line of a stream began whose end is awaited, in the engine's words.
    pub fn open(&self, source: LogSource) -> Option<&str> {
        let half = &self.halves[source.index()];
        half.time.as_deref().filter(|_| half.open && !half.dropped)
    }

    /// When the newest line, or piece of one, was printed.
    pub fn last(&self) -> Option<SystemTime> {
        self.last.newest()
    }

    /// From now on takes only lines that are newer than all that it took, and older than `until`: for reading a log again
    /// whose end may have been missed. A line that was cut off is read again as a whole.
    pub fn only_newer(&mut self, until: Option<SystemTime>) {
        for (half, last) in self.halves.iter_mut().zip(&mut self.last.0) {
            if half.open && !half.is_begun {
                *last = half.before;
                *half = Half::default();
            }
        }
        self.known = self.last;
        self.until = until;
    }
}

/// Where something of the form of Podman's times begins.
fn inner_time(text: &[u8], from: usize) -> Option<usize> {
    const FORM: &[u8] = b"0000-00-00T00:00:00.000000000";
    let fits = |window: &[u8]| {
        window.iter().zip(FORM).all(|(byte, form)| match form {
            b'0' => byte.is_ascii_digit(),
            other => byte == other,
        })
    };
    let later = text.get(from..)?;
    later.windows(FORM.len()).position(fits).map(|at| at + from)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "2026-01-01T00:00:00.000000001Z";
    const B: &str = "2026-01-01T00:00:00.000000002Z";

    fn texts(lines: &mut LogLines) -> Vec<String> {
        lines.ready.drain(..).map(|line| line.text).collect()
    }

    #[test]
    fn the_times_of_a_cut_lines_pieces_are_no_text() {
        let mut lines = LogLines::default();
        lines.take(LogSource::Stdout, format!("{A} abc").as_bytes());
        lines.take(LogSource::Stderr, format!("{A} other\n").as_bytes());
        lines.take(LogSource::Stdout, format!("{B} def\n").as_bytes());
        let line = lines.ready.pop_back().unwrap();
        assert_eq!((line.text.as_str(), line.time.as_deref()), ("abcdef", Some(A)));
        assert_eq!(texts(&mut lines), ["other"]);
    }

    #[test]
    fn times_within_a_line_are_the_engines_if_they_can_be() {
        let mut lines = LogLines::default();
        let (own, later) = ("2025-12-31T23:59:59.123456789Z", "2026-01-01T00:00:00.000000002Z");
        lines.take_with_inner_times(LogSource::Stdout, format!("{A} at {own} abc{later} def\n").as_bytes());
        assert_eq!(texts(&mut lines), [format!("at {own} abcdef")]);
        lines.take_with_inner_times(LogSource::Stdout, format!("{A} 2026-01-01T00:00:01Z x\n").as_bytes());
        assert_eq!(texts(&mut lines), ["2026-01-01T00:00:01Z x"], "no nine digits");
    }

    #[test]
    fn a_line_without_an_end_and_an_empty_line_are_lines() {
        let mut lines = LogLines::default();
        lines.take(LogSource::Stdout, format!("{A} \n{B} last").as_bytes());
        lines.end(LogSource::Stdout);
        assert_eq!(texts(&mut lines), ["", "last"]);
    }

    #[test]
    fn without_times_what_looks_like_one_is_the_programs() {
        let mut lines = LogLines::without_times();
        lines.take(LogSource::Stdout, format!("{A} one\ntw").as_bytes());
        lines.take(LogSource::Stdout, format!("o {B}\n").as_bytes());
        assert!(lines.ready.iter().all(|line| line.time.is_none()));
        assert_eq!(texts(&mut lines), [format!("{A} one"), format!("two {B}")]);
    }

    #[test]
    fn a_long_line_comes_in_pieces() {
        let mut lines = LogLines::default();
        lines.take(LogSource::Stdout, format!("{A} {}\n", "x".repeat(MAX_LINE + 1)).as_bytes());
        lines.take(LogSource::Stdout, format!("{B} {}\n", "x".repeat(MAX_LINE)).as_bytes());
        let lengths: Vec<usize> = texts(&mut lines).iter().map(String::len).collect();
        assert_eq!(lengths, [MAX_LINE, 1, MAX_LINE]);
    }

    #[test]
    fn what_is_read_again_is_told_once() {
        let mut lines = LogLines::default();
        lines.take(LogSource::Stdout, format!("{A} one\n{A} two\n").as_bytes());
        texts(&mut lines);
        let until =
            OffsetDateTime::parse("2026-01-01T00:00:00.000000003Z", &Rfc3339).ok().map(SystemTime::from);
        lines.only_newer(until);
        let again = format!("{A} one\n{A} two\n{A} three\n{B} four\n2026-01-01T00:00:00.000000003Z later\n");
        lines.take(LogSource::Stdout, again.as_bytes());
        assert_eq!(texts(&mut lines), ["three", "four"]);
    }

    #[test]
    fn a_line_whose_end_was_not_read_is_read_again_as_a_whole() {
        let mut lines = LogLines::default();
        lines.take_with_inner_times(LogSource::Stdout, format!("{A} first\n{B} la").as_bytes());
        lines.only_newer(None);
        lines.take_with_inner_times(LogSource::Stdout, format!("{A} first\n{B} last").as_bytes());
        lines.end(LogSource::Stdout);
        assert_eq!(texts(&mut lines), ["first", "last"]);
    }

    #[test]
    fn the_outputs_of_one_moment_come_in_any_order() {
        let mut lines = LogLines::default();
        lines.take(LogSource::Stdout, format!("{A} out\n").as_bytes());
        lines.only_newer(None);
        lines.take(LogSource::Stderr, format!("{A} err\n").as_bytes());
        lines.take(LogSource::Stdout, format!("{A} out\n").as_bytes());
        assert_eq!(texts(&mut lines), ["out", "err"]);
    }

    #[test]
    fn a_cut_line_is_read_on_where_it_was() {
        let mut lines = LogLines::default();
        lines.take_with_inner_times(LogSource::Stdout, format!("{A} abc{A} def{B} ghi\n").as_bytes());
        assert_eq!(texts(&mut lines), ["abcdefghi"]);
        lines.only_newer(None);
        lines.take_with_inner_times(LogSource::Stdout, format!("{A} abc{A} def{B} ghi\n").as_bytes());
        assert!(texts(&mut lines).is_empty());
        lines.only_newer(None);
        // Read again from a time within it, a line begins with a later piece.
        lines.take_with_inner_times(LogSource::Stdout, format!("{B} ghi\n{B} next\n").as_bytes());
        assert_eq!(texts(&mut lines), ["next"]);
    }
}
