//! Whatever arrives on the plugin's port, the editor and the client beside it notice nothing.
#![allow(
    clippy::disallowed_methods,
    missing_docs,
    reason = "tests wait and spawn"
)]

use examples::calls::Budget;
use examples::hub::{Event, Lost};
use examples::sim::Options;
use futures::{SinkExt, StreamExt};
use mcp_transport_core::delivery::Replay;
use mcp_transport_core::{ErrorKind, Message, Outcome};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tests_integration::Server;
use tests_integration::plugin::{Plugin, submit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// A server with a healthy editor, and with a client that works while the test does its worst.
async fn undisturbed(test: impl AsyncFnOnce(&Server)) {
    let server = Server::start(Budget::default());
    let editor = server.editor(Options::default()).await;
    let client = server.client().await;
    let arguments =
        |name: &str| json!({"action": "create", "name": name, "unity_instance": "SimProject"});
    let mut created = 0;
    let work = async {
        loop {
            let name = format!("object-{created}");
            let answer = client.call("manage_gameobject", arguments(&name)).await;
            assert!(answer.succeeded(), "{name}: {answer:?}");
            created += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = test(&server) => {}
        () = work => {}
    }
    let answer = client.call("manage_gameobject", arguments("last")).await;
    assert!(answer.succeeded(), "{answer:?}");
    let report = editor.report();
    assert!(report.objects_created.len() > created, "{created}");
    assert!(report.objects_created.values().all(|count| *count == 1));
    let mut editors = server.hub.snapshot().into_iter();
    let seen = editors.find(|one| one.project == "SimProject");
    let seen = seen.expect("it is there");
    assert_eq!(
        (seen.returns, seen.last_gap),
        (0, None),
        "it never lost its seat"
    );
    server.stop().await;
}

async fn answered(mut call: examples::hub::Call) -> Value {
    match call.event().await {
        Event::Answered(envelope) => envelope,
        other => panic!("{other:?}"),
    }
}

/// Waits until only the healthy editor is left.
async fn settled(server: &Server) {
    while server.hub.sockets() != (1, 0) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn text_that_is_no_json_is_closed_with_1003() {
    undisturbed(async |server| {
        for text in ["hello", "{\"type\":", "", "\u{feff}{}", "{} {}"] {
            let mut early = Plugin::dial(server).await;
            early.say_text(text).await;
            assert_eq!(early.end().await.0, Some(1003), "{text:?}");
            let mut late = Plugin::dial(server)
                .await
                .registered("Other", "other")
                .await;
            late.say_text(text).await;
            assert_eq!(late.end().await.0, Some(1003), "{text:?}");
        }
        settled(server).await;
    })
    .await;
}

#[tokio::test]
async fn wrong_shapes_and_unknown_ids_are_ignored() {
    undisturbed(async |server| {
        let mut plugin = Plugin::dial(server).await;
        let shapes = [
            "[]",
            "7",
            "null",
            "{}",
            r#"{"type":null}"#,
            r#"{"type":"fly","id":1}"#,
            r#"{"type":"register"}"#,
            r#"{"type":"register","project_hash":[]}"#,
            r#"{"type":"register_tools","tools":7}"#,
            r#"{"type":"command_result"}"#,
            r#"{"type":"command_result","id":"nobody's","result":{"success":true}}"#,
            r#"{"type":"command_result","id":7,"result":[]}"#,
            r#"{"type":"pong","session_id":{"a":[1,2,3]}}"#,
        ];
        for shape in shapes {
            plugin.say_text(shape).await;
        }
        let mut plugin = plugin.registered("Other", "other").await;
        for shape in shapes {
            plugin.say_text(shape).await;
        }
        plugin
            .say_text("[".repeat(100_000) + &"]".repeat(100_000))
            .await;
        let call = submit(server, "other", Replay::Never);
        let id = plugin.command().await;
        plugin.answer(&id, &json!({"success": true})).await;
        assert_eq!(answered(call).await, json!({"success": true}));
    })
    .await;
}

#[tokio::test]
async fn nobody_answers_for_another_project() {
    undisturbed(async |server| {
        let mut asked = Plugin::dial(server)
            .await
            .registered("Asked", "asked")
            .await;
        let mut other = Plugin::dial(server)
            .await
            .registered("Other", "other")
            .await;
        let call = submit(server, "asked", Replay::Never);
        let id = asked.command().await;
        other.answer(&id, &json!({"message": "forged"})).await;
        // When this one is answered, the forgery before it was read.
        let theirs = submit(server, "other", Replay::Never);
        let theirs_id = other.command().await;
        other.answer(&theirs_id, &json!({})).await;
        answered(theirs).await;
        asked.answer(&id, &json!({"message": "genuine"})).await;
        assert_eq!(answered(call).await["message"], "genuine");
    })
    .await;
}

#[tokio::test]
async fn a_message_of_65_mib_is_closed_with_1009_and_one_of_60_is_an_answer() {
    const MIB: usize = 1024 * 1024;
    undisturbed(async |server| {
        let config = Plugin::config().max_message(100 * MIB);
        let plugin = Plugin::dial_with(server, config).await;
        let mut plugin = plugin.registered("Large", "large").await;
        let call = submit(server, "large", Replay::Never);
        let id = plugin.command().await;
        plugin.answer(&id, &json!("x".repeat(60 * MIB))).await;
        assert_eq!(answered(call).await.as_str().map(str::len), Some(60 * MIB));

        let mut lost = submit(server, "large", Replay::Never);
        plugin.command().await;
        let (mut sink, mut stream) = plugin.into_inner().split();
        let large = Message::from("x".repeat(65 * MIB));
        let listen = async {
            let mut end = None;
            while let Some(heard) = stream.next().await {
                end = heard.err().map(|error| error.kind());
            }
            end
        };
        let (_, end) = tokio::join!(sink.send(large), listen);
        assert!(matches!(end, Some(ErrorKind::TooLarge { .. })), "{end:?}");
        let Event::Lost(Lost { outcome, .. }) = lost.event().await else {
            panic!("no answer came");
        };
        assert_eq!(outcome, Outcome::Unknown);
    })
    .await;
}

#[tokio::test]
async fn json_in_binary_frames_is_as_good_as_text() {
    undisturbed(async |server| {
        let plugin = Plugin::dial_with(server, Plugin::config().binary(true)).await;
        let mut plugin = plugin.registered("Binary", "binary").await;
        let call = submit(server, "binary", Replay::Never);
        let id = plugin.command().await;
        plugin.answer(&id, &json!({"success": true})).await;
        assert_eq!(answered(call).await, json!({"success": true}));
    })
    .await;
}

/// A plugin's own bytes, with no library that would be too polite.
struct Bytes {
    stream: TcpStream,
}

impl Bytes {
    const HEAD: &str = "\
        GET /hub/plugin HTTP/1.1\r\n\
        Host: 127.0.0.1\r\n\
        Connection: Upgrade\r\n\
        Upgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

    async fn connect(server: &Server) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", server.port)).await;
        let stream = stream.expect("the server listens");
        stream.set_nodelay(true).expect("a socket option");
        Self { stream }
    }

    fn head(server: &Server) -> Vec<u8> {
        let host = format!("Host: 127.0.0.1:{}", server.port);
        Self::HEAD.replace("Host: 127.0.0.1", &host).into_bytes()
    }

    /// A masked text frame; the mask is zero, which is one.
    fn frame(text: &str) -> Vec<u8> {
        let mut frame = vec![0x81];
        match u8::try_from(text.len()) {
            Ok(short @ ..126) => frame.push(0x80 | short),
            _ => {
                let long = u16::try_from(text.len()).expect("short enough for a test");
                frame.push(0x80 | 126);
                frame.extend(long.to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend(text.as_bytes());
        frame
    }

    async fn drip(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.stream.write_all(&[*byte]).await.expect("it is open");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Reads on until this was said.
    async fn until(&mut self, wanted: &str) -> String {
        let (mut heard, mut buffer) = (Vec::new(), [0; 4096]);
        loop {
            let count = self.stream.read(&mut buffer).await.expect("it is open");
            assert_ne!(count, 0, "closed before {wanted:?}");
            heard.extend_from_slice(&buffer[..count]);
            let text = String::from_utf8_lossy(&heard);
            if text.contains(wanted) {
                return text.into_owned();
            }
        }
    }

    /// Goes without a goodbye, and takes what it did not read with it.
    fn reset(self) {
        self.stream.set_zero_linger().expect("a socket option");
    }
}

const REGISTER: &str = r#"{"type":"register","project_name":"Bytes","project_hash":"bytes"}"#;

#[tokio::test]
async fn a_plugin_that_speaks_byte_by_byte_is_a_plugin() {
    undisturbed(async |server| {
        let mut slow = Bytes::connect(server).await;
        slow.drip(&Bytes::head(server)).await;
        slow.until("welcome").await;
        slow.drip(&Bytes::frame(REGISTER)).await;
        slow.until("registered").await;
        let call = submit(server, "bytes", Replay::Never);
        let heard = slow.until("\"timeout\"").await;
        let id = heard.split("\"id\":\"").nth(1).expect("an id");
        let id = id.split('"').next().expect("its end");
        let result = json!({"type": "command_result", "id": id, "result": {"slow": true}});
        slow.drip(&Bytes::frame(&result.to_string())).await;
        assert_eq!(answered(call).await, json!({"slow": true}));
    })
    .await;
}

#[tokio::test]
async fn a_thousand_sockets_that_never_register_leave_room_and_are_gone_after_ten_seconds() {
    undisturbed(async |server| {
        let dialling = std::sync::Arc::new(Semaphore::new(100));
        let url = server.hub_url();
        let mut sockets = JoinSet::new();
        for _ in 0..1_000 {
            let (dialling, url) = (dialling.clone(), url.clone());
            sockets.spawn(async move {
                use mcp_transport_core::Connector;
                let permit = dialling.acquire().await.expect("it is never closed");
                let config = Plugin::config().handshake_timeout(Duration::from_secs(60));
                let mut connector = mcp_transport_ws::WsConnector::new(&url).config(config);
                let plugin = Plugin::over(connector.connect().await.expect("it is upgraded"));
                drop(permit);
                plugin.end().await.0
            });
        }
        let mut ends: BTreeMap<Option<u16>, usize> = BTreeMap::new();
        while let Some(code) = sockets.join_next().await {
            *ends.entry(code.expect("no panic")).or_default() += 1;
            assert!(server.hub.sockets().1 <= 64);
        }
        assert_eq!(
            ends.keys().copied().collect::<Vec<_>>(),
            [Some(1008), Some(1013)]
        );
        assert!(ends[&Some(1008)] >= 64, "{ends:?}");
        assert_eq!(server.hub.sockets(), (1, 0));
    })
    .await;
}

#[tokio::test]
async fn sockets_that_break_off_anywhere_leave_nothing_behind() {
    undisturbed(async |server| {
        for round in 0..20 {
            let head = Bytes::head(server);
            let mut socket = Bytes::connect(server).await;
            let torn = &head[..round * head.len() / 20];
            socket.stream.write_all(torn).await.expect("it is open");
            socket.reset();

            let frame = Bytes::frame(REGISTER);
            let mut socket = Bytes::connect(server).await;
            socket.stream.write_all(&head).await.expect("it is open");
            let torn = &frame[..round * frame.len() / 20];
            socket.stream.write_all(torn).await.expect("it is open");
            socket.until("welcome").await;
            socket.reset();

            let mut socket = Bytes::connect(server).await;
            socket.stream.write_all(&head).await.expect("it is open");
            socket.stream.write_all(&frame).await.expect("it is open");
            socket.until("registered").await;
            let mut call = submit(server, "bytes", Replay::Never);
            socket.until("execute").await;
            socket.reset();
            let Event::Lost(Lost { outcome, .. }) = call.event().await else {
                panic!("no answer came");
            };
            assert_eq!(outcome, Outcome::Unknown);
        }
        settled(server).await;
    })
    .await;
}

#[tokio::test]
async fn a_plugin_that_floods_us_is_still_told_and_still_closed() {
    undisturbed(async |server| {
        let plugin = Plugin::dial(server)
            .await
            .registered("Flood", "flood")
            .await;
        let call = submit(server, "flood", Replay::Never);
        let (mut sink, mut stream) = plugin.into_inner().split();
        let (ids, mut asked) = tokio::sync::mpsc::channel(1);
        let pong = || Message::from(r#"{"type":"pong","session_id":"s"}"#);
        let flood = async {
            let id: String = loop {
                for _ in 0..1_000 {
                    sink.feed(pong()).await.expect("it is open");
                }
                if let Ok(id) = asked.try_recv() {
                    break id;
                }
            };
            let answer = json!({"type": "command_result", "id": id, "result": {"dry": true}});
            let answer = Message::from(answer.to_string());
            sink.send(answer).await.expect("it is open");
            sink.send(Message::from("no json"))
                .await
                .expect("it is open");
            while sink.feed(pong()).await.is_ok() {}
        };
        let listen = async {
            let mut end = None;
            while let Some(heard) = stream.next().await {
                match heard {
                    Ok(message) => {
                        let message: Value = message.json().expect("JSON");
                        if let Some(id) = message["id"].as_str() {
                            ids.send(id.to_owned()).await.expect("it waits");
                        }
                    }
                    Err(error) => end = Some(error.kind()),
                }
            }
            end
        };
        let ((), end) = tokio::join!(flood, listen);
        assert!(end.is_some(), "it was closed");
        assert_eq!(answered(call).await, json!({"dry": true}));
        settled(server).await;
    })
    .await;
}
