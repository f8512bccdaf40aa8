//! The engine's virtual machine: made for the first agent, told while it is, and gone with the last.

use futures_util::StreamExt;
use longshore::{ContainerRuntime, MachineStatus, mock::Fault};
use longshore_server::{
    api::{AgentState, ProgressPhase},
    client::ServerEvent,
};
use longshore_tests::{
    Failed, Outcome,
    house::{Engine, House, Trials, code, explained},
    house_trials,
};

pub(crate) fn tests(trials: &mut Trials) {
    house_trials!(trials, [Engine::Mock];
        it_is_made_for_the_first_agent_and_told,
        it_stops_with_the_last_agent_if_that_harms_nobody,
        one_that_the_user_started_stays,
        it_is_started_ahead_of_need,
        one_that_cannot_be_had_is_told,
        one_that_stops_is_seen,
        one_that_the_user_starts_is_told,
        without_an_engine_nothing_is_begun,
    );
}

async fn it_is_made_for_the_first_agent_and_told(house: &mut House) -> Outcome {
    let machine = house.in_machine(100)?;
    let engine = house.mock()?;
    house.start().await?;
    let client = house.client()?;
    let status = client.runtime_status().await?;
    assert!(status.needs_setup && !status.available && status.problem.is_none(), "{status:?}");
    assert_eq!((status.machine.as_str(), status.setup), ("absent", None));
    let mut events = client.events(None).await?;
    let wishes = [house.wish("one", "echo"), house.wish("two", "echo")];
    for wish in &wishes {
        client.create(wish, false).await.map_err(explained)?;
    }
    let (mut downloaded, mut doing, mut running, mut last) = (Vec::new(), false, 0, None);
    while let Some(event) = events.next().await {
        match event?.0 {
            ServerEvent::Runtime(status) => {
                doing |= status.doing.iter().any(|one| one.what == "setup" && one.agent.is_none());
                downloaded.extend(
                    status
                        .setup
                        .filter(|step| step.phase == ProgressPhase::MachineDownload)
                        .and_then(|step| step.bytes.zip(step.total_bytes)),
                );
                last = Some((status.available, status.needs_setup));
            }
            ServerEvent::Agent(agent) if agent.state == AgentState::Running => {
                running += 1;
                if running == 2 {
                    break;
                }
            }
            _ => {}
        }
    }
    assert!(doing && downloaded.len() >= 10, "{downloaded:?}");
    assert_eq!(last, Some((true, false)), "who listens knows that it is ready");
    assert!(downloaded.is_sorted() && downloaded.last().is_some_and(|(done, total)| done == total));
    assert_eq!(
        (engine.count("machine_init m1"), engine.count("machine_start m1"), machine.boots()),
        (1, 1, 1)
    );
    let status = client.runtime_status().await?;
    assert!(status.available && !status.needs_setup, "{status:?}");
    assert_eq!((status.machine.as_str(), status.setup), ("running", None));
    Ok(())
}

async fn it_stops_with_the_last_agent_if_that_harms_nobody(house: &mut House) -> Outcome {
    house.in_machine(100)?;
    house.start().await?;
    house.agent("one").await?;
    house.agent("two").await?;
    let client = house.client()?;
    client.delete("one", true).await.map_err(explained)?;
    assert_eq!(client.runtime_status().await?.machine, "running");
    client.delete("two", true).await.map_err(explained)?;
    house.until_machine(MachineStatus::Stopped).await?;
    // The next one has it again.
    house.agent("three").await?;
    house.stop().await?;
    house.until_machine(MachineStatus::Stopped).await
}

async fn one_that_the_user_started_stays(house: &mut House) -> Outcome {
    let machine = house.in_machine(100)?;
    // By podman itself, and not by one of our processes.
    let nobody = longshore::Progress::default();
    machine.podman_init(&nobody).await?;
    machine.podman_start().await?;
    house.start().await?;
    house.agent("one").await?;
    house.client()?.delete("one", true).await.map_err(explained)?;
    let report = house.stop().await?;
    assert_eq!(report.machine, "kept_not_started_by_us");
    assert_eq!(house.runtime.machine_status().await?, MachineStatus::Running);
    Ok(())
}

async fn it_is_started_ahead_of_need(house: &mut House) -> Outcome {
    house.in_machine(100)?;
    let engine = house.mock()?;
    house.config.serve.resume = Some(false);
    house.start().await?;
    house.agent("one").await?;
    house.stop().await?;
    assert_eq!(house.runtime.machine_status().await?, MachineStatus::Stopped);
    house.start().await?;
    house.until_machine(MachineStatus::Running).await?;
    assert_eq!(engine.count("machine_init m1"), 1);
    house.until_state("one", AgentState::Stopped).await?;
    Ok(())
}

async fn one_that_cannot_be_had_is_told(house: &mut House) -> Outcome {
    house.in_machine(100)?;
    let engine = house.mock()?;
    let full = longshore::Error::NotPermitted { what: "the disk".into(), reason: "it is full".into() };
    engine.script("machine_init", 1, Fault::Fail(full));
    house.start().await?;
    let client = house.client()?;
    assert_eq!(code(client.create(&house.wish("one", "echo"), true).await)?, "not_permitted");
    let agent = client.agent("one").await?;
    assert_eq!(agent.state, AgentState::Failed);
    assert!(agent.error.is_some_and(|error| error.message.contains("it is full")));
    // A failure is not kept.
    client.start("one", true).await.map_err(explained)?;
    Ok(())
}

async fn one_that_stops_is_seen(house: &mut House) -> Outcome {
    let machine = house.in_machine(100)?;
    house.start().await?;
    house.agent("one").await?;
    machine.kill();
    let agent = house.until_state("one", AgentState::Stopped).await?;
    assert_eq!(agent.error, None);
    assert_eq!(house.client()?.runtime_status().await?.machine, "stopped");
    // And what is there again too.
    house.client()?.start("one", true).await.map_err(explained)?;
    assert_eq!(house.says("one", "back").await?, "echo: back");
    Ok(())
}

async fn one_that_the_user_starts_is_told(house: &mut House) -> Outcome {
    let machine = house.in_machine(100)?;
    house.start().await?;
    house.agent("one").await?;
    let mut events = house.client()?.events(None).await?;
    let mut until = async |available| {
        while let Some(event) = events.next().await {
            if matches!(event?.0, ServerEvent::Runtime(status) if status.available == available) {
                return Ok(());
            }
        }
        Err(Failed::from("it is not told"))
    };
    machine.kill();
    until(false).await?;
    machine.podman_start().await?;
    until(true).await
}

async fn without_an_engine_nothing_is_begun(house: &mut House) -> Outcome {
    let in_memory = house.without_engine().await?;
    house.start().await?;
    let client = house.client()?;
    let outcome = client.create(&house.wish("one", "echo"), false).await;
    assert_eq!(code(outcome)?, "not_installed");
    assert!(client.agents().await?.is_empty());
    assert!(!house.state().join("agents/one").exists());
    let status = client.runtime_status().await?;
    assert!(!status.available && !status.needs_setup);
    let problem = status.problem.ok_or("it is not told why")?;
    assert!(problem.code == "not_installed" && problem.help.is_some(), "{problem:?}");
    // There is nothing to stop.
    let report = house.stop().await?;
    assert!(report.stopped.is_empty() && report.failed.is_empty(), "{report:?}");
    house.runtime = in_memory;
    Ok(())
}
