//! Editors that swap their ports and connections: no command reaches a project other than the one that it is for.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests wait and spawn"
)]

use examples::calls::Budget;
use examples::sim::world::World;
use examples::sim::{Editor, Options};
use mcp_transport_core::RetryPolicy;
use mcp_transport_stdio::bridge::wire::{PING, PONG, WELCOME};
use mcp_transport_stdio::discovery::{Reason, Status, StatusFile};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tests_integration::folder::Folder;
use tests_integration::raw::Session;
use tests_integration::{Answer, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Nothing that should happen takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// One of three projects, whose names begin alike.
fn options(number: usize) -> Options {
    let name = format!("Game{number}");
    let options = Options::default().project(&name, format!("/projects/{name}"));
    let options = options.retry(RetryPolicy::every(Duration::from_millis(20)));
    options
        .away(Duration::from_millis(30))
        .latency(Duration::from_millis(5))
}

/// The same for one that listens: two as the installed plugin does, one with seats.
fn listening(number: usize) -> Options {
    let options = options(number);
    if number == 2 {
        options
    } else {
        options.installed_rule()
    }
}

/// What each project has made, by whose name is on it.
fn made(world: &Mutex<World>) -> BTreeMap<String, u64> {
    world.lock().unwrap().report().objects_created
}

/// Calls that are on their way, each with its object's name.
type Calls = JoinSet<(String, Answer)>;

fn call(calls: &mut Calls, port: u16, project: usize, number: usize) {
    calls.spawn(async move {
        let name = format!("for-Game{project}-{number}");
        let arguments =
            json!({"action": "create", "name": name, "unity_instance": format!("Game{project}")});
        let session = Session::begin(port).await;
        let answer = timeout(PATIENCE, session.call("manage_gameobject", arguments)).await;
        (name, answer.expect("no call hangs"))
    });
}

/// Each object is in its own project, once, and exactly if its client was told so.
async fn all_is_where_it_belongs(calls: Calls, worlds: &[Arc<Mutex<World>>]) {
    let answers = calls.join_all().await;
    let mut created = BTreeMap::new();
    for (project, world) in worlds.iter().enumerate() {
        for (name, times) in made(world) {
            assert!(
                name.starts_with(&format!("for-Game{project}-")),
                "{name} is in Game{project}"
            );
            assert_eq!(times, 1, "{name}");
            created.insert(name, project);
        }
    }
    let mut succeeded = 0;
    for (name, answer) in &answers {
        let there = created.contains_key(name);
        match answer.outcome() {
            None => {
                assert!(answer.succeeded() && there, "{name}: {answer:?}");
                succeeded += 1;
            }
            Some("not_delivered") => assert!(!there, "{name}: {answer:?}"),
            Some(outcome) => assert_eq!(outcome, "unknown", "{name}: {answer:?}"),
        }
    }
    assert!(
        succeeded * 2 > answers.len(),
        "most get through: {succeeded} of {}",
        answers.len()
    );
}

/// Steps that look random: each a number below its limit.
fn random(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed;
    move |limit| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(state >> 33).unwrap() % limit
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_editors_that_listen_and_swap_their_ports_get_only_what_is_for_them() {
    let directory = Arc::new(Folder::new());
    let hold = Duration::from_secs(20);
    let server = Server::dialling_in(Budget::new(hold, None), directory.clone());
    let mut editors = Vec::new();
    for number in 0..3 {
        let editor = Editor::listen(directory.path(), 0, listening(number));
        server.sees(&editor).await;
        editors.push(Some(editor));
    }
    let worlds: Vec<_> = editors.iter().flatten().map(Editor::world).collect();
    let (mut below, mut calls, mut lies) = (random(7), Calls::new(), Vec::new());
    for step in 0..300 {
        match below(12) {
            0 => {
                // Both end without a word, so that their files stay behind and lie; each comes back on the other's port.
                let (a, b) = (below(3), 1 + below(2));
                let b = (a + b) % 3;
                let ports = [a, b].map(|one| editors[one].as_ref().unwrap().port().unwrap());
                for one in [a, b] {
                    editors[one].take().unwrap().kill().await;
                }
                for (one, port) in [(a, ports[1]), (b, ports[0])] {
                    let options = listening(one);
                    let world = worlds[one].clone();
                    editors[one] =
                        Some(Editor::listen_again(directory.path(), port, options, world));
                }
            }
            1 => editors[below(3)].as_ref().unwrap().reload(),
            2 => tokio::time::sleep(Duration::from_millis(below(200) as u64)).await,
            3 => {
                // One crashes, and its file names the port of another for a while, as if it were there.
                let (a, b) = (below(3), 1 + below(2));
                let there = editors[(a + b) % 3].as_ref().unwrap().port().unwrap();
                let own = editors[a].take().unwrap();
                let port = own.port().unwrap();
                own.kill().await;
                lies.push(lie(directory.path(), &format!("Game{a}"), there));
                for number in 0..3 {
                    call(&mut calls, server.port, a, 1_000 + 3 * step + number);
                }
                tokio::time::sleep(Duration::from_millis(300)).await;
                editors[a] = Some(Editor::listen_again(
                    directory.path(),
                    port,
                    listening(a),
                    worlds[a].clone(),
                ));
            }
            _ => call(&mut calls, server.port, below(3), step),
        }
    }
    all_is_where_it_belongs(calls, &worlds).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_editors_that_dial_and_swap_their_sessions_get_only_what_is_for_them() {
    let hold = Duration::from_secs(20);
    let server = Server::start(Budget::new(hold, None));
    let mut editors: Vec<Vec<Editor>> = Vec::new();
    for number in 0..3 {
        editors.push(vec![server.editor(options(number)).await]);
    }
    let worlds: Vec<_> = editors.iter().map(|one| one[0].world()).collect();
    let (mut below, mut calls) = (random(11), Calls::new());
    for step in 0..400 {
        let project = below(3);
        match below(12) {
            0 => {
                // It is killed and started again, and is registered before its former connection is missed.
                let former = editors[project].remove(0);
                let world = worlds[project].clone();
                editors[project].push(Editor::resume(&server.hub_url(), options(project), world));
                former.kill().await;
            }
            1 => editors[project][0].reload(),
            2 => tokio::time::sleep(Duration::from_millis(below(200) as u64)).await,
            _ => call(&mut calls, server.port, project, step),
        }
    }
    all_is_where_it_belongs(calls, &worlds).await;
    server.stop().await;
}

/// A status file of a project that names a port on which somebody else's editor listens.
fn lie(directory: &Path, project: &str, port: u16) -> StatusFile {
    let mut status = Status::new(port, format!("/projects/{project}/Assets"));
    status.reason = Reason::Ready;
    status.seat = false;
    StatusFile::publish(directory, &status).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_file_that_names_somebody_elses_port_brings_no_command_there() {
    let (ours, theirs) = (Arc::new(Folder::new()), Folder::new());
    let server = Server::dialling_in(Budget::new(Duration::from_secs(2), None), ours.clone());
    // The editor's own file is where this server does not look.
    let editor = Editor::listen(theirs.path(), 0, options(1).installed_rule());
    editor.connected().await;
    let mut file = lie(ours.path(), "Game0", editor.port().unwrap());
    server.until(|one| one.project == "Game0").await;
    let mut calls = Calls::new();
    for number in 0..3 {
        call(&mut calls, server.port, 0, number);
    }
    for (_, answer) in calls.join_all().await {
        assert_eq!(answer.outcome(), Some("not_delivered"), "{answer:?}");
        assert_eq!(answer.value["cause"], "wrong_editor", "{answer:?}");
        assert!(answer.text.contains("/projects/Game1/Assets"), "{answer:?}");
    }
    assert_eq!(made(&editor.world()), BTreeMap::new());
    // A file that nobody writes anew is believed once; each dial may end somebody's session there.
    assert_eq!(editor.clients(), 1);

    // As soon as it tells the truth, calls get through.
    let own = Editor::listen(theirs.path(), 0, options(0).installed_rule());
    own.connected().await;
    let mut status = Status::new(own.port().unwrap(), "/projects/Game0/Assets");
    status.reason = Reason::Ready;
    status.seat = false;
    file.update(&status).unwrap();
    let mut calls = Calls::new();
    call(&mut calls, server.port, 0, 9);
    let (_, answer) = calls.join_next().await.unwrap().unwrap();
    assert!(answer.succeeded(), "{answer:?}");
    assert_eq!(made(&own.world()).len(), 1);
    server.stop().await;
}

/// A bridge of a plugin that is older than the question which project is open: it answers that it does not know it, and does
/// whatever else it is told. Which commands it got.
async fn older_plugin(listener: TcpListener, got: Arc<Mutex<Vec<String>>>) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(WELCOME).await.unwrap();
        while let Ok(length) = stream.read_u64().await {
            let mut frame = vec![0; usize::try_from(length).unwrap()];
            stream.read_exact(&mut frame).await.unwrap();
            let answer = if frame == PING {
                PONG.to_vec()
            } else {
                let command: Value = serde_json::from_slice(&frame).unwrap();
                let name = command["type"].as_str().unwrap().to_owned();
                let known = name == "manage_gameobject";
                got.lock().unwrap().push(name);
                let unknown =
                    json!({"status": "error", "error": "Unknown or unsupported command type"});
                let done = json!({"status": "success", "result": {"success": true}});
                if known { done } else { unknown }.to_string().into_bytes()
            };
            stream.write_u64(answer.len() as u64).await.unwrap();
            stream.write_all(&answer).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_that_cannot_say_whose_it_is_is_believed_if_its_file_is_written_and_not_if_it_is_a_leftover()
 {
    for is_alive in [true, false] {
        let directory = Arc::new(Folder::new());
        let server =
            Server::dialling_in(Budget::new(Duration::from_secs(4), None), directory.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let got = Arc::new(Mutex::new(Vec::new()));
        let plugin = tokio::spawn(older_plugin(listener, got.clone()));
        let mut file = lie(directory.path(), "Game0", port);
        let beat = tokio::spawn(async move {
            let mut status = Status::new(port, "/projects/Game0/Assets");
            status.reason = Reason::Ready;
            status.seat = false;
            loop {
                if is_alive {
                    file.update(&status).unwrap();
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        });
        server.until(|one| one.project == "Game0").await;
        let mut calls = Calls::new();
        call(&mut calls, server.port, 0, 1);
        let (_, answer) = calls.join_next().await.unwrap().unwrap();
        let expected = if is_alive {
            None
        } else {
            Some("not_delivered")
        };
        assert_eq!(answer.outcome(), expected, "{answer:?}");
        let made = got
            .lock()
            .unwrap()
            .iter()
            .filter(|name| *name == "manage_gameobject")
            .count();
        assert_eq!(made, usize::from(is_alive));
        plugin.abort();
        beat.abort();
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_editor_that_stands_still_before_it_has_said_whose_it_is_gets_no_call_and_its_client_hears_so()
 {
    let server = Server::dialling(Budget::new(Duration::from_secs(1), None));
    let editor = server.editor(listening(0)).await;
    editor.freeze(true);
    let mut calls = Calls::new();
    call(&mut calls, server.port, 0, 1);
    let (_, answer) = calls.join_next().await.unwrap().unwrap();
    assert_eq!(answer.outcome(), Some("not_delivered"), "{answer:?}");
    assert_eq!(answer.value["cause"], "not_connected", "{answer:?}");
    editor.freeze(false);
    call(&mut calls, server.port, 0, 2);
    let (_, answer) = calls.join_next().await.unwrap().unwrap();
    assert!(answer.succeeded(), "{answer:?}");
    assert_eq!(
        made(&editor.world()).into_iter().collect::<Vec<_>>(),
        [("for-Game0-2".to_owned(), 1)]
    );
    assert_eq!(editor.clients(), 1, "one connection served both");
    server.stop().await;
}
