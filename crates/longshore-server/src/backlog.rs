//! The last of what was told, for any number of readers at their own pace.
//!
//! What is told is kept once, up to a number of items and of bytes, and each reader has a place in it. Nobody waits for a reader: one that
//! is too slow loses its place and is told how much it missed.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

/// How much is kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) items: usize,
    pub(crate) bytes: usize,
}

/// What was told last.
#[derive(Debug)]
pub(crate) struct Backlog<T> {
    limits: Limits,
    state: Mutex<State<T>>,
    /// The number of the next item, and whether it is over: for who waits.
    told: watch::Sender<(u64, bool)>,
}

#[derive(Debug)]
struct State<T> {
    /// The number of the first one that is kept.
    first: u64,
    items: VecDeque<(T, usize)>,
    bytes: usize,
}

/// What a reader is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Read<T> {
    /// The next one, and its number.
    Item(u64, T),
    /// So many were lost.
    Missed(u64),
    /// Nothing will come any more.
    Over,
}

impl<T: Clone> Backlog<T> {
    pub(crate) fn new(limits: Limits) -> Self {
        let state = State { first: 0, items: VecDeque::new(), bytes: 0 };
        Self { limits, state: Mutex::new(state), told: watch::Sender::new((0, false)) }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells something that takes about so many bytes.
    pub(crate) fn tell(&self, item: T, bytes: usize) {
        let mut state = self.state();
        state.items.push_back((item, bytes));
        state.bytes += bytes;
        while state.items.len() > self.limits.items
            || (state.bytes > self.limits.bytes && state.items.len() > 1)
        {
            let lost = state.items.pop_front().map_or(0, |(_, bytes)| bytes);
            state.bytes -= lost;
            state.first += 1;
        }
        let next = state.first + state.items.len() as u64;
        drop(state);
        // Who tells at the same time may have told of a later one.
        self.told.send_modify(|told| told.0 = told.0.max(next));
    }

    /// Says that nothing more comes.
    pub(crate) fn end(&self) {
        self.told.send_modify(|told| told.1 = true);
    }

    /// The number of the next one.
    pub(crate) fn next(&self) -> u64 {
        let state = self.state();
        state.first + state.items.len() as u64
    }

    /// The number of the first one that is kept.
    pub(crate) fn first(&self) -> u64 {
        self.state().first
    }

    /// The number of the first one that is so, of those that are kept.
    pub(crate) fn find(&self, is: impl Fn(&T) -> bool) -> Option<u64> {
        let state = self.state();
        let at = state.items.iter().position(|(item, _)| is(item))?;
        Some(state.first + at as u64)
    }

    /// Waits for the one of that number.
    async fn read(&self, place: u64) -> Read<T> {
        let mut told = self.told.subscribe();
        // The sender is `self`, so that it cannot be gone.
        let over = told.wait_for(|(next, over)| *next > place || *over).await.map_or(true, |told| told.1);
        let state = self.state();
        if place < state.first {
            return Read::Missed(state.first - place);
        }
        let at = usize::try_from(place - state.first).unwrap_or(usize::MAX);
        match state.items.get(at) {
            Some((item, _)) => Read::Item(place, item.clone()),
            None if over => Read::Over,
            // Nobody takes items away at this end.
            None => Read::Missed(0),
        }
    }
}

/// A reader's place.
#[derive(Debug)]
pub(crate) struct Cursor {
    next: u64,
    over: bool,
}

impl Cursor {
    /// Before the one of that number.
    pub(crate) fn at(next: u64) -> Self {
        Self { next, over: false }
    }

    /// Waits for the next one, and goes behind it. `None` once it was told that it is over.
    pub(crate) async fn read<T: Clone>(&mut self, backlog: &Backlog<T>) -> Option<Read<T>> {
        if self.over {
            return None;
        }
        let read = backlog.read(self.next).await;
        match &read {
            Read::Item(number, _) => self.next = number + 1,
            Read::Missed(count) => self.next += count,
            Read::Over => self.over = true,
        }
        Some(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is kept, by number.
    fn kept(backlog: &Backlog<char>) -> Vec<(u64, char)> {
        let state = backlog.state();
        (state.first..).zip(state.items.iter().map(|(item, _)| *item)).collect()
    }

    const FEW: Limits = Limits { items: 3, bytes: 100 };

    #[tokio::test]
    async fn each_reader_has_its_own_pace() {
        let backlog = Backlog::new(FEW);
        backlog.tell('a', 1);
        backlog.tell('b', 1);
        assert_eq!(backlog.read(0).await, Read::Item(0, 'a'));
        assert_eq!(backlog.read(1).await, Read::Item(1, 'b'));
        let (read, ()) = tokio::join!(backlog.read(2), async { backlog.tell('c', 1) });
        assert_eq!(read, Read::Item(2, 'c'));
    }

    #[tokio::test]
    async fn who_is_slow_is_told_what_was_missed() {
        let backlog = Backlog::new(FEW);
        "abcdefg".chars().for_each(|c| backlog.tell(c, 1));
        assert_eq!(backlog.read(1).await, Read::Missed(3));
        assert_eq!(backlog.read(4).await, Read::Item(4, 'e'));
        assert_eq!(kept(&backlog), [(4, 'e'), (5, 'f'), (6, 'g')]);
        assert_eq!(
            (backlog.first(), backlog.find(|c| *c == 'f'), backlog.find(|c| *c == 'a')),
            (4, Some(5), None)
        );
        backlog.tell('h', 99);
        assert_eq!(kept(&backlog), [(6, 'g'), (7, 'h')], "bytes count too");
        backlog.tell('i', 1000);
        assert_eq!(kept(&backlog), [(8, 'i')], "the last one is kept, however large");
    }

    #[tokio::test]
    async fn a_cursor_goes_on_behind_what_was_read_or_missed() {
        let backlog = Backlog::new(FEW);
        "abcde".chars().for_each(|c| backlog.tell(c, 1));
        backlog.end();
        let mut cursor = Cursor::at(0);
        let mut read = Vec::new();
        while let Some(one) = cursor.read(&backlog).await {
            read.push(one);
        }
        assert_eq!(
            read,
            [Read::Missed(2), Read::Item(2, 'c'), Read::Item(3, 'd'), Read::Item(4, 'e'), Read::Over]
        );
    }

    #[tokio::test]
    async fn the_end_comes_after_all_that_was_told() {
        let backlog = Backlog::new(FEW);
        backlog.tell('a', 1);
        backlog.end();
        assert_eq!(backlog.read(0).await, Read::Item(0, 'a'));
        assert_eq!(backlog.read(1).await, Read::Over);
    }
}
