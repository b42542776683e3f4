//! Names that a tmux session can have as they are.
//!
//! tmux keeps others in another form, so that two different names become one: `a:b` and `a.b` are both `a_b`, a newline
//! becomes `\n`, a backslash two. Invariant: a name that passes is kept byte for byte, or the server's answer shows that
//! it was not. What this deliberately does not do: tidy a name up.

use super::TmuxError;

/// The longest name, in bytes: what is longer is no name.
const BYTES_MAX: usize = 255;

/// Whether a session can have the name.
pub(super) fn check(name: &str) -> Result<(), TmuxError> {
    let why = if name.is_empty() {
        "it is empty"
    } else if name.len() > BYTES_MAX {
        "it has more than 255 bytes"
    } else if name.contains([':', '.']) {
        "tmux replaces colons and dots"
    } else if name.contains('\\') || name.chars().any(char::is_control) {
        "tmux escapes backslashes and control characters"
    } else {
        return Ok(());
    };
    Err(unnameable(name, why))
}

/// Whether a session can be given the name: tmux expands formats, and ends a command at a semicolon.
pub(super) fn check_new(name: &str) -> Result<(), TmuxError> {
    check(name)?;
    if name.contains('#') {
        return Err(unnameable(name, "tmux expands formats"));
    }
    if name.ends_with(';') {
        return Err(unnameable(name, "a semicolon at the end ends a command"));
    }
    Ok(())
}

pub(super) fn unnameable(name: &str, why: &'static str) -> TmuxError {
    TmuxError::Unnameable {
        name: name.to_owned(),
        why,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_tmux_would_change_are_refused() {
        for good in [
            "abc", "a b ", "$1", "*", "=x", "-x", "{last}", "@3", "%1", "ü",
        ] {
            assert!(check_new(good).is_ok(), "{good:?}");
        }
        for bad in [
            "",
            "a:b",
            "a.b",
            "a\nb",
            "a\tb",
            "a\\b",
            "\u{85}",
            &"x".repeat(256),
        ] {
            assert!(check(bad).is_err(), "{bad:?}");
            assert!(check_new(bad).is_err(), "{bad:?}");
        }
        for found_only in ["#{pid}", "#S", "a;"] {
            assert!(check(found_only).is_ok(), "{found_only:?}");
            assert!(check_new(found_only).is_err(), "{found_only:?}");
        }
    }
}
