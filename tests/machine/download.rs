//! A machine whose disk is downloaded: watched, cut, cancelled, and killed with its process.

use std::{collections::BTreeSet, process::Stdio, sync::Arc};

use longshore_tests::{Failed, Outcome, refused, variable};
use runtime_core::{Call, ContainerRuntime, Error, MachineProblem, MachineStatus, Phase, Work};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
};

use crate::{
    rig::{Rig, SECOND, download},
    role::{IMAGE_OF_ROLE, in_role},
};

/// Bytes a second: the download takes ten seconds, in which it can be watched and cut.
const SLOW: u32 = 20_000_000;
/// As fast as it can be had.
const FAST: u32 = 1_000_000_000;

/// The disk in a registry, served by a process that can be ended.
struct Served {
    process: Child,
    image: String,
}

impl Served {
    async fn at(bytes_per_second: u32) -> Result<Self, Failed> {
        let mut command = Command::new(variable("LONGSHORE_TEST_RIG_SERVE")?);
        command.arg(bytes_per_second.to_string()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn()?;
        let (source, output) = (download()?, process.stdout.take().ok_or("it has no output")?);
        let mut lines = BufReader::new(output).lines();
        // It tells where it has the disk from before it tells where it serves it.
        while let Some(image) = lines.next_line().await? {
            if image != source {
                return Ok(Self { process, image });
            }
        }
        Err("the disk is not served".into())
    }

    /// Ends the process, with whatever it was serving.
    async fn end(&mut self) -> Outcome {
        Ok(self.process.kill().await?)
    }
}

/// A call, and what it reports.
fn watched() -> (Call, UnboundedReceiver<Phase>) {
    let (tell, told) = unbounded_channel();
    let call = Call::reporting(move |event| {
        let _ = tell.send(event.phase);
    });
    (call, told)
}

pub(crate) fn is_part_of_a_download(phase: &Phase) -> bool {
    matches!(phase, Phase::Bytes { work: Work::Download, done: 1.., .. })
}

/// Returns when a part of the image has come, and the rest has not.
async fn under_way(told: &mut UnboundedReceiver<Phase>) -> Outcome {
    while let Some(phase) = told.recv().await {
        if is_part_of_a_download(&phase) {
            return Ok(());
        }
    }
    Err("there was no download".into())
}

pub(crate) async fn a_download_that_is_cut_is_told_and_done_again(rig: Arc<Rig>) -> Outcome {
    rig.clear_of(SECOND)?;
    let mut served = Served::at(SLOW).await?;
    let runtime = rig.process_with(SECOND, served.image.clone())?;
    let (call, mut told) = watched();
    let (cut, ended) = tokio::join!(runtime.ensure_ready(&call), async {
        under_way(&mut told).await?;
        served.end().await
    });
    ended?;
    let error = refused(cut)?;
    let is_told = |problem: &MachineProblem| {
        matches!(problem, MachineProblem::NoImage { image, reason }
            if image.as_ref() == Some(&served.image) && reason.contains("failed to pull"))
    };
    assert!(
        matches!(&error, Error::Machine { name, problem } if name == SECOND && is_told(problem)),
        "{error:?}"
    );
    assert!(
        error.help().is_some_and(|help| help.contains("`longshore machine init` tries again")),
        "{error:?}"
    );
    assert_eq!(runtime.machine_status().await?, MachineStatus::Absent);
    let _served = Served::at(FAST).await?;
    runtime.machine_init(&Call::default()).await?;
    assert_eq!(runtime.machine_status().await?, MachineStatus::Stopped);
    Ok(())
}

pub(crate) async fn rule_7_a_download_that_is_cancelled_leaves_no_process_and_is_done_again(
    rig: Arc<Rig>,
) -> Outcome {
    rig.clear_of(SECOND)?;
    let served = Served::at(SLOW).await?;
    let runtime = rig.process_with(SECOND, served.image.clone())?;
    let (call, mut told) = watched();
    let (cancelled, ended) = tokio::join!(runtime.ensure_ready(&call), async {
        let outcome = under_way(&mut told).await;
        call.cancel.cancel();
        outcome
    });
    ended?;
    assert_eq!(cancelled, Err(Error::Cancelled));
    rig.no_init_is_left().await?;
    made_after_all(&rig).await
}

pub(crate) async fn rule_7_a_download_whose_process_is_killed_leaves_no_process_and_is_done_again(
    rig: Arc<Rig>,
) -> Outcome {
    rig.clear_of(SECOND)?;
    let served = Served::at(SLOW).await?;
    let mut process =
        in_role(&rig, "download")?.env(IMAGE_OF_ROLE, &served.image).stdout(Stdio::piped()).spawn()?;
    let mut lines = BufReader::new(process.stdout.take().ok_or("it has no output")?).lines();
    assert!(lines.next_line().await?.is_some(), "there was no download");
    process.kill().await?;
    rig.no_init_is_left().await?;
    made_after_all(&rig).await
}

pub(crate) async fn a_download_is_told_and_ends_in_a_machine(rig: Arc<Rig>) -> Outcome {
    rig.clear_of(SECOND)?;
    let served = Served::at(SLOW).await?;
    let runtime = rig.process_with(SECOND, served.image.clone())?;
    let (call, mut told) = watched();
    runtime.machine_init(&call).await?;
    drop(call);
    let (mut began, mut done, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(phase) = told.recv().await {
        match phase {
            Phase::Began(work) => began.push(work),
            Phase::Done { work, .. } => done.push(work),
            Phase::Bytes { work: Work::Download, done, total } => bytes.push((done, total)),
            Phase::Bytes { .. } => {}
            other => return Err(format!("{other:?}").into()),
        }
    }
    let all = [Work::LookUp, Work::Download, Work::Extract, Work::Init];
    assert_eq!((&*began, &*done), (&all[..], &all[..]));
    assert!(bytes.is_sorted(), "{bytes:?}");
    let parts: BTreeSet<u64> = bytes.iter().map(|(done, _)| *done).collect();
    assert!(parts.len() > 10, "{bytes:?}");
    // The total is known from the first bytes on, and the last ones come near it.
    let total = bytes[0].1.ok_or("the total is not told")?;
    assert!(bytes.iter().all(|(done, of)| *done <= total && *of == Some(total)), "{bytes:?}");
    assert!(parts.last().is_some_and(|last| *last > total / 10 * 9), "{bytes:?}");
    assert_eq!(runtime.machine_status().await?, MachineStatus::Stopped);
    Ok(())
}

/// The next process of ours makes the second machine, and neither a lock nor half a download is in its way.
async fn made_after_all(rig: &Rig) -> Outcome {
    let runtime = rig.process_with(SECOND, download()?)?;
    assert_eq!(runtime.machine_status().await?, MachineStatus::Absent);
    runtime.machine_init(&Call::default()).await?;
    assert_eq!(runtime.machine_status().await?, MachineStatus::Stopped);
    Ok(())
}
