//! What the property is tried on: the machine, and machines with a fault planted.

use mcp_transport_core::delivery::{
    Abandoned, Answer, Busy, Delivery, Full, Handout, Limits, Link, Op, Output, Submit,
};
use std::time::{Duration, Instant};

type Payload = u32;

/// The calls of [`Delivery`]. A planted fault overrides some of them.
pub(crate) trait Machine {
    fn new(limits: Limits) -> Self;
    fn inner(&mut self) -> &mut Delivery<Payload>;

    fn submit(&mut self, now: Instant, submit: Submit<Payload>) -> Result<Op, Full> {
        self.inner().submit(now, submit)
    }
    fn abandon(&mut self, op: Op) -> Abandoned {
        self.inner().abandon(op)
    }
    fn attach(&mut self, window: usize) -> Result<Link, Busy> {
        self.inner().attach(window)
    }
    fn take(&mut self, now: Instant, link: Link) -> Option<Handout<Payload>> {
        self.inner().take(now, link)
    }
    fn give_back(&mut self, now: Instant, link: Link, op: Op) {
        self.inner().give_back(now, link, op);
    }
    fn started(&mut self, link: Link, op: Op) {
        self.inner().started(link, op);
    }
    fn complete(&mut self, link: Link, op: Op) -> Answer {
        self.inner().complete(link, op)
    }
    fn detach(&mut self, now: Instant, link: Link, untouched: &[Op]) {
        self.inner().detach(now, link, untouched);
    }
    fn outstanding(&mut self, link: Link) -> Vec<Op> {
        Delivery::outstanding(self.inner(), link).collect()
    }
    fn len(&mut self) -> usize {
        Delivery::len(self.inner())
    }
    fn queued(&mut self) -> usize {
        Delivery::queued(self.inner())
    }
    fn poll_output(&mut self) -> Option<Output> {
        self.inner().poll_output()
    }
    fn poll_timeout(&mut self) -> Option<Instant> {
        Delivery::poll_timeout(self.inner())
    }
    fn handle_timeout(&mut self, now: Instant) {
        self.inner().handle_timeout(now);
    }
    fn slept(&mut self, gap: Duration) {
        self.inner().slept(gap);
    }
}

impl Machine for Delivery<Payload> {
    fn new(limits: Limits) -> Self {
        Self::new(limits)
    }
    fn inner(&mut self) -> &mut Delivery<Payload> {
        self
    }
}

/// Sends again as often as it likes.
pub(crate) struct Stubborn(Delivery<Payload>);

impl Machine for Stubborn {
    fn new(limits: Limits) -> Self {
        Self(Delivery::new(limits.redeliveries(u32::MAX)))
    }
    fn inner(&mut self) -> &mut Delivery<Payload> {
        &mut self.0
    }
}

/// Takes as many operations as come.
pub(crate) struct Roomy(Delivery<Payload>);

impl Machine for Roomy {
    fn new(limits: Limits) -> Self {
        Self(Delivery::new(limits.ops(usize::MAX)))
    }
    fn inner(&mut self) -> &mut Delivery<Payload> {
        &mut self.0
    }
}

/// After a loss, hands the second out before the first.
pub(crate) struct Backwards {
    inner: Delivery<Payload>,
    lost: bool,
}

impl Machine for Backwards {
    fn new(limits: Limits) -> Self {
        Self {
            inner: Delivery::new(limits),
            lost: false,
        }
    }
    fn inner(&mut self) -> &mut Delivery<Payload> {
        &mut self.inner
    }
    fn take(&mut self, now: Instant, link: Link) -> Option<Handout<Payload>> {
        let first = self.inner.take(now, link)?;
        if !self.lost {
            return Some(first);
        }
        match self.inner.take(now, link) {
            Some(second) => {
                self.inner.give_back(now, link, first.op);
                Some(second)
            }
            None => Some(first),
        }
    }
    fn detach(&mut self, now: Instant, link: Link, untouched: &[Op]) {
        self.lost = true;
        self.inner.detach(now, link, untouched);
    }
}

/// Says every settlement twice.
pub(crate) struct Chatty {
    inner: Delivery<Payload>,
    again: Option<Output>,
}

impl Machine for Chatty {
    fn new(limits: Limits) -> Self {
        Self {
            inner: Delivery::new(limits),
            again: None,
        }
    }
    fn inner(&mut self) -> &mut Delivery<Payload> {
        &mut self.inner
    }
    fn poll_output(&mut self) -> Option<Output> {
        if let Some(again) = self.again.take() {
            return Some(again);
        }
        let output = self.inner.poll_output();
        self.again = output.filter(|output| matches!(output, Output::Settle { .. }));
        output
    }
}
