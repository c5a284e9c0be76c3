//! A client that gives a queued call up leaves nothing behind: the editor never sees it.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests wait and spawn"
)]

use examples::calls::Budget;
use examples::sim::{Editor, Options};
use rmcp::model::{CallToolRequest, CallToolRequestParams, ClientRequest};
use rmcp::service::PeerRequestOptions;
use serde_json::{Value, json};
use std::time::Duration;
use tests_integration::{Server, raw, reload};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// Long enough that nobody comes back by accident, short enough to wait for.
const AWAY: Duration = Duration::from_millis(1_500);

/// An editor that reloads, and is away when this returns.
async fn away(server: &Server) -> Editor {
    let editor = server.editor(Options::default().away(AWAY)).await;
    reload(&editor).await;
    editor
}

fn create(name: &str) -> Value {
    json!({"action": "create", "name": name})
}

/// Once the editor is back and has answered another call, it has seen every call that was sent to it.
async fn never_saw(server: &Server, editor: &Editor, name: &str) {
    editor.connected().await;
    let session = raw::Session::begin(server.port).await;
    let answer = session.call("manage_gameobject", create("Witness")).await;
    assert!(answer.succeeded(), "{answer:?}");
    let created = editor.report().objects_created;
    assert_eq!(created.get("Witness"), Some(&1));
    assert_eq!(created.get(name), None, "{created:?}");
}

async fn begun(server: &Server, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port))
        .await
        .unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    server.queued(1).await;
    stream
}

/// Well below the time that the editor is away, and above what a loaded machine takes.
async fn at_once(what: impl Future<Output = ()>) {
    tokio::time::timeout(Duration::from_millis(750), what)
        .await
        .expect("it is withdrawn at once");
}

#[tokio::test]
async fn hanging_up_withdraws_a_call_of_the_protocol_without_sessions() {
    for progress in [false, true] {
        let server = Server::start(Budget::default());
        let editor = away(&server).await;
        let text = raw::modern_call(server.port, "manage_gameobject", &create("Lost"), progress);
        drop(begun(&server, &text).await);
        at_once(server.nothing_queued()).await;
        never_saw(&server, &editor, "Lost").await;
        server.stop().await;
    }
}

#[tokio::test]
async fn hanging_up_amid_the_answer_withdraws_a_call_as_well() {
    let server = Server::start(Budget::default());
    let editor = server
        .editor(Options::default().away(Duration::from_secs(5)))
        .await;
    editor.reload();
    let mut state = editor.watch();
    let gone = |state: &examples::sim::State| *state == examples::sim::State::Away;
    state.wait_for(gone).await.expect("the editor lives");
    let text = raw::modern_call(server.port, "manage_gameobject", &create("Lost"), true);
    let stream = begun(&server, &text).await;
    // The first word of progress: from here on the answer's stream is open.
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("notifications/progress") {
        stream.readable().await.unwrap();
        let _ = stream.try_read_buf(&mut seen);
    }
    drop(stream);
    at_once(server.nothing_queued()).await;
    never_saw(&server, &editor, "Lost").await;
    server.stop().await;
}

#[tokio::test]
async fn a_client_with_a_session_that_hangs_up_has_cancelled_nothing() {
    let server = Server::start(Budget::default());
    let editor = away(&server).await;
    let session = raw::Session::begin(server.port).await;
    let text = session.call_text("manage_gameobject", &create("Kept"));
    drop(begun(&server, &text).await);
    editor.connected().await;
    let made = async {
        while !editor.report().objects_created.contains_key("Kept") {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let made = tokio::time::timeout(Duration::from_secs(10), made).await;
    made.expect("it is made although nobody waits for it");
    server.nothing_queued().await;
    let witness = session.call("manage_gameobject", create("Witness")).await;
    assert!(witness.succeeded(), "{witness:?}");
    assert_eq!(editor.report().objects_created.get("Kept"), Some(&1));
    server.stop().await;
}

#[tokio::test]
async fn a_cancelled_notification_withdraws_a_queued_call() {
    let server = Server::start(Budget::default());
    let editor = away(&server).await;
    let client = server.client().await;
    let params = CallToolRequestParams::new("manage_gameobject")
        .with_arguments(create("Lost").as_object().cloned().unwrap());
    let call = client
        .peer()
        .send_cancellable_request(
            ClientRequest::CallToolRequest(CallToolRequest::new(params)),
            PeerRequestOptions::no_options(),
        )
        .await
        .unwrap();
    server.queued(1).await;
    call.cancel(Some("changed my mind".to_owned()))
        .await
        .unwrap();
    at_once(server.nothing_queued()).await;
    never_saw(&server, &editor, "Lost").await;
    server.stop().await;
}

#[tokio::test]
async fn ending_the_session_withdraws_its_queued_calls_and_no_others() {
    let server = Server::start(Budget::default());
    let editor = away(&server).await;
    let ending = raw::Session::begin(server.port).await;
    let staying = raw::Session::begin(server.port).await;
    let _lost = begun(
        &server,
        &ending.call_text("manage_gameobject", &create("Lost")),
    )
    .await;
    let kept = tokio::spawn(async move { staying.call("manage_gameobject", create("Kept")).await });
    server.queued(2).await;
    let ended = tokio::spawn(async move { ending.end().await });
    let one = async {
        while server.hub.snapshot()[0].queued != 1 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    at_once(one).await;
    assert!(kept.await.unwrap().succeeded());
    never_saw(&server, &editor, "Lost").await;
    assert!(ended.await.unwrap().status < 300);
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_closes_leaves_no_call_behind() {
    let server = Server::start(Budget::default());
    let editor = away(&server).await;
    let client = std::sync::Arc::new(server.client().await);
    let calling = client.clone();
    let call =
        tokio::spawn(async move { calling.try_call("manage_gameobject", create("Lost")).await });
    server.queued(1).await;
    call.abort();
    let _ = call.await;
    std::sync::Arc::into_inner(client)
        .expect("the call is gone")
        .close()
        .await;
    at_once(server.nothing_queued()).await;
    never_saw(&server, &editor, "Lost").await;
    server.stop().await;
}

#[tokio::test]
async fn a_call_that_waited_as_long_as_it_may_is_not_delivered_and_says_so() {
    let server = Server::start(Budget::new(Duration::from_millis(500), None));
    let editor = away(&server).await;
    let session = raw::Session::begin(server.port).await;
    let answer = session.call("manage_gameobject", create("Lost")).await;
    assert!(answer.is_error, "{answer:?}");
    assert_eq!(answer.outcome(), Some("not_delivered"), "{answer:?}");
    assert_eq!(answer.value["retryable"], json!(true), "{answer:?}");
    assert_eq!(answer.value["cause"], json!("reloading"), "{answer:?}");
    assert!(answer.text.contains("not delivered"), "{answer:?}");
    never_saw(&server, &editor, "Lost").await;

    // And it says the same again to whoever asks.
    let id = answer.value["operation_id"].clone();
    let again = session
        .call("get_operation", json!({"operation_id": id}))
        .await;
    assert_eq!(again.value, answer.value);
    server.stop().await;
}

/// Two hundred and fifty at once, twice: each takes a socket on either side, and some machines allow few.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_queued_calls_of_clients_that_hang_up_are_never_seen_by_the_editor() {
    let server = Server::start(Budget::default());
    let editor = server.editor(Options::default()).await;
    editor.freeze(true);
    let holding = raw::Session::begin(server.port).await;
    let held = tokio::spawn(async move { holding.call("manage_gameobject", create("Held")).await });
    while server.hub.snapshot()[0].running.is_none() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    for batch in 0..2 {
        let mut clients = Vec::new();
        for number in 0..250 {
            let lost = create(&format!("Lost-{batch}-{number}"));
            let text = raw::modern_call(server.port, "manage_gameobject", &lost, number % 2 == 0);
            let mut stream = TcpStream::connect(("127.0.0.1", server.port))
                .await
                .unwrap();
            stream.write_all(text.as_bytes()).await.unwrap();
            clients.push(stream);
        }
        server.queued(250).await;
        drop(clients);
        let withdrawn = tokio::time::timeout(Duration::from_secs(20), server.nothing_queued());
        withdrawn
            .await
            .expect("they are withdrawn while the editor stands still");
    }
    editor.freeze(false);
    assert!(held.await.unwrap().succeeded());
    let witness = raw::Session::begin(server.port).await;
    assert!(
        witness
            .call("manage_gameobject", create("Witness"))
            .await
            .succeeded()
    );
    let created = editor.report().objects_created;
    assert_eq!(
        created.keys().collect::<Vec<_>>(),
        ["Held", "Witness"],
        "{created:?}"
    );
    server.stop().await;
}
