//! `[session]`: how long sessions may live, how many, and how they end.

use jiff::tz::TimeZone;
use sessiond_core::limits::{END_GRACE_MAX, TIMEOUT_MAX, WARNING_LEAD_MIN};
use sessiond_core::time::Span;

use super::server::{absolute, full_path};
use super::{Key, Section};
use crate::config::field::Field;
use crate::limits::{CLEANUP_INTERVAL_MAX, CLEANUP_INTERVAL_MIN, POOL_SESSIONS_MAX};

/// The shortest limit and grace: more than nothing.
const SHORTEST: Span = Span(1);

/// The longest lead of a warning: nobody plans a day ahead of an idle session.
const WARNING_LEAD_MAX: Span = Span::seconds(24 * 3_600);

pub(super) static SECTION: Section = Section {
    name: "session",
    doc: "How long sessions may live, how many of them, and how they end. The limits in time hold for sessions \
          that were opened without one of their own.",
    names: None,
    keys: &[
        Key::new(
            "max_idle_time",
            Field::Limit {
                at: |settings, _| &mut settings.policy.idle_timeout,
                min: SHORTEST,
                max: TIMEOUT_MAX,
            },
            "A session without activity for longer than this ends, with reason IDLE. It is not idle while a worker \
             holds messages of it or a request of it is live, nor, for a day, while messages are pending.",
        )
        .seconds("max_idle_time_secs"),
        Key::new(
            "max_session_age",
            Field::Limit {
                at: |settings, _| &mut settings.policy.max_lifetime,
                min: SHORTEST,
                max: TIMEOUT_MAX,
            },
            "A session older than this ends, with reason EXPIRED; one in use at twice this age.",
        )
        .seconds("max_session_age_secs"),
        Key::new(
            "owner_timeout",
            Field::Limit {
                at: |settings, _| &mut settings.policy.owner_timeout,
                min: SHORTEST,
                max: TIMEOUT_MAX,
            },
            "A session whose owner was not heard of for longer than this ends, with reason OWNER_LOST.",
        ),
        Key::new(
            "cleanup_interval",
            Field::Span {
                at: |settings, _| &mut settings.policy.cleanup_interval,
                min: CLEANUP_INTERVAL_MIN,
                max: CLEANUP_INTERVAL_MAX,
            },
            "How often a session is looked at that is past a limit but in use, to end it once it is not. One that is \
             not in use ends when it passes its limit, and waits for nothing.",
        )
        .seconds("cleanup_interval_secs"),
        Key::new(
            "warning_lead",
            Field::Limit {
                at: |settings, _| &mut settings.policy.warning_lead,
                min: WARNING_LEAD_MIN,
                max: WARNING_LEAD_MAX,
            },
            "How long before an end by idleness or age the event LIMIT_WARNING is written: a tenth of the limit, and \
             this at most. Less than 1 s is no warning; `never` writes none.",
        ),
        Key::new(
            "max_sessions",
            Field::Bound {
                at: |settings, _| &mut settings.policy.all_pools.max_sessions,
                min: 1,
                max: POOL_SESSIONS_MAX,
            },
            "Sessions that may have a slot at once in each pool of each namespace. What becomes of one more says \
             `when_full` of its pool.",
        ),
        Key::new(
            "emergency_idle",
            Field::Limit {
                at: |settings, _| &mut settings.policy.all_pools.emergency_idle,
                min: SHORTEST,
                max: TIMEOUT_MAX,
            },
            "When a pool has no slot left, its sessions without activity for longer than this end, with reason IDLE, \
             unless they are in use. Messages that no worker is there for do not count as use: they are kept for the \
             next session of the key.",
        ),
        Key::new(
            "emergency_age",
            Field::Limit {
                at: |settings, _| &mut settings.policy.all_pools.emergency_age,
                min: SHORTEST,
                max: TIMEOUT_MAX,
            },
            "When that frees no slot, sessions of the pool that are older than this end, with reason EXPIRED, unless \
             they are in use.",
        ),
        Key::new(
            "retention",
            Field::Limit {
                at: |settings, _| &mut settings.policy.session_retention,
                min: SHORTEST,
                max: TIMEOUT_MAX,
            },
            "How long a session that has ended stays on record, counted from its end with the value of that time. It \
             stays longer while messages of it do: those that wait for the next session of its key, and dead \
             letters. With `\"never\"` those on record stay too.",
        ),
        Key {
            shell: Some(absolute_or_never),
            ..Key::new(
                "export_before_purge",
                Field::Text {
                    takes: "the full path of a directory, or \"never\"",
                    get: |settings, _| match &settings.export_before_purge {
                        Some(directory) => directory.display().to_string(),
                        None => "never".to_owned(),
                    },
                    put: |settings, _, text| {
                        settings.export_before_purge = match text {
                            "never" => None,
                            text => Some(full_path(text)?),
                        };
                        Ok(())
                    },
                },
                "Each session that is purged, by a call or after its `retention`, is first exported into a file of this \
                 directory, which `sessionctl session import` reads. One that cannot be exported stays on record and is \
                 tried again each `cleanup_interval`. Dead letters of a session that has ended then go with it, once \
                 `[queue] dead_letter_retention` is over too; what is deleted of a session in use is in no file. The \
                 directory is created with mode 0700 if it is missing when the server starts.",
            )
        },
        Key::new(
            "daily_reset",
            Field::Text {
                takes: "a time of day as HH:MM, or \"never\"",
                get: |settings, _| match settings.calendar.daily_reset {
                    Some(at) => at.to_string(),
                    None => "never".to_owned(),
                },
                put: |settings, _, text| {
                    settings.calendar.daily_reset = match text {
                        "never" => None,
                        text => Some(text.parse()?),
                    };
                    Ok(())
                },
            },
            "At this time of day every session in use is reset, with reason SCHEDULED: it ends, and a successor with \
             the same key, slot and messages goes on. A time that was missed because the server was down comes once \
             at its next start; a time that clocks skip is as much later, and of one that comes twice the first counts.",
        ),
        Key::new(
            "time_zone",
            Field::Text {
                takes: "the name of a time zone, such as \"Europe/Berlin\" or \"UTC\"",
                get: |settings, _| {
                    let name = settings.calendar.zone.iana_name();
                    name.unwrap_or("UTC").to_owned()
                },
                put: |settings, _, text| {
                    let zone = TimeZone::get(text).map_err(|_| "no such time zone".to_owned())?;
                    settings.calendar.zone = zone;
                    Ok(())
                },
            },
            "By the clocks of where `daily_reset` is meant. The zones are those this program was built with.",
        ),
        Key::new(
            "cleanup_on_shutdown",
            Field::Switch {
                get: |settings, _| settings.cleanup_on_shutdown,
                put: |settings, _, yes| {
                    settings.cleanup_on_shutdown = yes;
                    Ok(())
                },
            },
            "Whether sessions end when the server stops, with reason SHUTDOWN: each as soon as nothing of it is under way, \
             and all within the budget. Messages that are pending are kept for the next session of the key, and are dead \
             letters where there is no key; a session that was to do its work first goes on at the next start. With `false` all of them stay live on record and go on.",
        ),
        Key::new(
            "end_grace",
            Field::Span {
                at: |settings, _| &mut settings.policy.end_grace,
                min: SHORTEST,
                max: END_GRACE_MAX,
            },
            "How long a GRACEFUL end that does not say waits for what is in flight.",
        ),
        Key::new(
            "end_grace_after_pending",
            Field::Span {
                at: |settings, _| &mut settings.policy.after_pending_grace,
                min: SHORTEST,
                max: END_GRACE_MAX,
            },
            "How long an AFTER_PENDING end that does not say waits for all that is pending.",
        ),
    ],
};

/// What a shell means by a directory, unless there is to be none.
fn absolute_or_never(text: &str) -> String {
    match text {
        "never" => text.to_owned(),
        path => absolute(path),
    }
}
