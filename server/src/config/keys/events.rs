//! `[events]`: how much of the log is kept.

use sessiond_core::limits::TIMEOUT_MAX;

use super::{Key, Section};
use crate::config::field::Field;
use crate::limits::{EVENT_RETENTION_MIN, EVENTS_KEPT_MAX, EVENTS_KEPT_MIN};

pub(super) static SECTION: Section = Section {
    name: "events",
    doc: "How much of the log of events is kept. What is over either limit is deleted, oldest first and within seconds; a \
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
    ],
};
