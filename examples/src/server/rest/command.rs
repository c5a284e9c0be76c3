//! What a REST request asks for, and with which status a call ends. Pure.

use crate::calls::RawCommand;
use http::StatusCode;
use mcp_transport_core::{Ending, Outcome};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

/// Reads `{type, params?, unity_instance?}`.
pub(super) fn read(body: &[u8]) -> Result<RawCommand, String> {
    let mut body: Map<String, Value> = serde_json::from_slice(body)
        .map_err(|error| format!("The body is no JSON object: {error}."))?;
    let name = match body.remove("type") {
        Some(Value::String(name)) if !name.trim().is_empty() => name,
        Some(Value::Null | Value::String(_)) | None => {
            return Err("\"type\" is missing: the name of the command.".to_owned());
        }
        Some(_) => return Err("\"type\" is the name of the command: text.".to_owned()),
    };
    let params = match body.remove("params") {
        None | Some(Value::Null) => Value::Object(Map::new()),
        Some(params @ Value::Object(_)) => params,
        Some(_) => return Err("\"params\" is an object, or left out.".to_owned()),
    };
    let instance = match body.remove("unity_instance") {
        None | Some(Value::Null) => None,
        Some(Value::String(instance)) => Some(instance).filter(|it| !it.trim().is_empty()),
        Some(_) => {
            return Err("\"unity_instance\" is text: Name@hash, a name or a hash.".to_owned());
        }
    };
    Ok(RawCommand {
        name,
        params,
        instance,
    })
}

/// The `instance` of a query.
pub(super) fn instance(query: &str) -> Option<String> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(name, _)| *name == "instance")?;
    let value = value.replace('+', " ");
    let value = percent_decode_str(&value).decode_utf8_lossy().into_owned();
    Some(value).filter(|value| !value.trim().is_empty())
}

/// The status of a bad ending.
pub(super) struct Status(pub(super) StatusCode);

impl Status {
    pub(super) fn of(ending: &Ending) -> Self {
        Self(match (ending.outcome, &*ending.cause) {
            (Outcome::NotDelivered, "unknown_instance" | "no_such_tool") => StatusCode::NOT_FOUND,
            (Outcome::NotDelivered, "invalid_arguments") => StatusCode::BAD_REQUEST,
            (Outcome::NotDelivered, "unsupported") => StatusCode::NOT_IMPLEMENTED,
            (Outcome::NotDelivered, "instance_selection_required") => StatusCode::CONFLICT,
            (Outcome::NotDelivered, _) => StatusCode::SERVICE_UNAVAILABLE,
            // The editor has it, or had: whoever reads a 503 would send it again.
            (Outcome::Running | Outcome::Unknown, _) => StatusCode::GATEWAY_TIMEOUT,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_command_needs_a_type_and_nothing_else() {
        let command = read(br#"{"type":"ping"}"#).unwrap();
        assert_eq!(
            (&*command.name, &command.params, command.instance),
            ("ping", &json!({}), None)
        );
        let command = read(br#"{"type":"x","params":{"a":1},"unity_instance":"P@1"}"#).unwrap();
        assert_eq!(
            (command.params, command.instance.as_deref()),
            (json!({"a": 1}), Some("P@1"))
        );
        let command = read(br#"{"type":"x","params":null,"unity_instance":""}"#).unwrap();
        assert_eq!((command.params, command.instance), (json!({}), None));
        for wrong in [
            "",
            "[]",
            "{}",
            r#"{"type":null}"#,
            r#"{"type":""}"#,
            r#"{"type":7}"#,
            r#"{"type":"x","params":[]}"#,
            r#"{"type":"x","unity_instance":7}"#,
        ] {
            assert!(read(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_instance_in_a_query_may_be_encoded() {
        let named = |query| instance(query);
        assert_eq!(
            named("instance=My%20Game%401a").as_deref(),
            Some("My Game@1a")
        );
        assert_eq!(named("a=b&instance=My+Game").as_deref(), Some("My Game"));
        assert_eq!(named("instance="), None);
        assert_eq!(named("other=x"), None);
    }

    #[test]
    fn only_what_was_not_delivered_looks_like_something_to_send_again() {
        let status =
            |outcome, cause: &'static str| Status::of(&Ending::new(outcome, cause, "")).0.as_u16();
        assert_eq!(status(Outcome::NotDelivered, "no_editor"), 503);
        assert_eq!(status(Outcome::NotDelivered, "overloaded"), 503);
        assert_eq!(status(Outcome::NotDelivered, "unknown_instance"), 404);
        assert_eq!(
            status(Outcome::NotDelivered, "instance_selection_required"),
            409
        );
        assert_eq!(status(Outcome::Unknown, "reloading"), 504);
        assert_eq!(status(Outcome::Running, "still_running"), 504);
    }
}
