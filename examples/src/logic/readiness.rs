//! What an editor's state says of whether it takes commands well. Pure.
//!
//! Read from the answer to `get_editor_state` of the installed plugin (10.1), by its fields and
//! never by the age of its time stamp: an editor that has the focus and nothing to do does not
//! renew that.

use serde_json::Value;

/// What an editor is busy with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "each has a word of its own")]
pub enum Busy {
    /// It compiles scripts.
    Compiling,
    /// It is about to throw its script domain away and load it anew.
    DomainReload,
    /// It runs tests.
    RunningTests,
    /// It reads its asset database anew. The installed plugin never says so.
    AssetRefresh,
    /// It imports assets. The Python server (10.3.0) knows the word, and never says it.
    AssetImport,
}

impl Busy {
    /// The word that stands in `advice.blocking_reasons`, and the cause of calls that end by it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Compiling => "compiling",
            Self::DomainReload => "domain_reload",
            Self::RunningTests => "running_tests",
            Self::AssetRefresh => "asset_refresh",
            Self::AssetImport => "asset_import",
        }
    }

    /// What it does, for people.
    pub const fn doing(self) -> &'static str {
        match self {
            Self::Compiling => "compiles scripts",
            Self::DomainReload => "is about to reload its scripts",
            Self::RunningTests => "runs tests",
            Self::AssetRefresh => "refreshes its assets",
            Self::AssetImport => "imports assets",
        }
    }
}

/// What the editor says that it is busy with, the most telling first; `None` if this is no state
/// that says it: then nobody knows, and least of all that it is ready.
///
/// ```
/// use examples::logic::readiness::{Busy, busy_with};
/// use serde_json::json;
///
/// let compiles = json!({"compilation": {"is_compiling": true, "is_domain_reload_pending": false}});
/// assert_eq!(busy_with(&compiles), Some(vec![Busy::Compiling]));
/// assert_eq!(busy_with(&json!({})), None);
/// ```
pub fn busy_with(state: &Value) -> Option<Vec<Busy>> {
    let flag = |pointer| state.pointer(pointer).and_then(Value::as_bool);
    // Whether it compiles is the one thing that every state says.
    flag("/compilation/is_compiling")?;
    let signs = [
        ("/compilation/is_compiling", Busy::Compiling),
        ("/compilation/is_domain_reload_pending", Busy::DomainReload),
        ("/tests/is_running", Busy::RunningTests),
        ("/assets/refresh/is_refresh_in_progress", Busy::AssetRefresh),
        ("/assets/is_updating", Busy::AssetImport),
    ];
    let on = signs.iter().filter(|(sign, _)| flag(sign) == Some(true));
    Some(on.map(|(_, busy)| *busy).collect())
}
