//! What can be set, with the defaults.

/// The settings of a server's own pipes.
///
/// | setting | default |
/// |---|---|
/// | [`max_message`](Self::max_message), each way | 16 MiB |
/// | [`watch_parent`](Self::watch_parent) | yes |
///
/// ```no_run
/// use mcp_transport_stdio::StdioConfig;
///
/// # fn open() -> Result<(), mcp_transport_core::Error> {
/// let client = StdioConfig::new().max_message(64 * 1024 * 1024).open()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct StdioConfig {
    max_message: usize,
    watch_parent: bool,
}

/// What other implementations take on a line, too.
pub(crate) const MAX_MESSAGE: usize = 16 * 1024 * 1024;

impl StdioConfig {
    /// The defaults.
    pub const fn new() -> Self {
        Self {
            max_message: MAX_MESSAGE,
            watch_parent: true,
        }
    }

    /// Sets how many bytes a message may have, each way. A longer line is skipped, and its request is answered.
    #[must_use]
    pub const fn max_message(mut self, bytes: usize) -> Self {
        self.max_message = bytes;
        self
    }

    /// Sets whether the death of the parent process ends the stream, on Unix.
    ///
    /// Switch it off where a launcher starts the server and leaves, while the client stays.
    #[must_use]
    pub const fn watch_parent(mut self, watch: bool) -> Self {
        self.watch_parent = watch;
        self
    }

    pub(super) const fn message_limit(self) -> usize {
        self.max_message
    }

    pub(super) const fn watches_parent(self) -> bool {
        self.watch_parent
    }
}

impl Default for StdioConfig {
    fn default() -> Self {
        Self::new()
    }
}
