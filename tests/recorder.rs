//! What a call reported.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use runtime_core::{Call, Event, Phase, Progress, Work};
use tokio_util::sync::CancellationToken;

/// Keeps the events of a call, and can cancel it when there have been so many.
#[derive(Debug, Clone, Default)]
pub struct Recorder {
    events: Arc<Mutex<Vec<Event>>>,
    cancel: CancellationToken,
    cancel_at: Option<usize>,
}

impl Recorder {
    /// One that only listens.
    pub fn new() -> Self {
        Self::default()
    }

    /// One that cancels its call when event number `count` arrives; 0 is before the call begins.
    pub fn cancelling_at(count: usize) -> Self {
        let recorder = Self { cancel_at: Some(count), ..Self::default() };
        if count == 0 {
            recorder.cancel.cancel();
        }
        recorder
    }

    /// A call that reports here.
    pub fn call(&self) -> Call {
        let this = self.clone();
        let progress = Progress::new(move |event| {
            let mut events = this.lock();
            events.push(event);
            if this.cancel_at == Some(events.len()) {
                this.cancel.cancel();
            }
        });
        Call { progress, cancel: self.cancel.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Event>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was reported until now.
    pub fn events(&self) -> Vec<Event> {
        self.lock().clone()
    }

    /// The warnings among it.
    pub fn warnings(&self) -> Vec<String> {
        let warning = |event: Event| match event.phase {
            Phase::Warning(text) => Some(text),
            _ => None,
        };
        self.events().into_iter().filter_map(warning).collect()
    }

    /// Where in the events `work` began on the subject of that name.
    ///
    /// # Panics
    /// When it did not.
    pub fn began(&self, work: Work, name: &str) -> usize {
        self.position(name, &format!("{work:?} to begin"), |phase| *phase == Phase::Began(work))
    }

    /// Where in the events `work` was done on the subject of that name.
    ///
    /// # Panics
    /// When it was not.
    pub fn done(&self, work: Work, name: &str) -> usize {
        let done = |phase: &Phase| matches!(phase, Phase::Done { work: what, .. } if *what == work);
        self.position(name, &format!("{work:?} to be done"), done)
    }

    /// Whether `work` began on the subject of that name.
    pub fn has_begun(&self, work: Work, name: &str) -> bool {
        self.lock().iter().any(|event| event.subject.name() == name && event.phase == Phase::Began(work))
    }

    /// The names of the subjects that `work` was done on, in order.
    pub fn all_done(&self, work: Work) -> Vec<String> {
        let done = |event: &&Event| matches!(&event.phase, Phase::Done { work: what, .. } if *what == work);
        self.lock().iter().filter(done).map(|event| event.subject.name().to_owned()).collect()
    }

    fn position(&self, name: &str, what: &str, phase: impl Fn(&Phase) -> bool) -> usize {
        let events = self.events();
        events
            .iter()
            .position(|event| event.subject.name() == name && phase(&event.phase))
            .unwrap_or_else(|| panic!("expected {what} on {name}; the events were {events:#?}"))
    }
}
