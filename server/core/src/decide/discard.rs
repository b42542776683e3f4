//! Discard: messages that are pending or given up are deleted, each by its name, and counted.
//!
//! What a worker has in flight is left to it and counted apart: its ack or nack decides. What is not there, or is
//! being deleted already, is counted as not found; so a repeat is harmless. One event says how many went. The last message of a queue that is
//! deleted may be what a draining session waited for, and one that held others back lets them go.

use super::{find, finish, hand_out, purge, request};
use crate::command::Effect;
use crate::command::letters::Discard;
use crate::draft::events::Particulars;
use crate::draft::{Draft, Stop};
use crate::event::EventKind;
use crate::ids::Seq;
use crate::message::Standing;
use crate::queue::{Disposition, QueueRow};
use crate::reply::Reply;
use crate::rows::MessageTally;
use crate::session::SessionRow;

/// Discards messages of one session, as many as one decision may.
pub(super) fn discard(draft: &mut Draft<'_>, discard: &Discard) -> Result<Reply, Stop> {
    let tag = discard.request.as_ref();
    if discard.effect == Effect::Made
        && let Some(row) = request::earlier(draft, &discard.namespace, tag)?
    {
        return Ok(Reply::counted(row.tally.unwrap_or_default(), true));
    }
    let session = find::any(draft, &discard.namespace, &discard.session)?;
    let queue = purge::own_queue(draft, &session)?;
    let mut tally = MessageTally::default();
    let mut letters = 0;
    if let Some(queue) = &queue {
        draft.know_letters(discard.seqs.iter().map(|seq| (queue.id, *seq)))?;
        for seq in &discard.seqs {
            letters += one(draft, queue, *seq, &mut tally)?;
        }
    } else {
        // A queue that a successor has adopted is the successor's.
        let asked = discard.seqs.len();
        tally.not_found = u64::try_from(asked).expect("a length fits 64 bits");
    }
    tally.next = discard.next;
    if discard.effect == Effect::LeftOut {
        draft.clear();
        return Ok(Reply::counted(tally, false));
    }
    if tally.done > 0 {
        // First: what goes out now keeps the session, which else would be looked at in vain.
        hand_out::offer(draft, session.queue)?;
        count(draft, &session, tally.done, letters)?;
        let said = Particulars::attribute("messages", tally.done.to_string());
        let kind = EventKind::MessagesDiscarded;
        draft.event(kind, discard.actor.clone(), session.no, said)?;
        finish::if_drained(draft, session.no)?;
    }
    request::record_tally(draft, &discard.namespace, tag, session.no, tally)?;
    Ok(Reply::counted(tally, false))
}

/// Deletes one message, if it may be; answers how many dead letters that makes less.
fn one(
    draft: &mut Draft<'_>,
    queue: &QueueRow,
    seq: Seq,
    tally: &mut MessageTally,
) -> Result<u64, Stop> {
    let gone = matches!(queue.disposition, Disposition::Discarded { .. });
    let found = match draft.dead_letter(queue.id, seq)? {
        Some(letter) => Some(letter),
        // What is left of a discarded queue is counted already and waits for its turn to be deleted.
        None if gone => None,
        None => draft.message(queue.id, seq)?,
    };
    let Some(message) = found else {
        tally.not_found += 1;
        return Ok(0);
    };
    if matches!(message.standing, Standing::InFlight(_)) {
        tally.in_flight += 1;
        return Ok(0);
    }
    draft.move_message(Some(&message), None)?;
    tally.done += 1;
    let given_up = matches!(message.standing, Standing::Dead { .. })
        || matches!(queue.disposition, Disposition::Dead { .. });
    Ok(u64::from(given_up && !faulty!(DiscardKept)))
}

/// Counts what was deleted, of which some were dead letters.
fn count(
    draft: &mut Draft<'_>,
    session: &SessionRow,
    deleted: u64,
    letters: u64,
) -> Result<(), Stop> {
    let mut activity = draft.activity(session.no)?;
    let totals = &mut activity.totals;
    totals.dead_lettered = totals.dead_lettered.saturating_sub(letters);
    totals.discarded += deleted;
    draft.put_activity(session, activity)
}
