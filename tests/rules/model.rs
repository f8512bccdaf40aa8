//! The machine in memory against a model of what `podman machine` was seen to do: any sequence of what programs, users and
//! accidents do to it has the outcomes of the model.

use std::time::Duration;

use runtime_core::{Error, MachineHost, MachineStatus, Progress};
use runtime_mock::MockMachine;
use tokio::time::timeout;

use crate::seeds::{World, play};

/// What the recordings say that a machine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Model {
    Absent,
    Off,
    /// Booting although nobody waits for it any more.
    Booting,
    Up,
    /// Up, and nothing connects it with this computer.
    CutOff,
}

#[derive(Debug, Clone, Copy)]
enum Act {
    Init,
    Start,
    /// `podman machine start` is killed while the machine boots.
    StartKilled,
    Stop,
    /// Its process is killed.
    Kill,
    /// gvproxy is killed.
    CutOff,
    Remove,
    /// Nothing is done for as long as a boot takes.
    Wait,
}

const ACTS: [Act; 8] =
    [Act::Init, Act::Start, Act::StartKilled, Act::Stop, Act::Kill, Act::CutOff, Act::Remove, Act::Wait];

impl Model {
    /// What it is after an act, and the words of the refusal, if it is one.
    fn after(self, act: Act) -> (Self, Option<&'static str>) {
        use Model::{Absent, Booting, CutOff, Off, Up};
        match (act, self) {
            (Act::Init, Absent) => (Off, None),
            (Act::Init, other) => (other, Some("VM already exists")),
            (Act::Start | Act::StartKilled, Absent) => (Absent, Some("VM does not exist")),
            (Act::Start, Off) => (Up, None),
            (Act::StartKilled, Off) => (Booting, None),
            (Act::Start | Act::StartKilled, other) => (other, Some("already running")),
            (Act::Stop, Absent) => (Absent, Some("VM does not exist")),
            // It says 125, and is off.
            (Act::Stop, CutOff) => (Off, Some("unable to clean up gvproxy")),
            (Act::Stop | Act::Kill, Off | Booting | Up) | (Act::Kill, CutOff) => (Off, None),
            (Act::Kill | Act::Remove, Absent) | (Act::Remove, _) => (Absent, None),
            (Act::CutOff, Up) => (CutOff, None),
            (Act::CutOff, other) => (other, None),
            (Act::Wait, Booting) => (Up, None),
            (Act::Wait, other) => (other, None),
        }
    }

    fn is_told_as(self) -> MachineStatus {
        match self {
            Self::Absent => MachineStatus::Absent,
            Self::Off => MachineStatus::Stopped,
            Self::Booting => MachineStatus::Starting,
            Self::Up => MachineStatus::Running,
            Self::CutOff => MachineStatus::NotAnswering("connection refused".to_owned()),
        }
    }
}

/// Does it, and returns what podman would have said if it refused.
async fn act(machine: &MockMachine, what: Act) -> Option<String> {
    let outcome = match what {
        Act::Init => machine.podman_init(&Progress::default()).await,
        Act::Start => machine.podman_start().await,
        Act::StartKilled => match timeout(Duration::from_secs(2), machine.podman_start()).await {
            Ok(outcome) => outcome,
            Err(_) => Ok(()),
        },
        Act::Stop => machine.podman_stop().await,
        Act::Kill => {
            machine.kill();
            Ok(())
        }
        Act::CutOff => {
            machine.cut_off();
            Ok(())
        }
        Act::Remove => {
            machine.remove();
            Ok(())
        }
        Act::Wait => {
            tokio::time::sleep(Duration::from_secs(60)).await;
            Ok(())
        }
    };
    match outcome {
        Ok(()) => None,
        Err(Error::Command(failure)) => Some(failure.stderr.join("\n")),
        Err(other) => panic!("{other:?}"),
    }
}

async fn follows_the_model(mut world: World) {
    let mut model = Model::Absent;
    let mut done = Vec::new();
    for _ in 0..12 {
        let what = ACTS[usize::try_from(world.dice.roll(8)).unwrap_or(0)];
        done.push(what);
        let (next, refusal) = model.after(what);
        let said = act(&world.machine, what).await;
        match (refusal, &said) {
            (None, None) => {}
            (Some(words), Some(said)) if said.contains(words) => {}
            other => panic!("{model:?} after {done:?}: {other:?}"),
        }
        model = next;
        let status = world.machine.status().await;
        assert_eq!(status, Ok(model.is_told_as()), "after {done:?}");
    }
}

#[test]
fn the_machine_in_memory_does_what_podman_was_seen_to_do() {
    // 1489: a boot that was ended came up in the next one's place.
    play(&[1489], follows_the_model);
}
