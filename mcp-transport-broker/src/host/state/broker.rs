//! What comes from the broker. Pure.

use super::client::{Client, End};
use super::outbox::{Item, What};
use super::{
    Call, Departure, Key, Known, MAX_CLIENTS, Output, Progress, State, Ticket, failure, is_endless,
};
use crate::native::{Attached, Era, Former, Given, Meet};
use mcp_transport_core::{Error, ErrorKind, Id, Kind, Message, Outcome};
use serde::Serialize;
use std::collections::HashSet;
use std::sync::Arc;

impl State {
    /// Goes on where a former life stopped.
    pub(in crate::host) fn resume(
        &mut self,
        lease: String,
        calls: Vec<Call>,
        answers: Vec<(u64, Message)>,
    ) {
        let key = self.new_key();
        self.lease = Some(lease);
        for Call {
            ticket,
            client,
            message,
        } in calls
        {
            let entry = Ticket {
                key,
                client,
                request: message,
                state: Progress::Read,
            };
            self.tickets.insert(ticket, entry);
        }
        for (ticket, message) in answers {
            let what = What::Answer { ticket };
            self.outbox.push(Item { key, what, message });
        }
    }

    /// What to say of the former lease: everything that was begun is answered, or will be.
    pub(in crate::host) fn former(&self) -> Option<Former> {
        let coming = self.coming();
        Some(Former {
            lease: self.lease.clone()?,
            received: coming.clone(),
            coming,
        })
    }

    /// There is a lease. What the broker does not want of the former one is forgotten, and whoever
    /// works on it is told to stop.
    pub(in crate::host) fn attached(&mut self, attached: &Attached) {
        let former = attached.former.as_ref();
        let coming = former.map(|former| former.coming.as_slice());
        let wanted: HashSet<u64> = coming.unwrap_or_default().iter().copied().collect();
        let unwanted = self
            .tickets
            .keys()
            .filter(|ticket| !wanted.contains(ticket));
        for ticket in unwanted.copied().collect::<Vec<_>>() {
            self.tell_cancelled(ticket, "the broker no longer waits for it");
            self.forget(ticket);
        }
        self.outbox.keep_answers(|ticket| wanted.contains(&ticket));
        self.recount();
        self.lease = Some(attached.lease.clone());
        self.is_attached = true;
        self.outputs.push_back(Output::Work);
    }

    /// Items, in order.
    pub(in crate::host) fn given(&mut self, items: Vec<Given>) {
        for item in items {
            if !self.is_attached {
                return; // it was on its way when the lease ended: never received
            }
            self.take(item);
        }
    }

    /// The broker has this batch; what is stray in it was known to it already.
    pub(in crate::host) fn acknowledged(&mut self, batch: u64, stray: &[u64]) {
        if !stray.is_empty() {
            tracing::debug!(?stray, "the broker had no use for these answers");
        }
        self.outbox.acknowledged(batch);
        self.outputs.push_back(Output::Work);
    }

    /// The lease is over, and not by us.
    pub(in crate::host) fn lost(&mut self, cause: &Error) {
        self.leave(Some(cause));
    }

    /// The host goes: what to say, and from now on nothing more is received. `back` says whether
    /// what it has read will be answered later.
    pub(in crate::host) fn depart(&mut self, back: bool) -> Departure {
        let unread =
            |(&ticket, entry): (&u64, &Ticket)| (entry.state == Progress::Unread).then_some(ticket);
        let mut untouched: Vec<u64> = self.tickets.iter().filter_map(unread).collect();
        untouched.sort_unstable();
        let coming = self.coming();
        let mut received = [&*untouched, &*coming].concat();
        received.sort_unstable();
        self.leave(None);
        Departure {
            received,
            untouched,
            coming: if back { coming } else { Vec::new() },
        }
    }

    /// It is over for good: `accept` says so, and every transport ends.
    pub(in crate::host) fn close(&mut self, error: Error) {
        self.leave(None);
        self.tickets.clear();
        for (&key, client) in &mut self.clients {
            client.end = Some(End::Now(None));
            client.clear();
            client.ids.clear();
            self.outputs.push_back(Output::Readable(key));
            self.outputs.push_back(Output::Writable(key));
        }
        self.outbox.keep_answers(|_| false);
        self.closed = Some(error);
        self.outputs.push_back(Output::Acceptable);
    }
}

impl State {
    fn take(&mut self, item: Given) {
        let name: Arc<str> = Arc::from(item.client);
        if item.gone {
            self.gone(&name);
            return;
        }
        if item.cancel {
            if let Some(ticket) = item.ticket {
                self.cancel(ticket);
            }
            return;
        }
        let Some(message) = item.message else {
            return; // of a later version, perhaps
        };
        let message = Message::from(String::from(Box::<str>::from(message)));
        if let Some(ticket) = item.ticket {
            if self.tickets.contains_key(&ticket) || self.outbox.has_answer(ticket) {
                tracing::debug!(ticket, "was handed out twice");
                return;
            }
        }
        match (self.meet(&name, item.meet), item.ticket) {
            (Ok(key), Some(ticket)) => self.request(key, ticket, message),
            (Ok(key), None) => self.tell(key, message),
            (Err((outcome, text)), Some(ticket)) => {
                let answer = failure(message.id(), outcome, "service_ended", text);
                let key = self.new_key();
                let what = What::Answer { ticket };
                self.push(Item {
                    key,
                    what,
                    message: answer,
                });
            }
            (Err((_, text)), None) => tracing::debug!(client = %name, text, "dropped a message"),
        }
    }

    /// The client behind a name, which may be a new one.
    fn meet(
        &mut self,
        name: &Arc<str>,
        meet: Option<Meet>,
    ) -> Result<Key, (Outcome, &'static str)> {
        let meet = match (self.names.get(name), meet) {
            (Some(Known { key: Some(key), .. }), _) => return Ok(*key),
            (Some(known), _) if known.meet.era == Era::Modern => Arc::clone(&known.meet),
            (Some(_), None) => {
                return Err((
                    Outcome::NotDelivered,
                    "The service of this client has ended. Initialise again, then send it again.",
                ));
            }
            (_, Some(meet)) => Arc::new(meet),
            (None, None) => {
                let text = "The host was never told who this client is. Connect again.";
                return Err((Outcome::NotDelivered, text));
            }
        };
        if self.clients.len() >= MAX_CLIENTS {
            let text = "The host serves as many clients as it may. Try again later.";
            return Err((Outcome::NotDelivered, text));
        }
        let key = self.new_key();
        let client = Client::new(Arc::clone(name), Arc::clone(&meet));
        self.clients.insert(key, client);
        let key_of_it = Some(key);
        self.names.insert(
            Arc::clone(name),
            Known {
                meet,
                key: key_of_it,
            },
        );
        self.accepts.push_back(key);
        self.outputs.push_back(Output::Acceptable);
        Ok(key)
    }

    fn request(&mut self, key: Key, ticket: u64, message: Message) {
        let client = self
            .clients
            .get_mut(&key)
            .expect("a name's key has a client");
        let id = match message.kind() {
            Kind::Request { id, .. } => id.clone(),
            _ => {
                let text = "The host can answer requests alone.";
                let answer = failure(message.id(), Outcome::NotDelivered, "malformed", text);
                let what = What::Answer { ticket };
                self.push(Item {
                    key,
                    what,
                    message: answer,
                });
                return;
            }
        };
        if client.has_used(&id) {
            self.request_again(key, ticket, &id, message);
            return;
        }
        client.ids.insert(id, ticket);
        let entry = Ticket {
            key,
            client: Arc::clone(&client.name),
            request: message.clone(),
            state: Progress::Unread,
        };
        client.request(ticket, message);
        self.tickets.insert(ticket, entry);
        self.outputs.push_back(Output::Readable(key));
    }

    /// A request under an id whose answer is owed, or may yet come: two answers could not be told
    /// apart. A modern request stands for itself, so another service takes it.
    fn request_again(&mut self, key: Key, ticket: u64, id: &Id, message: Message) {
        let client = self
            .clients
            .get_mut(&key)
            .expect("a name's key has a client");
        let name = Arc::clone(&client.name);
        if client.meet.era == Era::Modern {
            client.end = Some(End::Former(None));
            if let Some(known) = self.names.get_mut(&name) {
                known.key = None;
            }
            self.outputs.push_back(Output::Readable(key));
            if let Ok(key) = self.meet(&name, None) {
                return self.request(key, ticket, message);
            }
        }
        let text = "Invalid Request: a request with this id has no answer yet";
        let message = Message::error(Some(id), -32600, text, None::<()>);
        let what = What::Answer { ticket };
        self.push(Item { key, what, message });
    }

    fn tell(&mut self, key: Key, message: Message) {
        let client = self
            .clients
            .get_mut(&key)
            .expect("a name's key has a client");
        if client.tell(message) {
            self.outputs.push_back(Output::Readable(key));
            return;
        }
        tracing::warn!(client = %client.name, "its service does not read: the client is let go");
        let error = Error::new(ErrorKind::Overloaded { retry_after: None })
            .context("the service did not read what its client told it");
        let name = Arc::clone(&client.name);
        if self.expel(key, Some(error)) {
            self.say_closed(key, name);
        }
    }

    fn gone(&mut self, name: &Arc<str>) {
        let Some(key) = self.names.remove(name).and_then(|known| known.key) else {
            return;
        };
        let Some(client) = self.clients.get_mut(&key) else {
            return;
        };
        client.clear();
        client.end = Some(End::Now(None));
        for ticket in std::mem::take(&mut client.ids).into_values() {
            self.tickets.remove(&ticket);
        }
        if self.accepts.contains(&key) {
            self.accepts.retain(|&waiting| waiting != key);
            self.clients.remove(&key);
        }
        self.outputs
            .extend([Output::Readable(key), Output::Writable(key), Output::Work]);
    }

    /// Its client no longer waits: what was not read is not begun, and whoever works on it is told.
    /// The broker counts it no more.
    fn cancel(&mut self, ticket: u64) {
        let Some(entry) = self.tickets.get(&ticket) else {
            return; // answered meanwhile
        };
        if entry.state == Progress::Read {
            self.tell_cancelled(ticket, "its client no longer waits for it");
        } else if let Some(client) = self.clients.get_mut(&entry.key) {
            client.withdraw(ticket);
        }
        self.forget(ticket);
    }

    /// Tells the service that nobody waits for what it has read. It may answer nevertheless.
    fn tell_cancelled(&mut self, ticket: u64, reason: &str) {
        let Some(entry) = self.tickets.get(&ticket) else {
            return;
        };
        let Some(client) = self.clients.get_mut(&entry.key) else {
            return;
        };
        let Some(request_id) = entry.request.id() else {
            return;
        };
        client.spend(request_id);
        let params = Cancelled { request_id, reason };
        let told = Message::notification("notifications/cancelled", Some(params))
            .is_ok_and(|message| client.tell(message));
        if !told {
            tracing::debug!(client = %client.name, "its service does not read that it is cancelled");
        }
        self.outputs.push_back(Output::Readable(entry.key));
    }

    /// The lease is over. What was not read is the broker's again; answers are kept; who was not
    /// accepted is introduced anew.
    fn leave(&mut self, cause: Option<&Error>) {
        self.is_attached = false;
        for key in std::mem::take(&mut self.accepts) {
            self.clients.remove(&key);
        }
        self.names.clear();
        for (&key, client) in &mut self.clients {
            client.withdraw_all();
            if client.end.is_none() {
                client.end = Some(End::Former(cause.cloned()));
            }
            self.outputs.push_back(Output::Readable(key));
        }
        self.tickets
            .retain(|_, entry| entry.state == Progress::Read && !is_endless(&entry.request));
        let tickets = &self.tickets;
        for client in self.clients.values_mut() {
            client.ids.retain(|_, ticket| tickets.contains_key(ticket));
        }
        self.outbox.keep_answers(|_| true);
        self.recount();
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Cancelled<'a> {
    request_id: &'a Id,
    reason: &'a str,
}
