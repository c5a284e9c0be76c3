//! What the broker asks each new host, as a client of its own: for each era and version of which
//! it knows clients, what it would answer them while the host is away.

use super::key::{Key, LISTS, List};
use crate::broker::seat::Own;
use crate::broker::types::{ClientId, Handout, Item};
use crate::broker::{Broker, Dialect, Snapshot};
use crate::native::Meet;
use mcp_transport_core::{Id, Kind, Message};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What is asked even if no client has asked so far.
const LEGACY: &str = "2025-11-25";
const MODERN: &str = "2026-07-28";

/// Versions of either era that are asked for, at most.
const MAX_VERSIONS: usize = 4;

/// Pages of one list, at most.
const MAX_PAGES: usize = 16;

/// The inquiries of one lease.
#[derive(Debug, Default)]
pub(in crate::broker) struct Inquiries {
    /// By the name under which it is asked.
    open: BTreeMap<ClientId, Inquiry>,
    /// What this host has been compared with the former one in.
    compared: BTreeSet<Key>,
}

#[derive(Debug)]
struct Inquiry {
    meet: Meet,
    met: bool,
    unanswered: usize,
    pages: usize,
}

impl Broker {
    /// Asks a new host what it offers.
    pub(in crate::broker) fn inquire(&mut self) {
        for (legacy, usual) in [(true, LEGACY), (false, MODERN)] {
            let known = self.catalogue.keys().filter(|key| key.legacy == legacy);
            let mut versions = BTreeSet::from_iter(known.map(|key| key.version.clone()));
            versions.insert(usual.to_owned());
            for version in versions.into_iter().rev().take(MAX_VERSIONS) {
                self.begin_inquiry(legacy, version);
            }
        }
    }

    fn begin_inquiry(&mut self, legacy: bool, version: String) {
        let method = if legacy {
            "initialize"
        } else {
            "server/discover"
        };
        let key = Key {
            legacy,
            version,
            method: method.to_owned(),
            params: String::new(),
        };
        let client = self.clients.next_id();
        let inquiry = Inquiry {
            meet: key.meet(),
            met: false,
            unanswered: 0,
            pages: 0,
        };
        if let Some(seat) = &mut self.seat {
            seat.inquiries.open.insert(client, inquiry);
        }
        self.ask_for(client, key);
    }

    /// The host answered one of the broker's own requests.
    pub(in crate::broker) fn inquiry_answered(
        &mut self,
        client: ClientId,
        key: Key,
        answer: &Message,
    ) {
        let refused = !matches!(
            answer.kind(),
            Kind::Response {
                is_error: false,
                ..
            }
        );
        let opens = key.list().is_none();
        if refused {
            self.catalogue.forget(&key);
            if opens {
                self.forget_kind(&key);
            }
        } else {
            self.learn(key.clone(), answer);
            if opens {
                self.ask_for_lists(client, &key, answer);
            } else {
                self.ask_for_next_page(client, &key, answer);
            }
        }
        let inquiry = self
            .seat
            .as_mut()
            .and_then(|seat| seat.inquiries.open.get_mut(&client));
        if let Some(inquiry) = inquiry {
            inquiry.unanswered -= 1;
            if inquiry.unanswered == 0 {
                self.end_inquiry(client);
                self.control(client, Item::Gone);
            }
        }
    }

    pub(in crate::broker) fn is_inquirer(&self, client: ClientId) -> bool {
        self.seat
            .as_ref()
            .is_some_and(|seat| seat.inquiries.open.contains_key(&client))
    }

    pub(in crate::broker) fn end_inquiry(&mut self, client: ClientId) {
        if let Some(seat) = &mut self.seat {
            seat.inquiries.open.remove(&client);
            seat.own
                .retain(|_, own| !matches!(own, Own::Inquiry(whose, _) if *whose == client));
        }
    }

    /// The catalogue, if it has changed and nothing is being asked.
    pub(in crate::broker) fn changed_catalogue(&mut self) -> Option<Snapshot> {
        let seat = self.seat.as_ref()?;
        if seat.dialect != Dialect::Native || !seat.inquiries.open.is_empty() {
            return None;
        }
        self.catalogue.take_changed(&seat.host.project)
    }

    /// Keeps an answer; where this host is the first time compared with the former one, and
    /// differs, clients hear of it.
    pub(in crate::broker) fn learn(&mut self, key: Key, answer: &Message) {
        let differs = self.catalogue.learn(key.clone(), answer);
        let (legacy, list) = (key.legacy, key.list());
        let is_first = self
            .seat
            .as_mut()
            .is_some_and(|seat| seat.inquiries.compared.insert(key));
        if let Some(list) = list.filter(|_| differs && is_first) {
            self.tell_changed(legacy, list);
        }
    }

    /// No client of this era and version is served.
    fn forget_kind(&mut self, key: &Key) {
        let lists = self
            .catalogue
            .keys()
            .filter(|other| other.legacy == key.legacy && other.version == key.version);
        for list in Vec::from_iter(lists.cloned()) {
            self.catalogue.forget(&list);
        }
    }

    /// Asks for the lists that the host says it has, in the ways that clients have asked.
    fn ask_for_lists(&mut self, client: ClientId, opened: &Key, answer: &Message) {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Result {
            capabilities: Offers,
        }
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Offers {
            tools: Option<IgnoredAny>,
            resources: Option<IgnoredAny>,
            prompts: Option<IgnoredAny>,
        }
        let offers = answer
            .body()
            .and_then(|body| serde_json::from_str::<Result>(body).ok())
            .unwrap_or_default()
            .capabilities;
        if opened.legacy {
            let initialized = Message::notification("notifications/initialized", None::<()>);
            if let Ok(message) = initialized {
                self.control(client, Item::Aside(message));
            }
        }
        let mut keys = BTreeSet::new();
        for (method, list) in LISTS {
            let of_this = |key: &&Key| {
                key.legacy == opened.legacy && key.version == opened.version && key.method == method
            };
            let known = Vec::from_iter(self.catalogue.keys().filter(of_this).cloned());
            let is_offered = match list {
                List::Tools => offers.tools.is_some(),
                List::Resources => offers.resources.is_some(),
                List::Prompts => offers.prompts.is_some(),
            };
            if is_offered {
                keys.insert(Key {
                    method: method.to_owned(),
                    params: String::new(),
                    ..opened.clone()
                });
                // The pages after the first are asked for as the host names them.
                keys.extend(
                    known
                        .into_iter()
                        .filter(|key| !key.params.contains("\"cursor\"")),
                );
            } else {
                known.iter().for_each(|key| self.catalogue.forget(key));
            }
        }
        for key in keys {
            self.ask_for(client, key);
        }
    }

    fn ask_for_next_page(&mut self, client: ClientId, key: &Key, answer: &Message) {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Page {
            next_cursor: Option<Value>,
        }
        let page = answer
            .body()
            .and_then(|body| serde_json::from_str::<Page>(body).ok());
        let Some(cursor) = page.and_then(|page| page.next_cursor) else {
            return;
        };
        let inquiry = self
            .seat
            .as_mut()
            .and_then(|seat| seat.inquiries.open.get_mut(&client));
        let Some(inquiry) = inquiry.filter(|inquiry| inquiry.pages < MAX_PAGES) else {
            return;
        };
        inquiry.pages += 1;
        let mut params: Value = serde_json::from_str(&key.params).unwrap_or_else(|_| json!({}));
        params["cursor"] = cursor;
        let key = Key {
            params: params.to_string(),
            ..key.clone()
        };
        self.ask_for(client, key);
    }

    fn ask_for(&mut self, client: ClientId, key: Key) {
        let ticket = self.own_ticket();
        let Some(seat) = &mut self.seat else {
            return;
        };
        let Some(inquiry) = seat.inquiries.open.get_mut(&client) else {
            return;
        };
        let Some(message) = request(&key, ticket.get()) else {
            return;
        };
        inquiry.unanswered += 1;
        let meet = (!std::mem::replace(&mut inquiry.met, true)).then(|| inquiry.meet.clone());
        seat.own.insert(ticket, Own::Inquiry(client, key));
        seat.outbox.push_back(Handout {
            client,
            meet,
            item: Item::Request {
                ticket,
                message,
                redelivered: false,
            },
            rank: 0,
        });
    }
}

/// The broker's own request for what this key stands for.
fn request(key: &Key, id: u64) -> Option<Message> {
    let me = json!({"name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION")});
    let mut params: Value = match key.params.as_str() {
        "" => json!({}),
        params => serde_json::from_str(params).ok()?,
    };
    if key.method == "initialize" {
        params["protocolVersion"] = json!(key.version);
        params["capabilities"] = json!({});
        params["clientInfo"] = me;
    } else if !key.legacy {
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": key.version,
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": me,
        });
    }
    let id = Id::from(i64::try_from(id).ok()?);
    Message::request(&id, &key.method, Some(params)).ok()
}
