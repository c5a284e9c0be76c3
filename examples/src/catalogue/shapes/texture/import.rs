//! A texture's import settings: words and numbers under the names of Unity's `TextureImporter`.

use serde_json::{Map, Value};

use super::super::super::coerce::coerce;
use super::super::super::problem::{Problem, nearest, one_of};
use super::super::super::types::Type;
use super::{number, pair};

/// What one setting takes.
enum Takes {
    Flag,
    /// A word of ours, and Unity's.
    Word(&'static [(&'static str, &'static str)]),
    Between(i64, i64),
    /// A power of two within 32 and 16384.
    Size,
    Number,
    Pair,
}
use Takes::{Between, Flag, Number, Pair, Size, Word};

/// Our name, Unity's, and what it takes.
const SETTINGS: &[(&str, &str, Takes)] = &[
    ("texture_type", "textureType", Word(TYPES)),
    ("texture_shape", "textureShape", Word(SHAPES)),
    ("srgb", "sRGBTexture", Flag),
    ("alpha_is_transparency", "alphaIsTransparency", Flag),
    ("readable", "isReadable", Flag),
    ("generate_mipmaps", "mipmapEnabled", Flag),
    ("compression_crunched", "crunchedCompression", Flag),
    ("alpha_source", "alphaSource", Word(ALPHA)),
    ("wrap_mode", "wrapMode", Word(WRAPS)),
    ("wrap_mode_u", "wrapModeU", Word(WRAPS)),
    ("wrap_mode_v", "wrapModeV", Word(WRAPS)),
    ("filter_mode", "filterMode", Word(FILTERS)),
    ("mipmap_filter", "mipmapFilter", Word(MIPMAPS)),
    ("compression", "textureCompression", Word(COMPRESSIONS)),
    ("aniso_level", "anisoLevel", Between(0, 16)),
    ("max_texture_size", "maxTextureSize", Size),
    ("compression_quality", "compressionQuality", Between(0, 100)),
    ("sprite_mode", "spriteImportMode", Word(SPRITES)),
    ("sprite_pixels_per_unit", "spritePixelsPerUnit", Number),
    ("sprite_pivot", "spritePivot", Pair),
    ("sprite_mesh_type", "spriteMeshType", Word(MESHES)),
    ("sprite_extrude", "spriteExtrude", Between(0, 32)),
];
const TYPES: &[(&str, &str)] = &[
    ("default", "Default"),
    ("normal_map", "NormalMap"),
    ("editor_gui", "GUI"),
    ("sprite", "Sprite"),
    ("cursor", "Cursor"),
    ("cookie", "Cookie"),
    ("lightmap", "Lightmap"),
    ("directional_lightmap", "DirectionalLightmap"),
    ("shadow_mask", "Shadowmask"),
    ("single_channel", "SingleChannel"),
];
const SHAPES: &[(&str, &str)] = &[("2d", "Texture2D"), ("cube", "TextureCube")];
const ALPHA: &[(&str, &str)] = &[
    ("none", "None"),
    ("from_input", "FromInput"),
    ("from_gray_scale", "FromGrayScale"),
];
const WRAPS: &[(&str, &str)] = &[
    ("repeat", "Repeat"),
    ("clamp", "Clamp"),
    ("mirror", "Mirror"),
    ("mirror_once", "MirrorOnce"),
];
const FILTERS: &[(&str, &str)] = &[
    ("point", "Point"),
    ("bilinear", "Bilinear"),
    ("trilinear", "Trilinear"),
];
const MIPMAPS: &[(&str, &str)] = &[("box", "BoxFilter"), ("kaiser", "KaiserFilter")];
const COMPRESSIONS: &[(&str, &str)] = &[
    ("none", "Uncompressed"),
    ("low_quality", "CompressedLQ"),
    ("normal_quality", "Compressed"),
    ("high_quality", "CompressedHQ"),
];
const SPRITES: &[(&str, &str)] = &[
    ("single", "Single"),
    ("multiple", "Multiple"),
    ("polygon", "Polygon"),
];
const MESHES: &[(&str, &str)] = &[("full_rect", "FullRect"), ("tight", "Tight")];

/// The settings under Unity's names. A name that nobody knows is refused, as the Python server
/// (10.3.0) does not: there, a misspelled setting is dropped and the call succeeds.
pub(super) fn settings(given: Map<String, Value>) -> Result<Map<String, Value>, Problem> {
    let mut settings = Map::new();
    for (name, value) in given {
        let Some((_, wire, takes)) = SETTINGS.iter().find(|(known, ..)| *known == name) else {
            return Err(unknown(&name, &value));
        };
        if !value.is_null() {
            let value = takes.read(&format!("import_settings.{name}"), value)?;
            settings.insert((*wire).to_owned(), value);
        }
    }
    Ok(settings)
}

impl Takes {
    fn read(&self, place: &str, given: Value) -> Result<Value, Problem> {
        match self {
            Flag => match coerce(&Type::boolean(), given) {
                Ok(flag) => Ok(flag.unwrap_or_default()),
                Err(got) => Err(Problem::new(place, "true or false", &got)),
            },
            Word(words) => {
                let ours: Vec<_> = words.iter().map(|(ours, _)| (*ours).to_owned()).collect();
                let Value::String(text) = &given else {
                    let expected = format!("one of {}", ours.join(", "));
                    return Err(Problem::new(place, expected, &given));
                };
                let ours = one_of(place, &ours, text)?;
                let word = words.iter().find(|(word, _)| ours == *word);
                Ok(word.map(|(_, unitys)| *unitys).into())
            }
            Between(least, most) => match whole(&given) {
                Some(it) if (*least..=*most).contains(&it) => Ok(it.into()),
                _ => Err(Problem::new(
                    place,
                    format!("a whole number from {least} to {most}"),
                    &given,
                )),
            },
            Size => match whole(&given) {
                Some(it) if (32..=16384).contains(&it) && it.count_ones() == 1 => Ok(it.into()),
                _ => Err(Problem::new(
                    place,
                    "a power of two from 32 to 16384",
                    &given,
                )),
            },
            Number => match number(&given) {
                Some(it) => Ok(it.into()),
                None => Err(Problem::new(place, "a number", &given)),
            },
            Pair => pair(place, &given),
        }
    }
}

fn whole(given: &Value) -> Option<i64> {
    match given {
        Value::String(text) => text.trim().parse().ok(),
        given => given.as_i64(),
    }
}

fn unknown(name: &str, value: &Value) -> Problem {
    let known = || SETTINGS.iter().map(|(known, ..)| *known);
    let place = format!("import_settings.{name}");
    let problem = Problem::new(&place, "to be left out: there is no such setting", value);
    match nearest(name, known()) {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None => problem.hint(format!(
            "there are {}",
            known().collect::<Vec<_>>().join(", ")
        )),
    }
}
