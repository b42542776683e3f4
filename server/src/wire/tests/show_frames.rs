//! The frames of a worker's stream as they are shown.

use bytes::Bytes;
use sessiond_core::ids::{
    DeliveryId, Epoch, InstanceId, Revision, SessionId, SessionKey, SessionRef, WorkerName,
};
use sessiond_core::rejection::Rejection;
use sessiond_core::reply::{CancelReason, Delivery, Frame, GoAwayReason, LeaseLostReason};
use sessiond_core::session::{EndMode, EndReason};
use sessiond_core::time::{Span, WallTime};
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::work_response::Frame as Shown;

use super::samples::{NOW, active, lease, message_row, window};
use super::show_session::millis;
use super::{by_id, by_key, seconds};
use crate::wire::show;
use crate::wire::show::frame::{Act, Terms};

fn terms() -> Terms {
    Terms {
        worker: WorkerName::parse("w").unwrap(),
        instance: InstanceId::parse("i").unwrap(),
        window: window(),
        heartbeat: Span::seconds(5),
        server_version: "1.2.3",
        log_id: "log".to_owned(),
    }
}

fn act(frame: Frame) -> Act {
    show::frame::frame(frame, &terms(), Revision(9), NOW)
}

fn sent(frame: Frame) -> Shown {
    let Act::Send(response) = act(frame) else {
        panic!("the frame is sent and the stream goes on");
    };
    response.frame.unwrap()
}

fn session() -> SessionId {
    SessionId::parse("s-1").unwrap()
}

#[test]
fn a_welcome_tells_the_terms() {
    let welcome = sent(Frame::Welcome {
        lease: Span::seconds(15),
    });
    let expected = pb::Welcome {
        worker: "w".to_owned(),
        instance_id: "i".to_owned(),
        server_version: "1.2.3".to_owned(),
        log_id: "log".to_owned(),
        lease_duration: seconds(15),
        heartbeat_interval: seconds(5),
        window: Some(pb::Window {
            max_messages: Some(81),
            max_bytes: Some(82),
            max_sessions: Some(83),
        }),
    };
    assert_eq!(welcome, Shown::Welcome(expected));
}

#[test]
fn an_attach_is_answered_with_the_session_or_why_not() {
    let attached = sent(Frame::Attached {
        lease: lease(),
        session: Box::new(active()),
        voided_keys: vec!["model".to_owned()],
    });
    let shown = show::session::session(&active(), NOW);
    let expected = pb::Attached {
        lease: shown.lease.clone(),
        session: Some(shown),
        voided_keys: vec!["model".to_owned()],
    };
    assert!(expected.lease.is_some());
    assert_eq!(attached, Shown::Attached(expected));
    let key = SessionRef::Key(SessionKey::parse("k").unwrap());
    for (asked, named) in [
        (SessionRef::Id(session()), by_id("s-1")),
        (key, by_key("k")),
    ] {
        let failed = sent(Frame::AttachFailed {
            asked: asked.clone(),
            rejection: Rejection::SessionNotFound { asked },
        });
        let Shown::AttachFailed(failed) = failed else {
            panic!("a failed attach is a failed attach: {failed:?}");
        };
        assert_eq!(failed.r#ref, named);
        let status = failed.status.unwrap();
        assert_eq!(
            (status.reason.as_str(), status.code),
            ("SESSION_NOT_FOUND", 5)
        );
    }
}

#[test]
fn work_and_what_became_of_it_are_sent() {
    let delivery = Delivery {
        session: session(),
        message: message_row().into(),
        payload: Some(Bytes::from_static(b"work")),
        delivery_id: DeliveryId(75),
        epoch: Epoch(21),
        deadline: WallTime(1_115_000),
    };
    let expected = pb::DeliveryBatch {
        deliveries: show::delivery::loaded(vec![delivery.clone()]),
    };
    assert_eq!(
        sent(Frame::Deliveries(vec![delivery])),
        Shown::Delivery(expected)
    );
    let settled = pb::Settled {
        results: Vec::new(),
        revision: 9,
    };
    assert_eq!(sent(Frame::Settled(Vec::new())), Shown::Settled(settled));
}

#[test]
fn a_worker_is_told_what_it_loses() {
    let cancel = sent(Frame::Cancel {
        session: session(),
        reason: CancelReason::Interrupt,
        deliveries: vec![DeliveryId(75), DeliveryId(76)],
        deadline: WallTime(2_500),
    });
    let expected = pb::Cancel {
        session_id: "s-1".to_owned(),
        reason: pb::CancelReason::Interrupt.into(),
        delivery_ids: vec![75, 76],
        deadline: millis(2_500),
    };
    assert_eq!(cancel, Shown::Cancel(expected));
    for (mode, shown) in [
        (EndMode::Immediate, pb::EndMode::Immediate),
        (EndMode::Graceful, pb::EndMode::Graceful),
        (EndMode::AfterPending, pb::EndMode::AfterPending),
    ] {
        let ending = sent(Frame::SessionEnding {
            session: session(),
            reason: EndReason::Deleted,
            mode,
            deadline: WallTime(2_500),
        });
        let expected = pb::SessionEnding {
            session_id: "s-1".to_owned(),
            reason: pb::EndReason::Deleted.into(),
            mode: shown.into(),
            deadline: millis(2_500),
        };
        assert_eq!(ending, Shown::SessionEnding(expected));
    }
    for (reason, shown) in [
        (LeaseLostReason::Lapsed, pb::LeaseLostReason::Lapsed),
        (
            LeaseLostReason::SessionEnded,
            pb::LeaseLostReason::SessionEnded,
        ),
        (LeaseLostReason::Succeeded, pb::LeaseLostReason::Succeeded),
        (LeaseLostReason::Detached, pb::LeaseLostReason::Detached),
        (LeaseLostReason::Stuck, pb::LeaseLostReason::Stuck),
        (LeaseLostReason::Revoked, pb::LeaseLostReason::Revoked),
        (LeaseLostReason::Idle, pb::LeaseLostReason::Idle),
    ] {
        let lost = sent(Frame::LeaseLost {
            session: session(),
            epoch: Epoch(21),
            reason,
            successor: Some(SessionId::parse("s-2").unwrap()),
        });
        let expected = pb::LeaseLost {
            session_id: "s-1".to_owned(),
            reason: shown.into(),
            successor_id: "s-2".to_owned(),
            epoch: 21,
        };
        assert_eq!(lost, Shown::LeaseLost(expected));
    }
}

#[test]
fn a_stream_that_is_replaced_is_told_and_one_that_said_goodbye_is_not() {
    let replaced = Frame::GoAway {
        reason: GoAwayReason::Replaced,
    };
    let expected = pb::GoAway {
        close_time: millis(1_100_000),
        reason: pb::GoAwayReason::TakenOver.into(),
    };
    let Act::SendAndClose(response) = act(replaced) else {
        panic!("a replaced stream is told");
    };
    assert_eq!(response.frame, Some(Shown::GoAway(expected)));
    let goodbye = Frame::GoAway {
        reason: GoAwayReason::Goodbye,
    };
    assert_eq!(act(goodbye), Act::Close);
    assert_eq!(
        show::frame::heartbeat().frame,
        Some(Shown::Heartbeat(pb::Heartbeat {}))
    );
    let quiesce = pb::Quiesce {
        deadline: millis(2_500),
    };
    assert_eq!(
        show::frame::quiesce(WallTime(2_500)).frame,
        Some(Shown::Quiesce(quiesce))
    );
}
