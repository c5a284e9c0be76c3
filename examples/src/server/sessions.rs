//! Clients' HTTP sessions, so far as a session's end withdraws its calls at once.
//!
//! rmcp tells a handler of its session's end only after it has waited up to 5 s for the answers. An editor that comes back
//! within that time would run what nobody waits for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::sync::CancellationToken;

/// A token for each session that has called something; at most 4,096, beyond which none is kept.
#[derive(Clone, Debug, Default)]
pub struct Sessions {
    tokens: Arc<Mutex<HashMap<String, CancellationToken>>>,
}

const MAX_SESSIONS: usize = 4_096;

impl Sessions {
    /// The token that is cancelled when this session ends.
    pub fn token(&self, session: &str) -> CancellationToken {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(token) = tokens.get(session) {
            return token.clone();
        }
        let token = CancellationToken::new();
        if tokens.len() < MAX_SESSIONS {
            tokens.insert(session.to_owned(), token.clone());
        }
        token
    }

    /// The client has ended this session.
    pub fn end(&self, session: &str) {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(token) = tokens.remove(session) {
            token.cancel();
        }
    }
}
