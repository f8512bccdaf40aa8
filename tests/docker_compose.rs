//! `docker compose` as a peer: it sees our projects and we see its.

use std::{env, fs, path::PathBuf};

use longshore_tests::{Backend, Case, Failed, Outcome, Suite, behaviours};
use runtime_core::{ContainerState, DownOptions, Target};
use serde_json::Value;
use tokio::process::Command;

fn main() {
    let mut suite = Suite::new(vec![Backend::docker()]);
    behaviours!(suite;
        it_lists_our_projects,
        it_lists_our_containers,
        it_takes_our_projects_down,
        we_list_and_take_down_its_projects,
        we_keep_what_it_brought_up_or_make_it_ours,
        it_can_go_on_with_what_we_brought_up,
    );
    suite.run()
}

const TEXT: &str = "
services:
  web:
    image: localhost/longshore-fixture:1
    command: [sleep]
    scale: 2
    depends_on: [db]
  db:
    image: localhost/longshore-fixture:1
    command: [sleep]
    volumes: ['data:/data']
volumes:
  data:
";

/// Runs `docker compose` with these words in the case's folder.
async fn compose(case: &Case, words: &[&str]) -> Result<String, Failed> {
    let mut command = Command::new("docker");
    command.arg("compose").args(words).current_dir(case.dir()).kill_on_drop(true);
    let output =
        command.output().await.map_err(|error| Failed::NotHere(format!("docker compose: {error}")))?;
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout)?);
    }
    Err(format!("docker compose {words:?} ended with {}: {stderr}", output.status).into())
}

/// Writes the file and asks whether there is such a program at all.
async fn peer(case: &Case) -> Result<PathBuf, Failed> {
    let version = Command::new("docker").args(["compose", "version", "--short"]).output().await;
    match version {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            let why = String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or_default().to_owned();
            return Err(Failed::NotHere(format!("there is no docker compose: {why}")));
        }
        Err(error) => return Err(Failed::NotHere(format!("there is no docker: {error}"))),
    }
    if env::var_os("DOCKER_HOST").is_some() {
        return Err(Failed::NotHere("DOCKER_HOST names another engine".to_owned()));
    }
    let file = case.dir().join("compose.yaml");
    fs::write(&file, TEXT)?;
    Ok(file)
}

/// The objects of an output that is a list, or an object a line.
fn objects(output: &str) -> Result<Vec<Value>, Failed> {
    match serde_json::from_str(output) {
        Ok(Value::Array(objects)) => Ok(objects),
        _ => Ok(output.lines().map(serde_json::from_str).collect::<Result<_, _>>()?),
    }
}

async fn it_lists_our_projects(case: Case) -> Outcome {
    let file = peer(&case).await?;
    let project = case.project(TEXT)?;
    case.up(&project).await?;
    let listed = objects(&compose(&case, &["ls", "--format", "json"]).await?)?;
    let ours = listed.iter().find(|one| one["Name"] == project.name.as_str()).ok_or("it is not in ls")?;
    assert_eq!(ours["Status"], "running(3)");
    assert_eq!(ours["ConfigFiles"], file.display().to_string().as_str());
    Ok(())
}

async fn it_lists_our_containers(case: Case) -> Outcome {
    peer(&case).await?;
    let project = case.project(TEXT)?;
    case.up(&project).await?;
    let listed = objects(&compose(&case, &["-p", case.name(), "ps", "--format", "json"]).await?)?;
    let mut names: Vec<&str> = listed.iter().filter_map(|one| one["Name"].as_str()).collect();
    names.sort_unstable();
    let name = case.name();
    assert_eq!(names, [format!("{name}-db-1"), format!("{name}-web-1"), format!("{name}-web-2")]);
    assert!(listed.iter().all(|one| one["State"] == "running"), "{listed:?}");
    Ok(())
}

async fn it_takes_our_projects_down(case: Case) -> Outcome {
    peer(&case).await?;
    let project = case.project(TEXT)?;
    case.up(&project).await?;
    compose(&case, &["-p", case.name(), "down", "-t", "1", "--volumes"]).await?;
    assert!(case.things_of(&project.name).await?.is_empty());
    Ok(())
}

async fn we_list_and_take_down_its_projects(case: Case) -> Outcome {
    let file = peer(&case).await?;
    let project = case.project(TEXT)?;
    compose(&case, &["-p", case.name(), "up", "-d"]).await?;
    let projects = case.runtime().projects().await?;
    let summary = projects.iter().find(|one| one.name == case.name()).ok_or("we do not list it")?;
    assert_eq!(summary.states, [("running".to_owned(), 3)].into());
    assert_eq!(summary.config_files, Some(file.display().to_string()));
    assert_eq!(case.ps(&project).await?.len(), 3);
    assert!(case.runtime().list_running(case.name()).await?.is_empty(), "it is not ours");
    case.runtime()
        .down(&Target::name(project.name.clone()), &DownOptions::default(), &Default::default())
        .await?;
    assert_eq!(case.things_of(&project.name).await?, [format!("volume {}_data", case.name())]);
    Ok(())
}

async fn we_keep_what_it_brought_up_or_make_it_ours(case: Case) -> Outcome {
    peer(&case).await?;
    let project = case.project(TEXT)?;
    compose(&case, &["-p", case.name(), "up", "-d"]).await?;
    let before = case.ids(&project).await?;
    case.up(&project).await?;
    let after = case.ids(&project).await?;
    assert_eq!(
        before.keys().collect::<Vec<_>>(),
        after.keys().collect::<Vec<_>>(),
        "names and numbers are kept"
    );
    let kept = before.iter().filter(|(name, id)| after.get(*name) == Some(*id)).count();
    println!("of {} containers of docker compose, our up kept {kept}", before.len());
    assert!(case.ps(&project).await?.iter().all(|container| container.state == ContainerState::Running));
    assert_eq!(case.up(&project).await?.steps, 0);
    Ok(())
}

async fn it_can_go_on_with_what_we_brought_up(case: Case) -> Outcome {
    peer(&case).await?;
    let project = case.project(TEXT)?;
    case.up(&project).await?;
    let before = case.ids(&project).await?;
    compose(&case, &["-p", case.name(), "up", "-d"]).await?;
    let after = case.ids(&project).await?;
    assert_eq!(
        before.keys().collect::<Vec<_>>(),
        after.keys().collect::<Vec<_>>(),
        "names and numbers are kept"
    );
    let kept = before.iter().filter(|(name, id)| after.get(*name) == Some(*id)).count();
    println!("of {} containers of ours, docker compose kept {kept}", before.len());
    Ok(())
}
