/// Why a request was turned away before anybody read its body.
///
/// Its text says what to do about it, and repeats nothing of the request, so it may go into the
/// answer and into a log as it is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// `Host` does not name a loopback address with our port, or is missing: what a rebound DNS
    /// name looks like.
    #[error(
        "refused: the Host header does not name this server; \
         connect to http://127.0.0.1:{port}, http://localhost:{port} or http://[::1]:{port}"
    )]
    Host {
        /// The port that the server listens on.
        port: u16,
    },
    /// `Origin` names a page that nobody allowed.
    #[error(
        "refused: web pages of this origin may not use this server; \
         if they should, start the server with --allow-origin and the origin"
    )]
    Origin,
    /// `Sec-Fetch-Site` says that another site's page sends this.
    #[error(
        "refused: the browser says that a page of another site sent this (Sec-Fetch-Site); \
         if it should, start the server with --allow-origin and the page's origin"
    )]
    FetchSite,
    /// No `Authorization`, and the server has a token.
    #[error(
        "refused: this server asks for its token; \
         send it as \"Authorization: Bearer <token>\""
    )]
    TokenMissing,
    /// An `Authorization` that does not present the server's token.
    #[error(
        "refused: the token in the Authorization header is not this server's; \
         read its token file again, the server may have been started anew"
    )]
    TokenWrong,
    /// A body that does not say that it is JSON.
    #[error("refused: the body is not declared as JSON; send \"Content-Type: application/json\"")]
    ContentType,
    /// A body larger than the server takes. Shells raise it, too, for a body without a length.
    #[error(
        "refused: the body is larger than {limit} bytes; send less, or raise the server's limit"
    )]
    BodyTooLarge {
        /// In bytes.
        limit: u64,
    },
    /// A head larger than the server takes. Shells raise it, too, while they read.
    #[error(
        "refused: the request's head is larger than {limit} bytes; send fewer or shorter headers"
    )]
    HeadTooLarge {
        /// In bytes.
        limit: usize,
    },
}

impl Refusal {
    /// Returns the HTTP status to answer with.
    ///
    /// A 401 must come with `WWW-Authenticate: Bearer`.
    pub fn status(self) -> u16 {
        match self {
            Self::Host { .. } | Self::Origin | Self::FetchSite => 403,
            Self::TokenMissing | Self::TokenWrong => 401,
            Self::ContentType => 415,
            Self::BodyTooLarge { .. } => 413,
            Self::HeadTooLarge { .. } => 431,
        }
    }
}
