//! `manage_gameobject`: ids as text, components with initial properties, where a new prefab goes.

use serde_json::{Map, Value};

use super::super::problem::Problem;
use super::Draft;

/// Objects, which clients name by the number that `find_gameobjects` returned, too. The Python
/// server takes text only, so that is what the plugin is known to get.
const OBJECTS: [&str; 4] = ["target", "parent", "reference_object", "look_at_target"];

pub(super) fn apply(draft: &mut Draft) -> Result<(), Problem> {
    for name in OBJECTS {
        if let Some(Value::Number(id)) = draft.wire.get(name) {
            let id = id.to_string();
            draft.wire.insert(name.to_owned(), id.into());
        }
    }
    if let Some(given) = draft.wire.remove("componentsToAdd") {
        let list = match given {
            Value::Array(list) => list,
            one => vec![one],
        };
        let list: Vec<_> = list.into_iter().map(component).collect::<Result<_, _>>()?;
        draft.wire.insert("componentsToAdd".to_owned(), list.into());
    }
    let saves = draft.wire.get("saveAsPrefab") == Some(&Value::Bool(true));
    if draft.action() == Some("create") && saves {
        prefab_path(draft)?;
    }
    Ok(())
}

/// A type's name, or an object with `typeName` and perhaps `properties`; other keys are dropped.
fn component(given: Value) -> Result<Value, Problem> {
    let Value::Object(mut given) = given else {
        return Ok(given);
    };
    let names = ["typeName", "type_name"].map(|key| given.remove(key));
    let name = match names.into_iter().flatten().find(|name| !name.is_null()) {
        Some(Value::String(name)) if !name.is_empty() => name,
        other => {
            let got = other.unwrap_or(Value::Null);
            return Err(Problem::new(
                "components_to_add[].typeName",
                "a type's name",
                &got,
            ));
        }
    };
    let mut entry = Map::from_iter([("typeName".to_owned(), Value::String(name))]);
    match given.remove("properties") {
        None | Some(Value::Null) => {}
        Some(Value::Object(properties)) => {
            entry.insert("properties".to_owned(), properties.into());
        }
        Some(other) => {
            return Err(Problem::new(
                "components_to_add[].properties",
                "an object",
                &other,
            ));
        }
    }
    Ok(entry.into())
}

fn prefab_path(draft: &mut Draft) -> Result<(), Problem> {
    let folder = draft.take_text("prefab_folder");
    match draft.wire.get("prefabPath") {
        Some(Value::String(path)) if path.to_ascii_lowercase().ends_with(".prefab") => Ok(()),
        Some(other) => Err(Problem::new(
            "prefab_path",
            "a path that ends in .prefab",
            other,
        )),
        None => {
            let name = draft
                .wire
                .get("name")
                .and_then(Value::as_str)
                .unwrap_or_default();
            if name.is_empty() {
                let expected = "the object's name, of which the prefab's path is made";
                return Err(Problem::missing("name", expected).hint("or give prefab_path"));
            }
            let path = format!("{}/{name}.prefab", folder.replace('\\', "/"));
            draft.wire.insert("prefabPath".to_owned(), path.into());
            Ok(())
        }
    }
}
