//! The port: how it is taken, and who else may have it.

#[cfg(target_os = "linux")]
mod linux;

#[cfg(target_os = "linux")]
use linux::holders;
use mcp_transport_core::loopback::Loopback;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The addresses by which this machine's own programs come.
pub const LOOPBACK: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::LOCALHOST),
    IpAddr::V6(Ipv6Addr::LOCALHOST),
];

/// Takes a port on both loopback families; 0 chooses one.
///
/// # Errors
/// If neither family has it. The text names who holds it, where the operating system tells.
pub fn bind(port: u16) -> io::Result<Loopback> {
    Loopback::bind(port).map_err(|error| match port_holder(port, &LOOPBACK) {
        Some(holder) => {
            let text = format!(
                "port {port} is held by {holder}: end that program, or choose another port with --http-url (and set the same URL in Unity's MCP window)"
            );
            io::Error::new(error.kind(), text)
        }
        None => error,
    })
}

/// Which other processes listen on a port so that one of these addresses is not to be had there, where the operating system
/// tells. There may be several: a socket can be inherited, as by the servers that relay to the one that has the port, and
/// nothing tells which of them accepts.
pub fn port_holder(port: u16, wanted: &[IpAddr]) -> Option<String> {
    let mut holders = holders(port, wanted);
    // We may have the other family.
    holders.remove(&std::process::id());
    named(&holders)
}

/// A process that listens.
#[derive(Debug, Default)]
struct Holder {
    name: String,
    /// What tells its sockets from others.
    sockets: BTreeSet<String>,
}

/// Whether a socket that listens on an address keeps this one of the same port from others.
fn keeps(bound: IpAddr, wanted: IpAddr) -> bool {
    let (bound, wanted) = (bound.to_canonical(), wanted.to_canonical());
    // One of IPv6 may listen for IPv4 as well.
    let covers = |all: IpAddr, one: IpAddr| {
        all.is_unspecified() && (all.is_ipv6() || all.is_ipv4() == one.is_ipv4())
    };
    bound == wanted || covers(bound, wanted) || covers(wanted, bound)
}

/// So many processes are named.
const NAMED: usize = 8;

/// In words; `None` for nobody. Those of one program go together.
fn named(holders: &BTreeMap<u32, Holder>) -> Option<String> {
    let mut programs: Vec<(&str, Vec<String>)> = Vec::new();
    for (pid, Holder { name, .. }) in holders.iter().take(NAMED) {
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
    let together = match holders.len() {
        0 | 1 => "",
        _ if share(holders) => ", which share it",
        _ => ", each of which listens there",
    };
    (!each.is_empty()).then(|| listed(&each) + together)
}

/// Whether all have one socket in common.
fn share(holders: &BTreeMap<u32, Holder>) -> bool {
    let mut all = holders.values().map(|holder| &holder.sockets);
    let Some(first) = all.next() else {
        return false;
    };
    let common = all.fold(first.clone(), |common, sockets| &common & sockets);
    !common.is_empty()
}

fn listed(all: &[String]) -> String {
    match all {
        [before @ .., last] if !before.is_empty() => format!("{} and {last}", before.join(", ")),
        _ => all.concat(),
    }
}

/// Whoever keeps one of these addresses of a port, by process. Who listens on the same address does so by the same socket, as
/// far as can be told here.
#[cfg(not(target_os = "linux"))]
fn holders(port: u16, wanted: &[IpAddr]) -> BTreeMap<u32, Holder> {
    let holds = |it: &listeners::Listener| {
        // Somebody's outgoing connection may bear the number.
        it.socket.port() == port
            && it.protocol == listeners::Protocol::TCP
            && it.state == listeners::SocketState::Listen
            && wanted.iter().any(|one| keeps(it.socket.ip(), *one))
    };
    let mut holders = BTreeMap::<u32, Holder>::new();
    let all = listeners::get_all().unwrap_or_default().into_iter();
    for it in all.filter(holds) {
        let holder = holders.entry(it.process.pid).or_default();
        holder.name = it.process.name;
        holder.sockets.insert(it.socket.to_string());
    }
    holders
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of all of them by their sockets.
    fn text(holders: &[(u32, &str, &[&str])]) -> Option<String> {
        let holders = holders.iter().map(|&(pid, name, sockets)| {
            let sockets = sockets.iter().map(|&socket| socket.to_owned()).collect();
            let name = name.to_owned();
            (pid, Holder { name, sockets })
        });
        named(&holders.collect())
    }

    #[test]
    fn whoever_has_a_port_is_named_and_whether_they_share_it() {
        assert_eq!(text(&[]), None);
        for (holders, said) in [
            (&[(7, "node", &["v4"][..])][..], "node (process 7)"),
            (
                &[
                    (7, "unity_server", &["v4", "v6"]),
                    (9, "unity_server", &["v4"]),
                ],
                "unity_server (processes 7 and 9), which share it",
            ),
            (
                &[(7, "python3", &["v4"]), (9, "node", &["v6"])],
                "python3 (process 7) and node (process 9), each of which listens there",
            ),
            (
                &[
                    (7, "a", &["1"]),
                    (8, "b", &["1"]),
                    (9, "a", &["1"]),
                    (10, "a", &["2"]),
                ],
                "a (processes 7, 9 and 10) and b (process 8), each of which listens there",
            ),
        ] {
            assert_eq!(text(holders).as_deref(), Some(said));
        }
        let many: Vec<_> = (1..=11).map(|pid| (pid, "a", &["1"][..])).collect();
        let said = text(&many).unwrap();
        assert_eq!(
            said,
            "a (processes 1, 2, 3, 4, 5, 6, 7 and 8) and 3 more, which share it"
        );
    }

    #[test]
    fn an_address_is_kept_by_itself_and_by_one_that_is_all() {
        let kept = |wanted: &str, bound: &str| {
            let [wanted, bound] = [wanted, bound].map(|it| it.parse().unwrap());
            keeps(bound, wanted)
        };
        for (bound, by_v4, by_v6) in [
            ("127.0.0.1", true, false),
            ("::ffff:127.0.0.1", true, false),
            ("0.0.0.0", true, false),
            ("::1", false, true),
            ("::", true, true),
            ("127.0.0.2", false, false),
            ("192.168.0.1", false, false),
            ("fe80::1", false, false),
        ] {
            let found = (kept("127.0.0.1", bound), kept("::1", bound));
            assert_eq!(found, (by_v4, by_v6), "{bound}");
        }
        // Who wants all is kept from it by each one.
        assert!(kept("0.0.0.0", "192.168.0.1") && !kept("0.0.0.0", "fe80::1"));
    }
}
