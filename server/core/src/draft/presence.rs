//! How a draft reads and changes presence: who is here, and when leases lapse.

use super::Draft;
use crate::ids::Epoch;
use crate::presence::{Instance, InstanceKey, LeaseClock};
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

    pub(crate) fn set_clock(&mut self, epoch: Epoch, clock: Option<LeaseClock>) {
        self.clocks.insert(epoch, clock);
    }

    /// Whether an instance was heard of within a lease's time; one that was not is handed nothing.
    pub(crate) fn is_heard(&self, instance: &Instance) -> bool {
        self.now.engine < instance.last_seen + self.policy().stream_lease
    }

    /// The instant a lease lapses unless something renews it.
    pub(crate) fn lapse_at(&self, clock: &LeaseClock) -> EngineTime {
        clock.lapse_at(self.instance_ref(&clock.holder))
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
