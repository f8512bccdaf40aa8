//! Where a project is and what it is called, by the environment and by what is there.

use std::{collections::BTreeMap, path::Path};

use crate::oracle::{Folder, docker_compose};
use compose_file::*;

/// Loads with an environment, in a folder below, and holds the project against docker compose's.
fn agrees(folder: &Folder, below: &str, directory: Option<&str>, env: &[(&str, &str)]) -> Project {
    let place = folder.path().join(below);
    let env: BTreeMap<String, String> =
        env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let mut options = LoadOptions::new(&place);
    options.project_directory = directory.map(Into::into);
    options.env.clone_from(&env);
    let project = load(&options).unwrap_or_else(|error| panic!("{error}"));
    let words: Vec<&str> = directory.iter().flat_map(|folder| ["--project-directory", folder]).collect();
    if let Some(theirs) = docker_compose(Path::new(&place), &words, &env) {
        assert_eq!(theirs, to_json(&project));
    }
    project
}

fn shop() -> Folder {
    Folder::new(&[
        (".env", "A=top\nC=top\n"),
        ("in/.env", "A=in\nB=in\n"),
        ("f.env", "A=f\n"),
        ("g.env", "B=${A}g\n"),
        ("compose.yml", "name: nn\nservices: {a: {image: 'x:$COMPOSE_PROJECT_NAME-$A-$B-$C'}}\n"),
        ("docker-compose.yml", "services: {other: {image: x}}\n"),
        ("compose.override.yml", "services: {a: {hostname: yml}}\n"),
        ("compose.override.yaml", "services: {a: {hostname: yaml}}\n"),
        ("p.yaml", "services: {a: {image: x, profiles: [q]}, b: {image: x, profiles: [r]}, c: {image: x}}\n"),
    ])
}

#[test]
fn default_files_are_searched_upwards_and_others_are_told() {
    let project = agrees(&shop(), "in", None, &[]);
    let a = &project.services["a"];
    assert_eq!((a.image.as_str(), a.hostname.as_deref()), ("x:nn-top--top", Some("yml")));
    let said = |name: &str| project.warnings.iter().any(|warning| warning.message.contains(name));
    assert!(said("/docker-compose.yml is not used") && said("/compose.override.yaml is not used"));
    // The project's folder is where its variables are, and where the search begins.
    assert_eq!(agrees(&shop(), "", Some("in"), &[]).services["a"].image, "x:nn-in-in-");
}

#[test]
fn the_environment_names_files_profiles_and_the_project() {
    let files = |list| ("COMPOSE_FILE", list);
    let project = agrees(&shop(), "in", None, &[files("../p.yaml:../compose.override.yaml")]);
    assert_eq!(project.services.keys().collect::<Vec<_>>(), ["c"]);
    assert_eq!(project.disabled_services["a"].hostname.as_deref(), Some("yaml"));
    let separated =
        [files("p.yaml,compose.yml"), ("COMPOSE_PATH_SEPARATOR", ","), ("COMPOSE_PROFILES", "q,r")];
    assert_eq!(agrees(&shop(), "", None, &separated).services.len(), 3);
    let project = agrees(&shop(), "", None, &[("COMPOSE_PROJECT_NAME", "pp")]);
    assert_eq!(project.services["a"].image, "x:pp-top--top");
    agrees(&shop(), "", None, &[files("p.yaml"), ("COMPOSE_PROFILES", "*")]);
}

#[test]
fn the_environment_says_which_files_have_variables() {
    let image = |env: &[(&str, &str)]| agrees(&shop(), "", None, env).services["a"].image.clone();
    assert_eq!(image(&[("COMPOSE_ENV_FILES", "f.env,g.env")]), "x:nn-f-fg-");
    assert_eq!(image(&[("COMPOSE_DISABLE_ENV_FILE", "true")]), "x:nn---");
}

#[test]
fn what_dot_env_says_of_the_project_counts() {
    let folder = Folder::new(&[
        (
            ".env",
            "COMPOSE_FILE=one.yaml;two.yaml\nCOMPOSE_PATH_SEPARATOR=;\nCOMPOSE_PROFILES=q\nCOMPOSE_PROJECT_NAME=env\n",
        ),
        ("one.yaml", "name: file\nservices: {a: {image: 'x:$COMPOSE_PROJECT_NAME', profiles: [q]}}\n"),
        ("two.yaml", "services: {a: {hostname: two}}\n"),
    ]);
    let project = agrees(&folder, "", None, &[]);
    assert_eq!(project.services["a"].hostname.as_deref(), Some("two"));
    assert_eq!(project.name.as_str(), "env");
}
