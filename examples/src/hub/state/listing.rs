//! Projects that are known by their status files, before anybody connects to them.

use super::State;
use super::ids::Ids;
use super::project::{Project, register};
use super::types::{Listed, Output, Why};
use std::time::Instant;

impl State {
    /// A status file says this of an editor: it can be chosen, and calls for it are held, though nobody is connected to it.
    pub fn list(&mut self, now: Instant, listed: &Listed) {
        if !self.has_room_for(now, &listed.hash) {
            tracing::warn!(
                hash = listed.hash,
                "too many projects; this one is not listed"
            );
            return;
        }
        let project = self.projects.entry(listed.hash.clone());
        let project = project.or_insert_with(|| {
            self.last_project += 1;
            let ids = Ids::new(self.boot, self.last_project);
            Project::new(now, register(listed), ids)
        });
        project.list(now, listed, &mut self.outputs);
    }

    /// The status file is gone. Unless it comes back within 5 s, an editor that is not connected has quit.
    pub fn unlist(&mut self, now: Instant, hash: &str) {
        if let Some(project) = self.projects.get_mut(hash) {
            project.unlist(now, &mut self.outputs);
        }
    }

    /// Another client has the only seat of this editor, until it is ours again: its calls are
    /// answered at once with this text.
    pub fn stand_by(&mut self, hash: &str, text: String) {
        if let Some(project) = self.projects.get_mut(hash) {
            project.stand_by(text, &mut self.outputs);
        }
    }

    /// Whoever had the only seat of this editor may have left it: its calls are held again.
    pub fn stand_down(&mut self, hash: &str) {
        if let Some(project) = self.projects.get_mut(hash) {
            project.stand_down(&mut self.outputs);
        }
    }

    /// Somebody else's editor answers where the status file says that this one listens; `None` once the file was written anew.
    pub fn mislead(&mut self, hash: &str, what: Option<String>) {
        if let Some(project) = self.projects.get_mut(hash) {
            project.mislead(what, &mut self.outputs);
        }
    }

    /// The dial that was made for a call of this editor was ended by another client's: the oldest call ends with it, so that
    /// there are never more dials than calls.
    pub fn cut_off(&mut self, hash: &str) {
        if let Some(project) = self.projects.get_mut(hash)
            && project.holder().is_none()
        {
            project.fail_oldest(Why::SeatTaken, &mut self.outputs);
            self.outputs.push_back(Output::Changed);
        }
    }

    /// True if the same editor is connected by its own doing, and nobody needs the other way to it. The key of a status file
    /// is the beginning of the hash with which the plugin registers.
    pub(super) fn is_elsewhere(&self, hash: &str, project: &Project) -> bool {
        let mut longer = self.projects.range(hash.to_owned()..);
        project.is_only_listed()
            && longer
                .by_ref()
                .take_while(|(other, _)| other.starts_with(hash))
                .any(|(other, project)| other != hash && project.holder().is_some())
    }
}
