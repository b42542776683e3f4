//! Room: what is refused while the disk is short of it.
//!
//! Only what adds is: a session that takes no other's place, a message that is not known. Whatever uses, settles, ends or
//! removes what is there goes on, for that is what makes room, and what was accepted before is answered as before. How
//! much room there is nobody here looks up; the edge says so, in order with everything else.

use crate::draft::{Draft, Stop};
use crate::presence::Shortage;
use crate::rejection::Rejection;
use crate::reply::Reply;

/// Notes how short of room the disk is, if it is.
pub(super) fn note(draft: &mut Draft<'_>, shortage: Option<Shortage>) -> Reply {
    draft.set_room(shortage);
    Reply::Done
}

/// Refuses what would add to the store while there is no room for it.
pub(super) fn refuse_more(draft: &Draft<'_>) -> Result<(), Stop> {
    match draft.view.presence.shortage() {
        Some(shortage) if !faulty!(ShortageIgnored) => Err(Rejection::StoreFull(shortage).into()),
        Some(_) | None => Ok(()),
    }
}
