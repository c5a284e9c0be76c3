//! What the examples share, as a library, so that tests reach it.

pub mod calls;
pub mod catalogue;
pub mod hub;
pub mod server;
pub mod sim;
