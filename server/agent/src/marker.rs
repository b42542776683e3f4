//! The marker: a variable in the environment of everything a resource starts, by which strays are found again.
//!
//! Invariant: a marker is an exact value, not empty, without NUL. What it deliberately does not do: find a process that
//! cleared or overwrote its environment, or one whose environment its user may not read.

use std::fmt;
use std::time::Duration;

/// The variable whose value names the resource a process belongs to.
pub const VARIABLE: &str = "SESSIOND_RESOURCE";

/// The longest value, in bytes: ids are far shorter.
pub const BYTES_MAX: usize = 256;

/// How long a process is looked at for a marker that it does not show. One that was just forked has the environment of
/// its parent until it execs, and none in the middle of that: a few milliseconds, unless the machine is busy.
pub(crate) const SHOWN_WITHIN: Duration = Duration::from_millis(200);

/// How long is waited between two such looks: about as long as an exec takes.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(5);

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

    /// The marker that an environment sets, whichever it is; if it sets several, the first, as the process itself
    /// mostly sees it.
    pub(crate) fn of(environment: &[u8]) -> Option<Self> {
        environment.split(|&byte| byte == 0).find_map(|set| {
            let set = str::from_utf8(set).ok()?;
            let value = set.strip_prefix(VARIABLE)?.strip_prefix('=')?;
            Self::new(value).ok()
        })
    }

    /// Whether an environment, as `/proc/PID/environ` has it, sets the marker.
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
    fn the_first_entry_that_can_be_a_marker_is_the_one() {
        let too_long = format!("SESSIOND_RESOURCE={}\0", "x".repeat(BYTES_MAX + 1));
        for (environment, expected) in [
            (&b"A=1\0SESSIOND_RESOURCE=r1\0B=2\0"[..], Some("r1")),
            (b"SESSIOND_RESOURCE=a=b", Some("a=b")),
            (b"SESSIOND_RESOURCE=r1\0SESSIOND_RESOURCE=r2\0", Some("r1")),
            (b"SESSIOND_RESOURCE=\0SESSIOND_RESOURCE=r2\0", Some("r2")),
            (b"SESSIOND_RESOURCE=\xff\0", None),
            (b"SESSIOND_RESOURCE\0XSESSIOND_RESOURCE=r1\0", None),
            (too_long.as_bytes(), None),
            (b"", None),
        ] {
            let marker = Marker::of(environment);
            assert_eq!(marker.as_ref().map(Marker::value), expected);
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
