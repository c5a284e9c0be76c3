//! How one server of a user's knows another: by a file that only this user can read. Pure.
//!
//! Who finds the port taken makes a secret in a file of a random name, and asks whoever listens to prove that it can read it.
//! So a server leaves nothing on disk, and the file lives for as long as the question. The proof names the address and the
//! version, too: nobody can pass the question on to one of ours that listens elsewhere, and the version is no stranger's word.

use mcp_transport_broker::native;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What a server says of itself.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(in crate::server) struct Hello {
    /// [`NAME`].
    pub(super) name: String,
    /// Its version.
    pub(super) version: String,
    /// Its process.
    pub(super) pid: u32,
    /// Empty where it could not read the file.
    pub(super) proof: String,
}

/// What a server calls itself.
pub(in crate::server) const NAME: &str = "unity_server";

/// Where it is asked.
pub(in crate::server) const PATH: &str = "/hello";

/// The file of a challenge. `None` if that is none: 32 hexadecimal digits.
pub(super) fn file(folder: &Path, challenge: &str) -> Option<PathBuf> {
    let is_one = challenge.len() == 32 && challenge.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_one.then(|| folder.join(format!("unity-{challenge}.token")))
}

/// The challenge in a request's query.
pub(super) fn challenge(query: Option<&str>) -> Option<&str> {
    query?
        .split('&')
        .find_map(|one| one.strip_prefix("challenge="))
}

/// Proves that who says this knows the secret.
pub(super) fn prove(secret: &str, version: &str, at: At<'_>, challenge: &str) -> String {
    native::proof(secret, at.port, &asked(version, at, challenge))
}

/// Whether this is what [`prove`] says. Compared in constant time.
pub(super) fn is_proved(hello: &Hello, secret: &str, at: At<'_>, challenge: &str) -> bool {
    let asked = asked(&hello.version, at, challenge);
    hello.name == NAME && native::is_proof(&hello.proof, secret, at.port, &asked)
}

/// The address where somebody listens, as both ends of a connection see it.
#[derive(Clone, Copy, Debug)]
pub(super) struct At<'a> {
    pub(super) host: &'a str,
    pub(super) port: u16,
}

/// A broker's nonces are hexadecimal digits, so none of its proofs can be taken for one of these.
fn asked(version: &str, at: At<'_>, challenge: &str) -> String {
    format!("{NAME} {version} {} {challenge}", at.host)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHALLENGE: &str = "00112233445566778899aabbccddeeff";

    fn said(at: At<'_>) -> Hello {
        Hello {
            name: NAME.to_owned(),
            version: "1.0".to_owned(),
            pid: 1,
            proof: prove("secret", "1.0", at, CHALLENGE),
        }
    }

    #[test]
    fn a_proof_holds_for_its_secret_address_version_and_challenge_alone() {
        let here = At {
            host: "127.0.0.1",
            port: 8_080,
        };
        let hello = said(here);
        assert!(is_proved(&hello, "secret", here, CHALLENGE));
        assert!(!is_proved(&hello, "other", here, CHALLENGE));
        assert!(!is_proved(
            &hello,
            "secret",
            At {
                port: 8_081,
                ..here
            },
            CHALLENGE
        ));
        let there = At {
            host: "[::1]",
            ..here
        };
        assert!(!is_proved(&hello, "secret", there, CHALLENGE));
        assert!(!is_proved(
            &hello,
            "secret",
            here,
            &CHALLENGE.replace('0', "1")
        ));
        let older = Hello {
            version: "0.9".to_owned(),
            ..hello.clone()
        };
        assert!(!is_proved(&older, "secret", here, CHALLENGE));
        let mute = Hello {
            proof: String::new(),
            ..hello
        };
        assert!(!is_proved(&mute, "secret", here, CHALLENGE));
    }

    #[test]
    fn a_challenge_names_no_other_file() {
        let folder = Path::new("/state");
        assert!(file(folder, CHALLENGE).is_some());
        for bad in [
            "",
            "../../etc/passwd",
            "00112233445566778899aabbccddee/f",
            &"a".repeat(33),
        ] {
            assert_eq!(file(folder, bad), None, "{bad}");
        }
        assert_eq!(challenge(Some("a=b&challenge=cd")), Some("cd"));
        assert_eq!(challenge(Some("a=b")), None);
    }
}
