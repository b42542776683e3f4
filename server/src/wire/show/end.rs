//! Ends: reasons, classes, actors, and the record of an end.

use sessiond_core::event::{Actor, ActorKind};
use sessiond_core::session::{
    Counts, EndClass, EndIntent, EndMode, EndReason, Lifecycle, SessionEnd, SessionView, Usage,
};
use sessiond_proto::v1 as pb;

use super::time::{duration, timestamp};

/// How a session ended, or why it is draining; none while it is in use.
pub(crate) fn of_session(view: &SessionView) -> Option<pb::SessionEnd> {
    match &view.session.lifecycle {
        Lifecycle::Queued(_) | Lifecycle::Active => None,
        Lifecycle::Draining(intent) => Some(intended(intent, view)),
        Lifecycle::Ended(end) => Some(ended(end)),
    }
}

/// An end on record.
pub(crate) fn ended(end: &SessionEnd) -> pb::SessionEnd {
    pb::SessionEnd {
        reason: reason(end.reason).into(),
        reason_class: class(end.reason.class()).into(),
        detail: end.detail.clone(),
        actor: Some(actor(&end.actor)),
        create_time: Some(timestamp(end.create_time)),
        end_time: Some(timestamp(end.end_time)),
        duration: Some(duration(end.duration)),
        counts: Some(counts(end.counts)),
        usage: Some(usage(end.usage)),
        pending_kept: end.pending_kept,
        pending_discarded: end.pending_discarded,
        successor_id: end
            .successor
            .as_ref()
            .map_or_else(String::new, ToString::to_string),
        transcript_path: end.transcript_path.clone(),
    }
}

/// An end that is decided and waits: its counts are those of now, what it keeps is not known.
fn intended(intent: &EndIntent, view: &SessionView) -> pb::SessionEnd {
    let session = &view.session;
    pb::SessionEnd {
        reason: reason(intent.reason).into(),
        reason_class: class(intent.reason.class()).into(),
        detail: intent.detail.clone(),
        actor: Some(actor(&intent.actor)),
        create_time: Some(timestamp(session.create_time)),
        end_time: None,
        duration: None,
        counts: Some(counts(view.counts())),
        usage: Some(usage(view.activity.usage)),
        pending_kept: 0,
        pending_discarded: 0,
        successor_id: session
            .successor
            .as_ref()
            .map_or_else(String::new, ToString::to_string),
        transcript_path: session.profile.transcript_path.clone(),
    }
}

/// Who caused a change.
pub(crate) fn actor(actor: &Actor) -> pb::Actor {
    let kind = match actor.kind {
        ActorKind::Api => pb::ActorKind::Api,
        ActorKind::Worker => pb::ActorKind::Worker,
        ActorKind::Reaper => pb::ActorKind::Reaper,
        ActorKind::Recovery => pb::ActorKind::Recovery,
        ActorKind::Drain => pb::ActorKind::Drain,
        ActorKind::Agent => pb::ActorKind::Agent,
    };
    pb::Actor {
        kind: kind.into(),
        name: actor.name.clone(),
    }
}

/// What the kind of an actor is called in a log.
pub(crate) fn actor_name(of: &Actor) -> String {
    let name = actor(of).kind().as_str_name();
    name.strip_prefix("ACTOR_KIND_")
        .unwrap_or(name)
        .to_lowercase()
}

/// Where messages went. Nothing supersedes a message yet.
pub(crate) fn counts(counts: Counts) -> pb::SessionCounts {
    pb::SessionCounts {
        enqueued: counts.totals.enqueued,
        processed: counts.totals.processed,
        pending: counts.pending,
        in_flight: counts.in_flight,
        dead_lettered: counts.totals.dead_lettered,
        superseded: counts.totals.superseded,
        discarded: counts.totals.discarded,
    }
}

/// Tokens used.
pub(crate) fn usage(usage: Usage) -> pb::Usage {
    pb::Usage {
        input_tokens: usage.input_tokens,
        output_tokens: usage.output_tokens,
    }
}

/// Why a session ended.
pub(crate) fn reason(reason: EndReason) -> pb::EndReason {
    match reason {
        EndReason::Completed => pb::EndReason::Completed,
        EndReason::Failed => pb::EndReason::Failed,
        EndReason::Deleted => pb::EndReason::Deleted,
        EndReason::Admin => pb::EndReason::Admin,
        EndReason::Reset => pb::EndReason::Reset,
        EndReason::Replaced => pb::EndReason::Replaced,
        EndReason::Compacted => pb::EndReason::Compacted,
        EndReason::Scheduled => pb::EndReason::Scheduled,
        EndReason::Shutdown => pb::EndReason::Shutdown,
        EndReason::Restart => pb::EndReason::Restart,
        EndReason::Idle => pb::EndReason::Idle,
        EndReason::Expired => pb::EndReason::Expired,
        EndReason::Evicted => pb::EndReason::Evicted,
        EndReason::Capacity => pb::EndReason::Capacity,
        EndReason::OwnerLost => pb::EndReason::OwnerLost,
        EndReason::WorkerStuck => pb::EndReason::WorkerStuck,
        EndReason::RestartLimit => pb::EndReason::RestartLimit,
        EndReason::Crashed => pb::EndReason::Crashed,
    }
}

/// The reason as a word, for example `IDLE`.
pub(crate) fn reason_name(of: EndReason) -> &'static str {
    let name = reason(of).as_str_name();
    name.strip_prefix("END_REASON_").unwrap_or(name)
}

fn class(class: EndClass) -> pb::EndReasonClass {
    match class {
        EndClass::Over => pb::EndReasonClass::Over,
        EndClass::Rotated => pb::EndReasonClass::Rotated,
        EndClass::Interrupted => pb::EndReasonClass::Interrupted,
        EndClass::Reaped => pb::EndReasonClass::Reaped,
        EndClass::Lost => pb::EndReasonClass::Lost,
    }
}

/// What an end waits for.
pub(crate) fn mode(mode: EndMode) -> pb::EndMode {
    match mode {
        EndMode::Immediate => pb::EndMode::Immediate,
        EndMode::Graceful => pb::EndMode::Graceful,
        EndMode::AfterPending => pb::EndMode::AfterPending,
    }
}
