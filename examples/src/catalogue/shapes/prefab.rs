//! `manage_prefabs`: an object under either name, and children with vectors.

use serde_json::Value;

use super::super::coerce;
use super::super::problem::Problem;
use super::Draft;

pub(super) fn apply(draft: &mut Draft) -> Result<(), Problem> {
    if draft.action() == Some("create_from_gameobject") && !draft.wire.contains_key("target") {
        let name = draft.wire.get("name").cloned().unwrap_or_default();
        draft.wire.insert("target".to_owned(), name);
    }
    match draft.wire.get_mut("createChild") {
        Some(Value::Array(children)) => {
            for (index, one) in children.iter_mut().enumerate() {
                child(one, &format!("create_child[{index}]"))?;
            }
            Ok(())
        }
        Some(one) => child(one, "create_child"),
        None => Ok(()),
    }
}

fn child(child: &mut Value, place: &str) -> Result<(), Problem> {
    for name in ["position", "rotation", "scale"] {
        let Some(vector) = child.get_mut(name) else {
            continue;
        };
        let read = coerce::vector(3, vector.take());
        let expected = "three numbers: [x, y, z], {\"x\": …, \"y\": …, \"z\": …} or \"x, y, z\"";
        let read = read.map_err(|got| Problem::new(&format!("{place}.{name}"), expected, &got))?;
        *vector = read.unwrap_or_default();
    }
    Ok(())
}
