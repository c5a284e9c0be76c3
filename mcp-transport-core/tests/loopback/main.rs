#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "tests"
)]

mod connect;
mod faults;
mod rig;
#[cfg(target_os = "linux")]
mod shutdown;
mod sockets;
