//! Which HTTP sessions nobody seems to use any more. Pure.
//!
//! A client that crashes, or whose laptop is closed for good, ends no session: it leaves it. rmcp keeps that until nothing
//! was said in it for its idle time, and what we say counts, too: that a list has changed, each time an editor comes back.
//! Each costs some 60 KiB. So a session that has no request on its way and no stream open is idle, and of those only the
//! latest so many are kept. The SDKs' clients have a stream open as long as they live; one that has none and comes back too
//! late gets the 404 with which the specification lets it start a new session.

use std::collections::HashMap;
use std::time::Instant;

/// The sessions that are known, and who is in them.
#[derive(Debug)]
pub(super) struct Idle {
    known: HashMap<String, Visits>,
    keep: usize,
}

#[derive(Debug)]
struct Visits {
    /// Requests on their way, and streams.
    open: usize,
    last: Instant,
}

impl Idle {
    /// Keeps so many idle ones.
    pub(super) fn keep(keep: usize) -> Self {
        Self {
            known: HashMap::new(),
            keep,
        }
    }

    /// A session has begun, and its first answer is on its way. Names those that have to go for it, the longest idle first.
    pub(super) fn begin(&mut self, id: &str, now: Instant) -> Vec<String> {
        let visits = Visits { open: 1, last: now };
        self.known.insert(id.to_owned(), visits);
        let mut idle: Vec<_> = self
            .known
            .iter()
            .filter(|(_, visits)| visits.open == 0)
            .map(|(id, visits)| (visits.last, id.clone()))
            .collect();
        let Some(over) = idle.len().checked_sub(self.keep) else {
            return Vec::new();
        };
        idle.sort_unstable();
        let gone: Vec<String> = idle.into_iter().take(over).map(|(_, id)| id).collect();
        for id in &gone {
            self.known.remove(id);
        }
        gone
    }

    /// A request comes; whether such a session is known.
    pub(super) fn enter(&mut self, id: &str) -> bool {
        let Some(visits) = self.known.get_mut(id) else {
            return false;
        };
        visits.open += 1;
        true
    }

    /// A request's answer, or a stream, is over.
    pub(super) fn leave(&mut self, id: &str, now: Instant) {
        if let Some(visits) = self.known.get_mut(id) {
            visits.open = visits.open.saturating_sub(1);
            visits.last = now;
        }
    }

    /// A session is over.
    pub(super) fn end(&mut self, id: &str) {
        self.known.remove(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(seconds: u64) -> Instant {
        static ZERO: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        #[expect(clippy::disallowed_methods, reason = "a place to count from")]
        let zero = *ZERO.get_or_init(Instant::now);
        zero + Duration::from_secs(seconds)
    }

    #[test]
    fn of_the_idle_sessions_the_longest_idle_goes() {
        let mut idle = Idle::keep(2);
        for (id, left) in [("a", 30), ("b", 10), ("c", 20)] {
            assert!(idle.begin(id, at(0)).is_empty());
            idle.leave(id, at(left));
        }
        assert_eq!(idle.begin("d", at(40)), ["b"]);
        assert!(!idle.enter("b") && idle.enter("a") && idle.enter("c"));
    }

    #[test]
    fn a_session_with_an_open_stream_is_never_idle_however_old_it_is() {
        let mut idle = Idle::keep(0);
        idle.begin("streams", at(0));
        assert!(idle.enter("streams"));
        // Its first answer is over; its stream is not.
        idle.leave("streams", at(1));
        for number in 0..100 {
            assert!(idle.begin(&number.to_string(), at(number)).is_empty());
        }
        idle.leave("streams", at(200));
        assert_eq!(idle.begin("next", at(300)), ["streams"]);
    }

    #[test]
    fn abandoned_sessions_are_bounded_and_the_ended_ones_take_no_place() {
        let mut idle = Idle::keep(8);
        let mut gone = 0;
        for number in 0..1_000 {
            let id = number.to_string();
            gone += idle.begin(&id, at(number)).len();
            idle.leave(&id, at(number));
            if number % 2 == 0 {
                idle.end(&id);
            }
        }
        assert!(idle.known.len() <= 9);
        assert_eq!(gone + idle.known.len(), 500);
        // Who left after its session's end brings nothing back.
        idle.leave("0", at(2_000));
        assert!(!idle.enter("0"));
    }
}
