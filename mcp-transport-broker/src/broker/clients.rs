//! Who the clients are, and what each of them has.

use super::calls::Call;
use super::types::{ClientId, Lease, Ticket};
use crate::native::{Era, Meet};
use crate::numbers::Table;
use mcp_transport_core::handshake::{Handshake, Replay};
use mcp_transport_core::{Id, Message};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::time::Instant;

#[derive(Debug)]
pub(super) struct Client {
    pub(super) meet: Meet,
    /// The name of a legacy client's session: 128 random bits.
    pub(super) session: Option<String>,
    pub(super) handshake: Handshake,
    /// Its handshake is being said again to the host that is there.
    pub(super) replay: Option<Replay>,
    /// The protocol version that it and the first host agreed on.
    pub(super) negotiated: Option<String>,
    /// Which changes it was promised to hear of.
    pub(super) declared: Declared,
    /// Its calls by their ids, where one id may be in flight once: in a legacy session.
    pub(super) ids: HashMap<Id, Ticket>,
    pub(super) tokens: HashMap<Id, Ticket>,
    /// All its calls that are not over, those included whose client was told that they run.
    /// The oldest first.
    pub(super) calls: Vec<Ticket>,
    /// The requests of the host's that it has not answered.
    pub(super) theirs: HashSet<Id>,
    /// The lease on which the host has met it.
    pub(super) met: Option<Lease>,
    /// The streams that it has open.
    pub(super) streams: usize,
    pub(super) used: Instant,
    /// It is gone, but for calls whose results it was promised.
    pub(super) gone: bool,
    /// It goes with its last call: its connection is another broker's.
    pub(super) once: bool,
}

/// Which lists a server has promised to tell the changes of.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Declared {
    /// Its tools.
    pub tools: Lists,
    /// Its resources.
    pub resources: Lists,
    /// Its prompts.
    pub prompts: Lists,
}

/// Whether a server tells the changes of one list.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, rename_all = "camelCase")]
#[non_exhaustive]
pub struct Lists {
    /// It does.
    pub list_changed: bool,
}

impl Client {
    pub(super) fn is_legacy(&self) -> bool {
        self.meet.era == Era::Legacy
    }

    /// Nothing of it is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.calls.is_empty() && self.streams == 0
    }

    /// A call of it is over.
    pub(super) fn forget(&mut self, call: &Call) {
        self.unname(call);
        if let Ok(place) = self.calls.binary_search(&call.ticket()) {
            self.calls.remove(place);
        }
    }

    /// A call's id and its token are free again.
    pub(super) fn unname(&mut self, call: &Call) {
        let ticket = call.ticket();
        if let Some(id) = call.request.id() {
            if self.ids.get(id) == Some(&ticket) {
                self.ids.remove(id);
            }
        }
        if let Some(token) = &call.token {
            if self.tokens.get(token) == Some(&ticket) {
                self.tokens.remove(token);
            }
        }
    }

    /// Its `initialize` was answered so. False if that is not what was agreed on before.
    pub(super) fn initialised(&mut self, answer: &Message) -> bool {
        #[derive(Default, Deserialize)]
        #[serde(default, rename_all = "camelCase")]
        struct Result {
            protocol_version: Option<String>,
            capabilities: Declared,
        }
        let result = answer
            .body()
            .and_then(|body| serde_json::from_str::<Result>(body).ok())
            .unwrap_or_default();
        let agrees = self.negotiated.is_none() || self.negotiated == result.protocol_version;
        self.negotiated = result.protocol_version;
        self.declared = result.capabilities;
        agrees
    }
}

#[derive(Debug, Default)]
pub(super) struct Clients {
    all: Table<ClientId, Client>,
    sessions: HashMap<String, ClientId>,
    last: u64,
}

impl Clients {
    /// A name that no other client ever has.
    pub(super) fn next_id(&mut self) -> ClientId {
        self.last += 1;
        ClientId(self.last)
    }

    /// The last number of a name.
    pub(super) const fn last(&self) -> u64 {
        self.last
    }

    /// No name up to this one is given any more.
    pub(super) fn skip_to(&mut self, last: u64) {
        self.last = self.last.max(last);
    }

    pub(super) fn insert(&mut self, now: Instant, meet: Meet, session: Option<String>) -> ClientId {
        let id = self.next_id();
        self.restore(id, now, meet, session);
        id
    }

    /// One that had its name before.
    pub(super) fn restore(
        &mut self,
        id: ClientId,
        now: Instant,
        meet: Meet,
        session: Option<String>,
    ) {
        if let Some(session) = &session {
            self.sessions.insert(session.clone(), id);
        }
        let client = Client {
            meet,
            session,
            handshake: Handshake::new(),
            replay: None,
            negotiated: None,
            declared: Declared::default(),
            ids: HashMap::new(),
            tokens: HashMap::new(),
            calls: Vec::new(),
            theirs: HashSet::new(),
            met: None,
            streams: 0,
            used: now,
            gone: false,
            once: false,
        };
        self.all.insert(id, client);
    }

    /// One that is there.
    pub(super) fn get(&self, id: ClientId) -> Option<&Client> {
        self.all.get(&id).filter(|client| !client.gone)
    }

    /// One that is there.
    pub(super) fn get_mut(&mut self, id: ClientId) -> Option<&mut Client> {
        self.all.get_mut(&id).filter(|client| !client.gone)
    }

    /// One that is there, or is gone but for its results.
    pub(super) fn any_mut(&mut self, id: ClientId) -> Option<&mut Client> {
        self.all.get_mut(&id)
    }

    pub(super) fn session(&self, name: &str) -> Option<ClientId> {
        self.sessions.get(name).copied()
    }

    /// From now on it is not there, though its calls may be.
    pub(super) fn mark_gone(&mut self, id: ClientId) {
        if let Some(client) = self.all.get_mut(&id) {
            client.gone = true;
            if let Some(session) = &client.session {
                self.sessions.remove(session);
            }
        }
    }

    pub(super) fn remove(&mut self, id: ClientId) -> Option<Client> {
        let client = self.all.remove(&id)?;
        if let Some(session) = &client.session {
            self.sessions.remove(session);
        }
        Some(client)
    }

    /// The legacy session that was unused for the longest time, of those without a call or a
    /// stream.
    pub(super) fn longest_idle(&self) -> Option<ClientId> {
        self.all
            .iter()
            .filter(|(_, client)| client.is_legacy() && !client.gone && client.is_idle())
            .map(|(&id, client)| (client.used, id))
            .min()
            .map(|(_, id)| id)
    }

    /// The oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (ClientId, &Client)> {
        let clients = self.all.iter().map(|(&id, client)| (id, client));
        let mut clients = Vec::from_iter(clients);
        clients.sort_unstable_by_key(|(id, _)| *id);
        clients.into_iter()
    }

    /// The oldest first.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (ClientId, &mut Client)> {
        let clients = self.all.iter_mut().map(|(&id, client)| (id, client));
        let mut clients = Vec::from_iter(clients);
        clients.sort_unstable_by_key(|(id, _)| *id);
        clients.into_iter()
    }

    /// In no order.
    pub(super) fn each_mut(&mut self) -> impl Iterator<Item = &mut Client> {
        self.all.values_mut()
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn sessions(&self) -> usize {
        self.sessions.len()
    }
}
