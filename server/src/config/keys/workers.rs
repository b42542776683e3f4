//! `[workers]`: how long a worker may be silent.

use sessiond_core::limits::{LEASE_MAX, LEASE_MIN};
use sessiond_core::time::Span;

use super::{Key, Section};
use crate::config::field::Field;
use crate::limits::HEARTBEAT_EVERY;

/// A worker that sends nothing but heartbeats must keep its lease even if one of them is late.
const STREAM_LEASE_MIN: Span = Span::seconds(2 * HEARTBEAT_EVERY.as_secs());

pub(super) static SECTION: Section = Section {
    name: "workers",
    doc: "How long a worker may be silent before its sessions are given to others.",
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
    ],
};
