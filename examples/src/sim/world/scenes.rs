//! `manage_scene`: the open scene, its hierarchy, and the scenes on the disk.

use serde_json::{Value, json};

use super::World;
use super::answer::{Answer, Reply};
use super::params::Params;
use super::scene::Scene;

/// Scenes on the simulator's disk.
const SCENES: usize = 64;

impl World {
    pub(super) fn manage_scene(&mut self, params: Params<'_>) -> Reply {
        match params.action()?.as_str() {
            "get_hierarchy" => self.hierarchy(params),
            "get_active" => Ok(
                Answer::done("Retrieved active scene information.").with(json!({
                    "name": self.scene.name(),
                    "path": self.scene.path,
                    "buildIndex": 0,
                    "isDirty": self.scene.dirty,
                    "isLoaded": true,
                    "rootCount": self.scene.children(None).count(),
                })),
            ),
            "get_loaded_scenes" => Ok(Answer::done("Retrieved 1 loaded scene(s).").with(json!({
                "scenes": [{
                    "name": self.scene.name(),
                    "path": self.scene.path,
                    "isActive": true,
                    "isDirty": self.scene.dirty,
                }],
            }))),
            "get_build_settings" => {
                let scenes: Vec<Value> = self
                    .scene_paths()
                    .into_iter()
                    .enumerate()
                    .map(
                        |(index, path)| json!({"path": path, "enabled": true, "buildIndex": index}),
                    )
                    .collect();
                Ok(
                    Answer::done("Retrieved scenes from Build Settings.")
                        .with(Value::Array(scenes)),
                )
            }
            "scene_view_frame" => {
                let framed = match params.raw("sceneViewTarget") {
                    Some(_) => self.name_of(self.target(params, "sceneViewTarget")?),
                    None => self.scene.name().to_owned(),
                };
                Ok(Answer::done(format!("Scene View framed on '{framed}'.")))
            }
            "validate" => {
                let message = format!("Scene '{}' has no issues.", self.scene.name());
                Ok(Answer::done(message).with(json!({"totalIssues": 0, "issues": []})))
            }
            "set_active_scene" => {
                let name = self.loaded_scene(params)?;
                Ok(Answer::done(format!("Scene '{name}' is the active scene.")))
            }
            "close_scene" => {
                self.loaded_scene(params)?;
                Err(Answer::refused("Cannot close the last loaded scene."))
            }
            "move_to_scene" => {
                let object = self.name_of(self.target(params, "target")?);
                let name = self.loaded_scene(params)?;
                Ok(Answer::done(format!("'{object}' is in scene '{name}'.")))
            }
            "create" => self.create_scene(params),
            "load" => self.load_scene(params),
            "save" => self.save_scene(params),
            other => Err(Answer::refused(format!(
                "Unknown action: '{other}'. Valid actions: create, load, save, get_hierarchy, \
                 get_active, get_loaded_scenes, get_build_settings, scene_view_frame, \
                 set_active_scene, close_scene, move_to_scene, validate."
            ))),
        }
    }

    fn hierarchy(&self, params: Params<'_>) -> Reply {
        let (scope, parent) = match params.raw("parent") {
            None => ("roots", None),
            Some(_) => ("children", Some(self.target(params, "parent")?)),
        };
        let ids: Vec<i64> = self
            .scene
            .children(parent)
            .map(|object| object.id)
            .collect();
        let page =
            params
                .size("pageSize", 50, (1, 500))
                .min(params.size("maxNodes", 1_000, (1, 5_000)));
        let children_page = params.size("maxChildrenPerNode", 200, (0, 2_000));
        let transform = params.flag("includeTransform").unwrap_or(false);
        let cursor = params.size("cursor", 0, (0, usize::MAX)).min(ids.len());
        let end = cursor.saturating_add(page).min(ids.len());
        let items: Vec<Value> = ids[cursor..end]
            .iter()
            .map(|&id| self.scene.summary(id, transform, children_page))
            .collect();
        let truncated = end < ids.len();
        let message = format!(
            "Retrieved hierarchy page for scene '{}'.",
            self.scene.name()
        );
        Ok(Answer::done(message).with(json!({
            "scope": scope,
            "cursor": cursor,
            "pageSize": page,
            "next_cursor": truncated.then(|| end.to_string()),
            "truncated": truncated,
            "total": ids.len(),
            "items": items,
        })))
    }

    fn create_scene(&mut self, params: Params<'_>) -> Reply {
        let path = scene_path(params)?.ok_or_else(|| {
            Answer::refused("'name' and 'path' parameters are required for 'create' action.")
        })?;
        if self.scene_paths().contains(&path) {
            return Err(Answer::refused(format!(
                "Scene already exists at '{path}'."
            )));
        }
        self.room_for_a_scene()?;
        self.open(Scene::empty(path.clone()));
        self.ledger.effect("scene_created", path.clone());
        let file = path.rsplit('/').next().unwrap_or_default().to_owned();
        Ok(
            Answer::done(format!("Scene '{file}' created successfully at '{path}'."))
                .with(json!({"path": path})),
        )
    }

    fn load_scene(&mut self, params: Params<'_>) -> Reply {
        let path = match (scene_path(params)?, params.int("buildIndex")) {
            (Some(path), _) => path,
            (None, Some(index)) => usize::try_from(index)
                .ok()
                .and_then(|index| self.scene_paths().into_iter().nth(index))
                .ok_or_else(|| Answer::refused(format!("Invalid build index: {index}.")))?,
            (None, None) => {
                return Err(Answer::refused(
                    "Either 'name'/'path' or 'buildIndex' must be provided for 'load' action.",
                ));
            }
        };
        if self.scene.dirty {
            return Err(Answer::refused(
                "Current scene has unsaved changes. Please save or discard changes before loading \
                 a new scene.",
            ));
        }
        if path != self.scene.path {
            let Some(scene) = self.saved.remove(&path) else {
                return Err(Answer::refused(format!(
                    "Scene file not found at '{path}'."
                )));
            };
            self.open(scene);
        }
        self.ledger.effect("scene_loaded", path.clone());
        Ok(Answer::done(format!("Scene '{path}' loaded successfully."))
            .with(json!({"path": path, "name": self.scene.name()})))
    }

    fn save_scene(&mut self, params: Params<'_>) -> Reply {
        if let Some(path) = scene_path(params)? {
            if self.saved.contains_key(&path) {
                return Err(Answer::refused(format!(
                    "Scene already exists at '{path}'."
                )));
            }
            if path != self.scene.path {
                self.room_for_a_scene()?;
                self.saved
                    .insert(self.scene.path.clone(), self.scene.clone());
                self.scene.path = path;
            }
        }
        self.scene.dirty = false;
        let path = self.scene.path.clone();
        self.ledger.effect("scene_saved", path.clone());
        let name = self.scene.name();
        Ok(
            Answer::done(format!("Scene '{name}' saved successfully to '{path}'."))
                .with(json!({"path": path, "name": name})),
        )
    }

    /// The name of the scene that is meant, which must be the one that is open: the simulator loads
    /// no scene beside another.
    fn loaded_scene(&self, params: Params<'_>) -> Result<&str, Answer> {
        let wanted = ["sceneName", "scenePath", "name", "path"]
            .into_iter()
            .find_map(|key| params.text(key))
            .ok_or_else(|| Answer::refused("'sceneName' or 'scenePath' parameter is required."))?;
        if wanted == self.scene.name() || wanted == self.scene.path {
            return Ok(self.scene.name());
        }
        Err(Answer::refused(format!("Scene '{wanted}' is not loaded.")))
    }

    fn open(&mut self, scene: Scene) {
        let mut closed = std::mem::replace(&mut self.scene, scene);
        closed.dirty = false;
        self.saved.insert(closed.path.clone(), closed);
    }

    fn room_for_a_scene(&self) -> Result<(), Answer> {
        if self.saved.len() + 1 < SCENES {
            return Ok(());
        }
        Err(Answer::refused(format!(
            "The simulator's disk takes {SCENES} scenes."
        )))
    }

    /// The open scene first, then the others.
    fn scene_paths(&self) -> Vec<String> {
        std::iter::once(&self.scene.path)
            .chain(self.saved.keys())
            .cloned()
            .collect()
    }
}

/// `name` and `path` (a folder, or the file itself) as `Assets/…/Name.unity`.
fn scene_path(params: Params<'_>) -> Result<Option<String>, Answer> {
    let folder = params
        .text("path")
        .unwrap_or_else(|| "Scenes".to_owned())
        .replace('\\', "/");
    if folder.split('/').any(|part| part == "..") {
        return Err(Answer::refused(format!(
            "Invalid path. It must be within 'Assets/': '{folder}'"
        )));
    }
    let folder = folder.trim_matches('/');
    let folder = folder.strip_prefix("Assets/").unwrap_or(folder);
    if folder.ends_with(".unity") {
        return Ok(Some(format!("Assets/{folder}")));
    }
    let folder = if folder == "Assets" { "" } else { folder };
    let name = params.text("name");
    Ok(name.map(|name| format!("Assets/{folder}/{name}.unity").replace("//", "/")))
}
