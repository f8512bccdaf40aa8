//! What holds of any text at all: it loads or is refused, and what it loads to is written as a text that loads to the same. For the
//! property tests and the fuzz targets.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use compose_file::{LoadError, LoadOptions, Project, load, load_str, to_json, to_yaml};

/// A folder that is not there, so that no text refers to a file of this computer.
const NOWHERE: &str = "/nowhere/at-all";

/// Any text as a file, with variables and without.
pub(crate) fn parse(text: &str) {
    for replaced in [true, false] {
        let mut options = LoadOptions::new(NOWHERE);
        options.interpolate = replaced;
        judge(load_str("compose.yaml", text, &options), replaced);
    }
}

/// Any text in a value: what it is when its variables are replaced goes back and forth.
pub(crate) fn interpolate(text: &str, value: &str) {
    let mut options = LoadOptions::new(NOWHERE);
    options.env = BTreeMap::from([("A".to_owned(), value.to_owned()), ("E".to_owned(), String::new())]);
    let label = serde_json::Value::from(text);
    let file = format!("services: {{a: {{image: x, labels: {{l: {label}}}}}}}");
    judge(load_str("compose.yaml", &file, &options), true);
    // With each dollar doubled it is the text itself.
    let doubled = serde_json::Value::from(text.replace('$', "$$"));
    let file = format!("services: {{a: {{image: x, labels: {{l: {doubled}}}}}}}");
    match load_str("compose.yaml", &file, &options) {
        Ok(project) => assert_eq!(project.services["a"].labels["l"], text),
        // YAML has no such character.
        Err(error) => {
            assert!(text.contains(|c: char| c.is_control() || !is_printable(c)), "{text:?}: {error}")
        }
    }
}

fn is_printable(c: char) -> bool {
    !matches!(c, '\u{fffe}' | '\u{ffff}' | '\u{feff}')
}

/// Texts as files, each over the ones before it.
pub(crate) fn merge(folder: &Path, texts: &[&str]) {
    let mut options = LoadOptions::new(folder);
    for (index, text) in texts.iter().enumerate() {
        let path = folder.join(format!("{index}.yaml"));
        std::fs::write(&path, text).expect("it works here");
        options.files.push(path);
    }
    judge(load(&options), true);
}

/// The names of the files that [`load_all`] writes, in order.
const NAMES: [&str; 5] = ["compose.yaml", "compose.override.yaml", "other.yaml", ".env", "e.env"];

/// Texts as the files of a project, which may extend, include and read one another.
pub(crate) fn load_all(folder: &Path, texts: &[&str]) {
    for name in NAMES {
        let _ = std::fs::remove_file(folder.join(name));
    }
    for (name, text) in NAMES.iter().zip(texts) {
        std::fs::write(folder.join(name), text).expect("it works here");
    }
    judge(load(&LoadOptions::new(folder)), true);
}

/// The texts of several files in one, parted as YAML's documents are.
pub(crate) fn parts(text: &str) -> Vec<&str> {
    text.split("---\n").take(NAMES.len()).collect()
}

fn judge(loaded: Result<Project, LoadError>, replaced: bool) {
    match loaded {
        Ok(project) => {
            let text = to_yaml(&project);
            // A project all of whose services are left out by their profiles is written without any, which is no project.
            if replaced && !project.services.is_empty() {
                loads_again(&project, &text);
            }
        }
        Err(LoadError::Invalid(found)) => {
            assert!(found.errors().count() > 0, "nothing is wrong with it");
            for finding in &found.0 {
                finding.render(false);
            }
        }
        Err(_) => {}
    }
}

/// A project's canonical form loads to the same project.
pub(crate) fn loads_again(project: &Project, text: &str) {
    let mut options = LoadOptions::new(&project.working_dir);
    options.project_name = Some(project.name.to_string());
    options.profiles = vec!["*".to_owned()];
    options.env_files = vec![PathBuf::from("/dev/null")];
    let again = load_str("again.yaml", text, &options).unwrap_or_else(|error| panic!("{error}\n{text}"));
    for (name, service) in &project.services {
        assert_eq!(&again.services[name], service, "{text}");
    }
    let (mut first, mut second) = (project.clone(), again);
    for project in [&mut first, &mut second] {
        project.config_files.clear();
        project.warnings.clear();
        project.disabled_services.clear();
    }
    assert_eq!(first, second, "{text}");
    assert_eq!(to_json(&first), to_json(&second), "{text}");
}
