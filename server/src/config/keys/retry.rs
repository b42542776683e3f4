//! `[retry]`: how often and how soon a message is tried.

use sessiond_core::limits::NACK_DELAY_MAX;
use sessiond_core::time::Span;

use super::{Key, Section};
use crate::config::field::Field;
use crate::limits::ATTEMPTS_MAX;

/// The clock of the rules counts milliseconds.
const PAUSE_MIN: Span = Span(1);

pub(super) static SECTION: Section = Section {
    name: "retry",
    doc: "How often and how soon a message is tried.",
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
    ],
};
