//! The README's example on real engines, by the command line, from nothing to nothing.
//!
//! An engine that is not here is shown as ignored; with `LONGSHORE_REQUIRE` naming it, its absence is a failure.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod engine;

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use libtest_mimic::{Arguments, Completion, Trial};
use serde_json::Value;

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/web/compose.yaml")
}

/// The program with one engine and a project of its own.
struct Example {
    engine: &'static str,
    project: String,
    port: u16,
}

impl Example {
    fn new(engine: &'static str) -> Self {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        Self { engine, project: format!("lse{}{engine}", std::process::id()), port }
    }

    fn run(&self, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_longshore"));
        command.args(["--runtime", self.engine, "-p", &self.project, "-f"]).arg(file()).args(words);
        command.env("LONGSHORE_EXAMPLE_PORT", self.port.to_string()).stdin(Stdio::null());
        command.output().unwrap()
    }

    /// What it printed on stdout, if it ended with that code.
    fn ends(&self, code: i32, words: &[&str]) -> Result<String, String> {
        let output = self.run(words);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.code() == Some(code) {
            return Ok(text(&output.stdout));
        }
        Err(format!(
            "{words:?} ended with {}: {}{}",
            output.status,
            text(&output.stdout),
            text(&output.stderr)
        ))
    }

    fn ids(&self) -> Result<Vec<String>, String> {
        Ok(self.ends(0, &["ps", "--all", "--quiet"])?.lines().map(str::to_owned).collect())
    }

    /// The page, as a browser gets it.
    fn page(&self) -> std::io::Result<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    fn goes_up_and_down(&self) -> Result<(), String> {
        self.ends(2, &["plan"])?;
        self.ends(0, &["up", "--wait", "--wait-timeout", "60"])?;
        let page = self.page().map_err(|error| error.to_string())?;
        assert!(page.contains("<h1>Longshore</h1>"), "{page}");

        let before = self.ids()?;
        assert_eq!(before.len(), 3);
        self.ends(0, &["plan"])?;
        self.ends(0, &["up", "-d"])?;
        assert_eq!(self.ids()?, before, "an unchanged project is not touched");
        let services: Value =
            serde_json::from_str(&self.ends(0, &["--format", "json", "ps", "--all"])?).unwrap();
        let services = services.as_array().unwrap();
        let state = |name: &str| {
            let of = services.iter().find(|one| one["service"] == name).unwrap_or(&Value::Null);
            of["state"].as_str().unwrap_or_default().to_owned()
        };
        assert_eq!([state("migrate"), state("web"), state("worker")], ["exited", "running", "running"]);

        if self.engine == "docker" {
            self.is_seen_by_docker_compose()?;
        }
        self.ends(0, &["down", "--volumes"])?;
        assert_eq!(engine::things_of(self.engine, &self.project), Vec::<String>::new());
        Ok(())
    }

    fn is_seen_by_docker_compose(&self) -> Result<(), String> {
        let output =
            Command::new("docker").args(["compose", "-p", &self.project, "ps", "--format", "json"]).output();
        let output = output.map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        for service in ["web", "worker"] {
            assert!(text.contains(&format!("{}-{service}-1", self.project)), "docker compose sees {text}");
        }
        Ok(())
    }
}

fn trial(engine: &'static str) -> Trial {
    Trial::ignorable_test(format!("{engine}::the_example_of_the_readme_goes_up_and_down"), move || {
        if !engine::is_required(engine) {
            return Ok(Completion::ignored_with(
                "LONGSHORE_REQUIRE does not name it: the example needs an image",
            ));
        }
        assert!(fs::exists(file()).unwrap());
        let example = Example::new(engine);
        let outcome = example.goes_up_and_down();
        let _ = example.run(&["down", "--volumes", "--timeout", "1"]);
        Ok(outcome.map(|()| Completion::Completed)?)
    })
}

fn main() {
    let trials = ["podman", "docker"].map(trial).into();
    libtest_mimic::run(&Arguments::from_args(), trials).exit()
}
