//! The simulated editor seen from a hub: the wire, the reloads, the ends.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests own clocks and tasks, and may panic"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use examples::sim::strike::Point;
use examples::sim::world::{Cause, Project};
use examples::sim::{Editor, Options, State, authority};
use futures::{SinkExt, StreamExt};
use mcp_transport_core::RetryPolicy;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, accept_async};

/// Nothing here takes long; a test that waits longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a hub that hears nothing waits for. It bounds no one's speed: it only ends a silence.
const SILENCE: Duration = Duration::from_millis(300);

struct Hub {
    listener: TcpListener,
    url: String,
    sessions: u32,
}

struct Peer {
    socket: WebSocketStream<TcpStream>,
    session: String,
}

/// How the plugin's connection ended.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    Reset,
    NoGoodbye,
    Closed(u16),
}

impl Hub {
    async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/hub/plugin", listener.local_addr().unwrap());
        Self {
            listener,
            url,
            sessions: 0,
        }
    }

    /// The next plugin, before a word is said.
    async fn accept(&mut self) -> Peer {
        let accepted = timeout(PATIENCE, self.listener.accept())
            .await
            .expect("nobody came");
        let socket = accept_async(accepted.unwrap().0).await.unwrap();
        self.sessions += 1;
        Peer {
            socket,
            session: format!("session-{}", self.sessions),
        }
    }

    /// The next plugin, registered, and its `register`.
    async fn registered(&mut self) -> (Peer, Value) {
        let mut peer = self.accept().await;
        peer.say(json!({"type": "welcome", "serverTimeout": 30, "keepAliveInterval": 15}))
            .await;
        let register = peer.hear().await;
        assert_eq!(register["type"], "register");
        peer.say(json!({"type": "registered", "session_id": peer.session}))
            .await;
        assert_eq!(peer.hear().await["type"], "register_tools");
        (peer, register)
    }
}

impl Peer {
    async fn say(&mut self, message: Value) {
        self.socket
            .send(Message::text(message.to_string()))
            .await
            .unwrap();
    }

    /// The next text, or how the connection ended.
    async fn hear_or_end(&mut self) -> Result<Value, Ended> {
        loop {
            let frame = timeout(PATIENCE, self.socket.next())
                .await
                .expect("the plugin is silent");
            return match frame {
                Some(Ok(Message::Text(text))) => Ok(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(frame))) => Err(Ended::Closed(match frame {
                    Some(frame) => frame.code.into(),
                    None => 1005,
                })),
                Some(Ok(_)) => continue,
                Some(Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake))) | None => {
                    Err(Ended::NoGoodbye)
                }
                Some(Err(Error::Io(_))) => Err(Ended::Reset),
                Some(Err(other)) => panic!("{other}"),
            };
        }
    }

    async fn hear(&mut self) -> Value {
        self.hear_or_end().await.expect("the plugin went")
    }

    async fn ask(&mut self, id: &str, name: &str, params: Value) {
        self.say(
            json!({"type": "execute", "id": id, "name": name, "params": params, "timeout": 30.0}),
        )
        .await;
    }

    /// The result of a command, if the plugin lives to answer it.
    async fn call(&mut self, id: &str, name: &str, params: Value) -> Result<Value, Ended> {
        self.ask(id, name, params).await;
        let mut answer = self.hear_or_end().await?;
        assert_eq!(
            (&answer["type"], &answer["id"]),
            (&json!("command_result"), &json!(id))
        );
        Ok(answer["result"].take())
    }

    /// How the connection ends, when nothing more is said.
    async fn end(&mut self) -> Ended {
        match self.hear_or_end().await {
            Ok(message) => panic!("{message}"),
            Err(ended) => ended,
        }
    }
}

fn quick() -> Options {
    Options::default().away(Duration::from_millis(20))
}

fn create(name: &str) -> Value {
    json!({"action": "create", "name": name})
}

#[tokio::test]
async fn the_plugin_registers_its_project_and_then_its_tools() {
    let mut hub = Hub::open().await;
    let editor = Editor::spawn(&hub.url, quick().project("Game", "/proj/Game"));
    let mut peer = hub.accept().await;
    let register = peer.hear().await;
    assert_eq!(
        register,
        json!({
            "type": "register",
            "project_name": "Game",
            "project_hash": Project::new("Game", "/proj/Game").hash(),
            "unity_version": "6000.0.44f1",
            "project_path": "/proj/Game",
        })
    );
    assert!(!editor.is_connected());
    peer.say(json!({"type": "registered", "session_id": "s"}))
        .await;
    let tools = peer.hear().await;
    assert_eq!(tools["type"], "register_tools");
    let names: Vec<&str> = tools["tools"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|t| t["name"].as_str())
        .collect();
    assert!(
        names.contains(&"manage_gameobject") && names.contains(&"sim_spawn_row"),
        "{names:?}"
    );
    editor.connected().await;
    assert!(editor.is_connected());
}

#[tokio::test]
async fn a_ping_is_answered_with_the_session() {
    let mut hub = Hub::open().await;
    let _editor = Editor::spawn(&hub.url, quick());
    let (mut peer, _) = hub.registered().await;
    peer.say(json!({"type": "surprise"})).await;
    peer.say(json!({"type": "ping"})).await;
    assert_eq!(
        peer.hear().await,
        json!({"type": "pong", "session_id": "session-1"})
    );
    let pong = peer.call("1", "ping", json!({})).await.unwrap();
    assert_eq!(
        pong,
        json!({"status": "success", "result": {"message": "pong"}})
    );
}

#[tokio::test]
async fn pongs_come_unasked_at_the_welcomes_interval_even_while_the_main_loop_stands() {
    let mut hub = Hub::open().await;
    let editor = Editor::spawn(&hub.url, quick());
    let (mut peer, _) = hub.registered().await;
    peer.say(json!({"type": "welcome", "serverTimeout": 30, "keepAliveInterval": 0.02}))
        .await;
    assert_eq!(peer.hear().await["type"], "pong");

    editor.freeze(true);
    peer.ask("1", "manage_gameobject", create("Cube")).await;
    peer.ask("2", "manage_gameobject", create("Cube")).await;
    for _ in 0..5 {
        assert_eq!(
            peer.hear().await["type"],
            "pong",
            "no answer from a frozen editor"
        );
    }
    assert_eq!(editor.report().executed, 0);

    editor.freeze(false);
    let mut answered = Vec::new();
    while answered.len() < 2 {
        let message = peer.hear().await;
        if message["type"] == "command_result" {
            answered.push(message["id"].clone());
        }
    }
    assert_eq!(answered, ["1", "2"]);
}

#[tokio::test]
async fn one_command_runs_at_a_time_and_nothing_else_is_read_meanwhile() {
    let mut hub = Hub::open().await;
    let _editor = Editor::spawn(&hub.url, quick().latency(Duration::from_millis(30)));
    let (mut peer, _) = hub.registered().await;
    peer.ask("1", "ping", json!({})).await;
    peer.say(json!({"type": "ping"})).await;
    peer.ask("2", "ping", json!({})).await;
    assert_eq!(peer.hear().await["id"], "1");
    assert_eq!(peer.hear().await["type"], "pong");
    assert_eq!(peer.hear().await["id"], "2");
}

#[tokio::test]
async fn a_reload_breaks_off_without_a_goodbye_and_the_state_survives_it() {
    let mut hub = Hub::open().await;
    let editor = Editor::spawn(&hub.url, quick());
    let (mut peer, first) = hub.registered().await;
    peer.call("1", "manage_gameobject", create("Cube"))
        .await
        .unwrap();
    editor.reload();
    assert_eq!(peer.end().await, Ended::Reset);

    let (mut peer, second) = hub.registered().await;
    assert_eq!(first, second, "the same project, under a new session");
    let found = peer
        .call("2", "find_gameobjects", json!({"searchTerm": "Cube"}))
        .await
        .unwrap();
    assert_eq!(found["result"]["data"]["totalCount"], 1);
    let state = peer.call("3", "get_editor_state", json!({})).await.unwrap();
    let compilation = &state["result"]["data"]["compilation"];
    let at = |key: &str| compilation[key].as_u64().expect(key);
    assert!(at("last_domain_reload_before_unix_ms") <= at("last_domain_reload_after_unix_ms"));
    assert_eq!(
        editor.report().reloads,
        BTreeMap::from([(Cause::Operator, 1)])
    );
}

#[tokio::test]
async fn a_strike_is_seen_where_it_was_aimed() {
    for (point, executed, ended) in [
        (Point::BeforeRead, 0, Ended::Reset),
        (Point::BeforeEffect, 0, Ended::Reset),
        (Point::AfterEffect, 1, Ended::Reset),
        (Point::AfterAnswer, 1, Ended::NoGoodbye),
    ] {
        let mut hub = Hub::open().await;
        let editor = Editor::spawn(&hub.url, quick());
        let (mut peer, _) = hub.registered().await;
        editor.strike(point);
        // A probe is no command that a reload strikes.
        peer.call("probe", "ping", json!({})).await.unwrap();
        let answer = peer.call("1", "manage_gameobject", create("Cube")).await;
        match point {
            Point::AfterAnswer => {
                assert_eq!(answer.unwrap()["result"]["success"], true);
                assert_eq!(peer.end().await, ended);
            }
            _ => assert_eq!(answer.unwrap_err(), ended, "{point}"),
        }
        let (mut peer, _) = hub.registered().await;
        let found = peer
            .call("2", "find_gameobjects", json!({"searchTerm": "Cube"}))
            .await
            .unwrap();
        assert_eq!(found["result"]["data"]["totalCount"], executed, "{point}");
        assert_eq!(editor.report().strikes[&point], 1);
    }
}

#[tokio::test]
async fn a_command_read_along_with_the_frame_before_it_is_struck_as_well() {
    let mut hub = Hub::open().await;
    let editor = Editor::spawn(&hub.url, quick());
    let (mut peer, _) = hub.registered().await;
    editor.strike(Point::BeforeRead);
    let filler = json!({"type": "surprise", "text": "x".repeat(600)}).to_string();
    let probe = json!({"type": "execute", "id": "p", "name": "ping", "params": {}}).to_string();
    let command = json!({
        "type": "execute", "id": "1", "name": "manage_gameobject", "params": create("Cube"),
    });
    for text in [filler, probe, command.to_string()] {
        peer.socket.feed(Message::text(text)).await.unwrap();
    }
    peer.socket.flush().await.unwrap();
    // The probe's answer may be lost with the socket.
    while peer.hear_or_end().await.is_ok() {}
    let (_peer, _) = hub.registered().await;
    assert_eq!(editor.report().strikes[&Point::BeforeRead], 1);
    assert!(editor.report().objects_created.is_empty());
}

#[tokio::test]
async fn a_change_that_reloads_the_domain_takes_effect_and_its_answer_gets_out_every_other_time() {
    let mut hub = Hub::open().await;
    let editor = Editor::spawn(&hub.url, quick().seed(3));
    let mut answered = 0;
    for number in 0..6 {
        let (mut peer, _) = hub.registered().await;
        let script = json!({
            "action": "create", "name": format!("S{number}"), "path": "Assets",
            "contents": "class S {}",
        });
        answered += u32::from(peer.call("1", "manage_script", script).await.is_ok());
    }
    hub.registered().await;
    assert_eq!(answered, 3);
    let report = editor.report();
    assert_eq!(report.scripts_created.len(), 6);
    assert_eq!(report.reloads, BTreeMap::from([(Cause::Scripts, 6)]));
    assert_eq!(report.strikes[&Point::AfterEffect], 3);
    assert_eq!(report.strikes[&Point::AfterAnswer], 3);
}

#[tokio::test]
async fn reloads_on_a_timer_strike_every_point_evenly_and_nothing_runs_twice() {
    let mut hub = Hub::open().await;
    let options = quick().away(Duration::from_millis(1)).seed(11);
    let editor = Editor::spawn(&hub.url, options.reload_every(Duration::from_millis(5)));
    let mut told = Vec::new();
    let mut sent = 0;
    while editor.report().strikes.values().sum::<u64>() < 16 {
        let (mut peer, _) = hub.registered().await;
        loop {
            let name = format!("Cube {sent}");
            sent += 1;
            match peer.call(&name, "manage_gameobject", create(&name)).await {
                Ok(answer) => assert_eq!(answer["result"]["success"], true),
                Err(Ended::Reset | Ended::NoGoodbye) => break,
                Err(closed) => panic!("{closed:?}"),
            }
            told.push(name);
            if matches!(peer.hear_now().await, Some(Err(_))) {
                break;
            }
        }
    }
    let report = editor.report();
    for point in Point::ALL {
        assert_eq!(report.strikes[&point], 4, "{report:?}");
    }
    assert_eq!(report.reloads, BTreeMap::from([(Cause::Timer, 16)]));
    assert!(report.objects_created.values().all(|&count| count == 1));
    assert!(report.ids_run_twice.is_empty());
    assert!(
        told.iter()
            .all(|name| report.objects_created.contains_key(name))
    );
    // The answers that are missing are those of commands struck after their effect.
    assert_eq!(report.objects_created.len() as u64, told.len() as u64 + 4);
}

impl Peer {
    /// What has come already, if anything has.
    async fn hear_now(&mut self) -> Option<Result<Value, Ended>> {
        timeout(Duration::from_millis(3), self.hear_or_end())
            .await
            .ok()
    }
}

#[tokio::test]
async fn quitting_closes_with_1000_and_killing_with_a_reset() {
    let mut hub = Hub::open().await;
    let editor = Editor::spawn(&hub.url, quick());
    let (mut peer, _) = hub.registered().await;
    let (ended, ()) = tokio::join!(peer.end(), editor.quit());
    assert_eq!(ended, Ended::Closed(CloseCode::Normal.into()));

    let editor = Editor::spawn(&hub.url, quick());
    let (mut peer, _) = hub.registered().await;
    editor.kill().await;
    assert_eq!(peer.end().await, Ended::Reset);
    assert!(
        timeout(SILENCE, hub.listener.accept()).await.is_err(),
        "it does not come back"
    );
}

#[tokio::test]
async fn a_killed_editor_goes_on_with_its_world() {
    let mut hub = Hub::open().await;
    let editor = Editor::spawn(&hub.url, quick().away(PATIENCE));
    let (mut peer, _) = hub.registered().await;
    peer.call("1", "manage_gameobject", create("Cube"))
        .await
        .unwrap();
    editor.reload();
    peer.end().await;
    let mut state = editor.watch();
    state.wait_for(|state| *state == State::Away).await.unwrap();
    let world = editor.world();
    editor.kill().await;

    let _editor = Editor::resume(&hub.url, quick(), world);
    let (mut peer, _) = hub.registered().await;
    let found = peer
        .call("2", "find_gameobjects", json!({"searchTerm": "Cube"}))
        .await
        .unwrap();
    assert_eq!(found["result"]["data"]["totalCount"], 1);
    let state = peer.call("3", "get_editor_state", json!({})).await.unwrap();
    assert_eq!(
        state["result"]["data"]["compilation"]["is_domain_reload_pending"],
        false
    );
}

#[tokio::test]
async fn a_hub_that_does_not_read_holds_up_no_end() {
    let mut hub = Hub::open().await;
    let editor = Editor::spawn(&hub.url, quick());
    let (mut peer, _) = hub.registered().await;
    let long = format!("// {}", "x".repeat(900_000));
    let script = json!({"action": "create", "name": "Long", "path": "Assets", "contents": long});
    let _ = peer.call("1", "manage_script", script).await;
    let (mut peer, _) = hub.registered().await;
    let read = json!({"action": "read", "name": "Long", "path": "Assets"});
    for number in 0..40 {
        peer.ask(&number.to_string(), "manage_script", read.clone())
            .await;
    }
    // It stands when the socket's buffers are full of answers that nobody reads.
    let mut executed = 0;
    while executed < 2 || executed < editor.report().executed {
        executed = editor.report().executed;
        tokio::time::sleep(SILENCE).await;
    }
    assert!(executed < 41, "nothing held it up");
    // Its patience with such a hub is longer than ours here.
    timeout(PATIENCE, editor.kill())
        .await
        .expect("the end waits for the hub");
}

#[tokio::test]
async fn a_reload_asked_for_while_a_command_is_in_hand_loses_it_unexecuted() {
    let mut hub = Hub::open().await;
    let editor = Editor::spawn(&hub.url, quick());
    let (mut peer, _) = hub.registered().await;
    editor.freeze(true);
    peer.ask("1", "manage_gameobject", create("Cube")).await;
    // In hand, once the ping behind it stays unanswered.
    peer.say(json!({"type": "ping"})).await;
    assert!(timeout(SILENCE, peer.hear_or_end()).await.is_err());
    editor.reload();
    assert_eq!(peer.end().await, Ended::Reset);
    editor.freeze(false);
    let (mut peer, _) = hub.registered().await;
    let found = peer
        .call("2", "find_gameobjects", json!({"searchTerm": "Cube"}))
        .await
        .unwrap();
    assert_eq!(found["result"]["data"]["totalCount"], 0);
}

#[tokio::test]
async fn dropping_the_handle_kills_the_editor() {
    let mut hub = Hub::open().await;
    let editor = Editor::spawn(&hub.url, quick());
    let (mut peer, _) = hub.registered().await;
    drop(editor);
    assert_eq!(peer.end().await, Ended::Reset);
}

#[tokio::test]
async fn a_lost_session_is_dialled_again_at_once() {
    let mut hub = Hub::open().await;
    let editor = Editor::spawn(&hub.url, quick());
    for _ in 0..3 {
        let (peer, _) = hub.registered().await;
        drop(peer);
    }
    hub.registered().await;
    assert_eq!(
        editor.report().reloads,
        BTreeMap::new(),
        "the hub's doing, not a reload"
    );
}

#[tokio::test(start_paused = true)]
async fn failed_attempts_follow_the_plugins_schedule_for_ever() {
    // Bound and dropped: nobody listens there, so connecting fails without waiting.
    let address = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let began = tokio::time::Instant::now();
    let editor = Editor::spawn(&format!("ws://{address}/hub/plugin"), quick());
    let mut state = editor.watch();
    let mut waits = Vec::new();
    while waits.len() < 8 {
        state.changed().await.unwrap();
        if let State::Waiting { attempt, delay } = *state.borrow_and_update() {
            waits.push((attempt, delay.as_secs()));
        }
    }
    // The first wait is none at all, and so it is over before anybody can look.
    assert_eq!(
        waits,
        [
            (1, 1),
            (2, 3),
            (3, 5),
            (4, 10),
            (5, 30),
            (6, 30),
            (7, 30),
            (8, 30)
        ]
    );
    assert_eq!(began.elapsed().as_secs(), 1 + 3 + 5 + 10 + 30 + 30 + 30);
    editor.quit().await;
}

#[tokio::test]
async fn an_editor_whose_policy_gives_up_ends() {
    let never = quick().retry(RetryPolicy::never());
    let editor = Editor::spawn("nowhere", never);
    editor
        .watch()
        .wait_for(|state| *state == State::Ended)
        .await
        .unwrap();
    editor.quit().await;
}

#[test]
fn an_address_that_is_no_hubs_says_why() {
    assert_eq!(
        authority("ws://[::1]:9/hub").unwrap(),
        ("::1".to_owned(), 9)
    );
    assert_eq!(
        authority("ws://localhost/hub").unwrap(),
        ("localhost".to_owned(), 80)
    );
    for (url, why) in [
        ("http://x:1/", "scheme"),
        ("ws:///hub", "not a URL"),
        ("", "not a URL"),
    ] {
        let error = authority(url).unwrap_err();
        assert!(
            error.contains(why) && error.contains("try ws://"),
            "{error}"
        );
    }
}
