//! The host's plane: the native dialect.

use super::answer::{self, Answer};
use super::body::{EventStream, Reply};
use super::hub::Asked;
use super::items::{Push, Said};
use super::route::{HostCall, Shared};
use crate::broker::{Attachment, Broker, ClientId, HandOver, Lease, Pushed, Ticket};
use crate::native::{
    Attach, Attached, BrokerInfo, Claim, Detach, DetachReason, Hello, LEASE_HEADER, NAME, PREFIX,
    PROTOCOL, Pull, Refused, Replace, Resumed, Word, proof,
};
use crate::run;
use bytes::Bytes;
use http::Method;
use http::request::Parts;
use mcp_transport_core::Message;
use serde::Deserialize;
use serde::Serialize;
use std::time::{Duration, Instant};

/// The longest that a pull may wait: 30 s.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// The most that a pull may take.
const MAX_ITEMS: usize = 1_024;

/// Answers a request of a host's, or of whoever else knows the token.
pub(super) async fn answer(shared: &Shared, call: HostCall) -> Answer {
    match route(shared, &call).await {
        Ok(answer) => answer,
        Err(refused) => answer::host(&refused),
    }
}

async fn route(shared: &Shared, call: &HostCall) -> Result<Answer, Refused> {
    let path = call.head.uri.path();
    let what = path.strip_prefix(PREFIX).unwrap_or_default();
    if what == "hello" {
        return hello(shared, call);
    }
    let known = [
        "attach", "pull", "push", "ping", "detach", "status", "stop", "replace", "claim", "rest",
    ];
    if !known.contains(&what) {
        let text = format!("{path} is no path of the native dialect, version {PROTOCOL}");
        return Err(Refused::new(Word::UnknownPath, text));
    }
    if call.head.method != Method::POST {
        let text = format!("{path} takes POST");
        return Err(Refused::new(Word::Method, text));
    }
    match what {
        "attach" => attach(shared, call),
        "pull" => {
            let lease = lease(call)?;
            let pull = parse::<Pull>(call)?;
            hand_out(call, lease, &[], pull).await
        }
        "push" => push(call).await,
        "ping" => {
            lease(call)?;
            Ok(nothing())
        }
        "detach" => {
            let lease = lease(call)?;
            let detach = parse::<Detach>(call)?;
            call.hub.detach(lease, &detach);
            if detach.reason == DetachReason::ShuttingDown && shared.config.exit_with_host {
                shared.ask_to_stop();
            }
            Ok(nothing())
        }
        "status" => Ok(json(&shared.hub().status())),
        "stop" => {
            shared.ask_to_stop();
            Ok(nothing())
        }
        "replace" => replace(shared, call).await,
        "claim" => claim(shared, call),
        _ => {
            call.hub.take_rest(parse::<HandOver>(call)?);
            Ok(nothing())
        }
    }
}

/// A newer broker takes over.
async fn replace(shared: &Shared, call: &HostCall) -> Result<Answer, Refused> {
    let Replace { pid } = parse(call)?;
    let over = match pid.is_none_or(|pid| pid == std::process::id()) {
        true => shared.hand_over().await,
        false => None,
    };
    match over {
        Some(over) => Ok(json(&over)),
        None => {
            let text = "a newer broker has taken over already; ask that one";
            Err(Refused::new(Word::Replaced, text))
        }
    }
}

/// Whether a request is for this broker, although a newer one has taken over: a host's that has its
/// lease here, another taking over, or who asks whom they have met. The latter may be this broker
/// itself, on its way to the newer one by a connection that was still its own.
pub(super) fn stays(head: &Parts) -> bool {
    let what = head.uri.path().strip_prefix(PREFIX);
    matches!(what, Some("replace" | "hello"))
        || what != Some("attach") && head.headers.contains_key(LEASE_HEADER)
}

/// A broker that this one has replaced waits for an answer.
fn claim(shared: &Shared, call: &HostCall) -> Result<Answer, Refused> {
    let Claim { operation_id } = parse(call)?;
    let Some(Asked { reader, watched }) = call.hub.claim(&operation_id) else {
        let text = "there is no such operation here, or it was claimed before";
        return Err(Refused::new(Word::UnknownOperation, text));
    };
    let stream = EventStream::new(reader, watched, shared.config.comment_every);
    Ok(answer::events(Reply::stream(stream)))
}

/// Who has this port, for whoever has a token to keep.
fn hello(shared: &Shared, call: &HostCall) -> Result<Answer, Refused> {
    if call.head.method != Method::GET {
        return Err(Refused::new(Word::Method, "hello takes GET"));
    }
    let query = call.head.uri.query().unwrap_or_default();
    let mut members = query.split('&');
    let nonce = members.find_map(|member| member.strip_prefix("nonce="));
    let nonce = nonce
        .filter(|nonce| nonce.len() <= 64 && nonce.bytes().all(|digit| digit.is_ascii_hexdigit()));
    let Some(nonce) = nonce else {
        let text = "hello takes a nonce of up to 64 hexadecimal digits";
        return Err(Refused::new(Word::Malformed, text));
    };
    Ok(json(&Hello {
        name: NAME.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        protocols: vec![PROTOCOL],
        pid: std::process::id(),
        proof: proof(&shared.config.token.text, shared.port(), nonce),
    }))
}

fn attach(shared: &Shared, call: &HostCall) -> Result<Answer, Refused> {
    if !shared.config.dialects.contains(&run::Dialect::Native) {
        let text = "this broker was told to serve hosts of other dialects only";
        return Err(Refused::new(Word::UnknownPath, text));
    }
    #[derive(Deserialize)]
    struct Version {
        protocol: u32,
    }
    // The version first: another one may have another shape.
    let Version { protocol } = parse(call)?;
    if protocol != PROTOCOL {
        let text = format!("this broker speaks version {PROTOCOL} of the native dialect");
        let mut refused = Refused::new(Word::Incompatible, text);
        refused.protocols = vec![PROTOCOL];
        return Err(refused);
    }
    let attach = parse::<Attach>(call)?;
    let tunnel = attach.tunnel;
    if tunnel.is_some_and(|address| !address.ip().is_loopback()) {
        let text = "a tunnel ends at an address of this machine: 127.0.0.1 or [::1]";
        return Err(Refused::new(Word::Malformed, text));
    }
    let granted = call.hub.attach(Attachment::from(attach), tunnel)?;
    shared.speaking.set(run::Dialect::Native);
    call.conn.speaks_for(granted.lease);
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let times = shared.config.broker;
    Ok(json(&Attached {
        lease: granted.name,
        ping_ms: millis(times.ping),
        silence_ms: millis(times.silence),
        broker: BrokerInfo {
            name: NAME.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
        },
        former: granted.coming.map(|coming| Resumed { coming }),
    }))
}

async fn push(call: &HostCall) -> Result<Answer, Refused> {
    let lease = lease(call)?;
    let push = parse::<Push<'_>>(call)?;
    let heard = push.items.iter().map(|said| Heard::of(said, &call.body));
    let heard = heard.collect::<Result<Vec<_>, _>>()?;
    let stray = call.hub.act(|broker, now| {
        let stray = |heard: Heard| heard.tell(broker, now, lease);
        heard.into_iter().filter_map(stray).collect::<Vec<_>>()
    });
    match push.pull {
        Some(pull) => hand_out(call, lease, &stray, pull).await,
        None => {
            #[derive(Serialize)]
            struct Strays {
                #[serde(skip_serializing_if = "Vec::is_empty")]
                stray: Vec<u64>,
                items: [(); 0],
            }
            Ok(json(&Strays { stray, items: [] }))
        }
    }
}

/// One item of a push, with its message cut out.
struct Heard {
    started: Option<Ticket>,
    ticket: Option<Ticket>,
    client: Option<ClientId>,
    about: Option<Ticket>,
    message: Option<Message>,
    closed: bool,
}

impl Heard {
    fn of(said: &Said<'_>, body: &Bytes) -> Result<Self, Refused> {
        let client = said.client.as_deref().map(|client| {
            client.parse().map_err(|error| {
                let text = format!("{client} is no client: {error}");
                Refused::new(Word::Malformed, text)
            })
        });
        Ok(Self {
            started: said.started.map(Ticket::from),
            ticket: said.ticket.map(Ticket::from),
            client: client.transpose()?,
            about: said.about.map(Ticket::from),
            message: said.message(body),
            closed: said.closed,
        })
    }

    /// Tells the broker. Returns the ticket of an answer that it has no use for.
    fn tell(self, broker: &mut Broker, now: Instant, lease: Lease) -> Option<u64> {
        if let Some(ticket) = self.started {
            broker.started(lease, ticket);
        }
        match (self.ticket, self.client, self.message) {
            (Some(ticket), _, Some(message)) => {
                let pushed = broker.answer(now, lease, ticket, message);
                return (pushed == Pushed::Stray).then_some(ticket.get());
            }
            (_, Some(client), Some(message)) => {
                broker.say(now, lease, client, self.about, message);
            }
            _ => {}
        }
        if let Some(client) = self.client.filter(|_| self.closed) {
            broker.closed(now, lease, client);
        }
        None
    }
}

/// What there is, or will be within the time that the host waits.
async fn hand_out(
    call: &HostCall,
    lease: Lease,
    stray: &[u64],
    pull: Pull,
) -> Result<Answer, Refused> {
    let max = pull.max.clamp(1, MAX_ITEMS);
    let wait = Duration::from_millis(pull.wait_ms).min(MAX_WAIT);
    let handed = if wait.is_zero() || !stray.is_empty() {
        call.hub.pull(lease, max)
    } else {
        match call.hub.park(lease, max, wait).await {
            Ok(handed) => handed,
            // Asking by its name says why it ended.
            Err(ended) => return Err(self::lease(call).err().unwrap_or(ended)),
        }
    };
    let body = handed.encode(stray);
    Ok(answer::json_reply(200, Reply::handed(body, handed)))
}

/// Whom this request speaks for. It was heard of.
fn lease(call: &HostCall) -> Result<Lease, Refused> {
    let name = call.head.headers.get(LEASE_HEADER);
    let name = name.and_then(|name| name.to_str().ok()).ok_or_else(|| {
        let text = "the MCP-Broker-Lease header is missing; attach, and say the lease";
        Refused::new(Word::Malformed, text)
    })?;
    let lease = call.hub.lease(name)?;
    call.conn.speaks_for(lease);
    Ok(lease)
}

/// A body; none counts as `{}`.
fn parse<'a, T: Deserialize<'a>>(call: &'a HostCall) -> Result<T, Refused> {
    let body = match call.body.is_empty() {
        true => b"{}",
        false => &call.body[..],
    };
    serde_json::from_slice(body).map_err(|error| {
        let text = format!(
            "the body is not what {} takes: {error}",
            call.head.uri.path()
        );
        Refused::new(Word::Malformed, text)
    })
}

fn nothing() -> Answer {
    answer::json(200, "{}")
}

fn json(body: &impl Serialize) -> Answer {
    let body = serde_json::to_vec(body).expect("text and numbers always serialise");
    answer::json(200, body)
}
