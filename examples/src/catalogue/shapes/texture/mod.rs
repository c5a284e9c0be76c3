//! `manage_texture`: colours, pixels, sprites and import settings as the plugin takes them.

mod import;

use serde_json::{Map, Value, json};

use super::super::colour;
use super::super::problem::Problem;
use super::Draft;

/// The Python server's default, for either side.
const SIDE: i64 = 64;
/// The most pixels that are read one by one; a larger texture comes as base64 or as a file.
const MOST_PIXELS: i64 = 1 << 20;

pub(super) fn apply(draft: &mut Draft) -> Result<(), Problem> {
    source(draft)?;
    if let Some(palette) = draft.wire.remove("palette") {
        let palette = colours("palette", parsed(palette))?;
        draft.wire.insert("palette".to_owned(), palette.into());
    }
    if draft.wire.contains_key("imagePath") {
        // The picture has a size of its own.
        draft.wire.remove("width");
        draft.wire.remove("height");
    } else {
        let sides = (side(draft, "width")?, side(draft, "height")?);
        for (name, side) in [("width", sides.0), ("height", sides.1)] {
            draft.wire.insert(name.to_owned(), side.into());
        }
        above_zero(draft, "patternSize", "pattern_size")?;
        above_zero(draft, "octaves", "octaves")?;
        if let Some(given) = draft.wire.remove("pixels") {
            let pixels = pixels("pixels", given, sides)?;
            draft.wire.insert("pixels".to_owned(), pixels);
        }
    }
    match draft.wire.remove("spriteSettings") {
        None | Some(Value::Bool(false)) => {}
        Some(given) => {
            let sprite = sprite(given)?;
            draft.wire.insert("spriteSettings".to_owned(), sprite);
        }
    }
    if let Some(Value::Object(given)) = draft.wire.remove("importSettings") {
        let settings = import::settings(given)?;
        draft
            .wire
            .insert("importSettings".to_owned(), settings.into());
    }
    match draft.wire.get_mut("setPixels") {
        Some(Value::Object(region)) => fill(region),
        _ => Ok(()),
    }
}

/// What the texture is made of: one thing only, and white if nothing is said.
fn source(draft: &mut Draft) -> Result<(), Problem> {
    let creates = draft.action() == Some("create");
    let made = ["fillColor", "pattern", "pixels"];
    let made = made.iter().find(|name| draft.wire.contains_key(**name));
    match (draft.wire.get("imagePath"), made) {
        (Some(path), _) if !creates && draft.action() != Some("create_sprite") => {
            let expected = "to be left out, except with create and create_sprite";
            Err(Problem::new("image_path", expected, path))
        }
        (Some(path), Some(_)) => {
            let expected = "to be left out with fill_color, pattern or pixels";
            Err(Problem::new("image_path", expected, path))
        }
        (None, None) if creates => {
            let white = json!([255, 255, 255, 255]);
            draft.wire.insert("fillColor".to_owned(), white);
            Ok(())
        }
        _ => Ok(()),
    }
}

fn side(draft: &Draft, name: &str) -> Result<i64, Problem> {
    match draft.wire.get(name) {
        None => Ok(SIDE),
        Some(given) => positive(given).ok_or_else(|| Problem::new(name, ABOVE_ZERO, given)),
    }
}

fn above_zero(draft: &Draft, wire: &str, name: &str) -> Result<(), Problem> {
    match draft.wire.get(wire) {
        Some(given) if positive(given).is_none() => Err(Problem::new(name, ABOVE_ZERO, given)),
        _ => Ok(()),
    }
}

/// One colour per pixel, or `base64:` and the bytes.
fn pixels(place: &str, given: Value, (width, height): (i64, i64)) -> Result<Value, Problem> {
    let pixels = match parsed(given) {
        Value::String(text) if text.starts_with("base64:") => return Ok(text.into()),
        Value::String(text) => return Ok(format!("base64:{text}").into()),
        pixels => pixels,
    };
    let wanted = width.saturating_mul(height);
    if wanted > MOST_PIXELS {
        let expected = format!("base64: a list may have {MOST_PIXELS} pixels");
        return Err(Problem::new(place, expected, &pixels));
    }
    match &pixels {
        Value::Array(items) if i64::try_from(items.len()) != Ok(wanted) => {
            let expected = format!("{wanted} colours, {width} × {height}");
            Err(Problem::new(place, expected, &pixels))
        }
        _ => colours(place, pixels).map(Value::Array),
    }
}

fn colours(place: &str, given: Value) -> Result<Vec<Value>, Problem> {
    let Value::Array(items) = given else {
        return Err(Problem::new(place, "a list of colours", &given));
    };
    let each = items.into_iter().enumerate();
    each.map(|(index, item)| one_colour(&format!("{place}[{index}]"), item))
        .collect()
}

fn one_colour(place: &str, given: Value) -> Result<Value, Problem> {
    let expected =
        "a colour: [r, g, b], [r, g, b, a], {\"r\": …, \"g\": …, \"b\": …} or \"#RRGGBB\"";
    colour::bytes(given).map_err(|got| Problem::new(place, expected, &got))
}

/// The region that `modify` changes.
fn fill(region: &mut Map<String, Value>) -> Result<(), Problem> {
    if let Some(given) = region.remove("color") {
        let one = one_colour("set_pixels.color", given)?;
        region.insert("color".to_owned(), one);
    }
    if let Some(given) = region.remove("pixels") {
        let side = |name: &str| {
            let given = region.get(name).cloned().unwrap_or_default();
            let place = format!("set_pixels.{name}");
            positive(&given).ok_or_else(|| Problem::new(&place, ABOVE_ZERO, &given))
        };
        let sides = (side("width")?, side("height")?);
        let pixels = pixels("set_pixels.pixels", given, sides)?;
        region.insert("pixels".to_owned(), pixels);
    }
    Ok(())
}

fn sprite(given: Value) -> Result<Value, Problem> {
    let Value::Object(mut given) = given else {
        return Ok(json!({"pivot": [0.5, 0.5], "pixelsPerUnit": 100}));
    };
    let mut sprite = Map::new();
    if let Some(pivot) = given.remove("pivot") {
        sprite.insert("pivot".to_owned(), pair("as_sprite.pivot", &pivot)?);
    }
    let names = ["pixels_per_unit", "pixelsPerUnit"];
    if let Some(given) = names.iter().find_map(|name| given.remove(*name)) {
        let pixels = number(&given)
            .ok_or_else(|| Problem::new("as_sprite.pixels_per_unit", "a number", &given))?;
        sprite.insert("pixelsPerUnit".to_owned(), pixels.into());
    }
    Ok(sprite.into())
}

fn pair(place: &str, given: &Value) -> Result<Value, Problem> {
    let numbers = given.as_array().filter(|list| list.len() == 2);
    let numbers = numbers.and_then(|list| list.iter().map(number).collect::<Option<Vec<_>>>());
    match numbers {
        Some(numbers) => Ok(numbers.into()),
        None => Err(Problem::new(place, "two numbers: [x, y]", given)),
    }
}

/// A list that came as text.
fn parsed(given: Value) -> Value {
    match &given {
        Value::String(text) if text.trim().starts_with('[') => {
            serde_json::from_str(text).unwrap_or(given)
        }
        _ => given,
    }
}

fn positive(given: &Value) -> Option<i64> {
    let number = match given {
        Value::String(text) => text.trim().parse().ok(),
        given => given.as_i64(),
    };
    number.filter(|number| *number > 0)
}

fn number(given: &Value) -> Option<f64> {
    let number = match given {
        Value::String(text) => text.trim().parse().ok(),
        given => given.as_f64(),
    };
    number.filter(|number: &f64| number.is_finite())
}

const ABOVE_ZERO: &str = "a whole number above 0";
