//! The `longshore` command line: docker compose's habits over whatever engine this computer has.
//!
//! Results go to stdout, and everything that is only for the user, events and errors, to stderr. The words are made here
//! and nowhere below.

mod again;
mod args;
mod commands;
mod context;
mod exit;
mod host;
mod logs;
mod output;
mod refusal;
mod report;
mod services;
mod signals;
mod table;
mod terminal;
mod trace;

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use clap::{CommandFactory, Parser};

use crate::{
    again::Again,
    args::{Cli, Color, Command, Format},
    context::Context,
    exit::{ExitCode, Failure},
    output::Output,
    report::{Report, Reporter},
    signals::Signals,
    trace::Usually,
};

fn main() -> std::process::ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error).into(),
    };
    let mut runtime = match cli.command {
        // A server has much to do at once; and what is typed or heard goes on while nobody reads what is said.
        Command::Serve(_) | Command::Exec(_) | Command::Run(_) | Command::Attach(_) | Command::Events(_) => {
            tokio::runtime::Builder::new_multi_thread()
        }
        // The others wait for their engine most of the time, and more threads would but wake each other for all that it says.
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    let runtime = match runtime.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            Failure::Io(error).tell(&output(&cli, &BTreeMap::new()));
            return ExitCode::Failed.into();
        }
    };
    // A task among the others: what `block_on` waits for itself is woken by way of the system, each time.
    let code = match runtime.block_on(runtime.spawn(run(cli))) {
        Ok(code) => code,
        Err(ended) => std::panic::resume_unwind(ended.into_panic()),
    };
    // What still waits, on stdin for one, must not keep the process.
    runtime.shutdown_background();
    code.into()
}

async fn run(cli: Cli) -> ExitCode {
    // Variables that are not text cannot be meant for a compose file.
    let env: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let output = output(&cli, &env);
    let usually = match cli.command {
        Command::Serve(_) => Usually::WhatHappens,
        _ => Usually::Nothing,
    };
    trace::begin(cli.verbose, usually, output);
    let signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => {
            Failure::Io(error).tell(&output);
            return ExitCode::Failed;
        }
    };
    let reporter = Arc::new(Reporter::new(output));
    let context = Context {
        global: cli.global,
        files: cli.files,
        env,
        output,
        reporter: reporter.clone(),
        signals,
        connected: OnceLock::new(),
        failed: Arc::default(),
        booted: Arc::default(),
        loaded: OnceLock::new(),
        again: Again { arguments: arguments(), flags: Vec::new() },
    };
    let outcome = commands::run(cli.command, context).await;
    reporter.finish();
    match outcome {
        Ok(code) => code,
        Err(failure) => {
            failure.tell(&output);
            failure.exit_code()
        }
    }
}

fn output(cli: &Cli, env: &BTreeMap<String, String>) -> Output {
    let output = Output::new(cli.global.format, cli.global.color, env);
    Output { verbose: cli.verbose > 0, dry_run: cli.global.dry_run, ..output }
}

/// What was typed after the program's name.
fn arguments() -> Vec<String> {
    std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned()).collect()
}

/// Tells what clap found, or the help that it was asked for.
fn refuse(error: &clap::Error) -> ExitCode {
    let arguments = arguments();
    let wants_json = arguments.iter().any(|argument| argument == "--format=json")
        || arguments.windows(2).any(|pair| pair[0] == "--format" && pair[1] == "json");
    if error.use_stderr() && wants_json {
        let text = error.render().to_string();
        let message = text.trim().trim_start_matches("error: ").to_owned();
        let output = Output::new(Format::Json, Color::Never, &BTreeMap::new());
        Failure::Usage(message, None).tell(&output);
    } else {
        // A help that nobody reads to its end is no failure.
        let _ = error.print();
    }
    if error.use_stderr() { ExitCode::Usage } else { ExitCode::Ok }
}

/// The command as clap knows it, for completions.
fn command() -> clap::Command {
    Cli::command()
}
