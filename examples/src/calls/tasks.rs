//! Long calls that were answered with a task: which there are, whose each is, and how it stands. Pure.
//!
//! A task's id is the id of its operation, so whoever asks for the operation is told the same.

use mcp_transport_core::Ending;
use serde_json::Value;
use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime};
use tokio_util::sync::CancellationToken;

/// Tasks that are under way, at most; one more is refused.
pub const MAX_WORKING: usize = 256;

/// Tasks that have ended, at most, and the bytes of their results; the oldest make room.
pub const MAX_ENDED: usize = 256;
/// See [`MAX_ENDED`].
pub const MAX_BYTES: usize = 16 * 1024 * 1024;

/// How long a result is kept.
pub const KEEP: Duration = Duration::from_secs(600);

/// How long a task may be under way: an hour, which is the most that an editor is given for a command, two minutes for which
/// it may wait for the editor before, and as much again for what is asked beside it.
pub const RUN: Duration = Duration::from_secs(3_600 + 2 * 120);

/// What is said of one that was cancelled and has not ended: the wire to the editor has no cancel.
const WITHDRAWN: &str =
    "cancelled; what the editor already works on goes on, and its result is kept";

/// What is known of a task.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Task {
    /// Its operation's id.
    pub id: String,
    /// When it began.
    pub created: SystemTime,
    /// When something last changed.
    pub updated: SystemTime,
    /// How long from its beginning on it is kept: until the time for it is over, and for 10 minutes after it has ended.
    pub ttl: Duration,
    /// How it stands.
    pub standing: TaskStanding,
    /// What its client would have heard of its progress.
    pub said: Option<String>,
}

/// How a task stands.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a client is told each in its own way"
)]
pub enum TaskStanding {
    /// It is under way.
    Working,
    /// It has ended, with this result of its tool.
    Ended(Value),
    /// It has ended without one.
    Failed(Ending),
    /// It was given up before the editor saw it.
    Cancelled,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    working: Vec<Entry>,
    ended: VecDeque<Entry>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    task: Task,
    owner: Option<String>,
    began: Instant,
    until: Instant,
    bytes: usize,
    cancelled: CancellationToken,
}

impl Tasks {
    /// A task begins. False if there are too many.
    pub(super) fn begin(
        &mut self,
        now: Instant,
        wall: SystemTime,
        id: String,
        owner: Option<String>,
        cancelled: CancellationToken,
    ) -> Option<Task> {
        if self.working.len() >= MAX_WORKING {
            return None;
        }
        let task = Task {
            id,
            created: wall,
            updated: wall,
            ttl: RUN + KEEP,
            standing: TaskStanding::Working,
            said: None,
        };
        self.working.push(Entry {
            task: task.clone(),
            owner,
            began: now,
            until: now + RUN + KEEP,
            bytes: 0,
            cancelled,
        });
        Some(task)
    }

    /// Its progress.
    pub(super) fn say(&mut self, wall: SystemTime, id: &str, text: String) {
        if let Some(entry) = self.working.iter_mut().find(|entry| entry.task.id == id) {
            entry.task.said = Some(text);
            entry.task.updated = wall;
        }
    }

    /// It has ended. A result that is too large to be kept is for the caller to replace: see [`MAX_BYTES`].
    pub(super) fn end(&mut self, now: Instant, wall: SystemTime, id: &str, standing: TaskStanding) {
        let Some(at) = self.working.iter().position(|entry| entry.task.id == id) else {
            return;
        };
        let mut entry = self.working.swap_remove(at);
        entry.bytes = match &standing {
            TaskStanding::Ended(result) => result.to_string().len(),
            _ => 0,
        };
        entry.until = now + KEEP;
        entry.task.ttl = entry.until - entry.began;
        entry.task.updated = wall;
        entry.task.standing = standing;
        entry.task.said = None;
        self.expire(now);
        while self.ended.len() >= MAX_ENDED || self.bytes + entry.bytes > MAX_BYTES {
            if !self.forget_oldest() {
                break;
            }
        }
        self.bytes += entry.bytes;
        self.ended.push_back(entry);
    }

    /// How it stands, if the one who asks may know. What nobody's name is on may be known by whoever knows its 128 random bits.
    pub(super) fn get(&mut self, now: Instant, id: &str, owner: Option<&str>) -> Option<Task> {
        self.expire(now);
        self.find(id, owner).map(|entry| entry.task.clone())
    }

    /// Nobody wants its result any more. False if there is no such task of this owner's.
    pub(super) fn cancel(&mut self, now: Instant, id: &str, owner: Option<&str>) -> bool {
        self.expire(now);
        let Some(entry) = self.find(id, owner) else {
            return false;
        };
        entry.cancelled.cancel();
        let wanted = |entry: &&mut Entry| entry.task.id == id;
        if let Some(entry) = self.working.iter_mut().find(wanted) {
            entry.task.said = Some(WITHDRAWN.to_owned());
        }
        true
    }

    fn find(&self, id: &str, owner: Option<&str>) -> Option<&Entry> {
        let mut all = self.working.iter().chain(&self.ended);
        let entry = all.find(|entry| entry.task.id == id)?;
        let theirs = entry.owner.is_none() || entry.owner.as_deref() == owner;
        theirs.then_some(entry)
    }

    fn expire(&mut self, now: Instant) {
        while self.ended.front().is_some_and(|entry| entry.until <= now) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) -> bool {
        let oldest = self.ended.pop_front();
        self.bytes -= oldest.as_ref().map_or(0, |entry| entry.bytes);
        oldest.is_some()
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test may read the clock")]
mod tests {
    use super::*;

    fn begin(tasks: &mut Tasks, now: Instant, id: &str, owner: Option<&str>) -> Option<Task> {
        let owner = owner.map(str::to_owned);
        tasks.begin(
            now,
            SystemTime::UNIX_EPOCH,
            id.to_owned(),
            owner,
            CancellationToken::new(),
        )
    }

    fn end(tasks: &mut Tasks, now: Instant, id: &str, result: Value) {
        tasks.end(now, SystemTime::UNIX_EPOCH, id, TaskStanding::Ended(result));
    }

    #[test]
    fn a_task_is_its_owners_and_is_kept_for_ten_minutes_after_its_end() {
        let (mut tasks, now) = (Tasks::default(), Instant::now());
        let begun = begin(&mut tasks, now, "a", Some("me")).unwrap();
        assert_eq!(
            (begun.standing, begun.ttl),
            (TaskStanding::Working, RUN + KEEP)
        );
        begin(&mut tasks, now, "b", None).unwrap();
        let second = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
        tasks.say(second, "a", "compiling".to_owned());
        let said = tasks.get(now, "a", Some("me")).unwrap();
        assert_eq!(
            (said.said.as_deref(), said.updated),
            (Some("compiling"), second)
        );
        for other in [None, Some("you")] {
            assert!(tasks.get(now, "a", other).is_none());
            assert!(!tasks.cancel(now, "a", other));
            assert!(tasks.get(now, "b", other).is_some());
        }
        let later = now + Duration::from_secs(360);
        end(&mut tasks, later, "a", Value::from(1));
        let ended = tasks.get(later, "a", Some("me")).unwrap();
        assert_eq!(ended.standing, TaskStanding::Ended(Value::from(1)));
        assert_eq!((ended.ttl, ended.said), (Duration::from_secs(960), None));
        assert!(tasks.get(later + KEEP, "a", Some("me")).is_none());
        assert_eq!(tasks.bytes, 0);
    }

    #[test]
    fn who_works_is_never_forgotten_for_who_has_ended_and_there_are_never_too_many() {
        let (mut tasks, now) = (Tasks::default(), Instant::now());
        begin(&mut tasks, now, "long", None).unwrap();
        for number in 0..10_000 {
            let id = number.to_string();
            begin(&mut tasks, now, &id, None).unwrap();
            end(&mut tasks, now, &id, Value::from("x".repeat(100_000)));
            assert!(tasks.ended.len() <= MAX_ENDED && tasks.bytes <= MAX_BYTES);
        }
        assert!(tasks.get(now, "9999", None).is_some() && tasks.get(now, "0", None).is_none());
        assert!(tasks.get(now, "long", None).is_some());
        for number in 1..MAX_WORKING {
            begin(&mut tasks, now, &format!("w{number}"), None).unwrap();
        }
        assert!(begin(&mut tasks, now, "one too many", None).is_none());
        end(&mut tasks, now, "long", Value::Null);
        assert!(begin(&mut tasks, now, "there is room again", None).is_some());
    }

    #[test]
    fn a_cancelled_task_hears_of_it_and_who_has_ended_is_left_as_it_is() {
        let (mut tasks, now) = (Tasks::default(), Instant::now());
        let token = CancellationToken::new();
        tasks.begin(
            now,
            SystemTime::UNIX_EPOCH,
            "a".to_owned(),
            None,
            token.clone(),
        );
        assert!(tasks.cancel(now, "a", None) && token.is_cancelled());
        end(&mut tasks, now, "a", Value::from("the truth"));
        assert!(tasks.cancel(now, "a", None));
        let standing = tasks.get(now, "a", None).map(|task| task.standing);
        assert_eq!(
            standing,
            Some(TaskStanding::Ended(Value::from("the truth")))
        );
    }
}
