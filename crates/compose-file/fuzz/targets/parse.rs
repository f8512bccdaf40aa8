//! Any text as a file.

#![no_main]

#[allow(dead_code, reason = "other targets use the rest")]
#[path = "../../tests/promises/mod.rs"]
mod promises;

libfuzzer_sys::fuzz_target!(|text: &str| promises::parse(text));
