//! The dial.

use mcp_transport_core::ErrorKind;
use mcp_transport_core::loopback::{connect, connect_host};

use crate::rig::Lone;

#[tokio::test]
async fn a_host_on_either_family_alone_is_found() {
    for address in ["127.0.0.1", "::1"] {
        let host = Lone::on(address);
        let port = host.port;
        for dialled in [connect(port).await, connect_host("LocalHost", port).await] {
            let stream = dialled.expect("it listens");
            let peer = stream.peer_addr().expect("it is connected");
            assert_eq!(peer.ip().to_string(), address);
            assert!(stream.nodelay().expect("it is a socket"));
        }
    }
}

#[tokio::test]
async fn an_address_is_taken_at_its_word() {
    let host = Lone::on("127.0.0.1");
    let port = host.port;
    assert!(connect_host("127.0.0.1", port).await.is_ok());
    for v6 in ["[::1]", "::1"] {
        let error = connect_host(v6, port).await.expect_err("nobody is there");
        assert_eq!(error.kind(), ErrorKind::Unreachable);
        assert!(!error.to_string().contains("127.0.0.1"), "{error}");
    }
}

#[tokio::test]
async fn where_nobody_listens_the_error_says_what_either_address_answered() {
    let Lone {
        listener,
        other,
        port,
    } = Lone::on("127.0.0.1");
    let _reserved = other;
    drop(listener);
    let error = connect(port).await.expect_err("nobody is there");
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.is_retryable());
    let text = error.to_string();
    for address in [format!("127.0.0.1:{port}: "), format!("[::1]:{port}: ")] {
        assert!(text.contains(&address), "{text}");
    }
    assert!(std::error::Error::source(&error).is_some());
}

#[tokio::test]
async fn no_other_machine_is_ever_dialled() {
    for host in [
        "example.org",
        "10.0.0.1",
        "0.0.0.0",
        "localhost.",
        "127.0.0.1.nip.io",
        "",
    ] {
        let error = connect_host(host, 80)
            .await
            .expect_err("it is no loopback host");
        assert_eq!(error.kind(), ErrorKind::Incompatible, "{host}");
        assert!(!error.is_retryable());
    }
}

/// A full backlog drops what knocks, so the dial hangs: as a closed port does under WSL.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_address_that_hangs_leaves_the_other_its_chance() {
    let host = Lone::on("::1");
    let port = host.port;
    host.other.listen(0).expect("it is bound");
    let _full = std::net::TcpStream::connect(("127.0.0.1", port)).expect("one has room");

    let stream = connect(port).await.expect("IPv6 answers");
    assert!(stream.peer_addr().expect("it is connected").is_ipv6());
    let error = connect_host("127.0.0.1", port)
        .await
        .expect_err("nobody answers");
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(
        error.to_string().contains("no answer within 500 ms"),
        "{error}"
    );
}
