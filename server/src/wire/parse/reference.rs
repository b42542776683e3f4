//! References to sessions, by id or by key.

use sessiond_core::ids::{SessionId, SessionKey, SessionRef};
use sessiond_proto::v1 as pb;

use super::text;
use crate::wire::faults::Faults;

/// A reference that must be there.
pub(crate) fn required(
    faults: &mut Faults,
    field: &str,
    reference: Option<pb::SessionRef>,
) -> Option<SessionRef> {
    faults.within(field, |faults| {
        match reference.and_then(|reference| reference.r#ref) {
            Some(pb::session_ref::Ref::SessionId(id)) => {
                text::required(faults, "session_id", id, SessionId::parse).map(SessionRef::Id)
            }
            Some(pb::session_ref::Ref::Key(key)) => {
                text::required(faults, "key", key, SessionKey::parse).map(SessionRef::Key)
            }
            None => {
                faults.invalid("", "must name a session by `session_id` or `key`");
                None
            }
        }
    })
}
