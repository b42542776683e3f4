//! Replies of the engine as answers of calls.
//!
//! A reply belongs to its command: one of another sort is a defect of the engine and stops the
//! process.

use sessiond_core::ids::Revision;
use sessiond_core::reply::{EnqueueResult, EnqueueStatus, Reply};
use sessiond_core::rows::MessageMark;
use sessiond_core::time::Now;
use sessiond_proto::v1 as pb;

use super::session::session;
use super::time::{duration, timestamp};
use super::{delivery, lease, settlement};

/// When a reply is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown {
    /// The newest revision at the commit.
    pub(crate) revision: Revision,
    /// The time of the answer.
    pub(crate) now: Now,
}

/// The answer to OpenSession.
pub(crate) fn opened(reply: Reply, shown: Shown) -> pb::OpenSessionResponse {
    let Reply::Opened {
        session: view,
        created,
        duplicate,
    } = reply
    else {
        unreachable!("an open is answered with its session")
    };
    pb::OpenSessionResponse {
        session: Some(session(&view, shown.now)),
        created,
        duplicate,
        revision: shown.revision.0,
    }
}

/// The answer to UpdateSession.
pub(crate) fn updated(reply: Reply, shown: Shown) -> pb::UpdateSessionResponse {
    let (session, _, duplicate) = changed(reply, shown);
    pb::UpdateSessionResponse {
        session: Some(session),
        duplicate,
        revision: shown.revision.0,
    }
}

/// The answer to TouchSession.
pub(crate) fn touched(reply: Reply, shown: Shown) -> pb::TouchSessionResponse {
    let (session, _, _) = changed(reply, shown);
    pb::TouchSessionResponse {
        session: Some(session),
        revision: shown.revision.0,
    }
}

/// The answer to BeginRequest.
pub(crate) fn request_begun(reply: &Reply, revision: Revision) -> pb::BeginRequestResponse {
    let Reply::RequestBegun {
        token,
        lease,
        expire_time,
        ..
    } = reply
    else {
        unreachable!("a request that begins is answered with its token")
    };
    pb::BeginRequestResponse {
        request_token: token.to_string(),
        request_lease: Some(duration(*lease)),
        expire_time: Some(timestamp(*expire_time)),
        revision: revision.0,
    }
}

/// The answer to EndRequest.
pub(crate) fn request_ended(reply: Reply, shown: Shown) -> pb::EndRequestResponse {
    let (session, already_ended, _) = changed(reply, shown);
    pb::EndRequestResponse {
        session: Some(session),
        already_ended,
        revision: shown.revision.0,
    }
}

/// The answer to ResetCircuit.
pub(crate) fn reset_circuit(reply: Reply, shown: Shown) -> pb::ResetCircuitResponse {
    let (session, _, duplicate) = changed(reply, shown);
    pb::ResetCircuitResponse {
        session: Some(session),
        duplicate,
        revision: shown.revision.0,
    }
}

/// The answer to RevokeLease.
pub(crate) fn revoked(reply: Reply, shown: Shown) -> pb::RevokeLeaseResponse {
    let Reply::Revoked {
        session: view,
        lease: taken,
        duplicate,
    } = reply
    else {
        unreachable!("a revocation is answered with its session")
    };
    let id = view.session.id.clone();
    pb::RevokeLeaseResponse {
        session: Some(session(&view, shown.now)),
        lease: taken.map(|taken| lease::lease(&taken, id.as_str())),
        duplicate,
        revision: shown.revision.0,
    }
}

/// The answer to EndSession. A caller that waited replaces the session with how it stands then.
pub(crate) fn ended(reply: Reply, shown: Shown) -> pb::EndSessionResponse {
    let (session, already_ended, duplicate) = changed(reply, shown);
    pb::EndSessionResponse {
        session: Some(session),
        already_ended,
        duplicate,
        revision: shown.revision.0,
    }
}

/// The answer to ResetSession. The session that ended is shown if it is still on record.
pub(crate) fn reset(reply: Reply, shown: Shown) -> pb::ResetSessionResponse {
    let Reply::Reset {
        ended,
        successor,
        duplicate,
    } = reply
    else {
        unreachable!("a reset is answered with its sessions")
    };
    pb::ResetSessionResponse {
        ended: ended.map(|view| session(&view, shown.now)),
        successor: Some(session(&successor, shown.now)),
        duplicate,
        revision: shown.revision.0,
    }
}

fn changed(reply: Reply, shown: Shown) -> (pb::Session, bool, bool) {
    let Reply::Session {
        session: view,
        already_ended,
        duplicate,
    } = reply
    else {
        unreachable!("a change of a session is answered with it")
    };
    let session = session(&view, shown.now);
    (session, already_ended, duplicate)
}

/// The answer to EnqueueMessages.
pub(crate) fn enqueued(reply: Reply, revision: Revision) -> pb::EnqueueMessagesResponse {
    let Reply::Enqueued {
        session,
        queue,
        opened,
        results,
    } = reply
    else {
        unreachable!("an enqueue is answered with its results")
    };
    pb::EnqueueMessagesResponse {
        results: results.into_iter().map(enqueue_result).collect(),
        revision: revision.0,
        session_id: session.to_string(),
        queue_id: queue.0,
        opened,
    }
}

/// The same as the answer to one frame of EnqueueStream.
pub(crate) fn enqueued_frame(
    stream_id: String,
    reply: Reply,
    revision: Revision,
) -> pb::EnqueueStreamResponse {
    let answer = enqueued(reply, revision);
    pb::EnqueueStreamResponse {
        stream_id,
        results: answer.results,
        status: None,
        revision: answer.revision,
        session_id: answer.session_id,
        queue_id: answer.queue_id,
        opened: answer.opened,
    }
}

/// The answer to a frame of EnqueueStream that was refused as a whole.
pub(crate) fn refused_frame(
    stream_id: String,
    refusal: pb::RefusalStatus,
) -> pb::EnqueueStreamResponse {
    pb::EnqueueStreamResponse {
        stream_id,
        status: Some(refusal),
        ..pb::EnqueueStreamResponse::default()
    }
}

fn enqueue_result(result: EnqueueResult) -> pb::EnqueueResult {
    let status = match result.status {
        EnqueueStatus::Enqueued => pb::EnqueueStatus::Enqueued,
        EnqueueStatus::Duplicate => pb::EnqueueStatus::Duplicate,
        EnqueueStatus::SkippedCircuitOpen => pb::EnqueueStatus::SkippedCircuitOpen,
    };
    pb::EnqueueResult {
        seq: result.seq.0,
        status: status.into(),
    }
}

/// The answer to ClaimMessages; the payloads of its deliveries are read before.
pub(crate) fn claimed(reply: Reply, revision: Revision) -> pb::ClaimMessagesResponse {
    let Reply::Claimed {
        session,
        lease: held,
        deliveries,
    } = reply
    else {
        unreachable!("a claim is answered with its deliveries")
    };
    pb::ClaimMessagesResponse {
        lease: held.map(|held| lease::lease(&held, session.as_str())),
        deliveries: delivery::loaded(deliveries),
        revision: revision.0,
    }
}

/// The answer to SettleMessages.
pub(crate) fn settled(reply: Reply, revision: Revision) -> pb::SettleMessagesResponse {
    let Reply::Settled(results) = reply else {
        unreachable!("a settlement is answered with its results")
    };
    pb::SettleMessagesResponse {
        results: settlement::results(&results),
        revision: revision.0,
    }
}

/// The answer to RequeueDeadLetters; `token` makes the next page's of a place.
pub(crate) fn requeued(
    reply: &Reply,
    token: impl FnOnce(MessageMark) -> String,
    revision: Revision,
) -> pb::RequeueDeadLettersResponse {
    let Reply::Counted { tally, duplicate } = reply else {
        unreachable!("a requeue is answered with what it counted")
    };
    pb::RequeueDeadLettersResponse {
        requeued: tally.done,
        not_found: tally.not_found,
        in_flight: tally.in_flight,
        without_session: tally.without_session,
        no_room: tally.no_room,
        duplicates: tally.duplicates,
        not_reached: tally.not_reached,
        next_page_token: tally.next.map_or_else(String::new, token),
        duplicate: *duplicate,
        revision: revision.0,
    }
}

/// The answer to DiscardMessages; `token` makes the next page's of a place.
pub(crate) fn discarded(
    reply: &Reply,
    token: impl FnOnce(MessageMark) -> String,
    revision: Revision,
) -> pb::DiscardMessagesResponse {
    let Reply::Counted { tally, duplicate } = reply else {
        unreachable!("a discard is answered with what it counted")
    };
    pb::DiscardMessagesResponse {
        discarded: tally.done,
        not_found: tally.not_found,
        in_flight: tally.in_flight,
        next_page_token: tally.next.map_or_else(String::new, token),
        duplicate: *duplicate,
        revision: revision.0,
    }
}
