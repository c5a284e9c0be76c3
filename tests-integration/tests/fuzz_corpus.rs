//! Replays what the fuzzers have found interesting, so that stable notices what comes back.
//!
//! The targets' own source is compiled here; `fuzz/README.md` says how to look for more.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "tests; what is public is so for the other crate that compiles it"
)]

#[path = "../../fuzz/src/lib.rs"]
mod targets;

use std::fs;
use std::panic::{RefUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};

/// Feeds every file of the target's corpus to it, and names the one that breaks a promise.
#[track_caller]
fn replay(name: &str, target: impl Fn(&[u8]) + RefUnwindSafe) {
    let inputs = inputs(name);
    assert!(inputs.len() > 5, "the corpus of {name} is not here");
    for path in inputs {
        let input = fs::read(&path).unwrap();
        if let Err(panic) = catch_unwind(|| target(&input)) {
            eprintln!("it was {}", path.display());
            resume_unwind(panic);
        }
    }
}

fn inputs(name: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(name);
    let entries = fs::read_dir(folder).unwrap();
    let mut inputs: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    inputs.sort();
    inputs
}

#[test]
fn lines_are_the_same_however_they_arrive() {
    replay("lines", targets::lines);
}

#[test]
fn frames_are_the_same_however_they_arrive() {
    replay("length_prefixed", targets::length_prefixed);
}

#[test]
fn a_welcome_is_judged_the_same_however_it_arrives() {
    replay("welcome", targets::welcome);
}

#[test]
fn a_status_file_is_a_project_or_no_news() {
    replay("status_file", targets::status_file);
}

#[test]
fn a_frame_is_a_notice_by_its_status_alone() {
    replay("eviction_notice", targets::eviction_notice);
}
