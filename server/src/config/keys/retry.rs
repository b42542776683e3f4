//! `[retry]`: how often a message is tried.

use super::{Key, Section};
use crate::config::field::Field;
use crate::limits::ATTEMPTS_MAX;

pub(super) static SECTION: Section = Section {
    name: "retry",
    doc: "How often a message is tried.",
    names: None,
    keys: &[Key::new(
        "max_attempts",
        Field::Count32 {
            at: |settings, _| &mut settings.policy.max_attempts,
            min: 1,
            max: ATTEMPTS_MAX,
        },
        "Hand-outs before a message becomes a dead letter.",
    )],
};
