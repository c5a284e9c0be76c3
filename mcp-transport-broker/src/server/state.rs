//! The state behind the lock: the broker, and what it is told about and tells through. It does what
//! the broker wants done; nothing here waits.

use super::handed::Handed;
use super::hub::Hub;
use super::moving::Unclaimed;
use super::orphan::Orphan;
use super::outbox::Outbox;
use super::parked::Seats;
use super::thaw;
use crate::broker::{Broker, ClientId, Handout, Lease, Snapshot, Ticket};
use crate::mcp::{Kept, StreamId, Streams, ToolHeaders};
use crate::native::Era;
use crate::numbers::Table;
use mcp_transport_core::Message;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::oneshot;

/// What is under the lock.
pub(super) struct State {
    pub(super) broker: Broker,
    pub(super) streams: Streams,
    pub(super) outboxes: Table<StreamId, Outbox>,
    /// The streams that sessions have open by GET, and those that are over as soon as they end.
    pub(super) gets: Table<StreamId, ClientId>,
    pub(super) seats: Seats,
    /// The lease whose tunnel is published.
    pub(super) tunnelled: Option<Lease>,
    pub(super) tools: Arc<ToolHeaders>,
    /// What the timer is armed for; before there is one, nothing.
    pub(super) armed: Option<Instant>,
    pub(super) orphan: Orphan,
    /// What was taken over, by the ids by which it will be claimed.
    pub(super) unclaimed: HashMap<String, Unclaimed>,
    /// What a newer broker has, and whom to tell when nobody wants it any more.
    pub(super) moved: Table<Ticket, oneshot::Sender<()>>,
}

impl State {
    pub(super) fn due(&self) -> Option<Instant> {
        let dues = [self.broker.poll_timeout(), self.orphan.due()];
        dues.into_iter().flatten().min()
    }

    /// If nobody here was awake, every deadline moves, before anything is done that sets new ones:
    /// what has come to a socket may be read before the timer fires, and after.
    pub(super) fn wake(&mut self, now: Instant) {
        let Some(gap) = self.armed.and_then(|armed| thaw::gap(armed, now)) else {
            return;
        };
        tracing::info!(?gap, "nobody here was awake; every budget gets that back");
        self.armed = Some(now);
        self.broker.slept(gap);
        self.orphan.slept(gap);
    }

    pub(super) fn answer(&mut self, ticket: Ticket, message: Message) {
        if let Some(event) = self.streams.answer(ticket, message) {
            if let Some(outbox) = self.outboxes.remove(&event.stream) {
                outbox.push(event);
            }
        }
    }

    pub(super) fn tell(&mut self, client: ClientId, about: Option<Ticket>, message: Message) {
        match self.streams.tell(client, about, message) {
            Kept::Out(event) => {
                let stream = event.stream;
                if let Some(outbox) = self.outboxes.get(&stream) {
                    if !outbox.push(event) {
                        tracing::warn!(%client, "a client that does not read was cut off");
                        self.outboxes.remove(&stream);
                    }
                }
            }
            Kept::Waits => {}
            Kept::Dropped => tracing::debug!(%client, "a message has nobody to go to"),
        }
    }

    /// Gives pulls what there is, the oldest first.
    pub(super) fn serve(&mut self, now: Instant, hub: &Arc<Hub>) {
        while let Some(parked) = self.seats.next() {
            let (seq, handouts) = self.pull(now, parked.lease, parked.max);
            if seq.is_none() {
                self.seats.put_back(parked);
                return;
            }
            let handed = Handed::new(hub.clone(), parked.lease, seq, handouts);
            if let Err(Ok(handed)) = parked.sender.send(Ok(handed)) {
                // Its connection went in this very moment.
                let (seq, handouts) = handed.disarm();
                self.unpull(now, parked.lease, seq, handouts);
            }
        }
    }

    pub(super) fn pull(
        &mut self,
        now: Instant,
        lease: Lease,
        max: usize,
    ) -> (Option<u64>, Vec<Handout>) {
        let handouts = self.broker.pull(now, lease, max);
        let seq = self.seats.number(lease, !handouts.is_empty());
        (seq, handouts)
    }

    pub(super) fn unpull(
        &mut self,
        now: Instant,
        lease: Lease,
        seq: Option<u64>,
        handouts: Vec<Handout>,
    ) {
        self.seats.return_number(lease, seq);
        self.broker.unpull(now, lease, handouts);
    }

    /// A stream is no longer read.
    pub(super) fn closed(&mut self, now: Instant, stream: StreamId) {
        self.outboxes.remove(&stream);
        if let Some(client) = self.gets.remove(&stream) {
            self.count_streams(now, client);
        }
    }

    pub(super) fn count_streams(&mut self, now: Instant, client: ClientId) {
        let open = self.gets.values().filter(|other| **other == client).count();
        self.broker.streams(now, client, open);
    }

    /// A client is over.
    pub(super) fn over(&mut self, client: ClientId) {
        for stream in self.streams.over(client) {
            self.outboxes.remove(&stream);
            self.gets.remove(&stream);
        }
    }
}

/// The schemas' headers of the tools in a catalogue.
pub(super) fn tool_headers(snapshot: &Snapshot) -> ToolHeaders {
    let lists = snapshot.entries.iter();
    let lists = lists.filter(|entry| entry.method == "tools/list" && entry.era == Era::Modern);
    ToolHeaders::of_lists(lists.map(|entry| entry.result.get()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::{Ask, Attachment, Config};
    use crate::native::{Attach, Meet};
    use crate::server::conn::Conn;
    use crate::server::hub::{Asked, Form};
    use futures::FutureExt;
    use std::time::Duration;
    use tokio::time::advance;

    fn ask(hub: &Arc<Hub>, ask: Ask) -> Asked {
        let meet = Meet {
            era: Era::Modern,
            version: "2026-07-28".into(),
        };
        let form = Form {
            streams: false,
            prefers_streams: false,
            resumable: false,
            primes: false,
            cancels: true,
            era: Era::Modern,
        };
        let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}}"#;
        let client = hub.meet(meet).unwrap();
        let conn = Conn::new(hub.clone());
        let asked = hub.ask(&conn, client, Message::from(call), ask, form);
        asked.unwrap_or_else(|refusal| panic!("{refusal:?}"))
    }

    fn is_answered(asked: &mut Asked) -> bool {
        asked.reader.next().now_or_never().is_some()
    }

    fn hub() -> Arc<Hub> {
        let mut number = 0_u8;
        let random = move || {
            number += 1;
            [number; 16]
        };
        Hub::new(Broker::new(Config::default(), random), None, None)
    }

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_right_after_a_sleep_waits_as_long_as_ever_and_who_asked_before_gets_it_back()
    {
        let hub = hub();
        // No task: after the sleep others come first.
        let mut time = std::pin::pin!(hub.clone().keep_time());
        let mut passes = async |gap| {
            advance(gap).await;
            assert!(time.as_mut().now_or_never().is_none());
        };
        let mut before = ask(&hub, Ask::default().budget(s(90)));
        passes(s(0)).await;
        advance(s(8 * 3_600)).await;
        let mut after = ask(&hub, Ask::default().budget(s(50)));
        passes(s(0)).await;
        // Until its timer was late, after 60 s, the clock may as well have run.
        passes(s(30)).await;
        assert!(!is_answered(&mut before));
        passes(s(2)).await;
        assert!(is_answered(&mut before));
        passes(s(17)).await;
        assert!(!is_answered(&mut after));
        passes(s(2)).await;
        assert!(is_answered(&mut after));
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_slept_as_long_as_the_broker_keeps_its_lease() {
        let hub = hub();
        let mut time = std::pin::pin!(hub.clone().keep_time());
        let attach = r#"{"protocol":1,"host":{"name":"game","instance":"a"}}"#;
        let attach: Attach = serde_json::from_str(attach).unwrap();
        let lease = hub.attach(Attachment::from(attach), None).unwrap().name;
        let mut passes = async |gap| {
            advance(gap).await;
            assert!(time.as_mut().now_or_never().is_none());
        };
        passes(s(0)).await;
        // The timer comes first, and then the host's ping.
        passes(s(3_600)).await;
        assert!(hub.lease(&lease).is_ok());
        for _ in 0..3 {
            passes(s(4)).await;
        }
        assert!(hub.lease(&lease).is_err(), "this was silence");
    }
}
