//! The variables of the environment that may concern us. Pure.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;

/// Variables whose names begin like the Python server's, or stand in its table. Empty ones are as good as absent.
#[derive(Clone, Default)]
pub struct Environment {
    set: BTreeMap<String, String>,
}

const OURS: &str = "UNITY_MCP_";

impl Environment {
    /// Of all variables, those.
    pub fn of(all: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let texts = all.into_iter().map(|(name, value)| {
            let text = |it: OsString| it.to_string_lossy().into_owned();
            (text(name), text(value))
        });
        let set = texts.filter(|(name, value)| {
            let known = super::python::VARIABLES.iter().any(|one| one.name == name);
            (known || name.starts_with(OURS)) && !value.trim().is_empty()
        });
        Self { set: set.collect() }
    }

    /// The value of one of them.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.set.get(name).map(|value| value.trim())
    }

    /// Whether it is set to what the Python server takes for a yes.
    pub(super) fn is_on(&self, name: &str) -> bool {
        let value = self.get(name).map(str::to_ascii_lowercase);
        matches!(value.as_deref(), Some("1" | "true" | "yes" | "on"))
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.set.keys().map(String::as_str)
    }
}

/// Names only: values may be secrets.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}
