//! `[recovery]`: what a start makes of a server that died.

use super::{Key, Section};
use crate::config::field::Field;
use crate::engine::LiveSessions;

/// The words, and what they say.
const WORDS: &[&str] = &["keep", "end"];

pub(super) static SECTION: Section = Section {
    name: "recovery",
    doc: "What a start makes of a server that died. A stop in order is `[session] cleanup_on_shutdown`, and one that was cut \
          short is finished in any case.",
    names: None,
    keys: &[Key::new(
        "live_sessions",
        Field::Word {
            words: WORDS,
            get: |settings, _| match settings.live_sessions {
                LiveSessions::Keep => "keep",
                LiveSessions::End => "end",
            },
            put: |settings, _, word| {
                settings.live_sessions = match word {
                    "end" => LiveSessions::End,
                    _ => LiveSessions::Keep,
                };
            },
        },
        "What becomes of sessions that were live: `keep` leaves them as they are, and whoever owns them or works for them has one \
         full term to come back; `end` ends them, with reason CRASHED. Messages that are pending are kept for the next session \
         of the key.",
    )],
};
