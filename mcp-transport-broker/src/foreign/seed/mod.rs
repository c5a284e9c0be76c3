//! The seed's dialect: two paths, and a host that is nobody in particular. It is that of the patch to
//! the Funplay plugin with which the idea of a broker began, and which no release of the plugin has.
//!
//! | request | answer |
//! |---|---|
//! | `GET /_b/pull` | 200, a call and its number in `X-Broker-ReqId`; 204 after 25 s without one; 409 while another host is alive |
//! | `POST /_b/push` | 200; 409 if there is no such call with the host, or it was answered |
//!
//! Both carry the token as `Authorization: Bearer`, unless the broker was told to do without. A host
//! pulls again while it works, so it may have any number of calls. What it has is handed to nobody
//! else until its lease is over, which is when its parked pull's socket dies, or after 5 s without a
//! pull, a push or a parked socket. Then what may be repeated is handed out again, and the rest ends
//! as unknown; the original handed out again whatever had no answer for 1.5 s, and still can, for
//! [who asks for it](Seed::redeliver).

use crate::broker::{Ask, Attachment, Broker, Handout, Item, Lease, Life, Pushed};
use crate::foreign::{Number, Numbers};
use crate::native::{Former, Host, Refused};
use mcp_transport_core::Message;
use mcp_transport_core::delivery::Replay;
use std::time::{Duration, Instant};

/// Where work is pulled.
pub const PULL: &str = "/_b/pull";

/// Where answers are pushed.
pub const PUSH: &str = "/_b/push";

/// The header with the number of a call, in lower case.
pub const REQ_ID: &str = "x-broker-reqid";

/// How many calls a host may have at once.
const WINDOW: usize = 256;

/// What is known of the host that pulls. One for each broker.
#[derive(Debug)]
pub struct Seed {
    numbers: Numbers,
    silence: Duration,
    redeliver: bool,
    current: Option<(String, Lease)>,
    parked: usize,
}

impl Seed {
    /// Nobody was there. `silence`: after how long without a sign the host is gone.
    pub const fn new(numbers: Numbers, silence: Duration) -> Self {
        Self {
            numbers,
            silence,
            redeliver: false,
            current: None,
            parked: 0,
        }
    }

    /// Hands out again whatever a host that is gone had not answered, be it twice the effect.
    #[must_use]
    pub const fn redeliver(mut self, redeliver: bool) -> Self {
        self.redeliver = redeliver;
        self
    }

    /// How a client's request is to be treated.
    pub fn ask(&self) -> Ask {
        match self.redeliver {
            true => Ask::default().replay(Replay::Safe),
            false => Ask::default(),
        }
    }

    /// The host wants work, and its socket is parked: the lease for which it waits. To be followed
    /// by [`unparked`](Self::unparked) or [`died`](Self::died).
    ///
    /// # Errors
    /// [`Word::Busy`](crate::native::Word::Busy) while a host of another dialect is alive;
    /// [`Word::ShuttingDown`](crate::native::Word::ShuttingDown).
    pub fn parks(&mut self, broker: &mut Broker, now: Instant) -> Result<Lease, Refused> {
        let lease = match self.lease(broker) {
            Some(lease) => lease,
            None => self.seat(broker, now)?,
        };
        self.parked += 1;
        broker.heard(now, lease);
        broker.connections(now, lease, self.parked);
        Ok(lease)
    }

    /// A pull of this lease was answered.
    pub fn unparked(&mut self, broker: &mut Broker, now: Instant, lease: Lease) {
        if self.lease(broker) == Some(lease) {
            self.parked = self.parked.saturating_sub(1);
            broker.connections(now, lease, self.parked);
        }
    }

    /// The socket of a parked pull of this lease died, and with the last one the host.
    pub fn died(&mut self, broker: &mut Broker, now: Instant, lease: Lease) {
        self.unparked(broker, now, lease);
        if self.lease(broker) == Some(lease) && self.parked == 0 {
            broker.lost(now, lease);
        }
    }

    /// The number and the body of what a pull got; `None` where the host would not understand it.
    pub fn work(&mut self, handout: &Handout) -> Option<(u64, Message)> {
        match &handout.item {
            Item::Request {
                ticket, message, ..
            } => Some((self.numbers.call(*ticket), message.clone())),
            Item::Aside(message) => Some((self.numbers.aside(), message.clone())),
            Item::Cancel(_) | Item::Gone => None,
        }
    }

    /// The host pushes an answer. False where there is no such call.
    pub fn push(&mut self, broker: &mut Broker, now: Instant, number: &str, body: Message) -> bool {
        let Some(number) = self.numbers.read(number) else {
            return false;
        };
        let lease = match self.lease(broker) {
            Some(lease) => lease,
            // It took its time, and is alive after all.
            None => match self.seat(broker, now) {
                Ok(lease) => lease,
                Err(_) => return false,
            },
        };
        broker.heard(now, lease);
        match number {
            Number::Call(ticket) => broker.answer(now, lease, ticket, body) != Pushed::Stray,
            Number::Aside => true,
        }
    }

    /// The lease that is alive.
    fn lease(&self, broker: &Broker) -> Option<Lease> {
        let (name, lease) = self.current.as_ref()?;
        broker.lease(name).is_ok().then_some(*lease)
    }

    fn seat(&mut self, broker: &mut Broker, now: Instant) -> Result<Lease, Refused> {
        let host = Host {
            name: "the host at /_b/pull".to_owned(),
            ..Host::default()
        };
        let life = Life::Any {
            silence: self.silence,
            working: Duration::ZERO,
        };
        let mut attachment = Attachment::foreign(host, WINDOW, life);
        // What it got before it was taken for gone it may still answer.
        attachment.former = self.current.take().map(|(lease, _)| Former {
            lease,
            ..Former::default()
        });
        let granted = broker.attach(now, attachment)?;
        self.current = Some((granted.name, granted.lease));
        self.parked = 0;
        Ok(granted.lease)
    }
}
