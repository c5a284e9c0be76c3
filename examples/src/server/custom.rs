//! Tools that projects define themselves: called by their own names, or by `execute_custom_tool`, and listed as a resource.

use super::answer;
use super::mcp::UnityMcp;
use super::tasks::takes_tasks;
use crate::calls::{Caller, Calls, UNSUPPORTED};
use crate::catalogue::custom::{CustomCall, CustomTool, Definition};
use crate::catalogue::{Call, Catalogue, named_instance};
use crate::hub::Instance;
use mcp_transport_core::{Ending, Outcome};
use rmcp::RoleServer;
use rmcp::model::{CallToolResponse, CallToolResult};
use rmcp::service::RequestContext;
use serde_json::{Map, Value, json};
use std::sync::Arc;

impl UnityMcp {
    /// Calls a tool that is none of the catalogue's; `None` if no project has it. That is known at once where all editors have
    /// said what they offer; else the one that is meant is waited for, as by every tool: it may be about to come back, to a
    /// server that has never seen it.
    pub(super) async fn custom(
        &self,
        name: &str,
        arguments: Map<String, Value>,
        context: &RequestContext<RoleServer>,
    ) -> Option<CallToolResponse> {
        if self.calls.is_nobodys(name) {
            return None;
        }
        let selector = named_instance(&arguments).or_else(|| self.active());
        let caller = self.caller(context);
        let told = self.calls.told(&caller, selector.as_deref()).await;
        let editors = self.calls.hub().snapshot();
        let editor = match told {
            Ok(editor) => editor,
            // Nobody can know, so nobody has ever been offered it.
            Err(ending)
                if ending.cause == UNSUPPORTED
                    && editors.iter().all(|one| own_tool(one, name).is_none()) =>
            {
                return None;
            }
            Err(ending) => return Some(answer::ending(&ending).into()),
        };
        match own_tool(&editor, name) {
            Some(tool) => Some(
                self.run_custom(&editor, tool, arguments, &caller, context)
                    .await,
            ),
            None if self.calls.is_nobodys(name) => None,
            None => Some(answer::ending(&no_such_tool(&editor, name, &editors)).into()),
        }
    }

    /// The same by the name of a tool that takes the name.
    pub(super) async fn execute_custom_tool(
        &self,
        call: &Call,
        context: &RequestContext<RoleServer>,
    ) -> CallToolResponse {
        let name = call.params["tool_name"].as_str().unwrap_or_default().trim();
        if Catalogue::builtin().tool(name).is_some() {
            let text = format!(
                "{name} is a tool of this server, and of no project. Call it by its own name, where its arguments are checked."
            );
            let ending = Ending::new(Outcome::NotDelivered, "invalid_arguments", text);
            return answer::ending(&ending.retryable(false)).into();
        }
        let selector = call.unity_instance.clone().or_else(|| self.active());
        let caller = self.caller(context);
        let editor = match self.calls.told(&caller, selector.as_deref()).await {
            Ok(editor) => editor,
            Err(ending) => return answer::ending(&ending).into(),
        };
        let Some(tool) = own_tool(&editor, name) else {
            let editors = self.calls.hub().snapshot();
            return answer::ending(&no_such_tool(&editor, name, &editors)).into();
        };
        let arguments = call.params.get("parameters").and_then(Value::as_object);
        let arguments = arguments.cloned().unwrap_or_default();
        self.run_custom(&editor, tool, arguments, &caller, context)
            .await
    }

    /// The resource `mcpforunity://custom-tools`, with the fields of the Python server (10.3.0).
    pub(super) async fn custom_tools(
        &self,
        context: &RequestContext<RoleServer>,
    ) -> Result<Value, Ending> {
        let caller = self.caller(context);
        let editor = self.calls.told(&caller, self.active().as_deref()).await?;
        let data = definitions(&editor);
        let text = format!(
            "The project of {} defines {} tools.",
            editor.id(),
            data["tool_count"]
        );
        Ok(json!({"success": true, "message": text, "data": data}))
    }

    async fn run_custom(
        &self,
        editor: &Instance,
        tool: &CustomTool,
        arguments: Map<String, Value>,
        caller: &Caller,
        context: &RequestContext<RoleServer>,
    ) -> CallToolResponse {
        let call = match tool.prepare(arguments) {
            Ok(call) => call,
            Err(bad) => {
                let ending =
                    Ending::new(Outcome::NotDelivered, "invalid_arguments", bad.to_string());
                return answer::ending(&ending.retryable(false)).into();
            }
        };
        // One that wants to be polled takes its time.
        if call.polling.is_some() && takes_tasks(context) {
            let (calls, hash) = (self.calls.clone(), editor.hash.clone());
            let work = |caller| async move { run_custom(&calls, &caller, &hash, &call).await };
            return self.begin_task(work, context);
        }
        let result = run_custom(&self.calls, caller, &editor.hash, &call).await;
        result.into()
    }
}

async fn run_custom(
    calls: &Calls,
    caller: &Caller,
    hash: &str,
    call: &CustomCall,
) -> CallToolResult {
    match calls.run_custom(caller, hash, call).await {
        Ok(reply) => answer::custom(reply),
        Err(ending) => answer::ending(&ending),
    }
}

/// What the project of an editor defines itself, with the fields of the Python server (10.3.0).
pub(super) fn definitions(editor: &Instance) -> Value {
    let tools = editor.tools.as_ref();
    let tools = tools.map_or(&[][..], |tools| tools.custom());
    let tools: Vec<&Definition> = tools.iter().map(|tool| &tool.definition).collect();
    json!({"project_id": editor.hash, "tool_count": tools.len(), "tools": tools})
}

pub(super) fn own_tool<'a>(editor: &'a Instance, name: &str) -> Option<&'a Arc<CustomTool>> {
    editor.tools.as_ref()?.custom_tool(name)
}

pub(super) fn no_such_tool(editor: &Instance, name: &str, editors: &[Instance]) -> Ending {
    let name: String = name.chars().take(128).collect();
    let skipped = editor.tools.as_ref().and_then(|tools| {
        let (skipped, _) = tools.skipped();
        skipped.iter().find(|one| one.name == name)
    });
    let next = match skipped {
        Some(skipped) => format!("It is registered, but left out, because {}.", skipped.why),
        None => {
            let others: Vec<String> = editors
                .iter()
                .filter(|other| own_tool(other, &name).is_some())
                .map(Instance::id)
                .collect();
            match others.as_slice() {
                [] => "See mcpforunity://custom-tools for those that it defines.".to_owned(),
                others => format!(
                    "It is a tool of {}: name that editor by unity_instance, or by set_active_instance.",
                    others.join(", ")
                ),
            }
        }
    };
    let text = format!(
        "The project of {} offers no tool {name:?}. {next}",
        editor.id()
    );
    Ending::new(Outcome::NotDelivered, "no_such_tool", text).retryable(false)
}
