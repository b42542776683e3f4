//! What each rejection of the core tells its caller.

use sessiond_core::ids::{Epoch, PoolName, SessionId, SessionRef, WorkerName};
use sessiond_core::presence::Shortage;
use sessiond_core::rejection::{Crowd, Liveness, Rejection};
use sessiond_core::requests::RequestToken;
use sessiond_core::session::{Awaited, EndReason};
use sessiond_core::time::Span;
use sessiond_proto::reason::Reason;

use super::{RETRY_FULL, RETRY_STORE_FULL, Refusal, resources, subscriptions};
use crate::wire::show;

impl Refusal {
    /// The refusal of a command that was decided.
    pub(crate) fn rejected(rejection: &Rejection) -> Self {
        match rejection {
            Rejection::ServerDraining => Self::server_draining(),
            Rejection::SessionNotFound { asked } => session_not_found(asked),
            Rejection::SessionKeyInUse { session, state } => key_in_use(session, *state),
            Rejection::SessionIdInUse { session } => id_in_use(session),
            Rejection::SessionEnded {
                session,
                reason,
                successor,
            } => ended(session, *reason, successor.as_ref()),
            Rejection::SessionDraining { session, reason } => draining(session, *reason),
            Rejection::SessionQueued { session, awaited } => queued(session, *awaited),
            Rejection::SessionActive { session } => active(session),
            Rejection::QueueHeld { session, messages } => held(session, *messages),
            Rejection::SessionUnreleased { session, resources } => {
                resources::unreleased(session, *resources)
            }
            Rejection::SessionUnexported { session, why } => unexported(session, why.as_deref()),
            Rejection::ResourceNotFound { token } => resources::not_found(*token),
            Rejection::ResourceReleased { token, outcome } => resources::released(*token, *outcome),
            Rejection::ResourceRegistered { token } => resources::registered(*token),
            Rejection::TooManyResources { session, limit } => resources::too_many(session, *limit),
            Rejection::Node(rejection) => resources::node(rejection),
            Rejection::Subscription(rejection) => subscriptions::refused(rejection),
            Rejection::SubjectPurged { request_id } => subject_purged(request_id),
            Rejection::PoolNotFound { pool } => pool_not_found(pool),
            Rejection::TooManySessions {
                namespace,
                pool,
                what,
                used,
                limit,
            } => too_many_sessions(pool, *what, (*used, *limit)).with("namespace", namespace),
            Rejection::QueueFull {
                session,
                what,
                used,
                limit,
            } => queue_full(session, what, (*used, *limit)),
            Rejection::StoreFull(shortage) => store_full(*shortage),
            Rejection::LeaseHeld {
                session,
                holder,
                epoch,
                expire_time: _,
                expires_in,
            } => lease_held(session, holder, *epoch, *expires_in),
            Rejection::LeaseFenced { session, current } => lease_fenced(session, *current),
            Rejection::RestartLimited {
                session,
                failures,
                retry_in,
            } => restart_limited(session, *failures, *retry_in),
            Rejection::TooManyLeases { limit } => too_many_leases(*limit),
            Rejection::RequestNotFound { session, token } => request_not_found(session, *token),
            Rejection::TooManyRequests { session, limit } => too_many_requests(session, *limit),
            Rejection::TooManyAttached {
                namespace,
                pool,
                used,
                limit,
            } => too_many_attached(pool, (*used, *limit)).with("namespace", namespace),
            Rejection::EtagMismatch { current } => etag_mismatch(current),
            Rejection::RequestIdReused { request_id } => request_id_reused(request_id),
            Rejection::StreamReplaced => stream_replaced(),
            Rejection::WorkerLeft => Self::field_invalid("attach", "must not follow a goodbye"),
        }
    }
}

fn stream_replaced() -> Refusal {
    let message = "another stream of the same worker instance took over";
    Refusal::new(Reason::LeaseFenced, message)
}

fn session_not_found(asked: &SessionRef) -> Refusal {
    let (how, name) = match asked {
        SessionRef::Id(id) => ("session_id", id.as_str()),
        SessionRef::Key(key) => ("key", key.as_str()),
    };
    let message = match asked {
        SessionRef::Id(id) => format!("no session `{id}`"),
        SessionRef::Key(key) => format!("no session with key `{key}`"),
    };
    Refusal::new(Reason::SessionNotFound, message)
        .with(how, name)
        .about(name)
}

fn request_not_found(session: &SessionId, token: RequestToken) -> Refusal {
    let message = format!("session `{session}` has no such request open");
    Refusal::new(Reason::RequestNotFound, message)
        .with("session_id", session)
        .about(&token)
}

fn lease_held(session: &SessionId, holder: &WorkerName, epoch: Epoch, expires_in: Span) -> Refusal {
    let message = format!("session `{session}` is held by worker `{holder}`");
    Refusal::new(Reason::LeaseHeld, message)
        .with("session_id", session)
        .with("holder", holder)
        .with("epoch", &epoch)
        .retry(expires_in)
}

fn restart_limited(session: &SessionId, failures: u32, retry_in: Span) -> Refusal {
    let message = format!("the workers of session `{session}` failed {failures} times");
    Refusal::new(Reason::RestartLimited, message)
        .with("session_id", session)
        .with("failures", &failures)
        .retry(retry_in)
}

fn too_many_leases(limit: u32) -> Refusal {
    let message = format!("the worker holds {limit} sessions, as many as it may");
    let scope = "sessions of a worker";
    full(Reason::QuotaExceeded, message, scope, (limit, limit))
}

fn too_many_requests(session: &SessionId, limit: u64) -> Refusal {
    let message = format!("session `{session}` has {limit} open requests, as many as it may");
    let scope = "requests of a session";
    full(Reason::QuotaExceeded, message, scope, (limit, limit)).with("session_id", session)
}

fn too_many_attached(pool: &PoolName, (used, limit): (u64, u64)) -> Refusal {
    let message = format!("workers hold {used} sessions of pool `{pool}`, and may hold {limit}");
    let scope = format!("attached sessions of pool {pool}");
    full(Reason::QuotaExceeded, message, &scope, (used, limit))
}

fn queue_full(session: &SessionId, what: &str, (used, limit): (u64, u64)) -> Refusal {
    let message = format!(
        "the queue of session `{session}` holds {used} {what}, and may hold {limit} ([queue] max_{what})"
    );
    let scope = format!("{what} of a queue");
    full(Reason::QueueFull, message, &scope, (used, limit)).with("session_id", session)
}

/// What is counted is what is free, and the limit is the least of it.
fn store_full(shortage: Shortage) -> Refusal {
    let Shortage { free, mark, enough } = shortage;
    let message = format!(
        "the disk of the server has {} free: below {} nothing is added until there are {} ([store] min_free_bytes)",
        mebibytes(free),
        mebibytes(mark),
        mebibytes(enough),
    );
    Refusal::new(Reason::StoreFull, message)
        .with("scope", "free bytes of the server's disk")
        .with("free", &free)
        .with("limit", &mark)
        .with("enough", &enough)
        .retry(RETRY_STORE_FULL)
}

/// A size for people, who need no more of it.
fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

fn key_in_use(session: &SessionId, state: Liveness) -> Refusal {
    let message = format!("the key has the live session `{session}`");
    // Draining frees a key.
    let state = match state {
        Liveness::Queued => "QUEUED",
        Liveness::Active => "ACTIVE",
    };
    Refusal::new(Reason::SessionKeyInUse, message)
        .with("session_id", session)
        .with("state", state)
        .about(session)
}

fn id_in_use(session: &SessionId) -> Refusal {
    let message = format!("the id `{session}` belongs to a session, live or ended");
    Refusal::new(Reason::SessionIdInUse, message)
        .with("session_id", session)
        .about(session)
}

fn ended(session: &SessionId, reason: EndReason, successor: Option<&SessionId>) -> Refusal {
    let name = show::end::reason_name(reason);
    let message = format!("session `{session}` has ended: {name}");
    let refusal = Refusal::new(Reason::SessionEnded, message)
        .with("session_id", session)
        .with("end_reason", name);
    match successor {
        Some(successor) => refusal.with("successor_id", successor),
        None => refusal,
    }
}

fn draining(session: &SessionId, reason: EndReason) -> Refusal {
    let name = show::end::reason_name(reason);
    let message = format!("session `{session}` is ending: {name}");
    Refusal::new(Reason::SessionDraining, message)
        .with("session_id", session)
        .with("end_reason", name)
}

fn queued(session: &SessionId, awaited: Awaited) -> Refusal {
    let what = match awaited {
        Awaited::Slot => "a slot of its pool",
        Awaited::PredecessorResources => "the resources of its predecessor to be released",
    };
    let name = show::session::awaited(awaited).as_str_name();
    Refusal::new(
        Reason::SessionQueued,
        format!("session `{session}` waits for {what}"),
    )
    .with("session_id", session)
    .with(
        "waiting_for",
        name.strip_prefix("WAITING_FOR_").unwrap_or(name),
    )
}

fn too_many_sessions(pool: &PoolName, what: Crowd, (used, limit): (u64, u64)) -> Refusal {
    let (message, scope) = match what {
        Crowd::Live => (
            format!("pool `{pool}` has {used} live sessions, and may have {limit}"),
            format!("pool {pool}"),
        ),
        Crowd::Waiting => (
            format!("{used} sessions wait for slots of pool `{pool}`, and {limit} may"),
            format!("waiting sessions of pool {pool}"),
        ),
    };
    full(Reason::TooManySessions, message, &scope, (used, limit))
}

fn active(session: &SessionId) -> Refusal {
    let message = format!("session `{session}` is in use: end it first");
    Refusal::new(Reason::SessionActive, message).with("session_id", session)
}

fn held(session: &SessionId, messages: u64) -> Refusal {
    let message =
        format!("{messages} messages of session `{session}` wait for the next session of its key");
    Refusal::new(Reason::QueueHeld, message)
        .with("session_id", session)
        .with("messages", &messages)
}

fn unexported(session: &SessionId, why: Option<&str>) -> Refusal {
    let why = why.unwrap_or("it changed meanwhile");
    let message = format!("session `{session}` stays, for it could not be exported: {why}");
    Refusal::new(Reason::ExportFailed, message)
        .with("session_id", session)
        .with("cause", why)
}

fn subject_purged(request_id: &str) -> Refusal {
    let message = format!("the session of request `{request_id}` was purged since");
    Refusal::new(Reason::SessionNotFound, message)
        .with("request_id", request_id)
        .about(request_id)
}

fn pool_not_found(pool: &PoolName) -> Refusal {
    Refusal::new(Reason::PoolNotFound, format!("no pool `{pool}`"))
        .with("pool", pool)
        .about(pool)
}

/// Something that others must make room in.
pub(super) fn full<N: ToString>(
    reason: Reason,
    message: String,
    scope: &str,
    used_of_limit: (N, N),
) -> Refusal {
    Refusal::crowded(reason, message, scope, used_of_limit).retry(RETRY_FULL)
}

fn lease_fenced(session: &SessionId, current: Option<Epoch>) -> Refusal {
    let message = format!("the lease of session `{session}` is not the caller's");
    Refusal::new(Reason::LeaseFenced, message)
        .with("session_id", session)
        .with("current_epoch", &current.map_or(0, |epoch| epoch.0))
}

fn etag_mismatch(current: &str) -> Refusal {
    let message = "the session was changed since it was read";
    Refusal::new(Reason::EtagMismatch, message).with("etag", current)
}

fn request_id_reused(request_id: &str) -> Refusal {
    let message = "the request id was used with another request";
    let mut refusal = Refusal::field_invalid("request_id", message);
    refusal.reason = Reason::RequestIdReused;
    refusal.with("request_id", request_id)
}
