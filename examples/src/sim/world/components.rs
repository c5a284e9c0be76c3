//! `manage_components`: add, remove, set properties.

use serde_json::{Map, Value, json};

use super::World;
use super::answer::{Answer, Reply};
use super::params::Params;
use super::scene::{Component, GameObject, short};

/// Components on one object, and properties in one component.
const LIMIT: usize = 256;

/// The component types that come with the engine, as far as the simulator knows them.
const BUILT_IN: &[&str] = &[
    "Animator",
    "AudioListener",
    "AudioSource",
    "BoxCollider",
    "Camera",
    "Canvas",
    "CanvasRenderer",
    "CapsuleCollider",
    "CharacterController",
    "Light",
    "LineRenderer",
    "MeshCollider",
    "MeshFilter",
    "MeshRenderer",
    "ParticleSystem",
    "RectTransform",
    "Rigidbody",
    "Rigidbody2D",
    "BoxCollider2D",
    "CircleCollider2D",
    "SphereCollider",
    "SpriteRenderer",
    "TrailRenderer",
];

impl World {
    pub(super) fn manage_components(&mut self, params: Params<'_>) -> Reply {
        let action = params.action()?;
        if !matches!(action.as_str(), "add" | "remove" | "set_property") {
            return Err(Answer::refused(format!(
                "Unknown action: '{action}'. Supported actions: add, remove, set_property"
            )));
        }
        let id = self.target(params, "target")?;
        let kind = params.text("componentType").ok_or_else(|| {
            Answer::refused(format!(
                "'componentType' parameter is required for '{action}' action."
            ))
        })?;
        let Some(mut object) = self.scene.object(id).cloned() else {
            return Err(Answer::refused("The object is gone."));
        };
        let answer = match action.as_str() {
            "add" => self.add_component(&mut object, &kind, params),
            "remove" => remove_component(&mut object, &kind, params),
            _ => set_property(&mut object, &kind, params),
        }?;
        let name = object.name.clone();
        if let Some(slot) = self.scene.object_mut(id) {
            *slot = object;
        }
        let what = match action.as_str() {
            "add" => "component_added",
            "remove" => "component_removed",
            _ => "component_changed",
        };
        self.touched(what, &format!("{name}/{}", short(&kind)));
        Ok(answer)
    }

    /// Puts a component of this kind on the object, which need not be in the scene yet.
    pub(super) fn attach(&mut self, object: &mut GameObject, kind: &str) -> Result<i64, Answer> {
        let Some(full) = self.component_type(kind) else {
            return Err(Answer::refused(format!(
                "Component type '{kind}' not found. Use a fully-qualified name if needed."
            )));
        };
        if object.components.len() >= LIMIT {
            return Err(Answer::refused(format!(
                "An object takes {LIMIT} components."
            )));
        }
        let id = self.new_id();
        object.components.push(Component::new(id, full));
        Ok(id)
    }

    fn add_component(&mut self, object: &mut GameObject, kind: &str, params: Params<'_>) -> Reply {
        let component = self.attach(object, kind)?;
        let properties = params
            .object("properties")
            .or_else(|| params.object("componentProperties"));
        if let (Some(properties), Some(last)) = (properties, object.components.last_mut()) {
            set(last, properties)?;
        }
        let full = object.components.last().map(|last| last.kind.as_str());
        Ok(
            Answer::done(format!("Component '{kind}' added to '{}'.", object.name)).with(json!({
                "instanceID": object.id,
                "componentType": full,
                "componentInstanceID": component,
            })),
        )
    }

    /// The full name of a type that the engine or a script of the project that compiles defines.
    fn component_type(&self, kind: &str) -> Option<String> {
        if BUILT_IN.contains(&short(kind)) {
            return Some(format!("UnityEngine.{}", short(kind)));
        }
        self.scripts.defines(short(kind)).then(|| kind.to_owned())
    }
}

impl Component {
    pub(super) fn new(id: i64, kind: impl Into<String>) -> Self {
        Self {
            id,
            kind: kind.into(),
            properties: Map::new(),
        }
    }
}

/// The components of one of Unity's primitives.
pub(super) fn of_primitive(primitive: &str) -> Result<&'static [&'static str], Answer> {
    const MESH: [&str; 2] = ["UnityEngine.MeshFilter", "UnityEngine.MeshRenderer"];
    Ok(match primitive.to_lowercase().as_str() {
        "cube" => &[MESH[0], MESH[1], "UnityEngine.BoxCollider"],
        "sphere" => &[MESH[0], MESH[1], "UnityEngine.SphereCollider"],
        "capsule" | "cylinder" => &[MESH[0], MESH[1], "UnityEngine.CapsuleCollider"],
        "plane" | "quad" => &[MESH[0], MESH[1], "UnityEngine.MeshCollider"],
        _ => {
            return Err(Answer::refused(format!(
                "Invalid primitive type: '{primitive}'. Valid types: \
                 Sphere, Capsule, Cylinder, Cube, Plane, Quad"
            )));
        }
    })
}

pub(super) fn set(component: &mut Component, values: Map<String, Value>) -> Result<(), Answer> {
    for (key, value) in values {
        if component.properties.len() >= LIMIT && !component.properties.contains_key(&key) {
            return Err(Answer::refused(format!(
                "A component takes {LIMIT} properties."
            )));
        }
        component.properties.insert(key, value);
    }
    Ok(())
}

fn remove_component(object: &mut GameObject, kind: &str, params: Params<'_>) -> Reply {
    if matches!(short(kind), "Transform" | "RectTransform") {
        return Err(Answer::refused(
            "Cannot remove Transform or RectTransform components.",
        ));
    }
    let at = index(object, kind, params)?;
    object.components.remove(at);
    Ok(Answer::done(format!(
        "Component '{kind}' removed from '{}'.",
        object.name
    ))
    .with(json!({"instanceID": object.id})))
}

fn set_property(object: &mut GameObject, kind: &str, params: Params<'_>) -> Reply {
    let mut values = params.object("properties").unwrap_or_default();
    if let (Some(key), Some(value)) = (params.text("property"), params.raw("value")) {
        values.insert(key, value.clone());
    }
    if values.is_empty() {
        return Err(Answer::refused(
            "Either 'property'+'value' or 'properties' object is required for 'set_property' action.",
        ));
    }
    let at = index(object, kind, params)?;
    set(&mut object.components[at], values)?;
    Ok(Answer::done(format!(
        "Properties set on component '{kind}' on '{}'.",
        object.name
    ))
    .with(json!({"instanceID": object.id})))
}

/// Which of the object's components is meant: the first of its kind, or the one counted to.
fn index(object: &GameObject, kind: &str, params: Params<'_>) -> Result<usize, Answer> {
    let of_kind: Vec<usize> = (0..object.components.len())
        .filter(|&at| short(&object.components[at].kind) == short(kind))
        .collect();
    let wanted = params.int("componentIndex");
    let found = usize::try_from(wanted.unwrap_or(0))
        .ok()
        .and_then(|n| of_kind.get(n));
    found.copied().ok_or_else(|| match wanted {
        Some(wanted) if !of_kind.is_empty() => Answer::refused(format!(
            "component_index {wanted} out of range. Found {} '{kind}' component(s).",
            of_kind.len()
        )),
        _ => Answer::refused(format!(
            "Component '{kind}' not found on '{}'.",
            object.name
        )),
    })
}
