//! What travels on the bridge: the welcome line, the ping, the seat frames, and what a frame is. Pure.
//!
//! The framing itself is core's [`LengthPrefixed`]. The facts are those
//! of the installed plugin (10.1) and of the Python server for it (10.3); the seat frames are ours, on their wire: the
//! plugin answers them as the pings that they are.

use bytes::{Bytes, BytesMut};
use mcp_transport_core::codec::{Codec, LengthPrefixed, Outgoing};
use mcp_transport_core::{Error, ErrorKind, Eviction, Message};
use memchr::{memchr, memmem};
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio_util::codec::{Decoder, Encoder};

/// What the listening side says first, unframed: exactly 30 bytes. Nothing may follow right behind it, since the Python
/// client throws away what it reads together with the line.
pub const WELCOME: &[u8; 30] = b"WELCOME UNITY-MCP 1 FRAMING=1\n";

/// How long a welcome line may be, its end included: 512 bytes, as the Python client has it.
pub const MAX_WELCOME: usize = 512;

/// How long to wait for the welcome line: 1 s, as the Python client does.
pub const WELCOME_TIMEOUT: Duration = Duration::from_secs(1);

/// The payload of a ping. It is no JSON.
pub const PING: &[u8; 4] = b"ping";

/// The answer to a ping, byte for byte: the Python client looks for `"message":"pong"` without a space.
pub const PONG: &[u8; 48] = br#"{"status":"success","result":{"message":"pong"}}"#;

/// The largest payload in either direction: 64 MiB, inclusive.
pub const MAX_PAYLOAD: usize = mcp_transport_core::codec::MAX_MESSAGE;

/// What a connection asks of a bridge that has seats, by its first frame.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "one either takes the seat or waits for it"
)]
pub enum Claim {
    /// The seat, now; whoever has it loses it, if the listener's policy says so.
    Take,
    /// The seat, once it is free. The answer comes then.
    IfFree,
}

/// A frame as the listening side reads it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Request {
    /// A ping, in either of its forms: the bare word, or a command of the type `ping`.
    Ping,
    /// A ping that asks for the seat.
    Seat(Claim),
    /// Anything else: for the application, whatever it is.
    Command,
}

/// A frame as the dialling side reads it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Incoming {
    /// The listener took our seat away.
    Evicted(Eviction),
    /// The listener refused us the seat, or a command for want of it.
    Refused(Refusal),
    /// The answer to a ping.
    Pong,
    /// Anything else: an answer, unchanged.
    Answer,
}

/// How a listener says that somebody else has the seat, and keeps it. An ordinary error answer to those who do not know it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Refusal {
    /// Who has the seat: an endpoint, as the listener saw it.
    pub holder: String,
    /// What happened and the way out, for people and models.
    pub text: String,
}

/// Finds the end of a welcome line.
///
/// `Some(n)` is a good one of `n` bytes, its end included; what follows are frames. `None` is the beginning of one.
///
/// # Errors
/// [`ErrorKind::Incompatible`] for a line without `FRAMING=1`, or of more than [`MAX_WELCOME`] bytes.
///
/// ```
/// use mcp_transport_stdio::bridge::wire;
///
/// assert_eq!(wire::read_welcome(wire::WELCOME).unwrap(), Some(30));
/// assert_eq!(wire::read_welcome(b"WELCOME UNI").unwrap(), None);
/// assert!(wire::read_welcome(b"SSH-2.0-OpenSSH_9.9\r\n").is_err());
/// ```
pub fn read_welcome(bytes: &[u8]) -> Result<Option<usize>, Error> {
    let head = &bytes[..bytes.len().min(MAX_WELCOME)];
    let Some(end) = memchr(b'\n', head) else {
        if head.len() == MAX_WELCOME {
            return Err(no_bridge(head, "said no line"));
        }
        return Ok(None);
    };
    let line = &head[..end];
    let framed = memmem::find_iter(line, FRAMING)
        .any(|at| !line.get(at + FRAMING.len()).is_some_and(u8::is_ascii_digit));
    if framed {
        Ok(Some(end + 1))
    } else {
        Err(no_bridge(line, "does not offer FRAMING=1"))
    }
}

/// The frame that asks for the seat: a ping to those who know no seats.
///
/// ```
/// use mcp_transport_stdio::bridge::wire::{self, Claim};
///
/// assert_eq!(wire::claim(Claim::IfFree), r#"{"type":"ping","params":{"seat":"if_free"}}"#);
/// ```
pub const fn claim(claim: Claim) -> &'static str {
    match claim {
        Claim::Take => r#"{"type":"ping","params":{"seat":"take"}}"#,
        Claim::IfFree => r#"{"type":"ping","params":{"seat":"if_free"}}"#,
    }
}

/// What a frame is to the listening side.
pub fn request(frame: &[u8]) -> Request {
    if frame.trim_ascii() == PING {
        return Request::Ping;
    }
    // A ping is small: nothing else is parsed on the way to the application.
    if frame.len() > MAX_PING {
        return Request::Command;
    }
    let Ok(Value::Object(command)) = serde_json::from_slice(frame) else {
        return Request::Command;
    };
    if command.get("type").is_none_or(|kind| kind != "ping") {
        return Request::Command;
    }
    let seat = command.get("params").and_then(|params| params.get("seat"));
    match seat.and_then(|seat| Claim::deserialize(seat).ok()) {
        Some(claim) => Request::Seat(claim),
        None => Request::Ping,
    }
}

/// What a frame is to the dialling side. An answer is not parsed, unless it may be something else.
pub fn incoming(frame: &[u8]) -> Incoming {
    if frame == PONG {
        return Incoming::Pong;
    }
    if mentions(frame, b"evicted") {
        if let Some(eviction) = Eviction::from_notice(frame) {
            return Incoming::Evicted(eviction);
        }
    }
    if frame.len() <= MAX_REFUSAL && mentions(frame, SEAT_TAKEN.as_bytes()) {
        if let Some(refusal) = Refusal::from_frame(frame) {
            return Incoming::Refused(refusal);
        }
    }
    if frame.len() <= MAX_PING && is_pong(frame) {
        return Incoming::Pong;
    }
    Incoming::Answer
}

/// An error answer, as the plugin gives one for a command that it could not run.
pub fn error_answer(text: &str) -> Bytes {
    #[derive(Serialize)]
    struct Answer<'a> {
        status: &'a str,
        error: &'a str,
    }
    let answer = Answer {
        status: "error",
        error: text,
    };
    Bytes::from(serde_json::to_vec(&answer).expect("text always serialises"))
}

/// True for an answer whose `status` is `"error"`: the Python client takes it for a failure of the transport, and sends
/// the same command again on a fresh connection.
pub fn is_error_answer(frame: &[u8]) -> bool {
    let status = || {
        let answer: Answer<'_> = serde_json::from_slice(frame).ok()?;
        serde_json::from_str::<String>(answer.status?.get()).ok()
    };
    mentions(frame, b"error") && status().is_some_and(|status| status == "error")
}

impl Refusal {
    /// As an error answer, to be framed like any answer.
    pub fn to_frame(&self) -> Bytes {
        let wire = RefusalWire {
            status: "error",
            reason: SEAT_TAKEN,
            error: &self.text,
            seat_holder: &self.holder,
        };
        Bytes::from(serde_json::to_vec(&wire).expect("text always serialises"))
    }

    /// Reads one; anything else is `None`.
    pub fn from_frame(frame: &[u8]) -> Option<Self> {
        let Ok(Value::Object(answer)) = serde_json::from_slice(frame) else {
            return None;
        };
        let text = |name| answer.get(name).and_then(Value::as_str);
        if text("status") != Some("error") || text("reason") != Some(SEAT_TAKEN) {
            return None;
        }
        Some(Self {
            holder: text("seat_holder").unwrap_or_default().to_owned(),
            text: text("error")?.to_owned(),
        })
    }
}

/// The dialling side's codec: one welcome line, then frames. The line is the first message that it decodes, so a read
/// may end anywhere, and what came behind the line is kept.
#[derive(Debug)]
pub(super) struct ClientCodec {
    welcomed: bool,
    frames: LengthPrefixed,
    torn: Torn,
}

/// Knows whether a codec holds the beginning of a frame whose rest has not arrived.
#[derive(Clone, Debug, Default)]
pub(super) struct Torn(Arc<AtomicBool>);

impl Torn {
    /// True after the codec has waited for the rest of a frame in vain.
    pub(super) fn is_torn(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl ClientCodec {
    /// Before the welcome line, with this limit of bytes for each payload.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            welcomed: false,
            frames: LengthPrefixed::with_limit(limit),
            torn: Torn::default(),
        }
    }

    /// Whether a frame is torn, for whoever holds the stream that holds the codec.
    pub(super) fn torn(&self) -> Torn {
        self.torn.clone()
    }
}

impl Decoder for ClientCodec {
    type Item = Message;
    type Error = Error;

    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<Message>, Error> {
        if self.welcomed {
            let frame = self.frames.decode(src);
            let torn = matches!(frame, Ok(None)) && !src.is_empty();
            self.torn.0.store(torn, Ordering::Relaxed);
            return frame;
        }
        let Some(length) = read_welcome(src)? else {
            return Ok(None);
        };
        self.welcomed = true;
        Ok(Some(Message::from(src.split_to(length).freeze())))
    }

    fn decode_eof(&mut self, src: &mut BytesMut) -> Result<Option<Message>, Error> {
        if self.welcomed {
            return self.frames.decode_eof(src);
        }
        match self.decode(src)? {
            None if !src.is_empty() => Err(Error::new(ErrorKind::Disconnected)
                .context("the stream ended inside the welcome line")),
            line => Ok(line),
        }
    }
}

impl Encoder<Message> for ClientCodec {
    type Error = Error;

    fn encode(&mut self, message: Message, dst: &mut BytesMut) -> Result<(), Error> {
        self.frames.encode(message, dst)
    }
}

impl Codec for ClientCodec {
    fn put(&mut self, message: &Message, out: &mut Outgoing) -> Result<(), Error> {
        self.frames.put(message, out)
    }
}

const FRAMING: &[u8] = b"FRAMING=1";

/// The `reason` of a [`Refusal`].
const SEAT_TAKEN: &str = "seat_taken";

/// No ping and no pong is larger; what is larger is not parsed to find out.
const MAX_PING: usize = 1024;

/// No refusal is larger.
const MAX_REFUSAL: usize = 4096;

#[derive(Serialize)]
struct RefusalWire<'a> {
    status: &'a str,
    reason: &'a str,
    error: &'a str,
    seat_holder: &'a str,
}

/// The `status` of an answer, which may be too large to keep more of it.
struct Answer<'a> {
    status: Option<&'a RawValue>,
}

/// By hand, since a derived one would read an array as an object and refuse a field that stands there twice. The last
/// counts, as for the Python client.
impl<'de> Deserialize<'de> for Answer<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(AnswerVisitor)
    }
}

struct AnswerVisitor;

impl<'de> Visitor<'de> for AnswerVisitor {
    type Value = Answer<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Answer<'de>, A::Error> {
        let mut status = None;
        while let Some(name) = map.next_key::<Name>()? {
            match name {
                Name::Status => status = Some(map.next_value()?),
                Name::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(Answer { status })
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Name {
    Status,
    #[serde(other)]
    Other,
}

/// False if no string in this JSON can be this word. Escapes may spell anything, so a frame that has one may.
fn mentions(frame: &[u8], word: &[u8]) -> bool {
    memmem::find(frame, word).is_some() || memmem::find(frame, br"\u").is_some()
}

/// A pong of another writer, who may put spaces elsewhere.
fn is_pong(frame: &[u8]) -> bool {
    serde_json::from_slice::<Value>(frame)
        .is_ok_and(|answer| answer["status"] == "success" && answer["result"]["message"] == "pong")
}

fn no_bridge(said: &[u8], what: &str) -> Error {
    let said = said[..said.len().min(64)].escape_ascii();
    Error::new(ErrorKind::Incompatible).context(format!(
        "who listens there {what}; it began with \"{said}\". Is it the port of a Unity bridge?"
    ))
}
