#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod envelope;
mod id;

use mcp_transport_core::{Error, ErrorKind, Id, Kind, Message};

#[test]
fn a_clone_shares_the_bytes_and_into_bytes_copies_none() {
    let message = Message::from(br#"{"jsonrpc":"2.0","method":"x"}"#.to_vec());
    let start = message.as_bytes().as_ptr();
    for copy in [message.clone(), message] {
        assert_eq!(copy.as_bytes().as_ptr(), start);
        assert_eq!(copy.into_bytes().as_ptr(), start);
    }
}

#[test]
fn debug_shows_the_kind_and_never_the_body() {
    for text in [
        r#"{"jsonrpc":"2.0","id":1,"method":"x","params":{"token":"secret"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":"secret"}"#,
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"secret"}}"#,
        r#"{"secret":1}"#,
        "secret",
    ] {
        let message = Message::from(text);
        let debug = format!("{message:?}");
        assert!(!debug.contains("secret"), "{debug}");
        assert!(
            debug.ends_with(&format!("{} bytes)", text.len())),
            "{debug}"
        );
    }
}

#[test]
fn what_is_built_reads_as_what_it_was_built_from() {
    let id = Id::from("a\"b");
    let request = Message::request(&id, "tools/call", Some(["x"])).unwrap();
    assert!(
        matches!(request.kind(), Kind::Request { id: read, method: "tools/call" } if *read == id)
    );
    assert_eq!(request.params(), Some(r#"["x"]"#));

    let notification = Message::notification("x", None::<()>).unwrap();
    assert!(matches!(
        notification.kind(),
        Kind::Notification { method: "x" }
    ));
    assert_eq!(notification.params(), None);

    let response = Message::response(&id, 5).unwrap();
    assert_eq!((response.id(), response.body()), (Some(&id), Some("5")));

    let error = Message::error(None, -32700, "no", None::<()>);
    assert!(matches!(
        error.kind(),
        Kind::Response {
            id: None,
            is_error: true
        }
    ));
}

#[test]
fn a_failure_carries_the_code_the_text_and_the_ending() {
    let error = Error::new(ErrorKind::Unreachable).context("127.0.0.1:8080");
    let answer = Message::failure(Some(&Id::from(7)), &error);
    let body: serde_json::Value = serde_json::from_str(answer.body().unwrap()).unwrap();
    assert_eq!(body["code"], -31001);
    assert_eq!(body["data"]["outcome"], "not_delivered");
    assert_eq!(body["message"], body["data"]["message"]);
}

#[test]
fn parse_refuses_what_is_no_rpc_and_says_why() {
    let error = Message::parse("[]").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Malformed);
    assert!(error.to_string().contains("batches"), "{error}");
    assert!(Message::parse(r#"{"jsonrpc":"2.0","method":"x"}"#).is_ok());
}
