//! What holds a session, what becomes of it, and why its pending work does not move.

use sessiond_core::explanation::{
    Deadline, DeadlineKind, Effect, Explanation, Hold, HoldKind, Stall, StallReason,
};
use sessiond_proto::v1 as pb;

use super::end;
use super::reply::Shown;
use super::session::session;
use super::time::timestamp;

/// The answer to ExplainSession. `unexported` is what kept the session from being exported, if something did.
pub(crate) fn explained(
    explanation: &Explanation,
    unexported: Option<&str>,
    shown: Shown,
) -> pb::ExplainSessionResponse {
    let holds = explanation.holds.iter();
    pb::ExplainSessionResponse {
        session: Some(session(&explanation.session, shown.now)),
        holds: holds.map(|one| hold(one, unexported)).collect(),
        deadlines: explanation.deadlines.iter().map(deadline).collect(),
        stalls: explanation.stalls.iter().map(stall).collect(),
        revision: shown.revision.0,
        time: Some(timestamp(explanation.now)),
    }
}

fn hold(hold: &Hold, unexported: Option<&str>) -> pb::SessionHold {
    let of = |kind| (hold.kind == kind).then_some(hold.holder.as_str());
    let unexported = unexported.filter(|_| hold.kind == HoldKind::Export);
    let detail = unexported.or(of(HoldKind::Subscription));
    pb::SessionHold {
        kind: hold_kind(hold.kind).into(),
        count: hold.count,
        until_time: hold.until.map(timestamp),
        worker: of(HoldKind::Lease).unwrap_or_default().to_owned(),
        detail: detail.unwrap_or_default().to_owned(),
    }
}

fn deadline(deadline: &Deadline) -> pb::SessionDeadline {
    let (effect, end_reason) = effect(deadline.effect);
    let spared_by = deadline.spared_by.iter();
    pb::SessionDeadline {
        kind: deadline_kind(deadline.kind).into(),
        time: Some(timestamp(deadline.at)),
        effect: effect.into(),
        end_reason: end_reason.into(),
        spared_by: spared_by.map(|kind| hold_kind(*kind).into()).collect(),
    }
}

fn stall(stall: &Stall) -> pb::Stall {
    pb::Stall {
        reason: stall_reason(stall.reason).into(),
        messages: stall.messages,
        until_time: stall.until.map(timestamp),
    }
}

fn hold_kind(kind: HoldKind) -> pb::HoldKind {
    match kind {
        HoldKind::Lease => pb::HoldKind::Lease,
        HoldKind::Request => pb::HoldKind::Request,
        HoldKind::InFlight => pb::HoldKind::InFlight,
        HoldKind::Pending => pb::HoldKind::Pending,
        HoldKind::Resources => pb::HoldKind::Resources,
        HoldKind::Export => pb::HoldKind::Export,
        HoldKind::Subscription => pb::HoldKind::Subscription,
    }
}

fn deadline_kind(kind: DeadlineKind) -> pb::DeadlineKind {
    match kind {
        DeadlineKind::Idle => pb::DeadlineKind::Idle,
        DeadlineKind::Lifetime => pb::DeadlineKind::Lifetime,
        DeadlineKind::HardLifetime => pb::DeadlineKind::HardLifetime,
        DeadlineKind::Owner => pb::DeadlineKind::Owner,
        DeadlineKind::Slot => pb::DeadlineKind::Slot,
        DeadlineKind::EndGrace => pb::DeadlineKind::EndGrace,
        DeadlineKind::Lease => pb::DeadlineKind::Lease,
        DeadlineKind::Message => pb::DeadlineKind::Message,
        DeadlineKind::HeldQueue => pb::DeadlineKind::HeldQueue,
        DeadlineKind::Suspension => pb::DeadlineKind::Suspension,
        DeadlineKind::Retention => pb::DeadlineKind::Retention,
        DeadlineKind::DeadLetters => pb::DeadlineKind::DeadLetters,
    }
}

fn effect(effect: Effect) -> (pb::DeadlineEffect, pb::EndReason) {
    match effect {
        Effect::Ends(reason) => (pb::DeadlineEffect::Ends, end::reason(reason)),
        Effect::ReturnsDeliveries => (
            pb::DeadlineEffect::ReturnsDeliveries,
            pb::EndReason::Unspecified,
        ),
        Effect::HandsOut => (pb::DeadlineEffect::HandsOut, pb::EndReason::Unspecified),
        Effect::DeadLetters => (pb::DeadlineEffect::DeadLetters, pb::EndReason::Unspecified),
        Effect::Deletes => (pb::DeadlineEffect::Deletes, pb::EndReason::Unspecified),
    }
}

fn stall_reason(reason: StallReason) -> pb::StallReason {
    match reason {
        StallReason::Held => pb::StallReason::Held,
        StallReason::Draining => pb::StallReason::Draining,
        StallReason::Suspended => pb::StallReason::Suspended,
        StallReason::Queued => pb::StallReason::Queued,
        StallReason::PredecessorResources => pb::StallReason::PredecessorResources,
        StallReason::PoolAttached => pb::StallReason::PoolAttached,
        StallReason::NoWorker => pb::StallReason::NoWorker,
        StallReason::WorkerAway => pb::StallReason::WorkerAway,
        StallReason::NotClaimed => pb::StallReason::NotClaimed,
        StallReason::WindowFull => pb::StallReason::WindowFull,
        StallReason::InFlightFull => pb::StallReason::InFlightFull,
        StallReason::Order => pb::StallReason::Order,
        StallReason::NotDue => pb::StallReason::NotDue,
        StallReason::WorkInProgress => pb::StallReason::WorkInProgress,
    }
}
