//! The page in a real browser, on the engine in memory with scripted faults and on real engines.

mod agents;
mod chat;
mod engine;
mod logs;
mod looks;
mod projects;
mod sign_in;
mod wire;

use libtest_mimic::Arguments;
use longshore_tests::{browser, house::Trials};

fn main() {
    let mut trials = Trials::default();
    agents::tests(&mut trials);
    chat::tests(&mut trials);
    engine::tests(&mut trials);
    logs::tests(&mut trials);
    looks::tests(&mut trials);
    projects::tests(&mut trials);
    sign_in::tests(&mut trials);
    let outcome = libtest_mimic::run(&Arguments::from_args(), trials.into_inner());
    browser::end();
    outcome.exit()
}
