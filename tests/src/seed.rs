//! The seed that a randomised test across processes follows, and how to run it again.
//!
//! Invariant: the seed is printed before anything is drawn from it, so that whatever fails names it. What
//! it deliberately does not promise: the same schedule twice. Processes and disks keep their own time; a
//! seed brings back the same requests and the same plan of kills.

use fastrand::Rng;

/// The variable that holds a seed to be run again.
const VARIABLE: &str = "SESSIOND_SEED";

/// A source of chance for the test called `test`, from the seed of the environment or a new one.
///
/// # Panics
///
/// When the variable is no number.
#[must_use]
pub fn rng(test: &str) -> Rng {
    let seed = match std::env::var(VARIABLE) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{VARIABLE} is {text:?}: use a number")),
        Err(std::env::VarError::NotPresent) => fastrand::u64(..),
        Err(std::env::VarError::NotUnicode(_)) => panic!("{VARIABLE} is not text: use a number"),
    };
    eprintln!("{test}: again with {VARIABLE}={seed}");
    Rng::with_seed(seed)
}
