//! A client that hears when its list of tools has changed.

use rmcp::service::{NotificationContext, RunningService};
use rmcp::transport::{IntoTransport, StreamableHttpClientTransport};
use rmcp::{ClientHandler, RoleClient, ServiceExt};
use tokio::sync::mpsc;

/// rmcp's own client, with an ear for `notifications/tools/list_changed`.
#[derive(Debug)]
pub struct Ear {
    service: RunningService<RoleClient, Hearing>,
    heard: mpsc::UnboundedReceiver<()>,
}

#[derive(Debug)]
struct Hearing(mpsc::UnboundedSender<()>);

impl Ear {
    /// A client of 2025-11-25, over any transport.
    ///
    /// # Panics
    /// If it does not get in.
    pub async fn legacy<T, E, A>(transport: T) -> Self
    where
        T: IntoTransport<RoleClient, E, A>,
        E: std::error::Error + Send + Sync + 'static,
    {
        let (sender, heard) = mpsc::unbounded_channel();
        let service = Hearing(sender).serve(transport).await;
        Self {
            service: service.expect("the handshake"),
            heard,
        }
    }

    /// The same over HTTP, at this address.
    ///
    /// # Panics
    /// If it does not get in.
    pub async fn legacy_at(url: &str) -> Self {
        examples::tls::choose_ring();
        Self::legacy(StreamableHttpClientTransport::from_uri(url)).await
    }

    /// rmcp's handle.
    pub fn peer(&self) -> &rmcp::Peer<RoleClient> {
        self.service.peer()
    }

    /// Waits until it hears of a change.
    ///
    /// # Panics
    /// If its session is over.
    pub async fn hears(&mut self) {
        self.heard.recv().await.expect("the session lives");
    }

    /// Whether it has heard of a change since it was asked last.
    pub fn has_heard(&mut self) -> bool {
        self.heard.try_recv().is_ok()
    }
}

impl ClientHandler for Hearing {
    async fn on_tool_list_changed(&self, _: NotificationContext<RoleClient>) {
        let _ = self.0.send(());
    }
}
