//! Debounce: messages that are held back until no more of them came for a while.
//!
//! A queue has at most one pause. Each message that wants one moves its end away, and never beyond what any of
//! those that are held back allows. When it ends all of them become ready, at their places in the order, a bounded
//! number with each decision. It ends in live server time, so it goes on where it stood after a restart, and it does not
//! end while nothing could be handed out anyway. What this deliberately does not do: hold back messages that want no
//! pause.

use super::{cancel, hand_out};
use crate::draft::{Draft, Stop};
use crate::ids::{QueueId, Seq};
use crate::index::{IndexEntry, Scan};
use crate::limits::DEBOUNCED_PER_DECISION;
use crate::message::{Debounce, DeliveryMode, MessageRow, Standing};
use crate::queue::{Pause, QueueRow};
use crate::time::{EngineTime, Span};

/// The pause of a queue once a message is in it that wants one.
pub(super) fn prolonged(before: Option<Pause>, wanted: Debounce, now: EngineTime) -> Pause {
    let own = now + wanted.max_wait;
    let latest = before.map_or(own, |pause| pause.latest.min(own));
    let latest = if faulty!(PauseEndless) { own } else { latest };
    Pause {
        until: (now + wanted.quiet).min(latest),
        latest,
    }
}

/// Lets go what a queue holds back, if its pause is over.
pub(super) fn due(draft: &mut Draft<'_>, queue: &QueueRow) -> Result<(), Stop> {
    let over = queue
        .pause
        .is_some_and(|pause| pause.until <= draft.now.engine);
    if !over || !queue.is_live() {
        return Ok(());
    }
    let held = draft.scan(&Scan::Debounced(queue.id), DEBOUNCED_PER_DECISION)?;
    let seqs: Vec<Seq> = held.iter().filter_map(IndexEntry::seq).collect();
    draft.know_messages(seqs.iter().map(|seq| (queue.id, *seq)))?;
    let mut interrupts = false;
    for seq in &seqs {
        let before = draft
            .message(queue.id, *seq)?
            .expect("an indexed message is on record");
        interrupts |= before.mode == DeliveryMode::Interrupt;
        let mut message = MessageRow::clone(&before);
        message.standing = Standing::Ready(message.mode.rank_of_new());
        draft.move_message(Some(&before), Some(message.into()))?;
    }
    let more = seqs.len() == DEBOUNCED_PER_DECISION;
    let now = draft.now.engine;
    let mut row = draft.queue(queue.id)?;
    row.pause = row.pause.filter(|_| more).map(|pause| Pause {
        until: now + Span(1),
        ..pause
    });
    draft.put_queue(row)?;
    go_on(draft, queue.id, interrupts)
}

fn go_on(draft: &mut Draft<'_>, queue: QueueId, interrupts: bool) -> Result<(), Stop> {
    if interrupts {
        cancel::interrupt(draft, queue)?;
    }
    if draft.queue_ref(queue)?.pause.is_some() {
        return Ok(());
    }
    hand_out::offer(draft, queue)
}
