//! The `longshore` command line, run as a user would: what it prints, where, and the exit code.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    process::{Command, Output, Stdio},
};

use tempfile::TempDir;

const SHOP: &str = "
services:
  db:
    image: example/db:1
    healthcheck: {test: [CMD, check], interval: 100ms}
    labels: {io.longshore.mock.healthy-after: 200ms}
  web:
    image: example/web:1
    depends_on: {db: {condition: service_healthy}}
";

/// A folder called `shop` with a compose file in it.
struct Shop {
    dir: TempDir,
}

struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Shop {
    fn new(file: &str) -> Self {
        let dir = TempDir::new().unwrap();
        std::fs::create_dir(dir.path().join("shop")).unwrap();
        std::fs::write(dir.path().join("shop/compose.yaml"), file).unwrap();
        Self { dir }
    }

    fn folder(&self) -> std::path::PathBuf {
        self.dir.path().join("shop")
    }

    /// The program, with nothing of this computer's environment.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_longshore"));
        command.args(arguments).current_dir(self.folder()).env_clear().stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        self.ran(self.command(arguments).output().unwrap())
    }

    fn mock(&self, arguments: &[&str]) -> Ran {
        self.ran(self.command(arguments).env("LONGSHORE_RUNTIME", "mock").output().unwrap())
    }

    /// What was printed, with the folder's name as `DIR`.
    fn ran(&self, output: Output) -> Ran {
        let folder = std::fs::canonicalize(self.dir.path()).unwrap();
        let text = |bytes: Vec<u8>| {
            let text = String::from_utf8(bytes).unwrap();
            text.replace(&*folder.to_string_lossy(), "DIR")
                .replace(&*self.dir.path().to_string_lossy(), "DIR")
        };
        Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn the_environment_of_the_files_is_shown_as_it_replaces_their_variables() {
    let shop = Shop::new(SHOP);
    std::fs::write(shop.folder().join(".env"), "B=of the file\nA='two\nlines'\nC=\n").unwrap();
    let run = |arguments: &[&str]| {
        let output =
            shop.command(&[&["config", "--environment"], arguments].concat()).env("B", "set").output();
        shop.ran(output.unwrap())
    };
    let text = run(&[]);
    assert_eq!(
        (text.code, text.stdout.as_str()),
        (Some(0), "A=two\nlines\nB=set\nC=\nCOMPOSE_PROJECT_NAME=shop\n")
    );
    let object = json(&run(&["--format", "json"]).stdout);
    assert_eq!(
        object,
        serde_json::json!({"A": "two\nlines", "B": "set", "C": "", "COMPOSE_PROJECT_NAME": "shop"})
    );
    // Of what is no project there is none.
    let wrong = Shop::new("services: {web: {imag: x}}").run(&["config", "--environment"]);
    assert_eq!((wrong.code, wrong.stdout.as_str()), (Some(65), ""));
}

#[test]
fn up_in_memory_tells_each_step_in_order() {
    let ran = Shop::new(SHOP).mock(&["up", "-d"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""), "{}", ran.stderr);
    let at = |line: &str| ran.stderr.lines().position(|other| other == line).unwrap_or(usize::MAX);
    let order = [
        "Container shop-db-1  Started",
        "Container shop-db-1  Healthy",
        "Container shop-web-1  Starting",
        "Container shop-web-1  Started",
    ];
    let places = order.map(at);
    assert!(places.is_sorted() && places[3] < usize::MAX, "{}", ran.stderr);
}

#[test]
fn events_are_an_object_a_line() {
    let ran = Shop::new(SHOP).mock(&["up", "-d", "--format", "json"]);
    let events: Vec<_> = ran.stderr.lines().map(json).collect();
    assert!(events.iter().any(|event| event["work"] == "wait"
        && event["condition"] == "service_healthy"
        && event["service"] == "db"));
}

#[test]
fn a_plan_is_printed_and_exits_with_two() {
    let shop = Shop::new(SHOP);
    let ran = shop.mock(&["plan"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    insta::assert_snapshot!(ran.stdout, @r"
    create network shop_default (not there)
    pull image example/db:1 (not there)
    pull image example/web:1 (not there)
    create container shop-db-1 (not there)
    create container shop-web-1 (not there)
    start container shop-db-1 (not there)
    wait until healthy: container shop-db-1 (needed by web)
    start container shop-web-1 (not there)
    ");
    let ran = shop.mock(&["--format=json", "plan"]);
    assert_eq!(ran.code, Some(2));
    let plan = json(&ran.stdout);
    assert_eq!(plan["project"], "shop");
    assert_eq!(plan["steps"].as_array().map(Vec::len), Some(8));
}

#[test]
fn options_come_before_the_command_or_after_it() {
    let shop = Shop::new("services: {a: {image: x}, b: {image: x, profiles: [extra]}}");
    let before = shop.run(&["-p", "other", "--profile", "extra", "--runtime", "mock", "plan"]);
    let after = shop.run(&["plan", "--runtime", "mock", "-p", "other", "--profile", "extra"]);
    assert_eq!(before.code, Some(2), "{}", before.stderr);
    assert_eq!(before.stdout, after.stdout);
    assert!(before.stdout.contains("other-b-1"), "{}", before.stdout);
}

#[test]
fn a_file_is_read_from_stdin() {
    let shop = Shop::new(SHOP);
    let mut child = shop
        .command(&["--runtime", "mock", "-f", "-", "-p", "piped", "plan"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"services: {a: {image: x}}").unwrap();
    let ran = shop.ran(child.wait_with_output().unwrap());
    assert!(ran.stdout.contains("piped-a-1"), "{}", ran.stdout);
}

#[test]
fn config_prints_what_loads_to_the_same() {
    let shop = Shop::new(SHOP);
    let first = shop.run(&["config"]);
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    let second = Shop::new(&first.stdout).run(&["config"]);
    assert_eq!(first.stdout, second.stdout);
    let names = shop.run(&["config", "--services"]);
    assert_eq!(names.stdout, "db\nweb\n");
}

#[test]
fn a_project_is_converted_to_stdout_or_into_files() {
    let shop = Shop::new(
        "services:\n  web:\n    image: example/web:1\n    environment: {TOKEN: hunter2}\n    stop_signal: SIGINT\n",
    );
    let units = shop.run(&["convert", "--to", "quadlet"]);
    assert_eq!((units.code, units.stderr.as_str()), (Some(0), ""));
    let names: Vec<&str> = units.stdout.lines().filter_map(|line| line.strip_prefix("# ")).collect();
    assert_eq!(names, ["shop-default.network", "shop-web.container"]);
    assert!(
        units.stdout.contains("StopSignal=SIGINT\n") && units.stdout.contains("Environment=TOKEN=hunter2\n")
    );

    let pods = shop.run(&["convert", "--to", "kube", "-o", "pods.yaml"]);
    assert_eq!((pods.code, pods.stdout.as_str()), (Some(0), ""), "{}", pods.stderr);
    assert!(pods.stderr.contains("service \"web\": stop_signal: "), "{}", pods.stderr);
    assert!(!pods.stderr.contains("hunter2"), "rule 9: {}", pods.stderr);
    let path = shop.folder().join("pods.yaml");
    assert!(std::fs::read_to_string(&path).unwrap().contains("value: hunter2\n"));
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600, "values of variables are in it");
    }

    let again = shop.run(&["convert", "--to", "kube", "-o", "pods.yaml"]);
    assert_eq!(again.code, Some(64));
    insta::assert_snapshot!(again.stderr, @r"
    error: pods.yaml is there already
    help: replace it with --force, or write to another place
    ");
    assert_eq!(shop.run(&["convert", "--to", "kube", "-o", "pods.yaml", "--force"]).code, Some(0));

    let into = shop.run(&["convert", "--to", "quadlet", "-o", "units", "web"]);
    assert_eq!((into.code, into.stderr.as_str()), (Some(0), ""));
    let mut written: Vec<_> = std::fs::read_dir(shop.folder().join("units"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    written.sort();
    assert_eq!(written, names);
    // One of them is there: none is written.
    std::fs::remove_file(shop.folder().join("units/shop-default.network")).unwrap();
    assert_eq!(shop.run(&["convert", "--to", "quadlet", "-o", "units"]).code, Some(64));
    assert!(!shop.folder().join("units/shop-default.network").exists());

    let files = json(&shop.run(&["convert", "--to", "kube", "--format", "json"]).stdout);
    assert_eq!(files["files"][0]["name"], "shop.yaml");
    let unsaid = shop.run(&["convert"]);
    assert_eq!(unsaid.code, Some(64));
    insta::assert_snapshot!(unsaid.stderr, @r"
    error: it is not said what the project is to be written as
    help: give --to quadlet for units that systemd runs, or --to kube for YAML that `podman kube play` runs; what docker compose calls `convert` is `longshore config`
    ");
    assert_eq!(shop.run(&["convert", "--to", "kube", "nosuch"]).code, Some(1));
}

#[test]
fn nothing_there_is_an_empty_list() {
    let shop = Shop::new(SHOP);
    insta::assert_snapshot!(shop.mock(&["ps"]).stdout, @"NAME   IMAGE   SERVICE   STATUS   PORTS");
    assert_eq!(json(&shop.mock(&["ps", "--format", "json"]).stdout), serde_json::json!([]));
    assert_eq!(json(&shop.mock(&["ls", "--format", "json"]).stdout), serde_json::json!([]));
    assert_eq!(shop.mock(&["down"]).code, Some(0));
}

#[test]
fn nothing_there_is_nothing_to_do() {
    let shop = Shop::new(SHOP);
    let told = |arguments: &[&str]| {
        let ran = shop.mock(arguments);
        (ran.code, ran.stdout, ran.stderr)
    };
    let said = |code, text: &str| (Some(code), String::new(), text.to_owned());
    assert_eq!(told(&["kill"]), said(0, "no container to kill\n"));
    assert_eq!(told(&["rm"]), said(0, "No stopped containers\n"));
    for quiet in ["restart", "pause", "unpause"] {
        assert_eq!(told(&[quiet]), said(0, ""), "{quiet}");
    }
    let (code, _, stderr) = told(&["wait", "web"]);
    assert_eq!((code, stderr.lines().next()), (Some(1), Some("error: no such project: shop")));
    for command in ["restart", "kill", "pause", "rm", "wait", "create", "events", "stats", "watch"] {
        let (code, _, stderr) = told(&[command, "wbe"]);
        assert_eq!(code, Some(1), "{command}: {stderr}");
        assert!(stderr.contains("did you mean \"web\"?"), "{command}: {stderr}");
    }
    let (code, _, stderr) = told(&["kill", "-s", "--help-me"]);
    assert_eq!(code, Some(64), "{stderr}");
    assert!(stderr.contains("it begins with no letter"), "{stderr}");
}

#[test]
fn create_starts_nothing_and_scale_starts_as_many_as_it_is_told() {
    let shop = Shop::new("services: {web: {image: 'localhost/web'}, db: {image: 'localhost/db'}}");
    let lines = |arguments: &[&str]| {
        let ran = shop.mock(arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""), "{}", ran.stderr);
        let mut lines: Vec<String> = ran.stderr.lines().map(str::to_owned).collect();
        lines.retain(|line| line.starts_with("Container") && line.ends_with('d'));
        lines.sort();
        lines.join("\n")
    };
    insta::assert_snapshot!(lines(&["create", "--scale", "web=2", "web"]), @r"
    Container shop-web-1  Created
    Container shop-web-2  Created
    ");
    insta::assert_snapshot!(lines(&["scale", "web=2"]), @r"
    Container shop-web-1  Created
    Container shop-web-1  Started
    Container shop-web-2  Created
    Container shop-web-2  Started
    ");
    assert_eq!(shop.mock(&["scale", "web"]).code, Some(64));
}

#[test]
fn keys_that_are_none_are_refused() {
    let shop = Shop::new(SHOP);
    for command in [&["attach", "web"][..], &["exec", "web", "x"], &["run", "web"]] {
        for keys in ["ctrl-1", "ab", "ctrl-p,", "é"] {
            let ran = shop.mock(&[&command[..1], &["--detach-keys", keys], &command[1..]].concat());
            assert_eq!((ran.code, ran.stdout.as_str()), (Some(64), ""), "{}", ran.stderr);
            assert!(ran.stderr.contains("is no key: give a character, ctrl-"), "{}", ran.stderr);
        }
    }
    for keys in ["--detach-keys=", "--detach-keys=ctrl-@,q"] {
        let ran = shop.mock(&["attach", keys, "web"]);
        assert!(ran.stderr.contains("not running"), "{}", ran.stderr);
    }
}

#[test]
fn a_dry_run_says_what_it_would_do() {
    let shop = Shop::new(SHOP);
    let dry = |arguments: &[&str]| {
        let ran = shop.mock(&[&["--dry-run"], arguments].concat());
        assert_eq!(ran.code, Some(0), "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.lines().all(|line| !line.starts_with("Container")), "{}", ran.stderr);
        ran.stderr
    };
    // In the foreground too it ends by itself.
    for up in
        [&["up"][..], &["up", "-d"], &["up", "--wait"], &["create"], &["scale", "web=2"], &["run", "web"]]
    {
        let said = dry(up);
        let last = "DRY-RUN MODE - Container shop-web-1  Created";
        assert!(up[0] == "run" || said.lines().any(|line| line == last), "{up:?}: {said}");
        assert!(said.contains("DRY-RUN MODE - Network shop_default  Created"), "{up:?}: {said}");
        assert!(said.contains("DRY-RUN MODE - Image example/web:1  Pulled"), "{up:?}: {said}");
    }
    assert!(dry(&["pull"]).contains("DRY-RUN MODE - Image example/db:1  Pulled"));
    for nothing in
        ["down", "stop", "kill", "restart", "pause", "unpause", "rm", "push", "build", "ps", "config"]
    {
        dry(&[nothing]);
    }
    let ran = shop.mock(&["up", "--dry-run", "-d", "--format=json"]);
    let events: Vec<_> = ran.stderr.lines().map(json).filter(|line| line["event"].is_string()).collect();
    assert!(events.len() > 4 && events.iter().all(|event| event["dry_run"] == true), "{}", ran.stderr);
    for real in [
        &["serve"][..],
        &["agents", "list"],
        &["machine", "init"],
        &["convert", "--to", "kube", "-o", "made.yaml"],
    ] {
        let ran = shop.mock(&[real, &["--dry-run"]].concat());
        assert_eq!(ran.code, Some(64), "{real:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("--dry-run does not go with"), "{}", ran.stderr);
    }
    assert!(!shop.folder().join("made.yaml").exists());
}

/// A service that is built from that Dockerfile.
fn built(dockerfile: &str, more: &str) -> Shop {
    let shop =
        Shop::new(&format!("services:\n  web:\n    build: {{context: ., args: {{TOKEN: hunter2}}}}\n{more}"));
    std::fs::write(shop.folder().join("Dockerfile"), dockerfile).unwrap();
    shop
}

#[test]
fn a_build_tells_its_steps() {
    let shop = built("FROM example/base\nARG TOKEN\nENV A=hunter2\n", "");
    let ran = shop.mock(&["build"]);
    let lines: Vec<&str> = ran.stderr.lines().collect();
    assert_eq!(
        lines,
        [
            "Image shop-web  Building",
            "Image shop-web  Step 1/3 : FROM example/base",
            "Image shop-web  Step 2/3 : ARG TOKEN",
            "Image shop-web  Step 3/3 : ENV A=***",
            "Image shop-web  Built",
        ]
    );
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""));
    for quiet in
        [&["build", "-q"][..], &["build", "--progress", "quiet", "--build-arg", "TOKEN=other-value", "web"]]
    {
        let ran = shop.mock(quiet);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    }
    let ran = shop.mock(&["build", "--format", "json"]);
    let step = json(ran.stderr.lines().nth(1).unwrap());
    assert_eq!(step["event"], "step");
    assert_eq!(step["step"]["number"], 1);
    let ran = shop.mock(&["push"]);
    assert_eq!(ran.stderr, "nothing to push: no service has both `build` and `image`\n");
    let named = built("FROM example/base\n", "    image: registry.test/shop/web\n");
    let ran = named.mock(&["build", "--push"]);
    assert!(ran.stderr.ends_with("Image registry.test/shop/web  Pushed\n"), "{}", ran.stderr);
}

#[test]
fn a_build_that_fails_says_where_and_why() {
    let ran = built("FROM example/base\nCOPY nowhere /\n", "").mock(&["up", "-d"]);
    assert_eq!(ran.code, Some(1));
    let error = "image shop-web: step 2/2: COPY nowhere / failed: nowhere: no such file or directory";
    assert!(ran.stderr.contains(error), "{}", ran.stderr);
    let shop = built("FROM example/base\n", "");
    std::fs::remove_file(shop.folder().join("Dockerfile")).unwrap();
    let ran = shop.mock(&["create"]);
    assert!(ran.stderr.contains("there is no Dockerfile DIR/shop/Dockerfile"), "{}", ran.stderr);
    let ran = built("FROM example/base\n", "").mock(&["up", "-d", "--no-build"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("is not to be built (--no-build)"), "{}", ran.stderr);
}

#[test]
fn up_builds_and_pulls_in_silence_if_it_is_told() {
    let more = "  db:\n    image: example/db\n";
    let shop = built("FROM example/base\n", more);
    let ran = shop.mock(&["up", "-d", "--quiet-pull", "--build"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("Image shop-web  Built"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("Pull"), "{}", ran.stderr);
}

#[test]
fn a_run_ends_with_what_the_container_ended_with() {
    let text = "
services:
  db: {image: 'localhost/db'}
  job:
    image: localhost/job
    depends_on: [db]
    labels: {io.longshore.mock.log: hello, io.longshore.mock.run-for: 10ms, io.longshore.mock.exit: '7'}
";
    let shop = Shop::new(text);
    let ran = shop.mock(&["run", "--rm", "-T", "job", "--flags", "of its own", "-p"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(7), "hello\n"), "{}", ran.stderr);
    assert!(ran.stderr.contains("Container shop-db-1  Started"), "{}", ran.stderr);
    let ran = shop.mock(&["run", "--no-deps", "-d", "--name", "once", "job"]);
    assert_eq!((ran.code, ran.stdout.trim().len()), (Some(0), 64), "{}", ran.stderr);
    assert!(ran.stderr.contains("Container once  Created"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("shop-db-1"), "{}", ran.stderr);
    for (arguments, told) in [
        (["run", "-p", "x", "job"].as_slice(), "--publish \"x\": "),
        (&["run", "-v", "data", "job"], "--volume \"data\": "),
        (&["run", "--entrypoint", "'x", "job"], "a quote is not closed"),
        (&["run", "-p", "80", "-P", "job"], "cannot be used with"),
        (&["exec", "job"], "2 values required"),
    ] {
        let ran = shop.mock(arguments);
        assert_eq!(ran.code, Some(64), "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(told), "{arguments:?}: {}", ran.stderr);
    }
    let ran = shop.mock(&["run", "--name", "-x", "job"]);
    assert_ne!(ran.code, Some(0));
}

#[test]
fn what_does_not_run_has_no_command_and_no_port() {
    let shop = Shop::new(SHOP);
    for arguments in [["exec", "web", "x", "--y"].as_slice(), &["attach", "web"], &["port", "web", "80"]] {
        let ran = shop.mock(arguments);
        assert_eq!(ran.code, Some(1), "{}", ran.stderr);
        insta::allow_duplicates! {
            insta::assert_snapshot!(ran.stderr, @r#"
            error: service "web" is not running
            help: `longshore up --detach web` starts it
            "#);
        }
    }
    assert_eq!(shop.mock(&["top"]).stdout, "");
    insta::assert_snapshot!(shop.mock(&["images"]).stdout, @"CONTAINER   REPOSITORY   TAG   IMAGE ID   SIZE");
    insta::assert_snapshot!(shop.mock(&["volumes"]).stdout, @"DRIVER   VOLUME NAME");
    assert_eq!(json(&shop.mock(&["volumes", "--format", "json"]).stdout), serde_json::json!([]));
    assert_eq!(shop.mock(&["volumes", "-q"]).stdout, "");
    for (arguments, code) in [
        (["cp", "web:/a", "."], 1),
        (["cp", ".", "web:/a"], 1),
        (["cp", "wbe:/a", "."], 1),
        (["cp", "a", "b"], 64),
        (["cp", "web:/a", "web:/b"], 64),
    ] {
        let ran = shop.mock(&arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(code), ""), "{arguments:?}: {}", ran.stderr);
    }
    insta::assert_snapshot!(
        shop.mock(&["stats", "--no-stream"]).stdout,
        @"CONTAINER ID   NAME   CPU %   MEM USAGE / LIMIT   MEM %   NET I/O   BLOCK I/O   PIDS"
    );
    assert_eq!(shop.mock(&["stats", "--no-stream", "--all", "--format", "json"]).stdout, "");
}

#[test]
fn completions_know_the_commands() {
    let shop = Shop::new(SHOP);
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let ran = shop.run(&["completions", shell]);
        assert_eq!(ran.code, Some(0), "{shell}");
        assert!(ran.stdout.contains("force-recreate"), "{shell}");
    }
}

#[test]
fn auto_lists_what_was_tried() {
    let shop = Shop::new(SHOP);
    let nowhere = shop.folder().join("none.sock");
    let host = format!("unix://{}", nowhere.display());
    let ran = shop.ran(
        shop.command(&["ps", "--podman", "/nonexistent/podman"]).env("DOCKER_HOST", &host).output().unwrap(),
    );
    assert_eq!(ran.code, Some(69), "{}", ran.stderr);
    insta::assert_snapshot!(ran.stderr, @r"
    error: no container engine is usable here
      podman: /nonexistent/podman cannot be used as Podman: there is no such program
      docker: docker does not answer at unix://DIR/shop/none.sock: there is no socket at DIR/shop/none.sock
    help: name the program itself; without a name, `podman` is looked for on the PATH
          start the Docker daemon (`systemctl start docker`, or open Docker Desktop), or name another engine with --runtime or --host
    ");
    let ran = shop
        .ran(shop.command(&["ps"]).env("DOCKER_HOST", &host).env("PATH", "/nonexistent").output().unwrap());
    assert!(ran.stderr.contains("to install Podman: "), "{}", ran.stderr);
    assert!(
        !ran.stderr.contains("to install Docker: "),
        "what is only off is not to be installed: {}",
        ran.stderr
    );
}

/// Each gives one block that says what, where and what to do.
#[test]
fn what_is_wrong_with_a_file_is_shown_in_it() {
    let cases: &[(&str, &str)] = &[
        ("an empty file", ""),
        ("not YAML", "services: [\n"),
        ("a list at the top", "- services\n"),
        ("a type", "services: {web: {image: [a]}}\n"),
        ("a cycle", "services:\n  a: {image: x, depends_on: [b]}\n  b: {image: x, depends_on: [a]}\n"),
        ("an unknown service", "services: {a: {image: x, depends_on: [nobody]}}\n"),
        ("a port out of range", "services: {a: {image: x, ports: ['70000:80']}}\n"),
        ("a port twice", "services:\n  a: {image: x, ports: ['80:80']}\n  b: {image: x, ports: ['80:81']}\n"),
        ("a required variable", "services: {a: {image: 'x:${TAG:?which one}'}}\n"),
        ("a name", "services: {a: {image: x, container_name: a/b}}\n"),
        ("an unknown key", "services: {a: {image: x, depend_on: [b]}}\n"),
        ("no services", "volumes: {a: {}}\n"),
    ];
    let mut all = String::new();
    for (what, text) in cases {
        let ran = Shop::new(text).mock(&["up", "-d"]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(65), ""), "{what}: {}", ran.stderr);
        all.push_str(&format!("== {what}\n{}\n", ran.stderr));
    }
    insta::assert_snapshot!(all);
}

#[test]
fn an_invalid_file_is_told_in_json_too() {
    let ran = Shop::new("services: {web: {image: [a]}}").run(&["up", "--format", "json"]);
    assert_eq!(ran.code, Some(65));
    let error = &json(&ran.stderr)["error"];
    assert_eq!(error["code"], "invalid_file");
    assert_eq!(error["diagnostics"][0]["location"]["line"], 1);
    let ran = Shop::new("services: {web: {image: [a], ports: [x]}}").run(&["up", "--format", "json"]);
    insta::assert_snapshot!(json(&ran.stderr)["error"]["message"].as_str().unwrap().replace('\\', "/"), @"DIR/shop/compose.yaml:1:25: services.web.image: expected a text, found a list (and 1 more)");
}

#[test]
fn what_cannot_be_had_is_one_error_with_help() {
    let shop = Shop::new("services: {a: {image: 'example/nowhere:1', pull_policy: never}}");
    let ran = shop.mock(&["up", "-d"]);
    assert_eq!(ran.code, Some(1));
    assert_eq!(ran.stderr.matches("error: ").count(), 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("example/nowhere:1") && ran.stderr.contains("help: "), "{}", ran.stderr);
    let ran = shop.run(&["--runtime", "docker", "--host", "unix:///nonexistent/docker.sock", "up", "-d"]);
    assert_eq!(ran.code, Some(69), "{}", ran.stderr);
    assert!(ran.stderr.contains("/nonexistent/docker.sock"), "{}", ran.stderr);
    let ran = shop.run(&["--runtime", "nonsense", "up"]);
    assert_eq!(ran.code, Some(64), "{}", ran.stderr);
}

#[test]
fn a_time_is_a_number_of_seconds_that_can_be_waited() {
    let shop = Shop::new(SHOP);
    for arguments in [
        ["stop", "-t", "18446744073709551615"].as_slice(),
        &["stop", "-t", "x"],
        &["down", "--timeout", "-1"],
        &["up", "-t", "2147483648"],
        &["up", "--wait", "--wait-timeout", "1.5"],
    ] {
        let ran = shop.mock(arguments);
        assert_eq!(ran.code, Some(64), "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("expected a number of seconds"), "{arguments:?}: {}", ran.stderr);
    }
    let ran = shop.mock(&["machine", "init", "--cpus", "x"]);
    assert!(ran.stderr.contains("expected a number\n"), "{}", ran.stderr);
    let ran = shop.mock(&["stop", "-t", "2147483647"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
}

#[test]
fn a_server_that_is_not_docker_is_told() {
    let shop = Shop::new(SHOP);
    for (answer, told) in [
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nnot found", "404 Not Found"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>", "expected value"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "no version of an API"),
        ("SSH-2.0-OpenSSH_9.2\r\n", ""),
    ] {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = format!("tcp://{}", server.local_addr().unwrap());
        std::thread::spawn(move || {
            while let Ok((mut stream, _)) = server.accept() {
                let _ = std::io::Read::read(&mut stream, &mut [0; 4096]);
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        let ran = shop.run(&["--runtime", "docker", "--host", &host, "ps"]);
        assert_eq!(ran.code, Some(69), "{answer}: {}", ran.stderr);
        assert!(ran.stderr.contains(told) && ran.stderr.contains(&host), "{}", ran.stderr);
        let is_http = answer.starts_with("HTTP");
        assert_eq!(ran.stderr.contains("what answers there is not Docker's API"), is_http, "{}", ran.stderr);
    }
}

#[test]
fn an_address_that_cannot_be_used_is_a_wrong_command_line() {
    let shop = Shop::new(SHOP);
    let mut all = String::new();
    for (runtime, host) in
        [("docker", "/var/run/docker.sock"), ("auto", "bogus://x"), ("docker", ""), ("podman", "http://x")]
    {
        let ran = shop.run(&["--runtime", runtime, "--host", host, "ps"]);
        assert_eq!(ran.code, Some(64), "{}", ran.stderr);
        all.push_str(&ran.stderr);
    }
    insta::assert_snapshot!(all, @r#"
    error: "/var/run/docker.sock" is no address of an engine: expected unix:///PATH, tcp://ADDRESS, http://ADDRESS
    help: for example --host unix:///var/run/docker.sock
    error: "bogus://x" is no address of an engine: expected unix:///PATH, tcp://ADDRESS, http://ADDRESS
    help: for example --host unix:///var/run/docker.sock
    error: "" is no address of an engine: expected unix:///PATH, tcp://ADDRESS, http://ADDRESS
    help: for example --host unix:///var/run/docker.sock
    error: "http://x" is no address of an engine: expected unix:///PATH, tcp://ADDRESS, ssh://ADDRESS
    help: for example --host unix:///run/podman/podman.sock
    "#);
    let ran = shop.run(&["--host", "unix:///nonexistent/docker.sock", "ps"]);
    assert_eq!(ran.code, Some(69), "{}", ran.stderr);
    assert!(ran.stderr.contains("help: start the Docker daemon"), "{}", ran.stderr);
}

#[test]
fn verbose_tells_the_engine_and_the_plan() {
    let ran = Shop::new(SHOP).mock(&["-v", "up", "-d"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    for part in ["Engine in memory", "steps=8", "create network shop_default (not there)"] {
        assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
    }
    let ran = Shop::new(SHOP).mock(&["-v", "--format", "json", "up", "-d"]);
    let lines: Vec<_> = ran.stderr.lines().map(json).collect();
    assert!(
        lines.iter().any(|line| line["trace"] == "debug" && line["fields"]["steps"] == 8),
        "{}",
        ran.stderr
    );
}

/// A docker that answers what `auto` asks, and nothing else.
#[cfg(unix)]
#[test]
fn a_podman_that_is_named_is_not_passed_over_in_silence() {
    let shop = Shop::new(SHOP);
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = format!("tcp://{}", server.local_addr().unwrap());
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = server.accept() {
            std::thread::spawn(move || {
                let mut request = [0; 4096];
                while let Ok(1..) = std::io::Read::read(&mut stream, &mut request) {
                    let version = r#"{"ApiVersion": "1.41", "Version": "20.10.24", "MinAPIVersion": "1.12"}"#;
                    let body =
                        if request.windows(8).any(|part| part == b"/version") { version } else { "[]" };
                    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length:";
                    let _ = stream.write_all(format!("{head} {}\r\n\r\n{body}", body.len()).as_bytes());
                }
            });
        }
    });
    let mut command = shop.command(&["ls", "--quiet"]);
    command.env("LONGSHORE_PODMAN", "/nonexistent/podman").env("DOCKER_HOST", &host);
    let ran = shop.ran(command.output().unwrap());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(
        ran.stderr,
        "warning: docker is used, because /nonexistent/podman cannot be used as Podman: there is no such program\n"
    );
}

const VARIED: &str = "
services:
  db: {image: example/db:1, container_name: front}
  web: {image: example/web:1, ports: ['8080:80']}
  worker: {image: example/web:1, ports: ['9000-9001:80']}
  local: {image: example/mine:1, pull_policy: never, profiles: [extra]}
";

/// What is refused before anything happens, and what is said to who asks too early.
#[test]
fn what_cannot_be_meant_is_told_with_what_could_be() {
    let shop = Shop::new(VARIED);
    let mut all = String::new();
    for (code, arguments) in [
        (1, ["logs", "nosuch"].as_slice()),
        (1, &["ps", "wbe"]),
        (1, &["up", "-d", "nosuch"]),
        (1, &["plan", "--scale", "nosuch=2"]),
        (1, &["pull", "wokrer"]),
        (1, &["stop", "dbb"]),
        (1, &["config", "--hash", "nosuch"]),
        (1, &["logs"]),
        (1, &["-f", "compose.yaml", "start"]),
        (64, &["up", "--scale", "db=2"]),
        (64, &["up", "--scale", "web=2"]),
        (64, &["plan", "--scale", "worker=3"]),
        (64, &["--project-directory", "/nonexistent", "config"]),
        (64, &["--config", "/nonexistent", "config"]),
        (65, &["-f", "nonexistent.yaml", "config"]),
        (1, &["up", "-d", "local"]),
    ] {
        let ran = shop.mock(arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(code), ""), "{arguments:?}: {}", ran.stderr);
        all.push_str(&format!("== {}\n{}\n", arguments.join(" "), ran.stderr));
    }
    let hidden = Shop::new("services: {a: {image: x, profiles: [one, two]}}");
    for command in ["up", "plan", "pull"] {
        let ran = hidden.mock(&[command]);
        assert_eq!(ran.code, Some(64), "{}", ran.stderr);
        all.push_str(&format!("== {command}, all in profiles\n{}\n", ran.stderr));
    }
    insta::assert_snapshot!(all);
    for arguments in [["plan", "--scale", "worker=2"], ["plan", "--scale", "web=1"]] {
        assert_eq!(shop.mock(&arguments).code, Some(2), "{arguments:?}");
    }
}

#[test]
fn hashes_are_an_object_for_programs() {
    let shop = Shop::new(SHOP);
    let lines = shop.run(&["config", "--hash", "*"]).stdout;
    let object = json(&shop.run(&["config", "--hash", "*", "--format", "json"]).stdout);
    let told: Vec<String> =
        ["db", "web"].map(|name| format!("{name} {}\n", object[name].as_str().unwrap())).into();
    assert_eq!(lines, told.concat());
    let one = json(&shop.run(&["config", "--hash", "db", "--format", "json"]).stdout);
    assert_eq!(one, serde_json::json!({ "db": object["db"] }));
}

/// A shell script called `podman`.
#[cfg(unix)]
fn script(shop: &Shop, text: &str) -> String {
    use std::os::unix::fs::PermissionsExt;
    let path = shop.dir.path().join("podman");
    // Written by another process, so that no child of this one has it open while it is run.
    let mut child =
        Command::new("tee").arg(&path).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("#!/bin/sh\n{text}\n").as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.to_string_lossy().into_owned()
}

#[cfg(unix)]
#[test]
fn a_program_that_is_not_podman_is_told() {
    let shop = Shop::new(SHOP);
    let mut all = String::new();
    for text in ["echo 'invalid option --quiet' >&2; exit 2", "echo hello", "exit 1"] {
        let program = script(&shop, text);
        for command in ["ps", "status"] {
            let ran = shop.run(&["--runtime", "podman", "--podman", &program, command]);
            assert_eq!(ran.code, Some(69), "{text}: {}", ran.stderr);
            all.push_str(&format!("== {text}, {command}\n{}\n", ran.stderr));
        }
    }
    let folder = shop.folder();
    let plain = folder.join("compose.yaml");
    for (what, program) in [("a folder", folder.as_path()), ("no program", &plain)] {
        let ran = shop.run(&["--runtime", "podman", "--podman", &program.to_string_lossy(), "ps"]);
        assert_eq!(ran.code, Some(69), "{what}: {}", ran.stderr);
        all.push_str(&format!("== {what}\n{}\n", ran.stderr));
    }
    insta::assert_snapshot!(all);
}

#[cfg(unix)]
#[test]
fn a_command_that_fails_is_told_as_one_sentence() {
    let shop = Shop::new(SHOP);
    let program = script(&shop, "echo 'level=warning' >&2; echo 'Error: the disk is full' >&2; exit 125");
    let run = |more: &[&str]| {
        let ran = shop.run(&[&["--runtime", "podman", "--podman", &program, "ps"], more].concat());
        assert_eq!(ran.code, Some(1), "{}", ran.stderr);
        ran.stderr
    };
    assert_eq!(run(&[]), "error: podman ps failed: the disk is full\n");
    let error = json(&run(&["--format", "json"]))["error"].clone();
    assert_eq!(error["message"], "podman ps failed: the disk is full");
    assert!(error["command"]["line"].as_str().unwrap().contains("--no-trunc"), "{error}");
    let more = run(&["-v"]);
    assert!(more.contains("--no-trunc") && more.contains("level=warning"), "{more}");
}

#[cfg(unix)]
fn interrupt(id: u32) {
    send("-INT", id);
}

#[cfg(unix)]
fn send(signal: &str, id: u32) {
    assert!(Command::new("kill").args([signal, &id.to_string()]).status().unwrap().success());
}

/// A project in which `src` is watched.
#[cfg(unix)]
fn watched(more: &str) -> Shop {
    let shop = Shop::new(&format!(
        "
services:
  web:
    image: example/web:1
    develop:
      watch: [{{path: src, action: sync+restart, target: /app, initial_sync: true}}]
  plain: {{image: 'example/plain:1'}}
{more}"
    ));
    std::fs::create_dir(shop.folder().join("src")).unwrap();
    std::fs::write(shop.folder().join("src/a"), "one").unwrap();
    shop
}

/// Runs a command that goes on, until it has said these lines on stderr, after each of which something is done; then Ctrl-C.
#[cfg(unix)]
fn goes_on(shop: &Shop, arguments: &[&str], steps: &[(&str, &dyn Fn())]) -> Ran {
    let mut command = shop.command(arguments);
    command.env("LONGSHORE_RUNTIME", "mock").stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    for (wanted, then) in steps {
        loop {
            let from = said.len();
            assert!(stderr.read_line(&mut said).unwrap() > 0, "it never said {wanted:?}, but {said}");
            if said[from..].contains(wanted) {
                break;
            }
        }
        then();
    }
    interrupt(child.id());
    std::io::Read::read_to_string(&mut stderr, &mut said).unwrap();
    let mut ran = shop.ran(child.wait_with_output().unwrap());
    ran.stderr = said;
    ran
}

#[cfg(unix)]
#[test]
fn what_is_watched_is_done_until_ctrl_c() {
    let shop = watched("");
    let change = || std::fs::write(shop.folder().join("src/b"), "two").unwrap();
    let nothing = || {};
    let steps: [(&str, &dyn Fn()); 2] =
        [("Project shop  Watching", &change), ("Service web  Restarted", &nothing)];
    let ran = goes_on(&shop, &["watch"], &steps);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(130), ""), "{}", ran.stderr);
    let at = |line: &str| ran.stderr.lines().position(|other| other == line).unwrap_or(usize::MAX);
    let places = [
        "Container shop-web-1  Started",
        "Project shop  Watching",
        "Service web  Syncing after 1 change",
        "Service web  Synced",
        "Service web  Restarting",
        "Container shop-web-1  Stopped",
        "Service web  Restarted",
    ]
    .map(at);
    assert!(places[..5].is_sorted() && places[6] < usize::MAX, "{}", ran.stderr);
    assert!(!ran.stderr.contains("error"), "it is no failure: {}", ran.stderr);
    assert_eq!(ran.stderr.matches("Container shop-web-1  Stopped").count(), 1, "{}", ran.stderr);
    // What is not up cannot be copied into; that is told, and does not end it.
    let steps: [(&str, &dyn Fn()); 2] =
        [("Project shop  Watching", &change), ("warning: service web: ", &nothing)];
    std::fs::write(
        shop.folder().join("compose.yaml"),
        "services: {web: {image: x, develop: {watch: [{path: src, action: sync, target: /app}]}}}",
    )
    .unwrap();
    let ran = goes_on(&shop, &["watch", "--no-up", "--prune=false", "--quiet"], &steps);
    assert_eq!(ran.code, Some(130), "{}", ran.stderr);
    assert!(!ran.stderr.contains("Creat"), "{}", ran.stderr);
}

#[cfg(unix)]
#[test]
fn what_is_watched_beside_up_is_stopped_with_it() {
    let shop = watched("");
    let change = || std::fs::write(shop.folder().join("src/b"), "two").unwrap();
    let nothing = || {};
    let steps: [(&str, &dyn Fn()); 2] =
        [("Project shop  Watching", &change), ("Service web  Restarted", &nothing)];
    // While nothing runs, a change may start it again, so it goes on.
    let ran = goes_on(&shop, &["up", "-w", "web"], &steps);
    assert_eq!(ran.code, Some(130), "{}", ran.stderr);
    assert!(ran.stdout.contains("web-1  | started"), "{}", ran.stdout);
    assert_eq!(ran.stderr.matches("Container shop-web-1  Stopped").count(), 2, "{}", ran.stderr);
    let events = goes_on(
        &shop,
        &["--format", "json", "up", "--watch"],
        &[("\"watch\"", &change), ("\"work\":\"sync\",\"changes\":1", &nothing)],
    );
    assert_eq!(events.code, Some(130), "{}", events.stderr);
}

#[test]
fn what_cannot_be_watched_is_told_before_anything_is_made() {
    let shop = Shop::new(SHOP);
    let expected = "error: none of the selected services is configured for watch, consider setting a 'develop' section\n";
    for arguments in [&["watch"][..], &["watch", "db"], &["watch", "--no-up"], &["up", "--watch"]] {
        let ran = shop.mock(arguments);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(65), expected), "{arguments:?}");
    }
    let build = "services: {web: {build: ., develop: {watch: [{path: ., action: rebuild}]}}}";
    let ran = Shop::new(build).mock(&["up", "--watch", "--no-build"]);
    assert!(ran.code == Some(65) && ran.stderr.contains("--no-build is incompatible"), "{}", ran.stderr);
    for other in ["--detach", "--wait", "--no-start"] {
        assert_eq!(shop.mock(&["up", "--watch", other]).code, Some(64), "{other}");
    }
}

#[cfg(unix)]
#[test]
fn a_signal_ends_the_reading_of_a_file_that_does_not_end() {
    let shop = Shop::new(SHOP);
    let pipe = shop.folder().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for (signal, code, arguments) in [
        ("-INT", 130, ["-f", "pipe", "config"].as_slice()),
        ("-TERM", 143, &["-f", "pipe", "--runtime", "mock", "up"]),
        ("-INT", 130, &["--config", "pipe", "--runtime", "mock", "ls"]),
    ] {
        let child = shop.command(arguments).stderr(Stdio::piped()).spawn().unwrap();
        let (id, end) = (child.id(), pipe.clone());
        let ended = std::thread::spawn(move || {
            let output = child.wait_with_output().unwrap();
            // Lets go who still waits for a program that has ended without reading it.
            drop(std::fs::OpenOptions::new().read(true).write(true).open(end).unwrap());
            output
        });
        // It can be opened once the other end is.
        let open = std::fs::OpenOptions::new().write(true).open(&pipe).unwrap();
        send(signal, id);
        assert_eq!(shop.ran(ended.join().unwrap()).code, Some(code), "{arguments:?}");
        drop(open);
    }
}

#[test]
fn an_attached_up_says_how_each_container_ended() {
    let shop = Shop::new(
        "
services:
  good: {image: example/a:1, labels: {io.longshore.mock.log: one, io.longshore.mock.exit: '0'}}
  web:
    image: example/a:1
    labels: {io.longshore.mock.log: two, io.longshore.mock.run-for: 200ms, io.longshore.mock.exit: '3'}
",
    );
    let ran = shop.mock(&["up"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let lines: BTreeSet<&str> = ran.stdout.lines().collect();
    let expected =
        ["good-1  | one", "good-1 exited with code 0", "web-1   | two", "web-1 exited with code 3"];
    assert_eq!(lines, BTreeSet::from(expected));
    let ran = shop.mock(&["up", "--format", "json"]);
    let exited =
        ran.stderr.lines().map(json).find(|event| event["event"] == "exited" && event["service"] == "web");
    assert_eq!(exited.unwrap()["exit_code"], 3);
}

#[test]
fn an_attached_up_is_silent_of_what_is_not_to_be_shown() {
    let shop = Shop::new(
        "
services:
  loud: {image: example/a:1, labels: {io.longshore.mock.log: one, io.longshore.mock.exit: '0'}}
  quiet: {image: example/a:1, attach: false, labels: {io.longshore.mock.log: two, io.longshore.mock.exit: '0'}}
",
    );
    let ran = shop.mock(&["up"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let lines: BTreeSet<&str> = ran.stdout.lines().collect();
    assert_eq!(lines, BTreeSet::from(["loud-1  | one", "loud-1 exited with code 0"]));
}

#[test]
fn an_attached_up_shows_the_services_that_it_is_told_to() {
    let shop = Shop::new(
        "
services:
  one: {image: example/a:1, labels: {io.longshore.mock.log: one, io.longshore.mock.exit: '0'}}
  two: {image: example/a:1, attach: false, labels: {io.longshore.mock.log: two, io.longshore.mock.exit: '0'}}
",
    );
    let of = |service: &str| {
        BTreeSet::from([format!("{service}-1  | {service}"), format!("{service}-1 exited with code 0")])
    };
    for (flags, shown) in [
        (["--attach", "one"].as_slice(), of("one")),
        (&["--attach", "two"], of("two")),
        (&["--no-attach", "one"], BTreeSet::new()),
    ] {
        let ran = shop.mock(&[&["up"], flags].concat());
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert_eq!(ran.stdout.lines().map(str::to_owned).collect::<BTreeSet<_>>(), shown, "{flags:?}");
    }
    let ran = shop.mock(&["up", "--no-attach", "three"]);
    assert!(ran.code == Some(1) && ran.stderr.contains("three"), "{}", ran.stderr);
}

#[test]
fn an_attached_up_ends_with_a_container_if_it_is_told() {
    let shop = Shop::new(
        "
services:
  web: {image: example/a:1, labels: {io.longshore.mock.log: serving}}
  test:
    image: example/a:1
    depends_on: [web]
    labels: {io.longshore.mock.run-for: 200ms, io.longshore.mock.exit: '3'}
",
    );
    for (flags, code) in [
        (["--abort-on-container-exit"].as_slice(), 3),
        (&["--exit-code-from", "test"], 3),
        // That of one that is stopped with the others.
        (&["--exit-code-from", "web"], 0),
    ] {
        let ran = shop.mock(&[&["up"], flags].concat());
        assert_eq!(ran.code, Some(code), "{flags:?} {}", ran.stderr);
        assert!(ran.stdout.contains("test-1 exited with code 3"), "{}", ran.stdout);
        assert!(ran.stderr.contains("Container shop-web-1  Stopped"), "{}", ran.stderr);
    }
    let ran = shop.mock(&["up", "-d", "--exit-code-from", "web"]);
    assert_eq!(ran.code, Some(64), "{}", ran.stderr);
    let ran = shop.mock(&["up", "web", "--exit-code-from", "test"]);
    assert_eq!(ran.code, Some(64), "{}", ran.stderr);
    assert!(ran.stderr.contains("does not start service \"test\""), "{}", ran.stderr);
}

#[test]
fn what_no_builder_here_can_is_refused() {
    let shop = Shop::new("services: {web: {build: .}}");
    for flag in ["--builder", "--memory"] {
        let ran = shop.mock(&["build", flag, "1"]);
        assert_eq!(ran.code, Some(64), "{}", ran.stderr);
        assert!(ran.stderr.starts_with(&format!("error: {flag}: ")), "{}", ran.stderr);
    }
}

#[test]
fn an_attached_up_shows_times_if_it_is_told() {
    let shop = Shop::new(
        "services: {web: {image: example/a:1, labels: {io.longshore.mock.log: one, io.longshore.mock.exit: '0'}}}",
    );
    let ran = shop.mock(&["up", "--timestamps"]);
    let line = ran.stdout.lines().next().unwrap_or_default();
    let words: Vec<&str> = line.split_whitespace().collect();
    let is_time = |word: &str| word.len() > 19 && word.as_bytes()[10] == b'T';
    assert!(matches!(words[..], ["web-1", "|", time, "one"] if is_time(time)), "{line}");
}

#[test]
fn a_pull_leaves_out_what_it_is_told() {
    let shop = Shop::new("services: {web: {image: 'localhost/nowhere:1'}, db: {image: 'example/db:1'}}");
    assert_eq!(shop.mock(&["pull"]).code, Some(1));
    let ran = shop.mock(&["pull", "--ignore-pull-failures"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("Image example/db:1  Pulled"), "{}", ran.stderr);
    assert!(ran.stderr.contains("localhost/nowhere:1"), "{}", ran.stderr);
    // In memory what no registry has is there.
    let ran = shop.mock(&["pull", "--policy", "missing"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(!ran.stderr.contains("localhost/nowhere:1"), "{}", ran.stderr);
}

#[test]
fn config_names_profiles_and_writes_a_file() {
    let shop =
        Shop::new("services: {web: {image: a, profiles: [two, one]}, db: {image: b, profiles: [one]}}");
    assert_eq!(shop.run(&["config", "--profiles"]).stdout, "one\ntwo\n");
    let whole = shop.run(&["config"]);
    let ran = shop.run(&["config", "--output", "out.yaml"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""), "{}", ran.stderr);
    assert_eq!(std::fs::read_to_string(shop.folder().join("out.yaml")).expect("it is there"), whole.stdout);
    let ran = shop.run(&["config", "--output", "no/such/folder.yaml"]);
    assert!(ran.code != Some(0) && ran.stderr.contains("no/such/folder.yaml"), "{}", ran.stderr);
    assert_eq!(shop.run(&["config", "--services", "-o", "out.yaml"]).code, Some(64));
    assert_eq!(shop.run(&["--dry-run", "config", "-o", "dry.yaml"]).code, Some(64));
    assert!(!shop.folder().join("dry.yaml").exists());
}

#[test]
fn a_pull_takes_dependencies_along_if_it_is_told() {
    let shop = Shop::new(&format!("{SHOP}  other: {{image: 'example/other:1'}}\n"));
    let pulled = |words: &[&str]| {
        let ran = shop.mock(&[&["pull"], words].concat());
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        let lines = ran.stderr.lines().filter_map(|line| line.strip_suffix("  Pulled"));
        lines.map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let images =
        |names: &[&str]| names.iter().map(|name| format!("Image example/{name}:1")).collect::<BTreeSet<_>>();
    assert_eq!(pulled(&["web"]), images(&["web"]));
    assert_eq!(pulled(&["web", "--include-deps"]), images(&["web", "db"]));
    assert_eq!(pulled(&[]), images(&["web", "db", "other"]));
    assert_eq!(shop.mock(&["pull", "web", "--quiet"]).stderr, "");
}

#[test]
fn the_version_is_told() {
    let shop = Shop::new(SHOP);
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(shop.run(&["version"]).stdout, format!("longshore {version}\n"));
    assert_eq!(shop.run(&["version", "--short"]).stdout, format!("{version}\n"));
    assert_eq!(json(&shop.run(&["version", "--format", "json"]).stdout)["version"], version);
}

#[test]
fn what_is_listed_can_be_chosen() {
    let shop = Shop::new(SHOP);
    for words in
        [["ps", "--status", "gone"].as_slice(), &["ps", "--filter", "name=web"], &["ls", "--filter", "shop"]]
    {
        assert_eq!(shop.mock(words).code, Some(64), "{words:?}");
    }
    for words in [
        ["ps", "--status", "exited", "--status", "created", "--orphans=false"].as_slice(),
        &["ps", "--filter", "status=running", "--no-trunc"],
        &["ls", "--filter", "name=shop", "--all"],
    ] {
        assert_eq!(shop.mock(words).code, Some(0), "{words:?}");
    }
}

#[cfg(unix)]
#[test]
fn ctrl_c_stops_an_attached_project_in_order() {
    let file =
        format!("{SHOP}    labels: {{io.longshore.mock.log: ready to serve}}\n    container_name: front\n");
    let shop = Shop::new(&file);
    let mut child = shop
        .command(&["--runtime", "mock", "up"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains("ready to serve")), "it ended before it served");
    interrupt(child.id());
    assert!(lines.any(|line| line.ends_with("stopping")), "the containers were not told");
    let rest: Vec<String> = lines.collect();
    let ran = shop.ran(child.wait_with_output().unwrap());
    assert_eq!(ran.code, Some(130), "{rest:?} {}", ran.stderr);
    let at = |line: &str| ran.stderr.lines().position(|other| other == line);
    let (front, db) = (at("Container front  Stopped"), at("Container shop-db-1  Stopping"));
    assert!(front.is_some() && front < db, "{}", ran.stderr);
}

/// A container of `shop`'s service `db`, as podman inspects it.
#[cfg(unix)]
fn inspected(id: &str, number: u32) -> serde_json::Value {
    serde_json::json!({
        "Id": id, "Name": format!("shop-db-{number}"), "Image": "1", "ImageName": "example/db:1",
        "Created": "2026-01-02T15:04:05Z",
        "State": { "Status": "running", "ExitCode": 0, "StartedAt": "2026-01-02T15:04:05Z",
            "FinishedAt": "0001-01-01T00:00:00Z" },
        "Config": { "Labels": { "com.docker.compose.project": "shop", "com.docker.compose.service": "db",
            "com.docker.compose.container-number": number.to_string() } },
        "HostConfig": {}, "NetworkSettings": {}, "Mounts": []
    })
}

#[cfg(unix)]
#[test]
fn logs_are_those_of_the_container_of_a_number() {
    let shop = Shop::new(SHOP);
    let ids = ["1a".repeat(32), "2b".repeat(32)];
    let both = serde_json::json!([inspected(&ids[0], 1), inspected(&ids[1], 2)]);
    let program = script(
        &shop,
        &format!(
            "for last; do :; done; case \"$1\" in ps) echo {}; echo {};; container) echo '{both}';; \
             logs) echo \"2026-01-02T15:04:05.000000000Z $last\";; *) exit 1;; esac",
            ids[0], ids[1]
        ),
    );
    let logs = |more: &[&str]| {
        let words =
            [&["--runtime", "podman", "--podman", &program, "logs", "--no-log-prefix"], more].concat();
        let command = &mut shop.command(&words);
        shop.ran(command.envs([("PATH", "/usr/bin:/bin"), ("LONGSHORE_PODMAN_VIA", "cli")]).output().unwrap())
    };
    let all = logs(&[]);
    let lines: BTreeSet<&str> = all.stdout.lines().collect();
    assert_eq!(lines, BTreeSet::from([ids[0].as_str(), &ids[1]]), "{}", all.stderr);
    assert_eq!(logs(&["--index", "2"]).stdout, format!("{}\n", ids[1]));
    let none = logs(&["--index", "3"]);
    assert_eq!((none.code, none.stdout.as_str()), (Some(1), ""), "{}", none.stderr);
}

/// A podman with one container, whose log does not end.
#[cfg(unix)]
#[test]
fn ctrl_c_ends_followed_logs_in_silence() {
    let shop = Shop::new(SHOP);
    let id = "4f".repeat(32);
    let inspected = serde_json::json!([inspected(&id, 1)]);
    let program = script(
        &shop,
        &format!(
            "case \"$1\" in ps) echo {id};; container) echo '{inspected}';; \
             logs) echo '2026-01-02T15:04:05.000000000Z hello'; exec sleep 100;; *) exec sleep 100;; esac"
        ),
    );
    let mut child = shop
        .command(&["--runtime", "podman", "--podman", &program, "logs", "-f"])
        .envs([("PATH", "/usr/bin:/bin"), ("LONGSHORE_PODMAN_VIA", "cli")])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let first = lines.next();
    interrupt(child.id());
    let ran = shop.ran(child.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(130), ""));
    assert_eq!(first.as_deref(), Some("db-1  | hello"));
}

#[cfg(unix)]
#[test]
fn ctrl_c_before_an_attached_project_is_up_says_how_to_go_on() {
    let file = SHOP.replace("healthy-after: 200ms", "unhealthy: 'true'").replace("100ms", "1m");
    let shop = Shop::new(&file);
    let mut child = shop
        .command(&["--runtime", "mock", "up"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line == "Container shop-db-1  Waiting"));
    interrupt(child.id());
    let rest = lines.collect::<Vec<_>>().join("\n");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(rest.contains("shop-db-1 (exited)"), "{rest}");
    assert!(
        rest.ends_with(
            "`longshore --runtime mock up` completes it, `longshore --runtime mock down` removes it"
        )
    );
}

#[cfg(unix)]
#[test]
fn ctrl_c_while_waiting_says_what_is_left() {
    let file = SHOP.replace("healthy-after: 200ms", "unhealthy: 'true'").replace("100ms", "1m");
    let shop = Shop::new(SHOP);
    std::fs::write(shop.folder().join("slow file.yaml"), file).unwrap();
    let mut child = shop
        .command(&["-f", "slow file.yaml", "up", "-d", "--runtime", "mock", "-p", "uxs"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let mut open = BTreeSet::from(["Container uxs-db-1  Waiting", "Container uxs-web-1  Created"]);
    while !open.is_empty() {
        open.remove(lines.next().unwrap().as_str());
    }
    interrupt(child.id());
    let rest = lines.collect::<Vec<_>>().join("\n");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    insta::assert_snapshot!(rest.split_once("error: ").unwrap().1, @r"
    cancelled by Ctrl-C
    help: left as they are: uxs-db-1 (running), uxs-web-1 (created)
          `longshore -f 'slow file.yaml' up -d --runtime mock -p uxs` completes it, `longshore -f 'slow file.yaml' -p uxs --runtime mock down` removes it
    ");
}
