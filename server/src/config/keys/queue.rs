//! `[queue]`: how much the queue of a session may hold, and how long what is given up stays there.

use sessiond_core::limits::{ENQUEUE_BYTES_MAX, MESSAGE_OVERHEAD_BYTES, TIMEOUT_MAX};
use sessiond_core::time::Span;

use super::{Key, Section};
use crate::config::field::Field;
use crate::limits::{QUEUE_BYTES_MAX, QUEUE_MESSAGES_MAX};

pub(super) static SECTION: Section = Section {
    name: "queue",
    doc: "How much the queue of a session may hold, and how long what is given up stays there.",
    names: None,
    keys: &[
        Key::new(
            "max_message_bytes",
            Field::Bytes {
                at: |settings, _| &mut settings.policy.message_bytes_max,
                min: 1,
                max: ENQUEUE_BYTES_MAX as u64,
            },
            "The payload of one message. A larger one is refused MESSAGE_TOO_LARGE.",
        ),
        Key::new(
            "max_messages",
            Field::Count {
                at: |settings, _| &mut settings.policy.queue_messages_max,
                min: 1,
                max: QUEUE_MESSAGES_MAX,
            },
            "Messages that are not settled. One more is refused QUEUE_FULL.",
        ),
        Key::new(
            "max_bytes",
            Field::Bytes {
                at: |settings, _| &mut settings.policy.queue_bytes_max,
                min: MESSAGE_OVERHEAD_BYTES + 1,
                max: QUEUE_BYTES_MAX,
            },
            "Bytes of messages that are not settled, with 256 for each beside its payload. More are refused \
             QUEUE_FULL.",
        ),
        Key::new(
            "dead_letter_retention",
            Field::Limit {
                at: |settings, _| &mut settings.policy.dead_letter_retention,
                min: Span(1),
                max: TIMEOUT_MAX,
            },
            "How long a dead letter is kept, counted from when it was given up with the value of that time; then it \
             is deleted and counts as discarded. With `\"never\"` those on record stay too.",
        ),
    ],
};
