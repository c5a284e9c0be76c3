//! What the simulated editor knows and does: the plugin's commands on a small scene.
//!
//! Pure: no socket, no clock (times are arguments, in Unix milliseconds), no randomness beyond the
//! seed. The same commands at the same times give the same answers.
//!
//! ```
//! use examples::sim::world::{Command, Project, World};
//! use serde_json::json;
//!
//! let mut world = World::new(Project::default(), 0);
//! let params = json!({"action": "create", "name": "Cube"});
//! let outcome = world.execute(1_000, Command::new("manage_gameobject", &params));
//! assert_eq!(outcome.answer["result"]["success"], true);
//!
//! // Unity lets two objects bear one name, so a command that runs twice shows.
//! world.execute(1_001, Command::new("manage_gameobject", &params));
//! assert_eq!(world.report().objects_created["Cube"], 2);
//! ```

mod answer;
mod batch;
mod components;
mod console;
pub mod csharp;
mod custom;
mod editor;
mod ledger;
mod menu;
mod objects;
mod params;
mod project;
mod scene;
mod scenes;
mod scripts;
mod tests;
mod tools;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use self::answer::{Answer, Reply};
pub use self::batch::{BATCH_DEFAULT, BATCH_MAX};
use self::console::Console;
pub use self::console::{CONSOLE_ENTRIES, Severity};
use self::custom::Job;
use self::editor::Editor;
use self::ledger::Ledger;
pub use self::ledger::{EFFECT_LINES, Effect, LEDGER_ROWS, Ran, Report};
use self::params::Params;
pub use self::project::Project;
pub use self::scene::SCENE_OBJECTS;
use self::scene::Scene;
use self::scripts::Scripts;
pub use self::scripts::{SCRIPT_BYTES, SCRIPTS};
use self::tests::Tests;
pub use self::tools::Tools;
use super::strike::Strikes;

/// A command as `execute` brings it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Command<'a> {
    /// `execute.id`, by which [`Report::ids_run_twice`] tells a redelivery from a second wish.
    pub id: Option<&'a str>,
    /// The wire name.
    pub name: &'a str,
    /// The parameters; anything but an object counts as none.
    pub params: &'a Value,
}

impl<'a> Command<'a> {
    /// A command without an id.
    #[must_use]
    pub fn new(name: &'a str, params: &'a Value) -> Self {
        Self {
            id: None,
            name,
            params,
        }
    }

    /// The same command under `id`.
    #[must_use]
    pub fn with_id(mut self, id: &'a str) -> Self {
        self.id = Some(id);
        self
    }
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Outcome {
    /// The envelope that belongs into `command_result.result`.
    pub answer: Value,
    /// The domain reload that the command causes. It takes effect first; the answer may get lost.
    pub reload: Option<Cause>,
}

/// What made the domain reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cause {
    /// Scripts changed, and they compile.
    Scripts,
    /// Play mode began or ended.
    PlayMode,
    /// The menu item `Simulator/Reload Domain`.
    Menu,
    /// The timer of [`Options::reload_every`](super::Options::reload_every).
    Timer,
    /// The handle's [`Editor::reload`](super::Editor::reload) or
    /// [`Editor::strike`](super::Editor::strike), or a menu item `Simulator/Strike …`.
    Operator,
}

/// The editor's whole memory. It survives reloads, and the plugin that shows it.
#[derive(Clone, Debug)]
pub struct World {
    project: Project,
    scene: Scene,
    /// The scenes that are saved and not open, by path.
    saved: BTreeMap<String, Scene>,
    scripts: Scripts,
    console: Console,
    editor: Editor,
    jobs: BTreeMap<String, Job>,
    tests: Tests,
    tools: Tools,
    ledger: Ledger,
    strikes: Strikes,
    next_id: i64,
}

impl World {
    /// A project with Unity's sample scene: a camera and a light.
    #[must_use]
    pub fn new(project: Project, seed: u64) -> Self {
        let mut world = Self {
            project,
            scene: Scene::empty("Assets/Scenes/SampleScene.unity"),
            saved: BTreeMap::new(),
            scripts: Scripts::default(),
            console: Console::default(),
            editor: Editor::default(),
            jobs: BTreeMap::new(),
            tests: Tests::default(),
            tools: Tools::default(),
            ledger: Ledger::default(),
            strikes: Strikes::new(seed),
            next_id: -1_000,
        };
        world.furnish();
        world
    }

    /// The same with tools of the project's own, or without some of the plugin's.
    #[must_use]
    pub fn with_tools(mut self, tools: Tools) -> Self {
        self.tools = tools;
        self
    }

    /// Executes one command at the time `now_unix_ms`. It never panics and never fails: what goes
    /// wrong is an answer.
    pub fn execute(&mut self, now_unix_ms: u64, command: Command<'_>) -> Outcome {
        let began = self.ledger.begin(now_unix_ms, command.id);
        let mut reload = None;
        let answer = self.run(now_unix_ms, command.name, command.params, &mut reload);
        self.ledger.end(began, command.name, command.params);
        Outcome {
            answer: answer.into_envelope(),
            reload,
        }
    }

    /// The domain goes: until [`end_reload`](Self::end_reload) nobody may execute anything.
    pub fn begin_reload(&mut self, now_unix_ms: u64, cause: Cause) {
        self.ledger.reloaded(cause);
        self.editor.begin_reload(now_unix_ms);
    }

    /// The domain is back, with everything that it knew.
    pub fn end_reload(&mut self, now_unix_ms: u64) {
        self.editor.end_reload(now_unix_ms);
    }

    /// Whether the domain is gone and not yet back.
    #[must_use]
    pub fn is_reloading(&self) -> bool {
        self.editor.is_reloading()
    }

    /// Writes a line into the console, as a game would.
    pub fn log(&mut self, severity: Severity, message: impl Into<String>) {
        self.console.log(severity, message);
    }

    /// What ran and what took effect.
    #[must_use]
    pub fn report(&self) -> Report {
        self.ledger.report(&self.strikes)
    }

    /// How many objects of the open scene bear this name.
    #[must_use]
    pub fn objects_named(&self, name: &str) -> usize {
        self.scene
            .objects
            .iter()
            .filter(|object| object.name == name)
            .count()
    }

    /// The text of the script at this path (`Assets/…/Name.cs`).
    #[must_use]
    pub fn script(&self, path: &str) -> Option<&str> {
        self.scripts.text(path)
    }

    /// Whether the game runs.
    #[must_use]
    pub fn is_playing(&self) -> bool {
        self.editor.is_playing()
    }

    /// The project that is open.
    #[must_use]
    pub fn project(&self) -> &Project {
        &self.project
    }

    /// Where reloads strike.
    #[must_use]
    pub fn strikes(&self) -> &Strikes {
        &self.strikes
    }

    /// Where reloads strike, to arm one or to draw one.
    pub fn strikes_mut(&mut self) -> &mut Strikes {
        &mut self.strikes
    }

    /// The tools that the plugin registers: the built-in ones, two of its own, and those of its project; without those that
    /// are switched off.
    #[must_use]
    pub fn tools(&self) -> Value {
        self.tools.definitions()
    }

    fn run(&mut self, now: u64, name: &str, params: &Value, reload: &mut Option<Cause>) -> Answer {
        self.dispatch(now, name, params, reload)
            .unwrap_or_else(|early| early)
    }

    fn dispatch(&mut self, now: u64, name: &str, raw: &Value, reload: &mut Option<Cause>) -> Reply {
        let params = Params::new(raw);
        match name {
            "ping" => Ok(Answer::Bare(serde_json::json!({"message": "pong"}))),
            "get_editor_state" => Ok(self.editor_state(now)),
            "get_project_info" => {
                Ok(Answer::done("Retrieved project info.").with(self.project.info()))
            }
            "get_tool_states" => Ok(self.tools.states()),
            off if self.tools.is_off(off) => Err(Answer::Threw {
                error: format!("Tool '{off}' is disabled in the Unity Editor."),
            }),
            "get_tags" => Ok(self.tags()),
            "get_layers" => Ok(self.layers()),
            "manage_scene" => self.manage_scene(params),
            "manage_gameobject" => self.manage_gameobject(params),
            "find_gameobjects" => self.find_gameobjects(params),
            "get_gameobject" => self.get_gameobject(params),
            "manage_components" => self.manage_components(params),
            "manage_script" => self.manage_script(now, params, reload),
            "refresh_unity" => Ok(self.refresh(now, params, reload)),
            "read_console" => self.console.execute(params),
            "manage_editor" => self.manage_editor(params, reload),
            "execute_menu_item" => self.execute_menu_item(now, params, reload),
            "get_menu_items" => Ok(menu::items()),
            "run_tests" => self.run_tests(now, params),
            "get_test_job" => self.test_job(now, params),
            "batch_execute" => self.batch(now, params, reload),
            "sim_spawn_row" => self.spawn_row(params),
            "sim_slow_job" => self.slow_job(now, params),
            other => match self.tools.own(other) {
                Some(own) => self.own_tool(now, &own, params),
                None => Err(Answer::Threw {
                    error: format!("Unknown or unsupported command type: {other}"),
                }),
            },
        }
    }

    fn new_id(&mut self) -> i64 {
        // What Unity creates while it runs has negative, even ids.
        self.next_id -= 2;
        self.next_id
    }
}
