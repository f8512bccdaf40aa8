//! `docker compose` as a peer: it sees our projects and we see its.

use std::{env, fs, path::PathBuf};

use longshore_tests::{Backend, Case, Failed, Outcome, Recorder, Suite, behaviours};
use runtime_core::{ContainerState, DownOptions, RestartOptions, RunOptions, RunTalk, Target, Work, labels};
use serde_json::{Value, json};
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
        a_run_of_ours_is_a_one_off_to_it,
        it_shows_images_and_processes_as_we_do,
        it_restarts_together_what_we_do,
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

async fn a_run_of_ours_is_a_one_off_to_it(case: Case) -> Outcome {
    peer(&case).await?;
    let project = case.project(TEXT)?;
    let mut options = RunOptions::new("web");
    options.talk = RunTalk::Detached;
    let once = case.runtime().run(&project, &options, &Default::default()).await?;
    let listed = objects(&compose(&case, &["-p", case.name(), "ps", "--format", "json"]).await?)?;
    assert!(listed.iter().all(|one| one["Name"] != once.name.as_str()), "{listed:?}");
    // It gives its own the same names and labels.
    let its = compose(&case, &["-p", case.name(), "run", "--detach", "web"]).await?;
    let (its, ours) = (case.engine().inspect(its.trim()).await?, case.engine().inspect(&once.id.0).await?);
    for name in [labels::ONEOFF, labels::SERVICE, labels::NUMBER, labels::DEPENDS_ON] {
        assert_eq!(its.label(name), ours.label(name), "{name}");
    }
    let slug = its.label(labels::SLUG).and_then(|slug| slug.get(..12)).ok_or("it has no slug")?;
    assert_eq!(its.name, format!("{}-web-run-{slug}", case.name()));
    // It takes both alike: they stay, unless orphans go.
    compose(&case, &["-p", case.name(), "down", "-t", "1", "--volumes", "--remove-orphans"]).await?;
    assert_eq!(case.things_of(&project.name).await?, Vec::<String>::new());
    Ok(())
}

async fn it_shows_images_and_processes_as_we_do(case: Case) -> Outcome {
    peer(&case).await?;
    let project = case.project(TEXT)?;
    case.up(&project).await?;
    let its = objects(&compose(&case, &["-p", case.name(), "images", "--format", "json"]).await?)?;
    let ours = case.runtime().images(&Target::from(&project)).await?;
    assert_eq!(its.len(), ours.len());
    for (container, image) in &ours {
        let image = image.as_ref().ok_or("it is not here")?;
        let same = its.iter().find(|one| one["ContainerName"] == container.name.as_str());
        let same = same.ok_or("it does not list it")?;
        assert_eq!((&same["ID"], &same["Size"]), (&json!(image.id), &json!(image.size)));
        assert_eq!(image.tags, [format!("{}:{}", same["Repository"].as_str().unwrap_or_default(), 1)]);
    }
    let its = compose(&case, &["-p", case.name(), "top"]).await?;
    let ours = case.runtime().top(&Target::from(&project)).await?;
    let names = ours.iter().map(|(container, _)| container.name.clone());
    assert!(its.lines().filter(|line| line.starts_with(case.name())).eq(names), "{its}");
    let titles: Vec<&str> = its.lines().nth(1).unwrap_or_default().split_whitespace().collect();
    assert!(ours.iter().all(|(_, table)| table.titles == titles), "{its}\n{ours:?}");
    Ok(())
}

async fn it_restarts_together_what_we_do(case: Case) -> Outcome {
    let file = peer(&case).await?;
    let text =
        TEXT.replace("depends_on: [db]", "depends_on: {db: {condition: service_started, restart: true}}");
    fs::write(&file, &text)?;
    let project = case.project(&text)?;
    case.up(&project).await?;
    let output = Command::new("docker")
        .args(["compose", "-p", case.name(), "restart", "-t", "1", "db"])
        .current_dir(case.dir())
        .output()
        .await?;
    let its = String::from_utf8_lossy(&output.stderr).into_owned();
    let recorder = Recorder::new();
    let mut options = RestartOptions::default();
    options.timeout = Some(std::time::Duration::from_secs(1));
    let target = Target::from(&project).services(["db"]);
    case.runtime().restart(&target, &options, &recorder.call()).await?;
    let ours = recorder.all_done(Work::Start);
    assert_eq!(ours.len(), 3);
    assert!(ours.iter().all(|name| its.contains(&format!("Container {name}  Started"))), "{its}\n{ours:?}");
    Ok(())
}
