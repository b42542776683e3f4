//! `[pools.NAME]`: the pools that may be named.

use sessiond_core::ids::PoolName;

use super::{Names, Section};
use crate::limits::POOLS_MAX;

pub(super) static SECTION: Section = Section {
    name: "pools",
    doc: "A pool that sessions may name beside `default`, which always exists. A session of another one is refused \
          POOL_NOT_FOUND. Limits count for each pool of each namespace.",
    names: Some(Names {
        declare: |settings, name| {
            let pool = PoolName::parse(name).map_err(|why| why.to_string())?;
            settings.policy.pools.insert(pool);
            Ok(())
        },
        declared: |settings| {
            settings
                .policy
                .pools
                .iter()
                .map(ToString::to_string)
                .collect()
        },
        max: POOLS_MAX,
        flag: None,
    }),
    keys: &[],
};
