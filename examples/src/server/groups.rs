//! `manage_tools` and the resource of groups: what there is, and what this session sees of it.

use super::answer;
use super::context::is_modern;
use super::mcp::UnityMcp;
use super::offer::{Hidden, Known, visible};
use crate::catalogue::{Call, Catalogue, Group, Tool};
use mcp_transport_core::{Ending, Outcome};
use rmcp::RoleServer;
use rmcp::model::CallToolResult;
use rmcp::service::RequestContext;
use serde_json::{Value, json};

impl UnityMcp {
    /// Answers `manage_tools`. The fields are those of the Python server (10.3.0), and `success`.
    pub(super) async fn manage_tools(
        &self,
        call: &Call,
        context: &RequestContext<RoleServer>,
    ) -> CallToolResult {
        let text = |name: &str| call.params.get(name).and_then(Value::as_str);
        let action = text("action").unwrap_or_default();
        match action {
            "list_groups" => return answer::value(self.groups(call)),
            "sync" => return self.sync(call, context).await,
            _ => {}
        }
        if is_modern(context) {
            let text = "manage_tools can switch groups on and off for a session only, and protocol 2026-07-28 has none. The list follows what is switched on in the editor's own window.";
            let ending = Ending::new(Outcome::NotDelivered, "no_session", text);
            return answer::ending(&ending.retryable(false));
        }
        if action == "reset" {
            self.switch(|off| off.clear());
            let names: Vec<&str> = groups().iter().map(|group| &*group.name).collect();
            return answer::value(json!({
                "success": true, "reset": true, "default_groups": names,
                "message": "This session sees every group again that the editor has switched on.",
            }));
        }
        let wanted = text("group").unwrap_or_default().trim().to_lowercase();
        let Some(group) = groups().iter().find(|group| group.name == wanted) else {
            return answer::ending(&no_such_group(action, &wanted));
        };
        self.switch(|off| {
            off.remove(&group.name);
            if action == "deactivate" {
                off.insert(group.name.clone());
            }
        });
        answer::value(self.switched(action == "activate", group, call))
    }

    /// The resource `mcpforunity://tool-groups`.
    pub(super) fn tool_groups() -> Value {
        let listed: Vec<Value> = groups().iter().map(described).collect();
        let names: Vec<&str> = groups().iter().map(|group| &*group.name).collect();
        json!({
            "success": true,
            "groups": listed,
            "total_groups": listed.len(),
            "default_enabled": names,
            "usage": "manage_tools with action=activate or action=deactivate and the group's name switches it for your session.",
        })
    }

    fn groups(&self, call: &Call) -> Value {
        let known = self.known(call);
        let shown = groups().iter().map(|group| {
            let mut shown = described(group);
            let tools = || Catalogue::builtin().tools_of(&group.name);
            let sees = |tool: &Tool| visible(tool, &known, &self.choices.borrow());
            shown["enabled"] = tools().any(|tool| sees(tool).is_ok()).into();
            let off: Vec<&str> = tools()
                .filter(|tool| sees(tool) == Err(Hidden::ByEditor))
                .map(|tool| &*tool.name)
                .collect();
            shown["off_in_the_editor"] = off.into();
            shown
        });
        json!({
            "success": true,
            "groups": shown.collect::<Vec<_>>(),
            "note": "activate and deactivate switch a group for this session. Tools that are off in the editor are switched on in Unity, in the MCP for Unity window.",
        })
    }

    fn switched(&self, on: bool, group: &Group, call: &Call) -> Value {
        let tools: Vec<&Tool> = Catalogue::builtin().tools_of(&group.name).collect();
        let names: Vec<&str> = tools.iter().map(|tool| &*tool.name).collect();
        if !on {
            return json!({
                "success": true, "deactivated": group.name, "tools": names,
                "message": format!("This session does not see the group {} any more.", group.name),
            });
        }
        let (known, choices) = (self.known(call), self.choices.borrow().clone());
        let off: Vec<&str> = tools
            .iter()
            .filter(|tool| visible(tool, &known, &choices).is_err())
            .map(|tool| &*tool.name)
            .collect();
        let message = match off.as_slice() {
            [] => format!("This session sees the group {}.", group.name),
            off => format!(
                "This session sees the group {}, except what the editor has not switched on: {}. {SWITCH_ON}",
                group.name,
                off.join(", ")
            ),
        };
        json!({
            "success": true, "activated": group.name, "tools": names,
            "off_in_the_editor": off, "message": message,
        })
    }

    async fn sync(&self, call: &Call, context: &RequestContext<RoleServer>) -> CallToolResult {
        let selector = call.unity_instance.clone().or_else(|| self.active());
        let caller = self.caller(context);
        let synced = self.calls.sync_tools(&caller, selector.as_deref()).await;
        let (editor, total) = match synced {
            Ok(synced) => synced,
            Err(ending) => return answer::ending(&ending),
        };
        let known = Known::of(std::slice::from_ref(&editor), None);
        let nothing_off = Default::default();
        let is_on = |group: &&Group| {
            let mut tools = Catalogue::builtin().tools_of(&group.name);
            tools.any(|tool| visible(tool, &known, &nothing_off).is_ok())
        };
        let (on, off): (Vec<&Group>, Vec<&Group>) = groups().iter().partition(is_on);
        let names = |groups: &[&Group]| -> Vec<String> {
            groups.iter().map(|group| group.name.clone()).collect()
        };
        let (on, off) = (names(&on), names(&off));
        let spelled = |names: &[String]| match names {
            [] => "none".to_owned(),
            names => names.join(", "),
        };
        answer::value(json!({
            "success": true, "synced": true,
            "message": format!(
                "What {} has switched on is listed now. Groups that are on: {}. Off: {}.",
                editor.id(), spelled(&on), spelled(&off)
            ),
            "enabled_groups": on, "disabled_groups": off,
            "enabled_tool_count": editor.tools.as_ref().map_or(0, |tools| tools.registered().len()),
            "total_tool_count": total,
        }))
    }

    /// What is known of the editor that this call is for, or of all that it could be for.
    fn known(&self, call: &Call) -> Known {
        let selector = call.unity_instance.clone().or_else(|| self.active());
        match self.calls.choose(selector.as_deref()) {
            Ok(editor) => Known::of(&[editor], None),
            Err(_) => Known::of(&self.calls.hub().snapshot(), None),
        }
    }

    /// Why this call of the catalogue's is not made, if it is hidden from this session.
    pub(super) fn hidden(&self, tool: &Tool, selector: Option<&str>) -> Option<Ending> {
        let (known, editor) = match self.calls.choose(selector) {
            Ok(editor) => (Known::of(std::slice::from_ref(&editor), None), editor.id()),
            // Which editor is for the call itself to find out.
            Err(_) => (Known::default(), String::new()),
        };
        let (name, group) = (&tool.name, tool.group.as_deref().unwrap_or_default());
        let (cause, text) = match visible(tool, &known, &self.choices.borrow()).err()? {
            Hidden::ByGroup => (
                "group_deactivated",
                format!(
                    "{name} belongs to the group {group}, which this session has switched off. Call manage_tools with action=activate and group={group}, then call it again."
                ),
            ),
            Hidden::ByEditor => (
                "tool_switched_off",
                format!(
                    "{name} (group {group}) is not among the tools that {editor} has registered: it is switched off there, or the installed plugin does not have it. {SWITCH_ON}"
                ),
            ),
        };
        Some(Ending::new(Outcome::NotDelivered, cause, text).retryable(false))
    }
}

const SWITCH_ON: &str = "Switch it on in Unity (Window > MCP for Unity, Tools); if it is on there, call manage_tools with action=sync.";

fn groups() -> &'static [Group] {
    Catalogue::builtin().groups()
}

fn described(group: &Group) -> Value {
    let tools: Vec<&str> = Catalogue::builtin()
        .tools_of(&group.name)
        .map(|tool| &*tool.name)
        .collect();
    json!({
        "name": group.name,
        "description": group.about,
        "default_enabled": true,
        "tool_count": tools.len(),
        "tools": tools,
    })
}

fn no_such_group(action: &str, wanted: &str) -> Ending {
    let names: Vec<&str> = groups().iter().map(|group| &*group.name).collect();
    let got = match wanted {
        "" => "nothing".to_owned(),
        wanted => format!("{:?}", wanted.chars().take(40).collect::<String>()),
    };
    let text = format!(
        "manage_tools {action}: `group` expects one of {}, got {got}.",
        names.join(", ")
    );
    Ending::new(Outcome::NotDelivered, "invalid_arguments", text).retryable(false)
}
