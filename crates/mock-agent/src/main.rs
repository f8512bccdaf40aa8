//! The agent as the only program of an image. `PORT`, `OPENCLAW_GATEWAY_TOKEN` and `MODEL` say how it runs; `mock-agent health`
//! asks the one that runs beside it, because the image has nothing else that could.

use std::{
    env,
    future::Future,
    io::{self, Read, Write},
    net::{Ipv4Addr, TcpStream},
    process::ExitCode,
    time::Duration,
};

use mock_agent::{Line, Options, serve};
use tokio::net::TcpListener;

const PORT: &str = "PORT";
const TOKEN: &str = "OPENCLAW_GATEWAY_TOKEN";
const MODEL: &str = "MODEL";

/// What ends it before it runs: the exit code and why.
struct Refusal(u8, String);

/// It is written wrongly.
fn usage(message: String) -> Refusal {
    Refusal(2, message)
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self(1, error.to_string())
    }
}

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let outcome = match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => agent(),
        ["health"] => health(),
        _ => Err(usage("it takes no argument, or \"health\"".to_owned())),
    };
    outcome.map_or_else(
        |Refusal(code, message)| {
            print(Line::Err(message));
            code.into()
        },
        ExitCode::from,
    )
}

/// Who read it may be gone, which is no reason to end.
fn print(line: Line) {
    let _ = match line {
        Line::Out(text) => writeln!(io::stdout(), "{text}"),
        Line::Err(text) => writeln!(io::stderr(), "{text}"),
    };
}

fn variable(name: &str, default: &str) -> Result<String, Refusal> {
    match env::var(name) {
        Ok(value) if !value.is_empty() => Ok(value),
        Ok(_) | Err(env::VarError::NotPresent) => Ok(default.to_owned()),
        Err(env::VarError::NotUnicode(_)) => Err(usage(format!("{name} is not UTF-8"))),
    }
}

fn port() -> Result<u16, Refusal> {
    let text = variable(PORT, "18789")?;
    text.parse().map_err(|_| usage(format!("{PORT} is a port, not {text:?}")))
}

#[tokio::main(flavor = "current_thread")]
async fn agent() -> Result<u8, Refusal> {
    // As pid 1 it gets no signal that it has not asked for, so it asks before all else.
    let stop = stop_signal()?;
    let token = variable(TOKEN, "")?;
    if token.is_empty() {
        return Err(usage(format!("{TOKEN} is not set; without a token anybody could talk to the agent")));
    }
    let model = variable(MODEL, "echo")?;
    let mut options = Options::parse(&token, &model).map_err(|error| usage(format!("{MODEL}: {error}")))?;
    options.environment = env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    options.environment.remove(TOKEN);
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port()?)).await?;
    Ok(serve(listener, options, print, stop).await)
}

#[cfg(unix)]
fn stop_signal() -> io::Result<impl Future<Output = ()> + Send> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

#[cfg(windows)]
fn stop_signal() -> io::Result<impl Future<Output = ()> + Send> {
    let mut interrupt = tokio::signal::windows::ctrl_c()?;
    Ok(async move {
        interrupt.recv().await;
    })
}

fn health() -> Result<u8, Refusal> {
    let time = Some(Duration::from_secs(5));
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port()?))?;
    stream.set_read_timeout(time)?;
    stream.set_write_timeout(time)?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.lines().next().unwrap_or_default();
    match status.split_whitespace().nth(1) {
        Some("200") => {
            print(Line::Out("healthy".to_owned()));
            Ok(0)
        }
        _ => Err(Refusal(1, format!("not healthy: {status}"))),
    }
}
