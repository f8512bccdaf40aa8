//! `cargo xtask`: what is done to Longshore besides building it.

mod bench;

use clap::Parser;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about)]
enum Task {
    /// Measure Longshore beside its peers and beside bare calls of the engine, in one run, and say how they compare
    Bench(bench::Options),
    /// Bring so many services up and down in memory, and print the most memory that took, in kB
    #[command(hide = true)]
    InMemory { services: usize },
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    let outcome = match Task::parse() {
        Task::Bench(options) => bench::run(&options).await,
        Task::InMemory { services } => bench::print_peak(services).await,
    };
    match outcome {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}
