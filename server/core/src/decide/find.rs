//! Finds the session a reference means, and what each state answers to it.
//!
//! A key in a write means the live session only; get, end and explain fall back to a draining one,
//! then to the newest ended one. DRAINING and ENDED refuse by id, never by key. QUEUED accepts what its
//! callers say and messages, and refuses whoever would work on it.

use std::sync::Arc;

use crate::draft::{Draft, Stop};
use crate::ids::{Namespace, SessionKey, SessionRef};
use crate::rejection::Rejection;
use crate::requests::RequestToken;
use crate::session::{EndMode, Lifecycle, SessionRow};

/// The live session a write means.
pub(super) fn live(
    draft: &Draft<'_>,
    namespace: &Namespace,
    asked: &SessionRef,
) -> Result<Arc<SessionRow>, Stop> {
    let session = writable(draft, namespace, asked)?;
    match &session.lifecycle {
        Lifecycle::Queued(_) | Lifecycle::Active => Ok(session),
        Lifecycle::Draining(intent) => Err(Rejection::SessionDraining {
            reason: intent.reason,
            session: session.id.clone(),
        }
        .into()),
        Lifecycle::Ended(_) => Err(ended(&session).into()),
    }
}

/// The live session that somebody would use: one that waits for its slot is refused.
pub(super) fn in_use(
    draft: &Draft<'_>,
    namespace: &Namespace,
    asked: &SessionRef,
) -> Result<Arc<SessionRow>, Stop> {
    let session = live(draft, namespace, asked)?;
    if session.is_active() {
        Ok(session)
    } else {
        Err(queued(&session).into())
    }
}

/// The session a worker means: a live one, or by id one whose pending work is still handed out.
pub(super) fn workable(
    draft: &Draft<'_>,
    namespace: &Namespace,
    asked: &SessionRef,
) -> Result<Arc<SessionRow>, Stop> {
    let session = writable(draft, namespace, asked)?;
    match &session.lifecycle {
        Lifecycle::Draining(intent) if intent.mode == EndMode::AfterPending => Ok(session),
        Lifecycle::Active => Ok(session),
        Lifecycle::Queued(_) => Err(queued(&session).into()),
        Lifecycle::Draining(intent) => Err(Rejection::SessionDraining {
            reason: intent.reason,
            session: session.id.clone(),
        }
        .into()),
        Lifecycle::Ended(_) => Err(ended(&session).into()),
    }
}

/// The session whose lease is meant: by key a live one, by id one that is ending too.
pub(super) fn holdable(
    draft: &Draft<'_>,
    namespace: &Namespace,
    asked: &SessionRef,
) -> Result<Arc<SessionRow>, Stop> {
    let session = writable(draft, namespace, asked)?;
    if session.is_ended() {
        return Err(ended(&session).into());
    }
    Ok(session)
}

/// The session an end means, whatever its state.
pub(super) fn any(
    draft: &Draft<'_>,
    namespace: &Namespace,
    asked: &SessionRef,
) -> Result<Arc<SessionRow>, Stop> {
    match asked {
        SessionRef::Id(_) => writable(draft, namespace, asked),
        SessionRef::Key(key) => match of_key(draft, namespace, key)? {
            Some(session) => Ok(session),
            None => Err(not_found(asked).into()),
        },
    }
}

/// The session of a request. Its key may have gone on to another session since the request began, or to none.
pub(super) fn of_request(
    draft: &Draft<'_>,
    namespace: &Namespace,
    asked: &SessionRef,
    token: RequestToken,
) -> Result<Arc<SessionRow>, Stop> {
    let found = any(draft, namespace, asked)?;
    if found.no == token.session {
        return Ok(found);
    }
    if let SessionRef::Key(key) = asked
        && let Some(session) = draft.session_if(token.session)?
        && session.namespace == *namespace
        && session.key.as_ref() == Some(key)
    {
        return Ok(session);
    }
    Err(request_not_found(&found, token))
}

/// The session has no such live request.
pub(super) fn request_not_found(session: &SessionRow, token: RequestToken) -> Stop {
    Rejection::RequestNotFound {
        session: session.id.clone(),
        token,
    }
    .into()
}

fn of_key(
    draft: &Draft<'_>,
    namespace: &Namespace,
    key: &SessionKey,
) -> Result<Option<Arc<SessionRow>>, Stop> {
    let row = draft.key(namespace, key)?;
    if let Some(no) = row.live {
        return draft.session(no).map(Some);
    }
    let mut newest = None;
    for no in row.sessions {
        let session = draft.session(no)?;
        if !session.is_ended() {
            return Ok(Some(session));
        }
        newest.get_or_insert(session);
    }
    Ok(newest)
}

fn writable(
    draft: &Draft<'_>,
    namespace: &Namespace,
    asked: &SessionRef,
) -> Result<Arc<SessionRow>, Stop> {
    let no = match asked {
        SessionRef::Id(id) => draft.session_id(namespace, id)?,
        SessionRef::Key(key) => draft.key(namespace, key)?.live,
    };
    match no {
        Some(no) => draft.session(no),
        None => Err(not_found(asked).into()),
    }
}

fn queued(session: &SessionRow) -> Rejection {
    Rejection::SessionQueued {
        session: session.id.clone(),
        awaited: session.awaited(),
    }
}

fn not_found(asked: &SessionRef) -> Rejection {
    Rejection::SessionNotFound {
        asked: asked.clone(),
    }
}

pub(super) fn ended(session: &SessionRow) -> Rejection {
    let Lifecycle::Ended(end) = &session.lifecycle else {
        panic!("only an ended session is refused as ended");
    };
    Rejection::SessionEnded {
        session: session.id.clone(),
        reason: end.reason,
        successor: session.successor.clone(),
    }
}
