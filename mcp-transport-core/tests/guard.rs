#![allow(missing_docs, reason = "tests")]

use mcp_transport_core::guard::{
    Guard, Head, MAX_BODY, MAX_HEAD, NotAToken, Origin, Refusal, Token,
};
use proptest::prelude::*;

const PORT: u16 = 8080;
const HOST: Refusal = Refusal::Host { port: PORT };
const JSON: &str = "application/json";

type Headers<'a> = &'a [(&'a str, &'a str)];

fn check(guard: &Guard, method: &str, headers: Headers<'_>) -> Result<(), Refusal> {
    guard.check(&Head::new(
        method,
        headers.iter().map(|(name, value)| (*name, *value)),
    ))
}

fn at(host: &str) -> (&str, &str) {
    ("host", host)
}

fn from(origin: &str) -> (&str, &str) {
    ("origin", origin)
}

fn typed(content_type: &str) -> (&str, &str) {
    ("content-type", content_type)
}

fn origin(text: &str) -> Origin {
    text.parse().expect("the test names an origin")
}

/// Lets one page in.
fn guard() -> Guard {
    Guard::new(PORT).allow_origin(origin("https://app.example"))
}

#[test]
fn no_page_of_a_foreign_origin_gets_past_its_head() {
    use Refusal::{ContentType, FetchSite, Origin};
    let ours = ("host", "localhost:8080");
    let json = ("content-type", JSON);
    let body = ("content-length", "2");
    let cross = ("sec-fetch-site", "cross-site");
    let upgrade = ("upgrade", "websocket");
    #[rustfmt::skip]
    let cases: &[(&str, &str, Headers<'_>, Refusal)] = &[
        // Origins.
        ("foreign", "POST", &[ours, json, body, from("https://evil.example")], Origin),
        ("null, from a sandbox or a file", "POST", &[ours, json, body, from("null")], Origin),
        ("NULL", "POST", &[ours, json, body, from("NULL")], Origin),
        ("empty", "POST", &[ours, json, body, from("")], Origin),
        ("wildcard", "POST", &[ours, json, body, from("*")], Origin),
        ("our name in front", "GET", &[ours, from("http://localhost.evil.example:8080")], Origin),
        ("our name behind", "GET", &[ours, from("http://evil-localhost:8080")], Origin),
        ("our address in front", "GET", &[ours, from("http://127.0.0.1.nip.io:8080")], Origin),
        ("userinfo", "GET", &[ours, from("http://localhost:8080@evil.example")], Origin),
        ("our port in front", "GET", &[ours, from("http://localhost:80800")], Origin),
        ("another local server", "GET", &[ours, from("http://localhost:3000")], Origin),
        ("local server on 80", "GET", &[ours, from("http://localhost")], Origin),
        ("our port by https", "GET", &[ours, from("https://localhost:8080")], Origin),
        ("trailing slash", "GET", &[ours, from("http://localhost:8080/")], Origin),
        ("trailing dot", "GET", &[ours, from("http://localhost.:8080")], Origin),
        ("two in one", "GET", &[ours, from("http://localhost:8080 https://evil.example")], Origin),
        ("ours and a foreign one", "GET", &[ours, from("http://localhost:8080"), from("https://evil.example")], Origin),
        ("listed, other scheme", "GET", &[ours, from("http://app.example")], Origin),
        ("listed, other port", "GET", &[ours, from("https://app.example:8443")], Origin),
        ("listed, subdomain", "GET", &[ours, from("https://x.app.example")], Origin),
        ("listed, suffix", "GET", &[ours, from("https://app.example.evil.example")], Origin),
        ("listed, prefix", "GET", &[ours, from("https://evilapp.example")], Origin),
        ("an extension", "GET", &[ours, from("chrome-extension://abcdefghijklmnop")], Origin),
        // Rebound names and other hosts.
        ("rebinding", "POST", &[at("evil.example:8080"), json, body], HOST),
        ("rebinding, same origin for the browser", "GET", &[at("evil.example:8080"), ("sec-fetch-site", "same-origin")], HOST),
        ("rebinding, its own origin", "POST", &[at("evil.example:8080"), from("http://evil.example:8080"), json, body], HOST),
        ("no host", "GET", &[], HOST),
        ("empty host", "GET", &[at("")], HOST),
        ("two hosts", "GET", &[ours, at("evil.example")], HOST),
        ("our host twice", "GET", &[ours, ours], HOST),
        ("host look-alike", "GET", &[at("localhost.evil.example:8080")], HOST),
        ("host with wildcard DNS", "GET", &[at("127.0.0.1.nip.io:8080")], HOST),
        ("host with dot", "GET", &[at("localhost.:8080")], HOST),
        ("host with userinfo", "GET", &[at("localhost:8080@evil.example")], HOST),
        ("user at our host", "GET", &[at("user@localhost:8080")], HOST),
        ("decimal address", "GET", &[at("2130706433:8080")], HOST),
        ("hexadecimal address", "GET", &[at("0x7f000001:8080")], HOST),
        ("octal address", "GET", &[at("0177.0.0.1:8080")], HOST),
        ("short address", "GET", &[at("127.1:8080")], HOST),
        ("another loopback address", "GET", &[at("127.0.0.2:8080")], HOST),
        ("any address", "GET", &[at("0.0.0.0:8080")], HOST),
        ("mapped address", "GET", &[at("[::ffff:127.0.0.1]:8080")], HOST),
        ("long IPv6", "GET", &[at("[0:0:0:0:0:0:0:1]:8080")], HOST),
        ("no port", "GET", &[at("localhost")], HOST),
        ("another port", "GET", &[at("localhost:8081")], HOST),
        ("port with zero", "GET", &[at("localhost:08080")], HOST),
        ("empty port", "GET", &[at("localhost:")], HOST),
        ("a list", "GET", &[at("localhost:8080,evil.example")], HOST),
        // Requests that carry no Origin: images, scripts, navigations.
        ("no-cors GET", "GET", &[ours, cross, ("sec-fetch-mode", "no-cors")], FetchSite),
        ("navigation from a page", "GET", &[ours, cross, ("sec-fetch-mode", "navigate")], FetchSite),
        ("another local port's page", "GET", &[ours, ("sec-fetch-site", "same-site")], FetchSite),
        ("unheard of", "GET", &[ours, ("sec-fetch-site", "cross-galaxy")], FetchSite),
        ("none and cross", "GET", &[ours, ("sec-fetch-site", "none"), cross], FetchSite),
        ("our origin, other name", "GET", &[ours, cross, from("http://127.0.0.1:8080")], FetchSite),
        // WebSocket upgrades, for which browsers ask nobody's leave.
        ("upgrade", "GET", &[ours, upgrade, from("https://evil.example")], Origin),
        ("upgrade of a sandbox", "GET", &[ours, upgrade, from("null")], Origin),
        ("upgrade, rebound", "GET", &[at("evil.example:8080"), upgrade, from("http://evil.example:8080")], HOST),
        ("upgrade, cross-site", "GET", &[ours, upgrade, cross], FetchSite),
        // Preflights of pages that nobody listed.
        ("preflight", "OPTIONS", &[ours, from("https://evil.example"), ("access-control-request-method", "POST")], Origin),
        // Bodies that leave a browser without a preflight.
        ("text/plain", "POST", &[ours, body, typed("text/plain")], ContentType),
        ("text/plain, chunked", "POST", &[ours, ("transfer-encoding", "chunked"), typed("text/plain")], ContentType),
        ("JSON as a parameter", "POST", &[ours, body, typed("text/plain; application/json")], ContentType),
        ("form", "POST", &[ours, body, typed("application/x-www-form-urlencoded")], ContentType),
        ("multipart", "POST", &[ours, body, typed("multipart/form-data; boundary=x")], ContentType),
        ("untyped blob", "POST", &[ours, body], ContentType),
        ("two types", "POST", &[ours, body, json, typed("text/plain")], ContentType),
        ("two types in one", "POST", &[ours, body, typed("application/json, text/plain")], ContentType),
        ("look-alike type", "POST", &[ours, body, typed("application/jsonp")], ContentType),
        ("a listed page's form", "POST", &[ours, body, from("https://app.example"), typed("text/plain")], ContentType),
    ];
    for (name, method, headers, refusal) in cases {
        assert_eq!(check(&guard(), method, headers), Err(*refusal), "{name}");
    }
}

#[test]
fn native_clients_own_pages_and_listed_pages_pass() {
    let ours = ("Host", "127.0.0.1:8080");
    let json = ("Content-Type", JSON);
    let body = ("Content-Length", "2");
    #[rustfmt::skip]
    let cases: &[(&str, &str, Headers<'_>)] = &[
        ("POST by address", "POST", &[ours, json, body]),
        ("POST by name", "POST", &[at("localhost:8080"), json, body]),
        ("POST by IPv6", "POST", &[at("[::1]:8080"), json, body]),
        ("any case", "POST", &[("HOST", "LocalHost:8080"), ("CONTENT-TYPE", "Application/JSON"), body]),
        ("parameters", "POST", &[ours, body, typed("application/json; charset=utf-8")]),
        ("chunked", "POST", &[ours, json, ("transfer-encoding", "chunked")]),
        ("POST without body", "POST", &[ours, ("content-length", "0")]),
        ("event stream", "GET", &[ours, ("accept", "text/event-stream")]),
        ("goodbye", "DELETE", &[ours]),
        ("upgrade", "GET", &[ours, ("upgrade", "websocket"), ("connection", "Upgrade")]),
        ("address bar", "GET", &[ours, ("sec-fetch-site", "none")]),
        ("own page", "POST", &[ours, json, body, from("http://127.0.0.1:8080"), ("sec-fetch-site", "same-origin")]),
        ("own page by name", "POST", &[ours, json, body, from("http://localhost:8080")]),
        ("own page by IPv6", "GET", &[ours, from("HTTP://[::1]:8080")]),
        ("listed page", "POST", &[ours, json, body, from("https://app.example"), ("sec-fetch-site", "cross-site")]),
        ("listed page's preflight", "OPTIONS", &[ours, from("https://app.example"), ("access-control-request-method", "POST")]),
    ];
    for (name, method, headers) in cases {
        assert_eq!(check(&guard(), method, headers), Ok(()), "{name}");
    }
}

#[test]
fn only_on_port_80_may_the_port_be_missing() {
    let web = Guard::new(80);
    for host in ["localhost", "127.0.0.1", "[::1]", "localhost:80"] {
        assert_eq!(check(&web, "GET", &[("host", host)]), Ok(()), "{host}");
        assert!(check(&guard(), "GET", &[("host", host)]).is_err(), "{host}");
    }
    let page = [("host", "localhost"), ("origin", "http://localhost")];
    assert_eq!(check(&web, "GET", &page), Ok(()));
    assert_eq!(
        check(&web, "GET", &[("host", "localhost:8080")]),
        Err(Refusal::Host { port: 80 })
    );
}

#[test]
fn whoever_lacks_the_token_is_told_so() {
    let guard = guard().token("s3cret".parse().unwrap());
    let ask = |value| {
        check(
            &guard,
            "GET",
            &[("host", "localhost:8080"), ("authorization", value)],
        )
    };

    assert_eq!(ask("Bearer s3cret"), Ok(()));
    assert_eq!(ask("bearer s3cret"), Ok(()));
    for wrong in [
        "Bearer s3creT",
        "Bearer s3cre",
        "Bearer s3cret2",
        "Bearer ",
        "Bearer",
        "",
        "s3cret",
        "Basic s3cret",
        "Bearers3cret",
        "Bearer s3cret s3cret",
    ] {
        assert_eq!(ask(wrong), Err(Refusal::TokenWrong), "{wrong:?}");
    }
    let none = check(&guard, "GET", &[("host", "localhost:8080")]);
    assert_eq!(none, Err(Refusal::TokenMissing));
    let bearer = ("authorization", "Bearer s3cret");
    let twice = check(&guard, "GET", &[("host", "localhost:8080"), bearer, bearer]);
    assert_eq!(twice, Err(Refusal::TokenWrong));
}

#[test]
fn a_token_does_not_let_a_foreign_page_in() {
    let guard = guard().token("s3cret".parse().unwrap());
    let headers = [
        ("host", "localhost:8080"),
        ("authorization", "Bearer s3cret"),
        ("origin", "https://evil.example"),
    ];
    assert_eq!(check(&guard, "GET", &headers), Err(Refusal::Origin));
}

#[test]
fn only_a_listed_pages_preflight_needs_no_token() {
    let guard = guard().token("s3cret".parse().unwrap());
    let host = ("host", "localhost:8080");
    let listed = ("origin", "https://app.example");
    let own = ("origin", "http://localhost:8080");
    let asks = ("access-control-request-method", "POST");
    let json = [("content-type", JSON), ("content-length", "2")];

    assert_eq!(check(&guard, "OPTIONS", &[host, listed, asks]), Ok(()));
    for (method, headers) in [
        ("OPTIONS", &[host, listed][..]),
        ("OPTIONS", &[host, asks]),
        ("OPTIONS", &[host, own, asks]),
        ("POST", &[host, listed, asks]),
        ("GET", &[host, listed, asks]),
        ("OPTIONS", &[host, listed, asks, json[0], json[1]]),
    ] {
        assert_eq!(
            check(&guard, method, headers),
            Err(Refusal::TokenMissing),
            "{headers:?}"
        );
    }
}

#[test]
fn no_debug_output_shows_the_token() {
    let token: Token = "s3cret".parse().unwrap();
    let guard = guard().token(token.clone());
    let head = Head::new("GET", [("authorization", "Bearer s3cret"), ("host", "x")]);
    for shown in [
        format!("{token:?}"),
        format!("{guard:?}"),
        format!("{head:?}"),
    ] {
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}

#[test]
fn a_token_file_may_end_in_a_newline_but_not_be_empty() {
    let token: Token = "s3cret\r\n".parse().unwrap();
    assert!(token.matches(b"s3cret"));
    assert_eq!(" \n".parse::<Token>().unwrap_err(), NotAToken::Empty);
    assert_eq!(
        "two words".parse::<Token>().unwrap_err(),
        NotAToken::Unprintable
    );
    assert_eq!(
        "gehe\u{ed}m".parse::<Token>().unwrap_err(),
        NotAToken::Unprintable
    );
}

#[test]
fn a_body_or_a_head_over_the_limit_is_refused() {
    let host = ("host", "localhost:8080");
    let json = ("content-type", JSON);
    let small = guard().max_body(100);
    let too_large = Err(Refusal::BodyTooLarge { limit: 100 });
    let post = |length| check(&small, "POST", &[host, json, ("content-length", length)]);
    assert_eq!(post("100"), Ok(()));
    for length in ["101", "99999999999999999999999999", "-1", "+1", "1 1", ""] {
        assert_eq!(post(length), too_large, "{length:?}");
    }
    let both = [
        host,
        json,
        ("content-length", "5"),
        ("content-length", "500"),
    ];
    assert_eq!(check(&small, "POST", &both), too_large);
    let over = (MAX_BODY + 1).to_string();
    let refused = check(&guard(), "POST", &[host, json, ("content-length", &over)]);
    assert_eq!(refused, Err(Refusal::BodyTooLarge { limit: MAX_BODY }));

    let cookie = "x".repeat(MAX_HEAD);
    let refused = check(&guard(), "GET", &[host, ("cookie", &cookie)]);
    assert_eq!(refused, Err(Refusal::HeadTooLarge { limit: MAX_HEAD }));
    assert_eq!(
        check(&guard(), "GET", &[host, ("cookie", &cookie[100..])]),
        Ok(())
    );
}

#[test]
fn cors_names_the_listed_origin_and_no_other() {
    let cors = |origins: Headers<'static>| {
        let head = Head::new("GET", origins.iter().map(|(name, value)| (*name, *value)));
        guard().cors_origin(&head)
    };
    assert_eq!(
        cors(&[("origin", "https://app.example")]),
        Some("https://app.example")
    );
    assert_eq!(cors(&[("origin", "https://evil.example")]), None);
    assert_eq!(cors(&[("origin", "http://localhost:8080")]), None);
    assert_eq!(cors(&[("origin", "https://app.example"); 2]), None);
    assert_eq!(cors(&[]), None);
}

#[test]
fn an_origin_is_taken_as_a_browser_writes_it() {
    for (given, taken) in [
        ("https://App.Example", "https://app.example"),
        ("https://app.example:443", "https://app.example"),
        ("http://app.example:80", "http://app.example"),
        ("http://app.example:8443", "http://app.example:8443"),
        ("http://[::1]:6274", "http://[::1]:6274"),
        ("http://[::1]", "http://[::1]"),
        ("vscode-webview://1a2b3c", "vscode-webview://1a2b3c"),
    ] {
        assert_eq!(origin(given).as_str(), taken);
    }
    for none in [
        "",
        "*",
        "null",
        "app.example",
        "https://",
        "https://*",
        "https://*.example",
        "://x",
        "https://app.example/",
        "https://app.example/path",
        "https://user@app.example",
        "https://app.example:",
        "https://app.example:0x50",
        "https://app.example:65536",
        "https://app.example:+1",
        "https://[::1",
        "https://[zz]",
        "https://a b",
        "https://[::1]x",
        "1http://x",
        "https://app.example\n",
        "https://\u{e4}.example",
    ] {
        assert!(none.parse::<Origin>().is_err(), "{none:?}");
    }
}

#[test]
fn every_refusal_says_what_to_do() {
    let limit = 5;
    for (refusal, status, advice) in [
        (HOST, 403, "http://127.0.0.1:8080"),
        (Refusal::Origin, 403, "--allow-origin"),
        (Refusal::FetchSite, 403, "--allow-origin"),
        (Refusal::TokenMissing, 401, "Authorization: Bearer"),
        (Refusal::TokenWrong, 401, "token file"),
        (Refusal::ContentType, 415, "Content-Type: application/json"),
        (Refusal::BodyTooLarge { limit: 5 }, 413, "5 bytes"),
        (Refusal::HeadTooLarge { limit }, 431, "5 bytes"),
    ] {
        assert_eq!(refusal.status(), status);
        assert!(refusal.to_string().contains(advice), "{refusal}");
    }
}

/// Origins that differ little from the allowed ones, and some that do not differ at all.
fn near_origins() -> impl Strategy<Value = String> {
    let scheme = prop::sample::select(vec!["http", "https", "HTTP", "ws", "file", "null", ""]);
    let host = prop_oneof![
        prop::sample::select(vec![
            "localhost",
            "LOCALHOST",
            "127.0.0.1",
            "[::1]",
            "127.0.0.1.",
            "localhost.",
            "127.1",
            "0.0.0.0",
            "app.example",
            "app.example.",
            "xapp.example",
            "::1",
        ])
        .prop_map(String::from),
        "[a-z.:@\\[\\]0-9-]{0,12}",
    ];
    let port = prop::sample::select(vec!["", ":8080", ":808", ":80801", ":443", ":", ":0"]);
    let tail = prop::sample::select(vec!["", "", "", "/", " ", "@evil.example", ".evil.example"]);
    (scheme, host, port, tail).prop_map(|(s, h, p, t)| format!("{s}://{h}{p}{t}"))
}

proptest! {
    #[test]
    fn no_origin_but_the_allowed_ones_passes(given in prop_oneof![near_origins(), any::<String>()]) {
        const ALLOWED: [&str; 4] = [
            "http://localhost:8080",
            "http://127.0.0.1:8080",
            "http://[::1]:8080",
            "https://app.example",
        ];
        let passes = check(&guard(), "GET", &[("host", "localhost:8080"), ("origin", &given)]);
        let allowed = ALLOWED.contains(&given.to_ascii_lowercase().as_str());
        prop_assert_eq!(passes.is_ok(), allowed, "{}", given);
    }

    #[test]
    fn no_host_but_our_own_passes(given in prop_oneof![near_origins(), any::<String>()]) {
        let given = given.split_once("://").map_or(given.as_str(), |(_, host)| host);
        let passes = check(&guard(), "GET", &[("host", given)]);
        let ours = ["localhost:8080", "127.0.0.1:8080", "[::1]:8080"];
        prop_assert_eq!(passes.is_ok(), ours.contains(&given.to_ascii_lowercase().as_str()));
    }

    #[test]
    fn a_parsed_origin_is_written_as_it_is_parsed(given in near_origins()) {
        if let Ok(parsed) = given.parse::<Origin>() {
            prop_assert_eq!(origin(parsed.as_str()), parsed);
        }
    }
}
