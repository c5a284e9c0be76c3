#![expect(clippy::disallowed_methods, reason = "a shell: it waits for an answer")]

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{V4, V6};
use crate::{Error, ErrorKind};

/// How long one address may take to answer: 500 ms.
///
/// On loopback an open port answers at once. A closed one should, too, but hangs under WSL's
/// mirrored network, and takes Windows two seconds of asking again.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(500);

/// Dials a port on this machine: `127.0.0.1` first, then `[::1]`, each for [`ATTEMPT_TIMEOUT`].
///
/// `TCP_NODELAY` is set.
///
/// # Errors
/// [`ErrorKind::Unreachable`], with what each address answered.
///
/// # Cancel safety
/// This function is cancel safe. If it is dropped, so is the attempt under way.
///
/// # Examples
/// ```no_run
/// # async fn dial() -> Result<(), mcp_transport_core::Error> {
/// let stream = mcp_transport_core::loopback::connect(8080).await?;
/// # drop(stream);
/// # Ok(())
/// # }
/// ```
pub async fn connect(port: u16) -> Result<TcpStream, Error> {
    connect_first(&[V4, V6], port).await
}

/// Dials a loopback host by the name that the user gave: `localhost`, which is [`connect`], or
/// `127.0.0.1` or `[::1]` alone.
///
/// Names are not looked up, so nobody's DNS can turn `localhost` into another machine.
///
/// # Errors
/// [`ErrorKind::Unreachable`] as [`connect`]; [`ErrorKind::Incompatible`], which no schedule
/// retries, for any other host.
///
/// # Cancel safety
/// This function is cancel safe. If it is dropped, so is the attempt under way.
pub async fn connect_host(host: &str, port: u16) -> Result<TcpStream, Error> {
    match host {
        _ if host.eq_ignore_ascii_case("localhost") => connect(port).await,
        "127.0.0.1" => connect_first(&[V4], port).await,
        "[::1]" | "::1" => connect_first(&[V6], port).await,
        _ => Err(Error::new(ErrorKind::Incompatible).context(format!(
            "{host:?} is no loopback host; dial localhost, 127.0.0.1 or [::1]"
        ))),
    }
}

async fn connect_first(hosts: &[IpAddr], port: u16) -> Result<TcpStream, Error> {
    let mut answers = Vec::with_capacity(hosts.len());
    for &host in hosts {
        let address = SocketAddr::new(host, port);
        match attempt(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => answers.push((address, error)),
        }
    }
    let texts: Vec<_> = answers
        .iter()
        .map(|(address, error)| format!("{address}: {error}"))
        .collect();
    let error = Error::new(ErrorKind::Unreachable).context(texts.join("; "));
    Err(match answers.pop() {
        Some((_, last)) => error.because(last),
        None => error,
    })
}

async fn attempt(address: SocketAddr) -> io::Result<TcpStream> {
    let Ok(connected) = timeout(ATTEMPT_TIMEOUT, TcpStream::connect(address)).await else {
        let text = format!("no answer within {} ms", ATTEMPT_TIMEOUT.as_millis());
        return Err(io::Error::new(io::ErrorKind::TimedOut, text));
    };
    let stream = connected?;
    if is_connected_to_itself(&stream)? {
        return Err(io::Error::new(
            io::ErrorKind::ConnectionRefused,
            "only we ourselves are there",
        ));
    }
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// If nobody listens on a port of the range from which the system chooses for those who dial, it
/// may choose that very port for us, and TCP then connects the socket with itself.
fn is_connected_to_itself(stream: &TcpStream) -> io::Result<bool> {
    Ok(stream.local_addr()? == stream.peer_addr()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_that_met_itself_is_no_peer() {
        let own = std::net::TcpListener::bind((V4, 0)).unwrap();
        let address = own.local_addr().unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        assert!(!is_connected_to_itself(&stream).unwrap());

        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind((V4, 0).into()).unwrap();
        let address = socket.local_addr().unwrap();
        let stream = socket.connect(address).await.unwrap();
        assert!(is_connected_to_itself(&stream).unwrap());
    }
}
