//! The namespace of a call: named by its metadata, `default` when absent, and only a configured one.

use std::collections::BTreeSet;

use sessiond_core::ids::Namespace;
use sessiond_core::limits::ID_BYTES_MAX;
use sessiond_proto::{DEFAULT_NAMESPACE, NAMESPACE_METADATA_KEY};
use tonic::metadata::MetadataMap;

use super::parse::text;
use super::status::Refusal;

/// The namespace that a call's metadata names.
///
/// # Errors
/// FIELD_INVALID for a text that is no id or a key that is given twice (proxies route on it, so there
/// must be one answer); NAMESPACE_NOT_FOUND for one that is not configured.
pub(crate) fn of_call(
    metadata: &MetadataMap,
    configured: &BTreeSet<Namespace>,
) -> Result<Namespace, Refusal> {
    let mut given = metadata.get_all(NAMESPACE_METADATA_KEY).iter();
    let named = match (given.next(), given.next()) {
        (None, _) => DEFAULT_NAMESPACE.to_owned(),
        (Some(value), None) => String::from_utf8(value.as_encoded_bytes().to_vec())
            .map_err(|_| invalid("must be UTF-8"))?,
        (Some(_), Some(_)) => return Err(invalid("must not be given twice")),
    };
    let namespace =
        Namespace::parse(named).map_err(|error| invalid(&text::describe(error, ID_BYTES_MAX)))?;
    if configured.contains(&namespace) {
        Ok(namespace)
    } else {
        Err(Refusal::namespace_not_found(&namespace))
    }
}

fn invalid(description: &str) -> Refusal {
    Refusal::field_invalid(NAMESPACE_METADATA_KEY, description)
}
