//! The ten rules on the engine in memory, each over thousands of seeds: a seed decides who comes when, what goes wrong, and
//! the order in which everybody gets on at every await.
//!
//! `LONGSHORE_SEEDS` is how many (2,000 if not told); `cargo test -p longshore-tests --release --test rules` with a million
//! is for the night. A seed that found something is kept in the test's list.

mod containers;
mod machine;
mod model;
mod seeds;
mod shutdown;
mod words;
