//! What a message of the host means.

use super::{Driver, cancelled_id};
use crate::delivery::{Answer, Full, Link};
use crate::error::Error;
use crate::message::{Defect, Id, Kind, Message};
use crate::resilient::answers;
use std::time::Instant;

impl Driver {
    /// The host said this.
    ///
    /// # Errors
    /// The connection counts as failed.
    pub(in crate::resilient) fn host_said(
        &mut self,
        now: Instant,
        message: Message,
    ) -> Result<(), Error> {
        let Some(up) = &mut self.up else {
            return Ok(());
        };
        let link = up.link;
        if let Some((replay, _)) = &mut up.replay {
            if replay.answered(&message)? {
                self.end_replay();
                return Ok(());
            }
        }
        match message.kind() {
            Kind::Response { id: Some(id), .. } => {
                let op = self.ids.get(id).copied();
                match op.map(|op| (op, self.delivery.complete(link, op))) {
                    Some((op, Answer::ForClient)) => {
                        self.forget(op);
                        self.handshake.answered(&message);
                        self.tell(message);
                    }
                    _ => tracing::debug!(?id, "an answer that nobody waits for was dropped"),
                }
            }
            Kind::Response { id: None, .. } => {
                tracing::warn!("the host could not read a message, and does not say which");
            }
            Kind::Request { id, .. } => {
                let id = id.clone();
                self.asked(now, id, message);
            }
            Kind::Notification { method } => {
                if method == "notifications/cancelled" {
                    cancelled_id(&message).map(|id| self.theirs.remove(&id));
                }
                self.tell(message);
            }
            Kind::Opaque(defect) => {
                let defect = defect.clone();
                self.defect(now, link, &defect);
            }
        }
        self.drain(now);
        Ok(())
    }

    /// The host asks the client.
    fn asked(&mut self, now: Instant, id: Id, request: Message) {
        if self.theirs.contains_key(&id) {
            self.aside(now, answers::duplicate(&id));
        } else if self.theirs.len() >= self.config.buffer {
            let limit = self.config.buffer;
            self.aside(now, answers::overloaded(&id, Full::Ops { limit }));
        } else {
            self.tell(request);
            self.theirs.insert(id, self.told);
        }
    }

    /// The host sent something that is no message.
    fn defect(&mut self, now: Instant, link: Link, defect: &Defect) {
        tracing::warn!(%defect, "the host sent what is no message");
        match defect {
            // Noise, like a log line on standard output. To answer it would be noise, too.
            Defect::NotJson => {}
            Defect::AnswerTooLarge { id, size, limit } => {
                let Some(&op) = self.ids.get(id) else { return };
                if self.delivery.complete(link, op) == Answer::ForClient {
                    if let Some(call) = self.forget(op) {
                        self.tell(answers::answer_too_large(&call.request, op, *size, *limit));
                    }
                }
            }
            _ => self.aside(now, defect.to_answer()),
        }
    }
}
