//! What the examples share, as a library, so that tests reach it.

pub mod sim;
