//! What a client hears that has asked for a log (`logging/setLevel`, up to revision 2025-11-25): editors that come, reload and go.
#![expect(
    deprecated,
    reason = "logging is deprecated since 2026-07-28, and a part of what came before"
)]

use crate::calls::Calls;
use crate::hub::{Instance, Phase};
use rmcp::model::{LoggingLevel, LoggingMessageNotificationParam};
use std::mem;
use tokio::sync::watch;

/// The name under which it is said.
const LOGGER: &str = "unity";

/// Calls `tell` with each message of the level that was asked for, or of a more urgent one, until that says that nobody listens
/// any more, or the session is over.
pub(super) async fn report(
    calls: Calls,
    mut level: watch::Receiver<Option<LoggingLevel>>,
    mut tell: impl AsyncFnMut(LoggingMessageNotificationParam) -> bool,
) {
    let mut instances = calls.hub().instances();
    let mut known = instances.borrow_and_update().clone();
    loop {
        tokio::select! {
            changed = instances.changed() => if changed.is_err() { return },
            changed = level.changed() => if changed.is_err() { return },
        }
        let now = instances.borrow_and_update().clone();
        let before = mem::replace(&mut known, now);
        for (urgency, text) in news(&before, &known) {
            let wanted = level
                .borrow()
                .is_some_and(|least| rank(least) <= rank(urgency));
            let message = LoggingMessageNotificationParam::new(urgency, text.into());
            if wanted && !tell(message.with_logger(LOGGER)).await {
                return;
            }
        }
    }
}

/// What has become of the editors since.
fn news(before: &[Instance], now: &[Instance]) -> Vec<(LoggingLevel, String)> {
    let mut news = Vec::new();
    for editor in now {
        let former = before.iter().find(|one| one.hash == editor.hash);
        let moved = former.is_none_or(|former| {
            mem::discriminant(&former.phase) != mem::discriminant(&editor.phase)
                || former.returns != editor.returns
        });
        let id = editor.id();
        if moved {
            news.push(match editor.phase {
                Phase::Connected => (LoggingLevel::Info, format!("{id} is connected.")),
                Phase::Listening { .. } => (
                    LoggingLevel::Info,
                    format!("{id} listens; a call connects it."),
                ),
                Phase::Away { .. } => (
                    LoggingLevel::Notice,
                    format!("{id} is away: it reloads its scripts, or it crashed. Calls wait."),
                ),
                Phase::Quit { .. } => (
                    LoggingLevel::Notice,
                    format!("{id} has quit. Calls fail until it is open again."),
                ),
            });
        }
        let fault = |of: fn(&Instance) -> &Option<String>| {
            let is_new = former.is_none_or(|former| of(former) != of(editor));
            of(editor).clone().filter(|_| is_new)
        };
        let faults = [fault(|one| &one.evicted), fault(|one| &one.misled)];
        let faults = faults.into_iter().flatten();
        news.extend(faults.map(|text| (LoggingLevel::Warning, format!("{id}: {text}"))));
    }
    news
}

/// How urgent: rmcp's levels have no order.
const fn rank(level: LoggingLevel) -> u8 {
    match level {
        LoggingLevel::Debug => 0,
        LoggingLevel::Info => 1,
        LoggingLevel::Notice => 2,
        LoggingLevel::Warning => 3,
        LoggingLevel::Error => 4,
        LoggingLevel::Critical => 5,
        LoggingLevel::Alert => 6,
        _ => 7,
    }
}
