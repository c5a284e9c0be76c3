//! What a client hears that has asked for a log.
#![allow(
    deprecated,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests wait; logging is deprecated since 2026-07-28, and a part of what came before"
)]

use examples::calls::Budget;
use examples::sim::Options;
use rmcp::model::{LoggingLevel, LoggingMessageNotificationParam, SetLevelRequestParams};
use rmcp::service::NotificationContext;
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::{ClientHandler, RoleClient, ServiceExt};
use std::time::Duration;
use tests_integration::Server;
use tokio::sync::mpsc;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);

struct Reader(mpsc::UnboundedSender<LoggingMessageNotificationParam>);

impl ClientHandler for Reader {
    async fn on_logging_message(
        &self,
        message: LoggingMessageNotificationParam,
        _: NotificationContext<RoleClient>,
    ) {
        let _ = self.0.send(message);
    }
}

#[tokio::test]
async fn editors_that_come_and_go_are_told_of_from_the_level_on_that_was_asked_for() {
    let server = Server::start(Budget::default());
    examples::tls::choose_ring();
    let (sender, mut heard) = mpsc::unbounded_channel();
    let transport = StreamableHttpClientTransport::from_uri(server.url());
    let client = Reader(sender).serve(transport).await.unwrap();
    let level = async |level| {
        let asked = client.peer().set_level(SetLevelRequestParams::new(level));
        asked.await.unwrap();
    };
    let mut next = async || {
        let message = timeout(PATIENCE, heard.recv()).await;
        let message = message.expect("it is told").expect("the session lives");
        assert_eq!(message.logger.as_deref(), Some("unity"));
        (message.level, message.data.as_str().unwrap().to_owned())
    };

    // Nobody has asked yet.
    server.editor(Options::default()).await.quit().await;
    level(LoggingLevel::Info).await;
    let editor = server.editor(Options::default()).await;
    let (urgency, text) = next().await;
    assert_eq!(urgency, LoggingLevel::Info);
    assert!(text.ends_with("is connected."), "{text}");

    // That it comes back is less than a notice, and that it goes is one.
    level(LoggingLevel::Notice).await;
    editor.reload();
    let (urgency, text) = next().await;
    assert_eq!(urgency, LoggingLevel::Notice);
    assert!(text.contains("is away"), "{text}");
    editor.connected().await;
    server.until(|one| one.returns > 0).await;
    editor.quit().await;
    let (urgency, text) = next().await;
    assert_eq!(urgency, LoggingLevel::Notice);
    assert!(text.contains("has quit"), "{text}");
    server.stop().await;
}
