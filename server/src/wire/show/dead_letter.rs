//! Dead letters, as they are listed.

use bytes::Bytes;
use sessiond_core::message::{MessageRow, Standing};
use sessiond_core::queue::Disposition;
use sessiond_core::session::SessionRow;
use sessiond_proto::v1 as pb;

use super::message::{dead, message};
use super::session::state;
use super::time::timestamp;

/// A message as the dead letter that it is; none if it is none. `owner` is the session that has its queue.
pub(crate) fn dead_letter(
    row: &MessageRow,
    disposition: Disposition,
    owner: &SessionRow,
    payload: Bytes,
) -> Option<pb::DeadLetter> {
    let (reason, time) = dead(row.standing, disposition)?;
    Some(pb::DeadLetter {
        message: Some(message(row, &owner.id, payload)),
        reason: reason.into(),
        attempts: row.attempt,
        last_error: row.last_error.clone(),
        dead_letter_time: Some(timestamp(time)),
        session_id: owner.id.to_string(),
        key: owner
            .key
            .as_ref()
            .map_or_else(String::new, ToString::to_string),
        session_state: state(&owner.lifecycle).into(),
        in_flight: matches!(row.standing, Standing::InFlight(_)),
    })
}
