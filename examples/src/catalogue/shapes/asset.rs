//! `manage_asset`: a search that is written as models write it.

use serde_json::Value;

use super::Draft;

/// A query in `path` would be no folder, and the plugin would search the whole project for
/// everything; and `asset_type` is often meant as the filter.
pub(super) fn apply(draft: &mut Draft) {
    if draft.action() != Some("search") {
        return;
    }
    let said = |draft: &Draft, name: &str| match draft.wire.get(name) {
        Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
        _ => None,
    };
    let path = said(draft, "path").unwrap_or_default();
    if path.trim().starts_with("t:") && said(draft, "searchPattern").is_none() {
        let query = path.trim().to_owned();
        draft.wire.insert("searchPattern".to_owned(), query.into());
        draft.wire.insert("path".to_owned(), "Assets".into());
    }
    if let (None, Some(kind)) = (said(draft, "filterType"), said(draft, "assetType")) {
        draft.wire.insert("filterType".to_owned(), kind.into());
    }
}
