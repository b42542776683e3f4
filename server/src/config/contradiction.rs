//! Settings that contradict one another, and defaults that give way to what was set.
//!
//! Invariant: of two values that were set neither is moved; they are refused together. A default that would
//! contradict a value that was set follows it, and says so where origins are shown.

use std::collections::{BTreeMap, BTreeSet};

use super::Settings;
use super::keys::{Key, Section, section};
use super::problem::{KeyPath, Origin, Problem};
use crate::limits::CONTRADICTION_ROUNDS_MAX;

/// A section and a key in it.
type Place = (&'static str, &'static str);

/// A rule: what one key is set to, and something more, must not pass what another one is set to. What is `never`
/// is compared with nothing.
#[derive(Debug)]
struct AtMost {
    small: Place,
    /// In what the keys are measured in.
    more: u64,
    large: Place,
    /// What would be if it did.
    because: &'static str,
}

const RULES: [AtMost; 10] = [
    AtMost {
        small: ("session", "max_idle_time"),
        more: 0,
        large: ("session", "max_session_age"),
        because: "a session would reach its age before it could be idle",
    },
    AtMost {
        small: ("session", "owner_timeout"),
        more: 0,
        large: ("session", "max_session_age"),
        because: "a session would reach its age before its owner could be missed",
    },
    AtMost {
        small: ("session", "end_grace"),
        more: 0,
        large: ("session", "end_grace_after_pending"),
        because: "an end that waits for all that is pending also waits for what is in flight",
    },
    AtMost {
        small: ("retry", "first_pause"),
        more: 0,
        large: ("retry", "max_pause"),
        because: "the first pause is the shortest one",
    },
    AtMost {
        small: ("session", "emergency_idle"),
        more: 0,
        large: ("session", "max_idle_time"),
        because: "sessions would end before an emergency could end them",
    },
    AtMost {
        small: ("session", "emergency_age"),
        more: 0,
        large: ("session", "max_session_age"),
        because: "sessions would end before an emergency could end them",
    },
    AtMost {
        small: ("pools", "emergency_idle"),
        more: 0,
        large: ("session", "max_idle_time"),
        because: "sessions would end before an emergency could end them",
    },
    AtMost {
        small: ("pools", "emergency_age"),
        more: 0,
        large: ("session", "max_session_age"),
        because: "sessions would end before an emergency could end them",
    },
    AtMost {
        small: ("pools", "max_attached"),
        more: 0,
        large: ("pools", "max_sessions"),
        because: "workers hold no more sessions than there are",
    },
    AtMost {
        small: ("queue", "max_message_bytes"),
        more: sessiond_core::limits::MESSAGE_OVERHEAD_BYTES,
        large: ("queue", "max_bytes"),
        because: "the largest message, and 256 bytes for its row, would not fit into an empty queue",
    },
];

/// One side of a rule, of one section.
#[derive(Clone, Debug)]
struct Side {
    path: KeyPath,
    key: &'static Key,
}

impl Side {
    fn measure(&self, settings: &Settings) -> Option<u64> {
        self.key.field.measure(settings, &self.path.name)
    }

    fn shown(&self, measure: u64) -> String {
        self.key.field.show_measure(measure).toml()
    }
}

/// Lets defaults give way, and tells what contradicts. Keys of `broken` are not judged: their values were refused.
pub(super) fn settle(
    settings: &mut Settings,
    origins: &mut BTreeMap<KeyPath, Origin>,
    broken: &BTreeSet<KeyPath>,
) -> Vec<Problem> {
    let mut problems = BTreeSet::new();
    // A default that follows one key may have to be followed by the next one.
    for _ in 0..CONTRADICTION_ROUNDS_MAX {
        let mut moved = false;
        for rule in &RULES {
            for (small, large) in rule.pairs(settings) {
                if broken.contains(&small.path) || broken.contains(&large.path) {
                    continue;
                }
                match rule.settle(settings, origins, &small, &large) {
                    Outcome::Holds => {}
                    Outcome::Moved => moved = true,
                    Outcome::Contradicts(problem) => {
                        problems.insert(problem);
                    }
                }
            }
        }
        if !moved {
            break;
        }
    }
    problems.into_iter().collect()
}

/// What became of a rule.
enum Outcome {
    Holds,
    Moved,
    Contradicts(Problem),
}

impl AtMost {
    /// The sections for which it holds: of two keys of sections with names, those of one name.
    fn pairs(&self, settings: &Settings) -> Vec<(Side, Side)> {
        let find = |(name, key): Place| {
            let section = section(name).expect("a rule names sections that exist");
            (
                section,
                section.key(key).expect("a rule names keys that exist"),
            )
        };
        let (small, large) = (find(self.small), find(self.large));
        let side = |(section, key): (&Section, &'static Key), name: &String| Side {
            path: section.path(name, key),
            key,
        };
        let mut pairs = Vec::new();
        for first in small.0.instances(settings) {
            for second in large.0.instances(settings) {
                if small.0.name != large.0.name || first == second {
                    pairs.push((side(small, &first), side(large, &second)));
                }
            }
        }
        pairs
    }

    fn settle(
        &self,
        settings: &mut Settings,
        origins: &mut BTreeMap<KeyPath, Origin>,
        small: &Side,
        large: &Side,
    ) -> Outcome {
        let (Some(least), Some(most)) = (small.measure(settings), large.measure(settings)) else {
            return Outcome::Holds;
        };
        if least.saturating_add(self.more) <= most {
            return Outcome::Holds;
        }
        let origin = |side: &Side| origins.get(&side.path).unwrap_or(&Origin::Default).clone();
        let (lower, upper) = (origin(small), origin(large));
        let gives_way = match (&lower, &upper) {
            (Origin::Default, _) => Some((small, most.checked_sub(self.more), large)),
            (_, Origin::Default) => Some((large, least.checked_add(self.more), small)),
            _ => None,
        };
        if let Some((side, Some(measure), followed)) = gives_way
            && side
                .key
                .field
                .put_measure(settings, &side.path.name, measure)
                .is_ok()
        {
            origins.insert(side.path.clone(), Origin::Follows(followed.path.clone()));
            return Outcome::Moved;
        }
        Outcome::Contradicts(self.problem((small, least, &lower), (large, most, &upper)))
    }

    /// Told where somebody set something: a default has no place.
    fn problem(
        &self,
        (small, least, lower): (&Side, u64, &Origin),
        (large, most, upper): (&Side, u64, &Origin),
    ) -> Problem {
        let (small_is, large_is) = (small.shown(least), large.shown(most));
        let because = self.because;
        if lower.is_set() {
            let what = format!(
                "{small_is} is too much beside {} = {large_is} ({upper}): {because}; lower this one or raise that one",
                large.path
            );
            Problem::new(lower.clone(), small.path.to_string(), what)
        } else {
            let what = format!(
                "{large_is} is too little beside {} = {small_is} ({lower}): {because}; raise this one or lower that one",
                small.path
            );
            Problem::new(upper.clone(), large.path.to_string(), what)
        }
    }
}
