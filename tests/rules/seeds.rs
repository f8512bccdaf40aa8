//! Running one scenario under many seeds.

use std::{
    env,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
    time::Duration,
};

use compose_file::{LoadOptions, Project, load_str};
use runtime_core::{Call, Compose};
use runtime_mock::{MockEngine, MockMachine};

/// A scenario's own choices, all from its seed.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    /// A number below `sides`.
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }

    pub(crate) fn flip(&mut self) -> bool {
        self.roll(2) == 1
    }

    /// Up to `most`, in milliseconds, and often nothing.
    pub(crate) fn while_(&mut self, most: Duration) -> Duration {
        match self.roll(3) {
            0 => Duration::ZERO,
            _ => Duration::from_millis(self.roll(u64::try_from(most.as_millis()).unwrap_or(1).max(1))),
        }
    }
}

/// One seed's world.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) dice: Dice,
    pub(crate) engine: MockEngine,
    pub(crate) machine: MockMachine,
}

impl World {
    /// A program of ours with the engine in its machine. Each is like a process of its own.
    pub(crate) fn process(&self) -> Compose {
        Compose::new(self.engine.clone()).with_machine(Arc::new(self.machine.clone()))
    }
}

/// Plays a scenario under every seed, first those that once found something.
pub(crate) fn play<F: Future<Output = ()>>(found_before: &[u64], scenario: impl Fn(World) -> F) {
    let count = env::var("LONGSHORE_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2000);
    for seed in found_before.iter().copied().chain(0..count) {
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        let tokio = tokio.expect("a runtime of one thread needs nothing");
        let engine = MockEngine::seeded(seed);
        let machine = engine.in_machine("m1");
        let world = World { dice: Dice(seed ^ 0x5eed), engine, machine };
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            tokio.block_on(async {
                // Rule 8: everything ends. The time is the paused clock's.
                let day = Duration::from_secs(24 * 3600);
                tokio::time::timeout(day, scenario(world)).await.expect("it never ends");
            });
        }));
        if let Err(panic) = outcome {
            eprintln!("the seed was {seed}");
            resume_unwind(panic);
        }
    }
}

/// A call that nobody cancels or listens to.
pub(crate) fn call() -> Call {
    Call::default()
}

/// A project of `count` services, each of which needs the one before.
pub(crate) fn chain(name: &str, count: usize) -> Project {
    let mut text = "services:\n".to_owned();
    for number in 0..count {
        text += &format!("  s{number}:\n    image: app\n    stop_grace_period: 5s\n");
        if number > 0 {
            text += &format!("    depends_on: [s{}]\n", number - 1);
        }
    }
    let mut options = LoadOptions::new("/srv");
    options.project_name = Some(name.to_owned());
    load_str("compose.yaml", &text, &options).expect("the text is right")
}
