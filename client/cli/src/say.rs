//! What is told to a person, on stderr.
//!
//! Invariant: a stderr that nobody reads changes nothing. What this deliberately does not do: carry
//! data, which goes to stdout.

use std::io::Write as _;

use crate::output::table::printable;

/// Tells one line. What others put into it can neither end the line nor move the cursor.
pub(crate) fn line(text: &str) {
    raw(&format!("{}\n", printable(text)));
}

/// Tells text as it is.
pub(crate) fn raw(text: &str) {
    // Nobody is left to be told when this fails.
    let _ = std::io::stderr().write_all(text.as_bytes());
}
