//! Rules 1, 2, 3 and 8: the machine's readiness.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use runtime_core::{
    Call, CommandFailure, Compose, ContainerRuntime, Error, MachineProblem, MachineStatus, MachineStop,
    UpOptions,
};
use runtime_mock::{Fault, MockMachine};
use tokio::time::{sleep, timeout};

use crate::seeds::{World, call, chain, play};

fn exits_125() -> Error {
    Error::Command(CommandFailure {
        command: "podman machine".to_owned(),
        exit_code: Some(125),
        stderr: vec!["Error: no space left on device".to_owned()],
    })
}

/// Several callers of one process, at moments of their own.
async fn callers(world: &mut World, runtime: &Compose, count: u64) -> Vec<Result<(), Error>> {
    let calls: Vec<_> = (0..count)
        .map(|_| {
            let wait = world.dice.while_(Duration::from_secs(60));
            async move {
                sleep(wait).await;
                runtime.ensure_ready(&call()).await.map(|_| ())
            }
        })
        .collect();
    join_all(calls).await
}

#[test]
fn rule_1_one_flight_however_many_call() {
    play(&[], |mut world| async move {
        let runtime = world.process();
        let count = 2 + world.dice.roll(15);
        let outcomes = callers(&mut world, &runtime, count).await;
        assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
        assert_eq!(world.engine.count("machine_init m1"), 1);
        assert_eq!(world.engine.count("machine_start m1"), 1);
    });
}

#[test]
fn rule_1_a_failure_reaches_all_who_waited_and_is_not_kept() {
    play(&[], |world| async move {
        let runtime = world.process();
        world.engine.script("machine_init", 1, Fault::FailAfter(Duration::from_secs(1), exits_125()));
        let outcomes = join_all((0..5).map(|_| async { runtime.ensure_ready(&call()).await })).await;
        assert!(outcomes.iter().all(|outcome| *outcome == Err(exits_125())), "{outcomes:?}");
        runtime.ensure_ready(&call()).await.expect("the next one succeeds");
    });
}

#[test]
fn rule_1_who_goes_away_cancels_nobody_else_and_hears_nothing_more() {
    play(&[], |mut world| async move {
        let runtime = world.process();
        let leave = world.dice.while_(Duration::from_secs(70));
        let gone = Arc::new(AtomicBool::new(false));
        let deaf = gone.clone();
        let listening = Call::reporting(move |event| {
            assert!(!deaf.load(Ordering::Relaxed), "heard {event:?} after leaving")
        });
        let dropped = world.dice.flip();
        let leaving = async {
            if dropped {
                let _ = timeout(leave, runtime.ensure_ready(&listening)).await;
            } else {
                let cancel = async {
                    sleep(leave).await;
                    listening.cancel.cancel();
                };
                let (outcome, ()) = tokio::join!(runtime.ensure_ready(&listening), cancel);
                assert!(matches!(outcome, Ok(_) | Err(Error::Cancelled)), "{outcome:?}");
            }
            gone.store(true, Ordering::Relaxed);
        };
        let quiet = call();
        let ((), stayed) = tokio::join!(leaving, runtime.ensure_ready(&quiet));
        assert!(stayed.is_ok(), "{stayed:?}");
        assert_eq!(world.engine.count("machine_start m1"), 1);
    });
}

#[test]
fn rule_2_two_processes_of_ours_make_and_start_one_machine() {
    play(&[], |mut world| async move {
        let (one, two) = (world.process(), world.process());
        let mut copy = world.clone();
        let (a, b) = tokio::join!(callers(&mut world, &one, 8), callers(&mut copy, &two, 8));
        assert!(a.iter().chain(&b).all(Result::is_ok), "{a:?} {b:?}");
        assert_eq!(world.engine.count("machine_init m1"), 1);
        assert_eq!(world.engine.count("machine_start m1"), 1);
    });
}

/// What another program does with the machine meanwhile, knowing nothing of us.
async fn stranger(machine: &MockMachine, what: u64, when: Duration) {
    sleep(when).await;
    let quiet = runtime_core::Progress::default();
    match what {
        0 => drop(machine.podman_init(&quiet).await),
        1 => drop(machine.podman_start().await),
        2 => drop(machine.podman_stop().await),
        3 => machine.remove(),
        4 => machine.kill(),
        5 => machine.exists(),
        // A start that is killed in the middle.
        6 => drop(timeout(Duration::from_secs(3), machine.podman_start()).await),
        _ => machine.runs(),
    }
}

#[test]
fn rule_2_whatever_another_program_does_it_ends_in_ready_or_in_an_error_that_says_why() {
    play(&[], |mut world| async move {
        let runtime = world.process();
        if world.dice.flip() {
            world.machine.exists();
        }
        let strangers: Vec<_> = (0..1 + world.dice.roll(3))
            .map(|_| (world.dice.roll(8), world.dice.while_(Duration::from_secs(90))))
            .collect();
        let others = join_all(strangers.iter().map(|(what, when)| stranger(&world.machine, *what, *when)));
        let quiet = call();
        let (outcome, _) = tokio::join!(runtime.ensure_ready(&quiet), others);
        match outcome {
            // It may have been stopped since.
            Ok(_) => {}
            Err(Error::Machine { .. } | Error::NotReachable { .. } | Error::Command(_)) => {}
            Err(other) => panic!("{strangers:?} came to {other:?}"),
        }
        // Left alone it gets there, whatever they did, but for a machine of theirs that starts for ever.
        runtime.ensure_ready(&call()).await.expect("nobody disturbs it any more");
    });
}

#[test]
fn rule_2_an_init_that_finds_one_and_a_start_that_finds_it_started_are_success() {
    play(&[], |mut world| async move {
        let runtime = world.process();
        let quiet = runtime_core::Progress::default();
        let user = async {
            sleep(world.dice.while_(Duration::from_secs(40))).await;
            let _ = world.machine.podman_init(&quiet).await;
            sleep(world.dice.while_(Duration::from_secs(5))).await;
            let _ = world.machine.podman_start().await;
        };
        let calm = call();
        let (outcome, ()) = tokio::join!(runtime.ensure_ready(&calm), user);
        assert!(outcome.is_ok(), "{outcome:?}");
        assert_eq!(world.machine.boots(), 1);
    });
}

#[test]
fn rule_3_no_stale_readiness_after_a_stop_by_anyone() {
    play(&[], |mut world| async move {
        let runtime = world.process();
        runtime.ensure_ready(&call()).await.expect("it comes up");
        match world.dice.roll(4) {
            0 => runtime.machine_stop(MachineStop::Always, &call()).await.expect("it stops"),
            1 => world.machine.podman_stop().await.expect("it stops"),
            2 => world.machine.kill(),
            _ => world.machine.remove(),
        }
        assert_ne!(runtime.machine_status().await, Ok(MachineStatus::Running));
        let outcome = runtime.up(&chain("shop", 2), &UpOptions::default(), &call()).await;
        assert!(outcome.is_ok(), "{outcome:?}");
        assert_eq!(world.machine.boots(), 2);
    });
}

#[test]
fn rule_3_ready_is_an_answer_of_the_engine() {
    play(&[], |mut world| async move {
        let runtime = world.process();
        world.machine.exists();
        // A start of somebody's goes on while we come.
        let user = async {
            let _ = world.machine.podman_start().await;
        };
        let wait = world.dice.while_(Duration::from_secs(20));
        let us = async {
            sleep(wait).await;
            let outcome = runtime.ensure_ready(&call()).await;
            (outcome, world.machine.is_up())
        };
        let ((outcome, up), ()) = tokio::join!(us, user);
        assert!(outcome.is_ok() && up, "{outcome:?}");
    });
}

#[test]
fn rule_5_a_machine_that_does_not_answer_is_not_ended_by_us() {
    play(&[], |world| async move {
        world.machine.exists();
        world.machine.runs();
        world.machine.cut_off();
        let outcome = world.process().ensure_ready(&call()).await;
        let problem = MachineProblem::NotAnswering("connection refused".to_owned());
        assert_eq!(outcome, Err(Error::Machine { name: "m1".to_owned(), problem }));
        assert!(world.machine.is_up());
        assert_eq!(world.engine.count("machine_stop m1"), 0);
    });
}

#[test]
fn rule_8_what_hangs_ends_and_is_tried_again() {
    play(&[], |mut world| async move {
        let runtime = world.process();
        let hanging = ["machine_init", "machine_start", "machine_status", "machine_boot", "info"];
        let which = hanging[usize::try_from(world.dice.roll(5)).unwrap_or(0)];
        let nth = usize::try_from(1 + world.dice.roll(2)).unwrap_or(1);
        world.engine.script(which, nth, Fault::Hang);
        let outcome = runtime.ensure_ready(&call()).await;
        if !matches!(outcome, Ok(_) | Err(Error::TimedOut { .. })) {
            panic!("{which} hangs at call {nth}: {outcome:?}");
        }
        runtime.ensure_ready(&call()).await.expect("it hangs once");
    });
}

#[test]
fn rule_8_a_start_that_never_gets_there_says_so() {
    play(&[], |world| async move {
        let runtime = world.process();
        world.machine.wedge(true);
        let outcome = runtime.ensure_ready(&call()).await;
        let stuck = |problem: &MachineProblem| *problem == MachineProblem::StuckStarting;
        match &outcome {
            Err(Error::TimedOut { .. }) => {}
            Err(Error::Machine { problem, .. }) if stuck(problem) => {}
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn rule_7_a_flight_that_is_dropped_anywhere_leaves_what_the_next_one_completes() {
    play(&[], |mut world| async move {
        let runtime = world.process();
        let patience = world.dice.while_(Duration::from_secs(60));
        let _ = timeout(patience, runtime.ensure_ready(&call())).await;
        // The lock is free, whatever was dropped.
        let another = world.process();
        let outcome = timeout(Duration::from_secs(600), another.ensure_ready(&call())).await;
        assert!(matches!(outcome, Ok(Ok(_))), "{outcome:?}");
    });
}

#[test]
fn a_clock_that_is_behind_is_set_right() {
    play(&[], |world| async move {
        let runtime = world.process();
        runtime.ensure_ready(&call()).await.expect("it comes up");
        world.machine.oversleep(Duration::from_secs(3600));
        let told = Arc::new(std::sync::Mutex::new(Vec::new()));
        let kept = told.clone();
        let listening = Call::reporting(move |event| {
            if let runtime_core::Phase::Warning(text) = event.phase {
                kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(text);
            }
        });
        runtime.ensure_ready(&listening).await.expect("it is up");
        let told = told.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        assert_eq!(*told, ["its clock was 3600 s behind and was set right"]);
    });
}
