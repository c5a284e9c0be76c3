//! Who gets in, before a byte of a body is read. Pure.
//!
//! On one's own machine it is core's guard: a loopback `Host`, no foreign `Origin`, JSON. Where the server is hosted for
//! users its name is not known here, and a rebound one opens nothing, since no page has a user's key: any `Host` passes
//! unless `--allow-host` names some. The rest is the same.

use http::Request;
use http::header::HOST;
use mcp_transport_core::guard::{Guard, Head, Origin};

pub(super) enum Gate {
    Machine {
        guard: Guard,
        /// Behind a broker: for who comes to this process's own port.
        own: Option<Guard>,
    },
    Users {
        guard: Guard,
        /// As `--allow-host` names them; none = any.
        hosts: Vec<String>,
    },
}

/// What the answer to a request that got in has to mind.
pub(super) struct Passed {
    /// A browser only asks whether it may ask.
    pub(super) preflight: bool,
    /// The origin that must be allowed to read the answer.
    pub(super) cors: Option<String>,
}

/// A port on which nothing listens: with it no origin is taken for our own.
const NOWHERE: u16 = 0;

impl Gate {
    /// `number`: the port that everybody knows; `own`: this process's.
    pub(super) fn of_machine(number: u16, own: u16, origins: &[Origin]) -> Self {
        Self::Machine {
            guard: guard(number, origins),
            own: (own != number).then(|| guard(own, origins)),
        }
    }

    pub(super) fn of_users(origins: &[Origin], hosts: Vec<String>) -> Self {
        Self::Users {
            guard: guard(NOWHERE, origins),
            hosts,
        }
    }

    /// Lets a request in, or says with which status and why not.
    pub(super) fn check<B>(&self, request: &Request<B>) -> Result<Passed, (u16, String)> {
        let method = request.method().as_str();
        let headers = request.headers().iter();
        match self {
            Self::Machine { guard, own } => {
                let head = Head::new(
                    method,
                    headers.map(|(name, value)| (name.as_str(), value.as_bytes())),
                );
                let refusal = match (guard.check(&head), own) {
                    (Ok(()), _) => return Ok(passed(guard, &head)),
                    (Err(_), Some(own)) if own.check(&head).is_ok() => {
                        return Ok(passed(guard, &head));
                    }
                    (Err(refusal), _) => refusal,
                };
                Err((refusal.status(), refusal.to_string()))
            }
            Self::Users { guard, hosts } => {
                let mut named = request.headers().get_all(HOST).iter();
                let host = named.next().and_then(|host| host.to_str().ok());
                let known = host.is_some_and(|host| hosts.is_empty() || is_listed(hosts, host));
                if !known || named.next().is_some() {
                    let why = "refused: the Host header names none of the hosts that --allow-host lists, or is missing";
                    return Err((403, why.to_owned()));
                }
                let own = format!("localhost:{NOWHERE}");
                let head = Head::new(
                    method,
                    headers.map(|(name, value)| match name {
                        &HOST => (name.as_str(), own.as_bytes()),
                        _ => (name.as_str(), value.as_bytes()),
                    }),
                );
                match guard.check(&head) {
                    Ok(()) => Ok(passed(guard, &head)),
                    Err(refusal) => Err((refusal.status(), refusal.to_string())),
                }
            }
        }
    }
}

fn passed(guard: &Guard, head: &Head<'_>) -> Passed {
    Passed {
        preflight: head.is_preflight(),
        cors: guard.cors_origin(head).map(str::to_owned),
    }
}

fn guard(port: u16, origins: &[Origin]) -> Guard {
    let guard = Guard::new(port).max_body(super::MAX_BODY as u64);
    origins.iter().cloned().fold(guard, Guard::allow_origin)
}

/// A name without a port is that host with any.
fn is_listed(hosts: &[String], host: &str) -> bool {
    let bare = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    hosts
        .iter()
        .any(|listed| listed.eq_ignore_ascii_case(host) || listed.eq_ignore_ascii_case(bare))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(gate: &Gate, headers: &[(&str, &str)]) -> u16 {
        let mut request = Request::post("/mcp");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        match gate.check(&request.body(()).unwrap()) {
            Ok(_) => 200,
            Err((status, _)) => status,
        }
    }

    #[test]
    fn a_hosted_server_goes_by_any_name_unless_names_are_listed() {
        let any = Gate::of_users(&[], Vec::new());
        assert_eq!(status(&any, &[("host", "unity.example")]), 200);
        assert_eq!(status(&any, &[]), 403);
        let listed = Gate::of_users(&[], vec!["unity.example".to_owned(), "[::1]:9".to_owned()]);
        assert_eq!(status(&listed, &[("host", "Unity.Example")]), 200);
        assert_eq!(status(&listed, &[("host", "unity.example:8443")]), 200);
        assert_eq!(status(&listed, &[("host", "[::1]:9")]), 200);
        for host in ["evil.example", "unity.example.evil.example", "[::1]:8", ""] {
            assert_eq!(status(&listed, &[("host", host)]), 403, "{host}");
        }
        let twice = [("host", "unity.example"), ("host", "unity.example")];
        assert_eq!(status(&listed, &twice), 403);
    }

    #[test]
    fn a_page_gets_into_a_hosted_server_only_from_a_listed_origin() {
        let gate = Gate::of_users(&["https://app.example".parse().unwrap()], Vec::new());
        let from = |origin| status(&gate, &[("host", "unity.example"), ("origin", origin)]);
        assert_eq!(from("https://app.example"), 200);
        for origin in [
            "https://evil.example",
            "null",
            "http://localhost:8080",
            "http://localhost:0",
        ] {
            let status = from(origin);
            // No page has port 0: that one cannot come.
            assert!(status == 403 || origin.ends_with(":0"), "{origin}");
        }
    }

    #[test]
    fn what_is_no_json_stays_out_of_a_hosted_server_too() {
        let gate = Gate::of_users(&[], Vec::new());
        let form = [
            ("host", "unity.example"),
            ("content-type", "text/plain"),
            ("content-length", "2"),
        ];
        assert_eq!(status(&gate, &form), 415);
    }
}
