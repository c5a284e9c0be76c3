//! What a report shows of a command line and an environment: never what opens a door.
#![allow(missing_docs, reason = "a test's name says what it proves")]

use examples::logic::secrets::{hide_args, hide_env, is_secret};

fn shown(args: &[&str]) -> Vec<String> {
    hide_args(args.iter().map(|arg| (*arg).to_owned()))
}

#[test]
fn the_values_of_secret_flags_are_hidden_however_they_are_given() {
    for flag in [
        "--api-key",
        "--api-key-service-token",
        "--unity-instance-token",
        "--client_secret",
        "-password",
    ] {
        assert_eq!(shown(&["x", flag, "s3cret", "y"]), ["x", flag, "***", "y"]);
        // A secret may begin as a flag does.
        assert_eq!(shown(&[flag, "-s3cret"]), [flag, "***"]);
        assert_eq!(
            shown(&[&format!("{flag}=s3=cret")]),
            [format!("{flag}=***")]
        );
    }
    assert_eq!(
        shown(&["--api-key-cache-ttl", "300"]),
        ["--api-key-cache-ttl", "300"]
    );
    assert_eq!(shown(&["--http-port", "8080"]), ["--http-port", "8080"]);
}

#[test]
fn a_url_is_shown_without_who_and_without_what_it_asks() {
    for (url, seen) in [
        ("http://127.0.0.1:8080/mcp", "http://127.0.0.1:8080/mcp"),
        ("https://me:s3cret@host/x", "https://***@host/x"),
        ("https://me:s3/cret@host/x", "https://***@host/x"),
        ("https://host/x?key=s3cret", "https://host/x?***"),
        ("https://host#s3cret", "https://host?***"),
    ] {
        assert_eq!(shown(&[url]), [seen]);
        assert_eq!(
            shown(&[&format!("--api-key-validation-url={url}")]),
            [format!("--api-key-validation-url={seen}")]
        );
    }
}

#[test]
fn only_named_variables_are_shown_and_no_secrets() {
    let vars = [
        ("UNITY_MCP_HTTP_URL", "http://u:p@h"),
        ("UNITY_MCP_API_KEY_SERVICE_TOKEN", "s3cret"),
        ("HOME", "/home/me"),
    ];
    let vars = vars.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let shown: Vec<_> = hide_env(vars, &["UNITY_MCP_"]).into_iter().collect();
    let expected = [
        ("UNITY_MCP_API_KEY_SERVICE_TOKEN", "***"),
        ("UNITY_MCP_HTTP_URL", "http://***@h"),
    ];
    assert_eq!(
        shown,
        expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
}

#[test]
fn a_report_is_no_longer_than_it_need_be() {
    let long = "x".repeat(10_000);
    let shown = hide_args(std::iter::repeat_n(long, 1_000));
    assert!(shown.len() <= 64 && shown[0].len() <= 500);
    assert!(is_secret("X-API-Key") && !is_secret("mode"));
}
