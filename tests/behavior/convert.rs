//! Projects as files for Podman: nothing is dropped in silence, Quadlet's generator takes the units, and podman plays the pods.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    process::{self, Output},
};

use compose_file::{LoadOptions, Project, load_str};
use longshore_tests::{Backend, Case, Failed, Outcome, Suite};
use runtime_podman::convert::{Converted, kube, quadlet};
use serde_json::Value;
use tokio::process::Command;

use crate::attributes;

pub(crate) fn tests(suite: &mut Suite) {
    fn only_once(backend: &Backend) -> bool {
        !backend.is_real()
    }
    fn is_podman(backend: &Backend) -> bool {
        backend.name == "podman"
    }
    suite.add(module_path!(), "every_attribute_is_written_or_named", only_once, every_attribute);
    suite.add(module_path!(), "quadlet_gives_podman_each_word_as_it_is", only_once, words);
    suite.add(module_path!(), "quadlet_takes_the_units_of_every_attribute", only_once, units_of_attributes);
    suite.add(module_path!(), "quadlet_takes_the_units_of_real_files", only_once, units_of_real_files);
    suite.add(module_path!(), "podman_plays_the_pods", is_podman, play);
}

/// All of the project.
fn both(project: &Project) -> Result<[Converted; 2], runtime_core::Error> {
    let all = BTreeSet::new();
    Ok([quadlet(project, &all)?, kube(project, &all)?])
}

/// What a conversion says, without the hash of all that a service is made from.
fn said(converted: &Converted) -> String {
    let files = converted.files.iter().flat_map(|file| file.text.0.lines());
    let files: Vec<&str> = files.filter(|line| !line.contains("com.docker.compose.config-hash")).collect();
    format!("{}\n{:#?}\n{:#?}", files.join("\n"), converted.unsaid, converted.warnings)
}

/// Attributes that have no row, because other tests of engines are about them: their path in the schema, and text as a row has it.
const MORE: &[(&str, &str)] = &[
    ("S/attach", "attach: false"),
    ("S/container_name", "container_name: named"),
    ("S/depends_on", "services:\n  z: {image: x}\n  web: {image: x, depends_on: [z]}\n"),
    (
        "S/depends_on/*/condition",
        "services:\n  a: {image: x}\n  web: {image: x, depends_on: {a: {condition: service_healthy}}}\n",
    ),
    (
        "S/depends_on/*/condition",
        "services:\n  a: {image: x}\n  web: {image: x, depends_on: {a: {condition: service_completed_successfully}}}\n",
    ),
    (
        "S/depends_on/*/restart",
        "services:\n  a: {image: x}\n  web: {image: x, depends_on: {a: {condition: service_started, restart: true}}}\n",
    ),
    (
        "S/depends_on/*/required",
        "services:\n  a: {image: x}\n  web: {image: x, depends_on: {a: {condition: service_started, required: false}}}\n",
    ),
    ("S/develop", "develop: {watch: [{path: ., action: rebuild}]}"),
    ("S/entrypoint", "entrypoint: [a]"),
    ("S/environment", "environment: {A: b}"),
    ("S/labels", "labels: {a: b}"),
    ("S/scale", "scale: 2"),
    ("S/image", "labels: {a: b}"),
    ("S/pull_policy", "pull_policy: always"),
    ("S/pull_policy", "pull_policy: never"),
    ("S/pull_policy", "pull_policy: daily"),
    ("S/networks", "services:\n  web: {image: x, networks: [n]}\nnetworks: {n: }\n"),
    (
        "S/networks/*/aliases",
        "services:\n  web: {image: x, networks: {n: {aliases: [a]}}}\nnetworks: {n: }\n",
    ),
    (
        "S/networks/*/ipv4_address",
        "services:\n  web: {image: x, networks: {n: {ipv4_address: 10.1.1.2}}}\nnetworks: {n: }\n",
    ),
    (
        "S/networks/*/ipv6_address",
        "services:\n  web: {image: x, networks: {n: {ipv6_address: 'fd00::2'}}}\nnetworks: {n: }\n",
    ),
    (
        "S/networks/*/priority",
        "services:\n  web: {image: x, networks: {m: , n: {priority: 2}}}\nnetworks: {m: , n: }\n",
    ),
    (
        "/networks/*/external",
        "services:\n  web: {image: x, networks: [net]}\nnetworks: {net: {external: true}}\n",
    ),
    (
        "/volumes/*/external",
        "services:\n  web: {image: x, volumes: ['vol:/v']}\nvolumes: {vol: {external: true}}\n",
    ),
    ("S/ports", "ports: ['80']"),
    ("S/ports/published", "ports: ['8080:80']"),
    ("S/ports/published", "ports: ['8080-8081:80']"),
    ("S/ports/host_ip", "ports: ['127.0.0.1:8080:80']"),
    ("S/ports/protocol", "ports: ['8080:80/udp']"),
    ("S/post_start", "post_start: [{command: [a]}]"),
    ("S/pre_stop", "pre_stop: [{command: [a], user: b, environment: {A: b}}]"),
    ("S/restart", "restart: always"),
    ("S/restart", "restart: on-failure:3"),
    ("S/stop_grace_period", "stop_grace_period: 3s"),
    ("S/volumes", "volumes: [/v]"),
    ("S/volumes/read_only", "volumes: ['/etc:/v:ro']"),
    (
        "S/volumes/bind/create_host_path",
        "volumes: [{type: bind, source: /a, target: /b, bind: {create_host_path: true}}]",
    ),
    (
        "S/volumes/bind/propagation",
        "volumes: [{type: bind, source: /a, target: /b, bind: {propagation: rshared}}]",
    ),
    ("S/volumes/bind/selinux", "volumes: [{type: bind, source: /a, target: /b, bind: {selinux: z}}]"),
    (
        "S/volumes/bind/recursive",
        "volumes: [{type: bind, source: /a, target: /b, bind: {recursive: disabled}}]",
    ),
    ("S/volumes/tmpfs/size", "volumes: [{type: tmpfs, target: /b, tmpfs: {size: 1m}}]"),
    ("S/volumes/tmpfs/mode", "volumes: [{type: tmpfs, target: /b, tmpfs: {mode: 0700}}]"),
    (
        "S/volumes/volume/nocopy",
        "services:\n  web: {image: x, volumes: [{type: volume, source: v, target: /v, volume: {nocopy: true}}]}\nvolumes: {v: }\n",
    ),
    ("S/volumes", "volumes: [{type: image, source: x, target: /v}]"),
    (
        "S/secrets/uid",
        "services:\n  web: {image: x, secrets: [{source: s, uid: '7'}]}\nsecrets: {s: {environment: LONGSHORE_TESTS_SECRET}}\n",
    ),
    (
        "S/secrets/mode",
        "services:\n  web: {image: x, secrets: [{source: s, mode: 0400}]}\nsecrets: {s: {environment: LONGSHORE_TESTS_SECRET}}\n",
    ),
    (
        "S/configs/gid",
        "services:\n  web: {image: x, configs: [{source: s, gid: '7'}]}\nconfigs: {s: {content: a}}\n",
    ),
];

/// Each of `build`, in a service that is only built.
const BUILD: [&str; 22] = [
    "dockerfile: other",
    "dockerfile_inline: FROM x",
    "entitlements: [network.host]",
    "args: {A: b}",
    "ssh: [default]",
    "labels: {a: b}",
    "cache_from: [a]",
    "cache_to: [a]",
    "no_cache: true",
    "additional_contexts: {a: ./b}",
    "network: host",
    "provenance: true",
    "sbom: true",
    "pull: true",
    "target: a",
    "shm_size: 1m",
    "extra_hosts: {a: 10.1.1.1}",
    "privileged: true",
    "isolation: default",
    "tags: [a]",
    "ulimits: {nofile: 7}",
    "platforms: [linux/amd64]",
];

/// The files of all of them: a name, the paths that it is about, the text.
fn files() -> Vec<(String, Vec<String>, String)> {
    let rows = attributes::files().map(|(name, paths, text)| {
        (name.to_owned(), paths.iter().map(|path| (*path).to_owned()).collect(), text)
    });
    let more = MORE
        .iter()
        .map(|(path, text)| ((*path).to_owned(), vec![(*path).to_owned()], attributes::file(text)));
    let build = BUILD.iter().map(|line| {
        let (key, _) = line.split_once(':').unwrap_or((line, ""));
        let text = format!("services:\n  web: {{build: {{context: ., {line}}}}}\n");
        (format!("build.{key}"), vec![format!("S/build/{key}")], text)
    });
    // Rows without attributes of their own are about values of those of others.
    rows.chain(more).chain(build).filter(|(_, paths, _): &(_, Vec<String>, _)| !paths.is_empty()).collect()
}

/// Whether what a path names is told, by itself or by what it is a part of.
fn is_named(converted: &Converted, path: &str) -> bool {
    let path = path.trim_start_matches("S/").replace("/*", "").replace('/', ".");
    let is_of = |attribute: &str| {
        path.strip_prefix(attribute).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    converted.unsaid.iter().any(|unsaid| is_of(&unsaid.attribute))
}

/// Takes away what a path of the schema names.
fn remove(value: &mut Value, path: &[&str]) {
    match (value, path) {
        (Value::Array(items), path) => items.iter_mut().for_each(|item| remove(item, path)),
        (Value::Object(entries), ["*", rest @ ..]) => {
            entries.values_mut().for_each(|entry| remove(entry, rest))
        }
        (Value::Object(entries), [key]) => _ = entries.shift_remove(*key),
        (Value::Object(entries), [key, rest @ ..]) => {
            entries.get_mut(*key).into_iter().for_each(|entry| remove(entry, rest))
        }
        _ => {}
    }
}

async fn every_attribute(case: Case) -> Outcome {
    std::fs::write(case.dir().join(".env"), "LONGSHORE_TESTS_SECRET=hunter2\n")?;
    std::fs::write(case.dir().join("seccomp.json"), "{}")?;
    let mut dropped = Vec::new();
    for (name, paths, text) in files() {
        let project = case.project(&text).map_err(|error| format!("{name}: {error:?}"))?;
        let with = match both(&project) {
            Ok(with) => with,
            // It is refused, as `up` refuses it.
            Err(runtime_core::Error::InvalidProject(_)) => continue,
            Err(error) => return Err(error.into()),
        };
        let mut less = compose_file::to_json(&project);
        for path in &paths {
            let path = path.strip_suffix("/**").unwrap_or(path.as_str());
            let whole =
                path.strip_prefix('S').map_or_else(|| path.to_owned(), |rest| format!("/services/*{rest}"));
            let segments: Vec<&str> = whole.split('/').skip(1).collect();
            let before = less.clone();
            remove(&mut less, &segments);
            if less == before {
                // In the canonical form it has another name inside.
                remove(&mut less, segments.get(..3).unwrap_or(&segments));
            }
        }
        let Ok(less) = case.project(&compose_file::yaml(&less)) else { continue };
        let Ok(without) = both(&less) else { continue };
        for (form, (with, without)) in ["quadlet", "kube"].into_iter().zip(with.iter().zip(&without)) {
            if said(with) == said(without) && !paths.iter().any(|path| is_named(with, path)) {
                dropped.push(format!("{form}: {name}"));
            }
        }
    }
    // `default` is Docker's word for no driver at all.
    dropped.retain(|row| !row.ends_with("network_ipam_driver"));
    assert!(dropped.is_empty(), "dropped in silence: {dropped:#?}");
    Ok(())
}

/// The generator, which is Podman's own.
fn generator() -> Result<PathBuf, Failed> {
    let named = std::env::var_os("LONGSHORE_TEST_QUADLET").map(PathBuf::from);
    let usual = ["/usr/libexec/podman/quadlet", "/usr/lib/podman/quadlet"].map(PathBuf::from);
    named.into_iter().chain(usual).find(|path| path.is_file()).ok_or_else(|| {
        Failed::NoProgram("quadlet", "there is no Quadlet; LONGSHORE_TEST_QUADLET names it".to_owned())
    })
}

/// What systemd would be given of a project.
fn generate(case: &Case, project: &Project) -> Result<String, Failed> {
    let generator = generator()?;
    let units = case.dir().join("units");
    let _ = std::fs::remove_dir_all(&units);
    std::fs::create_dir_all(&units)?;
    let converted = quadlet(project, &BTreeSet::new())?;
    if converted.files.is_empty() {
        return Ok(String::new());
    }
    for file in &converted.files {
        std::fs::write(units.join(&file.name), &file.text.0)?;
    }
    let Output { status, stdout, stderr } =
        process::Command::new(generator).arg("-dryrun").env("QUADLET_UNIT_DIRS", &units).output()?;
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    let complaints: Vec<&str> =
        stderr.lines().filter(|line| !line.contains("Loading source unit file")).collect();
    if !status.success() || !complaints.is_empty() {
        return Err(format!("{}: {}", project.name, complaints.join("\n")).into());
    }
    for file in &converted.files {
        let (stem, kind) = file.name.rsplit_once('.').ok_or("a unit has a kind")?;
        let service = match kind {
            "container" => format!("---{stem}.service---"),
            kind => format!("---{stem}-{kind}.service---"),
        };
        assert!(stdout.contains(&service), "{service} is not generated");
    }
    Ok(stdout.into_owned())
}

async fn units_of_attributes(case: Case) -> Outcome {
    std::fs::write(case.dir().join(".env"), "LONGSHORE_TESTS_SECRET=hunter2\n")?;
    std::fs::write(case.dir().join("seccomp.json"), "{}")?;
    for (name, _, text) in files() {
        let project = case.project(&text)?;
        match generate(&case, &project) {
            Err(error @ (Failed::NotHere(_) | Failed::NoProgram(..))) => return Err(error),
            Err(error) if quadlet(&project, &BTreeSet::new()).is_ok() => {
                return Err(format!("{name}: {error:?}").into());
            }
            _ => {}
        }
    }
    Ok(())
}

async fn units_of_real_files(case: Case) -> Outcome {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/compose/awesome-compose");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        return Err(Failed::NotHere("the shared compose files do not stand beside this checkout".to_owned()));
    };
    let mut count = 0;
    for entry in entries {
        let folder = entry?.path();
        let project = compose_file::load(&LoadOptions::new(&folder))?;
        both(&project)?;
        generate(&case, &project)?;
        count += 1;
    }
    assert_eq!(count, 39);
    Ok(())
}

/// The words of a command line as systemd reads it, variables and specifiers too.
fn read_words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            c if Some(c) == quote => quote = None,
            '"' | '\'' if quote.is_none() && word.is_none() => {
                quote = Some(c);
                word = Some(String::new());
            }
            ' ' if quote.is_none() => words.extend(word.take()),
            c => {
                let word = word.get_or_insert_default();
                match c {
                    '\\' => match chars.next() {
                        Some('n') => word.push('\n'),
                        Some('t') => word.push('\t'),
                        Some('x') => {
                            let digits: String = chars.by_ref().take(2).collect();
                            word.extend(u8::from_str_radix(&digits, 16).map(char::from));
                        }
                        other => word.extend(other),
                    },
                    '%' | '$' => {
                        assert_eq!(chars.next(), Some(c), "it would be replaced: {line}");
                        word.push(c);
                    }
                    c => word.push(c),
                }
            }
        }
    }
    words.extend(word);
    words
}

async fn words(case: Case) -> Outcome {
    const HARD: [&str; 8] = [
        "plain",
        "two words",
        "$HOME ${HOME} $$",
        "100% %h",
        "it's \"so\"",
        "back\\slash\\",
        "two\nlines\tand",
        " edges ",
    ];
    let mut file = serde_json::json!({ "services": { "web": {
        "image": "localhost/longshore-fixture:1",
        "command": HARD,
        "entrypoint": ["/fixture", "a b", "$X %h \"q\""],
        "working_dir": "/with space/50%",
        "healthcheck": { "test": "a \"b c\" 'd' || echo $X 100% \\; \nexit 1" },
    } } });
    for (index, hard) in HARD.iter().enumerate() {
        for attribute in ["environment", "labels", "annotations"] {
            file["services"]["web"][attribute][format!("K{index}")] = Value::from(*hard);
        }
    }
    let text = compose_file::yaml(&file);
    let mut options = LoadOptions::new(case.dir());
    options.project_name = Some("hard".to_owned());
    options.interpolate = false;
    let project = load_str("compose.yaml", &text, &options)?;
    let generated = generate(&case, &project)?;
    let run = generated.lines().filter(|line| line.starts_with("ExecStart=") && line.contains(" run "));
    let run: Vec<&str> = run.collect();
    let [run] = run.as_slice() else { return Err(format!("not one container: {generated}").into()) };
    // What is before that is Quadlet's own.
    let (_, ours) = run.split_once(" --rm ").ok_or("podman is told to remove it")?;
    let words = read_words(ours);
    for (index, hard) in HARD.iter().enumerate() {
        for flag in ["--env", "--label", "--annotation"] {
            let value = format!("K{index}={hard}");
            let is_there = words.windows(2).any(|pair| pair[0] == flag && pair[1] == value);
            assert!(is_there, "no {flag} {value:?} in {words:?}");
        }
    }
    assert!(words.ends_with(&HARD.map(str::to_owned)), "{words:?}");
    let service = &project.services["web"];
    let test = match service.healthcheck.as_ref().and_then(|check| check.test.clone()) {
        Some(compose_file::HealthTest::Shell(line)) => format!("--health-cmd={line}"),
        other => return Err(format!("{other:?}").into()),
    };
    let workdir = words.windows(2).any(|pair| pair[0] == "--workdir" && pair[1] == "/with space/50%");
    let entrypoint = serde_json::json!(service.entrypoint).to_string();
    assert!(words.contains(&test) && workdir && words.contains(&entrypoint), "{words:?}");
    Ok(())
}

/// Podman with a container of the tests' own for what holds a pod together, because its own is made of a program that need not be here.
struct Podman {
    settings: PathBuf,
}

impl Podman {
    fn new(case: &Case) -> Result<Self, Failed> {
        let usual =
            std::env::var_os("CONTAINERS_CONF").unwrap_or_else(|| "/etc/containers/containers.conf".into());
        let text = std::fs::read_to_string(usual).unwrap_or_default();
        let mut table: toml::Table = text.parse()?;
        let engine = table.entry("engine").or_insert_with(|| toml::Table::new().into());
        let engine = engine.as_table_mut().ok_or("[engine] is a table")?;
        engine.insert("infra_image".to_owned(), "localhost/longshore-fixture:1".into());
        engine.insert("infra_command".to_owned(), "/fixture".into());
        let settings = case.dir().join("containers.conf");
        std::fs::write(&settings, table.to_string())?;
        Ok(Self { settings })
    }

    async fn say(&self, words: &[&str]) -> Result<String, Failed> {
        let mut said = String::new();
        for _ in 0..10 {
            let output =
                Command::new("podman").args(words).env("CONTAINERS_CONF", &self.settings).output().await?;
            said = String::from_utf8_lossy(&output.stderr).into_owned();
            // What another test takes away while podman looks through all that there is.
            let is_disturbed =
                ["no such volume", "no such network interface"].iter().any(|it| said.contains(it));
            if output.status.success() {
                return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
            }
            if !is_disturbed {
                break;
            }
        }
        Err(format!("podman {words:?}: {said}").into())
    }
}

async fn play(case: Case) -> Outcome {
    // Pods are found by the names of services, which are the engine's for as long.
    let name = case.name();
    let project = case.project(&format!(
        "
services:
  {name}-job:
    image: localhost/longshore-fixture:1
    command: [write, /data/seed, sown]
    volumes: ['v:/data']
  {name}-db:
    image: localhost/longshore-fixture:1
    command: [serve, --env, SAID]
    environment: {{SAID: 'it''s \"so\" $$HOME'}}
    volumes: ['v:/data']
    tmpfs: [/cache]
    depends_on: {{{name}-job: {{condition: service_completed_successfully}}}}
    healthcheck: {{test: [CMD, /fixture, health], interval: 2s, retries: 4}}
    restart: on-failure
    mem_limit: 64m
    user: '0:0'
    read_only: true
    configs: [{{source: c, target: /conf}}]
  {name}-web:
    image: localhost/longshore-fixture:1
    entrypoint: [/fixture]
    command: [fetch, 'http://{name}-db:8080/', --retry, '100']
    depends_on: [{name}-db]
volumes: {{v: }}
configs: {{c: {{content: of the file}}}}
"
    ))?;
    let converted = kube(&project, &BTreeSet::new())?;
    let [file] = converted.files.as_slice() else { return Err("not one file".into()) };
    let path = case.dir().join(&file.name);
    std::fs::write(&path, &file.text.0)?;
    let podman = Podman::new(&case)?;
    let outcome = played(&case, &podman, &file.text.0).await;
    let path = path.display().to_string();
    let down = podman.say(&["play", "kube", "--down", &path]).await;
    for volume in
        podman.say(&["volume", "ls", "--quiet"]).await?.lines().filter(|volume| volume.starts_with(name))
    {
        podman.say(&["volume", "rm", "--force", volume]).await?;
    }
    podman.say(&["network", "rm", "--force", &format!("{name}_default")]).await?;
    outcome?;
    down?;
    Ok(())
}

async fn played(case: &Case, podman: &Podman, text: &str) -> Outcome {
    let name = case.name();
    // The commands that the file begins with.
    let commands = text.lines().map_while(|line| line.strip_prefix("# podman "));
    let commands: Vec<Vec<&str>> = commands.map(|line| line.split(' ').collect()).collect();
    assert_eq!(commands.len(), 2, "{commands:?}");
    for mut words in commands {
        let path = case.dir().join(words.last().ok_or("no words")?).display().to_string();
        if words.starts_with(&["kube", "play"]) {
            words.splice(..2, ["play", "kube"]);
            words.pop();
            words.push(&path);
        }
        podman.say(&words).await?;
    }
    let (db, web) = (format!("{name}-db-{name}-db"), format!("{name}-web-{name}-web"));
    let code = podman.say(&["wait", &web]).await?;
    assert_eq!(code.trim(), "0", "it found nobody by the name of the service");
    assert_eq!(podman.say(&["logs", &web]).await?.trim(), "it's \"so\" $HOME");
    assert_eq!(podman.say(&["exec", &db, "/fixture", "read", "/data/seed"]).await?, "sown");
    let seen: Value = serde_json::from_str(&podman.say(&["inspect", &db]).await?)?;
    for (at, wanted) in [
        ("/0/HostConfig/Memory", serde_json::json!(64 << 20)),
        ("/0/HostConfig/ReadonlyRootfs", true.into()),
        ("/0/HostConfig/RestartPolicy/Name", "on-failure".into()),
        ("/0/Config/User", "0:0".into()),
        ("/0/Config/Healthcheck/Interval", 2_000_000_000_u64.into()),
        ("/0/Config/Labels/app.kubernetes.io~1part-of", name.into()),
    ] {
        assert_eq!(seen.pointer(at), Some(&wanted), "{at}");
    }
    Ok(())
}
