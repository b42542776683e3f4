//! Rows of queues, messages and leases against the reference model.

use sessiond_core::ids::{QueueId, Seq};
use sessiond_core::lease::{LeaseRow, LeaseStanding};
use sessiond_core::message::{DeliveryMode, MessageRow, Rank, Standing, Turn};
use sessiond_core::queue::{Depth, Disposition, QueueRow};

use super::state::{Fate, Message, Model, Status};

pub(crate) fn check_queue(model: &Model, row: &QueueRow) {
    let id = row.id.0;
    let queue = model.queue(id);
    assert_eq!(row.owner.0, queue.owner, "the owner of queue {id}");
    assert_eq!(row.next_seq.0, queue.next_seq);
    assert_eq!(row.next_delivery.0, queue.next_delivery);
    let lease = row.lease.map(|epoch| epoch.0);
    assert_eq!(
        lease,
        model.lease_of(queue.owner),
        "the lease of queue {id}"
    );
    let left = match queue.fate {
        Fate::Dead => queue.unsettled(),
        Fate::Serving
        | Fate::Quiet
        | Fate::Held { .. }
        | Fate::Discarded
        | Fate::Purged
        | Fate::Gone => 0,
    };
    let counted = model.session(queue.owner).totals.dead_lettered;
    assert!(
        queue.fate == Fate::Purged || counted == queue.given_up() + left,
        "{counted} dead letters are counted for queue {id}"
    );
    let mut depth = Depth::default();
    for message in queue.messages.values() {
        match message.status {
            Status::New | Status::Returned => depth.ready += 1,
            Status::Deferred { .. } | Status::Paused { .. } | Status::Debounced => {
                depth.waiting += 1;
            }
            Status::Out { .. } => depth.in_flight += 1,
            Status::Dead(_) => depth.dead += 1,
        }
    }
    depth.bytes = queue.bytes();
    assert_eq!(row.depth, depth, "the depth of queue {id}");
    let suspended = model.session(queue.owner).suspended.is_some();
    assert_eq!(row.suspended, suspended, "whether queue {id} waits");
    let pause = row.pause.map(|pause| (pause.until.0, pause.latest.0));
    assert_eq!(pause, queue.pause, "the pause of queue {id}");
    let oldest = row.oldest.map(|oldest| (oldest.seq.0, oldest.at.0));
    assert_eq!(oldest, queue.oldest(), "the oldest of queue {id}");
    match (row.disposition, queue.fate) {
        (Disposition::Held { until: is }, Fate::Held { until }) => assert_eq!(is.0, until),
        (Disposition::Serving, Fate::Serving)
        | (Disposition::Quiet, Fate::Quiet)
        | (Disposition::Discarded { .. }, Fate::Discarded)
        | (Disposition::Purged { .. }, Fate::Purged) => {}
        (Disposition::Dead { until, .. }, Fate::Dead) => assert_eq!(
            until.map(|at| at.0),
            queue.dead_until,
            "how long the dead letters of queue {id} are kept"
        ),
        (is, wanted) => panic!("queue {id} is {is:?}, not {wanted:?}"),
    }
}

pub(crate) fn check_message(model: &Model, queue: QueueId, seq: Seq, row: &MessageRow) {
    assert_eq!((row.queue, row.seq), (queue, seq));
    let message = model.queue(queue.0).messages.get(&seq.0);
    let message = message.unwrap_or_else(|| panic!("{queue}/{seq} came from nowhere: {row:?}"));
    assert_eq!(
        row.attempt, message.attempt,
        "the attempts of {queue}/{seq}"
    );
    let latest = row.latest.map(|delivery| delivery.0);
    assert_eq!(
        latest, message.latest,
        "the newest hand-out of {queue}/{seq}"
    );
    assert_eq!(row.bytes, message.bytes);
    assert_eq!(row.prompt_number, message.prompt_number);
    assert_eq!(row.enqueued_at.0, message.enqueued_at);
    assert_eq!(row.mode, message.mode);
    assert_eq!(row.coalesce_key, message.coalesce_key);
    assert!(
        is_standing(row.standing, message),
        "{queue}/{seq} is {:?}, not {:?}",
        row.standing,
        message.status
    );
}

fn is_standing(is: Standing, message: &Message) -> bool {
    match (is, message.status) {
        (Standing::Ready(rank), Status::New) => match message.mode {
            DeliveryMode::FollowUp | DeliveryMode::Collect => rank == Rank::New,
            DeliveryMode::Steer => rank == Rank::Steer,
            DeliveryMode::Interrupt => rank == Rank::Interrupt,
        },
        (Standing::Ready(rank), Status::Returned) => match message.mode {
            DeliveryMode::FollowUp | DeliveryMode::Collect => rank == Rank::Returned,
            DeliveryMode::Steer => rank == Rank::Steer,
            DeliveryMode::Interrupt => rank == Rank::Interrupt,
        },
        (Standing::Waiting { due: is, turn }, Status::Deferred { due }) => {
            is.0 == due && turn == Turn::Waives
        }
        (Standing::Waiting { due: is, turn }, Status::Paused { due }) => {
            is.0 == due && turn == Turn::Keeps
        }
        (Standing::Debounced, Status::Debounced) => true,
        (Standing::InFlight(is), Status::Out { epoch }) => is.0 == epoch,
        (
            Standing::Dead {
                reason: is, until, ..
            },
            Status::Dead(reason),
        ) => is == reason && until.map(|at| at.0) == message.dead_until,
        (
            Standing::Ready(_)
            | Standing::Waiting { .. }
            | Standing::InFlight(_)
            | Standing::Debounced
            | Standing::Dead { .. },
            _,
        ) => false,
    }
}

pub(crate) fn check_lease(model: &Model, row: &LeaseRow) {
    let lease = model.leases.get(&row.epoch.0);
    let lease = lease.unwrap_or_else(|| panic!("lease {} came from nowhere", row.epoch));
    assert_eq!(row.session.0, lease.session);
    assert_eq!(row.queue.0, lease.queue);
    assert_eq!(row.instance, lease.instance);
    assert_eq!(row.mode, lease.mode, "how lease {} is renewed", row.epoch);
    assert_eq!(row.duration.0, lease.granted_for);
    let until = match row.standing {
        LeaseStanding::Current => None,
        LeaseStanding::Superseded { until } => Some(until.0),
    };
    assert_eq!(until, lease.until, "whether lease {} holds", row.epoch);
    let stops = row.cancel_by.map(|by| by.0);
    if model.is_cancelling(row.epoch.0) {
        assert_eq!(stops, lease.cancel_by, "when lease {} stops", row.epoch);
    } else {
        let some = !model.out_under(row.epoch.0).is_empty();
        assert!(stops.is_none() || !some, "lease {} is stopped", row.epoch);
    }
}
