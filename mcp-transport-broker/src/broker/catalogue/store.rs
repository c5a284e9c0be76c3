//! The entries, within their limits.

use super::key::Key;
use crate::native::{Era, Meet};
use mcp_transport_core::{Id, Kind, Message};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// What is kept, at most.
const MAX_ENTRIES: usize = 64;
const MAX_BYTES: usize = 16 * 1024 * 1024;

#[derive(Debug, Default)]
pub(in crate::broker) struct Catalogue {
    entries: BTreeMap<Key, Message>,
    bytes: usize,
    changed: bool,
}

/// A catalogue to be kept on disk.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[non_exhaustive]
pub struct Snapshot {
    /// Whose: [`Host::project`](crate::native::Host::project).
    #[serde(default)]
    pub project: String,
    /// What it offers.
    #[serde(default)]
    pub entries: Vec<Entry>,
}

/// One request and its result.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[non_exhaustive]
pub struct Entry {
    /// Who asks so.
    pub era: Era,
    /// In which protocol version.
    pub version: String,
    /// What is asked.
    pub method: String,
    /// With which parameters, but for `_meta`; empty where there are none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub params: String,
    /// The result, as the host said it.
    pub result: Box<RawValue>,
}

impl Catalogue {
    /// The answer to this request, if it is known.
    pub(in crate::broker) fn answer(&self, meet: &Meet, request: &Message) -> Option<Message> {
        let Kind::Request { id, method } = request.kind() else {
            return None;
        };
        if method == "ping" && !self.entries.is_empty() {
            return Message::response(id, serde_json::json!({})).ok();
        }
        let known = self.entries.get(&Key::of(meet, request)?)?;
        let result: &RawValue = serde_json::from_str(known.body()?).ok()?;
        Message::response(id, result).ok()
    }

    /// A host answered so. True if it answered otherwise before.
    pub(in crate::broker) fn learn(&mut self, key: Key, answer: &Message) -> bool {
        let former = self.entries.get(&key);
        if former.is_some_and(|former| former.body() == answer.body()) {
            return false;
        }
        let differs = former.is_some_and(|former| value(former) != value(answer));
        let room = former.map_or(0, Message::len);
        let bytes = self.bytes - room + answer.len();
        let is_new = former.is_none();
        if bytes > MAX_BYTES || is_new && self.entries.len() >= MAX_ENTRIES {
            tracing::warn!(method = key.method, "the catalogue is full; not kept");
            self.forget(&key);
            return differs;
        }
        self.bytes = bytes;
        self.changed |= is_new || differs;
        self.entries.insert(key, answer.clone());
        differs
    }

    /// The host no longer offers it.
    pub(in crate::broker) fn forget(&mut self, key: &Key) {
        if let Some(former) = self.entries.remove(key) {
            self.bytes -= former.len();
            self.changed = true;
        }
    }

    pub(in crate::broker) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.entries.keys()
    }

    /// The whole, if it has changed since this was asked last.
    pub(in crate::broker) fn take_changed(&mut self, project: &str) -> Option<Snapshot> {
        std::mem::take(&mut self.changed).then(|| self.snapshot(project))
    }

    /// The whole.
    pub(in crate::broker) fn snapshot(&self, project: &str) -> Snapshot {
        let entries = self.entries.iter().filter_map(|(key, answer)| {
            Some(Entry {
                era: key.meet().era,
                version: key.version.clone(),
                method: key.method.clone(),
                params: key.params.clone(),
                result: RawValue::from_string(answer.body()?.to_owned()).ok()?,
            })
        });
        Snapshot {
            project: project.to_owned(),
            entries: entries.collect(),
        }
    }

    pub(in crate::broker) fn restore(&mut self, snapshot: Snapshot) {
        for entry in snapshot.entries {
            let key = Key {
                legacy: entry.era == Era::Legacy,
                version: entry.version,
                method: entry.method,
                params: entry.params,
            };
            if let Ok(answer) = Message::response(&Id::from(0), &entry.result) {
                self.learn(key, &answer);
            }
        }
        self.changed = false;
    }
}

fn value(answer: &Message) -> Option<Value> {
    serde_json::from_str(answer.body()?).ok()
}
