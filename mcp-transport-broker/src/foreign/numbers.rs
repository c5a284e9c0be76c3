//! The numbers under which such hosts know what they pulled.

use crate::broker::Ticket;

/// Makes the numbers that go with a pull's body, and reads those that come back with a push.
///
/// They do not begin at 1 with each process: a host that still works for the broker before this one
/// would answer somebody else's call, and one that must not may guess less.
#[derive(Clone, Debug)]
pub struct Numbers {
    base: u64,
    asides: u64,
}

/// What a number stands for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "whoever reads one must act on each"
)]
pub enum Number {
    /// A call that somebody may wait for.
    Call(Ticket),
    /// Something that nobody answers: whatever is pushed is dropped.
    Aside,
}

/// Tickets are below this; so is the count of asides.
const SPAN: u64 = 1 << 52;

impl Numbers {
    /// Numbers from somewhere in the lower half of what a signed 64-bit integer holds.
    pub const fn new(random: u64) -> Self {
        Self {
            base: random >> 2,
            asides: 0,
        }
    }

    /// The number of a call.
    pub const fn call(&self, ticket: Ticket) -> u64 {
        self.base + ticket.get()
    }

    /// A number for something that nobody answers.
    pub fn aside(&mut self) -> u64 {
        self.asides = (self.asides + 1) % SPAN;
        self.base + SPAN + self.asides
    }

    /// What a number stands for; `None` where it was never given out.
    pub fn read(&self, text: &str) -> Option<Number> {
        let number: u64 = text.trim_ascii().parse().ok()?;
        let offset = number.checked_sub(self.base)?;
        if offset < SPAN {
            Some(Number::Call(Ticket::from(offset)))
        } else {
            (offset - SPAN <= self.asides).then_some(Number::Aside)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_fits_a_signed_one_and_comes_back_as_what_it_was() {
        for random in [0, 1, u64::MAX] {
            let mut numbers = Numbers::new(random);
            let ticket = Ticket::from(7);
            let call = numbers.call(ticket);
            let aside = numbers.aside();
            assert!(call > 0 && i64::try_from(aside).is_ok());
            assert_eq!(numbers.read(&call.to_string()), Some(Number::Call(ticket)));
            assert_eq!(numbers.read(&aside.to_string()), Some(Number::Aside));
            assert_eq!(numbers.read(&(aside + 1).to_string()), None);
        }
        assert_eq!(Numbers::new(u64::MAX).read("1"), None);
        assert_eq!(Numbers::new(0).read("-1"), None);
        assert_eq!(Numbers::new(0).read(""), None);
    }
}
