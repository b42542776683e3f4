//! Touch: the owner says that the session is in use.

use super::find;
use crate::command::Touch;
use crate::draft::{Draft, Stop};
use crate::reply::Reply;

/// Notes activity, renews the owner's term, adds tokens. Writes no event.
pub(super) fn touch(draft: &mut Draft<'_>, touch: &Touch) -> Result<Reply, Stop> {
    let session = find::live(draft, &touch.namespace, &touch.session)?;
    let mut activity = draft.activity(session.no)?;
    activity.touch(draft.now);
    activity.owner_seen = draft.now.engine;
    activity.touch_count += 1;
    activity.usage.add(touch.usage);
    draft.put_activity(&session, activity)?;
    Ok(Reply::Session {
        session: Box::new(draft.session_view(session.no)?),
        already_ended: false,
        duplicate: false,
    })
}
