//! Clients' HTTP sessions: how many there may be, which are still in use, and that a session's end withdraws its calls at once.
//!
//! rmcp tells a handler of its session's end only after it has waited up to 5 s for the answers. An editor that comes back
//! within that time would run what nobody waits for.

use super::idle::Idle;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// Every session that lives, by its id.
#[derive(Clone, Debug)]
pub struct Sessions {
    tokens: Arc<Mutex<Tokens>>,
    idle: Arc<Mutex<Idle>>,
    room: Arc<Semaphore>,
    max: usize,
}

/// What withdraws the calls of a session.
#[derive(Debug, Default)]
struct Tokens {
    /// Of those that have made one.
    of: HashMap<String, CancellationToken>,
    /// Those that ended before that, the latest of them: a first call may be on its way.
    ended: VecDeque<String>,
}

/// How many of these are known.
const MAX_ENDED: usize = 256;

/// Sessions at once, and handlers of single requests. rmcp itself forgets a session only after its idle time.
const MAX_SESSIONS: usize = 4_096;

/// The same for one user of a server that has many.
const MAX_OF_USER: usize = 256;

/// Sessions that wait for a client that has neither a request nor a stream there.
const MAX_IDLE: usize = 128;

/// The same for one user of many.
const MAX_IDLE_OF_USER: usize = 16;

impl Sessions {
    /// Room for one user of many.
    pub fn of_user() -> Self {
        Self::at_most(MAX_OF_USER, MAX_IDLE_OF_USER)
    }

    /// True if no client has a place.
    pub fn is_empty(&self) -> bool {
        self.room.available_permits() == self.max
    }

    /// Room for one more client.
    ///
    /// # Errors
    /// If there are 4,096 already, or 256 of one user of many.
    pub fn open(&self) -> io::Result<Session> {
        let permit = self.room.clone().try_acquire_owned().map_err(|_| {
            let text = format!(
                "{} sessions are open: end one, or wait until one is idle for too long",
                self.max
            );
            io::Error::other(text)
        })?;
        Ok(Session {
            sessions: self.clone(),
            named: OnceLock::new(),
            _permit: permit,
        })
    }

    /// A client has a new session, and its answer is on its way. Also says which ones have to be ended for it, since nobody
    /// has used them for longest; their calls are withdrawn.
    pub fn begin(&self, id: &str, now: Instant) -> (Visit, Vec<String>) {
        let gone = self.idle().begin(id, now);
        for id in &gone {
            self.end(id);
        }
        (self.visit_of(id), gone)
    }

    /// A request comes for this session. `None` if there is none of that name.
    pub fn enter(&self, id: &str) -> Option<Visit> {
        self.idle().enter(id).then(|| self.visit_of(id))
    }

    /// This session is over.
    pub fn end(&self, id: &str) {
        self.idle().end(id);
        self.lock().end(id);
    }

    fn at_most(max: usize, idle: usize) -> Self {
        Self {
            tokens: Arc::default(),
            idle: Arc::new(Mutex::new(Idle::keep(idle))),
            room: Arc::new(Semaphore::new(max)),
            max,
        }
    }

    fn visit_of(&self, id: &str) -> Visit {
        Visit {
            idle: self.idle.clone(),
            id: id.to_owned(),
        }
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Tokens> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tokens {
    fn begin(&mut self, id: &str) -> CancellationToken {
        let token = CancellationToken::new();
        if self.ended.iter().any(|ended| ended == id) {
            token.cancel();
        }
        self.of.insert(id.to_owned(), token.clone());
        token
    }

    fn end(&mut self, id: &str) {
        if let Some(token) = self.of.remove(id) {
            token.cancel();
            return;
        }
        if self.ended.len() == MAX_ENDED {
            self.ended.pop_front();
        }
        self.ended.push_back(id.to_owned());
    }
}

impl Default for Sessions {
    fn default() -> Self {
        Self::at_most(MAX_SESSIONS, MAX_IDLE)
    }
}

/// Somebody is in a session: a request whose answer is not over, or a stream.
#[derive(Debug)]
pub struct Visit {
    idle: Arc<Mutex<Idle>>,
    id: String,
}

impl Drop for Visit {
    fn drop(&mut self) {
        // It is dropped where hyper drops a body, which tells no time.
        #[expect(clippy::disallowed_methods, reason = "a shell: when it was left")]
        let now = Instant::now();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.leave(&self.id, now);
    }
}

/// One session's place, held by its handler. It is free again when the handler is gone, however the session ended.
#[derive(Debug)]
pub struct Session {
    sessions: Sessions,
    /// The id is minted after the handler, so it is learnt from the first call.
    named: OnceLock<(String, CancellationToken)>,
    _permit: OwnedSemaphorePermit,
}

impl Session {
    /// The token that is cancelled when the client ends this session.
    pub fn token(&self, id: &str) -> CancellationToken {
        let (_, token) = self.named.get_or_init(|| {
            let token = self.sessions.lock().begin(id);
            (id.to_owned(), token)
        });
        token.clone()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some((id, _)) = self.named.get() {
            self.sessions.lock().of.remove(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_that_ends_cancels_its_calls_and_no_other_sessions() {
        let sessions = Sessions::default();
        let (one, two) = (sessions.open().unwrap(), sessions.open().unwrap());
        let (first, second) = (one.token("one"), two.token("two"));
        sessions.end("one");
        assert!(first.is_cancelled() && one.token("one").is_cancelled());
        assert!(!second.is_cancelled());
    }

    #[test]
    fn a_session_that_ends_before_its_first_call_has_that_one_cancelled_too() {
        let sessions = Sessions::default();
        let session = sessions.open().unwrap();
        sessions.end("one");
        assert!(session.token("one").is_cancelled());
        for number in 0..2 * MAX_ENDED {
            sessions.end(&number.to_string());
        }
        assert_eq!(sessions.lock().ended.len(), MAX_ENDED);
    }

    #[test]
    fn a_session_is_forgotten_with_its_handler_however_it_ended() {
        let sessions = Sessions::default();
        for number in 0..2 * MAX_SESSIONS {
            let session = sessions.open().unwrap();
            session.token(&number.to_string());
        }
        assert!(sessions.lock().of.is_empty());
        let open: Vec<_> = (0..MAX_SESSIONS)
            .map(|_| sessions.open().unwrap())
            .collect();
        assert!(sessions.open().is_err());
        drop(open);
        assert!(sessions.open().is_ok());
    }
}
