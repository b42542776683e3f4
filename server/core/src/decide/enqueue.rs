//! Enqueue: messages become durable, all of them or none, and go to a waiting worker in the same
//! commit.
//!
//! A message whose idempotency key the queue remembers is answered with the first one's seq and adds nothing; one whose
//! kind failed too often lately is skipped. Neither consumes seq or key, or takes the place of another. One with a
//! coalesce key takes the place of those that are pending under it. A refusal refuses the whole call.

use std::sync::Arc;

use super::{cancel, debounce, find, hand_out, open, room};
use crate::circuit::{Admission, Circuits};
use crate::command::Enqueue;
use crate::draft::{Draft, Stop};
use crate::event::Cause;
use crate::ids::{CoalesceKey, IdempotencyKey, QueueId, Seq};
use crate::index::{IndexEntry, Scan};
use crate::limits::{MESSAGE_OVERHEAD_BYTES, SUPERSEDED_PER_MESSAGE};
use crate::message::{DeliveryMode, MessageRow, NewMessage, Standing, Turn};
use crate::queue::{Depth, QueueRow};
use crate::rejection::Rejection;
use crate::reply::{EnqueueResult, EnqueueStatus, Reply};
use crate::rows::{Row, RowKey};
use crate::session::SessionRow;
use crate::time::{Now, WallTime};

/// Accepts the messages of one call.
pub(super) fn enqueue(draft: &mut Draft<'_>, enqueue: &Enqueue) -> Result<Reply, Stop> {
    let (session, opened) = find_or_open(draft, enqueue)?;
    let mut results = Vec::with_capacity(enqueue.messages.len());
    let activity = draft.activity_row(session.no)?;
    let mut intake = Intake {
        circuits: activity.map_or_else(Circuits::default, |row| row.circuits.clone()),
        cause: enqueue.cause,
        ..Intake::default()
    };
    for message in &enqueue.messages {
        results.push(accept(draft, &session, &mut intake, message)?);
    }
    let mut activity = draft.activity(session.no)?;
    activity.circuits = intake.circuits;
    activity.touch(draft.now);
    activity.totals.enqueued += intake.accepted;
    activity.totals.superseded += intake.superseded;
    draft.put_activity(&session, activity)?;
    for seq in intake.interrupting {
        // One that a later message of the call took the place of interrupts nothing.
        if draft.message(session.queue, seq)?.is_some() {
            cancel::interrupt(draft, session.queue)?;
        }
    }
    hand_out::offer(draft, session.queue)?;
    Ok(Reply::Enqueued {
        session: session.id.clone(),
        queue: session.queue,
        opened,
        results,
    })
}

/// What the messages of a call do beside lying in their queue.
#[derive(Debug, Default)]
struct Intake {
    /// As they stand behind the messages so far.
    circuits: Circuits,
    /// What the caller did it for.
    cause: Option<Cause>,
    accepted: u64,
    superseded: u64,
    /// Those that stop what is in flight as soon as they are accepted.
    interrupting: Vec<Seq>,
}

fn find_or_open(draft: &mut Draft<'_>, enqueue: &Enqueue) -> Result<(Arc<SessionRow>, bool), Stop> {
    match find::live(draft, &enqueue.namespace, &enqueue.session) {
        Err(Stop::Rejected(rejection)) => match (&*rejection, &enqueue.open_if_missing) {
            (Rejection::SessionNotFound { .. }, Some(open)) => {
                let no = open::create(draft, open, None)?;
                Ok((draft.session(no)?, true))
            }
            _ => Err(Stop::Rejected(rejection)),
        },
        Err(missing @ Stop::Missing(_)) => Err(missing),
        Ok(session) => Ok((session, false)),
    }
}

fn accept(
    draft: &mut Draft<'_>,
    session: &SessionRow,
    intake: &mut Intake,
    message: &NewMessage,
) -> Result<EnqueueResult, Stop> {
    if faulty!(ShortageForKnown) {
        room::refuse_more(draft)?;
    }
    let queue = draft.queue(session.queue)?;
    let digest = message.idempotency_key.as_ref().map(IdempotencyKey::digest);
    if let Some(digest) = &digest
        && let Some(seq) = draft.remembered(&queue, digest)?
        && !faulty!(NameUnchecked)
    {
        return Ok(EnqueueResult {
            seq,
            status: EnqueueStatus::Duplicate,
        });
    }
    let (now, policy) = (draft.now.engine, draft.policy());
    if intake.circuits.admit(&message.kind, now, policy) == Admission::Skipped {
        return Ok(EnqueueResult {
            seq: Seq(0),
            status: EnqueueStatus::SkippedCircuitOpen,
        });
    }
    room::refuse_more(draft)?;
    if let Some(key) = &message.coalesce_key {
        intake.superseded += supersede(draft, session.queue, key)?;
    }
    let mut queue = draft.queue(session.queue)?;
    let row = new_row(draft, session, &queue, message, intake.cause)?;
    if let Some(refusal) = full(draft, session, &queue, row.bytes) {
        return Err(refusal.into());
    }
    let seq = row.seq;
    if let Some(digest) = digest {
        draft.remember(&queue, digest, seq)?;
    }
    queue.next_seq = seq.next();
    if let (Standing::Debounced, Some(wanted)) = (row.standing, row.debounce) {
        queue.pause = Some(debounce::prolonged(queue.pause, wanted, draft.now.engine));
    }
    draft.put_queue(queue)?;
    draft.put(
        RowKey::Payload(row.queue, seq),
        Row::Payload(message.payload.clone()),
    );
    intake.accepted += 1;
    if row.mode == DeliveryMode::Interrupt && matches!(row.standing, Standing::Ready(_)) {
        intake.interrupting.push(seq);
    }
    draft.move_message(None, Some(row.into()))?;
    Ok(EnqueueResult {
        seq,
        status: EnqueueStatus::Enqueued,
    })
}

/// Settles the pending messages of a key, whose place a newer one takes; says how many.
fn supersede(draft: &mut Draft<'_>, queue: QueueId, key: &CoalesceKey) -> Result<u64, Stop> {
    let scan = Scan::Coalesced(queue, key.digest());
    let entries = draft.scan(&scan, SUPERSEDED_PER_MESSAGE)?;
    let seqs: Vec<Seq> = entries.iter().filter_map(IndexEntry::seq).collect();
    draft.know_messages(seqs.iter().map(|seq| (queue, *seq)))?;
    for seq in &seqs {
        let message = draft
            .message(queue, *seq)?
            .expect("an indexed message is on record");
        draft.move_message(Some(&message), None)?;
    }
    Ok(seqs.len() as u64)
}

fn new_row(
    draft: &Draft<'_>,
    session: &SessionRow,
    queue: &QueueRow,
    message: &NewMessage,
    cause: Option<Cause>,
) -> Result<MessageRow, Stop> {
    let now = draft.now;
    let prompt_number = match message.prompt_number {
        Some(number) => number,
        None => draft.activity(session.no)?.prompt_number,
    };
    let standing = first_standing(message.not_before_time, message.mode, now);
    Ok(MessageRow {
        queue: queue.id,
        seq: queue.next_seq,
        kind: message.kind.clone(),
        content_type: message.content_type.clone(),
        attributes: message.attributes.clone(),
        agent_id: message.agent_id.clone(),
        agent_type: message.agent_type.clone(),
        prompt_number,
        mode: message.mode,
        coalesce_key: message.coalesce_key.clone(),
        debounce: message.debounce,
        occurred_time: message.occurred_time,
        enqueue_time: now.wall,
        enqueued_at: now.engine,
        idempotency_key: message.idempotency_key.clone(),
        not_before_time: message.not_before_time,
        trace_parent: message.trace_parent.clone(),
        bytes: charged(message),
        attempt: 0,
        latest: None,
        last_error: String::new(),
        cause,
        standing: if message.debounce.is_some() && matches!(standing, Standing::Ready(_)) {
            Standing::Debounced
        } else {
            standing
        },
    })
}

/// Where a message stands that was never handed out.
pub(super) fn first_standing(
    not_before: Option<WallTime>,
    mode: DeliveryMode,
    now: Now,
) -> Standing {
    match not_before.filter(|at| *at > now.wall) {
        Some(at) => Standing::Waiting {
            due: now.engine_of(at),
            turn: Turn::Waives,
        },
        None => Standing::Ready(mode.rank_of_new()),
    }
}

/// What a message costs its queue: everything the caller sent, and our own rows about it.
fn charged(message: &NewMessage) -> u64 {
    let attributes: usize = message
        .attributes
        .iter()
        .map(|(k, v)| k.len() + v.len())
        .sum();
    let sent = message.payload.len() + attributes;
    u64::try_from(sent).expect("a length fits 64 bits") + MESSAGE_OVERHEAD_BYTES
}

/// Why a queue has no room for a message of so many bytes, if it has none.
pub(super) fn full(
    draft: &Draft<'_>,
    session: &SessionRow,
    queue: &QueueRow,
    bytes: u64,
) -> Option<Rejection> {
    let policy = draft.policy();
    // What the call itself has put in is taken back with the refusal.
    let before = match draft.view.row(&RowKey::Queue(queue.id)) {
        Some(Some(Row::Queue(row))) => row.depth,
        Some(Some(_) | None) | None => Depth::default(),
    };
    let (what, used, limit) = if queue.depth.unsettled() >= policy.queue_messages_max {
        let used = before.unsettled();
        ("messages", used, policy.queue_messages_max)
    } else if queue.depth.bytes + bytes > policy.queue_bytes_max {
        ("bytes", before.bytes, policy.queue_bytes_max)
    } else {
        return None;
    };
    Some(Rejection::QueueFull {
        session: session.id.clone(),
        what,
        used,
        limit,
    })
}
