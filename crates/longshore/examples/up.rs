//! Brings up the compose project of the current folder and prints what happens.
//!
//! `cargo run -p longshore --example up`, in a folder with a `compose.yaml`; `LONGSHORE_RUNTIME=mock` needs no engine.

use std::{collections::BTreeMap, error::Error, time::Duration};

use longshore::{AnyRuntime, Call, Config, ContainerRuntime, LoadOptions, UpOptions, Wait, load};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let env: BTreeMap<String, String> = std::env::vars().collect();

    // The library reads no environment by itself: what it may see is given to it.
    let mut options = LoadOptions::new(std::env::current_dir()?);
    options.env = env.clone();
    let project = load(&options)?;

    let config = Config::load(Config::default(), &env, None)?;
    let runtime = AnyRuntime::connect(&config).await?;

    // Events are data; which words they become is up to you. The token of a call cancels it.
    let call = Call::reporting(|event| println!("{:?} {:?}", event.subject, event.phase));
    let cancel = call.cancel.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            cancel.cancel();
        }
    });

    let mut up = UpOptions::default();
    up.wait = Wait::Healthy { timeout: Some(Duration::from_secs(60)) };
    let outcome = runtime.up(&project, &up, &call).await?;
    println!("{} steps", outcome.steps);
    for container in runtime.ps(&project.name).await? {
        println!("{} {}", container.name, container.state.as_str());
    }
    Ok(())
}
