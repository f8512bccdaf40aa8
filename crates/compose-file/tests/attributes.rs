//! Every attribute of the specification in every form: it loads without an error, its canonical form loads to the same, and it is
//! what docker compose makes of it, but for the differences that are listed here.

#[allow(dead_code, reason = "other tests use the rest")]
mod oracle;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use compose_file::*;
use oracle::{Folder, docker_compose, docker_compose_judges, docker_compose_words};
use serde_json::Value;

/// Where ours differs from docker compose 2.26.1, by case and place, and why.
const DIFFERENCES: &[(&str, &str, &str)] = &[
    ("annotations-numbers", "/annotations/b", AS_WRITTEN),
    ("annotations-numbers", "/annotations/c", AS_WRITTEN),
    ("annotations-numbers", "/hash", AS_WRITTEN),
    ("blkio-rates", "/blkio_config", CAPITALS),
    ("blkio-weight", "/blkio_config", CAPITALS),
    ("configs-text-mode", "/hash", "the mode is another"),
    ("a network's addresses", "/networks/n/ipam/options", "theirs forgets them; later versions do not"),
    (
        "configs-text-mode",
        "/configs/0/mode",
        "a mode in quotes is octal as in chmod, and as in later versions: 0440 is not 0670",
    ),
    ("env-file", "/hash", HASH_OF_PATHS),
    ("env-file-list", "/hash", HASH_OF_PATHS),
    ("env-file-long", "/hash", HASH_OF_PATHS),
    ("swappiness-zero", "/mem_swappiness", "0 is a level of its own, which theirs forgets"),
];

const AS_WRITTEN: &str = "a number where a text is meant is that text, with a warning: 3.10 is not 3.1";
const CAPITALS: &str = "its JSON writes Path, Rate and Weight, which it does not read again";
const HASH_OF_PATHS: &str =
    "`config --hash` does not read the files; the containers that it makes are labelled as ours";

const SERVICES: &str = include_str!("attributes/services.yaml");
const PROJECTS: &str = include_str!("attributes/projects.yaml");
const NEWER: &str = include_str!("attributes/newer.yaml");

fn env() -> BTreeMap<String, String> {
    // Docker finds its plugins below it.
    std::env::var("HOME").into_iter().map(|home| ("HOME".to_owned(), home)).collect()
}

/// A folder with a project, and what it refers to.
fn folder(text: &str) -> Folder {
    Folder::new(&[
        ("a.yaml", text),
        ("e.env", "A=1\n"),
        ("l.labels", "l=m\n"),
        (
            "inc/inc.yaml",
            "services: {inc: {image: \"i:1$A\", secrets: [q], build: ctx}}\nsecrets: {q: {file: q.txt}}\n",
        ),
        (
            "inc/ext.yaml",
            "services: {e: {build: {context: c, additional_contexts: {d: ./d}}, label_file: x.labels, develop: {watch: [{path: w, action: rebuild}]}}}\n",
        ),
        ("inc/x.labels", "x=y\n"),
        // Theirs takes a project directory that is not there for another.
        ("sub/file", ""),
    ])
}

fn load_in(folder: &Folder, profiles: &[&str]) -> Project {
    let mut options = folder.options(&["a.yaml"]);
    options.env = env();
    options.profiles = profiles.iter().map(|profile| (*profile).to_owned()).collect();
    load(&options).unwrap_or_else(|error| panic!("{error}"))
}

/// What ours and theirs have otherwise, by place, but for what is listed.
fn differences(case: &str, ours: &Value, theirs: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare("", ours, theirs, &mut found);
    let listed = DIFFERENCES.iter().filter(|(of, place, _)| *of == case && *place != "/hash");
    for (_, place, _) in listed {
        assert!(found.iter().any(|found| found.starts_with(place)), "{case} does not differ at {place}");
    }
    unlisted(case, found)
}

fn unlisted(case: &str, found: Vec<String>) -> Vec<String> {
    let is_listed =
        |found: &str| DIFFERENCES.iter().any(|(of, place, _)| *of == case && found.starts_with(place));
    found.into_iter().filter(|found| !is_listed(found)).map(|found| format!("{case} {found}")).collect()
}

fn compare(place: &str, ours: &Value, theirs: &Value, found: &mut Vec<String>) {
    match (ours, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            let mut keys: Vec<&String> = a.keys().chain(b.keys()).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                match (a.get(key), b.get(key)) {
                    (Some(a), Some(b)) => compare(&format!("{place}/{key}"), a, b, found),
                    (a, b) => found.push(format!("{place}/{key}: {} {}", said(a), said(b))),
                }
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                compare(&format!("{place}/{index}"), a, b, found);
            }
        }
        _ if ours != theirs => found.push(format!("{place}: {ours} {theirs}")),
        _ => {}
    }
}

fn said(value: Option<&Value>) -> String {
    value.map_or("nothing".to_owned(), Value::to_string)
}

/// The services whose hash is another than docker compose's, but for what is listed.
fn hashes(folder: &Path, words: &[&str], project: &Project) -> Vec<String> {
    let said = docker_compose_words(folder, &[words, &["config", "--hash", "*"]].concat(), &env());
    let said = said.unwrap_or_default();
    let lines = said.lines().filter_map(|line| line.split_once(' '));
    lines
        .filter(|(name, hash)| project.services[*name].config_hash != *hash)
        .flat_map(|(name, hash)| unlisted(name, vec![format!("/hash: {hash}")]))
        .collect()
}

/// A canonical form loads to the model that it is of.
fn loads_again(project: &Project, name: &str) {
    let mut options = LoadOptions::new(&project.working_dir);
    options.project_name = Some(project.name.to_string());
    options.profiles = vec!["*".to_owned()];
    let again = load_str("again.yaml", &to_yaml(project), &options)
        .unwrap_or_else(|error| panic!("{name}: {error}\n{}", to_yaml(project)));
    for (key, service) in &project.services {
        assert_eq!(&again.services[key], service, "{name}");
    }
    assert_eq!(
        (again.networks, again.volumes, again.configs, again.secrets, again.models, again.extensions),
        (
            project.networks.clone(),
            project.volumes.clone(),
            project.configs.clone(),
            project.secrets.clone(),
            project.models.clone(),
            project.extensions.clone()
        ),
        "{name}"
    );
}

/// What ours makes, at a place, of a service that docker compose 2.26.1 refuses or reads otherwise, of one file or of two; and why.
const OTHERWISE: &[(&str, &str, &str, &str, &str)] = &[
    ("user: 1000", "", "/services/a/user", r#""1000""#, NUMBER_AS_TEXT),
    ("labels: {1: x}", "", "/services/a/labels/1", r#""x""#, NUMBER_AS_TEXT),
    ("environment: {2: y}", "", "/services/a/environment/2", r#""y""#, NUMBER_AS_TEXT),
    ("stop_grace_period: 1d", "", "/services/a/stop_grace_period", r#""24h0m0s""#, DAYS),
    ("healthcheck: {test: a, interval: 1w}", "", "/services/a/healthcheck/interval", r#""168h0m0s""#, DAYS),
    ("network_mode: ''", "", "/services/a/networks", r#"{"default": null}"#, EMPTY_IS_NONE),
    (
        "build: ''",
        "",
        "/services/a/build",
        r#"{"context": "FOLDER", "dockerfile": "Dockerfile"}"#,
        EMPTY_IS_NONE,
    ),
    ("build: {dockerfile: ''}", "", "/services/a/build/dockerfile", r#""Dockerfile""#, EMPTY_IS_NONE),
    (
        "build: {cache_from: [q]}",
        "build: {cache_from: [q]}",
        "/services/a/build/cache_from",
        r#"["q"]"#,
        TWICE,
    ),
    ("build: {cache_to: [q]}", "build: {cache_to: [q]}", "/services/a/build/cache_to", r#"["q"]"#, TWICE),
    (
        "build: {platforms: [q/r]}",
        "build: {platforms: [q/r]}",
        "/services/a/build/platforms",
        r#"["q/r"]"#,
        TWICE,
    ),
    ("security_opt: [q]", "security_opt: [q]", "/services/a/security_opt", r#"["q"]"#, TWICE),
    ("group_add: [q]", "group_add: [r, q]", "/services/a/group_add", r#"["q", "r"]"#, TWICE),
    ("external_links: [q]", "external_links: [q]", "/services/a/external_links", r#"["q"]"#, TWICE),
    (
        "device_cgroup_rules: ['c 1:1 r']",
        "device_cgroup_rules: ['c 1:1 r']",
        "/services/a/device_cgroup_rules",
        r#"["c 1:1 r"]"#,
        TWICE,
    ),
];

const NUMBER_AS_TEXT: &str =
    "where a text is meant, a number is the text that was written: nothing else could be meant";
const DAYS: &str = "later versions know days and weeks";
const EMPTY_IS_NONE: &str =
    "an empty text is none, as everywhere: the default network, the folder, the usual name";
const TWICE: &str =
    "what a later file says again is there once, as in the lists of which theirs does the same";

#[test]
fn what_docker_compose_reads_otherwise_is_as_it_is_listed() {
    for (base, over, place, expected, why) in OTHERWISE {
        let folder = folder(&format!("services: {{a: {{image: x, {base}}}}}\n"));
        std::fs::write(folder.path().join("b.yaml"), format!("services: {{a: {{{over}}}}}\n"))
            .expect("it works here");
        let files: &[&str] = if over.is_empty() { &["a.yaml"] } else { &["a.yaml", "b.yaml"] };
        let ours = to_json(&folder.load(files));
        let expected: Value =
            serde_json::from_str(&expected.replace("FOLDER", &folder.path().to_string_lossy()))
                .expect("it is JSON");
        assert_eq!(ours.pointer(place), Some(&expected), "{base}: {why}");
        let words =
            files.iter().flat_map(|file| ["-f", *file]).chain(["-p", "p", "config", "--format", "json"]);
        let theirs = docker_compose_judges(folder.path(), &words.collect::<Vec<_>>(), &env());
        if let Some(Ok(theirs)) = theirs {
            let theirs: Value = serde_json::from_str(&theirs).expect("it works here");
            assert_ne!(theirs.pointer(place), Some(&expected), "{base} is no difference: {why}");
        }
    }
}

#[test]
fn a_profile_without_a_name_is_enabled_where_no_other_is() {
    let folder = folder("services: {a: {image: x, profiles: ['']}, b: {image: y}}");
    let names = |profiles: &[&str]| load_in(&folder, profiles).services.into_keys().collect::<Vec<_>>();
    assert_eq!((names(&[]), names(&["q"])), (vec!["a".to_owned(), "b".to_owned()], vec!["b".to_owned()]));
    for profile in [None, Some("q")] {
        let words: Vec<&str> = ["-p", "p", "-f", "a.yaml"]
            .into_iter()
            .chain(profile.iter().flat_map(|name| ["--profile", *name]))
            .collect();
        if let Some(theirs) = docker_compose(folder.path(), &words, &env()) {
            assert_eq!(to_json(&load_in(&folder, profile.as_slice())), theirs);
        }
    }
}

#[test]
fn every_attribute_of_a_service_is_docker_composes() {
    let folder = folder(SERVICES);
    let project = load_in(&folder, &["*"]);
    loads_again(&project, "services.yaml");
    let words = ["-p", "p", "-f", "a.yaml", "--profile", "*"];
    let Some(theirs) = docker_compose(folder.path(), &words, &env()) else { return };
    let ours = to_json(&project);
    let services = theirs["services"].as_object().expect("they are there");
    let mut wrong: Vec<String> = services
        .iter()
        .flat_map(|(name, theirs)| differences(name, &ours["services"][name], theirs))
        .collect();
    wrong.extend(hashes(folder.path(), &words, &project));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_attribute_of_the_top_level_is_docker_composes() {
    let mut wrong = Vec::new();
    for case in PROJECTS.split("--- # ").skip(1) {
        let (name, text) = case.split_once('\n').expect("it has a name");
        let folder = folder(text);
        let project = load_in(&folder, &[]);
        loads_again(&project, name);
        if let Some(theirs) = docker_compose(folder.path(), &["-p", "p", "-f", "a.yaml"], &env()) {
            let found = differences(name, &to_json(&project), &theirs);
            wrong.extend(found);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_newer_than_the_docker_compose_here_loads_too() {
    let folder = folder(NEWER);
    let project = load_in(&folder, &[]);
    loads_again(&project, "newer.yaml");
    let text = to_yaml(&project).replace(&folder.path().display().to_string(), "FOLDER");
    insta::assert_snapshot!(text);
}

#[test]
fn awesome_compose_is_docker_composes() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/compose/awesome-compose");
    if !shared.is_dir() && std::env::var_os("LONGSHORE_REQUIRE").is_none() {
        eprintln!("the shared compose files do not stand beside this checkout");
        return;
    }
    let folders: Vec<_> = std::fs::read_dir(&shared)
        .expect("they stand beside the checkout")
        .map(|entry| entry.expect("it works here").path().canonicalize().expect("it works here"))
        .collect();
    assert_eq!(folders.len(), 39);
    let mut wrong = Vec::new();
    for folder in folders {
        let mut options = LoadOptions::new(&folder);
        options.env = env();
        let name = folder.file_name().expect("it has a name").to_string_lossy().into_owned();
        let project = match load(&options) {
            Ok(project) => project,
            Err(error) => {
                wrong.push(format!("{name}: {error}"));
                continue;
            }
        };
        loads_again(&project, &name);
        if let Some(theirs) = docker_compose(&folder, &[], &env()) {
            wrong.extend(differences(&name, &to_json(&project), &theirs));
            wrong.extend(hashes(&folder, &[], &project).into_iter().map(|found| format!("{name}: {found}")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_wrong_with_an_attribute_is_told_where_it_stands() {
    let error = load_str("wrong.yaml", include_str!("attributes/wrong.yaml"), &LoadOptions::new("/p"));
    insta::assert_snapshot!(error.expect_err("it is wrong").to_string());
    // What must hold across a project is told when its parts are right.
    let text = "services:\n  a:\n    image: x\n    secrets: [sec, nope]\n    configs: [{source: seq}]\n    models: [m]\n    links: [bb]\n    volumes_from: [zz]\n    pid: service:yy\n  b: {build: {context: ., secrets: [se]}}\n  c: {image: x, ipc: service:d}\n  d: {image: x, links: [c]}\nsecrets: {sec: {file: f}}\n";
    let error = load_str("a.yaml", text, &LoadOptions::new("/p"));
    insta::assert_snapshot!(error.expect_err("it is wrong").to_string());
}

/// What the schema has and no canonical form: it is there in another way, or for nobody.
const NOT_WRITTEN: &[(&str, &str)] = &[
    ("/configs/*/external/name", OLD_NAME),
    ("/networks/*/external/name", OLD_NAME),
    ("/secrets/*/external/name", OLD_NAME),
    ("/volumes/*/external/name", OLD_NAME),
    ("/include", INCLUDED),
    ("/include/env_file", INCLUDED),
    ("/include/path", INCLUDED),
    ("/include/project_directory", INCLUDED),
    ("/services/*/env_file", "it is in the environment"),
    ("/services/*/env_file/format", "it is in the environment"),
    ("/services/*/env_file/path", "it is in the environment"),
    ("/services/*/env_file/required", "it is in the environment"),
    ("/services/*/extends", "what is extended is in the service"),
    ("/services/*/extends/file", "what is extended is in the service"),
    ("/services/*/extends/service", "what is extended is in the service"),
    ("/services/*/label_file", "it is in the labels"),
    ("/version", "it means nothing"),
];

const OLD_NAME: &str = "it is the name";
const INCLUDED: &str = "what is included is in the project";

#[test]
fn there_is_a_case_for_every_attribute_of_the_schema() {
    let shared =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/compose/compose-spec.schema.json");
    if !shared.is_file() && std::env::var_os("LONGSHORE_REQUIRE").is_none() {
        eprintln!("the shared compose files do not stand beside this checkout");
        return;
    }
    let text = std::fs::read_to_string(shared).expect("it stands beside the checkout");
    let schema: Value = serde_json::from_str(&text).expect("it is JSON");
    let mut left = BTreeSet::new();
    properties(&schema, &schema, "", &mut left);
    assert!(left.len() > 300, "{}", left.len());
    let projects = PROJECTS.split("--- # ").skip(1).filter_map(|case| Some(case.split_once('\n')?.1));
    for text in projects.chain([SERVICES, NEWER]) {
        cover(&schema, &schema, "", &to_json(&load_in(&folder(text), &["*"])), &mut left);
    }
    let unwritten: BTreeSet<String> = NOT_WRITTEN.iter().map(|(path, _)| (*path).to_owned()).collect();
    assert_eq!(left, unwritten);
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

/// Takes away what a value has.
fn cover(root: &Value, schema: &Value, path: &str, value: &Value, left: &mut BTreeSet<String>) {
    for schema in meant(root, schema) {
        for (key, value) in value.as_object().into_iter().flatten() {
            if let Some(inner) = schema["properties"].get(key) {
                let path = format!("{path}/{key}");
                cover(root, inner, &path, value, left);
                // What is nothing is written by habit.
                if !value.is_null() {
                    left.remove(&path);
                }
                continue;
            }
            for (_, inner) in schema["patternProperties"].as_object().into_iter().flatten() {
                cover(root, inner, &format!("{path}/*"), value, left);
            }
        }
        for value in value.as_array().into_iter().flatten() {
            cover(root, &schema["items"], path, value, left);
        }
    }
}
