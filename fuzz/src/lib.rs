//! What is fuzzed: one plain function for each target, which panics where a promise is broken.
//!
//! `fuzz_targets` hand them to libFuzzer. `tests-integration/tests/fuzz_corpus.rs` compiles this same file and replays
//! the corpus, so that stable and `cargo test` are enough to notice what comes back. A name here is a target's
//! name and that of its folder in `corpus`.
#![forbid(unsafe_code)]

mod eviction_notice;
mod length_prefixed;
mod lines;
mod status_file;
mod torn;
mod welcome;

pub use eviction_notice::eviction_notice;
pub use length_prefixed::length_prefixed;
pub use lines::lines;
pub use status_file::status_file;
pub use welcome::welcome;
