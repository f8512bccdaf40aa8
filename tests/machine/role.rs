//! Copies of this program, as processes of ours that know nothing of each other.

use std::{env, path::Path};

use futures_util::future::join_all;
use longshore_tests::{Failed, Outcome, said, variable};
use runtime_core::{Call, ContainerRuntime};
use tokio::process::Command;

use crate::{
    download::is_part_of_a_download,
    rig::{Rig, SECOND},
};

pub(crate) const ROLE: &str = "LONGSHORE_TEST_ROLE";
const FOLDER: &str = "LONGSHORE_TEST_RIG_FOLDER";
pub(crate) const IMAGE_OF_ROLE: &str = "LONGSHORE_TEST_RIG_ROLE_IMAGE";

/// Another process of ours, in that role.
pub(crate) async fn another(rig: &Rig, role: &str) -> Outcome {
    let output = in_role(rig, role)?.output().await?;
    said(&output).map(|_| ())
}

/// The command for that.
pub(crate) fn in_role(rig: &Rig, role: &str) -> Result<Command, Failed> {
    let mut command = Command::new(env::current_exe()?);
    command.env(ROLE, role).env(FOLDER, &rig.folder).kill_on_drop(true);
    Ok(command)
}

/// What a copy of this program does.
pub(crate) async fn play(role: &str) -> Outcome {
    let rig = Rig::new(Path::new(&env::var(FOLDER)?))?;
    let runtime = rig.process()?;
    let call = Call::default();
    match role {
        "init" => Ok(runtime.machine_init(&call).await?),
        "ensure" => {
            let all = join_all((0..8).map(|_| runtime.ensure_ready(&call))).await;
            Ok(all.into_iter().try_for_each(|one| one.map(|_| ()))?)
        }
        "download" => {
            let call = Call::reporting(|event| {
                if is_part_of_a_download(&event.phase) {
                    println!("a part has come");
                }
            });
            Ok(rig.process_with(SECOND, variable(IMAGE_OF_ROLE)?)?.machine_init(&call).await?)
        }
        other => Err(format!("no role {other:?}").into()),
    }
}
