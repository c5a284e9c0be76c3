//! The files by which open projects are found.

use mcp_transport_stdio::discovery::{
    PortFile, Project, Projects, Reading, Reason, STALE, project_name, read,
};
use serde_json::Value;
use std::time::{Duration, SystemTime};

/// A file is a project or no news, never half of one; a torn file is no news; what was read can be written and read
/// again; and a project can be chosen by what it says of itself.
pub fn status_file(bytes: &[u8]) {
    port_file(bytes);
    let Some(project) = project(bytes) else {
        return;
    };
    let status = &project.status;
    assert_eq!(project.key, KEY);
    assert!(status.unity_port > 0 && status.reason != Reason::Starting);
    assert!(
        now()
            .duration_since(project.heard)
            .is_ok_and(|age| age <= STALE)
            || project.heard > now()
    );
    if !status.project_path.is_empty() {
        assert_eq!(status.project_name, project_name(&status.project_path));
    }
    assert_object(bytes, "unity_port", status.unity_port);

    let written = serde_json::to_vec(status).expect("a status is text and numbers");
    assert_eq!(self::project(&written).as_ref(), Some(&project));
    let whole = bytes.trim_ascii_end();
    for cut in (0..whole.len())
        .step_by(whole.len() / 32 + 1)
        .chain([whole.len() - 1])
    {
        assert_eq!(self::project(&whole[..cut]), None, "cut at {cut}");
    }
    choose(&project, bytes);
    age(project);
}

const KEY: &str = "f7577206";

/// Some time on 2026-07-14.
fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::new(1_784_000_000, 123_456_700)
}

fn project(bytes: &[u8]) -> Option<Project> {
    let name = format!("unity-mcp-status-{KEY}.json");
    match read(&name, bytes, Some(now()), now()) {
        Reading::Project(project) => Some(project),
        _ => None,
    }
}

fn port_file(bytes: &[u8]) {
    if let Some(file) = PortFile::read(bytes) {
        assert!(file.unity_port > 0);
        assert_object(bytes, "unity_port", file.unity_port);
        let written = serde_json::to_vec(&file).expect("a port file is text and numbers");
        assert_eq!(PortFile::read(&written), Some(file));
    }
}

/// What was read is what a parser of the whole file finds, where that can read it.
fn assert_object(bytes: &[u8], name: &str, number: u16) {
    if let Ok(value) = serde_json::from_slice::<Value>(bytes) {
        assert!(value.is_object(), "a list has no fields");
        assert_eq!(value[name], number);
    }
}

/// Nobody's project is chosen by chance, and one's own id always does.
fn choose(project: &Project, bytes: &[u8]) {
    let reading = |project: &Project| (project.key.clone(), Reading::Project(project.clone()));
    let one = Projects::default().updated(&[reading(project)], now());
    let id = project.id();
    let port = project.status.unity_port.to_string();
    for hint in [None, Some(KEY), Some(&*id), Some(&*port)] {
        assert_eq!(one.select(hint), Ok(project), "{hint:?}");
    }
    let _ = one.port_of(None).map_err(|error| error.to_string());

    let mut other = project.clone();
    other.key = "00000000".into();
    other.status.unity_port ^= 1;
    if other.status.unity_port == 0 {
        return;
    }
    let two = Projects::default().updated(&[reading(project), reading(&other)], now());
    assert_eq!(two.len(), 2);
    assert!(two.select(None).is_err());
    assert_eq!(two.select(Some(&id)), Ok(project));
    let hint = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]);
    let _ = two.select(Some(&hint)).map_err(|error| error.to_string());
}

/// Without news it stays until it is stale.
fn age(project: Project) {
    let heard = project.heard;
    let known = Projects::default().updated(&[(KEY.into(), Reading::Project(project))], now());
    let silent = [(KEY.into(), Reading::NoNews)];
    assert_eq!(known.updated(&silent, now().min(heard)), known);
    if let Some(later) = heard.checked_add(STALE + Duration::from_millis(1)) {
        assert!(known.updated(&silent, later).is_empty());
    }
}
