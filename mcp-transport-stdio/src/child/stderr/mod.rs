//! The child's standard error, line by line, to `tracing`.
#![expect(
    clippy::disallowed_methods,
    reason = "a shell: it owns the task that reads"
)]

mod allowance;
mod cutter;

pub(super) use allowance::Allowance;
use cutter::{Cutter, Line};
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::task::JoinHandle;

/// The last line that was not blank, cut for an error's text.
#[derive(Debug, Default)]
pub(super) struct LastWords(Vec<u8>);

const LAST_WORDS: usize = 200;
const READ: usize = 64 * 1024;

/// Reads until the end, always: a child must never wait to write there.
pub(super) fn follow(
    mut stderr: impl AsyncRead + Send + Unpin + 'static,
    label: String,
) -> JoinHandle<LastWords> {
    tokio::spawn(async move {
        let mut buffer = vec![0; READ];
        let mut lines = Cutter::default();
        let mut log = Log {
            label,
            allowance: Allowance::new(Instant::now()),
            last: LastWords::default(),
        };
        while let Ok(count @ 1..) = stderr.read(&mut buffer).await {
            let now = Instant::now();
            lines.push(&buffer[..count], |line| log.line(now, line));
        }
        lines.finish(|line| log.line(Instant::now(), line));
        log.left_out(log.allowance.left_out());
        log.last
    })
}

struct Log {
    label: String,
    allowance: Allowance,
    last: LastWords,
}

impl Log {
    fn line(&mut self, now: Instant, line: Line<'_>) {
        self.last.hear(line.bytes);
        let Some(left_out) = self.allowance.take(now) else {
            return;
        };
        self.left_out(left_out);
        let child = &self.label;
        let text = String::from_utf8_lossy(line.bytes);
        match line.cut {
            0 => tracing::info!(%child, "{text}"),
            cut => tracing::info!(%child, "{text} (and {cut} bytes more)"),
        }
    }

    fn left_out(&self, lines: u64) {
        if lines > 0 {
            tracing::warn!(child = %self.label, lines, "lines of standard error were left out: too many at once");
        }
    }
}

impl LastWords {
    fn hear(&mut self, line: &[u8]) {
        let line = line.trim_ascii();
        if !line.is_empty() {
            self.0.clear();
            self.0
                .extend_from_slice(&line[..line.len().min(LAST_WORDS)]);
        }
    }

    pub(super) fn into_text(self) -> Option<String> {
        // Colours and the like have no place in the text of an error.
        let text: String = String::from_utf8_lossy(&self.0)
            .chars()
            .filter(|char| !char.is_control())
            .collect();
        (!text.is_empty()).then_some(text)
    }
}
