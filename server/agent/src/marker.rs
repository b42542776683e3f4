//! The marker: a variable in the environment of everything a resource starts, by which strays are found again.
//!
//! Invariant: a marker is an exact value, not empty, without NUL. What it deliberately does not do: find a process that
//! cleared or overwrote its environment, or one whose environment its user may not read.

use std::fmt;

/// The variable whose value names the resource a process belongs to.
pub const VARIABLE: &str = "SESSIOND_RESOURCE";

/// The longest value, in bytes: ids are far shorter.
pub const BYTES_MAX: usize = 256;

/// The value of [`VARIABLE`] in the processes of one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker {
    value: String,
}

/// A value that cannot mark anything.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a marker has 1 to {BYTES_MAX} bytes and no NUL, not {value:?}")]
pub struct UnusableMarker {
    value: String,
}

impl Marker {
    /// A marker of that value; it must be unique to the resource, or releasing one releases both.
    ///
    /// # Errors
    ///
    /// When the value is empty, longer than [`BYTES_MAX`] or has a NUL.
    pub fn new(value: impl Into<String>) -> Result<Self, UnusableMarker> {
        let value = value.into();
        if value.is_empty() || value.len() > BYTES_MAX || value.contains('\0') {
            return Err(UnusableMarker { value });
        }
        Ok(Self { value })
    }

    /// What [`VARIABLE`] must be set to in whatever the resource starts.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Whether an environment, as `/proc/PID/environ` has it, sets the marker.
    #[cfg_attr(
        not(any(target_os = "linux", test)),
        expect(dead_code, reason = "environments are only read on Linux")
    )]
    pub(crate) fn is_in(&self, environment: &[u8]) -> bool {
        let entry = self.to_string();
        environment
            .split(|&byte| byte == 0)
            .any(|set| set == entry.as_bytes())
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{VARIABLE}={}", self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_entry_marks() {
        let marker = Marker::new("r1").expect("a marker");
        assert!(marker.is_in(b"A=1\0SESSIOND_RESOURCE=r1\0B=2\0"));
        assert!(marker.is_in(b"SESSIOND_RESOURCE=r1"));
        for other in [
            "SESSIOND_RESOURCE=r12\0",
            "SESSIOND_RESOURCE=r\0",
            "XSESSIOND_RESOURCE=r1\0",
            "A=SESSIOND_RESOURCE=r1\0",
            "",
        ] {
            assert!(!marker.is_in(other.as_bytes()), "{other:?}");
        }
    }

    #[test]
    fn what_cannot_be_an_exact_value_is_refused() {
        assert!(Marker::new("x".repeat(BYTES_MAX)).is_ok());
        for bad in [String::new(), "a\0b".into(), "x".repeat(BYTES_MAX + 1)] {
            assert!(Marker::new(bad).is_err());
        }
    }
}
