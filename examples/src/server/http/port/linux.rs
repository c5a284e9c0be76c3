//! Who listens on a port, by Linux's own tables. The crate `listeners`, which other systems are asked by, names one process for
//! each socket here, and of several that have inherited one it is the youngest.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Whoever listens on this port, by process, as far as we may look into it.
pub(super) fn holders(port: u16) -> BTreeMap<u32, String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(fs::read_to_string);
    let sockets: Vec<String> = tables
        .iter()
        .flatten()
        .flat_map(|table| listening(table, port))
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
        if let Some(pid) = pid
            && has_one_of(&entry.path(), &sockets)
        {
            let name = fs::read(entry.path().join("comm")).unwrap_or_default();
            holders.insert(pid, printable(&name));
        }
    }
    holders
}

/// The sockets of a table that listen on this port, as a process's descriptors name them. From proc_pid_net(5): the second
/// column is the address, in hexadecimal digits, the fourth the state, the tenth the inode.
fn listening(table: &str, port: u16) -> impl Iterator<Item = String> {
    let ending = format!(":{port:04X}");
    table.lines().filter_map(move |line| {
        let columns: Vec<&str> = line.split_ascii_whitespace().collect();
        let [_, address, _, "0A", _, _, _, _, _, inode, ..] = columns[..] else {
            return None;
        };
        address
            .ends_with(&ending)
            .then(|| format!("socket:[{inode}]"))
    })
}

/// A program chooses its own name, and people read it in a log.
fn printable(name: &[u8]) -> String {
    let name = String::from_utf8_lossy(name);
    let is_plain = |c: &char| c.is_alphanumeric() || c.is_ascii_graphic() || *c == ' ';
    name.chars().filter(is_plain).collect()
}

fn has_one_of(process: &Path, sockets: &[String]) -> bool {
    let open = fs::read_dir(process.join("fd")).into_iter().flatten();
    open.flatten()
        .filter_map(|descriptor| fs::read_link(descriptor.path()).ok())
        .any(|target| sockets.iter().any(|socket| target.as_os_str() == &**socket))
}

#[cfg(test)]
mod tests {
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
        let found: Vec<_> = listening(TABLE, 8080).collect();
        assert_eq!(found, ["socket:[4711]", "socket:[4714]"]);
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
        let found = holders(port);
        for heir in &mut heirs {
            assert_eq!(found.get(&heir.id()).map(String::as_str), Some("cat"));
            drop(heir.stdin.take());
            heir.wait().unwrap();
        }
        assert!(found.contains_key(&std::process::id()));
        let others = holders(port);
        assert!(heirs.iter().all(|heir| !others.contains_key(&heir.id())));
    }
}
