//! Who listens on a port, by Linux's own tables. The crate `listeners`, which other systems are asked by, names one process for
//! each socket here, and of several that have inherited one it is the youngest.

use super::{Holder, keeps};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

/// Whoever keeps one of these addresses of a port, by process, as far as we may look into it.
pub(super) fn holders(port: u16, wanted: &[IpAddr]) -> BTreeMap<u32, Holder> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(fs::read_to_string);
    let sockets: BTreeSet<String> = tables
        .iter()
        .flatten()
        .flat_map(|table| listening(table, port))
        .filter(|(address, _)| wanted.iter().any(|one| keeps(*address, *one)))
        .map(|(_, socket)| socket)
        .collect();
    let mut holders = BTreeMap::new();
    if sockets.is_empty() {
        return holders;
    }
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        let Some(pid) = pid else { continue };
        let open = open_of(&entry.path(), &sockets);
        if !open.is_empty() {
            let name = fs::read(entry.path().join("comm")).unwrap_or_default();
            let holder = Holder {
                name: printable(&name),
                sockets: open,
            };
            holders.insert(pid, holder);
        }
    }
    holders
}

/// The sockets of a table that listen on this port: on which address, and as a process's descriptors name them. From
/// proc_pid_net(5): the second column is the address, in hexadecimal digits, the fourth the state, the tenth the inode.
fn listening(table: &str, port: u16) -> impl Iterator<Item = (IpAddr, String)> {
    let ending = format!(":{port:04X}");
    table.lines().filter_map(move |line| {
        let columns: Vec<&str> = line.split_ascii_whitespace().collect();
        let [_, address, _, "0A", _, _, _, _, _, inode, ..] = columns[..] else {
            return None;
        };
        let address = parsed(address.strip_suffix(&ending)?)?;
        Some((address, format!("socket:[{inode}]")))
    })
}

/// An address of a table: words of 32 bits, each the number that its bytes are on this machine.
fn parsed(address: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        let digits = address.get(at * 8..at * 8 + 8)?;
        u32::from_str_radix(digits, 16).ok().map(u32::to_ne_bytes)
    };
    match address.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?];
            let bytes = <[u8; 16]>::try_from(words.as_flattened()).ok()?;
            Some(Ipv6Addr::from(bytes).into())
        }
        _ => None,
    }
}

/// A program chooses its own name, and people read it in a log.
fn printable(name: &[u8]) -> String {
    let name = String::from_utf8_lossy(name);
    let is_plain = |c: &char| c.is_alphanumeric() || c.is_ascii_graphic() || *c == ' ';
    name.chars().filter(is_plain).collect()
}

/// Which of these sockets a process has.
fn open_of(process: &Path, sockets: &BTreeSet<String>) -> BTreeSet<String> {
    let open = fs::read_dir(process.join("fd")).into_iter().flatten();
    open.flatten()
        .filter_map(|descriptor| fs::read_link(descriptor.path()).ok())
        .filter_map(|target| sockets.get(target.to_str()?).cloned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::{LOOPBACK, share};
    use super::*;
    use rustix::io::{FdFlags, fcntl_setfd};
    use std::net::TcpListener;
    use std::process::{Child, Command, Stdio};

    const TABLE: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0000000000000000 100 0 0 10 0
   1: 0100007F:1F90 0100007F:C001 01 00000000:00000000 00:00000000 00000000  1000        0 4712 1 0000000000000000 20 4 30 10 -1
   2: 0100007F:C001 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1000        0 4713 1 0000000000000000 20 4 30 10 -1
   3: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4714 1 0 100 0 0 10 0
   4: 0100007F:1F91 00000000:0000 0A";

    #[test]
    fn of_a_table_those_sockets_count_that_listen_on_the_port() {
        let found: Vec<_> = listening(TABLE, 8080)
            .map(|(address, socket)| (address.to_string(), socket))
            .collect();
        let found: Vec<_> = found.iter().map(|(at, it)| (&**at, &**it)).collect();
        assert_eq!(
            found,
            [("127.0.0.1", "socket:[4711]"), ("::1", "socket:[4714]")]
        );
        assert_eq!(listening(TABLE, 8081).count(), 0);
        assert_eq!(listening(TABLE, 0xC001).count(), 0);
    }

    #[test]
    fn no_program_writes_into_a_log_by_its_name() {
        assert_eq!(printable(b"cat\n"), "cat");
        assert_eq!(printable(b"a\x1b[2J \xc3\xbc\n\xff\n"), "a[2J ü");
        assert_eq!(printable("a\u{202e}b\u{2028}c".as_bytes()), "abc");
    }

    /// Ends with the end of its standard input.
    fn heir() -> Child {
        let mut command = Command::new("cat");
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        command.spawn().unwrap()
    }

    #[test]
    fn whoever_has_inherited_the_socket_holds_the_port_too() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        fcntl_setfd(&socket, FdFlags::empty()).unwrap();
        let mut heirs = [heir(), heir()];
        fcntl_setfd(&socket, FdFlags::CLOEXEC).unwrap();
        let found = holders(port, &LOOPBACK);
        // The heirs have the one that listens for them all; we have it, too.
        assert!(share(&found), "{found:?}");
        for heir in &mut heirs {
            assert_eq!(found.get(&heir.id()).map(|it| &*it.name), Some("cat"));
            drop(heir.stdin.take());
            heir.wait().unwrap();
        }
        assert!(found.contains_key(&std::process::id()));
        let others = holders(port, &LOOPBACK);
        assert!(heirs.iter().all(|heir| !others.contains_key(&heir.id())));
    }

    #[test]
    fn who_has_the_port_on_another_address_does_not_hold_ours() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let [v4, v6] = LOOPBACK.map(|address| holders(port, &[address]));
        let id = std::process::id();
        assert!(v4.contains_key(&id) && !v6.contains_key(&id));
    }
}
