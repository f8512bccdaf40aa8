//! What happens, and what agents log, for who reads quickly, slowly, or comes back.

use std::collections::BTreeMap;

use futures_util::{
    StreamExt,
    future::{join, join_all},
};
use longshore_server::{
    api::{AgentState, EndReason, LogQuery},
    client::{LogEvent, ServerEvent},
};
use longshore_tests::{
    Failed, Outcome,
    house::{Engine, House, Trials, explained, message},
    house_trials,
};

pub(crate) fn tests(trials: &mut Trials) {
    house_trials!(trials, Engine::ALL;
        news_begin_with_all_that_there_is_and_go_on,
        who_comes_back_misses_nothing,
        a_log_ends_with_its_agent,
        a_log_goes_on_where_it_was_left,
        only_the_last_lines_come_if_asked_for,
        a_log_that_is_not_followed_ends,
        many_read_one_log,
        who_is_slow_is_told_what_was_missed,
    );
    house_trials!(trials, [Engine::Mock]; news_never_go_back, a_stream_with_nothing_to_tell_says_that_it_is_alive);
}

async fn news_begin_with_all_that_there_is_and_go_on(house: &mut House) -> Outcome {
    house.start().await?;
    house.agent("one").await?;
    let mut events = house.client()?.events(None).await?;
    let first = events.next().await.ok_or("nothing came")??.0;
    let ServerEvent::Snapshot(snapshot) = first else { return Err(format!("first came {first:?}").into()) };
    assert_eq!(snapshot.agents.len(), 1);
    assert!(snapshot.runtime.available, "{snapshot:?}");
    let client = house.client()?;
    client.create(&house.wish("two", "echo"), true).await.map_err(explained)?;
    client.delete("two", true).await.map_err(explained)?;
    let mut states = Vec::new();
    while let Some(event) = events.next().await {
        match event?.0 {
            ServerEvent::Agent(agent) if agent.name == "two" && states.last() != Some(&agent.state) => {
                states.push(agent.state);
            }
            ServerEvent::Deleted(deleted) if deleted.name == "two" => break,
            _ => {}
        }
    }
    assert_eq!(states, [AgentState::Creating, AgentState::Running, AgentState::Deleting]);
    house.stop().await?;
    let mut last = None;
    while let Some(Ok(event)) = events.next().await {
        last = Some(event.0);
    }
    assert!(matches!(last, Some(ServerEvent::End(end)) if end.reason == EndReason::ShuttingDown));
    Ok(())
}

/// Those who give orders and those who carry them out tell of the same agent, and neither waits for the other.
async fn news_never_go_back(house: &mut House) -> Outcome {
    house.start().await?;
    let mut events = house.client()?.events(None).await?;
    events.next().await.ok_or("nothing came")??;
    let names = ["one", "two", "three", "four"];
    const LIVES: usize = 25;
    let lives = async |name: &str| -> Outcome {
        for _ in 0..LIVES {
            house.agent(name).await?;
            house.client()?.delete(name, true).await.map_err(explained)?;
        }
        Ok(())
    };
    let told = async {
        let mut told: BTreeMap<String, Vec<Option<AgentState>>> = BTreeMap::new();
        let mut ends = 0;
        while ends < names.len() * LIVES {
            let (name, state) = match events.next().await.ok_or("it broke off")??.0 {
                ServerEvent::Agent(agent) => (agent.name, Some(agent.state)),
                ServerEvent::Deleted(deleted) => (deleted.name, None),
                _ => continue,
            };
            ends += usize::from(state.is_none());
            let told = told.entry(name).or_default();
            if told.last() != Some(&state) {
                told.push(state);
            }
        }
        Ok::<_, Failed>(told)
    };
    let (lived, told) = join(join_all(names.map(lives)), told).await;
    lived.into_iter().collect::<Outcome>()?;
    let life = [Some(AgentState::Creating), Some(AgentState::Running), Some(AgentState::Deleting), None];
    for (name, states) in told? {
        for (at, states) in states.chunks(life.len()).enumerate() {
            assert_eq!(states, life, "life {at} of {name}");
        }
    }
    Ok(())
}

async fn who_comes_back_misses_nothing(house: &mut House) -> Outcome {
    house.start().await?;
    let mut events = house.client()?.events(None).await?;
    house.agent("one").await?;
    // All that there is until now, by one who stays and by one who comes back after each event.
    let mut stayed = Vec::new();
    while let Some(event) = events.next().await {
        let (event, id) = event?;
        let is_last = matches!(&event, ServerEvent::Agent(agent) if agent.state == AgentState::Running);
        stayed.push((id, event));
        if is_last {
            break;
        }
    }
    let from =
        stayed.iter().position(|(_, event)| matches!(event, ServerEvent::Agent(_))).ok_or("no agent")?;
    let mut came_back = stayed[..=from].to_vec();
    while came_back.len() < stayed.len() {
        let id = came_back.last().map(|(id, _)| id.clone());
        let mut events = house.client()?.events(id.as_deref()).await?;
        let (event, id) = events.next().await.ok_or("nothing came")??;
        came_back.push((id, event));
    }
    assert_eq!(came_back, stayed);
    // Of another server's events nothing is known.
    for id in ["abcdef01-3", "x", "-", "99999999999999999999-1"] {
        let mut events = house.client()?.events(Some(id)).await?;
        let event = events.next().await.ok_or("nothing came")??.0;
        assert!(matches!(event, ServerEvent::Snapshot(_)), "{id}: {event:?}");
    }
    Ok(())
}

/// Reads until the end: the texts of lines, and why it ended.
async fn read(
    house: &House,
    query: LogQuery,
    after: Option<&str>,
) -> Result<(Vec<(String, String)>, EndReason), Failed> {
    let mut events = house.client()?.logs("scout", &query, after).await?;
    let mut lines = Vec::new();
    while let Some(event) = events.next().await {
        match event? {
            LogEvent::Line(line, id) => lines.push((line.text, id)),
            LogEvent::End(end) => return Ok((lines, end.reason)),
            other => return Err(format!("{other:?}").into()),
        }
    }
    Err("it broke off".into())
}

/// The same lines, or the first one that differs.
#[track_caller]
fn same(lines: &[(String, String)], expected: &[(String, String)], what: &str) {
    let differs = lines.iter().zip(expected).position(|(one, other)| one != other);
    if let Some(at) = differs {
        panic!("{what}: line {at} is {:?} and not {:?}", lines[at], expected[at]);
    }
    assert_eq!(lines.len(), expected.len(), "{what}");
}

fn all() -> LogQuery {
    LogQuery { tail: 100_000, follow: false, ..LogQuery::default() }
}

async fn a_log_ends_with_its_agent(house: &mut House) -> Outcome {
    house.start().await?;
    house.agent("scout").await?;
    let client = house.client()?.clone();
    let query = LogQuery { follow: true, ..all() };
    let (read, stopped) = tokio::join!(read(house, query, None), async {
        house.says("scout", "hello").await?;
        client.stop("scout", true).await.map_err(explained)
    });
    stopped?;
    let (lines, reason) = read?;
    assert_eq!(reason, EndReason::NotRunning);
    let texts: Vec<&str> = lines.iter().map(|(text, _)| text.as_str()).collect();
    assert!(texts.contains(&"chat 1 messages") && texts.last() == Some(&"stopping"), "{texts:?}");
    Ok(())
}

async fn a_log_goes_on_where_it_was_left(house: &mut House) -> Outcome {
    house.start().await?;
    house.agent("scout").await?;
    house.says("scout", "!flood 3000").await?;
    // What it has written is not yet what the engine has kept.
    house.until_logged("scout", "flood 0000003000").await?;
    let (whole, reason) = read(house, all(), None).await?;
    assert_eq!(reason, EndReason::Complete);
    assert!(whole.len() > 3000, "{}", whole.len());
    for at in [0, 1, 1500, whole.len() - 2] {
        // By the log as it is, and by one that is followed: at once, and when what is kept does not reach back so far.
        let (rest, _) = read(house, all(), Some(&whole[at].1)).await?;
        same(&rest, &whole[at + 1..], &format!("after line {at}"));
        let query = LogQuery { tail: 1000, follow: true, ..LogQuery::default() };
        let mut events = house.client()?.logs("scout", &query, Some(&whole[at].1)).await?;
        for expected in &whole[at + 1..] {
            match events.next().await.ok_or("it broke off")?? {
                LogEvent::Line(line, id) => assert_eq!(&(line.text, id), expected),
                other => return Err(format!("{other:?}").into()),
            }
        }
    }
    Ok(())
}

async fn only_the_last_lines_come_if_asked_for(house: &mut House) -> Outcome {
    house.start().await?;
    house.agent("scout").await?;
    house.says("scout", "!flood 2500").await?;
    house.until_logged("scout", "flood 0000002500").await?;
    let (whole, _) = read(house, all(), None).await?;
    for tail in [0, 1, 10, 1000, 2000] {
        let (lines, _) = read(house, LogQuery { tail, follow: false, ..LogQuery::default() }, None).await?;
        let last = whole.len() - usize::try_from(tail)?;
        same(&lines, &whole[last..], &format!("the last {tail}"));
        let mut events = house
            .client()?
            .logs("scout", &LogQuery { tail, follow: true, ..LogQuery::default() }, None)
            .await?;
        for expected in &whole[last..] {
            match events.next().await.ok_or("it broke off")?? {
                LogEvent::Line(line, id) => assert_eq!(&(line.text, id), expected, "the last {tail}"),
                other => return Err(format!("{other:?}").into()),
            }
        }
    }
    Ok(())
}

async fn a_log_that_is_not_followed_ends(house: &mut House) -> Outcome {
    house.start().await?;
    house.agent("scout").await?;
    let (lines, reason) = read(house, all(), None).await?;
    assert!(!lines.is_empty());
    assert_eq!(reason, EndReason::Complete);
    house.client()?.stop("scout", true).await.map_err(explained)?;
    let (after, reason) = read(house, LogQuery { follow: true, ..all() }, None).await?;
    assert_eq!(reason, EndReason::NotRunning);
    assert!(after.len() > lines.len() && after.starts_with(&lines));
    Ok(())
}

async fn many_read_one_log(house: &mut House) -> Outcome {
    house.start().await?;
    house.agent("scout").await?;
    let readers = if house.engine == Engine::Mock { 1000 } else { 200 };
    let query = LogQuery { tail: 0, follow: true, ..LogQuery::default() };
    let opened = join_all((0..readers).map(|_| async {
        house
            .client()
            .map_err(|error| error.message().to_owned())?
            .logs("scout", &query, None)
            .await
            .map_err(|error| error.to_string())
    }));
    let mut logs = Vec::new();
    for opened in opened.await {
        logs.push(opened?);
    }
    house.says("scout", "!flood 50").await?;
    let counts = join_all(logs.iter_mut().map(|log| async {
        let mut count = 0;
        while let Some(Ok(event)) = log.next().await {
            count += u32::from(matches!(event, LogEvent::Line(line, _) if line.text.starts_with("flood")));
            if count == 50 {
                break;
            }
        }
        count
    }));
    assert!(counts.await.iter().all(|count| *count == 50));
    Ok(())
}

async fn who_is_slow_is_told_what_was_missed(house: &mut House) -> Outcome {
    house.start().await?;
    house.agent("scout").await?;
    let query = LogQuery { tail: 0, follow: true, ..LogQuery::default() };
    // Two do not read yet while more is logged than is kept and than any buffer on the way holds.
    let mut slow = house.client()?.logs("scout", &query, None).await?;
    const LINES: u64 = 120_000;
    house.says("scout", &format!("!flood {LINES}")).await?;
    let mut quick = house
        .client()?
        .logs("scout", &LogQuery { tail: 1, follow: true, ..LogQuery::default() }, None)
        .await?;
    let mut last = message("the");
    last.messages.extend(message("last").messages);
    let mut words = house.client()?.chat("scout", &last).await?;
    while let Some(word) = words.next().await {
        word?;
    }
    while let Some(event) = quick.next().await {
        if matches!(event?, LogEvent::Line(line, _) if line.text == "chat 2 messages") {
            break;
        }
    }
    let (mut lines, mut missed) = (0, 0);
    while let Some(event) = slow.next().await {
        match event? {
            LogEvent::Line(line, _) if line.text.starts_with("flood") => lines += 1,
            LogEvent::Line(line, _) if line.text == "chat 2 messages" => break,
            LogEvent::Missed(some) => missed += some.count.unwrap_or_default(),
            LogEvent::End(end) => return Err(format!("{end:?}").into()),
            _ => {}
        }
    }
    assert!(missed > 0, "nothing was missed");
    assert!(lines + missed >= LINES, "{lines} lines and {missed} missed");
    Ok(())
}

async fn a_stream_with_nothing_to_tell_says_that_it_is_alive(house: &mut House) -> Outcome {
    house.start().await?;
    let mut answer = reqwest::get(format!("{}/events", house.url()?)).await?;
    let mut told = String::new();
    while let Some(piece) = answer.chunk().await? {
        told.push_str(&String::from_utf8_lossy(&piece));
        // A comment, which clients read over.
        if told.contains("\n: alive\n") {
            return Ok(());
        }
    }
    Err(format!("it ended: {told}").into())
}
