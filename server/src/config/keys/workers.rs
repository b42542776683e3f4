//! `[workers]`: how long a worker may be silent or get on with nothing, and what it costs.

use sessiond_core::limits::{LEASE_MAX, LEASE_MIN, RESTART_LIMIT_MAX, WorkerCost};
use sessiond_core::time::Span;

use super::{Key, Section};
use crate::config::field::Field;
use crate::limits::HEARTBEAT_EVERY;

/// A worker that sends nothing but heartbeats must keep its lease even if one of them is late.
const STREAM_LEASE_MIN: Span = Span::seconds(2 * HEARTBEAT_EVERY.as_secs());

/// The shortest patience with workers: less is a network that is slow once.
const PATIENCE_MIN: Span = Span::seconds(1);

/// The longest patience with workers, and the longest time for which a failure counts.
const PATIENCE_MAX: Span = Span::seconds(24 * 3_600);

/// What workers may cost, as words.
const COSTS: &[&str] = &["keep", "end"];

fn cost_word(cost: WorkerCost) -> &'static str {
    match cost {
        WorkerCost::Keep => "keep",
        WorkerCost::End => "end",
    }
}

fn cost_of(word: &str) -> WorkerCost {
    match word {
        "end" => WorkerCost::End,
        _ => WorkerCost::Keep,
    }
}

pub(super) static SECTION: Section = Section {
    name: "workers",
    doc: "How long a worker may be silent, or get on with nothing, before its sessions are given to others, and what \
          becomes of a session whose workers fail.",
    names: None,
    keys: &[
        Key::new(
            "lease",
            Field::Span {
                at: |settings, _| &mut settings.policy.stream_lease,
                min: STREAM_LEASE_MIN,
                max: LEASE_MAX,
            },
            "The lease of a worker with a stream; each of its frames renews it, and it sends a heartbeat every 5 s.",
        ),
        Key::new(
            "claim_lease",
            Field::Span {
                at: |settings, _| &mut settings.policy.claim_lease,
                min: LEASE_MIN,
                max: LEASE_MAX,
            },
            "The lease of a claim that names none.",
        ),
        Key::new(
            "stuck_after",
            Field::Limit {
                at: |settings, _| &mut settings.policy.stuck_after,
                min: PATIENCE_MIN,
                max: PATIENCE_MAX,
            },
            "A worker that holds messages and makes no progress for longer than this is stuck: it loses the session, \
             and they go back, attempts counted. Progress is a settlement, an extension or a progress frame; a \
             heartbeat is none. A claim has the length of its lease at least.",
        ),
        Key::new(
            "on_stuck",
            Field::Word {
                words: COSTS,
                get: |settings, _| cost_word(settings.policy.on_stuck),
                put: |settings, _, word| settings.policy.on_stuck = cost_of(word),
            },
            "What a stuck worker costs: `keep` takes the session from it, `end` ends the session, with reason \
             WORKER_STUCK.",
        ),
        Key::new(
            "idle_after",
            Field::Limit {
                at: |settings, _| &mut settings.policy.worker_idle,
                min: PATIENCE_MIN,
                max: PATIENCE_MAX,
            },
            "A worker with a stream whose session has had nothing to do for longer than this is let go, and is free \
             for another. It gets the session back when there is work.",
        ),
        Key::new(
            "restart_limit",
            Field::Count32 {
                at: |settings, _| &mut settings.policy.restart_limit,
                min: 1,
                max: RESTART_LIMIT_MAX,
            },
            "How often the workers of a session may be lost, be stuck or come back without what they held, within \
             `restart_window`. One more suspends the session: no worker gets it (RESTART_LIMITED) until the first \
             failure is older than that; its messages stay.",
        ),
        Key::new(
            "restart_window",
            Field::Span {
                at: |settings, _| &mut settings.policy.restart_window,
                min: PATIENCE_MIN,
                max: PATIENCE_MAX,
            },
            "How long a failure counts. A message that is processed takes back the oldest one.",
        ),
        Key::new(
            "on_restart_limit",
            Field::Word {
                words: COSTS,
                get: |settings, _| cost_word(settings.policy.on_restart_limit),
                put: |settings, _, word| settings.policy.on_restart_limit = cost_of(word),
            },
            "What one failure too many costs: `keep` suspends the session, `end` ends it, with reason RESTART_LIMIT.",
        ),
        Key::new(
            "cancel_grace",
            Field::Span {
                at: |settings, _| &mut settings.policy.cancel_grace,
                min: Span(1),
                max: LEASE_MAX,
            },
            "How long a worker may take to stop what an INTERRUPT message stops, before its work is handed out again all \
             the same.",
        ),
    ],
};
