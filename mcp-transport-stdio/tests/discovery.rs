//! What the status files say, and who is meant.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests fail where they stand, and have a clock"
)]

use mcp_transport_core::{ErrorKind, EvictionReason};
use mcp_transport_stdio::discovery::{
    Environment, PortFile, Project, Projects, Reading, Reason, STALE, SelectError, Status,
    project_key, project_name, read,
};
use proptest::prelude::*;
use std::time::{Duration, SystemTime};

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::new(1_784_000_000, 123_456_700)
}

fn name(key: &str) -> String {
    format!("unity-mcp-status-{key}.json")
}

fn file(status: &Status) -> Vec<u8> {
    serde_json::to_vec(status).unwrap()
}

fn parse(bytes: &[u8]) -> Reading {
    read(&name("f7577206"), bytes, Some(now()), now())
}

#[track_caller]
fn project(reading: Reading) -> Project {
    match reading {
        Reading::Project(project) => project,
        other => panic!("{other:?}"),
    }
}

fn projects(given: &[(u16, &str)]) -> Projects {
    let readings: Vec<_> = given
        .iter()
        .map(|(port, path)| {
            let status = Status::new(*port, *path).at(now());
            let key = status.key();
            (key.clone(), read(&name(&key), &file(&status), None, now()))
        })
        .collect();
    Projects::default().updated(&readings, now())
}

#[test]
fn the_plugins_file_is_read() {
    let text = r#"{"unity_port":6401,"reloading":false,"reason":"ready","seq":3,"project_path":"/home/ada/My Game/Assets","project_name":"My Game","unity_version":"6000.0.1f1","last_heartbeat":"2026-07-13T21:15:58.1234567Z","project_scoped_tools":true}"#;
    let written = "2026-07-13T21:15:58.1234567Z"
        .parse::<jiff::Timestamp>()
        .unwrap();
    let found = project(read(
        &name("f7577206"),
        text.as_bytes(),
        None,
        written.into(),
    ));
    assert_eq!(found.id(), "My Game@f7577206");
    assert_eq!(found.heard, SystemTime::from(written));
    assert_eq!((found.status.seq, found.status.seat), (3, false));
    assert!(found.status.project_scoped_tools);
    assert_eq!(found.port().unwrap(), 6401);
    // What we write is what the plugin writes, in its order.
    assert_eq!(String::from_utf8(file(&found.status)).unwrap(), text);
}

#[test]
fn our_file_says_that_there_are_seats() {
    let status = Status::new(6400, "/p/Game/Assets").at(now());
    let text = String::from_utf8(file(&status)).unwrap();
    assert!(text.ends_with(r#","seat":true}"#), "{text}");
    assert_eq!(status.written(), Some(now()));
    assert!(
        status.last_heartbeat.ends_with(".1234567Z"),
        "{}",
        status.last_heartbeat
    );
}

#[test]
fn keys_and_names_come_from_the_path() {
    // sha1sum of the path, cut.
    assert_eq!(project_key(""), "da39a3ee");
    assert_eq!(project_key("abc"), "a9993e36");
    for (path, expected) in [
        ("/home/ada/My Game/Assets", "My Game"),
        ("C:/Games/Ünïcode/Assets", "Ünïcode"),
        ("C:\\Games\\Back\\Assets\\", "Back"),
        ("/Assets", "Unknown"),
        ("", "Unknown"),
        ("/p/NoAssetsHere", "NoAssetsHere"),
    ] {
        assert_eq!(project_name(path), expected, "{path}");
    }
}

#[test]
fn what_is_empty_torn_or_foreign_is_no_news() {
    let whole = file(&Status::new(6400, "/p/Game/Assets").at(now()));
    for cut in 0..whole.len() {
        assert_eq!(parse(&whole[..cut]), Reading::NoNews, "cut at {cut}");
    }
    for other in [
        &b"[]"[..],
        b"[6400]",
        b"\xff",
        b"{}",
        br#"{"unity_port":0}"#,
        br#"{"unity_port":70000}"#,
    ] {
        assert_eq!(parse(other), Reading::NoNews, "{}", other.escape_ascii());
    }
    for name in [
        "unity-mcp-port-f7577206.json",
        "unity-mcp-status-.json",
        "unity-mcp-status-f7577206.json.tmp",
        "unity-mcp-status-../../x.json",
        "unity-mcp-status-f7577206.123.tmp",
    ] {
        assert_eq!(read(name, &whole, None, now()), Reading::NoNews, "{name}");
    }
}

#[test]
fn a_stale_heartbeat_is_no_news() {
    let bytes = file(&Status::new(6400, "/p/Game/Assets").at(now()));
    let at = |age: Duration| read(&name("f7577206"), &bytes, None, now() + age);
    project(at(STALE));
    assert_eq!(at(STALE + Duration::from_millis(1)), Reading::NoNews);
    // A clock that went back makes nothing stale.
    project(read(
        &name("f7577206"),
        &bytes,
        None,
        now() - Duration::from_secs(3600),
    ));
    // .NET's empty date, which not every system has.
    let empty = br#"{"unity_port":6400,"last_heartbeat":"0001-01-01T00:00:00Z"}"#;
    assert_eq!(parse(empty), Reading::NoNews);
    // Without a heartbeat the file's time counts; without both nothing is known.
    let mut status = Status::new(6400, "/p/Game/Assets");
    project(parse(&file(&status)));
    assert_eq!(
        read(&name("f7577206"), &file(&status), None, now()),
        Reading::NoNews
    );
    status.last_heartbeat = "yesterday".into();
    let old = now() - Duration::from_secs(61);
    assert_eq!(
        read(&name("f7577206"), &file(&status), Some(old), now()),
        Reading::NoNews
    );
}

#[test]
fn starting_is_no_news_since_nobody_listens_yet() {
    let mut status = Status::new(6400, "/p/Game/Assets").at(now());
    status.reason = Reason::Starting;
    assert_eq!(parse(&file(&status)), Reading::NoNews);
}

#[test]
fn who_reloads_will_be_back_and_who_stopped_is_gone() {
    let mut status = Status::new(6400, "/p/Game/Assets").at(now());
    for (reason, reloading, kind) in [
        (
            Reason::Reloading,
            true,
            ErrorKind::Evicted(EvictionReason::Reloading),
        ),
        (
            Reason::PortBusy,
            true,
            ErrorKind::Evicted(EvictionReason::Reloading),
        ),
        (Reason::Stopped, false, ErrorKind::Unreachable),
        (Reason::StartFailed, false, ErrorKind::Unreachable),
        (Reason::Other("odd".into()), false, ErrorKind::Unreachable),
    ] {
        status.reason = reason;
        status.reloading = reloading;
        let found = project(parse(&file(&status)));
        let error = found.port().unwrap_err();
        assert_eq!(error.kind(), kind, "{found:?}");
        assert!(error.is_retryable());
    }
}

#[test]
fn no_news_leaves_what_was_known_until_that_is_stale() {
    let known = projects(&[(6400, "/p/Game/Assets")]);
    let key = project_key("/p/Game/Assets");
    let torn = [(key, Reading::NoNews)];
    assert_eq!(known.updated(&torn, now() + STALE), known);
    assert!(
        known
            .updated(&torn, now() + STALE + Duration::from_secs(1))
            .is_empty()
    );
    assert!(known.updated(&[], now()).is_empty(), "the file is gone");
    assert!(Projects::default().updated(&torn, now()).is_empty());
}

#[test]
fn a_mere_heartbeat_is_no_difference() {
    let known = projects(&[(6400, "/p/Game/Assets")]);
    let mut status = Status::new(6400, "/p/Game/Assets").at(now() + Duration::from_millis(500));
    let update = |status: &Status| {
        let key = project_key("/p/Game/Assets");
        let reading = read(&name(&key), &file(status), None, now());
        known.updated(&[(key, reading)], now())
    };
    assert!(!update(&status).differ(&known));
    assert_ne!(update(&status), known);
    status.seq = 7;
    assert!(update(&status).differ(&known));
}

#[test]
fn of_two_projects_on_one_port_the_one_heard_last_has_it() {
    let mut readings = Vec::new();
    for (path, age) in [
        ("/p/Old/Assets", 10),
        ("/p/New/Assets", 1),
        ("/p/Older/Assets", 20),
    ] {
        let status = Status::new(6400, path).at(now() - Duration::from_secs(age));
        let key = status.key();
        readings.push((key.clone(), read(&name(&key), &file(&status), None, now())));
    }
    let found = Projects::default().updated(&readings, now());
    let names: Vec<_> = found
        .iter()
        .map(|project| &*project.status.project_name)
        .collect();
    assert_eq!(names, ["New"]);
}

#[test]
fn the_table_of_hints() {
    let game = "/home/ada/Game/Assets";
    let twin = "/home/bob/Game/Assets";
    let other = "/home/ada/Other/Assets";
    let all = projects(&[(6400, game), (6401, twin), (6402, other)]);
    let long = |path: &str| sha1_smol::Sha1::from(path).digest().to_string()[..16].to_owned();
    let key = project_key;
    for (hint, expected) in [
        (format!("Game@{}", key(game)), game),
        (format!("Game@{}", key(twin)), twin),
        (format!("Game@{}", &key(twin)[..6]), twin),
        ("Game@6401".into(), twin),
        ("Other".into(), other),
        ("6402".into(), other),
        (key(game), game),
        (key(game).to_uppercase(), game),
        (key(twin)[..6].to_owned(), twin),
        (long(twin), twin),
        (game.into(), game),
        ("/home/bob/Game".into(), twin),
        ("/HOME/bob/game/".into(), twin),
        ("\\home\\ada\\Other\\Assets".into(), other),
        (" Other ".into(), other),
    ] {
        let found = all
            .select(Some(&hint))
            .unwrap_or_else(|error| panic!("{hint}: {error}"));
        assert_eq!(found.status.project_path, expected, "{hint}");
    }
    for hint in [
        "Gam",
        "Other@6400",
        "Nobody@6402",
        "6403",
        "zz",
        "@",
        "/home/ada",
    ] {
        let error = all.select(Some(hint)).unwrap_err();
        assert!(
            matches!(&error, SelectError::Unknown { choices, .. } if choices.len() == 3),
            "{hint}"
        );
        assert_eq!(
            mcp_transport_core::Error::from(error).kind(),
            ErrorKind::Unreachable
        );
    }
}

#[test]
fn an_ambiguous_choice_is_refused_with_the_list() {
    let all = projects(&[
        (6400, "/a/Game/Assets"),
        (6401, "/b/Game/Assets"),
        (6402, "/Other/Assets"),
    ]);
    let error = all.select(Some("Game")).unwrap_err();
    let SelectError::Ambiguous { choices, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(choices.len(), 2);
    for choice in choices {
        assert!(error.to_string().contains(&choice.id), "{error}");
        assert_eq!(
            all.select(Some(&choice.id)).unwrap().status.unity_port,
            choice.port
        );
    }
    assert!(
        matches!(all.select(None), Err(SelectError::Ambiguous { hint: None, choices }) if choices.len() == 3)
    );
    let error = mcp_transport_core::Error::from(error);
    assert!(!error.is_retryable(), "waiting chooses nothing");
}

#[test]
fn a_project_is_selected_by_its_id_though_its_name_has_spaces_at_its_ends() {
    let all = projects(&[(6400, "/a/ Game /Assets"), (6401, "/b/Game/Assets")]);
    let spaced = all.iter().find(|project| project.status.unity_port == 6400);
    let id = spaced.unwrap().id();
    assert!(id.starts_with(" Game @"), "{id:?}");
    for hint in [&*id, id.trim(), "Game @6400"] {
        assert_eq!(all.port_of(Some(hint)).unwrap(), 6400, "{hint:?}");
    }
    let ambiguous = all.select(Some("Game"));
    assert!(matches!(ambiguous, Err(SelectError::Ambiguous { .. })));
}

#[test]
fn without_a_hint_it_is_the_only_one() {
    let one = projects(&[(6400, "/a/Game/Assets")]);
    assert_eq!(one.port_of(None).unwrap(), 6400);
    assert_eq!(one.port_of(Some("")).unwrap(), 6400);
    assert_eq!(Projects::default().select(None), Err(SelectError::None));
}

#[test]
fn the_directory_comes_from_two_variables() {
    let environment = |status: Option<&str>, home: Option<&str>| {
        let mut environment = Environment::default();
        environment.status_dir = status.map(Into::into);
        environment.home = home.map(Into::into);
        environment.home().map(|home| (home.status, home.ports))
    };
    let own = std::path::PathBuf::from("/home/ada/.unity-mcp");
    assert_eq!(environment(None, None), None);
    assert_eq!(environment(Some(""), Some("")), None);
    assert_eq!(
        environment(Some(""), Some("/home/ada")),
        Some((own.clone(), Some(own.clone())))
    );
    assert_eq!(
        environment(Some("/s"), Some("/home/ada")),
        Some(("/s".into(), Some(own)))
    );
    assert_eq!(environment(Some("/s"), None), Some(("/s".into(), None)));
}

#[test]
fn a_port_file_is_read_tolerantly() {
    let file = PortFile::new(6407, "/p/Game/Assets", now());
    let bytes = serde_json::to_vec_pretty(&file).unwrap();
    assert_eq!(PortFile::read(&bytes), Some(file));
    for bad in [
        &b""[..],
        b"{",
        b"{}",
        b"[6407]",
        br#"{"unity_port":-1}"#,
        &bytes[..20],
    ] {
        assert_eq!(PortFile::read(bad), None);
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(
        name in ".{0,40}", bytes in proptest::collection::vec(any::<u8>(), 0..200), hint in ".{0,20}",
    ) {
        let _ = (read(&name, &bytes, None, now()), PortFile::read(&bytes));
        let _ = parse(&bytes);
        let _ = projects(&[(6400, "/a/Game/Assets")]).select(Some(&hint));
        let _ = (project_name(&hint).len(), project_key(&hint));
    }
}
