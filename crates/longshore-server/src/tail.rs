//! Logs for any number of readers: the engine is asked once for an agent, however many read.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use longshore::{AnyRuntime, ContainerRuntime, LogOptions, LogSource, ProjectName, ServiceLine, Target};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    api::{AgentLine, End, EndReason, Problem},
    backlog::{Backlog, Limits},
    name::AgentName,
};

/// How much of a log is kept for its readers.
const KEPT: Limits = Limits { items: 100_000, bytes: 4 << 20 };
/// How many lines of what was logged before are read at first.
const BEFORE: u64 = 1000;
/// How long a log is followed on when nobody reads it, for who comes back.
const LINGER: Duration = Duration::from_secs(20);

/// The logs that are read now.
#[derive(Debug, Default)]
pub(crate) struct Tails {
    open: Mutex<BTreeMap<AgentName, Arc<Tail>>>,
    ended: CancellationToken,
}

/// A line, and its place in its container's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) line: Arc<AgentLine>,
    pub(crate) place: Place,
}

impl Line {
    /// How many bytes it takes, about.
    fn size(&self) -> usize {
        200 + self.line.text.len()
    }
}

/// Where a line is in its container's log: its time in nanoseconds since 1970, and which one of that time it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    nanos: i128,
    number: u64,
}

impl Place {
    /// The id of the event, which a client sends back.
    pub(crate) fn id(self) -> String {
        format!("{}-{}", self.nanos, self.number)
    }

    /// `None` for what is none.
    pub(crate) fn parse(id: &str) -> Option<Self> {
        let (nanos, number) = id.rsplit_once('-')?;
        Some(Self { nanos: nanos.parse().ok().filter(|nanos| *nanos >= 0)?, number: number.parse().ok()? })
    }

    /// A moment shortly before it, as engines may take theirs for the last that is left out.
    fn shortly_before(self) -> Option<SystemTime> {
        if self.nanos < 0 {
            return None;
        }
        let at: SystemTime = OffsetDateTime::from_unix_timestamp_nanos(self.nanos).ok()?.into();
        at.checked_sub(Duration::from_millis(1))
    }
}

/// Gives lines their places.
#[derive(Debug, Default)]
struct Places {
    last: BTreeMap<String, Place>,
}

impl Places {
    fn of(&mut self, line: ServiceLine) -> Line {
        let time = line.line.time.as_deref().and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
        let nanos = time.map_or(0, OffsetDateTime::unix_timestamp_nanos);
        let last = self.last.get(&line.container).filter(|last| last.nanos == nanos);
        let place = Place { nanos, number: last.map_or(0, |last| last.number + 1) };
        self.last.insert(line.container.clone(), place);
        let stream = match line.line.stream {
            LogSource::Stdout => "stdout",
            LogSource::Stderr => "stderr",
        };
        let line = AgentLine {
            service: line.service,
            container: line.container,
            stream: stream.to_owned(),
            time: line.line.time,
            text: line.line.text,
        };
        Line { line: Arc::new(line), place }
    }
}

/// An agent's log, as long as somebody reads it.
#[derive(Debug)]
pub(crate) struct Tail {
    pub(crate) backlog: Backlog<Line>,
    /// Whether what was logged before has been read.
    ready: watch::Sender<bool>,
    end: Mutex<Option<End>>,
    /// How many read it.
    readers: watch::Sender<usize>,
    stop: CancellationToken,
    /// Whether it began with all that there was.
    whole: AtomicBool,
}

/// Somebody who reads.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) tail: Arc<Tail>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.tail.readers.send_modify(|count| *count -= 1);
    }
}

impl Reader {
    /// Waits until what was logged before is there.
    pub(crate) async fn ready(&self) {
        let mut ready = self.tail.ready.subscribe();
        // The sender lives in the tail.
        let _ = ready.wait_for(|ready| *ready).await;
    }

    /// Whether all that was ever logged is kept.
    pub(crate) fn is_whole(&self) -> bool {
        self.tail.whole.load(Ordering::Relaxed) && self.tail.backlog.first() == 0
    }

    /// How it ended.
    pub(crate) fn end(&self) -> End {
        let end = self.tail.end().clone();
        end.unwrap_or(End { reason: EndReason::NotRunning, error: None })
    }
}

impl Tail {
    fn new() -> Self {
        Self {
            backlog: Backlog::new(KEPT),
            ready: watch::Sender::new(false),
            end: Mutex::default(),
            readers: watch::Sender::new(0),
            stop: CancellationToken::new(),
            whole: AtomicBool::new(false),
        }
    }

    fn end(&self) -> MutexGuard<'_, Option<End>> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn over(&self, end: End) {
        self.end().get_or_insert(end);
        self.backlog.end();
        self.ready.send_replace(true);
    }

    fn tell(&self, line: Line) {
        let size = line.size();
        self.backlog.tell(line, size);
    }
}

impl Tails {
    fn open(&self) -> MutexGuard<'_, BTreeMap<AgentName, Arc<Tail>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads an agent's log from now on, with what was logged before.
    pub(crate) fn read(
        self: &Tails,
        name: &AgentName,
        project: &ProjectName,
        runtime: &AnyRuntime,
    ) -> Reader {
        let mut open = self.open();
        open.retain(|_, tail| tail.end().is_none());
        let tail = open.entry(name.clone()).or_insert_with(|| {
            let tail = Arc::new(Tail::new());
            let follow = follow(tail.clone(), project.clone(), runtime.clone(), self.ended.child_token());
            tokio::spawn(follow);
            tail
        });
        tail.readers.send_modify(|count| *count += 1);
        Reader { tail: tail.clone() }
    }

    /// Ends the log of an agent that is gone.
    pub(crate) fn forget(&self, name: &AgentName) {
        if let Some(tail) = self.open().remove(name) {
            tail.over(End { reason: EndReason::Deleted, error: None });
            tail.stop.cancel();
        }
    }

    /// Ends all, because the server shuts down.
    pub(crate) fn end(&self) {
        for tail in std::mem::take(&mut *self.open()).into_values() {
            tail.over(End { reason: EndReason::ShuttingDown, error: None });
        }
        self.ended.cancel();
    }
}

async fn follow(tail: Arc<Tail>, project: ProjectName, runtime: AnyRuntime, ended: CancellationToken) {
    let end = tokio::select! {
        end = pass_on(&tail, &project, &runtime) => end,
        () = nobody_reads(&tail) => End { reason: EndReason::Complete, error: None },
        () = tail.stop.cancelled() => End { reason: EndReason::Deleted, error: None },
        () = ended.cancelled() => End { reason: EndReason::ShuttingDown, error: None },
    };
    tail.over(end);
}

async fn nobody_reads(tail: &Tail) {
    let mut readers = tail.readers.subscribe();
    loop {
        // The sender lives in the tail.
        let _ = readers.wait_for(|count| *count == 0).await;
        if tokio::time::timeout(LINGER, readers.wait_for(|count| *count > 0)).await.is_err() {
            return;
        }
    }
}

async fn pass_on(tail: &Tail, project: &ProjectName, runtime: &AnyRuntime) -> End {
    let mut places = Places::default();
    match read(runtime, project, Some(BEFORE), None).await {
        Ok((lines, _)) => {
            tail.whole.store(lines.len() < BEFORE as usize, Ordering::Relaxed);
            lines.into_iter().for_each(|line| {
                places.last.insert(line.line.container.clone(), line.place);
                tail.tell(line);
            });
        }
        Err(error) => return ended(&error),
    }
    tail.ready.send_replace(true);
    let since = places.last.values().min().and_then(|place| place.shortly_before());
    // Without a line before, all that there is is new.
    let options = LogOptions { follow: true, tail: None, since, timestamps: true };
    let seen = places.last.clone();
    let mut lines = match runtime.logs(&Target::name(project.clone()), &options).await {
        Ok(lines) => lines,
        Err(error) => return ended(&error),
    };
    let mut places = Places::default();
    while let Some(line) = lines.next().await {
        let line = match line {
            Ok(line) => places.of(line),
            Err(error) => return ended(&error),
        };
        if seen.get(&line.line.container).is_none_or(|seen| line.place > *seen) {
            tail.tell(line);
        }
    }
    End { reason: EndReason::NotRunning, error: None }
}

fn ended(error: &longshore::Error) -> End {
    match error {
        longshore::Error::NotFound { .. } => End { reason: EndReason::NotRunning, error: None },
        longshore::Error::ShuttingDown => End { reason: EndReason::ShuttingDown, error: None },
        error => End { reason: EndReason::Failed, error: Some(Problem::from(error)) },
    }
}

/// The lines that a log has now: the last so many of each container, or those after a place.
///
/// What a line's place is cannot be told from the middle of the lines of its time. So the log is read from the time on at which the last so
/// many begin.
pub(crate) async fn lines(
    runtime: &AnyRuntime,
    project: &ProjectName,
    tail: Option<u64>,
    after: Option<Place>,
) -> longshore::Result<BoxStream<'static, longshore::Result<Line>>> {
    let since = match tail {
        Some(0) => return Ok(stream::empty().boxed()),
        Some(tail) => Since::Last(beginnings(runtime, project, tail).await?),
        None => Since::After(after.unwrap_or(Place { nanos: -1, number: 0 })),
    };
    let options =
        LogOptions { follow: false, tail: None, since: since.place().shortly_before(), timestamps: true };
    let lines = runtime.logs(&Target::name(project.clone()), &options).await?;
    // What ended is asked once more for the lines that waited.
    let lines = lines.fuse().boxed();
    let begun = Begun { lines, places: Places::default(), since, ready: VecDeque::new() };
    Ok(stream::unfold(begun, async |mut begun| begun.next().await.map(|line| (line, begun))).boxed())
}

/// Where a reading begins.
enum Since {
    /// Behind a place.
    After(Place),
    /// Of each container, with so many lines of that moment, which are the last of it.
    Last(BTreeMap<String, Beginning>),
}

/// The moment with which the last lines of a container begin, and how many of them are of it.
struct Beginning {
    nanos: i128,
    count: usize,
    /// Those of them that have been read.
    group: VecDeque<Line>,
    over: bool,
}

impl Since {
    fn place(&self) -> Place {
        let nanos = match self {
            Self::After(place) => place.nanos,
            Self::Last(beginnings) => beginnings.values().map(|one| one.nanos).min().unwrap_or(-1),
        };
        Place { nanos, number: 0 }
    }
}

/// With which moment the last so many lines of each container begin.
async fn beginnings(
    runtime: &AnyRuntime,
    project: &ProjectName,
    tail: u64,
) -> longshore::Result<BTreeMap<String, Beginning>> {
    let options = LogOptions { follow: false, tail: Some(tail), since: None, timestamps: true };
    let mut lines = runtime.logs(&Target::name(project.clone()), &options).await?;
    let (mut places, mut beginnings) = (Places::default(), BTreeMap::new());
    while let Some(line) = lines.next().await {
        let line = places.of(line?);
        let beginning = beginnings.entry(line.line.container.clone()).or_insert_with(|| Beginning {
            nanos: line.place.nanos,
            count: 0,
            group: VecDeque::new(),
            over: false,
        });
        beginning.count += usize::from(beginning.nanos == line.place.nanos);
    }
    Ok(beginnings)
}

/// A log from where it was asked for.
struct Begun {
    lines: longshore::ProjectLogs,
    places: Places,
    since: Since,
    ready: VecDeque<Line>,
}

impl Begun {
    async fn next(&mut self) -> Option<longshore::Result<Line>> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Some(Ok(line));
            }
            let Some(line) = self.lines.next().await else {
                // What was waited for does not come.
                let Since::Last(beginnings) = &mut self.since else { return None };
                self.ready.extend(beginnings.values_mut().flat_map(|one| one.group.drain(..)));
                return self.ready.pop_front().map(Ok);
            };
            let line = match line {
                Ok(line) => self.places.of(line),
                Err(error) => return Some(Err(error)),
            };
            match &mut self.since {
                Since::After(after) if line.place <= *after => {}
                Since::After(_) => return Some(Ok(line)),
                Since::Last(beginnings) => match beginnings.get_mut(&line.line.container) {
                    // All its lines are newer than when that was asked.
                    None => return Some(Ok(line)),
                    Some(beginning) => self.ready.extend(beginning.take(line)),
                },
            }
        }
    }
}

impl Beginning {
    /// The lines that are known to be wanted with this one.
    fn take(&mut self, line: Line) -> Vec<Line> {
        if self.over {
            return vec![line];
        }
        match line.place.nanos.cmp(&self.nanos) {
            std::cmp::Ordering::Less => Vec::new(),
            std::cmp::Ordering::Equal => {
                self.group.push_back(line);
                if self.group.len() > self.count {
                    self.group.pop_front();
                }
                Vec::new()
            }
            std::cmp::Ordering::Greater => {
                self.over = true;
                self.group.drain(..).chain([line]).collect()
            }
        }
    }
}

/// The same, collected and in order of time; no more than what is kept of a log, the last ones then. How many were left out.
pub(crate) async fn read(
    runtime: &AnyRuntime,
    project: &ProjectName,
    tail: Option<u64>,
    after: Option<Place>,
) -> longshore::Result<(Vec<Line>, u64)> {
    let mut stream = lines(runtime, project, tail, after).await?;
    let (mut lines, mut bytes, mut missed) = (VecDeque::new(), 0, 0);
    while let Some(line) = stream.next().await {
        let line = line?;
        bytes += line.size();
        lines.push_back(line);
        while lines.len() > KEPT.items || (bytes > KEPT.bytes && lines.len() > 1) {
            bytes -= lines.pop_front().map_or(0, |line: Line| line.size());
            missed += 1;
        }
    }
    let mut lines: Vec<Line> = lines.into();
    // Each container has given so many.
    lines.sort_by_key(|line| line.place);
    if let Some(tail) = tail {
        let surplus = lines.len().saturating_sub(usize::try_from(tail).unwrap_or(usize::MAX));
        lines.drain(..surplus);
    }
    Ok((lines, missed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_survives_its_id() {
        for place in [Place::default(), Place { nanos: 1_790_000_000_123_456_789, number: 7 }] {
            assert_eq!(Place::parse(&place.id()), Some(place));
        }
        for id in ["", "-", "1", "a-1", "1-a", "-5-1", "99999999999999999999999999999999999999999-1", "1-\n1"]
        {
            assert_eq!(Place::parse(id), None, "{id:?}");
        }
        assert_eq!(Place { nanos: i128::MAX, number: 0 }.shortly_before(), None);
    }
}
