//! Values of arguments: parsed once, into what the requests take.
//!
//! Invariant: what is accepted can be sent; what is not is named together with what would be. What
//! this deliberately does not do: know the server's own bounds, which the server names better.

use std::str::FromStr;
use std::time::{Duration, SystemTime};

use jiff::{SignedDuration, Timestamp};
use sessiond_client::pb;

/// A span of time that is more than nothing, as `30s`, `1h30m` or `PT5M`.
pub(crate) fn span(text: &str) -> Result<Duration, String> {
    let span: SignedDuration = text
        .parse()
        .map_err(|_| format!("`{text}` is no duration: write for example `30s` or `1h30m`"))?;
    match Duration::try_from(span) {
        Ok(span) if !span.is_zero() => Ok(span),
        Ok(_) | Err(_) => Err(format!("`{text}` is not more than zero")),
    }
}

/// A moment: a time with its zone, as `2026-01-31T12:00:00Z`, or so long ago, as `2h`.
pub(crate) fn moment(text: &str) -> Result<SystemTime, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time.into());
    }
    let ago = span(text).ok();
    ago.and_then(|ago| SystemTime::now().checked_sub(ago))
        .ok_or_else(|| {
            format!("`{text}` is no time: write for example `2026-01-31T12:00:00Z`, or `2h` for so long ago")
        })
}

/// A limit that may be off: a span of time, or `never`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LimitValue {
    After(Duration),
    Never,
}

/// A name with a value, as `name=value`. The value may be empty and may hold further `=`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) name: String,
    pub(crate) value: String,
}

/// A span as the wire has it.
pub(crate) fn wire_span(span: Duration) -> prost_types::Duration {
    // Longer than the wire can say is longer than the server allows; it says so.
    prost_types::Duration::try_from(span).unwrap_or(prost_types::Duration {
        seconds: i64::MAX,
        nanos: 0,
    })
}

/// Pairs as a map; of one name given twice the last value holds.
pub(crate) fn map<M: FromIterator<(String, String)>>(pairs: &[Pair]) -> M {
    pairs
        .iter()
        .map(|pair| (pair.name.clone(), pair.value.clone()))
        .collect()
}

impl FromStr for LimitValue {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "never" {
            return Ok(Self::Never);
        }
        let span = span(text).map_err(|error| format!("{error}, or `never`"))?;
        Ok(Self::After(span))
    }
}

impl From<LimitValue> for pb::Limit {
    fn from(limit: LimitValue) -> Self {
        let bound = match limit {
            LimitValue::After(span) => pb::limit::Bound::After(wire_span(span)),
            LimitValue::Never => pb::limit::Bound::Never(true),
        };
        Self { bound: Some(bound) }
    }
}

impl FromStr for Pair {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok(Self {
                name: name.to_owned(),
                value: value.to_owned(),
            }),
            Some(_) | None => Err(format!("`{text}` is no `name=value`")),
        }
    }
}

/// An enum of the contract.
pub(crate) trait WireEnum: TryFrom<i32> {
    /// What all its names begin with.
    const PREFIX: &'static str;

    fn wire_name(&self) -> &'static str;
}

/// Parses a value of an enum of the contract: `END_REASON_OWNER_LOST` is `owner-lost`. What is
/// `UNSPECIFIED` there is none.
pub(crate) fn wire_enum<E: WireEnum>(text: &str) -> Result<E, String> {
    let wanted = text.to_ascii_lowercase().replace('_', "-");
    let mut known = Vec::new();
    // The enums of the contract count from 1 without holes.
    for number in 1.. {
        let Ok(value) = E::try_from(number) else {
            break;
        };
        let name = short_name(&value);
        if name == wanted {
            return Ok(value);
        }
        known.push(name);
    }
    Err(format!("`{text}` is none of {}", known.join(", ")))
}

/// Names a value in a table; a number that this build does not know stays a number.
pub(crate) fn enum_name<E: WireEnum>(number: i32) -> String {
    match E::try_from(number) {
        Ok(value) => short_name(&value),
        Err(_) => number.to_string(),
    }
}

fn short_name<E: WireEnum>(value: &E) -> String {
    let name = value.wire_name();
    let name = name.strip_prefix(E::PREFIX).unwrap_or(name);
    name.to_ascii_lowercase().replace('_', "-")
}

macro_rules! wire_enums {
    ($($name:ident $prefix:literal)+) => {
        $(impl WireEnum for pb::$name {
            const PREFIX: &'static str = $prefix;

            fn wire_name(&self) -> &'static str {
                self.as_str_name()
            }
        })+
    };
}

wire_enums! {
    ActorKind "ACTOR_KIND_"
    ConflictPolicy "CONFLICT_POLICY_"
    DeadLetterReason "DEAD_LETTER_REASON_"
    DeadlineEffect "DEADLINE_EFFECT_"
    DeadlineKind "DEADLINE_KIND_"
    DeliveryMode "DELIVERY_MODE_"
    DrainSessions "DRAIN_SESSIONS_"
    DrainState "DRAIN_STATE_"
    EndMode "END_MODE_"
    Carry "CARRY_"
    EndOutcome "END_OUTCOME_"
    CircuitState "CIRCUIT_STATE_"
    EndReason "END_REASON_"
    EnqueueStatus "ENQUEUE_STATUS_"
    EventType "EVENT_TYPE_"
    HoldKind "HOLD_KIND_"
    MessageState "MESSAGE_STATE_"
    NackKind "NACK_KIND_"
    Ordering "ORDERING_"
    LingeringCause "LINGERING_CAUSE_"
    PurgeOutcome "PURGE_OUTCOME_"
    ReleaseOutcome "RELEASE_OUTCOME_"
    ResourceOutcome "RESOURCE_OUTCOME_"
    ResourceState "RESOURCE_STATE_"
    SessionState "SESSION_STATE_"
    SettleCode "SETTLE_CODE_"
    StallReason "STALL_REASON_"
    SubscriptionState "SUBSCRIPTION_STATE_"
    SweepOutcome "SWEEP_OUTCOME_"
    WaitingFor "WAITING_FOR_"
    WhenFull "WHEN_FULL_"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_bad_ones_named() {
        for (text, seconds) in [("30s", 30), ("1h30m", 5400), ("PT5M", 300), ("1m 1s", 61)] {
            assert_eq!(span(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(span("250ms"), Ok(Duration::from_millis(250)));
        for text in ["", "30", "x", "0s", "-5s", "1 fortnight", "s"] {
            let error = span(text).expect_err(text);
            assert!(error.contains(&format!("`{text}`")), "{error}");
        }
    }

    #[test]
    fn moments_are_times_or_so_long_ago() {
        let epoch = SystemTime::UNIX_EPOCH;
        let noon = moment("2026-01-31T12:00:00+01:00").expect("a time");
        let expected = epoch + Duration::from_secs(1_769_857_200);
        assert_eq!(noon, expected);
        let before = SystemTime::now();
        let ago = moment("2h").expect("so long ago");
        let two_hours = Duration::from_secs(7_200);
        assert!(ago + two_hours >= before && ago + two_hours <= SystemTime::now());
        for text in ["", "noon", "2026-01-31", "-2h", "12:00"] {
            let error = moment(text).expect_err(text);
            assert!(error.contains(&format!("`{text}`")), "{error}");
        }
    }

    #[test]
    fn limits_may_be_off() {
        assert_eq!("never".parse(), Ok(LimitValue::Never));
        let after = LimitValue::After(Duration::from_secs(90));
        assert_eq!("1m30s".parse(), Ok(after));
        let error = "forever".parse::<LimitValue>().expect_err("no limit");
        assert!(error.contains("never") && error.contains("forever"));
        let wire = pb::Limit::from(after);
        assert_eq!(
            wire.bound,
            Some(pb::limit::Bound::After(prost_types::Duration {
                seconds: 90,
                nanos: 0
            }))
        );
    }

    #[test]
    fn pairs_keep_everything_behind_the_first_sign() {
        let pair = |text: &str| text.parse::<Pair>().map(|pair| (pair.name, pair.value));
        assert_eq!(pair("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert_eq!(pair("a="), Ok(("a".to_owned(), String::new())));
        for text in ["", "a", "=b"] {
            assert!(pair(text).expect_err(text).contains(&format!("`{text}`")));
        }
    }

    #[test]
    fn enums_have_the_names_of_the_contract() {
        let reason = wire_enum::<pb::EndReason>;
        assert_eq!(reason("owner-lost"), Ok(pb::EndReason::OwnerLost));
        assert_eq!(reason("OWNER_LOST"), Ok(pb::EndReason::OwnerLost));
        assert_eq!(reason("completed"), Ok(pb::EndReason::Completed));
        assert_eq!(reason("crashed"), Ok(pb::EndReason::Crashed));
        assert_eq!(enum_name::<pb::EndMode>(2), "after-pending");
        assert_eq!(enum_name::<pb::EndMode>(99), "99");
        let state = wire_enum::<pb::SessionState>;
        let error = state("alive").expect_err("no state");
        assert!(error.contains("`alive`") && error.contains("draining"));
        assert!(state("unspecified").is_err());
    }
}
