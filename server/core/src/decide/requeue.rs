//! Requeue: dead letters become pending again, each of them once.
//!
//! In its own queue a letter keeps its seq and starts afresh: no attempt is counted, and it goes first. Into
//! another queue it is appended under a new seq, with what it carries, and leaves its old place in the same
//! commit. Each letter is judged by itself: what is no dead letter any more, is still held by a worker, has no
//! live session to go to, finds its queue full or its name taken stays where it is and is counted. Each session that got
//! some has one event, which says how many.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{enqueue, find, hand_out, request};
use crate::command::Effect;
use crate::command::letters::Requeue;
use crate::draft::events::Particulars;
use crate::draft::{Draft, Stop};
use crate::event::{Actor, Cause, EventKind};
use crate::ids::{IdempotencyKey, Namespace, QueueId, Seq, SessionNo};
use crate::limits::REQUEUE_BYTES_MAX;
use crate::message::{MessageRow, Standing};
use crate::queue::{Disposition, QueueRow};
use crate::rejection::Rejection;
use crate::reply::Reply;
use crate::rows::{MessageTally, Row, RowKey};
use crate::session::SessionRow;

/// Requeues letters, as many as one decision may.
pub(super) fn requeue(draft: &mut Draft<'_>, requeue: &Requeue) -> Result<Reply, Stop> {
    let tag = requeue.request.as_ref();
    if requeue.effect == Effect::Made
        && let Some(row) = request::earlier(draft, &requeue.namespace, tag)?
    {
        return Ok(Reply::counted(row.tally.unwrap_or_default(), true));
    }
    let target = match &requeue.into {
        Some(asked) => Some(find::live(draft, &requeue.namespace, asked)?),
        None => None,
    };
    let subject = target.as_ref().map_or(SessionNo(0), |session| session.no);
    let mut run = Run {
        target,
        cause: requeue.actor.cause,
        tally: MessageTally::default(),
        copied: 0,
        full: BTreeMap::new(),
        filled: BTreeMap::new(),
    };
    draft.know_letters(requeue.letters.iter().copied())?;
    run.know_payloads(draft, requeue)?;
    for (number, place) in requeue.letters.iter().enumerate() {
        if run.one(draft, &requeue.namespace, *place)? == Fate::NotReached {
            let left = requeue.letters.len() - number;
            run.tally.not_reached = u64::try_from(left).expect("a length fits 64 bits");
            break;
        }
    }
    run.refuse_if_full()?;
    run.tally.next = requeue.next;
    if requeue.effect == Effect::LeftOut {
        draft.clear();
        return Ok(Reply::counted(run.tally, false));
    }
    run.tell(draft, &requeue.actor)?;
    run.offer(draft)?;
    request::record_tally(draft, &requeue.namespace, tag, subject, run.tally)?;
    Ok(Reply::counted(run.tally, false))
}

/// What became of one letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It is pending again.
    Done,
    /// It is no dead letter, or not any more.
    NotFound,
    /// A worker holds it still.
    InFlight,
    /// Its own session is not live, and no other was named.
    WithoutSession,
    /// The queue it would go to is full.
    NoRoom,
    /// The queue it would go to remembers a message of its name.
    Duplicate,
    /// The call has carried as much as it may.
    NotReached,
}

/// Letters on their way.
struct Run {
    /// Where all of them go; none: each into its own queue.
    target: Option<Arc<SessionRow>>,
    /// The event whose handling made somebody bring them back: what becomes of them later is due to that.
    cause: Option<Cause>,
    tally: MessageTally,
    /// Bytes of what was carried into another queue.
    copied: u64,
    /// Queues that had no room for a letter. Nothing of this call goes into them any more, or a later letter
    /// would pass an earlier one.
    full: BTreeMap<QueueId, Rejection>,
    /// Queues that got something: whose each is, and how many letters.
    filled: BTreeMap<QueueId, (SessionNo, u64)>,
}

impl Run {
    /// Moves one letter, if it can be moved.
    fn one(
        &mut self,
        draft: &mut Draft<'_>,
        namespace: &Namespace,
        place: (QueueId, Seq),
    ) -> Result<Fate, Stop> {
        let fate = self.fate(draft, namespace, place)?;
        match fate {
            Fate::Done => self.tally.done += 1,
            Fate::NotFound => self.tally.not_found += 1,
            Fate::InFlight => self.tally.in_flight += 1,
            Fate::WithoutSession => self.tally.without_session += 1,
            Fate::NoRoom => self.tally.no_room += 1,
            Fate::Duplicate => self.tally.duplicates += 1,
            Fate::NotReached => {}
        }
        Ok(fate)
    }

    fn fate(
        &mut self,
        draft: &mut Draft<'_>,
        namespace: &Namespace,
        place: (QueueId, Seq),
    ) -> Result<Fate, Stop> {
        let Some((from, letter)) = letter(draft, namespace, place)? else {
            return Ok(Fate::NotFound);
        };
        if matches!(letter.standing, Standing::InFlight(_)) {
            return Ok(Fate::InFlight);
        }
        let session = match &self.target {
            Some(target) => Arc::clone(target),
            None => match home(draft, &from)? {
                Some(session) => session,
                None => return Ok(Fate::WithoutSession),
            },
        };
        let moves = session.queue != from.id;
        if moves && self.copied > 0 && self.copied + letter.bytes > REQUEUE_BYTES_MAX {
            return Ok(Fate::NotReached);
        }
        let queue = draft.queue(session.queue)?;
        if self.full.contains_key(&queue.id) {
            return Ok(Fate::NoRoom);
        }
        if let Some(refusal) = enqueue::full(draft, &session, &queue, letter.bytes) {
            self.full.insert(queue.id, refusal);
            return Ok(Fate::NoRoom);
        }
        if moves {
            let digest = letter.idempotency_key.as_ref().map(IdempotencyKey::digest);
            if let Some(digest) = &digest
                && draft.remembered(&queue, digest)?.is_some()
            {
                return Ok(Fate::Duplicate);
            }
            append(draft, &session, &letter, self.cause)?;
            uncount(draft, from.owner)?;
            self.copied += letter.bytes;
        } else {
            revive(draft, &session, &letter, self.cause)?;
        }
        let (_, letters) = self.filled.entry(queue.id).or_insert((session.no, 0));
        *letters += 1;
        Ok(Fate::Done)
    }

    /// Sees to it that what is carried into another queue is known, and asks for all that is not at once.
    fn know_payloads(&self, draft: &Draft<'_>, requeue: &Requeue) -> Result<(), Stop> {
        let Some(target) = &self.target else {
            return Ok(());
        };
        let mut keys = Vec::new();
        let mut bytes = 0;
        for place in &requeue.letters {
            let Some((from, letter)) = letter(draft, &requeue.namespace, *place)? else {
                continue;
            };
            if from.id == target.queue || bytes > REQUEUE_BYTES_MAX {
                continue;
            }
            bytes += letter.bytes;
            keys.push(RowKey::Payload(place.0, place.1));
        }
        draft.know(keys.into_iter())
    }

    /// A call that could do nothing because the session it names has no room is refused, to come again later.
    fn refuse_if_full(&self) -> Result<(), Stop> {
        match (&self.target, self.full.values().next()) {
            (Some(_), Some(refusal)) if self.tally.done == 0 => Err(refusal.clone().into()),
            _ => Ok(()),
        }
    }

    /// Each session that got letters has an event.
    fn tell(&self, draft: &mut Draft<'_>, actor: &Actor) -> Result<(), Stop> {
        self.filled.values().try_for_each(|(session, letters)| {
            let said = Particulars::attribute("messages", letters.to_string());
            let kind = EventKind::MessagesRequeued;
            draft.event(kind, actor.clone(), *session, said)
        })
    }

    /// What was brought back goes to a worker in the same commit.
    fn offer(&self, draft: &mut Draft<'_>) -> Result<(), Stop> {
        self.filled
            .keys()
            .try_for_each(|queue| hand_out::offer(draft, *queue))
    }
}

/// A dead letter and its queue: given up by itself, or left by its session's end.
fn letter(
    draft: &Draft<'_>,
    namespace: &Namespace,
    (id, seq): (QueueId, Seq),
) -> Result<Option<(QueueRow, Arc<MessageRow>)>, Stop> {
    let queue = draft.queue_if(id)?;
    let there = |queue: &QueueRow| {
        let purged = matches!(queue.disposition, Disposition::Purged { .. });
        queue.namespace == *namespace && !purged
    };
    let Some(queue) = queue.filter(there) else {
        return Ok(None);
    };
    if let Some(letter) = draft.dead_letter(id, seq)? {
        return Ok(Some((queue, letter)));
    }
    let left = match queue.disposition {
        Disposition::Dead { .. } => draft.message(id, seq)?,
        Disposition::Serving
        | Disposition::Quiet
        | Disposition::Held { .. }
        | Disposition::Discarded { .. }
        | Disposition::Purged { .. } => None,
    };
    Ok(left.map(|letter| (queue, letter)))
}

/// The live session that owns a queue.
fn home(draft: &Draft<'_>, queue: &QueueRow) -> Result<Option<Arc<SessionRow>>, Stop> {
    let owner = draft.session(queue.owner)?;
    Ok((owner.is_live() && owner.queue == queue.id).then_some(owner))
}

/// Makes a letter pending again where it lies, which is use of its session. Its latest hand-out stays the latest until
/// there is another: a late ack of it still counts.
fn revive(
    draft: &mut Draft<'_>,
    session: &SessionRow,
    letter: &Arc<MessageRow>,
    cause: Option<Cause>,
) -> Result<(), Stop> {
    let mut message = MessageRow::clone(letter);
    if !faulty!(RequeueCounted) {
        message.attempt = 0;
    }
    message.cause = cause;
    message.standing = Standing::Ready(message.mode.rank_of_returned());
    draft.move_message(Some(letter), Some(message.into()))?;
    let mut activity = draft.activity(session.no)?;
    activity.touch(draft.now);
    activity.totals.dead_lettered = activity.totals.dead_lettered.saturating_sub(1);
    draft.put_activity(session, activity)
}

/// Appends a letter to the queue of another session, which is use of that, and takes it out of its own.
fn append(
    draft: &mut Draft<'_>,
    session: &SessionRow,
    letter: &Arc<MessageRow>,
    cause: Option<Cause>,
) -> Result<(), Stop> {
    let payload = draft.payload(letter.queue, letter.seq)?;
    if !faulty!(RequeueCopied) {
        draft.move_message(Some(letter), None)?;
    }
    let mut queue = draft.queue(session.queue)?;
    let seq = queue.next_seq;
    if let Some(key) = &letter.idempotency_key {
        draft.remember(&queue, key.digest(), seq)?;
    }
    queue.next_seq = seq.next();
    let id = queue.id;
    draft.put_queue(queue)?;
    draft.put(RowKey::Payload(id, seq), Row::Payload(payload));
    let message = MessageRow {
        queue: id,
        seq,
        // It was accepted there and then, but what it reports happened when it first came.
        occurred_time: Some(letter.occurred_time.unwrap_or(letter.enqueue_time)),
        enqueue_time: draft.now.wall,
        enqueued_at: draft.now.engine,
        attempt: 0,
        latest: None,
        cause,
        standing: enqueue::first_standing(letter.not_before_time, letter.mode, draft.now),
        ..MessageRow::clone(letter)
    };
    draft.move_message(None, Some(message.into()))?;
    let mut activity = draft.activity(session.no)?;
    activity.touch(draft.now);
    activity.totals.enqueued += 1;
    draft.put_activity(session, activity)
}

/// Takes a letter off the count of the session that owns its queue.
fn uncount(draft: &mut Draft<'_>, owner: SessionNo) -> Result<(), Stop> {
    let session = draft.session(owner)?;
    let mut activity = draft.activity(owner)?;
    activity.totals.dead_lettered = activity.totals.dead_lettered.saturating_sub(1);
    draft.put_activity(&session, activity)
}
