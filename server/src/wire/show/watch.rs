//! The frames of a watch, but for its batches, which are put together from encoded events.

use std::time::Duration;

use sessiond_core::ids::{Epoch, Revision};
use sessiond_core::time::WallTime;
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::watch_session_events_response::Frame;

use super::frame::go_away;
use crate::wire::token::ResumeToken;

/// The first frame: where the log is, and for a consumer of a subscription its token and what is acknowledged.
pub(crate) fn started(
    log_id: &str,
    oldest: Revision,
    current: Revision,
    consumed: Option<(Epoch, Revision)>,
) -> pb::WatchSessionEventsResponse {
    let (epoch, acked) = consumed.unwrap_or_default();
    response(Frame::Started(pb::WatchStarted {
        log_id: log_id.to_owned(),
        oldest_revision: oldest.0,
        current_revision: current.0,
        subscription_epoch: epoch.0,
        acked_revision: acked.0,
    }))
}

/// One session of the initial state.
pub(crate) fn initial(session: pb::Session) -> pb::WatchSessionEventsResponse {
    response(Frame::Initial(session))
}

/// Everything up to `through` was sent; `lag_events` committed ones were not looked at.
pub(crate) fn bookmark(
    cause: pb::BookmarkCause,
    log_id: &str,
    through: Revision,
    lag_events: u64,
    closes_in: Option<Duration>,
) -> pb::WatchSessionEventsResponse {
    response(Frame::Bookmark(pb::Bookmark {
        revision: through.0,
        resume_token: ResumeToken::new(log_id, through).encode(),
        cause: cause.into(),
        lag_events,
        // No server goes on for longer than the wire can say.
        closes_in: closes_in.and_then(|span| span.try_into().ok()),
    }))
}

/// The server closes the watch at a time.
pub(crate) fn closing(
    reason: pb::GoAwayReason,
    close_time: WallTime,
) -> pb::WatchSessionEventsResponse {
    response(Frame::GoAway(go_away(reason, close_time)))
}

fn response(frame: Frame) -> pb::WatchSessionEventsResponse {
    pb::WatchSessionEventsResponse { frame: Some(frame) }
}
