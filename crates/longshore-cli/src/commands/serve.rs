//! `serve`.

use std::{io, path::Path, pin::pin, time::Duration};

use longshore::{Config, ConfigError};
use longshore_server::{
    Server, ServerError, SettingsError, StoreError,
    api::{Problem, RuntimeStatus, ShutdownReport},
    client::Client,
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::agents::{place::state_folder, words};
use crate::{
    args::{Format, Serve},
    context::Context,
    exit::{ExitCode, Failure},
    report::Report,
};

/// How long programs wait to be told where the server is, for the engine's sake.
const ENGINE: Duration = Duration::from_secs(3);

/// Serves agents until a signal or a client ends it.
pub(crate) async fn serve(args: &Serve, context: &Context) -> Result<ExitCode, Failure> {
    let mut flags = context.global.flags();
    args.add_to(&mut flags)?;
    let config = context.config_with(flags).await.map_err(listening)?;
    let started =
        context.reading(async { Server::start(&config).await.map_err(|error| refused(&error)) }).await;
    let server = match started {
        // Nothing was begun yet.
        Err(Failure::Signal(..)) => return Ok(ExitCode::Ok),
        started => started?,
    };
    let told = Told {
        url: server.url(),
        link: server.link(),
        client: Client::new(&server.url(), Some(server.token().to_owned()))?,
        config: &config,
        context,
    };
    let (end, hurry) = (CancellationToken::new(), CancellationToken::new());
    let mut run = pin!(server.run(&end, &hurry));
    let mut beside = pin!(async {
        // Nobody who reads it is no reason to end.
        tokio::select! {
            _ = told.tell() => { context.signals.nth(1).await; }
            _ = context.signals.nth(1) => {}
        }
        context.reporter.note("Stopping… (press Ctrl-C again to force)");
        end.cancel();
        context.signals.nth(2).await;
        hurry.cancel();
        std::future::pending::<()>().await;
    });
    let report = tokio::select! {
        report = &mut run => report,
        () = &mut beside => return Ok(ExitCode::Ok),
    };
    match report {
        Ok(report) => Ok(tell_end(&report, context)),
        Err(problem) => Err(Failure::Agents(Box::new(problem), ExitCode::Failed)),
    }
}

/// What is told at the start.
struct Told<'a> {
    url: String,
    link: String,
    client: Client,
    config: &'a Config,
    context: &'a Context,
}

impl Told<'_> {
    async fn tell(&self) -> io::Result<()> {
        let output = &self.context.output;
        let state = state_folder(self.config).unwrap_or_default();
        let (state, token) = (shown(&state), shown(&state.join("token")));
        let asking = self.client.runtime_status();
        match output.format {
            Format::Json => {
                let engine = tokio::time::timeout(ENGINE, asking).await.ok().and_then(Result::ok);
                output.json_line(
                    &json!({ "url": self.url, "link": self.link, "state": state, "token_file": token, "engine": engine }),
                )
            }
            Format::Text => {
                output.line(&format!("url       {}", self.url))?;
                output.line(&format!("page      {} (works once)", self.link))?;
                output.line(&format!("state     {state}"))?;
                output.line(&format!("token     in {token}"))?;
                match asking.await {
                    Ok(status) => output.line(&format!("engine    {}", engine(&status))),
                    Err(_) => Ok(()),
                }
            }
        }
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn engine(status: &RuntimeStatus) -> String {
    match &status.problem {
        Some(problem) => format!("{}, which cannot be used: {}", status.backend, problem.message),
        None => words::engine(status),
    }
}

/// Says what the end came to.
fn tell_end(report: &ShutdownReport, context: &Context) -> ExitCode {
    if context.output.format == Format::Json {
        context.output.note(&json!({ "shutdown": report }).to_string());
    } else {
        let stopped = match report.stopped.as_slice() {
            [] => "nothing ran".to_owned(),
            agents => agents.join(", "),
        };
        context.reporter.note(&format!("stopped   {stopped}"));
        for (agent, problem) in &report.failed {
            context.reporter.warn(&format!("{agent} may still run: {}", problem.message));
        }
        context.reporter.note(&format!("machine   {}", words::machine_end(&report.machine)));
    }
    if report.failed.is_empty() { ExitCode::Ok } else { ExitCode::Failed }
}

/// What the flag is called.
fn listening(failure: Failure) -> Failure {
    match failure {
        Failure::Config(error @ ConfigError::Setting { setting: "serve.listen", .. }) => Failure::Usage(
            error.to_string(),
            Some("--remote lets other computers reach it; without, it listens at 127.0.0.1".to_owned()),
        ),
        other => other,
    }
}

/// Why there is no server, with what to do about it.
fn refused(error: &ServerError) -> Failure {
    let sentence = error.to_string();
    let (code, exit, help) = match error {
        ServerError::Runtime(error) => return error.clone().into(),
        ServerError::Settings(SettingsError::NoState) => {
            ("settings", ExitCode::Usage, Some("name one with --state"))
        }
        ServerError::Settings(_) => ("settings", ExitCode::Usage, None),
        ServerError::Store(StoreError::Locked { .. }) => (
            "state_in_use",
            ExitCode::Failed,
            Some("use that one (`longshore agents`), or give this one a folder of its own with --state"),
        ),
        ServerError::Store(_) => ("state", ExitCode::Failed, None),
        ServerError::Listen { source, .. } => match source.kind() {
            io::ErrorKind::AddrInUse => (
                "address_in_use",
                ExitCode::Failed,
                Some("stop what listens there, or take another port with --listen; 0 lets the system choose"),
            ),
            io::ErrorKind::AddrNotAvailable => {
                ("listen", ExitCode::Failed, Some("--listen takes an address that this computer has"))
            }
            io::ErrorKind::PermissionDenied => {
                ("listen", ExitCode::Failed, Some("take a port above 1023 with --listen"))
            }
            _ => ("listen", ExitCode::Failed, None),
        },
        _ => ("io", ExitCode::Failed, None),
    };
    let problem = Problem { help: help.map(str::to_owned), ..Problem::new(code, sentence) };
    Failure::Agents(Box::new(problem), exit)
}
