//! Acknowledgements: what was handled is said to the server, one call at a time.
//!
//! Keeps the newest handled place only, so that a handler that is faster than the
//! server costs no more calls than the server answers. A call that fails is made
//! again after a pause; one that is refused because the subscription is lost is
//! not, for whoever has it gets the events.

use std::pin::Pin;
use std::time::Duration;

use sessiond_proto::v1 as pb;
use tokio::time::Instant;

use crate::client::Client;
use crate::error::Error;

/// How long after a failed call the next one is made.
const RETRY_AFTER: Duration = Duration::from_secs(1);

type Call = Pin<Box<dyn Future<Output = Result<u64, Error>> + Send>>;

/// The acknowledgements under one epoch.
pub(super) struct Acks {
    client: Client,
    name: String,
    epoch: u64,
    handled: u64,
    acked: u64,
    call: Option<Call>,
    not_before: Option<Instant>,
}

impl Acks {
    /// Nothing more is handled than is acknowledged.
    pub(super) fn new(client: Client, name: String, started: &pb::WatchStarted) -> Self {
        Self {
            client,
            name,
            epoch: started.subscription_epoch,
            handled: started.acked_revision,
            acked: started.acked_revision,
            call: None,
            not_before: None,
        }
    }

    /// The watch was opened again. Under the same epoch what was handled and not
    /// acknowledged yet still counts; under another one it is sent again.
    pub(super) fn reopened(&mut self, started: &pb::WatchStarted) {
        if started.subscription_epoch == self.epoch {
            self.acked = self.acked.max(started.acked_revision);
            self.handled(self.acked);
            return;
        }
        let client = self.client.clone();
        *self = Self::new(client, std::mem::take(&mut self.name), started);
    }

    /// Everything up to here was handled.
    pub(super) fn handled(&mut self, revision: u64) {
        self.handled = self.handled.max(revision);
    }

    /// Whether something was handled that the server does not know of.
    pub(super) fn is_behind(&self) -> bool {
        self.handled > self.acked
    }

    /// Goes on with what there is to say; completes when a call was answered.
    /// Without anything to say it never does. It may be dropped at any time.
    pub(super) async fn next(&mut self) {
        if self.call.is_none() {
            if !self.is_behind() {
                return std::future::pending().await;
            }
            if let Some(time) = self.not_before {
                tokio::time::sleep_until(time).await;
            }
            let request = pb::AckEventsRequest {
                name: self.name.clone(),
                revision: self.handled,
                epoch: self.epoch,
            };
            let client = self.client.clone();
            self.call = Some(Box::pin(async move { client.ack_events(request).await }));
        }
        let Some(call) = &mut self.call else {
            return;
        };
        let answer = call.await;
        self.call = None;
        self.not_before = None;
        match answer {
            Ok(acked) => self.acked = self.acked.max(acked),
            Err(Error::Unavailable(_) | Error::Deadline(_) | Error::ResourceExhausted { .. }) => {
                self.not_before = Some(Instant::now() + RETRY_AFTER);
            }
            Err(error) => {
                // The watch ends for the same cause, and says it.
                tracing::debug!(%error, "what was handled is not acknowledged");
                self.acked = self.handled;
            }
        }
    }
}
