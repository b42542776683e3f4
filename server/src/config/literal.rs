//! Values as a file, a variable or a flag writes them: numbers, texts, durations and sizes.
//!
//! Invariant: what is shown is read back as the same value. What this deliberately does not do: know
//! which key takes what; that is a field's business.

use sessiond_core::time::Span;
use toml::de::DeValue;

/// A value before it is known whether its key takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Literal {
    Integer(i128),
    Boolean(bool),
    Text(String),
    /// Something no key takes, in words.
    Other(&'static str),
}

impl Literal {
    /// A value of a file.
    pub(super) fn of(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Self::Text(text.to_string()),
            DeValue::Boolean(yes) => Self::Boolean(*yes),
            DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix())
                .map_or(Self::Other("a number that is too large"), Self::Integer),
            DeValue::Float(_) => Self::Other("a number with a fraction"),
            DeValue::Datetime(_) => Self::Other("a date"),
            DeValue::Array(_) => Self::Other("a list"),
            DeValue::Table(_) => Self::Other("a section"),
        }
    }

    /// What a person would call it, in a sentence that says it is wrong.
    pub(super) fn quoted(&self) -> String {
        match self {
            Self::Integer(number) => number.to_string(),
            Self::Boolean(yes) => yes.to_string(),
            Self::Text(text) => format!("{text:?}"),
            Self::Other(what) => (*what).to_owned(),
        }
    }
}

/// A value as it is shown, in TOML and in JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// A number.
    Number(u64),
    /// A switch.
    Boolean(bool),
    /// Anything else.
    Text(String),
}

impl Shown {
    /// As TOML writes it.
    #[must_use]
    pub(super) fn toml(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Boolean(yes) => yes.to_string(),
            Self::Text(text) => quote(text),
        }
    }

    /// As JSON.
    #[must_use]
    pub(super) fn json(&self) -> serde_json::Value {
        match self {
            Self::Number(number) => (*number).into(),
            Self::Boolean(yes) => (*yes).into(),
            Self::Text(text) => text.as_str().into(),
        }
    }
}

/// A text as a basic string of TOML.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(c);
            }
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// A name as a part of a section's name.
pub(super) fn bare_or_quoted(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.chars().all(bare) {
        name.to_owned()
    } else {
        quote(name)
    }
}

/// Units of a duration in milliseconds, largest first.
const SPAN_UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Units of a size in bytes, largest first.
const BYTE_UNITS: [(&str, u64); 4] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

/// A duration as `90s`, `1h30m` or `7d`: numbers with their units, the largest first.
pub(super) fn parse_span(text: &str) -> Option<Span> {
    let mut rest = text;
    let mut total = 0_u64;
    let mut units = SPAN_UNITS.as_slice();
    while !rest.is_empty() {
        let (number, after) = number(rest)?;
        let letters = after.find(|c: char| !c.is_ascii_alphabetic());
        let (unit, left) = after.split_at(letters.unwrap_or(after.len()));
        let place = units.iter().position(|(name, _)| *name == unit)?;
        total = total.checked_add(number.checked_mul(units[place].1)?)?;
        units = &units[place + 1..];
        rest = left;
    }
    (!text.is_empty()).then_some(Span(total))
}

/// A size as `8MiB`, or `8 MiB`.
pub(super) fn parse_bytes(text: &str) -> Option<u64> {
    let (number, unit) = number(text)?;
    let unit = unit.trim_start_matches(' ');
    let (_, bytes) = BYTE_UNITS.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*bytes)
}

/// A duration in the largest unit that says it in one number.
pub(super) fn show_span(span: Span) -> String {
    whole(&SPAN_UNITS, span.0)
}

/// The same of a size.
pub(super) fn show_bytes(bytes: u64) -> String {
    whole(&BYTE_UNITS, bytes)
}

fn whole(units: &[(&str, u64)], value: u64) -> String {
    let fits = |(_, size): &&(&str, u64)| value >= *size && value.is_multiple_of(*size);
    let (name, size) = units
        .iter()
        .find(fits)
        .or(units.last())
        .expect("there are units, and the last one is 1");
    format!("{}{name}", value / size)
}

fn number(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, rest) = text.split_at(digits);
    Some((number.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_numbers_with_units_from_the_largest_down() {
        for (text, ms) in [
            ("90s", 90_000),
            ("1h30m", 5_400_000),
            ("7d", 604_800_000),
            ("1m500ms", 60_500),
            ("0s", 0),
        ] {
            assert_eq!(parse_span(text), Some(Span(ms)), "{text}");
        }
        for bad in [
            "",
            "90",
            "s",
            "1.5h",
            "-1s",
            "30m1h",
            "1s1s",
            "1 s",
            "90S",
            "1w",
            "99999999999999d",
        ] {
            assert_eq!(parse_span(bad), None, "{bad}");
        }
    }

    #[test]
    fn sizes_have_one_unit() {
        assert_eq!(parse_bytes("8MiB"), Some(8 << 20));
        assert_eq!(parse_bytes("740 KiB"), Some(740 << 10));
        assert_eq!(parse_bytes("1B"), Some(1));
        for bad in ["", "8", "8MB", "8mib", "-1B", "1.5GiB", "99999999999GiB"] {
            assert_eq!(parse_bytes(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_shown_is_read_back() {
        for ms in [
            0, 1, 999, 1_000, 60_000, 90_000, 3_600_000, 86_400_000, 86_400_001,
        ] {
            assert_eq!(parse_span(&show_span(Span(ms))), Some(Span(ms)));
        }
        for bytes in [0, 1, 1_023, 1_024, 8 << 20, (1 << 30) + 1, u64::MAX] {
            assert_eq!(parse_bytes(&show_bytes(bytes)), Some(bytes));
        }
        assert_eq!(show_span(Span(90_000)), "90s");
        assert_eq!(show_bytes(1 << 30), "1GiB");
    }

    #[test]
    fn texts_are_quoted_as_toml_reads_them() {
        for text in ["", "a b", "\"\\\"", "tab\tand\u{7f}", "zażółć"] {
            let line = format!("{} = {}", bare_or_quoted(text), quote(text));
            let table = toml::de::DeTable::parse(&line).expect("it is TOML");
            let (key, value) = table.get_ref().iter().next().expect("it has a key");
            assert_eq!(key.get_ref(), text);
            assert_eq!(Literal::of(value.get_ref()), Literal::Text(text.to_owned()));
        }
        assert_eq!(bare_or_quoted("a-b_1"), "a-b_1");
    }
}
