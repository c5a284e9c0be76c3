//! Hosts that speak another dialect than ours: what they say, and what that means to the
//! [`Broker`](crate::broker::Broker). Pure: a desk for each dialect decides, given the broker and the
//! time; the server's shell only parses heads and waits.
//!
//! | | [`funplay`], version 3 | [`seed`] |
//! |---|---|---|
//! | who it is | a session, random in each life of the plugin | nobody: one anonymous lease |
//! | takes at once | one call: it pulls, runs, pushes, and pulls again | as many as it pulls |
//! | is gone when | it says so; or another comes, and it has neither a connection nor a young call | its parked socket dies, or it is silent |
//! | then a call that it had | is handed out again, flagged: the plugin itself refuses to run it twice | is handed out again if it may be repeated, else ends as unknown |
//! | bodies | rewritten so that the plugin's parser reads what was said, and restored | as they are |
//!
//! Neither has sessions of clients, event streams or handshakes that are said again: bodies are
//! passed on. What nobody answers goes to them as a request all the same, since they know nothing
//! else; the client has its 202, and what they answer is dropped.

pub mod funplay;
mod numbers;
pub mod seed;

pub use numbers::{Number, Numbers};
