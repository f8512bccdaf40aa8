//! What holds of any text, as the fuzz targets have it, for texts that are somewhat like compose files.

#[allow(dead_code, reason = "the fuzz targets use the rest")]
mod promises;

use proptest::prelude::*;

/// Words and marks of compose files, in any order.
const WORDS: &str = "(services|image|ports|build|deploy|secrets|configs|networks|volumes|ulimits|gpus|develop|watch|ipam|extends|include|env_file|depends_on|file|service|context|a|b|x|:|\\$|\\{|\\}|\\[|\\]|,|-|\n| |  |'|\"|&a|\\*a|!reset|!override|<<|80|~|\\$\\{A:-){0,60}";

/// An attribute of a service, mostly right.
fn attribute() -> impl Strategy<Value = String> {
    let values = "(x|1|~|'\\$A'|a=b|80:80|\\./a:/b|/c|1s|64m|true|\\[\\]|\\{\\}|\\[a, b=c\\]|\\['80:80', 90\\]|\\{a: b\\}|\\{a: \\}|\\['/a:/b', v:/c\\]|!reset null|!override \\[a\\]|\\{context: a\\}|\\{test: a\\}|service:b|\\[b\\]|\\{b: \\{condition: service_healthy\\}\\})";
    let keys = prop::sample::select(vec![
        "build",
        "command",
        "entrypoint",
        "environment",
        "env_file",
        "ports",
        "expose",
        "volumes",
        "tmpfs",
        "networks",
        "network_mode",
        "depends_on",
        "healthcheck",
        "labels",
        "restart",
        "stop_grace_period",
        "container_name",
        "user",
        "init",
        "cap_add",
        "extra_hosts",
        "profiles",
        "scale",
        "deploy",
        "extends",
        "ulimits",
        "logging",
        "gpus",
        "devices",
        "dns",
        "secrets",
        "mem_limit",
        "cpus",
        "pid",
        "sysctls",
        "links",
        "develop",
        "annotations",
        "x-a",
    ]);
    (keys, values).prop_map(|(key, value)| format!("{key}: {value}"))
}

/// What a service of them has besides its image.
fn body() -> impl Strategy<Value = String> {
    prop::collection::btree_map("[a-z]", attribute(), 0..4)
        .prop_map(|all| all.into_values().map(|one| format!(", {one}")).collect())
}

/// A file with such services.
fn file() -> impl Strategy<Value = String> {
    let rest = prop::sample::select(vec![
        "",
        "networks: {b: }\n",
        "volumes: {v: }\nsecrets: {b: {file: f}}\n",
        "name: q\n",
        "x-a: [1, ~, {b: c}]\n",
    ]);
    (body(), body(), rest)
        .prop_map(|(a, b, rest)| format!("services:\n  a: {{image: x{a}}}\n  b: {{image: y{b}}}\n{rest}"))
}

proptest! {
    #[test]
    fn any_text_is_a_file_or_is_refused(text in "(?s).{0,200}", words in WORDS, file in file()) {
        for text in [text, words, file] {
            promises::parse(&text);
        }
    }

    #[test]
    fn any_text_is_a_value(text in "(\\$|\\{|\\}|A|E|N|:|-|\\?|\\+|(?s).){0,40}", value in "(?s).{0,20}") {
        promises::interpolate(&text, &value);
    }

    #[test]
    fn any_files_go_over_each_other(files in prop::collection::vec(prop_oneof![file(), WORDS], 2..4)) {
        let folder = tempfile::tempdir().expect("it works here");
        promises::merge(folder.path(), &files.iter().map(String::as_str).collect::<Vec<_>>());
    }

    #[test]
    fn any_files_refer_to_each_other(
        first in file(),
        head in prop::sample::select(vec!["", "include: [other.yaml]\n", "include: [{path: other.yaml, env_file: e.env, project_directory: sub}]\n"]),
        others in prop::collection::vec(prop_oneof![file(), WORDS], 2),
        variables in prop::collection::vec("(A|B|=|:|\\$|\\{|\\}|'|\"|\n| |#|export |\\\\){0,30}", 2),
    ) {
        let folder = tempfile::tempdir().expect("it works here");
        let first = head.to_owned() + &first.replace("{image: y", "{extends: {file: other.yaml, service: a}, env_file: e.env");
        let texts: Vec<&str> = [&first].into_iter().chain(&others).chain(&variables).map(String::as_str).collect();
        promises::load_all(folder.path(), &texts);
    }
}

#[test]
fn the_seeds_of_the_fuzz_targets_hold() {
    let seeds = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    let texts = |target: &str| {
        let files = std::fs::read_dir(seeds.join(target)).expect("they are there");
        files
            .map(|file| std::fs::read_to_string(file.expect("it works here").path()).expect("it is a text"))
            .collect::<Vec<_>>()
    };
    let folder = tempfile::tempdir().expect("it works here");
    for text in texts("parse") {
        promises::parse(&text);
    }
    for text in texts("interpolate") {
        let (value, text) = text.split_once('\n').expect("it has two lines");
        promises::interpolate(text, value);
    }
    for text in texts("merge") {
        promises::merge(folder.path(), &promises::parts(&text));
    }
    for text in texts("load") {
        promises::load_all(folder.path(), &promises::parts(&text));
    }
}
