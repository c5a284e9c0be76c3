//! How calls ended whose client got no result: told again to whoever asks by the operation's id. Pure.

use mcp_transport_core::Ending;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The newest endings: 1,024 of them, for 10 minutes.
#[derive(Debug, Default)]
pub(super) struct Endings {
    kept: VecDeque<(Instant, Ended)>,
}

/// One of them.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    /// As the client was told.
    pub(super) ending: Ending,
    /// Who called. Without a name, whoever knows the id may ask.
    pub(super) owner: Option<String>,
    /// The editor that the call was for.
    pub(super) hash: String,
    /// That editor's connection at the time: an answer can come on no other.
    pub(super) session_id: Option<String>,
}

const MAX_ENDINGS: usize = 1_024;
const KEEP: Duration = Duration::from_secs(600);

impl Endings {
    pub(super) fn keep(&mut self, now: Instant, ended: Ended) {
        self.expire(now);
        if self.kept.len() == MAX_ENDINGS {
            self.kept.pop_front();
        }
        self.kept.push_back((now + KEEP, ended));
    }

    /// How the operation ended, if the one who asks may know.
    pub(super) fn get(&mut self, now: Instant, id: &str, owner: Option<&str>) -> Option<&Ended> {
        self.expire(now);
        let mine = |ended: &Ended| ended.owner.is_none() || ended.owner.as_deref() == owner;
        self.kept
            .iter()
            .map(|(_, ended)| ended)
            .find(|ended| ended.ending.operation_id.as_deref() == Some(id) && mine(ended))
    }

    fn expire(&mut self, now: Instant) {
        while self.kept.front().is_some_and(|(until, _)| *until <= now) {
            self.kept.pop_front();
        }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test may read the clock")]
mod tests {
    use super::*;
    use mcp_transport_core::Outcome;

    fn ended(id: &str, owner: Option<&str>) -> Ended {
        Ended {
            ending: Ending::new(Outcome::NotDelivered, "reloading", "It was away.")
                .operation_id(id),
            owner: owner.map(str::to_owned),
            hash: "h".to_owned(),
            session_id: None,
        }
    }

    #[test]
    fn an_ending_is_told_again_to_its_caller_and_to_nobody_else_for_ten_minutes() {
        let (mut endings, now) = (Endings::default(), Instant::now());
        endings.keep(now, ended("mine", Some("me")));
        endings.keep(now, ended("anybody's", None));
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
            endings.keep(now, ended(&number.to_string(), None));
        }
        assert!(endings.get(now, "0", None).is_none() && endings.get(now, "1", None).is_some());
        assert_eq!(endings.kept.len(), MAX_ENDINGS);
    }
}
