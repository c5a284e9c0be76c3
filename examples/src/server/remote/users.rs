//! The users that are here: each with a hub, calls and sessions of his own.

use super::{Denied, Keys};
use crate::calls::Calls;
use crate::server::http::Tenant;
use http::Request;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Where the key stands, as the installed plugin (10.1) sends it.
const KEY: &str = "x-api-key";

/// Users at once. One who has no editor, session or call makes room after a while.
const MAX_USERS: usize = 256;

/// How long an idle user's late results are kept: as long as the hub keeps them.
const KEEP: Duration = Duration::from_secs(600);

/// From his admission until a user's request shows in his share.
const SETTLE: Duration = Duration::from_secs(30);

pub(in crate::server) struct Users {
    keys: Keys,
    calls: Box<dyn Fn() -> Calls + Send + Sync>,
    stop: CancellationToken,
    here: Mutex<Here<Arc<Tenant>>>,
}

impl Users {
    pub(in crate::server) fn new(
        keys: Keys,
        calls: impl Fn() -> Calls + Send + Sync + 'static,
        stop: CancellationToken,
    ) -> Self {
        Self {
            keys,
            calls: Box::new(calls),
            stop,
            here: Mutex::new(Here::default()),
        }
    }

    /// The share of the user whose key a request brings. The key is taken out of it: nobody behind needs it.
    pub(in crate::server) async fn admit<B>(
        &self,
        request: &mut Request<B>,
    ) -> Result<Arc<Tenant>, Denied> {
        let headers = request.headers_mut();
        let given = headers.get_all(KEY).iter().count();
        let key = headers.remove(KEY).filter(|_| given == 1);
        let key = key
            .as_ref()
            .and_then(|key| key.to_str().ok())
            .map(str::trim);
        let key = key.filter(|key| !key.is_empty()).ok_or(Denied::NoKey)?;
        let user = self.keys.user(key).await?;
        let now = now();
        let mut here = self.lock();
        let tenant = here.get_or_insert(
            now,
            &user,
            |tenant| tenant.is_idle(),
            || Arc::new(Tenant::of_user((self.calls)(), &self.stop)),
        );
        tenant.cloned().ok_or(Denied::NoRoom)
    }

    /// Lets nobody in any more.
    pub(in crate::server) fn close(&self) {
        self.lock().closed = true;
    }

    pub(in crate::server) fn everybody(&self) -> Vec<Arc<Tenant>> {
        let here = self.lock();
        here.users.values().map(|user| user.share.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Here<Arc<Tenant>>> {
        self.here.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[expect(clippy::disallowed_methods, reason = "the shell around the table")]
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Who is here. Pure.
struct Here<T> {
    users: HashMap<Arc<str>, User<T>>,
    closed: bool,
}

struct User<T> {
    share: T,
    /// When he last brought his key.
    seen: Instant,
}

impl<T> Here<T> {
    fn get_or_insert(
        &mut self,
        now: Instant,
        user: &Arc<str>,
        is_idle: impl Fn(&T) -> bool,
        make: impl FnOnce() -> T,
    ) -> Option<&T> {
        if self.closed {
            return None;
        }
        if !self.users.contains_key(user) {
            self.forget(now, KEEP, &is_idle);
            if self.users.len() >= MAX_USERS {
                // Rather forgets who is away than refuses who is here.
                self.forget(now, SETTLE, &is_idle);
            }
            if self.users.len() >= MAX_USERS {
                return None;
            }
        }
        let entry = self.users.entry(user.clone());
        let user = entry.or_insert_with(|| User {
            share: make(),
            seen: now,
        });
        user.seen = now;
        Some(&user.share)
    }

    fn forget(&mut self, now: Instant, after: Duration, is_idle: impl Fn(&T) -> bool) {
        self.users.retain(|_, user| {
            now.saturating_duration_since(user.seen) < after || !is_idle(&user.share)
        });
    }
}

impl<T> Default for Here<T> {
    fn default() -> Self {
        Self {
            users: HashMap::new(),
            closed: false,
        }
    }
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Users").finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test may read the clock")]
mod tests {
    use super::*;

    fn admit(here: &mut Here<bool>, now: Instant, user: usize, busy: bool) -> bool {
        let name = Arc::from(user.to_string());
        here.get_or_insert(now, &name, |busy| !busy, || busy)
            .is_some()
    }

    #[test]
    fn an_idle_user_makes_room_and_a_busy_one_does_not() {
        let (mut here, now) = (Here::default(), Instant::now());
        for user in 0..MAX_USERS {
            assert!(admit(&mut here, now, user, user % 2 == 0));
        }
        assert!(
            !admit(&mut here, now, MAX_USERS, true),
            "all have just come"
        );
        assert!(admit(&mut here, now, 0, true), "who is known gets in");
        assert!(admit(&mut here, now + SETTLE, MAX_USERS, true));
        assert_eq!(here.users.len(), MAX_USERS / 2 + 1);
        assert!(
            (0..MAX_USERS)
                .step_by(2)
                .all(|user| here.users.contains_key(&*user.to_string()))
        );
    }

    #[test]
    fn an_idle_user_is_kept_as_long_as_his_late_results() {
        let (mut here, now) = (Here::default(), Instant::now());
        assert!(admit(&mut here, now, 1, false));
        assert!(admit(
            &mut here,
            now + KEEP - Duration::from_secs(1),
            2,
            false
        ));
        assert_eq!(here.users.len(), 2);
        assert!(admit(&mut here, now + KEEP, 3, false));
        assert!(!here.users.contains_key("1") && here.users.contains_key("2"));
    }

    #[test]
    fn who_comes_while_the_server_goes_down_is_refused() {
        let mut here = Here {
            closed: true,
            ..Here::default()
        };
        assert!(!admit(&mut here, Instant::now(), 1, false));
    }
}
