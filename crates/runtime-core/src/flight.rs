//! One piece of work for all who want it at once.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared, WeakShared},
};

use crate::{Call, Error, Event, Phase, Progress, Result};

/// Work that is done once for everybody who asks for it while it is under way.
///
/// Who comes while it is under way gets its outcome, and hears of its progress from then on. An outcome is not kept: who
/// comes after it begins anew. It goes on as long as somebody waits, is driven by those who wait, and is dropped with the
/// last of them.
pub(crate) struct Flight<T: Clone> {
    under_way: Mutex<Option<UnderWay<T>>>,
}

struct UnderWay<T: Clone> {
    work: WeakShared<BoxFuture<'static, Result<T>>>,
    listeners: Arc<Listeners>,
}

impl<T: Clone> Default for Flight<T> {
    fn default() -> Self {
        Self { under_way: Mutex::default() }
    }
}

impl<T: Clone> fmt::Debug for Flight<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flight").finish_non_exhaustive()
    }
}

impl<T: Clone + Send + Sync + 'static> Flight<T> {
    /// Joins the work that is under way, or begins it: `work` is given where to report. A caller's own token cancels its
    /// waiting alone.
    ///
    /// # Errors
    /// Those of the work, to all who waited; [`Error::Cancelled`] to who cancelled.
    pub(crate) async fn join<F>(&self, call: &Call, work: impl FnOnce(Progress) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let (shared, seat) = self.board(call, work);
        let outcome = call.cancel.run_until_cancelled(shared).await;
        // From here on its listener hears nothing more.
        drop(seat);
        outcome.unwrap_or(Err(Error::Cancelled))
    }

    fn board<F>(
        &self,
        call: &Call,
        work: impl FnOnce(Progress) -> F,
    ) -> (Shared<BoxFuture<'static, Result<T>>>, Seat)
    where
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let joined = under_way.as_ref().and_then(|flight| {
            // One that has its outcome already is over.
            let shared = flight.work.upgrade().filter(|shared| shared.peek().is_none())?;
            Some((shared, flight.listeners.clone()))
        });
        let (shared, listeners) = joined.unwrap_or_else(|| {
            let listeners = Arc::new(Listeners::default());
            let to = listeners.clone();
            let shared = work(Progress::new(move |event| to.tell(&event))).boxed().shared();
            let weak = shared.downgrade();
            *under_way = weak.map(|work| UnderWay { work, listeners: listeners.clone() });
            (shared, listeners)
        });
        let seat = listeners.seat(&call.progress);
        (shared, seat)
    }
}

/// Who hears of the progress. The listeners are called one at a time.
#[derive(Default)]
struct Listeners {
    seats: Mutex<Seats>,
}

#[derive(Default)]
struct Seats {
    next: u64,
    taken: Vec<(u64, Progress)>,
    /// What somebody who joins now has missed and must know: what has begun and is not over.
    going_on: Vec<Event>,
}

impl Listeners {
    fn tell(&self, event: &Event) {
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        match &event.phase {
            Phase::Began(_) => seats.going_on.push(event.clone()),
            Phase::Bytes { work, .. } => {
                let same = |old: &Event| matches!(&old.phase, Phase::Bytes { work: other, .. } if other == work && old.subject == event.subject);
                seats.going_on.retain(|old| !same(old));
                seats.going_on.push(event.clone());
            }
            Phase::Done { work, .. } | Phase::Failed { work, .. } => {
                let (work, subject) = (*work, &event.subject);
                seats.going_on.retain(|old| {
                    old.subject != *subject
                        || !matches!(&old.phase, Phase::Began(other) | Phase::Bytes { work: other, .. } if *other == work)
                });
            }
            _ => {}
        }
        for (_, progress) in &seats.taken {
            progress.report(event.subject.clone(), event.phase.clone());
        }
    }

    fn seat(self: &Arc<Self>, progress: &Progress) -> Seat {
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        for event in &seats.going_on {
            progress.report(event.subject.clone(), event.phase.clone());
        }
        let number = seats.next;
        seats.next += 1;
        seats.taken.push((number, progress.clone()));
        Seat { listeners: self.clone(), number }
    }
}

/// A listener's place; dropped, it is called no more, and no call of it is under way.
struct Seat {
    listeners: Arc<Listeners>,
    number: u64,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.listeners.seats.lock().unwrap_or_else(PoisonError::into_inner);
        seats.taken.retain(|(number, _)| *number != self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::{Subject, Work};
    use tokio::sync::Notify;

    fn subject() -> Subject {
        Subject::Machine("m".to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn rule_1_one_flight_serves_all_who_wait_and_keeps_no_failure() {
        let flight: Flight<u32> = Flight::default();
        let runs = AtomicUsize::new(0);
        let work = |_| {
            let run = runs.fetch_add(1, Ordering::Relaxed);
            async move {
                tokio::task::yield_now().await;
                if run == 0 { Err(Error::ShuttingDown) } else { Ok(7) }
            }
        };
        let call = Call::default();
        let (one, two) = tokio::join!(flight.join(&call, work), flight.join(&call, work));
        assert_eq!((one, two), (Err(Error::ShuttingDown), Err(Error::ShuttingDown)));
        assert_eq!(flight.join(&call, work).await, Ok(7));
        assert_eq!(runs.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn rule_1_who_goes_away_cancels_nobody_else() {
        let flight: Flight<u32> = Flight::default();
        let gate = Arc::new(Notify::new());
        let opened = gate.clone();
        let impatient = Call::default();
        let cancel = impatient.cancel.clone();
        let waits = |_| {
            let gate = gate.clone();
            async move {
                gate.notified().await;
                Ok(1)
            }
        };
        let call = Call::default();
        let (gone, stayed, ()) =
            tokio::join!(flight.join(&impatient, waits), flight.join(&call, waits), async {
                tokio::task::yield_now().await;
                cancel.cancel();
                tokio::task::yield_now().await;
                opened.notify_one();
            });
        assert_eq!((gone, stayed), (Err(Error::Cancelled), Ok(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn rule_1_a_late_listener_hears_what_goes_on_and_nobody_hears_anything_after_the_answer() {
        let flight: Flight<u32> = Flight::default();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let listening = |name: &'static str| {
            let heard = heard.clone();
            Call::reporting(move |event| heard.lock().unwrap().push((name, event.phase)))
        };
        let (begun, go_on, gone) = (Arc::new(Notify::new()), Arc::new(Notify::new()), Notify::new());
        let work = |progress: Progress| {
            let (begun, go_on) = (begun.clone(), go_on.clone());
            async move {
                let over = progress.begin(subject(), Work::Queue);
                over.done();
                let _ongoing = progress.begin(subject(), Work::Boot);
                begun.notify_one();
                go_on.notified().await;
                progress.report(subject(), Phase::Warning("w".to_owned()));
                Ok(1)
            }
        };
        let first = listening("first");
        let second = listening("second");
        let cancel = first.cancel.clone();
        let leaving = async {
            let outcome = flight.join(&first, work).await;
            gone.notify_one();
            outcome
        };
        let staying = async {
            begun.notified().await;
            let end = async {
                cancel.cancel();
                gone.notified().await;
                go_on.notify_one();
            };
            tokio::join!(flight.join(&second, work), end).0
        };
        let (one, two) = tokio::join!(leaving, staying);
        assert_eq!((one, two), (Err(Error::Cancelled), Ok(1)));
        let heard = heard.lock().unwrap();
        let of_second: Vec<&Phase> =
            heard.iter().filter(|(name, _)| *name == "second").map(|(_, phase)| phase).collect();
        assert_eq!(of_second, [&Phase::Began(Work::Boot), &Phase::Warning("w".to_owned())]);
        assert!(!heard.contains(&("first", Phase::Warning("w".to_owned()))));
    }
}
