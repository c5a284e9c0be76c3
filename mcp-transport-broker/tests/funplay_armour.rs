//! Every message reaches the plugin as it was said, through its own parser, and every answer the
//! client.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "tests may"
)]

#[path = "foreign_support/parser.rs"]
mod parser;

use mcp_transport_broker::foreign::funplay::{MAX_DEPTH, armour, read};
use mcp_transport_core::{Id, Message};
use proptest::prelude::*;
use serde_json::{Value, json};

/// What the plugin has of a call's arguments.
fn received(arguments: &str) -> Value {
    let call = call("1", arguments);
    let body = String::from_utf8(armour(&call, 7).unwrap()).unwrap();
    parser::parse(&body)["params"]["arguments"].clone()
}

fn call(id: &str, arguments: &str) -> Message {
    Message::from(format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"execute_code","arguments":{arguments}}}}}"#
    ))
}

/// The plugin gets this call, and answers with this result.
fn answered(request: &Message, result: &Value) -> Message {
    let body = String::from_utf8(armour(request, 7).unwrap()).unwrap();
    let read_back = parser::parse(&body);
    let answer = json!({"jsonrpc": "2.0", "id": read_back["id"], "result": result});
    read(parser::serialise(&answer).as_bytes(), false, request).answer
}

#[test]
fn the_model_has_the_faults_of_the_plugin() {
    // Otherwise the tests below prove nothing.
    let truncated = parser::parse(r#"{"a":{"code":"Debug.Log(\"}\");"},"b":1}"#);
    assert_ne!(truncated["a"]["code"], r#"Debug.Log("}");"#);
    let swallowed = parser::parse(r#"{"path":"C:\\","b":1}"#);
    assert_eq!(swallowed["b"], Value::Null);
    assert_eq!(
        parser::serialise(&parser::parse("9007199254740993")),
        "9.00719925474099E+15"
    );
    assert_eq!(parser::serialise(&parser::parse("1.0")), "1");
    assert_eq!(parser::serialise(&json!("\u{1}")), "\"\u{1}\"");
}

#[test]
fn braces_quotes_and_backslashes_in_strings_arrive_as_sent() {
    for text in [
        r#"Debug.Log("}");"#,
        r"C:\",
        r"\\server\share\",
        r#"if (a[0]) { b = "\"{["; } // ]"#,
        "\\\"",
        "\"\\",
        "{\\u007d",
        "line\nline\r\ttab\u{8}\u{c}",
        "\u{1}\u{1f}\u{7f}",
        "ünïcödé 🦀 \u{2028}",
        "a/b",
        "",
    ] {
        let arguments = json!({ "code": text, "after": true });
        assert_eq!(received(&arguments.to_string()), arguments, "{text}");
    }
    // In keys as well.
    let arguments = json!({"{": 1.0, "}\\": {"\"": "x"}, "": [[], {}, "]"]});
    assert_eq!(received(&arguments.to_string()), arguments);
}

#[test]
fn every_way_to_escape_a_character_means_the_same() {
    for json in [
        r#"{"code":"\/a\/"}"#,
        r#"{"code":"\u002fa\/"}"#,
        r#"{"\u0063ode":"\u002F\u0061\/"}"#,
    ] {
        assert_eq!(received(json), json!({"code": "/a/"}), "{json}");
    }
    assert_eq!(
        received(r#"{"code":"\ud83e\udd80\u0022\u007b"}"#),
        json!({"code": "🦀\"{"})
    );
}

#[test]
fn an_id_comes_back_byte_for_byte_whatever_it_is() {
    for id in [
        "1",
        "0",
        "-7",
        "1.0",
        "9007199254740993",
        "123456789012345678901234567890",
        "1e3",
        r#""text""#,
        r#""\u0061\"}{""#,
        r#""C:\\""#,
    ] {
        let request = call(id, "{}");
        let answer = answered(&request, &json!({"content": []}));
        assert_eq!(answer.id(), request.id(), "{id}");
        assert!(
            answer.as_str().unwrap().contains(&format!(r#""id":{id}"#)),
            "{id}"
        );
    }
}

#[test]
fn an_id_is_found_wherever_it_stands_and_nowhere_else() {
    for text in [
        r#"{"jsonrpc":"2.0","method":"x","params":{"id":5,"a":["id",{"id":6}]},"id" : 9007199254740993 }"#,
        "{ \"\\u0069d\":9007199254740993\n,\"params\":{\"id\":5,\"a\":[\"id\",{\"id\":6}]},\"method\":\"x\",\"jsonrpc\":\"2.0\"}",
    ] {
        let request = Message::from(text);
        assert_eq!(request.id(), Some(&Id::from(9_007_199_254_740_993)));
        let got = parser::parse(&String::from_utf8(armour(&request, 7).unwrap()).unwrap());
        assert_eq!(got["id"], 7.0);
        assert_eq!(got["params"], json!({"id": 5.0, "a": ["id", {"id": 6.0}]}));
        assert_eq!(answered(&request, &json!({"id": 3})).id(), request.id());
    }
    // Text that looks like one.
    let request =
        Message::from(r#"{"jsonrpc":"2.0","method":"id","id":1,"params":{"x":"\"id\":2"}}"#);
    let got = parser::parse(&String::from_utf8(armour(&request, 7).unwrap()).unwrap());
    assert_eq!((&got["id"], &got["method"]), (&json!(7.0), &json!("id")));
}

#[test]
fn nesting_arrives_as_sent_up_to_the_limit_and_is_refused_beyond() {
    // The message, its params and its arguments are three levels.
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let deep = nested(MAX_DEPTH - 3);
    let arguments = format!(r#"{{"a":{deep}}}"#);
    let expected: Value = serde_json::from_str(&deep).unwrap();
    assert_eq!(received(&arguments)["a"], expected);

    let arguments = format!(r#"{{"a":{}}}"#, nested(MAX_DEPTH - 2));
    let request = call("9007199254740993", &arguments);
    let refused = armour(&request, 7).unwrap_err();
    let answer: Value = refused.to_answer(request.id()).json().unwrap();
    assert_eq!(answer["id"].to_string(), "9007199254740993");
    assert_eq!(answer["error"]["data"]["outcome"], "not_delivered");
    assert_eq!(answer["error"]["data"]["retryable"], false);

    // Braces in strings are no nesting.
    let arguments = json!({"code": "{".repeat(1_000)});
    assert_eq!(received(&arguments.to_string()), arguments);
    // What would have crashed the editor is only looked at.
    assert!(armour(&call("1", &nested(100_000)), 7).is_err());
}

#[test]
fn control_characters_in_answers_are_repaired() {
    let request = call("1", "{}");
    let text = Vec::from_iter(0..0x20_u8);
    let result = json!({"content": [{"type": "text", "text": String::from_utf8(text).unwrap()}]});
    let answer: Value = answered(&request, &result).json().unwrap();
    assert_eq!(answer["result"], result);
}

#[test]
fn a_notification_in_the_same_body_is_separated_from_the_answer() {
    let request = call(r#""a""#, "{}");
    let body = "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}\n\n\
                data: {\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{\"text\":\"a\u{1}\"}}\n\n";
    for body in [
        body.to_owned(),
        body.replace('\n', "\r\n"),
        body.trim().to_owned(),
    ] {
        let reply = read(body.as_bytes(), true, &request);
        let methods: Vec<_> = reply.notifications.iter().map(Message::method).collect();
        assert_eq!(methods, [Some("notifications/tools/list_changed")]);
        let answer: Value = reply.answer.json().unwrap();
        assert_eq!(
            answer,
            json!({"jsonrpc": "2.0", "id": "a", "result": {"text": "a\u{1}"}})
        );
    }
}

#[test]
fn an_answer_without_an_id_or_with_null_is_the_answer_to_its_request() {
    let request = call("17", "{}");
    for body in [
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"MCP server is stopping"}}"#,
        r#"{"jsonrpc":"2.0","error":{"code":-32000,"message":"MCP server is stopping"}}"#,
        r#"{"error":{"code":-32000,"message":"MCP server is stopping"},"id":null,"jsonrpc":"2.0"}"#,
    ] {
        let answer = read(body.as_bytes(), false, &request).answer;
        assert_eq!(answer.id(), Some(&Id::from(17)), "{body}");
        assert!(answer.as_str().unwrap().contains("-32000"));
    }
}

#[test]
fn what_is_no_answer_becomes_an_error_that_says_so() {
    let request = call("17", "{}");
    for body in [
        "",
        "oops",
        "{}",
        "[1]",
        "\u{fffd}",
        r#"{"jsonrpc":"2.0","method":"x","id":1}"#,
    ] {
        for is_stream in [false, true] {
            let answer = read(body.as_bytes(), is_stream, &request).answer;
            assert_eq!(answer.id(), Some(&Id::from(17)), "{body}");
            let answer: Value = answer.json().unwrap();
            assert_eq!(answer["error"]["data"]["outcome"], "unknown");
        }
    }
}

/// JSON whose numbers are small: a double has them exactly.
fn value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        any::<String>(),
        "[\\\\\"{}\\[\\]/u0-9a-f:, \n\t]{0,24}".prop_map(|text| text),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-1_000_000_i64..1_000_000).prop_map(|number| Value::from(number as f64)),
        text.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map(text.clone(), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// The plugin writes whole doubles without a fraction.
fn doubles(value: Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(items) => items.into_iter().map(doubles).collect(),
        Value::Object(members) => members
            .into_iter()
            .map(|(key, value)| (key, doubles(value)))
            .collect(),
        other => other,
    }
}

fn id() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|id| id.to_string()),
        any::<u128>().prop_map(|id| id.to_string()),
        any::<String>().prop_map(|id| Value::from(id).to_string()),
        "[\\\\\"{}\\[\\]]{0,8}".prop_map(|id| Value::from(id).to_string()),
    ]
}

proptest! {
    #[test]
    fn whatever_is_said_arrives_and_whatever_is_answered_comes_back(
        id in id(),
        arguments in value(),
        result in value(),
    ) {
        let request = call(&id, &arguments.to_string());
        prop_assert_eq!(received(&arguments.to_string()), arguments);
        let answer = answered(&request, &result);
        prop_assert_eq!(answer.id(), request.id());
        let with_id = format!(r#""id":{id}"#);
        prop_assert!(answer.as_str().unwrap().contains(&with_id));
        let answer: Value = answer.json().unwrap();
        prop_assert_eq!(doubles(answer["result"].clone()), result);
    }

    #[test]
    fn the_scanner_takes_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let message = Message::from(bytes.clone());
        let _ = armour(&message, 7);
        let _ = read(&bytes, true, &call("1", "{}"));
        let _ = read(&bytes, false, &message);
    }
}
