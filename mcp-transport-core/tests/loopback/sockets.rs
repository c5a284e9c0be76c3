//! The operating system's own sockets, and its own faults.

use std::time::Duration;

use mcp_transport_core::loopback::{FamilyState, Loopback, connect, connect_host};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::rig::{LONG, Lone, Rig, dial, sockets};

#[tokio::test]
async fn both_families_answer_on_one_port_without_delay() {
    let mut listener = Loopback::bind(0).expect("loopback can be bound");
    let port = listener.local_port();
    for host in ["127.0.0.1", "::1"] {
        let client = dial(host, port);
        let (stream, from) = listener.accept().await;
        assert_eq!(from, client.local_addr().expect("it is connected"));
        assert_eq!(from.is_ipv6(), host == "::1");
        assert!(stream.nodelay().expect("it is a socket"));
    }
    let health = listener.health();
    assert_eq!((health.v4.accepted, health.v6.accepted), (1, 1));
    assert_eq!(
        (health.v4.last_failure, health.v6.last_failure),
        (None, None)
    );
}

#[tokio::test]
async fn a_port_that_somebody_else_has_in_one_family_stops_only_that_family() {
    for (taken, free) in [("127.0.0.1", "::1"), ("::1", "127.0.0.1")] {
        let Lone {
            listener: holder,
            other,
            port,
        } = Lone::on(taken);
        drop(other);
        let mut listener = Loopback::bind(port).expect("the other family can be bound");
        let state = |listener: &Loopback| {
            let health = listener.health();
            if taken == "::1" {
                health.v6.state
            } else {
                health.v4.state
            }
        };
        assert_eq!(state(&listener), FamilyState::PortTaken);
        let _client = dial(free, port);
        listener.accept().await;

        drop(holder);
        while state(&listener) != FamilyState::Listening {
            let _ = timeout(Duration::from_millis(50), listener.accept()).await;
        }
        let _client = dial(taken, port);
        timeout(LONG, listener.accept())
            .await
            .expect("the family is back");
    }
}

#[tokio::test]
async fn a_restarted_listener_has_its_port_at_once() {
    let mut listener = Loopback::bind(0).expect("loopback can be bound");
    let port = listener.local_port();
    let client = dial("127.0.0.1", port);
    let (stream, _) = listener.accept().await;
    // The side that closes first keeps the port in TIME_WAIT.
    drop((stream, listener));
    drop(client);
    let again = Loopback::bind(port).expect("the port is free");
    assert_eq!(again.health().v4.state, FamilyState::Listening);
}

#[tokio::test]
async fn an_accept_that_was_dropped_lost_no_connection() {
    let mut listener = Loopback::bind(0).expect("loopback can be bound");
    let port = listener.local_port();
    let clients = tokio::spawn(async move {
        let mut clients = Vec::new();
        for turn in 0..100 {
            let host = if turn % 2 == 0 { "127.0.0.1" } else { "[::1]" };
            clients.push(connect_host(host, port).await.expect("it listens"));
            tokio::task::yield_now().await;
        }
        clients
    });
    let mut accepted = Vec::new();
    let all = async {
        while accepted.len() < 100 {
            tokio::select! {
                connection = listener.accept() => accepted.push(connection),
                () = tokio::task::yield_now() => {}
            }
        }
    };
    timeout(LONG, all).await.expect("every connection arrives");
    let clients = clients.await.expect("they connected");
    for client in &clients {
        let from = client.local_addr().expect("it is connected");
        assert!(accepted.iter().any(|(_, address)| *address == from));
    }
}

#[tokio::test]
async fn two_crowds_take_turns() {
    let mut listener = Loopback::bind(0).expect("loopback can be bound");
    let port = listener.local_port();
    let _clients: Vec<_> = (0..40)
        .map(|turn| dial(if turn < 20 { "127.0.0.1" } else { "::1" }, port))
        .collect();
    let mut v6 = 0;
    // Readiness is learnt per socket, so one turn may go by before the second crowd is seen.
    for _ in 0..22 {
        v6 += u32::from(listener.accept().await.1.is_ipv6());
    }
    assert!((10..=12).contains(&v6), "{v6} of 22");
}

#[tokio::test]
async fn one_family_may_be_off() {
    let (port, [v4, _]) = sockets();
    let mut listener = Loopback::from_std(Some(v4), None).expect("it is loopback's");
    assert_eq!(listener.local_port(), port);
    assert_eq!(listener.health().v6.state, FamilyState::Off);
    let _client = dial("127.0.0.1", port);
    listener.accept().await;
}

#[tokio::test]
async fn only_loopback_sockets_are_taken_over() {
    let (_, [v4, v6]) = sockets();
    assert!(Loopback::from_std(None, None).is_err());
    let swapped = Loopback::from_std(Some(v6), Some(v4)).expect_err("families are swapped");
    assert!(swapped.to_string().contains("bind it to"), "{swapped}");
}

#[tokio::test]
async fn a_rigged_listener_can_be_dialled_like_any() {
    let mut listener = Rig::default().listen();
    let port = listener.local_port();
    let (client, (_, from)) = tokio::join!(connect(port), listener.accept());
    let client: TcpStream = client.expect("it listens");
    assert_eq!(client.local_addr().ok(), Some(from));
}

/// A process of its own, since it uses up all descriptors that it may have.
#[cfg(target_os = "linux")]
#[test]
fn a_process_without_descriptors_accepts_again_once_it_has_some() {
    const CHILD: &str = "LOOPBACK_TEST_WITHOUT_DESCRIPTORS";
    if std::env::var_os(CHILD).is_some() {
        return use_up_all_descriptors();
    }
    let name = "sockets::a_process_without_descriptors_accepts_again_once_it_has_some";
    let child = std::process::Command::new("sh")
        .args(["-c", "ulimit -n 64 && exec \"$@\"", "sh"])
        .arg(std::env::current_exe().expect("tests have a file"))
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
        .output()
        .expect("sh is there");
    let output = String::from_utf8_lossy(&child.stdout);
    let errors = String::from_utf8_lossy(&child.stderr);
    assert!(
        child.status.success() && output.contains("1 passed"),
        "{output}{errors}"
    );
}

#[cfg(target_os = "linux")]
#[tokio::main(flavor = "current_thread")]
async fn use_up_all_descriptors() {
    const EMFILE: i32 = 24;
    let mut listener = Loopback::bind(0).expect("loopback can be bound");
    let port = listener.local_port();
    let _clients = [dial("127.0.0.1", port), dial("::1", port)];
    let mut hoard = Vec::new();
    let error = loop {
        match std::fs::File::open("/dev/null") {
            Ok(file) => hoard.push(file),
            Err(error) => break error,
        }
    };
    assert_eq!(error.raw_os_error(), Some(EMFILE));

    assert!(
        timeout(Duration::from_millis(350), listener.accept())
            .await
            .is_err()
    );
    let v4 = listener.health().v4;
    assert_eq!(
        (v4.state, v4.accepted, v4.died),
        (FamilyState::Listening, 0, 0)
    );
    assert!(
        (1..=4).contains(&v4.exhausted),
        "it waits between attempts: {}",
        v4.exhausted
    );
    assert_eq!(v4.last_failure.expect("it failed").code, Some(EMFILE));

    drop(hoard);
    for _ in 0..2 {
        timeout(LONG, listener.accept())
            .await
            .expect("there are descriptors again");
    }
}
