//! A hint from outside: the host is back.

use std::sync::Arc;
use tokio::sync::watch;

/// Ends the wait of a dial loop, whatever its schedule says. Clone it freely.
///
/// A wake counts for the wait that it falls into, or for the attempt: if that one fails, the next
/// is at once. It is forgotten while a connection is up, and when a newer client takes the seat, so
/// that an old hint never takes it back.
#[derive(Clone, Debug)]
pub struct Wake(Arc<watch::Sender<u64>>);

impl Wake {
    pub(super) fn new() -> (Self, Woken) {
        let (tx, rx) = watch::channel(0);
        (Self(Arc::new(tx)), Woken(rx))
    }

    /// Dials now.
    pub fn wake(&self) {
        self.0.send_modify(|wakes| *wakes = wakes.wrapping_add(1));
    }
}

/// The dial loop's side of it.
#[derive(Debug)]
pub(super) struct Woken(watch::Receiver<u64>);

impl Woken {
    pub(super) fn forget(&mut self) {
        self.0.mark_unchanged();
    }

    /// Resolves at the first wake since the last one that was seen or forgotten.
    ///
    /// # Cancel safety
    /// Cancel safe: a wake that was not seen stays.
    pub(super) async fn woken(&mut self) {
        if self.0.changed().await.is_err() {
            // Nobody is left who could wake us.
            std::future::pending::<()>().await;
        }
    }
}
