//! Texts: ids, names, free text and maps of them.

use sessiond_core::ids::TextError;
use sessiond_core::limits::{ID_BYTES_MAX, LABELS_BYTES_MAX, LABELS_MAX};
use sessiond_core::session::Labels;

use crate::wire::faults::Faults;

/// Characters of a caller's text that a description quotes.
const QUOTED_CHARS_MAX: usize = 40;

/// An id that must be there.
pub(crate) fn required<T>(
    faults: &mut Faults,
    field: &str,
    text: String,
    parse: impl FnOnce(String) -> Result<T, TextError>,
) -> Option<T> {
    parse(text)
        .map_err(|error| faults.invalid(field, describe(error, ID_BYTES_MAX)))
        .ok()
}

/// An id that may be left out: empty is none.
pub(crate) fn optional<T>(
    faults: &mut Faults,
    field: &str,
    text: String,
    parse: impl FnOnce(String) -> Result<T, TextError>,
) -> Option<T> {
    if text.is_empty() {
        None
    } else {
        required(faults, field, text, parse)
    }
}

/// A text that is an id to its caller and only text to us; may be empty.
pub(crate) fn name(faults: &mut Faults, field: &str, text: String) -> String {
    if text.len() <= ID_BYTES_MAX && text.chars().any(char::is_control) {
        faults.invalid(field, describe(TextError::Control, ID_BYTES_MAX));
    }
    bounded(faults, field, text, ID_BYTES_MAX)
}

/// Any text of at most `bytes_max` bytes.
pub(crate) fn bounded(faults: &mut Faults, field: &str, text: String, bytes_max: usize) -> String {
    if text.len() > bytes_max {
        let bytes = text.len();
        faults.invalid(field, describe(TextError::TooLong { bytes }, bytes_max));
    }
    text
}

/// Labels, attributes, volatile values: at most [`LABELS_MAX`] entries and [`LABELS_BYTES_MAX`].
pub(crate) fn labels(faults: &mut Faults, field: &str, labels: Labels) -> Labels {
    if labels.len() > LABELS_MAX {
        let found = labels.len();
        faults.invalid(
            field,
            format!("must have at most {LABELS_MAX} entries, got {found}"),
        );
    }
    let bytes: usize = labels
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    if bytes > LABELS_BYTES_MAX {
        faults.invalid(
            field,
            format!("must be at most {LABELS_BYTES_MAX} bytes, keys and values, got {bytes}"),
        );
    }
    labels
}

/// What is wrong with a text that may have `bytes_max` bytes.
pub(crate) fn describe(error: TextError, bytes_max: usize) -> String {
    match error {
        TextError::TooLong { bytes } => format!("must be at most {bytes_max} bytes, got {bytes}"),
        TextError::Empty | TextError::Control => error.to_string(),
    }
}

/// The beginning of a caller's text, fit for a message.
pub(crate) fn quoted(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(QUOTED_CHARS_MAX)
        .map(|char| if char.is_control() { '\u{fffd}' } else { char })
        .collect();
    if text.chars().nth(QUOTED_CHARS_MAX).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}
