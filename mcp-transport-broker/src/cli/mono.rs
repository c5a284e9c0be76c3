//! How an editor calls its runtime, when our path stands where the runtime's should. Pure.
//!
//! The Funplay plugin (0.6.2) starts its broker as `<runtime> <folder>/keepalive-broker.exe --port N
//! --token T`, after having it compiled by `<runtime> <mcs.exe> -nologo -target:exe -out:"X" "Y"`. Its
//! setting "Broker Mono Path" takes any program that is there. So we answer to both.

use std::ffi::OsString;
use std::path::PathBuf;

/// What an editor wants of its runtime.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Mono {
    /// Compile the broker: `out` must be there afterwards.
    Compile { out: PathBuf },
    /// Run the broker.
    Run {
        /// The program that would have been run; its folder has the editor's record.
        program: PathBuf,
        port: u16,
        token: String,
    },
}

/// Whether these arguments, without our own name, are such a call.
pub(crate) fn read(arguments: &[OsString]) -> Option<Mono> {
    let (program, rest) = arguments.split_first()?;
    let program = PathBuf::from(program);
    if !program.extension()?.eq_ignore_ascii_case("exe") {
        return None;
    }
    let rest: Vec<&str> = rest.iter().map(|one| one.to_str()).collect::<Option<_>>()?;
    if let Some(out) = rest.iter().find_map(|one| one.strip_prefix("-out:")) {
        return Some(Mono::Compile {
            out: PathBuf::from(out.trim_matches('"')),
        });
    }
    let value = |flag: &str| {
        let at = rest.iter().position(|one| *one == flag)?;
        rest.get(at + 1).copied()
    };
    Some(Mono::Run {
        program,
        // What the plugin's own broker does with a port that is none.
        port: value("--port")
            .and_then(|port| port.parse().ok())
            .unwrap_or(crate::run::DEFAULT_PORT),
        token: value("--token").unwrap_or_default().to_owned(),
    })
}

/// The editor's record of its broker: process, port, token, protocol, a line each.
pub(crate) fn record(pid: u32, port: u16, token: &str) -> String {
    format!("{pid}\n{port}\n{token}\n{FUNPLAY_PROTOCOL}\n")
}

const FUNPLAY_PROTOCOL: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn call(arguments: &[&str]) -> Option<Mono> {
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        read(&arguments)
    }

    #[test]
    fn the_editors_call_of_its_runtime_is_understood() {
        assert_eq!(
            call(&[
                "/p/Broker/keepalive-broker.exe",
                "--port",
                "20001",
                "--token",
                "t"
            ]),
            Some(Mono::Run {
                program: PathBuf::from("/p/Broker/keepalive-broker.exe"),
                port: 20_001,
                token: "t".to_owned(),
            })
        );
        assert_eq!(
            call(&[
                "/m/mcs.exe",
                "-nologo",
                "-target:exe",
                "-out:\"/p/k.exe\"",
                "\"/p/k.cs\""
            ]),
            Some(Mono::Compile {
                out: PathBuf::from("/p/k.exe")
            })
        );
    }

    #[test]
    fn our_own_flags_are_no_such_call() {
        assert_eq!(call(&[]), None);
        assert_eq!(call(&["--port", "1"]), None);
        assert_eq!(call(&["status"]), None);
    }

    #[test]
    fn a_port_that_is_none_becomes_the_usual_one() {
        let Some(Mono::Run { port, token, .. }) = call(&["a.exe", "--port", "x"]) else {
            panic!("a call");
        };
        assert_eq!((port, token.as_str()), (8765, ""));
    }
}
