//! When a reload ate the answer: what to read, and what it proves.
//!
//! A change that causes a domain reload often takes the connection down before its own answer.
//! Sending it again could do it twice; reading cannot. The reader asks [`Verify::question`] once
//! the editor is back, judges the answer, and asks again while it says [`Verdict::CannotTell`] and
//! there is time.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::envelope::Reply;
use super::prepare::Call;
use super::present::source;

/// How to find out by reading whether a call took effect.
#[derive(Clone, Debug, PartialEq)]
pub struct Verify {
    effect: Effect,
}

/// What an answer proves about a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the caller does something else for each"
)]
pub enum Verdict {
    /// What the call was to bring about is so.
    Took,
    /// It is not so, and the call says itself which state it changes: it may be made again.
    DidNotTake,
    /// Nobody knows, and no later read will tell. What is not so now may have been, and undone since: by a call that waited behind
    /// this one, by a game that ends itself, by whoever sits at the editor. What has changed may be theirs. Made again it could
    /// undo that.
    Unknown,
    /// This answer does not settle it. While the editor is busy a later one may.
    CannotTell,
}

#[derive(Clone, Debug, PartialEq)]
enum Effect {
    /// The script exists, with this source if it is known.
    Created {
        script: Script,
        contents: Option<String>,
    },
    /// The script is gone.
    Deleted { script: Script },
    /// The domain was reloaded after this time (Unix milliseconds).
    Refreshed { sent_at: Option<i64> },
    /// The editor plays, or does not.
    Playing(bool),
    /// The script no longer has the hash of before, but that of the edit's text, if it is known.
    Edited {
        script: Script,
        before: String,
        after: Option<String>,
    },
}

#[derive(Clone, Debug, PartialEq)]
struct Script {
    name: Value,
    path: Value,
}

impl Verify {
    /// The verification of this call; `None` if no read can tell.
    ///
    /// Told by command and parameters, so that `create_script` and `manage_script` are one case.
    pub fn for_call(call: &Call) -> Option<Self> {
        let param = |name| call.params.get(name);
        let script = || {
            Some(Script {
                name: param("name")?.clone(),
                path: param("path")?.clone(),
            })
        };
        let action = param("action").and_then(Value::as_str);
        let effect = match (call.command?, action) {
            ("manage_script", Some("create")) => Effect::Created {
                script: script()?,
                contents: sent_contents(&call.params),
            },
            ("manage_script", Some("delete")) => Effect::Deleted { script: script()? },
            ("manage_script", Some("apply_text_edits" | "edit")) => Effect::Edited {
                script: script()?,
                before: call.sha.clone()?,
                after: call.new_sha.clone(),
            },
            ("manage_editor", Some("play")) => Effect::Playing(true),
            ("manage_editor", Some("stop")) => Effect::Playing(false),
            ("refresh_unity", _) => Effect::Refreshed { sent_at: None },
            _ => return None,
        };
        Some(Self { effect })
    }

    /// Says when the call went out, by the wall clock in Unix milliseconds.
    ///
    /// Needed for `refresh_unity`: that the editor is quiet says nothing, but a reload that ended
    /// after the call went out does. Without it the verdict is [`Verdict::CannotTell`]. Editor and
    /// server share a clock, being on one machine.
    #[must_use]
    pub fn sent_at(mut self, unix_ms: i64) -> Self {
        if let Effect::Refreshed { sent_at } = &mut self.effect {
            *sent_at = Some(unix_ms);
        }
        self
    }

    /// The command and parameters that read it. They change nothing, so they may be sent again.
    pub fn question(&self) -> (&'static str, Value) {
        match &self.effect {
            Effect::Created { script, .. } | Effect::Deleted { script } => (
                "manage_script",
                json!({"action": "read", "name": script.name, "path": script.path}),
            ),
            Effect::Edited { script, .. } => (
                "manage_script",
                json!({"action": "get_sha", "name": script.name, "path": script.path}),
            ),
            Effect::Refreshed { .. } | Effect::Playing(_) => ("get_editor_state", json!({})),
        }
    }

    /// Whether the change is in the project's files, so that every editor of the project sees it. Any other is in one editor,
    /// and what another one is like proves nothing.
    pub const fn is_in_files(&self) -> bool {
        match &self.effect {
            Effect::Created { .. } | Effect::Deleted { .. } | Effect::Edited { .. } => true,
            Effect::Refreshed { .. } | Effect::Playing(_) => false,
        }
    }

    /// What the answer to [`question`](Self::question) proves.
    pub fn judge(&self, reply: &Reply) -> Verdict {
        match &self.effect {
            Effect::Created { contents, .. } => match script_file(reply) {
                File::There(found) => created(contents.as_deref(), found.as_deref()),
                File::Gone => Verdict::Unknown,
                File::Unclear => Verdict::CannotTell,
            },
            Effect::Deleted { .. } => match script_file(reply) {
                File::There(_) => Verdict::Unknown,
                File::Gone => Verdict::Took,
                File::Unclear => Verdict::CannotTell,
            },
            Effect::Edited { before, after, .. } => edited(reply, before, after.as_deref()),
            Effect::Refreshed { sent_at } => refreshed(reply, *sent_at),
            Effect::Playing(wanted) => playing(reply, *wanted),
        }
    }
}

fn sent_contents(params: &Value) -> Option<String> {
    let encoded = params.get("encodedContents")?.as_str()?;
    String::from_utf8(STANDARD.decode(encoded).ok()?).ok()
}

enum File {
    There(Option<String>),
    Gone,
    Unclear,
}

/// Any other failure (a file that cannot be read, as while another program writes it) proves nothing.
fn script_file(reply: &Reply) -> File {
    match reply.success {
        true => File::There(source(&reply.data)),
        false if is_gone(reply) => File::Gone,
        false => File::Unclear,
    }
}

/// The plugin (10.1) says `Script not found at '…'.` of a file that is not there.
fn is_gone(reply: &Reply) -> bool {
    let error = reply.error.as_deref().filter(|_| !reply.success);
    error.is_some_and(|error| error.starts_with("Script not found at '"))
}

/// A file that holds something else was there before, since the plugin never overwrites, or was edited since.
fn created(sent: Option<&str>, found: Option<&str>) -> Verdict {
    // The plugin's reader strips a byte-order mark, its writer keeps one.
    let bare = |text| str::trim_start_matches(text, '\u{feff}');
    match (sent, found) {
        (Some(sent), Some(found)) if bare(sent) == bare(found) => Verdict::Took,
        // Also where a template was asked for: what it says is the plugin's to decide, and whether the
        // file is older than the call cannot be seen. A file that is read without a text says no more later.
        _ => Verdict::Unknown,
    }
}

/// Only the edit's own text proves that it was made: any other may be that of a call that waited behind it, or was saved by hand
/// before the edit came. What the plugin places itself, or formats, is not known here.
fn edited(reply: &Reply, before: &str, after: Option<&str>) -> Verdict {
    match reply.data.get("sha256").and_then(Value::as_str) {
        // Somebody has deleted it since.
        _ if is_gone(reply) => Verdict::Unknown,
        Some(now) if !reply.success || now.is_empty() => Verdict::CannotTell,
        Some(now) if after.is_some_and(|after| now.eq_ignore_ascii_case(after)) => Verdict::Took,
        Some(now) if now.eq_ignore_ascii_case(before) => Verdict::DidNotTake,
        Some(_) => Verdict::Unknown,
        None => Verdict::CannotTell,
    }
}

fn refreshed(reply: &Reply, sent_at: Option<i64>) -> Verdict {
    let reloaded = reply
        .data
        .pointer("/compilation/last_domain_reload_after_unix_ms");
    let reloaded = reloaded.and_then(Value::as_i64);
    match (sent_at, reloaded) {
        (Some(sent), Some(reloaded)) if reloaded >= sent && is_quiet(reply) => Verdict::Took,
        _ => Verdict::CannotTell,
    }
}

/// `is_changing` is Unity's "is playing or will": true throughout play mode, so a transition shows
/// as the two being different.
fn playing(reply: &Reply, wanted: bool) -> Verdict {
    let flag = |name| reply.data.pointer(name).and_then(Value::as_bool);
    let now = flag("/editor/play_mode/is_playing");
    let soon = flag("/editor/play_mode/is_changing");
    match (now, soon) {
        (Some(now), Some(soon)) if now == soon && now == wanted => Verdict::Took,
        (Some(now), Some(soon)) if now == soon && is_quiet(reply) => Verdict::Unknown,
        _ => Verdict::CannotTell,
    }
}

/// Neither compiling nor about to reload nor importing, as far as the editor says so.
fn is_quiet(reply: &Reply) -> bool {
    let flag = |name| reply.data.pointer(name).and_then(Value::as_bool);
    reply.success
        && flag("/compilation/is_compiling") == Some(false)
        && flag("/compilation/is_domain_reload_pending") == Some(false)
        && flag("/assets/is_updating") != Some(true)
}
