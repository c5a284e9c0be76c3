//! The server's end of a connection of one client: our own, or one by WebSocket.

use super::book::{CHOSE, EDITORS, Editors, GOING};
use crate::calls::Calls;
use crate::server::mcp::UnityMcp;
use crate::server::offer::Choices;
use http::HeaderMap;
use mcp_transport_core::{Error, Transport, TransportExt};
use mcp_transport_ws::WsTransport;
use rmcp::model::CustomNotification;
use rmcp::{Peer, RoleServer, ServiceExt};
use serde_json::Value;
use std::time::Duration;
use tokio::sync::watch;

/// By these a relay tells the owner whose session it carries, and what that has chosen with the owner before.
const CLIENT: &str = "unity-relay-client";
const CHOICES: &str = "unity-relay-choices";

/// And by this where it can be given the owner's sockets.
const HEIR: &str = "unity-relay-heir";

/// A header may have this much, and no more than what may stand in one.
const MAX_CHOICES: usize = 8 * 1024;

/// What our own close of a WebSocket says: "service restart", so dial again.
const RESTART: u16 = 1012;

/// The headers of a relay.
pub(super) fn headers(
    client: &str,
    choices: Option<&str>,
    heir: Option<&str>,
) -> Vec<(&'static str, String)> {
    let fits = |text: &&str| {
        text.len() <= MAX_CHOICES && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
    };
    let choices = choices.filter(fits);
    [(CLIENT, Some(client)), (CHOICES, choices), (HEIR, heir)]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?.to_owned())))
        .collect()
}

/// Where a relay waits for the owner's sockets.
pub(in crate::server) fn heir(headers: &HeaderMap) -> Option<&str> {
    headers.get(HEIR)?.to_str().ok()
}

/// A client's session, as far as it is older than its connection.
#[derive(Debug)]
pub(in crate::server) struct Session {
    owner: Option<String>,
    choices: Choices,
    /// It is one of us who listens, and wants to hear what clients need not know.
    is_ours: bool,
}

impl Session {
    /// Of our own client.
    pub(super) fn own(choices: Option<&str>) -> Self {
        Self {
            owner: Some("stdio".to_owned()),
            choices: read(choices),
            is_ours: true,
        }
    }

    /// By the headers of an upgrade; nobody has to send them.
    pub(in crate::server) fn of(headers: &HeaderMap) -> Self {
        let text = |name| headers.get(name)?.to_str().ok();
        let client = text(CLIENT);
        Self {
            owner: client.map(|client| format!("relay {client}")),
            choices: read(text(CHOICES)),
            is_ours: client.is_some(),
        }
    }
}

fn read(choices: Option<&str>) -> Choices {
    let choices = choices.and_then(|text| serde_json::from_str(text).ok());
    choices.unwrap_or_default()
}

/// Serves a client by WebSocket, from its upgrade to its end.
pub(in crate::server) async fn serve_upgraded(
    calls: Calls,
    session: Session,
    connection: impl Future<Output = Result<WsTransport, Error>>,
) {
    match connection.await {
        Ok(mut client) => {
            let why = "this server goes; another may have the port";
            client.set_goodbye(RESTART, why).expect("it may be sent");
            serve(calls, session, client).await;
        }
        Err(error) => tracing::debug!(%error, "an upgrade came to nothing"),
    }
}

/// Serves a client until it is gone.
pub(super) async fn serve(
    calls: Calls,
    session: Session,
    client: impl Transport + Send + Unpin + 'static,
) {
    let is_ours = session.is_ours;
    let mcp = UnityMcp::on_link(calls.clone(), session.owner, session.choices);
    let mcp = if is_ours {
        mcp.that_tells_choices()
    } else {
        mcp
    };
    let choices = mcp.choices.subscribe();
    match mcp.serve(client.typed()).await {
        Ok(service) => {
            let tells = is_ours.then(|| tell(service.peer().clone(), calls, choices));
            let told = futures::future::OptionFuture::from(tells);
            // It ends with the choices, and so with the service.
            let _ = futures::future::join(service.waiting(), told).await;
        }
        Err(error) => tracing::debug!(%error, "a client left before it said what it wants"),
    }
}

/// How often it is looked whether an editor is still expected.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// Tells a relay what its session has chosen.
pub(in crate::server) async fn chose(peer: &Peer<RoleServer>, choices: &Choices) {
    say(peer, CHOSE, serde_json::to_value(choices).ok()).await;
}

/// Tells a relay which editors there are, and that we go, before we do. Ends with the session's choices.
async fn tell(peer: Peer<RoleServer>, calls: Calls, mut choices: watch::Receiver<Choices>) {
    let (mut instances, mut told) = (calls.hub().instances(), Vec::new());
    loop {
        let editors = calls.expected(&instances.borrow_and_update());
        if editors != told {
            told.clone_from(&editors);
            let said = serde_json::to_value(Editors { editors });
            say(&peer, EDITORS, said.ok()).await;
        }
        tokio::select! {
            // One that stays away is not expected for ever.
            () = tokio::time::sleep(LOOK_AGAIN) => {}
            changed = instances.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            changed = choices.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            () = calls.stopped() => return say(&peer, GOING, None).await,
        }
    }
}

async fn say(peer: &Peer<RoleServer>, method: &str, params: Option<Value>) {
    let said = CustomNotification::new(method, params);
    // One that cannot be told is about to be noticed as gone.
    let _ = peer.send_notification(said.into()).await;
}
