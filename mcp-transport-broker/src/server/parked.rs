//! What is known of leases here: their connections, their pulls, and the numbers of what they got.
//! Pure.

use super::handed::Handed;
use crate::broker::Lease;
use crate::native::Refused;
use std::collections::{BTreeSet, HashMap, VecDeque};
use tokio::sync::oneshot;

/// A pull that waits for something.
#[derive(Debug)]
pub(super) struct Parked {
    pub(super) lease: Lease,
    pub(super) max: usize,
    pub(super) sender: oneshot::Sender<Result<Handed, Refused>>,
}

#[derive(Debug, Default)]
pub(super) struct Seats {
    /// The oldest first.
    parked: VecDeque<Parked>,
    leases: HashMap<Lease, Seat>,
}

#[derive(Debug, Default)]
struct Seat {
    connections: usize,
    /// The number of the last handing out.
    seq: u64,
    /// Numbers whose handing out was not written: a host waits for them.
    missing: BTreeSet<u64>,
}

impl Seats {
    pub(super) fn park(&mut self, parked: Parked) {
        self.parked.retain(|parked| !parked.sender.is_closed());
        self.parked.push_back(parked);
    }

    /// The oldest pull that somebody still waits for.
    pub(super) fn next(&mut self) -> Option<Parked> {
        loop {
            let parked = self.parked.pop_front()?;
            if !parked.sender.is_closed() {
                return Some(parked);
            }
        }
    }

    /// It was not its turn.
    pub(super) fn put_back(&mut self, parked: Parked) {
        self.parked.push_front(parked);
    }

    /// The number of a handing out: one that is missing, or the next. `None`: there are no items,
    /// and no number is missing, so nothing is handed out.
    pub(super) fn number(&mut self, lease: Lease, has_items: bool) -> Option<u64> {
        let seat = self.leases.entry(lease).or_default();
        if let Some(missing) = seat.missing.pop_first() {
            return Some(missing);
        }
        has_items.then(|| {
            seat.seq += 1;
            seat.seq
        })
    }

    /// A handing out was not written. Its number is the next one, since the host waits for it.
    pub(super) fn return_number(&mut self, lease: Lease, seq: Option<u64>) {
        if let (Some(seat), Some(seq)) = (self.leases.get_mut(&lease), seq) {
            seat.missing.insert(seq);
        }
    }

    /// One connection more speaks for a lease, or one fewer. Returns how many do.
    pub(super) fn connection(&mut self, lease: Lease, more: bool) -> usize {
        if more {
            self.leases.entry(lease).or_default().connections += 1;
        }
        let Some(seat) = self.leases.get_mut(&lease) else {
            return 0;
        };
        if !more {
            seat.connections = seat.connections.saturating_sub(1);
        }
        seat.connections
    }

    /// The pulls of a lease end, which goes on.
    pub(super) fn unpark(&mut self, lease: Lease) {
        self.parked.retain(|parked| parked.lease != lease);
    }

    /// A lease is over: its pulls end.
    pub(super) fn over(&mut self, lease: Lease) {
        self.unpark(lease);
        self.leases.remove(&lease);
    }

    /// All pulls end.
    pub(super) fn end_all(&mut self) {
        self.parked.clear();
    }
}
