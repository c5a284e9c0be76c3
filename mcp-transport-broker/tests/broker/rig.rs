//! A broker, a clock, and what came out.

use mcp_transport_broker::broker::{
    Ask, Attachment, Broker, ClientId, Config, Granted, Handout, Item, Lease, Output, Pushed,
    Refusal, Snapshot, Ticket,
};
use mcp_transport_broker::native::{Attach, Era, Former, Host, Meet, Refused};
use mcp_transport_core::{Ending, Message, Outcome};
use serde_json::{Value, json};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

pub const LEGACY: &str = "2025-11-25";
pub const MODERN: &str = "2026-07-28";

pub struct Rig {
    pub broker: Broker,
    pub now: Instant,
    pub answers: Vec<(Ticket, Message)>,
    pub tells: Vec<(ClientId, Option<Ticket>, Message)>,
    pub cancelled: Vec<Ticket>,
    pub closed: Vec<ClientId>,
    pub over: Vec<Lease>,
    pub ready: usize,
    pub snapshot: Option<Snapshot>,
}

pub const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub fn dice() -> impl FnMut() -> [u8; 16] + Send + 'static {
    let mut dice = fastrand::Rng::with_seed(7);
    move || std::array::from_fn(|_| dice.u8(..))
}

pub fn host(instance: &str) -> Host {
    Host {
        name: "game".to_owned(),
        instance: instance.to_owned(),
        project: "Game@1".to_owned(),
        pid: Some(42),
        ..Host::default()
    }
}

pub fn attach_of(instance: &str) -> Attach {
    Attach {
        protocol: 1,
        host: host(instance),
        window: 256,
        reason: String::new(),
        holds_connection: false,
        tunnel: None,
        former: None,
    }
}

pub fn call(id: u64) -> Message {
    Message::from(format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"dig"}}}}"#
    ))
}

pub fn call_with_progress(id: u64) -> Message {
    Message::from(format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"dig","_meta":{{"progressToken":"p{id}"}}}}}}"#
    ))
}

pub fn request(id: u64, method: &str) -> Message {
    Message::from(json!({"jsonrpc":"2.0","id":id,"method":method}).to_string())
}

pub fn initialize(id: u64) -> Message {
    let params =
        json!({"protocolVersion":LEGACY,"capabilities":{},"clientInfo":{"name":"t","version":"1"}});
    Message::from(
        json!({"jsonrpc":"2.0","id":id,"method":"initialize","params":params}).to_string(),
    )
}

pub fn initialize_result() -> Value {
    json!({"protocolVersion":LEGACY,"capabilities":{"tools":{"listChanged":true}},"serverInfo":{"name":"g","version":"1"}})
}

pub fn notification(method: &str) -> Message {
    Message::from(json!({"jsonrpc":"2.0","method":method}).to_string())
}

pub fn result(id: u64, result: &Value) -> Message {
    Message::from(json!({"jsonrpc":"2.0","id":id,"result":result}).to_string())
}

/// The answer to any request, with this result.
pub fn result_of(request: &Message, result: &Value) -> Message {
    Message::response(request.id().unwrap(), result).unwrap()
}

/// The ending in an answer; it fits the published schema.
pub fn ending(answer: &Message) -> Option<Ending> {
    static SCHEMA: LazyLock<jsonschema::Validator> = LazyLock::new(|| {
        jsonschema::validator_for(&serde_json::from_str(Ending::SCHEMA).unwrap()).unwrap()
    });
    let answer: Value = answer.json().unwrap();
    let data = answer.get("error")?.get("data")?;
    assert!(SCHEMA.is_valid(data), "{data}");
    let ending: Ending = serde_json::from_value(data.clone()).unwrap();
    assert_eq!(answer["error"]["message"], ending.message.as_str());
    Some(ending)
}

impl Rig {
    pub fn new() -> Self {
        Self::with(Config::default())
    }

    pub fn with(config: Config) -> Self {
        Self {
            broker: Broker::new(config, dice()),
            now: Instant::now(),
            answers: Vec::new(),
            tells: Vec::new(),
            cancelled: Vec::new(),
            closed: Vec::new(),
            over: Vec::new(),
            ready: 0,
            snapshot: None,
        }
    }

    pub fn drain(&mut self) {
        while let Some(output) = self.broker.poll_output() {
            match output {
                Output::Answer { ticket, message } => self.answers.push((ticket, message)),
                Output::Cancelled { ticket } => self.cancelled.push(ticket),
                Output::Tell {
                    client,
                    about,
                    message,
                } => self.tells.push((client, about, message)),
                Output::Ready => self.ready += 1,
                Output::LeaseOver { lease } => self.over.push(lease),
                Output::Closed { client } => self.closed.push(client),
                Output::Catalogue(snapshot) => self.snapshot = Some(snapshot),
                other => panic!("{other:?}"),
            }
        }
    }

    /// Time passes, and whatever is due on the way happens when it is due.
    pub fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(at) = self.broker.poll_timeout().filter(|&at| at <= until) {
            self.now = self.now.max(at);
            self.broker.handle_timeout(self.now);
            self.drain();
        }
        self.now = until;
    }

    /// As `pass`, with a host that pings.
    pub fn pass_alive(&mut self, lease: Lease, time: Duration) {
        let until = self.now + time;
        while self.now < until {
            self.broker.heard(self.now, lease);
            self.pass((until - self.now).min(s(5)));
        }
    }

    pub fn modern(&mut self) -> ClientId {
        let meet = Meet {
            era: Era::Modern,
            version: MODERN.to_owned(),
        };
        self.broker.meet(self.now, meet).unwrap()
    }

    pub fn legacy(&mut self) -> ClientId {
        let meet = Meet {
            era: Era::Legacy,
            version: LEGACY.to_owned(),
        };
        self.broker.meet(self.now, meet).unwrap()
    }

    /// A legacy client that has initialised at this host.
    pub fn initialised(&mut self, lease: Lease) -> ClientId {
        let client = self.legacy();
        let ticket = self.ask(client, initialize(0));
        self.pull(lease);
        self.answer(lease, ticket, result(0, &initialize_result()));
        self.tell(client, notification("notifications/initialized"));
        self.pull(lease);
        self.answered(ticket);
        client
    }

    pub fn try_ask(&mut self, client: ClientId, request: Message) -> Result<Ticket, Refusal> {
        let ticket = self.broker.ask(self.now, client, request, Ask::default());
        self.drain();
        ticket
    }

    pub fn ask(&mut self, client: ClientId, request: Message) -> Ticket {
        self.try_ask(client, request).unwrap()
    }

    pub fn tell(&mut self, client: ClientId, message: Message) {
        self.broker.tell(self.now, client, message).unwrap();
        self.drain();
    }

    pub fn hang_up(&mut self, ticket: Ticket) {
        self.broker.hang_up(self.now, ticket);
        self.drain();
    }

    pub fn try_attach(&mut self, attach: Attach) -> Result<Granted, Refused> {
        self.try_attach_as(Attachment::from(attach))
    }

    pub fn try_attach_as(&mut self, attachment: Attachment) -> Result<Granted, Refused> {
        let granted = self.broker.attach(self.now, attachment);
        self.drain();
        granted
    }

    /// A host attaches, and what the broker asks it for itself is refused.
    pub fn attach(&mut self, attach: Attach) -> Granted {
        let granted = self.try_attach(attach).unwrap();
        self.refuse_inquiries(granted.lease);
        granted
    }

    pub fn attach_again(&mut self, former: Former) -> Granted {
        let mut attach = attach_of("b");
        attach.former = Some(former);
        self.attach(attach)
    }

    fn refuse_inquiries(&mut self, lease: Lease) {
        let before = self.broker.pull(self.now, lease, 1_024);
        let mut others = Vec::new();
        for handout in before {
            match &handout.item {
                Item::Request {
                    ticket, message, ..
                } if is_inquiry(message) => {
                    let error = Message::error(message.id(), -32601, "no", None::<()>);
                    self.broker.answer(self.now, lease, *ticket, error);
                }
                _ => others.push(handout),
            }
        }
        self.broker.unpull(self.now, lease, others);
        // What became of the inquiries.
        let after = self.broker.pull(self.now, lease, 1_024);
        let kept = after
            .into_iter()
            .filter(|handout| handout.item != Item::Gone)
            .collect();
        self.broker.unpull(self.now, lease, kept);
        self.drain();
    }

    pub fn pull(&mut self, lease: Lease) -> Vec<Handout> {
        let handouts = self.broker.pull(self.now, lease, 1_024);
        self.drain();
        handouts
    }

    /// The tickets of the requests that a pull gets, and whether they are flagged.
    pub fn pull_tickets(&mut self, lease: Lease) -> Vec<(u64, bool)> {
        let handouts = self.pull(lease);
        handouts
            .iter()
            .filter_map(|handout| match handout.item {
                Item::Request {
                    ticket,
                    redelivered,
                    ..
                } => Some((ticket.get(), redelivered)),
                _ => None,
            })
            .collect()
    }

    pub fn answer(&mut self, lease: Lease, ticket: Ticket, message: Message) -> Pushed {
        let pushed = self.broker.answer(self.now, lease, ticket, message);
        self.drain();
        pushed
    }

    /// The one answer that this call got.
    #[track_caller]
    pub fn answered(&mut self, ticket: Ticket) -> Message {
        let count = self.answers.iter().filter(|(t, _)| *t == ticket).count();
        assert_eq!(count, 1, "answers to {ticket}");
        let place = self.answers.iter().position(|(t, _)| *t == ticket).unwrap();
        self.answers.remove(place).1
    }

    /// The one bad ending that this call got.
    #[track_caller]
    pub fn ended(&mut self, ticket: Ticket) -> (Outcome, String) {
        let ending = ending(&self.answered(ticket)).expect("a bad ending");
        (ending.outcome, ending.cause.into_owned())
    }

    #[track_caller]
    pub fn is_waiting(&self, ticket: Ticket) {
        assert!(
            self.answers.iter().all(|(other, _)| *other != ticket),
            "{ticket} has an answer: {:?}",
            self.answers
        );
    }
}

/// The broker's own requests name the broker.
pub fn is_inquiry(message: &Message) -> bool {
    let params = message.params().unwrap_or_default();
    params.contains(r#""name":"mcp-transport-broker""#)
}
