//! The descriptors of Unix: taken away from everybody else, and read and written without blocking where that can be had.

use super::thread::ThreadReader;
use rustix::fs::FileType;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::{fmt, io};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::unix::pipe;

/// Both descriptors.
pub(super) struct Pipes {
    input: Input,
    output: Output,
}

enum Input {
    Pipe(pipe::Receiver),
    Socket(AsyncFd<OwnedFd>),
    Thread(ThreadReader),
}

enum Output {
    Pipe(pipe::Sender),
    Socket(AsyncFd<OwnedFd>),
    File(tokio::fs::File),
    Closed,
}

impl Pipes {
    /// Takes descriptors 0 and 1, and leaves `/dev/null` and standard error in their places.
    pub(super) fn take() -> io::Result<Self> {
        let null = File::open("/dev/null")?;
        // 0 to 2 are for what others expect there.
        let input = rustix::io::fcntl_dupfd_cloexec(io::stdin().as_fd(), 3)?;
        let output = rustix::io::fcntl_dupfd_cloexec(io::stdout().as_fd(), 3)?;
        // The output first: a thread that reads would go on after a failure, and eat what a second try should get.
        let pipes = Self {
            output: Output::open(output)?,
            input: Input::open(input)?,
        };
        rustix::stdio::dup2_stdin(null)?;
        rustix::stdio::dup2_stdout(io::stderr().as_fd())?;
        Ok(pipes)
    }
}

impl Input {
    fn open(fd: OwnedFd) -> io::Result<Self> {
        Ok(match file_type(&fd)? {
            FileType::Socket => Self::Socket(watched(fd, Interest::READABLE)?),
            FileType::Fifo => match afresh(&fd, rustix::fs::OFlags::RDONLY) {
                Some(fresh) => Self::Pipe(pipe::Receiver::from_owned_fd(fresh)?),
                None => Self::Thread(ThreadReader::spawn(File::from(fd))?),
            },
            _ => Self::Thread(ThreadReader::spawn(File::from(fd))?),
        })
    }
}

impl Output {
    fn open(fd: OwnedFd) -> io::Result<Self> {
        Ok(match file_type(&fd)? {
            FileType::Socket => Self::Socket(watched(fd, Interest::WRITABLE)?),
            FileType::Fifo => match afresh(&fd, rustix::fs::OFlags::WRONLY) {
                Some(fresh) => Self::Pipe(pipe::Sender::from_owned_fd(fresh)?),
                None => Self::File(File::from(fd).into()),
            },
            _ => Self::File(File::from(fd).into()),
        })
    }
}

#[expect(
    deprecated,
    reason = "deprecated for types that lie about their descriptor, which an `OwnedFd` cannot; the new one is `unsafe`"
)]
fn watched(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(fd, interest)
}

fn file_type(fd: &OwnedFd) -> io::Result<FileType> {
    Ok(FileType::from_raw_mode(rustix::fs::fstat(fd)?.st_mode))
}

/// The same pipe, opened once more, so that "does not block" is true of our opening only.
///
/// `None` where the system has no such way, where the pipe belongs to another user, and for a pipe out that nobody reads
/// any more.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn afresh(fd: &OwnedFd, access: rustix::fs::OFlags) -> Option<OwnedFd> {
    use rustix::fs::{Mode, OFlags, open};
    use std::os::fd::AsRawFd;

    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let flags = access | OFlags::NONBLOCK | OFlags::CLOEXEC;
    open(path, flags, Mode::empty()).ok()
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
const fn afresh(_: &OwnedFd, _: rustix::fs::OFlags) -> Option<OwnedFd> {
    None
}

impl fmt::Debug for Pipes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let input = match self.input {
            Input::Pipe(_) => "pipe",
            Input::Socket(_) => "socket",
            Input::Thread(_) => "thread",
        };
        let output = match self.output {
            Output::Pipe(_) => "pipe",
            Output::Socket(_) => "socket",
            Output::File(_) => "file",
            Output::Closed => "closed",
        };
        write!(f, "{input} in, {output} out")
    }
}

impl AsyncRead for Pipes {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.input {
            Input::Pipe(pipe) => Pin::new(pipe).poll_read(cx, buf),
            Input::Thread(thread) => Pin::new(thread).poll_read(cx, buf),
            Input::Socket(socket) => loop {
                let mut guard = ready!(socket.poll_read_ready(cx))?;
                let into = buf.initialize_unfilled();
                let read = guard.try_io(|socket| Ok(recv(socket, into, RecvFlags::DONTWAIT)?.1));
                match read {
                    Ok(Ok(count)) => {
                        buf.advance(count);
                        return Poll::Ready(Ok(()));
                    }
                    Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                    Ok(Err(error)) => return Poll::Ready(Err(error)),
                    Err(_would_block) => {}
                }
            },
        }
    }
}

impl AsyncWrite for Pipes {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.output {
            Output::Pipe(pipe) => Pin::new(pipe).poll_write(cx, buf),
            Output::File(file) => Pin::new(file).poll_write(cx, buf),
            Output::Closed => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            Output::Socket(socket) => loop {
                let mut guard = ready!(socket.poll_write_ready(cx))?;
                match guard.try_io(|socket| Ok(send(socket, buf, SendFlags::DONTWAIT)?)) {
                    Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                    Ok(written) => return Poll::Ready(written),
                    Err(_would_block) => {}
                }
            },
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.output {
            Output::File(file) => Pin::new(file).poll_flush(cx),
            Output::Pipe(_) | Output::Socket(_) | Output::Closed => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(cx))?;
        self.output = Output::Closed;
        Poll::Ready(Ok(()))
    }
}
