//! `[events]`: how much of the log is kept.

use sessiond_core::limits::TIMEOUT_MAX;

use super::{Key, Section};
use crate::config::field::Field;
use crate::limits::{
    EVENT_BYTES_KEPT_MAX, EVENT_BYTES_KEPT_MIN, EVENT_RETENTION_MIN, EVENTS_KEPT_MAX,
    EVENTS_KEPT_MIN,
};

pub(super) static SECTION: Section = Section {
    name: "events",
    doc: "How much of the log of events is kept. What is over any of its limits is deleted, oldest first and within seconds; a \
          watch that resumes from before it is refused REVISION_COMPACTED and starts from a snapshot.",
    names: None,
    keys: &[
        Key::new(
            "retention",
            Field::Limit {
                at: |settings, _| &mut settings.events.age,
                min: EVENT_RETENTION_MIN,
                max: TIMEOUT_MAX,
            },
            "How long an event is kept; time that the server was down does not count. Longer than any plugin may be away.",
        ),
        Key::new(
            "max_events",
            Field::Bound {
                at: |settings, _| &mut settings.events.max,
                min: EVENTS_KEPT_MIN,
                max: EVENTS_KEPT_MAX,
            },
            "How many events are kept at most, over all namespaces. One takes about half a KiB on disk, and more with labels \
             and attributes.",
        ),
        Key::new(
            "max_bytes",
            Field::BytesBound {
                at: |settings, _| &mut settings.events.max_bytes,
                min: EVENT_BYTES_KEPT_MIN,
                max: EVENT_BYTES_KEPT_MAX,
            },
            "What the events that are kept weigh at most together: of each its texts and a fixed share for everything else, \
             which comes close to what it takes on disk. Events that an earlier version wrote weigh nothing.",
        ),
    ],
};
