//! Every piece of JSON in PROTOCOL.md is read by the types of the wire, and written again as it
//! stands there.

use mcp_transport_broker::broker::HandOver;
use mcp_transport_broker::native::{
    Attach, Attached, Claim, Detach, Given, Hello, Meet, Pull, Pulled, Push, Pushed, Refused,
    Replace, Resumed,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

const PROTOCOL: &str = include_str!("../../PROTOCOL.md");

/// All that is JSON and an object, blocks and pieces of a line, with what the ellipses leave out.
fn examples() -> Vec<Value> {
    let (before, _) = PROTOCOL.split_once("```vectors").unwrap();
    let mut examples = Vec::new();
    let mut rest = before;
    while let Some((text, block)) = rest.split_once("```json\n") {
        let (json, after) = block.split_once("```").unwrap();
        examples.push(json);
        examples.extend(pieces(text));
        rest = after;
    }
    examples.extend(pieces(rest));
    let whole = |json: &str| {
        let json = json.replace("{…}", "{}").replace("[…]", "[]");
        let value: Value = serde_json::from_str(&json).unwrap_or_else(|e| panic!("{e}: {json}"));
        value
    };
    examples.into_iter().map(whole).collect()
}

fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let pieces = text.split('`').skip(1).step_by(2);
    pieces.filter(|piece| piece.starts_with('{') && !piece.contains('<'))
}

/// Reads it, and writes it again the same.
fn is<T: DeserializeOwned + Serialize>(example: &Value) -> bool {
    let read = serde_json::from_str::<T>(&example.to_string());
    read.is_ok_and(|read| serde_json::to_value(read).unwrap() == *example)
}

#[test]
fn every_example_is_read_and_written_as_it_stands_there() {
    let types: [fn(&Value) -> bool; 15] = [
        is::<Attach>,
        is::<Attached>,
        is::<Claim>,
        is::<Detach>,
        is::<Given>,
        is::<HandOver>,
        is::<Hello>,
        is::<Meet>,
        is::<Pull>,
        is::<Pulled>,
        is::<Push>,
        is::<Pushed>,
        is::<Refused>,
        is::<Replace>,
        is::<Resumed>,
    ];
    let examples = examples();
    assert!(examples.len() >= 14, "{}", examples.len());
    for example in examples {
        let is_empty = example.as_object().unwrap().is_empty();
        let fits = is_empty || types.iter().any(|is| is(&example));
        assert!(fits, "no message of the wire: {example}");
    }
}
