//! The simulated editor that listens, seen from its clients: frames, files, reloads, ends.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests own clocks and tasks, and may panic"
)]

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use examples::sim::strike::Point;
use examples::sim::world::Project;
use examples::sim::{Editor, Options, State};
use futures::{SinkExt, StreamExt};
use mcp_transport_core::{Connector, ErrorKind, EvictionReason, Message};
use mcp_transport_stdio::bridge::{BridgeConnector, Claim, Seated};
use mcp_transport_stdio::discovery::{HEARTBEAT, Reason, Status, project_key};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Nothing here takes long; a test that waits longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// A directory that is gone with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("sim-bridge-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        let key = project_key(&Project::default().data_path());
        self.0.join(format!("unity-mcp-status-{key}.json"))
    }

    fn status(&self) -> Option<Status> {
        serde_json::from_slice(&fs::read(self.file()).ok()?).ok()
    }

    /// Waits for a word in the file.
    async fn says(&self, reason: Reason) -> Status {
        let found = async {
            loop {
                match self.status() {
                    Some(status) if status.reason == reason => return status,
                    _ => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
        };
        timeout(PATIENCE, found)
            .await
            .expect("the file never said so")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn listening(folder: &Folder, options: Options) -> Editor {
    let editor = Editor::listen(&folder.0, 0, options);
    reached(&editor, State::Connected).await;
    editor
}

async fn reached(editor: &Editor, wanted: State) {
    let mut state = editor.watch();
    timeout(PATIENCE, state.wait_for(|state| *state == wanted))
        .await
        .expect("it never came so far")
        .expect("the editor lives");
}

async fn dial(editor: &Editor, claim: Option<Claim>) -> Seated {
    let mut connector = BridgeConnector::new(editor.port().unwrap()).claim(claim);
    timeout(PATIENCE, connector.connect())
        .await
        .unwrap()
        .unwrap()
}

async fn say(link: &mut Seated, command: &Value) {
    link.send(Message::from(command.to_string())).await.unwrap();
}

async fn hear(link: &mut Seated) -> Option<Value> {
    let item = timeout(PATIENCE, link.next()).await.expect("silence");
    let frame = item?.ok()?;
    Some(serde_json::from_slice(frame.as_bytes()).unwrap())
}

fn create(name: &str) -> Value {
    json!({"type": "manage_gameobject", "params": {"action": "create", "name": name}})
}

fn made(editor: &Editor, name: &str) -> u64 {
    editor
        .report()
        .objects_created
        .get(name)
        .copied()
        .unwrap_or_default()
}

#[tokio::test]
async fn it_says_where_it_listens_and_answers_commands_in_order() {
    let folder = Folder::new("answers");
    let editor = listening(&folder, Options::default()).await;
    let status = folder.says(Reason::Ready).await;
    assert_eq!(Some(status.unity_port), editor.port());
    assert_eq!(
        (status.seq, status.reloading, status.seat),
        (1, false, true)
    );
    assert_eq!(status.project_name, "SimProject");

    let mut link = dial(&editor, Some(Claim::Take)).await;
    for name in ["One", "Two"] {
        say(&mut link, &create(name)).await;
        let answer = hear(&mut link).await.unwrap();
        assert_eq!(answer["status"], "success", "{answer}");
        assert_eq!(made(&editor, name), 1);
    }
    say(&mut link, &json!({"type": "no_such_command"})).await;
    let answer = hear(&mut link).await.unwrap();
    assert_eq!(
        answer["error"],
        "Unknown or unsupported command type: no_such_command"
    );
    link.send(Message::from("no JSON")).await.unwrap();
    assert_eq!(
        hear(&mut link).await.unwrap()["error"],
        "Invalid JSON format"
    );
}

#[tokio::test]
async fn the_heartbeat_goes_on_and_stops_while_the_main_loop_is_frozen() {
    let folder = Folder::new("heartbeat");
    let editor = listening(&folder, Options::default()).await;
    let first = folder.says(Reason::Ready).await.last_heartbeat;
    tokio::time::sleep(3 * HEARTBEAT).await;
    let second = folder.status().unwrap().last_heartbeat;
    assert_ne!(first, second);

    editor.freeze(true);
    tokio::time::sleep(2 * HEARTBEAT).await;
    let frozen = folder.status().unwrap().last_heartbeat;
    tokio::time::sleep(3 * HEARTBEAT).await;
    assert_eq!(folder.status().unwrap().last_heartbeat, frozen);

    // A ping is answered all the same; a command waits.
    let mut raw = TcpStream::connect(("127.0.0.1", editor.port().unwrap()))
        .await
        .unwrap();
    let mut welcome = [0; 30];
    raw.read_exact(&mut welcome).await.unwrap();
    raw.write_all(b"\0\0\0\0\0\0\0\x04ping").await.unwrap();
    let mut pong = [0; 8 + 48];
    timeout(PATIENCE, raw.read_exact(&mut pong))
        .await
        .unwrap()
        .unwrap();
    assert!(pong.ends_with(br#""message":"pong"}}"#));
    let mut link = dial(&editor, Some(Claim::Take)).await;
    say(&mut link, &create("Waits")).await;
    tokio::time::sleep(HEARTBEAT).await;
    assert_eq!(made(&editor, "Waits"), 0);
    editor.freeze(false);
    assert!(hear(&mut link).await.is_some());
    assert_eq!(made(&editor, "Waits"), 1);
}

#[tokio::test]
async fn a_reload_closes_everything_and_comes_back_on_the_same_port() {
    let folder = Folder::new("reload");
    let away = Duration::from_millis(400);
    let editor = listening(&folder, Options::default().away(away)).await;
    let port = editor.port().unwrap();
    let mut link = dial(&editor, Some(Claim::Take)).await;
    editor.reload();
    assert_eq!(hear(&mut link).await, None);
    let status = folder.says(Reason::Reloading).await;
    assert_eq!((status.reloading, status.unity_port), (true, port));
    assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());
    reached(&editor, State::Connected).await;
    let status = folder.says(Reason::Ready).await;
    assert_eq!((status.reloading, status.unity_port), (false, port));
    assert_eq!(status.seq, 1, "a new domain counts anew");
    let mut link = dial(&editor, Some(Claim::Take)).await;
    say(&mut link, &create("After")).await;
    assert!(hear(&mut link).await.is_some());
}

#[tokio::test]
async fn each_strike_hits_the_command_at_its_own_point_under_either_rule() {
    for installed in [false, true] {
        let folder = Folder::new(if installed {
            "strikes-installed"
        } else {
            "strikes"
        });
        let mut options = Options::default().away(Duration::from_millis(50));
        options.installed_rule = installed;
        let editor = listening(&folder, options).await;
        for point in Point::ALL {
            let mut link = dial(&editor, None).await;
            editor.strike(point);
            say(&mut link, &create(point.name())).await;
            let answered = hear(&mut link).await.is_some();
            assert_eq!(answered, point == Point::AfterAnswer, "{point}");
            if answered {
                assert_eq!(hear(&mut link).await, None, "{point}");
            }
            assert_eq!(
                made(&editor, point.name()),
                u64::from(point.took_effect()),
                "{point}"
            );
            assert_eq!(editor.report().strikes[&point], 1, "{point}");
            reached(&editor, State::Connected).await;
        }
    }
}

#[tokio::test]
async fn who_quits_takes_the_file_along_and_who_is_killed_leaves_it_behind() {
    let folder = Folder::new("ends");
    let editor = listening(&folder, Options::default()).await;
    let port = editor.port().unwrap();
    let mut link = dial(&editor, Some(Claim::Take)).await;
    say(&mut link, &create("Kept")).await;
    assert!(hear(&mut link).await.is_some());
    let world = editor.world();
    editor.kill().await;
    assert_eq!(hear(&mut link).await, None);
    assert_eq!(folder.status().unwrap().reason, Reason::Ready);

    let editor = Editor::listen_again(&folder.0, port, Options::default(), world);
    reached(&editor, State::Connected).await;
    assert_eq!((editor.port(), made(&editor, "Kept")), (Some(port), 1));
    editor.quit().await;
    assert!(!folder.file().exists());
}

#[tokio::test]
async fn a_port_that_somebody_keeps_is_given_up_after_a_while() {
    let folder = Folder::new("busy");
    let keeper = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = keeper.local_addr().unwrap().port();
    let editor = Editor::listen(&folder.0, port, Options::default());
    let status = folder.says(Reason::PortBusy).await;
    assert_eq!((status.unity_port, status.reloading), (port, true));
    reached(&editor, State::Connected).await;
    assert_ne!(editor.port(), Some(port));
}

#[tokio::test]
async fn a_loser_of_ours_hears_who_took_its_seat() {
    let folder = Folder::new("seats");
    let editor = listening(&folder, Options::default()).await;
    let mut first = dial(&editor, Some(Claim::Take)).await;
    say(&mut first, &create("First")).await;
    assert!(hear(&mut first).await.is_some());
    let _second = dial(&editor, Some(Claim::Take)).await;
    let error = timeout(PATIENCE, first.next())
        .await
        .unwrap()
        .unwrap()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Evicted(EvictionReason::Superseded));
    assert!(error.eviction().unwrap().newcomer().is_some());
}

#[tokio::test]
async fn by_the_installed_rule_a_mere_connection_ends_the_others_and_what_was_read_still_runs() {
    let folder = Folder::new("installed");
    let options = Options::default()
        .installed_rule()
        .latency(Duration::from_millis(300));
    let editor = listening(&folder, options).await;
    assert!(!folder.says(Reason::Ready).await.seat);
    assert!(!fs::read_to_string(folder.file()).unwrap().contains("seat"));
    let mut first = dial(&editor, None).await;
    say(&mut first, &create("Read")).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut second = dial(&editor, None).await;
    let error = timeout(PATIENCE, first.next())
        .await
        .unwrap()
        .unwrap()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Disconnected);
    // There is no memory: the same bytes are another command.
    say(&mut second, &create("Read")).await;
    assert!(hear(&mut second).await.is_some());
    assert_eq!(made(&editor, "Read"), 2);
}

#[tokio::test]
async fn two_clients_of_a_shared_bridge_are_served_one_command_at_a_time() {
    let folder = Folder::new("shared");
    let options = Options::default()
        .policy(mcp_transport_stdio::bridge::Policy::Share)
        .latency(Duration::from_millis(50));
    let editor = listening(&folder, options).await;
    let mut links = [dial(&editor, None).await, dial(&editor, None).await];
    for (number, link) in links.iter_mut().enumerate() {
        say(link, &create(&format!("Shared{number}"))).await;
    }
    for link in &mut links {
        assert_eq!(hear(link).await.unwrap()["status"], "success");
    }
    let effects = editor.report().effects;
    assert_eq!(effects.len(), 2, "{effects:?}");
}

#[tokio::test]
async fn a_command_of_its_own_latency_is_slow_and_the_others_are_not() {
    let folder = Folder::new("latency");
    let slow = Duration::from_millis(300);
    let options = Options::default()
        .policy(mcp_transport_stdio::bridge::Policy::Share)
        .latency_for("Slow", slow)
        .latency_for("get_tags", PATIENCE * 10);
    let editor = listening(&folder, options).await;
    let mut link = dial(&editor, None).await;
    say(&mut link, &create("Quick")).await;
    assert!(hear(&mut link).await.is_some());
    say(&mut link, &create("Slow")).await;
    tokio::time::sleep(slow / 3).await;
    assert_eq!((made(&editor, "Quick"), made(&editor, "Slow")), (1, 0));
    assert!(hear(&mut link).await.is_some());
    assert_eq!(made(&editor, "Slow"), 1);
}

/// Sends a command again over a connection of its own, as the Python server does.
async fn again(editor: &Editor, command: &Value) -> Value {
    let mut link = dial(editor, None).await;
    say(&mut link, command).await;
    hear(&mut link).await.unwrap()
}

#[tokio::test]
async fn a_command_that_a_reload_struck_is_not_run_again_but_what_only_reads_is() {
    let strike = json!({
        "type": "execute_menu_item",
        "params": {"menuPath": "Simulator/Strike After Effect"},
    });
    for installed in [false, true] {
        let folder = Folder::new(if installed {
            "again-installed"
        } else {
            "again"
        });
        let mut options = Options::default().away(Duration::from_millis(50));
        options.installed_rule = installed;
        let editor = listening(&folder, options).await;
        for (number, command) in [create("Struck"), json!({"type": "get_tags"})]
            .iter()
            .enumerate()
        {
            let mut link = dial(&editor, None).await;
            say(&mut link, &strike).await;
            assert_eq!(hear(&mut link).await.unwrap()["status"], "success");
            say(&mut link, command).await;
            assert_eq!(hear(&mut link).await, None);
            reached(&editor, State::Connected).await;
            assert_eq!(
                editor.report().strikes[&Point::AfterEffect],
                number as u64 + 1
            );

            let answer = again(&editor, command).await;
            let runs_again = installed || command["type"] == "get_tags";
            let status = if runs_again { "success" } else { "error" };
            assert_eq!(answer["status"], status, "{answer}");
        }
        assert_eq!(made(&editor, "Struck"), 1 + u64::from(installed));
    }
}
