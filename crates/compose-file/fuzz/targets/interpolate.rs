//! Any text as a value with variables, the first line as what a variable holds.

#![no_main]

#[allow(dead_code, reason = "other targets use the rest")]
#[path = "../../tests/promises/mod.rs"]
mod promises;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let (value, text) = text.split_once('\n').unwrap_or(("", text));
    promises::interpolate(text, value);
});
