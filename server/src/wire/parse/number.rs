//! Numbers with bounds.

use std::num::NonZeroU32;

use crate::wire::faults::Faults;

/// A count of at least one and at most `max`; unset is none.
pub(crate) fn positive(
    faults: &mut Faults,
    field: &str,
    number: Option<u32>,
    max: u32,
) -> Option<NonZeroU32> {
    let number = number?;
    let positive = NonZeroU32::new(number).filter(|number| number.get() <= max);
    if positive.is_none() {
        faults.invalid(field, format!("must be 1 to {max}, got {number}"));
    }
    positive
}

/// A count of at most `max`; zero is a value, unset takes `default`.
pub(crate) fn at_most<N: Copy + PartialOrd + std::fmt::Display>(
    faults: &mut Faults,
    field: &str,
    number: Option<N>,
    default: N,
    max: N,
) -> N {
    let Some(number) = number else {
        return default;
    };
    if number > max {
        faults.invalid(field, format!("must be at most {max}, got {number}"));
    }
    number
}

/// A number that the server gave out, so never zero.
pub(crate) fn required(faults: &mut Faults, field: &str, number: u64) -> u64 {
    if number == 0 {
        faults.invalid(field, "must be set");
    }
    number
}

/// A list of at most `max` items.
pub(crate) fn items(faults: &mut Faults, field: &str, found: usize, max: usize) {
    if found > max {
        faults.invalid(field, format!("must have at most {max} items, got {found}"));
    }
}

/// A list of at least one and at most `max` items.
pub(crate) fn some_items(faults: &mut Faults, field: &str, found: usize, max: usize) {
    if found == 0 {
        faults.invalid(field, format!("must have 1 to {max} items, got none"));
    }
    items(faults, field, found, max);
}
