//! The editor itself: play mode, tags and layers, compilation, and `get_editor_state`.

use serde_json::{Value, json};

use super::answer::{Answer, Reply};
use super::batch::BATCH_DEFAULT;
use super::console::Severity;
use super::params::Params;
use super::{Cause, World};

/// Layers that a user may name begin here; Unity has 32 in all.
const FIRST_USER_LAYER: usize = 8;
const LAYERS: usize = 32;

/// Tags that a project takes here.
const TAGS: usize = 256;

/// How long what is called slow takes.
const SLOW_MS: u64 = 2_000;

#[derive(Clone, Debug)]
pub(super) struct Editor {
    playing: bool,
    paused: bool,
    tool: String,
    tags: Vec<String>,
    /// By number; an empty name is a free layer.
    layers: Vec<String>,
    sequence: u64,
    reload_pending: bool,
    /// How many commands a batch may have.
    pub(super) batch: usize,
    compiles_until: u64,
    imports_until: u64,
    compile_started: Option<u64>,
    compile_finished: Option<u64>,
    reload_before: Option<u64>,
    reload_after: Option<u64>,
}

impl Default for Editor {
    fn default() -> Self {
        let mut layers = vec![String::new(); LAYERS];
        for (number, name) in [
            (0, "Default"),
            (1, "TransparentFX"),
            (2, "Ignore Raycast"),
            (4, "Water"),
            (5, "UI"),
        ] {
            layers[number] = name.to_owned();
        }
        let tags = [
            "Untagged",
            "Respawn",
            "Finish",
            "EditorOnly",
            "MainCamera",
            "Player",
        ];
        Self {
            playing: false,
            paused: false,
            tool: "Move".to_owned(),
            tags: tags.map(str::to_owned).to_vec(),
            layers,
            sequence: 0,
            reload_pending: false,
            batch: BATCH_DEFAULT,
            compiles_until: 0,
            imports_until: 0,
            compile_started: None,
            compile_finished: None,
            reload_before: None,
            reload_after: None,
        }
    }
}

impl Editor {
    pub(super) fn is_playing(&self) -> bool {
        self.playing
    }

    pub(super) fn is_reloading(&self) -> bool {
        self.reload_pending
    }

    pub(super) fn layer_names(&self) -> &[String] {
        &self.layers
    }

    /// A layer by its name or its number.
    pub(super) fn layer(&self, wanted: &str) -> Option<usize> {
        let named = self
            .layers
            .iter()
            .position(|name| !name.is_empty() && name == wanted);
        named.or_else(|| {
            wanted
                .parse()
                .ok()
                .filter(|&number: &usize| number < LAYERS)
        })
    }

    /// The plugin defines a tag that an object is given and that the project lacks.
    pub(super) fn ensure_tag(&mut self, tag: &str) -> Result<(), String> {
        if self.tags.iter().any(|known| known == tag) {
            return Ok(());
        }
        if self.tags.len() >= TAGS {
            return Err(format!("The simulator's project takes {TAGS} tags."));
        }
        self.tags.push(tag.to_owned());
        Ok(())
    }

    pub(super) fn compiled(&mut self, now: u64) {
        self.sequence += 1;
        self.compile_started = Some(now);
        self.compile_finished = Some(now);
    }

    pub(super) fn compile_slowly(&mut self, now: u64) {
        self.compile_started = Some(now);
        self.compiles_until = now.saturating_add(SLOW_MS);
        self.compile_finished = Some(self.compiles_until);
    }

    pub(super) fn import_slowly(&mut self, now: u64) {
        self.imports_until = now.saturating_add(SLOW_MS);
    }

    pub(super) fn begin_reload(&mut self, now: u64) {
        self.sequence += 1;
        self.reload_pending = true;
        self.reload_before = Some(now);
    }

    pub(super) fn end_reload(&mut self, now: u64) {
        self.sequence += 1;
        self.reload_pending = false;
        self.reload_after = Some(now);
    }
}

impl World {
    pub(super) fn editor_state(&mut self, now: u64) -> Answer {
        let editor = &mut self.editor;
        editor.sequence += 1;
        let (compiles, imports) = (now < editor.compiles_until, now < editor.imports_until);
        let phase = if self.tests.is_running(now) {
            "running_tests"
        } else if compiles {
            "compiling"
        } else if editor.reload_pending {
            "domain_reload"
        } else if imports {
            "asset_import"
        } else if editor.playing {
            "playmode_transition"
        } else {
            "idle"
        };
        Answer::done("Retrieved editor state.").with(json!({
            "schema_version": "unity-mcp/editor_state@2",
            "observed_at_unix_ms": now,
            "sequence": editor.sequence,
            "unity": {
                "instance_id": null,
                "unity_version": self.project.unity_version,
                "project_id": null,
                "platform": "LinuxEditor",
                "is_batch_mode": false,
            },
            "editor": {
                "is_focused": false,
                "play_mode": {
                    "is_playing": editor.playing,
                    "is_paused": editor.paused,
                    // Unity's "playing or about to change", so true all along.
                    "is_changing": editor.playing,
                },
                "active_scene": {
                    "path": self.scene.path,
                    "guid": null,
                    "name": self.scene.name(),
                },
            },
            "activity": {"phase": phase, "since_unix_ms": now, "reasons": ["request"]},
            "compilation": {
                "is_compiling": compiles,
                "is_domain_reload_pending": editor.reload_pending,
                "last_compile_started_unix_ms": editor.compile_started,
                "last_compile_finished_unix_ms": editor.compile_finished.filter(|_| !compiles),
                "last_domain_reload_before_unix_ms": editor.reload_before,
                "last_domain_reload_after_unix_ms": editor.reload_after,
            },
            "assets": {
                "is_updating": imports,
                "external_changes_dirty": false,
                "external_changes_last_seen_unix_ms": null,
                "refresh": {
                    "is_refresh_in_progress": false,
                    "last_refresh_requested_unix_ms": null,
                    "last_refresh_finished_unix_ms": null,
                },
            },
            "tests": self.tests.state(now),
            "transport": {"unity_bridge_connected": null, "last_message_unix_ms": null},
            "settings": {"batch_execute_max_commands": editor.batch},
        }))
    }

    pub(super) fn tags(&self) -> Answer {
        Answer::done("Retrieved tags.").with(json!(self.editor.tags))
    }

    pub(super) fn layers(&self) -> Answer {
        let named: serde_json::Map<String, Value> = self
            .editor
            .layers
            .iter()
            .enumerate()
            .filter(|(_, name)| !name.is_empty())
            .map(|(number, name)| (number.to_string(), json!(name)))
            .collect();
        Answer::done("Retrieved layers.").with(Value::Object(named))
    }

    pub(super) fn refresh(
        &mut self,
        now: u64,
        params: Params<'_>,
        reload: &mut Option<Cause>,
    ) -> Answer {
        let is = |key: &str, value: &str| {
            params
                .text(key)
                .is_some_and(|text| text.eq_ignore_ascii_case(value))
        };
        let (requested, forced) = (is("compile", "request"), is("mode", "force"));
        let compiles = forced || (requested && self.scripts.changed());
        if compiles {
            *reload = self.compile(now).or(*reload);
        }
        Answer::done("Refresh requested.").with(json!({
            "refresh_triggered": !is("scope", "scripts"),
            "compile_requested": requested,
            "compile_started": compiles,
            "resulting_state": "idle",
            "hint": "If Unity enters compilation/domain reload, poll the mcpforunity://editor/state \
                     resource until data.advice.ready_for_tools is true.",
        }))
    }

    pub(super) fn manage_editor(
        &mut self,
        params: Params<'_>,
        reload: &mut Option<Cause>,
    ) -> Reply {
        match params.action()?.as_str() {
            "play" => Ok(self.play(reload)),
            "pause" if self.editor.playing => {
                self.editor.paused = !self.editor.paused;
                let (what, message) = match self.editor.paused {
                    true => ("paused", "Game paused."),
                    false => ("resumed", "Game resumed."),
                };
                self.ledger.effect(what, "play_mode");
                Ok(Answer::done(message))
            }
            "pause" => Err(Answer::refused("Cannot pause/resume: Not in play mode.")),
            "stop" if self.editor.playing => {
                self.editor.playing = false;
                self.editor.paused = false;
                self.ledger.effect("play_stopped", "play_mode");
                *reload = Some(Cause::PlayMode);
                Ok(Answer::done("Exited play mode."))
            }
            "stop" => Ok(Answer::done("Already stopped (not in play mode).")),
            "set_active_tool" => self.set_tool(&params.required("toolName")?),
            "add_tag" => self.add_tag(&params.required("tagName")?),
            "remove_tag" => self.remove_tag(&params.required("tagName")?),
            "add_layer" => self.add_layer(&params.required("layerName")?),
            "remove_layer" => self.remove_layer(&params.required("layerName")?),
            unsupported @ ("undo" | "redo" | "deploy_package" | "restore_package") => Err(
                Answer::refused(format!("The simulator cannot '{unsupported}'.")),
            ),
            other => Err(Answer::refused(format!(
                "Unknown action: '{other}'. Supported actions: play, pause, stop, \
                 set_active_tool, add_tag, remove_tag, add_layer, remove_layer."
            ))),
        }
    }

    fn play(&mut self, reload: &mut Option<Cause>) -> Answer {
        if self.editor.playing {
            return Answer::done("Already in play mode.");
        }
        // The plugin only asks for play mode; Unity declines afterwards, on the console.
        if !self.scripts.compiles() {
            self.console.log(
                Severity::Error,
                "All compiler errors have to be fixed before you can enter playmode!",
            );
        } else {
            self.editor.playing = true;
            self.ledger.effect("play_started", "play_mode");
            *reload = Some(Cause::PlayMode);
        }
        Answer::done("Entered play mode.")
    }

    fn set_tool(&mut self, tool: &str) -> Reply {
        const TOOLS: [&str; 6] = ["View", "Move", "Rotate", "Scale", "Rect", "Transform"];
        let Some(known) = TOOLS.iter().find(|known| known.eq_ignore_ascii_case(tool)) else {
            return Err(Answer::refused(format!(
                "Could not parse '{tool}' as a standard Unity Tool ({}).",
                TOOLS.join(", ")
            )));
        };
        if self.editor.tool != *known {
            self.editor.tool = (*known).to_owned();
            self.ledger.effect("tool_set", *known);
        }
        Ok(Answer::done(format!("Set active tool to '{known}'.")))
    }

    fn add_tag(&mut self, tag: &str) -> Reply {
        if self.editor.tags.iter().any(|known| known == tag) {
            return Err(Answer::refused(format!("Tag '{tag}' already exists.")));
        }
        self.editor.ensure_tag(tag).map_err(Answer::refused)?;
        self.ledger.effect("tag_added", tag);
        Ok(Answer::done(format!("Tag '{tag}' added successfully.")))
    }

    fn remove_tag(&mut self, tag: &str) -> Reply {
        if tag.eq_ignore_ascii_case("Untagged") {
            return Err(Answer::refused(
                "Cannot remove the built-in 'Untagged' tag.",
            ));
        }
        let Some(at) = self.editor.tags.iter().position(|known| known == tag) else {
            return Err(Answer::refused(format!("Tag '{tag}' does not exist.")));
        };
        self.editor.tags.remove(at);
        self.ledger.effect("tag_removed", tag);
        Ok(Answer::done(format!("Tag '{tag}' removed successfully.")))
    }

    fn add_layer(&mut self, layer: &str) -> Reply {
        if let Some(at) = self.editor.layers.iter().position(|known| known == layer) {
            return Err(Answer::refused(format!(
                "Layer '{layer}' already exists at index {at}."
            )));
        }
        let free = (FIRST_USER_LAYER..LAYERS).find(|&at| self.editor.layers[at].is_empty());
        let Some(at) = free else {
            return Err(Answer::refused(
                "No empty User Layer slots available (8-31 are full).",
            ));
        };
        self.editor.layers[at] = layer.to_owned();
        self.ledger.effect("layer_added", layer);
        Ok(Answer::done(format!(
            "Layer '{layer}' added successfully to slot {at}."
        )))
    }

    fn remove_layer(&mut self, layer: &str) -> Reply {
        let found = (FIRST_USER_LAYER..LAYERS).find(|&at| self.editor.layers[at] == layer);
        let Some(at) = found else {
            return Err(Answer::refused(format!("User layer '{layer}' not found.")));
        };
        self.editor.layers[at].clear();
        self.ledger.effect("layer_removed", layer);
        Ok(Answer::done(format!(
            "Layer '{layer}' (slot {at}) removed successfully."
        )))
    }
}
