//! Random rows of the server itself: its counters, its drain, its subscriptions.

use bytes::Bytes;
use fastrand::Rng;
use sessiond_core::drain::{Drain, DrainEnd, DrainRow, DrainSessions, DrainWarning, WarningCode};
use sessiond_core::ids::{
    Epoch, InstanceId, Namespace, QueueId, Revision, SessionNo, SubscriptionName,
};
use sessiond_core::rows::{Calendar, Counters};
use sessiond_core::subscription::{
    MaxLag, SubscriptionRow, SubscriptionSettings, SubscriptionStanding,
};
use sessiond_core::time::{CalendarDay, Span};

use crate::draw::{engine, free_text, id, number, one_of, option, wall};
use crate::draw_session::REASONS;

pub(crate) fn counters(rng: &mut Rng) -> Counters {
    Counters {
        revision: Revision(number(rng)),
        session: SessionNo(number(rng)),
        queue: QueueId(number(rng)),
        epoch: Epoch(number(rng)),
        engine_time: engine(rng),
        requests: number(rng),
        active: number(rng),
        draining: number(rng),
        ended: number(rng),
        pending: number(rng),
        in_flight: number(rng),
        dead_lettered: number(rng),
        queued: number(rng),
        compacted: Revision(number(rng)),
        calendar: Calendar {
            day: option(rng, |rng| CalendarDay(rng.u32(..))),
            outstanding: option(rng, |rng| SessionNo(number(rng))),
        },
        nodes: number(rng),
        subscriptions: number(rng),
        drain: option(rng, |rng| Drain {
            reason: one_of(rng, &REASONS),
            through: SessionNo(number(rng)),
        }),
        serving: rng.bool(),
        log_bytes: number(rng),
    }
}

pub(crate) fn drain(rng: &mut Rng) -> DrainRow {
    let warning = |rng: &mut Rng| DrainWarning {
        code: one_of(
            rng,
            &[
                WarningCode::SessionDrainTimeout,
                WarningCode::ResourcesUnreleased,
                WarningCode::SessionEndDrain,
            ],
        ),
        subject: free_text(rng),
        count: number(rng),
    };
    DrainRow {
        reason: one_of(rng, &REASONS),
        sessions: one_of(rng, &[DrainSessions::End, DrainSessions::Keep]),
        begin_time: wall(rng),
        begun_at: engine(rng),
        notice_until: option(rng, wall),
        end: option(rng, |rng| DrainEnd {
            time: wall(rng),
            duration: Span(number(rng)),
            cancelled: rng.bool(),
        }),
        ended: number(rng),
        late: number(rng),
        left: number(rng),
        recovered: rng.bool(),
        warnings: (0..rng.usize(..3)).map(|_| warning(rng)).collect(),
    }
}

pub(crate) fn subscription(
    rng: &mut Rng,
    namespace: &Namespace,
    name: &SubscriptionName,
) -> SubscriptionRow {
    SubscriptionRow {
        namespace: namespace.clone(),
        name: name.clone(),
        settings: SubscriptionSettings {
            filter: Bytes::from(vec![rng.u8(..); rng.usize(..3)]),
            required: rng.bool(),
            max_lag: MaxLag {
                age: Span(number(rng)),
                bytes: number(rng),
            },
        },
        acked: Revision(number(rng)),
        holds_after: Revision(number(rng)),
        standing: match rng.bool() {
            true => SubscriptionStanding::Active,
            false => SubscriptionStanding::Stale { time: wall(rng) },
        },
        epoch: Epoch(number(rng)),
        consumer: option(rng, |rng| id(rng, InstanceId::parse)),
        create_time: wall(rng),
    }
}
