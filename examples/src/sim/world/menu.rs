//! `execute_menu_item`: a few of Unity's entries, and the simulator's own menu.

use serde_json::{Value, json};

use super::answer::{Answer, Reply};
use super::console::Severity;
use super::params::Params;
use super::scene::{Component, GameObject};
use super::{Cause, World, components};
use crate::sim::strike::Point;

const RELOAD: &str = "Simulator/Reload Domain";
const REPORT: &str = "Simulator/Report";

/// What takes a moment in a larger project. A slow compilation changes nothing, so no reload follows it.
const COMPILE: &str = "Simulator/Slow Compilation";
const IMPORT: &str = "Simulator/Slow Import";
const TESTS: &str = "Simulator/Run All Tests";

/// What the plugin's window sets.
const BATCHES: &str = "Simulator/Batches Of 60";

/// A reload strikes the next command. Their names do not say "reload": the Python server (10.3) repeats
/// a command whose answer does.
const STRIKES: [(&str, Point); 4] = [
    ("Simulator/Strike Before Read", Point::BeforeRead),
    ("Simulator/Strike Before Effect", Point::BeforeEffect),
    ("Simulator/Strike After Effect", Point::AfterEffect),
    ("Simulator/Strike After Answer", Point::AfterAnswer),
];

/// The entries that exist. Anything else "might be invalid, disabled, or context-dependent".
const ITEMS: &[&str] = &[
    "File/Save",
    "File/Save Project",
    "GameObject/Create Empty",
    "GameObject/3D Object/Cube",
    "GameObject/3D Object/Sphere",
    "Window/General/Console",
    COMPILE,
    IMPORT,
    TESTS,
    BATCHES,
    RELOAD,
    REPORT,
    STRIKES[0].0,
    STRIKES[1].0,
    STRIKES[2].0,
    STRIKES[3].0,
];

impl World {
    pub(super) fn execute_menu_item(
        &mut self,
        now: u64,
        params: Params<'_>,
        reload: &mut Option<Cause>,
    ) -> Reply {
        let Some(path) = params
            .text("menuPath")
            .filter(|path| !path.trim().is_empty())
        else {
            return Err(Answer::refused(
                "Required parameter 'menu_path' or 'menuPath' is missing or empty.",
            ));
        };
        if path.eq_ignore_ascii_case("File/Quit") {
            return Err(Answer::refused(format!(
                "Execution of menu item '{path}' is blocked for safety reasons."
            )));
        }
        let Some(&item) = ITEMS.iter().find(|item| **item == path) else {
            let error = format!(
                "Failed to execute menu item '{path}'. It might be invalid, disabled, or \
                 context-dependent."
            );
            self.console
                .log(Severity::Error, format!("[MenuItemExecutor] {error}"));
            return Err(Answer::refused(error));
        };
        if let Some((_, point)) = STRIKES.iter().find(|(strike, _)| *strike == item) {
            self.strikes.arm(*point);
        }
        match item {
            COMPILE => self.editor.compile_slowly(now),
            IMPORT => self.editor.import_slowly(now),
            TESTS => self.tests.by_hand(now),
            BATCHES => self.editor.batch = 60,
            RELOAD => *reload = Some(Cause::Menu),
            REPORT => {
                let report = serde_json::to_value(self.report()).unwrap_or(Value::Null);
                return Ok(Answer::done("What ran, and what took effect.").with(report));
            }
            "File/Save" => {
                self.scene.dirty = false;
                self.ledger.effect("scene_saved", self.scene.path.clone());
            }
            "GameObject/Create Empty" => {
                self.spawn(GameObject::new(0, "GameObject"))?;
            }
            primitive => {
                let name = primitive.rsplit('/').next().unwrap_or(primitive);
                if let Ok(kinds) = components::of_primitive(name) {
                    let mut object = GameObject::new(0, name);
                    object.components = kinds.iter().map(|kind| Component::new(0, *kind)).collect();
                    self.spawn(object)?;
                }
            }
        }
        self.ledger.effect("menu_item", item);
        Ok(Answer::done(format!(
            "Attempted to execute menu item: '{item}'. Check Unity logs for confirmation or errors."
        )))
    }
}

pub(super) fn items() -> Answer {
    Answer::done("Retrieved menu items.").with(json!(ITEMS))
}
