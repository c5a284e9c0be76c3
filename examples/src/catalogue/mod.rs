//! The tools of the Unity MCP server, as data: what a client may ask, and what goes to the editor.
//!
//! Everything here is pure. A [`Tool`] turns a client's arguments into a [`Call`] or into an error
//! that a model can act on; [`envelope::normalise`] turns the plugin's answer into a [`Reply`];
//! [`Verify`] decides, when a reload ate the answer, what to read and what it proves.
//!
//! ```text
//! arguments ── Tool::prepare ──► Call ──► (the hub) ──► envelope ── normalise ──► Reply
//!                                 │                                                 │
//!                                 └── answer lost ── Verify ── question ── judge    └── Tool::present
//! ```
//!
//! The entries are JSON files in `examples/catalogue/`, one per tool group, compiled in. A tool
//! whose arguments map one to one needs an entry and no Rust; the fields are those of [`Tool`] and
//! [`Param`]. What cannot be said as data is a named [`Shape`], in `shapes/`.
//!
//! The wire facts come from the installed plugin (10.1) and from what the Python server (10.3.0)
//! was seen to send for the same calls: same command, same parameters.
//!
//! ```
//! use examples::catalogue::Catalogue;
//! use serde_json::json;
//!
//! let tool = Catalogue::builtin().tool("manage_scene").expect("a tool of the catalogue");
//! let args = json!({"action": "get_hierarchy", "page_size": "10"});
//! let call = tool.prepare(args.as_object().cloned().expect("an object")).expect("good arguments");
//! assert_eq!(call.command, Some("manage_scene"));
//! assert_eq!(call.params, json!({"action": "get_hierarchy", "pageSize": 10}));
//! assert!(call.replay_safe);
//! ```

mod coerce;
mod colour;
pub mod custom;
mod entry;
pub mod envelope;
mod load;
mod prepare;
mod present;
mod problem;
mod reads;
mod resource;
mod schema;
mod shapes;
mod timeout;
mod toolset;
mod types;
mod verify;
mod wire;

use std::sync::LazyLock;

pub use entry::{Annotations, Empty, Param, Replay, Tool, Which};
pub use envelope::Reply;
pub use load::LoadError;
pub(crate) use prepare::named_instance;
pub use prepare::{Call, Limits};
pub(crate) use present::source as script_source;
pub use present::{Picture, Present};
pub use problem::{BadArguments, Problem};
pub use reads::Reads;
pub use resource::{Read, Resource, ResourceParam, Source};
pub use shapes::Shape;
pub(crate) use shapes::script::Location;
pub use timeout::wire_timeout;
pub use toolset::{Skipped, Toolset};
pub use types::{Kind, Type};
pub use verify::{Verdict, Verify};

/// The parameter that every tool takes besides its own: which editor the call is for.
///
/// The server takes it out before the call goes anywhere; the plugin never sees it.
pub const UNITY_INSTANCE: &str = "unity_instance";

/// All tools and resources that the server offers.
#[derive(Debug)]
pub struct Catalogue {
    tools: Vec<Tool>,
    groups: Vec<Group>,
    resources: Vec<Resource>,
}

/// Tools that are switched on and off together.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Group {
    /// The name by which `manage_tools` switches it.
    pub name: String,
    /// What it is for, in a line.
    pub about: String,
}

impl Catalogue {
    /// The catalogue that is compiled in. Parsed and checked at first use.
    ///
    /// # Panics
    ///
    /// If the compiled-in data are broken, which the tests rule out.
    pub fn builtin() -> &'static Self {
        static BUILTIN: LazyLock<Catalogue> = LazyLock::new(|| {
            Catalogue::parse(load::GROUPS, load::RESOURCES)
                .expect("the compiled-in catalogue is checked by the tests")
        });
        &BUILTIN
    }

    /// Every tool, in the order of the files.
    pub fn tools(&self) -> &[Tool] {
        &self.tools
    }

    /// The tool of this name, exactly spelled.
    pub fn tool(&self, name: &str) -> Option<&Tool> {
        self.tools.iter().find(|tool| tool.name == name)
    }

    /// Every group, by name. Tools that belong to none are always offered.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The tools of a group, in the order of its file.
    pub fn tools_of<'a>(&'a self, group: &'a str) -> impl Iterator<Item = &'a Tool> {
        let tools = self.tools.iter();
        tools.filter(move |tool| tool.group.as_deref() == Some(group))
    }

    /// Every resource.
    pub fn resources(&self) -> &[Resource] {
        &self.resources
    }

    /// What to read for this URI: an entry that is spelled so, or the template that fits best.
    ///
    /// # Errors
    ///
    /// What is wrong with a part of a URI whose template fits.
    pub fn resource(&'static self, uri: &str) -> Option<Result<Read, Problem>> {
        resource::find(&self.resources, uri)
    }
}
