//! Sockets that are handed from an owner to its relays, on Unix.
#![expect(
    clippy::disallowed_methods,
    reason = "the shell that waits for the other end, and not for ever"
)]

use super::folder::{self, listen, random, remove};
use super::{Taken, rule};
use mcp_transport_broker::launch::default_state_dir;
use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, Shutdown, recvmsg, sendmsg, shutdown,
};
use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::spawn_blocking;

/// How long either end waits for the other one. They take less than a millisecond.
const PATIENCE: Duration = Duration::from_millis(500);

/// The right, and a socket of each family.
const MOST: usize = 3;

/// What goes with the descriptors, since a message must not be empty.
const WORD: u8 = b'E';

/// What the owner of a port leaves behind: its listening sockets, and the right to accept on them.
///
/// It is empty once whoever accepts has stopped.
#[derive(Clone, Debug, Default)]
pub(in crate::server) struct Estate(Arc<Mutex<Held>>);

#[derive(Debug, Default)]
struct Held {
    v4: Option<Arc<OwnedFd>>,
    v6: Option<Arc<OwnedFd>>,
    /// Locked by this process. There is one descriptor of it here: to close another one of the same file would give the lock up.
    right: Option<Arc<File>>,
}

impl Estate {
    /// This socket was bound, and is one of those from now on.
    pub(super) fn keep(&self, address: SocketAddr, socket: &tokio::net::TcpListener) {
        // Without it nobody inherits it.
        let copy = socket.as_fd().try_clone_to_owned().ok().map(Arc::new);
        *self.lock().of(address) = copy;
    }

    /// The socket of this address is no more. Who has inherited it has nothing then: it would keep the port from who binds it
    /// anew.
    pub(super) fn lose(&self, address: SocketAddr) {
        if let Some(socket) = self.lock().of(address).take() {
            // Not every system knows it of a socket that listens.
            let _ = shutdown(&socket, Shutdown::Both);
        }
    }

    /// Nobody here accepts any more, so who has inherited it may.
    pub(super) fn close(&self) {
        let held = std::mem::take(&mut *self.lock());
        if let Some(right) = held.right {
            // Not only with the last copy, which may be on its way to somebody.
            let _ = fcntl_lock(&right, FlockOperation::NonBlockingUnlock);
        }
    }

    /// Passes it on to the relay whose socket has this name; nothing if there is nothing to inherit. Takes half a second at
    /// most.
    ///
    /// # Cancel safety
    /// Dropping the future passes all of it on, or nothing.
    pub(in crate::server) async fn give(&self, name: &str) {
        let Some(file) = rule::file(name) else {
            return;
        };
        let given = async {
            let path = spawn_blocking(move || {
                let folder = default_state_dir();
                folder::only_ours(&folder).map(|()| folder.join(file))
            });
            let path = path.await.map_err(io::Error::other)??;
            let relay = UnixStream::connect(&path).await?;
            only_ours(&relay)?;
            let held = self.clone();
            let parts = spawn_blocking(move || held.parts()).await;
            let Some(parts) = parts.map_err(io::Error::other)?? else {
                return Ok(());
            };
            relay
                .async_io(Interest::WRITABLE, || send(&relay, &parts))
                .await
        };
        let given = tokio::time::timeout(PATIENCE, given).await;
        if let Err(error) = given.unwrap_or_else(|late| Err(late.into())) {
            say(&error, "a relay could not be given this server's sockets");
        }
    }

    /// The right first; `None` without a socket on the first address, which is the port's lock.
    fn parts(&self) -> io::Result<Option<Parts>> {
        let mut held = self.lock();
        let Some(v4) = held.v4.clone() else {
            return Ok(None);
        };
        let right = match &held.right {
            Some(right) => right.clone(),
            None => {
                let right = Arc::new(nameless()?);
                fcntl_lock(&right, FlockOperation::NonBlockingLockExclusive)?;
                held.right = Some(right.clone());
                right
            }
        };
        let sockets = [Some(v4), held.v6.clone()].into_iter().flatten().collect();
        Ok(Some(Parts { right, sockets }))
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    const fn of(&mut self, address: SocketAddr) -> &mut Option<Arc<OwnedFd>> {
        match address {
            SocketAddr::V4(_) => &mut self.v4,
            SocketAddr::V6(_) => &mut self.v6,
        }
    }
}

/// What is passed on.
struct Parts {
    right: Arc<File>,
    sockets: Vec<Arc<OwnedFd>>,
}

fn send(relay: &UnixStream, parts: &Parts) -> io::Result<()> {
    let sockets = parts.sockets.iter().map(|socket| socket.as_fd());
    let all: Vec<BorrowedFd<'_>> = [parts.right.as_fd()].into_iter().chain(sockets).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(&all)) {
        return Err(io::Error::other(
            "there are more sockets than there is room for",
        ));
    }
    sendmsg(
        relay,
        &[IoSlice::new(&[WORD])],
        &mut control,
        SendFlags::empty(),
    )?;
    Ok(())
}

/// One that holds an owner's sockets, and accepts on them once it has the right.
#[derive(Debug)]
pub(in crate::server) struct Heir {
    right: File,
    sockets: Vec<TcpListener>,
    port: u16,
}

impl Heir {
    /// Tries for the right; it stays ours until this is dropped.
    pub(in crate::server) fn is_ours(&self) -> bool {
        fcntl_lock(&self.right, FlockOperation::NonBlockingLockExclusive).is_ok()
    }

    /// Accepts on the sockets from now on, and leaves them behind in turn. Only for who has the right.
    ///
    /// # Errors
    /// If none of them can be used.
    pub(in crate::server) fn take(self) -> io::Result<Taken> {
        let estate = Estate::default();
        estate.lock().right = Some(Arc::new(self.right));
        Taken::inherited(self.sockets, estate, self.port)
    }

    /// Closes the sockets here; whoever else has them still does.
    pub(in crate::server) fn close(self) {
        drop(self);
    }

    /// Of what came: the right, and sockets that listen on this port of ours.
    fn of(parts: Vec<OwnedFd>, port: u16) -> Option<Self> {
        let mut parts = parts.into_iter();
        let right = File::from(parts.next()?);
        let mut sockets = Vec::new();
        for part in parts {
            let socket = TcpListener::from(part);
            let at = socket.local_addr().ok()?;
            let is_loopback = [
                IpAddr::V4(Ipv4Addr::LOCALHOST),
                IpAddr::V6(Ipv6Addr::LOCALHOST),
            ]
            .contains(&at.ip());
            if at.port() != port || !is_loopback || !listens(&socket) {
                return None;
            }
            sockets.push(socket);
        }
        (!sockets.is_empty()).then_some(Self {
            right,
            sockets,
            port,
        })
    }
}

/// Where a relay is given the sockets of the owner that it dials. Its file lives as long as this.
#[derive(Debug)]
pub(in crate::server) struct Door {
    listener: UnixListener,
    name: String,
    path: PathBuf,
}

impl Door {
    /// `None` where there can be none; then the port is bound anew when the owner is gone.
    ///
    /// # Cancel safety
    /// What is left of a door that nobody waits for is removed.
    pub(in crate::server) async fn open() -> Option<Self> {
        let opened = spawn_blocking(|| {
            let name = random();
            let file = rule::file(&name).expect("digits of ours");
            let path = default_state_dir().join(file);
            let listener = listen(&path)?;
            Ok::<_, io::Error>((listener, name, path))
        });
        let opened = opened.await.map_err(io::Error::other).and_then(|it| it);
        let opened = opened.and_then(|(listener, name, path)| {
            let listener = UnixListener::from_std(listener)?;
            Ok(Self {
                listener,
                name,
                path,
            })
        });
        opened
            .inspect_err(|error| say(error, "the owner's sockets cannot be inherited"))
            .ok()
    }

    /// What to call it when the owner is asked.
    pub(in crate::server) fn name(&self) -> &str {
        &self.name
    }

    /// Waits for the sockets of the owner of this port, for half a second at most.
    ///
    /// # Cancel safety
    /// Dropping the future closes whatever has come.
    pub(in crate::server) async fn receive(self, port: u16) -> Option<Heir> {
        let received = async {
            let (owner, _) = self.listener.accept().await?;
            only_ours(&owner)?;
            owner.async_io(Interest::READABLE, || receive(&owner)).await
        };
        let received = tokio::time::timeout(PATIENCE, received).await;
        match received.unwrap_or_else(|late| Err(late.into())) {
            Ok(parts) => {
                let heir = Heir::of(parts, port);
                if heir.is_none() {
                    tracing::warn!(
                        port,
                        "what came does not listen on this port, and is closed"
                    );
                }
                heir
            }
            Err(error) => {
                say(&error, "the owner's sockets have not come");
                None
            }
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        let path = std::mem::take(&mut self.path);
        // Wherever a runtime is left; else the next server sweeps it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn_blocking(move || remove(&path));
        }
    }
}

fn receive(owner: &UnixStream) -> io::Result<Vec<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut word = [0];
    #[cfg(target_os = "linux")]
    let flags = RecvFlags::CMSG_CLOEXEC;
    #[cfg(not(target_os = "linux"))]
    let flags = RecvFlags::empty();
    recvmsg(
        owner,
        &mut [IoSliceMut::new(&mut word)],
        &mut control,
        flags,
    )?;
    let mut parts = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(some) = message {
            parts.extend(some);
        }
    }
    if parts.is_empty() {
        // Whoever it was has none to give, or was just ending.
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    for part in &parts {
        // A broker that we start must not hold the port.
        fcntl_setfd(part, FdFlags::CLOEXEC)?;
    }
    Ok(parts)
}

/// Whoever is bound and does not listen would be taken for one that does, and nobody could dial.
#[cfg(not(target_vendor = "apple"))]
fn listens(socket: &TcpListener) -> bool {
    rustix::net::sockopt::socket_acceptconn(socket).unwrap_or(false)
}

/// Apple's systems do not tell. The first accept fails there, and the address is bound anew.
#[cfg(target_vendor = "apple")]
const fn listens(_: &TcpListener) -> bool {
    true
}

/// What is forbidden somebody can mend; the rest is no more than a port that is bound anew.
fn say(error: &io::Error, what: &str) {
    match error.kind() {
        io::ErrorKind::PermissionDenied => tracing::warn!(%error, "{what}"),
        _ => tracing::debug!(%error, "{what}"),
    }
}

/// Whoever is at the other end is the user whom this process belongs to.
fn only_ours(other: &UnixStream) -> io::Result<()> {
    if other.peer_cred()?.uid() == rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::PermissionDenied,
        "another user's process is at the other end",
    ))
}

/// A file that has no name any more, so that nothing is left of it. Not in the folder of the user, which may be on another
/// machine, where locks are slow or none.
fn nameless() -> io::Result<File> {
    let path = std::env::temp_dir().join(format!("unity-{}.lock", random()));
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketType, bind, socket};

    fn right() -> OwnedFd {
        nameless().unwrap().into()
    }

    #[test]
    fn an_heir_has_what_listens_on_this_port_of_loopback_and_nothing_else() {
        let ours = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = ours.local_addr().unwrap().port();
        let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let copy = || OwnedFd::from(ours.try_clone().unwrap());
        assert!(Heir::of(vec![right(), copy()], port).is_some());
        assert!(Heir::of(vec![right(), copy(), other.into()], port).is_none());
        assert!(Heir::of(vec![right(), copy()], port ^ 1).is_none());
        assert!(Heir::of(vec![right(), right()], port).is_none());
        assert!(Heir::of(vec![right()], port).is_none());
        assert!(Heir::of(Vec::new(), port).is_none());
    }

    #[cfg(not(target_vendor = "apple"))]
    #[test]
    fn a_socket_that_is_bound_and_does_not_listen_is_not_inherited() {
        let bound = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        bind(&bound, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let bound = TcpListener::from(bound);
        let port = bound.local_addr().unwrap().port();
        assert!(Heir::of(vec![right(), bound.into()], port).is_none());
    }
}
