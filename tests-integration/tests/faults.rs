//! Six faults that look alike from outside, told apart by `/health` and by the answer of a call, each with a next step.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests wait and spawn"
)]

use examples::calls::Budget;
use examples::hub::Config;
use examples::sim::Options;
use mcp_transport_core::loopback::{Bind, FamilyState, Loopback, Tcp};
use serde_json::{Value, json};
use socket2::{SockRef, Socket};
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tests_integration::plugin::Plugin;
use tests_integration::raw::Session;
use tests_integration::{Answer, Server, reload};
use tokio::net::TcpListener;

const SOON: Duration = Duration::from_millis(300);

fn impatient() -> Budget {
    Budget::new(Duration::from_secs(120), Some(SOON))
}

fn create(name: &str) -> Value {
    json!({"action": "create", "name": name})
}

/// A bad ending with this cause and this outcome. That it has the published shape is checked of every answer.
fn ends(answer: &Answer, cause: &str, outcome: &str) {
    assert!(answer.is_error, "{answer:?}");
    assert_eq!(answer.value["cause"], cause, "{answer:?}");
    assert_eq!(answer.outcome(), Some(outcome), "{answer:?}");
}

/// The one fault that `/health` reports, which says what to do; the same words stand in the answer of a call.
async fn reports(server: &Server, cause: &str) -> String {
    let health = server.health().await;
    let faults = health["faults"].as_array().expect("a list");
    let fault = faults
        .iter()
        .find(|fault| fault["cause"] == cause)
        .unwrap_or_else(|| panic!("no {cause} in {health:#}"));
    assert!(fault["what"].as_str().is_some_and(|text| !text.is_empty()));
    let next = fault["next_step"].as_str().expect("a next step");
    assert!(!next.is_empty());
    next.to_owned()
}

async fn healed(server: &Server) {
    let mut families = server.families.clone();
    let healed = families.wait_for(|health| health.v4.state == FamilyState::Listening);
    tokio::time::timeout(Duration::from_secs(1), healed)
        .await
        .expect("within a second")
        .expect("the listener lives");
}

/// Sockets that a test can break, and a system that then gives no new ones.
#[derive(Clone, Debug, Default)]
struct Fragile {
    made: Arc<Mutex<Vec<(SocketAddr, Socket)>>>,
    refuses: Arc<AtomicBool>,
}

impl Bind for Fragile {
    type Listener = TcpListener;

    fn bind(&mut self, address: SocketAddr) -> io::Result<TcpListener> {
        if address.is_ipv4() && self.refuses.load(Ordering::Relaxed) {
            return Err(io::Error::from_raw_os_error(22)); // EINVAL
        }
        let listener = Tcp::default().bind(address)?;
        let twin = SockRef::from(&listener).try_clone()?;
        self.made.lock().unwrap().push((address, twin));
        Ok(listener)
    }
}

impl Fragile {
    fn break_ipv4(&self) {
        for (address, socket) in &*self.made.lock().unwrap() {
            if address.is_ipv4() {
                socket.shutdown(Shutdown::Both).unwrap();
            }
        }
        // What is left of them must not hold the port.
        self.made
            .lock()
            .unwrap()
            .retain(|(address, _)| address.is_ipv6());
    }
}

#[tokio::test]
async fn a_dead_listener_is_named_while_an_editor_cannot_come_back_through_it() {
    let sockets = Fragile::default();
    let listener = Loopback::bind_with(sockets.clone(), 0).unwrap();
    let server = Server::with(listener, impatient(), Config::default(), Vec::new());
    let editor = server
        .editor(Options::default().away(Duration::from_millis(100)))
        .await;
    sockets.refuses.store(true, Ordering::Relaxed);
    sockets.break_ipv4();
    reload(&editor).await;

    // Over [::1], since that is all there is.
    let session = Session::begin(server.port).await;
    let answer = session.call("manage_gameobject", create("A")).await;
    ends(&answer, "listener_down", "not_delivered");
    assert!(
        answer
            .text
            .contains(&reports(&server, "listener_down").await)
    );
    let health = server.health().await;
    assert_eq!(health["listeners"]["ipv4"]["state"], "rebinding");
    assert_eq!(health["listeners"]["ipv4"]["last_failure"]["os_code"], 22);
    assert_eq!(health["listeners"]["ipv6"]["state"], "bound");

    sockets.refuses.store(false, Ordering::Relaxed);
    healed(&server).await;
    editor.connected().await;
    assert!(
        session
            .call("manage_gameobject", create("B"))
            .await
            .succeeded()
    );
    assert_eq!(server.health().await["faults"], json!([]));
    server.stop().await;
}

#[tokio::test]
async fn a_port_that_somebody_else_has_is_named_retried_and_does_not_stop_the_other_family() {
    let foreign = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = foreign.local_addr().unwrap().port();
    let server = Server::on(Loopback::bind(port).unwrap(), impatient());
    let session = Session::begin_at("[::1]", port).await;
    let answer = session.call("manage_gameobject", create("A")).await;
    ends(&answer, "port_taken", "not_delivered");
    let health = server.health_at("[::1]").await;
    assert_eq!(health["listeners"]["ipv4"]["state"], "port_taken");
    assert_eq!(health["listeners"]["ipv6"]["state"], "bound");
    assert_eq!(health["faults"][0]["cause"], "port_taken");
    let next = health["faults"][0]["next_step"].as_str().unwrap();
    assert!(answer.text.contains(next), "{answer:?}");

    drop(foreign);
    healed(&server).await;
    let editor = server.editor(Options::default()).await;
    assert!(editor.is_connected());
    assert!(
        session
            .call("manage_gameobject", create("B"))
            .await
            .succeeded()
    );
    server.stop().await;
}

#[tokio::test]
async fn a_reload_is_named() {
    let server = Server::start(impatient());
    let editor = server.editor(Options::default()).await;
    reload(&editor).await;
    let session = Session::begin(server.port).await;
    let answer = session.call("manage_gameobject", create("A")).await;
    ends(&answer, "reloading", "not_delivered");
    assert!(answer.text.contains(&reports(&server, "reloading").await));
    server.stop().await;
}

#[tokio::test]
async fn an_editor_that_quit_is_named() {
    let server = Server::start(impatient());
    let editor = server.editor(Options::default()).await;
    editor.quit().await;
    let session = Session::begin(server.port).await;
    let answer = session.call("manage_gameobject", create("A")).await;
    ends(&answer, "editor_quit", "not_delivered");
    assert!(answer.text.contains(&reports(&server, "editor_quit").await));
    server.stop().await;
}

#[tokio::test]
async fn a_main_loop_that_stalls_is_named_while_its_process_lives() {
    // No budget: the plugin's own time (2 s for this command, and 5 s more) is what runs out.
    let server = Server::start(Budget::new(Duration::from_secs(120), None));
    let editor = server.editor(Options::default()).await;
    editor.freeze(true);
    let session = Session::begin(server.port).await;
    let answer = session.call("read_console", json!({"action": "get"})).await;
    ends(&answer, "main_loop_stalled", "running");
    assert!(
        answer
            .text
            .contains(&reports(&server, "main_loop_stalled").await)
    );
    let health = server.health().await;
    assert_eq!(health["editors"][0]["state"], "stalled");
    assert_eq!(health["editors"][0]["socket"]["connected"], true);
    server.stop().await;
}

#[tokio::test]
async fn a_main_loop_that_stalls_is_named_to_a_client_that_hears_of_progress_as_well() {
    let server = Server::start(Budget::default());
    let editor = server.editor(Options::default()).await;
    editor.freeze(true);
    // rmcp's client asks for progress, and has no time-out of its own.
    let client = server.client().await;
    let call = client.call("read_console", json!({"action": "get"}));
    let answer = tokio::time::timeout(Duration::from_secs(20), call).await;
    let answer = answer.expect("a call that nobody answers does not hang");
    ends(&answer, "main_loop_stalled", "running");

    editor.freeze(false);
    let ask = json!({"operation_id": answer.value["operation_id"]});
    let mut result = client.call("get_operation", ask.clone()).await;
    while result.outcome() == Some("running") {
        tokio::time::sleep(Duration::from_millis(50)).await;
        result = client.call("get_operation", ask.clone()).await;
    }
    assert!(result.succeeded(), "{result:?}");
    server.stop().await;
}

#[tokio::test]
async fn an_editor_that_lost_its_seat_to_another_is_named() {
    let mut config = Config::default();
    config.seat_silence = Duration::from_millis(200);
    let listener = Loopback::bind(0).unwrap();
    let server = Server::with(listener, Budget::default(), config, Vec::new());
    let mut silent = Plugin::register(&server, "Game", "0123456789abcdef").await;
    silent.expect("registered").await;
    let session = Session::begin(server.port).await;
    let call = json!({"commands": [{"tool": "manage_gameobject", "params": create("A")}]});
    let call = tokio::spawn(async move { session.call("batch_execute", call).await });
    silent.expect("execute").await;
    let mut second = Plugin::register(&server, "Game", "0123456789abcdef").await;
    second.expect("registered").await;
    ends(&call.await.unwrap(), "superseded", "unknown");
    reports(&server, "superseded").await;
    let end = silent.next().await.unwrap_err();
    assert_eq!(end.kind().cause(), "stale", "{end:?}");
    server.stop().await;
}
