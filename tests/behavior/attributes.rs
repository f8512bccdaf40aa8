//! Each attribute of the specification on each engine: applied and shown by the engine itself, refused by name before anything
//! is made, or done without and told. `docs/attributes.md` is made of this table; LONGSHORE_BLESS=1 writes it anew.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use longshore_tests::{Case, Failed, Outcome, Recorder, Seen, Suite, options};
use runtime_core::{Error, ExecSpec, Phase, Start};
use serde_json::Value;

#[path = "attributes/rows.rs"]
mod rows;

use rows::{ELSEWHERE, ROWS};

/// Attributes, what a file says with them, and what comes of it.
pub(crate) struct Row {
    /// The test's name.
    name: &'static str,
    /// Paths in the schema; `S` is `/services/*`, and `/**` all beneath.
    attributes: &'static [&'static str],
    /// Lines of the service `web`, or a whole file.
    text: &'static str,
    /// Where it is looked for.
    seen: Place,
    podman: Comes,
    docker: Comes,
    /// Docker's API, spoken by Podman.
    over: Comes,
    mock: Comes,
    /// How engines differ, or what else is to be known.
    note: &'static str,
}

/// What is inspected.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    /// The container of `web`.
    Container,
    /// The network `n`.
    Network,
    /// The volume `v`.
    Volume,
}

/// What comes of an attribute on an engine.
#[derive(Clone, Copy)]
pub(crate) enum Comes {
    /// What is inspected has this value there (a JSON pointer, and JSON), or a list that has it.
    Shown(&'static str, &'static str),
    /// What is inspected, as the engine in memory keeps it, has this in it.
    Kept(&'static str),
    /// It is taken, and the engine shows nothing of it.
    Taken,
    /// A file inside has this in it, read by the container that runs.
    Inside(&'static str, &'static str),
    /// Nothing is made, and the error has this in it.
    Refused(&'static str),
    /// It is done without, and a warning has this in it.
    Warned(&'static str),
    /// Refused before that version of Docker's API and release; from then on shown.
    Since((u32, u32), &'static str, &'static str, &'static str),
    /// The engine may refuse by itself what it takes elsewhere; then the error has this in it.
    NotHere(&'static str),
}

/// Attributes that other tests are about.
pub(crate) struct Elsewhere {
    attributes: &'static [&'static str],
    /// What comes of them on every engine.
    comes: &'static str,
    /// The tests.
    by: &'static str,
    note: &'static str,
}

pub(crate) fn tests(suite: &mut Suite) {
    for row in ROWS {
        suite.add(module_path!(), row.name, |_| true, move |case| run(case, row));
    }
    suite.add(module_path!(), "the_page_is_of_this_table", |backend| !backend.is_real(), page);
}

impl Row {
    fn on(&self, backend: &str) -> Comes {
        match backend {
            "podman" | "podman-api" => self.podman,
            "docker" => self.docker,
            "docker-over-podman" => self.over,
            _ => self.mock,
        }
    }

    fn file(&self) -> String {
        file(self.text)
    }
}

/// A whole file, or one of the service `web` with these lines.
pub(crate) fn file(text: &str) -> String {
    if text.starts_with("services:") {
        return text.to_owned();
    }
    let lines: String = text.lines().map(|line| format!("    {line}\n")).collect();
    let command = if text.starts_with("command") { "" } else { "    command: [sleep]\n" };
    format!("services:\n  web:\n    image: localhost/longshore-fixture:1\n{command}{lines}")
}

/// The rows' names, the attributes that they are about, and their files.
pub(crate) fn files() -> impl Iterator<Item = (&'static str, &'static [&'static str], String)> {
    ROWS.iter().map(|row| (row.name, row.attributes, numbered(&row.file(), 0)))
}

async fn run(case: Case, row: &'static Row) -> Outcome {
    if rows::NEEDS_CGROUP_1.contains(&row.name)
        && case.backend().is_real()
        && Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
    {
        // Version 2 of control groups has nothing of the kind, and engines leave it out.
        return Ok(());
    }
    std::fs::write(case.dir().join(".env"), "LONGSHORE_TESTS_SECRET=hunter2\n")?;
    std::fs::write(case.dir().join("seccomp.json"), r#"{"defaultAction": "SCMP_ACT_ALLOW"}"#)?;
    std::fs::write(case.dir().join("Dockerfile"), "FROM localhost/longshore-fixture:1\nENV A=b\n")?;
    let project = case.project(&numbered(&row.file(), case.number()))?;
    // What becomes of it is the engine's to say, not the file's.
    assert!(project.warnings.is_empty(), "{:?}", project.warnings);
    let recorder = Recorder::new();
    let comes = row.on(case.backend().name);
    let comes = match comes {
        Comes::Since(api, release, at, value) => {
            let spoken = case.engine().info().await?.api_version.unwrap_or_default();
            let mut numbers = spoken.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
            let spoken = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
            if spoken < api { Comes::Refused(release) } else { Comes::Shown(at, value) }
        }
        comes => comes,
    };
    let only_made = options(|o| {
        o.start = if matches!(comes, Comes::Inside(..)) { Start::Yes } else { Start::No };
    });
    let outcome = case.runtime().up(&project, &only_made, &recorder.call()).await;
    let warnings: Vec<String> = recorder
        .events()
        .into_iter()
        .filter_map(|event| match event.phase {
            Phase::Warning(text) => Some(text),
            _ => None,
        })
        .collect();
    match comes {
        Comes::Refused(words) => {
            let error = match outcome {
                Err(error @ (Error::Unsupported { .. } | Error::InvalidProject(_))) => error.to_string(),
                other => return Err(format!("it is not refused: {other:?}").into()),
            };
            has(&error, words)?;
            let left = case.things_of(&project.name).await?;
            assert!(left.is_empty(), "it was refused too late: {left:?}");
            return Ok(());
        }
        Comes::NotHere(words) => {
            return match outcome {
                Err(error) => has(&error.to_string(), words),
                Ok(_) => Ok(()),
            };
        }
        Comes::Warned(words) => {
            outcome?;
            return has(&warnings.join("\n"), words);
        }
        Comes::Taken => {
            outcome?;
            return Ok(());
        }
        _ => {
            outcome?;
        }
    }
    if let Comes::Inside(path, words) = comes {
        let web = case.container(&project, "web").await?;
        let command = ExecSpec::new(["/fixture", "read", path]);
        let output = case.engine().exec(&web.id, &command).await?;
        return has(&String::from_utf8_lossy(&output.stdout), words);
    }
    let (kind, name) = match row.seen {
        Place::Container => ("container", case.container(&project, "web").await?.id.0),
        Place::Network => ("network", format!("{}_n", project.name)),
        Place::Volume => ("volume", format!("{}_v", project.name)),
    };
    match (comes, case.inspected(kind, &name).await?) {
        (Comes::Kept(words), Seen::Debug(text)) => has(&text, &numbered(words, case.number())),
        (Comes::Shown(at, value), Seen::Json(seen)) => {
            let wanted: Value = serde_json::from_str(&numbered(value, case.number()))?;
            let names = case.ids(&project).await?;
            let wanted = with_ids(wanted, &names.into_iter().map(|(name, id)| (name, id.0)).collect());
            let at = &at.replace("{p}", project.name.as_str());
            let found = seen.pointer(at).cloned().unwrap_or_default();
            let holds = match (&found, &wanted) {
                (Value::Array(all), Value::Array(some)) => {
                    some.iter().all(|one| all.iter().any(|o| of(o, one)))
                }
                (found, wanted) => of(found, wanted),
            };
            if holds { Ok(()) } else { Err(format!("{at} is {found}, and not {wanted}").into()) }
        }
        _ => Err("the table asks the wrong engine".into()),
    }
}

/// Whether a value is the wanted one; of an object only what is wanted counts.
fn of(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => {
            wanted.iter().all(|(key, wanted)| found.get(key).is_some_and(|found| of(found, wanted)))
        }
        _ => found == wanted,
    }
}

/// `ID(name)` as the id of the project's container whose name ends so.
fn with_ids(value: Value, ids: &BTreeMap<String, String>) -> Value {
    match value {
        Value::String(text) => {
            let mut text = text;
            for (name, id) in ids {
                if let Some((_, service)) = name.split_once('-') {
                    text = text.replace(&format!("ID({service})"), id);
                }
            }
            Value::String(text)
        }
        Value::Array(items) => items.into_iter().map(|item| with_ids(item, ids)).collect(),
        other => other,
    }
}

/// A row's text with a case's number in its subnets: two engines may be one that gives each only once.
fn numbered(text: &str, number: u8) -> String {
    text.replace("{n}", &number.to_string())
}

fn has(text: &str, words: &str) -> Outcome {
    if text.contains(words) { Ok(()) } else { Err(format!("there is no {words:?} in: {text}").into()) }
}

impl Comes {
    fn cell(self) -> String {
        match self {
            Self::Shown(..) | Self::Kept(_) | Self::Inside(..) => "applied".to_owned(),
            Self::Taken => "taken".to_owned(),
            Self::NotHere(_) => "taken, or refused by the engine".to_owned(),
            Self::Refused(_) => "refused".to_owned(),
            Self::Warned(_) => "warned".to_owned(),
            Self::Since(_, release, ..) => format!("applied, or refused: {release}"),
        }
    }
}

/// The paths that a row is about, of those that there are.
fn covered<'a>(attributes: &[&str], all: &'a BTreeSet<String>) -> Result<Vec<&'a String>, Failed> {
    let mut found = Vec::new();
    for attribute in attributes {
        let path = match attribute.strip_prefix('S') {
            Some(rest) => format!("/services/*{rest}"),
            None => (*attribute).to_owned(),
        };
        let base = path.strip_suffix("/**").unwrap_or(&path);
        let is_of = |one: &&String| {
            **one == base
                || (base != path && one.strip_prefix(base).is_some_and(|rest| rest.starts_with('/')))
        };
        let before = found.len();
        found.extend(all.iter().filter(is_of));
        if found.len() == before {
            return Err(format!("the schema has no {path}").into());
        }
    }
    Ok(found)
}

async fn page(_case: Case) -> Outcome {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let schema = root.join("../shared/compose/compose-spec.schema.json");
    if !schema.is_file() && std::env::var_os("LONGSHORE_REQUIRE").is_none() {
        return Err(Failed::NotHere("the shared compose files do not stand beside this checkout".to_owned()));
    }
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(schema)?)?;
    let mut all = BTreeSet::new();
    properties(&schema, &schema, "", &mut all);
    let mut lines: BTreeMap<&String, String> = BTreeMap::new();
    for row in ROWS {
        let note = if row.note.is_empty() { "none" } else { row.note };
        let cells = [row.podman, row.docker, row.over, row.mock].map(Comes::cell).join(" | ");
        for path in covered(row.attributes, &all)? {
            lines.insert(path, format!("{cells} | `attributes::{}` | {note}", row.name));
        }
    }
    for other in ELSEWHERE {
        let note = if other.note.is_empty() { "none" } else { other.note };
        for path in covered(other.attributes, &all)? {
            // What has a row of its own is told there.
            let comes = other.comes;
            lines
                .entry(path)
                .or_insert_with(|| format!("{comes} | {comes} | {comes} | {comes} | {} | {note}", other.by));
        }
    }
    let missing: Vec<&String> = all.iter().filter(|path| !lines.contains_key(path)).collect();
    assert!(missing.is_empty(), "attributes of the schema without a row: {missing:#?}");
    let mut text = rows::HEAD.to_owned();
    for (path, line) in lines {
        text.push_str(&format!("| `{}` | {line} |\n", path.trim_start_matches('/').replace('/', ".")));
    }
    let file = root.join("docs/attributes.md");
    if std::env::var_os("LONGSHORE_BLESS").is_some() {
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&file, &text)?;
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        written == text,
        "docs/attributes.md is not of the table any more: write it with LONGSHORE_BLESS=1"
    );
    Ok(())
}

/// The schemas that one stands for.
fn meant<'s>(root: &'s Value, schema: &'s Value) -> Vec<&'s Value> {
    if let Some(name) = schema["$ref"].as_str() {
        return meant(root, &root["definitions"][name.trim_start_matches("#/definitions/")]);
    }
    let inner = schema["oneOf"].as_array().into_iter().flatten();
    inner.flat_map(|one| meant(root, one)).chain([schema]).collect()
}

/// The paths of all that a schema names.
fn properties(root: &Value, schema: &Value, path: &str, all: &mut BTreeSet<String>) {
    for schema in meant(root, schema) {
        for (key, inner) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}/{key}");
            properties(root, inner, &path, all);
            all.insert(path);
        }
        for (pattern, inner) in schema["patternProperties"].as_object().into_iter().flatten() {
            if pattern != "^x-" {
                properties(root, inner, &format!("{path}/*"), all);
            }
        }
        if schema["items"].is_object() {
            properties(root, &schema["items"], path, all);
        }
    }
}
