//! `[namespaces.NAME]`: the namespaces that exist.

use sessiond_core::ids::Namespace;

use super::{Names, Section};
use crate::limits::NAMESPACES_MAX;

pub(super) static SECTION: Section = Section {
    name: "namespaces",
    doc: "A namespace that exists beside `default`, which always does. What calls another one is refused \
          NAMESPACE_NOT_FOUND. There is nothing to set in it: the section alone makes it. The flag and the variable \
          name more of them, separated by commas.",
    names: Some(Names {
        declare: |settings, name| {
            let namespace = Namespace::parse(name).map_err(|why| why.to_string())?;
            settings.namespaces.insert(namespace);
            Ok(())
        },
        declared: |settings| {
            settings
                .namespaces
                .iter()
                .map(ToString::to_string)
                .collect()
        },
        max: NAMESPACES_MAX,
        flag: Some(("--namespaces", "SESSIOND_NAMESPACES")),
    }),
    keys: &[],
};
