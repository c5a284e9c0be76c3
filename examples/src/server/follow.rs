//! Tells a client when the list of its tools has changed: whoever comes, goes, or offers something else.
#![expect(
    clippy::disallowed_methods,
    reason = "a shell that waits a moment, so that many changes are told as one"
)]

use super::offer::{Choices, Known, Offer};
use crate::calls::Calls;
use crate::hub::Instance;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How long to wait for more, once something has changed. An editor that comes registers itself, and its tools a moment later.
const GATHER: Duration = Duration::from_millis(200);

/// Calls `tell` after each change of what this client is offered, until that says that nobody listens any more, or its
/// choices are gone.
pub(super) async fn follow(
    calls: Calls,
    mut choices: watch::Receiver<Choices>,
    mut tell: impl AsyncFnMut() -> bool,
) {
    let mut instances = calls.hub().instances();
    let mut told = offer(&calls, &mut instances, &mut choices);
    loop {
        tokio::select! {
            changed = instances.changed() => if changed.is_err() { return },
            changed = choices.changed() => if changed.is_err() { return },
        }
        tokio::time::sleep(GATHER).await;
        let now = offer(&calls, &mut instances, &mut choices);
        if now != told {
            told = now;
            if !tell().await {
                return;
            }
        }
    }
}

/// What is offered now. What changes from here on is news.
fn offer(
    calls: &Calls,
    instances: &mut watch::Receiver<Arc<[Instance]>>,
    choices: &mut watch::Receiver<Choices>,
) -> Offer {
    let (instances, choices) = (instances.borrow_and_update(), choices.borrow_and_update());
    offered(calls, &instances, &choices)
}

/// What a session with these choices is offered while these editors are known.
pub(super) fn offered(calls: &Calls, instances: &[Instance], choices: &Choices) -> Offer {
    let active = choices
        .active
        .clone()
        .or_else(|| calls.preferred(instances));
    let known = Known::of(instances, active.as_deref());
    Offer::of(&known, choices)
}
