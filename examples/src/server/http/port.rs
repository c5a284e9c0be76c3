//! The port: how it is taken, and who else may have it.

use mcp_transport_core::loopback::Loopback;
use std::io;

/// Takes a port on both loopback families; 0 chooses one.
///
/// # Errors
/// If neither family has it. The text names who holds it, where the operating system tells.
pub fn bind(port: u16) -> io::Result<Loopback> {
    Loopback::bind(port).map_err(|error| match port_holder(port) {
        Some(holder) => {
            let text = format!(
                "port {port} is held by {holder}: end that program, or choose another port with --http-url (and set the same URL in Unity's MCP window)"
            );
            io::Error::new(error.kind(), text)
        }
        None => error,
    })
}

/// Which other process listens on a port, where the operating system tells.
pub fn port_holder(port: u16) -> Option<String> {
    let holds = |it: &listeners::Listener| {
        // We may have the other family, and somebody's outgoing connection may bear the number.
        it.socket.port() == port
            && it.protocol == listeners::Protocol::TCP
            && it.state == listeners::SocketState::Listen
            && it.process.pid != std::process::id()
    };
    let found = listeners::get_all().ok()?.into_iter().find(holds)?;
    let process = found.process;
    Some(format!("{} (process {})", process.name, process.pid))
}
