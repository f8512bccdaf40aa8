//! Rules 6 and 7: projects.

use std::time::Duration;

use futures_util::future::join_all;
use longshore_tests::Recorder;
use runtime_core::{
    ContainerRuntime, ContainerState, DownOptions, Error, Event, Phase, RuntimeKind, StopOptions, Target,
    UpOptions,
};
use runtime_mock::Fault;
use tokio::time::{sleep, timeout};

use crate::seeds::{World, call, chain, play};

async fn complete(world: &World, count: usize) {
    let runtime = world.process();
    let project = chain("shop", count);
    runtime.up(&project, &UpOptions::default(), &call()).await.expect("it comes up");
    let containers = runtime.ps(&project.name).await.expect("they are listed");
    assert_eq!(containers.len(), count);
    assert!(containers.iter().all(|one| one.state == ContainerState::Running), "{containers:#?}");
    let again = runtime.up(&project, &UpOptions::default(), &call()).await.expect("it is up");
    assert_eq!(again.steps, 0);
}

#[test]
fn rule_6_up_stop_and_down_of_one_project_are_one_after_the_other() {
    play(&[], |mut world| async move {
        let runtime = world.process();
        runtime.ensure_ready(&call()).await.expect("it is up");
        let project = chain("shop", 3);
        let calls: Vec<_> = (0..4)
            .map(|_| {
                let (what, when) = (world.dice.roll(3), world.dice.while_(Duration::from_secs(3)));
                let (runtime, project) = (&runtime, &project);
                async move {
                    sleep(when).await;
                    match what {
                        0 => runtime.up(project, &UpOptions::default(), &call()).await.map(|_| ()),
                        1 => runtime.stop(&Target::from(project), &StopOptions::default(), &call()).await,
                        _ => runtime.down(&Target::from(project), &DownOptions::default(), &call()).await,
                    }
                }
            })
            .collect();
        let outcomes = join_all(calls).await;
        assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}: {:#?}", world.engine.journal());
        complete(&world, 3).await;
    });
}

#[test]
fn rule_7_nothing_half_done_is_lost_wherever_it_is_dropped() {
    play(&[], |mut world| async move {
        let runtime = world.process();
        runtime.ensure_ready(&call()).await.expect("it is up");
        let project = chain("shop", 3);
        let polls = world.dice.roll(60);
        {
            let up_options = UpOptions::default();
            let quiet = call();
            let mut up = std::pin::pin!(runtime.up(&project, &up_options, &quiet));
            for _ in 0..polls {
                if futures_util::poll!(&mut up).is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        if world.dice.flip() {
            complete(&world, 3).await;
        } else {
            let target = Target::name(project.name.clone());
            runtime.down(&target, &DownOptions::default(), &call()).await.expect("it goes");
            assert!(runtime.ps(&project.name).await.expect("they are listed").is_empty());
        }
    });
}

#[test]
fn rule_7_a_call_that_is_cancelled_begins_nothing_more() {
    play(&[], |mut world| async move {
        let runtime = world.process();
        runtime.ensure_ready(&call()).await.expect("it is up");
        let project = chain("shop", 3);
        let count = 1 + usize::try_from(world.dice.roll(40)).unwrap_or_default();
        let recorder = Recorder::cancelling_at(count);
        let outcome = runtime.up(&project, &UpOptions::default(), &recorder.call()).await;
        let events = recorder.events();
        let begun = |event: &&Event| matches!(event.phase, Phase::Began(_));
        let later: Vec<&Event> = events.iter().skip(count).filter(begun).collect();
        assert!(later.is_empty(), "after event {count}: {later:#?}");
        assert!(outcome.is_ok() || outcome == Err(Error::Cancelled), "{outcome:?}");
        complete(&world, 3).await;
    });
}

#[test]
fn rule_7_what_fails_once_is_completed_by_the_next_up() {
    play(&[], |mut world| async move {
        let runtime = world.process();
        runtime.ensure_ready(&call()).await.expect("it is up");
        let project = chain("shop", 3);
        let methods = ["create_container", "start_container", "create_network", "pull", "observe", "inspect"];
        let which = methods[usize::try_from(world.dice.roll(6)).unwrap_or(0)];
        let nth = usize::try_from(1 + world.dice.roll(3)).unwrap_or(1);
        let error = match which {
            "start_container" => {
                Error::PortInUse { container: "x".to_owned(), reason: "address already in use".to_owned() }
            }
            _ => Error::NotReachable {
                engine: RuntimeKind::Mock,
                endpoint: "memory".to_owned(),
                reason: "reset".to_owned(),
            },
        };
        let fault = if world.dice.flip() { Fault::Fail(error) } else { Fault::DoneAndFail(error) };
        world.engine.script(which, nth, fault);
        let _ = runtime.up(&project, &UpOptions::default(), &call()).await;
        world.engine.forget_script();
        complete(&world, 3).await;
    });
}

#[test]
fn rule_7_a_machine_that_dies_under_an_up_is_no_end() {
    play(&[], |mut world| async move {
        let runtime = world.process();
        runtime.ensure_ready(&call()).await.expect("it is up");
        let project = chain("shop", 3);
        let when = world.dice.while_(Duration::from_millis(700));
        let up_options = UpOptions::default();
        let quiet = call();
        let (_, ()) = tokio::join!(runtime.up(&project, &up_options, &quiet), async {
            sleep(when).await;
            world.machine.kill();
        });
        complete(&world, 3).await;
    });
}

#[test]
fn rule_7_names_that_are_freed_late_are_waited_for() {
    play(&[], |mut world| async move {
        let runtime = world.process();
        runtime.ensure_ready(&call()).await.expect("it is up");
        world.engine.free_names_after(Duration::from_millis(200));
        let project = chain("shop", 2);
        runtime.up(&project, &UpOptions::default(), &call()).await.expect("it comes up");
        if world.dice.flip() {
            let target = Target::name(project.name.clone());
            runtime.down(&target, &DownOptions::default(), &call()).await.expect("it goes");
        }
        let mut anew = UpOptions::default();
        anew.recreate = runtime_core::Recreate::Always;
        let again = timeout(Duration::from_secs(60), runtime.up(&project, &anew, &call())).await;
        assert!(matches!(again, Ok(Ok(_))), "{again:?}");
    });
}
