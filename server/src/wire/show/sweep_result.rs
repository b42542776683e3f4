//! What became of each session of a sweep.
//!
//! A reply belongs to its command: one of another sort is a defect of the engine and stops the process.

use sessiond_core::ids::SessionId;
use sessiond_core::rejection::Rejection;
use sessiond_core::reply::Reply;
use sessiond_core::session::{EndReason, SessionRow};
use sessiond_core::time::WallTime;
use sessiond_proto::v1 as pb;

use super::end;
use super::time::timestamp;
use crate::wire::status::Refusal;

/// The result of a look that was decided, or refused; none for a session that was left alone.
pub(crate) fn decided(
    session: &SessionId,
    outcome: Result<Reply, Rejection>,
) -> Option<pb::SweepResult> {
    let reply = match outcome {
        Ok(reply) => reply,
        Err(rejection) => return Some(failed(session, &rejection)),
    };
    let Reply::Reaped { session, passed } = reply else {
        unreachable!("a look is answered with what it found")
    };
    passed.map(|passed| result(&session.session, passed, pb::SweepOutcome::Ended))
}

/// The result that a look would have, as the session stands.
pub(crate) fn foreseen(session: &SessionRow, passed: (EndReason, WallTime)) -> pb::SweepResult {
    result(session, passed, pb::SweepOutcome::WouldEnd)
}

fn result(
    session: &SessionRow,
    (reason, reached): (EndReason, WallTime),
    outcome: pb::SweepOutcome,
) -> pb::SweepResult {
    let key = session.key.as_ref();
    pb::SweepResult {
        session_id: session.id.to_string(),
        key: key.map_or_else(String::new, ToString::to_string),
        reason: end::reason(reason).into(),
        reach_time: Some(timestamp(reached)),
        outcome: outcome.into(),
        error: None,
    }
}

fn failed(session: &SessionId, rejection: &Rejection) -> pb::SweepResult {
    pb::SweepResult {
        session_id: session.to_string(),
        outcome: pb::SweepOutcome::Failed.into(),
        error: Some(Refusal::rejected(rejection).into()),
        ..pb::SweepResult::default()
    }
}
