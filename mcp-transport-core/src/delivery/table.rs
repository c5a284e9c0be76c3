//! What is kept for each operation.

use super::types::Op;
use std::collections::BTreeMap;

/// A table by operation.
///
/// Operations are numbered in turn, so the lowest bits of a number are its place: those that live
/// at the same time have places side by side, and a look-up is one comparison. Whoever finds its
/// place taken, by one that stays for long, lies in a tree beside. So no choice of which calls stay
/// unanswered makes any look-up long.
#[derive(Debug)]
pub(super) struct Table<V> {
    /// A power of two, and never fewer than the operations; empty at first.
    places: Vec<Option<(Op, V)>>,
    beside: BTreeMap<Op, V>,
    len: usize,
}

/// So many places are made first.
const FEW: usize = 8;

impl<V> Default for Table<V> {
    fn default() -> Self {
        Self {
            places: Vec::new(),
            beside: BTreeMap::new(),
            len: 0,
        }
    }
}

impl<V> Table<V> {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn get(&self, op: Op) -> Option<&V> {
        match self.places.get(self.place(op)) {
            Some(Some((there, value))) if *there == op => Some(value),
            _ => self.beside.get(&op),
        }
    }

    pub(super) fn get_mut(&mut self, op: Op) -> Option<&mut V> {
        let place = self.place(op);
        match self.places.get_mut(place) {
            Some(Some((there, value))) if *there == op => Some(value),
            _ => self.beside.get_mut(&op),
        }
    }

    /// Puts one in that is not there yet.
    pub(super) fn insert(&mut self, op: Op, value: V) {
        debug_assert!(self.get(op).is_none(), "{op:?} has one place");
        if self.len == self.places.len() {
            self.grow();
        }
        self.put(op, value);
    }

    pub(super) fn remove(&mut self, op: Op) -> Option<V> {
        let place = self.place(op);
        let there = self.places.get_mut(place)?;
        let removed = match there.take_if(|(there, _)| *there == op) {
            Some((_, value)) => Some(value),
            None => self.beside.remove(&op),
        };
        self.len -= usize::from(removed.is_some());
        removed
    }

    /// In no order.
    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        let placed = self.places.iter_mut().flatten().map(|(_, value)| value);
        placed.chain(self.beside.values_mut())
    }

    fn put(&mut self, op: Op, value: V) {
        let place = self.place(op);
        match &mut self.places[place] {
            free @ None => *free = Some((op, value)),
            Some(_) => drop(self.beside.insert(op, value)),
        }
        self.len += 1;
    }

    /// Twice the places, in which everybody is placed anew.
    #[cold]
    fn grow(&mut self) {
        let room = (self.places.len() * 2).max(FEW);
        let placed = std::mem::take(&mut self.places);
        let beside = std::mem::take(&mut self.beside);
        self.places.resize_with(room, || None);
        self.len = 0;
        for (op, value) in placed.into_iter().flatten().chain(beside) {
            self.put(op, value);
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "only the lowest bits are wanted"
    )]
    fn place(&self, op: Op) -> usize {
        op.0 as usize & self.places.len().wrapping_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Copy, Debug)]
    enum Step {
        /// One comes, so many numbers on.
        Come(u64),
        /// Somebody of those that are there, or a number that is not.
        Go(u64),
        Look(u64),
        Change(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        use Step::*;
        // Numbers in turn, and such that want the same place.
        let apart = prop_oneof![6 => Just(1), 1 => 2..20_u64, 2 => Just(8), 2 => Just(2048)];
        prop_oneof![
            4 => apart.prop_map(Come),
            3 => any::<u64>().prop_map(Go),
            1 => any::<u64>().prop_map(Look),
            1 => any::<u64>().prop_map(Change),
        ]
    }

    proptest! {
        #[test]
        fn it_has_what_was_put_in_and_not_taken_out(steps in prop::collection::vec(step(), 0..400)) {
            let (mut table, mut model) = (Table::default(), BTreeMap::new());
            let mut last = 0;
            for step in steps {
                let pick = |number: u64| match model.len() as u64 {
                    0 => Op(number),
                    some => *model.keys().nth((number % some) as usize).unwrap_or(&Op(number)),
                };
                match step {
                    Step::Come(apart) => {
                        last += apart;
                        table.insert(Op(last), last);
                        model.insert(Op(last), last);
                    }
                    Step::Go(number) => {
                        let op = pick(number);
                        prop_assert_eq!(table.remove(op), model.remove(&op));
                        prop_assert_eq!(table.get(op), None);
                    }
                    Step::Look(number) => {
                        prop_assert_eq!(table.get(Op(number)), model.get(&Op(number)));
                        let op = pick(number);
                        prop_assert_eq!(table.get(op), model.get(&op));
                    }
                    Step::Change(number) => {
                        let op = pick(number);
                        let changed = table.get_mut(op).map(|value| *value += 1);
                        prop_assert_eq!(changed, model.get_mut(&op).map(|value| *value += 1));
                    }
                }
                prop_assert_eq!(table.len(), model.len());
                prop_assert_eq!(table.is_empty(), model.is_empty());
                let mut all: Vec<_> = table.values_mut().map(|value| *value).collect();
                let mut expected: Vec<_> = model.values().copied().collect();
                all.sort_unstable();
                expected.sort_unstable();
                prop_assert_eq!(all, expected);
            }
        }

        #[test]
        fn whoever_comes_and_goes_in_turn_has_a_place_of_its_own(depth in 1..300_u64) {
            let mut table = Table::default();
            for number in 0..2_000 {
                table.insert(Op(number), ());
                if number >= depth {
                    table.remove(Op(number - depth));
                }
                prop_assert!(table.beside.is_empty());
            }
            prop_assert!(table.places.len() <= FEW.max(2 * (depth as usize + 1)));
        }
    }

    #[test]
    fn those_that_want_one_place_and_stay_cost_nobody_else_anything() {
        let mut table = Table::default();
        for number in 0..2_000 {
            table.insert(Op(number * 4096), ());
        }
        // All in one place, but for the first, are in the tree: 11 comparisons. Others have theirs.
        assert_eq!(table.beside.len(), 1_999);
        assert_eq!(table.places.len(), 2_048);
        table.insert(Op(4096 * 2_000 + 1), ());
        assert_eq!(table.beside.len(), 1_999);
        assert!(table.remove(Op(4096 * 1_000)).is_some());
        assert!(table.get(Op(4096 * 1_001)).is_some());
    }
}
