//! Whoever starts the Python server can put this one in its place: each flag and each variable that it knows.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use clap::{CommandFactory, Parser};
use examples::server::flags::python::{FLAGS, Known, Means, VARIABLES};
use examples::server::flags::{
    Editors, Environment, Flags, NotLocal, Note, Refused, Settings, hint, settle,
};
use std::collections::BTreeSet;
use std::time::Duration;

/// What `mcp-for-unity --help` of 10.3.0 lists.
const FLAGS_OF_THE_SERVER: &[&str] = &[
    "--default-instance",
    "--transport",
    "--http-url",
    "--http-host",
    "--http-port",
    "--http-remote-hosted",
    "--api-key-validation-url",
    "--api-key-login-url",
    "--api-key-cache-ttl",
    "--api-key-service-token-header",
    "--api-key-service-token",
    "--unity-instance-token",
    "--pidfile",
    "--project-scoped-tools",
];

/// What its sources (10.3.0) read or set.
const VARIABLES_OF_THE_SERVER: &[&str] = &[
    "DISABLE_TELEMETRY",
    "MCP_DISABLE_TELEMETRY",
    "UNITY_MCP_API_KEY_CACHE_TTL",
    "UNITY_MCP_API_KEY_LOGIN_URL",
    "UNITY_MCP_API_KEY_SERVICE_TOKEN",
    "UNITY_MCP_API_KEY_SERVICE_TOKEN_HEADER",
    "UNITY_MCP_API_KEY_VALIDATION_URL",
    "UNITY_MCP_COMMAND_TOTAL_TIMEOUT",
    "UNITY_MCP_CONNECTION_TIMEOUT",
    "UNITY_MCP_DEFAULT_INSTANCE",
    "UNITY_MCP_DISABLE_FOCUS_NUDGE",
    "UNITY_MCP_DISABLE_TELEMETRY",
    "UNITY_MCP_ENABLE_HTTP_SERVER",
    "UNITY_MCP_FORMAT",
    "UNITY_MCP_HOST",
    "UNITY_MCP_HTTP_HOST",
    "UNITY_MCP_HTTP_PORT",
    "UNITY_MCP_HTTP_REMOTE_HOSTED",
    "UNITY_MCP_HTTP_URL",
    "UNITY_MCP_INSTANCE",
    "UNITY_MCP_INSTANCE_TOKEN",
    "UNITY_MCP_LOG_DIR",
    "UNITY_MCP_NUDGE_BASE_INTERVAL_S",
    "UNITY_MCP_NUDGE_DURATION_S",
    "UNITY_MCP_NUDGE_MAX_INTERVAL_S",
    "UNITY_MCP_PROJECT_SCOPED_TOOLS",
    "UNITY_MCP_RELOAD_MAX_WAIT_S",
    "UNITY_MCP_SESSION_READY_WAIT_SECONDS",
    "UNITY_MCP_SESSION_RESOLVE_MAX_WAIT_S",
    "UNITY_MCP_SKIP_STARTUP_CONNECT",
    "UNITY_MCP_STATUS_DIR",
    "UNITY_MCP_TELEMETRY_ENABLED",
    "UNITY_MCP_TELEMETRY_ENDPOINT",
    "UNITY_MCP_TELEMETRY_TIMEOUT",
    "UNITY_MCP_TIMEOUT",
    "UNITY_MCP_TRANSPORT",
];

const README: &str = include_str!("../README.md");

type Set<'a> = &'a [(&'a str, &'a str)];

fn environment(set: Set<'_>) -> Environment {
    Environment::of(
        set.iter()
            .map(|(name, value)| ((*name).into(), (*value).into())),
    )
}

fn flags(line: &[&str]) -> Flags {
    Flags::try_parse_from(["unity_server"].iter().chain(line))
        .unwrap_or_else(|error| panic!("{error}"))
}

fn settled(line: &[&str], set: Set<'_>) -> Result<Settings, Refused> {
    settle(flags(line), &environment(set), false)
}

fn started(line: &[&str], set: Set<'_>) -> Settings {
    settled(line, set).unwrap()
}

/// What a user writes to be hosted.
const HOSTED: &[&str] = &[
    "--http-remote-hosted",
    "--api-key-validation-url",
    "https://keys.example/validate",
];

fn hosted(more: &[&str], set: Set<'_>) -> Result<Settings, Refused> {
    settled(&[HOSTED, more].concat(), set)
}

fn row(table: &'static [Known], name: &str) -> Known {
    let mut rows = table.iter().filter(|known| known.name == name);
    let row = rows
        .next()
        .unwrap_or_else(|| panic!("{name} is in no table"));
    assert!(rows.next().is_none(), "{name} stands there twice");
    *row
}

#[test]
fn every_flag_of_the_python_server_is_taken() {
    for name in FLAGS_OF_THE_SERVER {
        assert!(
            matches!(row(FLAGS, name).means, Means::Accepted(_)),
            "{name}"
        );
    }
}

#[test]
fn every_variable_of_the_python_server_has_a_meaning_or_a_reason_to_have_none() {
    for name in VARIABLES_OF_THE_SERVER {
        row(VARIABLES, name);
    }
}

#[test]
fn what_the_table_of_flags_says_is_so() {
    let command = Flags::command();
    for known in FLAGS {
        let is_there = command
            .get_arguments()
            .filter_map(|argument| argument.get_long())
            .any(|long| known.name == format!("--{long}"));
        match known.means {
            Means::Accepted(_) => assert!(is_there, "{}", known.name),
            Means::Refused(why) => {
                assert!(!is_there, "{}", known.name);
                let line = ["unity_server", known.name, "x"];
                let error = Flags::try_parse_from(line).err().unwrap();
                assert_eq!(hint(&error), Some(why), "{}", known.name);
            }
            other => panic!("{}: {other:?} is for variables", known.name),
        }
    }
}

#[test]
fn what_the_table_of_variables_says_is_so() {
    // Read where editors are looked for.
    let read_elsewhere = "UNITY_MCP_STATUS_DIR";
    for known in VARIABLES {
        let value = match known.name {
            "UNITY_MCP_HTTP_URL" => "http://127.0.0.1:9191",
            name if name.ends_with("_URL") => "https://other.example/",
            "UNITY_MCP_HTTP_HOST" => "0.0.0.0",
            name if name.contains("REMOTE_HOSTED") => "on",
            _ => "7",
        };
        let set = [(known.name, value)];
        let changes = |line: &[&str]| {
            let told = |set: Set<'_>| settled(line, set).map(|it| format!("{:?}", it.options));
            told(&set) != told(&[])
        };
        let changes = changes(&[]) || changes(HOSTED) || changes(&HOSTED[..1]);
        let notes = started(
            &[],
            if known.name == "UNITY_MCP_HTTP_HOST" || known.name.contains("REMOTE_HOSTED") {
                &[]
            } else {
                &set
            },
        )
        .notes;
        match known.means {
            Means::Accepted(_) if known.name == read_elsewhere => {}
            Means::Accepted(_) => assert!(changes, "{} changes nothing", known.name),
            Means::Nothing(why) => {
                assert!(!changes, "{} changes something", known.name);
                let note = format!("{} means nothing here: {why}", known.name);
                assert_eq!(notes, [Note::Info(note)]);
            }
            Means::Always(_) | Means::Others(_) => {
                assert!(!changes && notes.is_empty(), "{}: {notes:?}", known.name);
            }
            Means::Refused(_) => panic!("{}: a variable cannot be refused", known.name),
        }
    }
}

#[test]
fn the_readme_has_every_row_of_the_tables() {
    for known in FLAGS.iter().chain(VARIABLES) {
        let name = format!("`{}`", known.name);
        assert!(
            README.contains(&name),
            "{name} is missing in examples/README.md"
        );
    }
    let names: BTreeSet<&str> = FLAGS
        .iter()
        .chain(VARIABLES)
        .map(|known| known.name)
        .collect();
    assert_eq!(names.len(), FLAGS.len() + VARIABLES.len());
}

#[test]
fn an_editor_that_starts_the_server_by_itself_gets_this_one() {
    let line = [
        "--transport",
        "http",
        "--http-url",
        "http://127.0.0.1:8090",
        "--project-scoped-tools",
        "--pidfile",
        "/tmp/a b/server.pid",
        "--unity-instance-token",
        "0f1e",
    ];
    let settings = settle(flags(&line), &environment(&[]), true).unwrap();
    assert!(!settings.options.stdio);
    assert_eq!(settings.options.port, 8090);
    assert_eq!(
        settings.pidfile.unwrap().to_str(),
        Some("/tmp/a b/server.pid")
    );
    assert_eq!(settings.notes, []);
}

#[test]
fn a_client_that_starts_the_server_is_served_on_its_pipes_whatever_the_environment_says() {
    let set = [
        ("UNITY_MCP_TRANSPORT", "http"),
        ("UNITY_MCP_HTTP_PORT", "9000"),
    ];
    let settings = settle(flags(&[]), &environment(&set), true).unwrap();
    assert!(settings.options.stdio);
    assert_eq!(settings.options.port, 9000);
    let settings = settle(
        flags(&["--transport=stdio", "--http-port", "0"]),
        &environment(&[]),
        true,
    );
    assert!(settings.unwrap().options.stdio);
}

#[test]
fn who_comes_first_is_as_in_the_python_server() {
    let port = |line: &[&str], set: Set<'_>| started(line, set).options.port;
    let url = ("UNITY_MCP_HTTP_URL", "http://127.0.0.1:1");
    let number = ("UNITY_MCP_HTTP_PORT", "2");
    let flag = ["--http-url", "http://127.0.0.1:3"];
    assert_eq!(port(&[], &[]), 8080);
    assert_eq!(port(&flag, &[]), 3);
    assert_eq!(port(&flag, &[url]), 1);
    assert_eq!(port(&flag, &[url, number]), 2);
    assert_eq!(port(&["--http-port", "4"], &[url, number]), 4);
    assert_eq!(
        port(
            &["--http-url", "http://[::1]:5", "--http-host", "localhost"],
            &[]
        ),
        5
    );
    assert!(matches!(&*started(&flag, &[url]).notes, [Note::Warning(_)]));
    // No number is as good as none.
    assert_eq!(port(&flag, &[("UNITY_MCP_HTTP_PORT", "eighty")]), 3);

    let named = |line: &[&str], set: Set<'_>| started(line, set).options.default_instance;
    let variable = [("UNITY_MCP_DEFAULT_INSTANCE", "Theirs")];
    assert_eq!(named(&[], &variable).as_deref(), Some("Theirs"));
    assert_eq!(
        named(&["--default-instance", "Mine"], &variable).as_deref(),
        Some("Mine")
    );

    let ttl = |line: &[&str], set: Set<'_>| {
        hosted(line, set)
            .unwrap()
            .options
            .hosted
            .unwrap()
            .service
            .ttl
            .as_secs()
    };
    assert_eq!(ttl(&[], &[]), 300);
    assert_eq!(ttl(&["--api-key-cache-ttl", "10"], &[]), 10);
    assert_eq!(
        ttl(
            &["--api-key-cache-ttl", "10"],
            &[("UNITY_MCP_API_KEY_CACHE_TTL", "20")]
        ),
        20
    );
    assert_eq!(
        ttl(
            &["--api-key-cache-ttl", "10"],
            &[("UNITY_MCP_API_KEY_CACHE_TTL", "long")]
        ),
        300
    );
}

#[test]
fn waits_that_mean_the_same_are_taken_over() {
    let budget = |line: &[&str], set: Set<'_>| started(line, set).options.budget;
    assert_eq!(budget(&[], &[]).hold, Duration::from_secs(120));
    assert_eq!(budget(&[], &[]).client, Some(Duration::from_secs(50)));
    let reload = ("UNITY_MCP_RELOAD_MAX_WAIT_S", "15");
    let resolve = ("UNITY_MCP_SESSION_RESOLVE_MAX_WAIT_S", "40.5");
    assert_eq!(budget(&[], &[reload]).hold, Duration::from_secs(15));
    assert_eq!(
        budget(&[], &[reload, resolve]).hold,
        Duration::from_millis(40_500)
    );
    assert_eq!(
        budget(&["--hold", "9"], &[reload, resolve]).hold,
        Duration::from_secs(9)
    );
    let total = |text| budget(&[], &[("UNITY_MCP_COMMAND_TOTAL_TIMEOUT", text)]).client;
    assert_eq!(total("600"), Some(Duration::from_secs(600)));
    for odd in ["0", "-5", "nan", "inf", "much"] {
        assert_eq!(total(odd), Some(Duration::from_secs(50)), "{odd}");
    }
    assert_eq!(
        budget(&[], &[("UNITY_MCP_RELOAD_MAX_WAIT_S", "-1")]).hold,
        Duration::ZERO
    );
    assert_eq!(budget(&["--client-budget", "0"], &[]).client, None);
}

#[test]
fn an_address_beyond_this_machine_is_refused_by_the_name_that_gave_it() {
    for (line, set, what, host) in [
        (
            &["--http-host", "0.0.0.0"][..],
            &[][..],
            "--http-host",
            "0.0.0.0",
        ),
        (
            &["--http-url", "http://192.168.1.2:8080"],
            &[],
            "--http-url",
            "192.168.1.2",
        ),
        (&["--http-host", "[::]"], &[], "--http-host", "::"),
        (
            &[],
            &[("UNITY_MCP_HTTP_HOST", "0.0.0.0")],
            "UNITY_MCP_HTTP_HOST",
            "0.0.0.0",
        ),
        (
            &[],
            &[("UNITY_MCP_HTTP_URL", "http://10.0.0.1:80")],
            "UNITY_MCP_HTTP_URL",
            "10.0.0.1",
        ),
    ] {
        let why = NotLocal::Foreign(host.to_owned());
        assert_eq!(
            settled(line, set).unwrap_err(),
            Refused::Address { what, why }
        );
    }
    // A host that is given apart stands in the place of the URL's.
    let line = [
        "--http-url",
        "http://0.0.0.0:8080",
        "--http-host",
        "127.0.0.1",
    ];
    assert_eq!(started(&line, &[]).options.port, 8080);
}

#[test]
fn one_warning_names_the_variables_that_nobody_knows() {
    let set = [
        ("UNITY_MCP_HTP_URL", "x"),
        ("UNITY_MCP_ZZZ", "y"),
        ("HOME", "/root"),
        ("UNITY_MCP_EMPTY", ""),
    ];
    let notes = started(&[], &set).notes;
    let [Note::Warning(text)] = &*notes else {
        panic!("{notes:?}");
    };
    assert!(text.ends_with("UNITY_MCP_HTP_URL, UNITY_MCP_ZZZ"), "{text}");
}

#[test]
fn an_unknown_flag_is_refused_with_the_one_that_was_meant() {
    let error = Flags::try_parse_from(["unity_server", "--http-prt", "1"])
        .err()
        .unwrap();
    assert!(error.to_string().contains("--http-port"), "{error}");
    assert_eq!(hint(&error), None);
    assert_eq!(error.exit_code(), 2);
    let error = Flags::try_parse_from([
        "unity_server",
        "--from=mcpforunityserver==10.3.0",
        "mcp-for-unity",
    ]);
    assert!(hint(&error.err().unwrap()).unwrap().contains("uvx"));
}

#[test]
fn users_need_somebody_who_knows_them() {
    let alone = settled(&["--http-remote-hosted"], &[]).unwrap_err();
    assert_eq!(alone, Refused::NobodyValidates);
    let set = [
        ("UNITY_MCP_HTTP_REMOTE_HOSTED", "yes"),
        ("UNITY_MCP_API_KEY_VALIDATION_URL", "https://keys.example/"),
    ];
    let settings = settle(flags(&[]), &environment(&set), true).unwrap();
    assert!(!settings.options.stdio, "who started us is no user");
    assert_eq!(settings.options.hosted.unwrap().host, "127.0.0.1");
    for wrong in ["keys.example", "ftp://keys.example", "/validate", "http://"] {
        let line = ["--http-remote-hosted", "--api-key-validation-url", wrong];
        assert_eq!(
            settled(&line, &[]).unwrap_err(),
            Refused::ValidationUrl,
            "{wrong}"
        );
    }
}

#[test]
fn users_may_come_from_anywhere() {
    let line = [
        "--http-host",
        "0.0.0.0",
        "--http-port",
        "80",
        "--allow-host",
        "unity.example",
    ];
    let options = hosted(&line, &[]).unwrap().options;
    assert_eq!(options.port, 80);
    assert_eq!(options.editors, Editors::Hub);
    let hosted = options.hosted.unwrap();
    assert_eq!(
        (&*hosted.host, &*hosted.hosts),
        ("0.0.0.0", &["unity.example".to_owned()][..])
    );
}

#[test]
fn what_knows_no_users_does_not_go_with_them() {
    for more in [
        &["--behind-broker"][..],
        &["--sim"],
        &["--transport", "stdio"],
        &["--editor", "bridge"],
        &["--editor", "auto"],
    ] {
        let refused = hosted(more, &[]).unwrap_err();
        assert!(
            matches!(refused, Refused::WithUsers(..)),
            "{more:?}: {refused}"
        );
    }
    hosted(&["--transport", "http", "--editor", "hub"], &[]).unwrap();
}

#[test]
fn a_service_token_is_whole_or_refused_and_never_shown() {
    let secret = ["--api-key-service-token", "s3cr3t"];
    let header = ["--api-key-service-token-header", "X-Service-Token"];
    assert_eq!(hosted(&secret, &[]).unwrap_err(), Refused::HalfAToken);
    assert_eq!(hosted(&header, &[]).unwrap_err(), Refused::HalfAToken);
    let odd = ["--api-key-service-token-header", "X Service"];
    assert_eq!(
        hosted(&[odd, secret].concat(), &[]).unwrap_err(),
        Refused::Token
    );
    let settings = hosted(&header, &[("UNITY_MCP_API_KEY_SERVICE_TOKEN", "s3cr3t")]).unwrap();
    assert!(!format!("{settings:?}").contains("s3cr3t"));
    let (name, value) = settings.options.hosted.unwrap().service.token.unwrap();
    assert_eq!(
        (name.as_str(), value.to_str().unwrap()),
        ("x-service-token", "s3cr3t")
    );
    let line = [HOSTED, &header[..], &secret[..]].concat();
    assert!(!format!("{:?}", flags(&line)).contains("s3cr3t"));
}

#[test]
fn keys_that_would_travel_in_the_clear_are_warned_of() {
    let notes = |url| {
        let line = ["--http-remote-hosted", "--api-key-validation-url", url];
        started(&line, &[]).notes.len()
    };
    assert_eq!(notes("http://keys.example/"), 1);
    assert_eq!(notes("https://keys.example/"), 0);
    assert_eq!(notes("http://127.0.0.1:9/"), 0);
}
