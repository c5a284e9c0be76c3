//! A host that dies while it has two calls, and comes back: the read is asked again, the change is not.

use futures::{SinkExt, StreamExt};
use mcp_transport_core::{Id, Listener, Message, Resilient};
use std::error::Error;
use unix_socket::{Socket, dial};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::temp_dir().join(format!("mcp-transport-dependent-{}", std::process::id()));
    let mut socket = Socket::bind(&path)?;
    let mut link = Resilient::spawn(dial(path.clone()));
    for (id, method) in [(1, "tools/list"), (2, "tools/call")] {
        link.send(Message::request(&Id::from(id), method, None::<()>)?)
            .await?;
    }

    let mut host = socket.accept().await?;
    host.next().await.ok_or("the first call")??;
    host.next().await.ok_or("the second call")??;
    drop(host);

    let lost = link.next().await.ok_or("an answer")??;
    println!("the change: {}", lost.as_str().unwrap_or_default());
    assert_eq!(lost.id(), Some(&Id::from(2)));
    assert!(
        lost.as_str()
            .is_some_and(|text| text.contains(r#""outcome":"unknown""#))
    );

    let mut host = socket.accept().await?;
    let again = host.next().await.ok_or("the first call, again")??;
    assert_eq!(again.method(), Some("tools/list"));
    host.send(Message::response(&Id::from(1), "a list")?)
        .await?;
    let answer = link.next().await.ok_or("an answer")??;
    println!("the read:   {}", answer.as_str().unwrap_or_default());
    assert_eq!(answer.body(), Some(r#""a list""#));
    std::fs::remove_file(path)?;
    Ok(())
}
