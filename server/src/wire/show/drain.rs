//! The drain of the server: its frames, and what came of it.

use sessiond_core::drain::{DrainRow, DrainSessions, DrainWarning, WarningCode};
use sessiond_core::time::WallTime;
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::drain_server_response::Frame;

use super::end;
use super::time::{duration, timestamp};
use crate::drain::Progress;

/// It is on record. By when the process is gone, and whether it was under way already.
pub(crate) fn started(row: &DrainRow, deadline: WallTime, joined: bool) -> pb::DrainServerResponse {
    frame(Frame::Started(pb::DrainStarted {
        joined,
        begin_time: Some(timestamp(row.begin_time)),
        deadline: Some(timestamp(deadline)),
        reason: end::reason(row.reason).into(),
        sessions: sessions(row.sessions).into(),
        notice_end_time: row.notice_until.map(timestamp),
    }))
}

/// How far it is.
pub(crate) fn progress(progress: Progress) -> pb::DrainServerResponse {
    frame(Frame::Progress(pb::DrainProgress {
        ended: progress.ended,
        waiting: progress.waiting,
        left: progress.left,
        releasing: progress.releasing,
    }))
}

/// What came of it, as the last frame.
pub(crate) fn reported(row: &DrainRow) -> pb::DrainServerResponse {
    frame(Frame::Report(report(row)))
}

fn frame(frame: Frame) -> pb::DrainServerResponse {
    pb::DrainServerResponse { frame: Some(frame) }
}

/// What came of a drain.
pub(crate) fn report(row: &DrainRow) -> pb::DrainReport {
    let state = match (row.end, row.notice_until) {
        (Some(end), _) if end.cancelled => pb::DrainState::Cancelled,
        (Some(_), _) => pb::DrainState::Closed,
        (None, Some(_)) => pb::DrainState::Announced,
        (None, None) => pb::DrainState::Open,
    };
    pb::DrainReport {
        state: state.into(),
        reason: end::reason(row.reason).into(),
        sessions: sessions(row.sessions).into(),
        begin_time: Some(timestamp(row.begin_time)),
        end_time: row.end.map(|end| timestamp(end.time)),
        duration: row.end.map(|end| duration(end.duration)),
        ended: row.ended,
        ended_late: row.late,
        left: row.left,
        resources_unreleased: row.unreleased(),
        recovered: row.recovered,
        warnings: row.warnings.iter().map(warning).collect(),
        notice_end_time: row.notice_until.map(timestamp),
    }
}

fn warning(warning: &DrainWarning) -> pb::DrainWarning {
    let code = match warning.code {
        WarningCode::SessionDrainTimeout => "session-drain-timeout",
        WarningCode::SessionEndDrain => "session-end-drain",
        WarningCode::ResourcesUnreleased => "resources-unreleased",
    };
    pb::DrainWarning {
        code: code.to_owned(),
        subject: warning.subject.clone(),
        count: warning.count,
    }
}

fn sessions(sessions: DrainSessions) -> pb::DrainSessions {
    match sessions {
        DrainSessions::End => pb::DrainSessions::End,
        DrainSessions::Keep => pb::DrainSessions::Keep,
    }
}
