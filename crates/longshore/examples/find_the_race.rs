//! Finds a race by seed, and shows that it is gone.
//!
//! `first_version` makes a machine ready as many programs do: it looks, makes what is missing and starts it. Called by two
//! at once it runs `podman machine init` twice, and one of them dies with exit code 125; but only in some orders, so a test
//! may pass a hundred times. The engine in memory decides the order from a seed: the seed that fails fails always, and is the
//! regression test.
//!
//! ```sh
//! cargo run -p longshore --example find_the_race
//! ```

use std::sync::Arc;

use longshore::{
    Call, ContainerRuntime, Error, MachineHost, MachineStatus, Progress,
    mock::{MockEngine, MockMachine},
    runtime_core::Compose,
};

/// What everybody writes first.
async fn first_version(machine: &MockMachine) -> Result<(), Error> {
    if machine.status().await? == MachineStatus::Absent {
        machine.podman_init(&Progress::default()).await?;
    }
    if machine.status().await? == MachineStatus::Stopped {
        machine.podman_start().await?;
    }
    Ok(())
}

/// Two first calls at once, in the order that the seed decides. Returns why it failed, and what was done.
fn two_first_calls(seed: u64) -> (Result<(), Error>, Vec<String>) {
    virtual_time(async {
        let engine = MockEngine::seeded(seed);
        let machine = engine.in_machine("m1");
        // The second call comes while the first is under way, or when it is over.
        let wait = std::time::Duration::from_secs((seed + 60) % 90);
        let (one, two) = tokio::join!(first_version(&machine), async {
            tokio::time::sleep(wait).await;
            first_version(&machine).await
        });
        (one.and(two), engine.journal())
    })
}

/// The same two calls of the runtime.
fn two_calls_of_longshore(seed: u64) -> (Result<(), Error>, Vec<String>) {
    virtual_time(async {
        let engine = MockEngine::seeded(seed);
        let machine = engine.in_machine("m1");
        let runtime = Compose::new(engine.clone()).with_machine(Arc::new(machine));
        let call = Call::default();
        let wait = std::time::Duration::from_secs((seed + 60) % 90);
        let (one, two) = tokio::join!(runtime.ensure_ready(&call), async {
            tokio::time::sleep(wait).await;
            runtime.ensure_ready(&call).await
        });
        (one.and(two).map(|_| ()), engine.journal())
    })
}

/// On a paused clock minutes take no time.
fn virtual_time<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime of one thread needs nothing").block_on(work)
}

fn main() {
    let found = (0..1000).find_map(|seed| {
        let (outcome, journal) = two_first_calls(seed);
        outcome.err().map(|error| (seed, error, journal))
    });
    let (seed, error, journal) = found.expect("the first version has a race");
    println!("seed {seed} finds it: {error}\n");
    println!("what was done:\n  {}\n", journal.join("\n  "));
    // The same seed, the same end: this is what goes into a regression test.
    assert_eq!(two_first_calls(seed).0, Err(error));

    for seed in 0..1000 {
        let (outcome, journal) = two_calls_of_longshore(seed);
        assert_eq!(outcome, Ok(()), "seed {seed}: {journal:#?}");
        assert_eq!(journal, ["machine_init m1", "machine_start m1"], "seed {seed}");
    }
    println!("ensure_ready: a thousand seeds, one init and one start in each");
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_race_is_found_and_gone() {
        super::main();
    }
}
