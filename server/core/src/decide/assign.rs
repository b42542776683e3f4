//! Assign: sessions that have work and no worker go to an instance that serves such sessions, oldest
//! work first.
//!
//! A decision looks at a bounded number of queues; when it saw only sessions that the instance does
//! not serve, it goes on behind them in the next one.

use super::{attach, hand_out};
use crate::command::Command;
use crate::draft::{Draft, Stop};
use crate::index::{IndexEntry, Scan};
use crate::limits::ASSIGN_SCAN_MAX;
use crate::presence::InstanceKey;
use crate::reply::Reply;

/// Gives the instance what it serves and has room for.
pub(super) fn assign(draft: &mut Draft<'_>, key: &InstanceKey, skip: usize) -> Result<Reply, Stop> {
    let serves = draft.instance(key).and_then(|instance| instance.serves);
    let Some(filter) = serves else {
        return Ok(Reply::Done);
    };
    let oldest = draft.scan(&Scan::Unserved(key.0.clone()), skip + ASSIGN_SCAN_MAX)?;
    let all_seen = oldest.len() < skip + ASSIGN_SCAN_MAX;
    let mut passed_over = skip;
    for entry in oldest.into_iter().skip(skip) {
        let IndexEntry::Unserved(_, _, queue) = entry else {
            continue;
        };
        if !draft
            .instance(key)
            .is_some_and(|instance| instance.takes_sessions())
        {
            return finish(draft, key);
        }
        let session = draft.session(draft.queue(queue)?.owner)?;
        if filter.matches(&session) {
            attach::grant(draft, key, &session)?;
            hand_out::refill(draft, key)?;
        } else {
            passed_over += 1;
        }
    }
    if !all_seen {
        draft.follow_ups.push(Command::Assign {
            instance: key.clone(),
            skip: passed_over,
        });
    }
    finish(draft, key)
}

fn finish(draft: &mut Draft<'_>, key: &InstanceKey) -> Result<Reply, Stop> {
    hand_out::refill(draft, key)?;
    Ok(Reply::Done)
}

/// Has the instance looked after in a decision of its own, if it wants sessions.
pub(super) fn ask(draft: &mut Draft<'_>, key: &InstanceKey) {
    let wants = draft
        .instance(key)
        .is_some_and(|instance| instance.serves.is_some() && instance.takes_sessions());
    if wants {
        draft.follow_ups.push(Command::Assign {
            instance: key.clone(),
            skip: 0,
        });
    }
}
