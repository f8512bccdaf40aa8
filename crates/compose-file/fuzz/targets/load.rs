//! Texts as the files of a project, parted by `---`.

#![no_main]

#[allow(dead_code, reason = "other targets use the rest")]
#[path = "../../tests/promises/mod.rs"]
mod promises;

use std::sync::LazyLock;

static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().expect("it works here"));

libfuzzer_sys::fuzz_target!(|text: &str| promises::load_all(FOLDER.path(), &promises::parts(text)));
