//! Editors that swap their sockets and sessions at random: a command is for a project, and no other gets it.

use crate::hub::*;

const PROJECTS: [&str; 3] = ["aaaa", "aaab", "b"];
const STEPS: usize = 10_000;

/// Numbers that look random, the same for each seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % limit
    }

    fn of<T: Copy>(&mut self, any: &[T]) -> Option<T> {
        (!any.is_empty()).then(|| any[self.below(any.len())])
    }
}

/// The editors' side: which socket is whose by its first register, and what each was sent.
struct Editors {
    hub: Hub,
    whose: BTreeMap<SocketId, &'static str>,
    written: Vec<(String, SocketId)>,
    times: BTreeMap<String, usize>,
    seen: usize,
}

impl Editors {
    fn sockets(&self) -> Vec<SocketId> {
        self.hub.open.iter().copied().collect()
    }

    /// Each command that went out since the last look went to the project that it is for.
    fn check(&mut self) {
        for sent in &self.hub.sent[self.seen..] {
            if sent.message["type"] != "execute" {
                continue;
            }
            let (meant, whose) = (&sent.message["params"]["for"], self.whose[&sent.socket]);
            assert_eq!(meant, whose, "{:?}", sent.message);
            let id = sent.message["id"].as_str().expect("an id").to_owned();
            *self.times.entry(id.clone()).or_default() += 1;
            self.written.push((id, sent.socket));
        }
        self.seen = self.hub.sent.len();
    }

    fn submit(&mut self, project: &str) {
        let mut asked = request("work", Replay::Never);
        asked.params = json!({"for": project});
        // Who has quit takes none.
        let _ = self.hub.try_submit(project, asked);
    }
}

#[test]
fn three_editors_that_swap_sockets_and_sessions_for_10_000_steps_get_only_what_is_for_them() {
    for seed in 1..=4 {
        swap(Random(seed));
    }
}

fn swap(mut random: Random) {
    let mut editors = Editors {
        hub: Hub::new(),
        whose: BTreeMap::new(),
        written: Vec::new(),
        times: BTreeMap::new(),
        seen: 0,
    };
    for _ in 0..STEPS {
        let (project, sockets) = (PROJECTS[random.below(3)], editors.sockets());
        let any = random.of(&sockets);
        match (random.below(16), any) {
            (0..=1, _) if sockets.len() < 8 => {
                editors.hub.try_open();
            }
            // A second register, as another project, is one that nobody believes.
            (2..=4, Some(socket)) => {
                editors.whose.entry(socket).or_insert(project);
                editors.hub.register(socket, project);
            }
            (5, Some(socket)) => editors.hub.gone(socket, LOST, &[]),
            (6, Some(socket)) => {
                // What it was sent last never got there.
                let last = editors
                    .hub
                    .sent
                    .iter()
                    .rev()
                    .find(|sent| sent.socket == socket);
                let unsent: Vec<Op> = last.and_then(|sent| sent.op).into_iter().collect();
                editors.hub.gone(
                    socket,
                    if random.below(4) == 0 { QUIT } else { LOST },
                    &unsent,
                );
            }
            // Two editors of different projects go, and come back each by the other's door.
            (7, _) => {
                for socket in sockets.iter().rev().take(2) {
                    editors.hub.gone(*socket, LOST, &[]);
                }
                for project in [PROJECTS[random.below(3)], project] {
                    if let Some(socket) = editors.hub.try_open() {
                        editors.whose.insert(socket, project);
                        editors.hub.register(socket, project);
                    }
                }
            }
            // Whoever says it, and wherever it was asked.
            (8..=10, Some(socket)) => {
                let from = editors.written.len().saturating_sub(6);
                let written = &editors.written[from..];
                if !written.is_empty() {
                    let (id, asked) = written[random.below(written.len())].clone();
                    let by = if random.below(4) == 0 { socket } else { asked };
                    if editors.hub.open.contains(&by) {
                        editors.hub.answer(by, &id);
                    }
                }
            }
            (11, Some(socket)) => editors.hub.pong(socket),
            (12, _) => editors.hub.list(&project[..1], random.below(2) == 0),
            (13, _) => editors.hub.pass(ms(random.below(9_000) as u64)),
            _ => editors.submit(project),
        }
        editors.check();
    }
    let commands = editors.times.len();
    assert!(commands > 200, "it tests something: {commands} commands");
    let often = editors.times.values().filter(|times| **times > 1).count();
    assert!(
        often < commands,
        "only what was never written is written again"
    );
}
