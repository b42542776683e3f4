//! Begin request: a caller uses a session for a while, and says so again while it does.
//!
//! A new request is refused while the session waits for its slot and once an end is decided; one that began before may be renewed as long as the
//! session waits for it. Both are activity and renew the owner's term. Writes no event.

use super::find;
use crate::command::BeginRequest;
use crate::draft::{Draft, Stop};
use crate::limits::{REQUEST_LEASE_DEFAULT, REQUESTS_PER_SESSION_MAX};
use crate::rejection::Rejection;
use crate::reply::Reply;
use crate::requests::{LiveRequest, RequestToken};
use crate::session::{ActivityRow, SessionRow};

/// Begins a request or renews one.
pub(super) fn begin_request(draft: &mut Draft<'_>, asked: &BeginRequest) -> Result<Reply, Stop> {
    match asked.renews {
        None => begin(draft, asked),
        Some(token) => renew(draft, asked, token),
    }
}

fn begin(draft: &mut Draft<'_>, asked: &BeginRequest) -> Result<Reply, Stop> {
    let session = find::in_use(draft, &asked.namespace, &asked.session)?;
    let now = draft.now.engine;
    let mut activity = draft.activity(session.no)?;
    activity.requests.drop_lapsed(now);
    if activity.requests.live.len() >= REQUESTS_PER_SESSION_MAX {
        return Err(Rejection::TooManyRequests {
            session: session.id.clone(),
            limit: REQUESTS_PER_SESSION_MAX as u64,
        }
        .into());
    }
    let lease = asked.lease.unwrap_or(REQUEST_LEASE_DEFAULT);
    let request = activity.requests.begin(now, lease);
    answer(draft, &session, activity, request)
}

fn renew(draft: &mut Draft<'_>, asked: &BeginRequest, token: RequestToken) -> Result<Reply, Stop> {
    let session = find::of_request(draft, &asked.namespace, &asked.session, token)?;
    if session.is_ended() {
        return Err(find::ended(&session).into());
    }
    let now = draft.now.engine;
    let mut activity = draft.activity(session.no)?;
    let renewed = activity.requests.renew(token.request, now, asked.lease);
    let Some(request) = renewed else {
        return Err(find::request_not_found(&session, token));
    };
    answer(draft, &session, activity, request)
}

fn answer(
    draft: &mut Draft<'_>,
    session: &SessionRow,
    mut activity: ActivityRow,
    request: LiveRequest,
) -> Result<Reply, Stop> {
    if session.is_active() {
        activity.touch(draft.now);
        activity.owner_seen = draft.now.engine;
    }
    draft.put_activity(session, activity)?;
    Ok(Reply::RequestBegun {
        session: Box::new(draft.session_view(session.no)?),
        token: RequestToken {
            session: session.no,
            request: request.number,
        },
        lease: request.lease,
        expire_time: draft.now.wall_of(request.until),
    })
}
