//! How a plugin is configured.
//!
//! What the subscription is to be means something when it is made; one that exists
//! as another is refused by the server, not changed.

use std::time::Duration;

use sessiond_proto::v1 as pb;
use sessiond_proto::v1::event_start::Start;
use uuid::Uuid;

use super::state::StateTeller;
use super::{AfterGap, Plugin, Settings};
use crate::client::Client;

/// How long a handler may go on after the shutdown, unless the builder says
/// otherwise.
pub const PLUGIN_STOP_GRACE_DEFAULT: Duration = Duration::from_secs(5);

/// The settings of a [`Plugin`].
#[derive(Clone, Debug)]
#[must_use = "a plugin does nothing before it is built and run"]
pub struct PluginBuilder {
    client: Client,
    settings: Settings,
}

impl PluginBuilder {
    pub(super) fn new(client: Client, name: String) -> Self {
        Self {
            client,
            settings: Settings {
                subscription: pb::CreateSubscriptionRequest {
                    name,
                    ..pb::CreateSubscriptionRequest::default()
                },
                consumer: Uuid::now_v7().to_string(),
                take_over: false,
                max_attempts: None,
                after_gap: AfterGap::End,
                stop_grace: PLUGIN_STOP_GRACE_DEFAULT,
            },
        }
    }

    /// Chooses events. Default: all of the namespace.
    pub fn filter(mut self, filter: pb::EventFilter) -> Self {
        self.settings.subscription.filter = Some(filter);
        self
    }

    /// Chooses the ends of sessions, and nothing else.
    pub fn session_ends(self) -> Self {
        self.filter(pb::EventFilter {
            types: vec![pb::EventType::SessionEnd.into()],
            ..pb::EventFilter::default()
        })
    }

    /// Begins with the oldest event that is kept, when the subscription is made.
    /// Default: behind the newest commit.
    pub fn from_oldest(mut self) -> Self {
        self.settings.subscription.start = start(Start::Oldest(true));
        self
    }

    /// Begins where a watch or a list left off, when the subscription is made.
    pub fn from_token(mut self, token: impl Into<String>) -> Self {
        self.settings.subscription.start = start(Start::ResumeToken(token.into()));
        self
    }

    /// Has the deletion of an ended session wait until its end was handled, for a
    /// day at most.
    pub fn required(mut self) -> Self {
        self.settings.subscription.required = true;
        self
    }

    /// Sets how old the oldest event may be that was not handled; past it events
    /// are deleted without the plugin. Default: 24 h.
    pub fn max_lag(mut self, age: Duration) -> Self {
        self.settings.subscription.max_lag = Some(crate::session::to_span(age));
        self
    }

    /// Sets how many bytes of the log there may be that were not handled. Default:
    /// 1 GiB.
    pub fn max_lag_bytes(mut self, bytes: u64) -> Self {
        self.settings.subscription.max_lag_bytes = Some(bytes);
        self
    }

    /// Sets what tells this run of the plugin from others. Default: a fresh UUID.
    /// The same consumer that comes back goes on under its epoch.
    pub fn consumer(mut self, consumer: impl Into<String>) -> Self {
        self.settings.consumer = consumer.into();
        self
    }

    /// Takes the subscription over from whoever reads for it, once. Default:
    /// stands by until that is gone.
    pub fn take_over(mut self) -> Self {
        self.settings.take_over = true;
        self
    }

    /// Gives up when the handler has failed so often with one event; 0 counts as
    /// one. Default: it is called with it for ever.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.settings.max_attempts = Some(attempts.max(1));
        self
    }

    /// Goes on from the oldest event when some are gone that were never handled,
    /// and says so with [`super::PluginNotice::Gap`]. Default: ends.
    pub fn continue_after_gap(mut self) -> Self {
        self.settings.after_gap = AfterGap::FromOldest;
        self
    }

    /// Sets how long the handler may go on after the shutdown. Default: 5 s.
    pub fn stop_grace(mut self, grace: Duration) -> Self {
        self.settings.stop_grace = grace;
        self
    }

    /// The plugin, ready to run.
    #[must_use]
    pub fn build(self) -> Plugin {
        Plugin {
            client: self.client,
            settings: self.settings,
            state: StateTeller::new(),
        }
    }
}

fn start(start: Start) -> Option<pb::EventStart> {
    Some(pb::EventStart { start: Some(start) })
}
