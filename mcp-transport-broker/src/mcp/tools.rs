//! Which arguments of which tool travel in headers as well.

use serde::Deserialize;
use serde_json::Value;
use std::collections::HashMap;

/// What the host's tools say about `Mcp-Param-*` headers: a schema's `x-mcp-header`.
#[derive(Clone, Debug, Default)]
pub struct ToolHeaders {
    /// By tool: the header's name, and where its argument stands.
    tools: HashMap<String, Vec<(String, Vec<String>)>>,
}

/// Tools with such arguments, at most; and arguments of one.
const MAX: usize = 1_024;

/// How deep a schema is looked into.
const DEPTH: usize = 16;

impl ToolHeaders {
    /// Reads results of `tools/list`, as JSON text: the pages of one. What does not fit is left
    /// out.
    pub fn of_lists<'a>(results: impl IntoIterator<Item = &'a str>) -> Self {
        #[derive(Deserialize)]
        struct List {
            tools: Vec<Value>,
        }
        let lists = results
            .into_iter()
            .filter_map(|result| serde_json::from_str::<List>(result).ok());
        let mut tools = HashMap::new();
        for tool in lists.flat_map(|list| list.tools).take(MAX) {
            let mut found = Vec::new();
            gather(&tool["inputSchema"], &mut Vec::new(), &mut found);
            if let (Some(name), false) = (tool["name"].as_str(), found.is_empty()) {
                tools.insert(name.to_owned(), found);
            }
        }
        Self { tools }
    }

    pub(super) fn of(&self, tool: &str) -> Option<&[(String, Vec<String>)]> {
        self.tools.get(tool).map(Vec::as_slice)
    }
}

/// Follows `properties` and nothing else, as the specification wants it.
fn gather(schema: &Value, path: &mut Vec<String>, found: &mut Vec<(String, Vec<String>)>) {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return;
    };
    if path.len() == DEPTH {
        return;
    }
    for (name, schema) in properties {
        path.push(name.clone());
        let header = schema.get("x-mcp-header").and_then(Value::as_str);
        if let Some(header) = header.filter(|header| !header.is_empty()) {
            if found.len() < MAX {
                found.push((header.to_owned(), path.clone()));
            }
        }
        gather(schema, path, found);
        path.pop();
    }
}
