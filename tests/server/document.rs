//! The OpenAPI document, held against what the server really answers.

use std::collections::BTreeSet;

use longshore_tests::{
    Failed, Outcome,
    house::{Engine, House, Trials},
    house_trials,
};
use serde_json::{Value, json};

pub(crate) fn tests(trials: &mut Trials) {
    house_trials!(trials, [Engine::Mock]; answers_are_as_the_document_says);
}

/// What the server is asked, and the answer that is expected.
struct Asked {
    method: &'static str,
    /// As the document has it.
    path: &'static str,
    url: String,
    body: Option<Value>,
    with_token: bool,
    status: u16,
}

fn asked(method: &'static str, path: &'static str, status: u16) -> Asked {
    let url = path.replace("{name}", "scout");
    Asked { method, path, url, body: None, with_token: true, status }
}

impl Asked {
    fn body(self, body: Value) -> Self {
        Self { body: Some(body), ..self }
    }

    fn at(self, url: &str) -> Self {
        Self { url: url.to_owned(), ..self }
    }

    fn without_token(self) -> Self {
        Self { with_token: false, ..self }
    }
}

fn wish(name: &str) -> Value {
    json!({ "name": name, "provider": "none", "model": "echo" })
}

fn said(stream: bool) -> Value {
    json!({ "messages": [{ "role": "user", "content": "hello" }], "stream": stream })
}

async fn answers_are_as_the_document_says(house: &mut House) -> Outcome {
    house.start().await?;
    let client = reqwest::Client::builder().no_proxy().build()?;
    let document: Value = client.get(format!("{}/openapi.json", house.url()?)).send().await?.json().await?;
    assert_eq!(document["openapi"].as_str().map(|version| version.starts_with("3.1")), Some(true));
    let mut tried = BTreeSet::new();
    for one in [
        asked("get", "/healthz", 200),
        asked("get", "/agents/runtime-status", 200),
        asked("get", "/agents", 200),
        asked("post", "/agents/create", 201).body(wish("scout")).at("/agents/create?wait=true"),
        asked("post", "/agents/create", 400).body(json!({ "name": 5, "other": 1 })),
        asked("post", "/agents/create", 401).body(wish("scout")).without_token(),
        asked("post", "/agents/create", 409).body(wish("scout")),
        asked("get", "/agents", 200),
        asked("get", "/agents/{name}", 200),
        asked("get", "/agents/{name}", 404).at("/agents/nobody"),
        asked("post", "/agents/{name}/start", 202).at("/agents/scout/start?wait=true"),
        asked("post", "/agents/{name}/start", 404).at("/agents/nobody/start"),
        asked("post", "/agents/{name}/start", 401).without_token(),
        asked("post", "/agents/{name}/chat", 200).body(said(false)),
        asked("post", "/agents/{name}/chat", 200).body(said(true)),
        asked("post", "/agents/{name}/chat", 400).body(json!({})),
        asked("post", "/agents/{name}/chat", 404).body(said(true)).at("/agents/nobody/chat"),
        asked("get", "/agents/{name}/logs", 200).at("/agents/scout/logs?follow=false"),
        asked("get", "/agents/{name}/logs", 400).at("/agents/scout/logs?tail=x"),
        asked("get", "/agents/{name}/logs", 401).without_token(),
        asked("get", "/agents/{name}/logs", 404).at("/agents/nobody/logs"),
        asked("post", "/agents/{name}/restart", 202).at("/agents/scout/restart?wait=true"),
        asked("post", "/agents/{name}/restart", 404).at("/agents/nobody/restart"),
        asked("post", "/agents/{name}/restart", 401).without_token(),
        asked("get", "/templates", 200),
        asked("get", "/projects", 200),
        asked("post", "/runtime/setup", 202),
        asked("post", "/runtime/setup", 401).without_token(),
        asked("delete", "/runtime/setup", 202),
        asked("delete", "/runtime/setup", 401).without_token(),
        asked("post", "/agents/{name}/stop", 202).at("/agents/scout/stop?wait=true"),
        asked("post", "/agents/{name}/stop", 404).at("/agents/nobody/stop"),
        asked("post", "/agents/{name}/chat", 409).body(said(true)),
        asked("get", "/metrics", 200),
        asked("delete", "/agents/{name}", 401).without_token(),
        asked("delete", "/agents/{name}", 202),
        asked("delete", "/agents/{name}", 404).at("/agents/nobody"),
        asked("post", "/shutdown", 401).without_token(),
        asked("post", "/shutdown", 200),
    ] {
        try_one(house, &client, &document, &one).await?;
        tried.insert((one.path, one.method));
    }
    // A stream has no end of its own; its events are those of the client, which reads them by the same types.
    tried.insert(("/events", "get"));
    let paths = document["paths"].as_object().ok_or("there are no paths")?;
    let described: BTreeSet<(&str, &str)> = paths
        .iter()
        .flat_map(|(path, item)| {
            item.as_object().into_iter().flatten().map(|(method, _)| (path.as_str(), method.as_str()))
        })
        .collect();
    assert_eq!(described, tried, "described and tried differ");
    house.ended().await?;
    Ok(())
}

async fn try_one(house: &House, client: &reqwest::Client, document: &Value, one: &Asked) -> Outcome {
    let mut request =
        client.request(one.method.to_uppercase().parse()?, format!("{}{}", house.url()?, one.url));
    if one.with_token {
        request = request.bearer_auth(house.token()?);
    }
    if let Some(body) = &one.body {
        request = request.json(body);
    }
    let what = format!("{} {}", one.method, one.url);
    let answer = request.send().await?;
    let status = answer.status().as_u16();
    let kind = answer.headers().get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_owned();
    let text = answer.text().await?;
    assert_eq!(status, one.status, "{what}: {text}");
    let response = &document["paths"][one.path][one.method]["responses"][status.to_string()];
    assert!(response.is_object(), "{what}: {status} is not described");
    let schema = &response["content"][&kind]["schema"];
    assert!(!schema.is_null(), "{what}: {kind} is not described: {response}");
    if kind == "application/json" {
        let value: Value = serde_json::from_str(&text)?;
        valid(document, schema, &value).map_err(|error| Failed::from(format!("{what}: {error}: {text}")))?;
    }
    Ok(())
}

/// Whether a value is what a schema of the document says.
fn valid(document: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    let mut whole = schema.clone();
    // References lead into the document.
    if let Value::Object(object) = &mut whole {
        object.insert("components".to_owned(), document["components"].clone());
    }
    let validator = jsonschema::draft202012::new(&whole).map_err(|error| error.to_string())?;
    let errors: Vec<String> =
        validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path)).collect();
    if errors.is_empty() { Ok(()) } else { Err(errors.join("; ")) }
}
