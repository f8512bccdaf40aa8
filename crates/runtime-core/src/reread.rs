//! Following a log by reading it again and again: for backends whose engine loses lines of a log that it follows.

use std::{
    collections::VecDeque,
    hash::{DefaultHasher, Hash, Hasher},
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use futures_util::{FutureExt, StreamExt, stream, stream::BoxStream};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout},
};

use crate::{LogLine, LogOptions, LogStream, Result};

/// When a bell that was just hung is certainly heard, and how long a running container is left alone whose bell ended
/// without a sound.
const SETTLING: Duration = Duration::from_secs(1);

/// How a container is whose bell has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Run {
    /// It is gone, and its log with it.
    Gone,
    /// It still is in the run that is read.
    Going,
    /// That run has ended, and perhaps `next` has begun, whose lines are not older.
    Over {
        /// When the next run can have begun.
        next: Option<SystemTime>,
    },
}

impl Run {
    /// The run that a log was read of whose newest line is so old: of a container that runs or does not, and that ended last
    /// at `finished`.
    pub fn of(runs: bool, finished: Option<SystemTime>, newest: Option<SystemTime>) -> Self {
        let next = finished.filter(|_| runs);
        if runs && next.is_none_or(|next| newest.is_some_and(|newest| next < newest)) {
            Self::Going
        } else {
            // One that runs again is somebody's to follow from the end of the run before.
            Self::Over { next }
        }
    }
}

/// A log that can be read, and a bell that rings when it should be.
#[async_trait]
pub trait Rereadable: Send + Sync + 'static {
    /// The least time from one reading to the next; after one that took long it is longer.
    const REST: Duration;

    /// The lines that are there, each with its time: those of [`LogOptions::since`] and later, or the last ones. A line
    /// whose end is not there is left out unless it is read `to_the_end`. The very last line may be half written.
    async fn read(&self, since: Option<SystemTime>, tail: Option<u64>, to_the_end: bool)
    -> Result<LogStream>;

    /// Says that something was printed since. It may be deaf to what is printed just after it was hung, and ends when the
    /// container does, or when it likes.
    async fn bell(&self) -> Result<BoxStream<'static, ()>>;

    /// How the container is whose newest line is so old.
    async fn run(&self, newest: Option<SystemTime>) -> Result<Run>;

    /// Waits until the container does not run, or until that cannot be known.
    async fn wait(&self);
}

/// The last lines of a log that is read, and not followed.
///
/// # Errors
/// Those of the reading, before the first line.
pub async fn reread_last<R: Rereadable>(log: &R, tail: u64, options: &LogOptions) -> Result<LogStream> {
    let timestamps = options.timestamps;
    let lines = last(log, options.since, tail, true).await?;
    let shown = move |line: Result<LogLine>| {
        line.map(|line| LogLine { time: line.time.filter(|_| timestamps), ..line })
    };
    Ok(lines.map(shown).boxed())
}

/// The last lines. Podman (4.3.1), asked for them, joins the first half of a line that was written in two to the line before it, or
/// leaves it out. So it is asked for one more, only to see when they begin, and then for all since.
async fn last<R: Rereadable>(
    log: &R,
    since: Option<SystemTime>,
    tail: u64,
    to_the_end: bool,
) -> Result<LogStream> {
    if tail == 0 {
        return Ok(stream::empty().boxed());
    }
    let mut wider = log.read(since, Some(tail.saturating_add(1)), true).await?;
    let Some(first) = wider.next().await.transpose()? else { return Ok(stream::empty().boxed()) };
    drop(wider);
    // What is told is what is newer than that.
    let before = moment(&first).map(|at| SystemTime::from(at - time::Duration::NANOSECOND));
    let mut lines = log.read(since.max(before), None, to_the_end).await?;
    let most = usize::try_from(tail).unwrap_or(usize::MAX);
    let mut kept = VecDeque::new();
    while let Some(line) = lines.next().await.transpose()? {
        if kept.len() == most {
            kept.pop_front();
        }
        kept.push_back(line);
    }
    Ok(stream::iter(kept.into_iter().map(Ok)).boxed())
}

/// Follows a log by reading it, in its order and to its end.
pub fn reread<R: Rereadable>(log: R, options: LogOptions) -> LogStream {
    let (lines, mut told) = mpsc::channel(1);
    let timestamps = options.timestamps;
    let reading = async move {
        let following =
            Following { log, lines: lines.clone(), options, told: Told::default(), rest: R::REST };
        if let Err(Stopped::Failed(error)) = following.run().await {
            // Nobody to tell is nobody to mind.
            let _ = lines.send(Err(error)).await;
        }
    };
    let told = stream::poll_fn(move |context| told.poll_recv(context)).map(move |line| {
        line.map(|mut line| {
            line.time = line.time.filter(|_| timestamps);
            line
        })
    });
    // The reading gives nothing itself; it goes on while somebody asks for lines.
    stream::select(told.map(Some), reading.into_stream().map(|()| None))
        .filter_map(std::future::ready)
        .boxed()
}

enum Stopped {
    Failed(crate::Error),
    /// Nobody reads any more.
    Unwanted,
}

impl From<crate::Error> for Stopped {
    fn from(error: crate::Error) -> Self {
        Self::Failed(error)
    }
}

struct Following<R> {
    log: R,
    lines: mpsc::Sender<Result<LogLine>>,
    options: LogOptions,
    told: Told,
    /// How long nothing is read now. Of a long log even the search for its newest lines can take a while.
    rest: Duration,
}

impl<R: Rereadable> Following<R> {
    async fn run(mut self) -> Result<(), Stopped> {
        loop {
            let heard = self.until_the_bell_ends().await?;
            match self.log.run(self.told.newest()).await? {
                Run::Gone => return Ok(()),
                Run::Going if heard => {}
                Run::Going => {
                    let _ = timeout(SETTLING, self.log.wait()).await;
                }
                Run::Over { next } => return self.read_rest(next).await,
            }
        }
    }

    /// Reads each time that a bell rings. Returns whether it did when it has ended.
    async fn until_the_bell_ends(&mut self) -> Result<bool, Stopped> {
        let mut bell = Bell::hang(&self.log).await;
        let mut settled = false;
        let mut held = None;
        loop {
            if let Some(line) = self.read(&mut bell).await? {
                if held.take().is_none_or(|held| held != line) {
                    held = Some(line);
                    sleep(self.rest).await;
                    continue;
                }
                // What is the same when it is read again is whole.
                self.tell(line).await?;
            }
            if !bell.rang && bell.rings.is_some() {
                match settled {
                    true => bell.next().await,
                    false => settled = timeout(SETTLING, bell.next()).await.is_ok() || bell.rings.is_some(),
                }
            }
            if bell.rings.is_none() {
                return Ok(bell.heard);
            }
            sleep(self.rest).await;
        }
    }

    /// The lines from where it was read to.
    async fn open(&mut self, to_the_end: bool) -> Result<LogStream> {
        let (since, tail) = match self.told.since() {
            Some(since) => (Some(since), None),
            None => (self.options.since, self.options.tail.map(|tail| tail.max(1))),
        };
        self.told.read_again();
        match tail {
            Some(tail) if self.options.tail != Some(0) => last(&self.log, since, tail, to_the_end).await,
            // Of what is not wanted only its end matters, whatever is wrong with its text.
            _ => self.log.read(since, tail, to_the_end).await,
        }
    }

    /// Tells what is new, but not the last line of it.
    async fn read(&mut self, bell: &mut Bell) -> Result<Option<LogLine>, Stopped> {
        bell.rang = false;
        let begin = Instant::now();
        // Of a log whose lines are not wanted it must be known where they end.
        let skips = self.options.tail == Some(0);
        let mut lines = self.open(false).await?;
        let mut last = None;
        loop {
            let line = tokio::select! {
                biased;
                () = bell.next() => continue,
                line = lines.next() => line,
            };
            let Some(line) = line.transpose()? else { break };
            if !self.told.is_new(&line) {
                continue;
            }
            if skips {
                self.told.add(&line);
            } else if let Some(whole) = last.replace(line) {
                self.tell(whole).await?;
            }
        }
        self.rest = R::REST.max(begin.elapsed().saturating_mul(2));
        if skips || (last.is_none() && self.told.since().is_none()) {
            // All that comes is wanted.
            self.options.tail = None;
        }
        Ok(last)
    }

    /// Tells what is left of a run that is over.
    async fn read_rest(&mut self, until: Option<SystemTime>) -> Result<(), Stopped> {
        let mut lines = self.open(true).await?;
        while let Some(line) = lines.next().await.transpose()? {
            let is_later = until.zip(moment(&line)).is_some_and(|(until, at)| SystemTime::from(at) >= until);
            if !is_later && self.told.is_new(&line) {
                self.tell(line).await?;
            }
        }
        Ok(())
    }

    async fn tell(&mut self, line: LogLine) -> Result<(), Stopped> {
        self.told.add(&line);
        self.lines.send(Ok(line)).await.map_err(|_| Stopped::Unwanted)
    }
}

/// When a line was printed.
fn moment(line: &LogLine) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(line.time.as_deref()?, &Rfc3339).ok()
}

/// What was told of a log, as far as it must be known when it is read again: of each output the lines of its newest moment.
/// Some engines write whole seconds, so a time alone does not tell; and read from a moment on, the end of a line that began
/// before comes as a line, so a number does not either. Each output for itself: of one moment, engines tell the two in any
/// order.
#[derive(Debug, Default)]
pub(crate) struct Told([Newest; 2]);

#[derive(Debug, Default)]
struct Newest {
    at: Option<OffsetDateTime>,
    /// What its lines come to, in order, and the last of them.
    lines: Vec<u64>,
    last: String,
    /// The newest moment when the reading began, how many lines it had, and how many of them came again.
    before: Option<(OffsetDateTime, usize)>,
    again: usize,
}

impl Told {
    fn of(&mut self, line: &LogLine) -> &mut Newest {
        &mut self.0[line.stream.index()]
    }

    /// From what moment on there may be something new; `None` if nothing was told.
    pub(crate) fn since(&self) -> Option<SystemTime> {
        self.0.iter().filter_map(|output| output.at).map(SystemTime::from).min()
    }

    /// When the newest line was printed.
    fn newest(&self) -> Option<SystemTime> {
        self.0.iter().filter_map(|output| output.at).map(SystemTime::from).max()
    }

    /// What comes now is read from the beginning or from [`Told::since`].
    pub(crate) fn read_again(&mut self) {
        for output in &mut self.0 {
            output.before = output.at.map(|at| (at, output.lines.len()));
            output.again = 0;
        }
    }

    /// Whether the next line of a reading was not told by an earlier one. Of a line without a time nobody can tell, so it is
    /// new.
    pub(crate) fn is_new(&mut self, line: &LogLine) -> bool {
        let output = self.of(line);
        let (Some(at), Some((before, lines))) = (moment(line), output.before) else { return true };
        if at != before || output.again == lines {
            return at >= before;
        }
        if output.lines.get(output.again) == Some(&gist(line)) {
            output.again += 1;
            return false;
        }
        // The last one was told before it was whole.
        let is_whole_now = output.again + 1 == lines
            && !output.last.is_empty()
            && line.text.len() > output.last.len()
            && line.text.starts_with(&output.last);
        if is_whole_now {
            output.again = lines;
        }
        is_whole_now
    }

    /// The line is told.
    pub(crate) fn add(&mut self, line: &LogLine) {
        let Some(at) = moment(line) else { return };
        let output = self.of(line);
        if output.at != Some(at) {
            output.at = Some(at);
            output.lines.clear();
        }
        output.lines.push(gist(line));
        output.last.clone_from(&line.text);
    }
}

fn gist(line: &LogLine) -> u64 {
    let mut hasher = DefaultHasher::new();
    line.text.hash(&mut hasher);
    hasher.finish()
}

struct Bell {
    /// `None` once it has ended.
    rings: Option<BoxStream<'static, ()>>,
    /// Whether it rang since the reading began.
    rang: bool,
    /// Whether it ever rang.
    heard: bool,
}

impl Bell {
    async fn hang<R: Rereadable>(log: &R) -> Self {
        // Where there can be none, the reading says what is the matter.
        let rings = log.bell().await.ok().map(|rings| rings.fuse().boxed());
        Self { rings, rang: false, heard: false }
    }

    /// Hears the next ring, with those that come at once after it, or the end; never ends after that. Safe to drop.
    async fn next(&mut self) {
        let Some(rings) = &mut self.rings else { return std::future::pending().await };
        if rings.next().await.is_none() {
            self.rings = None;
            return;
        }
        (self.rang, self.heard) = (true, true);
        while let Some(Some(())) = rings.next().now_or_never() {}
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, PoisonError};

    use super::*;
    use crate::{Error, LogSource};

    /// A log of so many lines of one second at each reading; the next reading is of the next of them.
    struct Script {
        readings: Mutex<std::vec::IntoIter<Vec<&'static str>>>,
        asked: Arc<Mutex<Vec<Option<u64>>>>,
        runs: Run,
    }

    #[async_trait]
    impl Rereadable for Script {
        const REST: Duration = Duration::from_millis(1);

        async fn read(&self, _: Option<SystemTime>, tail: Option<u64>, _: bool) -> Result<LogStream> {
            self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(tail);
            let lines = self.readings.lock().unwrap_or_else(PoisonError::into_inner).next();
            let line = |text: &str| LogLine {
                stream: LogSource::Stdout,
                time: Some("2026-01-01T00:00:00Z".to_owned()),
                text: text.to_owned(),
            };
            let lines = lines.ok_or(Error::ShuttingDown)?;
            Ok(stream::iter(lines.into_iter().map(move |text| Ok(line(text))).collect::<Vec<_>>()).boxed())
        }

        async fn bell(&self) -> Result<BoxStream<'static, ()>> {
            Ok(stream::empty().boxed())
        }

        async fn run(&self, _: Option<SystemTime>) -> Result<Run> {
            Ok(self.runs)
        }

        async fn wait(&self) {}
    }

    async fn told(
        readings: &[&[&'static str]],
        runs: Run,
        tail: Option<u64>,
    ) -> (Vec<String>, Vec<Option<u64>>) {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let readings: Vec<Vec<_>> = readings.iter().map(|lines| lines.to_vec()).collect();
        let script = Script { readings: Mutex::new(readings.into_iter()), asked: asked.clone(), runs };
        let lines = reread(script, LogOptions { follow: true, tail, ..LogOptions::default() });
        let texts =
            lines.map(|line| line.map_or_else(|error| error.to_string(), |line| line.text)).collect().await;
        let asked = std::mem::take(&mut *asked.lock().unwrap_or_else(PoisonError::into_inner));
        (texts, asked)
    }

    #[test]
    fn a_line_that_was_told_before_it_was_whole_is_told_whole() {
        let line = |text: &str, time: &str| LogLine {
            stream: LogSource::Stdout,
            time: Some(format!("2026-01-01T00:00:0{time}Z")),
            text: text.to_owned(),
        };
        let mut told = Told::default();
        told.add(&line("working…", "1"));
        told.read_again();
        let new: Vec<bool> =
            [line("earlier", "1"), line("working… done", "1"), line("next", "1"), line("later", "2")]
                .iter()
                .map(|line| told.is_new(line))
                .collect();
        assert_eq!(new, [false, true, true, true]);
        told.read_again();
        assert!(!told.is_new(&line("working…", "1")), "it is as it was");
    }

    #[tokio::test(start_paused = true)]
    async fn a_last_line_is_told_when_it_is_read_a_second_time() {
        let readings: [&[&str]; 4] =
            [&["one", "tw"], &["one", "two"], &["one", "two"], &["one", "two", "end"]];
        let (texts, _) = told(&readings, Run::Over { next: None }, None).await;
        assert_eq!(texts, ["one", "two", "end"]);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_runs_is_read_on_and_an_error_ends_it() {
        let readings: [&[&str]; 3] = [&["one"], &["one"], &["one", "two", "three"]];
        let (texts, _) = told(&readings, Run::Going, None).await;
        assert_eq!(texts, ["one", "two", &Error::ShuttingDown.to_string()]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_tail_of_nothing_leaves_out_what_is_there_alone() {
        let readings: [&[&str]; 2] = [&["before"], &["before", "after"]];
        let (texts, asked) = told(&readings, Run::Over { next: None }, Some(0)).await;
        assert_eq!((texts, asked), (vec!["after".to_owned()], vec![Some(1), None]));
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_a_line_that_began_before_is_no_line() {
        let readings: [&[&str]; 3] = [&["one", "two"], &["e", "one", "two"], &["e", "one", "two", "two"]];
        let (texts, _) = told(&readings, Run::Over { next: None }, None).await;
        assert_eq!(texts, ["one", "two", "two"]);
    }

    #[tokio::test(start_paused = true)]
    async fn lines_of_the_next_run_are_not_told() {
        let next = Some(SystemTime::UNIX_EPOCH);
        let (texts, _) = told(&[&["one"], &["one"], &["one", "later"]], Run::Over { next }, None).await;
        assert_eq!(texts, ["one"]);
    }
}
