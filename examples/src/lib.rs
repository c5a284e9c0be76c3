//! What the examples share, as a library, so that tests reach it.

pub mod catalogue;
pub mod sim;
