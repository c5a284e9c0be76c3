//! The three traits of the family. A transport is a stream and a sink of messages, and nothing
//! else.

use crate::error::Error;
use crate::message::Message;
use crate::typed::Typed;
use futures::{Sink, Stream};
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// One connection, from its making to its end: a stream of incoming and a sink of outgoing
/// [`Message`]s.
///
/// Whatever is both, with [`Error`] as the error, is a transport; there is nothing to implement. An
/// `Err` from either half means that the connection is over. The end of the stream without an `Err`
/// is an orderly end.
///
/// The trait is object-safe: see [`BoxTransport`].
pub trait Transport: Stream<Item = Result<Message, Error>> + Sink<Message, Error = Error> {}

impl<T: ?Sized> Transport for T where
    T: Stream<Item = Result<Message, Error>> + Sink<Message, Error = Error>
{
}

/// A transport of a type that nobody needs to know.
pub type BoxTransport = Pin<Box<dyn Transport + Send>>;

/// Makes connections to a peer: dials, spawns, attaches.
///
/// Every `FnMut() -> impl Future<Output = Result<impl Transport, Error>> + Send` is a connector, so
/// a new adapter is a function:
///
/// ```
/// use mcp_transport_core::{Connector, Error, Transport, memory};
///
/// fn needs<C: Connector>(_: C) {}
///
/// async fn dial() -> Result<impl Transport, Error> {
///     let (ours, _theirs) = memory::pair(8);
///     Ok(ours)
/// }
/// needs(dial);
/// ```
pub trait Connector: Send + 'static {
    /// What a successful dial yields.
    type Transport: Transport + Send + 'static;

    /// Dials once.
    ///
    /// # Errors
    /// Says by its kind whether dialling again may help.
    ///
    /// # Cancel safety
    /// Dropping the future gives the attempt up; a later call starts afresh.
    fn connect(&mut self) -> impl Future<Output = Result<Self::Transport, Error>> + Send;

    /// How long one dial may take, where the connector knows better than the dial loop, whose
    /// default is 5 s.
    ///
    /// A connector that waits for its peer to come, like [`Slot`](crate::Slot), says
    /// [`Duration::MAX`].
    fn patience(&self) -> Option<Duration> {
        None
    }
}

impl<F, Fut, T> Connector for F
where
    F: FnMut() -> Fut + Send + 'static,
    Fut: Future<Output = Result<T, Error>> + Send,
    T: Transport + Send + 'static,
{
    type Transport = T;

    fn connect(&mut self) -> impl Future<Output = Result<T, Error>> + Send {
        self()
    }
}

/// Takes connections from peers.
pub trait Listener: Send {
    /// What a successful accept yields.
    type Transport: Transport + Send + 'static;

    /// Waits for the next connection.
    ///
    /// # Errors
    /// An `Err` means that there will be no further connection; one bad peer is no reason for it.
    ///
    /// # Cancel safety
    /// Dropping the future loses no connection that a later call would not yield.
    fn accept(&mut self) -> impl Future<Output = Result<Self::Transport, Error>> + Send;
}

/// What every transport can do besides.
pub trait TransportExt: Transport + Sized {
    /// Your serde types in place of messages: `Calculator.serve(link.typed())` is the whole bridge
    /// to rmcp.
    fn typed<Tx, Rx>(self) -> Typed<Self, Tx, Rx> {
        Typed::new(self)
    }

    /// Forgets the type.
    fn boxed(self) -> BoxTransport
    where
        Self: Send + 'static,
    {
        Box::pin(self)
    }
}

impl<T: Transport> TransportExt for T {}
