//! Tests of behaviours: each behaviour for each backend.

use std::{
    any::Any,
    future::Future,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use libtest_mimic::{Arguments, Completion, Trial};

use crate::{Backend, Case, Failed, Outcome};

/// A behaviour that can be run any number of times.
pub type Behaviour = Arc<dyn Fn(Case) -> Pin<Box<dyn Future<Output = Outcome> + Send>> + Send + Sync>;

/// What taking a case's things away may take.
const CLEANING: Duration = Duration::from_secs(60);

/// The behaviours, and the backends they are run against.
#[derive(Debug)]
pub struct Suite {
    backends: Vec<(Arc<Backend>, Result<(), String>)>,
    trials: Vec<Trial>,
}

impl Suite {
    /// A suite for these backends; asks each whether it is there.
    pub fn new(backends: Vec<Backend>) -> Self {
        let ask = |backend: Backend| {
            let presence = backend.presence();
            (Arc::new(backend), presence)
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
        for (backend, presence) in self.backends.iter().filter(|(backend, _)| has_it(backend)) {
            let (backend, presence, behaviour) = (backend.clone(), presence.clone(), behaviour.clone());
            let full = format!("{}::{file}::{name}", backend.name);
            let trial = Trial::ignorable_test(full.clone(), move || {
                match presence.map_err(Failed::NotHere).and_then(|()| attempt(&full, &backend, &behaviour)) {
                    Ok(()) => Ok(Completion::Completed),
                    Err(Failed::NotHere(reason)) if backend.is_required() => {
                        Err(format!("required, and not here: {reason}").into())
                    }
                    Err(Failed::NotHere(reason)) => Ok(Completion::ignored_with(reason)),
                    Err(Failed::Because(reason)) => Err(reason.into()),
                }
            });
            self.trials.push(trial);
        }
    }

    /// Runs the tests that the command line asks for and ends the process.
    pub fn run(self) -> ! {
        libtest_mimic::run(&Arguments::from_args(), self.trials).exit()
    }
}

/// Runs a behaviour on a thread of its own, so that even one that never yields is a failure with a name.
fn attempt(name: &str, backend: &Arc<Backend>, behaviour: &Behaviour) -> Outcome {
    let (sender, receiver) = mpsc::channel();
    let (backend, behaviour) = (backend.clone(), behaviour.clone());
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
    thread::Builder::new().name(name.to_owned()).spawn(body)?;
    match receiver.recv_timeout(patience) {
        Ok(outcome) => outcome,
        Err(_) => Err(format!("it still ran after {patience:?}").into()),
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

fn sentence(panic: &(dyn Any + Send)) -> String {
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
