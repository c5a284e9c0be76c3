//! A server's own standard input and output.

mod config;
#[cfg(unix)]
mod parent;
#[cfg(unix)]
mod pipes_unix;
#[cfg(windows)]
mod pipes_windows;
mod thread;

#[cfg(unix)]
use pipes_unix::Pipes;
#[cfg(windows)]
use pipes_windows::Pipes;

pub(crate) use config::MAX_MESSAGE;
pub use config::StdioConfig;

use futures::{Sink, Stream};
use mcp_transport_core::codec::{self, Framed, Lines};
use mcp_transport_core::{Answering, Error, ErrorKind, Message};
use pin_project_lite::pin_project;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

/// Takes this process's standard input and output as a transport, with the defaults of [`StdioConfig`].
///
/// From here on nothing but messages reaches standard output; see [`StdioTransport`]. Call it before anything else reads
/// or writes there, once.
///
/// # Errors
/// [`ErrorKind::Closed`] at the second call in a process: hand the transport on instead. Whatever the system said, where
/// it has no descriptors left.
///
/// # Panics
/// Outside a tokio runtime, or in one without I/O or its clock.
///
/// ```no_run
/// use futures::{SinkExt, StreamExt};
/// use mcp_transport_core::{Error, Message};
/// use mcp_transport_stdio::stdio;
///
/// #[tokio::main(flavor = "current_thread")]
/// async fn main() -> Result<(), Error> {
///     let mut client = stdio()?;
///     while let Some(message) = client.next().await {
///         if let Some(id) = message?.id() {
///             println!("this line goes to standard error");
///             client.send(Message::response(id, "pong")?).await?;
///         }
///     }
///     Ok(())
/// }
/// ```
pub fn stdio() -> Result<StdioTransport, Error> {
    StdioConfig::new().open()
}

pin_project! {
    /// This process's standard input and output, as a transport: one message a line. Made by [`stdio()`].
    ///
    /// **Nothing but messages reaches standard output.** On Unix its descriptor is kept here, and descriptor 1 then leads
    /// to standard error: what a handler prints, a library in C too, ends there, and so does what a child process prints
    /// that inherits it. Descriptor 0 leads to `/dev/null`, so that nobody reads the client's messages by mistake. On
    /// Windows neither can be done without unsafe code: keep `println!` out of the server there. If standard error
    /// leads to the same place as standard output (`2>&1`), nothing can help.
    ///
    /// **Pipes and sockets are never blocked on, and never changed for others.** Whether a descriptor blocks belongs to
    /// what several processes may share. On Linux a pipe is opened afresh by way of `/proc/self/fd`; a socket is asked
    /// each time not to block. A terminal or a file, a pipe elsewhere, and one whose owner is somebody else, are read by
    /// a thread of our own, and written by tokio's.
    ///
    /// **It ends with the client.** The end of input ends the stream. On Unix so does the death of the parent, which is
    /// looked for every second: another process may hold our pipes open. After that the sink refuses everything with
    /// [`ErrorKind::Disconnected`].
    ///
    /// **Bad lines are answered** here, and are not yielded; see [`Answering`].
    ///
    /// Closing the sink closes standard output. Both halves are cancel safe.
    pub struct StdioTransport {
        #[pin]
        inner: Answering<Framed<Pipes, Lines>>,
        // One for each half: either may wait, in a task of its own.
        read_parent: ParentWatch,
        write_parent: ParentWatch,
        end: End,
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    NotYet,
    OfInput,
    OfParent,
}

#[cfg(unix)]
use parent::ParentWatch;

/// Windows reuses process ids and tells nobody of a new parent.
#[cfg(not(unix))]
struct ParentWatch;

#[cfg(not(unix))]
impl ParentWatch {
    const fn new(_: bool) -> Self {
        Self
    }

    const fn poll_gone(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

/// True once the process's descriptors have been taken.
static TAKEN: AtomicBool = AtomicBool::new(false);

impl StdioConfig {
    /// Takes this process's standard input and output as a transport; see [`stdio()`].
    ///
    /// # Errors
    /// As [`stdio()`].
    ///
    /// # Panics
    /// As [`stdio()`].
    pub fn open(self) -> Result<StdioTransport, Error> {
        if TAKEN.swap(true, Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Closed).context(
                "standard input and output were taken before; stdio() works once in a process, so hand its transport on",
            ));
        }
        let pipes = Pipes::take().map_err(|error| {
            TAKEN.store(false, Ordering::SeqCst);
            Error::from(error).context("standard input and output could not be taken")
        })?;
        let lines = Lines::with_limit(self.message_limit());
        Ok(StdioTransport {
            inner: Answering::new(codec::framed(pipes, lines)),
            read_parent: ParentWatch::new(self.watches_parent()),
            write_parent: ParentWatch::new(self.watches_parent()),
            end: End::NotYet,
        })
    }
}

impl Stream for StdioTransport {
    type Item = Result<Message, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.project();
        if *this.end != End::NotYet {
            return Poll::Ready(None);
        }
        if this.read_parent.poll_gone(cx).is_ready() {
            tracing::warn!("the parent process is gone, so the client is, too");
            *this.end = End::OfParent;
            return Poll::Ready(None);
        }
        let item = this.inner.poll_next(cx);
        if matches!(item, Poll::Ready(None | Some(Err(_)))) {
            *this.end = End::OfInput;
        }
        item
    }
}

impl StdioTransport {
    /// Without this a flush could wait for ever: whoever holds our output open may not read it.
    fn check_parent(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Result<(), Error> {
        let this = self.project();
        if *this.end != End::OfParent && this.write_parent.poll_gone(cx).is_ready() {
            *this.end = End::OfParent;
        }
        match *this.end {
            End::OfParent => {
                let error = Error::new(ErrorKind::Disconnected);
                Err(error.context("the parent process is gone"))
            }
            End::NotYet | End::OfInput => Ok(()),
        }
    }
}

impl Sink<Message> for StdioTransport {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.as_mut().check_parent(cx)?;
        self.project().inner.poll_ready(cx)
    }

    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        self.project().inner.start_send(message)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.as_mut().check_parent(cx)?;
        self.project().inner.poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.as_mut().check_parent(cx)?;
        self.project().inner.poll_close(cx)
    }
}

impl fmt::Debug for StdioTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StdioTransport")
            .field("pipes", self.inner.get_ref().get_ref())
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}
