//! A host, the real broker, and clients on sockets.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test has clocks and tasks"
)]

mod server_support;

use futures::{SinkExt, StreamExt};
use mcp_transport_broker::host::{BrokerClient, BrokerListener, Carried};
use mcp_transport_broker::server::Server;
use mcp_transport_core::{Error, ErrorKind, Id, Listener, Message, RetryPolicy, State};
use serde_json::{Value, json};
use server_support::{BOTH, PATIENCE, Raw, TOKEN, Up, config, modern, up};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// What ran how often; and `slow` waits until it is let go.
#[derive(Clone)]
struct App {
    ran: Arc<Mutex<HashMap<String, usize>>>,
    go: watch::Sender<bool>,
    cancelled: Arc<Mutex<Vec<Value>>>,
}

impl App {
    fn new() -> Self {
        Self {
            ran: Arc::default(),
            go: watch::Sender::new(false),
            cancelled: Arc::default(),
        }
    }

    fn url(port: u16) -> String {
        format!("http://127.0.0.1:{port}")
    }

    fn start(&self, port: u16) -> BrokerListener {
        BrokerListener::attach(&Self::url(port), TOKEN).unwrap()
    }

    /// Serves whoever comes, each in a task.
    fn serve(&self, mut clients: BrokerListener) -> mcp_transport_broker::host::Handle {
        let handle = clients.handle();
        let app = self.clone();
        tokio::spawn(async move {
            while let Ok(client) = clients.accept().await {
                tokio::spawn(app.clone().service(client));
            }
        });
        handle
    }

    async fn service(self, client: BrokerClient) -> Result<(), Error> {
        let (mut sink, mut stream) = client.split();
        let (answers, mut answered) = tokio::sync::mpsc::channel::<Message>(8);
        let reading = async move {
            while let Some(Ok(message)) = stream.next().await {
                if message.method() == Some("notifications/cancelled") {
                    let params = serde_json::from_str(message.params().unwrap()).unwrap();
                    self.cancelled.lock().unwrap().push(params);
                }
                if message.id().is_none() || message.method().is_none() {
                    continue;
                }
                let (app, answers) = (self.clone(), answers.clone());
                tokio::spawn(async move {
                    let _ = answers.send(app.run(message).await).await;
                });
            }
        };
        let writing = async move {
            while let Some(answer) = answered.recv().await {
                let _ = sink.send(answer).await;
            }
        };
        tokio::join!(reading, writing);
        Ok(())
    }

    async fn run(&self, request: Message) -> Message {
        let id: &Id = request.id().unwrap();
        let params: Value = serde_json::from_str(request.params().unwrap_or("{}")).unwrap();
        match request.method().unwrap() {
            "initialize" => Message::response(
                id,
                json!({"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}},
                    "serverInfo": {"name": "app", "version": "1"}}),
            ),
            "tools/call" => {
                let name = params["name"].as_str().unwrap().to_owned();
                *self.ran.lock().unwrap().entry(name.clone()).or_default() += 1;
                if name.starts_with("slow") {
                    let _ = self.go.subscribe().wait_for(|&go| go).await;
                }
                let content = json!([{"type": "text", "text": name}]);
                Message::response(id, json!({"content": content, "resultType": "complete"}))
            }
            _ => Ok(Message::error(Some(id), -32601, "not here", None::<()>)),
        }
        .unwrap()
    }

    async fn is_running(&self, name: &str) {
        let running = async {
            while !self.ran.lock().unwrap().contains_key(name) {
                sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(PATIENCE, running).await.expect("it runs in time");
    }

    fn times(&self, name: &str) -> usize {
        self.ran.lock().unwrap().get(name).copied().unwrap_or(0)
    }
}

async fn is_attached(handle: &mcp_transport_broker::host::Handle) {
    let mut states = handle.watch();
    let attached = states.wait_for(State::is_connected);
    timeout(PATIENCE, attached).await.unwrap().unwrap();
}

async fn calls(port: u16, id: u64, name: &str) -> Raw {
    let mut raw = Raw::to(port).await;
    raw.modern(modern(
        id,
        "tools/call",
        json!({"name": name, "arguments": {}}),
    ))
    .await;
    raw
}

async fn is_answered(raw: &mut Raw, name: &str) {
    let answer = raw.response().await.json();
    assert_eq!(answer["result"]["content"][0]["text"], name, "{answer}");
}

#[tokio::test]
async fn both_eras_are_served_through_the_broker() {
    let Up { port, .. } = up(config());
    let app = App::new();
    let _handle = app.serve(app.start(port));
    is_answered(&mut calls(port, 1, "new").await, "new").await;

    let mut raw = Raw::to(port).await;
    let initialize = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"}}});
    let response = raw
        .ask("POST /mcp", &[BOTH], Some(&initialize.to_string()))
        .await;
    assert_eq!(response.status, 200, "{}", response.text());
    let session = response.header("mcp-session-id").unwrap().to_owned();
    let headers = [
        BOTH,
        ("Mcp-Session-Id", &*session),
        ("MCP-Protocol-Version", "2025-11-25"),
    ];
    let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    let response = raw
        .ask("POST /mcp", &headers, Some(&initialized.to_string()))
        .await;
    assert_eq!(response.status, 202);
    let call =
        json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "old"}});
    let response = raw
        .ask("POST /mcp", &headers, Some(&call.to_string()))
        .await;
    assert!(response.text().contains("old"), "{}", response.text());
}

#[tokio::test]
async fn a_reload_that_was_announced_fails_no_call_and_runs_none_twice() {
    let Up { port, .. } = up(config());
    let app = App::new();
    let clients = BrokerListener::builder(&App::url(port))
        .token(TOKEN)
        .window(1)
        .attach();
    let handle = app.serve(clients.unwrap());
    let mut runs = calls(port, 1, "slow").await;
    app.is_running("slow").await;
    // The window is full: these wait at the broker.
    let mut wait = Vec::new();
    for id in 0..8 {
        wait.push(calls(port, id, &format!("waits{id}")).await);
    }
    handle.announce_reload(Duration::from_millis(300)).await;
    let mut meanwhile = calls(port, 1, "meanwhile").await;
    app.go.send_replace(true);
    is_answered(&mut runs, "slow").await;
    for (id, raw) in wait.iter_mut().enumerate() {
        is_answered(raw, &format!("waits{id}")).await;
    }
    is_answered(&mut meanwhile, "meanwhile").await;
    assert!(app.ran.lock().unwrap().values().all(|&times| times == 1));
}

/// A host in a runtime of its own, which ends with everything in it as a process does.
fn elsewhere(app: &App, port: u16) -> tokio::runtime::Runtime {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let app = app.clone();
    runtime.spawn(async move {
        app.serve(app.start(port));
    });
    runtime
}

/// Waits until the broker has read the end of its host's connections: what is asked from then on was
/// not on its way to it.
async fn is_left(port: u16) {
    let bearer = format!("Bearer {TOKEN}");
    let left = async {
        loop {
            let mut raw = Raw::to(port).await;
            let headers = [("Authorization", bearer.as_str())];
            raw.send("POST /_broker/v1/status", &headers, Some("{}"))
                .await;
            let status = raw.response().await.json();
            if status["host"].is_null() || status["host"]["connections"] == 0 {
                return;
            }
            sleep(Duration::from_millis(2)).await;
        }
    };
    let left = timeout(Duration::from_secs(30), left).await;
    left.expect("the broker reads that its host is gone");
}

/// The broker whose place this takes failed 99 of 219 calls in 5 s of the same.
#[tokio::test]
async fn thirteen_seconds_without_a_host_under_a_call_every_50_ms_fail_none_but_the_one_that_ran() {
    let Up { port, .. } = up(config());
    let app = App::new();
    let first = elsewhere(&app, port);
    is_answered(&mut calls(port, 0, "before").await, "before").await;
    let mut runs = calls(port, 1, "slow").await;
    app.is_running("slow").await;
    first.shutdown_background();
    is_left(port).await;

    let began = tokio::time::Instant::now();
    let (mut next, mut meanwhile) = (None, Vec::new());
    let mut tick = tokio::time::interval(Duration::from_millis(50));
    for id in 2.. {
        tick.tick().await;
        let name = format!("meanwhile{id}");
        let asked = calls(port, id, &name).await;
        meanwhile.push(tokio::spawn(async move {
            let mut asked = asked;
            is_answered(&mut asked, &name).await;
        }));
        let away = began.elapsed();
        if next.is_none() && away > Duration::from_secs(13) {
            next = Some(elsewhere(&app, port));
        } else if away > Duration::from_secs(15) {
            break;
        }
    }
    assert!(meanwhile.len() > 200, "{} calls", meanwhile.len());
    for call in meanwhile {
        call.await.unwrap();
    }
    let ended = runs.response().await.json();
    assert_eq!(ended["error"]["data"]["outcome"], "unknown", "{ended}");
    assert!(app.ran.lock().unwrap().values().all(|&times| times == 1));
    next.unwrap().shutdown_background();
}

#[tokio::test]
async fn the_call_that_causes_a_code_reload_gets_its_answer_from_the_next_life() {
    let Up { port, .. } = up(config());
    let app = App::new();
    let handle = app.serve(app.start(port));
    let mut causes = calls(port, 5, "slow recompile").await;
    app.is_running("slow recompile").await;
    let carried = handle
        .detach_for_reload(Duration::from_secs(2))
        .await
        .unwrap();
    let stored = serde_json::to_string(&carried).unwrap();
    let mut meanwhile = calls(port, 1, "meanwhile").await;

    let next = App::new();
    let carried: Carried = serde_json::from_str(&stored).unwrap();
    let builder = BrokerListener::builder(&App::url(port))
        .token(TOKEN)
        .resume(carried);
    let mut clients = builder.attach().unwrap();
    for call in clients.carried() {
        let id = call.request().id().unwrap();
        let answer = Message::response(id, json!({"content": [{"text": "compiled"}]})).unwrap();
        call.answer(answer).unwrap();
    }
    let _handle = next.serve(clients);
    is_answered(&mut causes, "compiled").await;
    is_answered(&mut meanwhile, "meanwhile").await;
    assert_eq!(
        (next.times("slow recompile"), next.times("meanwhile")),
        (0, 1)
    );
}

#[tokio::test]
async fn a_link_that_breaks_takes_no_call_with_it() {
    let Up { port, .. } = up(config());
    let app = App::new();
    // Each connection of the host goes through a relay that can be cut.
    let cut = watch::Sender::new(0_u32);
    let cuts = cut.clone();
    let clients = BrokerListener::builder(&App::url(port))
        .token(TOKEN)
        // A link that breaks again and again is dialled as seldom as one that is not there: by the
        // second time the broker would have given the host up.
        .retry(RetryPolicy::every(Duration::from_millis(100)))
        .dial_with(move || {
            let mut cut = cuts.subscribe();
            async move {
                let mut there = mcp_transport_core::loopback::connect(port).await?;
                let (ours, mut here) = tokio::io::duplex(64 * 1024);
                tokio::spawn(async move {
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut here, &mut there) => {}
                        _ = cut.changed() => {}
                    }
                });
                Ok(ours)
            }
        })
        .attach()
        .unwrap();
    let handle = app.serve(clients);
    is_attached(&handle).await;
    for round in 0..20 {
        let (slow, fast) = (format!("slow{round}"), format!("fast{round}"));
        app.go.send_replace(false);
        let mut runs = calls(port, 1, &slow).await;
        app.is_running(&slow).await;
        cut.send_modify(|cuts| *cuts += 1);
        let mut new = calls(port, 2, &fast).await;
        is_answered(&mut new, &fast).await;
        app.go.send_replace(true);
        is_answered(&mut runs, &slow).await;
        assert_eq!((app.times(&slow), app.times(&fast)), (1, 1));
    }
}

#[tokio::test]
async fn a_broker_that_is_started_anew_is_found() {
    let first = up(config());
    let port = first.port;
    let app = App::new();
    let handle = app.serve(app.start(port));
    is_answered(&mut calls(port, 1, "one").await, "one").await;
    first.handle.shut_down(Duration::from_secs(5)).await;
    first.serving.await.unwrap();
    let mut states = handle.watch();
    let lost = states.wait_for(|state| !state.is_connected());
    timeout(PATIENCE, lost).await.unwrap().unwrap();
    let server = Server::bind(port, config()).unwrap();
    tokio::spawn(server.serve());
    handle.wake();
    is_answered(&mut calls(port, 1, "two").await, "two").await;
    assert_eq!((app.times("one"), app.times("two")), (1, 1));
}

#[tokio::test]
async fn clients_that_hang_up_use_up_no_window() {
    let Up { port, .. } = up(config());
    let app = App::new();
    let clients = BrokerListener::builder(&App::url(port))
        .token(TOKEN)
        .window(2)
        .attach();
    let _handle = app.serve(clients.unwrap());
    for round in 0..20 {
        let name = format!("slow{round}");
        let raw = calls(port, 1, &name).await;
        app.is_running(&name).await;
        drop(raw);
    }
    is_answered(&mut calls(port, 1, "last").await, "last").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_clients_at_once_get_each_their_own_answer() {
    let Up { port, .. } = up(config());
    let app = App::new();
    let _handle = app.serve(app.start(port));
    let clients = (0..32).map(|client| {
        let app = app.clone();
        tokio::spawn(async move {
            let mut raw = Raw::to(port).await;
            for id in 0..50 {
                let name = format!("{client}/{id}");
                let params = json!({"name": name, "arguments": {}});
                raw.modern(modern(id, "tools/call", params)).await;
                is_answered(&mut raw, &name).await;
                assert_eq!(app.times(&name), 1);
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
}

#[tokio::test]
async fn a_wrong_token_is_said_and_a_second_host_waits_its_turn() {
    let Up { port, .. } = up(config());
    let wrong = BrokerListener::attach(&App::url(port), "of-yesterday").unwrap();
    let waits = |kind: fn(&ErrorKind) -> bool| move |state: &State| matches!(state, State::Waiting { cause, .. } if kind(&cause.kind()));
    let mut states = wrong.watch();
    let refused = states.wait_for(waits(|kind| *kind == ErrorKind::Unauthorized));
    timeout(PATIENCE, refused).await.unwrap().unwrap();

    let app = App::new();
    let first = app.start(port);
    is_attached(&first.handle()).await;
    let second = app.start(port);
    let mut states = second.watch();
    let busy = states.wait_for(waits(|kind| matches!(kind, ErrorKind::Overloaded { .. })));
    timeout(PATIENCE, busy).await.unwrap().unwrap();
    first.handle().shut_down(Duration::ZERO).await;
    second.handle().wake();
    is_attached(&second.handle()).await;
}
