//! A client on our pipes, whoever has the port.
//!
//! Each AI client starts a stdio server of its own, and only one of them can have the port to which editors connect. Whoever
//! has it, the *owner*, is the whole server; every other one *relays*: its client's messages go to the owner's `/mcp` over a
//! WebSocket. All of them do so by core's `Resilient`, whose connector is [`Place`]: it takes the port, or finds who has it. To
//! the owner itself the connection leads within the process. So when an owner goes, each relay's next dial takes the port or
//! finds the next owner, and what becomes of calls in between is the delivery rule's to say.
//!
//! `decide` says what to do about whoever has the port, `proof` how one of ours is known, and `book` what is made of answers;
//! these three are pure.
#![expect(
    clippy::disallowed_methods,
    reason = "the shell that carries messages, and waits before it sends one again"
)]

mod ask;
mod book;
mod decide;
mod link;
mod place;
mod proof;

pub(super) use ask::answer;
pub(super) use link::{Session, chose, heir, serve_upgraded};
pub(super) use proof::{NAME, PATH};

use super::estate;
use super::run::{Options, banner, simulate, warn_of_foreign_port};
use crate::catalogue::Catalogue;
use book::{Book, Heard};
use futures::{FutureExt, Sink, SinkExt, Stream, StreamExt};
use mcp_transport_core::delivery::Replay;
use mcp_transport_core::dial::State;
use mcp_transport_core::resilient::{Handle, replayable};
use mcp_transport_core::{Error, Message, Resilient, RetryPolicy, Transport};
use place::Place;
use serde::Deserialize;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// How long a client that closed its end is served the answers that it still waits for.
const DRAIN: Duration = Duration::from_secs(2);

/// How long the link has to end.
const GOODBYE: Duration = Duration::from_millis(100);

/// How long a client has to take the last answers of a server that was told to end.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// How long one look for the port may take; an owner that is starting, or a broker, included.
const LOOK: Duration = Duration::from_secs(30);

/// How long what is for the next owner waits for the end of the one that goes, at most: that takes less than 2 s.
const GOES: Duration = Duration::from_millis(2_500);

/// How often to look for the port after a loss, and how many times; then by the usual schedule.
const GLANCE: Duration = Duration::from_millis(100);
const GLANCES: usize = 50;

/// How long a call may run. The server ends each before that, so this is for one that does not live up to it.
const RUN: Duration = Duration::from_secs(3_600);

/// Serves the client on our pipes until it is gone, or until `stop`.
pub(super) async fn run(options: Options, stop: impl Future<Output = ()>) -> io::Result<()> {
    tokio::pin!(stop);
    // Before anything can be printed.
    let pipes = mcp_transport_stdio::stdio()?;
    let book = Arc::new(Mutex::new(Book::default()));
    let (sim, budget, port) = (options.sim.clone(), options.budget, options.port);
    let place = Arc::new(Place::new(options, book.clone()));
    // Nobody waits for that.
    tokio::task::spawn_blocking(estate::sweep);
    tokio::select! {
        settled = place.settle() => settled?,
        () = &mut stop => {
            place.stop().await;
            return Ok(());
        }
    }
    let hub = place.with_server(|server| {
        warn_of_foreign_port(server.number(), &server.health());
        (server.number(), server.calls().hub().clone())
    });
    let editor = match (sim, hub.await) {
        (Some(sim), Some((number, hub))) => Some(simulate(number, sim, &hub).await),
        // It is the owner's editor.
        (Some(sim), None) => {
            let url = format!("ws://127.0.0.1:{port}/hub/plugin");
            Some(crate::sim::Editor::spawn(&url, sim))
        }
        (None, _) => None,
    };
    let simulated = editor.is_some();
    if let Some(banner) = place.with_server(|server| banner(server, simulated)).await {
        // Nothing but protocol may reach standard output.
        let _ = writeln!(io::stderr(), "{banner}");
    }
    let link = Resilient::builder(place.connector())
        .retry(again_and_again())
        .connect_timeout(LOOK)
        .hold(budget.client.unwrap_or(budget.hold).min(budget.hold))
        .run(RUN)
        .replay(replay)
        .spawn();
    let handle = link.handle();
    let carried = carry(pipes, link, handle.clone(), book);
    let told = async {
        stop.await;
        // The client hears what becomes of its calls: what this server hands back, once the link is closed.
        place.stop().await;
        handle.close(GOODBYE).await;
        tokio::time::sleep(LAST_WORDS).await;
    };
    tokio::select! {
        () = carried => {}
        () = told => {}
    }
    handle.close(GOODBYE).await;
    place.stop().await;
    if let Some(editor) = editor {
        editor.quit().await;
    }
    Ok(())
}

/// Carries messages both ways until the client is gone, or nobody can be reached ever again.
async fn carry(client: impl Transport, link: Resilient, handle: Handle, book: Arc<Mutex<Book>>) {
    let (to_client, from_client) = client.split();
    let link_state = link.watch();
    let (to_link, from_link) = link.split();
    let (going, state) = (Notify::new(), link_state);
    let up = async {
        up(from_client, to_link, &book, (&going, state)).await;
        handle.close(DRAIN).await;
        // What still comes is the other half's.
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = up => {}
        () = down(from_link, to_client, &book, &going) => {}
    }
}

/// From the client to the link, until the client says no more.
async fn up(
    mut client: impl Stream<Item = Result<Message, Error>> + Unpin,
    mut link: impl Sink<Message, Error = Error> + Unpin,
    book: &Mutex<Book>,
    (going, mut state): (&Notify, watch::Receiver<State>),
) {
    loop {
        tokio::select! {
            said = client.next() => {
                let Some(Ok(message)) = said else {
                    tracing::info!("the client is gone");
                    return;
                };
                lock(book).said(&message);
                if link.send(message).await.is_err() {
                    return;
                }
            }
            () = going.notified() => {
                gone(&mut state).await;
                // Said several times by one that is gone now.
                let _ = going.notified().now_or_never();
                let parked = lock(book).parked();
                for (number, call) in parked {
                    // Where nobody can be sent to any more the other half answers it.
                    if link.send(call).await.is_err() {
                        return;
                    }
                    lock(book).again(number);
                }
            }
        }
    }
}

/// Waits for the end of the present connection. Meanwhile the client is not read: what it says is for the next owner.
async fn gone(state: &mut watch::Receiver<State>) {
    let State::Connected {
        session: present, ..
    } = *state.borrow_and_update()
    else {
        return;
    };
    let ended =
        |state: &State| !matches!(state, State::Connected { session, .. } if *session == present);
    let _ = tokio::time::timeout(GOES, state.wait_for(ended)).await;
}

/// From the link to the client, until either is gone.
async fn down(
    mut link: impl Stream<Item = Result<Message, Error>> + Unpin,
    mut client: impl Sink<Message, Error = Error> + Unpin,
    book: &Mutex<Book>,
    going: &Notify,
) {
    while let Some(Ok(message)) = link.next().await {
        let heard = lock(book).heard(message);
        match heard {
            Heard::Going => going.notify_one(),
            Heard::Kept => {}
            Heard::Pass(message) => {
                if client.send(message).await.is_err() {
                    return;
                }
            }
        }
    }
    let given_up = lock(book).give_up();
    for answer in given_up {
        let _ = client.send(answer).await;
    }
}

/// At once, often for a few seconds, and then as everybody does.
fn again_and_again() -> RetryPolicy {
    let often = std::iter::repeat_n(GLANCE, GLANCES);
    let usual = RetryPolicy::local().delays().take(6);
    let tail = Duration::from_secs(30);
    RetryPolicy::steps(
        [Duration::ZERO].into_iter().chain(often).chain(usual),
        Some(tail),
    )
}

/// Which calls may be sent again: MCP's reads, and the tool calls that the catalogue says only read.
fn replay(request: &Message) -> Replay {
    #[derive(Deserialize)]
    struct Params<'a> {
        name: std::borrow::Cow<'a, str>,
        #[serde(default)]
        arguments: Arguments,
    }
    #[derive(Default, Deserialize)]
    struct Arguments {
        action: Option<String>,
    }
    if request.method() != Some("tools/call") {
        return replayable::replay(request.method().unwrap_or_default());
    }
    let params = request.params().unwrap_or_default();
    let Ok(Params { name, arguments }) = serde_json::from_str(params) else {
        return Replay::Never;
    };
    match Catalogue::builtin().tool(&name) {
        Some(tool) if tool.is_replay_safe(arguments.action.as_deref()) => Replay::Safe,
        _ => Replay::Never,
    }
}

fn lock(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mcp_transport_core::Id;
    use serde_json::json;

    fn call(name: &str, arguments: serde_json::Value) -> Message {
        let params = json!({"name": name, "arguments": arguments});
        Message::request(&Id::from(1), "tools/call", Some(params)).unwrap()
    }

    #[test]
    fn a_tool_call_is_sent_again_only_if_the_catalogue_says_that_it_reads() {
        let hierarchy = call("manage_scene", json!({"action": "get_hierarchy"}));
        assert_eq!(replay(&hierarchy), Replay::Safe);
        for call in [
            call("manage_scene", json!({"action": "save"})),
            call(
                "manage_gameobject",
                json!({"action": "create", "name": "Cube"}),
            ),
            call("no_such_tool", json!({})),
            call("manage_scene", json!({"action": 7})),
        ] {
            assert_eq!(replay(&call), Replay::Never, "{call:?}");
        }
        let list = Message::request(&Id::from(1), "tools/list", None::<()>).unwrap();
        assert_eq!(replay(&list), Replay::Safe);
    }

    #[test]
    fn the_port_is_looked_for_several_times_a_second_at_first() {
        let delays: Vec<_> = again_and_again().delays().take(60).collect();
        assert_eq!(delays[0], Duration::ZERO);
        assert!(delays[1..=GLANCES].iter().all(|delay| *delay == GLANCE));
        assert_eq!(delays[59], Duration::from_secs(30));
    }
}
