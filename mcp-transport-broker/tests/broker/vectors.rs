//! The vectors of PROTOCOL.md, replayed against the broker and the types of the wire.

use mcp_transport_broker::broker::{
    Ask, Attachment, Broker, ClientId, Config, Handout, Item, Lease, Output, Pushed, Ticket,
};
use mcp_transport_broker::native::{
    self, Attach, Attached, BrokerInfo, Detach, Era, Given, Meet, Pull, Pulled, Push, Refused,
    Resumed,
};
use mcp_transport_core::{Id, Message};
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::fmt::Write;
use std::time::{Duration, Instant};

const PROTOCOL: &str = include_str!("../../PROTOCOL.md");

#[test]
fn the_vectors_of_the_protocol_are_what_happens() {
    let (_, rest) = PROTOCOL.split_once("```vectors\n").unwrap();
    let (vectors, _) = rest.split_once("```").unwrap();
    let mut replay = Replay::new();
    for line in vectors.lines() {
        match line.split_once(" > ") {
            Some((who, what)) => replay.say(who, what),
            None if line.is_empty() => replay.written.push('\n'),
            None => assert!(line.contains(" < "), "{line}"),
        }
    }
    let written = replay.written;
    assert_eq!(vectors, written, "what happens is:\n{written}");
}

struct Replay {
    broker: Broker,
    now: Instant,
    leases: Vec<String>,
    seq: u64,
    tickets: HashMap<(ClientId, Id), Ticket>,
    clients: HashMap<Ticket, ClientId>,
    written: String,
}

impl Replay {
    fn new() -> Self {
        let mut dice = 0;
        let random = move || {
            dice += 0x11;
            [dice; 16]
        };
        Self {
            broker: Broker::new(Config::default(), random),
            now: Instant::now(),
            leases: Vec::new(),
            seq: 0,
            tickets: HashMap::new(),
            clients: HashMap::new(),
            written: String::new(),
        }
    }

    fn say(&mut self, who: &str, what: &str) {
        writeln!(self.written, "{who} > {what}").unwrap();
        match who {
            "host" | "former" | "other" => {
                let (path, body) = what.split_once(' ').unwrap();
                let lease = match who {
                    "former" => self.leases.get(self.leases.len() - 2),
                    _ => self.leases.last(),
                };
                let lease = lease.cloned().unwrap_or_default();
                match self.host(&lease, path, body) {
                    Ok(answer) => writeln!(self.written, "{who} < {answer}").unwrap(),
                    Err(refused) => {
                        let (status, refused) = (refused.error.status(), json(&refused));
                        writeln!(self.written, "{who} < {status} {refused}").unwrap();
                    }
                }
            }
            "time" => {
                let millis = what.strip_suffix(" ms").unwrap().parse().unwrap();
                self.now += Duration::from_millis(millis);
                self.broker.handle_timeout(self.now);
            }
            client => self.client(client.parse().unwrap(), what),
        }
        self.drain();
    }

    fn client(&mut self, client: ClientId, what: &str) {
        if let Some(as_what) = what.strip_prefix("connects ") {
            let (era, version) = as_what.split_once(' ').unwrap();
            let era = match era {
                "legacy" => Era::Legacy,
                _ => Era::Modern,
            };
            let version = version.to_owned();
            let met = self.broker.meet(self.now, Meet { era, version });
            assert_eq!(met, Ok(client));
        } else if let Some(id) = what.strip_prefix("hangs up ") {
            let id = Id::from_json(id).unwrap();
            self.broker.hang_up(self.now, self.tickets[&(client, id)]);
        } else {
            let message = Message::from(what.to_owned());
            let Some(id) = message.id().cloned() else {
                return self.broker.tell(self.now, client, message).unwrap();
            };
            let asked = self.broker.ask(self.now, client, message, Ask::default());
            let ticket = asked.unwrap();
            self.tickets.insert((client, id), ticket);
            self.clients.insert(ticket, client);
        }
    }

    fn host(&mut self, lease: &str, path: &str, body: &str) -> Result<String, Refused> {
        if path == "attach" {
            return self.attach(read(body));
        }
        let lease = self.broker.lease(lease)?;
        self.broker.heard(self.now, lease);
        Ok(match path {
            "pull" => self.pull(lease, Vec::new(), read(body)),
            "push" => self.push(lease, read(body)),
            "ping" => "{}".to_owned(),
            "detach" => {
                let detach: Detach = read(body);
                self.broker.detach(self.now, lease, &detach);
                "{}".to_owned()
            }
            other => panic!("{other}"),
        })
    }

    fn attach(&mut self, attach: Attach) -> Result<String, Refused> {
        let granted = self.broker.attach(self.now, Attachment::from(attach))?;
        let config = self.broker.config();
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap();
        self.seq = 0;
        self.leases.push(granted.name.clone());
        Ok(json(&Attached {
            lease: granted.name,
            ping_ms: millis(config.ping),
            silence_ms: millis(config.silence),
            broker: BrokerInfo {
                name: "mcp-broker".to_owned(),
                version: "0.1.0".to_owned(),
                pid: 99,
            },
            former: granted.coming.map(|coming| Resumed { coming }),
        }))
    }

    fn push(&mut self, lease: Lease, push: Push) -> String {
        let mut stray = Vec::new();
        for said in push.items {
            let message = said
                .message
                .map(|message| Message::from(message.get().to_owned()));
            let client = said.client.map(|client| client.parse().unwrap());
            if let Some(ticket) = said.started {
                self.broker.started(lease, ticket.into());
            } else if let (Some(ticket), Some(message)) = (said.ticket, message.clone()) {
                let pushed = self.broker.answer(self.now, lease, ticket.into(), message);
                stray.extend((pushed == Pushed::Stray).then_some(ticket));
            } else if let (Some(client), Some(message)) = (client, message) {
                let about = said.about.map(Ticket::from);
                self.broker.say(self.now, lease, client, about, message);
            } else if let Some(client) = client.filter(|_| said.closed) {
                self.broker.closed(self.now, lease, client);
            }
        }
        let Some(pull) = push.pull else {
            let pushed = native::Pushed {
                stray,
                ..native::Pushed::default()
            };
            return json(&pushed);
        };
        self.pull(lease, stray, pull)
    }

    fn pull(&mut self, lease: Lease, stray: Vec<u64>, pull: Pull) -> String {
        let handouts = self.broker.pull(self.now, lease, pull.max);
        self.seq += u64::from(!handouts.is_empty());
        let seq = (!handouts.is_empty()).then_some(self.seq);
        let items = handouts.into_iter().map(given).collect();
        let answer = if stray.is_empty() {
            json(&Pulled { seq, items })
        } else {
            json(&native::Pushed { stray, seq, items })
        };
        answer.replace(
            &format!(r#""version":"{}""#, env!("CARGO_PKG_VERSION")),
            r#""version":"0.1.0""#,
        )
    }

    fn drain(&mut self) {
        while let Some(output) = self.broker.poll_output() {
            let (client, message) = match output {
                Output::Answer { ticket, message } => (self.clients[&ticket], message),
                Output::Tell {
                    client, message, ..
                } => (client, message),
                _ => continue,
            };
            let message = message.as_str().unwrap();
            writeln!(self.written, "{client} < {message}").unwrap();
        }
    }
}

/// A handing out as it is on the wire.
fn given(handout: Handout) -> Given {
    let mut given = Given {
        client: handout.client.to_string(),
        meet: handout.meet,
        ..Given::default()
    };
    let raw = |message: Message| {
        let text = message.as_str().unwrap().to_owned();
        Some(RawValue::from_string(text).unwrap())
    };
    match handout.item {
        Item::Request {
            ticket,
            message,
            redelivered,
        } => {
            given.ticket = Some(ticket.get());
            given.redelivered = redelivered;
            given.message = raw(message);
        }
        Item::Aside(message) => given.message = raw(message),
        Item::Cancel(ticket) => {
            given.ticket = Some(ticket.get());
            given.cancel = true;
        }
        Item::Gone => given.gone = true,
    }
    given
}

fn read<T: serde::de::DeserializeOwned>(body: &str) -> T {
    serde_json::from_str(body).unwrap()
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap()
}
