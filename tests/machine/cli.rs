//! The command line, from no machine to no machine.

use std::{fs, process::Stdio, sync::Arc};

use longshore_tests::{Failed, Outcome, http_get, said, variable};
use runtime_core::{ContainerRuntime, MachineStatus};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

use crate::{
    COMPOSE_FILE,
    rig::{NAME, Rig},
};

/// The `longshore` command with the rig's machine.
fn longshore(rig: &Rig, words: &[&str]) -> Result<Command, Failed> {
    let mut command = Command::new(variable("LONGSHORE_TEST_CLI")?);
    command.args(["--runtime", "podman", "-p", "lst", "-f", "compose.yaml"]).args(words);
    command.current_dir(&rig.folder).stdin(Stdio::null()).kill_on_drop(true);
    command.env("LONGSHORE_PODMAN", rig.program()).env("XDG_STATE_HOME", rig.folder.join("cli"));
    command.env("LONGSHORE_MACHINE", "always").env("LONGSHORE_MACHINE_NAME", NAME);
    command.env("LONGSHORE_MACHINE_IMAGE", variable("LONGSHORE_TEST_RIG_IMAGE")?);
    command.env("LONGSHORE_MACHINE_CPUS", "2").env("LONGSHORE_MACHINE_MEMORY", "1536");
    command.env("LONGSHORE_MACHINE_DISK", "6");
    Ok(command)
}

/// Runs it to its end, and returns what it told on the way.
async fn tells(rig: &Rig, words: &[&str]) -> Result<String, Failed> {
    let output = longshore(rig, words)?.output().await?;
    said(&output)?;
    Ok(String::from_utf8_lossy(&output.stderr).into_owned())
}

pub(crate) async fn the_command_line_goes_from_nothing_to_nothing(rig: Arc<Rig>) -> Outcome {
    rig.clear()?;
    fs::write(rig.folder.join("compose.yaml"), COMPOSE_FILE)?;
    let told = tells(&rig, &["machine", "ensure"]).await?;
    for part in ["Creating", "Created", "Booting", "Booted"] {
        assert!(told.contains(&format!("Machine {NAME}  {part}")), "{part}: {told}");
    }
    rig.import()?;
    tells(&rig, &["up", "--detach", "--wait"]).await?;
    assert_eq!(http_get(18391, "/").await?, "hello");
    tells(&rig, &["down"]).await?;
    tells(&rig, &["machine", "stop"]).await?;
    assert_eq!(rig.process()?.machine_status().await?, MachineStatus::Stopped);
    Ok(())
}

pub(crate) async fn rule_4_a_foreground_up_ends_the_machine_that_it_booted(rig: Arc<Rig>) -> Outcome {
    fs::write(rig.folder.join("compose.yaml"), COMPOSE_FILE)?;
    if rig.process()?.machine_status().await? == MachineStatus::Absent {
        rig.up().await?;
    }
    let _ = rig.by_hand(&["machine", "stop", NAME]);
    rig.forget();
    let mut up = longshore(&rig, &["up"])?.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (Some(out), Some(mut err)) = (up.stdout.take(), up.stderr.take()) else {
        return Err("it has no pipes".into());
    };
    let told = tokio::spawn(async move {
        let mut told = String::new();
        tokio::io::AsyncReadExt::read_to_string(&mut err, &mut told).await.map(|_| told)
    });
    let mut lines = BufReader::new(out).lines();
    while let Some(line) = lines.next_line().await? {
        if line.contains("worker") && line.contains("sleeping") {
            let pid = up.id().ok_or("it has ended")?.to_string();
            said(&Command::new("kill").args(["-INT", &pid]).output().await?)?;
            break;
        }
    }
    while lines.next_line().await?.is_some() {}
    let code = up.wait().await?.code();
    let told = told.await??;
    assert_eq!(code, Some(130), "{told}");
    assert_eq!(rig.count("machine stop"), 1, "{told}");
    assert_eq!(rig.process()?.machine_status().await?, MachineStatus::Stopped);
    Ok(())
}
