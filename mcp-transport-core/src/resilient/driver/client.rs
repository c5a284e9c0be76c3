//! What a message of the client means.

use super::{Call, Driver, cancelled_id};
use crate::delivery::{Abandoned, Full, Op, Replay as Safety, Submit};
use crate::message::{Id, Kind, Message};
use crate::resilient::answers;
use crate::resilient::replayable::ENDLESS;
use std::time::{Duration, Instant};

impl Driver {
    /// The client said this, when it had read `read` messages.
    pub(in crate::resilient) fn client_said(&mut self, now: Instant, message: Message, read: u64) {
        let message = message.to_lost_answer().unwrap_or(message);
        match message.kind() {
            Kind::Request { id, method } => {
                let (id, safety) = (id.clone(), (self.replay)(&message));
                let run = match method {
                    ENDLESS => Duration::MAX,
                    _ => self.config.run,
                };
                self.call(now, id, message, safety, run);
            }
            Kind::Notification {
                method: "notifications/cancelled",
            } => self.cancelled(now, message),
            Kind::Notification { .. } => {
                self.handshake.said(&message);
                self.aside(now, message);
            }
            Kind::Response { id, .. } => {
                // An id of the host's is unique only within its connection: an answer belongs to
                // the newest request of that id, and only if the client had read that one when it
                // answered.
                let theirs = id.map(|id| self.theirs.get(id).is_some_and(|&told| told <= read));
                match (id, theirs) {
                    (Some(_), Some(false)) => {
                        tracing::debug!("an answer to a host that is gone was dropped");
                    }
                    (id, _) => {
                        id.map(|id| self.theirs.remove(id));
                        self.aside(now, message);
                    }
                }
            }
            Kind::Opaque(defect) => {
                let answer = defect.to_answer();
                self.tell(answer);
            }
        }
        self.drain(now);
    }

    fn call(&mut self, now: Instant, id: Id, request: Message, replay: Safety, run: Duration) {
        if self.ids.contains_key(&id) {
            self.tell(answers::duplicate(&id));
            return;
        }
        if let Some(error) = &self.refusing {
            let answer = answers::refused(&request, false, replay == Safety::Safe, error);
            self.tell(answer);
            return;
        }
        let limit = self.config.buffer;
        let submitted = if self.calls.len() < limit {
            self.delivery.submit(
                now,
                Submit {
                    payload: request.clone(),
                    bytes: request.len(),
                    replay,
                    answered: true,
                    hold: self.config.hold,
                    run,
                },
            )
        } else {
            Err(Full::Ops { limit })
        };
        match submitted {
            Ok(op) => {
                self.ids.insert(id, op);
                let call = Call {
                    request,
                    replay,
                    sent: false,
                };
                self.calls.insert(op, call);
            }
            Err(full) => self.tell(answers::overloaded(&id, full)),
        }
    }

    /// The client no longer waits for one of its calls: it gets no answer, and the host is told if
    /// it has the call.
    fn cancelled(&mut self, now: Instant, message: Message) {
        let Some(op) = cancelled_id(&message).and_then(|id| self.ids.get(&id).copied()) else {
            return;
        };
        if let Abandoned::Running(link) = self.delivery.abandon(op) {
            // MCP wants no answer to what was cancelled: nothing would ever take it out of the
            // window.
            self.delivery.complete(link, op);
            self.aside(now, message);
        }
        self.forget(op);
    }

    /// A message that nobody answers, for this connection only.
    pub(super) fn aside(&mut self, now: Instant, message: Message) {
        let Some(up) = &mut self.up else {
            return;
        };
        let around = up.replay.is_some() && matches!(message.kind(), Kind::Response { .. });
        let waiting = match around {
            true => up.replies.len(),
            false => self.asides.len(),
        };
        let bytes = message.len();
        let all = self.aside_bytes.saturating_add(bytes);
        if waiting >= self.config.buffer || all > self.config.bytes {
            tracing::warn!(?message, "dropped: the host does not read");
            return;
        }
        if around {
            up.replies.push_back(message);
            self.aside_bytes = all;
            return;
        }
        let submit = Submit {
            payload: message,
            bytes: 0,
            replay: Safety::Never,
            answered: false,
            hold: Duration::MAX,
            run: Duration::MAX,
        };
        let op = self
            .delivery
            .submit(now, submit)
            .expect("calls and asides together stay below the limit");
        self.asides.insert(op, bytes);
        self.aside_bytes = all;
    }

    pub(super) fn aside_over(&mut self, op: Op) {
        if let (Some(bytes), Some(up)) = (self.asides.remove(&op), &self.up) {
            self.aside_bytes -= bytes;
            self.delivery.complete(up.link, op);
        }
    }
}
