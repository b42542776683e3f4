//! End request: a caller's use of a session is over, which may be what an end waited for.
//!
//! A request that is over already, by an earlier call, by its lease or with its session, is answered
//! with the session as it is and changes nothing; one that never began is refused. Writes no event of
//! its own.

use super::{find, finish};
use crate::command::EndRequest;
use crate::draft::{Draft, Stop};
use crate::reply::Reply;

/// Ends a request.
pub(super) fn end_request(draft: &mut Draft<'_>, end: &EndRequest) -> Result<Reply, Stop> {
    let session = find::of_request(draft, &end.namespace, &end.session, end.token)?;
    let mut activity = draft.activity(session.no)?;
    if !activity.requests.knows(end.token.request) {
        return Err(find::request_not_found(&session, end.token));
    }
    let was_live = activity.requests.end(end.token.request, draft.now.engine);
    if was_live {
        if session.is_active() {
            activity.touch(draft.now);
        }
        draft.put_activity(&session, activity)?;
        finish::if_drained(draft, session.no)?;
    }
    Ok(Reply::Session {
        session: Box::new(draft.session_view(session.no)?),
        already_ended: !was_live,
        duplicate: false,
    })
}
