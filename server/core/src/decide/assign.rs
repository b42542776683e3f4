//! Assign: sessions that have work and no worker go to an instance that serves such sessions, oldest
//! work first.
//!
//! A decision looks at a bounded number of queues; when it saw only sessions that the instance does
//! not serve, it goes on behind them in the next one.

use super::{attach, attached, hand_out};
use crate::command::Command;
use crate::draft::{Draft, Stop};
use crate::index::{IndexEntry, Scan};
use crate::limits::ASSIGN_SCAN_MAX;
use crate::presence::{Instance, InstanceKey};
use crate::reply::Reply;

/// Gives the instance what it serves and has room for.
pub(super) fn assign(draft: &mut Draft<'_>, key: &InstanceKey, skip: usize) -> Result<Reply, Stop> {
    let instance = draft.instance_ref(key);
    if !instance.is_some_and(Instance::means_some) {
        return Ok(Reply::Done);
    }
    let oldest = draft.scan(&Scan::Unserved(key.0.clone()), skip + ASSIGN_SCAN_MAX)?;
    let all_seen = oldest.len() < skip + ASSIGN_SCAN_MAX;
    let mut passed_over = skip;
    for entry in oldest.into_iter().skip(skip) {
        let IndexEntry::Unserved(_, _, queue) = entry else {
            continue;
        };
        if !anybody_takes(draft, key) {
            return Ok(Reply::Done);
        }
        let session = draft.session(draft.queue(queue)?.owner)?;
        if !takes_sessions(draft, key) {
            // What this one has no room for may find it elsewhere.
            let other = hand_out::takers(draft, &session).next().cloned();
            if let Some(instance) = other {
                draft.follow_ups.push(Command::Assign { instance, skip: 0 });
                return Ok(Reply::Done);
            }
        } else if draft.instance_ref(key).is_some_and(|i| i.means(&session))
            && attached::has_room(draft, &session)
        {
            attach::grant(draft, key, &session)?;
            hand_out::refill(draft, key)?;
        } else {
            passed_over += 1;
        }
    }
    if !all_seen && takes_sessions(draft, key) {
        draft.follow_ups.push(Command::Assign {
            instance: key.clone(),
            skip: passed_over,
        });
    }
    Ok(Reply::Done)
}

/// Whether this instance, or else any other of its namespace that serves some, would hold one more.
fn anybody_takes(draft: &Draft<'_>, key: &InstanceKey) -> bool {
    let mut here = draft.view.presence.instances_of(&key.0);
    takes_sessions(draft, key)
        || here.any(|(other, i)| i.means_some() && takes_sessions(draft, other))
}

fn takes_sessions(draft: &Draft<'_>, key: &InstanceKey) -> bool {
    draft
        .instance_ref(key)
        .is_some_and(|instance| instance.takes_sessions() && draft.is_heard(instance))
}

/// Has the instance looked after if this decision made room where there was none.
pub(super) fn ask_if_freed(draft: &mut Draft<'_>, key: &InstanceKey) {
    let before = draft.view.presence.instance(key);
    if !before.is_some_and(|instance| instance.takes_sessions() && draft.is_heard(instance)) {
        ask(draft, key);
    }
}

/// Has the instance looked after in a decision of its own, if it wants sessions.
pub(super) fn ask(draft: &mut Draft<'_>, key: &InstanceKey) {
    let some = draft.instance_ref(key).is_some_and(Instance::means_some);
    if some && takes_sessions(draft, key) {
        draft.follow_ups.push(Command::Assign {
            instance: key.clone(),
            skip: 0,
        });
    }
}
