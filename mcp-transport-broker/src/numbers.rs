//! Tables by numbers that are given in turn.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

/// A table by a number that this process gives: a ticket, a stream, a client.
///
/// Peers do not choose the numbers, only which of them stay in use, so it need not be hashed as
/// what they choose: one multiplication by a secret does, in place of the standard library's rounds.
pub(crate) type Table<K, V> = HashMap<K, V, Secret>;

/// Where what lies is a table's secret: nobody can leave just those numbers in use that collide.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Secret(u64);

/// Takes keys that are a number, or a kind and a number.
#[derive(Debug)]
pub(crate) struct Folded {
    secret: u64,
    state: u64,
}

impl Default for Secret {
    fn default() -> Self {
        // Odd, so that no number is folded into nothing.
        Self(RandomState::new().hash_one(()) | 1)
    }
}

impl BuildHasher for Secret {
    type Hasher = Folded;

    fn build_hasher(&self) -> Folded {
        Folded {
            secret: self.0,
            state: self.0,
        }
    }
}

impl Hasher for Folded {
    fn write_u64(&mut self, number: u64) {
        let product = u128::from(self.state ^ number) * u128::from(self.secret);
        self.state = (product >> 64) as u64 ^ product as u64;
    }

    fn write_isize(&mut self, kind: isize) {
        self.state = self.state.rotate_left(8) ^ kind as u64;
    }

    /// How a kind is written is the compiler's choice.
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn finish(&self) -> u64 {
        self.state
    }
}
