//! The console: a bounded list of entries, oldest first, read as `read_console` reads it.

use std::collections::VecDeque;

use serde_json::{Value, json};

use super::answer::{Answer, Reply};
use super::params::Params;

/// The console forgets its oldest entry beyond this many.
pub const CONSOLE_ENTRIES: usize = 1_000;

/// A text longer than this is cut, so that the console's memory has a bound.
const TEXT_BYTES: usize = 16 * 1024;

/// How grave an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(
    clippy::exhaustive_enums,
    reason = "the console has these three filters"
)]
pub enum Severity {
    /// An exception, an assertion, a compile error.
    Error,
    /// A warning.
    Warning,
    /// Anything else.
    Log,
}

#[derive(Clone, Debug)]
struct Entry {
    severity: Severity,
    message: String,
    stack_trace: Option<String>,
    file: String,
    line: usize,
    compile: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Console {
    entries: VecDeque<Entry>,
}

impl Console {
    pub(super) fn log(&mut self, severity: Severity, message: impl Into<String>) {
        self.push(Entry {
            severity,
            message: cut(message.into()),
            stack_trace: Some("UnityEngine.Debug:Log (object)\n(at Simulator.cs:1)".to_owned()),
            file: String::new(),
            line: 0,
            compile: false,
        });
    }

    pub(super) fn compile_error(&mut self, path: &str, line: usize, message: String) {
        self.push(Entry {
            severity: Severity::Error,
            message: cut(message),
            stack_trace: None,
            file: path.to_owned(),
            line,
            compile: true,
        });
    }

    /// A compilation replaces what the previous one said.
    pub(super) fn forget_compile_errors(&mut self) {
        self.entries.retain(|entry| !entry.compile);
    }

    pub(super) fn execute(&mut self, params: Params<'_>) -> Reply {
        match params
            .text("action")
            .map(|action| action.to_lowercase())
            .as_deref()
        {
            None | Some("get") => Ok(self.get(params)),
            Some("clear") => {
                // Compile errors stay in Unity's console until they are mended.
                self.entries.retain(|entry| entry.compile);
                Ok(Answer::done("Console cleared successfully."))
            }
            Some(other) => Err(Answer::refused(format!(
                "Unknown action: '{other}'. Valid actions are 'get' or 'clear'."
            ))),
        }
    }

    fn get(&self, params: Params<'_>) -> Answer {
        let types = params
            .texts("types")
            .unwrap_or_else(|| vec!["error".into(), "warning".into()]);
        let wanted = |severity: Severity| {
            types.iter().any(|t| {
                t.eq_ignore_ascii_case("all") || t.eq_ignore_ascii_case(severity.wire_name())
            })
        };
        let filter = params.text("filterText").map(|text| text.to_lowercase());
        let plain = params
            .text("format")
            .is_none_or(|f| f.eq_ignore_ascii_case("plain"));
        let traces = params.flag("includeStacktrace").unwrap_or(false);

        let matches: Vec<&Entry> = self
            .entries
            .iter()
            .filter(|entry| wanted(entry.severity))
            .filter(|entry| {
                filter
                    .as_ref()
                    .is_none_or(|text| entry.message.to_lowercase().contains(text))
            })
            .collect();
        let shown = |entries: &[&Entry]| -> Vec<Value> {
            entries
                .iter()
                .map(|entry| entry.shown(plain, traces))
                .collect()
        };

        if params.raw("pageSize").is_none() && params.raw("cursor").is_none() {
            let count = params.size("count", matches.len(), (0, matches.len()));
            let items = shown(&matches[..count]);
            return retrieved(items.len()).with(Value::Array(items));
        }
        let page_size = params.size("pageSize", 50, (1, 500));
        let cursor = params.size("cursor", 0, (0, usize::MAX));
        let start = cursor.min(matches.len());
        let end = cursor.saturating_add(page_size).min(matches.len());
        let truncated = end < matches.len();
        let items = shown(&matches[start..end]);
        retrieved(items.len()).with(json!({
            "cursor": cursor,
            "pageSize": page_size,
            "nextCursor": truncated.then(|| end.to_string()),
            "truncated": truncated,
            "total": matches.len(),
            "items": items,
        }))
    }

    fn push(&mut self, entry: Entry) {
        if self.entries.len() == CONSOLE_ENTRIES {
            self.entries.pop_front();
        }
        self.entries.push_back(entry);
    }
}

impl Entry {
    fn shown(&self, plain: bool, traces: bool) -> Value {
        if plain {
            return Value::from(self.message.clone());
        }
        json!({
            "type": self.severity.unity_name(),
            "message": self.message,
            "file": self.file,
            "line": self.line,
            "stackTrace": self.stack_trace.as_ref().filter(|_| traces),
        })
    }
}

impl Severity {
    fn wire_name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Log => "log",
        }
    }

    fn unity_name(self) -> &'static str {
        match self {
            Self::Error => "Error",
            Self::Warning => "Warning",
            Self::Log => "Log",
        }
    }
}

fn retrieved(count: usize) -> Answer {
    Answer::done(format!("Retrieved {count} log entries."))
}

fn cut(mut text: String) -> String {
    if text.len() > TEXT_BYTES {
        let end = (0..=TEXT_BYTES)
            .rev()
            .find(|&at| text.is_char_boundary(at))
            .unwrap_or(0);
        text.truncate(end);
    }
    text
}
