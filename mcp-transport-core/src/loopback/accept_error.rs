//! What an error of `accept(2)` means, by platform: pure, so that each platform's table is tested
//! on all of them.
//!
//! From accept(2) of Linux and of the BSDs, and from `AcceptEx` and `accept` of Winsock. Where a
//! code stands in no table, the socket counts as dead: to bind it again costs little, and to insist
//! on a socket that is broken in an unknown way costs the server.

use std::io;

/// What to do about an error of `accept(2)`. None is fatal.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a listener must know what to do about each"
)]
pub enum AcceptError {
    /// One client went away before it was accepted, or a network was down. Go on at once.
    Transient,
    /// Out of file descriptors, buffers or memory. Wait a little and go on; a new socket would not
    /// help, and its port could be lost.
    Exhausted,
    /// The socket is none any more, or broken. Close it, and bind it again.
    Dead,
}

/// Whose error codes they are.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Platform {
    /// Linux and Android.
    Linux,
    /// macOS and the BSDs.
    Bsd,
    /// Windows: Winsock's codes, and those of the system that overlapped calls end with.
    Windows,
}

impl Platform {
    /// The one that this was compiled for.
    pub const CURRENT: Self = if cfg!(windows) {
        Self::Windows
    } else if cfg!(any(target_os = "linux", target_os = "android")) {
        Self::Linux
    } else {
        Self::Bsd
    };
}

impl AcceptError {
    /// Classifies an error: by its code, or by its kind if it has none.
    pub fn classify(error: &io::Error, platform: Platform) -> Self {
        match error.raw_os_error() {
            Some(code) => Self::of_code(code, platform),
            None => Self::of_kind(error.kind()),
        }
    }

    /// Classifies a platform's error code.
    pub fn of_code(code: i32, platform: Platform) -> Self {
        let (transient, exhausted) = match platform {
            Platform::Linux => (LINUX_TRANSIENT, LINUX_EXHAUSTED),
            Platform::Bsd => (BSD_TRANSIENT, BSD_EXHAUSTED),
            Platform::Windows => (WINDOWS_TRANSIENT, WINDOWS_EXHAUSTED),
        };
        if transient.contains(&code) {
            Self::Transient
        } else if exhausted.contains(&code) {
            Self::Exhausted
        } else {
            Self::Dead
        }
    }

    fn of_kind(kind: io::ErrorKind) -> Self {
        match kind {
            io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
            | io::ErrorKind::TimedOut
            | io::ErrorKind::WouldBlock => Self::Transient,
            io::ErrorKind::OutOfMemory => Self::Exhausted,
            _ => Self::Dead,
        }
    }
}

/// Whether a bind failed because somebody else has the port.
pub(super) fn is_port_taken(error: &io::Error, platform: Platform) -> bool {
    // Windows says "no access" if the other one has it exclusively, or the system reserves it.
    let is_exclusive = platform == Platform::Windows && error.raw_os_error() == Some(WSAEACCES);
    error.kind() == io::ErrorKind::AddrInUse || is_exclusive
}

/// Whether a bind failed because the machine lacks the family.
pub(super) fn is_absent(error: &io::Error, platform: Platform) -> bool {
    let unsupported: &[i32] = match platform {
        Platform::Linux => &[97, 93],         // EAFNOSUPPORT, EPROTONOSUPPORT
        Platform::Bsd => &[47, 43],           // the same
        Platform::Windows => &[10047, 10043], // WSAEAFNOSUPPORT, WSAEPROTONOSUPPORT
    };
    error.kind() == io::ErrorKind::AddrNotAvailable
        || error
            .raw_os_error()
            .is_some_and(|code| unsupported.contains(&code))
}

/// Linux also hands on what happened to the connection before it was accepted.
const LINUX_TRANSIENT: &[i32] = &[
    1,   // EPERM: a firewall forbids this client
    4,   // EINTR
    11,  // EAGAIN
    64,  // ENONET
    71,  // EPROTO
    92,  // ENOPROTOOPT
    95,  // EOPNOTSUPP
    100, // ENETDOWN
    101, // ENETUNREACH
    103, // ECONNABORTED
    104, // ECONNRESET
    110, // ETIMEDOUT
    112, // EHOSTDOWN
    113, // EHOSTUNREACH
];

const LINUX_EXHAUSTED: &[i32] = &[
    12,  // ENOMEM
    23,  // ENFILE
    24,  // EMFILE
    105, // ENOBUFS
];

const BSD_TRANSIENT: &[i32] = &[
    4,   // EINTR
    35,  // EAGAIN
    50,  // ENETDOWN
    51,  // ENETUNREACH
    53,  // ECONNABORTED
    54,  // ECONNRESET
    60,  // ETIMEDOUT
    64,  // EHOSTDOWN
    65,  // EHOSTUNREACH
    100, // EPROTO (macOS)
];

const BSD_EXHAUSTED: &[i32] = &[
    12, // ENOMEM
    23, // ENFILE
    24, // EMFILE
    55, // ENOBUFS
];

const WINDOWS_TRANSIENT: &[i32] = &[
    64,    // ERROR_NETNAME_DELETED: the client reset before the accept was done
    121,   // ERROR_SEM_TIMEOUT
    1236,  // ERROR_CONNECTION_ABORTED
    10004, // WSAEINTR
    10035, // WSAEWOULDBLOCK
    10050, // WSAENETDOWN
    10051, // WSAENETUNREACH
    10052, // WSAENETRESET
    10053, // WSAECONNABORTED
    10054, // WSAECONNRESET
    10060, // WSAETIMEDOUT
    10064, // WSAEHOSTDOWN
    10065, // WSAEHOSTUNREACH
];

const WINDOWS_EXHAUSTED: &[i32] = &[
    4,     // ERROR_TOO_MANY_OPEN_FILES
    8,     // ERROR_NOT_ENOUGH_MEMORY
    14,    // ERROR_OUTOFMEMORY
    1450,  // ERROR_NO_SYSTEM_RESOURCES
    1453,  // ERROR_WORKING_SET_QUOTA
    1816,  // ERROR_NOT_ENOUGH_QUOTA
    10024, // WSAEMFILE
    10055, // WSAENOBUFS
];

const WSAEACCES: i32 = 10013;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_kept_exclusively_is_taken_on_windows_and_forbidden_elsewhere() {
        let error = io::Error::from_raw_os_error(WSAEACCES);
        assert!(is_port_taken(&error, Platform::Windows));
        assert!(!is_port_taken(&error, Platform::Linux));
        assert!(is_port_taken(
            &io::ErrorKind::AddrInUse.into(),
            Platform::Linux
        ));
    }

    #[test]
    fn every_platform_says_in_its_own_code_that_it_lacks_a_family() {
        for (platform, code) in [
            (Platform::Linux, 97),
            (Platform::Bsd, 47),
            (Platform::Windows, 10047),
        ] {
            assert!(
                is_absent(&io::Error::from_raw_os_error(code), platform),
                "{platform:?}"
            );
            assert!(
                !is_absent(&io::Error::from_raw_os_error(24), platform),
                "{platform:?}"
            );
        }
    }
}
