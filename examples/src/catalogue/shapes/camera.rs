//! `manage_camera`: what a picture of the scene view cannot have.

use serde_json::Value;

use super::super::problem::Problem;
use super::{Draft, trim_folder};

pub(super) fn apply(draft: &mut Draft) -> Result<(), Problem> {
    trim_folder(draft, "outputFolder");
    let number = |draft: &Draft, name: &str| draft.wire.get(name).and_then(Value::as_i64);
    if number(draft, "maxResolution").is_some_and(|edge| edge <= 0) {
        let got = draft.wire.remove("maxResolution").unwrap_or_default();
        return Err(Problem::new(
            "max_resolution",
            "a number of pixels above 0",
            &got,
        ));
    }
    if draft.wire.get("captureSource") != Some(&Value::from("scene_view")) {
        return Ok(());
    }
    let of_the_game = [
        ("superSize", "screenshot_super_size"),
        ("batch", "batch"),
        ("viewPosition", "view_position"),
        ("viewRotation", "view_rotation"),
        ("camera", "camera"),
    ];
    for (wire, name) in of_the_game {
        // A factor of one changes nothing.
        let got = draft.wire.get(wire);
        if let Some(got) = got.filter(|got| wire != "superSize" || got.as_i64() > Some(1)) {
            let expected = "to be left out with capture_source=scene_view";
            return Err(Problem::new(name, expected, got));
        }
    }
    Ok(())
}
