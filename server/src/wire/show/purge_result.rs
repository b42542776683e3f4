//! What became of each session of a purge.
//!
//! A reply belongs to its command: one of another sort is a defect of the engine and stops the
//! process.

use sessiond_core::ids::SessionId;
use sessiond_core::rejection::Rejection;
use sessiond_core::reply::Reply;
use sessiond_core::session::SessionRow;
use sessiond_proto::v1 as pb;

use crate::wire::status::Refusal;

/// The result of a purge that was decided, or refused.
pub(crate) fn decided(session: &SessionId, outcome: Result<Reply, Rejection>) -> pb::PurgeResult {
    let reply = match outcome {
        Ok(reply) => reply,
        Err(rejection) => return failed(session, &rejection),
    };
    let Reply::Purged { key, messages } = reply else {
        unreachable!("a purge is answered with what went")
    };
    pb::PurgeResult {
        session_id: session.to_string(),
        key: key.map_or_else(String::new, |key| key.to_string()),
        outcome: pb::PurgeOutcome::Purged.into(),
        messages,
        error: None,
    }
}

/// The result that a purge would have, with the messages that would go.
pub(crate) fn foreseen(session: &SessionRow, messages: u64) -> pb::PurgeResult {
    pb::PurgeResult {
        session_id: session.id.to_string(),
        key: session
            .key
            .as_ref()
            .map_or_else(String::new, ToString::to_string),
        outcome: pb::PurgeOutcome::WouldPurge.into(),
        messages,
        error: None,
    }
}

/// The result for a session that is refused.
pub(crate) fn failed(session: &SessionId, rejection: &Rejection) -> pb::PurgeResult {
    pb::PurgeResult {
        session_id: session.to_string(),
        key: String::new(),
        outcome: pb::PurgeOutcome::Failed.into(),
        messages: 0,
        error: Some(Refusal::rejected(rejection).into()),
    }
}
