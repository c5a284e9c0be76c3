//! The port: how it is taken, and who else may have it.

#[cfg(target_os = "linux")]
mod linux;

#[cfg(target_os = "linux")]
use linux::holders;
use mcp_transport_core::loopback::Loopback;
use std::collections::BTreeMap;
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

/// Which other processes listen on a port, where the operating system tells. There may be several: a socket can be inherited,
/// as by the servers that relay to the one that has the port, and nothing tells which of them accepts.
pub fn port_holder(port: u16) -> Option<String> {
    let mut holders = holders(port);
    // We may have the other family.
    holders.remove(&std::process::id());
    named(&holders)
}

/// So many processes are named.
const NAMED: usize = 8;

/// In words; `None` for nobody. Those of one program go together.
fn named(holders: &BTreeMap<u32, String>) -> Option<String> {
    let mut programs: Vec<(&str, Vec<String>)> = Vec::new();
    for (pid, name) in holders.iter().take(NAMED) {
        match programs.iter_mut().find(|(program, _)| program == name) {
            Some((_, pids)) => pids.push(pid.to_string()),
            None => programs.push((name, vec![pid.to_string()])),
        }
    }
    let mut each: Vec<String> = programs
        .into_iter()
        .map(|(program, pids)| match &pids[..] {
            [one] => format!("{program} (process {one})"),
            _ => format!("{program} (processes {})", listed(&pids)),
        })
        .collect();
    if holders.len() > NAMED {
        each.push(format!("{} more", holders.len() - NAMED));
    }
    let share = if holders.len() > 1 {
        ", which share it"
    } else {
        ""
    };
    (!each.is_empty()).then(|| listed(&each) + share)
}

fn listed(all: &[String]) -> String {
    match all {
        [before @ .., last] if !before.is_empty() => format!("{} and {last}", before.join(", ")),
        _ => all.concat(),
    }
}

/// Whoever listens on this port, by process.
#[cfg(not(target_os = "linux"))]
fn holders(port: u16) -> BTreeMap<u32, String> {
    let holds = |it: &listeners::Listener| {
        // Somebody's outgoing connection may bear the number.
        it.socket.port() == port
            && it.protocol == listeners::Protocol::TCP
            && it.state == listeners::SocketState::Listen
    };
    let all = listeners::get_all().unwrap_or_default().into_iter();
    all.filter(holds)
        .map(|it| (it.process.pid, it.process.name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(holders: &[(u32, &str)]) -> Option<String> {
        let holders = holders.iter().map(|&(pid, name)| (pid, name.to_owned()));
        named(&holders.collect())
    }

    #[test]
    fn whoever_shares_a_port_is_named() {
        assert_eq!(text(&[]), None);
        for (holders, said) in [
            (&[(7, "node")][..], "node (process 7)"),
            (
                &[(7, "unity_server"), (9, "unity_server")],
                "unity_server (processes 7 and 9), which share it",
            ),
            (
                &[(7, "a"), (8, "b"), (9, "a"), (10, "a")],
                "a (processes 7, 9 and 10) and b (process 8), which share it",
            ),
        ] {
            assert_eq!(text(holders).as_deref(), Some(said));
        }
        let many: Vec<_> = (1..=11).map(|pid| (pid, "a")).collect();
        let said = text(&many).unwrap();
        assert_eq!(
            said,
            "a (processes 1, 2, 3, 4, 5, 6, 7 and 8) and 3 more, which share it"
        );
    }
}
