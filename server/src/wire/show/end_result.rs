//! What became of each session of a bulk end.
//!
//! A reply belongs to its command: one of another sort is a defect of the engine and stops the
//! process.

use sessiond_core::ids::{SessionId, SessionRef};
use sessiond_core::rejection::Rejection;
use sessiond_core::reply::Reply;
use sessiond_core::session::SessionRow;
use sessiond_proto::v1 as pb;

use crate::wire::status::Refusal;

/// The result of an end that was decided, or refused.
pub(crate) fn decided(session: &SessionId, outcome: Result<Reply, Rejection>) -> pb::EndResult {
    let reply = match outcome {
        Ok(reply) => reply,
        Err(rejection) => return failed(session, &rejection),
    };
    let Reply::Session {
        session: view,
        already_ended,
        ..
    } = reply
    else {
        unreachable!("an end is answered with its session")
    };
    let outcome = match (already_ended, view.session.is_ended()) {
        (true, _) => pb::EndOutcome::AlreadyEnded,
        (false, true) => pb::EndOutcome::Ended,
        (false, false) => pb::EndOutcome::Draining,
    };
    result(&view.session, outcome)
}

/// The result that an end would have, as the session stands.
pub(crate) fn foreseen(session: &SessionRow) -> pb::EndResult {
    let outcome = if session.is_live() {
        pb::EndOutcome::WouldEnd
    } else {
        pb::EndOutcome::AlreadyEnded
    };
    result(session, outcome)
}

/// The result for an id that names no session.
pub(crate) fn not_found(session: &SessionId) -> pb::EndResult {
    let asked = SessionRef::Id(session.clone());
    failed(session, &Rejection::SessionNotFound { asked })
}

fn result(session: &SessionRow, outcome: pb::EndOutcome) -> pb::EndResult {
    pb::EndResult {
        session_id: session.id.to_string(),
        key: session
            .key
            .as_ref()
            .map_or_else(String::new, ToString::to_string),
        outcome: outcome.into(),
        error: None,
    }
}

fn failed(session: &SessionId, rejection: &Rejection) -> pb::EndResult {
    pb::EndResult {
        session_id: session.to_string(),
        key: String::new(),
        outcome: pb::EndOutcome::Failed.into(),
        error: Some(Refusal::rejected(rejection).into()),
    }
}
