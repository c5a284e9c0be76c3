//! A listening socket that dies under the server: `shutdown(2)` by a duplicate of it.

use std::net::Shutdown;
use std::time::Duration;

use mcp_transport_core::loopback::{Loopback, connect_host};
use socket2::SockRef;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::rig::{LONG, sockets};

#[tokio::test]
async fn a_socket_that_was_shut_down_answers_again_while_the_other_never_stops() {
    for broken in ["127.0.0.1", "[::1]"] {
        let (port, [v4, v6]) = sockets();
        let [spare4, spare6] = [&v4, &v6].map(|socket| socket.try_clone().expect("it is shared"));
        let mut listener = Loopback::from_std(Some(v4), Some(v6)).expect("they are loopback's");
        let health = listener.watch_health();
        let (accepted, mut accepts) = mpsc::unbounded_channel();
        let server = tokio::spawn(async move {
            loop {
                let _ = accepted.send(listener.accept().await.1);
            }
        });
        let (spare, sound) = if broken == "[::1]" {
            (spare6, "127.0.0.1")
        } else {
            (spare4, "[::1]")
        };

        SockRef::from(&spare)
            .shutdown(Shutdown::Both)
            .expect("it listens");
        let stream = connect_host(sound, port)
            .await
            .expect("the other family never stops");
        assert_eq!(accepts.recv().await, stream.local_addr().ok());

        let again = async {
            loop {
                match connect_host(broken, port).await {
                    Ok(stream) => break stream,
                    Err(_) => sleep(Duration::from_millis(10)).await,
                }
            }
        };
        let stream = timeout(LONG, again).await.expect("it listens again");
        let from = timeout(LONG, accepts.recv())
            .await
            .expect("it accepts again");
        assert_eq!(from, stream.local_addr().ok());
        let health = health.borrow().clone();
        let died = if broken == "[::1]" { (0, 1) } else { (1, 0) };
        assert_eq!((health.v4.died, health.v6.died), died);
        server.abort();
    }
}
