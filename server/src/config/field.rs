//! What a key may be set to, and where in the settings its value lies.
//!
//! Invariant: what [`Field::put`] refuses leaves the settings as they were, and what it takes is what
//! [`Field::show`] shows. Nothing is clamped.

use sessiond_core::time::{Limit, Span};

use super::Settings;
use super::literal::{Literal, Shown, parse_bytes, parse_span, show_bytes, show_span};

/// Where a value lies, in the settings of what the section is named for.
pub type At<T> = for<'s> fn(&'s mut Settings, &str) -> &'s mut T;

/// What a key takes.
#[derive(Clone, Copy, Debug)]
pub enum Field {
    /// A whole number.
    Count {
        /// Where it lies.
        at: At<u64>,
        /// The least.
        min: u64,
        /// The most.
        max: u64,
    },
    /// A whole number, or `never` for any.
    Bound {
        /// Where it lies.
        at: At<Option<u64>>,
        /// The least.
        min: u64,
        /// The most.
        max: u64,
    },
    /// A whole number of 32 bits.
    Count32 {
        /// Where it lies.
        at: At<u32>,
        /// The least.
        min: u32,
        /// The most.
        max: u32,
    },
    /// A size, as a number of bytes or with a unit.
    Bytes {
        /// Where it lies.
        at: At<u64>,
        /// The least.
        min: u64,
        /// The most.
        max: u64,
    },
    /// A size, or `never` for any.
    BytesBound {
        /// Where it lies.
        at: At<Option<u64>>,
        /// The least.
        min: u64,
        /// The most.
        max: u64,
    },
    /// A duration.
    Span {
        /// Where it lies.
        at: At<Span>,
        /// The shortest.
        min: Span,
        /// The longest.
        max: Span,
    },
    /// A duration, or `never`.
    Limit {
        /// Where it lies.
        at: At<Limit>,
        /// The shortest.
        min: Span,
        /// The longest.
        max: Span,
    },
    /// One of some words.
    Word {
        /// The words.
        words: &'static [&'static str],
        /// Which one is set.
        get: fn(&Settings, &str) -> &'static str,
        /// Sets one of them.
        put: fn(&mut Settings, &str, &str),
    },
    /// `true` or `false`.
    Switch {
        /// Which one is set.
        get: fn(&Settings, &str) -> bool,
        /// Sets it, or says why not.
        put: fn(&mut Settings, &str, bool) -> Result<(), String>,
    },
    /// A text of a form of its own.
    Text {
        /// What it takes, in words.
        takes: &'static str,
        /// What is set.
        get: fn(&Settings, &str) -> String,
        /// Sets it, or says what is wrong.
        put: fn(&mut Settings, &str, &str) -> Result<(), String>,
    },
}

/// In what a duration is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spelling {
    /// As the field has it: durations with their units.
    Plain,
    /// A number of seconds.
    Seconds,
}

impl Field {
    /// What a variable or a flag says, as a file would have it.
    pub(super) fn literal(&self, text: &str, spelling: Spelling) -> Literal {
        let number = || text.parse().ok().map(Literal::Integer);
        let literal = match self {
            Self::Count { .. }
            | Self::Bound { .. }
            | Self::Count32 { .. }
            | Self::Bytes { .. }
            | Self::BytesBound { .. } => number(),
            Self::Span { .. } | Self::Limit { .. } if spelling == Spelling::Seconds => number(),
            Self::Switch { .. } => text.parse().ok().map(Literal::Boolean),
            Self::Span { .. } | Self::Limit { .. } | Self::Word { .. } | Self::Text { .. } => None,
        };
        literal.unwrap_or_else(|| Literal::Text(text.to_owned()))
    }

    /// Sets it.
    ///
    /// # Errors
    /// What is wrong, and what it takes.
    pub(super) fn put(
        &self,
        settings: &mut Settings,
        name: &str,
        literal: &Literal,
        spelling: Spelling,
    ) -> Result<(), String> {
        let wrong = || {
            format!(
                "{} is not taken; takes {}",
                literal.quoted(),
                self.takes(spelling)
            )
        };
        match self {
            Self::Word { words, put, .. } => {
                let Literal::Text(text) = literal else {
                    return Err(wrong());
                };
                let word = words.iter().find(|word| *word == text).ok_or_else(wrong)?;
                put(settings, name, word);
                Ok(())
            }
            Self::Switch { put, .. } => match literal {
                Literal::Boolean(yes) => put(settings, name, *yes),
                Literal::Integer(_) | Literal::Text(_) | Literal::Other(_) => Err(wrong()),
            },
            Self::Text { put, .. } => match literal {
                Literal::Text(text) => put(settings, name, text)
                    .map_err(|why| format!("{text:?}: {why}; takes {}", self.takes(spelling))),
                Literal::Integer(_) | Literal::Boolean(_) | Literal::Other(_) => Err(wrong()),
            },
            Self::Limit { at, .. } if *literal == Literal::Text("never".to_owned()) => {
                *at(settings, name) = Limit::Never;
                Ok(())
            }
            Self::Bound { at, .. } | Self::BytesBound { at, .. }
                if *literal == Literal::Text("never".to_owned()) =>
            {
                *at(settings, name) = None;
                Ok(())
            }
            Self::Count { .. }
            | Self::Bound { .. }
            | Self::Count32 { .. }
            | Self::Bytes { .. }
            | Self::BytesBound { .. }
            | Self::Span { .. }
            | Self::Limit { .. } => {
                let measure = self.measure_of(literal, spelling).ok_or_else(wrong)?;
                self.put_measure(settings, name, measure)
                    .map_err(|()| wrong())
            }
        }
    }

    /// A literal as a number of what the field is measured in, if it is one.
    fn measure_of(&self, literal: &Literal, spelling: Spelling) -> Option<u64> {
        let number = match literal {
            Literal::Integer(number) => u64::try_from(*number).ok(),
            Literal::Text(_) | Literal::Boolean(_) | Literal::Other(_) => None,
        };
        let text = match literal {
            Literal::Text(text) => text.as_str(),
            Literal::Integer(_) | Literal::Boolean(_) | Literal::Other(_) => "",
        };
        match (self, spelling) {
            (Self::Bytes { .. } | Self::BytesBound { .. }, _) => {
                number.or_else(|| parse_bytes(text))
            }
            (Self::Span { .. } | Self::Limit { .. }, Spelling::Plain) => {
                parse_span(text).map(|span| span.0)
            }
            (Self::Span { .. } | Self::Limit { .. }, Spelling::Seconds) => {
                number.and_then(|seconds| seconds.checked_mul(1_000))
            }
            (Self::Count { .. } | Self::Bound { .. } | Self::Count32 { .. }, _) => number,
            (Self::Word { .. } | Self::Switch { .. } | Self::Text { .. }, _) => None,
        }
    }

    /// The value as a number that can be compared with those of other keys: milliseconds, bytes or a
    /// count. `None` for `never` and for what is no number.
    pub(super) fn measure(&self, settings: &Settings, name: &str) -> Option<u64> {
        // Read through the one accessor there is, which is for writing.
        let mut copy = settings.clone();
        match self {
            Self::Count { at, .. } | Self::Bytes { at, .. } => Some(*at(&mut copy, name)),
            Self::Bound { at, .. } | Self::BytesBound { at, .. } => *at(&mut copy, name),
            Self::Count32 { at, .. } => Some(u64::from(*at(&mut copy, name))),
            Self::Span { at, .. } => Some(at(&mut copy, name).0),
            Self::Limit { at, .. } => match at(&mut copy, name) {
                Limit::After(span) => Some(span.0),
                Limit::Never => None,
            },
            Self::Word { .. } | Self::Switch { .. } | Self::Text { .. } => None,
        }
    }

    /// Sets it to a number of what it is measured in, unless that is out of its bounds.
    pub(super) fn put_measure(
        &self,
        settings: &mut Settings,
        name: &str,
        measure: u64,
    ) -> Result<(), ()> {
        let (min, max) = self.bounds().ok_or(())?;
        if measure < min || measure > max {
            return Err(());
        }
        match self {
            Self::Count { at, .. } | Self::Bytes { at, .. } => *at(settings, name) = measure,
            Self::Bound { at, .. } | Self::BytesBound { at, .. } => {
                *at(settings, name) = Some(measure);
            }
            Self::Count32 { at, .. } => {
                *at(settings, name) = u32::try_from(measure).map_err(|_| ())?;
            }
            Self::Span { at, .. } => *at(settings, name) = Span(measure),
            Self::Limit { at, .. } => *at(settings, name) = Limit::After(Span(measure)),
            Self::Word { .. } | Self::Switch { .. } | Self::Text { .. } => return Err(()),
        }
        Ok(())
    }

    fn bounds(&self) -> Option<(u64, u64)> {
        match self {
            Self::Count { min, max, .. }
            | Self::Bound { min, max, .. }
            | Self::Bytes { min, max, .. }
            | Self::BytesBound { min, max, .. } => Some((*min, *max)),
            Self::Count32 { min, max, .. } => Some((u64::from(*min), u64::from(*max))),
            Self::Span { min, max, .. } | Self::Limit { min, max, .. } => Some((min.0, max.0)),
            Self::Word { .. } | Self::Switch { .. } | Self::Text { .. } => None,
        }
    }

    /// A number of what the field is measured in, as a file has it.
    pub(super) fn show_measure(&self, measure: u64) -> Shown {
        match self {
            Self::Count { .. } | Self::Bound { .. } | Self::Count32 { .. } => {
                Shown::Number(measure)
            }
            Self::Bytes { .. } | Self::BytesBound { .. } => Shown::Text(show_bytes(measure)),
            Self::Span { .. } | Self::Limit { .. } => Shown::Text(show_span(Span(measure))),
            Self::Word { .. } | Self::Switch { .. } | Self::Text { .. } => {
                unreachable!("only what is measured is shown as a measure")
            }
        }
    }

    /// The value as a file has it.
    pub(super) fn show(&self, settings: &Settings, name: &str) -> Shown {
        match self {
            Self::Word { get, .. } => Shown::Text(get(settings, name).to_owned()),
            Self::Switch { get, .. } => Shown::Boolean(get(settings, name)),
            Self::Text { get, .. } => Shown::Text(get(settings, name)),
            Self::Count { .. }
            | Self::Bound { .. }
            | Self::Count32 { .. }
            | Self::Bytes { .. }
            | Self::BytesBound { .. }
            | Self::Span { .. }
            | Self::Limit { .. } => match self.measure(settings, name) {
                Some(measure) => self.show_measure(measure),
                None => Shown::Text("never".to_owned()),
            },
        }
    }

    /// What it takes, in words.
    pub(super) fn takes(&self, spelling: Spelling) -> String {
        match self {
            Self::Count { min, max, .. } => format!("a whole number from {min} to {max}"),
            Self::Bound { min, max, .. } => {
                format!("a whole number from {min} to {max}, or \"never\" for no limit")
            }
            Self::Count32 { min, max, .. } => format!("a whole number from {min} to {max}"),
            Self::Bytes { min, max, .. } => sizes(*min, *max),
            Self::BytesBound { min, max, .. } => {
                format!("{}, or \"never\" for no limit", sizes(*min, *max))
            }
            Self::Span { min, max, .. } => spans(*min, *max, spelling),
            Self::Limit { min, max, .. } => {
                format!("{}, or \"never\" for no limit", spans(*min, *max, spelling))
            }
            Self::Word { words, .. } => {
                let words: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
                words.join(" or ")
            }
            Self::Switch { .. } => "true or false".to_owned(),
            Self::Text { takes, .. } => (*takes).to_owned(),
        }
    }
}

fn sizes(min: u64, max: u64) -> String {
    format!(
        "a number of bytes, or a size such as \"64KiB\" or \"8MiB\", from {} to {}",
        show_bytes(min),
        show_bytes(max)
    )
}

fn spans(min: Span, max: Span, spelling: Spelling) -> String {
    match spelling {
        Spelling::Plain => format!(
            "a duration with its unit, such as \"90s\" or \"1h30m\", from {} to {}",
            show_span(min),
            show_span(max)
        ),
        Spelling::Seconds => format!(
            "a whole number of seconds from {} to {}",
            min.0.div_ceil(1_000),
            max.0 / 1_000
        ),
    }
}
