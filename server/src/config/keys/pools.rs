//! `[pools.NAME]`: the pools that may be named, and what each has of its own.

use sessiond_core::ids::PoolName;
use sessiond_core::limits::{PoolOverrides, TIMEOUT_MAX, WAIT_FOR_SLOT_MAX, WhenFull};
use sessiond_core::time::Span;

use super::{Key, Names, Section};
use crate::config::Settings;
use crate::config::field::Field;
use crate::limits::{POOL_SESSIONS_MAX, POOLS_MAX};

/// The shortest limit and wait: more than nothing.
const SHORTEST: Span = Span(1);

/// Where a pool has a value of its own, which is that of all pools until it is set.
macro_rules! at {
    ($value:ident) => {
        |settings, name| {
            let all = settings.policy.all_pools.$value;
            own(settings, name).$value.get_or_insert(all)
        }
    };
}

pub(super) static SECTION: Section = Section {
    name: "pools",
    doc: "A pool that sessions may name beside `default`, which always exists. A session of another one is refused \
          POOL_NOT_FOUND. Limits count for each pool of each namespace.",
    names: Some(Names {
        declare: |settings, name| {
            let pool = PoolName::parse(name).map_err(|why| why.to_string())?;
            settings.policy.pools.entry(pool).or_default();
            Ok(())
        },
        declared: |settings| {
            settings
                .policy
                .pools
                .keys()
                .map(ToString::to_string)
                .collect()
        },
        max: POOLS_MAX,
        flag: None,
    }),
    keys: &[
        Key::new(
            "max_sessions",
            Field::Bound {
                at: at!(max_sessions),
                min: 1,
                max: POOL_SESSIONS_MAX,
            },
            "Sessions that may have a slot at once. Unset: as `[session] max_sessions`.",
        ),
        Key::new(
            "max_attached",
            Field::Bound {
                at: at!(max_attached),
                min: 1,
                max: POOL_SESSIONS_MAX,
            },
            "Sessions that workers may hold at once. A worker that asks for one more is refused QUOTA_EXCEEDED; work \
             that nobody asks for by name waits until one is given back.",
        ),
        Key::new(
            "when_full",
            Field::Word {
                words: &["reject", "wait", "evict"],
                get: |settings, name| {
                    let all = settings.policy.all_pools.when_full;
                    let pool = PoolName::parse(name).ok();
                    let own = pool.and_then(|pool| settings.policy.pools.get(&pool)?.when_full);
                    match own.unwrap_or(all) {
                        WhenFull::Reject => "reject",
                        WhenFull::Wait => "wait",
                        WhenFull::Evict => "evict",
                    }
                },
                put: |settings, name, word| {
                    let when_full = match word {
                        "wait" => WhenFull::Wait,
                        "evict" => WhenFull::Evict,
                        _ => WhenFull::Reject,
                    };
                    own(settings, name).when_full = Some(when_full);
                },
            },
            "What becomes of an open that finds no slot, once the emergency sweep found none either. `reject`: it is \
             refused TOO_MANY_SESSIONS unless it says how long it would wait. `wait`: it waits. `evict`: the session \
             that is idle for longest and not in use ends, with reason EVICTED, and with none it waits.",
        ),
        Key::new(
            "wait",
            Field::Limit {
                at: at!(wait),
                min: SHORTEST,
                max: WAIT_FOR_SLOT_MAX,
            },
            "With `when_full` `wait` or `evict`: how long an open waits for a slot that does not say. `never`: it is \
             refused.",
        ),
        Key::new(
            "emergency_idle",
            Field::Limit {
                at: at!(emergency_idle),
                min: SHORTEST,
                max: TIMEOUT_MAX,
            },
            "As `[session] emergency_idle`, which holds when this is unset.",
        ),
        Key::new(
            "emergency_age",
            Field::Limit {
                at: at!(emergency_age),
                min: SHORTEST,
                max: TIMEOUT_MAX,
            },
            "As `[session] emergency_age`, which holds when this is unset.",
        ),
    ],
};

/// What a pool has of its own.
fn own<'s>(settings: &'s mut Settings, name: &str) -> &'s mut PoolOverrides {
    let pool = PoolName::parse(name).expect("a pool was declared under this name");
    settings.policy.pools.entry(pool).or_default()
}
