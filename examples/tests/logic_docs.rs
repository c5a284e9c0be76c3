//! `unity_docs`, without the web: which addresses, and what their pages say.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use examples::logic::docs::{Looked, Page, asset_searches, assets_found, lookups, summary};
use serde_json::json;

#[test]
fn a_reference_page_says_what_the_python_server_finds_in_it() {
    let page = Page::reference("Widget", Some("Turn"), None);
    let found = page.found("asked", "came", include_str!("docs/reference.html"));
    // Taken from the Python server's (10.3.0) own reader, of this very page.
    let expected = json!({
        "found": true, "url": "asked", "class": "Widget", "member": "Turn",
        "description": "Turns a widget about an axis.Once.",
        "signatures": [
            "public static bool Turn(Vector3 axis, float angle = 90°);",
            "public void Turn();",
        ],
        "parameters": [
            {"name": "axis", "description": "The axis & its direction."},
            {"name": "angle", "description": "In degrees."},
        ],
        "returns": "bool True if it turned.",
        "examples": ["using UnityEngine;\n\nif (a < b) Widget.Turn();", "Second();"],
        "see_also": [],
    });
    assert_eq!(found, expected);
}

#[test]
fn an_article_says_what_the_python_server_finds_in_it() {
    let page = Page::manual("execution-order", None);
    let found = page.found("asked", "came", include_str!("docs/article.html"));
    let expected = json!({
        "found": true, "url": "asked", "title": "Execution order",
        "sections": [
            {"heading": "Introduction", "content": "Before the title.\nAn introduction.\nIts second\u{a0}paragraph."},
            {"heading": "First scene", "content": "Awake, then OnEnable."},
            {"heading": "Empty", "content": ""},
            {"heading": "Last", "content": "One item"},
        ],
        "code_examples": ["void Awake() { }"],
    });
    assert_eq!(found, expected);
    let page = Page::package("com.unity.widgets", "index", "17.0");
    let found = page.found("asked", "came", "<h1>Widgets</h1>");
    assert_eq!(
        found,
        json!({"found": true, "url": "came", "package": "com.unity.widgets", "page": "index", "title": "Widgets", "sections": [], "code_examples": []})
    );
}

#[test]
fn whatever_the_page_is_reading_it_ends() {
    let pages = [
        "",
        "<",
        "<div",
        "</div></div>",
        "<td>",
        "<script>",
        "<p><h2><pre><table><tr><td>",
        "\u{0}<!--",
    ];
    for page in pages.map(|page| page.repeat(50)) {
        for kind in [Page::reference("A", None, None), Page::manual("a", None)] {
            assert_eq!(kind.found("", "", &page)["found"], true);
        }
    }
}

#[test]
fn a_page_is_looked_for_as_a_method_and_a_property_of_this_version_and_of_the_newest() {
    let paths = |page: Page| page.paths;
    assert_eq!(
        paths(Page::reference(
            "Physics",
            Some("Raycast"),
            Some("6000.0.38f1")
        )),
        [
            "/6000.0/Documentation/ScriptReference/Physics.Raycast.html",
            "/6000.0/Documentation/ScriptReference/Physics-Raycast.html",
            "/ScriptReference/Physics.Raycast.html",
            "/ScriptReference/Physics-Raycast.html",
        ]
    );
    assert_eq!(
        paths(Page::reference("Physics", None, None)),
        ["/ScriptReference/Physics.html"]
    );
    assert_eq!(
        paths(Page::manual("urp/urp-introduction", Some("2022.3"))),
        [
            "/2022.3/Documentation/Manual/urp/urp-introduction.html",
            "/Manual/urp/urp-introduction.html"
        ]
    );
    assert_eq!(
        paths(Page::package("com.unity.inputsystem", "index", "1.8")),
        ["/Packages/com.unity.inputsystem@1.8/manual/index.html"]
    );
    let release = |version| paths(Page::manual("a", Some(version)))[0].clone();
    assert_eq!(release("6000.1.0b2"), "/6000.1/Documentation/Manual/a.html");
    assert_eq!(release("2021"), "/2021/Documentation/Manual/a.html");
    assert_eq!(release(" "), "/Manual/a.html");
}

#[test]
fn no_name_leads_out_of_its_folder() {
    let hostile = [
        "../../admin",
        "a?b=c",
        "a#b",
        "a%2f..",
        "//evil.example/x",
        "a\\..\\b",
        "List<T>",
    ];
    for name in hostile {
        for path in [
            Page::reference(name, Some(name), Some(name)).paths,
            Page::manual(name, Some(name)).paths,
            Page::package(name, name, name).paths,
        ]
        .concat()
        {
            let clean =
                |part: &str| !["..", "."].contains(&part) && !part.contains(['?', '#', '\\', '<']);
            assert!(path.starts_with('/') && !path.starts_with("//"), "{path}");
            assert!(path.split('/').all(clean), "{name}: {path}");
        }
    }
}

#[test]
fn a_lookup_asks_each_source_for_each_term() {
    let args = json!({"queries": "Physics.Raycast, Execution Order,,com.unity.inputsystem", "package": "com.unity.cinemachine", "pkg_version": "3.1"});
    let asked = lookups(&args);
    let sources =
        |at: usize| -> Vec<&str> { asked[at].pages.iter().map(|(source, _)| *source).collect() };
    assert_eq!(asked.len(), 3);
    assert_eq!(
        sources(0),
        ["script_ref", "manual", "manual_lc", "package", "package_lc"]
    );
    assert_eq!(
        asked[0].pages[0].1,
        Page::reference("Physics", Some("Raycast"), None)
    );
    assert_eq!(asked[1].pages[2].1, Page::manual("execution-order", None));
    assert_eq!(
        asked[2].pages[0].1,
        Page::reference("com.unity.inputsystem", None, None)
    );
    assert_eq!(sources(2), ["script_ref", "manual", "package"]);
    assert_eq!(lookups(&json!({"query": "a,b"})).len(), 1);
}

#[test]
fn a_term_about_assets_is_looked_for_in_the_project() {
    let search = |query| asset_searches(query);
    let base = json!({"action": "search", "path": "Assets", "pageSize": 10});
    let with = |pattern: Option<&str>, kind: Option<&str>| {
        let mut params = base.clone();
        if let Some(pattern) = pattern {
            params["search_pattern"] = pattern.into();
        }
        if let Some(kind) = kind {
            params["filter_type"] = kind.into();
        }
        params
    };
    assert_eq!(search("Physics.Raycast"), [json!(null); 0]);
    assert_eq!(
        search("how to make a water shader"),
        [with(Some("*water*"), Some("Shader"))]
    );
    assert_eq!(search("2D shader"), [with(None, Some("Shader"))]);
    assert_eq!(search("urp"), [json!(null); 0]);
    assert_eq!(search("urp_water"), [with(Some("*water*"), None)]);

    let asset = |path: &str| json!({"name": "n", "path": path, "assetType": "UnityEngine.Shader"});
    let lists = [
        json!({"assets": [asset("a"), asset("b"), asset("a")]}),
        json!({"assets": [asset("b")]}),
        json!(null),
    ];
    let hit = assets_found(&lists).unwrap();
    assert_eq!(hit["assets"].as_array().unwrap().len(), 2);
    assert_eq!(
        hit["assets"][0],
        json!({"name": "n", "path": "a", "type": "UnityEngine.Shader"})
    );
    assert_eq!(assets_found(&[json!({"assets": []})]), None);
}

#[test]
fn a_lookup_that_reached_nobody_fails_and_one_that_found_nothing_does_not() {
    let missed = Looked {
        query: "a".to_owned(),
        sources: vec!["manual"],
        ..Looked::default()
    };
    let mut found = missed.clone();
    found.hit("manual", json!({"found": true, "url": "u"}));
    let failed = Looked {
        errors: vec![json!({"source": "manual", "error": "no route"})],
        ..missed.clone()
    };
    let answer = summary(vec![found, missed.clone(), failed.clone()]);
    assert_eq!(answer["success"], true);
    assert_eq!(
        answer["data"]["summary"],
        json!({"total": 3, "found": 1, "missed": 2})
    );
    assert_eq!(
        answer["data"]["results"][0]["hits"][0],
        json!({"source": "manual", "found": true, "url": "u"})
    );
    assert_eq!(
        answer["data"]["results"][2]["errors"][0]["error"],
        "no route"
    );
    assert!(answer["data"]["suggestion"].is_string());
    let answer = summary(vec![missed]);
    assert_eq!(
        (&answer["success"], &answer["data"]["found"]),
        (&json!(true), &json!(false))
    );
    let answer = summary(vec![failed]);
    assert_eq!(
        (&answer["success"], &answer["message"]),
        (&json!(false), &json!("no route"))
    );
}
