//! How a draft moves messages: the row, its queue's counters, the store's totals and the index, in one call.

use std::sync::Arc;

use bytes::Bytes;

use super::{Draft, Stop};
use crate::ids::{QueueId, Seq};
use crate::index::{IndexEntry, Scan, entries_of_message};
use crate::message::{MessageRow, Standing};
use crate::queue::{Depth, Disposition, Oldest, QueueRow};
use crate::rows::{Counters, Read, Row, RowKey};

impl Draft<'_> {
    /// Sees to it that the rows of these messages are known, and asks for all that are not at once: a decision is taken
    /// anew each time it asks.
    pub(crate) fn know_messages(
        &self,
        places: impl Iterator<Item = (QueueId, Seq)>,
    ) -> Result<(), Stop> {
        self.know(places.map(|(queue, seq)| RowKey::Message(queue, seq)))
    }

    /// The same for messages that may be given up, and their queues.
    pub(crate) fn know_letters(
        &self,
        places: impl Iterator<Item = (QueueId, Seq)>,
    ) -> Result<(), Stop> {
        self.know(places.flat_map(|(queue, seq)| {
            [
                RowKey::DeadLetter(queue, seq),
                RowKey::Message(queue, seq),
                RowKey::Queue(queue),
            ]
        }))
    }

    /// Sees to it that rows are known, and asks for all that are not at once.
    pub(crate) fn know(&self, keys: impl Iterator<Item = RowKey>) -> Result<(), Stop> {
        let unknown =
            keys.filter(|key| !self.rows.contains_key(key) && self.view.row(key).is_none());
        let missing: Vec<Read> = unknown.map(Read::Row).collect();
        if missing.is_empty() {
            Ok(())
        } else {
            Err(Stop::Missing(missing))
        }
    }

    /// The payload of a message on record.
    pub(crate) fn payload(&self, queue: QueueId, seq: Seq) -> Result<Bytes, Stop> {
        match self.row(&RowKey::Payload(queue, seq))? {
            Some(Row::Payload(bytes)) => Ok(bytes.clone()),
            other => panic!("a message on record has its payload, not {other:?}"),
        }
    }

    /// The payload, if this batch wrote it.
    pub(crate) fn payload_at_hand(&self, queue: QueueId, seq: Seq) -> Option<Bytes> {
        let key = RowKey::Payload(queue, seq);
        let row = match self.rows.get(&key) {
            Some(own) => own.as_ref(),
            None => self.view.row(&key).flatten(),
        };
        match row {
            Some(Row::Payload(bytes)) => Some(bytes.clone()),
            _ => None,
        }
    }

    /// Writes or removes a message and moves its queue's counters with it. `before` is the row as it
    /// stood, `after` as it stands; a given-up message moves to the dead letters.
    pub(crate) fn move_message(
        &mut self,
        before: Option<&MessageRow>,
        after: Option<Arc<MessageRow>>,
    ) -> Result<(), Stop> {
        let any = before
            .or(after.as_deref())
            .expect("a message is moved from or to somewhere");
        let (id, seq) = (any.queue, any.seq);
        let mut queue = self.queue(id)?;
        let mut counters = self.counters()?;
        let was = before.map(|row| (row.standing, row.bytes));
        let is = after.as_ref().map(|row| (row.standing, row.bytes));
        if let Some((standing, bytes)) = was {
            let leaks =
                faulty!(DiscardLeaks) && matches!(queue.disposition, Disposition::Discarded { .. });
            *gauge(&mut queue.depth, standing) -= u64::from(!leaks);
            shift_total(&mut counters, queue.disposition, standing, |n| n - 1);
            if !is_dead(standing) {
                queue.depth.bytes -= bytes;
            }
        }
        if let Some((standing, bytes)) = is {
            *gauge(&mut queue.depth, standing) += 1;
            shift_total(&mut counters, queue.disposition, standing, |n| n + 1);
            if !is_dead(standing) {
                queue.depth.bytes += bytes;
            }
        }
        self.put_counters(counters);
        self.reindex(
            &before.map(entries_of_message).unwrap_or_default(),
            after.as_deref().map(entries_of_message).unwrap_or_default(),
        );
        self.place(was.map(|(s, _)| s), id, seq, after);
        self.refresh_oldest(&mut queue, seq)?;
        self.put_queue(queue)
    }

    /// Changes what may be done with a queue's messages; the totals follow.
    pub(crate) fn dispose(
        &mut self,
        mut queue: QueueRow,
        disposition: Disposition,
    ) -> Result<(), Stop> {
        let mut counters = self.counters()?;
        let depth = queue.depth;
        let pending = depth.ready + depth.waiting;
        match queue.disposition {
            Disposition::Dead { .. } => counters.dead_lettered -= depth.unsettled(),
            Disposition::Discarded { .. } => {}
            Disposition::Purged { .. } => counters.dead_lettered += depth.dead,
            Disposition::Serving | Disposition::Quiet | Disposition::Held { .. } => {
                counters.pending -= pending;
                counters.in_flight -= depth.in_flight;
            }
        }
        match disposition {
            Disposition::Dead { .. } => counters.dead_lettered += depth.unsettled(),
            Disposition::Discarded { .. } => {}
            Disposition::Purged { .. } => counters.dead_lettered -= depth.dead,
            Disposition::Serving | Disposition::Quiet | Disposition::Held { .. } => {
                counters.pending += pending;
                counters.in_flight += depth.in_flight;
            }
        }
        self.put_counters(counters);
        queue.disposition = disposition;
        self.put_queue(queue)
    }

    /// What becomes of a queue whose messages are given up now: they are kept for as long as the policy says.
    pub(crate) fn given_up(&self, depth: Depth) -> Disposition {
        let since = self.now.engine;
        let until = self.policy().dead_letter_retention.from(since);
        Disposition::Dead {
            since,
            time: self.now.wall,
            until: until.filter(|_| depth.unsettled() > 0),
        }
    }

    fn place(
        &mut self,
        was: Option<Standing>,
        id: QueueId,
        seq: Seq,
        after: Option<Arc<MessageRow>>,
    ) {
        if let Some(standing) = was {
            let key = if is_dead(standing) {
                RowKey::DeadLetter(id, seq)
            } else {
                RowKey::Message(id, seq)
            };
            self.remove(key);
        }
        match after {
            Some(row) if is_dead(row.standing) => {
                self.put(RowKey::DeadLetter(id, seq), Row::Message(row));
            }
            Some(row) => self.put(RowKey::Message(id, seq), Row::Message(row)),
            None => self.remove(RowKey::Payload(id, seq)),
        }
    }

    /// Keeps `oldest` the lowest unsettled seq after `touched` came or went.
    fn refresh_oldest(&mut self, queue: &mut QueueRow, touched: Seq) -> Result<(), Stop> {
        let later = queue.oldest.is_some_and(|oldest| oldest.seq < touched);
        if later || faulty!(OldestStale) {
            return Ok(());
        }
        queue.oldest = match self.scan(&Scan::Pending(queue.id), 1)?.first() {
            Some(IndexEntry::Pending(_, seq)) => {
                let row = self
                    .message(queue.id, *seq)?
                    .expect("an indexed message is on record");
                Some(Oldest {
                    seq: *seq,
                    at: row.enqueued_at,
                    time: row.enqueue_time,
                })
            }
            _ => None,
        };
        Ok(())
    }
}

fn is_dead(standing: Standing) -> bool {
    matches!(standing, Standing::Dead { .. })
}

fn gauge(depth: &mut Depth, standing: Standing) -> &mut u64 {
    match standing {
        Standing::Ready(_) => &mut depth.ready,
        Standing::Waiting { .. } | Standing::Debounced => &mut depth.waiting,
        Standing::InFlight(_) => &mut depth.in_flight,
        Standing::Dead { .. } => &mut depth.dead,
    }
}

/// Moves the store-wide total that counts a message of this standing in a queue of this disposition.
fn shift_total(
    counters: &mut Counters,
    disposition: Disposition,
    standing: Standing,
    shift: impl Fn(u64) -> u64,
) {
    let total = match (disposition, standing) {
        (Disposition::Purged { .. }, _) => return,
        (_, Standing::Dead { .. }) | (Disposition::Dead { .. }, _) => &mut counters.dead_lettered,
        (Disposition::Discarded { .. }, _) => return,
        (_, Standing::Ready(_) | Standing::Waiting { .. } | Standing::Debounced) => {
            &mut counters.pending
        }
        (_, Standing::InFlight(_)) => &mut counters.in_flight,
    };
    *total = shift(*total);
}
