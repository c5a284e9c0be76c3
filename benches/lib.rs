//! Criterion benches: each figure beside a competitor's in the same run, so that ratios can be read off.
