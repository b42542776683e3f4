//! Who is here: the instances of a namespace and the sessions they hold, from presence alone.

use crate::draft::Draft;
use crate::ids::{Epoch, Namespace};
use crate::presence::InstanceKey;
use crate::reply::{Reply, WorkerView};

/// Lists them in order of their instance ids.
pub(super) fn list_workers(draft: &Draft<'_>, namespace: &Namespace) -> Reply {
    let presence = &draft.view.presence;
    let workers = presence.instances_of(namespace).map(|(key, instance)| {
        let epochs = presence.leases_of(key);
        let leases = epochs.into_iter().filter_map(|epoch| {
            let clock = presence.clock(epoch)?;
            Some((clock.session, epoch))
        });
        WorkerView {
            key: key.clone(),
            instance: instance.clone(),
            leases: leases.collect(),
        }
    });
    Reply::Workers(workers.collect())
}

/// When leases lapse unless renewed; their rows do not say, since renewals are in memory only.
pub(super) fn lease_times(draft: &Draft<'_>, epochs: &[Epoch]) -> Reply {
    let times = epochs.iter().filter_map(|epoch| {
        let clock = draft.clock(*epoch)?;
        Some((*epoch, draft.now.wall_of(draft.lapse_at(&clock))))
    });
    Reply::LeaseTimes(times.collect())
}

/// The sessions an instance holds, by claim or on its stream.
pub(super) fn held_by(draft: &Draft<'_>, key: &InstanceKey) -> Reply {
    let epochs = draft.leases_of(key);
    let sessions = epochs.into_iter().filter_map(|epoch| draft.clock(epoch));
    Reply::Held(sessions.map(|clock| clock.session).collect())
}
