//! `[resources]`: how what sessions leave outside is ended.

use sessiond_core::time::Span;

use super::{Key, Section};
use crate::config::field::Field;
use crate::limits::{RELEASE_GRACE_MAX, RELEASE_VERIFY_MAX};

pub(super) static SECTION: Section = Section {
    name: "resources",
    doc: "How the processes and tmux sessions are ended that a session declared, when it ends. Whatever is left after that \
          is reported and tried again; it keeps the session's slot of its pool, and the next session of the key waits.",
    names: None,
    keys: &[
        Key::new(
            "grace",
            Field::Span {
                at: |settings, _| &mut settings.resources.grace,
                min: Span(0),
                max: RELEASE_GRACE_MAX,
            },
            "From TERM to KILL: how long processes may take to end by themselves.",
        ),
        Key::new(
            "verify",
            Field::Span {
                at: |settings, _| &mut settings.resources.verify,
                min: Span(1),
                max: RELEASE_VERIFY_MAX,
            },
            "From KILL on: how long they are waited for until what is left counts as lingering.",
        ),
        Key::new(
            "weak_identities",
            Field::Switch {
                get: |settings, _| settings.resources.weak_identities,
                put: |settings, _, yes| {
                    settings.resources.weak_identities = yes;
                    Ok(())
                },
            },
            "Whether a process is ended that only its number and the tick of its start tell from others. A kernel before \
             Linux 6.9 tells no more, and both can agree for two processes; `false` leaves such a process running and \
             reports it.",
        ),
    ],
};
