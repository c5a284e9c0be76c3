//! The clients' plane as a table: what a request of an MCP client means, and what it is answered
//! where it means nothing. Pure.
//!
//! An MCP endpoint for clients of both eras, which differ in their headers:
//!
//! | | legacy, up to 2025-11-25 | modern, 2026-07-28 |
//! |---|---|---|
//! | begins with | `initialize`, which mints `Mcp-Session-Id` | nothing |
//! | says with each request | the session; none → 400, a dead one → 404 | version and capabilities in `_meta`; missing → 400, −32602 |
//! | `MCP-Protocol-Version` | unknown → 400; absent is 2025-03-26 | as in `_meta`, else 400, −32020; unknown → 400, −32022 |
//! | `Mcp-Method`, `Mcp-Name`, `Mcp-Param-*` | not looked at | as in the body, else 400, −32020 |
//! | unknown method | an answer as any | 404, −32601 |
//! | GET | the session's event stream; with `Last-Event-ID`, one that broke | 405 |
//! | DELETE | ends the session | 405 |
//! | hanging up | is no cancellation | is one |
//! | a batch | 400, −32600 | 400, −32600 |
//!
//! [`post`], [`get`] and [`delete`] decide; [`sse`] has the bytes of event streams, [`Streams`]
//! which stream a message goes to.

mod cache;
mod head;
mod headers;
mod method;
mod params;
mod post;
mod refusal;
pub mod sse;
mod streams;
mod tools;
mod version;

pub use head::{Accept, Head};
pub use method::{Delete, Get, delete, get};
pub use post::{Post, post, status};
pub use refusal::Refusal;
pub use streams::{Event, EventId, Kept, NotAnEventId, Resumed, StreamId, Streams};
pub use tools::ToolHeaders;
pub use version::{LEGACY, MODERN, primes};
