//! What the benches share: each figure is measured beside a competitor's in the same run, and what counts is their ratio.

mod ratios;

pub use ratios::{Goal, Pair, conclude, median, tell};
