//! The rules of subscriptions in the reference model: what each has acknowledged, who may, and what waits for it.
//!
//! Written from the design's rule 27: acknowledgements only grow and count under the newest token; whoever is not stale
//! keeps the log behind it; one that is too far behind is stale and keeps nothing. What waits for them is in `hearing`.

use sessiond_core::command::RequestTag;
use sessiond_core::command::subscription::{SubscriptionCommand, SubscriptionStep};
use sessiond_core::ids::{Epoch, InstanceId, Namespace, Revision, StreamId, SubscriptionName};
use sessiond_core::presence::Presence;
use sessiond_core::rejection::Rejection;
use sessiond_core::rows::RowKey;
use sessiond_core::subscription::{
    EventStart, SubscriptionRejection, SubscriptionRow, SubscriptionSettings,
};

use super::marks::subscriptions::Subscriptions as Mark;
use super::sessions::Verdict;
use super::state::Model;
use super::store::Store;
use super::told::{Answer, Expected, Fact, Refusal};
use super::world::NAMESPACE;

/// A subscription that is on record.
#[derive(Clone, Debug)]
pub(crate) struct Subscription {
    pub(crate) settings: SubscriptionSettings,
    pub(crate) acked: u64,
    /// The newest place that it acknowledged and at which the log may be cut.
    pub(crate) holds_after: u64,
    pub(crate) stale: bool,
    pub(crate) epoch: u64,
    pub(crate) consumer: Option<InstanceId>,
    /// Who reads for it, by which watch.
    pub(crate) reads: Option<(InstanceId, StreamId)>,
}

impl Model {
    pub(crate) fn subscription(
        &mut self,
        command: &SubscriptionCommand,
        out: &mut Expected,
    ) -> Verdict {
        let name = &command.subscription.1;
        match &command.step {
            SubscriptionStep::Create {
                settings,
                start,
                request,
            } => self.subscribe(name, settings, *start, request.as_ref()),
            SubscriptionStep::Seek { start, request } => {
                self.seek(name, *start, request.as_ref(), out)
            }
            SubscriptionStep::Delete { request } => self.unsubscribe(name, request.as_ref(), out),
            SubscriptionStep::Consume {
                consumer,
                stream,
                take_over,
            } => self.consume(name, consumer, *stream, *take_over, out),
            SubscriptionStep::Left { stream } => {
                if let Some(one) = self.subscriptions.get_mut(name) {
                    let own = one.reads.as_ref().is_some_and(|(_, by)| by == stream);
                    self.marks.hit_if(!own, Mark::LeftLate);
                    one.reads = one.reads.take().filter(|_| !own);
                }
                Ok(Answer::Done)
            }
            SubscriptionStep::Ack {
                revision,
                epoch,
                delivered,
            } => self.acknowledge(name, *revision, *epoch, delivered.0),
            SubscriptionStep::Lagging => {
                self.lagging(name, out);
                Ok(Answer::Done)
            }
        }
    }

    fn subscribed(&self, name: &SubscriptionName) -> Result<Subscription, Refusal> {
        let one = self.subscriptions.get(name).cloned();
        one.ok_or_else(|| SubscriptionRejection::NotFound { name: name.clone() }.into())
    }

    fn subscribe(
        &mut self,
        name: &SubscriptionName,
        settings: &SubscriptionSettings,
        start: EventStart,
        tag: Option<&RequestTag>,
    ) -> Verdict {
        if self.earlier(tag)?.is_some() {
            let gone = !self.subscriptions.contains_key(name);
            self.marks.hit_if(gone, Mark::RepeatedOnceGone);
            return Ok(answer(&self.subscribed(name)?, false, true));
        }
        if let Some(one) = self.subscriptions.get(name) {
            let one = one.clone();
            let mut differing = Vec::new();
            if one.settings.required != settings.required {
                differing.push("required");
            }
            if one.settings.max_lag.age != settings.max_lag.age {
                differing.push("max_lag");
            }
            if one.settings.max_lag.bytes != settings.max_lag.bytes {
                differing.push("max_lag_bytes");
            }
            self.marks.hit_if(differing.is_empty(), Mark::Found);
            if differing.is_empty() {
                return Ok(answer(&one, false, false));
            }
            self.marks.hit(Mark::Differs);
            let name = name.clone();
            return Err(SubscriptionRejection::Exists { name, differing }.into());
        }
        if let Some((free, enough)) = self.shortage {
            self.marks.hit(Mark::StoreFull);
            return Err(Refusal::StoreFull(free, enough));
        }
        let (acked, holds_after) = self.place(start)?;
        self.last_epoch += 1;
        let one = Subscription {
            settings: settings.clone(),
            acked,
            holds_after,
            stale: false,
            epoch: self.last_epoch,
            consumer: None,
            reads: None,
        };
        self.subscriptions.insert(name.clone(), one.clone());
        self.remember(tag, 0, true);
        Ok(answer(&one, true, false))
    }

    fn seek(
        &mut self,
        name: &SubscriptionName,
        start: EventStart,
        tag: Option<&RequestTag>,
        out: &mut Expected,
    ) -> Verdict {
        if self.earlier(tag)?.is_some() {
            return Ok(answer(&self.subscribed(name)?, false, true));
        }
        let mut one = self.subscribed(name)?;
        let was = one.acked;
        (one.acked, one.holds_after) = self.place(start)?;
        self.marks.hit_if(one.stale, Mark::SeekOfStale);
        self.marks.hit_if(one.acked < was, Mark::SeekBack);
        one.stale = false;
        one.consumer = None;
        self.last_epoch += 1;
        let (given, current) = (Epoch(one.epoch), Epoch(self.last_epoch));
        one.epoch = self.last_epoch;
        let over = SubscriptionRejection::Fenced {
            name: name.clone(),
            given,
            current,
        };
        self.cut(&mut one, over.into(), out);
        self.subscriptions.insert(name.clone(), one.clone());
        self.remember(tag, 0, false);
        Ok(answer(&one, false, false))
    }

    fn unsubscribe(
        &mut self,
        name: &SubscriptionName,
        tag: Option<&RequestTag>,
        out: &mut Expected,
    ) -> Verdict {
        if self.earlier(tag)?.is_some() {
            return Ok(Answer::Subscription(None, false, true));
        }
        let mut one = self.subscribed(name)?;
        let shown = answer(&one, false, false);
        let gone = SubscriptionRejection::NotFound { name: name.clone() };
        self.cut(&mut one, gone.into(), out);
        self.subscriptions.remove(name);
        self.remember(tag, 0, false);
        Ok(shown)
    }

    fn consume(
        &mut self,
        name: &SubscriptionName,
        consumer: &InstanceId,
        stream: StreamId,
        take_over: bool,
        out: &mut Expected,
    ) -> Verdict {
        let mut one = self.subscribed(name)?;
        self.refuse_stale(name, &one)?;
        let was = one.epoch;
        let mut over = None;
        match one.reads.clone() {
            Some((reader, by)) if reader == *consumer => {
                if by > stream {
                    self.marks.hit(Mark::ComesLate);
                    return Err(Refusal::of(&Rejection::StreamReplaced));
                }
                self.marks.hit(Mark::ComesAgain);
                over = Some(Refusal::of(&Rejection::StreamReplaced));
            }
            Some((holder, _)) if !take_over => {
                self.marks.hit(Mark::Held);
                return Err(SubscriptionRejection::Held {
                    name: name.clone(),
                    holder,
                    epoch: Epoch(one.epoch),
                }
                .into());
            }
            Some(_) => self.marks.hit(Mark::TakenOver),
            None => {
                let own = one.consumer.as_ref() == Some(consumer);
                self.marks.hit_if(own, Mark::ComesBack);
            }
        }
        if one.consumer.as_ref() != Some(consumer) {
            self.last_epoch += 1;
            one.epoch = self.last_epoch;
            one.consumer = Some(consumer.clone());
        }
        let over = over.unwrap_or_else(|| {
            SubscriptionRejection::Fenced {
                name: name.clone(),
                given: Epoch(was),
                current: Epoch(one.epoch),
            }
            .into()
        });
        self.cut(&mut one, over, out);
        one.reads = Some((consumer.clone(), stream));
        self.subscriptions.insert(name.clone(), one.clone());
        Ok(Answer::Consuming(one.epoch, one.acked))
    }

    fn acknowledge(
        &mut self,
        name: &SubscriptionName,
        revision: Revision,
        epoch: Epoch,
        delivered: u64,
    ) -> Verdict {
        let mut one = self.subscribed(name)?;
        if one.epoch != epoch.0 {
            self.marks.hit(Mark::AckFenced);
            return Err(SubscriptionRejection::Fenced {
                name: name.clone(),
                given: epoch,
                current: Epoch(one.epoch),
            }
            .into());
        }
        self.refuse_stale(name, &one)?;
        let delivered = delivered.min(self.revision);
        if revision.0 > delivered {
            self.marks.hit(Mark::AckTooFar);
            let delivered = Revision(delivered);
            return Err(SubscriptionRejection::NotDelivered {
                revision,
                delivered,
            }
            .into());
        }
        self.marks.hit_if(one.reads.is_none(), Mark::AckWhileAway);
        if revision.0 <= one.acked {
            self.marks.hit(Mark::AckAgain);
            return Ok(Answer::Acked(one.acked));
        }
        one.acked = revision.0;
        if self.ends_decision(revision.0) {
            one.holds_after = one.holds_after.max(revision.0);
        } else {
            self.marks.hit(Mark::AckInMiddle);
        }
        self.subscriptions.insert(name.clone(), one);
        Ok(Answer::Acked(revision.0))
    }

    /// One whose oldest event that it did not acknowledge is too old or too far away keeps nothing any more.
    fn lagging(&mut self, name: &SubscriptionName, out: &mut Expected) {
        let Ok(mut one) = self.subscribed(name) else {
            return;
        };
        if one.stale || one.acked >= self.revision {
            return;
        }
        let behind = &self.log[usize::try_from(one.acked).expect("revisions are small here")..];
        let age = self.now - behind[0].at;
        let bytes: u64 = behind.iter().map(|event| event.size).sum();
        let most = one.settings.max_lag;
        let (aged, far) = (age > most.age.0, bytes > most.bytes);
        if !aged && !far {
            self.marks.hit(Mark::BehindALittle);
            return;
        }
        self.marks.hit_if(aged, Mark::StaleByAge);
        self.marks.hit_if(!aged, Mark::StaleBySize);
        out.facts.push(Fact::Stale {
            name: name.clone(),
            acked: one.acked,
            events: self.revision - one.acked,
            age,
            bytes,
        });
        let over = self.stale(name, &one);
        self.cut(&mut one, over, out);
        one.stale = true;
        self.subscriptions.insert(name.clone(), one);
    }

    fn refuse_stale(&mut self, name: &SubscriptionName, one: &Subscription) -> Result<(), Refusal> {
        if !one.stale {
            return Ok(());
        }
        self.marks.hit(Mark::StaleRefused);
        Err(self.stale(name, one))
    }

    fn stale(&self, name: &SubscriptionName, one: &Subscription) -> Refusal {
        SubscriptionRejection::Stale {
            name: name.clone(),
            acked: Revision(one.acked),
            oldest: Revision(self.compacted + 1),
        }
        .into()
    }

    fn cut(&mut self, one: &mut Subscription, over: Refusal, out: &mut Expected) {
        if let Some((_, stream)) = one.reads.take() {
            self.marks.hit(Mark::Cut);
            out.cuts.push((stream, over));
        }
    }
}

fn answer(one: &Subscription, created: bool, duplicate: bool) -> Answer {
    let shown = (one.acked, one.epoch, !one.stale);
    Answer::Subscription(Some(shown), created, duplicate)
}

impl From<SubscriptionRejection> for Refusal {
    fn from(rejection: SubscriptionRejection) -> Self {
        Self::Subscription(rejection)
    }
}

/// Panics when what is on record of a subscription differs, or what it needs is gone.
pub(crate) fn check_row(model: &Model, name: &SubscriptionName, row: &SubscriptionRow) {
    let one = model.subscriptions.get(name);
    let one = one.unwrap_or_else(|| panic!("subscription {name} came from nowhere"));
    assert_eq!((row.namespace.as_str(), &row.name), (NAMESPACE, name));
    assert_eq!(row.settings, one.settings, "the settings of {name}");
    let is = (row.acked.0, row.holds_after.0, !row.is_active());
    assert_eq!(is, (one.acked, one.holds_after, one.stale), "{name}");
    assert_eq!(row.epoch.0, one.epoch, "the token of {name}");
    assert_eq!(row.consumer, one.consumer, "the consumer of {name}");
    let whole = one.stale || model.compacted <= one.acked;
    assert!(whole, "{name} lost events that it did not acknowledge");
}

/// Panics when a subscription is not on record.
pub(crate) fn check_all(model: &Model, store: &Store) {
    let namespace = Namespace::parse(NAMESPACE).unwrap();
    for name in model.subscriptions.keys() {
        let key = RowKey::Subscription(namespace.clone(), name.clone());
        assert!(store.rows.contains_key(&key), "{name} is missing");
    }
}

/// Panics when the engine's memory of who reads differs.
pub(crate) fn check_readers(model: &Model, presence: &Presence, namespace: &Namespace) {
    for (name, one) in &model.subscriptions {
        let reads = presence.consumer(&(namespace.clone(), name.clone()));
        let is = reads.map(|of| (of.instance.clone(), of.stream));
        assert_eq!(is, one.reads, "who reads for {name}");
    }
}
