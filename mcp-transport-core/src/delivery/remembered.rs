//! Operations that ended without an answer, so that a late one is recognised.

use super::table::Table;
use super::types::{Link, Op};
use std::collections::VecDeque;

/// The newest `limit` of them, each with the links that it was ever handed to.
#[derive(Debug)]
pub(super) struct Remembered {
    limit: usize,
    links: Table<Vec<Link>>,
    order: VecDeque<Op>,
}

impl Remembered {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            links: Table::default(),
            order: VecDeque::new(),
        }
    }

    pub(super) fn insert(&mut self, op: Op, links: Vec<Link>) {
        if self.limit == 0 || links.is_empty() {
            return;
        }
        if self.order.len() == self.limit {
            // May name one that was claimed already: it is gone either way, and the table stays
            // bounded.
            self.order
                .pop_front()
                .map(|oldest| self.links.remove(oldest));
        }
        self.order.push_back(op);
        self.links.insert(op, links);
    }

    /// True once for each operation and only for a link that had it.
    pub(super) fn claim(&mut self, link: Link, op: Op) -> bool {
        let known = self
            .links
            .get(op)
            .is_some_and(|links| links.contains(&link));
        if known {
            self.links.remove(op);
        }
        known
    }
}
