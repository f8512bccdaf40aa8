//! `create`, `start`, `stop` and `delete`: orders, which the server carries out whoever waits.

use std::{
    future::Future,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use futures_util::StreamExt;
use longshore_server::{
    api::{Agent, CreateAgent},
    client::{self, ServerEvent},
};
use serde_json::json;

use super::{other, place::Server, words};
use crate::{
    args::{Asked, Create, Format, Place},
    context::Context,
    exit::{ExitCode, Failure},
    report::Report,
};

/// An order to the agent of that name.
struct Order<'a> {
    name: &'a str,
    waits: bool,
    place: &'a Place,
    server: &'a Server,
    context: &'a Context,
}

pub(super) async fn create(
    args: Create,
    place: &Place,
    server: &Server,
    context: &Context,
) -> Result<ExitCode, Failure> {
    let api_key = key(args.api_key_file, context).await?;
    let wish = CreateAgent {
        name: args.of.name,
        provider: args.provider,
        api_key,
        base_url: args.base_url,
        model: args.model,
        template: args.template,
    };
    let waits = !args.waiting.no_wait;
    let order = Order { name: &wish.name, waits, place, server, context };
    let agent = order.watched(server.client.create(&wish, waits)).await?;
    order.done(&agent, agent.state.as_str())
}

pub(super) async fn start(
    args: &Asked,
    place: &Place,
    server: &Server,
    context: &Context,
) -> Result<ExitCode, Failure> {
    let order = Order::new(args, place, server, context);
    let agent = order.watched(server.client.start(order.name, order.waits)).await?;
    order.done(&agent, agent.state.as_str())
}

pub(super) async fn stop(
    args: &Asked,
    place: &Place,
    server: &Server,
    context: &Context,
) -> Result<ExitCode, Failure> {
    let order = Order::new(args, place, server, context);
    let agent = order.waited_for(server.client.stop(order.name, order.waits)).await?;
    order.done(&agent, agent.state.as_str())
}

pub(super) async fn delete(
    args: &Asked,
    place: &Place,
    server: &Server,
    context: &Context,
) -> Result<ExitCode, Failure> {
    let order = Order::new(args, place, server, context);
    let agent = order.waited_for(server.client.delete(order.name, order.waits)).await?;
    order.done(&agent, if order.waits { "deleted" } else { agent.state.as_str() })
}

impl<'a> Order<'a> {
    fn new(args: &'a Asked, place: &'a Place, server: &'a Server, context: &'a Context) -> Self {
        Self { name: &args.of.name, waits: !args.waiting.no_wait, place, server, context }
    }

    /// Awaits an order's end. A signal ends the wait, and not what is waited for.
    async fn waited_for(&self, work: impl Future<Output = client::Result<Agent>>) -> Result<Agent, Failure> {
        let outcome = self.context.reading(async { Ok(work.await?) }).await;
        outcome.map_err(|failure| match failure {
            Failure::Signal(signal, _) => {
                let how = other(self.place, &["show", self.name]);
                let goes_on = format!("what was asked goes on in the server; {how} tells how far it is");
                Failure::Signal(signal, Some(goes_on))
            }
            other => other,
        })
    }

    /// The same while it is told how far the agent is.
    async fn watched(&self, work: impl Future<Output = client::Result<Agent>>) -> Result<Agent, Failure> {
        if !self.waits {
            return self.waited_for(work).await;
        }
        let seen = AtomicBool::new(false);
        let news = async {
            self.tell_news(&seen).await;
            std::future::pending().await
        };
        let outcome = tokio::select! {
            outcome = self.waited_for(work) => outcome,
            never = news => never,
        };
        outcome.map_err(|failure| match failure {
            Failure::Agents(mut problem, code) if seen.load(Ordering::Relaxed) => {
                if !problem.message.contains(self.name) {
                    problem.message = format!("{}: {}", self.name, problem.message);
                }
                let command = |verb| other(self.place, &[verb, self.name]);
                let advice = format!("{} tries it again, {} removes it", command("start"), command("delete"));
                problem.help = Some(match problem.help.take() {
                    // It knows of projects and not of agents.
                    _ if !problem.log.is_empty() => {
                        format!("{} shows all that it said\n{advice}", command("logs"))
                    }
                    Some(help) => format!("{help}\n{advice}"),
                    None => advice,
                });
                Failure::Agents(problem, code)
            }
            other => other,
        })
    }

    /// Tells each step. That it cannot be known is no failure: it is only not told.
    async fn tell_news(&self, seen: &AtomicBool) {
        let Ok(mut news) = self.server.client.events(None).await else { return };
        let mut last = String::new();
        while let Some(Ok((event, _))) = news.next().await {
            let agent = match event {
                ServerEvent::Agent(agent) => Some(*agent),
                ServerEvent::Snapshot(all) => all.agents.into_iter().find(|agent| agent.name == self.name),
                _ => None,
            };
            let Some(agent) = agent.filter(|agent| agent.name == self.name) else { continue };
            let Some(progress) = agent.progress else { continue };
            seen.store(true, Ordering::Relaxed);
            let line = match self.context.output.format {
                Format::Json => {
                    json!({ "agent": agent.name, "state": agent.state, "progress": progress }).to_string()
                }
                Format::Text => format!("{}  {}", self.name, words::step(&progress)),
            };
            if line != last {
                match self.context.output.format {
                    Format::Json => self.context.output.note(&line),
                    Format::Text => self.context.reporter.note(&line),
                }
                last = line;
            }
        }
    }

    fn done(&self, agent: &Agent, word: &str) -> Result<ExitCode, Failure> {
        match self.context.output.format {
            Format::Json => self.context.output.json(agent)?,
            Format::Text => self.context.output.line(&format!("{}  {word}", self.name))?,
        }
        Ok(ExitCode::Ok)
    }
}

/// The key of the provider: from a file, stdin or the environment. Never an argument, which others can read.
async fn key(file: Option<PathBuf>, context: &Context) -> Result<Option<String>, Failure> {
    let Some(path) = file else {
        return Ok(context.env.get("LONGSHORE_API_KEY").filter(|key| !key.trim().is_empty()).cloned());
    };
    let reading = tokio::task::spawn_blocking(move || {
        let mut text = String::new();
        let read = match path == Path::new("-") {
            true => io::stdin().lock().read_to_string(&mut text).map(|_| text),
            false => std::fs::read_to_string(&path),
        };
        read.map_err(|error| {
            Failure::Usage(format!("cannot read the key from {}: {error}", path.display()), None)
        })
    });
    let text = context.reading(async { reading.await.map_err(io::Error::other)? }).await?;
    Ok(Some(text.trim().to_owned()).filter(|key| !key.is_empty()))
}
