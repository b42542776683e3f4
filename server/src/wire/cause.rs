//! The cause of a call: the event whose handling it is part of, named by its metadata.
//!
//! What this deliberately does not do: judge how deep that is, or whether the event is still on record.

use sessiond_core::ids::Revision;
use sessiond_proto::CAUSE_METADATA_KEY;
use tonic::metadata::MetadataMap;

use super::status::Refusal;

/// The event that a call's metadata names, in a log that ends with `newest`. One of another log is none of ours.
///
/// # Errors
/// FIELD_INVALID for what is no event id, for an event that is not written yet, and for a key that is given twice.
pub(crate) fn of_call(
    metadata: &MetadataMap,
    log_id: &str,
    newest: Revision,
) -> Result<Option<Revision>, Refusal> {
    let mut given = metadata.get_all(CAUSE_METADATA_KEY).iter();
    let text = match (given.next(), given.next()) {
        (None, _) => return Ok(None),
        (Some(value), None) => value.to_str().map_err(|_| invalid("must be ASCII"))?,
        (Some(_), Some(_)) => return Err(invalid("must not be given twice")),
    };
    let (log, revision) = text.rsplit_once('-').unwrap_or_default();
    let revision = revision.parse().ok().filter(|revision| *revision > 0);
    let revision = revision.map(Revision);
    let Some(revision) = revision.filter(|_| uuid::Uuid::try_parse(log).is_ok()) else {
        return Err(invalid("must be an event_id, LOG_ID-REVISION"));
    };
    match log == log_id {
        true if revision > newest => Err(invalid(&format!(
            "must be an event that there is: the newest is {newest}"
        ))),
        true => Ok(Some(revision)),
        false => Ok(None),
    }
}

fn invalid(description: &str) -> Refusal {
    Refusal::field_invalid(CAUSE_METADATA_KEY, description)
}
