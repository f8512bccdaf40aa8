//! What changes ask for.

use compose_file::{Build, BuildContext, LoadOptions, load_str};
use proptest::prelude::*;

use super::*;

const TEXT: &str = "
services:
  web:
    image: web
    build: ./web
    volumes: ['./mounted:/mounted']
    develop:
      watch:
        - {path: ./web/src, action: sync, target: /app/src, ignore: [node_modules/, '*.log']}
        - {path: ./web/src/server, action: sync+restart, target: /app/server, include: '*.js'}
        - {path: ./web/package.json, action: rebuild}
        - {path: ./web/conf, action: sync+exec, target: /conf, exec: {command: [reload]}}
        - {path: ./mounted/in, action: sync, target: /in}
  db:
    image: db
    develop:
      watch:
        - {path: ./db, action: restart}
        - {path: ./shared, action: sync, target: relative/../data/, initial_sync: true}
  plain: {image: plain}
";

fn project(text: &str) -> Project {
    let mut options = LoadOptions::new("/p");
    options.project_name = Some("shop".to_owned());
    load_str("/p/compose.yaml", text, &options).unwrap()
}

fn options(services: &[&str]) -> DevelopOptions {
    DevelopOptions {
        services: services.iter().map(|name| (*name).to_owned()).collect(),
        ..DevelopOptions::default()
    }
}

fn all_rules() -> Vec<Rule> {
    rules(&project(TEXT), &DevelopOptions::default()).unwrap().rules
}

/// What changes ask for, as text: a path that begins with `-` is gone, one that ends with a slash is a folder that came.
fn asked(rules: &[Rule], changes: &[&str]) -> Vec<String> {
    let batch = changes.iter().map(|change| match (change.strip_prefix('-'), change.strip_suffix('/')) {
        (Some(gone), _) => (PathBuf::from(gone), Now::Nothing),
        (None, Some(folder)) => (PathBuf::from(folder), Now::Folder),
        (None, None) => (PathBuf::from(change), Now::File),
    });
    told(&updates(rules, &batch.collect()))
}

fn told(updates: &Updates) -> Vec<String> {
    let mut told = Vec::new();
    for (service, update) in updates {
        let mut tell = |text: String| told.push(format!("{service}: {text}"));
        if update.rebuild {
            tell("rebuild".to_owned());
        }
        update.removed.iter().for_each(|path| tell(format!("remove {path}")));
        update.removed_files.iter().for_each(|path| tell(format!("remove file {path}")));
        update.copied.iter().for_each(|(to, from)| tell(format!("{} to {to}", from.display())));
        if update.restart {
            tell("restart".to_owned());
        }
        update.hooks.iter().for_each(|(number, hook)| tell(format!("run {number} {:?}", hook.command)));
    }
    told
}

#[test]
fn each_action_asks_for_its_own() {
    let rules = all_rules();
    for (changes, wanted) in [
        (&["/p/web/src/a/b.ts"][..], &["web: /p/web/src/a/b.ts to /app/src/a/b.ts"][..]),
        (&["-/p/web/src/a"], &["web: remove /app/src/a"]),
        (&["/p/web/src/new/"], &["web: /p/web/src/new to /app/src/new"]),
        (
            &["/p/web/src/server/x.js"],
            &[
                "web: /p/web/src/server/x.js to /app/server/x.js",
                "web: /p/web/src/server/x.js to /app/src/server/x.js",
                "web: restart",
            ],
        ),
        (&["/p/web/src/server/x.md"], &["web: /p/web/src/server/x.md to /app/src/server/x.md"]),
        (&["/p/web/package.json"], &["web: rebuild"]),
        (&["-/p/web/package.json"], &["web: rebuild"]),
        (
            &["/p/web/conf/a", "/p/web/conf/b"],
            &[
                "web: /p/web/conf/a to /conf/a",
                "web: /p/web/conf/b to /conf/b",
                "web: run 3 Some([\"reload\"])",
            ],
        ),
        (&["/p/db/schema.sql"], &["db: restart"]),
        (&["/p/shared/x"], &["db: /p/shared/x to /data/x"]),
        (&["/p/mounted/in/x", "/p/other", "/p/web/srcs", "/p"], &[]),
    ] {
        assert_eq!(asked(&rules, changes), wanted, "{changes:?}");
    }
}

#[test]
fn what_nobody_wants_asks_for_nothing() {
    let rules = all_rules();
    for path in [
        "/p/web/src/node_modules/x/index.js",
        "/p/web/src/x.log",
        "/p/web/src/.git/HEAD",
        "/p/web/src/.a.swp",
        "/p/web/src/a.ts~",
        "/p/web/src/4913",
        "/p/web/src/#a#",
        "/p/web/src/.idea/workspace.xml",
        "/p/db/.git/index",
    ] {
        assert_eq!(asked(&rules, &[path]), Vec::<String>::new(), "{path}");
    }
    // A pattern is of the rule's own folder.
    assert_eq!(asked(&rules, &["/p/web/src/a/x.log"]).len(), 1);
}

#[test]
fn what_is_out_of_the_context_asks_for_nothing() {
    let mut rules = all_rules();
    for rule in &mut rules {
        rule.context = Some((PathBuf::from("/p/web"), Ignored::read("src/tmp\npackage.json\n*/x\n!src/x")));
    }
    for (path, count) in [
        ("/p/web/src/tmp/a", 0),
        ("/p/web/package.json", 0),
        ("/p/web/conf/x", 0),
        ("/p/web/src/x", 1),
        ("/p/shared/x", 1),
    ] {
        assert_eq!(asked(&rules, &[path]).len(), count, "{path}");
    }
    let may = |path: &str| rules.iter().any(|rule| rule.may_concern_in(Path::new(path)));
    assert!(may("/p/web/src") && may("/p/web") && may("/p") && may("/p/db/a") && may("/p/db/a/b"));
    assert!(!may("/p/other") && !may("/p/web/src/node_modules/x"));
}

#[test]
fn the_folder_of_a_rule_is_never_removed_inside() {
    let mut rules = all_rules();
    assert_eq!(asked(&rules, &["-/p/web/src", "-/p/shared"]), Vec::<String>::new());
    assert_eq!(asked(&rules, &["/p/shared/"]), Vec::<String>::new(), "it may hold more there");
    // A file of a rule has its target's name.
    fn rule_of(rules: &mut [Rule]) -> &mut Rule {
        rules.iter_mut().find(|rule| rule.path.ends_with("shared")).unwrap()
    }
    rule_of(&mut rules).is_file = true;
    assert_eq!(asked(&rules, &["/p/shared"]), ["db: /p/shared to /data"]);
    assert_eq!(asked(&rules, &["-/p/shared"]), ["db: remove file /data"]);
    // In a folder it has its own.
    let Does::Sync { is_folder, .. } = &mut rule_of(&mut rules).does else { panic!("it copies") };
    *is_folder = true;
    rule_of(&mut rules).name_in_folder();
    assert_eq!(asked(&rules, &["/p/shared"]), ["db: /p/shared to /data/shared"]);
}

#[test]
fn what_comes_together_is_done_once() {
    let rules = all_rules();
    // New containers are started anyway, unless they have not seen what is copied.
    assert_eq!(
        asked(&rules, &["-/p/web/package.json", "-/p/web/src/server/x.js"]).last().unwrap(),
        "web: remove /app/src/server/x.js"
    );
    assert_eq!(
        asked(&rules, &["/p/web/package.json", "/p/web/src/server/x.js"]).last().unwrap(),
        "web: restart"
    );
    let gone = ["-/p/web/src/a", "-/p/web/src/a-b", "-/p/web/src/a/c", "-/p/web/src/a/c/d"];
    assert_eq!(asked(&rules, &gone), ["web: remove /app/src/a", "web: remove /app/src/a-b"]);
}

#[test]
fn what_is_copied_first_is_only_copied() {
    let batch = Batch::from([("/p/shared/x".into(), Now::File), ("/p/web/src/x".into(), Now::File)]);
    assert_eq!(told(&initial(&all_rules(), &batch)), ["db: /p/shared/x to /data/x"]);
}

#[test]
fn what_cannot_be_watched_is_told() {
    let refused =
        |text: &str, options: &DevelopOptions| rules(&project(text), options).unwrap_err().to_string();
    assert_eq!(
        refused(TEXT, &options(&["plain"])),
        "none of the selected services is configured for watch, consider setting a 'develop' section"
    );
    let service = |rule: &str| format!("services: {{web: {{image: web, develop: {{watch: [{rule}]}}}}}}");
    for (rule, word) in [
        ("{path: ., action: rebuild}", "without a build context"),
        ("{path: ., action: sync}", "has no target"),
        ("{path: ., action: sync+exec, target: /x}", "without a command"),
    ] {
        let text = refused(&service(rule), &DevelopOptions::default());
        assert!(text.contains(word) && text.contains("web"), "{text}");
    }
    let never = DevelopOptions { building: Building::Never, ..DevelopOptions::default() };
    assert!(refused(TEXT, &never).starts_with("--no-build is incompatible"));
    assert!(matches!(rules(&project(TEXT), &options(&["none"])), Err(Error::NotFound { .. })));
}

#[test]
fn what_is_mounted_is_not_watched_and_that_is_told() {
    let all = rules(&project(TEXT), &DevelopOptions::default()).unwrap();
    assert_eq!(
        all.warnings,
        ["path '/p/mounted/in' also declared by a bind mount volume, this path won't be monitored!"]
    );
    let watched = watched_services(&project(TEXT), &DevelopOptions::default()).unwrap();
    assert_eq!(watched, ["db", "web"].map(str::to_owned).into());
}

#[test]
fn hooks_run_one_after_the_other_where_containers_run() {
    use crate::{ContainerId, ContainerState};
    let container = |name: &str, state| Container::new(ContainerId(name.to_owned()), name, "web", state);
    let containers =
        [container("web-1", ContainerState::Running), container("web-2", ContainerState::Exited)];
    let hooks = BTreeMap::from([(1, Hook::default()), (4, Hook::default())]);
    let plan = plan_hooks(&project(TEXT).name, &hooks, &containers);
    assert_eq!(plan.steps.len(), 2);
    assert_eq!(plan.steps[1].after.len(), 1);
}

#[test]
fn a_build_leaves_out_what_its_dockerfile_says() {
    let dir = tempfile::tempdir().unwrap();
    let mut build = Build::default();
    build.context = BuildContext::Folder(dir.path().to_owned());
    assert_eq!(crate::build::left_out(&build).unwrap(), None);
    std::fs::write(dir.path().join(".dockerignore"), "a").unwrap();
    assert!(crate::build::left_out(&build).unwrap().unwrap().1.has("a"));
    std::fs::write(dir.path().join("Dockerfile.dockerignore"), "b").unwrap();
    assert!(crate::build::left_out(&build).unwrap().unwrap().1.has("b"));
}

proptest! {
    /// Nothing is written or removed beside a target, whatever the names are.
    #[test]
    fn nothing_leaves_its_target(names in prop::collection::vec("[a-z.*!#~\\\\\\[]{1,4}", 1..5), gone: bool) {
        let path = names.iter().fold(PathBuf::from("/p/web/src"), |path, name| path.join(name));
        let now = if gone { Now::Nothing } else { Now::File };
        let updates = updates(&all_rules(), &Batch::from([(path, now)]));
        for update in updates.values() {
            for inside in update.removed.iter().chain(&update.removed_files).chain(update.copied.keys()) {
                let is_in = |target: &str| Path::new(inside).starts_with(target);
                prop_assert!(is_in("/app/src") || is_in("/app/server"), "{inside}");
                prop_assert!(inside.split('/').all(|name| name != ".."), "{inside}");
            }
        }
    }
}
