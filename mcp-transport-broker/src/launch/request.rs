//! One small request over a connection of its own.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use std::error::Error as StdError;
use tokio::net::TcpStream;

/// A broker's answer to such a request is a few hundred bytes; a status may have some more.
const MAX_ANSWER: usize = 1024 * 1024;

/// There is no answer: it ended, or was none.
pub(super) type RequestError = Box<dyn StdError + Send + Sync>;

/// The status and the body of the answer.
pub(crate) async fn request(
    stream: TcpStream,
    request: Request<Full<Bytes>>,
) -> Result<(u16, Bytes), RequestError> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let exchange = async {
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect();
        Ok((status, body.await?.to_bytes()))
    };
    tokio::pin!(exchange, connection);
    tokio::select! {
        answer = &mut exchange => answer,
        // The connection may end first; the answer is then there, or never comes.
        _ = &mut connection => exchange.await,
    }
}

/// A request to a broker on this port.
pub(crate) fn to_broker(
    method: http::Method,
    port: u16,
    path: &str,
    token: Option<&str>,
) -> Request<Full<Bytes>> {
    let mut request = Request::builder()
        .method(method)
        .uri(format!("{}{path}", crate::native::PREFIX))
        .header(http::header::HOST, format!("127.0.0.1:{port}"));
    if let Some(token) = token {
        request = request
            .header(http::header::AUTHORIZATION, format!("Bearer {token}"))
            .header(http::header::CONTENT_TYPE, "application/json");
    }
    let body = token.map_or(Bytes::new(), |_| Bytes::from_static(b"{}"));
    request
        .body(Full::new(body))
        .expect("a token and a path that were read are valid in a head")
}
