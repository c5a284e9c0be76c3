//! The process's one choice of cryptography.
//!
//! reqwest is built without any, since its own choice takes a C toolchain and minutes; so whoever makes a client in this
//! process says which first.

/// Makes ring the process's cryptography, unless one has been chosen.
pub fn choose_ring() {
    // An error says that somebody has chosen already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
