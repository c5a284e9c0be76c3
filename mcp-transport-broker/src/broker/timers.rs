//! Deadlines by name, and the one that is due first.

use super::later;
use crate::numbers::Table;
use std::collections::BTreeSet;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// At most one deadline for each key.
#[derive(Debug)]
pub(super) struct Timers<K> {
    due: BTreeSet<(Instant, K)>,
    at: Table<K, Instant>,
}

impl<K: Copy + Eq + Hash + Ord> Timers<K> {
    pub(super) fn new() -> Self {
        Self {
            due: BTreeSet::new(),
            at: Table::default(),
        }
    }

    /// Sets it, or sets it anew.
    pub(super) fn set(&mut self, key: K, at: Instant) {
        if let Some(former) = self.at.insert(key, at) {
            self.due.remove(&(former, key));
        }
        self.due.insert((at, key));
    }

    pub(super) fn clear(&mut self, key: K) {
        if let Some(at) = self.at.remove(&key) {
            self.due.remove(&(at, key));
        }
    }

    /// When it is due, if it is set.
    pub(super) fn at(&self, key: K) -> Option<Instant> {
        self.at.get(&key).copied()
    }

    /// Takes the first that is due.
    pub(super) fn pop(&mut self, now: Instant) -> Option<K> {
        let &(at, key) = self.due.first().filter(|&&(at, _)| at <= now)?;
        self.due.remove(&(at, key));
        self.at.remove(&key);
        Some(key)
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.due.first().map(|&(at, _)| at)
    }

    pub(super) fn slept(&mut self, gap: Duration) {
        self.due = std::mem::take(&mut self.due)
            .into_iter()
            .map(|(at, key)| (later(at, gap), key))
            .collect();
        for at in self.at.values_mut() {
            *at = later(*at, gap);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.at.len()
    }
}
