//! Every behaviour against every backend; `cargo test -p longshore-tests --test behavior -- podman::up` runs a part.

mod attributes;
mod cancel;
mod concurrency;
mod config;
mod convert;
mod depends_on;
mod down;
mod environment;
mod errors;
mod events;
mod exec;
mod foreign;
mod health;
mod hooks;
mod labels;
mod list;
mod logs;
mod look;
mod networks;
mod orphans;
mod plan;
mod ports;
mod processes;
mod pull;
mod recreate;
mod remove;
mod restart;
mod run;
mod scale;
mod secrets;
mod signals;
mod stop;
mod up;
mod volumes;
mod watch;

use longshore_tests::{Backend, Suite};

fn main() {
    let mut suite = Suite::new(Backend::all());
    attributes::tests(&mut suite);
    cancel::tests(&mut suite);
    concurrency::tests(&mut suite);
    config::tests(&mut suite);
    convert::tests(&mut suite);
    depends_on::tests(&mut suite);
    down::tests(&mut suite);
    environment::tests(&mut suite);
    errors::tests(&mut suite);
    events::tests(&mut suite);
    exec::tests(&mut suite);
    foreign::tests(&mut suite);
    health::tests(&mut suite);
    hooks::tests(&mut suite);
    labels::tests(&mut suite);
    list::tests(&mut suite);
    logs::tests(&mut suite);
    look::tests(&mut suite);
    networks::tests(&mut suite);
    orphans::tests(&mut suite);
    plan::tests(&mut suite);
    ports::tests(&mut suite);
    processes::tests(&mut suite);
    pull::tests(&mut suite);
    recreate::tests(&mut suite);
    remove::tests(&mut suite);
    restart::tests(&mut suite);
    run::tests(&mut suite);
    scale::tests(&mut suite);
    secrets::tests(&mut suite);
    signals::tests(&mut suite);
    stop::tests(&mut suite);
    up::tests(&mut suite);
    volumes::tests(&mut suite);
    watch::tests(&mut suite);
    suite.run()
}
