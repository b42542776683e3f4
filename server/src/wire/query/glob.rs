//! Patterns over keys: `*` stands for any run of characters, `?` for one, all else for itself.
//!
//! Matching never takes more than pattern times text steps, whatever the pattern: it goes back to the
//! last star only, since an earlier one could match nothing more. There is no escape: a key that holds
//! a star is found by a pattern with `?` in its place.

/// A pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Glob {
    pattern: Vec<char>,
}

impl Glob {
    /// The pattern that a text spells.
    pub(crate) fn new(pattern: impl AsRef<str>) -> Self {
        Self {
            pattern: pattern.as_ref().chars().collect(),
        }
    }

    /// Whether all of a text matches.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        let pattern = &self.pattern;
        let (mut at, mut in_pattern) = (0, 0);
        // The last star and how much of the text it has taken.
        let mut star: Option<(usize, usize)> = None;
        while at < text.len() {
            match pattern.get(in_pattern) {
                Some('*') => {
                    star = Some((in_pattern, at));
                    in_pattern += 1;
                }
                Some(char) if *char == '?' || *char == text[at] => {
                    in_pattern += 1;
                    at += 1;
                }
                Some(_) | None => {
                    let Some((place, taken)) = star else {
                        return false;
                    };
                    star = Some((place, taken + 1));
                    in_pattern = place + 1;
                    at = taken + 1;
                }
            }
        }
        pattern[in_pattern..].iter().all(|char| *char == '*')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, text: &str, expected: bool) {
        assert_eq!(
            Glob::new(pattern).matches(text),
            expected,
            "{pattern} {text}"
        );
    }

    #[test]
    fn stars_take_any_run_and_question_marks_one_character() {
        for (pattern, text) in [
            ("", ""),
            ("*", ""),
            ("*", "agent:main"),
            ("agent:*", "agent:"),
            ("agent:*:main", "agent:a:b:main"),
            ("*a*b*", "xxaxxbxx"),
            ("?", "ä"),
            ("a**b", "ab"),
            ("*aab", "aaaab"),
            ("a?*", "ab"),
            ("[a-z]", "[a-z]"),
        ] {
            check(pattern, text, true);
        }
        for (pattern, text) in [
            ("", "a"),
            ("a", ""),
            ("?", ""),
            ("a", "A"),
            ("agent:*", "agent"),
            ("*b", "abc"),
            ("a?*", "a"),
            ("[a-z]", "a"),
            ("*a*b*", "ba"),
        ] {
            check(pattern, text, false);
        }
    }

    #[test]
    fn a_hostile_pattern_ends() {
        let pattern = "*a".repeat(128);
        check(&pattern, &"a".repeat(127), false);
        check(&pattern, &"a".repeat(256), true);
        check(&format!("{pattern}b"), &"a".repeat(256), false);
    }
}
