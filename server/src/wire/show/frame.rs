//! Frames of the engine as frames of a worker's stream.

use sessiond_core::ids::{InstanceId, Revision, SessionId, SessionRef, WorkerName};
use sessiond_core::lease::LeaseView;
use sessiond_core::presence::Window;
use sessiond_core::rejection::Rejection;
use sessiond_core::reply::{CancelReason, Frame, GoAwayReason, LeaseLostReason};
use sessiond_core::session::{EndMode, EndReason};
use sessiond_core::time::{Now, Span, WallTime};
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::work_response::Frame as Shown;

use super::time::{duration, timestamp};
use super::{delivery, end, lease, session, settlement, worker};
use crate::wire::status::Refusal;

/// The terms of a stream: what its welcome says beside the lease.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    /// The worker's name as given.
    pub(crate) worker: WorkerName,
    /// Its instance as resolved.
    pub(crate) instance: InstanceId,
    /// Its window as resolved.
    pub(crate) window: Window,
    /// How often each side is heard.
    pub(crate) heartbeat: Span,
    /// The version of the server.
    pub(crate) server_version: &'static str,
    /// The identity of the log.
    pub(crate) log_id: String,
}

/// What to do with a frame of the engine.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Act {
    /// Send it.
    Send(pb::WorkResponse),
    /// There is nothing left of it to send.
    Skip,
    /// Send it, then end the stream.
    SendAndClose(pb::WorkResponse),
    /// End the stream in order: the worker said goodbye.
    Close,
}

/// A frame of a stream; the payloads of its deliveries are read before. `revision` is the newest one
/// when it is shown, `now` the time.
pub(crate) fn frame(frame: Frame, terms: &Terms, revision: Revision, now: Now) -> Act {
    let shown = match frame {
        Frame::Welcome { lease } => Shown::Welcome(welcome(terms, lease)),
        Frame::Attached {
            lease: held,
            session: view,
            voided_keys,
        } => {
            let shown = session::session(&view, now);
            return Act::Send(attached(&held, shown, voided_keys));
        }
        Frame::AttachFailed { asked, rejection } => {
            Shown::AttachFailed(attach_failed(asked, &rejection))
        }
        Frame::Deliveries(batch) => return Act::Send(deliveries(delivery::loaded(batch))),
        Frame::Settled(results) => Shown::Settled(pb::Settled {
            results: settlement::results(&results),
            revision: revision.0,
        }),
        Frame::SessionEnding {
            session,
            reason,
            mode,
            deadline,
        } => Shown::SessionEnding(ending(&session, reason, mode, deadline)),
        Frame::Cancel {
            session,
            reason,
            deliveries,
            deadline,
        } => Shown::Cancel(pb::Cancel {
            session_id: session.to_string(),
            reason: cancel(reason).into(),
            delivery_ids: deliveries.iter().map(|id| id.0).collect(),
            deadline: Some(timestamp(deadline)),
        }),
        Frame::LeaseLost {
            session,
            epoch,
            reason,
            successor,
        } => Shown::LeaseLost(pb::LeaseLost {
            session_id: session.to_string(),
            reason: lost(reason).into(),
            successor_id: successor.map_or_else(String::new, |id| id.to_string()),
            epoch: epoch.0,
        }),
        Frame::GoAway { reason } => return away(reason, now),
    };
    Act::Send(response(shown))
}

/// A session is held; for callers who know more of the session than its frame.
pub(crate) fn attached(
    held: &LeaseView,
    session: pb::Session,
    voided_keys: Vec<String>,
) -> pb::WorkResponse {
    response(Shown::Attached(pb::Attached {
        lease: Some(lease::lease(held, &session.session_id)),
        session: Some(session),
        voided_keys,
    }))
}

/// Messages for the worker, each with its payload.
pub(crate) fn deliveries(deliveries: Vec<pb::Delivery>) -> pb::WorkResponse {
    response(Shown::Delivery(pb::DeliveryBatch { deliveries }))
}

/// The server is there.
pub(crate) fn heartbeat() -> pb::WorkResponse {
    response(Shown::Heartbeat(pb::Heartbeat {}))
}

/// Nothing new is handed out on this stream.
pub(crate) fn quiesce(deadline: WallTime) -> pb::WorkResponse {
    response(Shown::Quiesce(pb::Quiesce {
        deadline: Some(timestamp(deadline)),
    }))
}

/// The server closes a stream, of workers or watchers, at a time.
pub(crate) fn go_away(reason: pb::GoAwayReason, close_time: WallTime) -> pb::GoAway {
    pb::GoAway {
        close_time: Some(timestamp(close_time)),
        reason: reason.into(),
    }
}

/// A frame in its envelope.
pub(crate) fn response(frame: Shown) -> pb::WorkResponse {
    pb::WorkResponse { frame: Some(frame) }
}

fn welcome(terms: &Terms, lease: Span) -> pb::Welcome {
    pb::Welcome {
        worker: terms.worker.to_string(),
        instance_id: terms.instance.to_string(),
        server_version: terms.server_version.to_owned(),
        log_id: terms.log_id.clone(),
        lease_duration: Some(duration(lease)),
        heartbeat_interval: Some(duration(terms.heartbeat)),
        window: Some(worker::window(terms.window)),
    }
}

fn attach_failed(asked: SessionRef, rejection: &Rejection) -> pb::AttachFailed {
    let named = match asked {
        SessionRef::Id(id) => pb::session_ref::Ref::SessionId(id.to_string()),
        SessionRef::Key(key) => pb::session_ref::Ref::Key(key.to_string()),
    };
    pb::AttachFailed {
        r#ref: Some(pb::SessionRef { r#ref: Some(named) }),
        status: Some(Refusal::rejected(rejection).into()),
    }
}

fn ending(
    session: &SessionId,
    reason: EndReason,
    mode: EndMode,
    deadline: WallTime,
) -> pb::SessionEnding {
    pb::SessionEnding {
        session_id: session.to_string(),
        reason: end::reason(reason).into(),
        mode: end::mode(mode).into(),
        deadline: Some(timestamp(deadline)),
    }
}

fn lost(reason: LeaseLostReason) -> pb::LeaseLostReason {
    match reason {
        LeaseLostReason::Lapsed => pb::LeaseLostReason::Lapsed,
        LeaseLostReason::SessionEnded => pb::LeaseLostReason::SessionEnded,
        LeaseLostReason::Succeeded => pb::LeaseLostReason::Succeeded,
        LeaseLostReason::Detached => pb::LeaseLostReason::Detached,
        LeaseLostReason::Stuck => pb::LeaseLostReason::Stuck,
        LeaseLostReason::Revoked => pb::LeaseLostReason::Revoked,
        LeaseLostReason::Idle => pb::LeaseLostReason::Idle,
    }
}

fn cancel(reason: CancelReason) -> pb::CancelReason {
    match reason {
        CancelReason::Interrupt => pb::CancelReason::Interrupt,
        CancelReason::Stuck => pb::CancelReason::Stuck,
    }
}

fn away(reason: GoAwayReason, now: Now) -> Act {
    match reason {
        GoAwayReason::Replaced => Act::SendAndClose(response(Shown::GoAway(go_away(
            pb::GoAwayReason::TakenOver,
            now.wall,
        )))),
        GoAwayReason::Goodbye => Act::Close,
    }
}
