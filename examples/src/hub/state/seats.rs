//! From a register to the seat: who may wait, and who is next.

use super::ids::Ids;
use super::project::Project;
use super::types::{Output, SocketId, Why};
use super::{Said, State};
use crate::hub::wire::{FromPlugin, Register};
use std::time::{Duration, Instant};

/// Sockets that wait for one project's seat, at most.
const MAX_STANDBY: usize = 8;

/// Who has not registered has nothing long to say: a register is a few hundred bytes.
const MAX_BYTES_UNREGISTERED: usize = 64 * 1024;

/// The family of ids that sessions have; projects count from 1.
const SESSIONS: u64 = 0;

impl State {
    pub(super) fn receive_unregistered(&mut self, now: Instant, socket: SocketId, said: Said) {
        if said.bytes > MAX_BYTES_UNREGISTERED {
            let reason = "more than 64 KiB before a register";
            return self.close(now, socket, 1009, reason, Why::LinkLost);
        }
        match said.what {
            FromPlugin::Register(who) => self.register(now, socket, who),
            FromPlugin::NotJson => self.close_as_not_json(now, socket),
            other => tracing::debug!(?other, "ignored before the register"),
        }
    }

    fn register(&mut self, now: Instant, socket: SocketId, who: Register) {
        let hash = who.project_hash.clone();
        if hash.is_empty() {
            return self.close(now, socket, 4400, "project_hash is empty", Why::LinkLost);
        }
        if !self.has_room_for(now, &hash) {
            return self.close(now, socket, 1013, "too many projects", Why::LinkLost);
        }
        let project = self.projects.entry(hash.clone()).or_insert_with(|| {
            self.last_project += 1;
            Project::new(now, who.clone(), Ids::new(self.boot, self.last_project))
        });
        if project.standby().len() >= MAX_STANDBY {
            let reason = "too many editors of one project";
            return self.close(now, socket, 1013, reason, Why::LinkLost);
        }
        project.wait_for_seat(socket, who);
        self.sockets
            .get_mut(&socket)
            .expect("it registered just now")
            .project = Some(hash.clone());
        self.outputs.push_back(Output::Changed);
        self.fill_seat(now, &hash);
    }

    /// True if this project is known, or can be. Rather forgets who is away than refuses who is here.
    pub(super) fn has_room_for(&mut self, now: Instant, hash: &str) -> bool {
        if self.projects.contains_key(hash) {
            return true;
        }
        if self.projects.len() >= self.config.max_projects {
            self.forget_idle(now, Duration::ZERO);
        }
        self.projects.len() < self.config.max_projects
    }

    /// Gives the seat to a standby, if it is free, or held by somebody who has fallen silent.
    pub(super) fn fill_seat(&mut self, now: Instant, hash: &str) {
        let Some(project) = self.projects.get(hash) else {
            return;
        };
        let is_silent = |socket: &SocketId| {
            self.sockets.get(socket).is_none_or(|socket| {
                now.saturating_duration_since(socket.silent_since) > self.config.seat_silence
            })
        };
        if let Some(holder) = project.holder() {
            if is_silent(&holder) && self.is_contested(project, holder) {
                let reason = "silent for too long while another editor of the project waited";
                // Seats the next one on its way.
                self.close(now, holder, 4002, reason, Why::Superseded);
            }
            return;
        }
        let heard = project.standby().find(|socket| !is_silent(socket));
        let Some(next) = heard.or_else(|| project.standby().next()) else {
            return;
        };
        let session_id = Ids::new(self.boot, SESSIONS).of(next.0);
        let project = self.projects.get_mut(hash).expect("it was just looked at");
        project.seat(now, next, session_id, &mut self.outputs);
    }

    /// True if somebody waits for this holder's seat who was heard after it.
    pub(super) fn is_contested(&self, project: &Project, holder: SocketId) -> bool {
        let heard = |socket| Some(self.sockets.get(&socket)?.silent_since);
        project
            .standby()
            .any(|waiting| heard(waiting) > heard(holder))
    }
}
