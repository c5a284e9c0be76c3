//! What can be set on a connection, with the defaults.

use http::HeaderValue;
use mcp_transport_core::keepalive::KeepAliveConfig;
use std::time::Duration;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

/// The settings of one end. Cheap to clone.
///
/// | setting | default |
/// |---|---|
/// | [`max_message`](Self::max_message), each way, for a frame as for a whole message | 64 MiB |
/// | [`read_buffer`](Self::read_buffer), resident per connection | 16 KiB |
/// | [`write_buffer`](Self::write_buffer), after which a sender waits | 24 KiB |
/// | [`keep_alive`](Self::keep_alive) | ping after 20 s of silence, dead after 20 s more |
/// | [`handshake_timeout`](Self::handshake_timeout) | 5 s dialling, 10 s listening |
/// | [`close_timeout`](Self::close_timeout) | 1 s |
/// | [`binary`](Self::binary) frames | only for what is not UTF-8 |
/// | [`subprotocol`](Self::subprotocol) | none |
///
/// ```
/// use mcp_transport_core::keepalive::KeepAliveConfig;
/// use mcp_transport_ws::WsConfig;
/// use std::time::Duration;
///
/// let config = WsConfig::new()
///     .max_message(4 * 1024 * 1024)
///     .keep_alive(KeepAliveConfig::default().interval(Duration::from_secs(5)));
/// assert_eq!(config.message_limit(), 4 * 1024 * 1024);
/// ```
#[derive(Clone, Debug)]
pub struct WsConfig {
    max_message: usize,
    read_buffer: usize,
    write_buffer: usize,
    keep_alive: Option<KeepAliveConfig>,
    handshake_timeout: Option<Duration>,
    close_timeout: Duration,
    binary: bool,
    subprotocols: Vec<HeaderValue>,
}

impl WsConfig {
    /// The defaults, which suit a peer on the same machine.
    pub fn new() -> Self {
        Self {
            max_message: 64 * 1024 * 1024,
            read_buffer: 16 * 1024,
            write_buffer: 24 * 1024,
            keep_alive: Some(
                KeepAliveConfig::default()
                    .interval(Duration::from_secs(20))
                    .patience(Duration::from_secs(20)),
            ),
            handshake_timeout: None,
            close_timeout: Duration::from_secs(1),
            binary: false,
            subprotocols: Vec::new(),
        }
    }

    /// Sets how many bytes a message may have, each way; a single frame, too, since .NET hosts send a message as one.
    #[must_use]
    pub const fn max_message(mut self, bytes: usize) -> Self {
        self.max_message = bytes;
        self
    }

    /// Sets how many bytes are read at once. The buffer is resident for the life of the connection.
    ///
    /// More than 16 KiB gains little; 4 KiB costs up to half the speed with small messages.
    #[must_use]
    pub const fn read_buffer(mut self, bytes: usize) -> Self {
        self.read_buffer = bytes;
        self
    }

    /// Sets how many bytes may wait for the next flush before they are written all the same.
    ///
    /// What the peer does not take is kept up to this size and one message; then the sender waits. With more than the
    /// default, a peer has nothing to do while a batch is made, and the two work in turns instead of side by side.
    #[must_use]
    pub const fn write_buffer(mut self, bytes: usize) -> Self {
        self.write_buffer = bytes;
        self
    }

    /// Sets when a silent peer is pinged and given up; `None` switches that off.
    #[must_use]
    pub fn keep_alive(mut self, keep_alive: impl Into<Option<KeepAliveConfig>>) -> Self {
        self.keep_alive = keep_alive.into();
        self
    }

    /// Sets how long the way to a connection may take, from the dial or the accept to the first message.
    #[must_use]
    pub const fn handshake_timeout(mut self, limit: Duration) -> Self {
        self.handshake_timeout = Some(limit);
        self
    }

    /// Sets how long an end waits for the peer's half of the goodbye.
    #[must_use]
    pub const fn close_timeout(mut self, limit: Duration) -> Self {
        self.close_timeout = limit;
        self
    }

    /// Sends every message in a binary frame, instead of text where it is UTF-8.
    #[must_use]
    pub const fn binary(mut self, always: bool) -> Self {
        self.binary = always;
        self
    }

    /// Adds a subprotocol: one that a connector offers, or that a listener knows, in order of preference.
    ///
    /// A listener takes the first of the client's that it knows. Where there is none it upgrades without, and leaves
    /// it to the client whether it goes on.
    ///
    /// # Panics
    /// If the name is no HTTP token.
    ///
    /// ```
    /// use mcp_transport_ws::WsConfig;
    ///
    /// let config = WsConfig::new().subprotocol("mcp");
    /// ```
    #[must_use]
    pub fn subprotocol(mut self, name: &str) -> Self {
        let is_token = !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
        assert!(is_token, "{name:?} is no name for a subprotocol");
        self.subprotocols
            .push(HeaderValue::from_str(name).expect("a token is a header value"));
        self
    }

    /// How many bytes a message may have.
    pub const fn message_limit(&self) -> usize {
        self.max_message
    }

    pub(crate) const fn keep_alive_config(&self) -> Option<KeepAliveConfig> {
        self.keep_alive
    }

    pub(crate) fn time_to_dial(&self) -> Duration {
        self.handshake_timeout.unwrap_or(Duration::from_secs(5))
    }

    pub(crate) fn time_to_accept(&self) -> Duration {
        self.handshake_timeout.unwrap_or(Duration::from_secs(10))
    }

    pub(crate) const fn time_to_close(&self) -> Duration {
        self.close_timeout
    }

    pub(crate) const fn always_binary(&self) -> bool {
        self.binary
    }

    pub(crate) fn subprotocols(&self) -> &[HeaderValue] {
        &self.subprotocols
    }

    /// Every limit that the engine knows, set: its own defaults are unbounded, or too small for one big frame.
    pub(crate) fn engine(&self) -> WebSocketConfig {
        WebSocketConfig::default()
            .read_buffer_size(self.read_buffer)
            .write_buffer_size(self.write_buffer)
            .max_write_buffer_size(
                self.write_buffer
                    .saturating_add(self.max_message)
                    .saturating_add(CONTROL_FRAMES),
            )
            .max_message_size(Some(self.max_message))
            .max_frame_size(Some(self.max_message))
    }
}

impl Default for WsConfig {
    fn default() -> Self {
        Self::new()
    }
}

/// Room beside one message for its header and a few pings, pongs and the goodbye.
const CONTROL_FRAMES: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_of_the_engine_is_set() {
        let engine = WsConfig::new().max_message(1000).engine();
        assert_eq!(engine.max_message_size, Some(1000));
        assert_eq!(engine.max_frame_size, Some(1000));
        assert_eq!(engine.read_buffer_size, 16 * 1024);
        assert_eq!(engine.max_write_buffer_size, 24 * 1024 + 1000 + 1024);
    }

    #[test]
    fn no_limit_at_all_does_not_overflow() {
        let engine = WsConfig::new().max_message(usize::MAX).engine();
        assert_eq!(engine.max_write_buffer_size, usize::MAX);
    }
}
