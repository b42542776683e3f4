//! The life of a plugin: makes its subscription, reads for it, and goes on after
//! whatever ended a reading.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::event_start::Start;

use super::reading::{Over, Reading};
use super::state::{PluginState, StateTeller};
use super::{AfterGap, PluginError, PluginHandler, PluginNotice, Settings};
use crate::client::Client;
use crate::error::Error;
use crate::retry::{Backoff, heals};
use crate::watch::EventStream;

pub(super) struct Core<H> {
    pub(super) client: Client,
    pub(super) settings: Settings,
    pub(super) state: StateTeller,
    pub(super) handler: Arc<H>,
    backoff: Backoff,
    /// Whether the subscription is known to be there.
    subscribed: bool,
}

impl<H: PluginHandler> Core<H> {
    pub(super) fn new(client: Client, settings: Settings, state: StateTeller, handler: H) -> Self {
        let backoff = Backoff::of_stream(client.retry());
        Self {
            client,
            settings,
            state,
            handler: Arc::new(handler),
            backoff,
            subscribed: false,
        }
    }

    pub(super) async fn run(
        mut self,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), PluginError> {
        let mut shutdown = pin!(shutdown.fuse());
        loop {
            let wait = if self.subscribed {
                let reading = Reading::of(self.watch());
                match reading.run(&mut self, shutdown.as_mut()).await? {
                    Over::Stopped => return Ok(()),
                    Over::Lost(error) => self.after(error).await?,
                }
            } else {
                tokio::select! {
                    biased;
                    () = &mut shutdown => return Ok(()),
                    made = self.subscribe() => match made {
                        Ok(()) => Duration::ZERO,
                        Err(error) => self.pause(error)?,
                    },
                }
            };
            tokio::select! {
                biased;
                () = &mut shutdown => return Ok(()),
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Makes the subscription, unless it is there.
    async fn subscribe(&mut self) -> Result<(), Error> {
        let request = self.settings.subscription.clone();
        self.client.create_subscription(request).await?;
        self.subscribed = true;
        Ok(())
    }

    fn watch(&self) -> EventStream {
        let name = self.settings.subscription.name.clone();
        let consumer = self.settings.consumer.clone();
        let watch = self.client.watch().subscription(name).consumer(consumer);
        let watch = watch.end_when_held();
        match self.settings.take_over {
            true => watch.take_over().start(),
            false => watch.start(),
        }
    }

    /// It reads.
    pub(super) fn reads(&mut self, started: &pb::WatchStarted) {
        // Whoever takes over from here on keeps it.
        self.settings.take_over = false;
        self.backoff.reset();
        self.state.tell(PluginState::Connected);
        self.handler.observe(&PluginNotice::Reading {
            epoch: started.subscription_epoch,
            acked_revision: started.acked_revision,
        });
    }

    /// How long to wait after an error that time may heal.
    fn pause(&mut self, error: Error) -> Result<Duration, PluginError> {
        if !heals(&error) {
            return Err(error.into());
        }
        tracing::debug!(%error, "the plugin waits for the server");
        self.state.tell(PluginState::Reconnecting);
        Ok(self.backoff.next(error.retry_after()))
    }

    /// How long to wait before the next reading, after what ended one.
    async fn after(&mut self, error: Error) -> Result<Duration, PluginError> {
        match error.reason() {
            Some(Reason::LeaseHeld | Reason::LeaseFenced) => {
                let holder = error.metadata().get("holder").cloned();
                self.state.tell(PluginState::Fenced {
                    holder: holder.clone(),
                });
                self.handler.observe(&PluginNotice::StandingBy { holder });
                Ok(error.retry_after().unwrap_or_default())
            }
            Some(Reason::SubscriptionStale) => self.recover(&error).await,
            // Another data set: the server knows where the subscription stands in it.
            Some(Reason::LogChanged) => Ok(self.backoff.next(None)),
            Some(_) | None => self.pause(error),
        }
    }

    /// Goes on with a subscription that fell too far behind: where it was if that
    /// is kept, with the oldest event if that is wanted.
    async fn recover(&mut self, error: &Error) -> Result<Duration, PluginError> {
        let fact = |name: &str| {
            let text = error.metadata().get(name);
            text.and_then(|text| text.parse::<u64>().ok()).unwrap_or(0)
        };
        let (acked_revision, oldest_revision) = (fact("acked_revision"), fact("oldest_revision"));
        let is_whole = acked_revision.saturating_add(1) >= oldest_revision;
        let start = match (is_whole, self.settings.after_gap) {
            (true, _) => Start::AfterRevision(acked_revision),
            (false, AfterGap::FromOldest) => Start::Oldest(true),
            (false, AfterGap::End) => {
                return Err(PluginError::Gap {
                    acked_revision,
                    oldest_revision,
                });
            }
        };
        let request = pb::SeekSubscriptionRequest {
            name: self.settings.subscription.name.clone(),
            start: Some(pb::EventStart { start: Some(start) }),
            request_id: String::new(),
        };
        match self.client.seek_subscription(request).await {
            Ok(_) if is_whole => self.handler.observe(&PluginNotice::CaughtUpLate),
            Ok(_) => self.handler.observe(&PluginNotice::Gap {
                acked_revision,
                oldest_revision,
            }),
            // It goes while it is asked for: the next reading is told what is gone by then.
            Err(Error::Compacted { .. }) => {}
            Err(error) => return self.pause(error),
        }
        Ok(Duration::ZERO)
    }
}
