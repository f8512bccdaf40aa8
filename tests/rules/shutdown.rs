//! Rules 4 and 5: the end, and what is somebody else's.

use std::time::Duration;

use runtime_core::{
    Call, ContainerName, ContainerRuntime, ContainerSpec, Engine, Error, Kept, MachineEnd, MachineProblem,
    MachineStop, Projects, ShutdownOptions, UpOptions,
};
use runtime_mock::{Fault, MockEngine};
use tokio::time::{sleep, timeout};

use crate::seeds::{World, call, chain, play};

/// A container of somebody else, whose name begins like ours.
async fn foreign(engine: &MockEngine) {
    let spec = ContainerSpec::new(ContainerName::new("shop-foreign").expect("a name"), "app");
    let id = engine.create_container(&spec).await.expect("it is created");
    engine.start_container(&id).await.expect("it starts");
}

async fn running(engine: &MockEngine) -> Vec<String> {
    let all = engine.list(&runtime_core::ContainerFilter { running: true, ..Default::default() }).await;
    all.map(|all| all.into_iter().map(|one| one.name).collect()).unwrap_or_default()
}

/// A machine that was started by us, with projects in it.
async fn populated(world: &World) -> runtime_core::Compose {
    let runtime = world.process();
    for name in ["shop", "blog"] {
        runtime.up(&chain(name, 3), &UpOptions::default(), &call()).await.expect("it comes up");
    }
    runtime
}

#[test]
fn rule_4_containers_then_machine() {
    play(&[], |world| async move {
        let runtime = populated(&world).await;
        let outcome = runtime.shutdown(&ShutdownOptions::default(), &call()).await.expect("it ends");
        assert_eq!(outcome.machine, MachineEnd::Stopped);
        assert_eq!(outcome.stopped.len(), 2);
        assert!(outcome.failed.is_empty());
        assert!(!world.machine.is_up());
        for name in ["shop", "blog"] {
            for (later, earlier) in [(2, 1), (1, 0)] {
                let stop = |number| format!("stop_container {name}-s{number}-1");
                assert!(
                    world.engine.happened_before(&stop(later), &stop(earlier)),
                    "{:#?}",
                    world.engine.journal()
                );
            }
            assert!(world.engine.happened_before(&format!("stop_container {name}-s0-1"), "machine_stop m1"));
        }
    });
}

#[test]
fn rule_4_what_comes_after_is_refused_and_a_second_call_waits_for_the_first() {
    play(&[], |mut world| async move {
        let runtime = populated(&world).await;
        let later = world.dice.while_(Duration::from_secs(4));
        let options = ShutdownOptions::default();
        let (first, second) = (call(), call());
        let (first, (refused, second)) = tokio::join!(runtime.shutdown(&options, &first), async {
            tokio::task::yield_now().await;
            sleep(later).await;
            let refused = runtime.up(&chain("late", 1), &UpOptions::default(), &call()).await;
            (refused, runtime.shutdown(&options, &second).await)
        });
        assert_eq!(refused, Err(Error::ShuttingDown));
        let (first, second) = (first.expect("it ends"), second.expect("it ends"));
        // One that came when all was over finds that there is nothing left to stop.
        assert!(second == first || second.machine == MachineEnd::AlreadyOff, "{second:?}");
        assert_eq!(world.engine.count("machine_stop m1"), 1);
    });
}

#[test]
fn rule_4_work_in_flight_ends_or_is_cancelled_before_containers_are_stopped() {
    play(&[], |mut world| async move {
        let runtime = world.process();
        let begin = world.dice.while_(Duration::from_secs(60));
        let project = chain("shop", 4);
        let up_options = UpOptions::default();
        let quiet = call();
        let (up, outcome) = tokio::join!(runtime.up(&project, &up_options, &quiet), async {
            sleep(begin).await;
            runtime.shutdown(&ShutdownOptions::default(), &call()).await
        });
        assert!(matches!(up, Ok(_) | Err(Error::ShuttingDown)), "{up:?}");
        match outcome {
            Ok(outcome) => assert!(outcome.failed.is_empty(), "{outcome:?}"),
            // A machine whose start was cancelled boots on, and nobody can ask it.
            Err(Error::NotReachable { .. } | Error::Machine { .. }) => {}
            Err(other) => panic!("{other:?}"),
        }
        assert!(running(&world.engine).await.is_empty());
    });
}

#[test]
fn rule_4_a_second_signal_hurries() {
    play(&[], |world| async move {
        let runtime = populated(&world).await;
        let call = Call::default();
        let mut options = ShutdownOptions::default();
        options.drain = Duration::from_secs(3600);
        call.cancel.cancel();
        let outcome = runtime.shutdown(&options, &call).await.expect("it ends");
        assert_eq!(outcome.machine, MachineEnd::Stopped);
        assert!(running(&world.engine).await.is_empty());
    });
}

#[test]
fn rule_5_a_machine_that_the_user_had_running_stays() {
    play(&[], |world| async move {
        world.machine.exists();
        world.machine.runs();
        let runtime = populated(&world).await;
        let outcome = runtime.shutdown(&ShutdownOptions::default(), &call()).await.expect("it ends");
        assert_eq!(outcome.machine, MachineEnd::Kept(Kept::NotStartedByUs));
        assert!(world.machine.is_up());
        assert!(running(&world.engine).await.is_empty());
    });
}

#[test]
fn rule_5_a_container_of_somebody_else_keeps_the_machine_up() {
    play(&[], |mut world| async move {
        let runtime = populated(&world).await;
        let when = world.dice.while_(Duration::from_secs(2));
        let early = world.dice.flip();
        if early {
            foreign(&world.engine).await;
        }
        let quiet = call();
        let options = ShutdownOptions::default();
        let (outcome, ()) = tokio::join!(runtime.shutdown(&options, &quiet), async {
            if !early {
                sleep(when).await;
                if world.machine.is_up() && world.engine.count("machine_stop m1") == 0 {
                    foreign(&world.engine).await;
                }
            }
        });
        let outcome = outcome.expect("it ends");
        if early {
            assert_eq!(outcome.machine, MachineEnd::Kept(Kept::InUse(vec!["shop-foreign".to_owned()])));
        }
        if !matches!(outcome.machine, MachineEnd::Stopped) {
            assert_eq!(running(&world.engine).await, ["shop-foreign"]);
            assert!(world.machine.is_up());
        }
    });
}

#[test]
fn rule_5_a_project_of_ours_that_stays_keeps_the_machine_up() {
    play(&[], |mut world| async move {
        let runtime = populated(&world).await;
        let mut options = ShutdownOptions::default();
        let only = if world.dice.flip() { vec![chain("shop", 3).name] } else { Vec::new() };
        options.projects = Projects::Only(only.iter().cloned().collect());
        let outcome = runtime.shutdown(&options, &call()).await.expect("it ends");
        let MachineEnd::Kept(Kept::InUse(names)) = &outcome.machine else { panic!("{outcome:?}") };
        assert_eq!(names.iter().filter(|name| name.starts_with("blog-")).count(), 3);
        assert_eq!(running(&world.engine).await.len(), 6 - 3 * only.len());
        // The next one of ours may end what stayed.
        let outcome = world.process().shutdown(&ShutdownOptions::default(), &call()).await.expect("it ends");
        assert_eq!(outcome.machine, MachineEnd::Stopped);
    });
}

#[test]
fn rule_5_a_list_that_cannot_be_read_is_not_an_empty_list() {
    play(&[], |mut world| async move {
        let runtime = populated(&world).await;
        let error = Error::NotReachable {
            engine: runtime_core::RuntimeKind::Mock,
            endpoint: "memory".to_owned(),
            reason: "connection reset".to_owned(),
        };
        // The first list says what of ours runs, the second what runs at all.
        let nth = 1 + world.dice.roll(2);
        world.engine.script("list", usize::try_from(nth).unwrap_or(1), Fault::Fail(error.clone()));
        let outcome = runtime.shutdown(&ShutdownOptions::default(), &call()).await;
        match nth {
            1 => assert_eq!(outcome, Err(error)),
            _ => assert_eq!(outcome.expect("it ends").machine, MachineEnd::Kept(Kept::Unreadable(error))),
        }
        assert!(world.machine.is_up());
        assert_eq!(world.engine.count("machine_stop m1"), 0);
    });
}

#[test]
fn rule_5_a_stop_that_is_asked_for_ends_nobody_elses_containers() {
    play(&[], |world| async move {
        let runtime = populated(&world).await;
        foreign(&world.engine).await;
        let refused = runtime.machine_stop(MachineStop::Considerately, &call()).await;
        let problem = MachineProblem::InUse(vec!["shop-foreign".to_owned()]);
        assert_eq!(refused, Err(Error::Machine { name: "m1".to_owned(), problem }));
        assert!(world.machine.is_up());
        runtime.machine_stop(MachineStop::Always, &call()).await.expect("it stops");
        assert!(!world.machine.is_up());
        runtime.machine_stop(MachineStop::Considerately, &call()).await.expect("it is off");
    });
}

#[test]
fn rule_5_who_started_it_is_remembered_by_the_next_process() {
    play(&[], |mut world| async move {
        // The first process dies without a word.
        drop(populated(&world).await);
        let by_user = world.dice.flip();
        if by_user {
            world.machine.podman_stop().await.expect("it stops");
            world.machine.podman_start().await.expect("it starts");
        }
        let next = world.process();
        next.ensure_ready(&call()).await.expect("it is up");
        let outcome = next.shutdown(&ShutdownOptions::default(), &call()).await.expect("it ends");
        let expected = if by_user { MachineEnd::Kept(Kept::NotStartedByUs) } else { MachineEnd::Stopped };
        assert_eq!(outcome.machine, expected);
    });
}

#[test]
fn rule_7_a_shutdown_that_is_dropped_is_completed_by_the_next() {
    play(&[], |mut world| async move {
        let runtime = populated(&world).await;
        let patience = world.dice.while_(Duration::from_secs(4));
        let _ = timeout(patience, runtime.shutdown(&ShutdownOptions::default(), &call())).await;
        runtime.shutdown(&ShutdownOptions::default(), &call()).await.expect("it ends");
        assert!(!world.machine.is_up());
    });
}
