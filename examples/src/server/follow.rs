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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::Budget;
    use crate::hub::{Config, Hub, Listed};
    use tokio::sync::mpsc;
    use tokio::time::{Instant, sleep};

    /// What is promised.
    const TOLD: Duration = Duration::from_secs(1);

    fn tools(number: usize) -> crate::catalogue::Toolset {
        let tool = format!(r#"{{"name": "own_{number}", "description": "Of the project."}}"#);
        crate::catalogue::Toolset::read([r#"{"name": "manage_scene"}"#.to_owned(), tool])
    }

    #[tokio::test(start_paused = true)]
    async fn whatever_an_editor_changes_and_however_often_it_is_told_within_a_second() {
        let hub = Hub::new(Config::default());
        let calls = Calls::new(hub.clone(), Budget::default(), || None);
        let choices = watch::Sender::default();
        let (told, mut heard) = mpsc::unbounded_channel();
        let tell = async move || told.send(Instant::now()).is_ok();
        tokio::spawn(follow(calls, choices.subscribe(), tell));
        sleep(GATHER).await;
        // One editor, whose tools change at any distance from each other.
        hub.list(&Listed {
            project: "Game".to_owned(),
            hash: "0a".to_owned(),
            path: None,
            unity_version: "6000.0".to_owned(),
            port: 6400,
            is_ready: true,
        });
        let mut changed = Vec::new();
        for number in 0..60_usize {
            hub.set_tools("0a", tools(number));
            changed.push(Instant::now());
            sleep(Duration::from_millis((number as u64 * 37) % 450)).await;
        }
        // Then it goes: its file does, and does not come back.
        sleep(TOLD).await;
        hub.unlist("0a");
        let mut editors = hub.instances();
        let gone = editors.wait_for(|editors| editors.is_empty()).await;
        assert!(gone.is_ok());
        changed.push(Instant::now());
        sleep(TOLD).await;
        let mut times = Vec::new();
        while let Ok(at) = heard.try_recv() {
            times.push(at);
        }
        for at in &changed {
            let next = times.iter().find(|told| *told >= at);
            let waited = *next.expect("each is told of") - *at;
            assert!(waited <= TOLD, "{waited:?}");
        }
        assert!(times.len() < changed.len(), "many are told as one");
    }
}
