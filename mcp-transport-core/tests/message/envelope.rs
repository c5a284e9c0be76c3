use mcp_transport_core::{Defect, Id, Kind, Message};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn kind(text: &str) -> String {
    format!("{:?}", Message::from(text.to_owned()).kind())
}

#[test]
fn every_shape_has_its_kind_and_every_defect_its_name() {
    for (text, expected) in [
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"x"}"#,
            "Request { id: 1, method: \"x\" }",
        ),
        (
            r#"{"jsonrpc":"2.0","id":"a","method":""}"#,
            "Request { id: \"a\", method: \"\" }",
        ),
        (
            r#"{"method":"x","id":1,"jsonrpc":"2.0"}"#,
            "Request { id: 1, method: \"x\" }",
        ),
        (
            r#"{"jsonrpc":"2.0","method":"x"}"#,
            "Notification { method: \"x\" }",
        ),
        (
            r#"{"jsonrpc":"2.0","method":"x","more":1,"more":2}"#,
            "Notification { method: \"x\" }",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"result":null}"#,
            "Response { id: Some(1), is_error: false }",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"error":{}}"#,
            "Response { id: Some(1), is_error: true }",
        ),
        (
            r#"{"jsonrpc":"2.0","id":null,"error":{}}"#,
            "Response { id: None, is_error: true }",
        ),
        (
            r#"{"jsonrpc":"2.0","error":{}}"#,
            "Response { id: None, is_error: true }",
        ),
        ("", "Opaque(NotJson)"),
        ("x", "Opaque(NotJson)"),
        ("{", "Opaque(NotJson)"),
        ("[", "Opaque(NotJson)"),
        ("{}x", "Opaque(NotJson)"),
        ("{} {}", "Opaque(NotJson)"),
        ("\u{FEFF}{}", "Opaque(NotJson)"),
        ("[]", "Opaque(Batch)"),
        (r#" [{"jsonrpc":"2.0","method":"x"}]"#, "Opaque(Batch)"),
        ("{}", "Opaque(NotRpc)"),
        ("null", "Opaque(NotRpc)"),
        ("1", "Opaque(NotRpc)"),
        (r#"{"id":1,"method":"x"}"#, "Opaque(NotRpc)"),
        (r#"{"jsonrpc":"1.0","method":"x"}"#, "Opaque(NotRpc)"),
        (r#"{"jsonrpc":2.0,"method":"x"}"#, "Opaque(NotRpc)"),
        (r#"{"jsonrpc":"2.0"}"#, "Opaque(NotRpc)"),
        (r#"{"jsonrpc":"2.0","id":1}"#, "Opaque(NotRpc)"),
        (r#"{"jsonrpc":"2.0","method":7}"#, "Opaque(NotRpc)"),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"x","result":1}"#,
            "Opaque(NotRpc)",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"result":1,"error":{}}"#,
            "Opaque(NotRpc)",
        ),
        (
            r#"{"jsonrpc":"2.0","id":null,"method":"x"}"#,
            "Opaque(BadId)",
        ),
        (r#"{"jsonrpc":"2.0","id":{},"method":"x"}"#, "Opaque(BadId)"),
        (r#"{"jsonrpc":"2.0","id":true,"error":{}}"#, "Opaque(BadId)"),
        (r#"{"jsonrpc":"2.0","id":null,"result":1}"#, "Opaque(BadId)"),
        (r#"{"jsonrpc":"2.0","result":1}"#, "Opaque(BadId)"),
    ] {
        assert_eq!(kind(text), expected, "{text}");
        assert_eq!(
            kind(&format!(" \t\r\n{text}\n ")),
            expected,
            "{text} with white space around"
        );
    }
}

#[test]
fn a_member_of_the_envelope_that_stands_there_twice_is_a_duplicate() {
    let members = [
        r#""jsonrpc":"2.0""#,
        r#""id":1"#,
        r#""method":"x""#,
        r#""params":{}"#,
        r#""result":1"#,
        r#""error":{}"#,
    ];
    for member in members {
        let escaped = member
            .replacen('e', "\\u0065", 1)
            .replacen("\"i", "\"\\u0069", 1);
        for again in [member, &escaped] {
            let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"x",{member},{again}}}"#);
            assert_eq!(kind(&text), "Opaque(Duplicate)", "{text}");
        }
    }
}

#[test]
fn the_parts_are_found_through_white_space_unicode_and_escapes() {
    let request = Message::from(
        "\n{ \"\u{e4}\\\"{\" : [\"\\u007d\", {\"id\": 9}] ,\t\"jsonrpc\" : \"2.0\" , \"\\u0069d\" : \"\\u00e4\" , \
         \"method\" : \"tools\\/c\u{e4}ll\" , \"params\" : { \"\u{1F600}\" : [1, \"}\"] } }\n",
    );
    assert_eq!(request.method(), Some("tools/c\u{e4}ll"));
    assert_eq!(request.id(), Some(&Id::from("\u{e4}")));
    assert_eq!(request.params(), Some("{ \"\u{1F600}\" : [1, \"}\"] }"));
    assert_eq!(request.body(), None);

    let plain = Message::from("{\"jsonrpc\":\"2.0\",\"id\":1, \"method\" :\t\"\u{e4}\u{1F600}\"}");
    assert_eq!(plain.method(), Some("\u{e4}\u{1F600}"));
    assert_eq!(plain.params(), None);

    let answer = Message::from(
        "{\"jsonrpc\":\"2.0\",\"\u{e4}\":\"\\\\\",\"id\":1,\"result\" : \"\u{e4}\\\"\" }",
    );
    assert_eq!(answer.body(), Some("\"\u{e4}\\\"\""));
    assert_eq!(answer.method(), None);
}

#[test]
fn a_method_is_told_as_it_is_written_also_one_that_resembles_a_common_one() {
    for common in [
        "ping",
        "initialize",
        "tools/call",
        "tools/list",
        "resources/list",
        "resources/read",
        "notifications/progress",
        "notifications/cancelled",
        "notifications/initialized",
    ] {
        for method in [
            common.to_owned(),
            format!("{common}s"),
            common[1..].to_owned(),
        ] {
            let message = Message::from(format!(r#"{{"jsonrpc":"2.0","method":"{method}"}}"#));
            assert_eq!(message.method(), Some(&*method));
        }
    }
}

#[test]
fn depth_does_not_overflow_the_stack() {
    let deep = "[".repeat(200_000);
    assert_eq!(kind(&deep), "Opaque(NotJson)");
    let params = format!("{deep}{}", "]".repeat(200_000));
    let message = Message::from(format!(
        r#"{{"jsonrpc":"2.0","method":"x","params":{params}}}"#
    ));
    assert_eq!(message.params(), Some(params.as_str()));
}

/// The kind by way of a whole parse.
fn reference(value: &Value) -> String {
    let Value::Object(object) = value else {
        return if value.is_array() {
            "Opaque(Batch)"
        } else {
            "Opaque(NotRpc)"
        }
        .to_owned();
    };
    let has = |key| object.contains_key(key);
    let id = object.get("id");
    let good = id.is_some_and(|id| id.is_string() || id.is_number());
    let shown = id.map_or_else(String::new, Value::to_string);
    if object.get("jsonrpc") != Some(&json!("2.0")) {
        return "Opaque(NotRpc)".to_owned();
    }
    match (object.get("method"), has("result"), has("error")) {
        (Some(Value::String(method)), false, false) if id.is_none() => {
            format!("Notification {{ method: {method:?} }}")
        }
        (Some(Value::String(method)), false, false) if good => {
            format!("Request {{ id: {shown}, method: {method:?} }}")
        }
        (Some(Value::String(_)), false, false) => "Opaque(BadId)".to_owned(),
        (None, false, true) if id.is_none_or(Value::is_null) => {
            "Response { id: None, is_error: true }".to_owned()
        }
        (None, result, error) if result != error && good => {
            format!("Response {{ id: Some({shown}), is_error: {error} }}")
        }
        (None, result, error) if result != error => "Opaque(BadId)".to_owned(),
        _ => "Opaque(NotRpc)".to_owned(),
    }
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-9..99_i64).prop_map(Value::from),
        "[a-z\"\\\\\u{e4}]{0,4}".prop_map(Value::from),
        Just(json!("2.0")),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec((key(), inner), 0..3)
                .prop_map(|members| Value::from(Map::from_iter(members))),
        ]
    })
}

fn key() -> impl Strategy<Value = String> {
    let names = [
        "jsonrpc",
        "id",
        "method",
        "params",
        "result",
        "error",
        "x\"\u{e4}",
    ];
    prop::sample::select(names.map(str::to_owned).to_vec())
}

/// Objects that are nearly messages, and often are.
fn nearly() -> impl Strategy<Value = Value> {
    let name = prop_oneof![4 => "[a-z/]{1,9}".prop_map(Value::from), 1 => value()];
    let members = (
        prop::option::weighted(0.9, prop_oneof![9 => Just(json!("2.0")), 1 => value()]),
        prop::option::weighted(0.7, value()),
        prop::option::weighted(0.5, name),
        prop::option::weighted(0.5, value()),
        prop::option::weighted(0.3, value()),
        prop::option::weighted(0.3, value()),
    );
    members.prop_map(|(jsonrpc, id, method, params, result, error)| {
        let members = [
            ("jsonrpc", jsonrpc),
            ("id", id),
            ("method", method),
            ("params", params),
            ("result", result),
            ("error", error),
        ];
        let members = members
            .into_iter()
            .filter_map(|(key, value)| Some((key.to_owned(), value?)));
        Value::Object(members.collect())
    })
}

/// Asks everything that can be asked.
fn ask(message: &Message) {
    let parts = [message.params(), message.body()];
    for part in parts.into_iter().flatten() {
        assert!(message.as_str().unwrap().contains(part));
    }
    let _ = (
        message.id(),
        message.method(),
        format!("{message:?}"),
        message.json::<Value>(),
    );
    if let Kind::Opaque(defect) = message.kind() {
        assert!(matches!(
            defect.to_answer().kind(),
            Kind::Response { is_error: true, .. }
        ));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_kind_agrees_with_a_whole_parse(value in prop_oneof![9 => nearly(), 1 => value()], pretty: bool) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        let message = Message::from(text.clone());
        prop_assert_eq!(format!("{:?}", message.kind()), reference(&value), "{}", text);
        ask(&message);
        if let (Some(params), false) = (message.params(), value["params"].is_null()) {
            prop_assert_eq!(&serde_json::from_str::<Value>(params).unwrap(), &value["params"]);
        }
        if let Kind::Response { is_error, .. } = message.kind() {
            let body: Value = serde_json::from_str(message.body().unwrap()).unwrap();
            prop_assert_eq!(&body, &value[if is_error { "error" } else { "result" }]);
        }
    }

    #[test]
    fn any_bytes_have_a_kind(bytes: Vec<u8>) {
        ask(&Message::from(bytes));
    }

    #[test]
    fn torn_and_bent_messages_have_the_kind_of_a_whole_parse(
        value in nearly(),
        at: prop::sample::Index,
        with in prop::collection::vec(prop::sample::select(br#""{}[]:,\ 0e-"#.to_vec()), 0..3),
        cut in 0..3_usize,
    ) {
        let mut bytes = serde_json::to_vec(&value).unwrap();
        let at = at.index(bytes.len());
        bytes.splice(at..(at + cut).min(bytes.len()), with);
        let message = Message::from(bytes.clone());
        ask(&message);
        match (serde_json::from_slice::<Value>(&bytes), message.kind()) {
            (_, Kind::Opaque(Defect::Duplicate)) | (Err(_), Kind::Opaque(Defect::NotJson)) => {}
            (Ok(value), kind) => prop_assert_eq!(without_spelling(&format!("{kind:?}")), without_spelling(&reference(&value))),
            // A whole parse also refuses what it cannot hold: numbers out of range, halves of characters.
            (Err(error), _) => prop_assert!(serde_json::from_slice::<&serde_json::value::RawValue>(&bytes).is_ok(), "{error}"),
        }
    }
}

/// An id keeps the spelling of its peer, which a whole parse forgets.
fn without_spelling(kind: &str) -> String {
    match kind.split_once("id: ") {
        Some((start, rest)) => format!(
            "{start}{}",
            rest.split_once(", ").map_or("", |(_, end)| end)
        ),
        None => kind.to_owned(),
    }
}

#[test]
fn a_clone_shares_what_may_be_as_long_as_the_message() {
    let long = "x".repeat(100_000);
    let message = Message::from(format!(
        r#"{{"jsonrpc":"2.0","id":"{long}","method":"\n{long}"}}"#
    ));
    let id = message.id().and_then(Id::as_str).unwrap();
    assert!(id == long && message.method() == Some(&*format!("\n{long}")));
    let clone = message.clone();
    assert_eq!(
        clone.id().and_then(Id::as_str).unwrap().as_ptr(),
        id.as_ptr()
    );
    assert_eq!(
        clone.method().unwrap().as_ptr(),
        message.method().unwrap().as_ptr()
    );
}
