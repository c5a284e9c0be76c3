//! The plugin's socket: a WebSocket that can also go without a goodbye.
//!
//! This is tungstenite on a `TcpStream` of our own, since a domain reload needs two things that no
//! transport should offer: to look at a frame without reading it, and to break off with a reset.

#![expect(clippy::disallowed_methods, reason = "a shell: it waits on a socket")]

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::tap::Tap;

/// The Python server's limit, in both directions.
const MESSAGE_BYTES: usize = 16 * 1024 * 1024;

/// An attempt to connect takes no longer than this; the system's own limit is the installed plugin's only one. For the answer to
/// its upgrade it waits as long as that takes, so somebody may hold it until there is a hub.
const DIAL: Duration = Duration::from_secs(10);

/// A hub that does not read for this long is gone.
const WRITE: Duration = Duration::from_secs(30);

/// How long a polite end waits for the hub's own close.
const GOODBYE: Duration = Duration::from_secs(1);

pub(super) struct Socket(WebSocketStream<Tap>);

/// What came off the socket, or did not.
pub(super) enum Arrival {
    Text(String),
    /// A frame that the plugin does not look into.
    Other,
    /// A command lies in the buffer, unread.
    Unread,
    /// The connection is over, for this reason.
    Lost(String),
}

impl Socket {
    /// Connects to the hub at `url`.
    pub(super) async fn dial(url: &str) -> Result<Self, String> {
        let (host, port) = authority(url)?;
        let tcp = match timeout(DIAL, TcpStream::connect((host.as_str(), port))).await {
            Ok(Ok(tcp)) => tcp,
            Ok(Err(error)) => return Err(error.to_string()),
            Err(_elapsed) => return Err(format!("no connection within {DIAL:?}")),
        };
        let upgrade = async {
            tcp.set_nodelay(true).map_err(Error::Io)?;
            let config = WebSocketConfig::default()
                .read_buffer_size(16 * 1024)
                .max_message_size(Some(MESSAGE_BYTES))
                .max_frame_size(Some(MESSAGE_BYTES));
            client_async_with_config(url, Tap::new(tcp), Some(config)).await
        };
        match upgrade.await {
            Ok((socket, _response)) => Ok(Self(socket)),
            Err(error) => Err(error.to_string()),
        }
    }

    /// The next frame. With `stop_before_execute`, a command is left where it is.
    ///
    /// # Cancel safety
    ///
    /// This method is cancel safe: a frame that has come in part stays in the buffer.
    pub(super) async fn next(&mut self, stop_before_execute: bool) -> Arrival {
        self.0.get_mut().stop_before_execute(stop_before_execute);
        let frame = poll_fn(|cx| match self.0.poll_next_unpin(cx) {
            Poll::Pending if self.0.get_ref().stopped() => Poll::Ready(None),
            poll => poll.map(Some),
        });
        let Some(frame) = frame.await else {
            return Arrival::Unread;
        };
        match frame {
            Some(Ok(Message::Text(text))) => Arrival::Text(text.as_str().to_owned()),
            Some(Ok(Message::Binary(bytes))) => {
                String::from_utf8(bytes.into()).map_or(Arrival::Other, Arrival::Text)
            }
            Some(Ok(Message::Close(frame))) => Arrival::Lost(match frame {
                Some(frame) => format!("closed {} {}", u16::from(frame.code), frame.reason),
                None => "closed without a code".to_owned(),
            }),
            // The answering pong is queued, and nothing may be written for a while.
            Some(Ok(_)) => match self.0.flush().await {
                Ok(()) => Arrival::Other,
                Err(error) => Arrival::Lost(error.to_string()),
            },
            Some(Err(error)) => Arrival::Lost(error.to_string()),
            None => Arrival::Lost("closed".to_owned()),
        }
    }

    pub(super) async fn send(&mut self, text: String) -> Result<(), String> {
        match timeout(WRITE, self.0.send(Message::text(text))).await {
            Ok(sent) => sent.map_err(|error| error.to_string()),
            Err(_elapsed) => Err(format!("the hub read nothing for {WRITE:?}")),
        }
    }

    /// Breaks off with a reset: what the hub sent and we did not read is refused, no close frame.
    pub(super) fn abort(self) {
        // Where the option cannot be set, dropping still ends the connection without a goodbye.
        let _ = self.0.get_ref().tcp().set_zero_linger();
    }

    /// Breaks off without a close frame, behind what was sent: a reset could overtake it.
    pub(super) async fn cut(mut self) {
        let _ = self.0.get_mut().shutdown().await;
    }

    /// Ends the connection with 1000, as the plugin does when it stops.
    pub(super) async fn close(mut self) {
        let frame = CloseFrame {
            code: CloseCode::Normal,
            reason: "Shutdown".into(),
        };
        self.0.get_mut().stop_before_execute(false);
        let goodbye = async {
            if self.0.close(Some(frame)).await.is_ok() {
                while let Some(Ok(_)) = self.0.next().await {}
            }
        };
        let _ = timeout(GOODBYE, goodbye).await;
    }
}

/// The host and port of a hub's address.
///
/// # Errors
///
/// What is wrong with `url`, if it is no `ws://host[:port]/path`.
pub fn authority(url: &str) -> Result<(String, u16), String> {
    let wrong = |why: &str| {
        format!("`{url}` is no hub's address ({why}); try ws://127.0.0.1:8080/hub/plugin")
    };
    let uri: http::Uri = url.parse().map_err(|_| wrong("not a URL"))?;
    if uri.scheme_str() != Some("ws") {
        return Err(wrong("its scheme is not ws"));
    }
    let host = uri.host().ok_or_else(|| wrong("it has no host"))?;
    let host = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned();
    Ok((host, uri.port_u16().unwrap_or(80)))
}
