//! `unity_docs`: which pages to fetch, and what they say. Pure.
//!
//! Fields and addresses are those of the Python server (10.3.0). Other than there, names are
//! encoded before they become a part of an address; an answer that is neither the page nor *not
//! found* is an error, not an empty page; and a lookup that reached nobody fails.

mod html;
mod search;

pub use search::{Looked, Lookup, MOST_QUERIES, asset_searches, assets_found, lookups, summary};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

/// Where the documentation is.
pub const SITE: &str = "https://docs.unity3d.com";

/// What stands in a part of a path as it is.
const PART: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A page that somebody wants, and where it may be.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Page {
    /// Its addresses below the site, to be tried in this order while there is no such page.
    pub paths: Vec<String>,
    what: What,
}

#[derive(Clone, Debug, PartialEq)]
enum What {
    Reference {
        class: String,
        member: Option<String>,
    },
    Manual {
        slug: String,
    },
    Package {
        package: String,
        page: String,
    },
}

impl Page {
    /// A class of the scripting reference, or a member of it.
    ///
    /// A method's page is `Class.Member`, a property's `Class-member`; what is not there for this
    /// version may be there for the newest.
    pub fn reference(class: &str, member: Option<&str>, version: Option<&str>) -> Self {
        let member = member.filter(|member| !member.is_empty());
        let names: Vec<String> = match member {
            Some(member) => vec![format!("{class}.{member}"), format!("{class}-{member}")],
            None => vec![class.to_owned()],
        };
        let mut paths = Vec::new();
        for folder in folders(version) {
            paths.extend(
                names
                    .iter()
                    .map(|name| format!("{folder}ScriptReference/{}.html", part(name))),
            );
        }
        let (class, member) = (class.to_owned(), member.map(str::to_owned));
        Self {
            paths,
            what: What::Reference { class, member },
        }
    }

    /// A page of the manual.
    pub fn manual(slug: &str, version: Option<&str>) -> Self {
        let folders = folders(version);
        let paths = folders.map(|folder| format!("{folder}Manual/{}.html", parts(slug)));
        Self {
            paths: paths.collect(),
            what: What::Manual {
                slug: slug.to_owned(),
            },
        }
    }

    /// A page of a package's manual.
    pub fn package(package: &str, page: &str, version: &str) -> Self {
        let (name, at) = (part(package), part(version));
        Self {
            paths: vec![format!("/Packages/{name}@{at}/manual/{}.html", parts(page))],
            what: What::Package {
                package: package.to_owned(),
                page: page.to_owned(),
            },
        }
    }

    /// The `data` of a page that was there. `asked`: the address that it had; `came`: the one that it
    /// was redirected to.
    pub fn found(&self, asked: &str, came: &str, html: &str) -> Value {
        match &self.what {
            What::Reference { class, member } => {
                let page = html::reference(html);
                json!({
                    "found": true, "url": asked, "class": class, "member": member,
                    "description": page.description, "signatures": page.signatures,
                    "parameters": page.parameters, "returns": page.returns,
                    "examples": page.examples, "see_also": [],
                })
            }
            What::Manual { .. } => article(json!({"found": true, "url": asked}), html),
            What::Package { package, page } => {
                let head = json!({"found": true, "url": came, "package": package, "page": page});
                article(head, html)
            }
        }
    }

    /// The `data` of a page that is nowhere.
    pub fn missing(&self) -> Value {
        match &self.what {
            What::Reference { .. } => json!({
                "found": false,
                "suggestion": "There is no such page. Look with unity_reflect (action search) how the type is spelled, and ask again with that class_name.",
            }),
            What::Manual { slug } => json!({
                "found": false, "slug": slug,
                "suggestion": "There is no such page. The slug is the end of its address without .html, such as execution-order or urp/urp-introduction.",
            }),
            What::Package { package, page } => json!({
                "found": false, "package": package, "page": page,
                "suggestion": "There is no such page. Check package, pkg_version (such as 17.0) and page; most packages have index, installation and whats-new.",
            }),
        }
    }
}

fn article(mut head: Value, html: &str) -> Value {
    let page = html::article(html);
    head["title"] = page.title.into();
    head["sections"] = page.sections.into();
    head["code_examples"] = page.code.into();
    head
}

/// The folder of the version, and that of the newest.
fn folders(version: Option<&str>) -> impl Iterator<Item = String> {
    let own = version.and_then(release);
    let own = own.map(|own| format!("/{}/Documentation/", part(&own)));
    own.into_iter().chain(["/".to_owned()])
}

/// `6000.0` of `6000.0.38f1`; what has no dot is taken as it is.
fn release(version: &str) -> Option<String> {
    let version = version.trim();
    if version.is_empty() {
        return None;
    }
    let mut numbers = version.split('.');
    let (Some(major), Some(minor)) = (numbers.next(), numbers.next()) else {
        return Some(version.to_owned());
    };
    let end = minor.find(|c: char| c.is_ascii_alphabetic());
    Some(format!("{major}.{}", &minor[..end.unwrap_or(minor.len())]))
}

fn part(text: &str) -> String {
    match text {
        // Alone they would lead elsewhere, even encoded.
        "." | ".." => "_".to_owned(),
        text => utf8_percent_encode(text, PART).to_string(),
    }
}

/// A path: its slashes stay.
fn parts(text: &str) -> String {
    let text = text.trim_matches('/');
    let text = text.strip_suffix(".html").unwrap_or(text);
    text.split('/').map(part).collect::<Vec<_>>().join("/")
}
