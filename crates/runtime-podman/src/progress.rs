//! How far `podman machine init` is, from what it prints. Pure.
//!
//! Recorded from podman 5.4 on a terminal and on a pipe; the words of 4.x are those that its users report.

use std::collections::{BTreeMap, VecDeque};

use runtime_core::{Ongoing, Progress, Result, Subject, Work};

use crate::command::keep_line;

/// A longer line is none of podman's.
const MAX_LINE: usize = 4096;

/// What one line says.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Said {
    /// Work goes on.
    At(Work),
    /// So many bytes of so many of a part are done.
    Bytes { work: Work, part: String, done: u64, total: Option<u64> },
    /// Something else, an error for one.
    Other,
}

/// Reads a line without its escape sequences.
fn read(line: &str) -> Said {
    let after = |beginning: &str| line.strip_prefix(beginning);
    if after("Looking up Podman Machine image").is_some() {
        return Said::At(Work::LookUp);
    }
    for (beginning, work) in [
        ("Copying blob ", Work::Download),
        ("Downloading VM image: ", Work::Download),
        ("Extracting compressed file: ", Work::Extract),
    ] {
        let Some(rest) = after(beginning) else { continue };
        let part = rest.split([' ', ':']).next().unwrap_or_default().to_owned();
        return match numbers(rest) {
            Some((done, total)) => Said::Bytes { work, part, done, total },
            None => Said::At(work),
        };
    }
    match line {
        "Image resized." => Said::At(Work::Init),
        _ => Said::Other,
    }
}

/// `[=>---] 22.3MiB / 187.7MiB | 37.4 MiB/s`
fn numbers(text: &str) -> Option<(u64, Option<u64>)> {
    let (done, rest) = text.split_once("] ")?.1.split_once(" / ")?;
    let total = rest.split(" |").next().unwrap_or(rest);
    Some((bytes(done)?, bytes(total)))
}

fn bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let at = text.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
    let number: f64 = text[..at].parse().ok()?;
    let unit: u64 = match text[at..].trim() {
        "B" | "b" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "KB" | "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        _ => return None,
    };
    Some((number * unit as f64) as u64)
}

/// Turns what podman prints into events, each phase begun once and ended.
#[derive(Debug)]
pub(crate) struct Watch {
    progress: Progress,
    subject: Subject,
    now: Option<(Work, Ongoing)>,
    parts: BTreeMap<String, (u64, Option<u64>)>,
    line: Vec<u8>,
    /// What it said last, for an error.
    pub(crate) said: VecDeque<String>,
}

impl Watch {
    pub(crate) fn new(progress: &Progress, subject: Subject) -> Self {
        Self {
            progress: progress.clone(),
            subject,
            now: None,
            parts: BTreeMap::new(),
            line: Vec::new(),
            said: VecDeque::new(),
        }
    }

    /// Takes what was printed, however it is cut.
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'\n' | b'\r' => self.end_line(),
                byte if self.line.len() < MAX_LINE => self.line.push(*byte),
                _ => {}
            }
        }
    }

    fn end_line(&mut self) {
        let text = without_escapes(&String::from_utf8_lossy(&std::mem::take(&mut self.line)));
        let text = text.trim();
        match read(text) {
            Said::At(work) => self.at(work),
            Said::Bytes { work, part, done, total } => {
                self.at(work);
                self.parts.insert(part, (done, total));
                let done = self.parts.values().map(|(done, _)| done).sum();
                let total = self.parts.values().map(|(_, total)| *total).sum();
                if let Some((_, ongoing)) = &self.now {
                    ongoing.bytes(done, total);
                }
            }
            Said::Other => keep_line(&mut self.said, text.to_owned()),
        }
    }

    fn at(&mut self, work: Work) {
        if self.now.as_ref().is_some_and(|(now, _)| *now == work) {
            return;
        }
        if let Some((_, over)) = self.now.take() {
            over.done();
        }
        self.parts.clear();
        self.now = Some((work, self.progress.begin(self.subject.clone(), work)));
    }

    /// Whether it is still about the image.
    pub(crate) fn is_at_image(&self) -> bool {
        self.now.as_ref().is_some_and(|(now, _)| matches!(now, Work::LookUp | Work::Download | Work::Extract))
    }

    /// The command has ended.
    pub(crate) fn end<T>(&mut self, outcome: &Result<T>) {
        self.end_line();
        if let Some((_, last)) = self.now.take() {
            last.ended(outcome);
        }
    }
}

/// A line as a person reads it: without what moves the cursor or colours.
fn without_escapes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => {
                // A sequence ends with a letter.
                if chars.next() == Some('[') {
                    chars.by_ref().find(|c| ('@'..='~').contains(c));
                }
            }
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use runtime_core::{Event, Phase};

    use super::*;

    fn watched(printed: &[u8], cut: usize) -> Vec<Phase> {
        let events = Arc::new(Mutex::new(Vec::new()));
        let kept = events.clone();
        let progress = Progress::new(move |event: Event| kept.lock().unwrap().push(event.phase));
        let mut watch = Watch::new(&progress, Subject::Machine("m1".to_owned()));
        for piece in printed.chunks(cut) {
            watch.take(piece);
        }
        watch.end(&Ok(()));
        events.lock().unwrap().clone()
    }

    fn phases(events: &[Phase]) -> Vec<(Work, bool)> {
        let phase = |event: &Phase| match event {
            Phase::Began(work) => Some((*work, true)),
            Phase::Done { work, .. } => Some((*work, false)),
            _ => None,
        };
        events.iter().filter_map(phase).collect()
    }

    #[test]
    fn bars_of_a_terminal_are_bytes_however_they_are_cut() {
        let bars = "Looking up Podman Machine image at localhost:5001/machine-os:5.4 to create VM\r\nGetting image source signatures\r\n\
            Copying blob 68125c9a7765 [>---] 5.4MiB / 187.7MiB | 48.3 MiB/s\r\n\u{1b}[1A\u{1b}[JCopying blob 68125c9a7765 [====>] 187.7MiB / 187.7MiB | 48.4 MiB/s\r\n\
            Copying config 44136fa355 done\r\nExtracting compressed file: m1-amd64.qcow2: done\r\nImage resized.\r\nMachine init complete\r\n";
        for cut in [1, 7, 10_000] {
            let events = watched(bars.as_bytes(), cut);
            let expected = [
                (Work::LookUp, true),
                (Work::LookUp, false),
                (Work::Download, true),
                (Work::Download, false),
                (Work::Extract, true),
                (Work::Extract, false),
                (Work::Init, true),
                (Work::Init, false),
            ];
            assert_eq!(phases(&events), expected);
            let last = events.iter().rev().find_map(|event| match event {
                Phase::Bytes { done, total, .. } => Some((*done, *total)),
                _ => None,
            });
            assert_eq!(last, Some((196_817_715, Some(196_817_715))));
        }
    }

    #[test]
    fn the_words_of_podman_4_are_known() {
        let said = "Downloading VM image: fedora-coreos-37.qcow2.xz [>---] 3.2MiB / 162.2MiB";
        let part = "fedora-coreos-37.qcow2.xz".to_owned();
        let expected = Said::Bytes { work: Work::Download, part, done: 3_355_443, total: Some(170_079_027) };
        assert_eq!(read(said), expected);
        assert_eq!(read("Downloading VM image: fedora-coreos-37.qcow2.xz: done"), Said::At(Work::Download));
    }

    #[test]
    fn an_error_is_kept_and_a_flood_is_not() {
        let mut watch = Watch::new(&Progress::default(), Subject::Machine("m1".to_owned()));
        watch.take(&vec![b'x'; 1 << 20]);
        watch.take(b"\nError: m1: VM already exists\n");
        assert_eq!(watch.said.back().map(String::as_str), Some("Error: m1: VM already exists"));
        assert!(watch.said[0].len() <= MAX_LINE);
    }
}
