//! Losing one's place: why, to whom, when, and what to do. Its wire form is one JSON object.

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::fmt;

/// Why a peer took our place away.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum EvictionReason {
    /// The host reloads its code, and will be back.
    Reloading,
    /// The host is leaving.
    ShuttingDown,
    /// The peer stopped hearing us.
    Stale,
    /// A newer client took the seat. We never duel: standby, and back when the seat is free.
    Superseded,
}

/// What a peer told us when it took our place away.
///
/// ```
/// use mcp_transport_core::{Eviction, EvictionReason};
///
/// let eviction = Eviction::new(EvictionReason::Superseded)
///     .by("127.0.0.1:54321")
///     .at_unix_ms(1_748_345_678_901)
///     .saying("127.0.0.1:54321 took the bridge. Close it, then call again.");
/// let read = Eviction::from_notice(&eviction.to_notice()).unwrap();
/// assert_eq!(read.newcomer(), Some("127.0.0.1:54321"));
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Eviction {
    reason: EvictionReason,
    wire_reason: Option<String>,
    newcomer: Option<String>,
    at_unix_ms: Option<u64>,
    text: String,
}

/// The notice's `reason` for a newer client on a bridge that serves one.
const STOMPED: &str = "stdio_single_client_stomped";

impl Eviction {
    /// An eviction of which only the reason is known.
    pub const fn new(reason: EvictionReason) -> Self {
        Self {
            reason,
            wire_reason: None,
            newcomer: None,
            at_unix_ms: None,
            text: String::new(),
        }
    }

    /// Names who took the place: an endpoint, as the host saw it.
    #[must_use]
    pub fn by(mut self, newcomer: impl Into<String>) -> Self {
        self.newcomer = Some(newcomer.into());
        self
    }

    /// When, in milliseconds since the Unix epoch, by the host's clock.
    #[must_use]
    pub const fn at_unix_ms(mut self, at: u64) -> Self {
        self.at_unix_ms = Some(at);
        self
    }

    /// What happened and the way out, for people and models.
    #[must_use]
    pub fn saying(mut self, text: impl Into<String>) -> Self {
        self.text = text.into();
        self
    }

    /// Reads a notice: a JSON object whose `status` is `"evicted"`.
    ///
    /// Every other field may be missing or of another type; it is then unknown. Of one that stands
    /// there twice the last counts. Anything else, text that is not JSON or not UTF-8 included, is
    /// `None` and belongs to whoever reads answers. The frame comes from a fork of the Unity
    /// plugin; the plugin that most users have installed never sends it.
    pub fn from_notice(frame: &[u8]) -> Option<Self> {
        // All of it is checked: the parser would not look into what it skips.
        let frame = std::str::from_utf8(frame).ok()?;
        let notice: Fields<'_> = serde_json::from_str(frame).ok()?;
        if text(notice.status)? != "evicted" {
            return None;
        }
        Some(Self {
            reason: EvictionReason::Superseded,
            wire_reason: text(notice.reason),
            newcomer: text(notice.new_client_endpoint),
            at_unix_ms: notice
                .evicted_at_unix_ms
                .and_then(|raw| raw.get().parse().ok()),
            text: text(notice.error).unwrap_or_default(),
        })
    }

    /// The notice as one JSON object, to be framed like any answer.
    pub fn to_notice(&self) -> Vec<u8> {
        serde_json::to_vec(&Notice {
            status: "evicted",
            reason: self.wire_reason.as_deref().unwrap_or(STOMPED),
            error: &self.text,
            new_client_endpoint: self.newcomer.as_deref(),
            evicted_at_unix_ms: self.at_unix_ms,
        })
        .expect("strings and numbers always serialise")
    }

    /// Why.
    pub const fn reason(&self) -> EvictionReason {
        self.reason
    }

    /// The `reason` as it stood on the wire, where it came from there.
    pub fn wire_reason(&self) -> Option<&str> {
        self.wire_reason.as_deref()
    }

    /// Who took the place.
    pub fn newcomer(&self) -> Option<&str> {
        self.newcomer.as_deref()
    }

    /// When, in milliseconds since the Unix epoch.
    pub const fn evicted_at_unix_ms(&self) -> Option<u64> {
        self.at_unix_ms
    }

    /// What happened and the way out; empty where the host said nothing.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for EvictionReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reloading => "the host is reloading and will be back",
            Self::ShuttingDown => "the host is shutting down",
            Self::Stale => "the peer stopped hearing us and closed the connection",
            Self::Superseded => "a newer client took the seat",
        })
    }
}

#[derive(Serialize)]
struct Notice<'a> {
    status: &'a str,
    reason: &'a str,
    error: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    new_client_endpoint: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    evicted_at_unix_ms: Option<u64>,
}

/// Each field raw, so that one odd type does not hide the others.
#[derive(Default)]
struct Fields<'a> {
    status: Option<&'a RawValue>,
    reason: Option<&'a RawValue>,
    error: Option<&'a RawValue>,
    new_client_endpoint: Option<&'a RawValue>,
    evicted_at_unix_ms: Option<&'a RawValue>,
}

/// By hand, since a derived one would read an array as an object and refuse a field that stands
/// there twice.
impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        let mut fields = Fields::default();
        while let Some(name) = map.next_key::<Name>()? {
            let field = match name {
                Name::Status => &mut fields.status,
                Name::Reason => &mut fields.reason,
                Name::Error => &mut fields.error,
                Name::NewClientEndpoint => &mut fields.new_client_endpoint,
                Name::EvictedAtUnixMs => &mut fields.evicted_at_unix_ms,
                Name::Other => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *field = Some(map.next_value()?);
        }
        Ok(fields)
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Name {
    Status,
    Reason,
    Error,
    NewClientEndpoint,
    EvictedAtUnixMs,
    #[serde(other)]
    Other,
}

fn text(raw: Option<&RawValue>) -> Option<String> {
    serde_json::from_str(raw?.get()).ok()
}
