//! The bodies of pulls and pushes. Pure.

use super::state::{Item, What};
use crate::native::Pull;
use bytes::Bytes;
use std::io::Write as _;

/// Half a minute less what a slow machine needs: the broker parks no pull for longer than 30 s.
pub(super) const PULL: Pull = Pull {
    max: 256,
    wait_ms: 25_000,
};

/// A pull's body.
pub(super) fn pull() -> Bytes {
    Bytes::from(serde_json::to_vec(&PULL).expect("two numbers always serialise"))
}

/// A push's body, a [`Push`](crate::native::Push) in JSON. Messages go in as the bytes that they
/// are: each was read as JSON-RPC when it was written, and is not parsed again.
pub(super) fn push(items: &[Item], pull: Option<Pull>) -> Bytes {
    let room: usize = items.iter().map(|item| item.message.len() + 64).sum();
    let mut body = Vec::with_capacity(room + 64);
    body.extend_from_slice(b"{\"items\":[");
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            body.push(b',');
        }
        write_item(&mut body, item);
    }
    body.push(b']');
    if let Some(Pull { max, wait_ms }) = pull {
        let _ = write!(body, ",\"pull\":{{\"max\":{max},\"wait_ms\":{wait_ms}}}");
    }
    body.push(b'}');
    Bytes::from(body)
}

/// Writing to memory cannot fail.
fn write_item(body: &mut Vec<u8>, item: &Item) {
    match &item.what {
        What::Answer { ticket } => {
            let _ = write!(body, "{{\"ticket\":{ticket},\"message\":");
            body.extend_from_slice(item.message.as_bytes());
        }
        What::Say { client, about } => {
            body.extend_from_slice(b"{\"client\":");
            write_text(body, client);
            if let Some(about) = about {
                let _ = write!(body, ",\"about\":{about}");
            }
            body.extend_from_slice(b",\"message\":");
            body.extend_from_slice(item.message.as_bytes());
        }
        What::Closed { client } => {
            body.extend_from_slice(b"{\"client\":");
            write_text(body, client);
            body.extend_from_slice(b",\"closed\":true");
        }
    }
    body.push(b'}');
}

fn write_text(body: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(body, text).expect("text always serialises");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::state::Key;
    use crate::native::Push;
    use mcp_transport_core::Message;

    fn item(what: What, message: &'static str) -> Item {
        let (key, message) = (Key::default(), Message::from(message));
        Item { key, what, message }
    }

    #[test]
    fn what_is_pushed_reads_as_the_specified_push() {
        let answer = r#"{ "jsonrpc":"2.0", "id":1, "result":{"n":1.0} }"#;
        let says = r#"{"jsonrpc":"2.0","method":"hello"}"#;
        let client: std::sync::Arc<str> = r#"c"1"#.into();
        let about = Some(8);
        let items = [
            item(What::Answer { ticket: 7 }, answer),
            item(
                What::Say {
                    client: client.clone(),
                    about,
                },
                says,
            ),
            item(
                What::Say {
                    client: client.clone(),
                    about: None,
                },
                says,
            ),
            item(What::Closed { client }, ""),
        ];
        let push: Push = serde_json::from_slice(&push(&items, Some(PULL))).unwrap();
        assert_eq!(push.items[0].ticket, Some(7));
        assert_eq!(push.items[0].message.as_ref().unwrap().get(), answer);
        assert_eq!(push.items[1].client.as_deref(), Some(r#"c"1"#));
        assert_eq!(push.items[1].about, Some(8));
        assert_eq!(push.items[2].about, None);
        assert!(push.items[3].closed && push.items[3].message.is_none());
        assert_eq!(push.pull, Some(PULL));
    }

    #[test]
    fn an_empty_push_is_one() {
        let push: Push = serde_json::from_slice(&push(&[], None)).unwrap();
        assert!(push.items.is_empty() && push.pull.is_none());
        let pull: Pull = serde_json::from_slice(&pull()).unwrap();
        assert_eq!(pull, PULL);
    }
}
