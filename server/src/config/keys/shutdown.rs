//! `[shutdown]`: how long an orderly stop may take.

use super::{Key, Section};
use crate::config::field::Field;
use crate::limits::{SHUTDOWN_BUDGET_MAX, SHUTDOWN_BUDGET_MIN};

pub(super) static SECTION: Section = Section {
    name: "shutdown",
    doc: "How long the server may take to stop after TERM or INT. A second signal ends it at once; what was not finished is \
          finished by the next start.",
    names: None,
    keys: &[Key::new(
        "budget",
        Field::Span {
            at: |settings, _| &mut settings.shutdown_budget,
            min: SHUTDOWN_BUDGET_MIN,
            max: SHUTDOWN_BUDGET_MAX,
        },
        "From the signal to the end of the process, whoever does not get on. Half of it is for requests and deliveries that \
         are under way, where `[session] cleanup_on_shutdown` ends sessions; three tenths for what these have outside; the \
         rest for streams, connections and the store. Each part ends as soon as it is done. What sessions have outside and \
         takes longer to end, such as by a long `[resources] grace`, is ended by the next start. Whoever kills what does not \
         stop must wait for longer.",
    )],
};
