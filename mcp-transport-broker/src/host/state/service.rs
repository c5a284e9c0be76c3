//! What comes from whoever serves the clients. Pure.

use super::client::{End, Read};
use super::outbox::{Item, What};
use super::{
    Accepted, Key, MAX_MESSAGE, MAX_WAITING, MAX_WAITING_BYTES, Output, Progress, State, is_endless,
};
use crate::native::Era;
use mcp_transport_core::{Error, ErrorKind, Id, Kind, Message, Outcome};
use std::sync::Arc;

impl State {
    /// The next client; `Err` if there will be none.
    pub(in crate::host) fn accept(&mut self) -> Result<Option<Accepted>, Error> {
        while let Some(key) = self.accepts.pop_front() {
            if let Some(client) = self.clients.get(&key) {
                return Ok(Some(Accepted {
                    key,
                    name: Arc::clone(&client.name),
                    meet: Arc::clone(&client.meet),
                }));
            }
        }
        self.closed.clone().map_or(Ok(None), Err)
    }

    /// The service reads. A request that is read has begun.
    pub(in crate::host) fn read(&mut self, key: Key) -> Read {
        let requests = !self.is_draining;
        let Some(client) = self.clients.get_mut(&key) else {
            return Read::End(None);
        };
        let Some((ticket, message)) = client.next(requests) else {
            return client.ending();
        };
        if let Some(entry) = ticket.and_then(|ticket| self.tickets.get_mut(&ticket)) {
            entry.state = Progress::Read;
            if !is_endless(&entry.request) {
                client.owed += 1;
            }
        }
        Read::Message(message)
    }

    /// Whether the service may write; if not, [`Output::Writable`] tells when to ask again.
    pub(in crate::host) fn has_room(&mut self, key: Key) -> bool {
        let full = self.outbox.bytes() >= MAX_WAITING_BYTES;
        let client = self.clients.get(&key);
        let waits = client.is_some_and(|client| {
            client.waiting >= MAX_WAITING || (full && !matches!(client.end, Some(End::Now(_))))
        });
        if waits {
            self.blocked.insert(key);
        }
        !waits
    }

    /// The service writes.
    pub(in crate::host) fn write(&mut self, key: Key, message: Message) -> Result<(), Error> {
        let too_large = (message.len() > MAX_MESSAGE).then(|| {
            Error::new(ErrorKind::TooLarge {
                limit: MAX_MESSAGE as u64,
                size: message.len() as u64,
            })
        });
        match (message.kind(), too_large) {
            (Kind::Opaque(defect), _) => {
                Err(Error::new(ErrorKind::Malformed).context(defect.to_string()))
            }
            (Kind::Response { id: Some(id), .. }, None) => {
                let id = id.clone();
                self.answer_to(key, &id, message);
                Ok(())
            }
            (Kind::Response { id: Some(id), .. }, Some(error)) => {
                // The service may think no more of it, but its client waits.
                self.answer_to(key, id, Message::failure(Some(id), &error));
                Err(error)
            }
            (_, Some(error)) => Err(error),
            // The answer to a request that nobody could read belongs to no ticket.
            (Kind::Response { id: None, .. }, None) => Ok(()),
            (Kind::Request { .. } | Kind::Notification { .. }, None) => self.say(key, message),
        }
    }

    /// Whoever served this client has let go of it: what it owes is answered for it.
    pub(in crate::host) fn dropped(&mut self, key: Key) {
        let was_served = self.expel(key, None);
        let Some(client) = self.clients.remove(&key) else {
            return;
        };
        let mut owed: Vec<u64> = client.ids.into_values().collect();
        owed.sort_unstable();
        for ticket in owed {
            let text = "The service of this client ended while the call ran. It may have taken \
                        effect: look before you send it again.";
            self.settle(ticket, Outcome::Unknown, "service_ended", text);
        }
        if was_served {
            self.say_closed(key, client.name);
        }
        self.blocked.remove(&key);
        self.outputs.push_back(Output::Work);
    }

    /// A call of a former life gets its answer, or never will (`None`).
    pub(in crate::host) fn answer(&mut self, ticket: u64, message: Option<Message>) {
        let text = "The host reloaded its code while the call ran. It may have taken effect: look \
                    before you send it again.";
        match message {
            Some(message) if self.tickets.contains_key(&ticket) => {
                self.push_answer(ticket, message)
            }
            Some(_) => tracing::debug!(ticket, "an answer for which nobody waits any more"),
            None => self.settle(ticket, Outcome::Unknown, "reloading", text),
        }
    }
}

impl State {
    fn answer_to(&mut self, key: Key, id: &Id, message: Message) {
        let ticket = self.clients.get(&key).and_then(|client| client.ids.get(id));
        match ticket {
            Some(&ticket) => self.push_answer(ticket, message),
            None => tracing::debug!(%id, "an answer for which nobody waits"),
        }
    }

    fn say(&mut self, key: Key, message: Message) -> Result<(), Error> {
        let Some(client) = self.clients.get(&key) else {
            return Err(Error::new(ErrorKind::Closed));
        };
        match client.end {
            None => {}
            // It belonged to a connection that is over.
            Some(End::Former(_)) => return Ok(()),
            Some(End::Now(_)) => {
                let text = format!("client {} is gone", client.name);
                return Err(Error::new(ErrorKind::Disconnected).context(text));
            }
        }
        // A lane has one request at a time; elsewhere, what the host asks while one call runs it
        // asks for that call.
        let asks = matches!(message.kind(), Kind::Request { .. });
        let about = match (client.ids.len(), client.meet.era) {
            (1, Era::Modern) => client.ids.values().next().copied(),
            (1, _) if asks => client.ids.values().next().copied(),
            _ => None,
        };
        let client = Arc::clone(&client.name);
        let what = What::Say { client, about };
        self.push(Item { key, what, message });
        Ok(())
    }

    pub(super) fn say_closed(&mut self, key: Key, client: Arc<str>) {
        let message = Message::from("");
        let what = What::Closed { client };
        self.push(Item { key, what, message });
    }

    /// Nothing that this client asks begins any more. True if the broker has yet to hear of it.
    pub(super) fn expel(&mut self, key: Key, error: Option<Error>) -> bool {
        let Some(client) = self.clients.get_mut(&key) else {
            return false;
        };
        let unread = client.withdraw_all();
        if client.end.is_none() {
            client.end = Some(End::Former(error));
        }
        let known = self.names.get_mut(&client.name);
        let known = known.filter(|known| known.key == Some(key));
        let is_served = known.map(|known| known.key = None).is_some();
        for ticket in unread {
            let text = "The service of this client ended before the call began. Sending it again \
                        is safe.";
            self.settle(ticket, Outcome::NotDelivered, "service_ended", text);
        }
        self.outputs.push_back(Output::Readable(key));
        is_served
    }
}
