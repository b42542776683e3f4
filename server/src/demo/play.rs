//! Plays one recorded session: each hook event becomes the call that the hook would make, in order.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use anyhow::Context;
use sessiond_client::Client;
use sessiond_client::hook::event::HookEvent;
use sessiond_client::hook::{self, HookRequest, Occurrence};

use super::recording::Session;

/// Sends the events of a session one after the other.
pub(crate) async fn play(
    client: &Client,
    session: &Session,
    sent: &AtomicUsize,
) -> anyhow::Result<()> {
    for (number, text) in &session.events {
        let event = HookEvent::parse(text).with_context(|| format!("line {number}"))?;
        let occurrence = Occurrence {
            time: SystemTime::now(),
            key: format!("{}:{number}", session.key),
        };
        if let Some(request) = hook::request(&event, &occurrence) {
            send(client, request)
                .await
                .with_context(|| format!("line {number}, {}", event.name_text()))?;
        }
        sent.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

async fn send(client: &Client, request: HookRequest) -> Result<(), sessiond_client::Error> {
    match request {
        HookRequest::Open(open) => client.open(*open).await.map(drop),
        HookRequest::Enqueue(enqueue) => client.enqueue(*enqueue).await.map(drop),
        HookRequest::End(end) => client.end(*end).await.map(drop),
    }
}
