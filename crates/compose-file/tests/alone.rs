//! The crate stands alone.

use std::process::Command;

#[test]
fn it_depends_on_no_engine_and_on_nothing_asynchronous() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let tree = Command::new(cargo)
        .args(["tree", "--offline", "--edges", "normal", "--prefix", "none", "--format", "{p}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let text = String::from_utf8(tree.stdout).expect("it is a text");
    let names: Vec<&str> = text.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(names.contains(&"saphyr-parser"), "{text}");
    let is_barred = |name: &&&str| {
        ["tokio", "async", "futures", "hyper", "bollard", "runtime-", "longshore", "mio", "smol", "reqwest"]
            .iter()
            .any(|barred| name.starts_with(barred))
    };
    assert_eq!(names.iter().find(is_barred), None, "{text}");
}
