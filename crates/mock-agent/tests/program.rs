//! The program, as an image runs it.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    io::{BufRead, BufReader},
    process::{Child, ChildStdout, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mock-agent"));
    command.env_clear();
    command
}

/// Killed when a test ends before it does.
struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
    port: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    fn start(model: &str) -> Self {
        let mut child = program()
            .envs([("PORT", "0"), ("OPENCLAW_GATEWAY_TOKEN", "s3cret"), ("MODEL", model)])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut running =
            Self { stdout: BufReader::new(child.stdout.take().unwrap()), child, port: String::new() };
        let line = running.line();
        let (who, port) = line.rsplit_once(':').unwrap();
        assert_eq!(who, "agent echo listening on 0.0.0.0");
        running.port = port.to_owned();
        running
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn health(&self) -> Option<i32> {
        let output = program().arg("health").env("PORT", &self.port).output().unwrap();
        output.status.code()
    }
}

#[test]
fn it_refuses_to_run_without_a_token() {
    for token in [None, Some("")] {
        let output = program().envs(token.map(|token| ("OPENCLAW_GATEWAY_TOKEN", token))).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains("OPENCLAW_GATEWAY_TOKEN"));
    }
}

#[test]
fn it_refuses_what_is_written_wrongly() {
    for (name, value) in [("MODEL", "echo?nonsense"), ("PORT", "many")] {
        let output = program().env("OPENCLAW_GATEWAY_TOKEN", "s3cret").env(name, value).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(name) && !said.contains("s3cret"), "{said}");
    }
    assert_eq!(program().arg("heal").output().unwrap().status.code(), Some(2));
}

#[test]
fn it_tells_its_health() {
    assert_eq!(Running::start("echo").health(), Some(0));
    assert_eq!(Running::start("echo?unhealthy").health(), Some(1));
}

#[test]
fn a_signal_ends_it() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut running = Running::start("echo");
        running.signal(signal);
        assert_eq!(running.line(), "stopping");
        assert_eq!(running.child.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn a_signal_may_be_ignored() {
    let mut running = Running::start("echo?ignore-term");
    running.signal(Signal::TERM);
    assert_eq!(running.line(), "ignored SIGTERM");
    running.signal(Signal::TERM);
    assert_eq!(running.health(), Some(0));
}
