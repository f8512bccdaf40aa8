//! The server of agents, by its client and by plain requests, on the engine in memory and on real ones, with agents that answer without
//! a model.

mod agents;
mod chat;
mod document;
mod machine;
mod requests;
mod restart;
mod watching;

use libtest_mimic::Arguments;
use longshore_tests::house::Trials;

fn main() {
    let mut trials = Trials::default();
    agents::tests(&mut trials);
    chat::tests(&mut trials);
    document::tests(&mut trials);
    machine::tests(&mut trials);
    requests::tests(&mut trials);
    restart::tests(&mut trials);
    watching::tests(&mut trials);
    libtest_mimic::run(&Arguments::from_args(), trials.into_inner()).exit()
}
