//! The test images' program, as it behaves in them.

use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::program::{Process, Program};

#[derive(Debug)]
pub(crate) struct Fixture;

struct Args(Vec<String>);

impl Args {
    fn flag(&self, name: &str) -> Option<&str> {
        let at = self.0.iter().position(|word| word == name)?;
        self.0.get(at + 1).map(String::as_str)
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|word| word == name)
    }

    fn millis(&self, name: &str) -> Option<Duration> {
        self.flag(name).and_then(|text| text.parse().ok()).map(Duration::from_millis)
    }

    fn first(&self) -> &str {
        self.0.first().map_or("", String::as_str)
    }
}

impl Program for Fixture {
    fn has(&self, program: &str) -> bool {
        program == "/fixture"
    }

    fn run(&self, process: Process) -> BoxFuture<'static, i64> {
        Box::pin(act(process))
    }

    fn exec(&self, process: Process) -> BoxFuture<'static, i64> {
        Box::pin(act(process))
    }
}

async fn act(process: Process) -> i64 {
    let mut words = process.argv().iter().cloned();
    match words.next() {
        Some(program) if program == "/fixture" => {}
        // Its images have none; one may be put into them.
        Some(program) if program == "rm" && process.read("/rm").is_ok() => {
            let removed =
                words.filter(|word| !word.starts_with('-')).try_for_each(|path| process.remove(&path));
            return i64::from(removed.is_err());
        }
        other => {
            process.err(format!("there is no program {other:?}"));
            return 127;
        }
    }
    let mode = words.next().unwrap_or_else(|| "sleep".to_owned());
    let args = Args(words.collect());
    let outcome = match mode.as_str() {
        "serve" => serve(&process, &args).await,
        "health" => health(&process, args.flag("--port").unwrap_or("8080")),
        "fetch" => fetch(&process, &args).await,
        "exit" => exit(&process, &args).await,
        "sleep" => Ok(sleep(&process, &args).await),
        "log" => log(&process, &args).await,
        "write" => {
            process.write(args.first(), args.0.get(1).map_or("", String::as_str).as_bytes()).map(|()| 0)
        }
        "read" if args.first() == "/dev/stdin" => {
            let bytes = process.stdin().await;
            String::from_utf8_lossy(&bytes).lines().for_each(|line| process.out(line));
            Ok(0)
        }
        "read" => process.read(args.first()).map(|bytes| {
            String::from_utf8_lossy(&bytes).lines().for_each(|line| process.out(line));
            0
        }),
        "env" => {
            let value = process.environment().get(args.first()).cloned().unwrap_or_default();
            value.split('\n').for_each(|line| process.out(line));
            Ok(0)
        }
        "hostname" => say(&process, process.hostname()),
        "id" => say(&process, id(&process.spec().user.unwrap_or_default())),
        "cwd" => say(&process, process.spec().working_dir.unwrap_or_else(|| "/".to_owned())),
        other => Err(format!("no mode {other:?}")),
    };
    outcome.unwrap_or_else(|error| {
        process.err(error);
        1
    })
}

fn id(user: &str) -> String {
    let (user, group) = user.split_once(':').unwrap_or((user, ""));
    let number = |name: &str| match name {
        "" | "root" => "0".to_owned(),
        "app" => "1000".to_owned(),
        other => other.to_owned(),
    };
    let group = if group.is_empty() && user == "app" { "app" } else { group };
    format!("{}:{}", number(user), number(group))
}

fn say(process: &Process, text: String) -> Result<i64, String> {
    process.out(text);
    Ok(0)
}

/// Waits for a signal that the program has asked for; as pid 1 it gets no other.
async fn stop_signal(process: &Process, args: &Args) {
    let wanted: &[&str] =
        if args.flag("--signal") == Some("USR1") { &["SIGUSR1"] } else { &["SIGTERM", "SIGINT"] };
    while !wanted.contains(&process.signal().await.as_str()) {}
}

async fn sleep(process: &Process, args: &Args) -> i64 {
    process.out("sleeping");
    loop {
        stop_signal(process, args).await;
        if !args.has("--ignore-term") {
            break;
        }
        process.out("ignored SIGTERM");
    }
    if let Some(time) = args.millis("--term-after-ms") {
        process.sleep(time).await;
    }
    process.out("stopping");
    0
}

async fn exit(process: &Process, args: &Args) -> Result<i64, String> {
    if let Some(time) = args.millis("--after-ms") {
        process.sleep(time).await;
    }
    if let Some(text) = args.flag("--out") {
        process.out(text);
    }
    if let Some(text) = args.flag("--err") {
        process.err(text);
    }
    args.first().parse().map_err(|error| format!("{error}"))
}

async fn log(process: &Process, args: &Args) -> Result<i64, String> {
    let lines: u64 = args.first().parse().map_err(|error| format!("{error}"))?;
    let filling = "x".repeat(args.flag("--length").and_then(|text| text.parse().ok()).unwrap_or(0));
    for number in 1..=lines {
        match (args.has("--both"), number % 2) {
            (false, _) => process.out(format!("line {number}{filling}")),
            (true, 1) => process.out(format!("out {number}")),
            (true, _) => process.err(format!("err {number}")),
        }
        if let Some(pause) = args.millis("--every-ms") {
            process.sleep(pause).await;
        }
    }
    if args.has("--then-sleep") { Ok(sleep(process, args).await) } else { Ok(0) }
}

async fn serve(process: &Process, args: &Args) -> Result<i64, String> {
    if let Some(time) = args.millis("--delay-ms") {
        process.sleep(time).await;
    }
    let port = args.flag("--port").unwrap_or("8080");
    let body = match (args.flag("--body"), args.flag("--env")) {
        (Some(body), _) => body.to_owned(),
        (None, Some(name)) => process.environment().get(name).cloned().unwrap_or_default(),
        (None, None) => process.hostname(),
    };
    let (after, never) = (args.millis("--healthy-after-ms").unwrap_or_default(), args.has("--unhealthy"));
    let begin = tokio::time::Instant::now();
    process.listen(port.parse().map_err(|error| format!("{error}"))?, move |path| match path {
        "/health" if !never && begin.elapsed() >= after => (200, "healthy".to_owned()),
        "/health" => (503, "not healthy".to_owned()),
        _ => (200, body.clone()),
    });
    process.out(format!("listening on {port}"));
    stop_signal(process, args).await;
    process.err("stopping");
    Ok(0)
}

fn health(process: &Process, port: &str) -> Result<i64, String> {
    let port = port.parse().map_err(|error| format!("{error}"))?;
    match process.fetch("127.0.0.1", port, "/health")? {
        (200, _) => say(process, "healthy".to_owned()),
        (status, body) => Err(format!("{status} {body}")),
    }
}

async fn fetch(process: &Process, args: &Args) -> Result<i64, String> {
    let url = args.first().strip_prefix("http://").unwrap_or_default();
    let (address, path) = url.split_once('/').map_or((url, "/".to_owned()), |(a, p)| (a, format!("/{p}")));
    let (host, port) = address.split_once(':').unwrap_or((address, "80"));
    let port = port.parse().map_err(|error| format!("{error}"))?;
    let tries: u32 = args.flag("--retry").and_then(|text| text.parse().ok()).unwrap_or(1);
    let mut last = "not tried".to_owned();
    for _ in 0..tries {
        match process.fetch(host, port, &path) {
            Ok((200, body)) => return say(process, body),
            Ok((status, body)) => last = format!("{status} {body}"),
            Err(error) => last = error,
        }
        if tries > 1 {
            process.sleep(Duration::from_millis(100)).await;
        }
    }
    Err(last)
}
