//! What a listener that ends hands to the next one. Pure.

use super::resend::REMEMBERED;
use bytes::{Buf as _, BufMut as _, Bytes};
use mcp_transport_core::{Error, ErrorKind};
use std::time::Duration;

/// What a [`BridgeListener`](super::BridgeListener) knew about commands that may be sent again, for the next one.
///
/// [`BridgeListener::close`](super::BridgeListener::close) yields it, [`BridgeConfig::memory`](super::BridgeConfig::memory)
/// takes it. Between two processes it travels as [bytes](Self::to_bytes).
///
/// It is as bounded as the listener's own: [`MAX_REMEMBERED`](super::resend::MAX_REMEMBERED) commands and
/// [`MAX_REMEMBERED_BYTES`](super::resend::MAX_REMEMBERED_BYTES) once it was taken up. Time in which nobody listens does not
/// count as remembered, but who takes it up later than [`LONGEST_GAP`] gets nothing from it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Memory {
    /// When the listener ended, by the wall clock, since it may be another process that goes on.
    pub(super) left_unix_ms: u64,
    /// The oldest first.
    pub(super) ran: Vec<Ran>,
}

/// A command that was begun, and whose sender may not know how it ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Ran {
    pub(super) command: Bytes,
    /// `None` if nobody knows how it ended.
    pub(super) answer: Option<Bytes>,
    /// For how long it is remembered once somebody listens again.
    pub(super) left: Duration,
}

/// How long nobody may have listened for a [`Memory`] to count: 2 minutes. The Python client (10.3) gives an application
/// 20 s to come back; what comes much later is a new wish.
pub const LONGEST_GAP: Duration = Duration::from_secs(120);

impl Memory {
    /// True if no command needs remembering.
    pub fn is_empty(&self) -> bool {
        self.ran.is_empty()
    }

    /// How many commands it remembers.
    pub fn len(&self) -> usize {
        self.ran.len()
    }

    /// Forgets the commands of unknown outcome of which `keep` says no. For an application that knows which of its
    /// commands may run twice, such as reads: those then run again for whoever sends them again.
    ///
    /// ```
    /// # use mcp_transport_stdio::bridge::Memory;
    /// # let mut memory = Memory::default();
    /// memory.retain_unknown(|command| !command.starts_with(br#"{"type": "get_"#));
    /// ```
    pub fn retain_unknown(&mut self, mut keep: impl FnMut(&[u8]) -> bool) {
        self.ran
            .retain(|ran| ran.answer.is_some() || keep(&ran.command));
    }

    /// As bytes, to be kept where the next process finds them. They hold commands and answers in clear: keep them where
    /// only the user can read.
    ///
    /// ```
    /// use mcp_transport_stdio::bridge::Memory;
    ///
    /// let bytes = Memory::default().to_bytes();
    /// assert_eq!(Memory::from_bytes(&bytes)?, Memory::default());
    /// # Ok::<_, mcp_transport_core::Error>(())
    /// ```
    pub fn to_bytes(&self) -> Bytes {
        let mut bytes = HEADER.to_vec();
        bytes.put_u64(self.left_unix_ms);
        bytes.put_u64(self.ran.len() as u64);
        for ran in &self.ran {
            bytes.put_u64(u64::try_from(ran.left.as_millis()).unwrap_or(u64::MAX));
            put(&mut bytes, &ran.command);
            bytes.put_u8(u8::from(ran.answer.is_some()));
            put(&mut bytes, ran.answer.as_deref().unwrap_or_default());
        }
        Bytes::from(bytes)
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] for anything else, such as a file that was not written to its end. Go on without it then:
    /// what is lost is that a command which was sent again is recognised.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        read(bytes).ok_or_else(|| {
            Error::new(ErrorKind::Malformed).context("these bytes are no memory of a bridge")
        })
    }
}

/// With a number, should what follows ever look different.
const HEADER: &[u8] = b"bridge memory 1\n";

fn put(bytes: &mut Vec<u8>, part: &[u8]) {
    bytes.put_u64(part.len() as u64);
    bytes.put_slice(part);
}

fn read(bytes: &[u8]) -> Option<Memory> {
    let mut rest = bytes.strip_prefix(HEADER)?;
    let left_unix_ms = rest.try_get_u64().ok()?;
    let count = rest.try_get_u64().ok()?;
    // Not reserved: whoever wrote this may have claimed anything.
    let mut ran = Vec::new();
    for _ in 0..count {
        let left = Duration::from_millis(rest.try_get_u64().ok()?);
        let command = part(&mut rest)?;
        let answered = rest.try_get_u8().ok()?;
        let answer = part(&mut rest)?;
        ran.push(Ran {
            command,
            answer: (answered == 1).then_some(answer),
            // Not more than anybody is remembered for, whoever wrote this.
            left: left.min(REMEMBERED),
        });
    }
    rest.is_empty().then_some(Memory { left_unix_ms, ran })
}

fn part(rest: &mut &[u8]) -> Option<Bytes> {
    let length = usize::try_from(rest.try_get_u64().ok()?).ok()?;
    let (part, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    Some(Bytes::copy_from_slice(part))
}
