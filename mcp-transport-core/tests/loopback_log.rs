//! What the log says of a listener, on a paused clock.
//!
//! A program of its own: where a test without a subscriber comes to an event first, `tracing`
//! remembers that nobody wants it.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "tests; the rig has more than these need"
)]

#[path = "loopback/rig.rs"]
mod rig;

use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use mcp_transport_core::loopback::{EXHAUSTED_WAIT, REBIND_WAIT, SAID_AGAIN};
use tokio::time::timeout;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use rig::codes::{ABSENT, DEAD, EXHAUSTED, TAKEN};
use rig::{Fault, Rig};

#[tokio::test(start_paused = true)]
async fn a_process_out_of_descriptors_says_so_once_and_then_every_half_minute() {
    let log = Log::default();
    let _kept = tracing::subscriber::set_default(log.clone());
    let rig = Rig::default();
    let mut listener = rig.listen();
    let times = (SAID_AGAIN.as_millis() * 5 / 2 / EXHAUSTED_WAIT.as_millis()) as usize;
    rig.v4.fail_accepts(vec![Fault::Code(EXHAUSTED); times]);
    assert!(timeout(SAID_AGAIN * 3, listener.accept()).await.is_err());
    assert_eq!(listener.health().v4.exhausted, times as u64);
    assert_eq!(log.take(), ["cannot accept for now"; 3]);
}

#[tokio::test(start_paused = true)]
async fn a_port_that_somebody_took_is_said_once_a_half_minute_and_that_it_is_back_once() {
    let log = Log::default();
    let _kept = tracing::subscriber::set_default(log.clone());
    let rig = Rig::default();
    let mut listener = rig.listen();
    rig.v4.fail_accepts([Fault::Code(DEAD)]);
    let times = (SAID_AGAIN.as_millis() * 3 / 2 / REBIND_WAIT.as_millis()) as usize;
    rig.v4.fail_binds(vec![TAKEN; times]);
    assert!(timeout(SAID_AGAIN * 3, listener.accept()).await.is_err());
    let died = "the listening socket died; binding it again";
    let taken = "cannot listen for now";
    assert_eq!(log.take(), [died, taken, taken, "listening again"]);
}

#[tokio::test(start_paused = true)]
async fn a_machine_without_a_family_says_so_once() {
    let log = Log::default();
    let _kept = tracing::subscriber::set_default(log.clone());
    let rig = Rig::default();
    rig.v6.fail_every_bind(ABSENT[0]);
    let mut listener = rig.listen();
    assert!(timeout(SAID_AGAIN * 20, listener.accept()).await.is_err());
    assert_eq!(log.take(), ["cannot listen for now"]);
}

/// Keeps what it is told, from info on.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO && metadata.target().starts_with("mcp_transport")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut Text(&mut self.0.lock().unwrap()));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Takes the message of an event.
struct Text<'a>(&'a mut Vec<String>);

impl Visit for Text<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.0.push(format!("{value:?}"));
        }
    }
}
