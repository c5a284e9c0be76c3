//! Servers in threads of their own, and what they cost.

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};

/// A runtime of one thread.
///
/// # Panics
/// If the system gives none.
pub fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("the system has timers and polls")
}

/// Keeps this thread, and those that it starts from now on, on one core; the first is 0. Where the system cannot, nothing
/// happens.
///
/// Left alone, two threads that wake each other share a core in one sample and not in the next. Between cores a wake-up
/// costs ten times as much, and a ratio of two such samples says nothing.
#[cfg_attr(not(target_os = "linux"), expect(unused_variables))]
pub fn keep_to(core: usize) {
    #[cfg(target_os = "linux")]
    {
        let mut only = rustix::thread::CpuSet::new();
        only.set(core);
        let _ = rustix::thread::sched_setaffinity(None, &only);
    }
}

/// A thread with a runtime of its own, for as long as the bench runs; what it says first is where it listens.
///
/// # Panics
/// If it ends before it says so.
pub fn alone<F>(run: impl FnOnce(mpsc::Sender<u16>) -> F + Send + 'static) -> Peer
where
    F: Future<Output = ()>,
{
    let (say, said) = mpsc::channel();
    let (say_thread, thread) = mpsc::channel();
    std::thread::spawn(move || {
        let id = std::fs::read_link("/proc/thread-self").unwrap_or_default();
        let _ = say_thread.send(id);
        runtime().block_on(run(say));
    });
    let thread: PathBuf = thread.recv().unwrap_or_default();
    Peer {
        port: said.recv().expect("the server begins with its port"),
        thread: Path::new("/proc").join(thread),
    }
}

/// A server in a thread of its own that does this with each connection.
///
/// # Panics
/// If there is no port to listen on.
pub fn serving<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> Peer
where
    F: Future<Output = ()> + Send + 'static,
{
    alone(|say| async move {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await;
        let listener = listener.expect("there is a free port");
        let port = listener.local_addr().map(|address| address.port());
        let _ = say.send(port.expect("it listens"));
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            tokio::spawn(serve(stream));
        }
    })
}

/// A server in a thread of its own.
#[derive(Debug)]
#[non_exhaustive]
pub struct Peer {
    /// Where it listens.
    pub port: u16,
    thread: PathBuf,
}

impl Peer {
    /// The processor time that its thread has had; zero where the system does not tell.
    pub fn processor(&self) -> Duration {
        let text = std::fs::read_to_string(self.thread.join("schedstat")).unwrap_or_default();
        let nanos = text.split(' ').next().and_then(|first| first.parse().ok());
        Duration::from_nanos(nanos.unwrap_or_default())
    }
}

/// The memory of this process that is resident, in bytes; zero where the system does not tell.
pub fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or_default() * 4_096
}
