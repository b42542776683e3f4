//! Messages as they are handed out and listed, and the answers about them.

use bytes::Bytes;
use sessiond_core::ids::{DeliveryId, Epoch, QueueId, Revision, Seq, SessionId};
use sessiond_core::message::{DeadReason, MessageRow, Rank, Standing, Turn};
use sessiond_core::queue::Disposition;
use sessiond_core::reply::{
    Current, Delivery, EnqueueResult, EnqueueStatus, Reply, SettleCode, SettleResult,
};
use sessiond_core::time::{EngineTime, WallTime};
use sessiond_proto::v1 as pb;

use super::samples::{NOW, active, lease, message_row};
use super::show_session::millis;
use super::{labels, seconds};
use crate::wire::show;
use crate::wire::show::message::Listed;
use crate::wire::show::reply::Shown;

fn session() -> SessionId {
    SessionId::parse("s-1").unwrap()
}

fn handed_out() -> pb::Message {
    pb::Message {
        session_id: "s-1".to_owned(),
        queue_id: 31,
        seq: 71,
        kind: "observation".to_owned(),
        payload: Bytes::from_static(b"work"),
        content_type: "text/plain".to_owned(),
        attributes: labels([("tool", "bash")]),
        agent_id: "sub".to_owned(),
        agent_type: "explorer".to_owned(),
        prompt_number: Some(72),
        occurred_time: millis(1_080_001),
        enqueue_time: millis(1_080_002),
        not_before_time: millis(1_080_003),
        idempotency_key: "once".to_owned(),
        attempt: 74,
        trace_parent: "00-aa-bb-01".to_owned(),
        delivery_mode: pb::DeliveryMode::Interrupt.into(),
        coalesce_key: "newest".to_owned(),
        debounce: Some(pb::Debounce {
            quiet: seconds(76),
            max_wait: seconds(77),
        }),
        status: None,
    }
}

fn delivery(payload: Option<Bytes>) -> Delivery {
    Delivery {
        session: session(),
        message: message_row().into(),
        payload,
        delivery_id: DeliveryId(75),
        epoch: Epoch(21),
        deadline: WallTime(1_115_000),
    }
}

fn shown_delivery() -> pb::Delivery {
    pb::Delivery {
        message: Some(handed_out()),
        delivery_id: 75,
        epoch: 21,
        deadline: millis(1_115_000),
    }
}

#[test]
fn every_field_of_a_delivery_is_shown() {
    let payload = Bytes::from_static(b"work");
    let shown = show::delivery::delivery(&delivery(None), payload.clone());
    assert_eq!(shown, shown_delivery());
    let loaded = show::delivery::loaded(vec![delivery(Some(payload))]);
    assert_eq!(loaded, [shown_delivery()]);
    let mut row = message_row();
    row.occurred_time = None;
    let message = show::message::message(&row, &session(), Bytes::new());
    assert_eq!(message.occurred_time, message.enqueue_time);
}

fn status(standing: Standing, disposition: Disposition) -> pb::MessageStatus {
    let row = MessageRow {
        standing,
        ..message_row()
    };
    let (session, lease) = (session(), lease());
    let at = Listed {
        session: &session,
        disposition,
        pause: None,
        lease: Some(&lease),
        now: NOW,
    };
    let listed = show::message::listed(&row, at, Bytes::from_static(b"work"));
    let status = listed.status.clone().unwrap();
    let without = pb::Message {
        status: None,
        ..listed
    };
    assert_eq!(without, handed_out());
    status
}

#[test]
fn a_listed_message_shows_where_it_stands() {
    let common = |state: pb::MessageState| pb::MessageStatus {
        state: state.into(),
        delivery_id: 75,
        last_error: "quota".to_owned(),
        ..pb::MessageStatus::default()
    };
    let pending = common(pb::MessageState::Pending);
    let waiting = |due| Standing::Waiting {
        due: EngineTime(due),
        turn: Turn::Keeps,
    };
    let serving = Disposition::Serving;
    assert_eq!(status(Standing::Ready(Rank::New), serving), pending);
    let due = pb::MessageStatus {
        due_time: millis(1_100_001),
        ..pending.clone()
    };
    assert_eq!(status(waiting(100_001), serving), due);
    assert_eq!(status(waiting(100_000), serving), pending, "due by now");
    let in_flight = pb::MessageStatus {
        worker: "w".to_owned(),
        instance_id: "i".to_owned(),
        epoch: 21,
        deadline: millis(1_115_000),
        ..common(pb::MessageState::InFlight)
    };
    assert_eq!(status(Standing::InFlight(Epoch(21)), serving), in_flight);
    let dead = |reason: pb::DeadLetterReason, at| pb::MessageStatus {
        dead_letter_time: millis(at),
        dead_letter_reason: reason.into(),
        ..common(pb::MessageState::DeadLettered)
    };
    for (reason, shown) in [
        (DeadReason::MaxAttempts, pb::DeadLetterReason::MaxAttempts),
        (DeadReason::Permanent, pb::DeadLetterReason::Permanent),
    ] {
        let time = WallTime(1_099_999);
        let standing = Standing::Dead {
            reason,
            time,
            until: None,
        };
        assert_eq!(status(standing, serving), dead(shown, 1_099_999));
    }
    let given_up = Disposition::Dead {
        since: EngineTime(99_000),
        time: WallTime(1_098_000),
        until: None,
    };
    let by_end = dead(pb::DeadLetterReason::SessionEnded, 1_098_000);
    for standing in [
        Standing::Ready(Rank::New),
        waiting(100_001),
        Standing::InFlight(Epoch(21)),
    ] {
        assert_eq!(status(standing, given_up), by_end);
    }
}

#[test]
fn answers_tell_what_became_of_messages() {
    let enqueued = || Reply::Enqueued {
        session: session(),
        queue: QueueId(31),
        opened: true,
        results: vec![
            EnqueueResult {
                seq: Seq(1),
                status: EnqueueStatus::Enqueued,
            },
            EnqueueResult {
                seq: Seq(2),
                status: EnqueueStatus::Duplicate,
            },
            EnqueueResult {
                seq: Seq(0),
                status: EnqueueStatus::SkippedCircuitOpen,
            },
        ],
    };
    let answer = show::reply::enqueued(enqueued(), Revision(9));
    let expected = pb::EnqueueMessagesResponse {
        results: vec![
            pb::EnqueueResult {
                seq: 1,
                status: pb::EnqueueStatus::Enqueued.into(),
            },
            pb::EnqueueResult {
                seq: 2,
                status: pb::EnqueueStatus::Duplicate.into(),
            },
            pb::EnqueueResult {
                seq: 0,
                status: pb::EnqueueStatus::SkippedCircuitOpen.into(),
            },
        ],
        revision: 9,
        session_id: "s-1".to_owned(),
        queue_id: 31,
        opened: true,
    };
    assert_eq!(answer, expected);
    let frame = show::reply::enqueued_frame("f".to_owned(), enqueued(), Revision(9));
    let expected = pb::EnqueueStreamResponse {
        stream_id: "f".to_owned(),
        results: expected.results,
        status: None,
        revision: 9,
        session_id: "s-1".to_owned(),
        queue_id: 31,
        opened: true,
    };
    assert_eq!(frame, expected);
    let claimed = Reply::Claimed {
        session: session(),
        lease: Some(lease()),
        deliveries: vec![delivery(Some(Bytes::from_static(b"work")))],
    };
    let claimed = show::reply::claimed(claimed, Revision(9));
    assert_eq!(claimed.deliveries, [shown_delivery()]);
    assert_eq!(claimed.lease.unwrap().session_id, "s-1");
    assert_eq!(claimed.revision, 9);
}

#[test]
fn settlements_are_answered_one_by_one() {
    let result = |code| SettleResult {
        queue: QueueId(1),
        seq: Seq(2),
        delivery_id: DeliveryId(3),
        code,
        current: Current {
            epoch: Some(Epoch(4)),
            delivery_id: Some(DeliveryId(5)),
        },
        deadline: Some(WallTime(6_000)),
    };
    for (code, name, epoch, latest) in [
        (SettleCode::Ok, "OK", 0, 0),
        (SettleCode::AlreadySettled, "ALREADY_SETTLED", 0, 0),
        (SettleCode::Fenced, "FENCED", 4, 0),
        (SettleCode::StaleDelivery, "STALE_DELIVERY", 0, 5),
        (SettleCode::UnknownMessage, "UNKNOWN_MESSAGE", 0, 0),
    ] {
        let reply = Reply::Settled(vec![result(code)]);
        let answer = show::reply::settled(reply, Revision(9));
        assert_eq!(answer.revision, 9);
        let shown = &answer.results[0];
        assert_eq!(shown.code().as_str_name(), format!("SETTLE_CODE_{name}"));
        assert_eq!((shown.queue_id, shown.seq, shown.delivery_id), (1, 2, 3));
        assert_eq!(
            (shown.current_epoch, shown.current_delivery_id),
            (epoch, latest)
        );
        assert_eq!(shown.deadline, millis(6_000));
    }
}

#[test]
fn answers_about_a_session_show_it() {
    let shown = Shown {
        revision: Revision(9),
        now: NOW,
    };
    let session = Some(show::session::session(&active(), NOW));
    let opened = Reply::Opened {
        session: Box::new(active()),
        created: true,
        duplicate: false,
    };
    let expected = pb::OpenSessionResponse {
        session: session.clone(),
        created: true,
        duplicate: false,
        revision: 9,
    };
    assert_eq!(show::reply::opened(opened, shown), expected);
    let changed = || Reply::Session {
        session: Box::new(active()),
        already_ended: true,
        duplicate: true,
    };
    let updated = show::reply::updated(changed(), shown);
    assert_eq!((updated.duplicate, updated.revision), (true, 9));
    assert_eq!(updated.session, session);
    let touched = show::reply::touched(changed(), shown);
    assert_eq!((&touched.session, touched.revision), (&session, 9));
    let ended = show::reply::ended(changed(), shown);
    assert_eq!((ended.already_ended, ended.duplicate), (true, true));
    assert_eq!((&ended.session, ended.revision), (&session, 9));
}
