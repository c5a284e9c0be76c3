//! What whoever dials editors tells the hub: which there are, and who else has their only seat.

use super::{Hub, Listed};

impl Hub {
    /// A status file says this of an editor: it can be chosen, and calls for it are held, though nobody is connected to it.
    pub fn list(&self, listed: &Listed) {
        self.touch(|inner, now| inner.state.list(now, listed));
    }

    /// The status file is gone. Unless it comes back within 5 s, an editor that is not connected has quit.
    pub fn unlist(&self, hash: &str) {
        self.touch(|inner, now| inner.state.unlist(now, hash));
    }

    /// Another client has the only seat of this editor, until it is ours again: its calls are
    /// answered at once with this text.
    pub fn stand_by(&self, hash: &str, text: String) {
        self.touch(|inner, _| inner.state.stand_by(hash, text));
    }

    /// Whoever had the only seat of this editor may have left it: its calls are held again.
    pub fn stand_down(&self, hash: &str) {
        self.touch(|inner, _| inner.state.stand_down(hash));
    }

    /// Somebody else's editor answers where the status file says that this one listens; `None` once the file was written anew.
    pub fn mislead(&self, hash: &str, what: Option<String>) {
        self.touch(|inner, _| inner.state.mislead(hash, what));
    }

    /// The dial that was made for a call of this editor was ended by another client's: the oldest call ends with it.
    pub fn cut_off(&self, hash: &str) {
        self.touch(|inner, _| inner.state.cut_off(hash));
    }
}
