//! The scene graph: objects, their parents, their components, and how commands find them.

use serde_json::{Map, Value, json};

/// A scene takes no more objects than this.
pub const SCENE_OBJECTS: usize = 10_000;

/// Objects in a chain of parents; deeper ones are refused.
const DEPTH: usize = 256;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct GameObject {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) tag: String,
    pub(super) layer: usize,
    pub(super) active: bool,
    pub(super) is_static: bool,
    pub(super) parent: Option<i64>,
    /// Relative to the parent. Rotations and scales of parents do not move children here.
    pub(super) position: [f64; 3],
    pub(super) rotation: [f64; 3],
    pub(super) scale: [f64; 3],
    /// Without the `Transform`, which every object has.
    pub(super) components: Vec<Component>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Component {
    pub(super) id: i64,
    pub(super) kind: String,
    pub(super) properties: Map<String, Value>,
}

#[derive(Clone, Debug)]
pub(super) struct Scene {
    pub(super) path: String,
    pub(super) dirty: bool,
    /// In the order of their creation. Two may bear one name.
    pub(super) objects: Vec<GameObject>,
}

/// Why the scene cannot do it.
pub(super) type Refusal = String;

impl Scene {
    pub(super) fn empty(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            dirty: false,
            objects: Vec::new(),
        }
    }

    pub(super) fn name(&self) -> &str {
        let file = self.path.rsplit('/').next().unwrap_or_default();
        file.strip_suffix(".unity").unwrap_or(file)
    }

    pub(super) fn object(&self, id: i64) -> Option<&GameObject> {
        self.objects.iter().find(|object| object.id == id)
    }

    pub(super) fn object_mut(&mut self, id: i64) -> Option<&mut GameObject> {
        self.objects.iter_mut().find(|object| object.id == id)
    }

    pub(super) fn children(&self, parent: Option<i64>) -> impl Iterator<Item = &GameObject> {
        self.objects
            .iter()
            .filter(move |object| object.parent == parent)
    }

    /// The object and those that it hangs under, nearest first.
    fn line(&self, id: i64) -> impl Iterator<Item = &GameObject> {
        std::iter::successors(self.object(id), |object| self.object(object.parent?))
    }

    pub(super) fn path_of(&self, id: i64) -> String {
        let mut names: Vec<&str> = self.line(id).map(|object| object.name.as_str()).collect();
        names.reverse();
        names.join("/")
    }

    pub(super) fn active_in_hierarchy(&self, id: i64) -> bool {
        self.line(id).all(|object| object.active)
    }

    pub(super) fn world_position(&self, id: i64) -> [f64; 3] {
        self.line(id)
            .fold([0.0; 3], |sum, object| add(sum, object.position))
    }

    /// Hangs `id` under `parent` without moving it in the world.
    pub(super) fn set_parent(&mut self, id: i64, parent: Option<i64>) -> Result<(), Refusal> {
        if let Some(parent) = parent {
            if self.line(parent).any(|object| object.id == id) {
                return Err("An object cannot be its own ancestor.".to_owned());
            }
            if self.line(parent).count() >= DEPTH {
                return Err(format!(
                    "The hierarchy is {DEPTH} objects deep here, which is its limit."
                ));
            }
        }
        let world = self.world_position(id);
        let base = parent.map_or([0.0; 3], |parent| self.world_position(parent));
        if let Some(object) = self.object_mut(id) {
            object.parent = parent;
            object.position = subtract(world, base);
        }
        Ok(())
    }

    /// Removes `id` and everything under it.
    pub(super) fn remove(&mut self, id: i64) {
        let mut doomed = vec![id];
        while let Some(id) = doomed.pop() {
            doomed.extend(self.children(Some(id)).map(|object| object.id));
            self.objects.retain(|object| object.id != id);
        }
    }

    /// The ids that `target` names under `method`, in the order of creation.
    pub(super) fn find(&self, target: &Value, method: Option<&str>, layers: &[String]) -> Vec<i64> {
        let text = match target {
            Value::String(text) => text.trim().to_owned(),
            Value::Number(number) => number.to_string(),
            _ => return Vec::new(),
        };
        let ids = |matches: &dyn Fn(&GameObject) -> bool| -> Vec<i64> {
            self.objects
                .iter()
                .filter(|object| matches(object))
                .map(|object| object.id)
                .collect()
        };
        let by_id = || ids(&|object| text.parse() == Ok(object.id));
        let by_name = || ids(&|object| object.name == text);
        let by_path = || {
            let wanted = text.trim_matches('/');
            ids(&|object| {
                wanted.ends_with(object.name.as_str()) && self.path_of(object.id) == wanted
            })
        };
        match method.unwrap_or("by_id_or_name_or_path") {
            "by_id" => by_id(),
            "by_name" => by_name(),
            "by_path" => by_path(),
            "by_tag" => ids(&|object| object.tag == text),
            "by_layer" => {
                let layer = layers.iter().position(|layer| *layer == text);
                let layer = layer.or_else(|| text.parse().ok());
                ids(&|object| Some(object.layer) == layer)
            }
            "by_component" => {
                ids(&|object| text == "Transform" || object.component(&text).is_some())
            }
            _ => [by_id(), by_name(), by_path()]
                .into_iter()
                .find(|found| !found.is_empty())
                .unwrap_or_default(),
        }
    }

    /// What `create`, `modify` and their kind answer about an object.
    pub(super) fn data(&self, id: i64) -> Value {
        let Some(object) = self.object(id) else {
            return Value::Null;
        };
        json!({
            "name": object.name,
            "instanceID": object.id,
            "tag": object.tag,
            "layer": object.layer,
            "activeSelf": object.active,
            "activeInHierarchy": self.active_in_hierarchy(id),
            "isStatic": object.is_static,
            "scenePath": self.path,
            "transform": {
                "position": xyz(self.world_position(id)),
                "localPosition": xyz(object.position),
                "rotation": xyz(object.rotation),
                "localRotation": xyz(object.rotation),
                "scale": xyz(object.scale),
            },
            "parentInstanceID": object.parent.unwrap_or(0),
            "componentNames": object.component_names(true),
        })
    }

    /// One row of `get_hierarchy`.
    pub(super) fn summary(&self, id: i64, transform: bool, children_page: usize) -> Value {
        let Some(object) = self.object(id) else {
            return Value::Null;
        };
        let children = self.children(Some(id)).count();
        let mut row = json!({
            "name": object.name,
            "instanceID": object.id,
            "activeSelf": object.active,
            "activeInHierarchy": self.active_in_hierarchy(id),
            "tag": object.tag,
            "layer": object.layer,
            "isStatic": object.is_static,
            "path": self.path_of(id),
            "childCount": children,
            "childrenTruncated": children > 0,
            "childrenCursor": (children > 0).then_some("0"),
            "childrenPageSizeDefault": children_page,
            "componentTypes": object.component_names(false),
        });
        if transform {
            row["transform"] = json!({
                "position": object.position,
                "rotation": object.rotation,
                "scale": object.scale,
            });
        }
        row
    }
}

impl GameObject {
    pub(super) fn new(id: i64, name: impl Into<String>) -> Self {
        Self {
            id,
            name: name.into(),
            tag: "Untagged".to_owned(),
            layer: 0,
            active: true,
            is_static: false,
            parent: None,
            position: [0.0; 3],
            rotation: [0.0; 3],
            scale: [1.0; 3],
            components: Vec::new(),
        }
    }

    /// The first component of the kind, with or without its namespace.
    pub(super) fn component(&self, kind: &str) -> Option<usize> {
        self.components
            .iter()
            .position(|component| short(&component.kind) == short(kind))
    }

    fn component_names(&self, full: bool) -> Vec<String> {
        let kinds = self
            .components
            .iter()
            .map(|component| component.kind.as_str());
        std::iter::once("UnityEngine.Transform")
            .chain(kinds)
            .map(|kind| if full { kind } else { short(kind) })
            .map(str::to_owned)
            .collect()
    }
}

/// `UnityEngine.Light` → `Light`.
pub(super) fn short(kind: &str) -> &str {
    kind.rsplit('.').next().unwrap_or(kind)
}

pub(super) fn xyz([x, y, z]: [f64; 3]) -> Value {
    json!({"x": x, "y": y, "z": z})
}

pub(super) fn add(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}

pub(super) fn subtract(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}
