//! Tests of behaviours: each behaviour for each backend.

use std::{
    any::Any,
    future::Future,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use libtest_mimic::{Arguments, Trial};

use crate::{Backend, Case, Failed, Outcome, completed};

/// A behaviour that can be run any number of times.
pub type Behaviour = Arc<dyn Fn(Case) -> Pin<Box<dyn Future<Output = Outcome> + Send>> + Send + Sync>;

/// After so many tests that took too long, an engine is taken for one that hangs, and the rest is not tried.
const MOST_HUNG: usize = 5;

/// What taking a case's things away may take.
const CLEANING: Duration = Duration::from_secs(60);

/// The behaviours, and the backends they are run against.
#[derive(Debug)]
pub struct Suite {
    backends: Vec<Arc<Candidate>>,
    trials: Vec<Trial>,
}

/// A backend, and what is known of it.
#[derive(Debug)]
struct Candidate {
    backend: Arc<Backend>,
    presence: Result<(), String>,
    /// How many tests took too long.
    hung: AtomicUsize,
}

impl Suite {
    /// A suite for these backends; asks each whether it is there.
    pub fn new(backends: Vec<Backend>) -> Self {
        let ask = |backend: Backend| {
            let presence = backend.presence();
            Arc::new(Candidate { backend: Arc::new(backend), presence, hung: AtomicUsize::new(0) })
        };
        Self { backends: backends.into_iter().map(ask).collect(), trials: Vec::new() }
    }

    /// Adds a behaviour of the backends that can have it, called `backend::file::name`; `module` is the
    /// `module_path!()` of its file.
    pub fn add<F>(
        &mut self,
        module: &str,
        name: &str,
        has_it: fn(&Backend) -> bool,
        behaviour: impl Fn(Case) -> F + Send + Sync + 'static,
    ) where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let file = module.rsplit("::").next().unwrap_or(module);
        let behaviour: Behaviour = Arc::new(move |case| Box::pin(behaviour(case)));
        for candidate in self.backends.iter().filter(|candidate| has_it(&candidate.backend)) {
            let (candidate, behaviour) = (candidate.clone(), behaviour.clone());
            let full = format!("{}::{file}::{name}", candidate.backend.name);
            let trial = Trial::ignorable_test(full.clone(), move || {
                completed(candidate.attempt(&full, &behaviour), candidate.backend.name)
            });
            self.trials.push(trial);
        }
    }

    /// Runs the tests that the command line asks for and ends the process.
    pub fn run(self) -> ! {
        let conclusion = libtest_mimic::run(&Arguments::from_args(), self.trials);
        for candidate in &self.backends {
            if let Err(failed) = candidate.backend.remove_built() {
                eprintln!("images of {} are left: {}", candidate.backend.name, failed.message());
            }
        }
        conclusion.exit()
    }
}

impl Candidate {
    /// Runs a behaviour on a thread of its own, so that even one that never yields is a failure with a name.
    fn attempt(&self, name: &str, behaviour: &Behaviour) -> Outcome {
        self.presence.clone().map_err(Failed::NotHere)?;
        if self.hung.load(Ordering::Relaxed) >= MOST_HUNG {
            return Err(format!("not tried: {MOST_HUNG} tests of {} hung before", self.backend.name).into());
        }
        let (sender, receiver) = mpsc::channel();
        let (backend, behaviour) = (self.backend.clone(), behaviour.clone());
        let patience = backend.real_patience() + 2 * CLEANING;
        let body = move || {
            let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| {
                let runtime = backend.tokio()?;
                let outcome = runtime.block_on(run(&backend, &behaviour));
                runtime.shutdown_timeout(Duration::from_secs(5));
                outcome
            }));
            let outcome = outcome.unwrap_or_else(|panic| Err(sentence(&*panic).into()));
            // Nobody listens any more when it took too long.
            let _ = sender.send(outcome);
        };
        let begin = Instant::now();
        thread::Builder::new().name(name.to_owned()).spawn(body)?;
        let outcome = match receiver.recv_timeout(patience) {
            Ok(outcome) => outcome,
            Err(_) => Err(format!("it still ran after {patience:?}").into()),
        };
        if begin.elapsed() >= self.backend.real_patience() {
            self.hung.fetch_add(1, Ordering::Relaxed);
        }
        outcome
    }
}

async fn run(backend: &Arc<Backend>, behaviour: &Behaviour) -> Outcome {
    let case = Case::new(backend)?;
    let body = tokio::spawn(tokio::time::timeout(backend.patience(), behaviour(case.clone())));
    let outcome = match body.await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => Err(format!("it took longer than {:?}", backend.patience()).into()),
        Err(ended) => Err(match ended.try_into_panic() {
            Ok(panic) => sentence(&*panic).into(),
            Err(ended) => ended.into(),
        }),
    };
    let cleaned = match tokio::time::timeout(CLEANING, case.clean()).await {
        Ok(cleaned) => cleaned,
        Err(_) => Err(format!("taking it away took longer than {CLEANING:?}").into()),
    };
    match (outcome, cleaned) {
        (Err(first), Err(second)) => Err(format!("{}\n{}", first.message(), second.message()).into()),
        (outcome, cleaned) => outcome.and(cleaned),
    }
}

/// What a panic said.
pub fn sentence(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "it panicked".to_owned())
}

/// Adds behaviours of the file it is used in: of all backends, or of those that a method of [`Backend`] is true for.
#[macro_export]
macro_rules! behaviours {
    ($suite:expr; $($name:ident),+ $(,)?) => {
        $($suite.add(module_path!(), stringify!($name), |_| true, $name);)+
    };
    ($suite:expr, if $has_it:expr; $($name:ident),+ $(,)?) => {
        $($suite.add(module_path!(), stringify!($name), $has_it, $name);)+
    };
}
