//! The server hosted for users: each request brings a key, somebody else's service says whose it is, and each user sees what
//! is his.
//!
//! `X-API-Key` stands on the upgrade of the plugin and on every request to `/mcp`, as the installed plugin (10.1) and the
//! Python server (10.3.0) have it. This is the only mode that listens beyond this machine.

mod cache;
mod keys;
mod listen;
mod refusal;
mod users;
mod verdict;

pub use keys::{KeyService, Keys};
pub use listen::Public;
pub(super) use refusal::Denied;
pub(super) use users::Users;

/// Who is served, and by which names.
#[derive(Debug)]
#[non_exhaustive]
pub struct Remote {
    /// Whose key is whose.
    pub keys: Keys,
    /// The values of `Host` that are let in; none = any.
    pub hosts: Vec<String>,
}

impl Remote {
    /// The users of this service, by any name of this server's.
    pub const fn new(keys: Keys) -> Self {
        Self {
            keys,
            hosts: Vec::new(),
        }
    }

    /// Lets requests in that name one of these hosts, and no others.
    #[must_use]
    pub fn hosts(mut self, hosts: Vec<String>) -> Self {
        self.hosts = hosts;
        self
    }
}
