//! The second leg: editors whose plugin is set to stdio. They listen, and we dial.
//!
//! The status files say which projects are open and where. Each is listed with the hub at once, so that it can be seen and
//! chosen, and has a link of its own that dials **when a call needs it**, presents the bridge to the hub as one more plugin,
//! and dials again when the file says that the editor is back. So everything behind the hub, holding and settling included,
//! is the same for both legs.
//!
//! The installed plugin serves one client, and each newcomer silently ends the others: a server that dialled every editor
//! that it finds would end sessions of others that it has no use for. So a server that nobody calls touches no editor,
//! whatever its rule. Whether the editor that answers is the one that was meant is `identity`'s to say, before anything is
//! sent to it. What a connection that was lost means is `takeover`'s to say, when the next one is made `need`'s.

mod identity;
mod link;
mod need;
mod plugin;
mod takeover;
mod translate;

use crate::hub::{Hub, Listed};
use link::Link;
use mcp_transport_core::Error;
use mcp_transport_stdio::discovery::{Discovery, Project, Projects, Watch};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use tokio::task::JoinHandle;

/// Links to every open project that the status files name. Dropping it ends them.
#[derive(Debug)]
pub struct BridgeLeg {
    _task: Aborted,
}

/// Projects that have a link at once, at most.
const MAX_LINKS: usize = 64;

impl BridgeLeg {
    /// Follows the files of a directory, for as long as this lives. What they say now is known to the hub when this returns.
    ///
    /// # Errors
    /// If there can be no thread to follow them.
    pub fn start(hub: &Hub, discovery: &Discovery) -> Result<Self, Error> {
        let watch = Arc::new(discovery.watch()?);
        let mut follower = Follower {
            hub: hub.clone(),
            watch,
            listed: HashSet::new(),
            links: HashMap::new(),
        };
        follower.look(&follower.watch.projects().borrow().clone());
        let task = spawn(follower.follow());
        Ok(Self { _task: task })
    }
}

/// Keeps the hub's list and the links as the files have it.
struct Follower {
    hub: Hub,
    watch: Arc<Watch>,
    listed: HashSet<String>,
    links: HashMap<String, Aborted>,
}

impl Follower {
    async fn follow(mut self) {
        let mut projects = self.watch.projects();
        loop {
            let now = projects.borrow_and_update().clone();
            self.look(&now);
            if projects.changed().await.is_err() {
                return;
            }
        }
    }

    fn look(&mut self, projects: &Projects) {
        let open: HashSet<String> = projects.iter().map(|project| project.key.clone()).collect();
        for key in self.listed.difference(&open) {
            self.hub.unlist(key);
        }
        for project in projects {
            self.hub.list(&listed(project));
        }
        if self.links.len() + open.len() > MAX_LINKS {
            // Who has quit needs none.
            let known = self.hub.snapshot();
            self.links
                .retain(|key, _| open.contains(key) || known.iter().any(|one| one.hash == *key));
        }
        for key in &open {
            if self.links.contains_key(key) {
                continue;
            }
            if self.links.len() >= MAX_LINKS {
                tracing::warn!(
                    limit = MAX_LINKS,
                    key,
                    "too many open projects; this one is not dialled"
                );
                continue;
            }
            let link = Link::new(key.clone(), self.hub.clone(), self.watch.clone());
            self.links.insert(key.clone(), spawn(link.run()));
        }
        self.listed = open;
    }
}

/// A task that ends with its handle.
#[derive(Debug)]
struct Aborted(JoinHandle<()>);

impl Drop for Aborted {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a task for each open project, and one for the list of them"
)]
fn spawn(task: impl Future<Output = ()> + Send + 'static) -> Aborted {
    Aborted(tokio::spawn(task))
}

/// What the hub is told of a project.
fn listed(project: &Project) -> Listed {
    let status = &project.status;
    let path = status.project_path.strip_suffix("/Assets");
    Listed {
        project: status.project_name.clone(),
        hash: project.key.clone(),
        path: Some(path.unwrap_or(&status.project_path).to_owned()),
        unity_version: status.unity_version.clone(),
        port: status.unity_port,
        is_ready: project.is_ready(),
    }
}
