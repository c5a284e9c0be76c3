//! What a post means, era by era.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use mcp_transport_broker::mcp::{
    Accept, Head, Post, Refusal, ToolHeaders, delete, get, post, primes, status,
};
use mcp_transport_broker::native::Era;
use mcp_transport_core::Message;
use proptest::prelude::*;
use serde_json::{Value, json};

type Headers<'a> = &'a [(&'a str, &'a str)];

fn decide<'a>(headers: Headers<'a>, body: &Value) -> Result<Post<'a>, (u16, Value)> {
    let message = Message::from(body.to_string());
    let read = |refusal: Refusal| {
        let body = serde_json::from_slice(&refusal.body).unwrap();
        (refusal.status, body)
    };
    post(&head(headers), &message, &ToolHeaders::default()).map_err(read)
}

fn head<'a>(headers: Headers<'a>) -> Head<'a> {
    Head::new(headers.iter().map(|(name, value)| (*name, *value)))
}

/// The status and the code with which it is refused.
fn refused(headers: Headers<'_>, body: &Value) -> (u16, i64) {
    let (status, answer) = decide(headers, body).unwrap_err();
    assert_eq!(answer["id"], body["id"], "a refusal has the request's id");
    (status, answer["error"]["code"].as_i64().unwrap())
}

fn meta() -> Value {
    json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {}})
}

fn modern(method: &str, params: Value) -> Value {
    let mut params = params;
    params["_meta"] = meta();
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
}

const VERSION: (&str, &str) = ("MCP-Protocol-Version", "2026-07-28");

#[test]
fn a_modern_request_needs_no_session() {
    let listed = decide(
        &[VERSION, ("Mcp-Method", "tools/list")],
        &modern("tools/list", json!({})),
    );
    let modern_era = Post::Modern {
        version: "2026-07-28",
    };
    assert_eq!(listed, Ok(modern_era.clone()));
    let ignored = decide(
        &[
            VERSION,
            ("mcp-method", "  tools/list "),
            ("Mcp-Session-Id", "x"),
        ],
        &modern("tools/list", json!({})),
    );
    assert_eq!(ignored, Ok(modern_era));
}

#[test]
fn what_a_modern_request_must_say_of_itself_is_asked_for() {
    let headers = [VERSION, ("Mcp-Method", "server/discover")];
    for missing in [
        json!({}),
        json!({"_meta": {}}),
        json!({"_meta": 1}),
        json!({"_meta": {"io.modelcontextprotocol/clientCapabilities": {}}}),
        json!({"_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}}),
        json!({"_meta": {"io.modelcontextprotocol/protocolVersion": 1,
            "io.modelcontextprotocol/clientCapabilities": {}}}),
        json!([]),
    ] {
        let body = json!({"jsonrpc": "2.0", "id": "a", "method": "server/discover",
            "params": missing});
        assert_eq!(refused(&headers, &body), (400, -32602), "{body}");
    }
    let none = json!({"jsonrpc": "2.0", "id": 3, "method": "server/discover"});
    assert_eq!(refused(&[], &none), (400, -32602));
}

#[test]
fn a_version_that_header_and_body_do_not_share_is_a_mismatch() {
    let body = modern("tools/list", json!({}));
    let method = ("Mcp-Method", "tools/list");
    assert_eq!(refused(&[method], &body), (400, -32020));
    let old = ("MCP-Protocol-Version", "2025-11-25");
    assert_eq!(refused(&[method, old], &body), (400, -32020));
    assert_eq!(refused(&[method, VERSION, VERSION], &body), (400, -32020));
}

#[test]
fn a_version_that_nobody_knows_is_answered_with_those_that_are_known() {
    let mut body = modern("server/discover", json!({}));
    body["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("v999.0.0");
    let headers = [
        ("MCP-Protocol-Version", "v999.0.0"),
        ("Mcp-Method", "server/discover"),
    ];
    let (status, answer) = decide(&headers, &body).unwrap_err();
    assert_eq!((status, &answer["error"]["code"]), (400, &json!(-32022)));
    let data = json!({"supported": ["2026-07-28"], "requested": "v999.0.0"});
    assert_eq!(answer["error"]["data"], data);
}

#[test]
fn method_and_name_must_stand_in_the_headers_as_in_the_body() {
    let call = modern("tools/call", json!({"name": "écho"}));
    let sentinel = "=?base64?w6ljaG8=?=";
    let right = ("Mcp-Method", "tools/call");
    let name = ("Mcp-Name", sentinel);
    assert!(decide(&[VERSION, right, name], &call).is_ok());
    for wrong in [
        &[VERSION][..],
        &[VERSION, right],
        &[VERSION, name],
        &[VERSION, ("Mcp-Method", "TOOLS/CALL"), name],
        &[VERSION, right, right, name],
        &[VERSION, right, name, name],
        &[VERSION, right, ("Mcp-Name", "echo")],
        &[VERSION, right, ("Mcp-Name", "=?base64?w6ljaG8?=")],
        &[VERSION, right, ("Mcp-Name", "=?base64?!!!!?=")],
    ] {
        assert_eq!(refused(wrong, &call), (400, -32020), "{wrong:?}");
    }
    let read = modern("resources/read", json!({"uri": "a:b"}));
    let method = ("Mcp-Method", "resources/read");
    assert!(decide(&[VERSION, method, ("Mcp-Name", "a:b")], &read).is_ok());
    assert_eq!(refused(&[VERSION, method], &read), (400, -32020));
}

#[test]
fn a_name_that_stands_there_twice_is_none_whatever_stands_between() {
    let headers = [VERSION, ("Mcp-Method", "tools/call"), ("Mcp-Name", "a")];
    let post = |text: String| {
        post(
            &head(&headers),
            &Message::from(text),
            &ToolHeaders::default(),
        )
        .map_err(|refusal| String::from_utf8(refusal.body.into()).unwrap())
    };
    let call = modern("tools/call", json!({"name": "a"})).to_string();
    assert!(post(call.clone()).is_ok());
    for between in ["", r#""x":0,"#, r#""\ud800":0,"#] {
        let twice = call.replace(
            r#""name":"a""#,
            &format!(r#""name":"a",{between}"name":"b""#),
        );
        assert_ne!(twice, call);
        let refused = post(twice).unwrap_err();
        assert!(refused.contains("name stands in"), "{refused}");
    }
}

#[test]
fn methods_of_sessions_are_gone_from_the_modern_era() {
    for method in [
        "initialize",
        "ping",
        "logging/setLevel",
        "resources/subscribe",
    ] {
        let headers = [VERSION, ("Mcp-Method", method)];
        let body = modern(method, json!({}));
        assert_eq!(refused(&headers, &body), (404, -32601), "{method}");
    }
}

#[test]
fn nobody_sends_answers_in_the_modern_era_and_notifications_go_nowhere() {
    let answer = json!({"jsonrpc": "2.0", "id": 1, "result": {}});
    assert_eq!(decide(&[VERSION], &answer).unwrap_err().0, 400);
    let told = json!({"jsonrpc": "2.0", "method": "notifications/cancelled"});
    let headers = [VERSION, ("Mcp-Method", "notifications/cancelled")];
    assert_eq!(decide(&headers, &told), Ok(Post::Aside));
    assert_eq!(decide(&[VERSION], &told).unwrap_err().0, 400);
}

#[test]
fn initialize_begins_a_session_whatever_version_it_asks_for() {
    for version in ["2024-11-05", "2025-11-25", "2031-01-01"] {
        let body = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize",
            "params": {"protocolVersion": version, "capabilities": {}}});
        let begun = Ok(Post::Initialize {
            version: version.to_owned(),
        });
        assert_eq!(decide(&[], &body), begun);
    }
    for params in [
        json!({}),
        json!(["2025-06-18"]),
        json!({"protocolVersion": 1}),
    ] {
        let body = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params});
        assert_eq!(refused(&[], &body), (400, -32602), "{body}");
    }
    let body = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize",
        "params": {"protocolVersion": "2025-06-18"}});
    let header = [("MCP-Protocol-Version", "2025-11-25")];
    assert_eq!(refused(&header, &body), (400, -32600));
}

#[test]
fn a_legacy_message_belongs_to_its_session() {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
    let session = ("Mcp-Session-Id", "s");
    let belongs = |version| {
        Ok(Post::Legacy {
            session: "s",
            version,
        })
    };
    assert_eq!(decide(&[session], &body), belongs("2025-03-26"));
    let version = ("MCP-Protocol-Version", "2025-11-25");
    assert_eq!(decide(&[session, version], &body), belongs("2025-11-25"));
    assert_eq!(refused(&[version], &body), (400, -32600));
    assert_eq!(refused(&[session, session], &body), (400, -32600));
    let unknown = ("MCP-Protocol-Version", "1999-01-01");
    assert_eq!(refused(&[session, unknown], &body), (400, -32600));
    let answer = json!({"jsonrpc": "2.0", "id": 1, "result": {}});
    assert_eq!(decide(&[session, version], &answer), belongs("2025-11-25"));
}

#[test]
fn what_is_no_message_is_answered_with_what_is_wrong() {
    for (body, code) in [("[]", -32600), ("{", -32700), ("7", -32600), ("", -32700)] {
        let message = Message::from(body.to_owned());
        let refusal = post(&head(&[]), &message, &ToolHeaders::default()).unwrap_err();
        let answer: Value = serde_json::from_slice(&refusal.body).unwrap();
        assert_eq!(refusal.status, 400);
        assert_eq!(answer["error"]["code"], code, "{body}");
    }
}

#[test]
fn an_answer_takes_the_form_that_the_client_accepts() {
    let form = |json, sse, sse_first| Accept {
        json,
        sse,
        sse_first,
    };
    let of = |value| head(&[("Accept", value)]).accept();
    let json_first = form(true, true, false);
    assert_eq!(of("application/json, text/event-stream"), json_first);
    assert_eq!(of("*/*, text/event-stream"), json_first);
    let stream_first = form(true, true, true);
    assert_eq!(of("text/event-stream, application/json"), stream_first);
    assert_eq!(of("Text/Event-Stream;q=0.5"), form(false, true, true));
    assert_eq!(of("*/*"), form(true, false, false));
    assert_eq!(head(&[]).accept(), form(true, false, false));
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
    assert_eq!(refused(&[("Accept", "text/html")], &body), (406, -32600));
}

#[test]
fn errors_of_the_host_have_their_statuses_for_modern_clients_alone() {
    let error = |code: i32| Message::error(None, code, "", None::<()>);
    for (code, modern) in [
        (-32601, 404),
        (-32020, 400),
        (-32021, 400),
        (-32022, 400),
        (-32602, 200),
        (-31001, 200),
    ] {
        assert_eq!(status(Era::Modern, &error(code)), modern);
        assert_eq!(status(Era::Legacy, &error(code)), 200);
    }
}

#[test]
fn get_and_delete_are_a_sessions() {
    let session = ("Mcp-Session-Id", "s");
    let stream = ("Accept", "text/event-stream");
    let event = ("Last-Event-ID", "3-7");
    let resumed = [session, stream, event];
    let resumed = get(&head(&resumed)).unwrap();
    assert_eq!(resumed.session, "s");
    assert_eq!(resumed.after.unwrap().to_string(), "3-7");
    let foreign = [session, stream, ("Last-Event-ID", "another's")];
    assert_eq!(get(&head(&foreign)).unwrap().after, None);
    assert_eq!(get(&head(&[stream])).unwrap_err().status, 400);
    assert_eq!(get(&head(&[session])).unwrap_err().status, 406);
    assert_eq!(get(&head(&[VERSION, stream])).unwrap_err().status, 405);
    let unknown = ("MCP-Protocol-Version", "x");
    let refusal = get(&head(&[session, stream, unknown])).unwrap_err();
    assert_eq!(refusal.status, 400);
    assert_eq!(delete(&head(&[session])).unwrap().session, "s");
    assert_eq!(delete(&head(&[VERSION])).unwrap_err().allow, Some("POST"));
}

#[test]
fn arguments_in_headers_are_found_wherever_the_schema_has_them() {
    let list = json!({"tools": [{"name": "t", "inputSchema": {"properties": {
        "place": {"properties": {"region": {"x-mcp-header": "Region"}}},
        "count": {"x-mcp-header": "Count"}}}}]});
    let tools = ToolHeaders::of_lists([list.to_string().as_str()]);
    let call = |arguments: Value| {
        let body = modern("tools/call", json!({"name": "t", "arguments": arguments}));
        Message::from(body.to_string())
    };
    let base = [VERSION, ("Mcp-Method", "tools/call"), ("Mcp-Name", "t")];
    let with = |more: Headers<'static>| [&base[..], more].concat();
    let right = with(&[("Mcp-Param-REGION", "north"), ("mcp-param-count", "2")]);
    let message = call(json!({"place": {"region": "north"}, "count": 2}));
    assert!(post(&head(&right), &message, &tools).is_ok());
    assert!(post(&head(&with(&[])), &message, &tools).is_err());
    let absent = call(json!({"place": {}, "count": null}));
    assert!(post(&head(&with(&[])), &absent, &tools).is_ok());
    assert!(post(&head(&right), &absent, &tools).is_err());
}

/// What a call is answered whose body is written like this, with these headers more.
fn answered(arguments: &str, more: Headers<'_>) -> Result<(), String> {
    let list = json!({"tools": [{"name": "t", "inputSchema": {"properties": {
        "region": {"x-mcp-header": "Region"},
        "place": {"properties": {"size": {"x-mcp-header": "Size"}}}}}}]});
    let tools = ToolHeaders::of_lists([list.to_string().as_str()]);
    let body = modern("tools/call", json!({"name": "t", "arguments": "here"})).to_string();
    let base = [VERSION, ("Mcp-Method", "tools/call"), ("Mcp-Name", "t")];
    let headers = [&base[..], more].concat();
    let message = Message::from(body.replace(r#""here""#, arguments));
    match post(&head(&headers), &message, &tools) {
        Ok(_) => Ok(()),
        Err(refusal) => {
            let answer: Value = serde_json::from_slice(&refusal.body).unwrap();
            assert_eq!(answer["error"]["code"], -32020, "{answer}");
            Err(answer["error"]["message"].as_str().unwrap().to_owned())
        }
    }
}

#[test]
fn arguments_are_compared_whatever_else_stands_beside_them() {
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let beside = ["1", "1e400", r#""\ud800""#, deep.as_str()];
    for beside in beside {
        let arguments = format!(r#"{{"x":{beside},"region":"eu","place":{{"size":-2}}}}"#);
        let (region, size) = (("Mcp-Param-Region", "eu"), ("Mcp-Param-Size", "-2"));
        assert_eq!(answered(&arguments, &[region, size]), Ok(()), "{beside}");
        for wrong in [
            &[][..],
            &[region],
            &[size],
            &[("Mcp-Param-Region", "us"), size],
        ] {
            assert!(answered(&arguments, wrong).is_err(), "{beside} {wrong:?}");
        }
    }
}

#[test]
fn an_argument_that_readers_may_understand_differently_is_refused() {
    let us: Headers<'_> = &[("Mcp-Param-Region", "us")];
    let one: Headers<'_> = &[("Mcp-Param-Size", "1")];
    for (arguments, headers, why) in [
        (r#"{"region":"eu","region":"us"}"#, us, "twice"),
        (r#"{"region":"eu","\u0072egion":"us"}"#, us, "twice"),
        (r#"{"region":"us","region":null}"#, &[], "twice"),
        (r#"{"place":{"size":2,"size":1}}"#, one, "twice"),
        (r#"{"place":{},"place":{"size":1}}"#, one, "twice"),
        (r#"{"region":"us\ud800"}"#, &[], "no text"),
        (r#"{"region":"us\ud800"}"#, us, "no text"),
    ] {
        let refused = answered(arguments, headers).unwrap_err();
        assert!(refused.contains(why), "{arguments}: {refused}");
    }
}

#[test]
fn a_name_that_is_no_text_is_refused_also_without_a_header() {
    for name in [r#""a\ud800""#, "1", "null", "[]"] {
        let body = modern("tools/call", json!({"name": "here"})).to_string();
        let message = Message::from(body.replace(r#""here""#, name));
        let headers = [VERSION, ("Mcp-Method", "tools/call")];
        let tools = ToolHeaders::default();
        let refusal = post(&head(&headers), &message, &tools).unwrap_err();
        assert_eq!(refusal.status, 400, "{name}");
    }
}

#[test]
fn only_later_clients_understand_an_event_without_data() {
    assert!(primes("2025-11-25"));
    assert!(!primes("2025-06-18"));
    assert!(!primes("2026-07-28"));
}

proptest! {
    /// Whatever comes: a decision, and a refusal is JSON-RPC with a status of a refusal.
    #[test]
    fn every_message_is_decided_upon(
        body in prop_oneof![
            any::<Vec<u8>>(),
            r#"\{"jsonrpc":"2.0",("id":[0-9"],)?("method":"[a-z/]{0,12}",)?"params":[\{\[]?.{0,40}"#
                .prop_map(String::into_bytes),
        ],
        headers in prop::collection::vec((
            prop::sample::select(vec!["mcp-method", "mcp-name", "accept", "mcp-session-id",
                "mcp-protocol-version", "last-event-id", "mcp-param-x", "x"]),
            prop_oneof![any::<Vec<u8>>(), Just(b"2026-07-28".to_vec()), Just(b"2025-11-25".to_vec())],
        ), 0..8),
    ) {
        let message = Message::from(body);
        let head = Head::new(headers.iter().map(|(name, value)| (*name, value.as_slice())));
        let _ = (get(&head).is_ok(), delete(&head).is_ok());
        if let Err(refusal) = post(&head, &message, &ToolHeaders::default()) {
            prop_assert!((400..500).contains(&refusal.status));
            let answer = Message::from(refusal.body);
            let is_error = matches!(answer.kind(), mcp_transport_core::Kind::Response { is_error: true, .. });
            prop_assert!(is_error);
        }
    }

    #[test]
    fn schemas_of_any_shape_are_read(text in ".{0,200}", deep in 0_usize..100) {
        let _ = ToolHeaders::of_lists([text.as_str()]);
        let mut schema = json!({"x-mcp-header": "H"});
        for _ in 0..deep {
            schema = json!({"properties": {"a": schema}});
        }
        let list = json!({"tools": [{"name": "t", "inputSchema": schema}]});
        let _ = ToolHeaders::of_lists([list.to_string().as_str()]);
    }
}
