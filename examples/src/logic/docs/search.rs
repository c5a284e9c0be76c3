//! `lookup`: where to look for a term, and what to make of what was found.

use serde_json::{Map, Value, json};

use super::Page;

/// Terms that one call looks up.
pub const MOST_QUERIES: usize = 20;
/// Assets that are shown of a project.
const MOST_ASSETS: usize = 15;

/// Words that mean assets, with the kind of asset where they name one.
const ASSET_WORDS: &[(&str, Option<&str>)] = &[
    ("shader", Some("Shader")),
    ("shaders", Some("Shader")),
    ("lit", Some("Shader")),
    ("unlit", Some("Shader")),
    ("material", Some("Material")),
    ("materials", Some("Material")),
    ("mat", Some("Material")),
    ("texture", Some("Texture2D")),
    ("textures", Some("Texture2D")),
    ("tex", Some("Texture2D")),
    ("sprite", Some("Sprite")),
    ("sprites", Some("Sprite")),
    ("prefab", Some("Prefab")),
    ("prefabs", Some("Prefab")),
    ("mesh", Some("Mesh")),
    ("model", Some("Mesh")),
    ("font", Some("Font")),
    ("fonts", Some("Font")),
    ("urp", None),
    ("hdrp", None),
    ("2d", None),
    ("3d", None),
];

/// Words that say nothing of what is looked for.
const SAY_NOTHING: &[&str] = &[
    "in", "the", "a", "an", "to", "for", "of", "on", "with", "how", "can", "do", "i", "my", "is",
    "it", "this", "that", "unity", "objects", "object", "using", "receive", "make", "apply", "get",
    "set", "use", "create",
];

/// One term, and where to look for it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Lookup {
    /// The term.
    pub query: String,
    /// The sources, each with its page.
    pub pages: Vec<(&'static str, Page)>,
}

/// What the arguments of a lookup ask for.
pub fn lookups(args: &Value) -> Vec<Lookup> {
    let text = |name: &str| args[name].as_str().filter(|text| !text.is_empty());
    let terms: Vec<&str> = match (text("queries"), text("query")) {
        (Some(several), _) => several.split(',').collect(),
        (None, one) => one.into_iter().collect(),
    };
    let terms = terms
        .into_iter()
        .map(str::trim)
        .filter(|term| !term.is_empty());
    let (version, package) = (text("version"), text("package").zip(text("pkg_version")));
    terms.map(|term| lookup(term, version, package)).collect()
}

fn lookup(term: &str, version: Option<&str>, package: Option<(&str, &str)>) -> Lookup {
    let (class, member) = match term.rsplit_once('.') {
        Some((class, member)) if !term.starts_with("com.") => (class, Some(member)),
        _ => (term, None),
    };
    let slug = term.replace([' ', '_'], "-");
    // Most of the manual's addresses are lower case, but not all.
    let lower = Some(slug.to_lowercase()).filter(|lower| *lower != slug);
    let mut pages = vec![
        ("script_ref", Page::reference(class, member, version)),
        ("manual", Page::manual(&slug, version)),
    ];
    pages.extend(
        lower
            .iter()
            .map(|lower| ("manual_lc", Page::manual(lower, version))),
    );
    if let Some((name, at)) = package {
        pages.push(("package", Page::package(name, &slug, at)));
        pages.extend(
            lower
                .iter()
                .map(|lower| ("package_lc", Page::package(name, lower, at))),
        );
    }
    Lookup {
        query: term.to_owned(),
        pages,
    }
}

/// The parameters of the `manage_asset` commands that look for this term in the project; none if it
/// is not about assets.
pub fn asset_searches(query: &str) -> Vec<Value> {
    let query = query.to_lowercase().replace(['-', '_'], " ");
    let words: Vec<&str> = query.split_whitespace().collect();
    let known = |word: &str| ASSET_WORDS.iter().find(|(known, _)| *known == word);
    if !words.iter().any(|word| known(word).is_some()) {
        return Vec::new();
    }
    let kind = words.iter().find_map(|word| known(word)?.1);
    let terms = words.iter().filter(|word| {
        !SAY_NOTHING.contains(word) && word.chars().count() > 1 && known(word).is_none()
    });
    let search = |term: Option<&str>| {
        let mut params = json!({"action": "search", "path": "Assets", "pageSize": 10});
        if let Some(term) = term {
            params["search_pattern"] = format!("*{term}*").into();
        }
        if let Some(kind) = kind {
            params["filter_type"] = kind.into();
        }
        params
    };
    let searches: Vec<Value> = terms.map(|term| search(Some(term))).collect();
    match (&*searches, kind) {
        ([], Some(_)) => vec![search(None)],
        _ => searches,
    }
}

/// The hit that these lists of assets make, if there is one.
pub fn assets_found<'a>(lists: impl IntoIterator<Item = &'a Value>) -> Option<Value> {
    let mut shown: Vec<Value> = Vec::new();
    let assets = lists
        .into_iter()
        .filter_map(|list| list["assets"].as_array());
    for asset in assets.flatten() {
        let path = asset["path"].as_str().unwrap_or_default();
        let is_new = !path.is_empty() && shown.iter().all(|one| one["path"] != path);
        if is_new && shown.len() < MOST_ASSETS {
            let text = |name: &str| asset[name].as_str().unwrap_or_default();
            shown.push(json!({"name": text("name"), "path": path, "type": text("assetType")}));
        }
    }
    (!shown.is_empty()).then(|| json!({"source": "project_assets", "found": true, "assets": shown}))
}

/// What a lookup answers: of each term the hits, the sources, and the errors if there is no hit.
pub fn summary(results: Vec<Looked>) -> Value {
    let found = results.iter().filter(|one| !one.hits.is_empty()).count();
    let reached = results
        .iter()
        .any(|one| one.errors.len() < one.sources.len());
    let (total, first) = (
        results.len(),
        results.iter().flat_map(|one| &one.errors).next().cloned(),
    );
    let queries: Vec<_> = results.iter().map(|one| one.query.clone()).collect();
    let suggestion = (found < total).then_some(
        "For what was missed: get_doc with the exact class name, get_manual with the page's slug, or manage_asset (action search) for shaders, materials and prefabs.",
    );
    let results: Vec<_> = results.into_iter().map(Looked::shown).collect();
    let data = json!({
        "found": found > 0,
        "queries": queries,
        "results": results,
        "summary": {"total": total, "found": found, "missed": total - found},
        "suggestion": suggestion,
    });
    match first {
        Some(first) if !reached => json!({
            "success": false, "message": first["error"], "data": data,
        }),
        _ => json!({"success": true, "data": data}),
    }
}

/// What became of one term.
#[derive(Clone, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "whoever looked says all of this")]
pub struct Looked {
    /// The term.
    pub query: String,
    /// The pages that are there, each with its source.
    pub hits: Vec<Value>,
    /// Where was looked.
    pub sources: Vec<&'static str>,
    /// The sources that could not be asked, and why.
    pub errors: Vec<Value>,
}

impl Looked {
    /// A source has this page.
    pub fn hit(&mut self, source: &str, data: Value) {
        let mut hit = Map::from_iter([("source".to_owned(), source.into())]);
        if let Value::Object(data) = data {
            hit.extend(data);
        }
        self.hits.push(hit.into());
    }

    fn shown(self) -> Value {
        let mut shown =
            json!({"query": self.query, "hits": self.hits, "sources_checked": self.sources});
        if self.hits.is_empty() && !self.errors.is_empty() {
            shown["errors"] = self.errors.into();
        }
        shown
    }
}
