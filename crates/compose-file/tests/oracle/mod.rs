//! Folders with compose files, and what docker compose makes of them. It needs no daemon for that.

use std::{collections::BTreeMap, path::Path, process::Command};

use compose_file::{LoadError, LoadOptions, Project, load, to_json};

pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let folder = Self(tempfile::tempdir().expect("it works here"));
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("it works here")).expect("it works here");
            std::fs::write(path, text).expect("it works here");
        }
        folder
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn options(&self, files: &[&str]) -> LoadOptions {
        let mut options = LoadOptions::new(self.path());
        options.files = files.iter().map(Into::into).collect();
        options.project_name = Some("p".into());
        options
    }

    pub(crate) fn load(&self, files: &[&str]) -> Project {
        load(&self.options(files)).unwrap_or_else(|error| panic!("{error}"))
    }

    /// What is said of files that do not load, with paths that begin here.
    pub(crate) fn errors(&self, files: &[&str]) -> String {
        self.said(load(&self.options(files)))
    }

    pub(crate) fn said(&self, loaded: Result<Project, LoadError>) -> String {
        let said = match loaded {
            Ok(project) => panic!("it loaded: {}", to_json(&project)),
            Err(error) => error.to_string(),
        };
        said.replace(&format!("{}/", self.path().display()), "")
    }

    /// Loads the files, and holds the project against docker compose's where that is installed.
    pub(crate) fn agrees(&self, files: &[&str]) -> Project {
        let project = self.load(files);
        let mut words = vec!["-p", "p"];
        words.extend(files.iter().flat_map(|file| ["-f", *file]));
        if let Some(theirs) = docker_compose(self.path(), &words, &BTreeMap::new()) {
            assert_eq!(to_json(&project), theirs, "{}", self.path().display());
        }
        project
    }
}

/// What docker compose's `config` says as data; `None` where there is no docker compose.
pub(crate) fn docker_compose(
    folder: &Path,
    words: &[&str],
    env: &BTreeMap<String, String>,
) -> Option<serde_json::Value> {
    let said = docker_compose_words(folder, &[words, &["config", "--format", "json"]].concat(), env)?;
    Some(serde_json::from_str(&said).expect("it works here"))
}

/// What docker compose says; `None` where there is none.
pub(crate) fn docker_compose_words(
    folder: &Path,
    words: &[&str],
    env: &BTreeMap<String, String>,
) -> Option<String> {
    Some(docker_compose_judges(folder, words, env)?.unwrap_or_else(|error| panic!("{error}")))
}

/// As [`docker_compose_words`], where it may refuse.
pub(crate) fn docker_compose_judges(
    folder: &Path,
    words: &[&str],
    env: &BTreeMap<String, String>,
) -> Option<Result<String, String>> {
    let version = Command::new("docker").args(["compose", "version"]).output();
    if !version.is_ok_and(|output| output.status.success()) {
        let is_required = |names: String| names.split(',').any(|name| name == "docker");
        assert!(!std::env::var("LONGSHORE_REQUIRE").is_ok_and(is_required), "docker compose is not here");
        eprintln!("docker compose is not here: nothing to compare with");
        return None;
    }
    let mut command = Command::new("docker");
    command.arg("compose").args(words).current_dir(folder);
    let names = std::env::vars().map(|(name, _)| name).filter(|name| name.starts_with("COMPOSE_"));
    names.for_each(|name| {
        command.env_remove(name);
    });
    let output = command.envs(env).output().expect("it works here");
    if !output.status.success() {
        return Some(Err(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    Some(Ok(String::from_utf8(output.stdout).expect("it works here")))
}
