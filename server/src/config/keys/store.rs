//! `[store]`: how much of the disk is left alone.

use super::{Key, Section};
use crate::config::field::Field;
use crate::limits::{MIN_FREE_MAX, MIN_FREE_MIN};

pub(super) static SECTION: Section = Section {
    name: "store",
    doc: "How much of the disk the store leaves free.",
    names: None,
    keys: &[Key::new(
        "min_free_bytes",
        Field::BytesBound {
            at: |settings, _| &mut settings.min_free,
            min: MIN_FREE_MIN,
            max: MIN_FREE_MAX,
        },
        "The low-water mark of the file system that the data directory is on. With less free, or less than the largest \
         file of the store may grow by next, new messages and sessions are refused STORE_FULL until an eighth more is \
         free; reads, settlements, resets and ends still work. `never` refuses nothing, until a write fails and the \
         server stops with exit code 5. Beside it the server keeps 64 MiB of ballast, the file `ballast` in the data \
         directory, which a start on a full disk removes.",
    )],
};
