//! Arguments that are more than a name and a value: what is made of them, and what is refused.
#![allow(missing_docs, reason = "a test's name says what it proves")]

use examples::catalogue::{BadArguments, Call, Catalogue};
use serde_json::{Value, json};

fn try_prepare(tool: &str, args: Value) -> Result<Call, BadArguments> {
    let Value::Object(args) = args else {
        panic!("arguments are an object")
    };
    Catalogue::builtin()
        .tool(tool)
        .expect("a tool")
        .prepare(args)
}

fn prepare(tool: &str, args: Value) -> Value {
    try_prepare(tool, args).expect("good arguments").params
}

fn refused(tool: &str, args: Value) -> String {
    try_prepare(tool, args)
        .expect_err("bad arguments")
        .to_string()
}

#[test]
fn a_colour_is_read_in_every_notation() {
    let orange = json!([1.0, 0.2, 0.0, 1.0]);
    for colour in [
        json!([1, 0.2, 0]),
        json!([255, 51, 0]),
        json!({"r": 1, "g": 0.2, "b": 0}),
        json!({"r": 255, "g": 51, "b": 0, "a": 255}),
        json!("#FF3300"),
        json!("#f30"),
        json!("#FF3300FF"),
        json!("[1, 0.2, 0]"),
        json!("{\"r\": 1, \"g\": 0.2, \"b\": 0}"),
        json!("(1, 0.2, 0)"),
        json!("1, 0.2, 0"),
        json!(["1", "0.2", "0"]),
    ] {
        let args = json!({"action": "set_material_color", "color": colour});
        assert_eq!(
            prepare("manage_material", args)["color"],
            orange,
            "{colour}"
        );
    }
    for colour in [
        json!([1, 0]),
        json!("#FF33"),
        json!("red"),
        json!({"r": 1}),
        json!(7),
        json!("#é00"),
    ] {
        let args = json!({"action": "set_material_color", "color": colour});
        let refused = refused("manage_material", args);
        assert!(
            refused.contains("`color` expects a colour: [r, g, b]"),
            "{refused}"
        );
    }
}

#[test]
fn a_texture_takes_its_colours_from_0_to_255() {
    for (colour, sent) in [
        (json!([255, 128, 0]), json!([255, 128, 0, 255])),
        (json!([1.0, 0.5, 0]), json!([255, 128, 0, 255])),
        (json!("#FF800080"), json!([255, 128, 0, 128])),
        (json!([0, 0, 2]), json!([0, 0, 2, 255])),
    ] {
        let args = json!({"action": "create", "fill_color": colour});
        assert_eq!(
            prepare("manage_texture", args)["fillColor"],
            sent,
            "{colour}"
        );
    }
}

#[test]
fn a_word_that_is_none_is_refused_with_the_words_and_the_nearest() {
    let text = refused("manage_vfx", json!({"action": "particle_set_mian"}));
    assert!(
        text.contains("`action` expects one of ping, particle_create, "),
        "{text}"
    );
    assert!(
        text.contains("got the text \"particle_set_mian\""),
        "{text}"
    );
    assert!(text.contains("did you mean `particle_set_main`?"), "{text}");
    let text = refused(
        "unity_reflect",
        json!({"action": "search", "query": "a", "scope": "web"}),
    );
    assert!(
        text.contains("`scope` expects one of unity, packages, project, all"),
        "{text}"
    );
}

#[test]
fn what_an_action_needs_is_asked_for_by_name() {
    for (tool, args, missing) in [
        ("execute_code", json!({"action": "execute"}), "`code`"),
        (
            "unity_reflect",
            json!({"action": "get_member", "class_name": "A"}),
            "`member_name`",
        ),
        (
            "manage_prefabs",
            json!({"action": "get_info", "prefab_path": ""}),
            "`prefab_path`",
        ),
        (
            "manage_prefabs",
            json!({"action": "create_from_gameobject", "prefab_path": "a"}),
            "`target`",
        ),
    ] {
        let text = refused(tool, args);
        assert!(text.contains(missing), "{text}");
    }
}

#[test]
fn an_object_may_be_named_by_the_number_that_find_gameobjects_returned() {
    for tool in [
        "manage_camera",
        "manage_graphics",
        "manage_probuilder",
        "manage_vfx",
    ] {
        let params = prepare(tool, json!({"action": "ping", "target": -1234}));
        assert_eq!(params["target"], "-1234", "{tool}");
    }
}

#[test]
fn a_picture_of_the_scene_view_refuses_what_it_cannot_have() {
    let view = |more: Value| {
        let mut args = json!({"action": "screenshot", "capture_source": "scene_view"});
        let more = more.as_object().expect("an object").clone();
        args.as_object_mut().expect("an object").extend(more);
        try_prepare("manage_camera", args)
    };
    assert!(view(json!({"view_target": "Player", "screenshot_super_size": 1})).is_ok());
    for (name, value) in [
        ("camera", json!("Main")),
        ("batch", json!("orbit")),
        ("view_position", json!([1, 2, 3])),
        ("screenshot_super_size", json!(2)),
    ] {
        let text = view(json!({name: value})).expect_err("refused").to_string();
        assert!(
            text.contains(&format!("`{name}` expects to be left out")),
            "{text}"
        );
    }
    let text = refused(
        "manage_camera",
        json!({"action": "screenshot", "max_resolution": 0}),
    );
    assert!(text.contains("`max_resolution`"), "{text}");
}

#[test]
fn a_texture_is_checked_before_anything_is_sent() {
    let texture = |more: Value| {
        let mut args = json!({"action": "create", "width": 2, "height": 1});
        let more = more.as_object().expect("an object").clone();
        args.as_object_mut().expect("an object").extend(more);
        try_prepare("manage_texture", args)
    };
    for (more, said) in [
        (
            json!({"pixels": [[0, 0, 0]]}),
            "`pixels` expects 2 colours, 2 × 1, got a list of 1",
        ),
        (
            json!({"pixels": [[0, 0, 0], "red"]}),
            "`pixels[1]` expects a colour",
        ),
        (
            json!({"width": 1_000_000, "height": 1_000_000, "pixels": [[0, 0, 0]]}),
            "`pixels` expects base64",
        ),
        (
            json!({"width": 0}),
            "`width` expects a whole number above 0",
        ),
        (
            json!({"palette": "red"}),
            "`palette` expects a list of colours",
        ),
        (
            json!({"image_path": "a.png", "fill_color": "#FFF"}),
            "`image_path` expects to be left out",
        ),
        (
            json!({"action": "modify", "image_path": "a.png"}),
            "`image_path` expects to be left out",
        ),
        (
            json!({"set_pixels": {"pixels": [[0, 0, 0]], "width": 1}}),
            "`set_pixels.height`",
        ),
        (
            json!({"as_sprite": {"pivot": [1]}}),
            "`as_sprite.pivot` expects two numbers",
        ),
        (
            json!({"import_settings": {"filtermode": "point"}}),
            "did you mean `filter_mode`?",
        ),
        (
            json!({"import_settings": {"filter_mode": "blurry"}}),
            "expects one of point, bilinear, trilinear",
        ),
        (
            json!({"import_settings": {"max_texture_size": 500}}),
            "a power of two from 32 to 16384",
        ),
        (
            json!({"import_settings": {"aniso_level": 17}}),
            "a whole number from 0 to 16",
        ),
        (
            json!({"import_settings": {"srgb": "maybe"}}),
            "expects true or false",
        ),
    ] {
        let text = texture(more).expect_err("refused").to_string();
        assert!(text.contains(said), "{text}");
    }
    let good = texture(json!({"pixels": "base64:AAAA"}))
        .expect("good")
        .params;
    assert_eq!(good["pixels"], "base64:AAAA");
    assert!(good.get("fillColor").is_none(), "it is made of its pixels");
}

#[test]
fn a_ui_file_stays_under_assets_and_is_one() {
    for (path, said) in [
        ("Assets/../x.uxml", "under Assets/"),
        ("/Assets/x.uxml", "under Assets/"),
        ("UI/x.uxml", "under Assets/"),
        ("Assets/x.cs", "ends in .uxml or .uss"),
    ] {
        let text = refused("manage_ui", json!({"action": "create", "path": path}));
        assert!(text.contains("`path`") && text.contains(said), "{text}");
    }
    let link = json!({"action": "link_stylesheet", "path": "anything"});
    assert_eq!(prepare("manage_ui", link)["path"], "anything");
}

#[test]
fn a_number_out_of_bounds_is_taken_for_the_nearer_one() {
    let limit = |limit: Value| {
        let args = json!({"action": "get_history", "limit": limit});
        prepare("execute_code", args)["limit"].clone()
    };
    let given = [json!(-3), json!("70"), json!(u64::MAX), json!(7)];
    assert_eq!(given.map(limit), [json!(1), json!(50), json!(50), json!(7)]);
}

#[test]
fn text_that_is_json_goes_out_as_what_it_says_and_other_text_as_it_came() {
    let value = |text: &str| {
        let args = json!({"action": "set_material_shader_property", "value": text});
        prepare("manage_material", args).get("value").cloned()
    };
    assert_eq!(value("[1, 0]"), Some(json!([1, 0])));
    assert_eq!(value("-1.5"), Some(json!(-1.5)));
    assert_eq!(value("true"), Some(json!(true)));
    assert_eq!(value("Assets/T.png"), Some(json!("Assets/T.png")));
    assert_eq!(value("1e5"), Some(json!("1e5")));
    assert_eq!(value("[1,"), Some(json!("[1,")));
    assert_eq!(value("null"), None);
    let text = refused(
        "manage_material",
        json!({"action": "set_material_shader_property", "value": "[object Object]"}),
    );
    assert!(text.contains("`value`"), "{text}");
}

#[test]
fn pictures_are_taken_out_of_the_text() {
    let tool = Catalogue::builtin().tool("manage_camera").expect("a tool");
    let mut one = json!({"success": true, "data": {"imageBase64": "AA", "path": "p"}});
    let pictures = tool.pictures(&mut one);
    assert_eq!(
        (pictures.len(), &*pictures[0].png, &pictures[0].label),
        (1, "AA", &None)
    );
    assert_eq!(one, json!({"success": true, "data": {"path": "p"}}));

    let mut several = json!({"success": true, "data": {"screenshots": [
        {"angle": "front", "imageBase64": "AA"}, {"angle": 90, "imageBase64": "BB"}, {"angle": "top"},
    ]}});
    let labels: Vec<_> = tool
        .pictures(&mut several)
        .into_iter()
        .map(|it| it.label)
        .collect();
    assert_eq!(labels, [Some("front".to_owned()), Some("90".to_owned())]);
    assert!(!several.to_string().contains("imageBase64"));

    let ui = Catalogue::builtin().tool("manage_ui").expect("a tool");
    let mut whole = json!({"success": true, "data": {"imageBase64": "AA"}});
    assert!(
        ui.pictures(&mut whole).is_empty(),
        "as the Python server shows it"
    );
}
