//! Items on their way to a host.

use super::hub::Hub;
use super::items;
use crate::broker::{Handout, Lease};
use bytes::Bytes;
use std::fmt;
use std::sync::Arc;

/// What a pull got: given back when it is dropped before it was [written](Self::written).
pub(crate) struct Handed {
    hub: Arc<Hub>,
    lease: Lease,
    seq: Option<u64>,
    handouts: Vec<Handout>,
}

impl Handed {
    pub(super) fn new(
        hub: Arc<Hub>,
        lease: Lease,
        seq: Option<u64>,
        handouts: Vec<Handout>,
    ) -> Self {
        Self {
            hub,
            lease,
            seq,
            handouts,
        }
    }

    /// The body that says it, with these strays of a push.
    pub(super) fn encode(&self, stray: &[u64]) -> Bytes {
        items::encode(stray, self.seq, &self.handouts)
    }

    /// What it got.
    pub(crate) fn handouts(&self) -> &[Handout] {
        &self.handouts
    }

    /// It is with the operating system: from now on only the host can say what became of it.
    pub(super) fn written(mut self) {
        self.seq = None;
        self.handouts.clear();
    }

    /// Takes it apart, for whoever has the lock already.
    pub(super) fn disarm(mut self) -> (Option<u64>, Vec<Handout>) {
        (self.seq.take(), std::mem::take(&mut self.handouts))
    }
}

impl Drop for Handed {
    fn drop(&mut self) {
        if self.seq.is_some() || !self.handouts.is_empty() {
            let handouts = std::mem::take(&mut self.handouts);
            tracing::debug!(lease = %self.lease, items = handouts.len(), "a pull's answer was not written");
            self.hub.unpull(self.lease, self.seq, handouts);
        }
    }
}

impl fmt::Debug for Handed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handed")
            .field("lease", &self.lease)
            .field("seq", &self.seq)
            .field("items", &self.handouts.len())
            .finish_non_exhaustive()
    }
}
