//! What agents do in an engine in memory: they become well, log, and answer what they are told, at real ports of this computer.

use std::net::Ipv4Addr;

use futures_util::future::BoxFuture;
use longshore::{
    AnyRuntime,
    mock::{Process, Program},
};
use mock_agent::{Line, Options};
use tokio::net::TcpListener;

use crate::settings::Settings;

/// Gives an engine in memory the images of the templates. Others have their own.
pub(crate) fn furnish(runtime: &AnyRuntime, settings: &Settings) {
    let AnyRuntime::Mock(_, engine) = runtime else { return };
    for template in settings.templates.values() {
        let agent = MockAgent { health: template.about.health.clone() };
        let image = &template.about.image;
        // As anywhere: what has no registry was built here, and all else has to come first.
        if image.starts_with("localhost/") {
            engine.image(image, agent);
        } else {
            engine.image_to_pull(image, agent);
        }
    }
}

#[derive(Debug)]
struct MockAgent {
    health: String,
}

/// The port of this computer that a container has.
fn port(process: &Process) -> Option<u16> {
    process.spec().ports.iter().find_map(|port| port.published.map(|host| host.first()))
}

impl Program for MockAgent {
    fn run(&self, process: Process) -> BoxFuture<'static, i64> {
        Box::pin(run(process))
    }

    fn exec(&self, process: Process) -> BoxFuture<'static, i64> {
        Box::pin(check(process, self.health.clone()))
    }
}

async fn run(process: Process) -> i64 {
    let environment = process.environment();
    let value = |name: &str| environment.get(name).map(String::as_str).unwrap_or_default();
    let options = match Options::parse(value("OPENCLAW_GATEWAY_TOKEN"), value("MODEL")) {
        Ok(options) => options,
        Err(error) => {
            process.err(error.to_string());
            return 2;
        }
    };
    let Some(port) = port(&process) else {
        process.err("no port of this computer was published");
        return 2;
    };
    let listener = match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
        Ok(listener) => listener,
        Err(error) => {
            process.err(format!("port {port}: {error}"));
            return 1;
        }
    };
    let printer = process.clone();
    let print = move |line| match line {
        Line::Out(text) => printer.out(text),
        Line::Err(text) => printer.err(text),
    };
    let stop = async move {
        process.signal().await;
    };
    i64::from(mock_agent::serve(listener, options, print, stop).await)
}

/// Asks it whether it is well, as a healthcheck in its container would.
async fn check(process: Process, path: String) -> i64 {
    let Some(port) = port(&process) else { return 1 };
    let Ok(client) = reqwest::Client::builder().no_proxy().build() else { return 1 };
    let answer = client.get(format!("http://127.0.0.1:{port}{path}")).send().await;
    i64::from(!answer.is_ok_and(|answer| answer.status().is_success()))
}
