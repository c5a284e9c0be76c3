//! Bytes to lines, none of them longer than what is kept.

/// Cuts bytes into lines, in whatever pieces they come.
#[derive(Debug, Default)]
pub(super) struct Cutter {
    start: Vec<u8>,
    cut: u64,
}

/// One line, without its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    pub(super) bytes: &'a [u8],
    /// How many bytes were left out at its end.
    pub(super) cut: u64,
}

/// What is kept of a line.
pub(super) const MAX_LINE: usize = 8 * 1024;

impl Cutter {
    pub(super) fn push(&mut self, mut bytes: &[u8], mut emit: impl FnMut(Line<'_>)) {
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            self.keep(&bytes[..end]);
            self.emit(&mut emit);
            bytes = &bytes[end + 1..];
        }
        self.keep(bytes);
    }

    /// The last line, where it has no end.
    pub(super) fn finish(&mut self, mut emit: impl FnMut(Line<'_>)) {
        if !self.start.is_empty() {
            self.emit(&mut emit);
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let kept = bytes.len().min(MAX_LINE - self.start.len());
        self.start.extend_from_slice(&bytes[..kept]);
        self.cut += (bytes.len() - kept) as u64;
    }

    fn emit(&mut self, emit: &mut impl FnMut(Line<'_>)) {
        emit(Line {
            bytes: self.start.strip_suffix(b"\r").unwrap_or(&self.start),
            cut: self.cut,
        });
        self.start.clear();
        self.cut = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(pieces: &[&[u8]]) -> Vec<(Vec<u8>, u64)> {
        let mut lines = Vec::new();
        let mut cutter = Cutter::default();
        for piece in pieces {
            cutter.push(piece, |line| lines.push((line.bytes.to_vec(), line.cut)));
            assert!(cutter.start.capacity() <= 2 * MAX_LINE);
        }
        cutter.finish(|line| lines.push((line.bytes.to_vec(), line.cut)));
        lines
    }

    #[test]
    fn a_line_is_cut_at_its_limit_and_the_next_one_is_whole() {
        let long = vec![b'x'; MAX_LINE + 5];
        let cut = lines(&[&long, b"yz\nnext\r\n", b"last"]);
        assert_eq!(
            cut,
            [
                (vec![b'x'; MAX_LINE], 7),
                (b"next".to_vec(), 0),
                (b"last".to_vec(), 0)
            ]
        );
    }

    proptest! {
        #[test]
        fn chunking_does_not_matter(bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), any::<u8>()], 0..200), at in 0_usize..200) {
            let at = at.min(bytes.len());
            prop_assert_eq!(lines(&[&bytes]), lines(&[&bytes[..at], &bytes[at..]]));
        }
    }
}
