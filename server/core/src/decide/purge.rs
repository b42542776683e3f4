//! Purge: an ended session is deleted for good, with everything that is its own.
//!
//! The rows by which it is found go in one commit, with one SESSION_PURGED event; the messages of its queue follow a few at
//! a time, so that a purge costs the same however many it leaves. A queue that a successor took over is the successor's
//! and stays. Nothing that lives is deleted, and nothing that waits for the next session of a key unless the caller says so.
//! Where an export must come first, nothing is deleted that has changed since it was exported. Required subscriptions are
//! waited for until they have heard all of the session, for a time; then it goes all the same, and the event names them.

use std::sync::Arc;

use super::find;
use crate::command::Purge;
use crate::draft::events::Particulars;
use crate::draft::{Draft, Stop};
use crate::event::{Actor, EventKind};
use crate::exported::Exported;
use crate::ids::{QueueId, Seq, SessionRef};
use crate::index::{IndexEntry, Scan};
use crate::limits::{DISCARD_ROWS_PER_DECISION, UNHEARD_NAMED_MAX};
use crate::message::MessageRow;
use crate::purging::{self, FurthestBehind};
use crate::queue::{Disposition, QueueRow};
use crate::rejection::Rejection;
use crate::reply::Reply;
use crate::rows::{Row, RowKey};
use crate::session::SessionRow;
use crate::time::Span;

/// Purges a session by its id.
pub(super) fn purge(draft: &mut Draft<'_>, purge: &Purge) -> Result<Reply, Stop> {
    let asked = SessionRef::Id(purge.session.clone());
    let session = find::any(draft, &purge.namespace, &asked)?;
    let own = own_queue(draft, &session)?;
    purging::judge(&session, own.as_ref(), purge.pending)?;
    purging::judge_heard(&session, behind(draft, &session)?, draft.now.engine)?;
    require_export(draft, &session, purge.exported.as_deref())?;
    let messages = delete(draft, &session, &purge.actor)?;
    Ok(Reply::Purged {
        key: session.key.clone(),
        messages,
    })
}

/// The queue of an ended session, unless a successor took it over.
pub(super) fn own_queue(draft: &Draft<'_>, session: &SessionRow) -> Result<Option<QueueRow>, Stop> {
    let queue = draft.queue_if(session.queue)?;
    Ok(queue.filter(|queue| queue.owner == session.no))
}

/// The required subscription of a session's namespace that is furthest behind, if there is any.
pub(super) fn behind(
    draft: &Draft<'_>,
    session: &SessionRow,
) -> Result<Option<FurthestBehind>, Stop> {
    let first = draft.scan(&Scan::Required(session.namespace.clone()), 1)?;
    Ok(first.first().and_then(IndexEntry::acked))
}

/// The names of required subscriptions that have not heard all of a session: those that are furthest behind.
pub(super) fn unheard(draft: &Draft<'_>, session: &SessionRow) -> Result<Vec<String>, Stop> {
    let required = Scan::Required(session.namespace.clone());
    let behind = draft.scan(&required, UNHEARD_NAMED_MAX)?;
    let behind = behind.iter().filter_map(IndexEntry::acked);
    let unheard = behind.filter(|(acked, _)| *acked < session.revision);
    Ok(unheard.map(|(_, name)| name.to_string()).collect())
}

/// What the deletion of a session says beside itself: how many messages go, and which required subscriptions have not heard
/// all of it and were waited for long enough.
fn particulars(
    draft: &Draft<'_>,
    session: &SessionRow,
    messages: u64,
) -> Result<Particulars, Stop> {
    let unheard = unheard(draft, session)?;
    let mut said = Particulars::attribute("messages", messages.to_string());
    if !unheard.is_empty() {
        said.attributes
            .insert("unacknowledged".to_owned(), unheard.join(","));
    }
    Ok(said)
}

/// Refuses a session that must be exported first, unless all that it has was.
pub(super) fn require_export(
    draft: &Draft<'_>,
    session: &SessionRow,
    exported: Option<&Exported>,
) -> Result<(), Stop> {
    if !draft.policy().export_before_purge {
        return Ok(());
    }
    let own = own_queue(draft, session)?;
    let activity = draft.activity(session.no)?;
    let is_whole = |exported: &Exported| {
        exported.is_of(session, &activity, own.as_ref()) || faulty!(ExportOutdated)
    };
    if exported.is_some_and(is_whole) {
        return Ok(());
    }
    Err(Rejection::SessionUnexported {
        session: session.id.clone(),
        why: None,
    }
    .into())
}

/// Deletes an ended session; answers with how many messages go with it.
pub(super) fn delete(
    draft: &mut Draft<'_>,
    session: &Arc<SessionRow>,
    actor: &Actor,
) -> Result<u64, Stop> {
    let own = own_queue(draft, session)?;
    let messages = own.as_ref().map_or(0, purging::messages_of);
    let said = particulars(draft, session, messages)?;
    draft.event(EventKind::SessionPurged, actor.clone(), session.no, said)?;
    leave_key(draft, session)?;
    if let Some(queue) = own {
        empty(draft, queue)?;
    }
    draft.remove(RowKey::SessionId(
        session.namespace.clone(),
        session.id.clone(),
    ));
    draft.remove_activity(session.no)?;
    if session.resources.is_some() {
        // All are released, so it is in no index.
        draft.remove(RowKey::Resources(session.no));
    }
    draft.remove(RowKey::Session(session.no));
    let mut counters = draft.counters()?;
    counters.ended -= 1;
    draft.put_counters(counters);
    Ok(messages)
}

/// Takes the session off its key, and what it holds for the next one.
fn leave_key(draft: &mut Draft<'_>, session: &SessionRow) -> Result<(), Stop> {
    let Some(key) = &session.key else {
        return Ok(());
    };
    let mut row = draft.key(&session.namespace, key)?;
    row.sessions.retain(|no| *no != session.no);
    if let Some(held) = row.held
        && draft.queue(held)?.owner == session.no
    {
        row.held = None;
    }
    let place = RowKey::Key(session.namespace.clone(), key.clone());
    if row.is_empty() {
        draft.remove(place);
    } else {
        draft.put(place, Row::Key(row.into()));
    }
    Ok(())
}

/// Begins to empty a queue; one that never had a message is gone at once.
fn empty(draft: &mut Draft<'_>, queue: QueueRow) -> Result<(), Stop> {
    if queue.next_seq == Seq(1) {
        return draft.remove_queue(queue.id);
    }
    let next = draft.now.engine;
    draft.dispose(queue, Disposition::Purged { next })
}

/// Deletes a bounded number of rows of a purged queue; superseded leases that had some in flight end in their own time. At
/// last goes the queue itself, with the keys it remembers.
pub(super) fn purge_some(draft: &mut Draft<'_>, id: QueueId) -> Result<(), Stop> {
    let messages = next_messages(draft, id)?;
    let more = messages.len() == DISCARD_ROWS_PER_DECISION;
    for message in &messages {
        draft.move_message(Some(message), None)?;
    }
    let queue = draft.queue(id)?;
    if more {
        let next = draft.now.engine + Span(1);
        return draft.dispose(queue, Disposition::Purged { next });
    }
    draft.forget_keys(&queue)?;
    draft.remove_queue(id)
}

/// The first messages of a queue, those that were given up last.
fn next_messages(draft: &Draft<'_>, id: QueueId) -> Result<Vec<Arc<MessageRow>>, Stop> {
    let pending = draft.scan(&Scan::Pending(id), DISCARD_ROWS_PER_DECISION)?;
    let left = DISCARD_ROWS_PER_DECISION - pending.len();
    let given_up = match left {
        0 => Vec::new(),
        left => draft.scan(&Scan::GivenUp(id), left)?,
    };
    let pending = pending.iter().filter_map(IndexEntry::seq);
    draft.know_messages(pending.clone().map(|seq| (id, seq)))?;
    let given_up = given_up.iter().filter_map(IndexEntry::seq);
    draft.know(given_up.clone().map(|seq| RowKey::DeadLetter(id, seq)))?;
    let pending = pending.map(|seq| draft.message(id, seq));
    let given_up = given_up.map(|seq| draft.dead_letter(id, seq));
    pending
        .chain(given_up)
        .map(|row| Ok(row?.expect("an indexed message is on record")))
        .collect()
}
