//! Which requests a catalogue answers, and when two of them are the same.

use crate::native::{Era, Meet};
use mcp_transport_core::{Kind, Message};
use serde::Deserialize;
use serde_json::{Map, Value};

/// One request, as one kind of client would say it.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(in crate::broker) struct Key {
    pub(in crate::broker) legacy: bool,
    pub(in crate::broker) version: String,
    pub(in crate::broker) method: String,
    /// Without `_meta`, its members in order; empty where nothing is left.
    pub(in crate::broker) params: String,
}

/// The lists whose changes can be told.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(in crate::broker) enum List {
    Tools,
    Resources,
    Prompts,
}

/// The lists that a catalogue has, with what a host offers if it has them.
pub(in crate::broker) const LISTS: [(&str, List); 4] = [
    ("tools/list", List::Tools),
    ("resources/list", List::Resources),
    ("resources/templates/list", List::Resources),
    ("prompts/list", List::Prompts),
];

impl Key {
    /// The key of a request; `None` where no catalogue answers it.
    pub(in crate::broker) fn of(meet: &Meet, request: &Message) -> Option<Self> {
        let Kind::Request { method, .. } = request.kind() else {
            return None;
        };
        let legacy = meet.era == Era::Legacy;
        let key = |version: &str, params| Self {
            legacy,
            version: version.to_owned(),
            method: method.to_owned(),
            params,
        };
        match method {
            "initialize" if legacy => Some(key(&asked_version(request)?, String::new())),
            "server/discover" if !legacy => Some(key(&meet.version, String::new())),
            _ if LISTS.iter().any(|(list, _)| *list == method) => {
                Some(key(&meet.version, without_meta(request.params())?))
            }
            _ => None,
        }
    }

    pub(in crate::broker) fn meet(&self) -> Meet {
        Meet {
            era: if self.legacy {
                Era::Legacy
            } else {
                Era::Modern
            },
            version: self.version.clone(),
        }
    }

    /// The list that it is, or a part of it.
    pub(in crate::broker) fn list(&self) -> Option<List> {
        LISTS
            .iter()
            .find(|(method, _)| *method == self.method)
            .map(|&(_, list)| list)
    }
}

impl List {
    pub(in crate::broker) const fn notification(self) -> &'static str {
        match self {
            Self::Tools => "notifications/tools/list_changed",
            Self::Resources => "notifications/resources/list_changed",
            Self::Prompts => "notifications/prompts/list_changed",
        }
    }
}

fn asked_version(initialize: &Message) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Params {
        protocol_version: String,
    }
    let params: Params = serde_json::from_str(initialize.params()?).ok()?;
    Some(params.protocol_version)
}

/// The parameters as they are compared; `None` where they are no object.
fn without_meta(params: Option<&str>) -> Option<String> {
    let Some(params) = params else {
        return Some(String::new());
    };
    let mut params: Map<String, Value> = serde_json::from_str(params).ok()?;
    params.remove("_meta");
    Some(if params.is_empty() {
        String::new()
    } else {
        Value::from(params).to_string()
    })
}
