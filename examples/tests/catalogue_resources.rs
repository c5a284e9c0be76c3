//! URIs: which resource they mean, and what goes to the plugin for them.
#![allow(missing_docs, reason = "a test's name says what it proves")]

use examples::catalogue::{Catalogue, LoadError};
use serde_json::{Value, json};

fn read(uri: &str) -> (String, Value) {
    let read = Catalogue::builtin()
        .resource(uri)
        .expect("a resource")
        .expect("a good URI");
    (read.resource.name.clone(), read.params)
}

#[test]
fn the_template_that_says_most_is_meant() {
    for (uri, name, params) in [
        ("mcpforunity://tests", "get_tests", json!({})),
        (
            "mcpforunity://tests/EditMode",
            "get_tests_for_mode",
            json!({"mode": "EditMode"}),
        ),
        (
            "mcpforunity://scene/gameobject/-81840",
            "gameobject",
            json!({"instanceID": -81840}),
        ),
        (
            "mcpforunity://scene/gameobject/7/component/My%20Namespace.Type",
            "gameobject_component",
            json!({"instanceID": 7, "componentName": "My Namespace.Type"}),
        ),
        (
            "mcpforunity://prefab/Assets%2FA%20b.prefab",
            "prefab_info",
            json!({"action": "get_info", "prefabPath": "Assets/A b.prefab"}),
        ),
        (
            "mcpforunity://prefab/Assets/A.prefab/hierarchy",
            "prefab_hierarchy",
            json!({"action": "get_hierarchy", "prefabPath": "Assets/A.prefab"}),
        ),
    ] {
        assert_eq!(read(uri), (name.to_owned(), params), "{uri}");
    }
}

#[test]
fn pages_may_follow_a_question_mark() {
    let (_, params) = read(
        "mcpforunity://scene/gameobject/7/components?page_size=5&cursor=10&include_properties=false",
    );
    let wanted = json!({"instanceID": 7, "pageSize": 5, "cursor": 10, "includeProperties": false});
    assert_eq!(params, wanted);
}

#[test]
fn a_part_that_does_not_fit_is_named() {
    for (uri, part) in [
        (
            "mcpforunity://scene/gameobject/Player",
            "`instance_id` expects a whole number",
        ),
        (
            "mcpforunity://tests/Both",
            "`mode` expects one of EditMode, PlayMode",
        ),
        (
            "mcpforunity://scene/gameobject/7/components?page_size=many",
            "`page_size`",
        ),
        ("mcpforunity://prefab/%FF", "`encoded_path`"),
    ] {
        let problem = Catalogue::builtin().resource(uri).expect("a resource");
        let problem = problem.expect_err("refused").to_string();
        assert!(problem.contains(part), "{problem}");
    }
}

#[test]
fn what_no_template_fits_is_no_resource() {
    for uri in [
        "",
        "mcpforunity://",
        "mcpforunity://scene/gameobject/",
        "mcpforunity://scene/gameobject/7/parts",
        "mcpforunity://scene/gameobject/7/8",
        "mcpforunity://tests/",
        "mcpforunity://prefab/",
        "other://tests",
    ] {
        assert!(Catalogue::builtin().resource(uri).is_none(), "{uri}");
    }
}

#[test]
fn a_broken_resource_is_refused() {
    let good = json!({"uri": "x://a/{b}", "name": "n", "title": "t", "description": "d",
        "source": {"command": "c"}, "params": [{"name": "b", "wire": "b", "type": "integer"}]});
    let parse = |one: &Value| Catalogue::parse(&[], &json!([one]).to_string()).map(|_| ());
    assert!(parse(&good).is_ok());
    for (field, value) in [
        ("description", json!("")),
        ("source", json!({"server": "s"})), // parameters that go nowhere
        ("source", json!({"teapot": "s"})),
        ("uri", json!("x://a")),         // a parameter that nothing says
        ("uri", json!("x://a/{b}/{c}")), // a part that goes nowhere
        ("uri", json!("x://a/{b}/{c")),
        ("constants", json!({"b": 1})), // a wire name twice
        ("colour", json!("red")),
    ] {
        let mut one = good.clone();
        one[field] = value.clone();
        let parsed = parse(&one);
        assert!(
            matches!(parsed, Err(LoadError::Entry { .. } | LoadError::Format(_))),
            "{field}: {value}"
        );
    }
}
