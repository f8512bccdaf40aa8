//! Projects as files for Podman, as text to be read.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{collections::BTreeSet, path::Path};

use compose_file::{LoadOptions, Project, load, load_str};
use runtime_podman::convert::{Converted, kube, quadlet};

fn project(text: &str) -> Project {
    let options = LoadOptions::new("/srv/shop");
    load_str("compose.yaml", text, &options).unwrap_or_else(|error| panic!("{error}"))
}

/// All of a conversion, with its folder as `DIR`.
fn text(converted: &Converted, folder: &Path) -> String {
    let mut text = String::new();
    for file in &converted.files {
        text.push_str(&format!("# {}\n{}\n", file.name, file.text.0));
    }
    for warning in &converted.warnings {
        text.push_str(&format!("warning: {warning}\n"));
    }
    for unsaid in &converted.unsaid {
        text.push_str(&format!("unsaid: {unsaid}\n"));
    }
    let version = concat!("compose.version=", env!("CARGO_PKG_VERSION"));
    text.replace(&*folder.to_string_lossy(), "DIR").replace(version, "compose.version=VERSION")
}

fn all() -> BTreeSet<String> {
    BTreeSet::new()
}

const MANY: &str = "
services:
  db:
    image: postgres:16
    user: '70:70'
    environment: {POSTGRES_PASSWORD: 'a \"b\" $$c 100%'}
    volumes: ['data:/var/lib/postgresql/data']
    healthcheck: {test: 'pg_isready -U app || exit 1', interval: 5s}
    restart: unless-stopped
    stop_grace_period: 1m
  migrate:
    image: example/app:1
    command: [migrate]
    depends_on: {db: {condition: service_healthy}}
    secrets: [token]
  web:
    image: example/app:1
    scale: 2
    depends_on:
      db: {condition: service_healthy}
      migrate: {condition: service_completed_successfully}
    networks: {default: {aliases: [site]}}
    secrets: [token]
    configs: [{source: settings, target: /etc/app.conf, mode: 0400}]
    deploy: {resources: {limits: {cpus: '0.5', memory: 128m}}}
    cap_drop: [ALL]
    ulimits: {nofile: 1024}
    post_start: [{command: [warm, up], user: root}]
    restart: on-failure:3
  side:
    image: example/side:1
    network_mode: 'service:db'
volumes: {data: }
secrets: {token: {environment: TOKEN}}
configs: {settings: {content: 'a: b'}}
";

fn many() -> Project {
    let mut options = LoadOptions::new("/srv/shop");
    options.env.insert("TOKEN".to_owned(), "hunter2".to_owned());
    load_str("compose.yaml", MANY, &options).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn units_say_what_is_started_when_and_what_is_kept() {
    let converted = quadlet(&many(), &all()).unwrap();
    let text = text(&converted, Path::new("/srv/shop"));
    assert!(!text.contains("hunter2"), "a secret is podman's own");
    insta::assert_snapshot!(text);
}

#[test]
fn pods_are_started_in_order_and_what_ends_is_the_first_in_one() {
    let converted = kube(&many(), &all()).unwrap();
    assert!(!format!("{converted:?}").contains("hunter2"), "rule 9");
    insta::assert_snapshot!(text(&converted, Path::new("/srv/shop")));
}

#[test]
fn a_service_comes_with_what_it_depends_on_and_with_nothing_else() {
    let named = BTreeSet::from(["migrate".to_owned()]);
    let names = |converted: Converted| {
        converted.files.into_iter().map(|file| file.name).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        names(quadlet(&many(), &named).unwrap()),
        "shop-default.network shop-data.volume shop-db.container shop-migrate.container"
    );
    assert!(quadlet(&many(), &BTreeSet::from(["nosuch".to_owned()])).is_err());
}

#[test]
fn what_has_no_container_is_named() {
    let text =
        "services: {a: {provider: {type: x}}, b: {image: x, scale: 0}, c: {image: y, depends_on: [a, b]}}";
    let converted = quadlet(&project(text), &all()).unwrap();
    let unsaid: Vec<String> = converted.unsaid.iter().map(ToString::to_string).collect();
    assert_eq!(unsaid.len(), 2, "{unsaid:?}");
    assert!(
        unsaid[0].starts_with("service \"a\": provider: ") && unsaid[1].starts_with("service \"b\": scale: ")
    );
    let unit = &converted.files.last().unwrap().text.0;
    assert!(!unit.contains("Requires="), "there is no unit to wait for: {unit}");
}

/// Real files, where they stand beside the checkout.
/// The hashes of services are of their paths too, which are other ones on each computer.
fn without_hashes(text: &str) -> String {
    let is_hash = |word: &str| word.len() == 64 && word.chars().all(|c| c.is_ascii_hexdigit());
    let words = text.split_inclusive(|c: char| !c.is_ascii_alphanumeric());
    let words = words.map(|word| match word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric()) {
        hash if is_hash(hash) => word.replace(hash, "HASH"),
        _ => word.to_owned(),
    });
    words.collect()
}

#[test]
fn real_files_are_converted() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/compose/awesome-compose");
    if !shared.is_dir() && std::env::var_os("LONGSHORE_REQUIRE").is_none() {
        eprintln!("the shared compose files do not stand beside this checkout");
        return;
    }
    for entry in std::fs::read_dir(&shared).unwrap() {
        let folder = entry.unwrap().path();
        let project = load(&LoadOptions::new(&folder)).unwrap_or_else(|error| panic!("{error}"));
        let (units, pods) = (quadlet(&project, &all()).unwrap(), kube(&project, &all()).unwrap());
        let count = |kind: &str| units.files.iter().filter(|file| file.name.ends_with(kind)).count();
        assert_eq!(count(".container"), project.services.len(), "{}", folder.display());
        assert_eq!(pods.files.len(), 1);
        let name = project.name.as_str();
        if ["wordpress-mysql", "nginx-golang-postgres"].contains(&name) {
            insta::assert_snapshot!(
                format!("{name}_quadlet"),
                without_hashes(&text(&units, &project.working_dir))
            );
            insta::assert_snapshot!(
                format!("{name}_kube"),
                without_hashes(&text(&pods, &project.working_dir))
            );
        }
    }
}
