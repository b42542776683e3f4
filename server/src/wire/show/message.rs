//! Messages, as they are handed out and as they are listed.

use bytes::Bytes;
use sessiond_core::ids::SessionId;
use sessiond_core::lease::LeaseView;
use sessiond_core::message::{DeadReason, DeliveryMode, MessageRow, Standing};
use sessiond_core::queue::{Disposition, Pause};
use sessiond_core::time::{Now, WallTime};
use sessiond_proto::v1 as pb;

use super::time::{duration, timestamp};

/// Where a listed message lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Listed<'a> {
    /// The session that was asked for.
    pub(crate) session: &'a SessionId,
    /// What is done with its queue.
    pub(crate) disposition: Disposition,
    /// When its queue lets go what waits for a pause.
    pub(crate) pause: Option<Pause>,
    /// The lease the message is handed out under, if it is and the lease is known.
    pub(crate) lease: Option<&'a LeaseView>,
    /// The time of the list.
    pub(crate) now: Now,
}

/// A message with its payload, without its status: as it is handed out.
pub(crate) fn message(row: &MessageRow, session: &SessionId, payload: Bytes) -> pb::Message {
    pb::Message {
        session_id: session.to_string(),
        queue_id: row.queue.0,
        seq: row.seq.0,
        kind: row.kind.as_str().to_owned(),
        payload,
        content_type: row.content_type.clone(),
        attributes: row.attributes.clone(),
        agent_id: row.agent_id.clone(),
        agent_type: row.agent_type.clone(),
        prompt_number: Some(row.prompt_number),
        occurred_time: Some(timestamp(row.occurred_time.unwrap_or(row.enqueue_time))),
        enqueue_time: Some(timestamp(row.enqueue_time)),
        not_before_time: row.not_before_time.map(timestamp),
        idempotency_key: row
            .idempotency_key
            .as_ref()
            .map_or_else(String::new, ToString::to_string),
        attempt: row.attempt,
        trace_parent: row.trace_parent.clone(),
        delivery_mode: delivery_mode(row.mode).into(),
        coalesce_key: row
            .coalesce_key
            .as_ref()
            .map_or_else(String::new, ToString::to_string),
        debounce: row.debounce.map(|debounce| pb::Debounce {
            quiet: Some(duration(debounce.quiet)),
            max_wait: Some(duration(debounce.max_wait)),
        }),
        status: None,
    }
}

fn delivery_mode(mode: DeliveryMode) -> pb::DeliveryMode {
    match mode {
        DeliveryMode::FollowUp => pb::DeliveryMode::FollowUp,
        DeliveryMode::Steer => pb::DeliveryMode::Steer,
        DeliveryMode::Collect => pb::DeliveryMode::Collect,
        DeliveryMode::Interrupt => pb::DeliveryMode::Interrupt,
    }
}

/// A message with its status: as it is listed. `payload` is empty when it is not asked for.
pub(crate) fn listed(row: &MessageRow, at: Listed<'_>, payload: Bytes) -> pb::Message {
    pb::Message {
        status: Some(status(row, at)),
        ..message(row, at.session, payload)
    }
}

/// Where a message stands. Whatever is left in a queue that was given up is a dead letter; one that is
/// still out may be acknowledged all the same.
pub(crate) fn state(row: &MessageRow, disposition: Disposition) -> pb::MessageState {
    match (disposition, row.standing) {
        (Disposition::Dead { .. }, _) | (_, Standing::Dead { .. }) => {
            pb::MessageState::DeadLettered
        }
        (_, Standing::InFlight(_)) => pb::MessageState::InFlight,
        (_, Standing::Ready(_) | Standing::Waiting { .. } | Standing::Debounced) => {
            pb::MessageState::Pending
        }
    }
}

fn status(row: &MessageRow, at: Listed<'_>) -> pb::MessageStatus {
    let state = state(row, at.disposition);
    let mut status = pb::MessageStatus {
        state: state.into(),
        delivery_id: row.latest.map_or(0, |latest| latest.0),
        last_error: row.last_error.clone(),
        ..pb::MessageStatus::default()
    };
    match (state, row.standing) {
        (pb::MessageState::InFlight, Standing::InFlight(epoch)) => {
            status.epoch = epoch.0;
            // One that is superseded is not the session's any more, and whoever holds the session has it not.
            if let Some(lease) = at.lease.filter(|lease| lease.epoch == epoch) {
                status.worker = lease.worker.to_string();
                status.instance_id = lease.instance.to_string();
                status.deadline = Some(timestamp(lease.expire_time));
            }
        }
        (pb::MessageState::Pending, Standing::Waiting { due, .. }) if due > at.now.engine => {
            status.due_time = Some(timestamp(at.now.wall_of(due)));
        }
        (pb::MessageState::Pending, Standing::Debounced) => {
            let until = at.pause.map(|pause| pause.until);
            let until = until.filter(|until| *until > at.now.engine);
            status.due_time = until.map(|until| timestamp(at.now.wall_of(until)));
        }
        (pb::MessageState::DeadLettered, standing) => {
            if let Some((reason, time)) = dead(standing, at.disposition) {
                status.dead_letter_reason = reason.into();
                status.dead_letter_time = Some(timestamp(time));
            }
        }
        (
            pb::MessageState::Unspecified | pb::MessageState::Pending | pb::MessageState::InFlight,
            Standing::Ready(_)
            | Standing::Waiting { .. }
            | Standing::Debounced
            | Standing::InFlight(_)
            | Standing::Dead { .. },
        ) => {}
    }
    status
}

/// Why and when a message was given up, if it was: by itself, or with all that its session's end left.
pub(crate) fn dead(
    standing: Standing,
    disposition: Disposition,
) -> Option<(pb::DeadLetterReason, WallTime)> {
    match (standing, disposition) {
        (Standing::Dead { reason, time, .. }, _) => {
            let reason = match reason {
                DeadReason::MaxAttempts => pb::DeadLetterReason::MaxAttempts,
                DeadReason::Permanent => pb::DeadLetterReason::Permanent,
            };
            Some((reason, time))
        }
        (_, Disposition::Dead { time, .. }) => Some((pb::DeadLetterReason::SessionEnded, time)),
        (
            Standing::Ready(_)
            | Standing::Waiting { .. }
            | Standing::Debounced
            | Standing::InFlight(_),
            Disposition::Serving
            | Disposition::Quiet
            | Disposition::Held { .. }
            | Disposition::Discarded { .. }
            | Disposition::Purged { .. },
        ) => None,
    }
}
