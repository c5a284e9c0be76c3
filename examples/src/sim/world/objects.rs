//! `manage_gameobject`, `find_gameobjects`, `get_gameobject`.

use serde_json::{Value, json};

use super::answer::{Answer, Reply};
use super::params::Params;
use super::scene::{Component, GameObject, SCENE_OBJECTS, add, subtract};
use super::{World, components};

impl World {
    pub(super) fn manage_gameobject(&mut self, params: Params<'_>) -> Reply {
        match params.action()?.as_str() {
            "create" => self.create(params),
            "modify" => self.modify(params),
            "delete" => self.delete(params),
            "duplicate" => self.duplicate(params),
            "move_relative" => self.move_relative(params),
            "look_at" => self.look_at(params),
            other => Err(Answer::refused(format!("Unknown action: '{other}'."))),
        }
    }

    pub(super) fn find_gameobjects(&mut self, params: Params<'_>) -> Reply {
        let Some(term) = params.raw("searchTerm").or_else(|| params.raw("target")) else {
            return Err(Answer::refused(
                "'searchTerm' or 'target' parameter is required.",
            ));
        };
        let method = params
            .text("searchMethod")
            .unwrap_or_else(|| "by_name".to_owned());
        let inactive = params.flag("includeInactive").unwrap_or(false);
        let mut ids = self
            .scene
            .find(term, Some(&method), self.editor.layer_names());
        ids.retain(|&id| inactive || self.scene.active_in_hierarchy(id));

        let page_size = params.size("pageSize", 50, (1, 500));
        let cursor = params.size("cursor", 0, (0, usize::MAX)).min(ids.len());
        let end = cursor.saturating_add(page_size).min(ids.len());
        let more = end < ids.len();
        Ok(Answer::done("Found GameObjects").with(json!({
            "instanceIDs": ids[cursor..end],
            "pageSize": page_size,
            "cursor": cursor,
            "nextCursor": more.then_some(end),
            "totalCount": ids.len(),
            "hasMore": more,
        })))
    }

    pub(super) fn get_gameobject(&mut self, params: Params<'_>) -> Reply {
        let id = params.int("instanceID").unwrap_or(0);
        if self.scene.object(id).is_none() {
            return Err(Answer::refused(format!(
                "GameObject with instance ID {id} not found."
            )));
        }
        Ok(Answer::done("Retrieved GameObject.").with(self.scene.data(id)))
    }

    /// The first object that `key` names, or the plugin's refusal.
    pub(super) fn target(&self, params: Params<'_>, key: &str) -> Result<i64, Answer> {
        let method = params.text("searchMethod");
        let Some(target) = params.raw(key) else {
            return Err(Answer::refused(format!("'{key}' parameter is required.")));
        };
        self.found(target, method.as_deref())
            .first()
            .copied()
            .ok_or_else(|| {
                let method = method.as_deref().unwrap_or("default");
                let target = shown(target);
                Answer::refused(format!(
                    "Target GameObject ('{target}') not found using method '{method}'."
                ))
            })
    }

    /// Adds an object to the scene and says that it did.
    pub(super) fn spawn(&mut self, mut object: GameObject) -> Result<i64, Answer> {
        if self.scene.objects.len() >= SCENE_OBJECTS {
            return Err(Answer::refused(format!(
                "The simulator's scene is full: it takes {SCENE_OBJECTS} objects. Delete some."
            )));
        }
        object.id = self.new_id();
        for at in 0..object.components.len() {
            object.components[at].id = self.new_id();
        }
        let id = object.id;
        self.ledger.effect("object_created", &object.name);
        self.scene.objects.push(object);
        self.scene.dirty = true;
        Ok(id)
    }

    /// Unity's sample scene; it was there before anybody looked, so it is no effect.
    pub(super) fn furnish(&mut self) {
        for (name, tag, kinds) in [
            (
                "Main Camera",
                "MainCamera",
                &["UnityEngine.Camera", "UnityEngine.AudioListener"][..],
            ),
            ("Directional Light", "Untagged", &["UnityEngine.Light"][..]),
        ] {
            let mut object = GameObject::new(self.new_id(), name);
            object.tag = tag.to_owned();
            for kind in kinds {
                let component = Component::new(self.new_id(), *kind);
                object.components.push(component);
            }
            self.scene.objects.push(object);
        }
    }

    fn found(&self, target: &Value, method: Option<&str>) -> Vec<i64> {
        self.scene.find(target, method, self.editor.layer_names())
    }

    fn create(&mut self, params: Params<'_>) -> Reply {
        let name = params
            .text("name")
            .ok_or_else(|| Answer::refused("'name' parameter is required for 'create' action."))?;
        let mut object = GameObject::new(0, name.clone());
        if let Some(primitive) = params.text("primitiveType") {
            for kind in components::of_primitive(&primitive)? {
                object.components.push(Component::new(0, *kind));
            }
        }
        let parent = match params.raw("parent") {
            None => None,
            Some(parent) => match self.found(parent, None).first() {
                Some(&id) => Some(id),
                None => {
                    let parent = shown(parent);
                    return Err(Answer::refused(format!(
                        "Parent specified ('{parent}') but not found."
                    )));
                }
            },
        };
        self.dress(&mut object, params)?;
        let id = self.spawn(object)?;
        if parent.is_some() {
            // The position that was asked for is relative to the parent.
            let local = self.scene.object(id).map(|object| object.position);
            if let Err(why) = self.scene.set_parent(id, parent) {
                self.scene.remove(id);
                return Err(Answer::refused(why));
            }
            if let (Some(object), Some(local)) = (self.scene.object_mut(id), local) {
                object.position = local;
            }
        }
        Ok(Answer::done(format!(
            "GameObject '{name}' created successfully in scene."
        ))
        .with(self.scene.data(id)))
    }

    fn modify(&mut self, params: Params<'_>) -> Reply {
        let id = self.target(params, "target")?;
        let Some(before) = self.scene.object(id).cloned() else {
            return Err(Answer::refused("The object is gone."));
        };
        let mut object = before.clone();
        if let Some(name) = params.text("name") {
            object.name = name;
        }
        self.dress(&mut object, params)?;
        let name = object.name.clone();
        if let Some(parent) = params.raw("parent") {
            let parent = match parent {
                Value::String(text) if text.is_empty() => None,
                parent => Some(*self.found(parent, None).first().ok_or_else(|| {
                    Answer::refused(format!("New parent ('{}') not found.", shown(parent)))
                })?),
            };
            self.scene.set_parent(id, parent).map_err(Answer::refused)?;
        }
        let mut changed = false;
        if let Some(slot) = self.scene.object_mut(id) {
            object.parent = slot.parent;
            if params.raw("position").is_none() {
                object.position = slot.position;
            }
            changed = object != before;
            *slot = object;
        }
        if !changed {
            return Ok(
                Answer::done(format!("No modifications applied to GameObject '{name}'."))
                    .with(self.scene.data(id)),
            );
        }
        self.touched("object_modified", &name);
        Ok(
            Answer::done(format!("GameObject '{name}' modified successfully."))
                .with(self.scene.data(id)),
        )
    }

    fn delete(&mut self, params: Params<'_>) -> Reply {
        self.target(params, "target")?;
        let method = params.text("searchMethod");
        let ids = params
            .raw("target")
            .map_or_else(Vec::new, |t| self.found(t, method.as_deref()));
        let mut deleted = Vec::new();
        for id in ids {
            // One that hung under an earlier one is gone already.
            let Some(name) = self.scene.object(id).map(|object| object.name.clone()) else {
                continue;
            };
            self.scene.remove(id);
            self.touched("object_deleted", &name);
            deleted.push(json!({"name": name, "instanceID": id}));
        }
        let message = match deleted.as_slice() {
            [one] => format!("GameObject '{}' deleted successfully.", shown(&one["name"])),
            all => format!("{} GameObjects deleted successfully.", all.len()),
        };
        Ok(Answer::done(message).with(Value::Array(deleted)))
    }

    fn duplicate(&mut self, params: Params<'_>) -> Reply {
        let id = self.target(params, "target")?;
        let Some(original) = self.scene.object(id).cloned() else {
            return Err(Answer::refused("The object is gone."));
        };
        let mut copy = original.clone();
        copy.name = params
            .text("new_name")
            .unwrap_or_else(|| format!("{}_Copy", original.name));
        if let Some(position) = params.vector("position") {
            copy.position = position;
        } else if let Some(offset) = params.vector("offset") {
            copy.position = add(copy.position, offset);
        }
        let name = copy.name.clone();
        let new = self.spawn(copy)?;
        Ok(
            Answer::done(format!("Duplicated '{}' as '{name}'.", original.name)).with(json!({
                "originalName": original.name,
                "originalId": id,
                "duplicatedObject": self.scene.data(new),
            })),
        )
    }

    fn move_relative(&mut self, params: Params<'_>) -> Reply {
        let id = self.target(params, "target")?;
        let reference = self.target(params, "reference_object")?;
        let distance = params
            .raw("distance")
            .and_then(Value::as_f64)
            .unwrap_or(1.0);
        let step = match params.text("direction").as_deref() {
            Some("left") => [-distance, 0.0, 0.0],
            Some("right") => [distance, 0.0, 0.0],
            Some("up") => [0.0, distance, 0.0],
            Some("down") => [0.0, -distance, 0.0],
            Some("forward" | "front") => [0.0, 0.0, distance],
            Some("back" | "backward" | "behind") => [0.0, 0.0, -distance],
            _ => params.vector("offset").ok_or_else(|| {
                Answer::refused(
                    "Either 'direction' or 'offset' parameter is required for 'move_relative'.",
                )
            })?,
        };
        let goal = add(self.scene.world_position(reference), step);
        self.place(id, goal);
        let name = self.name_of(id);
        self.touched("object_modified", &name);
        let message = format!("Moved '{name}' relative to '{}'.", self.name_of(reference));
        Ok(Answer::done(message).with(self.scene.data(id)))
    }

    fn look_at(&mut self, params: Params<'_>) -> Reply {
        let id = self.target(params, "target")?;
        let goal = match params.vector("look_at_target") {
            Some(point) => point,
            None => {
                let other = self.target(params, "look_at_target")?;
                self.scene.world_position(other)
            }
        };
        let [x, y, z] = subtract(goal, self.scene.world_position(id));
        if let Some(object) = self.scene.object_mut(id) {
            let pitch = -y.atan2(x.hypot(z)).to_degrees();
            object.rotation = [pitch, x.atan2(z).to_degrees(), 0.0];
        }
        let name = self.name_of(id);
        self.touched("object_modified", &name);
        Ok(
            Answer::done(format!("GameObject '{name}' now looks at the target."))
                .with(self.scene.data(id)),
        )
    }

    /// What `create` and `modify` may say about an object's properties.
    fn dress(&mut self, object: &mut GameObject, params: Params<'_>) -> Result<(), Answer> {
        if let Some(tag) = params.text("tag") {
            self.editor.ensure_tag(&tag).map_err(Answer::refused)?;
            object.tag = tag;
        }
        if let Some(layer) = params.text("layer") {
            object.layer = self
                .editor
                .layer(&layer)
                .ok_or_else(|| Answer::refused(format!("Invalid layer specified: '{layer}'.")))?;
        }
        object.active = params.flag("setActive").unwrap_or(object.active);
        object.is_static = params.flag("isStatic").unwrap_or(object.is_static);
        object.position = params.vector("position").unwrap_or(object.position);
        object.rotation = params.vector("rotation").unwrap_or(object.rotation);
        object.scale = params.vector("scale").unwrap_or(object.scale);
        for kind in params.texts("componentsToAdd").unwrap_or_default() {
            self.attach(object, &kind)?;
        }
        for kind in params.texts("componentsToRemove").unwrap_or_default() {
            if let Some(at) = object.component(&kind) {
                object.components.remove(at);
            }
        }
        for (kind, values) in params.object("componentProperties").unwrap_or_default() {
            let (Some(at), Value::Object(values)) = (object.component(&kind), values) else {
                continue;
            };
            components::set(&mut object.components[at], values)?;
        }
        Ok(())
    }

    fn place(&mut self, id: i64, world: [f64; 3]) {
        let parent = self.scene.object(id).and_then(|object| object.parent);
        let base = parent.map_or([0.0; 3], |parent| self.scene.world_position(parent));
        if let Some(object) = self.scene.object_mut(id) {
            object.position = subtract(world, base);
        }
    }

    pub(super) fn name_of(&self, id: i64) -> String {
        self.scene
            .object(id)
            .map_or_else(String::new, |object| object.name.clone())
    }

    pub(super) fn touched(&mut self, what: &'static str, name: &str) {
        self.scene.dirty = true;
        self.ledger.effect(what, name);
    }
}

/// A target as the plugin's messages quote it.
pub(super) fn shown(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}
