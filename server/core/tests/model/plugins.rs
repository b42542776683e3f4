//! Simulated plugins: they subscribe, read, acknowledge, vanish, take over from one another, and are told of lag.

use bytes::Bytes;
use sessiond_core::command::subscription::{SubscriptionCommand, SubscriptionStep};
use sessiond_core::command::{Command, RequestTag};
use sessiond_core::ids::{Epoch, InstanceId, Revision, StreamId, SubscriptionName};
use sessiond_core::subscription::{EventStart, MaxLag, SubscriptionSettings};
use sessiond_core::time::Span;

use super::world::World;

/// Subscriptions; few, so that plugins meet at one.
const NAMES: u8 = 3;

impl World {
    /// A plugin does something with one of the subscriptions.
    pub(crate) fn plugin(&mut self) {
        let number = self.rng.u8(..NAMES);
        let name = SubscriptionName::parse(format!("p{number}")).unwrap();
        let one = self.model.subscriptions.get(&name).cloned();
        let step = match self.rng.u32(..20) {
            0..4 => SubscriptionStep::Create {
                settings: self.settings(number),
                start: self.start(),
                request: self.tag_of(20, number),
            },
            4 => SubscriptionStep::Seek {
                start: self.start(),
                request: self.tag_of(21, number),
            },
            5 if self.rng.bool() => SubscriptionStep::Delete {
                request: self.tag_of(22, number),
            },
            5..10 => SubscriptionStep::Consume {
                consumer: self.instance(),
                stream: self.watch(),
                take_over: self.rng.u32(..3) == 0,
            },
            10 => SubscriptionStep::Left {
                stream: match one.and_then(|one| one.reads) {
                    Some((_, stream)) if self.rng.u32(..4) > 0 => stream,
                    Some(_) | None => StreamId(self.rng.u64(1..20)),
                },
            },
            11..18 => {
                let newest = self.model.revision;
                let (acked, epoch) = one.map_or((0, 0), |one| (one.acked, one.epoch));
                let revision = match self.rng.u32(..6) {
                    0 => self.rng.u64(..=newest + 1),
                    1 => newest,
                    _ => (acked + self.rng.u64(..9)).min(newest),
                };
                SubscriptionStep::Ack {
                    revision: Revision(revision),
                    epoch: Epoch(epoch - u64::from(epoch > 0 && self.rng.u32(..6) == 0)),
                    delivered: match self.rng.u32(..6) {
                        0 => Revision(self.rng.u64(..=newest + 2)),
                        _ => Revision(newest),
                    },
                }
            }
            _ => SubscriptionStep::Lagging,
        };
        let subscription = (self.namespace.clone(), name);
        let command = SubscriptionCommand { subscription, step };
        // The model knows what is refused.
        let _ = self.submit(&Command::Subscription(command.clone()));
        let asked_once_more = self.rng.u32(..6) == 0;
        if !asked_once_more {
            return;
        }
        if matches!(command.step, SubscriptionStep::Create { .. }) && self.rng.bool() {
            let delete = SubscriptionCommand {
                step: SubscriptionStep::Delete { request: None },
                ..command.clone()
            };
            let _ = self.submit(&Command::Subscription(delete));
        }
        let _ = self.submit(&Command::Subscription(command));
    }

    fn settings(&mut self, number: u8) -> SubscriptionSettings {
        // Of one subscription mostly the same.
        let other = self.rng.u32(..8) == 0;
        SubscriptionSettings {
            filter: Bytes::new(),
            required: (number < 2) ^ (other && self.rng.bool()),
            max_lag: MaxLag {
                age: Span::seconds(if number == 1 { 7_200 } else { 90_000 }),
                bytes: if other { 9_000 } else { 12_000 },
            },
        }
    }

    fn start(&mut self) -> EventStart {
        let newest = self.model.revision;
        match self.rng.u32(..4) {
            0 => EventStart::Now,
            1 => EventStart::Oldest,
            _ => EventStart::After(Revision(self.rng.u64(..=newest + 1))),
        }
    }

    fn instance(&mut self) -> InstanceId {
        InstanceId::parse(format!("c{}", self.rng.u32(..3))).unwrap()
    }

    /// A watch, now and then one that was begun before others.
    fn watch(&mut self) -> StreamId {
        self.clients.next_stream += 1;
        let newest = self.clients.next_stream;
        if self.rng.u32(..6) == 0 {
            return StreamId(self.rng.u64(1..=newest));
        }
        StreamId(newest)
    }

    /// A request id whose body says which subscription it is about.
    fn tag_of(&mut self, kind: u8, number: u8) -> Option<RequestTag> {
        let mut tag = self.tag(kind)?;
        tag.body[1] = number;
        Some(tag)
    }
}
