//! What is kept for each operation.

use super::types::Op;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A table by operation.
///
/// Operations are numbered in turn, and neighbours stay neighbours here: who works through a queue
/// of many thousands finds the next one close by. The numbers are ours. Whoever leaves just those
/// unanswered that collide, one in thousands, makes each look as long as there are of them, and no
/// longer than the limit of operations.
pub(super) type Table<V> = HashMap<Op, V, BuildHasherDefault<InTurn>>;

#[derive(Debug, Default)]
pub(super) struct InTurn(u64);

impl Hasher for InTurn {
    fn write_u64(&mut self, number: u64) {
        // The table takes the place from the low bits, and tells by the highest seven who is there.
        self.0 = number.wrapping_mul((1 << 57) | 1);
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("an operation is one number");
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
