//! Where a project is: its files, its folder, and its `.env`, by the options, the environment, and what is there.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use crate::{
    LoadError, LoadOptions, dotenv,
    files::{Input, read_text},
    findings::{Findings, Place},
    mount::Base,
};

/// The names that a compose file may have when none is given, in docker compose's order.
pub const DEFAULT_FILES: [&str; 4] =
    ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];

/// The names of a file over the default one, in docker compose's order.
const OVERRIDE_FILES: [&str; 4] = [
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
];

/// The files that `COMPOSE_FILE` lists.
pub(crate) fn named_files(env: &BTreeMap<String, String>) -> Vec<PathBuf> {
    let set = |name: &str| env.get(name).map(String::as_str).filter(|value| !value.is_empty());
    let separator = set("COMPOSE_PATH_SEPARATOR").unwrap_or(if cfg!(windows) { ";" } else { ":" });
    set("COMPOSE_FILE").map(|list| list.split(separator).map(PathBuf::from).collect()).unwrap_or_default()
}

/// The default file of a folder or the nearest one above it, and the file that overrides it.
pub(crate) fn default_files(from: &Path, findings: &mut Findings) -> Result<Vec<PathBuf>, LoadError> {
    for folder in from.ancestors() {
        let Some(file) = first(folder, &DEFAULT_FILES, findings) else { continue };
        let mut files = vec![file];
        files.extend(first(folder, &OVERRIDE_FILES, findings));
        return Ok(files);
    }
    Err(LoadError::NotFound { folder: from.to_owned() })
}

/// The first of the names that is there; of the others that are there too, it is said that they are not used.
fn first(folder: &Path, names: &[&str], findings: &mut Findings) -> Option<PathBuf> {
    let mut there = names.iter().map(|name| folder.join(name)).filter(|file| file.is_file());
    let file = there.next()?;
    for other in there {
        let message = format!("{} is not used, because {} is there", other.display(), file.display());
        findings.warning_anywhere(message, Some("name the files with -f to have another".to_owned()));
    }
    Some(file)
}

/// A word of the environment that switches something on.
fn is_true(word: &str) -> bool {
    matches!(word.to_ascii_lowercase().as_str(), "1" | "t" | "true")
}

/// The project's folder as far as the options alone say it.
pub(crate) fn folder_of(options: &LoadOptions) -> PathBuf {
    let base = Base { folder: &options.working_dir, home: None };
    match (&options.project_directory, options.files.first()) {
        (Some(folder), _) => base.resolve(&folder.to_string_lossy()),
        (None, Some(file)) => {
            base.resolve(&file.to_string_lossy()).parent().map(Path::to_owned).unwrap_or_default()
        }
        (None, None) => options.working_dir.clone(),
    }
}

/// The environment with what `.env`, or the files in its place, add to it.
pub(crate) fn dot_env(
    options: &LoadOptions,
    folder: &Path,
    findings: &mut Findings,
) -> Result<BTreeMap<String, String>, LoadError> {
    let base = Base { folder: &options.working_dir, home: None };
    let mut files: Vec<PathBuf> =
        options.env_files.iter().map(|file| base.resolve(&file.to_string_lossy())).collect();
    if files.is_empty()
        && let Some(list) = options.env.get("COMPOSE_ENV_FILES")
    {
        files = list.split(',').filter(|file| !file.is_empty()).map(|file| base.resolve(file)).collect();
    }
    if files.is_empty() {
        if options.env.get("COMPOSE_DISABLE_ENV_FILE").is_some_and(|word| is_true(word)) {
            return Ok(options.env.clone());
        }
        let file = folder.join(".env");
        if !file.is_file() {
            return Ok(options.env.clone());
        }
        files.push(file);
    }
    let inputs = files
        .into_iter()
        .map(|path| Ok(Input { text: read_text(&path)?, path }))
        .collect::<Result<Vec<_>, LoadError>>()?;
    Ok(variables(&options.env, &inputs, findings, ""))
}

/// Variables, with what files add to them, each over the ones before it. One that is set already wins over the same one there.
pub(crate) fn variables(
    env: &BTreeMap<String, String>,
    files: &[Input],
    findings: &mut Findings,
    subject: &str,
) -> BTreeMap<String, String> {
    let mut all = env.clone();
    for Input { path, text } in files {
        let pairs = assignments(path, text, &all, findings, subject);
        let added = pairs.into_iter().filter_map(|(key, value)| Some((key, value?)));
        all.extend(added.filter(|(key, _)| !env.contains_key(key)));
    }
    all
}

/// What a file of variables assigns; nothing, where something is wrong with it.
pub(crate) fn assignments(
    path: &Path,
    text: &str,
    env: &BTreeMap<String, String>,
    findings: &mut Findings,
    subject: &str,
) -> Vec<dotenv::Assignment> {
    let mut notes = Vec::new();
    let parsed = dotenv::parse(text, env, &mut notes);
    if parsed.is_ok() && notes.is_empty() {
        return parsed.unwrap_or_default();
    }
    let source = findings.add_source(path, text);
    for (line, note) in notes {
        note.report(findings, Place { source, line, column: 1, length: 1 }, subject);
    }
    parsed.unwrap_or_else(|fault| {
        findings.error(Place { source, line: fault.line, column: 1, length: 1 }, subject, fault.message);
        Vec::new()
    })
}
