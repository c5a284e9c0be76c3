//! Where a domain reload strikes, relative to the command at hand.
//!
//! A reload aborts the socket without a goodbye, and what a caller can know afterwards depends only
//! on how far its command had come. There are four such places, and a test that meets only some of
//! them proves little. So the choice is a shuffled bag: each of the four comes once before any comes
//! again, in an order that the seed alone decides.
//!
//! ```
//! use examples::sim::strike::{Point, Strikes};
//!
//! let mut strikes = Strikes::new(7);
//! let mut drawn: Vec<Point> = (0..4).map(|_| strikes.draw()).collect();
//! drawn.sort();
//! assert_eq!(drawn, Point::ALL);
//! ```

use std::fmt;

use serde::Serialize;

/// How far the command at hand had come when the reload struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(
    clippy::exhaustive_enums,
    reason = "a command has these four stages and no other"
)]
pub enum Point {
    /// It lay in the socket's buffer, unread: nothing happened.
    BeforeRead,
    /// It was read, and not executed: nothing happened.
    BeforeEffect,
    /// It took effect, and its answer was never sent.
    AfterEffect,
    /// It took effect, and its answer went out before the socket broke.
    AfterAnswer,
}

impl Point {
    /// The four points, earliest first.
    pub const ALL: [Self; 4] = [
        Self::BeforeRead,
        Self::BeforeEffect,
        Self::AfterEffect,
        Self::AfterAnswer,
    ];

    /// The points that a reload can strike which the command itself caused: its effect came first.
    pub const AFTER_ITS_CAUSE: [Self; 2] = [Self::AfterEffect, Self::AfterAnswer];

    /// Whether the command took effect.
    #[must_use]
    pub fn took_effect(self) -> bool {
        matches!(self, Self::AfterEffect | Self::AfterAnswer)
    }

    /// The point's name on the wire and on the command line, e.g. `after_effect`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::BeforeRead => "before_read",
            Self::BeforeEffect => "before_effect",
            Self::AfterEffect => "after_effect",
            Self::AfterAnswer => "after_answer",
        }
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Draws the points at which reloads strike, holds the one that waits for a command, and counts
/// those that struck.
#[derive(Clone, Debug)]
pub struct Strikes {
    any: Bag<4>,
    caused: Bag<2>,
    armed: Option<Point>,
    /// So many commands come before the one that is struck.
    spared: u32,
    struck: [u64; 4],
}

impl Strikes {
    /// The story that `seed` tells: the same seed draws the same points.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            any: Bag::new(Point::ALL, seed),
            // Another stream, so that caused reloads do not shift the timer's story.
            caused: Bag::new(Point::AFTER_ITS_CAUSE, !seed),
            armed: None,
            spared: 0,
            struck: [0; 4],
        }
    }

    /// The next point of a reload that comes from outside (timer): any of the four.
    pub fn draw(&mut self) -> Point {
        self.any.draw()
    }

    /// The next point of a reload that the command itself causes: after its effect.
    pub fn draw_caused(&mut self) -> Point {
        self.caused.draw()
    }

    /// Lets the next command be struck at `point`. One strike waits at most; the first one stays.
    pub fn arm(&mut self, point: Point) {
        self.armed.get_or_insert(point);
    }

    /// Lets so many commands be executed before the one that is struck.
    pub fn spare(&mut self, commands: u32) {
        self.spared = commands;
    }

    /// Records that a command was executed.
    pub fn executed(&mut self) {
        self.spared = self.spared.saturating_sub(1);
    }

    /// Draws a point and arms it, unless one is armed already.
    pub fn arm_drawn(&mut self) {
        if self.armed.is_none() {
            self.armed = Some(self.draw());
        }
    }

    /// The strike that waits for the next command.
    #[must_use]
    pub fn armed(&self) -> Option<Point> {
        self.armed.filter(|_| self.spared == 0)
    }

    /// Records that a reload struck at `point`, and disarms.
    pub fn struck(&mut self, point: Point) {
        self.armed = None;
        self.struck[point as usize] += 1;
    }

    /// How often each point was struck, earliest point first.
    pub fn counts(&self) -> impl Iterator<Item = (Point, u64)> + '_ {
        Point::ALL
            .into_iter()
            .map(|point| (point, self.struck[point as usize]))
    }
}

/// Each of `N` points once in a random order, then all of them again.
#[derive(Clone, Debug)]
struct Bag<const N: usize> {
    order: [Point; N],
    next: usize,
    random: fastrand::Rng,
}

impl<const N: usize> Bag<N> {
    fn new(order: [Point; N], seed: u64) -> Self {
        Self {
            order,
            next: N,
            random: fastrand::Rng::with_seed(seed),
        }
    }

    fn draw(&mut self) -> Point {
        if self.next == N {
            self.random.shuffle(&mut self.order);
            self.next = 0;
        }
        self.next += 1;
        self.order[self.next - 1]
    }
}
