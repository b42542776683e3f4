//! `[retry]`: how often and how soon a message is tried, and when a kind of message that fails is not taken for a while.

use std::collections::BTreeSet;

use sessiond_core::ids::MessageKind;
use sessiond_core::limits::{
    CIRCUIT_COOL_DOWN_MAX, CIRCUIT_FAILURES_MAX, CIRCUIT_KINDS_MAX, NACK_DELAY_MAX,
};
use sessiond_core::time::Span;

use super::{Key, Section};
use crate::config::field::Field;
use crate::limits::ATTEMPTS_MAX;

/// The clock of the rules counts milliseconds.
const PAUSE_MIN: Span = Span(1);

pub(super) static SECTION: Section = Section {
    name: "retry",
    doc: "How often and how soon a message is tried, and when a kind of message that fails again and again is skipped.",
    names: None,
    keys: &[
        Key::new(
            "max_attempts",
            Field::Count32 {
                at: |settings, _| &mut settings.policy.max_attempts,
                min: 1,
                max: ATTEMPTS_MAX,
            },
            "Hand-outs before a message becomes a dead letter.",
        ),
        Key::new(
            "first_pause",
            Field::Span {
                at: |settings, _| &mut settings.policy.retry_pause_first,
                min: PAUSE_MIN,
                max: NACK_DELAY_MAX,
            },
            "How long a message waits after its first nack with RETRY that names no delay; twice as long after each \
             further one, and up to an eighth longer, so that messages that failed together do not come back together.",
        ),
        Key::new(
            "max_pause",
            Field::Span {
                at: |settings, _| &mut settings.policy.retry_pause_max,
                min: PAUSE_MIN,
                max: NACK_DELAY_MAX,
            },
            "The longest such pause.",
        ),
        Key::new(
            "defer_pause",
            Field::Span {
                at: |settings, _| &mut settings.policy.defer_pause,
                min: PAUSE_MIN,
                max: NACK_DELAY_MAX,
            },
            "How long a message waits after a nack with DEFER that names no delay.",
        ),
        Key::new(
            "circuit_kinds",
            Field::Text {
                takes: "kinds of message separated by commas, at most 64, or nothing",
                get: |settings, _| {
                    let kinds = settings.policy.circuit_kinds.iter();
                    let kinds: Vec<&str> = kinds.map(MessageKind::as_str).collect();
                    kinds.join(",")
                },
                put: |settings, _, text| {
                    settings.policy.circuit_kinds = kinds(text)?;
                    Ok(())
                },
            },
            "Kinds of message that are skipped for a while when they fail again and again in one session. What is sent \
             meanwhile is answered SKIPPED_CIRCUIT_OPEN and dropped, so a kind whose messages are sent once does not \
             belong here.",
        ),
        Key::new(
            "circuit_failures",
            Field::Count32 {
                at: |settings, _| &mut settings.policy.circuit_failures,
                min: 1,
                max: CIRCUIT_FAILURES_MAX,
            },
            "Failures in a row that open the circuit of a kind: nacks with RETRY or PERMANENT.",
        ),
        Key::new(
            "circuit_cool_down",
            Field::Span {
                at: |settings, _| &mut settings.policy.circuit_cool_down,
                min: Span(1),
                max: CIRCUIT_COOL_DOWN_MAX,
            },
            "How long an open circuit skips messages before one is let through to see whether it succeeds.",
        ),
    ],
};

/// The kinds that a text names.
fn kinds(text: &str) -> Result<BTreeSet<MessageKind>, String> {
    let names = text.split(',').map(str::trim);
    let names: Vec<&str> = names.filter(|name| !name.is_empty()).collect();
    if names.len() > CIRCUIT_KINDS_MAX {
        return Err(format!("{} kinds are too many", names.len()));
    }
    let kinds = names
        .into_iter()
        .map(|name| MessageKind::parse(name).map_err(|why| format!("the kind {name:?} {why}")));
    kinds.collect()
}
