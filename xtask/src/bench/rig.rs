//! What is measured where there is another Podman, or a machine: in a rig, by this program itself.

use std::path::Path;

use super::{Bench, Outcome, command, finished, life, report::Scenario};

/// The user of the rig who has machines, since root may not.
const USER: &str = "dev";
/// Podman's configuration, in this run's folder.
const CONFIG: &str = "containers.conf";
/// The disk of the rig's machines.
const DISK: &str = "/opt/guest.qcow2";

/// What its Podman needs to run containers itself, and not in a machine: the rig is made for machines.
const INSTALL: &str = "command -v nft runc >/dev/null && [ -e /usr/lib/podman/aardvark-dns ] || \
    { apt-get update -q && apt-get install -yq --no-install-recommends nftables runc aardvark-dns; }";
const RUNC: &str = "[containers]\ndefault_ulimits = [\"nofile=20000:20000\", \"nproc=4096:4096\"]\n[engine]\nruntime = \"runc\"\n";

/// Podman 5, by its commands and by its API.
pub(crate) async fn podman(bench: &Bench) -> Outcome<Vec<Scenario>> {
    std::fs::write(bench.folder.path().join(CONFIG), RUNC)?;
    finished(enter(bench, None, &["sh", "-c", INSTALL])).await?;
    let image = saved(bench).await?;
    finished(enter(bench, None, &["podman", "load", "--quiet", "--input", &image])).await?;
    inside(bench, None, bench.rounds, &["podman-cli", "podman-api"]).await
}

/// A machine that is made for it and taken away again.
pub(crate) async fn machine(bench: &Bench) -> Outcome<Vec<Scenario>> {
    let dev = |words: &[&str]| finished(enter(bench, Some(USER), words));
    let image = saved(bench).await?;
    let init =
        ["podman", "machine", "init", "--image", DISK, "--cpus", "2", "--memory", "1536", "--disk-size", "6"];
    dev(&[&init[..], &[life::MACHINE]].concat()).await?;
    let measured = async {
        dev(&["podman", "machine", "start", life::MACHINE]).await?;
        dev(&["podman", "--connection", life::MACHINE, "load", "--quiet", "--input", &image]).await?;
        // Its processor is emulated.
        inside(bench, Some(USER), 1, &["machine-here"]).await
    };
    let measured = measured.await;
    // It need not have been started.
    let _ = dev(&["podman", "machine", "stop", life::MACHINE]).await;
    dev(&["podman", "machine", "rm", "--force", life::MACHINE]).await?;
    measured
}

/// The image in a file that can be read inside.
async fn saved(bench: &Bench) -> Outcome<String> {
    let file = bench.folder.path().join("image.tar");
    if !file.exists() {
        let words = ["save", "--quiet", "--output", &file.display().to_string(), &bench.image];
        finished(command("podman".as_ref(), &words)).await?;
    }
    Ok(file.display().to_string())
}

/// This program, in the rig.
async fn inside(bench: &Bench, user: Option<&str>, rounds: u32, groups: &[&str]) -> Outcome<Vec<Scenario>> {
    let own = std::env::current_exe()?.display().to_string();
    let (services, rounds) = (bench.services.to_string(), rounds.to_string());
    let (longshore, podup) = (bench.longshore.display().to_string(), bench.podup.display().to_string());
    let options = [
        "--samples",
        "--longshore",
        &longshore,
        "--podup",
        &podup,
        "--services",
        &services,
        "--rounds",
        &rounds,
        "--image",
        &bench.image,
    ];
    let words = [&[own.as_str(), "bench"], groups, &options[..]].concat();
    Ok(serde_json::from_slice(&finished(enter(bench, user, &words)).await?)?)
}

/// A command in the rig, which sees the programs and this run's folder.
fn enter(bench: &Bench, user: Option<&str>, words: &[&str]) -> tokio::process::Command {
    let mut entering = command(&bench.rig.join("enter"), &[]);
    let own = std::env::current_exe().unwrap_or_default();
    let programs = [own.as_path(), &bench.longshore, &bench.podup];
    let folders = programs.into_iter().filter_map(Path::parent).filter(|folder| folder.is_absolute());
    entering.args(user.iter().flat_map(|user| ["--as", user]));
    entering.current_dir(bench.folder.path());
    if user.is_none() {
        entering.env("CONTAINERS_CONF", bench.folder.path().join(CONFIG));
    }
    for folder in folders {
        entering.arg("--bind").arg(folder);
    }
    entering.args(words);
    entering
}
