//! How a draft reads and changes presence: who is here, when leases lapse, and whether the disk has room.

use std::collections::BTreeSet;

use super::{Draft, PoolKey};
use crate::ids::Epoch;
use crate::node::NodeKey;
use crate::presence::{AgentLink, Consumer, Instance, InstanceKey, LeaseClock, Shortage};
use crate::subscription::SubscriptionKey;
use crate::time::EngineTime;

impl Draft<'_> {
    pub(crate) fn instance(&self, key: &InstanceKey) -> Option<Instance> {
        self.instance_ref(key).cloned()
    }

    pub(crate) fn instance_ref(&self, key: &InstanceKey) -> Option<&Instance> {
        match self.instances.get(key) {
            Some(own) => own.as_ref(),
            None => self.view.presence.instance(key),
        }
    }

    /// The instances that this decision changed.
    pub(crate) fn touched_instances(&self) -> Vec<InstanceKey> {
        self.instances.keys().cloned().collect()
    }

    pub(crate) fn set_instance(&mut self, key: InstanceKey, instance: Option<Instance>) {
        self.instances.insert(key, instance);
    }

    /// An instance to be changed, if it is here.
    pub(crate) fn instance_mut(&mut self, key: &InstanceKey) -> Option<&mut Instance> {
        if !self.instances.contains_key(key) {
            let known = self.view.presence.instance(key)?;
            self.instances.insert(key.clone(), Some(known.clone()));
        }
        self.instances.get_mut(key)?.as_mut()
    }

    pub(crate) fn clock(&self, epoch: Epoch) -> Option<LeaseClock> {
        self.clock_ref(epoch).cloned()
    }

    pub(crate) fn clock_ref(&self, epoch: Epoch) -> Option<&LeaseClock> {
        match self.clocks.get(&epoch) {
            Some(own) => own.as_ref(),
            None => self.view.presence.clock(epoch),
        }
    }

    /// A lease's clock to be changed, if it runs. Its holder and alarm stay as they are.
    pub(crate) fn clock_mut(&mut self, epoch: Epoch) -> Option<&mut LeaseClock> {
        if !self.clocks.contains_key(&epoch) {
            let known = self.view.presence.clock(epoch)?;
            self.clocks.insert(epoch, Some(known.clone()));
        }
        self.clocks.get_mut(&epoch)?.as_mut()
    }

    pub(crate) fn set_clock(&mut self, epoch: Epoch, clock: Option<LeaseClock>) {
        self.clocks.insert(epoch, clock);
    }

    /// The link of a node's agent, if it is here.
    pub(crate) fn link(&self, node: &NodeKey) -> Option<AgentLink> {
        match &self.link {
            Some((own, link)) if own == node => *link,
            Some(_) | None => self.view.presence.link(node),
        }
    }

    pub(crate) fn set_link(&mut self, node: NodeKey, link: Option<AgentLink>) {
        self.link = Some((node, link));
    }

    /// The consumer of a subscription, if it is here.
    pub(crate) fn consumer(&self, of: &SubscriptionKey) -> Option<Consumer> {
        match &self.consumer {
            Some((own, consumer)) if own == of => consumer.clone(),
            Some(_) | None => self.view.presence.consumer(of).cloned(),
        }
    }

    pub(crate) fn set_consumer(&mut self, of: SubscriptionKey, consumer: Option<Consumer>) {
        self.consumer = Some((of, consumer));
    }

    pub(crate) fn set_room(&mut self, shortage: Option<Shortage>) {
        self.room = Some(shortage);
    }

    /// Whether an instance was heard of within a lease's time; one that was not is handed nothing.
    pub(crate) fn is_heard(&self, instance: &Instance) -> bool {
        self.now.engine < instance.last_seen + self.policy().stream_lease
    }

    /// The instant a lease lapses unless something renews it.
    pub(crate) fn lapse_at(&self, clock: &LeaseClock) -> EngineTime {
        clock.lapse_at(self.instance_ref(&clock.holder))
    }

    /// When a lease must be looked at, as things stand: it may lapse, its holder may be found stuck, or with nothing to do.
    pub(crate) fn look_at(&self, clock: &LeaseClock) -> EngineTime {
        let patience = clock.patience(self.policy().stuck_after);
        let rest = clock.rest(self.policy().worker_idle);
        let passed = [patience, rest].map(|limit| limit.passed_at(clock.moved_at));
        let lapse = self.lapse_at(clock);
        passed.into_iter().flatten().fold(lapse, EngineTime::min)
    }

    /// When a lease that was looked at now is looked at again. One that has nothing to be stuck with may be handed
    /// something at any time from now; one that has something to do though it was given nothing for long is looked at at
    /// a steady pace.
    pub(crate) fn look_again_at(&self, clock: &LeaseClock) -> EngineTime {
        let now = self.now.engine;
        let patience = clock.patience(self.policy().stuck_after);
        let stuck = patience.passed_at(clock.moved_at).filter(|at| *at > now);
        let stuck = stuck.or_else(|| patience.passed_at(now));
        let rested = clock
            .rest(self.policy().worker_idle)
            .passed_at(clock.moved_at);
        let rested = rested.map(|at| {
            if at > now {
                at
            } else {
                now + self.policy().cleanup_interval
            }
        });
        let lapse = self.lapse_at(clock);
        stuck.into_iter().chain(rested).fold(lapse, EngineTime::min)
    }

    /// How many sessions of a pool workers hold, this decision's changes included.
    pub(crate) fn attached(&self, pool: &PoolKey) -> u64 {
        let mut count = self.view.presence.attached(&pool.0, &pool.1);
        for (epoch, clock) in &self.clocks {
            let was = self
                .view
                .presence
                .clock(*epoch)
                .is_some_and(|c| is_of(c, pool));
            let is = clock.as_ref().is_some_and(|c| is_of(c, pool));
            match (was, is) {
                (true, false) => count -= 1,
                (false, true) => count += 1,
                (true, true) | (false, false) => {}
            }
        }
        count
    }

    /// The pools of which this decision ended a lease that it did not give.
    pub(crate) fn pools_given_back(&self) -> BTreeSet<PoolKey> {
        let ended = self.clocks.iter().filter(|(_, clock)| clock.is_none());
        ended
            .filter_map(|(epoch, _)| self.view.presence.clock(*epoch))
            .map(|clock| (clock.holder.0.clone(), clock.pool.clone()))
            .collect()
    }

    /// The leases an instance holds, this decision's included.
    pub(crate) fn leases_of(&self, holder: &InstanceKey) -> Vec<Epoch> {
        let mut epochs = self.view.presence.leases_of(holder);
        epochs.retain(|epoch| self.clocks.get(epoch) != Some(&None));
        for (epoch, clock) in &self.clocks {
            if clock.as_ref().is_some_and(|c| c.holder == *holder) && !epochs.contains(epoch) {
                epochs.push(*epoch);
            }
        }
        epochs
    }
}

fn is_of(clock: &LeaseClock, (namespace, pool): &PoolKey) -> bool {
    clock.holder.0 == *namespace && clock.pool == *pool
}
