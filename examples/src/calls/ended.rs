//! How calls ended whose client got no result: told again to whoever asks by the operation's id. Pure.

use mcp_transport_core::Ending;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The newest endings: 1,024 of them, for 10 minutes.
#[derive(Debug, Default)]
pub(super) struct Endings {
    kept: VecDeque<Kept>,
}

#[derive(Debug)]
struct Kept {
    until: Instant,
    /// Who called. Without a name, whoever knows the id may ask.
    owner: Option<String>,
    /// As the client was told.
    ending: Ending,
}

const MAX_ENDINGS: usize = 1_024;
const KEEP: Duration = Duration::from_secs(600);

impl Endings {
    pub(super) fn keep(&mut self, now: Instant, owner: Option<String>, ending: Ending) {
        self.expire(now);
        if self.kept.len() == MAX_ENDINGS {
            self.kept.pop_front();
        }
        self.kept.push_back(Kept {
            until: now + KEEP,
            owner,
            ending,
        });
    }

    /// How the operation ended, if the one who asks may know.
    pub(super) fn get(&mut self, now: Instant, id: &str, owner: Option<&str>) -> Option<&Ending> {
        self.expire(now);
        let mine = |kept: &&Kept| {
            kept.ending.operation_id.as_deref() == Some(id)
                && (kept.owner.is_none() || kept.owner.as_deref() == owner)
        };
        // What was still running for one may have ended since.
        self.kept.iter().rev().find(mine).map(|kept| &kept.ending)
    }

    fn expire(&mut self, now: Instant) {
        while self.kept.front().is_some_and(|kept| kept.until <= now) {
            self.kept.pop_front();
        }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test may read the clock")]
mod tests {
    use super::*;
    use mcp_transport_core::Outcome;

    fn ended(id: &str) -> Ending {
        Ending::new(Outcome::NotDelivered, "reloading", "It was away.").operation_id(id)
    }

    #[test]
    fn an_ending_is_told_again_to_its_caller_and_to_nobody_else_for_ten_minutes() {
        let (mut endings, now) = (Endings::default(), Instant::now());
        endings.keep(now, Some("me".to_owned()), ended("mine"));
        endings.keep(now, None, ended("anybody's"));
        assert!(endings.get(now, "mine", Some("me")).is_some());
        assert!(endings.get(now, "mine", Some("you")).is_none());
        assert!(endings.get(now, "mine", None).is_none());
        assert!(endings.get(now, "anybody's", Some("you")).is_some());
        assert!(endings.get(now, "anybody's", None).is_some());
        assert!(endings.get(now + KEEP, "mine", Some("me")).is_none());
    }

    #[test]
    fn the_oldest_endings_make_room() {
        let (mut endings, now) = (Endings::default(), Instant::now());
        for number in 0..=MAX_ENDINGS {
            endings.keep(now, None, ended(&number.to_string()));
        }
        assert!(endings.get(now, "0", None).is_none() && endings.get(now, "1", None).is_some());
        assert_eq!(endings.kept.len(), MAX_ENDINGS);
    }
}
