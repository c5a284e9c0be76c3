//! A client that speaks the bridge's wire by hand, and what was recorded of the real one.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "each test takes what it needs, and fails where it stands"
)]

use bytes::Bytes;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longer than anything here takes; a test that hangs says where.
pub const SOON: Duration = Duration::from_secs(10);

pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(SOON, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: not within {SOON:?}"),
    }
}

pub fn frame(payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u64).to_be_bytes().to_vec();
    bytes.extend_from_slice(payload);
    bytes
}

/// A client without manners.
pub struct Raw(pub TcpStream);

impl Raw {
    pub async fn connect(port: u16) -> Self {
        let mut raw = Self(TcpStream::connect(("127.0.0.1", port)).await.unwrap());
        let mut welcome = [0; 30];
        soon("the welcome", raw.0.read_exact(&mut welcome))
            .await
            .unwrap();
        assert_eq!(&welcome, b"WELCOME UNITY-MCP 1 FRAMING=1\n");
        raw
    }

    pub fn endpoint(&self) -> String {
        self.0.local_addr().unwrap().to_string()
    }

    pub async fn send(&mut self, payload: &[u8]) {
        self.0.write_all(&frame(payload)).await.unwrap();
    }

    /// The next frame; `None` at the end, however it comes.
    pub async fn next(&mut self) -> Option<Vec<u8>> {
        soon("a frame", async {
            let mut header = [0; 8];
            self.0.read_exact(&mut header).await.ok()?;
            let mut payload = vec![0; u64::from_be_bytes(header) as usize];
            self.0.read_exact(&mut payload).await.ok()?;
            Some(payload)
        })
        .await
    }

    pub async fn call(&mut self, payload: &[u8]) -> Vec<u8> {
        self.send(payload).await;
        self.next().await.expect("an answer")
    }
}

/// One thing that one side wrote, framing included.
#[derive(Clone, Debug)]
pub struct Said {
    pub by_bridge: bool,
    pub bytes: Bytes,
}

/// The recorded conversations.
pub fn recordings() -> Vec<Vec<Said>> {
    let text = include_str!("../fixtures/bridge.txt");
    let said = |line: &str| Said {
        by_bridge: line.starts_with('<'),
        bytes: line.as_bytes()[2..]
            .chunks(2)
            .map(|hex| u8::from_str_radix(std::str::from_utf8(hex).unwrap(), 16).unwrap())
            .collect::<Vec<_>>()
            .into(),
    };
    let recordings: Vec<Vec<Said>> = text
        .split("\n\n")
        .map(|part| {
            part.lines()
                .filter(|line| !line.starts_with('#'))
                .map(said)
                .collect()
        })
        .filter(|conversation: &Vec<Said>| !conversation.is_empty())
        .collect();
    assert!(recordings.len() > 10);
    recordings
}
