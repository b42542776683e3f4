//! `[retry]`: how often a message is tried, and when again.

use sessiond_core::limits::NACK_DELAY_MAX;
use sessiond_core::time::Span;

use super::{Key, Section};
use crate::config::field::Field;
use crate::limits::ATTEMPTS_MAX;

pub(super) static SECTION: Section = Section {
    name: "retry",
    doc: "How often a message is tried, and when again.",
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
                min: Span(1),
                max: NACK_DELAY_MAX,
            },
            "Pause after the first nack with RETRY that names none. It doubles with each attempt.",
        ),
        Key::new(
            "longest_pause",
            Field::Span {
                at: |settings, _| &mut settings.policy.retry_pause_max,
                min: Span(1),
                max: NACK_DELAY_MAX,
            },
            "The longest it becomes.",
        ),
        Key::new(
            "defer_pause",
            Field::Span {
                at: |settings, _| &mut settings.policy.defer_pause,
                min: Span(1),
                max: NACK_DELAY_MAX,
            },
            "Pause after a nack with DEFER that names none.",
        ),
    ],
};
