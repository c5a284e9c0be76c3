//! Who hears that a new host offers something else.

use super::key::List;
use crate::broker::Broker;
use crate::broker::types::Output;
use mcp_transport_core::resilient::replayable::ENDLESS;
use mcp_transport_core::{Id, Message};
use serde::Deserialize;

impl Broker {
    /// Tells the clients of this era that were promised to hear of it.
    pub(super) fn tell_changed(&mut self, legacy: bool, list: List) {
        if legacy {
            let Ok(message) = Message::notification(list.notification(), None::<()>) else {
                return;
            };
            for (client, who) in self.clients.iter() {
                let lists = match list {
                    List::Tools => who.declared.tools,
                    List::Resources => who.declared.resources,
                    List::Prompts => who.declared.prompts,
                };
                if who.is_legacy() && !who.gone && lists.list_changed {
                    self.outputs.push_back(Output::Tell {
                        client,
                        about: None,
                        message: message.clone(),
                    });
                }
            }
            return;
        }
        for call in self.calls.iter() {
            if call.request.method() != Some(ENDLESS) || !call.acknowledged {
                continue;
            }
            if let Some(message) = changed_for(&call.request, list) {
                self.outputs.push_back(Output::Tell {
                    client: call.client,
                    about: Some(call.ticket()),
                    message,
                });
            }
        }
    }
}

/// The notification for a subscription, if it is about this list.
fn changed_for(listen: &Message, list: List) -> Option<Message> {
    #[derive(Deserialize)]
    struct Params {
        notifications: Filter,
    }
    #[derive(Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Filter {
        tools_list_changed: bool,
        resources_list_changed: bool,
        prompts_list_changed: bool,
    }
    #[derive(serde::Serialize)]
    struct Changed<'a> {
        #[serde(rename = "_meta")]
        meta: Meta<'a>,
    }
    #[derive(serde::Serialize)]
    struct Meta<'a> {
        #[serde(rename = "io.modelcontextprotocol/subscriptionId")]
        subscription: &'a Id,
    }
    let filter = serde_json::from_str::<Params>(listen.params()?)
        .ok()?
        .notifications;
    let wanted = match list {
        List::Tools => filter.tools_list_changed,
        List::Resources => filter.resources_list_changed,
        List::Prompts => filter.prompts_list_changed,
    };
    let meta = Meta {
        subscription: listen.id()?,
    };
    wanted
        .then(|| Message::notification(list.notification(), Some(Changed { meta })).ok())
        .flatten()
}
