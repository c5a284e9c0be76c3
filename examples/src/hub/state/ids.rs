//! Ids as the real server sends them: in the form of a UUID. The plugin treats them as opaque.

/// A family of ids: one for each number, and for nobody else's.
#[derive(Debug)]
pub(super) struct Ids {
    prefix: String,
}

impl Ids {
    /// `boot` is random, so that ids of an earlier run are nobody's; each family has a number.
    pub(super) fn new(boot: u64, family: u64) -> Self {
        let mixed = boot ^ family.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let (high, low) = (mixed >> 32, mixed & 0xFFFF_FFFF);
        // Version 4, by its form.
        let prefix = format!(
            "{high:08x}-{:04x}-4{:03x}-8{:03x}",
            low >> 16,
            low & 0xFFF,
            (boot >> 52) & 0xFFF
        );
        Self { prefix }
    }

    /// The id of a number.
    pub(super) fn of(&self, number: u64) -> String {
        format!("{}-{number:012x}", self.prefix)
    }

    /// The number of an id, if it is one of ours.
    pub(super) fn number(&self, id: &str) -> Option<u64> {
        let number = id.strip_prefix(&self.prefix)?.strip_prefix('-')?;
        let number = u64::from_str_radix(number, 16).ok()?;
        (self.of(number) == id).then_some(number)
    }
}
