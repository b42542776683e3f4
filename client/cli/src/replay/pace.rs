//! How fast to replay.
//!
//! Invariant: never faster than asked; time lost is not made up in a burst. What this deliberately
//! does not do: follow the times of the recording, which has none.

use std::time::Duration;

use tokio::time::Instant;

/// The fastest pace that is counted. Faster than that, leave the option out.
const EVENTS_PER_SECOND_MAX: f64 = 1_000_000.0;

/// The slowest pace: one event in about a day.
const EVENTS_PER_SECOND_MIN: f64 = 0.000_01;

/// A number of events a second.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pace {
    between: Duration,
    due: Option<Instant>,
}

/// Reads a number of events a second.
pub(crate) fn parse(text: &str) -> Result<Pace, String> {
    let range = EVENTS_PER_SECOND_MIN..=EVENTS_PER_SECOND_MAX;
    match text.parse::<f64>() {
        Ok(speed) if range.contains(&speed) => Ok(Pace {
            between: Duration::from_secs_f64(speed.recip()),
            due: None,
        }),
        Ok(_) | Err(_) => Err(format!(
            "`{text}` is no number of events a second between {EVENTS_PER_SECOND_MIN} and \
             {EVENTS_PER_SECOND_MAX}"
        )),
    }
}

impl Pace {
    /// Waits until the next event is due.
    pub(super) async fn next(&mut self) {
        let now = Instant::now();
        let due = self.due.unwrap_or(now).max(now);
        tokio::time::sleep_until(due).await;
        self.due = Some(due + self.between);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_are_more_than_nothing() {
        assert_eq!(
            parse("4").map(|pace| pace.between),
            Ok(Duration::from_millis(250))
        );
        assert_eq!(
            parse("0.5").map(|pace| pace.between),
            Ok(Duration::from_secs(2))
        );
        for text in ["", "0", "-1", "fast", "NaN", "inf", "1e99", "1e-99"] {
            assert!(parse(text).expect_err(text).contains(&format!("`{text}`")));
        }
    }
}
