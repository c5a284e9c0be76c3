//! x

pub mod guard;
