//! Tools that projects define themselves, by REST.

use super::{ended, failed};
use crate::calls::{Caller, Calls, RawCommand, diagnose};
use crate::hub::Instance;
use crate::server::custom::{definitions, no_such_tool, own_tool};
use crate::server::http::reply::{Body, json};
use http::{Response, StatusCode};
use mcp_transport_core::{Ending, Outcome};
use serde_json::{Map, Value};

/// The name under which a script calls one: a command of this server's, which no editor knows.
pub(super) const EXECUTE: &str = "execute_custom_tool";

/// `GET /api/custom-tools`.
pub(super) async fn list(calls: &Calls, caller: &Caller, wanted: Option<&str>) -> Response<Body> {
    match told(calls, caller, wanted).await {
        Ok(editor) => {
            let mut body = definitions(&editor);
            body["success"] = Value::Bool(true);
            json(StatusCode::OK, &body)
        }
        Err(ending) => ended(&ending),
    }
}

/// `POST /api/command` with `execute_custom_tool`: `{tool_name, parameters?}`, or `name` and `params`, as the Python server
/// (10.3.0) takes it.
pub(super) async fn execute(calls: &Calls, caller: &Caller, command: RawCommand) -> Response<Body> {
    let given = |names: [&str; 2]| {
        let given = names
            .into_iter()
            .filter_map(|name| command.params.get(name));
        given.into_iter().find(|value| !value.is_null())
    };
    let Some(name) = given(["tool_name", "name"]).and_then(Value::as_str) else {
        return json(
            StatusCode::BAD_REQUEST,
            &failed("\"tool_name\" is missing."),
        );
    };
    let arguments = match given(["parameters", "params"]) {
        None => Map::new(),
        Some(Value::Object(arguments)) => arguments.clone(),
        Some(_) => {
            return json(
                StatusCode::BAD_REQUEST,
                &failed("\"parameters\" is an object."),
            );
        }
    };
    match run(
        calls,
        caller,
        command.instance.as_deref(),
        name.trim(),
        arguments,
    )
    .await
    {
        Ok(value) => json(StatusCode::OK, &value),
        Err(ending) => ended(&ending),
    }
}

async fn run(
    calls: &Calls,
    caller: &Caller,
    selector: Option<&str>,
    name: &str,
    arguments: Map<String, Value>,
) -> Result<Value, Ending> {
    let editor = told(calls, caller, selector).await?;
    let Some(tool) = own_tool(&editor, name) else {
        return Err(no_such_tool(&editor, name, &calls.hub().snapshot()));
    };
    let call = tool.prepare(arguments).map_err(|bad| {
        let ending = Ending::new(Outcome::NotDelivered, "invalid_arguments", bad.to_string());
        ending.retryable(false)
    })?;
    let reply = calls.run_custom(caller, &editor.hash, &call).await?;
    Ok(reply.value)
}

/// The editor that is meant; one that has not said what it offers is asked.
async fn told(calls: &Calls, caller: &Caller, selector: Option<&str>) -> Result<Instance, Ending> {
    let editor = calls.choose(selector);
    let editor = editor.map_err(|why| diagnose::no_target(&why, None))?;
    if editor.tools.is_some() {
        return Ok(editor);
    }
    Ok(calls.sync_tools(caller, Some(&editor.hash)).await?.0)
}
