//! What the last host offered: answers for the time in which none is there, and what to tell when
//! the next one offers something else.
//!
//! An entry is the result of one request as one kind of client would say it: `initialize` by the
//! version asked for, `server/discover` and the lists by era, version and parameters without
//! `_meta`. Results are kept as the JSON that they are.

mod inquiry;
mod key;
mod store;
mod telling;

pub(super) use inquiry::Inquiries;
pub(super) use key::Key;
pub(super) use store::Catalogue;
pub use store::{Entry, Snapshot};
