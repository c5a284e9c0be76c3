//! Regular expressions of clients, within bounds.

use fancy_regex::{Regex, RegexBuilder};

/// How many steps back one search may take: enough for any that is meant, and over within a second.
const STEPS: usize = 1_000_000;
/// What a pattern may take when compiled.
const BYTES: usize = 10 << 20;

/// A pattern whose `^` and `$` match at lines, with look-around and references back, as Python's
/// `re` has them.
///
/// # Errors
///
/// Why it is none, in one line.
pub(super) fn compile(pattern: &str, ignore_case: bool) -> Result<Regex, String> {
    let mut builder = RegexBuilder::new(pattern);
    builder
        .multi_line(true)
        .case_insensitive(ignore_case)
        .backtrack_limit(STEPS)
        .delegate_size_limit(BYTES);
    builder.build().map_err(|error| in_one_line(&error))
}

pub(super) fn in_one_line(error: &fancy_regex::Error) -> String {
    let text = error.to_string();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
