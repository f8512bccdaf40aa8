//! A real engine, as these tests need to know it.

use std::{env, process::Command};

/// Whether `LONGSHORE_REQUIRE` names it, so that its absence is a failure.
pub(crate) fn is_required(engine: &str) -> bool {
    env::var("LONGSHORE_REQUIRE").is_ok_and(|names| names.split(',').any(|name| name == engine))
}

/// Whether it is here, with the image that its tests need. An engine of somebody's who has not run `.ci/engines` has none.
///
/// # Errors
/// Why not.
#[allow(dead_code, reason = "the example brings an image of its own")]
pub(crate) fn presence(engine: &str, image: &str) -> Result<(), String> {
    let asked = Command::new(engine).args(["image", "inspect", image]).output();
    let output = asked.map_err(|error| format!("{engine}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{engine}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

/// The names of its containers, volumes and networks that begin like the project.
pub(crate) fn things_of(engine: &str, project: &str) -> Vec<String> {
    let mut things = Vec::new();
    for kind in [
        &["ps", "--all", "--format", "{{.Names}}"][..],
        &["volume", "ls", "--format", "{{.Name}}"],
        &["network", "ls", "--format", "{{.Name}}"],
    ] {
        let output = Command::new(engine).args(kind).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        things.extend(text.lines().filter(|name| name.starts_with(project)).map(str::to_owned));
    }
    things
}
