//! Talking to agents.

use futures_util::{StreamExt, future::join_all};
use longshore_server::api::AgentState;
use longshore_server::client::ClientError;
use longshore_tests::{
    Failed, Outcome,
    house::{Engine, House, Trials, code, explained, message},
    house_trials,
};

pub(crate) fn tests(trials: &mut Trials) {
    house_trials!(trials, Engine::ALL;
        words_come_as_they_are_said,
        an_answer_comes_as_a_whole_if_asked_for,
        who_goes_is_not_answered_on,
        one_that_breaks_off_is_told_from_one_that_ends,
        one_that_does_not_run_is_told,
        many_talk_at_once,
    );
}

async fn words_come_as_they_are_said(house: &mut House) -> Outcome {
    house.start().await?;
    house.agent("scout").await?;
    // It goes on only as far as it is read: what came first came before the end.
    let mut words = house.client()?.chat("scout", &message("!count 100000")).await?;
    let first = words.next().await.ok_or("it said nothing")??;
    assert_eq!(first.trim(), "1");
    let mut count = 1;
    while let Some(word) = words.next().await {
        word?;
        count += 1;
    }
    assert_eq!(count, 100_000);
    Ok(())
}

async fn an_answer_comes_as_a_whole_if_asked_for(house: &mut House) -> Outcome {
    house.start().await?;
    house.agent("scout").await?;
    let client = reqwest::Client::builder().no_proxy().build()?;
    let answer = client
        .post(format!("{}/agents/scout/chat", house.url()?))
        .bearer_auth(house.token()?)
        .json(&serde_json::json!({ "messages": [{ "role": "user", "content": "hello" }], "stream": false, "seed": 5 }))
        .send()
        .await?;
    assert_eq!(answer.headers()["content-type"], "application/json");
    let answer: serde_json::Value = answer.json().await?;
    assert_eq!(answer["choices"][0]["message"]["content"], "echo: hello");
    Ok(())
}

async fn who_goes_is_not_answered_on(house: &mut House) -> Outcome {
    house.start().await?;
    house.agent_with("scout", "echo?delay-ms=20").await?;
    let mut words = house.client()?.chat("scout", &message("!count 1000000")).await?;
    words.next().await.ok_or("it said nothing")??;
    drop(words);
    house.until_logged("scout", "chat cancelled").await?;
    assert_eq!(house.says("scout", "!clients").await?, "0");
    Ok(())
}

async fn one_that_breaks_off_is_told_from_one_that_ends(house: &mut House) -> Outcome {
    house.start().await?;
    house.agent_with("scout", "echo?delay-ms=20").await?;
    let mut words = house.client()?.chat("scout", &message("!count 1000000")).await?;
    words.next().await.ok_or("it said nothing")??;
    let _ = house.says("scout", "!crash 9").await;
    let last = async {
        while let Some(word) = words.next().await {
            if let Err(error) = word {
                return Ok::<_, Failed>(error);
            }
        }
        Err("it ended as if all had been said".into())
    };
    match last.await? {
        ClientError::Refused { problem, .. } => assert_eq!(problem.code, "agent_unreachable"),
        error => return Err(error.into()),
    }
    Ok(())
}

async fn one_that_does_not_run_is_told(house: &mut House) -> Outcome {
    house.start().await?;
    house.agent("scout").await?;
    house.client()?.stop("scout", true).await.map_err(explained)?;
    for (name, expected) in [("scout", "not_running"), ("nobody", "not_found"), ("../shutdown", "not_found")]
    {
        let outcome = house.client()?.chat(name, &message("x")).await;
        assert_eq!(code(outcome)?, expected, "{name}");
    }
    let agent = house.client()?.agent("scout").await?;
    assert_eq!(agent.state, AgentState::Stopped);
    Ok(())
}

async fn many_talk_at_once(house: &mut House) -> Outcome {
    house.start().await?;
    house.agent("scout").await?;
    let answers = join_all((0..40).map(|number| {
        let house = &*house;
        async move { house.says("scout", &format!("number {number}")).await }
    }));
    for (number, answer) in answers.await.into_iter().enumerate() {
        assert_eq!(answer?, format!("echo: number {number}"));
    }
    Ok(())
}
