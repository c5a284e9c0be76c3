//! Who has this port? Asked before any token is sent there.

use serde::{Deserialize, Serialize};

/// What a broker says of itself to whoever asks.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a wire message; the version tells"
)]
pub struct Hello {
    /// The program; [`NAME`] for a broker.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The versions of this dialect that it speaks.
    pub protocols: Vec<u32>,
    /// Its process.
    pub pid: u32,
    /// See [`proof`]. Empty if the broker has no token.
    #[serde(default)]
    pub proof: String,
}

/// What a broker calls itself.
pub const NAME: &str = "mcp-broker";

/// What a broker answers to a nonce: that it knows the token, without saying it.
///
/// HMAC-SHA256 over `mcp-broker hello 1`, the port and the nonce, each followed by a newline, in
/// hexadecimal. The port is part of it, so that nobody can pass the question on to a broker that
/// has another one.
///
/// ```
/// use mcp_transport_broker::native::{is_proof, proof};
///
/// let said = proof("a token", 8765, "0f1e");
/// assert!(is_proof(&said, "a token", 8765, "0f1e"));
/// assert!(!is_proof(&said, "a token", 8766, "0f1e"));
/// ```
pub fn proof(token: &str, port: u16, nonce: &str) -> String {
    let mac = hmac_sha256::HMAC::mac(asked(port, nonce), token);
    mac.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether this is the [`proof`] of a broker that knows the token. Compared in constant time.
pub fn is_proof(said: &str, token: &str, port: u16, nonce: &str) -> bool {
    let due: Result<mcp_transport_core::guard::Token, _> = proof(token, port, nonce).parse();
    !token.is_empty() && due.is_ok_and(|due| due.matches(said.as_bytes()))
}

fn asked(port: u16, nonce: &str) -> String {
    format!("mcp-broker hello 1\n{port}\n{nonce}\n")
}
