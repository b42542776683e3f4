//! The event whose handling a call is part of.
//!
//! Keeps it with the task that handles the event, so that nobody passes it on by hand: every call that the handler makes
//! names the event. A task that the handler starts is none of that: it calls through [`Client::caused_by`].
//!
//! [`Client::caused_by`]: crate::Client::caused_by

use sessiond_proto::CAUSE_METADATA_KEY;
use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue, MetadataMap};

use crate::error::Error;

/// Names to a command the event whose handling it is part of, by its `event_id`:
/// `sessionctl` takes it as `--cause`.
pub const CAUSE_ENV: &str = "SESSIOND_CAUSE";

tokio::task_local! {
    static CAUSE: AsciiMetadataValue;
}

/// The same future, of which every call names this event.
pub(crate) async fn naming<F: Future>(event_id: &str, handling: F) -> F::Output {
    match value(event_id) {
        Ok(event) => CAUSE.scope(event, handling).await,
        // No server gives such an id; then nothing is known of it.
        Err(_) => handling.await,
    }
}

/// An event as a call names it.
pub(crate) fn value(event_id: &str) -> Result<AsciiMetadataValue, Error> {
    let value = Some(event_id).filter(|id| !id.is_empty());
    value
        .and_then(|id| id.parse().ok())
        .ok_or_else(|| Error::setting(format!("`{event_id}` is no event id")))
}

/// Names an event in a call: the given one, else the one that this task handles.
pub(crate) fn name(given: Option<&AsciiMetadataValue>, metadata: &mut MetadataMap) {
    let handled = || CAUSE.try_with(Clone::clone).ok();
    if let Some(event) = given.cloned().or_else(handled) {
        metadata.insert(AsciiMetadataKey::from_static(CAUSE_METADATA_KEY), event);
    }
}
