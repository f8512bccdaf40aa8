//! How a program that uses Longshore is tested without an engine.
//!
//! `restart_from_scratch` stands for your code: it takes any runtime. The engine in memory keeps the promises of the real ones,
//! so the test is short and fast. `cargo run -p longshore --example mock_test`.

use std::{error::Error, sync::Arc};

use longshore::{
    AnyRuntime, Call, Config, ContainerRuntime, DownOptions, LoadOptions, Project, Result, RuntimeChoice,
    Target, UpOptions, load_str,
};

/// Your code.
async fn restart_from_scratch(runtime: &dyn ContainerRuntime, project: &Project) -> Result<usize> {
    let call = Call::default();
    runtime.down(&Target::from(project), &DownOptions::default(), &call).await?;
    Ok(runtime.up(project, &UpOptions::default(), &call).await?.steps)
}

/// Your test, if it were one: `#[tokio::test(start_paused = true)]` makes waiting take no time.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let file = "services:
  db: {image: 'postgres:17'}
  web: {image: 'nginx:1', depends_on: [db]}
";
    let project = load_str("compose.yaml", file, &LoadOptions::new("/srv/shop"))?;

    let mut config = Config::default();
    config.runtime = Some(RuntimeChoice::Mock);
    let runtime: Arc<dyn ContainerRuntime> = AnyRuntime::connect(&config).await?.into();

    let first = restart_from_scratch(&*runtime, &project).await?;
    let second = restart_from_scratch(&*runtime, &project).await?;
    assert_eq!(first, second + 2, "everything was made anew, but for the two images");

    let names: Vec<String> = runtime.ps(&project.name).await?.into_iter().map(|c| c.name).collect();
    assert_eq!(names, ["shop-db-1", "shop-web-1"]);
    println!("it works");
    Ok(())
}
