//! Who accepts on sockets that outlived an owner, and what is a file of ours. Pure.

/// What is known of the port's next owner.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::server) enum Answered {
    /// Nobody has answered so far.
    NotYet,
    /// One to whom we can relay.
    OneOfUs,
    /// Somebody else, nobody, or one that says nothing.
    Other,
}

/// What an heir does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::server) enum Next {
    /// Accept on the sockets: the port is ours.
    Accept,
    /// Try for the right again, in a moment.
    Wait,
    /// Relay to whoever accepts on them, and stay an heir.
    Relay,
    /// Close them. Whoever has the right does not answer, and a socket that we hold would keep the port from everybody.
    LetGo,
}

/// Decides for one that holds the sockets of an owner that is gone.
///
/// | the right | who answers at the port | |
/// |---|---|---|
/// | is ours | whoever | accept |
/// | is another's | nobody yet | wait |
/// | is another's | one of us | relay |
/// | is another's | somebody else, or nobody in time | let go |
pub(in crate::server) const fn next(is_ours: bool, answered: Answered) -> Next {
    match (is_ours, answered) {
        (true, _) => Next::Accept,
        (false, Answered::NotYet) => Next::Wait,
        (false, Answered::OneOfUs) => Next::Relay,
        (false, Answered::Other) => Next::LetGo,
    }
}

/// The file of a Unix-domain socket of this name; `None` if that is none: 16 hexadecimal digits. Their paths have to be short.
#[cfg_attr(
    not(any(unix, test)),
    expect(dead_code, reason = "no sockets are passed there")
)]
pub(super) fn file(name: &str) -> Option<String> {
    is_hex(name, 16).then(|| format!("unity-{name}.sock"))
}

/// Whose a folder is, to whom a socket is passed there.
#[cfg(any(unix, test))]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Folder {
    /// Only its user can put something there.
    Ours,
    /// Its group, or everybody, can.
    OpenToOthers,
    /// Somebody else's.
    Anothers,
}

/// By a folder's mode, its owner, and who we are. In one that others can write to, as in `/tmp`, the name of a relay's socket
/// may lead to anything of the same user's that listens. The sticky bit does not help: it keeps names, and not from being made.
#[cfg(any(unix, test))]
pub(super) const fn folder(mode: u32, owner: u32, user: u32) -> Folder {
    if owner != user {
        Folder::Anothers
    } else if mode & 0o022 != 0 {
        Folder::OpenToOthers
    } else {
        Folder::Ours
    }
}

/// Whether a file of this name is one of a question, which lives for as long as that.
pub(super) fn is_left_over(name: &str) -> bool {
    let Some((stem, kind)) = name
        .strip_prefix("unity-")
        .and_then(|rest| rest.split_once('.'))
    else {
        return false;
    };
    match kind {
        "token" => is_hex(stem, 32),
        "sock" => is_hex(stem, 16),
        // One that was being written: `<process>-<number>.tmp`.
        kind => kind.ends_with(".tmp") && is_hex(stem, 32),
    }
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Answered; 3] = [Answered::NotYet, Answered::OneOfUs, Answered::Other];

    #[test]
    fn who_has_the_right_accepts_and_nobody_else_does() {
        for answered in ALL {
            assert_eq!(next(true, answered), Next::Accept);
            assert_ne!(next(false, answered), Next::Accept);
        }
    }

    #[test]
    fn an_heir_keeps_waiting_for_nobody_whose_answer_is_in() {
        for answered in ALL {
            let waits = next(false, answered) == Next::Wait;
            assert_eq!(waits, answered == Answered::NotYet);
        }
        assert_eq!(next(false, Answered::Other), Next::LetGo);
    }

    #[test]
    fn a_name_leads_to_a_file_of_ours_and_to_no_other() {
        assert_eq!(
            file("0123456789abcdef").as_deref(),
            Some("unity-0123456789abcdef.sock")
        );
        for bad in [
            "",
            "../0123456789abc",
            "0123456789abcdeg",
            "0123456789abcdef0",
        ] {
            assert_eq!(file(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_folder_is_ours_that_is_our_users_and_that_nobody_else_writes_to() {
        for ours in [0o700, 0o750, 0o755, 0o40700] {
            assert_eq!(folder(ours, 1_000, 1_000), Folder::Ours);
            assert_eq!(folder(ours, 0, 1_000), Folder::Anothers);
        }
        for open in [0o770, 0o775, 0o702, 0o777, 0o1777] {
            assert_eq!(folder(open, 1_000, 1_000), Folder::OpenToOthers);
        }
    }

    #[test]
    fn only_files_of_questions_are_swept() {
        let token = format!("unity-{}.token", "0a".repeat(16));
        let half = format!("unity-{}.4242-0.tmp", "0a".repeat(16));
        for ours in [&*token, &*half, "unity-0123456789abcdef.sock"] {
            assert!(is_left_over(ours), "{ours}");
        }
        for other in [
            "broker-8080.token",
            "broker-8080.json",
            "unity-1.token",
            "unity-0123456789abcdef.token",
            "unity.sock",
            "notes.txt",
        ] {
            assert!(!is_left_over(other), "{other}");
        }
    }
}
