//! Who is called: a server, a broker, and its hosts.

use benches::{Peer, alone, serving};
use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use mcp_transport_broker::host::BrokerListener;
use mcp_transport_broker::run::Dialect;
use mcp_transport_broker::server::{Server, ServerConfig};
use mcp_transport_core::{Listener, Message};
use std::convert::Infallible;
use std::io::{Read, Write};

pub(crate) const TOKEN: &str = "a-token-of-this-bench";
const ANSWER: &str =
    r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"hello"}]}}"#;

/// A tool whose answer has 8 MiB.
pub(crate) const LARGE: &str = "large";

fn large() -> String {
    ANSWER.replace("hello", &"x".repeat(8 * 1024 * 1024))
}

/// hyper, and an answer at once.
pub(crate) fn direct() -> Peer {
    serving(|stream| async {
        let answer = service_fn(|request: Request<hyper::body::Incoming>| async {
            request.into_body().collect().await.unwrap();
            let mut response = Response::new(Full::new(Bytes::from_static(ANSWER.as_bytes())));
            let json = http::HeaderValue::from_static("application/json");
            response.headers_mut().insert("content-type", json);
            Ok::<_, Infallible>(response)
        });
        let connection = hyper::server::conn::http1::Builder::new();
        let _ = connection
            .serve_connection(TokioIo::new(stream), answer)
            .await;
    })
}

pub(crate) fn broker(dialects: Vec<Dialect>) -> Peer {
    alone(move |say| async move {
        let mut config = ServerConfig::new(TOKEN).unwrap();
        config.dialects = dialects;
        let server = Server::bind(0, config).unwrap();
        say.send(server.port()).unwrap();
        server.serve().await;
    })
}

/// A host of the native dialect, in a thread of its own.
pub(crate) fn native_host(port: u16) {
    alone(move |say| async move {
        let url = format!("http://127.0.0.1:{port}");
        let mut clients = BrokerListener::attach(&url, TOKEN).unwrap();
        clients
            .watch()
            .wait_for(|state| state.is_connected())
            .await
            .unwrap();
        say.send(0).unwrap();
        let large = Bytes::from(large());
        while let Ok(mut client) = clients.accept().await {
            let large = large.clone();
            tokio::spawn(async move {
                while let Some(Ok(message)) = client.next().await {
                    if message.id().is_none() {
                        continue;
                    }
                    let is_large = message.params().is_some_and(|it| it.contains(LARGE));
                    let answer = if is_large {
                        Message::from(large.clone())
                    } else {
                        Message::from(ANSWER)
                    };
                    if client.send(answer).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
}

/// A plugin as it is installed: pull, run, push, and a connection for each.
pub(crate) fn plugin(port: u16) {
    let ask = move |head: String, body: &str| {
        let stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_nodelay(true).unwrap();
        let text = format!(
            "{head} HTTP/1.1\r\nX-Funplay-Broker-Token: {TOKEN}\r\nX-Funplay-Broker-Session: bench\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\nHost: 127.0.0.1:{port}\r\n",
            body.len()
        );
        (stream, text)
    };
    let exchange = move |head: &str, more: &str, body: &str| {
        let (mut stream, text) = ask(head.to_owned(), body);
        stream
            .write_all(format!("{text}{more}\r\n{body}").as_bytes())
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    exchange("POST /_funplay/broker/attach", "", "");
    std::thread::spawn(move || {
        loop {
            let work = exchange("GET /_funplay/broker/pull", "", "");
            let number = work.lines().find_map(|line| {
                let (name, value) = line.split_once(": ")?;
                name.eq_ignore_ascii_case("x-funplay-broker-reqid")
                    .then(|| value.to_owned())
            });
            let Some(number) = number else { continue };
            let body = work.split_once("\r\n\r\n").unwrap().1;
            // The broker has given the call an id of its own.
            let id = body.split_once("\"id\":").unwrap().1;
            let id: String = id
                .trim_start()
                .chars()
                .take_while(|it| !",}".contains(*it))
                .collect();
            let answer = ANSWER.replacen("\"id\":1", &format!("\"id\":{id}"), 1);
            let more = format!("X-Funplay-Broker-ReqId: {number}\r\n");
            exchange("POST /_funplay/broker/push", &more, &answer);
        }
    });
}
