//! Agents: created, started, stopped, deleted, in any order and at once.

use std::{
    collections::BTreeSet,
    net::TcpListener,
    process::{Command, Stdio},
};

use futures_util::future::{join, join_all};
use longshore::{AnyRuntime, Call, ContainerRuntime, DownOptions, StopOptions, Target};
use longshore_server::{
    api::{Agent, AgentState, Fault, Wanted},
    client::ClientError,
};
use longshore_tests::{
    Failed, Outcome,
    house::{Engine, House, Trials, code, explained, message},
    house_trials, http_get,
};

pub(crate) fn tests(trials: &mut Trials) {
    house_trials!(trials, Engine::ALL;
        creating_answers_at_once_and_goes_on,
        a_name_is_given_once,
        what_is_asked_twice_is_done_once,
        stopped_and_started_again_it_keeps_its_port,
        deleting_takes_everything_away,
        deleting_during_creation_leaves_nothing,
        stopping_during_creation_stops_it,
        orders_in_a_storm_end_with_the_last,
        a_start_during_a_stop_starts_it_anew,
        a_restart_during_a_start_begins_anew,
        what_is_done_by_hand_is_shown,
        one_that_never_gets_well_says_why,
        one_that_crashes_says_why,
        one_that_crashes_again_and_again_is_given_up,
        a_port_that_was_taken_meanwhile_is_replaced,
        many_at_once,
    );
    house_trials!(trials, [Engine::Mock];
        one_that_somebody_started_is_not_waited_for_for_ever,
        every_fault_of_a_wish_is_told,
        the_built_in_template_is_whole,
    );
    house_trials!(trials, [Engine::Podman, Engine::Docker];
        an_image_that_cannot_be_had_is_told,
        a_port_that_leads_elsewhere_is_not_given,
    );
}

async fn creating_answers_at_once_and_goes_on(house: &mut House) -> Outcome {
    house.start().await?;
    let mut wish = house.wish("scout", "echo?start-after-ms=500");
    wish.provider = "keyed".to_owned();
    wish.api_key = Some("s3cret-api-key".to_owned());
    let agent = house.client()?.create(&wish, false).await.map_err(explained)?;
    assert_eq!(agent.state, AgentState::Creating);
    let agent = house.until_state("scout", AgentState::Running).await?;
    assert_eq!((agent.wanted, agent.model.as_str()), (Wanted::Running, "echo?start-after-ms=500"));
    assert!(agent.error.is_none() && agent.progress.is_none() && agent.started_at.is_some(), "{agent:?}");
    assert_eq!(agent.containers.len(), 1);
    let port = agent.port.ok_or("it has no port")?;
    assert!(http_get(port, "/healthz").await.is_ok());
    // Its healthcheck may have looked meanwhile.
    let but_for_health = |mut agent: Agent| {
        agent.containers.iter_mut().for_each(|container| container.health = None);
        agent
    };
    let listed: Vec<Agent> = house.client()?.agents().await?.into_iter().map(but_for_health).collect();
    assert_eq!(listed, [but_for_health(agent)]);
    assert_eq!(house.says("scout", "hello").await?, "echo: hello");
    Ok(())
}

async fn a_name_is_given_once(house: &mut House) -> Outcome {
    house.start().await?;
    let (client, wish) = (house.client()?, house.wish("scout", "echo"));
    let outcomes = join_all((0..8).map(|_| client.create(&wish, false))).await;
    let (made, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!(made.len(), 1);
    for outcome in refused {
        assert_eq!(code(outcome)?, "name_taken");
    }
    house.until_state("scout", AgentState::Running).await?;
    assert_eq!(house.containers("scout").await?.len(), 1);
    Ok(())
}

async fn what_is_asked_twice_is_done_once(house: &mut House) -> Outcome {
    house.start().await?;
    house.agent("scout").await?;
    let before = house.containers("scout").await?;
    let client = house.client()?;
    let started = join_all((0..4).map(|_| client.start("scout", true))).await;
    for agent in started {
        assert_eq!(agent.map_err(explained)?.state, AgentState::Running);
    }
    assert_eq!(house.containers("scout").await?, before);
    let stopped = join_all((0..4).map(|_| client.stop("scout", true))).await;
    for agent in stopped {
        assert_eq!(agent.map_err(explained)?.state, AgentState::Stopped);
    }
    let deleted = join_all((0..4).map(|_| client.delete("scout", true))).await;
    assert!(deleted.iter().any(Result::is_ok));
    for outcome in deleted.into_iter().filter(Result::is_err) {
        assert_eq!(code(outcome)?, "not_found");
    }
    assert_eq!(code(client.start("scout", true).await)?, "not_found");
    Ok(())
}

async fn stopped_and_started_again_it_keeps_its_port(house: &mut House) -> Outcome {
    house.start().await?;
    let port = house.agent("scout").await?.port;
    let client = house.client()?;
    let stopped = client.stop("scout", true).await.map_err(explained)?;
    assert_eq!((stopped.state, stopped.wanted, stopped.error), (AgentState::Stopped, Wanted::Stopped, None));
    let started = client.start("scout", true).await.map_err(explained)?;
    assert_eq!((started.state, started.port), (AgentState::Running, port));
    assert_eq!(house.says("scout", "again").await?, "echo: again");
    Ok(())
}

/// Nothing of the agent is on the engine or on the disk.
async fn nothing_is_left(house: &House, name: &str) -> Outcome {
    assert!(house.containers(name).await?.is_empty());
    let projects = house.runtime.projects().await?;
    let project = house.project(name)?;
    assert!(projects.iter().all(|summary| summary.name != project.as_str()));
    let folder = house.state().join("agents").join(name);
    assert!(!folder.exists(), "{}", folder.display());
    if let AnyRuntime::Mock(_, engine) = &house.runtime {
        let journal = engine.journal();
        let made = journal.iter().filter(|line| line.starts_with("create_volume")).count();
        let removed = journal.iter().filter(|line| line.starts_with("remove_volume")).count();
        assert_eq!(made, removed, "{journal:#?}");
    }
    Ok(())
}

async fn deleting_takes_everything_away(house: &mut House) -> Outcome {
    house.start().await?;
    house.agent("scout").await?;
    house.client()?.delete("scout", true).await.map_err(explained)?;
    nothing_is_left(house, "scout").await?;
    assert!(house.client()?.agents().await?.is_empty());
    // The name is free again.
    house.agent("scout").await?;
    Ok(())
}

async fn deleting_during_creation_leaves_nothing(house: &mut House) -> Outcome {
    house.start().await?;
    let client = house.client()?;
    for (number, wait) in [(0, false), (1, true), (2, true)] {
        let name = format!("scout-{number}");
        client.create(&house.wish(&name, "echo?healthy-after-ms=60000"), false).await.map_err(explained)?;
        if wait {
            // Somewhere in the middle.
            house.until(&name, |agent| agent.progress.is_some()).await?;
        }
        client.delete(&name, true).await.map_err(explained)?;
        nothing_is_left(house, &name).await?;
    }
    Ok(())
}

async fn stopping_during_creation_stops_it(house: &mut House) -> Outcome {
    house.start().await?;
    let client = house.client()?;
    let wish = house.wish("scout", "echo?healthy-after-ms=60000");
    client.create(&wish, false).await.map_err(explained)?;
    house.until("scout", |agent| !agent.containers.is_empty() || agent.progress.is_some()).await?;
    let agent = client.stop("scout", true).await.map_err(explained)?;
    assert_eq!((agent.state, agent.error), (AgentState::Stopped, None));
    let running = house.runtime.list_running(&house.prefix).await?;
    assert!(running.is_empty(), "{running:?}");
    Ok(())
}

async fn orders_in_a_storm_end_with_the_last(house: &mut House) -> Outcome {
    house.start().await?;
    house.agent("scout").await?;
    let client = house.client()?;
    for _ in 0..3 {
        let storm = (0..9).map(|number| async move {
            match number % 3 {
                0 => client.stop("scout", true).await,
                1 => client.start("scout", true).await,
                _ => client.start("scout", false).await,
            }
        });
        for outcome in join_all(storm).await {
            match outcome {
                Ok(_) => {}
                Err(ClientError::Refused { problem, .. }) if problem.code == "superseded" => {}
                Err(error) => return Err(explained(error)),
            }
        }
    }
    let agent = client.start("scout", true).await.map_err(explained)?;
    assert_eq!(agent.state, AgentState::Running);
    assert_eq!(house.says("scout", "still").await?, "echo: still");
    client.delete("scout", true).await.map_err(explained)?;
    nothing_is_left(house, "scout").await
}

async fn a_start_during_a_stop_starts_it_anew(house: &mut House) -> Outcome {
    house.start().await?;
    let before = house.agent_with("scout", "echo?stop-after-ms=1000").await?.started_at;
    let client = house.client()?;
    let stopped = client.stop("scout", true);
    let started = async {
        // It was told to stop, and answers still.
        house.until_logged("scout", "stopping").await?;
        client.start("scout", true).await.map_err(explained)
    };
    let (stopped, started) = join(stopped, started).await;
    assert_eq!(code(stopped)?, "superseded");
    let started = started?;
    assert_eq!(started.state, AgentState::Running);
    assert!(started.started_at > before, "{before:?}: {started:?}");
    Ok(())
}

async fn a_restart_during_a_start_begins_anew(house: &mut House) -> Outcome {
    house.start().await?;
    let client = house.client()?;
    let wish = house.wish("scout", "echo?healthy-after-ms=60000");
    let created = client.create(&wish, true);
    let restarted = async {
        house.until("scout", |agent| agent.progress.is_some()).await?;
        client.restart("scout", false).await.map_err(explained)
    };
    let (created, restarted) = join(created, restarted).await;
    assert_eq!(code(created)?, "superseded");
    assert_eq!(restarted?.state, AgentState::Creating);
    client.delete("scout", true).await.map_err(explained)?;
    nothing_is_left(house, "scout").await
}

/// Its healthcheck's news come more often than it may take.
async fn one_that_somebody_started_is_not_waited_for_for_ever(house: &mut House) -> Outcome {
    let folder = house.template_with("start_timeout = 60", "start_timeout = 2")?;
    house.config.serve.templates.insert("hasty".to_owned(), folder);
    house.start().await?;
    let mut wish = house.wish("scout", "echo?start-after-ms=60000");
    wish.template = Some("hasty".to_owned());
    let client = house.client()?;
    assert!(client.create(&wish, true).await.is_err());
    client.stop("scout", true).await.map_err(explained)?;
    house.runtime.start(&Target::name(house.project("scout")?), &Call::default()).await?;
    let why = |agent: &Agent| agent.error.as_ref().is_some_and(|error| error.code == "not_ready");
    house.until("scout", why).await?;
    Ok(())
}

async fn what_is_done_by_hand_is_shown(house: &mut House) -> Outcome {
    house.start().await?;
    house.agent("scout").await?;
    let target = Target::name(house.project("scout")?);
    let call = Call::default();
    house.runtime.stop(&target, &StopOptions::default(), &call).await?;
    let agent = house.until_state("scout", AgentState::Stopped).await?;
    assert_eq!(agent.wanted, Wanted::Running);
    house.runtime.start(&target, &call).await?;
    house.until_state("scout", AgentState::Running).await?;
    assert_eq!(house.says("scout", "there").await?, "echo: there");
    house.runtime.down(&target, &DownOptions::default(), &call).await?;
    let agent = house.until("scout", |agent| agent.containers.is_empty()).await?;
    assert_eq!(agent.error.map(|error| error.code).as_deref(), Some("gone"));
    let agent = house.client()?.start("scout", true).await.map_err(explained)?;
    assert_eq!((agent.state, agent.error), (AgentState::Running, None));
    Ok(())
}

async fn one_that_never_gets_well_says_why(house: &mut House) -> Outcome {
    let folder = house.template_with("start_timeout = 60", "start_timeout = 2")?;
    house.config.serve.templates.insert("hasty".to_owned(), folder);
    house.start().await?;
    let mut wish = house.wish("scout", "echo?unhealthy");
    wish.template = Some("hasty".to_owned());
    let outcome = house.client()?.create(&wish, true).await;
    assert!(["dependency", "timed_out", "not_ready"].contains(&code(outcome)?.as_str()));
    let agent = house.client()?.agent("scout").await?;
    assert_eq!(agent.wanted, Wanted::Running);
    assert!(matches!(agent.state, AgentState::Unhealthy | AgentState::Failed), "{agent:?}");
    assert!(agent.error.is_some_and(|error| !error.log.is_empty()));
    // It answers, and is told nothing: it could be anybody.
    assert_eq!(code(house.client()?.chat("scout", &message("x")).await)?, "not_proved");
    house.client()?.delete("scout", true).await.map_err(explained)?;
    nothing_is_left(house, "scout").await
}

async fn one_that_crashes_says_why(house: &mut House) -> Outcome {
    house.start().await?;
    let outcome = house
        .client()?
        .create(&house.wish("scout", "echo?start-after-ms=60000&crash-after-ms=300"), true)
        .await;
    let Err(ClientError::Refused { problem, .. }) = outcome else { return Err("it did not fail".into()) };
    assert!(problem.log.iter().any(|line| line.contains("crashed with 3")), "{problem:?}");
    let agent = house.client()?.agent("scout").await?;
    assert_eq!(agent.state, AgentState::Failed);
    // One that ran has a reason too.
    house.agent("other").await?;
    let _ = house.says("other", "!crash 7").await;
    let agent = house.until_state("other", AgentState::Failed).await?;
    assert!(agent.error.is_some_and(|error| error.message.contains("exit code 7")));
    house.client()?.start("other", true).await.map_err(explained)?;
    Ok(())
}

async fn one_that_crashes_again_and_again_is_given_up(house: &mut House) -> Outcome {
    let folder =
        house.template_with("    image: ${IMAGE}", "    restart: unless-stopped\n    image: ${IMAGE}")?;
    house.config.serve.templates.insert("stubborn".to_owned(), folder);
    house.start().await?;
    let mut wish = house.wish("scout", "echo?start-after-ms=60000&crash-after-ms=100");
    wish.template = Some("stubborn".to_owned());
    let outcome = house.client()?.create(&wish, true).await;
    let Err(ClientError::Refused { problem, .. }) = outcome else { return Err("it did not fail".into()) };
    assert!(problem.message.contains("again and again"), "{problem:?}");
    assert!(problem.log.iter().any(|line| line.contains("crashed with 3")), "{problem:?}");
    house.client()?.delete("scout", true).await.map_err(explained)?;
    nothing_is_left(house, "scout").await
}

async fn a_port_that_was_taken_meanwhile_is_replaced(house: &mut House) -> Outcome {
    house.start().await?;
    let port = house.agent("scout").await?.port.ok_or("it has no port")?;
    house.client()?.stop("scout", true).await.map_err(explained)?;
    let somebody_else = TcpListener::bind(("127.0.0.1", port))?;
    let agent = house.client()?.start("scout", true).await.map_err(explained)?;
    assert_eq!(agent.state, AgentState::Running);
    assert_ne!(agent.port, Some(port));
    assert_eq!(house.says("scout", "moved").await?, "echo: moved");
    drop(somebody_else);
    Ok(())
}

/// A rule of the firewall by which a port of this computer leads to another, where nobody listens: what an engine leaves behind that was
/// killed. It goes with this.
struct Forward(u16);

impl Forward {
    const NOWHERE: &str = "9";

    fn rule(&self, what: &str) -> std::io::Result<bool> {
        let port = self.0.to_string();
        let mut rule = Command::new("iptables");
        rule.args([
            "--wait",
            "--table",
            "nat",
            what,
            "OUTPUT",
            "--protocol",
            "tcp",
            "--destination",
            "127.0.0.1",
        ]);
        rule.args(["--dport", &port, "--jump", "REDIRECT", "--to-ports", Self::NOWHERE]);
        Ok(rule.stdout(Stdio::null()).stderr(Stdio::null()).status()?.success())
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        let _ = self.rule("--delete");
    }
}

async fn a_port_that_leads_elsewhere_is_not_given(house: &mut House) -> Outcome {
    let range = house.config.serve.ports.ok_or("it has no ports")?;
    let first = range.iter().next().ok_or("it has no ports")?;
    let forward = Forward(first);
    if !forward.rule("--insert").is_ok_and(|added| added) {
        return Err(Failed::NotHere("only root adds a rule to the firewall".to_owned()));
    }
    house.start().await?;
    let agent = house.agent("scout").await?;
    assert!(agent.port.is_some_and(|port| port != first), "{agent:?}");
    assert_eq!(house.says("scout", "here").await?, "echo: here");
    Ok(())
}

async fn many_at_once(house: &mut House) -> Outcome {
    house.start().await?;
    let count = if house.engine == Engine::Mock { 50 } else { 8 };
    let client = house.client()?;
    let wishes: Vec<_> = (0..count).map(|number| house.wish(&format!("a{number}"), "echo")).collect();
    for agent in join_all(wishes.iter().map(|wish| client.create(wish, true))).await {
        assert_eq!(agent.map_err(explained)?.state, AgentState::Running);
    }
    let agents = client.agents().await?;
    let ports: BTreeSet<_> = agents.iter().map(|agent| agent.port).collect();
    assert_eq!((agents.len(), ports.len()), (count, count));
    for outcome in join_all(agents.iter().map(|agent| client.delete(&agent.name, true))).await {
        outcome.map_err(explained)?;
    }
    assert!(house.runtime.list_running(&house.prefix).await?.is_empty());
    Ok(())
}

async fn every_fault_of_a_wish_is_told(house: &mut House) -> Outcome {
    house.start().await?;
    let mut wish = house.wish("Not A Slug", "");
    wish.provider = "keyed".to_owned();
    wish.base_url = Some("ftp://x".to_owned());
    let outcome = house.client()?.create(&wish, false).await;
    let Err(ClientError::Refused { status: 400, problem }) = outcome else {
        return Err("it was taken".into());
    };
    let fields = |faults: &[Fault]| faults.iter().map(|fault| fault.field.clone()).collect::<BTreeSet<_>>();
    let all = ["name", "api_key", "base_url", "model"].map(str::to_owned);
    assert_eq!(fields(&problem.faults), all.into());
    wish.template = Some("none".to_owned());
    let outcome = house.client()?.create(&wish, false).await;
    let Err(ClientError::Refused { problem, .. }) = outcome else { return Err("it was taken".into()) };
    assert!(fields(&problem.faults).contains("template"));
    assert!(house.client()?.agents().await?.is_empty());
    Ok(())
}

async fn an_image_that_cannot_be_had_is_told(house: &mut House) -> Outcome {
    let folder = house.template_with("localhost/longshore-agent:1", "localhost/there-is-none:1")?;
    house.config.serve.templates.insert("lost".to_owned(), folder);
    house.start().await?;
    let mut wish = house.wish("scout", "echo");
    wish.template = Some("lost".to_owned());
    assert_eq!(code(house.client()?.create(&wish, true).await)?, "image");
    assert_eq!(house.client()?.agent("scout").await?.state, AgentState::Failed);
    Ok(())
}

async fn the_built_in_template_is_whole(house: &mut House) -> Outcome {
    house.config.serve.template = None;
    house.start().await?;
    let mut wish = house.wish("scout", "a \"model\"");
    wish.provider = "anthropic".to_owned();
    wish.api_key = Some("s3cret-api-key".to_owned());
    let agent = house.client()?.create(&wish, true).await.map_err(explained)?;
    assert_eq!(
        (agent.template.as_str(), agent.image.as_str()),
        ("openclaw", "ghcr.io/openclaw/openclaw:latest")
    );
    assert_eq!(house.says("scout", "hello").await?, "echo: hello");
    let config = house.state().join("agents/scout/project/config/openclaw.json");
    let config: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(config)?)?;
    let provider = &config["models"]["providers"]["agent"];
    assert_eq!(provider["models"][0]["id"], "a \"model\"");
    assert_eq!(
        (&provider["api"], &provider["baseUrl"]),
        (&"anthropic-messages".into(), &"https://api.anthropic.com".into())
    );
    assert_eq!(
        (&provider["apiKey"], &config["gateway"]["auth"]["token"]),
        (&"${API_KEY}".into(), &"${OPENCLAW_GATEWAY_TOKEN}".into())
    );
    Ok(())
}
