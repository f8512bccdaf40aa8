//! `agents`.

mod logs;
mod orders;
pub(super) mod place;
pub(super) mod words;

use std::collections::BTreeMap;

use futures_util::StreamExt;
use longshore_server::api::{AgentList, ChatRequest};
use serde_json::json;

use self::place::Server;
use crate::{
    again,
    args::{Agents, Chat, Format, Of, Place, Verb},
    context::Context,
    exit::{ExitCode, Failure},
    output::Paint,
    table::table,
};

/// Does with agents what the user asked for.
pub(crate) async fn agents(args: Agents, context: &Context) -> Result<ExitCode, Failure> {
    let Agents { place, verb } = args;
    let server = place::find(&place, context).await?;
    let done = match verb {
        Verb::List => list(&server, context).await,
        Verb::Show(of) => show(&of, &server, context).await,
        Verb::Create(args) => orders::create(args, &place, &server, context).await,
        Verb::Start(args) => orders::start(&args, &place, &server, context).await,
        Verb::Stop(args) => orders::stop(&args, &place, &server, context).await,
        Verb::Delete(args) => orders::delete(&args, &place, &server, context).await,
        Verb::Logs(args) => logs::logs(&args, &server, context).await,
        Verb::Chat(args) => chat(&args, &server, context).await,
        Verb::Status => status(&server, context).await,
    };
    done.map_err(|failure| helped(failure, &place))
}

/// Another command to the same server.
fn other(place: &Place, words: &[&str]) -> String {
    let typed = ["agents".to_owned()].into_iter().chain(place.words());
    again::line(&typed.chain(words.iter().map(|word| (*word).to_owned())).collect::<Vec<_>>())
}

/// A failure with what can be done about it here.
fn helped(failure: Failure, place: &Place) -> Failure {
    let Failure::Agents(mut problem, code) = failure else { return failure };
    let help = match problem.code.as_str() {
        "server_unreachable" => "`longshore serve` starts one; --server names another".to_owned(),
        "token_needed" => {
            "the token is in the file `token` of the server's state: name that folder with --state, or give \
             the token in LONGSHORE_TOKEN"
                .to_owned()
        }
        "invalid" if problem.faults.iter().any(|fault| fault.field == "api_key") => {
            "the key is in the file that --api-key-file names (`-` is stdin), or in LONGSHORE_API_KEY"
                .to_owned()
        }
        "not_found" if problem.help.is_none() => {
            format!("{} shows those that there are", other(place, &["list"]))
        }
        _ => return Failure::Agents(problem, code),
    };
    problem.help = Some(help);
    Failure::Agents(problem, code)
}

async fn list(server: &Server, context: &Context) -> Result<ExitCode, Failure> {
    let agents = context.reading(async { Ok(server.client.agents().await?) }).await?;
    let output = &context.output;
    if output.format == Format::Json {
        output.json(&AgentList { agents })?;
        return Ok(ExitCode::Ok);
    }
    let cells: Vec<_> = agents
        .iter()
        .map(|agent| {
            let port = agent.port.map(|port| port.to_string()).unwrap_or_default();
            let state = agent.state.as_str().to_owned();
            [agent.name.clone(), state, agent.model.clone(), port, agent.image.clone()]
        })
        .collect();
    let paint = Paint(output.stdout_colors);
    let errors = std::iter::once(None).chain(agents.iter().map(|agent| agent.error.as_ref()));
    for (row, error) in table(["NAME", "STATE", "MODEL", "PORT", "IMAGE"], &cells).lines().zip(errors) {
        output.line(row)?;
        if let Some(line) = error.and_then(|error| error.message.lines().next()) {
            output.line(&format!("  {} {line}", paint.bold_red("error:")))?;
        }
    }
    Ok(ExitCode::Ok)
}

async fn show(of: &Of, server: &Server, context: &Context) -> Result<ExitCode, Failure> {
    let agent = context.reading(async { Ok(server.client.agent(&of.name).await?) }).await?;
    match context.output.format {
        Format::Json => context.output.json(&agent)?,
        Format::Text => context.output.line(&words::all(&agent))?,
    }
    Ok(ExitCode::Ok)
}

async fn status(server: &Server, context: &Context) -> Result<ExitCode, Failure> {
    let status = context.reading(async { Ok(server.client.runtime_status().await?) }).await?;
    let output = &context.output;
    if output.format == Format::Json {
        output.json(&status)?;
    } else {
        output.line(&format!("server    {}", server.url))?;
        output.line(&format!("engine    {}", words::engine(&status)))?;
        output.line(&format!("machine   {}", words::machine(&status.machine)))?;
        for doing in &status.doing {
            let about = doing.agent.as_ref().map(|agent| format!(" {agent}")).unwrap_or_default();
            output.line(&format!("doing     {}{about}, since {}", doing.what, doing.since))?;
        }
        if let Some(problem) = &status.problem {
            output.line(&format!("problem   {}", problem.message))?;
            if let Some(help) = &problem.help {
                output.line(&format!("help      {}", help.replace('\n', "\n          ")))?;
            }
        }
    }
    Ok(if status.available { ExitCode::Ok } else { ExitCode::NoEngine })
}

async fn chat(args: &Chat, server: &Server, context: &Context) -> Result<ExitCode, Failure> {
    let message = ChatRequest {
        messages: vec![json!({ "role": "user", "content": args.message.join(" ") })],
        stream: Some(true),
        model: None,
        rest: BTreeMap::new(),
    };
    let output = &context.output;
    let mut answer = String::new();
    let said = context
        .reading(async {
            let mut words = server.client.chat(&args.of.name, &message).await?;
            while let Some(piece) = words.next().await {
                // Whoever broke off, there was a server.
                let piece = piece.map_err(|error| broke_off(error.into()))?;
                if output.format == Format::Text {
                    output.piece(&piece)?;
                }
                answer.push_str(&piece);
            }
            Ok(())
        })
        .await;
    match (output.format, &said) {
        (Format::Json, Ok(())) => output.json(&json!({ "agent": args.of.name, "answer": answer }))?,
        (Format::Json, Err(_)) => {}
        // What follows begins a line.
        (Format::Text, said) if said.is_ok() || !answer.is_empty() => output.line("")?,
        (Format::Text, _) => {}
    }
    said.map(|()| ExitCode::Ok).map_err(by_hand)
}

/// A failure of a stream that had begun.
fn broke_off(failure: Failure) -> Failure {
    match failure {
        Failure::Agents(mut problem, ExitCode::NoEngine) => {
            if problem.code == "server_unreachable" {
                problem.code = "broke_off".to_owned();
                problem.message = format!("the answer broke off: {}", problem.message);
            }
            Failure::Agents(problem, ExitCode::Failed)
        }
        other => other,
    }
}

/// What has no other end than a signal is not told that one came.
fn by_hand(failure: Failure) -> Failure {
    match failure {
        Failure::Signal(..) => Failure::Silent(failure.exit_code()),
        other => other,
    }
}
