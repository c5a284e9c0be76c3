//! A tool whose work goes on behind its answer: when to ask for it again, and when no more. Pure.
//!
//! The question only reads, so it may be asked as often as need be, and a reload in between costs nothing but time. The call
//! that began the work was sent once.

use crate::catalogue::Reply;
use crate::hub::Instance;
use mcp_transport_core::{Ending, Outcome};
use std::time::{Duration, Instant};

/// One tool's work.
#[derive(Debug)]
pub(super) struct Asking {
    until: Instant,
    within: Duration,
    pause: Duration,
}

/// What to do next.
#[derive(Debug)]
pub(super) enum Next {
    /// It is done, and this is what came of it.
    Done(Reply),
    /// Ask again after this time.
    Ask(Duration),
    /// Nobody will learn what comes of it.
    Over(Ending),
}

/// However often the tool wants to be asked, it is asked within these bounds, as the Python server (10.3.0) asks.
const LEAST: Duration = Duration::from_millis(100);
const MOST: Duration = Duration::from_secs(5);

/// After a question that came to nothing.
const PATIENCE: Duration = Duration::from_secs(1);

impl Asking {
    pub(super) fn new(now: Instant, within: Duration) -> Self {
        Self {
            until: now + within,
            within,
            pause: PATIENCE,
        }
    }

    /// How long the next question may wait for the editor.
    pub(super) fn left(&self, now: Instant) -> Duration {
        self.until.saturating_duration_since(now)
    }

    /// The editor answered.
    pub(super) fn answered(&mut self, now: Instant, command: &str, reply: Reply) -> Next {
        let Some(pause) = reply.pending else {
            return Next::Done(reply);
        };
        self.pause = pause.clamp(LEAST, MOST);
        self.again(now, command, reply.message.as_deref())
    }

    /// The question came to nothing: this is what became of it.
    pub(super) fn failed(&mut self, now: Instant, command: &str, ending: &Ending) -> Next {
        if ending.cause == "editor_quit" {
            let text = format!(
                "{command} had begun its work, and the editor quit before it was done. Open the project again and look what is there before you call it again."
            );
            let over = Ending::new(Outcome::Unknown, "editor_quit", text);
            return Next::Over(over.retryable(false));
        }
        self.pause = (self.pause * 2).clamp(PATIENCE, MOST);
        self.again(now, command, Some(&ending.message))
    }

    fn again(&self, now: Instant, command: &str, said: Option<&str>) -> Next {
        if now < self.until {
            return Next::Ask(self.pause.min(self.until - now));
        }
        let said = said.map_or_else(String::new, |said| format!(" It said last: {said}"));
        let text = format!(
            "{command} was not done after the {} s for which it wants to be asked; it may still be at work in the editor.{said}",
            self.within.as_secs()
        );
        Next::Over(Ending::new(Outcome::Running, "poll_timeout", text).retryable(false))
    }
}

/// The client's patience ends, the work goes on.
pub(super) fn still_at_work(command: &str, spent: Duration) -> Ending {
    let text = format!(
        "{command} is still at work after {} s, and is asked for its result until it is done. Do not call it again; call get_operation with this operation_id later.",
        spent.as_secs()
    );
    Ending::new(Outcome::Running, "client_budget", text).retryable(false)
}

/// It began after its client had given it up, so nobody asks for what comes of it.
pub(super) fn begun_unseen(reply: &Reply) -> Ending {
    let said = reply.message.as_deref().unwrap_or_default();
    let text = format!(
        "It has begun its work, and was not done when it answered, which nobody waited for any more. It said: {said} To learn what comes of it, call the tool with the action by which it is asked."
    );
    Ending::new(Outcome::Running, "pending", text).retryable(false)
}

/// More such work than anybody can keep an eye on.
pub(super) fn too_many(limit: usize) -> Ending {
    let text = format!(
        "{limit} tools that take their time are at work already. It was not begun; call it again when one of them is done."
    );
    Ending::new(Outcome::NotDelivered, "overloaded", text)
}

/// What the client hears meanwhile.
pub(super) fn progress(
    command: &str,
    editor: Option<&Instance>,
    said: Option<&str>,
    waited: Duration,
) -> String {
    let editor = editor.map_or_else(|| "the editor".to_owned(), Instance::id);
    let said = said.map_or_else(String::new, |said| format!(": {said}"));
    format!(
        "{command} is at work in {editor}{said}, {} s so far",
        waited.as_secs()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::envelope::normalise;
    use serde_json::json;

    #[allow(clippy::disallowed_methods, reason = "a test may read the clock")]
    fn asking(within: u64) -> (Asking, Instant) {
        let now = Instant::now();
        (Asking::new(now, Duration::from_secs(within)), now)
    }

    fn pending(interval: f64) -> Reply {
        normalise(
            &json!({"success": true, "_mcp_status": "pending", "message": "half done",
            "_mcp_poll_interval": interval}),
        )
    }

    #[test]
    fn it_is_asked_as_often_as_it_wants_within_reason_until_it_is_done() {
        let (mut asking, now) = asking(60);
        for (wanted, pause) in [(0.0, 0.1), (0.7, 0.7), (60.0, 5.0)] {
            let Next::Ask(after) = asking.answered(now, "bake", pending(wanted)) else {
                panic!("it is not done");
            };
            assert_eq!(after, Duration::from_secs_f64(pause));
        }
        let done = normalise(&json!({"success": true, "_mcp_status": "complete"}));
        assert!(matches!(asking.answered(now, "bake", done), Next::Done(_)));
    }

    #[test]
    fn a_question_that_came_to_nothing_is_asked_again_until_the_time_is_over() {
        let (mut asking, now) = asking(10);
        let lost = Ending::new(Outcome::Unknown, "reloading", "It reloads.");
        let pauses: Vec<u64> = (0..4)
            .map(|_| match asking.failed(now, "bake", &lost) {
                Next::Ask(after) => after.as_secs(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(pauses, [2, 4, 5, 5]);
        let late = now + Duration::from_secs(10);
        let Next::Over(ending) = asking.failed(late, "bake", &lost) else {
            panic!("the time is over");
        };
        assert_eq!(
            (ending.outcome, &*ending.cause),
            (Outcome::Running, "poll_timeout")
        );
        assert!(
            !ending.retryable && ending.message.contains("It reloads."),
            "{ending:?}"
        );
    }

    #[test]
    fn an_editor_that_has_quit_is_asked_no_more() {
        let (mut asking, now) = asking(10);
        let quit = Ending::new(Outcome::NotDelivered, "editor_quit", "It quit.");
        let Next::Over(ending) = asking.failed(now, "bake", &quit) else {
            panic!("nobody is there to ask");
        };
        // The question was not delivered; what it asked about had begun.
        assert_eq!(
            (ending.outcome, ending.retryable),
            (Outcome::Unknown, false)
        );
    }
}
