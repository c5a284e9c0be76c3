//! What the key service said of keys, for a while. Pure; keys are here as their SHA-256 only.
//!
//! Its size is bounded as in the Python server (10.3.0): a stranger who tries one key after the other fills it, but displaces
//! nobody whose key is good.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A key, unreadable.
pub(super) type Print = [u8; 32];

#[derive(Debug)]
pub(super) struct Cache {
    kept: HashMap<Print, Kept>,
    ttl: Duration,
}

#[derive(Debug)]
struct Kept {
    /// `None`: the key is nobody's.
    user: Option<Arc<str>>,
    until: Instant,
}

/// Keys at once.
const MAX_KEYS: usize = 1_024;

impl Cache {
    pub(super) fn new(ttl: Duration) -> Self {
        Self {
            kept: HashMap::new(),
            ttl,
        }
    }

    /// Whose key this is, if that was said of late; the inner `None` is nobody's.
    pub(super) fn get(&self, now: Instant, print: &Print) -> Option<Option<Arc<str>>> {
        let kept = self.kept.get(print)?;
        (now < kept.until).then(|| kept.user.clone())
    }

    /// Keeps what was said for certain.
    pub(super) fn keep(&mut self, now: Instant, print: Print, user: Option<Arc<str>>) {
        let Some(until) = now.checked_add(self.ttl).filter(|until| *until > now) else {
            return;
        };
        if self.kept.len() >= MAX_KEYS && !self.kept.contains_key(&print) {
            self.kept.retain(|_, kept| now < kept.until);
            if self.kept.len() >= MAX_KEYS && !self.make_room(user.is_some()) {
                return;
            }
        }
        self.kept.insert(print, Kept { user, until });
    }

    /// Drops what is nobody's first, and that only for somebody's.
    fn make_room(&mut self, for_a_user: bool) -> bool {
        if !for_a_user {
            return false;
        }
        let least = self
            .kept
            .iter()
            .min_by_key(|(_, kept)| (kept.user.is_some(), kept.until));
        let least = least.map(|(print, _)| *print);
        least.is_some_and(|print| self.kept.remove(&print).is_some())
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test may read the clock")]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(300);

    fn print(number: u32) -> Print {
        let mut print = [0; 32];
        print[..4].copy_from_slice(&number.to_le_bytes());
        print
    }

    #[test]
    fn what_was_said_for_certain_holds_for_its_time_good_or_bad() {
        let (mut cache, now) = (Cache::new(TTL), Instant::now());
        cache.keep(now, print(1), Some("ann".into()));
        cache.keep(now, print(2), None);
        let last = now + TTL - Duration::from_millis(1);
        assert_eq!(cache.get(last, &print(1)), Some(Some("ann".into())));
        assert_eq!(cache.get(last, &print(2)), Some(None));
        assert_eq!(cache.get(last, &print(3)), None);
        assert_eq!(cache.get(now + TTL, &print(1)), None);
        assert_eq!(cache.get(now + TTL, &print(2)), None);
    }

    #[test]
    fn strangers_who_try_keys_displace_nobody() {
        let (mut cache, now) = (Cache::new(TTL), Instant::now());
        cache.keep(now, print(0), Some("ann".into()));
        for number in 1..10_000 {
            cache.keep(now, print(number), None);
            assert!(cache.kept.len() <= MAX_KEYS);
        }
        assert!(cache.get(now, &print(0)).is_some());
        // A good key finds room among bad ones, and then among good ones.
        for number in 10_000..20_000 {
            cache.keep(now, print(number), Some("bob".into()));
            assert!(cache.get(now, &print(number)).is_some());
            assert!(cache.kept.len() <= MAX_KEYS);
        }
    }

    #[test]
    fn what_is_over_makes_room_for_anything() {
        let (mut cache, now) = (Cache::new(TTL), Instant::now());
        for number in 0..MAX_KEYS as u32 {
            cache.keep(now, print(number), Some("ann".into()));
        }
        cache.keep(now + TTL, print(9_999), None);
        assert_eq!(cache.get(now + TTL, &print(9_999)), Some(None));
        assert_eq!(cache.kept.len(), 1);
    }

    #[test]
    fn with_no_time_to_live_nothing_is_kept() {
        let (mut cache, now) = (Cache::new(Duration::ZERO), Instant::now());
        cache.keep(now, print(1), Some("ann".into()));
        assert_eq!(cache.get(now, &print(1)), None);
    }
}
