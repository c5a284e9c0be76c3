//! What a report may show of how this program was started: names, never what opens a door. Pure.

use std::collections::BTreeMap;

/// Parts of names whose values are secrets.
const SECRET: &[&str] = &[
    "token",
    "secret",
    "password",
    "passwd",
    "apikey",
    "credential",
    "auth",
    "cookie",
    "private",
];
/// What is shown instead of a secret.
const HIDDEN: &str = "***";

/// Command lines are cut here, and values.
const ARGUMENTS: usize = 64;
const CHARS: usize = 500;

/// The command line with the values of secret flags hidden, and the users of URLs.
///
/// ```
/// use examples::logic::secrets::hide_args;
///
/// let args = ["server", "--api-key-service-token", "s3cret", "--http-url=http://me:pw@localhost"];
/// let shown = hide_args(args.map(str::to_owned));
/// assert_eq!(shown[2], "***");
/// assert_eq!(shown[3], "--http-url=http://***@localhost");
/// ```
pub fn hide_args(args: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut hide_next = false;
    let hide = |arg: String| {
        if std::mem::take(&mut hide_next) {
            // A flag that takes a value takes the next argument, whatever it begins with.
            return HIDDEN.to_owned();
        }
        match arg.split_once('=') {
            Some((name, _)) if name.starts_with('-') && is_secret(name) => {
                format!("{name}={HIDDEN}")
            }
            Some((name, value)) if name.starts_with('-') => format!("{name}={}", hide_value(value)),
            _ => {
                hide_next = arg.starts_with('-') && is_secret(&arg);
                hide_value(&arg)
            }
        }
    };
    args.into_iter().take(ARGUMENTS).map(hide).collect()
}

/// The variables of the environment whose names begin with one of these, with secrets hidden.
pub fn hide_env(
    vars: impl IntoIterator<Item = (String, String)>,
    prefixes: &[&str],
) -> BTreeMap<String, String> {
    let ours = vars
        .into_iter()
        .filter(|(name, _)| prefixes.iter().any(|prefix| name.starts_with(prefix)));
    ours.map(|(name, value)| {
        let value = match is_secret(&name) {
            true => HIDDEN.to_owned(),
            false => hide_value(&value),
        };
        (name, value)
    })
    .collect()
}

/// Whether the value of this flag, variable or field is nobody's business.
pub fn is_secret(name: &str) -> bool {
    let name: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect::<String>()
        .to_ascii_lowercase();
    // A time to live and a URL are none, whatever they are of.
    let harmless = name.ends_with("ttl") || name.ends_with("url");
    !harmless && SECRET.iter().any(|word| name.contains(word))
}

/// A value without the user and password of URLs, and without what their queries say.
fn hide_value(value: &str) -> String {
    // Hidden first: a cut could take away what tells a password.
    let shown = without_credentials(value);
    shown.chars().take(CHARS).collect()
}

fn without_credentials(value: &str) -> String {
    let Some((scheme, rest)) = value.split_once("://") else {
        return value.to_owned();
    };
    let rest = match rest.rsplit_once('@') {
        // A password with a slash in it is no part of the path.
        Some((_, host)) => format!("{HIDDEN}@{host}"),
        None => rest.to_owned(),
    };
    let rest = match rest.find(['?', '#']) {
        Some(at) => format!("{}?{HIDDEN}", &rest[..at]),
        None => rest,
    };
    format!("{scheme}://{rest}")
}
