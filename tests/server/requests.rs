//! Requests as others send them: scanners, pages elsewhere, programs that are wrong.

use longshore_server::api::AgentState;
use longshore_tests::{
    Failed, Outcome,
    house::{Engine, House, Trials, explained},
    house_trials,
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

pub(crate) fn tests(trials: &mut Trials) {
    house_trials!(trials, [Engine::Mock];
        what_a_scanner_sends_is_answered_and_does_nothing,
        pages_elsewhere_reach_nothing,
        what_needs_the_token_is_refused_without_it,
        what_agents_log_is_told_only_with_the_token,
        numbers_for_prometheus,
        no_secret_is_in_any_answer,
        who_leaves_in_the_middle_leaves_nothing_half,
        who_does_not_finish_a_request_is_not_waited_for,
    );
}

/// Sends bytes, and returns what comes back until the connection ends.
async fn raw(house: &House, request: &[u8]) -> Result<String, Failed> {
    let address = house.url()?.trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(address).await?;
    // A server that has heard enough may be gone before all is said.
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn status(answer: &str) -> &str {
    answer.split_whitespace().nth(1).unwrap_or_default()
}

async fn what_a_scanner_sends_is_answered_and_does_nothing(house: &mut House) -> Outcome {
    house.start().await?;
    house.agent("scout").await?;
    let end = "Host: localhost\r\nConnection: close\r\n\r\n";
    let long = "a".repeat(300_000);
    let many: String = (0..300).map(|number| format!("X-{number}: 1\r\n")).collect();
    let authorized = format!("Authorization: Bearer {}\r\n", house.token()?);
    for (request, expected) in [
        (format!("GET /../../etc/passwd HTTP/1.1\r\n{end}"), "404"),
        (format!("GET /agents/..%2f..%2fetc%2fpasswd HTTP/1.1\r\n{end}"), "404"),
        (format!("GET /agents/%00 HTTP/1.1\r\n{end}"), "404"),
        (format!("GET /agents/%ff HTTP/1.1\r\n{end}"), "400"),
        (format!("GET /.env HTTP/1.1\r\n{end}"), "404"),
        (format!("GET http://evil.example/agents HTTP/1.1\r\n{end}"), "200"),
        (format!("TRACE / HTTP/1.1\r\n{end}"), "401"),
        (format!("PUT /agents HTTP/1.1\r\n{authorized}{end}"), "405"),
        (format!("DELETE /agents HTTP/1.1\r\n{authorized}{end}"), "405"),
        (format!("GET /{long} HTTP/1.1\r\n{end}"), "431"),
        (format!("GET / HTTP/1.1\r\nX: {long}\r\n{end}"), "431"),
        (format!("GET / HTTP/1.1\r\n{many}{end}"), "431"),
        ("GET / HTTP/1.1\r\nConnection: close\r\n\r\n".to_owned(), "421"),
        ("\x16\x03\x01\x02\x00\x01\x00".to_owned(), "400"),
        ("GET / HTTP/9.9\r\n\r\n".to_owned(), "400"),
        (format!("POST /agents/create HTTP/1.1\r\n{authorized}Content-Length: -1\r\n{end}"), "400"),
        (format!("POST /agents/create HTTP/1.1\r\n{authorized}Content-Length: 99999999999\r\n{end}"), "413"),
        (
            format!(
                "POST /agents/create HTTP/1.1\r\n{authorized}Content-Type: application/json\r\nContent-Length: 17000000\r\n{end}"
            ),
            "413",
        ),
        (
            format!(
                "POST /agents/create HTTP/1.1\r\n{authorized}Content-Type: text/plain\r\nContent-Length: 2\r\n{end}{{}}"
            ),
            "400",
        ),
        (
            format!(
                "POST /agents/create HTTP/1.1\r\n{authorized}Content-Type: application/json\r\nContent-Length: 5\r\n{end}[[[[["
            ),
            "400",
        ),
        (
            format!(
                "POST /agents/scout/chat HTTP/1.1\r\n{authorized}Content-Type: application/json\r\nContent-Length: 2\r\n{end}{{}}"
            ),
            "400",
        ),
        (format!("POST /agents/scout/start?wait=perhaps HTTP/1.1\r\n{authorized}{end}"), "400"),
        (format!("GET /agents/scout/logs?tail=-1 HTTP/1.1\r\n{authorized}{end}"), "400"),
        (format!("GET /agents/scout/logs?tial=1 HTTP/1.1\r\n{authorized}{end}"), "400"),
    ] {
        let answer = raw(house, request.as_bytes()).await?;
        let line: String = request.chars().take(60).collect();
        assert_eq!(status(&answer), expected, "{line:?}: {answer}");
        if let Some((_, body)) =
            answer.split_once("\r\n\r\n").filter(|(head, _)| head.contains("application/json"))
        {
            let body: Value =
                serde_json::from_str(body).map_err(|error| format!("{line}: {error}: {body}"))?;
            let told = |path: &str| body.pointer(path).is_some_and(Value::is_string);
            assert!(expected == "200" || (told("/error/code") && told("/error/message")), "{line}: {body}");
        }
    }
    // It is there as before.
    assert_eq!(house.says("scout", "well").await?, "echo: well");
    assert_eq!(house.client()?.agents().await?.len(), 1);
    Ok(())
}

async fn pages_elsewhere_reach_nothing(house: &mut House) -> Outcome {
    house.start().await?;
    house.agent("scout").await?;
    let authorized = format!("Authorization: Bearer {}", house.token()?);
    for (headers, expected) in [
        ("Host: evil.example".to_owned(), "421"),
        (format!("Host: evil.example:80\r\n{authorized}"), "421"),
        ("Host: localhost\r\nOrigin: https://evil.example".to_owned(), "403"),
        (format!("Host: localhost\r\nOrigin: https://evil.example\r\n{authorized}"), "403"),
        ("Host: localhost\r\nSec-Fetch-Site: cross-site".to_owned(), "403"),
        ("Host: localhost\r\nOrigin: null".to_owned(), "403"),
    ] {
        for path in ["/agents", "/events", "/agents/scout", "/metrics", "/openapi.json"] {
            let request = format!("GET {path} HTTP/1.1\r\n{headers}\r\nConnection: close\r\n\r\n");
            let answer = raw(house, request.as_bytes()).await?;
            assert_eq!(status(&answer), expected, "{path} {headers}: {answer}");
            assert!(!answer.contains("scout\""), "{answer}");
            assert!(!answer.to_lowercase().contains("access-control-allow-origin"), "{answer}");
        }
    }
    let preflight = "OPTIONS /agents/create HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\n\
        Access-Control-Request-Method: POST\r\nConnection: close\r\n\r\n";
    let answer = raw(house, preflight.as_bytes()).await?;
    assert!(!answer.to_lowercase().contains("access-control-allow-origin"), "{answer}");
    Ok(())
}

async fn what_needs_the_token_is_refused_without_it(house: &mut House) -> Outcome {
    house.start().await?;
    house.agent("scout").await?;
    let client = reqwest::Client::builder().no_proxy().build()?;
    for (method, path) in [
        ("POST", "/agents/create"),
        ("POST", "/agents/scout/start"),
        ("POST", "/agents/scout/stop"),
        ("DELETE", "/agents/scout"),
        ("GET", "/agents/scout/logs"),
        ("POST", "/agents/scout/chat"),
        ("POST", "/shutdown"),
    ] {
        for token in [None, Some("wrong")] {
            let request = client.request(method.parse()?, format!("{}{path}", house.url()?));
            let request = token.into_iter().fold(request, |request, token| request.bearer_auth(token));
            let answer = request.send().await?;
            assert_eq!(answer.status(), 401, "{method} {path}");
            assert_eq!(answer.headers()["www-authenticate"], "Bearer");
        }
    }
    assert_eq!(house.says("scout", "well").await?, "echo: well");
    Ok(())
}

async fn what_agents_log_is_told_only_with_the_token(house: &mut House) -> Outcome {
    house.start().await?;
    let wish = house.wish("scout", "echo?start-after-ms=60000&crash-after-ms=100");
    assert!(house.client()?.create(&wish, true).await.is_err());
    let with = house.client()?.agent("scout").await?;
    assert!(with.error.is_some_and(|error| !error.log.is_empty()));
    let client = longshore_server::client::Client::new(house.url()?, None)?;
    let without = client.agent("scout").await?;
    assert!(without.error.is_some_and(|error| error.log.is_empty()));
    Ok(())
}

async fn numbers_for_prometheus(house: &mut House) -> Outcome {
    house.start().await?;
    house.agent("scout").await?;
    house.says("scout", "x").await?;
    house.client()?.delete("scout", true).await.map_err(explained)?;
    house.agent("other").await?;
    let text = reqwest::get(format!("{}/metrics", house.url()?)).await?.text().await?;
    for line in [
        "longshore_agents{state=\"running\"} 1",
        "longshore_agents_created_total 2",
        "longshore_agents_deleted_total 1",
        "longshore_chats_total 1",
        "longshore_agent_failures_total 0",
    ] {
        assert!(text.lines().any(|one| one == line), "{line}\n{text}");
    }
    Ok(())
}

async fn no_secret_is_in_any_answer(house: &mut House) -> Outcome {
    house.start().await?;
    let mut wish = house.wish("scout", "echo?unhealthy&crash-after-ms=300");
    wish.provider = "keyed".to_owned();
    wish.api_key = Some("s3cret-api-key".to_owned());
    let refused = house.client()?.create(&wish, true).await;
    let secrets = std::fs::read_to_string(house.state().join("agents/scout/secrets.json"))?;
    let secrets: Value = serde_json::from_str(&secrets)?;
    let token = secrets["token"].as_str().ok_or("it has no token")?.to_owned();
    let mut told = format!("{refused:?}");
    for path in
        ["/agents", "/agents/scout", "/agents/runtime-status", "/metrics", "/openapi.json", "/healthz"]
    {
        let client = reqwest::Client::builder().no_proxy().build()?;
        let answer = client.get(format!("{}{path}", house.url()?)).bearer_auth(house.token()?).send().await?;
        told.push_str(&answer.text().await?);
    }
    for secret in ["s3cret-api-key", &token, house.token()?] {
        assert!(!told.contains(secret), "{told}");
    }
    // Nor in what lies beside its compose file.
    let project = house.state().join("agents/scout/project");
    for file in ["compose.yaml", "config/about.json"] {
        let text = std::fs::read_to_string(project.join(file))?;
        assert!(!text.contains("s3cret-api-key") && !text.contains(&token), "{file}");
    }
    Ok(())
}

async fn who_leaves_in_the_middle_leaves_nothing_half(house: &mut House) -> Outcome {
    house.start().await?;
    let address = house.url()?.trim_start_matches("http://").to_owned();
    let head = format!(
        "Host: localhost\r\nAuthorization: Bearer {}\r\nContent-Type: application/json",
        house.token()?
    );
    let send = async |request: String| -> Outcome {
        let mut stream = TcpStream::connect(&address).await?;
        stream.write_all(request.as_bytes()).await?;
        // It is reset at once, with the answer not read.
        stream.set_zero_linger()?;
        drop(stream);
        Ok(())
    };
    for number in 0..20 {
        let body = serde_json::to_string(&house.wish(&format!("a{number}"), "echo"))?;
        send(format!(
            "POST /agents/create HTTP/1.1\r\n{head}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))
        .await?;
    }
    for agent in house.client()?.agents().await? {
        house.until_state(&agent.name, AgentState::Running).await?;
        send(format!("POST /agents/{}/stop HTTP/1.1\r\n{head}\r\nContent-Length: 0\r\n\r\n", agent.name))
            .await?;
        // Whether or not that was heard, this is.
        house.client()?.delete(&agent.name, true).await.map_err(explained)?;
    }
    Ok(())
}

async fn who_does_not_finish_a_request_is_not_waited_for(house: &mut House) -> Outcome {
    house.start().await?;
    // Both return only because the server ends the connection.
    let head = raw(house, b"GET /agents HTTP/1.1\r\nHost: local");
    let authorized = format!("Host: localhost\r\nAuthorization: Bearer {}", house.token()?);
    let request = format!(
        "POST /agents/create HTTP/1.1\r\n{authorized}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{{"
    );
    let (head, body) = tokio::join!(head, raw(house, request.as_bytes()));
    assert!(!head?.contains("200"));
    assert_eq!(status(&body?), "400");
    Ok(())
}
