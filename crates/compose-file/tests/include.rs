//! Projects that include others.

mod oracle;

use oracle::Folder;

#[test]
fn what_is_included_has_its_own_folder_and_variables() {
    let folder = Folder::new(&[
        (".env", "V=root\n"),
        ("a.yaml", "include: [d/c.yaml]\nservices: {a: {image: 'x:${V}', depends_on: [q]}}\n"),
        (
            "d/c.yaml",
            "name: own\nservices: {q: {image: 'x:${V}-${W}', environment: [V, W], volumes: ['./r:/r', 'data:/d'], env_file: q.env, networks: [n]}}\nnetworks: {n: }\nvolumes: {data: }\n",
        ),
        ("d/.env", "V=d\nW=d\n"),
        ("d/q.env", "Q=1\n"),
    ]);
    let project = folder.agrees(&["a.yaml"]);
    assert_eq!(project.services["q"].image, "x:root-d");
    assert_eq!(project.name.as_str(), "p");
}

#[test]
fn the_long_form_merges_its_files_and_says_where_they_are() {
    let folder = Folder::new(&[
        (
            "a.yaml",
            "include: [{path: [d/c.yaml, over.yaml], project_directory: e, env_file: [one.env, two.env]}]\nservices: {a: {image: x}}\n",
        ),
        ("d/c.yaml", "services: {q: {image: 'x:${A}-${B}', volumes: ['./r:/r'], ports: ['1:1']}}\n"),
        ("over.yaml", "services: {q: {hostname: over, ports: !reset []}}\n"),
        // Docker compose takes a folder that is not there for a file, and its parent for the folder.
        ("e/there", ""),
        ("one.env", "A=1\nB=1\n"),
        ("two.env", "B=2\n"),
    ]);
    assert_eq!(folder.agrees(&["a.yaml"]).services["q"].image, "x:1-2");
}

#[test]
fn includes_may_be_nested_and_meet() {
    let folder = Folder::new(&[
        ("a.yaml", "include: [b/b.yaml, c/c.yaml]\nservices: {a: {image: x}}\n"),
        ("b/b.yaml", "include: [../c/c.yaml]\nservices: {b: {extends: {service: base, file: e/e.yaml}}}\n"),
        ("b/e/e.yaml", "services: {base: {image: x, volumes: ['./h:/h']}}\n"),
        ("c/c.yaml", "services: {c: {image: x, volumes: ['./i:/i']}}\nvolumes: {v: }\n"),
    ]);
    assert_eq!(folder.agrees(&["a.yaml"]).services.len(), 3);
}

#[test]
fn a_file_after_it_may_override_what_is_included() {
    let folder = Folder::new(&[
        ("a.yaml", "include: [b.yaml]\n"),
        ("b.yaml", "services: {b: {image: x}}\n"),
        ("c.yaml", "services: {b: {hostname: h}}\n"),
    ]);
    assert_eq!(folder.load(&["a.yaml", "c.yaml"]).services["b"].hostname.as_deref(), Some("h"));
}

#[test]
fn every_error_names_its_file_and_line() {
    let folder = Folder::new(&[
        (
            "a.yaml",
            "include:\n  - no.yaml\n  - {pth: b.yaml}\n  - {path: b.yaml, env_file: no.env}\n  - [b.yaml]\n  - b.yaml\n  - c/c.yaml\n  - c/d.yaml\nservices:\n  one: {image: y, depends_on: [gone]}\n  two: {image: x, volumes: ['./v:/v']}\nnetworks: {n: {driver: a}}\n",
        ),
        (
            "b.yaml",
            "services:\n  one: {image: x}\n  bad: {imag: x}\nnetworks:\n  n: {driver: b}\nservces: {}\n",
        ),
        ("c/c.yaml", "include: [../b.yaml, d.yaml]\nservices: {two: {image: x, volumes: ['./v:/v']}}\n"),
        ("c/d.yaml", "include: [c.yaml]\nservices: {d: {image: x}}\n"),
    ]);
    insta::assert_snapshot!(folder.errors(&["a.yaml"]));
    assert!(Folder::new(&[("a.yaml", "include: b.yaml\n")]).errors(&["a.yaml"]).contains("expected a list"));
}

#[test]
fn includes_that_double_at_every_step_end() {
    let mut files: Vec<(String, String)> = (0..30)
        .map(|n| (format!("f{n}.yaml"), format!("include: [f{0}.yaml, f{0}.yaml]\n", n + 1)))
        .collect();
    files.push(("f30.yaml".into(), "services: {a: {image: x}}\n".into()));
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    assert!(Folder::new(&files).errors(&["f0.yaml"]).contains("too many files"));
}

#[test]
fn includes_in_a_row_end_before_the_stack_does() {
    let row = |count: usize| {
        let mut files: Vec<(String, String)> =
            (0..count).map(|n| (format!("f{n}.yaml"), format!("include: [f{}.yaml]\n", n + 1))).collect();
        files.push((format!("f{count}.yaml"), "services: {a: {image: x}}\n".into()));
        let files: Vec<(&str, &str)> =
            files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        Folder::new(&files)
    };
    assert_eq!(row(50).load(&["f0.yaml"]).services.len(), 1);
    assert!(row(51).errors(&["f0.yaml"]).contains("more than 50 files include each other in a row"));
}

proptest::proptest! {
    #[test]
    fn no_files_panic(
        a in "(services: |include: |extends: |image: x|ports: |volumes: |service: |file: |path: |a\\.yaml|b\\.yaml|a: |b: |\\{|\\}|\\[|\\]|, |- |\n|  |!reset |!override |null|\\$A){0,40}",
        b in "services: \\{(a|b): \\{(extends: a|image: !reset x|ports: \\[a\\]|environment: !override b|volumes: c|networks: \\[a\\])\\}\\}",
        c in "\n?(include: \\[[ab].yaml\\])?",
    ) {
        let folder = Folder::new(&[("a.yaml", &a), ("b.yaml", &format!("{b}{c}"))]);
        let _ = compose_file::load(&folder.options(&["a.yaml", "b.yaml"]));
        let _ = compose_file::load(&folder.options(&["b.yaml", "a.yaml"]));
    }
}
