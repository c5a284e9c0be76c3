//! Results that came when nobody waited any more: kept for a while, for whoever asks by the
//! operation's id.

use serde_json::Value;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The newest results, within 256 of them, 16 MiB and 10 minutes.
#[derive(Debug, Default)]
pub(super) struct Late {
    kept: VecDeque<Kept>,
    bytes: usize,
}

#[derive(Debug)]
struct Kept {
    id: String,
    owner: Option<String>,
    envelope: Value,
    bytes: usize,
    until: Instant,
}

const MAX_RESULTS: usize = 256;
const MAX_BYTES: usize = 16 * 1024 * 1024;
const KEEP: Duration = Duration::from_secs(600);

impl Late {
    /// Keeps a result. One that is over the limit by itself is dropped; else the oldest make room.
    pub(super) fn keep(
        &mut self,
        now: Instant,
        id: String,
        owner: Option<String>,
        envelope: Value,
    ) {
        let bytes = envelope.to_string().len();
        if bytes > MAX_BYTES {
            tracing::warn!(id, bytes, "a late result is too large to keep");
            return;
        }
        self.expire(now);
        while self.kept.len() >= MAX_RESULTS || self.bytes + bytes > MAX_BYTES {
            self.drop_oldest();
        }
        self.bytes += bytes;
        self.kept.push_back(Kept {
            id,
            owner,
            envelope,
            bytes,
            until: now + KEEP,
        });
    }

    /// The result, if it is there and the one who asks is the one who called.
    pub(super) fn get(&mut self, now: Instant, id: &str, owner: Option<&str>) -> Option<Value> {
        self.expire(now);
        let found = self.kept.iter().find(|kept| kept.id == id)?;
        (found.owner.as_deref() == owner).then(|| found.envelope.clone())
    }

    fn expire(&mut self, now: Instant) {
        while self.kept.front().is_some_and(|kept| kept.until <= now) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(kept) = self.kept.pop_front() {
            self.bytes -= kept.bytes;
        }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test may read the clock")]
mod tests {
    use super::*;

    #[test]
    fn a_late_result_is_kept_for_its_owner_and_for_ten_minutes() {
        let (mut late, now) = (Late::default(), Instant::now());
        late.keep(now, "a".into(), Some("me".into()), Value::from(1));
        assert_eq!(late.get(now, "a", Some("me")), Some(Value::from(1)));
        assert_eq!(late.get(now, "a", Some("you")), None);
        assert_eq!(late.get(now, "a", None), None);
        assert_eq!(late.get(now + KEEP, "a", Some("me")), None);
        assert_eq!(late.bytes, 0);
    }

    #[test]
    fn late_results_stay_within_their_limits() {
        let (mut late, now) = (Late::default(), Instant::now());
        for number in 0..1_000 {
            late.keep(
                now,
                number.to_string(),
                None,
                Value::from("x".repeat(100_000)),
            );
            assert!(late.kept.len() <= MAX_RESULTS && late.bytes <= MAX_BYTES);
        }
        assert!(late.get(now, "999", None).is_some() && late.get(now, "0", None).is_none());
        late.keep(now, "huge".into(), None, Value::from("x".repeat(MAX_BYTES)));
        assert!(late.get(now, "huge", None).is_none() && late.get(now, "999", None).is_some());
    }
}
