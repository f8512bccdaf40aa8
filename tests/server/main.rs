//! The server of agents, by its client and by plain requests, on the engine in memory and on real ones, with agents that answer without
//! a model.

mod agents;
mod chat;
mod document;
mod house;
mod machine;
mod requests;
mod restart;
mod watching;

use std::{panic::AssertUnwindSafe, time::Duration};

use futures_util::{FutureExt, future::BoxFuture};
use libtest_mimic::{Arguments, Trial};
use longshore::{Availability, ContainerRuntime};
use longshore_tests::{Failed, Outcome, completed, sentence};

use crate::house::{Engine, House};

/// How long one behaviour may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is tried in a house whose server is not started yet.
type Behaviour = for<'a> fn(&'a mut House) -> BoxFuture<'a, Outcome>;

/// The behaviours, for each engine.
#[derive(Default)]
pub(crate) struct Trials(Vec<Trial>);

impl Trials {
    fn add(&mut self, module: &str, name: &str, engines: &[Engine], behaviour: Behaviour) {
        let file = module.rsplit("::").next().unwrap_or(module);
        for engine in engines.iter().copied() {
            let full = format!("{}::{file}::{name}", engine.name());
            self.0.push(Trial::ignorable_test(full, move || {
                completed(attempt(engine, behaviour), engine.name())
            }));
        }
    }
}

fn attempt(engine: Engine, behaviour: Behaviour) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let outcome = runtime.block_on(async {
        let mut house = House::build(engine).await?;
        match house.runtime.availability().await {
            Availability::Ready(_) => {}
            Availability::Unavailable(error) => return Err(Failed::NotHere(error.to_string())),
            Availability::NeedsMachine(_) => return Err(Failed::NotHere("its machine is off".to_owned())),
        }
        let work = AssertUnwindSafe(behaviour(&mut house)).catch_unwind();
        let outcome = match tokio::time::timeout(PATIENCE, work).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(panic)) => Err(sentence(&*panic).into()),
            Err(_) => Err(format!("it took longer than {PATIENCE:?}").into()),
        };
        let torn = AssertUnwindSafe(house.tear_down()).catch_unwind().await;
        outcome.and(torn.unwrap_or_else(|panic| Err(sentence(&*panic).into())))
    });
    runtime.shutdown_timeout(Duration::from_secs(5));
    outcome
}

/// Adds behaviours of the file that it is used in, for some engines.
#[macro_export]
macro_rules! behaviours {
    ($trials:expr, $engines:expr; $($name:ident),+ $(,)?) => {
        $($trials.add(module_path!(), stringify!($name), &$engines, |house| Box::pin($name(house)));)+
    };
}

fn main() {
    let mut trials = Trials::default();
    agents::tests(&mut trials);
    chat::tests(&mut trials);
    document::tests(&mut trials);
    machine::tests(&mut trials);
    requests::tests(&mut trials);
    restart::tests(&mut trials);
    watching::tests(&mut trials);
    libtest_mimic::run(&Arguments::from_args(), trials.0).exit()
}
