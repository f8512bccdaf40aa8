//! What a server finds when it is started again.

use std::fs;

use longshore::{Call, ContainerRuntime, StopOptions, Target};
use longshore_server::{Server, ServerError, api::AgentState};
use longshore_tests::{
    Failed, Outcome,
    house::{Engine, House, Trials, code, explained},
    house_trials,
};

pub(crate) fn tests(trials: &mut Trials) {
    house_trials!(trials, Engine::ALL;
        what_ran_runs_again_and_what_was_stopped_stays_so,
        without_resume_nothing_is_started,
        a_shutdown_by_a_client_answers_when_all_is_stopped,
        a_shutdown_waits_no_longer_than_it_may,
    );
    house_trials!(trials, [Engine::Mock];
        a_second_server_is_refused,
        damaged_state_is_kept_aside_and_told,
        a_full_disk_is_told_and_leaves_nothing_half,
    );
}

async fn what_ran_runs_again_and_what_was_stopped_stays_so(house: &mut House) -> Outcome {
    house.start().await?;
    let port = house.agent("ran").await?.port;
    house.agent("stopped").await?;
    house.client()?.stop("stopped", true).await.map_err(explained)?;
    house.agent("by-hand").await?;
    let target = Target::name(house.project("by-hand")?);
    house.runtime.stop(&target, &StopOptions::default(), &Call::default()).await?;
    house.until_state("by-hand", AgentState::Stopped).await?;
    let report = house.stop().await?;
    assert_eq!((report.stopped, report.failed.len()), (vec!["ran".to_owned()], 0));
    assert!(house.runtime.list_running(&house.prefix).await?.is_empty());
    house.start().await?;
    assert_eq!(house.until_state("ran", AgentState::Running).await?.port, port);
    assert_eq!(house.says("ran", "back").await?, "echo: back");
    for name in ["stopped", "by-hand"] {
        assert_eq!(house.until_state(name, AgentState::Stopped).await?.error, None);
    }
    Ok(())
}

async fn without_resume_nothing_is_started(house: &mut House) -> Outcome {
    house.config.serve.resume = Some(false);
    house.start().await?;
    house.agent("scout").await?;
    house.stop().await?;
    house.start().await?;
    house.until_state("scout", AgentState::Stopped).await?;
    assert!(house.runtime.list_running(&house.prefix).await?.is_empty());
    house.client()?.start("scout", true).await.map_err(explained)?;
    Ok(())
}

async fn a_shutdown_by_a_client_answers_when_all_is_stopped(house: &mut House) -> Outcome {
    house.start().await?;
    house.agent("one").await?;
    let client = house.client()?.clone();
    client.create(&house.wish("two", "echo?healthy-after-ms=60000"), false).await.map_err(explained)?;
    house.until("two", |agent| agent.progress.is_some()).await?;
    let (first, second) = tokio::join!(client.shutdown(), client.shutdown());
    assert_eq!(first, second);
    let report = first.map_err(explained)?;
    assert!(report.stopped.contains(&"one".to_owned()) && report.failed.is_empty(), "{report:?}");
    assert_eq!(house.ended().await?, report);
    assert!(house.runtime.list_running(&house.prefix).await?.is_empty());
    assert!(client.healthz().await.is_err());
    // What was not finished is finished by the next one.
    let folder = house.state().join("agents/two/agent.json");
    assert!(fs::read_to_string(folder)?.contains("\"pending\": true"));
    Ok(())
}

async fn a_shutdown_waits_no_longer_than_it_may(house: &mut House) -> Outcome {
    // Less than the grace of a stop, and more than one takes that is obeyed.
    house.config.serve.shutdown_timeout = Some(5);
    house.start().await?;
    house.agent("good").await?;
    house.agent_with("stubborn", "echo?ignore-term").await?;
    let report = house.stop().await?;
    assert_eq!(report.stopped, ["good"]);
    assert_eq!(report.failed.keys().collect::<Vec<_>>(), ["stubborn"]);
    Ok(())
}

async fn a_second_server_is_refused(house: &mut House) -> Outcome {
    house.start().await?;
    let error = match Server::start(&house.config).await {
        Err(ServerError::Store(error)) => error.to_string(),
        other => return Err(format!("{other:?}").into()),
    };
    assert!(error.contains(house.url()?), "{error}");
    Ok(())
}

async fn damaged_state_is_kept_aside_and_told(house: &mut House) -> Outcome {
    house.start().await?;
    let before = house.agent("scout").await?;
    house.stop().await?;
    let path = house.state().join("agents/scout/agent.json");
    let whole = fs::read(&path)?;
    fs::write(&path, &whole[..whole.len() / 2])?;
    house.start().await?;
    let agent = house.until_state("scout", AgentState::Running).await?;
    let notice = agent.notice.ok_or("it is not told")?;
    let aside = notice.split("kept as ").nth(1).ok_or(notice.clone())?;
    assert_eq!(fs::read(aside)?, &whole[..whole.len() / 2]);
    assert_eq!((agent.port, agent.model), (before.port, before.model));
    let agent = house.client()?.start("scout", true).await.map_err(explained)?;
    assert_eq!((agent.state, agent.notice), (AgentState::Running, None));
    Ok(())
}

#[cfg(target_os = "linux")]
async fn a_full_disk_is_told_and_leaves_nothing_half(house: &mut House) -> Outcome {
    let state = house.state();
    fs::create_dir_all(&state)?;
    let mount = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=256k", "none"])
        .arg(&state)
        .output()?;
    if !mount.status.success() {
        return Err(Failed::NotHere("a small disk can be mounted by root alone".to_owned()));
    }
    let outcome = on_a_full_disk(house).await;
    let _ = house.tear_down().await;
    let unmounted = std::process::Command::new("umount").arg("--lazy").arg(&state).status()?;
    assert!(unmounted.success());
    outcome
}

#[cfg(target_os = "linux")]
async fn on_a_full_disk(house: &mut House) -> Outcome {
    house.start().await?;
    house.agent("before").await?;
    let filling = house.state().join("filling");
    // To the last byte: a file of it takes what is left.
    let _ = fs::write(&filling, vec![0; 1 << 20]);
    let client = house.client()?;
    assert_eq!(code(client.create(&house.wish("scout", "echo"), true).await)?, "storage");
    assert_eq!(code(client.stop("before", true).await)?, "storage");
    // What runs goes on, and nothing is half there.
    assert_eq!(house.says("before", "still here").await?, "echo: still here");
    let names: Vec<String> = client.agents().await?.into_iter().map(|agent| agent.name).collect();
    assert_eq!(names, ["before"]);
    fs::remove_file(&filling)?;
    house.agent("scout").await?;
    client.stop("before", true).await.map_err(explained)?;
    Ok(())
}

#[cfg(not(target_os = "linux"))]
async fn a_full_disk_is_told_and_leaves_nothing_half(_: &mut House) -> Outcome {
    Err(Failed::NotHere("a small disk can be mounted on Linux alone".to_owned()))
}
