//! The log of what the server did of itself: sessions it ended, leases it took, messages it gave up. A line for each,
//! and the notices of whatever an operator should read, and the audit (`audit.rs`) of what was asked for.
//!
//! Invariant: an event has one line at most, beside that of the audit. What an operator should act on is a notice
//! (`notices.rs`), a warning, whoever caused it: a session that ended with work open, a worker that is stuck, a session
//! that is suspended, a kind that is skipped. Whatever else the server did of itself is a line of cleanup, which only
//! informs.
//!
//! It follows the feed as a watcher does, so a log that is slow holds up neither the engine nor anybody else, and what it
//! falls behind of is read from the log of events. Ids are told, payloads and prompts never. What this deliberately does
//! not do: log what somebody asked for and nobody has to answer for.

use std::sync::Arc;

use sessiond_core::event::{ActorKind, EventKind, EventRow};
use sessiond_core::ids::Revision;
use sessiond_core::session::Lifecycle;

use crate::audit;
use crate::engine::Handle;
use crate::feed::{Feed, Unread};
use crate::notices;
use crate::wire::show;

/// Logs what happens after `after`, until the engine has ended and all of it is told.
pub(crate) async fn run(feed: Arc<Feed>, after: Revision, engine: Handle) {
    let mut news = feed.follow();
    let mut told = after;
    let mut over = false;
    loop {
        match tell_page(&feed, told) {
            Ok(reached) if reached == told && over => return,
            Ok(reached) if reached == told => {}
            Ok(reached) => {
                told = reached;
                continue;
            }
            Err(Unread::Compacted { oldest, .. }) => {
                tracing::warn!(
                    from = told.next().0,
                    to = oldest.0 - 1,
                    "cleanup was not logged in time: the events are deleted"
                );
                told = Revision(oldest.0 - 1);
                continue;
            }
            Err(Unread::Fault(fault)) => {
                tracing::error!(fault = fault.describe(), "cleanup is no longer logged");
                return;
            }
        }
        // Either one: what is new is looked for after both.
        tokio::select! {
            changed = news.changed() => over |= changed.is_err(),
            () = engine.ended() => over = true,
        }
    }
}

/// Tells what there is to tell of the next page; answers with where it ends.
fn tell_page(feed: &Feed, told: Revision) -> Result<Revision, Unread> {
    feed.look(told, |row| {
        let noted = notices::note(row);
        if !audit::tell(row) && !noted && is_own(row) {
            tell(row);
        }
    })
}

/// Whether nobody asked for it.
fn is_own(row: &EventRow) -> bool {
    match row.actor.kind {
        ActorKind::Reaper | ActorKind::Recovery | ActorKind::Drain | ActorKind::Agent => true,
        ActorKind::Api | ActorKind::Worker => false,
    }
}

/// Whatever is not about a session has a notice.
fn tell(row: &EventRow) {
    let Some(view) = row.session() else {
        return;
    };
    let session = &view.session;
    let (reason, pending_kept) = match (&session.lifecycle, row.kind) {
        (Lifecycle::Ended(end), EventKind::SessionEnd) => (
            Some(show::end::reason_name(end.reason)),
            Some(end.pending_kept),
        ),
        (
            Lifecycle::Queued(_) | Lifecycle::Active | Lifecycle::Draining(_) | Lifecycle::Ended(_),
            _,
        ) => (None, None),
    };
    tracing::info!(
        revision = row.revision.0,
        namespace = %session.namespace,
        session_id = %session.id,
        key = session.key.as_ref().map(tracing::field::display),
        reason,
        pending_kept,
        seq = row.message.as_ref().map(|message| message.seq.0),
        facts = (!row.attributes.is_empty()).then(|| tracing::field::debug(&row.attributes)),
        "cleanup: {}",
        show::event::type_name(row.kind),
    );
}
