//! Random commands about subscriptions, and the compaction that they hold up.

use bytes::Bytes;
use sessiond_core::command::subscription::{SubscriptionCommand, SubscriptionStep};
use sessiond_core::command::{Command, RequestTag};
use sessiond_core::ids::{Epoch, InstanceId, Revision, StreamId, SubscriptionName};
use sessiond_core::limits::{MAX_LAG_BYTES_DEFAULT, MAX_LAG_DEFAULT};
use sessiond_core::subscription::{EventStart, MaxLag, SubscriptionSettings};

use super::Asker;
use crate::draw::one_of;
use crate::world::World;

impl Asker {
    pub(super) fn subscription(&mut self, world: &World) -> Command {
        let rows = world.store.reader().snapshot().expect("snapshot");
        let (oldest, newest) = rows.log_bounds().expect("the log");
        let somewhere = Revision(self.rng.u64(oldest.0 - 1..=newest.0));
        if self.rng.u8(..4) == 0 {
            return Command::CompactEvents { through: somewhere };
        }
        let name = one_of(&mut self.rng, &["memory", "search"]);
        let name = SubscriptionName::parse(name).expect("an id");
        let subscription = (self.namespace(), name);
        let row = rows.subscription(&subscription).expect("a row");
        let epoch = row.map_or(Epoch(0), |row| row.epoch);
        let start = match self.rng.u8(..3) {
            0 => EventStart::Now,
            1 => EventStart::Oldest,
            _ => EventStart::After(somewhere),
        };
        let step = match self.rng.u8(..8) {
            0..2 => SubscriptionStep::Create {
                settings: SubscriptionSettings {
                    filter: Bytes::new(),
                    required: self.rng.bool(),
                    max_lag: MaxLag {
                        age: MAX_LAG_DEFAULT,
                        bytes: one_of(&mut self.rng, &[1_000, MAX_LAG_BYTES_DEFAULT]),
                    },
                },
                start,
                request: self.about_one(),
            },
            2 => SubscriptionStep::Seek {
                start,
                request: self.about_one(),
            },
            3 => SubscriptionStep::Delete {
                request: self.about_one(),
            },
            4 => SubscriptionStep::Consume {
                consumer: InstanceId::parse("c").expect("an id"),
                stream: StreamId(1),
                take_over: self.rng.bool(),
            },
            5 => SubscriptionStep::Lagging,
            _ => SubscriptionStep::Ack {
                revision: somewhere,
                epoch,
                delivered: newest,
            },
        };
        Command::Subscription(SubscriptionCommand { subscription, step })
    }

    /// A name of a mutation: its body is not that of any that is about a session.
    fn about_one(&mut self) -> Option<RequestTag> {
        let body = [9; 32];
        self.request().map(|tag| RequestTag { body, ..tag })
    }
}
