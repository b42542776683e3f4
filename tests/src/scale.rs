//! How much of a long test is run: the same tests, more of them.
//!
//! Read from `SESSIOND_SCALE`. A value that is not known stops the test: a misspelt scale must not pass
//! as a quick one. What a scale means in numbers stands beside each test.

/// How much of a long test is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// A few seconds in all: what runs with every `cargo test`.
    Quick,
    /// Minutes: what every change must pass.
    Ci,
    /// Tens of minutes, in a release build.
    Nightly,
}

/// The variable that holds the scale.
const VARIABLE: &str = "SESSIOND_SCALE";

impl Scale {
    /// The scale the environment asks for; quick when it does not.
    ///
    /// # Panics
    ///
    /// When the value is none of `quick`, `ci` and `nightly`.
    pub fn from_env() -> Self {
        let value = std::env::var_os(VARIABLE);
        match value.as_deref().map(|value| value.to_str()) {
            None => Self::Quick,
            Some(Some(name)) => Self::named(name)
                .unwrap_or_else(|| panic!("{VARIABLE} is {name:?}: use quick, ci or nightly")),
            Some(None) => panic!("{VARIABLE} is not text: use quick, ci or nightly"),
        }
    }

    /// The scale of that name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "quick" => Some(Self::Quick),
            "ci" => Some(Self::Ci),
            "nightly" => Some(Self::Nightly),
            _ => None,
        }
    }

    /// One of three figures.
    pub fn pick<T>(self, quick: T, ci: T, nightly: T) -> T {
        match self {
            Self::Quick => quick,
            Self::Ci => ci,
            Self::Nightly => nightly,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_three_names_are_known() {
        assert_eq!(Scale::named("quick"), Some(Scale::Quick));
        assert_eq!(Scale::named("ci"), Some(Scale::Ci));
        assert_eq!(Scale::named("nightly"), Some(Scale::Nightly));
        for other in ["", "CI", "nightly ", "full"] {
            assert_eq!(Scale::named(other), None, "{other:?}");
        }
    }
}
