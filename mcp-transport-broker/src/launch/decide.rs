//! What to do about what was found on the port. Pure.

use crate::native::{Hello, NAME, PROTOCOL};

/// What is on the port.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Found {
    /// Nobody listens.
    Nobody,
    /// Somebody who proved to know our token.
    Ours(Hello),
    /// Somebody else, and what that looked like.
    Foreign(String),
}

/// What to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// Take it.
    Adopt(Hello),
    /// Start one.
    Start,
    /// Start one that takes over from the one that runs, which is older.
    Replace(Hello),
    /// Leave it alone, and say so.
    Refuse(String),
}

/// A broker of our version or a newer one that still speaks our dialect is taken as it is.
pub(super) fn decide(found: Found, own_version: &str) -> Step {
    match found {
        Found::Nobody => Step::Start,
        Found::Foreign(what) => Step::Refuse(what),
        Found::Ours(hello) if hello.name != NAME => {
            Step::Refuse(format!("a program that calls itself {:?}", hello.name))
        }
        Found::Ours(hello) if is_older(&hello.version, own_version) => Step::Replace(hello),
        Found::Ours(hello) if hello.protocols.contains(&PROTOCOL) => Step::Adopt(hello),
        Found::Ours(hello) => Step::Refuse(format!(
            "mcp-broker {}, which no longer speaks version {PROTOCOL} of the dialect: update this program",
            hello.version
        )),
    }
}

/// Compares versions by their numbers; what has none is the oldest. What follows a `-` or `+` says
/// nothing here: two builds of one number serve each other's hosts.
fn is_older(one: &str, other: &str) -> bool {
    let numbers = |version: &str| -> Vec<u64> {
        let core = version.split(['-', '+']).next().unwrap_or_default();
        core.split('.')
            .map_while(|part| part.parse().ok())
            .collect()
    };
    numbers(one) < numbers(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(version: &str) -> Hello {
        Hello {
            name: NAME.to_owned(),
            version: version.to_owned(),
            protocols: vec![PROTOCOL],
            pid: 1,
            proof: String::new(),
        }
    }

    #[test]
    fn an_older_broker_is_replaced_and_a_newer_one_is_taken() {
        for (version, is_replaced) in [
            ("0.9.9", true),
            ("0.10.0", false),
            ("0.10.0-beta.1", false),
            ("0.10.1", false),
            ("1.0.0", false),
            ("", true),
        ] {
            let step = decide(Found::Ours(hello(version)), "0.10.0");
            let due = if is_replaced {
                Step::Replace(hello(version))
            } else {
                Step::Adopt(hello(version))
            };
            assert_eq!(step, due, "{version}");
        }
    }

    #[test]
    fn what_is_not_ours_or_speaks_another_dialect_is_left_alone() {
        let what = "an HTTP server".to_owned();
        assert_eq!(
            decide(Found::Foreign(what.clone()), "0.1.0"),
            Step::Refuse(what)
        );
        let newer = Hello {
            protocols: vec![PROTOCOL + 1],
            ..hello("9.0.0")
        };
        assert!(matches!(
            decide(Found::Ours(newer), "0.1.0"),
            Step::Refuse(_)
        ));
        assert_eq!(decide(Found::Nobody, "0.1.0"), Step::Start);
    }
}
