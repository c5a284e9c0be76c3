//! `unity_docs`: one page, or several terms looked up in all sources.
#![expect(
    clippy::disallowed_methods,
    reason = "a shell that waits for other machines"
)]

use super::answer;
use super::mcp::UnityMcp;
use crate::calls::Caller;
use crate::catalogue::Call;
use crate::hub::Phase;
use crate::logic::docs::{
    Looked, Lookup, MOST_QUERIES, Page, asset_searches, assets_found, lookups, summary,
};
use futures::stream::{self, StreamExt};
use rmcp::RoleServer;
use rmcp::model::CallToolResult;
use rmcp::service::RequestContext;
use serde_json::{Value, json};
use std::time::Duration;

/// Pages that one call fetches at a time.
const AT_ONCE: usize = 6;
/// How long the project's own assets are searched for a lookup.
const ASSETS: Duration = Duration::from_secs(10);

impl UnityMcp {
    pub(super) async fn docs(
        &self,
        call: &Call,
        context: &RequestContext<RoleServer>,
    ) -> CallToolResult {
        let caller = self.caller(context);
        let value = tokio::select! {
            value = self.document(call, &caller) => value,
            () = caller.gone() => json!({"success": false, "message": "The client gave the call up."}),
        };
        answer::value(value)
    }

    async fn document(&self, call: &Call, caller: &Caller) -> Value {
        let text = |name: &str| call.params[name].as_str();
        let needed = |name: &str| text(name).unwrap_or_default();
        let version = text("version");
        let page = match needed("action") {
            "get_doc" => Page::reference(needed("class_name"), text("member_name"), version),
            "get_manual" => Page::manual(needed("slug"), version),
            "get_package_doc" => {
                Page::package(needed("package"), needed("page"), needed("pkg_version"))
            }
            _ => return self.look_up(call, caller).await,
        };
        match self.calls.docs().page(&page).await {
            Ok(data) => json!({"success": true, "data": data}),
            Err(failed) => failed.answer(),
        }
    }

    async fn look_up(&self, call: &Call, caller: &Caller) -> Value {
        let lookups = lookups(&call.params);
        if lookups.is_empty() || lookups.len() > MOST_QUERIES {
            let text = format!(
                "lookup takes 1 to {MOST_QUERIES} terms; {} were given. Nothing was fetched.",
                lookups.len()
            );
            return json!({"success": false, "error": "invalid_arguments", "message": text});
        }
        // All pages of all terms share what is fetched at once.
        let all = lookups.iter().enumerate();
        let pages =
            all.flat_map(|(term, lookup)| lookup.pages.iter().map(move |page| (term, page)));
        let fetches: Vec<_> = pages
            .map(|(term, (source, page))| async move {
                (term, *source, self.calls.docs().page(page).await)
            })
            .collect();
        // In the order of the sources, however they come.
        let fetched: Vec<_> = stream::iter(fetches).buffered(AT_ONCE).collect().await;
        let mut results: Vec<Looked> = lookups.iter().map(begun).collect();
        for (term, source, page) in fetched {
            let one = &mut results[term];
            one.sources.push(source);
            match page {
                Ok(data) if data["found"] == true => one.hit(source, data),
                Ok(_) => {}
                Err(failed) => {
                    one.errors
                        .push(json!({"source": source, "error": failed.text}));
                }
            }
        }
        let selector = call.unity_instance.clone().or_else(|| self.active());
        for one in &mut results {
            let searches = self.assets(caller, selector.as_deref(), asset_searches(&one.query));
            if let Ok(Some(hit)) = tokio::time::timeout(ASSETS, searches).await {
                one.hits.push(hit);
                one.sources.push("project_assets");
            }
        }
        summary(results)
    }

    /// Looks among the project's assets, if an editor is there. Nobody waits for one.
    async fn assets(
        &self,
        caller: &Caller,
        selector: Option<&str>,
        searches: Vec<Value>,
    ) -> Option<Value> {
        let editor = self.calls.choose(selector).ok()?;
        if editor.phase != Phase::Connected {
            return None;
        }
        let mut lists = Vec::new();
        for params in searches {
            let search = Call::read("manage_asset", params);
            match self.calls.run(caller, Some(&editor.hash), &search).await {
                Ok(reply) if reply.success => lists.push(reply.data),
                _ => {}
            }
        }
        assets_found(&lists)
    }
}

fn begun(lookup: &Lookup) -> Looked {
    Looked {
        query: lookup.query.clone(),
        ..Looked::default()
    }
}
