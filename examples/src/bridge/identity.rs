//! Whether the editor that answers at a port is the one whose status file names that port. Pure.
//!
//! On the bridge's wire nobody says who it is, and a status file may lie: it stays behind when an editor crashes, and the next
//! editor takes the port. So a fresh connection is asked, before any command goes over it, which project is open there. The
//! question only reads; the installed plugin (10.1) answers it with `Application.dataPath`, of which the file's key is a hash.

use mcp_transport_core::{Error, ErrorKind, Message};
use mcp_transport_stdio::discovery::{Project, project_key};
use serde::Deserialize;
use std::time::SystemTime;

/// What is asked first.
pub(super) const QUESTION: &str = r#"{"type":"get_project_info","params":{}}"#;

/// Who answered.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Identity {
    /// The editor of this key.
    Same,
    /// The editor of another project: the one that is open here.
    Other(String),
    /// The plugin does not say: it is older than the question.
    Unsaid,
}

#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    result: Option<Info>,
}

#[derive(Deserialize)]
struct Info {
    #[serde(default)]
    data: Option<Paths>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Paths {
    assets_path: Option<String>,
    project_root: Option<String>,
}

/// Reads the answer to [`QUESTION`], for the editor of this key. `file` is what its status file says.
///
/// # Errors
/// `Malformed` for a frame that is no JSON object.
pub(super) fn read(key: &str, file: Option<&Project>, answer: &Message) -> Result<Identity, Error> {
    let said: serde_json::Value = serde_json::from_slice(answer.as_bytes())
        .map_err(|error| Error::new(ErrorKind::Malformed).because(error))?;
    let said = Said::deserialize(said).ok();
    let paths = said.and_then(|said| said.result?.data).unwrap_or_default();
    let root = paths.project_root.filter(|root| !root.is_empty());
    let assets = paths.assets_path.filter(|path| !path.is_empty());
    let assets =
        assets.or_else(|| root.map(|root| format!("{}/Assets", root.trim_end_matches('/'))));
    let Some(assets) = assets else {
        return Ok(Identity::Unsaid);
    };
    // Where the plugin could not hash its path, the file's name says `default`, and only the path within it tells.
    let named = file.is_some_and(|file| is_hashless(key) && file.status.project_path == assets);
    Ok(if named || project_key(&assets) == key {
        Identity::Same
    } else {
        Identity::Other(assets)
    })
}

/// True if the file proves by itself that the connection is its editor's: it was written after that was made, names its port,
/// and says that it listens there. On a port there is one listener.
pub(super) fn vouches(file: &Project, port: u16, connected: SystemTime) -> bool {
    file.heard > connected && file.is_ready() && file.status.unity_port == port
}

/// What is wrong with a port at which somebody else's editor answers.
pub(super) fn somebody_elses(port: u16, open: &str) -> Error {
    Error::new(ErrorKind::Unreachable).context(format!(
        "the editor that listens on port {port} has {open} open"
    ))
}

fn is_hashless(key: &str) -> bool {
    key.len() != 8 || !key.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::need::{Past, Plan, plan};
    use mcp_transport_stdio::discovery::{Projects, Reading, Reason, Status};
    use serde_json::json;
    use std::time::Duration;

    const GAME: &str = "/projects/Game/Assets";

    fn file(key: &str, heard: u64) -> Project {
        let heard = SystemTime::UNIX_EPOCH + Duration::from_secs(heard);
        Project::new(key, Status::new(6400, GAME), heard)
    }

    fn says(key: &str, data: serde_json::Value) -> Identity {
        let answer = json!({"status": "success", "result": {"success": true, "data": data}});
        read(key, Some(&file(key, 0)), &Message::from(answer.to_string())).unwrap()
    }

    #[test]
    fn an_editor_is_known_by_the_path_of_the_project_that_it_has_open() {
        let key = project_key(GAME);
        let other = Identity::Other("/projects/Other/Assets".to_owned());
        for (data, expected) in [
            (
                json!({"assetsPath": GAME, "projectRoot": "/elsewhere"}),
                Identity::Same,
            ),
            (
                json!({"assetsPath": "", "projectRoot": "/projects/Game"}),
                Identity::Same,
            ),
            (json!({"projectRoot": "/projects/Other/"}), other),
            (json!({"projectName": "Game"}), Identity::Unsaid),
            (json!("Game"), Identity::Unsaid),
        ] {
            assert_eq!(says(&key, data.clone()), expected, "{data}");
        }
        // A file whose name tells nothing is known by the path within.
        assert_eq!(says("default", json!({"assetsPath": GAME})), Identity::Same);
        assert!(matches!(
            says("default", json!({"assetsPath": "/x/Assets"})),
            Identity::Other(_)
        ));
        // Whatever path a lying file names, its key is the identity.
        let lying = project_key("/projects/Other/Assets");
        assert!(matches!(
            says(&lying, json!({"assetsPath": GAME})),
            Identity::Other(_)
        ));
    }

    #[test]
    fn a_plugin_that_does_not_know_the_question_says_nothing_and_one_without_json_is_none() {
        let unknown =
            r#"{"status":"error","error":"Unknown or unsupported command type: get_project_info"}"#;
        let read = |text: &'static str| read("0", None, &Message::from(text));
        assert_eq!(read(unknown).unwrap(), Identity::Unsaid);
        assert_eq!(read("not json").unwrap_err().kind(), ErrorKind::Malformed);
    }

    #[test]
    fn a_file_vouches_for_a_connection_only_if_it_was_written_after_it_and_names_its_port() {
        let connected = SystemTime::UNIX_EPOCH + Duration::from_secs(10);
        assert!(vouches(&file("k", 11), 6400, connected));
        assert!(!vouches(&file("k", 10), 6400, connected));
        assert!(!vouches(&file("k", 11), 6401, connected));
        let mut reloading = file("k", 11);
        reloading.status.reason = Reason::Reloading;
        assert!(!vouches(&reloading, 6400, connected));
    }

    /// Three editors on ports that they give up, take over and swap, and whose files lag behind.
    struct World {
        now: SystemTime,
        ports: [Option<u16>; 3],
        files: [Option<Project>; 3],
    }

    impl World {
        fn path(editor: usize) -> String {
            format!("/projects/Game{editor}/Assets")
        }

        fn write(&mut self, editor: usize) {
            if let Some(port) = self.ports[editor] {
                let mut status = Status::new(port, Self::path(editor));
                status.reason = Reason::Ready;
                status.seat = false;
                let key = project_key(&status.project_path);
                self.files[editor] = Some(Project::new(key, status, self.now));
            }
        }

        /// What answers at a port.
        fn answer(&self, port: u16) -> Option<(usize, Message)> {
            let editor = self.ports.iter().position(|one| *one == Some(port))?;
            let data = json!({"assetsPath": Self::path(editor)});
            let answer = json!({"status": "success", "result": {"success": true, "data": data}});
            Some((editor, Message::from(answer.to_string())))
        }
    }

    #[test]
    fn editors_that_swap_ports_for_10_000_steps_get_no_command_of_another_project() {
        let (mut state, mut delivered, mut saved) = (7_u64, 0, 0);
        let mut below = move |limit: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            usize::try_from(state >> 33).expect("31 bits") % limit
        };
        let mut world = World {
            now: SystemTime::UNIX_EPOCH,
            ports: [Some(6400), Some(6401), Some(6402)],
            files: [None, None, None],
        };
        let mut known = Projects::default();
        for _ in 0..10_000 {
            world.now += Duration::from_millis(100);
            let (editor, other) = (below(3), below(3));
            match below(8) {
                0 => world.ports.swap(editor, other),
                1 => world.ports[editor] = None,
                2 => {
                    let port = 6400 + u16::try_from(below(3)).expect("it is small");
                    if !world.ports.contains(&Some(port)) {
                        world.ports[editor] = Some(port);
                    }
                }
                3 | 4 => world.write(editor),
                5 => {
                    let files = world.files.iter().flatten();
                    let read = files.map(|one| (one.key.clone(), Reading::Project(one.clone())));
                    known = known.updated(&read.collect::<Vec<_>>(), world.now);
                }
                // A call for this one: dial, ask, and only then send.
                _ => {
                    let key = project_key(&World::path(editor));
                    let file = known.iter().find(|one| one.key == key);
                    let Plan::Dial { port, .. } = plan(file, &Past::New, true, false) else {
                        continue;
                    };
                    let Some((there, answer)) = world.answer(port) else {
                        continue;
                    };
                    if read(&key, file, &answer).unwrap() == Identity::Same {
                        assert_eq!(there, editor, "it reached another project");
                        delivered += 1;
                    } else {
                        assert_ne!(there, editor, "it is refused to its own");
                        saved += 1;
                    }
                }
            }
        }
        assert!(
            delivered > 200 && saved > 50,
            "{delivered} delivered, {saved} saved"
        );
    }
}
