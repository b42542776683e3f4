//! Enums: a number that the contract does not name is refused, never taken for the default.

use sessiond_core::limits::FILTER_VALUES_MAX;

use super::number;
use crate::wire::faults::Faults;

/// The enum value of a number.
pub(crate) fn known<E: TryFrom<i32>>(
    faults: &mut Faults,
    field: &str,
    number: i32,
    name: &str,
) -> Option<E> {
    let value = E::try_from(number).ok();
    if value.is_none() {
        faults.invalid(field, format!("{number} is no value of {name}"));
    }
    value
}

/// The enum values of a list of at most [`FILTER_VALUES_MAX`], of which none may be `unspecified`,
/// each once.
pub(crate) fn listed<E: TryFrom<i32> + Copy + PartialEq>(
    faults: &mut Faults,
    field: &str,
    numbers: &[i32],
    unspecified: E,
    name: &str,
) -> Vec<E> {
    number::items(faults, field, numbers.len(), FILTER_VALUES_MAX);
    let mut values = Vec::new();
    for (index, number) in numbers.iter().take(FILTER_VALUES_MAX).enumerate() {
        faults.within_item(field, index, |faults| {
            let Some(value) = known(faults, "", *number, name) else {
                return;
            };
            if value == unspecified {
                faults.invalid("", format!("must name a value of {name}"));
            } else if !values.contains(&value) {
                values.push(value);
            }
        });
    }
    values
}
