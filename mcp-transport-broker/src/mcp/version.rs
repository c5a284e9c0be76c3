//! Which protocol versions there are.

/// The versions with `initialize` and sessions.
pub const LEGACY: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];

/// The versions in which each request stands for itself.
pub const MODERN: [&str; 1] = ["2026-07-28"];

/// True if a version's clients understand an event without data, which tells them where to resume:
/// from 2025-11-25 on. Older ones take it for a message that is not JSON.
pub fn primes(version: &str) -> bool {
    version >= "2025-11-25" && LEGACY.contains(&version)
}

pub(super) fn is_legacy(version: &str) -> bool {
    LEGACY.contains(&version)
}

pub(super) fn modern(version: &str) -> Option<&'static str> {
    MODERN.into_iter().find(|known| *known == version)
}
