//! Dead letters in order: those that were given up one by one, and what the ends of sessions left.
//!
//! Invariant: queues come in the order of their numbers and letters by seq, so that a place tells what is
//! behind it. One walk looks at a bounded number of rows of one snapshot. What this deliberately does not
//! do: choose letters, or change anything; every change is judged again where it is decided.

use std::sync::Arc;

use sessiond_core::ids::{Namespace, QueueId, Seq, SessionRef};
use sessiond_core::message::MessageRow;
use sessiond_core::queue::{Disposition, QueueRow};
use sessiond_core::rejection::Rejection;
use sessiond_core::rows::{Row, RowKey};
use sessiond_core::session::SessionRow;
use sessiond_store::snapshot::Rows;
use tonic::Status;

use super::context::faulted;
use super::list;
use crate::limits::LIST_SCAN_MAX;
use crate::wire::status::Refusal;

/// Queues whose numbers are read at once.
const QUEUES_CHUNK: usize = 64;

/// Where to look for dead letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// In all queues of a namespace.
    Namespace(Namespace),
    /// In one queue.
    Queue(QueueId),
    /// Nowhere: the queue is a successor's by now.
    Nowhere,
}

/// Whether a letter was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Visit {
    /// It was, or it is none that is meant.
    Done,
    /// There is no room for it: the walk ends before it.
    Full,
}

/// The place of a message.
pub(super) type Place = (QueueId, Seq);

impl Scope {
    /// Where the letters of a session lie, or those of all its namespace.
    pub(super) fn of(
        rows: &Rows,
        namespace: &Namespace,
        session: Option<&SessionRef>,
    ) -> Result<Self, Status> {
        let Some(asked) = session else {
            return Ok(Self::Namespace(namespace.clone()));
        };
        let (_, queue) = queue_of(rows, namespace, asked)?;
        Ok(queue.map_or(Self::Nowhere, |queue| Self::Queue(queue.id)))
    }

    /// The next queues from `first` on that may have letters.
    fn queues(&self, rows: &Rows, first: QueueId) -> Result<Vec<QueueId>, Status> {
        match self {
            Self::Namespace(namespace) => rows
                .dead_queues_from(namespace, first, QUEUES_CHUNK)
                .map_err(|fault| faulted(&fault)),
            Self::Queue(queue) => Ok((*queue >= first).then_some(*queue).into_iter().collect()),
            Self::Nowhere => Ok(Vec::new()),
        }
    }
}

/// The session that a read means, and its queue unless a successor has it.
pub(super) fn queue_of(
    rows: &Rows,
    namespace: &Namespace,
    asked: &SessionRef,
) -> Result<(Arc<SessionRow>, Option<Arc<QueueRow>>), Status> {
    let found = rows
        .find(namespace, asked)
        .map_err(|fault| faulted(&fault))?;
    let Some(no) = found else {
        let rejection = Rejection::SessionNotFound {
            asked: asked.clone(),
        };
        return Err(Refusal::rejected(&rejection).into());
    };
    let session = match read(rows, &RowKey::Session(no))? {
        Some(Row::Session(session)) => session,
        _ => return Err(Refusal::store_unavailable().into()),
    };
    let own = match read(rows, &RowKey::Queue(session.queue))? {
        Some(Row::Queue(queue)) => (queue.owner == session.no).then_some(queue),
        // It went with a successor that was purged.
        _ => None,
    };
    Ok((session, own))
}

/// A queue that is on record.
pub(super) fn queue(rows: &Rows, id: QueueId) -> Result<Arc<QueueRow>, Status> {
    match read(rows, &RowKey::Queue(id))? {
        Some(Row::Queue(queue)) => Ok(queue),
        _ => Err(Refusal::store_unavailable().into()),
    }
}

/// The session that owns a queue, or owned it last.
pub(super) fn owner(rows: &Rows, queue: &QueueRow) -> Result<Arc<SessionRow>, Status> {
    match read(rows, &RowKey::Session(queue.owner))? {
        Some(Row::Session(session)) => Ok(session),
        _ => Err(Refusal::store_unavailable().into()),
    }
}

fn read(rows: &Rows, key: &RowKey) -> Result<Option<Row>, Status> {
    rows.row(key).map_err(|fault| faulted(&fault))
}

/// Visits the letters behind a place; answers with where to go on, if there may be more.
pub(super) fn walk(
    rows: &Rows,
    scope: &Scope,
    after: Place,
    mut visit: impl FnMut(&Arc<QueueRow>, MessageRow) -> Result<Visit, Status>,
) -> Result<Option<Place>, Status> {
    let (mut at, mut seq) = after;
    let mut left = LIST_SCAN_MAX;
    loop {
        let ids = scope.queues(rows, at)?;
        let last = ids.len() < QUEUES_CHUNK;
        for id in ids {
            if id != at {
                (at, seq) = (id, Seq(0));
            }
            let queue = queue(rows, id)?;
            if let Some(stopped) = walk_queue(rows, &queue, seq, &mut left, &mut visit)? {
                return Ok(Some((id, stopped)));
            }
            // A queue costs a read however few letters it has.
            left = left.saturating_sub(1);
        }
        if last {
            return Ok(None);
        }
        (at, seq) = (at.next(), Seq(0));
    }
}

/// Visits the letters of one queue; answers with the last one that was visited when the walk ends there.
fn walk_queue(
    rows: &Rows,
    queue: &Arc<QueueRow>,
    mut seq: Seq,
    left: &mut usize,
    visit: &mut impl FnMut(&Arc<QueueRow>, MessageRow) -> Result<Visit, Status>,
) -> Result<Option<Seq>, Status> {
    loop {
        let chunk = letters_after(rows, queue, seq)?;
        let last = chunk.len() < list::CHUNK;
        for message in chunk {
            let next = message.seq;
            if *left == 0 || visit(queue, message)? == Visit::Full {
                return Ok(Some(seq));
            }
            *left -= 1;
            seq = next;
        }
        if last {
            return Ok(None);
        }
    }
}

/// The next letters of a queue: all that is left in one that was given up.
fn letters_after(rows: &Rows, queue: &QueueRow, after: Seq) -> Result<Vec<MessageRow>, Status> {
    match queue.disposition {
        Disposition::Dead { .. } => list::by_seq(rows, queue.id, after),
        Disposition::Serving
        | Disposition::Quiet
        | Disposition::Held { .. }
        | Disposition::Discarded { .. } => rows
            .dead_letters_after(queue.id, after, list::CHUNK)
            .map_err(|fault| faulted(&fault)),
        // Its session is gone, and who owned them cannot be said any more.
        Disposition::Purged { .. } => Ok(Vec::new()),
    }
}
